#!/usr/bin/env python3
"""Each process that exists at each point of a launch is killed there: same bits, nothing left.

proto/hold.h stops the process that comes to an armed point and names it; so every kill hits the
point it is meant for, and no case takes a sleep.  CASES is the whole test: one row a kill.
"""
import os
import pathlib
import signal
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import SLOW, Daemon, alive, outcome, until  # noqa: E402

LONG = ["train.epochs=4", "data.count=160", "checkpoint.every=2 steps"]
SHORT = ["train.epochs=2", "data.count=64", "checkpoint.every=1 steps"]

# How the attempts before the successful one end: (cause, counted against retry.max).
UNBEGUN = [("never-started", 0)]
KILLED = [("signal", 1)]
NONE = []

# What is done at a point, in words that Case.do knows, and which attempts come before the good one.
#   kill X        SIGKILL of X: daemon, shim, mpirun, rank, or held: whoever is stopped there
#   start         a new daemon, which is waited for
#   see           the daemon has judged the attempt: runs, or proved dead
#   release       the point is passed
CASES = [
    ("row-committed", "kill daemon, release, start", UNBEGUN),
    ("files-written", "kill daemon, release, start", UNBEGUN),
    ("files-written", "release", NONE),

    ("shim-spawned", "kill shim, release", UNBEGUN),
    ("shim-spawned", "kill daemon, release, start", NONE),
    ("shim-spawned", "kill daemon, start, see, release", UNBEGUN),
    ("shim-spawned", "kill daemon, kill shim, release, start", UNBEGUN),

    ("lock-taken", "kill shim, release", UNBEGUN),
    ("lock-taken", "kill daemon, release, start", NONE),
    ("lock-taken", "kill daemon, start, release", NONE),
    ("lock-taken", "kill daemon, start, see, release", UNBEGUN),
    ("lock-taken", "kill daemon, kill shim, release, start", UNBEGUN),

    ("void-checked", "kill shim, release", UNBEGUN),
    ("void-checked", "kill daemon, start, release", NONE),
    ("void-checked", "kill daemon, kill shim, release, start", UNBEGUN),

    ("shim-recorded", "kill shim, release", KILLED),
    ("shim-recorded", "kill daemon, start, see, release", NONE),
    ("shim-recorded", "kill daemon, start, see, kill shim, release", KILLED),
    ("shim-recorded", "kill daemon, kill shim, release, start", KILLED),

    ("mpirun-forked", "kill held, release", KILLED),
    ("mpirun-forked", "kill shim, release", KILLED),
    ("mpirun-forked", "kill shim, see, release", KILLED),
    ("mpirun-forked", "kill daemon, start, see, release", NONE),
    ("mpirun-forked", "kill daemon, kill held, release, start", KILLED),
    ("mpirun-forked", "kill daemon, kill shim, release, start", KILLED),
    ("mpirun-forked", "kill daemon, kill shim, start, see, release", KILLED),

    ("before-mpi-init", "kill rank, release", KILLED),
    ("before-mpi-init", "kill mpirun, release", KILLED),
    ("before-mpi-init", "kill shim, release", KILLED),
    ("before-mpi-init", "kill daemon, start, see, release", NONE),
    ("before-mpi-init", "kill daemon, kill rank, release, start", KILLED),
    ("before-mpi-init", "kill daemon, kill mpirun, release, start", KILLED),
    ("before-mpi-init", "kill daemon, kill shim, release, start", KILLED),

    # The weights are there: whatever dies now, the attempt has succeeded.
    ("family-ended", "kill shim, release", NONE),
    ("family-ended", "kill daemon, release, start", NONE),
    ("family-ended", "kill daemon, kill shim, release, start", NONE),
    ("exit-recorded", "kill shim, release", NONE),
    ("exit-recorded", "kill daemon, start, see, release", NONE),
    ("exit-recorded", "kill daemon, kill shim, release, start", NONE),
    ("end-found", "kill daemon, release, start", NONE),
]
# The same where a checkpoint is there, at the next attempt (or, past the ranks, at this one's end).
AGAIN = [
    ("row-committed", "kill daemon, release, start", UNBEGUN),
    ("files-written", "kill daemon, release, start", UNBEGUN),
    ("shim-spawned", "kill daemon, start, see, release", UNBEGUN),
    ("void-checked", "kill shim, release", UNBEGUN),
    ("shim-recorded", "kill daemon, kill shim, release, start", KILLED),
    ("mpirun-forked", "kill shim, see, release", KILLED),
    ("before-mpi-init", "kill daemon, kill rank, release, start", KILLED),
    ("family-ended", "kill daemon, kill shim, release, start", NONE),
    ("end-found", "kill daemon, release, start", NONE),
]
RANKS = 2
HELD = {"before-mpi-init": RANKS}  # else one


