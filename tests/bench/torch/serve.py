#!/usr/bin/env python3
"""Times training steps of one model file in PyTorch, when asked.

    serve.py WORKLOAD MODE THREADS      MODE: eager, channels_last, compile, compile+channels_last

Prints a line of JSON when the first two steps are done (or why the mode cannot run), then answers
each line `step SECONDS` of standard input with {"wall_s": [...], "cpu_s": [...]}, a number a step,
cpu over all threads.
"""
import importlib
import json
import os
import pathlib
import sys
import time

THREADS = sys.argv[3]
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = THREADS
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import torch  # noqa: E402

from common import Mode  # noqa: E402


def answer(value):
    print(json.dumps(value), flush=True)


def timed(step, seconds):
    wall, cpu = [], []
    end = time.perf_counter() + seconds
    while len(wall) < 2 or time.perf_counter() < end:
        wall_begin, cpu_begin = time.perf_counter(), time.process_time()
        step()
        wall.append(time.perf_counter() - wall_begin)
        cpu.append(time.process_time() - cpu_begin)
    return {"wall_s": wall, "cpu_s": cpu}


def main():
    torch.set_num_threads(int(THREADS))
    torch.set_num_interop_threads(1)
    torch.manual_seed(1)
    torch.set_flush_denormal(True)
    try:
        step = importlib.import_module(sys.argv[1]).make(Mode(sys.argv[2]))
        step()
        step()
    except Exception as error:  # a mode that cannot run is a result: it is shown
        answer({"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0][:150]}"})
        return
    answer({"torch": torch.__version__, "threads": torch.get_num_threads()})
    for line in sys.stdin:
        answer(timed(step, float(line.split()[1])))


if __name__ == "__main__":
    main()
