"""w <- w - eta d, v <- mu v + d: what every optimiser of networks shares, SGD and Adam; each natural gradient has its own file.

An `Optimiser` is a frozen value; `start(model, seed)` gives a `Stepper`, which holds what is remembered between steps, moves the model's
parameters in place and reports each step. A stepper continues bit for bit from its `state_dict()` and the model's.
"""

import abc
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor, nn

from landscapes.scale import Range, check

Rate = Annotated[float, Range(1e-8, 1e4, log=True, help="η: the length of a step is η times the direction", shown=(1e-4, 1))]
Momentum = Annotated[float, Range(0, 0.999, help="μ: how much of the last step is kept; the effective rate is η/(1 − μ)", shown=(0, 0.99))]
Alpha = Annotated[float, Range(0, 1e6, help="α: ρ is at least α tr(F)/D; α → ∞ gives SGD of rate ∝ 1/tr F", shown=(0, 10))]
Epsilon = Annotated[float, Range(1e-12, 1e8, log=True, help="ε: least damping ρ; where it dominates this is SGD of rate η/ε", shown=(1e-6, 10))]
Lookahead = Literal[True, False]  # Nesterov's momentum or the plain one


class StepReport(NamedTuple):
    """One step as it was made.

    loss: of the batch before the step, nats per sample. norm: length of the update. cosine: between the direction (before momentum) and
    the gradient, both downhill or neither; NaN where one is zero. smallest: least eigenvalue of the preconditioner P in d = P g, NaN for
    none (see each optimiser for how often it is renewed). rho: the damping that was used, NaN for none.
    """

    loss: float
    norm: float
    cosine: float
    smallest: float
    rho: float


class Direction(NamedTuple):
    """What a batch says: loss (), gradient (D,), direction (D,) to walk against, least eigenvalue of the preconditioner, damping."""

    loss: Tensor
    gradient: Tensor
    direction: Tensor
    smallest: float = math.nan
    rho: float = math.nan


class Diverged(ValueError):
    """A loss or an update that is not finite; the model's parameters are left as they were before the step."""


class Stepper(abc.ABC):
    """An optimiser at work on one model: D parameters in the order of `model.parameters()`, flattened into vectors (D,).

    memory: everything that is remembered between steps, tensors and numbers, its keys and shapes fixed from the start.
    generator: the stepper's own random stream, by the seed.
    """

    def __init__(self, model: nn.Module, seed: int, lr: float, momentum: float = 0.0, nesterov: bool = False):
        self.model, self.lr, self.momentum, self.nesterov = model, lr, momentum, nesterov
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        if not self.parameters:
            raise ValueError(f"{type(model).__name__} has no parameter that requires a gradient; unfreeze one")
        first = self.parameters[0]
        if any(p.dtype != first.dtype or p.device != first.device for p in self.parameters):
            raise ValueError("the model's parameters differ in dtype or device; bring them to one, as in model.to('cpu', torch.float32)")
        self.sizes = [p.numel() for p in self.parameters]
        self.generator = torch.Generator(first.device).manual_seed(seed)
        self.memory: dict[str, Tensor | float | int] = {}
        if momentum:
            self.memory["velocity"] = self.zeros()

    def zeros(self) -> Tensor:
        """A vector (D,) of the parameters' type and place."""
        first = self.parameters[0]
        return torch.zeros(sum(self.sizes), dtype=first.dtype, device=first.device)

    def flat(self, tensors) -> Tensor:
        """One tensor a parameter -> (D,)."""
        return torch.cat([t.reshape(-1) for t in tensors])

    def split(self, vector: Tensor) -> list[Tensor]:
        """(D,) -> one tensor a parameter, views of the vector."""
        return [part.view_as(p) for part, p in zip(vector.split(self.sizes), self.parameters, strict=True)]

    def gradient(self, x: Tensor, y: Tensor, loss: Callable) -> tuple[Tensor, Tensor]:
        """L () and grad L (D,) of the batch."""
        return self.differentiated(loss(self.model(x), y))

    def differentiated(self, losses: Tensor) -> tuple[Tensor, Tensor]:
        """L () and grad L (D,) from losses that depend on the parameters, (n,) or (). Diverged, before anything is remembered, if L is not finite."""
        value = losses.mean()
        if not math.isfinite(value.item()):
            raise Diverged(f"loss = {value.item():g}: not finite; check the data, or choose a learning rate below {self.lr:g}")
        return value.detach(), self.flat(torch.autograd.grad(value, self.parameters, retain_graph=True, materialize_grads=True))

    @abc.abstractmethod
    def direct(self, x: Tensor, y: Tensor, loss: Callable) -> Direction:
        """The direction of this batch, before momentum; may update `memory`."""

    def step(self, x: Tensor, y: Tensor, loss: Callable) -> StepReport:
        """One step on the batch x (n, ...), y (n, ...). loss: (output, target) -> (n,) or its mean; natural gradients of the model's own
        labels need a function of `nets.losses.LOSSES` itself. Diverged (a ValueError) where the loss or the update is not finite."""
        if len(x) == 0:
            raise ValueError("the batch is empty; give at least 1 sample")
        found = self.direct(x, y, loss)
        update = found.direction
        if self.momentum:
            update = self.memory["velocity"].mul_(self.momentum).add_(found.direction)
            if self.nesterov:
                update = found.direction.add(update, alpha=self.momentum)
        value, norm, cosine = found.loss.item(), self.lr * update.norm().item(), 1.0
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise Diverged(
                f"loss = {value:g}, length of the update = {norm:g}: not finite; check the data, or choose a learning rate below {self.lr:g}"
            )
        if found.direction is not found.gradient:
            cosine = _cosine(found.direction, found.gradient)
        with torch.no_grad():
            for p, part in zip(self.parameters, self.split(update), strict=True):
                p.add_(part, alpha=-self.lr)
        return StepReport(value, norm, cosine, found.smallest, found.rho)

    def state_dict(self) -> dict:
        """All that is remembered, copied: plain tensors and numbers, which `torch.load(weights_only=True)` reads."""
        copied = {name: value.clone() if isinstance(value, Tensor) else value for name, value in self.memory.items()}
        return {**copied, "generator": self.generator.get_state()}

    def load_state_dict(self, state: dict) -> None:
        """Go on from a `state_dict()`; ValueError, and nothing changed, if it is one of another optimiser or model."""
        mine = self.state_dict()
        strange = sorted(set(mine) ^ set(state)) or [name for name in mine if _kind(mine[name]) != _kind(state[name])]
        if strange:
            raise ValueError(
                f"this state is of another optimiser or model: {', '.join(strange[:4])} do not match; start with the one it was saved from"
            )
        for name, value in self.memory.items():
            if isinstance(value, Tensor):
                value.copy_(state[name])
            else:
                self.memory[name] = state[name]
        self.generator.set_state(state["generator"].cpu())


