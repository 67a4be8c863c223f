#!/usr/bin/env python3
"""How good are the digits?  Each loss on MNIST for some minutes, judged by a network trained on it.

    CAMBRIAN_BUILD=b tests/recipes/mnist.py --data /DATA/mnist                 all losses, 3 seeds
    tests/recipes/mnist.py --data /DATA/mnist --losses hinge --seeds 1 --minutes 3
    tests/recipes/mnist.py --glyphs --minutes 0.2                              drawn digits: a try

Prints a table: the least and the largest share of a class among 10,000 samples, the Frechet distance
of the judge's 64 features (f64, against the test set), precision and recall by 3 neighbours, and the
mean distance of 1,000 samples to the nearest training image beside that of 1,000 test images
(cambrian-judge says what each is).  Steps are as many as fit into the minutes at the speed of a short
first run.  Exit 1: the judge is right on less than 99 %, or a class is below 5 % or above 15 %.
"""
import argparse
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import BUILD, Daemon  # noqa: E402

ACCURACY_LEAST = 0.99
SHARE_LEAST, SHARE_MOST = 0.05, 0.15
TRIAL_STEPS = 40
EPOCHS = 10  # of the run, however long

JUDGE = """\
name: mnist-judge
kind: finetune
recipe: classification
data: DATA
model:
  encoder:
    - conv2d: {filters: 32, kernel: 3, padding: same, norm: batch, activation: relu}
    - max_pool2d: 2
    - conv2d: {filters: 64, kernel: 3, padding: same, norm: batch, activation: relu}
    - max_pool2d: 2
    - flatten
    - dropout: 0.3
    - dense: {units: 64, activation: relu}
  head:
    - dense: {units: 10}
optimizer:
  adamw: {lr: 2e-3, weight_decay: 1e-2, warmup: 100, schedule: {cosine: {to: 0, steps: 1872}}}
train: {epochs: 4, batch: 128, shards: 8, seed: 1}
"""

GAN = """\
name: mnist-gan
kind: gan
data: DATA
model:
  latent: 64
  generator:
    - dense: {units: 6272, activation: relu}
    - reshape: [7, 7, 128]
    - conv2d_transpose: {filters: 64, kernel: 4, stride: 2, padding: same, norm: batch, activation: relu}
    - conv2d_transpose: {filters: 1, kernel: 4, stride: 2, padding: same, activation: tanh}
  discriminator:
    - conv2d: {filters: 64, kernel: 4, stride: 2, padding: same, activation: leaky_relu}
    - conv2d: {filters: 128, kernel: 4, stride: 2, padding: same, activation: leaky_relu}
    - flatten
    - dense: {units: 1}
gan: {ema: {half_life: 10000}}
optimizer: {adam: {lr: 2e-4, beta1: 0.5}}
train: {epochs: 10, batch: 64, shards: 4}
"""

SPECTRAL = ["model.discriminator.0.conv2d.spectral_norm=true",
            "model.discriminator.1.conv2d.spectral_norm=true",
            "model.discriminator.3.dense.spectral_norm=true"]
# What each loss adds to the job.
LOSSES = {
    "minimax": ["loss=minimax"],
    "non_saturating": ["loss=non_saturating", "gan.penalties=[{r1: {weight: 1}}]"],
    "least_squares": ["loss=least_squares"],
    "wasserstein": ["loss={wasserstein: {clip: 0.01}}", "gan.n_critic=5",
                    "optimizer={rmsprop: {lr: 5e-5}}"],
    "wgan_gp": ["loss=wasserstein", "gan.penalties=[{gradient_penalty: {weight: 10}}]",
                "gan.n_critic=5"],
    "hinge": ["loss=hinge", *SPECTRAL],
    "relativistic": ["loss=relativistic",
                     "gan.penalties=[{r1: {weight: 1}}, {r2: {weight: 1}}]"],
}


