"""The lab's figures: empty Bokeh figures with named sources, which `lab.js` fills from one store of arrays.

Nothing here computes: `picture.py` says what is shown. The browser owns what changes while a run is played, so playing costs the
server nothing; the server only replaces the store.
"""

from bokeh.models import BasicTicker, ColumnDataSource, CustomJSTickFormatter, FixedTicker, LabelSet, Range1d, Span
from bokeh.plotting import figure

BLUE, ORANGE, GREEN, GREY, INK = "#0072b2", "#d55e00", "#009e73", "#7a7a7a", "#222222"  # Okabe & Ito, a grey that reads on black and on white
PURPLE = "#cc79a7"
RULE_COLOURS = {"a": BLUE, "b": ORANGE}
HEIGHT = 300

# the text only: a model at module level would belong to the first visitor
SHORT_NUMBERS = """
    const a = Math.abs(tick)
    if (a == 0) return "0"
    if (a >= 1e5 || a < 1e-3) {
        const e = Math.floor(Math.log10(a) + 1e-9), m = tick / 10**e
        const sup = String(e).split("").map(c => "⁰¹²³⁴⁵⁶⁷⁸⁹"["0123456789".indexOf(c)] ?? "⁻").join("")
        return (Math.abs(m - 1) < 1e-6 ? "10" : m.toFixed(0) + "·10") + sup
    }
    return String(+tick.toPrecision(4))
"""


def source(name: str, *columns: str) -> ColumnDataSource:
    """An empty source that the browser finds by its name."""
    return ColumnDataSource({column: [] for column in columns}, name=name)


def canvas(name: str, x: str, y: str, decades=(), **options) -> figure:
    """One of the lab's figures: fixed ranges, no toolbar, nothing that moves by itself. decades: ticks of a logarithmic x axis."""
    fig = figure(
        name=name,
        height=HEIGHT,
        min_width=240,
        sizing_mode="stretch_width",
        x_range=Range1d(0.1, 1),  # a logarithmic axis cannot begin at 0
        y_range=Range1d(*options.pop("y_range", (0, 1))),
        toolbar_location=None,
        tools="",
        x_axis_label=x,
        y_axis_label=y,
        output_backend="canvas",
        min_border_right=12,
        **options,
    )
    fig.background_fill_color = fig.border_fill_color = None
    fig.outline_line_color = None
    for axis in (fig.xaxis, fig.yaxis):
        axis.formatter = CustomJSTickFormatter(code=SHORT_NUMBERS)
        axis.axis_label_text_font_style = "normal"
        axis.minor_tick_line_color = None
    across = options.get("x_axis_type") == "log"
    fig.xaxis.ticker = FixedTicker(ticks=[10.0**k for k in decades]) if across else BasicTicker(desired_num_ticks=5)
    log = options.get("y_axis_type") == "log"
    fig.yaxis.ticker = FixedTicker(ticks=[10.0**k for k in range(-12, 4)]) if log else BasicTicker(desired_num_ticks=5)
    fig.grid.grid_line_alpha = 0.35
    return fig


def lean(fig: figure) -> figure:
    """The figure without the glyphs that Bokeh keeps ready for selections, of which there are none: an eighth of a session's memory."""
    for renderer in fig.renderers:
        renderer.selection_glyph = renderer.nonselection_glyph = renderer.muted_glyph = None
    return fig


def with_now(fig: figure) -> figure:
    """The figure with a thin line at the moment that is played."""
    fig.add_layout(Span(location=0, dimension="height", line_color=GREY, line_dash="dotted", name=f"now-{fig.name}"))
    return fig


def with_marks(fig: figure, name: str, *columns: str, **place) -> None:
    """Triangles at minima, each with its lambda on a ground that keeps it legible; columns: of the source, that `place` names."""
    marks = source(name, "x", "y", "text", *columns)
    fig.scatter("x", "y", source=marks, size=10, marker="triangle", color=GREEN)
    look = {"text_color": GREEN, "text_font_size": "12px", "text_font_style": "bold", "background_fill_color": "white", "background_fill_alpha": 0.6}
    fig.add_layout(LabelSet(x="x", y="y", text="text", source=marks, **look, **place))


def landscape_1d() -> figure:
    """K(w) with the trajectories as dots on it; the strip below marks where eta H > 2."""
    fig = canvas("potential", "w", "K(w)")
    fig.quad(
        "left",
        "right",
        "bottom",
        "top",
        source=source("steep", "left", "right", "bottom", "top"),
        fill_color=PURPLE,
        fill_alpha=0.45,
        line_width=0,
    )
    fig.line("x", "y", source=source("curve", "x", "y"), line_color=GREY, line_width=2)
    fig.multi_line("x", "y", source=source("barrier", "x", "y"), line_color=GREY, line_dash="dashed")
    with_marks(fig, "minima", y_offset=12, text_align="center")
    for rule, colour in reversed(RULE_COLOURS.items()):
        fig.scatter("x", "y", source=source(f"dots-{rule}", "x", "y"), size=8, color=colour, alpha=0.5, line_color="white", line_width=0.5)
    return fig


