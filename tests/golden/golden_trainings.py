"""Golden values of whole trainings: five steps of generator and discriminator, with the random
numbers, shards, phases and metrics that a job has.

A training file holds the job, its images batch by batch, first parameters and buffers, every metric
of every execution of a phase, and all parameters and buffers after every step.
"""
import torch
import torch.nn.functional as F

from golden_file import Case
from golden_layers import normalised
from golden_losses import LOSSES
from golden_random import draw, normals, uniforms

STEPS = 5
SEED = 7
LATENT = 3
IMAGE = (4, 4, 2)
MOMENTUM = 0.1
CLASSES = 3

GENERATOR = ["dense: {units: 16}", "reshape: [2, 2, 4]", "batch_norm", "relu",
             "conv2d_transpose: {filters: 2, kernel: 4, stride: 2, padding: 1, activation: tanh}"]
TENSORS = {"generator.0.weight": (16, LATENT), "generator.0.bias": (16,),
           "generator.2.weight": (4,), "generator.2.bias": (4,),
           "generator.4.weight": (4, 2, 4, 4), "generator.4.bias": (2,),
           "discriminator.0.weight": (3, 2, 3, 3), "discriminator.0.bias": (3,),
           "discriminator.last.weight": (1, 12), "discriminator.last.bias": (1,)}
BUFFERS = {"generator.2.running_mean": (4,), "generator.2.running_var": (4,)}


