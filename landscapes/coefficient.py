"""vol{K < eps} ~ c eps^lambda (-log eps)^(m-1): lambda and m of a polynomial K at a point, exactly, by Newton polygons.

One variable: lambda = 1/(order of the zero). Two: with K = sum Q_k^2 (s = 2) or K itself (s = 1), written around the point, let the diagonal
leave the Newton polygon of the Q_k (of K) at (d, d): lambda = 1/(s d), unless the face polynomial there has a real root of multiplicity
e > d. Then the change of coordinates y -> y + b x^p straightens that root, and one begins again. Only real roots count.
Sources: Varchenko 1976; Phong, Stein & Sturm 1999; for m, Greenblatt 2010.

>>> from landscapes import Cusp
>>> result = learning_coefficient(Cusp(), at=(0, 0))
>>> print(result.lam, result.multiplicity)
5/12 1
>>> print(result.steps[-1].words)
No real root has a multiplicity of d = 6/5 or more: λ = 1/(2d) = 5/12, m = 1.
"""

import functools
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from landscapes import algebra
from landscapes.algebra import Number, Terms2, degree, derivative, value
from landscapes.polynomial import Landscape

CHANGES = 60  # of coordinates: several times what polynomials of degree 16 need
NEAR = 1e-9  # a point this near to an irrational zero of K stands for it


class Undefined(ValueError):
    """lambda does not exist at this point; the text says why."""


class Undecided(ValueError):
    """lambda exists, but was not found; the text begins with "not decided because"."""

    def __init__(self, because):
        super().__init__(f"not decided because {because}")


class Polygon(NamedTuple):
    """A Newton polygon. points: exponents (i, j) that occur. vertices: from the upper left to the lower right; compact edges lie between
    neighbours, one ray goes up from the first, one to the right from the last. The diagonal leaves it at (distance, distance), on a "vertex", an
    "edge" (its two ends) or a "ray" (its one end): `where`, `part`."""

    points: tuple[tuple[int, int], ...]
    vertices: tuple[tuple[int, int], ...]
    distance: Fraction
    where: str
    part: tuple[tuple[int, int], ...]


class Face(NamedTuple):
    """The face polynomial in z = y^q / x^p (LaTeX) and its real non-zero roots (value, multiplicity), the most multiple first."""

    q: int
    p: int
    latex: str
    roots: tuple[tuple[float, int], ...]


class Change(NamedTuple):
    """y -> y + coefficient x^power (variable "y"), or x -> x + coefficient y^power."""

    variable: str
    coefficient: float
    power: int


@dataclass(frozen=True)
class Step:
    """One step of the argument. kind: shift, order, polygon, face, change, branch, crossing, regular or result. In words (plain text) and in LaTeX
    (no dollars); x and y are coordinates from the point. `polygon`, `face` and `change` are what a picture of that step shows."""

    kind: str
    words: str
    latex: str
    polygon: Polygon | None = None
    face: Face | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Coefficient:
    """lambda and its multiplicity m at a point, and the steps that lead there."""

    lam: Fraction
    multiplicity: int
    at: tuple[float, ...]
    steps: tuple[Step, ...]


def learning_coefficient(landscape: Landscape, at=(0, 0)) -> Coefficient:
    """Exact (lambda, m) of K at a real point `at`, one number a variable.

    A float is the decimal number that is written (1.8 is 9/5); a point within 1e-9 of an irrational zero of K stands for that zero. At a local
    minimum with K > 0 they are those of K - K(at). Raises Undefined where the point is no minimum, and Undecided where the answer was not
    found; both are ValueErrors that say why.
    """
    point = _point(landscape, at)
    system = system_of(landscape)
    if not system.outputs:
        raise Undefined("K is 0 everywhere: the volume of K < eps does not shrink")
    exact = tuple(map(algebra.exact, point))
    simple = tuple(a.limit_denominator(10**6) if abs(a - a.limit_denominator(10**6)) < 1e-12 else a for a in exact)
    for candidate in dict.fromkeys((exact, simple)):
        if system.vanishes(candidate):
            lam, m, steps = at_zero(system, candidate)
            return Coefficient(lam, m, point, steps)
    for curve in system.common:
        if smooth(system, curve, point):
            lam, m, steps = on_curve(system, curve)
            return Coefficient(lam, m, point, steps)
    from landscapes.zeros import place_near  # it looks for all zeros by means of this file

    place = place_near(landscape, point)
    if place is None:
        here = float(landscape.K(point))
        raise Undefined(f"K = {here:.4g} at {show_point(point)} and its gradient is not 0: no minimum, and the volume law describes minima only")
    if place.minimum.lam is None:
        raise (Undecided if place.undecided else Undefined)(place.minimum.why.removeprefix("not decided because "))
    return Coefficient(place.minimum.lam, place.minimum.multiplicity, point, place.steps)


