"""The escape lab: a map of escape rates over two parameters, sampled beside exact; its state as one frozen value, its controls, its page.

Maps are kept in memory, the last KEPT of this process, by their state: whoever opens the same link, a reload included, sees the same map, and all
who wait for it compute it together, in turns. A map nobody waits for stands still, and goes on from there when somebody comes back.
"""

import contextlib
import csv
import functools
import io
import math
import pathlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple
from urllib.parse import urlencode

import numpy as np
import panel as pn
import param
from tornado.ioloop import IOLoop

from app import landscapelab as lab
from app import state
from app.keeping import kinds
from app.live import Asked, Latest
from app.page import Alone, Saver, asked, deliver, looks, present
from dynamics import GD, NGD, RULES, SDE, SGD, Simulation, Uniform
from dynamics.phase import Phase, PhaseFrame, boundary, noise_free, sharp, stable, stays, stiffness
from landscapes import CATALOGUE, DoubleWell, Landscape, Polynomial, Range
from landscapes.coefficient import SUPERSCRIPT
from landscapes.scale import check, parameters

HERE = pathlib.Path(__file__).parent
KEPT = 64  # maps, of at most 1,600 cells: some 0.2 MB each
SOON = 0.5  # seconds: what takes less follows the controls at once
PATIENCE = 30  # seconds: what takes less begins when the page opens
LIMIT = 600  # seconds: what takes more is refused
MOST = 1_000_000  # trajectories at once: a run of so many holds some 0.1 GB
EVERY = 0.3  # seconds between two pictures of a growing map
RECORDED = 30  # pictures of a map that is recorded, about
STOP = ()  # asked for, it ends what is computed
EXPECTED = 5  # leavings that the exact rate must promise before a cell is asked whether it agrees

Name = Literal["lr", "batch", "w0", "momentum", "damping"]
SPANS = {"lr": (0.008, 0.03), "batch": (1, 200), "w0": (1.3, 2.2), "momentum": (0, 0.9), "damping": (0.1, 1000)}
LOG = ("batch", "damping")
OWN = Polynomial("(w + 1.5) * (w - 1)^2 * (w^2 + 1)")  # what a visitor's own polynomial begins with
FAMILIES = [name for name, cls in CATALOGUE.items() if cls is not Polynomial and cls().barriers] + [Polynomial.__name__]


@dataclass(frozen=True)
class Axis:
    """One parameter of the map: `count` values from low to high; of a batch, which is whole, maybe fewer."""

    name: Name = "lr"
    low: Annotated[float, Range(0, 1e6, help="the first value on this axis")] = SPANS["lr"][0]
    high: Annotated[float, Range(0, 1e6, help="the last value on this axis")] = SPANS["lr"][1]
    count: Annotated[int, Range(2, 40, unit="values", help="how many values on this axis", shown=(4, 24))] = 12
    spacing: Literal["linear", "log"] = "linear"

    def __post_init__(self):
        check(self)
        if self.low >= self.high:
            raise ValueError(f"{self.name}: from {self.low:g} to {self.high:g}; give from < to")
        if self.spacing == "log" and self.low <= 0:
            raise ValueError(f"{self.name}: from {self.low:g} on a log axis; start above 0, or choose linear")

    @property
    def values(self) -> tuple[float, ...]:
        """Ascending, of four digits."""
        space = np.geomspace if self.spacing == "log" else np.linspace
        found = (float(f"{value:.4g}") for value in space(self.low, self.high, self.count))
        return tuple(sorted({max(round(value), 1) for value in found} if self.name == "batch" else set(found)))


def axis(name: str, rule: str = "SGD", count: int = 12, landscape: Landscape = DoubleWell()) -> Axis:
    """An axis with the values at which there is something to see: of a learning rate, from eta H = 1.3 to 5 at the leftmost minimum."""
    low, high = (0.5, 6) if (name, rule) == ("lr", "NGD") else SPANS[name]
    if name == "lr" and rule != "NGD" and not isinstance(landscape, DoubleWell) and sharp(landscape):
        stiff = float(landscape.hessian(min(minimum.at for minimum in landscape.minima))[0, 0])
        limits = next(p.range for p in parameters(SGD) if p.name == "lr")
        low, high = (min(max(float(f"{eta / stiff:.2g}"), limits.low), limits.high) for eta in (1.3, 5))
        if low >= high:
            low, high = SPANS["lr"]
    return Axis(name, low, high, count, "log" if name in LOG else "linear")


