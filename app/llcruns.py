"""The LLC lab's work: chains, the same at alpha = 1, a tuned step, and the map of short runs, piece by piece in threads.

Runs and cells of maps are kept in memory, the last of this process, by their state: whoever opens the same link sees the same numbers at once.
"""

import collections
import functools
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal, NamedTuple

import torch

from app.known import Data, Known, ReLU
from app.live import Abandoned
from app.llclab import COLUMNS, ROWS, LLCLab, anchored, columns_of, rows_of
from app.llcpicture import Map, MapCell, Picture, picture
from nets.targets import Target

KEPT = 64  # runs that are remembered, of some 0.1 MB each, and maps
PATIENCE = 0.4  # seconds that a run has to show something before a newer value may end it
TURN = 0.0  # a rest of no length: others' turn


# Shared by all visitors


@functools.lru_cache(maxsize=16)
def target_of(model: Known, data: Data) -> Target:
    """Shared: nothing in it changes."""
    return model.target(data)


class Leavable(Target):
    """The same target; its next gradient ends the run that nobody waits for any more."""

    def __init__(self, target: Target, left: Callable[[], bool]):
        self.target, self.left = target, left
        self.n, self.star = target.n, target.star

    def losses(self, w, index=None):
        return self.target.losses(w, index)

    def gradients(self, w, index=None):
        if self.left():
            raise Abandoned
        return self.target.gradients(w, index)


class Kept:
    """The last so many values by key, for all visitors."""

    def __init__(self, size: int):
        self.size, self.known, self.lock = size, collections.OrderedDict(), threading.Lock()

    def get(self, key):
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
            return self.known.get(key)

    def put(self, key, value) -> None:
        with self.lock:
            self.known[key] = value
            self.known.move_to_end(key)
            while len(self.known) > self.size:
                self.known.popitem(last=False)


runs, cells = Kept(KEPT), Kept(KEPT * COLUMNS * ROWS)


# The work


class Task(NamedTuple):
    """What is asked of the threads: to run, to tune first, or nothing; `mapped`: and then the map. fresh: from the first draw, known or not."""

    value: LLCLab
    what: Literal["run", "tune", "stop"] = "run"
    mapped: bool = True
    fresh: bool = False


class Tuned(NamedTuple):
    """The step that was found."""

    value: LLCLab
    eps: float


def work(task: Task, stale: Callable[[], bool]) -> Iterator:
    """Pictures of the chains as they go, then cells of the map: what `Latest` iterates over."""
    if task.what == "stop":
        return
    torch.set_num_threads(1)  # small products: two threads are slower than one, and ten visitors share the cores
    value = task.value
    if task.what == "tune":
        yield from _tune(value, stale)
        return
    known = None if task.fresh else runs.get(value)
    if known is None:
        for shown in _run(value, stale):
            known = shown
            yield shown
        known = known._replace(done=True, share=1.0)
        twin = yield from _twin(value, stale)
        runs.put(value, known := known._replace(numbers=known.numbers._replace(twin=twin)))
    yield known
    if task.mapped:
        yield from _map(value, stale)


def _leavable(value: LLCLab, stale) -> tuple[Target, list[bool]]:
    """The target, which may be left once something was shown, or after a moment."""
    shown, begun = [False], time.monotonic()
    target = Leavable(target_of(value.model, value.data), lambda: stale() and (shown[0] or time.monotonic() - begun > PATIENCE))
    return target, shown


def _run(value: LLCLab, stale) -> Iterator[Picture]:
    target, shown = _leavable(value, stale)
    total = value.settings.draws + value.settings.burn_in
    for estimate in value.estimation(target).stream():
        made = picture(value, estimate, min(estimate.step / total, 1))
        yield made
        shown[0] = made.numbers.draws > 0


def _twin(value: LLCLab, stale):
    """lambda-hat of the same chains at alpha = 1; None where there is no alpha."""
    model = value.model
    if not isinstance(model, ReLU) or model.alpha == 1:
        return None
    twin = replace(value, model=replace(model, alpha=1.0))
    known = runs.get(twin)
    if known is None:
        for shown in _run(twin, stale):
            known = shown
            yield TURN
        known = known._replace(done=True, share=1.0)
        runs.put(twin, known)
    return known.numbers.mean


def _tune(value: LLCLab, stale) -> Iterator:
    """The automatic step."""
    target, shown = _leavable(value, stale)
    estimate = None
    for estimate in value.estimation(target, eps="auto").stream():
        yield picture(value, estimate, estimate.losses.shape[1] / value.settings.draws)._replace(sampler=estimate.sampler)
        shown[0] = True
    eps = estimate.sampler.eps
    if not estimate.dead:  # these are the chains of that very step
        done = anchored(replace(value, sampler=replace(value.sampler, eps=eps)))
        runs.put(done, picture(done, estimate, 1.0)._replace(done=True))
    yield Tuned(value, eps)


# The map


def _cell_key(value: LLCLab, eps: float, nbeta: float) -> LLCLab:
    """A short run of that step and temperature; the same whatever map it belongs to."""
    small, given = target_of(value.model, value.data).dim <= 40, value.settings
    draws = min(given.draws, 1000 if small else 300)
    short = replace(given, chains=min(given.chains, 8), draws=draws, burn_in=min(given.burn_in, draws // 2), map_eps=1.0, map_nbeta=1.0)
    return replace(value, settings=short).at(eps, nbeta)


def same_cells(one: LLCLab, other: LLCLab) -> bool:
    """Are the cells of both maps runs of one model with one sampler, where they meet?"""
    return _cell_key(one, 1.0, 1.0) == _cell_key(other, 1.0, 1.0)


def _map(value: LLCLab, stale) -> Iterator:
    """Cells, those near the controls first."""
    places = [(eps, nbeta) for eps in columns_of(value) for nbeta in rows_of(value)]
    places.sort(key=lambda place: math.log(place[0] / value.sampler.eps) ** 2 + math.log(place[1] / value.nbeta) ** 2)
    found, last = {}, time.monotonic()
    for place in places:
        key = _cell_key(value, *place)
        cell = cells.get(key)
        if cell is None:
            target = Leavable(target_of(value.model, value.data), stale)
            estimate = None
            for each in key.estimation(target).stream():
                estimate = each
                yield TURN
            names = tuple(finding.name for finding in estimate.health if finding.severity != "note")
            cell = MapCell(estimate.mean, estimate.stderr, estimate.dead, len(estimate.chains), names)
            cells.put(key, cell)
        found[place] = cell
        if time.monotonic() - last > 0.3:
            yield Map(value, dict(found), False)
            last = time.monotonic()
    yield Map(value, found, True)
