"""Every rule equals its slow twin, and obeys its closed form.

Monte-Carlo tolerances: 4.5 standard errors, or p > 1e-4; seeds are fixed. eta, B, H, mu are learning rate, batch, curvature, momentum.
"""

import math
import pickle
from dataclasses import dataclass, fields, replace
from fractions import Fraction

import naive
import numpy as np
import pytest
from scipy import integrate, optimize, stats

import dynamics
from dynamics import (
    GD,
    MALA,
    NGD,
    RULES,
    SDE,
    SGD,
    At,
    Finite,
    HeavyTailedSGD,
    Langevin,
    Online,
    Simulation,
    UnderdampedSDE,
    Uniform,
)
from dynamics.random import open_streams
from landscapes import Bowl, Cusp, DoubleWell, Factor, Landscape, Monomial, Product, Regular, Valley
from landscapes.scale import parameters


def last(landscape, rule, n, steps, start, seed=1, data=Online()):
    """Weights (n, dim) after the last step."""
    return Simulation(landscape, rule, n=n, steps=steps, seed=seed, start=start, data=data).run(every=steps).w


def assert_variance(x, expected):
    """The mean square of x agrees with `expected` within 4.5 standard errors."""
    square = x.ravel() ** 2
    assert abs(square.mean() - expected) < 4.5 * square.std() / math.sqrt(square.size)


# Twins

VARIANTS = [
    GD(lr=0.01, momentum=0.5),
    SGD(lr=0.01, batch=3, momentum=0.8),
    SGD(lr=0.01, noise="isotropic", temperature=0.3),
    NGD(lr=0.05, batch=3, damping=0.2),
    NGD(lr=0.05, batch=3, damping=1e-3, alpha=0.5, momentum=0.5),
    NGD(lr=0.05, damping=0.3, noise="isotropic", temperature=0.2),
    Langevin(eps=1e-3, nbeta=50, gamma=3),
    Langevin(eps=1e-3, nbeta=50, gamma=3, batch=3),
    MALA(eps=0.02, nbeta=20, gamma=2),
    SDE(lr=0.01, batch=3, substeps=3),
    UnderdampedSDE(lr=0.01, batch=3, momentum=0.7, substeps=3),
    HeavyTailedSGD(lr=0.01, batch=3, alpha=1.6),
    HeavyTailedSGD(lr=0.01, alpha=1.2, noise="isotropic", temperature=0.01),
]
DATA = [Online(slope=0.2, vx=1.5, vy=0.5), Finite(size=7, slope=0.2, vx=1.5, vy=0.5, seed=3)]  # batches of 3, 3, 1


@pytest.mark.parametrize("data", DATA, ids=lambda data: type(data).__name__)
@pytest.mark.parametrize("rule", VARIANTS, ids=repr)
def test_a_rule_equals_its_slow_twin_on_the_same_numbers(rule, data):
    for landscape in (DoubleWell(1.2, 1, 2), Valley(1, 1), Cusp(), Bowl(1, 2)):
        low, high = zip(*landscape.box, strict=True)
        start = Uniform(tuple(0.6 * bound for bound in low), tuple(0.6 * bound for bound in high))
        run = Simulation(landscape, rule, n=4, steps=11, seed=2, start=start, data=data)
        kept, slow = run.run(every=1).kept, naive.paths(run)
        np.testing.assert_array_equal(np.isnan(kept), np.isnan(slow))
        # rounding grows along a path, at most tenfold a step where it leaves the screen
        np.testing.assert_allclose(kept, slow, rtol=1e-9 if np.isnan(slow).any() else 1e-11, atol=1e-12)


def test_every_rule_has_a_twin():
    assert {type(rule).__name__ for rule in VARIANTS} == set(RULES)


