"""The page on deep linear networks: its state and its exact values without a browser, then sliders, trainings and frames in one."""

import re
import time
import urllib.parse
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app import dlnexact, dlnpage, dlnruns, dlnwords, tabs
from app.dlnlab import EXAMPLES, START, DeepLinear, decode, encode
from app.dlnruns import Course
from app.live import Latest
from nets import dln
from nets.saddle import SaddleToSaddle
from nets.samplers import MALA, SGLD

SMALL = SaddleToSaddle(steps=400, every=100, draws=20)
SHORT = {"t.steps": "400", "t.every": "100", "t.draws": "20"}


# The state


@pytest.mark.parametrize("value", [START, *(value for _, value in EXAMPLES.values())])
def test_every_value_is_written_and_read_again(value):
    assert decode(encode(value)) == (value, [])
    assert decode(encode(value), EXAMPLES["local"][1]) == (value, [])


def test_sliders_of_widths_keep_what_fits():
    """Full layers stay full, the map keeps its rank as far as it can."""

    def after(**query):
        return decode({name: str(text) for name, text in query.items()}, START)

    assert after(hidden=8) == (replace(START, widths=(10, 8, 8, 10), layers=(2, 8, 8)), [])
    assert after(depth=4) == (replace(START, widths=(10, 6, 6, 6, 6, 10), layers=(2, 6, 6, 6, 6)), [])
    assert after(depth=0) == (replace(START, widths=(10, 10), layers=(2,)), [])
    assert after(input=1) == (replace(START, widths=(1, 6, 6, 10), layers=(1, 6, 6)), [])
    assert after(widths="7-3 4,5") == (replace(START, widths=(7, 3, 4, 5), layers=(2, 3, 4)), [])
    assert after(rank=4)[0].layers == (4, 6, 6) and after(rank=0)[0].layers == (0, 6, 6)
    assert after(**{"layer.2": 1})[0].rank == 1


def test_the_rank_of_the_map_is_that_of_the_weakest_layer_whatever_is_moved():
    generator = np.random.default_rng(0)
    value = START
    for _ in range(300):
        name, high = (("input", 9), ("hidden", 9), ("depth", 5), ("output", 9), ("rank", 6), ("layer.1", 6))[generator.integers(6)]
        value, _ = decode({name: str(generator.integers(0 if name in ("depth", "rank", "layer.1") else 1, high))}, value)
        assert value.rank == dln.Ranks.generic(value.widths, value.layers).rank <= min(value.widths)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"widths": "10,-6"}, "from 1 up"),
        ({"widths": "10-6 – 6,10"}, None),  # a dash separates
        ({"widths": "10,0,10"}, "from 1 up"),
        ({"widths": "9" * 3000}, "widths"),
        ({"widths": "5"}, "at least an input and an output"),
        ({"widths": ",".join(["5"] * 60)}, "at most 42"),
        ({"widths": "5000,5"}, "none above 3000"),
        ({"depth": "99999"}, "at most 40"),
        ({"rank": "7"}, "used 6"),
        ({"rank": "None"}, "whole numbers"),
        ({"layers": "2,9,6"}, "rank of W_2"),
        ({"layer.3": "1e9"}, "whole numbers"),
        ({"t.lr": "NaN"}, "t.lr"),
        ({"t.eps": "<script>"}, "t.eps"),
        ({"os.system": "x"}, "no such value"),
    ],
)
def test_what_is_wrong_costs_itself_only(query, words):
    value, messages = decode(query | {"t.seed": "7"})
    assert value.training.seed == 7
    assert (messages == [] and words is None) or any(words in message for message in messages)


def test_a_training_that_is_too_large_is_refused_with_the_number():
    assert dlnruns.problem(START.training) == ""
    assert "MB of at most" in dlnruns.problem(replace(START.training, n=10_000_000))
    assert "MB of at most" in dlnruns.problem(replace(START.training, width=3000))
    assert "estimates of at most" in dlnruns.problem(replace(START.training, every=1))
    assert "minutes of at most" in dlnruns.problem(replace(START.training, width=300, steps=1_000_000, every=1000))
    with pytest.raises(ValueError, match="this page has SGLD"):
        DeepLinear(training=replace(SMALL, sampler=MALA()))


