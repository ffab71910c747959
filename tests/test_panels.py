"""The exact law and the geometry panel: what the page draws beside the simulation is the truth."""

import itertools
import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app import exact as exact_panel
from app import geometry as panel
from app.exact import key
from app.geometry import EPS, SAMPLES, whole_words
from app.geometry import geometry as geometry_in_pieces
from app.landscapelab import Estimate, Lab
from app.picture import picture, results, share_steps
from app.pieces import finished, remembered
from dynamics import GD, NGD, SGD, HeavyTailedSGD, Online, Simulation, lambda_hat_exact
from dynamics.batches import noise_covariance
from dynamics.law import transfer
from dynamics.proportion import proportion
from landscapes import Cusp, DoubleWell, Monomial, NormalCrossing, Polynomial, Regular, Ring, Tangency, TripleWell, Valley, parse


def last(pieces):
    """The last of what was shown piece by piece, None if there was nothing."""
    return next(reversed([shown for shown in pieces if shown is not None]), None)


def exact(lab, steps):
    return last(exact_panel.exact(lab, steps))


def geometry(lab, part):
    """The panel as soon as it has that part, which is shown at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(panel, "SOON", -1.0)
        return next(found for found in geometry_in_pieces(lab) if found and part in json.loads(found[0]["meta"])["parts"])


def at(landscape, point=0) -> Lab:
    return Lab(Simulation(landscape, n=10, steps=2), None, estimate=Estimate(point=point))


def test_the_exact_law_agrees_with_the_simulated_one_within_its_monte_carlo_error():
    lab = Lab()
    outcomes = results(lab, 5000)
    shown, law = picture(lab, outcomes), exact(lab, outcomes["a"].steps)
    for name, out in outcomes.items():
        counts, expected = shown[f"counts-{name}"].astype(float), law[f"law-{name}"]
        for frame in (1, 10, 50, 200):
            n, p = counts[frame], expected[frame]
            blocks = p.reshape(12, 10).sum(axis=1)  # ten bins each: fronts are narrower than a node of the coarse matrix
            seen = n.reshape(12, 10).sum(axis=1) / out.run.n
            error = np.sqrt(blocks * (1 - blocks) / out.run.n)
            assert np.all(np.abs(seen - blocks) < 5 * error + 3e-3), (name, frame)
        (share,), simulated = law[f"exact-{name}"], out.share_left
        error = np.sqrt(np.maximum(share * (1 - share), 1e-4) / out.survivors)
        assert np.all(np.abs(simulated - share) < 5 * error + 2e-3)


def test_of_three_wells_each_basin_has_its_exact_share_of_the_law_and_of_the_posterior():
    lab = Lab(Simulation(TripleWell(), SGD(lr=0.02, batch=20), n=5000, steps=200), None)
    outcomes = results(lab, 5000)
    meta = json.loads(picture(lab, outcomes)["meta"])
    law, share = exact(lab, outcomes["a"].steps), outcomes["a"].share[share_steps(200)].T
    assert law["exact-a"].shape == share.shape == (3, 201)
    error = np.sqrt(np.maximum(law["exact-a"] * (1 - law["exact-a"]), 1e-4) / outcomes["a"].survivors)
    assert np.all(np.abs(share - law["exact-a"]) < 5 * error + 3e-3)
    np.testing.assert_allclose(law["exact-a"].sum(axis=0), 1, atol=1e-5)
    assert meta["share"]["words"]["a"] == " | ".join(f"{100 * part:.3g}" for part in share[:, -1]) + " % at the end"
    assert len(meta["share"]["bayes"]) == 3 and sum(meta["share"]["bayes"]) == pytest.approx(1)
    assert "left of the first barrier" in meta["says"][0][0]


@pytest.mark.parametrize(("of", "height"), [("Q", 0.5), ("K", 1.0)])  # K = Q^2/2
def test_the_triangle_of_a_minimum_lies_on_the_potential(of, height):
    lab = Lab(Simulation(Polynomial("w^2 + 1", of), GD(), n=10, steps=2), None)
    (minimum,) = json.loads(picture(lab, results(lab, 10))["meta"])["minima"]
    assert minimum["height"] == height


@pytest.mark.parametrize(("landscape", "data", "lam"), [(Polynomial("w^2 + 1", "K"), Online(), 0.5), (Polynomial("w^4 + 1"), Online(vx=2.0), 0.25)])
def test_where_k_has_no_zero_the_curves_are_those_of_k_above_its_minimum(landscape, data, lam):
    arrays, _ = geometry(Lab(Simulation(landscape, GD(), n=10, steps=2, data=data), None), "finite")
    meta = json.loads(arrays["meta"])
    assert "K − K(w*)" in meta["level"] and "volume" not in arrays and "no generalisation" in meta["finite"]["without"]
    # w^4 + w^8/2: what the second term changes is O(1/n)
    assert arrays["mean"][-1] == pytest.approx(lam, rel=0.02) and arrays["wbic"][-1] == pytest.approx(lam, rel=0.02)
    slope = np.diff(arrays["energy"][0][-9:]) / np.diff(np.log(arrays["samples"][-9:]))
    np.testing.assert_allclose(slope, lam, rtol=0.02)
    assert meta["energy"]["lines"] == ["all of the box, less n K(w*)"]


def test_the_minimum_that_rules_is_the_deepest_not_the_most_degenerate():
    landscape = Polynomial("5*w^6 - 18*w^5 + 15*w^4 + 16", "K", ((-1.0, 3.0),))  # a zero at 2, and K = 16 + 15 w^4 beside 0
    assert {(minimum.at, minimum.lam) for minimum in landscape.minima} == {((2.0,), Fraction(1, 2)), ((0.0,), Fraction(1, 4))}
    assert panel._best(landscape).at == (2.0,)
    arrays, _ = geometry(Lab(Simulation(landscape, GD(), n=10, steps=2), None), "finite")
    meta = json.loads(arrays["meta"])
    assert meta["finite"]["limit"] == 0.5 and arrays["mean"][-1] == pytest.approx(0.5, rel=0.02)


def test_a_law_belongs_to_its_picture_by_a_key_that_neither_seed_nor_number_changes():
    lab = Lab()
    assert key(lab) == key(replace(lab, run=replace(lab.run, seed=5, n=77)))
    assert key(lab) != key(replace(lab, run=replace(lab.run, landscape=DoubleWell(w0=1.7))))
    assert key(lab) != key(replace(lab, rival=None))


def test_rules_without_a_law_are_left_out_and_say_why():
    lab = Lab(replace(Lab().run, rule=HeavyTailedSGD()), None)
    found = exact(lab, np.arange(3))
    assert "law-a" not in found
    assert json.loads(found["meta"])["words"]["a"].startswith("SGD, heavy tails has no law here")


def test_two_variables_have_no_law_on_the_page():
    assert exact(at(Ring()), np.arange(3)) is None


@pytest.mark.parametrize(
    ("landscape", "distance"),
    [(Cusp(), Fraction(6, 5)), (Tangency(), Fraction(2)), (Valley(1, 1), Fraction(3, 2)), (NormalCrossing(1, 1), Fraction(1))],
)
def test_the_diagonal_leaves_the_drawn_polygon_at_the_newton_distance(landscape, distance):
    arrays, steps = geometry(at(landscape), "point")
    assert arrays["leaves"][0] == pytest.approx(float(distance))
    x, y = arrays["edge"]
    lower = np.interp(float(distance), x, y) if np.all(np.diff(x) > 0) else None
    if lower is not None:
        assert lower == pytest.approx(float(distance))
    assert str(landscape.minima[0].lam) in steps


@pytest.mark.parametrize("landscape", [DoubleWell(), Cusp(), Valley(1, 2), Ring(2)])
def test_drawn_volumes_follow_the_drawn_law_where_eps_is_small(landscape):
    arrays, _ = geometry(at(landscape), "volume")
    ratio = arrays["volume"] / arrays["law"]
    assert ratio[0] == pytest.approx(1)
    assert ratio[3] == pytest.approx(1, abs=0.05)  # subleading terms at eps = 3e-13
    wrong = EPS ** (2 * float(landscape.minima[0].lam))  # the doubled coefficient is far off on the same picture
    assert abs(np.log((arrays["volume"][3] / arrays["volume"][0]) / (wrong[3] / wrong[0]))) > 0.3


@pytest.mark.parametrize("landscape", [DoubleWell(), Cusp(), Valley(1, 2)])
def test_the_slope_of_the_free_energy_in_log_n_is_the_exact_lambda_hat(landscape):
    arrays, _ = geometry(at(landscape), "energy")
    slope = np.diff(arrays["energy"][0]) / np.diff(np.log(SAMPLES))
    between = np.sqrt(SAMPLES[1:] * SAMPLES[:-1])
    wanted = [lambda_hat_exact(landscape, n) for n in between[-4:]]  # dF/dlog n = n E[K]
    assert slope[-4:] == pytest.approx(wanted, abs=2e-3)  # the page's coarse quadrature, divided by a step of 0.58 in log n


def test_where_lambda_is_undefined_the_panel_says_why():
    arrays, steps = geometry(at(Ring(), point=1), "volume")
    assert "volume" not in arrays
    assert "K has a maximum here" in json.loads(arrays["meta"])["reason"]
    assert "K has a maximum here" in steps


# Where noise is proportional to curvature


def ratio(landscape, w, data=Online()):
    value, slope, second = (part[..., 0].ravel() if i == 0 else part.ravel() for i, part in enumerate(landscape.jet(np.asarray(w, float)[:, None])))
    sigma = data.vx * slope**2 * (data.vy + 2 * data.vx * (value - data.slope) ** 2)
    hessian = data.vx * (slope**2 + (value - data.slope) * second)
    return sigma, hessian


@pytest.mark.parametrize("landscape", [DoubleWell(), DoubleWell(1.4, 1, 3), TripleWell(), parse("w^4 - 2*w^2 + 0.3")])
@pytest.mark.parametrize("data", [Online(), Online(slope=-0.3, vx=0.5, vy=2.0)])
def test_noise_is_curvature_within_a_tenth_on_the_named_intervals_and_nowhere_else(landscape, data):
    found = proportion(landscape, data)
    low, high = landscape.box[0]
    w = np.random.default_rng(0).uniform(low, high, 20_000)
    sigma, hessian = ratio(landscape, w, data)
    for spans, holds in ((found.within, np.abs(sigma / (data.vy * hessian) - 1) <= 0.1), (found.negative, hessian < 0)):
        named = np.any([(a <= w) & (w <= b) for a, b in spans], axis=0) if spans else np.zeros(len(w), bool)
        edge = np.any([np.abs(w - end) < 2e-6 * (high - low) for span in spans for end in span], axis=0) if spans else False
        assert np.all((named == holds) | edge)
    assert found.within_share == pytest.approx(sum(b - a for a, b in found.within) / (high - low))


@pytest.mark.parametrize("landscape", [DoubleWell(1.8, 1, 2), DoubleWell(1.2, 3, 4), TripleWell(), Monomial(5)])
def test_beside_a_minimum_noise_over_curvature_tends_to_a_number_that_lambda_decides(landscape):
    """1/(2 (1 - lambda)), from both sides: 1 at a regular minimum, 2/3, 3/5, ... at degenerate ones. At 1e-4 the next order is below 1e-3."""
    limits = proportion(landscape).limits
    assert set(limits) == {minimum.name for minimum in landscape.minima}
    for minimum in landscape.minima:
        sigma, hessian = ratio(landscape, [minimum.at[0] - 1e-4, minimum.at[0] + 1e-4])
        assert sigma / hessian == pytest.approx(float(limits[minimum.name]), abs=1e-3)
        assert limits[minimum.name] == 1 / (2 * (1 - minimum.lam))


@pytest.mark.parametrize("landscape", [Valley(1, 2), Cusp(), Ring(), Regular()])
def test_in_two_variables_the_shares_are_those_of_random_points(landscape):
    found, n = proportion(landscape), 40_000
    low, high = np.array(landscape.box).T
    w = np.random.default_rng(1).uniform(low, high, (n, 2))
    sigma, hessian = noise_covariance(landscape, w, 1), landscape.hessian(w)
    away = np.linalg.norm(sigma - hessian, axis=(-2, -1)) / np.linalg.norm(hessian, axis=(-2, -1))
    for share, sampled in ((found.within_share, np.mean(away <= 0.1)), (found.negative_share, np.mean(np.linalg.eigvalsh(hessian)[:, 0] < -1e-9))):
        assert share == pytest.approx(sampled, abs=5 * (sampled * (1 - sampled) / n) ** 0.5 + 0.006)  # and the grid of 121 points


def test_the_panel_names_where_the_claim_breaks():
    arrays, _ = geometry(at(DoubleWell()), "noise")
    words = json.loads(arrays["meta"])["noise"]["words"]
    assert "BΣ/H is 1 within 10 % only for w in [−1.82, −1.78], [1.39, 1.46], [2.13, 2.18]: 1.9 % of the box" in words
    assert "H < 0 ≤ Σ for w in [−1.36, 0.159]" in words and "2/3 at +w₀" in words and "1 at −w₀" in words
    for lab, words in (
        (Lab(Simulation(DoubleWell(), n=10, steps=2, data=Online(vy=0.0)), None), "nowhere proportional"),
        (Lab(Simulation(parse("w^4", "K"), GD(), n=10, steps=2), None), "K alone"),
        (at(Valley(1, 2)), "H has a negative eigenvalue"),
        (Lab(Simulation(DoubleWell(1.8, 1, 4), n=10, steps=2, data=Online(slope=-0.05)), None), "[−1.802, −1.799]"),
    ):
        assert words in json.loads(geometry(lab, "noise")[0]["meta"])["noise"]["words"]


def test_formulas_keep_their_backslashes_in_markdown():
    """Markdown takes the backslash from every punctuation mark: none follows one in the steps (but \\, and \\; which the page replaces)."""
    for landscape in (parse("w1 - w2^2, w1*w2"), parse("(w1^2-2)*(w2^2-3)"), Cusp(), DoubleWell()):
        assert not re.search(r"\\[{}\[\]()_*.!#|]", geometry(at(landscape), "point")[1])


# All zeros together


@pytest.mark.parametrize(
    ("landscape", "words"),
    [
        (DoubleWell(1.8, 1, 3), "**λ = 1/6, m = 1**"),
        (Valley(1, 2), "**λ = 1/4, m = 2**"),
        (Monomial(3), "**λ = 1/6, m = 1**, from the only zero"),
        (parse("(w1^2-2)*(w2^2-3)", box=((-2, 2), (-2, 2))), "**λ = 1/2, m = 2**"),
        (parse("w^2+1"), "K has no zero"),
    ],
)
def test_the_panel_begins_with_lambda_of_the_whole_box(landscape, words):
    assert words in whole_words(landscape)
    assert geometry(at(landscape), "whole")[1].startswith(whole_words(landscape))


# In pieces


def test_the_panel_comes_in_short_pieces_and_at_once_when_it_is_known(monkeypatch):
    """A piece is one thing that takes long, so that visitors take turns however slow the machine (`bench_page.py` prints how long the longest is);
    the second time there is one piece."""
    lab, shown, done, pieces = at(parse("w1 - w2^2, w1*w2*1.01")), [], Counter(), []

    def noted(name):
        original = getattr(panel, name)

        def counted(landscape, n=None, *args, **given):
            done[name] += np.size(n) if name == "free_energy" else 1
            return original(landscape, n, *args, **given) if n is not None else original(landscape, *args, **given)

        monkeypatch.setattr(panel, name, counted)

    costly = {"proportion": 1, "minima": 1, "learning_coefficient": 1, "volume": 1, "fit_volume": 1, "free_energy": 8, "wbic": 1, "generalisation": 1}
    for name in costly:
        noted(name)
    for found in geometry_in_pieces(lab):
        shown.append(found)
        pieces.append(dict(done))
        done.clear()
    assert all(times <= costly[name] for piece in pieces for name, times in piece.items()), "a quarter of F_n, and one of everything else"
    assert all(len(piece) <= 1 or set(piece) == {"learning_coefficient", "volume"} for piece in pieces)
    assert Counter(name for piece in pieces for name in piece) == {
        **dict.fromkeys(costly, 1), "learning_coefficient": 2, "free_energy": 4, "wbic": 13, "generalisation": 7
    }  # fmt: skip
    metas = [json.loads(found[0]["meta"]) for found in shown if found]
    assert [meta["complete"] for meta in metas] == [False] * (len(metas) - 1) + [True]
    assert all(set(a["parts"]) < set(b["parts"]) for a, b in itertools.pairwise(metas))
    assert shown[-1][1] == geometry(lab, "point")[1], "nothing is said after the steps to λ"
    again = list(geometry_in_pieces(lab))
    assert len(again) == 1 and again[0][1] == shown[-1][1] and set(again[0][0]) == set(shown[-1][0])


def test_the_exact_law_comes_in_short_pieces_one_optimiser_after_the_other(monkeypatch):
    """Where a step of the law is longer than PAUSE it is a piece, and so is an eigenvalue: 600 steps there, and 600 back."""
    monkeypatch.setattr(exact_panel, "PAUSE", -1.0)  # as if each were longer
    lab = Lab(replace(Lab().run, steps=600, landscape=DoubleWell(1.83, 1, 2)), NGD(lr=0.1, batch=20, damping=1.0))
    shown = list(exact_panel.exact(lab, np.arange(0, 601, 15)))
    assert sum(found is None for found in shown) == 2 * (1 + 2 * 600 + 1)
    first, both = (found for found in shown if found)
    assert "law-b" not in first and set(first) < set(both) and json.loads(both["meta"])["complete"]
    matrix = transfer(lab.run.landscape, lab.run.rule, exact_panel.CELLS, lab.run.data)
    edges = np.linspace(*lab.run.landscape.box[0], 121)
    assert both["law-a"][7] == pytest.approx(matrix.histogram(edges, 105, lab.run.start), abs=1e-6)
    assert both["exact-a"][0, 50] == pytest.approx(matrix.share(share_steps(600)[50], lab.run.start, survive=600)[0], rel=1e-5)


def test_what_returned_is_remembered_for_the_last_arguments_only():
    ran = []

    @remembered(2)
    def twice(x):
        ran.append(x)
        yield
        return 2 * x

    assert [finished(twice(x)) for x in (1, 2, 1, 3, 1, 2)] == [2, 4, 2, 6, 2, 4]
    assert ran == [1, 2, 3, 2]
