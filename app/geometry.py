"""The geometry panel: lambda of the box and of the chosen point (Newton polygon, steps), the volume law that defines it, the free energy, and where
the noise of SGD is proportional to the curvature. In pieces: where others may take their turn it yields."""

import json
import time
from collections.abc import Generator, Iterator

import numpy as np

from app.landscapelab import Lab, rule_words
from app.numerals import measured, signed
from app.picture import ground, plain
from app.pieces import remembered
from dynamics import Online, Posterior
from dynamics.freeenergy import SEVERAL, Asymptote, basins, crossings, free_energy, generalisation, wbic
from dynamics.proportion import proportion
from landscapes import Landscape, learning_coefficient
from landscapes.volume import fit_volume, volume
from landscapes.zeros import minima

EPS = np.logspace(-14, -1, 27)
SAMPLES = np.logspace(0, 7, 29)
FEW = np.logspace(0.6, 6, 13)  # of n, where the average over data sets takes time
ZERO = 1e-12  # of K, which may be the rounding of a zero
SOON = 0.1  # seconds between two pictures of the growing panel


def geometry(lab: Lab) -> Iterator[tuple[dict, str] | None]:
    """(arrays for the store "geometry", the steps to lambda as Markdown), each time with all there is so far; None between pieces of work.

    `meta` in the arrays lists its `parts` and says whether it is `complete`. What cannot be had is left out, and the words say why.
    """
    landscape, data, at = lab.run.landscape, lab.run.data, lab.point.at
    arrays, meta, steps, last = {}, {"point": lab.point.name, "ground": ground(lab), "parts": []}, "", time.perf_counter()
    jobs = {"noise": _noise(landscape, data), "whole": _whole(landscape), "point": _at(landscape, at), "volume": _volume(landscape, at)}
    if isinstance(data, Online):
        jobs["energy"] = _energy(landscape, data)
        if not data.slope and landscape.minima:
            jobs["finite"] = _finite(landscape, data)
    for name, job in jobs.items():
        found, words, markdown = yield from job
        if name == "point":
            markdown = f"At {lab.point.name}:\n\n{markdown}"
        arrays, meta, steps = arrays | found, meta | words, "\n\n".join(filter(None, (steps, markdown)))
        meta["parts"] = [*meta["parts"], name]
        meta["complete"] = len(meta["parts"]) == len(jobs)
        if meta["complete"] or time.perf_counter() - last > SOON:  # what is known already needs no picture of its own
            last = time.perf_counter()
            yield arrays | {"meta": json.dumps(plain(meta))}, steps


Part = Generator[None, None, tuple[dict, dict, str]]  # returns arrays, entries of `meta`, Markdown


@remembered(64)
def _noise(landscape: Landscape, data) -> Part:
    """Where B Sigma is vy H, and where the popular claim that it is so everywhere breaks."""
    yield
    try:
        found = proportion(landscape, data)
    except ValueError as error:
        return {}, {"noise": {"within": [], "negative": [], "words": f"{rule_words(str(error))}."}}, ""
    ratio = "BΣ/H" if data.vy == 1 else "BΣ/(vy H)"
    share = f"{100 * found.within_share:.2g} % of the box"
    nowhere = f"{ratio} is nowhere 1 within 10 %"
    if landscape.dim == 2:
        equal = "BΣ = H" if data.vy == 1 else "BΣ = vy H"
        words = f"{equal} within 10 % (in norm) on {share} only" if found.within_share else nowhere
        words += f"; on {100 * found.negative_share:.2g} % of it H has a negative eigenvalue, which Σ never has" if found.negative_share else ""
    else:
        words = f"{ratio} is 1 within 10 % only for w in {_listed(found.within)}: {share}" if found.within else nowhere
        words += f". H < 0 ≤ Σ for w in {_listed(found.negative)}" if found.negative else ""
    if found.limits:
        words += f". Beside a minimum it tends to 1/(2(1 − λ)): {', '.join(f'{limit} at {name}' for name, limit in found.limits.items())}"
    return {}, {"noise": {"within": found.within, "negative": found.negative, "words": f"{words}."}}, ""