# Exact values


def test_the_curves_pass_through_the_present_network():
    for value in (DeepLinear((10, 7, 3, 5, 10), (2, 3, 3, 5)), *(value for _, value in EXAMPLES.values())):
        found, total = dlnexact.curves(value), dln.learning_coefficient(value.widths, value.rank)
        depth, hidden = len(value.widths) - 2, set(value.widths[1:-1])
        assert (float(total.lam), total.multiplicity) in [row[1:3] for row in found.depth if row[0] == depth]
        assert (float(total.lam), total.multiplicity) in [row[1:3] for row in found.rank if row[0] == value.rank]
        if len(hidden) == 1:
            assert float(total.lam) in [row[1] for row in found.width if row[0] == min(hidden)]


def test_without_hidden_layers_lambda_is_half_the_parameters():
    (x, lam, m, _, parameters), *_ = dlnexact.curves(START).depth
    assert (x, lam, m, parameters) == (0, 50, 1, 100)


def test_one_more_layer_never_raises_lambda():
    """2,000 random networks with a layer put in anywhere: what the page says of depth."""
    generator = np.random.default_rng(0)
    for _ in range(2000):
        widths = generator.integers(1, 12, size=generator.integers(2, 6)).tolist()
        rank, place = int(generator.integers(0, min(widths) + 1)), int(generator.integers(1, len(widths)))
        more = (*widths[:place], int(generator.integers(max(rank, 1), 14)), *widths[place:])
        assert dln.learning_coefficient(more, rank).lam <= dln.learning_coefficient(widths, rank).lam


def test_most_of_the_fall_of_random_networks_with_depth_is_that_of_the_regular_part():
    """The slope of log lambda against log depth: more than half of it is there in rank(J)/2 of the lowest point, too (medians of four bins)."""
    hidden, lam, regular = np.array(dlnexact.cloud().rows, float).T
    bins = np.digitize(hidden, [10, 50, 200])
    middle = [[np.median(values[bins == k]) for k in range(4)] for values in (lam, regular)]
    fall, alone = (np.log(values[0] / values[3]) for values in middle)
    assert fall > 1 and 0.5 < alone / fall < 1
    assert np.all(lam >= regular)


def test_a_local_value_is_called_exact_only_where_it_is():
    """Two layers; at lambda itself; where it meets rank(J)/2. Else it is an upper bound."""
    two, between = EXAMPLES["local"][1], DeepLinear((10, 6, 6, 10), (2, 3, 5))
    for value, proven in ((two, True), (START, True), (EXAMPLES["saddles"][1], True), (between, False)):
        found = dlnexact.exact(value)
        assert dlnwords.proven(found) == proven
        assert ("≤" in dlnwords.says(found)) == (not proven) == ("conjectured" in dlnwords.numbers(found))
    found = dlnexact.exact(between)
    assert Fraction(found.ranks.jacobian, 2) < found.here.lam == Fraction(53, 2) > found.total.lam == 26


@pytest.mark.parametrize(
    ("ranks", "words"), [([2, 6, 6], "2, 6, 6"), ([0] + [50] * 39, "0, 50 (39 times)"), (range(40), "0, 1, 2, 3, …, 37, 38, 39")]
)
def test_ranks_of_many_layers_are_told_in_runs(ranks, words):
    assert dlnwords.in_runs(ranks) == words


def test_the_sentence_tells_the_exact_values():
    said = dlnwords.says(dlnexact.exact(START))
    assert "λ = 26 exactly, multiplicity 1." in said and "layer 1 loses 4 and layer 2 loses 4" in said and "λ(w) = 34." in said
    assert "multiplicity 301" in dlnwords.says(dlnexact.exact(EXAMPLES["multiplicity"][1]))


# Trainings


def test_a_training_is_computed_once_however_many_watch_it():
    course = Course(SMALL)
    mine, theirs = dlnruns.follow(course), dlnruns.follow(course)
    for _ in range(30):  # in turns
        next(mine, None), next(theirs, None)
    assert course.done and course.steps is None and [frame.step for frame in course.frames] == [0, 100, 200, 300, 400]
    assert [frame.loss for frame in course.frames] == [frame.loss for frame in SMALL.stream()]
    (last,) = dlnruns.follow(course)
    assert last.done and len(last.frames) == 5


