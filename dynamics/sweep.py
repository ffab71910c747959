"""The same run at several values of one parameter, as one run."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import NamedTuple

PARTS = ("landscape", "rule")  # whose fields go by their own names; those of the data by "data.<name>"


def with_value(run, name: str, value):
    """The run with one field changed, wherever it is: "lr", "w0", "n", "data.size", or a whole part: "rule", "data".

    Raises ValueError if it has no such field, or the value is not legal there.
    """
    own = {field.name for field in dataclasses.fields(run)}
    part, dot, field = name.partition(".")
    if dot and part in own and field in _fields(getattr(run, part)):
        return dataclasses.replace(run, **{part: dataclasses.replace(getattr(run, part), **{field: value})})
    if name in own:
        return dataclasses.replace(run, **{name: value})
    for part in PARTS:
        if part in own and name in _fields(getattr(run, part)):
            return dataclasses.replace(run, **{part: dataclasses.replace(getattr(run, part), **{name: value})})
    names = sorted(own.union(*(_fields(getattr(run, part)) for part in PARTS if part in own)))
    raise ValueError(f"parameter = {name!r}; {type(run).__name__} has no such value: choose one of {', '.join(names)}")


def _fields(part) -> set[str]:
    return {field.name for field in dataclasses.fields(part)} if dataclasses.is_dataclass(part) else set()


class Progress(NamedTuple):
    """step: runs of the sweep that are done, of `of`; results: what they left, in order."""

    step: int
    of: int
    results: tuple


@dataclasses.dataclass(frozen=True)
class Sweep:
    """`runs[i]` is the run at `values[i]` of `parameter`; `Sweep.over(base, "lr", (0.01, 0.02))` makes them.

    Simulations keep the first and the last weights and all shares, so that a sweep of any length fits into memory. Each value is run on the
    same seed: what differs is the parameter, not the noise.
    """

    parameter: str
    values: tuple[float | str, ...]
    runs: tuple

    def __post_init__(self):
        if not self.runs or len(self.runs) != len(self.values):
            raise ValueError(f"{len(self.runs)} runs for {len(self.values)} values of {self.parameter}; give at least one, and one run a value")
        for run in self.runs:
            if not hasattr(run, "landscape") or isinstance(run, type):
                raise ValueError(f"{repr(run)[:60]} is no run; give one for each value, such as Simulation() or Posterior()")

    @classmethod
    def over(cls, base, parameter: str, values: Sequence) -> "Sweep":
        """The base run at each of these values."""
        values = tuple(value.item() if hasattr(value, "item") else value for value in values)
        return cls(parameter, values, tuple(with_value(base, parameter, value) for value in values))

    def stream(self) -> Iterator[Progress]:
        """Progress at once and after each run. To cancel, stop iterating."""
        results = ()
        yield Progress(0, len(self.runs), results)
        for run in self.runs:
            results += (_whole(run),)
            yield Progress(len(results), len(self.runs), results)

    def run(self) -> "SweepResult":
        """All of it."""
        *_, last = self.stream()
        return SweepResult(self, last.results)


def _whole(run):
    """What one run leaves; a posterior is its own result."""
    if hasattr(run, "steps"):
        return run.run(every=run.steps)
    return run.run() if hasattr(run, "run") else run


@dataclasses.dataclass(frozen=True)
class SweepResult:
    """results[i]: what the run at run.values[i] left."""

    run: Sweep
    results: tuple = dataclasses.field(repr=False)

    def each(self, read) -> list:
        """read(result) at every value, in order."""
        return [read(result) for result in self.results]
