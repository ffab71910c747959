"""Looks at chains while a sampler moves them: how far they are, whether a Metropolis test would take their steps, whether they are in equilibrium.

In equilibrium E[(w - w*) . grad U(w)] = d, whatever U (integrate by parts): less while directions still spread, more if the step is too large.
Looks are made at fixed steps with random numbers of their own, so that watching changes no draw.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nets.chains import Chains, Sampler
from nets.noise import Streams
from nets.targets import Target

SHARE = 0.1  # of a run on batches that looks may cost, or one batch a look if that is more


class Look(NamedTuple):
    """Averages over living chains and the looks after burn-in; NaN where nothing was seen, or nothing is defined.

    acceptance: of a Metropolis test on the sampler's proposals. equipartition: E[(w - w*) . grad U]/d and its standard error. noise: what the
    batches' noise adds to lambda-hat, (eps/8) nbeta^2 sum_j P_j Var(grad_j L_B), to first order in eps and near a minimum. radius: root
    mean square |w - w*| at the last look. spread: that over the second and the last quarter of all looks, if it grew significantly, else None.
    """

    acceptance: float
    equipartition: tuple[float, float]
    noise: float
    radius: float
    spread: tuple[float, float] | None


class Watched(Sampler):
    """The same sampler, looked at `probes` times in `total` steps: the same draws, to the last bit."""

    def __init__(self, sampler: Sampler, target: Target, nbeta: float, chains: int, batch: int, seed: int, total: int, probes: int):
        self.sampler, self.target, self.nbeta, self.batch, self.seed, self.count = sampler, target, nbeta, batch, seed, chains
        self.times = set(np.unique(np.linspace(0, total, probes + 1)[1:].astype(int) - 1).tolist())
        self.sample = min(target.n, max(batch, int(SHARE * batch * total / (2 * probes)))) if batch else 0
        self.made, self.rows = 0, []

    def __getattr__(self, name):
        return getattr(self.sampler, name)

    @property
    def full(self) -> bool:
        return self.sampler.full

    def preconditioner(self, chains, memory):
        return self.sampler.preconditioner(chains, memory)

    def begin(self, chains):
        self._streams = Streams((self.seed + 0x5EED) % 2**31, self.count, chains.w.device)
        return self.sampler.begin(chains)

    def step(self, chains, memory):
        if self.made in self.times:
            self.rows.append((self.made, *self._probe(chains, memory)))
        self.made += 1
        return self.sampler.step(chains, memory)

    def _energy(self, w: Tensor, index) -> tuple[Tensor, Tensor]:
        loss, slope = self.target.gradients(w, index)
        away = w - self.target.star
        u = self.nbeta * loss.double() + 0.5 * self.sampler.gamma * away.double().square().sum(1)
        return u, slope.mul_(self.nbeta).add_(away, alpha=self.sampler.gamma)

    def _probe(self, chains: Chains, memory) -> tuple[np.ndarray, ...]:
        """(radius^2, acceptance, equipartition, noise), each (C,)."""
        w = chains.w
        away = w - self.target.star
        index = self._streams.batches(self.target.n, self.sample) if self.batch and self.sample < self.target.n else None
        u, slope = self._energy(w, index)
        parts = [away.double().square().sum(1), torch.full_like(u, math.nan), (away * slope).double().sum(1) / self.target.dim, torch.zeros_like(u)]
        p = self.sampler.preconditioner(chains, memory)
        if p is not None:
            scale = (self.sampler.eps * p).sqrt()
            half = self.sampler.eps / 2 * p
            z = self._streams.normal_(torch.empty_like(w))
            proposal = w - half * slope + scale * z
            v, there = self._energy(proposal, index)
            back = (w - proposal + half * there) / scale
            gain = u - v + 0.5 * (z.square() - back.square()).double().sum(1)
            parts[1] = gain.clamp(max=0).exp().nan_to_num(0.0)
            if self.batch:
                other = Chains(self.target, self.nbeta, self.sampler.gamma, w, self._streams, self.batch)
                difference = other.gradients()[1] - other.gradients()[1]
                parts[3] = self.sampler.eps * self.nbeta**2 / 16 * (p * difference.square()).double().sum(1)  # Var = E difference^2 / 2
        return tuple(part.detach().cpu().numpy() for part in parts)

    def look(self, alive: np.ndarray, burn_in: int) -> Look:
        """What was seen so far of the chains `alive` (C,) bool."""
        nothing = Look(math.nan, (math.nan, math.nan), math.nan, 0.0, None)
        if not self.rows or not alive.any():
            return nothing
        squares = np.stack([row[1] for row in self.rows])[:, alive]  # (looks, living chains)
        radius = math.sqrt(squares[-1].mean())
        late = [row for row in self.rows if row[0] >= burn_in]
        if not late:
            return nothing._replace(radius=radius)
        accepted, balance, noise = (np.stack([row[i] for row in late])[:, alive] for i in (2, 3, 4))
        errors = balance.std() / math.sqrt(balance.size), balance.mean(axis=0).std() / math.sqrt(balance.shape[1])
        return Look(float(accepted.mean()), (float(balance.mean()), float(max(errors))), float(noise.mean()), radius, _spread(squares))


def _spread(squares: np.ndarray) -> tuple[float, float] | None:
    """Root mean square radii over the second and the last quarter of looks (looks, chains), if most chains moved outwards between the two.

    Chains are the independent units: a growth counts if it is 3 standard errors of itself between chains (of few chains: some more).
    """
    quarter = len(squares) // 4
    if quarter < 2:
        return None
    early, late = squares[quarter : 2 * quarter], squares[-quarter:]
    growth = late.mean(axis=0) - early.mean(axis=0)
    if len(growth) > 1:
        error = growth.std(ddof=1) / math.sqrt(len(growth))
        significant = growth.mean() > (3 + 3 / (len(growth) - 1)) * error
    else:
        significant = late.min() > early.max()
    return (math.sqrt(early.mean()), math.sqrt(late.mean())) if significant else None