def test_who_comes_back_goes_on_where_the_training_stood_and_who_runs_it_again_begins_anew():
    run = replace(SMALL, seed=99)
    first = dlnruns.course(run)
    first.advance()
    assert dlnruns.course(run) is first and dlnruns.course(run, fresh=True) is not first and len(first.frames) == 1
    for seed in range(dlnruns.KEPT + 3):
        dlnruns.course(replace(SMALL, seed=seed))
    assert len(dlnruns._courses) == dlnruns.KEPT


def test_a_training_that_diverges_says_why():
    course = Course(replace(SMALL, lr=0.5, steps=2000))
    *_, last = (seen for seen in dlnruns.follow(course) if not isinstance(seen, float))
    assert last.done and "diverged" in course.error


def test_the_text_quotes_what_short_chains_read():
    """4.7, 8.6, 11.4, 13.1 at a saddle with balanced layers (to the digit shown), and at a tenth of the step the regular part, to 5 %."""
    import torch

    from dynamics.estimate import default_nbeta
    from nets.saddle import quadratic_reading

    def reading(rank, eps, draws):
        gains = [(10.0 * (5 - k)) ** 0.2 if k < rank else 0.0 for k in range(5)]
        weights = [torch.diag(torch.tensor(gains, dtype=torch.float64))] * 5
        return quadratic_reading(weights, torch.eye(5, dtype=torch.float64), default_nbeta(10_000), SGLD(eps=eps, gamma=1.0), draws)

    for rank, quoted in enumerate((4.7, 8.6, 11.4, 13.1), 1):
        assert reading(rank, 1e-6, 100) == pytest.approx(quoted, abs=0.06)
        assert reading(rank, 1e-7, 1000) == pytest.approx(rank * (10 - rank) / 2, rel=0.05)


@pytest.mark.parametrize(
    ("figures", "computed"), [("net,depth", {"curves"}), ("net", set()), ("net,cloud", {"cloud"}), ("singular", {"course"}), ("", None)]
)
def test_a_frame_computes_nothing_that_none_of_its_figures_shows(figures, computed, monkeypatch):
    """Whatever its visitor does, and a training that the same tab has on another page goes on."""
    called = set()

    def counted(name):
        original = getattr(dlnpage, name)
        monkeypatch.setattr(dlnpage, name, lambda *args: called.add(name) or original(*args))

    for name in ("curves", "cloud", "course"):
        counted(name)
    page = dlnpage.Session(SHORT | {"widget": "dln", "figures": figures})
    tab, other, asked = tabs.arrive("one", page), dlnruns.Watch(), []
    tab.keep("dln", other)
    monkeypatch.setattr(Latest, "__call__", lambda latest, value: asked.append(value))  # what would go to the threads
    page.joined(tab)
    for message in ({"set": {"rank": "3"}}, {"example": "saddles"}, {"action": "run"}, {"action": "another"}, {"open": "rank=1&t.steps=500"}):
        page.hear(message)
    for result in page.work(page.value, lambda: False):
        if not isinstance(result, float):
            page.show(result)
    assert called == ({"curves", "cloud", "course"} if computed is None else computed)
    assert page.trained == ("course" in called) == any(isinstance(value, Course) for value in asked)
    assert (tab.get("dln") is other) == (other.latest.phase != "closed") == (page.view.actions == []) == (not page.trained)
    monkeypatch.setattr(tabs, "GRACE", 0)
    tabs.leave(tab, page)


def test_a_training_begins_once_a_figure_of_it_is_in_view(monkeypatch):
    begun = []
    monkeypatch.setattr(dlnpage.Session, "train", lambda page, fresh=False: begun.append(page.value.training))
    page = dlnpage.Session(SHORT | {"widget": "dln", "figures": "net,loss", "view": "net"})
    tab = tabs.arrive("two", page)
    page.joined(tab)
    assert begun == [] and page.view.actions == []
    page.hear({"view": "net,loss"})
    assert begun == [page.value.training] and page.view.actions
    monkeypatch.setattr(tabs, "GRACE", 0)
    tabs.leave(tab, page)


