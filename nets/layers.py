"""grad_W l_i = sum_t d_it a_it^T, grad_b l_i = sum_t d_it: each sample's gradient from a layer's inputs a and its output gradients d.

t runs over the places where a layer's weights are used: once in a plain linear layer, once a pixel in a convolution. So U, whose rows
are gradients of samples, and which may have millions of columns, need not be formed: the products with it, and its Gram matrix
U U^T = sum over layers (A A^T + 1) * (D D^T) elementwise, follow from A (n, in) and D (n, out).
"""

import abc
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from nets.losses import Loss, drawn, root


class Layer(NamedTuple):
    """A linear layer or a convolution, and where its weight and bias lie in the flat vector (D,)."""

    module: nn.Linear | nn.Conv2d
    weight: slice
    bias: slice | None


def layers(model: nn.Module) -> list[Layer] | None:
    """The layers that hold all parameters that move, or None if some belong to anything else (or to two layers)."""
    place, at = {}, 0
    for p in model.parameters():
        if p.requires_grad:
            place[p] = slice(at, at + p.numel())
            at += p.numel()
    found, seen = [], 0
    for module in model.modules():
        own = [place[p] for p in module.parameters(recurse=False) if p in place]
        if own:
            if len(own) < len(list(module.parameters(recurse=False))) or not _known(module):
                return None
            found.append(Layer(module, *own, *([None] if len(own) == 1 else [])))
            seen += len(own)
    return found if seen == len(place) else None


