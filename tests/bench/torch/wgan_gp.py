"""WGAN-GP on 28 x 28 grey images (Gulrajani 2017, gan_mnist.py): five critic updates with a gradient
penalty, one of the generator; batch 64."""
import torch
from torch import nn

from common import gan_step

BATCH = 64


def networks():
    def up(a, b, more):
        return nn.ConvTranspose2d(a, b, 5, 2, 2, output_padding=more)
    generator = nn.Sequential(
        nn.Linear(128, 4096), nn.ReLU(), nn.Unflatten(1, (256, 4, 4)),
        up(256, 128, 0), nn.ReLU(), up(128, 64, 1), nn.ReLU(), up(64, 1, 1), nn.Tanh())
    discriminator = nn.Sequential(
        nn.Conv2d(1, 64, 5, 2, 2), nn.LeakyReLU(0.2), nn.Conv2d(64, 128, 5, 2, 2),
        nn.LeakyReLU(0.2), nn.Conv2d(128, 256, 5, 2, 2), nn.LeakyReLU(0.2), nn.Flatten(),
        nn.Linear(4096, 1))
    return generator, discriminator


def make(mode):
    if mode.compile:
        raise NotImplementedError("torch.compile has no double backward")
    generator, discriminator = (mode.network(n) for n in networks())
    real = mode.image(torch.rand(BATCH, 1, 28, 28) * 2 - 1)
    adams = [torch.optim.Adam(n.parameters(), 1e-4, betas=(0.5, 0.9))
             for n in (discriminator, generator)]

    def d_loss():
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 128))
        share = torch.rand(BATCH, 1, 1, 1)
        between = (real + share * (fake - real)).requires_grad_()
        gradient, = torch.autograd.grad(discriminator(between).sum(), between, create_graph=True)
        penalty = 10 * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
        return discriminator(fake).mean() - discriminator(real).mean() + penalty

    def g_loss():
        return -discriminator(generator(torch.randn(BATCH, 128))).mean()

    return gan_step(discriminator, *adams, d_loss, g_loss, n_critic=5)
