"""The LLC lab: exact values beside chains, sentences that judge, links, and the page in a real browser."""

import math
import re
import urllib.parse
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from bokeh.document import Document

from app import llclab, llcpage, llcpicture, llcruns, llcwords
from app.known import MODELS, Data, DeepLinear, Exact, Powers, Quadratic, ReducedRank, ReLU, Toy, design, exact
from app.live import Abandoned, Asked
from app.llclab import EXAMPLES, STARTS, LLCLab, Settings, controls, decode, encode
from app.llcpicture import Map, MapCell, Picture
from app.llcruns import Kept, Task, Tuned, work
from app.llcwords import says
from landscapes import CATALOGUE, DoubleWell, Polynomial, Valley
from nets.health import Finding
from nets.samplers import MALA, SAMPLERS, SGHMC, SGLD, DiagonalSGLD

DATA = Data(500, 1.0)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(llcruns, "runs", Kept(llcruns.KEPT))
    monkeypatch.setattr(llcruns, "cells", Kept(1000))


def finish(value: LLCLab) -> Picture:
    """The last picture of the chains, without a map."""
    for shown in work(Task(value), lambda: False):
        if isinstance(shown, Picture) and shown.done:
            return shown


def sentence(value: LLCLab) -> str:
    return says(value, finish(value).numbers, True)


# Models


def test_the_loss_of_all_samples_is_exactly_k_and_its_gradient_k_s_while_batches_scatter():
    x, e = design(300, [0.5, 2.0], 3, 0.7)
    np.testing.assert_allclose(x.T @ x / 300, np.diag([0.5, 2.0]), atol=1e-12)
    np.testing.assert_allclose(x.T @ e, 0, atol=1e-10)
    np.testing.assert_allclose((e**2).mean(0), 0.49)
    for landscape in (DoubleWell(), Valley(1, 2), CATALOGUE["Regular"](), Polynomial("w1^2 + w2^4", of="K")):
        target = Toy(landscape).target(DATA)
        w = torch.from_numpy(np.random.default_rng(0).normal(size=(5, landscape.dim)))
        losses, gradients = target.gradients(w)
        np.testing.assert_allclose(
            losses - target.losses(target.star[None]), landscape.K(w.numpy()) - landscape.K(target.star.numpy()), rtol=1e-12, atol=1e-15
        )
        np.testing.assert_allclose(gradients, landscape.gradient(w.numpy()), rtol=1e-10)
        if landscape.of == "Q":
            each = torch.arange(500)[:, None]  # every sample as a batch of its own
            singles = target.losses(w[:1].expand(500, -1), each)
            assert float(singles.mean()) == pytest.approx(float(losses[0])) and float(singles.std()) > 0.1
        else:
            with pytest.raises(ValueError, match="no samples"):
                target.losses(w, torch.zeros((5, 2), dtype=torch.int64))


@pytest.mark.parametrize("model", [Quadratic(5, 0.1, 3.0), DeepLinear(3, 2, 3, 3, 1), ReducedRank()])
def test_networks_and_quadratics_have_their_minimum_at_the_point_whatever_the_noise(model):
    target = model.target(DATA)
    losses, gradients = target.gradients(target.star[None].clone())
    np.testing.assert_allclose(gradients, 0, atol=1e-12)
    assert float(target.losses(target.star[None] + 0.01)) > float(losses)
    if isinstance(model, Quadratic):
        w = torch.ones(1, 5, dtype=torch.float64)
        assert float(target.losses(w) - losses) == pytest.approx(0.5 * model.curvatures.sum())


def test_known_values_of_lambda():
    assert Toy(Valley(1, 2)).truth[:3] == (Fraction(1, 4), Fraction(1, 4), 2)
    assert Toy(Valley(1, 1), 1).truth[:2] == (Fraction(1, 2), Fraction(1, 3))
    assert DeepLinear(2, 2, 2, 2, 0, "last layer").truth[:2] == (2, Fraction(3, 2))
    assert DeepLinear(10, 6, 10, 3, 2).truth.overall == 26
    assert DeepLinear(5, 8, 5, 3, 2).truth.regular == 8
    assert Powers(2, 4, 3).truth.local == Fraction(5, 2)
    assert Quadratic(7).truth.local == Fraction(7, 2) and ReLU().truth.local is None


