"""Escape rates over two parameters: the rate r of P(still in the leftmost basin at t) ~ exp(-r t), sampled and exact, cell by cell.

A trajectory counts while it has never left the basin; crossing the barrier and diverging both end that, as in the exact law. Once the start is
forgotten each step is survived with the same probability 1 - p, so D leavings in M trajectory-steps give p = D/M, r = -log(1 - p), with the
standard error of a binomial share. The start is forgotten after SETTLE steps (with momentum more), or where less than a tenth is left before;
starts near the minimum are forgotten soonest.

>>> from dynamics import SGD, Simulation, Uniform
>>> base = Simulation(rule=SGD(batch=20), n=1000, steps=40, start=Uniform(-2, -1.6))
>>> phase = Phase(base, "lr", (0.012, 0.02), "w0", (1.6, 1.8, 2.0))
>>> found = phase.run()
>>> found.rate.shape, f"{found.rate[1, 1]:.2f} sampled, {found.exact[1, 1]:.2f} exact at w0 = 1.8, lr = 0.02"
((3, 2), '0.11 sampled, 0.12 exact at w0 = 1.8, lr = 0.02')
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from dynamics.gd import GD
from dynamics.law import transfer
from dynamics.ngd import NGD
from dynamics.rule import Rule
from dynamics.sgd import SGD
from dynamics.simulation import Simulation
from dynamics.start import At, Start, Uniform
from dynamics.sweep import with_value
from landscapes.polynomial import Landscape
from landscapes.scale import parameters

SETTLE = 10  # steps in which a start near the minimum is forgotten
ENOUGH = 0.1  # of those that started: while fewer are left, counting has begun already
PAUSE = 0.02  # seconds of work between two frames at most, as far as a cell can be divided
ROUNDING = 1e-12  # of a rate: -log of an eigenvalue that is 1 up to rounding
CELLS = 500  # nodes of the exact law: its rates are then good to some 0.5 %
WORK = 10**11  # trajectory-steps, about an hour on two cores
MOST = 10_000  # cells


class PhaseFrame(NamedTuple):
    """step: cells done, of `of`. All arrays (len(ys), len(xs)), NaN or 0 where a cell is not done.

    rate and stderr: per step, sampled; where nobody left, 0 and what one leaving would have been. exact: the same from the law, NaN where it has
    none (`why` says so). started, left, held: trajectories in the basin at the start, how many of them left it while it was counted, and how many
    are there at the end. risk: trajectory-steps counted. survivors: of all, how many never diverged.
    """

    step: int
    of: int
    done: np.ndarray
    rate: np.ndarray
    stderr: np.ndarray
    exact: np.ndarray
    started: np.ndarray
    left: np.ndarray
    held: np.ndarray
    risk: np.ndarray
    survivors: np.ndarray
    why: str

    @property
    def z(self) -> np.ndarray:
        """Leavings counted less leavings expected from the exact rate, in its standard deviations: N(0, 1) if all is right.

        NaN without both, and where the exact rate is 0: that is the rate in the end, not that of a run. All cells share their noise.
        """
        p = -np.expm1(-self.exact)
        with np.errstate(divide="ignore", invalid="ignore"):
            z = (self.left - p * self.risk) / np.sqrt(p * (1 - p) * self.risk)
        return np.where(self.done & np.isfinite(self.exact) & (self.exact > 0) & (self.risk > 0), z, np.nan)


@dataclass(frozen=True)
class Phase:
    """The base run at every pair of a value of `x` and a value of `y`: parameters of its landscape or rule, such as "lr" and "w0".

    Every cell has the same seed: what differs is the parameter, not the noise. With another w0 the start is stretched by the same factor as the
    wells, so that it covers the same part of the basin. `cells`: nodes of the exact law. Raises ValueError for what cannot be run.
    """

    base: Simulation
    x: str
    xs: tuple[float, ...]
    y: str
    ys: tuple[float, ...]
    cells: int = CELLS

    def __post_init__(self):
        if not isinstance(self.base, Simulation) or not self.base.landscape.barriers:
            raise ValueError(f"base = {self.base!r}; a run on a landscape with a barrier, such as Simulation(DoubleWell(), SGD(lr=0.02))")
        if self.x == self.y:
            raise ValueError(f"x = y = {self.x!r}; give two different parameters")
        for axis in ("xs", "ys"):
            values = tuple(value.item() if hasattr(value, "item") else value for value in getattr(self, axis))
            if not values or list(values) != sorted(set(values)):
                raise ValueError(f"{axis} = {values!r}; give at least one value, ascending")
            object.__setattr__(self, axis, values)
        if len(self.xs) * len(self.ys) > MOST:
            raise ValueError(f"{len(self.xs)} x {len(self.ys)} cells; at most {MOST:,} in all")
        if self.work > WORK:
            raise ValueError(
                f"{len(self.xs)} x {len(self.ys)} cells of n = {self.base.n:,} and {self.base.steps:,} steps: {self.work:.1e} trajectory-steps of at "
                f"most {WORK:.0e}; take fewer cells, trajectories or steps"
            )
        for name, values in ((self.x, self.xs), (self.y, self.ys)):
            for value in values:
                with_value(self.base, name, value)

    @property
    def work(self) -> int:
        """Trajectory-steps of the whole sweep."""
        return len(self.xs) * len(self.ys) * self.base.n * self.base.steps

    def cell(self, i: int, j: int) -> Simulation:
        """The run at xs[i] and ys[j]."""
        run = with_value(with_value(self.base, self.x, self.xs[i]), self.y, self.ys[j])
        stretch = getattr(run.landscape, "w0", 1) / getattr(self.base.landscape, "w0", 1)
        return run if stretch == 1 else replace(run, start=_stretched(run.start, stretch))

    def between(self, x: float, y: float) -> Simulation:
        """The run at a place between cells or half a cell outside, counted in cells: (0, 0) is `cell(0, 0)`. Values stay legal, batches whole."""
        run = self.base
        for name, values, place in ((self.x, self.xs, x), (self.y, self.ys, y)):
            i = min(max(int(place), 0), max(len(values) - 2, 0))
            value = values[i] + (place - i) * (values[i + 1] - values[i]) if len(values) > 1 else values[0]
            kinds = (parameter for part in (run.rule, run.landscape) for parameter in parameters(type(part)))
            kind, limits = next((parameter.kind, parameter.range) for parameter in kinds if parameter.name == name)
            run = with_value(run, name, kind(min(max(value, limits.low), limits.high)))
        return run

    def order(self) -> list[tuple[int, int]]:
        """All cells (i, j), coarse first: every 8th of every 8th row, then every 4th, and so on, so that the whole map is there early."""
        cells = list(itertools.product(range(len(self.xs)), range(len(self.ys))))
        return sorted(cells, key=lambda at: (-next(s for s in (8, 4, 2, 1) if at[0] % s == at[1] % s == 0), at[1], at[0]))

    def blank(self) -> PhaseFrame:
        """The frame before the first cell."""
        shape = (len(self.ys), len(self.xs))
        numbers = (np.full(shape, np.nan) for _ in range(3))
        counts = (np.zeros(shape, np.int64) for _ in range(5))
        return PhaseFrame(0, shape[0] * shape[1], np.zeros(shape, bool), *numbers, *counts, "")

    def stream(self, after: PhaseFrame | None = None) -> Iterator[PhaseFrame]:
        """Frames at once, after each cell, and several times within a long one. To cancel, stop iterating; to go on, give the last frame."""
        frame = self.blank() if after is None else after
        yield frame
        for i, j in self.order():
            if frame.done[j, i]:
                continue
            run = self.cell(i, j)
            for counted in leavings(run):
                if counted is None:
                    yield frame
            if run.n * run.steps > 10**5:
                yield frame
            exact, why = exact_rate(run, self.cells)
            rate, stderr = counted.rate
            cell = {"done": True, "rate": rate, "stderr": stderr, "exact": exact} | counted._asdict()
            arrays = {name: getattr(frame, name).copy() for name in cell}
            for name, value in cell.items():
                arrays[name][j, i] = value
            frame = frame._replace(step=frame.step + 1, why=frame.why or why, **arrays)
            yield frame

    def run(self) -> PhaseFrame:
        """All of it: the last frame."""
        *_, last = self.stream()
        return last

    def table(self, frame: PhaseFrame) -> Iterator[dict]:
        """One row a cell that is done, by name."""
        z = frame.z
        for j, i in np.argwhere(frame.done):
            names = ("rate", "stderr", "exact", "z", "started", "left", "held", "risk", "survivors")
            values = (z if name == "z" else getattr(frame, name) for name in names)
            yield {self.x: self.xs[i], self.y: self.ys[j]} | {name: value[j, i].item() for name, value in zip(names, values, strict=True)}


class Leavings(NamedTuple):
    """What `leavings` counts; the fields are those of `PhaseFrame`."""

    started: int
    left: int
    held: int
    risk: int
    survivors: int

    @property
    def rate(self) -> tuple[float, float]:
        """(rate, standard error) per step; NaN if nobody was there to leave, inf if all left in one step."""
        if not self.risk:
            return math.nan, math.nan
        p = self.left / self.risk
        if p == 1:
            return math.inf, math.inf
        return -math.log1p(-p), math.sqrt(max(self.left, 1) * (1 - p)) / self.risk / (1 - p)


def leavings(run: Simulation) -> Iterator[Leavings | None]:
    """None several times a second, then who left the leftmost basin of a run, and when counting began."""
    barrier = run.landscape.barriers[0]
    counts, inside, last = [], True, time.perf_counter()
    for frame in run.stream(every=1):
        inside = inside & (frame.w[:, 0] < barrier)  # false for NaN
        counts.append(int(np.count_nonzero(inside)))
        if time.perf_counter() - last > PAUSE:
            yield None
            last = time.perf_counter()
    counts = np.array(counts)
    settled = int(SETTLE / (1 - getattr(run.rule, "momentum", 0)))
    first = min(settled, run.steps // 2, int(np.flatnonzero(counts >= ENOUGH * counts[0])[-1]))
    survivors = int(np.count_nonzero(~np.isnan(frame.w[:, 0])))
    yield Leavings(int(counts[0]), int(counts[first] - counts[-1]), int(counts[-1]), int(counts[first:-1].sum()), survivors)


def exact_rate(run: Simulation, cells: int = CELLS) -> tuple[float, str]:
    """The rate at which the leftmost basin is left by the law, or NaN and why there is none."""
    if run.rule == noise_free(run.rule):
        return math.nan, "without noise trajectories are points, and nodes would blur their chaos: give a rule with noise"
    try:
        rate = float(transfer(run.landscape, run.rule, cells, run.data).escape_rate(0))
        return (rate if rate > ROUNDING else 0.0), ""
    except ValueError as error:
        return math.nan, str(error)


def _stretched(start: Start, by: float) -> Start:
    if isinstance(start, At):
        return At(start.at * by)
    return Uniform(start.low * by, start.high * by)


# Lines on the map that noise has nothing to do with


def noise_free(rule: Rule) -> Rule | None:
    """The rule on the whole loss: GD for SGD, and NGD with a noise of temperature 0; None for rules whose noise cannot be taken away."""
    match rule:
        case GD():
            return rule
        case SGD():
            return GD(rule.lr, rule.momentum)
        case NGD():
            return replace(rule, noise="isotropic", temperature=0.0)
    return None


def stiffness(run: Simulation) -> float:
    """eta H at the leftmost minimum, H preconditioned as the rule does it: a noise-free step is stable there below 2 (1 + momentum)."""
    rule, vx, at = run.rule, run.data.vx, _leftmost(run.landscape)
    curvature = vx * float(run.landscape.hessian(at)[0, 0])
    if isinstance(rule, NGD):
        fisher = vx * float(run.landscape.fisher(at)[0, 0])
        return rule.lr * curvature / (max(rule.alpha * fisher, rule.damping) + fisher)
    return rule.lr * curvature


def stable(run: Simulation) -> bool:
    """Whether noise-free steps hold the leftmost minimum: eta H < 2 (1 + momentum), eta being that of a substep."""
    return stiffness(run) < 2 * (1 + getattr(run.rule, "momentum", 0)) * getattr(run.rule, "substeps", 1)


def sharp(landscape: Landscape) -> bool:
    """Whether the leftmost minimum is regular (H > 0): a degenerate one has no stability line."""
    return min(landscape.minima, key=lambda minimum: minimum.at).lam == Fraction(1, 2)


def stays(run: Simulation, steps: int = 2000) -> bool:
    """Whether the rule without its noise, started beside the leftmost minimum, is left of the barrier at each of so many steps.

    Beside: within 5 % of w0; on landscapes without w0, within 7.5 % of the way to the barrier, which is the same for DoubleWell(w0, 1, 2).

    From the crisis on it is not: the oscillation, a cycle or chaos, has grown until it jumps the barrier.
    """
    (at,) = _leftmost(run.landscape)
    room = 0.05 * run.landscape.w0 if hasattr(run.landscape, "w0") else 0.075 * (run.landscape.barriers[0] - at)
    quiet = replace(run, rule=noise_free(run.rule), n=64, steps=steps, start=Uniform(at - room, at + room))
    return all(frame.counts[:, 0].min() == quiet.n for frame in quiet.stream(every=steps))


def edge(holds: Callable[[float], bool], low: float, high: float, within: float) -> float | None:
    """Where `holds` changes between low and high, found by bisection to `within`; None if it is the same at both ends."""
    below = holds(low)
    if below == holds(high):
        return None
    while high - low > within:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) == below else (low, middle)
    return 0.5 * (low + high)


def boundary(phase: Phase, holds: Callable[[Simulation], bool], points: int = 17) -> Iterator[tuple[float, float] | None]:
    """Where a property of the runs, such as `stable` or `stays`, changes: a line from edge to edge of the map, None where there is none.

    Points are in cells: (0, 0) is the centre of the first, (len(xs) - 1, len(ys) - 1) of the last, and the map reaches half a cell further.
    """
    along = next((name for name in ("lr", "w0", "damping", "momentum") if name in (phase.x, phase.y)), None)
    if along is None:
        return
    swapped = along == phase.y
    (low, high), (first, last) = ((-0.5, len(values) - 0.5) for values in ((phase.ys, phase.xs) if swapped else (phase.xs, phase.ys)))

    def at(to, place):
        return (place, to) if swapped else (to, place)

    def held(to, place):
        return holds(phase.between(*at(to, place)))

    places = dict.fromkeys(np.linspace(first, last, points).tolist())
    if {phase.x, phase.y} == {along, "batch"}:  # a batch only makes noise
        places = {first: None, last: None}
    else:
        for to in (low, high):  # where the line leaves the map on the other two sides
            place = edge(lambda place, to=to: held(to, place), first, last, 0.01)
            yield None
            if place is not None:
                places[place] = to
    for place, to in sorted(places.items()):
        found = edge(lambda to, place=place: held(to, place), low, high, 0.01) if to is None else to
        yield None if found is None else at(found, place)


def _leftmost(landscape: Landscape) -> tuple[float, ...]:
    return min(landscape.minima, key=lambda minimum: minimum.at).at
