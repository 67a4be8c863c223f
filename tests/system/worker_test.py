#!/usr/bin/env python3
"""The worker under mpirun without a daemon: a job folder made by hand, as DAEMON.md describes it."""
import glob
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, SLOW, TINY, mpirun_words  # noqa: E402

WORKER = BUILD / "worker" / "cambrian-worker"
TIMEOUT_S = 120 * SLOW


class Job:
    """A job folder and the attempts that were made in it."""

    def __init__(self, sets=(), text=TINY):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="worker-"))
        # In memory, as the daemon's: ranks account for its pages as shared memory.
        self.shared = pathlib.Path(tempfile.mkdtemp(prefix="cambrian-worker-", dir="/dev/shm"))
        self.attempt = 0
        (self.folder / "job.yaml").write_text(text)
        (self.folder / "job.json").write_text(json.dumps(
            {"id": 1, "file_name": "job.yaml", "base_dir": str(self.folder), "set": list(sets)}))

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.rmtree(self.shared, ignore_errors=True)

    def path(self, *parts):
        return self.folder / "attempts" / str(self.attempt) / pathlib.Path(*parts)

    def checkpoints(self):
        """Published folders relative to the job, oldest first."""
        found = glob.glob(str(self.folder / "attempts" / "*" / "checkpoints" / "step-*[0-9]"))
        found.sort(key=lambda folder: (pathlib.Path(folder).name, int(folder.split("/")[-3])))
        return [os.path.relpath(folder, self.folder) for folder in found]

    def start(self, ranks=1, lanes=1, resume=None, env=None):
        """Starts the next attempt; resume names a checkpoint."""
        self.attempt += 1
        self.path().mkdir(parents=True, exist_ok=True)
        scratch = self.shared / str(self.attempt)
        scratch.mkdir()
        self.path("attempt.json").write_text(json.dumps({
            "job_id": 1, "attempt": self.attempt, "ranks": ranks, "lanes": lanes,
            "scratch": str(scratch), "resume_from": resume, "time_limit_ms": 0, "grace_ms": 1000,
            "log_bytes_max": 1 << 20, "argv": []}))
        argv = [*mpirun_words(ranks, scratch), str(WORKER), "--job-dir", str(self.folder),
                "--attempt", str(self.attempt)]
        surroundings = {k: v for k, v in os.environ.items() if not k.startswith("OMP")}
        # Open MPI 4.1 leaks in every rank; what leaks of ours the unit tests show.
        surroundings.setdefault("ASAN_OPTIONS", "detect_leaks=0")
        surroundings.update(env or {})
        with open(self.path("log"), "wb") as log:
            return subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                    env=surroundings)

    def run(self, **options):
        """One attempt to its end; returns mpirun's exit code."""
        return self.start(**options).wait(timeout=TIMEOUT_S)

    def log(self):
        return self.path("log").read_text(errors="replace")

    def outcome(self):
        return json.loads(self.path("outcome.json").read_text())

    def failure(self):
        """The failure of any rank."""
        for name in sorted(glob.glob(str(self.path("failure-*.json")))):
            return json.loads(pathlib.Path(name).read_text())
        raise AssertionError("no failure was recorded:\n" + self.log())

    def rows(self):
        """{epoch: metrics}; a row that came twice must be the same."""
        found = {}
        for line in (self.folder / "epochs.jsonl").read_text().splitlines():
            try:
                row = json.loads(line)
            except ValueError:
                continue  # cut off by a crash
            known = found.setdefault(row["epoch"], row["metrics"])
            assert known == row["metrics"], line
        return found

    def result(self):
        return self.outcome()["weights_sha256"], self.rows()

    def ranks(self):
        """Pids of the attempt's living workers."""
        pids = []
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                argv = pathlib.Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argv[0] == str(WORKER).encode() and str(self.folder).encode() in argv:
                pids.append(int(entry))
        return pids


class WorkerTest(unittest.TestCase):
    reference = None

    @classmethod
    def setUpClass(cls):
        job = Job()
        try:
            assert job.run() == 0, job.log()
            cls.reference = job.result()
        finally:
            job.close()

    def job(self, sets=(), text=TINY):
        job = Job(sets, text)
        self.addCleanup(job.close)
        return job

    def finish(self, job, **options):
        """Runs to a successful end."""
        code = job.run(**options)
        self.assertEqual(0, code, job.log())
        return job.result()

    def until(self, condition, process):
        end = time.monotonic() + TIMEOUT_S
        while not condition() and process.poll() is None:
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.005)


