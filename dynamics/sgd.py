"""Stochastic gradient descent."""

from dataclasses import dataclass

from dynamics.batches import draw, prepare
from dynamics.random import close, opened
from dynamics.rule import Batch, LearningRate, Momentum, Noise, Rule, Temperature, heat, normals, place, put
from landscapes.jit import kernel
from landscapes.polynomial import evaluate, outputs, potential


@dataclass(frozen=True)
class SGD(Rule):
    """v <- mu v - eta g(w),  w <- w + v,  g = (1/B) sum_k (S_xx (Q_k - a) - S_xe_k) grad Q_k.

    noise = "batch": g is the gradient of a batch; its noise is shaped like the Fisher matrix and vanishes where Q degenerates.
    noise = "isotropic": g = grad K + sqrt(2T/eta) N(0, 1) instead; the stationary density tends to exp(-K/T) as eta -> 0 (mu = 0).
    """

    lr: LearningRate = 0.01
    batch: Batch = 20
    momentum: Momentum = 0.0
    noise: Noise = "batch"
    temperature: Temperature = 0.1

    @property
    def needs_q(self):
        return self.noise == "batch"

    @property
    def latex(self):
        return r"v \leftarrow \mu v - \eta\, g_B(w),\quad w \leftarrow w + v"

    def advance(self, path, memory, table, source, streams, first):
        _sgd(path, memory, table, source, streams, first, source.moments.copy(), self.lr, self.batch, self.momentum, heat(self))


@kernel
def batch_gradient(table, source, means, w1, w2):
    """The gradient of the batch with these means (S_xx, S_xe_1, ..)/B."""
    g1, g2 = 0.0, 0.0
    for k in range(outputs(table)):
        q, a, b = evaluate(table, k, w1, w2)
        r = means[0] * (q - source.slope) - means[1 + k]
        g1 += r * a
        g2 += r * b
    return g1, g2


@kernel
def _sgd(path, memory, table, source, streams, first, means, lr, batch, momentum, heat):
    prepared = prepare(source, batch)
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        v1, v2 = memory[i, 0], memory[i, 1]
        for t in range(1, path.shape[1]):
            if heat < 0:
                s = draw(source, batch, prepared, means, streams[i, 2], first + t - 1, s)
                g1, g2 = batch_gradient(table, source, means, w1, w2)
            else:
                _, g1, g2 = potential(table, source.slope, source.moments, w1, w2)
                z1, z2, s = normals(path, s)
                g1 += heat * z1
                g2 += heat * z2
            v1 = momentum * v1 - lr * g1
            v2 = momentum * v2 - lr * g2
            w1 += v1
            w2 += v2
            if not put(path, i, t, w1, w2):
                break
        memory[i, 0], memory[i, 1] = v1, v2
        close(streams, i, s)
