"""The stochastic differential equation that SGD with momentum follows."""

from dataclasses import dataclass

from dynamics.random import close, opened
from dynamics.rule import Batch, LearningRate, Momentum, Rule, place, put
from dynamics.sde import Substeps, diffusion, thinned
from landscapes.jit import kernel


@dataclass(frozen=True)
class UnderdampedSDE(Rule):
    """du = (-(1 - mu) u - eta grad K) dt + eta sqrt(Sigma(w)) dW,  dw = u dt (Ito): time in steps, u in weight a step.

    Split into `substeps` of length h: u <- u - h ((1 - mu) u + eta grad K) + eta sqrt(h Sigma) N(0, 1),  w <- w + h u. substeps = 1
    is SGD with momentum and Gaussian noise itself, v <- mu v - eta g, w <- w + v; substeps -> infinity is the equation. To leading order in
    1 - mu and in the frequency sqrt(eta H) only: the friction per step is 1 - mu, where SGD's velocity decays by -log mu; but the
    overdamped limit, SDE of rate eta/(1 - mu), is that of SGD exactly. At mu = 0 it is no SGD without memory: u relaxes within one step.
    """

    lr: LearningRate = 0.01
    batch: Batch = 20
    momentum: Momentum = 0.9
    substeps: Substeps = 16

    @property
    def latex(self):
        return r"du = \left(-(1-\mu) u - \eta \nabla K\right) dt + \eta \sqrt{\Sigma(w)}\, dW,\quad dw = u\, dt"

    def advance(self, path, memory, table, source, streams, first):
        h = 1 / self.substeps
        hyper = (h, 1 - h * (1 - self.momentum), h * self.lr, h**0.5 * self.lr)
        _underdamped(path, memory, table, source, streams, hyper, thinned(source, self.batch), self.substeps)


@kernel
def _underdamped(path, memory, table, source, streams, hyper, thin, substeps):
    h, keep, drift, noise = hyper
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        u1, u2 = memory[i, 0], memory[i, 1]
        for t in range(1, path.shape[1]):
            for _ in range(substeps):
                g1, g2, n1, n2, s = diffusion(table, source, thin, w1, w2, s)
                u1 = keep * u1 - drift * g1 + noise * n1
                u2 = keep * u2 - drift * g2 + noise * n2
                w1 += h * u1
                w2 += h * u2
            if not put(path, i, t, w1, w2):
                break
        memory[i, 0], memory[i, 1] = u1, u2
        close(streams, i, s)
