#!/usr/bin/env python3
"""Networks other than GANs through the whole service: the same bits, resumed, judged, and learning."""
import json
import os
import pathlib
import random
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon, outcome  # noqa: E402

# 9 shards of validation with the last one padded: 135 samples in shards of 16.
CLASSIFIER = """\
name: glyphs-classifier
kind: finetune
recipe: classification
data: {format: glyphs, count: 903, validation_fraction: 0.15}
model:
  head:
    - dense: {units: 10}
  encoder:
    - conv2d: {filters: 16, kernel: 3, stride: 2, padding: same, norm: batch, activation: relu}
    - conv2d: {filters: 32, kernel: 3, stride: 2, padding: same, norm: batch, activation: relu}
    - flatten
    - dropout: 0.2
optimizer: {adam: {lr: 2e-3}}
train: {epochs: 5, batch: 64, shards: 4, seed: 1}
checkpoint: {every: 3 steps}
retry: {max: 20, backoff: 0s}
"""

LANGUAGE = """\
name: text
kind: pretrain
recipe: causal_lm
data: {format: text, path: input.txt, length: 16}
model:
  encoder:
    - embedding: {vocabulary: 28, units: 16, name: tokens}
    - positions
    - transformer_block: {heads: 2, causal: true, dropout: 0.1}
    - lstm: {units: 16}
    - dense: {units: 28}
optimizer: {adam: {lr: 2e-3}}
train: {epochs: 4, batch: 32, shards: 4, seed: 1, steps_per_epoch: 20}
checkpoint: {every: 7 steps}
retry: {max: 20, backoff: 0s}
"""


def words(count):
    """A text of a few words, one of them not ASCII."""
    rng = random.Random(1)
    return " ".join(rng.choice("the quick brown fox jumps over a lazy dog né".split())
                    for _ in range(count))


