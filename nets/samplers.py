"""Chains on p(w) ~ exp(-U(w)), U = nbeta L_n(w) + (gamma/2) |w - w*|^2: one frozen class a sampler, and `walk`, which streams their losses.

A sampler keeps w, one gradient and its own moments; of each draw only the loss. Hyperparameters carry their `Range`.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from landscapes.scale import Range, check
from nets.noise import Streams
from nets.targets import Target

StepSize = Annotated[float, Range(1e-14, 1e3, log=True, help="step size eps: the noise of one step has variance eps", shown=(1e-7, 1e-2))]
Tether = Annotated[float, Range(0, 1e12, help="localisation gamma: strength of the spring to w*", shown=(0, 1000))]


class Chains:
    """Where C chains are: w (C, D) on a target, and their random numbers."""

    def __init__(self, target: Target, nbeta: float, gamma: float, w: Tensor, streams: Streams, batch: int):
        self.target, self.nbeta, self.gamma, self.w, self.streams, self.batch = target, nbeta, gamma, w, streams, batch
        self.index = None  # (C, B), the samples of this step

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Loss and gradient at w on a new batch of each chain."""
        if self.batch:
            self.index = self.streams.batches(self.target.n, self.batch)
        return self.target.gradients(self.w, self.index)


class Sampler(ABC):
    """A rule that moves chains; frozen dataclasses with `eps` and `gamma`."""

    full = False  # needs the full data at each step

    def begin(self, chains: Chains):
        """What the sampler remembers beside w (moments, momentum, ...)."""
        return None

    @abstractmethod
    def step(self, chains: Chains, memory) -> tuple[Tensor, Tensor | None]:
        """Move all chains once, in place: (loss (C,) of the draw, accepted (C,) bool or None)."""