@pytest.mark.parametrize("rule", VARIANTS, ids=repr)
def test_a_rule_is_a_value_that_prints_as_its_call_and_explains_itself(rule):
    assert eval(repr(rule), vars(dynamics)) == rule
    assert hash(pickle.loads(pickle.dumps(rule))) == hash(rule)
    assert len(rule.latex) > 10
    assert "<-" in (type(rule).__doc__ or "") or "dw =" in type(rule).__doc__ or "w' =" in type(rule).__doc__
    assert [parameter.name for parameter in parameters(type(rule))] == [field.name for field in fields(rule)]
    assert all(parameter.help or parameter.choices for parameter in parameters(type(rule)))


@pytest.mark.parametrize("kind", RULES.values(), ids=lambda kind: kind.__name__)
def test_a_rule_refuses_illegal_values_by_name(kind):
    for parameter in parameters(kind):
        bad = (
            ["no such choice", None, 3]
            if parameter.choices
            else [math.nan, math.inf, "fast", None, True, [1], parameter.range.low - 1, parameter.range.high * 2 + 1]
        )
        for value in bad:
            with pytest.raises(ValueError, match=f"{kind.__name__}: {parameter.name} = "):
                kind(**{parameter.name: value})
    with pytest.raises(TypeError):
        kind(speed=3)


# Gradient descent: deterministic, so no errors but rounding and the stated orders


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_gradient_descent_holds_a_quadratic_minimum_while_eta_h_is_below_2_plus_2_mu(momentum):
    for factor, holds in ((0.995, True), (1.005, False)):
        data = Online(vx=factor * 2 * (1 + momentum) / 0.1)  # H = vx, eta = 0.1
        end = abs(last(Monomial(1), GD(lr=0.1, momentum=momentum), 1, 3000, At(1e-3), data=data)[0, 0])
        assert (end < 1e-4) if holds else not end < 10


def test_gradient_descent_approaches_a_degenerate_minimum_like_one_over_root_4_eta_kappa2_t():
    eta, vx, steps = 0.01, 4.0, 5000  # Q = u^2, and vx multiplies K like kappa^2
    (w,) = last(Monomial(2), GD(lr=eta), 1, steps, At(0.5), data=Online(vx=vx))[0]
    law = (4 * eta * vx * steps + 0.5**-2) ** -0.5
    assert abs(w / law - 1) < 3 * eta * vx * math.log(steps) / (4 * eta * vx * steps)  # the next order


def test_noise_free_descent_leaves_the_basin_above_eta_h_335():
    # the source's lr = 0.00997 in its loss without 1/2, so eta = 0.01994; H = (2 w0)^4
    start = Uniform(-2.0, -1.6)
    for eta, leaves in ((0.01990, False), (0.01998, True)):
        out = Simulation(DoubleWell(1.8, 1, 2), GD(lr=eta), n=500, steps=3000, start=start).run(every=3000)
        assert out.survivors == 500 and out.share_left[-1] == (not leaves)
    assert abs(0.01994 * 3.6**4 - 3.35) < 0.005


# SGD


@pytest.mark.parametrize(("eta", "batch"), [(0.5, 4), (0.1, 1), (1.0, 20)])
def test_sgd_at_a_quadratic_minimum_has_variance_eta_over_b_times_2_minus_eta_1_plus_2_over_b(eta, batch):
    # H = 1: w' = (1 - eta s) w + eta e, s = S_xx/B with E s^2 = 1 + 2/B, e = S_xe/B of variance 1/B
    w = last(Monomial(1), SGD(lr=eta, batch=batch), 40_000, 150, At(0.0))
    assert_variance(w, eta / (batch * (2 - eta * (1 + 2 / batch))))


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.8])
def test_noise_drives_sgd_along_the_valley_to_its_flatter_end(momentum):
    # w2^-q = 1 + q p eta^2 t / (B (1 - mu)^2), q = 4 p - 2. Its next orders: eta H (1 + 2/B)/2 of the variance across, 1/(2 eta H) steps
    # until that variance is there, and the spread of w2, each below 1 % here
    eta, batch, steps, n = 0.02 * (1 - momentum), 20, 2500, 2000
    w = last(Valley(1, 1), SGD(lr=eta, batch=batch, momentum=momentum), n, steps, At((0.0, 1.0)))
    gain = w[:, 1] ** -2 - 1
    law = 2 * eta**2 * steps / batch / (1 - momentum) ** 2
    assert abs(gain.mean() / law - 1) < 4.5 * gain.std() / math.sqrt(n) / law + 0.01