def _cosine(a: Tensor, b: Tensor) -> float:
    lengths = a.norm().item() * b.norm().item()
    return max(-1.0, min(1.0, (a @ b).item() / lengths)) if lengths else math.nan  # sums in float32 may pass 1


def _kind(value):
    return (value.shape, value.dtype) if isinstance(value, Tensor) else type(value)


class Optimiser(abc.ABC):
    """One way to train. Subclasses are frozen dataclasses of hyperparameters with their equation."""

    def __post_init__(self):
        check(self)

    @abc.abstractmethod
    def start(self, model: nn.Module, seed: int = 0) -> Stepper:
        """A stepper that moves this model's parameters in place; `seed` is of its own randomness, if it has any."""


@dataclass(frozen=True)
class SGD(Optimiser):
    """v <- mu v + g,  w <- w - eta v;  Nesterov: w <- w - eta (g + mu v).

    As torch.optim.SGD without dampening, bit for bit. The preconditioner is the identity.
    """

    lr: Rate = 0.01
    momentum: Momentum = 0.0
    nesterov: Lookahead = False

    def start(self, model, seed=0):
        return _SGD(model, seed, self.lr, self.momentum, self.nesterov)


class _SGD(Stepper):
    def direct(self, x, y, loss):
        value, gradient = self.gradient(x, y, loss)
        return Direction(value, gradient, gradient)


@dataclass(frozen=True)
class Adam(Optimiser):
    """m <- b1 m + (1 - b1) g,  v <- b2 v + (1 - b2) g^2,  w <- w - eta m_hat / (sqrt(v_hat) + eps),  m_hat = m/(1 - b1^t), v_hat = v/(1 - b2^t).

    Kingma & Ba 2015 (arXiv 1412.6980), as torch.optim.Adam. The reported direction is m_hat / (sqrt(v_hat) + eps), so its cosine with the
    gradient includes Adam's own momentum; the preconditioner is the diagonal 1/(sqrt(v_hat) + eps).
    """

    lr: Rate = 1e-3
    b1: Annotated[float, Range(0, 0.9999, help="β₁: memory of the gradient", shown=(0, 0.99))] = 0.9
    b2: Annotated[float, Range(0, 0.99999, help="β₂: memory of the squared gradient", shown=(0.9, 0.9999))] = 0.999
    eps: Annotated[float, Range(1e-16, 1e3, log=True, help="ε: added to √v̂; a large one gives SGD", shown=(1e-10, 1))] = 1e-8

    def start(self, model, seed=0):
        return _Adam(model, seed, self.lr, self)


class _Adam(Stepper):
    def __init__(self, model, seed, lr, rule: Adam):
        super().__init__(model, seed, lr)
        self.rule = rule
        self.memory.update(t=0, m=self.zeros(), v=self.zeros())

    def direct(self, x, y, loss):
        value, g = self.gradient(x, y, loss)
        b1, b2, memory = self.rule.b1, self.rule.b2, self.memory
        memory["t"] += 1
        memory["m"].lerp_(g, 1 - b1)
        memory["v"].mul_(b2).addcmul_(g, g, value=1 - b2)
        scale = (memory["v"].sqrt() / math.sqrt(1 - b2 ** memory["t"])).add_(self.rule.eps)
        return Direction(value, g, memory["m"] / (1 - b1 ** memory["t"]) / scale, 1 / scale.max().item())
