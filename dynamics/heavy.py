"""SGD with heavy-tailed gradient noise."""

import math
from dataclasses import dataclass
from typing import Annotated

from dynamics.random import close, opened, positive_stable
from dynamics.rule import Batch, LearningRate, Noise, Rule, Temperature, heat, normals, place, put
from dynamics.sde import diffusion, thinned
from landscapes.jit import kernel
from landscapes.polynomial import potential
from landscapes.scale import Range


@dataclass(frozen=True)
class HeavyTailedSGD(Rule):
    """w <- w - eta (grad K + sqrt(A) xi),  E exp(-s A) = exp(-s^(alpha/2)): alpha-stable noise, with xi Gaussian.

    noise = "batch": xi ~ N(0, Sigma(w)), Sigma the covariance of a batch gradient; "isotropic": xi ~ N(0, 2T/eta). One A a step for
    all directions, so along any unit vector the noise is symmetric alpha-stable of scale sqrt(variance of xi / 2): a rare, large A throws w
    far in one step. alpha = 2: A = 1, Gaussian noise of covariance Sigma (or 2T/eta); alpha < 2: infinite variance.
    On a quadratic with isotropic noise the stationary law is stable of scale c, c^alpha = (eta T)^(alpha/2) / (1 - |1 - eta H|^alpha).
    """

    lr: LearningRate = 0.01
    batch: Batch = 20
    alpha: Annotated[float, Range(0.5, 2, help="α: tails fall like |noise|^(−1−α); 2 is Gaussian", shown=(1, 2))] = 1.5
    noise: Noise = "batch"
    temperature: Temperature = 0.1

    @property
    def needs_q(self):
        return self.noise == "batch"

    @property
    def latex(self):
        return r"w \leftarrow w - \eta\left(\nabla K + \sqrt{A}\, \xi\right),\quad \mathbb{E}\, e^{-sA} = e^{-s^{\alpha/2}}"

    def advance(self, path, memory, table, source, streams, first):
        _heavy(path, table, source, streams, self.lr, 0.5 * self.alpha, heat(self), thinned(source, self.batch))


@kernel
def _heavy(path, table, source, streams, lr, index, heat, thin):
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        for t in range(1, path.shape[1]):
            if heat < 0:
                g1, g2, n1, n2, s = diffusion(table, source, thin, w1, w2, s)
            else:
                _, g1, g2 = potential(table, source.slope, source.moments, w1, w2)
                n1, n2, s = normals(path, s)
                n1 *= heat
                n2 *= heat
            a, s = positive_stable(index, s)
            a = math.sqrt(a)
            w1 -= lr * (g1 + a * n1)
            w2 -= lr * (g2 + a * n2)
            if not put(path, i, t, w1, w2):
                break
        close(streams, i, s)
