"""Gradient descent on the whole loss."""

from dataclasses import dataclass

from dynamics.rule import LearningRate, Momentum, Rule, place, put
from landscapes.jit import kernel
from landscapes.polynomial import potential


@dataclass(frozen=True)
class GD(Rule):
    """v <- mu v - eta grad K(w),  w <- w + v: no noise (on n given samples, the gradient of their loss).

    A quadratic minimum of curvature H holds it while eta H < 2 (1 + mu).
    """

    lr: LearningRate = 0.01
    momentum: Momentum = 0.0
    needs_q = False

    @property
    def latex(self):
        return r"v \leftarrow \mu v - \eta \nabla K(w),\quad w \leftarrow w + v"

    def advance(self, path, memory, table, source, streams, first):
        _gd(path, memory, table, source, self.lr, self.momentum)


@kernel
def _gd(path, memory, table, source, lr, momentum):
    for i in range(path.shape[0]):
        w1, w2 = place(path, i, 0)
        v1, v2 = memory[i, 0], memory[i, 1]
        for t in range(1, path.shape[1]):
            _, g1, g2 = potential(table, source.slope, source.moments, w1, w2)
            v1 = momentum * v1 - lr * g1
            v2 = momentum * v2 - lr * g2
            w1 += v1
            w2 += v2
            if not put(path, i, t, w1, w2):
                break
        memory[i, 0], memory[i, 1] = v1, v2
