"""Chains on networks' posteriors against closed forms, slow twins and each other."""

import functools
import gc
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from dynamics.estimate import llc
from nets.chains import Chains
from nets.hmc import leapfrog
from nets.linear_target import IN_PLACE, LinearTarget
from nets.losses import cross_entropy, half_squares, mse
from nets.models import DLN, MLP, DuplicatedReLU
from nets.module_target import ModuleTarget, module_target
from nets.noise import Streams
from nets.samplers import HMC, MALA, SAMPLERS, SGHMC, SGLD, SGNHT, AdamSGLD, ControlVariate, DiagonalSGLD, RMSPropSGLD, walk
from nets.stacked import StackedTarget
from nets.targets import Potential, Target

CPU = torch.device("cpu")


def quadratic(curvatures):
    h = torch.tensor(curvatures, dtype=torch.float64)
    return Potential(lambda w: 0.5 * (h * w * w).sum(1), torch.zeros(len(h), dtype=torch.float64), gradient=lambda w: h * w)


def losses(*arguments, **settings):
    return torch.cat([frame.losses for frame in walk(*arguments, **settings)], 1)


def estimate(target, sampler, nbeta, chains=200, draws=2000, **settings):
    values = losses(target, sampler, nbeta, chains=chains, draws=draws, **settings)
    return llc(values[:, draws // 5 :], 0.0, nbeta)


def agrees(found, value, share=0.0):
    # within 4 standard errors (one false alarm in 16,000), and `share` for an approximation in the value
    assert abs(found.mean - value) < 4 * found.stderr + share * value, (found, value)
    assert found.stderr < 0.014 * value  # so that a bias of a few per cent is seen


# --- noise


def test_normal_numbers_of_the_vectorised_generator_are_normal_and_unrelated_between_halves_neighbours_and_chains():
    z = torch.cat([Streams(seed, 4, CPU).normal_(torch.empty(4, 100_001)).double() for seed in range(5)]).numpy()
    n = z.size
    for power, (moment, variance) in enumerate([(0, 1), (1, 2), (0, 15), (3, 96)], 1):
        assert abs(np.mean(z**power) - moment) < 4 * math.sqrt(variance / n), power
    edges = stats.norm.ppf(np.linspace(0, 1, 201))
    counts = np.histogram(z, edges)[0]
    assert stats.chisquare(counts).pvalue > 1e-4
    half = 50_001
    for a, b in ((z[:, : half - 1], z[:, half:]), (z[:, 1:], z[:, :-1]), (z[::2], z[1::2])):
        for power in (1, 2):
            product = (a**power - (power == 2)) * (b**power - (power == 2))
            assert abs(product.mean()) < 4 * product.std() / math.sqrt(product.size)
    assert np.abs(z).max() < 6.7


def test_batches_are_uniform_and_each_chain_has_its_own():
    index = torch.cat([Streams(seed, 3, CPU).batches(37, 4000)[:, None] for seed in range(5)], 1)
    for own in index.flatten(1):
        assert stats.chisquare(torch.bincount(own, minlength=37).numpy()).pvalue > 1e-4
    assert abs((index[0] == index[1]).double().mean() - 1 / 37) < 4 * math.sqrt(1 / 37 / 20_000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_fused_langevin_pass_is_the_formula_with_the_generators_own_numbers(dtype):
    w, g, star = (torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1)) for shape in ((3, 101), (3, 101), (101,)))
    moved = w.clone()
    Streams(7, 3, CPU).langevin_(moved, star, g, 0.25, 0.125, 0.5)
    z = Streams(7, 3, CPU).normal_(torch.empty_like(w))
    torch.testing.assert_close(moved, w + 0.5 * z - 0.25 * g - 0.125 * (w - star))


# --- names


def test_every_sampler_optimiser_and_model_is_found_in_the_package_by_its_name():
    import nets
    from nets import MODELS, OPTIMISERS, SAMPLERS

    for name, cls in (SAMPLERS | OPTIMISERS | MODELS).items():
        assert getattr(nets, name) is cls and name in nets.__all__
    assert nets.__all__ == list(dict.fromkeys(nets.__all__))


# --- targets


def networks():
    g = torch.Generator().manual_seed(3)
    x = torch.randn(60, 10, generator=g, dtype=torch.float64)
    y, classes = torch.randn(60, 5, generator=g, dtype=torch.float64), torch.randint(5, (60,), generator=g)
    linear = DLN((10, 8, 7, 5)).build(0).double()
    yield "perceptron, classes", MLP((10, 8, 7, 5)).build(0), cross_entropy, x, classes, None, StackedTarget
    yield "perceptron, tanh, mean loss", MLP((10, 8, 5), "tanh").build(0), functional.mse_loss, x, y, None, StackedTarget
    yield "perceptron, own loss, one layer moves", MLP((10, 8, 5)).build(0), lambda o, t: (o - t).abs().pow(3).sum(1), x, y, ["1"], StackedTarget
    yield "deep linear", linear, mse, x, y, None, LinearTarget
    yield "deep linear, realisable", linear, mse, x, linear(x).detach(), None, LinearTarget
    yield "deep linear, the middle frozen", linear, half_squares, x, y, ["0", "2.weight"], LinearTarget
    side = math.isqrt(IN_PLACE) + 1
    yield "deep linear, a layer written in place", DLN((10, side, side, 5)).build(0).double(), mse, x, y, None, LinearTarget
    yield "linear with a bias", MLP((10, 8, 5), "linear").build(0), mse, x, y, ["1.bias", "2.weight"], StackedTarget
    yield "one linear layer", nn.Linear(10, 5), cross_entropy, x, classes, None, StackedTarget
    yield "one linear layer, its bias alone", nn.Linear(10, 5), mse, x, y, ["bias"], StackedTarget
    yield "one matrix", nn.Linear(10, 5, bias=False), mse, x, y, None, LinearTarget
    yield "anything", nn.Sequential(nn.Linear(10, 4), nn.GELU(), nn.Linear(4, 5)), functional.mse_loss, x, y, None, ModuleTarget


@pytest.mark.parametrize("case", list(networks()), ids=lambda case: case[0])
def test_losses_and_gradients_of_each_chain_are_those_of_autograd_on_its_own_samples(case):
    _, model, loss, x, y, only, kind = case
    model = model.double()
    target = module_target(model, loss, x, y, only)
    assert type(target) is kind
    moving = [p for name, p in model.named_parameters() if only is None or any(name == o or name.startswith(o + ".") for o in only)]
    assert torch.equal(target.star, torch.cat([p.detach().flatten() for p in moving]))
    w = target.star + 0.3 * torch.randn(3, target.dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for batch in (0, 7, 50):  # below and above the ten inputs: the linear target's two ways
        index = torch.randint(60, (3, batch), generator=torch.Generator().manual_seed(2)) if batch else None
        found, gradients = target.gradients(w, index)
        torch.testing.assert_close(target.losses(w, index), found)
        for c in range(3):
            torch.nn.utils.vector_to_parameters(w[c], moving)
            rows = slice(None) if index is None else index[c]
            value = loss(model(x[rows]), y[rows]).mean()
            slope = torch.cat([g.flatten() for g in torch.autograd.grad(value, moving)])
            torch.testing.assert_close(found[c], value.detach(), rtol=1e-10, atol=1e-12)
            torch.testing.assert_close(gradients[c], slope, rtol=1e-10, atol=1e-12)
    torch.nn.utils.vector_to_parameters(target.star, moving)


@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_is_the_same_target_alone_and_in_a_sequence(bias):
    layer = nn.Linear(6, 3, bias)
    x, y = torch.randn(40, 6), torch.randn(40, 3)
    alone, inside = (module_target(model, "mse", x, y) for model in (layer, nn.Sequential(layer)))
    w = alone.star + 0.1 * torch.randn(2, alone.dim)
    for index in (None, torch.randint(40, (2, 9))):
        for a, b in zip(alone.gradients(w, index), inside.gradients(w, index), strict=True):
            assert torch.equal(a, b)


def test_the_mapped_and_the_looped_chains_of_a_module_are_the_same_and_pieces_of_the_data_add_up():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 3)).double()
    x, y = torch.randn(50, 1, 6, 6, dtype=torch.float64), torch.randint(3, (50,))
    looped = module_target(model, "cross_entropy", x, y)
    mapped = ModuleTarget(looped.model, looped.loss, x, y, dict(looped.model.named_parameters()), {}, True)
    pieces = module_target(model, "cross_entropy", x, y)
    pieces.piece = 16  # the last one is smaller
    w = looped.star + 0.1 * torch.randn(2, looped.dim, dtype=torch.float64)
    for index in (None, torch.randint(50, (2, 9))):
        for other in (mapped, pieces):
            torch.testing.assert_close(other.gradients(w, index), looped.gradients(w, index), rtol=1e-12, atol=1e-14)
            torch.testing.assert_close(other.losses(w, index), looped.losses(w, index), rtol=1e-12, atol=1e-14)


