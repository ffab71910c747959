"""A page's figures on paper: drawn by Matplotlib from what their Bokeh twins hold just now, with their headings and legends (.png, .svg, .pdf).

One function for each kind of glyph that the pages use; a kind that is not here is an error, so that no curve is left out silently.
"""

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from bokeh.core.property.vectorization import Field, Value
from bokeh.models import LabelSet, LogScale
from bokeh.plotting import figure as BokehFigure
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from app.figures import BLUE, GREEN, GREY, INK, ORANGE, PURPLE

COLOURS = {"a": BLUE, "b": ORANGE, "exact": GREEN, "g": GREEN, "bayes": GREY, "steep": PURPLE, "h": ORANGE, "ink": INK}  # as in lab.css
DASHES = {"solid": "-", "dashed": "--", "dotted": ":", "line": "-", "dash": "--", "dots": ":"}
MARKERS = {"circle": "o", "square": "s", "diamond": "D", "triangle": "^"}
SOFT = "#555555"
POINTS = 0.72  # of a pixel of the page
WIDE, TALL = 4.3, 2.9  # inches of a figure with its axes
LINE = 0.165  # inches of a line of text
WORDS = 62  # letters in a line over one figure
DPI = 140

Legend = Sequence[tuple[str, str]]  # (classes, text), as the pages have it


class Axis(NamedTuple):
    label: str
    low: float
    high: float
    log: bool
    whole: bool


class Plate(NamedTuple):
    """All that a figure shows at one moment."""

    title: str
    legend: Legend
    x: Axis
    y: Axis
    grid: bool
    glyphs: list[tuple[object, Mapping]]  # a glyph or a set of labels, and the columns it draws


def plate(plot: BokehFigure, title: str, legend: Legend) -> Plate:
    """What a figure shows now; quick, and nothing that is drawn later changes it."""
    axes = [
        Axis(axis.axis_label or "", ends.start, ends.end, isinstance(scale, LogScale), getattr(axis.ticker, "min_interval", 0) == 1)
        for axis, scale, ends in ((plot.xaxis[0], plot.x_scale, plot.x_range), (plot.yaxis[0], plot.y_scale, plot.y_range))
    ]
    glyphs = [(renderer.glyph, dict(renderer.data_source.data)) for renderer in plot.renderers if renderer.visible]
    labels = [(label, dict(label.source.data)) for label in plot.select({"type": LabelSet})]
    return Plate(title, [tuple(chip) for chip in legend], *axes, plot.grid[0].grid_line_color is not None, glyphs + labels)