@dataclass(frozen=True)
class EscapeLab:
    """Everything the map shows follows from this value."""

    run: Simulation = Simulation(DoubleWell(w0=1.8, d1=1, d2=2), SGD(lr=0.02, batch=20), n=1000, steps=60, start=Uniform(-2.0, -1.6))
    x: Axis = axis("lr")
    y: Axis = axis("w0", count=10)
    cells: Annotated[int, Range(100, 1000, log=True, unit="nodes", help="of the exact law; 500 give its rates to some 0.5 %", shown=(100, 1000))] = (
        500
    )

    def __post_init__(self):
        check(self)

    @property
    def phase(self) -> Phase:
        """The sweep; a ValueError says what is wrong with it."""
        return Phase(self.run, self.x.name, self.x.values, self.y.name, self.y.values, self.cells)

    @property
    def seconds(self) -> float:
        """About how long it takes on two cores (measured: 25 ns a step, 20 ms an exact rate on 500 nodes)."""
        phase = self.phase
        cost = phase.work * 25e-9 * getattr(self.run.rule, "substeps", 1)
        return 0.2 + cost + len(phase.xs) * len(phase.ys) * (0.003 + 0.022 * (self.cells / 500) ** 1.8)


_SGD = EscapeLab()
_LR, _W0 = _SGD.x, _SGD.y
EXAMPLES: dict[str, EscapeLab] = {
    "Learning rate and sharpness": _SGD,
    "Learning rate and batch size": replace(_SGD, y=axis("batch", count=10)),
    "Batch size and sharpness, at one learning rate": replace(_SGD, x=axis("batch", count=12), y=_W0),
    "Learning rate and momentum": replace(_SGD, y=axis("momentum", count=10)),
    "Natural gradient: learning rate and damping": replace(
        _SGD, run=replace(_SGD.run, rule=NGD(lr=2.0, damping=1.0)), x=axis("lr", "NGD"), y=axis("damping", count=9)
    ),
    "No noise at all: gradient descent": replace(_SGD, run=replace(_SGD.run, rule=GD(lr=0.02))),
    "The same noise in 16 finer steps": replace(_SGD, run=replace(_SGD.run, rule=SDE(lr=0.02, batch=20, substeps=16))),
}


# Text: what a link holds


def names(rule, landscape: Landscape = DoubleWell()) -> tuple[str, ...]:
    """The parameters that can be an axis with this rule on this landscape."""
    known = {parameter.name for parameter in (*parameters(type(rule)), *parameters(type(landscape)))}
    silent = {"batch"} if getattr(rule, "noise", "batch") == "isotropic" else set()
    return tuple(name for name in SPANS if name in known - silent)


def encode(value: EscapeLab) -> dict[str, str]:
    """Every value as text, for the link."""
    axes = state.encode_fields(value.x, "x.") | state.encode_fields(value.y, "y.")
    return {"page": "escape", "v": lab.VERSION} | axes | {"cells": state.write(value.cells)} | state.encode(value.run)


def decode(query: Mapping[str, str], default: EscapeLab = EscapeLab()) -> tuple[EscapeLab, list[str]]:
    """An escape lab from a link that anybody may have written, and messages about what could not be used; never raises."""
    query = {key: text for key, text in query.items() if key not in ("v", *state.FRAME)}
    if query.get("landscape") == Polynomial.__name__ and "text" not in query and not isinstance(default.run.landscape, Polynomial):
        query["text"] = OWN.text
    run, messages = state.decode(query, default.run, others=("x.", "y.", "cells"))
    if run.landscape.dim != 1 or not run.landscape.barriers:
        why = "has two variables" if run.landscape.dim == 2 else "has no barrier between two minima"
        messages.append(
            f"landscape = {called(run.landscape)} {why}; give one variable w and two wells, such as {OWN.text} (kept {called(default.run.landscape)})"
        )
        run = replace(run, landscape=default.run.landscape, start=default.run.start, rule=default.run.rule)
    moved = type(run.landscape) is not type(default.run.landscape) or (
        isinstance(run.landscape, Polynomial) and run.landscape != default.run.landscape
    )
    if moved and not {"start", "at"} & set(query):
        run = replace(run, start=beside(run.landscape))
    if "lr" not in names(run.rule):
        messages.append(
            f"rule = {type(run.rule).__name__} has no learning rate; choose one of {', '.join(CHOICES)} (kept {type(default.run.rule).__name__})"
        )
        run = replace(run, rule=default.run.rule)
    axes, same = {}, type(run.rule) is type(default.run.rule) and not moved
    for place in ("x", "y"):
        taken = [other.name for other in axes.values()]
        free = [name for name in names(run.rule, run.landscape) if name not in taken]
        axes[place], found = _axis(query, place, getattr(default, place), run, same, free)
        messages += found
    cells, found = state.decode_fields(default, query)
    return EscapeLab(run, axes["x"], axes["y"], cells.cells), messages + found


