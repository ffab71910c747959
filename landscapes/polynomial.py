"""Polynomial landscapes as data: K(w) = |Q(w)|^2 / 2 with every output Q_k a product of powers of small polynomials.

Factored, never expanded: (w - w0)^3 is then exact beside w0, where an expansion loses all its digits. Data, never code:
changing a degree or a landscape compiles nothing new.
"""

import abc
from fractions import Fraction
from typing import ClassVar, NamedTuple

import numpy as np
from numba.extending import overload

from landscapes.jit import is_table, kernel
from landscapes.scale import check


class Factor(NamedTuple):
    """(sum of c w1^i w2^j over terms (c, i, j)) ^ power."""

    terms: tuple[tuple[float, int, int], ...]
    power: int = 1


class Product(NamedTuple):
    """scale * product of factors: one output Q_k."""

    factors: tuple[Factor, ...]
    scale: float = 1.0


def root(at: float, power: int) -> Factor:
    """(w - at)^power."""
    return Factor(((1.0, 1, 0), (-float(at), 0, 0)), power)


W1, W2 = ((1.0, 1, 0),), ((1.0, 0, 1),)
RADIUS2 = ((1.0, 2, 0), (1.0, 0, 2))  # w1^2 + w2^2


class Minimum(NamedTuple):
    """A point (or, with `along`, a line of points) where one asks for lambda; `lam` is None where it is undefined, and `why` says so."""

    name: str
    at: tuple[float, ...]
    lam: Fraction | None
    multiplicity: int | None
    why: str = ""
    along: tuple[float, ...] | None = None

    def distance(self, w: np.ndarray) -> np.ndarray:
        """Euclidean distance of points w (..., dim) to this point, or to the whole line through it."""
        away = np.moveaxis(np.asarray(w, float) - np.asarray(self.at), -1, 0)
        if len(away) == 1:
            return np.abs(away[0])
        if self.along is None:
            return np.hypot(*away)
        a, b = np.asarray(self.along) / np.hypot(*self.along)
        return np.abs(away[0] * b - away[1] * a)

    @property
    def isolated(self) -> bool:
        """Does the distance tell how near one is? Not to one point of a curve of minima, other than the origin, at which curves meet."""
        return len(self.at) == 1 or self.along is not None or not any(self.at) or self.lam == Fraction(len(self.at), 2)


class Roots(NamedTuple):
    """Kernel table of a 1D product of linear factors: scale * prod (w - root_f)^degree_f."""

    scale: float
    root: np.ndarray  # (factors,)
    degree: np.ndarray  # (factors,) int


class Terms(NamedTuple):
    """Kernel table of any Q: outputs own factors first_factor[k]:first_factor[k+1], factors own terms first_term[f]:first_term[f+1].

    whole: 1 if the single "output" is K itself, else 0.
    """

    scale: np.ndarray  # (outputs,)
    first_factor: np.ndarray  # (outputs + 1,)
    power: np.ndarray  # (factors,)
    first_term: np.ndarray  # (factors + 1,)
    coefficient: np.ndarray  # (terms,)
    exponent: np.ndarray  # (terms, 2)
    whole: int = 0


