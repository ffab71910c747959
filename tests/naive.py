"""Slow, obvious twins of the kernels: explicit batches of samples, and one Python loop over trajectories and steps.

They take numbers from the same streams in the same order, but nothing else: landscapes are evaluated by `Landscape.jet`, matrices are
formed and solved by NumPy.
"""

import math

import numpy as np

from dynamics import GD, MALA, NGD, SDE, SGD, Finite, HeavyTailedSGD, Langevin, Simulation, UnderdampedSDE
from dynamics import random as kernels
from dynamics.rule import DIVERGED

MASK = 2**64 - 1


def xoroshiro(s0: int, s1: int):
    """xoroshiro128++ in Python integers: an endless sequence of words."""

    def rotate(x, k):
        return ((x << k) | (x >> (64 - k))) & MASK

    while True:
        yield (rotate((s0 + s1) & MASK, 17) + s0) & MASK
        s1 ^= s0
        s0, s1 = rotate(s0, 49) ^ s1 ^ ((s1 << 21) & MASK), rotate(s1, 28)


class Stream:
    """The stream of one trajectory, a number at a time."""

    def __init__(self, row):
        self.state, self.key = (row[0], row[1]), row[2]

    def take(self, draw, *arguments):
        value, state = draw(*arguments, self.state)
        self.state = tuple(map(np.uint64, state))  # Numba hands words back as Python integers
        return value

    def normal(self):
        return self.take(kernels.normal)

    def normals(self, count):
        return np.array([self.normal() for _ in range(count)])

    def uniform(self):
        return self.take(kernels.uniform)

    def exponential(self):
        return self.take(kernels.exponential)

    def chi2(self, degrees):
        return self.take(kernels.chi2, kernels.chi2_constants(degrees))

    def stable(self, a):
        return self.take(kernels.positive_stable, a)


