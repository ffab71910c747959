"""What moves in a training: the model, its optimiser's stepper, and the step reached; made new, or from what a checkpoint holds."""

import math
import time
from dataclasses import replace

import torch

from nets.data import permutation, seeded
from nets.losses import LOSSES
from nets.optimisers import Diverged, StepReport

STEPPER = 3  # first entry of a key, beside those of nets.data
NOTHING = StepReport(*[math.nan] * 5)


class Descent:
    """The moving state of `run`, a `nets.training.Training`.

    report: means (loss, norm, cosine), the least (smallest) and the last (rho) of what the steps since the last stop reported.
    train, test: (x, y) as the run's type, on its device. began: the step it was made at; seconds: used since then.
    """

    def __init__(self, run, content: dict | None = None, source: str = ""):
        self.run, self.loss = run, LOSSES[run.loss]
        tensors = run.data.load()
        self.train, self.test = (tuple(map(self._here, part)) for part in (tensors[:2], tensors[2:]))
        self.model = self._here(run.model.build(run.seed))
        self.epoch_steps = run.epoch_steps
        self.step, self.report, self.order = 0, NOTHING, (-1, None)
        self.stepper = self._start(0)
        _check_fit(self)
        if content is not None:
            self._restore(content, source)
        self.began, self.seconds = self.step, 0.0

    def _here(self, what):
        """A tensor or a module on the run's device; what is floating becomes of the run's type."""
        floating = isinstance(what, torch.nn.Module) or what.is_floating_point()
        return what.to(self.run.device, getattr(torch, self.run.dtype)) if floating else what.to(self.run.device)

    def _start(self, epoch: int):
        seed = seeded(STEPPER, self.run.seed, epoch).initial_seed()
        return self.run.optimisers(epoch)[-1][1].start(self.model, seed)

    def advance(self, stop: int) -> None:
        """Make the steps up to number `stop`. Raises Diverged, a ValueError, at a loss or an update that is not finite; that step is not made."""
        run, began, reports = self.run, time.perf_counter(), []
        x, y = self.train
        switches = {epoch for epoch, _ in run.switch}
        try:
            while self.step < stop:
                epoch, place = divmod(self.step, self.epoch_steps)
                if not place and epoch in switches:
                    self.stepper = self._start(epoch)
                if self.order[0] != epoch:
                    self.order = epoch, permutation(len(x), run.seed, epoch).to(run.device)
                batch = self.order[1][place * run.batch : (place + 1) * run.batch]
                reports.append(self.stepper.step(x[batch], y[batch], self.loss))
                self.step += 1
        except Diverged as error:
            raise Diverged(f"step {self.step} (epoch {epoch}) of {run.optimisers(epoch)[-1][1]!r}: {error}") from error
        finally:
            if reports:
                losses, norms, cosines, smallest, rhos = zip(*reports, strict=True)
                means = (math.fsum(values) / len(reports) for values in (losses, norms, cosines))
                self.report = StepReport(*means, min(smallest), rhos[-1])
            self.seconds += time.perf_counter() - began

    def content(self) -> dict:
        """All that a checkpoint must hold. Raises ValueError if a weight is not finite: that is nothing to go on from."""
        weights = self.model.state_dict()
        if not all(torch.isfinite(value).all() for value in weights.values()):
            raise ValueError(f"the weights at step {self.step} are not finite: this state is not saved; go on from an earlier checkpoint")
        return {
            "run": past(self.run, self.step),
            "step": self.step,
            "weights": weights,
            "stepper": self.stepper.state_dict(),
            "report": [float(value) for value in self.report],
        }

    def _restore(self, content: dict, source: str) -> None:
        """Take over what `content` made; ValueError if it belongs to a training with another past."""
        check_past(self.run, content, source)
        try:
            step = content["step"]
            self.model.load_state_dict(content["weights"])
            self.stepper = self._start(max(0, (step - 1) // self.epoch_steps))
            self.stepper.load_state_dict(content["stepper"])
            self.step, self.report = step, StepReport(*content["report"])
        except (KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ValueError(f"{source}: incomplete ({error}); take an older one, or start anew") from error


def past(run, step: int) -> dict[str, str]:
    """All of the run that its state after `step` steps depends on, as text."""
    data = run.data
    if hasattr(data, "download"):
        data = replace(data, root="", download=False)  # the same samples wherever they lie
    last = max(0, (step - 1) // run.epoch_steps)  # epoch of the last step made
    said = {"data": data, **{name: getattr(run, name) for name in ("model", "seed", "batch", "loss", "dtype")}, "optimiser": run.optimisers(last)}
    return {name: repr(value) for name, value in said.items()}


def check_past(run, content: dict, source: str) -> None:
    """ValueError unless `content` of a checkpoint is a state that this run, too, goes through."""
    try:
        step, theirs = content["step"], content["run"]
        for name, value in past(run, step).items():
            if theirs[name] != value:
                raise ValueError(f"{source}: its {name} is {theirs[name]}, and here {value}; resume the training that it was saved from")
    except (KeyError, TypeError) as error:
        raise ValueError(f"{source}: incomplete ({error}); take an older one, or start anew") from error
    if not 0 <= step <= run.steps:
        raise ValueError(f"{source}: of step {step}, beyond the {run.steps} of this training; choose more epochs")


def _check_fit(state: Descent) -> None:
    """ValueError, before anything is trained, if the model cannot read these data or the loss cannot compare its output with these labels."""
    run, (x, y) = state.run, state.train
    expected = tuple(run.model.shape)
    if math.prod(expected) != x[0].numel():
        there = tuple(x.shape[1:])
        raise ValueError(f"model = {run.model!r} reads inputs of shape {expected}, and {run.data!r} has {there}; choose a model of such inputs")
    if y.is_floating_point() == (run.loss == "cross_entropy"):
        kind, remedy = ("targets", "'mse' or 'half_squares'") if y.is_floating_point() else ("classes", "'cross_entropy'")
        raise ValueError(f"loss = {run.loss!r}, and the labels of {run.data!r} are {kind}; choose {remedy}")
    with torch.no_grad():
        try:
            output = state.model(x[:2])
            if not y.is_floating_point():
                most = max(int(labels.max()) for _, labels in (state.train, state.test))
                if output.shape[1:] != output.shape[1:2] or most >= output.shape[1]:
                    raise ValueError(f"its output has shape {tuple(output.shape[1:])}, and labels go up to {most}; give as many outputs as classes")
            state.loss(output, y[:2])
        except (ValueError, RuntimeError, IndexError) as error:
            raise ValueError(f"model = {run.model!r} does not fit {run.data!r}: {error}") from error
