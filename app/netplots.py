"""The figure of a preset of networks: its `Panel`s over its rows, with what is exact as lines, drawn by Matplotlib alone."""

import io
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from nets.experiment import Row
from nets.verdict import Panel, Preset, Verdict, column, where

CYCLE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")  # Okabe & Ito 2008
MARKS, DASHES = "o^sDvP*", ("-", "--", ":", "-.")  # never colour alone
GREY = "#8a8a8a"
EXACT = {"lambda_exact": "exact λ", "lambda_global": "global λ", "lambda_local": "local λ", "regular": "regular part", "claimed": "claimed"}
EXACT |= {"half": "half the parameters", "expected": "expected of so short a chain"}
LEGEND = 12  # curves at most that are named
SHADES = (("-", GREY), ("--", "#000000"), (":", "#555555"), ("-.", "#b0b0b0"))


def draw(preset: Preset, rows: Sequence[Row], path: str, verdict: Verdict, share: float = 1.0) -> None:
    """Write the figure to `path`, by its suffix."""
    figure(preset, rows, verdict, share).savefig(path, dpi=140, facecolor="white")


def recorded(preset: Preset, rows: Sequence[Row], verdict: Verdict, share: float = 1.0, most: int = 20) -> Iterator[tuple[str, bytes]]:
    """(how far, PNG) as the run went on, `most` at most, all on the axes of its end: by epoch or step where the rows have one, else row by row."""
    for label, part in moments(rows, most):
        drawn, small = io.BytesIO(), io.BytesIO()
        figure(preset, part, verdict, share, rows).savefig(drawn, format="png", dpi=90, facecolor="white")
        Image.open(drawn).convert("RGB").quantize(64).save(small, "PNG", optimize=True)  # a third of the bytes
        yield label, small.getvalue()


