"""Results as files: arrays (.npz), a table (.csv), pictures (.png, .svg, .pdf), moving ones (.gif, .mp4), a page that needs no network (.html).

Columns of the tables:
    many trajectories, one row a step    step, diverged (so far, of n), per basin i from left to right `in_i` (trajectories there) and `share_i`
                                         (among those that never diverge), `distance_<minimum>` (median over survivors; empty where not kept)
    a sweep of simulations, one a value  the parameter, survivors, diverged, rate and stderr per step, first and last step of that fit, crossed
                                         (share of all that are right of the barrier at the end), distance_<minimum> (median of survivors then)
    a sweep of posteriors, one a value   the parameter, mass_i per basin, n_beta_mean_K
    a posterior, one a cell              variable, w (its middle), density (of that variable alone, the mean over the cell)
"""

import contextlib
import csv
import json
import math
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.state import encode
from dynamics.observe import Result
from dynamics.posterior import Posterior
from dynamics.presets import crossed, escape
from dynamics.simulation import Simulation
from dynamics.sweep import Sweep, SweepResult

PICTURES = {".png": "matplotlib", ".svg": "matplotlib", ".pdf": "matplotlib", ".html": "bokeh"}
MOVING = (".gif", ".mp4")
LONGEST = 255  # bytes of a file's name, nearly everywhere
SUFFIXES = (".npz", ".csv", *PICTURES, *MOVING)


def checked(path: str | os.PathLike, run=None, suffixes: tuple[str, ...] = SUFFIXES) -> pathlib.Path:
    """The path, if a result (of this run) can be written there; else ValueError: to be known before a long computation, not after it."""
    path = pathlib.Path(path)
    if not path.suffix and path.name in suffixes:
        raise ValueError(f"{str(path)!r} has nothing before its suffix; give the file a name, such as result{path.name}")
    if len(os.fsencode(path.name)) > LONGEST:
        raise ValueError(f"{path.name[:20]!r}... has {len(path.name):,} characters; give the file a name of at most {LONGEST}")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{str(path)!r} ends in {path.suffix!r}; choose one of {', '.join(suffixes)}")
    if path.suffix.lower() in MOVING and run is not None and not isinstance(run, Simulation):
        raise ValueError(f"{str(path)!r}: only one simulation moves, and this is a {type(run).__name__}; choose .png, .svg, .pdf or .html")
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise ValueError(f"{str(path)!r} needs ffmpeg, which is not installed here; install it or choose .gif")
    if path.is_dir():
        raise ValueError(f"{str(path)!r} is a folder; give the name of a file in it")
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"there is no folder {str(folder)!r}; make it first, or choose another")
    try:
        if not os.access(folder, os.W_OK):
            raise PermissionError("no permission")
        handle, name = tempfile.mkstemp(prefix=".lambdascape-", dir=folder)  # some folders take no files from anybody
        os.close(handle)
        os.unlink(name)
    except OSError as error:
        raise ValueError(f"{str(folder)!r} cannot be written to ({error.strerror or error}); choose another folder") from None
    return path


class Compared(NamedTuple):
    """What a landscape lab shows: the runs of its optimisers by name ("a" and, if there is one, "b"), and beta and n of the posterior beside them."""

    results: dict[str, Result]
    samples: int
    beta: float


def save(result, path: str | os.PathLike, title: str = "") -> pathlib.Path:
    """Write a result of a run, or two that are `Compared`, to a file of this suffix, whole or not at all."""
    path = checked(path, None if isinstance(result, Compared) else getattr(result, "run", result))
    suffix = path.suffix.lower()
    with whole(path) as target:
        if suffix == ".npz":
            np.savez_compressed(target, **arrays(result))
        elif suffix == ".csv":
            with open(target, "w", newline="", encoding="utf-8") as file:
                csv.writer(file).writerows(rows(result))
        elif suffix in MOVING:
            from app.animation import animate  # a second to import, so only where it is asked for

            animate(result.results if isinstance(result, Compared) else {"a": result}, target, title)
        else:
            from app.plots import draw  # seconds to import, so only where a picture is asked for

            draw(result, target, PICTURES[suffix], title)
    return path


def save_lab(lab, path: str | os.PathLike, title: str = "", cite: str = "", run=lambda simulation: simulation.run()) -> pathlib.Path:
    """Write a landscape lab to a file of this suffix: .html simulates in a browser, the others show its optimisers beside its posterior.

    run: simulates, for who wants to see how far it is.
    """
    path = checked(path)
    if path.suffix.lower() == ".html":
        from app.standalone import page

        return write(page(lab, title, cite), path)
    results = {name: run(replace(lab.run, rule=rule)) for name, rule in lab.rules.items()}
    return save(Compared(results, lab.bayes.samples, lab.bayes.beta), path, title)


def write(text: str, path: str | os.PathLike) -> pathlib.Path:
    """Write text to a file, whole or not at all."""
    path = checked(path)
    with whole(path) as target:
        pathlib.Path(target).write_text(text, encoding="utf-8")
    return path


