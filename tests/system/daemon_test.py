#!/usr/bin/env python3
"""The daemon under kills, refusals and bad peers; its ranks report and compute nothing."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, ENDED, SLOW, TINY, Daemon, processes_with, until  # noqa: E402

SUPPORT = BUILD / "tests" / "support"
LOAD = SUPPORT / "submit_load"
FAKE = {"CAMBRIAN_LIBEXEC": str(SUPPORT)}
# 100 kills are the acceptance test; a short run keeps the suite quick.
KILLS = int(os.environ.get("CAMBRIAN_TEST_KILLS", "25"))


def fake(**env):
    """--set pairs that steer the fake worker."""
    return [f"env.{name}={value}" for name, value in env.items()]


def ended(daemon, job):
    """The job once it has ended, however it did."""
    until(lambda: daemon.show(job)["state"] in ENDED, 40, f"job {job} has ended")
    return daemon.show(job)


def frame(body):
    return struct.pack("<I", len(body)) + body


def hello(version):
    message = b"\x08" + bytes([version]) + b"\x12\x04test"
    return frame(b"\x12" + bytes([len(message)]) + message)


STATUS = frame(b"\x08\x07" + b"\xea\x01\x00")  # request_id 7, status_request {}


class Peer:
    """A client that may be as bad as it likes."""

    def __init__(self, daemon):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20 * SLOW)
        self.socket.connect(str(daemon.socket))

    def __del__(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def receive(self):
        """The next frame's bytes, or None when the daemon has hung up."""
        data = b""
        while len(data) < 4 or len(data) < 4 + struct.unpack("<I", data[:4])[0]:
            piece = self.socket.recv(1 if len(data) < 4 else 4 + struct.unpack("<I", data[:4])[0]
                                     - len(data))
            if not piece:
                return None
            data += piece
        return data[4:]


class Kills(unittest.TestCase):
    def test_acknowledged_submits_survive_kills(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.write(TINY)
            acks = daemon.home / "acks"
            chance = random.Random(20)
            load = subprocess.Popen([LOAD, daemon.socket, job, "8", "100000", acks],
                                    stdout=subprocess.DEVNULL)
            try:
                for _ in range(KILLS):
                    time.sleep(chance.uniform(0.005, 0.12) * SLOW)
                    daemon.kill()
                    daemon.start()
                self.assertIsNone(load.poll(), "no submit was refused")
            finally:
                load.kill()
                load.wait()
            self.assertGreater(len(acks.read_text().splitlines()), KILLS)
            # The last line may be cut off where the load itself was killed.
            whole = acks.read_text().rsplit("\n", 1)[0] + "\n"
            acks.write_text(whole)
            done = subprocess.run([LOAD, "--verify", daemon.socket, job, acks],
                                  capture_output=True, text=True)
            self.assertEqual(0, done.returncode, done.stdout + done.stderr)
            database = sqlite3.connect(f"file:{daemon.state}/queue.db?mode=ro", uri=True)
            jobs, keys = database.execute(
                "SELECT count(*), count(DISTINCT request_key) FROM jobs").fetchone()
            self.assertEqual(jobs, keys, "no job is there twice")
            self.assertGreaterEqual(jobs, len(whole.splitlines()))
            wrong = database.execute(
                "SELECT count(*) FROM job_counts AS c WHERE count <> "
                "(SELECT count(*) FROM jobs WHERE state = c.state)").fetchone()[0]
            self.assertEqual(0, wrong, "counters are right")
            database.close()
            shutil.rmtree(daemon.state)  # held jobs by the thousand: nothing to cancel one by one

    def test_training_goes_on_without_the_daemon(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=150, FAKE_STEP_MS=20))
            for _ in range(3):
                daemon.until_state(job, "running")
                time.sleep(0.5)
                daemon.kill()
                daemon.start()
            end = daemon.finish(job)
            self.assertEqual(("succeeded", 1), (end["state"], end["attempts"]))
            self.assertEqual(list(range(1, 16)), [e["epoch"] for e in end["epochs_done"]])

    def test_a_job_that_ended_meanwhile(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=60))
            daemon.until_state(job, "running")
            daemon.kill()
            time.sleep(1.5 * SLOW)
            daemon.start()
            end = daemon.finish(job)
            self.assertEqual(("succeeded", 1, 6),
                             (end["state"], end["attempts"], len(end["epochs_done"])))

    def test_a_cancel_is_asserted_again(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=5000, FAKE_STEP_MS=50))
            daemon.until_state(job, "running")
            daemon.client("cancel", job)
            daemon.kill()
            daemon.start()
            self.assertEqual("cancelled", ended(daemon, job)["state"])

    def test_a_rank_under_sigstop_is_named(self):
        with Daemon(slots=2, env=FAKE, args=["--silent-limit", "3"]) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=5000) + ["retry.max=0"])
            daemon.until_step(job, 20)
            ranks = [pid for pid, argv in processes_with(f"{daemon.jobs}/").items()
                     if argv[0].endswith("cambrian-worker")]
            os.kill(ranks[-1], signal.SIGSTOP)
            end = ended(daemon, job)
            self.assertEqual(("failed", "timeout"), (end["state"], end["error"]["code"]))
            self.assertRegex(end["error"]["text"], r"rank \d hangs: no heartbeat for")

    def test_drain_saves_and_ends(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=300, FAKE_STEP_MS=20))
            daemon.until_step(job, 10)
            subprocess.run([*daemon.command(), "--drain"], env=daemon.env, check=True,
                           timeout=30 * SLOW)
            self.assertEqual(0, daemon.process.wait(timeout=10))
            daemon.start()
            end = daemon.finish(job)
            self.assertEqual(("succeeded", 2), (end["state"], end["attempts"]))
            self.assertIn("drained", json.dumps(daemon.events(job)))


