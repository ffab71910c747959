"""Deep linear networks: exact learning coefficients as sliders move, and saddle-to-saddle training with lambda-hat beside exact lines.

Trainings are kept in memory by their settings, the last KEPT of this process: whoever asks for the same one sees the same, and all who watch it
compute it together, in turns. One that nobody watches stands still, and goes on from there when somebody comes back.
"""

import functools
import itertools
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch
from bokeh.models import LabelSet
from bokeh.plotting import figure

from app import landscapelab as lab
from app import state, tabs
from app.figures import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, canvas, source
from app.live import IDLE, Latest
from app.page import Cell
from app.page import Session as Base
from nets.dln import Coefficient, Ranks, Stratum, learning_coefficient, stratum
from nets.saddle import SaddleFrame, SaddleToSaddle
from nets.samplers import SGLD

WIDEST, DEEPEST = 3000, 40  # of networks on this page: lambda(w) takes 0.1 s there
SLIDERS = 8  # layers that have a slider for their rank; more have a line of text
POINTS = 60  # of a curve
DRAWN = 14  # layers whose numbers fit into the picture
KEPT = 8  # trainings: frames, and one set of weights and samples each
EVERY = 0.25  # seconds between two pictures of a training
SOON = 30  # seconds: a training that takes less begins when the page opens
LIMIT = 600  # seconds: one that takes more is refused
MOST = 2000  # estimates a training
MEMORY = 2e8  # bytes a training
STOP = ()  # asked for, it ends what is computed
AFTER, RESPECT = 0.3, 0.05  # seconds after a change, during which a training rests so long between two frames
SHOWN = 10  # singular values in the picture


# What the page shows, as a value


@dataclass(frozen=True)
class DeepLinear:
    """A network, a point of it in general position but for the ranks of its layers, and a training."""

    widths: tuple[int, ...] = (10, 6, 6, 10)
    layers: tuple[int, ...] = (2, 6, 6)  # ranks of W_1, ..., W_L; that of the map is the smallest
    training: SaddleToSaddle = SaddleToSaddle(width=20, steps=18_000, every=100, seed=0, chains=4)

    def __post_init__(self):
        if len(self.widths) > DEEPEST + 2 or max(self.widths, default=0) > WIDEST:
            raise ValueError(f"{len(self.widths)} widths up to {max(self.widths)}; give at most {DEEPEST + 2}, none above {WIDEST}")
        Ranks.generic(self.widths, self.layers)  # checks both
        if not isinstance(self.training.sampler, SGLD):
            raise ValueError(f"sampler = {self.training.sampler!r}; this page has SGLD")

    @property
    def rank(self) -> int:
        return min(self.layers)

    @property
    def limits(self) -> tuple[int, ...]:
        """The largest rank of each layer."""
        return tuple(map(min, itertools.pairwise(self.widths)))

    @property
    def parameters(self) -> int:
        return sum(a * b for a, b in itertools.pairwise(self.widths))

    def with_widths(self, widths: Sequence[int]) -> "DeepLinear":
        """Full layers stay full, the others keep their rank as far as it fits, so does the map; new layers are full."""
        learning_coefficient(widths)  # checks them
        limits = tuple(map(min, itertools.pairwise(widths)))
        old = [limit if rank == full else rank for rank, full, limit in zip(self.layers, self.limits, limits, strict=False)]
        layers = tuple(map(min, zip((old + list(limits[len(old) :])), limits, strict=True)))
        return replace(self, widths=tuple(widths), layers=_lowered(layers, min(self.rank, min(layers))))

    def with_rank(self, rank: int) -> "DeepLinear":
        """A map of this rank: layers below are raised to it, or the weakest is lowered."""
        return replace(self, layers=_lowered(tuple(max(layer, rank) for layer in self.layers), rank))


def _lowered(layers: tuple[int, ...], rank: int) -> tuple[int, ...]:
    """The weakest layer, the first of them, at this rank."""
    weakest = layers.index(min(layers))
    return tuple(rank if s == weakest else layer for s, layer in enumerate(layers))


START = DeepLinear()
EXAMPLES: dict[str, tuple[str, DeepLinear]] = {
    "narrow": ("Narrow: every hidden layer lowers λ", DeepLinear((10, 4, 4, 4, 10), (2, 4, 4, 4))),
    "multiplicity": ("Multiplicity 301: many strata share the minimum", DeepLinear((50,) * 41, (0,) + (50,) * 39)),
    "bottleneck": ("Bottleneck: one thin layer decides", DeepLinear((20, 15, 3, 15, 20), (15, 3, 3, 15))),
    "wide": ("Wide and deep: λ forgets depth, width and rank", DeepLinear((5, 40, 40, 40, 40, 40, 40, 5), (3, 40, 40, 40, 40, 40, 5))),
    "local": ("At a given point λ(w) may be larger than λ", DeepLinear((2, 2, 2), (2, 0))),
    "saddles": ("From saddle to saddle, as in the paper", DeepLinear((5, 20, 20, 20, 20, 5), (1, 20, 20, 20, 5))),
    "small step": (
        "From saddle to saddle, ten times smaller ε",
        DeepLinear((5, 20, 20, 20, 20, 5), (1,) * 5, replace(START.training, sampler=SGLD(eps=1e-7, gamma=1.0), draws=1000, every=500)),
    ),
}


