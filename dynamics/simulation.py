"""Many trajectories of one rule on one landscape: a frozen value whose `stream()` yields frames and whose `run()` keeps what figures need."""

import functools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from dynamics.batches import Finite, Online, check_known
from dynamics.observe import Result, Shares
from dynamics.random import open_streams
from dynamics.rule import Rule
from dynamics.sgd import SGD
from dynamics.start import Start, Uniform
from landscapes.catalogue import DoubleWell
from landscapes.jit import kernel
from landscapes.polynomial import Landscape
from landscapes.scale import Range, check

MEMORY = 1 << 30  # bytes of weights that a run may keep
SLICE = 256  # trajectories a task: their paths over BLOCK steps stay in the cache of a core
BLOCK = 64
STATE = 5  # numbers that a trajectory carries besides w: its stream, and what its rule remembers
CHUNK = 1 << 20  # trajectory-steps between two chances to stop: about 10 ms on two cores


@functools.cache
def pool() -> ThreadPoolExecutor:
    """The one pool of this process; kernels release the GIL. `LAMBDASCAPE_THREADS` sets its size, else every core."""
    text = os.environ.get("LAMBDASCAPE_THREADS", "").strip() or "0"
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise ValueError(f"LAMBDASCAPE_THREADS = {text[:40]!r}; give a number of threads, 1, 2, ..., 9999, or 0 for one a core")
    return ThreadPoolExecutor(int(text) or os.cpu_count() or 1, thread_name_prefix="kernel")


class Frame(NamedTuple):
    """The ensemble after `step` steps.

    w (n, dim): NaN where diverged. counts (steps since the last frame, basins): trajectories in each basin, one row a
    step (the first frame: its own row). diverged: how many of n have diverged by each of those steps.
    """

    step: int
    w: np.ndarray
    counts: np.ndarray
    diverged: np.ndarray


