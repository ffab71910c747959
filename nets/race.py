"""Several optimisers from one initial state on the same batches, in lockstep: what differs between them is the optimiser alone."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch

from nets import checkpoint
from nets.descent import Descent, check_past
from nets.optimisers import Diverged
from nets.threads import single
from nets.training import EVERY, Progress, Training, check_every, frame


class Standings(NamedTuple):
    """All lanes after `step` of `steps` steps.

    lanes[i]: the progress of runs[i]; of one that has diverged, its last. ended[i]: why it has, else None. seconds_left: of all, by the time
    used so far; NaN at first.
    """

    step: int
    steps: int
    lanes: tuple[Progress, ...]
    ended: tuple[str | None, ...]
    seconds_left: float
    field: "Field"

    def save(self, path) -> None:
        """Write a checkpoint of this frame, from which `Race.resume` goes on; valid until the next frame is asked for."""
        if self.field.step != self.step:
            raise ValueError(f"this frame is of step {self.step}, and its race has gone on to {self.field.step}; save before asking for the next")
        checkpoint.write(path, {"kind": "race", "race": self.field.content()})


@dataclass(frozen=True)
class Race:
    """Trainings that differ in `optimiser` and `switch` only. Lanes with the same past are one computation until their optimisers part.

    A lane that diverges stays where it was, and says why; the others go on.
    """

    runs: tuple[Training, ...]

    def __post_init__(self):
        runs = self.runs if isinstance(self.runs, tuple | list) else ()
        if not runs or not all(isinstance(run, Training) for run in runs):
            raise ValueError(f"runs = {self.runs!r}; give a tuple of trainings, at least one")
        object.__setattr__(self, "runs", tuple(runs))
        for i, run in enumerate(runs):
            if replace(run, optimiser=runs[0].optimiser, switch=runs[0].switch) != runs[0]:
                raise ValueError(
                    f"runs[{i}] differs from runs[0] in more than optimiser and switch; make it by replace(runs[0], optimiser=...): {run!r}"
                )

    @classmethod
    def of(cls, run: Training, *optimisers) -> "Race":
        """The same training by each of these optimisers."""
        return cls(tuple(replace(run, optimiser=optimiser) for optimiser in optimisers))

    def stream(self, every: int = EVERY) -> Iterator[Standings]:
        """Frames as of a training; ends early where all lanes have diverged."""
        check_every(every)
        return self._single(Field(self), every)

    def resume(self, path, every: int = EVERY) -> Iterator[Standings]:
        """The stream that goes on, bit for bit, from a frame saved with `Standings.save`; ValueError as `Training.resume`."""
        return self.continued(checkpoint.read(path, "race")["race"], f"checkpoint {str(path)!r}", every)

    def continued(self, content: dict, source: str = "checkpoint", every: int = EVERY) -> Iterator[Standings]:
        """`resume` from what a checkpoint holds (`Standings.field.content()`), read already from `source`."""
        check_every(every)
        return self._single(Field(self, content, source), every)

    def _single(self, field: "Field", every: int) -> Iterator[Standings]:
        return single(self._frames(field, every), self.runs[0].model.size, torch.device(self.runs[0].device))

    def _frames(self, field: "Field", every: int) -> Iterator[Standings]:
        run = self.runs[0]
        yield field.standings(run.scores_due(field.step, every), ())
        if field.step == 0 and run.probes:
            yield field.standings(True, run.due(0))
        while field.step < run.steps and not all(field.ended):
            field.advance(run.next_stop(field.step, every))
            yield field.standings(run.scores_due(field.step, every), run.due(field.step))


class Field:
    """The moving state of a race: lane i is descents[place[i]]; ended[k]: why descent k has stopped, or None; last[k]: its latest progress."""

    def __init__(self, race: Race, content: dict | None = None, source: str = ""):
        self.runs, self.step, self.seconds, self.made = race.runs, 0, 0.0, 0
        if content is None:
            self.descents, self.ended, self.place = [Descent(self.runs[0])], [None], [0] * len(self.runs)
            self.last = [frame(self.descents[0], True, ())]
            self._part()
        else:
            self._restore(content, source)
            self.last = [frame(state, bool(why), ()) for state, why in zip(self.descents, self.ended, strict=True)]

    def content(self) -> dict:
        """All that a checkpoint must hold."""
        return {"step": self.step, "place": self.place, "ended": self.ended, "descents": [state.content() for state in self.descents]}

    def _restore(self, content: dict, source: str) -> None:
        try:
            kept = content["descents"]
            self.step, self.place, self.ended = content["step"], list(content["place"]), list(content["ended"])
            if len(self.place) != len(self.runs):
                raise ValueError(f"{source}: of {len(self.place)} trainings, and this race has {len(self.runs)}; resume the race it was saved from")
            for run, k in zip(self.runs, self.place, strict=True):
                check_past(run, kept[k], source)
            self.descents = [Descent(self.runs[self.place.index(k)], state, source) for k, state in enumerate(kept)]
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError(f"{source}: incomplete ({error}); take an older one, or start anew") from error

    def _part(self) -> None:
        """At the start of an epoch, lanes whose optimisers now differ become descents of their own, from the identical state."""
        epoch, found = self.step // self.descents[0].epoch_steps, {}
        for lane, run in enumerate(self.runs):
            k = self.place[lane]
            key = k, run.optimisers(epoch)
            if self.ended[k]:
                continue
            if key not in found:
                found[key] = self._copy(k, run) if any(k == other for other, _ in found) else k
                self.descents[found[key]].run = run
            self.place[lane] = found[key]

    def _copy(self, k: int, run: Training) -> int:
        self.descents.append(Descent(run, self.descents[k].content() if self.step else None))
        self.ended.append(None)
        self.last.append(self.last[k] if self.step else frame(self.descents[-1], True, ()))
        return len(self.descents) - 1

    def advance(self, stop: int) -> None:
        """All lanes up to step `stop`, which lies in the present epoch."""
        if not self.step % self.descents[0].epoch_steps:
            self._part()
        for k, state in enumerate(self.descents):
            if self.ended[k] is None:
                began = time.perf_counter()
                try:
                    state.advance(stop)
                except Diverged as error:
                    self.ended[k], self.last[k] = str(error), frame(state, True, ())
                self.seconds += time.perf_counter() - began
                self.made += stop - self.step
        self.step = stop

    def standings(self, scored: bool, due: tuple[int, ...]) -> Standings:
        """All lanes now; probes and scores are taken once of each descent."""
        began, run = time.perf_counter(), self.runs[0]
        self.last = [last if why else frame(state, scored, due) for state, why, last in zip(self.descents, self.ended, self.last, strict=True)]
        self.seconds += time.perf_counter() - began
        left = self.seconds / self.made * self.left() if self.made else math.nan
        lanes, ended = (tuple(of[k] for k in self.place) for of in (self.last, self.ended))
        return Standings(self.step, run.steps, lanes, ended, left, self)

    def left(self) -> int:
        """Steps that are still to be made by all descents, those included that will part."""
        run, length = self.runs[0], self.descents[0].epoch_steps
        living = [other for other, k in zip(self.runs, self.place, strict=True) if not self.ended[k]]
        first = self.step // length
        distinct = [len({other.optimisers(epoch) for other in living}) for epoch in range(first, run.epochs)]
        return sum(distinct) * length - (distinct[0] * (self.step % length) if distinct else 0)
