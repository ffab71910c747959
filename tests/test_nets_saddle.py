"""Saddle-to-saddle dynamics: plateaus against their closed form, lambda-hat of short chains against the regular part."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from nets import dln
from nets.saddle import LinearBatches, SaddleToSaddle, quadratic_reading
from nets.samplers import SGLD

SMALL = SaddleToSaddle(steps=400, every=200, draws=20)


@pytest.fixture(scope="module")
def paper():
    """The paper's settings at width 20, every 500 steps, 16 chains in place of one: it rests at every rank (at width 10 it rushes past the first)."""
    return list(SaddleToSaddle(width=20, steps=18_000, every=500, chains=16, seed=0).stream())


def test_the_loss_of_a_batch_is_the_mean_squared_difference_on_its_samples():
    generator = torch.Generator().manual_seed(0)
    weights = dln.random_weights((4, 6, 3), seed=1)
    x = torch.randn(40, 4, dtype=torch.float64, generator=generator)
    target = LinearBatches(weights, x)
    w = target.star + 0.1 * torch.randn(3, target.dim, dtype=torch.float64, generator=generator)
    index = torch.randint(0, 40, (3, 7), generator=generator)
    for chosen in (index, None):
        losses, slopes = target.gradients(w, chosen)
        for c in range(3):
            row = w[c].clone().requires_grad_()
            first, second = row[:24].view(6, 4), row[24:].view(3, 6)
            samples = x if chosen is None else x[chosen[c]]
            value = (samples @ (second @ first - weights[1] @ weights[0]).T).square().mean()
            torch.testing.assert_close(losses[c], value.detach())
            torch.testing.assert_close(slopes[c], torch.autograd.grad(value, row)[0])
        torch.testing.assert_close(target.losses(w, chosen), losses)
    assert float(target.losses(target.star[None])) == pytest.approx(0, abs=1e-20)  # realisable


def test_the_plateaus_of_the_paper_are_1100_600_280_100_20_0():
    assert SaddleToSaddle().plateaus == (1100, 600, 280, 100, 20, 0)


def test_the_loss_rests_on_the_plateaus(paper):
    """10,000 samples: a second moment differs from its mean by sqrt(2/n) = 1.4 %, so the loss by 4 % (three of them) at most."""
    plateaus = SaddleToSaddle().plateaus
    for rank in range(1, 6):
        assert min(abs(frame.loss - plateaus[rank]) for frame in paper if frame.rank == rank) < 0.04 * plateaus[rank] + 0.5
    assert all(a.rank <= b.rank for a, b in itertools.pairwise(paper)) and paper[-1].loss < 1e-3
    np.testing.assert_allclose(paper[-1].singular, (50, 40, 30, 20, 10), rtol=1e-3)


def test_the_rank_counts_the_learned_singular_values(paper):
    for frame in paper:
        assert frame.rank == sum(value > 5 for value in frame.singular) or min(abs(value - 5) for value in frame.singular) < 5


def test_the_regular_line_is_r_times_10_minus_r_over_2_and_the_two_others_never_move(paper):
    for frame in paper:
        assert frame.regular == Fraction(frame.rank * (10 - frame.rank), 2)
        assert frame.total == frame.local == Fraction(25, 2)


def test_short_chains_read_the_regular_part_and_not_lambda(paper):
    """On the plateaus: the paper's 4.8, 8.6, 11.5, 13.4 within 4 standard errors of ours and of a reading of its figure (0.2); these are some
    10 % above 4.5, 8, 10.5, 12 because of the step size (see `quadratic_reading`), and lambda is 12.5 at every rank."""
    plateaus = SaddleToSaddle().plateaus
    for rank, published in enumerate((4.8, 8.6, 11.5, 13.4), 1):
        resting = [f.estimate for f in paper if f.rank == rank and abs(f.loss - plateaus[rank]) < 0.03 * plateaus[rank]]
        ours, error = np.mean([e.mean for e in resting]), np.sqrt(np.sum([e.stderr**2 for e in resting])) / len(resting)
        assert abs(ours - published) < 4 * np.hypot(error, 0.2)
        assert 1 < ours / (rank * (10 - rank) / 2) < 1.15


