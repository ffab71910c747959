"""Chains on p(w) ~ exp(-U(w)), U = nbeta L_n(w) + (gamma/2) |w - w*|^2: what samplers are given, what they must do, and `walk`, which runs them.

Chains hold their weights, one gradient and the sampler's moments; of each draw only its loss is kept.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from landscapes.scale import Range
from nets.noise import Streams
from nets.targets import Target
from nets.threads import single

StepSize = Annotated[float, Range(1e-14, 1e3, log=True, help="step size eps: the noise of one step has variance eps", shown=(1e-7, 1e-2))]
Tether = Annotated[float, Range(0, 1e12, help="localisation gamma: strength of the spring to w*", shown=(0, 1000))]
PAUSE = 0.2  # seconds between frames


class Chains:
    """C chains on a target: where they are, w (C, D), and their random numbers. What happens at a step is the sampler's."""

    def __init__(self, target: Target, nbeta: float, gamma: float, w: Tensor, streams: Streams, batch: int):
        self.target, self.nbeta, self.gamma, self.w, self.streams, self.batch = target, nbeta, gamma, w, streams, batch
        self.index = None  # (C, B), the samples of this step; None: all

    def gradients(self) -> tuple[Tensor, Tensor]:
        """Losses (C,) and their gradients (C, D) at w, on a new batch of each chain."""
        if self.batch:
            self.index = self.streams.batches(self.target.n, self.batch)
        return self.target.gradients(self.w, self.index)

    def forces(self) -> tuple[Tensor, Tensor]:
        """Losses (C,) and grad U (C, D) at w, on a new batch of each chain."""
        losses, g = self.gradients()
        g.mul_(self.nbeta)
        return losses, self.tether(g)

    def tether(self, g: Tensor) -> Tensor:
        """g + gamma (w - w*), in place."""
        return g.add_(self.w - self.target.star, alpha=self.gamma) if self.gamma else g


class Sampler(ABC):
    """A rule that moves chains. Subclasses are frozen dataclasses with `eps` and `gamma`; their moments live in what `begin` returns."""

    full = False  # it needs the full data at each step
    cost = 1  # gradients of a step, on average

    @property
    def still(self) -> "Sampler":
        """Its sibling without momentum, whose steps a Metropolis test can judge: where eps="auto" begins."""
        return self

    def begin(self, chains: Chains):
        """What the sampler remembers beside w."""
        return None

    @abstractmethod
    def step(self, chains: Chains, memory) -> tuple[Tensor, Tensor | None]:
        """Move all chains once, in place: (losses (C,) of this draw, accepted (C,) bool or None)."""

    def preconditioner(self, chains: Chains, memory) -> Tensor | None:
        """P of the next step w' = w - (eps/2) P grad U + N(0, eps P), of a shape that broadcasts to (C, D); None if steps are no such."""
        return None


class Draws(NamedTuple):
    """The k draws since the frame before, of C chains.

    step: draws so far. losses (C, k), nats per sample; baselines (C, k): the loss at w*, on all samples or on those of the draw.
    accepted (C, k) bool, or None for a sampler without a test. radius (C,): |w - w*| now. w (C, D) now: the chains' own memory, copy it to keep it.
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
    """`draws` draws of each chain, one every `thin` steps, as a stream of frames: the first at once, then five a second.

    batch: samples a step, drawn for each chain by itself, with replacement; 0 for the full data. measure: a draw's loss is that of the batch that
    is about to move it, which costs nothing (and has no bias: the batch is drawn after w), or that of the full data. baseline: the loss at w* on the
    full data, or on the draw's own batch, which costs a pass forward and takes the scatter between batches out of the difference.
    start (D,) or (C, D): where the chains start instead of w*. A chain's numbers depend on neither the other chains nor the rhythm of frames.
    A chain that diverges goes on as NaN.
    """
    _demand(isinstance(sampler, Sampler), f"sampler = {sampler!r} is no sampler; give a value such as SGLD(eps=1e-5, gamma=1)")
    _demand(isinstance(nbeta, int | float) and 0 < nbeta < math.inf, f"nbeta = {nbeta!r}; give a number above 0, such as n / log n")
    for name, value, least in (("chains", chains, 1), ("draws", draws, 1), ("batch", batch, 0), ("seed", seed, 0), ("thin", thin, 1)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        _demand(whole and least <= value < 2**63, f"{name} = {value!r}; give an integer of at least {least}")
    _demand(batch <= target.n, f"batch = {batch}; there are only {target.n} samples (0 takes all of them)")
    _demand(baseline in ("full", "batch"), f"baseline = {baseline!r}; choose 'full' or 'batch'")
    _demand(measure in ("full", "batch"), f"measure = {measure!r}; choose 'full' or 'batch'")
    batch = 0 if batch == target.n else batch
    _demand(not (batch and sampler.full), f"batch = {batch}: {type(sampler).__name__} needs the full data at each step; use batch=0")
    star = target.star
    w = star if start is None else torch.as_tensor(start).to(star)
    _demand(w.shape in (star.shape, (chains, *star.shape)), f"start has shape {tuple(w.shape)}; give ({target.dim},) or ({chains}, {target.dim})")
    w = w.expand(chains, -1).clone(memory_format=torch.contiguous_format)
    state = Chains(target, float(nbeta), sampler.gamma, w, Streams(seed, chains, star.device), batch)
    return single(_walk(state, sampler, draws, thin, baseline == "batch", measure == "full"), target.dim, star.device)


def _demand(fine: bool, message: str) -> None:
    if not fine:
        raise ValueError(message)


def _walk(chains: Chains, sampler: Sampler, draws: int, thin: int, paired: bool, whole: bool) -> Iterator[Draws]:
    target, w = chains.target, chains.w
    stars = target.star.expand(len(w), -1)
    level = target.losses(target.star[None]).expand(len(w))
    memory = sampler.begin(chains)
    kept, last = [], -math.inf  # (losses, baselines, accepted), each (C,)
    final = (draws - 1) * thin
    for step in range(final + 1):
        drawn = step % thin == 0
        exact = target.losses(w) if drawn and whole and chains.batch else None  # before the step, where the batch's loss is taken, too
        losses, accepted = sampler.step(chains, memory)
        if drawn:
            pair = paired and chains.batch and not whole
            kept.append((losses if exact is None else exact, target.losses(stars, chains.index) if pair else level, accepted))
        now = time.monotonic()
        if kept and (now - last >= PAUSE or step == final):
            losses, baselines, accepted = (None if part[0] is None else torch.stack(part, 1) for part in zip(*kept, strict=True))
            kept = []
            yield Draws(step // thin + 1, losses, baselines, accepted, (w - target.star).norm(dim=1), w)
            last = time.monotonic()  # what the reader took is not counted
