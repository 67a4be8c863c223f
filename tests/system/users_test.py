#!/usr/bin/env python3
"""A daemon of root's that serves every user: each job runs as its owner and is nobody else's."""
import json
import os
import pathlib
import signal
import stat
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, ENDED, SLOW, TINY, Daemon, alive, until  # noqa: E402

ONE, TWO = 65534, 1  # nobody and daemon, which every Debian has; nothing is added to the system
FAKE = {"CAMBRIAN_LIBEXEC": str(BUILD / "tests" / "support")}
SECRET = "only root reads this"


def uids_of(pid):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(set(map(int, line.split()[1:])) for line in status if line.startswith("Uid:"))


def reachable():
    """Whether other users can run what was built: not in a home folder, say."""
    done = subprocess.run([BUILD / "client" / "cambrian", "--version"], user=ONE, group=ONE,
                          extra_groups=[], capture_output=True) if os.getuid() == 0 else None
    return done is not None and done.returncode == 0


class Everybody(Daemon):
    """Adds clients of other users."""

    def __init__(self, **options):
        super().__init__(args=["--users", "all"], **options)
        os.chmod(self.home, 0o711)
        self.secret = self.home / "secret"
        self.secret.write_text(SECRET)
        self.secret.chmod(0o600)

    def as_user(self, uid, *args, check=True):
        done = subprocess.run([str(self.build / "client" / "cambrian"), *map(str, args)],
                              capture_output=True, text=True, errors="replace", env=self.env,
                              timeout=120 * SLOW, cwd="/", user=uid, group=uid, extra_groups=[])
        if check and done.returncode != 0:
            raise AssertionError(f"user {uid}: {args}: {done.stdout}{done.stderr}")
        return done

    def submit_as(self, uid, text=TINY, sets=(), check=True):
        path = self.write(text, f"job-{uid}.yaml")
        words = ["submit", path]
        for pair in sets:
            words += ["--set", pair]
        done = self.as_user(uid, *words, check=check)
        return int(done.stdout) if check else done

    def steal(self, uid, path, target):
        """What a user may do in a folder of their own: path becomes a link, or a pipe (None)."""
        if os.path.lexists(path):
            os.unlink(path)
        if target is None:
            os.mkfifo(path)
        else:
            os.symlink(target, path)
        os.lchown(path, uid, uid)


