"""Where batches come from: fresh samples of y = a x + e at every step, or n given samples in shuffled epochs.

For a model that is linear in x a batch enters the gradient only through S_xx = sum x_i^2 and S_xe = sum x_i e_i, so
fresh data need two random numbers a step whatever the batch size: S_xx ~ vx chi2_B, S_xe | S_xx ~ N(0, vy S_xx).
"""

import functools
import numbers
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

from dynamics.random import chi2, chi2_constants, normal, permuted
from landscapes.jit import kernel
from landscapes.polynomial import Landscape
from landscapes.scale import Range, check

Slope = Annotated[
    float, Range(-10, 10, help="true slope a of y = a x + noise: Q is replaced by Q − a, so minima and λ change with it", shown=(-1, 1))
]
InputVariance = Annotated[float, Range(1e-3, 100, log=True, help="variance of the inputs x: multiplies K", shown=(0.1, 10))]
NoiseVariance = Annotated[float, Range(0, 100, help="variance of the labels' noise (the model assumes 1)", shown=(0, 4))]


class Source(NamedTuple):
    """What kernels know of the data: `size` = 0 means fresh samples, else n given ones."""

    size: int
    slope: float
    vx: float
    vy: float
    xx: np.ndarray  # (n,) x_i^2
    xe: np.ndarray  # (outputs, n) x_i e_ik
    moments: np.ndarray  # (1 + outputs,): the mean of x^2 and of x e_k, exact for the data


@dataclass(frozen=True)
class Online:
    """Fresh samples at every step: x ~ N(0, vx), y = slope x + N(0, vy)."""

    slope: Slope = 0.0
    vx: InputVariance = 1.0
    vy: NoiseVariance = 1.0

    def __post_init__(self):
        check(self)

    def source(self, outputs: int) -> Source:
        """The kernels' view of these data for a landscape with so many outputs."""
        moments = np.zeros(1 + outputs)
        moments[0] = self.vx
        return Source(0, self.slope, self.vx, self.vy, np.zeros(1), np.zeros((outputs, 1)), moments)


@dataclass(frozen=True)
class Finite:
    """`size` samples drawn once (by `seed`), visited without replacement: an epoch is ceil(size/batch) steps, its last batch may be short.

    All trajectories share the samples; each shuffles them anew in every epoch. Finite data lift degeneracies: with
    a-hat = S_xy/S_xx > 0 a double root of Q splits into two regular minima of the sample loss.
    """

    size: Annotated[int, Range(1, 10_000_000, log=True, unit="samples", help="samples in the data set", shown=(10, 100_000))] = 1000
    slope: Slope = 0.0
    vx: InputVariance = 1.0
    vy: NoiseVariance = 1.0
    seed: Annotated[int, Range(0, 2**31 - 1, help="seed of the data set", shown=(0, 99))] = 0

    def __post_init__(self):
        check(self)

    def draw(self, outputs: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The samples: x (size,), noise e (outputs, size); y_k = slope x + e_k."""
        return _samples(self, outputs)

    def source(self, outputs: int) -> Source:
        """The kernels' view of these data for a landscape with so many outputs."""
        x, e = self.draw(outputs)
        xx, xe = x * x, x * e
        return Source(self.size, self.slope, self.vx, self.vy, xx, xe, np.concatenate([[xx.mean()], xe.mean(axis=1)]))


def check_known(landscape: Landscape, data: Online | Finite, rule=None) -> None:
    """ValueError if the landscape gives K alone, and these data or this rule need Q."""
    if landscape.of == "Q":
        return
    if rule is not None and rule.needs_q:
        raise ValueError(
            f"rule = {rule!r} needs Q for its noise or its Fisher matrix, and {landscape!r} gives K alone; "
            "choose GD, MALA or Langevin(batch=0), or give a Q with K = Q²/2"
        )
    if isinstance(data, Finite) or data.slope:
        raise ValueError(
            f"data = {data!r} need Q for their samples, and {landscape!r} gives K alone; choose Online(slope=0), or give a Q with K = Q²/2"
        )


@functools.lru_cache(maxsize=4)
def _samples(data: Finite, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(data.seed)
    x = random.normal(0, data.vx**0.5, data.size)
    e = random.normal(0, data.vy**0.5, (outputs, data.size))
    for array in (x, e):
        array.flags.writeable = False
    return x, e


def noise_covariance(landscape: Landscape, w, batch: int, data: Online | Finite = Online()) -> np.ndarray:
    """Sigma(w) = (vy G + 2 grad K grad K^T) / B, the covariance of a batch gradient, shape (..., dim, dim), for fresh data.

    With G = vx J^T J; one output: Sigma = (vy + 2 vx Q^2) G / B. Without replacement from n samples multiply by (n - B)/(n - 1).
    Rank one for one output: every step of SGD moves along grad Q, and noise vanishes where that direction degenerates.
    """
    if not (isinstance(batch, numbers.Real) and batch >= 1):  # false for NaN
        raise ValueError(f"batch = {batch!r}; a batch has at least 1 sample")
    value, jacobian, _ = landscape.jet(w)
    pull = data.vx * np.einsum("...k,...ki->...i", value - data.slope, jacobian)
    fisher = data.vx * np.einsum("...ki,...kj->...ij", jacobian, jacobian)
    return (data.vy * fisher + 2 * pull[..., :, None] * pull[..., None, :]) / batch


@kernel
def prepare(source, batch):
    """What all batches of this size share: the constants of chi2_B, scales, and the split of the indices for shuffling."""
    return chi2_constants(batch), source.vx / batch, np.sqrt(source.vy / batch), max(np.int64(1), np.int64(np.log2(max(source.size, 1)) / 2))


@kernel
def _draw_given(source, batch, bits, means, key, step):
    steps = (source.size + batch - 1) // batch
    epoch, place = step // steps, step % steps
    first, last = place * batch, min((place + 1) * batch, source.size)
    means[:] = 0.0
    shuffle = key + np.uint64(epoch) * np.uint64(0xA0761D6478BD642F)
    for position in range(first, last):
        index = permuted(shuffle, position, source.size, bits)
        means[0] += source.xx[index]
        for k in range(1, means.size):
            means[k] += source.xe[k - 1, index]
    for k in range(means.size):
        means[k] /= last - first


@kernel
def draw(source, batch, prepared, means, key, step, s):
    """One batch of B: means[0] = S_xx/B, means[1 + k] = S_xe_k/B; returns the state of the stream.

    Given samples: `step` picks the place in the epoch and `key` is the trajectory's, from which each epoch's shuffle follows.
    """
    constants, input_scale, noise_scale, bits = prepared
    if source.size == 0:
        square, s = chi2(constants, s)
        means[0] = input_scale * square
        scale = noise_scale * np.sqrt(means[0])
        for k in range(1, means.size):
            z, s = normal(s)
            means[k] = scale * z
    else:
        _draw_given(source, batch, bits, means, key, step)
    return s
