#!/usr/bin/env python3
"""A later attempt has the numeric profile of the first, or waits and says for what."""
import os
import signal
import subprocess
import sys
import pathlib
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, Daemon, outcome, until  # noqa: E402

LONG = ["train.epochs=12", "retry.max=1"]
WAITS = "waits: test late here, the first attempt used none"


class AnotherProfile(unittest.TestCase):
    def run_and_kill(self, daemon, before_kill):
        """A job with a checkpoint, whose first attempt loses a rank after before_kill()."""
        job = daemon.submit(sets=LONG)
        daemon.until_step(job, 6)
        before_kill()
        os.kill(daemon.processes(job)["worker"][-1], signal.SIGKILL)
        return job

    def check_waiting(self, daemon, job, attempts):
        until(lambda: daemon.show(job)["reason"] == WAITS, 20,
              f"it waits: {daemon.show(job)['state']} {daemon.show(job)['reason']}")
        shown = daemon.show(job)
        self.assertEqual(("queued", attempts, None),
                         (shown["state"], shown["attempts"], shown["error"]))
        self.assertEqual([WAITS], [j["reason"] for j in daemon.queue() if j["id"] == job])
        self.assertIn(WAITS, daemon.client("show", job).stdout)
        self.assertIn(WAITS, daemon.client("queue").stdout)
        with subprocess.Popen([str(BUILD / "client" / "cambrian"), "watch", str(job)],
                              stdout=subprocess.PIPE, text=True, env=daemon.env) as watch:
            self.assertIn(WAITS, watch.stdout.readline())
            watch.kill()

    def test_the_daemon_finds_it_out(self):
        with Daemon(slots=2) as daemon:
            reference = outcome(daemon.finish(daemon.submit(sets=LONG)))

            def upgrade():
                daemon.stop()
                daemon.env["CAMBRIAN_TEST_PROFILE"] = "late"
                daemon.start()

            job = self.run_and_kill(daemon, upgrade)
            self.check_waiting(daemon, job, 1)
            # Nobody waits behind it, and one that begins here is of this host.
            other = daemon.finish(daemon.submit(sets=["train.epochs=1"]))
            self.assertEqual("late", other["numeric_profile"]["test"])
            self.assertEqual(1, other["attempts"])
            second = self.run_and_kill(daemon, lambda: None)
            self.assertEqual(2, daemon.finish(second)["attempts"], "of this host itself")
            daemon.stop()
            del daemon.env["CAMBRIAN_TEST_PROFILE"]
            daemon.start()
            end = daemon.finish(job)
            self.assertEqual(2, end["attempts"])
            self.assertEqual(reference, outcome(end))

    def test_it_is_cancelled_while_it_waits(self):
        with Daemon(slots=2) as daemon:
            def upgrade():
                daemon.stop()
                daemon.env["CAMBRIAN_TEST_PROFILE"] = "late"
                daemon.start()

            job = self.run_and_kill(daemon, upgrade)
            self.check_waiting(daemon, job, 1)
            daemon.client("cancel", job)
            self.assertEqual("cancelled", daemon.show(job)["state"])
            daemon.client("resume", job)
            self.check_waiting(daemon, job, 1)

    def test_only_the_ranks_find_it_out(self):
        """The worker is replaced between the daemon's question and the ranks' start."""
        with Daemon(slots=2) as daemon:
            reference = outcome(daemon.finish(daemon.submit(sets=LONG)))
            late = daemon.home / "late"
            libexec = daemon.home / "libexec"
            libexec.mkdir()
            wrapper = libexec / "cambrian-worker"
            wrapper.write_text("#!/bin/sh\n"
                               f"[ \"$1\" = --profile ] || [ ! -e '{late}' ] ||"
                               " export CAMBRIAN_TEST_PROFILE=late\n"
                               f"exec '{BUILD}/worker/cambrian-worker' \"$@\"\n")
            wrapper.chmod(0o755)
            daemon.stop()
            daemon.env["CAMBRIAN_LIBEXEC"] = str(libexec)
            daemon.start()
            job = self.run_and_kill(daemon, late.touch)
            self.check_waiting(daemon, job, 2)
            self.assertIn("other-profile", str(daemon.events(job)))
            late.unlink()
            daemon.stop()
            daemon.start()
            end = daemon.finish(job)  # what the ranks found did not count: retry.max is 1
            self.assertEqual(3, end["attempts"])
            self.assertEqual(reference, outcome(end))


if __name__ == "__main__":
    unittest.main(verbosity=2)
