"""One random stream per trajectory, for kernels: xoroshiro128++, seeded by (seed, trajectory).

A trajectory's numbers then depend on neither the number of threads nor that of other trajectories.
Sources: Blackman & Vigna 2021 (xoroshiro128++, splitmix64); Marsaglia & Tsang 2000 (gamma; ziggurat, as improved by Doornik 2005);
Kanter 1975 (stable laws).
"""

import math

import numpy as np

from landscapes.jit import kernel


def _ziggurat() -> tuple[np.ndarray, np.ndarray]:
    """Right edges x_i of 256 layers of equal area under exp(-x^2/2), x_0 the widest (the base with its tail), and the heights there."""
    r, area = 3.6541528853610088, 0.00492867323399  # Marsaglia & Tsang 2000, 256 layers
    x = np.empty(257)
    x[0], x[1] = area / math.exp(-0.5 * r * r), r
    for i in range(2, 256):
        x[i] = math.sqrt(-2 * math.log(area / x[i - 1] + math.exp(-0.5 * x[i - 1] ** 2)))
    x[256] = 0.0
    return x, np.exp(-0.5 * x * x)


_X, _F = _ziggurat()
_R = float(_X[1])
_TO_UNIT = 2.0**-53


@kernel
def _mix(z):
    """splitmix64's finaliser: neighbouring integers become unrelated words."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@kernel
def _seed(streams, seed, indices):
    golden = np.uint64(0x9E3779B97F4A7C15)
    for row in range(indices.size):
        base = _mix(_mix(np.uint64(seed) + golden) ^ np.uint64(indices[row]) * golden)
        for word in range(3):
            base += golden
            streams[row, word] = _mix(base)


def open_streams(seed: int, indices: np.ndarray) -> np.ndarray:
    """States (n, 3) uint64 of the streams of these trajectories: two words of the generator, one key for permutations."""
    streams = np.empty((len(indices), 3), np.uint64)
    _seed(streams, seed, np.asarray(indices, np.int64))
    return streams


# A stream's state is two words, passed and returned as a tuple: it then stays in registers (7 ns a chi2 instead of 11).


@kernel
def opened(streams, i):
    """The state of stream i."""
    return streams[i, 0], streams[i, 1]


@kernel
def close(streams, i, s):
    """Keep the state of stream i for the next slice of steps."""
    streams[i, 0], streams[i, 1] = s


@kernel
def _rotate(x, k):
    return (x << np.uint64(k)) | (x >> np.uint64(64 - k))


@kernel
def word(s):
    """64 random bits, and the state after them."""
    s0, s1 = s
    out = _rotate(s0 + s1, 17) + s0
    s1 ^= s0
    return out, (_rotate(s0, 49) ^ s1 ^ (s1 << np.uint64(21)), _rotate(s1, 28))


@kernel
def uniform(s):
    """U[0, 1)."""
    bits, s = word(s)
    return np.float64(bits >> np.uint64(11)) * _TO_UNIT, s


@kernel
def exponential(s):
    """Exp(1)."""
    u, s = uniform(s)
    return -math.log(1.0 - u), s


@kernel
def _edge(x, layer, s):
    # 1.5 % of the draws: in the base beyond r (Marsaglia's tail method), or in the wedge between a layer and the density
    if layer == 0:
        while True:
            a, s = exponential(s)
            b, s = exponential(s)
            if 2 * b > (a / _R) ** 2:
                return True, math.copysign(_R + a / _R, x), s
    u, s = uniform(s)
    return _F[layer] + u * (_F[layer + 1] - _F[layer]) < math.exp(-0.5 * x * x), x, s


@kernel
def normal(s):
    """N(0, 1) by the ziggurat."""
    while True:
        bits, s = word(s)
        layer = np.int64(bits & np.uint64(255))
        x = np.float64(np.int64(bits) >> np.int64(10)) * _TO_UNIT * _X[layer]  # U[-1, 1) times the layer's width
        if abs(x) < _X[layer + 1]:
            return x, s
        inside, x, s = _edge(x, layer, s)
        if inside:
            return x, s


@kernel
def chi2_constants(degrees):
    """(d, c) of Marsaglia & Tsang for Gamma(degrees/2), computed once for many draws; degrees = 1 is drawn as a square."""
    d = 0.5 * degrees - 1.0 / 3.0
    return (d, 1.0 / math.sqrt(9.0 * d)) if degrees > 1 else (0.0, 0.0)


@kernel
def chi2(constants, s):
    """chi^2 with the degrees of freedom that `chi2_constants` was given."""
    d, c = constants
    if d == 0.0:
        x, s = normal(s)
        return x * x, s
    while True:
        x, s = normal(s)
        u, s = uniform(s)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and (0.0331 * x * x * x * x < u or math.log(1.0 - u) < 0.5 * x * x + d * (1.0 - v + math.log(v))):
            return 2.0 * d * v, s


@kernel
def positive_stable(a, s):
    """A > 0 with E exp(-s A) = exp(-s^a), 0 < a <= 1 (A = 1 at a = 1): sqrt(2 A) N(0, 1) is then symmetric (2a)-stable of scale 1.

    Kanter 1975; Chambers, Mallows & Stuck 1976.
    """
    u, s = uniform(s)
    e, s = exponential(s)
    angle = math.pi * (1.0 - u)  # above 0
    return math.sin(a * angle) / math.sin(angle) ** (1.0 / a) * (math.sin((1.0 - a) * angle) / e) ** ((1.0 - a) / a), s


@kernel
def _below(key, x, limit):
    # a hash of (key, x) in 0 ... limit - 1
    bits = (np.uint64(x) ^ key) * np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    return np.int64(((bits >> np.uint64(32)) * np.uint64(limit)) >> np.uint64(32))


@kernel
def permuted(key, position, n, bits):
    """Entry `position` of a pseudo-random permutation of 0 ... n - 1, chosen by `key`, without storing it.

    A Feistel network of six rounds on Z_a x Z_b, a = 2^bits near sqrt(n) and at least 2, a b >= n; values beyond n walk on
    (Black & Rogaway 2002, "Ciphers with arbitrary finite domains"). Small n need more rounds to reach all orders
    equally; four rounds still fail a chi^2 test at n = 4096.
    """
    rounds = 12 if bits == 1 else 4 if bits < 4 else 3
    a = np.int64(1) << bits
    b = (n + a - 1) >> bits
    x = position
    while True:
        left, right, k = x & (a - 1), x >> bits, key
        for _ in range(rounds):
            left = (left + _below(k, right, a)) & (a - 1)
            k = _rotate(k, 13)
            right += _below(k, left, b)
            right -= b if right >= b else 0
            k = _rotate(k, 13)
        x = (right << bits) | left
        if x < n:
            return x