@dataclass(frozen=True)
class Simulation:
    """`n` trajectories of `rule` on `landscape`, `steps` steps each, from `start` (default: uniform on the landscape's box).

    The same seed gives the same numbers for any number of threads and any chunking, and the first 1,000 of 10,000 trajectories are those
    of a run of 1,000. Common random numbers: the batches of a seed do not depend on w, so rules and rates are compared on the same data.
    """

    landscape: Landscape = DoubleWell()
    rule: Rule = SGD()
    n: Annotated[int, Range(1, 10_000_000, log=True, unit="trajectories", help="how many trajectories", shown=(100, 10_000))] = 1000
    steps: Annotated[int, Range(1, 100_000_000, log=True, unit="steps", help="how many steps each", shown=(10, 5000))] = 500
    seed: Annotated[int, Range(0, 2**31 - 1, help="same seed, same noise: change it for new noise", shown=(0, 99))] = 0
    start: Start | None = None
    data: Online | Finite = Online()

    def __post_init__(self):
        check(self)
        for name, kind in (("landscape", Landscape), ("rule", Rule), ("data", Online | Finite)):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} = {getattr(self, name)!r} is no {name}; give a value such as {_EXAMPLE[name]}")
        check_known(self.landscape, self.data, self.rule)
        if self.start is None:
            low, high = zip(*self.landscape.box, strict=True)
            object.__setattr__(self, "start", Uniform(low, high))
        if not isinstance(self.start, Start) or self.start.dim != self.landscape.dim:
            raise ValueError(
                f"start = {self.start!r}; {self.landscape!r} has {self.landscape.dim} variable(s): give Uniform(low, high) or At(point) of that many"
            )

    def stream(self, every: int = 10) -> Iterator[Frame]:
        """Frames every so many steps and after the last, the first at once. To cancel, stop iterating.

        Raises ValueError beforehand if a frame needs more than 1 GiB, counts of all its steps included.
        """
        every = self._checked(every)
        basins = len(self.landscape.barriers) + 1
        size = 8 * (self.n * (2 * self.landscape.dim + STATE) + every * (basins + 1))
        if size > MEMORY:
            raise ValueError(
                f"n = {self.n:,} trajectories, counts at {every:,} steps a frame: needs {size / 1e9:.1f} GB of at most {MEMORY / 1e9:.1f}; "
                "take frames more often, or fewer trajectories"
            )
        ensemble = _Ensemble(self, np.arange(self.n))
        yield Frame(0, ensemble.w.copy(), *(tally[None] for tally in ensemble.now()))
        done = 0
        while done < self.steps:
            frames = max(1, CHUNK // (self.n * every))
            stop = min(self.steps, done + every * frames)
            kept = np.empty((self.n, -(-(stop - done) // every), self.landscape.dim))
            counts, diverged = np.empty((stop - done, basins), np.int64), np.empty(stop - done, np.int64)
            ensemble.walk(counts, diverged, every, kept)
            for j in range(kept.shape[1]):
                rows = slice(j * every, min((j + 1) * every, stop - done))
                yield Frame(done + rows.stop, kept[:, j], counts[rows], diverged[rows])
            done = stop

    def run(self, every: int | None = None, watch: Callable[[int], object] | None = None) -> Result:
        """The whole run; all weights are kept at every `every`-th step (default: 200 times; 1 keeps all).

        `watch(step)` is called several times a second; an exception from it, or Ctrl-C, ends the run there.
        Raises ValueError beforehand if that needs more than 1 GiB.
        """
        every = max(1, -(-self.steps // 200)) if every is None else self._checked(every)
        frames, basins = 1 + -(-self.steps // every), len(self.landscape.barriers) + 1
        # counts twice: of all, and of the diverged, who are run once more and taken out of the first
        size = 8 * (self.n * ((frames + 1) * self.landscape.dim + STATE) + 2 * (self.steps + 1) * (basins + 1))
        if size > MEMORY:
            raise ValueError(
                f"n = {self.n:,} trajectories, {frames:,} kept frames, counts at {self.steps:,} steps: needs {size / 1e9:.1f} GB "
                f"of at most {MEMORY / 1e9:.1f}; keep fewer steps or trajectories"
            )
        kept = np.empty((self.n, frames, self.landscape.dim))
        ensemble = _Ensemble(self, np.arange(self.n))
        kept[:, 0] = ensemble.w
        counts, diverged = ensemble.counted(self.steps, every, kept[:, 1:], watch)
        lost = np.flatnonzero(np.isnan(ensemble.w[:, 0]))
        if len(lost):  # the diverged run once more, alone, so that they can be taken out of the counts of those who survive
            among, _ = _Ensemble(self, lost).counted(self.steps, self.steps, None, watch)
            np.subtract(counts, among, out=among)
        else:
            among = counts.copy()
        steps = np.minimum(np.arange(frames) * every, self.steps)
        return Result(self, ensemble.w, np.swapaxes(kept, 0, 1), steps, Shares(counts, among, diverged, self.n))

    def _checked(self, every) -> int:
        if isinstance(every, bool) or not isinstance(every, (int, np.integer)) or every < 1:
            raise ValueError(f"every = {every!r}; a frame every 1, 2, ... steps")
        return min(int(every), self.steps)  # kernels count in 64 bits


_EXAMPLE = {"landscape": "DoubleWell(w0=1.8, d1=1, d2=2)", "rule": "SGD(lr=0.01)", "data": "Online() or Finite(size=1000)"}


class _Ensemble:
    """The moving state of some of a simulation's trajectories (those with these indices)."""

    def __init__(self, run: Simulation, indices: np.ndarray):
        self.run = run
        self.table = run.landscape.table()
        self.source = run.data.source(len(run.landscape.products()))
        self.barriers = np.array(run.landscape.barriers, float)
        self.streams = open_streams(run.seed, indices)
        self.w = run.start.draw(self.streams)
        self.memory = run.rule.memory(self.w)
        self.step = 0

    def now(self) -> tuple[np.ndarray, np.ndarray]:
        """(counts (basins,), diverged) of the present w."""
        counts, diverged = np.zeros((1, len(self.barriers) + 1), np.int64), np.zeros(1, np.int64)
        _tally(self.w[:, None], self.barriers, counts, diverged)
        return counts[0], diverged[0]

    def counted(self, steps: int, every: int, kept: np.ndarray | None, watch) -> tuple[np.ndarray, np.ndarray]:
        """`walk`, and (counts (steps + 1, basins), diverged (steps + 1,)) from the present w on."""
        counts, diverged = np.empty((steps + 1, len(self.barriers) + 1), np.int64), np.empty(steps + 1, np.int64)
        counts[0], diverged[0] = self.now()
        self.walk(counts[1:], diverged[1:], every, kept, watch)
        return counts, diverged

    def walk(self, counts: np.ndarray, diverged: np.ndarray, every: int, kept: np.ndarray | None, watch=None) -> None:
        """Move on in pieces of about CHUNK; fill counts (steps, basins), diverged (steps,) and kept (n, ceil(steps/every), dim)."""
        done, steps = 0, len(counts)
        piece = max(16, CHUNK // len(self.w))  # fewer steps at once would cost more in calls than in steps
        while done < steps:
            if kept is None or piece >= every:
                length = min(steps - done, piece if kept is None else piece // every * every)
                frames = None if kept is None else kept[:, done // every :]
            else:
                length, frames = min(steps - done, piece, every - done % every), None
            span = slice(done, done + length)
            counts[span], diverged[span] = self.advance(length, every, frames)
            done += length
            if kept is not None and frames is None and (done % every == 0 or done == steps):
                kept[:, -(-done // every) - 1] = self.w
            if watch:
                watch(done)

    def advance(self, steps: int, every: int, kept: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Move on; fill kept (n, ceil(steps/every), dim); return counts (steps, basins) and diverged (steps,)."""
        size = SLICE * max(1, BLOCK // steps)  # few steps, more trajectories: as much work a task
        slices = [slice(at, at + size) for at in range(0, len(self.w), size)]
        tallies = list(pool().map(lambda part: self._advance_slice(part, steps, every, kept), slices))
        self.step += steps
        return sum(counts for counts, _ in tallies), sum(diverged for _, diverged in tallies)

    def _advance_slice(self, part: slice, steps: int, every: int, kept: np.ndarray | None):
        w, memory, streams = self.w[part], self.memory[part], self.streams[part]
        counts, diverged = np.zeros((steps, len(self.barriers) + 1), np.int64), np.zeros(steps, np.int64)
        room = np.empty(len(w) * (min(BLOCK, steps) + 1) * w.shape[1])
        for at in range(0, steps, BLOCK):
            length = min(BLOCK, steps - at) + 1
            path = room[: len(w) * length * w.shape[1]].reshape(len(w), length, -1)  # contiguous: a view would compile every rule twice
            path[:, 0] = w
            self.run.rule.advance(path, memory, self.table, self.source, streams, self.step + at)
            w[:] = path[:, -1]
            span = slice(at, at + path.shape[1] - 1)
            _tally(path[:, 1:], self.barriers, counts[span], diverged[span])
            if kept is not None:
                frames = path[:, every - at % every :: every]  # a slice: with an array of indices 2D cost a third more
                kept[part, at // every : at // every + frames.shape[1]] = frames
        if kept is not None and steps % every:
            kept[part, steps // every] = w
        return counts, diverged


@kernel
def _tally(path, barriers, counts, diverged):
    """Add to counts (steps, basins) who is in which interval between barriers on the first axis, and to diverged (steps,) who is NaN."""
    for i in range(path.shape[0]):
        for t in range(path.shape[1]):
            w = path[i, t, 0]
            if w != w:
                diverged[t] += 1
            elif barriers.size == 1:
                left = w < barriers[0]
                counts[t, 0] += left
                counts[t, 1] += not left
            else:
                basin = 0
                while basin < barriers.size and w >= barriers[basin]:
                    basin += 1
                counts[t, basin] += 1
