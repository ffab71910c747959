"""Where K is 0, and its other critical points: all of them, each with its exact (lambda, m) or the reason why it has none.

K = 0 on the curves of the factors that all outputs share, with lambda = 1/(s n) at every smooth point of a curve of power n, and at points:
where a curve is singular, where curves meet, and where all outputs vanish by themselves. Those points are the common zeros of polynomials
over Q: exact.
"""

import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from landscapes import algebra
from landscapes.algebra import Point, Terms2, TooLarge, degree, derivative, value
from landscapes.coefficient import (
    NEAR,
    Output,
    Step,
    System,
    Undecided,
    Undefined,
    at_crossing,
    at_zero,
    expanded,
    on_curve,
    plainly_positive,
    regular,
    show,
    show_point,
    system_of,
)
from landscapes.polynomial import Landscape, Minimum
from landscapes.quadrature import checked_box

ONLY_MINIMA = "the volume law describes minima only"
NICE = tuple(map(Fraction, (1, -1, 2, -2, 0, 0.5, -0.5, 3, -3)))  # first tries for a point on a curve


class Place(NamedTuple):
    """A point of interest. k: K there, 0.0 exactly on zeros. undecided: lambda exists, but was not found."""

    minimum: Minimum
    steps: tuple[Step, ...] = ()
    k: float = 0.0
    undecided: bool = False


class Zeros(NamedTuple):
    """minima: isolated zeros of K and one point for each curve of them, the most degenerate first, then local minima with K > 0, for which
    lambda is that of K - K(at). undefined: other critical points, and zeros where lambda was not found; `why` tells. lam, multiplicity: of all
    zeros in the box together (None if there is none, or not all are known). missing: what could not be searched, or nothing."""

    minima: tuple[Minimum, ...]
    undefined: tuple[Minimum, ...]
    lam: Fraction | None
    multiplicity: int | None
    missing: str


def minima(landscape: Landscape, box=None) -> Zeros:
    """All zeros and critical points of K inside the box (default: the landscape's own); those on its edge are left out."""
    return _minima(landscape, checked_box(landscape, box))


@functools.lru_cache(maxsize=64)
def _minima(landscape: Landscape, box) -> Zeros:
    system = system_of(landscape)
    if not system.outputs:
        return Zeros((), (), None, None, "K is 0 everywhere")
    points, missing = _isolated(system)
    others, unsearched = _critical(landscape)
    inside = [place for place in points if _inside(place.minimum.at, box)]
    inside += _curves(system, box, tuple(place.minimum.at for place in points))
    zeros = sorted((p for p in inside if not p.undecided), key=lambda p: (p.minimum.lam, -p.minimum.multiplicity))
    others = [place for place in others if _inside(place.minimum.at, box)] + _critical_curves(landscape, box)
    higher = sorted((p for p in others if p.minimum.lam is not None), key=lambda p: p.k)
    rest = [p for p in inside if p.undecided] + [p for p in others if p.minimum.lam is None]
    known = zeros and not missing and len(zeros) == sum(p.k == 0 for p in inside)
    first = zeros[0].minimum if known else Minimum("", (), None, None)
    named = _distinct([p.minimum for p in (*zeros, *higher, *rest)])
    many = len(zeros) + len(higher)
    return Zeros(tuple(named[:many]), tuple(named[many:]), first.lam, first.multiplicity, "; ".join(filter(None, (missing, unsearched))))


def place_near(landscape: Landscape, point) -> Place | None:
    """The isolated zero or critical point within 1e-9 of a point; Undecided if not all of them are known."""
    points, missing = _isolated(system_of(landscape))
    others, _ = _critical(landscape)
    for place in (*points, *others):
        if max(abs(a - b) for a, b in zip(place.minimum.at, point, strict=True)) <= NEAR * (1 + max(map(abs, point))):
            return place
    if missing and landscape.K(point) < 1e-12:
        raise Undecided(missing)
    if np.abs(landscape.gradient(point)).max() <= 1e-9 * np.abs(landscape.hessian(point)).max():  # a point of a critical curve, or one not searched
        return _classified(landscape, point)
    return None


