"""Golden values of adversarial losses: sums over samples, and their gradients by the logits."""
import torch
import torch.nn.functional as F

from golden_file import Case

ROWS = 5


def cross_entropy(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target),
                                              reduction="sum")


def squares(logits, target):
    return 0.5 * F.mse_loss(logits, torch.full_like(logits, target), reduction="sum")


def pairs(a, b):
    return -F.logsigmoid(a - b).sum()


# The job file's text, then the losses of the discriminator and of the generator.
LOSSES = {
    "minimax": ("minimax",
                lambda r, g: cross_entropy(r, 1.0) + cross_entropy(g, 0.0),
                lambda r, g: -cross_entropy(g, 0.0)),
    "non_saturating": ("non_saturating",
                       lambda r, g: cross_entropy(r, 1.0) + cross_entropy(g, 0.0),
                       lambda r, g: cross_entropy(g, 1.0)),
    "non_saturating_smoothed": ("{non_saturating: {label_smoothing: 0.125}}",
                                lambda r, g: cross_entropy(r, 0.875) + cross_entropy(g, 0.0),
                                lambda r, g: cross_entropy(g, 1.0)),
    "least_squares": ("least_squares",
                      lambda r, g: squares(r, 1.0) + squares(g, 0.0),
                      lambda r, g: squares(g, 1.0)),
    "least_squares_smoothed": ("{least_squares: {label_smoothing: 0.125}}",
                               lambda r, g: squares(r, 0.875) + squares(g, 0.0),
                               lambda r, g: squares(g, 1.0)),
    "wasserstein": ("wasserstein", lambda r, g: g.sum() - r.sum(), lambda r, g: -g.sum()),
    "hinge": ("hinge", lambda r, g: F.relu(1 - r).sum() + F.relu(1 + g).sum(),
              lambda r, g: -g.sum()),
    "relativistic": ("relativistic", pairs, lambda r, g: pairs(g, r)),
}


def cases():
    for name, (text, discriminator, generator) in LOSSES.items():
        case = Case(name, loss=text)
        real = case.given("real", case.draw(ROWS, 1, low=-3.0, high=3.0)).requires_grad_()
        generated = case.given("generated", case.draw(ROWS, 1, low=-3.0, high=3.0)).requires_grad_()
        for part, loss in (("discriminator", discriminator), ("generator", generator)):
            value = loss(real, generated)
            gradients = torch.autograd.grad(value, (real, generated), allow_unused=True)
            case.expect(part, value)
            for key, leaf, gradient in zip(("real", "generated"), (real, generated), gradients):
                case.expect(f"{part}.{key}",
                            torch.zeros_like(leaf) if gradient is None else gradient)
        yield case