class Landscape(abc.ABC):
    """A potential K(w) = |Q(w)|^2 / 2 in one or two variables (vx = 1; data with another variance multiply it).

    Subclasses are frozen dataclasses of their degrees and positions; they give `products`, `box`, `minima`, and in one
    dimension the `barriers` between basins. The rest is derived. Arrays of points have shape (..., dim).
    of = "K": the single product is a non-negative K itself. There is no model then: no batches, no Fisher matrix; Q stands for sqrt(2K).
    """

    dim: ClassVar[int] = 2
    of: ClassVar[str] = "Q"

    def __post_init__(self):
        check(self)

    @abc.abstractmethod
    def products(self) -> tuple[Product, ...]:
        """The outputs Q_k (of = "K": K) as products of powers of polynomials."""

    @property
    @abc.abstractmethod
    def box(self) -> tuple[tuple[float, float], ...]:
        """(low, high) of each variable: what a picture shows and where the uniform prior lives."""

    @property
    @abc.abstractmethod
    def minima(self) -> tuple[Minimum, ...]:
        """Where lambda is declared, most degenerate first."""

    @property
    def undefined(self) -> tuple[Minimum, ...]:
        """Critical points of K that are no minima: lambda is undefined there, `why` says so."""
        return ()

    @property
    def barriers(self) -> tuple[float, ...]:
        """1D: the maxima of K between neighbouring minima, ascending: they separate the basins. 2D: none."""
        return ()

    @property
    def line(self) -> Minimum | None:
        """The straight line of minima, where there is one."""
        return next((minimum for minimum in self.minima if minimum.along is not None), None)

    def Q(self, w) -> np.ndarray:
        """The outputs (..., outputs) at points w (..., dim); of = "K": sqrt(2K), which no gradient is taken of."""
        values = self._values(w)
        return values if self.of == "Q" else np.sqrt(2 * np.maximum(values, 0))  # rounding may leave a K of 0 below it

    def _values(self, w) -> np.ndarray:
        x, y = _coordinates(w, self.dim)
        return np.stack([np.broadcast_to(_product(p, x, y), x.shape) for p in self.products()], axis=-1)

    def K(self, w) -> np.ndarray:
        """K = |Q|^2 / 2, in nats per sample, shape (...)."""
        values = self._values(w)
        return 0.5 * np.sum(values**2, axis=-1) if self.of == "Q" else values[..., 0]

    def jet(self, w) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Q (..., outputs), its gradients (..., outputs, dim) and its Hessians (..., outputs, dim, dim), exact beside multiple roots.

        Raises ValueError where K alone is given.
        """
        if self.of != "Q":
            raise ValueError(f"{self!r} gives K alone; batches, their noise Sigma and the Fisher matrix are made of Q: give a Q with K = Q²/2")
        return self._jet(w)

    def _jet(self, w):
        x, y = _coordinates(w, self.dim)
        jets = [_product_jet(product, x, y) for product in self.products()]
        value, gradient, hessian = (np.stack(part, axis=x.ndim) for part in zip(*jets, strict=True))
        return value, gradient[..., : self.dim], hessian[..., : self.dim, : self.dim]

    def gradient(self, w) -> np.ndarray:
        """grad K = sum_k Q_k grad Q_k, shape (..., dim)."""
        value, gradient, _ = self._jet(w)
        return np.einsum("...k,...ki->...i", value, gradient) if self.of == "Q" else gradient[..., 0, :]

    def fisher(self, w) -> np.ndarray:
        """G = J^T J, J = dQ/dw: the Gauss-Newton = Fisher matrix of y = Q(w) x + N(0, 1) at vx = 1, shape (..., dim, dim)."""
        _, gradient, _ = self.jet(w)
        return np.einsum("...ki,...kj->...ij", gradient, gradient)

    def hessian(self, w) -> np.ndarray:
        """H = G + sum_k Q_k Hess Q_k, the Hessian of K, shape (..., dim, dim)."""
        value, gradient, hessian = self._jet(w)
        if self.of != "Q":
            return hessian[..., 0, :, :]
        return np.einsum("...ki,...kj->...ij", gradient, gradient) + np.einsum("...k,...kij->...ij", value, hessian)

    @property
    def latex(self) -> str:
        """Q in LaTeX, e.g. (w+1.8)(w-1.8)^{2}; several outputs in parentheses."""
        names = ("w", "") if self.dim == 1 else ("w_1", "w_2")
        outputs = [_latex_product(product, names) for product in self.products()]
        return outputs[0] if len(outputs) == 1 else r"\left(" + r",\; ".join(outputs) + r"\right)"

    def table(self) -> Roots | Terms:
        """The same factors as flat arrays, for the kernels."""
        products = [product._replace(factors=[factor for factor in product.factors if factor.power]) for product in self.products()]  # u^0 = 1
        if self.of == "Q" and self.dim == 1 and len(products) == 1 and all(_is_root(factor) for factor in products[0].factors):
            factors = products[0].factors
            return Roots(
                float(products[0].scale),
                np.array([-sum(c for c, i, _ in factor.terms if i == 0) for factor in factors], float),
                np.array([factor.power for factor in factors], np.int64),
            )
        factors = [factor for product in products for factor in product.factors]
        terms = [term for factor in factors for term in factor.terms]
        return Terms(
            np.array([product.scale for product in products], float),
            np.cumsum([0] + [len(product.factors) for product in products]),
            np.array([factor.power for factor in factors], np.int64),
            np.cumsum([0] + [len(factor.terms) for factor in factors]),
            np.array([c for c, _, _ in terms], float),
            np.array([(i, j) for _, i, j in terms], np.int64).reshape(-1, 2),
            int(self.of != "Q"),
        )


def _is_root(factor: Factor) -> bool:
    exponents = sorted((i, j) for _, i, j in factor.terms)
    return exponents in ([(1, 0)], [(0, 0), (1, 0)]) and all(c == 1 for c, i, _ in factor.terms if i == 1)


def _coordinates(w, dim: int) -> tuple[np.ndarray, np.ndarray]:
    w = np.asarray(w, float)
    if w.ndim == 0 or w.shape[-1] != dim:
        raise ValueError(f"points have shape {w.shape}; the last axis must be {dim}, one entry a variable")
    return w[..., 0], w[..., 1] if dim == 2 else np.zeros(w.shape[:-1])


def _sum(terms, x, y):
    return sum(c * x**i * y**j for c, i, j in terms)


def _product(product: Product, x, y):
    value = product.scale
    for factor in product.factors:
        value = value * _sum(factor.terms, x, y) ** factor.power
    return value


def _differentiate(terms, axis: int):
    """d/dw_axis of a sum of terms."""
    return tuple((c * e[axis], e[0] - (axis == 0), e[1] - (axis == 1)) for c, *e in terms if e[axis])


def _product_jet(product: Product, x, y):
    """Value, gradient and Hessian by multiplying jets: (a b)'' = a'' b + a' b' + b' a' + a b''."""
    value = np.full(x.shape, float(product.scale))
    gradient, hessian = np.zeros((*x.shape, 2)), np.zeros((*x.shape, 2, 2))
    for factor in product.factors:
        first = [_differentiate(factor.terms, a) for a in (0, 1)]
        b = _sum(factor.terms, x, y) + np.zeros(x.shape)
        db = np.stack([_sum(first[a], x, y) + np.zeros(x.shape) for a in (0, 1)], axis=-1)
        ddb = np.stack([_sum(_differentiate(first[a], c), x, y) + np.zeros(x.shape) for a in (0, 1) for c in (0, 1)], -1).reshape(*x.shape, 2, 2)
        for _ in range(factor.power):
            cross = gradient[..., :, None] * db[..., None, :]
            hessian = hessian * b[..., None, None] + cross + np.swapaxes(cross, -1, -2) + value[..., None, None] * ddb
            gradient = gradient * b[..., None] + value[..., None] * db
            value = value * b
    return value, gradient, hessian


def _latex_number(value: float) -> str:
    digits, _, exponent = f"{value:.4g}".partition("e")
    return digits + (rf"\cdot 10^{{{int(exponent)}}}" if exponent else "")


def _latex_power(base: str, exponent: int) -> str:
    return base if exponent == 1 else f"{base}^{{{exponent}}}"


def _latex_term(c: float, exponents, names) -> str:
    letters = "".join(_latex_power(name, e) for name, e in zip(names, exponents, strict=True) if e)
    number = _latex_number(abs(c))
    return ("-" if c < 0 else "+") + (letters if letters and number == "1" else number + letters)


def _latex_sum(terms, names) -> str:
    return "".join(_latex_term(c, exponents, names) for c, *exponents in terms if c).removeprefix("+") or "0"


def _latex_factor(factor: Factor, names) -> str:
    text = _latex_sum(factor.terms, names)
    monomial = text.startswith("w") and not {"+", "-"} & set(text)
    bare = text in names or (monomial and factor.power == 1)
    return _latex_power(text if bare else f"({text})", factor.power)


def _latex_product(product: Product, names) -> str:
    factors = [factor for factor in product.factors if factor.power]
    if not factors or product.scale == 0:
        return _latex_number(product.scale)
    if product.scale == 1 and len(factors) == 1 and factors[0].power == 1:
        return _latex_sum(factors[0].terms, names)
    scale = {1: "", -1: "-"}.get(product.scale, _latex_number(product.scale))
    return scale + "".join(_latex_factor(factor, names) for factor in factors)


# Kernels: Q_k and its gradient from a table. A rule calls `outputs(table)` and `evaluate(table, k, w1, w2)`; which formulas
# that means is decided by the table's type when the rule is compiled.


@kernel
def power(base, exponent):
    """base ** exponent for a small non-negative integer, by multiplication."""
    value = 1.0
    for _ in range(exponent):
        value *= base
    return value


@kernel
def _evaluate_roots(table, w):
    # Q = L P with L = prod u^(d-1), P = prod u; Q' = L S with S = sum d_f prod_{g != f} u_g, built up factor by factor
    low, product, slope = table.scale, 1.0, 0.0
    for f in range(table.root.size):
        u = w - table.root[f]
        for _ in range(table.degree[f] - 1):
            low *= u
        slope = slope * u + table.degree[f] * product
        product *= u
    return low * product, low * slope, 0.0


@kernel
def _evaluate_terms(table, k, w1, w2):
    low, product, slope1, slope2 = table.scale[k], 1.0, 0.0, 0.0
    for f in range(table.first_factor[k], table.first_factor[k + 1]):
        u, du1, du2 = 0.0, 0.0, 0.0
        for t in range(table.first_term[f], table.first_term[f + 1]):
            c, i, j = table.coefficient[t], table.exponent[t, 0], table.exponent[t, 1]
            a, b = power(w1, i - 1), power(w2, j - 1)  # i = 0 gives a = 1, and its term below is zero
            du1 += c * i * a * (b * w2 if j else 1.0)
            du2 += c * j * b * (a * w1 if i else 1.0)
            u += c * (a * w1 if i else 1.0) * (b * w2 if j else 1.0)
        d = table.power[f]
        low *= power(u, d - 1)
        slope1 = slope1 * u + d * product * du1
        slope2 = slope2 * u + d * product * du2
        product *= u
    return low * product, low * slope1, low * slope2


def outputs(table) -> int:
    """How many outputs Q has (in kernels: a constant where the table's type fixes it, so that loops over it vanish)."""
    return 1 if isinstance(table, Roots) else table.scale.size


def evaluate(table, k, w1, w2):
    """(Q_k, dQ_k/dw1, dQ_k/dw2) at one point."""
    return _evaluate_roots(table, w1) if isinstance(table, Roots) else _evaluate_terms(table, k, w1, w2)


@overload(outputs)
def _outputs(table):
    if is_table(table, Roots):
        return lambda table: 1
    return lambda table: table.scale.size


@overload(evaluate)
def _evaluate(table, k, w1, w2):
    if is_table(table, Roots):
        return lambda table, k, w1, w2: _evaluate_roots(table, w1)
    return lambda table, k, w1, w2: _evaluate_terms(table, k, w1, w2)


def whole(table) -> bool:
    """Whether a table holds K itself instead of outputs of Q."""
    return isinstance(table, Terms) and bool(table.whole)


@overload(whole)
def _whole(table):
    if is_table(table, Roots):
        return lambda table: False
    return lambda table: table.whole != 0


@kernel
def potential(table, slope, moments, w1, w2):
    """Full-data loss less its value at Q = a, and its gradient: sum_k mxx (Q_k - a)^2 / 2 - mxe_k (Q_k - a); mxx K where K itself is given.

    moments = (mxx, mxe_1, ..): (vx, 0, ..) in expectation, (S_xx, S_xe_1, ..)/n for n given samples.
    """
    value, g1, g2 = 0.0, 0.0, 0.0
    if whole(table):
        value, g1, g2 = evaluate(table, 0, w1, w2)
        return moments[0] * value, moments[0] * g1, moments[0] * g2
    for k in range(outputs(table)):
        q, a, b = evaluate(table, k, w1, w2)
        r = q - slope
        pull = moments[0] * r - moments[1 + k]
        value += 0.5 * moments[0] * r * r - moments[1 + k] * r
        g1 += pull * a
        g2 += pull * b
    return value, g1, g2
