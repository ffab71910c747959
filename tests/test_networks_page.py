"""The networks page: what its races find, how they are paused, kept and compared; then in a real browser."""

import csv
import gc
import math
import re
import threading
import time
import urllib.parse
import weakref
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="no torch: pip install -e '.[nets]'")
from app import contest as contests
from app import netfigures, netlab, tabs
from app.contest import Contest, History, Look, Looks, Net, Pair, Racing, Samples, Verdict, run, sentence, verdict
from app.netlab import EXAMPLES, decode, encode
from nets import KFAC, OPTIMISERS, SGD, FisherNGD, OnlineNGD
from nets.estimate import Estimation
from nets.losses import LOSSES
from nets.module_target import module_target
from nets.samplers import SGLD
from nets.training import Progress, Scores

QUICK = Looks(count=2, draws=20, burn_in=5, chains=2, vectors=3)
SMALL = Contest(Samples(size=300), Net(hidden="8"), epochs=3, batch=50, looks=QUICK)
LONG = replace(SMALL, epochs=1000, looks=replace(QUICK, count=2, draws=50_000))  # minutes: chains after the first epoch


def ran(contest: Contest) -> History:
    history = History()
    for _ in run(contest, history):
        pass
    return history


def until(true):
    end = time.monotonic() + 60  # seconds: only what hangs takes so long
    while not true():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


# What a race finds


def test_the_race_of_the_page_is_that_of_nets_and_its_lambda_hat_that_of_the_estimator():
    history = ran(SMALL)
    *_, last = SMALL.race.stream()
    assert [rows[-1].train.loss for rows in history.rows] == [lane.train.loss for lane in last.lanes]
    x, y = SMALL.samples.data.load()[:2]
    for looks, lane in zip(history.looks, last.lanes, strict=True):
        target = module_target(lane.model, LOSSES["cross_entropy"], x, y)
        sampler, nbeta = SGLD(eps=QUICK.eps, gamma=QUICK.gamma), 300 / math.log(300)
        estimate = Estimation(target, sampler, nbeta, chains=2, draws=20, burn_in=5, batch=128, seed=0).run()
        assert (looks[-1].llc, looks[-1].error, looks[-1].wbic) == (estimate.mean, estimate.stderr, estimate.wbic)
    assert [len(looks) for looks in history.looks] == [2, 2] and len(history.spectra) == 1
    assert history.left == 0


def test_how_often_one_looks_does_not_change_the_training():
    once, often = ran(replace(SMALL, looks=replace(QUICK, count=1))), ran(replace(SMALL, looks=replace(QUICK, count=3, spectrum="each time")))
    assert [rows[-1] for rows in once.rows] == [rows[-1] for rows in often.rows]
    assert len(often.spectra) == 3


def test_where_the_two_part_later_they_are_one_network_until_then():
    history = ran(replace(SMALL, part=2))
    a, b = ({row.epoch: row.train for row in rows if row.train} for rows in history.rows)
    assert (a[1.0], a[2.0]) == (b[1.0], b[2.0]) and a[3.0] != b[3.0]
    assert [look.epoch for look in history.looks[0]] == [1, 2, 3]
    assert history.looks[0][1] == history.looks[1][1] and history.looks[0][2] != history.looks[1][2]
    assert history.looked == 1 + 1 + 2, "one network is looked at once"


def test_n_beta_is_of_the_data_set_or_of_devinterps_batch_by_name():
    assert Contest().nbeta == pytest.approx(1437 / math.log(1437))
    assert Contest(looks=Looks(nbeta="devinterp-0.2", batch=128)).nbeta == pytest.approx(26.38, abs=0.005)  # the number of paper A's code


def test_looks_come_after_whole_epochs_in_about_equal_ratios_and_where_the_two_part():
    assert Looks(count=8).epochs(20, 0) == (1, 2, 4, 6, 8, 13, 20)
    assert Looks(count=1).epochs(7, 3) == (3, 7)
    assert Looks(count=40).epochs(5, 0) == (1, 2, 3, 4, 5)


def test_a_lane_that_diverges_says_why_and_is_not_looked_at():
    history = ran(replace(SMALL, net=Net(hidden="8-8-8", activation="linear"), b=SGD(lr=1e4, momentum=0.9)))
    assert history.ended[0] is None and "not finite" in history.ended[1]
    assert len(history.looks[0]) == 2 and len(history.looks[1]) < 2
    assert math.isfinite(history.rows[0][-1].train.loss)


# The comparison, on curves where it is known


