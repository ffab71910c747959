"""Presets of networks: an experiment, who claims what about it, and what its rows say. The claims stand in presets.toml, the runs beside them."""

import functools
import importlib.resources
import tomllib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from dynamics.presets import Verdict
from nets.experiment import Experiment, Row

__all__ = ["Panel", "Preset", "Unclear", "Verdict", "column", "judge", "made", "where"]


class Panel(NamedTuple):
    """One panel of a preset's figure: column `y` over column `x`, one curve for each value of `by`, dashed where it is an exact value.

    error: column of standard errors. exact: columns drawn as lines without marks, for each value of the first part of `by`. only: rows with these
    values; last: only those of the last epoch. kind "line", "dots", or "diagonal" (dots, and the line y = x). zero: with a line there.
    """

    title: str
    x: str
    y: str
    by: tuple[str, ...] = ("lane",)
    error: str = ""
    exact: tuple[str, ...] = ()
    logx: bool = False
    logy: bool = False
    kind: str = "line"
    only: tuple[tuple[str, object], ...] = ()
    zero: bool = False
    last: bool = False


class Preset(NamedTuple):
    """As `dynamics.presets.Preset`; `holds(rows)` is a function of the rows that are there, also of half a run. panels: of its figure."""

    name: str
    title: str
    cite: str
    run: Experiment
    claim: str
    holds: Callable[[Sequence[Row]], Verdict]
    note: str
    quick: Experiment
    panels: tuple[Panel, ...]


class Unclear(Exception):
    """Too little is there to be judged; says what is missing."""


def judge(preset: Preset, rows: Sequence[Row]) -> Verdict:
    """`preset.holds(rows)`, or why it cannot be told from these rows."""
    if not rows:
        return Verdict(None, "Nothing is measured yet.")
    try:
        return preset.holds(rows)
    except Unclear as missing:
        return Verdict(None, str(missing))


@functools.cache
def claims() -> dict[str, dict[str, str]]:
    """presets.toml, by name."""
    return tomllib.loads(importlib.resources.files("nets").joinpath("presets.toml").read_text(encoding="utf-8"))


def made(name: str, run: Experiment, quick: Experiment, holds: Callable, panels: tuple[Panel, ...]) -> Preset:
    """The preset of this name, with its texts."""
    text = claims()[name]
    return Preset(name, text["title"], text["cite"], run, text["claim"], holds, text["note"], quick, panels)


# Rows


def where(rows: Sequence[Row], **values) -> list[Row]:
    """The rows with these values."""
    return [row for row in rows if all(row.get(name) == value for name, value in values.items())]


def column(rows: Sequence[Row], name: str) -> np.ndarray:
    """One column as floats, NaN where a row has none."""
    values = (row.get(name) for row in rows)
    return np.array([np.nan if value is None else float(value) for value in values])


def distinct(rows: Sequence[Row], name: str) -> list:
    """The different values of a column, in order of appearance."""
    return list(dict.fromkeys(row[name] for row in rows if name in row))
