"""The escape lab in a real browser: a map that grows, is read, opened, saved, changed, cancelled and found again."""

import csv
import re
import threading
import urllib.parse

import pytest

from app import escape
from app.escape import EXAMPLES

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[test]'")
from test_page import PATIENCE, Visitor  # noqa: E402

pytestmark = pytest.mark.browser
SMALL = {"x.count": "4", "y.count": "3", "n": "300", "steps": "30", "cells": "200"}  # a second of work
LONG = {"n": "20000", "steps": "500", "seed": "3"}  # 25 s of work


class Map(Visitor):
    """A browser window on the escape lab."""

    def open(self, query=(), **values):
        self.page.goto(self.home + "?" + urllib.parse.urlencode({"page": "escape", **dict(query), **values}))
        self.page.wait_for_selector(".escape[data-drawn]")
        return self

    def complete(self, timeout=PATIENCE):
        self.page.wait_for_selector(".escape[data-complete=true][data-running=false]", timeout=timeout)
        return self

    def until(self, **data):
        self.page.wait_for_selector(".escape" + "".join(f"[data-{name}={value}]" for name, value in data.items()))

    def at_least(self, cells: int):
        sync_api.expect(self.page.locator(".state")).to_have_text(re.compile("cells"), timeout=PATIENCE)
        while int(self.page.locator(".escape").get_attribute("data-drawn")) < cells:
            self.page.wait_for_timeout(50)

    def press(self, name):
        self.page.get_by_title(name).click()

    def type(self, **values):
        for name, value in values.items():
            box = self.page.locator(f'[id="field-{name}"]')
            box.fill(value)
            box.press("Enter")

    def text(self, place):
        return self.page.locator(place).inner_text()

    def fills(self, name):
        """The colours of a map's cells, row by row."""
        return self.page.locator(f'figure[data-name="{name}"] svg > g').first.evaluate("g => [...g.children].map(rect => rect.getAttribute('fill'))")


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    windows = []

    def make(query=(), **values):
        windows.append(Map(browser, site.home))
        return windows[-1].open(query, **values)

    yield make
    for window in windows:
        window.close()


@pytest.fixture(scope="module")
def opened(browser, site):
    """One window on the small map for all tests that leave it as they found it."""
    window = Map(browser, site.home).open(SMALL)
    yield window
    window.close()


@pytest.fixture
def small(opened):
    """That window, with its map complete."""
    opened.complete()
    yield opened
    assert opened.errors == []


def test_the_first_map_comes_by_itself_and_the_second_visitor_finds_it_done(visit):
    """How soon it comes `bench_page.py` tells."""
    window = visit().complete(4 * PATIENCE)
    for name in ("rate", "exact"):
        assert len(window.fills(name)) == 120 and len(set(window.fills(name))) > 40
    assert "agree within the Monte-Carlo error" in window.text(".says")
    assert "Cancel" not in window.text(".bar")
    assert visit().page.locator(".escape").get_attribute("data-drawn") == "120", "at the first look"


def test_a_reload_finds_the_same_map(small):
    window = small
    before = window.fills("rate"), window.text(".says"), window.page.url
    window.page.reload()
    window.complete()
    assert (window.fills("rate"), window.text(".says"), window.page.url) == before


