"""v(L): a quantity as a function of the training loss, so that optimisers are compared at the same loss and not only after as many epochs.

An optimiser that has converged less far has, for that reason alone, another tr H and another lambda-hat: at equal epochs the two effects cannot
be told apart.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Matched(NamedTuple):
    """At this training loss: values[i] of run i, reached after steps[i] steps (interpolated).

    bends[i]: how far values[i] may be off, as nothing was measured between two frames: a parabola in log loss through both that is monotone
    between them leaves their chord by at most s (1 - s) |v' - v|, s the share of the way.
    """

    loss: float
    values: tuple[float, ...]
    steps: tuple[float, ...]
    bends: tuple[float, ...]


def at_loss(losses, values, loss: float) -> float:
    """The value where the losses (frames,) first come down to `loss`: linear in log loss between the two frames around it.

    Exact where values are a linear function of log loss. Of noisy losses the first crossing comes a little early: score more samples.
    Raises ValueError if the losses never come down to it, or begin below it.
    """
    return _at_loss(losses, values, loss)[0]


def _at_loss(losses, values, loss: float) -> tuple[float, float]:
    """(value, bend), see `Matched`."""
    losses, values = np.asarray(losses, float), np.asarray(values, float)
    if losses.ndim != 1 or losses.shape != values.shape or not len(losses):
        raise ValueError(f"{losses.shape} losses and {values.shape} values; give two sequences of the same length, at least 1")
    if not np.all(losses >= 0):  # false for NaN
        raise ValueError("a loss is negative or NaN; give finite losses of at least 0")
    if not (math.isfinite(loss) and loss > 0):
        raise ValueError(f"loss = {loss!r}; give a number above 0")
    below = np.flatnonzero(losses <= loss)
    if not len(below):
        raise ValueError(f"loss = {loss:g} is never reached: the lowest is {losses.min():g}; choose at least that, or train longer")
    after = below[0]
    if losses[after] == loss:
        return float(values[after]), 0.0
    if after == 0:
        raise ValueError(f"loss = {loss:g} is above the first loss, {losses[0]:g}; choose a loss that was passed on the way")
    high, low = np.log(losses[after - 1]), np.log(max(losses[after], 1e-300))
    share = (high - math.log(loss)) / (high - low)
    gap = float(values[after] - values[after - 1])
    return float(values[after - 1] + share * gap), float(share * (1 - share) * abs(gap))


def matched(runs: Sequence[Iterable], read: Callable[..., float | None], loss: float | None = None) -> Matched:
    """`read(progress)` of each run at the same training loss; by default the lowest that all of them reach.

    runs: the frames of each (`nets.training.Progress`), in order; frames without scores, or where `read` gives None, are left out.
    Raises ValueError naming the run that never has that loss.
    """
    curves = []
    for i, frames in enumerate(runs):
        found = [(frame.train.loss, value, frame.step) for frame in frames if frame.train is not None and (value := read(frame)) is not None]
        if not found:
            raise ValueError(
                f"run {i} has no frame with both a training loss and a value; measure the value where losses are (at the ends of epochs)"
            )
        curves.append(np.array(found, float).T)
    if not curves:
        raise ValueError("no runs; give the frames of at least one")
    if loss is None:
        loss = max(float(losses.min()) for losses, _, _ in curves)
    values, steps, bends = [], [], []
    for i, (losses, of_loss, at) in enumerate(curves):
        try:
            value, bend = _at_loss(losses, of_loss, loss)
            values.append(value)
            bends.append(bend)
            steps.append(at_loss(losses, at, loss))
        except ValueError as error:
            raise ValueError(f"run {i}: {error}") from None
    return Matched(loss, tuple(values), tuple(steps), tuple(bends))
