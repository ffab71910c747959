"""lambda-hat from chains that sample the tempered posterior around a minimum: a run that streams its running estimate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, NamedTuple

import numpy as np

from dynamics.batches import Finite, Online, check_known
from dynamics.estimate import LLC, Running, llc, running
from dynamics.langevin import Langevin
from dynamics.mala import MALA
from dynamics.posterior import lambda_hat_exact, minimum_at
from dynamics.random import open_streams
from dynamics.start import At
from landscapes.catalogue import DoubleWell
from landscapes.polynomial import Landscape
from landscapes.scale import Range, check

MEMORY = 1 << 30  # bytes of draws and losses that a run may keep
CROSSED = 20.0  # nats: barriers of nbeta K above this are not crossed in any affordable number of steps
PIECE = 1 << 18  # chain-steps at once, some 10 ms: a caller that stops iterating waits no longer


class Draws(NamedTuple):
    """The chains after `step` steps each, burn-in included.

    path (chains, steps since the last frame, dim): NaN where a chain died. losses (chains, draws so far): nats per sample, after burn-in.
    llc: the estimate so far; None before the fourth draw, and if every chain died. acceptance: share of proposals taken after burn-in,
    NaN before it (1 for Langevin, which has no test). dead: chains that diverged.
    """

    step: int
    path: np.ndarray
    losses: np.ndarray
    llc: LLC | None
    acceptance: float
    dead: int


@dataclass(frozen=True)
class Sample:
    """What `Chains.run` leaves: losses (chains, draws), nats per sample; w (chains, draws, dim); loss_star at the chains' start."""

    run: "Chains"
    losses: np.ndarray = field(repr=False)
    w: np.ndarray = field(repr=False)
    loss_star: float
    llc: LLC
    acceptance: float

    def __str__(self) -> str:
        return f"lambda-hat = {self.llc}; acceptance {self.acceptance:.2f}"

    def running(self) -> Running:
        """The estimate after each draw, with its error."""
        return running(self.losses, self.loss_star, self.run.rule.nbeta)


