"""The file that needs no server: the browser computes what Python computes, shows it, and nothing in it runs but its own sources."""

import json
import os
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from app import export, standalone
from app.__main__ import main
from app.landscapelab import Lab, decode
from app.picture import plain
from app.standalone import Picture, family, page, slides
from dynamics import GD, MALA, NGD, RULES, SDE, SGD, At, Finite, HeavyTailedSGD, Langevin, Online, Posterior, Simulation, UnderdampedSDE, Uniform
from dynamics.presets import PRESETS
from landscapes import CATALOGUE, Bowl, Cusp, DoubleWell, Monomial, NormalCrossing, Polynomial, Regular, Ring, RotatedLine, TripleWell, Valley

HOSTILE = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 1'>"
WELL = Lab(Simulation(DoubleWell(), SGD(lr=0.02), n=400, steps=100, start=Uniform(-3.6, 3.6)), NGD(lr=0.1, damping=1.0))
PATIENCE = 90_000


class Opened:
    """A file in a browser without a network: what it shows, and what went wrong."""

    def __init__(self, browser, path, query="", **options):
        self.context = browser.new_context(offline=True, **{"viewport": {"width": 1200, "height": 800}} | options)
        self.context.set_default_timeout(PATIENCE)
        self.asked, self.errors = [], []
        self.page = self.context.new_page()
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.page.goto(path.as_uri() + query)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.context.close()
        if kind is None:
            assert [url for url in self.asked if not url.startswith(("file:", "data:", "blob:"))] == []
            assert self.errors == []

    def ask(self, script, argument=None):
        return self.page.evaluate(script, argument)

    def until(self, condition):  # the file's policy forbids Playwright's own waiting, which needs eval
        for _ in range(PATIENCE // 20):
            if found := condition():
                return found
            self.page.wait_for_timeout(20)
        raise AssertionError(f"not in time; the page says: {self.page.inner_text('body')[:500]}")

    def settled(self):
        self.until(lambda: self.page.text_content(".clock").startswith("step"))
        self.page.wait_for_timeout(50)
        self.until(lambda: self.page.text_content(".clock").startswith("step"))
        return self

    def slide(self, selector, value):
        self.page.eval_on_selector(
            selector, "(node, value) => { node.value = value; node.dispatchEvent(new Event('input', {bubbles: true})) }", value
        )

    def end(self):
        self.slide(".scrub", 1e9)
        return self

    @property
    def table(self) -> dict[str, list[str]]:
        rows = self.page.eval_on_selector_all("tbody tr", "rows => rows.map(row => [...row.children].map(cell => cell.textContent))")
        return {name: cells for name, *cells in rows}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A function: text -> path of a file with it."""
    folder = tmp_path_factory.mktemp("files")
    return lambda text, name="widget": export.write(text, folder / f"{name}.html")


@pytest.fixture(scope="module")
def engine(browser, file):
    with Opened(browser, file(page(WELL), "engine")) as opened:
        yield opened


def described(run: Simulation) -> dict:
    """A run as `engine.js` takes it."""
    landscape, data = run.landscape, run.data
    given = {"slope": data.slope, "vx": data.vx, "vy": data.vy, "size": 0}
    if isinstance(data, Finite):
        source = data.source(len(landscape.products()))
        given |= {"size": data.size, "xx": source.xx.tolist(), "xe": source.xe.tolist(), "moments": source.moments.tolist()}
    products = [{"scale": p.scale, "factors": [{"power": f.power, "terms": f.terms} for f in p.factors]} for p in landscape.products()]
    low, high = run.start.bounds
    start = {"low": low, "high": high, "at": isinstance(run.start, At)}
    rule = {"name": type(run.rule).__name__, **vars(run.rule)}
    own = {"dim": landscape.dim, "of": landscape.of, "seed": run.seed, "n": run.n, "steps": run.steps}
    return own | {"products": products, "rule": rule, "data": given, "start": start}


PORTED = [
    SGD(lr=0.02),
    SGD(lr=0.02, batch=1, momentum=0.5),
    SGD(lr=0.01, noise="isotropic"),
    NGD(lr=0.1, damping=1.0),
    NGD(lr=0.01, alpha=0.5, momentum=0.3),
    NGD(lr=0.01, noise="isotropic"),
    GD(lr=0.02, momentum=0.5),
    Langevin(eps=1e-3, nbeta=100),
    Langevin(eps=1e-4, nbeta=50, batch=16),
    MALA(eps=1e-2, nbeta=100),
    SDE(lr=0.02, substeps=4),
    UnderdampedSDE(lr=0.01, substeps=3),
    HeavyTailedSGD(lr=0.01),
    HeavyTailedSGD(lr=0.01, noise="isotropic"),
]
PLACES = [
    DoubleWell(),
    TripleWell(w0=1.2, d2=3),
    Valley(p=1, k=2),
    Regular(),
    Bowl(),
    Cusp(),
    Ring(k=2),
    RotatedLine(slope=0.7),
    Polynomial("w^2*(w-1)"),
]


@pytest.mark.browser
@pytest.mark.parametrize("rule", PORTED, ids=lambda rule: f"{type(rule).__name__}-{getattr(rule, 'noise', '')}-{getattr(rule, 'batch', '')}")
def test_the_last_weights_of_a_hundred_trajectories_are_those_of_python(engine, rule):
    # The same operations in the same order, so the same bits; exp, log, sin and pow alone may differ in the last one. They decide about
    # acceptance only, except for heavy tails, whose pow and sin enter w and whose rare jumps magnify that.
    runs = [Simulation(place, rule, n=100, steps=120, seed=2**31 - 1 - i) for i, place in enumerate(PLACES)]
    runs += [Simulation(PLACES[i], rule, n=100, steps=60, seed=i, data=Online(slope=0.3, vx=2, vy=0.5)) for i in (0, 2, 4)]
    runs += [Simulation(PLACES[i], rule, n=100, steps=60, seed=i, data=Finite(size=size, seed=i)) for i, size in ((0, 333), (3, 3), (4, 64))]
    runs += [Simulation(DoubleWell(), rule, n=100, steps=997, seed=5, start=At(1.0))]
    found = engine.ask(
        "runs => runs.map(run => Engine.last(run).map(row => row.map(w => Number.isNaN(w) ? null : w)))", [described(run) for run in runs]
    )
    for run, rows in zip(runs, found, strict=True):
        w, ours = run.run().w, np.array(rows, float)
        assert np.array_equal(np.isnan(w), np.isnan(ours)), run
        error = np.abs(ours - w)[~np.isnan(w)] / np.maximum(1, np.abs(w[~np.isnan(w)]))
        if error.size:
            assert (np.quantile(error, 0.9) if isinstance(rule, HeavyTailedSGD) else error.max()) < 1e-9, run


@pytest.mark.browser
def test_every_rule_is_ported(engine):
    assert sorted(engine.ask("Object.keys(Engine.RULES)")) == sorted(RULES) and {type(rule) for rule in PORTED} == set(RULES.values())


@pytest.mark.browser
@pytest.mark.parametrize("data", [Online(), Online(slope=0.4, vx=2), Finite(size=2000, seed=1)], ids=["online", "shifted", "given"])
def test_the_posterior_masses_in_the_browser_are_those_of_the_quadrature(engine, data):
    places = [DoubleWell(), DoubleWell(w0=0.5, d1=3, d2=4), DoubleWell(w0=2.5, d1=4, d2=1), TripleWell(), Polynomial("(w^2-1)*(w-0.5)^3")]
    for place in places:
        for n, beta in ((1, 1.0), (100, 0.3), (2000, 1.0)) + (((10**7, 1.0),) if isinstance(data, Online) else ()):
            run = described(Simulation(place, GD(), n=1, steps=1, data=data))
            ours = engine.ask(
                "([run, bayes, box, barriers, minima]) => Engine.masses(run, bayes, box, barriers, minima)",
                [run, {"samples": n, "beta": beta}, place.box[0], place.barriers, [m.at[0] for m in place.minima]],
            )
            exact = Posterior(place, n, beta, data, fine=True).masses()
            # 1e-6: what `fine` promises; masses below 1e-12 differ as their peaks are found on different grids
            assert ours == pytest.approx(exact, rel=2e-5, abs=1e-12), (place, n, beta)


@pytest.mark.browser
def test_computing_stops_when_its_time_is_over(engine):
    run = described(Simulation(DoubleWell(), SGD(lr=0.02), n=10_000, steps=100_000))
    script = """run => Array.from({length: 15}, () => {
      globalThis.long ??= new Engine.Ensemble(run, {axis: 0, low: -4, high: 4, barriers: [], kept: 10})
      const start = performance.now()
      globalThis.long.work(start + 5)
      return performance.now() - start
    }).sort((a, b) => a - b)[0]"""
    assert engine.ask(script, run) < 1000  # a block of 2,000 steps takes 0.2 ms, all of it minutes


# The families


@pytest.mark.parametrize("kind", CATALOGUE.values(), ids=CATALOGUE)
def test_a_family_says_for_all_sliders_what_the_landscape_says(kind):
    given = family(kind())
    for key, case in given["cases"].items():
        values = dict(zip(given["whole"], map(int, filter(None, key.split(","))), strict=True))
        for p in (0.5, 1.8, 2.5) if given["real"] else (None,):
            landscape = kind(**values, **({given["real"]: p} if given["real"] else {}))
            ours = standalone._placed(case, p)
            assert [pytest.approx(pair) for pair in landscape.box] == ours["box"] and ours["barriers"] == pytest.approx(
                list(landscape.barriers), abs=1e-12
            )
            assert ours["products"] == json.loads(json.dumps(standalone.described(landscape)["products"]))  # to the last bit
            assert [Fraction(m["lam"]) for m in ours["minima"]] == [m.lam for m in landscape.minima]
            assert [m["m"] for m in ours["minima"]] == [m.multiplicity for m in landscape.minima]
            assert np.allclose([m["at"] for m in ours["minima"]], [m.at for m in landscape.minima], atol=1e-12)
    assert (given["real"] is None) == (kind not in (DoubleWell, TripleWell, RotatedLine))


# The widget


def percents(row: list[str], rules: int = 2) -> list[float]:
    return [float(text.removesuffix(" %")) / 100 for text in row[2 : 2 + rules]]


@pytest.mark.browser
def test_what_is_shown_is_what_python_computes_and_stays_so_when_sliders_move(browser, file):
    with Opened(browser, file(page(WELL))) as opened:
        shares = lambda run, step=-1: [replace(run, rule=rule).run().share_left[step] for rule in (run.rule, WELL.rival)]  # noqa: E731
        opened.settled().slide(".scrub", 8)
        assert percents(opened.table["−w₀"]) == pytest.approx(shares(WELL.run, 8), abs=6e-4)  # three digits are shown
        lost = [replace(WELL.run, rule=rule).run().shares.diverged[8] / 400 for rule in (WELL.run.rule, WELL.rival)]
        assert lost[0] > 0.1 and percents(opened.table["diverged"]) == pytest.approx(lost, abs=6e-4)
        opened.end()
        assert opened.table["−w₀"][:2] == ["1/2", "1"] and opened.table["+w₀"][:2] == ["1/4", "1"]
        assert percents(opened.table["−w₀"]) == pytest.approx(shares(WELL.run), abs=6e-4)
        assert opened.table["−w₀"][4] == f"{100 * Posterior(DoubleWell(), 1000).masses()[0]:.3g} %"
        opened.page.fill("input[type=text][data-name='a.lr']", "0.005")
        opened.page.keyboard.press("Tab")
        opened.slide("input[type=range][data-name='d2']", 2)
        opened.settled().end()
        landscape = DoubleWell(d1=1, d2=3)
        run = replace(WELL.run, landscape=landscape, rule=SGD(lr=0.005))
        assert opened.page.text_content(".formula") == "Q = (w + 1.8)(w − 1.8)³" and opened.table["+w₀"][:2] == ["1/6", "1"]
        assert percents(opened.table["−w₀"]) == pytest.approx(shares(run), abs=6e-4)
        assert opened.table["−w₀"][4] == f"{100 * Posterior(landscape, 1000).masses()[0]:.3g} %"
        opened.page.keyboard.press("Escape")
        opened.page.click("button[aria-label^='New noise']")
        opened.settled().end()
        assert percents(opened.table["−w₀"]) == pytest.approx(shares(replace(run, seed=1)), abs=6e-4)
        opened.page.click("text=Reset all")
        opened.settled().end()
        assert percents(opened.table["−w₀"]) == pytest.approx(shares(WELL.run), abs=6e-4)


@pytest.mark.browser
def test_a_valley_shows_its_distances(browser, file):
    run = Simulation(Valley(p=1, k=2), SGD(lr=0.02), n=300, steps=500, seed=4)
    with Opened(browser, file(page(Lab(run, None)), "valley")) as opened:
        out = run.run()
        alive = np.isfinite(out.w[:, 0])
        opened.settled().end()
        assert opened.table["O"][:2] == ["1/4", "2"] and opened.table["line w₁ = 0"][:2] == ["1/4", "1"]
        for minimum, row in zip(run.landscape.minima, ("O", "line w₁ = 0"), strict=True):
            away = np.sort(out.distance(minimum)[-1][alive])
            assert float(opened.table[row][2]) == pytest.approx(away[len(away) // 2], rel=0.06)  # two digits are shown
        assert float(opened.table["diverged"][2].removesuffix(" %")) == pytest.approx(100 * (1 - alive.mean()), abs=0.06)
        opened.page.keyboard.press("Home")
        start = out.distance(run.landscape.minima[0])[0]
        assert abs(np.median(start[alive]) / np.median(start) - 1) > 0.1  # those who diverge start far out: they are in no median
        opened.until(lambda: abs(float(opened.table["O"][2]) / np.median(start[alive]) - 1) < 0.03)


@pytest.mark.browser
def test_it_plays_steps_and_hears_the_keyboard(browser, file):
    with Opened(browser, file(page(WELL))) as opened:
        step = lambda: int(opened.page.text_content(".clock").split()[1])  # noqa: E731
        opened.settled()
        assert step() == 0
        opened.page.keyboard.press(".")
        opened.page.keyboard.press(".")
        opened.page.keyboard.press(",")
        assert step() == 1
        opened.page.keyboard.press("End")
        assert step() == 100
        opened.page.keyboard.press(" ")
        opened.until(lambda: 3 < step() < 100)
        opened.page.keyboard.press(" ")
        held = step()
        opened.page.wait_for_timeout(150)
        assert step() == held
        opened.page.keyboard.press("Home")
        assert step() == 0
        before = opened.page.screenshot()
        opened.page.keyboard.press("t")
        assert opened.page.get_attribute(".widget", "data-theme") == "dark" and opened.page.screenshot() != before
        opened.page.keyboard.press("p")
        assert "projector" in opened.page.get_attribute(".widget", "class")


@pytest.mark.browser
def test_themes_motion_and_values_come_from_the_address(browser, file):
    path = file(page(WELL))
    with Opened(browser, path, color_scheme="dark") as opened:
        assert opened.page.get_attribute(".widget", "data-theme") == "dark"
    with Opened(browser, path, "?theme=light&play=1", color_scheme="dark", reduced_motion="reduce") as opened:
        opened.settled()
        assert opened.page.get_attribute(".widget", "data-theme") == "light"
        opened.page.wait_for_timeout(200)
        assert opened.page.text_content(".clock").split()[1] == "0"
    with Opened(browser, path, "?play=1") as opened:
        opened.until(lambda: opened.page.text_content(".clock").split()[1] not in ("0", "/"))
    with Opened(browser, path, "?w0=1.5&lr=9999&b.rule=none&rule=constructor&d1=%3Cimg%3E&seed=3&toString=1") as opened:
        opened.settled().end()
        assert opened.page.text_content(".formula") == "Q = (w + 1.5)(w − 1.5)²"
        assert opened.page.input_value("input[type=text][data-name='a.lr']") == "0.1"  # the end of the slider
        assert opened.page.input_value("select[data-name='b.rule']") == "none"
        assert len(opened.table["−w₀"]) == 4  # no column for B


@pytest.mark.browser
@pytest.mark.parametrize("query", ["", "?projector=1"])
def test_it_fits_into_any_frame(browser, file, query):
    with Opened(browser, file(page(WELL)), query) as opened:
        opened.settled()
        for size in ((1400, 850), (1024, 640), (640, 400), (360, 640)):
            opened.page.set_viewport_size({"width": size[0], "height": size[1]})
            opened.until(lambda size=size: opened.ask("innerWidth") == size[0])
            opened.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))")
            width, tall = opened.ask("[document.documentElement.scrollWidth, document.documentElement.scrollHeight]")
            assert width <= size[0] and tall <= size[1], size
            boxes = opened.page.eval_on_selector_all("main canvas", "nodes => nodes.map(node => [node.clientWidth, node.clientHeight])")
            assert len(boxes) == 3 and all(wide > 150 and high > 60 for wide, high in boxes), size
            table = opened.ask("(box => [box.scrollWidth, box.clientWidth])(document.querySelector('.numbers'))")
            assert table[0] <= table[1] + 1, size  # nothing cut off
            bar = opened.page.eval_on_selector_all("footer > *", "nodes => nodes.map(node => node.getBoundingClientRect().right)")
            assert max(bar) <= size[0], size


@pytest.mark.browser
def test_it_is_accessible(browser, file):
    from axe_playwright_python.sync_playwright import Axe

    for theme in ("light", "dark"):
        with Opened(browser, file(page(WELL, "A title")), f"?theme={theme}") as opened:
            opened.settled()
            found = Axe().run(opened.page, options={"runOnly": ["wcag2a", "wcag2aa"]}).response["violations"]
            assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


@pytest.mark.browser
def test_what_a_browser_cannot_simulate_is_recorded_and_the_file_says_so(browser, file):
    run = replace(WELL.run, data=Finite(size=30_000), n=300)
    text = page(replace(WELL, run=run))
    assert len(text) < standalone.LARGEST
    with Opened(browser, file(text, "recorded")) as opened:
        opened.settled().end()
        assert "30,000 given samples do not fit into a file" in opened.page.text_content(".note")
        assert not opened.page.is_visible("aside") and opened.page.query_selector("button[aria-label^='New noise']") is None
        exact = [replace(run, rule=rule).run().share_left[-1] for rule in (run.rule, WELL.rival)]
        assert percents(opened.table["−w₀"]) == pytest.approx(exact, abs=6e-4)
        assert opened.table["−w₀"][4] == f"{100 * Posterior(DoubleWell(), 1000, data=run.data).masses()[0]:.3g} %"


# Text


@pytest.mark.browser
def test_hostile_text_stays_text(browser, file):
    text = page(WELL, HOSTILE, HOSTILE)
    assert "<img" not in text and "window.bad = 1</" not in text
    with Opened(browser, file(text, "hostile")) as opened:
        opened.settled()
        assert opened.ask("window.bad") is None and opened.page.title() == HOSTILE and opened.page.text_content(".cite") == HOSTILE
    pictures = [Picture(HOSTILE, b"<svg xmlns='http://www.w3.org/2000/svg'/>"), Picture("2", b"<svg xmlns='http://www.w3.org/2000/svg' width='9'/>")]
    with Opened(browser, file(slides(pictures, HOSTILE, HOSTILE, HOSTILE), "slides")) as opened:
        assert opened.ask("window.bad") is None and opened.page.text_content(".formula") == HOSTILE
        assert opened.page.text_content(".clock") == f"{HOSTILE} = {HOSTILE}"
        first = opened.page.get_attribute("img", "src")
        opened.slide(".scrub", 1)
        assert opened.page.text_content(".clock").endswith("= 2") and opened.page.get_attribute("img", "src") != first


def test_a_hostile_landscape_is_refused_and_does_not_reach_the_file(tmp_path, capsys):
    query = f"landscape=Polynomial&text={HOSTILE}".replace("'", "%27").replace("<img src=x", "%3Cimg").replace(" ", "+")
    assert main(["export", query, "--out", str(tmp_path / "x.html")]) == 0
    assert "note: " in capsys.readouterr().err
    text = (tmp_path / "x.html").read_text()
    assert "window.bad" not in text
    state = json.loads(re.search(r'id="state">(.*?)</script>', text)[1])
    assert state["landscape"] in ("Polynomial", "DoubleWell")


def test_json_in_a_script_ends_neither_the_script_nor_the_line():
    value = {HOSTILE: ["<!--", "]]>", "\u2028", "&", float("nan"), np.float64(1), (1, 2)]}
    text = standalone.script_json(value)
    assert not set(text) & set("<>&\u2028\u2029\n") and json.loads(text) == json.loads(json.dumps(plain(value)))


@pytest.mark.parametrize("name", PRESETS)
def test_the_file_of_every_preset_is_small_and_loads_nothing(name, tmp_path, capsys):
    assert main(["export", name, "--out", str(tmp_path / "x.html")]) == 0
    text = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert len(text.encode()) < 300_000 and standalone.POLICY in text
    assert not re.search(r"""(src|href)\s*=\s*["']|\bimport\b\s*\(|\bfetch\b|XMLHttp|WebSocket""", text)


# The command line


def test_a_link_gives_the_lab_of_the_page(tmp_path, capsys):
    query = "v=1&landscape=Valley&p=2&k=1&rule=SGD&lr=0.03&b.rule=NGD&b.lr=0.2&n=50&steps=40&theme=dark"
    for name in (query, f"http://localhost:5006/serve?{query}"):
        assert main(["export", name, "--out", str(tmp_path / "x.html"), "--seed", "7"]) == 0
        lab, _ = decode(dict(pair.split("=") for pair in query.split("&")))
        assert (tmp_path / "x.html").read_text() == page(replace(lab, run=replace(lab.run, seed=7)))
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["export", "fig1-escape"], "--out"),
        (["export", "fig1-escap", "--out", "x.html"], "did you mean fig1-escape"),
        (["export", "page=lessons", "--out", "x.html"], "has no run to export"),
        (["export", "fig1-escape", "--out", "x.docx"], "choose one of"),
        (["export", "fig1-escape", "--set", "lr=99", "--out", "x.html"], "lr = 99"),
        (["run", "fig7b-rate", "--out", "x.gif"], "only one simulation moves"),
    ],
)
def test_a_wrong_export_is_one_line(arguments, says, capsys):
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and says in err


