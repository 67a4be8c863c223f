#!/usr/bin/env python3
"""The real client against a scripted daemon: client_test.py CAMBRIAN.

The daemon is a thread that speaks the protocol by hand (frames, protobuf fields by number), so that
it can do what a right daemon never does: break off, answer nonsense, send damaged weights.
"""
import hashlib
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest

CAMBRIAN = os.path.abspath(sys.argv[1])
# Numbers of Envelope's oneof in proto/cambrian.proto.
HELLO, HELLO_REPLY, ERROR = 2, 3, 4
SUBMIT, SUBMIT_REPLY, QUEUE, QUEUE_REPLY, SHOW, SHOW_REPLY = 10, 11, 12, 13, 14, 15
EVENTS, EVENTS_REPLY, LOGS, WATCH, UPDATE = 16, 17, 18, 19, 20
CANCEL, CHANGE, SAMPLES, WEIGHTS, CHUNK, STATUS, STATUS_REPLY = 21, 25, 26, 27, 28, 29, 30
QUEUED, HELD, RUNNING, SUCCEEDED, FAILED = 1, 2, 4, 6, 7


def varint(value):
    value &= (1 << 64) - 1
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def message(*fields):
    """Fields as (number, value): int, float, str, bytes."""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            value = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def take_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """{number: [values]} of a message; nested ones stay bytes."""
    out, at = {}, 0
    while at < len(data):
        tag, at = take_varint(data, at)
        if tag & 7 == 0:
            value, at = take_varint(data, at)
        elif tag & 7 == 1:
            value, at = struct.unpack_from("<d", data, at)[0], at + 8
        else:
            size, at = take_varint(data, at)
            value, at = data[at:at + size], at + size
        out.setdefault(tag >> 3, []).append(value)
    return out


def frame(request_id, kind, body):
    envelope = message((1, request_id), (kind, body))
    return struct.pack("<I", len(envelope)) + envelope


def metric(name, value):
    return message((1, name), (2, value))


def epoch(number, d=1.25, g=0.75):
    return message((1, number), (2, 10), (3, 2.5), (4, 512.0), (5, metric("d_loss", d)),
                   (5, metric("g_loss", g)))


def job(state, number=7, *more, done=0, step=0):
    rows = [(17, epoch(i + 1)) for i in range(done)]
    return message((1, number), (2, "toy"), (3, "gan"), (4, state), (5, 2), (6, 1), (7, done),
                   (8, 3), (9, step), (10, 10), (12, 1700000000123), (26, "/jobs/7"), *rows, *more)


class Script:
    """One connection's behaviour: answer(kind, body) yields (kind, body) replies; None hangs up."""

    def __init__(self, answer, version=1):
        self.answer, self.version = answer, version


class Fake:
    """Serves each connection by the next script (the last one again and again)."""

    def __init__(self, *scripts):
        self.home = tempfile.mkdtemp(prefix="cambrian-client-")
        self.path = os.path.join(self.home, "s.sock")
        self.scripts = [s if isinstance(s, Script) else Script(s) for s in scripts]
        self.requests = []
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(16)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # The thread must be out of accept before the number of its descriptor is used again.
        self.server.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.server.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self):
        index = 0
        while True:
            try:
                peer, _ = self.server.accept()
            except OSError:
                return
            script = self.scripts[min(index, len(self.scripts) - 1)]
            index += 1
            threading.Thread(target=self.serve, args=(peer, script), daemon=True).start()

    def serve(self, peer, script):
        with peer, peer.makefile("rb") as stream:
            try:
                while True:
                    head = stream.read(4)
                    if len(head) < 4:
                        return
                    request = fields(stream.read(struct.unpack("<I", head)[0]))
                    request_id = request.pop(1, [0])[0]
                    (kind, (body,)), = request.items()
                    if kind == HELLO:
                        reply = message((1, script.version), (2, "0.0"))
                        peer.sendall(frame(request_id, HELLO_REPLY, reply))
                        continue
                    body = fields(body)
                    self.requests.append((kind, body))
                    for reply in script.answer(kind, body):
                        if reply is None:
                            return
                        if isinstance(reply, bytes):
                            peer.sendall(reply)
                        else:
                            peer.sendall(frame(request_id, *reply))
            except OSError:
                return

    def environment(self):
        return dict(os.environ, CAMBRIAN_SOCKET=self.path, LC_ALL="C.UTF-8")

    def client(self, *args, **more):
        return subprocess.run([CAMBRIAN, *args], capture_output=True, text=True, timeout=30,
                              env=self.environment(), **more)