class SameBits(WorkerTest):
    def test_ranks_lanes_and_threads(self):
        for ranks, lanes, threads in ((1, 4, "1"), (2, 1, "2"), (2, 2, "7"), (3, 1, "1"),
                                      (4, 1, "2"), (1, 3, "7")):
            with self.subTest(ranks=ranks, lanes=lanes, OMP_NUM_THREADS=threads):
                self.assertEqual(self.reference, self.finish(
                    self.job(), ranks=ranks, lanes=lanes, env={"OMP_NUM_THREADS": threads}))

    def test_messages_as_between_hosts(self):
        for ranks in (2, 3):
            with self.subTest(ranks=ranks):
                job = self.job()
                self.assertEqual(self.reference, self.finish(
                    job, ranks=ranks, env={"CAMBRIAN_COLLECTIVES": "messages"}))
                self.assertIn("(messages)", job.log())

    def test_steps_allocate_nothing(self):
        job = self.job()
        self.assertEqual(self.reference, self.finish(
            job, ranks=2, lanes=2, env={"CAMBRIAN_TEST_NO_ALLOC": "1"}))
        norms = ["optimizer={lars: {lr: 0.1, clip_norm: 1, warmup: 5}}", "train.on_nan=rollback"]
        self.finish(self.job(norms), ranks=2, lanes=2,
                    env={"CAMBRIAN_TEST_NO_ALLOC": "1", "CAMBRIAN_TEST_NAN": "13x1"})

    def test_other_seed_and_fewer_epochs(self):
        digest = self.reference[0]
        self.assertNotEqual(digest, self.finish(self.job(["train.seed=8"]))[0])
        fewer = self.finish(self.job(["train.epochs=2"]))
        self.assertNotEqual(digest, fewer[0])
        self.assertEqual({k: v for k, v in self.reference[1].items() if k <= 2}, fewer[1])


