"""Real daemons, real mpirun, temporary folders: what the system and fault tests stand on.

    with Daemon(slots=4) as daemon:
        job = daemon.submit(TINY, sets=["train.epochs=2"])
        daemon.wait(job)

Every daemon gets its own folders and socket; leaving the block cancels its jobs, ends it by pid and
checks that no process of any of its jobs is left.  The build folder comes from CAMBRIAN_BUILD.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("CAMBRIAN_BUILD", ROOT / "build")).resolve()
# Sanitized programs start and run several times slower.
SLOW = float(os.environ.get("CAMBRIAN_TEST_SLOW", "1"))
ENDED = ("succeeded", "failed", "cancelled", "interrupted")

# Small, but with every kind of layer: a step takes a few milliseconds.
TINY = """\
name: tiny
kind: gan
data: {format: glyphs, count: 256, seed: 3}
model:
  latent: 16
  generator:
    - dense: {units: 784, activation: relu}
    - reshape: [7, 7, 16]
    - conv2d_transpose: {filters: 8, kernel: 4, stride: 2, padding: same, norm: batch, activation: relu}
    - upsample2d: 2
    - conv2d: {filters: 1, kernel: 3, padding: same, activation: tanh}
  discriminator:
    - conv2d: {filters: 8, kernel: 4, stride: 2, padding: same, activation: leaky_relu}
    - dropout: 0.3
    - conv2d: {filters: 16, kernel: 4, stride: 2, padding: same, norm: batch, activation: leaky_relu}
    - flatten
    - dense: {units: 1}
loss: non_saturating
optimizer: {adam: {lr: 2e-4, beta1: 0.5}}
train: {epochs: 3, batch: 32, shards: 4, seed: 7}
resources: {ranks: 2}
checkpoint: {every: 3 steps, keep_last: 3}
retry: {max: 20, backoff: 0s}
"""


def alive(pid):
    """Whether a process runs: zombies are dead."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def processes_with(text):
    """Living processes whose command line holds text, as {pid: argv}, without this one."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                argv = file.read().decode(errors="replace").split("\0")[:-1]
        except OSError:
            continue
        if any(text in argument for argument in argv) and alive(int(entry)):
            found[int(entry)] = argv
    return found


def until(condition, seconds, what):
    """Polls until condition() is true and returns its value; fails with what after seconds."""
    end = time.monotonic() + seconds * SLOW
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds * SLOW:.0f} s: {what}")
        time.sleep(0.02)


def mpirun_words(ranks, scratch=None):
    """mpirun with everything of Open MPI in scratch; without: in Open MPI's own places."""
    text = subprocess.run(["mpirun", "--version"], capture_output=True, text=True).stdout
    new = int(text.split("(Open MPI) ")[1].split(".")[0]) >= 5
    words = ["mpirun", "-n", str(ranks)]
    words += ["--map-by", ":OVERSUBSCRIBE"] if new else ["--oversubscribe"]
    if os.geteuid() == 0:
        words.append("--allow-run-as-root")
    if scratch is not None:
        shared = "sm" if new else "vader"
        words += ["--bind-to", "none"]
        words += ["--prtemca", "prte_tmpdir_base"] if new else ["--mca", "orte_tmpdir_base"]
        words.append(str(scratch))
        for name, value in (("pml", "ob1"), ("btl", "self," + shared),
                            (f"btl_{shared}_backing_directory", scratch),
                            ("osc_sm_backing_directory", scratch)):
            words += ["--mca", name, str(value)]
    return words


