"""Saddle-to-saddle dynamics of a deep linear network, and what lambda-hat reads on the way, beside three exact lines.

From a small start the network learns the teacher's directions one by one: its loss rests on plateaus, near saddles where the map has rank
0, 1, 2, ... At each of them: lambda-hat of short chains, the regular part rank(J)/2, Aoyagi's global value, the local value. With chains of
100 steps lambda-hat follows the *regular part* (0, 4.5, 8, 10.5, 12, 12.5 for 5 inputs and outputs) and not lambda, 12.5 at every rank. What it
reads is known to 1 %: `quadratic_reading`, at a saddle with balanced layers 4.7, 8.6, 11.4, 13.1, 14.0 (the paper's plateaus: 4.8, 8.6, 11.5, 13.4);
the excess over the regular part is the step's: with eps = 1e-7 and 1000 draws it is 4.4, 7.7, 10.1, 11.6, 12.3.
Source: "LLC at scale", section 4.2 and appendix E.2, after Jacot et al. 2021 (arXiv 2106.15933).
"""

import copy
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from dynamics.estimate import LLC, default_nbeta, llc
from landscapes.scale import Range, check
from nets.data import permutation, seeded
from nets.dln import block_ranks, descend, gradients, learning_coefficient, product, stratum
from nets.linear_target import LinearTarget
from nets.samplers import SGLD, Sampler, walk
from nets.targets import Target

DATA, START, CHAINS = 1, 2, 3  # random streams, beside those of `permutation`
LARGEST = 400  # rows of a matrix whose eigenvalues every estimate takes: 20 ms


class LinearBatches(Target):
    """L_B(w) = tr((W - B) S_B (W - B)^T) / outputs: the mse of realisable data y = B x, B = W at w*, on batches, through S_B = X_B^T X_B / |B|.

    Exact, and the batch enters through a matrix (inputs, inputs) alone. weights: w*, W_1, ..., W_L; x (n, inputs).
    """

    def __init__(self, weights: list[Tensor], x: Tensor):
        self.x, self.full = x, LinearTarget(weights, x.T @ x / len(x), n=len(x))
        self.n, self.star = len(x), self.full.star

    def _on(self, index):
        if index is None:
            return self.full
        batch = self.x[index]  # (C, B, inputs)
        target = copy.copy(self.full)
        target.gram = batch.mT @ batch / index.shape[1]  # (C, inputs, inputs): one for each chain
        return target

    def losses(self, w, index=None):
        return self._on(index).losses(w)

    def gradients(self, w, index=None):
        return self._on(index).gradients(w)


def quadratic_reading(weights: Sequence[Tensor], gram: Tensor, nbeta: float, sampler: SGLD, draws: int) -> float:
    """sum_i (nbeta h_i / 2) v_i,  v_i = mean over k < draws of E q^2 after k steps of q <- (1 - eps (nbeta h_i + gamma)/2) q + N(0, eps), q = 0.

    What lambda-hat of SGLD started at w* reads on average, burn-in counted, where L is its quadratic part: h_i are the curvatures of
    L = tr(D S D^T)/H_L at D = 0, S = gram. Bias of the step, of the tether and of too few draws are all in it; batches, which change it
    little, and the higher terms, which long chains meet, are not. With many draws and a small step each curved direction gives 1/2.
    The h_i are the eigenvalues of (2/H_L) sum_s (A_s A_s^T) x (C_s^T C_s), a matrix of H_0 H_L rows: NaN beyond LARGEST rows.
    """
    if len(gram) * len(weights[-1]) > LARGEST:
        return math.nan
    values, vectors = torch.linalg.eigh(gram)
    before = [vectors * values.clamp(min=0).sqrt() @ vectors.mT]  # C_s S^(1/2)
    for w in weights[:-1]:
        before.append(w @ before[-1])
    after = torch.eye(len(weights[-1]), dtype=gram.dtype, device=gram.device)  # A_s
    kernel = gram.new_zeros(())
    for w, c in zip(weights[::-1], before[::-1], strict=True):
        kernel = kernel + torch.kron(after @ after.mT, c.mT @ c)
        after = after @ w
    h = torch.linalg.eigvalsh(kernel).clamp(min=0) * 2 / len(weights[-1])
    h = h[h > 1e-14 * h.max()]
    loss = 1 - (1 - sampler.eps / 2 * (nbeta * h + sampler.gamma)) ** 2  # of q^2 in a step
    return float((nbeta * h / 2 * sampler.eps / loss * (1 - (1 - (1 - loss) ** draws) / (draws * loss))).sum())


