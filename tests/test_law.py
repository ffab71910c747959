"""The law of a rule in one dimension against closed forms, against simulated trajectories, and against itself on finer nodes."""

import math

import numpy as np
import pytest
from scipy import integrate, stats

from dynamics import GD, MALA, NGD, SDE, SGD, At, Finite, HeavyTailedSGD, Langevin, Online, Simulation, Uniform, transfer
from dynamics.observe import escape_rate
from landscapes import DoubleWell, Monomial, TripleWell, Valley

WELL = DoubleWell(1.8, 1, 2)
WIDE = Uniform(-3.6, 3.6)
LEFT = Uniform(-2.4, -0.7)


def row(matrix, w):
    """The law of one step from a node near w, as masses, and that node."""
    i = int(np.argmin(np.abs(matrix.nodes - w)))
    mass = np.zeros(len(matrix.nodes))
    mass[i] = 1
    return matrix.step(mass), matrix.nodes[i]


@pytest.mark.parametrize(
    "rule", [SGD(0.005), SGD(0.005, noise="isotropic"), NGD(0.1, damping=1e-4), GD(0.005), SDE(0.005), Langevin(1e-4, gamma=0)], ids=repr
)
def test_mass_is_conserved_to_rounding(rule):
    # a bounded start at a small rate reaches nothing that diverges, so all that is missing is rounding
    matrix = transfer(WELL, rule, 500)
    for mass in matrix.masses((0, 1, 50, 500), Uniform(-1.9, 1.9)):
        assert mass.min() >= 0 and mass.sum() == pytest.approx(1, abs=1e-12)
    assert matrix.diverged(500, Uniform(-1.9, 1.9)) == pytest.approx(0, abs=1e-12)
    assert matrix.expect(np.ones(len(matrix.nodes))).max() <= 1 + 1e-12


@pytest.mark.parametrize("batch", [1, 2, 3, 20, 1000])
def test_one_step_has_the_characteristic_function_of_a_batch(batch):
    # x (Q x - e) summed over a batch: E exp(i k (A u - sqrt(D u) z)) = (1 - (2 vx/B)(i A k - D k^2/2))^(-B/2) at every k
    data = Online(vx=1.3, vy=0.7)
    matrix = transfer(WELL, SGD(0.01, batch), 2000, data)
    for w in (-1.8, -1.5, -0.2, 1.2):
        mass, node = row(matrix, w)
        (q,), ((slope,),), _ = WELL.jet((node,))
        pull, spread = 0.01 * q * slope, 0.01**2 * slope**2 * 0.7 / batch
        sd = math.sqrt(spread * 1.3 + 2 * (pull * 1.3) ** 2 / batch)
        moved = matrix.nodes - node
        h = np.interp(node - 1.3 * pull, matrix.nodes[:-1], np.diff(matrix.nodes))
        assert moved @ mass == pytest.approx(-1.3 * pull, rel=2e-5, abs=1e-9)  # the trapezium rule's error at few degrees of freedom
        # narrow Gaussians at every u, each on two or three nodes: at most h^2/4 too wide
        assert moved**2 @ mass - (moved @ mass) ** 2 == pytest.approx(sd**2, rel=1e-3, abs=0.25 * h**2)
        for k in (0.5 / sd, 1 / sd, 2 / sd):
            exact = (1 - 2 * 1.3 / batch * (-1j * pull * k - spread * k * k / 2)) ** (-batch / 2)
            assert abs(np.exp(1j * k * moved) @ mass - exact) < 1e-4 + 0.25 * (k * h) ** 2


def test_on_a_quadratic_sgd_settles_to_the_exact_variance():
    # eta / (B (2 - eta H (1 + 2/B))), H = 1
    for lr, batch in ((0.2, 20), (0.5, 5), (1.0, 10)):
        matrix = transfer(Monomial(1), SGD(lr, batch), 500)
        mass = matrix.quasi_stationary() * matrix.width
        assert matrix.nodes @ mass == pytest.approx(0, abs=1e-9)
        assert matrix.nodes**2 @ mass == pytest.approx(lr / (batch * (2 - lr * (1 + 2 / batch))), rel=2e-4)


