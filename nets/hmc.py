"""P(accept) = min(1, e^(H(w, v) - H(w', v'))), H = U(w) + |v|^2/2: Hamiltonian proposals with a Metropolis test, exact whatever the step."""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from landscapes.scale import Range, check
from nets.chains import Chains, Sampler, StepSize, Tether
from nets.metropolis import Place, energy

Leaps = Annotated[int, Range(1, 1000, log=True, help="leapfrog steps of a draw, on average: so many gradients; 1 is MALA", shown=(1, 100))]
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class HMC(Sampler):
    """v ~ N(0, 1), then L times v <- v - (e/2) grad U(w), w <- w + e v, v <- v - (e/2) grad U(w), e^2 = eps; taken as MALA, else w stays.

    The test is of H = U(w) + |v|^2/2, which leapfrog steps conserve up to O(e^2) however far they go: of a degenerate valley one draw
    crosses a length of L e, where L steps of a random walk come sqrt(L) e far. L runs evenly through steps/2 ... 3 steps/2, draw by draw and
    for all chains alike, lest a trajectory close on itself; `steps` gradients a draw on average, and none besides. steps = 1 is MALA of the
    same eps. Samples exp(-U) exactly; full data only. An acceptance of 0.65 to 0.8 moves fastest in many dimensions (Beskos et al. 2013).
    Source: Duane, Kennedy, Pendleton & Roweth 1987; Neal 2011, Handbook of MCMC, chapter 5.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    steps: Leaps = 10
    full = True

    def __post_init__(self):
        check(self)

    @property
    def cost(self) -> int:
        return self.steps

    def begin(self, chains):
        return _Flight(chains)

    def step(self, chains, memory):
        v = chains.streams.normal_(torch.empty_like(chains.w))
        kinetic = _squares(v)
        proposal, memory.draw = chains.w.clone(), memory.draw + 1
        found = leapfrog(chains, proposal, v, memory.force, math.sqrt(self.eps), self.length(memory.draw))
        return memory.settle(chains, proposal, found, memory.u - found[0] + 0.5 * (kinetic - _squares(v)))

    def length(self, draw: int) -> int:
        """L of this draw: the golden sequence fills its interval more evenly than random numbers, and any sequence fixed beforehand is exact."""
        least = (self.steps + 1) // 2
        return least + int((2 * (self.steps - least) + 1) * (draw * _GOLDEN % 1))


class _Flight(Place):
    """A place, and how many draws were made."""

    draw = 0


def leapfrog(chains: Chains, w: Tensor, v: Tensor, force: Tensor, e: float, steps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Move w and v (C, D) in place, `steps` times; force: grad U(w), which is left alone -> energy, losses and grad U at the end.

    Half steps of v that meet are one: a gradient a step. Reversible: from (w', -v') it leads back to (w, -v).
    """
    v.add_(force, alpha=-e / 2)
    for _ in range(steps - 1):
        w.add_(v, alpha=e)
        _, g = chains.target.gradients(w)
        v.add_(g, alpha=-e * chains.nbeta)
        if chains.gamma:
            v.add_(w - chains.target.star, alpha=-e * chains.gamma)
    w.add_(v, alpha=e)
    found = energy(chains, w)
    v.add_(found[2], alpha=-e / 2)
    return found


def _squares(v: Tensor) -> Tensor:
    return v.square().sum(1, dtype=torch.float64)
