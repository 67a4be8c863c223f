#!/usr/bin/env python3
"""A rank whose heartbeats go on while it does not is named; what is only slow is not.

Ranks are held at points of proto/hold.h, each job at its own; the three wait at once.
"""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon, ENDED, outcome, until  # noqa: E402

SHORT = ["train.epochs=12"]
LONG = ["train.epochs=100000", "checkpoint.every=100000 epochs", "retry.max=0"]
SLOW_DISK_S = 15  # longer than what a stage has that announces nothing


class Hangs(unittest.TestCase):
    def hold(self, daemon, point, sets):
        """A job whose rank stands at the point, after some steps."""
        folder = daemon.home / point
        folder.mkdir()
        job = daemon.submit(sets=[*sets, f"env.CAMBRIAN_TEST_HOLDS={folder}"])
        daemon.until_step(job, 4)
        (folder / point).touch()
        until(lambda: list(folder.glob(f"{point}.*")), 30, f"a rank stands at {point}")
        return job, time.monotonic()

    def check_named(self, daemon, held, stage, allowed_s):
        job, since = held
        end = daemon.until_state(job, ENDED, allowed_s + 40)
        took_s = time.monotonic() - since
        self.assertEqual(("failed", "timeout", 1),
                         (end["state"], end["error"]["code"], end["error"]["rank"]), end["error"])
        self.assertRegex(end["error"]["text"],
                         rf"^rank 1 hangs: for \d+ s \({allowed_s} s are allowed\) in step \d+, "
                         rf"\w+ {stage}, at collective \d+, where rank 0 waits at \d+$")
        self.assertGreaterEqual(took_s, allowed_s - 1)

    def test_a_stuck_lane_and_loader_are_named_and_a_slow_disk_is_not(self):
        with Daemon(slots=6) as daemon:
            reference = outcome(daemon.finish(daemon.submit(sets=SHORT)))
            disk, since = self.hold(daemon, "checkpoint-written", SHORT)
            lane = self.hold(daemon, "lane-computes", LONG)
            loader = self.hold(daemon, "rank-loads", LONG)
            self.check_named(daemon, lane, "compute", 10)
            left_s = SLOW_DISK_S - (time.monotonic() - since)
            time.sleep(left_s if left_s > 0 else 0)
            shown = daemon.show(disk)
            self.assertEqual(("running", 1), (shown["state"], shown["attempts"]))
            (daemon.home / "checkpoint-written" / "checkpoint-written").unlink()
            end = daemon.finish(disk)
            self.assertEqual(1, end["attempts"], "a slow disk is no hang")
            self.assertEqual(reference, outcome(end))
            self.check_named(daemon, loader, "load", 30)


if __name__ == "__main__":
    unittest.main(verbosity=2)
