"""Two optimisers from one initial network on the same batches, with lambda-hat and tr H along the way, in pieces that can be paused and left.

`Contest` is the settings, a value. `run(contest, history)` does the work bit by bit and writes down what it sees; `Racing` does that in a thread,
for whoever looks at it. Curves end with a comparison at equal epochs and at the same training loss: see `Verdict`.
"""

import copy
import functools
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch

from app.numerals import counted, measured, number
from landscapes.scale import Range, Text, check
from nets import CIFAR10, MLP, MNIST, SGD, Data, Digits, FashionMNIST, LeNet5, Model, OnlineNGD, Optimiser, Race, SmallCNN, Standings, Training
from nets.data import root
from nets.estimate import Estimate, Estimation
from nets.matching import matched
from nets.module_target import module_target
from nets.probes import Eigenvalues, HessianTrace, TopEigenvalues
from nets.samplers import SGLD
from nets.training import Progress, Scores

log = logging.getLogger(__name__)
PIECE = 0.05  # seconds of work before others have their turn, unless a single piece takes longer
TELL = 0.2  # seconds between two words to those who look
EVERY = 5  # steps between two frames
ROWS = 2000  # frames that are kept, besides those with scores
CURVED = 2000  # samples for the Hessian: the first so many of the training set
WEIGHTS = 2_000_000  # of the largest network
KNOWN = 0.15  # of the first look, from which the time of the others is told
SETS: dict[str, type[Data]] = {cls.__name__: cls for cls in (Digits, MNIST, FashionMNIST, CIFAR10)}
PICTURES = {"Digits": (1, 8, 1437), "MNIST": (1, 28, 60_000), "FashionMNIST": (1, 28, 60_000), "CIFAR10": (3, 32, 50_000)}  # colours, side, samples
FILES = {"MNIST": "MNIST/raw/train-images-idx3-ubyte", "FashionMNIST": "FashionMNIST/raw/train-images-idx3-ubyte", "CIFAR10": "cifar-10-batches-py"}


def missing(name: str) -> str:
    """Why a data set cannot be chosen on this machine; empty if it can."""
    if name not in FILES or (root() / FILES[name]).exists():
        return ""
    return f"not on this server: it has no {FILES[name]} in its data folder (LAMBDASCAPE_DATA); fetch it once with nets.{name}(download=True).load()"


# The settings


@dataclass(frozen=True)
class Samples:
    """What is learnt."""

    name: Literal["Digits", "MNIST", "FashionMNIST", "CIFAR10"] = "Digits"
    size: Annotated[int, Range(0, 60_000, unit="samples", help="training samples that are used: the first so many; 0 = all")] = 0

    def __post_init__(self):
        check(self)
        most = PICTURES[self.name][2]
        if self.size > most:
            raise ValueError(f"size = {self.size:,}; {self.name} has {most:,} training samples: give at most that, or 0 for all")

    @property
    def data(self) -> Data:
        return SETS[self.name](size=self.size)

    @property
    def n(self) -> int:
        """Training samples that are used."""
        return self.size or PICTURES[self.name][2]


@dataclass(frozen=True)
class Net:
    """What learns it."""

    kind: Literal["MLP", "LeNet5", "SmallCNN"] = "MLP"
    hidden: Annotated[str, Text(40, help="units of the hidden layers, such as 64-64; of a small CNN: channels of its convolutions")] = "64-64"
    activation: Literal["relu", "tanh", "linear"] = "relu"

    def __post_init__(self):
        check(self)
        parts = self.hidden.replace(",", "-").replace(" ", "").split("-")
        if not (1 <= len(parts) <= 8 and all(part.isascii() and part.isdigit() and 1 <= int(part) <= 2048 for part in parts)):
            raise ValueError(f"hidden = {self.hidden!r}; give one to eight whole numbers up to 2048 with dashes between, such as 64-64")
        object.__setattr__(self, "hidden", "-".join(str(int(part)) for part in parts))

    def model(self, samples: Samples) -> Model:
        """For these pictures; ValueError if it cannot read them."""
        colours, side, _ = PICTURES[samples.name]
        widths = tuple(map(int, self.hidden.split("-")))
        if self.kind == "LeNet5":
            if side != 28:
                raise ValueError(f"LeNet5 reads pictures of 28 x 28, and those of {samples.name} have {side} x {side}; choose another network")
            return LeNet5()
        made = MLP((colours * side**2, *widths, 10), self.activation) if self.kind == "MLP" else SmallCNN(widths, colours, side)
        if made.size > WEIGHTS:
            raise ValueError(f"{made.size:,} weights take too long for a page, at most {WEIGHTS:,}; choose fewer hidden units")
        return made


