"""What the LLC lab's figures show, as arrays: pure functions of the state and of what its chains have drawn so far."""

import csv
import io
import math
import re
from typing import NamedTuple

import numpy as np

from app.known import Exact, differ, exact, finite
from app.llclab import SPACING, LLCLab
from nets.estimate import Estimate
from nets.samplers import Sampler

LINES = 6  # chains that are drawn
POINTS = 300  # of each line
CHAIN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7a7a7a")  # Okabe & Ito
TOO_LOW, RIGHT, TOO_HIGH, DIED, VAGUE = (0, 114, 178), (246, 246, 242), (213, 94, 0), "#5a5a5a", "#c3c6cc"


# Chains


class Numbers(NamedTuple):
    """What is told of an estimate in words; `twin`: what the same chains report without the model's rescaling."""

    mean: float
    stderr: float
    ess: float
    rhat: float
    dead: int
    acceptance: float
    radius: float
    equipartition: float
    by_chain: np.ndarray
    health: tuple
    exact: Exact
    draws: int
    twin: float | None = None


class Picture(NamedTuple):
    """What is shown of a run: columns of sources, ranges of axes, legends, numbers. sampler: where the step is being tuned, the one tried."""

    value: LLCLab
    columns: dict
    spans: dict
    numbers: Numbers
    done: bool
    share: float
    sampler: Sampler | None = None