def test_a_film_without_ffmpeg_names_the_gif(monkeypatch, capsys):
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert main(["run", "fig1-escape", "--out", "x.mp4"]) == 1
    err = capsys.readouterr().err
    assert "needs ffmpeg" in err and "choose .gif" in err and err.count("\n") == 1


def test_a_film_of_a_failing_ffmpeg_says_what_it_said(monkeypatch, tmp_path, capsys):
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\necho 'Unknown encoder h264' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("app.animation.animate.__defaults__", ("", 2))
    assert main(["run", "landscape", "--set", "n=20", "--set", "steps=5", "--out", str(tmp_path / "x.mp4")]) == 1
    out, err = capsys.readouterr()
    assert "ffmpeg failed: Unknown encoder h264; choose .gif" in err and err.count("\n") == 1 and "20 trajectories survive" in out
    assert os.listdir(tmp_path) == ["ffmpeg"]


@pytest.mark.parametrize("name", ["fig5-stuck", "fig6-distance", "fig1-escape"])
def test_a_film_shows_survivors_whole_and_counts_the_lost(name):
    import matplotlib.pyplot as plt

    from app import animation

    out = replace(PRESETS[name].run, n=60, steps=50).run()
    figure, axes = plt.subplots()
    move = (animation._one if out.run.landscape.dim == 1 else animation._two)(axes, {"a": out})
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    alive = np.isfinite(out.w[:, 0])
    for frame in (0, len(out.steps) - 1):
        move(frame)
        x, y = axes.lines[-2 if out.run.landscape.dim == 2 else -1].get_data()
        assert len(x) == min(alive.sum(), animation.SHOWN[out.run.landscape.dim]) and np.all((left < x) & (x < right))
        assert out.run.landscape.dim == 1 or np.all((bottom < y) & (y < top))  # K has no upper end
    plt.close(figure)
    assert animation._told({"a": out}, -1) == f"{60 - alive.sum()} of 60 diverged\nstep 50 of 50"
    assert animation._told({"a": out, "b": out}, 0) == "A: 0, B: 0 of 60 diverged\nstep 0 of 50"


