"""L_n(w) of any `nn.Module` and loss: `module_target`, which chooses the fastest exact way to compute it."""

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from nets.linear_target import LinearTarget
from nets.losses import half_squares, mse, named, per_sample
from nets.stacked import StackedTarget, perceptron
from nets.targets import Samples, Target

KINDS = torch.float32, torch.float64
SQUARES = {mse: "mse", half_squares: "half_squares"}


class ModuleTarget(Samples):
    """L_B(w) = mean over the batch of loss(model_w(x), y), one chain after the other, or all at once by `torch.func.vmap`.

    moving and frozen: parameters by name; w in the order of moving. Measured on a CPU, vmap is slower than the loop for convolutions, which it
    turns into grouped ones, and at best equal for large products; it wins on a GPU.
    """

    def __init__(self, model: nn.Module, loss: Callable, x: Tensor, y: Tensor, moving: dict[str, Tensor], frozen: dict[str, Tensor], mapped: bool):
        self.model, self.loss, self.x, self.y, self.frozen, self.mapped = model, loss, x, y, frozen, mapped
        self._shapes = {name: value.shape for name, value in moving.items()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]
        self._slope = grad_and_value(self._one)
        self.n, self.star = len(x), torch.cat([value.detach().flatten() for value in moving.values()])

    def _one(self, w, x, y):
        parts = zip(self._shapes.items(), w.split(self._sizes), strict=True)
        parameters = {name: part.view(shape) for (name, shape), part in parts}
        return self.loss(functional_call(self.model, {**parameters, **self.frozen}, (x,)), y).mean()

    def _evaluate(self, w, x, y, shared, slope):
        axes = (0, None, None) if shared else 0
        if self.mapped:
            if not slope:
                with torch.no_grad():
                    return vmap(self._one, axes)(w, x, y), None
            out, losses = vmap(self._slope, axes)(w, x, y)
            return losses.detach(), out.detach()
        losses, out = w.new_empty(len(w)), torch.empty_like(w) if slope else None
        for c, row in enumerate(w):
            with torch.set_grad_enabled(slope):
                row = row.detach().requires_grad_(slope)
                loss = self._one(row, x if shared else x[c], y if shared else y[c])
                losses[c] = loss.detach()
            if slope:
                out[c] = torch.autograd.grad(loss, row)[0]
        return losses, out


def module_target(
    model: nn.Module, loss: Callable | str, x: Tensor, y: Tensor, only: Sequence[str] | None = None, device: str | torch.device = "cpu"
) -> Target:
    """The target of a model at its present weights w*, with data x (n, ...), y (n, ...).

    loss: (output, target) -> one value a sample, or their mean; or a name of `nets.losses`. only: the parameters that move, named as in
    `model.named_parameters()`, or whole submodules; the others stay frozen, and so do parameters with `requires_grad=False`. The model is
    copied and evaluated as `.eval()` does (no dropout, fixed batch statistics): a posterior needs one loss. Perceptrons are stacked, deep
    linear ones with a squared loss take their full-data path (`LinearTarget`), all else goes through autograd.
    """
    device = _device(device)
    loss = named(loss) if isinstance(loss, str) else loss
    moving, _ = split(model, only)
    x, y = (part.to(device) for part in samples(model, x, y))
    model = copy.deepcopy(model).eval().requires_grad_(False).to(device)
    every = dict(model.named_parameters())
    moving, frozen = {name: every[name] for name in moving}, {name: value for name, value in every.items() if name not in moving}
    with torch.no_grad():
        first = model(x[:2])
        loss = per_sample(loss, first, y) if isinstance(first, Tensor) else loss
        each = loss(first, y[:2])
    count = len(x[:2])
    if each.shape not in ((), (count,)):
        raise ValueError(f"loss(output, target) of {count} samples has shape {tuple(each.shape)}; give one value a sample, or their mean, ()")
    layers = perceptron(model) if each.shape else None
    if layers and loss in SQUARES and x.ndim == 2 and all(layer.phi is None and layer.bias is None for layer in layers):
        weights = [every[layer.weight] for layer in layers]
        still = [number for number, layer in enumerate(layers, 1) if layer.weight in frozen]
        return LinearTarget.of_data(weights, x, y, SQUARES[loss], still)
    if layers and first.ndim == 2:
        return StackedTarget(layers, loss, x, y, moving, frozen)
    return ModuleTarget(model, loss, x, y, moving, frozen, device.type != "cpu")


def samples(model: nn.Module, x, y) -> tuple[Tensor, Tensor]:
    """x and y as tensors, floats as the model's weights are; ValueError if they do not fit, or data or weights are no finite numbers."""
    x, y = _tensor("x", x), _tensor("y", y)
    if not x.ndim or not y.ndim or not len(x) or len(x) != len(y):
        raise ValueError(f"x and y have shapes {tuple(x.shape)} and {tuple(y.shape)}; give as many samples of both, at least one")
    for name, data in (("x", x), ("y", y)):
        if data.is_floating_point() and not bool(torch.isfinite(data).all()):
            raise ValueError(f"{name} holds NaN or infinity; give finite data")
    for name, value in model.named_parameters():
        if value.dtype not in KINDS:
            kind = str(value.dtype).removeprefix("torch.")
            raise ValueError(f"{name} is {kind}; chains need float32 or float64, in whose rounding their steps do not vanish: use model.float()")
        if not bool(torch.isfinite(value).all()):
            raise ValueError("the model's weights hold NaN or infinity; w* must be finite")
    kinds = {value.dtype for value in model.parameters()}
    if len(kinds) > 1:
        raise ValueError("the model has parameters of float32 and of float64; use model.float() or model.double()")
    kind = kinds.pop()
    return tuple(data.to(kind) if data.is_floating_point() else data for data in (x, y))


def _tensor(name: str, value) -> Tensor:
    if isinstance(value, (list, tuple)) and any(isinstance(part, Tensor) for part in value):
        text = f"{name} is a {type(value).__name__} of {len(value)} tensors"
        raise ValueError(f"{text}; give one tensor, samples along its first axis: stack them, or give a module that takes them apart")
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name} is a {type(value).__name__}; give a tensor or an array of numbers, samples along its first axis") from error


def split(model: nn.Module, only: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """Names of the parameters that move; and of those that were to, but stay, because they have requires_grad=False."""
    every = dict(model.named_parameters())
    if not every:
        raise ValueError("the model has no parameters; give one that has")
    keys = set(every)
    if only is not None:
        only = (only,) if isinstance(only, str) else tuple(only)
        chosen = {name: {key for key in every if key == name or key.startswith(f"{name}.")} for name in only}
        for name, found in chosen.items():
            if not found:
                raise ValueError(f"only: the model has no parameter {name!r}; choose among {', '.join(every)}")
        keys = set().union(*chosen.values())
        if not keys:
            raise ValueError(f"only = (): no parameter moves; name at least one of {', '.join(every)}")
    names = [name for name in every if name in keys]
    moving = [name for name in names if every[name].requires_grad]
    if not moving:
        raise ValueError(f"{', '.join(names)}: all have requires_grad=False, so no parameter moves; use model.requires_grad_()")
    return moving, [name for name in names if name not in moving]


def _device(device) -> torch.device:
    try:
        device = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device = {device!r}; choose 'cpu' or 'cuda'") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError("device = 'cuda', but torch sees no GPU here; choose 'cpu'")
    return device
