"""The first page in a real browser: it moves, its sliders act at once and in the browser alone, and it leads on."""

import re
import urllib.parse

import pytest

from app import home
from dynamics import Posterior, Simulation, Uniform

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install -e '.[test]'")
from test_page import Visitor  # noqa: E402


class Home(Visitor):
    def open(self, **query):
        self.page.goto(self.home + ("?" + urllib.parse.urlencode(query) if query else ""))
        self.page.wait_for_selector(".home[data-drawn]")
        return self

    @property
    def step(self) -> int:
        return int(self.page.locator("canvas").get_attribute("data-step"))

    def moves(self):
        """Wait until another step is shown."""
        self.page.wait_for_function("([canvas, step]) => canvas.dataset.step !== step", arg=[self.page.query_selector("canvas"), str(self.step)])

    def shares(self) -> list[float]:
        """In per cent: SGD, natural gradient, Bayes."""
        return [float(re.sub(r"[^\d.]", "", text)) for text in self.page.locator(".rows output").all_inner_texts()]

    def slide(self, name: str, key: str):
        self.page.locator(f'input[name="{name}"]').press(key)


@pytest.fixture
def visit(browser, site):
    windows = []

    def make(motion=False, **query):
        windows.append(Home(browser, site.home, motion=motion))
        return windows[-1].open(**query)

    yield make
    for window in windows:
        window.close()


@pytest.fixture(scope="module")
def opened(browser, site):
    """One window for all tests that leave it as they found it."""
    window = Home(browser, site.home, motion=True).open()
    yield window
    window.close()


@pytest.mark.browser
def test_the_first_picture_moves(opened):
    opened.moves()


@pytest.mark.browser
def test_its_numbers_are_those_of_the_simulation_and_of_the_exact_posterior(visit):
    """The browser has the streams of Python, so the shares agree to the last digit shown."""
    window = visit()
    assert window.step == home.STEPS
    shown = window.shares()
    for name, share in zip("ab", shown, strict=False):
        out = Simulation(home.WELL, home.RULES[name], n=600, steps=home.STEPS, seed=1, start=Uniform(*home.START)).run()
        assert share == pytest.approx(100 * (1 - out.share_left[-1]), abs=0.06)
    assert shown[2] == pytest.approx(100 * Posterior(home.WELL, 1000).masses()[1], abs=0.06)


@pytest.mark.browser
def test_sliders_act_at_once_and_ask_the_server_for_nothing(visit):
    window = visit()
    before, sent = window.shares(), len(window.sent)
    window.slide("lr", "Home")
    window.slide("n", "Home")
    after = window.shares()
    assert after[0] < before[0] - 20 and after[1] == before[1] and after[2] < before[2] - 5
    assert after[2] == pytest.approx(100 * Posterior(home.WELL, 1).masses()[1], abs=0.06)
    assert len(window.sent) == sent
    window.page.get_by_role("link", name="Open this in the lab").click()
    window.page.wait_for_selector(".lab[data-drawn]:not(.home)")
    query = window.query()
    assert (query["lr"], query["bayes.samples"], query["b.rule"]) == ("0.004", "1", "NGD")
    assert window.page.locator(".notices p").count() == 0


@pytest.mark.browser
def test_it_leads_to_every_lab_and_lesson_and_old_links_still_lead_to_the_landscape(visit, site):
    window = visit(theme="dark")
    links = [urllib.parse.parse_qs(urllib.parse.urlsplit(link.get_attribute("href")).query) for link in window.page.locator("main a").all()]
    assert {"landscape", "escape", "llc", "dln", "networks"} <= {link["page"][0] for link in links} and all(
        link["theme"] == ["dark"] for link in links
    )
    assert len({link["lesson"][0] for link in links if "lesson" in link}) == 9
    window.page.get_by_role("link", name="Start with lesson 1").click()
    window.page.wait_for_selector(".lessons[data-text='1'][data-theme=dark]")
    window.page.locator(".brand").click()
    window.page.wait_for_selector(".home[data-drawn]")
    window.page.goto(site.home + "?lr=0.0123")
    window.page.wait_for_selector(".lab[data-drawn]:not(.home)")
    assert window.query()["lr"] == "0.0123"


@pytest.mark.browser
def test_space_pauses(opened):
    opened.page.locator(".home").press("Space")
    at = opened.step
    opened.page.wait_for_timeout(400)
    assert opened.step == at
    opened.page.get_by_role("button", name="Play").click()
    opened.moves()


@pytest.mark.browser
def test_nothing_sticks_out_of_the_window(opened):
    for width, height in ((1024, 640), (390, 800), (1400, 850)):
        opened.resize(width, height)
        assert opened.page.locator(".lab").evaluate("lab => lab.scrollWidth <= lab.clientWidth"), width
        assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width


@pytest.mark.browser
def test_axe_finds_no_barrier(opened):
    for _ in opened.themes():
        assert opened.barriers() == []
