"""Golden values of layers over sequences: tables, attention, recurrence.

Tensors have the names and shapes of PyTorch's own modules.
"""
import math

import torch
import torch.nn.functional as F
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from golden_layers import layer_case


def tensors_of(module):
    return {"0." + key: tuple(value.shape) for key, value in module.state_dict().items()}


def apply(module, t, *arguments, **options):
    """The module with the tensors of a case in place of its own."""
    own = {key: t["0." + key] for key in module.state_dict()}
    with sdpa_kernel(SDPBackend.MATH): # the others have no second derivative
        return functional_call(module, own, arguments, options)


def tables():
    yield layer_case("embedding", ["embedding: {vocabulary: 7, units: 3}"], (4, 5),
                     lambda x, t, _: F.embedding(x.long(), t["0.weight"]), {"0.weight": (7, 3)},
                     tokens=7)
    yield layer_case("embedding_one", ["embedding: {vocabulary: 7, units: 3}"], (9,),
                     lambda x, t, _: F.embedding(x.long(), t["0.weight"]), {"0.weight": (7, 3)},
                     tokens=7)
    yield layer_case(
        "dense_tied", ["embedding: {name: table, vocabulary: 7, units: 3}",
                       "dense: {units: 7, tied: table}"], (4, 5),
        lambda x, t, _: F.linear(F.embedding(x.long(), t["table.weight"]), t["table.weight"],
                                 t["1.bias"]),
        {"table.weight": (7, 3), "1.bias": (7,)}, tokens=7)
    yield layer_case("positions", ["positions"], (2, 5, 4), lambda x, t, _: x + t["0.weight"],
                     {"0.weight": (5, 4)}, second=False)
    def waves(steps, channels):
        place = torch.arange(steps).double()[:, None]
        pace = torch.exp(-math.log(10000.0) * 2 * (torch.arange(channels) // 2) / channels)
        return torch.where(torch.arange(channels) % 2 == 1, torch.cos(place * pace),
                           torch.sin(place * pace))
    yield layer_case("positions_sinusoidal", ["positions: sinusoidal"], (2, 9, 6),
                     lambda x, t, _: x + waves(9, 6), second=False)
    yield layer_case("positions_sinusoidal_odd", ["positions: sinusoidal"], (2, 9, 5),
                     lambda x, t, _: x + waves(9, 5), second=False)
    yield layer_case("class_token", ["class_token"], (3, 4, 5),
                     lambda x, t, _: torch.cat([t["0.weight"].expand(3, 1, 5), x], 1),
                     {"0.weight": (5,)}, second=False)
    yield layer_case("take", ["take: -2"], (3, 4, 5), lambda x, t, _: x[:, -2], second=False)
    yield layer_case("take_first", ["take: {step: 0}"], (3, 4, 5), lambda x, t, _: x[:, 0],
                     second=False)
    yield layer_case("dense_sequence", ["dense: {units: 2, activation: tanh}"], (3, 4, 5),
                     lambda x, t, _: torch.tanh(F.linear(x, t["0.weight"], t["0.bias"])),
                     {"0.weight": (2, 5), "0.bias": (2,)})


def attentions():
    shape = (2, 5, 6)
    def mask(causal):
        return torch.full((5, 5), float("-inf")).triu(1) if causal else None
    def attention(name, options, heads, causal=False, bias=True):
        module = torch.nn.MultiheadAttention(6, heads, bias=bias, batch_first=True)
        return layer_case(
            name, ["attention: {" + options + "}"], shape,
            lambda x, t, _: apply(module, t, x, x, x, need_weights=False,
                                  attn_mask=mask(causal))[0], tensors_of(module))
    yield attention("attention", "heads: 2", 2)
    yield attention("attention_causal", "heads: 3, causal: true", 3, causal=True)
    yield attention("attention_without_bias", "heads: 1, use_bias: false", 1, bias=False)
    def block(name, options, activation, causal=False, bias=True, norm_first=True, hidden=24,
              epsilon=1e-5):
        module = torch.nn.TransformerEncoderLayer(
            6, 2, hidden, 0.0, activation, epsilon, batch_first=True, norm_first=norm_first,
            bias=bias)
        return layer_case(
            name, ["transformer_block: {heads: 2" + options + "}"], shape,
            lambda x, t, _: apply(module, t, x, src_mask=mask(causal), is_causal=causal),
            tensors_of(module))
    yield block("transformer_block", "", F.gelu)
    yield block("transformer_block_causal",
                ", causal: true, mlp: 9, activation: gelu_tanh, use_bias: false",
                lambda x: F.gelu(x, approximate="tanh"), causal=True, bias=False, hidden=9)
    yield block("transformer_block_post", ", norm: post, mlp: 7, activation: relu, epsilon: 0.001",
                F.relu, norm_first=False, hidden=7, epsilon=0.001)


def recurrent():
    def case(name, kind, options="", layers=1, bidirectional=False, bias=True, last=False,
             shape=(3, 5, 4)):
        units = 2
        create = torch.nn.LSTM if kind == "lstm" else torch.nn.GRU
        module = create(shape[2], units, layers, bias, True, 0.0, bidirectional)
        ways = 2 if bidirectional else 1
        def forward(x, t, _):
            zero = torch.zeros(layers * ways, shape[0], units)
            weights = [t["0." + key] for group in module.all_weights_names for key in group]
            common = (weights, bias, layers, 0.0, True, bidirectional, True)
            if kind == "lstm":
                y, h, _ = torch._VF.lstm(x, (zero, zero), *common)
            else:
                y, h = torch._VF.gru(x, zero, *common)
            return torch.cat(list(h[-ways:]), -1) if last else y
        module.all_weights_names = module._all_weights
        return layer_case(name, [kind + ": {units: 2" + options + "}"], shape, forward,
                          tensors_of(module))
    for kind in ("lstm", "gru"):
        yield case(kind, kind)
        yield case(kind + "_layers", kind, ", layers: 2, use_bias: false", layers=2, bias=False)
        yield case(kind + "_bidirectional", kind, ", layers: 2, bidirectional: true", layers=2,
                   bidirectional=True)
        yield case(kind + "_last", kind, ", return: last, bidirectional: true", bidirectional=True,
                   last=True)
        yield case(kind + "_last_one", kind, ", return: last", last=True, shape=(3, 1, 4))


def cases():
    for group in (tables, attentions, recurrent):
        yield from group()
