"""A run is a value: the same numbers however it is cut, threaded, streamed or stopped; and its counts are those of its weights."""

import hashlib
import itertools
import math
import os
import pickle
import subprocess
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

import dynamics
import landscapes
from dynamics import GD, MALA, NGD, RULES, SDE, SGD, At, Finite, HeavyTailedSGD, Langevin, Simulation, UnderdampedSDE, Uniform, simulation
from dynamics.observe import escape_rate
from landscapes import DoubleWell, Monomial, Regular, TripleWell, Valley

WELL = Simulation(DoubleWell(1.8, 1, 2), SGD(lr=0.02, batch=20), n=700, steps=90, seed=4, start=Uniform(-3.6, 3.6))  # a fifth diverges
ALL = [
    replace(WELL, rule=rule)
    for rule in (
        GD(momentum=0.5),
        SGD(lr=0.02, momentum=0.5),
        NGD(lr=0.05, momentum=0.5),
        Langevin(batch=5),
        MALA(),
        SDE(substeps=2),
        UnderdampedSDE(substeps=2),
        HeavyTailedSGD(),
    )
] + [replace(WELL, data=Finite(size=50)), Simulation(Valley(1, 1), SGD(momentum=0.9), n=600, steps=90, data=Finite(size=33, slope=0.1))]


def everything(run):
    """All that a run can say: weights and counts at every step."""
    out = run.run(every=1)
    return out.kept, out.shares.counts, out.shares.among, out.shares.diverged


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)  # NaN equals NaN here


def named(run):
    return f"{type(run.rule).__name__}-{type(run.data).__name__}"


def test_every_rule_is_among_the_runs_below():
    assert {type(run.rule) for run in ALL} == set(RULES.values())


# The same numbers


