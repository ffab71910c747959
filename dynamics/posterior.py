"""The exact posterior on a landscape, by quadrature; and the exact value of what samplers estimate at finite n beta.

The data enter through S_xx and S_xe only: n L(w) = S_xx sum_k (Q_k - ahat_k)^2 / 2 + const, ahat_k = slope + S_xe_k / S_xx.
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from dynamics.batches import Finite, Online, check_known
from landscapes.catalogue import DoubleWell
from landscapes.polynomial import Landscape
from landscapes.quadrature import COARSE, FINE, Nodes, across, breakpoints, checked_box, nodes, on_circles, ordinates, pieces
from landscapes.scale import Range, check

POINTS = {1: 8, 2: 3}  # a bin, where p is smooth
MOST = 1e15  # n beta beyond which neither the quadrature nor double precision resolves K


def _crowding(depth: int, order: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on [0, 1] that crowd towards 0: Gauss-Legendre on [0, e^-depth] and on each e-fold above."""
    x, weight = np.polynomial.legendre.leggauss(order)
    ends = np.concatenate([[0.0], np.exp(np.arange(-depth, 1.0))])
    return (ends[:-1, None] + np.diff(ends)[:, None] * (1 + x) / 2).ravel(), (np.diff(ends)[:, None] * weight / 2).ravel()


CROWDED = _crowding(14, 4)