def landscape_2d() -> figure:
    """log K as a map with level lines and moving trajectories, each with a short tail."""
    fig = canvas("map", "w₁", "w₂")
    fig.image(
        "image", "x", "y", "dw", "dh", source=source("terrain", "image", "x", "y", "dw", "dh"), palette="Greys256", level="image", global_alpha=0.7
    )
    fig.line("x", "y", source=source("levels", "x", "y"), line_color=GREY, line_alpha=0.6, line_width=1)
    with_marks(fig, "places", "right", "up", "align", x_offset="right", y_offset="up", text_align="align")
    for rule, colour in reversed(RULE_COLOURS.items()):
        fig.line("x", "y", source=source(f"tails-{rule}", "x", "y"), line_color=colour, line_alpha=0.45, line_width=1.5)
        fig.scatter("x", "y", source=source(f"spots-{rule}", "x", "y"), size=6, color=colour, alpha=0.8, line_color="white", line_width=0.5)
    fig.scatter("x", "y", source=source("pointer", "x", "y"), size=12, marker="cross", line_color=PURPLE, line_width=2)
    return fig


def density() -> figure:
    """Density of w over time: blue for A, orange for B, both where they overlap."""
    fig = canvas("density", "step", "w")
    fig.image_rgba("image", "x", "y", "dw", "dh", source=source("heat", "image", "x", "y", "dw", "dh"))
    fig.multi_line("x", "y", source=source("theory", "x", "y"), line_color=GREEN, line_dash="dashed", line_width=2)
    return with_now(fig)


def bands(name: str, label: str, log: bool) -> figure:
    """Median and 10-90 % band of a quantity over time, for both rules, with theory dashed."""
    fig = canvas(name, "step", label, **({"y_axis_type": "log", "y_range": (1e-6, 10)} if log else {}))
    for rule, colour in RULE_COLOURS.items():
        band = source(f"{name}-{rule}", "x", "low", "middle", "high")
        fig.varea("x", "low", "high", source=band, fill_color=colour, fill_alpha=0.2)
        fig.line("x", "middle", source=band, line_color=colour, line_width=2.5)
    fig.multi_line("x", "y", source=source(f"{name}-theory", "x", "y"), line_color=GREEN, line_dash="dashed", line_width=2)
    return with_now(fig)


def shares() -> figure:
    """Share per basin among survivors on a log axis, the fitted escape rate, and the posterior's share."""
    fig = canvas("shares", "step", "share left of the barrier", y_axis_type="log", y_range=(5e-4, 1.3))
    for rule, colour in RULE_COLOURS.items():
        fig.multi_line("x", "y", source=source(f"share-{rule}", "x", "y"), line_color=colour, line_width=2.5)
        fig.line("x", "y", source=source(f"fit-{rule}", "x", "y"), line_color=colour, line_dash="dashed", line_width=1.5)
        fig.multi_line("x", "y", source=source(f"exact-{rule}", "x", "y"), line_color=INK, line_dash="dotted", line_width=2)
    fig.multi_line("x", "y", source=source("share-bayes", "x", "y"), line_color=GREY, line_dash="dotdash", line_width=2)
    return with_now(fig)


def ending() -> figure:
    """Where the ensemble is at the moment shown, over the normalised posterior."""
    fig = canvas("ending", "w", "density")
    fig.varea("x", "zero", "y", source=source("posterior", "x", "zero", "y"), fill_color=GREY, fill_alpha=0.45)
    for rule, colour in RULE_COLOURS.items():
        fig.step("x", "y", source=source(f"histogram-{rule}", "x", "y"), mode="after", line_color=colour, line_width=2)
        fig.step("x", "y", source=source(f"law-{rule}", "x", "y"), mode="after", line_color=INK, line_dash="dotted", line_width=1.5)
    return fig


def lambda_hat() -> figure:
    """The running estimate of lambda with its error, converging to the exact value at this n beta, and the exact lambda."""
    fig = canvas("lambda", "draws per chain", "λ̂")
    trace = source("running", "x", "low", "middle", "high")
    fig.varea("x", "low", "high", source=trace, fill_color=BLUE, fill_alpha=0.2)
    fig.line("x", "middle", source=trace, line_color=BLUE, line_width=2.5)
    fig.line("x", "y", source=source("at-nbeta", "x", "y"), line_color=ORANGE, line_width=2, line_dash="dashed")
    fig.line("x", "y", source=source("exact", "x", "y"), line_color=GREEN, line_width=2)
    return fig