class Shard:
    """What one shard's phase sees: random numbers of its rows, and the norms' statistics."""

    def __init__(self, training, phase, execution, index):
        self.training = training
        self.phase = phase
        self.execution = execution
        self.rows = training.batch // training.shards
        self.first_row = index * self.rows
        self.calls = {"generator": 0, "discriminator": 0}
        self.statistics = []
        self.powers = {}

    def random(self, make, name, *sample):
        return draw(make, SEED, self.execution, f"{self.phase}/{name}", self.first_row,
                    (self.rows, *sample))

    def batch_norm(self, x, name):
        """x (N,C,...)."""
        t = self.training.t
        axes = [0, *range(2, x.ndim)]
        self.statistics.append((name, x.mean(axes).detach(), (x * x).mean(axes).detach(),
                                x.numel() // x.shape[1]))
        return F.batch_norm(x, None, None, t[name + ".weight"], t[name + ".bias"], True)

    def drawn_labels(self, real):
        """Of generated samples, each class as likely; a loss of pairs compares within a class."""
        options = self.training.options
        if not options.get("conditional") or options.get("pairs"):
            return real
        return (self.random(uniforms, "label/0") * CLASSES).floor()

    def generate(self, labels):
        t = self.training.t
        self.calls["generator"] += 1
        z = self.random(normals, "latent/0", LATENT)
        if self.training.options.get("conditional"):
            z = torch.cat([z, t["generator.label_embedding.weight"][labels.long()]], 1)
        x = F.linear(z, t["generator.0.weight"], t["generator.0.bias"]).reshape(-1, 4, 2, 2)
        x = F.relu(self.batch_norm(x, "generator.2"))
        x = F.conv_transpose2d(x, t["generator.4.weight"], t["generator.4.bias"], 2, 1)
        return torch.tanh(x)

    def judge(self, x, labels):
        """Images (N,C,H,W) to logits."""
        t = self.training.t
        call = self.calls["discriminator"]
        self.calls["discriminator"] += 1
        x = F.conv2d(x, self.weight("discriminator.0"), t.get("discriminator.0.bias"), 2, 1)
        if self.training.options.get("norm"):
            x = self.batch_norm(x, "discriminator.0.norm")
        x = F.leaky_relu(x, 0.2).flatten(1)
        rate = self.training.options.get("dropout")
        if rate:
            u = self.random(uniforms, f"discriminator.1/{call}", 2, 2, 3)
            kept = (u >= rate).double().movedim(-1, 1).flatten(1) / (1.0 - rate)
            x = x * kept
        y = F.linear(x, self.weight("discriminator.last"), t["discriminator.last.bias"])
        if self.training.options.get("conditional"):
            table = t["discriminator.label_projection.weight"]
            y = y + (table[labels.long()] * x).sum(1, keepdim=True)
        return y

    def weight(self, name):
        weight = self.training.t[name + ".weight"]
        if not self.training.options.get("spectral"):
            return weight
        weight, u = normalised(weight, self.training.buffers[name + ".weight_u"])
        if self.phase == "discriminator":
            self.powers[name + ".weight_u"] = u
        return weight


def penalty(shard, kind, real, generated, logits, labels):
    """The sum over samples without its weight; real and generated are those of the loss, logits of
    both theirs, labels those of the real."""
    if kind in ("r1", "r2"):
        image, judged = (real, logits[0]) if kind == "r1" else (generated, logits[1])
    else:
        if kind == "gradient_penalty":
            u = shard.random(uniforms, "between", 1, 1, 1)
            image = real + u * (generated - real)
        else:
            noise = shard.random(uniforms, "noise", *IMAGE).movedim(-1, 1)
            moved = real + noise * 0.5 * real.std(unbiased=False)
            image = real + shard.random(uniforms, "near", 1, 1, 1) * (moved - real)
        image = image.detach().requires_grad_()
        judged = shard.judge(image, labels)
    gradient = torch.autograd.grad(judged.sum(), image, create_graph=True)[0].flatten(1)
    if kind in ("r1", "r2"):
        return 0.5 * (gradient ** 2).sum()
    return (((gradient ** 2).sum(1) + 1e-12).sqrt() - 1.0).square().sum()


def blend(buffers, shards):
    """Running statistics, a call at a time, of the batch that the shards make together."""
    for calls in zip(*shards):
        name, _, _, count = calls[0]
        mean = sum(call[1] for call in calls) / len(calls)
        square = sum(call[2] for call in calls) / len(calls)
        count *= len(calls)
        variance = (square - mean ** 2) * count / (count - 1)
        for key, value in (("running_mean", mean), ("running_var", variance)):
            old = buffers[f"{name}.{key}"]
            buffers[f"{name}.{key}"] = (1 - MOMENTUM) * old + MOMENTUM * value


class Training:
    """options: norm, dropout, spectral (of the discriminator), clip (of its weights), penalties
    (kind: weight and every), n_critic, pairs (of the loss), conditional, ema, clip_norm, batch,
    shards."""

    def __init__(self, case, loss, optimizers, options):
        self.case = case
        self.loss = LOSSES[loss][1:]
        self.options = options
        self.batch = options.get("batch", 4)
        self.shards = options.get("shards", 1)
        shapes = dict(TENSORS)
        buffers = dict(BUFFERS)
        if options.get("norm"):
            del shapes["discriminator.0.bias"]
            shapes.update({"discriminator.0.norm.weight": (3,), "discriminator.0.norm.bias": (3,)})
            buffers.update({"discriminator.0.norm.running_mean": (3,),
                            "discriminator.0.norm.running_var": (3,)})
        if options.get("conditional"):
            shapes.update({"generator.0.weight": (16, 2 * LATENT),
                           "generator.label_embedding.weight": (CLASSES, LATENT),
                           "discriminator.label_projection.weight": (CLASSES, 12)})
        if options.get("spectral"):
            buffers.update({"discriminator.0.weight_u": (3,), "discriminator.last.weight_u": (1,)})
        self.t = {}
        for key, shape in shapes.items():
            self.t[key] = case.given("param." + key, 0.7 * case.draw(*shape)).requires_grad_()
        self.buffers = {key: case.given("buffer." + key, case.draw(*shape, low=0.5, high=1.5))
                        for key, shape in buffers.items()}
        self.optimizers = {part: make(self.of(part).values())
                           for part, make in optimizers.items()}
        self.executions = {"generator": 0, "discriminator": 0}
        self.average = {key: value.detach().clone() for key, value in self.of("generator").items()}
        self.batches = []
        self.labels = []
        self.done = 0

    def of(self, part):
        return {key: value for key, value in self.t.items() if key.startswith(part)}

    def discriminator_terms(self, shard, real, labels):
        real = real.clone().requires_grad_()
        drawn = shard.drawn_labels(labels)
        real_logits = shard.judge(real, labels)
        generated = shard.generate(drawn).detach().requires_grad_()
        logits = (real_logits, shard.judge(generated, drawn))
        terms = {"d_loss": self.loss[0](*logits)}
        for kind, (weight, every) in self.options.get("penalties", {}).items():
            if every == 1 or shard.phase == "discriminator_penalty":
                value = penalty(shard, kind, real, generated, logits, labels)
                terms[kind] = weight * every * value
        return terms

    def generator_terms(self, shard, real, labels):
        drawn = shard.drawn_labels(labels)
        real_logits = shard.judge(real, labels) if self.options.get("pairs") else None
        return {"g_loss": self.loss[1](real_logits, shard.judge(shard.generate(drawn), drawn))}

    def execute(self, part):
        execution = self.executions[part]
        self.executions[part] += 1
        lazy = [every for _, every in self.options.get("penalties", {}).values() if every > 1]
        name = part
        if part == "discriminator":
            self.batches.append(self.case.draw(self.batch, *IMAGE))
            self.labels.append(self.case.whole(self.batch, below=CLASSES))
            if lazy and execution % lazy[0] == 0:
                name = "discriminator_penalty"
        terms_of = getattr(self, part + "_terms")
        tensors = self.of(part)
        sums = {}
        gradients = None
        statistics = []
        for index in range(self.shards):
            shard = Shard(self, name, execution, index)
            rows = slice(shard.first_row, shard.first_row + shard.rows)
            terms = terms_of(shard, self.batches[-1][rows].movedim(-1, 1), self.labels[-1][rows])
            new = torch.autograd.grad(sum(terms.values()), list(tensors.values()))
            gradients = new if gradients is None else [a + b for a, b in zip(gradients, new)]
            for key, value in terms.items():
                sums[key] = sums.get(key, 0.0) + value.detach() / self.batch
            statistics.append(shard.statistics)
        for key, value in sums.items():
            self.case.expect(f"metric.{self.done}.{key}", value)
        self.done += 1
        for tensor, gradient in zip(tensors.values(), gradients):
            tensor.grad = gradient / self.batch
        self.update(part, tensors)
        blend(self.buffers, statistics)
        self.buffers.update(shard.powers)

    def update(self, part, tensors):
        if self.options.get("clip_norm"):
            torch.nn.utils.clip_grad_norm_(tensors.values(), self.options["clip_norm"])
        self.optimizers[part].step()
        if part == "discriminator" and self.options.get("clip"):
            for tensor in tensors.values():
                tensor.data.clamp_(-self.options["clip"], self.options["clip"])

    def follow(self, step):
        """The average of the generator's weights (Karras 2020): the first ones are taken whole."""
        ema = self.options.get("ema", {})
        keep = ema.get("decay", 0.0)
        if "half_life" in ema and step > 0:
            images = min(ema["half_life"], 0.05 * step * self.batch)
            keep = 0.5 ** (self.batch / images)
        keep = keep if step > 0 else 0.0
        for key, tensor in self.of("generator").items():
            self.average[key] = keep * self.average[key] + (1.0 - keep) * tensor.detach()

    def run(self):
        for step in range(STEPS):
            for _ in range(self.options.get("n_critic", 1)):
                self.execute("discriminator")
            self.execute("generator")
            self.follow(step)
            for key, tensor in (*self.t.items(), *self.buffers.items()):
                self.case.expect(f"after.{step}.{key}", tensor.clone())
        if self.options.get("ema"):
            for key, tensor in self.average.items():
                self.case.expect("ema." + key, tensor)
        self.case.given("input.image", torch.stack(self.batches))
        if self.options.get("conditional"):
            self.case.given("input.label", torch.stack(self.labels))


def training_case(name, loss, optimizer, make, more=(), **options):
    """optimizer: the job file's text; make: PyTorch's, for both parts."""
    spectral = ", spectral_norm: true" if options.get("spectral") else ""
    first = "conv2d: {filters: 3, kernel: 3, stride: 2, padding: 1, activation: leaky_relu%s%s}" % (
        ", norm: batch" if options.get("norm") else "", spectral)
    layers = [first]
    if options.get("dropout"):
        layers.append(f"dropout: {options['dropout']}")
    layers += ["flatten", "dense: {name: last, units: 1%s}" % spectral]
    lines = ["name: golden", "kind: gan", "data: glyphs", "model:", f"  latent: {LATENT}"]
    for part, part_layers in (("generator", GENERATOR), ("discriminator", layers)):
        lines += [f"  {part}:"] + [f"    - {layer}" for layer in part_layers]
    text = LOSSES[loss][0]
    if options.get("clip"):
        text = "{wasserstein: {clip: %s}}" % options["clip"]
    lines += [f"loss: {text}", f"optimizer: {{{optimizer}}}", *more,
              "train: {epochs: 1, batch: %d, shards: %d, seed: %d}" % (
                  options.get("batch", 4), options.get("shards", 1), SEED)]
    case = Case(name, job="\n".join(lines) + "\n", steps=STEPS, f64=1e-6, f32=5e-5,
                classes=CLASSES)
    Training(case, loss, {"generator": make, "discriminator": make}, options).run()
    return case


def cases():
    def adam(lr=0.015625, **options):
        return lambda parameters: torch.optim.Adam(parameters, lr=lr, **options)
    def penalties(text):
        return (f"gan: {{penalties: [{text}]}}",)
    adam_text = "adam: {lr: 0.015625, beta1: 0.5}"
    plain = adam(betas=(0.5, 0.999))
    yield training_case("non_saturating", "non_saturating", adam_text, plain)
    yield training_case("shards", "non_saturating", adam_text, plain, norm=True, batch=6, shards=2)
    yield training_case("dropout", "minimax", "sgd: {lr: 0.125, momentum: 0.5}",
                        lambda parameters: torch.optim.SGD(parameters, lr=0.125, momentum=0.5),
                        dropout=0.25)
    yield training_case("least_squares", "least_squares",
                        "sgd: {lr: 0.25, clip_norm: 0.5}",
                        lambda parameters: torch.optim.SGD(parameters, lr=0.25), clip_norm=0.5,
                        norm=True)
    yield training_case("wasserstein", "wasserstein", "rmsprop: {lr: 0.03125}",
                        lambda parameters: torch.optim.RMSprop(parameters, lr=0.03125),
                        ("gan: {n_critic: 2}",), clip=0.125, n_critic=2)
    yield training_case("wgan_gp", "wasserstein", "adam: {lr: 0.015625, beta1: 0, beta2: 0.9}",
                        adam(betas=(0.0, 0.9)),
                        ("gan: {n_critic: 3, penalties: [gradient_penalty]}",), n_critic=3,
                        penalties={"gradient_penalty": (10.0, 1)})
    yield training_case("hinge", "hinge", adam_text, plain, batch=6, shards=3)
    yield training_case("spectral_norm", "hinge", adam_text, plain, ("gan: {n_critic: 2}",),
                        n_critic=2, spectral=True, batch=6, shards=2)
    yield training_case("ema_decay", "hinge", adam_text, plain, ("gan: {ema: {decay: 0.75}}",),
                        ema={"decay": 0.75})
    yield training_case("ema_half_life", "hinge", adam_text, plain,
                        ("gan: {ema: {half_life: 1}}",), ema={"half_life": 1.0}, batch=6)
    yield training_case("conditional", "hinge", adam_text, plain,
                        ("gan: {conditional: true, penalties: [gradient_penalty]}",),
                        penalties={"gradient_penalty": (10.0, 1)}, conditional=True, batch=6,
                        shards=2)
    yield training_case("conditional_pairs", "relativistic", adam_text, plain,
                        ("gan: {conditional: true}",), pairs=True, conditional=True)
    yield training_case("dragan", "minimax", adam_text, plain, penalties("{dragan: {weight: 5}}"),
                        penalties={"dragan": (5.0, 1)}, batch=6, shards=2)
    yield training_case("r1", "non_saturating", adam_text, plain, penalties("{r1: {weight: 4}}"),
                        penalties={"r1": (4.0, 1)})
    yield training_case("r1_lazy", "non_saturating", adam_text, plain,
                        penalties("{r1: {weight: 4, every: 2}}"), penalties={"r1": (4.0, 2)})
    yield training_case("r2", "hinge", adam_text, plain, penalties("r2"),
                        penalties={"r2": (10.0, 1)})
    yield training_case("relativistic", "relativistic", adam_text, plain,
                        penalties("{r1: {weight: 2}}, {r2: {weight: 3}}"), pairs=True,
                        penalties={"r1": (2.0, 1), "r2": (3.0, 1)}, batch=6, shards=2)
