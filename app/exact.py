"""The arrays of the exact law in one dimension, which stands over the simulated one: p(w, t), shares of survivors and the escape rate."""

import json
import math

import numpy as np

from app.lab import Lab
from app.picture import BINS, plain, share_steps
from dynamics.law import transfer

CELLS = 1000
LONGEST = 20_000  # steps for which a law is computed while a visitor waits


def key(lab: Lab) -> str:
    """What the exact law depends on: a picture and a law belong together if their keys agree."""
    return str(hash((lab.run.landscape, tuple(lab.rules.values()), lab.run.start, lab.run.data, lab.run.steps)))


def exact(lab: Lab, steps: np.ndarray) -> dict | None:
    """Arrays for the store "law" at the frames' `steps`; None in two dimensions. A rule without a law is left out, and the words say why."""
    run, arrays, words = lab.run, {}, {}
    if run.landscape.dim != 1:
        return None
    ((low, high),) = run.landscape.box
    for name, rule in lab.rules.items():
        if run.steps > LONGEST:
            words[name] = f"no exact law beyond {LONGEST:,} steps"
            continue
        try:
            matrix = transfer(run.landscape, rule, CELLS, run.data)
        except ValueError as error:
            words[name] = str(error)
            continue
        arrays[f"law-{name}"] = matrix.histogram(np.linspace(low, high, BINS + 1), steps, run.start).astype(np.float32)
        if run.landscape.barriers:
            arrays[f"exact-{name}"] = matrix.share(share_steps(run.steps), run.start, survive=run.steps)[:, 0].astype(np.float32)
            rate = matrix.escape_rate()
            words[name] = "exact ∞" if math.isinf(rate) else f"exact {rate:.3g}" if rate > 1e-9 else "exact 0"
    return arrays | {"meta": json.dumps(plain({"key": key(lab), "words": words}))}