class FormerJobs(unittest.TestCase):
    """A folder that another job left under a new job's number is never read as the new one's."""

    def run_one(self, daemon, steps):
        job = daemon.submit(sets=fake(FAKE_STEPS=steps))
        return job, daemon.finish(job)

    def test_a_new_database_over_an_old_jobs_folder(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            self.run_one(daemon, 20)
            daemon.stop()
            for file in daemon.state.glob("queue.db*"):
                file.unlink()
            (daemon.jobs / "queue.json").unlink()  # as an earlier release left it
            done = subprocess.run(daemon.command(), env=daemon.env, capture_output=True, text=True,
                                  timeout=20 * SLOW)
            self.assertEqual(1, done.returncode)
            self.assertIn(f"jobs folder {daemon.jobs} belongs to another queue", done.stderr)
            daemon.jobs.rename(daemon.home / "old-jobs")
            daemon.start()
            job, end = self.run_one(daemon, 40)
            self.assertEqual((1, 4), (job, len(end["epochs_done"])))

    def test_a_backup_of_the_database(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            early, _ = self.run_one(daemon, 20)
            daemon.stop()
            backup = (daemon.state / "queue.db").read_bytes()
            daemon.start()
            lost, _ = self.run_one(daemon, 20)
            daemon.stop()
            for file in daemon.state.glob("queue.db*"):
                file.unlink()
            (daemon.state / "queue.db").write_bytes(backup)
            daemon.start()
            job, end = self.run_one(daemon, 60)
            self.assertEqual(lost, job, "its number is given again")
            self.assertEqual((1, 6), (end["attempts"], len(end["epochs_done"])))
            warnings = [e["text"] for e in daemon.events(job) if e["kind"] == "warning"]
            self.assertEqual(1, len(warnings), warnings)
            self.assertIn("of another job: moved aside", warnings[0])
            aside = list(daemon.jobs.glob(f"{job}.stale-*"))
            self.assertEqual(1, len(aside))
            self.assertTrue((aside[0] / "attempts/1/outcome.json").exists(), "all is kept")
            self.assertEqual([], list(daemon.jobs.glob(f"{early}.stale-*")))

    def test_a_kill_before_the_folder_is_claimed(self):
        """The row is there, its folder is still the former job's: the next daemon does not read it."""
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=20), args=["--hold"])
            daemon.stop()
            database = sqlite3.connect(daemon.state / "queue.db")
            with database:
                database.execute("UPDATE jobs SET state = 'starting', attempt = 1, attempt_ranks = 2")
                database.execute("INSERT INTO attempts (job_id, attempt, ranks, scratch, "
                                 "started_at_ms) VALUES (?, 1, 2, ?, 1)",
                                 (job, f"/dev/shm/cambrian-none-{os.getpid()}"))
            database.close()
            former = daemon.jobs / str(job) / "attempts" / "1"
            former.mkdir(parents=True)
            (former.parents[1] / "job.json").write_text(json.dumps(
                {"id": job, "file_name": "x", "base_dir": "/", "set": [], "queue": "another",
                 "submitted_at_ms": 1}))
            (former / "exit.json").write_text(json.dumps(
                {"exit_code": 0, "signal": 0, "timed_out": False, "stop_killed": False,
                 "elapsed_ms": 1, "ended_at_ms": 1, "text": ""}))
            (former / "outcome.json").write_text(json.dumps(
                {"outcome": "succeeded", "weights_sha256": "f" * 64, "step": 1, "model": "m"}))
            daemon.start()
            end = daemon.finish(job)
            self.assertEqual((2, 2), (end["attempts"], len(end["epochs_done"])))
            self.assertEqual(1, len(list(daemon.jobs.glob(f"{job}.stale-*"))))


