"""tr H, eigenvalues and spectral density of the Hessian, tr F: what is read off a network at one point of its weights, on data that are named.

Each probe is a frozen value: `measure(model, loss, x, y, seed)` gives its result, `stream(...)` the same as it grows, `.step` first. `loss`
is one of `nets.losses`, by name or itself, or any (output, target) -> (n,) or its mean; H is the Hessian of the mean loss over all of x, y in
the parameters that require a gradient, F its Fisher matrix. The model is put into eval mode meanwhile and is left as it was.
Every result has `numbers`, a dictionary of plain floats for tables.
"""

import abc
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from landscapes.scale import Range, check
from nets.losses import named, root

Vectors = Annotated[int, Range(2, 1_000_000, log=True, unit="vectors", help="random vectors: the error falls as one over their root", shown=(4, 200))]
Iterations = Annotated[int, Range(1, 5000, log=True, unit="steps", help="Lanczos steps, each one product with H", shown=(10, 200))]
Chunk = Annotated[int, Range(1, 1_000_000, log=True, unit="samples", help="samples a pass: bounds memory", shown=(64, 4096))]


class Probe(abc.ABC):
    """Subclasses are frozen dataclasses with `stream`."""

    def __post_init__(self):
        check(self)

    @abc.abstractmethod
    def stream(self, model: nn.Module, loss: Callable | str, x: Tensor, y: Tensor, seed: int = 0) -> Iterator:
        """Results as they grow; the last one is that of `measure`."""

    def measure(self, model: nn.Module, loss: Callable | str, x: Tensor, y: Tensor, seed: int = 0):
        """The result. Raises ValueError for no samples, no parameters, or a loss, gradient or product that is not finite."""
        *_, last = self.stream(model, loss, x, y, seed)
        return last


# ------------------------------------------------------------------------------------------------------------------------------- products


class Hessian:
    """v -> H v, H = grad^2 (1/n) sum_i l_i: two backward passes a product, the graph of the first kept while all samples fit one chunk.

    dim: D. layers: name of each module with parameters -> slices of v.
    """

    def __init__(self, model: nn.Module, loss: Callable | str, x: Tensor, y: Tensor, chunk: int):
        self.model, self.loss = model, named(loss) if isinstance(loss, str) else loss
        self.x, self.y, self.chunk, self.kept = x, y, chunk, None
        if not len(x) or len(x) != len(y):
            raise ValueError(f"{len(x)} inputs and {len(y)} targets; give at least one, and one target an input")
        found = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        if not found:
            raise ValueError("the model has no parameters that require a gradient; nothing to differentiate by")
        self.parameters = [p for _, p in found]
        self.layers: dict[str, list[slice]] = {}
        self.dim = 0
        for name, p in found:
            self.layers.setdefault(name.rpartition(".")[0] or name, []).append(slice(self.dim, self.dim + p.numel()))
            self.dim += p.numel()

    def chunks(self) -> Iterator[tuple[Tensor, Tensor]]:
        return zip(self.x.split(self.chunk), self.y.split(self.chunk), strict=True)

    def new(self) -> Tensor:
        """An empty vector (D,) of the type and on the device of the parameters."""
        return self.parameters[0].new_empty(self.dim)

    def flat(self, parts) -> Tensor:
        return torch.cat([part.reshape(-1) for part in parts])

    def __call__(self, v: Tensor) -> Tensor:
        """H v of v (D,)."""
        parts = [part.view_as(p) for part, p in zip(v.split([p.numel() for p in self.parameters]), self.parameters, strict=True)]
        total = torch.zeros_like(v)
        for slopes in [self.kept] if self.kept else self._slopes():
            if not any(s.requires_grad for s in slopes):
                continue  # the loss is linear in the weights here
            pairs = [(s, part) for s, part in zip(slopes, parts, strict=True) if s.requires_grad]
            rows = torch.autograd.grad(
                [s for s, _ in pairs], self.parameters, [part for _, part in pairs], retain_graph=self.kept is not None, materialize_grads=True
            )
            total += self.flat(rows)
        if not torch.isfinite(total).all():
            raise ValueError("H v is not finite: the weights or the data hold NaN or infinity, or the loss has no second derivative here")
        return total

    def _slopes(self) -> Iterator[list[Tensor]]:
        """The gradient of each chunk's share of the loss, with its graph."""
        for x, y in self.chunks():
            value = self.loss(self.model(x), y).mean() * (len(x) / len(self.x))
            slopes = list(torch.autograd.grad(value, self.parameters, create_graph=True, materialize_grads=True))
            if len(x) == len(self.x):
                self.kept = slopes
            yield slopes


