"""The page in a real browser, as a visitor finds it: drawn, moved, played, shared, abused, and left."""

import gc
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter
from contextlib import contextmanager

import pytest

import app.escape
import app.pages
from dynamics import RULES
from dynamics.presets import PRESETS
from landscapes import CATALOGUE

pytestmark = pytest.mark.browser

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync"
ALONE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost"  # a computer without a network
FLAGS = [*f"--headless --no-sandbox --disable-gpu {QUIET}".split(), ALONE]
LANDSCAPE = "?page=landscape"  # the lab without any values
PATIENCE = 90_000  # milliseconds until a test gives up; a loaded machine is slow, a broken page never comes
FIGURES = {1: {"potential", "density", "shares", "ending", "lambda", "noise"}, 2: {"map", "far", "near", "ending", "lambda", "ellipse"}}

# what the canvases of one figure show, however deep in shadow roots: a checksum of all, and how many pixels are coloured, or else dark, or bright
# (axes and texts have no colour)
PIXELS = """figure => {
  const seen = {sum: 0, coloured: 0, dark: 0, bright: 0}
  const look = node => {
    for (const inner of node.querySelectorAll("*")) {
      if (inner.shadowRoot) look(inner.shadowRoot)
      if (inner.tagName !== "CANVAS" || !inner.width) continue
      const {data} = inner.getContext("2d").getImageData(0, 0, inner.width, inner.height)
      for (let i = 0; i < data.length; i += 4) {
        const [r, g, b, a] = [data[i], data[i + 1], data[i + 2], data[i + 3]]
        if (!a) continue
        seen.sum = (seen.sum * 31 + i + (r << 16) + (g << 8) + b) % 1000000007
        if (a < 128) continue
        if (Math.max(r, g, b) - Math.min(r, g, b) > 60) seen.coloured++
        else if (r + g + b < 300) seen.dark++
        else if (r + g + b > 600) seen.bright++
      }
    }
  }
  look(figure)
  return seen
}"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=20).status == 200
    except (urllib.error.URLError, ConnectionError):
        return False


class Site:
    """A running server: its address, and how long it took from its start to its first answer."""

    def __init__(self, port: int):
        self.port, self.root, self.begun = port, f"http://localhost:{port}/", time.perf_counter()
        self.home = self.root + "serve"

    def wait(self, process=None):
        while not answers(self.root):
            assert process is None or process.poll() is None, "the server has ended"
            assert time.perf_counter() - self.begun < 180, "the server does not answer"
            time.sleep(0.05)
        self.ready = time.perf_counter() - self.begun
        return self


@contextmanager
def serving(*options: str):
    """The server as users start it, in a process of its own: (site, process). What fails in it fails at the end."""
    site = Site(free_port())
    command = [sys.executable, "-c", "from panel.command import main; main()", "serve", "serve.py", "--port", str(site.port)]
    with tempfile.TemporaryFile("w+") as log:
        with subprocess.Popen([*command, *options], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=log) as process:
            try:
                yield site.wait(process), process
            finally:
                process.terminate()
        log.seek(0)
        written = log.read()
        assert f'File "{ROOT / "app"}' not in written, written[-10_000:]  # Bokeh's own tracebacks tell of messages after a goodbye


class Visitor:
    """A browser window on the lab: what it shows, and what it asks for.

    A tab of the one profile, whose scripts are compiled already; own: of a profile of its own, as of somebody who was never here. Asked for less
    motion a run stands still at its end, instead of being played while a test looks at something else.
    """

    def __init__(self, browser, home: str, *, own: bool = False, viewport: tuple[int, int] = (1400, 850), motion: bool = False):
        self.home, self.context, self.own = home, browser.new_context() if own else browser.contexts[0], own
        self.context.set_default_timeout(PATIENCE)
        self.pages, self.foreign, self.errors, self.sent = [], [], [], []
        self.page = self.context.new_page()
        self.page.set_viewport_size(dict(zip(("width", "height"), viewport, strict=True)))
        self.page.emulate_media(reduced_motion="no-preference" if motion else "reduce")
        self.watch(self.page)

    def watch(self, page):
        self.pages.append(page)
        local = (urllib.parse.urljoin(self.home, "/"), "data:", "blob:")
        page.on("request", lambda request: None if request.url.startswith(local) else self.foreign.append(request.url))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("websocket", lambda web: web.on("framesent", lambda frame: self.sent.append(frame)))
        page.on("dialog", lambda dialog: (self.errors.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("popup", self.watch)

    def stop(self):
        """Stop what runs: else it goes on for the time that a tab has to come back."""
        stop = self.page.locator("[data-action=stop]")
        if stop.count() and stop.is_visible() and stop.is_enabled():
            stop.click()
            self.page.wait_for_selector(".lab[data-running=false]")

    def close(self):
        if self.own:
            self.context.close()
        else:
            if self.page.url.startswith(self.home):
                self.page.evaluate("localStorage.clear()")
            for page in self.pages:
                page.close()
        assert self.foreign == [], "requests that left the machine"
        assert self.errors == []

    # going somewhere

    def open(self, query="", **values):
        if values or isinstance(query, dict):
            query = "?" + urllib.parse.urlencode((query or {}) | values)
        self.page.goto(query if query.startswith("http") else self.home + (query or LANDSCAPE))
        self.settle()
        return self

    def settle(self, after: int = 0):
        """Wait for the final picture with a number above `after`."""
        self.page.wait_for_function(
            """after => { const lab = document.lab = document.lab?.isConnected ? document.lab : (function find(root) {
                 for (const node of root.querySelectorAll("*")) if (node.shadowRoot) {
                   const lab = node.shadowRoot.querySelector(".lab") ?? find(node.shadowRoot); if (lab) return lab } })(document) ?? undefined
               return lab && lab.dataset.draft === "false" && +lab.dataset.drawn > after }""",
            arg=after,
        )

    @contextmanager
    def change(self):
        """Something that leads to a new picture."""
        before = self.drawn
        yield
        self.settle(before)

    def still(self):
        """Stop playing, at the start."""
        self.page.get_by_label("To the start", exact=True).click()

    def lawful(self):
        """Wait until the fine picture and its exact law are there."""
        self.page.wait_for_selector('.lab[data-draft="false"][data-law]:not([data-law=""])')

    def enter(self, **values):
        """Type numbers into boxes."""
        for name, value in values.items():
            with self.change():
                box = self.page.locator(f'[id="field-{name}"]')
                box.fill(str(value))
                box.press("Enter")

    def choose(self, name: str, value: str):
        with self.change():
            self.page.locator(f'select[name="{name}"]').select_option(value)

    def slider(self, name: str):
        return self.page.locator(f'input[type=range][name="{name}"]')

    def themes(self):
        """The page in the light and in the dark, then as it was."""
        before = self.page.locator(".lab").first.get_attribute("data-theme")
        for theme in ("light", "dark"):
            self.dress(theme)
            yield theme
        self.dress(before)

    def dress(self, theme: str):
        if self.page.locator(".lab").first.get_attribute("data-theme") != theme:
            self.page.get_by_role("button", name="Light or dark").click()
            self.page.locator(f".lab[data-theme={theme}]").first.wait_for()
            self.painted()

    def resize(self, width: int, height: int):
        self.page.set_viewport_size({"width": width, "height": height})
        self.page.wait_for_function("width => window.innerWidth === width", arg=width)
        self.painted()

    # looking

    def painted(self):
        """Wait until what was changed is on the screen, and what watches sizes has seen it."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")

    def barriers(self, options: str = "") -> list:
        """What axe-core finds: WCAG 2.1, levels A and AA."""
        package = pytest.importorskip("axe_playwright_python", reason="no axe: pip install -e '.[test]'")
        self.page.evaluate((pathlib.Path(package.__file__).parent / "axe.min.js").read_text())
        found = self.page.evaluate(f"axe.run(document, {{{options}runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']}})")
        return [(bad["id"], [node["target"] for node in bad["nodes"]][:3], bad["help"]) for bad in found["violations"]]

    @property
    def drawn(self) -> int:
        return int(self.page.locator(".lab").get_attribute("data-drawn"))

    @property
    def says(self) -> str:
        return self.page.locator(".says").inner_text()

    @property
    def clock(self) -> str:
        return self.page.locator(".clock").inner_text()

    @property
    def step(self) -> int:
        return int(re.match(r"step ([\d,]+) of", self.clock)[1].replace(",", ""))

    @property
    def notices(self) -> list[str]:
        return self.page.locator(".notices p").all_text_contents()

    def visible(self) -> set[str]:
        return {figure.get_attribute("data-name") for figure in self.page.locator("figure.cell").all() if figure.is_visible()}

    def pixels(self, name: str) -> dict:
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done)))")  # painted
        return self.page.locator(f"figure.cell.{name}").evaluate(PIXELS)

    def look(self, name: str) -> int:
        """The checksum of a figure once nothing paints it any more: three looks in a row are the same."""
        seen = []
        while len(seen) < 3 or len(set(seen[-3:])) > 1:
            assert len(seen) < PATIENCE / 150, f"{name} is painted without end"
            seen.append(self.pixels(name)["sum"])
            self.page.wait_for_timeout(150)
        return seen[-1]

    def values(self) -> dict[str, str]:
        """Every control."""
        return self.page.locator(".controls").evaluate(
            """form => Object.fromEntries([...form.querySelectorAll("select, input:not([type=range])")].map(field => [field.id, field.value]))"""
        )

    def boxes(self) -> dict[str, list]:
        """Where everything stands on the page."""
        return self.page.locator(".lab").evaluate(
            """lab => Object.fromEntries(
              [...lab.querySelectorAll("header, aside, main, .says, .player, .clock, .scrub, .field, .formula, figure.cell, figcaption, h2")].map(
                (node, i) => {
                  const {x, y, width, height} = node.getBoundingClientRect(), scrolled = node.parentElement?.closest("aside, main")?.scrollTop ?? 0
                  return [`${i} ${node.className.replace(" waiting-cell", "") || node.tagName}`, [x, y + scrolled, width, height]]
                }))"""
        )

    def query(self) -> dict[str, str]:
        return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.page.url).query))