def test_sums_of_powers_have_lambda_at_every_nbeta_and_a_tether_that_outweighs_all_has_its_closed_form():
    for nbeta in (0.1, 10, 1e5):
        assert Powers(2, 4, 3).ideal(nbeta, 0.0) == pytest.approx(2.5, rel=1e-4)
    assert Powers(3, 0, 0).ideal(50.0, 150.0) == pytest.approx(Quadratic(3).ideal(50.0, 150.0), rel=1e-6) == pytest.approx(3 / 2 * 50 / 200)


def test_large_batches_and_no_noise_heat_nothing_and_a_preconditioner_of_ones_is_none():
    model, nbeta, eps = Quadratic(3, 0.2, 1.0), 100.0, 4e-3
    cold = model.actual(SGLD(eps=eps), nbeta, 0, DATA)
    assert cold == pytest.approx(sum(0.5 * nbeta * h / (nbeta * h + 1) / (1 - eps * (nbeta * h + 1) / 4) for h in model.curvatures))
    assert model.actual(DiagonalSGLD(eps=eps, diagonal=(1.0, 1.0, 1.0)), nbeta, 0, DATA) == pytest.approx(cold)
    warm = [model.actual(SGLD(eps=eps), nbeta, batch, DATA) for batch in (16, 64, 10**9)]
    assert warm[0] > warm[1] > warm[2] == pytest.approx(cold, rel=1e-6)
    assert model.actual(SGLD(eps=0.05), nbeta, 0, DATA) == math.inf == model.actual(SGLD(eps=0.05), nbeta, 16, DATA)


@pytest.mark.parametrize(
    ("model", "sampler", "batch"),
    [
        (Quadratic(3, 0.2, 1.0), SGLD(eps=3e-3), 16),
        (Quadratic(3, 0.2, 1.0), DiagonalSGLD(eps=1e-3), 16),
        (Quadratic(2, 0.5, 1.0), SGHMC(eps=0.02, friction=0.5), 0),
        (Powers(1, 2, 1), MALA(eps=6e-3, gamma=20.0), 0),
        (Toy(Valley(1, 1), 1), MALA(eps=3e-3, gamma=20.0), 0),
    ],
)
def test_chains_report_what_is_computed_for_them(model, sampler, batch):
    """Within four standard errors (of 1 to 2 %), of chains many times longer than their memory; a step costs the same for many chains as for few."""
    value = LLCLab(model, sampler, Settings(nbeta=150.0, chains=64, draws=1500, burn_in=500, batch=batch, precondition="on", n=500))
    numbers = finish(value).numbers
    assert numbers.exact.actual is not None and numbers.stderr < 0.025 * numbers.mean
    assert numbers.mean == pytest.approx(numbers.exact.actual, abs=4 * numbers.stderr)


def test_a_preconditioner_that_follows_makes_the_rescaled_network_the_same_chains():
    """However long they are: here a tenth of the example's draws, and another seed (the first's chains magnify rounding to 4e-6)."""
    short = {name: replace(value, settings=replace(value.settings, draws=200, burn_in=100, seed=1)) for name, (_, value) in EXAMPLES.items()}
    numbers = finish(short["scaled"]).numbers
    assert numbers.twin is not None and numbers.mean == pytest.approx(numbers.twin, rel=1e-6)
    without = finish(short["unscaled"]).numbers
    assert abs(without.mean / without.twin - 1) > 0.2