def _point(landscape, at) -> tuple[float, ...]:
    try:
        entries = [float(a) for a in np.atleast_1d(np.asarray(at, float))]
    except (TypeError, ValueError):
        entries = []
    if landscape.dim == 1 and len(entries) == 2 and entries[1] == 0:
        entries = entries[:1]
    if len(entries) != landscape.dim or not all(map(math.isfinite, entries)):
        raise ValueError(f"at = {at!r}; give one finite number for each of the {landscape.dim} variable(s)")
    return tuple(entries)


# What K is made of


class Output(NamedTuple):
    """scale * product of primitive integer polynomials to their powers; no constant among them."""

    scale: Fraction
    factors: tuple[tuple[Terms2, int], ...]


class System:
    """K = sum of squares of the outputs / 2 (square = 2), or their sum (one output, K itself: square = 1), exactly."""

    def __init__(self, outputs: tuple[Output, ...], square: int, dim: int):
        self.outputs, self.square, self.dim = outputs, square, dim

    def vanishes(self, point) -> bool:
        """Whether K is 0 at an exact point."""
        x, y = (*point, 0)[:2]
        return all(any(not value(f, x, y) for f, _ in output.factors) for output in self.outputs)

    @functools.cached_property
    def irreducible(self) -> list[list[tuple[Terms2, int]]]:
        """The factors over Q of each output."""
        found = []
        for output in self.outputs:
            powers: dict = {}
            for f, n in output.factors:
                for g, k in algebra.factored(f):
                    key = tuple(sorted(g.items()))
                    powers[key] = powers.get(key, 0) + n * k
            found.append([(dict(key), n) for key, n in powers.items()])
        return found

    @functools.cached_property
    def common(self) -> list[tuple[Terms2, int]]:
        """The irreducible factors over Q that all outputs have, with their least power: the curves where K is 0."""
        first, *rest = self.irreducible
        others = [{tuple(sorted(f.items())): n for f, n in output} for output in rest]
        shared = ((f, min([n, *(o.get(tuple(sorted(f.items())), 0) for o in others)])) for f, n in first)
        return [(f, n) for f, n in shared if n]

    @functools.cached_property
    def cofactors(self) -> list[Terms2]:
        """What is left of each output without the common factors: {(0, 0): scale} for a single one."""
        common = {tuple(sorted(f.items())): n for f, n in self.common}
        found = []
        for output, factors in zip(self.outputs, self.irreducible, strict=True):
            left = [(f, n - common.get(tuple(sorted(f.items())), 0)) for f, n in factors]
            whole = expanded(left)
            # the scale by which integer factors differ from the output: compare one coefficient of the whole
            ratio = output.scale * _lead(output.factors) / _lead(factors)
            found.append(algebra.scaled(whole, ratio))
        return found


def _lead(factors) -> Fraction:
    """The coefficient of the leading term (lexicographic) of a product."""
    return math.prod((Fraction(f[max(f)]) ** n for f, n in factors), start=Fraction(1))


def expanded(factors) -> Terms2:
    whole = {(0, 0): 1}
    for f, n in factors:
        whole = algebra.times(whole, algebra.power(f, n))
    return whole


@functools.lru_cache(maxsize=64)
def system_of(landscape: Landscape) -> System:
    """The exact polynomials of a landscape; outputs that are 0 everywhere are left out."""
    outputs = []
    for product in landscape.products():
        scale, factors = algebra.exact(product.scale), []
        for factor in product.factors:
            terms: Terms2 = {}
            for c, i, j in factor.terms if factor.power else ((1, 0, 0),):
                terms = algebra.plus(terms, {(i, j): algebra.exact(c)})
            whole = algebra.primitive(terms)
            scale *= (Fraction(terms[max(terms)]) / whole[max(whole)]) ** factor.power if terms else 0
            if degree(whole) > 0:
                factors.append((whole, factor.power))
            elif whole:
                scale *= Fraction(whole[0, 0]) ** factor.power
        if scale:
            outputs.append(Output(scale, tuple(factors)))
    return System(tuple(outputs), 2 if landscape.of == "Q" else 1, landscape.dim)


