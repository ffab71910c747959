"""Figures of the page on networks: empty ones with named sources, and what fills them: functions of a race's settings and its history."""

import math
from collections.abc import Sequence

from bokeh.models import FixedTicker
from bokeh.plotting import figure

from app.contest import Contest, History, Look, verdict
from app.figures import BLUE, GREY, ORANGE, canvas, source
from app.page import Cell

POINTS = 400  # of a curve in the browser
COLOURS = {"a": BLUE, "b": ORANGE}
DECADES = tuple(range(-8, 6))
LEAST = 1e-8  # of what is drawn on a log axis


# Empty figures


def curves(name: str, label: str, *kinds: str, **options) -> figure:
    """One line a lane and kind: solid with dots, dashed, faint."""
    fig = canvas(name, "epoch", label, **options)
    looks = {"": ("solid", 2.2, 1.0), "test": ("dashed", 1.8, 0.9), "batch": ("solid", 1.0, 0.35)}
    for kind in reversed(kinds):
        dash, width, alpha = looks[kind]
        for lane, colour in COLOURS.items():
            where = source("-".join(filter(None, (name, kind, lane))), "x", "y")
            fig.line("x", "y", source=where, line_color=colour, line_width=width, line_dash=dash, line_alpha=alpha)
            if kind == "":
                fig.scatter("x", "y", source=where, size=4, color=colour, line_width=0)
    return fig


def plain(name: str, label: str, **options) -> figure:
    """A line of every frame, without dots."""
    fig = canvas(name, "epoch", label, **options)
    for lane, colour in COLOURS.items():
        fig.line("x", "y", source=source(f"{name}-{lane}", "x", "y"), line_color=colour, line_width=1.6, line_alpha=0.85)
    return fig


def with_errors(fig: figure, name: str, line: bool = True) -> figure:
    """Circles for A and squares for B with standard errors."""
    for lane, colour in COLOURS.items():
        dots = source(f"{name}-{lane}", "x", "y", "low", "high")
        fig.segment("x", "low", "x", "high", source=dots, line_color=colour, line_width=2)
        if line:
            fig.line("x", "y", source=dots, line_color=colour, line_width=1.6, line_alpha=0.7)
        fig.scatter("x", "y", source=dots, size=8, color=colour, marker="circle" if lane == "a" else "square", line_color="white", line_width=0.8)
    return fig


def against_epochs(name: str, label: str) -> figure:
    """Estimates with their errors, and a line at zero."""
    fig = canvas(name, "epoch", label)
    fig.line("x", "y", source=source(f"{name}-zero", "x", "y"), line_color=GREY, line_width=1)
    return with_errors(fig, name)


def against_loss() -> figure:
    """lambda-hat against the training loss, the loss falling to the right; dotted: the lowest loss that both reach."""
    fig = canvas("matched", "training loss [nats], falling →", "λ̂", DECADES, x_axis_type="log")
    fig.xaxis.ticker = FixedTicker(ticks=[m * 10.0**k for k in DECADES for m in (1, 2, 5)])
    fig.multi_line("x", "y", source=source("matched-at", "x", "y"), line_color=GREY, line_dash="dotted", line_width=2)
    with_errors(fig, "matched")
    for lane, colour in COLOURS.items():
        fig.scatter(
            "x", "y", source=source(f"matched-value-{lane}", "x", "y"), size=15, marker="diamond", color=None, line_color=colour, line_width=2.5
        )
    return fig


def scree() -> figure:
    """Eigenvalues by rank."""
    return with_errors(canvas("spectrum", "rank", "eigenvalue of H", y_axis_type="log", y_range=(1e-2, 1e2)), "spectrum", line=False)