def called(landscape: Landscape) -> str:
    """Its name in a message, or its own text."""
    return repr(landscape.text)[:60] if isinstance(landscape, Polynomial) else type(landscape).__name__


CHOICES = [name for name, rule in RULES.items() if "lr" in names(rule())]


def beside(landscape: Landscape) -> Uniform:
    """Starts around the leftmost minimum: within a sixth of the way to the barrier."""
    (at,) = min(minimum.at for minimum in landscape.minima)
    room = (landscape.barriers[0] - at) / 6
    return Uniform(float(f"{at - room:.4g}"), float(f"{at + room:.4g}"))


def _axis(query, place: str, default: Axis, run: Simulation, same: bool, free: Sequence[str]) -> tuple[Axis, list[str]]:
    """One axis: another parameter, or that of another rule or landscape, begins with its own span."""
    messages, given, rule = [], query.get(f"{place}.name", default.name), type(run.rule).__name__
    name = given if given in free else next(name for name in (default.name, *free) if name in free)
    if given != name and (f"{place}.name" in query or same):
        messages.append(f"{place}.name = {state._short(given)}; choose one of {', '.join(free)} (used {name})")
    if name != default.name or (name == "lr" and not same):
        default = axis(name, rule, default.count, run.landscape)
    fields = {key: text for key, text in query.items() if key.startswith(f"{place}.") and key != f"{place}.name"}
    known = [f"{place}.{parameter.name}" for parameter in parameters(Axis)]
    messages += [
        f"{state._short(key)[1:-1]} = {state._short(text)}; an axis has {', '.join(known)} (left out)"
        for key, text in fields.items()
        if key not in known
    ]
    typed = [getattr(default, end) if (text := fields.get(f"{place}.{end}")) is None else state.number(text) for end in ("low", "high")]
    fields, ascended = _ascending(fields, place, name, default)
    made, found = state.decode_fields(default, fields, f"{place}.")
    messages += found
    limits = next(p.range for p in (*parameters(type(run.rule)), *parameters(type(run.landscape))) if p.name == name)
    low, high = max(made.low, limits.low), min(made.high, limits.high)
    if (low, high) != (made.low, made.high):
        used = replace(made, low=low, high=high) if low < high else default
        asked = f"{place}: {name} from {typed[0]:g} to {typed[1]:g}" if None not in typed else f"{place}: {name}"
        messages.append(f"{asked}; legal is {limits.low:g} ... {limits.high:g}, ascending (used {used.low:g} to {used.high:g})")
        made = used
    else:
        messages += ascended
    return made, messages


def _ascending(fields: Mapping[str, str], place: str, name: str, default: Axis) -> tuple[Mapping[str, str], list[str]]:
    """Ends that are given in descending order are exchanged; one that passes the other takes it along, at the ratio (or distance) they had."""
    low, high = (state.number(fields[key]) if (key := f"{place}.{end}") in fields else None for end in ("low", "high"))
    ratio = default.high / default.low if default.low > 0 else None
    if not all(math.isfinite(end) for end in (low, high) if end is not None):
        return fields, []
    if low is not None and high is not None and low > high:
        used = high, low
    elif low is not None and high is None and low >= default.high:
        used = low, low * ratio if ratio else low + default.high - default.low
    elif high is not None and low is None and 0 < high <= default.low:
        used = high / ratio, high
    else:
        return fields, []
    used = [float(f"{value:.4g}") for value in used]
    text = f"{place}: {name} from {default.low if low is None else low:g} to {default.high if high is None else high:g}"
    return {**fields, f"{place}.low": str(used[0]), f"{place}.high": str(used[1])}, [f"{text}; an axis ascends (used {used[0]:g} to {used[1]:g})"]


