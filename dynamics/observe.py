"""What is read off a run: share per basin among survivors, escape rate with its error, histograms over time, distances."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from landscapes.jit import kernel

if TYPE_CHECKING:
    from dynamics.simulation import Simulation


@dataclass(frozen=True)
class Shares:
    """Who was where at every step. counts (steps + 1, basins): all that had not diverged yet; among: only those that never diverged
    during the whole run; diverged (steps + 1,): how many had by then; n: all trajectories."""

    counts: np.ndarray
    among: np.ndarray
    diverged: np.ndarray
    n: int


@dataclass(frozen=True)
class EscapeRate:
    """rate and its standard error per step over `window` (first, last step); both None, with a `reason`, where no rate can be given.

    Where nobody leaves, rate is 0 and stderr the bound 3/(N (last - first)) that a rate is below with 95 % confidence (`reason` says so).

    Unpacks: `rate, stderr = out.escape_rate(10, 60)`.
    """

    rate: float | None
    stderr: float | None
    window: tuple[int, int]
    reason: str = ""

    def __iter__(self):
        return iter((self.rate, self.stderr))


def escape_rate(counts: np.ndarray, first: int, last: int, fewest: int = 10) -> EscapeRate:
    """Rate r of log counts(t) = c - r t, least squares weighted by counts, over steps first ... last.

    The standard error takes into account that the same trajectories are counted at every step: given the count at `first`, leaving is
    thinning, so Cov(log N_s, log N_t) = 1/N_min(s,t) - 1/N_first, the sum of the steps of 1/N up to then; steps back, where some return, are
    summed by their size. It assumes that few come back: no rate is given where the count grows by more than two standard errors.
    Nobody leaves in T steps of N with probability exp(-r N T), which is below 5 % for r > 3/(N T).
    """
    window = (first, last)
    whole = all(isinstance(step, (int, np.integer)) for step in window)
    if not whole or not 0 <= first < last < len(counts):
        raise ValueError(f"window {first} ... {last}; the run has steps 0 ... {len(counts) - 1}: choose whole first < last among them")
    t, n = np.arange(first, last + 1), counts[first : last + 1].astype(float)
    enough = np.cumsum(n < fewest) == 0
    t, n = t[enough], n[enough]
    if len(t) < 3:
        return EscapeRate(
            None,
            None,
            window,
            f"fewer than {fewest} trajectories are left at step {first + len(t)}; start the window earlier or run more trajectories",
        )
    centre = np.average(t, weights=n)
    slope = n * (t - centre) / np.sum(n * (t - centre) ** 2)  # the estimate is linear in log n
    window = (int(t[0]), int(t[-1]))
    if np.all(n == n[0]):
        bound = 3 / float(n[0] * (t[-1] - t[0]))
        return EscapeRate(0.0, bound, window, f"none of {n[0]:.0f} leaves in {t[-1] - t[0]} steps, so with 95 % confidence it is below {bound:.1e}")
    spread = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(1 / n)))])  # variance of log N, step by step
    rate = -float(slope @ np.log(n / n[0]))
    stderr = float(np.sqrt(slope @ np.minimum.outer(spread, spread) @ slope))
    if rate < -2 * stderr:
        return EscapeRate(None, None, window, f"the count grows, from {n[0]:.0f} to {n[-1]:.0f}: more come than leave, which is no escape")
    return EscapeRate(rate, stderr, window)


@dataclass(frozen=True)
class Result:
    """What a run leaves behind. w (n, dim): the last weights, NaN where diverged; kept (frames, n, dim): weights at the steps `steps`."""

    run: "Simulation"
    w: np.ndarray
    kept: np.ndarray
    steps: np.ndarray
    shares: Shares = field(repr=False)

    @property
    def survivors(self) -> int:
        """How many of n never diverged during the whole run."""
        return int(self.shares.n - self.shares.diverged[-1])

    @property
    def share(self) -> np.ndarray:
        """(steps + 1, basins): among those survivors, the share in each basin at each step (NaN if nobody survives)."""
        return self.shares.among / (self.survivors or np.nan)

    @property
    def share_left(self) -> np.ndarray:
        """(steps + 1,): among those survivors, the share left of the (first) barrier at each step."""
        if not self.run.landscape.barriers:
            raise ValueError(f"{self.run.landscape!r} has no barrier, so no left side; use histogram or distance")
        return self.share[:, 0]

    def escape_rate(self, first: int, last: int, basin: int = 0, survivors: bool = True) -> EscapeRate:
        """Rate per step at which a basin (the leftmost by default) is left, log-linear over steps first ... last, weighted by counts.

        survivors: counted are those that never diverge in the whole run, as the sources do; else all that have not diverged yet, so that who
        diverges has left as well: then the rate tends to the exact `dynamics.law.Transfer.escape_rate`, whatever diverges.
        """
        barriers = self.run.landscape.barriers
        if not barriers:
            raise ValueError(f"{self.run.landscape!r} has no barrier to escape over; use distance")
        if not isinstance(basin, (int, np.integer)) or not 0 <= basin <= len(barriers):
            raise ValueError(f"basin = {basin!r}; the basins are numbered 0 ... {len(barriers)}, from left to right")
        counts = self.shares.among if survivors else self.shares.counts
        return escape_rate(counts[:, basin], first, last)

    def histogram(self, edges: np.ndarray, axis: int = 0) -> np.ndarray:
        """Counts (frames, bins) of w_axis over time, between equally spaced `edges` (bins + 1,); what is outside, or has diverged, is in none."""
        edges = np.asarray(edges, float)
        gaps = np.diff(edges) if edges.ndim == 1 and np.all(np.isfinite(edges)) else np.zeros(0)
        if not len(gaps) or gaps.min() <= 0 or np.ptp(gaps) > 1e-6 * gaps.mean():
            raise ValueError(f"edges = {_short(edges)}; give two or more that ascend by equal distances, such as np.linspace(-2, 3, 26)")
        dim = self.kept.shape[-1]
        if not isinstance(axis, (int, np.integer)) or not 0 <= axis < dim:  # the kernel checks nothing
            raise ValueError(f"axis = {axis!r}; the variables are numbered 0 ... {dim - 1}")
        counts = np.zeros((len(self.kept), len(edges) - 1), np.int64)
        _histogram(np.ascontiguousarray(np.swapaxes(self.kept, 0, 1)), axis, edges[0], (len(edges) - 1) / (edges[-1] - edges[0]), counts)
        return counts

    def distance(self, minimum) -> np.ndarray:
        """Distance (frames, n) of every trajectory to a declared minimum, point or line; NaN where diverged."""
        return minimum.distance(self.kept)


def _short(value) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


@kernel
def _histogram(kept, axis, low, scale, counts):
    """Add kept (n, frames, dim) to counts (frames, bins): equal bins from `low`, `scale` bins a unit."""
    for i in range(kept.shape[0]):
        for t in range(kept.shape[1]):
            place = (kept[i, t, axis] - low) * scale
            if place >= 0 and place < counts.shape[1]:  # false for NaN
                counts[t, int(place)] += 1