def looks(losses, values, error=1.0) -> list[Look]:
    return [
        Look(step, float(step), Scores(loss, 1.0), Scores(loss, 1.0), value, error, 1.0, 0.9, 0, 0.0, (), value, error)
        for step, (loss, value) in enumerate(zip(losses, values, strict=True), 1)
    ]


def history(a, b) -> History:
    return History(looks=(a, b))


def test_at_matched_loss_a_difference_that_only_comes_from_the_loss_is_gone():
    """lambda-hat = 10 - 5 log loss for both, B three times as fast: exact in log loss, so the interpolation is, too."""
    slow, fast = np.exp(-np.arange(1.0, 6)), np.exp(-3.1 * np.arange(1.0, 6))

    def law(loss):
        return 10 - 5 * np.log(loss)

    found = verdict(history(looks(slow, law(slow)), looks(fast, law(fast))))
    assert found.equal.values == pytest.approx((35, 87.5)) and found.equal.epochs == (5, 5)
    assert found.same.losses[0] == pytest.approx(math.exp(-5))
    assert found.same.values == pytest.approx((35, 35)) and found.same.epochs == pytest.approx((5, 5 / 3.1))
    share = (5 / 3.1) % 1  # of the way between the estimates around the fast one's diamond, where nothing was measured: they are 15.5 apart
    assert found.same.errors == pytest.approx((1.0, math.hypot(1.0, share * (1 - share) * 15.5)))
    text = sentence(found, ("SGD", "B"))
    assert "After 5 epochs λ̂ is 35.0 ± 1.0 (SGD) and 87.5 ± 1.0 (B)" in text and text.endswith(
        "The difference is gone at the same loss: it only tells who has converged further."
    )


@pytest.mark.parametrize(
    ("shift", "fast", "words"),
    [
        (20.0, 1.0, "B has the larger λ̂ in both comparisons, with this seed"),
        (0.5, 1.0, "No difference beyond two standard errors in either"),
        (-10.0, 1.5, "At the same loss A has the larger λ̂; equal epochs hide it"),
    ],
)
def test_the_sentence_says_what_both_comparisons_give(shift, fast, words):
    a, b = np.exp(-np.arange(1.0, 6)), np.exp(-fast * np.arange(1.0, 6))
    assert words in sentence(verdict(history(looks(a, 10 - 5 * np.log(a)), looks(b, 10 + shift - 5 * np.log(b)))), ("A", "B"))


def test_a_negative_lambda_hat_is_called_meaningless_and_nothing_is_said_before_the_first_look():
    losses = np.exp(-np.arange(1.0, 4))
    assert sentence(verdict(History()), "AB") == ""
    assert sentence(verdict(history(looks(losses[:1], [1]), looks(losses[:1], [2]))), "AB").startswith("After 1 epoch λ̂ is")
    falling = looks(losses, [-9, -8, -7])
    assert "A is at no minimum yet: the chains" in sentence(verdict(history(falling, looks(losses, [1, 2, 3]))), ("A", "B"))
    assert "A and B are at no minimum yet: the chains" in sentence(verdict(history(falling, falling)), ("A", "B"))
    within = sentence(Verdict(Pair((-0.002, 5.0), (0.03, 0.1), (1.0, 1.0), (3, 3)), None), ("A", "B"))
    assert "means nothing" not in within, "0 within its error"
    early = sentence(verdict(history(looks(losses, [-9, 2, 3]), looks(losses[:1].repeat(3), [1, 2, 3]))), ("A", "B"))
    assert "yet: the chains" not in early and early.endswith("they were not both at a minimum (λ̂ < 0): nothing can be compared there yet.")
    apart = verdict(history(looks(losses, [1, 2, 3]), looks(losses * 1e-3, [1, 2, 3])))
    assert apart.same is None and "no training loss in common" in sentence(apart, ("A", "B"))


# In a thread


def test_a_race_answers_pause_before_the_piece_in_work_is_done_ends_with_it_and_goes_on():
    racing, inside, go, answered = Racing(LONG), threading.Event(), threading.Event(), []
    piece = racing._piece

    def held(work):
        inside.set()
        answered.append(go.wait(60))
        piece(work)

    try:
        until(lambda: racing.history.looked > 0)
        racing._piece = held
        assert inside.wait(60)
        racing.pause()
        assert racing.phase == "paused" and racing.busy
        go.set()
        until(lambda: not racing.busy)
        assert answered == [True], "one piece was in work, and the answer came before its end"
        held = racing.history.step, racing.history.looking
        time.sleep(0.3)
        assert (racing.history.step, racing.history.looking) == held
        racing.measure()
        until(lambda: racing.history.spectra and not racing.measuring)
        assert racing.history.step == held[0]
        racing.resume()
        until(lambda: racing.history.step > held[0] or racing.history.looking > held[1] + 0.3)
    finally:
        racing.close()