def test_noise_pins_sgd_to_a_degenerate_line_at_its_lyapunov_exponent():
    # Q = c w1^2 beside the line: w1' = w1 (1 + 2 eta c S_xe/B), c = w2^(2p)
    eta, batch, c, steps, n = 0.1, 5, 0.9**2, 200, 20_000
    w = last(Valley(1, 2), SGD(lr=eta, batch=batch), n, steps, At((1e-9, 0.9)))
    growth = np.log(np.abs(w[:, 0]) / 1e-9) / steps
    sx = stats.chi2(batch)
    inner = np.polynomial.hermite_e.hermegauss(60)

    def mean_log(s):  # over S_xe | S_xx
        return inner[1] @ np.log(np.abs(1 + 2 * eta * c * math.sqrt(s) / batch * inner[0])) / math.sqrt(2 * math.pi)

    exact = integrate.quad(lambda s: sx.pdf(s) * mean_log(s), 0, 60)[0]
    assert abs(growth.mean() - exact) < 4.5 * growth.std() / math.sqrt(n)
    assert exact < 0 and abs(exact / (-2 * eta**2 * c**2 / batch) - 1) < 0.05  # to leading order


def test_fresh_data_give_the_published_survivors_shares_and_escape_rate():
    # 4e5 runs of an independent implementation; lr = .01 in its loss without 1/2
    n = 40_000
    out = Simulation(DoubleWell(1.8, 1, 2), SGD(lr=0.02, batch=20), n=n, steps=50, seed=5, start=Uniform(-3.6, 3.6)).run(every=50)
    for ours, theirs, runs in [(out.survivors / n, 0.8149, (n, 4e5))] + [
        (out.share_left[t], share, (out.survivors, 0.8149 * 4e5)) for t, share in ((0, 0.3076), (10, 0.0950), (20, 0.0299), (50, 0.0009))
    ]:
        assert abs(ours - theirs) < 4.5 * math.sqrt(theirs * (1 - theirs) * sum(1 / r for r in runs)) + 5e-5  # the last digit
    rate, stderr = out.escape_rate(3, 30)
    assert abs(rate - 0.112) < 4.5 * math.hypot(stderr, 0.004)


def _cdf(log_density, low, high):
    w = np.linspace(low, high, 20_001)
    density = np.exp(log_density(w) - log_density(w).max())
    cumulated = integrate.cumulative_simpson(density, x=w, initial=0)
    return lambda x: np.interp(x, w, cumulated / cumulated[-1])


def test_isotropic_noise_makes_sgd_settle_to_exp_minus_k_over_t():
    # independent trajectories; the bias is of order eta H ~ 0.01, below the resolution 1.6/sqrt(n) = 0.026
    w = last(Monomial(2), SGD(lr=0.005, noise="isotropic", temperature=0.1), 4000, 4000, Uniform(-1, 1), seed=2)[:, 0]
    assert stats.kstest(w, _cdf(lambda w: -(w**4) / 2 / 0.1, -3, 3)).pvalue > 1e-3


