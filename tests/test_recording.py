"""A lab as a file: recorded frames that show in any browser what the page showed, pictures, films and tables of the same run."""

import csv
import functools
import io
import itertools

import numpy as np
import pytest
from bokeh.core.serialization import Deserializer
from bokeh.document import Document
from bokeh.model import Model
from matplotlib.colors import to_hex
from panel.io.state import set_curdoc, state
from PIL import Image
from test_standalone import Opened

from app import export, labfile, paper, recording
from app.__main__ import main
from app.pages import PAGES
from app.recording import Frame, Recording, record, rendered, thinned
from app.state import LABS

SMALL = {
    "llc": {"preset": "healthy", "chains": "2", "draws": "60", "burn_in": "20", "figures": "chains,lambda,law"},
    "dln": {"widths": "3,2,3", "rank": "1", "t.steps": "60", "t.every": "10", "t.draws": "20", "t.n": "200"},
    "networks": {
        "data.size": "200",
        "net.hidden": "8",
        "epochs": "2",
        "look.count": "1",
        "look.draws": "10",
        "look.burn_in": "0",
        "look.chains": "2",
    },
    "escape": {"x.count": "3", "y.count": "2", "n": "200", "steps": "20", "cells": "100"},
}


def recorded(page: str, most: int = recording.MOST, **more) -> tuple[object, Recording]:
    session, messages = labfile.opened(page, SMALL[page] | more)
    assert messages == []
    *labels, made = record(session, session.heading, most)
    assert all(labels)
    return session, made


@pytest.fixture(scope="module")
def runs():
    """A function: name of a lab -> (its session, its recording)."""
    kept = functools.cache(recorded)
    yield kept
    kept.cache_clear()  # sessions, which other tests count


def merged(frames, kind: str) -> dict:
    found = {}
    for frame in frames:
        found |= getattr(frame, kind)
    return found


def decoded(value) -> dict[str, list]:
    """Columns as the browser gets them."""
    return {key: [np.asarray(entry).tolist() for entry in column] for key, column in Deserializer().decode(value).items()}


def single(column) -> list:
    """A column in single precision, which is what a recording keeps."""
    number = int | float | np.number
    return [single(e) if isinstance(e, list | tuple | np.ndarray) else float(np.float32(e)) if isinstance(e, number) else e for e in column]


# Frames


@pytest.mark.parametrize("page", ["llc", "dln", "networks"])
def test_the_last_frame_is_what_the_page_ends_with(runs, page):
    """Every column of every source that was filled, in single precision, every range, every word."""
    session, made = runs(page)
    last = merged(made.frames, "models")
    for name, source in session.sources.items():
        if any(len(column) for column in source.data.values()):
            assert decoded(last[source.id, "data"]) == {key: single(column) for key, column in source.data.items()}, name
    for name, plot in session.plots.items():
        for ends in (plot.x_range, plot.y_range):
            for end in ("start", "end"):
                if (ends.id, end) in last:
                    assert last[ends.id, end] == pytest.approx(getattr(ends, end)), name
    words = made.view | merged(made.frames, "view")
    assert (words["says"], words["legends"], words["status"]) == (session.view.says, session.view.legends, session.view.status)
    assert words["words"] == [rendered(pane.object) for pane in session.texts]


def test_the_map_of_the_escape_lab_grows_to_the_one_of_the_page(runs):
    session, made = runs("escape")
    words = made.view | merged(made.frames, "view")
    assert words["numbers"] == session.view.numbers and words["numbers"]["complete"] and words["fixed"] == session.view.fixed
    assert made.frames[-1].label == "6 of 6 cells" and not made.plots


@pytest.mark.parametrize("page", ["llc", "dln", "networks", "escape"])
def test_labels_tell_how_far_it_is(runs, page):
    _, made = runs(page)
    ends = {"llc": "60 draws", "dln": "step 60", "networks": "epoch 2", "escape": "6 of 6 cells"}
    assert made.frames[-1].label == ends[page] and 1 <= len(made.frames) <= recording.MOST


