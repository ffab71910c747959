"""Natural gradient descent with a Kronecker-factored Fisher matrix."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from landscapes.scale import Range
from nets.fisher import Labels
from nets.layers import Layer, backward, forward, layers, scores, spread
from nets.optimisers import Alpha, Direction, Epsilon, Lookahead, Momentum, Optimiser, Rate, Stepper


@dataclass(frozen=True)
class KFAC(Optimiser):
    """w <- w - eta (F + rho I)^-1 grad L,  F = A (x) B of each layer,  A = E sum_t a a^T,  B = E d d^T,  rho = max(alpha tr(F)/D, epsilon).

    Martens & Grosse 2015 (arXiv 1503.05671), Grosse & Martens 2016 for convolutions: a is a layer's input with a 1 appended for the bias, d the
    gradient by its output, t the places where its weights are used. F has no blocks between layers and takes a and d for independent: exact for
    one linear layer without hidden ones where d's covariance does not depend on the input. Damped exactly in F's eigenbasis, not factor by factor.
    A and B are running means (`decay`) over a batch every `every` steps; the eigenbasis is renewed every `refresh` steps.
    fisher: whose labels, as in `FisherNGD`. Report: least eigenvalue 1/(max F + rho) and rho of the eigenbasis in use.
    Only for models of linear layers and convolutions, each used once.
    """

    lr: Rate = 0.01
    momentum: Momentum = 0.0
    nesterov: Lookahead = False
    alpha: Alpha = 0.1
    epsilon: Epsilon = 1e-3
    fisher: Labels = "sampled"
    decay: Annotated[float, Range(0, 0.9999, help="how much of the old A and B is kept when a batch is averaged in", shown=(0, 0.99))] = 0.95
    every: Annotated[int, Range(1, 10_000, unit="steps", help="steps between two batches that are averaged into A and B", shown=(1, 20))] = 5
    refresh: Annotated[int, Range(1, 10_000, unit="steps", help="steps between two renewals of the eigenbasis", shown=(1, 100))] = 25

    def start(self, model, seed=0):
        return _KFAC(model, seed, self)


def factors(layer: Layer, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """(A, B) of a batch: inputs a (n, ...), output gradients d (k, n, ...) of scores -> (in + 1, in + 1), the last for the bias, and (out, out)."""
    a, d = spread(layer, a, d)
    n, places, _ = a.shape
    if layer.bias:
        a = torch.cat([a, a.new_ones(n, places, 1)], 2)
    a, d = a.flatten(0, 1), d.flatten(0, 2)
    return a.T @ a / n, d.T @ d / (n * places)


class _KFAC(Stepper):
    def __init__(self, model, seed, rule: KFAC):
        super().__init__(model, seed, rule.lr, rule.momentum, rule.nesterov)
        self.rule, found = rule, layers(model)
        if found is None:
            raise ValueError(f"KFAC knows linear layers and plain convolutions, and {type(model).__name__} has other parameters; take FisherNGD")
        self.layers = found
        for index, layer in enumerate(found):
            weight = layer.module.weight
            for name, dim in (("a", weight[0].numel() + (layer.bias is not None)), ("b", len(weight))):
                for part in (name, f"{name}.basis"):
                    self.memory[f"{index}.{part}"] = weight.new_zeros(dim, dim)
                self.memory[f"{index}.{name}.values"] = weight.new_zeros(dim, dtype=torch.float64)
        self.memory.update(t=0, batches=0, rho=math.nan, largest=math.nan)

    def direct(self, x, y, loss):
        memory, t = self.memory, self.memory["t"]
        if t % self.rule.every and t % self.rule.refresh:
            value, gradient = self.gradient(x, y, loss)
        else:
            trace = forward(self.model, self.layers, x)
            value, gradient = self.differentiated(loss(trace.output, y))
            made = backward(trace, scores(self.rule.fisher, loss, trace.output, y, self.generator))
            if not all(d.isfinite().all() for d in made):  # keep the factors, let `step` say so
                return Direction(value, gradient, gradient * math.nan)
            self.average(trace.inputs, made)
            if t % self.rule.refresh == 0:
                self.renew()
        memory["t"] += 1
        return Direction(value, gradient, self.solve(gradient), 1 / (memory["largest"] + memory["rho"]), memory["rho"])

    def average(self, inputs: list[Tensor], made: list[Tensor]) -> None:
        """Take this batch into A and B: their mean over batches at first, a running mean later."""
        self.memory["batches"] += 1
        weight = max(1 - self.rule.decay, 1 / self.memory["batches"])
        for index, (layer, a, d) in enumerate(zip(self.layers, inputs, made, strict=True)):
            for name, factor in zip("ab", factors(layer, a, d), strict=True):
                self.memory[f"{index}.{name}"].lerp_(factor, weight)

    def renew(self) -> None:
        """Eigenvectors and eigenvalues of all factors, and the damping from the trace of F."""
        trace, largest = 0.0, 0.0
        for index in range(len(self.layers)):
            for name in "ab":
                values, basis = torch.linalg.eigh(self.memory[f"{index}.{name}"].double())
                self.memory[f"{index}.{name}.values"].copy_(values.clamp(min=0))
                self.memory[f"{index}.{name}.basis"].copy_(basis)
            a, b = (self.memory[f"{index}.{name}.values"] for name in "ab")
            trace += (a.sum() * b.sum()).item()
            largest = max(largest, (a[-1] * b[-1]).item())
        self.memory.update(rho=max(self.rule.alpha * trace / sum(self.sizes), self.rule.epsilon), largest=largest)

    def solve(self, gradient: Tensor) -> Tensor:
        """(F + rho)^-1 g, (D,)."""
        direction = torch.empty_like(gradient)
        for index, layer in enumerate(self.layers):
            a, b = (self.memory[f"{index}.{name}.basis"] for name in "ab")
            spectrum = torch.outer(*(self.memory[f"{index}.{name}.values"] for name in "ba")) + self.memory["rho"]
            g = gradient[layer.weight].view(len(b), -1)
            if layer.bias:
                g = torch.cat([g, gradient[layer.bias][:, None]], 1)
            found = b @ ((b.T @ g @ a) / spectrum.to(g.dtype)) @ a.T
            direction[layer.weight] = (found[:, :-1] if layer.bias else found).reshape(-1)
            if layer.bias:
                direction[layer.bias] = found[:, -1]
        return direction
