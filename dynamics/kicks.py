"""Kernels of the transfer matrix: one row is the law of a step from one node, w' = w - A u + sqrt(D u + E) N(0, 1).

u = S_xx/B is vx chi2_B/B (a batch), or vx itself (batch = 0). The matrix is kept as ragged rows: row i holds `values[at[i]:at[i + 1]]`
in the columns from `first[i]` on.
"""

import functools
import math

from landscapes.jit import kernel

WIDE = 6.5  # standard deviations of a Gaussian that are laid out; the rest, 1e-10, goes to its last nodes
NARROW = 0.6  # of the distance between nodes: below it a Gaussian is three points
MOST = 400  # points of the quadrature over u
DEEP = -30.0  # log u below which a chi2 of few degrees is all "no step"


@kernel
def _below(x, value):
    """The last j with x[j] <= value; -1 if there is none."""
    low, high = -1, x.size
    while high - low > 1:
        middle = (low + high) // 2
        if x[middle] <= value:
            low = middle
        else:
            high = middle
    return low


@kernel
def _abscissae(pull, spread, batch, vx):
    """(first, distance, number) of equally spaced points in log(u/vx) for the law of u.

    The trapezium rule: the weight falls double-exponentially to the right and like u^(B/2) to the left, so it converges like
    exp(-2 pi^2 (scale/distance)^2), the scale being that of the weight, sqrt(2/B), or of what a Gaussian of width
    sqrt(spread u) sees when its mean moves by pull u.
    """
    if batch == 0:
        return 0.0, 0.0, 1
    half = 0.5 * batch
    left, right = -1.0, 1.0  # where the weight is e^-22 of its top
    for _ in range(60):
        left -= (math.exp(left) - 1 - left - 22 / half) / (math.exp(left) - 1)
        right -= (math.exp(right) - 1 - right - 22 / half) / (math.exp(right) - 1)
    left = max(left, DEEP)
    common = 1 + 2 / math.sqrt(half)  # an u of the upper tail, where means are farthest apart
    distance = 1.25 / math.sqrt(half + 4.0 + pull * pull * vx * common / max(spread, 1e-300))
    number = int(min((right - left) / distance + 2, MOST))  # float first: without noise in the labels the distance is 0
    return left, (right - left) / (number - 1), number


@kernel
def _weight(batch, t, distance, scale):
    """The weight of a point t = log(u/vx): Gamma(B/2) of mean 1; `scale` makes it a probability."""
    return scale * distance * math.exp(0.5 * batch * (t - math.exp(t) + 1))


@kernel
def reach(x, w, pull, spread, extra, batch, vx, first, last):
    """Which nodes each row reaches: first[i] ... last[i] - 1."""
    for i in range(w.size):
        left, distance, number = _abscissae(pull[i], spread[i], batch, vx)
        first[i], last[i] = x.size, 0
        for k in range(number):
            u = vx * math.exp(left + k * distance)
            mean, sd = w[i] - pull[i] * u, WIDE * math.sqrt(spread[i] * u + extra[i])
            first[i] = min(first[i], max(_below(x, mean - sd) - 1, 0))
            last[i] = max(last[i], min(_below(x, mean + sd) + 3, x.size))
        last[i] = max(first[i], last[i])