@pytest.fixture
def visit(browser, site):
    """A function that opens a new window; at the end none of them has asked a foreign server for anything, or met an error."""
    windows = []

    def make(query="", **options):
        windows.append(Visitor(browser, site.home, **options))
        return windows[-1].open(query)

    yield make
    for window in windows:
        window.close()


@pytest.fixture(scope="module")
def window(browser, site):
    """One window for all tests that leave it as they found it."""
    window = Visitor(browser, site.home).open()
    yield window
    window.close()


@pytest.fixture
def lab(window):
    """The window, back at the start, and not playing."""
    if window.page.locator(".story-choice").input_value():
        with window.change():
            window.page.locator(".story-choice").select_option("")
    with window.change():
        window.page.get_by_role("button", name="Back to the start").click()
    window.still()
    window.errors.clear()
    yield window
    assert window.errors == []


# The first picture (how soon it comes `bench_page.py` tells)


def test_all_six_figures_are_drawn_in_one_and_in_two_dimensions(lab):
    for dim, landscape in ((1, "DoubleWell"), (2, "Valley")):
        if dim == 2:
            lab.choose("landscape", landscape)
        lab.page.wait_for_selector(".lab[data-estimated]")
        assert lab.visible() >= FIGURES[dim] and not lab.visible() & (FIGURES[3 - dim] - FIGURES[dim])
        for name in lab.visible():  # some wait for exact values
            end = time.perf_counter() + PATIENCE / 1000
            while lab.pixels(name)["coloured"] < 60:
                assert time.perf_counter() < end, name
    lab.choose("landscape", "DoubleWell")
    assert lab.visible() >= FIGURES[1]