# Sentences


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("healthy", r"λ̂ = 0\.2\d+ ± 0\.00\d+; exact at this nβ 0\.2493; λ = 1/4\. Healthy\.$"),
        ("dead", r"^All 8 chains died: the step ε = 0\.003 is too large at nβ = 1000\.$"),
        ("step", r"exact at this nβ 1\.986; with this step 2\.804; λ = 2\. Not healthy: step too large – and just as wrong as computed\.$"),
        ("spread", r"λ = 10\. Not healthy: not equilibrated.*% below what is exact\.$"),
        ("far", r"λ = 1/2 at w\*, 1/3 at the most singular point\. Not healthy: not local; .*% below λ\.$"),
        (
            "batch",
            r"exact at this nβ 3\.611; .*λ = 5\. Healthy\. The gap to λ is no error of the chains: it comes from the finite nβ and the tether\.$",
        ),
        ("slow", r"λ = 1/4 \(m = 2\)\. Healthy\. The gap to λ is no error of the chains: .*with m = 2, the part of nβ closes like"),
        ("saddle", r"λ = 2 at w\*, 3/2 at the most singular point\. Not healthy: not local"),
        ("regular", r"λ = 25/2\. Not healthy: not equilibrated"),
    ],
)
def test_one_sentence_judges_each_example(example, words):
    """Of as many draws as the example has; where these are very many, in eight times as many chains, whose steps cost little more."""
    value = EXAMPLES[example][1]
    if value.settings.draws > 8000:
        value = replace(value, settings=replace(value.settings, chains=8 * value.settings.chains, draws=value.settings.draws // 8))
    assert re.search(words, sentence(value))


def test_healthy_chains_that_are_off_are_not_called_right():
    value = EXAMPLES["step"][1]
    numbers = finish(value).numbers._replace(health=(Finding("note", "tether", "text"),), exact=Exact(1.986, None))
    assert says(value, numbers, True).endswith("Healthy, yet 42% above what is exact.")


def test_a_finding_is_told_in_the_signs_of_the_page():
    told = llcwords.plain("n beta = 9: eps = 1 is too large for |w - w*|, so lambda-hat errs; smaller steps, another gamma, or eps='auto'")
    assert told == "nβ = 9: ε = 1 is too large for |w - w\\*|, so λ̂ errs; smaller steps, another γ, or “Tune ε for me”"


def test_an_error_has_two_digits():
    assert llcwords.estimate_words(0.25084, 0.0034) == "0.2508 ± 0.0034"
    assert llcwords.estimate_words(12.3456, 0.43) == "12.35 ± 0.43"
    assert llcwords.estimate_words(1234.5, 43.0) == "1,234 ± 43"
    assert llcwords.estimate_words(math.nan, math.nan) == "no number yet"


def test_the_law_that_is_drawn_has_the_mass_one_and_the_mean_lambda():
    for lam in (0.25, 1.5, 6.0):
        curve = llcpicture._gamma(lam, (1e-12, 200.0))
        log = np.log(curve["x"])
        assert np.trapezoid(curve["y"], log) == pytest.approx(1, abs=2e-3)
        assert np.trapezoid(curve["x"] * curve["y"], log) == pytest.approx(lam, rel=1e-2)


@pytest.mark.parametrize("span", [(1e-10, 5.0), (2e-12, 40.0), (0.11, 30.0), (14.0, 95.0), (0.3, 9.0)])
def test_ticks_of_the_law_are_round_within_its_axis_and_leave_room(span):
    found = llcpicture.ticks(*span)
    assert 2 <= len(found) <= 6 and all(span[0] <= tick <= span[1] and f"{tick:.0e}"[0] in "125" for tick in found)


# Runs


def test_the_step_is_tuned_and_its_chains_are_those_of_that_step():
    value = replace(STARTS["Quadratic"], sampler=MALA(eps=0.3))
    *_, found = work(Task(value, "tune"), lambda: False)
    assert isinstance(found, Tuned) and 1e-3 < found.eps < 0.02
    done = llclab.anchored(replace(value, sampler=replace(value.sampler, eps=found.eps)))
    kept = llcruns.runs.get(done).numbers
    llcruns.runs.known.clear()
    fresh = finish(done).numbers
    assert (kept.mean, kept.stderr) == (fresh.mean, fresh.stderr) and kept.health == fresh.health


@pytest.mark.parametrize("name", ["SGHMC", "SGNHT", "AdamSGLD"])
def test_samplers_with_momentum_are_tuned(name):
    value = replace(STARTS["Quadratic"], sampler=SAMPLERS[name](), settings=Settings(nbeta=100, draws=200, burn_in=100))
    *_, found = work(Task(value, "tune"), lambda: False)
    assert isinstance(found, Tuned) and 1e-5 < found.eps < 0.1


def test_a_run_that_nobody_waits_for_ends_within_a_step_once_it_was_seen():
    stale = False
    run = work(Task(replace(llclab.HEALTHY, settings=Settings(draws=100_000, burn_in=0))), lambda: stale)
    for shown in run:
        if shown.numbers.draws:
            break
    next(run)
    stale = True
    with pytest.raises(Abandoned):
        next(run)


def test_the_map_begins_at_the_controls_and_is_shared_between_states_that_differ_in_step_only():
    value = replace(STARTS["Quadratic"], settings=Settings(nbeta=150, draws=10, burn_in=0, chains=2))
    *_, last = work(Task(value), lambda: False)
    assert isinstance(last, Map) and last.done and len(last.cells) == llclab.COLUMNS * llclab.ROWS
    eps, nbeta = next(iter(last.cells))
    assert abs(math.log10(eps / value.sampler.eps)) < 0.26 and abs(math.log10(nbeta / value.nbeta)) < 0.26
    before = len(llcruns.cells.known)
    *_, _ = work(Task(value.at(*list(last.cells)[5])), lambda: False)
    assert len(llcruns.cells.known) == before
    columns = llcpicture.map_columns(last, 2.0)
    assert {"†", "2†", "1†", "–"} & set(columns["words"]) and set(map(len, columns.values())) == {63}


@pytest.mark.parametrize(("figures", "mapped"), [("lambda,law", False), ("lambda,map", True), ("", True)])
def test_a_frame_without_the_map_computes_none(figures, mapped):
    """The chains are the same; after their last picture nothing more is done, and the page is at rest."""
    small = {"model": "Quadratic", "draws": "10", "burn_in": "0", "chains": "2"}
    session = llcpage.Session(small | {"widget": "llc", "figures": figures})
    asked = []
    session.latest.close()
    session.latest = asked.append
    session.changed(None)
    results = list(work(asked[0], lambda: False))
    assert any(isinstance(result, Picture) and result.done for result in results)
    assert any(isinstance(result, Map) for result in results) == bool(llcruns.cells.known) == mapped
    for result in results:
        if not isinstance(result, float):
            session.show(result)
    assert not session.running and not session.view.status["running"] and session.view.status["share"] is None


def test_the_end_of_a_run_does_not_end_the_tuning_asked_for_meanwhile(monkeypatch):
    """What was computed before the button was pressed may arrive after it."""
    session, posted = llcpage.Session({"model": "Quadratic", "draws": "10", "burn_in": "0", "chains": "2"}), []
    monkeypatch.setattr(session, "later", lambda function, *args: posted.append(lambda: function(*args)))
    session.latest.close()
    session.latest, session.doc = Asked(), Document()
    session.changed(None)

    def compute():
        session.latest.begun = session.latest.wanted
        for result in work(session.latest.wanted, lambda: False):
            if not isinstance(result, float):
                session.publish(result)

    compute()
    before = session.value
    session.act("tune")
    for show in posted:
        show()
    assert session.running and session.value == before, "the run's end is no end of the tuning"
    posted.clear()
    compute()
    for show in posted:
        show()
    assert session.value.sampler.eps != before.sampler.eps
    compute()
    posted[-1]()
    assert not session.running


def test_who_stops_before_the_first_draws_sees_no_result_of_other_settings():
    session = llcpage.Session({"model": "Quadratic", "draws": "10", "burn_in": "0", "chains": "2"})
    session.latest.close()
    session.latest = Asked()
    session.changed(None)
    for result in work(session.latest.wanted, lambda: False):
        if not isinstance(result, float):
            session.show(result)
    told = session.view.says
    assert "λ = 2" in told and session.table() and len(session.sources["cells"].data["x"]) == 63
    session.act("tune")
    session.act("stop")
    assert session.view.says == told and session.table(), "it is of these settings"
    session.hear({"set": {"eps": "0.00001"}})
    session.act("stop")
    assert "λ = 2" not in session.view.says and not session.table() and not len(session.sources["running"].data["x"])
    assert len(session.sources["cells"].data["x"]) == 63, "the map is the same"
    session.hear({"set": {"m.d": "6"}})
    assert not len(session.sources["cells"].data["x"])


def test_a_mean_of_chains_that_are_left_is_not_shown_as_a_number():
    cells = {(1e-3, float(i)): MapCell(0.43, 0.02, dead, 8, ("chain died",)) for i, dead in ((1, 6), (2, 8))}
    columns = llcpicture.map_columns(Map(llclab.HEALTHY, cells, True), 0.25)
    assert columns["words"] == ["6†", "†"] and columns["fill"] == [llcpicture.VAGUE, llcpicture.DIED]


def test_a_sampler_without_batches_has_no_temperature_of_a_batch():
    settings = Settings(nbeta_from="batch / log batch", batch=32, n=10_000)
    assert replace(STARTS["Quadratic"], sampler=SGLD(), settings=settings).nbeta == pytest.approx(32 / math.log(32))
    assert replace(STARTS["Quadratic"], sampler=MALA(), settings=settings).nbeta == pytest.approx(10_000 / math.log(10_000))


def test_the_exact_value_is_right_in_each_digit_that_is_printed():
    """At the sharp well of the double well K is a parabola to leading order: its first corrections are far below 1e-4 at this n beta."""
    assert Toy(DoubleWell(1.8, 1, 2), 1).ideal(1e6, 0.0) == pytest.approx(0.5, abs=2e-6)


def test_a_gap_to_lambda_is_put_down_to_what_there_is():
    product = Toy(Polynomial("w1^2*w2^2", "K"), 0)
    loose = replace(llclab.HEALTHY, model=product, sampler=MALA(eps=1.9e-3, gamma=0.0), settings=Settings(nbeta=1000, draws=4000))
    assert "tether" not in sentence(loose)
    held = sentence(replace(loose, sampler=MALA(eps=1.9e-3, gamma=100.0)))
    assert "the finite nβ and the tether; with m = 2, the part of nβ closes like" in held
    ill = replace(llclab.HEALTHY, sampler=MALA(eps=1e-6, gamma=1.0), settings=Settings(nbeta=10, draws=200, burn_in=0))
    assert "Not healthy" in (said := sentence(ill)) and "no error of the chains" not in said


def test_a_cell_is_pale_where_the_difference_is_its_error():
    assert llcpicture.colour(0.0) == llcpicture.colour(llcpicture.beyond(0.1, 0.2)) == "#f6f6f2"
    assert llcpicture.colour(0.9) == "#d55e00" and llcpicture.colour(-0.9) == "#0072b2"


def test_a_cell_whose_error_could_hide_anything_is_not_painted_as_right():
    value = llclab.HEALTHY
    places = [(1e-3, nbeta) for nbeta in (10.0, 100.0, 1000.0)]
    made = MapCell(71.0, 36.0, 0, 8, ("step too large",)), MapCell(0.27, 0.02, 0, 8, ()), MapCell(0.04, 0.002, 0, 8, ())
    found = dict(zip(places, made, strict=True))
    columns = llcpicture.map_columns(Map(value, found, True), 0.25)
    assert columns["fill"] == [llcpicture.VAGUE, "#f6f6f2", "#0072b2"] and columns["words"] == ["71!", ".27", ".04"]
    told = llcwords.cell_words(found[places[0]], 0.25, "λ")
    assert "too large to tell" in told and "too large to tell" not in llcwords.cell_words(found[places[1]], 0.25, "λ")
    assert [llcpicture.brief(mean) for mean in (-0.126, 0.996, 2.46, 9.96, 25.2, 1e4, 0.0)] == ["-.13", "1.0", "2.5", "10", "25", "≫", ".00"]


def test_the_frame_of_the_controls_is_one_cell_of_the_map_also_between_cells():
    session = llcpage.Session({"page": "llc", "eps": "0.0021", "nbeta": "700"})
    session.latest.close()
    session.latest = [].append
    session.changed(None)
    here = session.sources["here"].data
    eps, nbeta = (math.sqrt(here[low][0] * here[high][0]) for low, high in (("left", "right"), ("bottom", "top")))
    assert eps == pytest.approx(0.00316, rel=1e-3) and nbeta == pytest.approx(1000)
    assert any(each == pytest.approx(eps) for each in llclab.columns_of(session.value))


def test_where_no_integral_is_known_none_is_promised():
    loose, held = (llcwords.known_words(replace(EXAMPLES["far"][1], sampler=MALA(eps=3e-3, gamma=gamma))) for gamma in (0.0, 1.0))
    assert "is an integral" in held and "is an integral" not in loose and "No value at this nβ" in loose


def test_every_cell_of_the_map_has_words_and_leads_to_its_step_and_temperature():
    value = llclab.anchored(replace(STARTS["Quadratic"], settings=Settings(nbeta=150, draws=40, burn_in=10, chains=2)), anew=True)
    right, off, dead = (MapCell(mean, 0.1, died, 2, why) for mean, died, why in ((2.1, 0, ()), (3.0, 1, ("R-hat",)), (math.nan, 2, ("dead",))))
    eps, nbeta = llclab.columns_of(value), llclab.rows_of(value)
    board = llcwords.board(Map(value, {(eps[0], nbeta[0]): right, (eps[0], nbeta[1]): off, (eps[8], nbeta[6]): dead}, False), 2.0)
    assert board["told"][0][0] == "λ̂ = 2.10 ± 0.10; λ within 2 s.e."
    assert board["told"][0][1] == "λ̂ = 3.00 ± 0.10; 50% above λ, beyond 2 s.e. 1 of 2 chains died. Warned: R-hat."
    assert board["told"][8][6] == "every chain died." and board["told"][8][0] == "not computed yet."
    assert board["at"] == [4, 3]
    for i, first in enumerate(board["across"]["values"]):
        for j, second in enumerate(board["up"]["values"]):
            assert decode(encode(value) | first | second) == (value.at(eps[i], nbeta[j]), [])


# Links and controls


@pytest.mark.parametrize("value", [*(value for _, value in EXAMPLES.values()), *STARTS.values(), LLCLab(Toy(Polynomial("w1^4 + w2^2", of="K")))])
def test_every_value_survives_its_link(value):
    assert decode(encode(value)) == (value, [])
    assert decode(encode(value), EXAMPLES["heat"][1]) == (value, [])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_model_goes_with_every_sampler_and_all_fields_are_of_the_link(model, sampler):
    value, messages = decode({"model": model, "sampler": sampler})
    assert not messages and type(value.model).__name__ == model and type(value.sampler).__name__ == sampler
    names = {item["name"] for group in controls(value) for item in group["items"]}
    assert names <= set(encode(value)) and {"eps", "gamma", "chains", "draws"} <= names
    value.estimation(value.model.target(value.data))
    exact(value.model, value.rule, value.nbeta, value.batch, value.data)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"model": "os.system"}, "choose one of Toy"),
        ({"sampler": "<script>"}, "choose one of SGLD"),
        ({"eps": "NaN"}, "not finite"),
        ({"chains": "1e9"}, "above the legal range"),
        ({"chains": "64", "draws": "1000000"}, "at most 1,000,000 together"),
        ({"m.landscape": "Nowhere"}, "choose one of"),
        ({"m.landscape": "Polynomial", "m.text": "w1 +"}, "kept"),
        ({"model": "DeepLinear", "m.rank": "5"}, "has more"),
        ({"model": "Powers", "m.quadratic": "0", "m.quartic": "0"}, "at least one direction"),
        ({"nbeta_from": "mine"}, "choose one of"),
        ({"w1": "3"}, "no such value"),
        ({"m.point": "\x00" * 1000}, "not a number"),
    ],
)
def test_what_is_wrong_in_a_link_costs_itself_only_and_is_said(query, words):
    value, messages = decode(query)
    assert any(words in message for message in messages)
    assert decode(encode(value)) == (value, [])


