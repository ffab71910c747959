"""P = 1 / (sqrt(v) + a), v a running mean of g^2: Langevin dynamics that scale themselves, with the correction that this calls for.

P follows w, so that sampling exp(-U) needs the drift (eps/2) Gamma, Gamma_i = dP_i/dw_i, as well. v answers to w with the delay of its mean; so must
Gamma: it is taken from s, the same running mean of d g_i^2 / dw_i = 2 g_i H_ii. (The derivative at fixed past moments alone, 1 - b times as large,
corrects next to nothing; no correction biases a quadratic's lambda-hat by 10 to 80 %.)
"""

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from landscapes.scale import Range, check
from nets.chains import Chains, Sampler, StepSize, Tether
from nets.sgld import precondition_

Decay = Annotated[float, Range(0, 0.999999, help="share of the running mean of g^2 kept in a step", shown=(0.9, 0.999))]
Stability = Annotated[float, Range(1e-12, 1e12, log=True, help="a: P is at most 1/a", shown=(1e-3, 1))]

PROBE = 10  # steps between two looks at the curvature: a tenth more gradients
MEMORY = 0.99  # share of the curvature's running mean that a look leaves


@dataclass(frozen=True)
class RMSPropSGLD(Sampler):
    """w <- w - (eps/2) (P [nbeta g + gamma (w - w*)] - Gamma) + N(0, eps P),  P = 1/(sqrt(v_hat) + a),  v <- b v + (1 - b) g^2, g = grad L_B(w).

    v starts at 1, v_hat = v/(1 - b^t) at step t = 1, 2, ...: steps are small at first. Gamma = -P^2 s_hat / (2 sqrt(v_hat)) with
    s <- b s + (1 - b) 2 g diag H; the diagonal of the Hessian comes from differences of gradients along random signs (Bekas, Kokiopoulou & Saad
    2007), every tenth step on the same batch. correction=False leaves Gamma out, as published samplers do.
    Source: Li et al. 2016; Hitchcock & Hoogland 2025 (arXiv 2507.21449).
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    decay: Decay = 0.99
    stability: Stability = 0.1
    correction: bool = True

    def __post_init__(self):
        check(self)

    def begin(self, chains):
        return Moments(chains, self)

    def step(self, chains, memory):
        losses, g = chains.gradients()
        return losses, _move(chains, memory, g, g.clone())

    def preconditioner(self, chains, memory):
        return memory.p


@dataclass(frozen=True)
class AdamSGLD(Sampler):
    """w <- w - (eps/2) (P [nbeta m_hat + gamma (w - w*)] - Gamma) + N(0, eps P),  m <- c m + (1 - c) g; P, Gamma, g as in `RMSPropSGLD`.

    The mean m lags some 1/(1 - c) steps behind the gradient, and w overshoots: with P fixed and x = eps P nbeta h/2 in a quadratic of curvature h,
    nbeta E[L - L*] = (1 - c^2 + 2 c x) / ((1 - c) (2 (1 + c) - (1 - c) x)): the step must be small beside 1 - c. Source: as RMSPropSGLD.
    """

    eps: StepSize = 1e-5
    gamma: Tether = 1.0
    decay: Decay = 0.99
    stability: Stability = 0.1
    correction: bool = True
    momentum: Annotated[float, Range(0, 0.9999, help="c: share of the running mean of g kept in a step", shown=(0, 0.99))] = 0.9

    def __post_init__(self):
        check(self)

    @property
    def still(self):
        return RMSPropSGLD(self.eps, self.gamma, self.decay, self.stability, self.correction)

    def begin(self, chains):
        memory = Moments(chains, self)
        memory.m = torch.zeros_like(chains.w)
        return memory

    def step(self, chains, memory):
        losses, g = chains.gradients()
        memory.m.lerp_(g, 1 - self.momentum)
        return losses, _move(chains, memory, g, memory.m / (1 - self.momentum ** (memory.t + 1)))


class Moments:
    """v, s, diag H, P, all (C, D), and the number t of steps made."""

    def __init__(self, chains: Chains, sampler: RMSPropSGLD | AdamSGLD):
        self.sampler, self.t = sampler, 0
        self.v = torch.ones_like(chains.w)
        self.p = chains.w.new_full((), 1 / (1 + sampler.stability))
        if sampler.correction:
            self.s, self.curvature = torch.zeros_like(chains.w), torch.zeros_like(chains.w)

    def follow(self, chains: Chains, g: Tensor) -> Tensor | None:
        """Take g (C, D) into v and P; Gamma (C, D), or None."""
        b = self.sampler.decay
        if self.sampler.correction and self.t % PROBE == 0:
            self._probe(chains, g)
        self.t += 1
        share = 1 - b**self.t
        self.v.mul_(b).addcmul_(g, g, value=1 - b)
        root = (self.v / share).sqrt_()
        self.p = (root + self.sampler.stability).reciprocal_()
        if not self.sampler.correction:
            return None
        self.s.mul_(b).addcmul_(g, self.curvature, value=2 * (1 - b))
        gamma = self.s * self.p * self.p
        return gamma.div_(root.clamp_(min=torch.finfo(g.dtype).tiny)).mul_(-0.5 / share)

    def _probe(self, chains: Chains, g: Tensor) -> None:
        # H_ii = E[r_i (H d)_i / d_0i] for d = d_0 r with signs r: the step d_0 is that of the noise, the scale on which the chain sees U
        move = chains.streams.normal_(torch.empty_like(g)).sign_() * (self.sampler.eps * self.p).sqrt()
        _, there = chains.target.gradients(chains.w + move, chains.index)
        look = there.sub_(g).div_(move)
        self.curvature.lerp_(look, max(1 - MEMORY, 1 / (1 + self.t // PROBE)))


def _move(chains: Chains, memory: Moments, g: Tensor, slope: Tensor) -> None:
    """One step with moments of g and the loss gradient `slope` (used up) in the drift."""
    gamma = memory.follow(chains, g)
    force = chains.tether(slope.mul_(chains.nbeta))
    if gamma is not None:
        force.sub_(gamma / memory.p)
    precondition_(chains, force, memory.p, memory.sampler.eps)
