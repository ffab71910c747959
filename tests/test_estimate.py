"""lambda-hat and its error, on chains whose autocorrelation is known; then chains on landscapes against the exact value."""

import math

import numpy as np
import pytest

from dynamics.estimate import default_nbeta, effective_sample_size, llc, running


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
    runs, lam = 400, 0.75
    estimates = [llc(2.0 + ar1(phi, 4, draws, seed, lam) / 50, 2.0, 50.0) for seed in range(runs)]
    z = np.array([(e.mean - lam) / e.stderr for e in estimates])
    # N(0, 1): the standard deviation of 400 has error 1/sqrt(800) = .035, a share of .95 error .011; 4 of them, and some for the ess's own error
    assert np.std(z) == pytest.approx(1.0, abs=0.2)
    assert 0.90 < np.mean(np.abs(z) < 1.96) < 0.99
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
