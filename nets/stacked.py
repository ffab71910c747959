"""h_l = phi(h_(l-1) W_l^T + b_l) for all chains in one batched product a layer: the loss and gradient of multilayer perceptrons.

Autograd's and `vmap`'s bookkeeping costs more than the arithmetic of a small network; here the backward pass is written out.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nets.losses import cross_entropy, half_squares, mse
from nets.targets import Samples


class Phi(NamedTuple):
    """An activation h = phi(z), in place, and grad_z from grad_h, which it may use up, and h."""

    forward: Callable
    backward: Callable


ACTIVATIONS = {
    nn.ReLU: Phi(torch.relu_, lambda slope, h: torch.ops.aten.threshold_backward(slope, h, 0.0)),
    nn.Tanh: Phi(torch.tanh_, lambda slope, h: slope.mul_(1 - h * h)),
    nn.Sigmoid: Phi(torch.sigmoid_, lambda slope, h: slope.mul_(h * (1 - h))),
}

# d loss / d output of one sample, for the losses known; others are differentiated by autograd
SLOPES = {
    cross_entropy: lambda output, y: torch.softmax(output, -1).scatter_add_(-1, y[..., None], output.new_full((*y.shape, 1), -1.0)),
    mse: lambda output, y: (output - y).mul_(2 / output.shape[-1]),
    half_squares: lambda output, y: output - y,
}


class Linear(NamedTuple):
    """One layer: the names of its parameters, and what follows it."""

    weight: str
    bias: str | None
    phi: Phi | None


def perceptron(model: nn.Module) -> list[Linear] | None:
    """The layers of an `nn.Linear`, or of an `nn.Sequential` (of those) of Flatten, Linear and known activations; None if it is anything else."""
    layers, seen = [], set()
    for name, module in _flat(model, ""):
        kind = type(module)
        if kind is nn.Linear and module not in seen and not _altered(module):
            seen.add(module)
            inside = f"{name}." if name else ""  # a bare layer is all of the model
            layers.append(Linear(f"{inside}weight", None if module.bias is None else f"{inside}bias", None))
        elif kind in ACTIVATIONS and layers and layers[-1].phi is None:
            layers[-1] = layers[-1]._replace(phi=ACTIVATIONS[kind])
        elif not (kind is nn.Identity or (kind is nn.Flatten and module.start_dim == 1 and not layers)):
            return None
    names = {name for layer in layers for name in (layer.weight, layer.bias) if name}
    return layers if layers and names == set(dict(model.named_parameters())) else None


def _flat(module: nn.Module, name: str):
    if type(module) is nn.Sequential and not _altered(module):
        for key, child in module._modules.items():
            yield from _flat(child, f"{name}.{key}" if name else key)
    else:
        yield name, module


def _altered(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or nn.utils.parametrize.is_parametrized(module))


class StackedTarget(Samples):
    """L_B(w) of a perceptron; loss: (output (m, k), y (m, ...)) -> (m,). moving and frozen: parameters by name, w in the order of moving."""

    def __init__(self, layers: list[Linear], loss: Callable, x: Tensor, y: Tensor, moving: dict[str, Tensor], frozen: dict[str, Tensor]):
        self.layers, self.loss, self.x, self.y, self._frozen = layers, loss, x.flatten(1), y, frozen
        self._shapes = {name: value.shape for name, value in moving.items()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        self.n, self.star = len(x), torch.cat([value.detach().flatten() for value in moving.values()])

    def parameters(self, w: Tensor) -> dict[str, Tensor]:
        """By name, (C, ...): views of w (C, D), and the frozen ones."""
        parts = {name: part.unflatten(1, shape) for (name, shape), part in zip(self._shapes.items(), w.split(self._sizes, 1), strict=True)}
        return parts | {name: value.expand(len(w), *value.shape) for name, value in self._frozen.items()}

    def _forward(self, parameters, x):
        """The activations h_0 = x, h_1, ..., outputs, each (C, B, width)."""
        h = [x]
        for layer in self.layers:
            weight = parameters[layer.weight].mT
            z = torch.bmm(h[-1], weight) if layer.bias is None else torch.baddbmm(parameters[layer.bias][:, None], h[-1], weight)
            h.append(layer.phi.forward(z) if layer.phi else z)
        return h

    def _loss(self, output, y):
        return self.loss(output.flatten(0, 1), y.flatten(0, 1)).unflatten(0, y.shape[:2]).mean(1)

    @torch.no_grad()
    def _evaluate(self, w, x, y, shared, slope):
        if shared:
            x, y = x.expand(len(w), *x.shape), y.expand(len(w), *y.shape)
        parameters = self.parameters(w)
        h = self._forward(parameters, x)
        return self._backward(w, parameters, h, y) if slope else (self._loss(h[-1], y), None)

    def _backward(self, w, parameters, h, y):
        output = h.pop()
        if self.loss in SLOPES:
            losses, slope = self._loss(output, y), SLOPES[self.loss](output, y).div_(y.shape[1])
        else:
            with torch.enable_grad():
                output.requires_grad_()
                losses = self._loss(output, y)
                (slope,) = torch.autograd.grad(losses.sum(), output)
            losses, slope = losses.detach(), slope.clone()
        if self.layers[-1].phi:
            slope = self.layers[-1].phi.backward(slope, output.detach())
        out = torch.empty_like(w)
        parts = self.parameters(out)
        for number, layer in reversed(list(enumerate(self.layers))):
            if layer.weight in self._shapes:
                parts[layer.weight].copy_(torch.bmm(slope.mT, h[number]))
            if layer.bias in self._shapes:
                parts[layer.bias].copy_(slope.sum(1))
            if number:
                slope = torch.bmm(slope, parameters[layer.weight])
                if self.layers[number - 1].phi:
                    slope = self.layers[number - 1].phi.backward(slope, h[number])
        return losses, out
