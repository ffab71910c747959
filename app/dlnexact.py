"""Deep linear networks: lambda of a state and of its neighbours, exactly."""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.dlnlab import DeepLinear, cycled
from nets.dln import Coefficient, Ranks, Stratum, learning_coefficient, stratum

POINTS = 60  # of a curve
CLOUD = 300  # random networks


class Exact(NamedTuple):
    """What is known of a state at once: lambda and m, a stratum that has it, the chosen point's ranks, and its stratum."""

    value: DeepLinear
    total: Coefficient
    best: Stratum
    ranks: Ranks
    here: Stratum


class Curves(NamedTuple):
    """lambda of neighbours: rows of (x, lambda, m, regular part, parameters)."""

    depth: list[tuple]
    width: list[tuple]
    rank: list[tuple]


class Cloud(NamedTuple):
    """Random networks: rows of (hidden layers, lambda, regular part)."""

    rows: list[tuple]


def exact(value: DeepLinear) -> Exact:
    """Aoyagi's value, and the smallest codimension of the strata near the chosen point."""
    ranks = Ranks.generic(value.widths, value.layers)
    total = learning_coefficient(value.widths, value.rank)
    return Exact(value, total, stratum(Ranks.lowest(value.widths, value.rank)), ranks, stratum(ranks))


def row(x: int, widths: Sequence[int], rank: int) -> tuple:
    """A point of a curve."""
    lam, m = learning_coefficient(widths, rank)
    return (x, float(lam), m, rank * (widths[0] + widths[-1] - rank) / 2, sum(a * b for a, b in itertools.pairwise(widths)))


def _spread(low: int, high: int, *present: int) -> list[int]:
    """At most POINTS whole numbers from low to high, and those present."""
    return sorted({*np.unique(np.linspace(low, high, min(POINTS, high - low + 1)).round().astype(int)).tolist(), *present})


def curves(value: DeepLinear) -> Curves:
    """lambda against depth (hidden widths go on as they are), against the width of all hidden layers, and against the rank."""
    first, *hidden, last = value.widths
    rank, depth = value.rank, len(hidden)
    depths = [row(k, (first, *cycled(value.widths, k), last), rank) for k in _spread(0, max(12, depth + depth // 2), depth)]
    widest = max(2 * max(first, last), *(h + h // 2 for h in hidden), 4)
    widths = [row(h, (first, *[h] * depth, last), rank) for h in _spread(max(rank, 1), widest, *set(hidden))] if hidden else []
    return Curves(depths, widths, [row(r, value.widths, r) for r in _spread(0, min(value.widths), rank)])


def cloud_row(seed: int) -> tuple:
    """One of the paper's random networks: 2 ... 800 hidden layers (here uniform in the logarithm), widths 100 ... 2000, rank 0 ... smallest width.

    Source: "LLC at scale", appendix B and Figure 7.
    """
    generator = np.random.default_rng((7, seed))
    hidden = round(float(np.exp(generator.uniform(math.log(2), math.log(800)))))
    widths = generator.integers(100, 2001, size=hidden + 2).tolist()
    _, lam, _, regular, _ = row(hidden, widths, int(generator.integers(0, min(widths) + 1)))
    return hidden, lam, regular


@functools.cache
def cloud() -> Cloud:
    """All of them: 50 ms, once in a process."""
    return Cloud([cloud_row(seed) for seed in range(CLOUD)])
