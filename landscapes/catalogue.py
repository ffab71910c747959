"""The catalogue: landscapes that teach something, each a frozen dataclass of live degrees with its exact (lambda, multiplicity).

K = Q^2 / 2 (sum of squares for several outputs). lambda and m at a minimum are those of V(eps) = vol{K < eps} ~ c eps^lambda (-log eps)^(m-1).

>>> DoubleWell(w0=1.8, d1=1, d2=2).latex
'(w+1.8)(w-1.8)^{2}'
>>> for minimum in Valley(p=1, k=2).minima:
...     print(f"{minimum.name}: λ = {minimum.lam}, m = {minimum.multiplicity}")
O: λ = 1/4, m = 2
line w₁ = 0: λ = 1/4, m = 1
>>> DoubleWell(w0=9)
Traceback (most recent call last):
ValueError: DoubleWell: w0 = 9 is above the legal range 0.1 ... 4; choose a value inside it
"""

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated

from landscapes.polynomial import RADIUS2, W1, W2, Factor, Landscape, Minimum, Product, root
from landscapes.scale import Range

Degree = Annotated[int, Range(1, 6, help="power of this factor in Q: the higher, the more degenerate", shown=(1, 4))]
ORIGIN = (0.0, 0.0)


def _on_a_line(name: str, at, power: int, along) -> Minimum:
    return Minimum(name, at, Fraction(1, 2 * power), 1, along=along)


@dataclass(frozen=True)
class DoubleWell(Landscape):
    """Q = (w + w0)^d1 (w - w0)^d2: two minima of different degeneracy behind one barrier.

    lambda = 1/(2 d1) at -w0 and 1/(2 d2) at +w0; the barrier w0 (d1 - d2)/(d1 + d2) is no minimum.
    Source: Corlouer & Mace, "Degeneracies are sticky for SGD", Fig. 1, 4, 7.
    """

    w0: Annotated[float, Range(0.1, 4, help="the minima lie at -w0 and +w0: the larger, the sharper the wells", shown=(0.5, 2.5))] = 1.8
    d1: Degree = 1
    d2: Degree = 2
    dim = 1

    def products(self):
        return (Product((root(-self.w0, self.d1), root(self.w0, self.d2))),)

    @property
    def box(self):
        return ((-2 * self.w0 - 0.4, 2 * self.w0 + 0.4),)

    @property
    def minima(self):
        wells = (
            Minimum("−w₀", (-self.w0,), Fraction(1, 2 * self.d1), 1),
            Minimum("+w₀", (self.w0,), Fraction(1, 2 * self.d2), 1),
        )
        return tuple(sorted(wells, key=lambda minimum: minimum.lam))

    @property
    def barriers(self):
        return (self.w0 * (self.d1 - self.d2) / (self.d1 + self.d2),)

    @property
    def undefined(self):
        (at,) = self.barriers
        return (Minimum("barrier", (at,), None, None, f"K has a maximum here (K = {self.K((at,)):.3g}): the volume law describes minima only"),)


@dataclass(frozen=True)
class TripleWell(Landscape):
    """Q = (w + w0)^d1 w^d2 (w - w0)^d3: three wells, so the most degenerate one can lie between the others."""

    w0: Annotated[float, Range(0.1, 4, help="the outer minima lie at -w0 and +w0", shown=(0.5, 2.5))] = 1.5
    d1: Degree = 1
    d2: Degree = 2
    d3: Degree = 1
    dim = 1

    def products(self):
        return (Product((root(-self.w0, self.d1), root(0, self.d2), root(self.w0, self.d3))),)

    @property
    def box(self):
        return ((-2 * self.w0 - 0.4, 2 * self.w0 + 0.4),)

    @property
    def minima(self):
        places = (("−w₀", -self.w0, self.d1), ("0", 0.0, self.d2), ("+w₀", self.w0, self.d3))
        return tuple(sorted((Minimum(name, (at,), Fraction(1, 2 * d), 1) for name, at, d in places), key=lambda minimum: minimum.lam))

    @property
    def barriers(self):
        # Q'/Q = d1/(w+w0) + d2/w + d3/(w-w0) = 0: a quadratic with one root on each side of 0
        a, b, c = self.d1 + self.d2 + self.d3, self.w0 * (self.d3 - self.d1), -self.d2 * self.w0**2
        spread = (b * b - 4 * a * c) ** 0.5
        return ((-b - spread) / (2 * a), (-b + spread) / (2 * a))

    @property
    def undefined(self):
        return tuple(
            Minimum(f"barrier {side}", (at,), None, None, f"K has a maximum here (K = {self.K((at,)):.3g}): the volume law describes minima only")
            for side, at in zip(("left", "right"), self.barriers, strict=True)
        )


