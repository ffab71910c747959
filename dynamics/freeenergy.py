"""F_n = -log E_prior exp(-n K): what decides where Bayes puts its mass at a finite n; its curves, its average over data, its crossings.

F_n ~ lambda log n - (m - 1) log log n at a minimum with K = 0, and n K_i more at one with K_i > 0; WBIC = n E_beta[K] at beta = 1/log n
estimates it from one temperature; the Bayes generalisation error is its increase with n. All by quadrature, so that what differs from
the leading term is the finite n and not an error of a sampler.

>>> from landscapes import DoubleWell
>>> from dynamics import Online
>>> well, truth = DoubleWell(w0=1.8, d1=1, d2=4), Online(slope=-0.05)  # only the left well has a w with Q = slope
>>> left, right = basins(well)
>>> (n,) = crossings(well, left, right, truth)
>>> print(f"up to n = {n:.0f} Bayes prefers the degenerate well, which is wrong by a^2/2; then the right one")
up to n = 5913 Bayes prefers the degenerate well, which is wrong by a^2/2; then the right one
"""

import functools
import itertools
import math
from typing import NamedTuple

import numpy as np

from dynamics.batches import Finite, Online
from dynamics.posterior import MOST, Posterior
from landscapes.polynomial import Landscape
from landscapes.quadrature import COARSE, FINE, Resolution, checked_box, nodes

TILTED = Resolution(0.8, 8)  # exp(sqrt(S) z q) moves the bulk of exp(-S q^2/2) to q = z/sqrt(S): shorter panels in log|q|
BIN = 0.01  # in log|q|
BLOCK = 1 << 21  # weights at once
SAME, FAR = 3e-3, 34.0  # |q| in standard deviations of the data below which states are one; nats above the nearest beyond which they are none
SEVERAL = 3  # outputs, for averages over data sets


class Asymptote(NamedTuple):
    """The leading terms at a minimum of learning coefficient `lam` and multiplicity m, where K = `least`: exact as n grows, up to a constant."""

    lam: float
    multiplicity: int = 1
    least: float = 0.0

    def free_energy(self, n):
        """n K_min + lambda log n - (m - 1) log log n."""
        n = np.asarray(n, float)
        slow = (self.multiplicity - 1) * np.log(np.log(n)) if self.multiplicity > 1 else 0.0
        return n * self.least + float(self.lam) * np.log(n) - slow

    def lambda_hat(self, nbeta):
        """nbeta E_beta[K - K_min] = lambda - (m - 1)/log nbeta."""
        return float(self.lam) - (self.multiplicity - 1) / np.log(nbeta)

    def generalisation(self, n):
        """K_min + lambda/n - (m - 1)/(n log n)."""
        n = np.asarray(n, float)
        return self.least + self.lambda_hat(n) / n


def basins(landscape: Landscape, box=None) -> tuple[tuple[tuple[float, float]], ...]:
    """The intervals between barriers within the box (1D), from left to right, each as a box."""
    if landscape.dim != 1 or not landscape.barriers:
        raise ValueError(f"{landscape!r} has no barriers that separate basins; give boxes around its minima yourself")
    ((low, high),) = checked_box(landscape, box)
    cuts = [low, *(b for b in landscape.barriers if low < b < high), high]
    return tuple((pair,) for pair in itertools.pairwise(cuts))


def free_energy(
    landscape: Landscape, n, data: Online | Finite = Online(), within=None, box=None, beta: float = 1.0, fine: bool = False
) -> np.ndarray:
    """F_n = -log E_prior[exp(-beta n (L_n(w) - L_n(truth)))], nats, at every n (an array or a number); L_n - L_n(truth) = K for Online.

    Prior uniform on `box` (default: the landscape's). within: count only what lies in this part of the box, with the prior's mass in
    it: exp(-F_within)/exp(-F) is its posterior probability. `Finite`: for the first n of its samples; else their expected loss.
    """
    part, missing = _part(landscape, within, box)

    def one(n):
        posterior = Posterior(landscape, n, beta, data, part, fine)
        return posterior.free_energy() - beta * posterior.best_excess() + missing

    return _each(one, n)


def wbic(landscape: Landscape, n, data: Online | Finite = Online(), within=None, box=None, fine: bool = False) -> np.ndarray:
    """n (E_beta[L_n] - L_n(truth)) at beta = 1/log n, nats: estimates F_n up to O(sqrt(log n)), without its constant. Source: Watanabe 2013."""
    part, _ = _part(landscape, within, box)
    if np.min(n) <= math.e:
        raise ValueError(f"n = {np.min(n):g}; WBIC's inverse temperature beta is 1/log n: give n above e = 2.72, as it is at most 1")
    return _each(lambda n: Posterior(landscape, n, 1 / math.log(n), data, part, fine).mean_excess(), n)