# Controls


def test_a_slider_moved_by_keyboard_or_mouse_changes_sentence_pixels_and_address(lab):
    for name in ("lr", "w0"):
        for how in ("keyboard", "mouse"):
            before = lab.says, lab.pixels("density")["sum"], lab.pixels("ending")["sum"], lab.page.url, lab.values()[f"field-{name}"]
            slider = lab.slider(name)
            with lab.change():
                if how == "keyboard":
                    slider.press("PageDown")
                else:
                    box = slider.bounding_box()
                    lab.page.mouse.click(box["x"] + 0.3 * box["width"], box["y"] + box["height"] / 2)
            after = lab.says, lab.pixels("density")["sum"], lab.pixels("ending")["sum"], lab.page.url, lab.values()[f"field-{name}"]
            assert all(one != other for one, other in zip(before, after, strict=True)), (name, how)
            assert lab.query()[name] == lab.values()[f"field-{name}"]


def test_a_drag_ends_at_its_last_value(lab):
    box = lab.slider("lr").bounding_box()
    middle = box["y"] + box["height"] / 2
    with lab.change():
        lab.page.mouse.move(box["x"] + 0.7 * box["width"], middle)
        lab.page.mouse.down()
        for i in range(40):
            lab.page.mouse.move(box["x"] + (0.7 - 0.01 * i) * box["width"], middle)
        lab.page.mouse.up()
    lab.page.wait_for_function("value => new URLSearchParams(location.search).get('lr') === value", arg=lab.values()["field-lr"])
    lab.settle()
    alone = lab.says
    lab.open(lab.page.url)
    assert lab.says == alone


def test_a_number_typed_into_a_box_is_used_and_one_that_is_wrong_is_explained_and_undone(lab):
    lab.enter(lr="0.0123")
    assert lab.query()["lr"] == "0.0123" and lab.notices == []
    for text, reason in (("7", "above the legal range"), ("two", "not a number"), ("nan", "not finite")):
        lab.enter(lr=text)
        assert any("lr" in notice and reason in notice for notice in lab.notices), lab.notices
        assert float(lab.values()["field-lr"]) in (0.0123, 1.0)
        assert float(lab.query()["lr"]) == float(lab.values()["field-lr"])
    lab.enter(lr="0.01")
    assert lab.notices == []


