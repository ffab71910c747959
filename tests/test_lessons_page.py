"""Lessons in a real browser: followed to the end, answered, moved through, embedded, and told apart from mistakes."""

import contextlib
import functools
import http.server
import re
import threading
import urllib.parse

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[test]'")
from test_page import PATIENCE, Visitor, serving  # noqa: E402

pytestmark = pytest.mark.browser
FOLLOWED = "4-escape"


@contextlib.contextmanager
def another_origin(folder):
    """The address of a server of the files in a folder."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    handler.log_message = lambda *args: None
    with http.server.ThreadingHTTPServer(("localhost", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()


class Reader(Visitor):
    """A browser window on the lessons."""

    def open(self, **query):
        self.page.goto(self.home + "?" + urllib.parse.urlencode({"page": "lessons", **query}))
        self.page.wait_for_selector(".lessons[data-drawn]")
        if "lesson" in query:
            self.page.wait_for_selector(".lessons[data-text]")
        return self

    @property
    def frame(self):
        return self.page.frame_locator("iframe").last

    @property
    def inside(self):
        """The frame's own document."""
        return next(frame for frame in self.page.frames if "widget=" in frame.url and frame.parent_frame)

    def shows(self, **values):
        """Wait until the lab in the frame has these values, and has drawn them."""
        self.page.wait_for_function(
            """wanted => { const frame = document.lab ?? [...(function* walk(root) { for (const node of root.querySelectorAll("*")) {
                   if (node.tagName === "IFRAME") yield node; if (node.shadowRoot) yield* walk(node.shadowRoot) } })(document)][0]
                 const query = new URLSearchParams(frame?.contentWindow?.location.search)
                 return Object.entries(wanted).every(([name, value]) => query.get(name) === value) }""",
            arg=values,
        )

    def step(self, number: int):
        self.page.wait_for_selector(f'.lessons[data-step="{number}"][data-text="{number}"]')

    def press(self, name):
        self.page.get_by_title(name, exact=True).click()


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    windows = []

    def make(**query):
        windows.append(Reader(browser, site.home))
        return windows[-1].open(**query)

    yield make
    for window in windows:
        window.close()


def test_the_index_lists_nine_lessons_and_tells_how_to_write_one(visit):
    window = visit()
    cards = window.page.locator("a.lesson")
    assert cards.count() == 9 and "What is degeneracy?" in cards.first.inner_text() and re.search(r"\d steps", cards.first.inner_text())
    window.page.get_by_text("Write a lesson of your own").click()
    assert "LAMBDASCAPE_LESSONS" in window.page.locator(".write").inner_text()
    cards.nth(3).click()
    window.step(1)
    assert window.query()["lesson"] == FOLLOWED


def test_a_lesson_is_followed_to_its_end_in_one_frame_that_is_never_loaded_anew_within_a_lab(visit):
    window = visit(lesson=FOLLOWED)
    window.frame.locator(".lab[data-drawn]").wait_for()
    sync_api.expect(window.page.locator(".text")).to_contain_text("0.117")
    sync_api.expect(window.page.locator(".text")).not_to_contain_text("$")
    assert window.frame.locator("header").is_hidden() and window.page.locator(".text mjx-container").count() >= 1
    window.inside.evaluate("window.mark = 'the same'")
    window.press("One step on (→)")
    window.step(2)
    window.shows(rule="SDE")
    assert window.page.locator(".answer").is_hidden()
    before = window.frame.locator(".says").inner_text()
    window.page.get_by_role("button", name="Practically zero").click()
    sync_api.expect(window.page.locator(".answer")).to_contain_text("0.00014")
    assert window.page.locator(".choices .right").inner_text().startswith("Practically zero")
    window.shows(**{"b.rule": "SDE", "b.substeps": "4"})
    sync_api.expect(window.frame.locator(".says")).not_to_have_text(before)
    assert window.inside.evaluate("window.mark") == "the same"
    for number in range(3, 8):
        window.page.keyboard.press("ArrowRight")
        window.step(number)
    window.frame.locator(".escape[data-drawn]").wait_for()
    assert window.page.get_by_title("One step on (→)").is_disabled() and window.query()["step"] == "7"
    window.page.get_by_role("button", name="Show the answer").click()
    assert window.page.locator(".answer").is_visible()
    window.page.get_by_role("link", name="Now play: open this in the lab").click()
    window.page.wait_for_selector(".escape[data-drawn]:not(.widget)")
    assert window.query()["y.name"] == "batch" and window.page.locator(".notices p").count() == 0


