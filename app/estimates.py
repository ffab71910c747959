"""The arrays of the lambda-hat figure, as the chains go on: running mean with its error, the exact value at this n beta, and the exact lambda."""

import json
import math
from collections.abc import Iterator

import numpy as np

from app.lab import Lab
from app.picture import _plain
from dynamics import lambda_hat_exact

POINTS = 200  # of the running estimate that are drawn


def estimates(lab: Lab) -> Iterator[dict]:
    """One dict of arrays a frame; where lambda is undefined, one that says why."""
    point, given = lab.point, lab.estimate
    if point.lam is None:
        yield _arrays({"reason": f"λ is undefined at the {point.name}: {point.why}.", "span": [1, given.draws], "top": 1.0})
        return
    if lab.run.data.slope:
        yield _arrays(
            {"reason": "With a ≠ 0 the declared minima are no minima: set the slope to 0 to estimate λ.", "span": [1, given.draws], "top": 1.0}
        )
        return
    lam = float(point.lam)
    exact = lambda_hat_exact(lab.run.landscape, given.nbeta * lab.run.data.vx, at=point.at, gamma=given.gamma)
    more = f", m = {point.multiplicity}" if point.multiplicity > 1 else ""
    meta = {
        "exact": lam,
        "exactWords": f"exact λ({point.name}) = {point.lam}{more}",
        "nbeta": exact,
        "nbetaWords": f"exact at nβ = {given.nbeta:g}: {exact:.4g}",
        "span": [max(1.0, given.draws / POINTS), given.draws],
        "top": 1.8 * max(lam, exact),
    }
    yield _arrays(meta)
    for frame in lab.chains.stream(max(1, given.draws // 10)):
        yield _arrays(meta | {"words": _words(frame)}, *_curve(frame))


def _words(frame) -> str:
    return f"λ̂ = {frame.llc.mean:.3g} ± {frame.llc.stderr:.1g}"


def _curve(frame) -> tuple[np.ndarray, ...]:
    raise NotImplementedError


def _arrays(meta: dict, x=(), middle=(), error=()) -> dict:
    x, middle, error = (np.asarray(column, np.float64) for column in (x, middle, error))
    return {"x": x, "middle": middle, "low": middle - 2 * error, "high": middle + 2 * error, "meta": json.dumps(_plain(meta))}


__all__ = ["estimates", "math"]