def draw(plates: Sequence[Plate], title: str, says: str = "", cite: str = "") -> Figure:
    """All of them on one sheet, in their order, under a title and the sentence that the page says of them."""
    columns = 1 if len(plates) == 1 else 2 if len(plates) in (2, 4) else 3
    rows = -(-len(plates) // columns)
    width = WIDE * columns
    lines = textwrap.wrap(says, int(WORDS * columns * 1.05))
    above = [1 + len(_packed(plate.legend)) for plate in plates]
    heads = [max(above[row * columns : (row + 1) * columns]) * LINE + 0.2 for row in range(rows)]
    head = 0.52 + LINE * (len(lines) + bool(cite))
    height = head + sum(heads) + TALL * rows
    sheet = Figure(figsize=(width, height))
    headed(sheet, title, [cite] if cite else [], lines)
    down = height - head
    for i, plate in enumerate(plates):
        row, column = divmod(i, columns)
        if column == 0:
            down -= heads[row] + (TALL if row else 0)
        axes = sheet.add_axes(((column * WIDE + 0.62) / width, (down - TALL + 0.5) / height, (WIDE - 0.82) / width, (TALL - 0.5) / height))
        _plate(axes, plate)
        _head(sheet, column * WIDE + 0.15, down + heads[row] - 0.1, plate)
    return sheet


def headed(sheet: Figure, title: str, about: Iterable[str], lines: Iterable[str]) -> None:
    """A title on top, lines on where it is from, and lines of text."""
    width, height = sheet.get_size_inches()
    sheet.text(0.15 / width, 1 - 0.32 / height, title, fontsize=13, weight="bold")
    for i, (line, colour) in enumerate([(line, SOFT) for line in about] + [(line, INK) for line in lines], 1):
        sheet.text(0.15 / width, 1 - (0.37 + LINE * i) / height, line, fontsize=8, color=colour)


def written(sheet: Figure, suffix: str, dpi: float = DPI) -> bytes:
    """The sheet as a file of that kind: .png, .svg or .pdf."""
    made = io.BytesIO()
    sheet.savefig(made, format=suffix.removeprefix("."), dpi=dpi, facecolor="white")
    return made.getvalue()


# Legends


def _packed(legend: Legend) -> list[list[tuple[str, str]]]:
    """Chips in lines of at most WORDS letters; sentences have lines of their own."""
    lines: list[list[tuple[str, str]]] = []
    room = 0
    for kind, text in legend:
        if kind == "hint":  # on what to do, which nobody can on paper
            continue
        if kind == "words":
            lines += [[(kind, line)] for line in textwrap.wrap(text, WORDS)]
            room = 0
            continue
        if room < len(text) + 6:
            lines.append([])
            room = WORDS
        lines[-1].append((kind, text))
        room -= len(text) + 6
    return lines


def _head(sheet: Figure, left: float, top: float, plate: Plate) -> None:
    """A figure's heading, and its chips below it."""
    width, height = sheet.get_size_inches()
    sheet.text(left / width, (top - LINE) / height, plate.title, fontsize=9, weight="bold", va="bottom")
    for i, line in enumerate(_packed(plate.legend), 2):
        x, y = left, top - LINE * i
        for kind, text in line:
            if kind != "words":
                _chip(sheet, kind.split(), x, y + 0.055)
                x += 0.32
            sheet.text(x / width, y / height, text, fontsize=7.5, va="bottom", color=SOFT if kind == "words" else INK)
            x += 0.062 * len(text) + 0.16


def _chip(sheet: Figure, kind: list[str], x: float, y: float) -> None:
    width, height = sheet.get_size_inches()
    colour = next((COLOURS[name] for name in kind if name in COLOURS), INK)
    dash = next((DASHES[name] for name in kind if name in DASHES), None)
    if dash is None:
        sheet.add_artist(Rectangle((x / width, (y - 0.035) / height), 0.24 / width, 0.08 / height, color=colour, linewidth=0))
    else:
        sheet.add_artist(Line2D([x / width, (x + 0.25) / width], [y / height] * 2, color=colour, linestyle=dash, linewidth=1.6))


# Figures


def _plate(axes, plate: Plate) -> None:
    for name, (label, low, high, log, whole) in (("x", plate.x), ("y", plate.y)):
        if log:
            getattr(axes, f"set_{name}scale")("log")
        elif whole:
            getattr(axes, f"{name}axis").set_major_locator(MaxNLocator(integer=True))
        getattr(axes, f"set_{name}lim")(low, high)
        getattr(axes, f"set_{name}label")(label, fontsize=8)
    axes.tick_params(labelsize=7.5)
    axes.minorticks_off()
    axes.grid(visible=plate.grid, **({"alpha": 0.3, "linewidth": 0.6} if plate.grid else {}))
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    for glyph, data in plate.glyphs:
        GLYPHS[type(glyph).__name__](axes, lambda name, glyph=glyph, data=data: _value(glyph, name, data))


def _value(owner, name: str, data: Mapping):
    """A property of a glyph: the column that it names, or itself."""
    value = getattr(owner, name)
    if isinstance(value, Value):
        return value.value
    name = value.field if isinstance(value, Field) else value
    if isinstance(name, str) and name in data:
        return data[name]
    return value


def _numbers(values) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], float)


def _each(value, count: int) -> list:
    return [value] * count if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) else list(value)


def _stroke(read: Callable) -> dict:
    return {"linewidth": POINTS * read("line_width"), "alpha": read("line_alpha")}


def _dash(read: Callable) -> str | tuple:
    """Bokeh keeps a dash as lengths; what it was called is found by them."""
    dash = read("line_dash")
    return DASHES.get(dash, "-") if isinstance(dash, str) else {0: "-", 6: "--", 2: ":"}.get(dash[0] if dash else 0, "--")


