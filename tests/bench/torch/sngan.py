"""SNGAN's ResNet for 32 x 32 images (Miyato 2018), hinge loss; one critic's update, batch 32.
Shortcuts are convolved where they are small, as in ours: the same numbers for a quarter of the
work."""
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm as sn

from common import gan_step

BATCH = 32
G, D = 256, 128


class Up(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(G), nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(G, G, 3, padding=1),
            nn.BatchNorm2d(G), nn.ReLU(), nn.Conv2d(G, G, 3, padding=1))
        self.shortcut = nn.Sequential(nn.Conv2d(G, G, 1), nn.Upsample(scale_factor=2))

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(sn(nn.Conv2d(3, D, 3, padding=1)), nn.ReLU(),
                                  sn(nn.Conv2d(D, D, 3, padding=1)), nn.AvgPool2d(2))
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), sn(nn.Conv2d(3, D, 1)))

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Block(nn.Module):
    def __init__(self, down):
        super().__init__()
        layers = [nn.ReLU(), sn(nn.Conv2d(D, D, 3, padding=1)), nn.ReLU(),
                  sn(nn.Conv2d(D, D, 3, padding=1))]
        self.body = nn.Sequential(*layers, *([nn.AvgPool2d(2)] if down else []))
        self.shortcut = (nn.Sequential(nn.AvgPool2d(2), sn(nn.Conv2d(D, D, 1))) if down
                         else nn.Identity())

    def forward(self, x):
        return self.body(x) + self.shortcut(x)


class Sum(nn.Module):
    def forward(self, x):
        return x.sum((2, 3))


def networks():
    generator = nn.Sequential(
        nn.Linear(128, 4096), nn.Unflatten(1, (G, 4, 4)), Up(), Up(), Up(), nn.BatchNorm2d(G),
        nn.ReLU(), nn.Conv2d(G, 3, 3, padding=1), nn.Tanh())
    discriminator = nn.Sequential(First(), Block(True), Block(False), Block(False), nn.ReLU(),
                                  Sum(), sn(nn.Linear(D, 1)))
    return generator, discriminator


def make(mode):
    generator, discriminator = (mode.network(n) for n in networks())
    real = mode.image(torch.rand(BATCH, 3, 32, 32) * 2 - 1)
    adams = [torch.optim.Adam(n.parameters(), 2e-4, betas=(0.0, 0.9))
             for n in (discriminator, generator)]

    def d_loss():
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, 128))
        return F.relu(1 - discriminator(real)).mean() + F.relu(1 + discriminator(fake)).mean()

    def g_loss():
        return -discriminator(generator(torch.randn(BATCH, 128))).mean()

    return gan_step(discriminator, *adams, mode.compiled(d_loss), mode.compiled(g_loss))
