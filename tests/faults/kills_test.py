#!/usr/bin/env python3
"""SIGKILL of anything at any time costs no work and changes no bit; nothing survives its job."""
import glob
import json
import os
import pathlib
import random
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon, SLOW, alive, outcome, processes_with, until  # noqa: E402

SEED = int(os.environ.get("CAMBRIAN_TEST_SEED", "1"))
LONG = ["train.epochs=12"]


def kill_all(pids):
    for pid in pids:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


class Kills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.random = random.Random(SEED)
        cls.daemon = Daemon(slots=4)
        cls.daemon.__enter__()
        cls.reference = outcome(cls.daemon.finish(cls.daemon.submit(sets=LONG)))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def started(self):
        job = self.daemon.submit(sets=LONG)
        self.daemon.until_step(job, self.random.randint(1, 40))
        return job

    def check(self, job):
        end = self.daemon.finish(job)
        self.assertEqual(self.reference, outcome(end))
        self.assertEqual(12, len({e["epoch"] for e in end["epochs_done"]}))
        return end

    def kill_one(self, kind):
        job = self.started()
        pids = self.daemon.processes(job)[kind]
        self.assertTrue(pids, f"no {kind} to kill: the job was over")
        kill_all(pids[-1:])
        self.assertGreaterEqual(self.check(job)["attempts"], 2)

    def test_rank(self):
        self.kill_one("worker")

    def test_mpirun(self):
        self.kill_one("mpirun")

    def test_shim(self):
        self.kill_one("shim")

    def test_daemon_in_mid_training(self):
        job = self.started()
        before = self.daemon.processes(job)["worker"]
        self.daemon.kill()
        time.sleep(self.random.uniform(0, 0.3))
        self.daemon.start()
        end = self.check(job)
        self.assertEqual(1, end["attempts"], "training went on")
        self.assertTrue(before)

    def test_daemon_dead_until_the_job_has_ended(self):
        job = self.started()
        self.daemon.kill()
        until(lambda: not processes_with(str(self.daemon.job_dir(job))), 60, "the ranks end alone")
        self.daemon.start()
        end = self.check(job)
        self.assertEqual(1, end["attempts"])

    def test_daemon_and_rank_0_after_a_checkpoint(self):
        job = self.daemon.submit(sets=LONG)
        until(lambda: glob.glob(f"{self.daemon.job_dir(job)}/attempts/1/checkpoints/step-*[0-9]"),
              60, "a checkpoint")
        workers = self.daemon.processes(job)["worker"]
        self.daemon.kill()
        kill_all(sorted(workers)[:1])
        self.daemon.start()
        self.check(job)

    def test_at_points_of_the_launch(self):
        """The daemon dies at drawn instants of the first 400 ms after a submit."""
        for _ in range(6):
            job = self.daemon.submit(sets=LONG)
            time.sleep(self.random.uniform(0, 0.4) * SLOW)
            self.daemon.kill()
            time.sleep(self.random.uniform(0, 0.2))
            self.daemon.start()
            self.check(job)

    def test_shim_at_points_of_the_launch(self):
        for _ in range(4):
            job = self.daemon.submit(sets=LONG)
            pids = until(lambda j=job: self.daemon.processes(j)["shim"], 10, "a shim")
            time.sleep(self.random.uniform(0, 0.3))
            kill_all(pids)
            self.check(job)

    def test_while_a_checkpoint_is_written(self):
        job = self.daemon.submit(sets=LONG + ["checkpoint.every=1 steps"])
        for _ in range(4):
            root = self.daemon.job_dir(job) / "attempts"
            attempt = until(lambda r=root: r.exists() and max(
                (int(p.name) for p in r.iterdir()), default=0), 30, "an attempt")
            until(lambda r=root, a=attempt: glob.glob(f"{r}/{a}/checkpoints/*.tmp") or
                  self.daemon.show(job)["state"] == "succeeded", 30, "a checkpoint being written")
            kill_all(self.daemon.processes(job)["worker"])
            until(lambda r=root, a=attempt: (r / str(a + 1)).exists() or
                  self.daemon.show(job)["state"] == "succeeded", 30, "the next attempt")
        self.assertGreaterEqual(self.check(job)["attempts"], 2, "ranks were killed")


class NothingLeft(unittest.TestCase):
    """Two seconds after the end of an attempt nothing of it is alive or in memory."""

    def setUp(self):
        self.daemon = Daemon(slots=2)
        self.daemon.__enter__()
        self.addCleanup(lambda: self.daemon.__exit__(None, None, None))

    def scratch(self, job):
        order = json.loads((self.daemon.attempt_dir(job) / "attempt.json").read_text())
        return order["scratch"]

    @staticmethod
    def shared_memory():
        # Private folders of other daemons come and go; the job's own is checked by its name.
        places = ("/dev/shm/*", "/tmp/ompi.*", "/tmp/prte*", "/tmp/pmix*")
        return {path for place in places for path in glob.glob(place)
                if not os.path.basename(path).startswith("cambrian-")}

    def check_gone(self, pids, scratch, before):
        time.sleep(2 * SLOW)
        left = [pid for pid in pids if alive(pid)]
        self.assertEqual([], left, "processes left")
        self.assertFalse(os.path.exists(scratch), f"{scratch} is left")
        self.assertEqual(set(), self.shared_memory() - before, "shared memory left")

    def pids(self, job):
        return [pid for group in self.daemon.processes(job).values() for pid in group]

    def run_case(self, hold, act):
        sets = ["train.epochs=2000", "retry.max=0"]
        if hold:
            sets.append("env.CAMBRIAN_TEST_HOLD=before_mpi_init")
        before = self.shared_memory()
        job = self.daemon.submit(sets=sets)
        if hold:
            until(lambda: len(self.daemon.processes(job)["worker"]) == 2, 20, "two held ranks")
        else:
            self.daemon.until_step(job, 2)
        pids, scratch = self.pids(job), self.scratch(job)
        act(job)
        self.check_gone(pids, scratch, before)
        until(lambda: self.daemon.show(job)["state"] not in ("starting", "running", "stopping"), 5,
              "the job has left its slots")
        follower = self.daemon.submit(sets=["train.epochs=1"])
        if self.daemon.show(job)["state"] == "queued":
            self.daemon.client("cancel", job)
        self.daemon.finish(follower)

    def test_cancel(self):
        self.run_case(False, lambda job: self.daemon.client("cancel", job))

    def test_cancel_now(self):
        self.run_case(False, lambda job: self.daemon.client("cancel", "--now", job))

    def test_cancel_held(self):
        self.run_case(True, lambda job: self.daemon.client("cancel", job))

    def test_mpirun(self):
        self.run_case(False, lambda job: kill_all(self.daemon.processes(job)["mpirun"]))

    def test_mpirun_held(self):
        self.run_case(True, lambda job: kill_all(self.daemon.processes(job)["mpirun"]))

    def test_shim(self):
        self.run_case(False, lambda job: kill_all(self.daemon.processes(job)["shim"]))

    def test_shim_held(self):
        self.run_case(True, lambda job: kill_all(self.daemon.processes(job)["shim"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