def test_a_race_that_is_stopped_keeps_what_was_seen_and_lets_its_networks_go():
    racing = Racing(LONG)
    until(lambda: racing.history.looked > 0)
    model = weakref.ref(racing.standings.lanes[0].model)
    racing.stop()
    until(lambda: not racing.busy)
    gc.collect()
    assert model() is None and racing.phase == "stopped" and racing.history.rows[0]
    racing.measure(), racing.resume(), racing.pause()
    assert racing.phase == "stopped" and not racing.busy


def test_two_races_take_turns_and_tell_those_who_look():
    told = []
    first, second = Racing(LONG), Racing(LONG)
    second.watchers.add(lambda: told.append(second.history.step))
    try:
        until(lambda: min(first.history.looked, second.history.looked) > 0.001 and len(told) > 1)
    finally:
        first.close(), second.close()
    until(lambda: not first.busy and not second.busy)


def test_a_link_may_start_a_race_but_never_in_a_tab_that_has_one(monkeypatch):
    begun = []
    monkeypatch.setattr(netlab, "Racing", lambda contest: begun.append(contest) or other)
    other = Racing(LONG)
    other.stop()
    query = {"widget": "networks", "preset": "fisher", "run": "1"}
    tab = tabs.Tab("one")
    for asked in (query | {"run": "0"}, query, query):
        page = netlab.Session(asked)
        page.joined(tab)
        assert page.view.notices == [] and "run" not in page.encode(page.value)
        page.close()
    assert begun == [EXAMPLES["fisher"][1]]


def test_a_lesson_that_goes_on_to_another_race_finds_it_and_the_one_before_when_it_goes_back(monkeypatch):
    monkeypatch.setitem(EXAMPLES, "paper", ("", SMALL))
    monkeypatch.setitem(EXAMPLES, "fisher", ("", replace(SMALL, seed=1)))
    page = netlab.Session({"widget": "networks"})
    page.hear({"open": "preset=paper&run=1"})
    first = page.racing
    until(lambda: first.phase == "done")
    page.hear({"open": "preset=paper&run=1"})
    assert page.racing is first
    page.hear({"open": "preset=fisher"})
    assert page.racing is first and page.value.seed == 1  # nobody asked for a race
    page.hear({"open": "preset=fisher&run=1"})
    second = page.racing
    assert second.contest.seed == 1 and second.live and first.standings is None
    page.hear({"open": "preset=paper&run=1"})
    assert page.racing is first and first.phase == "done" and first.history.rows[0] and second.phase == "stopped"
    page.hear({"open": "preset=fisher&run=1"})
    assert page.racing not in (first, second)  # what was stopped is run again
    page.racing.close()
    page.close()
    until(lambda: not second.busy and not page.racing.busy)


def test_what_cannot_be_run_ends_with_the_reason():
    racing = Racing(replace(SMALL, net=Net("LeNet5")))
    until(lambda: racing.phase == "failed")
    assert "28 x 28" in racing.why


# Text


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_survives_the_link(name):
    value = EXAMPLES[name][1]
    assert decode(encode(value)) == (value, [])


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_every_optimiser_survives_the_link_and_begins_with_its_own_defaults(kind):
    value, messages = decode({"b.rule": kind, "b.lr": "0.125"})
    assert type(value.b) is OPTIMISERS[kind] and value.b.lr == 0.125 and not messages
    assert decode(encode(value)) == (value, [])
    assert netlab.equation(value.b).startswith("$$") and netlab.named(value.b)
    names = {item["name"] for group in netlab.controls(value) for item in group["items"]}
    assert set(encode(value)) - names <= {"v", "b.solver", "a.solver"}


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"a.rule": "Newton"}, "choose one of SGD"),
        ({"a.lr": "fast"}, "not a number"),
        ({"net.hidden": "64-x"}, "whole numbers up to 2048"),
        ({"net.hidden": "2048-2048"}, "at most 2,000,000"),
        ({"net": "LeNet5"}, "28 x 28"),
        ({"part": "30"}, "part before the last"),
        ({"data": "Iris"}, "choose one of Digits"),
        ({"data.size": "30000"}, "30,000"),
        ({"data.root": "/etc"}, "no such value"),
        ({"lerning": "1"}, "no such value"),
    ],
)
def test_what_is_wrong_in_a_link_costs_itself_only(query, said):
    value, messages = decode(query | {"epochs": "7"})
    assert value.epochs == 7 and len(messages) == 1 and said in messages[0]
    assert decode(encode(value)) == (value, [])