def test_the_pointer_reads_a_cell_in_words_and_a_click_opens_it_in_the_landscape_lab(small):
    window = small
    box = window.page.locator('figure[data-name="exact"] .over').bounding_box()
    window.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    window.until(chosen='"3,1"')
    said = window.text(".readout")
    assert re.search(
        r"η = 0\.03, w₀ = 1\.75 \(ηH = 4\.50\) Sampled: 0\.\d+ ± 0\.\d+ per step; .* never diverge\. Exact: 0\.\d+ per step\. They differ by \d", said
    ), said
    window.page.mouse.click(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    window.page.wait_for_selector(".lab[data-drawn]:not(.escape)")
    query = window.query()
    assert (query["lr"], query["w0"], query["b.rule"], query["n"], query["steps"]) == ("0.03", "1.75", "none", "300", "30")
    assert window.page.locator(".notices p").count() == 0
    window.page.go_back()
    window.complete()


def test_a_map_is_read_and_opened_with_the_keyboard(small):
    window = small
    window.page.locator('figure[data-name="rate"] .over').focus()
    for key in ("ArrowLeft",) * 9 + ("ArrowDown",) * 9 + ("ArrowRight",):
        window.page.keyboard.press(key)
    window.until(chosen='"1,0"')
    assert "w₀ = 1.3" in window.text(".readout")
    window.page.keyboard.press("Enter")
    window.page.wait_for_selector(".lab[data-drawn]:not(.escape)")
    assert window.query()["w0"] == "1.3"
    window.page.go_back()
    window.complete()


def test_table_and_pictures_are_saved(small, tmp_path):
    window = small
    for kind in ("CSV", "SVG", "PNG"):
        with window.page.expect_download() as caught:
            window.press(f"Save the map as {kind}")
        assert caught.value.suggested_filename == f"escape-lr-w0.{kind.lower()}"
        caught.value.save_as(tmp_path / kind)
    rows = list(csv.DictReader((tmp_path / "CSV").read_text().splitlines()))
    assert len(rows) == 12 and {row["w0"] for row in rows} == {"1.3", "1.75", "2.2"}
    svg = (tmp_path / "SVG").read_text()
    assert svg.startswith("<svg") and svg.count("<rect") > 24 and "learning rate" in svg
    assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG") and (tmp_path / "PNG").stat().st_size > 20_000


def test_while_a_film_is_made_its_menu_stays_closed_whatever_else_happens(browser, inside, monkeypatch):
    made = threading.Event()
    monkeypatch.setattr("app.page.recorded", lambda link, suffix, wanted: made.wait(60) and b"GIF89a")
    window = Map(browser, inside.home).open(SMALL).complete()
    menu = window.page.get_by_label("Save as a file")
    menu.select_option(".gif")
    sync_api.expect(menu).to_be_disabled()
    window.type(n="40000", steps="200")
    window.until(stale="true")
    assert menu.is_disabled()
    with window.page.expect_download() as saved:
        made.set()
    assert saved.value.suggested_filename == "lambdascape-escape.gif"
    sync_api.expect(menu).to_be_enabled()
    window.close()


def test_changed_settings_say_that_the_map_is_of_those_before_until_it_is_recomputed_or_they_are_undone(visit):
    window = visit(SMALL).complete()
    before = window.fills("rate")
    window.type(n="40000", steps="200")
    window.until(stale="true")
    assert "Settings changed" in window.text(".state") and window.fills("rate") == before
    window.press("Set the controls to what the map shows")
    window.until(stale="false")
    assert window.page.locator('[id="field-n"]').input_value() == "300" and window.query()["n"] == "300"
    window.type(n="40000", steps="200")
    window.press("Compute the map")
    window.until(stale="false")
    window.complete()
    assert window.fills("rate") != before and "40,000 trajectories" in window.text(".intro")


def test_a_change_that_costs_little_needs_no_button(visit):
    window = visit(SMALL).complete()
    window.type(n="200")
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('n') === '200'")
    window.complete()
    assert "200 trajectories" in window.text(".intro") and not window.page.get_by_title("Compute the map").is_visible()


def test_a_sweep_is_cancelled_kept_and_gone_on_with(visit):
    window = visit(SMALL | LONG, **{"x.count": "20"})
    if window.page.get_by_title("Compute the map").is_visible():
        window.press("Compute the map")
    window.at_least(2)
    assert "left" in window.text(".state") or "cells" in window.text(".state")
    window.press("Stop here")
    window.until(running="false")
    stopped = int(window.page.locator(".escape").get_attribute("data-drawn"))
    assert "stopped at" in window.text(".state")
    window.page.wait_for_timeout(500)
    assert int(window.page.locator(".escape").get_attribute("data-drawn")) == stopped < 60
    window.press("Compute the map")
    window.at_least(stopped + 1)
    window.press("Stop here")


def test_each_example_opens_with_its_controls_and_link(visit):
    window = visit(SMALL).complete()

    def shows(url, value):
        return escape.decode(dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(url).query))) == (value, [])

    for name, value in EXAMPLES.items():
        window.page.locator(".story-choice").select_option(name)
        window.page.wait_for_url(lambda url, value=value: shows(url, value))
        window.until(stale="false")
        assert window.page.locator('[id="field-x.name"]').input_value() == value.x.name


def test_what_has_no_exact_law_is_hatched_and_explained(visit):
    window = visit(SMALL, **{"y.name": "momentum", "y.low": "0.2"}).complete()
    assert set(window.fills("exact")) == {"url(#unknown)"} and "url(#unknown)" not in window.fills("rate")
    assert "No exact rate here: μ > 0" in window.text('figure[data-name="exact"] .legend')
    sampled, exact = (window.page.locator(f'figure[data-name="{name}"] svg').bounding_box() for name in ("rate", "exact"))
    assert (sampled["y"], sampled["height"]) == (exact["y"], exact["height"]), "side by side, however long the words above one are"
    window = visit(SMALL, rule="UnderdampedSDE").complete()
    assert "No exact rate here: SDE (momentum) has no law here" in window.text('figure[data-name="exact"] .legend')


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"x.name": "<script>alert(1)</script>", "n": "NaN", "rule": "os.system"}, "choose one of"),
        ({"x.low": "9", "x.high": "1", "y.count": "1e9", "landscape": "Valley"}, "two variables"),
        ({"%00": "\x00", "start": "9" * 5000, "cells": "-1"}, "start"),
    ],
)
def test_a_hostile_link_gives_a_live_page_with_notices(visit, query, words):
    window = visit(SMALL | query)
    assert any(words in text for text in window.page.locator(".notices p").all_inner_texts())
    window.press("Reset: back to the first map (r)")
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('n') === '1000'")