@dataclass(frozen=True)
class Looks:
    """How often lambda-hat, tr H and the spectrum are measured, and how."""

    count: Annotated[
        int, Range(1, 40, unit="looks", help="times that λ̂ and tr H are measured: after whole epochs, denser at first", shown=(1, 20))
    ] = 10
    nbeta: Literal["n/log n", "devinterp-0.2"] = "n/log n"
    gamma: Annotated[float, Range(0, 1e6, help="γ: strength of the tether to the network; λ̂ depends on it", shown=(0, 1000))] = 100.0
    eps: Annotated[
        float, Range(1e-10, 1, log=True, help="ε: step of the SGLD chains; too large and few of its steps are acceptable", shown=(1e-6, 1e-2))
    ] = 3e-4
    chains: Annotated[int, Range(2, 50, unit="chains", help="independent chains of each estimate", shown=(2, 20))] = 4
    draws: Annotated[int, Range(10, 100_000, log=True, unit="draws", help="of each chain, after burn-in", shown=(50, 5000))] = 500
    burn_in: Annotated[int, Range(0, 100_000, unit="draws", help="of each chain, thrown away", shown=(0, 2000))] = 150
    batch: Annotated[int, Range(2, 10_000, log=True, unit="samples", help="samples a step of the chains", shown=(16, 1024))] = 128
    vectors: Annotated[
        int, Range(2, 1000, log=True, unit="vectors", help="random vectors for tr H: its error falls as one over their root", shown=(4, 100))
    ] = 20
    spectrum: Literal["at the end", "each time", "on demand"] = "at the end"

    def __post_init__(self):
        check(self)

    def epochs(self, last: int, part: int) -> tuple[int, ...]:
        """After which epochs: 1 ... last in about equal ratios, and where the optimisers part."""
        spaced = np.geomspace(1, last, self.count) if self.count > 1 else [last]
        return tuple(sorted({round(float(epoch)) for epoch in spaced} | {last} | ({part} if part else set())))


@dataclass(frozen=True)
class Contest:
    """Everything that a race follows from. B takes over from A after `part` epochs (0: from the start), in one of two copies of the network."""

    samples: Samples = Samples()
    net: Net = Net()
    a: Optimiser = SGD(lr=0.02, momentum=0.9, nesterov=True)
    b: Optimiser = OnlineNGD(lr=0.02)
    epochs: Annotated[int, Range(1, 1000, log=True, unit="epochs", help="passes over the data", shown=(2, 100))] = 20
    batch: Annotated[int, Range(1, 10_000, log=True, unit="samples", help="samples in a batch, the same for both", shown=(8, 512))] = 64
    seed: Annotated[int, Range(0, 2**31 - 1, help="of the first weights and of the batches", shown=(0, 99))] = 0
    part: Annotated[
        int,
        Range(
            0,
            999,
            unit="epochs",
            help="epochs that A trains before the two part: B goes on from there in a copy; 0: apart from the start",
            shown=(0, 50),
        ),
    ] = 0
    looks: Looks = Looks()

    def __post_init__(self):
        check(self)
        if self.part >= self.epochs:
            raise ValueError(f"part = {self.part}; the two must part before the last of {self.epochs} epochs: choose at most {self.epochs - 1}")

    @property
    def race(self) -> Race:
        run = Training(self.samples.data, self.net.model(self.samples), self.a, self.epochs, self.batch, self.seed)
        other = replace(run, switch=((self.part, self.b),)) if self.part else replace(run, optimiser=self.b)
        return Race((run, run if self.a == self.b else other))

    @property
    def nbeta(self) -> float:
        n = self.samples.n if self.looks.nbeta == "n/log n" else self.looks.batch
        return n / math.log(n)


# What is seen


class Look(NamedTuple):
    """One lane after an epoch: lambda-hat, tr H, their standard errors; warnings: what is wrong with the chains."""

    step: int
    epoch: float
    train: Scores
    test: Scores
    llc: float
    error: float
    rhat: float
    acceptance: float
    dead: int
    wbic: float
    warnings: tuple[str, ...]
    trace: float
    trace_error: float