def _known(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear


class Pass(NamedTuple):
    """One pass forward through the model: its output, and of each layer input and output."""

    output: Tensor
    inputs: list[Tensor]
    outputs: list[Tensor]


def forward(model: nn.Module, layers: Sequence[Layer], x: Tensor) -> Pass:
    """The pass at x, to be differentiated. ValueError if a layer is used twice or not at all."""
    inputs, outputs = [[] for _ in layers], [[] for _ in layers]

    def keep(index):
        def hook(module, given, made):
            inputs[index].append(given[0].detach())
            outputs[index].append(made)

        return hook

    handles = [layer.module.register_forward_hook(keep(index)) for index, layer in enumerate(layers)]
    try:
        output = model(x)
    finally:
        for handle in handles:
            handle.remove()
    if any(len(calls) != 1 for calls in inputs):
        raise ValueError("a layer is used twice, or not at all, in one pass of the model; use each layer once, or take SGD, Adam or OnlineNGD")
    return Pass(output, [a for (a,) in inputs], [z for (z,) in outputs])


def scores(fisher: str, loss: Loss, output: Tensor, y: Tensor, generator: torch.Generator) -> Tensor:
    """Vectors s_ik by each sample's output with F = (1/n) sum_ik (J_i^T s_ik)(J_i^T s_ik)^T: output (n, c) -> (k, n, c), constants.

    "sampled": k = 1, the gradient of the loss at a label drawn from the model, so F is the true Fisher matrix's unbiased estimate.
    "true": k = c, the expectation over all labels. "empirical": k = 1, at the data's labels y; not a Fisher matrix where the model is wrong.
    """
    if fisher == "empirical":
        free = output.detach().requires_grad_()
        value = loss(free, y)
        total = value.sum() if value.ndim else value * len(free)
        return torch.autograd.grad(total, free)[0][None]
    if fisher == "sampled":
        return drawn(loss, output.detach(), generator)[None]
    return root(loss, output.detach()).permute(2, 0, 1)


def backward(trace: Pass, scores: Tensor) -> list[Tensor]:
    """Of each layer, the gradients by its output of <s_ik, f_i>: scores (k, n, c) -> tensors (k, n, ...) of the outputs' shapes."""
    found = [torch.autograd.grad(trace.output, trace.outputs, s, retain_graph=True, materialize_grads=True) for s in scores]
    return [torch.stack(parts) if len(parts) > 1 else parts[0][None] for parts in zip(*found, strict=True)]


def spread(layer: Layer, a: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
    """Inputs (n, ...), output gradients (k, n, ...) -> (n, t, in) and (k, n, t, out), with the places t along an axis; in as in weight.flatten(1)."""
    module = layer.module
    if isinstance(module, nn.Linear):
        return a.reshape(len(a), -1, module.in_features), d.reshape(*d.shape[:2], -1, module.out_features)
    patches = functional.unfold(a, module.kernel_size, module.dilation, module.padding, module.stride)
    return patches.transpose(1, 2), d.flatten(3).transpose(2, 3)


class Block(abc.ABC):
    """The columns of U that belong to some of the parameters: U is (rows, D), one row a sample and score."""

    @abc.abstractmethod
    def gram(self) -> Tensor:
        """U U^T of these columns, (rows, rows), float64: rounded to float32 it would have eigenvalues below 0."""

    @abc.abstractmethod
    def times(self, v: Tensor) -> Tensor:
        """U v, (D,) -> (rows,), of these columns."""

    @abc.abstractmethod
    def back(self, c: Tensor, into: Tensor) -> None:
        """U^T c, (rows,) -> (D,), written to these parameters' places in `into`."""

    @abc.abstractmethod
    def write(self, into: Tensor) -> None:
        """These columns of U, written to their places in `into` (rows, D)."""


class Formed(Block):
    """Columns that are formed: u (rows, p) at `place`."""

    def __init__(self, u: Tensor, place: slice):
        self.u, self.place = u, place

    def gram(self):
        u = self.u.double()
        return u @ u.T

    def times(self, v):
        return self.u @ v[self.place]

    def back(self, c, into):
        into[self.place] = c @ self.u

    def write(self, into):
        into[:, self.place] = self.u


class Outer(Block):
    """A linear layer's columns, row (k, i): d_ki a_i^T and d_ki, never formed: a (n, in), d (k, n, out)."""

    def __init__(self, layer: Layer, a: Tensor, d: Tensor):
        self.layer, self.a, self.d = layer, a, d

    def gram(self):
        k, n, _ = self.d.shape
        flat, a = self.d.reshape(k * n, -1).double(), self.a.double()
        inputs = a @ a.T
        if self.layer.bias:
            inputs = inputs + 1
        return ((flat @ flat.T).view(k, n, k, n) * inputs[:, None, :]).view(k * n, k * n)

    def times(self, v):
        weight = v[self.layer.weight].view(self.d.shape[2], -1)
        found = ((self.d @ weight) * self.a).sum(2)
        if self.layer.bias:
            found = found + self.d @ v[self.layer.bias]
        return found.reshape(-1)

    def back(self, c, into):
        weighted = (c.view(self.d.shape[:2])[:, :, None] * self.d).sum(0)
        into[self.layer.weight] = (weighted.T @ self.a).reshape(-1)
        if self.layer.bias:
            into[self.layer.bias] = weighted.sum(0)

    def write(self, into):
        into[:, self.layer.weight] = (self.d[..., :, None] * self.a[:, None, :]).flatten(2).flatten(0, 1)
        if self.layer.bias:
            into[:, self.layer.bias] = self.d.flatten(0, 1)


def blocks(layers: Sequence[Layer], trace: Pass, scores: Tensor) -> list[Block]:
    """The columns of U, layer by layer: outer products where a layer is used at one place, formed ones where at many."""
    found = []
    for layer, a, d in zip(layers, trace.inputs, backward(trace, scores), strict=True):
        a, d = spread(layer, a, d)
        if a.shape[1] == 1:
            found.append(Outer(layer, a[:, 0], d[:, :, 0]))
        else:
            found.append(Formed(torch.einsum("knto,nti->knoi", d, a).flatten(2).flatten(0, 1), layer.weight))
            if layer.bias:
                found.append(Formed(d.sum(2).flatten(0, 1), layer.bias))
    return found


def formed(model: nn.Module, x: Tensor, scores: Tensor) -> list[Block]:
    """The same for a model of any parts, by a gradient a sample: memory rows x D."""
    parameters = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}

    def scored(parameters, x, s):
        return (functional_call(model, parameters, (x[None],))[0] * s).sum()

    rows = [vmap(grad(scored), (None, 0, 0))(parameters, x, s) for s in scores]
    u = torch.cat([torch.cat([part.flatten(1) for part in row.values()], 1) for row in rows])
    return [Formed(u, slice(0, u.shape[1]))]