def test_another_model_begins_with_settings_that_suit_it_and_keeps_the_sampler():
    value, _ = decode({"model": "Quadratic"}, replace(llclab.HEALTHY, sampler=SGLD(eps=3e-3)))
    assert isinstance(value.sampler, SGLD) and value.sampler.eps == STARTS["Quadratic"].sampler.eps
    assert decode({"sampler": "DiagonalSGLD"})[0].settings.precondition == "on"


# The page in a browser

SMALL = {"model": "Quadratic", "draws": "400", "burn_in": "100", "chains": "4"}  # a fraction of a second; its map two


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    from test_page import Visitor

    class Lab(Visitor):
        def open(self, query=(), **values):
            self.page.goto(self.home + "?" + urllib.parse.urlencode({"page": "llc", **dict(query), **values}))
            self.page.wait_for_selector(".llc[data-drawn]")
            return self

        def until(self, words: str):
            self.page.wait_for_function("words => document.lab.querySelector('.says').textContent.includes(words)", arg=words)
            return self

        def complete(self):
            self.page.wait_for_selector(".llc[data-running=false]")
            return self

        def find(self):
            find = """() => { document.lab = (function find(root) { for (const node of root.querySelectorAll("*")) if (node.shadowRoot) {
              const lab = node.shadowRoot.querySelector(".lab") ?? find(node.shadowRoot); if (lab) return lab } })(document) }"""
            self.page.evaluate(find)
            return self

    windows = []

    def make(query=(), **values):
        windows.append(Lab(browser, site.home))
        return windows[-1].open(query, **values).find()

    yield make
    for window in windows:
        window.close()


