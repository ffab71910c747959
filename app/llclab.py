"""The LLC lab: chains estimate a learning coefficient that is known; what they report stands beside what is exact, with their health in words.

Runs and maps are kept in memory, the last of this process, by their state: whoever opens the same link sees the same numbers at once.
"""

import collections
import csv
import functools
import io
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from bokeh.models import LogTicker
from bokeh.plotting import figure

from app import landscapelab as lab
from app import state
from app.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, canvas, source
from app.known import MODELS, Data, DeepLinear, Known, Linear, Powers, Quadratic, ReducedRank, ReLU, Toy
from app.live import Abandoned
from app.page import Cell
from app.page import Session as Base
from dynamics.estimate import default_nbeta
from landscapes import DoubleWell, Range, Valley
from landscapes.scale import check, parameters
from nets.estimate import Estimate, Estimation
from nets.samplers import MALA, SAMPLERS, SGHMC, SGLD, SGNHT, AdamSGLD, RMSPropSGLD, Sampler
from nets.targets import Target

MOST = 1_000_000  # draws of all chains together: some 0.1 GB while they run
KEPT = 64  # runs that are remembered, of some 0.1 MB each, and maps
LINES = 6  # chains that are drawn
POINTS = 300  # of each line
PATIENCE = 0.4  # seconds that a run has to show something before a newer value may end it
TURN = 0.0  # a rest of no length: others' turn
COLUMNS, ROWS, SPACING = 9, 7, 0.5  # the map: so many eps and n beta, half a decade apart
CLOSE = 0.02  # of the exact value: nearer than this is right, whatever the error says
GAP = 0.05  # of lambda, by which the exact value at this n beta differs, that calls for a word
CHAIN_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#7a7a7a")  # Okabe & Ito
TOO_LOW, RIGHT, TOO_HIGH, DIED = (0, 114, 178), (246, 246, 242), (213, 94, 0), "#5a5a5a"

NBETA = {"n / log n": "n / log n", "batch / log batch": "B / log B (devinterp 0.2)", "own": "set it yourself"}
SAMPLER_NAMES = {
    "MALA": "MALA",
    "SGLD": "SGLD",
    "DiagonalSGLD": "SGLD, preconditioned",
    "RMSPropSGLD": "RMSProp-SGLD",
    "AdamSGLD": "Adam-SGLD",
    "SGHMC": "SGHMC (momentum)",
    "SGNHT": "SGNHT (thermostat)",
}
MODEL_NAMES = {
    "Toy": "polynomial",
    "Quadratic": "quadratic",
    "Powers": "sum of powers",
    "DeepLinear": "deep linear",
    "ReducedRank": "reduced rank",
    "ReLU": "ReLU, rescaled",
}
LABELS = {
    "d": "directions d",
    "low": "lowest curvature",
    "high": "highest curvature",
    "quadratic": "directions w²",
    "quartic": "directions w⁴",
    "sextic": "directions w⁶",
    "inputs": "inputs",
    "hidden": "hidden width",
    "outputs": "outputs",
    "layers": "layers L",
    "rank": "rank r",
    "loses": "rank r in",
    "alpha": "rescaling α",
    "friction": "friction a",
    "gain": "thermostat gain",
    "decay": "memory b",
    "stability": "stability a",
    "momentum": "momentum c",
    "burn_in": "burn-in",
    "batch": "batch B",
    "noise": "label noise",
    "n": "samples n",
    "nbeta_from": "nβ is",
    "precondition": "preconditioner",
    "correction": "correction Γ",
    "baseline": "baseline L(w*)",
}
HELP = {
    "nbeta_from": "n / log n with n the size of the data set is WBIC's; devinterp 0.2 took the batch for n; or set nβ yourself",
    "precondition": "a fixed scale P for the steps of each weight",
    "correction": "P follows w, so sampling needs the drift Γ; published samplers leave it out, and are biased",
    "baseline": "L(w*) on the draws' own batches, so that their scatter cancels, or on all samples",
    "loses": "which layers of w* have only rank r; the others have full rank. Every layer: the most singular point",
}


@dataclass(frozen=True)
class Settings:
    """Everything besides model and sampler. map_eps, map_nbeta: the middle of the map."""

    nbeta_from: Literal["n / log n", "batch / log batch", "own"] = "own"
    nbeta: Annotated[
        float, Range(1e-2, 1e9, log=True, help="nβ: the larger, the nearer the exact value comes to λ, and the slower the chains", shown=(1, 1e6))
    ] = 1000.0
    chains: Annotated[int, Range(1, 64, log=True, help="independent chains; their agreement is part of the error", shown=(1, 32))] = 8
    draws: Annotated[int, Range(10, 1_000_000, log=True, unit="draws", help="draws that are kept, of each chain", shown=(100, 50_000))] = 8000
    burn_in: Annotated[int, Range(0, 1_000_000, unit="steps", help="first steps of each chain, thrown away", shown=(0, 5000))] = 1000
    batch: Annotated[int, Range(0, 10_000, unit="samples", help="samples a step; 0: all of them", shown=(0, 256))] = 0
    baseline: Literal["batch", "full"] = "batch"
    n: Annotated[int, Range(100, 10_000, log=True, unit="samples", help="size of the data set")] = 1000
    noise: Annotated[float, Range(0, 10, help="standard deviation of the labels around the truth: it makes batches noisy at w*", shown=(0, 2))] = 1.0
    seed: Annotated[int, Range(0, 2**31 - 1, help="same seed, same noise of the chains", shown=(0, 99))] = 0
    precondition: Literal["off", "on"] = "off"
    correction: Literal["on", "off"] = "on"
    map_eps: Annotated[float, Range(1e-14, 1e3, log=True)] = 1e-3
    map_nbeta: Annotated[float, Range(1e-2, 1e9, log=True)] = 1000.0

    def __post_init__(self):
        check(self)
        if self.chains * self.draws > MOST:
            raise ValueError(f"{self.chains:,} chains of {self.draws:,} draws: at most {MOST:,} together; take fewer of one")
        if self.burn_in * self.chains > MOST:
            raise ValueError(f"{self.chains:,} chains with a burn-in of {self.burn_in:,} steps: at most {MOST:,} together; take fewer of one")