def test_new_noise_reset_and_surprise_me_do_what_they_say(lab):
    start, home = lab.says, lab.values()
    with lab.change():
        lab.slider("lr").press("PageDown")
    assert lab.values() != home
    with lab.change():
        lab.page.get_by_role("button", name="Back to the start").click()
    assert lab.values() == home and lab.says == start
    with lab.change():
        lab.page.get_by_role("button", name="Same settings, next seed").click()
    assert lab.says != start
    changed = {name for name, value in lab.values().items() if value != home[name]}
    assert changed == {"field-seed"}
    with lab.change():
        lab.page.get_by_role("button", name="Another interesting setting").click()
    assert lab.values() != home
    assert re.match(r"step ([\d,]+) of \1\b", lab.clock), "another run is played from its start, or, who wants no motion, sees its end"
    with lab.change():
        lab.page.keyboard.press("r")
    assert lab.values() == home and lab.says == start
    assert re.match(r"step ([\d,]+) of \1\b", lab.clock), "another run is played from its start, or, who wants no motion, sees its end"


def test_every_landscape_and_every_optimiser_draws(lab):
    lab.enter(n=200, steps=40)
    for name in RULES:
        lab.choose("rule", name)
        assert lab.page.locator('select[name="rule"]').input_value() == name and lab.notices == []
        assert lab.pixels("density")["coloured"] > 60, name
    lab.choose("rule", "SGD")
    for name, cls in CATALOGUE.items():
        lab.choose("landscape", name)
        assert lab.visible() >= FIGURES[cls().dim] and lab.notices == []
        assert lab.pixels("ending")["coloured"] > 60, name
        assert "NaN" not in lab.says and "undefined" not in lab.page.locator("main").inner_text(), name
    lab.choose("b.rule", "none")
    assert "B (" not in lab.says and "B " not in lab.clock


def test_who_asks_for_less_motion_finds_the_run_at_its_end_and_standing_still(browser, site):
    window = Visitor(browser, site.home).open()
    clock = window.page.locator(".clock")
    assert clock.inner_text().startswith("step 200 of 200")
    window.page.locator(".play").click()  # who asks for it gets it
    window.page.wait_for_function("() => !document.lab.querySelector('.clock').textContent.startsWith('step 200 of 200')")
    window.close()


def test_nothing_moves_while_sliders_do(lab):
    lab.page.wait_for_selector(".lab[data-estimated]")
    before = lab.boxes()
    moved = {}
    for name, key in (
        ("lr", "End"),
        ("lr", "Home"),
        ("w0", "Home"),
        ("w0", "End"),
        ("b.lr", "End"),
        ("d2", "End"),
        ("batch", "Home"),
        ("bayes.samples", "End"),
    ):
        with lab.change():
            lab.slider(name).press(key)
        lab.page.locator(".noise .below", has_text="of the box").wait_for()  # the longest words, and the last
        for place, box in lab.boxes().items():
            if max(abs(a - b) for a, b in zip(box, before[place], strict=True)) > 0.6:  # pixels; a formula's height differs by a tenth
                moved.setdefault(place, (name, key, before[place], box))
    assert moved == {}


# Time


def test_play_pause_step_scrub_and_keys_move_the_clock_and_cost_the_server_nothing(lab):
    page = lab.page
    page.wait_for_selector(".lab[data-estimated][data-geometry]")
    sent = len(lab.sent)
    assert lab.step == 0
    page.get_by_label("One frame on (.)").click()
    assert lab.step == 1
    page.keyboard.press(".")
    page.keyboard.press(".")
    assert lab.step == 3
    page.keyboard.press(",")
    page.get_by_label("One frame back (,)").click()
    assert lab.step == 1
    looks = lab.pixels("potential")["sum"], lab.pixels("ending")["sum"]
    page.get_by_label("Time").fill("150")
    assert lab.step == 150
    assert lab.pixels("potential")["sum"] != looks[0] and lab.pixels("ending")["sum"] != looks[1]
    lost = [int(number.replace(",", "")) for number in re.findall(r"[AB] ([\d,]+)", lab.clock)]
    page.get_by_label("To the start", exact=True).click()
    assert lab.step == 0 and "diverged" not in lab.clock and lost[0] > 0
    page.locator(".lab").press(" ")
    page.wait_for_function("() => +document.lab.querySelector('.clock').textContent.match(/\\d+/)[0] > 5")
    page.locator(".lab").press(" ")
    stopped = lab.step
    page.wait_for_timeout(150)
    assert lab.step == stopped > 5
    assert [frame for frame in map(str, lab.sent[sent:]) if "events" in frame] == []