def batch_indices(data: Finite, key, batch: int, step: int) -> list[int]:
    """Which samples step number `step` takes: its place in the shuffle of its epoch."""
    epoch, place = divmod(step, -(-data.size // batch))
    shuffle = np.uint64((int(key) + epoch * 0xA0761D6478BD642F) & MASK)
    bits = np.int64(max(1, int(math.log2(data.size) / 2)))
    return [kernels.permuted(shuffle, k, data.size, bits) for k in range(place * batch, min((place + 1) * batch, data.size))]


def batch_gradient(run: Simulation, w, stream: Stream, batch: int, step: int):
    """The gradient of one batch's loss, (1/2B) sum_i |y_i - Q x_i|^2."""
    data = run.data
    value, jacobian, _ = run.landscape.jet(w)
    if isinstance(data, Finite):
        chosen = batch_indices(data, stream.key, batch, step)
        x, e = data.draw(len(value))
        x, e = x[chosen], e[:, chosen]
        y = data.slope * x + e
        return np.mean([(value * x[i] - y[:, i]) @ jacobian * x[i] for i in range(len(x))], axis=0)
    xx = data.vx * stream.chi2(batch)
    xe = math.sqrt(data.vy * xx) * stream.normals(len(value))
    return ((value - data.slope) * xx - xe) @ jacobian / batch


def loss_gradient(run: Simulation, w):
    """(L, grad L): K for fresh data; for given samples their mean loss less its value at Q = a."""
    data = run.data
    value, jacobian, _ = run.landscape.jet(w)
    r = value - data.slope
    if isinstance(data, Finite):
        x, e = data.draw(len(value))
        loss = np.mean(0.5 * np.sum((r[:, None] * x - e) ** 2 - e**2, axis=0))
        return loss, np.mean((r[:, None] * x - e) * x, axis=1) @ jacobian
    return 0.5 * data.vx * np.sum(r**2), data.vx * r @ jacobian


def gaussian_noise(run: Simulation, w, stream: Stream, batch: int):
    """N(0, Sigma), Sigma = (vy G + 2 grad K grad K^T)/B, for n given samples times (n - B)/(n - 1)."""
    data = run.data
    value, jacobian, _ = run.landscape.jet(w)
    r = value - data.slope
    if len(value) == 1:
        noise = math.sqrt(data.vx * data.vy + 2 * data.vx**2 * r[0] ** 2) * jacobian[0] * stream.normal()
    else:
        z = stream.normal()
        noise = math.sqrt(2) * data.vx * r @ jacobian * z + math.sqrt(data.vx * data.vy) * stream.normals(len(value)) @ jacobian
    without = max(data.size - batch, 0) / (data.size - 1) if isinstance(data, Finite) else 1
    return noise * math.sqrt(without / batch)


def noisy_gradient(run: Simulation, w, stream: Stream, step: int):
    """What SGD and NGD see: a batch's gradient, or the whole one in a bath of temperature T."""
    rule = run.rule
    if rule.noise == "batch":
        return batch_gradient(run, w, stream, rule.batch, step)
    return loss_gradient(run, w)[1] + math.sqrt(2 * rule.temperature / rule.lr) * stream.normals(len(w))


def step(run: Simulation, w, v, start, stream: Stream, number: int):
    """(w, v) after one step of the run's rule; `start` is where the trajectory began."""
    rule = run.rule
    match rule:
        case GD():
            v = rule.momentum * v - rule.lr * loss_gradient(run, w)[1]
            return w + v, v
        case SGD():
            v = rule.momentum * v - rule.lr * noisy_gradient(run, w, stream, number)
            return w + v, v
        case NGD():
            gradient = noisy_gradient(run, w, stream, number)
            fisher = run.data.vx * run.landscape.fisher(w)
            rho = max(rule.alpha * np.trace(fisher) / len(w), rule.damping)
            v = rule.momentum * v - rule.lr * np.linalg.solve(fisher + rho * np.eye(len(w)), gradient)
            return w + v, v
        case Langevin():
            gradient = batch_gradient(run, w, stream, rule.batch, number) if rule.batch else loss_gradient(run, w)[1]
            drift = 0.5 * rule.eps * (rule.nbeta * gradient + rule.gamma * (w - start))
            return w - drift + math.sqrt(rule.eps) * stream.normals(len(w)), v
        case MALA():

            def energy(w):
                loss, gradient = loss_gradient(run, w)
                return rule.nbeta * loss + 0.5 * rule.gamma * np.sum((w - start) ** 2), rule.nbeta * gradient + rule.gamma * (w - start)

            def log_q(to, origin):
                return -np.sum((to - origin + 0.5 * rule.eps * energy(origin)[1]) ** 2) / (2 * rule.eps)

            proposal = w - 0.5 * rule.eps * energy(w)[1] + math.sqrt(rule.eps) * stream.normals(len(w))
            uniform = math.exp(-stream.exponential())
            if not np.all(np.abs(proposal) < DIVERGED):
                return w, v
            ratio = energy(w)[0] - energy(proposal)[0] + log_q(w, proposal) - log_q(proposal, w)
            return (proposal, v) if math.log(uniform) < ratio else (w, v)
        case SDE():
            h = rule.lr / rule.substeps
            for _ in range(rule.substeps):
                noise = gaussian_noise(run, w, stream, rule.batch)
                w = w - h * loss_gradient(run, w)[1] + math.sqrt(rule.lr * h) * noise
            return w, v
        case UnderdampedSDE():
            h = 1 / rule.substeps
            for _ in range(rule.substeps):
                noise = gaussian_noise(run, w, stream, rule.batch)
                v = v - h * ((1 - rule.momentum) * v + rule.lr * loss_gradient(run, w)[1]) + rule.lr * math.sqrt(h) * noise
                w = w + h * v
            return w, v
        case HeavyTailedSGD():
            if rule.noise == "batch":
                noise = gaussian_noise(run, w, stream, rule.batch)
            else:
                noise = math.sqrt(2 * rule.temperature / rule.lr) * stream.normals(len(w))
            return w - rule.lr * (loss_gradient(run, w)[1] + math.sqrt(stream.stable(rule.alpha / 2)) * noise), v
    raise NotImplementedError(f"{rule!r} has no twin yet: write one")


def paths(run: Simulation) -> np.ndarray:
    """All weights (steps + 1, n, dim) of a run, by a loop over trajectories and steps; NaN from divergence on."""
    streams = kernels.open_streams(run.seed, np.arange(run.n))
    start = run.start.draw(streams)
    out = np.full((run.steps + 1, *start.shape), np.nan)
    for i, row in enumerate(streams):
        stream, w, v = Stream(row), start[i], np.zeros(start.shape[1])
        out[0, i] = w
        for t in range(run.steps):
            w, v = step(run, w, v, start[i], stream, t)
            if not np.all(np.abs(w) < DIVERGED):
                break
            out[t + 1, i] = w
    return out


def sgd_on_explicit_batches(landscape, rule: SGD, data, steps: int, w: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The last w (n, dim), NaN where diverged, of SGD on fresh samples x, y drawn one by one; vectorised over trajectories only."""
    v = np.zeros_like(w)
    w = w.copy()
    for _ in range(steps):
        alive = np.flatnonzero(~np.isnan(w[:, 0]))
        value, jacobian, _ = landscape.jet(w[alive])
        x = random.normal(0, data.vx**0.5, (len(alive), rule.batch))
        gradient = np.zeros_like(w[alive])
        for k in range(value.shape[1]):
            y = data.slope * x + random.normal(0, data.vy**0.5, x.shape)
            gradient += np.mean((value[:, k, None] * x - y) * x, axis=1)[:, None] * jacobian[:, k]
        v[alive] = rule.momentum * v[alive] - rule.lr * gradient
        w[alive] += v[alive]
        w[~np.all(np.abs(w) < DIVERGED, axis=1)] = np.nan
    return w