def data_of(options, judge):
    """The value of `data` for the judge or a GAN."""
    if options.glyphs:
        kept_out = ", validation_fraction: 0.25" if judge else ""
        seed = 1 if judge else 2  # test images that no GAN is trained on
        return f"{{format: glyphs, count: 8000, seed: {seed}{kept_out}}}"
    folder = pathlib.Path(options.data).resolve()
    text = f"{{format: idx, images: {folder}/train-images-idx3-ubyte.gz"
    text += f", labels: {folder}/train-labels-idx1-ubyte.gz"
    if judge:
        text += f", validation: {{images: {folder}/t10k-images-idx3-ubyte.gz"
        text += f", labels: {folder}/t10k-labels-idx1-ubyte.gz}}"
    return text + "}"


def trained(daemon, text, sets, folder):
    """Runs a job to its end: (its weights, show's object)."""
    job = daemon.submit(text, sets=sets)
    end = daemon.finish(job, seconds=6 * 3600)
    weights = daemon.home / folder
    daemon.client("weights", job, "-o", weights)
    return weights / "model.safetensors", end


def steps_within(daemon, text, sets, minutes):
    """(epochs, steps an epoch) that take so long, by the speed of a short run."""
    short = [*sets, "train.epochs=1", f"train.steps_per_epoch={TRIAL_STEPS}"]
    end = daemon.finish(daemon.submit(text, sets=short), seconds=3600)
    steps = max(EPOCHS, int(60 * minutes * TRIAL_STEPS / end["epochs_done"][0]["seconds"]))
    whole = daemon.show(daemon.submit(text, sets=sets, args=["--hold"]))["steps_per_epoch"]
    epochs = max(EPOCHS, -(-steps // whole))
    return epochs, max(1, steps // epochs)


def judged(files, sets):
    """What cambrian-judge says; sets are those of the GAN's job."""
    words = [str(BUILD / "tests" / "recipes" / "cambrian-judge"), *map(str, files)]
    for pair in sets:
        words += ["--set", pair]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"cambrian-judge: exit {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="the folder of MNIST's four files")
    parser.add_argument("--glyphs", action="store_true", help="drawn digits in place of MNIST")
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    if (options.data is None) != options.glyphs:
        parser.error("one of --data and --glyphs is needed")
    kept = True
    with Daemon(slots=1) as daemon:
        judge_text = JUDGE.replace("DATA", data_of(options, True))
        gan_text = GAN.replace("DATA", data_of(options, False))
        judge_weights, end = trained(daemon, judge_text, [], "judge")
        accuracy = end["epochs_done"][-1]["metrics"]["val_accuracy"]
        kept &= accuracy >= ACCURACY_LEAST
        judge_job = daemon.write(judge_text, "judge.yaml")
        gan_job = daemon.write(gan_text, "gan.yaml")
        print(f"The judge is right on {100 * accuracy:.2f} % of the test set.\n")
        print("| loss | seed | steps | minutes | classes, least-most % | Frechet | precision | recall "
              "| nearest (of test images) |\n|---|---|---|---|---|---|---|---|---|", flush=True)
        for loss in options.losses:
            epochs, steps = steps_within(daemon, gan_text, LOSSES[loss], options.minutes)
            for seed in options.seeds:
                sets = [*LOSSES[loss], f"train.seed={seed}"]
                weights, end = trained(
                    daemon, gan_text, [*sets, f"train.epochs={epochs}",
                                       f"train.steps_per_epoch={steps}"], f"{loss}-{seed}")
                said = judged((judge_job, judge_weights, gan_job, weights), sets)
                assert abs(said["accuracy"] - accuracy) < 2e-4, f"{said} is not the judge: {accuracy}"
                least, most = min(said["classes"]), max(said["classes"])
                kept &= SHARE_LEAST <= least and most <= SHARE_MOST
                minutes = sum(epoch["seconds"] for epoch in end["epochs_done"]) / 60
                print(f"| {loss} | {seed} | {epochs * steps} | {minutes:.1f} | "
                      f"{100 * least:.1f}-{100 * most:.1f} | {said['frechet']:.2f} | "
                      f"{said['precision']:.3f} | {said['recall']:.3f} | "
                      f"{said['nearest']:.2f} ({said['nearest_real']:.2f}) |", flush=True)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