@dataclass(frozen=True)
class Posterior:
    """p(w | D_n) = exp(-beta n L_n(w)) / Z, prior uniform on `box` (default: the landscape's).

    `Online()`: n L_n in expectation, n vx sum_k (Q_k - slope)^2 / 2; `Finite(...)`: for its first n samples, as they were drawn.
    The weight beta n L has the half: exp(-n Q^2 / 2) at beta = 1 (a source that writes exp(-n Q^2) has beta = 2 here).
    `fine`: errors of 1e-6 instead of 1e-3, in some three times the time.
    """

    landscape: Landscape = DoubleWell()
    n: Annotated[float, Range(0, MOST, log=True, unit="samples", help="how many samples the posterior has seen", shown=(1, 1e6))] = 100
    beta: Annotated[float, Range(0, 1000, log=True, help="inverse temperature: 1 is Bayes, 1/log n is WBIC's", shown=(0.01, 10))] = 1.0
    data: Online | Finite = Online()
    box: tuple | None = None
    fine: bool = False

    def __post_init__(self):
        check(self)
        if not isinstance(self.landscape, Landscape):
            raise ValueError(f"landscape = {self.landscape!r} is no landscape; give a value such as DoubleWell(w0=1.8, d1=1, d2=2)")
        if not isinstance(self.data, Online | Finite):
            raise ValueError(f"data = {self.data!r}; give Online() or Finite(size=1000)")
        check_known(self.landscape, self.data)
        if isinstance(self.data, Finite) and (self.n > self.data.size or self.n != int(self.n)):
            raise ValueError(
                f"n = {self.n:g} of {self.data.size} given samples; choose a whole n up to {self.data.size}, or a larger Finite(size=...)"
            )
        object.__setattr__(self, "box", checked_box(self.landscape, self.box))
        if self.strength > MOST:
            raise ValueError(f"beta S_xx = {self.strength:.3g}; at most {MOST:g} is resolved: choose a smaller n or beta")

    @functools.cached_property
    def _sums(self) -> tuple[float, tuple[float, ...]]:
        """S_xx, and ahat of every output."""
        outputs, data = len(self.landscape.products()), self.data
        if isinstance(data, Online):
            return self.n * data.vx, (data.slope,) * outputs
        x, e = data.draw(outputs)
        x, e = x[: int(self.n)], e[:, : int(self.n)]
        sxx = float(np.sum(x * x))
        return sxx, tuple(data.slope + float(s) / sxx if sxx else 0.0 for s in e @ x)

    @property
    def strength(self) -> float:
        """beta S_xx: what multiplies sum_k (Q_k - ahat_k)^2 / 2 in the exponent."""
        return self.beta * self._sums[0]

    @property
    def ahat(self) -> tuple[float, ...]:
        """The slope that fits the data best, one an output: S_xy / S_xx (for Online, the true slope)."""
        return self._sums[1]

    def _energy(self, k):
        # from the least K, so that exp never underflows everywhere; under a shift that Q never reaches K > 0
        return self.strength * (k - self._least)

    @functools.cached_property
    def _least(self) -> float:
        return float(self._nodes.k.min())

    @functools.cached_property
    def _nodes(self) -> Nodes:
        return nodes(self.landscape, self.box, self.ahat, FINE if self.fine else COARSE)

    @functools.cached_property
    def _weights(self) -> np.ndarray:
        """Probabilities of the nodes, unnormalised."""
        return self._nodes.weight * np.exp(-self._energy(self._nodes.k))

    @functools.cached_property
    def _z(self) -> float:
        return float(np.sum(self._weights))

    def density(self, points) -> np.ndarray:
        """p(w), normalised on the box and 0 outside, at points (..., dim) (in 1D also plain (...)); per unit of length or area."""
        w = self._points(points)
        low, high = np.array(self.box).T
        k = 0.5 * np.sum((self.landscape.Q(w) - np.array(self.ahat)) ** 2, axis=-1)
        with np.errstate(over="ignore"):
            return np.where(np.all((w >= low) & (w <= high), axis=-1), np.exp(-np.maximum(self._energy(k), -700)) / self._z, 0.0)

    def _points(self, points) -> np.ndarray:
        w = np.asarray(points, float)
        return w[..., None] if self.landscape.dim == 1 and (w.ndim == 0 or w.shape[-1] != 1) else w

    def marginal(self, axis: int, points) -> np.ndarray:
        """Density of w_axis at points (n,), the other variable integrated over the box: right beside ridges however narrow."""
        if axis not in range(self.landscape.dim):
            raise ValueError(f"axis = {axis!r}; the variables are numbered 0 ... {self.landscape.dim - 1}")
        points = np.asarray(points, float).ravel()
        if self.landscape.dim == 1:
            return self.density(points[:, None])
        low, high = self.box[axis]
        along = across(self.landscape, 1 - axis, points, self.box, self.ahat, FINE if self.fine else COARSE)
        value = np.sum(along.weight * np.exp(-np.maximum(self._energy(along.k), -700)), axis=1) / self._z
        return np.where((points >= low) & (points <= high), value, 0.0)

    def bins(self, edges, axis: int = 0) -> np.ndarray:
        """Probability that w_axis lies between neighbouring `edges` (k + 1,), ascending -> (k,).

        A peak may be far narrower than its bin. Bins at the zeros and turning points of Q - ahat, and their neighbours, are integrated on
        nodes that crowd towards those; the others, where log p is smooth, by a midpoint rule.
        """
        edges = np.asarray(edges, float)
        if edges.ndim != 1 or len(edges) < 2 or not np.all(np.diff(edges) > 0):
            raise ValueError(f"edges = {edges!r}; give at least two ascending numbers")
        if axis not in range(self.landscape.dim):
            raise ValueError(f"axis = {axis!r}; the variables are numbered 0 ... {self.landscape.dim - 1}")
        w, weight, place = self._crowded(edges, axis)
        even = np.setdiff1d(np.arange(len(edges) - 1), place)
        points = POINTS[self.landscape.dim]
        inside = edges[even, None] + np.diff(edges)[even, None] * (np.arange(points) + 0.5) / points
        p = self.marginal(axis, np.concatenate([w, inside.ravel()]))
        found = np.bincount(place, weight * p[: len(w)], len(edges) - 1)
        found[even] = p[len(w) :].reshape(inside.shape).mean(axis=1) * np.diff(edges)[even]
        return found

    def _crowded(self, edges, axis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes, weights and number of the bin for the bins whose p may be peaked."""
        if self.landscape.dim == 1:
            special = breakpoints(self.landscape, 0, np.zeros(1), self.ahat)[0]
        else:
            special = ordinates(self.landscape, self.box, axis, self.ahat)
        special = np.unique(special[(special >= edges[0]) & (special <= edges[-1])])
        places = np.clip(np.searchsorted(edges, special, side="right") - 1, 0, len(edges) - 2)
        w, weight, place = [np.empty(0)], [np.empty(0)], [np.empty(0, int)]
        for i in sorted({i for at in places for i in (at - 1, at, at + 1) if 0 <= i < len(edges) - 1}):
            own = special[places == i]
            towards = own if len(own) else edges[[i if i - 1 in places else i + 1]]  # of a neighbour: the end where it meets the peak
            origin, length = pieces(towards[None], edges[i], edges[i + 1])
            w.append((origin[..., None] + length[..., None] * CROWDED[0]).ravel())
            weight.append((np.abs(length)[..., None] * CROWDED[1]).ravel())
            place.append(np.full(len(w[-1]), i))
        return np.concatenate(w), np.concatenate(weight), np.concatenate(place)

    def distance(self, at, radii) -> np.ndarray:
        """Density of the distance |w - at| at radii (n,), per unit of length: in 2D the integral over each circle, right across narrow ridges."""
        at = np.atleast_1d(np.asarray(at, float))
        if at.shape != (self.landscape.dim,) or not np.all(np.isfinite(at)):
            raise ValueError(f"at = {at}; give one finite number for each of the {self.landscape.dim} variable(s)")
        radii = np.asarray(radii, float).ravel()
        if self.landscape.dim == 1:
            return self.density((at + radii)[:, None]) + self.density((at - radii)[:, None])
        low, high = np.array(self.box).T
        circle = on_circles(self.landscape, at, radii, self.ahat, FINE if self.fine else COARSE)
        inside = np.all((circle.w >= low) & (circle.w <= high), axis=-1)
        return radii * np.sum(inside * circle.weight * np.exp(-np.maximum(self._energy(circle.k), -700)), axis=1) / self._z

    def masses(self) -> np.ndarray:
        """Probability of each basin, cut at the landscape's barriers, from left to right (1D)."""
        barriers = self.landscape.barriers
        if not barriers:
            raise ValueError(f"{self.landscape!r} has no barriers that separate basins; use marginal or density")
        (low, high) = self.box[0]
        cuts = np.clip([low, *barriers, high], low, high)
        parts = []
        for a, b in itertools.pairwise(cuts):
            part = nodes(self.landscape, (a, b), self.ahat, FINE if self.fine else COARSE) if b > a else None
            parts.append(np.sum(part.weight * np.exp(-np.maximum(self._energy(part.k), -700))) if part else 0.0)
        return np.array(parts) / np.sum(parts)

    def mean_potential(self) -> float:
        """E[K] over the posterior, K = vx sum_k (Q_k - slope)^2 / 2: nats per fresh sample above the best possible."""
        miss = self.landscape.Q(self._nodes.w) - self.data.slope
        return float(np.sum(self._weights * 0.5 * self.data.vx * np.sum(miss**2, axis=-1)) / self._z)

    def best_excess(self) -> float:
        """S_xx sum_k (ahat_k - slope)^2 / 2 = n (L_n(truth) - L_n at Q = ahat), nats: how much better the data can be fitted than by the truth."""
        return 0.5 * self._sums[0] * sum((a - self.data.slope) ** 2 for a in self.ahat)

    def mean_excess(self) -> float:
        """n (E[L_n] - L_n(truth)) over the posterior, nats: n E[K] for Online."""
        return float(self._sums[0] * np.sum(self._weights * self._nodes.k) / self._z) - self.best_excess()

    def free_energy(self) -> float:
        """F = -log of the mean over the box of exp(-beta S_xx sum_k (Q_k - ahat_k)^2 / 2), nats; ~ lambda log n - (m - 1) log log n."""
        volume = math.prod(high - low for low, high in self.box)
        return self.strength * self._least - math.log(self._z / volume)


def lambda_hat_exact(landscape: Landscape, nbeta: float, at=None, box=None, gamma: float = 0.0, fine: bool = True) -> float:
    """nbeta (E[K] - K(at)) under exp(-nbeta K(w) - gamma/2 |w - at|^2), w uniform on the box: what an ideal sampler at `at` would report.

    It tends to lambda as nbeta grows (gamma = 0: the smallest lambda in the box), with m > 1 only as lambda - (m - 1)/log(nbeta).
    at: default the first declared minimum; box: default the landscape's, it bounds with gamma > 0 too. A ValueError says why where
    lambda is undefined at `at`.
    """
    if not (math.isfinite(nbeta) and 0 < nbeta <= MOST):
        raise ValueError(f"nbeta = {nbeta!r}; give a number above 0 and up to {MOST:g}")
    if not (math.isfinite(gamma) and gamma >= 0):
        raise ValueError(f"gamma = {gamma!r}; give a number of at least 0 (0: no tether)")
    at = minimum_at(landscape, at, 1e-3 / nbeta)
    box = checked_box(landscape, box)
    around = at if gamma else None
    grid = nodes(landscape, box, 0.0, FINE if fine else COARSE, around)
    here = float(landscape.K(at))
    energy = nbeta * grid.k
    if gamma:
        energy = energy + 0.5 * gamma * np.sum((grid.w - np.array(at)) ** 2, axis=-1)
    weight = grid.weight * np.exp(energy.min() - energy)
    return float(nbeta * (np.sum(weight * grid.k) / np.sum(weight) - here))


def minimum_at(landscape: Landscape, at=None, tolerance: float = 0.0) -> tuple[float, ...]:
    """`at` as a tuple (default: the first declared minimum), or a ValueError that says why lambda is undefined there.

    tolerance: how far above a neighbour K(at) may be, nats per sample.
    """
    if at is None:
        return landscape.minima[0].at
    try:
        point = tuple(float(a) for a in np.atleast_1d(np.asarray(at, float)))
    except (TypeError, ValueError):
        point = ()
    if len(point) != landscape.dim or not all(map(math.isfinite, point)):
        raise ValueError(f"at = {at!r}; give one finite number for each of the {landscape.dim} variable(s)")
    for place in landscape.undefined:
        if np.allclose(place.at, point, rtol=0, atol=1e-9):
            raise ValueError(f"lambda is undefined at {place.name} {place.at}: {place.why}; choose one of {_names(landscape)}")
    here = float(landscape.K(point))
    if here <= tolerance:
        return point  # a zero of K >= 0
    turn = np.linspace(0, 2 * np.pi, 65)[:-1]
    unit = np.array([[-1.0], [1.0]]) if landscape.dim == 1 else np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    for radius in (1e-4, 1e-3, 1e-2):
        around = landscape.K(np.array(point) + radius * unit)
        if around.min() < here - tolerance - 1e-13 * here:
            raise ValueError(
                f"lambda is undefined at {point}: K = {here:.4g} there and less nearby ({around.min():.4g} at distance {radius:g}), "
                f"so it is no minimum; choose one of {_names(landscape)}"
            )
    return point


def _names(landscape: Landscape) -> str:
    return ", ".join(f"{place.name} {place.at}" for place in landscape.minima)