@dataclass(frozen=True)
class Monomial(Landscape):
    """Q = w^k: one minimum, lambda = 1/(2k). Slow convergence in its purest form: w ~ t^(-1/(2k-2))."""

    k: Degree = 2
    dim = 1

    def products(self):
        return (Product((root(0, self.k),)),)

    @property
    def box(self):
        return ((-2.0, 2.0),)

    @property
    def minima(self):
        return (Minimum("0", (0.0,), Fraction(1, 2 * self.k), 1),)


@dataclass(frozen=True)
class Valley(Landscape):
    """Q = (w1^2 + w2^2)^p w1^k: a line of minima w1 = 0 through a more degenerate origin O.

    On the line lambda = 1/(2k). At O lambda = min(1/(2p+k), 1/(2k)), and m = 2 where both agree (k = 2p): then O and the line differ in
    the multiplicity only. Source: Corlouer & Mace, Fig. 2, 3, 5, 6; their text has the potential (w1^2+w2^2)^2 w1^2, so p = 1, k = 1,
    while their code ran p = 2.
    """

    p: Annotated[int, Range(1, 4, help="power of (w1² + w2²) in Q: degeneracy of the origin")] = 1
    k: Annotated[int, Range(1, 6, help="power of w1 in Q: degeneracy of the line w1 = 0", shown=(1, 4))] = 1

    def products(self):
        return (Product((Factor(RADIUS2, self.p), Factor(W1, self.k))),)

    @property
    def box(self):
        return ((-2.0, 2.0), (-2.0, 2.0))

    @property
    def minima(self):
        radial, line = Fraction(1, 2 * self.p + self.k), Fraction(1, 2 * self.k)
        return (
            Minimum("O", ORIGIN, min(radial, line), 2 if radial == line else 1),
            _on_a_line("line w₁ = 0", (0.0, 1.0), self.k, (0.0, 1.0)),
        )


@dataclass(frozen=True)
class NormalCrossing(Landscape):
    """Q = w1^k1 w2^k2: two lines of minima that cross; lambda(O) = min 1/(2 k_i), m = 2 if k1 = k2.

    Every analytic K looks like this after a resolution of singularities.
    """

    k1: Degree = 1
    k2: Degree = 1

    def products(self):
        return (Product((Factor(W1, self.k1), Factor(W2, self.k2))),)

    @property
    def box(self):
        return ((-1.5, 1.5), (-1.5, 1.5))

    @property
    def minima(self):
        lines = (_on_a_line("line w₁ = 0", (0.0, 1.0), self.k1, (0.0, 1.0)), _on_a_line("line w₂ = 0", (1.0, 0.0), self.k2, (1.0, 0.0)))
        crossing = Minimum("O", ORIGIN, Fraction(1, 2 * max(self.k1, self.k2)), 2 if self.k1 == self.k2 else 1)
        return (crossing, *sorted(lines, key=lambda minimum: minimum.lam))


@dataclass(frozen=True)
class Cusp(Landscape):
    """Q = w1^2 - w2^3: a curve of minima with a sharp point. lambda = 5/12 at the cusp O, 1/2 along the smooth curve.

    lambda is no 1/(2 integer) here: it needs a resolution (or the Newton polygon).
    """

    def products(self):
        return (Product((Factor(((1.0, 2, 0), (-1.0, 0, 3))),)),)

    @property
    def box(self):
        return ((-1.5, 1.5), (-1.0, 1.5))

    @property
    def minima(self):
        return (Minimum("O", ORIGIN, Fraction(5, 12), 1), Minimum("smooth branch", (1.0, 1.0), Fraction(1, 2), 1))