def _each(read, n):
    n = np.asarray(n, float)
    return np.array([read(float(one)) for one in n.ravel()]).reshape(n.shape)


def _part(landscape, within, box):
    """(box of the part, -log of its share of the prior)."""
    whole = checked_box(landscape, box)
    part = checked_box(landscape, within) if within is not None else whole
    if not all(low <= a and b <= high for (low, high), (a, b) in zip(whole, part, strict=True)):
        raise ValueError(f"within = {within!r} is no part of the box {whole}; the prior has no mass outside")
    return part, sum(math.log((high - low) / (b - a)) for (low, high), (a, b) in zip(whole, part, strict=True))


def crossings(
    landscape: Landscape, first, second, data: Online = Online(), box=None, between: tuple[float, float] = (1.0, 1e9), fine: bool = True
) -> tuple:
    """Every n in `between` at which the posterior has as much mass in one part of the box as in the other: a change of model within the model.

    first, second: boxes, such as `basins` gives. One minimum may fit worse and yet hold the mass up to this n, as it is more degenerate:
    n (K_2 - K_1) against (lambda_1 - lambda_2) log n. Ascending; empty if one is preferred throughout.
    """
    if isinstance(data, Finite):
        raise ValueError(f"data = {data!r}; with given samples the free energies jump from n to n + 1: compare free_energy(...) at every n")
    low, high = between
    if not (1 <= low < high <= MOST):
        raise ValueError(f"between = {between!r}; give 1 <= first n < last n <= {MOST:g}")

    def gap(n):
        return float(free_energy(landscape, n, data, first, box, fine=fine) - free_energy(landscape, n, data, second, box, fine=fine))

    grid = np.geomspace(low, high, 1 + max(8, math.ceil(8 * math.log10(high / low))))
    gaps = [gap(n) for n in grid]
    found = []
    for a, b, before, after in zip(grid[:-1], grid[1:], gaps[:-1], gaps[1:], strict=True):
        if before * after < 0:
            for _ in range(45):
                middle = math.sqrt(a * b)
                a, b = (middle, b) if gap(middle) * before > 0 else (a, middle)
            found.append(math.sqrt(a * b))
    return tuple(found)


# Averages over data sets


def mean_free_energy(landscape: Landscape, n, data: Online = Online(), within=None, box=None) -> np.ndarray:
    """E_D[F_n] over data sets of n samples, at every n: below F_n of the expected loss, as data are fitted (by 1/2 a dimension at a regular minimum).

    A data set enters through S_xx ~ vx chi2_n and S_xe = sqrt(S_xx) z, z ~ N(0, vy) an output, so this is an integral over two or three
    numbers. One output: errors of 1e-5; two or three: of 1e-3.
    """
    return _each(lambda n: _averages(landscape, n, data, within, box)[0], n)


def generalisation(landscape: Landscape, n, data: Online = Online(), box=None) -> np.ndarray:
    """E_D[G_n], nats: by how much the Bayes predictive of n samples is worse than the truth on one more, log p(y|x, truth) - log p(y|x, D_n).

    Exactly E[F_(n+1)] - E[F_n], as the predictive of a sample is a ratio of evidences; ~ lambda/n at vy = 1. Both averages use the same
    nodes in S_xx, so their difference has no cancellation.
    """
    return _each(lambda n: _averages(landscape, n, data, None, box)[1], n)


def _averages(landscape, n, data, within, box) -> tuple[float, float]:
    """(E[F_n], E[F_(n+1)] - E[F_n])."""
    if isinstance(data, Finite):
        raise ValueError(f"data = {data!r}; the average is over data sets: give Online()")
    if not 1 <= n <= 1e-3 * MOST / data.vx:  # sqrt(S) z q needs q a tenth as small as S q^2 does
        raise ValueError(f"n = {n:g}; give a number of samples from 1 to {1e-3 * MOST / data.vx:g}")
    if len(landscape.products()) > SEVERAL:
        raise ValueError(
            f"{len(landscape.products())} outputs; the average over data sets is an integral over one number an output: at most {SEVERAL}"
        )
    q, weight = _states(landscape, data.slope, *_part(landscape, within, box))
    sxx, chance = _chi2(n)
    sxx = n * data.vx * sxx
    z, share = np.polynomial.hermite_e.hermegauss(24 if len(q) == 1 else 10)
    z, share = math.sqrt(data.vy) * z, share / share.sum()
    shares = functools.reduce(np.multiply.outer, [share] * len(q))
    q, weight = _in_reach(q, weight, sxx.min(), sxx.max(), z[-1])
    f = np.array([np.sum(shares * _tilted(q, weight, s, z)) for s in sxx])
    mean = chance @ f
    more = chance * np.sqrt(sxx)  # the law of S_xx of n + 1 samples has a density sqrt(S_xx) times that of n
    return float(mean), float(more @ (f - mean) / more.sum())


