"""The legal and the shown interval of a parameter, its unit and its meaning: one `Range` beside the mathematics
validates the constructor, makes the slider, and documents."""

import dataclasses
import functools
import math
import numbers
import types
import typing


@dataclasses.dataclass(frozen=True)
class Range:
    """`low <= value <= high` is legal; a control shows `shown` (all of it by default), on a log axis if `log`."""

    low: float
    high: float
    log: bool = False
    unit: str = ""
    help: str = ""
    shown: tuple[float, float] | None = None

    def __post_init__(self):
        if self.shown is None:
            object.__setattr__(self, "shown", (self.low, self.high))

    def __contains__(self, value) -> bool:
        return self.low <= value <= self.high  # false for NaN


@dataclasses.dataclass(frozen=True)
class Text:
    """A field that is free text of at most so many characters; its class checks what it says."""

    longest: int
    help: str = ""


@dataclasses.dataclass(frozen=True)
class Box:
    """A field that is ((low, high), ...), one pair a variable, or None; its class checks it."""

    help: str = ""


class Parameter(typing.NamedTuple):
    """One field of a value: how it is called, what it may be, where it starts."""

    name: str
    kind: type  # int, float, str or tuple
    default: object
    range: Range | Text | Box | None
    choices: tuple = ()

    @property
    def help(self) -> str:
        return self.range.help if self.range else ""


@functools.cache
def parameters(cls: type) -> tuple[Parameter, ...]:
    """The fields of a dataclass that carry a `Range`, a `Text`, a `Box` or a choice (`Literal`), in order."""
    hints = typing.get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint, limits, choices = hints[field.name], None, ()
        if typing.get_origin(hint) is typing.Annotated:
            hint, *notes = typing.get_args(hint)
            limits = next((note for note in notes if isinstance(note, Range | Text | Box)), None)
        if typing.get_origin(hint) is typing.Literal:
            choices = typing.get_args(hint)
            hint = type(choices[0])
        if isinstance(hint, types.UnionType):
            hint = typing.get_args(hint)[0]
        if limits or choices:
            default = None if field.default is dataclasses.MISSING else field.default
            found.append(Parameter(field.name, hint, default, limits, choices))
    return tuple(found)


def _show(value) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python writes no integer of more than 4300 digits
        text = "a huge number"
    return text if len(text) <= 60 else text[:57] + "..."


def _limit(value) -> str:
    short = f"{value:g}"
    return short if float(short) == value else repr(value)  # 2147483647, not 2.14748e+09


def check(value) -> None:
    """Validate every field of a dataclass against its `Range`; whole floats become ints where an int is meant.

    Raises ValueError naming the value, the demand and the remedy. Call it from `__post_init__`.
    """
    owner = type(value).__name__
    for parameter in parameters(type(value)):
        given = getattr(value, parameter.name)
        object.__setattr__(value, parameter.name, legal(parameter, given, owner))


def legal(parameter: Parameter, given, owner: str = ""):
    """`given` as a legal value of this parameter, or ValueError."""
    name, limits = (f"{owner}: " if owner else "") + parameter.name, parameter.range
    if parameter.choices:
        if not isinstance(given, parameter.kind) or given not in parameter.choices:
            raise ValueError(f"{name} = {_show(given)}; choose one of {', '.join(map(repr, parameter.choices))}")
        return given
    if isinstance(limits, Text):
        if not isinstance(given, str):
            raise ValueError(f"{name} = {_show(given)} is no text; give one of at most {limits.longest} characters")
        if len(given) > limits.longest:
            raise ValueError(f"{name} has {len(given):,} characters; write at most {limits.longest}")
        return given
    if isinstance(limits, Box):
        return given
    low, high = map(_limit, (limits.low, limits.high))
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise ValueError(f"{name} = {_show(given)} is not a number; give one between {low} and {high}")
    if given != given or abs(given) == math.inf:  # math.isfinite cannot take 10**400
        raise ValueError(f"{name} = {given} is not finite; give a number between {low} and {high}")
    if parameter.kind is int and given != int(given):
        raise ValueError(f"{name} = {_show(given)} is not whole; give an integer between {low} and {high}")
    if given not in limits:
        where = "below" if given < limits.low else "above"
        raise ValueError(f"{name} = {_show(given)} is {where} the legal range {low} ... {high}; choose a value inside it")
    return parameter.kind(given)
