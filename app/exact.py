"""The arrays of the exact law in one dimension, which stands over the simulated one: p(w, t), shares of survivors and the escape rate."""

import json
import math
import time
from collections.abc import Callable, Generator, Iterator

import numpy as np

from app.landscapelab import Lab, rule_words
from app.numerals import number
from app.picture import BINS, followed, plain, share_steps
from dynamics.law import transfer

CELLS = 1000
LONGEST = 20_000  # steps for which a law is computed while a visitor waits
PAUSE = 0.02  # seconds of work between two turns of others


def key(lab: Lab) -> str:
    """What the exact law depends on: a picture and a law belong together if their keys agree."""
    return str(hash((lab.run.landscape, tuple(lab.rules.values()), lab.run.start, lab.run.data, lab.run.steps)))


def exact(lab: Lab, steps: np.ndarray) -> Iterator[dict | None]:
    """Arrays for the store "law" at the frames' `steps`, one optimiser after the other, each time with all there is; None between pieces of work.

    Nothing in two dimensions. A rule without a law is left out, and the words in `meta` say why; `meta` also says when it is `complete`.
    """
    run, arrays, words = lab.run, {}, {}
    if run.landscape.dim != 1:
        return
    ((low, high),) = run.landscape.box
    for name, rule in lab.rules.items():
        if run.steps > LONGEST:
            words[name] = f"no exact law beyond {LONGEST:,} steps"
            continue
        try:
            matrix = transfer(run.landscape, rule, CELLS, run.data)
        except ValueError as error:
            words[name] = rule_words(str(error))
            continue
        yield
        at = share_steps(run.steps) if run.landscape.barriers else np.empty(0, int)
        times = np.union1d(steps, at)
        masses = yield from _after(matrix.step, matrix.start(run.start), times)
        shown, shared = masses[np.searchsorted(times, steps)], masses[np.searchsorted(times, at)]
        arrays[f"law-{name}"] = matrix.binned(np.linspace(low, high, BINS + 1), shown).astype(np.float32)
        if run.landscape.barriers:
            alive = yield from _after(matrix.expect, np.ones(len(matrix.nodes)), run.steps - at[::-1])
            shared *= alive[::-1]  # of those that do not diverge later
            total = np.maximum(shared.sum(axis=1), np.finfo(float).tiny)
            rows = [shared[:, matrix.basin == basin].sum(axis=1) / total for basin in followed(run.landscape)]
            arrays[f"exact-{name}"] = np.array(rows, np.float32)
            yield
            rate = matrix.escape_rate()
            if len(run.landscape.barriers) == 1:  # else there is one for each basin, and no room for them
                words[name] = "exact ∞" if math.isinf(rate) else f"exact {number(rate, 3)}" if rate > 1e-9 else "exact 0"
        if len(lab.rules) > 1 and name == "a":
            yield arrays | {"meta": json.dumps(plain({"key": key(lab), "words": words, "complete": False}))}
    yield arrays | {"meta": json.dumps(plain({"key": key(lab), "words": words, "complete": True}))}


def _after(step: Callable, vector: np.ndarray, times: np.ndarray) -> Generator[None, None, np.ndarray]:
    """The vector after so many steps, one row for each of the ascending times."""
    out, done, last = np.empty((len(times), len(vector))), 0, time.perf_counter()
    for i, until in enumerate(times):
        while done < until:
            vector, done = step(vector), done + 1
            if time.perf_counter() - last > PAUSE:
                yield
                last = time.perf_counter()
        out[i] = vector
    return out