@contextlib.contextmanager
def whole(path: pathlib.Path) -> Iterator[str]:
    """A temporary name beside `path` with its suffix; renamed to it if nothing goes wrong."""
    handle, name = tempfile.mkstemp(prefix=".lambdascape-", suffix=path.suffix.lower(), dir=path.parent)
    os.close(handle)
    try:
        yield name
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)


def described(run) -> dict | str:
    """A simulation as its query, a sweep as its values and its first run, a posterior as the call that made it."""
    if isinstance(run, Sweep):
        return {"parameter": run.parameter, "values": list(run.values), "first": described(run.runs[0])}
    if isinstance(run, Simulation):
        with contextlib.suppress(ValueError):  # a landscape of one's own has no query
            return encode(run)
    return repr(run)


# Arrays


def arrays(result) -> dict[str, np.ndarray]:
    """Named arrays, `run` (JSON text) among them, B's after `b_`; nothing that needs unpickling."""
    if isinstance(result, Compared):
        return {f"{name}_{key}" if name != "a" else key: array for name, part in result.results.items() for key, array in arrays(part).items()}
    run = np.array(json.dumps(described(getattr(result, "run", result)), ensure_ascii=False))
    if isinstance(result, Result):
        shares = result.shares
        return {"run": run, "w": result.w, "kept": result.kept, "steps": result.steps, "counts": shares.counts, "among": shares.among} | {
            "diverged": shares.diverged,
            "share": result.share,
        }
    if isinstance(result, SweepResult):
        head, *body = rows(result)
        table = {name: np.array(column) for name, column in zip(head, zip(*body, strict=True), strict=True)}
        if all(isinstance(part, Result) for part in result.results):
            table |= {f"w_{i}": part.w for i, part in enumerate(result.results)}
        return {"run": run} | table
    head, *body = rows(result)
    return {"run": run} | {name: np.array(column) for name, column in zip(head, zip(*body, strict=True), strict=True)}


# Tables


def rows(result) -> list[list]:
    """A table, its head first."""
    if isinstance(result, Compared):
        tables = {name: _steps(part) for name, part in result.results.items()}
        return [["optimiser", *tables["a"][0]], *([name, *row] for name, table in tables.items() for row in table[1:])]
    if isinstance(result, Result):
        return _steps(result)
    return _values(result) if isinstance(result, SweepResult) else _points(result)


def _steps(result: Result) -> list[list]:
    shares, basins = result.shares, result.shares.counts.shape[1]
    minima = [minimum for minimum in result.run.landscape.minima if minimum.isolated]
    alive = np.isfinite(result.w[:, 0])
    near = [np.median(result.distance(minimum)[:, alive], axis=1) if alive.any() else np.full(len(result.steps), np.nan) for minimum in minima]
    at = {int(step): i for i, step in enumerate(result.steps)}
    head = ["step", "diverged", *(f"in_{i}" for i in range(basins)), *(f"share_{i}" for i in range(basins))]
    body = [head + [f"distance_{minimum.name}" for minimum in minima]]
    share = result.share
    for step in range(len(shares.counts)):
        distances = [_cell(column[at[step]]) if step in at else "" for column in near]
        body.append([step, int(shares.diverged[step]), *shares.counts[step].tolist(), *map(_cell, share[step]), *distances])
    return body


def _values(result: SweepResult) -> list[list]:
    name = result.run.parameter
    if isinstance(result.results[0], Posterior):
        basins = len(result.results[0].landscape.barriers) + 1
        body = [[name, *(f"mass_{i}" for i in range(basins)), "n_beta_mean_K"]]
        for value, part in zip(result.run.values, result.results, strict=True):
            masses = part.masses().tolist() if part.landscape.barriers else [1.0]
            body.append([value, *masses, part.n * part.beta * part.mean_potential()])
        return body
    near = result.results[0].run.landscape.minima[0].name
    body = [[name, "survivors", "diverged", "rate", "stderr", "first", "last", "crossed", f"distance_{near}"]]
    for value, part in zip(result.run.values, result.results, strict=True):
        landscape = part.run.landscape
        fit = escape(part) if landscape.barriers and part.survivors else None
        numbers = ["", "", "", ""] if fit is None or fit.rate is None else [fit.rate, fit.stderr, *fit.window]
        alive = part.w[np.isfinite(part.w[:, 0])]
        distance = float(np.median(landscape.minima[0].distance(alive))) if len(alive) else ""
        body.append([value, part.survivors, part.shares.n - part.survivors, *numbers, crossed(part) if landscape.barriers else "", distance])
    return body


def _points(posterior: Posterior) -> list[list]:
    body: list[list] = [["variable", "w", "density"]]
    for axis, (low, high) in enumerate(posterior.box):
        edges = np.linspace(low, high, 801)
        name = "w" if posterior.landscape.dim == 1 else f"w{axis + 1}"
        density = posterior.bins(edges, axis) / np.diff(edges)
        body += [[name, float(a), float(b)] for a, b in zip((edges[:-1] + edges[1:]) / 2, density, strict=True)]
    return body


def _cell(value) -> float | str:
    return float(value) if np.isfinite(value) else ""


def strict_json(value) -> str:
    """Strict JSON: NaN and infinities, which it lacks, are null."""
    return json.dumps(_finite(value), ensure_ascii=False, indent=2, allow_nan=False)


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
