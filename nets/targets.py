"""L_n(w): the loss that chains walk on, for many chains at once, w (C, D).

A `Target` knows its n samples, its point of interest w* and the gradient of its loss, on the full data or on a batch of each chain's own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor


class Target(ABC):
    """L_n(w) = (1/n) sum_i l_i(w), nats per sample. n: samples; star (D,): w*, whose dtype and device are those of the chains."""

    n: int
    star: Tensor

    @property
    def dim(self) -> int:
        return self.star.numel()

    @abstractmethod
    def losses(self, w: Tensor, index: Tensor | None = None) -> Tensor:
        """L(w_c) of w (C, D) -> (C,); on the samples index (C, B) of each chain, or on all."""

    @abstractmethod
    def gradients(self, w: Tensor, index: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(losses (C,), gradients (C, D)), as `losses`; the gradients are the caller's to overwrite."""


class Samples(Target):
    """L_B(w) of n samples in memory, x (n, ...) and y (n, ...); passes over all of them go in pieces, so that memory does not grow with n."""

    x: Tensor
    y: Tensor
    piece = 4096  # samples at once

    @abstractmethod
    def _evaluate(self, w: Tensor, x: Tensor, y: Tensor, shared: bool, slope: bool) -> tuple[Tensor, Tensor | None]:
        """(losses (C,), gradients (C, D) if `slope`) on x (B, ...) of all chains if `shared`, else on each chain's own x (C, B, ...)."""

    def _all(self, w, index, slope):
        if index is not None:
            return self._evaluate(w, self.x[index], self.y[index], False, slope)
        if self.n <= self.piece:
            return self._evaluate(w, self.x, self.y, True, slope)
        losses, gradients = w.new_zeros(len(w)), torch.zeros_like(w) if slope else None
        for x, y in zip(self.x.split(self.piece), self.y.split(self.piece), strict=True):
            part, g = self._evaluate(w, x, y, True, slope)
            losses.add_(part, alpha=len(x) / self.n)
            if slope:
                gradients.add_(g, alpha=len(x) / self.n)
        return losses, gradients

    def losses(self, w, index=None):
        return self._all(w, index, False)[0]

    def gradients(self, w, index=None):
        return self._all(w, index, True)


class Potential(Target):
    """L(w) = function(w): any differentiable function of w (C, D) -> (C,), each value of its own row only; no samples, so no batches.

    n only sets the default n beta. gradient: (C, D) -> (C, D), by autograd unless given.
    """

    def __init__(self, function: Callable, star: Tensor, n: int = 1000, gradient: Callable | None = None):
        self.function, self.star, self.n, self.gradient = function, point(star), count_of(n), gradient

    def losses(self, w, index=None):
        no_batches(self, index)
        with torch.no_grad():
            return self.function(w)

    def gradients(self, w, index=None):
        no_batches(self, index)
        if self.gradient is not None:
            return self.function(w).clone(), self.gradient(w).clone()  # they may be parts of w itself, or kept; samplers write to both
        with torch.enable_grad():
            w = w.detach().requires_grad_()
            losses = self.function(w)
            return losses.detach().clone(), torch.autograd.grad(losses.sum(), w)[0]


def point(star) -> Tensor:
    """A copy of w*, checked: one vector of finite floats."""
    star = torch.as_tensor(star).detach().clone().contiguous()
    if star.ndim != 1 or not star.numel() or not star.is_floating_point() or not bool(torch.isfinite(star).all()):
        raise ValueError(f"star has shape {tuple(star.shape)} and type {star.dtype}; give a vector of at least one finite float, the point w*")
    return star


def count_of(n) -> int:
    """n, checked: the number of samples."""
    if n != n or n < 1 or n != int(n):
        raise ValueError(f"n = {n!r}; give the number of samples, an integer of at least 1")
    return int(n)


def no_batches(target: Target, index) -> None:
    """Refuse a batch."""
    if index is not None:
        raise ValueError(f"{type(target).__name__} has no samples to draw batches from; use batch=0 (the full data)")
