"""A run <-> flat text: {"landscape": "DoubleWell", "w0": "1.8", ..., "rule": "SGD", "lr": "0.02", ..., "start": "-3.6,3.6", "data": "Online"}.

The query of a link and `--set` of the command line. Every value is written, so a later change of a default changes no old link. Reading
looks names up in the catalogues and reads numbers, one value at a time: nothing is evaluated or imported, a bad value costs itself only, and
a message names it, what it should be, and what is used instead. Fields of the landscape and of the rule stand under their own names, those
of the data behind `data.`; a second value, such as another rule, has a prefix before its names (`b.rule`, `b.lr`).
"""

import dataclasses
import difflib
import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from dynamics import GD, RULES, At, Finite, Online, Simulation, Uniform
from landscapes import CATALOGUE, Polynomial
from landscapes.scale import Box, Parameter, Text, legal, parameters

CHOICES: dict[str, dict[str, type]] = {
    "landscape": CATALOGUE | {"Polynomial": Polynomial},
    "rule": RULES,
    "data": {cls.__name__: cls for cls in (Online, Finite)},
}
PLACE = {"landscape": "", "rule": "", "data": "data."}  # what stands before the names of the fields
LABS = ("escape", "networks", "llc", "dln")  # that compute in Python; the landscape lab simulates in the browser, too
FRAME = ("page", "widget", "figures", "view", "maps", "theme", "projector")  # what an address says besides the state (the same in shell.js)
FARTHEST = 1e3  # |w| from which a trajectory counts as diverged: no run starts there
LONGEST = 40  # characters of a number that are read, or of a value that are repeated in a message
MESSAGES = 8  # at most, however long a query is


class Problem(NamedTuple):
    """What is wrong with one value (value, demand, remedy), and what was done instead."""

    text: str
    done: str = ""

    def __str__(self):
        return f"{self.text} ({self.done})" if self.done else self.text


# Writing


def write(value) -> str:
    """One field as text; floats exactly, so that reading gives the same number back."""
    if isinstance(value, tuple):  # a box: low1,high1,low2,high2
        return ",".join(write(entry) for pair in value for entry in pair)
    return "none" if value is None else repr(value) if isinstance(value, float) else str(value)


def encode_fields(value, prefix: str = "") -> dict[str, str]:
    """The fields of a frozen dataclass, by name."""
    return {prefix + parameter.name: write(getattr(value, parameter.name)) for parameter in parameters(type(value))}


def encode_choice(kind: str, value, prefix: str = "") -> dict[str, str]:
    """A landscape, a rule or data: its class's name under `prefix + kind`, then its fields."""
    name = type(value).__name__
    if CHOICES[kind].get(name) is not type(value):
        raise ValueError(f"{kind} = {_short(repr(value))} is not in the catalogue, so it has no text; choose one of {', '.join(CHOICES[kind])}")
    return {prefix + kind: name} | encode_fields(value, prefix + PLACE[kind])


def encode(run: Simulation) -> dict[str, str]:
    """Every value of a run as text; `decode` gives an equal run back."""
    start = {"at" if isinstance(run.start, At) else "start": _start_text(run.start)}
    choices = {name: encode_choice(name, getattr(run, name)) for name in CHOICES}
    return choices["landscape"] | choices["rule"] | encode_fields(run) | start | choices["data"]


def link(run: Simulation) -> str:
    """The query string of a run, without the question mark."""
    return urlencode(encode(run), safe=",")


# Reading


def decode(query: Mapping[str, str], default: Simulation = Simulation(), others: Collection[str] = ()) -> tuple[Simulation, list[str]]:
    """A run and messages, from text that anybody may have written; never raises.

    What is missing or wrong keeps the default; a number outside its range becomes the nearest legal one. Another landscape or rule starts
    from its own defaults, another landscape also from its own box. `others`: keys the caller reads itself; one that ends in "." stands for
    all that begin with it.
    """
    run, problems = _decode(query, default, others)
    return run, _messages(problems)


def decode_choice(kind: str, query: Mapping[str, str], default, prefix: str = "") -> tuple[object, list[str]]:
    """A landscape, a rule or data written by `encode_choice`, and messages; never raises, does not mind unknown keys."""
    value, problems = _read_choice(kind, query, default, prefix)
    return value, _messages(problems)


