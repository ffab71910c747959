"""What the page shows, without a browser: the arrays of its figures, its sentence, its link and its controls, the estimate of lambda."""

import dataclasses
import itertools
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_state import runs, values_of

from app import landscapelab as lab
from app import pages
from app.estimates import FRAMES, _kept, estimates
from app.landscapelab import Bayes, Estimate, Lab, controls, decode, encode, shape
from app.live import Asked
from app.numerals import measured
from app.picture import BAND, BINS, SHOWN, picture, plain, results
from dynamics import GD, MALA, NGD, RULES, SGD, At, Finite, Online, Posterior, Simulation, Uniform
from dynamics.presets import PRESETS
from landscapes import CATALOGUE, Cusp, DoubleWell, Monomial, Regular, Ring, TripleWell, Valley

quick = settings(max_examples=40, deadline=None)


def told(meta: dict) -> str:
    """The sentences above the figures."""
    return " ".join(text for text, _ in meta["says"])


def strict(text: str) -> dict:
    """JSON as a browser reads it: no NaN, no infinity."""

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def shown(state: Lab, n: int = 400):
    """(arrays, meta, results) of a state."""
    outcomes = results(state, n)
    arrays = picture(state, outcomes)
    return arrays, strict(arrays["meta"]), outcomes


def brief(landscape, rule, **options) -> Lab:
    """A small run of one rule."""
    return Lab(Simulation(landscape, rule, n=options.pop("n", 400), steps=options.pop("steps", 60), **options), None)


# The arrays


def test_what_is_no_number_becomes_null_and_numpy_becomes_plain():
    value = {"a": [np.float64("nan"), np.inf, -np.inf, np.float32(0.5)], "b": (np.int64(3), 2, "x", None, True)}
    assert plain(value) == {"a": [None, None, None, 0.5], "b": [3, 2, "x", None, True]}
    assert strict(json.dumps(plain(value)))


def test_every_landscape_and_every_rule_gives_a_picture_that_json_and_the_browser_can_read():
    kinds = {"u": (1, 2, 4), "f": (4, 8)}
    pairs = [*((landscape, SGD) for landscape in CATALOGUE.values()), *itertools.product((DoubleWell, Valley), RULES.values())]
    for landscape, rule in pairs:
        state = Lab(Simulation(landscape(), rule(), n=20, steps=12), SGD())
        arrays, meta, _ = shown(state)
        assert meta["dim"] == landscape.dim and len(meta["steps"]) == 13 and meta["n"] == 20
        for name, array in arrays.items():
            if name != "meta":
                assert array.dtype.itemsize in kinds[array.dtype.kind] and array.flags.c_contiguous, name
        for name in "ab":
            assert arrays[f"counts-{name}"].shape == (13, BINS)
            assert arrays[f"paths-{name}"].shape[:2] == (13, min(SHOWN[landscape.dim], 20))
        assert "nan" not in told(meta) and "inf" not in told(meta)


@pytest.mark.parametrize("landscape", [DoubleWell(), Monomial(), Valley(), TripleWell()])
def test_where_all_trajectories_diverge_there_is_a_picture_and_it_says_so(landscape):
    start = At((50.0,) * landscape.dim)  # far out every landscape is steep
    _, meta, outcomes = shown(brief(landscape, SGD(lr=1.0, batch=1), start=start))
    assert outcomes["a"].survivors == 0
    assert told(meta).startswith("SGD: 100 % diverged")
    assert "nan" not in told(meta)
    assert meta["diverged"]["a"][-1] == 400