class Daemon:
    def __init__(self, slots=4, env=None, build=BUILD, jobs_dir=None, state_dir=None, args=()):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="cambrian-test-"))
        self.build = pathlib.Path(build)
        self.state = pathlib.Path(state_dir or self.home / "state")
        self.jobs = pathlib.Path(jobs_dir or self.state / "jobs")
        self.socket = self.home / "s.sock"
        self.slots = slots
        self.args = list(args)
        self.env = dict(os.environ, CAMBRIAN_SOCKET=str(self.socket), **(env or {}))
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        try:
            for job in self.queue():
                if job["state"] not in ENDED:
                    self.client("cancel", "--now", str(job["id"]), check=False)
            until(lambda: all(j["state"] in ENDED for j in self.queue()), 20, "all jobs ended")
            until(lambda: not processes_with(f"{self.jobs}/"), 5, "no process of a job is left")
        finally:
            if kind is not None:
                self.print_logs()
            self.stop()
            for pid in processes_with(f"{self.jobs}/"):
                os.kill(pid, signal.SIGKILL)
            shutil.rmtree(self.home, ignore_errors=True)

    def command(self):
        return [str(self.build / "daemon" / "cambriand"), "--foreground", "--state-dir",
                str(self.state), "--jobs-dir", str(self.jobs), "--socket", str(self.socket),
                "--slots", str(self.slots), *self.args]

    def start(self, **how):
        """how: Popen's own options."""
        log = open(self.home / "daemon.log", "ab")
        self.process = subprocess.Popen(self.command(), stderr=log, stdout=log, env=self.env,
                                        stdin=subprocess.DEVNULL, **how)
        log.close()
        until(lambda: self.process.poll() is not None or
              self.client("status", check=False).returncode == 0, 20, "the daemon answers")
        if self.process.poll() is not None:
            raise AssertionError("the daemon ended: " + self.log())

    def stop(self, sig=signal.SIGTERM):
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the daemon ended by itself: {self.process.returncode}\n"
                                 f"{self.log()}")
        if self.process is not None:
            self.process.send_signal(sig)
            try:
                self.process.wait(timeout=20 * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def kill(self):
        self.stop(signal.SIGKILL)

    def log(self):
        path = self.home / "daemon.log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def print_logs(self):
        print("--- daemon\n" + self.log())
        for log in sorted(self.jobs.glob("*/attempts/*/log")):
            print(f"--- {log}\n" + log.read_text(errors="replace")[-1500:])

    def client(self, *args, check=True, input=None, timeout=120, env=None):
        done = subprocess.run([str(self.build / "client" / "cambrian"), *map(str, args)],
                              capture_output=True, text=True, input=input,
                              env=dict(self.env, **(env or {})), timeout=timeout * SLOW)
        if check and done.returncode != 0:
            raise AssertionError(f"cambrian {' '.join(map(str, args))}: exit {done.returncode}\n"
                                 f"{done.stdout}{done.stderr}")
        return done

    def write(self, text, name="job.yaml"):
        path = self.home / name
        path.write_text(text)
        return path

    def submit(self, text=TINY, sets=(), args=(), name="job.yaml"):
        words = ["submit", str(self.write(text, name)), *args]
        for pair in sets:
            words += ["--set", pair]
        out = self.client(*words).stdout
        assert out.strip().isdigit(), f"submit prints the id alone, not {out!r}"
        return int(out)

    def refuse(self, text, sets=(), name="job.yaml"):
        """Submits what must be refused; returns the message."""
        words = ["submit", str(self.write(text, name))]
        for pair in sets:
            words += ["--set", pair]
        done = self.client(*words, check=False)
        assert done.returncode == 1, f"exit {done.returncode}, wanted 1: {done.stdout}{done.stderr}"
        assert done.stdout == "", f"a refusal prints nothing on stdout: {done.stdout!r}"
        return done.stderr

    def show(self, job):
        return json.loads(self.client("show", job, "--json").stdout)

    def queue(self):
        return json.loads(self.client("queue", "--all", "--json").stdout)

    def events(self, job):
        return json.loads(self.client("events", job, "--json").stdout)

    def until_state(self, job, states, seconds=60):
        states = (states,) if isinstance(states, str) else states
        until(lambda: self.show(job)["state"] in states, seconds, f"job {job} is {states}: "
              f"{self.show(job)['state']}")
        return self.show(job)

    def until_step(self, job, step, seconds=60):
        """Waits until the job has done a step (or has ended)."""
        def reached():
            now = self.show(job)
            return now if now["step"] >= step or now["state"] in ENDED else None
        return until(reached, seconds, f"job {job} reaches step {step}: {self.show(job)}")

    def finish(self, job, seconds=90):
        """Waits for success and returns show's object."""
        end = self.until_state(job, ENDED, seconds)
        assert end["state"] == "succeeded", f"job {job}: {end['state']}: {end['error']}"
        return end

    def job_dir(self, job):
        return self.jobs / str(job)

    def attempt_dir(self, job):
        """The newest attempt's folder."""
        return max((self.job_dir(job) / "attempts").iterdir(), key=lambda p: int(p.name))

    def processes(self, job):
        """{"shim": [pids], "mpirun": [...], "worker": [...]} of a job."""
        kinds = {"shim": [], "mpirun": [], "worker": []}
        for pid, argv in processes_with(f"{self.job_dir(job)}").items():
            name = os.path.basename(argv[0])
            kind = {"cambrian-shim": "shim", "cambrian-worker": "worker"}.get(name, "mpirun")
            kinds[kind].append(pid)
        return kinds


def outcome(shown):
    """What must be equal wherever and however often a job is run."""
    return (shown["weights_sha256"],
            [(e["epoch"], e["steps"], e["metrics"]) for e in shown["epochs_done"]])
