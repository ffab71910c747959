"""The arrays of the lambda-hat figure, as the chains go on: running mean with its error, the exact value at this n beta, and the exact lambda."""

import json
import threading
from collections.abc import Iterator

import numpy as np

from app.landscapelab import Lab
from app.numerals import measured, number
from app.picture import ground, plain
from dynamics import Finite

FRAMES = 24
KEPT = 64  # finished estimates

_kept: dict[tuple, dict] = {}
_keeping = threading.Lock()


def estimates(lab: Lab) -> Iterator[dict]:
    """One dict of arrays a frame, the theory lines first; where there is no lambda, one that says why.

    Chains do not depend on the optimisers: while those are varied, the finished estimate stays, in one frame.
    """
    key = (lab.run.landscape, lab.run.data, lab.run.seed, lab.estimate)
    with _keeping:
        last = _kept.get(key)
    if last:
        yield last
        return
    for last in _frames(lab):
        yield last
    with _keeping:
        _kept[key] = last
        while len(_kept) > KEPT:
            del _kept[next(iter(_kept))]


def _frames(lab: Lab) -> Iterator[dict]:
    point, given, span = lab.point, lab.estimate, [0, lab.estimate.draws]
    own = {"ground": ground(lab)}
    if point.lam is None:
        yield _arrays(own | {"reason": f"λ is undefined at the {point.name}: {point.why}.", "span": span, "top": 1.0})
        return
    if lab.run.data.slope:
        yield _arrays(own | {"reason": "With a ≠ 0 the declared minima are no minima: set the slope to 0 to estimate λ.", "span": span, "top": 1.0})
        return
    chains = lab.chains()
    meta = own | {
        "exact": float(point.lam),
        "exactWords": f"λ = {point.lam}" + (f", m = {point.multiplicity}" if point.multiplicity > 1 else ""),
        "span": span,
    }
    if not isinstance(lab.run.data, Finite):
        exact = chains.exact(fine=False)
        meta |= {"nbeta": exact, "nbetaWords": f"exact at this nβ: {number(exact, 3)}"}
    meta["top"] = 1.8 * max(meta["exact"], meta.get("nbeta", 0.0))
    yield _arrays(meta)
    seen = []
    for frame in chains.stream(max(1, (chains.burn_in + given.draws) // FRAMES)):
        if frame.dead == chains.chains:
            yield _arrays(meta | {"reason": f"All {frame.dead} chains died: the step ε = {number(chains.rule.eps, 2)} is too large."})
            return
        if frame.llc is None:
            continue
        seen.append((frame.losses.shape[1], frame.llc.mean, frame.llc.stderr))
        words = f"λ̂ = {measured(frame.llc.mean, frame.llc.stderr)}"
        details = (
            f"at {point.name}, ε = {number(chains.rule.eps, 2)}, accepted {100 * frame.acceptance:.0f} %"
            if given.sampler == "MALA"
            else f"at {point.name}, ε = {number(chains.rule.eps, 2)}"
        )
        yield _arrays(meta | {"words": words, "reason": "; ".join(text for text in (details, frame.llc.warning) if text)}, *np.array(seen).T)


def _arrays(meta: dict, x=(), middle=(), error=()) -> dict:
    x, middle, error = (np.asarray(column, np.float64) for column in (x, middle, error))
    return {"x": x, "middle": middle, "low": middle - 2 * error, "high": middle + 2 * error, "meta": json.dumps(plain(meta))}
