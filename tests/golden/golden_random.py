"""The random numbers of a training (kernels/random.h), element by element."""
import math

import torch

MASK = 0xFFFFFFFF
UNIT = 2.0 ** -24


def philox(counter, key):
    """Philox4x32-10."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        product_0 = 0xD2511F53 * c0
        product_1 = 0xCD9E8D57 * c2
        c0, c1, c2, c3 = ((product_1 >> 32) ^ c1 ^ k0, product_1 & MASK,
                          (product_0 >> 32) ^ c3 ^ k1, product_0 & MASK)
        k0 = (k0 + 0x9E3779B9) & MASK
        k1 = (k1 + 0xBB67AE85) & MASK
    return c0, c1, c2, c3


def stream_of(name):
    """FNV-1a, then the finaliser of MurmurHash3."""
    value = 2166136261
    for byte in name.encode():
        value = (value ^ byte) * 16777619 & MASK
    value = (value ^ value >> 16) * 0x85EBCA6B & MASK
    value = (value ^ value >> 13) * 0xC2B2AE35 & MASK
    return value ^ value >> 16


def uniforms(words):
    return [(word >> 8) * UNIT for word in words]


def normals(words):
    """Box-Muller on the pairs of a block."""
    out = []
    for first, second in (words[:2], words[2:]):
        size = math.sqrt(-2.0 * math.log(((first >> 8) + 1) * UNIT))
        angle = 2.0 * math.pi * ((second >> 8) * UNIT)
        out += [size * math.cos(angle), size * math.sin(angle)]
    return out


def draw(make, seed, execution, name, first_row, shape):
    """Numbers of `shape`, whose first axis is rows of the global batch."""
    stream = stream_of(name)
    count = math.prod(shape[1:])
    rows = []
    for row in range(first_row, first_row + shape[0]):
        values = []
        for block in range((count + 3) // 4):
            values += make(philox((block, row, execution, stream), (seed & MASK, seed >> 32)))
        rows.append(values[:count])
    return torch.tensor(rows, dtype=torch.float64).reshape(shape)
