#!/usr/bin/env python3
"""What cannot run is refused by name; what breaks names its first cause; nothing stored is lost."""
import gzip
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import struct
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import ENDED, SLOW, TINY, Daemon, alive, outcome  # noqa: E402


def idx(shape, data):
    return struct.pack(">HBB", 0, 8, len(shape)) + struct.pack(f">{len(shape)}I", *shape) + data


def line_of(text, needle):
    return next(i for i, line in enumerate(text.split("\n"), 1) if needle in line)


class AtSubmit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(slots=2)
        cls.daemon.__enter__()
        pixels = bytes(i * 7 % 256 for i in range(64 * 28 * 28))
        cls.images = idx((64, 28, 28), pixels)
        (cls.daemon.home / "good.idx").write_bytes(cls.images)
        (cls.daemon.home / "cut.idx").write_bytes(cls.images[:-100])
        (cls.daemon.home / "magic.idx").write_bytes(b"\1\2\3\4" + cls.images[4:])
        (cls.daemon.home / "labels.idx").write_bytes(idx((63,), bytes(63)))
        packed = bytearray(gzip.compress(cls.images[:-1]))
        packed[-6] ^= 1  # the checksum; the length is another too, so that all of it is read
        (cls.daemon.home / "damaged.idx.gz").write_bytes(packed)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def check(self, old, new, *words, sets=()):
        """Replaces old by new in the tiny job; the refusal names the line of new and the words."""
        text = TINY.replace(old, new)
        self.assertNotEqual(TINY, text)
        message = self.daemon.refuse(text, sets=sets)
        line = line_of(text, new.strip().split("\n")[-1])
        self.assertRegex(message, rf"job\.yaml:{line}: ")
        for word in words:
            self.assertIn(word, message)

    def test_unknown_key(self):
        self.check("epochs: 3", "epohcs: 3", "epohcs", "epochs")

    def test_unknown_layer(self):
        self.check("    - flatten", "    - flaten", "flaten", "flatten")

    def test_names_that_are_no_utf8(self):
        folder = pathlib.Path(os.fsdecode(os.fsencode(self.daemon.home) + b"/caf\xe9"))
        folder.mkdir()
        (folder / "job.yaml").write_text(TINY)
        good = str(self.daemon.write(TINY))
        client = str(self.daemon.build / "client" / "cambrian")
        for words, cwd, told in (
                (["job.yaml"], folder, r"^job\.yaml: its folder '/.*caf\?' is not UTF-8"),
                ([str(folder / "job.yaml")], "/", r"job file's name '/.*caf\?/job.yaml' is not UTF-8"),
                ([good, "--set", os.fsdecode(b"name=\xff")], "/", r"^--set 'name=\?' is not UTF-8")):
            for command in ("check", "submit"):
                done = subprocess.run([client, command, *words], cwd=cwd, env=self.daemon.env,
                                      capture_output=True, text=True, timeout=30, check=False)
                self.assertEqual(1, done.returncode, done.stderr)
                self.assertRegex(done.stderr, told)

    def test_unknown_layer_attribute(self):
        self.check("filters: 16", "filtres: 16", "filtres", "filters")

    def test_shapes_that_do_not_fit(self):
        self.check("reshape: [7, 7, 16]", "reshape: [7, 7, 15]", "784", "735")

    def test_generator_does_not_match_data(self):
        message = self.daemon.refuse(TINY.replace("    - upsample2d: 2\n", ""))
        self.assertIn("28", message)
        self.assertIn("14", message)
        self.assertRegex(message, r"job\.yaml:\d+: ")

    def test_more_ranks_than_slots(self):
        self.check("ranks: 2", "ranks: 3", "3", "2 slots")

    def test_shards_do_not_divide(self):
        self.check("batch: 32, shards: 4", "batch: 32, shards: 5", "32", "5")

    def test_more_ranks_than_shards(self):
        message = self.daemon.refuse(TINY.replace("shards: 4", "shards: 1"))
        self.assertIn("shards", message)
        self.assertIn("ranks", message)

    def data_refusal(self, file, labels=None, said_of="images"):
        """What is said of the data, behind the place of the key that names the file."""
        text = TINY.replace("data: {format: glyphs, count: 256, seed: 3}",
                            f"data:\n  format: idx\n  images: {file}" +
                            (f"\n  labels: {labels}" if labels else ""))
        self.assertNotEqual(TINY, text)
        message = self.daemon.refuse(text)
        line = line_of(text, f"  {said_of}: ")
        self.assertRegex(message, rf"job\.yaml:{line}: data {said_of} /")
        return message

    def test_missing_data(self):
        message = self.data_refusal("nowhere.idx")
        self.assertIn("nowhere.idx: cannot open", message)
        self.assertIn("--set data.images=PATH", message)

    def test_folder_as_data(self):
        self.assertIn("no regular file", self.data_refusal("."))

    def test_damaged_data(self):
        message = self.data_refusal("damaged.idx.gz")
        self.assertIn("damaged gzip data", message)
        self.assertNotIn("<fd", message)

    def test_labels_of_other_images(self):
        message = self.data_refusal("good.idx", "labels.idx", said_of="labels")
        self.assertIn("63 labels for 64 images", message)

    def test_device_of_another_build(self):
        self.check("resources: {", "resources: {device: cuda, ", "'cuda'",
                   "allowed: auto, cpu, reference")

    def test_truncated_data(self):
        message = self.data_refusal("cut.idx")
        self.assertIn("cut.idx", message)
        self.assertIn(str(64 * 28 * 28), message)

    def test_not_idx(self):
        self.assertIn("magic.idx", self.data_refusal("magic.idx"))


