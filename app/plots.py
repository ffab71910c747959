"""Pictures of results, for files: HoloViews elements, built once from arrays and drawn by Matplotlib or Bokeh."""

import html
import textwrap

import holoviews as hv
import matplotlib

matplotlib.use("agg")  # before HoloViews opens a window for its figures

import holoviews.plotting.bokeh
import holoviews.plotting.mpl
import numpy as np
from bokeh.embed import components
from bokeh.util.paths import static_path
from contourpy import contour_generator

from app.export import Compared
from dynamics.batches import Finite
from dynamics.observe import Result
from dynamics.posterior import Posterior
from dynamics.presets import crossed, escape
from dynamics.simulation import Simulation
from dynamics.sweep import SweepResult

hv.Store.set_current_backend("matplotlib")
hv.renderer("bokeh").webgl = False  # canvas everywhere: without a GPU WebGL takes seconds
BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9"  # Okabe & Ito 2008
CYCLE = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, "#000000")
DASHES = ("solid", "dashed", "dotted", "dashdot")  # never colour alone
GREY = "#8a8a8a"
SHOWN = {1: 30, 2: 15}  # trajectories drawn one by one, by dimension
BINS = 100
FINE = 800  # cells of a posterior's curve
FLOOR = 1e-12  # of an axis of distances: those pinned to a line come as near as floats can, and what is far would be squeezed
# Bokeh's own page and resources would also ask for the files of every extension that is loaded, Panel's among them
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 1.5em; max-width: 68em }} code {{ color: #444 }}</style>
<script>{library}</script>
</head>
<body>
<h1>{title}</h1>
<p><code>{call}</code></p>
{body}
{script}
</body>
</html>
"""


def draw(result, path: str, backend: str, title: str = "", small: bool = False) -> None:
    """Write the figure of a result to `path`: "matplotlib" by its suffix, "bokeh" as a page that needs no network.

    small: panels alone, for a page that says the rest; else with the Python that gives the run.
    """
    parts = panels(result)
    columns = 3 if len(parts) == 3 else min(len(parts), 2)
    layout = _styled(hv.Layout(parts).cols(columns), {}, {}, shared_axes=False)
    if backend == "matplotlib":
        figure = hv.render(layout.opts(backend="matplotlib", sublabel_format=""), backend="matplotlib")
        if small:
            _arrange(figure, len(parts), columns, "", [], (10.4 / columns, 2.6))
        else:
            _arrange(figure, len(parts), columns, title, textwrap.wrap(_call(result), 60 * columns))
        figure.savefig(path, dpi=140, facecolor="white")
    else:
        script, body = components(hv.render(layout, backend="bokeh"))
        words = {"title": title or "lambdascape", "call": _call(result)}
        words = {name: html.escape(text) for name, text in words.items()}
        with open(path, "w", encoding="utf-8") as file:
            file.write(PAGE.format(**words, library=(static_path() / "js" / "bokeh.min.js").read_text(encoding="utf-8"), script=script, body=body))


def _arrange(figure, panels: int, columns: int, title: str, lines: list[str], panel: tuple[float, float] = (5.6, 3.7)) -> None:
    """Put panels of equal size (inches, with their margins) on a grid under the title: HoloViews' own layout gives one with a log axis or a
    colour bar another size."""
    rows = -(-panels // columns)
    head = 0.3 * bool(title or lines) + 0.35 * bool(title) + 0.2 * len(lines)
    across, up = panel
    width, height = across * columns, up * rows + head
    figure.set_size_inches(width, height)
    mains = figure.axes[:panels] if panels == len(figure.axes) else [axes for axes in figure.axes if axes.get_position().width > 0.1]
    bars = [axes for axes in figure.axes if axes not in mains]
    owners = {
        bar: min((main for main in mains if main.get_position().x1 <= bar.get_position().x0), key=lambda m, b=bar: _apart(m, b)) for bar in bars
    }
    for place, main in enumerate(mains):
        row, column = divmod(place, columns)
        bar = next((bar for bar, owner in owners.items() if owner is main), None)
        left, bottom = (across * column + 0.8) / width, (up * (rows - 1 - row) + 0.65) / height
        main.set_aspect("auto")
        main.set_position([left, bottom, (across - (1.7 if bar else 1.1)) / width, (up - 1.1) / height])
        if bar:
            bar.set_aspect("auto")
            bar.set_position([left + (across - 1.6) / width, bottom, 0.12 / width, (up - 1.1) / height])
    figure.text(0.8 / width, 1 - 0.45 / height, title, fontsize=15, weight="bold")
    top = height - 0.3 - 0.35 * bool(title)
    for i, line in enumerate(lines):
        figure.text(0.8 / width, (top - 0.2 * i) / height, line, fontsize=8.5, family="monospace", color="#444444")


def _apart(main, bar) -> float:
    one, other = main.get_position(), bar.get_position()
    return abs(one.x1 - other.x0) + abs(one.y0 - other.y0)


def panels(result) -> list:
    """The figure of a result as HoloViews elements."""
    if isinstance(result, Compared):
        parts = {name: _of_run(part, (result.samples, result.beta)) for name, part in result.results.items()}
        return [_named(part, name.upper() if len(parts) > 1 else "") for name, found in parts.items() for part in found]
    if isinstance(result, Result):
        return _of_run(result, (samples(result.run), 1.0))
    if isinstance(result, SweepResult):
        return _posteriors(result) if isinstance(result.results[0], Posterior) else _sweep(result)
    return _posterior(result)


def _of_run(result: Result, seen: tuple[float, float]) -> list:
    """seen: n and beta of the posterior beside it."""
    return (_one_variable if result.run.landscape.dim == 1 else _two_variables)(result, seen)


def _named(part, name: str):
    """The panel with a name before its title."""
    for backend in ("matplotlib", "bokeh") if name else ():
        title = hv.Store.lookup_options(backend, part, "plot").kwargs.get("title", "")
        part = part.opts(backend=backend, title=f"{name}: {title}")
    return part


def _call(result) -> str:
    if isinstance(result, Compared):
        first, *others = (part.run for part in result.results.values())
        return "; ".join([repr(first), *(f"B: {other.rule!r}" for other in others)])
    run = getattr(result, "run", result)
    if not isinstance(result, SweepResult):
        return repr(run)
    return f"{run.parameter} = {', '.join(str(value) for value in run.values)} in {run.runs[0]!r}"


# Elements, drawn alike by both backends


def _styled(element, matplotlib: dict, bokeh: dict, **both):
    return element.opts(backend="matplotlib", **both, **matplotlib).opts(backend="bokeh", **both, **bokeh)


def _curve(x, y, across: str, up: str, label: str = "", color: str = BLUE, dash: str = "solid", width: float = 1.6):
    return _styled(
        hv.Curve((np.asarray(x, float), np.asarray(y, float)), across, up, label=label),
        {"linestyle": dash, "linewidth": width},
        {"line_dash": dash, "line_width": width},
        color=color,
    )


def _band(x, low, high, across: str, up: str, color: str = BLUE):
    return _styled(hv.Area((x, low, high), across, [up, "above"]), {"linewidth": 0}, {"line_alpha": 0}, color=color, alpha=0.25)


def _dots(points, color: str, label: str = "", size: float = 4, marker: str = "o"):
    return _styled(points.relabel(label), {"s": size**2, "linewidth": 0}, {"size": size}, color=color, marker=marker, alpha=0.8)


def _across(at: float, label: str = "", color: str = GREY):
    return _styled(hv.HLine(at, label=label), {"linestyle": "dashed", "linewidth": 1}, {"line_dash": "dashed", "line_width": 1}, color=color)


def _upright(at: float, label: str = "", color: str = GREY):
    return _styled(hv.VLine(at, label=label), {"linestyle": "dashed", "linewidth": 1}, {"line_dash": "dashed", "line_width": 1}, color=color)


def _panel(parts: list, title: str, legend: str = "top_right", **both):
    """An overlay with its title, axes, and a legend that hides nothing."""
    small = {"title": 11, "labels": 10, "ticks": 9, "legend": 8}
    return _styled(
        hv.Overlay(parts),
        {"fontsize": small, "legend_position": "best"},
        {"width": 520, "height": 360, "legend_position": legend, "legend_opts": {"background_fill_alpha": 0.6}},
        title=title,
        **both,
    )


# A run in one variable


def samples(run: Simulation) -> float:
    """n of the posterior that a run is compared with: what a sampler targets (n beta), else the samples that it has seen."""
    if hasattr(run.rule, "nbeta"):
        return run.rule.nbeta
    seen = run.steps * getattr(run.rule, "batch", 1)
    return min(seen, run.data.size) if isinstance(run.data, Finite) else min(seen, 10**9)


def _box(result: Result) -> tuple[float, float]:
    low, high = result.run.landscape.box[0]
    (first,), (last,) = result.run.start.bounds
    return min(low, first), max(high, last)


def _one_variable(result: Result, seen: tuple[float, float]) -> list:
    run, landscape = result.run, result.run.landscape
    low, high = _box(result)
    w = np.linspace(low, high, 1001)
    potential = run.data.vx * 0.5 * np.sum((landscape.Q(w[:, None]) - run.data.slope) ** 2, axis=-1)
    some = np.flatnonzero(np.isfinite(result.w[:, 0]))[: SHOWN[1]]
    level = lambda at: run.data.vx * 0.5 * np.sum((landscape.Q(at[..., None]) - run.data.slope) ** 2, axis=-1)  # noqa: E731
    top = 1.6 * max([level(np.array(b)) for b in landscape.barriers] or [np.quantile(potential, 0.9)])
    start, end = result.kept[0, some, 0], result.w[some, 0]
    terrain = [
        _curve(w, np.minimum(potential, 4 * top), "w", "K, nats per sample", "K(w)", "#000000"),
        *(_upright(barrier) for barrier in landscape.barriers),
        _dots(hv.Scatter((start, level(start)), "w", "K, nats per sample"), ORANGE, "start", 6, "^"),
        _dots(hv.Scatter((end, level(end)), "w", "K, nats per sample"), BLUE, "end", 6),
    ]
    edges = np.linspace(low, high, BINS + 1)
    counts = result.histogram(edges).astype(float)
    alive = np.maximum(np.isfinite(result.kept[..., 0]).sum(axis=1, keepdims=True), 1)
    density = np.where(counts > 0, counts / alive / (edges[1] - edges[0]), np.nan)
    gap = result.steps[1] - result.steps[0]
    even = 1 + int(result.steps[-1] // gap)  # the last frame may come early: an image needs equal columns
    image = hv.Image(density[:even].T[::-1], bounds=(-gap / 2, low, (even - 0.5) * gap, high), kdims=["step", "w"], vdims="density of w")
    image = _styled(
        image,
        {"fontsize": {"title": 11, "labels": 10, "ticks": 9}},
        {"width": 520, "height": 360},
        cmap="viridis",
        logz=True,
        colorbar=True,
        title="Density of w over time (of those still there)",
    )
    return [
        _panel(terrain, "Potential, starts and ends", "top_left", ylim=(-0.03 * top, top), xlim=(low, high)),
        image,
        _shares(result),
        _ends(result, 0, "w", edges, seen),
    ]


def _shares(result: Result):
    share, basins = result.share, result.share.shape[1]
    steps = np.arange(len(share))
    floor = 0.5 / max(result.survivors, 1)
    names = ["everywhere"] if basins == 1 else [f"basin {i + 1}" for i in range(basins)] if basins > 2 else ["left of the barrier", "right of it"]
    parts = [
        _curve(steps, np.where(share[:, i] > 0, share[:, i], np.nan), "step", "share of survivors", names[i], CYCLE[i], DASHES[i % 4])
        for i in range(basins)
    ]
    lost = result.shares.diverged / result.shares.n
    if lost[-1] > 0:
        parts.append(_curve(steps, np.where(lost > 0, lost, np.nan), "step", "share of survivors", "diverged, of all", GREY, "dotted"))
    fit = escape(result) if basins > 1 and result.survivors else None
    if fit is not None and fit.rate is not None:
        first, last = fit.window
        t = np.arange(first, last + 1)
        n = np.maximum(result.shares.among[t, 0], 1)
        line = np.exp(np.average(np.log(n), weights=n) - fit.rate * (t - np.average(t, weights=n))) / result.survivors
        parts.append(_curve(t, line, "step", "share of survivors", f"rate {fit.rate:.3f} ± {fit.stderr:.3f} a step", "#000000", "dashed", 1))
    title = f"Share per basin ({result.survivors:,} of {result.shares.n:,} survive)"
    return _panel(parts, title, "bottom_left", logy=True, ylim=(floor, 1.5))


def _ends(result: Result, axis: int, name: str, edges: np.ndarray, seen: tuple[float, float]):
    run, w = result.run, result.w[:, axis]
    w = w[np.isfinite(w)]
    heights = np.histogram(w, edges)[0] / max(len(w), 1) / (edges[1] - edges[0])
    n, beta = seen
    n = min(n, run.data.size) if isinstance(run.data, Finite) else n
    box = [list(pair) for pair in run.landscape.box]
    box[axis] = [float(edges[0]), float(edges[-1])]
    posterior = Posterior(run.landscape, n=n, beta=beta, data=run.data, box=tuple(map(tuple, box)))
    centres = np.linspace(edges[0], edges[-1], 8 * (len(edges) - 1) + 1)
    up = f"density of {name}"
    histogram = _styled(hv.Histogram((edges, heights), kdims=name, vdims=up, label="at the end"), {"edgecolor": SKY}, {"line_color": SKY}, color=SKY)
    words = f"posterior, n = {f'{n:,.0f}' if 1 <= n < 1e7 else f'{n:.3g}'}" + (f", β = {beta:g}" if beta != 1 else "")
    curve = _curve(centres, posterior.marginal(axis, centres), name, up, words, VERMILION)
    return _panel([histogram, curve], f"End distribution of {name}, and the posterior", "top_left")


# A run in two variables


def _two_variables(result: Result, posterior: tuple[float, float]) -> list:
    run, landscape = result.run, result.run.landscape
    alive = np.flatnonzero(np.isfinite(result.w[:, 0]))
    paths = result.kept[:, alive[: SHOWN[2]]]
    seen = result.kept[:, alive].reshape(-1, 2)
    if len(seen):
        reach = np.maximum(np.abs(np.quantile(seen, [0.002, 0.998], axis=0)).max(axis=0) * 1.15, 0.05)
    else:
        reach = np.array([max(map(abs, pair)) for pair in landscape.box])
    x, y = (np.linspace(-r, r, 241) for r in reach)
    k = landscape.K(np.stack(np.meshgrid(x, y), axis=-1))
    logk = np.log10(np.maximum(k, k[k > 0].min()))
    top = int(np.floor(logk.max()))
    lines = contour_generator(x, y, logk)
    contours = hv.Contours(
        [{"w1": line[:, 0], "w2": line[:, 1], "log10 K": level} for level in range(top, top - 10, -1) for line in lines.lines(level)],
        ["w1", "w2"],
        "log10 K",
    )
    contours = _styled(contours, {"linewidth": 1}, {"line_width": 1}, cmap="cividis_r", colorbar=True, show_legend=False)
    tracks = _styled(
        hv.Path([paths[:, i] for i in range(paths.shape[1])], ["w1", "w2"]), {"linewidth": 0.7}, {"line_width": 0.8}, color=BLUE, alpha=0.6
    )
    ends = [
        _dots(hv.Points(paths[at], ["w1", "w2"]), color, label, 6, mark)
        for at, color, label, mark in ((0, ORANGE, "start", "^"), (-1, BLUE, "end", "o"))
    ]
    limits = {"xlim": (-reach[0], reach[0]), "ylim": (-reach[1], reach[1])}
    plan = _panel([contours, tracks, *ends], f"log10 K, and {paths.shape[1]} of {len(alive):,} survivors (n = {run.n:,})", **limits)
    axis = 0 if landscape.line is not None and abs(landscape.line.along[0]) > abs(landscape.line.along[1]) else 1
    edges = np.linspace(-reach[axis], reach[axis], BINS + 1)
    first, *others = landscape.minima[:2]
    beside = [_distances(result, other, alive) if other.isolated else _losses(result, alive) for other in others]
    return [plan, _distances(result, first, alive), *beside, _ends(result, axis, f"w{axis + 1}", edges, posterior)]


def _distances(result: Result, minimum, alive: np.ndarray):
    return _over_time(result, result.distance(minimum)[:, alive], "distance", f"Distance to {minimum.name}: median of survivors, 5 % to 95 %")


def _losses(result: Result, alive: np.ndarray):
    loss = result.run.landscape.K(result.kept[:, alive])
    return _over_time(result, loss, "K", "Loss K, nats per sample: median of survivors, 5 % to 95 %")


def _over_time(result: Result, distance: np.ndarray, up: str, title: str):
    if not distance.shape[1]:
        return _panel([_curve([0], [np.nan], "step", up)], title)
    low, middle, high = np.quantile(distance, [0.05, 0.5, 0.95], axis=1)
    lowest = max(low.min(), FLOOR)
    log = bool(low.min() > 0 and high.max() / lowest > 20)
    limits = (0.7 * lowest, 1.4 * high.max()) if log else (0, 1.05 * high.max() or 1)
    parts = [_band(result.steps, low, high, "step", up), _curve(result.steps, middle, "step", up)]
    return _panel(parts, title, logy=log, ylim=limits)


# Sweeps and posteriors


def _spread(values) -> dict:
    numbers = [value for value in values if not isinstance(value, str)]
    return {"logx": bool(len(numbers) == len(values) and min(numbers) > 0 and max(numbers) / min(numbers) > 20)}


def _series(values, heights, errors, across: str, up: str, title: str, extra=(), **both):
    if any(isinstance(value, str) for value in values):
        names = [str(value).replace(", ", ",\n") for value in values]  # in two lines: long names would run together
        bars = _styled(hv.Bars(list(zip(names, heights, strict=True)), across, up), {}, {}, color=BLUE)
        slant = {"xrotation": 12} if sum(max(map(len, name.split("\n"))) for name in names) > 44 else {}
        return _panel([bars, *extra], title, **slant, **both)
    x, heights = np.asarray(values, float), np.asarray(heights, float)
    parts = [_curve(x, heights, across, up, width=1), _dots(hv.Scatter((x, heights), across, up), BLUE, size=6)]
    if errors is not None:
        bars = hv.ErrorBars((x, heights, np.nan_to_num(np.asarray(errors, float))), across, [up, "error"])
        parts.append(_styled(bars, {"edgecolor": BLUE}, {"color": BLUE}))
    return _panel([*parts, *extra], title, padding=0.05, **_spread(values), **both)


def _sweep(result: SweepResult) -> list:
    name, values, outs = result.run.parameter, result.run.values, result.results
    figures = []
    if all(out.run.landscape.barriers for out in outs):
        fits = [escape(out) if out.survivors else None for out in outs]
        rates = [fit.rate if fit and fit.rate is not None else np.nan for fit in fits]
        errors = [fit.stderr if fit and fit.stderr is not None else np.nan for fit in fits]
        if np.isfinite(rates).any():
            figures.append(_series(values, rates, errors, name, "escape rate, per step", "Escape rate of survivors (one standard error)"))
        figures.append(
            _series(values, [crossed(out) for out in outs], None, name, "share", "Right of the barrier at the end, share of all", ylim=(0, 1.05))
        )
    else:
        minimum = outs[0].run.landscape.minima[0]
        ends = [minimum.distance(out.w[np.isfinite(out.w[:, 0])]) for out in outs]
        middle = [np.median(end) if len(end) else np.nan for end in ends]
        figures.append(_series(values, middle, None, name, "distance", f"Median distance to {minimum.name} at the end, survivors"))
    alive = [out.survivors / out.shares.n for out in outs]
    return [*figures, _series(values, alive, None, name, "share", "Survivors, share of all", ylim=(0, 1.05))]


def _density(posterior: Posterior, axis: int, label: str, i: int = 0):
    name = "w" if posterior.landscape.dim == 1 else f"w{axis + 1}"
    edges = np.linspace(*posterior.box[axis], FINE + 1)  # of each cell its mean: a peak that is narrower keeps its mass
    w = (edges[:-1] + edges[1:]) / 2
    return _curve(w, posterior.bins(edges, axis) / np.diff(edges), name, f"density of {name}", label, CYCLE[i % len(CYCLE)], DASHES[i % len(DASHES)])


def _posteriors(result: SweepResult) -> list:
    name, values, parts = result.run.parameter, result.run.values, result.results
    landscape = parts[0].landscape
    axis = landscape.dim - 1
    curves = [_density(part, axis, f"{name} = {value:,}", i) for i, (value, part) in enumerate(zip(values, parts, strict=True))]
    peak = max(np.quantile(curve.dimension_values(1), 0.99) for curve in curves)
    figures = [_panel(curves, f"Posterior, normalised: means over {FINE} cells", ylim=(0, 1.2 * peak))]
    if landscape.barriers:
        left = [part.masses()[0] for part in parts]
        figures.append(_series(values, left, None, name, "mass", "Posterior mass left of the barrier", logy=True))
    estimates = [part.n * part.beta * part.mean_potential() for part in parts]
    lam = min(minimum.lam for minimum in landscape.minima)
    exact = [_across(float(lam), "")]
    figures.append(_series(values, estimates, None, name, "n β E[K]", f"n β E[K], and λ = {lam} (dashed)", exact))
    return figures


def _posterior(posterior: Posterior) -> list:
    landscape = posterior.landscape
    figures = []
    if landscape.dim == 1:
        w = np.linspace(*posterior.box[0], 1001)
        k = landscape.K(w[:, None])
        top = 1.6 * max([float(landscape.K((barrier,))) for barrier in landscape.barriers] or [k.max() / 1.6])
        parts = [_curve(w, np.minimum(k, 4 * top), "w", "K, nats per sample", "", "#000000"), *(_upright(barrier) for barrier in landscape.barriers)]
        figures.append(_panel(parts, "Potential, and its barrier", ylim=(-0.03 * top, top)))
    return [*figures, *(_panel([_density(posterior, axis, "")], "Posterior, normalised") for axis in range(landscape.dim))]