def test_data_that_are_not_there_are_named_with_the_remedy_and_not_used(monkeypatch, tmp_path):
    monkeypatch.setenv("LAMBDASCAPE_DATA", str(tmp_path))
    value, (message,) = decode({"data": "MNIST"})
    assert value == Contest() and "LAMBDASCAPE_DATA" in message and "download=True" in message
    choices = netlab.controls(value)[0]["items"][0]["choices"]
    assert [bool(reason) for _, _, reason in choices] == [False, True, True, True]
    (tmp_path / contests.FILES["MNIST"]).parent.mkdir(parents=True)
    (tmp_path / contests.FILES["MNIST"]).touch()
    value, messages = decode({"data": "MNIST", "net": "LeNet5"})
    assert not messages and (value.samples.name, value.samples.size, value.net.kind) == ("MNIST", 10_000, "LeNet5")
    assert value.looks.eps == netlab.SHORT


def test_warnings_of_the_chains_stand_beside_the_comparison():
    calm = looks([1, 0.1], [1, 2])
    warm = [look._replace(warnings=("step too large",)) for look in calm]

    def warned(a, b):
        return netlab.warned(history(a, b), verdict(history(a, b)))

    assert warned(calm, calm) == "" and "(B: step too large)" in warned(calm, warm)
    assert warned(calm[:-1], [*calm[:-1], warm[-1]]) == "", "of a look that is not told yet"
    assert warned(calm, [look._replace(llc=-9.0) for look in warm]) == "", "which is said to be at no minimum"


def test_natural_gradients_are_named_for_what_they_are():
    assert [netlab.named(rule) for rule in (FisherNGD(fisher="empirical"), FisherNGD(fisher="true"), KFAC(), OnlineNGD())] == [
        "NGD, empirical Fisher",
        "NGD, true Fisher",
        "K-FAC",
        "Kaldi's online NG",
    ]
    assert netlab.names(Contest(a=SGD(lr=0.02), b=SGD(lr=0.06))) == ("SGD, η = 0.02", "SGD, η = 0.06")


# Figures


def test_every_source_of_a_figure_is_filled_by_name_and_no_curve_is_long():
    columns = netfigures.sources(SMALL, ran(SMALL))
    there = {renderer.data_source.name: renderer.data_source.column_names for cell in netfigures.CELLS.values() for renderer in cell.make().renderers}
    assert {name: set(found) for name, found in columns.items()} == {name: set(found) for name, found in there.items()}
    frame = Progress(0, 5000, 0.0, 1.0, 0.1, 1.0, 1.0, math.nan, None, None, (), math.nan, None)
    many = History(rows=tuple([frame._replace(step=i, epoch=i / 10) for i in range(5000)] for _ in range(2)))
    curve = netfigures.sources(SMALL, many)["norm-a"]["x"]
    assert len(curve) <= netfigures.POINTS + 1 and curve[-1] == 499.9


def test_ranges_hold_all_that_is_drawn_and_estimates_far_below_zero_do_not_squeeze_the_others():
    found = history(looks([1, 0.1, 0.01], [-300, 10, 12]), looks([1, 0.1, 0.01], [-5, 14, 19]))
    spans = {name: (low, high) for name, low, high in netfigures.spans(found)}
    assert spans["lambda"][1] == 20 and -6 >= spans["lambda"][0] >= -10
    assert len(netfigures.visible(found)) == 5  # all but that below -0.3 times the largest


# In a browser

FAST = {"page": "networks", "net.hidden": "8", "data.size": "300", "epochs": "3", "look.count": "2", "look.draws": "20", "look.burn_in": "5"}
SLOW = FAST | {"epochs": "900", "look.count": "1", "look.draws": "5000"}  # minutes of training, then chains


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    from test_page import Visitor

    windows = []

    class Window(Visitor):
        """A browser window on the networks page."""

        def open(self, query=(), **values):
            self.page.goto(self.home + "?" + urllib.parse.urlencode(dict(query) | values))
            self.page.wait_for_selector(".lab[data-drawn]")
            return self

        def close(self):
            self.stop()
            super().close()

        def press(self, action):
            self.page.locator(f"[data-action={action}]").click()

        def text(self, place):
            return self.page.locator(place).inner_text()

        def shows(self, text, place=".state"):
            self.page.locator(place, has_text=re.compile(text)).wait_for()
            return self.text(place)

        def epoch(self):
            return int(re.search(r"epoch (\d+)/", self.shows(r"epoch \d+/")).group(1))

        def coloured(self, name):
            return self.page.locator(f'figure[data-name="{name}"]').evaluate(PIXELS)["coloured"]

    from test_page import PIXELS

    def make(query=(), viewport=(1400, 850), home=site.home, **values):
        windows.append(Window(browser, home, viewport=viewport))
        return windows[-1].open(query, **values)

    yield make
    for window in windows:
        window.close()