class WhileRunning(unittest.TestCase):
    def setUp(self):
        self.daemon = Daemon(slots=2)
        self.daemon.__enter__()
        self.addCleanup(lambda: self.daemon.__exit__(None, None, None))

    def test_corrupt_gzip_is_named_and_not_retried(self):
        pixels = bytes(i * 7 % 256 for i in range(256 * 28 * 28))
        packed = bytearray(gzip.compress(idx((256, 28, 28), pixels)))
        packed[len(packed) // 2] ^= 0xFF
        (self.daemon.home / "bad.gz").write_bytes(packed)
        text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                            "{format: idx, images: bad.gz}")
        done = self.daemon.client("submit", self.daemon.write(text), check=False)
        if done.returncode == 1:  # found in the headers already
            self.assertIn("bad.gz", done.stderr)
            return
        end = self.daemon.until_state(int(done.stdout), ENDED)
        self.assertEqual(("failed", 1), (end["state"], end["attempts"]))
        self.assertRegex(end["error"]["text"], r"^\S+:\d+: data images \S*bad\.gz: ")

    def test_data_changed_between_attempts(self):
        pixels = bytes(i * 7 % 251 for i in range(256 * 28 * 28))
        data = self.daemon.home / "set.idx"
        data.write_bytes(idx((256, 28, 28), pixels))
        text = TINY.replace("{format: glyphs, count: 256, seed: 3}",
                            "{format: idx, images: set.idx}")
        job = self.daemon.submit(text, sets=["train.epochs=200"])
        self.daemon.until_step(job, 4)
        self.daemon.client("cancel", job)
        self.daemon.until_state(job, "cancelled")
        data.write_bytes(idx((256, 28, 28), bytes(reversed(pixels))))
        done = self.daemon.client("resume", job, check=False)
        if done.returncode == 0:
            end = self.daemon.until_state(job, ENDED)
            self.assertEqual("failed", end["state"])
            self.assertEqual("changed", end["error"]["code"])
            self.assertRegex(end["error"]["text"], r"^\S+:\d+: data file \S*set\.idx ")
        else:
            self.assertIn("set.idx", done.stderr)

    def test_nan_names_rank_step_phase_and_is_not_retried(self):
        job = self.daemon.submit(sets=["env.CAMBRIAN_TEST_NAN=\"5\""])
        end = self.daemon.until_state(job, ENDED)
        self.assertEqual(("failed", 1), (end["state"], end["attempts"]))
        self.assertEqual("non-finite", end["error"]["code"])
        self.assertGreaterEqual(end["error"]["rank"], 0)
        self.assertEqual(5, end["error"]["step"])
        self.assertIn("discriminator", end["error"]["text"])
        # The other rank does not wait for mpirun's SIGKILL, which comes after a second.
        attempt = self.daemon.attempt_dir(job)
        failed, = (file.stat().st_mtime for file in attempt.glob("failure-*.json"))
        ended = (attempt / "exit.json").stat().st_mtime
        self.assertLess(ended - failed, 0.9 * SLOW)

    def test_rollbacks_are_events(self):
        sets = ["train.on_nan={rollback: {factor: 0.1}}", "env.CAMBRIAN_TEST_NAN=\"13x2\""]
        job = self.daemon.submit(sets=sets)
        done = outcome(self.daemon.finish(job))
        told = [e["text"] for e in self.daemon.events(job) if e["kind"] == "warning"]
        self.assertEqual(2, len(told), told)
        for number, factor in ((1, "0.1"), (2, "0.01")):
            self.assertRegex(told[number - 1],
                             rf"^rollback {number} of 3 to step 8, learning rates now times {factor}: "
                             r".* in shard 0 of rank 0, step 13, phase discriminator; .* samples \d+")
        alone = self.daemon.submit(sets=sets + ["resources.ranks=1"])
        self.assertEqual(done, outcome(self.daemon.finish(alone)))

    def test_damaged_newest_checkpoint(self):
        reference = outcome(self.daemon.finish(self.daemon.submit(sets=["train.epochs=12"])))
        for damage in ("model.safetensors", "optimizer.safetensors", "state.json"):
            with self.subTest(damage):
                job = self.daemon.submit(sets=["train.epochs=12"])
                self.daemon.until_step(job, 20)
                self.daemon.client("cancel", job)
                stopped = self.daemon.until_state(job, ENDED)
                if stopped["state"] == "succeeded":
                    self.skipTest("the job was faster than its cancel")
                newest = max((self.daemon.job_dir(job) / "attempts").glob("*/checkpoints/step-*"),
                             key=lambda p: p.name)
                file = newest / damage
                raw = bytearray(file.read_bytes())
                raw[len(raw) // 2] ^= 0x10
                file.write_bytes(raw)
                self.daemon.client("resume", job)
                self.assertEqual(reference, outcome(self.daemon.finish(job)))
                told = json.dumps(self.daemon.events(job)) + self.daemon.client("logs", job).stdout
                self.assertIn(newest.name, told)
                warnings = [e["text"] for e in self.daemon.events(job) if e["kind"] == "warning"]
                self.assertTrue(warnings)
                self.assertRegex(warnings[0], r"^checkpoint attempts/\S+ cannot be used")
                self.assertNotIn("step 0", "".join(warnings))

    def test_rank_that_hangs_is_named(self):
        job = self.daemon.submit(sets=["train.epochs=3000", "retry.max=0"])
        self.daemon.until_step(job, 5)
        victim = sorted(self.daemon.processes(job)["worker"])[1]
        os.kill(victim, 19)  # SIGSTOP
        end = self.daemon.until_state(job, ENDED, 60)
        self.assertEqual("failed", end["state"])
        self.assertIn(end["error"]["rank"], (0, 1))
        self.assertFalse(alive(victim), "the stopped rank is gone")

    def test_time_limit(self):
        job = self.daemon.submit(sets=["train.epochs=100000", "resources.time_limit=2s"])
        end = self.daemon.until_state(job, ENDED, 30)
        self.assertEqual("failed", end["state"])
        self.assertEqual("timeout", end["error"]["code"])
        done = self.daemon.client("resume", job, check=False)
        self.assertNotEqual(0, done.returncode)
        self.assertRegex(done.stderr, r"used up its time limit \(ran \d+\.\d s, "
                                      r"resources\.time_limit is 2\.0 s\)")
        self.assertEqual("failed", self.daemon.show(job)["state"])


class Storage(unittest.TestCase):
    def test_damaged_database(self):
        daemon = Daemon(slots=2)
        daemon.start()
        daemon.submit(args=["--hold"])
        daemon.stop()
        database = next(daemon.state.glob("*.db"))
        raw = bytearray(database.read_bytes())
        raw[4096:] = os.urandom(len(raw) - 4096)
        database.write_bytes(raw)
        done = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=30)
        self.assertNotEqual(0, done.returncode)
        self.assertIn(str(database), done.stderr)
        self.assertEqual(bytes(raw), database.read_bytes(), "the file is kept as it was")
        shutil.rmtree(daemon.home)

    def test_newer_schema(self):
        daemon = Daemon(slots=2)
        daemon.start()
        daemon.stop()
        database = next(daemon.state.glob("*.db"))
        link = sqlite3.connect(database)
        link.execute("pragma user_version = 9999")
        link.commit()
        link.close()
        done = subprocess.run(daemon.command(), capture_output=True, text=True, timeout=30)
        self.assertNotEqual(0, done.returncode)
        self.assertIn("9999", done.stderr)
        shutil.rmtree(daemon.home)

    def test_second_daemon(self):
        with Daemon(slots=2) as daemon:
            same_state = subprocess.run(daemon.command()[:-4] + ["--socket",
                                        str(daemon.home / "other.sock")],
                                        capture_output=True, text=True, timeout=30)
            self.assertNotEqual(0, same_state.returncode)
            self.assertIn(str(daemon.state), same_state.stderr)
            words = daemon.command()
            words[words.index("--state-dir") + 1] = str(daemon.home / "state2")
            words[words.index("--jobs-dir") + 1] = str(daemon.home / "state2" / "jobs")
            same_socket = subprocess.run(words, capture_output=True, text=True, timeout=30)
            self.assertNotEqual(0, same_socket.returncode)
            self.assertIn(str(daemon.socket), same_socket.stderr)
            self.assertEqual(0, daemon.client("status").returncode)


