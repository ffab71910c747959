"""Free energies against Gamma functions, against brute force over samples, and against simulated data sets; crossings against posterior masses."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special

from dynamics import Finite, Online, Posterior, freeenergy
from dynamics.freeenergy import Asymptote, basins, crossings, free_energy, generalisation, mean_free_energy, wbic
from landscapes import DoubleWell, Monomial, NormalCrossing, Regular, TripleWell, Valley, parse

WELL = DoubleWell(1.8, 1, 2)


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_at_a_monomial_the_free_energy_is_lambda_log_n_and_a_known_constant(k):
    # the integral of exp(-n w^(2k)/2) is 2 (n/2)^(-1/(2k)) Gamma(1 + 1/(2k)), once the box is wide
    n, box, lam = np.array([1.0, 30.0, 1e4, 1e9]), (-30.0, 30.0), 1 / (2 * k)
    exact = lam * np.log(n / 2) + math.log(60 / 2 / special.gamma(1 + lam))
    np.testing.assert_allclose(free_energy(Monomial(k), n, box=box, fine=True), exact, atol=1e-5)
    np.testing.assert_allclose(wbic(Monomial(k), n[1:], box=box, fine=True), lam * np.log(n[1:]), rtol=1e-5)
    np.testing.assert_allclose(np.diff(exact), np.diff(Asymptote(lam).free_energy(n)))
    two = free_energy(Monomial(k), n, Online(vx=2.0), box=box, beta=0.5, fine=True)  # only n beta vx matters
    np.testing.assert_allclose(two, exact, atol=1e-5)


@pytest.mark.parametrize(
    ("landscape", "data"), [(WELL, Online()), (Valley(1, 2), Online()), (WELL, Online(slope=-0.3)), (WELL, Finite(50, seed=3))], ids=repr
)
def test_the_free_energy_is_the_integral_of_the_mean_loss_over_temperature(landscape, data):
    # F(beta) - F(beta_0) = int n E_b[L_n - L_n(truth)] db, here over log b by Gauss-Legendre
    n, (t, weight) = 50, np.polynomial.legendre.leggauss(24)
    low = math.log(1e-3)
    t, weight = 0.5 * low * (1 - t), -0.5 * low * weight
    total = sum(w * math.exp(b) * Posterior(landscape, n, math.exp(b), data, fine=True).mean_excess() for b, w in zip(t, weight, strict=True))
    ends = [float(free_energy(landscape, n, data, beta=beta, fine=True)) for beta in (1e-3, 1.0)]
    assert ends[1] - ends[0] == pytest.approx(total, rel=1e-5)


def test_of_given_samples_it_is_the_likelihood_ratio_to_the_truth_averaged_over_the_prior():
    data, n = Finite(40, slope=0.2, vx=1.4, vy=0.8, seed=5), 25
    x, e = data.draw(1)
    x, y = x[:n], (0.2 * x + e[0])[:n]
    w = np.linspace(*WELL.box[0], 200_001)
    excess = sum(0.5 * (y[i] - WELL.Q(w[:, None])[:, 0] * x[i]) ** 2 - 0.5 * (y[i] - 0.2 * x[i]) ** 2 for i in range(n))
    prior = 1 / (w[-1] - w[0])
    for beta in (1.0, 0.3):
        z = integrate.trapezoid(np.exp(-beta * excess) * prior, w)
        assert free_energy(WELL, n, data, beta=beta, fine=True) == pytest.approx(-math.log(z), abs=1e-5)
        mean = integrate.trapezoid(excess * np.exp(-beta * excess) * prior, w) / z
        assert Posterior(WELL, n, beta, data, fine=True).mean_excess() == pytest.approx(mean, abs=1e-4)
    assert wbic(WELL, n, data, fine=True) == pytest.approx(Posterior(WELL, n, 1 / math.log(n), data, fine=True).mean_excess())


def test_multiplicity_two_shows_as_log_log_n_and_as_a_slow_bias():
    # NormalCrossing on [-b, b]^2: V(eps) = c sqrt(eps) (-log eps + const), so F = log n/2 - log log n + O(1/log n)
    n = np.array([1e6, 1e10, 1e14])
    f = free_energy(NormalCrossing(), n, fine=True)
    rest = f - Asymptote(0.5, 2).free_energy(n)
    assert abs(rest[2] - rest[1]) < abs(rest[1] - rest[0]) < 0.25
    assert abs((f - 0.5 * np.log(n))[2] - (f - 0.5 * np.log(n))[1]) > 0.3
    hats = np.array([n_ * Posterior(NormalCrossing(), n_, fine=True).mean_potential() for n_ in n])
    bias = Asymptote(0.5, 2).lambda_hat(n) - hats
    assert np.all(np.abs(bias) < 1.5 / np.log(n) ** 2 * 4) and np.all(np.diff(np.abs(bias)) < 0)
    assert np.all(np.abs(hats - 0.5) > 4 * np.abs(bias))


def test_local_free_energies_add_up_to_the_whole_and_their_weights_are_the_masses():
    for landscape in (WELL, TripleWell(1.5, 1, 2, 1)):
        for n in (3.0, 1e3, 1e7):
            parts = np.array([float(free_energy(landscape, n, within=basin, fine=True)) for basin in basins(landscape)])
            whole = float(free_energy(landscape, n, fine=True))
            assert special.logsumexp(-parts) == pytest.approx(-whole, abs=1e-5)
            np.testing.assert_allclose(np.exp(whole - parts), Posterior(landscape, n, fine=True).masses(), atol=1e-5)
    corner = ((0.5, 1.5), (0.5, 1.5))
    half = free_energy(Valley(1, 1), 1e4, within=((-1.0, 1.0), (-2.0, 0.0)), fine=True)  # symmetric in w2
    assert half == pytest.approx(float(free_energy(Valley(1, 1), 1e4, within=((-1.0, 1.0), (-2.0, 2.0)), fine=True)) + math.log(2), abs=1e-4)
    assert free_energy(Valley(1, 1), 1e4, within=corner) > 100  # no minimum in it


def test_bayes_changes_from_the_degenerate_to_the_true_minimum_where_their_masses_are_equal():
    # a < 0: Q = a has a root beside -w0 only; at w0 K = a^2/2 + |a| kappa u^4 + .., a minimum with lambda = 1/4, kappa = 2 w0
    well, a, kappa = DoubleWell(1.8, 1, 4), 0.05, 3.6
    truth = Online(slope=-a)
    left, right = basins(well)
    (n,) = crossings(well, left, right, truth)
    assert Posterior(well, n, data=truth, fine=True).masses() == pytest.approx([0.5, 0.5], abs=1e-5)
    ((low, high),), ((_, barrier),) = well.box, left

    w = np.linspace(low, high, 2_000_001)  # 4e-6 apart: the trapezium rule is exact for peaks of width 1e-4
    q = well.Q(w[:, None])[:, 0] + a
    for factor, prefers in ((0.5, right), (2.0, left)):
        weight = np.exp(-0.5 * n * factor * q**2)
        masses = {left: weight[w < barrier].sum(), right: weight[w >= barrier].sum()}
        assert max(masses, key=masses.get) == prefers
        gap = float(free_energy(well, n * factor, truth, left, fine=True) - free_energy(well, n * factor, truth, right, fine=True))
        assert gap == pytest.approx(math.log(masses[right] / masses[left]), abs=1e-4)
    big, size = 1e8, high - low
    exact = big * a * a / 2 + 0.25 * math.log(big * a * kappa) + math.log(size / 2 / special.gamma(1.25))
    assert free_energy(well, big, truth, right, fine=True) == pytest.approx(exact, abs=2e-3)
    slope = float(abs(well.jet((-1.8,))[1][0, 0]))  # the left one is regular
    exact = 0.5 * math.log(big / (2 * math.pi)) + math.log(size * slope)
    assert free_energy(well, big, truth, left, fine=True) == pytest.approx(exact, abs=2e-3)
    assert crossings(well, left, right) == ()  # with slope 0 both fit, and the degenerate one is preferred throughout


def test_the_smaller_the_loss_of_the_wrong_minimum_the_later_the_change():
    well = DoubleWell(1.8, 1, 4)
    left, right = basins(well)
    found = [crossings(well, left, right, Online(slope=-a), fine=False)[0] for a in (0.2, 0.1, 0.05, 0.02)]
    assert found == sorted(found)


def test_on_a_quadratic_the_generalisation_error_is_a_difference_of_digammas():
    # F = log(S)/2 - z^2/2 + const, so E[F_(n+1)] - E[F_n] = (psi((n+1)/2) - psi(n/2))/2 = 1/(2n) + ..; twice that for two outputs
    n, box = np.array([3.0, 10.0, 100.0, 1e5]), (-200.0, 200.0)
    exact = 0.5 * (special.digamma((n + 1) / 2) - special.digamma(n / 2))
    np.testing.assert_allclose(generalisation(Monomial(1), n, box=box), exact, rtol=1e-4)
    np.testing.assert_allclose(n[3] * exact[3], Asymptote(0.5).generalisation(n[3]) * n[3], rtol=1e-4)
    mean = 0.5 * (special.digamma(n / 2) + math.log(2)) - 0.5 + math.log(400 / math.sqrt(2 * math.pi))
    np.testing.assert_allclose(mean_free_energy(Monomial(1), n, box=box), mean, atol=1e-4)
    noisy = mean_free_energy(Monomial(1), n, Online(vy=0.3, vx=2.0), box=box)
    np.testing.assert_allclose(noisy, mean + 0.5 * 0.7 + 0.5 * math.log(2), atol=1e-4)
    assert generalisation(Regular(), 100.0, box=((-9, 9), (-9, 9))) == pytest.approx(2 * exact[2], rel=2e-3)


@pytest.mark.parametrize(("n", "data"), [(5, Online()), (30, Online(slope=-0.3, vx=0.8, vy=1.5))])
def test_the_generalisation_error_is_that_of_simulated_data_sets(n, data):
    random, sets = np.random.default_rng(7), 20_000
    w = np.linspace(*WELL.box[0], 4001)
    q = WELL.Q(w[:, None])[:, 0] - data.slope
    x, e = random.normal(0, data.vx**0.5, (sets, n + 1)), random.normal(0, data.vy**0.5, (sets, n + 1))
    sxx, sxe = np.sum(x[:, :n] ** 2, axis=1), np.sum((x * e)[:, :n], axis=1)
    loss, free = np.empty(sets), np.empty(sets)
    for part in np.array_split(np.arange(sets), 40):
        weight = np.exp(-0.5 * sxx[part, None] * q**2 + sxe[part, None] * q)
        ratio = np.exp(-0.5 * (x[part, n:] * q) ** 2 + x[part, n:] * e[part, n:] * q)  # p(y|x, w)/p(y|x, truth) of one sample more
        loss[part] = -np.log(np.sum(weight * ratio, axis=1) / np.sum(weight, axis=1))
        free[part] = -np.log(np.mean(weight, axis=1))
    assert generalisation(WELL, n, data) == pytest.approx(loss.mean(), abs=4 * loss.std() / math.sqrt(sets))
    assert mean_free_energy(WELL, n, data) == pytest.approx(free.mean(), abs=4 * free.std() / math.sqrt(sets) + 2e-3)  # ends of the grid


@pytest.mark.parametrize(
    ("text", "slope"),
    [("w^2", 0.0), ("w^2 + 1", 0.0), ("w, w^2", 0.2), ("w1, w1*w2", 0.0), ("w1^2 + 1, w2", -0.3), ("w, w^2, w^3", 0.0)],
)
def test_averages_over_data_sets_are_the_sums_they_stand_for(text, slope):
    """Every state, S_xx and z one by one: leaving out, joining and factorising change less than 1e-6, even where no state fits the data."""
    landscape, n = parse(text, box=((-1.5, 1.5),) * parse(text).dim), 200.0
    q, weight = freeenergy._states(landscape, slope, landscape.box, 0.0)
    q, weight = (q[:, ::7], weight[::7]) if q.shape[1] > 5000 else (q, weight)
    sxx, chance = freeenergy._chi2(n)
    z, share = np.polynomial.hermite_e.hermegauss(24 if len(q) == 1 else 10)
    grid, shares = np.array(list(itertools.product(z, repeat=len(q)))), np.array([math.prod(p) for p in itertools.product(share, repeat=len(q))])
    free = []
    for s in n * sxx:
        energy = 0.5 * s * np.sum(q**2, axis=0) - math.sqrt(s) * grid @ q
        least = energy.min(axis=1)
        free.append(shares @ (least - np.log(np.exp(least[:, None] - energy) @ weight)) / shares.sum())
    mean, more = chance @ free, chance * np.sqrt(sxx)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(freeenergy, "_states", lambda *_: (q, weight))
        found = freeenergy._averages(landscape, n, Online(slope=slope), None, None)
    assert found == pytest.approx((mean, more @ (free - mean) / more.sum()), rel=1e-6)


def test_the_generalisation_error_tends_to_lambda_over_n():
    n = np.array([1e3, 1e6, 1e9])
    apart = n * generalisation(WELL, n) - 0.25  # the less degenerate well dies out like n^(-1/4)
    assert np.all(np.diff(np.abs(apart)) < 0) and abs(apart[-1]) < 1e-3
    n = np.array([1e9, 1e12])
    slow = n * generalisation(Valley(1, 2), n)  # m = 2: lambda = 1/4 is far at any n, and the asymptote less so
    assert np.all(slow < 0.24) and np.all(np.abs(slow - Asymptote(0.25, 2).lambda_hat(n)) < 0.75 * np.abs(slow - 0.25))


def test_what_makes_no_sense_is_refused_by_name():
    left, right = basins(WELL)
    for call, words in (
        (lambda: basins(Valley()), "no barriers"),
        (lambda: free_energy(WELL, 10, within=(3, 9)), "no part of the box"),
        (lambda: wbic(WELL, 2.0), "1/log n"),
        (lambda: crossings(WELL, left, right, Finite(100)), "given samples"),
        (lambda: crossings(WELL, left, right, between=(0.1, 5)), "between"),
        (lambda: generalisation(WELL, 10, Finite(100)), "average is over data sets"),
        (lambda: generalisation(WELL, 0.5), "n = 0.5"),
        (lambda: generalisation(parse("w, w^2, w^3, w^4"), 10), "at most 3"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
