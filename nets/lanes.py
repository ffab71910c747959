"""A race as a case of an experiment: one row a lane wherever probes are measured, and at the ends of epochs. With lambda-hat as a probe."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from nets.estimate import Estimate, estimate_llc, inverse_temperature, whole
from nets.experiment import Case, Part, Row
from nets.probes import FisherTrace, Spectrum
from nets.race import Race, Standings
from nets.samplers import SGLD, Sampler
from nets.training import Progress, score

LEVELS = (0.01, 0.1, 1.0)  # eigenvalues beyond which are counted


class Reading(NamedTuple):
    """lambda-hat at one moment of a training, by its numbers and by what its health report warns of."""

    estimate: Estimate

    @property
    def numbers(self) -> dict[str, float | str]:
        found = self.estimate
        words = ", ".join(finding.name for finding in found.health if finding.severity != "note")
        return {"lambda_hat": found.mean, "lambda_error": found.stderr, "wbic": found.wbic, "radius": found.radius, "findings": words}


@dataclass(frozen=True)
class LambdaHat:
    """lambda-hat of the network as it is now, as a probe of trainings; its fields are those of `nets.estimate.Estimation`.

    The defaults are what arXiv 2409.04913 ran (devinterp 0.2): n beta = 128/log 128 from the batch, a strong tether, 2 chains of 1000 draws, no
    burn-in. There the localisation radius sets the value: with gamma = 1000 the same network gives 2.5 instead of 43.7.
    """

    sampler: Sampler = SGLD(eps=1e-4, gamma=100.0)
    nbeta: float | str | None = "devinterp-0.2"
    chains: int = 2
    draws: int = 1000
    burn_in: int = 0
    batch: int = 128

    def __post_init__(self):
        for name in ("chains", "draws", "burn_in", "batch"):
            whole(name, getattr(self, name))
        inverse_temperature(self.nbeta, 2, self.batch)

    def measure(self, model, loss, x, y, seed: int = 0) -> Reading:
        batch = min(self.batch, len(x))
        settings = {"chains": self.chains, "draws": self.draws, "burn_in": self.burn_in, "batch": batch, "seed": seed}
        return Reading(estimate_llc(model, loss, (x, y), self.sampler, self.nbeta, device=str(x.device), **settings))


@dataclass(frozen=True)
class Lanes(Case):
    """A race whose lanes have names; `labels` are columns of every row, such as (("width", 64),).

    Columns: lane, step, epoch; batch_loss, norm, cosine: means over the epoch so far; smallest: the least eigenvalue of the preconditioner;
    train_loss, test_loss, train_accuracy, test_accuracy; what the probes' `numbers` say (of a Fisher trace after `fisher_`), of a spectrum also
    how many eigenvalues lie above and below LEVELS; failed: why a probe has none; ended: why a lane has diverged (its last row).
    """

    race: Race
    names: tuple[str, ...]
    labels: tuple[tuple[str, float | int | str], ...] = ()
    every: int = field(default=10, repr=False)

    def __post_init__(self):
        if len(self.names) != len(self.race.runs) or len(set(self.names)) != len(self.names):
            raise ValueError(f"names = {self.names!r} for {len(self.race.runs)} lanes; give each its own")

    @property
    def cost(self) -> float:
        return float(self.race.runs[0].epochs * len(self.race.runs) * self.race.runs[0].model.size)

    def stream(self, content=None) -> Iterator[Part]:
        if content is None:
            tally = [_Tally() for _ in self.names]
            frames = self.race.stream(self.every)
        else:
            tally = [_Tally(*kept) for kept in content["tally"]]
            frames = self.race.continued(content["race"], every=self.every)
        for i, standings in enumerate(frames):
            if i or content is None:
                yield Part(standings.step / standings.steps, self._rows(standings, tally), lambda s=standings: _content(s, tally))

    def _rows(self, standings: Standings, tally: list["_Tally"]) -> tuple[Row, ...]:
        run, rows = self.race.runs[0], []
        length = run.epoch_steps
        for name, lane, ended, sums in zip(self.names, standings.lanes, standings.ended, tally, strict=True):
            if sums.over:
                continue
            sums.add(lane)
            measured = any(value is not None for value in lane.probes)
            at_end = lane.step % length == 0 and (lane.step > 0 or not run.probes)
            if measured or at_end or ended:
                rows.append(self._row(name, lane, sums) | ({"ended": ended} if ended else {}))
            if lane.step % length == 0:
                sums.clear()
            sums.over = bool(ended)
        return tuple(rows)

    def _row(self, name: str, lane: Progress, sums: "_Tally") -> Row:
        row: Row = {**dict(self.labels), "lane": name, "step": lane.step, "epoch": lane.epoch}
        row |= sums.means()
        state = lane.state
        for which, scores, data in (("train", lane.train, state.train), ("test", lane.test, state.test)):
            scores = scores or score(state.model, state.loss, *data, state.run.scored)  # a probe was due within an epoch, scores were not
            row |= {f"{which}_loss": scores.loss, f"{which}_accuracy": scores.accuracy}
        for watch, value in zip(self.race.runs[0].probes, lane.probes, strict=True):
            before = "fisher_" if isinstance(watch.probe, FisherTrace) else ""
            row |= {before + name: number for name, number in getattr(value, "numbers", {}).items()}
            if isinstance(value, ValueError):
                row["failed"] = f"{type(watch.probe).__name__}: {value}"
            if isinstance(value, Spectrum):
                row |= {f"above {level:g}": value.dim * value.mean(lambda mu, level=level: mu > level)[0] for level in LEVELS}
                row |= {f"below -{level:g}": value.dim * value.mean(lambda mu, level=level: mu < -level)[0] for level in LEVELS}
        return row


class _Tally:
    """Sums over the steps of an epoch so far, as reported: a mean over the epoch does not depend on how often frames were asked for."""

    def __init__(self, step: int = 0, steps: int = 0, loss: float = 0.0, norm: float = 0.0, cosine: float = 0.0, smallest=math.inf, over=False):
        self.step, self.steps, self.loss, self.norm, self.cosine, self.smallest, self.over = step, steps, loss, norm, cosine, smallest, over

    def add(self, lane) -> None:
        fresh = lane.step - self.step
        if fresh:
            self.step, self.steps = lane.step, self.steps + fresh
            self.loss, self.norm, self.cosine = self.loss + fresh * lane.loss, self.norm + fresh * lane.norm, self.cosine + fresh * lane.cosine
            self.smallest = min(self.smallest, lane.smallest) if not math.isnan(lane.smallest) else self.smallest

    def clear(self) -> None:
        self.steps, self.loss, self.norm, self.cosine, self.smallest = 0, 0.0, 0.0, 0.0, math.inf

    def means(self) -> Row:
        if not self.steps:
            return {}
        found: Row = {"batch_loss": self.loss / self.steps, "norm": self.norm / self.steps, "cosine": self.cosine / self.steps}
        return found | ({"smallest": self.smallest} if self.smallest < math.inf else {})

    def kept(self) -> list:
        return [self.step, self.steps, self.loss, self.norm, self.cosine, self.smallest, self.over]


def _content(standings: Standings, tally: list[_Tally]) -> dict:
    return {"race": standings.field.content(), "tally": [sums.kept() for sums in tally]}
