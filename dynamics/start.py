"""Where trajectories begin. Each start is drawn from its trajectory's own stream, so more trajectories change none of the others."""

import numbers
from dataclasses import dataclass

import numpy as np

from dynamics.random import close, opened, uniform
from dynamics.rule import DIVERGED
from landscapes.jit import kernel


def _point(value, name: str) -> tuple[float, ...]:
    point = tuple(value) if isinstance(value, (tuple, list)) or np.ndim(value) == 1 else (value,)
    if len(point) not in (1, 2) or not all(isinstance(entry, numbers.Real) and abs(entry) < DIVERGED for entry in point):  # false for NaN
        raise ValueError(f"{name} = {repr(value)[:60]}; give one number of size below {DIVERGED:g} a variable, e.g. 0.5 or (0.5, -1)")
    return tuple(map(float, point))


@dataclass(frozen=True)
class Uniform:
    """Uniform on a box: `Uniform(-3.6, 3.6)`, in two dimensions `Uniform((-0.1, -5), (0.1, 5))`."""

    low: float | tuple[float, ...]
    high: float | tuple[float, ...]

    def __post_init__(self):
        low, high = _point(self.low, "low"), _point(self.high, "high")
        if len(low) != len(high) or any(a > b for a, b in zip(low, high, strict=True)):
            raise ValueError(f"Uniform({self.low!r}, {self.high!r}); every low must lie at or below its high, and both have the same length")
        object.__setattr__(self, "low", low if len(low) > 1 else low[0])
        object.__setattr__(self, "high", high if len(high) > 1 else high[0])

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """(low, high) as tuples, one entry a variable."""
        return _point(self.low, "low"), _point(self.high, "high")

    @property
    def dim(self) -> int:
        return len(self.bounds[0])

    def draw(self, streams: np.ndarray) -> np.ndarray:
        """w (n, dim), one row a stream; the streams move on."""
        low, high = (np.array(bound) for bound in self.bounds)
        w = np.empty((len(streams), self.dim))
        _uniform_box(w, streams, low, high)
        return w


@kernel
def _uniform_box(w, streams, low, high):
    for i in range(w.shape[0]):
        s = opened(streams, i)
        for axis in range(w.shape[1]):
            u, s = uniform(s)
            w[i, axis] = low[axis] + u * (high[axis] - low[axis])
        close(streams, i, s)


@dataclass(frozen=True)
class At:
    """All trajectories start at one point: `At(1.8)`, `At((0, 1))`."""

    at: float | tuple[float, ...]

    def __post_init__(self):
        point = _point(self.at, "at")
        object.__setattr__(self, "at", point if len(point) > 1 else point[0])

    @property
    def bounds(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        return _point(self.at, "at"), _point(self.at, "at")

    @property
    def dim(self) -> int:
        return len(self.bounds[0])

    def draw(self, streams: np.ndarray) -> np.ndarray:
        """w (n, dim), one row a stream."""
        return np.tile(np.array(self.bounds[0]), (len(streams), 1))


Start = Uniform | At
