"""lambda and m measured from their definition: V(eps) = vol{K < eps} ~ c eps^lambda (-log eps)^(m-1) near a point.

The share of a small box where K < eps falls to 1e-30 and less before the law is clear, so Monte Carlo sees nothing. Here every line of
constant w2 gives its length where K < eps from the roots of K - eps, to nine digits, and lines are spaced evenly in log distance from
the ordinates where something happens.
"""

import math
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from landscapes.polynomial import Factor, Landscape, Product
from landscapes.quadrature import in_one_variable, ordinates, pieces, roots

PANEL = 0.25  # length of a panel in log distance
ORDER = 3  # Gauss-Legendre nodes in each
FINER = 24  # parts into which a panel is cut where {K < eps} ends inside it: the error of V, 1e-2 without, is then 1e-4


@dataclass(frozen=True)
class VolumeFit:
    """lambda and m fitted to V(eps). lam +- stderr: stderr is how much lam changes between the larger and the smaller half of the eps, or the
    scatter of the fit if that is more. log_share: the part of V at the smallest eps that carries the logarithm: near 0 if m = 1, near 1 if 2;
    between, multiplicity is None: undecided.
    """

    lam: float
    stderr: float
    multiplicity: int | None
    log_share: float
    eps: np.ndarray = field(repr=False)
    volume: np.ndarray = field(repr=False)

    def agrees(self, lam, multiplicity: int) -> bool:
        """Whether these values are within 3 standard errors (and 0.3 % of lambda, for the quadrature's own error)."""
        return multiplicity == self.multiplicity and abs(self.lam - float(lam)) <= 3 * self.stderr + 0.003 * float(lam)