class SaddleFrame(NamedTuple):
    """After `step` steps of SGD.

    loss: on the full data. singular (size,): singular values of the map, falling. rank: how many directions it has learned (see
    `SaddleToSaddle.gain`). estimate: lambda-hat of data realisable at w_t. regular: rank(J)/2; total: Aoyagi's global value at this rank;
    local: lambda of the stratum of w_t (the conjecture of `dln.stratum`); expected: `quadratic_reading`, NaN for samplers other than SGLD.
    """

    step: int
    loss: float
    singular: tuple[float, ...]
    rank: int
    estimate: LLC
    regular: Fraction
    total: Fraction
    local: Fraction
    expected: float


@dataclass(frozen=True)
class SaddleToSaddle:
    """W <- W - lr grad L_B(W) for y = `strength` diag(1, ..., size) x, x normal, from W_s ~ N(0, width^-exponent); every `every` steps lambda-hat
    at w_t on data realisable at w_t.

    Defaults are the paper's smallest network; its others: (width, steps, every) = (100, 20_000, 50), (500, 50_000, 100), seeds 0 and 42.
    `batch` and `sgld_batch` 0 use the full data, through X^T X / n. The plateaus lie at strength^2 (sum of the squares not yet learned) / size.
    """

    width: Annotated[int, Range(1, 3000, log=True, unit="units", help="H, width of every hidden layer", shown=(5, 500))] = 10
    hidden: Annotated[int, Range(1, 40, unit="layers", help="hidden layers", shown=(1, 8))] = 4
    size: Annotated[int, Range(1, 100, unit="units", help="inputs, and outputs", shown=(2, 10))] = 5
    steps: Annotated[int, Range(0, 10_000_000, unit="steps", help="steps of SGD", shown=(1000, 50_000))] = 20_000
    every: Annotated[int, Range(1, 10_000_000, unit="steps", help="steps of SGD between two estimates", shown=(50, 1000))] = 50
    seed: Annotated[int, Range(0, 2**31 - 1, help="of the data, the start, the batches and the chains", shown=(0, 99))] = 42
    exponent: Annotated[float, Range(0, 10, help="the start has variance width^-exponent: small starts go from saddle to saddle")] = 1.5
    strength: Annotated[float, Range(1e-3, 1e3, log=True, help="the teacher is this times diag(1, 2, ...)", shown=(1, 100))] = 10.0
    n: Annotated[int, Range(10, 10_000_000, log=True, unit="samples", help="size of the data set", shown=(1000, 100_000))] = 10_000
    lr: Annotated[float, Range(1e-8, 1.0, log=True, help="learning rate of SGD", shown=(1e-5, 1e-3))] = 1e-4
    batch: Annotated[int, Range(0, 10_000_000, unit="samples", help="of SGD; 0: full data", shown=(0, 512))] = 128
    sampler: Sampler = SGLD(eps=1e-6, gamma=1.0)
    chains: Annotated[int, Range(1, 1000, unit="chains", help="chains an estimate", shown=(1, 16))] = 1
    draws: Annotated[int, Range(4, 10_000_000, log=True, unit="draws", help="draws of each chain, none left out", shown=(10, 10_000))] = 100
    sgld_batch: Annotated[int, Range(0, 10_000_000, unit="samples", help="of the chains; 0: full data", shown=(0, 512))] = 128

    def __post_init__(self):
        check(self)
        if not isinstance(self.sampler, Sampler):
            raise ValueError(f"sampler = {self.sampler!r} is no sampler; give a value such as SGLD(eps=1e-6, gamma=1.0)")
        for name in ("batch", "sgld_batch"):
            if getattr(self, name) > self.n:
                raise ValueError(f"{name} = {getattr(self, name)} of n = {self.n} samples; choose at most n, or 0 for all of them")

    @property
    def widths(self) -> tuple[int, ...]:
        return (self.size, *[self.width] * self.hidden, self.size)

    @property
    def gain(self) -> float:
        """A direction counts as learned if every layer carries it with more than (strength/2)^(1/L): half the teacher's weakest in the product."""
        return (self.strength / 2) ** (1 / (self.hidden + 1))

    @property
    def plateaus(self) -> tuple[float, ...]:
        """Expected loss with the strongest 0, 1, 2, ... directions learned."""
        return tuple(self.strength**2 * sum(k * k for k in range(1, self.size + 1 - r)) / self.size for r in range(self.size + 1))

    def stream(self, after: int = -1) -> Iterator[SaddleFrame]:
        """A frame every `every` steps, the first (the start) at once. Raises ValueError where SGD or every chain diverges.

        after: only the frames beyond this step: the same ones, as each estimate has random numbers of its own; the steps before are made anew.
        """
        x = torch.randn(self.n, self.size, generator=seeded(self.seed, 0, DATA), dtype=torch.float64)
        teacher = torch.diag(self.strength * torch.arange(1, self.size + 1, dtype=torch.float64))
        generator, spread = seeded(self.seed, 0, START), self.width ** (-self.exponent / 2)
        start = [spread * torch.randn(b, a, generator=generator, dtype=torch.float64) for a, b in zip(self.widths[:-1], self.widths[1:], strict=True)]
        gram = x.T @ x / self.n
        for step, (_, weights) in enumerate(descend(start, teacher, self._grams(x), self.lr)):
            if step % self.every == 0 and step > after:
                yield self._frame(step, weights, float(gradients(weights, teacher, gram)[0]), x)
            if step == self.steps:
                return

    def _grams(self, x: Tensor) -> Iterator[Tensor]:
        """X_B^T X_B / |B|, epoch after epoch in a fresh order; a last short batch is left out."""
        size, epoch = self.batch or self.n, 0
        while True:
            order = permutation(self.n, self.seed, epoch)[: self.n // size * size] if self.batch else torch.arange(self.n)
            batches = x[order].reshape(-1, size, self.size)
            yield from batches.mT @ batches / size
            epoch += 1

    def _frame(self, step: int, weights: list[Tensor], loss: float, x: Tensor) -> SaddleFrame:
        if not loss < float("inf"):
            raise ValueError(f"SGD diverged before step {step} (loss {loss}); choose lr below {self.lr:g}")
        target, nbeta = LinearBatches(weights, x), default_nbeta(self.n)
        seed = int(seeded(self.seed, step, CHAINS).initial_seed() % 2**31)
        frames = list(walk(target, self.sampler, nbeta, self.chains, self.draws, self.sgld_batch, seed))
        estimate = llc(torch.cat([frame.losses for frame in frames], 1).numpy(), 0.0, nbeta)
        ranks = block_ranks(weights, self.gain, absolute=True)
        singular = tuple(torch.linalg.svdvals(product(weights)).tolist())
        total = learning_coefficient(self.widths, ranks.rank).lam
        gaussian = type(self.sampler) is SGLD
        expected = quadratic_reading(weights, target.full.gram, nbeta, self.sampler, self.draws) if gaussian else math.nan
        return SaddleFrame(step, loss, singular, ranks.rank, estimate, Fraction(ranks.jacobian, 2), total, stratum(ranks).lam, expected)
