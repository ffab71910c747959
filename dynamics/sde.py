"""The stochastic differential equation that SGD follows as eta -> 0, and its Gaussian noise shaped like that of batches."""

import math
from dataclasses import dataclass
from typing import Annotated

from dynamics.batches import Source
from dynamics.random import close, normal, opened
from dynamics.rule import Batch, LearningRate, Rule, place, put
from landscapes.jit import kernel
from landscapes.polynomial import evaluate, outputs
from landscapes.scale import Range

Substeps = Annotated[int, Range(1, 100_000, log=True, help="how finely a step is split; 1 is SGD itself with Gaussian noise", shown=(1, 256))]


@dataclass(frozen=True)
class SDE(Rule):
    """dw = -grad K dt + sqrt(eta Sigma(w)) dW (Ito), Euler-Maruyama, each step of time eta split into `substeps`.

    Sigma = (vy G + 2 grad K grad K^T)/B is the covariance of a batch gradient, the noise Gaussian; substeps = 1 is SGD with that noise
    in place of the batch's, substeps -> infinity the equation. Where they part, a finite step is at work and not noise: SGD jumps a 1D barrier that
    the equation never crosses, as drift and noise both vanish there.
    n given samples: grad K is that of their loss, Sigma its expectation over data sets, times (n - B)/(n - 1). Source: Li, Tai & E 2017.
    """

    lr: LearningRate = 0.01
    batch: Batch = 20
    substeps: Substeps = 16

    @property
    def latex(self):
        return r"dw = -\nabla K\, dt + \sqrt{\eta\, \Sigma(w)}\, dW"

    def advance(self, path, memory, table, source, streams, first):
        _sde(path, table, source, streams, self.lr / self.substeps, self.lr / self.substeps**0.5, thinned(source, self.batch), self.substeps)


def thinned(source: Source, batch: int) -> float:
    """The factor of Sigma that depends on the batch: 1/B, times (n - B)/(n - 1) without replacement from n samples (0 if B >= n)."""
    return (max(source.size - batch, 0) / max(source.size - 1, 1) if source.size else 1.0) / batch


@kernel
def diffusion(table, source, thin, w1, w2, s):
    """grad K, a draw of N(0, Sigma), and the state of the stream; `thin` stands for 1/B.

    One output: Sigma = (vy + 2 vx (Q - a)^2) vx grad Q grad Q^T thin has rank one and takes one normal number. Several: one an output for
    the labels' noise, and one more along grad K for the inputs'.
    """
    if outputs(table) == 1:
        q, a, b = evaluate(table, 0, w1, w2)
        r = q - source.slope
        pull = source.moments[0] * r - source.moments[1]
        z, s = normal(s)
        z *= math.sqrt(thin * source.vx * (source.vy + 2 * source.vx * r * r))
        return pull * a, pull * b, z * a, z * b, s
    inputs, s = normal(s)
    inputs *= math.sqrt(2 * thin) * source.vx
    labels = math.sqrt(thin * source.vx * source.vy)
    g1, g2, n1, n2 = 0.0, 0.0, 0.0, 0.0
    for k in range(outputs(table)):
        q, a, b = evaluate(table, k, w1, w2)
        r = q - source.slope
        pull = source.moments[0] * r - source.moments[1 + k]
        z, s = normal(s)
        z = labels * z + inputs * r
        g1 += pull * a
        g2 += pull * b
        n1 += z * a
        n2 += z * b
    return g1, g2, n1, n2, s


@kernel
def _sde(path, table, source, streams, drift, noise, thin, substeps):
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        for t in range(1, path.shape[1]):
            for _ in range(substeps):
                g1, g2, n1, n2, s = diffusion(table, source, thin, w1, w2, s)
                w1 += noise * n1 - drift * g1
                w2 += noise * n2 - drift * g2
            if not put(path, i, t, w1, w2):
                break
        close(streams, i, s)
