#!/usr/bin/env python3
"""PyTorch's speed on the network of examples/mnist-dcgan.yaml, the peer of our own figure.

    tests/bench/torch_dcgan.py [--batch 256] [--threads 2] [--seconds 20]

Prints images/s of eager, channels_last and torch.compile (medians over steps), and the best.
Weights as in the example, images are noise: the values do not change the time.
"""
import argparse
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F


def networks():
    generator = nn.Sequential(
        nn.Linear(100, 6272), nn.ReLU(), nn.Unflatten(1, (128, 7, 7)),
        nn.ConvTranspose2d(128, 64, 4, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(6272, 1))
    return generator, discriminator


def make_step(batch, channels_last, compiled):
    generator, discriminator = networks()
    real = torch.rand(batch, 1, 28, 28) * 2 - 1
    if channels_last:
        generator.to(memory_format=torch.channels_last)
        discriminator.to(memory_format=torch.channels_last)
        real = real.contiguous(memory_format=torch.channels_last)
    g_adam = torch.optim.Adam(generator.parameters(), 2e-4, betas=(0.5, 0.999))
    d_adam = torch.optim.Adam(discriminator.parameters(), 2e-4, betas=(0.5, 0.999))

    def d_loss():
        fake = generator(torch.randn(batch, 100)).detach()
        return (F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean())

    def g_loss():
        return F.softplus(-discriminator(generator(torch.randn(batch, 100)))).mean()

    if compiled:
        d_loss, g_loss = torch.compile(d_loss), torch.compile(g_loss)

    def step():
        d_adam.zero_grad(set_to_none=True)
        d_loss().backward()
        d_adam.step()
        g_adam.zero_grad(set_to_none=True)
        for parameter in discriminator.parameters():  # nobody uses these gradients
            parameter.requires_grad_(False)
        g_loss().backward()
        for parameter in discriminator.parameters():
            parameter.requires_grad_(True)
        g_adam.step()
    return step


def measure(step, seconds):
    for _ in range(3):
        step()
    times = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.threads} threads, batch {options.batch}")
    best = 0.0
    for name, last, compiled in (("eager", False, False), ("channels_last", True, False),
                                 ("compile", False, True), ("compile+channels_last", True, True)):
        try:
            times = measure(make_step(options.batch, last, compiled), options.seconds)
        except Exception as error:  # torch.compile needs a working C++ compiler
            print(f"{name:22} not run: {str(error).splitlines()[0][:100]}")
            continue
        rates = [options.batch / t for t in times]
        median = statistics.median(rates)
        best = max(best, median)
        print(f"{name:22} {median:8.0f} images/s (median of {len(times)} steps, "
              f"{min(rates):.0f} to {max(rates):.0f})")
    print(f"best {best:.0f} images/s")


if __name__ == "__main__":
    main()