def extent(landscape: Landscape) -> list[tuple[float, ...]]:
    """Points among which everything interesting about K = 0 lies: isolated zeros, and where curves turn; else a zero, or a critical point."""
    system = system_of(landscape)
    found = [place.minimum.at for place in _isolated(system)[0]]
    if landscape.dim == 2:
        for f, _ in system.common:
            found += _turning(f)
    if not found:
        everywhere = ((-1e6, 1e6),) * landscape.dim
        found = [place.minimum.at for place in _curves(system, everywhere, ())]
    return found or [place.minimum.at for place in _critical(landscape)[0]]


def _inside(at, box) -> bool:
    return all(low < a < high for a, (low, high) in zip(at, box, strict=True))


def _distinct(found: list[Minimum]) -> list[Minimum]:
    """With a number behind names that repeat."""
    seen: dict[str, int] = {}
    named = []
    for minimum in found:
        seen[minimum.name] = seen.get(minimum.name, 0) + 1
        named.append(minimum if seen[minimum.name] == 1 else minimum._replace(name=f"{minimum.name} #{seen[minimum.name]}"))
    return named


def _name(at) -> str:
    if len(at) == 2 and not any(at):
        return "O"
    return show_point(tuple(float(f"{a:.4g}") + 0.0 for a in at))


# Zeros of K


@functools.lru_cache(maxsize=64)
def _isolated(system: System) -> tuple[tuple[Place, ...], str]:
    """Zeros of K that are not a smooth point of just one curve; and what could not be searched."""
    if system.dim == 1:
        found = []
        for f, n in system.common:
            lam, m, steps = on_curve(system, (f, n))
            found += [Place(Minimum(_name(at), at, lam, m), steps) for at in (_floats([root]) for root in algebra.roots_of(algebra.on_line(f, 1, 0)))]
        return tuple(sorted(found, key=lambda place: place.minimum.at)), ""
    single = len(system.outputs) == 1
    searches = [([f, derivative(f, 0), derivative(f, 1)], None) for f, _ in system.common if degree(f) > 1]
    searches += [([f[0], g[0]], (f, g)) for f, g in itertools.combinations(system.common, 2)]
    if not single:  # where two outputs cross simply and no common factor vanishes, K is regular
        searches.append((system.cofactors, () if len(system.outputs) == 2 else None))
    found, missing = [], []
    for polynomials, pair in searches:
        try:
            found += [(point, pair) for point in algebra.solve(polynomials, crossing=pair is not None)]
        except TooLarge as reason:
            missing.append(f"not all zeros of K were found: {reason}")
    found.sort(key=lambda item: item[0].exact is None)  # exact ones first: of equal points they stay
    kept: list[tuple[Point, tuple | None]] = []
    for point, pair in found:
        if all(math.dist(point.at, other.at) > NEAR * (1 + math.hypot(*point.at)) for other, _ in kept):
            kept.append((point, pair))
    return tuple(_zero(system, point, pair) for point, pair in kept), "; ".join(dict.fromkeys(missing))


def _floats(exact) -> tuple[float, ...]:
    return tuple(float(a) + 0.0 for a in exact)


def _zero(system, point: Point, pair) -> Place:
    try:
        if point.exact is not None:
            lam, m, steps = at_zero(system, point.exact)
        else:
            rest = [g for g, _ in system.common if all(g is not f for f, _ in pair)]
            if any(algebra.small(g, *point.at) for g in rest) or (pair and all(algebra.small(h, *point.at) for h in system.cofactors)):
                raise Undecided("more than two curves seem to meet at a point with irrational coordinates")
            lam, m, steps = at_crossing(system, *pair) if pair else regular(system)
    except (Undecided, Undefined) as why:
        return Place(Minimum(_name(point.at), point.at, None, None, str(why)), undecided=True)
    return Place(Minimum(_name(point.at), tuple(a + 0.0 for a in point.at), lam, m), steps)