# steps a second of a run that is played, by the clock of its frames, so that it does not matter how many of them a busy browser leaves out
PACE = """async () => {
  const frame = () => new Promise(requestAnimationFrame), step = () => +document.lab.querySelector(".clock").textContent.match(/\\d+/)[0]
  document.lab.querySelector(".play").click()
  const begun = performance.now()
  let now
  do { now = await frame() } while (step() < 6)
  return step() / (now - begun)
}"""


def test_playing_is_as_fast_as_the_chosen_speed_and_stops_at_the_end(lab):
    page, speed = lab.page, lab.page.get_by_label("Speed")
    speeds = {}
    for factor in ("0.25", "4"):
        speed.select_option(factor)
        page.get_by_label("To the start", exact=True).click()
        speeds[factor] = page.evaluate(PACE)
        page.get_by_label("Play or pause (space)").click()
    assert speeds["4"] > 8 * speeds["0.25"]  # sixteen times, but for the first step that is not yet whole
    page.get_by_label("To the start", exact=True).click()
    page.get_by_label("Play or pause (space)").click()
    page.wait_for_function("() => document.lab.querySelector('.clock').textContent.startsWith('step 200 of 200')")
    speed.select_option("end")
    page.get_by_label("To the start", exact=True).click()
    page.get_by_label("Play or pause (space)").click()
    assert lab.step == 200
    speed.select_option("1")


def test_the_sentence_and_the_clock_count_the_same_trajectories_as_diverged(lab):
    lab.enter(lr=0.05)
    lab.page.get_by_label("Time").fill("200")
    shares = [100 * int(lost.replace(",", "")) / 5000 for lost in re.findall(r"[AB] ([\d,]+)", lab.clock)]
    said = re.findall(r"(?:([\d.]+) % diverged|none diverged)", lab.says)
    assert len(shares) == len(said) == 2 and shares[0] > 1
    assert shares == pytest.approx([float(part or 0) for part in said], rel=5e-3)


# Links


def test_a_link_gives_the_same_picture_to_me_and_to_somebody_else(lab, visit):
    lab.choose("landscape", "TripleWell")
    lab.choose("b.rule", "Langevin")
    lab.enter(n=3000, steps=123, seed=7, lr=0.015)
    lab.lawful()
    lab.still()
    sentence, values, look, link = lab.says, lab.values(), lab.look("ending"), lab.page.url
    lab.open(link)
    lab.lawful()
    lab.still()
    assert (lab.says, lab.values(), lab.look("ending")) == (sentence, values, look)
    other = visit(link)
    other.lawful()
    other.still()
    assert (other.says, other.values(), other.look("ending"), other.notices) == (sentence, values, look, [])


def test_the_address_holds_every_value_even_of_an_untouched_page_and_copy_link_copies_it(visit):
    window = visit()
    window.page.wait_for_function("() => location.search.includes('landscape=')")
    query = window.query()
    assert {"v", "landscape", "w0", "rule", "lr", "b.rule", "n", "steps", "seed", "start", "data", "bayes.samples", "llc.point"} <= set(query)
    window.context.grant_permissions(["clipboard-read", "clipboard-write"])
    window.enter(lr=0.011)
    window.page.get_by_role("button", name="Copy link").click()
    window.page.get_by_text("Copied", exact=True).wait_for()
    link = window.page.evaluate("navigator.clipboard.readText()")
    assert dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(link).query))["lr"] == "0.011"


HOSTILE = {
    "lr": "nan",
    "w0": "1e999",
    "d1": "-3",
    "batch": "9" * 10_000,
    "landscape": "<script>window.hacked=1</script>",
    "b.rule": "__import__('os').system('true')",
    "preset": "<img src=x onerror=window.hacked=1>",
    "start": "-1,-1,1,1",
    "theme": "\"><svg onload=window.hacked=1>",
    "<b>x</b>": "<img src=x onerror=window.hacked=1>",
    "n": "1; DROP TABLE",
}  # fmt: skip


def test_a_hostile_link_gives_messages_and_a_page_that_lives(visit):
    window = visit("?" + urllib.parse.urlencode(HOSTILE))
    assert len(window.notices) >= 8 and window.page.locator(".notices p:visible").count() == 1  # the others are folded: they would hide the picture
    window.page.locator(".notices summary").click()
    assert window.page.locator(".notices p:visible").count() == len(window.notices)
    text = " ".join(window.notices)
    for part in ("lr = nan", "w0 = inf", "<script>", "preset", "start", "batch", "d1"):
        assert part in text
    assert window.page.evaluate("window.hacked") is None
    assert window.page.locator(".lab img, .notices b, .notices script").count() == 0
    before = window.says
    with window.change():
        window.slider("lr").press("End")
    assert window.says != before and window.notices == []
    assert window.page.evaluate("window.hacked") is None


