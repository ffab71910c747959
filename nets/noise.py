"""Randomness of chains: z_i = normal(hash(key + i golden)), one stream of keys a chain, so that no chain's numbers depend on another's.

On a CPU one compiled pass hashes a counter (splitmix64) and turns its 64 bits into two normal numbers (Box & Muller 1958), with polynomials
that vectorise: far faster than a sequential generator, and fused with the step that uses them. Elsewhere one `torch.Generator` a chain.
Kernels of this file call only each other and those of `dynamics`: the cache of compiled kernels notices nothing else.
"""

import numpy as np
import torch

from dynamics.random import _mix, close, exponential, open_streams, opened, word
from landscapes.jit import kernel

_GOLDEN = 0x9E3779B97F4A7C15
_LN2 = np.float32(0.6931471805599453)
_HALF_TURN = np.float32(3.141592653589793 * 2.0**-32)


@kernel
def _log(x):
    """ln x of a normal float32 x > 0, to 2e-7 relative or absolute: 2 atanh((m-1)/(m+1)) of the mantissa m in [sqrt(1/2), sqrt(2))."""
    bits = np.int32(np.float32(x).view(np.int32) - np.int32(0x3F3504F3))
    exponent = np.float32(bits >> np.int32(23))
    m = np.int32((bits & np.int32(0x007FFFFF)) + np.int32(0x3F3504F3)).view(np.float32)
    s = (m - np.float32(1)) / (m + np.float32(1))
    q = s * s
    series = np.float32(1) + q * (np.float32(1 / 3) + q * (np.float32(1 / 5) + q * (np.float32(1 / 7) + q * np.float32(1 / 9))))
    return exponent * _LN2 + np.float32(2) * s * series


@kernel
def _pair(key, i):
    """Two independent N(0, 1), float32: sqrt(-2 ln u) (cos, sin)(2 pi v); never beyond sqrt(2 ln 2^32) = 6.7."""
    bits = _mix(key + np.uint64(i) * np.uint64(_GOLDEN))
    u = (np.float32(np.int32(bits >> np.uint64(33))) + np.float32(0.5)) * np.float32(2.0**-31)
    log = _log(u)
    r = np.sqrt(np.float32(-2) * (log if log < np.float32(0) else np.float32(0)))
    y = np.float32(np.int32(bits)) * _HALF_TURN  # pi v in [-pi/2, pi/2)
    q = y * y
    sine = np.float32(1 / 362880) - q * np.float32(1 / 39916800)
    sine = y * (np.float32(1) - q * (np.float32(1 / 6) - q * (np.float32(1 / 120) - q * (np.float32(1 / 5040) - q * sine))))
    cosine = np.float32(1 / 40320) - q * (np.float32(1 / 3628800) - q * np.float32(1 / 479001600))
    cosine = np.float32(1) - q * (np.float32(1 / 2) - q * (np.float32(1 / 24) - q * (np.float32(1 / 720) - q * cosine)))
    return r * (np.float32(1) - np.float32(2) * sine * sine), r * np.float32(2) * sine * cosine


# The two numbers of a pair lie half a row apart, and the halves are slices of their own: only so does the compiler vectorise, three times as fast.


@kernel
def _normals(out, keys):
    half = (out.shape[1] + 1) // 2
    for c in range(out.shape[0]):
        key, first, second = keys[c], out[c, :half], out[c, half:]
        for i in range(second.size):
            a, b = _pair(key, i)
            first[i] = a
            second[i] = b
        if second.size < half:
            first[half - 1], _ = _pair(key, half - 1)


@kernel
def _langevin(w, star, g, keys, drift, pull, scale):
    half = (w.shape[1] + 1) // 2
    star1, star2 = star[:half], star[half:]
    for c in range(w.shape[0]):
        key, w1, w2, g1, g2 = keys[c], w[c, :half], w[c, half:], g[c, :half], g[c, half:]
        for i in range(w2.size):
            a, b = _pair(key, i)
            w1[i] += scale * a - drift * g1[i] - pull * (w1[i] - star1[i])
            w2[i] += scale * b - drift * g2[i] - pull * (w2[i] - star2[i])
        if w2.size < half:
            i = half - 1
            a, _ = _pair(key, i)
            w1[i] += scale * a - drift * g1[i] - pull * (w1[i] - star1[i])


@kernel
def _keys(streams, out):
    for c in range(out.size):
        out[c], s = word(opened(streams, c))
        close(streams, c, s)


@kernel
def _exponentials(streams, out):
    for c in range(out.size):
        out[c], s = exponential(opened(streams, c))
        close(streams, c, s)


@kernel
def _indices(keys, n, out):
    for c in range(out.shape[0]):
        key, row = keys[c], out[c]
        for j in range(row.size):
            bits = _mix(key + np.uint64(j) * np.uint64(_GOLDEN))
            row[j] = np.int64(((bits >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))


class Streams:
    """The random numbers of `chains` chains: those of a chain depend on (seed, its number) only. fused: the compiled pass, wherever it can be."""

    def __init__(self, seed: int, chains: int, device: torch.device, fused: bool = True):
        self._states = open_streams(seed, np.arange(chains))
        self._keys = np.empty(chains, np.uint64)
        self.device = device
        self.fused = fused and device.type == "cpu"
        if not self.fused:
            self._generators = [torch.Generator(device).manual_seed(int(key >> np.uint64(1))) for key in self.keys()]

    def keys(self) -> np.ndarray:
        """64 random bits a chain, valid until the next call."""
        _keys(self._states, self._keys)
        return self._keys

    def normal_(self, out: torch.Tensor) -> torch.Tensor:
        """Fill out (C, D) with N(0, 1)."""
        if self.fused:
            _normals(out.numpy(), self.keys())
        else:
            for row, generator in zip(out, self._generators, strict=True):
                row.normal_(generator=generator)
        return out

    def exponential(self) -> torch.Tensor:
        """Exp(1) = -ln of a uniform number, (C,) float64."""
        out = np.empty(len(self._keys))
        _exponentials(self._states, out)
        return torch.from_numpy(out).to(self.device)

    def batches(self, n: int, batch: int) -> torch.Tensor:
        """(C, batch) indices of 0 ... n - 1, n < 2^32, independent and uniform (with replacement)."""
        if self.fused:
            out = np.empty((len(self._keys), batch), np.int64)
            _indices(self.keys(), n, out)
            return torch.from_numpy(out)
        return torch.stack([torch.randint(n, (batch,), generator=g, device=self.device) for g in self._generators])

    def langevin_(self, w, star, g, drift: float, pull: float, scale: float) -> None:
        """w <- w - drift g - pull (w - w*) + scale N(0, 1), in place; w, g (C, D) contiguous."""
        if self.fused:
            kind = w.numpy().dtype.type
            _langevin(w.numpy(), star.numpy(), g.numpy(), self.keys(), kind(drift), kind(pull), kind(scale))
        else:
            noise = self.normal_(torch.empty_like(w)).mul_(scale).sub_(g, alpha=drift)
            w.lerp_(star.expand_as(w), pull).add_(noise)
