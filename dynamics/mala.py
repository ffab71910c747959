"""Langevin sampling with a Metropolis test: no bias from the step size."""

import math
from dataclasses import dataclass

from dynamics.langevin import InverseTemperature, StepSize, Tether, anchor
from dynamics.random import close, exponential, opened
from dynamics.rule import DIVERGED, Rule, normals, place, put
from landscapes.jit import kernel
from landscapes.polynomial import potential


@dataclass(frozen=True)
class MALA(Rule):
    """w' = w - (eps/2) grad U(w) + N(0, eps), taken with probability min(1, e^(U(w) - U(w')) q(w|w')/q(w'|w)), else w stays.

    U = nbeta L + gamma |w - w*|^2/2 with the whole loss L; w* is where the trajectory started; q is the Gaussian of the proposal. Samples
    exp(-U) exactly, whatever eps. A rejected step leaves w unchanged to the last bit, so acceptance can be read off paths; a
    proposal that would diverge is rejected. Source: Besag 1994; Roberts & Tweedie 1996.
    """

    eps: StepSize = 1e-3
    nbeta: InverseTemperature = 100.0
    gamma: Tether = 1.0
    needs_q = False

    @property
    def latex(self):
        return (
            r"w' = w - \tfrac{\varepsilon}{2} \nabla U(w) + \mathcal{N}(0, \varepsilon),\quad"
            r" P(\text{accept}) = \min(1, r),\quad r = \frac{e^{-U(w')} q(w \mid w')}{e^{-U(w)} q(w' \mid w)}"
        )

    def memory(self, w):
        return anchor(w)

    def advance(self, path, memory, table, source, streams, first):
        _mala(path, memory, table, source, streams, (self.eps, self.nbeta, self.gamma))


@kernel
def _energy(table, source, nbeta, gamma, w1, w2, d1, d2):
    # U and grad U at w, with d = w - w*
    value, g1, g2 = potential(table, source.slope, source.moments, w1, w2)
    return nbeta * value + 0.5 * gamma * (d1 * d1 + d2 * d2), nbeta * g1 + gamma * d1, nbeta * g2 + gamma * d2


@kernel
def _mala(path, memory, table, source, streams, hyper):
    eps, nbeta, gamma = hyper
    noise = math.sqrt(eps)
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        c1, c2 = memory[i, 0], memory[i, 1]
        u, g1, g2 = _energy(table, source, nbeta, gamma, w1, w2, w1 - c1, w2 - c2)
        for t in range(1, path.shape[1]):
            z1, z2, s = normals(path, s)
            p1 = w1 - 0.5 * eps * g1 + noise * z1
            p2 = w2 - 0.5 * eps * g2 + noise * z2
            patience, s = exponential(s)  # -log of a uniform number
            if abs(p1) < DIVERGED and abs(p2) < DIVERGED:
                v, f1, f2 = _energy(table, source, nbeta, gamma, p1, p2, p1 - c1, p2 - c2)
                b1, b2 = w1 - p1 + 0.5 * eps * f1, w2 - p2 + 0.5 * eps * f2  # the noise that would lead back
                gain = u - v + 0.5 * (z1 * z1 + z2 * z2) - (b1 * b1 + b2 * b2) / (2 * eps)
                if -patience < gain:
                    w1, w2, u, g1, g2 = p1, p2, v, f1, f2
            if not put(path, i, t, w1, w2):
                break
        close(streams, i, s)