def test_isotropic_noise_makes_natural_gradients_avoid_the_degenerate_point():
    # density (F + rho)^2 exp(-int (F + rho) K' / T), F = 4 w^2, K = w^4/2 (as eta -> 0; T small enough that F changes little in a step)
    rho, heat = 0.3, 0.1
    w = last(Monomial(2), NGD(lr=0.001, damping=rho, noise="isotropic", temperature=heat), 4000, 6000, Uniform(-1, 1))[:, 0]
    law = _cdf(lambda w: 2 * np.log(4 * w**2 + rho) - (4 * w**6 / 3 + rho * w**4 / 2) / heat, -3, 3)
    assert stats.kstest(w, law).pvalue > 1e-3
    gibbs = _cdf(lambda w: -(w**4) / 2 / heat, -3, 3)
    assert np.mean(np.abs(w) < 0.2) < 0.5 * (gibbs(0.2) - gibbs(-0.2))


def test_the_noise_of_batches_lets_the_degenerate_point_absorb_natural_gradients_faster_than_sgd():
    ends = [np.abs(last(Monomial(2), rule, 1000, 1500, Uniform(-1, 1))) for rule in (SGD(lr=0.01), NGD(lr=0.01, damping=0.01))]
    # log|w| walks to -infinity, by E log|1 + 2 (eta/rho) N(0, 1/B)| ~ -0.1 a step
    assert np.median(ends[1]) < 1e-30 and np.quantile(ends[1], 0.95) < 1e-9
    assert np.median(ends[0]) > 0.05


def absorbing() -> float:
    """eta/rho over sqrt(B) at which E ln|1 + 2 (eta/rho) N(0, 1/B)| = 0: Q = w^2 far inside F << rho."""
    mean = lambda c: integrate.quad(lambda z: np.log(abs(1 + c * z)) * stats.norm.pdf(z), -12, 12, points=[-1 / c], limit=200)[0]  # noqa: E731
    return optimize.brentq(mean, 0.5, 4) / 2


@pytest.mark.parametrize(("share", "absorbed"), [(0.85, True), (1.15, False)])
def test_natural_gradients_are_absorbed_or_repelled_on_either_side_of_the_exact_damping(share, absorbed):
    eta, batch = 0.02, 20
    rule = NGD(lr=eta, batch=batch, damping=eta / (share * absorbing() * math.sqrt(batch)))
    w = np.abs(last(Monomial(2), rule, 1000, 6000, Uniform(-1, 1)))
    # below, every log|w| falls without end; above, it has a stationary law, so that few are far inside sqrt(rho)/2 = 0.04
    assert np.median(w) < 1e-30 if absorbed else np.median(w) > 0.01


# NGD


def test_heavy_damping_turns_ngd_into_sgd_on_the_same_batches():
    sgd = SGD(lr=0.003, batch=5, momentum=0.3)
    run = Simulation(DoubleWell(1.8, 1, 2), sgd, n=200, steps=60, seed=3, start=Uniform(-2.2, 2.2))
    reference = run.run(every=1).kept
    apart = []
    for rho in (1e4, 1e5, 1e6):
        rule = NGD(lr=sgd.lr * rho, damping=rho, batch=5, momentum=0.3)
        apart.append(np.max(np.abs(replace(run, rule=rule).run(every=1).kept - reference)))
    assert apart[2] < 1e-3  # F is up to 700, so a step differs by F/rho
    np.testing.assert_allclose([apart[0] / apart[1], apart[1] / apart[2]], 10, rtol=0.1)  # of first order in 1/rho


def test_undamped_ngd_is_exponentially_fast_whatever_the_degeneracy():
    # without noise w' = -w/(2k (1 + rho/F)) ..: K'/F = k w^(2k-1)/(k^2 w^(2k-2)) = w/k
    for k in (1, 2, 3):
        w = last(Monomial(k), NGD(lr=1e-3, damping=1e-12, noise="isotropic", temperature=0), 1, 1000, At(1.0))[0, 0]
        assert abs(math.log(w) + 1000 * 1e-3 / k) < 1e-3  # eta/k^2 t/2: the next order


