"""Golden values of optimizers: five steps of a weight and a bias from the same gradients."""
import torch

from golden_file import Case

STEPS = 5
SHAPES = {"weight": (6, 5), "bias": (5,)}


class Lars(torch.optim.Optimizer):
    """You, Gitman, Ginsburg (2017), which PyTorch lacks; biases have no rate of their own."""

    def __init__(self, groups, lr, momentum, eta, clip_lr=False, weight_decay=0.0):
        super().__init__(groups, dict(lr=lr, momentum=momentum, eta=eta, clip_lr=clip_lr,
                                      weight_decay=weight_decay))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                g = p.grad + group["weight_decay"] * p
                if p.ndim > 1:
                    trust = group["eta"] * p.norm() / (
                        p.grad.norm() + group["weight_decay"] * p.norm() + 1e-8)
                    if group["clip_lr"]:
                        trust = torch.clamp(trust / group["lr"], max=1.0)
                    g = g * trust
                state = self.state[p]
                buffer = state.setdefault("momentum_buffer", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(g)
                p.sub_(group["lr"] * buffer)


def schedule_of(kind, lr):
    """A multiple of lr for each step from 0."""
    if kind is None:
        return None
    def build(optimizer):
        module = torch.optim.lr_scheduler
        if kind == "step":
            return module.StepLR(optimizer, 2, 0.5)
        if kind == "linear":
            return module.LinearLR(optimizer, 1.0, 0.25, 3)
        if kind == "cosine":
            return module.CosineAnnealingLR(optimizer, 4, lr / 4)
        warm = module.LambdaLR(optimizer, lambda t: (t + 1) / 2)
        return module.SequentialLR(optimizer, [warm, module.CosineAnnealingLR(optimizer, 4, 0.0)],
                                   [2])
    return build


def optimizer_case(name, text, create, lr, scope="all", schedule=None, clip_value=None,
                   clip_norm=None, low=-1.0, high=1.0):
    """create(groups) makes PyTorch's optimizer; scope `weights`: the bias does not decay."""
    case = Case(name, optimizer=text, steps=STEPS, f64=3e-7, f32=2e-6)
    p = {key: case.given("param." + key, case.draw(*shape)).requires_grad_()
         for key, shape in SHAPES.items()}
    groups = [{"params": [p["weight"]]}, {"params": [p["bias"]]}]
    if scope == "weights":
        groups[1]["weight_decay"] = 0.0
    optimizer = create(groups)
    scheduler = schedule_of(schedule, lr)
    scheduler = scheduler and scheduler(optimizer)
    for t in range(STEPS):
        for key, tensor in p.items():
            tensor.grad = case.given(f"gradient.{t}.{key}",
                                     case.draw(*tensor.shape, low=low, high=high))
        if clip_value is not None:
            torch.nn.utils.clip_grad_value_(p.values(), clip_value)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(p.values(), clip_norm)
        optimizer.step()
        if scheduler:
            scheduler.step()
        for key, tensor in p.items():
            case.expect(f"after.{t}.{key}", tensor.clone())
    for key, tensor in p.items():
        for state, value in optimizer.state.get(tensor, {}).items():
            if state != "step" and value is not None:
                case.expect(f"state.{state}.{key}", value)
    return case


def cases():
    optim = torch.optim
    lr = 0.0625
    def sgd(**options):
        return lambda groups: optim.SGD(groups, lr=lr, **options)
    def adam(**options):
        return lambda groups: optim.Adam(groups, lr=lr, **options)
    yield optimizer_case("sgd", "sgd: {lr: 0.0625}", sgd(), lr)
    yield optimizer_case("sgd_momentum", "sgd: {lr: 0.0625, momentum: 0.75, weight_decay: 0.25}",
                         sgd(momentum=0.75, weight_decay=0.25), lr)
    yield optimizer_case("sgd_nesterov", "sgd: {lr: 0.0625, momentum: 0.9, nesterov: true}",
                         sgd(momentum=0.9, nesterov=True), lr)
    yield optimizer_case("sgd_decay_weights",
                         "sgd: {lr: 0.0625, momentum: 0.75, weight_decay: 0.25, decay: weights}",
                         sgd(momentum=0.75, weight_decay=0.25), lr, scope="weights")
    yield optimizer_case("adam", "adam: {lr: 0.0625}", adam(), lr)
    yield optimizer_case("adam_options",
                         "adam: {lr: 0.0625, beta1: 0.5, beta2: 0.9, epsilon: 0.01, "
                         "weight_decay: 0.1}",
                         adam(betas=(0.5, 0.9), eps=0.01, weight_decay=0.1), lr)
    yield optimizer_case("adamw", "adamw: {lr: 0.0625}",
                         lambda groups: optim.AdamW(groups, lr=lr, weight_decay=0.01), lr,
                         scope="weights")
    yield optimizer_case("adamw_all", "adamw: {lr: 0.0625, weight_decay: 0.5, decay: all}",
                         lambda groups: optim.AdamW(groups, lr=lr, weight_decay=0.5), lr)
    yield optimizer_case("rmsprop", "rmsprop: {lr: 0.0625}",
                         lambda groups: optim.RMSprop(groups, lr=lr), lr)
    yield optimizer_case("rmsprop_centered",
                         "rmsprop: {lr: 0.0625, alpha: 0.9, epsilon: 0.001, momentum: 0.5, "
                         "centered: true, weight_decay: 0.1}",
                         lambda groups: optim.RMSprop(groups, lr=lr, alpha=0.9, eps=0.001,
                                                      momentum=0.5, centered=True,
                                                      weight_decay=0.1), lr)
    yield optimizer_case("lars", "lars: {lr: 0.5, weight_decay: 0.125}",
                         lambda groups: Lars(groups, 0.5, 0.9, 1e-3, weight_decay=0.125), 0.5,
                         scope="weights")
    yield optimizer_case("lars_clipped",
                         "lars: {lr: 0.5, momentum: 0.5, eta: 0.25, clip_lr: true}",
                         lambda groups: Lars(groups, 0.5, 0.5, 0.25, clip_lr=True), 0.5,
                         scope="weights")
    yield from clipping_and_schedules(sgd, adam, lr)


def clipping_and_schedules(sgd, adam, lr):
    yield optimizer_case("clip_value", "adam: {lr: 0.0625, clip_value: 0.25}", adam(), lr,
                         clip_value=0.25)
    yield optimizer_case("clip_norm", "sgd: {lr: 0.0625, momentum: 0.5, clip_norm: 1.5}",
                         sgd(momentum=0.5), lr, clip_norm=1.5)
    yield optimizer_case("clip_norm_not_reached", "sgd: {lr: 0.0625, clip_norm: 100}", sgd(), lr,
                         clip_norm=100.0)
    yield optimizer_case("clip_both", "sgd: {lr: 0.0625, clip_norm: 0.5, clip_value: 0.25}", sgd(),
                         lr, clip_norm=0.5, clip_value=0.25)
    yield optimizer_case("schedule_step",
                         "sgd: {lr: 0.0625, schedule: {step: {every: 2, factor: 0.5}}}", sgd(), lr,
                         schedule="step")
    yield optimizer_case("schedule_linear",
                         "sgd: {lr: 0.0625, schedule: {linear: {to: 0.015625, steps: 3}}}", sgd(),
                         lr, schedule="linear")
    yield optimizer_case("schedule_cosine",
                         "adam: {lr: 0.0625, schedule: {cosine: {to: 0.015625, steps: 4}}}", adam(),
                         lr, schedule="cosine")
    yield optimizer_case("schedule_warmup",
                         "sgd: {lr: 0.0625, warmup: 2, schedule: {cosine: {steps: 4}}}", sgd(), lr,
                         schedule="warmup")
