"""Exact arithmetic for polynomials in one and two variables: over the rational numbers, and over Q(alpha) where a point needs one.

A polynomial in two variables is a dict {(i, j): c}, the sum of c x^i y^j without zero terms; one in a single variable is a list of
coefficients, ascending, without trailing zeros. Coefficients are int, Fraction or Number, and mix. Factors, greatest common divisors and
resultants over Q are sympy's (imported when first needed: 0.2 s).
"""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

Terms2 = dict[tuple[int, int], object]
MOST = 150  # degree of a resultant beyond which a system is not solved: seconds
WIDEST = 8  # degree of Q(alpha) beyond which nothing is computed in it


class TooLarge(Exception):
    """An exact computation that would take too long; the text says which."""


def exact(value) -> Fraction:
    """A float as the number that was meant: 1.8 is 9/5, 0.3333333333333333 is 1/3, otherwise the decimals that are written."""
    if not isinstance(value, float):
        return Fraction(value)
    decimal = Fraction(repr(float(value)))
    if decimal.denominator < 10**12:
        return decimal
    near = Fraction(value).limit_denominator(10**6)
    return near if float(near) == value else decimal


# Polynomials in two variables


def plus(p: Terms2, q: Terms2) -> Terms2:
    total = dict(p)
    for e, c in q.items():
        total[e] = total.get(e, 0) + c
    return {e: c for e, c in total.items() if c}


def times(p: Terms2, q: Terms2) -> Terms2:
    total = {}
    for (i, j), a in p.items():
        for (k, n), b in q.items():
            e = i + k, j + n
            total[e] = total.get(e, 0) + a * b
    return {e: c for e, c in total.items() if c}


def power(p: Terms2, n: int) -> Terms2:
    total = {(0, 0): 1}
    for _ in range(n):
        total = times(total, p)
    return total


def scaled(p: Terms2, a) -> Terms2:
    return {e: a * c for e, c in p.items()} if a else {}


def derivative(p: Terms2, axis: int) -> Terms2:
    return {(i - (axis == 0), j - (axis == 1)): c * (i, j)[axis] for (i, j), c in p.items() if (i, j)[axis]}


def value(p: Terms2, x, y):
    return sum((c * x**i * y**j for (i, j), c in p.items()), 0)


def floating(p: Terms2) -> Terms2:
    """The same polynomial up to a positive constant, in floating point, with coefficients up to 1."""
    top = max(map(abs, p.values()), default=1)
    return {e: float(c / top) for e, c in p.items()}


def small(p: Terms2, x: float, y: float) -> bool:
    """Whether p is 0 at a point as far as floating point can tell for sure: below 1e-6 of its terms."""
    p = floating(p)
    return abs(value(p, x, y)) <= 1e-6 * sum(abs(c) * abs(x) ** i * abs(y) ** j for (i, j), c in p.items())


def degree(p: Terms2, axis: int | None = None) -> int:
    """The degree in one variable, or the total one; -1 for 0."""
    return max((e[axis] if axis is not None else sum(e) for e in p), default=-1)


