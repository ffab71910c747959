"""The law of a rule in one dimension, computed and not sampled: p(w, t), survivors, shares and escape rates from the Markov matrix of a step.

Given S_xx a step of SGD is Gaussian, so over batches it is a mean-variance mixture, w' = w - A u + sqrt(D u + E) N(0, 1) with
u = S_xx/B ~ vx chi2_B/B; A, D and E depend on w. Nodes carry the mass, and every one of these Gaussians is laid on them so that mass and
mean are exact, and the variance wherever nodes are closer than twice its root: nothing is trapped or spread by the grid where noise and
drift vanish together. Nodes are dense where steps are short, and reach to |w| = 1000, beyond which a trajectory counts as diverged.

>>> from landscapes import DoubleWell
>>> from dynamics import SGD
>>> matrix = transfer(DoubleWell(w0=1.8, d1=1, d2=2), SGD(lr=0.02, batch=20))
>>> print(f"{matrix.escape_rate():.3f} per step leave the regular basin")
0.117 per step leave the regular basin
"""

import functools
import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from dynamics import kicks
from dynamics.batches import Online
from dynamics.gd import GD
from dynamics.langevin import Langevin
from dynamics.ngd import NGD
from dynamics.rule import DIVERGED, Rule
from dynamics.sde import SDE
from dynamics.sgd import SGD
from dynamics.simulation import pool
from dynamics.start import At, Start, Uniform
from landscapes.polynomial import Landscape
from landscapes.quadrature import breakpoints, checked_box, turning

CELLS = 2000
FEWEST, MOST = 50, 5_000  # a full matrix of 5,000 nodes takes 200 MB
STICKY = 1e-5  # of the box: how near to a point without noise and drift nodes lie
KRYLOV = 40  # vectors from which the leading eigenvector is built, again and again until it stays