@unittest.skipUnless(os.getuid() == 0, "only root can be somebody else")
class Users(unittest.TestCase):
    def setUp(self):
        if not reachable():
            self.skipTest(f"other users cannot run what is in {BUILD}")

    def test_each_trains_as_itself(self):
        with Everybody(slots=4) as daemon:
            jobs = {uid: daemon.submit_as(uid, sets=["train.epochs=2"]) for uid in (ONE, TWO)}
            for uid, job in jobs.items():
                seen = {}

                def running():
                    for kind, pids in daemon.processes(job).items():
                        for pid in pids:
                            try:
                                seen.setdefault(kind, set()).update(uids_of(pid))
                            except (OSError, StopIteration):
                                pass
                    return len(seen) == 3 or daemon.show(job)["state"] in ENDED
                until(running, 30, "its processes are seen")
                self.assertEqual({"shim": {uid}, "mpirun": {uid}, "worker": {uid}}, seen)
            for uid, job in jobs.items():
                end = daemon.finish(job)
                self.assertEqual(uid, end["owner_uid"])
                self.assertEqual(2, len(end["epochs_done"]))
                folder = daemon.job_dir(job)
                self.assertEqual(0o700, stat.S_IMODE(folder.stat().st_mode))
                owners = {path.lstat().st_uid for path in [folder, *folder.rglob("*")]}
                self.assertEqual({uid}, owners)
                grid = subprocess.run([daemon.build / "client" / "cambrian", "samples", str(job),
                                       "-o", "-"], user=uid, group=uid, extra_groups=[],
                                      env=daemon.env, cwd="/", capture_output=True)
                self.assertEqual(b"\x89PNG", grid.stdout[:4], grid.stderr)
            self.assertEqual(0o711, stat.S_IMODE(daemon.jobs.stat().st_mode))
            self.assertEqual(0o600, stat.S_IMODE((daemon.state / "queue.db").stat().st_mode))
            left = [p for p in pathlib.Path("/dev/shm").glob("cambrian-*") if p.stat().st_uid
                    in (ONE, TWO)]
            self.assertEqual([], left, "its private folders in memory are gone")

    def test_a_job_is_its_owners_alone(self):
        with Everybody(slots=2, env=FAKE) as daemon:
            job = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=3000", "env.FAKE_STEP_MS=20"])
            daemon.until_step(job, 10)
            for words in (["cancel", job], ["cancel", "--now", job], ["hold", job],
                          ["release", job], ["resume", job], ["show", job], ["events", job],
                          ["logs", job], ["samples", job, "-o", "-"], ["watch", job],
                          ["weights", job, "-o", "/tmp/none"]):
                with self.subTest(words[0]):
                    done = daemon.as_user(TWO, *words, check=False)
                    self.assertNotEqual(0, done.returncode)
                    self.assertIn(f"job {job} belongs to user {ONE}, you are user {TWO}",
                                  done.stderr)
            listed = json.loads(daemon.as_user(TWO, "queue", "--json").stdout)
            self.assertEqual([(job, ONE, "running", None)],
                             [(j["id"], j["owner_uid"], j["state"], j["job_dir"]) for j in listed])
            self.assertEqual({}, listed[0]["metrics"])
            # A daemon that comes back adopts it, and its owner ends it.
            daemon.kill()
            daemon.start()
            self.assertEqual("running", json.loads(
                daemon.as_user(ONE, "show", job, "--json").stdout)["state"])
            daemon.as_user(ONE, "cancel", "--now", job)
            self.assertEqual("cancelled", daemon.until_state(job, ENDED)["state"])
            self.assertEqual(1, daemon.show(job)["attempts"])

    def test_data_are_opened_as_the_owner(self):
        with Everybody(slots=2) as daemon:
            images = daemon.home / "images"
            images.write_bytes(bytes([0, 0, 8, 3, 0, 0, 0, 64, 0, 0, 0, 28, 0, 0, 0, 28])
                               + bytes(64 * 28 * 28))
            os.chown(images, TWO, TWO)
            images.chmod(0o600)
            text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                                f"{{format: idx, images: {images}}}")
            daemon.submit_as(TWO, text, sets=["train.epochs=1"])
            path = daemon.write(text, "same.yaml")
            daemon.as_user(TWO, "submit", path, "--hold")
            for file in (images, daemon.secret):
                path.write_text(text.replace(str(images), str(file)))
                # The first is the very text that was just accepted for another user.
                done = daemon.as_user(ONE, "submit", path, check=False)
                self.assertEqual((1, ""), (done.returncode, done.stdout))
                self.assertIn(str(file), done.stderr)
                self.assertIn("ermission denied", done.stderr)

    def test_a_terminal_as_data_stays_its_owners(self):
        """A daemon that leads its session must not take it as its own: ^C there would end it."""
        with Everybody(slots=2, env=FAKE) as daemon:
            daemon.stop()
            daemon.start(start_new_session=True)
            self.assertEqual(daemon.process.pid, os.getsid(daemon.process.pid))
            keyboard, terminal = os.openpty()
            name = os.ttyname(terminal)
            os.chown(name, ONE, ONE)
            os.close(terminal)
            text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                                f"{{format: idx, images: {name}}}")
            done = daemon.submit_as(ONE, text, check=False)
            self.assertIn(f"{name}: no regular file", done.stderr)
            with open(f"/proc/{daemon.process.pid}/stat", encoding="utf-8") as file:
                self.assertEqual("0", file.read().rsplit(")", 1)[1].split()[4], "its terminal")
            os.write(keyboard, b"\x03")
            self.assertEqual(0, daemon.as_user(TWO, "status").returncode)
            os.close(keyboard)

    def test_ways_through_proc_stay_closed(self):
        """Somebody's working folder is readable by all, but lies in one that is not."""
        with Everybody(slots=2, env=FAKE) as daemon:
            hidden = daemon.home / "hidden"
            inner = hidden / "inner"
            inner.mkdir(parents=True)
            (inner / "images").write_text(SECRET)
            for path in (hidden, inner, inner / "images"):
                os.chown(path, TWO, TWO)
            hidden.chmod(0o700)
            victim = subprocess.Popen(["sleep", "600"], cwd=inner, user=TWO, group=TWO,
                                      extra_groups=[])
            try:
                for name in ("cwd/images", "maps"):
                    with self.subTest(name):
                        path = f"/proc/{victim.pid}/{name}"
                        text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                                            f"{{format: idx, images: {path}}}")
                        done = daemon.submit_as(ONE, text, check=False)
                        self.assertIn(f"{path}", done.stderr)
                        self.assertIn("ermission denied", done.stderr)
            finally:
                victim.kill()
                victim.wait()

    def test_a_pipe_under_a_record_holds_nobody(self):
        with Everybody(slots=2, env=FAKE) as daemon:
            job = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=3000", "env.FAKE_STEP_MS=20"])
            daemon.until_step(job, 10)
            names = ("profile.json", "epochs.jsonl", "attempts/1/outcome.json",
                     "attempts/1/failure-0.json")
            for name in names:
                daemon.steal(ONE, daemon.job_dir(job) / name, None)
            for pid in daemon.processes(job)["shim"]:
                os.kill(pid, signal.SIGKILL)
            until(lambda: daemon.show(job)["attempts"] > 1 or daemon.show(job)["state"] in ENDED,
                  20, "its end is found")
            daemon.as_user(ONE, "cancel", "--now", job, check=False)
            daemon.until_state(job, ENDED)

    def test_a_guessed_name_keeps_nobody_out(self):
        with Everybody(slots=2, env=FAKE) as daemon:
            first = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=2"])
            daemon.finish(first)
            order = json.loads((daemon.attempt_dir(first) / "attempt.json").read_text())
            self.assertRegex(order["scratch"], r"-1-1-[0-9a-f]{8}$")
            other = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=2"])
            daemon.finish(other)
            second = json.loads((daemon.attempt_dir(other) / "attempt.json").read_text())
            self.assertNotEqual(order["scratch"][-8:], second["scratch"][-8:])

    def test_links_lead_nowhere(self):
        with Everybody(slots=2, env=FAKE) as daemon:
            job = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=20"])
            daemon.finish(job)
            attempt = daemon.attempt_dir(job)
            (daemon.job_dir(job) / "samples").mkdir(exist_ok=True)
            os.chown(daemon.job_dir(job) / "samples", ONE, ONE)
            grid = daemon.job_dir(job) / "samples" / "epoch-0001.png"
            for path, words in ((attempt / "log", ["logs", job]),
                                (grid, ["samples", "--epoch", "1", "-o", "-", job])):
                for target in (daemon.secret, None):
                    with self.subTest(f"{path.name} {target}"):
                        daemon.steal(ONE, path, target)
                        for uid in (ONE, 0):
                            done = daemon.as_user(uid, *words, check=False)
                            self.assertNotIn(SECRET, done.stdout + done.stderr)
                            self.assertNotEqual(0, done.returncode)
                            self.assertRegex(done.stderr, "ermission denied|no regular file|"
                                                          "no samples of epoch")

    def test_links_under_what_is_written(self):
        """The next attempt writes into a folder full of traps: nothing outside of it changes."""
        with Everybody(slots=2, env=FAKE) as daemon:
            job = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=3000", "env.FAKE_STEP_MS=20"])
            daemon.until_step(job, 10)
            daemon.as_user(ONE, "cancel", job)
            daemon.until_state(job, ENDED)
            folder = daemon.job_dir(job)
            for name in ("job.yaml", "job.yaml.tmp", "job.json.tmp"):
                daemon.steal(ONE, folder / name, daemon.secret)
            daemon.as_user(ONE, "resume", job)
            until(lambda: daemon.show(job)["state"] in ("running", "queued", *ENDED), 20, "tried")
            self.assertEqual(SECRET, daemon.secret.read_text())
            self.assertEqual(0, daemon.secret.stat().st_uid)
            daemon.as_user(ONE, "cancel", "--now", job, check=False)
            daemon.until_state(job, ENDED)

    def test_a_record_that_names_somebody_elses_process(self):
        with Everybody(slots=2, env=FAKE) as daemon:
            victim = subprocess.Popen(["sleep", "600"])
            try:
                job = daemon.submit_as(ONE, sets=["env.FAKE_STEPS=3000", "env.FAKE_STEP_MS=20"])
                daemon.until_step(job, 10)
                daemon.kill()
                record = daemon.attempt_dir(job) / "shim.json"
                with open(f"/proc/{victim.pid}/stat", encoding="utf-8") as file:
                    ticks = int(file.read().rsplit(")", 1)[1].split()[19])
                said = dict(json.loads(record.read_text()), pid=victim.pid, start_ticks=ticks)
                record.write_text(json.dumps(said))
                daemon.start()
                daemon.as_user(ONE, "cancel", "--now", job)
                self.assertEqual("cancelled", daemon.until_state(job, ENDED)["state"])
                self.assertTrue(alive(victim.pid), "it is root's")
            finally:
                victim.kill()
                victim.wait()

    def test_a_users_daemon_serves_that_user(self):
        with Daemon(slots=2, env=FAKE) as daemon:
            done = subprocess.run([*daemon.command(), "--users", "all"], user=ONE, group=ONE,
                                  extra_groups=[], cwd="/", capture_output=True, text=True)
            self.assertEqual(1, done.returncode)
            self.assertIn("only a daemon of root's can run jobs as their owners", done.stderr)


if __name__ == "__main__":
    unittest.main()