@pytest.mark.browser
def test_the_page_judges_a_healthy_estimate_and_draws_it_and_another_example(visit):
    window = visit().until("Healthy.")
    window.page.wait_for_function("() => !document.lab.querySelector('.says').textContent.includes('so far')")
    assert re.search(r"λ̂ = 0\.2\d+ ± 0\.00\d+; exact at this nβ 0\.2493; λ = 1/4\. Healthy\.", window.says)
    for name in ("chains", "lambda", "law"):
        assert window.pixels(name)["coloured"] > 500
    assert "Gamma(1/4)" in window.page.locator("figure.law .legend").inner_text()
    window.page.locator(".story-choice").select_option("dead")
    window.until("All 8 chains died")
    assert window.query()["sampler"] == "SGLD"
    window.page.get_by_role("button", name="Reset").click()
    window.until("Healthy.")


@pytest.mark.browser
def test_a_click_on_the_map_sets_step_and_temperature_and_tuning_finds_a_step(visit):
    window = visit(SMALL, draws="60", burn_in="20", chains="2").complete()
    before = window.query()
    assert window.page.locator(".state").inner_text() == "done" and window.pixels("map")["sum"]
    box = window.page.locator("figure.map canvas").first.bounding_box()
    window.page.mouse.click(box["x"] + 0.92 * box["width"], box["y"] + 0.12 * box["height"])
    window.page.wait_for_function("eps => new URLSearchParams(location.search).get('eps') !== eps", arg=before["eps"])
    after = window.query()
    assert float(after["eps"]) > 10 * float(before["eps"]) and float(after["nbeta"]) > 5 * 144 and after["nbeta_from"] == "own"
    assert window.page.locator("#field-eps").input_value() == after["eps"]
    window.page.get_by_role("button", name="Tune ε for me").click()
    window.page.wait_for_function("eps => +new URLSearchParams(location.search).get('eps') < eps / 5", arg=float(after["eps"]))
    window.complete()


