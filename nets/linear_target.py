"""L(w) = |(W - B) X^T|^2 / (n outputs) + floor, W = W_L ... W_1: deep linear networks through matrices no larger than their layers.

The full data enter through S = X^T X / n alone, exactly, at a cost free of n; so does a batch that is larger than the inputs are many.
"""

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nets.targets import Target, count_of, no_batches, point

SCALES = {"mse": lambda outputs: 1 / outputs, "half_squares": lambda outputs: 0.5}
IN_PLACE = 10_000  # entries from which a layer's gradients are written to their place at once; smaller ones of several chains are faster copied there
REALISABLE = 1e-12  # share of |y|^2 that no linear map explains, below which it is rounding


class LinearTarget(Target):
    """The squared loss of y = W_L ... W_1 x, weights W_l (H_l, H_(l-1)) for all l: w holds those that move, row by row, in order.

    weights: the point w*. gram: S (H_0, H_0), the identity unless given. best: the best linear map B (H_L, H_0), W at w* unless given
    (realisable data); floor: the loss that no linear map removes. loss "mse": mean over outputs of the squared difference;
    "half_squares": half its sum. frozen: numbers l = 1 ... L of layers that stay. Batches need the samples: `of_data`.
    Source: "LLC at scale" (2024) for the model and mse.
    """

    def __init__(
        self,
        weights: Sequence[Tensor],
        gram: Tensor | None = None,
        n: int = 100_000,
        best: Tensor | None = None,
        floor: float = 0.0,
        loss: str = "mse",
        frozen: Sequence[int] = (),
    ):
        self._weights = [torch.as_tensor(weight).detach().clone() for weight in weights]
        shapes = [tuple(weight.shape) for weight in self._weights]
        if not shapes or any(len(shape) != 2 for shape in shapes) or any(b[1] != a[0] for a, b in itertools.pairwise(shapes)):
            raise ValueError(f"weights have shapes {shapes}; give matrices W_1, ..., W_L, each of which takes what the one before gives")
        self._moves = [layer not in frozen for layer in range(1, len(shapes) + 1)]
        if not any(self._moves) or any(not 1 <= layer <= len(shapes) for layer in frozen):
            raise ValueError(f"frozen = {tuple(frozen)}; give layers among 1 ... {len(shapes)}, not all of them")
        if loss not in SCALES:
            raise ValueError(f"loss = {loss!r}; choose one of {', '.join(map(repr, SCALES))}")
        self.star = point(torch.cat([weight.flatten() for weight, moves in zip(self._weights, self._moves, strict=True) if moves]))
        self._weights = [weight.to(self.star) for weight in self._weights]
        self._sizes = [math.prod(shape) for shape, moves in zip(shapes, self._moves, strict=True) if moves]
        inputs, outputs = shapes[0][1], shapes[-1][0]
        self.n, self.floor, self.scale = count_of(n), float(floor), SCALES[loss](outputs)
        self.gram = _matrix("gram", torch.eye(inputs) if gram is None else gram, (inputs, inputs), self.star)
        self.best = _matrix("best", self.product(self.star[None])[0] if best is None else best, (outputs, inputs), self.star)
        self._x = self._y = self._rest = None

    @classmethod
    def of_data(cls, weights: Sequence[Tensor], x: Tensor, y: Tensor, loss: str = "mse", frozen: Sequence[int] = ()) -> "LinearTarget":
        """The target of n samples x (n, H_0), y (n, H_L), with batches: S, the least-squares map B and its residual are computed in float64."""
        x, y = torch.as_tensor(x), torch.as_tensor(y)
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
            raise ValueError(f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}; give (n, inputs) and (n, outputs) with n of at least 1")
        gram, cross = x.double().mT @ x.double() / len(x), y.double().mT @ x.double() / len(x)
        best = cross @ torch.linalg.pinv(gram, hermitian=True)
        rest = y.double() - x.double() @ best.mT
        realisable = float(rest.square().sum()) <= REALISABLE * float(y.double().square().sum())
        target = cls(weights, gram, len(x), best, 0.0, loss, frozen)
        target.floor = 0.0 if realisable else target.scale * float(rest.square().sum()) / len(x)
        target._x, target._y, target._rest = x.to(target.star), y.to(target.star), None if realisable else rest.to(target.star)
        return target

    def matrices(self, w: Tensor) -> list[Tensor]:
        """W_1, ..., W_L of each chain, (C, H_l, H_(l-1)), views of w (C, D)."""
        parts = iter(w.split(self._sizes, 1))
        return [
            next(parts).unflatten(1, star.shape) if moves else star.expand(len(w), -1, -1)
            for star, moves in zip(self._weights, self._moves, strict=True)
        ]

    def product(self, w: Tensor) -> Tensor:
        """W_L ... W_1 of w (C, D) -> (C, H_L, H_0)."""
        product, *rest = self.matrices(w)
        for weight in rest:
            product = weight @ product
        return product

    def losses(self, w, index=None):
        return self._sweep(w, index, None)

    def gradients(self, w, index=None):
        out = torch.empty_like(w)
        return self._sweep(w, index, out), out

    def _sweep(self, w, index, out):
        """Losses (C,); the gradient by backpropagation into out (C, D) unless that is None."""
        if index is not None and self._x is None:
            no_batches(self, index)
        samples = index is not None and index.shape[1] <= self._x.shape[1]  # fewer columns to multiply than directions of x
        weights = self.matrices(w)
        x = self._x[index] if index is not None else None
        below = [x.mT if samples else None]  # below[l] = W_l ... W_1 x, or W_l ... W_1 itself
        for weight in weights:
            below.append(weight if below[-1] is None else weight @ below[-1])
        if samples:
            slope = below[-1].sub_(self._y[index].mT)
            losses = slope.square().sum((1, 2)).mul_(self.scale / index.shape[1])
            slope.mul_(2 * self.scale / index.shape[1])
        else:
            losses, slope = self._error(below[-1], x, index)
        if out is not None:
            parts = self.matrices(out)
            for layer in range(len(weights) - 1, -1, -1):  # dL/dW_l = (W_L ... W_(l+1))^T slope below_(l-1)^T
                if self._moves[layer]:
                    if below[layer] is None:
                        parts[layer].copy_(slope)
                    elif parts[layer][0].numel() < IN_PLACE:
                        parts[layer].copy_(slope @ below[layer].mT)
                    else:
                        torch.bmm(slope, below[layer].mT, out=parts[layer])
                if layer:
                    slope = weights[layer].mT @ slope
        return losses

    def _error(self, product, x, index):
        """Losses, and dL/dW (C, H_L, H_0), of W = product: the residual y - B x is orthogonal to the full data's x, not to a batch's."""
        away = product - self.best
        if index is None:
            slope = away @ self.gram
            return (away * slope).sum((1, 2)).mul_(self.scale).add_(self.floor), slope.mul_(2 * self.scale)
        b = index.shape[1]
        slope = away @ (x.mT @ x).div_(b)
        if self._rest is None:
            return (away * slope).sum((1, 2)).mul_(self.scale), slope.mul_(2 * self.scale)
        rest = self._rest[index]
        cross = (rest.mT @ x).div_(b)
        losses = (away * (slope - 2 * cross)).sum((1, 2)).add_(rest.square().sum((1, 2)), alpha=1 / b).mul_(self.scale)
        return losses, slope.sub_(cross).mul_(2 * self.scale)


def _matrix(name: str, value, shape: tuple[int, int], like: Tensor) -> Tensor:
    value = torch.as_tensor(value).detach().to(like)
    if value.shape != shape or not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} has shape {tuple(value.shape)}; give finite numbers of shape {shape}")
    return value
