"""A character model of two LSTM layers of 256, 64 tokens, batch 32."""
import torch
from torch import nn
from torch.nn import functional as F

from common import update

BATCH, TOKENS, WIDTH, VOCABULARY = 32, 64, 256, 65


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.lstm = nn.LSTM(WIDTH, WIDTH, 2, batch_first=True)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, text):
        return self.head(self.lstm(self.tokens(text))[0])


def make(mode):
    if mode.last:
        raise NotImplementedError("no images")
    model = Model()
    text = torch.randint(VOCABULARY, (BATCH, TOKENS + 1))
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    loss = mode.compiled(lambda: F.cross_entropy(model(text[:, :-1]).flatten(0, 1),
                                                 text[:, 1:].flatten()))
    return lambda: update(adam, loss, clip_norm=1.0)
