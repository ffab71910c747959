"""A user's model, loss and data, tried on some samples before anything runs: can the loss be computed, and what is it a mean of?"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nets.health import Finding

TRIED = 8  # samples, from the first to the last


def tried(model: nn.Module, loss: Callable, x: Tensor, y: Tensor) -> tuple[Finding, ...]:
    """What should be known beforehand. Raises ValueError, saying what to change, unless loss(model(x), y) in eval mode is one number for the same
    samples, differentiable by the weights, and of each sample or their plain mean. The model is left as it is."""
    some = torch.linspace(0, len(x) - 1, min(len(x), TRIED), dtype=torch.float64).round().long()
    place = next(iter(model.parameters())).device
    x, y = x[some].to(place), y[some].to(place)
    model = copy.deepcopy(model).eval()
    try:
        with torch.enable_grad():
            output = model(x)
            value = loss(output, y)
        with torch.no_grad():
            again = loss(model(x), y)
            twice = loss(model(torch.cat([x, x])), torch.cat([y, y]))  # of any kind of output
    except Exception as error:
        text = f"the loss of model(x) for x of shape {tuple(x.shape)} and y of shape {tuple(y.shape)} cannot be computed: {error}"
        raise ValueError(text) from error
    if not isinstance(value, Tensor) or tuple(value.shape) not in ((), (len(x),)):
        shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"loss(output, target) of {len(x)} samples has shape {shape}; give one value a sample, ({len(x)},), or their mean, ()")
    if not value.requires_grad:
        raise ValueError("loss(output, target) has no gradient by the weights; compute it from the output by torch, without detach() or no_grad()")
    if not torch.allclose(again, value.detach(), rtol=1e-3, equal_nan=True):
        text = "the same samples have another loss each time, though model.eval() was called"
        raise ValueError(f"{text}; a posterior needs one loss: make dropout and other noise depend on self.training")
    _reached(model, loss, x, y, output, value)
    value = value.detach()
    if not value.ndim:
        _plain_mean(loss, output, y, value, twice)
    if not isinstance(output, Tensor):
        return ()
    output = output.detach()
    width = output[0].numel()
    if width > 1 and output.shape == y.shape and y.is_floating_point():
        with torch.no_grad():
            wide = loss(torch.cat([output + 1, output + 1], 1), torch.cat([y, y], 1)).mean()
            if torch.isclose(wide, loss(output + 1, y).mean(), rtol=1e-4):
                text = f"the loss is a mean over {width} outputs, so n beta is {width} times smaller than for their sum (nats: half_squares)"
                return (Finding("note", "mean over outputs", text),)
    return ()


def _reached(model: nn.Module, loss: Callable, x: Tensor, y: Tensor, output, value: Tensor) -> None:
    """Refuse parameters that forward() finds elsewhere than under their names, in a list say: chains give other values to the names."""
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    other = {name: parameter.detach().clone().requires_grad_() for name, parameter in own.items()}
    swapped = functional_call(model, other, (x,))
    if isinstance(output, Tensor) and output.requires_grad:  # its loss may be 0, and have no gradient
        weight = torch.linspace(0.5, 1.5, output.numel(), dtype=output.dtype, device=output.device).view_as(output)
        value, there = (output * weight).sum(), (swapped * weight).sum()
    else:
        value, there = value.mean(), loss(swapped, y).mean()
    slopes = torch.autograd.grad(value, list(own.values()), allow_unused=True, retain_graph=True)
    others = torch.autograd.grad(there, list(other.values()), allow_unused=True) if there.requires_grad else [None] * len(own)
    for name, slope, found in zip(own, slopes, others, strict=True):
        if slope is not None and not torch.allclose(
            slope, torch.zeros_like(slope) if found is None else found, rtol=1e-2, atol=1e-4 * slope.abs().max()
        ):
            text = f"forward() uses {name} by another way than its name, so it would stay as it is while chains move"
            raise ValueError(f"{text}; keep parameters as attributes, or in nn.ParameterList or nn.ModuleList, not in a plain list")


def _plain_mean(loss: Callable, output, y: Tensor, value: Tensor, twice: Tensor) -> None:
    """Refuse sums over samples, and means that weight them: passes over many samples go in pieces, and chains see batches."""
    single = None
    if isinstance(output, Tensor) and output.ndim and len(output) == len(y) > 1:
        output, y = output.detach(), y.roll(1, 0)  # wrong targets: the loss need not be 0, where nothing can be told
        with torch.no_grad():
            value, twice = loss(output, y), loss(torch.cat([output, output]), torch.cat([y, y]))
            single = torch.stack([loss(output[i : i + 1], y[i : i + 1]) for i in range(len(y))]).mean()
    if value and not torch.isclose(twice, value, rtol=1e-3, equal_nan=True):
        raise ValueError("loss(output, target) is a sum over samples (it doubles with them); give their mean, or one value a sample")
    if single is not None and not torch.isclose(single, value, rtol=1e-3, atol=1e-8, equal_nan=True):
        text = f"loss(output, target) of {len(y)} samples is {value:.4g}, but their own losses have the mean {single:.4g} (weights? ignored labels?)"
        raise ValueError(f"{text}; give one value a sample, as reduction='none' does")