def _curves(system, box, special) -> list[Place]:
    """One smooth point of each factor that is 0 along a curve inside the box."""
    found = []
    for f, n in system.common if system.dim == 2 else ():
        try:
            at = _point_on(f, box, special, [g for g, _ in system.common if g is not f])
        except TooLarge:
            continue  # neither could its singular points be searched: that is said there
        if at is None:
            continue
        lam, m, steps = on_curve(system, (f, n))
        along, kind = None, "curve"
        if degree(f) == 1:
            along, kind = (-float(f.get((0, 1), 0)) + 0.0, float(f.get((1, 0), 0))), "line"
        shown = f if show(f, 2)[0] != "−" else algebra.scaled(f, -1)
        name = f"{kind} {show(shown, 2)} = 0" if len(f) <= 6 else f"curve of degree {degree(f)}"
        found.append(Place(Minimum(name, at, lam, m, along=along), steps))
    return found


def _point_on(f: Terms2, box, special, others) -> tuple[float, float] | None:
    """A smooth point of f = 0 inside the box, away from special points and other curves, rational if one is easily found; None if there is none."""
    searches = _points_on(f, box, rational_only=True), _points_on(f, box), _points_on(f, box, thorough=True)
    for candidate in itertools.chain.from_iterable(searches):
        if all(math.dist(candidate, other) > 1e-6 for other in special) and not any(algebra.small(g, *candidate) for g in others):
            return candidate
    return None


def _points_on(f: Terms2, box, rational_only: bool = False, thorough: bool = False) -> Iterator[tuple[float, float]]:
    """Smooth real points of f = 0 inside the box, on a few lines; thorough: on lines between all at which the number of points can change,
    so that every curve is met."""
    for axis in (0, 1):
        other = 1 - axis
        if degree(f, other) < 1:
            continue
        (low, high), (bottom, top) = box[axis], box[other]
        if thorough:
            ends = {float(a) for a in (low, high)}
            turns = algebra.resultant(f, derivative(f, other), other) if degree(f, other) > 1 else []  # TooLarge: as for the singular points
            for u in (turns, *(algebra.on_line(f, other, algebra.exact(float(side))) for side in (bottom, top))):
                ends |= {a for a in algebra.all_real_roots(u) if low < a < high}
            lines = [algebra.between(a, b) for a, b in itertools.pairwise(sorted(ends)) if b > a]
        else:
            lines = [a for a in NICE if low < a < high] or [algebra.exact(low + (high - low) * k / 8) for k in range(1, 8)]
        for at in lines:
            fibre = algebra.on_line(f, axis, at)
            for root in algebra.simple_roots(fibre) if thorough else algebra.easy_roots(fibre, rational_only):  # where it is multiple
                if bottom < root < top:  # the curve touches the line: it may be singular there
                    point = (float(at), root + 0.0)
                    yield point if axis == 0 else point[::-1]


def _turning(f: Terms2) -> list[tuple[float, float]]:
    """Points of f = 0 where the curve is parallel to an axis: the corners of its box are among their coordinates."""
    found = []
    for axis in (0, 1):
        slope = derivative(f, axis)
        if degree(slope) < 1:
            continue
        try:
            found += _simple(f, slope)
        except TooLarge:
            continue
    return found


