"""w_{t+1} = w_t - eta P_t grad L_b(w_t): a network trained, as a value that streams, stops, switches its optimiser, and goes on from a file."""

import copy
import itertools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor, nn

from landscapes.scale import Range, check
from nets import checkpoint
from nets.data import Data, Digits
from nets.descent import Descent
from nets.models import MLP, Model
from nets.optimisers import SGD, Optimiser
from nets.threads import single

EVERY = 10  # steps between two frames
SPARE = 4  # within an epoch scores are taken after so many times as many training samples as are scored: a tenth of the time or less
CHUNK = 500  # samples scored at once: larger chunks of a convolutional network fall out of the cache, and cost twice as much


class Scores(NamedTuple):
    """Mean loss in nats per sample, and the share that is classified right (NaN where targets are not classes)."""

    loss: float
    accuracy: float


class Progress(NamedTuple):
    """A training after `step` of `steps` steps.

    loss, norm, cosine: means over the steps since the last frame of what each step reported: the batch's loss before the step, the length of the
    update, the cosine between update and gradient; smallest: the least eigenvalue of the preconditioner among them; rho: the last damping.
    Over a whole epoch (every = its steps) `loss` is what arXiv 2409.04913 prints as training loss; it lags behind `train`: 0.41 and 0.19 after
    the first epoch of its figure 2.
    NaN at first, or where the optimiser has none. train, test: on the first `scored` samples of each set; None where they were not taken:
    always at the ends of epochs. probes[i]: of run.probes[i], None where not due, the ValueError where it raised one.
    seconds_left: by the time used so far; NaN at first. state: what moves (`state.model`), valid until the next frame is asked for.
    """

    step: int
    steps: int
    epoch: float
    loss: float
    norm: float
    cosine: float
    smallest: float
    rho: float
    train: Scores | None
    test: Scores | None
    probes: tuple
    seconds_left: float
    state: Descent

    @property
    def model(self) -> nn.Module:
        """The network at this frame; it moves on with the next one: copy.deepcopy it to keep it."""
        return self.state.model

    def save(self, path) -> None:
        """Write a checkpoint of this frame's state, from which `Training.resume` goes on; valid until the next frame is asked for."""
        if self.state.step != self.step:
            raise ValueError(f"this frame is of step {self.step}, and its training has gone on to {self.state.step}; save before asking for the next")
        checkpoint.write(path, {"kind": "training", "training": self.state.content()})


@dataclass(frozen=True)
class Watch:
    """When a probe is measured, and on which samples.

    probe: has `measure(model, loss, x, y, seed)`, or is a function of these; it gets a copy of the model, the loss per sample, and the run's seed
    each time, so that two frames, or two optimisers, are compared on the same random vectors.
    """

    probe: object
    every: Annotated[int, Range(0, 10_000_000, unit="steps", help="measured at every so many steps; 0: at the ends of epochs", shown=(0, 1000))] = 0
    on: Literal["train", "test"] = "train"
    size: Annotated[int, Range(0, 10_000_000, unit="samples", help="the first so many samples; 0: all", shown=(0, 10_000))] = 0

    def __post_init__(self):
        check(self)
        if not callable(getattr(self.probe, "measure", self.probe)) or isinstance(self.probe, type):
            raise ValueError(f"probe = {self.probe!r}; give a value with measure(model, loss, x, y, seed), or a function of these")

    def measure(self, state: Descent):
        """Its value now, or the ValueError that it raised: a probe that fails costs its own value, not the training."""
        x, y = state.train if self.on == "train" else state.test
        size = self.size or len(x)
        try:
            return getattr(self.probe, "measure", self.probe)(copy.deepcopy(state.model), state.loss, x[:size], y[:size], state.run.seed)
        except ValueError as error:
            return error