@dataclass(frozen=True)
class Transfer:
    """The Markov matrix of one step on `nodes` (cells,); made by `transfer`, equal and hashed by what it was made from.

    width (cells,): the length each node stands for. basin (cells,): which interval between barriers it lies in. Methods take a time as one
    number of steps, or as an iterable of such, for which results have one row a time. start: Uniform or At, default uniform on the box.
    """

    landscape: Landscape
    rule: Rule
    cells: int
    data: Online
    box: tuple
    nodes: np.ndarray = field(repr=False, compare=False)
    width: np.ndarray = field(repr=False, compare=False)
    basin: np.ndarray = field(repr=False, compare=False)
    _walls: np.ndarray = field(repr=False, compare=False)
    _rows: tuple = field(repr=False, compare=False)  # values, first, at: see dynamics/kicks.py
    _known: dict = field(default_factory=dict, repr=False, compare=False)  # leading eigenvectors that were asked for

    # What happens to masses

    def step(self, mass: np.ndarray) -> np.ndarray:
        """Masses of the nodes one step later; what diverged is missing."""
        for _ in range(_substeps(self.rule)):
            mass, before = np.empty(len(self.nodes)), np.ascontiguousarray(mass, float)
            kicks.forward(*self._rows, before, mass)
        return mass

    def expect(self, values: np.ndarray) -> np.ndarray:
        """E[f(w one step later)] from every node, f given at the nodes and 0 for what diverges."""
        for _ in range(_substeps(self.rule)):
            values, after = np.empty(len(self.nodes)), np.ascontiguousarray(values, float)
            kicks.backward(*self._rows, after, values)
        return values

    def start(self, start: Start | None = None) -> np.ndarray:
        """Masses of the nodes at the start."""
        start = Uniform(*self.box[0]) if start is None else start
        if not isinstance(start, Start) or start.dim != 1:
            raise ValueError(f"start = {start!r}; give Uniform(low, high) or At(point) in one variable")
        (low,), (high,) = start.bounds
        mass = np.zeros(len(self.nodes))
        if isinstance(start, At) or low == high:
            self._put(mass, low)
            return mass
        # the integral of every hat function between low and high, from that of its two sides
        left = self._integrals(np.array([low, high]))
        return (left[1] - left[0]) / (high - low)

    def masses(self, t, start: Start | None = None) -> np.ndarray:
        """Probability of each node at time t: (cells,), or (times, cells)."""
        times, single = _times(t)
        out, mass, done = np.empty((len(times), len(self.nodes))), self.start(start), 0
        for i in np.argsort(times, kind="stable"):
            while done < times[i]:
                mass, done = self.step(mass), done + 1
            out[i] = mass
        return out[0] if single else out

    def law(self, t, start: Start | None = None) -> np.ndarray:
        """p(w, t) at the nodes, per unit of w: (cells,), or (times, cells). Its integral is the share that has not diverged."""
        return self.masses(t, start) / self.width

    def histogram(self, edges, t, start: Start | None = None) -> np.ndarray:
        """Probabilities (bins,) or (times, bins) of w between neighbouring edges: what `Result.histogram` counts, over n."""
        return self.binned(edges, self.masses(t, start))

    def binned(self, edges, masses: np.ndarray) -> np.ndarray:
        """Masses (..., cells) of the nodes as probabilities (..., bins) between neighbouring edges."""
        return np.diff(masses / self.width @ self._integrals(np.asarray(edges, float)).T, axis=-1)

    def diverged(self, t, start: Start | None = None) -> np.ndarray:
        """Share that has diverged by time t, () or (times,)."""
        return np.maximum(1 - self.masses(t, start).sum(axis=-1), 0)

    def share(self, t, start: Start | None = None, survive: int | None = None) -> np.ndarray:
        """Probability of each basin at time t, (basins,) or (times, basins).

        survive: instead, of each basin among those that do not diverge in so many steps in all, as `Result.share` counts them.
        """
        times, single = _times(t)
        masses = self.masses(times, start)
        if survive is not None:
            steps, _ = _times(survive)
            if len(times) and max(times) > steps[0]:
                raise ValueError(f"t = {max(times)}, survive = {survive}; survive is the length of the whole run: give at least {max(times)}")
            left = self.survival([steps[0] - s for s in times])
            masses = masses * left
            masses /= np.maximum(masses.sum(axis=1, keepdims=True), np.finfo(float).tiny)
        out = np.stack([masses[:, self.basin == b].sum(axis=1) for b in range(len(self.landscape.barriers) + 1)], axis=1)
        return out[0] if single else out

    def survival(self, steps) -> np.ndarray:
        """Probability (cells,) or (times, cells) from every node not to diverge within so many steps."""
        times, single = _times(steps)
        out, alive, done = np.empty((len(times), len(self.nodes))), np.ones(len(self.nodes)), 0
        for i in np.argsort(times, kind="stable"):
            while done < times[i]:
                alive, done = self.expect(alive), done + 1
            out[i] = alive
        return out[0] if single else out

    # What stays in a basin

    def escape_rate(self, basin: int = 0) -> float:
        """-log of the leading eigenvalue of the matrix restricted to a basin: the rate per step at which it is left in the end, by crossing
        a barrier or by diverging, for the first time. 0 where something comes to rest in it (a degenerate minimum), inf where one step leaves it.

        Errors of 1e-4 of the rate at 2,000 nodes. Without noise (GD) some per cent, as its chaos has no smooth law.
        """
        return self._leading(basin)[0]

    def quasi_stationary(self, basin: int = 0) -> np.ndarray:
        """The law (cells,) of those that are still in a basin after long, per unit of w: it is left at a constant rate from here."""
        return self._leading(basin)[1] / self.width

    def _leading(self, basin) -> tuple[float, np.ndarray]:
        count = len(self.landscape.barriers) + 1
        if isinstance(basin, bool) or basin not in range(count):
            raise ValueError(f"basin = {basin!r}; basins are numbered 0 ... {count - 1} from left to right")
        if basin not in self._known:
            self._known[basin] = self._perron(self.basin == basin)
        return self._known[basin]

    def _perron(self, inside: np.ndarray) -> tuple[float, np.ndarray]:
        """-log of the leading eigenvalue among these nodes, and its left eigenvector as probabilities."""
        values, first, at = self._rows
        own = np.arange(len(first)) - first
        has = inside & (own >= 0) & (own < np.diff(at))
        resting = has & (values[np.where(has, at[:-1] + own, 0)] > 1 - 1e-12)
        if np.any(resting):
            return 0.0, resting / resting.sum()
        vector = inside * self.width / np.sum(inside * self.width)
        for _ in range(8):
            vector, converged = self._restarted(vector, inside)
            if converged:
                break
        else:
            vector = self._inverted(vector, inside)
        size = np.sum(self.step(vector)[inside])  # what one step leaves
        return (math.inf if size <= 0 else max(0.0, -math.log(size))), vector

    def _restarted(self, vector, inside) -> tuple[np.ndarray, bool]:
        """The best leading eigenvector among KRYLOV powers of the matrix on `vector` (Arnoldi), and whether it is one."""
        basis, image = [vector / np.linalg.norm(vector)], np.zeros((KRYLOV + 1, KRYLOV))
        for j in range(KRYLOV):
            after = inside * self.step(basis[-1])
            for _ in range(2):  # orthogonal to rounding
                overlap = np.array([b @ after for b in basis])
                image[: j + 1, j] += overlap
                after = after - overlap @ np.array(basis)
            image[j + 1, j] = np.linalg.norm(after)
            if image[j + 1, j] < 1e-14:
                break
            basis.append(after / image[j + 1, j])
        used = j + 1
        found, vectors = np.linalg.eig(image[:used, :used])
        top = np.argmax(np.where(np.abs(found.imag) < 1e-9, found.real, -np.inf))
        vector = _positive(np.real(vectors[:, top]) @ np.array(basis[:used]))
        return vector, np.abs(inside * self.step(vector) - found[top].real * vector).sum() < 1e-11

    def _inverted(self, vector, inside) -> np.ndarray:
        """The same by inverse iteration, for a chain that mixes so slowly that its powers hardly tell two eigenvectors apart."""
        values, first, at = self._rows
        matrix = np.zeros((len(first), len(first)))
        for i, (start, a, b) in enumerate(zip(first, at[:-1], at[1:], strict=True)):
            matrix[i, start : start + b - a] = values[a:b]
        matrix = np.linalg.matrix_power(matrix, _substeps(self.rule))[np.ix_(inside, inside)].T
        vector, shift = vector[inside], 1 + 1e-9
        for _ in range(8):
            vector = _positive(np.linalg.solve(shift * np.eye(len(matrix)) - matrix, vector))
            after = matrix @ vector
            if np.abs(after - after.sum() * vector).sum() < 1e-11:
                break
            shift = after.sum() * (1 + 1e-9)
        out = np.zeros(len(inside))
        out[inside] = vector
        return out

    # Nodes and intervals

    def _put(self, mass, w):
        j = int(np.searchsorted(self.nodes, w, side="right")) - 1
        if j < 0 or j == len(self.nodes) - 1:
            mass[max(j, 0)] += 1
            return
        share = (w - self.nodes[j]) / (self.nodes[j + 1] - self.nodes[j])
        if self._walls[j] == self._walls[j]:
            share = float(w >= self._walls[j])
        mass[j] += 1 - share
        mass[j + 1] += share

    def _integrals(self, upto: np.ndarray) -> np.ndarray:
        """(points, cells): the integral of each node's hat function from -1000 to each point."""
        x, walls = self.nodes, self._walls
        a, b = x[:-1], x[1:]
        s = np.clip((upto[:, None] - a) / (b - a), 0, 1)
        right = 0.5 * (b - a) * s**2
        left = (b - a) * s - right
        cut = ~np.isnan(walls)
        middle = np.clip((walls[cut] - a[cut]) / (b - a)[cut], 0, 1)
        left[:, cut] = (b - a)[cut] * np.minimum(s[:, cut], middle)
        right[:, cut] = (b - a)[cut] * np.maximum(s[:, cut] - middle, 0)
        out = np.zeros((len(upto), len(x)))
        out[:, :-1] += left
        out[:, 1:] += right
        out[:, 0] += np.clip(upto + DIVERGED, 0, DIVERGED + x[0])
        out[:, -1] += np.clip(upto - x[-1], 0, DIVERGED - x[-1])
        return out