# Text


def encode(value: DeepLinear) -> dict[str, str]:
    """Every value as text; the rank of the map is that of the weakest layer."""
    own = {"v": "1", "widths": ",".join(map(str, value.widths)), "layers": ",".join(map(str, value.layers))}
    return own | state.encode_fields(value.training, "t.") | state.encode_fields(value.training.sampler, "t.")


def decode(query: Mapping[str, str], before: DeepLinear = START) -> tuple[DeepLinear, list[str]]:
    """A state from text that anybody may have written, and messages; never raises.

    widths: H_0,...,H_L; or the sliders' input, hidden (all hidden widths), depth (hidden layers), output. layers: ranks of W_1, ..., W_L; or
    rank (of the map), layer.1, layer.2, ...
    """
    value, messages = before, []

    def attempt(name: str, kept, make: Callable) -> None:
        nonlocal value
        try:
            value = make(query[name])
        except ValueError as error:
            messages.append(f"{name}: {error} (kept {kept})")

    for name in ("widths", "input", "hidden", "depth", "output"):
        if name in query:
            attempt(name, "-".join(map(str, value.widths)), lambda text, name=name: value.with_widths(_widths(name, text, value.widths)))
    if "layers" in query:
        attempt("layers", ",".join(map(str, value.layers)), lambda text: replace(value, layers=_numbers(text, 0)))
    if "rank" in query:
        attempt("rank", value.rank, lambda text: value.with_rank(_nearest(text, 0, min(value.widths), messages, "rank")))
    for s, limit in enumerate(value.limits):
        if (name := f"layer.{s + 1}") in query:

            def one(text, s=s, limit=limit, name=name):
                rank = _nearest(text, 0, limit, messages, name)
                return replace(value, layers=(*value.layers[:s], rank, *value.layers[s + 1 :]))

            attempt(name, value.layers[s], one)
    training, found = state.decode_fields(value.training, query, "t.")
    sampler, more = state.decode_fields(value.training.sampler, query, "t.")
    value = replace(value, training=replace(training, sampler=sampler))
    known = {*encode(value), "input", "hidden", "depth", "output", "rank", *(f"layer.{s + 1}" for s in range(DEEPEST + 1))}
    strange = [f"{state._short(name)[1:-1]}: this page has no such value (left out)" for name in query if name not in known]
    return value, (messages + found + more + strange)[: state.MESSAGES]


def _numbers(text: str, low: int) -> tuple[int, ...]:
    """Whole numbers from `low` up, separated by commas, blanks or dashes."""
    parts = text[:1000].replace("-", " ").replace("–", " ").replace(",", " ").split()
    if not parts or not all(part.isdecimal() and len(part) < 8 and int(part) >= low for part in parts):
        raise ValueError(f"{state._short(text)}; give whole numbers from {low} up, such as 10,6,6,10")
    return tuple(map(int, parts))


def _widths(name: str, text: str, widths: tuple[int, ...]) -> tuple[int, ...]:
    first, *hidden, last = widths
    if name == "widths":
        return _numbers(text, 1)
    (number,) = _numbers(text, 0 if name == "depth" else 1)[:1]
    if name == "depth":
        if number > DEEPEST:
            raise ValueError(f"{number} hidden layers; choose at most {DEEPEST}")
        return (first, *_hidden(widths, number), last)
    return {"input": (number, *hidden, last), "hidden": (first, *[number] * len(hidden), last), "output": (first, *hidden, number)}[name]


def _nearest(text: str, low: int, high: int, messages: list[str], name: str) -> int:
    (number,) = _numbers(text, 0)[:1]
    if number > high:
        messages.append(f"{name} = {number} is above {high}, the most that these widths allow (used {high})")
    return min(max(number, low), high)


def _hidden(widths: Sequence[int], count: int) -> tuple[int, ...]:
    """So many hidden widths: those of the network, and again from the first."""
    return tuple(itertools.islice(itertools.cycle(widths[1:-1] or (min(widths),)), count))


# Exact values


class Exact(NamedTuple):
    """What is known of a state at once: lambda and m, a stratum that has it, the chosen point's ranks, and its stratum."""

    value: DeepLinear
    total: Coefficient
    best: Stratum
    ranks: Ranks
    here: Stratum


class Curves(NamedTuple):
    """lambda of neighbours: rows of (x, lambda, m, regular part, parameters)."""

    depth: list[tuple]
    width: list[tuple]
    rank: list[tuple]


class Cloud(NamedTuple):
    """Random networks: rows of (hidden layers, lambda, regular part)."""

    rows: list[tuple]


def exact(value: DeepLinear) -> Exact:
    """Aoyagi's value, and the smallest codimension of the strata near the chosen point."""
    ranks = Ranks.generic(value.widths, value.layers)
    total = learning_coefficient(value.widths, value.rank)
    return Exact(value, total, stratum(Ranks.lowest(value.widths, value.rank)), ranks, stratum(ranks))