@dataclass(frozen=True)
class NearlyParallel(Landscape):
    """Two outputs whose gradients nearly agree: J nearly has rank one."""

    def products(self):
        first = Product((Factor(((1.0, 1, 0), (0.25, 0, 0)), 2),))
        return (first, Product((Factor(((1.0, 1, 0), (2.0**-16, 0, 1)), 2),)))

    @property
    def box(self):
        return ((-1.0, 1.0), (-1.0, 1.0))

    @property
    def minima(self):
        return ()


@pytest.mark.parametrize("rho", [1e-12, 1e-9, 1e-3, 1.0, 1e6])
def test_the_two_by_two_solve_keeps_its_digits_where_the_fisher_matrix_is_nearly_singular(rho):
    at, eta = (0.75, 0.5), 2.0**-24 if rho < 1 else 1.0
    run = Simulation(NearlyParallel(), NGD(lr=eta, batch=2, damping=rho), n=1, steps=1, start=At(at), data=Online(vy=0.3))
    moved = run.run(every=1).w[0] - at
    stream = naive.Stream(open_streams(0, np.array([0]))[0])
    xx = Fraction(stream.chi2(2) / 2)
    noise = [Fraction(z) for z in math.sqrt(0.3 / 2 * float(xx)) * stream.normals(2)]
    w1, w2, tilt = Fraction(at[0]), Fraction(at[1]), Fraction(2.0**-16)
    inner = [w1 + Fraction(1, 4), w1 + tilt * w2]
    jacobian = [(2 * inner[0], Fraction(0)), (2 * inner[1], 2 * inner[1] * tilt)]
    pull = [xx * inner[k] ** 2 - noise[k] for k in range(2)]
    g = [sum(pull[k] * jacobian[k][i] for k in range(2)) for i in range(2)]
    f = [[sum(row[i] * row[j] for row in jacobian) + (Fraction(rho) if i == j else 0) for j in range(2)] for i in range(2)]
    det = f[0][0] * f[1][1] - f[0][1] * f[1][0]
    exact = [-eta * float((f[1][1] * g[0] - f[0][1] * g[1]) / det), -eta * float((f[0][0] * g[1] - f[1][0] * g[0]) / det)]
    # what is left is the rounding of w + step, and of the batch itself
    np.testing.assert_allclose(moved, exact, rtol=1e-9, atol=3e-16)


# Langevin and MALA


@pytest.mark.parametrize(("eps", "nbeta"), [(0.1, 10.0), (1e-2, 100.0)])
def test_unadjusted_langevin_is_too_wide_by_1_minus_eps_c_over_4(eps, nbeta):
    w = last(Regular(), Langevin(eps=eps, nbeta=nbeta, gamma=2.0), 10_000, 200, At((0.0, 0.0)))
    c = nbeta + 2.0
    assert_variance(w, 1 / (c * (1 - eps * c / 4)))


def test_a_tether_holds_each_chain_where_it_started():
    # mean of exp(-nbeta w^2/2 - gamma (w - w*)^2/2): gamma w*/(nbeta + gamma), exact for a linear recursion
    start = Uniform(-2, 2)
    run = Simulation(Monomial(1), Langevin(eps=0.05, nbeta=5, gamma=10), n=20_000, steps=100, seed=3, start=start).run(every=100)
    away = run.w - run.kept[0] * 10 / 15
    assert_variance(away, 1 / (15 * (1 - 0.05 * 15 / 4)))
    assert abs(np.mean(away * run.kept[0])) < 4.5 * np.std(away * run.kept[0]) / math.sqrt(20_000)


def test_sgld_adds_the_noise_of_its_batches():
    # w' = (1 - a s) w + a e + N(0, eps), a = eps nbeta/2, E s^2 = 1 + 2/B, Var e = 1/B
    eps, nbeta, batch = 0.05, 20.0, 4
    a = eps * nbeta / 2
    w = last(Monomial(1), Langevin(eps=eps, nbeta=nbeta, gamma=0, batch=batch), 40_000, 100, At(0.0))
    assert_variance(w, (a**2 / batch + eps) / (2 * a - a**2 * (1 + 2 / batch)))


