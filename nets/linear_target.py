"""L(w) = tr((W - B) S (W - B)^T) / outputs + floor, W = W_L ... W_1: a deep linear network's full-data loss, exact, at a cost free of n."""

import math

import torch
from torch import Tensor

from nets.targets import Target, _count, _no_batches


class LinearTarget(Target):
    """The squared loss of y = W_L ... W_1 x over n samples, through S = X^T X / n alone; no batches (there is nothing to draw them from).

    weights: W_1 (H_1, H_0), ..., W_L (H_L, H_(L-1)), the point w*, stacked into w in this order, row by row. gram: S (H_0, H_0), the identity
    unless given; best: the best linear map B, W_L ... W_1 at w* unless given (realisable data); floor: the loss that no linear map removes.
    loss "mse": mean over outputs of the squared difference; "half_squares": half their sum. Source: "LLC at scale" (2024), section 4, for mse.
    """

    def __init__(self, weights, gram: Tensor | None = None, n: int = 100_000, best: Tensor | None = None, floor: float = 0.0, loss: str = "mse"):
        weights = [torch.as_tensor(weight).detach() for weight in weights]
        if (
            not weights
            or any(weight.ndim != 2 for weight in weights)
            or any(b.shape[1] != a.shape[0] for a, b in zip(weights, weights[1:], strict=False))
        ):
            raise ValueError(
                f"weights have shapes {[tuple(w.shape) for w in weights]}; give matrices W_1, ..., W_L of which each takes what the one before gives"
            )
        self.shapes = [tuple(weight.shape) for weight in weights]
        self.star = torch.cat([weight.flatten() for weight in weights])
        inputs, outputs = self.shapes[0][1], self.shapes[-1][0]
        self.n, self.floor = _count(n), float(floor)
        self.gram = (torch.eye(inputs) if gram is None else torch.as_tensor(gram)).to(self.star)
        if self.gram.shape != (inputs, inputs):
            raise ValueError(f"gram has shape {tuple(self.gram.shape)}; give S = X^T X / n, ({inputs}, {inputs})")
        self.best = (self.product(self.star[None])[0] if best is None else torch.as_tensor(best)).to(self.star)
        if self.best.shape != (outputs, inputs):
            raise ValueError(f"best has shape {tuple(self.best.shape)}; give a map ({outputs}, {inputs})")
        scales = {"mse": 1 / outputs, "half_squares": 0.5}
        if loss not in scales:
            raise ValueError(f"loss = {loss!r}; choose one of {', '.join(map(repr, scales))}")
        self.scale = scales[loss]
        if not all(bool(torch.isfinite(part).all()) for part in (self.star, self.gram, self.best)):
            raise ValueError("the weights, gram or best hold NaN or infinity; give finite numbers")

    @classmethod
    def of_data(cls, weights, x: Tensor, y: Tensor, loss: str = "mse") -> "LinearTarget":
        """The target of n samples x (n, H_0), y (n, H_L): S, the least-squares map B and its residual, in float64."""
        x, y = torch.as_tensor(x).double(), torch.as_tensor(y).double()
        if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not len(x):
            raise ValueError(f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}; give (n, inputs) and (n, outputs) with n of at least 1")
        best = torch.linalg.lstsq(x, y, driver="gelsd").solution.T if x.device.type == "cpu" else (torch.linalg.pinv(x) @ y).T
        scale = 1 / y.shape[1] if loss == "mse" else 0.5
        floor = scale * float((y - x @ best.T).square().sum()) / len(x)
        return cls(weights, x.T @ x / len(x), len(x), best, floor, loss)

    def matrices(self, w: Tensor) -> list[Tensor]:
        """W_1, ..., W_L of each chain, (C, H_l, H_(l-1)), views of w (C, D)."""
        parts = w.split([math.prod(shape) for shape in self.shapes], 1)
        return [part.unflatten(1, shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def product(self, w: Tensor) -> Tensor:
        """W_L ... W_1 of w (C, D) -> (C, H_L, H_0)."""
        first, *rest = self.matrices(w)
        for weight in rest:
            first = weight @ first
        return first

    def losses(self, w, index=None):
        _no_batches(self, index)
        return self._error(self.product(w))[0]

    def _error(self, product):
        difference = product - self.best
        slope = difference @ self.gram
        return self.scale * (difference * slope).sum((1, 2)) + self.floor, slope

    def gradients(self, w, index=None):
        _no_batches(self, index)
        weights = self.matrices(w)
        below = [None, weights[0]]  # below[l] = W_l ... W_1
        for weight in weights[1:]:
            below.append(weight @ below[-1])
        losses, slope = self._error(below[-1])
        slope = slope.mul_(2 * self.scale)
        out = torch.empty_like(w)
        parts = self.matrices(out)
        for layer in range(len(weights) - 1, 0, -1):  # dL/dW_l = (W_L ... W_(l+1))^T (dL/dW) (W_(l-1) ... W_1)^T
            parts[layer].copy_(slope @ below[layer].mT)
            slope = weights[layer].mT @ slope
        parts[0].copy_(slope)
        return losses, out