@pytest.mark.parametrize("most", [1, 2, 3, 7, 50])
def test_frames_that_are_left_out_leave_what_they_changed_to_the_next(most):
    generator = np.random.default_rng(0)
    frames = [
        Frame(str(i), {f"v{k}": i for k in generator.integers(0, 5, 2)}, {("m", f"a{k}"): i for k in generator.integers(0, 9, 3)}) for i in range(20)
    ]
    kept = thinned(frames, most)
    places = [int(frame.label) for frame in kept]
    assert len(kept) == min(most, 20) and places[-1] == (19 if most > 1 else 0) and places == sorted(set(places))
    for i, place in enumerate(places):
        for kind in ("view", "models"):
            assert merged(kept[: i + 1], kind) == merged(frames[: place + 1], kind)


def test_texts_are_markdown_with_formulas_as_mathml_and_nothing_else():
    page = rendered(
        "Near *w*:\n\n$$\\hat\\lambda = \\tfrac{1}{2}$$\n\nand inline $$n\\beta$$ too.\n\n| a | b |\n|---|---|\n| 1 | <script>bad</script> |"
    )
    assert page.count("<math") == 2 and page.count('display="block"') == 1 and "<em>w</em>" in page and "<table>" in page
    assert "<mfrac>" in page and "<script" not in page and "&lt;script&gt;" in page


def test_a_training_that_is_known_already_is_recorded_all_the_same(runs):
    """The page's trainings are shared, and one that is over has no steps to come."""
    _, made = runs("dln")
    _, again = recorded("dln")
    assert [frame.label for frame in again.frames] == [frame.label for frame in made.frames] and len(made.frames) > 3


# On paper


ALL = [(page, name) for page in ("networks", "llc", "dln") for name in PAGES[page]().cells]


@pytest.mark.parametrize(("page", "name"), ALL, ids="-".join)
def test_every_kind_of_glyph_of_every_figure_can_be_drawn(page, name):
    plot = PAGES[page]().cells[name].make()
    assert {type(glyph).__name__ for glyph, _ in paper.plate(plot, "", ()).glyphs} <= set(paper.GLYPHS)


@pytest.mark.parametrize("page", ["llc", "dln", "networks"])
def test_a_sheet_shows_the_numbers_of_the_page(runs, page):
    """Lines, bars and dots by their coordinates and colours; ranges, scales and labels of the axes; every heading and legend."""
    session, _ = runs(page)
    sheet = session.sheet()()
    shown = [name for name in session.plots if name not in session.view.hidden]
    texts = " ".join(text.get_text() for text in sheet.texts)
    assert session.heading in texts and all(word in texts for word in session.view.says.split())
    for axes, name in zip(sheet.axes, shown, strict=True):
        plot = session.plots[name]
        assert session.cells[name].title in texts
        assert all(text.split()[0] in texts for _, text in session.view.legends.get(name, ()) if text)
        assert axes.get_xlim() == (plot.x_range.start, plot.x_range.end) and axes.get_ylim() == (plot.y_range.start, plot.y_range.end)
        assert (axes.get_xscale() == "log") == (type(plot.x_scale).__name__ == "LogScale")
        drawn = [(to_hex(line.get_color()), np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)) for line in axes.lines]
        for renderer in plot.renderers:
            glyph, data = renderer.glyph, renderer.data_source.data
            if type(glyph).__name__ == "Line" and len(data[glyph.x]):
                wanted = [np.array(data[column], float) for column in (glyph.x, glyph.y)]
                assert any(
                    colour == glyph.line_color and all(np.array_equal(a, b, equal_nan=True) for a, b in zip((x, y), wanted, strict=True))
                    for colour, x, y in drawn
                ), (name, glyph.y)


def test_the_sheet_of_the_escape_lab_has_both_maps_in_the_order_of_its_cells(runs):
    session, _ = runs("escape")
    sheet = session.sheet()()
    frame = session.made.frame
    for axes, name in zip(sheet.axes[::2], ("rate", "exact"), strict=True):
        drawn = axes.collections[-1].get_array()
        values, low = np.minimum(getattr(frame, name), 1), 10.0 ** session.view.fixed["scale"][0]
        assert np.array_equal(np.ma.filled(drawn, np.nan), np.where(values < low, np.nan, values), equal_nan=True)
        assert axes.get_xlabel() == session.view.fixed["x"]["label"]