CELLS = {
    "loss": Cell(
        "Loss",
        "Mean cross-entropy in nats a sample: of the training set (solid) and of the test set (dashed) after whole epochs; "
        "faint: of batches as they come",
        lambda: curves("loss", "loss [nats]", "", "test", "batch", y_axis_type="log", y_range=(1e-2, 3)),
    ),
    "lambda": Cell(
        "λ̂ after epochs",
        "Estimated local learning coefficient: how fast volume grows around the network as the loss may rise. Smaller is more degenerate. "
        "Bars: Monte-Carlo standard error of the chains",
        lambda: against_epochs("lambda", "λ̂"),
    ),
    "matched": Cell(
        "λ̂ at the same training loss",
        "The same estimates against the training loss where they were made: only here are two optimisers compared as equals. "
        "Diamonds: at the lowest loss that both reach, interpolated",
        against_loss,
    ),
    "accuracy": Cell(
        "Accuracy",
        "Share that is classified right: training set (solid), test set (dashed)",
        lambda: curves("accuracy", "share right", "", "test", y_range=(0, 1.02)),
    ),
    "trace": Cell(
        "tr H",
        "Trace of the Hessian of the training loss, on up to 2,000 samples, by random vectors; bars: standard error. "
        "It depends on the loss, so compare it at the same loss, too (in the table below)",
        lambda: against_epochs("trace", "tr H"),
    ),
    "wbic": Cell(
        "WBIC",
        "n E[L] over the chains' draws, in nats: an estimate of the Bayesian free energy if nβ = n/log n; with another nβ only a number",
        lambda: against_epochs("wbic", "WBIC [nats]"),
    ),
    "norm": Cell(
        "Length of a step",
        "Mean length of the update of all weights, over some steps",
        lambda: plain("norm", "|Δw|", y_axis_type="log", y_range=(1e-3, 1)),
    ),
    "cosine": Cell(
        "Direction of a step",
        "Cosine between the direction before momentum and the gradient: 1 for SGD; near 0 the preconditioner has turned it away; "
        "below 0 it goes uphill",
        lambda: plain("cosine", "cosine with the gradient", y_range=(-0.05, 1.05)),
    ),
    "spectrum": Cell(
        "Largest eigenvalues of H",
        "The 20 largest, by rank, on up to 2,000 training samples, by Lanczos; bars: within this lies an eigenvalue. "
        "Ten classes make about nine large ones",
        scree,
    ),
}
WAITING = {  # said in the empty figures
    "loss": "Two copies of one network will learn here, on the same batches.",
    "lambda": "How degenerate each network has become, with the error of the estimate.",
    "matched": "The fair comparison: the same estimates, at the same training loss.",
    "accuracy": "On samples they learn from, and on others.",
    "trace": "How curved the loss is where each has got to.",
    "wbic": "What a Bayesian would pay for each network.",
    "norm": "How far each step goes.",
    "cosine": "How far the preconditioner turns the gradient.",
    "spectrum": "The steepest directions: measured at the end, or by the button.",
}


# What fills them


def thin(rows: Sequence) -> list:
    """At most about POINTS of them, evenly, the last one included."""
    every = max(1, math.ceil(len(rows) / POINTS))
    kept = list(rows[::every])
    return kept if not rows or kept[-1] is rows[-1] else [*kept, rows[-1]]


def _columns(names: Sequence[str], rows: Sequence[tuple]) -> dict[str, list]:
    return {name: [row[i] for row in rows] for i, name in enumerate(names)}


def sources(contest: Contest, history: History) -> dict[str, dict[str, list]]:
    """Name of a source -> its columns."""
    found: dict[str, dict[str, list]] = {}
    drawn = set(map(id, visible(history)))

    def line(name, rows):
        found[name] = _columns(("x", "y"), rows)

    def bars(name, rows):
        """rows: (x, value, standard error)."""
        found[name] = _columns(("x", "y", "low", "high"), [(x, value, value - error, value + error) for x, value, error in rows])

    for i, lane in enumerate("ab"):
        rows, looks = list(history.rows[i]), list(history.looks[i])
        scored, stepped = thin([row for row in rows if row.train]), thin([row for row in rows if math.isfinite(row.loss)])
        line(f"loss-{lane}", [(row.epoch, max(row.train.loss, LEAST)) for row in scored])
        line(f"loss-test-{lane}", [(row.epoch, max(row.test.loss, LEAST)) for row in scored])
        line(f"loss-batch-{lane}", [(row.epoch, max(row.loss, LEAST)) for row in stepped])
        line(f"accuracy-{lane}", [(row.epoch, row.train.accuracy) for row in scored])
        line(f"accuracy-test-{lane}", [(row.epoch, row.test.accuracy) for row in scored])
        line(f"norm-{lane}", [(row.epoch, max(row.norm, LEAST)) for row in stepped])
        line(f"cosine-{lane}", [(row.epoch, row.cosine) for row in stepped if math.isfinite(row.cosine)])
        shift = 0.004 * contest.epochs * (-1, 1)[i]  # so that bars do not hide each other
        good = [look for look in looks if math.isfinite(look.llc) and math.isfinite(look.error)]
        bars(f"lambda-{lane}", [(look.epoch + shift, look.llc, look.error) for look in good])
        bars(f"matched-{lane}", [(max(look.train.loss, LEAST), look.llc, look.error) for look in good if id(look) in drawn])
        bars(f"wbic-{lane}", [(look.epoch + shift, look.wbic, look.error * contest.samples.n / contest.nbeta) for look in good])
        bars(f"trace-{lane}", [(look.epoch + shift, look.trace, look.trace_error) for look in looks])
        last = history.spectra[-1][1][i] if history.spectra else None
        values = [] if last is None else [pair for pair in zip(last.values.tolist(), last.errors.tolist(), strict=True) if pair[0] > 0]
        bars(f"spectrum-{lane}", [(rank + (-0.12, 0.12)[i], value, min(error, 0.99 * value)) for rank, (value, error) in enumerate(values, 1)])
    for name in ("lambda", "trace", "wbic"):
        line(f"{name}-zero", [(0, 0.0), (contest.epochs, 0.0)] if history.rows[0] else [])
    same, low = verdict(history).same, bottom(history)
    fair = same is not None and min(same.values) > low
    top = max((look.llc + look.error for look in visible(history)), default=1.0)
    found["matched-at"] = {"x": [[same.losses[0]] * 2] if fair else [], "y": [[min(low, 0) - top, 3 * top]] if fair else []}
    for i, lane in enumerate("ab"):
        line(f"matched-value-{lane}", [(same.losses[0], same.values[i])] if fair else [])
    return found


