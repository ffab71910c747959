"""(x_i, y_i), i = 1..n, held in memory: real images, and data drawn from a law that is known exactly."""

import abc
import functools
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from landscapes.scale import Range, Text, check
from nets import vision
from nets.models import DLN, Model

Size = Annotated[int, Range(0, 10_000_000, unit="samples", help="training samples that are used: the first so many; 0 = all", shown=(0, 60_000))]
TestSize = Annotated[int, Range(0, 10_000_000, unit="samples", help="test samples that are used: the first so many; 0 = all", shown=(0, 10_000))]
Drawn = Annotated[int, Range(1, 10_000_000, log=True, unit="samples", help="samples that are drawn", shown=(100, 100_000))]
Seed = Annotated[int, Range(0, 2**31 - 1, help="seed of the data set", shown=(0, 99))]
Noise = Annotated[float, Range(0, 1e3, help="standard deviation of the labels' noise", shown=(0, 2))]
Bound = Annotated[float, Range(0, 1e4, help="inputs are uniform on [-bound, bound] in every direction; 0: normal with variance 1", shown=(0, 10))]
Root = Annotated[str, Text(1000, help="folder of the data; empty: $LAMBDASCAPE_DATA, else ~/.cache/lambdascape")]

SAMPLES, ORDER = 1, 2  # first entry of a key: a data set and the order of its samples have different streams under one seed


class Tensors(NamedTuple):
    """x (n, ...) float32; y (n,) int64 classes or (n, outputs) float32 targets; the same for the test set. Not to be written to."""

    x: Tensor
    y: Tensor
    x_test: Tensor
    y_test: Tensor


class Data(abc.ABC):
    """A data set as a value. Subclasses are frozen dataclasses."""

    def __post_init__(self):
        check(self)

    def load(self) -> Tensors:
        """The samples, the same tensors for equal values (the last few are kept).

        Raises ValueError with the remedy if they are missing, damaged, empty or not finite.
        """
        return _load(self)

    @abc.abstractmethod
    def read(self) -> Tensors:
        """The samples, made anew."""


@functools.lru_cache(maxsize=4)
def _load(data: Data) -> Tensors:
    return checked(data.read(), repr(data))


def checked(tensors: Tensors, name: str) -> Tensors:
    """The same tensors, or ValueError: empty, of different lengths, not finite, or not of the types that `Tensors` says."""
    for part, x, y in (("training", tensors.x, tensors.y), ("test", tensors.x_test, tensors.y_test)):
        if not len(x) or len(x) != len(y):
            raise ValueError(f"{name}: {len(x):,} {part} inputs and {len(y):,} labels; give at least one, and one label an input")
        for kind, values in (("inputs", x), ("labels", y)):
            if values.is_floating_point() and not torch.isfinite(values).all():
                bad = int((~torch.isfinite(values.flatten(1) if values.ndim > 1 else values[:, None])).any(1).sum())
                raise ValueError(f"{name}: {bad:,} of {len(x):,} {part} {kind} are NaN or infinite; remove those samples")
        if not y.is_floating_point() and (y.ndim != 1 or y.min() < 0):
            raise ValueError(f"{name}: {part} labels of shape {tuple(y.shape)} down to {int(y.min())}; classes are one integer 0, 1, ... a sample")
    return tensors


def seeded(*key: int) -> torch.Generator:
    """A generator of its own for each tuple of integers (zeros at its end do not count), so that no stream depends on what was drawn before it."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))


def permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order in which epoch 0, 1, ... visits the samples, (n,) int64; batches are slices of it, the last one may be short."""
    return torch.randperm(n, generator=seeded(ORDER, seed, epoch))


def root(given: str = "") -> Path:
    """Where data files lie: the folder given, else $LAMBDASCAPE_DATA, else the user's cache folder."""
    return Path(given or os.environ.get("LAMBDASCAPE_DATA") or Path.home() / ".cache" / "lambdascape").expanduser()


def _first(x, y, x_test, y_test, size: int, test: int, name: str) -> Tensors:
    for field, asked, there in (("size", size, len(x)), ("test", test, len(x_test))):
        if asked > there:
            raise ValueError(f"{name}: {field} = {asked:,}; there are {there:,} such samples: give at most that, or 0 for all of them")
    size, test = size or len(x), test or len(x_test)
    return Tensors(x[:size], y[:size], x_test[:test], y_test[:test])


# Real images


@dataclass(frozen=True)
class Digits(Data):
    """1,797 real 8 x 8 digits, ten classes, bundled with scikit-learn: works offline. x (n, 1, 8, 8), mean 0 and variance 1 over all pixels.

    The data set comes sorted by writer, so it is shuffled once, always in the same way; the last 360 are the test set.
    """

    size: Size = 0
    test: TestSize = 0

    HELD_OUT: ClassVar[int] = 360

    def read(self) -> Tensors:
        from sklearn.datasets import load_digits

        digits = load_digits()
        order = permutation(len(digits.target), 0, 0)
        x = ((torch.tensor(digits.images) / 16 - 0.3053) / 0.3760).float()[order, None]
        y = torch.tensor(digits.target, dtype=torch.int64)[order]
        cut = len(x) - self.HELD_OUT
        return _first(x[:cut], y[:cut], x[cut:], y[cut:], self.size, self.test, repr(self))


