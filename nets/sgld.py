"""w <- w - (eps/2) P [nbeta grad L_B(w) + gamma (w - w*)] + N(0, eps P): stochastic gradient Langevin dynamics, P = 1 or a fixed diagonal."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from landscapes.scale import check
from nets.chains import Chains, Sampler, StepSize, Tether


@dataclass(frozen=True)
class SGLD(Sampler):
    """w <- w - (eps/2) [nbeta grad L_B(w) + gamma (w - w*)] + N(0, eps).

    Biased by its step: a direction of curvature h has nbeta E[L - L*] = 1/2 / (1 - eps nbeta h/4). Source: Welling & Teh 2011.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0

    def __post_init__(self):
        check(self)

    def step(self, chains, memory):
        losses, g = chains.gradients()
        half = self.eps / 2
        chains.streams.langevin_(chains.w, chains.target.star, g, half * chains.nbeta, half * self.gamma, math.sqrt(self.eps))
        return losses, None

    def preconditioner(self, chains, memory):
        return chains.w.new_ones(())


@dataclass(frozen=True)
class DiagonalSGLD(Sampler):
    """w <- w - (eps/2) P [nbeta grad L_B(w) + gamma (w - w*)] + N(0, eps P), P = diag(diagonal) fixed: D numbers above 0, in the order of w.

    A step of SGLD in the coordinates P^(-1/2) w, so rescaling w_i by c and P_i by c^2 changes nothing. Any sequence, array or tensor will do.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    diagonal: tuple[float, ...] = ()

    def __post_init__(self):
        check(self)
        object.__setattr__(self, "diagonal", positive(self.diagonal, type(self).__name__))

    def begin(self, chains):
        return on_chains(self.diagonal, chains)

    def step(self, chains, memory):
        losses, force = chains.forces()
        precondition_(chains, force, memory, self.eps)
        return losses, None

    def preconditioner(self, chains, memory):
        return memory


def precondition_(chains: Chains, force: Tensor, p: Tensor, eps: float) -> None:
    """w <- w - (eps/2) P force + N(0, eps P), in place; force (C, D) is used up."""
    force.mul_(p).mul_(-eps / 2)
    noise = chains.streams.normal_(torch.empty_like(chains.w))
    chains.w.add_(force).addcmul_(noise, (eps * p).sqrt())


def positive(diagonal: Iterable, owner: str) -> tuple[float, ...]:
    """A preconditioner's diagonal as a tuple of floats above 0; () stands for ones."""
    values = tuple(diagonal.tolist() if hasattr(diagonal, "tolist") else map(float, diagonal))
    if any(not 0 < value < math.inf for value in values):
        bad = next(value for value in values if not 0 < value < math.inf)
        raise ValueError(f"{owner}: diagonal holds {bad!r}; give one finite number above 0 for each weight")
    return values


def on_chains(diagonal: tuple[float, ...], chains: Chains) -> Tensor:
    """P as a tensor that broadcasts to w (C, D)."""
    if not diagonal:
        return chains.w.new_ones(())
    if len(diagonal) != chains.target.dim:
        raise ValueError(f"diagonal has {len(diagonal)} entries; give one for each of the {chains.target.dim} weights")
    return chains.w.new_tensor(diagonal)