# One point


def at_zero(system: System, point: tuple) -> tuple[Fraction, int, tuple[Step, ...]]:
    """(lambda, m, steps) at an exact zero of K (Fractions or Numbers)."""
    a, b = (*point, 0)[:2]
    local = [[(algebra.shifted(f, a, b), n) for f, n in output.factors] for output in system.outputs]
    # factors that are not 0 here are units: they change nothing
    local = [[(f, n) for f, n in factors if (0, 0) not in f] for factors in local]
    units = sum(map(len, (output.factors for output in system.outputs))) - sum(map(len, local))
    if system.dim == 1:
        return _at_root(system, point, local)
    generators = [expanded(factors) for factors in local]
    steps, changes, s = [_shift_step(point, generators, units)], [], system.square
    for _ in range(CHANGES):
        polygon = newton(set().union(*generators))
        d = polygon.distance
        steps.append(_polygon_step(polygon, len(generators)))
        if polygon.where != "edge":
            reason = "a vertex" if polygon.where == "vertex" else "an unbounded side"
            return _concluded(steps, s, d, "d", 2 if polygon.where == "vertex" else 1, f"The diagonal leaves through {reason}")
        (i0, j0), (i1, j1) = polygon.part
        length = math.gcd(i1 - i0, j0 - j1)
        p, q = (i1 - i0) // length, (j0 - j1) // length
        faces = [algebra.trimmed([f.get((i1 - k * p, j1 + k * q), 0) for k in range(length + 1)]) for f in generators]
        shared = functools.reduce(algebra.gcd1, (face for face in faces if face)) if len(faces) > 1 else faces[0]
        parts = [(part, n) for part, n in algebra.square_free(shared) if algebra.count_real(part)]
        roots = sorted(((root, n) for part, n in parts for root in algebra.real_roots(part)), key=lambda found: (-found[1], found[0]))
        steps.append(_face_step(Face(q, p, _latex1(shared), tuple(roots)), d, len(generators)))
        part, e = max(parts, key=lambda found: found[1], default=(None, 0))
        if e < d:
            return _concluded(steps, s, d, "d", 1, f"No real root has a multiplicity of d = {d} or more")
        if e == d:
            return _concluded(steps, s, d, "d", 2, f"A real root has the multiplicity e = d = {d}")
        b = -part[0] * algebra.inverse(part[1])  # no other root has this multiplicity, so it lies in the field, and p or q is 1
        whole, reduced = _common(system, point, changes)
        if _multiplicity(whole, p, q, b) == e and _multiplicity(reduced, p, q, b) == 1:
            steps.append(_branch_step(b, p, q, e))
            return _concluded(steps, s, Fraction(e), "e", 1, "With the branch for an axis the diagonal leaves through an unbounded side at height e")
        changes.append((1, b, p) if q == 1 else (0, algebra.inverse(b), q))
        steps.append(_change_step(*changes[-1], e, d))
        generators = [algebra.sheared(f, *changes[-1]) for f in generators]
    raise Undecided(f"{CHANGES} changes of coordinates led to no end")


def newton(support) -> Polygon:
    """The Newton polygon of a set of exponents (i, j), and where the diagonal leaves it."""
    lowest: dict[int, int] = {}
    for i, j in support:
        lowest[i] = min(j, lowest.get(i, j))
    corners: list[tuple[int, int]] = []
    for i, j in sorted(lowest.items()):
        if corners and j >= corners[-1][1]:
            continue
        while len(corners) > 1 and _turns(corners[-2], corners[-1], (i, j)) <= 0:
            corners.pop()
        corners.append((i, j))
    points, vertices = tuple(sorted(support)), tuple(corners)
    (i0, j0), (i1, j1) = vertices[0], vertices[-1]
    for i, j in vertices:
        if i == j:
            return Polygon(points, vertices, Fraction(i), "vertex", ((i, j),))
    if i0 > j0:
        return Polygon(points, vertices, Fraction(i0), "ray", (vertices[0],))
    if i1 < j1:
        return Polygon(points, vertices, Fraction(j1), "ray", (vertices[-1],))
    at = next(k for k, (i, j) in enumerate(vertices) if i > j)
    (i0, j0), (i1, j1) = vertices[at - 1 : at + 1]
    p, q = i1 - i0, j0 - j1
    return Polygon(points, vertices, Fraction(q * i0 + p * j0, p + q), "edge", ((i0, j0), (i1, j1)))