@dataclass(frozen=True)
class Chains:
    """lambda-hat = nbeta (E[L] - L(w*)), w ~ exp(-nbeta L(w) - gamma |w - w*|^2/2): `chains` chains of `rule`, all started and tethered at w* = `at`.

    at: default the first declared minimum; a ValueError says why where lambda is undefined. With a true slope or given samples the declared
    minima have moved: `at` is then taken as it is. L is the whole loss of the data at every draw, also if gradients come from batches.
    rule: MALA (exact) or Langevin (biased by its step size), with nbeta and gamma. Keep MALA's acceptance above 0.9: in wells steeper than
    a quadratic a longer step gets chains stuck for long but so seldom that lambda-hat comes out some per cent low, unseen by its error.
    """

    landscape: Landscape = DoubleWell()
    rule: Langevin | MALA = MALA()
    at: float | tuple[float, ...] | None = None
    chains: Annotated[
        int, Range(1, 10_000, log=True, unit="chains", help="independent chains; their agreement is part of the error", shown=(2, 64))
    ] = 8
    draws: Annotated[int, Range(4, 10_000_000, log=True, unit="draws", help="draws a chain, one a step", shown=(100, 100_000))] = 2000
    burn_in: Annotated[int, Range(0, 10_000_000, unit="steps", help="first steps of each chain that are thrown away", shown=(0, 5000))] = 500
    seed: Annotated[int, Range(0, 2**31 - 1, help="same seed, same noise: change it for new noise", shown=(0, 99))] = 0
    data: Online | Finite = Online()

    def __post_init__(self):
        check(self)
        for name, kind, example in (
            ("landscape", Landscape, "DoubleWell(w0=1.8, d1=1, d2=2)"),
            ("rule", Langevin | MALA, "MALA(eps=1e-3, nbeta=1000, gamma=1)"),
            ("data", Online | Finite, "Online() or Finite(size=1000)"),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} = {getattr(self, name)!r}; give a value such as {example}")
        check_known(self.landscape, self.data, self.rule)
        moved = isinstance(self.data, Finite) or self.data.slope
        at = minimum_at(self.landscape, self.at, math.inf if moved else 1e-3 / self.rule.nbeta)
        object.__setattr__(self, "at", at)
        size = 8 * self.chains * self.draws * (self.landscape.dim + 1)
        if size > MEMORY:
            raise ValueError(
                f"chains = {self.chains:,}, draws = {self.draws:,}: needs {size / 1e9:.1f} GB of at most {MEMORY / 1e9:.1f}; "
                "keep fewer draws or chains"
            )

    def loss(self, w) -> np.ndarray:
        """L at points w (..., dim), nats per sample, less what no w changes: sum_k mxx (Q_k - a)^2/2 - mxe_k (Q_k - a); for fresh data vx K."""
        mxx, *mxe = self.data.source(len(self.landscape.products())).moments
        miss = self.landscape.Q(w) - self.data.slope
        return np.sum(0.5 * mxx * miss**2 - np.array(mxe) * miss, axis=-1)

    def exact(self, fine: bool = True) -> float:
        """What ideal chains would report, by quadrature: for fresh data without slope, on a box that the tethered posterior does not feel
        (without a tether, gamma = 0: the landscape's own box).

        In one dimension it is cut at barriers that chains do not cross, nbeta K > CROSSED: beyond them may lie most of the posterior (and,
        at a small gamma, even of the tethered one), but not for a chain.
        """
        if isinstance(self.data, Finite) or self.data.slope:
            raise ValueError(f"data = {self.data!r}; the exact value is offered for Online(slope=0)")
        box, gamma = self.landscape.box, self.rule.gamma
        if gamma:
            reach = 9 / math.sqrt(gamma)  # nothing of the Gaussian lies beyond 9 standard deviations, K makes it only narrower
            box = tuple((a - reach, a + reach) for a in self.at)
        nbeta = self.rule.nbeta * self.data.vx
        for barrier in self.landscape.barriers:
            if nbeta * self.landscape.K((barrier,)) > CROSSED:
                (low, high), (at,) = box[0], self.at
                box = ((low, min(high, barrier)) if barrier > at else (max(low, barrier), high),)
        return lambda_hat_exact(self.landscape, nbeta, self.at, box, gamma, fine)

    def stream(self, every: int | None = None) -> Iterator[Draws]:
        """Frames every so many steps (default: 40 in all) and after the last, the first at once. Ends early if every chain died."""
        loss_star = float(self.loss(np.array(self.at)))
        for frame in self._walk(every):
            if frame.losses.shape[1] >= 4 and frame.dead < self.chains:
                frame = frame._replace(llc=llc(frame.losses, loss_star, self.rule.nbeta))
            yield frame

    def _walk(self, every: int | None) -> Iterator[Draws]:
        total = self.burn_in + self.draws
        every = every or max(1, -(-total // 40))
        if not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"every = {every!r}; a frame every 1, 2, ... steps")
        landscape, rule = self.landscape, self.rule
        table, source = landscape.table(), self.data.source(len(landscape.products()))
        streams = open_streams(self.seed, np.arange(self.chains))
        w = At(self.at).draw(streams)
        memory = rule.memory(w)
        losses = np.empty((self.chains, self.draws))
        taken, proposed, step = 0, 0, 0
        yield Draws(0, w[:, None], losses[:, :0], None, math.nan, 0)
        while step < total:
            path = np.empty((self.chains, min(every, total - step) + 1, landscape.dim))
            path[:, 0] = w
            piece = max(16, PIECE // self.chains)
            for first in range(0, path.shape[1] - 1, piece):
                part = path[:, first : first + piece + 1].copy()  # contiguous, so that every rule compiles once
                rule.advance(part, memory, table, source, streams, step + first)
                path[:, first : first + piece + 1] = part
            w = path[:, -1].copy()
            kept = slice(min(max(self.burn_in - step, 0), path.shape[1] - 1), None)  # the steps after burn-in
            step += path.shape[1] - 1
            after = path[:, 1:][:, kept]
            done = max(step - self.burn_in, 0)
            losses[:, done - after.shape[1] : done] = self.loss(after)
            alive = np.isfinite(after[..., 0])
            taken += np.sum(np.any(after != path[:, :-1][:, kept], axis=-1) & alive)
            proposed += np.sum(alive)
            dead = int(np.sum(np.isnan(w[:, 0])))
            yield Draws(step, path[:, 1:], losses[:, :done], None, float(taken / proposed) if proposed else math.nan, dead)
            if dead == self.chains:
                return

    def run(self, watch=None) -> Sample:
        """All draws and the estimate; `watch(step)` is called several times. Raises ValueError if every chain died."""
        w = np.full((self.chains, self.draws, self.landscape.dim), np.nan)
        for frame in self._walk(None):
            done = frame.step - self.burn_in
            fresh = min(max(done, 0), frame.path.shape[1]) if frame.step else 0
            w[:, max(done, 0) - fresh : max(done, 0)] = frame.path[:, frame.path.shape[1] - fresh :]
            if watch:
                watch(frame.step)
        if frame.dead == self.chains:
            raise ValueError(
                f"all {self.chains} chains died by step {frame.step} (they left |w| < 1000); "
                f"eps = {self.rule.eps:g} is too large a step for nbeta = {self.rule.nbeta:g}: choose a smaller one"
            )
        loss_star = float(self.loss(np.array(self.at)))
        return Sample(self, frame.losses, w, loss_star, llc(frame.losses, loss_star, self.rule.nbeta), frame.acceptance)


def tuned(chains: Chains, acceptance: float = 0.95) -> Chains:
    """The same chains with the longest step that MALA accepts with this probability (B's advice: 0.9 to 0.95), found by bisection of log eps over
    short trial chains; Langevin gets the same step, at which its bias is about as small as its rejections would be rare."""
    low, high = -12.0, 1.0  # log10 eps
    trial = replace(chains, chains=32, draws=400, burn_in=200)
    for _ in range(9):
        middle = (low + high) / 2
        rule = MALA(eps=10**middle, nbeta=chains.rule.nbeta, gamma=chains.rule.gamma)
        *_, last = replace(trial, rule=rule)._walk(None)
        low, high = (middle, high) if last.acceptance >= acceptance else (low, middle)
    return replace(chains, rule=replace(chains.rule, eps=float(f"{10**low:.2g}")))
