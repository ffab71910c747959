"""Deep linear networks: the page's state as one frozen value, examples, its text in a link, its form.

dlnexact.py has the exact values, dlnruns.py the trainings; dlnwords.py tells them, dlnfigures.py draws them, dlnpage.py is the page.
"""

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from app import landscapelab as lab
from app import state
from nets.dln import Ranks, learning_coefficient
from nets.saddle import SaddleToSaddle
from nets.samplers import SGLD

WIDEST, DEEPEST = 3000, 40  # of networks on this page: lambda(w) takes 0.1 s there
SLIDERS = 8  # layers that have a slider for their rank; more have a line of text


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
    "saddles": ("From saddle to saddle, as in the paper", DeepLinear((5, 20, 20, 20, 20, 5), (5, 20, 20, 20, 5))),
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
    parts = re.sub(r"(?<=\d)\s*[-–,]\s*(?=\d)", " ", text[:1000]).split()
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
        return (first, *cycled(widths, number), last)
    return {"input": (number, *hidden, last), "hidden": (first, *[number] * len(hidden), last), "output": (first, *hidden, number)}[name]


def _nearest(text: str, low: int, high: int, messages: list[str], name: str) -> int:
    (number,) = _numbers(text, 0)[:1]
    if number > high:
        messages.append(f"{name} = {number} is above {high}, the most that these widths allow (used {high})")
    return min(max(number, low), high)


def cycled(widths: Sequence[int], count: int) -> tuple[int, ...]:
    """So many hidden widths: those of the network, and again from the first."""
    return tuple(itertools.islice(itertools.cycle(widths[1:-1] or (min(widths),)), count))


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


def controls(value: DeepLinear, trained: bool = True) -> list[dict]:
    """Groups of fields: the network, its point; if it is trained, the training, how lambda is estimated on the way."""
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
    exact = [{"title": "Network", "open": True, "items": network}, {"title": "Your point: ranks of layers", "open": True, "items": point}]
    if not trained:
        return exact
    items = {item["name"][2:]: item for item in (*lab._items(value.training, "t."), *lab._items(value.training.sampler, "t."))}
    items = {name: item | {"label": LABELS.get(name, item["label"]), "help": HELP.get(name, item["help"])} for name, item in items.items()}
    return [
        *exact,
        {"title": "Training", "mark": "a", "open": True, "items": [items[name] for name in FIRST]},
        {"title": "λ̂ on the way", "open": True, "items": [items[name] for name in ALONG]},
        {"title": "Training, more", "open": False, "items": [items[name] for name in MORE]},
    ]


def subscript(number: int) -> str:
    """A number as an index: ₁₂."""
    return "".join("₀₁₂₃₄₅₆₇₈₉"[int(digit)] for digit in str(number))