@pytest.mark.parametrize(
    ("landscape", "eps", "nbeta", "lam"), [(Monomial(2), 1.0, 1.0, 0.25), (Monomial(1), 0.2, 10.0, 0.5), (Bowl(1, 2), 0.1, 10.0, 0.75)]
)
def test_mala_draws_nbeta_k_from_gamma_lambda_at_any_step_size(landscape, eps, nbeta, lam):
    # K quasi-homogeneous, flat prior: nbeta K ~ Gamma(lambda) exactly at every nbeta, so E nbeta K = lambda
    w = last(landscape, MALA(eps=eps, nbeta=nbeta, gamma=0), 10_000, 400, At((0.3,) * landscape.dim))
    energy = nbeta * landscape.K(w)
    assert stats.kstest(energy, stats.gamma(lam).cdf).pvalue > 1e-4
    assert abs(energy.mean() - lam) < 4.5 * math.sqrt(lam / len(w))


def test_mala_accepts_as_often_as_its_formula_says_and_rejection_changes_nothing():
    # U = c w^2/2 in its stationary law: log ratio = -eps c^2 (w'^2 - w^2)/8, integrated by quadrature
    eps, c, n = 1.5, 1.0, 20_000
    out = Simulation(Monomial(1), MALA(eps=eps, nbeta=c, gamma=0), n=n, steps=60, seed=1, start=At(0.0)).run(every=1)
    stayed = out.kept[-1, :, 0] == out.kept[-2, :, 0]
    w, weight = np.polynomial.hermite_e.hermegauss(80)
    w, weight = w / math.sqrt(c), weight / math.sqrt(2 * math.pi)
    z, chance = np.polynomial.hermite_e.hermegauss(80)
    proposal = w[:, None] * (1 - eps * c / 2) + math.sqrt(eps) * z
    accept = np.minimum(1, np.exp(-eps * c**2 * (proposal**2 - w[:, None] ** 2) / 8))
    exact = weight @ accept @ chance / math.sqrt(2 * math.pi)
    assert abs(1 - stayed.mean() - exact) < 4.5 * math.sqrt(exact * (1 - exact) / n) + 2e-3  # the kink costs the quadrature 2e-3
    assert 0.02 < stayed.mean() < 0.5


def test_mala_rejects_a_proposal_that_diverges():
    # at w = 2.5 one step of this size lands beyond 10^3
    out = Simulation(Monomial(3), MALA(eps=1.0, nbeta=100, gamma=0), n=100, steps=5, start=At(2.5)).run(every=1)
    assert out.survivors == 100 and np.all(out.kept == 2.5)
    out = Simulation(Monomial(3), Langevin(eps=1.0, nbeta=100, gamma=0), n=100, steps=5, start=At(2.5)).run(every=1)
    assert out.survivors == 0


# The equations


@pytest.mark.parametrize(("substeps", "published"), [(1, 0.961), (2, 0.075), (4, 0.013), (16, 0.0019), (64, 0.0008), (256, 0.0002)])
def test_the_finer_the_step_the_fewer_cross_the_barrier(substeps, published):
    # share of all runs that are right of the barrier after 50 steps; the published one is taken as that of 10^4 runs
    n = 10_000 if substeps < 64 else 3000
    run = Simulation(DoubleWell(1.8, 1, 2), SDE(lr=0.02, batch=20, substeps=substeps), n=n, steps=50, start=Uniform(-2.4, -0.7))
    share = run.run(every=50).shares.counts[-1, 1] / n
    assert abs(share - published) < 4.5 * math.sqrt(published * (1 - published) * (1 / n + 1e-4)) + 5 * 10.0 ** (-4 if published < 0.01 else -3) / 10