def transfer(landscape: Landscape, rule: Rule, cells: int = CELLS, data: Online = Online(), box=None) -> Transfer:
    """The Markov matrix of one step of `rule` on a 1D landscape, on about so many nodes; kept, so the same question is answered at once.

    Rules: SGD and NGD without momentum, of both noises; GD without momentum; Langevin without tether; SDE (its substeps are the matrix's).
    box: where nodes are dense, default the landscape's. A ValueError says what has no law here, and why.
    """
    if not isinstance(landscape, Landscape) or landscape.dim != 1:
        raise ValueError(f"landscape = {landscape!r}; the law is computed in one variable: give one such as DoubleWell()")
    if isinstance(cells, bool) or not isinstance(cells, (int, np.integer)) or not FEWEST <= cells <= MOST:
        raise ValueError(f"cells = {cells!r}; give a whole number from {FEWEST} to {MOST}")
    if not isinstance(data, Online):
        raise ValueError(f"data = {data!r}; with given samples a step depends on the place in the epoch: give Online()")
    _refuse(rule)
    return _transfer(landscape, rule, int(cells), data, checked_box(landscape, box))


def _refuse(rule) -> None:
    """ValueError if a step of this rule is no Markov step of w alone, or none that is a mixture of Gaussians."""
    if not isinstance(rule, GD | SGD | NGD | Langevin | SDE):
        raise ValueError(f"rule = {type(rule).__name__}(...) has no law here; give SGD, NGD, GD, Langevin or SDE")
    if getattr(rule, "momentum", 0):
        raise ValueError(
            f"momentum = {rule.momentum}; with it a step depends on the velocity too: give momentum = 0 (and the rate lr/(1 - momentum))"
        )
    if getattr(rule, "gamma", 0):
        raise ValueError(f"gamma = {rule.gamma}; a tether makes a step depend on where it started: give gamma = 0")


