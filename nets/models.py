"""f(x, w): the networks and toys as values; `build(seed)` makes the `nn.Module` with its weights drawn from that seed alone."""

import abc
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from landscapes.scale import Range, check

WIDEST, DEEPEST = 100_000, 200
ACTIVATIONS: dict[str, type[nn.Module] | None] = {"relu": nn.ReLU, "tanh": nn.Tanh, "linear": None}

Width = Annotated[int, Range(1, WIDEST, log=True, help="units", shown=(1, 1000))]
Classes = Annotated[int, Range(1, 100_000, log=True, help="outputs", shown=(2, 100))]


class Model(abc.ABC):
    """A function of x and weights. Subclasses are frozen dataclasses."""

    def __post_init__(self):
        check(self)

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of one input x."""

    @abc.abstractmethod
    def module(self, device: str) -> nn.Module:
        """Its layers on this device, their weights not yet drawn."""

    def draw(self, module: nn.Module, generator: torch.Generator) -> None:
        """Fill all weights: as torch does by default, every weight and bias uniform on +-1/sqrt(fan-in), layer by layer."""
        for layer in module.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
                if layer.bias is not None:
                    bound = layer.weight[0].numel() ** -0.5
                    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)

    def build(self, seed: int = 0) -> nn.Module:
        """The module in float32 on the CPU; equal values and seeds give equal weights, and torch's global generator is left alone."""
        module = self.module("meta").to_empty(device="cpu")  # on "meta" layers draw nothing
        with torch.no_grad():
            self.draw(module, torch.Generator().manual_seed(seed))
        return module

    @property
    def size(self) -> int:
        """D, the number of weights."""
        return sum(parameter.numel() for parameter in self.module("meta").parameters())


def _widths(owner: Model, least: int = 2) -> None:
    """Check the field `widths`, and make it a tuple of ints."""
    try:
        given = tuple(owner.widths)
        good = least <= len(given) <= DEEPEST and all(not isinstance(w, bool) and w == int(w) and 1 <= w <= WIDEST for w in given)
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ValueError(
            f"{type(owner).__name__}: widths = {owner.widths!r}; give {least} to {DEEPEST} whole numbers from 1 to {WIDEST:,}: inputs, ..., outputs"
        )
    object.__setattr__(owner, "widths", tuple(int(w) for w in given))


@dataclass(frozen=True)
class MLP(Model):
    """W_L phi(... phi(W_1 x + b_1) ...) + b_L. It flattens what it is given: pictures are as good as vectors.

    Weights as torch draws them by default after `torch.manual_seed(seed)`. 784-256-256-10 has 269,322.
    """

    widths: tuple[int, ...] = (64, 128, 128, 10)
    activation: Literal["relu", "tanh", "linear"] = "relu"
    bias: bool = True

    def __post_init__(self):
        super().__post_init__()
        _widths(self)

    @property
    def shape(self):
        return self.widths[:1]

    def module(self, device):
        layers, phi = [nn.Flatten()], ACTIVATIONS[self.activation]
        for i, (fan_in, fan_out) in enumerate(zip(self.widths[:-1], self.widths[1:], strict=True)):
            if i and phi:
                layers.append(phi())
            layers.append(nn.Linear(fan_in, fan_out, self.bias, device=device))
        return nn.Sequential(*layers)


@dataclass(frozen=True)
class LeNet5(Model):
    """conv 1-6 (5x5), ReLU, pool, conv 6-16 (5x5), ReLU, pool, 256-120-84-10: 44,426 weights, for 28 x 28 pictures; as in arXiv 2409.04913."""

    @property
    def shape(self):
        return (1, 28, 28)

    def module(self, device):
        stages = (nn.Conv2d(1, 6, 5, device=device), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5, device=device), nn.ReLU(), nn.MaxPool2d(2))
        head = (nn.Flatten(), nn.Linear(256, 120, device=device), nn.ReLU(), nn.Linear(120, 84, device=device), nn.ReLU())
        return nn.Sequential(*stages, *head, nn.Linear(84, 10, device=device))


@dataclass(frozen=True)
class SmallCNN(Model):
    """A 3x3 convolution, ReLU and a halving pool for each entry of `channels`, then one linear layer.

    The defaults are for CIFAR-10 (66,570 weights); `SmallCNN(channels=(8, 16), colours=1, side=8)` reads digits.
    """

    channels: tuple[int, ...] = (32, 64, 64)
    colours: Annotated[int, Range(1, 1000, help="channels of the picture", shown=(1, 3))] = 3
    side: Annotated[int, Range(1, 1024, unit="pixels", help="height and width of the picture", shown=(8, 32))] = 32
    classes: Classes = 10

    def __post_init__(self):
        super().__post_init__()
        try:
            channels = tuple(int(c) for c in self.channels)
        except (TypeError, ValueError, OverflowError):
            channels = ()
        if not channels or channels != tuple(self.channels) or not all(1 <= c <= 4096 for c in channels) or self.side >> len(channels) < 1:
            raise ValueError(
                f"SmallCNN: channels = {self.channels!r}; give one to {max(self.side.bit_length() - 1, 0)} whole numbers from 1 to 4096: "
                f"each halves the side of {self.side} pixels"
            )
        object.__setattr__(self, "channels", channels)

    @property
    def shape(self):
        return (self.colours, self.side, self.side)

    def module(self, device):
        layers, before = [], self.colours
        for after in self.channels:
            layers += [nn.Conv2d(before, after, 3, padding=1, device=device), nn.ReLU(), nn.MaxPool2d(2)]
            before = after
        left = self.side >> len(self.channels)
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * left * left, self.classes, device=device))


