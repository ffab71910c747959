"""The first page in a real browser: it moves, its sliders act at once and in the browser alone, and it leads on."""

import pathlib
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

    def shares(self) -> list[float]:
        """In per cent: SGD, natural gradient, Bayes."""
        return [float(re.sub(r"[^\d.]", "", text)) for text in self.page.locator(".rows output").all_inner_texts()]

    def slide(self, name: str, key: str):
        self.page.locator(f'input[name="{name}"]').press(key)


@pytest.fixture
def visit(browser, site):
    windows = []

    def make(window=(), **query):
        windows.append(Home(browser, site.home, **dict(window)))
        return windows[-1].open(**query)

    yield make
    for window in windows:
        window.close()


@pytest.mark.browser
def test_the_first_picture_moves(visit):
    window = visit()
    first = window.step
    window.page.wait_for_timeout(700)
    assert window.step > first


@pytest.mark.browser
def test_its_numbers_are_those_of_the_simulation_and_of_the_exact_posterior(visit):
    """The browser has the streams of Python, so the shares agree to the last digit shown."""
    window = visit(window={"reduced_motion": "reduce"})
    assert window.step == home.STEPS
    shown = window.shares()
    for name, share in zip("ab", shown, strict=False):
        out = Simulation(home.WELL, home.RULES[name], n=600, steps=home.STEPS, seed=1, start=Uniform(*home.START)).run()
        assert share == pytest.approx(100 * (1 - out.share_left[-1]), abs=0.06)
    assert shown[2] == pytest.approx(100 * Posterior(home.WELL, 1000).masses()[1], abs=0.06)


@pytest.mark.browser
def test_sliders_act_at_once_and_ask_the_server_for_nothing(visit):
    window = visit(window={"reduced_motion": "reduce"})
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
def test_space_pauses(visit):
    window = visit()
    window.page.locator(".home").press("Space")
    at = window.step
    window.page.wait_for_timeout(400)
    assert window.step == at
    window.page.get_by_role("button", name="Play").click()
    window.page.wait_for_timeout(500)
    assert window.step != at


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1400, 850), (1024, 640), (390, 800)])
def test_nothing_sticks_out_of_the_window(visit, width, height):
    window = visit(window={"viewport": {"width": width, "height": height}})
    assert window.page.locator(".lab").evaluate("lab => lab.scrollWidth <= lab.clientWidth")
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_no_barrier(visit, theme):
    package = pytest.importorskip("axe_playwright_python", reason="no axe: pip install -e '.[test]'")
    window = visit(theme=theme)
    window.page.evaluate((pathlib.Path(package.__file__).parent / "axe.min.js").read_text())
    found = window.page.evaluate("axe.run({runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']})")
    assert [(bad["id"], [node["target"] for node in bad["nodes"]][:3], bad["help"]) for bad in found["violations"]] == []