# In a browser


sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[test]'")
from test_page import PATIENCE, Visitor  # noqa: E402

QUICK = {"t.steps": "2000", "t.every": "200", "t.draws": "20", "t.chains": "1"}  # a second
LONG = {"t.steps": "18000", "t.every": "50"}  # a quarter of a minute


class Page(Visitor):
    """A browser window on the page."""

    def open(self, query=(), **values):
        self.page.goto(self.home + "?" + urllib.parse.urlencode({"page": "dln", **dict(query), **values}))
        self.page.wait_for_selector(".dln[data-drawn]")
        sync_api.expect(self.page.locator(".says")).to_have_text(re.compile("λ ="))
        return self

    def close(self):
        self.stop()
        super().close()

    def trained(self):
        self.page.wait_for_selector(".dln[data-running=false]", timeout=2 * PATIENCE)
        sync_api.expect(self.page.locator(".state")).to_have_text(re.compile("Trained"))
        return self

    def state(self, pattern):
        sync_api.expect(self.page.locator(".state")).to_have_text(re.compile(pattern), timeout=PATIENCE)

    def saying(self, pattern):
        sync_api.expect(self.page.locator(".says")).to_have_text(re.compile(pattern), timeout=PATIENCE)

    @property
    def at(self) -> int:
        return int(re.search(r"step ([\d,]+) of", self.page.locator(".state").inner_text())[1].replace(",", ""))

    def goes_on(self):
        """Wait until a later step is shown."""
        first, end = self.at, time.monotonic() + PATIENCE / 1000
        while self.at == first:
            assert time.monotonic() < end
            self.page.wait_for_timeout(50)
        assert self.at > first

    def press(self, name):
        self.page.get_by_title(name, exact=True).click()

    def type(self, name, value):
        box = self.page.locator(f'[id="field-{name}"]')
        box.fill(value)
        box.press("Enter")


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    windows = []

    def make(query=(), **values):
        windows.append(Page(browser, site.home))
        return windows[-1].open(query, **values)

    yield make
    for window in windows:
        window.close()


@pytest.mark.browser
def test_sliders_move_exact_values_and_each_other(visit):
    window = visit(QUICK).trained()
    assert all(window.pixels(name)["coloured"] > 100 for name in dlnpage.CELLS)
    before = window.pixels("net")["sum"]
    slider = window.slider("rank")
    slider.focus()
    slider.press("ArrowRight")
    window.saying(r"rank 3: λ = 30 exactly")
    assert slider.evaluate("slider => slider === slider.getRootNode().activeElement")  # the form was not made anew
    sync_api.expect(window.page.locator('[id="field-layer.1"]')).to_have_value("3")
    window.slider("hidden").fill(str(window.slider("hidden").get_attribute("max")))
    window.saying("10–60–60–10")
    sync_api.expect(window.page.locator('[id="field-widths"]')).to_have_value("10,60,60,10")
    window.type("widths", "10,6,6,10")
    window.saying("10–6–6–10, rank 3")
    assert window.pixels("net")["sum"] != before
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('layers') === '3,6,6'")
    window.page.reload()
    window.page.wait_for_selector(".dln[data-drawn]")
    window.saying("10–6–6–10, rank 3: λ = 30")


@pytest.mark.browser
def test_who_comes_second_sees_all_of_a_training_that_is_in_memory(visit):
    points = "() => ['loss-run', 'estimate-run', 'estimate-expected'].map(name => Bokeh.documents[0].get_model_by_name(name).data.x.length)"
    first, second = visit(QUICK).trained(), visit(QUICK).trained()
    seen = first.page.evaluate(points)
    assert min(seen) > 1
    second.page.wait_for_function(f"seen => String(({points})()) === seen", arg=",".join(map(str, seen)))