def test_on_a_quadratic_isotropic_sgd_settles_to_the_gaussian_of_an_autoregression():
    # w' = (1 - eta) w + sqrt(2 T eta) z: N(0, 2 T/(2 - eta))
    lr, temperature = 0.3, 0.1
    matrix = transfer(Monomial(1), SGD(lr, noise="isotropic", temperature=temperature), 1000)
    exact = stats.norm(0, math.sqrt(2 * temperature / (2 - lr)))
    for law in (matrix.quasi_stationary(), matrix.law(100, At(0.7))):
        np.testing.assert_allclose(law, exact.pdf(matrix.nodes), atol=1e-4 * exact.pdf(0))
    early = stats.norm(0.7 * (1 - lr) ** 3, math.sqrt(2 * temperature * lr * sum((1 - lr) ** (2 * j) for j in range(3))))
    np.testing.assert_allclose(matrix.law(3, At(0.7)), early.pdf(matrix.nodes), atol=1e-4 * early.pdf(early.mean()))


def test_langevin_settles_to_the_variance_of_its_own_discretisation():
    eps, nbeta = 0.02, 50.0  # on a quadratic of curvature c = nbeta: 1/(c (1 - eps c/4))
    matrix = transfer(Monomial(1), Langevin(eps, nbeta, gamma=0), 1000)
    mass = matrix.quasi_stationary() * matrix.width
    assert matrix.nodes**2 @ mass == pytest.approx(1 / (nbeta * (1 - eps * nbeta / 4)), rel=1e-4)


def test_isotropic_ngd_tends_to_its_stationary_density_in_proportion_to_the_rate():
    # (F + rho)^2 exp(-int (F + rho) K' dw/T) with Q = w^2: F = 4 w^2, K' = 2 w^3
    rho, temperature = 0.5, 0.1
    apart = []
    for lr in (0.008, 0.004, 0.002):
        matrix = transfer(Monomial(2), NGD(lr, damping=rho, noise="isotropic", temperature=temperature), 1000)
        w = matrix.nodes

        def density(w):
            return (4 * w**2 + rho) ** 2 * np.exp(-(8 * w**6 / 6 + rho * w**4 / 2) / temperature)

        exact = density(w) / integrate.quad(density, -2, 2, points=[0])[0]
        apart.append(0.5 * np.abs(matrix.quasi_stationary() - exact) @ matrix.width)
    assert apart[-1] < 0.01
    assert apart[0] / apart[1] == pytest.approx(2, rel=0.1) and apart[1] / apart[2] == pytest.approx(2, rel=0.1)


CASES = {
    "the published settings": (WELL, SGD(0.02, 20), WIDE, Online()),
    "one sample a batch": (WELL, SGD(0.016, 1), WIDE, Online()),
    "two samples a batch": (WELL, SGD(0.01, 2), WIDE, Online()),
    "a large batch": (WELL, SGD(0.02, 500), LEFT, Online()),
    "isotropic noise": (WELL, SGD(0.005, noise="isotropic", temperature=5.0), Uniform(-2, 2), Online()),
    "NGD, hardly damped": (WELL, NGD(0.3, damping=1e-4), WIDE, Online()),
    "NGD, damped and smoothed": (WELL, NGD(0.5, damping=0.5, alpha=0.3), WIDE, Online()),
    "NGD in a bath": (WELL, NGD(0.01, damping=0.3, noise="isotropic"), Uniform(-2, 2), Online()),
    "SGLD": (WELL, Langevin(1e-3, 20, gamma=0, batch=10), Uniform(-2, 2), Online()),
    "an SDE in substeps": (WELL, SDE(0.02, 20, substeps=3), LEFT, Online()),
    "other data": (WELL, SGD(0.01, 8), WIDE, Online(slope=0.6, vx=1.5, vy=0.4)),
    "no noise in the labels": (WELL, SGD(0.02, 8), WIDE, Online(vy=0)),
    "three wells": (TripleWell(1.5, 1, 2, 1), SGD(0.05, 10), Uniform(-2, 2), Online()),
    "one well": (Monomial(2), SGD(0.1, 4), Uniform(-2, 2), Online()),
}