def _line(axes, read) -> None:
    axes.plot(_numbers(read("x")), _numbers(read("y")), _dash(read), color=read("line_color"), **_stroke(read))


def _step(axes, read) -> None:
    where = {"after": "post", "before": "pre", "center": "mid"}[read("mode")]
    axes.step(_numbers(read("x")), _numbers(read("y")), where=where, linestyle=_dash(read), color=read("line_color"), **_stroke(read))


def _multi_line(axes, read) -> None:
    xs, ys = read("xs"), read("ys")
    for x, y, colour in zip(xs, ys, _each(read("line_color"), len(xs)), strict=True):
        axes.plot(_numbers(x), _numbers(y), _dash(read), color=colour, **_stroke(read))


def _segment(axes, read) -> None:
    x0, y0, x1, y1 = (_numbers(read(name)) for name in ("x0", "y0", "x1", "y1"))
    axes.plot([x0, x1], [y0, y1], color=read("line_color"), **_stroke(read))


def _varea(axes, read) -> None:
    axes.fill_between(
        _numbers(read("x")), _numbers(read("y1")), _numbers(read("y2")), color=read("fill_color"), alpha=read("fill_alpha"), linewidth=0
    )


def _scatter(axes, read) -> None:
    size, fill, edge = read("size"), read("fill_color"), read("line_color")
    hollow = fill is None or read("fill_alpha") == 0
    axes.plot(
        _numbers(read("x")),
        _numbers(read("y")),
        MARKERS[read("marker")],
        markersize=POINTS * size,
        markerfacecolor="none" if hollow else fill,
        markeredgecolor=edge if edge is not None else "none",
        markeredgewidth=POINTS * read("line_width"),
        alpha=None if hollow else read("fill_alpha"),
        linestyle="none",
    )


def _boxes(axes, read, ends) -> None:
    left, right, bottom, top = (_numbers(values) for values in ends)
    fills, alpha = _each(read("fill_color"), len(left)), read("fill_alpha")
    for x0, x1, y0, y1, fill in zip(left, right, bottom, top, fills, strict=True):
        box = Rectangle((x0, y0), x1 - x0, y1 - y0, linewidth=POINTS * read("line_width"), edgecolor=read("line_color"), zorder=2)
        box.set_facecolor("none" if alpha == 0 or fill is None else (fill, alpha))
        axes.add_patch(box)


def _quad(axes, read) -> None:
    _boxes(axes, read, [read(name) for name in ("left", "right", "bottom", "top")])


def _vbar(axes, read) -> None:
    x, half = _numbers(read("x")), read("width") / 2
    _boxes(axes, read, [x - half, x + half, np.broadcast_to(read("bottom"), x.shape), _numbers(read("top"))])


def _texts(axes, read) -> None:
    """Of the glyph Text and of a LabelSet."""
    x, y = _numbers(read("x")), _numbers(read("y"))
    offset = POINTS * float(read("x_offset")), POINTS * float(read("y_offset"))
    place = {"ha": read("text_align"), "va": {"middle": "center", "alphabetic": "baseline"}.get(read("text_baseline"), read("text_baseline"))}
    size = POINTS * float(re.sub(r"[^\d.]", "", str(read("text_font_size"))))
    for at, up, text, colour in zip(x, y, read("text"), _each(read("text_color"), len(x)), strict=True):
        if math.isfinite(at) and math.isfinite(up):
            axes.annotate(
                str(text),
                (at, up),
                offset,
                textcoords="offset points",
                fontsize=size,
                color=colour,
                weight=read("text_font_style") if read("text_font_style") == "bold" else "normal",
                path_effects=[withStroke(linewidth=2, foreground="white")] if isinstance(read("text_color"), str) else None,
                annotation_clip=True,
                **place,
            )


GLYPHS: dict[str, Callable] = {
    "Line": _line,
    "Step": _step,
    "MultiLine": _multi_line,
    "Segment": _segment,
    "VArea": _varea,
    "Scatter": _scatter,
    "Quad": _quad,
    "VBar": _vbar,
    "Text": _texts,
    "LabelSet": _texts,
}
