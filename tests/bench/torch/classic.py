"""The survey's convolutional GAN, preset classic at width 32: 5 x 5 convolutions; batch 64."""
import torch
from torch import nn
from torch.nn import functional as F

from common import gan_step

BATCH = 64
WIDTH = 32


def networks():
    def conv():
        return [nn.Conv2d(WIDTH, WIDTH, 5, padding=2), nn.ReLU()]
    generator = nn.Sequential(
        nn.Linear(100, 49 * WIDTH), nn.ReLU(), nn.Unflatten(1, (WIDTH, 7, 7)),
        nn.Upsample(scale_factor=2), *conv(), nn.Upsample(scale_factor=2), *conv(), *conv(),
        *conv(), nn.Conv2d(WIDTH, 1, 7, padding=3), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, WIDTH, 5, padding=2), nn.ReLU(), *conv(), nn.Flatten(),
        nn.Linear(784 * WIDTH, 1))
    return generator, discriminator


def make(mode):
    generator, discriminator = (mode.network(n) for n in networks())
    real = mode.image(torch.rand(BATCH, 1, 28, 28) * 2 - 1)
    adams = [torch.optim.Adam(n.parameters(), 1e-4) for n in (discriminator, generator)]

    def d_loss():
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 100))
        return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()

    def g_loss():
        return -F.softplus(discriminator(generator(torch.randn(BATCH, 100)))).mean()

    return gan_step(discriminator, *adams, mode.compiled(d_loss), mode.compiled(g_loss))