@pytest.mark.parametrize(
    "query", ["landscape=DoubleWell&n=30&steps=20", "landscape=Valley&n=30&steps=20&b.rule=none", "landscape=Monomial&n=9&steps=3&rule=GD"]
)
def test_a_moving_picture_moves(query, tmp_path, capsys, monkeypatch):
    import PIL.Image

    monkeypatch.setattr("app.animation.animate.__defaults__", ("", 3))
    assert main(["export", query, "--out", str(tmp_path / "x.gif")]) == 0
    with PIL.Image.open(tmp_path / "x.gif") as film:
        assert film.n_frames == 3
        first = np.asarray(film.convert("RGB"), int)
        film.seek(2)
        assert np.abs(np.asarray(film.convert("RGB"), int) - first).max() > 100


@pytest.mark.parametrize(("suffix", "start"), [(".csv", b"optimiser,step,"), (".npz", b"PK")])
def test_the_same_command_writes_tables_and_pictures(suffix, start, tmp_path, capsys):
    assert main(["export", "landscape=Valley&n=20&steps=10", "--out", str(tmp_path / f"x{suffix}")]) == 0
    assert (tmp_path / f"x{suffix}").read_bytes().startswith(start)


def test_a_file_that_is_too_large_is_refused():
    with pytest.raises(ValueError, match="at most 5"):
        slides([Picture("1", b"\x89PNG" + bytes(4_000_000))], "large")
    with pytest.raises(ValueError, match="no pictures"):
        slides([], "none")


def test_a_start_at_one_point_and_an_unused_class_stay_out_of_the_way():
    lab = Lab(Simulation(Monomial(k=5), MALA(), n=10, steps=5, start=At(0.3)), None)
    state = json.loads(re.search(r'id="state">(.*?)</script>', page(lab))[1])
    assert state["start"] == {"low": [0.3], "high": [0.3], "at": True} and "5" in state["family"]["cases"]
    assert set(state["choices"]) == set(RULES)
    whole = json.loads(re.search(r'id="state">(.*?)</script>', page(Lab(Simulation(Polynomial("w1^4 + w2^2", "K"), GD(), n=5, steps=5), None)))[1])
    assert set(whole["choices"]) == {"GD", "Langevin", "MALA"}
    assert family(NormalCrossing())["real"] is None