def _simple(a: Terms2, b: Terms2) -> list[tuple[float, float]]:
    """Common real zeros of two polynomials to floating point; where they touch, some may be missed."""
    found: list[tuple[float, float]] = []
    if degree(a) <= 0 or degree(b) <= 0:
        return found
    for x in algebra.all_real_roots(algebra.resultant(a, b, 1)):
        fibre = max((algebra.on_line(algebra.floating(p), 0, x) for p in (a, b)), key=len)
        for y in np.roots(fibre[::-1]):
            if abs(y.imag) > 0.01 * (1 + abs(y)):
                continue
            at = algebra.polished((a, b), (x, float(y.real)))
            # a start off a common zero runs away, or meets one of another x
            if abs(at[0] - x) > 1e-6 * (1 + abs(x)) or abs(at[1] - y) > 1e-3 * (1 + abs(y)) or not (algebra.small(a, *at) and algebra.small(b, *at)):
                continue
            at = tuple(float(f"{c:.15g}") + 0.0 if abs(c) > 1e-12 else 0.0 for c in at)
            if all(math.dist(at, other) > 1e-6 * (1 + math.hypot(*at)) for other in found):
                found.append(at)
    return found


# Critical points with K > 0


@functools.lru_cache(maxsize=64)
def _stationary(system: System) -> tuple[Terms2, Terms2]:
    """Polynomials that vanish together exactly at the critical points of K and where factors meet: grad K without the repeated factors."""
    f = [g for g, _ in system.common]
    product = functools.reduce(algebra.times, f, {(0, 0): 1})
    rest = {(0, 0): 1} if system.square == 1 else functools.reduce(algebra.plus, (algebra.times(h, h) for h in system.cofactors))
    found = []
    for axis in (0, 1):
        total = algebra.times(product, derivative(rest, axis))
        for k, (g, n) in enumerate(system.common):
            others = functools.reduce(algebra.times, f[:k] + f[k + 1 :], rest)
            total = algebra.plus(total, algebra.scaled(algebra.times(derivative(g, axis), others), system.square * n))
        found.append(algebra.primitive(total))
    return tuple(found)


@functools.lru_cache(maxsize=64)
def _critical(landscape: Landscape) -> tuple[tuple[Place, ...], str]:
    """Isolated critical points with K > 0, to floating point, and what could not be searched."""
    a, b = _stationary(system_of(landscape))
    if landscape.dim == 1:
        places = [((at,), n) for part, n in algebra.factored1(algebra.on_line(a, 1, 0)) for at in map(float, algebra.roots_of(part))]
        turns = {at for (at,), _ in places} | {at for point in _isolated(system_of(landscape))[0] for at in point.minimum.at}
        room = {at: min((abs(at - other) for other in turns if other != at), default=2.0) / 2 for at in turns}
        return tuple(_classified(landscape, at, n, room[at[0]]) for at, n in sorted(places) if _above(landscape, at)), ""
    shared = _shared(a, b)
    if degree(shared) > 0:
        a, b = (algebra.quotient(p, shared) if p else p for p in (a, b))
    try:
        found = [at for at in _simple(a, b) if _above(landscape, at)]
    except TooLarge as reason:
        return (), f"critical points with K > 0 were not searched: {reason}"
    return tuple(_classified(landscape, at) for at in sorted(found)), ""


def _shared(a, b) -> Terms2:
    kept = [p for p in (a, b) if p]
    return algebra.common_factor(kept) if kept else {}


def _critical_curves(landscape, box) -> list[Place]:
    """One point for each curve of critical points with K > 0."""
    if landscape.dim == 1:
        return []
    shared = _shared(*_stationary(system_of(landscape)))
    found = []
    for f, _ in algebra.factored(shared) if degree(shared) > 0 else ():
        at = _point_on(f, box, (), [])
        if at is not None and _above(landscape, at):
            place = _classified(landscape, at)
            found.append(place._replace(minimum=place.minimum._replace(name=f"{place.minimum.name} along {show(f, 2)} = 0")))
    return found


def _above(landscape, at) -> bool:
    """Whether K > 0 beyond rounding: some output is more than 1e-7 of its own terms."""
    x, y = (*at, 0.0)[:2]
    return any(all(not algebra.small(f, x, y) for f, _ in factors) for factors in system_of(landscape).irreducible)