def test_a_target_leaves_the_model_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.Linear(4, 1))
    before = [p.clone() for p in model.parameters()]
    target = module_target(model, "mse", torch.randn(20, 3), torch.randn(20, 1))
    losses(target, SGLD(eps=1e-2), 1.0, draws=5, batch=4)
    assert model.training and all(p.requires_grad for p in model.parameters())
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    w = target.star[None]
    assert torch.equal(target.losses(w), target.losses(w))  # no dropout


# --- samplers, against closed forms


H, NBETA, EPS = (1.0, 1.0, 2.0, 2.0, 0.5, 0.5), 2.0, 0.2


def unadjusted(eps, friction=1.0, p=(1.0,) * 6):
    """sum of 1/2 / (1 - eps P nbeta h / (4 (2 - a))): the stationary variance of an AR(2) process."""
    return sum(0.5 / (1 - eps * pi * NBETA * h / (4 * (2 - friction))) for h, pi in zip(H, p, strict=True))


@pytest.mark.parametrize(
    ("sampler", "value"),
    [
        (SGLD(EPS, 0), unadjusted(EPS)),
        (DiagonalSGLD(EPS, 0, diagonal=(1, 1, 0.5, 0.5, 2, 2)), unadjusted(EPS, p=(1, 1, 0.5, 0.5, 2, 2))),
        (SGHMC(EPS, 0, friction=0.1), unadjusted(EPS, 0.1)),
        (SGHMC(EPS, 0, friction=1), unadjusted(EPS)),
        (SGNHT(EPS, 0), 3.0),
        (SGNHT(0.6, 0), 3.0),
        (MALA(EPS, 0), 3.0),
        (MALA(0.8, 0), 3.0),
        (MALA(0.8, 0, diagonal=(1, 1, 0.5, 0.5, 2, 2)), 3.0),
        (HMC(EPS, 0, 3), 3.0),
        (HMC(0.8, 0, 5), 3.0),
    ],
    ids=repr,
)
def test_a_quadratic_of_d_directions_gives_half_d_and_the_bias_of_the_step_that_is_known(sampler, value):
    # SGNHT: the thermostat's own fluctuations shift it by some gain/D
    agrees(estimate(quadratic(H), sampler, NBETA, draws=4000 // sampler.cost), value, 0.003 if isinstance(sampler, SGNHT) else 0)


def test_the_tether_adds_its_curvature():
    found = estimate(quadratic((1.0,) * 4), MALA(0.3, 3.0), 2.0)
    agrees(found, 4 / 2 * 2 / (2 + 3))  # nbeta E[h w^2/2] = nbeta h / (2 (nbeta h + gamma))


@pytest.mark.parametrize("nbeta", [1.0, 30.0, 1000.0])
@pytest.mark.parametrize(
    ("potential", "weights"),
    [(lambda w: w[:, 0] ** 2 + w[:, 1] ** 6, (1 / 2, 1 / 6)), (lambda w: (w[:, 0] ** 2 - w[:, 1] ** 3) ** 2 + w[:, 1] ** 6, (1 / 4, 1 / 6))],
    ids=["w1^2 + w2^6", "(w1^2 - w2^3)^2 + w2^6"],
)
def test_quasi_homogeneous_potentials_give_the_sum_of_their_weights_at_every_nbeta(potential, weights, nbeta):
    scale = torch.tensor([nbeta**-a for a in weights], dtype=torch.float64)
    sampler = MALA(0.15, 0.0, diagonal=tuple((scale**2).tolist()))
    found = estimate(Potential(potential, torch.zeros(2, dtype=torch.float64)), sampler, nbeta, 1000, 1000, start=0.5 * scale)
    assert abs(found.mean - sum(weights)) < min(4 * found.stderr, 0.02 * sum(weights))


def test_mala_equals_its_slow_twin_with_densities_written_out_preconditioner_included():
    h, p, eps, nbeta, gamma = np.array([1.0, 5.0, 0.2]), np.array([2.0, 0.3, 1.0]), 0.5, 3.0, 0.5
    star = np.array([0.3, -1.0, 2.0])
    centre = torch.tensor([0.0, -0.5, 2.5], dtype=torch.float64)
    target = Potential(lambda w: 0.5 * (torch.tensor(h) * (w - centre) ** 2).sum(1) + 0.1 * w.sin().sum(1), torch.tensor(star))
    frames = list(walk(target, MALA(eps, gamma, diagonal=p), nbeta, chains=3, draws=60, seed=5))
    taken = torch.cat([frame.accepted for frame in frames], 1).numpy()

    def u(w):
        return nbeta * (0.5 * (h * (w - centre.numpy()) ** 2).sum() + 0.1 * np.sin(w).sum()) + gamma / 2 * ((w - star) ** 2).sum()

    def mean(w):
        return w - eps / 2 * p * (nbeta * (h * (w - centre.numpy()) + 0.1 * np.cos(w)) + gamma * (w - star))

    def log_q(there, here):
        return stats.norm.logpdf(there, mean(here), np.sqrt(eps * p)).sum()

    streams, w, twin = Streams(5, 3, CPU), np.tile(star, (3, 1)), []
    for _ in range(60):
        z = streams.normal_(torch.empty(3, 3, dtype=torch.float64)).numpy()
        patience = streams.exponential().numpy()
        new = np.stack([mean(row) for row in w]) + np.sqrt(eps * p) * z
        accept = np.array([-t < u(a) - u(b) + log_q(a, b) - log_q(b, a) for t, a, b in zip(patience, w, new, strict=True)])
        w = np.where(accept[:, None], new, w)
        twin.append(accept)
    assert np.array_equal(taken, np.array(twin).T) and 0.3 < taken.mean() < 0.95
    np.testing.assert_allclose(frames[-1].w.numpy(), w, rtol=1e-10)


def test_the_first_acceptance_from_the_minimum_is_its_integral():
    # U = k w^2/2: the test's exponent is (eps P k / 8) k (w^2 - w'^2), so from 0 the mean is prod (1 + (eps P k)^2 / 4)^(-1/2)
    p = (3.0, 0.5, 1.0)
    (frame,) = walk(quadratic((1.0, 4.0, 2.0)), MALA(0.5, 0.0, diagonal=p), 2.0, chains=40_000, draws=1)
    value = math.prod((1 + (0.5 * a * 2 * h) ** 2 / 4) ** -0.5 for a, h in zip(p, (1.0, 4.0, 2.0), strict=True))
    assert abs(frame.accepted.double().mean() - value) < 4 * math.sqrt(value * (1 - value) / 40_000)


def test_hamiltonian_steps_conserve_what_leapfrog_does_and_lead_back():
    h, e, nbeta, steps = torch.tensor([1.0, 4.0, 0.3], dtype=torch.float64), 0.4, 2.0, 7
    chains = Chains(quadratic(h.tolist()), nbeta, 0.5, torch.zeros(2, 3, dtype=torch.float64), Streams(0, 2, CPU), 0)
    w, v = torch.randn(2, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    there, speed = w.clone(), v.clone()
    u, losses, force = leapfrog(chains, there, speed, (nbeta * h + 0.5) * w, e, steps)
    torch.testing.assert_close(u, nbeta * losses + 0.25 * there.square().sum(1))
    torch.testing.assert_close(force, (nbeta * h + 0.5) * there)
    # of U = c w^2/2, c w^2 (1 - e^2 c/4) + v^2 to the last digit: both walk round the same ellipse
    c = nbeta * h + 0.5
    torch.testing.assert_close(c * there**2 * (1 - e**2 * c / 4) + speed**2, c * w**2 * (1 - e**2 * c / 4) + v**2)
    angle = steps * torch.arccos(1 - e**2 * c / 2)  # ... by so much a step
    torch.testing.assert_close(there, w * angle.cos() + v / (c * (1 - e**2 * c / 4)).sqrt() * angle.sin())
    back, speed = there.clone(), -speed
    leapfrog(chains, back, speed, force, e, steps)
    torch.testing.assert_close((back, speed), (w, -v))


def test_one_leapfrog_step_is_mala_and_its_draws_cost_so_many_gradients():
    well = Potential(lambda w: w[:, 0] ** 4 + w[:, 1] ** 2 + w[:, 0] * w[:, 1], torch.tensor([0.3, -0.2], dtype=torch.float64))
    one, mala = (list(walk(well, sampler, 3.0, chains=3, draws=200)) for sampler in (HMC(0.3, 0.5, 1), MALA(0.3, 0.5)))
    a, b = (torch.cat([frame.accepted for frame in frames], 1) for frames in (one, mala))
    assert torch.equal(a, b) and 0.3 < a.double().mean() < 0.95
    torch.testing.assert_close(one[-1].w, mala[-1].w, rtol=1e-9, atol=1e-12)
    for steps in (1, 4, 5):
        calls = []
        counted = Potential(lambda w: w[:, 0] ** 2, torch.zeros(1), gradient=lambda w, calls=calls: calls.append(1) or 2 * w)
        losses(counted, HMC(1e-3, 0.0, steps), 1.0, draws=100)
        assert abs(len(calls) - 1 - 100 * steps) <= steps  # 1: at the start


def test_the_first_acceptance_of_hmc_from_the_minimum_is_its_integral():
    # U = c w^2/2 from w = 0, v: a leapfrog step leaves c w^2 (1 - e^2 c/4) + v^2, so H' - H = (e^2 c/4) c w'^2/2 and w' = e v for one step,
    # sin(L t) v / sqrt(c (1 - e^2 c/4)) for L, cos t = 1 - e^2 c/2; then E e^(-k v^2/2) = (1 + k)^(-1/2), of independent directions the product
    eps, h = 0.3, (1.0, 2.0, 0.5)
    for steps in (1, 6):
        value = 1.0
        for c in (2.0 * each for each in h):
            x = eps * c / 4
            length = HMC(steps=steps).length(1)
            value *= (1 + x / (1 - x) * math.sin(length * math.acos(1 - eps * c / 2)) ** 2) ** -0.5
        (frame,) = walk(quadratic(h), HMC(eps, 0.0, steps), 2.0, chains=40_000, draws=1)
        assert abs(frame.accepted.double().mean() - value) < 4 * math.sqrt(value * (1 - value) / 40_000)
        assert value < 0.95


def test_trajectories_that_would_close_on_themselves_do_not():
    """A quadratic whose period is as long as the trajectory: fixed lengths would end where they began, for ever."""
    period = HMC(0.04, 0.0, 31)  # 31 steps of 0.2 are 2 pi
    found = estimate(quadratic((1.0,) * 4), period, 1.0, 100, 400)
    agrees(found, 2.0)
    assert found.ess > 0.3 * 100 * 320
    lengths = [period.length(i) for i in range(1, 101)]
    assert set(lengths) == set(range(16, 47)) and abs(np.mean(lengths) - 31) < 0.5


class Noisy(Target):
    """A quadratic, each gradient with N(0, variance) on top, from a generator of its own."""

    def __init__(self, dim, variance):
        self.n, self.star = 1000, torch.zeros(dim, dtype=torch.float64)
        self.deviation, self.generator = math.sqrt(variance), torch.Generator().manual_seed(1)

    def losses(self, w, index=None):
        return 0.5 * w.square().sum(1)

    def gradients(self, w, index=None):
        noise = torch.randn(w.shape, dtype=w.dtype, generator=self.generator)
        return self.losses(w), w + self.deviation * noise


def test_the_thermostat_takes_out_the_heat_of_noisy_gradients_and_without_it_the_heat_is_as_computed():
    eps, a, variance, nbeta = 0.05, 0.1, 2.0, 2.0
    hot = (1 + eps * nbeta**2 * variance / (4 * a)) / (1 - eps * nbeta / (4 * (2 - a)))  # white noise adds to a eps
    agrees(estimate(Noisy(10, variance), SGHMC(eps, 0.0, friction=a), nbeta), 5 * hot)
    assert hot > 1.9
    agrees(estimate(Noisy(10, variance), SGNHT(eps, 0.0, friction=a), nbeta), 5.0, 0.003)


def test_the_correction_removes_the_bias_of_rmsprop_that_published_samplers_have():
    target, nbeta = quadratic((1.0,) * 4), 100.0
    start = 0.1 * torch.randn(200, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for stability, eps in ((0.1, 6e-5), (0.01, 6e-5)):
        corrected = RMSPropSGLD(eps, 0.0, stability=stability)
        found, plain = (estimate(target, sampler, nbeta, start=start) for sampler in (corrected, replace(corrected, correction=False)))
        assert plain.mean > 2 * 1.08 + 3 * plain.stderr
        assert abs(found.mean - 2) < 2 * 0.04 + 2 * found.stderr  # of it 0.008 and 0.014 from the step itself: eps P nbeta h / 4


def test_with_a_preconditioner_that_cannot_move_rmsprop_is_sgld_and_adam_has_the_lag_that_is_known():
    a, x, nbeta = 1e4, 0.02, 100.0
    eps, target = 2 * 1e4 * 0.02 / 100, quadratic((1.0,) * 4)
    agrees(estimate(target, RMSPropSGLD(eps, 0.0, stability=a, decay=0.5), nbeta), 2 / (1 - x / 2))
    c = 0.9
    adam = estimate(target, AdamSGLD(eps, 0.0, stability=a, decay=0.5, momentum=c), nbeta)
    agrees(adam, 4 * (1 - c * c + 2 * c * x) / ((1 - c) * (2 * (1 + c) - (1 - c) * x)))


def test_adam_without_momentum_is_rmsprop():
    target = quadratic((1.0, 2.0))
    a = losses(target, AdamSGLD(1e-3, 0.5, momentum=0), 10.0, draws=50)
    torch.testing.assert_close(a, losses(target, RMSPropSGLD(1e-3, 0.5), 10.0, draws=50))


def test_a_diagonal_of_ones_and_no_diagonal_are_plain_sgld():
    for diagonal in ((), (1.0,) * 6):
        a, b = (losses(quadratic(H), s, NBETA, draws=50) for s in (DiagonalSGLD(0.1, 0.7, diagonal), SGLD(0.1, 0.7)))
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


# --- networks


def relu(alpha):
    model = DuplicatedReLU((10, 20, 10)).build(0).double()
    with torch.no_grad():
        model[0].weight.mul_(alpha), model[0].bias.mul_(alpha), model[2].weight.div_(alpha)
    diagonal = [alpha**2] * 220 + [alpha**-2] * 200 + [1.0] * 10
    g = torch.Generator().manual_seed(1)
    x = torch.randn(1000, 10, generator=g, dtype=torch.float64)
    return module_target(model, "mse", x, DuplicatedReLU((10, 20, 10)).build(0).double()(x).detach()), diagonal


@pytest.mark.parametrize("alpha", [1e-4, 1e-2, 1e2, 1e4])
def test_scaling_a_relu_layer_over_eight_decades_changes_nothing_when_the_preconditioner_follows(alpha):
    nbeta = 1000 / math.log(1000)
    for kind, eps, batch in ((DiagonalSGLD, 1e-4, 100), (MALA, 1e-3, 0)):
        runs = []
        for scale in (1.0, alpha):
            target, diagonal = relu(scale)
            frames = list(walk(target, kind(eps, 0.0, diagonal), nbeta, chains=2, draws=150, batch=batch, measure="full"))
            accepted = [frame.accepted for frame in frames if frame.accepted is not None]
            runs.append((torch.cat([frame.losses for frame in frames], 1), torch.cat(accepted, 1) if accepted else None))
        torch.testing.assert_close(runs[0][0][:, 1:], runs[1][0][:, 1:], rtol=1e-4, atol=0)
        if kind is MALA:
            assert torch.equal(runs[0][1], runs[1][1]) and 0.5 < runs[0][1].double().mean() < 0.99


def test_frozen_layers_give_the_chains_of_the_smaller_model():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(80, 6, generator=g, dtype=torch.float64), torch.randn(80, 3, generator=g, dtype=torch.float64)
    for model in (MLP((6, 5, 3)).build(1), DLN((6, 5, 3)).build(1)):
        model.double()
        features = model[:-1](x).detach()
        whole = module_target(model, "mse", x, y, only=[str(len(model) - 1)])
        small = module_target(model[-1:], "mse", features, y)
        for sampler, batch in ((SGLD(1e-3), 20), (MALA(1e-2), 0)):
            a, b = (losses(target, sampler, 20.0, draws=60, batch=batch) for target in (whole, small))
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def samplers():
    return [kind(eps=1e-3) for kind in SAMPLERS.values()]


@pytest.mark.parametrize("sampler", samplers(), ids=repr)
def test_the_first_chains_of_more_are_the_same_to_the_last_bit_and_a_seed_is_a_run(sampler):
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(40, 6, generator=g), torch.randint(3, (40,), generator=g)
    for model, loss, target in ((MLP((6, 16, 3)), "cross_entropy", y), (DLN((6, 5, 3)), "mse", functional.one_hot(y).float())):
        on = module_target(model.build(0), loss, x, target)
        batch = 0 if sampler.full else 8
        few, many, again, other = (
            losses(on, sampler, 5.0, chains=chains, draws=40, batch=batch, seed=seed) for chains, seed in ((2, 0), (5, 0), (5, 0), (5, 1))
        )
        assert torch.equal(few, many[:2])
        assert torch.equal(many, again) and not torch.equal(many, other)
        assert len({tuple(row.tolist()) for row in many}) == 5


def test_control_variates_leave_the_mean_and_take_the_noise_near_the_point():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=g, dtype=torch.float64)
    plain = module_target(MLP((6, 8, 3)).build(0).double(), "mse", x, torch.randn(200, 3, generator=g, dtype=torch.float64))
    control = ControlVariate(plain)
    w = (plain.star + 0.01 * torch.randn(plain.dim, generator=g, dtype=torch.float64)).expand(4000, -1).contiguous()
    index = torch.randint(200, (4000, 10), generator=g)
    loss, slope = plain.gradients(w[:1])
    for target in (plain, control):
        found, gradients = target.gradients(w, index)
        assert abs(found.mean() - loss) < 4 * found.std() / math.sqrt(4000)
        error = (gradients.mean(0) - slope[0]) / gradients.std(0).clamp(min=1e-12) * math.sqrt(4000)
        assert error.abs().max() < 4.5  # of 83 weights
    assert control.gradients(w, index)[1].var(0).sum() < 0.02 * plain.gradients(w, index)[1].var(0).sum()
    torch.testing.assert_close(control.gradients(control.star[None], index[:1]), plain.gradients(plain.star[None]))
    assert torch.equal(control.losses(w[:1]), loss)


def test_baselines_are_the_loss_at_the_point_on_the_draws_own_batch_and_measures_are_exact():
    g = torch.Generator().manual_seed(0)
    x = torch.randn(100, 4, generator=g, dtype=torch.float64)
    target = module_target(MLP((4, 5, 2)).build(0).double(), "mse", x, torch.randn(100, 2, generator=g, dtype=torch.float64))
    (paired,) = walk(target, SGLD(1e-13, 0), 1.0, draws=1, batch=10, baseline="batch")
    torch.testing.assert_close(paired.losses, paired.baselines)  # the first draw is at w*
    assert paired.losses.std() > 0
    level = target.losses(target.star[None])
    (full,) = walk(target, SGLD(1e-13, 0), 1.0, draws=1, batch=10)
    assert torch.equal(full.losses, paired.losses) and torch.equal(full.baselines, level.expand(4, 1))
    (exact,) = walk(target, SGLD(1e-13, 0), 1.0, draws=1, batch=10, measure="full")
    torch.testing.assert_close(exact.losses, level.expand(4, 1))


def test_frames_add_up_to_the_run_whatever_their_rhythm(monkeypatch):
    target = quadratic((1.0, 2.0))
    whole = list(walk(target, MALA(0.1), 3.0, draws=30, thin=3))
    monkeypatch.setattr("nets.chains.PAUSE", 0.0)
    many = list(walk(target, MALA(0.1), 3.0, draws=30, thin=3))
    assert len(many) == 30 and [frame.step for frame in many] == list(range(1, 31)) and whole[-1].step == 30
    for part in ("losses", "baselines", "accepted"):
        a, b = (torch.cat([getattr(frame, part) for frame in frames], 1) for frames in (whole, many))
        assert torch.equal(a, b) and a.shape == (4, 30)
    every = losses(target, MALA(0.1), 3.0, draws=90)
    assert torch.equal(torch.cat([frame.losses for frame in many], 1), every[:, ::3])
    torch.testing.assert_close(many[-1].radius, many[-1].w.norm(dim=1))


@pytest.mark.parametrize("sampler", samplers(), ids=lambda sampler: type(sampler).__name__)
def test_a_gradient_that_is_a_part_of_w_itself_is_not_written_to(sampler):
    kept = torch.ones(2, 3, dtype=torch.float64)
    for own, other in ((lambda w: w, lambda w: w.clone()), (lambda w: kept, lambda w: torch.ones_like(w))):
        a, b = (losses(Potential(lambda w: w[:, 0], kept[0].clone(), gradient=g), sampler, 5.0, chains=2, draws=5) for g in (own, other))
        assert torch.equal(a, b) and bool((kept == 1).all())
    a, b = (losses(Potential(k, torch.ones(3)), sampler, 5.0, draws=5) for k in (lambda w: w[:, 0], lambda w: w[:, 0] * 1))
    assert torch.equal(a, b)


def test_chains_hold_their_weights_one_gradient_and_of_each_draw_its_loss(monkeypatch):
    monkeypatch.setattr("nets.chains.PAUSE", math.inf)  # frames at the first and the last draw only
    d, chains = 100_000, 2
    large = lambda: [t for t in gc.get_objects() if type(t) is torch.Tensor and t.numel() >= d]  # noqa: E731
    others = {t.untyped_storage().data_ptr() for t in large()}  # data that other tests have loaded
    target = Potential(lambda w: 0.5 * w.square().sum(1), torch.zeros(d), gradient=lambda w: w.clone())
    for sampler, vectors in ((SGLD(1e-3), 1), (SGHMC(1e-3), 2), (MALA(1e-3), 2)):
        held = []
        for frame in walk(target, sampler, 1.0, chains=chains, draws=100):
            assert frame.w.shape == (chains, d)
            tensors = [t for t in large() if t.untyped_storage().data_ptr() not in others]
            held.append(sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values()))
            del tensors
        assert max(held) <= 4 * d * (chains * (vectors + 1) + 4)  # w* (and zeros) beside them
        assert len(held) == 2


def test_a_chain_that_diverges_becomes_nan_and_leaves_the_others_alone_while_mala_refuses():
    target = Potential(lambda w: w.pow(4).sum(1), torch.zeros(3, dtype=torch.float64))
    start = torch.tensor([[0.0], [1e60]], dtype=torch.float64).expand(2, 3)
    values = losses(target, SGLD(0.1), 1.0, chains=2, draws=20, start=start)
    assert torch.isfinite(values[0]).all() and not torch.isfinite(values[1, -1])
    assert torch.isfinite(losses(target, MALA(0.1), 1.0, chains=2, draws=20, start=start)).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_gpu_gives_the_same_gradients_and_the_same_estimate():
    g = torch.Generator().manual_seed(0)
    x, y = torch.randn(200, 6, generator=g), torch.randn(200, 3, generator=g)
    for model in (MLP((6, 8, 3)), DLN((6, 8, 3))):
        here, there = (module_target(model.build(0), "mse", x, y, device=device) for device in ("cpu", "cuda"))
        index = torch.randint(200, (2, 20), generator=g)
        w = here.star.expand(2, -1)
        torch.testing.assert_close(here.gradients(w, index)[1], there.gradients(w.cuda(), index.cuda())[1].cpu(), rtol=1e-3, atol=1e-5)
        for sampler in samplers():
            few, many = (losses(there, sampler, 5.0, chains=c, draws=20, batch=0 if sampler.full else 20) for c in (2, 5))
            torch.testing.assert_close(few, many[:2], rtol=1e-4, atol=1e-6)  # cuBLAS may choose another kernel
    flat = Potential(lambda w: 0.5 * w.square().sum(1), torch.zeros(6, device="cuda"))
    agrees(estimate(flat, SGLD(0.2, 0), 2.0), 3 / (1 - 0.2 * 2 / 4))


def test_away_from_the_cpu_each_chain_has_a_generator_of_its_own_and_the_same_law(monkeypatch):
    monkeypatch.setattr("nets.chains.Streams", functools.partial(Streams, fused=False))  # what a GPU runs, here
    many = quadratic(H * 10)
    agrees(estimate(many, SGLD(EPS, 0), NBETA, 20, 2500), 10 * unadjusted(EPS))
    agrees(estimate(many, MALA(EPS, 0), NBETA, 20, 2500), 30.0)
    agrees(estimate(quadratic((1.0,) * 40), SGLD(0.05, 3.0), 2.0, 20, 2500), 40 / 2 * 2 / (5 * (1 - 0.05 * 5 / 4)))
    few, many = (losses(quadratic(H), SGLD(EPS), NBETA, chains=chains, draws=20) for chains in (2, 4))
    assert torch.equal(few, many[:2])
    index = Streams(0, 2, CPU, fused=False).batches(37, 5000)
    assert index.shape == (2, 5000) and stats.chisquare(torch.bincount(index.flatten(), minlength=37).numpy()).pvalue > 1e-4


# --- bad input


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"nbeta": 0}, "nbeta = 0; give a number above 0"),
        ({"nbeta": math.nan}, "nbeta = nan"),
        ({"chains": 0}, "chains = 0; give an integer of at least 1"),
        ({"draws": 0}, "draws = 0"),
        ({"draws": 2.5}, "draws = 2.5"),
        ({"thin": 0}, "thin = 0"),
        ({"batch": -1}, "batch = -1"),
        ({"batch": 51}, "there are only 50 samples"),
        ({"batch": 5, "sampler": MALA()}, "MALA needs the full data"),
        ({"seed": -1}, "seed = -1"),
        ({"baseline": "none"}, "choose 'full' or 'batch'"),
        ({"measure": "none"}, "choose 'full' or 'batch'"),
        ({"start": torch.zeros(3)}, r"start has shape \(3,\)"),
        ({"sampler": "SGLD"}, "is no sampler"),
    ],
)
def test_settings_of_a_walk_that_cannot_be_are_refused_before_it_starts(settings, message):
    target = module_target(nn.Linear(3, 1), "mse", torch.randn(50, 3), torch.randn(50, 1))
    with pytest.raises(ValueError, match=message):
        walk(target, settings.pop("sampler", SGLD()), **{"nbeta": 1.0} | settings)