def primitive(p: Terms2) -> Terms2:
    """The same polynomial up to a positive constant, with coprime integers."""
    if not p:
        return p
    common = math.lcm(*(Fraction(c).denominator for c in p.values()))
    whole = {e: int(c * common) for e, c in p.items()}
    divisor = math.gcd(*whole.values())
    return {e: c // divisor for e, c in whole.items()}


def shifted(p: Terms2, a, b) -> Terms2:
    """p(x + a, y + b)."""
    for axis, by in ((0, a), (1, b)):
        if by:
            moved = {}
            for e, c in p.items():
                n, other, step = e[axis], e[1 - axis], c
                for k in range(n, -1, -1):  # c by^(n-k) binomial(n, k)
                    f = (k, other) if axis == 0 else (other, k)
                    moved[f] = moved.get(f, 0) + step * math.comb(n, k)
                    step = step * by
            p = {e: c for e, c in moved.items() if c}
    return p


def sheared(p: Terms2, axis: int, b, k: int) -> Terms2:
    """p with w_axis + b w_other^k in place of w_axis."""
    moved = {}
    for e, c in p.items():
        n, other, step = e[axis], e[1 - axis], c
        for m in range(n, -1, -1):
            f = (m, other + (n - m) * k) if axis == 0 else (other + (n - m) * k, m)
            moved[f] = moved.get(f, 0) + step * math.comb(n, m)
            step = step * b
    return {e: c for e, c in moved.items() if c}


def on_line(p: Terms2, axis: int, at) -> list:
    """p as a polynomial in the other variable where w_axis = at."""
    found = [0] * (degree(p, 1 - axis) + 1)
    powers = [1]
    for _ in range(degree(p, axis)):
        powers.append(powers[-1] * at)
    for e, c in p.items():
        found[e[1 - axis]] += c * powers[e[axis]]
    return trimmed(found)


# Over Q, by sympy


@functools.cache
def _ring():
    from sympy.polys.domains import ZZ
    from sympy.polys.rings import ring

    return ring("x,y", ZZ)[0]


def _into(p: Terms2):
    return _ring().from_dict({e: int(c) for e, c in primitive(p).items()})


def _back(p) -> Terms2:
    return {tuple(e): int(c) for e, c in p.items()}


def factored(p: Terms2) -> list[tuple[Terms2, int]]:
    """The irreducible factors over Q and their powers, without constants."""
    if degree(p) < 2:
        return [(primitive(p), 1)] if degree(p) == 1 else []
    return [(_back(f), n) for f, n in _into(p).factor_list()[1]]


def common_factor(polynomials: Iterable[Terms2]) -> Terms2:
    return _back(functools.reduce(lambda p, q: p.gcd(q), map(_into, polynomials)))


def quotient(p: Terms2, q: Terms2) -> Terms2:
    """p / q up to a constant, for a divisor q."""
    return primitive(_back(_into(p).exquo(_into(q))))


def resultant(p: Terms2, q: Terms2, axis: int) -> list:
    """The polynomial in the other variable that vanishes where p and q have a common zero along w_axis (or a common pole at infinity)."""
    wide = degree(p, axis), degree(q, axis)
    if wide[0] <= 0 or wide[1] <= 0:
        lone = p if wide[0] <= 0 else q
        return on_line(lone, axis, 0)  # squared or cubed by the theory: the same zeros
    if degree(p) * degree(q) > MOST:
        raise TooLarge(f"polynomials of degree {degree(p)} and {degree(q)} meet in up to {degree(p) * degree(q)} points")
    if axis:
        p, q = ({(j, i): c for (i, j), c in h.items()} for h in (p, q))
    found = _into(p).resultant(_into(q))  # eliminates the first variable
    if not found:
        return []
    if not hasattr(found, "items"):
        return [int(found)]
    dense = [0] * (max(e[0] for e in found) + 1)
    for (e,), c in found.items():
        dense[e] = int(c)
    return dense


def _poly(u: Sequence):
    from sympy import Poly, Symbol

    common = math.lcm(*(Fraction(c).denominator for c in u))
    return Poly([int(c * common) for c in reversed(u)], Symbol("x"), domain="ZZ")


def factored1(u: list) -> list[tuple[list, int]]:
    """Irreducible factors over Q of a polynomial in one variable, integers, and their powers."""
    if len(u) < 2:
        return []
    return [([int(c) for c in reversed(f.all_coeffs())], n) for f, n in _poly(u).factor_list()[1]]


def intervals(u: list) -> list[tuple[Fraction, Fraction]]:
    """Disjoint intervals, each with one real root of an irreducible polynomial over Q, ascending."""
    return [(Fraction(int(a.p), int(a.q)), Fraction(int(b.p), int(b.q))) for (a, b), _ in _poly(u).intervals()]


def all_real_roots(u: list) -> list[float]:
    """The real roots of any polynomial over Q, each once, to floating point."""
    if len(u) < 2:
        return []
    found = []
    for part, _ in _poly(u).sqf_list()[1]:
        dense = [int(c) for c in reversed(part.all_coeffs())]
        for low, high in intervals(dense):
            rest = dense
            for end in {low, high}:
                if low < high and not horner(dense, end):  # another root is the end of this one's interval
                    rest = divided(rest, [-end, 1])[0]
            found.append(_nearest(rest, low, high) if low < high else float(low))
    return sorted(set(found))


def _signed(u: Sequence[int], over: int, bits: int) -> int:
    """2^(bits degree) u(over/2^bits): in integers, so that no fraction is reduced on the way."""
    total, scale = u[-1], 0
    for c in reversed(u[:-1]):
        scale += bits
        total = total * over + (c << scale)
    return total


def _nearest(u: list, low: Fraction, high: Fraction) -> float:
    """The one root of u between low and high, a simple one, to floating point: bisection and then Newton's method, confirmed by exact signs."""
    common = math.lcm(*(Fraction(c).denominator for c in u))
    u = [int(c * common) for c in u]
    down = slope(u)
    # in units of 2^-bits: 2^-70 of the root, or of the interval around 0
    size = max(abs(low), abs(high)) if low * high > 0 else (high - low) / 2**60
    bits = max(0, 70 - math.floor(math.log2(size)))
    a, b = math.floor(low * 2**bits), math.ceil(high * 2**bits)
    rising = horner(u, high) > 0
    goal = max(abs(a), abs(b)) >> 56
    while b - a > goal + 2:
        middle = (a + b) // 2
        here = _signed(u, middle, bits)
        if (b - a) << 12 < abs(middle):  # near enough for Newton's method
            steep, at = _signed(down, middle, bits), middle
            for _ in range(3):
                if not steep:
                    break
                at -= _signed(u, at, bits) // steep
                steep = _signed(down, at, bits)
            reach = max(goal >> 2, 1)
            ends = at - reach, at + reach
            if a < ends[0] and ends[1] < b and (_signed(u, ends[0], bits) > 0) != rising and (_signed(u, ends[1], bits) > 0) == rising:
                a, b = ends
                continue
        if here == 0:
            return float(Fraction(middle, 2**bits))
        a, b = (a, middle) if (here > 0) == rising else (middle, b)
    return float(Fraction(a + b, 2 ** (bits + 1)))


def simple_roots(u: list) -> list[float]:
    """The simple real roots of a polynomial over Q, to floating point."""
    parts = [[int(c) for c in reversed(part.all_coeffs())] for part, n in _poly(u).sqf_list()[1] if n == 1] if len(u) > 1 else []
    return [root for part in parts for root in all_real_roots(part)]


def easy_roots(u: list, rational: bool) -> list[float]:
    """Some simple real roots of a polynomial over Q, each confirmed by exact signs (rational: those with small denominators, by their value)."""
    if len(u) < 2:
        return []
    whole = [Fraction(c) for c in u]
    top, down, found = max(map(abs, whole)), slope(whole), []
    for root in np.roots([float(c / top) for c in reversed(whole)]):
        if abs(root.imag) > 1e-6 * (1 + abs(root)):
            continue
        if rational:
            near = Fraction(float(root.real)).limit_denominator(1000)
            if not horner(whole, near) and horner(down, near):
                found.append(float(near))
            continue
        at = float(root.real)
        for _ in range(3):  # Newton's method, rounded to floats in between
            steep = horner(down, Fraction(at))
            at = float(Fraction(at) - horner(whole, Fraction(at)) / steep) if steep else at
        reach = Fraction(1e-15 * (1e-3 + abs(at)))
        if horner(whole, Fraction(at) - reach) * horner(whole, Fraction(at) + reach) < 0:
            found.append(at)
    return sorted(set(found))


def between(a: float, b: float) -> Fraction:
    """A number between two others, with a small denominator."""
    middle, bits = Fraction(0.5 * (a + b)), 0
    while bits < 60:
        near = middle.limit_denominator(2**bits)
        if abs(near - middle) < 0.3 * (b - a):
            return near
        bits += 2
    return middle


# Polynomials in one variable over any of the fields


def trimmed(u: list) -> list:
    while u and not u[-1]:
        u.pop()
    return u


def horner(u, x):
    total = 0
    for c in reversed(u):
        total = total * x + c
    return total


def slope(u: list) -> list:
    return [k * c for k, c in enumerate(u)][1:]


def multiplied(u: list, v: list) -> list:
    total = [0] * max(len(u) + len(v) - 1, 0)
    for i, a in enumerate(u):
        for j, b in enumerate(v):
            total[i + j] += a * b
    return trimmed(total)


def inverse(c):
    return c.inverse() if isinstance(c, Number) else 1 / Fraction(c)


def divided(u: list, v: list) -> tuple[list, list]:
    """Quotient and remainder."""
    rest, over = list(u), inverse(v[-1])
    whole = [0] * max(len(u) - len(v) + 1, 0)
    for k in range(len(whole) - 1, -1, -1):
        c = whole[k] = rest[k + len(v) - 1] * over
        if c:
            for i, b in enumerate(v):
                rest[k + i] -= c * b
    return trimmed(whole), trimmed(rest[: len(v) - 1])


def gcd1(u: list, v: list) -> list:
    """Monic greatest common divisor."""
    while v:
        u, v = v, divided(u, v)[1]
        if v:
            over = inverse(v[-1])
            v = [c * over for c in v]
    over = inverse(u[-1]) if u else 1
    return [c * over for c in u]


def square_free(u: list) -> list[tuple[list, int]]:
    """(factor, multiplicity): Yun's decomposition, without constants."""
    found, n = [], 1
    common = gcd1(u, slope(u))
    b, c = divided(u, common)[0], divided(slope(u), common)[0]
    while len(b) > 1:
        d = [x - y for x, y in zip(_padded(c, len(b)), _padded(slope(b), len(b)), strict=True)]
        part = gcd1(b, trimmed(d))
        if len(part) > 1:
            found.append((part, n))
        b, c, n = divided(b, part)[0], divided(trimmed(d), part)[0], n + 1
    return found


def _padded(u, n):
    return list(u) + [0] * (n - len(u))


def sign(c) -> int:
    return c.sign() if isinstance(c, Number) else (c > 0) - (c < 0)


def count_real(u: list) -> int:
    """How many real roots a square-free polynomial has, by Sturm's theorem."""
    chain = [u, slope(u)]
    while len(chain[-1]) > 1:
        chain.append([-c for c in divided(chain[-2], chain[-1])[1]])
        if not chain[-1]:
            raise ValueError("not square-free")

    def changes(signs):
        signs = [s for s in signs if s]
        return sum(a != b for a, b in itertools.pairwise(signs))

    top = [sign(c[-1]) for c in chain]
    return changes([s * (-1) ** (len(c) - 1) for s, c in zip(top, chain, strict=True)]) - changes(top)


def real_roots(u: list) -> list[float]:
    """The real roots of a square-free polynomial as floats, ascending: counted exactly."""
    many = count_real(u) if len(u) > 1 else 0
    found = np.roots([float(c) for c in reversed(u)])
    found = found[np.argsort(np.abs(found.imag))][:many].real
    return sorted(float(r) for r in found)


# Q(alpha)


class Field:
    """Q(alpha): alpha is the one root of an irreducible polynomial over Q within [low, high]."""

    def __init__(self, modulus: list, low: Fraction, high: Fraction):
        self.modulus = [Fraction(c) / modulus[-1] for c in modulus]
        self.low, self.high = low, high
        self.rising = horner(self.modulus, high) > 0
        self.sharp = False

    def narrow(self) -> None:
        """A shorter interval around alpha: of 1e-33 at once, confirmed by exact signs at its ends, or of half the length."""
        if not self.sharp:
            self.sharp = True
            u, down = [float(c) for c in self.modulus], slope(self.modulus)
            low, high = float(self.low), float(self.high)
            for _ in range(60):
                middle = 0.5 * (low + high)
                low, high = (low, middle) if (horner(u, middle) > 0) == self.rising else (middle, high)
            at, grid = Fraction(0.5 * (low + high)), 2**120
            for _ in range(3):
                steep = horner(down, at)
                at = Fraction(round((at - horner(self.modulus, at) / steep) * grid), grid) if steep else at
            low, high = at - Fraction(1, 2**110), at + Fraction(1, 2**110)
            inside = self.low <= low and high <= self.high
            if inside and (horner(self.modulus, high) > 0) == self.rising != (horner(self.modulus, low) > 0):
                self.low, self.high = low, high
                return
        middle = (self.low + self.high) / 2
        if (horner(self.modulus, middle) > 0) == self.rising:
            self.high = middle
        else:
            self.low = middle

    @property
    def alpha(self) -> "Number":
        return Number([Fraction(0), Fraction(1)], self)


class Number:
    """An element of Q(alpha): the sum of c_k alpha^k, reduced."""

    __slots__ = ("c", "field")

    def __init__(self, c: list, field: Field):
        self.field = field
        if len(c) >= len(field.modulus):
            c = divided(c, field.modulus)[1]
        self.c = trimmed(list(c))

    def _of(self, other) -> list:
        return other.c if isinstance(other, Number) else [Fraction(other)] if other else []

    def __add__(self, other):
        a, b = self.c, self._of(other)
        n = max(len(a), len(b))
        return Number([x + y for x, y in zip(_padded(a, n), _padded(b, n), strict=True)], self.field)

    __radd__ = __add__

    def __neg__(self):
        return Number([-c for c in self.c], self.field)

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other

    def __mul__(self, other):
        return Number(multiplied(self.c, self._of(other)), self.field)

    __rmul__ = __mul__

    def __pow__(self, n: int):
        total = Number([Fraction(1)], self.field)
        for _ in range(n):
            total = total * self
        return total

    def inverse(self):
        u, v, a, b = self.field.modulus, self.c, [], [Fraction(1)]
        while len(v) > 1:
            whole, rest = divided(u, v)
            step = multiplied(whole, b)
            n = max(len(a), len(step))
            u, v, a, b = v, rest, b, trimmed([x - y for x, y in zip(_padded(a, n), _padded(step, n), strict=True)])
        return Number([c / v[0] for c in b], self.field)

    def __truediv__(self, other):
        return self * inverse(other)

    def __rtruediv__(self, other):
        return self.inverse() * other

    def __bool__(self):
        return bool(self.c)

    def __eq__(self, other):
        return not (self - other)

    def __hash__(self):
        return hash(tuple(self.c))

    def _bounds(self) -> tuple[Fraction, Fraction]:
        low = high = Fraction(0)
        a, b = self.field.low, self.field.high
        for c in reversed(self.c):
            ends = (low * a, low * b, high * a, high * b)
            low, high = min(ends) + c, max(ends) + c
        return low, high

    def sign(self) -> int:
        if not self.c:
            return 0
        while True:
            low, high = self._bounds()
            if low > 0 or high < 0:
                return 1 if low > 0 else -1
            self.field.narrow()

    def __float__(self):
        while True:
            low, high = self._bounds()
            if high - low <= Fraction(1, 10**18) * max(abs(low), abs(high)) or not self.c:
                return float((low + high) / 2)
            self.field.narrow()

    def __repr__(self):
        return f"{float(self):.6g}"


# Common zeros


class Point(NamedTuple):
    """A common real zero. exact: its coordinates, Fractions or Numbers; None for a simple crossing of two curves, known to floats only."""

    at: tuple[float, float]
    exact: tuple | None


def solve(polynomials: Sequence[Terms2], crossing: bool = False) -> list[Point]:
    """All real common zeros of polynomials over Q that have no common factor; TooLarge if that would take too long.

    crossing: two polynomials; where they cross simply (and at no rational point) floats are enough, as the crossing is then transversal.
    Projected on x + c y with c so that every point is rational over its projection.
    """
    polynomials = [primitive(p) for p in polynomials if p]
    if any(degree(p) == 0 for p in polynomials):
        return []
    for simple in (True, False) if crossing else (False,):
        for c in (0, 1, -1, 2) if simple else (0, 1, -1, 2, 3, 5, 7):
            turned = [sheared(p, 0, -c, 1) for p in polynomials] if c else polynomials
            found = _projected(turned, c, simple)
            if found is not None:
                return found
    raise TooLarge("common zeros that no projection separates")


def _projected(polynomials, c, simple) -> list[Point] | None:
    """The points above the roots of the shadow; None if this direction does not separate them (simple: into simple crossings)."""
    shadow = _shadow(polynomials)
    found = []
    for factor, times_ in factored1(shadow):
        if len(factor) == 2:
            u = Fraction(-factor[0], factor[1])
            fibre = functools.reduce(gcd1, (on_line(p, 0, u) for p in polynomials))
            for part, _ in factored1(fibre):
                found += [_point(u - c * y, y) for y in roots_of(part)]
            continue
        places = intervals(factor)
        if not places:
            continue
        if simple:
            if times_ > 1 or not _bounded(polynomials, factor):
                return None
            for place in places:
                u, y = _crossing(polynomials, Field(factor, *place))
                found.append(Point((u - c * y, y), None))
            continue
        if len(factor) - 1 > WIDEST:
            raise TooLarge(f"a point whose coordinates are roots of a polynomial of degree {len(factor) - 1}")
        alpha = Field(factor, *places[0]).alpha
        fibre = functools.reduce(gcd1, (on_line(p, 0, alpha) for p in polynomials))
        if len(fibre) < 2:
            continue
        fibre = divided(fibre, gcd1(fibre, slope(fibre)))[0]
        if len(fibre) > 2:
            return None
        for place in places:
            field = Field(factor, *place)
            y = Number((-fibre[0]).c if isinstance(fibre[0], Number) else [-Fraction(fibre[0])], field)
            found.append(_point(field.alpha - c * y, y))
    return found


def _point(x, y) -> Point:
    x, y = (Fraction(v.c[0] if v.c else 0) if isinstance(v, Number) and len(v.c) < 2 else v for v in (x, y))
    return Point((float(x), float(y)), (x, y))


def roots_of(part: list) -> list:
    """The real roots of an irreducible polynomial over Q, exactly: Fractions or Numbers."""
    if len(part) == 2:
        return [Fraction(-part[0]) / part[1]]
    return [Field(part, *place).alpha for place in intervals(part)]


def _shadow(polynomials) -> list:
    """A polynomial in x that vanishes on the projection of all common zeros, with few other roots."""
    first, *rest = sorted(polynomials, key=lambda p: (degree(p), len(p)))
    shadow: list = []
    for weights in ((1, 1, 1, 1, 1, 1, 1, 1), (1, 2, -1, 3, -2, 5, -3, 7), (1, -3, 2, 1, 5, -1, 4, -2), (2, -1, 5, -3, 1, 7, -4, 3)):
        mixed = functools.reduce(plus, (scaled(p, a) for p, a in zip(rest, weights, strict=False)))
        found = resultant(first, mixed, 1)
        if found:  # else this combination has a factor in common with the first
            if shadow or len(rest) == 1:
                return [int(c) for c in reversed(_poly(shadow or found).gcd(_poly(found)).all_coeffs())]
            shadow = found
    if not shadow:
        raise TooLarge("polynomials with factors in common, two by two")
    return shadow


def _bounded(polynomials, factor) -> bool:
    """Whether the power of an irreducible factor of the resultant counts crossings: above its roots none lies at infinity in y."""
    if min(degree(p, 1) for p in polynomials) < 1:
        return False
    for p in polynomials:
        tall = degree(p, 1)
        top = [0] * (degree(p, 0) + 1)
        for (i, j), c in p.items():
            if j == tall:
                top[i] += c
        if len(gcd1([Fraction(c) for c in trimmed(top)], [Fraction(c) for c in factor])) == 1:
            return True
    return False


def _crossing(polynomials, field) -> tuple[float, float]:
    x = float(field.alpha)
    fibres = [on_line(floating(p), 0, x) for p in polynomials]
    p, q = sorted(fibres, key=len)
    candidates = np.roots(p[::-1])
    best = min(candidates, key=lambda y: abs(horner(q, y)) / (sum(abs(c) * abs(y) ** k for k, c in enumerate(q)) or 1))
    return polished(polynomials, (x, float(best.real)))


def polished(polynomials, at) -> tuple[float, float]:
    """A simple common zero of two polynomials, by Newton's method."""
    polynomials = [floating(p) for p in polynomials]
    slopes = [[derivative(p, a) for a in (0, 1)] for p in polynomials]
    w = np.array(at, float)
    for _ in range(20):
        with np.errstate(all="ignore"):  # a start far from any runs away
            f = np.array([value(p, *w) for p in polynomials], float)
            jacobian = np.array([[value(slope, *w) for slope in pair] for pair in slopes], float)
            determinant = jacobian[0, 0] * jacobian[1, 1] - jacobian[0, 1] * jacobian[1, 0]
            if determinant == 0:
                break
            step = np.array([jacobian[1, 1] * f[0] - jacobian[0, 1] * f[1], jacobian[0, 0] * f[1] - jacobian[1, 0] * f[0]]) / determinant
        if not np.all(np.isfinite(step)) or np.abs(step).max() <= 1e-16 * (1 + np.abs(w).max()):
            break
        w = w - step
    return float(w[0]), float(w[1])