def refuse(code, text):
    return lambda kind, body: [(ERROR, message((1, code), (2, text)))]


def update(state, *more, last=False, **rest):
    return UPDATE, message((1, job(state, 7, *more, **rest)), (2, int(last)))


def chunks(data, cut=5):
    pieces = [data[i:i + cut] for i in range(0, len(data), cut)]
    for i, piece in enumerate(pieces):
        yield CHUNK, message((1, piece), (2, int(i + 1 == len(pieces))), (3, len(data)))


def safetensors():
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    data = struct.pack("<2f", 1, 2)
    digest = hashlib.sha256(b"w\0F32\0" + struct.pack("<IQ", 1, 2) + data).hexdigest()
    return struct.pack("<Q", len(header)) + header + data, digest


class Client(unittest.TestCase):
    def ended(self, done, code, text=""):
        self.assertEqual(code, done.returncode, done.stdout + done.stderr)
        self.assertIn(text, done.stderr if code else done.stdout)

    def test_nobody_there(self):
        env = dict(os.environ, CAMBRIAN_SOCKET="/nonexistent/s")
        for words in (["queue"], ["wait", "3"], ["watch", "3"], ["status", "--json"]):
            began = time.monotonic()
            done = subprocess.run([CAMBRIAN, *words], env=env, capture_output=True, text=True)
            self.ended(done, 3, "no daemon at /nonexistent/s")
            self.assertLess(time.monotonic() - began, 1)

    def test_usage(self):
        for words in ([], ["sbmit", "x"], ["submit"], ["show", "x"], ["show", "0"], ["show"],
                      ["show", "1", "2"], ["show", "1", "--follow"], ["submit", "x", "--set"],
                      ["samples", "1"], ["weights", "1"], ["queue", "--state", "dead"],
                      ["logs", "1", "--attempt", "-1"], ["queue", "--json=1"]):
            done = subprocess.run([CAMBRIAN, *words], capture_output=True, text=True,
                                  env=dict(os.environ, CAMBRIAN_SOCKET="/nonexistent/s"))
            self.ended(done, 2)
            self.assertEqual("", done.stdout)
        self.assertIn("did you mean 'submit'", subprocess.run(
            [CAMBRIAN, "sbmit"], capture_output=True, text=True).stderr)

    def test_submit(self):
        with Fake(lambda kind, body: [(SUBMIT_REPLY, message((1, 41)))]) as fake:
            text = "name: x # grüße\n"
            done = fake.client("submit", "-", "--set", "a.b=c", "--set=d=e", "--after", "3",
                               "--hold", input=text, cwd=fake.home)
            self.ended(done, 0)
            self.assertEqual("41\n", done.stdout)
            (kind, body), = fake.requests
            self.assertEqual(SUBMIT, kind)
            self.assertRegex(body[1][0].decode(), "^[0-9a-f]{32}$")
            self.assertEqual([text.encode()], body[2])
            self.assertEqual([b"-"], body[3])
            self.assertEqual([os.path.realpath(fake.home).encode()], body[4])
            self.assertEqual([b"a.b=c", b"d=e"], body[5])
            self.assertEqual([1], body[6])
            self.assertEqual([b"\x03"], body[7])
            folder = pathlib.Path(fake.home, "sub")
            folder.mkdir()
            (folder / "job.yaml").write_text(text)
            self.ended(fake.client("submit", "sub/job.yaml", "--key", "k", cwd=fake.home), 0)
            body = fake.requests[-1][1]
            self.assertEqual([b"k"], body[1])
            self.assertEqual([b"sub/job.yaml"], body[3])
            self.assertEqual([os.path.realpath(folder).encode()], body[4])
            self.ended(fake.client("submit", "nowhere.yaml"), 1, "nowhere.yaml")

    def test_submit_refused(self):
        with Fake(refuse("invalid", "job.yaml:3: unknown key 'x'; allowed: y")) as fake:
            done = fake.client("submit", "-", input="a: b\n")
            self.ended(done, 1)
            self.assertEqual("job.yaml:3: unknown key 'x'; allowed: y\n", done.stderr)
            self.assertEqual("", done.stdout)
        with Fake(refuse("unavailable", "disk full")) as fake:
            self.ended(fake.client("submit", "-", input="a: b\n"), 1, "disk full")

    def test_submit_asks_again_with_the_same_key(self):
        """Lost after sending, twice, with nobody there in between."""
        with Fake(lambda kind, body: [None], lambda kind, body: [None],
                  lambda kind, body: [(SUBMIT_REPLY, message((1, 5), (2, 1)))]) as fake:
            away = fake.path + ".away"

            def go_away():
                while not fake.requests:
                    time.sleep(0.01)
                os.rename(fake.path, away)
                time.sleep(0.5)
                os.rename(away, fake.path)
            thread = threading.Thread(target=go_away)
            thread.start()
            done = fake.client("submit", "-", input="a: b\n")
            thread.join()
            self.ended(done, 0)
            self.assertEqual("5\n", done.stdout)
            keys = [body[1][0] for _, body in fake.requests]
            self.assertEqual(3, len(keys))
            self.assertEqual(1, len(set(keys)))

    def test_a_daemon_of_another_version(self):
        with Fake(Script(lambda kind, body: [], version=2)) as fake:
            self.ended(fake.client("queue"), 1, "speaks protocol 2, this is 1")

    def test_nonsense_from_the_daemon(self):
        for reply in (struct.pack("<I", 1 << 30), struct.pack("<I", 0), b"\x05\0\0\0\xff\xff\xff\xff\xff",
                      (SHOW_REPLY, b"")):
            with Fake(lambda kind, body: [reply]) as fake:
                done = fake.client("queue")
                self.assertEqual(1, done.returncode, (reply, done.stderr))
                self.assertEqual(1, done.stderr.count("\n"))
        with Fake(lambda kind, body: [b"\x50\0\0\0half", None]) as fake:
            self.ended(fake.client("queue"), 3, "lost")

    def test_queue_pages(self):
        def answer(kind, body):
            after = body.get(3, [0])[0]
            rows = {0: [1, 2], 2: [3], 3: []}[after]
            jobs = [(1, job(QUEUED, i, (18, "needs 4 slots, 1 free"))) for i in rows]
            return [(QUEUE_REPLY, message(*jobs, (2, {0: 2, 2: 3, 3: 0}[after])))]
        with Fake(answer) as fake:
            rows = json.loads(fake.client("queue", "--json", "--state", "held").stdout)
            self.assertEqual([1, 2, 3], [row["id"] for row in rows])
            self.assertEqual("queued", rows[0]["state"])
            self.assertEqual([bytes([HELD])], fake.requests[0][1][2])
            self.assertRegex(fake.client("queue").stdout, r"(?m)^ *3  toy .*needs 4 slots, 1 free$")

    def test_show(self):
        error = message((1, "non-finite"), (2, "loss is NaN"), (3, 1), (4, 17))
        body = job(FAILED, 7, (11, -1.0), (16, error), (20, metric("d_loss", float("nan"))), done=2,
                   step=17)
        with Fake(lambda kind, _: [(SHOW_REPLY, message((1, body)))]) as fake:
            shown = json.loads(fake.client("show", "7", "--json").stdout)
            self.assertLessEqual(
                {"id", "name", "kind", "state", "ranks", "attempts", "epoch", "epochs", "step",
                 "steps_per_epoch", "eta_s", "submitted_at", "started_at", "ended_at",
                 "weights_sha256", "error", "epochs_done"}, set(shown))
            self.assertEqual({"code": "non-finite", "text": "loss is NaN", "rank": 1, "step": 17},
                             shown["error"])
            self.assertEqual("2023-11-14T22:13:20.123Z", shown["submitted_at"])
            for name in ("eta_s", "started_at", "ended_at", "weights_sha256"):
                self.assertIsNone(shown[name], name)
            self.assertEqual({"d_loss": None}, shown["metrics"])
            self.assertEqual({"epoch": 2, "steps": 10, "seconds": 2.5, "samples_per_s": 512.0,
                              "metrics": {"d_loss": 1.25, "g_loss": 0.75}}, shown["epochs_done"][1])
            text = fake.client("show", "7").stdout
            self.assertIn("rank 1, step 17, non-finite: loss is NaN", text)
            self.assertIn("epoch 2/3  d_loss 1.2500  g_loss 0.7500", text)
        with Fake(refuse("not-found", "there is no job 9")) as fake:
            self.ended(fake.client("show", "9"), 1, "there is no job 9")

    def test_events(self):
        def answer(kind, body):
            after = body.get(2, [0])[0]
            if after >= 2:
                return [(EVENTS_REPLY, message((2, after)))]
            row = message((1, after + 1), (2, 7), (3, 1700000000000), (4, 1), (5, "state"),
                          (6, "queued"), (7, "starting"), (8, "slots are free"))
            return [(EVENTS_REPLY, message((1, row), (2, after + 1)))]
        with Fake(answer) as fake:
            rows = json.loads(fake.client("events", "7", "--json").stdout)
            self.assertEqual([1, 2], [row["id"] for row in rows])
            self.assertEqual("starting", rows[0]["to_state"])
            self.assertIn("queued -> starting: slots are free", fake.client("events", "7").stdout)

    def test_changes(self):
        with Fake(lambda kind, body: [(CHANGE, message((1, job(HELD, body[1][0]))))]) as fake:
            for number, name in ((21, "cancel"), (22, "hold"), (23, "release"), (24, "resume")):
                self.assertEqual("job 3 held\njob 4 held\n", fake.client(name, "3", "4").stdout)
                self.assertEqual([number, number], [kind for kind, _ in fake.requests[-2:]])
            fake.client("cancel", "--now", "3")
            self.assertEqual([1], fake.requests[-1][1][2])
        with Fake(refuse("conflict", "job 3 has ended")) as fake:
            self.ended(fake.client("hold", "3"), 1, "job 3 has ended")

    def test_wait_outlives_a_daemon(self):
        with Fake(lambda kind, body: [update(RUNNING), None],
                  lambda kind, body: [update(RUNNING), update(SUCCEEDED, last=True)]) as fake:
            self.ended(fake.client("wait", "7"), 0, "job 7 succeeded")
        error = (16, message((1, "io"), (2, "no disk"), (3, -1), (4, -1)))
        with Fake(lambda kind, body: [update(FAILED, error, last=True)]) as fake:
            done = fake.client("wait", "7")
            self.assertEqual(1, done.returncode)
            self.assertEqual("job 7 failed: io: no disk\n", done.stdout)

    def test_watch_without_a_terminal(self):
        def answer(kind, body):
            if kind == SHOW:
                return [(SHOW_REPLY, message((1, job(RUNNING, done=2, step=20))))]
            two = message((1, message((1, 7), (2, "toy"), (4, RUNNING), (7, 2), (8, 3), (9, 20))))
            return [update(QUEUED, (18, "needs slots")), update(RUNNING, done=1, step=10),
                    (UPDATE, two), update(SUCCEEDED, (15, "ab" * 32), done=3, step=30, last=True)]
        with Fake(answer) as fake:
            done = fake.client("watch", "7")
            self.ended(done, 0)
            lines = done.stdout.splitlines()
            self.assertEqual("job 7 queued: needs slots", lines[0])
            self.assertEqual([1, 2, 3], [int(re.match(r"epoch (\d)/3", line).group(1))
                                         for line in lines if line.startswith("epoch")])
            self.assertEqual("job 7 succeeded  weights_sha256 " + "ab" * 32, lines[-1])
            self.assertNotIn("\033", done.stdout)

    def on_terminal(self, fake, enough, keys=b""):
        """Runs watch on a pty until enough(text), then types; returns (text, exit status)."""
        child, master = pty.fork()
        if child == 0:
            os.execve(CAMBRIAN, [CAMBRIAN, "watch", "7"], fake.environment())
        text, end = b"", time.monotonic() + 20
        while time.monotonic() < end:
            if keys and enough(text):
                os.write(master, keys)
                keys = b""
            if select.select([master], [], [], 0.2)[0]:
                try:
                    piece = os.read(master, 65536)
                except OSError:
                    break
                if not piece:
                    break
                text += piece
        else:
            os.kill(child, signal.SIGKILL)
        os.close(master)
        return text.decode(), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    def test_watch_on_a_terminal(self):
        def answer(kind, body):
            yield update(RUNNING, (11, 83.0), (19, 1234.0), (20, metric("d_loss", 1.5)),
                         (20, metric("g_loss", 0.5)), done=1, step=12)
            time.sleep(0.1)
            yield update(RUNNING, (11, 60.0), (20, metric("d_loss", 1.0)),
                         (20, metric("g_loss", 0.75)), done=1, step=15)
            yield update(SUCCEEDED, done=3, step=30, last=True)
        with Fake(answer) as fake:
            text, status = self.on_terminal(fake, lambda _: False)
        self.assertEqual(0, status, text)
        for words in ("epoch 2/3", "█", "1,234 samples/s", "1m23s left", "D loss", "G loss",
                      "step 12/30", "\033[", "▁", "job 7 succeeded"):
            self.assertIn(words, text)

    def test_ctrl_c_leaves_the_job_running(self):
        def answer(kind, body):
            yield update(RUNNING, step=3)
            time.sleep(15)
        with Fake(answer) as fake:
            text, status = self.on_terminal(fake, lambda text: b"step 3" in text, b"\x03")
            self.assertEqual(0, status)
            self.assertIn("job 7 goes on", text)
            self.assertEqual([WATCH], [kind for kind, _ in fake.requests])

    def test_logs_and_samples(self):
        with Fake(lambda kind, body: chunks(b"one line\nanother\n")) as fake:
            self.assertEqual("one line\nanother\n", fake.client("logs", "-f", "7").stdout)
            self.assertEqual([1], fake.requests[-1][1][3])
            path = os.path.join(fake.home, "grid.png")
            self.ended(fake.client("samples", "7", "-o", path, "--epoch", "2"), 0)
            self.assertEqual("one line\nanother\n", pathlib.Path(path).read_text())
            self.assertEqual([2], fake.requests[-1][1][2])
            self.assertEqual("one line\nanother\n", fake.client("samples", "7", "-o", "-").stdout)
        with Fake(lambda kind, body: [*list(chunks(b"one line"))[:1], None]) as fake:
            path = os.path.join(fake.home, "grid.png")
            self.ended(fake.client("samples", "7", "-o", path), 3, "lost")
            self.assertEqual(["s.sock"], os.listdir(fake.home))

    def test_weights(self):
        data, digest = safetensors()
        for recorded, code in ((digest, 0), ("", 0), ("00" * 32, 1)):
            def answer(kind, body):
                if kind == SHOW:
                    return [(SHOW_REPLY, message((1, job(SUCCEEDED, 7, (15, recorded)))))]
                return chunks(data)
            with Fake(answer) as fake:
                folder = pathlib.Path(fake.home, "a", "b")
                done = fake.client("weights", "7", "-o", str(folder))
                self.ended(done, code, "" if code == 0 else "the job's record says")
                self.assertEqual(["model.safetensors"] if code == 0 else [], os.listdir(folder))
                if code == 0:
                    path = str(folder / "model.safetensors")
                    self.assertEqual(f"{digest}  {path}\n",
                                     fake.client("weights", "--digest", path).stdout)
        done = subprocess.run([CAMBRIAN, "weights", "--digest", CAMBRIAN], capture_output=True,
                              text=True)
        self.ended(done, 1, "no safetensors file")

    def test_status(self):
        body = message((1, "0.1"), (2, 99), (3, 1700000000000), (4, 2), (5, 1), (9, "/s"),
                       (10, "/j"), (14, "disk full"))
        with Fake(lambda kind, _: [(STATUS_REPLY, body)]) as fake:
            self.assertEqual(2, json.loads(fake.client("status", "--json").stdout)["slots"])
            self.assertIn("WARNING          disk full", fake.client("status").stdout)

    def test_a_reader_that_goes_away(self):
        with Fake(lambda kind, body: chunks(b"x" * 3000000, 200000)) as fake:
            process = subprocess.Popen([CAMBRIAN, "logs", "7"], env=fake.environment(),
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            process.stdout.read(10)
            process.stdout.close()
            self.assertIn(b"standard output", process.stderr.read())
            process.stderr.close()
            self.assertEqual(1, process.wait(10))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