# The command line


@pytest.mark.parametrize("page", LABS)
def test_a_link_of_any_lab_becomes_a_file_of_any_kind(page, tmp_path, capsys):
    query = "&".join(f"{key}={value}" for key, value in (SMALL[page] | {"page": page}).items())
    for suffix in (".html", ".png", ".csv", *([".svg", ".pdf", ".gif"] if page in ("llc", "escape") else [])):
        assert main(["export", f"http://localhost:5006/serve?{query}", "--out", str(tmp_path / f"lab{suffix}")]) == 0
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out.count("Written") == len(list(tmp_path.iterdir()))
    assert (tmp_path / "lab.html").stat().st_size < 5e6
    with Image.open(tmp_path / "lab.png") as picture:
        assert picture.width >= 1000 and len(picture.convert("L").getcolors()) > 20
    head, *rows = csv.reader(io.StringIO((tmp_path / "lab.csv").read_text()))
    assert len(rows) >= 3 and all(len(row) == len(head) for row in rows)
    if page in ("llc", "escape"):
        assert (tmp_path / "lab.svg").read_text().startswith("<?xml") and (tmp_path / "lab.pdf").read_bytes().startswith(b"%PDF")
        with Image.open(tmp_path / "lab.gif") as film:
            assert 1 < film.n_frames <= recording.MOST


def test_settings_and_seed_change_the_link(tmp_path, capsys):
    tables = []
    for seed in ("1", "1", "2"):
        settings = list(itertools.chain(*(("--set", f"{key}={value}") for key, value in SMALL["llc"].items())))
        assert main(["export", "llc", *settings, "--seed", seed, "--out", str(tmp_path / "a.csv")]) == 0
        tables.append((tmp_path / "a.csv").read_text())
    assert tables[0] == tables[1] != tables[2]


@pytest.mark.parametrize("name", ["landscape", "llc"])
def test_every_file_that_is_asked_for_is_written(name, tmp_path, capsys):
    settings = SMALL["llc"] if name == "llc" else {"n": "20", "steps": "5"}
    paths = [tmp_path / f"a{suffix}" for suffix in (".csv", ".svg")]
    arguments = [*itertools.chain(*(("--set", f"{key}={value}") for key, value in settings.items()), *(("--out", str(path)) for path in paths))]
    assert main(["export", name, *arguments]) == 0
    assert all(path.stat().st_size for path in paths) and capsys.readouterr().out.count("Written: ") == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["page=lessons"], "page = 'lessons' has no run to export; choose one of landscape, escape"),
        (["page=nonsense"], "page = 'nonsense' has no run to export"),
        (["llc", "--set", "draws"], "'draws' is no setting; write name=value"),
        (["dln", "--set", "t.width=500", "--set", "t.n=1000000"], "need"),
    ],
)
def test_what_cannot_be_exported_is_said_in_one_line_and_nothing_is_written(arguments, said, tmp_path, capsys):
    assert main(["export", *arguments, "--out", str(tmp_path / "a.html")]) == 1
    captured = capsys.readouterr()
    assert said in captured.err and captured.err.count("\n") == 1 and list(tmp_path.iterdir()) == []


def test_what_a_link_has_too_much_is_a_note(tmp_path, capsys):
    query = "&".join(f"{key}={value}" for key, value in (SMALL["llc"] | {"page": "llc", "eps": "nan", "figures": "law,pie"}).items())
    assert main(["export", query, "--out", str(tmp_path / "a.csv")]) == 0
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 2 and all("note: " in note for note in notes) and "figures = 'pie'; choose from" in notes[1]