@pytest.mark.parametrize("run", ALL, ids=named)
def test_a_run_is_the_same_for_any_number_of_threads_and_any_cut_into_pieces(run, monkeypatch):
    reference = everything(run)
    for threads, slices, block, chunk in ((1, 1000, 64, 1 << 20), (5, 100, 64, 1 << 20), (2, 256, 7, 1 << 20), (3, 99, 13, 20_000)):
        with ThreadPoolExecutor(threads) as workers:
            for name, value in (("pool", lambda workers=workers: workers), ("SLICE", slices), ("BLOCK", block), ("CHUNK", chunk)):
                monkeypatch.setattr(simulation, name, value)
            assert_same(everything(run), reference)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_the_environment_sets_the_number_of_threads_and_changes_no_number(threads):
    code = f"""
import hashlib
from dynamics import *
from dynamics.simulation import pool
from landscapes import *
print(pool()._max_workers, hashlib.sha256({WELL!r}.run().kept.tobytes()).hexdigest())
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "LAMBDASCAPE_THREADS": threads}, capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == [threads, hashlib.sha256(WELL.run().kept.tobytes()).hexdigest()]


@pytest.mark.parametrize("run", ALL, ids=named)
def test_streaming_gives_the_weights_and_counts_of_the_whole_run(run):
    kept, counts, _, diverged = everything(run)
    for every in (1, 7, 90, 1000):
        frames = list(run.stream(every=every))
        assert [frame.step for frame in frames] == [*range(0, run.steps, every), run.steps]
        for frame in frames:
            np.testing.assert_array_equal(frame.w, kept[frame.step])
        np.testing.assert_array_equal(np.concatenate([frame.counts for frame in frames]), counts)
        np.testing.assert_array_equal(np.concatenate([frame.diverged for frame in frames]), diverged)


def test_frames_keep_their_weights_after_the_stream_goes_on():
    frames = list(WELL.stream(every=30))
    again = [(frame.step, frame.w.copy()) for frame in WELL.stream(every=30)]
    assert all(np.array_equal(frame.w, w, equal_nan=True) for frame, (_, w) in zip(frames, again, strict=True))
    assert not np.array_equal(frames[0].w, frames[1].w)


@pytest.mark.parametrize("every", [1, 4, 90, 10**6])
def test_run_keeps_the_weights_it_was_asked_for(every, monkeypatch):
    kept = everything(WELL)[0]
    for chunk in (1 << 20, 20_000):  # pieces longer and shorter than `every`
        monkeypatch.setattr(simulation, "CHUNK", chunk)
        out = WELL.run(every=every)
        np.testing.assert_array_equal(out.steps, [*range(0, 90, every), 90])
        np.testing.assert_array_equal(out.kept, kept[out.steps])
        np.testing.assert_array_equal(out.w, kept[-1])


@pytest.mark.parametrize("run", ALL, ids=named)
def test_the_first_trajectories_of_many_are_those_of_few(run):
    few = everything(replace(run, n=100))[0]
    np.testing.assert_array_equal(few, everything(run)[0][:, :100])


def test_the_first_thousand_of_ten_thousand_equal_a_run_of_a_thousand():
    many, few = (replace(WELL, n=n).run().w for n in (10_000, 1000))
    np.testing.assert_array_equal(many[:1000], few)


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    assert_same(everything(WELL), everything(WELL))
    one, other = WELL.run(every=90), replace(WELL, seed=5).run(every=90)
    assert not np.any(one.kept[0] == other.kept[0])
    both = ~np.isnan(one.w) & ~np.isnan(other.w)
    assert not np.any(one.w[both] == other.w[both])


def test_rules_and_rates_are_compared_on_the_same_batches():
    # at a quadratic minimum w' - w = -eta (s w - e): one step of any rate gives the same s w - e
    runs = [Simulation(Monomial(1), rule, n=50, steps=1, start=At(0.5)) for rule in (SGD(lr=0.1), SGD(lr=0.2), NGD(lr=0.1, damping=1.0))]
    steps = [(run.run().w - 0.5) / scale for run, scale in zip(runs, (0.1, 0.2, 0.05), strict=True)]  # F + rho = 2
    np.testing.assert_allclose(steps[1], steps[0], rtol=1e-12)
    np.testing.assert_allclose(steps[2], steps[0], rtol=1e-12)


# A stream that can be watched and stopped


class Slow(Exception):
    """Raised where a run should not have got to."""


def test_the_first_frame_comes_before_the_first_step(monkeypatch):
    def refuse(*_):
        raise Slow

    monkeypatch.setattr(simulation._Ensemble, "advance", refuse)
    stream = WELL.stream()
    frame = next(stream)
    assert frame.step == 0 and frame.w.shape == (700, 1) and frame.counts.shape == (1, 2) and frame.diverged.tolist() == [0]
    with pytest.raises(Slow):
        next(stream)


def test_a_run_of_years_is_cancelled_by_not_iterating_on():
    endless = replace(WELL, n=10_000, steps=100_000_000)
    frames = list(itertools.islice(endless.stream(every=100), 3))
    assert [frame.step for frame in frames] == [0, 100, 200]  # of weeks, if it went on


def test_a_whole_run_is_watched_and_stopped():
    seen = []

    def watch(step):
        seen.append(step)
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace(WELL, n=10_000, steps=1_000_000).run(every=100_000, watch=watch)
    assert seen == sorted(seen) and seen[-1] < 10_000


# Counts


@pytest.mark.parametrize(
    "run", [WELL, replace(WELL, landscape=TripleWell()), replace(WELL, landscape=Monomial(3))], ids=lambda run: repr(run.landscape)
)
def test_counts_and_shares_are_those_of_the_kept_weights(run):
    out = run.run(every=1)
    w, edges = out.kept[..., 0], [-np.inf, *run.landscape.barriers, np.inf]
    lost = np.isnan(w)
    assert np.all(lost[1:] >= lost[:-1])  # once diverged, always diverged
    survives = ~lost[-1]
    with np.errstate(invalid="ignore"):
        inside = np.stack([(w >= low) & (w < high) for low, high in itertools.pairwise(edges)], axis=-1)
    np.testing.assert_array_equal(out.shares.counts, inside.sum(axis=1))
    np.testing.assert_array_equal(out.shares.among, inside[:, survives].sum(axis=1))
    np.testing.assert_array_equal(out.shares.diverged, lost.sum(axis=1))
    np.testing.assert_array_equal(out.shares.counts.sum(axis=1) + out.shares.diverged, run.n)
    assert out.survivors == survives.sum() and 0 < out.survivors < run.n
    np.testing.assert_allclose(out.share, inside[:, survives].mean(axis=1), rtol=1e-14)
    if run.landscape.barriers:
        np.testing.assert_array_equal(out.share_left, out.share[:, 0])


def test_a_trajectory_diverges_at_one_thousand_and_its_last_weight_is_below():
    kept = replace(WELL, rule=GD(lr=0.02)).run(every=1).kept[..., 0]
    assert np.nanmax(np.abs(kept)) < 1e3
    # at |w| = 4 the gradient is about w^5: a step of 0.05 times it is 51, the next one beyond all bounds
    w = Simulation(Monomial(3), GD(lr=0.05), n=1, steps=3, start=At(4.0)).run(every=1).kept[:, 0, 0]
    assert w[1] == 4 - 0.05 * 3 * 4**5 and np.isnan(w[2:]).all()


def test_nobody_survives_is_no_error():
    out = Simulation(DoubleWell(), GD(lr=1), n=5, steps=20, start=At(3.5)).run()
    assert out.survivors == 0 and np.isnan(out.share_left).all()
    rate, stderr = out.escape_rate(0, 10)
    assert rate is None and stderr is None and "fewer than" in out.escape_rate(0, 10).reason


# Observers


def test_the_escape_rate_of_an_exponential_decay_is_its_rate():
    counts = 10_000 * np.exp(-0.1 * np.arange(40))
    rate, stderr = escape_rate(counts, 5, 35)
    assert abs(rate - 0.1) < 1e-12 and 0 < stderr < 0.01
    assert escape_rate(counts, 5, 35).window == (5, 35)


def test_the_standard_error_of_the_escape_rate_is_the_scatter_between_seeds():
    runs = [replace(WELL, n=1500, steps=30, seed=seed).run(every=30).escape_rate(5, 25) for seed in range(100)]
    rates, errors = np.array([tuple(run) for run in runs]).T
    # a standard deviation from 100 values is known to 1/sqrt(198) = 7 %
    assert abs(rates.std(ddof=1) / np.sqrt(np.mean(errors**2)) - 1) < 4.5 * 0.071


def test_a_window_that_runs_out_of_trajectories_is_cut_and_says_so():
    fit = replace(WELL, steps=300).run().escape_rate(5, 290)
    assert fit.rate is not None and fit.window[1] < 100
    with pytest.raises(ValueError, match=r"window 50 \.\.\. 20"):
        WELL.run().escape_rate(50, 20)
    with pytest.raises(ValueError, match=r"the run has steps 0 \.\.\. 90"):
        WELL.run().escape_rate(10, 91)


def test_where_nobody_leaves_the_rate_is_0_and_its_error_the_bound_at_95_percent():
    rate, stderr = fit = escape_rate(np.full(50, 200), 10, 40)
    assert rate == 0 and stderr == 3 / (200 * 30) and "below 5.0e-04" in fit.reason
    assert math.exp(-stderr * 200 * 30) < 0.05  # so seldom does nobody leave at that rate


def test_no_rate_is_given_where_the_count_grows_and_an_honest_error_where_it_wavers():
    growing = escape_rate(1000 + np.arange(50), 0, 49)
    assert tuple(growing) == (None, None) and "grows, from 1000 to 1049" in growing.reason
    rate, stderr = escape_rate(1000 + np.arange(50) % 2, 0, 49)  # one comes, one leaves
    assert abs(rate) < stderr and stderr > 1e-5


def test_histograms_and_distances_are_those_of_the_kept_weights():
    out = WELL.run(every=30)
    edges = np.linspace(-2, 3, 26)
    for row, w in zip(out.histogram(edges), out.kept[..., 0], strict=True):
        np.testing.assert_array_equal(row[:-1], np.histogram(w[~np.isnan(w)], edges)[0][:-1])  # NumPy closes the last bin
    valley = Simulation(Valley(1, 1), SGD(), n=20, steps=10).run(every=5)
    line, origin = valley.run.landscape.line, valley.run.landscape.minima[0]
    np.testing.assert_allclose(valley.distance(line), np.abs(valley.kept[..., 0]))
    np.testing.assert_allclose(valley.distance(origin), np.hypot(valley.kept[..., 0], valley.kept[..., 1]))
    with pytest.raises(ValueError, match="has no barrier"):
        _ = valley.share_left
    with pytest.raises(ValueError, match="has no barrier"):
        valley.escape_rate(1, 5)


# Values


def test_a_run_is_a_value_that_prints_as_the_call_that_makes_it():
    for run in (*ALL, Simulation(), Simulation(Regular(), start=At((0.0, 1.0)))):
        assert eval(repr(run), {**vars(landscapes), **vars(dynamics)}) == run
        assert pickle.loads(pickle.dumps(run)) == run and hash(pickle.loads(pickle.dumps(run))) == hash(run)
    assert Simulation(Valley()).start == Uniform((-2.0, -2.0), (2.0, 2.0))  # the landscape's box


def test_starts_are_where_they_say():
    w = next(Simulation(Valley(), n=20_000, start=Uniform((-1, 2), (0, 5))).stream()).w
    for axis, (low, high) in enumerate(((-1, 0), (2, 5))):
        u = (w[:, axis] - low) / (high - low)
        assert u.min() >= 0 and u.max() < 1 and abs(u.mean() - 0.5) < 4.5 / math.sqrt(12 * 20_000)
    assert abs(np.corrcoef(w.T)[0, 1]) < 4.5 / math.sqrt(20_000)
    np.testing.assert_array_equal(next(Simulation(Valley(), n=3, start=At((0.1, 5))).stream()).w, [[0.1, 5]] * 3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Simulation(n=0), "Simulation: n = 0 is below the legal range 1 ... 1e\\+07"),
        (lambda: Simulation(n=10**9), "n = 1000000000 is above"),
        (lambda: Simulation(n=2.5), "n = 2.5 is not whole"),
        (lambda: Simulation(n="many"), "n = 'many' is not a number"),
        (lambda: Simulation(steps=math.nan), "steps = nan is not finite"),
        (lambda: Simulation(steps=10**400), "steps = "),
        (lambda: Simulation(seed=-1), "seed = -1 is below the legal range 0 ... 2147483647;"),
        (lambda: Simulation(landscape="valley"), "landscape = 'valley' is no landscape; give a value such as DoubleWell"),
        (lambda: Simulation(landscape=Valley), "is no landscape"),
        (lambda: Simulation(rule=SGD), "is no rule; give a value such as SGD"),
        (lambda: Simulation(data=None), "data = None is no data; give a value such as Online"),
        (lambda: Simulation(Valley(), start=Uniform(-1, 1)), "has 2 variable"),
        (lambda: Simulation(DoubleWell(), start=At((1, 2))), "has 1 variable"),
        (lambda: Simulation(start=3.0), "start = 3.0"),
        (lambda: Uniform(1, -1), "every low must lie at or below its high"),
        (lambda: Uniform((0, 0), 1), "same length"),
        (lambda: Uniform(math.nan, 1), "low = nan; give one number of size below 1000 a variable"),
        (lambda: Uniform("a", 1), "low = 'a'"),
        (lambda: At((1, 2, 3)), "at = \\(1, 2, 3\\)"),
        (lambda: At(math.inf), "at = inf"),
        (lambda: At(None), "at = None"),
        (lambda: At(10**400), "at = 1000"),
        (lambda: At(((1, 2), (3, 4))), "at = "),
        (lambda: WELL.run(every=0.5), "every = 0.5"),
        (lambda: WELL.run(every=-1), "every = -1"),
        (lambda: WELL.run(every=0), "every = 0"),
        (lambda: next(WELL.stream(every=0)), "every = 0; a frame every 1, 2, ... steps"),
        (lambda: next(WELL.stream(every=2.5)), "every = 2.5"),
        (lambda: tiny().histogram([0, 1], axis=1), "axis = 1; the variables are numbered 0 ... 0"),
        (lambda: tiny().histogram([0, 1], axis=-1), "axis = -1"),
        (lambda: tiny().histogram([1, 1]), "two or more that ascend by equal distances"),
        (lambda: tiny().histogram([0, 1, 3]), r"edges = \[0. 1. 3.\]; give two or more"),
        (lambda: tiny().histogram([1, 0]), "edges = "),
        (lambda: tiny().histogram([0]), "edges = "),
        (lambda: tiny().histogram([0, np.inf]), "edges = "),
        (lambda: tiny().escape_rate(0, 3, basin=-1), r"basin = -1; the basins are numbered 0 ... 1, from left to right"),
        (lambda: tiny().escape_rate(0, 3, basin=9), "basin = 9"),
        (lambda: tiny().escape_rate(0, 3, basin=0.5), "basin = 0.5"),
        (lambda: tiny().escape_rate(0.5, 3), r"window 0.5 \.\.\. 3; .* choose whole first < last"),
        (lambda: next(replace(WELL, steps=10**8).stream(every=10**8)), r"needs 2\.4 GB of at most 1\.1; take frames more often"),
    ],
)
def test_a_run_refuses_what_it_cannot_do_and_says_what_it_can(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def tiny():
    return replace(WELL, n=20, steps=4).run()


def test_a_frame_every_so_many_steps_that_there_are_not_is_the_last_one():
    out, frames = WELL.run(every=10**20), list(WELL.stream(every=10**20))
    assert out.steps.tolist() == [0, 90] and [frame.step for frame in frames] == [0, 90]


def test_a_run_takes_no_more_memory_than_it_says(monkeypatch):
    run = replace(WELL, n=40, steps=150_000)  # counts outweigh weights; some diverge, and are run twice
    said = 8 * (40 * (202 + simulation.STATE) + 2 * 150_001 * 3)
    monkeypatch.setattr(simulation, "CHUNK", 20_000)  # the room that one piece of work takes
    WELL.run()  # loads the kernels
    tracemalloc.start()
    try:
        assert 0 < run.run().survivors < 40
        assert tracemalloc.get_traced_memory()[1] < said + 2e6
        tracemalloc.reset_peak()
        *_, last = replace(WELL, n=4000, steps=3000).stream(every=3000)
        assert tracemalloc.get_traced_memory()[1] < 8 * (4000 * (2 + simulation.STATE) + 3000 * 3) + 5e5  # not 0.09 bytes a trajectory-step
    finally:
        tracemalloc.stop()
    assert last.counts.shape == (3000, 2) and np.all(last.counts.sum(axis=1) + last.diverged == 4000)


@pytest.mark.parametrize("text", ["abc", "-1", "1.5", "100000"])
def test_a_wrong_number_of_threads_is_named(text, monkeypatch):
    monkeypatch.setenv("LAMBDASCAPE_THREADS", text)
    with pytest.raises(ValueError, match=f"LAMBDASCAPE_THREADS = '{text}'; give a number of threads"):
        simulation.pool.__wrapped__()


def test_a_run_beyond_the_memory_bound_is_refused_beforehand_with_the_number(monkeypatch):
    monkeypatch.setattr(simulation, "_Ensemble", lambda *_: pytest.fail("begun before it was refused"))
    monkeypatch.setattr(simulation.np, "empty", lambda *_: pytest.fail("80 GB were asked for"))
    with pytest.raises(ValueError, match=r"n = 10,000 trajectories.*needs 80\.0 GB of at most 1\.1; keep fewer steps or trajectories"):
        replace(WELL, n=10_000, steps=1_000_000).run(every=1)
