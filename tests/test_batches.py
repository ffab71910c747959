"""Batches from two numbers are batches: the shortcut against explicit samples, epochs against bookkeeping, covariances against theirs.

Fixed seeds; a p-value below 1e-4 or a deviation beyond 4.5 standard errors fails.
"""

import math

import naive
import numpy as np
import pytest
from scipy import stats

from dynamics import SGD, Finite, Online, Simulation, Uniform, noise_covariance
from dynamics.batches import Source, draw, prepare
from dynamics.random import close, open_streams, opened
from dynamics.sgd import batch_gradient
from landscapes import Bowl, Cusp, DoubleWell, Regular, Valley
from landscapes.jit import kernel


@kernel
def _draw_all(out, streams, source, batch):
    # out (n, steps, 1 + outputs): the means of every batch
    prepared = prepare(source, batch)
    for i in range(out.shape[0]):
        s = opened(streams, i)
        for t in range(out.shape[1]):
            s = draw(source, batch, prepared, out[i, t], streams[i, 2], t, s)
        close(streams, i, s)


def batches(source, batch, n, steps=1, seed=1):
    out = np.empty((n, steps, len(source.moments)))
    _draw_all(out, open_streams(seed, np.arange(n)), source, batch)
    return out


def explicit(data, batch, n, outputs=1, seed=2):
    random = np.random.default_rng(seed)
    x = random.normal(0, data.vx**0.5, (n, batch))
    e = random.normal(0, data.vy**0.5, (outputs, n, batch))
    return np.stack([np.mean(x * x, axis=1), *np.mean(x * e, axis=2)], axis=1)


@pytest.mark.parametrize("batch", [1, 2, 5, 20, 200])
def test_two_numbers_have_the_joint_law_of_the_sums_over_a_batch(batch):
    data = Online(vx=2.0, vy=0.5)
    ours, theirs = batches(data.source(1), batch, 20_000)[:, 0], explicit(data, batch, 20_000)
    for statistic in (
        lambda m: m[:, 0],
        lambda m: m[:, 1],
        lambda m: m[:, 1] / np.sqrt(m[:, 0]),
        lambda m: m[:, 0] + m[:, 1],
        lambda m: np.abs(m[:, 1]) * m[:, 0],
    ):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-4


def test_several_outputs_share_their_inputs_but_not_their_noise():
    data = Online(vx=2.0, vy=0.5)
    ours, theirs = batches(data.source(2), 3, 20_000)[:, 0], explicit(data, 3, 20_000, outputs=2)
    for statistic in (lambda m: m[:, 1] + m[:, 2], lambda m: m[:, 1] * m[:, 2], lambda m: np.hypot(m[:, 1], m[:, 2]) / m[:, 0]):
        assert stats.ks_2samp(statistic(ours), statistic(theirs)).pvalue > 1e-4


@pytest.mark.parametrize(
    ("landscape", "rule", "data"),
    [
        (DoubleWell(1.8, 1, 2), SGD(lr=0.02, batch=20), Online()),
        (DoubleWell(1.8, 1, 2), SGD(lr=0.006, batch=1, momentum=0.5), Online(slope=0.3, vx=1.5, vy=0.5)),
        (Valley(1, 1), SGD(lr=0.05, batch=3), Online(vy=4.0)),
        (Bowl(1, 2), SGD(lr=0.1, batch=2, momentum=0.5), Online(slope=-0.2)),
    ],
)
def test_sgd_has_the_law_of_sgd_on_explicit_batches_and_diverges_as_often(landscape, rule, data):
    n, steps = 8000, 25
    low, high = zip(*landscape.box, strict=True)
    ours = Simulation(landscape, rule, n=n, steps=steps, seed=3, start=Uniform(low, high), data=data).run(every=steps).w
    random = np.random.default_rng(4)
    theirs = naive.sgd_on_explicit_batches(landscape, rule, data, steps, random.uniform(low, high, (n, landscape.dim)), random)
    lost = [np.isnan(w[:, 0]) for w in (ours, theirs)]
    share = np.mean(lost)
    assert abs(lost[0].mean() - lost[1].mean()) < 4.5 * math.sqrt(2 * max(share, 1 / n) / n)
    for axis in range(landscape.dim):
        assert stats.ks_2samp(ours[~lost[0], axis], theirs[~lost[1], axis]).pvalue > 1e-4