class LongJobs(unittest.TestCase):
    def test_more_epochs_than_a_frame_holds(self):
        count = 30000
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(args=["--hold"])
            daemon.client("cancel", job)
            daemon.stop()
            metrics = json.dumps({f"loss_{i}": i / 7 for i in range(8)})
            database = sqlite3.connect(daemon.state / "queue.db")
            with database:
                database.executemany(
                    "INSERT INTO epochs (job_id, epoch, attempt, steps, seconds, samples_per_s, "
                    "metrics) VALUES (?, ?, 1, 1, 1.0, 1.0, ?)",
                    [(job, epoch, metrics) for epoch in range(1, count + 1)])
                database.execute("UPDATE jobs SET epochs_finished = ?, epochs = ? WHERE id = ?",
                                 (count, count, job))
            database.close()
            daemon.start()
            self.assertEqual(list(range(1, count + 1)),
                             [e["epoch"] for e in daemon.show(job)["epochs_done"]])
            lines = daemon.client("watch", job, check=False).stdout
            self.assertIn(str(count), lines)


class Refusals(unittest.TestCase):
    def test_bad_peers_harm_nobody(self):
        with Daemon(slots=2, env=FAKE, args=["--frame-limit", "1"]) as daemon:
            good = Peer(daemon)
            good.send(hello(1))
            self.assertIn(b"0.1.0", good.receive())
            cases = {
                "wrong version": (hello(99), b"protocol version 99"),
                "no hello": (STATUS, b"first message must be Hello"),
                "oversized frame": (struct.pack("<I", 1 << 30), b"frame of 1073741824 bytes"),
                "empty frame": (struct.pack("<I", 0), b"frame of 0 bytes"),
                "not a message": (frame(b"\xff" * 20), b"is not a message"),
                "stops midway": (hello(1)[:9], b"not finished in time"),
            }
            for name, (sent, wanted) in cases.items():
                with self.subTest(name):
                    bad = Peer(daemon)
                    bad.send(sent)
                    self.assertIn(wanted, bad.receive())
                    self.assertIsNone(bad.receive(), "the daemon hangs up")
            good.send(STATUS[:5])
            time.sleep(0.2)
            good.send(STATUS[5:])
            self.assertIn(str(daemon.state).encode(), good.receive())

    def test_a_peer_that_always_has_a_frame_open(self):
        with Daemon(slots=2, env=FAKE, args=["--frame-limit", "1"]) as daemon:
            busy = Peer(daemon)
            busy.send(hello(1) + STATUS[:5])
            busy.receive()
            end = time.monotonic() + 2
            while time.monotonic() < end:
                busy.send(STATUS[5:] + STATUS[:5])
                self.assertIn(str(daemon.state).encode(), busy.receive())
                time.sleep(0.05)

    def test_a_peer_that_asks_much_and_reads_late(self):
        with Daemon(slots=2, env=FAKE, args=["--frame-limit", "1"]) as daemon:
            eager = Peer(daemon)
            sender = threading.Thread(target=eager.send, args=(hello(1) + STATUS * 30000,))
            sender.start()
            time.sleep(1.5)
            eager.receive()
            for _ in range(30000):
                self.assertIn(b"state", eager.receive())
            sender.join()

    @unittest.skipUnless(os.getuid() == 0, "only root can be somebody else")
    def test_another_user_is_refused(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            os.chmod(daemon.home, 0o755)
            os.chmod(daemon.socket, 0o666)
            code = ("import os, socket, sys\n"
                    "os.setgid(65534); os.setuid(65534)\n"
                    "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
                    "sys.stdout.buffer.write(s.recv(4096))\n")
            done = subprocess.run([sys.executable, "-c", code, str(daemon.socket)],
                                  capture_output=True)
            self.assertIn(b"you are user 65534", done.stdout, done.stderr)

    def test_the_log_of_an_attempt_that_is_none(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            job = daemon.submit(sets=fake(FAKE_STEPS=20))
            daemon.finish(job)
            daemon.client("logs", job, "--attempt", "1")
            done = daemon.client("logs", job, "--attempt", "7", check=False)
            self.assertNotEqual(0, done.returncode)
            self.assertIn(f"job {job} has 1 attempt, no attempt 7", done.stderr)

    def refused(self, daemon, *args):
        done = subprocess.run([*daemon.command(), *args], env=daemon.env, capture_output=True,
                              text=True, timeout=20 * SLOW)
        self.assertEqual(1, done.returncode, done.stderr)
        return done.stderr

    def test_a_second_daemon(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            self.assertIn(f"cambriand {daemon.process.pid} works on this state folder",
                          self.refused(daemon, "--socket", str(daemon.home / "other.sock")))
            self.assertIn("another cambriand listens there",
                          self.refused(daemon, "--state-dir", str(daemon.home / "other"),
                                       "--jobs-dir", str(daemon.home / "other-jobs")))
            self.assertEqual([], list(daemon.home.glob("other*")), "it leaves nothing behind")
            self.assertEqual(0, daemon.client("status").returncode)

    def test_a_jobs_folder_of_another_daemon(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            other = ("--state-dir", str(daemon.home / "other"), "--socket",
                     str(daemon.home / "other.sock"))
            said = self.refused(daemon, *other)
            self.assertIn(f"jobs folder {daemon.jobs} is in use by another cambriand", said)
            self.assertIn("--jobs-dir", said)
            daemon.stop()
            said = self.refused(daemon, *other)
            self.assertIn(f"jobs folder {daemon.jobs} belongs to another queue", said)
            self.assertIn("move it away", said)
            daemon.start()

    def test_a_damaged_database(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            for _ in range(50):
                daemon.submit(args=["--hold"])
            daemon.stop()
            path = daemon.state / "queue.db"
            good = path.read_bytes()
            bad = bytearray(good)
            bad[4096:] = b"\x5a" * (len(bad) - 4096)
            path.write_bytes(bad)
            shutil.rmtree(daemon.jobs)
            said = self.refused(daemon)
            self.assertRegex(said, r"queue\.db: damaged database .*kept as it is")
            self.assertIn("move both it and the jobs folder away", said)
            self.assertEqual(1, said.count(str(path)), said)
            self.assertFalse(daemon.jobs.exists(), "a refused daemon leaves no folder")
            self.assertEqual(bytes(bad), path.read_bytes())
            path.write_bytes(good)
            daemon.start()
            self.assertEqual(50, len(daemon.queue()))
            for job in daemon.queue():
                daemon.client("cancel", job["id"])

    def test_a_newer_schema(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            daemon.stop()
            database = sqlite3.connect(daemon.state / "queue.db")
            version = database.execute("PRAGMA user_version").fetchone()[0]
            database.execute("PRAGMA user_version = 999")
            database.close()
            self.assertIn("schema 999 is newer than this daemon", self.refused(daemon))
            database = sqlite3.connect(daemon.state / "queue.db")
            database.execute(f"PRAGMA user_version = {version}")
            database.close()
            daemon.start()

    def test_the_background(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            daemon.stop()
            command = [word for word in daemon.command() if word != "--foreground"]
            subprocess.run(command, env=daemon.env, check=True, timeout=20 * SLOW)
            self.assertEqual(0, daemon.client("status").returncode, "it answers at once")
            pid = json.loads(daemon.client("status", "--json").stdout)["pid"]
            os.kill(pid, signal.SIGTERM)
            until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "it ends")
            self.assertIn("training goes on", (daemon.state / "cambriand.log").read_text())
            daemon.start()


if __name__ == "__main__":
    unittest.main()
