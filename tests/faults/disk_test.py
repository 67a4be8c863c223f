#!/usr/bin/env python3
"""A full disk, under checkpoints and under the database, costs no acknowledged job and no bit."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon, outcome, until  # noqa: E402

LONG = ["train.epochs=30", "retry.backoff=1s"]


class SmallDisk:
    """A file system of its own, as a tmpfs of a few MiB."""

    def __init__(self, mebibytes):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="cambrian-disk-"))
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "cambrian-test",
                        self.path], check=True, capture_output=True)

    def fill(self):
        """Leaves no byte: whole blocks first, then what a last partial one takes."""
        with open(self.path / "filler", "ab", buffering=0) as filler:
            for size in (65536, 4096, 1):
                try:
                    while True:
                        filler.write(b"\0" * size)
                except OSError:
                    pass

    def free(self):
        (self.path / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "-l", self.path], check=True)
        self.path.rmdir()


@unittest.skipIf(os.geteuid() != 0, "only root can mount a small disk")
class FullDisk(unittest.TestCase):
    def small_disk(self, mebibytes):
        try:
            disk = SmallDisk(mebibytes)
        except subprocess.CalledProcessError as error:
            self.skipTest(f"no tmpfs can be mounted here: {error.stderr.decode().strip()}")
        self.addCleanup(disk.close)
        return disk

    def test_under_checkpoints(self):
        with Daemon(slots=2) as daemon:
            reference = outcome(daemon.finish(daemon.submit(sets=LONG)))
        disk = self.small_disk(16)
        with Daemon(slots=2, jobs_dir=disk.path / "jobs") as daemon:
            job = daemon.submit(sets=LONG)
            daemon.until_step(job, 5)
            disk.fill()
            until(lambda: any("space" in (e["text"] or "")
                              for e in daemon.events(job)), 30, "an event names the full disk")
            disk.free()
            self.assertEqual(reference, outcome(daemon.finish(job)))
            told = [e["text"] for e in daemon.events(job)
                    if e["kind"] == "warning" and "checkpoint" in e["text"]]
            again = [e["text"] for e in daemon.events(job) if "works again" in (e["text"] or "")]
            self.assertLessEqual(len(told), len(again) + 1, "one event an episode: " + str(told))

    def test_before_the_launch(self):
        disk = self.small_disk(8)
        with Daemon(slots=2, jobs_dir=disk.path / "jobs") as daemon:
            disk.fill()
            job = daemon.submit(sets=["retry.max=1", "retry.backoff=100ms"])
            end = daemon.until_state(job, ("succeeded", "failed"), 30)
            self.assertEqual(("failed", "disk-full"), (end["state"], end["error"]["code"]))
            self.assertEqual(2, end["attempts"], "tried again after the backoff")
            disk.free()
            daemon.client("resume", job)
            daemon.finish(job)

    def test_under_the_database(self):
        disk = self.small_disk(24)
        with Daemon(slots=2, state_dir=disk.path / "state",
                    jobs_dir=pathlib.Path(tempfile.mkdtemp(prefix="cambrian-test-"))) as daemon:
            runs = daemon.submit(sets=["train.epochs=60"])
            daemon.until_state(runs, "running")
            kept = [daemon.submit(args=["--hold"]) for _ in range(20)]
            disk.fill()
            message = ""
            for _ in range(200):  # pages that the log has already may take a few more
                done = daemon.client("submit", daemon.home / "job.yaml", "--hold", check=False)
                if done.returncode != 0:
                    message = done.stderr
                    break
                kept.append(int(done.stdout))
            self.assertIn("disk full", message)
            self.assertIn("disk", daemon.client("status").stdout)
            daemon.finish(runs)
            disk.free()
            until(lambda: daemon.client("submit", daemon.home / "job.yaml", "--hold",
                                        check=False).returncode == 0, 20, "submits are taken again")
            daemon.kill()
            daemon.start()
            rows = {row["id"]: row["state"] for row in daemon.queue()}
            self.assertEqual([], [job for job in kept if rows.get(job) != "held"])
            self.assertEqual("succeeded", rows[runs])


if __name__ == "__main__":
    unittest.main(verbosity=2)