@pytest.mark.parametrize("state", [Lab(), Lab(Simulation(Valley(), SGD(lr=0.02), n=300, steps=333), NGD()), brief(Ring(), SGD(), n=77)])
@pytest.mark.parametrize("axis", ["w1", "w2"])
def test_the_density_over_time_counts_the_kept_weights(state, axis):
    state = replace(state, bayes=Bayes(axis=axis))
    arrays, meta, outcomes = shown(state)
    low, high, bins = meta["bins"]
    axis = 0 if meta["dim"] == 1 or axis == "w1" else 1
    for name, out in outcomes.items():
        assert meta["steps"] == out.steps.tolist() and meta["steps"][-1] == state.run.steps
        counts = arrays[f"counts-{name}"]
        for t in (0, len(out.steps) // 2, -1):
            w = out.kept[t, :, axis]
            expected = np.histogram(w[np.isfinite(w)], np.linspace(low, high, bins + 1))[0]
            # a weight within rounding of an edge may fall on its other side
            assert np.abs(np.cumsum(expected) - np.cumsum(counts[t])).max() <= 1
            assert meta["diverged"][name][t] == np.isnan(w).sum()


def test_counts_too_large_for_sixteen_bits_are_scaled_not_wrapped():
    state = brief(DoubleWell(), GD(lr=1e-4), n=70_000, steps=1, start=At((1.0,)))  # all of them in one bin
    counts = shown(state, 70_000)[0]["counts-a"]
    assert counts.max() == 65535 and counts[0].sum() == 65535


def test_a_finer_picture_shows_the_same_trajectories():
    coarse, fine = (shown(Lab(), n)[0] for n in (200, 1000))
    for name in ("paths-a", "paths-b"):
        np.testing.assert_array_equal(coarse[name], fine[name])


NARROW = Lab(replace(Lab().run, landscape=DoubleWell(1.8, 1, 4), data=Online(slope=-0.05)))


@pytest.mark.parametrize(
    "state",
    [
        *(Lab(), Lab(bayes=Bayes(samples=3)), Lab(bayes=Bayes(beta=0.01)), Lab(replace(Lab().run, data=Finite(size=50)))),
        *(replace(state, bayes=Bayes(samples=n)) for state in (Lab(), NARROW) for n in (6000, 10_000, 10**6)),
    ],
)
def test_the_posterior_of_one_variable_is_a_density_whose_parts_are_the_masses(state):
    arrays, meta, _ = shown(state)
    low, high, _ = meta["bins"]
    width = (high - low) / BINS
    data = state.run.data
    samples = min(state.bayes.samples, data.size) if isinstance(data, Finite) else state.bayes.samples
    exact = Posterior(state.run.landscape, samples, state.bayes.beta, data)
    # the quadrature's own error is 1e-3; at n = 1e6 the peak at -w0 is 1e-4 wide, a bin 0.067
    assert width * arrays["posterior"].sum() == pytest.approx(1, abs=2e-3)
    edges = np.linspace(low, high, BINS + 1)
    left = edges[1:] <= meta["barriers"][0]
    middle = np.argmax(edges > meta["barriers"][0]) - 1  # the bin in which the barrier lies is neither left nor right
    assert width * arrays["posterior"][left].sum() == pytest.approx(exact.masses()[0], abs=2e-3 + float(width * arrays["posterior"][middle]))


@pytest.mark.parametrize("axis", ["w1", "w2"])
@pytest.mark.parametrize("landscape", [Regular(), Ring(), Cusp()])
def test_the_posterior_of_two_variables_is_a_marginal_density(landscape, axis):
    arrays, meta, _ = shown(replace(brief(landscape, SGD()), bayes=Bayes(samples=30, axis=axis)))
    low, high, _ = meta["bins"]
    assert meta["ending"] == {"w1": "w₁", "w2": "w₂"}[axis]
    assert (high - low) / BINS * arrays["posterior"].sum() == pytest.approx(1, abs=0.02)


def test_the_lines_of_shares_and_their_rates_are_the_runs_own():
    arrays, meta, outcomes = shown(Lab(), 5000)
    for name, out in outcomes.items():
        expected = np.where(out.share_left > 0, out.share_left, np.nan)
        np.testing.assert_allclose(arrays[f"share-{name}"][0], expected, rtol=1e-6)
    rate, error = (float(number) for number in re.findall(r"[\d.]+(?:e-\d+)?", meta["share"]["words"]["a"])[:2])
    exact = outcomes["a"].escape_rate(10, 200, survivors=False)
    assert rate == pytest.approx(exact.rate, rel=0.01) and error == pytest.approx(exact.stderr, rel=0.5)  # three and one digits
    fit = meta["share"]["fits"]["a"]
    assert np.log(fit["y"][0] / fit["y"][-1]) / (fit["x"][-1] - fit["x"][0]) == pytest.approx(exact.rate, rel=1e-3)
    assert meta["share"]["fits"]["b"] is None and "no rate" in meta["share"]["words"]["b"]
    assert meta["share"]["bayes"] == pytest.approx([Posterior(DoubleWell(), 1000).masses()[0]])


def test_long_runs_send_few_points_and_no_step_twice():
    arrays, meta, _ = shown(brief(DoubleWell(), GD(), n=5, steps=5003))
    assert len(arrays["share-x"]) <= 601 and np.all(np.diff(arrays["share-x"]) > 0)
    assert len(meta["steps"]) <= 202 and meta["steps"][-1] == 5003
    assert sum(len(value) if isinstance(value, str) else value.nbytes for value in arrays.values()) < 400_000


def test_bands_are_quantiles_of_the_distances_of_those_who_live():
    state = brief(Valley(1, 2), SGD(lr=0.3, batch=2), start=Uniform((-1.5, -1.5), (1.5, 1.5)))
    arrays, _, outcomes = shown(state)
    kept = outcomes["a"].kept[:, :BAND]
    distances = {"far": np.hypot(kept[..., 0], kept[..., 1]), "near": np.abs(kept[..., 0])}
    assert np.isnan(distances["far"][-1]).any()
    for kind, values in distances.items():
        for t in (0, 10, -1):
            alive = np.sort(values[t][np.isfinite(values[t])])
            expected = [alive[int(q * len(alive))] for q in (0.1, 0.5, 0.9)]
            np.testing.assert_allclose(arrays[f"{kind}-a"][:, t], expected, rtol=1e-6)


def test_without_a_barrier_the_median_distance_takes_the_place_of_shares():
    arrays, meta, outcomes = shown(brief(Monomial(3), SGD(lr=0.01)))
    away = np.abs(outcomes["a"].kept[-1, :, 0])
    alive = np.sort(away[np.isfinite(away)])
    assert arrays["share-a"][0, -1] == pytest.approx(alive[(len(alive) - 1) // 2], rel=1e-6)
    assert meta["share"]["title"].startswith("Median distance") and meta["share"]["bayes"] == []


def test_pink_strips_are_where_the_step_times_curvature_exceeds_two():
    state = brief(DoubleWell(1.8, 1, 2), GD(lr=0.02))
    _, meta, _ = shown(state)
    box = meta["box"][0]
    near = (box[1] - box[0]) / 300  # a little more than one place of the grid
    landscape = state.run.landscape
    assert meta["steep"]
    for low, high in meta["steep"]:
        for end, outward in ((low, -1), (high, 1)):
            if abs(end - box[0]) > 1e-9 and abs(end - box[1]) > 1e-9:
                outside, inside = (0.02 * landscape.hessian(np.array([[end + side * outward * near]]))[0, 0, 0] for side in (1, -1))
                assert outside < 2 < inside
    assert shown(brief(DoubleWell(), GD(lr=1e-4)))[1]["steep"] == []


@pytest.mark.parametrize(("landscape", "momentum"), [(DoubleWell(1.8, 1, 2), 0.0), (DoubleWell(1.0, 1, 3), 0.0), (DoubleWell(1.8, 1, 2), 0.5)])
def test_the_law_of_approach_is_where_gradient_descent_goes(landscape, momentum):
    rule = SGD(lr=0.01, momentum=momentum, noise="isotropic", temperature=1e-12)  # next to no noise
    root = landscape.minima[0].at[0]
    away, law = [], []
    for side in (1, -1):
        _, meta, outcomes = shown(brief(landscape, rule, n=100, steps=5000, start=At((root + 0.3 * side,))))
        away.append(abs(np.median(outcomes["a"].kept[-1, :, 0]) - root))
        law += [abs(line["y"][-1] - root) for line in meta["theory"]]
    # the other root speeds one side up and slows the other down; the start is forgotten like 1/t: 1 % here
    assert np.mean(law) == pytest.approx(np.mean(away), rel=0.03)


def test_laws_are_drawn_only_where_they_hold():
    assert shown(brief(Valley(1, 1), SGD(lr=0.02)))[1]["far"]["theory"]
    for landscape, rule, data in (
        (Valley(1, 2), SGD(lr=0.02), Online()),
        (Valley(1, 1), NGD(), Online()),
        (Valley(1, 1), SGD(lr=0.02, noise="isotropic"), Online()),
        (Valley(1, 1), SGD(lr=0.02), Online(slope=0.5)),
        (Valley(1, 1), SGD(lr=0.02), Finite(size=100)),
    ):
        assert not shown(brief(landscape, rule, data=data))[1]["far"]["theory"]
    for landscape, rule, data in (
        (DoubleWell(), NGD(), Online()),
        (DoubleWell(), SGD(), Online(slope=0.5)),
        (DoubleWell(1.8, 1, 1), SGD(), Online()),
    ):
        assert not shown(brief(landscape, rule, data=data))[1]["theory"]


@pytest.mark.parametrize("landscape", [Valley(1, 2), Cusp(), Ring()])
def test_level_lines_lie_where_the_potential_is_level(landscape):
    arrays, meta, _ = shown(brief(landscape, SGD()))
    x, y = arrays["level-x"].astype(float), arrays["level-y"].astype(float)
    cuts = np.flatnonzero(np.isnan(x))
    lines = [np.log10(landscape.K(np.stack([x[a + 1 : b], y[a + 1 : b]], axis=-1))) for a, b in itertools.pairwise([-1, *cuts])]
    top = max(k.max() for k in lines)
    upper = [k for k in lines if np.median(k) > top - 3.3]  # those below run between places of the grid, where K dips to 0
    assert len({round(float(np.median(k)), 1) for k in upper}) >= 4
    for k in upper:
        assert np.quantile(np.abs(k - np.median(k)), 0.9) < 0.1
    terrain = arrays["terrain"]
    low1, high1, low2, high2 = meta["terrain"]
    grid = np.meshgrid(np.linspace(low1, high1, terrain.shape[1]), np.linspace(low2, high2, terrain.shape[0]))
    by_height = terrain.ravel()[np.argsort(landscape.K(np.stack(grid, axis=-1)), axis=None)].astype(int)
    assert np.all(np.diff(by_height) >= 0) and by_height[0] < by_height[-1] - 100  # dark where K is small


def test_the_sentence_counts_those_lost_and_those_left():
    _, meta, outcomes = shown(Lab(), 2000)
    for name, out in outcomes.items():
        (said,) = re.findall(rf"{name.upper()} \(\w+\): (?:([\d.]+) % diverged|none diverged)", told(meta))
        lost = np.isnan(out.w[:, 0])
        assert float(said or 0) == pytest.approx(100 * lost.mean(), rel=5e-3)
        barrier = meta["barriers"][0]
        first = 100 * np.mean(out.kept[0, ~lost, 0] < barrier)
        last = 100 * np.mean(out.w[~lost, 0] < barrier)
        assert f"{first:.3g} % start left of the barrier and {last:.3g} % are there after 200 steps" in told(meta)
    assert f"puts {100 * Posterior(DoubleWell(), 1000).masses()[0]:.3g} % there" in told(meta)


def test_products_sent_to_the_browser_are_the_landscape():
    """`lab.js` computes noise and curvature under the pointer from them."""
    for cls in CATALOGUE.values():
        landscape = cls()
        _, meta, _ = shown(brief(landscape, GD(), n=2, steps=1))
        points = np.random.default_rng(0).uniform(-1.5, 1.5, (20, landscape.dim))
        x, y = points[:, 0], points[:, -1]
        for k, product in enumerate(meta["products"]):
            q = np.full(20, product["scale"], float)
            for factor in product["factors"]:
                q *= sum(c * x**i * (y**j if landscape.dim == 2 else 1) for c, i, j in factor["terms"]) ** factor["power"]
            np.testing.assert_allclose(q, landscape.Q(points)[:, k], rtol=1e-9, atol=1e-12)


# The link and the controls


@st.composite
def labs(draw):
    rule = st.sampled_from(list(RULES.values())).flatmap(values_of)
    return Lab(draw(runs()), draw(st.none() | rule), draw(values_of(Bayes)), draw(values_of(Estimate)), draw(st.sampled_from(["", *PRESETS])))


@quick
@given(labs(), labs())
def test_a_lab_survives_its_link_whatever_the_default(state, default):
    back, messages = decode(encode(state), default)
    if not state.preset:  # a link without a preset leaves the one that is there
        back = replace(back, preset="")
    assert (back, messages) == (state, [])


def test_a_free_link_is_free_play():
    assert decode(encode(Lab()))[0].preset == ""


@quick
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*encode(Lab()), "p", "k", "preset", "theme", "projector", "page", "v", "at", "llc.nope", "b.b.rule"]), st.text()),
        st.one_of(st.text(), st.floats().map(repr), st.integers().map(str), st.sampled_from(["Valley", "none", "1e999", "<script>", "9" * 5000])),
    )
)
def test_no_link_raises_and_what_comes_out_is_a_legal_lab(query):
    state, messages = decode(query)
    link = encode(state)
    assert decode(link) == (state, [])
    assert all(len(message) < 700 and "\n" not in message for message in messages)