@dataclass(frozen=True)
class LLCLab:
    """Everything the page shows follows from this value."""

    model: Known = Toy(DoubleWell(w0=1.8, d1=1, d2=2))
    sampler: Sampler = MALA(eps=3e-3, gamma=1.0)
    settings: Settings = Settings()

    @property
    def data(self) -> Data:
        return Data(self.settings.n, self.settings.noise)

    @property
    def batch(self) -> int:
        """Samples a step; 0 where batches make no sense."""
        return min(self.settings.batch, self.settings.n) if self.model.samples and not self.sampler.full else 0

    @property
    def nbeta(self) -> float:
        given = self.settings
        if given.nbeta_from == "own":
            return given.nbeta
        return default_nbeta(max(given.batch, 2) if given.nbeta_from == "batch / log batch" and given.batch else given.n)

    @property
    def rule(self) -> Sampler:
        """The sampler with what the form says in words."""
        if hasattr(self.sampler, "diagonal"):
            return replace(self.sampler, diagonal=self.model.preconditioner() if self.settings.precondition == "on" else ())
        if hasattr(self.sampler, "correction"):
            return replace(self.sampler, correction=self.settings.correction == "on")
        return self.sampler

    def estimation(self, target: Target, **settings) -> Estimation:
        """The run."""
        truth, given = self.model.truth, self.settings
        own = {
            "chains": given.chains,
            "draws": given.draws,
            "burn_in": given.burn_in,
            "batch": self.batch,
            "seed": given.seed,
            "baseline": given.baseline if self.batch else "full",
            "exact": None if truth.local is None else (truth.local, truth.overall),
        }
        return Estimation(target, self.rule, self.nbeta, **own | settings)

    def at(self, eps: float, nbeta: float) -> "LLCLab":
        """The same with another step and temperature."""
        return replace(self, sampler=replace(self.sampler, eps=eps), settings=replace(self.settings, nbeta_from="own", nbeta=nbeta))