@pytest.mark.parametrize("case", CASES)
def test_the_law_is_that_of_simulated_trajectories(case):
    # bins are counts of independent trajectories; all that is outside of them, or has diverged, is one more bin: chi-square at every time
    landscape, rule, start, data = CASES[case]
    n, edges = 100_000, np.linspace(-2.6, 2.6, 53)
    matrix = transfer(landscape, rule, 2000, data)
    result = Simulation(landscape, rule, n=n, steps=30, start=start, data=data, seed=1).run(every=1)
    counts = result.histogram(edges)
    for t in (1, 2, 5) if data.vy == 0 else (1, 2, 5, 30):  # without noise in the labels fronts become narrower than any nodes
        p = matrix.histogram(edges, t, start)
        expected = n * np.append(p, 1 - p.sum())
        seen = np.append(counts[t], n - counts[t].sum())
        often = expected > 8
        seen, expected = np.append(seen[often], seen[~often].sum()), np.append(expected[often], expected[~often].sum())
        keep = expected > 1
        chance = stats.chi2.sf(np.sum((seen - expected)[keep] ** 2 / expected[keep]), keep.sum() - 1)
        assert chance > 1e-4, (t, chance)  # 56 comparisons, so the least of them is expected near 0.02
        lost = float(matrix.diverged(t, start))
        assert abs(result.shares.diverged[t] - n * lost) < 4 * math.sqrt(n * lost * (1 - lost)) + 1


def test_survivors_and_shares_are_the_published_ones_and_those_of_a_million_trajectories():
    # published: fresh data, 4e5 trajectories; survivors .8149, share left at 0, 10, 20, 50: .3076 .0950 .0299 .0009, so errors of 6e-4 ... 5e-5
    times = (0, 10, 20, 50)
    matrix = transfer(WELL, SGD(0.02, 20))
    survivors = 1 - matrix.diverged(50, WIDE)
    left = matrix.share(times, WIDE, survive=50)[:, 0]
    assert survivors == pytest.approx(0.8149, abs=4 * 6.1e-4)
    published = np.array([0.3076, 0.0950, 0.0299, 0.0009])
    np.testing.assert_array_less(np.abs(left - published), 4 * np.sqrt(left * (1 - left) / (4e5 * survivors)) + 5e-5)
    n = 1_000_000
    result = Simulation(WELL, SGD(0.02, 20), n=n, steps=50, start=WIDE, seed=2).run(every=50)
    assert result.survivors / n == pytest.approx(float(survivors), abs=4 * math.sqrt(0.15 / n))
    left = matrix.share(range(51), WIDE, survive=50)[:, 0]
    np.testing.assert_array_less(np.abs(result.share_left - left), 5 * np.sqrt(left * (1 - left) / result.survivors))  # 51 times
    everyone = matrix.share(range(51), WIDE)
    seen = result.shares.counts / n
    np.testing.assert_array_less(np.abs(everyone - seen), 5 * np.sqrt(seen * (1 - seen) / n) + 1e-6)


def first_exits(rule, steps, n=100_000, start=LEFT):
    """How many (steps + 1,) have never been right of the barrier, nor diverged."""
    (barrier,) = WELL.barriers
    w = Simulation(WELL, rule, n=n, steps=steps, start=start, seed=3).run(every=1).kept[..., 0]
    return np.logical_and.accumulate(w < barrier, axis=0).sum(axis=1)


