"""L_n(w) of any `nn.Module` and loss: `module_target`."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from nets.targets import Target


class ModuleTarget(Target):
    """L_B(w) = mean over the batch of loss(model_w(x), y), chains mapped over by `torch.func.vmap`, or one after the other.

    The parameters of w in the order of `model.named_parameters()`; w* are those the model has now. The model is copied and set to evaluation
    (no dropout; batch statistics stay): a posterior needs one loss. `frozen` parameters stay at w*.
    """

    def __init__(self, model: nn.Module, loss: Callable, x: Tensor, y: Tensor, moving: dict[str, Tensor], frozen: dict[str, Tensor], stacked: bool):
        self.model, self.loss, self.x, self.y, self.frozen, self.stacked = model, loss, x, y, frozen, stacked
        self.shapes = {name: value.shape for name, value in moving.items()}
        self.n = len(x)
        self.star = torch.cat([value.detach().flatten() for value in moving.values()])
        self._sizes = [shape.numel() for shape in self.shapes.values()]
        self._slope = grad_and_value(self._one)

    def _one(self, w, x, y):
        parts = w.split(self._sizes)
        parameters = {name: part.view(shape) for (name, shape), part in zip(self.shapes.items(), parts, strict=True)}
        return self.loss(functional_call(self.model, {**parameters, **self.frozen}, (x,)), y).mean()

    def _map(self, function, w, index):
        if index is None:
            x, y, axes = self.x, self.y, (0, None, None)
        else:
            x, y, axes = self.x[index], self.y[index], (0, 0, 0)
        if self.stacked:
            return vmap(function, axes)(w, x, y)
        rows = [function(w[c], x if index is None else x[c], y if index is None else y[c]) for c in range(len(w))]
        return tuple(map(torch.stack, zip(*rows, strict=True))) if isinstance(rows[0], tuple) else torch.stack(rows)

    def losses(self, w, index=None):
        with torch.no_grad():
            return self._map(self._one, w, index)

    def gradients(self, w, index=None):
        gradients, losses = self._map(self._slope, w, index)
        return losses.detach(), gradients


def module_target(
    model: nn.Module, loss: Callable, x: Tensor, y: Tensor, only: Sequence[str] | None = None, device: str | torch.device = "cpu"
) -> Target:
    """The target of model and data x (n, ...), y (n, ...); loss: (output, target) -> one value a sample, or their mean; or a name of `nets.losses`.

    only: names of the parameters that move, as in `model.named_parameters()`, or of submodules; the others stay frozen.
    """
    import copy

    from nets.losses import named

    loss = named(loss) if isinstance(loss, str) else loss
    x, y = torch.as_tensor(x), torch.as_tensor(y)
    if not len(x) or len(x) != len(y):
        raise ValueError(f"x and y have {len(x)} and {len(y)} samples; give as many of both, at least one")
    if x.is_floating_point() and not bool(torch.isfinite(x).all()) or y.is_floating_point() and not bool(torch.isfinite(y).all()):
        raise ValueError("x or y hold NaN or infinity; give finite data")
    model = copy.deepcopy(model).eval().requires_grad_(False).to(device)
    every = dict(model.named_parameters())
    moving = every if only is None else {name: value for name, value in every.items() if any(name == o or name.startswith(o + ".") for o in only)}
    for name in only or ():
        if not any(key == name or key.startswith(name + ".") for key in every):
            raise ValueError(f"only: the model has no parameter {name!r}; choose among {', '.join(every)}")
    if not moving:
        raise ValueError("only = (): no parameter moves; name at least one")
    frozen = {name: value for name, value in every.items() if name not in moving}
    return ModuleTarget(model, loss, x.to(device), y.to(device), moving, frozen, True)