# Controls


def controls(value: EscapeLab) -> list[dict]:
    """The form: groups of fields with their values, ranges, units and help; what an axis varies has no field of its own."""
    run, swept = value.run, (value.x.name, value.y.name)
    (low,), (high,) = run.start.bounds
    is_box = isinstance(run.start, Uniform)
    start = {
        "name": "start" if is_box else "at",
        "label": f"start (w₀={run.landscape.w0:g})" if "w0" in swept else "start",
        "kind": "text",
        "value": f"{low:g}, {high:g}" if is_box else f"{low:g}",
        "help": ("uniform from low to high" if is_box else "all start at this point")
        + (f" at w₀ = {run.landscape.w0:g}, and stretched like the wells at others" if "w0" in swept else "")
        + "; only those in the leftmost basin count. Near its minimum the start is forgotten soonest",
    }
    nodes = [item | {"label": "nodes, exact law"} for item in lab._items(value)]
    first = (run.rule.__doc__ or "").strip().split("\n")[0]
    rules = lab._choice("rule", "optimiser", type(run.rule).__name__, [(name, lab.RULE_NAMES.get(name, name)) for name in CHOICES], first)
    silent = ("temperature",) if getattr(run.rule, "noise", "batch") == "batch" else ("batch",)
    families = [(name, lab.LANDSCAPE_NAMES.get(name, name)) for name in FAMILIES]
    family = lab._choice("landscape", "family", type(run.landscape).__name__, families, "one variable, and a barrier between two minima")
    own = ("of",) if isinstance(run.landscape, Polynomial) else ()
    return [
        {"title": "Across", "open": True, "items": _axis_items(value.x, value.y, "x.", run)},
        {"title": "Up", "open": True, "items": _axis_items(value.y, value.x, "y.", run)},
        {"title": "Optimiser", "mark": "a", "open": True, "items": [rules, *lab._items(run.rule, "", (*swept, *silent))]},
        {"title": "Landscape", "open": True, "items": [family, *lab._items(run.landscape, "", (*swept, *own))]},
        {"title": "Each cell", "open": True, "items": [*lab._items(run), start, *nodes]},
    ]


def _axis_items(value: Axis, other: Axis, prefix: str, run: Simulation) -> list[dict]:
    choices = [(name, lab.LABELS[name]) for name in names(run.rule, run.landscape) if name != other.name]
    head = lab._choice(prefix + "name", "parameter", value.name, choices, "what varies along this axis")
    items = {item["name"]: item for item in lab._items(value, prefix, ("name",))}
    for key, text in (("low", "from"), ("high", "to")):
        items[prefix + key] |= {"kind": "text", "label": text, "value": f"{getattr(value, key):g}"}
    items[prefix + "count"]["label"] = "values"
    items[prefix + "spacing"]["help"] = "equal differences or equal ratios between neighbours"
    return [head, *items.values()]


def shape(value: EscapeLab) -> tuple:
    """What decides which controls there are."""
    run, landscape = value.run, value.run.landscape
    kind = getattr(landscape, "w0", landscape)  # starts are told at this w0; another polynomial has other starts
    return type(run.rule), getattr(run.rule, "noise", ""), type(run.start), value.x.name, value.y.name, type(landscape), kind


# Maps, shared