@pytest.mark.parametrize("data", [Online(vx=1.5, vy=0.5, slope=0.1), Finite(size=50, vx=1.5, vy=0.5, slope=0.1)], ids=["online", "finite"])
def test_one_substep_of_the_sde_has_the_mean_and_covariance_of_a_step_of_sgd(data):
    # for n given samples Sigma is an expectation over data sets: only the factor (n - B)/(n - 1) is compared there
    for landscape, at in ((Valley(1, 1), (0.4, -0.8)), (Bowl(1, 2), (0.7, 1.1))):
        n, outputs = 100_000, len(landscape.products())
        moved = last(landscape, SDE(lr=0.1, batch=10, substeps=1), n, 1, At(at), data=data) - at
        source = data.source(outputs)
        value, jacobian, _ = landscape.jet(np.array(at))
        gradient = (source.moments[0] * (value - 0.1) - source.moments[1:]) @ jacobian
        exact = 0.1**2 * dynamics.noise_covariance(landscape, at, 10, data) * (40 / 49 if isinstance(data, Finite) else 1)
        away = moved + 0.1 * gradient
        assert np.all(np.abs(away.mean(axis=0)) < 4.5 * away.std(axis=0) / math.sqrt(n))
        products = away[:, :, None] * away[:, None, :]
        assert np.all(np.abs(products.mean(axis=0) - exact) < 4.5 * products.std(axis=0) / math.sqrt(n))


def test_a_whole_data_set_as_batch_leaves_no_noise():
    w = last(Valley(1, 1), SDE(batch=50), 20, 30, At((0.3, 0.5)), data=Finite(size=50))
    np.testing.assert_array_equal(w, np.tile(w[0], (20, 1)))


def _underdamped_variance(eta, batch, momentum, substeps):
    """E w^2 in the stationary law of the scheme at H = 1, where Sigma = (1 + 2 w^2)/B: second moments obey a linear recursion."""
    h = 1 / substeps
    keep, drift, noise = 1 - h * (1 - momentum), h * eta, h * eta**2 / batch
    # columns: ww, wu, uu, 1
    uu = np.array([drift**2 + 2 * noise, -2 * keep * drift, keep**2, noise])
    across = np.array([-drift, keep, 0, 0])  # w u'
    wu, ww = across + h * uu, np.array([1.0, 0, 0, 0]) + 2 * h * across + h * h * uu
    matrix = np.array([ww, wu, uu])
    return np.linalg.solve(np.eye(3) - matrix[:, :3], matrix[:, 3])[0]


@pytest.mark.parametrize(("momentum", "substeps"), [(0.5, 1), (0.9, 1), (0.9, 8)])
def test_underdamped_variance_at_a_quadratic_minimum_follows_the_moment_equations(momentum, substeps):
    eta, batch = 0.2, 10
    w = last(Monomial(1), UnderdampedSDE(lr=eta, batch=batch, momentum=momentum, substeps=substeps), 20_000, 200, At(0.0))
    assert_variance(w, _underdamped_variance(eta, batch, momentum, substeps))
    # continuous time: d E[wu] = 0 and d E[u^2] = 0 give E w^2 = eta / (2 (B (1 - mu) - eta))
    limit = eta / (2 * (batch * (1 - momentum) - eta))
    assert abs(_underdamped_variance(eta, batch, momentum, 10**5) / limit - 1) < 1e-4


@pytest.mark.parametrize("momentum", [0.0, 0.5])
def test_strong_friction_turns_the_underdamped_equation_into_the_sde_of_rate_eta_over_1_minus_mu(momentum):
    n, eta, start = 5000, 0.01, Uniform((-0.4, 0.6), (0.4, 1.0))
    under = last(Valley(1, 1), UnderdampedSDE(lr=eta * (1 - momentum), batch=2, momentum=momentum, substeps=4), n, 300, start, seed=1)
    over = last(Valley(1, 1), SDE(lr=eta, batch=2, substeps=4), n, 300, start, seed=2)
    assert all(stats.ks_2samp(under[:, axis], over[:, axis]).pvalue > 1e-4 for axis in (0, 1))