def volume(landscape: Landscape, eps, at=None, radius: float = 0.3) -> np.ndarray:
    """Length (1D) or area (2D) of {K < eps} within `radius` of `at` in each variable; eps is one number or an array, the result alike.

    at: default the first declared minimum. A rounded zero of Q (1e-14 of its terms) counts as a zero, so eps may be as small as 1e-200.
    """
    eps = np.asarray(eps, float)
    if not np.all((eps > 0) & np.isfinite(eps)):
        raise ValueError(f"eps = {eps}; give numbers above 0, in nats per sample")
    if not (math.isfinite(radius) and radius > 0):
        raise ValueError(f"radius = {radius!r}; give a number above 0")
    if landscape.of == "K":
        if eps.min() < 1e-150:
            raise ValueError(f"eps = {eps.min():g}; where K itself is given, at least 1e-150 is resolved")
        eps = 0.5 * eps * eps  # K < eps where K^2/2 < eps^2/2: below K stands in the place of Q
    at = _point(landscape, at)
    outputs = [Product(tuple(Factor(_moved(factor.terms, at), factor.power) for factor in p.factors), p.scale) for p in landscape.products()]
    levels = eps.ravel()
    if landscape.dim == 1:
        return _lengths(outputs, np.zeros(1), radius, levels[None])[0][0].reshape(eps.shape)
    edges = _panels(landscape, at, radius, float(levels.min()))
    y, weight = _nodes(edges)
    parts = [_lengths(outputs, part, radius, levels[None]) for part in np.array_split(y.ravel(), 1 + y.size // 500)]
    length, inside = (np.concatenate(part).reshape(*y.shape, -1) for part in zip(*parts, strict=True))
    # where the set ends, splits or reaches the window's edge between neighbouring nodes, V(eps) needs shorter panels
    ends = np.any(inside != inside[:, :1], axis=1)
    change = inside[1:, 0] != inside[:-1, -1]
    ends[1:] |= change
    ends[:-1] |= change
    total = np.einsum("pn,pnj->j", weight, np.where(ends[:, None], 0, length))
    panel, level = np.nonzero(ends)
    cuts = edges[panel, :1] + np.diff(edges[panel], axis=1) * np.linspace(0, 1, FINER + 1)
    y, weight = _nodes(np.stack([cuts[:, :-1].ravel(), cuts[:, 1:].ravel()], axis=1))
    own = np.repeat(levels[level], FINER * ORDER)[:, None]
    length = _lengths(outputs, y.ravel(), radius, own)[0][:, 0]
    np.add.at(total, level, np.sum((weight.ravel() * length).reshape(len(level), FINER * ORDER), axis=1))
    return total.reshape(eps.shape)


def _nodes(edges) -> tuple[np.ndarray, np.ndarray]:
    """Gauss-Legendre nodes and weights (panels, ORDER) of panels (panels, 2)."""
    x, weight = np.polynomial.legendre.leggauss(ORDER)
    size = np.abs(np.diff(edges, axis=1))
    return edges[:, :1] + np.diff(edges, axis=1) * 0.5 * (1 + x), size * 0.5 * weight


def fit_volume(landscape: Landscape, at=None, radius: float = 0.3, smallest: float = 1e-200, largest: float = 1e-40) -> VolumeFit:
    """Fit log V = lambda log eps + log(c0 + c1 (-log eps)) over `smallest` ... `largest`: m = 2 if c1 carries V there, 1 (and c1 = 0) if c0 does.

    m is at most 2 in two variables. A subleading power eps^(lambda + delta) dies slowly where delta is small: below delta = 1/40 it cannot be
    told from a logarithm in floating point, and m is None.
    Raises ValueError where K has no zero at `at`: lambda is undefined then.
    """
    at = _point(landscape, at)
    here = float(landscape.K(at))
    if here > 1e-25:
        why = next((f": {place.why}" for place in landscape.undefined if np.allclose(place.at, at)), "")
        names = ", ".join(f"{place.name} {place.at}" for place in landscape.minima)
        raise ValueError(f"lambda is undefined at {at}: K = {here:.4g} there, so no K < eps nearby as eps falls{why}; choose one of {names}")
    eps = np.geomspace(smallest, largest, 17)
    if landscape.of == "K":  # the same distances: K given is resolved as Q is, not as Q^2
        eps = np.sqrt(2 * eps)
    v = volume(landscape, eps, at, radius)
    size, z = -np.log(eps), np.log(v)

    def fit(kept, share):
        # log V + lambda size = c + log(1 - share + share size / max size): linear in lambda and c once `share` is given
        known = np.log(1 - share + share * size[kept] / size[0])
        columns = np.stack([-size[kept], np.ones(kept.sum())], axis=1)
        (lam, c), *_ = np.linalg.lstsq(columns, z[kept] - known, rcond=None)
        rest = z[kept] - known - columns @ (lam, c)
        return lam, float(np.sqrt(np.mean(rest**2)))

    deep, shallow = np.arange(len(eps)) < 9, np.arange(len(eps)) >= 8
    shares = np.linspace(-0.5, 1.2, 300)
    share = float(shares[np.argmin([fit(deep, s)[1] for s in shares])])
    multiplicity = 1 if share < 0.3 else 2 if share > 0.8 else None

    def lam(kept):
        return min((fit(kept, s)[::-1] for s in ([0.0] if multiplicity == 1 else shares)), key=lambda found: found[0])

    best = lam(deep)
    scatter = best[0] / (size[deep].std() * math.sqrt(deep.sum()))
    stderr = max(abs(best[1] - lam(shallow)[1]), scatter)
    return VolumeFit(float(best[1]), float(stderr), multiplicity, share, eps, v)


def _point(landscape: Landscape, at) -> tuple[float, ...]:
    point = landscape.minima[0].at if at is None else tuple(float(a) for a in np.atleast_1d(np.asarray(at, float)))
    if len(point) != landscape.dim or not all(map(math.isfinite, point)):
        raise ValueError(f"at = {at!r}; give one finite number for each of the {landscape.dim} variable(s)")
    return point


def _moved(terms, at) -> tuple[tuple[float, int, int], ...]:
    """The terms as a polynomial around `at`, in rational arithmetic; what is left of a zero at a rounded point is taken as zero."""
    a, b = (Fraction(x) for x in (*at, 0.0)[:2])
    found, sizes = {}, {}
    for c, i, j in terms:
        for k in range(i + 1):
            for n in range(j + 1):
                part = Fraction(c) * math.comb(i, k) * a ** (i - k) * math.comb(j, n) * b ** (j - n)
                found[k, n] = found.get((k, n), 0) + part
                sizes[k, n] = sizes.get((k, n), 0) + abs(part)
    return tuple((float(c), *e) for e, c in found.items() if abs(c) > 1e-14 * sizes[e]) or ((0.0, 0, 0),)


def _panels(landscape, at, radius, smallest) -> np.ndarray:
    """Panels (panels, 2) of w2 - at_2: of equal length in log distance from every ordinate, down to where K changes by less than the
    smallest eps."""
    box = tuple((a - radius, a + radius) for a in at)
    ends = ordinates(landscape, box, 1, [0.0] * len(landscape.products())) - at[1]
    ends = np.append(ends[np.abs(ends) > 1e-9], 0.0)
    origin, length = (part[0] for part in pieces(ends[None], -radius, radius))
    found = []
    for start, span in zip(origin, length, strict=True):
        if span:
            # at the point itself down to eps^(1/2) (K ~ w^2 is the steepest); elsewhere floating point resolves no more than 1e-15
            depth = 0.5 * math.log(smallest) - 5 if start == 0 else math.log(1e-15)
            if math.log(abs(span)) <= depth:
                continue
            offset = np.exp(np.linspace(depth, math.log(abs(span)), 1 + math.ceil((math.log(abs(span)) - depth) / PANEL)))
            edges = start + math.copysign(1, span) * np.append(0.0, offset)
            found.append(np.stack([edges[:-1], edges[1:]], axis=1))
    return np.concatenate(found)


def _lengths(outputs, y, radius, eps) -> tuple[np.ndarray, np.ndarray]:
    """Length (rows, n) of {|w1| < radius: K(w1, y) < eps} on lines y (rows,), eps (rows or 1, n): K is monotone between its critical points,
    so its crossings are found by bisection. And how many of those critical points and ends (rows, n) have K < eps."""
    eps = np.broadcast_to(eps, (len(y), eps.shape[1]))
    tables = [[in_one_variable(factor, 0, y) for factor in product.factors] for product in outputs]
    zeros = [_polished(table.coefficients) for output in tables for table in output]
    splits = np.concatenate(
        [*(z.real for z in zeros), _critical(outputs, tables), np.full((len(y), 1), -radius), np.full((len(y), 1), radius)], axis=1
    )
    splits = np.sort(np.clip(np.nan_to_num(splits, nan=radius), -radius, radius), axis=1)
    left, right = splits[:, :-1], splits[:, 1:]
    k = _potential(outputs, tables, splits)(np.zeros((*splits.shape, 1)))[..., 0]
    ends = k[:, :-1], k[:, 1:]
    low_end = np.minimum(*ends)
    total = np.zeros(eps.shape)
    for side, at, sign in ((ends[0] <= ends[1], left, 1.0), (ends[0] > ends[1], right, -1.0)):  # each piece from its lower end
        row, piece = np.nonzero(side & (right > left) & (low_end < eps.max(axis=1, keepdims=True)))
        if not len(row):
            continue
        potential = _potential(outputs, [[table._replace(coefficients=table.coefficients[row]) for table in o] for o in tables], at[row, piece, None])
        span = (right - left)[row, piece, None, None]
        level = eps[row, None]
        low = np.minimum(0.5 * np.log(level) - 10, -10)  # of the log of the share of the span: K < C u^2
        high = np.zeros_like(low)
        for _ in range(1 + math.ceil(math.log2(-low.min() / 1e-9))):
            middle = 0.5 * (low + high)
            below = potential(sign * span * np.exp(middle)) < level
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        found = np.where(low_end[row, piece, None] < eps[row], (span * np.exp(0.5 * (low + high)))[:, 0], 0.0)
        np.add.at(total, row, found)
    return total, np.sum(k[..., None] < eps[:, None], axis=1)


def _polished(coefficients):
    """Roots, improved where they come from a companion matrix: relative precision near 0 matters."""
    w = roots(coefficients)
    if coefficients.shape[1] > 3:
        with np.errstate(all="ignore"):
            for _ in range(3):
                value, slope = np.zeros_like(w), np.zeros_like(w)
                for c in coefficients.T[::-1]:
                    slope = slope * w + value
                    value = value * w + c[:, None]
                step = value / slope
                w = np.where(np.abs(step) < 0.1 * np.abs(w), w - step, w)
    return w


def _times(a, b):
    """Product of polynomials, row by row."""
    product = np.zeros((len(a), a.shape[1] + b.shape[1] - 1))
    for j, c in enumerate(b.T):
        product[:, j : j + a.shape[1]] += c[:, None] * a
    return product


def _derivative(a):
    return a[:, 1:] * np.arange(1, a.shape[1]) if a.shape[1] > 1 else np.zeros_like(a)


def _critical(outputs, tables) -> np.ndarray:
    """Real parts of the critical points of K on each line, besides the roots of the factors."""
    rows = len(tables[0][0].coefficients)
    if len(tables) == 1:  # Q' = prod F^(d-1) * sum_f d_f F_f' prod_(g != f) F_g: the second part
        total = np.zeros((rows, 1))
        for f, table in enumerate(tables[0]):
            part = table.power * _derivative(table.coefficients)
            for g, other in enumerate(tables[0]):
                if g != f:
                    part = _times(part, other.coefficients)
            total = _sum(total, part)
        return _polished(_trimmed(total)).real
    total = np.zeros((rows, 1))
    for product, output in zip(outputs, tables, strict=True):
        q = np.full((rows, 1), product.scale)
        for table in output:
            for _ in range(table.power):
                q = _times(q, table.coefficients)
        total = _sum(total, _times(q, _derivative(q)))
    return _polished(_trimmed(total)).real


def _sum(a, b):
    wide = max(a.shape[1], b.shape[1])
    return np.pad(a, ((0, 0), (0, wide - a.shape[1]))) + np.pad(b, ((0, 0), (0, wide - b.shape[1])))


def _trimmed(a):
    """Without leading coefficients that are 0 on every line."""
    used = np.flatnonzero(np.any(a != 0, axis=0))
    return a[:, : used[-1] + 1] if len(used) else a[:, :1]


def _potential(outputs, tables, at):
    """K as a function of the offset (rows, pieces, n) from points `at` (rows, pieces), from Taylor coefficients there: exact beside roots."""
    expanded = []
    for output in tables:
        for table in output:
            c = table.coefficients
            degree = c.shape[1] - 1
            taylor, size = np.zeros((degree + 1, *at.shape)), np.zeros(at.shape)
            for k in range(degree + 1):
                size += np.abs(c[:, k, None] * at**k)
                for j in range(k + 1):
                    taylor[j] += math.comb(k, j) * c[:, k, None] * at ** (k - j)
            taylor[0] = np.where((np.abs(taylor[0]) < 1e-13 * size) & (at != 0), 0.0, taylor[0])
            expanded.append(taylor)

    def potential(offset):
        total, place = 0.0, iter(expanded)
        for product, output in zip(outputs, tables, strict=True):
            q = product.scale
            for table in output:
                value = 0.0
                for c in next(place)[::-1]:
                    value = value * offset + c[..., None]
                for _ in range(table.power):  # ** is ten times slower
                    q = q * value
            total = total + 0.5 * q * q
        return total

    return potential
