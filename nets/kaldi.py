"""The online natural gradient of Kaldi, which "NGD converges to less degenerate solutions than SGD" calls NGD.

Povey, Zhang & Khudanpur 2015 (arXiv 1410.7455). Not the natural gradient of `FisherNGD` and `KFAC`: it whitens by a running covariance of
the *mini-batch's gradient* along each axis of each tensor, and gives the result the gradient's length, so its steps are as long as SGD's.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from landscapes.scale import Range
from nets.optimisers import Direction, Diverged, Lookahead, Momentum, Optimiser, Rate, Stepper

LOOK = 50  # steps between two looks at the eigenvalues of the preconditioner
FIRST = 10  # steps at the start that all update the statistics
LOST = 1e-9  # ratio of squares below which rows of R are made orthonormal anew, as Kaldi itself does
PERIOD = 4  # later, steps from one update to the next


@dataclass(frozen=True)
class OnlineNGD(Optimiser):
    """X <- X (I - W^T W) |X| / |X (I - W^T W)|, axis after axis,  W = E^(1/2) R,  e_i = 1/(beta/d_i + 1),  beta = rho (1 + alpha) + alpha sum(d)/D.

    X (N, D) is the gradient of one tensor with an axis of D > 1 entries last; R^T diag(d) R + rho I of rank R + identity follows its covariance
    X^T X / N, forgetting by 1 - eta. So F with smoothing, F + (alpha tr(F)/D) I, is inverted, up to a factor that the length takes away.
    Then momentum, as in `SGD`: in the paper Nesterov, 0.9.

    alpha -> infinity is SGD; eps -> infinity is not: d and rho start there and the subspace R is halved. Kaldi's own defaults: alpha = 4,
    eta = 0.1. The paper's: alpha = 0.01 or 0.1, eta = 0.9, eps = 1e-10, delta = 5e-4, all in float32 (paper_mode): R then loses its orthogonality and
    the preconditioner its positive definiteness. With statistics in float64 (default) both stay, and training is faster: MNIST, 2x256, alpha = 0.1,
    mean batch loss of epochs 1, 5, 20: 1.26, 0.033, 0.0014 (one seed); in paper_mode 1.4 to 1.6, 0.07 to 0.08, 0.013; published 1.523, 0.081, 0.0175.
    Report: least eigenvalue of the map before its rescaling, the least over tensors of the product over axes of the eigenvalues of I - W^T W, renewed
    every 50 steps, at most 1; rho is NaN, for every axis has its own.
    """

    lr: Rate = 0.01
    momentum: Momentum = 0.9
    nesterov: Lookahead = True
    alpha: Annotated[float, Range(0, 1e12, help="α: smoothing towards the identity, in units of tr(F)/D; α → ∞ gives SGD", shown=(0, 10))] = 0.1
    eta: Annotated[float, Range(1e-4, 0.999, help="η of the statistics: weight of the newest gradient's covariance", shown=(0.05, 0.95))] = 0.9
    eps: Annotated[float, Range(1e-30, 1e10, log=True, help="ε: least eigenvalue of F, and its start", shown=(1e-19, 1))] = 1e-10
    delta: Annotated[float, Range(0, 0.5, help="δ: least eigenvalue of F, as a share of the largest", shown=(0, 1e-2))] = 5e-4
    rank: Annotated[int, Range(1, 1000, help="largest rank R, at most (D + 1)/2", shown=(1, 80))] = 80
    paper_mode: Literal[True, False] = False

    def start(self, model, seed=0):
        return _Online(model, seed, self)


class Axis(NamedTuple):
    """What is remembered of one axis of one tensor: w (R, D), d (R,), rho ()."""

    w: Tensor
    d: Tensor
    rho: Tensor


def begin(dim: int, rule: OnlineNGD, like: Tensor) -> Axis:
    """d = rho = eps; R holds rows [1.1 I, I, I, ...] of unit length: no direction is preferred much."""
    rank = min((dim + 1) // 2, rule.rank)
    place = torch.arange(dim, device=like.device)
    r = torch.zeros(rank, dim, dtype=like.dtype, device=like.device)
    r[place % rank, place] = 1.0
    r[place[:rank], place[:rank]] = 1.1
    w = r / r.norm(dim=1, keepdim=True) / math.sqrt(2 + (dim + rank) * rule.alpha / dim)
    return Axis(w, w.new_full((rank,), rule.eps), w.new_tensor(rule.eps))


def updated(axis: Axis, x: Tensor, h: Tensor, rule: OnlineNGD) -> Axis:
    """The statistics after the gradient x (N, D), with h = x W^T (N, R): one step of subspace iteration on T = eta X^T X/N + (1 - eta) F.

    With F = R^T diag(d) R + rho I, Y = R T and Y Y^T = Z = U C U^T, R' = C^(-1/2) U^T Y has orthonormal rows and d' + rho' = sqrt C.
    The paper writes Z out with R R^T = I, so it inherits errors of R and of its terms; here Z = Y Y^T in float64 mends them.
    """
    rank, dim = axis.w.shape
    new, old = rule.eta / len(x), 1 - rule.eta
    total, root = axis.d + axis.rho, _roots(axis.d, axis.rho, dim, rule.alpha)
    j = (h.T @ x).to(axis.w.dtype)
    y = (new * j + (old * total)[:, None] * axis.w) / root[:, None]
    if rule.paper_mode:
        cross = (h.T @ h).to(axis.w.dtype) / torch.outer(root, root) * total
        z = new**2 * (j @ j.T) / torch.outer(root, root) + new * old * (cross + cross.T) + torch.diag(old**2 * total**2)
    else:
        z = y @ y.T
    c, u = torch.linalg.eigh(z)
    c, u = c.flip(0), u.flip(1)
    level = torch.maximum(c, (old * axis.rho) ** 2).sqrt()
    r = (u.T @ y) / level[:, None]
    if not rule.paper_mode and c[-1] < LOST * c[0]:  # from a gradient of low rank: the last rows are rounding, any orthonormal ones will do
        q, triangle = torch.linalg.qr(r.T)
        r = (q * torch.where(triangle.diagonal() < 0, -1.0, 1.0)).T
    square = torch.linalg.vector_norm(x, dtype=torch.promote_types(x.dtype, axis.w.dtype)).to(axis.w.dtype) ** 2
    rho = (new * square + old * (dim * axis.rho + axis.d.sum()) - level.sum()) / (dim - rank)
    floor = torch.clamp(rule.delta * level.max(), min=rule.eps)
    d, rho = torch.maximum(level - rho, floor), torch.maximum(rho, floor)
    return Axis(_roots(d, rho, dim, rule.alpha)[:, None] * r, d, rho)


def _roots(d: Tensor, rho: Tensor, dim: int, alpha: float) -> Tensor:
    """sqrt(e_i), (R,)."""
    beta = rho * (1 + alpha) + alpha * d.sum() / dim
    return (beta / d + 1).rsqrt()


class _Online(Stepper):
    def __init__(self, model, seed, rule: OnlineNGD):
        super().__init__(model, seed, rule.lr, rule.momentum, rule.nesterov)
        self.rule = rule
        first = self.parameters[0]
        self.exact = torch.float32 if rule.paper_mode else torch.float64
        like = torch.zeros((), dtype=self.exact, device=first.device)
        for index, p in enumerate(self.parameters):
            for axis, dim in enumerate(p.shape):
                if dim > 1:
                    self.memory |= {f"{index}.{axis}.{name}": value for name, value in begin(dim, rule, like)._asdict().items()}
        self.memory.update(t=0, least=math.nan)
        self.quick: dict[str, Tensor] = {}  # W in the parameters' type

    def axes(self, index: int) -> Iterator[tuple[str, int]]:
        return ((f"{index}.{axis}", axis) for axis, dim in enumerate(self.parameters[index].shape) if dim > 1)

    def direct(self, x, y, loss):
        value, gradient = self.gradient(x, y, loss)
        if not gradient.isfinite().all():  # keep the statistics, let `step` say so
            return Direction(value, gradient, gradient)
        try:
            direction = self.flat([self.whiten(index, g) for index, g in enumerate(self.split(gradient))])
        except torch.linalg.LinAlgError as error:  # of Z, in float32
            text = f"the statistics of the gradient have no eigenvalues any more ({error}); take paper_mode=False, or lr below {self.lr:g}"
            raise Diverged(text) from error
        if self.memory["t"] % LOOK == 0:
            self.memory["least"] = self.least()
        self.memory["t"] += 1
        return Direction(value, gradient, direction, self.memory["least"])

    def whiten(self, index: int, g: Tensor) -> Tensor:
        """The direction of one tensor from its gradient, both of its shape; updates the statistics where it is time."""
        for name, axis in self.axes(index):
            moved = g.movedim(axis, -1)
            x = moved.reshape(-1, moved.shape[-1])
            if self.memory["t"] == 0:
                for _ in range(3):
                    self.update(name, x, x @ self.subspace(name).T)
            w = self.subspace(name)
            h = x @ w.T
            white = torch.addmm(x, h, w, alpha=-1)
            length = white.norm()
            if self.memory["t"] < FIRST or self.memory["t"] % PERIOD == 0:
                self.update(name, x, h)
            g = (white * torch.where(length > 0, x.norm() / length, 1.0)).view(moved.shape).movedim(-1, axis)
        return g

    def subspace(self, name: str) -> Tensor:
        """W of this axis in the parameters' type."""
        if name not in self.quick:
            self.quick[name] = self.memory[f"{name}.w"].to(self.parameters[0].dtype)
        return self.quick[name]

    def update(self, name: str, x: Tensor, h: Tensor) -> None:
        if not x.any():  # nothing learnt; Z might underflow
            return
        now = Axis(*(self.memory[f"{name}.{part}"] for part in Axis._fields))
        self.memory |= {f"{name}.{part}": value for part, value in updated(now, x, h, self.rule)._asdict().items()}
        self.quick.pop(name, None)

    def least(self) -> float:
        """The least eigenvalue of the preconditioner, a Kronecker product over each tensor's axes: the least product of their extremes."""
        least = 1.0
        for index in range(len(self.parameters)):
            low = high = 1.0
            for name, _ in self.axes(index):
                w = self.memory[f"{name}.w"].double()
                inner = 1 - torch.linalg.eigvalsh(w @ w.T)
                ends = [end * inner[-1].item() for end in (low, high)], [end * max(inner[0].item(), 1.0) for end in (low, high)]
                low, high = min(map(min, ends)), max(map(max, ends))
            least = min(least, low)
        return least

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.quick.clear()