@dataclass
class History:
    """All that was seen of a race; written by one thread, read by others, who take the length of a list first."""

    rows: tuple[list[Progress], list[Progress]] = field(default_factory=lambda: ([], []))  # frames, without their state
    looks: tuple[list[Look], list[Look]] = field(default_factory=lambda: ([], []))
    spectra: list[tuple[float, tuple[Eigenvalues | None, Eigenvalues | None]]] = field(default_factory=list)  # (epoch, of both lanes)
    ended: tuple[str | None, str | None] = (None, None)  # why a lane has diverged
    step: int = 0
    steps: int = 0
    doing: str = ""
    training: float = 0.0  # seconds of training so far, and by its own reckoning still to come
    training_left: float = math.nan
    looking: float = 0.0  # seconds of looks so far
    looked: float = 0.0  # looks at one lane so far, the one under way in part
    looks_left: float = 0.0

    @property
    def left(self) -> float | None:
        """Seconds of work that are left, None if nothing is known yet."""
        if self.looked < KNOWN or math.isnan(self.training_left):
            return None
        return self.training_left + self.looking / self.looked * max(self.looks_left - self.looked, 0)


# The work


def run(contest: Contest, history: History, keep: Callable[[Standings], None] = lambda standings: None) -> Iterator[None]:
    """Trains and looks, a piece at a time. keep: is given the state that was reached, valid until the next piece. ValueError for what cannot be."""
    race, due = contest.race, []
    history.doing = "reading the data"
    yield
    length = race.runs[0].epoch_steps
    history.steps = race.runs[0].steps
    due = [epoch * length for epoch in contest.looks.epochs(contest.epochs, contest.part)]
    history.looks_left = sum(1 if step <= contest.part * length or contest.a == contest.b else 2 for step in due)
    frames = race.stream(EVERY)
    while True:
        began = time.perf_counter()
        standings = next(frames, None)
        history.training += time.perf_counter() - began
        if standings is None:
            break
        keep(standings)
        _note(history, standings)
        history.doing = "training"
        yield
        if standings.step in due and standings.step:
            yield from _timed(_look(contest, standings, history), history)
            if contest.looks.spectrum == "each time" or (contest.looks.spectrum == "at the end" and standings.step == history.steps):
                yield from _timed(spectrum(standings, history), history)
    history.training_left, history.looks_left, history.doing = 0.0, history.looked, ""


def _timed(work: Iterator[None], history: History) -> Iterator[None]:
    began = time.perf_counter()
    for _ in work:
        history.looking += time.perf_counter() - began
        yield
        began = time.perf_counter()
    history.looking += time.perf_counter() - began


def _note(history: History, standings: Standings) -> None:
    """Write a frame down, unless it adds nothing that can be seen."""
    history.step, history.ended, history.training_left = standings.step, standings.ended, standings.seconds_left
    for rows, lane, ended in zip(history.rows, standings.lanes, standings.ended, strict=True):
        new = not rows or (lane.step > rows[-1].step and (lane.train or ended or lane.step - rows[-1].step >= history.steps / ROWS))
        if new:
            rows.append(lane._replace(seconds_left=math.nan, state=None))  # the network moves on


def _descents(standings: Standings) -> list[list[int]]:
    """Lanes that are still one network are looked at once; those that have diverged, not at all."""
    found: dict[int, list[int]] = {}
    for lane, place in enumerate(standings.field.place):
        if not standings.ended[lane]:
            found.setdefault(place, []).append(lane)
    return list(found.values())


def _look(contest: Contest, standings: Standings, history: History) -> Iterator[None]:
    """lambda-hat and tr H of each network now."""
    settings, before = contest.looks, history.looked
    for lanes in _descents(standings):
        who = " and ".join("AB"[lane] for lane in lanes)
        progress = standings.lanes[lanes[0]]
        state, model = progress.state, copy.deepcopy(progress.model)
        x, y = state.train
        target = module_target(model, state.loss, x, y)
        batch = min(settings.batch, len(x))
        chains = Estimation(
            target,
            SGLD(eps=settings.eps, gamma=settings.gamma),
            contest.nbeta,
            chains=settings.chains,
            draws=max(settings.draws, 4),
            burn_in=settings.burn_in,
            batch=0 if batch == len(x) else batch,
            seed=contest.seed,
        )
        estimate: Estimate | None = None
        for estimate in chains.stream():
            share = estimate.step / (settings.burn_in + settings.draws)
            history.looked = before + 0.9 * share
            history.doing = f"λ̂ of {who}: {share:.0%}"
            yield
        for traces in HessianTrace(settings.vectors).stream(model, state.loss, x[:CURVED], y[:CURVED], contest.seed):
            history.looked = before + 0.9 + 0.1 * traces.step / settings.vectors
            history.doing = f"tr H of {who}"
            yield
        before = history.looked = before + 1
        found = Look(
            progress.step,
            progress.epoch,
            progress.train,
            progress.test,
            estimate.mean,
            estimate.stderr,
            estimate.rhat,
            estimate.acceptance,
            estimate.dead,
            estimate.wbic,
            tuple(finding.name for finding in estimate.health if finding.severity != "note"),
            traces.mean,
            traces.stderr,
        )
        for lane in lanes:
            history.looks[lane].append(found)
        yield


