"""The maps of the escape lab on paper, drawn by Matplotlib (.png, .svg, .pdf): the browser draws its own (escape.js)."""

import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from app.escape import Shown, fixed, says
from app.paper import LINE, WORDS, headed

MAPS = {"rate": "Sampled escape rate, per step", "exact": "Exact escape rate, per step", "z": "Sampled − exact, in standard errors"}
FAR = 4  # standard errors at the ends of the scale, as in escape.js
NONE = "#e9edf1"
WIDE, TALL = 5.2, 4.2


def draw(shown: Shown, title: str, maps: Sequence[str] = ("rate", "exact")) -> Figure:
    """The maps beside each other; grey: nobody left, or an exact rate below the scale; white: not computed, or no exact rate."""
    given, lines = fixed(shown.value), textwrap.wrap(says(shown.value.phase, shown.frame), WORDS * len(maps))
    about = f"{given['rule']}, {given['n']:,} trajectories a cell, {given['steps']:,} steps, K = Q²/2, Q = {given['q']}. "
    about += "Dashed: stability line; solid: gradient descent leaves without noise; grey: none left, or an exact rate below the scale."
    about = textwrap.wrap(about, WORDS * len(maps))
    head = 0.6 + LINE * (len(lines) + len(about))
    width, height = WIDE * len(maps), TALL + head
    sheet = Figure(figsize=(width, height))
    headed(sheet, title, about, lines)
    for i, name in enumerate(maps):
        axes = sheet.add_axes(((i * WIDE + 0.75) / width, 0.6 / height, (WIDE - 1.75) / width, (TALL - 0.95) / height))
        bar = sheet.add_axes(((i * WIDE + WIDE - 0.85) / width, 0.6 / height, 0.13 / width, (TALL - 0.95) / height))
        _map(axes, bar, name, shown, given)
    return sheet


def _map(axes, bar, name: str, shown: Shown, given: dict) -> None:
    frame, (low, high) = shown.frame, given["scale"]
    values = np.where(frame.done, np.minimum(getattr(frame, name), 1 if name != "z" else np.inf), np.nan)
    if name == "z":
        norm, colours = Normalize(-FAR, FAR), "PuOr_r"
        drawn = np.clip(values, -FAR, FAR)
    else:
        norm, colours = LogNorm(10.0**low, 10.0**high), "viridis"
        axes.pcolormesh(np.where(values < 10.0**low, 0.0, np.nan), cmap=ListedColormap([NONE]))
        drawn = np.where(values < 10.0**low, np.nan, values)
    axes.pcolormesh(drawn, cmap=colours, norm=norm)
    axes.figure.colorbar(ScalarMappable(norm, colours), cax=bar).ax.tick_params(labelsize=7.5)
    axes.set_title(MAPS[name], fontsize=9, weight="bold", loc="left")
    for axis, place in (("x", given["x"]), ("y", given["y"])):
        every = max(1, -(-len(place["values"]) // 8))
        at = range(0, len(place["values"]), every)
        getattr(axes, f"set_{axis}ticks")([k + 0.5 for k in at], [f"{place['values'][k]:g}" for k in at], fontsize=7.5)
        getattr(axes, f"set_{axis}label")(place["label"], fontsize=8)
    for line, style in (("stable", "--"), ("crisis", "-")):
        points = np.array([point or (np.nan, np.nan) for point in shown.lines.get(line, [])], float).reshape(-1, 2)
        axes.plot(*(points.T + 0.5), style, color="white", linewidth=1.8, path_effects=[withStroke(linewidth=3.4, foreground="black")])
    axes.set(xlim=(0, drawn.shape[1]), ylim=(0, drawn.shape[0]))
