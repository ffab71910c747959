"""Langevin sampling of the tempered, localised posterior: SGLD where it takes batches."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np

from dynamics.batches import draw, prepare
from dynamics.random import close, opened
from dynamics.rule import Rule, normals, place, put
from dynamics.sgd import batch_gradient
from landscapes.jit import kernel
from landscapes.polynomial import potential
from landscapes.scale import Range

StepSize = Annotated[float, Range(1e-18, 10, log=True, help="ε: variance of one step; a curvature nβH + γ needs ε < 4/(nβH + γ)", shown=(1e-6, 0.1))]
InverseTemperature = Annotated[float, Range(1e-6, 1e15, log=True, help="nβ: samples times inverse temperature, for exp(−nβ L)", shown=(1, 1e5))]
Tether = Annotated[float, Range(0, 1e9, help="γ: strength of the Gaussian that keeps a chain near its start w*", shown=(0, 100))]


@dataclass(frozen=True)
class Langevin(Rule):
    """w <- w - (eps/2)(nbeta grad L(w) + gamma (w - w*)) + N(0, eps): samples exp(-nbeta L - gamma |w - w*|^2/2) as eps -> 0.

    w* is where the trajectory started. batch = 0: L is the whole loss (K for fresh data, the sample loss for n given samples); else a
    fresh batch of that size a step (SGLD), whose noise adds (eps nbeta/2)^2 Sigma to the variance of a step.
    Unadjusted: on a quadratic of curvature c = nbeta H + gamma the variance is 1/(c (1 - eps c/4)) rather than 1/c; MALA removes that.
    """

    eps: StepSize = 1e-3
    nbeta: InverseTemperature = 100.0
    gamma: Tether = 1.0
    batch: Annotated[int, Range(0, 100_000, unit="samples", help="samples in a gradient; 0 takes the whole loss", shown=(0, 512))] = 0

    @property
    def needs_q(self):
        return self.batch > 0

    @property
    def latex(self):
        return (
            r"w \leftarrow w - \tfrac{\varepsilon}{2}\left(n\beta \nabla L(w) + \gamma (w - w^*)\right)"
            r" + \mathcal{N}(0, \varepsilon)"
        )

    def memory(self, w):
        return anchor(w)

    def advance(self, path, memory, table, source, streams, first):
        hyper = (0.5 * self.eps, self.nbeta, self.gamma, self.eps**0.5)
        _langevin(path, memory, table, source, streams, first, source.moments.copy(), hyper, self.batch)


def anchor(w: np.ndarray) -> np.ndarray:
    """w* (n, 2): where trajectories w (n, dim) start; the second entry is 0 in one dimension."""
    at = np.zeros((len(w), 2))
    at[:, : w.shape[1]] = w
    return at


@kernel
def _langevin(path, memory, table, source, streams, first, means, hyper, batch):
    half, nbeta, gamma, noise = hyper
    prepared = prepare(source, max(batch, 1))
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        for t in range(1, path.shape[1]):
            if batch:
                s = draw(source, batch, prepared, means, streams[i, 2], first + t - 1, s)
                g1, g2 = batch_gradient(table, source, means, w1, w2)
            else:
                _, g1, g2 = potential(table, source.slope, source.moments, w1, w2)
            z1, z2, s = normals(path, s)
            w1 += noise * z1 - half * (nbeta * g1 + gamma * (w1 - memory[i, 0]))
            w2 += noise * z2 - half * (nbeta * g2 + gamma * (w2 - memory[i, 1]))
            if not put(path, i, t, w1, w2):
                break
        close(streams, i, s)