@kernel
def _lay(x, wall, bound, mean, sd, weight, row, first):
    """Add a Gaussian to a row: its expectation of every hat function, so mass and mean are right whatever its width.

    A hat function widens it by h^2/6, which is taken off beforehand; where it is narrower than the nodes' distance h, three nodes carry
    its mean and its variance exactly, if positive weights can. A wall (a barrier inside an interval) is crossed only by what the
    Gaussian has beyond it.
    """
    n = x.size
    j = _below(x, mean)
    if 0 <= j < n - 1:
        h = x[j + 1] - x[j]
        near = False  # a wall among the intervals that three points would use
        for e in range(max(j - 1, 0), min(j + 2, n - 1)):
            near = near or wall[e] == wall[e]
        if not near and sd >= NARROW * h:
            sd = math.sqrt(sd * sd - h * h / 6)
        elif not near:
            c = j if mean - x[j] < x[j + 1] - mean else j + 1
            if 0 < c < n - 1:
                a, b, m = x[c] - x[c - 1], x[c + 1] - x[c], mean - x[c]
                second = sd * sd + m * m
                up, down = (second + a * m) / (b * (a + b)), (second - b * m) / (a * (a + b))
                if up >= 0 and down >= 0 and up + down <= 1:
                    row[c - 1 - first] += weight * down
                    row[c - first] += weight * (1 - up - down)
                    row[c + 1 - first] += weight * up
                    return
            sd = 0.0
        if sd == 0:
            share = (mean - x[j]) / h
            if wall[j] == wall[j]:
                share = 0.0 if mean < wall[j] else 1.0
            row[j - first] += weight * (1 - share)
            row[j + 1 - first] += weight * share
            return
    elif sd == 0:
        if abs(mean) < bound:
            row[max(j, 0) - first] += weight
        return
    low, high = _below(x, mean - WIDE * sd), _below(x, mean + WIDE * sd)
    root2 = math.sqrt(2.0)
    z = ((x[low] if low >= 0 else -bound) - mean) / sd
    below = 0.0 if low >= 0 else 0.5 * (1 + math.erf(z / root2))
    density = 0.3989422804014327 * math.exp(-0.5 * z * z)
    for e in range(low, high + 1):
        z = ((x[e + 1] if e < n - 1 else bound) - mean) / sd
        upto = 1.0 if e == high and e < n - 1 else 0.5 * (1 + math.erf(z / root2))
        mass, ahead = upto - below, 0.3989422804014327 * math.exp(-0.5 * z * z)
        if e < 0 or e == n - 1:
            row[max(e, 0) - first] += weight * mass
        else:
            if wall[e] == wall[e]:
                right = upto - 0.5 * (1 + math.erf((wall[e] - mean) / sd / root2))
            else:
                right = (sd * (density - ahead) + (mean - x[e]) * mass) / (x[e + 1] - x[e])
            right = min(max(right, 0.0), mass)
            row[e - first] += weight * (mass - right)
            row[e + 1 - first] += weight * right
        below, density = upto, ahead


@kernel
def fill(x, wall, bound, w, pull, spread, extra, batch, vx, scale, first, at, values):
    """All rows of the nodes w (a slice of x); first, at: of that slice, `at` counted from the start of `values`."""
    for i in range(w.size):
        row = values[at[i] : at[i + 1]]
        row[:] = 0.0
        left, distance, number = _abscissae(pull[i], spread[i], batch, vx)
        rest = 1.0
        for k in range(number - 1, -1, -1):
            t = left + k * distance
            u = vx * math.exp(t)
            weight = rest if k == 0 else _weight(batch, t, distance, scale)  # what is left of it belongs to the smallest u
            rest -= weight
            _lay(x, wall, bound, w[i] - pull[i] * u, math.sqrt(spread[i] * u + extra[i]), weight, row, first[i])


@kernel
def forward(values, first, at, p, out):
    """out = p P: masses one step later."""
    out[:] = 0.0
    for i in range(p.size):
        mass = p[i]
        if mass != 0.0:
            row = values[at[i] : at[i + 1]]
            column = out[first[i] : first[i] + row.size]
            for k in range(row.size):
                column[k] += mass * row[k]


@functools.partial(kernel, fastmath={"reassoc"})  # a sum in the order that fills the processor's lanes: six times as fast
def backward(values, first, at, f, out):
    """out = P f: the expectation of f one step later, from every node."""
    for i in range(f.size):
        total = 0.0
        row = values[at[i] : at[i + 1]]
        column = f[first[i] : first[i] + row.size]
        for k in range(row.size):
            total += row[k] * column[k]
        out[i] = total
