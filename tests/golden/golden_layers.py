"""Golden values of layers.

Each case is the part `generator`: its layers as a job file writes them, an input in our order, the
tensors under the names of our checkpoints in PyTorch's order, and a function that computes the same
with PyTorch.
"""
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch.nn.utils.spectral_norm import SpectralNorm

from golden_file import Case

SECOND = True


def nchw(x):
    return x.movedim(-1, 1)


def nhwc(x):
    return x.movedim(1, -1)


def layer_case(name, layers, shape, forward, tensors=None, buffers=None, **options):
    """forward(x, t, training), t being tensors and buffers by name without `generator.`; it changes
    buffers in place.

    tensors: shape by name.  Options: second (gradients of the gradient too; True), evaluation (the
    output of evaluation mode too; where there are buffers), training (True; False: evaluation
    alone), tokens (the input is whole numbers below it), low and high (of the input), f32 (the
    tolerance of single precision, where it is not 1e-5).
    """
    text = "".join(f"    - {layer}\n" for layer in layers)
    case = Case(name, layers=text)
    if "f32" in options:
        case.metadata["f32"] = options["f32"]
    tokens = options.get("tokens")
    if tokens is not None:
        x = case.given("input", case.whole(*shape, below=tokens))
    else:
        x = case.draw(*shape, low=options.get("low", -1.0), high=options.get("high", 1.0))
        x = case.given("input", x).requires_grad_()
    t = {}
    for key, size in (tensors or {}).items():
        t[key] = case.given("param.generator." + key, case.draw(*size)).requires_grad_()
    parameters = list(t)
    for key, size in (buffers or {}).items():
        low = 0.5 if key.endswith("var") else -1.0
        t[key] = case.given("buffer.generator." + key, case.draw(*size, low=low, high=1.5))
    if options.get("training", True):
        train(case, x, t, parameters, forward, options)
    for key in buffers or {}:
        case.expect("after.generator." + key, t[key])
    if options.get("evaluation", bool(buffers)):
        case.expect("evaluation", forward(x, t, False))
    return case


def train(case, x, t, parameters, forward, options):
    """Output, then gradients of sum(output * projection), then those of the gradient by x."""
    wrt = ([x] if x.requires_grad else []) + [t[key] for key in parameters]
    names = (["input"] if x.requires_grad else []) + ["generator." + key for key in parameters]
    y = forward(x, t, True)
    case.expect("output", y)
    if not wrt:
        return
    projection = case.given("projection", case.draw(*y.shape))
    first = torch.autograd.grad((y * projection).sum(), wrt, create_graph=True)
    for key, gradient in zip(names, first):
        case.expect("grad." + key, gradient)
    if not x.requires_grad or not options.get("second", SECOND):
        return
    second_projection = case.given("second_projection", case.draw(*x.shape))
    total = (first[0] * second_projection).sum()
    if not total.requires_grad:
        total = total + 0.0 * x.sum()
    second = torch.autograd.grad(total, wrt, allow_unused=True)
    for key, leaf, gradient in zip(names, wrt, second):
        case.expect("second." + key, torch.zeros_like(leaf) if gradient is None else gradient)


def weighted():
    """dense and the convolutions."""
    yield layer_case("dense", ["dense: {units: 5}"], (4, 3),
                     lambda x, t, _: F.linear(x, t["0.weight"], t["0.bias"]),
                     {"0.weight": (5, 3), "0.bias": (5,)})
    yield layer_case("dense_without_bias", ["dense: {units: 5, use_bias: false}"], (4, 3),
                     lambda x, t, _: F.linear(x, t["0.weight"]), {"0.weight": (5, 3)})
    yield layer_case(
        "dense_mlp",
        ["dense: {units: 6, activation: tanh, name: first}",
         "dense: {units: 2, activation: sigmoid, name: last}"], (4, 3),
        lambda x, t, _: torch.sigmoid(F.linear(torch.tanh(
            F.linear(x, t["first.weight"], t["first.bias"])), t["last.weight"], t["last.bias"])),
        {"first.weight": (6, 3), "first.bias": (6,), "last.weight": (2, 6), "last.bias": (2,)})
    yield layer_case(
        "dense_batch_norm", ["dense: {units: 5, norm: batch, activation: leaky_relu}"], (6, 3),
        lambda x, t, training: F.leaky_relu(
            F.batch_norm(F.linear(x, t["0.weight"]), t["0.norm.running_mean"],
                         t["0.norm.running_var"], t["0.norm.weight"], t["0.norm.bias"], training),
            0.2),
        {"0.weight": (5, 3), "0.norm.weight": (5,), "0.norm.bias": (5,)},
        {"0.norm.running_mean": (5,), "0.norm.running_var": (5,)})
    yield layer_case("flatten_dense", ["flatten", "dense: {units: 4}"], (2, 3, 4, 2),
                     lambda x, t, _: F.linear(nchw(x).flatten(1), t["1.weight"], t["1.bias"]),
                     {"1.weight": (4, 24), "1.bias": (4,)})
    yield layer_case(
        "dense_reshape", ["dense: {units: 24}", "reshape: [3, 4, 2]"], (4, 5),
        lambda x, t, _: nhwc(F.linear(x, t["0.weight"], t["0.bias"]).reshape(-1, 2, 3, 4)),
        {"0.weight": (24, 5), "0.bias": (24,)})
    yield from convolutions()