def test_an_unknown_preset_is_named_and_left_out():
    state, messages = decode({"preset": "fig99", "lr": "0.5"})
    assert state.preset == "" and state.run.rule.lr == 0.5
    assert len(messages) == 1 and "fig99" in messages[0]


def test_another_landscape_starts_at_its_own_first_point():
    before = Lab(estimate=Estimate(point=1))
    assert decode({"landscape": "Valley"}, before)[0].estimate.point == 0
    assert decode({"landscape": "Valley", "llc.point": "1"}, before)[0].estimate.point == 1
    assert decode({"w0": "1.5"}, before)[0].estimate.point == 1


def items(state):
    return [item for group in controls(state) for item in group["items"]]


@quick
@given(labs())
def test_every_value_of_the_link_has_one_control_and_every_control_a_value(state):
    names = [item["name"] for item in items(state)]
    assert len(set(names)) == len(names)
    link = encode(state)
    assert set(names) <= {*link, "b.rule"}
    hidden = {"v", "preset", "temperature", "batch", "b.temperature", "b.batch", "llc.eps", "bayes.axis"}  # not all of them always
    assert set(link) - set(names) <= hidden
    json.dumps(controls(state), allow_nan=False)


def test_every_choice_of_every_control_is_accepted():
    for state in (Lab(), Lab(Simulation(Valley()), None), Lab(Simulation(TripleWell(), data=Finite()), MALA())):
        for item in items(state):
            for value, _ in item.get("choices", ()):
                _, messages = decode({item["name"]: value}, state)
                assert messages == [], item["name"]
            if item["kind"] == "number":
                for value in item["shown"]:
                    text = str(int(value)) if item["whole"] else repr(float(value))
                    _, messages = decode({item["name"]: text}, state)
                    assert messages == [], item["name"]


