"""What the lab's figures show, as arrays: a pure function of the state, for the page, a test or a notebook.

Small numbers only: counts as uint16, positions of some trajectories as float32; a picture of 200 frames takes some 200 kB.
"""

import functools
import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from contourpy import contour_generator

from app.landscapelab import RULE_NAMES, Lab
from app.numerals import counted, measured
from dynamics import Finite, Posterior, Result
from dynamics.presets import drifted
from landscapes import Valley

BINS = 120
SHOWN = {1: 100, 2: 40}  # trajectories drawn one by one, by dimension
NOTHING = 1e-12  # a distance that no picture shows
BAND = 1000  # trajectories that the quantile bands are taken from
GRID = 400
TERRAIN = 150


def results(lab: Lab, n: int, watch: Callable[[int], None] | None = None) -> dict[str, Result]:
    """The runs of A and B with at most n trajectories each, on the same noise; `watch` is called now and then with the step, and may raise."""
    return {name: replace(lab.run, rule=rule, n=min(n, lab.run.n)).run(watch=watch) for name, rule in lab.rules.items()}


def picture(lab: Lab, outcomes: dict[str, Result]) -> dict[str, np.ndarray | str]:
    """All arrays of the store: `meta` is JSON text, everything else an array (see `lab.js` for their use)."""
    landscape, dim = lab.run.landscape, lab.run.landscape.dim
    first = next(iter(outcomes.values()))
    axis = 0 if dim == 1 or lab.bayes.axis == "w1" else 1
    low, high = landscape.box[axis]
    edges = np.linspace(low, high, BINS + 1)
    arrays = {"colour": np.zeros((1, 1), np.uint32)}  # its class is what the browser's images are made of
    for name, out in outcomes.items():
        counts = out.histogram(edges, axis)
        arrays[f"counts-{name}"] = (counts if out.run.n < 65536 else counts * (65535 / out.run.n)).astype(np.uint16)
        shown = out.kept[:, : SHOWN[dim]]
        arrays[f"paths-{name}"] = np.ascontiguousarray(shown[..., 0] if dim == 1 else shown, np.float32)
    data = lab.run.data
    samples = min(lab.bayes.samples, data.size) if isinstance(data, Finite) else lab.bayes.samples
    posterior = Posterior(landscape, samples, lab.bayes.beta, data)
    arrays["posterior"] = (_probabilities(posterior, axis) * BINS / (high - low)).astype(np.float32)
    meta = {
        "dim": dim,
        "n": first.run.n,
        "box": [list(map(float, pair)) for pair in landscape.box],
        "steps": first.steps.tolist(),
        "bins": [low, high, BINS],
        "rules": {name: f"{name.upper()}: {rule_name(rule)}" if lab.rival else rule_name(rule) for name, rule in lab.rules.items()},
        "diverged": {name: out.shares.diverged[out.steps].tolist() for name, out in outcomes.items()},
        "minima": [
            {"name": m.name, "at": m.at, "label": _lambda_label(m), "height": 0.0 if data.slope else float(landscape.K(m.at))}
            for m in landscape.minima
        ],
        "barriers": list(landscape.barriers),
        "products": [{"scale": p.scale, "factors": [{"power": f.power, "terms": f.terms} for f in p.factors]} for p in landscape.products()],
        "of": landscape.of,
        "ground": ground(lab),
        "data": {"slope": data.slope, "vx": data.vx, "vy": data.vy},
        "ending": ("w", "w₁", "w₂")[0 if dim == 1 else 1 + axis],
        "bayes": f"posterior, n = {samples:,}" + ("" if lab.bayes.beta == 1 else f", β = {lab.bayes.beta:g}") + _shares(posterior),
    }
    more = _one(lab, outcomes, posterior) if dim == 1 else _two(lab, outcomes)
    meta |= more.pop("meta")
    meta["says"] = says(lab, outcomes, posterior)
    return arrays | more | {"meta": json.dumps(plain(meta))}


def ground(lab: Lab) -> str:
    """Names the family of landscapes, or the polynomial: what has another belongs to another picture. (While a slider moves nothing flickers.)"""
    return f"{type(lab.run.landscape).__name__} {getattr(lab.run.landscape, 'text', '')}"


@functools.lru_cache(maxsize=64)
def _masses(posterior: Posterior) -> tuple[float, ...]:
    """Of each basin, from left to right; three things of a picture tell them."""
    return tuple(posterior.masses().tolist())


def _shares(posterior: Posterior) -> str:
    """What each basin has of the posterior, from left to right; empty where there is one only."""
    if not posterior.landscape.barriers:
        return ""
    return ": " + " | ".join(f"{100 * mass:.3g}\u00a0%" for mass in _masses(posterior))