def decode_fields(default, query: Mapping[str, str], prefix: str = "") -> tuple[object, list[str]]:
    """A dataclass (class, or value whose fields are the defaults) with those fields that the query has, and messages; never raises."""
    value, problems = _read_fields(default() if isinstance(default, type) else default, query, prefix)
    return value, _messages(problems)


def change(run: Simulation, settings: Iterable[str]) -> Simulation:
    """The run with settings such as "lr=0.02" or "landscape=Valley"; raises ValueError for the first that is wrong."""
    query = {}
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            raise ValueError(f"{_short(setting)} is no setting; write name=value, e.g. lr=0.02")
        query[name.strip()] = text.strip()
    run, problems = _decode(query, run, ())
    if problems:
        raise ValueError(problems[0].text)
    return run


def names(run: Simulation) -> list[str]:
    """Everything that can be set on such a run."""
    own = [name for kind in CHOICES for name in (kind, *encode_fields(getattr(run, kind), PLACE[kind]))]
    return [*own, *encode_fields(run), "start", "at"]


def _decode(query, default, others) -> tuple[Simulation, list[Problem]]:
    problems, parts = [], {}
    for kind in CHOICES:
        parts[kind], found = _read_choice(kind, query, getattr(default, kind))
        problems += found
    new, old = parts["landscape"], default.landscape
    same = new == old if isinstance(new, Polynomial) else type(new) is type(old)
    start, found = _read_start(query, parts["landscape"].dim, default.start if same else None)
    try:
        default = dataclasses.replace(default, **parts, start=start)
    except ValueError as error:  # K alone is given, and the rule or the data need Q
        problems.append(Problem(str(error), "used GD on fresh data"))
        default = dataclasses.replace(default, **parts | {"rule": GD(), "data": Online()}, start=start)
    run, more = _read_fields(default, query)
    known = set(names(run))
    own = {key for key in others if not key.endswith(".")}
    theirs = tuple(key for key in others if key.endswith("."))
    unknown = [_unknown(key, query[key], run, known) for key in query if key not in known and key not in own and not str(key).startswith(theirs)]
    return run, problems + found + more + unknown


def _read_choice(kind, query, default, prefix=""):
    key, problems, choices = prefix + kind, [], CHOICES[kind]
    text = query.get(key)
    if text is not None and text != type(default).__name__:
        if isinstance(text, str) and text in choices:
            default = choices[text]()
        else:
            asked = f"{key} = {_short(text)}; choose one of {', '.join(choices)}{guess(text, choices)}"
            problems.append(Problem(asked, f"kept {type(default).__name__}"))
    value, found = _read_fields(default, query, prefix + PLACE[kind])
    return value, problems + found


def _read_fields(value, query, prefix=""):
    problems, good = [], {}
    for parameter in parameters(type(value)):
        key = prefix + parameter.name
        if key in query:
            kept = getattr(value, parameter.name)
            try:
                good[parameter.name] = _read(parameter, query[key], key)
            except _Outside as error:
                good[parameter.name] = error.nearest
                problems.append(Problem(str(error), f"used {write(error.nearest)}"))
            except ValueError as error:
                problems.append(Problem(str(error), f"kept {write(kept)}"))
    try:
        return dataclasses.replace(value, **good), problems
    except ValueError:  # each is legal, but not together: take as many as go
        for name, new in good.items():
            try:
                value = dataclasses.replace(value, **{name: new})
            except ValueError as error:
                problems.append(Problem(str(error), f"kept {prefix}{name} = {write(getattr(value, name))}"))
        return value, problems


class _Outside(ValueError):
    """A finite number outside the legal range."""

    def __init__(self, text, nearest):
        super().__init__(text)
        self.nearest = nearest


def _read(parameter: Parameter, text, key: str):
    if parameter.choices:
        choices = {write(choice): choice for choice in parameter.choices}
        if text not in choices:
            raise ValueError(f"{key} = {_short(text)}; choose one of {', '.join(choices)}")
        return choices[text]
    if text == "none" and parameter.default is None:
        return None
    limits = parameter.range
    if isinstance(limits, Text):
        return legal(parameter._replace(name=key), text)
    if isinstance(limits, Box):
        entries = [number(entry) for entry in text.split(",")] if isinstance(text, str) and len(text) < 4 * LONGEST else []
        if len(entries) not in (2, 4) or None in entries:
            raise ValueError(f"{key} = {_short(text)}; give low,high of each variable, such as -2,2 or -1,1,-2,2")
        return tuple(zip(entries[::2], entries[1::2], strict=True))
    found = number(text, whole=parameter.kind is int)
    if found is None:
        raise ValueError(f"{key} = {_short(text)} is not a number; give one between {limits.low:g} and {limits.high:g}")
    try:
        return legal(parameter._replace(name=key), found)
    except ValueError as error:
        if not math.isfinite(found) or limits.low <= found <= limits.high:
            raise
        raise _Outside(str(error), parameter.kind(min(max(found, limits.low), limits.high))) from None