@dataclass(frozen=True)
class SGLD(Sampler):
    """w <- w - (eps/2) [nbeta grad L_B(w) + gamma (w - w*)] + N(0, eps).

    Biased by its step: in a quadratic of curvature h, E nbeta L is larger by 1/(1 - eps nbeta h/4). Source: Welling & Teh 2011.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0

    def __post_init__(self):
        check(self)

    def step(self, chains, memory):
        loss, g = chains.gradients()
        half = self.eps / 2
        chains.streams.langevin_(chains.w, chains.target.star, g, half * chains.nbeta, half * self.gamma, math.sqrt(self.eps))
        return loss, None


@dataclass(frozen=True)
class MALA(Sampler):
    """w' = w - (eps/2) P grad U(w) + N(0, eps P), taken with probability min(1, e^(U(w) - U(w')) q(w|w')/q(w'|w)), else w stays.

    log q(w'|w) = -|w' - w + (eps/2) P grad U(w)|^2_(P^-1) / (2 eps): P belongs in q. Samples exp(-U) exactly, whatever eps. Full data only.
    diagonal: P, D numbers above 0; () for ones. Source: Besag 1994; Roberts & Tweedie 1996.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    diagonal: tuple[float, ...] = ()
    full = True

    def __post_init__(self):
        check(self)

    def begin(self, chains):
        memory = _Mala(chains, self.gamma)
        memory.u, memory.loss, memory.slope = memory.energy(chains.w)
        memory.p = torch.tensor(self.diagonal, dtype=chains.w.dtype, device=chains.w.device) if self.diagonal else chains.w.new_ones(())
        memory.scale = (self.eps * memory.p).sqrt()
        return memory

    def step(self, chains, memory):
        half = self.eps / 2 * memory.p
        z = chains.streams.normal_(torch.empty_like(chains.w))
        proposal = chains.w - half * memory.slope + memory.scale * z
        u, loss, slope = memory.energy(proposal)
        back = (chains.w - proposal + half * slope) / memory.scale  # the noise that would lead back
        gain = memory.u - u + 0.5 * (z.square() - back.square()).sum(1)
        taken = -chains.streams.exponential() < gain  # false for NaN
        keep = taken[:, None]
        chains.w.copy_(torch.where(keep, proposal, chains.w))
        memory.slope = torch.where(keep, slope, memory.slope)
        memory.u, memory.loss = torch.where(taken, u, memory.u), torch.where(taken, loss, memory.loss)
        return memory.loss, taken


class _Mala:
    def __init__(self, chains: Chains, gamma: float):
        self.chains, self.gamma = chains, gamma

    def energy(self, w):
        """U (C,) float64, L (C,), grad U (C, D)."""
        loss, g = self.chains.target.gradients(w)
        away = w - self.chains.target.star
        u = self.chains.nbeta * loss.double() + 0.5 * self.gamma * away.square().sum(1)
        return u, loss, g.mul_(self.chains.nbeta).add_(away, alpha=self.gamma)


class Draws(NamedTuple):
    """The k draws since the frame before, of C chains.

    step: draws so far; losses (C, k), nats per sample; baselines (C, k): the loss at w*, on the same samples or on all;
    accepted (C, k) bool or None; radius (C,): |w - w*| now; w (C, D) now: the chains' own memory, copy it to keep it.
    """

    step: int
    losses: Tensor
    baselines: Tensor
    accepted: Tensor | None
    radius: Tensor
    w: Tensor


def walk(
    target: Target,
    sampler: Sampler,
    nbeta: float,
    chains: int = 4,
    draws: int = 1000,
    batch: int = 0,
    seed: int = 0,
    thin: int = 1,
    start: Tensor | None = None,
    baseline: Literal["full", "batch"] = "full",
    measure: Literal["batch", "full"] = "batch",
) -> Iterator[Draws]:
    """`draws` draws of each chain, one every `thin` steps, as a stream of frames: the first at once, then some five a second.

    batch: samples a step, drawn for each chain by itself; 0 for the full data. measure: a draw's loss is that of the batch that moved
    it, which costs nothing (without bias: the batch is drawn after w), or that of the full data. baseline: the loss at w* of the
    full data, or of the same batch, which costs a forward pass at w* and takes the batches' scatter out of the difference.
    start (C, D) or (D,): where the chains start instead of w*. The numbers of a chain depend on neither the other chains nor the frames' rhythm.
    """
    _demand(nbeta == nbeta and 0 < nbeta < math.inf, f"nbeta = {nbeta!r}; give a number above 0, such as n / log n")
    for name, value, least in (("chains", chains, 1), ("draws", draws, 1), ("batch", batch, 0), ("thin", thin, 1)):
        _demand(isinstance(value, int) and value >= least, f"{name} = {value!r}; give an integer of at least {least}")
    _demand(batch <= target.n, f"batch = {batch}; there are only {target.n} samples (0 takes all of them)")
    _demand(baseline in ("full", "batch"), f"baseline = {baseline!r}; choose 'full' or 'batch'")
    _demand(measure in ("full", "batch"), f"measure = {measure!r}; choose 'full' or 'batch'")
    batch = 0 if batch == target.n else batch
    _demand(not (batch and sampler.full), f"batch = {batch}: {type(sampler).__name__} needs the full data; use batch=0")
    return _walk(target, sampler, float(nbeta), chains, draws, batch, seed, thin, start, baseline == "batch", measure == "full")


def _demand(fine: bool, message: str) -> None:
    if not fine:
        raise ValueError(message)


def _walk(target, sampler, nbeta, count, draws, batch, seed, thin, start, paired, measured):
    star = target.star
    w = (star if start is None else torch.as_tensor(start).to(star)).expand(count, target.dim).clone(memory_format=torch.contiguous_format)
    chains = Chains(target, nbeta, sampler.gamma, w, Streams(seed, count, star.device), batch)
    full_baseline = target.losses(star[None]).expand(count)
    memory = sampler.begin(chains)
    losses, baselines, accepted = [], [], []
    pause, last = 0.0, time.monotonic()
    for step in range(draws * thin):
        drawn = step % thin == 0
        whole = target.losses(w) if drawn and measured and batch else None  # before the step: where its batch's loss is taken, too
        loss, taken = sampler.step(chains, memory)
        if drawn:
            losses.append(loss if whole is None else whole)
            pair = paired and batch and not measured
            baselines.append(target.losses(star.expand(count, -1), chains.index) if pair else full_baseline)
            accepted.append(taken)
        now = time.monotonic()
        if losses and (now - last >= pause or step == draws * thin - 1):
            took = None if accepted[0] is None else torch.stack(accepted, 1)
            yield Draws(step // thin + 1, torch.stack(losses, 1), torch.stack(baselines, 1), took, (w - star).norm(dim=1), w)
            losses, baselines, accepted = [], [], []
            pause, last = 0.2, time.monotonic()