def test_a_run_too_large_is_made_smaller_in_words_and_the_page_lives(site, browser):
    window = Visitor(browser, site.home)
    window.page.goto(site.home + "?n=10000000&steps=100000000&b.rule=none")
    window.page.locator(".notices p").first.wait_for()
    assert "10,000,000 trajectories of 100,000,000 steps take too long for a page" in window.notices[0] and "command line" in window.notices[0]
    assert window.page.locator('[id="field-n"]').input_value() == "500"
    window.page.locator('[id="field-steps"]').fill("50")
    window.page.locator('[id="field-steps"]').press("Enter")
    window.page.locator('[id="field-n"]').fill("100")
    window.page.locator('[id="field-n"]').press("Enter")
    window.settle()
    assert window.notices == [] and "after 50 steps" in window.says
    window.close()


# Presets and lambda


def test_presets_show_their_claim_and_what_this_run_says_about_it(lab):
    many = "fig4-posterior"  # more than one run: its card shows a picture
    for name in ["fig1-escape", "fig6-distance", many]:
        lab.page.locator(".story-choice").select_option(name)
        card = lab.page.locator(".card")
        lab.page.wait_for_function(
            """([name, cite, claim]) => {
              const text = document.lab.querySelector(".card").innerText, verdict = document.lab.querySelector(".card .verdict span")?.innerText ?? ""
              return new URLSearchParams(location.search).get("preset") === name && text.includes(cite) && text.includes(claim)
                && /(Holds|Does not hold|Cannot be told)/.test(text)
                && verdict.length > 20 }""",  # in one look: the card changes while the run goes on
            arg=[name, PRESETS[name].cite, app.pages.written(PRESETS[name].claim)],
        )
        if name == many:
            assert card.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100
    lab.page.locator(".story-choice").select_option("")
    lab.page.locator(".card").wait_for(state="hidden")


def test_where_lambda_is_undefined_the_page_says_why(lab):
    page = lab.page
    page.locator(".controls summary", has_text="Estimate").click()
    option = page.locator('select[name="llc.point"] option', has_text="barrier")
    lab.choose("llc.point", option.get_attribute("value"))
    page.locator("figure.cell.lambda .legend", has_text="maximum").wait_for()
    assert "undefined" in page.locator("figure.cell.lambda .legend").inner_text()
    page.locator(".controls summary", has_text="Estimate").click()


def test_the_pointer_on_the_map_changes_noise_and_curvature_beside_it(lab):
    lab.choose("landscape", "Valley")
    words = lab.page.locator("figure.cell.ellipse .words").first
    before, sent = words.inner_text(), len(lab.sent)
    box = lab.page.locator("figure.cell.map").bounding_box()
    seen = set()
    for x in (0.4, 0.6, 0.8):
        lab.page.mouse.move(box["x"] + x * box["width"], box["y"] + 0.6 * box["height"])
        lab.painted()
        seen.add(words.inner_text())
    assert len(seen - {before}) >= 2 and all("eigenvalues" in text for text in seen)
    assert not [frame for frame in lab.sent[sent:] if "MousePosition" in str(frame) or "set" in str(frame)]


def test_noise_over_curvature_is_read_off_with_pointer_and_keys_and_where_they_part_is_said(lab):
    lab.choose("landscape", "DoubleWell")
    figure = lab.page.locator("figure.cell.noise")
    figure.locator(".below", has_text="only for w in").wait_for()
    assert "2/3 at +w₀" in figure.locator(".below").inner_text()
    words, box = figure.locator(".words"), lab.page.locator("figure.cell.potential").bounding_box()
    lab.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.7 * box["height"])
    lab.painted()

    def at() -> float:
        return float(re.match(r"at (−?[\d.]+): H .*BΣ/H = ", words.inner_text())[1].replace("−", "-"))

    before = at()
    figure.locator("h2").focus()
    lab.page.keyboard.press("ArrowRight")
    lab.painted()
    assert at() > before


# Looks


def test_light_dark_and_projector_change_texts_in_the_figures_too(lab):
    page, root = lab.page, lab.page.locator(".lab")
    assert root.get_attribute("data-theme") == "light"
    names = ("shares", "ending", "lambda")
    assert all(seen["dark"] > 5 * seen["bright"] for seen in map(lab.pixels, names))
    lab.dress("dark")
    assert root.get_attribute("data-theme") == "dark"
    assert all(seen["bright"] > 5 * seen["dark"] for seen in map(lab.pixels, names))
    paper = root.evaluate("node => getComputedStyle(node).backgroundColor")
    assert max(map(int, re.findall(r"\d+", paper)[:3])) < 60
    lab.dress("light")
    plain = lab.pixels("shares")["sum"]
    projector = page.get_by_role("button", name="Larger type, for a projector")
    size = root.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    projector.click()
    lab.painted()
    assert root.evaluate("node => parseFloat(getComputedStyle(node).fontSize)") > 1.2 * size
    assert lab.pixels("shares")["sum"] != plain
    projector.click()