def test_a_wrong_prediction_is_told_and_the_right_one_shown(visit):
    window = visit(lesson="1-volume", step="2")
    window.page.get_by_role("button", name="Left, at −1.8").click()
    assert window.page.locator(".choices .wrong").inner_text().startswith("Left") and window.page.locator(".choices .right").count() == 1
    sync_api.expect(window.page.locator(".answer")).to_contain_text("57")


def test_the_address_is_the_step_and_back_and_reload_find_it(visit):
    window = visit(lesson="5-multiplicity", step="4")
    window.shows(p="1", k="1")
    window.page.keyboard.press("ArrowRight")
    window.step(5)
    window.page.reload()
    window.step(5)
    window.page.keyboard.press("ArrowLeft")
    window.step(4)
    window.page.go_back()
    window.step(5)
    window.page.go_back()
    window.step(4)
    assert window.page.locator("h2.heading").inner_text() == "A flatter line"
    window.page.get_by_role("button", name="Step 7: Text and code").click()
    window.step(7)
    window.shows(p="2", k="2")


def test_a_picture_that_would_tell_the_answer_comes_with_it(visit):
    window = visit(lesson="5-multiplicity", step="4")
    cover = window.page.locator(".waiting[data-kind=before]")
    sync_api.expect(cover).to_have_text("Predict first; the picture follows")
    window.page.get_by_role("button", name="1/8").click()
    window.shows(p="1", k="2")
    sync_api.expect(window.page.locator(".waiting")).to_be_hidden()
    window.press("One step on (→)")
    window.step(5)
    sync_api.expect(window.page.locator(".waiting")).to_be_hidden()


FOCUSED = """() => {
  let node = document.activeElement
  while (node.shadowRoot?.activeElement) node = node.shadowRoot.activeElement
  return node.className
}"""


def test_the_focus_stays_near_what_went_away_and_a_clicker_works_within_the_frame(visit):
    window = visit(lesson="1-volume", step="2")
    window.frame.locator(".lab[data-drawn]").wait_for()
    window.page.get_by_role("button", name="Show the answer").focus()
    window.page.keyboard.press("Enter")
    assert window.page.evaluate(FOCUSED) == "answer"
    window.page.keyboard.press("ArrowRight")
    window.step(3)
    assert window.page.evaluate(FOCUSED) == "scroll"
    window.frame.locator(".scrub").focus()
    window.page.keyboard.press("PageDown")  # what a lecturer's clicker sends
    window.step(4)
    window.page.keyboard.press("PageUp")
    window.step(3)


def test_the_menu_of_the_frame_is_closed_by_the_next_step_and_not_by_the_way_back_to_this_one(visit):
    window = visit(lesson="2-bayes", step="2")
    window.frame.locator(".lab[data-drawn]").wait_for()
    window.frame.locator(".drawer").click()
    window.press("Back to this step's picture")
    sync_api.expect(window.page.locator(".waiting")).to_be_hidden()
    assert window.frame.locator(".lab.open").count() == 1
    window.press("One step on (→)")
    window.step(3)
    window.frame.locator(".lab:not(.open)").wait_for()


def test_now_play_opens_the_picture_that_a_prediction_would_have_shown(visit):
    window = visit(lesson="5-multiplicity", step="8")
    sync_api.expect(window.page.locator(".waiting[data-kind=before]")).to_be_visible()
    link = window.page.get_by_role("link", name="Now play")
    link.hover()
    assert "landscape=NormalCrossing" in link.get_attribute("href")


def test_large_type_stays_from_page_to_page_and_is_part_of_an_embedded_frame(visit):
    window = visit(lesson="1-volume")
    large = window.page.get_by_role("button", name="Larger type, for a projector")
    large.click()
    window.page.get_by_role("button", name="Embed").click()
    assert "projector=1" in window.page.locator("dialog textarea").input_value()
    assert window.page.locator("dialog .command").count() == 0, "a lesson has no run to export"
    window.page.keyboard.press("Escape")
    window.page.get_by_role("link", name="Deep linear").click()
    window.page.wait_for_selector(".lab.dln.projector")
    large.click()
    window.page.reload()
    window.page.wait_for_selector(".lab.dln:not(.projector)")