def number(text, whole: bool = False) -> int | float | None:
    """Text that anybody may have written as a number, or None."""
    if not isinstance(text, str) or len(text) > LONGEST:
        return None
    for kind in (int, float) if whole else (float,):  # int first: 2**53 + 1 is no float
        try:
            return kind(text)
        except ValueError:
            pass
    return None


def _start_text(start: Uniform | At) -> str:
    low, high = start.bounds
    return ",".join(write(entry) for entry in (low if isinstance(start, At) else low + high))


def _read_start(query, dim: int, default):
    given = [key for key in ("start", "at") if key in query]
    if not given:
        return default, []
    kept = "started from the landscape's box" if default is None else f"kept {'at' if isinstance(default, At) else 'start'} = {_start_text(default)}"
    if len(given) == 2:
        text = f"start = {_short(query['start'])} and at = {_short(query['at'])}; give one: start for a uniform start on a box, at for one point"
        return default, [Problem(text, kept)]
    (key,) = given
    text, wanted = query[key], 2 * dim if key == "start" else dim
    examples = {"start": ("low,high such as -2,2", "low1,low2,high1,high2 such as -1,-2,1,2"), "at": ("1.8", "0,1")}
    example = examples[key][dim - 1]
    entries = [number(entry) for entry in text.split(",")] if isinstance(text, str) and len(text) < 4 * LONGEST else []
    if len(entries) != wanted or None in entries:
        return default, [Problem(f"{key} = {_short(text)}; give {wanted} number{'s' * (wanted > 1)} here: {example}", kept)]
    if not all(abs(entry) < FARTHEST for entry in entries):  # false for NaN
        text = f"{key} = {_short(text)}; every entry lies between -{FARTHEST:g} and {FARTHEST:g}, as a trajectory counts as diverged from there on"
        return default, [Problem(text, kept)]
    if key == "at":
        return At(tuple(entries)), []
    try:
        return Uniform(tuple(entries[:dim]), tuple(entries[dim:])), []
    except ValueError:
        return default, [Problem(f"start = {_short(text)}; every low must lie at or below its high: {example}", kept)]


def _unknown(key, text, run: Simulation, known: Collection[str]) -> Problem:
    near = difflib.get_close_matches(str(key)[:LONGEST], known, 1)
    which = f"{type(run.landscape).__name__} with {type(run.rule).__name__} on {type(run.data).__name__} data"
    remedy = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(known))}"
    return Problem(f"{_short(key)[1:-1]} = {_short(text)}; {which} has no such value: {remedy}", "left out")


def misnamed_figures(query: Mapping[str, str], known: Collection[str]) -> tuple[list[str], list[str]]:
    """(the figures a query names, messages about those that there are not)."""
    names = [name for name in query.get("figures", "").split(",") if name]
    wrong = [name for name in names if name not in known]
    return [name for name in names if name in known], [
        f"figures = {_short(name)}; choose from {', '.join(known)} (left out)" for name in wrong[:MESSAGES]
    ]


def guess(text, choices: Iterable[str]) -> str:
    """What somebody may have meant, as the end of a message; empty if nothing is near."""
    known = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(text[:LONGEST].lower(), known, 1) if isinstance(text, str) else []
    return f"; did you mean {known[near[0]]}?" if near else ""


def _short(text) -> str:
    """A value as it is repeated in messages: quoted, control characters escaped, cut."""
    if not isinstance(text, str):
        text = f"a {type(text).__name__}"
    return repr(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def _messages(problems: list[Problem]) -> list[str]:
    shown = [str(problem) for problem in problems[:MESSAGES]]
    left = len(problems) - len(shown)
    return [*shown, f"... and {left} more values that could not be used"] if left else shown
