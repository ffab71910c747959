"""Natural gradient descent with the exact Fisher matrix of each batch, damped."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from nets.layers import Block, blocks, formed, forward, layers, scores
from nets.optimisers import Alpha, Direction, Epsilon, Lookahead, Momentum, Optimiser, Rate, Stepper

DENSE = 1500  # parameters up to which the matrix F itself is formed
EXACT = 1e-14  # rho below so much of tr F is lost in float64
LOOK = 10  # steps between two looks at the largest eigenvalue

Labels = Literal["sampled", "true", "empirical"]


@dataclass(frozen=True)
class FisherNGD(Optimiser):
    """w <- w - eta (F + rho I)^-1 grad L,  F = (1/n) sum_i E_y[grad l_i(y) grad l_i(y)^T],  rho = max(alpha tr(F)/D, epsilon).

    F is of the batch that gives the gradient; momentum follows, as in `SGD`. Two ways to the same step, in float64: F (D, D) itself for
    up to 1,500 parameters, else its dual with U, one row a sample: (U^T U/n + rho)^-1 g = [g - U^T (U U^T + n rho)^-1 U g] / rho.
    fisher: whose labels y. "sampled": one label a sample drawn from the model, a fresh estimate of the true Fisher matrix at every step;
    "true": its expectation over the labels, exact, and as many times dearer as there are outputs; "empirical": the data's labels.
    As epsilon or alpha grows this is SGD of rate eta/rho. Report: least eigenvalue 1/(max F + rho), renewed every 10 steps; rho of each.
    Parts other than linear layers and convolutions work too, at the price of one explicit gradient a sample; batch norm does not.
    """

    lr: Rate = 0.01
    momentum: Momentum = 0.0
    nesterov: Lookahead = False
    alpha: Alpha = 0.1
    epsilon: Epsilon = 1e-3
    fisher: Labels = "sampled"
    solver: Literal["auto", "dense", "gram"] = "auto"

    def start(self, model, seed=0):
        return _Fisher(model, seed, self)


class _Fisher(Stepper):
    def __init__(self, model, seed, rule: FisherNGD):
        super().__init__(model, seed, rule.lr, rule.momentum, rule.nesterov)
        self.rule, self.layers = rule, layers(model)
        self.dense = rule.solver == "dense" or (rule.solver == "auto" and sum(self.sizes) <= DENSE)
        self.memory.update(t=0, largest=math.nan)

    def direct(self, x, y, loss):
        value, gradient, found = per_sample(self, x, y, loss)
        direction, smallest, rho = self.solve(found, gradient, len(x))
        return Direction(value, gradient, direction, smallest, rho)

    def solve(self, found: list[Block], gradient: Tensor, n: int) -> tuple[Tensor, float, float]:
        """((F + rho)^-1 g, least eigenvalue of (F + rho)^-1, rho) with F = U^T U/n."""
        dim = len(gradient)
        if self.dense:
            u = gradient.new_zeros(len(found[0].times(gradient)), dim)
            for block in found:
                block.write(u)
            matrix = u.double().T @ u.double() / n
        else:
            matrix = sum(block.gram() for block in found) / n
        trace = matrix.trace().item()
        if not math.isfinite(trace):  # let `step` say so, with the loss
            return torch.full_like(gradient, math.nan), math.nan, math.nan
        rho = max(self.rule.alpha * trace / dim, self.rule.epsilon)
        if self.memory["t"] % LOOK == 0:
            self.memory["largest"] = torch.linalg.eigvalsh(matrix)[-1].item()
        self.memory["t"] += 1
        matrix.diagonal().add_(rho)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed or rho < EXACT * trace:
            raise ValueError(f"F + rho I cannot be inverted: rho = {rho:.3g} is lost beside tr F = {trace:.3g}; choose a larger epsilon or alpha")
        if self.dense:
            direction = torch.cholesky_solve(gradient.double()[:, None], factor)[:, 0].to(gradient.dtype)
        else:
            seen = sum(block.times(gradient) for block in found).double()
            inner = (torch.cholesky_solve(seen[:, None], factor)[:, 0] / n).to(gradient.dtype)
            direction = torch.empty_like(gradient)
            for block in found:
                block.back(inner, direction)
            torch.sub(gradient, direction, out=direction).div_(rho)
        return direction, 1 / (self.memory["largest"] + rho), rho


def per_sample(stepper, x: Tensor, y: Tensor, loss) -> tuple[Tensor, Tensor, list[Block]]:
    """L (), grad L (D,), and U in blocks."""
    if stepper.layers is None:
        value, gradient = stepper.gradient(x, y, loss)
        with torch.no_grad():
            output = stepper.model(x)
        return value, gradient, formed(stepper.model, x, scores(stepper.rule.fisher, loss, output, y, stepper.generator))
    trace = forward(stepper.model, stepper.layers, x)
    value, gradient = stepper.differentiated(loss(trace.output, y))
    return value, gradient, blocks(stepper.layers, trace, scores(stepper.rule.fisher, loss, trace.output, y, stepper.generator))