def test_in_any_window_nothing_is_wider_than_it(lab):
    for size in ((1024, 640), (1920, 1080), (390, 800), (1400, 850)):
        lab.resize(*size)
        lab.page.wait_for_timeout(100)  # what watches sizes has made others
        wide = lab.page.locator(".lab").evaluate(
            """lab => [lab, ...lab.querySelectorAll("header, .body, aside, main, .player, .grid, figure.cell, .card")]
              .filter(node => node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display !== "none")
              .map(node => `${node.className || node.tagName}: ${node.scrollWidth} > ${node.clientWidth}`)"""
        )
        assert wide == [], size
        assert lab.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), size


LAID = """async () => {
  const {PlotView} = Bokeh.require("models/plots/plot_canvas"), {_compute_layout} = PlotView.prototype, laid = []
  const frame = () => new Promise(done => requestAnimationFrame(done))
  PlotView.prototype._compute_layout = function () { laid.push(this.model.name); return _compute_layout.call(this) }
  for (let calm = 0; calm < 20;) { // what the page did before may still have to be laid out, also where it is hidden now
    const done = laid.length
    await frame()
    calm = laid.length === done ? calm + 1 : 0
  }
  laid.length = 0
  const [axis] = Bokeh.documents[0].get_model_by_name("shares").left, before = axis.major_label_text_font_size
  for (const major_label_text_font_size of ["30px", before]) {
    const done = laid.length
    axis.setv({major_label_text_font_size}, {sync: false})
    for (let i = 0; i < 1000 && laid.length === done; i++) await frame() // Bokeh paints when it has time
    await frame()
    await frame()
  }
  PlotView.prototype._compute_layout = _compute_layout
  return [...new Set(laid)]
}"""


def test_a_tablet_lays_the_page_out_in_its_own_width(site, browser):
    context = browser.new_context(viewport={"width": 768, "height": 1024}, is_mobile=True, has_touch=True)
    page = context.new_page()
    page.goto(site.home + LANDSCAPE)
    page.locator("figure.cell").first.wait_for()
    page.wait_for_function("() => window.innerWidth === 768 && document.scrollingElement.scrollWidth <= 768")
    context.close()


def test_arrows_choose_a_file_and_enter_saves_it_and_the_focus_stays(lab):
    menu, asked = lab.page.get_by_label("Save as a file"), lambda: [frame for frame in map(str, lab.sent) if '"save"' in frame]
    before = len(asked())
    menu.focus()
    lab.page.keyboard.press("ArrowDown")
    lab.painted()
    assert menu.input_value() == ".png" and len(asked()) == before
    lab.page.keyboard.press("ArrowDown")
    with lab.page.expect_download() as saved:
        lab.page.keyboard.press("Enter")
    assert saved.value.suggested_filename == "lambdascape-landscape.svg"
    lab.page.wait_for_function("() => document.lab.getRootNode().activeElement?.classList.contains('save')")
    assert menu.input_value() == ""


def test_the_pointer_on_the_map_is_that_of_the_landscape_and_not_of_one_before(lab, visit):
    lab.choose("landscape", "NormalCrossing")
    lab.choose("landscape", "MinimallySingular")
    lab.page.locator('.lab[data-draft="false"]').wait_for()
    words = lab.page.locator("figure.cell.ellipse .words").all_inner_texts()
    assert words == visit(lab.page.url).page.locator("figure.cell.ellipse .words").all_inner_texts() and words


@pytest.mark.parametrize("projector", ["", "1"])
@pytest.mark.parametrize("size", [(640, 400), (420, 380)])
def test_a_small_frame_shows_its_figures_whole(site, browser, size, projector):
    """And its sentence, where large type leaves room for both."""
    window = Visitor(browser, site.home, viewport=size).open(widget="landscape", projector=projector)
    window.painted()
    assert window.page.locator(".lab").evaluate("lab => [lab.clientWidth, lab.clientHeight]") == list(size)
    ends = {name: box["y"] + box["height"] for name in window.visible() if (box := window.page.locator(f"figure.cell.{name}").bounding_box())}
    assert "potential" in ends and max(ends.values()) <= size[1], ends
    assert (window.page.locator(".says").bounding_box()["height"] > 10) == (not projector) and "diverged" in window.says
    window.close()