class Memory(WorkerTest):
    # Wide enough that what libraries take on the side is small beside it.
    TEXT = """\
name: memory
kind: gan
data: {format: glyphs, count: 1024, seed: 1}
model:
  latent: 100
  generator:
    - dense: {units: 6272, activation: relu}
    - reshape: [7, 7, 128]
    - conv2d_transpose: {filters: 64, kernel: 4, stride: 2, padding: same, norm: batch, activation: relu}
    - conv2d_transpose: {filters: 1, kernel: 4, stride: 2, padding: same, activation: tanh}
  discriminator:
    - conv2d: {filters: 64, kernel: 4, stride: 2, padding: same, activation: leaky_relu}
    - conv2d: {filters: 128, kernel: 4, stride: 2, padding: same, norm: batch, activation: leaky_relu}
    - flatten
    - dense: {units: 1}
loss: non_saturating
optimizer: {adam: {lr: 2e-4, beta1: 0.5}}
train: {epochs: 1, batch: 1024, shards: 4, seed: 1}
"""

    @unittest.skipIf(SLOW > 1, "sanitizers keep memory of their own")
    def test_a_rank_holds_what_check_says(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                sets = [f"resources.ranks={ranks}"]
                job = self.job(sets, self.TEXT)
                checked = subprocess.run(
                    [BUILD / "client" / "cambrian", "check", job.folder / "job.yaml", "--json",
                     "--set", sets[0]], stdout=subprocess.PIPE, check=True)
                figures = json.loads(checked.stdout)
                self.finish(job, ranks=ranks, lanes=figures["lanes"],
                            env={"CAMBRIAN_TEST_MEMORY": "1"})
                held = int(job.log().split("rank 0: peak memory")[1].split()[2])
                self.assertLess(abs(held / figures["rank_bytes"] - 1), 0.05,
                                f"{held} bytes held, {figures['rank_bytes']} planned")


COUNTER = BUILD / "tests" / "system" / "count_malloc.so"


@unittest.skipIf(SLOW > 1, "sanitizers replace malloc themselves")
class LibraryAllocations(WorkerTest):
    """P7: what libraries ask of the heap a step is bounded, known by name, and does not grow."""

    def counts(self, text, steps, batch):
        """{library: requests} of a run of so many steps in one epoch."""
        job = self.job([f"data.count={steps * batch}", "train.epochs=1",
                        "checkpoint.every=1 epoch"], text)
        found = job.folder / "counts"
        self.finish(job, env={"LD_PRELOAD": str(COUNTER), "COUNT_MALLOC_FILE": str(found)})
        counts = {}
        lines = [line.split() for line in found.read_text().splitlines()]
        workers = {pid for pid, library, _, _ in lines if library == "cambrian-worker"}
        for pid, library, requests, _ in lines:
            if pid in workers:
                counts[library] = counts.get(library, 0) + int(requests)
        return counts

    def per_step(self, text, batch, first, second):
        few, many = self.counts(text, first, batch), self.counts(text, second, batch)
        return {library: (many[library] - few.get(library, 0)) / (second - first)
                for library in many if many[library] - few.get(library, 0) > (second - first) / 20}

    def test_libraries_by_name(self):
        found = self.per_step(TINY, 32, 8, 72)
        print("requests a step:", {k: round(v, 1) for k, v in found.items()}, file=sys.stderr)
        for library in found:
            self.assertRegex(library, r"^(libdnnl|libgomp|libstdc\+\+)")
        self.assertLess(sum(found.values()), 1000)

    def test_flat_over_10000_steps(self):
        text = """\
name: flat
kind: gan
data: {format: glyphs, count: 64, seed: 3}
model:
  latent: 4
  generator: [{dense: {units: 784, activation: tanh}}, {reshape: [28, 28, 1]}]
  discriminator: [flatten, {dense: {units: 1}}]
loss: minimax
optimizer: {sgd: {lr: 1e-4}}
train: {epochs: 1, batch: 2, shards: 2, seed: 7}
"""
        early = self.per_step(text, 2, 1000, 3000)
        late = self.per_step(text, 2, 3000, 10000)
        self.assertEqual(set(early), set(late))
        for library, requests in early.items():
            self.assertAlmostEqual(requests, late[library], delta=0.05 * requests + 0.05)


class Interrupted(WorkerTest):
    def test_a_killed_rank_at_random_steps(self):
        chance = random.Random(5)
        sets = ["train.epochs=12", "checkpoint.every=5 steps", "checkpoint.keep_last=2"]
        expected = self.finish(self.job(sets))
        job = self.job(sets)
        kills = 0
        while True:
            ranks = chance.choice((1, 2, 3))
            known = job.checkpoints()
            process = job.start(ranks=ranks, resume=known[-1] if known else None)
            wanted = chance.randrange(1, 4)
            self.until(lambda: len(set(job.checkpoints()) - set(known)) >= min(wanted, 2), process)
            time.sleep(chance.random() * 0.05)
            pids = job.ranks()
            if kills < 4 and pids and process.poll() is None:
                os.kill(chance.choice(pids), signal.SIGKILL)
            code = process.wait(timeout=TIMEOUT_S)
            if code == 0:
                break
            kills += 1
            self.assertLess(job.attempt, 30)
        self.assertGreater(kills, 0)
        self.assertEqual(expected, job.result())
        self.assertLessEqual(len(job.checkpoints()), 2)

    def test_sigterm_saves_and_goes_on(self):
        sets = ["train.epochs=40", "checkpoint.every=1 epoch"]
        job = self.job(sets)
        process = job.start(ranks=2)
        self.until(lambda: len(job.checkpoints()) >= 1, process)
        for pid in job.ranks()[:1]:
            os.kill(pid, signal.SIGTERM)
        self.assertEqual(0, process.wait(timeout=TIMEOUT_S), job.log())
        stopped = job.outcome()
        self.assertEqual("stopped", stopped["outcome"])
        self.assertTrue(job.checkpoints()[-1].endswith(f"step-{stopped['step']:012d}"))
        resumed = self.finish(job, ranks=3, resume=job.checkpoints()[-1])
        self.assertEqual(self.finish(self.job(sets)), resumed)

    def test_a_damaged_newest_checkpoint(self):
        job = self.job(["checkpoint.every=3 steps", "checkpoint.keep_last=3"])
        expected = self.finish(job)
        newest = job.checkpoints()[-1]
        model = job.folder / newest / "model.safetensors"
        damaged = bytearray(model.read_bytes())
        damaged[-3] ^= 1
        model.write_bytes(damaged)
        self.assertEqual(expected, self.finish(job, ranks=2, resume=newest))
        self.assertIn(f"checkpoint {newest} cannot be used", job.log())
        self.assertIn("going on from attempts/1/checkpoints/step-000000000021", job.log())

    def test_every_checkpoint_is_gone(self):
        job = self.job()
        expected = self.finish(job)
        for folder in job.checkpoints():
            (job.folder / folder / "state.json").write_text("{")
        gone = "attempts/1/checkpoints/step-000000000001"
        self.assertEqual(expected, self.finish(job, resume=gone))
        self.assertIn("starting again from step 0", job.log())


class Rollback(WorkerTest):
    """on_nan: rollback; what a test poisons is step 13, in the second epoch of 8 steps."""

    POISON = {"CAMBRIAN_TEST_NAN": "13x2"}

    def rolling(self, sets=()):
        return self.job(["train.on_nan=rollback", "train.anchor_every=3 steps",
                         "optimizer={adam: {lr: 2e-4, beta1: 0.5, warmup: 10}}", *sets])

    def test_same_bits_for_any_ranks(self):
        calm = self.finish(self.rolling())
        job = self.rolling()
        expected = self.finish(job, env=self.POISON)
        self.assertNotEqual(calm[0], expected[0])
        self.assertEqual(calm[1][1], expected[1][1])  # the first epoch had nothing of it
        self.assertEqual(2, job.log().count("rollback "), job.log())
        self.assertIn("rollback 1 of 3 to step 11, learning rates now times 0.5: ", job.log())
        self.assertIn("rollback 2 of 3 to step 11, learning rates now times 0.25: ", job.log())
        # warmed up after 10 steps; lowered in 5 of 8 steps of the second epoch, in all of the third
        self.assertAlmostEqual(2e-4 * (1.9 + 1 + 5 * 0.25) / 8, expected[1][2]["lr_generator"])
        self.assertAlmostEqual(2e-4 * 0.25, expected[1][3]["lr_discriminator"])
        for ranks, env in ((2, {}), (3, {}), (4, {"CAMBRIAN_COLLECTIVES": "messages"})):
            with self.subTest(ranks=ranks, env=env):
                found = self.finish(self.rolling(), ranks=ranks, env=dict(env, **self.POISON))
                self.assertEqual(expected, found)

    def test_back_to_the_first_weights(self):
        sets = ["train.anchor_every=1 epoch"]
        expected = self.finish(self.rolling(sets), env={"CAMBRIAN_TEST_NAN": "5x1"})
        job = self.rolling(sets)
        self.assertEqual(expected, self.finish(job, ranks=2, env={"CAMBRIAN_TEST_NAN": "5x1"}))
        self.assertIn("rollback 1 of 3 to step 0, ", job.log())

    def test_killed_ranks(self):
        """Timed checkpoints, kills before, amid and after the rollbacks: the same weights."""
        sets = ["checkpoint.every=1 steps", "checkpoint.keep_last=1"]
        expected = self.finish(self.rolling(), env=self.POISON)
        job = self.rolling(sets)
        generator = random.Random(5)
        for attempt in range(6):
            newest = job.checkpoints()[-1] if job.checkpoints() else None
            run = job.start(ranks=2, resume=newest, env=self.POISON)
            time.sleep(generator.uniform(0.4, 1.0) * SLOW)
            for pid in job.ranks()[:1]:
                os.kill(pid, signal.SIGKILL)
            run.wait(timeout=TIMEOUT_S)
            if job.path("outcome.json").exists():
                break
        else:
            newest = job.checkpoints()[-1] if job.checkpoints() else None
            self.assertEqual(0, job.run(ranks=2, resume=newest, env=self.POISON), job.log())
        self.assertEqual(expected, job.result())

    def test_resumed_after_a_rollback(self):
        """A checkpoint between two rollbacks holds how many there were."""
        expected = self.finish(self.rolling(), env=self.POISON)
        for at in (12, 14, 20):
            job = self.rolling([f"checkpoint.every={at} steps", "checkpoint.keep_last=30"])
            self.assertEqual(expected, self.finish(job, env=self.POISON))
            folder = next(f for f in job.checkpoints() if f.endswith(f"{at:012}"))
            state = json.loads((job.folder / folder / "state.json").read_text())
            self.assertEqual((2, 0.25), (state["rollbacks"], state["rate_factor"]))
            self.assertEqual(expected, self.finish(job, ranks=2, resume=folder, env=self.POISON))

    def test_too_many(self):
        job = self.job(["train.on_nan={rollback: {factor: 0.1, most: 2}}"])
        self.assertNotEqual(0, job.run(ranks=2, env={"CAMBRIAN_TEST_NAN": "5"}))
        failure = job.failure()
        self.assertEqual(("non-finite", 5), (failure["code"], failure["step"]))
        self.assertRegex(failure["text"], r"^after 2 rollbacks: .* in shard 0 of rank 0")

    def test_an_anchor_that_is_gone(self):
        job = self.rolling(["checkpoint.keep_last=30"])
        self.finish(job)
        newest = next(f for f in job.checkpoints() if f.endswith(f"{12:012}"))
        for folder in job.checkpoints():
            if folder != newest:
                shutil.rmtree(job.folder / folder)
        job.path("outcome.json").unlink()
        self.assertNotEqual(0, job.run(resume=newest, env=self.POISON))
        self.assertIn("going back to step 11", job.failure()["text"])


class Refusals(WorkerTest):
    def failed(self, job, **options):
        self.assertNotEqual(0, job.run(**options), job.log())
        self.assertFalse(job.path("outcome.json").exists())
        return job.failure()

    def test_nan_names_rank_step_and_phase(self):
        failure = self.failed(self.job(), ranks=2, env={"CAMBRIAN_TEST_NAN": "5"})
        self.assertEqual("non-finite", failure["code"])
        self.assertEqual((5, "discriminator"), (failure["step"], failure["phase"]))
        text = failure["text"]
        self.assertRegex(text, r"in shard 0 of rank 0, step 5, phase discriminator; first in "
                               r"operator \w+ of discriminator\.\d+, which gives (nan|-?inf) ")
        shown = list(map(int, re.search(r"samples ([\d, ]+)", text).group(1).split(", ")))
        self.assertEqual(8, len(set(shown)), text)  # of 8 rows a shard
        self.assertTrue(all(0 <= sample < 256 for sample in shown), text)
        others = self.failed(self.job(), ranks=3, env={"CAMBRIAN_TEST_NAN": "5"})
        self.assertEqual(text, others["text"])

    def test_a_mad_learning_rate(self):
        text = TINY.replace("{adam: {lr: 2e-4, beta1: 0.5}}", "{sgd: {lr: 100}}")
        failure = self.failed(self.job(["train.epochs=20"], text), ranks=2)
        self.assertEqual("non-finite", failure["code"])
        self.assertGreater(failure["step"], 0)
        self.assertNotIn("-nan", failure["text"])  # a NaN has no sign worth telling
        self.assertRegex(failure["text"], r" is (nan|-?inf) in shard \d+ of rank \d|once added")

    def idx_job(self):
        text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                            "{format: idx, images: images-idx3-ubyte}")
        job = self.job(text=text)
        header = bytes([0, 0, 8, 3]) + b"".join(n.to_bytes(4, "big") for n in (64, 28, 28))
        pixels = random.Random(1).randbytes(64 * 28 * 28)
        (job.folder / "images-idx3-ubyte").write_bytes(header + pixels)
        return job

    def test_data_changed_between_attempts(self):
        job = self.idx_job()
        expected = self.finish(job)
        images = job.folder / "images-idx3-ubyte"
        os.utime(images, (1, 1))  # another time alone is no other data
        self.assertEqual(expected, self.finish(job))
        content = bytearray(images.read_bytes())
        content[-1] ^= 1
        images.write_bytes(content)
        failure = self.failed(job, ranks=2)
        self.assertEqual("changed", failure["code"])
        self.assertIn("images-idx3-ubyte", failure["text"])

    def test_missing_data(self):
        job = self.idx_job()
        (job.folder / "images-idx3-ubyte").unlink()
        failure = self.failed(job)
        self.assertIn("images-idx3-ubyte", failure["text"])

    def test_another_numeric_profile(self):
        job = self.job()
        self.finish(job)
        profile = json.loads((job.folder / "profile.json").read_text())
        isa, profile["isa"] = profile["isa"], "sve"
        (job.folder / "profile.json").write_text(json.dumps(profile))
        failure = self.failed(job, ranks=2)
        self.assertEqual("other-profile", failure["code"])
        self.assertEqual(f"instruction set {isa} here, the first attempt used sve",
                         failure["text"])

    def test_a_checkpoint_of_another_job(self):
        job = self.job()
        self.finish(job)
        with open(job.folder / "job.yaml", "a", encoding="utf-8") as text:
            text.write("# another text\n")
        failure = self.failed(job, resume=job.checkpoints()[-1])
        self.assertEqual("changed", failure["code"])

    def test_full_disk_while_checkpointing(self):
        job = self.job()
        job.attempt = 1
        full = job.path("checkpoints")
        job.attempt = 0
        full.mkdir(parents=True)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)],
                          stderr=subprocess.DEVNULL, check=False).returncode != 0:
            self.skipTest("no tmpfs can be mounted here")
        try:
            self.assertEqual(self.reference, self.finish(job, ranks=2))
            self.assertIn("training goes on", job.log())
            self.assertIn("No space left", job.log())
            self.assertEqual([], job.checkpoints())
        finally:
            subprocess.run(["umount", str(full)], check=True)


if __name__ == "__main__":
    unittest.main(verbosity=2)
