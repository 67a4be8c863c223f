"""ResNet-18 with the stem of small images, 32 x 32 colours, 10 classes, SGD; batch 64."""
import torch
from torch import nn
from torch.nn import functional as F

from common import update

BATCH = 64


class Block(nn.Module):
    def __init__(self, a, b, stride):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU(),
            nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b))
        self.shortcut = (nn.Identity() if stride == 1 else nn.Sequential(
            nn.Conv2d(a, b, 1, stride, bias=False), nn.BatchNorm2d(b)))

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x))


def make(mode):
    blocks = [Block(a, b, s) for a, b, s in (
        (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1),
        (256, 512, 2), (512, 512, 1))]
    network = mode.network(nn.Sequential(
        nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(), *blocks,
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10)))
    images = mode.image(torch.rand(BATCH, 3, 32, 32) * 2 - 1)
    labels = torch.randint(10, (BATCH,))
    sgd = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    loss = mode.compiled(lambda: F.cross_entropy(network(images), labels))
    return lambda: update(sgd, loss)