@pytest.mark.parametrize(("rule", "first", "last"), [(SGD(0.02, 20), 10, 45), (SGD(0.016, 1), 8, 60), (SGD(0.016, 100), 20, 200)], ids=repr)
def test_the_eigenvalue_is_the_rate_of_first_exits(rule, first, last):
    rate, stderr = escape_rate(first_exits(rule, last), first, last)
    assert abs(transfer(WELL, rule).escape_rate() - rate) < 4 * stderr


@pytest.mark.parametrize(("w0", "rule"), [(2.2, SDE(0.03, 20, 16)), (1.8, SGD(0.015, 3))])
def test_where_many_diverge_the_rate_of_all_that_are_alive_is_the_exact_one_and_that_of_survivors_is_not(w0, rule):
    """Survivors are chosen by what comes later: who is still left late has had less time to diverge."""
    landscape = DoubleWell(w0)
    run = Simulation(landscape, rule, n=100_000, steps=60, start=Uniform(-w0 - 0.2, -w0 + 0.2), seed=1).run(every=60)
    exact = transfer(landscape, rule, 1000).escape_rate()
    alive, survivors = (run.escape_rate(10, 60, survivors=which) for which in (False, True))
    assert abs(alive.rate - exact) < 4 * alive.stderr + 0.01 * exact  # after 10 steps some of the start is left
    assert abs(survivors.rate - exact) > 6 * survivors.stderr


def test_the_eigenvalue_is_near_the_published_rate_and_falls_with_the_batch():
    # .112 +- .004 among survivors over steps 3 ... 50, where those that will still diverge are left out and some come back
    share = transfer(WELL, SGD(0.02, 20)).share((3, 45), WIDE, survive=50)[:, 0]
    assert math.log(share[0] / share[1]) / 42 == pytest.approx(0.112, abs=3 * 0.004)
    rates = [transfer(WELL, SGD(0.016, batch), 500).escape_rate() for batch in (1, 4, 20, 100)]
    assert rates == sorted(rates, reverse=True) and rates[0] > 40 * rates[-1]


def test_the_escape_rate_rises_with_the_learning_rate_from_nothing_at_linear_stability():
    sharpness = 3.6**4
    ratios = np.array([1.0, 1.6, 2.0, 2.4, 2.8, 3.2, 3.6])
    rates = np.array([transfer(WELL, SGD(r / sharpness, 100), 500).escape_rate() for r in ratios])
    assert np.all(np.diff(rates) > -1e-12)
    assert np.all(rates[ratios <= 2.0] < 1e-9) and rates[-1] > 0.05


def test_gradient_descent_leaves_above_its_crisis_only():
    # the crisis is at eta = 0.01994 (eta H = 3.35); above, at 2,000 nodes, the rate is that of trajectories to within some per cent
    assert transfer(WELL, GD(0.0195), 2000).escape_rate() < 1e-6
    for lr, last in ((0.0205, 40), (0.022, 30)):
        rate, stderr = escape_rate(first_exits(GD(lr), last), 8, last)
        assert transfer(WELL, GD(lr), 2000).escape_rate() == pytest.approx(rate, abs=4 * stderr + 0.05 * rate)


def test_nothing_leaves_a_degenerate_minimum_where_trajectories_come_to_rest():
    matrix = transfer(WELL, SGD(0.02, 20), 500)
    assert matrix.escape_rate(1) == 0
    assert matrix.nodes[np.argmax(matrix.quasi_stationary(1))] == pytest.approx(1.8)
    result = Simulation(WELL, SGD(0.02, 20), n=20_000, steps=1000, start=At(1.5), seed=4).run(every=1000)
    w = result.w[:, 0]  # creeping in like t^(-1/2), and noise pushes nobody out
    assert matrix.masses(1000, At(1.5)) @ matrix.nodes == pytest.approx(w.mean(), abs=4 * w.std() / math.sqrt(len(w)) + 1e-4)