def _listed(spans) -> str:
    shown = []
    for low, high in spans[:4]:
        digits = next(d for d in range(3, 17) if float(f"{low:.{d}g}") != float(f"{high:.{d}g}"))  # ends that can be told apart
        shown.append(signed(f"[{low:.{digits}g}, {high:.{digits}g}]"))
    return ", ".join(shown) + (f" and {len(spans) - 4} more" if len(spans) > 4 else "")


@remembered(64)
def _whole(landscape: Landscape) -> Part:
    """lambda and m of all real zeros in the box together."""
    yield
    return {}, {}, whole_words(landscape)


def whole_words(landscape: Landscape) -> str:
    """The global (lambda, m) in a sentence, and which zeros it is made of."""
    found = minima(landscape)
    zeros = [point for point in found.minima if not point.why]
    if found.lam is None:
        return (
            f"All of the box: not decided, as {found.missing or 'λ of a zero is not known'}."
            if zeros or found.missing
            else "All of the box: K has no zero in it."
        )
    value = f"λ = {found.lam}, m = {found.multiplicity}"
    if len(zeros) == 1:
        return f"All of the box: **{value}**, from the only zero of K in it."
    named = ", ".join(f"{point.name} ({point.lam}, {point.multiplicity})" for point in zeros[:6])
    more = f" and {len(zeros) - 6} more" if len(zeros) > 6 else ""
    return f"All of the box: **{value}**, the least λ of all real zeros of K in it, of those the greatest m: {named}{more}."


@remembered(64)
def _at(landscape: Landscape, at: tuple[float, ...]) -> Part:
    yield
    arrays, meta = {}, {}
    try:
        found = learning_coefficient(landscape, at)
    except ValueError as error:
        return {}, {"reason": str(error)}, f"λ: {error}."
    meta["result"] = f"λ = {found.lam}, m = {found.multiplicity}"
    polygons = [step for step in found.steps if step.polygon]
    if polygons:
        arrays |= _polygon(polygons[-1].polygon)
        meta["polygon"] = f"d = {polygons[-1].polygon.distance}" + (
            f", after {len(polygons) - 1} change(s) of coordinates" if len(polygons) > 1 else ""
        )
    steps = "\n".join(f"{i}. {step.words}" + (f"\n   $${step.latex}$$" if step.latex else "") for i, step in enumerate(found.steps, 1))
    return arrays, meta, steps


@remembered(64)
def _volume(landscape: Landscape, at: tuple[float, ...]) -> Part:
    yield
    try:
        found = learning_coefficient(landscape, at)
    except ValueError:
        return {}, {}, ""
    if landscape.K(np.array(at)) > 1e-25:  # V(eps) measures K near its zeros, not K - K(at) near a higher minimum
        return {}, {"level": "no zero of K here; λ is that of K − K(w*)"}, ""
    room = volume(landscape, EPS, at)
    yield
    fit = fit_volume(landscape, at)
    grows = -np.log(EPS) > (found.multiplicity - 1) / float(found.lam)  # beyond its largest value it is no law of a volume
    law = EPS ** float(found.lam) * (-np.log(EPS)) ** (found.multiplicity - 1)
    lam = measured(fit.lam, fit.stderr) if fit.stderr >= 5e-5 else f"{fit.lam:.4f}"  # four digits are enough
    words = f"fitted λ = {lam}, m = {'undecided' if fit.multiplicity is None else fit.multiplicity}"
    return {"eps": EPS, "volume": room, "law": np.where(grows, law * room[0] / law[0], np.nan)}, {"fit": words}, ""


def _polygon(polygon) -> dict:
    """The region above the Newton polygon, its points, and the diagonal to where it leaves."""
    reach = max(max(max(point) for point in polygon.points), float(polygon.distance)) + 1.0
    edge = [(polygon.vertices[0][0], reach), *polygon.vertices, (reach, polygon.vertices[-1][1])]
    d = float(polygon.distance)
    return {
        "edge": np.array(edge, float).T.copy(),
        "points": np.array(polygon.points, float).T.copy(),
        "diagonal": np.array([[0.0, d, reach], [0.0, d, reach]]),
        "leaves": np.array([d, reach]),
    }


