"""The landscape lab's state as one frozen value, and its text: what a link holds, what the controls show, what a computation needs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from app import state
from dynamics import MALA, NGD, RULES, SGD, Chains, Langevin, Posterior, Rule, Simulation, Sweep, Uniform, tuned
from landscapes import DoubleWell, Range
from landscapes.scale import Box, Parameter, Text, check, parameters

VERSION = "1"


@dataclass(frozen=True)
class Bayes:
    """The posterior that stands beside the ensemble: uniform prior on the box, weight exp(-beta n L(w))."""

    samples: Annotated[int, Range(1, 10_000_000, log=True, unit="samples", help="n: samples that the posterior has seen", shown=(1, 1_000_000))] = (
        1000
    )
    beta: Annotated[float, Range(1e-3, 10, log=True, help="β: inverse temperature; 1 is Bayes' rule", shown=(0.01, 1))] = 1.0
    axis: Literal["w2", "w1"] = "w2"

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Estimate:
    """How lambda-hat is estimated: Markov chains tethered at one of the landscape's points."""

    point: Annotated[int, Range(0, 9, help="which point of the landscape: minima first, most degenerate first")] = 0
    sampler: Literal["MALA", "Langevin"] = "MALA"
    nbeta: Annotated[
        float, Range(1, 1e12, log=True, help="nβ: the larger, the closer the exact value comes to λ, and the slower the chains", shown=(1, 1e6))
    ] = 1000.0
    gamma: Annotated[float, Range(0, 1e6, help="γ: strength of the tether to the chosen point; it keeps chains local", shown=(0, 20))] = 1.0
    step: Literal["auto", "manual"] = "auto"
    eps: Annotated[
        float, Range(1e-12, 10, log=True, help="ε: too large and MALA rejects nearly all, while Langevin is biased or dies", shown=(1e-7, 1))
    ] = 0.001
    chains: Annotated[int, Range(2, 1000, log=True, help="independent chains", shown=(2, 100))] = 20
    draws: Annotated[
        int, Range(10, 1_000_000, log=True, unit="draws", help="draws of each chain after a burn-in of a fifth", shown=(100, 100_000))
    ] = 20_000

    def __post_init__(self):
        check(self)