def test_what_does_not_fit_is_refused_with_the_number_and_the_page_lives(small):
    window = small
    window.type(n="10000000")
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('n') === '10000000'")
    assert "10,000,000 trajectories at once need about 1.0 GB of at most 0.1" in window.text(".state")
    assert window.page.get_by_title("Compute the map").is_disabled()
    window.type(n="300")
    window.until(stale="false")


def test_the_pages_lead_to_each_other(visit):
    window = visit(SMALL, theme="dark").complete()
    window.page.get_by_role("link", name="Landscape", exact=True).click()
    window.page.wait_for_selector(".lab[data-drawn]:not(.escape)")
    assert window.query()["theme"] == "dark"
    window.page.get_by_role("link", name="Escape", exact=True).click()
    window.page.wait_for_selector(".escape[data-drawn][data-theme=dark]")


def test_nothing_sticks_out_of_the_window(small):
    for width, height in ((1024, 640), (390, 800), (1400, 850)):
        small.resize(width, height)
        assert small.page.locator(".lab").evaluate("lab => lab.scrollWidth <= lab.clientWidth"), width
        for name in ("rate", "exact"):
            box = small.page.locator(f'figure[data-name="{name}"] svg').bounding_box()
            assert box["width"] > 250 and box["height"] > 200 and box["x"] >= 0 and box["x"] + box["width"] <= width


def test_the_difference_of_the_maps_is_chosen_by_keyboard_read_and_saved(small, tmp_path):
    window = small
    assert not window.page.locator('figure[data-name="z"]').is_visible()
    chooser = window.page.get_by_label("Maps")
    chooser.focus()
    window.page.keyboard.press("ArrowDown")
    window.page.locator('figure[data-name="z"] svg').wait_for()
    assert chooser.input_value() == "difference" and window.page.locator('figure[data-name="z"]').is_visible()
    assert not window.page.locator('figure[data-name="rate"]').is_visible()
    fills = window.fills("z")
    assert len(fills) == 12 and len(set(fills)) > 4
    assert window.page.get_by_role("img", name=re.compile("Colour scale of the difference")).is_visible()
    window.page.locator('figure[data-name="z"] .over').focus()
    window.page.keyboard.press("ArrowLeft")
    assert "standard errors" in window.text(".readout")
    window.page.keyboard.press("ArrowRight")
    chooser.select_option("all")
    window.page.locator('figure[data-name="rate"] svg').wait_for()
    assert all(window.page.locator(f'figure[data-name="{name}"]').is_visible() for name in ("rate", "exact", "z"))
    with window.page.expect_download() as caught:
        window.press("Save the map as SVG")
    caught.value.save_as(tmp_path / "map.svg")
    assert "in standard errors" in (tmp_path / "map.svg").read_text()
    assert window.query()["maps"] == "all"
    window.page.reload()
    window.complete()
    assert window.page.get_by_label("Maps").input_value() == "all" and window.page.locator('figure[data-name="z"]').is_visible()
    window.page.get_by_label("Maps").select_option("both")
    assert "maps" not in window.query()


def test_a_cell_of_the_difference_has_the_colour_of_its_number(small):
    """White at 0, blue below, orange above; z is that of the table."""
    window = small
    window.page.get_by_label("Maps").select_option("difference")
    window.page.locator('figure[data-name="z"] svg').wait_for()
    with window.page.expect_download() as caught:
        window.press("Save the map as CSV")
    rows = list(csv.DictReader(caught.value.path().read_text().splitlines()))
    for row, fill in zip(rows, window.fills("z"), strict=True):
        z = float(row["z"])
        if z != z:
            assert fill == "url(#unknown)"
            continue
        red, _, blue = map(int, re.findall(r"\d+", fill))
        assert (red > blue) == (z > 0) or abs(z) < 0.2
    window.page.get_by_label("Maps").select_option("both")


def test_a_polynomial_of_ones_own_has_a_map(visit):
    window = visit(SMALL)
    window.page.locator('select[name="landscape"]').select_option("Polynomial")
    window.page.locator('[id="field-text"]').wait_for()
    window.type(text="(w+1)*(w-1)^3")
    sync_api.expect(window.page.locator(".intro")).to_contain_text("Q = (w+1)*(w-1)^3", timeout=PATIENCE)
    window.complete()
    assert len(set(window.fills("exact"))) > 4 and window.query()["text"] == "(w+1)*(w-1)^3"
    window.type(text="w1*w2")
    window.page.locator(".notices p", has_text="two variables").wait_for()
    assert window.query()["text"] == "(w+1)*(w-1)^3"
    window.page.locator(".readout a").click()
    window.page.wait_for_selector(".lab[data-drawn]:not(.escape)")
    assert window.query()["text"] == "(w+1)*(w-1)^3" and window.page.locator(".notices p").count() == 0


def test_axe_finds_no_barrier_in_the_escape_lab(small):
    small.page.get_by_label("Maps").select_option("all")
    small.page.locator('figure[data-name="rate"] svg').wait_for()
    for _ in small.themes():
        assert small.barriers() == []
    small.page.get_by_label("Maps").select_option("both")