@remembered(64)
def _energy(landscape: Landscape, data: Online) -> Part:
    """F_n - n K(w*) on the box, of each basin alone, and its asymptote; and where the posterior moves from one basin to another."""
    deepest = SAMPLES * _floor(landscape, data)
    parts = basins(landscape) if landscape.barriers else ()
    curves = []
    for part in (None, *parts):
        curve = []
        for some in np.array_split(SAMPLES, 4):
            yield
            curve.append(free_energy(landscape, some, data, within=part))
        curves.append(np.concatenate(curve) - deepest)
    words = {"lines": ["all of the box" + (", less n K(w*)" if deepest.any() else ""), *(f"basin {i + 1}" for i in range(len(parts)))]}
    arrays = {"samples": SAMPLES, "energy": np.array(curves)}
    if len(parts) == 2:
        yield
        found = crossings(landscape, *parts, data, fine=False)
        words["crossing"] = f"Bayes changes its basin at n = {found[0]:,.0f}" if found else "the same basin for every n"
        arrays["crossings"] = np.array(found)
    if not data.slope:
        law = _law(landscape)
        with np.errstate(divide="ignore", invalid="ignore"):
            asymptote = np.where(SAMPLES > 3, law.free_energy(SAMPLES), np.nan)
        arrays["asymptote"] = asymptote + curves[0][-1] - asymptote[-1]
        words["law"] = f"{_best(landscape).lam} log n" + (" − log log n" if law.multiplicity > 1 else "") + " + const"
    return arrays, {"energy": words}, ""


def _best(landscape: Landscape):
    """The minimum that rules as n grows: of the deepest the least lambda, of those the greatest m."""
    deepest = _floor(landscape)
    return min((m for m in landscape.minima if landscape.K(m.at) <= deepest + ZERO), key=lambda minimum: (minimum.lam, -minimum.multiplicity))


def _floor(landscape: Landscape, data: Online = Online()) -> float:
    """vx K at the deepest of the minima; 0 where it is a zero, and where a slope has moved them all."""
    deepest = 0.0 if data.slope else min((float(landscape.K(minimum.at)) for minimum in landscape.minima), default=0.0)
    return deepest * data.vx if deepest > ZERO else 0.0


def _law(landscape: Landscape) -> Asymptote:
    best = _best(landscape)
    return Asymptote(float(best.lam), best.multiplicity)


@remembered(64)
def _finite(landscape: Landscape, data: Online) -> Part:
    """What stands for lambda at a finite n: n E[K], WBIC / log n, n times the generalisation error; and their common limit."""
    law, n, outputs, deepest = _law(landscape), FEW, len(landscape.products()), _floor(landscape, data)
    mean, measured, generalised = [], [], []
    for k in n:
        yield
        mean.append((Posterior(landscape, k, 1.0, data).mean_potential() - deepest) * k)
        measured.append((wbic(landscape, k, data) - deepest * k) / np.log(k))
    arrays = {"few": n, "mean": np.array(mean), "wbic": np.array(measured), "bias": law.lambda_hat(n)}
    words = {"limit": law.lam, "limitWords": f"λ = {_best(landscape).lam}, their limit"}
    if landscape.of == "K":
        words["without"] = "K alone is given: no model, so no generalisation error"
    elif deepest:
        words["without"] = "K has no zero: each curve is that of K − K(w*), and no generalisation error is shown"
    elif outputs <= SEVERAL:
        rare = n if outputs == 1 else n[::2]  # some 0.2 s an n
        for k in rare:
            yield
            generalised.append(k * generalisation(landscape, k, data))
        arrays |= {"rare": rare, "generalisation": np.array(generalised)}
    else:
        words["without"] = f"the generalisation error of more than {SEVERAL} outputs takes too long"
    if law.multiplicity > 1:
        words["biasWords"] = "λ − (m − 1)/log n"
    return arrays, {"finite": words}, ""
