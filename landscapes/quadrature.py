"""Integrals of f(w, K(w)) over a box, right for any exp(-nbeta K) up to nbeta = 1e15: quadrature adapted to the zeros of Q - shift.

exp(-nbeta K) lives on needles and curved ridges whose width falls like a power of nbeta, so equal spacing (or Monte Carlo) misses them. In
one variable Gauss-Legendre panels are graded in log distance towards the real part of every complex root of Q - shift: as the integrand
is a function of Q, panels are as long as log|Q| changes by a given amount, and none is spent where |Q| stays below 2e-9. In two variables
w1 is integrated so at every node of w2, and nodes of w2 are graded towards the ordinates where the roots meet, turn or leave the box.
The nodes do not depend on nbeta: one set serves a whole slider. Where Q never equals the shift, so that K > 0 at its minimum, they serve
up to nbeta = 1e9.
"""

import functools
import math
from typing import NamedTuple

import numpy as np

from landscapes.polynomial import Landscape, Product

SMALLEST = 2e-9  # of |Q - shift|: below it exp(-nbeta K) is 1 up to nbeta = 1e15
LARGEST = 30.0  # beyond it the weight is nothing for any nbeta > 0.2: few panels are spent there
NEAR = 0.02  # of its size: a real root of multiplicity m is found so far from the axis as (1e-16)^(1/m) is
TABLE = 48  # points of the table from which panels are laid


class Resolution(NamedTuple):
    """A panel for every `change` of log|Q|, `order` Gauss-Legendre nodes in each."""

    change: float
    order: int


COARSE = Resolution(2.2, 6)  # for a live page: relative errors of 1e-4 (1e-2 for the 6th power of a ring at nbeta = 1)
FINE = Resolution(1.6, 8)  # for tests and references: 1e-6


class Nodes(NamedTuple):
    """The integral of f over the box is the sum of weight * f(w); arrays (rows, nodes), one row a value of w2 (one row in 1D).

    w (rows, nodes, dim). k: sum_k (Q_k - shift_k)^2 / 2 there.
    """

    w: np.ndarray
    weight: np.ndarray
    k: np.ndarray


class Table(NamedTuple):
    """Polynomials in one variable at many values of the other: coefficients (rows, degree + 1), ascending, and the power of each."""

    coefficients: np.ndarray
    power: int


def checked_box(landscape: Landscape, box) -> tuple[tuple[float, float], ...]:
    """`box` ((low, high) of each variable; in 1D also just (low, high)) as floats, or the landscape's own; ValueError if it is none."""
    if box is None:
        return landscape.box
    try:
        pairs = (box,) if landscape.dim == 1 and np.ndim(box) == 1 else tuple(box)
        pairs = tuple((float(low), float(high)) for low, high in pairs)
    except (TypeError, ValueError):
        pairs = ()
    if len(pairs) != landscape.dim or not all(math.isfinite(high - low) and low < high for low, high in pairs):
        raise ValueError(f"box = {box!r}; give (low, high) with low < high for each of the {landscape.dim} variable(s)")
    return pairs


def nodes(landscape: Landscape, box=None, shift=0.0, resolution: Resolution = FINE, around=None) -> Nodes:
    """Nodes on the box for the zeros of Q - shift (a number, or one an output). `around`: one more point to refine towards."""
    box = checked_box(landscape, box)
    outputs = len(landscape.products())
    shifts = tuple(float(a) for a in np.broadcast_to(np.asarray(shift, float), (outputs,)))
    return _nodes(landscape, box, shifts, resolution, None if around is None else tuple(float(a) for a in np.atleast_1d(around)))


@functools.lru_cache(maxsize=6)
def _nodes(landscape, box, shifts, resolution, around) -> Nodes:
    if landscape.dim == 1:
        return _frozen(across(landscape, 0, np.zeros(1), box, shifts, resolution, around))
    outer, weight = _outer(landscape, box, shifts, resolution, around)
    inner = across(landscape, 0, outer, box, shifts, resolution, around)
    return _frozen(inner._replace(weight=inner.weight * weight[:, None]))


