#!/usr/bin/env python3
"""Every loss, penalty and option of kind gan: the same bits for any number of ranks, and after a
kill.  Jobs of a few steps; kills are spread over the cases, so that all of it is quick."""
import json
import os
import pathlib
import signal
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import SLOW, Daemon, outcome  # noqa: E402

EPOCHS = 6
JOB = """\
name: gan
kind: gan
data: {format: glyphs, count: 128, seed: 3}
model:
  latent: 8
  generator:
    - dense: {units: 392, activation: relu}
    - reshape: [7, 7, 8]
    - upsample2d: 4
    - conv2d: {filters: 1, kernel: 3, padding: same, activation: tanh}
  discriminator:
    - conv2d: {filters: 4, kernel: 4, stride: 4, activation: leaky_relu}
    - conv2d: {filters: 8, kernel: 3, stride: 2, padding: same, activation: leaky_relu}
    - flatten
    - dense: {units: 1}
optimizer: {adam: {lr: 1e-3, beta1: 0.5}}
train: {epochs: 6, batch: 16, shards: 4, seed: 7}
checkpoint: {every: 2 steps, keep_last: 2}
retry: {max: 20, backoff: 0s}
"""

# name: (sets, metrics that an epoch has)
CASES = {
    "wasserstein clipped": (["loss={wasserstein: {clip: 0.01}}",
                             "gan={n_critic: 2, critic_start: {steps: 1, n_critic: 3, every: 2}}"], []),
    "wasserstein gradient_penalty": (["loss=wasserstein",
                                      "gan={n_critic: 2, penalties: [gradient_penalty]}"],
                                     ["gradient_penalty"]),
    "relativistic r1 r2 lazy": (["loss=relativistic",
                                 "gan={penalties: [{r1: {weight: 1, every: 3}}, r2]}"],
                                ["r1", "r2"]),
    "hinge dragan spectral": (["loss=hinge", "gan={penalties: [dragan]}",
                               "model.discriminator.0.conv2d.spectral_norm=true",
                               "model.discriminator.3.dense.spectral_norm=true"], ["dragan"]),
    "least squares smoothed": (["loss={least_squares: {label_smoothing: 0.1}}"], []),
    "hinge ema": (["loss=hinge", "gan={ema: {half_life: 40}}", "checkpoint.every=3 steps"], []),
    "augmented": (["gan={augment: [colour, translation, cutout]}"], []),
    "hinge conditional": (["loss=hinge", "gan={conditional: true}"], []),
    "relativistic conditional r1": (["loss=relativistic",
                                     "gan={conditional: true, penalties: [r1]}"], ["r1"]),
    "minimax r1 recurrent": (["loss=minimax", "gan={penalties: [r1]}",
                              "model={latent: 8, generator: [dense: {units: 112, activation: relu}, "
                              "reshape: [28, 4], lstm: {units: 28}, reshape: [28, 28, 1], tanh], "
                              "discriminator: [reshape: [28, 28], gru: {units: 6}, flatten, "
                              "dense: {units: 1}]}"], ["r1"]),
}


POINTS = """\
name: points
kind: gan
data: {format: gaussians, layout: grid, count: 1000, seed: 3}
model:
  latent: 2
  generator:
    - dense: {units: 16, activation: relu}
    - dense: {units: 2}
    - reshape: [1, 1, 2]
  discriminator:
    - flatten
    - dense: {units: 16, activation: leaky_relu}
    - dense: {units: 1}
optimizer: {adam: {lr: 1e-3}}
train: {epochs: 2, batch: 64, shards: 4}
"""


class Gan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.attempts = []
        cls.daemon = Daemon(slots=4)
        cls.daemon.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def run_with(self, sets):
        return self.daemon.finish(self.daemon.submit(JOB, sets=sets))

    def killed(self, sets):
        """A job one of whose ranks was killed on its way."""
        job = self.daemon.submit(JOB, sets=sets)
        self.daemon.until_step(job, 3)
        for pid in self.daemon.processes(job)["worker"][-1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it was over: the equality below holds all the same
        end = self.daemon.finish(job)
        type(self).attempts.append(end["attempts"])
        return end

    def check(self, name):
        sets, metrics = CASES[name]
        one = self.run_with([*sets, "resources.ranks=1"])
        self.assertEqual(EPOCHS, len(one["epochs_done"]))
        for epoch in one["epochs_done"]:
            self.assertEqual({"d_loss", "g_loss", *metrics}, set(epoch["metrics"]))
        self.assertEqual(outcome(one), outcome(self.killed([*sets, "resources.ranks=2"])))
        self.assertEqual(outcome(one), outcome(self.run_with([*sets, "resources.ranks=4"])))


    def test_zz_kills_came_in_time(self):
        """Of some jobs at least: a fast machine may end others before."""
        self.assertTrue(not self.attempts or max(self.attempts) > 1, self.attempts)

    def test_points(self):
        """Samples of the plane: 4,096 lines of CSV, the same for any number of ranks."""
        drawn = set()
        for ranks in (1, 2):
            job = self.daemon.submit(POINTS, sets=[f"resources.ranks={ranks}"])
            self.daemon.finish(job)
            drawn.add(self.daemon.client("samples", job, "-o", "-").stdout)
        text, = drawn
        points = [list(map(float, line.split(","))) for line in text.splitlines()]
        self.assertEqual([4096, {2}], [len(points), set(map(len, points))])
        self.assertGreater(len({x for x, _ in points}), 4000)
        early = self.daemon.client("samples", job, "--epoch", "1", "-o", "-").stdout
        self.assertNotEqual(early, text)

    def test_average_is_saved_beside_the_weights(self):
        """generator_ema has all tensors of generator; its running statistics are copies."""
        norm = "model.generator.0={dense: {units: 392, norm: batch, activation: relu}}"
        job = self.daemon.submit(JOB, sets=["gan={ema: {decay: 0.9}}", norm])
        self.daemon.finish(job)
        path, = self.daemon.job_dir(job).glob("attempts/*/final/model.safetensors")
        data = path.read_bytes()
        size, = struct.unpack("<Q", data[:8])
        names = {name: data[8 + size + at["data_offsets"][0]:8 + size + at["data_offsets"][1]]
                 for name, at in json.loads(data[8:8 + size]).items() if name != "__metadata__"}
        own = {n.split(".", 1)[1]: b for n, b in names.items() if n.startswith("generator.")}
        average = {n.split(".", 1)[1]: b for n, b in names.items() if n.startswith("generator_ema.")}
        self.assertEqual(set(own), set(average))
        self.assertIn("0.norm.running_mean", own)
        for name, value in own.items():
            check = self.assertEqual if "running" in name else self.assertNotEqual
            check(value, average[name], name)


def add(name):
    setattr(Gan, "test_" + name.replace(" ", "_"), lambda self: self.check(name))


for case in list(CASES)[::3 if SLOW > 1 else 1]:  # sanitized builds: some
    add(case)

if __name__ == "__main__":
    unittest.main(verbosity=2)