def test_in_finer_steps_the_same_noise_hardly_crosses_the_barrier():
    # published .961 .075 .013 for 1, 2, 4 substeps (few trajectories); ours from 1e6 and more: .0765(3), .01326(8), .00146(3), .00054(3)
    shares = [float(transfer(WELL, SDE(0.02, 20, substeps=s), 1000).share(50, LEFT)[1]) for s in (1, 2, 4, 16, 64)]
    assert shares[0] == pytest.approx(0.961, abs=0.005)
    for share, seen, error in zip(shares[1:], (0.076495, 0.0132605, 0.00146, 0.00054), (2.8e-4, 8.1e-5, 2.7e-5, 2.8e-5), strict=True):
        assert abs(share - seen) < 4 * error


def test_finer_nodes_converge_quadratically():
    # hats interpolate with an error of h^2: halving the distance of the nodes divides it by 4
    fine = transfer(WELL, SGD(0.02, 20), 4800)
    exact = np.array([fine.escape_rate(), *fine.share((5, 20), WIDE)[:, 0]])
    errors = []
    for cells in (200, 800):
        matrix = transfer(WELL, SGD(0.02, 20), cells)
        errors.append(np.abs(np.array([matrix.escape_rate(), *matrix.share((5, 20), WIDE)[:, 0]]) - exact))
    order = np.log(errors[0] / errors[1]) / np.log(4)
    assert np.all(order > 1.6), order
    assert np.all(errors[1] < 2e-3 * exact)


def test_densities_bins_and_shares_tell_the_same():
    matrix = transfer(TripleWell(1.5, 1, 2, 1), SGD(0.05, 10), 300)
    start = Uniform(-1.7, 1.3)
    law = matrix.law(range(3), start)
    assert law.shape == (3, len(matrix.nodes)) and np.array_equal(law[2], matrix.law(2, start))
    np.testing.assert_allclose(law @ matrix.width, 1 - matrix.diverged(range(3), start))
    cuts = [-1000, *matrix.landscape.barriers, 1000]
    np.testing.assert_allclose(matrix.histogram(cuts, (0, 2), start), matrix.share((0, 2), start), atol=1e-12)
    np.testing.assert_allclose(matrix.share(0, start), np.diff([-1.7, *matrix.landscape.barriers, 1.3]) / 3, atol=1e-12)
    np.testing.assert_allclose(matrix.share((2, 0, 1), start), matrix.share(range(3), start)[[2, 0, 1]])
    np.testing.assert_allclose(matrix.start(At(0.3)) @ matrix.nodes, 0.3)
    forth, back = matrix.masses(20, start).sum(), matrix.start(start) @ matrix.survival(20)
    assert forth == pytest.approx(back, abs=1e-12)


def test_the_same_question_is_answered_at_once():
    assert transfer(WELL, SGD(0.02), 100) is transfer(DoubleWell(1.8, 1, 2), SGD(0.02), 100, box=WELL.box)


def test_what_has_no_law_is_refused_with_the_reason():
    for arguments, words in (
        ((Valley(), SGD()), "one variable"),
        ((WELL, SGD(momentum=0.5)), "velocity"),
        ((WELL, NGD(momentum=0.5)), "momentum = 0.5"),
        ((WELL, GD(momentum=0.5)), "momentum = 0.5"),
        ((WELL, Langevin(gamma=1.0)), "gamma = 0"),
        ((WELL, MALA()), "no law here"),
        ((WELL, HeavyTailedSGD()), "no law here"),
        ((WELL, SGD(), 10), "cells = 10"),
        ((WELL, SGD(), 100, Finite()), r"Online\(\)"),
        ((WELL, SGD(), 100, Online(), (1, 0)), "box"),
    ):
        with pytest.raises(ValueError, match=words):
            transfer(*arguments)
    matrix = transfer(WELL, SGD(), 100)
    for call, words in (
        (lambda: matrix.escape_rate(2), "basin = 2"),
        (lambda: matrix.law(-1), "t = -1"),
        (lambda: matrix.law((1, 2.5)), "number of steps"),
        (lambda: matrix.law(1, At((0, 1))), "one variable"),
        (lambda: matrix.share(5, survive=3), "survive = 3"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