def _frozen(result: Nodes) -> Nodes:
    for array in result:
        array.flags.writeable = False
    return result


def across(landscape: Landscape, axis: int, at: np.ndarray, box=None, shift=0.0, resolution: Resolution = FINE, around=None) -> Nodes:
    """Nodes along w_axis at each value `at` (rows,) of the other variable: the sum of weight * f is the integral over w_axis alone."""
    box, at, dim = checked_box(landscape, box), np.asarray(at, float), landscape.dim
    low, high = box[axis]
    shifts = np.broadcast_to(np.asarray(shift, float), (len(landscape.products()),))
    ends = breakpoints(landscape, axis, at, shifts)
    if around is not None:
        ends = np.concatenate([ends, np.full((len(at), 1), around[axis])], axis=1)
    origin, length = pieces(np.clip(ends, low, high), low, high)

    def place(offset):  # (rows, pieces, ...) -> points (rows, pieces, ..., dim)
        extra = (slice(None), slice(None), *[None] * (offset.ndim - 2))
        here = origin[extra] + offset
        other = np.broadcast_to(at[(slice(None), *[None] * (offset.ndim - 1))], here.shape)
        return np.stack([here, other][::-1] if axis else [here, other][:dim], axis=-1)

    def change(offset):  # how far Q has moved from its value at the origin of the piece
        return np.max(np.abs(landscape.Q(place(offset)) - landscape.Q(place(np.zeros((*origin.shape, 1))))), axis=-1)

    offset, weight = _graded(length, change, resolution)
    w = place(offset).reshape(len(at), -1, dim)
    return Nodes(w, weight.reshape(len(at), -1), 0.5 * np.sum((landscape.Q(w) - shifts) ** 2, axis=-1))


def on_circles(landscape: Landscape, centre, radius: np.ndarray, shift=0.0, resolution: Resolution = FINE) -> Nodes:
    """Nodes along circles of each radius (rows,) about `centre` (2D): the sum of weight * f is the integral over the angle."""
    shifts = np.broadcast_to(np.asarray(shift, float), (len(landscape.products()),))
    radius = np.asarray(radius, float)

    def place(angle):  # (rows, ...) -> points (rows, ..., 2)
        r = radius[(slice(None), *[None] * (angle.ndim - 1))]
        return np.stack([centre[0] + r * np.cos(angle), centre[1] + r * np.sin(angle)], axis=-1)

    found = []
    for product, a in zip(landscape.products(), shifts, strict=True):
        whole = sum(factor.power * _degree(factor) for factor in product.factors)
        if a:  # a polynomial of degree d is one of z = e^(i angle) of degree 2 d, over z^d
            found.append(_angles(lambda w, p=product, a=a: p.scale * math.prod(_at(f, w) ** f.power for f in p.factors) - a, whole, place, radius))
        else:
            found += [_angles(lambda w, f=f: _at(f, w), _degree(f), place, radius) for f in product.factors]
    ends = np.concatenate(found, axis=1)
    origin, length = pieces(np.clip(np.concatenate([ends - 2 * np.pi, ends, ends + 2 * np.pi], axis=1), -np.pi, np.pi), -np.pi, np.pi)

    def q(offset):
        return landscape.Q(place(origin[(slice(None), slice(None), *[None] * (offset.ndim - 2))] + offset))

    offset, weight = _graded(length, lambda offset: np.max(np.abs(q(offset) - q(np.zeros((*origin.shape, 1)))), axis=-1), resolution)
    w = place(origin[..., None] + offset).reshape(len(radius), -1, 2)
    return Nodes(w, weight.reshape(len(radius), -1), 0.5 * np.sum((landscape.Q(w) - shifts) ** 2, axis=-1))


def _degree(factor) -> int:
    return max(i + j for _, i, j in factor.terms)


def _at(factor, w):
    return sum(c * w[..., 0] ** i * w[..., 1] ** j for c, i, j in factor.terms)


