"""Where the noise of SGD is proportional to the curvature, and where it is not.

Sigma = (vy G + 2 grad K grad K^T)/B and H = G + vx sum_k (Q_k - a) Hess Q_k agree, up to vy/B, only where Q = a. Beside a root of power d,
Q = kappa u^d, both vanish and B Sigma/(vy H) tends to d^2/(d (2d - 1)) = 1/(2 (1 - lambda)), as lambda = 1/(2d): 1 at a regular minimum, 2/3,
3/5, ... at degenerate ones. So even between two minima of one landscape the constant of proportionality is not the same, and at a barrier H < 0.

>>> from landscapes import DoubleWell
>>> found = proportion(DoubleWell(w0=1.8, d1=1, d2=2))
>>> [f"{low:.2f} ... {high:.2f}" for low, high in found.within], {name: str(limit) for name, limit in found.limits.items()}
(['-1.82 ... -1.78', '1.39 ... 1.46', '2.13 ... 2.18'], {'+w₀': '2/3', '−w₀': '1'})
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from dynamics.batches import Finite, Online, noise_covariance
from landscapes.polynomial import Landscape
from landscapes.quadrature import checked_box

TOLERANCE = 0.1
GRID = {1: 1001, 2: 121}  # points an axis


class Proportion(NamedTuple):
    """within, negative (1D): the intervals of the box where |B Sigma/(vy H) - 1| <= tolerance, and where H < 0, left to right. within_share,
    negative_share: of the box; in 2D the norm of B Sigma - vy H is compared with that of vy H, and the least eigenvalue of H with 0.
    limits (1D): B Sigma/(vy H) beside every minimum with Q = a, by its name."""

    within: tuple[tuple[float, float], ...]
    negative: tuple[tuple[float, float], ...]
    within_share: float
    negative_share: float
    limits: dict[str, Fraction]


def proportion(landscape: Landscape, data: Online | Finite = Online(), tolerance: float = TOLERANCE, box=None) -> Proportion:
    """Where B Sigma (fresh data) is vy H within `tolerance`, and where H has a negative eigenvalue, which no covariance has.

    Raises ValueError where K alone is given, or the labels have no noise (vy = 0: then Sigma vanishes at minima and H does not).
    """
    if not data.vy > 0:
        raise ValueError(f"vy = {data.vy:g}; without noise in the labels Σ = 2 ∇K ∇Kᵀ/B vanishes at minima, so it is nowhere proportional to H")
    box = checked_box(landscape, box)
    if landscape.dim == 2:
        grid = np.stack(np.meshgrid(*(np.linspace(low, high, GRID[2]) for low, high in box)), axis=-1)
        curved, away = _compared(landscape, data, grid)
        return Proportion((), (), float(np.mean(away <= tolerance)), float(np.mean(curved < 0)), {})
    ((low, high),) = box
    w = np.linspace(low, high, GRID[1])
    for at in (*(m.at[0] for m in landscape.minima), *landscape.barriers):  # small intervals lie there
        near = np.geomspace(1e-9, high - low, 60)
        w = np.concatenate([w, at - near, [at], at + near])
    w = np.unique(w[(w >= low) & (w <= high)])
    within = _intervals(lambda w: _compared(landscape, data, w[:, None])[1] <= tolerance, w)
    negative = _intervals(lambda w: _compared(landscape, data, w[:, None])[0] < 0, w)
    shares = (sum(b - a for a, b in found) / (high - low) for found in (within, negative))
    return Proportion(within, negative, *shares, _limits(landscape, data))


def _compared(landscape, data, w) -> tuple[np.ndarray, np.ndarray]:
    """The least eigenvalue of H, 0 where it is rounding, and |B Sigma - vy H| / |vy H|, at points (..., dim)."""
    value, jacobian, second = landscape.jet(w)
    fisher = data.vx * np.einsum("...ki,...kj->...ij", jacobian, jacobian)
    bent = data.vx * np.einsum("...k,...kij->...ij", value - data.slope, second)
    hessian, sigma = data.vy * (fisher + bent), noise_covariance(landscape, w, 1, data)
    size = np.sqrt(np.sum(hessian**2, axis=(-2, -1)))
    with np.errstate(divide="ignore", invalid="ignore"):
        away = np.sqrt(np.sum((sigma - hessian) ** 2, axis=(-2, -1))) / size
    least = hessian[..., 0, 0]
    if landscape.dim == 2:
        least = 0.5 * (least + hessian[..., 1, 1]) - np.hypot(0.5 * (least - hessian[..., 1, 1]), hessian[..., 0, 1])
    scale = np.sqrt(np.sum(fisher**2, axis=(-2, -1))) + np.sqrt(np.sum(bent**2, axis=(-2, -1)))
    return np.where(least < -1e-9 * scale, least, np.maximum(least, 0)), np.where(size > 0, away, np.inf)


def _intervals(holds, w) -> tuple[tuple[float, float], ...]:
    """The maximal intervals on which `holds` is true, their ends found by bisection between the points w."""
    inside = holds(w)
    change = np.flatnonzero(inside[1:] != inside[:-1])
    low, high, before = w[change], w[change + 1], inside[change]
    for _ in range(45):
        middle = 0.5 * (low + high)
        same = holds(middle) == before
        low, high = np.where(same, middle, low), np.where(same, high, middle)
    ends = [*([w[0]] if inside[0] else []), *(0.5 * (low + high)), *([w[-1]] if inside[-1] else [])]
    return tuple((float(a), float(b)) for a, b in zip(ends[::2], ends[1::2], strict=True) if b - a > 1e-6 * (w[-1] - w[0]))


def _limits(landscape, data) -> dict[str, Fraction]:
    if data.slope or len(landscape.products()) > 1:
        return {}
    zeros = (minimum for minimum in landscape.minima if minimum.lam is not None and landscape.K(minimum.at) < 1e-20)
    return {minimum.name: 1 / (2 * (1 - minimum.lam)) for minimum in zeros}