def spectrum(standings: Standings, history: History) -> Iterator[None]:
    """The largest eigenvalues of each network's Hessian now."""
    found: list[Eigenvalues | None] = [None, None]
    for lanes in _descents(standings):
        progress = standings.lanes[lanes[0]]
        state, model = progress.state, copy.deepcopy(progress.model)
        x, y = state.train
        top = TopEigenvalues(20, iterations=60)
        for values in top.stream(model, state.loss, x[:CURVED], y[:CURVED], state.run.seed):
            history.doing = f"spectrum of {' and '.join('AB'[lane] for lane in lanes)}: {values.step / top.iterations:.0%}"
            yield
        for lane in lanes:
            found[lane] = values
    history.spectra.append((standings.lanes[0].epoch, tuple(found)))


# The comparison


class Pair(NamedTuple):
    """A quantity of A and of B with standard errors, at training losses, after epochs."""

    values: tuple[float, float]
    errors: tuple[float, float]
    losses: tuple[float, float]
    epochs: tuple[float, float]

    @property
    def z(self) -> float:
        """B - A in standard errors of the difference."""
        error = math.hypot(*self.errors)
        return (self.values[1] - self.values[0]) / error if error else math.nan


class Verdict(NamedTuple):
    """After the same epochs, and at the lowest training loss that both reach; None where there is nothing yet, or nothing in common."""

    equal: Pair | None
    same: Pair | None


def verdict(
    history: History, read: Callable[[Look], float] = lambda look: look.llc, error: Callable[[Look], float] = lambda look: look.error
) -> Verdict:
    """Of lambda-hat, or of what `read` and `error` take from a look. Errors are those of the estimates, and of what lies between
    two of them: of chains, not of other seeds."""
    both = [[look for look in list(looks) if math.isfinite(read(look)) and math.isfinite(error(look))] for looks in history.looks]
    steps = {look.step for look in both[0]} & {look.step for look in both[1]}
    if not steps:
        return Verdict(None, None)
    at = [next(look for look in looks if look.step == max(steps)) for looks in both]
    equal = Pair(*(tuple(of(look) for look in at) for of in (read, error, lambda look: look.train.loss, lambda look: look.epoch)))
    try:
        values = matched(both, read)
        errors = matched(both, error)
        epochs = matched(both, lambda look: look.epoch)
    except ValueError:
        return Verdict(equal, None)
    whole = tuple(map(math.hypot, errors.values, values.bends))
    return Verdict(equal, Pair(values.values, whole, (values.loss, values.loss), epochs.values))


def sentence(found: Verdict, names: Sequence[str]) -> str:
    """What both comparisons give, in words; empty before the first look."""
    if found.equal is None:
        return ""

    def said(pair):
        return " and ".join(f"{measured(value, error)} ({name})" for value, error, name in zip(pair.values, pair.errors, names, strict=True))

    equal, same = found
    losses = " and ".join(number(loss, 2) for loss in equal.losses)
    text = f"After {counted(round(equal.epochs[0]), 'epoch')} λ̂ is {said(equal)}; training losses {losses}. "
    below = [name for name, value, error in zip(names, equal.values, equal.errors, strict=True) if value < -2 * error]  # less is 0 within its error
    if below:
        who, are, its = (" and ".join(below), "are", "their") if len(below) > 1 else (below[0], "is", "its")
        return text + f"{who} {are} at no minimum yet: the chains find lower losses nearby, and {its} λ̂ < 0 means nothing."
    if same is None:
        return text + "They have had no training loss in common yet."
    at = f"At the same loss {number(same.losses[0], 2)} (epochs {same.epochs[0]:.3g} and {same.epochs[1]:.3g})"
    if any(value < -2 * error for value, error in zip(same.values, same.errors, strict=True)):
        return text + f"{at} they were not both at a minimum (λ̂ < 0): nothing can be compared there yet."
    text += f"{at}: {said(same)}. "
    apart = [abs(pair.z) > 2 for pair in (equal, same)]
    if not any(apart):
        return text + "No difference beyond two standard errors in either comparison."
    if apart == [True, False]:
        return text + "The difference is gone at the same loss: it only tells who has converged further."
    higher = names[same.z > 0]
    if apart == [False, True] or equal.z * same.z < 0:
        return text + f"At the same loss {higher} has the larger λ̂; equal epochs hide it."
    return text + f"{higher} has the larger λ̂ in both comparisons, with this seed: convergence alone does not explain it."


