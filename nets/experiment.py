"""Cases one after the other, as one run whose frames are rows of a table: kept, judged and drawn while it goes on, and continued from a file.

A `Case` is one training, race or estimate; what it finds are rows (one dictionary each), of which verdicts, tables and figures are functions.
So half an experiment is a result too, and one that was interrupted ends, bit for bit, in the table of one that was not.
"""

import abc
import hashlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from nets import checkpoint

Row = dict[str, float | int | str | None]


class Part(NamedTuple):
    """share: of the case that is done, 0 ... 1. rows: found since the part before. content: of a state from which `Case.stream` goes on after
    this part, valid until the next one is asked for; None: from here on the case can only be begun again."""

    share: float
    rows: tuple[Row, ...] = ()
    content: Callable[[], dict] | None = None


class Case(abc.ABC):
    """Subclasses are frozen dataclasses. cost: work beside other cases of the same experiment, for the time left."""

    cost: ClassVar[float] = 1.0

    @abc.abstractmethod
    def stream(self, content: dict | None = None) -> Iterator[Part]:
        """Its parts, a first one at once; those after the part whose `content` is given, without a first one."""


class Frame(NamedTuple):
    """step: cases done, of `steps`; share: of all work, 0 ... 1; rows: all that was found so far. seconds_left: by the time used so far, NaN at
    first. state: what moves, valid until the next frame is asked for."""

    step: int
    steps: int
    share: float
    rows: tuple[Row, ...]
    seconds_left: float
    state: "State"

    def save(self, path) -> None:
        """Write a checkpoint of this frame, from which `Experiment.resume` goes on; valid until the next frame is asked for."""
        if self.state.frame is not self:
            raise ValueError(f"this frame is of {self.share:.1%} of the work, and the experiment has gone on; save before asking for the next")
        checkpoint.write(path, {"kind": "experiment", **self.state.content()})


@dataclass(frozen=True)
class Experiment:
    """Cases, one after the other."""

    cases: tuple[Case, ...]

    def __post_init__(self):
        if not isinstance(self.cases, tuple) or not self.cases or not all(isinstance(case, Case) for case in self.cases):
            raise ValueError(f"cases = {self.cases!r:.200}; give a tuple of at least one case")

    def stream(self) -> Iterator[Frame]:
        """Frames as the cases go on, the first at once, one more after each case. To cancel, stop iterating."""
        return self._frames(State(self))

    def resume(self, path) -> Iterator[Frame]:
        """The stream that goes on from a frame saved with `Frame.save`; first that frame itself.

        Raises ValueError if the file is missing or damaged, or of another experiment.
        """
        content = checkpoint.read(path, "experiment")
        if content.get("run") != self.digest:
            raise ValueError(f"checkpoint {str(path)!r}: of another experiment, or of this one with other settings; resume the run it was saved from")
        return self._frames(State(self, content))

    def run(self) -> tuple[Row, ...]:
        """All rows."""
        *_, last = self.stream()
        return last.rows

    @property
    def digest(self) -> str:
        """Of the call that makes it."""
        return hashlib.sha256(repr(self).encode()).hexdigest()

    def _frames(self, state: "State") -> Iterator[Frame]:
        yield state.now()
        while state.case < len(self.cases):
            for part in self.cases[state.case].stream(state.given):
                state.take(part)
                yield state.now()
            state.finish()
            yield state.now()


class State:
    """The moving state of an experiment: the case at work, all rows (those from `first` on are of this case), how to continue it, if it can be."""

    def __init__(self, run: Experiment, content: dict | None = None):
        self.run, self.case, self.rows, self.first, self.given, self.part = run, 0, [], 0, None, 0.0
        if content is not None:
            self.case, self.rows, self.first, self.given, self.part = (content[name] for name in ("case", "rows", "first", "state", "part"))
        self.keep = None if self.given is None else lambda: self.given
        self.costs = [float(case.cost) for case in run.cases]
        self.began, self.before, self.frame = time.perf_counter(), self.share, None

    @property
    def share(self) -> float:
        done = sum(self.costs[: self.case])
        if self.case < len(self.costs):
            done += self.costs[self.case] * min(max(self.part, 0.0), 1.0)
        return done / sum(self.costs)

    def take(self, part: Part) -> None:
        self.part, self.keep = part.share, part.content
        self.rows += part.rows

    def finish(self) -> None:
        self.case, self.given, self.keep, self.first, self.part = self.case + 1, None, None, len(self.rows), 0.0

    def now(self) -> Frame:
        made = self.share - self.before
        left = (time.perf_counter() - self.began) / made * (1 - self.share) if made > 0 else math.nan
        same = self.frame is not None and len(self.frame.rows) == len(self.rows)
        self.frame = Frame(self.case, len(self.costs), self.share, self.frame.rows if same else tuple(self.rows), left, self)
        return self.frame

    def content(self) -> dict:
        """All that a checkpoint must hold; a case that cannot be continued is left out, with its rows."""
        keep = self.keep is not None
        rows, state = (self.rows, self.keep()) if keep else (self.rows[: self.first], None)
        return {
            "run": self.run.digest,
            "case": self.case,
            "rows": list(rows),
            "first": self.first,
            "state": state,
            "part": self.part if keep else 0.0,
        }