class Sweeping:
    """One map while it grows and when it is done, for all who look at it."""

    def __init__(self, value: EscapeLab):
        self.phase = value.phase
        self.frame = self.phase.blank()
        self.lines: dict[str, list] = {}
        self.lock = threading.Lock()  # whoever has it computes
        self._count = threading.Lock()
        self.watching = 0
        self.steps: Iterator = iter(())

    @property
    def done(self) -> bool:
        return self.frame.step == self.frame.of and len(self.lines) == 2

    @contextlib.contextmanager
    def watched(self):
        """While somebody waits; then the half of a cell that is in work is let go."""
        with self._count:
            self.watching += 1
        try:
            yield
        finally:
            with self._count:
                self.watching -= 1
                if not self.watching:
                    self.steps = iter(())

    def advance(self) -> bool:
        """Some 20 ms of work, if nobody else is at it; False if somebody is."""
        if not self.lock.acquire(blocking=False):
            return False
        try:
            if not self.done and next(self.steps, None) is None:
                self.steps = self._work()
        finally:
            self.lock.release()
        return True

    def _work(self) -> Iterator[bool]:
        rule = self.phase.base.rule
        for name, holds in (("stable", stable), ("crisis", stays)):
            if name not in self.lines:
                points = []
                if sharp(self.phase.base.landscape) and (name == "stable" or noise_free(rule) is not None):
                    for point in boundary(self.phase, holds):
                        points.append(point)
                        yield True
                self.lines[name] = points
        for frame in self.phase.stream(self.frame):
            self.frame = frame
            yield True


_maps: dict[EscapeLab, Sweeping] = {}  # the last used last
_turn = threading.Lock()


def sweeping(value: EscapeLab) -> Sweeping:
    """The map of a state: the same for everybody."""
    with _turn:
        made = _maps[value] = _maps.pop(value, None) or Sweeping(value)
        while len(_maps) > KEPT:
            del _maps[next(iter(_maps))]
    return made


def finished(value: EscapeLab) -> bool:
    """Whether its map is there already."""
    with _turn:
        return value in _maps and _maps[value].done


class Shown(NamedTuple):
    """What a picture of a map is made of: the map so far, and seconds until it is done (None: not known yet)."""

    value: EscapeLab
    frame: PhaseFrame
    lines: dict
    done: bool
    left: float | None = None


def work(value) -> Iterator:
    """Pictures of a growing map, what `Latest` iterates over; a rest of no length between two pieces of work gives others their turn."""
    if value is not STOP:
        yield from growing(value, sweeping(value))


def growing(value: EscapeLab, made: Sweeping, every: float = EVERY) -> Iterator:
    """The map's pictures until it is done, one in so many seconds, and rests."""
    last, seen = time.perf_counter(), []  # of the last pictures: when, and how many cells were done
    yield Shown(value, made.frame, dict(made.lines), made.done)
    with made.watched():
        while not made.done:
            yield 0.0 if made.advance() else 0.01
            now = time.perf_counter()
            if now - last > every and not made.done:
                frame, last = made.frame, now
                seen = [*seen[-20:], (now, frame.step)] if frame.step else []
                rate = (frame.step - seen[0][1]) / (now - seen[0][0]) if len(seen) > 1 else 0
                left = (frame.of - frame.step) / rate if rate else None
                yield Shown(value, frame, dict(made.lines), False, left)
    yield Shown(value, made.frame, dict(made.lines), True)


def fixed(value: EscapeLab) -> dict:
    """What does not change while a map grows: axes, the scale (log10 of one leaving in all trajectory-steps, or .1, to 1 a step), links."""
    phase = value.phase
    columns, rows = ([phase.cell(i, 0) for i in range(len(phase.xs))], [phase.cell(0, j) for j in range(len(phase.ys))])
    return {
        "x": _described(value.x, columns),
        "y": _described(value.y, rows),
        "scale": [min(math.floor(math.log10(1 / (value.run.n * value.run.steps)) + 1e-9), -1), 0],
        "n": value.run.n,
        "steps": value.run.steps,
        "stiff": [[stiffness(phase.cell(i, j)) for i in range(len(columns))] for j in range(len(rows))] if sharp(value.run.landscape) else None,
        "link": lab.encode(lab.Lab(value.run, None)),
        "rule": lab.RULE_NAMES.get(type(value.run.rule).__name__, type(value.run.rule).__name__),
        "q": written(value.run.landscape),
    }


def written(landscape: Landscape) -> str:
    """Q as plain text, with w₀ as a letter."""
    if isinstance(landscape, Polynomial):
        return landscape.text
    roots = ("w + w₀", "w − w₀") if isinstance(landscape, DoubleWell) else ("w + w₀", "w", "w − w₀")
    degrees = (getattr(landscape, f"d{i}") for i in range(1, len(roots) + 1))
    return "".join(
        (f"({root})" if " " in root else root) + ("" if d == 1 else str(d).translate(SUPERSCRIPT)) for root, d in zip(roots, degrees, strict=True)
    )


