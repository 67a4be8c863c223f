"""Golden values of trainings with labels: classes of images, and the next token of texts."""
import torch
import torch.nn.functional as F

from golden_file import Case
from golden_random import uniforms
from golden_trainings import IMAGE, SEED, STEPS, Shard, blend

VOCABULARY = 7
LENGTH = 5
UNITS = 6


class Supervised:
    """model(shard or None for evaluation, inputs) gives logits (N,...,C)."""

    def __init__(self, case, options):
        self.case = case
        self.options = options
        self.batch = options["batch"]
        self.shards = options["shards"]
        self.t = {key: case.given("param." + key, 0.7 * case.draw(*shape)).requires_grad_()
                  for key, shape in options["tensors"].items()}
        self.buffers = {key: case.given("buffer." + key, case.draw(*shape, low=0.5, high=1.5))
                        for key, shape in options.get("buffers", {}).items()}
        decaying = [tensor for tensor in self.t.values() if tensor.ndim > 1]
        others = [tensor for tensor in self.t.values() if tensor.ndim < 2]
        self.optimizer = options["make"]([{"params": decaying},
                                          {"params": others, "weight_decay": 0.0}])
        self.scheduler = options["schedule"](self.optimizer) if "schedule" in options else None

    def judge(self, shard, inputs, labels, smoothing):
        """Cross-entropy and the metric, one number a sample each."""
        logits = self.options["model"](self, shard, inputs)
        classes = logits.shape[-1]
        loss = F.cross_entropy(logits.reshape(-1, classes), labels.long().flatten(),
                               label_smoothing=smoothing, reduction="none")
        loss = loss.reshape(len(labels), -1).mean(1)
        right = (logits.argmax(-1) == labels).double().reshape(len(labels), -1).mean(1)
        return loss, right

    def metric(self, plain, right):
        name = self.options["metric"]
        return name, right if name == "accuracy" else plain / torch.log(torch.tensor(2.0))

    def step(self, step, inputs, labels):
        smoothing = self.options.get("smoothing", 0.0)
        self.optimizer.zero_grad()
        sums = {}
        statistics = []
        for index in range(self.shards):
            shard = Shard(self, "training", step, index)
            rows = slice(shard.first_row, shard.first_row + shard.rows)
            loss, right = self.judge(shard, inputs[rows], labels[rows], smoothing)
            statistics.append(shard.statistics)
            (loss.sum() / self.batch).backward()
            name, metric = self.metric(loss, right)
            for key, value in (("loss", loss), (name, metric)):
                sums[key] = sums.get(key, 0.0) + value.detach().sum() / self.batch
        for key, value in sums.items():
            self.case.expect(f"metric.{step}.{key}", value)
        if "clip_norm" in self.options:
            torch.nn.utils.clip_grad_norm_(self.t.values(), self.options["clip_norm"])
        self.optimizer.step()
        if self.scheduler:
            self.scheduler.step()
        blend(self.buffers, statistics)
        for key, tensor in (*self.t.items(), *self.buffers.items()):
            self.case.expect(f"after.{step}.{key}", tensor.clone())

    def run(self):
        case = self.case
        label_shape = self.options["label_shape"]
        inputs = self.options["draw"](case, STEPS * self.batch)
        labels = case.whole(STEPS * self.batch, *label_shape, below=self.options["classes"])
        for name, tensor in ((self.options["input"], inputs), ("label", labels)):
            case.given("input." + name, tensor.reshape(STEPS, self.batch, *tensor.shape[1:]))
        for step in range(STEPS):
            rows = slice(step * self.batch, (step + 1) * self.batch)
            self.step(step, inputs[rows], labels[rows])
        # A shard of validation, one of its samples being padding.
        rows = slice(0, self.batch // self.shards)
        weight = torch.ones(self.batch // self.shards)
        weight[-1] = 0.0
        case.given("weight", weight)
        with torch.no_grad():
            loss, right = self.judge(None, inputs[rows], labels[rows], 0.0)
        name, metric = self.metric(loss, right)
        case.expect("evaluation.val_loss", (loss * weight).sum())
        case.expect("evaluation.val_" + name, (metric * weight).sum())


def supervised_case(name, head, **options):
    lines = ["name: golden", *head,
             "train: {epochs: 1, batch: %d, shards: %d, seed: %d%s}" % (
                 options["batch"], options["shards"], SEED, options.get("train", ""))]
    case = Case(name, job="\n".join(lines) + "\n", steps=STEPS, f64=1e-6, f32=5e-5,
                classes=options["classes"])
    Supervised(case, options).run()
    return case


def classifier(training, shard, images):
    t = training.t
    x = F.conv2d(images.movedim(-1, 1), t["encoder.0.weight"], None, 2, 1)
    if shard:
        x = shard.batch_norm(x, "encoder.0.norm")
    else:
        x = F.batch_norm(x, training.buffers["encoder.0.norm.running_mean"],
                         training.buffers["encoder.0.norm.running_var"],
                         t["encoder.0.norm.weight"], t["encoder.0.norm.bias"], False)
    return F.linear(F.relu(x).flatten(1), t["head.0.weight"], t["head.0.bias"])


def dropped(shard, x, rate, name):
    if not shard:
        return x
    return x * (shard.random(uniforms, name, *x.shape[1:]) >= rate).double() / (1.0 - rate)


def transformer(training, shard, tokens):
    """Of one block, with PyTorch's dropouts of its TransformerEncoderLayer."""
    t = training.t
    def part(x, name):
        return F.linear(x, t[f"encoder.block.{name}.weight"], t[f"encoder.block.{name}.bias"])
    def norm(x, name):
        return F.layer_norm(x, (UNITS,), t[name + ".weight"], t[name + ".bias"])
    def drop(x, label):
        return dropped(shard, x, 0.25, f"encoder.block/{label}/0")
    x = F.embedding(tokens.long(), t["encoder.tokens.weight"]) + t["encoder.1.weight"]
    y = norm(x, "encoder.block.norm1")
    qkv = F.linear(y, t["encoder.block.self_attn.in_proj_weight"],
                   t["encoder.block.self_attn.in_proj_bias"])
    q, k, v = qkv.reshape(len(x), LENGTH, 3, 2, UNITS // 2).permute(2, 0, 3, 1, 4)
    scores = q @ k.transpose(-1, -2) / (UNITS // 2) ** 0.5
    scores = scores + torch.full((LENGTH, LENGTH), float("-inf")).triu(1)
    y = (scores.softmax(-1) @ v).transpose(1, 2).reshape(x.shape)
    x = x + drop(part(y, "self_attn.out_proj"), "dropout1")
    y = F.gelu(part(norm(x, "encoder.block.norm2"), "linear1"))
    x = x + drop(part(drop(y, "dropout"), "linear2"), "dropout2")
    return F.linear(norm(x, "encoder.3"), t["encoder.tokens.weight"])


def lstm(training, shard, tokens):
    """Two layers with dropout between them."""
    t = training.t
    x = F.embedding(tokens.long(), t["encoder.0.weight"])
    for layer in range(2):
        if layer == 1:
            x = dropped(shard, x, 0.25, "encoder.1/dropout_l0/0")
        weights = [t[f"encoder.1.{name}_l{layer}"]
                   for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        zero = torch.zeros(1, len(x), UNITS)
        x = torch._VF.lstm(x, (zero, zero), weights, True, 1, 0.0, True, False, True)[0]
    return F.linear(x, t["encoder.2.weight"], t["encoder.2.bias"])


def text(name, layers, model, tensors, optimizer, make, **options):
    head = ["kind: pretrain", "recipe: causal_lm",
            f"data: {{format: text, path: text, length: {LENGTH}}}", "model:", "  encoder:",
            *(f"    - {layer}" for layer in layers), f"optimizer: {{{optimizer}}}"]
    return supervised_case(
        name, head, model=model, tensors=tensors, make=make, batch=4, shards=2, input="text",
        classes=VOCABULARY, label_shape=(LENGTH,), metric="bits_per_character",
        draw=lambda case, count: case.whole(count, LENGTH, below=VOCABULARY), **options)


def cases():
    optim = torch.optim
    yield supervised_case(
        "classification",
        ["kind: finetune", "recipe: classification", "data: glyphs", "model:", "  encoder:",
         "    - conv2d: {filters: 3, kernel: 3, stride: 2, padding: 1, norm: batch, "
         "activation: relu}", "    - flatten", "  head:", "    - dense: {units: 4}",
         "optimizer: {sgd: {lr: 0.25, momentum: 0.5, weight_decay: 0.125, decay: weights}}"],
        model=classifier, input="image", classes=4, label_shape=(), metric="accuracy", batch=6,
        shards=2, smoothing=0.125, train=", label_smoothing: 0.125",
        make=lambda groups: optim.SGD(groups, lr=0.25, momentum=0.5, weight_decay=0.125),
        draw=lambda case, count: case.draw(count, *IMAGE),
        tensors={"encoder.0.weight": (3, 2, 3, 3), "encoder.0.norm.weight": (3,),
                 "encoder.0.norm.bias": (3,), "head.0.weight": (4, 12), "head.0.bias": (4,)},
        buffers={"encoder.0.norm.running_mean": (3,), "encoder.0.norm.running_var": (3,)})
    hidden = 4 * UNITS
    block = {"norm1.weight": (UNITS,), "norm1.bias": (UNITS,),
             "self_attn.in_proj_weight": (3 * UNITS, UNITS),
             "self_attn.in_proj_bias": (3 * UNITS,),
             "self_attn.out_proj.weight": (UNITS, UNITS), "self_attn.out_proj.bias": (UNITS,),
             "norm2.weight": (UNITS,), "norm2.bias": (UNITS,),
             "linear1.weight": (hidden, UNITS), "linear1.bias": (hidden,),
             "linear2.weight": (UNITS, hidden), "linear2.bias": (UNITS,)}
    yield text(
        "transformer",
        ["embedding: {name: tokens, vocabulary: 7, units: 6}", "positions",
         "transformer_block: {name: block, heads: 2, causal: true, dropout: 0.25}", "layer_norm",
         "dense: {units: 7, tied: tokens, use_bias: false}"], transformer,
        {"encoder.tokens.weight": (VOCABULARY, UNITS), "encoder.1.weight": (LENGTH, UNITS),
         **{"encoder.block." + key: shape for key, shape in block.items()},
         "encoder.3.weight": (UNITS,), "encoder.3.bias": (UNITS,)},
        "adamw: {lr: 0.015625, beta2: 0.95, epsilon: 0.001, weight_decay: 0.5, clip_norm: 1, "
        "warmup: 2, schedule: {cosine: {steps: 4}}}",
        lambda groups: optim.AdamW(groups, lr=0.015625, betas=(0.9, 0.95), eps=0.001,
                                   weight_decay=0.5),
        clip_norm=1.0, schedule=lambda optimizer: optim.lr_scheduler.SequentialLR(
            optimizer, [optim.lr_scheduler.LambdaLR(optimizer, lambda t: (t + 1) / 2),
                        optim.lr_scheduler.CosineAnnealingLR(optimizer, 4, 0.0)], [2]))
    yield text(
        "lstm", ["embedding: {vocabulary: 7, units: 6}",
                 "lstm: {units: 6, layers: 2, dropout: 0.25}", "dense: {units: 7}"], lstm,
        {"encoder.0.weight": (VOCABULARY, UNITS),
         **{f"encoder.1.{name}_l{layer}": shape for layer in range(2)
            for name, shape in (("weight_ih", (24, 6)), ("weight_hh", (24, 6)),
                                ("bias_ih", (24,)), ("bias_hh", (24,)))},
         "encoder.2.weight": (VOCABULARY, UNITS), "encoder.2.bias": (VOCABULARY,)},
        "rmsprop: {lr: 0.0078125}", lambda groups: optim.RMSprop(groups, lr=0.0078125))
