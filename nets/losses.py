"""L(w) = mean over samples of -log p(y | f(x, w)) + const: the losses by name, each with the distribution of labels that it assumes.

Each loss maps (output, target) -> (n,), one value a sample, in nats where it is a -log p; `.mean()` of it is the loss that is trained on.
`scores` knows the labels' distribution p(y | output), which the Fisher matrix averages over.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    """-log softmax(output)_target; output (n, classes), target (n,) int64 -> (n,) nats."""
    return functional.cross_entropy(output, target, reduction="none")


def mse(output: Tensor, target: Tensor) -> Tensor:
    """Mean over outputs of (f - y)^2, no 1/2 -> (n,). As -log p it stands for labels of variance (outputs)/2 around f, "LLC at scale" (2024)."""
    return _difference(output, target).square().mean(1)


def half_squares(output: Tensor, target: Tensor) -> Tensor:
    """|f - y|^2 / 2 -> (n,) nats: labels are N(f, 1), up to a constant."""
    return 0.5 * _difference(output, target).square().sum(1)


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": mse, "half_squares": half_squares}


def _difference(output: Tensor, target: Tensor) -> Tensor:
    if output.shape != target.shape:  # (n, 1) - (n,) would broadcast to (n, n)
        raise ValueError(f"target has shape {tuple(target.shape)}, the model's output {tuple(output.shape)}; give targets of the output's shape")
    return (output - target).reshape(len(output), -1)


def named(name: str) -> Loss:
    """The loss of this name, or ValueError."""
    if name not in LOSSES:
        raise ValueError(f"loss = {name!r}; choose one of {', '.join(map(repr, LOSSES))}")
    return LOSSES[name]


def per_sample(loss: Callable, output: Tensor, target: Tensor) -> Callable:
    """The loss of this module that `loss`, a mean of torch, is the mean of; else `loss` as it is. ValueError for labels that are no classes."""
    kind = type(loss)
    plain = kind in (nn.CrossEntropyLoss, nn.MSELoss) and vars(loss) | {"training": True} == vars(kind())
    if loss in (cross_entropy, functional.cross_entropy) or (plain and kind is nn.CrossEntropyLoss):
        if output.ndim != 2 or target.ndim != 1 or target.is_floating_point():
            return soft if loss is cross_entropy else loss  # targets are distributions, or there are several a sample
        wrong = target[(target < 0) | (target >= output.shape[1])]
        if len(wrong):
            count = output.shape[1]
            raise ValueError(f"y holds the label {int(wrong[0])}, and the model has {count} classes; give labels 0 ... {count - 1}")
        return cross_entropy
    return mse if loss is functional.mse_loss or plain else loss


def soft(output: Tensor, target: Tensor) -> Tensor:
    """-sum_k target_k log softmax(output)_k; output and target (n, classes) -> (n,) nats."""
    return functional.cross_entropy(output, target, reduction="none")


def drawn(loss: Loss, output: Tensor, generator: torch.Generator) -> Tensor:
    """s_i = grad_f loss(f_i, y_i) at labels drawn from the model, y_i ~ p(. | f_i): output (n, k) -> (n, k). E[s s^T] is `root`'s square."""
    if loss is cross_entropy:
        p = output.softmax(1)
        labels = torch.multinomial(p, 1, generator=generator)
        return p.scatter_add(1, labels, p.new_full(labels.shape, -1.0))
    noise = torch.randn(output.shape, generator=generator, dtype=output.dtype, device=output.device)
    return noise * _curvature(loss, output) ** 0.5


def root(loss: Loss, output: Tensor) -> Tensor:
    """S_i with S_i S_i^T = grad_f^2 loss(f_i), the Fisher matrix of the labels given the output: output (n, k) -> (n, k, k), columns.

    cross_entropy: diag p - p p^T = S S^T with S = diag(sqrt p) - p sqrt(p)^T.
    """
    if loss is cross_entropy:
        p = output.softmax(1)
        return torch.diag_embed(p.sqrt()) - p[:, :, None] * p.sqrt()[:, None, :]
    eye = torch.eye(output.shape[1], dtype=output.dtype, device=output.device)
    return (_curvature(loss, output) ** 0.5 * eye).expand(len(output), -1, -1)


def _curvature(loss: Loss, output: Tensor) -> float:
    """Second derivative of a squared loss by each output."""
    if loss is half_squares:
        return 1.0
    if loss is mse:
        return 2.0 / output.shape[1]
    raise ValueError(f"loss = {loss!r} names no distribution of labels; give a function of nets.losses.LOSSES, or fisher='empirical'")
