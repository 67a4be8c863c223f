#!/usr/bin/env python3
"""What the service itself costs, against floors taken in the same run.

    CAMBRIAN_BUILD=build tests/bench/daemon_bench.py [--images FILE --labels FILE] [--runs 9]

- submit -> training of examples/mnist-dcgan.yaml on two ranks (drawn glyphs where no images are
  given): until its first step begins (rank 0's first line), and until that step is on record;
  against mpirun of a program that only calls MPI_Init, with Open MPI's defaults and with the
  settings that the launcher uses; then the stages of a start;
- the time of a whole client process (show, queue, status, submit --hold) while two ranks train on
  all cores and write a checkpoint every few steps;
- durable submits a second over 64 connections and over one, against how often the same disk takes a
  page and an fdatasync.
Medians, floors and figures interleaved; times in milliseconds.
"""
import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, ENDED, ROOT, Daemon, mpirun_words, until  # noqa: E402

INIT = "#include <mpi.h>\nint main(int c, char **v)\n{\n    return MPI_Init(&c, &v) || MPI_Finalize();\n}\n"


def milliseconds(action):
    start = time.perf_counter()
    action()
    return (time.perf_counter() - start) * 1e3


def row(name, values):
    print(f"{name:58} {statistics.median(values):8.1f}   ({min(values):.1f} to {max(values):.1f})")
    return statistics.median(values)


def launcher_options(daemon, job):
    """The words between `mpirun` and the worker, as the launcher wrote them."""
    order = json.loads((daemon.attempt_dir(job) / "attempt.json").read_text())
    argv = order["argv"]
    end = next(i for i, word in enumerate(argv) if word.endswith("cambrian-worker"))
    options, skip = [], False
    for word in argv[1:end]:
        if skip:
            skip = False
        elif word in ("orte_tmpdir_base", "btl_vader_backing_directory",
                      "prte_tmpdir_base", "btl_sm_backing_directory"):
            options.pop()  # the --mca or --prtemca before it: the attempt's folder is gone
            skip = True
        else:
            options.append(word)
    return [argv[0], *options]


def first_step(daemon, text, sets):
    """Milliseconds from the start of the client to the first step's begin and to its record."""
    start = time.perf_counter()
    job = daemon.submit(text, sets=sets)
    log = daemon.job_dir(job) / "attempts" / "1" / "log"
    while not log.exists() or b"from step" not in log.read_bytes():
        time.sleep(0.001)
    begins = (time.perf_counter() - start) * 1e3
    until(lambda: daemon.show(job)["step"] >= 1, 60, "a first step")
    recorded = (time.perf_counter() - start) * 1e3
    daemon.client("cancel", "--now", job)
    daemon.until_state(job, ENDED)
    return begins, recorded, job


def stages(daemon, text, sets, runs):
    """Where the time of a start goes: each stage's end after the client's begin, medians."""
    times = {}
    for _ in range(runs):
        start = datetime.datetime.now(datetime.timezone.utc)
        job = daemon.submit(text, sets=[*sets, "env.CAMBRIAN_LOG=debug"])
        until(lambda: daemon.show(job)["step"] >= 1, 60, "a first step")
        attempt = daemon.job_dir(job) / "attempts" / "1"
        for line in (attempt / "shim.log").read_text().splitlines() + \
                (attempt / "log").read_text().splitlines():
            when, found, stage = line.partition(": start: ")
            if found:
                at = datetime.datetime.fromisoformat(when.split("Z")[0] + "+00:00")
                times.setdefault(stage, []).append((at - start).total_seconds() * 1e3)
        daemon.client("cancel", "--now", job)
        daemon.until_state(job, ENDED)
    for stage, values in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        row("  " + stage, values)


def bench_start(daemon, text, sets, runs):
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "init.c"
        program = pathlib.Path(folder) / "init"
        source.write_text(INIT)
        subprocess.run(["mpicc", source, "-o", program], check=True)
        job = first_step(daemon, text, sets)[2]  # warm files
        tuned = launcher_options(daemon, job)
        plain = mpirun_words(2)
        floors, tuned_floors, begins, records = [], [], [], []
        for _ in range(runs):
            for command, times in ((plain, floors), (tuned, tuned_floors)):
                times.append(milliseconds(lambda c=command: subprocess.run(
                    [*c, program], check=True, capture_output=True)))
            begin, record, _ = first_step(daemon, text, sets)
            begins.append(begin)
            records.append(record)
    floor = row("mpirun of MPI_Init alone, Open MPI's defaults", floors)
    least = row("mpirun of MPI_Init alone, the launcher's settings", tuned_floors)
    mine = row("submit -> the first step begins", begins)
    row("submit -> the first step is on record", records)
    print(f"{'begin over the floor':58} {mine - floor:+8.1f}   ({mine - least:+.1f} over the lower one)")
    print("what has happened by when (env.CAMBRIAN_LOG=debug)")
    stages(daemon, text, sets, runs)


def bench_commands(daemon, text, sets, runs):
    quiet = {}
    words = {"show": ["show", "1"], "queue": ["queue"], "status": ["status"],
             "submit --hold": ["submit", "--hold", str(daemon.write(text))]}
    for pair in sets:
        words["submit --hold"] += ["--set", pair]

    def measure(into):
        for _ in range(runs * 3):
            for name, command in words.items():
                into.setdefault(name, []).append(milliseconds(lambda c=command: daemon.client(*c)))

    measure(quiet)
    job = daemon.submit(text, sets=[*sets, "checkpoint.every=2 steps", "train.epochs=50"])
    until(lambda: daemon.show(job)["step"] >= 3, 120, "training")
    busy = {}
    measure(busy)
    daemon.client("cancel", "--now", job)
    daemon.until_state(job, ENDED)
    for name in words:
        row(f"cambrian {name}, nothing runs", quiet[name])
        row(f"cambrian {name}, while ranks train on all cores", busy[name])


def bench_submits(daemon, text, runs):
    load = BUILD / "tests" / "support" / "submit_load"
    job = daemon.write(text)

    def figures(*words):
        done = subprocess.run([load, *map(str, words)], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    floors, many, one = [], [], []
    for _ in range(max(3, runs // 3)):
        floors.append(figures("--floor", daemon.state, 2)["per_s"])
        many.append(figures(daemon.socket, job, 64, 2)["per_s"])
        one.append(figures(daemon.socket, job, 1, 2)["p50_ms"])
    row("page + fdatasync, a second", floors)
    row("durable submits over 64 connections, a second", many)
    row("one durable submit at a time, p50 in ms", one)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images")
    parser.add_argument("--labels")
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    text = (ROOT / "examples" / "mnist-dcgan.yaml").read_text()
    sets = [f"data.images={options.images}", f"data.labels={options.labels}"]
    if not options.images:
        start, end = text.index("data:\n"), text.index("model:\n")
        text = text[:start] + "data: {format: glyphs, count: 60000}\n" + text[end:]
        sets = []
    print(f"{'milliseconds':58}   median   (least to most)")
    with Daemon(slots=2) as daemon:
        bench_start(daemon, text, sets, options.runs)
        bench_commands(daemon, text, sets, options.runs)
    with Daemon(slots=2) as daemon:
        bench_submits(daemon, (ROOT / "examples" / "glyphs-gan.yaml").read_text(), options.runs)


if __name__ == "__main__":
    main()