def _angles(value, degree: int, place, radius) -> np.ndarray:
    """Angles (rows, 2 degree) of the complex zeros of a polynomial of this degree on circles, from its values at equal angles."""
    if degree == 0:
        return np.empty((len(radius), 0))
    count = 2 * degree + 1
    angle = np.broadcast_to(2 * np.pi * np.arange(count) / count, (len(radius), count))
    series = np.fft.fftshift(np.fft.fft(value(place(angle)), axis=1), axes=1)  # of z^-degree ... z^degree
    zeros = roots(series)
    return np.angle(np.where(np.isfinite(zeros), zeros, 1.0))


def pieces(ends: np.ndarray, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Breakpoints (rows, B) -> pieces (rows, 2 B): an origin and a signed length each; every gap between neighbours is shared at its middle."""
    ends = np.sort(ends, axis=1)
    if ends.shape[1] > 1:  # columns that repeat another in every row add nothing
        ends = ends[:, np.append(True, np.any(np.diff(ends, axis=1) > 1e-14 * (high - low), axis=0))]
    if ends.shape[1] == 0:
        ends = np.full((len(ends), 1), 0.5 * (low + high))
    half = 0.5 * np.diff(ends, axis=1)
    left = np.concatenate([ends[:, :1] - low, half], axis=1)
    right = np.concatenate([half, high - ends[:, -1:]], axis=1)
    return np.concatenate([ends, ends], axis=1), np.concatenate([-left, right], axis=1)


@functools.cache
def _legendre(order: int) -> tuple[np.ndarray, np.ndarray]:
    x, weight = np.polynomial.legendre.leggauss(order)
    return 0.5 * (1 + x), 0.5 * weight


def _graded(length, change, resolution: Resolution, steady: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Offsets and weights (rows, pieces, nodes) from each origin to its `length`: panels in t = log|offset|.

    They are laid by how log|Q| changes, and with weight `steady` evenly in t.
    """
    x, weight = _legendre(resolution.order)
    size = np.abs(length)
    reach = np.linspace(-30.0, 0.0, TABLE)  # t - log(size)
    moved = np.maximum.accumulate(change(np.exp(reach) * length[..., None]), axis=-1)
    level = np.log(np.clip(moved, SMALLEST, LARGEST))
    # some panels also where Q hardly changes; nothing below the depth at which it has not changed yet, save the outermost two e-folds
    spent = np.abs(np.diff(level)) + steady * np.diff(reach) * ((moved[..., 1:] > SMALLEST) | (reach[1:] > -2))
    spent = np.concatenate([np.zeros((*size.shape, 1)), np.cumsum(spent, axis=-1)], axis=-1)
    live = size > 0
    panels = int(np.clip(np.ceil(np.max(spent[..., -1], where=live, initial=0) / resolution.change), 3, 60))
    edges = _inverse(spent, reach, panels)
    step = np.diff(edges)
    t = (edges[..., :-1, None] + step[..., None] * x).reshape(*size.shape, -1)
    fraction = np.concatenate([np.exp(edges[..., :1]) * x, np.exp(t)], axis=-1)  # the first panel reaches the origin
    share = np.concatenate([np.exp(edges[..., :1]) * weight, np.exp(t) * (step[..., None] * weight).reshape(t.shape)], axis=-1)
    return fraction * length[..., None], share * size[..., None]


def _inverse(spent, reach, panels: int) -> np.ndarray:
    """Edges (..., panels + 1) between which `spent` grows equally; the first at the last point where nothing is spent."""
    target = spent[..., -1:] * np.linspace(0, 1, panels + 1)
    cell = np.sum(spent[..., None, :] <= target[..., None], axis=-1) - 1
    cell = np.clip(cell, 0, len(reach) - 2)
    below = np.take_along_axis(spent, cell, -1)
    rise = np.take_along_axis(spent, cell + 1, -1) - below
    part = np.clip((target - below) / np.where(rise > 0, rise, 1), 0, 1)
    edges = reach[cell] + part * (reach[1] - reach[0])
    edges[..., -1] = 0.0
    return edges


def breakpoints(landscape: Landscape, axis: int, at: np.ndarray, shifts) -> np.ndarray:
    """Real parts (rows, B) of all complex roots in w_axis of every factor, or of Q_k - shift_k where the shift is not 0; not clipped to a box.

    The factors' own roots stay breakpoints where Q never equals the shift: |Q - shift| may be least there. Turning points of Q take the place
    of roots that are not real: in one dimension always (one may be the minimum of its basin, though another basin has a root), in two where Q
    has no zero at all.
    """
    found = [np.empty((len(at), 0))]
    for product, shift in zip(landscape.products(), shifts, strict=True):
        tables = [in_one_variable(factor, axis, at) for factor in product.factors]
        if shift and _varies(tables):
            level = _roots_of_shifted(product.scale, tables, shift)
            found.append(level.real)
            if landscape.dim == 1:
                found.append(np.tile(turning(product), (len(at), 1)))
            if np.any(_is_real(level)):
                continue
        zeros = np.concatenate([roots(table.coefficients) for table in tables], axis=1) if tables else np.empty((len(at), 0), complex)
        real = _is_real(zeros)
        bowl = len(tables) == 1 and tables[0].coefficients.shape[1] <= 3  # a quadratic turns at the real part of its roots
        if shift or bowl or (np.all(real) if landscape.dim == 1 else np.any(real)):
            found.append(zeros.real)
        else:
            turns = roots(_derivative(tables))
            found.append(np.where(real, zeros.real, np.inf))
            found.append(np.where(np.abs(turns.imag) < NEAR * (1 + np.abs(turns)), turns.real, np.inf))
    return np.nan_to_num(np.concatenate(found, axis=1), nan=np.inf, posinf=np.inf, neginf=-np.inf)


def _derivative(tables: list[Table]) -> np.ndarray:
    """Q'/Q times the product of all factors, sum_f d_f F_f' prod_(g != f) F_g: coefficients (rows, degree + 1), ascending."""
    parts = []
    for f in tables:
        part = f.power * f.coefficients[:, 1:] * np.arange(1, f.coefficients.shape[1])
        for g in tables:
            if g is not f:
                part = _times(part, g.coefficients)
        parts.append(part)
    size = max(part.shape[1] for part in parts)
    return sum(np.pad(part, ((0, 0), (0, size - part.shape[1]))) for part in parts)


def _times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Products of polynomials, row by row: coefficients (rows, degree + 1), ascending."""
    found = np.zeros((len(a), max(a.shape[1] + b.shape[1] - 1, 0)))
    for j, c in enumerate(b.T):
        found[:, j : j + a.shape[1]] += c[:, None] * a
    return found


def turning(product: Product) -> np.ndarray:
    """Where Q_k' = 0 (1D): multiple roots of its factors, and real zeros of Q_k'/Q_k = sum_f d_f F_f'/F_f."""
    tables = [in_one_variable(factor, 0, np.zeros(1)) for factor in product.factors]
    zeros = np.concatenate([roots(_derivative(tables))[0], *(roots(table.coefficients)[0] for table in tables if table.power > 1)])
    return np.unique(np.round(zeros[np.abs(zeros.imag) < NEAR * (1 + np.abs(zeros))].real, 12))


def _varies(tables) -> bool:
    return any(table.coefficients.shape[1] > 1 for table in tables)


def _is_real(values):
    return np.abs(values.imag) < 1e-7


def in_one_variable(factor, axis: int, at: np.ndarray) -> Table:
    """A factor as a polynomial in w_axis at values `at` (rows,) of the other variable."""
    coefficients = np.zeros((len(at), 1 + max(e[axis] for _, *e in factor.terms)), np.result_type(at, float))
    for c, *e in factor.terms:
        coefficients[:, e[axis]] += c * at ** e[1 - axis]
    return Table(coefficients, factor.power)


def roots(coefficients: np.ndarray) -> np.ndarray:
    """All complex roots (rows, degree) of polynomials (rows, degree + 1), ascending; inf or NaN where the leading coefficient is 0."""
    degree = coefficients.shape[1] - 1
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if degree < 1:
            return np.empty((len(coefficients), 0), complex)
        if degree == 1:
            return (-coefficients[:, :1] / coefficients[:, 1:]).astype(complex)
        if degree == 2:
            c, b, a = coefficients.T.astype(complex)
            root = np.sqrt(b * b - 4 * a * c)
            far = -0.5 * (b + np.where((b.conj() * root).real < 0, -root, root))  # no cancellation
            return np.stack([far / a, np.where(far == 0, 0, c / far)], axis=1)
    top = np.max(np.abs(coefficients), axis=1)
    least = np.maximum(1e-14 * np.where(top > 0, top, 1), 1e-290)  # of a leading coefficient: a root far away
    lead = np.where(np.abs(coefficients[:, -1]) > least, coefficients[:, -1], least)
    companion = np.zeros((len(coefficients), degree, degree), coefficients.dtype)
    companion[:, np.arange(1, degree), np.arange(degree - 1)] = 1
    companion[:, :, -1] = monic = -coefficients[:, :-1] / lead[:, None]
    try:
        return np.linalg.eigvals(companion)
    except np.linalg.LinAlgError:  # coefficients of very different size: in units of a bound of the roots they are at most 1
        rest = np.arange(degree, 0, -1)
        with np.errstate(divide="ignore"):
            unit = np.exp(np.max(np.log(np.abs(monic)) / rest, axis=1, keepdims=True))
            companion[:, :, -1] = monic * np.exp(-rest * np.log(unit))
        return unit * np.linalg.eigvals(np.nan_to_num(companion))


def _evaluate(table: Table, w):
    """The polynomial and its derivative at w (rows, points), by Horner."""
    value, slope = np.zeros_like(w), np.zeros_like(w)
    for c in table.coefficients.T[::-1]:
        slope = slope * w + value
        value = value * w + c[:, None]
    return value, slope


def _roots_of_shifted(scale: float, tables: list[Table], shift: float) -> np.ndarray:
    """Roots of scale * prod F^power - shift: companion matrices, then Newton on the factored form, which is exact beside multiple roots."""
    expanded = np.full((len(tables[0].coefficients), 1), scale)
    for table in tables:
        for _ in range(table.power):
            expanded = _times(expanded, table.coefficients)
    expanded[:, 0] -= shift
    w = roots(expanded)
    with np.errstate(all="ignore"):
        for _ in range(4):
            product, growth = np.full_like(w, scale), np.zeros_like(w)
            for table in tables:
                value, slope = _evaluate(table, w)
                product, growth = product * value**table.power, growth + table.power * slope / value
            step = (product - shift) / (product * growth)
            w = np.where(np.abs(step) < 0.1 * (1 + np.abs(w)), w - step, w)
    return w


# The outer variable of two.


def _outer(landscape, box, shifts, resolution, around) -> tuple[np.ndarray, np.ndarray]:
    low, high = box[1]
    ends = ordinates(landscape, box, 1, shifts)
    if around is not None:
        ends = np.append(ends, np.clip(around[1], low, high))
    origin, length = pieces(ends[None], low, high)
    w1 = np.linspace(*box[0], 5)  # if Q moves by less than SMALLEST at all w1, so little does the integral over w1

    def change(offset):
        def q(y):
            return landscape.Q(np.stack(np.broadcast_arrays(w1, y[..., None]), axis=-1))

        return np.max(np.abs(q(origin[..., None] + offset) - q(origin[..., None])), axis=(-1, -2))

    # the integral over w1 goes on changing where Q is LARGEST at some w1 and small at others
    offset, weight = _graded(length, change, resolution, steady=1.0)
    y, weight = (origin[..., None] + offset).ravel(), weight.ravel()
    return y[weight > 0], weight[weight > 0]


def ordinates(landscape: Landscape, box, axis: int, shifts) -> np.ndarray:
    """Values of w_axis inside the box where the roots in the other variable meet, turn or leave the box, or where a minimum is declared."""
    low, high = box[axis]
    inside = [place.at[axis] for place in (*landscape.minima, *landscape.undefined) if low <= place.at[axis] <= high]
    for value in _events(landscape, box, axis, shifts):
        if low <= value <= high and all(abs(value - other) > 1e-6 * (high - low) for other in inside):
            inside.append(value)
    return np.unique(inside)


def _events(landscape, box, axis, shifts):
    other = 1 - axis
    width = box[axis][1] - box[axis][0]

    def real(values):
        values = values[np.isfinite(values)]
        return values[np.abs(values.imag) < 0.3 * width].real

    reached = []
    for product, shift in zip(landscape.products(), shifts, strict=True):
        level = _level_events(product, shift, box, axis) if shift else None
        yield from real(level) if level is not None else ()
        reached.append(level is not None)
    if len(reached) == 1 and reached[0]:
        return  # the zeros of the factors are then no minima
    factors = list({factor.terms: factor for product in landscape.products() for factor in product.factors}.values())
    scale = max(map(abs, box[axis]))
    for i, f in enumerate(factors):
        sides = np.array(box[other]) if _varies([in_one_variable(f, other, np.zeros(1))]) else np.zeros(1)
        yield from real(roots(in_one_variable(f, axis, sides).coefficients).ravel())  # it leaves the box, or has this variable only
        yield from real(_resultant_roots(f, None, axis, scale))  # it turns
        for g in factors[:i]:
            yield from real(_resultant_roots(f, g, axis, scale))  # two meet


def _resultant_roots(f, g, axis: int, scale: float) -> np.ndarray:
    """Complex w_axis where f and g (or f and its derivative) have a common root in the other variable: zeros of Sylvester's determinant.

    The determinant is a polynomial of w_axis, found from its values at roots of unity; the mean of a cluster of zeros is well conditioned
    though its members are not.
    """
    other = 1 - axis
    tall = max(e[axis] for h in (f, g or f) for _, *e in h.terms)
    wide = [max(e[other] for _, *e in h.terms) for h in (f, g or f)]
    if wide[0] < 1 + (g is None) or wide[1] < 1:
        return np.empty(0)
    count = 1 + tall * sum(wide)
    at = scale * np.exp(2j * np.pi * np.arange(count) / count)
    a = in_one_variable(f, other, at).coefficients
    b = in_one_variable(g, other, at).coefficients if g else a[:, 1:] * np.arange(1, a.shape[1])
    m, n = a.shape[1] - 1, b.shape[1] - 1
    sylvester = np.zeros((count, m + n, m + n), complex)
    for row in range(n):
        sylvester[:, row, row : row + m + 1] = a
    for row in range(m):
        sylvester[:, n + row, row : row + n + 1] = b
    coefficients = np.fft.fft(np.linalg.det(sylvester)) / count
    size = np.abs(coefficients)
    if not size.max() > 0:
        return np.empty(0)
    coefficients[size < 1e-12 * size.max()] = 0
    zeros = np.sort_complex(np.roots(coefficients[::-1]))
    clusters = []
    while len(zeros):
        near = np.abs(zeros - zeros[0]) < 1e-4
        clusters.append(zeros[near].mean())
        zeros = zeros[~near]
    return scale * np.array(clusters)


def _level_events(product, shift, box, axis) -> np.ndarray | None:
    """Values of w_axis at which the number of real roots of Q - shift within the box changes, by scanning and bisection; None if there are none."""
    other, (low, high) = 1 - axis, box[axis]
    if not _varies([in_one_variable(factor, other, np.zeros(1)) for factor in product.factors]):
        return _roots_of_shifted(product.scale, [in_one_variable(factor, axis, np.zeros(1)) for factor in product.factors], shift).ravel()

    def count(at):
        w = _roots_of_shifted(product.scale, [in_one_variable(factor, other, at) for factor in product.factors], shift)
        return np.sum(_is_real(w) & (w.real > box[other][0]) & (w.real < box[other][1]), axis=1)

    grid = np.append(low, np.linspace(low, high, 98)[1:] - (high - low) / 331)  # not on symmetric points
    grid = np.append(grid, high)
    counts = count(grid)
    cells = np.flatnonzero(np.diff(counts))
    left, right, there = grid[cells], grid[cells + 1], counts[cells]
    for _ in range(40):
        middle = 0.5 * (left + right)
        same = count(middle) == there
        left, right = np.where(same, middle, left), np.where(same, right, middle)
    return 0.5 * (left + right) if counts.any() else None
