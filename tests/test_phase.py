"""Maps of escape rates: what is counted, against a slow twin and the exact law; the two lines on them; coming back to half a map."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from dynamics import GD, NGD, SGD, At, Finite, Simulation, Uniform
from dynamics.law import transfer
from dynamics.phase import Leavings, Phase, boundary, edge, leavings, noise_free, stable, stays, stiffness
from dynamics.presets import sharpness
from landscapes import Bowl, DoubleWell

BASE = Simulation(DoubleWell(w0=1.8, d1=1, d2=2), SGD(lr=0.02, batch=20), n=1000, steps=60, start=Uniform(-2.0, -1.6))
SMALL = Phase(BASE, "lr", (0.012, 0.016, 0.02), "w0", (1.6, 1.8))


@pytest.fixture(scope="module")
def frames():
    return list(SMALL.stream())


def counted(run) -> Leavings:
    *_, last = leavings(run)
    return last


# What is counted


def test_leavings_are_first_exits_counted_trajectory_by_trajectory():
    run = replace(BASE, n=200, steps=30, start=Uniform(-3.6, 3.6), rule=SGD(lr=0.018, batch=5))
    kept = run.run(every=1).kept[..., 0]  # (frames, n)
    stay = [sum(all(w < run.landscape.barriers[0] for w in kept[: t + 1, k]) for k in range(run.n)) for t in range(len(kept))]
    first = max(t for t in range(min(10, 15) + 1) if stay[t] >= 0.1 * stay[0])
    expected = Leavings(stay[0], stay[first] - stay[-1], stay[-1], sum(stay[first:-1]), int(np.sum(~np.isnan(kept[-1]))))
    assert counted(run) == expected
    assert 0 < expected.survivors < run.n and expected.left > 0 and expected.held < expected.started < run.n


def test_the_rate_of_a_geometric_law_is_found_within_its_standard_error():
    """Lives drawn with a known rate; 400 estimates: their mean within 5 of its standard errors, their scatter within 20 % of what they claim."""
    rng, rate, steps = np.random.default_rng(1), 0.05, 40
    found = []
    for _ in range(400):
        stay = np.array([500, *(500 - np.cumsum(np.bincount(rng.geometric(1 - np.exp(-rate), 500), minlength=steps + 1)[1 : steps + 1]))])
        found.append(Leavings(500, int(stay[0] - stay[-1]), int(stay[-1]), int(stay[:-1].sum()), 500).rate)
    value, error = np.array(found).T
    assert abs(value.mean() - rate) < 5 * value.std() / 20
    assert value.std() == pytest.approx(error.mean(), rel=0.2)


@pytest.mark.parametrize(
    ("counts", "rate", "stderr"),
    [
        (Leavings(100, 0, 100, 5000, 100), 0.0, 1 / 5000),  # nobody left: what one leaving would have been
        (Leavings(100, 90, 0, 90, 100), np.inf, np.inf),  # all in one step
        (Leavings(0, 0, 0, 0, 100), np.nan, np.nan),  # nobody was there
    ],
)
def test_rates_at_the_ends_of_the_scale(counts, rate, stderr):
    np.testing.assert_allclose(counts.rate, (rate, stderr))


def test_a_start_where_nothing_moves_gives_rate_zero_and_one_on_the_other_side_none():
    assert counted(replace(BASE, landscape=DoubleWell(1.8, 2, 2), n=50, start=At(-1.8))).rate == (0.0, 1 / (50 * 50))
    assert np.isnan(counted(replace(BASE, n=50, start=At(1.8))).rate).all()


def test_sampled_rates_agree_with_the_exact_law_over_the_map():
    """z is N(0, 1) in each cell where at least 5 leavings are expected. The cells share their noise, so that the mean square of some 20
    is less certain than that of 20 independent ones: 1/3 ... 2.5 (seen: 0.6 to 1.2 for ten seeds). A rate 15 % off gives above 5."""
    phase = Phase(replace(BASE, n=4000), "lr", (0.01, 0.014, 0.018, 0.022, 0.026), "w0", (1.6, 1.7, 1.8, 1.9, 2.0))
    frame = phase.run()
    z = frame.z[frame.exact * frame.risk > 5]
    assert len(z) > 15
    assert 1 / 3 < np.mean(z**2) < 2.5
    assert np.max(np.abs(z)) < 4
    off = frame._replace(exact=1.15 * frame.exact).z[frame.exact * frame.risk > 5]
    assert np.mean(off**2) > 5


def test_natural_gradients_agree_with_their_law_too():
    frame = Phase(replace(BASE, rule=NGD(lr=2.0, damping=1.0), n=4000), "lr", (2.5, 3.5), "damping", (1.0, 30.0)).run()
    assert not frame.why and np.max(np.abs(frame.z)) < 4 and np.all(frame.left > 50)


def test_who_diverges_from_inside_the_basin_has_left_it():
    found = counted(replace(BASE, n=50, start=At(-30.0)))  # one step of some 10^5
    assert found == Leavings(started=50, left=50, held=0, risk=50, survivors=0) and found.rate[0] == np.inf


# Frames


def test_frames_fill_the_arrays_cell_by_cell_and_the_first_comes_at_once(frames):
    assert frames[0].step == 0 and not frames[0].done.any() and np.isnan(frames[0].rate).all()
    assert frames[-1].step == frames[-1].of == 6 and frames[-1].done.all()
    for before, after in itertools.pairwise(frames):
        assert after.step in (before.step, before.step + 1) and after.done.sum() == after.step
        assert np.array_equal(after.rate[before.done], before.rate[before.done])
        assert np.isnan(after.rate[~after.done]).all() and np.isnan(after.exact[~after.done]).all()


def test_each_cell_is_the_run_of_its_two_values(frames):
    for i, j in itertools.product(range(3), range(2)):
        run = SMALL.cell(i, j)
        assert (run.rule.lr, run.landscape.w0) == (SMALL.xs[i], SMALL.ys[j])
        assert frames[-1].rate[j, i] == counted(run).rate[0]
        assert frames[-1].exact[j, i] == transfer(run.landscape, run.rule, SMALL.cells).escape_rate(0)


def test_the_start_is_stretched_with_the_wells():
    low, high = SMALL.cell(0, 0).start.bounds
    assert low[0] / 1.6 == pytest.approx(-2.0 / 1.8) and high[0] / 1.6 == pytest.approx(-1.6 / 1.8)
    assert SMALL.cell(0, 1).start == BASE.start
    assert Phase(replace(BASE, start=At(-1.8)), "w0", (0.9,), "lr", (0.02,)).cell(0, 0).start == At(-0.9)


def test_a_sweep_goes_on_from_where_it_stopped(frames):
    half = next(frame for frame in frames if frame.step == 3)
    again = list(SMALL.stream(half))
    assert again[0] is half and [frame.step for frame in again][-1] == 6
    for one, other in zip(again[-1], frames[-1], strict=True):
        assert np.array_equal(one, other, equal_nan=isinstance(one, np.ndarray) and one.dtype == float)
    assert half.step == 3 and half.done.sum() == 3  # untouched


def test_the_coarse_map_comes_first():
    phase = Phase(BASE, "lr", tuple(np.linspace(0.01, 0.02, 12)), "w0", tuple(np.linspace(1.5, 2, 10)))
    order = phase.order()
    assert sorted(order) == sorted(itertools.product(range(12), range(10)))
    assert order[:4] == [(0, 0), (8, 0), (0, 8), (8, 8)]
    for stride in (4, 2):
        some = [(i, j) for i, j in order if i % stride == j % stride == 0]
        assert set(order[: len(some)]) == set(some)


def test_a_long_cell_is_divided():
    begun = Phase(replace(BASE, n=100_000, steps=2000), "lr", (0.001, 0.002), "w0", (1.8,)).stream()
    assert [next(begun).step for _ in range(4)] == [0, 0, 0, 0]


def test_the_table_has_one_named_row_a_cell_that_is_done(frames):
    half = next(frame for frame in frames if frame.step == 3)
    rows = list(SMALL.table(half))
    assert len(rows) == 3 and list(SMALL.table(frames[0])) == []
    for row in rows:
        i, j = SMALL.xs.index(row["lr"]), SMALL.ys.index(row["w0"])
        assert row["rate"] == half.rate[j, i] and row["left"] == half.left[j, i] and row["survivors"] == half.survivors[j, i]


@pytest.mark.parametrize("rule", [SGD(momentum=0.5), GD(), NGD(noise="isotropic", temperature=0.0)])
def test_where_there_is_no_law_the_frame_says_why(rule):
    frame = Phase(replace(BASE, rule=rule, n=10, steps=5), "lr", (0.01,), "w0", (1.8,)).run()
    assert np.isnan(frame.exact).all() and np.isnan(frame.z).all() and frame.why
    assert Phase(replace(BASE, data=Finite(size=50), n=10, steps=5), "lr", (0.01,), "w0", (1.8,)).run().why


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base": Simulation(Bowl())}, "barrier"),
        ({"y": "lr"}, "two different"),
        ({"xs": ()}, "at least one"),
        ({"xs": (0.02, 0.01)}, "ascending"),
        ({"xs": (0.01, 5.0)}, "above the legal range"),
        ({"x": "damping"}, "no such value"),
        ({"xs": tuple(range(1, 101)), "x": "batch", "ys": tuple(np.linspace(1, 2, 101))}, "cells"),
        ({"base": replace(BASE, n=10_000_000, steps=10_000)}, "trajectory-steps"),
    ],
)
def test_what_cannot_be_run_is_refused_beforehand(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


# Lines


def test_the_stability_line_is_where_eta_times_the_sharpness_is_two():
    phase = Phase(BASE, "lr", (0.01, 0.015, 0.02, 0.025), "w0", (1.5, 1.6, 1.7, 1.8))
    points = [point for point in boundary(phase, stable) if point]
    assert len(points) > 5
    for point in points:
        run = phase.between(*point)
        assert stiffness(run) == pytest.approx(run.rule.lr * sharpness(run.landscape))
        assert stiffness(run) == pytest.approx(2, rel=0.01)  # bisection to 0.01 cells: 0.3 % of lr, 0.3 % of w0^4
    places = np.array(points)
    on_edge = np.isclose(places, -0.5) | np.isclose(places, 3.5)
    assert on_edge.any(axis=1).sum() >= 2  # it reaches the edges of the map


def test_momentum_moves_the_stability_line_to_two_times_one_plus_mu():
    phase = Phase(BASE, "lr", (0.01, 0.02, 0.03), "momentum", (0.0, 0.3, 0.6))
    for point in filter(None, boundary(phase, stable)):
        run = phase.between(*point)
        assert stiffness(run) == pytest.approx(2 * (1 + run.rule.momentum), rel=0.02)


def test_the_crisis_of_gradient_descent_is_where_the_literature_preset_says():
    """eta = 0.01994 at w0 = 1.8 (preset no-noise). K scales with w0, so eta H is the same for every w0: 0.01995 * 3.6^4 = 3.35."""
    for w0 in (1.2, 1.8):
        well = DoubleWell(w0, 1, 2)
        found = edge(lambda lr, well=well: stays(Simulation(well, SGD(lr=lr))), 2.5 / sharpness(well), 4 / sharpness(well), 1e-6)
        assert found * sharpness(well) == pytest.approx(0.01994 * 3.6**4, rel=2e-3)


def test_beyond_the_crisis_gradient_descent_leaves_and_before_it_stays():
    phase = Phase(BASE, "lr", (0.016, 0.018, 0.02, 0.022), "w0", (1.7, 1.8, 1.9))
    points = [point for point in boundary(phase, stays, points=5) if point]
    assert points
    for x, y in points:
        for beside, stayed in ((-0.1, True), (0.1, False)):
            run = phase.between(x + beside, y)
            w0 = run.landscape.w0
            alone = replace(run, rule=GD(run.rule.lr), n=50, steps=3000, start=Uniform(-1.02 * w0, -0.98 * w0)).run(every=3000)
            assert (alone.shares.counts[-1, 0] == 50) == stayed


def test_a_batch_moves_neither_line_and_a_property_that_never_changes_has_none():
    points = list(boundary(Phase(BASE, "lr", (0.01, 0.02), "batch", (1, 10, 100)), stable))
    assert [point[1] for point in points] == [-0.5, 2.5] and points[0][0] == points[1][0]
    assert not any(boundary(Phase(BASE, "lr", (0.001, 0.002), "w0", (1.0, 1.1)), stable))


def test_the_noise_of_natural_gradients_can_be_taken_away():
    rule = noise_free(NGD(lr=0.5, damping=0.3, batch=1))
    one, other = (replace(BASE, rule=rule, seed=seed, start=At(-1.7), n=2, steps=20).run().w for seed in (0, 1))
    assert np.array_equal(one, other)
    assert noise_free(SGD(lr=0.02, momentum=0.4)) == GD(lr=0.02, momentum=0.4)