def _substeps(rule) -> int:
    return rule.substeps if isinstance(rule, SDE) else 1


def steps(landscape: Landscape, rule: Rule, data: Online, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """(A, D, E, batch) at w (n,): a step (of an SDE: a substep) goes to w - A u + sqrt(D u + E) N(0, 1).

    u = S_xx/batch ~ vx chi2_batch/batch, or vx itself where batch = 0.
    """
    value, jacobian, _ = landscape.jet(w[:, None])
    pull = np.sum((value - data.slope) * jacobian[..., 0], axis=1)
    squared = np.sum(jacobian[..., 0] ** 2, axis=1)
    none = np.zeros(len(w))
    match rule:
        case GD():
            return rule.lr * pull, none, none, 0
        case SGD() | NGD():
            scale = rule.lr + none
            if isinstance(rule, NGD):
                fisher = data.vx * squared
                scale = rule.lr / (np.maximum(rule.alpha * fisher, rule.damping) + fisher)
            if rule.noise == "batch":
                return scale * pull, scale**2 * squared * data.vy / rule.batch, none, rule.batch
            return scale * pull, none, scale**2 * 2 * rule.temperature / rule.lr, 0
        case Langevin():
            scale = 0.5 * rule.eps * rule.nbeta
            noise = scale**2 * squared * data.vy / rule.batch if rule.batch else none
            return scale * pull, noise, none + rule.eps, rule.batch
        case SDE():
            sigma = data.vx * (data.vy * squared + 2 * data.vx * pull**2) / rule.batch
            return rule.lr / rule.substeps * pull, none, rule.lr**2 / rule.substeps * sigma, 0
    raise NotImplementedError(f"{rule!r}")


@functools.lru_cache(maxsize=4)
def _transfer(landscape, rule, cells, data, box) -> Transfer:
    x, walls = _nodes(landscape, rule, cells, data, box)
    pull, spread, extra, batch = steps(landscape, rule, data, x)
    if not np.any(spread) and not np.any(extra) and not batch:
        # without any noise a node moves as its whole hat function, of variance h^2/6: a point would hop between nodes as the grid wants
        extra = np.gradient(x - pull * data.vx) ** 2 / 6
    scale = math.exp(0.5 * batch * math.log(0.5 * batch) - 0.5 * batch - math.lgamma(0.5 * batch)) if batch else 1.0
    n = len(x)
    first, last = np.empty(n, np.int64), np.empty(n, np.int64)
    kicks.reach(x, x, pull, spread, extra, batch, data.vx, first, last)
    at = np.concatenate([[0], np.cumsum(last - first)])
    values = np.empty(at[-1])

    def rows(part):
        here = slice(part.start, part.stop + 1)
        kicks.fill(x, walls, DIVERGED, x[part], pull[part], spread[part], extra[part], batch, data.vx, scale, first[part], at[here], values)

    list(pool().map(rows, [slice(i, min(i + 32, n)) for i in range(0, n, 32)]))
    basin = np.searchsorted(np.array(landscape.barriers, float), x, side="right")
    made = Transfer(landscape, rule, cells, data, box, x, np.zeros(n), basin, walls, (values, first, at))
    made.width[:] = made._integrals(np.array([DIVERGED]))[0]
    return made


def _nodes(landscape, rule, cells, data, box) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (n,), and for each interval between two of them the barrier in it, or NaN (n - 1,).

    Half of the box's nodes are evenly spaced, half at equal numbers of steps' standard deviations and of e-folds beside critical points.
    """
    ((low, high),) = box
    size = high - low
    barriers = [b for b in landscape.barriers if low < b < high]
    points = [c for c in _still(landscape, data) if low < c < high and all(abs(c - b) > 1e-9 * size for b in barriers)]
    smallest = STICKY * size

    def density(w):
        pull, spread, extra, batch = steps(landscape, rule, data, w)
        sd = np.sqrt(spread * data.vx + (pull * data.vx) ** 2 * (2 / batch if batch else 0) + extra)
        graded = 1 / (sd + smallest) if np.any(sd > 0) else 0 * w
        return graded + sum(1 / (np.abs(w - c) + smallest) for c in (*barriers, *points)) + 1e-9 / size

    offsets = np.geomspace(0.1 * smallest, size, 300)
    sample = [np.linspace(low, high, 4001), *(c + sign * offsets for c in (*barriers, *points) for sign in (-1, 1)), barriers, points]
    sample = np.unique(np.clip(np.concatenate(sample), low, high))
    graded = np.diff(sample) * density(0.5 * (sample[1:] + sample[:-1]))
    amount = np.concatenate([[0], np.cumsum(np.diff(sample) / size + graded / graded.sum())]) / 2
    breaks = np.array(sorted([low, *barriers, *points, high]))
    inside = cells - 2 * (cells // 20)
    x = []
    for a, b in itertools.pairwise(breaks):
        start, stop = np.interp([a, b], sample, amount)
        n = max(3, round(inside * (stop - start)))
        # a barrier lies half a distance beyond the last node: a node on it would hold for ever what is laid there
        part = np.linspace(0.5 / n if a in barriers else 0, 1 - 0.5 / n if b in barriers else 1, n)
        x.append(np.interp(start + part * (stop - start), amount, sample))
    edge = max(np.diff(x[0][:2])[0], np.diff(x[-1][-2:])[0])
    tail = np.geomspace(edge, DIVERGED * (1 - 1e-6) - max(-low, high), max(cells // 20, 8))
    x = np.unique(np.concatenate([low - tail, *x, high + tail]))
    x = x[np.append(True, np.diff(x) > 1e-13 * size)]
    walls = np.full(len(x) - 1, np.nan)
    for barrier in landscape.barriers:
        walls[np.searchsorted(x, barrier) - 1] = barrier
    return x, walls


def _still(landscape, data) -> list[float]:
    """Where a step of SGD has neither noise nor drift: every Q_k' is 0 (multiple roots of Q_k, zeros of Q_k'/Q_k), or, without noise in the
    labels, every Q_k = slope."""
    found = np.concatenate([turning(product) for product in landscape.products()])
    found = [w for w in found if np.abs(landscape.jet((w,))[1]).max() < 1e-9]
    if data.vy == 0:
        fits = breakpoints(landscape, 0, np.zeros(1), [data.slope] * len(landscape.products()))[0]
        found += [w for w in fits if np.isfinite(w) and np.abs(landscape.Q((w,)) - data.slope).max() < 1e-9]
    return sorted(set(map(float, found)))


def _positive(vector: np.ndarray) -> np.ndarray:
    """As probabilities: the leading eigenvector of a positive matrix has one sign, up to rounding."""
    vector = np.maximum(vector * np.sign(vector.sum()), 0)
    return vector / vector.sum()


def _times(t) -> tuple[list[int], bool]:
    single = not isinstance(t, Iterable)
    times = [t] if single else list(t)
    if not all(isinstance(s, (int, np.integer)) and not isinstance(s, bool) and s >= 0 for s in times):
        raise ValueError(f"t = {t!r}; give a number of steps, 0, 1, 2, ..., or several")
    return [int(s) for s in times], single
