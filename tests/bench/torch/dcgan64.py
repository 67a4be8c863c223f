"""DCGAN on 28 x 28 grey images, the networks of preset dcgan at width 64; batch 64."""
import torch
from torch import nn
from torch.nn import functional as F

from common import gan_step

BATCH = 64


def networks():
    generator = nn.Sequential(
        nn.Linear(100, 6272, bias=False), nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128), nn.ReLU(),
        nn.ConvTranspose2d(128, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 1, 4, 2, 1, bias=False), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, 4, 2, 1, bias=False), nn.BatchNorm2d(128), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(6272, 1, bias=False))
    return generator, discriminator


def make(mode, batch=BATCH):
    generator, discriminator = (mode.network(n) for n in networks())
    real = mode.image(torch.rand(batch, 1, 28, 28) * 2 - 1)
    adams = [torch.optim.Adam(n.parameters(), 2e-4, betas=(0.5, 0.999))
             for n in (discriminator, generator)]

    def d_loss():
        with torch.no_grad():
            fake = generator(torch.randn(batch, 100))
        return F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()

    def g_loss():
        return F.softplus(-discriminator(generator(torch.randn(batch, 100)))).mean()

    return gan_step(discriminator, *adams, mode.compiled(d_loss), mode.compiled(g_loss))