@quick
@given(labs(), labs())
def test_while_the_shape_stays_controls_differ_in_values_only(one, other):
    bare = [[{key: value for key, value in item.items() if key != "value"} for item in items(state)] for state in (one, other)]
    if shape(one) == shape(other):
        assert bare[0] == bare[1]
    moved = replace(one, run=replace(one.run, rule=type(one.run.rule)(**{"noise": one.run.rule.noise} if hasattr(one.run.rule, "noise") else {})))
    assert shape(moved) == shape(one)
    assert bare[0] == [{key: value for key, value in item.items() if key != "value"} for item in items(moved)]


def test_the_shape_tells_apart_what_has_other_controls():
    base = Lab(Simulation(), NGD())
    others = [
        replace(base, run=replace(base.run, rule=SGD(noise="isotropic"))),
        replace(base, rival=NGD(noise="isotropic")),
        replace(base, rival=None),
        replace(base, run=Simulation(TripleWell())),
        replace(base, run=Simulation(data=Finite())),
        replace(base, run=Simulation(start=At((1.0,)))),
        replace(base, estimate=Estimate(step="manual")),
        replace(base, run=Simulation(DoubleWell(d1=3))),  # another lambda in the list of points
    ]
    assert len({shape(state) for state in (base, *others)}) == len(others) + 1