def test_data_models_and_hyperparameters_that_cannot_be_are_refused_with_their_remedy():
    model, x, y = nn.Linear(3, 1), torch.randn(50, 3), torch.randn(50, 1)
    broken = nn.Linear(3, 1)
    nn.init.constant_(broken.weight, math.nan)
    for arguments, message in (
        ((model, "mse", x[:0], y[:0]), "at least one"),
        ((model, "mse", x, y[:10]), "as many samples of both"),
        ((model, "mse", x * math.nan, y), "x holds NaN"),
        ((model, "mse", x, y * math.inf), "y holds NaN"),
        ((broken, "mse", x, y), "w\\* must be finite"),
        ((model, "hinge", x, y), "loss = 'hinge'; choose one of"),
        ((model, lambda o, t: o - t, x, y), "give one value a sample"),
        ((model, "mse", x, y, ["2.weight"]), "no parameter '2.weight'; choose among weight, bias"),
        ((model, "mse", x, y, []), "no parameter moves"),
        ((nn.Flatten(), "mse", y, y), "no parameters"),
        ((model, "mse", x, y, None, "tpu"), "device = 'tpu'"),
        *([] if torch.cuda.is_available() else [((model, "mse", x, y, None, "cuda"), "torch sees no GPU")]),
    ):
        with pytest.raises(ValueError, match=message):
            module_target(*arguments)
    for make, message in (
        (lambda: SGLD(eps=0), "eps = 0.* is below the legal range"),
        (lambda: MALA(gamma=-1), "gamma"),
        (lambda: DiagonalSGLD(diagonal=(1.0, 0.0)), "diagonal holds 0.0; give one finite number above 0"),
        (lambda: list(walk(quadratic(H), DiagonalSGLD(diagonal=(1.0,)), 1.0)), "diagonal has 1 entries; give one for each of the 6 weights"),
        (lambda: list(walk(quadratic(H), SGLD(), 1.0, batch=5)), "no samples to draw batches from"),
        (lambda: LinearTarget([torch.zeros(2, 3), torch.zeros(2, 3)]), "each of which takes what the one before gives"),
        (lambda: LinearTarget([torch.zeros(2, 3)], frozen=(1,)), "not all of them"),
        (lambda: LinearTarget([torch.zeros(2, 3)], gram=torch.eye(2)), "gram has shape"),
        (lambda: Potential(torch.sum, torch.zeros(0)), "at least one finite float"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


@pytest.mark.parametrize("sampler", samplers(), ids=repr)
def test_a_sampler_prints_as_its_call_and_is_a_key(sampler):
    assert eval(repr(sampler), dict(SAMPLERS)) == sampler
    assert {sampler: 1}[replace(sampler)] == 1