def test_in_a_deck_of_another_origin_a_clicker_turns_the_slides_and_keys_play_the_frame(browser, site, tmp_path):
    told = "window.told = []; addEventListener('message', event => { if (typeof event.data === 'string') told.push(event.data) })"
    frames = "".join(f'<iframe src="{site.home}?widget={name}" width="800" height="450"></iframe>' for name in ("landscape", "dln"))
    (tmp_path / "deck.html").write_text(f"<!DOCTYPE html><title>Deck</title><script>{told}</script>{frames}")
    with another_origin(tmp_path) as origin:
        context = browser.new_context(viewport={"width": 1700, "height": 500})
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.goto(f"{origin}/deck.html")
        for i in range(2):
            page.frame_locator("iframe").nth(i).locator(".lab .cell").first.wait_for()
            page.frame_locator("iframe").nth(i).locator(".says").first.click()
            page.keyboard.press("PageDown")
            page.keyboard.press("PageUp")
        page.wait_for_function("told.length === 4")
        assert page.evaluate("told") == ['{"method":"next"}', '{"method":"prev"}'] * 2
        lab = page.frame_locator("iframe").first
        lab.locator('.lab[data-draft="false"]').wait_for()
        lab.locator("body").evaluate("() => { window.focus(); document.activeElement.blur() }")
        page.keyboard.press("End")
        sync_api.expect(lab.locator(".clock")).to_contain_text("step 200 of 200")
        page.keyboard.press("Home")
        sync_api.expect(lab.locator(".clock")).to_contain_text("step 0 of 200")
        context.close()


def test_a_sentence_on_the_posterior_stands_only_over_figures_that_show_it(visit):
    for lesson, told in (("1-volume", False), ("2-bayes", True)):
        window = visit(lesson=lesson)
        sync_api.expect(window.frame.locator(".says")).to_contain_text("none diverged")
        assert ("Bayes, with" in window.frame.locator(".says").inner_text()) == told


def test_a_bubble_of_the_frame_goes_when_the_pointer_leaves_it(visit):
    window = visit(lesson="1-volume")
    window.frame.locator(".lab[data-drawn]").wait_for()
    bubble = window.frame.locator(".bubble")
    window.frame.locator("h2[data-help]").first.hover()
    sync_api.expect(bubble).to_be_visible()
    window.page.locator("h2.heading").hover()
    sync_api.expect(bubble).to_be_hidden()
    window.frame.locator("h2[data-help]").first.focus()
    sync_api.expect(bubble).to_be_visible()
    window.page.keyboard.press("Escape")
    sync_api.expect(bubble).to_be_hidden()


def test_a_map_keeps_both_axes_to_one_scale_when_it_becomes_smaller(visit):
    scales = """() => { const map = Bokeh.documents[0].get_model_by_name("map"), {x_range, y_range} = map
      return [map.inner_width, map.inner_width / (x_range.end - x_range.start), map.inner_height / (y_range.end - y_range.start)] }"""
    window = visit(lesson="5-multiplicity", step="1")
    window.frame.locator(".lab[data-geometry]").wait_for()  # all has come that would draw it anew
    square = f"wide => {{ const [width, across, up] = ({scales})(); return width < wide && Math.abs(across / up - 1) < 0.02 }}"
    window.inside.wait_for_function(square, arg=1e9)
    wide, *_ = window.inside.evaluate(scales)
    window.page.set_viewport_size({"width": 1000, "height": 850})
    window.inside.wait_for_function(square, arg=0.8 * wide)


def test_what_a_reader_has_changed_goes_along_into_the_lab_and_can_be_undone(visit):
    window = visit(lesson=FOLLOWED)
    window.frame.locator('.lab[data-draft="false"]').wait_for()
    window.frame.get_by_role("button", name="Settings").click()
    box = window.frame.locator('[id="field-lr"]')
    box.fill("0.0123")
    box.press("Enter")
    window.shows(lr="0.0123")
    window.press("Back to this step's picture")
    window.shows(lr="0.02")
    box.fill("0.0145")
    box.press("Enter")
    window.shows(lr="0.0145")
    window.page.get_by_role("link", name="Open in the lab").click()
    window.page.wait_for_selector(".lab[data-drawn]:not(.widget)")
    assert window.query()["lr"] == "0.0145" and window.query()["page"] == "landscape"
    named = window.query()["figures"].split(",")
    shown = [figure.get_attribute("data-name") for figure in window.page.locator("figure.cell:visible").all()]
    assert shown[: len(named)] == named and len(shown) > len(named), "what the lesson showed comes first"


def test_theme_and_type_reach_the_frame(visit):
    window = visit(lesson="1-volume")
    window.frame.locator(".lab[data-theme=light]").wait_for()
    window.page.get_by_role("button", name="Light or dark").click()
    window.frame.locator(".lab[data-theme=dark]").wait_for()
    window.page.get_by_role("button", name="Larger type, for a projector").click()
    window.frame.locator(".lab.projector").wait_for()
    window.page.keyboard.press("Escape")