def conv_case(name, options, shape, weight, forward, **more):
    """A convolution alone; forward takes and gives (N,C,H,W)."""
    bias = "use_bias: false" not in options
    filters = int(options.split("filters: ")[1].split(",")[0])
    tensors = {"0.weight": weight}
    if bias:
        tensors["0.bias"] = (filters,)
    kind = more.pop("kind", "conv2d")
    return layer_case(name, [kind + ": {" + options + "}"], shape,
                      lambda x, t, _: nhwc(forward(nchw(x), t["0.weight"], t.get("0.bias"))),
                      tensors, **more)


def convolutions():
    image = (2, 7, 6, 4)
    yield conv_case("conv2d", "filters: 3, kernel: 3", image, (3, 4, 3, 3), F.conv2d)
    yield conv_case("conv2d_stride", "filters: 3, kernel: [3, 2], stride: [2, 1], padding: [1, 0]",
                    image, (3, 4, 3, 2), lambda x, w, b: F.conv2d(x, w, b, (2, 1), (1, 0)))
    yield conv_case("conv2d_same", "filters: 3, kernel: 3, padding: same", image, (3, 4, 3, 3),
                    lambda x, w, b: F.conv2d(x, w, b, padding="same"))
    yield conv_case("conv2d_same_even", "filters: 3, kernel: 4, padding: same", image, (3, 4, 4, 4),
                    lambda x, w, b: F.conv2d(x, w, b, padding="same"))
    yield conv_case("conv2d_same_stride", "filters: 3, kernel: 5, stride: 2, padding: same", image,
                    (3, 4, 5, 5),
                    lambda x, w, b: F.conv2d(F.pad(x, (1, 2, 2, 2)), w, b, stride=2))
    yield conv_case("conv2d_dilation", "filters: 3, kernel: 3, dilation: [2, 1], padding: 2", image,
                    (3, 4, 3, 3), lambda x, w, b: F.conv2d(x, w, b, 1, 2, (2, 1)))
    yield conv_case("conv2d_groups", "filters: 6, kernel: 3, groups: 2, use_bias: false", image,
                    (6, 2, 3, 3), lambda x, w, b: F.conv2d(x, w, b, groups=2))
    yield conv_case("conv2d_depthwise", "filters: 4, kernel: 3, groups: 4, padding: 1", image,
                    (4, 1, 3, 3), lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=4))
    yield conv_case("conv2d_pointwise", "filters: 3, kernel: 1, stride: 2", image, (3, 4, 1, 1),
                    lambda x, w, b: F.conv2d(x, w, b, stride=2))
    small = (2, 4, 3, 4)
    transpose = dict(kind="conv2d_transpose")
    yield conv_case("conv2d_transpose", "filters: 3, kernel: 4, stride: 2, padding: 1", small,
                    (4, 3, 4, 4), lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1), **transpose)
    yield conv_case("conv2d_transpose_valid", "filters: 3, kernel: [3, 4]", small, (4, 3, 3, 4),
                    F.conv_transpose2d, **transpose)
    yield conv_case("conv2d_transpose_output_padding",
                    "filters: 3, kernel: 3, stride: 2, padding: 1, output_padding: 1", small,
                    (4, 3, 3, 3), lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1), **transpose)
    yield conv_case("conv2d_transpose_dilation",
                    "filters: 3, kernel: 3, stride: 2, padding: 1, dilation: 2, use_bias: false",
                    small, (4, 3, 3, 3),
                    lambda x, w, b: F.conv_transpose2d(x, w, b, 2, 1, dilation=2), **transpose)
    yield conv_case("conv2d_transpose_same", "filters: 3, kernel: 5, stride: 2, padding: same",
                    small, (4, 3, 5, 5),
                    lambda x, w, b: F.conv_transpose2d(x, w, b, 2)[:, :, 1:9, 1:7], **transpose)


    yield conv_case("conv2d_transpose_groups", "filters: 6, kernel: 3, stride: 2, groups: 2", small,
                    (4, 3, 3, 3), lambda x, w, b: F.conv_transpose2d(x, w, b, 2, groups=2),
                    **transpose)
    sequence = (2, 9, 4)
    line = dict(kind="conv1d")
    yield conv_case("conv1d", "filters: 3, kernel: 4, stride: 2, padding: 1", sequence, (3, 4, 4),
                    lambda x, w, b: F.conv1d(x, w, b, 2, 1), **line)
    yield conv_case("conv1d_same", "filters: 3, kernel: 3, padding: same", sequence, (3, 4, 3),
                    lambda x, w, b: F.conv1d(x, w, b, padding="same"), **line)
    yield conv_case("conv1d_causal", "filters: 3, kernel: 3, dilation: 2, padding: causal",
                    sequence, (3, 4, 3),
                    lambda x, w, b: F.conv1d(F.pad(x, (4, 0)), w, b, dilation=2), **line)
    yield conv_case("conv1d_groups", "filters: 6, kernel: 2, groups: 2, use_bias: false", sequence,
                    (6, 2, 2), lambda x, w, b: F.conv1d(x, w, b, groups=2), **line)