def _classified(landscape, at, order: int | None = None, step: float = 1e-3) -> Place:
    """A critical point with K > 0; order: of K' there (one variable); step: K has no other within it."""
    k, hessian = float(landscape.K(at)), landscape.hessian(at)
    here = f"K = {k:.3g}"
    curvature = np.linalg.eigvalsh(hessian)
    flat = np.abs(curvature) <= 1e-7 * _stiffness(landscape, at)  # rounding leaves 1e-16 of it
    lam, kind = None, "saddle"
    if (order is not None and order > 1) or np.all(flat):
        left, right = (float(landscape.K((at[0] + s, *at[1:]))) - k for s in (-step, step))
        kind = "flat point"
        if landscape.dim == 1:
            kind = "local minimum" if min(left, right) > 0 else "maximum" if max(left, right) < 0 else "inflection"
            lam = Fraction(1, order + 1) if kind == "local minimum" else None
    elif np.all(curvature[~flat] > 0):
        kind, lam = "local minimum", Fraction(int(np.sum(~flat)), 2)
    elif np.all(curvature[~flat] < 0):
        kind = "maximum"
    steps, m = (), 1
    if np.any(flat) and landscape.dim == 2 and kind != "maximum" and not _along_flat(landscape, at):
        kind, lam, m, steps = _degenerate(system_of(landscape), at)
    name = f"{kind} {_name(at)}"
    if lam is not None:
        words = f"{here} here, a local minimum: λ is that of K − {k:.3g}"
        return Place(Minimum(name, at, lam, m, words), (Step("regular", f"{words}.", rf"K(w^*) = {k:.3g}"), *steps), k)
    if kind == "flat point":
        return Place(Minimum(name, at, None, None, f"not decided because {here} and its Hessian is degenerate here"), (), k, True)
    article = "an" if kind[0] in "aeiou" else "a"
    return Place(Minimum(name, at, None, None, f"K has {article} {kind} here ({here}): {ONLY_MINIMA}"), (), k)


def _degenerate(system: System, at):
    """(kind, lambda, m, steps) of a critical point with a degenerate Hessian: a minimum if K - K(at) is plainly positive around it."""
    for exact in (tuple(map(algebra.exact, at)), tuple(algebra.exact(a).limit_denominator(10**6) for a in at)):
        outputs = [algebra.scaled(expanded(output.factors), output.scale) for output in system.outputs]
        if system.square == 2:
            outputs = [algebra.times(q, q) for q in outputs]
        whole = algebra.shifted(functools.reduce(algebra.plus, outputs), *exact)
        whole.pop((0, 0), None)
        if whole and (1, 0) not in whole and (0, 1) not in whole and plainly_positive(whole):
            lam, m, steps = at_zero(System((Output(Fraction(1), ((algebra.primitive(whole), 1),)),), 1, 2), (Fraction(0), Fraction(0)))
            return "local minimum", lam, m, steps
    return "flat point", None, None, ()


def _stiffness(landscape, at) -> float:
    """The size of the terms of which the Hessian of K is made."""
    system, w = system_of(landscape), [abs(Fraction(a)) for a in (*at, 0.0)[:2]]
    total = Fraction(0)
    for output in system.outputs:
        q = {e: abs(c) for e, c in expanded(output.factors).items()}
        first = [derivative(q, axis) for axis in (0, 1)]
        second = sum(value(derivative(d, axis), *w) for d in first for axis in (0, 1))
        size = abs(output.scale)
        total += size**2 * (value(q, *w) * second + sum(value(d, *w) for d in first) ** 2) if system.square == 2 else size * second
    return float(total)


def _along_flat(landscape, at) -> bool:
    """Whether the flat direction at this point belongs to a curve of critical points: then K depends on one coordinate only, to all orders."""
    shared = _shared(*_stationary(system_of(landscape)))
    return degree(shared) > 0 and algebra.small(shared, *at)