@functools.lru_cache(maxsize=64)  # it does not change while a rule's slider moves
def _probabilities(posterior: Posterior, axis: int) -> np.ndarray:
    """Of each bin of the histogram; a posterior's peak may be far narrower than a bin."""
    return posterior.bins(np.linspace(*posterior.landscape.box[axis], BINS + 1), axis)


def rule_name(rule) -> str:
    """A rule as the page calls it."""
    name = type(rule).__name__
    return name if name in ("NGD", "Langevin") else RULE_NAMES.get(name, name)


def plain(value):
    """JSON has no NaN and no infinity."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _lambda_label(minimum) -> str:
    if minimum.lam is None:
        return "λ not decided"
    return f"λ = {minimum.lam}" + (f", m = {minimum.multiplicity}" if minimum.multiplicity > 1 else "")


def _potential(lab: Lab, w: np.ndarray) -> np.ndarray:
    """vx |Q - a|^2 / 2: what the trajectories descend in expectation."""
    return 0.5 * lab.run.data.vx * np.sum((lab.run.landscape.Q(w) - lab.run.data.slope) ** 2, axis=-1)


def _one(lab: Lab, outcomes, posterior) -> dict:
    landscape, last = lab.run.landscape, lab.run.steps
    ((low, high),) = landscape.box
    x = np.linspace(low, high, GRID)
    K = _potential(lab, x[:, None])
    walls = [_potential(lab, np.array([[b]]))[0] for b in landscape.barriers]
    top = 1.7 * max(walls) if walls else 0.6 * min(K[0], K[-1])
    lr = lab.run.rule.lr if hasattr(lab.run.rule, "lr") else 0.0
    curvature = lab.run.data.vx * landscape.hessian(x[:, None])[:, 0, 0]
    arrays = {"x": x, "K": np.minimum(K, 1e30)}
    lines, fits, words = [], {}, {}
    at = share_steps(last)
    arrays["share-x"] = at.astype(float)
    basins = len(landscape.barriers) + 1
    for name, out in outcomes.items():
        if basins > 1:
            drawn = followed(landscape)
            arrays[f"share-{name}"] = np.where(out.share[at][:, drawn].T > 0, out.share[at][:, drawn].T, np.nan).astype(np.float32)
            lines += [{"rule": name, "basin": basin} for basin in drawn]
            fits[name], words[name] = (
                _fit(out) if basins == 2 else (None, " | ".join(f"{100 * part:.3g}" for part in out.share[-1]) + " % at the end")
            )
        else:
            arrays[f"share-{name}"] = _median_distance(out, landscape.minima[0])[None].astype(np.float32)
            arrays["share-x"] = out.steps.astype(float)
            lines.append({"rule": name, "basin": 0})
            away = arrays[f"share-{name}"][0, -1]
            words[name] = f"{away:.2g} away at the end" if np.isfinite(away) else "all diverged"
    titles = {
        1: (f"Median distance to w = {landscape.minima[0].name}", "|w|", (1e-4, 10.0)),
        2: ("Who is still left of the barrier", "share, of survivors", (5e-4, 1.4)),
    }
    title, label, span = titles.get(basins, ("Share in each basin", "share, of survivors", (5e-4, 1.4)))
    masses = _masses(posterior) if basins > 1 else []
    share = {
        "title": title,
        "label": label,
        "range": span,
        "lines": lines,
        "fits": fits,
        "words": words,
        "bayes": masses[: 1 if basins == 2 else None],
    }
    meta = {"top": top or 1.0, "steep": _strips(x, lr * curvature > 2), "share": share, "theory": _approach(lab, last)}
    return arrays | {"meta": meta}


def followed(landscape) -> list[int]:
    """The basins whose shares are drawn: of two, one tells all."""
    basins = len(landscape.barriers) + 1
    return [0] if basins == 2 else list(range(basins))


def share_steps(last: int) -> np.ndarray:
    """The steps at which shares are drawn: some 600 of them."""
    return np.arange(0, last + 1, max(1, -(-(last + 1) // 600)))


def _median_distance(out: Result, minimum) -> np.ndarray:
    away = np.sort(out.distance(minimum), axis=1)  # NaN last
    alive = np.sum(np.isfinite(away), axis=1)
    return away[np.arange(len(away)), np.maximum(alive - 1, 0) // 2]


def _fit(out: Result):
    """The escape rate over a window the run itself suggests: from a twentieth of it (the start has settled) to where too few are left."""
    last = len(out.shares.among) - 1
    first = min(max(3, last // 20), last // 2)
    if last < 4:
        return None, "too few steps for a rate"
    estimate = out.escape_rate(first, last, survivors=False)  # what the exact rate beside it counts, too
    if estimate.rate is None:
        return None, f"{100 * out.share_left[-1]:.3g} % stay, no rate" if out.share_left[-1] > 0 else "all gone, too fast for a rate"
    if estimate.rate <= 2 * estimate.stderr or estimate.rate < 1e-9:
        return None, f"{100 * out.share_left[-1]:.3g} % at the end, no rate"
    stop = estimate.window[1]
    centre = np.arange(first, stop + 1)
    left = out.share_left[first : stop + 1]
    centre, left = centre[left > 0], left[left > 0]
    if not len(left):  # all that were still there diverged later
        return None, f"{measured(estimate.rate, estimate.stderr)} per step"
    level = np.average(np.log(left), weights=left) + estimate.rate * np.average(centre, weights=left)
    x = np.linspace(first, stop, 50)
    return {"x": x.tolist(), "y": np.exp(level - estimate.rate * x).tolist()}, f"{measured(estimate.rate, estimate.stderr)} per step"


def _strips(x: np.ndarray, where: np.ndarray) -> list[list[float]]:
    """The intervals of x on which `where` holds."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], where.astype(int), [0]])))
    return [[float(x[a]), float(x[b - 1])] for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _approach(lab: Lab, last: int) -> list[dict]:
    """u' = -eta vx kappa^2 d u^(2d-1) near a root Q = kappa u^d: the noise-free law of approach, for the most degenerate minimum."""
    landscape, rule, data = lab.run.landscape, lab.run.rule, lab.run.data
    best = landscape.minima[0]
    d = best.lam.denominator // 2 if best.lam is not None and best.lam.numerator == 1 else 0
    if d < 2 or data.slope or landscape.K(best.at) > NOTHING or type(rule).__name__ not in ("GD", "SGD", "SDE", "HeavyTailedSGD"):
        return []
    h = 1e-2  # kappa from Q beside the root: exact to O(h), as good as the local law itself
    kappa = float(np.mean(np.abs(landscape.Q(np.array([[best.at[0] - h], [best.at[0] + h]])))) / h**d)
    rate = rule.lr / (1 - getattr(rule, "momentum", 0)) * data.vx
    width = (landscape.box[0][1] - best.at[0]) / 2
    t = np.linspace(0, last, 120)
    u = (width ** (2 - 2 * d) + (2 * d - 2) * d * rate * kappa**2 * t) ** (-1 / (2 * d - 2))
    return [{"name": f"approach ~ t^(−1/{2 * d - 2})", "x": t.round(1).tolist(), "y": (best.at[0] + sign * u).round(4).tolist()} for sign in (1, -1)]


def _two(lab: Lab, outcomes) -> dict:
    landscape = lab.run.landscape
    (l1, h1), (l2, h2) = landscape.box
    side = max(h1 - l1, h2 - l2)  # wider than the box: the map shows both axes to the same scale, whatever its shape
    x, y = ((low + high) / 2 + side * share * np.linspace(-1, 1, TERRAIN) for low, high, share in ((l1, h1, 1.35), (l2, h2, 0.7)))
    K = _potential(lab, np.stack(np.meshgrid(x, y), axis=-1))
    high = np.quantile(K[:, abs(x - (l1 + h1) / 2) < side / 2], 0.995)
    log = np.log10(np.maximum(K, high * 1e-6))
    depth = np.clip((log - log.min()) / (np.log10(high) - log.min()), 0, 1)
    arrays = {"terrain": (90 + 165 * depth).astype(np.uint8)}
    levels, heights = contour_generator(x, y, log), np.linspace(log.min(), np.log10(high), 10)[2:]
    if landscape.of == "Q" and len(landscape.products()) == 1:  # K has a valley where Q - a has a smooth zero: its levels are those of Q
        levels = contour_generator(x, y, landscape.Q(np.stack(np.meshgrid(x, y), axis=-1))[..., 0] - lab.run.data.slope)
        heights = [sign * math.sqrt(2 * 10**level / lab.run.data.vx) for level in heights for sign in (1, -1)]
    pieces = [np.vstack([line, [[np.nan, np.nan]]]) for level in heights for line in levels.lines(level)]
    path = np.concatenate(pieces) if pieces else np.zeros((0, 2))
    arrays |= {"level-x": path[:, 0].astype(np.float32), "level-y": path[:, 1].astype(np.float32)}
    origin, line = landscape.minima[0], landscape.line
    near = line if line is not None and line is not origin else None
    bands = {"far": {}, "near": {}}
    for name, out in outcomes.items():
        kept = out.kept[:, :BAND]
        bands["far"][name] = _band(np.hypot(kept[..., 0], kept[..., 1]))
        bands["near"][name] = _band(near.distance(kept) if near else _potential(lab, kept))
    for kind, found in bands.items():
        arrays |= {f"{kind}-{name}": band.astype(np.float32) for name, band in found.items()}
    reach = np.nanmax([np.nanquantile(band[2], 0.97) if np.isfinite(band[2]).any() else 1.0 for band in bands["far"].values()])
    floor = np.nanmin([np.nanquantile(band[1], 0.02) if np.isfinite(band[1]).any() else 1e-3 for band in bands["near"].values()])
    ceiling = np.nanmax([np.nanquantile(band[2], 0.97) if np.isfinite(band[2]).any() else 1.0 for band in bands["near"].values()])
    theory = _drift(lab, bands["far"])
    place = line.name if near else "K"
    meta = {
        "far": {"title": "Distance to O over time", "label": "distance to O", "range": [0, 1.08 * float(min(reach, 20)) or 1.0], "theory": theory},
        "near": {
            "title": f"Distance to the {place} over time" if near else "Loss K over time",
            "label": "distance" if near else "K [nats per sample]",
            "range": [float(max(10 ** np.floor(np.log10(max(floor, 1e-12))), 1e-12)), float(10 ** np.ceil(np.log10(max(ceiling, 1e-6))))],
        },
        "terrain": [x[0], x[-1], y[0], y[-1]],
        "pointer": [l1 + 0.62 * (h1 - l1), l2 + 0.72 * (h2 - l2)],
    }
    return arrays | {"meta": meta}


def _band(values: np.ndarray) -> np.ndarray:
    """10 %, 50 % and 90 % quantiles (3, frames) of values (frames, n) among those that have not diverged."""
    ordered = np.sort(values, axis=1)  # NaN last
    alive = np.sum(np.isfinite(ordered), axis=1)
    rows = np.arange(len(ordered))
    return np.stack(
        [np.where(alive > 0, ordered[rows, np.minimum((q * alive).astype(int), np.maximum(alive - 1, 0))], np.nan) for q in (0.1, 0.5, 0.9)]
    )


def _drift(lab: Lab, far: dict) -> list[dict]:
    """The drift of the median along the line of Valley(p, k=1): the ratchet of a non-degenerate valley."""
    landscape, rule, data = lab.run.landscape, lab.run.rule, lab.run.data
    plain = type(rule).__name__ == "SGD" and rule.noise == "batch" and not data.slope and not isinstance(data, Finite) and data.vx == data.vy == 1
    start = far["a"][1]
    settled = int(np.argmax(np.isfinite(start)))
    if not (isinstance(landscape, Valley) and landscape.k == 1 and plain and start[settled] > 0):
        return []
    t = np.linspace(0, lab.run.steps, 60)
    w2 = drifted(start[settled], t, landscape.p, rule.lr / (1 - rule.momentum), rule.batch)
    return [{"name": "drift law", "x": t.round(1).tolist(), "y": w2.round(4).tolist()}]


def says(lab: Lab, outcomes, posterior) -> list[tuple[str, bool]]:
    """Sentences that tell what the picture shows, with its numbers; and whether each is of the posterior, for pictures that show it."""
    run, parts = lab.run, []
    for name, out in outcomes.items():
        who = f"{name.upper()} ({rule_name(out.run.rule)})" if len(outcomes) > 1 else rule_name(out.run.rule)
        lost = 100 * (1 - out.survivors / out.run.n)
        text = f"{who}: {lost:.3g} % diverged" if lost else f"{who}: none diverged"
        if out.survivors and run.landscape.barriers:
            left = 100 * out.share_left
            rest = "of the rest" if lost else "of all"
            barrier = "the barrier" if len(run.landscape.barriers) == 1 else "the first barrier"
            text += f"; {rest}, {left[0]:.3g} % start left of {barrier} and {left[-1]:.3g} % are there after {counted(run.steps, 'step')}"
        elif out.survivors:
            best = run.landscape.minima[0]
            if any(best.at):  # one point of a curve of minima: the distance to it says little
                text += f"; the median loss ends at K = {np.nanmedian(_potential(lab, out.w)):.3g}"
            else:
                away = np.nanmedian(best.distance(out.w))
                text += f"; the median ends {away:.3g} from {best.name}" if away > NOTHING else f"; the median ends at {best.name}"
        parts.append((f"{text}.", False))
    if run.landscape.barriers:
        parts.append((f"Bayes, with {counted(posterior.n, 'sample')}, puts {100 * _masses(posterior)[0]:.3g} % there.", True))
    if run.data.slope:
        parts.append(("With a ≠ 0 the minima move: the λ shown belong to a = 0.", False))
    return parts