def _in_reach(q, weight, least, most, z) -> tuple[np.ndarray, np.ndarray]:
    """The states without those that weigh nothing at any S and z, and with those that are as good as 0 at all of them made one."""
    size = np.sqrt(np.sum(q * q, axis=0))
    near = size < SAME / math.sqrt(most)
    # with |z| at most Z a state at r weighs less than e^(-FAR) of the one at r0 if sqrt(S)(r - r0) > 2 Z + sqrt(2 FAR) and so at S = least
    reach = size.min() + (2 * math.sqrt(len(q)) * z + math.sqrt(2 * FAR)) / math.sqrt(least)
    here = ~near & (size <= reach)
    mass = weight[near].sum()
    if mass == 0:
        return q[:, here], weight[here]
    return np.column_stack([q[:, here], q[:, near] @ weight[near] / mass]), np.append(weight[here], mass)


def _tilted(q, weight, s, z) -> np.ndarray:
    """-log of the prior mean of exp(-s |q|^2/2 + sqrt(s) z q) at every z of a grid, of shape (len(z),) to the number of outputs.

    That is the product over outputs of exp(z_k^2/2) exp(-(sqrt(s) q_k - z_k)^2/2): a matrix for each output makes all of the grid.
    """
    grid = np.stack(np.meshgrid(*[z] * len(q), indexing="ij"))
    total, size = np.zeros(grid[0].shape), max(1, BLOCK // grid[0].size)
    for i in range(0, q.shape[1], size):
        factors = [np.exp(-0.5 * (math.sqrt(s) * row[i : i + size, None] - z) ** 2) for row in q]
        factors[0] *= weight[i : i + size, None]
        *rest, last = factors
        left = functools.reduce(lambda a, b: (a[:, :, None] * b[:, None, :]).reshape(len(a), -1), rest) if rest else np.ones((len(last), 1))
        total += (left.T @ last).reshape(total.shape)
    out = -np.log(np.maximum(total, np.finfo(float).tiny)) - 0.5 * np.sum(grid**2, axis=0)
    for at in np.argwhere(total < 1e-290):  # no state is near: relative to the nearest
        here = grid[:, *at]
        energy = 0.5 * np.sum((math.sqrt(s) * q - here[:, None]) ** 2, axis=0)
        out[*at] = energy.min() - math.log(np.exp(energy.min() - energy) @ weight) - 0.5 * here @ here
    return out


@functools.lru_cache(maxsize=4)
def _states(landscape, slope, part, missing) -> tuple[np.ndarray, np.ndarray]:
    """Values of q = Q - slope (outputs, n) and the prior's mass of each (n,).

    One output in two variables: gathered in bins of log|q|, each value shared by its two neighbours, as only the law of q matters.
    """
    several = len(landscape.products()) > 1
    grid = nodes(landscape, part, slope, TILTED if landscape.dim == 1 else COARSE if several else FINE)
    q = np.moveaxis(landscape.Q(grid.w) - slope, -1, 0).reshape(len(landscape.products()), -1)
    weight = grid.weight.ravel() * math.exp(-missing) / math.prod(b - a for a, b in part)
    if landscape.dim == 1 or several:
        return q, weight
    low, high = math.log(1e-9), math.log(max(np.abs(q).max(), 1e-6))
    place = (np.log(np.maximum(np.abs(q[0]), 1e-9)) - low) / BIN
    left = np.floor(place).astype(int)
    count = int((high - low) / BIN) + 3
    mass = np.zeros((2, count))
    edges = np.exp(low + BIN * np.arange(count))
    up = (np.abs(q[0]) - edges[left]) / (edges[left + 1] - edges[left])  # so that the mean of q is kept
    up = np.clip(up, 0, 1)
    sign = (q[0] < 0).astype(int)
    for side in (0, 1):
        here = sign == side
        mass[side] = np.bincount(left[here], (weight * (1 - up))[here], count) + np.bincount(left[here] + 1, (weight * up)[here], count)
    values = np.concatenate([edges, -edges])
    keep = mass.ravel() > 0
    return values[None, keep], mass.ravel()[keep]


def _chi2(n: float) -> tuple[np.ndarray, np.ndarray]:
    """Values of chi2_n/n and their probabilities: the trapezium rule in its logarithm, as a free energy is nearly linear in log S_xx."""
    half, edges = 0.5 * n, []
    for t in (-1.0, 1.0):
        for _ in range(80):  # to where the density is e^-25 of its top
            t -= (math.exp(t) - 1 - t - 25 / half) / (math.exp(t) - 1)
        edges.append(max(t, -40.0))
    t = np.linspace(*edges, 2 + math.ceil((edges[1] - edges[0]) * math.sqrt(half + 3)))
    chance = np.exp(half * (t - np.expm1(t)))
    return np.exp(t), chance / chance.sum()
