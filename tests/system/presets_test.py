#!/usr/bin/env python3
"""Every preset trains a few steps through the whole service, on one rank and on two with the same
bits.  Tiny sizes of each: their full ones are counted in unit/model/presets_test.c."""
import math
import pathlib
import random
import re
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import SLOW, Daemon, ROOT, outcome  # noqa: E402

TRAIN = """\
optimizer: {adam: {lr: 1e-3}}
train: {epochs: 2, batch: 8, shards: 2, seed: 1, steps_per_epoch: 2}
"""
SQUARES = "data: {format: idx, images: images.idx, labels: labels.idx}\n"
GAN = "name: gan\nkind: gan\ndata: {format: glyphs, count: 32}\n" + TRAIN
CLASSIFY = "name: classify\nkind: finetune\nrecipe: classification\n" + SQUARES + TRAIN
TEXT = ("name: text\nkind: pretrain\nrecipe: causal_lm\n"
        "data: {format: text, path: input.txt, length: 16}\n") + TRAIN
ENCODER = "model:\n  encoder: {preset: %s}\n"
PARTS = "model:\n  latent: 8\n  generator: {preset: %s}\n  discriminator: %s\n"
DENSE = "[flatten, {dense: {units: 1}}]"

# preset: job files
CASES = {
    "dcgan": [GAN + PARTS % ("dcgan, width: 4", "{preset: dcgan, width: 4}")],
    "classic": [GAN + PARTS % ("classic, width: 2", "{preset: classic, width: 2}")],
    "sngan_resnet": [
        GAN + PARTS % ("sngan_resnet, width: 4", "{preset: sngan_resnet, width: 4}") + "loss: hinge\n",
        GAN.replace("data: {format: glyphs, count: 32}\n", SQUARES) +
        PARTS % ("sngan_resnet, width: 4", "{preset: sngan_resnet, width: 4}") + "loss: hinge\n"],
    "mlp": [GAN + PARTS % ("mlp, width: 16", "{preset: mlp, width: 16}"),
            CLASSIFY + ENCODER % "mlp, width: 16, dropout: 0.2" + "  head: {preset: mlp, width: 8}\n",
            CLASSIFY + ENCODER % "mlp, width: 16, classes: 10"],
    "unet_decoder": [GAN + PARTS % ("unet_decoder, width: 4", DENSE)],
    "resnet50": [CLASSIFY + ENCODER % "resnet50, width: 4, classes: 10"],
    "vit": [CLASSIFY + ENCODER % "vit, width: 8, heads: 2, layers: 2, patch: 8, classes: 10"],
    "gpt": [TEXT + ENCODER % "gpt, width: 8, heads: 2, layers: 2, dropout: 0.1",
            TEXT + ENCODER % "gpt, width: 8, heads: 2, layers: 2, use_bias: false, activation: gelu"],
    "bert": [TEXT + ENCODER % "bert, width: 8, heads: 2, layers: 2" + "  head: {preset: mlp, width: 8}\n"],
    "lstm_lm": [TEXT + ENCODER % "lstm_lm, width: 8",
                TEXT + ENCODER % "lstm_lm, width: 8, tied: true"],
}
for depth in (11, 13, 16, 19):
    CASES[f"vgg{depth}"] = [CLASSIFY + ENCODER % (
        f"vgg{depth}, width: 4, hidden: 8, batch_norm: {str(depth == 16).lower()}, classes: 10")]
for depth in (18, 34):
    CASES[f"resnet{depth}"] = [
        CLASSIFY + ENCODER % f"resnet{depth}, stem: small, width: 4" + "  head: [{dense: {units: 10}}]\n"]


def idx(kind_sizes, values):
    """A file in MNIST's format of bytes."""
    return struct.pack(f">HBB{len(kind_sizes)}I", 0, 8, len(kind_sizes), *kind_sizes) + values


class Presets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(slots=4)
        cls.daemon.__enter__()
        rng = random.Random(1)
        home = cls.daemon.home
        (home / "input.txt").write_text("".join(rng.choice("abcdefgh ") for _ in range(3000)))
        (home / "images.idx").write_bytes(idx((32, 32, 32, 3), rng.randbytes(32 * 32 * 32 * 3)))
        (home / "labels.idx").write_bytes(idx((32,), bytes(i % 10 for i in range(32))))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def check(self, text):
        jobs = [self.daemon.submit(text, sets=[f"resources.ranks={ranks}"]) for ranks in (1, 2)]
        one, two = [self.daemon.finish(job) for job in jobs]
        self.assertEqual(2, len(one["epochs_done"]))
        for epoch in one["epochs_done"]:
            for name, value in epoch["metrics"].items():
                self.assertTrue(math.isfinite(value), (name, value))
        self.assertEqual(outcome(one), outcome(two))

    def test_all_are_here(self):
        rows = re.search(r"(?ms)^## Presets$(.*?)^## ", (ROOT / "docs/JOBFILE.md").read_text()).group(1)
        self.assertEqual(set(re.findall(r"(?m)^\| `(\w+)` \|", rows)), set(CASES))


def add(name):
    def test(self):
        for text in CASES[name]:
            self.check(text)
    setattr(Presets, "test_" + name, test)


for preset in list(CASES)[::3 if SLOW > 1 else 1]:  # sanitized builds: some
    add(preset)

if __name__ == "__main__":
    unittest.main(verbosity=2)