def test_every_control_says_what_it_is():
    for landscape, rule in itertools.product(CATALOGUE.values(), RULES.values()):
        for item in items(Lab(Simulation(landscape(), rule()), rule())):
            assert item["help"] and item["label"], item["name"]
            assert item["label"] != item["name"] or item["name"] in ("seed", "start", "at", "steps", "landscape", "noise", "substeps"), item["name"]


# The estimate of lambda


def frames(state: Lab) -> list[tuple[dict, dict]]:
    _kept.clear()
    return [(arrays, strict(arrays["meta"])) for arrays in estimates(state)]


@pytest.mark.parametrize(
    "state",
    [
        Lab(),
        Lab(estimate=Estimate(point=1)),
        Lab(Simulation(Valley(1, 2)), estimate=Estimate(nbeta=100)),
        Lab(Simulation(Ring()), estimate=Estimate(nbeta=100, gamma=5)),
    ],
)
def test_the_estimate_ends_at_the_exact_value_at_this_nbeta(state):
    first, *more = frames(state)
    chains = state.chains()
    assert len(first[0]["x"]) == 0 and first[1]["nbeta"] == pytest.approx(chains.exact(), rel=2e-3)
    assert first[1]["exact"] == float(state.point.lam)
    arrays, meta = more[-1]
    error = (arrays["high"][-1] - arrays["low"][-1]) / 4
    assert arrays["middle"][-1] == pytest.approx(meta["nbeta"], abs=4 * error + 2e-3 * meta["nbeta"])  # and what the quadrature misses
    assert error < 0.1 * meta["nbeta"]
    assert arrays["x"][-1] == state.estimate.draws == meta["span"][1]
    assert np.all(np.diff(arrays["x"]) > 0) and FRAMES / 2 < len(arrays["x"]) <= FRAMES + 1
    assert meta["words"] == f"λ̂ = {measured(arrays['middle'][-1], error)}" and "accepted" in meta["reason"]


