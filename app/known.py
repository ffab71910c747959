"""K(w) near a point w* where lambda is known: models as values, each with samples to draw batches from, and what chains should report at w*.

The samples are made such that the loss of *all* of them is exactly K plus a constant: inputs are orthogonal and label noise is orthogonal to
them. So exact answers hold to the last digit, while batches are as noisy as any.
"""

import abc
import functools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch

from dynamics import MALA as ChainMALA
from dynamics import Chains
from landscapes import DoubleWell, Range
from landscapes.jit import kernel
from landscapes.polynomial import Landscape, potential
from landscapes.scale import check
from nets import dln
from nets.linear_target import LinearTarget
from nets.losses import half_squares
from nets.models import DuplicatedReLU
from nets.module_target import module_target
from nets.samplers import HMC, MALA, SGHMC, SGLD, DiagonalSGLD, Sampler
from nets.targets import Potential, Target, no_batches

PAIRS = 12  # directions of the largest quadratic whose batch noise is solved for: their squares are unknowns
SILENT = 1e-9  # gamma below this holds nothing


class Truth(NamedTuple):
    """lambda at w*, at the most singular point there is, and m at w*; rank(J)/2, what directions with curvature alone give. None: not known."""

    local: Fraction | None
    overall: Fraction | None
    multiplicity: int | None = None
    regular: Fraction | None = None


class Data(NamedTuple):
    """n samples, label noise of this standard deviation; drawn once and for all."""

    n: int
    noise: float


class Known(abc.ABC):
    """A model and a point w*. Subclasses are frozen dataclasses."""

    samples = True  # whether it has any, to draw batches from
    scaled = ""  # what its preconditioner does, in words; empty: it has none

    def __post_init__(self):
        check(self)

    @abc.abstractmethod
    def target(self, data: Data) -> Target:
        """Its loss on these samples, float64."""

    @property
    @abc.abstractmethod
    def truth(self) -> Truth:
        """What is known of w*."""

    @property
    @abc.abstractmethod
    def formula(self) -> str:
        """The loss in LaTeX."""

    def preconditioner(self) -> tuple[float, ...]:
        """P for w, where the model suggests one."""
        return ()

    def ideal(self, nbeta: float, gamma: float) -> float | None:
        """n beta (E[K] - K(w*)) under exp(-n beta K - gamma |w - w*|^2/2), exactly: what chains without any error report. None: not known."""
        return None

    def actual(self, sampler: Sampler, nbeta: float, batch: int, data: Data) -> float | None:
        """The same for this very sampler, the bias of its step and the heat of its batches included; inf where it runs away."""
        return self.ideal(nbeta, sampler.gamma) if isinstance(sampler, MALA | HMC) else None


