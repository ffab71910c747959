"""The exact law and the geometry panel: what the page draws beside the simulation is the truth."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app.exact import exact, key
from app.geometry import EPS, SAMPLES, geometry
from app.lab import Estimate, Lab
from app.picture import picture, results
from dynamics import HeavyTailedSGD, Simulation, lambda_hat_exact
from landscapes import Cusp, DoubleWell, NormalCrossing, Ring, Tangency, Valley


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
        share, simulated = law[f"exact-{name}"], out.share_left
        error = np.sqrt(np.maximum(share * (1 - share), 1e-4) / out.survivors)
        assert np.all(np.abs(simulated - share) < 5 * error + 2e-3)


def test_a_law_belongs_to_its_picture_by_a_key_that_neither_seed_nor_number_changes():
    lab = Lab()
    assert key(lab) == key(replace(lab, run=replace(lab.run, seed=5, n=77)))
    assert key(lab) != key(replace(lab, run=replace(lab.run, landscape=DoubleWell(w0=1.7))))
    assert key(lab) != key(replace(lab, rival=None))


def test_rules_without_a_law_are_left_out_and_say_why():
    lab = Lab(replace(Lab().run, rule=HeavyTailedSGD()), None)
    found = exact(lab, np.arange(3))
    assert "law-a" not in found
    assert "HeavyTailedSGD" in json.loads(found["meta"])["words"]["a"]


def test_two_variables_have_no_law_on_the_page():
    assert exact(at(Ring()), np.arange(3)) is None


@pytest.mark.parametrize(
    ("landscape", "distance"),
    [(Cusp(), Fraction(6, 5)), (Tangency(), Fraction(2)), (Valley(1, 1), Fraction(3, 2)), (NormalCrossing(1, 1), Fraction(1))],
)
def test_the_diagonal_leaves_the_drawn_polygon_at_the_newton_distance(landscape, distance):
    arrays, steps = geometry(at(landscape))
    assert arrays["leaves"][0] == pytest.approx(float(distance))
    x, y = arrays["edge"]
    lower = np.interp(float(distance), x, y) if np.all(np.diff(x) > 0) else None
    if lower is not None:
        assert lower == pytest.approx(float(distance))
    assert str(landscape.minima[0].lam) in steps


@pytest.mark.parametrize("landscape", [DoubleWell(), Cusp(), Valley(1, 2), Ring(2)])
def test_drawn_volumes_follow_the_drawn_law_where_eps_is_small(landscape):
    arrays, _ = geometry(at(landscape))
    ratio = arrays["volume"] / arrays["law"]
    assert ratio[0] == pytest.approx(1)
    assert ratio[3] == pytest.approx(1, abs=0.05)  # subleading terms at eps = 3e-13
    wrong = EPS ** (2 * float(landscape.minima[0].lam))  # the doubled coefficient is far off on the same picture
    assert abs(np.log((arrays["volume"][3] / arrays["volume"][0]) / (wrong[3] / wrong[0]))) > 0.3


@pytest.mark.parametrize("landscape", [DoubleWell(), Cusp(), Valley(1, 2)])
def test_the_slope_of_the_free_energy_in_log_n_is_the_exact_lambda_hat(landscape):
    arrays, _ = geometry(at(landscape))
    slope = np.diff(arrays["energy"][0]) / np.diff(np.log(SAMPLES))
    between = np.sqrt(SAMPLES[1:] * SAMPLES[:-1])
    wanted = [lambda_hat_exact(landscape, n) for n in between[-4:]]  # dF/dlog n = n E[K]
    assert slope[-4:] == pytest.approx(wanted, abs=2e-3)  # the page's coarse quadrature, divided by a step of 0.58 in log n


def test_where_lambda_is_undefined_the_panel_says_why():
    arrays, steps = geometry(at(Ring(), point=1))
    assert "volume" not in arrays
    assert "K has a maximum here" in json.loads(arrays["meta"])["reason"]
    assert "K has a maximum here" in steps