def test_what_short_chains_read_is_that_of_the_quadratic_part(paper):
    """Expected and estimated, summed over the frames of a plateau: within 4 standard errors, and 2 % for batches and higher terms."""
    for rank in range(1, 6):
        resting = [f for f in paper if f.rank == rank]
        ours, error = np.mean([f.estimate.mean for f in resting]), np.sqrt(np.sum([f.estimate.stderr**2 for f in resting])) / len(resting)
        expected = np.mean([f.expected for f in resting])
        assert abs(ours - expected) < 4 * error + 0.02 * expected


def test_the_quadratic_reading_is_the_mean_over_simulated_second_moments():
    """Against the recursion v <- (1 - x)^2 v + eps run step by step in the eigendirections of the Hessian that autograd finds."""
    weights = dln.random_weights((3, 4, 2), seed=2)
    x = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    gram, sampler, nbeta, draws = x.T @ x / 30, SGLD(eps=1e-3, gamma=2.0), 50.0, 40

    def loss(w):
        return (x @ (w[12:].view(2, 4) @ w[:12].view(4, 3) - weights[1] @ weights[0]).T).square().mean()

    h = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, torch.cat([w.flatten() for w in weights]))).numpy()
    v, total = np.zeros_like(h), 0.0
    for _ in range(draws):
        total += float(np.sum(nbeta * h / 2 * v)) / draws
        v = (1 - sampler.eps / 2 * (nbeta * h + sampler.gamma)) ** 2 * v + sampler.eps
    assert quadratic_reading(weights, gram, nbeta, sampler, draws) == pytest.approx(total, rel=1e-9)


def test_a_small_step_and_many_draws_read_the_regular_part():
    weights = [torch.diag(torch.tensor([2.0, 1.5, 0.0], dtype=torch.float64))] * 3  # rank 2 of 3: 8 of 9 directions are curved
    assert quadratic_reading(weights, torch.eye(3, dtype=torch.float64), 1000.0, SGLD(eps=1e-6, gamma=0.0), 10**7) == pytest.approx(4, rel=0.01)
    assert dln.regular_part(weights) == 4


def test_the_same_seed_gives_the_same_frames_and_a_longer_run_begins_like_a_shorter_one():
    first, again, longer = list(SMALL.stream()), list(SMALL.stream()), list(replace(SMALL, steps=600).stream())
    assert [f.step for f in first] == [0, 200, 400] and [f.step for f in longer] == [0, 200, 400, 600]
    for a, b, c in zip(first, again, longer, strict=False):
        assert a.loss == b.loss == c.loss and a.singular == b.singular == c.singular and a.estimate.mean == b.estimate.mean == c.estimate.mean
    assert next(replace(SMALL, seed=1).stream()).loss != first[0].loss


def test_asking_more_often_changes_no_number():
    often = {frame.step: frame for frame in replace(SMALL, every=100).stream()}
    for frame in SMALL.stream():
        assert often[frame.step].loss == frame.loss and often[frame.step].estimate.mean == frame.estimate.mean


def test_the_full_data_path_follows_the_gradient_of_all_samples():
    """batch = 0 is gradient descent: its loss falls at every step; with batches of all but a few samples it is nearly the same."""
    run = SaddleToSaddle(steps=300, every=20, batch=0, sgld_batch=0, draws=4, n=1000)
    losses = [frame.loss for frame in run.stream()]
    assert all(b < a for a, b in itertools.pairwise(losses))
    near = [frame.loss for frame in replace(run, batch=990, sgld_batch=128).stream()]
    np.testing.assert_allclose(near, losses, rtol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": 0.1, "steps": 2000}, "SGD diverged before step"),
        ({"batch": 20_000}, "batch = 20000 of n = 10000"),
        ({"sgld_batch": 20_000}, "sgld_batch = 20000"),
        ({"width": 0}, "width = 0"),
        ({"draws": 1}, "draws = 1"),
        ({"lr": float("nan")}, "lr = nan"),
        ({"sampler": "SGLD"}, "is no sampler"),
        ({"sampler": SGLD(eps=100.0)}, "all 1 chains died"),
    ],
)
def test_bad_settings_are_refused_with_one_clear_error(change, message):
    with pytest.raises(ValueError, match=message):
        list(replace(SMALL, **change).stream())