def _described(axis: Axis, runs: Sequence[Simulation]) -> dict:
    """An axis for the browser; `set`: what each of its values changes in a link to the landscape lab."""
    texts = [state.encode(run) for run in runs]
    changed = [key for key in texts[0] if len({text[key] for text in texts}) > 1]
    return {
        "name": axis.name,
        "label": lab.LABELS[axis.name],
        "values": list(axis.values),
        "set": {key: [text[key] for text in texts] for key in changed},
    }


def numbers(shown: Shown) -> dict:
    """The map so far, for the browser: rows of numbers, null where there is none; a rate of 99 stands for: all in one step."""
    frame, phase = shown.frame, shown.value.phase

    def rounded(array):
        return [[None if math.isnan(v) else float(f"{min(v, 99):.5g}") for v in row] for row in array.tolist()]

    return {
        "done": frame.done.tolist(),
        "rate": rounded(frame.rate),
        "stderr": rounded(frame.stderr),
        "exact": rounded(frame.exact),
        "z": rounded(np.clip(frame.z, -99, 99)),
        "counts": {name: getattr(frame, name).tolist() for name in ("started", "left", "held", "survivors")},
        "lines": {name: [point and [round(float(c), 3) for c in point] for point in points] for name, points in shown.lines.items()},
        "why": lab.rule_words(frame.why),
        "says": says(phase, frame),
        "complete": shown.done,
        "step": frame.step,
        "of": frame.of,
        "left": shown.left,
    }


def says(phase: Phase, frame: PhaseFrame) -> str:
    """One or two sentences: do the two maps agree, and where does escape begin?"""
    parts = []
    with np.errstate(invalid="ignore"):
        z = frame.z[frame.risk * -np.expm1(-frame.exact) >= EXPECTED]
    if len(z) > 1 and frame.step == frame.of:
        worst = np.max(np.abs(z))
        likely = len(z) * math.erfc(worst / math.sqrt(2))  # cells that chance alone puts so far away; a bound also as cells share their noise
        verdict = "agree within the Monte-Carlo error" if likely > 0.01 else "differ somewhere by more than the Monte-Carlo error"
        coarse = (
            f"; an exact law of {phase.cells} nodes has an error of its own, with 1,000 it is small" if likely <= 0.01 and phase.cells < 1000 else ""
        )
        parts.append(
            f"Sampled and exact rates {verdict}: in the {len(z)} cells where escapes are expected they differ by at most {worst:.1f} standard "
            f"errors (all cells share their noise){coarse}"
        )
    best = np.where(np.isfinite(frame.exact), frame.exact, frame.rate)
    if sharp(phase.base.landscape) and np.any(frame.done):
        momentum = "momentum" in (phase.x, phase.y) or getattr(phase.base.rule, "momentum", 0)
        with np.errstate(invalid="ignore"):
            leaving = np.argwhere(frame.done & (best > 1e-3))
        if len(leaving):
            smallest = min(stiffness(phase.cell(i, j)) for j, i in leaving)
            beside = "" if momentum else ": the stability line is 2" if smallest < 2 else ", beyond the stability line at 2"
            parts.append(f"More than one in a thousand leaves at a step from ηH = {smallest:.2f} on{beside}")
        elif frame.step == frame.of:
            parts.append("Hardly anybody leaves in any cell: at most one in a thousand at a step")
    elif not sharp(phase.base.landscape):
        parts.append("The left minimum is degenerate (H = 0), so it has no stability line, and what comes near it slows down and stays")
    return ". ".join(parts) + "." if parts else ""


def table(value: EscapeLab, frame: PhaseFrame) -> str:
    """The map as CSV text, one row a cell."""
    text, rows = io.StringIO(), list(value.phase.table(frame))
    if rows:
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


# The page