def noise_1d() -> figure:
    """H, G and B Sigma along w: they agree where Q = a and part elsewhere; bands where B Sigma is vy H within a tenth, and where H < 0."""
    fig = canvas("noise", "w", "curvature, noise")
    for name, colour in (("negative", PURPLE), ("within", GREEN)):
        band = source(f"noise-{name}", "left", "right", "bottom", "top")
        fig.quad("left", "right", "bottom", "top", source=band, fill_color=colour, fill_alpha=0.25, line_width=0)
    fig.multi_line("x", "y", source=source("noise-at", "x", "y"), line_color=GREY, line_dash="dotted")
    for name, colour, dash in (("hessian", PURPLE, "solid"), ("sigma", GREY, "solid"), ("fisher", GREEN, "dashed")):
        fig.line("x", "y", source=source(f"noise-{name}", "x", "y"), line_color=colour, line_dash=dash, line_width=2)
    return fig


def noise_2d() -> figure:
    """The ellipses of Sigma, G and H at the pointer, each scaled to its own largest axis."""
    fig = canvas("ellipse", "w₁", "w₂")
    for name, colour, dash in (("hessian", PURPLE, "solid"), ("fisher", GREEN, "dashed"), ("sigma", GREY, "solid")):
        fig.multi_line("x", "y", source=source(f"ellipse-{name}", "x", "y"), line_color=colour, line_dash=dash, line_width=2.5)
    return fig


def newton() -> figure:
    """The Newton polygon at the chosen point, and the diagonal: lambda is read off where it meets the polygon's edge."""
    fig = canvas("newton", "power of w₁", "power of w₂")
    fig.patch("x", "y", source=source("newton-region", "x", "y"), fill_color=BLUE, fill_alpha=0.15, line_width=0)
    fig.line("x", "y", source=source("newton-edge", "x", "y"), line_color=BLUE, line_width=3)
    fig.line("x", "y", source=source("newton-diagonal", "x", "y"), line_color=GREY, line_dash="dashed")
    fig.scatter("x", "y", source=source("newton-points", "x", "y"), size=9, color=INK)
    fig.scatter("x", "y", source=source("newton-leaves", "x", "y"), size=13, marker="diamond", color=ORANGE)
    return fig


def volume_law() -> figure:
    """V(eps) near the chosen point, by quadrature, and the law that defines lambda and m."""
    fig = canvas("volume", "ε [nats per sample]", "V(ε)", range(-14, 0, 2), x_axis_type="log", y_axis_type="log", y_range=(1e-6, 1))
    fig.scatter("x", "y", source=source("volume-measured", "x", "y"), size=6, color=BLUE)
    fig.line("x", "y", source=source("volume-law", "x", "y"), line_color=GREEN, line_width=2)
    return fig


def free_energy() -> figure:
    """Free energy against n: of the whole box, of each basin, and its asymptote lambda log n - (m - 1) log log n."""
    fig = canvas("energy", "samples n", "free energy [nats]", range(8), x_axis_type="log")
    for i, (colour, width, dash) in enumerate(((BLUE, 3, "solid"), (ORANGE, 2, "dashed"), (PURPLE, 2, "dotdash"), (GREY, 2, "dotted"))):
        fig.line("x", "y", source=source(f"energy-{i}", "x", "y"), line_color=colour, line_width=width, line_dash=dash)
    fig.line("x", "y", source=source("energy-law", "x", "y"), line_color=GREEN, line_width=2, line_dash="dashed")
    fig.multi_line("x", "y", source=source("energy-crossing", "x", "y"), line_color=INK, line_dash="dotted", line_width=2)
    return fig


def finite() -> figure:
    """Estimates of lambda at finite n, exact: n E[K], WBIC / log n, n times the Bayes generalisation error, and their limit."""
    fig = canvas("finite", "samples n", "λ at finite n", range(8), x_axis_type="log")
    for name, colour in (("mean", BLUE), ("wbic", ORANGE), ("generalisation", PURPLE)):
        fig.line("x", "y", source=source(f"finite-{name}", "x", "y"), line_color=colour, line_width=2.5)
    fig.line("x", "y", source=source("finite-bias", "x", "y"), line_color=GREEN, line_width=2, line_dash="dashed")
    fig.line("x", "y", source=source("finite-limit", "x", "y"), line_color=GREEN, line_width=2)
    return fig
