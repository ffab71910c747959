"""Estimates beside exact values, as cases of experiments: a row each, with what is known, what was found, and what its health report says."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from dynamics.estimate import default_nbeta
from landscapes.catalogue import NormalCrossing, Regular
from landscapes.polynomial import Landscape
from landscapes.volume import fit_volume
from nets import dln
from nets.data import seeded
from nets.estimate import Estimate, Estimation
from nets.experiment import Case, Part, Row
from nets.linear_target import LinearTarget
from nets.models import MLP, DuplicatedReLU, MinimallySingular, ReducedRank
from nets.module_target import module_target
from nets.saddle import LinearBatches, SaddleToSaddle
from nets.samplers import MALA, SGLD, DiagonalSGLD, Sampler, walk
from nets.watch import Watched

UNIFORM = 100 / 3  # E x_i^2 of x uniform on [-10, 10]
POOL = 100_000  # inputs in memory that batches are drawn from; labels are exact, so that n enters through n beta only
LARGEST = 2**28  # numbers in that pool at most
CUT = 1e-3  # singular values of a trained layer below so much of its largest are on their way to zero
SAMPLES, START = 4, 5  # random streams, beside those of nets.data


def found(run: Estimation) -> Iterator[Part | Estimate]:
    """The parts of an estimate, without rows; at the end the estimate itself (`dead` chains all: its mean is NaN)."""
    total = (run.burn_in + run.draws) * run.thin + (1000 if run.eps == "auto" else 0)
    for estimate in run.stream():
        yield Part(min(0.99, estimate.step / total))
    yield estimate


def told(estimate: Estimate) -> Row:
    """The columns of an estimate."""
    words = ", ".join(finding.name for finding in estimate.health if finding.severity != "note")
    names = ("acceptance", "equipartition", "rhat", "ess", "radius", "dead")
    numbers = {name: float(getattr(estimate, name)) for name in names}
    return {"lambda_hat": estimate.mean, "lambda_error": estimate.stderr, **numbers, "eps": float(estimate.sampler.eps), "findings": words}


class One(Case):
    """A case of one estimate and one row."""

    def stream(self, content=None):
        yield Part(0.0)
        known, run = self.prepare()
        for part in found(run):
            if isinstance(part, Part):
                yield part
        yield Part(1.0, ({**known, **told(part)},))

    def prepare(self) -> tuple[Row, Estimation]:
        """(the row's first columns, what to run)."""
        raise NotImplementedError


# Deep linear networks


def _uniform(n: int, inputs: int, seed: int, dtype=torch.float32, device: str = "cpu") -> Tensor:
    return torch.rand(n, inputs, generator=seeded(SAMPLES, seed), dtype=dtype).mul_(20).sub_(10).to(device)


@dataclass(frozen=True)
class RandomLinear(One):
    """lambda-hat at a random deep linear network of Table 1 of "LLC at scale", beside its exact values: y = W x, x uniform on [-10, 10], mse.

    method "paper": SGLD with the table's eps, gamma 1, one chain, batches of 500, `share` of the table's steps, the last tenth kept; "MALA":
    exact on the full data, whose Gram matrix is E x x^T, 4 chains, eps tuned. trained: at a student of full-rank random weights trained on it
    (exact values: those of the function, and of the student's ranks at a tolerance of 1e-3). Columns: lambda_global, lambda_local, regular,
    error and error_local: relative errors against both.
    """

    order: str = "1k"
    seed: int = 0
    method: Literal["paper", "MALA"] = "paper"
    trained: bool = False
    share: float = 1.0
    draws: int = 10_000
    device: str = "cpu"

    @property
    def cost(self) -> float:
        widths, _ = dln.random_shape(self.order, self.seed)
        steps = self.share * dln.TABLE_1[self.order].steps if self.method == "paper" else self.draws * 1.5
        per_step = sum(a * b for a, b in zip(widths[1:], widths, strict=False)) + 2000.0
        return steps * per_step * (3 if self.method == "paper" else 4)

    def prepare(self):
        table = dln.TABLE_1[self.order]
        network = dln.random_network(self.order, self.seed, self.device)
        ranks = dln.Ranks.generic(*dln.random_shape(self.order, self.seed))
        if self.trained:
            network = _trained(network, self.seed)
            ranks = dln.block_ranks(network.weights, CUT)
        exact = dln.learning_coefficient(ranks.widths, ranks.rank)
        local, regular = dln.stratum(ranks).lam, Fraction(ranks.jacobian, 2)
        weights = [w.float() for w in network.weights]
        known: Row = {
            "order": self.order,
            "seed": self.seed,
            "method": self.method,
            "parameters": sum(w.numel() for w in weights),
            "layers": len(weights),
            "rank": ranks.rank,
            "lambda_global": float(exact.lam),
            "lambda_local": float(local),
            "regular": float(regular),
        }
        nbeta, both = default_nbeta(table.n), (float(local), float(exact.lam))
        if self.method == "MALA":
            target = LinearTarget(weights, torch.eye(ranks.widths[0], device=self.device) * UNIFORM, n=table.n)
            return known, Estimation(target, MALA(), nbeta, draws=self.draws, burn_in=self.draws // 2, seed=self.seed, eps="auto", exact=both)
        return known, self._paper(weights, table, nbeta, both)

    def _paper(self, weights, table, nbeta, exact) -> Estimation:
        steps = max(40, int(table.steps * self.share))
        pool = max(500, min(table.n, POOL, LARGEST // weights[0].shape[1]))
        target = LinearBatches(weights, _uniform(pool, weights[0].shape[1], self.seed, device=self.device))
        sampler, kept = SGLD(eps=table.eps, gamma=1.0), max(4, steps // 10)
        settings = {"chains": 1, "draws": kept, "burn_in": steps - kept, "batch": 500, "seed": self.seed}
        return Estimation(target, sampler, nbeta, **settings, exact=exact, baseline="full")

    def stream(self, content=None):
        for part in super().stream(content):
            rows = [
                row
                | {"error": row["lambda_hat"] / row["lambda_global"] - 1, "error_local": row["lambda_hat"] / row["lambda_local"] - 1}
                | {"error_regular": row["lambda_hat"] / row["regular"] - 1 if row["regular"] else math.nan}
                for row in part.rows
            ]
            yield part._replace(rows=tuple(rows))


def _trained(network: dln.Network, seed: int) -> dln.Network:
    """`dln.trained_point` with the paper's rate, or the first tenth, hundredth, ... of it that does not diverge."""
    for power in range(5):
        try:
            return dln.trained_point(network, seed, lr=0.01 * 10.0**-power)
        except ValueError:
            continue
    raise ValueError(f"the network of widths {network.widths} cannot be trained at any rate from 0.01 down to 1e-6")


@dataclass(frozen=True)
class Trace(Case):
    """nbeta (L - L*) of one long chain of SGLD from a random deep linear network, in `bins` means, and how acceptable its steps were.

    Columns: order, step, trace (mean over the bin), lambda_global, lambda_local, regular, acceptance (of a Metropolis test on the step at the end of
    each bin, averaged over the run), acceptance_now (of this one).
    """

    order: str = "1k"
    seed: int = 0
    steps: int = 10_000
    bins: int = 40
    device: str = "cpu"

    @property
    def cost(self) -> float:
        return RandomLinear(self.order, self.seed).cost / dln.TABLE_1[self.order].steps * self.steps

    def stream(self, content=None):
        yield Part(0.0)
        known, run = RandomLinear(self.order, self.seed, device=self.device).prepare()
        watched = Watched(run.sampler, run.target, run.nbeta, 1, run.batch, run.seed, self.steps, self.bins)
        losses = []
        for draws in walk(run.target, watched, run.nbeta, 1, self.steps, run.batch, run.seed):
            losses.append((draws.losses - draws.baselines)[0].double().cpu().numpy())
            yield Part(min(0.99, draws.step / self.steps))
        values, ends = run.nbeta * np.concatenate(losses), [made + 1 for made, *_ in watched.rows]
        acceptance = np.array([looked[2][0] for looked in watched.rows])
        mean = float(acceptance.mean())
        rows = [
            {**known, "step": end, "trace": float(part.mean()), "acceptance": mean, "acceptance_now": float(now)}
            for end, part, now in zip(ends, np.split(values, ends[:-1]), acceptance, strict=True)
        ]
        yield Part(1.0, tuple(rows))


@dataclass(frozen=True)
class Depths(Case):
    """Exact lambda and multiplicity of random deep linear networks: widths, the input's too, from 100 to 2000, hidden layers and rank uniform.

    No sampling. Columns: hidden, parameters, rank, lambda_global, multiplicity, share (of lambda in half the parameters). Source: LLC at scale,
    Fig. 7.
    """

    networks: int = 300
    deepest: int = 800
    seed: int = 0

    def stream(self, content=None):
        yield Part(0.0)
        random, rows = np.random.default_rng(self.seed), []
        for i in range(self.networks):
            hidden = int(random.integers(2, self.deepest + 1))
            widths = tuple(map(int, random.integers(100, 2001, size=hidden + 2)))
            rank = int(random.integers(0, min(widths) + 1))
            lam, multiplicity = dln.learning_coefficient(widths, rank)
            parameters = sum(a * b for a, b in itertools.pairwise(widths))
            rows.append({"hidden": hidden, "parameters": parameters, "rank": rank, "lambda_global": float(lam), "multiplicity": multiplicity})
            rows[-1] |= {"ends": widths[0] * widths[-1] / 2, "share": float(lam) / (parameters / 2)}
            if i % 50 == 49:
                yield Part(i / self.networks)
        yield Part(1.0, tuple(rows))


@dataclass(frozen=True)
class Saddles(Case):
    """Saddle-to-saddle dynamics: step, loss, rank, lambda_hat, lambda_error, regular, lambda_global, lambda_local, expected (of such short
    chains, `nets.saddle.quadratic_reading`), and the singular values."""

    run: SaddleToSaddle

    @property
    def cost(self) -> float:
        return self.run.steps * float(sum(a * b for a, b in zip(self.run.widths, self.run.widths[1:], strict=False)))

    def stream(self, content=None):
        last = -1 if content is None else content["step"]
        if last < 0:
            yield Part(0.0, (), lambda: {"step": -1})
        for frame in self.run.stream(after=last):
            row: Row = {
                "width": self.run.width,
                "seed": self.run.seed,
                "step": frame.step,
                "loss": frame.loss,
                "rank": frame.rank,
                "lambda_hat": frame.estimate.mean,
                "lambda_error": frame.estimate.stderr,
                "regular": float(frame.regular),
                "lambda_global": float(frame.total),
                "lambda_local": float(frame.local),
                "expected": frame.expected,
            }
            row |= {f"singular_{i}": value for i, value in enumerate(frame.singular, 1)}
            yield Part(frame.step / max(self.run.steps, 1), (row,), lambda step=frame.step: {"step": step})


# Other networks with known or comparable values


@dataclass(frozen=True)
class Sizes(One):
    """lambda-hat of one ReLU network (with biases) at its true weights, from n samples it made itself, by SGLD on batches of 32 or by MALA.

    Settings: eps 1e-5, gamma 1, no burn-in; `chains` of its own noise stand for the source's repeated runs. Source: LLC at scale, Fig. 3.
    """

    n: int = 1000
    method: Literal["SGLD", "MALA"] = "SGLD"
    steps: int = 10_000
    chains: int = 5
    seed: int = 0
    widths: tuple[int, ...] = (10, 20, 20, 10)
    eps: float = 1e-5

    @property
    def cost(self) -> float:
        return self.steps * (self.n if self.method == "MALA" else 64.0)

    def prepare(self):
        model = MLP(self.widths).build(self.seed)
        with torch.no_grad():
            x = _uniform(self.n, self.widths[0], self.seed)
            y = model(x)
        target = module_target(model, "mse", x, y)
        sampler: Sampler = SGLD(eps=self.eps, gamma=1.0) if self.method == "SGLD" else MALA(eps=self.eps, gamma=1.0)
        batch = 32 if self.method == "SGLD" else 0
        known: Row = {"n": self.n, "method": self.method, "parameters": target.dim, "half": target.dim / 2}
        return known, Estimation(target, sampler, None, self.chains, self.steps, 0, batch, self.seed)

    def stream(self, content=None):
        for part in super().stream(content):
            rows = [row | {"n_beta": default_nbeta(self.n)} for row in part.rows]
            yield part._replace(rows=tuple(rows))


@dataclass(frozen=True)
class Rescaled(One):
    """lambda-hat of a two-layer ReLU network with copies of a unit, (W1, b1) times alpha and W2 over alpha, with the same noise for each alpha.

    diagonal: P = alpha^2 on (W1, b1), alpha^-2 on W2, 1 on b2; without it P = 1. Losses of draws on the full data. In float64, as the question
    is equality. Source: LLC at scale, section 4.3, Fig. 6.
    """

    model: DuplicatedReLU = DuplicatedReLU()
    diagonal: bool = True
    n: int = 10_000
    batch: int = 500
    steps: int = 10_000
    seed: int = 0
    eps: float = 1e-5

    @property
    def cost(self) -> float:
        return self.steps * (self.n + 3.0 * self.batch) * self.model.size

    def prepare(self):
        alpha = self.model.alpha
        module = self.model.build(self.seed).double()
        x = _uniform(self.n, self.model.widths[0], self.seed, torch.float64)
        first, _, last = module
        with torch.no_grad():
            y = module(x)
        scales = ((first.weight, alpha**2), (first.bias, alpha**2), (last.weight, alpha**-2), (last.bias, 1.0))
        p = torch.cat([torch.full((part.numel(),), scale) for part, scale in scales]) if self.diagonal else ()
        target = module_target(module, "mse", x, y)
        known: Row = {"alpha": alpha, "hidden": self.model.widths[1], "sampler": "P" if self.diagonal else "P = 1", "half": target.dim / 2}
        burn_in = self.steps // 10
        settings = {"chains": 1, "draws": self.steps - burn_in, "burn_in": burn_in, "batch": self.batch, "measure": "full"}
        return known, Estimation(target, DiagonalSGLD(self.eps, 0.0, p), None, seed=self.seed, **settings)


@dataclass(frozen=True)
class Singular(One):
    """lambda-hat at w = 0 of a minimally singular toy, labels 0: exact r/4 of f = x sum w_i^2 and r/2 of f = (x w_1, ..., x w_r), by MALA.

    Both potentials are homogeneous, so with gamma = 0 the exact value holds at every n beta. Columns: toy, r, lambda_exact, claimed (r/2).
    """

    model: MinimallySingular = MinimallySingular()
    n: int = 1000
    draws: int = 4000
    chains: int = 4
    seed: int = 0

    @property
    def cost(self) -> float:
        return float(self.draws * (self.model.rank if self.model.toy == "r/2" else 20))

    def prepare(self):
        model, r = self.model.build(0), self.model.rank
        with torch.no_grad():
            model.w.zero_()
        x = torch.randn(self.n, 1, generator=seeded(SAMPLES, self.seed))
        y = torch.zeros(self.n, 1 if self.model.toy == "r/4" else r)
        target = module_target(model, "half_squares", x, y)
        known: Row = {"toy": self.model.toy, "r": r, "lambda_exact": float(self.model.learning_coefficient), "claimed": r / 2}
        settings = {"chains": self.chains, "draws": self.draws, "burn_in": self.draws // 2, "seed": self.seed, "eps": "auto"}
        return known, Estimation(target, MALA(gamma=0.0), None, **settings)


@dataclass(frozen=True)
class Noise(One):
    """lambda-hat of reduced-rank regression on pure noise, at its trained weights: SGLD as devinterp's own test sets it, or MALA.

    Settings: n = 1000, eps 6e-4, gamma 1, 3 chains of 2000 draws, full data; 5000 steps of gradient descent with momentum before.
    """

    model: ReducedRank = ReducedRank()
    method: Literal["SGLD", "MALA"] = "SGLD"
    seed: int = 0
    n: int = 1000
    draws: int = 2000

    def prepare(self):
        inputs, outputs = self.model.inputs, self.model.outputs
        generator = seeded(SAMPLES, self.seed)
        x, y = (torch.randn(self.n, size, generator=generator, dtype=torch.float64) for size in (inputs, outputs))
        start = [layer.weight.detach().double() for layer in self.model.build(self.seed)]
        gram, best = x.T @ x / self.n, torch.linalg.lstsq(x, y).solution.T
        for step, (_, weights) in enumerate(dln.descend(start, best, (gram for _ in range(5001)), 0.02, 0.9)):  # noqa: B007
            pass
        target = LinearTarget.of_data([w.float() for w in weights], x.float(), y.float())
        exact = dln.learning_coefficient((inputs, self.model.hidden, outputs), 0).lam
        sampler: Sampler = SGLD(eps=6e-4, gamma=1.0) if self.method == "SGLD" else MALA(gamma=1.0)
        known: Row = {"widths": f"{inputs}-{self.model.hidden}-{outputs}", "seed": self.seed, "method": self.method, "lambda_exact": float(exact)}
        settings = {"chains": 3, "draws": self.draws, "burn_in": 0 if self.method == "SGLD" else self.draws, "seed": self.seed}
        return known, Estimation(target, sampler, None, **settings, eps="auto" if self.method == "MALA" else None)


@dataclass(frozen=True)
class Volumes(Case):
    """Volume of {K < eps} near the first minimum of a landscape, by quadrature: columns landscape, eps, volume, lambda_fit, lambda_exact."""

    landscape: Landscape = Regular()

    def stream(self, content=None):
        yield Part(0.0)
        fit, minimum = fit_volume(self.landscape), self.landscape.minima[0]
        known: Row = {"landscape": repr(self.landscape), "lambda_fit": fit.lam, "lambda_error": fit.stderr, "multiplicity_fit": fit.multiplicity}
        known |= {"lambda_exact": float(minimum.lam), "multiplicity": minimum.multiplicity}
        rows = [known | {"eps": float(e), "volume": float(v)} for e, v in zip(fit.eps, fit.volume, strict=True)]
        yield Part(1.0, tuple(rows))


__all__ = ["Depths", "Noise", "NormalCrossing", "RandomLinear", "Rescaled", "Saddles", "Singular", "Sizes", "Trace", "Volumes"]