def test_the_running_estimate_only_grows_longer():
    *_, (before, _), (after, _) = frames(Lab(estimate=Estimate(draws=2000, chains=4)))
    for name in ("x", "low", "middle", "high"):
        np.testing.assert_array_equal(after[name][: len(before[name])], before[name])


def test_a_finished_estimate_stays_in_one_frame_while_only_the_optimisers_change():
    state = Lab(estimate=Estimate(draws=400, chains=4))
    *_, (whole, _) = frames(state)
    run = dataclasses.replace(state.run, rule=NGD(lr=0.01), steps=40, n=50)
    (again,) = estimates(dataclasses.replace(state, run=run, rival=None))
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
    for other in (
        dataclasses.replace(state, run=dataclasses.replace(run, seed=7)),
        dataclasses.replace(state, estimate=Estimate(draws=400, chains=5)),
    ):
        assert len(list(estimates(other))) > 10


@pytest.mark.parametrize(("landscape", "point", "says"), [(DoubleWell(), 2, "barrier: K has a maximum here"), (Ring(), 1, "centre: K has a maximum")])
def test_where_lambda_is_undefined_nothing_is_estimated_and_the_reason_is_given(landscape, point, says):
    ((arrays, meta),) = frames(Lab(Simulation(landscape), estimate=Estimate(point=point)))
    assert len(arrays["x"]) == 0 and says in meta["reason"] and "undefined" in meta["reason"] and "words" not in meta


def test_with_a_slope_the_page_says_that_the_minima_have_moved():
    ((_, meta),) = frames(Lab(Simulation(data=Online(slope=0.5))))
    assert "slope" in meta["reason"]


def test_chains_that_all_die_are_counted_and_the_step_is_blamed():
    *_, (arrays, meta) = frames(Lab(estimate=Estimate(sampler="Langevin", step="manual", eps=10.0, nbeta=1e6)))
    assert "All 20 chains died" in meta["reason"] and "ε = 10" in meta["reason"] and len(arrays["x"]) == 0


def test_with_given_samples_there_is_no_exact_value_beside_the_estimate():
    *_, (_, meta) = frames(Lab(Simulation(data=Finite(size=200)), estimate=Estimate(draws=2000)))
    assert "nbeta" not in meta and "words" in meta


def test_a_point_beyond_the_last_is_the_last():
    state = Lab(estimate=Estimate(point=9))
    assert state.point is state.points[-1] or state.point == state.points[-1]
    assert dataclasses.is_dataclass(lab.Lab)


@pytest.mark.parametrize("rival", ["none", "SGD"])
def test_a_run_that_takes_too_long_for_a_page_is_made_smaller_and_field_and_picture_agree(rival):
    session = pages.Session({"page": "landscape", "b.rule": rival, "steps": "250"})
    session.latest.close()
    asked = session.latest = Asked()
    session.hear({"set": {"n": "1e9"}})
    used = asked.wanted.run.n
    assert used == session.state.run.n and used * 250 * len(session.state.rules) == pages.MOST
    [told] = session.view.notices
    assert f"(used {used:,} of 250)" in told
    fields = {item["name"]: item["value"] for group in session.view.controls["groups"] for item in group["items"]}
    assert float(fields["n"]) == used
    session.hear({"set": {"n": "300"}})
    assert asked.wanted.run.n == 300 and not session.view.notices
    again, messages = pages.read({"n": "1e7", "steps": "1e8", "b.rule": rival})
    assert (again.run.n, again.run.steps) == (500 // len(again.rules) // 100 * 100, pages.LONGEST) and len(messages) == 1
    assert pages.first_few(again) * pages.LONGEST <= pages.DRAFT_STEPS