def test_a_figure_that_needs_a_new_layout_leaves_the_others_and_the_server_alone(lab):
    """Bokeh would lay out all figures of the page, paint them, and tell the server the new size."""
    lab.painted()
    sent = len(lab.sent)
    assert lab.page.evaluate(LAID) == ["shares"]
    lab.painted()
    assert [frame for frame in map(str, lab.sent[sent:]) if "inner_" in frame] == []


def test_formulas_are_typeset_without_a_network(lab):
    lab.page.locator(".formula mjx-container").first.wait_for()
    assert lab.page.locator(".formula mjx-container").count() >= 3
    assert "$" not in lab.page.locator(".formula").inner_text()


def test_axe_finds_no_barrier(lab):
    """In the light with the verdict of a preset, in the dark with the figures of two dimensions."""
    with lab.change():
        lab.page.locator(".story-choice").select_option("fig1-escape")
    for theme in lab.themes():
        if theme == "dark":
            lab.choose("landscape", "Valley")
        assert lab.barriers() == [], theme


# Sessions, from inside


def census() -> Counter:
    """Living documents, and sessions and views of every page."""
    from bokeh.document import Document
    from bokeh.server.session import ServerSession

    from app.page import PageView, Session

    gc.collect()
    kinds = {Document: "Document", ServerSession: "ServerSession", Session: "Session", PageView: "View"}
    kinds |= {app.pages.Session: "Session", app.pages.LabView: "View", app.escape.Session: "Session", app.escape.EscapeView: "View"}
    found = (type(thing) for thing in gc.get_objects())  # isinstance would ask objects of torch, which warn
    return Counter(name for one in found for kind, name in kinds.items() if issubclass(one, kind))


def test_sessions_go_when_their_windows_close(browser, inside, monkeypatch):
    """The memory that they take and give back is measured by `bench_page.py`, alone in a process and by twenty."""

    def left():
        with monkeypatch.context() as patch:
            patch.setattr(inside.tornado, "_unused_session_lifetime_milliseconds", 500)  # not while a page is on its way to its visitor
            return gone()

    def gone():
        end = time.perf_counter() + 180
        while set(found := census()) - {"Document"} and time.perf_counter() < end:
            time.sleep(1.5)  # a census takes a second
        assert set(found) <= {"Document"}, "somebody keeps what should have gone"
        return found["Document"]

    small = [  # a figure or two each, one of them made late: all views and sessions
        "landscape&figures=potential,volume&n=100",
        "escape&x.count=3&y.count=3&n=100&steps=40",
        "networks&figures=loss",
        "llc&figures=lambda&model=Quadratic&draws=400",
        "dln&figures=loss&t.steps=400",
    ]
    base, windows = left(), [Visitor(browser, inside.home) for _ in small]
    for window, page in zip(windows, small, strict=True):
        window.page.goto(f"{inside.home}?widget={page}")
        window.page.wait_for_selector(".lab[data-drawn]")
    opened = census()
    assert opened.pop("Document") >= 5 and opened == {"ServerSession": 5, "Session": 5, "View": 5}
    for window in windows:
        window.close()
    assert left() <= base + 2, "two documents are made once, whatever the number of visits"


def test_a_slider_ends_where_it_was_left_however_the_server_was_started(browser, inside):
    """Panel's pool of threads (--num-threads) would take messages in any order."""
    import panel as pn

    pn.config.nthreads = 2
    window = Visitor(browser, inside.home).open()
    assert pn.config.nthreads is None
    slider = window.slider("lr")
    for key in ["ArrowRight"] * 20 + ["PageUp"]:
        slider.press(key)
    window.page.wait_for_function("() => new URLSearchParams(location.search).get('lr') === document.lab.querySelector('[id=field-lr]').value")
    window.close()


def test_two_who_open_the_page_at_once_both_get_its_final_picture_and_every_panel(browser, site):
    windows = [Visitor(browser, site.home) for _ in range(2)]
    for window in windows:
        window.page.goto(site.home + LANDSCAPE, wait_until="commit")
    for window in windows:
        window.settle()
        window.page.wait_for_selector(".lab[data-estimated]")
        window.page.wait_for_selector(".lab[data-geometry]")
    for window in windows:
        window.close()


def test_a_visitor_whose_page_cannot_be_made_gets_a_way_out(browser, inside, monkeypatch, caplog):
    class Broken:
        def __init__(self, query):
            raise RuntimeError("broken on purpose")

    window = Visitor(browser, inside.home)
    with monkeypatch.context() as patch:
        patch.setattr(app.pages, "Session", Broken)
        window.page.goto(inside.home + "?lr=0.5")
        link = window.page.get_by_role("link", name="Start afresh")
        link.wait_for()
        assert "could not be made" in window.page.locator("h1").inner_text()
        assert "broken on purpose" in caplog.text
    link.click()
    window.page.wait_for_selector(".home[data-drawn]")
    window.close()
