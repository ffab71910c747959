"""The LLC lab's state: a model whose learning coefficient is known, a sampler and its settings; examples, link and form.

Chains of it run in llcruns.py; llcpicture.py and llcfigures.py draw them, llcwords.py judges them, llcpage.py is the page.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from app import landscapelab as lab
from app import state
from app.known import MODELS, Data, DeepLinear, Known, Linear, Powers, Quadratic, ReducedRank, ReLU, Toy
from dynamics.estimate import default_nbeta
from landscapes import DoubleWell, Range, Valley
from landscapes.scale import check, parameters
from nets.estimate import Estimation
from nets.samplers import MALA, SAMPLERS, SGLD, RMSPropSGLD, Sampler
from nets.targets import Target

MOST = 1_000_000  # draws of all chains together: some 0.1 GB while they run
COLUMNS, ROWS, SPACING = 9, 7, 0.5  # the map: so many eps and n beta, half a decade apart
NBETA = {"n / log n": "n / log n", "batch / log batch": "B / log B (devinterp 0.2)", "own": "set it yourself"}
SAMPLER_NAMES = {
    "MALA": "MALA",
    "HMC": "HMC (Hamiltonian)",
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
    "steps": "leapfrog steps",
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
        return default_nbeta(max(self.batch, 2) if given.nbeta_from == "batch / log batch" and self.batch else given.n)

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


# The map


def columns_of(value: LLCLab) -> list[float]:
    return _around(value.settings.map_eps, COLUMNS, 1e-14, 1e3)


def rows_of(value: LLCLab) -> list[float]:
    return _around(value.settings.map_nbeta, ROWS, 1e-2, 1e9)


def _around(middle: float, count: int, low: float, high: float) -> list[float]:
    found = (float(f"{middle * 10 ** (SPACING * (i - count // 2)):.3g}") for i in range(count))
    return [each for each in found if low <= each <= high]


def anchored(value: LLCLab, anew: bool = False) -> LLCLab:
    """The map stays where it is until eps or n beta leave it; `anew`: they are its middle."""
    given, moved = value.settings, {}
    for name, now, reach in (("map_eps", value.sampler.eps, COLUMNS // 2), ("map_nbeta", value.nbeta, ROWS // 2)):
        if anew or abs(math.log10(now / getattr(given, name))) > reach * SPACING + 0.01:  # cells are rounded to three digits
            limits = next(parameter.range for parameter in parameters(Settings) if parameter.name == name)
            moved[name] = min(max(float(f"{10 ** (round(2 * math.log10(now)) / 2):.3g}"), limits.low), limits.high)
    return replace(value, settings=replace(given, **moved)) if moved else value


# Examples


def _start(model: Known, sampler: Sampler | None = None, **settings) -> LLCLab:
    return anchored(LLCLab(model, sampler or MALA(), Settings(**settings)), anew=True)


HEALTHY = LLCLab()
_SQUARE = {"nbeta_from": "n / log n", "draws": 4000}
_NET = {"nbeta_from": "n / log n", "n": 10_000, "noise": 0.0, "draws": 8000, "burn_in": 4000}
_RELU = {"nbeta_from": "n / log n", "n": 300, "draws": 2000, "burn_in": 1000, "chains": 4}
STARTS = {  # where one begins with another model
    "Toy": HEALTHY,
    "Quadratic": _start(Quadratic(), MALA(eps=4e-3), **_SQUARE),
    "Powers": _start(Powers(), MALA(eps=6e-3, gamma=0.0), **_SQUARE),
    "DeepLinear": _start(DeepLinear(2, 2, 2, 2, 0), MALA(eps=3e-4), **_NET),
    "ReducedRank": _start(ReducedRank(), MALA(eps=2e-4, gamma=5.0), **_NET),
    "ReLU": _start(ReLU(2, 9, 1), MALA(eps=1e-3, gamma=10.0), **_RELU),
}
_SCALED = _start(ReLU(2, 9, 1, 10.0), MALA(eps=1e-3, gamma=0.0), **_RELU, precondition="on")
EXAMPLES: dict[str, tuple[str, LLCLab]] = {
    "healthy": ("A healthy estimate: λ = 1/4 in a degenerate well", HEALTHY),
    "dead": ("SGLD at MALA's step: every chain dies", replace(HEALTHY, sampler=SGLD(eps=3e-3))),
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