class _Downloaded(Data):
    """Images that torchvision knows: read from `root`, fetched only if `download` says so."""

    size: int
    test: int
    root: str
    download: bool

    NORMAL: ClassVar[tuple]  # mean and standard deviation of the pixels (0 ... 1) that are taken off: a number, or one a channel

    def read(self) -> Tensors:
        name, folder = type(self).__name__, root(self.root)
        fetch = getattr(vision.datasets(), name)
        try:
            parts = [fetch(str(folder), train=train, download=self.download) for train in (True, False)]
        except (RuntimeError, OSError, ValueError, EOFError, AssertionError) as error:  # whatever a missing file, a network or a short file raises
            said = next(iter(str(error).splitlines()), "incomplete file")
            raise ValueError(
                f"{self!r}: no usable {name} in {folder} ({type(error).__name__}: {said}); "
                f"give root=, set LAMBDASCAPE_DATA, or fetch it once where there is a network: {name}(download=True).load()"
            ) from error
        x, x_test = (self._scaled(part.data) for part in parts)
        y, y_test = (torch.as_tensor(part.targets, dtype=torch.int64) for part in parts)
        return _first(x, y, x_test, y_test, self.size, self.test, repr(self))

    def _scaled(self, images) -> Tensor:
        images = torch.as_tensor(images)
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)  # CIFAR comes with the colours last
        mean, deviation = (torch.tensor(value).reshape(1, -1, 1, 1) for value in self.NORMAL)
        return images.float().div_(255).sub_(mean).div_(deviation).contiguous()


@dataclass(frozen=True)
class MNIST(_Downloaded):
    """60,000 + 10,000 handwritten digits, x (n, 1, 28, 28), normalised by (0.1307, 0.3081)."""

    size: Size = 0
    test: TestSize = 0
    root: Root = ""
    download: bool = False

    NORMAL: ClassVar[tuple] = (0.1307, 0.3081)


@dataclass(frozen=True)
class FashionMNIST(_Downloaded):
    """60,000 + 10,000 pictures of clothes, x (n, 1, 28, 28), normalised by (0.5, 0.5) as in arXiv 2409.04913."""

    size: Size = 0
    test: TestSize = 0
    root: Root = ""
    download: bool = False

    NORMAL: ClassVar[tuple] = (0.5, 0.5)


@dataclass(frozen=True)
class CIFAR10(_Downloaded):
    """50,000 + 10,000 small photographs, x (n, 3, 32, 32), normalised by mean and deviation of each colour."""

    size: Size = 0
    test: TestSize = 0
    root: Root = ""
    download: bool = False

    NORMAL: ClassVar[tuple] = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


@dataclass(frozen=True)
class Npz(Data):
    """Your own arrays: a NumPy file with x_train, y_train, x_test, y_test.

    Integer labels are classes, others targets. x becomes float32; bytes are images: divided by 255, and a channel is added where there is none
    (n, height, width). Then (x - mean)/deviation.
    """

    path: Annotated[str, Text(1000, help="the .npz file")]
    size: Size = 0
    test: TestSize = 0
    mean: Annotated[float, Range(-1e6, 1e6, help="taken off all inputs", shown=(0, 1))] = 0.0
    deviation: Annotated[float, Range(1e-6, 1e6, log=True, help="all inputs are divided by it", shown=(0.1, 10))] = 1.0

    NAMES: ClassVar[tuple] = ("x_train", "y_train", "x_test", "y_test")

    def read(self) -> Tensors:
        try:
            with Path(self.path).expanduser().open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                missing = [name for name in self.NAMES if name not in file]
                if missing:
                    raise ValueError(f"it holds {', '.join(file) or 'nothing'}, and no {', '.join(missing)}")
                x, y, x_test, y_test = (file[name] for name in self.NAMES)
            tensors = self._inputs(x), _labels(y), self._inputs(x_test), _labels(y_test)
        except Exception as error:  # NumPy promises no kind for a damaged file: OSError, BadZipFile, zlib.error, EOFError, ValueError, ...
            raise ValueError(f"{self!r}: cannot be read ({error}); give a file written by numpy.savez with {', '.join(self.NAMES)}") from error
        return _first(*tensors, self.size, self.test, repr(self))

    def _inputs(self, x: np.ndarray) -> Tensor:
        values = torch.tensor(x.astype(np.float32))
        if x.dtype == np.uint8:
            values = (values if values.ndim != 3 else values[:, None]) / 255
        return (values - self.mean) / self.deviation


def _labels(y: np.ndarray) -> Tensor:
    return torch.tensor(y.astype(np.int64 if y.dtype.kind in "iub" else np.float32))


# Drawn from a law that is known