def tails():
    """norm and activation of weighted layers."""
    def conv(x, t, bias="0.bias"):
        return F.conv2d(nchw(x), t["0.weight"], t.get(bias), padding=1)
    image = (2, 4, 3, 2)
    options = "conv2d: {filters: 3, kernel: 3, padding: 1, "
    weight = {"0.weight": (3, 2, 3, 3)}
    yield layer_case(
        "conv2d_batch_norm", [options + "norm: batch, activation: relu}"], image,
        lambda x, t, training: nhwc(F.relu(F.batch_norm(
            conv(x, t), t["0.norm.running_mean"], t["0.norm.running_var"], t["0.norm.weight"],
            t["0.norm.bias"], training))),
        dict(weight, **{"0.norm.weight": (3,), "0.norm.bias": (3,)}),
        {"0.norm.running_mean": (3,), "0.norm.running_var": (3,)})
    yield layer_case(
        "conv2d_layer_norm", [options + "norm: layer, activation: silu}"], image,
        lambda x, t, _: F.silu(F.layer_norm(nhwc(conv(x, t)), (3,), t["0.norm.weight"],
                                            t["0.norm.bias"])),
        dict(weight, **{"0.bias": (3,), "0.norm.weight": (3,), "0.norm.bias": (3,)}))
    yield layer_case(
        "conv2d_instance_norm", [options + "norm: instance, activation: prelu}"], image,
        lambda x, t, _: nhwc(F.prelu(F.instance_norm(conv(x, t)), t["0.activation.weight"])),
        dict(weight, **{"0.activation.weight": (1,)}))