@dataclass(frozen=True)
class Tangency(Landscape):
    """Q = (w1 - w2^2)^2 w1: a double parabola touches a line. lambda(O) = 1/4 with m = 2, as on the parabola with m = 1."""

    def products(self):
        return (Product((Factor(((1.0, 1, 0), (-1.0, 0, 2)), 2), Factor(W1))),)

    @property
    def box(self):
        return ((-1.0, 2.0), (-1.5, 1.5))

    @property
    def minima(self):
        return (
            Minimum("O", ORIGIN, Fraction(1, 4), 2),
            Minimum("parabola w₁ = w₂²", (1.0, 1.0), Fraction(1, 4), 1),
            _on_a_line("line w₁ = 0", (0.0, 1.0), 1, (0.0, 1.0)),
        )


@dataclass(frozen=True)
class Regular(Landscape):
    """Q = (w1, w2), two outputs: K = (w1^2 + w2^2)/2, the regular minimum every textbook assumes; lambda = d/2 = 1."""

    def products(self):
        return (Product((Factor(W1),)), Product((Factor(W2),)))

    @property
    def box(self):
        return ((-2.0, 2.0), (-2.0, 2.0))

    @property
    def minima(self):
        return (Minimum("O", ORIGIN, Fraction(1), 1),)


@dataclass(frozen=True)
class Bowl(Landscape):
    """Q = (w1^k1, w2^k2), two outputs: an isolated minimum of unequal degeneracy; lambda = 1/(2 k1) + 1/(2 k2): separate variables add."""

    k1: Degree = 1
    k2: Degree = 2

    def products(self):
        return (Product((Factor(W1, self.k1),)), Product((Factor(W2, self.k2),)))

    @property
    def box(self):
        return ((-2.0, 2.0), (-2.0, 2.0))

    @property
    def minima(self):
        return (Minimum("O", ORIGIN, Fraction(1, 2 * self.k1) + Fraction(1, 2 * self.k2), 1),)


@dataclass(frozen=True)
class MinimallySingular(Landscape):
    """Q = w1^2 + w2^2: an isolated but singular minimum; lambda = r/4 = 1/2 with r = 2 (half the regular value), m = 1.

    A notebook of Saghir et al. quotes r/2; that is the value of K = w1^2 + w2^2, not of its square.
    """

    def products(self):
        return (Product((Factor(RADIUS2),)),)

    @property
    def box(self):
        return ((-2.0, 2.0), (-2.0, 2.0))

    @property
    def minima(self):
        return (Minimum("O", ORIGIN, Fraction(1, 2), 1),)


@dataclass(frozen=True)
class Ring(Landscape):
    """Q = (w1^2 + w2^2 - 1)^k: a circle of equally good minima; lambda = 1/(2k) on it. The centre is no minimum."""

    k: Degree = 1

    def products(self):
        return (Product((Factor((*RADIUS2, (-1.0, 0, 0)), self.k),)),)

    @property
    def box(self):
        return ((-1.8, 1.8), (-1.8, 1.8))

    @property
    def minima(self):
        return (Minimum("ring", (1.0, 0.0), Fraction(1, 2 * self.k), 1),)

    @property
    def undefined(self):
        return (Minimum("centre", ORIGIN, None, None, "K has a maximum here (K = 1/2): the volume law describes minima only"),)


@dataclass(frozen=True)
class RotatedLine(Landscape):
    """Q = (w1 + slope w2)^k: a line of minima that is not along an axis; lambda = 1/(2k), as no change of coordinates alters it."""

    slope: Annotated[float, Range(0.1, 5, help="the line of minima is w1 = -slope·w2", shown=(0.2, 3))] = 1.0
    k: Degree = 2

    def products(self):
        return (Product((Factor(((1.0, 1, 0), (self.slope, 0, 1)), self.k),)),)

    @property
    def box(self):
        return ((-2.0, 2.0), (-2.0, 2.0))

    @property
    def minima(self):
        return (_on_a_line("line", ORIGIN, self.k, (-self.slope, 1.0)),)


CATALOGUE: dict[str, type[Landscape]] = {
    cls.__name__: cls
    for cls in (DoubleWell, TripleWell, Monomial, Valley, NormalCrossing, Tangency, Cusp, RotatedLine, Ring, MinimallySingular, Bowl, Regular)
}