def bottom(history: History) -> float:
    """Below this lambda-hat is not drawn: far from a minimum chains fall, and their estimates would squeeze all others flat."""
    return -0.3 * max((look.llc for looks in history.looks for look in list(looks) if math.isfinite(look.llc)), default=0.0)


def visible(history: History) -> list[Look]:
    """Looks whose lambda-hat can be drawn."""
    low = bottom(history)
    return [look for looks in history.looks for look in list(looks) if math.isfinite(look.llc) and math.isfinite(look.error) and look.llc >= low]


def spans(history: History) -> list[tuple[str, float, float]]:
    """(figure, low, high) of the y axes: they grow in steps, and hold all that is drawn."""
    found = []
    rows = [row for rows in history.rows for row in thin(list(rows))]
    losses = [value for row in rows for value in (row.loss, *((row.train.loss, row.test.loss) if row.train else ())) if value > 0]
    norms = [row.norm for row in rows if row.norm > 0]
    for name, values, low in (("loss", losses, 0.1), ("norm", norms, 0.01)):
        if values:
            found.append((name, min(decade(min(values), down=True), low), decade(max(values))))
    cosines = [row.cosine for row in rows if math.isfinite(row.cosine)]
    if cosines:
        found.append(("cosine", -0.05 if min(cosines) >= 0 else -1.05, 1.05))
    drawn = visible(history)
    if drawn:
        bars = [(look.llc - look.error, look.llc + look.error) for look in drawn]
        found += [(name, *around(bars)) for name in ("lambda", "matched")] + [("wbic", *around([(look.wbic, look.wbic) for look in drawn]))]
    traces = [(look.trace - look.trace_error, look.trace + look.trace_error) for looks in history.looks for look in list(looks)]
    if traces:
        found.append(("trace", *around(traces)))
    values = [v for lane in (history.spectra[-1][1] if history.spectra else ()) if lane is not None for v in lane.values.tolist() if v > 0]
    if values:
        found.append(("spectrum", decade(min(values), down=True), decade(max(values))))
    return found


def around(bars: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Nice ends that hold zero and all of (low, high)."""
    low, high = min(bar[0] for bar in bars), max(bar[1] for bar in bars)
    return -nice(-low) if low < 0 else 0.0, nice(max(high, 1e-3))


def nice(value: float) -> float:
    """The next of 1, 1.5, 2, 3, 4, 5, 6, 8 times a power of ten."""
    size = 10.0 ** math.floor(math.log10(value))
    return next((m * size for m in (1, 1.5, 2, 3, 4, 5, 6, 8) if m * size >= value * (1 - 1e-9)), 10 * size)


def decade(value: float, down: bool = False) -> float:
    """The next power of ten or three times one, upwards or downwards."""
    value = max(value, LEAST)
    size = 10.0 ** math.floor(math.log10(value) + 1e-9)
    steps = [m * size for m in (1, 3, 10)]
    return max(s for s in steps if s <= value * 1.0001) if down else min(s for s in steps if s >= value * 0.9999)