@pytest.mark.parametrize(("size", "batch"), [(40, 8), (40, 7), (41, 1), (5, 5), (3, 2), (1, 1), (6, 100)])
def test_an_epoch_visits_every_sample_once_and_its_last_batch_may_be_short(size, batch):
    # x_i^2 = 2^i: the sum over a batch spells its members in binary, exactly
    source = Source(size, 0.0, 1.0, 1.0, 2.0 ** np.arange(size), np.zeros((1, size)), np.zeros(2))
    steps, epochs, n = -(-size // batch), 3, 200
    lengths = np.full(steps, batch)
    lengths[-1] = size - (steps - 1) * batch
    sums = batches(source, batch, n, steps * epochs)[..., 0].reshape(n, epochs, steps) * lengths
    members = np.rint(sums).astype(np.int64)
    np.testing.assert_allclose(sums, members, rtol=1e-12)
    assert np.all([[[bin(m).count("1") for m in epoch] for epoch in trajectory] for trajectory in members.tolist()] == lengths)
    np.testing.assert_array_equal(members.sum(axis=-1), 2**size - 1)
    if size >= 40:  # trajectories and epochs shuffle on their own
        assert len(np.unique(members[:, :, 0])) > 0.8 * min(n * epochs, size)


def test_given_samples_keep_their_pairs_and_short_batches_their_own_mean():
    data = Finite(size=10, slope=0.2, seed=3)
    x, e = data.draw(2)
    source = data.source(2)
    out = batches(source, 4, 5, steps=3)
    rows = open_streams(1, np.arange(5))
    for i in range(5):
        for t in range(3):
            chosen = naive.batch_indices(data, rows[i, 2], 4, t)
            assert len(chosen) == (4, 4, 2)[t]
            np.testing.assert_allclose(out[i, t], [np.mean(x[chosen] ** 2), *np.mean(x[chosen] * e[:, chosen], axis=1)], rtol=1e-12)
    np.testing.assert_allclose((out * [[4], [4], [2]]).sum(axis=1) / 10, np.tile(source.moments, (5, 1)), rtol=1e-12)


@pytest.mark.parametrize("batch", [1, 5, 20, 49])
def test_without_replacement_the_variance_of_a_batch_shrinks_by_n_minus_b_over_n_minus_1(batch):
    data, n = Finite(size=50, seed=5), 40_000
    source = data.source(1)
    means = batches(source, batch, n)[:, 0]
    for column, samples in ((0, source.xx), (1, source.xe[0])):
        expected = samples.var() / batch * (50 - batch) / 49
        z = (means[:, column] - samples.mean()) / math.sqrt(expected)
        assert abs(z.mean()) * math.sqrt(n) < 4.5
        assert abs((z**2).mean() - 1) < 4.5 * math.sqrt(((z**4).mean() - 1) / n)


def test_given_samples_have_the_slope_and_the_variances_asked_for():
    data = Finite(size=100_000, slope=0.7, vx=3.0, vy=0.2, seed=1)
    x, e = data.draw()
    assert abs(x.var() / 3 - 1) < 4.5 * math.sqrt(2 / 1e5) and abs(e.var() / 0.2 - 1) < 4.5 * math.sqrt(2 / 1e5)
    assert abs(np.mean(x * e)) < 4.5 * math.sqrt(0.6 / 1e5)
    source = data.source(1)
    assert (source.slope, source.vx, source.vy) == (0.7, 3.0, 0.2)
    np.testing.assert_allclose(source.moments, [np.mean(x**2), np.mean(x * e)])
    np.testing.assert_array_equal(Finite(size=100_000, slope=0.7, vx=3.0, vy=0.2, seed=1).draw()[0], x)
    assert not np.array_equal(Finite(size=100_000, seed=2).draw()[0], x / 3**0.5)


@kernel
def _gradients(out, table, source, all_means, w1, w2):
    for i in range(out.shape[0]):
        out[i, 0], out[i, 1] = batch_gradient(table, source, all_means[i], w1, w2)


CASES = [
    (DoubleWell(1.8, 1, 2), (0.4,), Online(slope=0.5, vx=2.0, vy=0.3)),
    (Valley(1, 1), (0.4, -0.8), Online(slope=-0.2, vx=0.7, vy=2.0)),
    (Cusp(), (0.9, 0.5), Online(vy=0.0)),
    (Bowl(1, 2), (0.7, 1.1), Online(slope=0.3, vx=1.3)),
    (Regular(), (0.7, 1.1), Online()),
]


@pytest.mark.parametrize(("landscape", "w", "data"), CASES)
def test_the_covariance_of_batch_gradients_is_sigma(landscape, w, data):
    batch, n, outputs = 3, 100_000, len(landscape.products())
    means = batches(data.source(outputs), batch, n)[:, 0]
    out = np.empty((n, 2))
    _gradients(out, landscape.table(), data.source(outputs), means, *(*w, 0.0)[:2])
    out = out[:, : landscape.dim]
    exact = noise_covariance(landscape, w, batch, data)
    gradient = data.vx * np.einsum("k,ki->i", (landscape.Q(w) - data.slope), landscape.jet(w)[1])
    spread = np.sqrt(np.diag(exact))
    assert np.all(np.abs(out.mean(axis=0) - gradient) < 4.5 * spread / math.sqrt(n))
    away = out - gradient
    products = away[:, :, None] * away[:, None, :]
    assert np.all(np.abs(products.mean(axis=0) - exact) < 4.5 * products.std(axis=0) / math.sqrt(n))


@pytest.mark.parametrize(("landscape", "w", "data"), CASES)
def test_sigma_is_proportional_to_the_fisher_matrix_for_one_output_only(landscape, w, data):
    sigma = noise_covariance(landscape, w, 7, data)
    fisher = data.vx * landscape.fisher(w)
    scale = (data.vy + 2 * data.vx * np.sum((landscape.Q(w) - data.slope) ** 2)) / 7
    if len(landscape.products()) == 1:
        np.testing.assert_allclose(sigma, scale * fisher, rtol=1e-12, atol=1e-14)
        assert np.linalg.matrix_rank(sigma, tol=1e-9 * np.trace(sigma)) == 1
    else:
        assert np.linalg.matrix_rank(sigma, tol=1e-9 * np.trace(sigma)) == 2
        assert not np.allclose(sigma / np.trace(sigma), fisher / np.trace(fisher), rtol=0.05)


def test_sigma_is_proportional_to_the_hessian_where_q_is_zero_and_not_beside():
    landscape = Valley(1, 1)
    on, beside = np.array([0.0, 0.8]), np.array([0.4, -0.8])
    np.testing.assert_allclose(noise_covariance(landscape, on, 5), landscape.hessian(on) / 5, atol=1e-15)
    assert (
        np.linalg.eigvalsh(landscape.hessian(np.array([0.05, 0.8])))[0] < 0 <= np.linalg.eigvalsh(noise_covariance(landscape, beside, 5))[0] + 1e-15
    )
    assert not np.allclose(noise_covariance(landscape, beside, 5)[0, 1] / landscape.hessian(beside)[0, 1], 1 / 5, rtol=0.1)
    # many points at once
    points = np.random.default_rng(1).normal(size=(4, 5, 2))
    many = noise_covariance(landscape, points, 5)
    for batch in (0, -3, np.nan, "many"):
        with pytest.raises(ValueError, match=f"batch = {batch!r}; a batch has at least 1 sample"):
            noise_covariance(landscape, points, batch)
    np.testing.assert_allclose(many[2, 3], noise_covariance(landscape, points[2, 3], 5))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Online(vx=0), "Online: vx = 0 is below"),
        (lambda: Online(slope=math.nan), "Online: slope = nan is not finite"),
        (lambda: Online(vy="many"), "Online: vy = 'many' is not a number"),
        (lambda: Finite(size=0), "Finite: size = 0 is below"),
        (lambda: Finite(size=10**9), "Finite: size = 1000000000 is above"),
        (lambda: Finite(size=2.5), "Finite: size = 2.5 is not whole"),
        (lambda: Finite(seed=-1), "Finite: seed = -1 is below"),
    ],
)
def test_data_refuse_what_they_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