def _turns(a, b, c) -> int:
    """Positive where the path a, b, c turns left."""
    return (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])


def _common(system, point, changes) -> tuple[Terms2, Terms2]:
    """The common factor of the outputs and its square-free part, in the present coordinates around the point."""
    around = [(algebra.shifted(f, *point), n) for f, n in system.common]
    around = [(f, n) for f, n in around if (0, 0) not in f]
    found = expanded(around), expanded([(f, 1) for f, _ in around])
    for change in changes:
        found = tuple(algebra.sheared(f, *change) for f in found)
    return found


def _multiplicity(f: Terms2, p: int, q: int, b) -> int:
    """How often z = b is a root of the part of f of least weight q i + p j, as a polynomial in z = y^q / x^p."""
    least = min(q * i + p * j for i, j in f)
    face = {j: c for (i, j), c in f.items() if q * i + p * j == least}
    low = min(face)
    z = algebra.trimmed([face.get(low + k * q, 0) for k in range((max(face) - low) // q + 1)])
    n = 0
    while len(z) > 1 and not algebra.horner(z, b):
        z, n = algebra.divided(z, [-b, 1])[0], n + 1
    return n


def _at_root(system, point, local):
    """One variable: K vanishes to the order s * (the least order of an output)."""
    order = system.square * min(sum(n * min(i for i, _ in f) for f, n in factors) for factors in local)
    where = f"x = {_from('w', point[0])}"
    step = Step("order", f"K vanishes like x^{order}, {where}", rf"K \sim x^{{{order}}},\quad {where.replace('−', '-')}")
    return Fraction(1, order), 1, (step, Step("result", f"λ = 1/{order}, m = 1.", rf"\lambda = \frac{{1}}{{{order}}},\quad m = 1"))


def plainly_positive(f: Terms2) -> bool:
    """Whether f >= 0 near the origin for sure: its vertices are even and positive and its face polynomials have no real root beside 0."""
    polygon = newton(f)
    if any(i % 2 or j % 2 or algebra.sign(f[i, j]) < 0 for i, j in polygon.vertices):
        return False
    for (i0, j0), (i1, j1) in itertools.pairwise(polygon.vertices):
        length = math.gcd(i1 - i0, j0 - j1)
        p, q = (i1 - i0) // length, (j0 - j1) // length
        face = [f.get((i1 - k * p, j1 + k * q), 0) for k in range(length + 1)]
        if any(algebra.count_real(part) for part, _ in algebra.square_free(face)):
            return False
    return True


# Points on curves where one needs no exact coordinates


def smooth(system: System, curve: tuple[Terms2, int], point) -> bool:
    """Whether this common factor vanishes within NEAR of a point given in floats, not singularly, and nothing else does."""
    f, _ = curve
    x, y = (*point, 0.0)[:2]
    plain = algebra.floating(f)
    steep = math.hypot(*(value(derivative(plain, axis), x, y) for axis in (0, 1)))
    size = sum(abs(c) * abs(x) ** i * abs(y) ** j for (i, j), c in plain.items())
    if not (steep > 1e-6 * size and abs(value(plain, x, y)) <= NEAR * steep):
        return False
    others = [g for g, _ in system.common if g is not f]
    return all(not algebra.small(g, x, y) for g in others) and not all(algebra.small(h, x, y) for h in system.cofactors)


def on_curve(system: System, curve: tuple[Terms2, int]) -> tuple[Fraction, int, tuple[Step, ...]]:
    """(lambda, m, steps) at every smooth point of the curve of a common factor where nothing else vanishes: K ~ u^(s n) across it."""
    f, n = curve
    order = system.square * n
    words = f"In a coordinate u across {show(f, system.dim)} = 0, a simple zero of this factor, K behaves like u^{order}."
    steps = (
        Step("branch", words, rf"K \sim u^{{{order}}},\quad u = {latex(f, system.dim)}"),
        Step("result", f"λ = 1/{order}, m = 1.", rf"\lambda = \frac{{1}}{{{order}}},\quad m = 1"),
    )
    return Fraction(1, order), 1, steps


def at_crossing(system: System, first: tuple[Terms2, int], second: tuple[Terms2, int]) -> tuple[Fraction, int, tuple[Step, ...]]:
    """(lambda, m, steps) where the curves of two common factors cross transversally and nothing else vanishes."""
    s, (f, a), (g, b) = system.square, first, second
    top, m = s * max(a, b), 2 if a == b else 1
    words = f"{show(f, 2)} = 0 and {show(g, 2)} = 0 cross here and do not touch; with both for axes K behaves like u^{s * a} v^{s * b}."
    steps = (
        Step("crossing", words, rf"K \sim u^{{{s * a}}} v^{{{s * b}}},\quad u = {latex(f, 2)},\; v = {latex(g, 2)}"),
        Step("result", f"λ = 1/{top}, m = {m}.", rf"\lambda = \frac{{1}}{{{top}}},\quad m = {m}"),
    )
    return Fraction(1, top), m, steps


def regular(system: System) -> tuple[Fraction, int, tuple[Step, ...]]:
    """(lambda, m, steps) where two outputs vanish and their gradients are independent: K ~ u^2 + v^2."""
    names = " and ".join(show(h, 2) for h in system.cofactors)
    steps = (
        Step("regular", f"{names} vanish here, simply and transversally; with both for coordinates K behaves like u² + v².", r"K \sim u^2 + v^2"),
        Step("result", "λ = 2/2 = 1, m = 1.", r"\lambda = \frac{2}{2},\quad m = 1"),
    )
    return Fraction(1), 1, steps


# Words


def _concluded(steps, s: int, d: Fraction, letter: str, m: int, because: str):
    lam = 1 / (s * d)
    factor = "" if s == 1 else str(s)
    words = f"{because}: λ = 1/({factor}{letter}) = {lam}, m = {m}." if s > 1 else f"{because}: λ = 1/{letter} = {lam}, m = {m}."
    tex = rf"\lambda = \frac{{1}}{{{factor}{letter}}} = {tex_number(lam)},\quad m = {m}"
    return lam, m, (*steps, Step("result", words, tex))


def _from(name: str, a) -> str:
    return name if not a else f"{name} {'−' if float(a) > 0 else '+'} {_plain(abs(a) if isinstance(a, Fraction) else abs(float(a)))}"


def _plain(c) -> str:
    return str(c).replace("-", "−") if isinstance(c, int | Fraction) else f"{float(c):.6g}".replace("-", "−")


def _term(c, letter: str, k: int) -> str:
    """|c| letter^k."""
    size = _plain(abs(c) if isinstance(c, int | Fraction) else abs(float(c)))
    return f"{'' if size == '1' else size + ' '}{letter}" + ("" if k == 1 else f"^{k}")


def show_point(point) -> str:
    """(1, −1/2), or a single number."""
    entries = ", ".join(_plain(a) for a in point)
    return f"({entries})" if len(point) > 1 else entries


def _shift_step(point, generators, units: int) -> Step:
    moved = f"x = {_from('w₁', point[0])}, y = {_from('w₂', point[1])}" if any(point) else "x = w₁, y = w₂"
    ignored = f"; {units} factor{'s' * (units > 1)} that {'are' if units > 1 else 'is'} not 0 here change nothing" if units else ""
    named = ", ".join(show(f, 2, "xy") for f in generators)
    tex = r",\; ".join(latex(f, 2, "xy") for f in generators)
    return Step("shift", f"Around the point, with {moved}: {named}{ignored}.", rf"\left\lbrace {tex} \right\rbrace" if len(generators) > 1 else tex)


def _polygon_step(polygon: Polygon, many: int) -> Step:
    corners = ", ".join(f"({i}, {j})" for i, j in polygon.vertices)
    of = "all exponents of the outputs" if many > 1 else "the exponents"
    words = f"The Newton polygon of {of} has the vertices {corners}; the diagonal leaves it at d = {polygon.distance}."
    return Step("polygon", words, rf"d = {tex_number(polygon.distance)}", polygon=polygon)


def _face_step(face: Face, d: Fraction, many: int) -> Step:
    z = "y" + ("" if face.q == 1 else f"^{face.q}") + "/x" + ("" if face.p == 1 else f"^{face.p}")
    found = ", ".join(f"{root:.6g} ({n}-fold)" if n > 1 else f"{root:.6g}" for root, n in face.roots).replace("-", "−").replace("−fold", "-fold")
    roots = f"the real root{'s' * (len(face.roots) > 1)} {found}" if face.roots else "no real root"
    gcd = "the greatest common divisor of the outputs' face polynomials" if many > 1 else "the face polynomial"
    words = f"On that edge {gcd} in z = {z} has {roots} beside 0; d = {d}."
    tex_z = rf"z = y{_tex_power(face.q)}/x{_tex_power(face.p)}"
    return Step("face", words, rf"{face.latex},\quad {tex_z}", face=face)


def _change_step(axis: int, c, k: int, e: int, d: Fraction) -> Step:
    a, b = ("x", "y") if axis == 0 else ("y", "x")
    new = f"{a} {'−' if float(c) < 0 else '+'} {_term(c, b, k)}"
    words = f"That root is too multiple for these coordinates (e = {e} > d = {d}): put {new} in the place of {a}."
    return Step("change", words, rf"{a} \to {a} {_tex_term(c)}{b}{_tex_power(k)}", change=Change(a, float(c), k))


def _branch_step(b, p: int, q: int, e: int) -> Step:
    left, c, right, k = ("y", b, "x", p) if q == 1 else ("x", algebra.inverse(b), "y", q)
    curve = f"{left} = {'−' if float(c) < 0 else ''}{_term(c, right, k)} + …"
    tex = rf"{left} = {_tex_term(c).removeprefix('+ ')}{right}{_tex_power(k)} + \cdots"
    words = f"One smooth branch {curve} of multiplicity e = {e} starts like that root: changes of coordinates, maybe without end, make it an axis."
    return Step("branch", words, rf"{tex},\quad e = {e}")


def tex_number(c) -> str:
    if isinstance(c, Number):
        return f"{float(c):.4g}"
    c = Fraction(c)
    minus = "-" if c < 0 else ""
    return f"{c}" if c.denominator == 1 else rf"{minus}\frac{{{abs(c.numerator)}}}{{{c.denominator}}}"


def _tex_term(c) -> str:
    """A signed coefficient before a letter."""
    text = tex_number(c)
    sign, size = ("-", text[1:]) if text.startswith("-") else ("+", text)
    return f"{sign} {'' if size == '1' else size + ' '}"


def _tex_power(k: int) -> str:
    return "" if k == 1 else f"^{{{k}}}"


LONGEST = 8  # terms of a polynomial that are written out


def _written(f: Terms2, names, number, raised, times: str, ellipsis: str) -> str:
    parts = []
    # around a point from below, as the Newton polygon sees it; else from above
    terms = sorted(f.items(), key=lambda term: (sum(term[0]) if names == "xy" else -sum(term[0]), term[0][1]))
    for (i, j), c in terms[:LONGEST]:
        letters = "".join(name + raised(e) for name, e in zip(names, (i, j), strict=False) if e)
        minus = float(c) < 0
        size = number(-c if minus else c)
        parts.append(("−" if minus else "+") + (letters if letters and size == "1" else size + (times if letters else "") + letters))
    text = " ".join(part[0] + " " + part[1:] for part in parts)
    text = text.removeprefix("+ ") if text.startswith("+") else text.replace("− ", "−", 1)
    return text + (ellipsis if len(terms) > LONGEST else "") if parts else "0"


SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


def show(f: Terms2, dim: int, names=None) -> str:
    """A polynomial as plain text: w₁ − w₂²."""
    return _written(f, names or (("w",) if dim == 1 else ("w₁", "w₂")), _plain, lambda e: "" if e == 1 else str(e).translate(SUPERSCRIPT), "", " + …")


def latex(f: Terms2, dim: int, names=None) -> str:
    """A polynomial in LaTeX."""
    names = names or (("w",) if dim == 1 else ("w_1", "w_2"))
    return _written(f, names, tex_number, _tex_power, "", r" + \cdots").replace("−", "-")


def _latex1(u: list) -> str:
    return latex({(k, 0): c for k, c in enumerate(u) if c}, 1, ("z",))
