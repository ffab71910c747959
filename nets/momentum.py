"""v <- (1 - a) v - (eps/2) grad U(w) + N(0, a eps),  w <- w + v: Langevin dynamics with momentum, and with a thermostat for its friction a.

a = 1 is SGLD with the same eps. Momentum goes about 1/a steps before it forgets, so small a travels further for the same eps.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch

from landscapes.scale import Range, check
from nets.chains import Sampler, StepSize, Tether
from nets.sgld import SGLD

Friction = Annotated[float, Range(1e-6, 1, log=True, help="friction a: share of the momentum lost in a step; 1 is SGLD", shown=(1e-3, 1))]


@dataclass(frozen=True)
class SGHMC(Sampler):
    """v <- (1 - a) v - (eps/2) [nbeta grad L_B(w) + gamma (w - w*)] + N(0, a eps),  w <- w + v.

    In a quadratic of curvature h: nbeta E[L - L*] = 1/2 / (1 - eps nbeta h / (4 (2 - a))), exactly. Source: Chen, Fox & Guestrin 2014.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    friction: Friction = 0.1

    def __post_init__(self):
        check(self)

    @property
    def still(self):
        return SGLD(self.eps, self.gamma)

    def begin(self, chains):
        v = chains.streams.normal_(torch.empty_like(chains.w)).mul_(math.sqrt(self.eps / 2))
        return v, torch.zeros_like(chains.target.star)

    def step(self, chains, memory):
        v, rest = memory
        losses, force = chains.forces()
        chains.streams.langevin_(v, rest, force, self.eps / 2, self.friction, math.sqrt(self.friction * self.eps))
        chains.w.add_(v)
        return losses, None


@dataclass(frozen=True)
class SGNHT(Sampler):
    """v <- (1 - x) v - (eps/2) grad U_B(w) + N(0, a eps),  w <- w + v,  x <- x + gain [(1 - x/2) |v|^2 / (D eps/2) - 1].

    The thermostat x, one a chain, starts at a and rises until |v|^2 is that of temperature 1: it takes out the heat that noisy gradients and
    large steps bring, without having to know it. Steps like these have E v^2 = (eps/2) / (1 - x/2) in each direction where E[w . grad U] is right,
    so that lambda-hat of a quadratic has no bias from eps. gain: the thermostat's inverse inertia. Source: Ding et al. 2014.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    friction: Friction = 0.1
    gain: Annotated[float, Range(1e-6, 1, log=True, help="how fast the thermostat answers, a step", shown=(1e-4, 0.1))] = 0.01

    def __post_init__(self):
        check(self)

    @property
    def still(self):
        return SGLD(self.eps, self.gamma)

    def begin(self, chains):
        v = chains.streams.normal_(torch.empty_like(chains.w)).mul_(math.sqrt(self.eps / 2))
        return _Bath(v, torch.full_like(v[:, :1], self.friction))

    def step(self, chains, memory):
        v, x = memory.v, memory.x
        losses, force = chains.forces()
        v.mul_(1 - x)
        chains.streams.langevin_(v, chains.target.star, force, self.eps / 2, 0.0, math.sqrt(self.friction * self.eps))
        chains.w.add_(v)
        heat = v.square().mean(1, keepdim=True).div_(self.eps / 2)
        x.add_((1 - x / 2).mul_(heat).sub_(1), alpha=self.gain)
        return losses, None


class _Bath:
    """Momentum v (C, D) and thermostat x (C, 1)."""

    def __init__(self, v, x):
        self.v, self.x = v, x