@dataclass(frozen=True)
class Lab:
    """Everything the page shows follows from this value."""

    run: Simulation = Simulation(DoubleWell(w0=1.8, d1=1, d2=2), SGD(lr=0.02, batch=20), n=5000, steps=200, start=Uniform(-3.6, 3.6))
    rival: Rule | None = NGD(lr=0.1, batch=20, damping=1.0)
    bayes: Bayes = Bayes()
    estimate: Estimate = Estimate()
    preset: str = ""

    @property
    def points(self):
        """Where lambda can be asked for: minima, then critical points where it is undefined (and the page says why)."""
        return self.run.landscape.minima + self.run.landscape.undefined

    @property
    def point(self):
        return self.points[min(self.estimate.point, len(self.points) - 1)]

    @property
    def rules(self) -> dict[str, Rule]:
        """A and, if there is one, B."""
        return {"a": self.run.rule} | ({"b": self.rival} if self.rival else {})

    def chains(self) -> Chains:
        """The chains that estimate lambda at the chosen point; raises ValueError, saying why, where it is undefined."""
        given = self.estimate
        rule = (MALA if given.sampler == "MALA" else Langevin)(eps=given.eps, nbeta=given.nbeta, gamma=given.gamma)
        chains = Chains(self.run.landscape, rule, self.point.at, given.chains, given.draws, given.draws // 5, self.run.seed, self.run.data)
        return tuned(chains) if given.step == "auto" else chains


def encode(lab: Lab) -> dict[str, str]:
    """Every value of the lab as text, for the link."""
    rival = state.encode_choice("rule", lab.rival, "b.") if lab.rival else {"b.rule": "none"}
    own = {"v": VERSION, "preset": lab.preset} if lab.preset else {"v": VERSION}
    return own | state.encode(lab.run) | rival | state.encode_fields(lab.bayes, "bayes.") | state.encode_fields(lab.estimate, "llc.")


def decode(query: Mapping[str, str], default: Lab = Lab()) -> tuple[Lab, list[str]]:
    """A lab from a link that anybody may have written, and messages about what could not be used; never raises."""
    from dynamics.presets import PRESETS

    query = {key: text for key, text in query.items() if key not in ("v", *state.FRAME)}
    preset, messages = query.get("preset", default.preset), []
    if preset and preset not in PRESETS:
        messages.append(f"preset = {state._short(preset)} is not known; choose one from the list{state.guess(preset, PRESETS)} (free play kept)")
        preset = ""
    run, found = state.decode(query, default.run, others=("b.", "bayes.", "llc.", "preset"))
    messages += map(rule_words, found)
    rival = default.rival
    if query.get("b.rule") == "none":
        rival = None
    elif any(key.startswith("b.") for key in query):
        rival, found = state.decode_choice("rule", query, default.rival or SGD(), "b.")
        messages += found
    if rival:
        try:
            replace(run, rule=rival)
        except ValueError as error:  # K alone is given, and this rule needs Q
            rival, messages = None, [*messages, f"{rule_words(str(error))} (no second optimiser)"]
    bayes, found = state.decode_fields(default.bayes, query, "bayes.")
    estimate, more = state.decode_fields(default.estimate, query, "llc.")
    if type(run.landscape) is not type(default.run.landscape) and "llc.point" not in query:
        estimate = replace(estimate, point=0)
    return Lab(run, rival, bayes, estimate, preset), messages + found + more


def from_preset(name: str, before: Lab = Lab()) -> Lab:
    """The lab with a preset in it, alone on the stage: its run, the middle one of a sweep, or a run on the landscape of its posterior."""
    from dynamics.presets import PRESETS

    shown = PRESETS[name].run
    if isinstance(shown, Sweep):
        shown = shown.runs[len(shown.runs) // 2]
    if isinstance(shown, Posterior):
        run, samples, beta = replace(Lab().run, landscape=shown.landscape, start=None, data=shown.data), shown.n, shown.beta
    else:
        run, samples, beta = shown, shown.steps * getattr(shown.rule, "batch", 1), 1.0
    return Lab(run, None, Bayes(int(min(max(samples, 1), 10_000_000)), beta), replace(before.estimate, point=0), name)


# The controls: one entry a value, from its Range

LABELS = {
    "w0": "position w₀",
    "d1": "degree d₁",
    "d2": "degree d₂",
    "d3": "degree d₃",
    "k": "degree k",
    "k1": "degree k₁",
    "k2": "degree k₂",
    "p": "degree p",
    "slope": "slope a",
    "lr": "learning rate η",
    "batch": "batch size B",
    "momentum": "momentum μ",
    "noise": "noise",
    "temperature": "temperature T",
    "damping": "damping ρ",
    "alpha": "smoothing α",
    "eps": "step size ε",
    "nbeta": "nβ",
    "gamma": "tether γ",
    "substeps": "substeps",
    "n": "trajectories",
    "steps": "steps",
    "seed": "seed",
    "size": "data set n",
    "vx": "variance of x",
    "vy": "noise variance",
    "samples": "samples n",
    "beta": "inverse temp. β",
    "axis": "marginal of",
    "sampler": "sampler",
    "chains": "chains",
    "draws": "draws",
    "step": "step size",
    "point": "point",
    "text": "polynomial",
    "of": "it is",
    "window": "box",
}
LANDSCAPE_NAMES = {"Polynomial": "your own …"}
RULE_NAMES = {
    "SDE": "SDE limit of SGD",
    "UnderdampedSDE": "SDE (momentum)",
    "HeavyTailedSGD": "SGD, heavy tails",
    "NGD": "NGD, damped",
    "Langevin": "Langevin / SGLD",
}
CHOICE_HELP = {
    "of": "Q: the model's slope, K = Q²/2; K: a non-negative potential itself, for GD, Langevin and MALA",
    "noise": "batch: the noise of real batches, shaped like the Fisher matrix, so it vanishes where Q degenerates; "
    "isotropic: the same in all directions, of a temperature T",
    "axis": "which coordinate the distribution is shown along",
    "step": "auto: the largest step that MALA accepts in 9 of 10 cases, found by short trial chains; manual: set ε yourself and see what goes wrong",
    "sampler": "MALA accepts or rejects and is exact; Langevin is the unadjusted (SGLD) chain, biased by its step size",
}


def rule_words(text: str) -> str:
    """A message, written for Python's users, with the page's names of rules and the visitor's own polynomial."""
    text = re.sub(r"rule = (\w+)\(.*?\)", lambda found: RULE_NAMES.get(found[1], found[1]), text)
    text = re.sub(r"momentum = [\d.e+-]+; with it", "μ > 0: with momentum", text).replace(
        "momentum = 0 (and the rate lr/(1 - momentum))", "μ = 0 (and the rate η/(1 − μ))"
    )
    return re.sub(r"Polynomial\(text='(.*?)', of='[KQ]'.*?\)", r"\1", text)


def _item(parameter: Parameter, value, prefix: str = "") -> dict:
    item = {"name": prefix + parameter.name, "label": LABELS.get(parameter.name, parameter.name), "value": value, "help": parameter.help, "unit": ""}
    if parameter.choices:
        choices = [[state.write(choice), ("no", "yes")[choice] if parameter.kind is bool else choice] for choice in parameter.choices]
        return item | {"kind": "choice", "value": state.write(value), "choices": choices, "help": CHOICE_HELP.get(parameter.name, "")}
    limits = parameter.range
    if isinstance(limits, Text | Box):
        return item | {"kind": "text", "value": "" if value is None else state.write(value)}
    unit = f" [{limits.unit}]" if limits.unit else ""
    return item | {
        "kind": "number",
        "shown": list(limits.shown),
        "log": limits.log,
        "whole": parameter.kind is int,
        "unit": limits.unit,
        "help": limits.help + unit,
    }


def _items(value, prefix: str = "", without: tuple[str, ...] = ()) -> list[dict]:
    return [_item(parameter, getattr(value, parameter.name), prefix) for parameter in parameters(type(value)) if parameter.name not in without]


def _choice(name: str, label: str, value: str, choices, help: str) -> dict:
    return {"name": name, "label": label, "kind": "choice", "value": value, "choices": [[key, text] for key, text in choices], "help": help}


def _rule_items(prefix: str, rule: Rule | None) -> list[dict]:
    choices = [(name, RULE_NAMES.get(name, name)) for name in RULES]
    if prefix:
        choices = [("none", "none"), *choices]
    first = (rule.__doc__ or "").strip().split("\n")[0] if rule else "no second optimiser"
    head = _choice(prefix + "rule", "optimiser", type(rule).__name__ if rule else "none", choices, first)
    hidden = ("temperature",) if getattr(rule, "noise", "batch") == "batch" else ("batch",)
    return [head] + (_items(rule, prefix, hidden) if rule else [])


def controls(lab: Lab) -> list[dict]:
    """The form: groups of fields with their values, ranges, units and help."""
    run = lab.run
    low, high = run.start.bounds
    is_box = isinstance(run.start, Uniform)
    names = "low, high" if run.landscape.dim == 1 else "low₁, low₂, high₁, high₂"
    start = {
        "name": "start" if is_box else "at",
        "label": "start",
        "kind": "text",
        "value": ", ".join(f"{entry:g}" for entry in (low + high if is_box else low)),
        "help": f"uniform on a box: {names}" if is_box else "all trajectories start at this point",
    }
    points = [
        (str(index), f"{point.name}: λ = {point.lam}" if point.lam is not None else f"{point.name}: λ undefined")
        for index, point in enumerate(lab.points)
    ]
    where = _choice("llc.point", "point", str(min(lab.estimate.point, len(points) - 1)), points, "where λ is estimated")
    return [
        {
            "title": "Landscape",
            "open": True,
            "items": [
                _choice(
                    "landscape",
                    "family",
                    type(run.landscape).__name__,
                    [(name, LANDSCAPE_NAMES.get(name, name)) for name in state.CHOICES["landscape"]],
                    run.landscape.__doc__.split("\n")[0],
                ),
                *_items(run.landscape),
            ],
        },
        {"title": "Optimiser A", "mark": "a", "open": True, "items": _rule_items("", run.rule)},
        {"title": "Optimiser B · same noise", "mark": "b", "open": True, "items": _rule_items("b.", lab.rival)},
        {"title": "Run", "open": True, "items": [start, *_items(run)]},
        {"title": "Posterior", "open": True, "items": _items(lab.bayes, "bayes.", ("axis",) if run.landscape.dim == 1 else ())},
        {
            "title": "Estimate λ",
            "open": False,
            "items": [where, *_items(lab.estimate, "llc.", ("point", "eps") if lab.estimate.step == "auto" else ("point",))],
        },
        {
            "title": "Data",
            "open": False,
            "items": [
                _choice(
                    "data",
                    "samples",
                    type(run.data).__name__,
                    [("Online", "fresh at every step"), ("Finite", "a fixed data set")],
                    "where batches come from",
                ),
                *_items(run.data, "data."),
            ],
        },
    ]


def shape(lab: Lab) -> tuple:
    """What decides which controls there are: while it stays, moving a slider does not rebuild the form."""
    kinds = (type(lab.run.landscape), type(lab.run.rule), type(lab.rival), type(lab.run.data), type(lab.run.start))
    noises = tuple(getattr(rule, "noise", "") for rule in (lab.run.rule, lab.rival))
    return kinds + noises + (lab.estimate.step,) + tuple((point.name, point.lam) for point in lab.points) + (lab.preset,)