@dataclass(frozen=True)
class DeepCNN(Model):
    """conv 1-32, ReLU, pool, `hidden` times (conv 32-32, ReLU), conv 32-64, ReLU, pool, (64 side^2/16)-128-10, all convolutions 3 x 3.

    486,378 weights for 28 x 28 pictures. The network of arXiv 2409.04913's notebook on phase transitions: so deep that its loss rests at
    log 10 before it learns anything.
    """

    hidden: Annotated[int, Range(0, 100, unit="layers", help="convolutions between the two pools", shown=(0, 10))] = 7
    side: Annotated[int, Range(4, 1024, unit="pixels", help="height and width of the picture", shown=(8, 32))] = 28

    @property
    def shape(self):
        return (1, self.side, self.side)

    def module(self, device):
        def convolution(before, after):
            return nn.Conv2d(before, after, 3, padding=1, device=device), nn.ReLU()

        inner = (layer for _ in range(self.hidden) for layer in convolution(32, 32))
        stages = (*convolution(1, 32), nn.MaxPool2d(2), *inner, *convolution(32, 64), nn.MaxPool2d(2))
        head = (nn.Flatten(), nn.Linear(64 * (self.side // 4) ** 2, 128, device=device), nn.ReLU(), nn.Linear(128, 10, device=device))
        return nn.Sequential(*stages, *head)


@dataclass(frozen=True)
class DLN(Model):
    """W_L ... W_1 x, no biases. Weights are normal, cut at two standard deviations, with sd 1/sqrt(fan-in), or `deviation` where it is given.

    `ranks` (one a matrix, or none): W_l keeps so many of its largest singular values, the others become zero (to rounding in float32).
    `truncated(seed)` draws these ranks as Table 1 of "LLC at scale" does.
    """

    widths: tuple[int, ...] = (10, 20, 20, 10)
    ranks: tuple[int, ...] = ()
    deviation: Annotated[float, Range(0, 1e3, help="standard deviation of the first weights; 0: 1/sqrt(fan-in)", shown=(0, 1))] = 0.0

    def __post_init__(self):
        super().__post_init__()
        _widths(self)
        pairs = list(zip(self.widths[:-1], self.widths[1:], strict=True))
        try:
            ranks = tuple(int(rank) for rank in self.ranks)
            good = ranks == tuple(self.ranks) and len(ranks) in (0, len(pairs)) and all(0 <= r <= min(p) for r, p in zip(ranks, pairs, strict=False))
        except (TypeError, ValueError, OverflowError):
            good = False
        if not good:
            raise ValueError(f"DLN: ranks = {self.ranks!r}; give none, or {len(pairs)} whole numbers from 0 to {tuple(map(min, pairs))}")
        object.__setattr__(self, "ranks", ranks)

    @property
    def shape(self):
        return self.widths[:1]

    def module(self, device):
        return nn.Sequential(*(nn.Linear(a, b, bias=False, device=device) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)))

    def draw(self, module, generator):
        for layer, rank in zip(module, self.ranks or (None,) * len(module), strict=True):
            deviation = self.deviation or layer.in_features**-0.5
            nn.init.trunc_normal_(layer.weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator)
            if rank is not None:
                layer.weight.copy_(cut(layer.weight, rank))

    def truncated(self, seed: int) -> "DLN":
        """The same network with the ranks of Table 1: with probability 1/2 a matrix of rank R loses U{0, ..., R - 1} of it."""
        random = np.random.default_rng(seed)
        full = (min(pair) for pair in zip(self.widths[:-1], self.widths[1:], strict=True))
        return DLN(self.widths, tuple(rank - (int(random.integers(rank)) if random.random() < 0.5 else 0) for rank in full), self.deviation)


def cut(matrix: Tensor, rank: int) -> Tensor:
    """The nearest matrix of this rank: all but the largest singular values become zero (computed in float64)."""
    u, s, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    return ((u[:, :rank] * s[:rank]) @ v[:rank]).to(matrix.dtype)


@dataclass(frozen=True)
class ReducedRank(Model):
    """B A x, A (hidden, inputs), B (outputs, hidden): reduced-rank regression, the deep linear network of two layers (Aoyagi & Watanabe 2005)."""

    inputs: Width = 5
    hidden: Width = 3
    outputs: Width = 5

    @property
    def linear(self) -> DLN:
        """The same network as a deep linear one."""
        return DLN((self.inputs, self.hidden, self.outputs))

    @property
    def shape(self):
        return (self.inputs,)

    def module(self, device):
        return self.linear.module(device)

    def draw(self, module, generator):
        self.linear.draw(module, generator)


class _Squares(nn.Module):
    """The last step of `MinimallySingular`: w (dim,) -> its outputs."""

    def __init__(self, dim: int, rank: int, toy: str, device: str):
        super().__init__()
        self.w = nn.Parameter(torch.empty(dim, device=device))
        self.rank, self.toy = rank, toy

    def forward(self, x: Tensor) -> Tensor:
        used = self.w[: self.rank]
        return x * (used if self.toy == "r/2" else used.square().sum())


@dataclass(frozen=True)
class MinimallySingular(Model):
    """Toy "r/4": f = x sum_{i<=r} w_i^2; toy "r/2": f = (x w_1, ..., x w_r). x is one number, w has `dim` >= r entries, the others do nothing.

    On labels y = 0 + noise and a squared loss K is proportional to (sum w_i^2)^2 and to sum w_i^2: lambda = r/4 and r/2, both with m = 1.
    The first is the notebook's model of arXiv 2409.04913; its claim of r/2 for it comes from a loss that is not squared.
    Weights start normal with variance 1.
    """

    dim: Annotated[int, Range(1, 10_000, help="weights", shown=(1, 100))] = 10
    rank: Annotated[int, Range(1, 10_000, help="r: weights that matter", shown=(1, 100))] = 5
    toy: Literal["r/4", "r/2"] = "r/4"

    def __post_init__(self):
        super().__post_init__()
        if self.rank > self.dim:
            raise ValueError(f"MinimallySingular: rank = {self.rank} of dim = {self.dim} weights; choose at most {self.dim}")

    @property
    def learning_coefficient(self) -> Fraction:
        """Exact lambda at w = 0 on data with slope 0 and a squared loss."""
        return Fraction(self.rank, 4 if self.toy == "r/4" else 2)

    @property
    def shape(self):
        return (1,)

    def module(self, device):
        return _Squares(self.dim, self.rank, self.toy, device)

    def draw(self, module, generator):
        module.w.normal_(generator=generator)


@dataclass(frozen=True)
class DuplicatedReLU(Model):
    """W_2 relu(W_1 x + b_1) + b_2 with hidden units 1, 2, 3, 4, 5 and 8 equal to unit 0, and (W_1, b_1) times alpha, W_2 over alpha.

    The function, and so every learning coefficient, is the same for all alpha: the rescaling experiment of "LLC at scale". Weights are
    normal, cut at two standard deviations, sd 1/sqrt(fan-in); b_1 ~ N(0, 1), b_2 = 0. A copy has the input weights and the bias of unit 0.
    """

    widths: tuple[int, ...] = (10, 20, 10)
    alpha: Annotated[float, Range(1e-6, 1e6, log=True, help="hidden weights times alpha, output weights over alpha", shown=(1e-4, 1e4))] = 1.0

    COPIES: ClassVar[tuple] = (1, 2, 3, 4, 5, 8)

    def __post_init__(self):
        super().__post_init__()
        _widths(self, 3)
        if len(self.widths) != 3 or self.widths[1] <= max(self.COPIES):
            raise ValueError(f"DuplicatedReLU: widths = {self.widths}; give (inputs, hidden > {max(self.COPIES)}, outputs)")

    @property
    def shape(self):
        return self.widths[:1]

    def module(self, device):
        inputs, hidden, outputs = self.widths
        return nn.Sequential(nn.Linear(inputs, hidden, device=device), nn.ReLU(), nn.Linear(hidden, outputs, device=device))

    def draw(self, module, generator):
        first, _, last = module
        for layer in (first, last):
            deviation = layer.in_features**-0.5
            nn.init.trunc_normal_(layer.weight, 0.0, deviation, -2 * deviation, 2 * deviation, generator=generator)
        first.bias.normal_(generator=generator)
        last.bias.zero_()
        first.weight[list(self.COPIES)], first.bias[list(self.COPIES)] = first.weight[0].clone(), first.bias[0].clone()
        first.weight.mul_(self.alpha)
        first.bias.mul_(self.alpha)
        last.weight.div_(self.alpha)


MODELS: dict[str, type[Model]] = {cls.__name__: cls for cls in (MLP, LeNet5, SmallCNN, DeepCNN, DLN, ReducedRank, MinimallySingular, DuplicatedReLU)}

__all__ = [*MODELS, "MODELS", "Model", "cut"]
