#!/usr/bin/env python3
"""The example's GAN through the whole service, beside PyTorch on the same cores.

    CAMBRIAN_BUILD=build tests/bench/gan_bench.py --python VENV/bin/python [--rounds 3]
        [--images FILE --labels FILE] [--samples 12800]

In turn: one epoch of examples/mnist-dcgan.yaml (two ranks of one lane; the epoch's own samples/s,
which includes loading, the exchange, the updates and the losses), and torch_dcgan.py's steps (two
threads, its best of eager, channels_last and compile; images already in memory).  Without --images
both see other pixels, which does not change the time.  Prints each round and the ratio of medians.
"""
import argparse
import pathlib
import re
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
from harness import ROOT, Daemon  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--samples", type=int, default=12800, help="drawn glyphs an epoch")
    parser.add_argument("--images", help="an IDX file instead of drawn glyphs")
    parser.add_argument("--isa", choices=["avx2", "native"], default="native")
    options = parser.parse_args()
    text = (ROOT / "examples" / "mnist-dcgan.yaml").read_text()
    start, end = text.index("data:\n"), text.index("model:\n")
    data = (f"{{format: idx, images: {options.images}}}" if options.images
            else f"{{format: glyphs, count: {options.samples}}}")
    text = text[:start] + f"data: {data}\n" + text[end:]
    ours, theirs = [], []
    with Daemon(slots=2) as daemon:
        for round_number in range(options.rounds):
            job = daemon.submit(text, sets=["train.epochs=1", f"train.isa={options.isa}"])
            ours.append(daemon.finish(job, 1800)["epochs_done"][0]["samples_per_s"])
            done = subprocess.run([options.python, HERE / "torch_dcgan.py", "--seconds",
                                   str(options.seconds)], capture_output=True, text=True,
                                  check=True)
            theirs.append(float(re.search(r"best (\d+)", done.stdout).group(1)))
            print(f"round {round_number + 1}: cambrian {ours[-1]:.0f}, PyTorch {theirs[-1]:.0f} "
                  f"images/s, ratio {ours[-1] / theirs[-1]:.2f}", flush=True)
    print(done.stdout.split("\n")[0])
    print(f"medians: cambrian {statistics.median(ours):.0f}, PyTorch {statistics.median(theirs):.0f}"
          f" images/s, ratio {statistics.median(ours) / statistics.median(theirs):.2f}")


if __name__ == "__main__":
    main()