# A race in a thread


@functools.cache
def workers() -> ThreadPoolExecutor:
    """One core is left to the pages; races take turns on the others."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 2
    return ThreadPoolExecutor(max(1, cores - 1), thread_name_prefix="race", initializer=torch.set_num_threads, initargs=(1,))


class Racing:
    """One race while it runs and when it is over. phase: running, paused, done, stopped, failed (and `why`).

    watchers: functions without arguments, called from a thread some times a second while something happens.
    """

    def __init__(self, contest: Contest):
        self.contest, self.history, self.watchers = contest, History(), set()
        self.phase, self.why, self.standings = "running", "", None
        self.lock, self.busy, self.closed = threading.Lock(), False, False
        self.main: Iterator | None = run(contest, self.history, self._keep)
        self.extra: Iterator | None = None
        self.elapsed, self.spent, self.since, self.told = 0.0, 0.0, time.perf_counter(), 0.0
        self._go()

    def _keep(self, standings: Standings) -> None:
        self.standings = standings

    def pause(self) -> None:
        with self.lock:
            if self.phase == "running":
                self.phase = "paused"
                self.elapsed += time.perf_counter() - self.since

    def resume(self) -> None:
        with self.lock:
            if self.phase == "paused":
                self.phase, self.since = "running", time.perf_counter()
        self._go()

    def stop(self) -> None:
        """For good; what was seen stays, the networks are let go."""
        with self.lock:
            if self.phase in ("running", "paused"):
                self.phase = "stopped"
            if not self.busy:
                self._free()

    def close(self) -> None:
        """Nobody will ask any more."""
        self.watchers.clear()
        self.closed = True
        self.stop()

    @property
    def live(self) -> bool:
        return self.phase in ("running", "paused")

    def measure(self) -> None:
        """The spectrum of the networks as they are now, also while paused or when done."""
        with self.lock:
            if self.standings is not None and self.extra is None and self.phase in ("running", "paused", "done"):
                self.extra = _timed(spectrum(self.standings, self.history), self.history)
        self._go()

    @property
    def measuring(self) -> bool:
        return self.extra is not None

    @property
    def left(self) -> float | None:
        """Seconds until it is done, as things go; None if unknown."""
        left = self.history.left
        if left is None or not self.spent:
            return None
        elapsed = self.elapsed + (time.perf_counter() - self.since if self.phase == "running" else 0)
        return left * max(1.0, elapsed / self.spent)

    @property
    def share(self) -> float:
        """Of the work that is done."""
        if self.phase == "done":
            return 1.0
        left, done = self.history.left, self.history.training + self.history.looking
        return 0.0 if left is None or done <= 0 else done / (done + left)

    def _free(self) -> None:  # with the lock held, and no worker inside
        self.main = self.extra = self.standings = None

    def _go(self) -> None:
        with self.lock:
            if self.busy or not self._work():
                return
            self.busy = True
        workers().submit(self._turn)

    def _work(self) -> Iterator | None:  # with the lock held
        return None if self.closed else self.extra or (self.main if self.phase == "running" else None)

    def _turn(self) -> None:
        """Some pieces of work, then to the end of the queue."""
        began = now = time.perf_counter()
        more = True
        while more and now - began < PIECE:
            with self.lock:
                work = self._work()
            if work is not None:
                self._piece(work)
            now = time.perf_counter()
            with self.lock:
                more = self.busy = self._work() is not None
                if not more and (self.closed or self.phase in ("stopped", "failed")):
                    self._free()
        self.spent += now - began
        if not more or now - self.told > TELL:
            self.told = now
            for watcher in list(self.watchers):
                watcher()
        if more:
            workers().submit(self._turn)

    def _piece(self, work: Iterator) -> None:
        over = object()
        try:
            over = next(work, over) is over
        except Exception as error:
            if not isinstance(error, ValueError):
                log.exception("a race failed")
            self.why = str(error) if isinstance(error, ValueError) else "The computation failed; what was seen so far stays. Try other settings."
            over = True
        if over is not True:
            return
        with self.lock:
            if work is self.extra:
                self.extra = None
            else:
                self.main = None
                if self.live:
                    self.phase = "failed" if self.why else "done"