class Wire(unittest.TestCase):
    """Bytes that no client of ours sends close that connection and harm nobody else."""

    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(slots=2)
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def talk(self, raw, wait=5.0):
        """Sends raw and returns all that comes back until the daemon closes."""
        link = socket.socket(socket.AF_UNIX)
        link.settimeout(wait)
        link.connect(str(self.daemon.socket))
        back = b""
        try:
            link.sendall(raw)
            while True:
                piece = link.recv(65536)
                if not piece:
                    return back
                back += piece
        except (BrokenPipeError, ConnectionResetError):
            return back
        finally:
            link.close()

    def test_oversized_frame(self):
        self.assertIn(b"frame of 1073741824 bytes", self.talk(struct.pack("<I", 1 << 30)))
        self.daemon.client("status")

    def test_malformed_frame(self):
        self.assertIn(b"not a message", self.talk(struct.pack("<I", 4) + b"\xff\xff\xff\x07"))
        self.daemon.client("status")

    def test_wrong_version(self):
        # Envelope{hello{protocol_version: 99}}
        hello = b"\x12\x02\x08\x63"
        back = self.talk(struct.pack("<I", len(hello)) + hello)
        self.assertIn(b"99", back)
        self.assertIn(b"protocol", back)

    def test_request_before_hello(self):
        request = b"\xea\x01\x00"  # status_request, field 29
        back = self.talk(struct.pack("<I", len(request)) + request)
        self.assertIn(b"must be Hello", back)
        self.daemon.client("status")

    def test_stop_in_mid_frame(self):
        links = []
        for _ in range(20):
            link = socket.socket(socket.AF_UNIX)
            link.connect(str(self.daemon.socket))
            link.sendall(struct.pack("<I", 1000) + b"part")
            links.append(link)
        started = time.monotonic()
        self.daemon.client("status")
        self.assertLess(time.monotonic() - started, 2)
        for link in links:
            link.close()
        self.daemon.client("status")

    def test_another_user(self):
        if os.geteuid() != 0:
            self.skipTest("only root can become another user here")
        os.chmod(self.daemon.home, 0o755)
        os.chmod(self.daemon.socket, 0o777)
        script = ("import os,socket,struct\nos.setgid(65534);os.setuid(65534)\n"
                  "s=socket.socket(socket.AF_UNIX);s.settimeout(5)\n"
                  f"s.connect({str(self.daemon.socket)!r})\n"
                  "h=b'\\x12\\x02\\x08\\x01'\n"
                  "try:\n s.sendall(struct.pack('<I',len(h))+h)\n b=s.recv(4096)\n"
                  "except OSError: b=b''\nprint(b)\n")
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True,
                              timeout=30)
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertTrue("denied" in done.stdout or done.stdout.strip() == "b''", done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
