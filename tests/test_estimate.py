"""lambda-hat and its error, on chains whose autocorrelation is known; then chains on landscapes against the exact value."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dynamics import MALA, SGD, At, Finite, Langevin, Simulation, lambda_hat_exact
from dynamics.chains import Chains, tuned
from dynamics.estimate import default_nbeta, effective_sample_size, llc, running
from landscapes import DoubleWell, Monomial, Regular, Ring, Valley


def ar1(phi, chains, draws, seed, mean=0.0):
    """Stationary AR(1) chains of variance 1 (chains, draws): autocorrelation phi^t, so (1 + phi)/(1 - phi) draws make an independent one."""
    noise = np.random.default_rng(seed).normal(size=(chains, draws)) * math.sqrt(1 - phi**2)
    noise[:, 0] /= math.sqrt(1 - phi**2)
    for t in range(1, draws):
        noise[:, t] += phi * noise[:, t - 1]
    return mean + noise


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9, 0.95])
def test_the_effective_sample_size_of_ar1_chains_is_draws_per_autocorrelation_time(phi):
    chains, draws = 4, 5000
    exact = chains * draws * (1 - phi) / (1 + phi)
    found = [effective_sample_size(ar1(phi, chains, draws, seed)) for seed in range(30)]
    # each is good to some 10 % (the window of Geyer's sum); their mean, over 30 seeds, to 4 % beside a bias of the estimator of a few per cent
    assert np.mean(found) == pytest.approx(exact, rel=0.07)
    assert np.std(found) < 0.15 * exact


@pytest.mark.parametrize(("phi", "draws"), [(0.0, 200), (0.8, 1000), (0.95, 2000)])
def test_the_standard_error_covers_the_truth_as_often_as_it_says(phi, draws):
    runs, lam = 300, 0.75
    estimates = [llc(2.0 + ar1(phi, 4, draws, seed, lam) / 50, 2.0, 50.0) for seed in range(runs)]
    z = np.array([(e.mean - lam) / e.stderr for e in estimates])
    # N(0, 1): the standard deviation of 300 has error 1/sqrt(600) = .041, a share of .95 error .013; 4 of them, and some for the ess's own error
    assert np.std(z) == pytest.approx(1.0, abs=0.2)
    assert 0.89 < np.mean(np.abs(z) < 1.96) < 0.99
    assert np.median([e.rhat for e in estimates]) < 1.02


def test_antithetic_draws_are_worth_more_than_independent_ones():
    chains, draws, phi = 4, 5000, -0.3
    assert effective_sample_size(ar1(phi, chains, draws, 1)) == pytest.approx(chains * draws * 1.3 / 0.7, rel=0.2)


def test_lambda_hat_is_nbeta_times_the_excess_loss():
    losses = np.array([[1.0, 1.2, 1.4, 1.2], [1.1, 1.3, 1.3, 1.1]])
    found = llc(losses, 1.0, 10.0)
    assert found.mean == pytest.approx(2.0)
    assert found.by_chain == pytest.approx([2.0, 2.0])
    assert llc(losses, [1.0, 1.1], 10.0).by_chain == pytest.approx([2.0, 1.0])
    assert (found.dead, found.chains) == (0, 2)


def test_chains_that_disagree_are_told_by_rhat_and_have_a_large_error():
    chains = ar1(0.5, 4, 2000, 0)
    assert llc(chains, 0.0, 1.0).rhat < 1.01
    apart = chains + np.array([[0.0], [0.0], [0.0], [3.0]])
    found = llc(apart, 0.0, 1.0)
    # total variance 1 + Var(0, 0, 0, 0, 0, 0, 3, 3) (9 * .25 * .75 * 8/7) = 2.93
    assert found.rhat == pytest.approx(math.sqrt(2.93), rel=0.05)
    assert found.ess < 10 and found.stderr > 0.5  # four chains that disagree are some four draws
    assert "disagree" in found.warning


def test_a_drift_within_each_chain_is_disagreement_between_its_halves():
    drifting = ar1(0.0, 4, 1000, 0) + np.linspace(0, 4, 1000)
    # between halves: variance of +-1 with 8 parts, 8/7; within: 1 + 4/12
    assert llc(drifting, 0.0, 1.0).rhat == pytest.approx(math.sqrt(1 + 8 / 7 / (1 + 1 / 3)), rel=0.03)


def test_a_dead_chain_is_counted_and_never_averaged():
    losses = ar1(0.5, 4, 500, 0, mean=1.0)
    alive = llc(losses, 0.0, 1.0)
    for poison in (np.nan, np.inf, -np.inf):
        with_dead = np.insert(losses, 2, 1e300, axis=0)
        with_dead[2, 400:] = poison
        found = llc(with_dead, 0.0, 1.0)
        assert (found.dead, found.chains) == (1, 5)
        assert (found.mean, found.stderr, found.ess, found.rhat) == (alive.mean, alive.stderr, alive.ess, alive.rhat)
        assert np.isnan(found.by_chain[2]) and np.isfinite(np.delete(found.by_chain, 2)).all()
        assert found.warning.startswith("1 of 5 chains died")
        np.testing.assert_array_equal(running(with_dead, 0.0, 1.0).mean, running(losses, 0.0, 1.0).mean)
    with pytest.raises(ValueError, match="all 3 chains died"):
        llc(np.full((3, 10), np.nan), 0.0, 1.0)


def test_chains_that_never_moved_have_no_error():
    found = llc(np.full((4, 100), 0.1), 0.0, 10.0)
    assert found.mean == pytest.approx(1.0)
    assert found.ess == 0 and math.isnan(found.stderr) and math.isnan(found.rhat)
    assert "never moved" in found.warning
    assert np.isnan(running(np.full((4, 100), 0.1), 0.0, 10.0).stderr).all()


def test_an_estimate_of_chains_that_got_stuck_says_so_where_it_is_printed():
    sample = Chains(WELL, MALA(eps=1, nbeta=1e5), draws=100).run()
    assert sample.llc.rhat > 1.05 and "± " in str(sample) and "the chains disagree (R-hat = " in str(sample)
    fine = llc(np.random.default_rng(0).exponential(size=(4, 400)), 0.0, 1.0)
    assert str(fine) == f"{fine.mean:.3f} ± {fine.stderr:.3f}"


def test_the_running_estimate_ends_at_the_estimate_and_its_error_falls_like_one_over_root_t():
    losses = ar1(0.8, 8, 4000, 3, mean=0.5)
    found, path = llc(losses, 0.0, 1.0), running(losses, 0.0, 1.0)
    assert path.mean[-1] == pytest.approx(found.mean) and path.stderr[-1] == pytest.approx(found.stderr)
    assert path.mean[0] == pytest.approx(losses[:, 0].mean())
    assert path.stderr[999] == pytest.approx(2 * path.stderr[3999])
    assert path.stderr[0] == pytest.approx(1 / math.sqrt(8), rel=0.05)  # one draw of each chain: as many independent draws as chains
    z = (path.mean[50:] - 0.5) / path.stderr[50:]
    assert np.abs(z).max() < 4.5


def test_default_nbeta_is_n_over_log_n():
    assert default_nbeta(60_000) == pytest.approx(5453.5, abs=0.5)
    for n in (1, 0, -3, math.nan, math.inf):
        with pytest.raises(ValueError, match="at least 2 samples"):
            default_nbeta(n)


@pytest.mark.parametrize(
    ("losses", "loss_star", "nbeta", "words"),
    [
        (np.zeros(10), 0.0, 1.0, r"\(chains, draws\)"),
        (np.zeros((2, 3)), 0.0, 1.0, "four draws"),
        (np.zeros((0, 9)), 0.0, 1.0, "at least one chain"),
        (np.ones((2, 9)), np.nan, 1.0, "loss_star"),
        (np.ones((2, 9)), [0.0, 0.0, 0.0], 1.0, "one for each of the 2 chains"),
        (np.ones((2, 9)), 0.0, 0.0, "nbeta"),
        (np.ones((2, 9)), 0.0, np.inf, "nbeta"),
    ],
)
def test_bad_input_names_the_demand(losses, loss_star, nbeta, words):
    with pytest.raises(ValueError, match=words):
        llc(losses, loss_star, nbeta)


# Chains on landscapes. Every tolerance is 4 standard errors as the estimate itself states them (their coverage is tested above).

WELL = DoubleWell(1.8, 1, 2)


@pytest.mark.parametrize(
    ("landscape", "at", "rule", "draws"),
    [
        (WELL, -1.8, MALA(eps=8e-7, nbeta=1e4, gamma=1.0), 20_000),
        (WELL, 1.8, MALA(eps=1e-3, nbeta=1e4, gamma=1.0), 20_000),
        (Valley(1, 2), (0.0, 0.0), MALA(eps=1e-2, nbeta=1e3, gamma=1.0), 50_000),
        (Regular(), (0.0, 0.0), MALA(eps=2e-3, nbeta=1e3, gamma=1.0), 20_000),
        (Valley(1, 1), (0.0, 1.0), MALA(eps=2e-3, nbeta=1e3, gamma=100.0), 40_000),
    ],
)
def test_lambda_hat_of_mala_is_the_exact_value_at_finite_nbeta(landscape, at, rule, draws):
    run = Chains(landscape, rule, at, chains=8, draws=draws, seed=1)
    found, exact = run.run().llc, run.exact()
    assert found.dead == 0 and found.rhat < 1.02
    assert found.stderr < 0.03 * exact
    assert abs(found.mean - exact) < 4 * found.stderr
    if landscape.minima[0].multiplicity == 2:  # then the exact value at finite nbeta is far from lambda, and chains tell the two apart
        assert abs(found.mean - float(landscape.minima[0].lam)) > 10 * found.stderr


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_unadjusted_langevin_on_a_quadratic_is_biased_as_the_closed_form_says(share):
    # stability needs eps nbeta h < 4; here eps nbeta h = 4 share, so lambda-hat = (d/2)/(1 - share)
    nbeta = 50.0
    found = Chains(Regular(), Langevin(eps=4 * share / nbeta, nbeta=nbeta, gamma=0.0), chains=16, draws=10_000).run().llc
    assert found.mean == pytest.approx(1 / (1 - share), abs=4 * found.stderr)
    assert found.stderr < 0.02 / (1 - share)


def test_a_tether_divides_out_of_the_closed_form():
    # curvature c = nbeta + gamma; each direction has variance 1/(c (1 - eps c/4))
    nbeta, gamma, eps = 50.0, 150.0, 5e-3
    found = Chains(Regular(), Langevin(eps, nbeta, gamma), chains=16, draws=10_000).run().llc
    exact = nbeta / (nbeta + gamma) / (1 - eps * (nbeta + gamma) / 4)
    assert found.mean == pytest.approx(exact, abs=4 * found.stderr)


def test_the_exact_value_is_that_of_the_basin_the_chains_cannot_leave():
    # a weak tether leaves 8 % of the posterior in the other basin, where no chain goes
    run = Chains(WELL, MALA(eps=8e-7, nbeta=1e4, gamma=1.0), -1.8)
    assert lambda_hat_exact(WELL, 1e4, -1.8, (-10, 10), 1.0) == pytest.approx(0.4796, abs=1e-3)
    assert run.exact() == pytest.approx(0.5, abs=1e-3)
    low = replace(run, rule=MALA(eps=1e-3, nbeta=0.1, gamma=1.0))  # a barrier of 2.4 nats holds nobody
    assert low.exact() == pytest.approx(lambda_hat_exact(WELL, 0.1, -1.8, (-10.8, 7.2), 1.0))


def test_chains_are_the_simulation_of_the_same_rule_and_seed():
    rule = MALA(eps=0.02, nbeta=100.0, gamma=1.0)
    run = Chains(Valley(1, 1), rule, (0.0, 1.0), chains=5, draws=300, burn_in=77, seed=4)
    w = Simulation(Valley(1, 1), rule, n=5, steps=377, seed=4, start=At((0.0, 1.0))).run(every=1).kept
    sample = run.run()
    np.testing.assert_array_equal(sample.w, np.swapaxes(w[78:], 0, 1))
    np.testing.assert_allclose(sample.losses, Valley(1, 1).K(sample.w))
    for every in (1, 50, 10_000):
        *_, last = run.stream(every)
        np.testing.assert_array_equal(last.losses, sample.losses)
        assert (last.step, last.acceptance, last.llc.mean) == (377, sample.acceptance, sample.llc.mean)
    rejected = np.all(w[78:] == w[77:-1], axis=-1)
    assert sample.acceptance == pytest.approx(1 - rejected.mean()) and 0.3 < sample.acceptance < 1


def test_frames_carry_the_estimate_so_far():
    run = Chains(WELL, MALA(eps=3e-3, nbeta=1e4), draws=1000, burn_in=200)
    frames = list(run.stream(100))
    assert [frame.step for frame in frames] == list(range(0, 1201, 100))
    assert [frame.losses.shape[1] for frame in frames] == [0, 0, 0, *range(100, 1001, 100)]
    assert frames[2].llc is None and frames[3].llc is not None
    assert frames[-1].llc.mean == pytest.approx(run.run().running().mean[-1])
    assert Chains(WELL, Langevin(eps=1e-3, nbeta=1e4), draws=100).run().acceptance == 1


def test_dead_chains_are_counted_and_all_dead_is_an_error():
    # Langevin in a quartic well: where eps nbeta w^2 > 2 a step overshoots for good, which some chains meet and some do not
    run = Chains(Monomial(2), Langevin(eps=0.03, nbeta=100.0, gamma=0.0), chains=200, draws=2000)
    found = run.run().llc
    assert 0 < found.dead < 200 and found.chains == 200
    assert f"{found.dead} of 200 chains died" in found.warning
    with pytest.raises(ValueError, match=r"all 8 chains died.*smaller"):
        Chains(WELL, Langevin(eps=1.0, nbeta=1e6)).run()
    *_, last = Chains(WELL, Langevin(eps=1.0, nbeta=1e6)).stream()
    assert last.dead == 8 and last.llc is None


def test_given_samples_enter_the_loss_as_they_were_drawn():
    data = Finite(size=50, slope=0.2, seed=1)
    x, e = data.draw()
    w = np.array([[-1.7], [1.5], [2.0]])
    q = WELL.Q(w)[:, 0]
    whole = 0.5 * np.mean((0.2 * x + e[0] - q[:, None] * x) ** 2, axis=1)
    found = Chains(WELL, data=data).loss(w)
    np.testing.assert_allclose(np.diff(found), np.diff(whole))


def test_bad_chains_name_the_value_and_the_demand():
    for arguments, words in (
        ({"at": -0.6}, "undefined"),
        ({"at": (0, 0)}, "finite number"),
        ({"rule": SGD()}, "MALA"),
        ({"chains": 0}, "chains"),
        ({"chains": 10_000, "draws": 10**7}, "fewer draws"),
        ({"data": None}, "Online"),
    ):
        with pytest.raises(ValueError, match=words):
            Chains(WELL, **arguments)


@pytest.mark.parametrize(("landscape", "at"), [(WELL, 1.8), (WELL, -1.8), (Regular(), (0.0, 0.0)), (Ring(1), (1.0, 0.0))])
def test_a_tuned_step_is_accepted_as_often_as_was_asked(landscape, at):
    """The trials' own error is some .004 (12,800 draws, a few of them independent); bisection to 6 % of eps and two digits add as much."""
    run = tuned(Chains(landscape, MALA(nbeta=1000.0), at, chains=16, draws=4000, burn_in=500, seed=9))
    assert run.run().acceptance == pytest.approx(0.95, abs=0.015)


def test_in_a_quadratic_well_the_tuned_step_shrinks_like_the_variance():
    """Nothing but eps n beta matters in exp(-n beta h w^2 / 2): four decades, equal up to the two digits that are kept."""
    steps = [tuned(Chains(Regular(), MALA(nbeta=nbeta, gamma=0.0))).rule.eps * nbeta for nbeta in (10.0, 1e3, 1e5)]
    assert max(steps) / min(steps) < 1.1