def picture(value: LLCLab, estimate: Estimate, share: float) -> Picture:
    """Columns and ranges of the figures of chains; pure."""
    found = exact(value.model, value.rule, value.nbeta, value.batch, value.data)
    draws = estimate.losses.shape[1]
    numbers = Numbers(
        estimate.mean,
        estimate.stderr,
        estimate.ess,
        estimate.rhat,
        estimate.dead,
        estimate.acceptance,
        estimate.radius,
        estimate.equipartition,
        estimate.chains,
        tuple(estimate.health),
        found,
        draws,
    )
    lam = value.model.truth.local
    levels = [float(level) for level in (lam, found.ideal, found.actual) if level is not None and math.isfinite(level)]
    columns, spans = _lines(value, found), {"lambda": (0, value.settings.draws), "chains": (0, value.settings.draws)}
    high = 1.6 * max(levels, default=1.0)
    tall = 6 * max(levels, default=1.0)
    if draws >= 4 and estimate.dead < len(estimate.chains):
        alive = np.isfinite(estimate.losses).all(axis=1)
        values = value.nbeta * (estimate.losses[alive] - estimate.baselines[alive])
        colours = [CHAIN_COLOURS[i % len(CHAIN_COLOURS)] for i in np.flatnonzero(alive)[:LINES]]
        picks = _some(draws, POINTS)
        columns["traces"] = {"xs": [picks + 1.0] * len(colours), "ys": [row[picks].astype(np.float32) for row in values[:LINES]], "colour": colours}
        running = estimate.running()
        middle, error = running.mean[picks], np.nan_to_num(running.stderr[picks])
        columns["running"] = {"x": picks + 1.0, "low": middle - 2 * error, "middle": middle, "high": middle + 2 * error}
        each = (np.cumsum(values[:LINES], axis=1) / np.arange(1, draws + 1))[:, picks]
        columns["each"] = {"xs": columns["traces"]["xs"], "ys": [row.astype(np.float32) for row in each], "colour": colours}
        columns["drawn"], spans["law"] = _histogram(values)
        high = max(high, 1.2 * float(np.max(middle[len(middle) // 10 :])), 1.3 * estimate.mean)
        tall = max(1.15 * float(np.quantile(values, 0.999)), 1e-12)
        low = min(0.0, 1.1 * float(np.quantile(values, 0.001)))
        spans["chains-y"] = (low, tall)
        spans["lambda-y"] = (min(0.0, 1.3 * estimate.mean), high)
    else:
        columns |= {"traces": {"xs": [], "ys": [], "colour": []}, "each": {"xs": [], "ys": [], "colour": []}}
        columns |= {"running": {"x": [], "low": [], "middle": [], "high": []}, "drawn": {"x": [], "y": [], "zero": []}}
        spans |= {"chains-y": (0, tall), "lambda-y": (0, high)}
    columns["gamma"] = _gamma(lam, spans.setdefault("law", (1e-3, 10)))
    return Picture(value, columns, spans, numbers, False, share)


def _some(count: int, most: int) -> np.ndarray:
    """At most so many places among 0 ... count - 1, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) if count else np.zeros(0, int)


def _lines(value: LLCLab, found: Exact) -> dict:
    truth, span = value.model.truth, [0, value.settings.draws]
    levels = {"local": truth.local, "overall": truth.overall if truth.overall != truth.local else None}
    levels |= {"regular": truth.regular if truth.regular != truth.local else None, "ideal": found.ideal}
    levels["actual"] = found.actual if differ(found.actual, found.ideal) else None
    made = {name: {"x": span, "y": [float(level)] * 2} if finite(level) else {"x": [], "y": []} for name, level in levels.items()}
    best = found.best if finite(found.best) else truth.local
    made["level"] = {"x": span, "y": [float(best)] * 2} if best is not None else {"x": [], "y": []}
    return made


def _histogram(values: np.ndarray) -> tuple[dict, tuple[float, float]]:
    """Density of log_e of nbeta (L - L*), of the draws where it is above 0, as a step line on a log axis."""
    above = values[values > 0]
    if len(above) < 10:
        return {"x": [], "y": [], "zero": []}, (1e-3, 10)
    low, high = np.quantile(above, [0.003, 0.9995])
    if not high > low * 1.001:
        return {"x": [], "y": [], "zero": []}, (1e-3, 10)
    edges = np.geomspace(low, high, 41)
    density = np.histogram(above, edges)[0] / (values.size * np.diff(np.log(edges)))
    x, y = np.repeat(edges, 2)[1:-1], np.repeat(density, 2)
    return {"x": x, "y": y, "zero": np.zeros(len(y))}, (float(low), float(2 * high))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers on a logarithmic axis: some powers of ten, or 1, 2, 5 times them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**k for k in range(first, last + 1) if low <= 10.0**k <= high]
    if len(powers) < 2:
        return [part * 10.0**k for k in range(first, last + 1) for part in (1, 2, 5) if low <= part * 10.0**k <= high]
    return powers[:: -(-len(powers) // most)]


def _gamma(lam, span: tuple[float, float]) -> dict:
    """x^lambda e^-x / Gamma(lambda): the density of log_e x if x is Gamma(lambda), on a log axis."""
    if lam is None:
        return {"x": [], "y": []}
    x = np.geomspace(*span, 200)
    return {"x": x, "y": np.exp(float(lam) * np.log(x) - x - math.lgamma(float(lam)))}


def table(value: LLCLab, shown: Picture) -> str:
    """The running estimate as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["draw", "lambda_hat", "two_standard_errors"])
    running = shown.columns["running"]
    writer.writerows((int(x), f"{m:.6g}", f"{h - m:.3g}") for x, m, h in zip(running["x"], running["middle"], running["high"], strict=True))
    return text.getvalue()


# The map


class MapCell(NamedTuple):
    """A short run; why: names of warnings."""

    mean: float
    stderr: float
    dead: int
    of: int
    why: tuple[str, ...]


class Map(NamedTuple):
    """The cells that are there, by (eps, nbeta)."""

    value: LLCLab
    cells: dict
    done: bool


def judged(cell: MapCell, reference: float | None) -> tuple[bool, float]:
    """(is there no number, by which share of the reference it is too high beyond two standard errors)."""
    gone = cell.dead == cell.of or not math.isfinite(cell.mean) or "never moved" in cell.why
    return gone, 0.0 if reference is None or gone else beyond(cell.mean - reference, 2 * cell.stderr) / reference


def vague(cell: MapCell, reference: float | None) -> bool:
    """Is two standard errors more than half of the reference? Then next to anything is within them."""
    return reference is not None and not 2 * cell.stderr <= reference / 2


def beyond(away: float, error: float) -> float:
    """What is left of a difference once its error is taken off."""
    return math.copysign(max(abs(away) - error, 0.0), away) if error == error else away


def colour(share: float) -> str:
    """From blue (half too low, or less) by pale to orange (half too high, or more)."""
    part = min(max(share / 0.5, -1), 1)
    end = TOO_HIGH if part > 0 else TOO_LOW
    return "#" + "".join(f"{round(a + abs(part) * (b - a)):02x}" for a, b in zip(RIGHT, end, strict=True))


def brief(mean: float) -> str:
    """.25, 2.5, 25: what fits into a narrow cell."""
    if abs(mean) >= 1000:
        return "≫"
    return re.sub(r"^(-?)0\.", r"\1.", f"{mean:.{2 if abs(mean) < 0.995 else 1 if abs(mean) < 9.95 else 0}f}")


def map_columns(shown: Map, reference: float | None) -> dict:
    """The cells as rectangles with their numbers; reference: what counts as right."""
    half = 10 ** (SPACING / 2)
    places = list(shown.cells)
    fill, words, ink = [], [], []
    for cell in shown.cells.values():
        gone, share = judged(cell, reference)
        lucky = cell.dead and not gone  # the mean of those that are left: the others were not there by chance
        fill.append(DIED if gone else VAGUE if lucky or (not share and vague(cell, reference)) else colour(share))
        words.append(f"{cell.dead}†" if lucky else "†" if cell.dead else "–" if gone else brief(cell.mean) + ("!" if cell.why else ""))
        ink.append("#ffffff" if gone or (share < -0.36 and not lucky) else "#1a1a1a")
    x, y = ([place[axis] for place in places] for axis in (0, 1))
    sides = {"left": [a / half for a in x], "right": [a * half for a in x], "bottom": [b / half for b in y], "top": [b * half for b in y]}
    return {"x": x, "y": y, **sides, "fill": fill, "words": words, "ink": ink}