def test_the_underdamped_equation_drifts_along_the_valley_faster_by_one_over_1_minus_mu_squared():
    eta, batch, steps, n, momentum = 0.01, 20, 2500, 1000, 0.5
    w = last(Valley(1, 1), UnderdampedSDE(lr=eta, batch=batch, momentum=momentum, substeps=2), n, steps, At((0.0, 1.0)))
    gain, law = w[:, 1] ** -2 - 1, 2 * eta**2 * steps / batch / (1 - momentum) ** 2
    assert abs(gain.mean() / law - 1) < 4.5 * gain.std() / math.sqrt(n) / law + 0.01  # next orders as for SGD


# Heavy tails


@pytest.mark.parametrize("landscape", [DoubleWell(1.8, 1, 2), Bowl(1, 2)], ids=["one output", "two"])
def test_alpha_2_is_sgd_with_gaussian_noise(landscape):
    low, high = zip(*landscape.box, strict=True)
    heavy = last(landscape, HeavyTailedSGD(lr=0.01, batch=5, alpha=2), 8000, 20, Uniform(low, high), seed=1)
    gauss = last(landscape, SDE(lr=0.01, batch=5, substeps=1), 8000, 20, Uniform(low, high), seed=2)
    lost = [np.isnan(w[:, 0]) for w in (heavy, gauss)]
    share = max(np.mean(lost), 1 / 8000)
    assert abs(lost[0].mean() - lost[1].mean()) < 4.5 * math.sqrt(2 * share / 8000)
    assert all(stats.ks_2samp(heavy[~lost[0], axis], gauss[~lost[1], axis]).pvalue > 1e-4 for axis in range(landscape.dim))


@pytest.mark.parametrize("alpha", [0.8, 1.0, 1.5, 2.0])
def test_stable_noise_at_a_quadratic_minimum_has_the_stationary_scale_of_its_recursion(alpha):
    # w' = (1 - eta H) w - eta sigma S, sigma = sqrt(T/eta): c^alpha = (eta sigma)^alpha / (1 - |1 - eta H|^alpha). T is small
    # so that |w| >= 10^3, which would end a trajectory, practically does not happen
    eta, heat, n = 0.3, 1e-12, 20_000
    w = last(Monomial(1), HeavyTailedSGD(lr=eta, alpha=alpha, noise="isotropic", temperature=heat), n, 100, At(0.0))[:, 0]
    scale = math.sqrt(eta * heat) / (1 - abs(1 - eta) ** alpha) ** (1 / alpha)
    assert np.isnan(w).sum() <= 2
    for u in (0.3, 1.0, 2.0):
        phi, phi2 = math.exp(-(u**alpha)), math.exp(-((2 * u) ** alpha))
        assert abs(np.nanmean(np.cos(u * w / scale)) - phi) < 4.5 * math.sqrt(((1 + phi2) / 2 - phi**2) / n)


def test_one_heavy_batch_throws_all_directions_at_once():
    # the noise of two variables is isotropic: its direction is uniform, its radius has tails of index alpha
    w = last(Regular(), HeavyTailedSGD(lr=1e-6, alpha=1.0, noise="isotropic", temperature=1e-6), 50_000, 1, At((0.0, 0.0)))
    w = w[~np.isnan(w[:, 0])]
    angle = np.arctan2(w[:, 1], w[:, 0])
    assert stats.kstest(angle, stats.uniform(-np.pi, 2 * np.pi).cdf).pvalue > 1e-4
    scale = 1e-6  # eta sigma = sqrt(eta T): a Cauchy law in the plane, P(radius > r) = 1/sqrt(1 + (r/scale)^2)
    assert stats.kstest(np.hypot(*w.T) / scale, lambda r: 1 - 1 / np.sqrt(1 + r**2)).pvalue > 1e-4