@contextmanager
def _open(model, loss, x, y, chunk) -> Iterator[Hessian]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.enable_grad():
            yield Hessian(model, loss, x, y, chunk)
    finally:
        for module, mode in modes:
            module.training = mode


def _random(out: Tensor, generator: torch.Generator, kind: str) -> Tensor:
    """Fill with independent numbers of mean 0 and variance 1; generated on the CPU, so that every device sees the same."""
    if kind == "gaussian":
        return out.copy_(torch.randn(out.shape, generator=generator, dtype=out.dtype))
    return out.copy_(torch.randint(0, 2, out.shape, generator=generator)).mul_(2).sub_(1)


# --------------------------------------------------------------------------------------------------------------------------------- traces


class Traces(NamedTuple):
    """step: vectors so far; mean: of the trace; stderr: its Monte-Carlo standard error (NaN of one vector).

    layers: name of a module -> (mean, stderr) of its own block's trace; they add up to the mean.
    """

    step: int
    mean: float
    stderr: float
    layers: dict[str, tuple[float, float]]

    @property
    def numbers(self) -> dict[str, float]:
        return {"trace": self.mean, "stderr": self.stderr, **{f"trace of {name}": mean for name, (mean, _) in self.layers.items()}}


def _traces(rows: list[list[float]], names) -> Traces:
    values = np.array(rows)  # (vectors, layers)
    count = len(values)

    def of(samples):
        return float(samples.mean()), float(samples.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan

    return Traces(count, *of(values.sum(axis=1)), {name: of(column) for name, column in zip(names, values.T, strict=True)})


@dataclass(frozen=True)
class HessianTrace(Probe):
    """tr H = E v^T H v, v of independent entries of mean 0 and variance 1: signs (less variance) or Gaussian. Source: Hutchinson 1990.

    Var(v^T H v) = 2 (|H|^2 - |diag H|^2) for signs, 2 |H|^2 for Gaussian v. Layers: the same products, read on their own entries.
    """

    vectors: Vectors = 50
    kind: Literal["signs", "gaussian"] = "signs"
    chunk: Chunk = 2048

    def stream(self, model, loss, x, y, seed=0) -> Iterator[Traces]:
        generator, rows = torch.Generator().manual_seed(seed), []
        with _open(model, loss, x, y, self.chunk) as hessian:
            for _ in range(self.vectors):
                v = _random(hessian.new(), generator, self.kind)
                both = (v * hessian(v)).double()
                rows.append([sum(float(both[part].sum()) for part in parts) for parts in hessian.layers.values()])
                yield _traces(rows, hessian.layers)


@dataclass(frozen=True)
class FisherTrace(Probe):
    """tr F = (1/n) sum_i tr J_i^T A_i J_i, J_i = d f(x_i)/dw: "true", labels from the model, A_i = E_y s s^T with s = grad_f l(f_i, y);
    "empirical", labels from the data, A_i = s_i s_i^T at y_i.

    One backward pass gives tr F without bias: of |sum_i J_i^T c_i|^2 with c_i = S_i u_i (A_i = S_i S_i^T) or u_i s_i, u random signs, only
    E sum_i |J_i^T c_i|^2 is left. "true" needs one of `nets.losses.LOSSES`, which say what the labels' distribution is; the empirical one a
    loss per sample. chunk: samples a pass; of one sample each the empirical trace is exact.
    """

    labels: Literal["true", "empirical"] = "true"
    vectors: Vectors = 50
    chunk: Chunk = 256

    def stream(self, model, loss, x, y, seed=0) -> Iterator[Traces]:
        generator, rows = torch.Generator().manual_seed(seed), []
        with _open(model, loss, x, y, self.chunk) as of:
            names = of.layers
            for _ in range(self.vectors):
                row = np.zeros(len(names))
                for inputs, targets in of.chunks():
                    output = of.model(inputs)
                    cotangent = self._cotangent(of.loss, output.detach(), targets, generator)
                    slope = of.flat(torch.autograd.grad(output, of.parameters, cotangent, materialize_grads=True)).double()
                    row += [sum(float(slope[part].square().sum()) for part in parts) for parts in names.values()]
                if not np.all(np.isfinite(row)):
                    raise ValueError("a gradient is not finite: the weights or the data hold NaN or infinity")
                rows.append((row / len(x)).tolist())
                yield _traces(rows, names)

    def _cotangent(self, loss, output, targets, generator):
        if self.labels == "true":
            u = _random(torch.empty_like(output), generator, "signs")
            return (root(loss, output) @ u[:, :, None])[:, :, 0]
        output = output.requires_grad_()
        values = loss(output, targets)
        if values.shape != output.shape[:1]:
            raise ValueError(f"loss gives shape {tuple(values.shape)}; the empirical Fisher matrix needs one value a sample ({len(output)},)")
        (slopes,) = torch.autograd.grad(values.sum(), output)
        return slopes * _random(output.new_empty(len(output)), generator, "signs").reshape(-1, *[1] * (output.ndim - 1))


# -------------------------------------------------------------------------------------------------------------------------------- spectra


def lanczos(product: Callable[[Tensor], Tensor], start: Tensor, steps: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """H Q = Q T + beta q e^T, Q (D, k) orthonormal from `start`: yields (Ritz values (k,), last rows and first rows (2, k) of T's eigenvectors,
    beta) for k = 1, 2, ...; ends early when the space is exhausted (beta = 0).

    Every new vector is made orthogonal to all former ones, twice, so no eigenvalue appears again by rounding: memory k D.
    """
    steps = min(steps, start.numel())
    basis = start.new_empty(steps, start.numel())
    alphas, betas = [], []
    q = start / start.norm()
    for k in range(steps):
        basis[k] = q
        r = product(q)
        alphas.append(float(q.double() @ r.double()))
        for _ in range(2):
            r = r - basis[: k + 1].T @ (basis[: k + 1] @ r)
        beta = float(r.double().norm())
        tridiagonal = np.diag(alphas) + np.diag(betas, 1) + np.diag(betas, -1)
        values, vectors = np.linalg.eigh(tridiagonal)
        size = np.abs(values).max()
        if beta <= 10 * torch.finfo(start.dtype).eps * size * math.sqrt(start.numel()):
            beta = 0.0
        yield values, vectors[[-1, 0]], beta
        if not beta:
            return
        betas.append(beta)
        q = r / beta


class Eigenvalues(NamedTuple):
    """step: Lanczos steps so far; values (k,), the outermost first; errors (k,): an eigenvalue of H lies within this of each, |H q - value q|.

    An eigenvalue of several dimensions is found once.
    """

    step: int
    values: np.ndarray
    errors: np.ndarray

    @property
    def numbers(self) -> dict[str, float]:
        return {f"eigenvalue {i}": float(v) for i, v in enumerate(self.values, 1)}


@dataclass(frozen=True)
class TopEigenvalues(Probe):
    """H q = mu q: the `count` largest (or smallest) eigenvalues, by Lanczos from a Gaussian vector, until `tolerance` or after `iterations` steps.

    tolerance: of the residual, relative to the largest |mu|.
    """

    count: Annotated[int, Range(1, 1000, unit="eigenvalues", help="how many", shown=(1, 20))] = 5
    end: Literal["largest", "smallest"] = "largest"
    iterations: Iterations = 100
    tolerance: Annotated[float, Range(0, 1, help="stop when all residuals are below this times the largest |eigenvalue|")] = 1e-3
    chunk: Chunk = 2048

    def stream(self, model, loss, x, y, seed=0) -> Iterator[Eigenvalues]:
        with _open(model, loss, x, y, self.chunk) as hessian:
            start = _random(hessian.new(), torch.Generator().manual_seed(seed), "gaussian")
            for step, (values, ends, beta) in enumerate(lanczos(hessian, start, self.iterations), 1):
                order = slice(None, -self.count - 1, -1) if self.end == "largest" else slice(self.count)
                errors = beta * np.abs(ends[0][order])
                yield Eigenvalues(step, values[order], errors)
                if len(errors) == min(self.count, hessian.dim) and errors.max() <= self.tolerance * np.abs(values).max():
                    return


class Spectrum(NamedTuple):
    """step: vectors so far; nodes, weights (vectors, iterations): (1/D) sum_j f(mu_j) ~ mean over vectors of sum_k weights f(nodes); dim: D."""

    step: int
    nodes: np.ndarray
    weights: np.ndarray
    dim: int

    def mean(self, f: Callable) -> tuple[float, float]:
        """(1/D) tr f(H) and its standard error between vectors (NaN of one). Exact for each vector if f is a polynomial of degree < 2 iterations."""
        each = (self.weights * f(self.nodes)).sum(axis=1)
        return float(each.mean()), float(each.std(ddof=1) / math.sqrt(len(each))) if len(each) > 1 else math.nan

    def density(self, at: np.ndarray, width: float) -> np.ndarray:
        """Eigenvalues per unit length around `at` (points,), smoothed by a Gaussian of standard deviation `width`; its integral is 1."""
        if not width > 0:
            raise ValueError(f"width = {width!r}; give the standard deviation of the smoothing, above 0")
        away = (np.asarray(at, float)[:, None] - self.nodes.ravel()) / width
        return np.exp(-0.5 * away**2) @ self.weights.ravel() / (len(self.nodes) * width * math.sqrt(2 * math.pi))

    @property
    def numbers(self) -> dict[str, float]:
        return {"trace": self.dim * self.mean(lambda mu: mu)[0], "smallest": float(self.nodes.min()), "largest": float(self.nodes.max())}


@dataclass(frozen=True)
class SpectralDensity(Probe):
    """(1/D) sum_j delta(mu - mu_j) by stochastic Lanczos quadrature: the Gauss nodes and weights of v's own spectral measure, v Gaussian.

    The nodes of one vector are its Ritz values, the weights the squared first entries of their vectors. Source: Golub & Welsch 1969;
    Ghorbani, Krishnan & Xiao 2019 (arXiv 1901.10159).
    """

    vectors: Annotated[int, Range(1, 10_000, log=True, unit="vectors", help="random vectors", shown=(1, 20))] = 5
    iterations: Iterations = 60
    chunk: Chunk = 2048

    def stream(self, model, loss, x, y, seed=0) -> Iterator[Spectrum]:
        generator = torch.Generator().manual_seed(seed)
        with _open(model, loss, x, y, self.chunk) as hessian:
            steps = min(self.iterations, hessian.dim)
            nodes, weights = np.zeros((self.vectors, steps)), np.zeros((self.vectors, steps))
            for i in range(self.vectors):
                start = _random(hessian.new(), generator, "gaussian")
                *_, (values, ends, _) = lanczos(hessian, start, steps)
                nodes[i], weights[i, : len(values)] = values[-1], ends[1] ** 2  # those past an early end: at a node, of weight 0
                nodes[i, : len(values)] = values
                yield Spectrum(i + 1, nodes[: i + 1].copy(), weights[: i + 1].copy(), hessian.dim)