class Recipes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(slots=4)
        cls.daemon.__enter__()
        (cls.daemon.home / "input.txt").write_text(words(3000), encoding="utf-8")

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def run_job(self, text, *sets):
        return self.daemon.finish(self.daemon.submit(text, sets=sets))

    def same_bits(self, text):
        reference = self.run_job(text, "resources.ranks=1")
        for ranks in (2, 3, 4):
            self.assertEqual(outcome(reference),
                             outcome(self.run_job(text, f"resources.ranks={ranks}")), ranks)
        return reference

    def killed(self, text):
        job = self.daemon.submit(text, sets=["train.epochs=12", "resources.ranks=2"])
        for step in (8, 30):
            self.daemon.until_step(job, step)
            for pid in self.daemon.processes(job)["worker"][:1]:
                os.kill(pid, signal.SIGKILL)
        return self.daemon.finish(job)

    def test_classifier(self):
        shown = self.same_bits(CLASSIFIER)
        for epoch in shown["epochs_done"]:
            self.assertEqual({"loss", "accuracy", "val_loss", "val_accuracy"}, set(epoch["metrics"]))
        last = shown["epochs_done"][-1]["metrics"]
        self.assertGreater(last["val_accuracy"], 0.95)
        self.assertLess(last["val_loss"], 0.3)
        whole = last["val_accuracy"] * 135  # every sample once: a whole number of right ones
        self.assertAlmostEqual(round(whole), whole, places=3)

    def test_classifier_is_killed(self):
        self.assertEqual(outcome(self.run_job(CLASSIFIER, "train.epochs=12")),
                         outcome(self.killed(CLASSIFIER)))

    def test_language_is_killed(self):
        self.assertEqual(outcome(self.run_job(LANGUAGE, "train.epochs=12")),
                         outcome(self.killed(LANGUAGE)))

    def test_language(self):
        shown = self.same_bits(LANGUAGE)
        self.assertEqual(20, shown["steps_per_epoch"])
        for epoch in shown["epochs_done"]:
            m = epoch["metrics"]
            self.assertEqual({"loss", "bits_per_character", "val_loss", "val_bits_per_character"},
                             set(m))
            self.assertAlmostEqual(m["val_bits_per_character"] * 0.6931471805599453, m["val_loss"],
                                   places=5)
        self.assertLess(shown["epochs_done"][-1]["metrics"]["val_loss"],
                        shown["epochs_done"][0]["metrics"]["val_loss"])
        folder = self.daemon.home / "weights"
        said = self.daemon.client("weights", shown["id"], "-o", folder).stdout.split()
        self.assertEqual([str(folder / "model.safetensors"), str(folder / "vocabulary.json")], said)
        vocabulary = json.loads((folder / "vocabulary.json").read_text())
        self.assertEqual({"kind": "characters", "tokens": sorted(set(words(3000)))}, vocabulary)
        beside = self.daemon.attempt_dir(shown["id"]).glob("checkpoints/*/vocabulary.json")
        for path in [*beside, self.daemon.attempt_dir(shown["id"]) / "final/vocabulary.json"]:
            self.assertEqual(vocabulary, json.loads(path.read_text()))

    def test_language_with_schedule_and_clipping(self):
        text = LANGUAGE.replace("{adam: {lr: 2e-3}}",
                                "{adamw: {lr: 4e-3, beta2: 0.95, weight_decay: 0.1, clip_norm: 1.0, "
                                "warmup: 10, schedule: {linear: {steps: 70, to: 1e-3}}}}")
        shown = self.same_bits(text)
        rates = [epoch["metrics"]["lr"] for epoch in shown["epochs_done"]]
        # t = 60 ... 79 are s = 50 ... 69 of 70 steps: 59.5 / 70 of the way on the mean
        self.assertAlmostEqual(4e-3 - 3e-3 * 59.5 / 70, rates[3])
        self.assertEqual(rates[1:], sorted(rates[1:], reverse=True))

    def test_one_batch_is_learned_by_heart(self):
        job = CLASSIFIER.replace("count: 903, validation_fraction: 0.15", "count: 64").replace(
            "    - dropout: 0.2\n", "")
        last = self.run_job(job, "train.epochs=60")["epochs_done"][-1]["metrics"]
        self.assertEqual({"loss", "accuracy"}, set(last))
        self.assertLess(last["loss"], 0.02)
        self.assertEqual(1, last["accuracy"])

    def test_smoothing_is_of_training_alone(self):
        plain = self.run_job(CLASSIFIER, "train.epochs=1")["epochs_done"][0]["metrics"]
        smooth = self.run_job(CLASSIFIER, "train.epochs=1",
                              "train.label_smoothing=0.2")["epochs_done"][0]["metrics"]
        self.assertNotEqual(plain["loss"], smooth["loss"])

    def test_no_samples(self):
        job = self.run_job(CLASSIFIER, "train.epochs=1")["id"]
        done = self.daemon.client("samples", job, "-o", "-", check=False)
        self.assertEqual(1, done.returncode)
        self.assertIn("is of kind finetune, which draws no samples", done.stderr)
        self.assertIn("val_loss", self.daemon.client("queue", "--all").stdout)

    def test_refusals(self):
        bad = self.daemon.home / "bad.txt"
        for content, sets, expected in (
                (b"", [], "job.yaml:4: data path %s: is empty"),
                (b"abcd\xff" * 9, [], "job.yaml:4: data path %s: byte 4 (ff) is not UTF-8"),
                (b"short", [], "4 characters to train on, data.length 16 needs at least 17"),
                (b"abc" * 20, ["data.split=0.99"], "leaves 1 characters for validation"),
                (b"abc" * 99, [], "encoder")):
            with self.subTest(content=content[:8], sets=sets):
                bad.write_bytes(content)
                job = LANGUAGE.replace("input.txt", "bad.txt")
                if "encoder" in expected:
                    job = job.replace("units: 28}\nopt", "units: 2}\nopt").replace("batch: 32", "batch: 4")
                    expected = "encoder gives (16, 2) a sample, logits of (16, 3) are expected"
                said = self.daemon.refuse(job, sets=sets)
                self.assertIn(expected.replace("%s", str(bad)), said)
        for text, sets, expected in (
                (CLASSIFIER, ["data={format: text, path: input.txt}"], "data are text"),
                (LANGUAGE.replace("vocabulary: 28", "vocabulary: 9"), [],
                 "encoder.tokens has a vocabulary of 9, the text has 28 different tokens"),
                (LANGUAGE, ["data=glyphs"], "data are images, recipe causal_lm trains on text"),
                (CLASSIFIER, ["model.head=[{dense: {units: 9}}]"],
                 "head gives (9) a sample, logits of (10) are expected"),
                (CLASSIFIER, ["data.validation_fraction=0.0001"], "of 903 samples are 0; at least one"),
                (CLASSIFIER, ["train.steps_per_epoch=13"], "an epoch of the data has 12 steps"),
                (CLASSIFIER, ["optimizer={encoder: adam, head: sgd}"],
                 "recipe classification updates all parts together"),
                (CLASSIFIER, ["train.label_smoothing=1"], "leaves nothing of the labels"),
                (CLASSIFIER, ["recipe=causal_lm"], "it belongs to pretrain")):
            with self.subTest(sets=sets):
                self.assertIn(expected, self.daemon.refuse(text, sets=sets))


if __name__ == "__main__":
    unittest.main(verbosity=2)