def moments(rows: Sequence[Row], most: int) -> Iterator[tuple[str, list[Row]]]:
    """What there was until then, and its name; the last is everything."""
    for name in ("epoch", "step"):
        values = sorted({row[name] for row in rows if row.get(name) is not None})
        if len(values) > 2 and all(name in row for row in rows):
            for i in _spread(len(values), most):
                yield f"{name} {values[i]:,.6g}", [row for row in rows if row[name] is None or row[name] <= values[i]]
            return
    for i in _spread(len(rows), most):
        yield f"{i + 1} of {len(rows)}", list(rows[: i + 1])


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def figure(preset: Preset, rows: Sequence[Row], verdict: Verdict, share: float = 1.0, whole: Sequence[Row] | None = None) -> Figure:
    """Panels on a grid under the title and what was found; one that waits for rows of a kind that is not there is left out.

    whole: rows whose panels and axes these ones are drawn on.
    """
    panels = [panel for panel in preset.panels if not panel.only or where(whole or rows, **dict(panel.only))] or preset.panels[:1]
    count = len(panels)
    columns = min(count, 3 if count == 3 else 2)
    lines = textwrap.wrap(f"Claim: “{preset.claim}”", 62 * columns) + textwrap.wrap(verdict.text, 62 * columns)
    if share < 1:
        lines.append(f"Interrupted after {share:.0%} of the work.")
    down = -(-count // columns)
    head = 0.75 + 0.17 * len(lines)
    height = 3.7 * down + head
    made = Figure(figsize=(5.4 * columns, height))
    grid = made.subplots(down, columns, squeeze=False)
    left = 0.8 / (5.4 * columns)
    made.subplots_adjust(left, 0.6 / height, 1 - 0.15 / (5.4 * columns), 1 - (head + 0.35) / height, 0.25, 0.4)
    for axes, panel in zip(grid.flat, panels, strict=False):
        if whole is None:
            _panel(axes, panel, rows)
            continue
        _panel(axes, panel, whole)
        ends = {"xlim": axes.get_xlim(), "ylim": axes.get_ylim()}
        for artist in (*axes.containers, *axes.lines, *axes.collections):
            artist.remove()
        _panel(axes, panel, rows)
        axes.set(**ends)
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    made.text(left, 1 - 0.35 / height, preset.title, fontsize=14, weight="bold")
    made.text(left, 1 - 0.58 / height, preset.cite, fontsize=8.5, color="#444444")
    for i, line in enumerate(lines):
        made.text(left, 1 - (0.8 + 0.17 * i) / height, line, fontsize=8.5)
    return made


def _panel(axes, panel: Panel, rows: Sequence[Row]) -> None:
    rows = [row for row in where(rows, **dict(panel.only)) if row.get(panel.x) is not None and row.get(panel.y) is not None]
    if panel.last and rows:
        rows = where(rows, epoch=max(row["epoch"] for row in rows))
    axes.set_title(panel.title, fontsize=10.5)
    axes.set_xlabel(panel.x, fontsize=9)
    axes.tick_params(labelsize=8)
    groups = list(dict.fromkeys(tuple(row.get(name) for name in panel.by) for row in rows))
    each = [where(rows, **dict(zip(panel.by, key, strict=True))) for key in groups]
    shown = np.concatenate([_curve(axes, panel, those, key, i) for i, (key, those) in enumerate(zip(groups, each, strict=True))] or [[]])
    drawn = _exact(axes, panel, each)
    if panel.zero:
        axes.axhline(0, color=GREY, linewidth=1, linestyle="--")
    _scales(axes, panel, rows, shown)
    if panel.kind == "diagonal" and len(shown):
        ends = np.array([value for value in axes.get_xlim() if value > 0 or not panel.logx])
        axes.plot(ends, ends, color=GREY, linewidth=1, linestyle="--", label="exact")
        axes.set_xlim(ends[0], ends[-1])
    named = axes.get_legend_handles_labels()[1]
    if 1 < len(named) <= LEGEND + drawn or (named and panel.kind == "diagonal"):
        axes.legend(fontsize=7.5, framealpha=0.6)


def _curve(axes, panel: Panel, rows: Sequence[Row], key: tuple, i: int) -> np.ndarray:
    """Draw one group; the values that are finite."""
    x, y = column(rows, panel.x), column(rows, panel.y)
    error = column(rows, panel.error) if panel.error else None
    color = CYCLE[i % len(CYCLE)]
    label = ", ".join(value if isinstance(value, str) else f"{name} {value}" for name, value in zip(panel.by, key, strict=True))
    if panel.kind == "line":
        axes.plot(x, y, DASHES[(i // len(CYCLE) + i) % 4], marker=MARKS[i % len(MARKS)], markersize=3.5, linewidth=1.3, color=color, label=label)
        if error is not None:
            axes.fill_between(x, y - error, y + error, color=color, alpha=0.15, linewidth=0)
    else:
        few = error is not None and len(x) < 200
        axes.errorbar(x, y, error if few else None, fmt=MARKS[i % len(MARKS)], markersize=4, linewidth=1, alpha=0.8, color=color, label=label)
    return y[np.isfinite(y)]


def _exact(axes, panel: Panel, groups: list[list[Row]]) -> int:
    """Draw the exact columns along x, named once each; how many."""
    for name, (dash, color) in zip(panel.exact, SHADES, strict=False):
        for i, group in enumerate(groups):
            those = [row for row in group if row.get(name) is not None]
            order = np.argsort(column(those, panel.x), kind="stable")
            x, y = column(those, panel.x)[order], column(those, name)[order]
            axes.plot(x, y, dash, color=color, linewidth=1.1, label=EXACT.get(name, name) if i == 0 else None)
    return len(panel.exact)


def _scales(axes, panel: Panel, rows: Sequence[Row], shown: np.ndarray) -> None:
    x = column(rows, panel.x)
    x = x[np.isfinite(x)]
    if panel.logx and len(x):
        axes.set_xscale("log") if x.min() > 0 else axes.set_xscale("symlog", linthresh=min(x[x > 0], default=1.0))
    if panel.logy and len(shown) and shown.min() > 0:
        axes.set_yscale("log")
    if panel.y == "smallest" and len(shown) and shown.min() < -1:
        axes.set_yscale("symlog", linthresh=1e-3)