@dataclass(frozen=True)
class Training:
    """`epochs` passes over `data` in seeded batches without replacement; the last batch of an epoch may be short.

    The initial weights are model.build(seed), the order of the samples follows from seed and epoch alone: so two optimisers are compared from
    the same state on the same batches. switch: (epoch, optimiser) pairs; after so many epochs that optimiser goes on from the weights reached,
    with no memory of the former one's momentum. Probes change nothing.

    >>> run = Training(Digits(), MLP(widths=(64, 32, 10)), SGD(lr=0.2), epochs=3)
    >>> for progress in run.stream():
    ...     if progress.test:
    ...         print(progress.step, progress.test.accuracy > 0.8)
    0 False
    12 False
    24 True
    36 True
    """

    data: Data = Digits()
    model: Model = MLP()
    optimiser: Optimiser = SGD(lr=0.1)
    epochs: Annotated[int, Range(1, 1_000_000, log=True, help="passes over the data", shown=(1, 100))] = 10
    batch: Annotated[int, Range(1, 10_000_000, log=True, unit="samples", help="samples in a batch", shown=(1, 1024))] = 128
    seed: Annotated[int, Range(0, 2**31 - 1, help="of the first weights and of the batches", shown=(0, 99))] = 0
    loss: Literal["cross_entropy", "mse", "half_squares"] = "cross_entropy"
    switch: tuple[tuple[int, Optimiser], ...] = ()
    probes: tuple = ()
    scored: Annotated[int, Range(0, 10_000_000, unit="samples", help="of each set, for losses and accuracies; 0: all", shown=(0, 10_000))] = 2000
    dtype: Literal["float32", "float64"] = "float32"
    device: str = "cpu"

    def __post_init__(self):
        check(self)
        for name, kind, example in (
            ("data", Data, "Digits()"),
            ("model", Model, "MLP(widths=(64, 128, 10))"),
            ("optimiser", Optimiser, "SGD(lr=0.1)"),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"{name} = {getattr(self, name)!r} is no {name}; give a value such as {example}")
        object.__setattr__(self, "switch", _switches(self.switch, self.epochs))
        if not isinstance(self.probes, tuple | list):
            raise ValueError(f"probes = {self.probes!r}; give a tuple of probes")
        object.__setattr__(self, "probes", tuple(probe if isinstance(probe, Watch) else Watch(probe) for probe in self.probes))
        _usable(self.device)

    def stream(self, every: int = EVERY) -> Iterator[Progress]:
        """Frames every so many steps, at the ends of epochs and where a probe is due; the first at once. To cancel, stop iterating.

        Raises ValueError if data and model do not fit, and Diverged (a ValueError) where a loss or an update is not finite.
        """
        check_every(every)
        return self._single(Descent(self), every)

    def resume(self, path, every: int = EVERY) -> Iterator[Progress]:
        """The stream that goes on, bit for bit, from a frame saved with `Progress.save`; first that frame itself, its probes not measured again.

        The file's training may have had other epochs, probes, scores, and later switches: so one trunk serves many branches.
        Raises ValueError if it is missing or damaged, or of another model, data set, seed, batch size, loss, type, or earlier optimiser.
        """
        check_every(every)
        state = Descent(self, checkpoint.read(path, "training")["training"], f"checkpoint {str(path)!r}")
        return self._single(state, every)

    def run(self, every: int = EVERY) -> "Trained":
        """All of it."""
        frames = tuple(self.stream(every))
        return Trained(frames, frames[-1].model)

    def _single(self, state: Descent, every: int) -> Iterator[Progress]:
        return single(self._frames(state, every), self.model.size, torch.device(self.device))

    def _frames(self, state: Descent, every: int) -> Iterator[Progress]:
        yield frame(state, self.scores_due(state.step, every), ())
        if state.step == 0 and self.probes:
            yield frame(state, True, self.due(0))
        while state.step < self.steps:
            state.advance(self.next_stop(state.step, every))
            yield frame(state, self.scores_due(state.step, every), self.due(state.step))

    # When what is done: the same for any stream of this training, and for a race

    @property
    def epoch_steps(self) -> int:
        """Steps in an epoch: ceil(n/batch)."""
        return -(-len(self.data.load().x) // self.batch)

    @property
    def steps(self) -> int:
        """Steps in all."""
        return self.epochs * self.epoch_steps

    def optimisers(self, epoch: int) -> tuple[tuple[int, Optimiser], ...]:
        """Those of epochs 0 ... `epoch`, each with the epoch it starts at; the last makes the steps of this epoch."""
        return ((0, self.optimiser), *(pair for pair in self.switch if pair[0] <= epoch))

    def next_stop(self, step: int, every: int) -> int:
        """The step of the frame after `step`."""
        length = self.epoch_steps
        start = step - step % length
        probed = [(step // watch.every + 1) * watch.every for watch in self.probes if watch.every]
        return min(start + length, start + ((step - start) // every + 1) * every, *probed)

    def scores_due(self, step: int, every: int) -> bool:
        """At the ends of epochs, and within them as often as scores cost a tenth of the time or less."""
        tensors = self.data.load()
        scored = sum(min(self.scored or len(x), len(x)) for x in (tensors.x, tensors.x_test))
        spacing = -(-SPARE * scored // (self.batch * every)) * every
        place = step % self.epoch_steps
        return not place or not place % spacing

    def due(self, step: int) -> tuple[int, ...]:
        """The probes to be measured at this step; all at step 0."""
        return tuple(i for i, watch in enumerate(self.probes) if not step % (watch.every or self.epoch_steps))


class Trained(NamedTuple):
    """All frames, and the network at the end."""

    frames: tuple[Progress, ...]
    model: nn.Module


def frame(state: Descent, scored: bool, due: tuple[int, ...]) -> Progress:
    """The progress of this state now: with scores or without, and with these probes."""
    run, began = state.run, time.perf_counter()
    train, test = (score(state.model, state.loss, *part, run.scored) if scored else None for part in (state.train, state.test))
    probes = tuple(watch.measure(state) if i in due else None for i, watch in enumerate(run.probes))
    state.seconds += time.perf_counter() - began
    made = state.step - state.began
    left = state.seconds / made * (run.steps - state.step) if made else math.nan
    return Progress(state.step, run.steps, state.step / run.epoch_steps, *state.report, train, test, probes, left, state)


@torch.no_grad()
def score(model: nn.Module, loss: Callable, x: Tensor, y: Tensor, size: int = 0) -> Scores:
    """Mean loss and accuracy on the first `size` samples (0: all). loss: (output, target) -> (n,)."""
    size = min(size or len(x), len(x))
    total, right = 0.0, 0
    for at in range(0, size, CHUNK):
        part = slice(at, min(at + CHUNK, size))
        output = model(x[part])
        total += loss(output, y[part]).double().sum().item()
        if not y.is_floating_point():
            right += (output.argmax(1) == y[part]).sum().item()
    return Scores(total / size, math.nan if y.is_floating_point() else right / size)


def check_every(every) -> None:
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every = {every!r}; a frame every 1, 2, ... steps")


def _switches(given, epochs: int) -> tuple[tuple[int, Optimiser], ...]:
    """(epoch, optimiser) pairs with epochs ascending inside the training, or ValueError."""
    try:
        pairs = tuple((int(epoch), optimiser) for epoch, optimiser in given)
        whole = all(epoch == said and not isinstance(said, bool) for (epoch, _), (said, _) in zip(pairs, given, strict=True))
    except (TypeError, ValueError, OverflowError):
        pairs, whole = ((0, None),), False
    times = [0, *(epoch for epoch, _ in pairs), epochs]
    if not whole or any(a >= b for a, b in itertools.pairwise(times)) or not all(isinstance(optimiser, Optimiser) for _, optimiser in pairs):
        raise ValueError(
            f"switch = {given!r}; give pairs (epochs done before it, optimiser), such as ((5, SGD(lr=0.01)),), ascending from epoch 1 to {epochs - 1}"
        )
    return pairs


def _usable(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError, NotImplementedError) as error:
        said = next(iter(str(error).splitlines()), "")
        raise ValueError(f"device = {device!r} is not usable here ({said}); choose 'cpu'") from error
