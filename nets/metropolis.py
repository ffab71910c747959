"""P(accept) = min(1, e^(U(w) - U(w')) q(w|w') / q(w'|w)): Langevin proposals with a Metropolis test, exact whatever the step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from landscapes.scale import check
from nets.chains import Chains, Sampler, StepSize, Tether
from nets.sgld import on_chains, positive


@dataclass(frozen=True)
class MALA(Sampler):
    """w' = w - (eps/2) P grad U(w) + N(0, eps P), taken with probability min(1, e^(U(w) - U(w')) q(w|w')/q(w'|w)), else w stays.

    log q(w'|w) = -|w' - w + (eps/2) P grad U(w)|^2_(P^-1) / (2 eps): P belongs in q. Samples exp(-U) exactly, whatever eps; full data only.
    A proposal whose energy is not finite is refused. diagonal: P, one number above 0 a weight; () for ones. A draw is where the chain is after the
    test; a mean acceptance of 0.6 moves fastest in many dimensions, "LLC at scale" advises 0.9. Source: Besag 1994; Roberts & Tweedie 1996.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    diagonal: tuple[float, ...] = ()
    full = True

    def __post_init__(self):
        check(self)
        object.__setattr__(self, "diagonal", positive(self.diagonal, type(self).__name__))

    def begin(self, chains):
        place = Place(chains)
        place.p = on_chains(self.diagonal, chains)
        return place

    def step(self, chains, memory):
        now, w = memory, chains.w
        half, scale = self.eps / 2 * now.p, (self.eps * now.p).sqrt()
        z = chains.streams.normal_(torch.empty_like(w))
        proposal = torch.addcmul(w - half * now.force, scale, z)
        found = u, _, force = energy(chains, proposal)
        # the noise that would lead back is q - z: with w - w' = half force - scale z nothing cancels
        q = (force + now.force).mul_(half / scale)
        gain = now.u - u + 0.5 * (q * (2 * z - q)).sum(1, dtype=torch.float64)
        return now.settle(chains, proposal, found, gain)

    def preconditioner(self, chains, memory):
        return memory.p


class Place:
    """Energy u (C,), losses (C,) and grad U (C, D) where the chains are."""

    p: Tensor  # MALA's preconditioner

    def __init__(self, chains: Chains):
        self.u, self.losses, self.force = energy(chains, chains.w)

    def settle(self, chains: Chains, proposal: Tensor, found: tuple[Tensor, Tensor, Tensor], gain: Tensor) -> tuple[Tensor, Tensor]:
        """Take each proposal (C, D), of energy, losses and grad U `found`, with probability min(1, e^gain): (losses, taken), as a step returns."""
        u, losses, force = found
        taken = (-chains.streams.exponential() < gain) & torch.isfinite(u)  # false for NaN, too
        keep = taken[:, None]
        torch.where(keep, proposal, chains.w, out=chains.w)
        torch.where(keep, force, self.force, out=self.force)
        self.u, self.losses = torch.where(taken, u, self.u), torch.where(taken, losses, self.losses)
        return self.losses, taken


def energy(chains: Chains, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U(w) (C,) in float64, L_n(w) (C,), grad U(w) (C, D), of the full data."""
    losses, g = chains.target.gradients(w)
    g.mul_(chains.nbeta)
    u = chains.nbeta * losses.double()
    if chains.gamma:
        away = w - chains.target.star
        u.add_(away.square().sum(1, dtype=torch.float64), alpha=0.5 * chains.gamma)
        g.add_(away, alpha=chains.gamma)
    return u, losses, g