def test_a_lesson_shows_as_a_frame_on_a_page_of_another_origin(browser, site, tmp_path):
    """As in Moodle: a page on another port has the lesson in a frame, which has its lab in one of its own."""
    source = f"{site.home}?widget=lessons&lesson=1-volume&step=2"
    (tmp_path / "course.html").write_text(f'<!DOCTYPE html><title>Course</title><iframe src="{source}" width="1200" height="700"></iframe>')
    with another_origin(tmp_path) as origin:
        context = browser.new_context(viewport={"width": 1300, "height": 760})
        context.set_default_timeout(PATIENCE)
        errors = []
        context.on("weberror", lambda error: errors.append(str(error.error)))
        page = context.new_page()
        page.goto(f"{origin}/course.html")
        outer = page.frame_locator("iframe")
        outer.locator(".lessons[data-text='2']").wait_for()
        assert outer.locator("header").is_hidden()
        outer.get_by_role("button", name="Right, at +1.8").click()
        sync_api.expect(outer.locator(".answer")).to_contain_text("57")
        outer.frame_locator("iframe").locator("figure.volume").wait_for()
        context.close()
    assert errors == []


def test_a_hostile_address_gives_a_live_page_with_a_notice(visit):
    window = visit()
    for query in ({"lesson": "<script>alert(1)</script>"}, {"lesson": "1-volume", "step": "99999999999999999999"}):
        window.page.goto(window.home + "?" + urllib.parse.urlencode({"page": "lessons", **query}))
        window.page.locator(".notices p").first.wait_for()
        assert window.page.locator("a.lesson, .reading").first.is_visible()


def test_a_lecturers_own_lesson_stands_beside_the_others_and_its_mistakes_are_told(browser, tmp_path, monkeypatch):
    steps = (
        "## One\nshow: figures=potential,potentials&lr=0.01&nonsense=1\n\nText of {{3|a measurement}}. ![a disc](disc.svg)\n\n"
        "question: When?\n- [ ] never <b>\n- [x] $\\eta H > 2$\nanswer: So.\n\n## Two\nshow: lr=0.02\n\nMore.\n"
    )
    (tmp_path / "own.md").write_text(f"# My own\nMine.\n\n{steps}", encoding="utf-8")
    disc = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40"><circle cx="20" cy="20" r="20"/></svg>'
    (tmp_path / "disc.svg").write_text(disc, encoding="utf-8")
    (tmp_path / "wrong.md").write_text("# Broken\nMine.\n\n## One\nNo picture.\n", encoding="utf-8")
    monkeypatch.setenv("LAMBDASCAPE_LESSONS", str(tmp_path))
    with serving() as (site, _):
        window = Reader(browser, site.home).open()
        assert window.page.locator("a.lesson").count() == 10
        told = "line 4: the first step needs a line show:", "own.md, line 5: nonsense", "own.md, line 5: figures = 'potentials'; choose"
        for words in told:
            sync_api.expect(window.page.locator(".notices p").filter(has_text=words)).to_have_count(1)
        window.page.get_by_text("My own").click()
        window.step(1)
        for words in told[1:]:
            sync_api.expect(window.page.locator(".notices p").filter(has_text=words)).to_have_count(1)
        assert window.page.get_by_alt_text("a disc").evaluate("image => image.decode().then(() => image.naturalWidth)") == 40
        assert window.page.locator(".choices math").count() == 1 and window.page.locator(".choices button").first.inner_text() == "never <b>"
        assert window.page.locator(".computed").get_attribute("data-help") == "a measurement", "nobody has computed it"
        window.frame.locator("figure.potential, figure[data-name=potential]").first.wait_for()
        assert window.frame.locator("figure.cell:visible").count() == 1, "another step names none"
        window.close()


def test_nothing_sticks_out_of_the_window(visit):
    window = visit(lesson="7-estimate", step="1")
    for width, height in ((1400, 850), (1024, 640), (390, 800)):
        window.resize(width, height)
        assert window.page.locator(".lab").first.evaluate("lab => lab.scrollWidth <= lab.clientWidth"), width
        for name in (".reading", "iframe", ".foot"):
            box = window.page.locator(name).bounding_box()
            assert box["width"] > 250 and box["x"] >= 0 and box["x"] + box["width"] <= width, (name, width)


@pytest.mark.parametrize(("query", "theme"), [({}, "light"), ({"lesson": "2-bayes", "step": "2"}, "light"), ({"lesson": "4-escape"}, "dark")])
def test_axe_finds_no_barrier(visit, query, theme):
    window = visit(**query, theme=theme)
    if "step" in query:
        window.page.get_by_role("button", name="Show the answer").click()
    buttons = window.page.locator("header button, .reading button").evaluate_all("all => all.map(one => [one.ariaLabel, one.innerText])")
    assert [said for said, read in buttons if said and re.search(r"[^\W\d_]{2}", read) and not said.startswith(read)] == []  # said is what is read
    assert window.barriers("iframes: false, ") == []