@pytest.mark.browser
def test_a_newcomer_presses_run_and_reads_what_both_comparisons_give(visit, tmp_path):
    window = visit(FAST)
    assert "Press Run" in window.text(".says") and "fair comparison" in window.text("figure.matched .legend")
    empty = window.coloured("loss")
    window.press("run")
    window.shows("done, 3 epochs")
    assert "After 3 epochs λ̂ is" in window.text(".says")
    for name in ("loss", "accuracy", "norm", "spectrum"):
        assert window.coloured(name) > empty + 50, name
    window.page.locator("td", has_text=re.compile("^training loss$")).wait_for()
    with window.page.expect_download() as caught:
        window.page.locator(".save").select_option(".csv")
    caught.value.save_as(tmp_path / "race.csv")
    rows = list(csv.DictReader((tmp_path / "race.csv").read_text().splitlines()))
    assert {row["lane"] for row in rows} == {"A", "B"} and rows[-1]["lambda_hat"] and rows[-1]["eigenvalue_1"]
    assert {row["optimiser"].split("(")[0] for row in rows} == {"SGD", "OnlineNGD"}


@pytest.mark.browser
def test_settings_wait_for_the_next_run_and_a_race_goes_on_on_other_pages_until_the_tab_is_left(visit):
    window = visit(SLOW)
    window.press("run")
    window.shows("epoch [1-9]")
    window.page.locator('input[type=range][name="a.lr"]').focus()
    window.page.keyboard.press("ArrowRight")
    window.shows("settings changed: for the next run")
    before = window.epoch()
    window.page.get_by_role("link", name="Landscape", exact=True).click()
    window.page.wait_for_selector(".lab[data-drawn]:not(.networks)")
    window.page.get_by_role("link", name="Networks", exact=True).click()
    window.page.wait_for_selector(".networks[data-running=true]")
    assert window.epoch() > before and window.coloured("loss") > 50
    assert "settings" not in window.text(".state") and window.query()["a.lr"] == "0.02", "the page has taken over the settings of the race"
    window.press("run")
    held = window.shows("paused at epoch")
    window.page.wait_for_timeout(500)
    assert window.text(".state") == held
    window.press("run")
    window.shows("left|starting")


@pytest.mark.browser
def test_a_race_ends_with_its_tab(visit, inside, monkeypatch):
    """Who walks from one page to the next has the grace of tabs.GRACE seconds to come back; here of half a second."""
    monkeypatch.setattr(tabs, "GRACE", 0.5)
    others = set(tabs._tabs)
    window = visit(SLOW, home=inside.home)
    window.press("run")
    window.shows("epoch [1-9]")
    window.page.goto("about:blank")
    until(lambda: not set(tabs._tabs) - others)
    window.open(SLOW)
    assert "Press Run" in window.text(".says")


@pytest.mark.browser
def test_restart_takes_the_new_settings_and_stop_ends_the_race(visit):
    window = visit(SLOW)
    window.press("run")
    window.shows("epoch [1-9]")
    window.page.locator("select[name='b.rule']").select_option("KFAC")
    window.shows("settings changed")
    window.press("again")
    window.page.locator("figure.loss .legend", has_text="B: K-FAC").wait_for()
    window.shows("epoch [1-9]")
    window.press("spectrum")
    window.page.locator("figure.spectrum .legend", has_text="after epoch").wait_for()
    window.press("stop")
    assert "stopped at epoch" in window.shows("stopped")
    assert window.page.locator("[data-action=spectrum]").is_disabled() and window.page.locator("[data-action=run]").inner_text() == "▶ Run again"


@pytest.mark.browser
def test_axe_finds_no_barrier_on_the_networks_page(visit):
    window = visit(FAST | {"theme": "dark"}, (1024, 640))
    window.press("run")
    window.shows("done")
    assert window.barriers() == []


@pytest.mark.browser
def test_in_a_frame_the_page_has_no_bar_and_its_race_runs(visit):
    query = {name: text for name, text in FAST.items() if name != "page"} | {"widget": "networks", "figures": "loss,matched"}
    window = visit(query, (900, 480))
    assert not window.page.locator("header").is_visible() and window.page.locator("figure.cell").count() == 2
    window.press("run")
    window.shows("done, 3 epochs")
    assert window.coloured("loss") > 50
