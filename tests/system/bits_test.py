#!/usr/bin/env python3
"""The weights are a function of the job file and the data, and of nothing else (promise P2)."""
import os
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon, outcome  # noqa: E402


class SameBits(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(slots=4)
        cls.daemon.__enter__()
        cls.reference = outcome(cls.daemon.finish(cls.daemon.submit(sets=["resources.ranks=1"])))

    @classmethod
    def tearDownClass(cls):
        cls.daemon.__exit__(*sys.exc_info())

    def run_with(self, sets):
        return outcome(self.daemon.finish(self.daemon.submit(sets=sets)))

    def test_ranks(self):
        for ranks in (2, 3, 4):
            with self.subTest(ranks=ranks):
                self.assertEqual(self.reference, self.run_with([f"resources.ranks={ranks}"]))

    def test_ranks_where_norms_are_asked_for(self):
        """Clipping by norm and LARS: sums over all blocks, whoever owns them."""
        for optimizer in ("adamw: {lr: 2e-3, beta1: 0.5, clip_norm: 0.5, warmup: 4, "
                          "schedule: {cosine: {steps: 20}}}",
                          "lars: {lr: 0.5, eta: 0.02, weight_decay: 1e-4, clip_value: 0.5}"):
            sets = [f"optimizer={{{optimizer}}}", "train.epochs=1"]
            wanted = self.run_with(sets + ["resources.ranks=1"])
            self.assertNotEqual(self.reference[0], wanted[0])
            for ranks in (2, 3, 4):
                with self.subTest(optimizer=optimizer, ranks=ranks):
                    self.assertEqual(wanted, self.run_with(sets + [f"resources.ranks={ranks}"]))
        with self.subTest(collectives="messages"):
            self.assertEqual(wanted, self.run_with(
                sets + ["resources.ranks=3", "env.CAMBRIAN_COLLECTIVES=messages"]))

    def test_ranks_of_layers_that_keep_or_draw_something(self):
        """Vectors of spectral norms, dropout inside blocks, groups of samples."""
        sets = ["train.epochs=1", "model.generator=["
                "dense: {units: 196, spectral_norm: true}, reshape: [14, 14], "
                "lstm: {units: 8, layers: 2, dropout: 0.2, bidirectional: true}, "
                "transformer_block: {heads: 2, dropout: 0.1}, dense: {units: 56}, "
                "reshape: [28, 28, 1], batch_norm, tanh]",
                "model.discriminator=["
                "conv2d: {filters: 8, kernel: 4, stride: 2, spectral_norm: true, activation: gelu}, "
                "residual: [group_norm: 2, conv2d: {filters: 8, kernel: 3, padding: same, "
                "spectral_norm: true}], max_pool2d, minibatch_stddev: 2, dropout: 0.2, flatten, "
                "dense: {units: 1, spectral_norm: true}]"]
        wanted = self.run_with(sets + ["resources.ranks=1"])
        for ranks in (2, 3, 4):
            with self.subTest(ranks=ranks):
                self.assertEqual(wanted, self.run_with(sets + [f"resources.ranks={ranks}"]))

    def test_omp_threads(self):
        for threads in (1, 2, 7):
            with self.subTest(OMP_NUM_THREADS=threads):
                self.assertEqual(self.reference, self.run_with(
                    ["resources.ranks=2", f"env.OMP_NUM_THREADS=\"{threads}\""]))

    def test_seed_and_epochs_matter(self):
        other_seed = self.run_with(["train.seed=8"])
        fewer = self.run_with(["train.epochs=2"])
        self.assertNotEqual(self.reference[0], other_seed[0])
        self.assertNotEqual(self.reference[0], fewer[0])
        self.assertEqual(self.reference[1][:2], fewer[1])

    def test_other_compiler(self):
        build = os.environ.get("CAMBRIAN_OTHER_BUILD", "")
        if not build:
            self.skipTest("no second build named by CAMBRIAN_OTHER_BUILD")
        with Daemon(slots=4, build=build) as daemon:
            self.assertEqual(self.reference, outcome(daemon.finish(daemon.submit())))

    def test_cancel_and_resume(self):
        job = self.daemon.submit(sets=["train.epochs=30"])
        self.daemon.until_step(job, 5)
        self.daemon.client("cancel", job)
        stopped = self.daemon.until_state(job, "cancelled")
        self.assertGreater(stopped["step"], 0)
        self.assertLess(stopped["step"], 30 * stopped["steps_per_epoch"])
        self.daemon.client("resume", job)
        resumed = outcome(self.daemon.finish(job))
        self.assertEqual(self.run_with(["train.epochs=30"]), resumed)


if __name__ == "__main__":
    unittest.main(verbosity=2)
