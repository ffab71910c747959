"""Deep linear networks y = W_L ... W_1 x: exact learning coefficients, global and at given weights, and the random networks they are tested on.

Everything about a point w is read off its block ranks R(c, b) = rank(W_b ... W_{c+1}), 0 <= c < b <= L, R(c, c) = H_c:

* lambda(w): `stratum` (a theorem for two layers, a conjecture beyond: see there);
* rank(J)/2, what the regular directions alone give: `regular_part`.

Weights are lists W_1, ..., W_L of matrices (torch or NumPy), W_s of shape (H_s, H_{s-1}), widths H_0 (input) ... H_L (output), rank r of the map.
"""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import torch

TOLERANCE = 1e-9  # a singular value counts as zero if below this times its layer's largest (rounding of a rank-truncated layer: some 1e-14)


class Coefficient(NamedTuple):
    """lambda and its multiplicity m: F_n = n L_n + lambda log n - (m - 1) log log n."""

    lam: Fraction
    multiplicity: int


def learning_coefficient(widths: Sequence[int], rank: int = 0) -> Coefficient:
    """lambda = [r (H_0 + H_L) - r^2]/2 + a(l-a)/(4l) - l(l-1)/4 (P/l)^2 + (1/2) sum_{i<j<=l+1} m_i m_j,  m = a(l-a) + 1.

    m_1 <= m_2 <= ... are the sorted H_s - r; l is the largest l <= L with P = m_1 + ... + m_{l+1} >= l m_{l+1}; a = P - (ceil(P/l) - 1) l.
    The smallest of all local values over the zeros of K: exact, for any depth and width. Source: Aoyagi 2024, Neural Networks 172:106132.
    Raises ValueError for fewer than two widths, widths below 1, or a rank above the smallest width.

    >>> learning_coefficient((10, 6, 6, 10), rank=2)
    Coefficient(lam=Fraction(26, 1), multiplicity=1)
    """
    widths, rank = _checked(widths, rank)
    m = sorted(h - rank for h in widths)
    l = max(l for l in range(1, len(m)) if sum(m[: l + 1]) >= l * m[l])  # noqa: E741  # holds at l = 1: m_1 + m_2 >= m_2
    chosen = m[: l + 1]
    p = sum(chosen)
    a = p - (-(-p // l) - 1) * l
    pairs = (p * p - sum(x * x for x in chosen)) // 2
    lam = Fraction(rank * (widths[0] + widths[-1] - rank), 2) + Fraction(a * (l - a) - (l - 1) * p * p, 4 * l) + Fraction(pairs, 2)
    return Coefficient(lam, a * (l - a) + 1)


@dataclass(frozen=True)
class Ranks:
    """The block ranks of a point: blocks[c][b - c] = rank(W_b ... W_{c+1}); blocks[c][0] = H_c.

    Made by `block_ranks` from weights, by `Ranks.generic` from the ranks of layers in general position, by `Ranks.lowest` for the most
    degenerate point of all (W_s = diag(1, .., 1, 0, ..) with r ones: every block has rank r).
    """

    blocks: tuple[tuple[int, ...], ...]

    @classmethod
    def generic(cls, widths: Sequence[int], layers: Sequence[int]) -> "Ranks":
        """Of layers with these ranks and otherwise in general position: the rank of a product is the smallest of its factors' ranks."""
        widths, _ = _checked(widths)
        if len(layers) != len(widths) - 1:
            raise ValueError(f"{len(layers)} ranks of layers for {len(widths)} widths; give one rank for each of the {len(widths) - 1} layers")
        layers = [_whole(rank, f"rank of W_{s}", 0) for s, rank in enumerate(layers, 1)]
        for s, rank in enumerate(layers, 1):
            if not 0 <= rank <= min(widths[s - 1 : s + 1]):
                raise ValueError(f"rank of W_{s} = {rank}; a {widths[s]} x {widths[s - 1]} matrix has rank 0 ... {min(widths[s - 1 : s + 1])}")
        return cls(tuple((h, *(min(layers[c:b]) for b in range(c + 1, len(widths)))) for c, h in enumerate(widths)))

    @classmethod
    def lowest(cls, widths: Sequence[int], rank: int = 0) -> "Ranks":
        """Every block has the rank of the whole map."""
        widths, rank = _checked(widths, rank)
        return cls(tuple((h, *[rank] * (len(widths) - 1 - c)) for c, h in enumerate(widths)))

    def __getitem__(self, block: tuple[int, int]) -> int:
        c, b = block
        return self.blocks[c][b - c]

    @property
    def widths(self) -> tuple[int, ...]:
        return tuple(row[0] for row in self.blocks)

    @property
    def rank(self) -> int:
        """Of the whole map W_L ... W_1."""
        return self.blocks[0][-1]

    @property
    def layers(self) -> tuple[int, ...]:
        """Of W_1, ..., W_L."""
        return tuple(row[1] for row in self.blocks[:-1])

    @property
    def jacobian(self) -> int:
        """rank of w -> W_L ... W_1 at w: sum_s (u_s - u_{s-1}) v_s, with u_s = R(s, L), u_0 = 0, v_s = R(0, s - 1).

        The image of dW_s is (image of W_L ... W_{s+1}) x (row space of W_{s-1} ... W_1); the first grow with s, the second shrink.
        """
        last = len(self.blocks) - 1
        u = [0] + [self[s, last] for s in range(1, last + 1)]
        return sum((u[s] - u[s - 1]) * self[0, s - 1] for s in range(1, last + 1))


def block_ranks(weights: Sequence, tolerance: float | None = None, absolute: bool = False) -> Ranks:
    """R(c, b) = dim of the image of R^{H_c} in R^{H_b}, by pushing the flag of these images through one layer after another.

    A direction dies in layer s if its singular value there is at most `tolerance` times the largest of W_s (`absolute`: at most `tolerance`
    itself); the images are kept as orthonormal bases, so gains and losses of earlier layers do not multiply up, and the ranks found are always
    those of some network. tolerance: 1e-9 by default, or the largest width times the resolution of the weights' type, where that is larger
    (float32: 1e-7 times the width: ranks of wide float32 networks are doubtful, keep such weights in float64).
    Cost: a few singular value decompositions of H x H a layer, on the device of the weights.
    """
    weights = as_matrices(weights)
    if tolerance is None:
        tolerance = max(TOLERANCE, 0.0 if absolute else max(max(w.shape) for w in weights) * max(torch.finfo(w.dtype).eps for w in weights))
    if not (math.isfinite(tolerance) and tolerance >= 0 and (absolute or tolerance < 1)):
        raise ValueError(f"tolerance = {tolerance!r}; give a number from 0 up (below 1 where it is relative to a layer's largest singular value)")
    weights = [w.double() for w in weights]
    flag = [
        torch.eye(weights[0].shape[1], dtype=torch.float64, device=weights[0].device)
    ]  # orthonormal: the first c + 1 blocks span the image from c
    rows = [[weights[0].shape[1]]]
    for w in weights:
        cut = tolerance if absolute else tolerance * float(torch.linalg.matrix_norm(w, 2))
        basis = w.new_zeros(len(w), 0)
        image = []
        for block in flag:
            new = w @ block
            for _ in range(2):  # twice: what is left must be orthogonal to working precision
                new = new - basis @ (basis.T @ new)
            image.append(_image(new, cut))
            basis = torch.cat([basis, image[-1]], dim=1)
        rest = torch.linalg.qr(basis, mode="complete").Q[:, basis.shape[1] :] if basis.shape[1] else torch.eye(len(w), dtype=w.dtype, device=w.device)
        flag = [*image, rest]
        reached = 0
        for row, part in zip(rows, image, strict=True):
            reached += part.shape[1]
            row.append(reached)
        rows.append([len(w)])
    return Ranks(tuple(map(tuple, rows)))


def _image(matrix: torch.Tensor, cut: float) -> torch.Tensor:
    """Orthonormal basis of the directions that `matrix` reaches with a singular value above `cut`."""
    if not matrix.numel():
        return matrix[:, :0]
    left, values, _ = torch.linalg.svd(matrix, full_matrices=False)
    return left[:, values > cut]


class Stratum(NamedTuple):
    """lam: half the smallest codimension; partial (L + 1,): rank t_s of W_s ... W_1 on the stratum that has it, t_0 = H_0, t_L = r."""

    lam: Fraction
    partial: tuple[int, ...]

    @property
    def lost(self) -> tuple[int, ...]:
        """d_s = t_{s-1} - t_s: how much rank layer s loses."""
        return tuple(a - b for a, b in itertools.pairwise(self.partial))


def stratum(ranks: Ranks) -> Stratum:
    """2 lambda(w) = r (H_0 + H_L - r) + min over t of sum_s d_s (H_s - t_s),  d_s = t_{s-1} - t_s >= 0,  t_0 = H_0,  t_L = r,  t_s <= H_s,
    and for every block c < b: t_c - t_b <= H_c - rank(W_b ... W_{c+1}).

    The minimum runs over the strata (sets of weights with partial ranks t and the right product) that come near w: ranks near w are not below
    those at w. At the most degenerate point the last condition is void, and the minimum is Aoyagi's global value.
    An upper bound of lambda(w) for any depth (K vanishes to second order on each stratum), an equality for two layers. For more layers equality
    is a CONJECTURE: 13 of 14 long exact sampling runs agree within 1 %, one, with multiplicity, reads 1.33 for 3/2.

    The objective is sum_s d_s (H_s - H_0) + d_s^2 / 2 + const: separable and convex in the differences of t, under bounds on differences of t:
    L-natural convex. So steps of one size +-2^k on a set of layers, the best set found as a minimum cut, sizes halved, end at the minimum
    (Murota 2003, Discrete Convex Analysis, chapter 10).
    """
    widths, last = ranks.widths, len(ranks.blocks) - 1
    bound = np.full((last + 1, last + 1), np.iinfo(np.int64).max // 4)  # t_i - t_j <= bound[i, j]
    for c in range(last + 1):
        for b in range(c + 1, last + 1):
            bound[c, b] = widths[c] - ranks[c, b]
    bound[np.arange(1, last + 1), np.arange(last)] = 0  # t falls
    bound[1:, 0] = np.minimum(bound[1:, 0], np.array(widths[1:]) - widths[0])  # t_s <= H_s
    t = np.array([ranks[0, s] for s in range(last + 1)])  # w's own stratum
    if np.any(t[:, None] - t > bound):
        raise ValueError(f"blocks {ranks.blocks} are the ranks of no network; take them from block_ranks, Ranks.generic or Ranks.lowest")
    slope = 2 * (np.array(widths[1:]) - widths[0])
    size = 1 << max(widths[0] - ranks.rank, 1).bit_length()
    while size:
        moves = [sign * _best_set(t, sign * size, slope, bound) for sign in (1, -1)]
        gain, move = min(((_twice(t + size * m, slope) - _twice(t, slope), m) for m in moves), key=lambda pair: pair[0])
        if gain < 0:
            t = t + size * move
        else:
            size //= 2
    r = ranks.rank
    codimension = r * (widths[0] + widths[-1] - r) + sum(int((t[s - 1] - t[s]) * (widths[s] - t[s])) for s in range(1, last + 1))
    return Stratum(Fraction(codimension, 2), tuple(map(int, t)))


def _twice(t: np.ndarray, slope: np.ndarray) -> int:
    d = t[:-1] - t[1:]
    return int(d @ slope + d @ d)


def _best_set(t: np.ndarray, step: int, slope: np.ndarray, bound: np.ndarray) -> np.ndarray:
    """x in {0, 1}^(L+1), x_0 = x_L = 0, with the smallest objective at t + step x, within the bounds: a minimum cut.

    Moving layer s - 1 but not s changes the objective by rise_s + step^2, s but not s - 1 by -rise_s + step^2.
    """
    n = len(t)
    rise = step * (slope + 2 * (t[:-1] - t[1:]))
    gain = np.zeros(n, dtype=np.int64)  # of x_s alone
    gain[:-1] += rise
    gain[1:] -= rise
    never = 4 * (int(np.abs(gain).sum()) + n * step * step + 1)
    room = np.zeros((n + 2, n + 2), dtype=np.int64)  # source n: side of x = 1; sink n + 1: side of x = 0
    i = np.arange(n - 1)
    room[i, i + 1] = room[i + 1, i] = step * step
    forbidden = t[:, None] - t + abs(step) > bound
    room[:n, :n][forbidden if step > 0 else forbidden.T] = never
    room[n, :n], room[:n, n + 1] = np.maximum(-gain, 0), np.maximum(gain, 0)
    room[[0, n - 1], n + 1] = never
    while True:  # shortest augmenting paths
        before = np.full(n + 2, -1)
        before[n] = n
        front = [n]
        while front and before[n + 1] < 0:
            ahead = []
            for node in front:
                fresh = np.flatnonzero((room[node] > 0) & (before < 0))
                before[fresh] = node
                ahead.extend(fresh.tolist())
            front = ahead
        if before[n + 1] < 0:
            return (before[:n] >= 0).astype(np.int64)
        path, node = [], n + 1
        while node != n:
            path.append((before[node], node))
            node = before[node]
        flow = min(room[edge] for edge in path)
        for a, b in path:
            room[a, b] -= flow
            room[b, a] += flow


def local_learning_coefficient(weights: Sequence, tolerance: float | None = None) -> Fraction:
    """lambda(w) of the network with weights W_1, ..., W_L, realisable data and a full-rank input covariance: `stratum(block_ranks(weights)).lam`.

    A theorem for two layers, a conjecture beyond (see `stratum`). Ranks at a relative tolerance, 1e-9 by default (see `block_ranks`).

    >>> local_learning_coefficient([np.eye(2), np.zeros((2, 2))])  # (2, 2, 2), rank 0: the global value is 3/2
    Fraction(2, 1)
    """
    return stratum(block_ranks(weights, tolerance)).lam


def regular_part(weights: Sequence, tolerance: float | None = None) -> Fraction:
    """rank(J)/2 with J the Jacobian of w -> W_L ... W_1: what the directions with curvature give, and what a chain reads before it has
    explored the flat ones. At most lambda(w). Ranks as in `block_ranks`."""
    return Fraction(block_ranks(weights, tolerance).jacobian, 2)


# ---------------------------------------------------------------------------------------------------------------- random and trained points


class Order(NamedTuple):
    """A row of Table 1 of "Quantifying degeneracy ... at scale": layers and widths are (low, high), high exclusive; SGLD's steps and eps; n."""

    layers: tuple[int, int]
    widths: tuple[int, int]
    steps: int
    eps: float
    n: int
    nets: int


TABLE_1 = {
    "1k": Order((2, 5), (5, 50), 10_000, 5e-7, 10**5, 99),
    "10k": Order((2, 10), (5, 100), 10_000, 5e-7, 10**5, 100),
    "100k": Order((2, 10), (50, 500), 50_000, 1e-7, 10**6, 100),
    "1M": Order((5, 20), (100, 1000), 50_000, 5e-8, 10**6, 99),
    "10M": Order((2, 20), (500, 2000), 50_000, 2e-8, 10**6, 93),
    "100M": Order((2, 40), (500, 3000), 50_000, 2e-8, 10**6, 54),
}


class Network(NamedTuple):
    """widths (L + 1,); weights W_1, ..., W_L, float64; rank of the map."""

    widths: tuple[int, ...]
    weights: list[torch.Tensor]
    rank: int


def random_shape(order: str, seed: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(widths, ranks of the layers) of `random_network(order, seed)`: all that its exact values need, without drawing 10^8 weights."""
    if order not in TABLE_1:
        raise ValueError(f"order = {order!r} is not in Table 1; choose one of {', '.join(TABLE_1)}")
    generator = np.random.default_rng(_seed(seed))
    layers = int(generator.integers(*TABLE_1[order].layers))
    widths = tuple(map(int, generator.integers(*TABLE_1[order].widths, size=layers + 1)))
    ranks = []
    for a, b in itertools.pairwise(widths):
        full = min(a, b)
        ranks.append(full - int(generator.integers(full)) if generator.random() < 0.5 else full)
    return widths, tuple(ranks)


def random_network(order: str, seed: int, device: str = "cpu") -> Network:
    """A random true parameter: W_s truncated normal (at two sd) of sd 1/sqrt(H_{s-1}); each matrix with probability 1/2 loses U{0, .., rank-1}
    of its rank, its smallest singular values set to 0.

    Its block ranks are `Ranks.generic(*random_shape(order, seed))`. Source: "Quantifying degeneracy in singular models via the learning
    coefficient" / LLC at scale, section 4.2, Table 1 and the authors' code (the number of layers is that of matrices).
    """
    widths, ranks = random_shape(order, seed)
    return Network(widths, random_weights(widths, ranks, seed, device), min(ranks))


def random_weights(widths: Sequence[int], ranks: Sequence[int] | None = None, seed: int = 0, device: str = "cpu") -> list[torch.Tensor]:
    """W_s truncated normal (at two sd) of sd 1/sqrt(H_{s-1}), cut down to ranks[s - 1] (None: full) by its smallest singular values; float64."""
    widths, _ = _checked(widths)
    ranks = Ranks.generic(widths, ranks or [min(pair) for pair in itertools.pairwise(widths)]).layers
    generator = torch.Generator(device).manual_seed(_seed(seed))
    weights = []
    for a, b, rank in zip(widths, widths[1:], ranks, strict=False):
        w = torch.empty(b, a, dtype=torch.float64, device=device)
        torch.nn.init.trunc_normal_(w, std=a**-0.5, a=-2 * a**-0.5, b=2 * a**-0.5, generator=generator)
        if rank < min(a, b):
            left, values, right = torch.linalg.svd(w, full_matrices=False)
            w = left[:, :rank] * values[:rank] @ right[:rank]
        weights.append(w)
    return weights


def product(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    """W_L ... W_1 (H_L, H_0)."""
    return torch.linalg.multi_dot(list(weights)[::-1]) if len(weights) > 1 else weights[0]


def gradients(weights: Sequence[torch.Tensor], target: torch.Tensor, gram: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """L = tr(D S D^T)/H_L, D = W_L ... W_1 - B, and dL/dW_s = A_s^T (2 D S / H_L) C_s^T, A_s = W_L ... W_{s+1}, C_s = W_{s-1} ... W_1.

    The loss (mean over samples and outputs of (f - y)^2) and its gradient on all samples at once: exact for realisable data y = B x with
    S = X^T X / n (H_0, H_0), whatever n. target B (H_L, H_0).
    """
    before = [torch.eye(len(gram), dtype=gram.dtype, device=gram.device)]  # C_s
    for w in weights:
        before.append(w @ before[-1])
    difference = before.pop() - target
    back = difference @ gram / len(target)
    loss = (back * difference).sum()
    back = 2 * back  # A_s^T (2 D S / H_L), from the output down
    found = []
    for w, c in zip(weights[::-1], before[::-1], strict=True):
        found.append(back @ c.T)
        back = w.T @ back
    return loss, found[::-1]


def descend(
    weights: Sequence[torch.Tensor], target: torch.Tensor, grams: Iterable[torch.Tensor], lr: float, momentum: float = 0.0
) -> Iterator[tuple[float, list[torch.Tensor]]]:
    """v <- momentum v - lr grad L,  W <- W + v: yields (loss, weights before the step), one for each Gram matrix of a batch (or of all data)."""
    weights = [w.clone() for w in weights]
    velocity = [torch.zeros_like(w) for w in weights]
    for gram in grams:
        loss, slopes = gradients(weights, target, gram)
        yield float(loss), weights
        for w, v, g in zip(weights, velocity, slopes, strict=True):
            v.mul_(momentum).sub_(g, alpha=lr)
            w.add_(v)


def trained_point(network: Network, seed: int = 0, steps: int = 50_000, lr: float = 0.01, momentum: float = 0.9, enough: float = 1e-20) -> Network:
    """A student of `network`: fresh full-rank random weights, trained on y = W_L ... W_1 x, x uniform on [-10, 10]^H_0 (S = (100/3) I).

    Gradient descent on the expected loss (no noise in y: its batches only change the path), until the loss is below `enough` times that of the
    zero map, or `steps` are done: what a narrow teacher makes it unlearn dies as a power of time, its product may still be 1e-4 off then.
    Its layers keep full rank, so its lambda may differ from the network's. Settings: LLC at scale, appendix E.1.
    Raises ValueError where this learning rate diverges.
    """
    widths, weights, rank = network
    target = product(weights)
    gram = torch.eye(widths[0], dtype=torch.float64, device=target.device) * (100 / 3)
    zero = float((target @ gram * target).sum()) / len(target)
    student = random_weights(widths, seed=seed, device=str(target.device))
    for loss, student in descend(student, target, (gram for _ in range(steps + 1)), lr, momentum):  # noqa: B007, B020  # the last ones are wanted
        if not math.isfinite(loss):
            raise ValueError(f"training diverged at lr = {lr:g}; choose a smaller one")
        if loss <= enough * zero:
            break
    return Network(widths, student, rank)


# ---------------------------------------------------------------------------------------------------------------------------------- checks


def as_matrices(weights: Sequence) -> list[torch.Tensor]:
    """W_1, ..., W_L as floating-point tensors, detached, or one clear ValueError."""
    if isinstance(weights, torch.Tensor | np.ndarray) and weights.ndim == 2:
        weights = [weights]
    if isinstance(weights, str | torch.nn.Module) or not isinstance(weights, Iterable):
        given = repr(weights) if isinstance(weights, str) else f"of type {type(weights).__name__}"
        raise ValueError(f"weights are {given}; give a list of matrices W_1, ..., W_L (of a module: [layer.weight for layer in model])")
    found = [_matrix(w, s) for s, w in enumerate(weights, 1)]
    if not found:
        raise ValueError("no weights; give a list of matrices W_1, ..., W_L, W_s of shape (outputs, inputs)")
    for s, w in enumerate(found, 1):
        if w.ndim != 2 or not w.numel():
            raise ValueError(f"W_{s} has shape {tuple(w.shape)}; give a matrix (outputs, inputs)")
        if s > 1 and w.shape[1] != len(found[s - 2]):
            raise ValueError(
                f"W_{s} takes {w.shape[1]} inputs but W_{s - 1} has {len(found[s - 2])} outputs; give them in this order, each (outputs, inputs)"
            )
        if w.is_complex() or not bool(torch.isfinite(w).all()):
            raise ValueError(f"W_{s} has entries that are not finite real numbers; has the training diverged?")
    return [w if w.is_floating_point() else w.double() for w in found]


def _matrix(w, s: int) -> torch.Tensor:
    try:
        return w.detach() if isinstance(w, torch.Tensor) else torch.as_tensor(np.asarray(w))
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"W_{s} is a {type(w).__name__}; give a matrix of numbers (outputs, inputs)") from error


def _whole(value, what: str, low: int) -> int:
    try:
        whole = int(value)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or isinstance(value, bool) or whole != value or whole < low:
        raise ValueError(f"{what} = {value!r}; give a whole number from {low} up")
    return whole


def _checked(widths, rank=0) -> tuple[tuple[int, ...], int]:
    if isinstance(widths, str) or not isinstance(widths, Iterable):
        raise ValueError(f"widths = {widths!r}; give H_0, ..., H_L, such as (10, 6, 6, 10)")
    widths = tuple(_whole(h, "a width", 1) for h in widths)
    if len(widths) < 2:
        raise ValueError(f"widths = {widths}; a network has at least an input and an output width, such as (10, 10)")
    rank = _whole(rank, "rank", 0)
    if rank > min(widths):
        raise ValueError(f"rank = {rank} is above the smallest width {min(widths)} of {widths}; no such map passes through the network")
    return widths, rank


def _seed(seed) -> int:
    return _whole(seed, "seed", 0)