def design(n: int, spread, outputs: int, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x (n, d) with x^T x / n = diag(spread) and noise e (n, outputs) with x^T e = 0 and mean square noise^2: exactly, for n of the order of d."""
    spread = np.asarray(spread, float)
    if n <= len(spread) + 1:
        raise ValueError(f"n = {n}; take more samples than the model has inputs, {len(spread)}, and one more")
    random = np.random.default_rng(0)
    x, _ = np.linalg.qr(random.normal(size=(n, len(spread))))
    e = random.normal(size=(n, outputs))
    e -= x @ (x.T @ e)
    e *= noise / np.sqrt(np.mean(e**2, axis=0))
    return torch.from_numpy(x * np.sqrt(n * spread)), torch.from_numpy(e)


# Polynomial landscapes


@kernel
def _losses(table, moments, w, losses, gradients):
    """L_B (C,) and its gradient (C, dim) at w (C, dim); moments (C, 1 + outputs)."""
    plane = w.shape[1] == 2
    for c in range(w.shape[0]):
        losses[c], gradients[c, 0], second = potential(table, 0.0, moments[c], w[c, 0], w[c, 1] if plane else 0.0)
        if plane:
            gradients[c, 1] = second


class ToyTarget(Target):
    """L_B(w) = sum_k <(Q_k(w) x - e_k)^2>_B / 2 of samples x (n,), e (n, outputs); of a potential K itself: K, without batches."""

    def __init__(self, landscape: Landscape, at, data: Data):
        self.landscape, self.n = landscape, data.n
        self.star, self.table = torch.tensor(at, dtype=torch.float64), landscape.table()
        outputs = len(landscape.products())
        self._whole = np.zeros((1, 1 + outputs))
        self._whole[0, 0] = 1.0  # <x^2>, <x e>
        self._rest = 0.0  # <e^2>/2
        if landscape.of == "Q":
            x, e = (part.numpy() for part in design(data.n, [1.0], outputs, data.noise))
            self._rest = 0.5 * float(np.sum(np.mean(e**2, axis=0)))
            self._each = np.column_stack([x * x, x * e, 0.5 * np.sum(e**2, axis=1)])  # (n, 1 + outputs + 1)

    def gradients(self, w, index=None):
        losses, gradients = torch.empty(len(w), dtype=torch.float64), torch.empty_like(w)
        if index is None:
            moments, rest = np.repeat(self._whole, len(w), axis=0), self._rest
        elif self.landscape.of == "Q":
            mean = self._each[index.numpy()].mean(axis=1)
            moments, rest = np.ascontiguousarray(mean[:, :-1]), torch.from_numpy(mean[:, -1])
        else:
            no_batches(self, index)
        _losses(self.table, moments, w.numpy(), losses.numpy(), gradients.numpy())
        return losses.add_(rest), gradients

    def losses(self, w, index=None):
        return self.gradients(w.contiguous(), index)[0]


@dataclass(frozen=True)
class Toy(Known):
    """y = Q(w) x + noise, K = |Q(w)|^2 / 2: a polynomial landscape in one or two variables; w* is one of its minima."""

    landscape: Landscape = DoubleWell()
    point: Annotated[int, Range(0, 9, help="which of the minima is w*; the most degenerate comes first")] = 0

    def __post_init__(self):
        super().__post_init__()
        if not self.landscape.minima:
            raise ValueError(f"{self.landscape!r} has no minimum to estimate lambda at; choose another landscape")

    @property
    def samples(self):
        return self.landscape.of == "Q"

    @property
    def place(self):
        """The minimum w*."""
        return self.landscape.minima[min(self.point, len(self.landscape.minima) - 1)]

    @property
    def truth(self):
        return Truth(self.place.lam, min(minimum.lam for minimum in self.landscape.minima), self.place.multiplicity)

    @property
    def formula(self):
        of = self.landscape.of
        variables = "w" if self.landscape.dim == 1 else "w_1, w_2"
        return rf"{of}({variables}) = {self.landscape.latex}" + (r",\quad K = \tfrac12 |Q|^2" if of == "Q" else "")

    def target(self, data):
        return ToyTarget(self.landscape, self.place.at, data)

    def loose(self, gamma: float) -> bool:
        """Does nothing keep a chain on the box on which the integral would be taken?"""
        return gamma <= SILENT and self.landscape.dim == 2

    def ideal(self, nbeta, gamma):
        return None if self.loose(gamma) else _toy_value(self.landscape, self.place.at, nbeta, gamma)


@functools.lru_cache(maxsize=256)
def _toy_value(landscape, at, nbeta, gamma) -> float | None:
    try:
        return Chains(landscape, ChainMALA(eps=1e-3, nbeta=nbeta, gamma=gamma), at).exact()
    except ValueError:  # beyond what the quadrature is offered for
        return None


# Quadratics, and other sums of powers


@dataclass(frozen=True)
class Quadratic(Known):
    """y = w . x + noise, K = sum_i h_i w_i^2 / 2 with curvatures h_i spread evenly on a log scale: lambda = d/2."""

    d: Annotated[int, Range(1, 100, log=True, help="directions, all regular: λ = d/2", shown=(1, 50))] = 4
    low: Annotated[float, Range(1e-6, 1e3, log=True, help="smallest curvature h", shown=(1e-4, 10))] = 1.0
    high: Annotated[float, Range(1e-6, 1e3, log=True, help="largest curvature h", shown=(1e-4, 10))] = 1.0
    scaled = "P = 1/h: all directions move alike"

    @property
    def curvatures(self) -> np.ndarray:
        """h (d,), ascending."""
        return np.geomspace(min(self.low, self.high), max(self.low, self.high), self.d)

    @property
    def truth(self):
        half = Fraction(self.d, 2)
        return Truth(half, half, 1, half)

    @property
    def formula(self):
        h = self.curvatures
        spread = f"h_i = {h[0]:.3g}" if h[0] == h[-1] else rf"h_i = {h[0]:.3g} \dots {h[-1]:.3g}"
        return rf"K = \tfrac12 \sum_{{i=1}}^{{{self.d}}} h_i w_i^2,\quad {spread}"

    def target(self, data):
        x, e = design(data.n, self.curvatures, 1, data.noise)
        target = LinearTarget.of_data([torch.zeros(1, self.d, dtype=torch.float64)], x, e, "half_squares")
        if not data.noise:  # of labels that are all zero, nothing is a share
            target.floor, target._rest = 0.0, None
        return target

    def preconditioner(self):
        return tuple(1 / self.curvatures)

    def ideal(self, nbeta, gamma):
        a = nbeta * self.curvatures + gamma
        return float(np.sum(0.5 * nbeta * self.curvatures / a))

    def actual(self, sampler, nbeta, batch, data):
        h, eps = self.curvatures, sampler.eps
        a = nbeta * h + sampler.gamma
        p = np.array(getattr(sampler, "diagonal", ()) or np.ones(self.d))
        if isinstance(sampler, MALA | HMC):
            return self.ideal(nbeta, sampler.gamma)
        if isinstance(sampler, SGLD | DiagonalSGLD):
            if batch:
                return _heated(self, p, eps, nbeta, sampler.gamma, batch, data) if self.d <= PAIRS else None
            lost = eps * p * a / 4
        elif isinstance(sampler, SGHMC) and not batch:
            lost = eps * a / (4 * (2 - sampler.friction))
        else:
            return None
        return float(np.sum(0.5 * nbeta * h / a / (1 - lost))) if np.all(lost < 1) else math.inf


@functools.lru_cache(maxsize=256)
def _moments(quadratic: Quadratic, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """E_i[x x^T (x) x x^T] (d^2, d^2) and E_i[x x^T e^2] (d, d) over the samples."""
    x, e = (part.numpy() for part in design(data.n, quadratic.curvatures, 1, data.noise))
    pairs = (x[:, :, None] * x[:, None, :]).reshape(len(x), -1)
    # (h (x) h)[(a, b), (c, f)] = x_a x_c x_b x_f, the same for any order
    fourth = np.einsum("nac,nbf->abcf", *[pairs.reshape(-1, quadratic.d, quadratic.d)] * 2, optimize=True)
    return fourth.reshape(quadratic.d**2, -1) / len(x), np.einsum("na,nb,n->ab", x, x, e[:, 0] ** 2) / len(x)


def _heated(quadratic: Quadratic, p, eps, nbeta, gamma, batch, data) -> float:
    """SGLD with batches: the covariance solves S = E[A S A^T] + (eps n beta / 2)^2 P C P / B + eps P, A = 1 - (eps/2) P (n beta H_B + gamma).

    Batches are drawn with replacement, so E[A (x) A] = A' (x) A' + (eps n beta / 2)^2 (P (x) P) (E_i[h_i (x) h_i] - H (x) H) / B with A' = E[A].
    """
    h, half = quadratic.curvatures, eps / 2
    fourth, noise = _moments(quadratic, data)
    mean = np.diag(1 - half * p * (nbeta * h + gamma))
    scatter = (fourth - np.kron(np.diag(h), np.diag(h))) * np.kron(p, p)[:, None] * (half * nbeta) ** 2 / batch
    step = np.kron(mean, mean) + scatter
    if np.max(np.abs(np.linalg.eigvals(step))) >= 1:
        return math.inf
    heat = (half * nbeta) ** 2 / batch * noise * np.outer(p, p) + np.diag(eps * p)
    covariance = np.linalg.solve(np.eye(len(step)) - step, heat.ravel()).reshape(quadratic.d, -1)
    return float(0.5 * nbeta * np.sum(h * np.diag(covariance)))


@dataclass(frozen=True)
class Powers(Known):
    """K = sum_i w_i^(2 k_i) / 2: directions that are regular (k = 1), degenerate (2) and more so (3); lambda = sum_i 1/(2 k_i).

    K is quasi-homogeneous: without a tether n beta E[K] = lambda exactly, at every n beta.
    """

    quadratic: Annotated[int, Range(0, 100, help="directions with w²: each adds 1/2 to λ", shown=(0, 20))] = 2
    quartic: Annotated[int, Range(0, 100, help="directions with w⁴: each adds 1/4 to λ", shown=(0, 20))] = 4
    sextic: Annotated[int, Range(0, 100, help="directions with w⁶: each adds 1/6 to λ", shown=(0, 20))] = 0
    samples = False

    def __post_init__(self):
        super().__post_init__()
        if not self.counts.any():
            raise ValueError("quadratic = quartic = sextic = 0; a model has at least one direction")

    @property
    def counts(self) -> np.ndarray:
        return np.array([self.quadratic, self.quartic, self.sextic])

    @property
    def truth(self):
        lam = Fraction(self.quadratic, 2) + Fraction(self.quartic, 4) + Fraction(self.sextic, 6)
        return Truth(lam, lam, 1, Fraction(self.quadratic, 2))

    @property
    def formula(self):
        parts = (rf"\sum_{{i=1}}^{{{count}}} {name}_i^{2 * k}" for k, (name, count) in enumerate(zip("uvw", self.counts, strict=True), 1) if count)
        return r"K = \tfrac12 \Big(" + " + ".join(parts) + r"\Big)"

    def target(self, data):
        powers = torch.from_numpy(np.repeat([2.0, 4.0, 6.0], self.counts))
        star = torch.zeros(len(powers), dtype=torch.float64)
        return Potential(lambda w: 0.5 * w.pow(powers).sum(1), star, data.n, lambda w: 0.5 * powers * w.pow(powers - 1))

    def ideal(self, nbeta, gamma):
        return float(sum(count * _power(k, nbeta, gamma) for k, count in enumerate(self.counts, 1) if count))


def _power(k: int, nbeta: float, gamma: float) -> float:
    """E[n beta u^(2k) / 2] under exp(-n beta u^(2k)/2 - gamma u^2/2), by the trapezoidal rule, out to weights of e^-60."""
    reach = min((120 / nbeta) ** (0.5 / k), math.sqrt(120 / gamma) if gamma else math.inf)
    u = np.linspace(0, reach, 4001)
    k_u = 0.5 * nbeta * u ** (2 * k)
    weight = np.exp(-k_u - 0.5 * gamma * u**2)
    weight[0] /= 2
    return float(np.sum(weight * k_u) / np.sum(weight))


# Networks


class Linear(Known):
    """y = W_L ... W_1 x + noise, x of unit covariance: K = |W_L ... W_1 - W*|^2 / 2."""

    @property
    @abc.abstractmethod
    def widths(self) -> tuple[int, ...]: ...

    @property
    @abc.abstractmethod
    def ranks(self) -> tuple[int, ...]:
        """Of W_1, ..., W_L at w*, which are otherwise in general position."""

    def __post_init__(self):
        super().__post_init__()
        if self.rank > min(self.widths):
            raise ValueError(f"rank = {self.rank}; no map through a layer of {min(self.widths)} has more: lower it, or widen the layer")

    @functools.cached_property
    def weights(self):
        return dln.random_weights(self.widths, self.ranks, self.seed)

    @property
    def truth(self):
        ranks = dln.Ranks.generic(self.widths, self.ranks)
        overall = dln.learning_coefficient(self.widths, self.rank)
        local = dln.stratum(ranks).lam
        return Truth(local, overall.lam, overall.multiplicity if local == overall.lam else None, Fraction(ranks.jacobian, 2))

    @property
    def formula(self):
        product = " ".join(f"W_{s}" for s in range(len(self.ranks), 0, -1))
        widths = r" \to ".join(map(str, self.widths))
        return rf"K = \tfrac12 \| {product} - W^* \|^2,\quad {widths},\quad \text{{rank }} W^* = {self.rank}"

    def target(self, data):
        x, e = design(data.n, np.ones(self.widths[0]), self.widths[-1], data.noise)
        return LinearTarget.of_data(self.weights, x, x @ dln.product(self.weights).mT + e, "half_squares")


Width = Annotated[int, Range(1, 60, help="units", shown=(1, 20))]
Small = Annotated[int, Range(1, 30, help="units", shown=(1, 20))]
Seed = Annotated[int, Range(0, 2**31 - 1, help="w* is drawn with this seed", shown=(0, 99))]


@dataclass(frozen=True)
class DeepLinear(Linear):
    """y = W_L ... W_1 x + noise: a deep linear network that has learnt a map of rank r."""

    inputs: Width = 4
    hidden: Width = 4
    outputs: Width = 4
    layers: Annotated[int, Range(1, 10, help="L: matrices; between them lie L - 1 hidden layers", shown=(1, 6))] = 3
    rank: Annotated[int, Range(0, 60, help="r: rank of the map W_L … W_1", shown=(0, 10))] = 1
    loses: Literal["every layer", "first layer", "last layer"] = "every layer"
    seed: Seed = 0

    @property
    def widths(self):
        return (self.inputs, *[self.hidden] * (self.layers - 1), self.outputs)

    @property
    def ranks(self):
        full = [min(pair) for pair in zip(self.widths, self.widths[1:], strict=False)]
        if self.loses == "every layer":
            return (self.rank,) * self.layers
        full[0 if self.loses == "first layer" else -1] = self.rank
        return tuple(full)


@dataclass(frozen=True)
class ReducedRank(Linear):
    """y = B A x + noise: reduced-rank regression, A and B both of the true rank r (Aoyagi & Watanabe 2005)."""

    inputs: Width = 5
    hidden: Width = 3
    outputs: Width = 5
    rank: Annotated[int, Range(0, 60, help="r: rank of the true map", shown=(0, 10))] = 1
    seed: Seed = 0

    @property
    def widths(self):
        return (self.inputs, self.hidden, self.outputs)

    @property
    def ranks(self):
        return (self.rank, self.rank)


@dataclass(frozen=True)
class ReLU(Known):
    """y = V relu(W x + b) + c with seven equal hidden units, (W, b) times alpha and V over alpha: the same function for every alpha.

    Its lambda is not known, but it cannot depend on alpha; nor can an estimate whose preconditioner follows: P = (alpha^2, alpha^-2, 1).
    """

    inputs: Small = 4
    hidden: Annotated[int, Range(9, 30, help="hidden units; units 1, 2, 3, 4, 5 and 8 equal unit 0", shown=(9, 30))] = 10
    outputs: Small = 3
    alpha: Annotated[float, Range(1e-4, 1e4, log=True, help="α: hidden weights times α, output weights over α", shown=(1e-4, 1e4))] = 1.0
    seed: Seed = 0
    scaled = "P = (α², α⁻², 1): follows the rescaling"

    @property
    def truth(self):
        return Truth(None, None)

    @property
    def formula(self):
        return r"y = \tfrac{1}{\alpha} V \,\mathrm{relu}(\alpha (W x + b)) + c"

    def _module(self):
        return DuplicatedReLU((self.inputs, self.hidden, self.outputs), self.alpha).build(self.seed).double()

    def target(self, data):
        x, _ = design(data.n, np.ones(self.inputs), 1, 1.0)
        module = self._module()
        with torch.no_grad():
            return module_target(module, half_squares, x, module(x))

    def preconditioner(self):
        scales = {"0.weight": self.alpha**2, "0.bias": self.alpha**2, "2.weight": self.alpha**-2, "2.bias": 1.0}
        return tuple(np.repeat(*zip(*((scales[name], value.numel()) for name, value in self._module().named_parameters()), strict=True)).tolist())


MODELS: dict[str, type[Known]] = {cls.__name__: cls for cls in (Toy, Quadratic, Powers, DeepLinear, ReducedRank, ReLU)}


# What is exact


class Exact(NamedTuple):
    """What chains without any error report at this n beta and gamma; what this sampler does, its step and batches included. None: not known."""

    ideal: float | None
    actual: float | None

    @property
    def best(self) -> float | None:
        """What the chains should be compared with."""
        return self.ideal if self.actual is None else self.actual


@functools.lru_cache(maxsize=256)
def exact(model: Known, rule: Sampler, nbeta: float, batch: int, data: Data) -> Exact:
    return Exact(model.ideal(nbeta, rule.gamma), model.actual(rule, nbeta, batch, data))


def finite(level: float | None) -> bool:
    """Is it known, and a number?"""
    return level is not None and math.isfinite(level)


def differ(a: float | None, b: float | None) -> bool:
    return a is not None and b is not None and abs(a - b) > 1e-3 * abs(b)
