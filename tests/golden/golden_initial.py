"""Golden moments of first weights: mean, deviation and bounds of what PyTorch draws."""
import torch
from torch import nn
from torch.nn import init

from golden_file import Case

DRAWS = 100


def moments(case, name, draw):
    """draw() gives the tensor anew."""
    values = torch.stack([draw().detach().double() for _ in range(DRAWS)])
    case.expect("mean." + name, values.mean())
    case.expect("std." + name, values.std(unbiased=False))
    case.expect("low." + name, values.min())
    case.expect("high." + name, values.max())


def initial_case(name, layer, shape, create, names=None, reset=None):
    """names: ours by PyTorch's, if they differ; reset(module) draws anew, or its own does."""
    case = Case(name, layers=f"    - {layer}\n")
    case.given("input", torch.zeros(shape))
    for key in create().state_dict():
        def draw(key=key):
            module = create()
            if reset:
                with torch.no_grad():
                    reset(module)
            return module.state_dict()[key]
        if not key.startswith(("running_", "num_batches")):
            moments(case, "generator.0." + (names or {}).get(key, key), draw)
    return case


def cases():
    torch.manual_seed(1)
    def linear():
        return nn.Linear(90, 50)
    def conv():
        return nn.Conv2d(10, 30, (3, 5), groups=2)
    def transpose():
        return nn.ConvTranspose2d(10, 30, (3, 5), groups=2)
    vector, image = (2, 90), (1, 3, 5, 10)
    dense = "dense: {units: 50%s}"
    conv2d = "conv2d: {filters: 30, kernel: [3, 5], groups: 2%s}"
    conv2d_transpose = "conv2d_transpose: {filters: 30, kernel: [3, 5], groups: 2%s}"
    kinds = (("dense", dense, vector, linear), ("conv2d", conv2d, image, conv),
             ("conv2d_transpose", conv2d_transpose, image, transpose))
    for name, text, shape, create in kinds:
        yield initial_case(name, text % "", shape, create)
    ways = {
        "glorot_uniform": init.xavier_uniform_, "glorot_normal": init.xavier_normal_,
        "he_uniform": lambda w: init.kaiming_uniform_(w, nonlinearity="relu"),
        "he_normal": lambda w: init.kaiming_normal_(w, nonlinearity="relu"),
        "lecun_normal": lambda w: init.kaiming_normal_(w, nonlinearity="linear"),
        "zeros": init.zeros_, "ones": init.ones_,
        "{normal: {mean: 1, std: 0.5}}": lambda w: init.normal_(w, 1.0, 0.5),
        "{uniform: 0.25}": lambda w: init.uniform_(w, -0.25, 0.25),
    }
    for way, function in ways.items():
        def reset(module, function=function):
            function(module.weight)
            init.zeros_(module.bias)
        for name, text, shape, create in kinds:
            short = way.strip("{}").split(":")[0]
            yield initial_case(f"{name}_{short}", text % (", initializer: " + way), shape, create,
                               reset=reset)
    yield initial_case("conv1d", "conv1d: {filters: 50, kernel: 5}", (2, 9, 10),
                       lambda: nn.Conv1d(10, 50, 5))
    yield initial_case("embedding", "embedding: {vocabulary: 70, units: 50}", (2, 4),
                       lambda: nn.Embedding(70, 50))
    yield initial_case("batch_norm", "batch_norm", (4, 90), lambda: nn.BatchNorm1d(90))
    yield initial_case("layer_norm", "layer_norm", (4, 90), lambda: nn.LayerNorm(90))
    yield initial_case("group_norm", "group_norm: 9", (4, 3, 3, 90), lambda: nn.GroupNorm(9, 90))
    yield initial_case("prelu", "prelu", (4, 90), nn.PReLU)
    for kind, create in (("lstm", nn.LSTM), ("gru", nn.GRU)):
        yield initial_case(kind, kind + ": {units: 30, layers: 2}", (2, 3, 20),
                           lambda create=create: create(20, 30, 2))
    yield initial_case("attention", "attention: {heads: 2}", (2, 3, 60),
                       lambda: nn.MultiheadAttention(60, 2))
    yield initial_case("transformer_block", "transformer_block: {heads: 2, mlp: 90}", (2, 3, 60),
                       lambda: nn.TransformerEncoderLayer(60, 2, 90))