def normalised(weight, u, dim=0):
    """The weight over its spectral norm as PyTorch has it in training, and the next u."""
    given = SimpleNamespace(weight_orig=weight, weight_u=u.clone(),
                            weight_v=torch.zeros(weight.numel() // u.numel()))
    return SpectralNorm("weight", 1, dim, 1e-12).compute_weight(given, True), given.weight_u


def spectral_norms():
    """In evaluation too ours iterates once, from the u of the last step, which PyTorch keeps."""
    def case(name, layer, shape, weight, forward, dim=0, bias=True, **more):
        def run(x, t, training):
            w, u = normalised(t["0.weight"], t["0.weight_u"], dim)
            if training:
                t["0.weight_u"].copy_(u)
            return forward(x, w, t.get("0.bias"))
        tensors = {"0.weight": weight}
        if bias:
            tensors["0.bias"] = (weight[dim],)
        return layer_case(name, [layer[:-1] + ", spectral_norm: true}"], shape, run, tensors,
                          {"0.weight_u": (weight[dim],)}, **more)
    image = (2, 4, 3, 2)
    yield case("spectral_norm_dense", "dense: {units: 5}", (4, 3), (5, 3), F.linear)
    yield case("spectral_norm_conv2d", "conv2d: {filters: 3, kernel: 3, padding: 1}", image,
               (3, 2, 3, 3), lambda x, w, b: nhwc(F.conv2d(nchw(x), w, b, padding=1)))
    yield case("spectral_norm_conv1d", "conv1d: {filters: 3, kernel: 2}", (2, 5, 4), (3, 4, 2),
               lambda x, w, b: nhwc(F.conv1d(nchw(x), w, b)))
    yield case("spectral_norm_conv2d_transpose",
               "conv2d_transpose: {filters: 3, kernel: 4, stride: 2, padding: 1}", image,
               (2, 3, 4, 4), lambda x, w, b: nhwc(F.conv_transpose2d(nchw(x), w, b, 2, 1)), dim=1)
    yield case("spectral_norm_embedding", "embedding: {vocabulary: 7, units: 3}", (4, 5), (7, 3),
               lambda x, w, b: F.embedding(x.long(), w), bias=False, tokens=7)


def norms():
    def batch_norm(momentum, epsilon, channels_first=nchw, back=nhwc):
        return lambda x, t, training: back(F.batch_norm(
            channels_first(x), t["0.running_mean"], t["0.running_var"], t["0.weight"], t["0.bias"],
            training, momentum, epsilon))
    same = lambda x: x
    tensors = {"0.weight": (3,), "0.bias": (3,)}
    buffers = {"0.running_mean": (3,), "0.running_var": (3,)}
    yield layer_case("batch_norm", ["batch_norm"], (3, 4, 2, 3), batch_norm(0.1, 1e-5), tensors,
                     buffers)
    yield layer_case("batch_norm_options", ["batch_norm: {momentum: 0.3, epsilon: 0.01}"],
                     (3, 4, 2, 3), batch_norm(0.3, 0.01), tensors, buffers)
    yield layer_case("batch_norm_features", ["batch_norm"], (8, 3),
                     batch_norm(0.1, 1e-5, same, same), tensors, buffers)
    yield layer_case(
        "flatten_batch_norm", ["flatten", "batch_norm"], (4, 2, 3, 2),
        lambda x, t, training: nhwc(F.batch_norm(
            nchw(x).flatten(1), t["1.running_mean"], t["1.running_var"], t["1.weight"],
            t["1.bias"], training).reshape(-1, 2, 2, 3)).flatten(1),
        {"1.weight": (12,), "1.bias": (12,)},
        {"1.running_mean": (12,), "1.running_var": (12,)})
    yield layer_case("batch_norm_not_affine", ["batch_norm: {affine: false}"], (3, 4, 2, 3),
                     lambda x, t, training: nhwc(F.batch_norm(
                         nchw(x), t["0.running_mean"], t["0.running_var"], training=training)), {},
                     buffers)
    yield from norms_of_samples()


def norms_of_samples():
    wide = {"0.weight": (6,), "0.bias": (6,)}
    yield layer_case("layer_norm", ["layer_norm"], (3, 4, 6),
                     lambda x, t, _: F.layer_norm(x, (6,), t["0.weight"], t["0.bias"]), wide)
    yield layer_case("layer_norm_features", ["layer_norm: {epsilon: 0.01}"], (5, 6),
                     lambda x, t, _: F.layer_norm(x, (6,), t["0.weight"], t["0.bias"], 0.01), wide)
    yield layer_case("layer_norm_not_affine", ["layer_norm: {affine: false}"], (5, 6),
                     lambda x, t, _: F.layer_norm(x, (6,)))
    yield layer_case(
        "flatten_layer_norm", ["flatten", "layer_norm"], (3, 2, 3, 2),
        lambda x, t, _: nhwc(F.layer_norm(nchw(x).flatten(1), (12,), t["1.weight"], t["1.bias"])
                             .reshape(-1, 2, 2, 3)).flatten(1),
        {"1.weight": (12,), "1.bias": (12,)})
    yield layer_case("group_norm", ["group_norm: 3"], (2, 3, 4, 6),
                     lambda x, t, _: nhwc(F.group_norm(nchw(x), 3, t["0.weight"], t["0.bias"])),
                     wide)
    yield layer_case("group_norm_sequence", ["group_norm: {groups: 2, epsilon: 0.001}"], (2, 5, 6),
                     lambda x, t, _: nhwc(F.group_norm(nchw(x), 2, t["0.weight"], t["0.bias"],
                                                       0.001)), wide)
    yield layer_case("instance_norm", ["instance_norm"], (2, 3, 4, 3),
                     lambda x, t, _: nhwc(F.instance_norm(nchw(x))))
    yield layer_case("instance_norm_affine", ["instance_norm: {affine: true}"], (2, 5, 6),
                     lambda x, t, _: nhwc(F.instance_norm(nchw(x), weight=t["0.weight"],
                                                          bias=t["0.bias"])), wide)


def pools():
    image = (2, 7, 6, 3)
    def case(name, layer, function, shape=image):
        return layer_case(name, [layer], shape, lambda x, t, _: nhwc(function(nchw(x))),
                          second=False)
    def vector(name, layer, function, shape=image):
        return layer_case(name, [layer], shape, lambda x, t, _: function(x.flatten(1, -2)))
    yield case("max_pool2d", "max_pool2d", lambda x: F.max_pool2d(x, 2))
    yield case("max_pool2d_options", "max_pool2d: {size: [3, 2], stride: [2, 1], padding: 1}",
               lambda x: F.max_pool2d(x, (3, 2), (2, 1), 1))
    yield case("max_pool2d_same", "max_pool2d: {size: 3, stride: 2, padding: same}",
               lambda x: F.max_pool2d(F.pad(x, (0, 1, 1, 1), value=float("-inf")), 3, 2))
    yield case("average_pool2d", "average_pool2d", lambda x: F.avg_pool2d(x, 2))
    yield case("average_pool2d_options", "average_pool2d: {size: 3, stride: [2, 1], padding: 1}",
               lambda x: F.avg_pool2d(x, 3, (2, 1), 1))
    def same(x):
        sums, counts = (F.avg_pool2d(F.pad(y, (0, 1, 1, 1)), 3, 2)
                        for y in (x, torch.ones_like(x)))
        return sums / counts
    yield case("average_pool2d_same", "average_pool2d: {size: 3, stride: 2, padding: same}", same)
    yield vector("global_max_pool", "global_max_pool", lambda x: x.max(1)[0])
    yield vector("global_average_pool", "global_average_pool", lambda x: x.mean(1))
    yield vector("global_sum_pool", "global_sum_pool", lambda x: x.sum(1))
    yield vector("global_max_pool_sequence", "global_max_pool", lambda x: x.max(1)[0], (2, 5, 3))
    yield vector("global_average_pool_sequence", "global_average_pool", lambda x: x.mean(1),
                 (2, 5, 3))


def minibatch_stddev(x, group):
    """As StyleGAN2's MinibatchStdLayer with one channel."""
    y = nchw(x)
    groups = y.reshape(group, -1, 1, *y.shape[1:])
    away = groups - groups.mean(0)
    y = (away.square().mean(0) + 1e-8).sqrt().mean([2, 3, 4]).reshape(-1, 1, 1, 1)
    y = y.repeat(group, 1, *x.shape[1:3])
    return nhwc(torch.cat([nchw(x), y], 1))


def forms():
    image = (2, 3, 4, 2)
    yield layer_case("minibatch_stddev", ["minibatch_stddev"], (8, 2, 3, 2),
                     lambda x, t, _: minibatch_stddev(x, 4), second=True)
    yield layer_case("minibatch_stddev_group", ["minibatch_stddev: 3"], (6, 2, 3, 2),
                     lambda x, t, _: minibatch_stddev(x, 3))
    yield layer_case("upsample2d_bilinear", ["upsample2d: {size: [2, 3], interpolation: bilinear}"],
                     image, lambda x, t, _: nhwc(F.interpolate(
                         nchw(x), scale_factor=(2.0, 3.0), mode="bilinear")), second=False)
    yield layer_case(
        "residual", ["residual: {body: [{conv2d: {filters: 2, kernel: 3, padding: 1, "
                     "activation: tanh}}, {conv2d: {name: last, filters: 2, kernel: 1}}]}"], image,
        lambda x, t, _: x + nhwc(F.conv2d(torch.tanh(F.conv2d(
            nchw(x), t["0.0.weight"], t["0.0.bias"], padding=1)), t["0.last.weight"],
            t["0.last.bias"])),
        {"0.0.weight": (2, 2, 3, 3), "0.0.bias": (2,), "0.last.weight": (2, 2, 1, 1),
         "0.last.bias": (2,)})
    yield layer_case(
        "residual_shortcut",
        ["residual: {name: block, body: [{dense: {units: 5, activation: sigmoid}}], "
         "shortcut: [{dense: {units: 5, use_bias: false}}], activation: elu}"], (4, 3),
        lambda x, t, _: F.elu(torch.sigmoid(F.linear(x, t["block.0.weight"], t["block.0.bias"]))
                              + F.linear(x, t["block.shortcut.0.weight"])),
        {"block.0.weight": (5, 3), "block.0.bias": (5,), "block.shortcut.0.weight": (5, 3)})
    yield layer_case("reshape", ["reshape: [4, -1]"], image,
                     lambda x, t, _: x.reshape(2, 4, 6), second=False)
    yield layer_case("flatten", ["flatten"], image, lambda x, t, _: x.flatten(1), second=False)
    yield layer_case("upsample2d", ["upsample2d: [2, 3]"], image,
                     lambda x, t, _: nhwc(F.interpolate(nchw(x), scale_factor=(2.0, 3.0))),
                     second=False)
    yield layer_case("add", ["tanh: {name: a}", "sigmoid: {name: b, input: latent}",
                             "add: {input: [a, b, latent]}"], image,
                     lambda x, t, _: torch.tanh(x) + torch.sigmoid(x) + x)
    yield layer_case("concat", ["tanh: {name: a}", "sigmoid: {name: b, input: latent}",
                                "concat: {input: [a, latent, b]}"], image,
                     lambda x, t, _: torch.cat([torch.tanh(x), x, torch.sigmoid(x)], -1))
    yield layer_case("dropout", ["dropout: 0.4"], (4, 5), lambda x, t, training: x,
                     training=False, evaluation=True)
    yield layer_case("dropout_rate_0", ["dropout: 0"], (4, 5), lambda x, t, _: x, second=False)


def activations():
    def case(name, layer, function, **options):
        wide = dict(low=-3.0, high=3.0)
        wide.update(options)
        return layer_case(name, [layer], (4, 9), lambda x, t, _: function(x), **wide)
    yield case("relu", "relu", F.relu)
    yield case("leaky_relu", "leaky_relu", lambda x: F.leaky_relu(x, 0.2))
    yield case("leaky_relu_slope", "leaky_relu: 0.05", lambda x: F.leaky_relu(x, 0.05))
    yield case("relu6", "relu6", F.relu6, low=-9.0, high=9.0)
    yield case("elu", "elu: 0.7", lambda x: F.elu(x, 0.7))
    yield case("celu", "celu: 0.5", lambda x: F.celu(x, 0.5))
    yield case("selu", "selu", F.selu)
    yield case("gelu", "gelu", F.gelu)
    yield case("gelu_approximate", "gelu: {approximate: tanh}",
               lambda x: F.gelu(x, approximate="tanh"))
    yield case("gelu_tanh", "gelu_tanh", lambda x: F.gelu(x, approximate="tanh"))
    yield case("silu", "silu", F.silu)
    yield case("mish", "mish", F.mish)
    yield case("softplus", "softplus", F.softplus)
    yield case("softsign", "softsign", F.softsign)
    # Written out: PyTorch has no second derivative of F.hardsigmoid, and its first one multiplies
    # by a sixth of single precision.
    yield case("hard_sigmoid", "hard_sigmoid", lambda x: F.relu6(x + 3) / 6, low=-6.0, high=6.0)
    yield case("hard_swish", "hard_swish", lambda x: x * F.relu6(x + 3) / 6, low=-6.0, high=6.0)
    yield case("hard_swish_first", "hard_swish", F.hardswish, low=-6.0, high=6.0, second=False)
    yield case("softmax", "softmax", lambda x: F.softmax(x, -1))
    yield layer_case("prelu", ["prelu"], (4, 9), lambda x, t, _: F.prelu(x, t["0.weight"]),
                     {"0.weight": (1,)})
    yield layer_case("prelu_by_channel", ["prelu: {by_channel: true}"], (2, 3, 2, 4),
                     lambda x, t, _: nhwc(F.prelu(nchw(x), t["0.weight"])), {"0.weight": (4,)})
    yield layer_case("flatten_prelu", ["flatten", "prelu: {by_channel: true}"], (2, 3, 2, 2),
                     lambda x, t, _: nhwc(F.prelu(nchw(x).flatten(1), t["1.weight"])
                                          .reshape(-1, 2, 3, 2)).flatten(1), {"1.weight": (12,)})
    yield case("tanh", "tanh", torch.tanh)
    yield case("sigmoid", "sigmoid", torch.sigmoid)


def cases():
    for group in (weighted, tails, spectral_norms, norms, pools, forms, activations):
        yield from group()
