"""What the model files share: a GAN's two updates, and how a model is put into a mode.

A model file has `make(mode)`, which gives one training step as a function without arguments:
weights, optimizer and a batch of noise or tokens are there before.  mode.image(x) and
mode.network(module) put both into channels_last where the mode says so, and mode.compiled(f)
compiles what is forward and loss.
"""
import torch


class Mode:
    def __init__(self, name):
        self.name = name
        self.last = "channels_last" in name
        self.compile = "compile" in name

    def image(self, x):
        return x.contiguous(memory_format=torch.channels_last) if self.last else x

    def network(self, module):
        return module.to(memory_format=torch.channels_last) if self.last else module

    def compiled(self, function):
        return torch.compile(function) if self.compile else function


def update(optimizer, loss, frozen=(), clip_norm=None):
    """One step of an optimizer; nobody's gradients are computed for `frozen` parameters."""
    optimizer.zero_grad(set_to_none=True)
    for parameter in frozen:
        parameter.requires_grad_(False)
    loss().backward()
    for parameter in frozen:
        parameter.requires_grad_(True)
    if clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], clip_norm)
    optimizer.step()


def gan_step(discriminator, d_adam, g_adam, d_loss, g_loss, n_critic=1):
    frozen = list(discriminator.parameters())

    def step():
        for _ in range(n_critic):
            update(d_adam, d_loss)
        update(g_adam, g_loss, frozen)
    return step
