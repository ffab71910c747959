"""Figures of the page on deep linear networks: empty ones with named sources, and their headings."""

from bokeh.models import LabelSet
from bokeh.plotting import figure

from app.figures import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, canvas, source
from app.page import Cell


def _texts(fig: figure, name: str, **place) -> None:
    look = {"text_color": INK, "text_font_size": "11px", "background_fill_color": "white", "background_fill_alpha": 0.6}
    fig.add_layout(LabelSet(x="x", y="y", text="text", source=source(name, "x", "y", "text"), **look | place))


def network_figure() -> figure:
    """Widths as bars; the rank of W_s ... W_1 on the stratum that has lambda, and on that of the chosen point."""
    fig = canvas("net", "layer s", "width, rank")
    fig.xaxis.ticker.min_interval = fig.yaxis.ticker.min_interval = 1
    fig.vbar("x", 0.72, "top", source=source("net-bars", "x", "top"), fill_color=GREY, fill_alpha=0.3, line_color=GREY)
    fig.line("x", "y", source=source("net-rank", "x", "y"), line_color=GREY, line_dash="dotted", line_width=2)
    fig.line("x", "y", source=source("net-best", "x", "y"), line_color=GREEN, line_width=3)
    fig.line("x", "y", source=source("net-here", "x", "y"), line_color=PURPLE, line_width=2.5, line_dash="dashed")
    _texts(fig, "net-width", y_offset=3, text_align="center")
    _texts(fig, "net-lost", x_offset=4, text_align="left", text_color=GREEN, text_font_style="bold")
    return fig


def curve_figure(name: str, x: str) -> figure:
    """lambda along one change of the network, with the present state marked."""
    fig = canvas(name, x, "λ")
    fig.xaxis.ticker.min_interval = 1
    fig.line("x", "half", source=source(f"{name}-curve", "x", "lam", "regular", "half"), line_color=GREY, line_width=2, line_dash="dotted")
    curve = fig.renderers[-1].data_source
    fig.line("x", "regular", source=curve, line_color=ORANGE, line_width=2, line_dash="dashed")
    fig.line("x", "lam", source=curve, line_color=GREEN, line_width=2.5)
    fig.scatter("x", "lam", source=source(f"{name}-dots", "x", "lam"), size=5, color=GREEN)
    fig.scatter("x", "y", source=source(f"{name}-local", "x", "y"), size=11, marker="diamond", color=PURPLE)
    fig.scatter("x", "y", source=source(f"{name}-now", "x", "y"), size=13, marker="circle", fill_alpha=0, line_color=INK, line_width=2.5)
    _texts(fig, f"{name}-many", y_offset=5, text_align="center")
    return fig


def loss_figure() -> figure:
    """The staircase, and its exact treads."""
    fig = canvas("loss", "step", "training loss", y_axis_type="log", y_range=(0.5, 2000))
    fig.multi_line("x", "y", source=source("loss-exact", "x", "y"), line_color=GREEN, line_dash="dashed", line_width=1.5)
    fig.line("x", "y", source=source("loss-run", "x", "y"), line_color=BLUE, line_width=2.5)
    _texts(fig, "loss-text", y_offset=2, text_align="right", text_color=GREEN)
    return fig


def singular_figure() -> figure:
    """Singular values of the map, and the teacher's."""
    fig = canvas("singular", "step", "singular values")
    fig.multi_line("x", "y", source=source("singular-exact", "x", "y"), line_color=GREEN, line_dash="dashed", line_width=1.5)
    fig.multi_line("x", "y", source=source("singular-run", "x", "y"), line_color=BLUE, line_width=2.5)
    return fig


def estimate_figure() -> figure:
    """lambda-hat with its error, and the three exact values."""
    fig = canvas("estimate", "step", "λ̂")
    lines = source("estimate-lines", "x", "regular", "total", "local")
    fig.line("x", "total", source=lines, line_color=GREEN, line_width=3)
    fig.line("x", "local", source=lines, line_color=PURPLE, line_width=2.5, line_dash="dashed")
    fig.step("x", "regular", source=lines, mode="after", line_color=ORANGE, line_width=2.5)
    points = source("estimate-run", "x", "mean", "low", "high")
    fig.segment("x", "low", "x", "high", source=points, line_color=BLUE, line_alpha=0.5, line_width=1.5)
    fig.scatter("x", "mean", source=points, size=4, color=BLUE)
    fig.line("x", "y", source=source("estimate-expected", "x", "y"), line_color=INK, line_width=2, line_dash="dotted")
    return fig


def cloud_figure() -> figure:
    """Random networks: lambda, and the regular part alone."""
    fig = canvas("cloud", "hidden layers", "λ", range(4), x_axis_type="log", y_axis_type="log", y_range=(1e3, 3e6))
    fig.yaxis.ticker.ticks = [10.0**k for k in range(3, 7)]
    for name, colour in (("regular", ORANGE), ("lam", GREEN)):
        fig.scatter("x", "y", source=source(f"cloud-{name}", "x", "y"), size=4, color=colour, alpha=0.6)
    return fig


CELLS = {
    "net": Cell(
        "Where λ is attained",
        "Grey bars: widths H₀ … H_L. Green: the rank that is left after s layers on a stratum of weights with the smallest codimension, "
        "which is 2λ; numbers: how much rank a layer loses. Purple: the same for strata near your point.",
        network_figure,
    ),
    "depth": Cell(
        "λ against depth",
        "Exact, for this input, output and rank, with 0, 1, 2, … hidden layers: the widths you have, and again from the first. m: "
        "the multiplicity, of some of the points where it is above 1. Circle: the present network; diamond: its chosen point.",
        lambda: curve_figure("depth", "hidden layers"),
    ),
    "width": Cell(
        "λ against width",
        "Exact, for this depth and rank, all hidden layers of one width. Circle: the present network, if its hidden layers are of one width.",
        lambda: curve_figure("width", "width of all hidden layers"),
    ),
    "loss": Cell(
        "Training loss",
        "Loss on all data; dashed: its exact plateaus, with 0, 1, 2, … directions of the teacher learned.",
        loss_figure,
    ),
    "singular": Cell(
        "Directions learned",
        "Singular values of W_L ⋯ W₁; dashed: those of the teacher. They are learned one by one.",
        singular_figure,
    ),
    "estimate": Cell(
        "λ̂ on the way",
        "Short SGLD chains from the weights at that step, on data that these weights explain; bars: one standard error. Lines: exact values at the "
        "rank learned so far. Expected: what such chains read on average, from the curvatures there, the step, the tether and the number of draws.",
        estimate_figure,
    ),
    "rank": Cell(
        "λ against rank",
        "Exact, for these widths. Circle: the present rank; diamond: the chosen point.",
        lambda: curve_figure("rank", "rank of the map"),
    ),
    "cloud": Cell(
        "Random networks",
        "300 random networks as in Figure 7 of “LLC at scale”: 2 … 800 hidden layers, widths 100 … 2000, rank 0 … smallest width. "
        "They do not depend on the controls.",
        cloud_figure,
    ),
}
TRAINED = ("loss", "singular", "estimate")