def marked(scratch):
    """Living processes that were started for the attempt with this private folder."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and alive(int(entry)):
                environment = pathlib.Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
                if f"CAMBRIAN_SCRATCH={scratch}".encode() in environment:
                    found.append(int(entry))
        except OSError:
            pass
    return found


class Points(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="cambrian-holds-")
        cls.holds = pathlib.Path(cls.folder.name)
        cls.daemon = Daemon(slots=RANKS, env={"CAMBRIAN_TEST_HOLDS": str(cls.holds)})
        cls.daemon.__enter__()
        cls.reference = {tuple(sets): outcome(cls.daemon.finish(cls.daemon.submit(sets=sets)))
                         for sets in (SHORT, LONG)}

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())
        cls.folder.cleanup()

    def held(self, point):
        """Living processes that wait there."""
        pids = (int(path.name.rsplit(".", 1)[1]) for path in self.holds.glob(f"{point}.*"))
        return [pid for pid in pids if alive(pid)]

    def attempts(self, job):
        """[(cause, counted, scratch)] as stored; the cause of an open one is empty."""
        path = next(self.daemon.state.glob("*.db"))
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT cause, counted, scratch FROM attempts "
                                    "WHERE job_id = ? ORDER BY attempt", (job,)).fetchall()
        database.close()
        return rows

    def kill(self, who, point, job):
        if who == "daemon":
            self.daemon.kill()
            return
        held = self.held(point)
        kinds = self.daemon.processes(job)
        # Before it becomes mpirun the child has the shim's command line.
        kinds["shim"] = [pid for pid in kinds["shim"] if point != "mpirun-forked" or
                         pid not in held]
        kinds["held"], kinds["rank"] = held, kinds["worker"]
        self.assertTrue(kinds[who], f"no {who} to kill")
        os.kill(kinds[who][-1], signal.SIGKILL)
        until(lambda: not alive(kinds[who][-1]), 5, f"{who} is dead")

    def see(self, job, logged):
        """The daemon says that the attempt runs, or that nothing of it is left."""
        path = self.daemon.home / "daemon.log"
        def told():
            lines = path.read_text()[logged:].split("\n")
            return any(f"job={job} attempt=" in line and
                       (line.endswith("of an earlier daemon runs") or " ended exit=" in line)
                       for line in lines)
        until(told, 10, f"the daemon judges job {job}")

    def submit_again(self, point):
        """A job that has a checkpoint and whose ranks die; then it comes to the point."""
        job = self.daemon.submit(sets=LONG)
        def ranks():
            found = self.daemon.processes(job)["worker"]
            return found if len(found) == RANKS else None
        pids = until(ranks, 20, "the ranks")
        until(lambda: list(self.daemon.job_dir(job).glob("attempts/1/checkpoints/step-*[0-9]")),
              20, "a checkpoint")
        (self.holds / point).touch()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return job

    def run_case(self, point, acts, expected, again=False):
        sets = LONG if again else SHORT
        if again:
            job = self.submit_again(point)
            expected = KILLED + expected
        else:
            (self.holds / point).touch()
            job = self.daemon.submit(sets=sets)
        until(lambda: len(self.held(point)) == HELD.get(point, 1), 20, f"{point} is reached")
        log = self.daemon.home / "daemon.log"
        logged = log.stat().st_size
        for act in acts.split(", "):
            verb, _, who = act.partition(" ")
            if verb == "kill":
                self.kill(who, point, job)
                logged = log.stat().st_size if who == "daemon" else logged
            elif verb == "start":
                self.daemon.start()
            elif verb == "see":
                self.see(job, logged)
            else:
                (self.holds / point).unlink()
        end = self.daemon.finish(job)
        self.assertEqual(self.reference[tuple(sets)], outcome(end))
        self.assertEqual(list(range(1, end["epochs"] + 1)),
                         [row["epoch"] for row in end["epochs_done"]])
        rows = self.attempts(job)
        self.assertEqual(expected + [("succeeded", 0)], [row[:2] for row in rows])
        self.assertEqual(len(rows), end["attempts"])
        for _, _, scratch in rows:
            until(lambda s=scratch: not marked(s), 2, f"no process of {scratch} is left")
            self.assertFalse(os.path.exists(scratch), f"{scratch} is left")
        self.assertIn(f"{RANKS}, {RANKS} free", self.daemon.client("status").stdout)
        for path in self.holds.iterdir():  # of those that were killed
            path.unlink()


def add_case(number, again, point, acts, expected):
    def test(self):
        self.run_case(point, acts, expected, again)
    name = f"test_{'again_' if again else ''}{number:02d}_{point}__{acts}"
    setattr(Points, name.replace("-", "_").replace(", ", "__").replace(" ", "_"), test)


# Where everything is slow (sanitizers), one case a point.
SEEN = set()
for index, row in enumerate(CASES):
    if SLOW == 1 or row[0] not in SEEN:
        add_case(index, False, *row)
    SEEN.add(row[0])
for index, row in enumerate(AGAIN if SLOW == 1 else []):
    add_case(index, True, *row)


if __name__ == "__main__":
    unittest.main(verbosity=2)
