"""The LLC lab's figures: empty ones with named sources, which llcpicture.py fills, and their headings."""

from bokeh.models import FixedTicker, LogTicker
from bokeh.plotting import figure

from app.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, canvas, source
from app.page import Cell


def traces() -> figure:
    """Loss above that of w*, in units of temperature, of some chains."""
    fig = canvas("chains", "draw after burn-in", "nβ (L − L*)")
    fig.multi_line("xs", "ys", source=source("traces", "xs", "ys", "colour"), line_color="colour", line_width=1, line_alpha=0.75)
    fig.line("x", "y", source=source("level", "x", "y"), line_color=GREEN, line_width=2.5)
    return fig


def lambda_hat() -> figure:
    """The running estimate with its error, that of single chains, and what is exact."""
    fig = canvas("lambda", "draws per chain", "λ̂")
    fig.multi_line("xs", "ys", source=source("each", "xs", "ys", "colour"), line_color="colour", line_width=1, line_alpha=0.4)
    trace = source("running", "x", "low", "middle", "high")
    fig.varea("x", "low", "high", source=trace, fill_color=BLUE, fill_alpha=0.2)
    looks = {
        "regular": (GREY, "dotted", 2),
        "overall": (GREEN, "dashed", 2),
        "local": (GREEN, "solid", 2),
        "actual": (PURPLE, "dotted", 3),
        "ideal": (ORANGE, "dashed", 2),
    }
    for name, (shade, dash, width) in looks.items():
        fig.line("x", "y", source=source(name, "x", "y"), line_color=shade, line_dash=dash, line_width=width)
    fig.line("x", "middle", source=trace, line_color=BLUE, line_width=2.5)
    return fig


def law() -> figure:
    """How nbeta (L - L*) is distributed over the draws, beside Gamma(lambda)."""
    fig = canvas("law", "nβ (L − L*)", "density of its log", x_axis_type="log")
    fig.xaxis.ticker = FixedTicker(ticks=[])  # a LogTicker crowds ten decades
    drawn = source("drawn", "x", "y", "zero")
    fig.varea("x", "zero", "y", source=drawn, fill_color=BLUE, fill_alpha=0.25)
    fig.line("x", "y", source=drawn, line_color=BLUE, line_width=1.5)
    fig.line("x", "y", source=source("gamma", "x", "y"), line_color=GREEN, line_width=2)
    return fig


def grid() -> figure:
    """lambda-hat of short runs over steps and temperatures; a click sets both."""
    fig = canvas("map", "step size ε", "nβ", x_axis_type="log", y_axis_type="log")
    for axis in (fig.xaxis, fig.yaxis):
        axis.ticker = LogTicker(num_minor_ticks=0)
    made = source("cells", "x", "y", "left", "right", "bottom", "top", "fill", "words", "ink")
    fig.quad("left", "right", "bottom", "top", source=made, fill_color="fill", line_color="#8a8a8a", line_width=0.5)
    fig.text("x", "y", "words", source=made, text_color="ink", text_align="center", text_baseline="middle", text_font_size="10.5px")
    here = source("here", "left", "right", "bottom", "top")
    for shade, width in (("#fdfdfd", 5), ("#b0006a", 2.5)):
        fig.quad("left", "right", "bottom", "top", source=here, fill_alpha=0, line_color=shade, line_width=width)
    fig.grid.grid_line_color = None
    return fig


CELLS = {
    "chains": Cell(
        "Chains",
        "The loss of each draw above that of w*, times nβ. In equilibrium it scatters around λ̂, all chains alike; a slope means: not yet.",
        traces,
    ),
    "lambda": Cell(
        "λ̂ as draws come in",
        "Mean over all chains so far with two standard errors, from the effective number of draws; thin: single chains.",
        lambda_hat,
    ),
    "law": Cell(
        "The law of draws",
        "Near w*, nβ(L − L*) is Gamma-distributed with shape λ: exactly so for quasi-homogeneous K without a tether, else as nβ grows (m = 1).",
        law,
    ),
    "map": Cell(
        "Short runs over ε and nβ",
        "λ̂ of short runs with other steps and temperatures: a longer run may die where a short one lives. Blue: too low, orange: too high, beyond "
        "two standard errors and by half of λ or more; grey: two standard errors are more than half of λ; ! : the health report warns. "
        "Click a cell, or walk to it with arrow keys and press Enter, to set ε and nβ.",
        grid,
    ),
}