def _inputs(shape: tuple[int, ...], bound: float, generator: torch.Generator) -> Tensor:
    """Standard normal, or uniform on [-bound, bound]."""
    if bound:
        return (2 * torch.rand(shape, generator=generator, dtype=torch.float64) - 1) * bound
    return torch.randn(shape, generator=generator, dtype=torch.float64)


@dataclass(frozen=True)
class Regression(Data):
    """y = sin(pi frequency (x_1 + ... + x_d)/sqrt d) + noise N(0, 1), x uniform on [-1, 1]^d: a smooth function for small networks. y (n, 1)."""

    size: Drawn = 1000
    test: Drawn = 1000
    inputs: Annotated[int, Range(1, 1000, help="d: input variables", shown=(1, 10))] = 1
    frequency: Annotated[float, Range(0, 100, help="half waves on a unit of length; 0: the function is zero", shown=(0, 4))] = 1.0
    noise: Noise = 0.1
    seed: Seed = 0

    def read(self) -> Tensors:
        def draw(n, part):
            generator = seeded(SAMPLES, self.seed, part)
            x = _inputs((n, self.inputs), 1.0, generator)
            y = torch.sin(math.pi * self.frequency * x.sum(1, keepdim=True) / math.sqrt(self.inputs))
            return x.float(), (y + self.noise * torch.randn(y.shape, generator=generator, dtype=y.dtype)).float()

        return Tensors(*draw(self.size, 0), *draw(self.test, 1))


@dataclass(frozen=True)
class LinearTeacher(Data):
    """y = B x + noise N(0, I), B (outputs, inputs) zero but for its diagonal: `spectrum`. An empty spectrum: y is pure noise, and B = 0.

    The default is that of saddle-to-saddle runs: with loss "mse" a map that has learned the r largest entries has the loss
    (sum of the squares left out)/outputs: 1100, 600, 280, 100, 20, 0, up to the error of E x x^T = I.
    """

    inputs: Annotated[int, Range(1, 10_000, help="input variables", shown=(1, 20))] = 5
    outputs: Annotated[int, Range(1, 10_000, help="output variables", shown=(1, 20))] = 5
    spectrum: tuple[float, ...] = (10.0, 20.0, 30.0, 40.0, 50.0)
    size: Drawn = 10_000
    test: Drawn = 1000
    bound: Bound = 0.0
    noise: Noise = 0.0
    seed: Seed = 0

    def __post_init__(self):
        super().__post_init__()
        try:
            spectrum = tuple(float(value) for value in self.spectrum)
        except (TypeError, ValueError):
            spectrum = (math.nan,)
        if not all(map(math.isfinite, spectrum)) or len(spectrum) > min(self.inputs, self.outputs):
            most = min(self.inputs, self.outputs)
            raise ValueError(f"LinearTeacher: spectrum = {self.spectrum!r}; give a tuple of at most min(inputs, outputs) = {most} numbers")
        object.__setattr__(self, "spectrum", spectrum)

    @property
    def matrix(self) -> Tensor:
        """B, (outputs, inputs) float64."""
        b = torch.zeros(self.outputs, self.inputs, dtype=torch.float64)
        b.diagonal()[: len(self.spectrum)] = torch.tensor(self.spectrum, dtype=torch.float64)
        return b

    def read(self) -> Tensors:
        def draw(n, part):
            generator = seeded(SAMPLES, self.seed, part)
            x = _inputs((n, self.inputs), self.bound, generator)
            y = x @ self.matrix.T
            return x.float(), (y + self.noise * torch.randn(y.shape, generator=generator, dtype=y.dtype)).float()

        return Tensors(*draw(self.size, 0), *draw(self.test, 1))


@dataclass(frozen=True)
class Teacher(Data):
    """y = f(x, w*) + noise N(0, I), w* = model.build(weights): data that the model can realise; without noise its loss at w* is zero.

    A training of the same model from seed = weights would start at w* itself.
    """

    model: Model = DLN()
    weights: Annotated[int, Range(0, 2**31 - 1, help="seed of the teacher's weights w*", shown=(0, 99))] = 1
    size: Drawn = 10_000
    test: Drawn = 1000
    bound: Bound = 10.0
    noise: Noise = 0.0
    seed: Seed = 0

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.model, Model):
            raise ValueError(f"Teacher: model = {self.model!r} is no model; give a value such as DLN(widths=(10, 20, 10))")

    def read(self) -> Tensors:
        star = self.model.build(self.weights)

        @torch.no_grad()
        def draw(n, part):
            generator = seeded(SAMPLES, self.seed, part)
            x = _inputs((n, *self.model.shape), self.bound, generator).float()
            y = torch.cat([star(some) for some in x.split(10_000)])
            return x, y + self.noise * torch.randn(y.shape, generator=generator)

        return Tensors(*draw(self.size, 0), *draw(self.test, 1))


DATA: dict[str, type[Data]] = {cls.__name__: cls for cls in (Digits, MNIST, FashionMNIST, CIFAR10, Npz, Regression, LinearTeacher, Teacher)}

__all__ = [*DATA, "DATA", "Data", "Tensors", "checked", "permutation", "root", "seeded"]