@pytest.mark.browser
def test_the_map_is_walked_read_and_taken_by_keyboard(visit):
    window = visit(SMALL, draws="60", burn_in="20", chains="2").complete()
    before, over, told = window.query(), window.page.locator("figure.map .over"), window.page.locator("figure.map [aria-live]")
    assert not told.is_visible() and window.page.locator("figure.map .legend").is_visible()
    for _ in window.themes():
        window.page.locator("figure.map h2").focus()
        window.page.keyboard.press("Tab")
        assert over.evaluate("link => link.matches(':focus-visible')") and over.get_attribute("data-chosen") == "4,3"
        ring, paper = over.evaluate("link => [getComputedStyle(link).outlineColor, getComputedStyle(document.lab).backgroundColor]")
        assert over.evaluate("link => getComputedStyle(link).outlineStyle") == "solid" and contrast(ring, paper) > 3
    window.page.locator("figure.map h2").focus()
    window.page.keyboard.press("Tab")
    for key in ("ArrowLeft",) * 9 + ("ArrowUp",) * 9 + ("ArrowRight", "ArrowDown"):
        window.page.keyboard.press(key)
    assert over.get_attribute("data-chosen") == "1,5" and told.is_visible()
    assert re.match(r"ε = 10⁻⁴, nβ = 1000: (λ̂ = .* λ|the chains never moved|every chain died)", told.inner_text())
    frame, mark = over.bounding_box(), window.page.locator("figure.map .mark-of").bounding_box()
    assert mark["x"] - frame["x"] == pytest.approx(frame["width"] / 9, abs=1) and mark["y"] - frame["y"] == pytest.approx(frame["height"] / 7, abs=1)
    window.page.keyboard.press("Enter")
    window.page.wait_for_function("eps => new URLSearchParams(location.search).get('eps') !== eps", arg=before["eps"])
    after = window.query()
    assert (float(after["eps"]), float(after["nbeta"])) == pytest.approx((1e-4, 1000), rel=0.01)  # three digits are kept
    assert after["nbeta_from"] == "own" and after["map_eps"] == before["map_eps"]
    assert over.evaluate("link => link.matches(':focus')") and over.get_attribute("data-chosen") == "1,5"


def contrast(one: str, other: str) -> float:
    """Of two colours as a browser writes them, after WCAG."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        return float(np.dot([0.2126, 0.7152, 0.0722], [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.browser
def test_a_slider_restarts_and_the_latest_wins(visit):
    window = visit(SMALL)
    for eps in ("0.001", "0.002", "0.008"):
        box = window.page.locator("#field-eps")
        box.fill(eps)
        box.press("Enter")
    window.page.locator('select[name="sampler"]').select_option("SGLD")
    window.until("with this step 2.804")
    assert window.query()["eps"] == "0.008"


@pytest.mark.browser
def test_axe_finds_no_barrier(visit):
    window = visit(SMALL).until("λ = 2")
    for _ in window.themes():
        assert window.barriers() == []


@pytest.mark.browser
def test_a_hostile_link_gives_a_live_page_with_notices_and_a_frame_shows_the_figures_it_names(visit):
    window = visit(SMALL, sampler="<script>alert(1)</script>", seed="-9")
    assert any("choose one of SGLD" in text for text in window.notices)
    frame = visit(SMALL, widget="llc", figures="lambda,law").until("λ = 2")
    assert frame.visible() == {"lambda", "law"} and not frame.page.locator("header").is_visible()