class EscapeView(Alone, pn.custom.JSComponent):
    """The escape lab in the browser: controls, two maps, a word for each cell."""

    controls = param.List(doc="groups of fields, see controls()")
    examples = param.Dict(default={}, doc="maps to choose from, and which one this is")
    fixed = param.Dict(default={}, doc="axes, scale and links of the map, see fixed()")
    numbers = param.Dict(default={}, doc="the map so far, see numbers()")
    status = param.Dict(default={}, doc="running, stale: the controls have moved on; estimate in seconds; problem; query of the controls")
    csv = param.Dict(default={}, doc="a table that was asked for")
    kinds = param.List(doc="other files that can be saved: [suffix, what it is]")
    file = param.Dict(default={}, doc="a file to save, see page.file_message()")
    notices = param.List(doc="messages about what could not be used")
    theme = param.String()
    projector = param.Boolean()
    widget = param.Boolean(doc="in a frame: without the bar, the controls in a drawer")
    style = param.String()

    _esm = "\n".join((HERE / f"{part}.js").read_text() for part in ("form", "deck", "shell", "escape"))

    def __init__(self, heard, **values):
        self.heard = heard
        super().__init__(**values)

    def _handle_msg(self, data):
        self.heard(data)


class Session(Saver):
    """One visitor's escape lab: what the controls say (`value`), and what the map shows (`asked`), which may be an older value."""

    page = "escape"
    encode = staticmethod(encode)

    def __init__(self, query: dict[str, str]):
        self.value, messages = decode(query)
        self.asked: EscapeLab | None = None
        self.made: Sweeping | None = None
        self.running = False
        self.forms = self.downloads = 0
        self.view = EscapeView(
            functools.partial(deliver, self, self.hear),
            notices=messages,
            kinds=[kind for kind in kinds() if kind[0] not in (".csv", ".svg", ".png")],  # those the browser makes of what it shows
            **looks(query),
            style="\n".join((HERE / f"{part}.css").read_text() for part in ("lab", "escape")),
            sizing_mode="stretch_width",
            margin=0,
        )
        self.doc, self.loop = pn.state.curdoc, IOLoop.current(instance=False)
        self.latest = Latest(work, self.publish, present=lambda: present(self))
        self.loaded = False
        self.form()
        self.follow(PATIENCE)
        # not before the page is there: what a thread sends to a document that is still being made can be lost
        served = self.doc is not None and self.doc.session_context
        pn.state.onload(functools.partial(deliver, self, self.go_on) if served else self.go_on)

    def form(self) -> None:
        """Send the form anew, numbered: what was typed since is not known here, so that the same form can be another one."""
        self.forms += 1
        self.view.controls = [group | {"number": self.forms} for group in controls(self.value)]

    def follow(self, patience: float) -> None:
        """Show the map of the controls if it is there, or will be within so many seconds (0: neither); else say how long it would take."""
        problem, estimate = self.cost()
        if not problem and patience and (estimate <= patience or finished(self.value)):
            self.start()
        else:
            self.tell()

    def cost(self) -> tuple[str, float]:
        """(what is wrong with the controls' map, if anything; the seconds it takes)."""
        try:
            seconds = self.value.seconds
        except ValueError as error:
            return str(error), 0.0
        n = self.value.run.n
        if n > MOST:
            return f"n = {n:,} trajectories at once need about {n / 1e7:.1f} GB of at most {MOST / 1e7:.1f}; take fewer", seconds
        if seconds > LIMIT:
            cells = len(self.value.x.values) * len(self.value.y.values)
            return (
                f"{cells:,} cells of {self.value.run.n:,} trajectories and {self.value.run.steps:,} steps, exact laws of {self.value.cells} nodes: "
                f"about {seconds / 60:,.0f} minutes of at most {LIMIT // 60}; take fewer cells, trajectories, steps or nodes"
            ), seconds
        return "", seconds

    def start(self) -> None:
        """Compute the map of the controls; the one before goes on only for others."""
        self.asked, self.running = self.value, True
        made = self.made = sweeping(self.value)
        with pn.io.hold():
            self.view.param.update(fixed=fixed(self.value), numbers=numbers(Shown(self.value, made.frame, dict(made.lines), made.done)), csv={})
            self.running = not made.done
            self.tell()
        if self.loaded:
            self.latest(self.value if self.running else STOP)

    def go_on(self) -> None:
        self.loaded = True
        if self.running:
            self.start()

    def tell(self) -> None:
        problem, estimate = self.cost()
        query = urlencode(encode(self.value), safe=",")
        chosen = next((name for name, value in EXAMPLES.items() if value == self.value), "")
        self.view.param.update(
            status={"running": self.running, "stale": self.value != self.asked, "estimate": estimate, "problem": problem, "query": query},
            examples={"names": list(EXAMPLES), "chosen": chosen},
        )

    def publish(self, result) -> None:
        """From a thread: hand over a result to the page's document."""
        deliver(self, self.show, result)

    def show(self, result) -> None:
        if isinstance(result, Shown):
            if result.value != self.asked or not self.running:
                return  # overtaken, or cancelled
            self.view.numbers = numbers(result)
            if result.done:
                self.running = False
                self.tell()
        else:
            self.running = False
            known = isinstance(result, ValueError)
            self.view.notices = [str(result) if known else "The computation failed; the map so far stays. Reset, or try other values."]
            self.tell()

    def hear(self, message: dict) -> None:
        """What the browser says: {"set": {name: text}}, {"example": name} or {"action": ...}. Nothing in it is trusted."""
        if not isinstance(message, dict):
            return
        if isinstance(message.get("set"), dict):
            self.change({str(name): str(text) for name, text in list(message["set"].items())[:50]})
        elif isinstance(message.get("example"), str) and message["example"] in EXAMPLES:
            self.replace(EXAMPLES[message["example"]], patience=PATIENCE)
        elif isinstance(message.get("open"), str):
            self.replace(*decode(asked(message["open"])), patience=PATIENCE)
        elif message.get("action") == "reset":
            self.replace(EscapeLab(), patience=PATIENCE)
        elif message.get("action") == "run" and not self.cost()[0]:
            self.start()
        elif message.get("action") == "cancel" and self.running:
            self.running = False
            self.latest(STOP)
            self.tell()
        elif message.get("action") == "back" and self.asked:
            self.replace(self.asked)
        elif isinstance(message.get("save"), str) and self.asked:
            self.keep(message["save"])
        elif message.get("action") == "csv" and self.asked:
            self.downloads += 1
            self.view.csv = {"text": self.table(), "number": self.downloads}

    def change(self, values: dict[str, str]) -> None:
        """New values from the form; what is wrong keeps its value, and a notice says so."""
        texts = {name: text.replace(" ", "") if name in ("start", "at") else text for name, text in values.items()}
        value, messages = decode(texts, self.value)
        busy = self.running and self.asked.seconds > SOON  # what takes long is not given up unasked
        self.replace(value, messages, rebuild=bool(messages), patience=0 if busy else SOON)

    def replace(self, value: EscapeLab, messages: Sequence[str] = (), rebuild: bool = True, patience: float = SOON) -> None:
        before, self.value = self.value, value
        with pn.io.hold():
            if rebuild or shape(before) != shape(value):
                self.form()
            self.view.notices = list(messages)
            if value == self.asked and (self.running or self.made.done):
                self.tell()
            else:
                self.follow(patience)

    @property
    def heading(self) -> str:
        """The title of what is saved."""
        return next((f"Escape rates: {name[0].lower()}{name[1:]}" for name, value in EXAMPLES.items() if value == self.asked), "Escape rates")

    def sheet(self):
        """What draws the map as it is now as a picture of Matplotlib, when it is called."""
        from app.escapesheet import draw

        return functools.partial(draw, Shown(self.asked, self.made.frame, dict(self.made.lines), self.made.done), self.heading)

    def table(self) -> str:
        """The map as CSV text, one row a cell."""
        return table(self.asked, self.made.frame) if self.asked else ""

    def record(self) -> Iterator[str]:
        """Compute the map of the controls, here and now, and show it on no server; a label for each picture (see `recording`)."""
        self.latest, self.loaded = Asked(), True
        problem, _ = self.cost()
        if problem:
            raise ValueError(problem)
        self.start()
        self.made, self.running, told = Sweeping(self.value), True, -math.inf  # from the first cell, known or not
        for result in growing(self.value, self.made, 0):
            if isinstance(result, Shown) and (result.done or result.frame.step - told >= result.frame.of / RECORDED):
                told = result.frame.step
                self.show(result)
                yield f"{told:,} of {result.frame.of:,} cells"

    def close(self) -> None:
        """The tab has gone: stop computing and let go of everything."""
        self.latest.close()
        self.doc = None