@pytest.mark.browser
def test_a_moved_slider_kills_no_training_and_new_settings_wait_for_run(visit):
    window = visit(LONG, **{"t.seed": "11"})
    window.state(r"step [1-9]")
    window.slider("rank").press("ArrowRight")
    window.saying("rank 3")
    window.type("t.lr", "0.0002")
    window.state("Settings changed: run again")
    window.goes_on()
    window.press("Pause the training")
    window.state("Paused at")
    stood = window.at
    window.page.wait_for_timeout(500)
    assert window.at == stood
    window.press("Go on with the training")
    window.state("Training: ")
    window.press("Stop the training here; what is seen stays")
    window.state("Stopped at")
    window.press("Train with these settings, from the start")
    window.state("^Training: step .* of 18,000")
    assert window.at < stood + 2000 and window.page.locator(".notices p").count() == 0


@pytest.mark.browser
def test_a_training_goes_on_while_its_visitor_looks_at_another_page(visit):
    window = visit(LONG, **{"t.seed": "12", "t.every": "100"})
    window.state(r"step [1-9]")
    first = window.at
    window.page.get_by_role("link", name="Escape", exact=True).click()
    window.page.wait_for_selector(".escape[data-drawn]")
    window.page.get_by_role("link", name="Deep linear", exact=True).click()
    window.page.wait_for_selector(".dln[data-drawn]")
    sync_api.expect(window.page.locator('[id="field-t.seed"]')).to_have_value("12")
    window.state("Training: |Trained")
    if "Trained" not in window.page.locator(".state").inner_text():
        assert window.at > first


@pytest.mark.browser
def test_examples_open_with_their_controls_and_link(visit):
    window = visit(QUICK).trained()
    for name in ("bottleneck", "local"):
        window.page.locator(".story-choice").select_option(name)
        value = EXAMPLES[name][1]
        window.saying(f"λ = {dlnwords.text_of(dln.learning_coefficient(value.widths, value.rank).lam)} exactly")
        window.page.wait_for_function("text => new URLSearchParams(location.search).get('widths') === text", arg=",".join(map(str, value.widths)))
    assert not window.page.locator('figure[data-name="width"]').is_hidden()
    window.type("widths", "4,3")
    window.saying("4–3")
    sync_api.expect(window.page.locator('figure[data-name="width"]')).to_be_hidden()


@pytest.mark.browser
def test_a_hostile_link_gives_a_live_page_with_notices(visit):
    window = visit(QUICK, widths="<script>alert(1)</script>", layers="9" * 500, **{"t.eps": "inf"})
    assert any("give whole numbers" in text for text in window.notices)
    window.press("Reset: back to the start (r)")
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('t.steps') === '18000'")


@pytest.mark.browser
def test_a_frame_without_a_training_starts_none(visit):
    window = visit(QUICK, widget="dln", figures="net,depth")
    window.saying("λ = 26")
    assert window.page.locator("[data-action]").count() == 0 and window.page.locator('[id="field-t.lr"]').count() == 0
    assert window.visible() == {"net", "depth"} and not window.page.locator("header").is_visible()


@pytest.mark.browser
def test_nothing_sticks_out_and_axe_finds_no_barrier(visit):
    window = visit(QUICK).trained()
    for (width, height), _ in zip(((390, 800), (1280, 720)), window.themes(), strict=True):
        window.resize(width, height)
        assert window.page.locator(".lab").evaluate("lab => lab.scrollWidth <= lab.clientWidth"), width
        assert window.barriers() == []


def test_labels_of_levels_keep_their_distance_and_the_first_stays():
    apart = dlnpage.apart
    assert apart([1100.0, 600.0, 280.0, 100.0, 20.0], 2.4) == [1100.0, 280.0, 100.0, 20.0]
    assert apart([], 2.0) == [] and apart([5.0, 4.9, 4.8], 1.01) == [5.0, 4.9, 4.8]


def test_a_long_curve_has_a_few_of_its_multiplicities_beside_it():
    value = EXAMPLES["multiplicity"][1]
    session = dlnpage.Session({"page": "dln"} | encode(value))
    found = dlnexact.curves(value).depth
    session.show_exact(dlnexact.exact(value))
    session.show_curve("depth", found)
    shown = session.sources["depth-many"].data
    m = {x: m for x, _, m, *_ in found}
    assert 2 <= len(shown["x"]) <= dlnpage.NUMBERS < len(found)
    assert list(shown["text"]) == [f"m={m[x]}" for x in shown["x"]] and all(m[x] > 1 for x in shown["x"])
