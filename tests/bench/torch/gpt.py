"""nanoGPT's character model for a CPU: 4 layers, 4 heads, 128 channels, 64 tokens, batch 12, no
dropout, no biases, tied head, AdamW with decay on matrices alone, gradients clipped."""
import torch
from torch import nn
from torch.nn import functional as F

from common import update

BATCH, TOKENS, HEADS, WIDTH, LAYERS, VOCABULARY = 12, 64, 4, 128, 4, 65


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH, bias=False), nn.LayerNorm(WIDTH, bias=False)
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.project = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH, bias=False), nn.GELU(),
                                 nn.Linear(4 * WIDTH, WIDTH, bias=False))

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = (part.view(b, t, HEADS, c // HEADS).transpose(1, 2)
                   for part in self.qkv(self.norm1(x)).split(c, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.project(y.transpose(1, 2).reshape(b, t, c))
        return x + self.mlp(self.norm2(x))


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens = nn.Embedding(VOCABULARY, WIDTH)
        self.positions = nn.Embedding(TOKENS, WIDTH)
        self.blocks = nn.Sequential(*(Block() for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH, bias=False)

    def forward(self, text):
        x = self.tokens(text) + self.positions(torch.arange(TOKENS))
        return F.linear(self.norm(self.blocks(x)), self.tokens.weight)


def make(mode):
    if mode.last:
        raise NotImplementedError("no images")
    model = Model()
    text = torch.randint(VOCABULARY, (BATCH, TOKENS + 1))
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": 0.1},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    adam = torch.optim.AdamW(groups, 1e-3, betas=(0.9, 0.99))
    loss = mode.compiled(lambda: F.cross_entropy(model(text[:, :-1]).flatten(0, 1),
                                                 text[:, 1:].flatten()))
    return lambda: update(adam, loss, clip_norm=1.0)
