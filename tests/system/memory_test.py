#!/usr/bin/env python3
"""What `check` says a rank holds, against what it held: the peak of a worker less that of the same
worker on next to nothing, by the difference of what check says of both (ENGINE.md, P7).  Every
preset at a size of 200 MiB and more; CAMBRIAN_TEST_MEMORY_ALL=1 runs all of them, otherwise
those that are quick."""
import json
import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, SLOW  # noqa: E402
from presets_test import idx  # noqa: E402
from worker_test import Job  # noqa: E402

ALL = "CAMBRIAN_TEST_MEMORY_ALL" in os.environ
BOUND = 0.02
LEAST = 200 << 20

TRAIN = "train: {epochs: 1, batch: %d, shards: 2, seed: 1, steps_per_epoch: 2}\n"
HINGE = "loss: hinge\n"
LAZY = HINGE + ("gan: {penalties: [{r1: {weight: 10, every: 2}}],"
                " ema: {decay: 0.99}}\n")
ADAM = "optimizer: {adam: {lr: 1e-4}}\n"
GAN = ("name: gan\nkind: gan\ndata: {format: glyphs, count: 64}\n"
       "model:\n  latent: 64\n  generator: {preset: %s}\n  discriminator: {preset: %s}\n")
CLASSIFY = ("name: classify\nkind: finetune\nrecipe: classification\n"
            "data: {format: idx, images: images.idx, labels: labels.idx}\n"
            "model: {encoder: {preset: %s, classes: 10}}\n")
TEXT = ("name: text\nkind: pretrain\nrecipe: causal_lm\n"
        "data: {format: text, path: input.txt, length: 64, split: 1}\n"
        "model: {encoder: {preset: %s}%s}\n")

SAMPLES = 64
HEAD = ", head: [{dense: {units: 9}}]"  # of as many tokens as the text has


def gan(preset, batch, extra="", other=None):
    return GAN % (preset, other or preset) + extra + ADAM + TRAIN % batch


def classify(preset, batch):
    return CLASSIFY % preset + ADAM + TRAIN % batch


def text(preset, batch, head=""):
    return TEXT % (preset, head) + ADAM + TRAIN % batch


# name: (job, the same at a size of next to nothing, ranks, whether always)
CASES = {
    "dcgan": (gan("dcgan, width: 160", 16), gan("dcgan, width: 4", 2), 1, True),
    "dcgan on 2 ranks": (gan("dcgan, width: 192", 32), gan("dcgan, width: 4", 2), 2, False),
    "classic": (gan("classic, width: 128", 32), gan("classic, width: 2", 2), 1, False),
    "sngan_resnet": (gan("sngan_resnet, width: 128", 8, HINGE), gan("sngan_resnet, width: 4", 2, HINGE),
                     1, False),
    "sngan_resnet with lazy R1, EMA": (
        gan("sngan_resnet, width: 128", 8, LAZY), gan("sngan_resnet, width: 4", 2, LAZY), 1, False),
    "mlp": (classify("mlp, width: 2048", 16), classify("mlp, width: 4", 2), 1, True),
    "unet_decoder": (gan("unet_decoder, width: 128", 16, "", "mlp, width: 64"),
                     gan("unet_decoder, width: 4", 2, "", "mlp, width: 4"), 1, False),
    "vgg11": (classify("vgg11, hidden: 512", 8), classify("vgg11, width: 4, hidden: 4", 2), 1, False),
    "vgg16": (classify("vgg16, hidden: 512, batch_norm: true", 8),
              classify("vgg16, width: 4, hidden: 4, batch_norm: true", 2), 1, False),
    "resnet18": (classify("resnet18, stem: small", 8),
                 classify("resnet18, stem: small, width: 4", 2), 1, False),
    "resnet50": (classify("resnet50, stem: small", 4),
                 classify("resnet50, stem: small, width: 4", 2), 1, False),
    "vit": (classify("vit, width: 256, heads: 4, layers: 6, patch: 4", 8),
            classify("vit, width: 8, heads: 2, layers: 1, patch: 8", 2), 1, False),
    "gpt": (text("gpt, width: 384, heads: 6, layers: 6", 4),
            text("gpt, width: 8, heads: 2, layers: 1", 2), 1, True),
    "bert": (text("bert, width: 256, heads: 4, layers: 6", 8, HEAD),
             text("bert, width: 8, heads: 2, layers: 1", 2, HEAD), 1, False),
    "lstm_lm": (text("lstm_lm, width: 640, layers: 2", 8), text("lstm_lm, width: 8, layers: 2", 2),
                1, True),
}
# Those outside the bound, see docs/BENCHMARKS.md.
BOUNDS = {"gpt": 0.04, "lstm_lm": 0.2}


@unittest.skipIf(SLOW > 1, "sanitizers keep memory of their own")
class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        rng = random.Random(1)
        cls.files = {
            "images.idx": idx((SAMPLES, 32, 32, 3), rng.randbytes(SAMPLES * 32 * 32 * 3)),
            "labels.idx": idx((SAMPLES,), bytes(i % 10 for i in range(SAMPLES))),
            "input.txt": "".join(rng.choice("abcdefgh ") for _ in range(20000)).encode()}

    def figures(self, job_text, ranks):
        """What check says and what rank 0 held, bytes."""
        sets = [f"resources.ranks={ranks}"]
        job = Job(sets, job_text)
        self.addCleanup(job.close)
        for name, content in self.files.items():
            (job.folder / name).write_bytes(content)
        checked = subprocess.run(
            [BUILD / "client" / "cambrian", "check", job.folder / "job.yaml", "--json",
             "--set", sets[0]], stdout=subprocess.PIPE, check=True)
        plan = json.loads(checked.stdout)
        self.assertEqual(0, job.run(ranks=ranks, lanes=plan["lanes"]), job.log())
        return plan, job.outcome()["peak_bytes"]

    def check(self, name):
        big, small, ranks, _ = CASES[name]
        least, floor = self.figures(small, ranks)
        plan, peak = self.figures(big, ranks)
        planned = plan["rank_bytes"] - least["rank_bytes"]
        ratio = (peak - floor) / planned
        parts = " ".join(f"{key[:-6]} {plan[key] / 1e6:.0f}" for key in plan
                         if key.endswith("_bytes") and key not in ("rank_bytes", "traffic_bytes"))
        print(f"{name:31} planned {planned / 1e6:7.1f} MB, held {(peak - floor) / 1e6:7.1f} MB: "
              f"{100 * (ratio - 1):+5.1f} %   ({parts})", flush=True)
        self.assertGreater(plan["rank_bytes"], LEAST, "ENGINE.md measures jobs of this at least")
        self.assertAlmostEqual(1.0, ratio, delta=BOUNDS.get(name, BOUND))


def add(name):
    def test(self):
        self.check(name)
    setattr(Memory, "test_" + name.replace(" ", "_").replace(",", ""), test)


for case, (_, _, _, always) in CASES.items():
    if ALL or always:
        add(case)

if __name__ == "__main__":
    unittest.main(verbosity=1)
