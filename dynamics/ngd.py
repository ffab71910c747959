"""Natural gradient descent, damped."""

from dataclasses import dataclass
from typing import Annotated

from dynamics.batches import draw, prepare
from dynamics.random import close, opened
from dynamics.rule import Batch, Momentum, Noise, Rule, Temperature, heat, normals, place, put
from landscapes.jit import kernel
from landscapes.polynomial import evaluate, outputs
from landscapes.scale import Range

NaturalRate = Annotated[float, Range(1e-8, 1e6, log=True, help="η: where damping ρ dominates, the effective rate is η/ρ", shown=(1e-4, 1))]
Damping = Annotated[float, Range(1e-12, 1e6, log=True, help="ρ: least damping of the Fisher matrix; large ρ gives SGD of rate η/ρ", shown=(1e-6, 10))]
Smoothing = Annotated[float, Range(0, 1e3, help="α: ρ is at least α tr(F)/d, so α → ∞ gives SGD of rate ∝ 1/tr F", shown=(0, 10))]


@dataclass(frozen=True)
class NGD(Rule):
    """v <- mu v - eta (F + rho I)^-1 g(w),  w <- w + v,  F = vx J^T J,  rho = max(alpha tr(F)/d, damping).

    F is the model's Fisher matrix, J = dQ/dw, and g is drawn as in SGD: one seed gives both the same batches. As rho grows this is SGD
    of rate eta/rho; as rho -> 0 a step blows up where grad Q -> 0. Noise decides what happens at a degenerate point:
    noise = "batch": the noise of g vanishes there with F. Where F << rho a step of Q = w^2 multiplies w by 1 + 2 (eta/rho) N(0, 1/B): NGD is
    absorbed, faster than SGD, while eta/rho < 0.778 sqrt(B) (E ln|1 + c N(0, 1)| < 0 for c < 1.556), and repelled beyond, as rho -> 0.
    noise = "isotropic": g = grad K + sqrt(2T/eta) N(0, 1); NGD is repelled. In one dimension the stationary density tends to
    (F + rho)^2 exp(-int (F + rho) K' dw / T) as eta -> 0 (mu = 0), where SGD has exp(-K/T).
    """

    lr: NaturalRate = 0.01
    batch: Batch = 20
    damping: Damping = 0.1
    alpha: Smoothing = 0.0
    momentum: Momentum = 0.0
    noise: Noise = "batch"
    temperature: Temperature = 0.1

    @property
    def latex(self):
        return r"v \leftarrow \mu v - \eta\, (F + \rho I)^{-1} g_B(w),\quad w \leftarrow w + v,\quad \rho = \max(\alpha\, \mathrm{tr} F / d,\ \rho_0)"

    def advance(self, path, memory, table, source, streams, first):
        smoothing = self.alpha / path.shape[2]
        hyper = (self.lr, self.batch, self.damping, smoothing, self.momentum, heat(self))
        _ngd(path, memory, table, source, streams, first, source.moments.copy(), hyper)


@kernel
def natural(table, source, means, h1, h2, damping, smoothing, w1, w2):
    """(F + rho I)^-1 (g + h), with g the gradient of the batch with these means (S_xx, S_xe_1, ..)/B, h a noise of any direction.

    For two variables (F + rho I)^-1 = (rho I + adj F)/det. adj F and det F are written with the minors a_k b_l - b_k a_l of J, as
    differences of products of sums would lose all digits where J nearly has rank one and rho is small. One output: all
    minors vanish, and g/(rho + tr F) is left.
    """
    g1, g2, trace = 0.0, 0.0, 0.0
    for k in range(outputs(table)):
        q, a, b = evaluate(table, k, w1, w2)
        r = means[0] * (q - source.slope) - means[1 + k]
        g1 += r * a
        g2 += r * b
        trace += source.vx * (a * a + b * b)
    rho = max(smoothing * trace, damping)
    x1, x2, minors = rho * (g1 + h1), rho * (g2 + h2), 0.0
    if outputs(table) > 1 or h1 != 0.0 or h2 != 0.0:
        for k in range(outputs(table)):
            _, a, b = evaluate(table, k, w1, w2)
            across = b * h1 - a * h2
            for j in range(outputs(table)):
                q, c, d = evaluate(table, j, w1, w2)
                minor = b * c - a * d
                across += (means[0] * (q - source.slope) - means[1 + j]) * minor
                minors += 0.5 * (source.vx * minor) ** 2  # every pair is met twice
            x1 += source.vx * across * b
            x2 -= source.vx * across * a
    det = rho * (rho + trace) + minors
    return x1 / det, x2 / det


@kernel
def _ngd(path, memory, table, source, streams, first, means, hyper):
    lr, batch, damping, smoothing, momentum, heat = hyper
    prepared = prepare(source, batch)
    h1, h2 = 0.0, 0.0
    for i in range(path.shape[0]):
        s = opened(streams, i)
        w1, w2 = place(path, i, 0)
        v1, v2 = memory[i, 0], memory[i, 1]
        for t in range(1, path.shape[1]):
            if heat < 0:
                s = draw(source, batch, prepared, means, streams[i, 2], first + t - 1, s)
            else:  # the whole loss: `means` are the data's moments
                z1, z2, s = normals(path, s)
                h1, h2 = heat * z1, heat * z2
            x1, x2 = natural(table, source, means, h1, h2, damping, smoothing, w1, w2)
            v1 = momentum * v1 - lr * x1
            v2 = momentum * v2 - lr * x2
            w1 += v1
            w2 += v2
            if not put(path, i, t, w1, w2):
                break
        memory[i, 0], memory[i, 1] = v1, v2
        close(streams, i, s)
