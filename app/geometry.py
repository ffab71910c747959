"""The geometry panel: why lambda is what it is at the chosen point (Newton polygon, steps), the volume law that defines it, and the free energy."""

import functools
import json

import numpy as np

from app.lab import Lab
from app.picture import plain
from dynamics import Online, Posterior
from dynamics.freeenergy import Asymptote, basins, crossings, free_energy, generalisation, wbic
from landscapes import Landscape, learning_coefficient
from landscapes.volume import fit_volume, volume

EPS = np.logspace(-14, -1, 27)
SAMPLES = np.logspace(0, 7, 29)
FEW = np.logspace(0.6, 6, 13)  # of n, where the average over data sets takes time


def geometry(lab: Lab) -> tuple[dict, str]:
    """Arrays for the store "geometry", and the steps to lambda as Markdown; what cannot be had is left out, and the words say why."""
    landscape, data = lab.run.landscape, lab.run.data
    arrays, meta, steps = _at(landscape, lab.point.at)
    if isinstance(data, Online):
        energy, words = _energy(landscape, data)
        arrays, meta = arrays | energy, meta | {"energy": words}
        if not data.slope and landscape.minima:
            finite, words = _finite(landscape, data)
            arrays, meta = arrays | finite, meta | {"finite": words}
    return arrays | {"meta": json.dumps(plain(meta | {"point": lab.point.name}))}, steps


@functools.lru_cache(maxsize=64)
def _at(landscape: Landscape, at: tuple[float, ...]) -> tuple[dict, dict, str]:
    arrays, meta = {}, {}
    try:
        found = learning_coefficient(landscape, at)
    except ValueError as error:
        return {}, {"reason": str(error)}, f"λ: {error}."
    m = f", m = {found.multiplicity}"
    meta["result"] = f"λ = {found.lam}{m}"
    polygons = [step for step in found.steps if step.polygon]
    if polygons:
        arrays |= _polygon(polygons[-1].polygon)
        meta["polygon"] = f"d = {polygons[-1].polygon.distance}" + (
            f", after {len(polygons) - 1} change(s) of coordinates" if len(polygons) > 1 else ""
        )
    if landscape.K(np.array(at)) <= 1e-25:  # V(eps) measures K near its zeros, not K - K(at) near a higher minimum
        measured = volume(landscape, EPS, at)
        fit = fit_volume(landscape, at)
        law = EPS ** float(found.lam) * (-np.log(EPS)) ** (found.multiplicity - 1)
        arrays |= {"eps": EPS, "volume": measured, "law": law * measured[0] / law[0]}
        meta["fit"] = f"fitted λ = {fit.lam:.4f} ± {fit.stderr:.0e}, m = {'undecided' if fit.multiplicity is None else fit.multiplicity}"
    steps = "\n".join(f"{i}. {step.words}" + (f"\n   $${step.latex}$$" if step.latex else "") for i, step in enumerate(found.steps, 1))
    return arrays, meta, steps


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


@functools.lru_cache(maxsize=64)
def _energy(landscape: Landscape, data: Online) -> tuple[dict, dict]:
    """F_n on the box, of each basin alone, and its asymptote; and where the posterior moves from one basin to another."""
    parts = basins(landscape) if landscape.barriers else ()
    curves = [free_energy(landscape, SAMPLES, data), *(free_energy(landscape, SAMPLES, data, within=part) for part in parts)]
    meta = {"lines": ["all of the box", *(f"basin {i + 1}" for i in range(len(parts)))]}
    arrays = {"samples": SAMPLES, "energy": np.array(curves)}
    if len(parts) == 2:
        found = crossings(landscape, *parts, data, fine=False)
        meta["crossing"] = f"Bayes changes its basin at n = {found[0]:,.0f}" if found else "the same basin for every n"
        arrays["crossings"] = np.array(found)
    if not data.slope:
        law = _law(landscape)
        with np.errstate(divide="ignore", invalid="ignore"):
            asymptote = np.where(SAMPLES > 3, law.free_energy(SAMPLES), np.nan)
        arrays["asymptote"] = asymptote + curves[0][-1] - asymptote[-1]
        meta["law"] = f"{_best(landscape).lam} log n" + (" − log log n" if law.multiplicity > 1 else "") + " + const"
    return arrays, meta


def _best(landscape: Landscape):
    """The minimum that rules as n grows: the least lambda, of those the greatest m."""
    return min(landscape.minima, key=lambda minimum: (minimum.lam, -minimum.multiplicity))


def _law(landscape: Landscape) -> Asymptote:
    best = _best(landscape)
    return Asymptote(float(best.lam), best.multiplicity)


@functools.lru_cache(maxsize=64)
def _finite(landscape: Landscape, data: Online) -> tuple[dict, dict]:
    """What stands for lambda at a finite n: n E[K], WBIC / log n, n times the generalisation error; and their common limit."""
    law, n = _law(landscape), FEW
    arrays = {
        "few": n,
        "mean": np.array([Posterior(landscape, k, 1.0, data).mean_potential() * k for k in n]),
        "wbic": wbic(landscape, n, data) / np.log(n),
        "bias": law.lambda_hat(n),
    }
    meta = {"limit": law.lam, "limitWords": f"λ = {_best(landscape).lam}, their limit"}
    if len(landscape.products()) == 1:
        arrays["generalisation"] = n * generalisation(landscape, n, data)
    else:
        meta["without"] = "the generalisation error of several outputs takes too long for a page"
    if law.multiplicity > 1:
        meta["biasWords"] = "λ − (m − 1)/log n"
    return arrays, meta