# In a browser without a network


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_file_of_a_lab_plays_its_frames_without_a_network(runs, browser, tmp_path, theme):
    session, made = runs("dln")
    path = export.write(recording.page(made), tmp_path / "dln.html")
    with Opened(browser, path, f"?theme={theme}", viewport={"width": 1024, "height": 640}) as opened:
        opened.until(lambda: opened.page.query_selector("canvas") and opened.page.get_attribute(".lab", "data-frame"))
        assert opened.page.inner_text(".says") == session.view.says and opened.page.inner_text(".clock") == "step 60"
        assert opened.page.get_attribute(".lab", "data-theme") == theme
        assert opened.page.is_hidden("header") and opened.page.evaluate("document.querySelector('form').inert")
        loss = opened.page.locator("figure.loss")
        end = loss.screenshot()
        for _ in range(2):  # there and back again
            opened.page.keyboard.press("Home")
            opened.until(lambda: opened.page.inner_text(".clock") == "step 0" and loss.screenshot() != end)
            opened.page.keyboard.press("End")
            opened.until(lambda: opened.page.inner_text(".clock") == "step 60" and loss.screenshot() == end)
        opened.page.keyboard.press("Home")
        opened.page.keyboard.press("Space")
        opened.until(lambda: opened.page.inner_text(".clock") == "step 60")


@pytest.mark.browser
def test_a_frame_of_a_slide_shows_whole_figures_above_the_slider(runs, browser, tmp_path):
    _, made = runs("llc")
    with Opened(browser, export.write(recording.page(made), tmp_path / "llc.html"), viewport={"width": 960, "height": 520}) as opened:
        opened.until(lambda: opened.page.query_selector("canvas") and opened.page.get_attribute(".lab", "data-frame"))
        foot = opened.page.locator("footer").bounding_box()
        opened.until(lambda: (box := opened.page.locator("figure.lambda").bounding_box())["y"] + box["height"] <= foot["y"])
        assert foot["y"] + foot["height"] <= 520 and opened.page.locator("figure.lambda canvas").first.bounding_box()["height"] > 150


@pytest.mark.browser
def test_the_file_of_an_escape_map_grows_with_its_slider(runs, browser, tmp_path):
    _, made = runs("escape")
    with Opened(browser, export.write(recording.page(made), tmp_path / "escape.html")) as opened:
        opened.until(lambda: opened.page.get_attribute(".lab", "data-complete") == "true")
        assert opened.page.inner_text(".clock") == "6 of 6 cells" and opened.page.locator(".maps svg").count() == 2
        opened.page.locator(".drawer").click()
        assert "recorded with the run" in opened.page.inner_text("aside > .note") and opened.page.locator("form[inert]").count() == 1
        opened.slide(".scrub", 0)
        opened.until(
            lambda: opened.page.inner_text(".clock") == made.frames[0].label and opened.page.get_attribute(".lab", "data-complete") == "false"
        )


@pytest.mark.browser
@pytest.mark.parametrize("page", ["dln", "networks"])
def test_the_files_of_networks_show_their_figures_and_words(runs, browser, tmp_path, page):
    session, made = runs(page)
    with Opened(browser, export.write(recording.page(made), tmp_path / f"{page}.html")) as opened:
        opened.until(lambda: opened.page.get_attribute(".lab", "data-frame"))
        opened.until(lambda: opened.page.locator("canvas").count() >= len(session.plots) - len(session.view.hidden))
        assert opened.page.inner_text(".says") == session.view.says and opened.page.locator("math").count() > 0


@pytest.mark.parametrize("page", ["landscape", "escape", "llc", "dln", "networks"])
def test_a_value_of_a_page_is_set_without_a_look_at_the_models_of_its_figures(page, monkeypatch):
    document = Document()
    monkeypatch.setattr(state, "_views", {})  # nobody will close this window
    with set_curdoc(document):
        session = PAGES[page]()({"page": page})
        session.close()  # it need not compute
        document.add_root(session.view.get_root(document))
        looked = []
        monkeypatch.setattr(Model, "references", lambda model: looked.append(model) or set())
        session.view.notices = ["as any other value"]
    assert looked == [] and document.roots
    monkeypatch.undo()
    document.clear()  # Panel's style sheets know it, and all that it holds
