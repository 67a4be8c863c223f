#!/usr/bin/env python3
"""Do GANs find every mode?  A ring of 8 and a grid of 25 Gaussians, a table over fixed seeds.

    CAMBRIAN_BUILD=b tests/recipes/toy.py                    everything, one run after another
    tests/recipes/toy.py --losses wgan_gp --layouts ring     one row of the table
    tests/recipes/toy.py --seeds 901 902                     the seeds that settings were chosen on

Each run is a job of a real daemon; its last samples are 4,096 points.  A sample is good within three
standard deviations of a mean; a mode is found when the good samples nearest to it are a tenth of its
fair share.  A run passes when all modes are found and 90 % of the samples are good; a row of the
table when 9 of its 10 runs pass.  Every seed is listed, none is left out.  Exit 1: some row fails.
"""
import argparse
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from harness import Daemon  # noqa: E402

SEEDS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)

GOOD_LEAST = 0.9
PASSES_LEAST = 0.9
DEVIATIONS = 3.0
FOUND_LEAST = 0.1  # of a mode's fair share

# As data/gaussians.c has them.
LAYOUTS = {
    "ring": {"means": [(0.9 * math.cos(k * math.pi / 4), 0.9 * math.sin(k * math.pi / 4))
                       for k in range(8)], "deviation": 0.009},
    "grid": {"means": [(0.45 * (k % 5 - 2), 0.45 * (k // 5 - 2)) for k in range(25)],
             "deviation": 0.01125},
}

JOB = """\
name: toy
kind: gan
data: {format: gaussians, layout: ring, count: 200000}
model:
  latent: 2
  generator:
    - dense: {units: 64, activation: relu}
    - dense: {units: 64, activation: relu}
    - dense: {units: 64, activation: relu}
    - dense: {units: 2}
    - reshape: [1, 1, 2]
  discriminator:
    - flatten
    - dense: {units: 64, activation: leaky_relu}
    - dense: {units: 64, activation: leaky_relu}
    - dense: {units: 64, activation: leaky_relu}
    - dense: {units: 1}
gan: {ema: {decay: 0.998}}
optimizer:
  generator:
    adam: {lr: 2e-3, beta1: 0.0, beta2: 0.99, schedule: {cosine: {to: 1e-5, steps: 15000}}}
  discriminator:
    adam: {lr: 2e-3, beta1: 0.0, beta2: 0.99, schedule: {cosine: {to: 1e-5, steps: 15000}}}
train: {epochs: 20, steps_per_epoch: 750, batch: 128, shards: 1}
checkpoint: {every: 1h, keep_last: 1}
"""

# What each loss adds to the job.
LOSSES = {
    "non_saturating": ["loss=non_saturating", "gan.penalties=[{r1: {weight: 0.1}}]"],
    "wgan_gp": ["loss=wasserstein", "gan.penalties=[{gradient_penalty: {weight: 0.1}}]",
                "gan.n_critic=2", "optimizer.discriminator.adam.schedule.cosine.steps=30000"],
    "relativistic": ["loss=relativistic",
                     "gan.penalties=[{r1: {weight: 0.1}}, {r2: {weight: 0.1}}]"],
}


def judge(points, layout):
    """(modes found, share of good samples) of points of a layout."""
    means = layout["means"]
    reach = (DEVIATIONS * layout["deviation"]) ** 2
    near = [0] * len(means)
    for x, y in points:
        distance, mode = min(((x - a) ** 2 + (y - b) ** 2, i) for i, (a, b) in enumerate(means))
        if distance <= reach:
            near[mode] += 1
    fair = len(points) / len(means)
    return sum(n >= FOUND_LEAST * fair for n in near), sum(near) / len(points)


def run(daemon, layout, loss, seed):
    """One job to its end: (modes found, share of good samples, seconds of training)."""
    job = daemon.submit(JOB, sets=[f"data.layout={layout}", f"train.seed={seed}", *LOSSES[loss]])
    end = daemon.finish(job, seconds=1800)
    text = daemon.client("samples", job, "-o", "-").stdout
    points = [tuple(map(float, line.split(","))) for line in text.splitlines()]
    return (*judge(points, LAYOUTS[layout]), sum(epoch["seconds"] for epoch in end["epochs_done"]))


def row(daemon, layout, loss, seeds):
    """Prints the row of all seeds; whether enough of them pass."""
    found = []
    wanted = len(LAYOUTS[layout]["means"])
    for seed in seeds:
        found.append(run(daemon, layout, loss, seed))
        print("  seed %d: %d modes, %.1f %% good, %.0f s" %
              (seed, found[-1][0], 100 * found[-1][1], found[-1][2]), file=sys.stderr, flush=True)
    passed = sum(modes == wanted and good >= GOOD_LEAST for modes, good, _ in found)
    cells = " ".join(f"{modes}/{100 * good:.1f}" for modes, good, _ in found)
    print(f"| {layout} | {loss} | {cells} | {passed} of {len(seeds)} |", flush=True)
    return passed >= PASSES_LEAST * len(seeds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--layouts", nargs="+", choices=LAYOUTS, default=list(LAYOUTS))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    options = parser.parse_args()
    print("| layout | loss | modes/good %% of seeds %s | pass |\n|---|---|---|---|" %
          " ".join(map(str, options.seeds)), flush=True)
    with Daemon(slots=1) as daemon:
        kept = [row(daemon, layout, loss, options.seeds)
                for layout in options.layouts for loss in options.losses]
    sys.exit(0 if all(kept) else 1)


if __name__ == "__main__":
    main()