def anchored(value: LLCLab, anew: bool = False) -> LLCLab:
    """The map stays where it is until eps or n beta leave it; `anew`: they are its middle."""
    given, moved = value.settings, {}
    for name, now, reach in (("map_eps", value.sampler.eps, COLUMNS // 2), ("map_nbeta", value.nbeta, ROWS // 2)):
        if anew or abs(math.log10(now / getattr(given, name))) > reach * SPACING + 0.01:  # cells are rounded to three digits
            limits = next(parameter.range for parameter in parameters(Settings) if parameter.name == name)
            moved[name] = min(max(float(f"{10 ** (round(2 * math.log10(now)) / 2):.3g}"), limits.low), limits.high)
    return replace(value, settings=replace(given, **moved)) if moved else value


def _start(model: Known, sampler: Sampler | None = None, **settings) -> LLCLab:
    return anchored(LLCLab(model, sampler or MALA(), Settings(**settings)), anew=True)


_HEALTHY = LLCLab()
_SQUARE = {"nbeta_from": "n / log n", "draws": 4000}
_NET = {"nbeta_from": "n / log n", "n": 10_000, "noise": 0.0, "draws": 8000, "burn_in": 4000}
_RELU = {"nbeta_from": "n / log n", "n": 300, "draws": 2000, "burn_in": 1000, "chains": 4}
STARTS = {  # where one begins with another model
    "Toy": _HEALTHY,
    "Quadratic": _start(Quadratic(), MALA(eps=4e-3), **_SQUARE),
    "Powers": _start(Powers(), MALA(eps=6e-3, gamma=0.0), **_SQUARE),
    "DeepLinear": _start(DeepLinear(2, 2, 2, 2, 0), MALA(eps=3e-4), **_NET),
    "ReducedRank": _start(ReducedRank(), MALA(eps=2e-4, gamma=5.0), **_NET),
    "ReLU": _start(ReLU(2, 9, 1), MALA(eps=1e-3, gamma=10.0), **_RELU),
}
_SCALED = _start(ReLU(2, 9, 1, 10.0), MALA(eps=1e-3, gamma=0.0), **_RELU, precondition="on")
EXAMPLES: dict[str, tuple[str, LLCLab]] = {
    "healthy": ("A healthy estimate: λ = 1/4 in a degenerate well", _HEALTHY),
    "dead": ("SGLD at MALA's step: every chain dies", replace(_HEALTHY, sampler=SGLD(eps=3e-3))),
    "step": ("A step too large, and just as wrong as computed", _start(Quadratic(), SGLD(eps=8e-3), **_SQUARE)),
    "heat": ("Batches heat the chains: exact with their noise", _start(Quadratic(), SGLD(eps=1e-3), **_SQUARE | {"batch": 16, "draws": 8000})),
    "spread": ("Not in equilibrium: flat directions fill slowly", _start(Quadratic(20, 1e-3, 1.0), MALA(eps=1e-4, gamma=0.0), draws=2000, burn_in=0)),
    "far": ("Not local: without a tether the chains wander off", _start(Toy(Valley(1, 1), 1), MALA(eps=3e-3, gamma=0.0))),
    "batch": (
        "devinterp 0.2: nβ from the batch, not from n",
        _start(Quadratic(10, 0.1, 1.0), SGLD(eps=0.01), nbeta_from="batch / log batch", n=10_000, batch=32),
    ),
    "slow": ("Healthy and yet far from λ: multiplicity 2", _start(Toy(Valley(1, 2), 0), MALA(eps=3e-3), nbeta=1e4, draws=20_000)),
    "saddle": ("Where the local λ is 2, the global one 3/2", _start(DeepLinear(2, 2, 2, 2, 0, "last layer"), MALA(eps=3e-4), **_NET)),
    "regular": (
        "Short chains read the curved directions only",
        _start(DeepLinear(5, 8, 5, 3, 2), MALA(eps=3e-5, gamma=10.0), **_NET | {"draws": 1000, "burn_in": 300}),
    ),
    "correction": (
        "RMSProp-SGLD as published, without its correction",
        _start(Quadratic(4, 0.1, 10.0), RMSPropSGLD(eps=2e-4), **_SQUARE, correction="off"),
    ),
    "scaled": ("ReLU rescaled by 10: a preconditioner that follows", _SCALED),
    "unscaled": ("ReLU rescaled by 10: without it", replace(_SCALED, settings=replace(_SCALED.settings, precondition="off"))),
}


# Text: what a link holds


def encode(value: LLCLab) -> dict[str, str]:
    """Every value as text, for the link."""
    model = state.encode_fields(value.model, "m.")
    if isinstance(value.model, Toy):
        model = state.encode_choice("landscape", value.model.landscape, "m.") | model
    names = {"model": type(value.model).__name__, **model, "sampler": type(value.sampler).__name__}
    return {"page": "llc", "v": lab.VERSION} | names | state.encode_fields(value.sampler) | state.encode_fields(value.settings)


def decode(query: Mapping[str, str], default: LLCLab = LLCLab()) -> tuple[LLCLab, list[str]]:
    """A lab from a link that anybody may have written, and messages about what could not be used; never raises."""
    query = {key: text for key, text in query.items() if key not in ("v", *state.FRAME)}
    name, messages = _named("model", query, MODELS, type(default.model).__name__)
    if name != type(default.model).__name__:
        start = STARTS[name]
        sampler = replace(default.sampler, eps=start.sampler.eps, gamma=start.sampler.gamma)
        default = LLCLab(start.model, sampler, replace(start.settings, seed=default.settings.seed))
    model, found = _model(query, default.model)
    messages += found
    name, found = _named("sampler", query, SAMPLERS, type(default.sampler).__name__)
    messages += found
    sampler = default.sampler
    if name != type(sampler).__name__:
        sampler = SAMPLERS[name](eps=sampler.eps, gamma=sampler.gamma)
        if name == "DiagonalSGLD":  # else it is SGLD
            default = replace(default, settings=replace(default.settings, precondition="on"))
    sampler, found = state.decode_fields(sampler, query)
    settings, more = state.decode_fields(default.settings, query)
    value = anchored(LLCLab(model, sampler, settings))
    known = encode(value)
    unknown = [key for key in query if key not in known]
    more += [f"{state._short(key)[1:-1]} = {state._short(query[key])}; there is no such value here (left out)" for key in unknown[: state.MESSAGES]]
    return value, (messages + found + more)[: state.MESSAGES]


def _named(kind: str, query, choices, now: str) -> tuple[str, list[str]]:
    text = query.get(kind, now)
    if text in choices:
        return text, []
    return now, [f"{kind} = {state._short(text)}; choose one of {', '.join(choices)} (kept {now})"]


def _model(query, default: Known) -> tuple[Known, list[str]]:
    messages = []
    if isinstance(default, Toy):
        landscape, messages = state.decode_choice("landscape", query, default.landscape, "m.")
        if landscape != default.landscape:
            try:
                default = Toy(landscape, default.point if type(landscape) is type(default.landscape) else 0)
            except ValueError as error:
                messages.append(f"{error} (kept {type(default.landscape).__name__})")
    model, found = state.decode_fields(default, query, "m.")
    return model, messages + found


# Controls


def controls(value: LLCLab) -> list[dict]:
    """The form: groups of fields with their values, ranges, units and help."""
    model, sampler, given = value.model, value.sampler, value.settings
    head = lab._choice("model", "model", type(model).__name__, MODEL_NAMES.items(), model.__doc__.split("\n")[0])
    if isinstance(model, Toy):
        names = [(name, lab.LANDSCAPE_NAMES.get(name, name)) for name in state.CHOICES["landscape"]]
        points = [(str(i), f"{place.name}: λ = {place.lam}") for i, place in enumerate(model.landscape.minima)]
        items = [
            lab._choice("m.landscape", "family", type(model.landscape).__name__, names, model.landscape.__doc__.split("\n")[0]),
            *lab._items(model.landscape, "m."),
            lab._choice("m.point", "w* is", str(min(model.point, len(points) - 1)), points, "the minimum at which λ is estimated"),
        ]
    else:
        items = lab._items(model, "m.")
    rules = lab._choice("sampler", "sampler", type(sampler).__name__, SAMPLER_NAMES.items(), sampler.__doc__.split("\n")[0])
    temperature = _own(given, ("nbeta_from", "nbeta") if given.nbeta_from == "own" else ("nbeta_from",))
    temperature[0]["choices"] = [[key, text] for key, text in NBETA.items()]
    batches = value.model.samples and not sampler.full
    data = [*(["batch", "baseline"] if batches else []), *(["n"] if model.samples or given.nbeta_from == "n / log n" else [])]
    noisy = isinstance(model, Toy | Quadratic | Linear) and batches
    more = [*(["precondition"] if hasattr(sampler, "diagonal") and model.scaled else []), *(["correction"] if hasattr(sampler, "correction") else [])]
    steps = lab._items(sampler)
    for item in steps:
        item["label"] = LABELS.get(item["name"], item["label"])
    own = _own(given, more)
    for item in own:
        if item["name"] == "precondition":
            item["help"] = model.scaled
    for item in items:
        item["label"] = LABELS.get(item["name"].removeprefix("m."), item["label"]) if not isinstance(model, Toy) else item["label"]
        item["help"] = HELP.get(item["name"].removeprefix("m."), item["help"])
    return [
        {"title": "Model", "open": True, "items": [head, *items]},
        {"title": "Sampler", "mark": "a", "open": True, "items": [rules, *steps, *own]},
        {"title": "Temperature", "open": True, "items": temperature},
        {"title": "Chains", "open": True, "items": _own(given, ("chains", "draws", "burn_in", "seed"))},
        {"title": "Data", "open": True, "items": _own(given, [*data, *(["noise"] if noisy else [])])},
    ]


def _own(given: Settings, names) -> list[dict]:
    items = {item["name"]: item for item in lab._items(given)}
    return [items[name] | {"label": LABELS.get(name, items[name]["label"]), "help": HELP.get(name, items[name]["help"])} for name in names]


def shape(value: LLCLab) -> tuple:
    """What decides which controls there are."""
    toy = (type(value.model.landscape), value.model.landscape.minima) if isinstance(value.model, Toy) else ()
    return type(value.model), type(value.sampler), value.settings.nbeta_from, toy


# What is exact


class Exact(NamedTuple):
    """What chains without any error report at this n beta and gamma; what this sampler does, its step and batches included. None: not known."""

    ideal: float | None
    actual: float | None

    @property
    def best(self) -> float | None:
        """What the chains should be compared with."""
        return self.ideal if self.actual is None else self.actual


@functools.lru_cache(maxsize=256)
def exact(model: Known, rule: Sampler, nbeta: float, batch: int, data: Data) -> Exact:
    return Exact(model.ideal(nbeta, rule.gamma), model.actual(rule, nbeta, batch, data))


@functools.lru_cache(maxsize=16)
def target_of(model: Known, data: Data) -> Target:
    """Shared: nothing in it changes."""
    return model.target(data)


# Runs, shared


class Leavable(Target):
    """The same target; its next gradient ends the run that nobody waits for any more."""

    def __init__(self, target: Target, left: Callable[[], bool]):
        self.target, self.left = target, left
        self.n, self.star = target.n, target.star

    def losses(self, w, index=None):
        return self.target.losses(w, index)

    def gradients(self, w, index=None):
        if self.left():
            raise Abandoned
        return self.target.gradients(w, index)


class Kept:
    """The last so many values by key, for all visitors."""

    def __init__(self, size: int):
        self.size, self.known, self.lock = size, collections.OrderedDict(), threading.Lock()

    def get(self, key):
        with self.lock:
            if key in self.known:
                self.known.move_to_end(key)
            return self.known.get(key)

    def put(self, key, value) -> None:
        with self.lock:
            self.known[key] = value
            self.known.move_to_end(key)
            while len(self.known) > self.size:
                self.known.popitem(last=False)


runs, cells = Kept(KEPT), Kept(KEPT * COLUMNS * ROWS)


class Numbers(NamedTuple):
    """What is told of an estimate in words; `twin`: what the same chains report without the model's rescaling."""

    mean: float
    stderr: float
    ess: float
    rhat: float
    dead: int
    acceptance: float
    radius: float
    equipartition: float
    by_chain: np.ndarray
    health: tuple
    exact: Exact
    draws: int
    twin: float | None = None


class Picture(NamedTuple):
    """What is shown of a run: columns of sources, ranges of axes, legends, numbers. sampler: where the step is being tuned, the one tried."""

    value: LLCLab
    columns: dict
    spans: dict
    numbers: Numbers
    done: bool
    share: float
    sampler: Sampler | None = None


class Tuned(NamedTuple):
    """The step that was found."""

    value: LLCLab
    eps: float


class MapCell(NamedTuple):
    """A short run; why: names of warnings."""

    mean: float
    stderr: float
    dead: int
    of: int
    why: tuple[str, ...]


class Map(NamedTuple):
    """The cells that are there, by (eps, nbeta)."""

    value: LLCLab
    cells: dict
    done: bool


class Task(NamedTuple):
    """What is asked of the threads: to run, to tune first, or nothing; `mapped`: and then the map."""

    value: LLCLab
    what: Literal["run", "tune", "stop"] = "run"
    mapped: bool = True


def work(task: Task, stale: Callable[[], bool]) -> Iterator:
    """Pictures of the chains as they go, then cells of the map: what `Latest` iterates over."""
    if task.what == "stop":
        return
    torch.set_num_threads(1)  # small products: two threads are slower than one, and ten visitors share the cores
    value = task.value
    if task.what == "tune":
        yield from _tune(value, stale)
        return
    known = runs.get(value)
    if known is None:
        for shown in _run(value, stale):
            known = shown
            yield shown
        known = known._replace(done=True, share=1.0)
        twin = yield from _twin(value, stale)
        runs.put(value, known := known._replace(numbers=known.numbers._replace(twin=twin)))
    yield known
    if task.mapped:
        yield from _map(value, stale)


def _leavable(value: LLCLab, stale) -> tuple[Target, list[bool]]:
    """The target, which may be left once something was shown, or after a moment."""
    shown, begun = [False], time.monotonic()
    target = Leavable(target_of(value.model, value.data), lambda: stale() and (shown[0] or time.monotonic() - begun > PATIENCE))
    return target, shown


def _run(value: LLCLab, stale) -> Iterator[Picture]:
    target, shown = _leavable(value, stale)
    total = value.settings.draws + value.settings.burn_in
    for estimate in value.estimation(target).stream():
        made = picture(value, estimate, min(estimate.step / total, 1))
        yield made
        shown[0] = made.numbers.draws > 0


def _twin(value: LLCLab, stale):
    """lambda-hat of the same chains at alpha = 1; None where there is no alpha."""
    model = value.model
    if not isinstance(model, ReLU) or model.alpha == 1:
        return None
    twin = replace(value, model=replace(model, alpha=1.0))
    known = runs.get(twin)
    if known is None:
        for shown in _run(twin, stale):
            known = shown
            yield TURN
        known = known._replace(done=True, share=1.0)
        runs.put(twin, known)
    return known.numbers.mean


def _tune(value: LLCLab, stale) -> Iterator:
    """The automatic step; a sampler with momentum gets that of its sibling without."""
    target, shown = _leavable(value, stale)
    stand_in = value
    if isinstance(value.sampler, SGHMC | SGNHT):
        stand_in = replace(value, sampler=SGLD(value.sampler.eps, value.sampler.gamma))
    elif isinstance(value.sampler, AdamSGLD):
        own = value.sampler
        stand_in = replace(value, sampler=RMSPropSGLD(own.eps, own.gamma, own.decay, own.stability))
    total, estimate = value.settings.draws + value.settings.burn_in, None
    for estimate in stand_in.estimation(target, eps="auto").stream():
        yield picture(value, estimate, min(estimate.step / total, 1))._replace(sampler=estimate.sampler)
        shown[0] = True
    eps = estimate.sampler.eps
    if stand_in is value and not estimate.dead:  # these are the chains of that very step
        done = anchored(replace(value, sampler=replace(value.sampler, eps=eps)))
        runs.put(done, picture(done, estimate, 1.0)._replace(done=True))
    yield Tuned(value, eps)


def columns_of(value: LLCLab) -> list[float]:
    return _around(value.settings.map_eps, COLUMNS, 1e-14, 1e3)


def rows_of(value: LLCLab) -> list[float]:
    return _around(value.settings.map_nbeta, ROWS, 1e-2, 1e9)


def _around(middle: float, count: int, low: float, high: float) -> list[float]:
    found = (float(f"{middle * 10 ** (SPACING * (i - count // 2)):.3g}") for i in range(count))
    return [each for each in found if low <= each <= high]


def _cell_key(value: LLCLab, eps: float, nbeta: float) -> LLCLab:
    """A short run of that step and temperature; the same whatever map it belongs to."""
    small, given = target_of(value.model, value.data).dim <= 40, value.settings
    draws = min(given.draws, 1000 if small else 300)
    short = replace(given, chains=min(given.chains, 8), draws=draws, burn_in=min(given.burn_in, draws // 2), map_eps=1.0, map_nbeta=1.0)
    return replace(value, settings=short).at(eps, nbeta)


def _map(value: LLCLab, stale) -> Iterator:
    """Cells, those near the controls first."""
    places = [(eps, nbeta) for eps in columns_of(value) for nbeta in rows_of(value)]
    places.sort(key=lambda place: math.log(place[0] / value.sampler.eps) ** 2 + math.log(place[1] / value.nbeta) ** 2)
    found, last = {}, time.monotonic()
    for place in places:
        key = _cell_key(value, *place)
        cell = cells.get(key)
        if cell is None:
            target = Leavable(target_of(value.model, value.data), stale)
            estimate = None
            for each in key.estimation(target).stream():
                estimate = each
                yield TURN
            names = tuple(finding.name for finding in estimate.health if finding.severity != "note")
            cell = MapCell(estimate.mean, estimate.stderr, estimate.dead, len(estimate.chains), names)
            cells.put(key, cell)
        found[place] = cell
        if time.monotonic() - last > 0.3:
            yield Map(value, dict(found), False)
            last = time.monotonic()
    yield Map(value, found, True)


# What is drawn


def _some(count: int, most: int) -> np.ndarray:
    """At most so many places among 0 ... count - 1, first and last included."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(int)) if count else np.zeros(0, int)


def picture(value: LLCLab, estimate: Estimate, share: float) -> Picture:
    """Columns and ranges of the figures of chains; pure."""
    found = exact(value.model, value.rule, value.nbeta, value.batch, value.data)
    draws = estimate.losses.shape[1]
    numbers = Numbers(
        estimate.mean,
        estimate.stderr,
        estimate.ess,
        estimate.rhat,
        estimate.dead,
        estimate.acceptance,
        estimate.radius,
        estimate.equipartition,
        estimate.chains,
        tuple(estimate.health),
        found,
        draws,
    )
    lam = value.model.truth.local
    levels = [float(level) for level in (lam, found.ideal, found.actual) if level is not None and math.isfinite(level)]
    columns, spans = _lines(value, found), {"lambda": (0, value.settings.draws), "chains": (0, value.settings.draws)}
    high = 1.6 * max(levels, default=1.0)
    tall = 6 * max(levels, default=1.0)
    if draws >= 4 and estimate.dead < len(estimate.chains):
        alive = np.isfinite(estimate.losses).all(axis=1)
        values = value.nbeta * (estimate.losses[alive] - estimate.baselines[alive])
        colours = [CHAIN_COLOURS[i % len(CHAIN_COLOURS)] for i in np.flatnonzero(alive)[:LINES]]
        picks = _some(draws, POINTS)
        columns["traces"] = {"xs": [picks + 1.0] * len(colours), "ys": [row[picks].astype(np.float32) for row in values[:LINES]], "colour": colours}
        running = estimate.running()
        middle, error = running.mean[picks], np.nan_to_num(running.stderr[picks])
        columns["running"] = {"x": picks + 1.0, "low": middle - 2 * error, "middle": middle, "high": middle + 2 * error}
        each = (np.cumsum(values[:LINES], axis=1) / np.arange(1, draws + 1))[:, picks]
        columns["each"] = {"xs": columns["traces"]["xs"], "ys": [row.astype(np.float32) for row in each], "colour": colours}
        columns["drawn"], spans["law"] = _histogram(values)
        high = max(high, 1.2 * float(np.max(middle[len(middle) // 10 :])), 1.3 * estimate.mean)
        tall = max(1.15 * float(np.quantile(values, 0.999)), 1e-12)
        low = min(0.0, 1.1 * float(np.quantile(values, 0.001)))
        spans["chains-y"] = (low, tall)
        spans["lambda-y"] = (min(0.0, 1.3 * estimate.mean), high)
    else:
        columns |= {"traces": {"xs": [], "ys": [], "colour": []}, "each": {"xs": [], "ys": [], "colour": []}}
        columns |= {"running": {"x": [], "low": [], "middle": [], "high": []}, "drawn": {"x": [], "y": [], "zero": []}}
        spans |= {"chains-y": (0, tall), "lambda-y": (0, high)}
    columns["gamma"] = _gamma(lam, spans.get("law", (1e-3, 10)))
    return Picture(value, columns, spans, numbers, False, share)


def _lines(value: LLCLab, found: Exact) -> dict:
    truth, span = value.model.truth, [0, value.settings.draws]
    levels = {"local": truth.local, "overall": truth.overall if truth.overall != truth.local else None}
    levels |= {"regular": truth.regular if truth.regular != truth.local else None, "ideal": found.ideal}
    levels["actual"] = found.actual if _differ(found.actual, found.ideal) else None
    made = {name: {"x": span, "y": [float(level)] * 2} if _finite(level) else {"x": [], "y": []} for name, level in levels.items()}
    best = found.best if _finite(found.best) else truth.local
    made["level"] = {"x": span, "y": [float(best)] * 2} if best is not None else {"x": [], "y": []}
    return made


def _finite(level) -> bool:
    return level is not None and math.isfinite(level)


def _differ(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) > 1e-3 * abs(b)


def _histogram(values: np.ndarray) -> tuple[dict, tuple[float, float]]:
    """Density of log_e of nbeta (L - L*), of the draws where it is above 0, as a step line on a log axis."""
    above = values[values > 0]
    if len(above) < 10:
        return {"x": [], "y": [], "zero": []}, (1e-3, 10)
    low, high = np.quantile(above, [0.003, 0.9995])
    if not high > low * 1.001:
        return {"x": [], "y": [], "zero": []}, (1e-3, 10)
    edges = np.geomspace(low, high, 41)
    density = np.histogram(above, edges)[0] / (values.size * np.diff(np.log(edges)))
    x, y = np.repeat(edges, 2)[1:-1], np.repeat(density, 2)
    return {"x": x, "y": y, "zero": np.zeros(len(y))}, (float(low), float(2 * high))


def _gamma(lam, span: tuple[float, float]) -> dict:
    """x^lambda e^-x / Gamma(lambda): the density of log_e x if x is Gamma(lambda), on a log axis."""
    if lam is None:
        return {"x": [], "y": []}
    x = np.geomspace(*span, 200)
    return {"x": x, "y": np.exp(float(lam) * np.log(x) - x - math.lgamma(float(lam)))}


def beyond(away: float, error: float) -> float:
    """What is left of a difference once its error is taken off."""
    return math.copysign(max(abs(away) - error, 0.0), away) if error == error else away


def colour(share: float) -> str:
    """From blue (half too low, or less) by pale to orange (half too high, or more)."""
    part = min(max(share / 0.5, -1), 1)
    end = TOO_HIGH if part > 0 else TOO_LOW
    return "#" + "".join(f"{round(a + abs(part) * (b - a)):02x}" for a, b in zip(RIGHT, end, strict=True))


def judged(cell: MapCell, reference: float | None) -> tuple[bool, float]:
    """(is there no number, by which share of the reference it is too high beyond two standard errors)."""
    gone = cell.dead == cell.of or not math.isfinite(cell.mean) or "never moved" in cell.why
    return gone, 0.0 if reference is None or gone else beyond(cell.mean - reference, 2 * cell.stderr) / reference


def map_columns(shown: Map, reference: float | None) -> dict:
    """The cells as rectangles with their numbers; reference: what counts as right."""
    half = 10 ** (SPACING / 2)
    places = list(shown.cells)
    fill, words, ink = [], [], []
    for cell in shown.cells.values():
        gone, share = judged(cell, reference)
        fill.append(DIED if gone else colour(share))
        value = "≫" if not gone and abs(cell.mean) >= 1000 else f"{cell.mean:.{'0f' if abs(cell.mean) >= 10 else '2g'}}"
        words.append(("died" if cell.dead else "stuck") if gone else value + ("!" if cell.why else ""))
        ink.append("#ffffff" if gone or share < -0.36 else "#1a1a1a")
    x, y = ([place[axis] for place in places] for axis in (0, 1))
    sides = {"left": [a / half for a in x], "right": [a * half for a in x], "bottom": [b / half for b in y], "top": [b * half for b in y]}
    return {"x": x, "y": y, **sides, "fill": fill, "words": words, "ink": ink}


# Words


def number(value: float, digits: int = 4) -> str:
    return f"{value:.{digits}g}"


def estimate_words(mean: float, stderr: float) -> str:
    """0.2508 ± 0.0034: as many decimals as the error has with two digits."""
    if not math.isfinite(mean):
        return "no number yet"
    if not (math.isfinite(stderr) and stderr > 0):
        return number(mean)
    places = max(0, 1 - math.floor(math.log10(stderr)))
    return f"{mean:.{places}f} ± {stderr:.{places}f}" if places <= 8 else f"{mean:.4g} ± {stderr:.1g}"


def truth_words(value: LLCLab) -> str:
    """λ = 1/4, with its multiplicity where that matters; local and global where they differ."""
    truth = value.model.truth
    if truth.local is None:
        return ""
    if truth.overall != truth.local:
        return f"λ = {truth.local} at w*, {truth.overall} at the most singular point"
    return f"λ = {truth.local}" + (f" (m = {truth.multiplicity})" if (truth.multiplicity or 1) > 1 else "")


def says(value: LLCLab, numbers: Numbers, done: bool) -> str:
    """One sentence that judges: the estimate, what is exact, and whether the chains are healthy."""
    found, truth = numbers.exact, value.model.truth
    if numbers.dead and numbers.dead == len(numbers.by_chain):
        return f"All {numbers.dead} chains died: the step ε = {value.sampler.eps:.3g} is too large at nβ = {number(value.nbeta)}."
    if numbers.draws < 4:
        return ""
    parts = [f"λ̂ = {estimate_words(numbers.mean, numbers.stderr)}" + ("" if done else " so far")]
    if found.ideal is not None:
        parts.append(f"exact at this nβ {number(found.ideal)}")
    if found.actual is not None and math.isinf(found.actual):
        parts.append("at this step the chains run away in the end")
    elif _differ(found.actual, found.ideal):
        parts.append(f"with this step{' and these batches' if value.batch else ''} {number(found.actual)}")
    if words := truth_words(value):
        parts.append(words)
    if numbers.twin is not None:
        parts.append(f"the same chains at α = 1 report {number(numbers.twin)}")
    return "; ".join(parts) + ". " + verdict(value, numbers, truth)


def verdict(value: LLCLab, numbers: Numbers, truth) -> str:
    """Healthy or not, right or not, and whose fault a gap to lambda is."""
    ills = [finding.name for finding in numbers.health if finding.severity != "note"]
    found = numbers.exact
    best = found.best if _finite(found.best) else numbers.twin if numbers.twin is not None else None if truth.local is None else float(truth.local)
    off = None if best is None else abs(numbers.mean - best)
    error = numbers.stderr if math.isfinite(numbers.stderr) else 0.0
    right = off is not None and (off <= 3 * error or off <= CLOSE * abs(best))
    told = f"Not healthy: {' and '.join(ills)}" if ills else "Healthy"
    if ills and right and _finite(found.actual) and _differ(found.actual, found.ideal):
        told += " – and just as wrong as computed"
    elif off is not None and not right:
        share = (numbers.mean - best) / best
        told += f"{'; ' if ills else ', yet '}{abs(share):.0%} {'above' if share > 0 else 'below'} "
        if _finite(found.best):
            told += "what is exact"
        elif numbers.twin is not None:
            told += "those at α = 1"
        else:
            told += "λ" + (", which a finite nβ and the tether may explain" if not ills and share < 0 else "")
    told += "."
    if right and found.ideal is not None and truth.local is not None and abs(found.ideal / float(truth.local) - 1) > GAP:
        if (truth.multiplicity or 1) > 1:
            told += f" The gap to λ is no error: with m = {truth.multiplicity} it closes like (m − 1)/log nβ only."
        else:
            told += " The gap to λ is no error of the chains: it comes from the finite nβ" + (" and the tether." if value.sampler.gamma else ".")
    return told


def cell_words(cell: MapCell | None, reference: float | None, base: str) -> str:
    """A cell of the map; base: what the reference is called."""
    if cell is None:
        return "not computed yet."
    gone, share = judged(cell, reference)
    if gone:
        return "every chain died." if cell.dead else "the chains never moved."
    told = f"λ̂ = {estimate_words(cell.mean, cell.stderr)}"
    if reference is not None:
        off = cell.mean / reference - 1
        size = f"{abs(off):.0%}" if abs(off) < 10 else "far"
        where = f"{size} {'above' if off > 0 else 'below'} {base}, more than" if share else f"{base} is within"
        told += f"; {where} two standard errors"
    if cell.dead:
        told += f"; {cell.dead} of {cell.of} chains died"
    return told + (f". Not healthy: {' and '.join(cell.why)}." if cell.why else ".")


def board(shown: Map, reference: float | None) -> dict:
    """The map for who reads it without a pointer, see board.js: values of columns and rows, the cell of the controls, and each cell in words."""
    value, base = shown.value, "this λ̂" if shown.value.model.truth.local is None else "λ"
    across, up = columns_of(value), rows_of(value)
    near = [int(np.argmin(np.abs(np.log(np.array(ends) / now)))) for ends, now in ((across, value.sampler.eps), (up, value.nbeta))]
    return {
        "figure": "map",
        "across": {"label": "ε", "values": [{"eps": str(eps)} for eps in across]},
        "up": {"label": "nβ", "values": [{"nbeta": str(nbeta), "nbeta_from": "own"} for nbeta in up]},
        "at": near,
        "told": [[cell_words(shown.cells.get((eps, nbeta)), reference, base) for nbeta in up] for eps in across],
    }


TUNE = "Find the step whose moves a Metropolis test would nearly all accept, then compare with chains half as long"
SIGN = {"error": "✘", "warning": "⚠", "note": "·"}


def health_words(value: LLCLab, numbers: Numbers) -> str:
    """The numbers behind the verdict, and every finding."""
    if numbers.draws < 4 and not numbers.dead:
        return "The chains have made no draws yet."

    def told(value: float, form: str) -> str:
        return format(value, form) if math.isfinite(value) else "–"

    taken = "acceptance" if value.sampler.full else "a Metropolis test would accept"
    every = numbers.draws * len(numbers.by_chain)
    living = numbers.by_chain[np.isfinite(numbers.by_chain)]
    facts = [
        f"{taken} **{told(numbers.acceptance, '.0%')}**",
        f"R-hat **{told(numbers.rhat, '.3f')}**",
        f"effective draws **{numbers.ess:,.0f}** of {every:,}",
        f"radius √E|w−w*|² **{told(numbers.radius, '.3g')}**",
        f"equipartition **{told(numbers.equipartition, '.2f')}** (1 in equilibrium)",
    ]
    if len(living):
        facts.append(f"chains report {living.min():.3g} … {living.max():.3g}")
    text = " · ".join(facts)
    if numbers.health:
        rows = (f"{SIGN[one.severity]} **{one.severity.capitalize()}, {one.name}:** {one.text.replace('*', chr(92) + '*')}" for one in numbers.health)
        return text + "\n\n" + "\n\n".join(rows)
    return text + "\n\n✔ **Nothing found:** the chains agree, move, stay near w* and are in equilibrium as far as they can tell."


def known_words(value: LLCLab) -> str:
    """The model and what is proven of it."""
    model, truth = value.model, value.model.truth
    text = [f"$${model.formula}$$"]
    if isinstance(model, Toy):
        text.append(f"w\\* is {model.place.name} at {', '.join(f'{a:g}' for a in model.place.at)}; λ and m from the Newton polygon. {EXACT['Toy']}")
    elif isinstance(model, Linear):
        proof = "a theorem" if len(model.ranks) <= 2 or truth.local == truth.overall else "a conjecture beyond two layers"
        text.append(
            f"λ(w\\*) = {truth.local} from the block ranks ({proof}); at the most singular point of rank {model.rank} it is {truth.overall} "
            f"(Aoyagi 2024); rank(J)/2 = {truth.regular} is what directions with curvature give alone. "
            "At finite nβ nothing is known: chains approach λ as nβ grows and γ falls."
        )
    else:
        text.append(EXACT[type(model).__name__])
    return "\n\n".join(text)


EXACT = {
    "Toy": "The value at this nβ and γ is an integral, by quadrature.",
    "Quadratic": "λ = d/2. Exact with tether: ½ Σ nβh/(nβh + γ). SGLD adds a factor 1/(1 − ε(nβh + γ)/4) in each direction: its own equilibrium is "
    "known in closed form, with batches by solving for its covariance (up to 12 directions).",
    "Powers": "λ = Σ 1/(2k). K is quasi-homogeneous: at γ = 0, nβ E[K] = λ exactly at *every* nβ, and nβ K is Gamma(λ)-distributed. With a tether: "
    "one integral a direction.",
    "ReLU": "λ is not known here, but it is the same for every α: the function is. So must be an estimate."
    " With P = (α², α⁻², 1) the chains at any α are "
    "those at α = 1, number for number, where γ = 0 (the tether is not invariant); without it, a step is right for one α only.",
}


def table(value: LLCLab, shown: Picture) -> str:
    """The running estimate as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["draw", "lambda_hat", "two_standard_errors"])
    running = shown.columns["running"]
    writer.writerows((int(x), f"{m:.6g}", f"{h - m:.3g}") for x, m, h in zip(running["x"], running["middle"], running["high"], strict=True))
    return text.getvalue()


# Figures


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
    fig.xaxis.ticker = LogTicker(num_minor_ticks=0, desired_num_ticks=4)
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
        "λ̂ of short runs with other steps and temperatures. Blue: too low, orange: too high, beyond two standard errors and by half of λ or more; "
        "! : the health report warns. "
        "Click a cell, or walk to it with arrow keys and press Enter, to set ε and nβ.",
        grid,
    ),
}


class Session(Base):
    """One visitor's LLC lab."""

    page = "llc"
    cells = CELLS
    headings = ("Health", "What is known")
    start = _HEALTHY
    examples = EXAMPLES

    def decode(self, query, before):
        return decode(query, before)

    def encode(self, value):
        return encode(value)

    def controls(self, value):
        return controls(value)

    def shape(self, value):
        return shape(value)

    def work(self, task, stale):
        return work(task, stale)

    def opened(self):
        self.shown: Picture | None = None
        self.running = self.tuning = False

    def changed(self, before):
        self.begin("run")

    def begin(self, what: str) -> None:
        """Let the threads begin, and say so."""
        self.running, self.tuning = what != "stop", what == "tune"
        self.buttons()
        self.write(1, known_words(self.value))
        eps, nbeta, half = self.value.sampler.eps, self.value.nbeta, 10 ** (SPACING / 2)
        self.fill("here", left=[eps / half], right=[eps * half], bottom=[nbeta / half], top=[nbeta * half])
        for axis, ends in (("x", columns_of(self.value)), ("y", rows_of(self.value))):
            self.span("map", axis, ends[0] / half, ends[-1] * half)
        self.view.board = board(Map(self.value, {}, False), None)
        self.latest(Task(self.value, what, "map" in self.plots))

    def buttons(self) -> None:
        self.view.actions = [
            {
                "name": "tune",
                "text": "Tune ε for me",
                "help": "Find the step that a Metropolis test accepts in 9 of 10 cases, then compare with chains half as long",
                "main": True,
            },
            {"name": "noise", "text": "New noise", "help": "The same run with another seed"},
            {"name": "stop", "text": "Stop", "help": "Stop here; what is there stays", "disabled": not self.running},
            {"name": "csv", "text": "CSV", "help": "Save the running estimate as a table"},
        ]

    def act(self, action):
        if action == "tune":
            self.begin("tune")
        elif action == "noise":
            self.replace(replace(self.value, settings=replace(self.value.settings, seed=(self.value.settings.seed + 1) % 2**31)))
        elif action == "stop" and self.running:
            self.begin("stop")
            self.report("stopped; change anything to go on")
        elif action == "csv" and self.shown:
            self.save("lambda-hat.csv", table(self.value, self.shown))

    def show(self, result):
        if result.value != self.value or not self.running:
            return  # the visitor has moved on, or stopped
        match result:
            case Picture():
                self.show_picture(result)
            case Tuned():
                self.replace(anchored(replace(self.value, sampler=replace(self.value.sampler, eps=result.eps))))
            case Map():
                self.show_map(result)

    def show_picture(self, shown: Picture) -> None:
        value, numbers = shown.value, shown.numbers
        if numbers.draws >= 4 or numbers.dead or self.shown is None or type(self.shown.value.model) is not type(value.model):
            for name, columns in shown.columns.items():
                self.fill(name, **columns)
            for name, (low, high) in shown.spans.items():
                figure_, _, axis = name.partition("-")
                self.span(figure_, axis or "x", low, high)
            densest = max([0.0, *shown.columns["drawn"]["y"], *shown.columns["gamma"]["y"]])
            self.span("law", "y", 0, 1.1 * densest or 1)
            self.shown = shown
            self.legends(value, numbers)
            self.view.says = says(value, numbers, shown.done)
            self.write(0, health_words(value, numbers))
        steps = f"{numbers.draws:,} of {value.settings.draws:,} draws of {value.settings.chains} chains"
        if shown.sampler is not None:
            self.report(f"tuning: ε = {shown.sampler.eps:.3g}" + (f"; {steps}" if numbers.draws else ""), shown.share, True)
        elif shown.done and "map" in self.plots:
            self.report(f"{steps}; now the map …", 1.0, True)
        elif shown.done:
            self.rest(steps)
        else:
            self.report(steps if numbers.draws else "burn-in …", shown.share, True)

    def show_map(self, shown: Map) -> None:
        truth = shown.value.model.truth.local
        reference = float(truth) if truth is not None else self.shown.numbers.mean if self.shown else None
        self.fill("cells", **map_columns(shown, reference))
        self.view.board = board(shown, reference)
        count, of = len(shown.cells), len(columns_of(shown.value)) * len(rows_of(shown.value))
        base = "λ" if truth is not None else "this λ̂"
        self.legend(map=[("words", f"pale: {base} within 2 s.e.; blue: too low, orange: too high; ! warned. Click a cell to go there")])
        if shown.done:
            self.rest("done")
        else:
            self.report(f"map: {count} of {of} short runs", count / of, True)

    def rest(self, told: str) -> None:
        """All that was asked for is there."""
        self.running = False
        self.buttons()
        self.report(told)

    def legends(self, value: LLCLab, numbers: Numbers) -> None:
        truth, found, columns = value.model.truth, numbers.exact, self.shown.columns
        drawn = min(LINES, value.settings.chains - numbers.dead)
        chips = [("words", f"{drawn} of {value.settings.chains} chains" + (f"; {numbers.dead} died" if numbers.dead else ""))]
        if columns["level"]["y"]:
            chips.append(("exact line", f"{'exact mean' if _finite(found.best) else 'λ'}: {number(columns['level']['y'][0])}"))
        lines = [("a line", "λ̂ ± 2 s.e.")]
        if truth.local is not None:
            lines.append(("exact line", f"λ = {truth.local}" + (" at w*" if truth.overall != truth.local else "")))
        if columns["overall"]["y"]:
            lines.append(("exact dash", f"most singular: {truth.overall}"))
        if found.ideal is not None:
            lines.append(("b dash", f"exact at this nβ: {number(found.ideal)}"))
        if columns["actual"]["y"]:
            lines.append(("steep dots", f"with this step: {number(found.actual)}"))
        if columns["regular"]["y"]:
            lines.append(("bayes dots", f"curved directions alone: {truth.regular}"))
        shape_ = [("a line", "draws")] + ([("exact line", f"Gamma({truth.local})")] if truth.local is not None else [])
        self.legend(chains=chips, **{"lambda": lines}, law=shape_)