def row(x: int, widths: Sequence[int], rank: int) -> tuple:
    """A point of a curve."""
    lam, m = learning_coefficient(widths, rank)
    return (x, float(lam), m, rank * (widths[0] + widths[-1] - rank) / 2, sum(a * b for a, b in itertools.pairwise(widths)))


def _spread(low: int, high: int, *present: int) -> list[int]:
    """At most POINTS whole numbers from low to high, and those present."""
    return sorted({*np.unique(np.linspace(low, high, min(POINTS, high - low + 1)).round().astype(int)).tolist(), *present})


def curves(value: DeepLinear) -> Curves:
    """lambda against depth (hidden widths go on as they are), against the width of all hidden layers, and against the rank."""
    first, *hidden, last = value.widths
    rank, depth = value.rank, len(hidden)
    depths = [row(k, (first, *_hidden(value.widths, k), last), rank) for k in _spread(0, max(12, depth + depth // 2), depth)]
    widest = max(2 * max(first, last), *(h + h // 2 for h in hidden), 4)
    widths = [row(h, (first, *[h] * depth, last), rank) for h in _spread(max(rank, 1), widest, *set(hidden))] if hidden else []
    return Curves(depths, widths, [row(r, value.widths, r) for r in _spread(0, min(value.widths), rank)])


CLOUD = 300


class Table(NamedTuple):
    """The values beside each other, in Markdown."""

    text: str


def cloud_row(seed: int) -> tuple:
    """One of the paper's random networks: 2 ... 800 hidden layers (here uniform in the logarithm), widths 100 ... 2000, rank 0 ... smallest width.

    Source: "LLC at scale", appendix B and Figure 7.
    """
    generator = np.random.default_rng((7, seed))
    hidden = round(float(np.exp(generator.uniform(math.log(2), math.log(800)))))
    widths = generator.integers(100, 2001, size=hidden + 2).tolist()
    _, lam, _, regular, _ = row(hidden, widths, int(generator.integers(0, min(widths) + 1)))
    return hidden, lam, regular


@functools.cache
def cloud() -> Cloud:
    """All of them: 50 ms, once in a process."""
    return Cloud([cloud_row(seed) for seed in range(CLOUD)])


def work(value: DeepLinear) -> Iterator:
    """Numbers first, then curves; words once nothing moves."""
    found = exact(value)
    yield found
    yield curves(value)
    yield IDLE
    yield Table(numbers(found))


# Trainings


def seconds(run: SaddleToSaddle) -> float:
    """About how long it takes on one idle core."""
    layers, products = run.hidden + 1, sum(a * b for a, b in itertools.pairwise(run.widths)) * run.size
    step = 14e-6 * layers + products * 6e-10
    estimates = run.steps // run.every + 1
    draw = 18e-6 * layers + run.chains * (products * 6e-10 + products / run.size * 2e-9)
    return run.steps * step + estimates * (run.draws * draw + 2e-3 + layers * run.width**3 * 1e-9)


def problem(run: SaddleToSaddle) -> str:
    """Why this training is refused, if it is."""
    parameters = sum(a * b for a, b in itertools.pairwise(run.widths))
    memory = 8 * (4 * run.n * run.size + (6 * run.chains + 6) * parameters)
    if memory > MEMORY:
        what = f"{run.n:,} samples and {run.chains} chains of {parameters:,} weights"
        return f"{what} need {memory / 1e6:,.0f} MB of at most {MEMORY / 1e6:.0f}; take fewer"
    if run.steps // run.every > MOST:
        return f"{run.steps // run.every:,} estimates of at most {MOST:,}; estimate less often"
    if seconds(run) > LIMIT:
        return f"about {seconds(run) / 60:,.0f} minutes of at most {LIMIT // 60}; take fewer steps or draws, narrower layers, or estimate less often"
    return ""


class Course:
    """A training that grows while somebody watches."""

    def __init__(self, run: SaddleToSaddle):
        self.run, self.frames, self.done, self.error = run, [], False, ""
        self.turn, self.steps = threading.Lock(), None

    def advance(self) -> bool:
        """One frame more; False if somebody else is at it."""
        if not self.turn.acquire(blocking=False):
            return False
        try:
            if not self.done:
                torch.set_num_threads(1)  # small matrices: more threads only get into each other's way, and other visitors'
                self.steps = self.steps or self.run.stream()
                frame = next(self.steps, None)
                if frame is None:
                    self.done, self.steps = True, None
                else:
                    self.frames.append(frame)
        except ValueError as error:
            self.done, self.steps, self.error = True, None, str(error)
        finally:
            self.turn.release()
        return True


_courses: dict[SaddleToSaddle, Course] = {}  # the last used last
_turn = threading.Lock()


def course(run: SaddleToSaddle, fresh: bool = False) -> Course:
    """The training with these settings: the same for everybody. fresh: from the start, leaving to others what they watch."""
    with _turn:
        old = _courses.pop(run, None)
        made = _courses[run] = Course(run) if old is None or fresh or old.error else old
        while len(_courses) > KEPT:
            del _courses[next(iter(_courses))]
    return made


class Seen(NamedTuple):
    """A training so far; left: seconds until it is done, if that is known."""

    course: Course
    frames: tuple[SaddleFrame, ...]
    done: bool
    left: float | None = None


touched = -math.inf  # when somebody last changed something on this page


def follow(course: Course | tuple) -> Iterator:
    """Pictures of a growing training, what `Latest` iterates over; a rest of no length between two frames gives others their turn."""
    if course is STOP:
        return
    last, seen = -math.inf, []
    while not course.done:
        busy = time.monotonic() - touched < AFTER  # somebody moves a slider: that comes first
        yield (RESPECT if busy else 0.0) if course.advance() else 0.01
        now = time.perf_counter()
        if now - last > EVERY and course.frames and not course.done:
            step, last = course.frames[-1].step, now
            seen = [*seen[-20:], (now, step)]
            rate = (step - seen[0][1]) / (now - seen[0][0]) if len(seen) > 2 else 0
            yield Seen(course, tuple(course.frames), False, (course.run.steps - step) / rate if rate else None)
    yield Seen(course, tuple(course.frames), True)


class Failed(NamedTuple):
    """A training broke, and not for want of good settings."""

    error: Exception


class Watch:
    """Somebody watches a training: a page, or a browser tab whose visitor looks at another page (see `tabs`)."""

    def __init__(self):
        self.course: Course | None = None
        self.phase = "idle"  # idle, running, paused, stopped, done
        self.left: float | None = None
        self.page: Session | None = None
        self.latest = Latest(follow, self._tell)

    def _tell(self, result) -> None:  # from a thread
        if self.page is not None:
            self.page.publish(Failed(result) if isinstance(result, Exception) else result)

    def go(self, course: Course) -> None:
        self.course, self.phase, self.left = course, "running", None
        self.latest(course)

    def stand(self, phase: str) -> None:
        self.phase = phase
        self.latest(STOP)

    def close(self) -> None:
        self.page = None
        self.latest.close()


# Figures


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
        "The network, and where λ sits",
        "Grey bars: widths H₀ … H_L. Green: the rank that is left after s layers on a stratum of weights with the smallest codimension, "
        "which is 2λ; numbers: how much rank a layer loses. Purple: the same for strata near your point.",
        network_figure,
    ),
    "depth": Cell(
        "λ against depth",
        "Exact, for this input, output and rank, with 0, 1, 2, … hidden layers: the widths you have, and again from the first. Numbers: "
        "multiplicities above 1. Circle: the present network; diamond: its chosen point.",
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


# Controls


LABELS = {
    "width": "hidden width H",
    "hidden": "hidden layers",
    "size": "in = out",
    "every": "λ̂ every",
    "exponent": "start exponent",
    "strength": "teacher",
    "n": "samples n",
    "lr": "learning rate η",
    "batch": "batch B",
    "sgld_batch": "batch of chains",
    "eps": "step size ε",
    "gamma": "tether γ",
}
HELP = {
    "eps": "Of SGLD. A direction of curvature h reads 1/(1 − ε nβ h/4) times too much: 10 % in all with the paper's 10⁻⁶. "
    "A smaller ε needs more draws",
    "draws": "Of each chain, none left out: few draws see only the curved directions, the regular part",
    "exponent": "Weights start with variance H^−exponent; above 1 they begin near the saddle at 0",
}
ALONG = ("eps", "draws", "chains", "every", "sgld_batch", "gamma")
FIRST = ("width", "hidden", "size", "steps", "seed", "lr")
MORE = ("exponent", "strength", "n", "batch")


def _slider(name: str, label: str, value: int, shown: tuple[int, int], help: str, log: bool = False) -> dict:
    shown = (shown[0], max(shown[1], shown[0] + 1))
    return {"name": name, "label": label, "kind": "number", "value": value, "shown": list(shown), "log": log, "whole": True, "unit": "", "help": help}


def _line(name: str, label: str, value: str, help: str) -> dict:
    return {"name": name, "label": label, "kind": "text", "value": value, "help": help, "unit": ""}


def controls(value: DeepLinear) -> list[dict]:
    """Groups of fields: the network, its point, the training, how lambda is estimated on the way."""
    first, *hidden, last = value.widths
    network = [
        _line("widths", "widths", ",".join(map(str, value.widths)), "H₀, H₁, …, H_L: any widths, such as 10,6,6,10"),
        _slider("rank", "rank r", value.rank, (0, min(value.widths)), "Rank of the true map W_L ⋯ W₁; at most the smallest width"),
        _slider("input", "input H₀", first, (1, max(60, first)), "Width of the input", True),
        *([_slider("hidden", "hidden width", hidden[0], (1, max(60, *hidden)), "Sets all hidden layers to one width", True)] if hidden else []),
        _slider("depth", "hidden layers", len(hidden), (0, max(12, len(hidden))), "How many hidden layers; one less than there are matrices"),
        _slider("output", "output H_L", last, (1, max(60, last)), "Width of the output", True),
    ]
    why = "of its matrix at your point, which is in general position otherwise. The smallest of them is the rank of the map"
    if len(value.layers) <= SLIDERS:
        point = [
            _slider(f"layer.{s}", f"rank of W{subscript(s)}", rank, (0, limit), f"The rank of layer {s}: that {why}.")
            for s, (rank, limit) in enumerate(zip(value.layers, value.limits, strict=True), 1)
        ]
    else:
        point = [_line("layers", "ranks", ",".join(map(str, value.layers)), f"The rank of each layer: that {why}.")]
    items = {item["name"][2:]: item for item in (*lab._items(value.training, "t."), *lab._items(value.training.sampler, "t."))}
    items = {name: item | {"label": LABELS.get(name, item["label"]), "help": HELP.get(name, item["help"])} for name, item in items.items()}
    return [
        {"title": "Network", "open": True, "items": network},
        {"title": "Your point: ranks of layers", "open": True, "items": point},
        {"title": "Training", "mark": "a", "open": True, "items": [items[name] for name in FIRST]},
        {"title": "λ̂ on the way", "open": True, "items": [items[name] for name in ALONG]},
        {"title": "Training, more", "open": False, "items": [items[name] for name in MORE]},
    ]


def subscript(number: int) -> str:
    """A number as an index: ₁₂."""
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))


# Words


def text_of(number: Fraction) -> str:
    """lambda is a whole number of halves."""
    return f"{float(number):,.1f}".removesuffix(".0")


def chain(widths: Sequence) -> str:
    """10–6–6–10; long ones cut."""
    shown = list(map(str, widths))
    return "–".join(shown if len(shown) <= DRAWN else [*shown[:4], "…", *shown[-3:]])


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def says(found: Exact) -> str:
    """What is seen, in two or three sentences."""
    value, total, best, _, here = found
    lam, half = total.lam, Fraction(value.parameters, 2)
    text = f"Widths {chain(value.widths)}, rank {value.rank}: λ = {text_of(lam)} exactly, multiplicity {total.multiplicity}. "
    if lam == half:
        text += f"That is half the {value.parameters:,} parameters, as in a regular model. "
    else:
        text += f"Half the {value.parameters:,} parameters would be {text_of(half)}; λ is {100 * float(lam / half):.2g} % of it. "
    lost = [(s, d) for s, d in enumerate(best.lost, 1) if d]
    if not lost:
        text += "No rank is lost on the way from input to output"
    elif len(lost) <= 5:
        text += f"λ sits where {listed([f'layer {s} loses {d}' for s, d in lost])} of the dimensions"
    else:
        text += f"λ sits where the loss of rank is spread over {len(lost)} layers"
    text += ", or on others as large" * (total.multiplicity > 1) + ". "
    equal = "=" if proven(found) else "≤"
    if here.lam == lam:
        return text + "Your point has the same value."
    return text + f"At your point, whose layers keep more rank, λ(w) {equal} {text_of(here.lam)}."


def proven(found: Exact) -> bool:
    """Whether the local value is more than an upper bound: for two layers, or between bounds that meet (rank(J)/2 and lambda from below)."""
    return len(found.value.layers) <= 2 or found.here.lam in (found.total.lam, Fraction(found.ranks.jacobian, 2))


def numbers(found: Exact) -> str:
    """The values beside each other, as a table."""
    value, total, _, ranks, here = found
    lowest = Ranks.lowest(value.widths, value.rank)
    bound = "exact" if proven(found) else "upper bound; conjectured exact"
    layers = ["…" if len(value.layers) > DRAWN else ", ".join(map(str, found)) for found in (lowest.layers, value.layers)]
    half = text_of(Fraction(value.parameters, 2))
    regular = [text_of(Fraction(point.jacobian, 2)) for point in (lowest, ranks)]
    return f"""| | most degenerate | your point |
|---|---|---|
| ranks of layers | {layers[0]} | {layers[1]} |
| regular part, rank(J)/2 | {regular[0]} | {regular[1]} |
| **λ** | **{text_of(total.lam)}** (exact) | **{text_of(here.lam)}** ({bound}) |
| multiplicity m | {total.multiplicity} | |
| parameters / 2 | {half} | {half} |"""


PROVEN = """$$2\\lambda = r(H_0 + H_L - r) + \\min_t \\sum_s d_s (H_s - t_s)$$

$$t_s$$: the rank left after $$s$$ layers; $$d_s = t_{s-1} - t_s$$: what layer $$s$$ loses. Near a given point $$t$$ must also respect
what blocks of its layers keep.

**Theorem**, any depth: $$\\lambda$$ and $$m$$ over all weights that give the true map (Aoyagi 2024; two layers: Aoyagi and Watanabe 2005).

**Theorem for two layers, upper bound for more**: the value $$\\lambda(w)$$ at a given point, half the smallest codimension of the strata that
come near it; exact too where it meets $$\\lambda$$ or the regular part, which lie below. Else equality is a **conjecture**: 13 of 14 long
exact sampling runs agree within 1 %, one, with multiplicity, reads 1.33 for 3/2.

**Depth**: one more layer never raises $$\\lambda$$, and lowers it only while layers are narrow. Among the random networks (Figure 7 of
“LLC at scale”) most of the fall has another cause: the more layers, the narrower the narrowest, so the smaller the rank, and the regular part falls
with it."""

SADDLE = """Small weights learn the teacher $$10\\,\\mathrm{diag}(1, …, 5)$$ one direction at a time; between, the loss rests near saddles.
There the regular part is $$r(10-r)/2$$: 4.5, 8, 10.5, 12, 12.5; $$\\lambda$$ is **12.5 at every rank**, and so is $$\\lambda(w)$$.

**Where the paper errs.** “LLC at scale” reads its plateaus 4.8, 8.6, 11.5, 13.4 as learning coefficients of rising rank. They are the
*regular part*: 100 draws do not reach flat directions. What such chains must read at a saddle follows from the curvatures alone: 4.7, 8.6,
11.4, 13.1 (dotted: at the weights of that step). The excess over the regular part is the bias of the step, ε nβ h/4 = 0.28 in the steepest
direction.

**Try it**: with ε = 10⁻⁷ and 1000 draws the excess is gone (last example). With 1000 draws at ε = 10⁻⁶ λ̂ climbs instead, to 6.0 at step
2,000: the chains begin to see directions that are nearly flat."""

WORDS = "p + p { margin-top: .55em; } :host { font-size: inherit; }"


# The page


class Session(Base):
    """One visitor's page on deep linear networks. What is exact follows the controls; a training goes on until it is done or stopped."""

    page = "dln"
    cells = CELLS
    headings = ("In numbers", "What is proven", "From saddle to saddle")
    start = START
    examples = EXAMPLES
    examples_label = "Your own network: or choose an example …"

    def __init__(self, query: dict[str, str]):
        self.given = "preset" in query or any(name.startswith("t.") for name in query)  # the address says which training
        self.watch, self.tab = Watch(), None
        super().__init__(query)

    def opened(self) -> None:
        self.watch.page = self
        for text in self.texts:
            text.stylesheets = [*text.stylesheets, WORDS]
        self.write(1, PROVEN)
        self.write(2, SADDLE)

    def joined(self, tab: tabs.Tab) -> None:
        """The browser tab is known: the training it has goes on here, and this page's outlives the page."""
        self.tab, before = tab, tab.get(self.page)
        if isinstance(before, Watch) and before.course and before is not self.watch and (not self.given or before.course.run == self.value.training):
            self.watch.close()
            self.watch, before.page = before, self
            self.replace(replace(self.value, training=before.course.run))
            self.lines(before.course.run)
            self.draw(before.course.frames)
            self.tell()
            return
        tab.keep(self.page, self.watch)
        if self.watch.course is None and self.trained and not problem(self.value.training) and seconds(self.value.training) <= SOON:
            self.train()  # not before: the tab may have one that goes on

    def left(self) -> None:
        if self.tab is None:
            self.watch.close()
        elif self.watch.page is self:
            self.watch.page = None

    def decode(self, query, before):
        return decode(query, before)

    def encode(self, value):
        return encode(value)

    def controls(self, value):
        return controls(value)

    def shape(self, value):
        return len(value.widths)

    def work(self, value, stale):
        yield from work(value)
        if "cloud" in self.plots and not len(self.sources["cloud-lam"].data["x"]):
            yield cloud()

    def changed(self, before) -> None:
        global touched
        touched = time.monotonic()
        self.latest(self.value)
        run, course = self.value.training, self.watch.course
        if course is None or (self.watch.phase != "running" and not course.frames):
            self.lines(run)
        self.tell()

    @property
    def trained(self) -> bool:
        """Whether a figure of the training is on the page."""
        return any(name in self.plots for name in TRAINED)

    def hear(self, message) -> None:
        super().hear(message)
        chosen = EXAMPLES.get(message.get("example")) if isinstance(message, dict) and isinstance(message.get("example"), str) else None
        if chosen and self.trained and (self.watch.course is None or self.watch.course.run != self.value.training):
            self.train()  # an example was asked for by name

    def act(self, action: str) -> None:
        watch, run = self.watch, self.value.training
        match action, watch.phase:
            case "run", _:
                self.train(fresh=watch.course is not None and watch.course.run == run)
            case "another", _:
                self.replace(replace(self.value, training=replace(run, seed=(run.seed + 1) % 2**31)))
                self.train()
            case "pause", "running":
                watch.stand("paused")
            case "continue", "paused":
                watch.go(watch.course)
            case "stop", "running" | "paused":
                watch.stand("stopped")
        self.tell()

    def train(self, fresh: bool = False) -> None:
        """Begin the training of the controls, or go on with it."""
        run = self.value.training
        if why := problem(run):
            self.view.notices = [why]
            return
        self.watch.go(course(run, fresh))
        self.lines(run)
        self.draw(self.watch.course.frames)
        self.tell()

    def show(self, result) -> None:
        match result:
            case Exact():
                self.show_exact(result)
            case Curves():
                self.view.hidden = [] if result.width else ["width"]
                self.legend(**{name: self.show_curve(name, rows) for name, rows in result._asdict().items() if rows})
            case Table(text):
                self.write(0, text)
            case Cloud(rows):
                x, lam, regular = np.array(rows, float).T
                self.fill("cloud-lam", x=x, y=lam)
                self.fill("cloud-regular", x=x, y=np.maximum(regular, 1))
                self.span("cloud", "x", 1.5, 1000)
                self.legend(cloud=[("exact", "λ"), ("b", "regular part alone"), ("words", "Most of the fall with depth is that of the rank")])
            case Seen():
                if result.course is self.watch.course:
                    self.draw(result.frames)
                    self.watch.left = result.left
                    if result.done:
                        self.watch.phase = "stopped" if result.course.error else "done"
                        self.view.notices = [result.course.error] if result.course.error else self.view.notices
            case Failed():
                self.watch.phase = "stopped"
                self.view.notices = ["The training failed; what was seen so far stays. Try other settings."]
        self.tell()

    def fill(self, name: str, **columns) -> None:
        """Nothing if it is there already: a figure that does not change is not painted again."""
        lists = {column: values.tolist() if isinstance(values, np.ndarray) else list(values) for column, values in columns.items()}
        if name in self.sources and dict(self.sources[name].data) != lists:
            super().fill(name, **lists)

    # exact

    def show_exact(self, found: Exact) -> None:
        self.found = found
        value, widths = found.value, found.value.widths
        s, high = np.arange(len(widths)), max(widths)
        self.fill("net-bars", x=s, top=widths)
        edges = (s[:, None] + [-0.36, 0.36]).ravel()
        self.fill("net-best", x=edges, y=np.repeat(found.best.partial, 2))
        self.fill("net-here", x=edges, y=np.repeat(found.here.partial, 2))
        self.fill("net-rank", x=[-0.5, s[-1] + 0.5], y=[value.rank] * 2)
        few = len(widths) <= DRAWN
        self.fill("net-width", x=s if few else [], y=widths if few else [], text=[f"{h}" for h in widths] if few else [])
        lost = [(k + 0.5, sum(found.best.partial[k : k + 2]) / 2, f"−{d}") for k, d in enumerate(found.best.lost) if d and few]
        self.fill("net-lost", x=[at for at, _, _ in lost], y=[at for _, at, _ in lost], text=[text for _, _, text in lost])
        self.span("net", "x", -0.6, s[-1] + 0.6)
        self.span("net", "y", 0, high * 1.18)
        self.legend(
            net=[
                ("bayes", "width"),
                ("exact line", "rank left where λ sits"),
                ("steep dash", "near your point"),
                ("bayes dots", f"rank {value.rank}"),
                *([("words", f"Layers lose {', '.join(map(str, found.best.lost))}")] if len(widths) <= DRAWN else []),
            ]
        )
        self.view.says = says(found)

    def show_curve(self, name: str, rows: list[tuple]) -> list[tuple[str, str]]:
        """A curve and its marks; its legend."""
        found = self.found
        value, hidden = found.value, found.value.widths[1:-1]
        x, lam, m, regular, parameters = map(np.array, zip(*rows, strict=True))
        half = parameters / 2
        self.fill(f"{name}-curve", x=x, lam=lam, regular=regular, half=half)
        few = len(x) <= 30
        self.fill(f"{name}-dots", x=x if few else [], lam=lam if few else [])
        now = {"depth": len(hidden), "rank": value.rank, "width": hidden[0] if hidden and len(set(hidden)) == 1 else None}[name]
        at = [] if now is None else [now]
        self.fill(f"{name}-now", x=at, y=[float(found.total.lam)] * len(at))
        self.fill(f"{name}-local", x=at, y=[float(found.here.lam)] * len(at))
        many = np.flatnonzero(m > 1) if len(x) <= 16 else []
        self.fill(f"{name}-many", x=x[many], y=lam[many], text=[f"{k}" for k in m[many]])
        top = max(lam.max(), float(found.here.lam)) * 1.12
        self.span(name, "x", x[0] - 0.03 * (x[-1] - x[0]) - 0.05, x[-1] + 0.03 * (x[-1] - x[0]) + 0.05)
        self.span(name, "y", 0, max(top, 1))
        chips = [("exact line", "λ"), ("b dash", "regular part"), *[("bayes dots", "parameters/2")] * bool(half.min() < top), ("steep", "your point")]
        fall = {
            "depth": f"From {text_of(lam[0])} without hidden layers to {text_of(lam[-1])} with {x[-1]}",
            "width": f"From {text_of(lam[0])} at width {x[0]} to {text_of(lam[-1])} at {x[-1]}",
            "rank": f"From {text_of(lam[0])} at rank 0 to {text_of(lam[-1])} at rank {x[-1]}",
        }[name]
        if lam[0] == lam[-1] and len(set(lam)) == 1:
            fall = f"{text_of(lam[0])} throughout"
        return [*chips, ("words", fall)]

    # training

    def lines(self, run: SaddleToSaddle) -> None:
        """What is known of a training before it begins."""
        ends, size, total = [0, run.steps], run.size, float(learning_coefficient(run.widths, 0).lam)
        treads = [loss for loss in run.plateaus if loss > 0]
        self.fill("loss-exact", x=[ends] * len(treads), y=[[loss] * 2 for loss in treads])
        few = treads[:8]
        self.fill("loss-text", x=[run.steps] * len(few), y=few, text=[f"{loss:,.4g}" for loss in few])
        high = 2 * treads[0]
        self.span("loss", "y", min(treads) / 20, high)
        teacher = [run.strength * k for k in range(size, max(size - SHOWN, 0), -1)]
        self.fill("singular-exact", x=[ends] * len(teacher), y=[[value] * 2 for value in teacher])
        self.span("singular", "y", 0, 1.15 * teacher[0])
        self.fill("estimate-lines", x=ends, regular=[0, 0], total=[total] * 2, local=[total] * 2)
        self.span("estimate", "y", 0, 1.6 * total)
        for name in TRAINED:
            self.span(name, "x", 0, max(run.steps, 1))
        treads_text = ", ".join(f"{loss:,.4g}" for loss in run.plateaus[:7]) + (" …" if len(run.plateaus) > 7 else "")
        self.legend(
            loss=[("a line", "loss"), ("exact dash", "exact plateaus"), ("words", treads_text)],
            singular=[("a line", "network"), ("exact dash", "teacher")],
            estimate=[
                ("a", "λ̂ ± error"),
                ("exact line", "λ"),
                ("steep dash", "λ(w)"),
                ("b line", "regular part"),
                ("ink dots", "expected"),
            ],
        )

    def draw(self, frames: Sequence[SaddleFrame]) -> None:
        if not frames:
            return
        steps = [frame.step for frame in frames]
        self.fill("loss-run", x=steps, y=[max(frame.loss, 1e-12) for frame in frames])
        values = np.array([frame.singular[:SHOWN] for frame in frames]).T
        self.fill("singular-run", x=[steps] * len(values), y=values.tolist())
        lines = {name: [float(getattr(frame, name)) for frame in frames] for name in ("regular", "total", "local")}
        ahead = {name: [*row, row[-1]] for name, row in lines.items() if name != "regular"} | {"regular": [*lines["regular"], lines["regular"][-1]]}
        self.fill("estimate-lines", x=[*steps, max(self.watch.course.run.steps, steps[-1])], **ahead)
        self.fill("estimate-expected", x=steps, y=[frame.expected for frame in frames])
        mean, error = (np.array([getattr(frame.estimate, name) for frame in frames], float) for name in ("mean", "stderr"))
        error = np.nan_to_num(error)
        self.fill("estimate-run", x=steps, mean=mean, low=mean - error, high=mean + error)
        top = max(max(lines["total"]), max(lines["local"]), float(np.nanmax(mean + error, initial=0.0)))
        self.span("estimate", "y", 0, max(1.12 * top, 1.25 * lines["total"][0]))
        last = frames[-1]
        self.legend(
            estimate=[
                ("a", "λ̂ ± error"),
                ("exact line", f"λ = {text_of(last.total)}"),
                ("steep dash", f"λ(w) = {text_of(last.local)}"),
                ("b line", f"regular part {text_of(last.regular)}"),
                ("ink dots", f"expected {last.expected:.1f}"),
                ("words", f"rank {last.rank}: λ̂ = {last.estimate.mean:.1f} ± {last.estimate.stderr:.1f}"),
            ]
        )

    def tell(self) -> None:
        """Buttons and progress."""
        run, watch, asked = self.value.training, self.watch, self.watch.course
        if asked and asked.done and watch.phase == "running" and not asked.error:
            watch.phase = "done"  # while nobody looked
        stale = asked is not None and asked.run != run
        running, paused = watch.phase == "running", watch.phase == "paused"
        why, cost = problem(run), seconds(run)
        buttons = []
        if running:
            buttons.append({"name": "pause", "text": "Pause", "help": "Pause the training", "main": not stale})
        if paused:
            buttons.append({"name": "continue", "text": "Go on", "help": "Go on with the training", "main": not stale})
        if not (running or paused) or stale:
            again = "Run again" if asked and not stale else "Run"
            help = "Train with these settings, from the start"
            buttons.append({"name": "run", "text": again, "help": help, "disabled": bool(why), "main": stale or not (running or paused)})
        if running or paused:
            buttons.append({"name": "stop", "text": "Stop", "help": "Stop the training here; what is seen stays"})
        buttons.append({"name": "another", "text": "New start", "help": "Train from other random weights: the next seed", "disabled": bool(why)})
        self.view.actions = buttons
        step, steps = (asked.frames[-1].step if asked and asked.frames else 0, asked.run.steps) if asked else (0, run.steps)
        where = f"step {step:,} of {steps:,}"
        left = f", about {duration(watch.left)} left" if running and watch.left is not None else ""
        text = {
            "idle": f"Not trained yet: about {duration(cost)}.",
            "running": f"Training: {where}{left}",
            "paused": f"Paused at {where}",
            "stopped": f"Stopped at {where}",
            "done": f"Trained: {steps:,} steps",
        }[watch.phase]
        if why:
            text = f"These settings cannot run: {why}. {text if asked else ''}"
        elif stale:
            text = f"Settings changed: run again (about {duration(cost)}). {text}"
        self.report(text, step / max(steps, 1) if running or paused else None, running)


def duration(value: float) -> str:
    return "a second" if value < 1.5 else f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min"
