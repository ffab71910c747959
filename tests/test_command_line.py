"""`python -m app`, and the files it writes."""

import csv
import html.parser
import json
import os
import subprocess
import sys
import urllib.parse
from dataclasses import replace

import holoviews as hv
import numpy as np
import pytest

from app import export
from app.__main__ import main
from app.state import decode
from dynamics import Simulation
from dynamics.presets import PRESETS
from landscapes import Valley


def strict(text: str):
    """JSON as the standard has it: no NaN, no Infinity."""
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def test_list_names_every_preset_its_source_and_its_claim(capsys):
    assert main(["list"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for preset in PRESETS.values():
        for part in (preset.name, preset.title, preset.cite, preset.claim):
            assert " ".join(part.split()) in text
    assert main(["list", "--json"]) == 0
    assert [entry["name"] for entry in strict(capsys.readouterr().out) if entry["group"] == "Landscapes"] == list(PRESETS)


def test_listing_and_running_load_neither_panel_nor_any_plotting():
    code = (
        "import sys; from app.__main__ import main; main(['list']); main(['run', 'fig1-potential']);"
        "print([name for name in ('panel', 'holoviews', 'matplotlib', 'bokeh', 'torch', 'pandas') if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"


def test_a_summary_in_json_says_all_and_is_strict(capsys):
    assert main(["run", "fig1-escape", "--quick", "--json"]) == 0
    out = strict(capsys.readouterr().out)
    assert out["preset"] == "fig1-escape" and out["holds"] is True and "per step" in out["verdict"]
    assert out["n"] == 4000 == out["survivors"] + out["diverged"]
    assert out["escape"]["rate"] == pytest.approx(0.112, abs=4 * (out["escape"]["stderr"] ** 2 + 0.004**2) ** 0.5)
    assert out["escape"]["first"] == 3 and sum(out["shares_at_end"]) == pytest.approx(1)
    assert [(point["lambda"], point["multiplicity"]) for point in out["exact"]] == [("1/4", 1), ("1/2", 1), (None, None)]
    assert out["all_zeros"] == {"lambda": "1/4", "multiplicity": 1}
    assert decode(out["run"]) == (PRESETS["fig1-escape"].quick, [])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_runs_and_speaks_in_both_voices(name, capsys):
    assert main(["run", name, "--quick"]) == 0
    words = capsys.readouterr()
    assert PRESETS[name].claim in words.out and "lambda" in words.out and not words.err
    assert main(["run", name, "--quick", "--json"]) == 0
    assert strict(capsys.readouterr().out)["holds"] in (True, False)


def test_settings_and_the_seed_reach_the_run(capsys):
    assert main(["run", "landscape", "--set", "landscape=Valley", "--set", "p=2", "--set", "n=20", "--set", "steps=5", "--seed", "9", "--json"]) == 0
    assert decode(strict(capsys.readouterr().out)["run"])[0] == Simulation(Valley(p=2), n=20, steps=5, seed=9)
    assert main(["run", "fig7b-rate", "--quick", "--set", "n=100", "--json"]) == 0
    assert all(row["survivors"] + row["diverged"] == 100 for row in strict(capsys.readouterr().out)["values"])
    assert main(["run", "fig4-posterior", "--set", "d1=1", "--json"]) == 0
    assert "d1=1" in strict(capsys.readouterr().out)["run"]["first"]


def test_with_a_true_slope_minima_and_lambda_are_those_of_q_minus_a(capsys):
    """(w + 1.8)(w - 1.8)^2 = 1/2 has three simple roots; 1.8 itself becomes a maximum of K."""
    small = ["--set", "n=20", "--set", "steps=8"]
    assert main(["run", "landscape", "--set", "data.slope=0.5", *small, "--json"]) == 0
    out = strict(capsys.readouterr().out)
    exact = {round(point["at"][0], 6): (point["lambda"], point["multiplicity"]) for point in out["exact"]}
    roots = np.sort(np.roots(np.poly1d([1, 1.8]) * np.poly1d([1, -1.8]) ** 2 - 0.5).real)
    assert exact == {round(root, 6): ("1/2", 1) for root in roots} | {-0.6: (None, None), 1.8: (None, None)}
    assert out["all_zeros"] == {"lambda": "1/2", "multiplicity": 1} and out["slope"] == 0.5 and "those of a = 0" in out["basins"]
    assert main(["run", "landscape", "--set", "data.slope=0.5", *small]) == 0
    words = capsys.readouterr().out
    assert "with a = 0.5, 2.156 (2.156): lambda = 1/2" in words and "1/4" not in words and "those of a = 0" in words
    assert main(["run", "landscape", "--set", "landscape=Monomial", "--set", "data.slope=-0.5", *small, "--json"]) == 0
    out = strict(capsys.readouterr().out)  # w^2 + 1/2 has no zero
    assert out["all_zeros"] == {"lambda": None, "multiplicity": None, "why": "Q − a is 0 nowhere in the box"}
    assert [(point["at"], point["lambda"]) for point in out["exact"]] == [([0.0], "1/2")]


def test_what_cannot_be_written_after_all_loses_no_summary(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(export, "rows", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    assert main(["run", "landscape", "--set", "n=20", "--set", "steps=5", "--json", "--out", str(tmp_path / "a.csv")]) == 1
    out, err = capsys.readouterr()
    assert strict(out)["n"] == 20 and "out" not in strict(out) and err == "python -m app: disk full\n"


@pytest.mark.parametrize("name", ["landscape", "fig5-coefficient"])
def test_letters_that_a_terminal_lacks_cost_no_result(name, tmp_path, monkeypatch):
    for more in ([], ["--json"]):
        with open(tmp_path / "out", "w", encoding="ascii") as stdout:
            monkeypatch.setattr("sys.stdout", stdout)
            small = ["--set", "n=20", "--set", "steps=5"] if name == "landscape" else []
            assert main(["run", name, *small, *more]) == 0
    assert strict((tmp_path / "out").read_text())["run"]


def test_ctrl_c_while_modules_are_loaded_is_one_line(tmp_path):
    (tmp_path / "tqdm.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")  # it is loaded before anything of ours
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); runpy.run_module('app', run_name='__main__', alter_sys=True)"
    done = subprocess.run([sys.executable, "-c", code, "list"], capture_output=True, text=True)
    assert done.returncode == 130 and done.stdout == "" and "stopped before the run began" in done.stderr and "Traceback" not in done.stderr


def test_every_beyond_the_last_step_is_the_last_step(capsys):
    assert main(["run", "landscape", "--set", "n=20", "--set", "steps=5", "--every", "99999999999999999999"]) == 0


def test_nothing_survives_and_the_summary_is_still_json(capsys):
    assert main(["run", "fig1-escape", "--set", "lr=1", "--set", "n=50", "--json"]) == 0
    out = strict(capsys.readouterr().out)
    assert out["survivors"] == 0 and out["holds"] is None and out["shares_at_end"] == [None, None] and "escape" not in out
    assert main(["run", "fig1-escape", "--set", "lr=1", "--set", "n=50"]) == 0


def test_the_query_of_a_preset_gives_its_run_back(capsys):
    assert main(["url", "fig1-escape-finite", "--set", "n=50"]) == 0
    query = dict(urllib.parse.parse_qsl(capsys.readouterr().out.strip()))
    assert query.pop("preset") == "fig1-escape-finite"
    run, messages = decode(query)
    assert not messages and run == Simulation(**{**vars(PRESETS["fig1-escape-finite"].run), "n": 50})
    assert main(["url", "fig7b-rate"]) == 0
    assert capsys.readouterr().out.strip() == "preset=fig7b-rate"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "required"),
        (["rum"], "rum"),
        (["run"], "name"),
        (["run", "fig1-escap"], "did you mean fig1-escape"),
        (["run", "../../etc/passwd\n"], "no preset"),
        (["run", "x" * 5000], "no preset"),
        (["run", "fig1-escape", "--set", "lr"], "write name=value"),
        (["run", "fig1-escape", "--set", "lr=0"], "lr = 0.0 is below"),
        (["run", "fig1-escape", "--set", "lr=nan"], "not finite"),
        (["run", "fig1-escape", "--set", "lr=__import__('os')"], "not a number"),
        (["run", "fig1-escape", "--set", "rate=1"], "no such value"),
        (["run", "fig1-escape", "--set", "n=10000000", "--set", "steps=1000000"], "keep fewer steps or trajectories"),
        (["run", "fig1-escape", "--seed", "x"], "seed = 'x'"),
        (["run", "fig1-escape", "--every", "0"], "--every 0"),
        (["run", "fig7b-rate", "--every", "5"], "leave --every out"),
        (["run", "fig1-potential", "--every", "3"], "is a posterior, which has no steps"),
        (["run", "fig1-potential", "--set", "n=-5"], "choose a value inside it\n"),
        (["run", "landscape", "--set", "rule=sgd"], "did you mean SGD?"),
        (["run", "fig7c-batch", "--out", "x.gif"], "only one simulation moves"),
        (["run", "fig1-escape", "--out", "x" * 300 + ".npz"], "has 304 characters; give the file a name of at most 255"),
        (["run", "fig1-escape", "--out", ".png"], "has nothing before its suffix; give the file a name, such as result.png"),
        (["export", "=", "--out", "x.html"], "a link that says nothing"),
        (["export", "?", "--out", "x.html"], "a link that says nothing"),
        (["run", "fig7b-rate", "--set", "lr=0.01"], "takes the values"),
        (["run", "fig1-posterior", "--set", "lr=0.01"], "set n, beta or the landscape's own"),
        (["run", "fig1-potential", "--set", "w0=99"], "w0 = 99"),
        (["run", "landscape", "--quick"], "--quick is for presets"),
        (["run", "fig1-escape", "--out", "result.bmp"], "choose one of .npz"),
        (["run", "fig1-escape", "--out", "/no/such/folder/x.csv"], "no folder"),
        (["run", "fig1-escape", "--out", "."], "choose one of .npz"),
        (["url", "fig7b-rate", "--seed", "3"], "leave --set and --seed out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(arguments, says, capsys, monkeypatch):
    monkeypatch.setattr("dynamics.simulation._Ensemble", lambda *_: pytest.fail("computed before the input was checked"))
    assert main(arguments) == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and says in err and len(err) < 600


def test_a_folder_that_cannot_be_written_to_is_known_before_the_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root everything can be written to
    assert main(["run", "fig1-escape", "--out", str(tmp_path / "x.npz")]) == 1
    assert "cannot be written to" in capsys.readouterr().err
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_ for _ in ()).throw(OSError(2, "No such file or directory")))  # as in /proc
    assert main(["run", "fig1-escape", "--out", str(tmp_path / "x.npz")]) == 1
    out, err = capsys.readouterr()
    assert not out and "cannot be written to (No such file or directory); choose another folder" in err


def test_interrupting_says_how_far_it_came(monkeypatch, capsys):
    def interrupted(run, every=None, watch=None):
        watch(7)
        raise KeyboardInterrupt

    monkeypatch.setattr(Simulation, "run", interrupted)
    assert main(["run", "fig1-escape"]) == 130
    assert "stopped after step 7 of 50; nothing was written" in capsys.readouterr().err


# Files


def test_arrays_and_tables_hold_the_run_and_its_results(tmp_path, capsys):
    for suffix in (".npz", ".csv"):
        assert main(["run", "fig1-escape", "--quick", "--every", "10", "--out", str(tmp_path / f"a{suffix}")]) == 0
    run = PRESETS["fig1-escape"].quick
    out = run.run(10)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert decode(json.loads(str(file["run"]))) == (run, [])
        assert np.array_equal(file["kept"], out.kept, equal_nan=True) and np.array_equal(file["steps"], [0, 10, 20, 30, 40, 50])
        assert np.array_equal(file["share"], out.share) and np.array_equal(file["diverged"], out.shares.diverged)
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(51))
    assert np.allclose([float(row["share_0"]) for row in rows], out.share_left, rtol=1e-15)
    assert all(int(row["in_0"]) + int(row["in_1"]) + int(row["diverged"]) == run.n for row in rows)
    assert [row["distance_+w₀"] != "" for row in rows[:11]] == [True, *[False] * 9, True]
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.npz"]


@pytest.mark.parametrize("name", ["fig7b-rate", "fig1-posterior", "fig1-potential", "fig2-converge", "noise-shape", "fig5-coefficient"])
def test_every_kind_of_result_has_arrays_and_a_table(name, tmp_path):
    preset = PRESETS[name]
    run = preset.quick if preset.quick is not None else preset.run
    result = run.run() if hasattr(run, "run") else run
    export.save(result, tmp_path / "a.npz")
    export.save(result, tmp_path / "a.csv")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert all(file[key].dtype != object for key in file.files) and str(file["run"])
    with open(tmp_path / "a.csv", newline="") as file:
        head, *body = list(csv.reader(file))
    assert len(set(head)) == len(head) and len(body) > 1 and all(len(row) == len(head) for row in body)


def test_a_lab_is_saved_with_both_optimisers_and_its_own_posterior(tmp_path):
    from app import plots
    from app.landscapelab import Bayes, Lab

    small = Lab(run=replace(Lab().run, n=50, steps=20), bayes=Bayes(samples=10, beta=0.5))
    table = export.save_lab(small, tmp_path / "a.csv")
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["optimiser"], int(row["step"])) for row in rows] == [(name, step) for name in "ab" for step in range(21)]
    ngd = replace(small.run, rule=small.rival).run()
    assert [float(row["share_0"]) for row in rows[21:]] == pytest.approx(ngd.share_left)
    with np.load(export.save_lab(small, tmp_path / "a.npz")) as file:
        assert np.array_equal(file["b_w"], ngd.w, equal_nan=True)
    panels = plots.panels(export.Compared({"a": small.run.run(), "b": ngd}, 10, 0.5))
    titles = [hv.Store.lookup_options("bokeh", panel, "plot").kwargs["title"] for panel in panels]
    assert [title[:3] for title in titles] == ["A: "] * 4 + ["B: "] * 4
    assert list(panels[3])[-1].label == "posterior, n = 10, β = 0.5"


def test_the_table_of_a_posterior_integrates_to_one(tmp_path):
    _, *rows = export.rows(PRESETS["fig1-potential"].run)
    w, density = np.array([row[1:] for row in rows]).T
    assert np.trapezoid(density, w) == pytest.approx(1, abs=1e-4)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("old")
    monkeypatch.setattr(export, "rows", lambda _: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export.save(PRESETS["fig1-potential"].run, path)
    assert os.listdir(tmp_path) == ["a.csv"] and path.read_text() == "old"


@pytest.mark.parametrize(("name", "suffix"), [("fig1-escape", ".png"), ("fig2-converge", ".svg"), ("fig1-posterior", ".pdf")])
def test_pictures_are_drawn(name, suffix, tmp_path, capsys):
    path = tmp_path / f"a{suffix}"
    assert main(["run", name, "--quick", "--out", str(path)]) == 0
    data = path.read_bytes()
    assert data.startswith({".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]) and len(data) > 10_000
    assert os.listdir(tmp_path) == [path.name]
    if suffix == ".png":
        import matplotlib.image

        pixels = matplotlib.image.imread(path)
        assert pixels.std() > 0.05 and min(pixels.shape[:2]) > 900  # something is on it


def test_distances_are_drawn_down_to_where_they_say_something():
    import holoviews as hv

    from app import plots

    out = Simulation(Valley(2, 2), n=20, steps=5).run()
    out.kept[1:, :, 0] *= 1e-180
    panel = plots._distances(out, out.run.landscape.line, np.isfinite(out.w[:, 0]))
    low, high = hv.Store.lookup_options("matplotlib", panel, "plot").kwargs["ylim"]
    assert low == 0.7 * plots.FLOOR and 1 < high < 10


class Addresses(html.parser.HTMLParser):
    """What the tags of a page would load (text inside scripts is none)."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href", "data", "srcset")]


@pytest.mark.parametrize("name", ["fig1-escape", "fig2-converge", "fig7b-rate", "noise-shape"])
def test_a_page_loads_nothing(name, tmp_path, capsys):
    path = tmp_path / "a.html"
    assert main(["run", name, "--quick", "--out", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    assert PRESETS[name].title in text and "Bokeh" in text
    assert not Addresses(text).found


@pytest.mark.browser
def test_a_page_is_drawn_without_a_network(tmp_path, capsys, browser):
    path = tmp_path / "a.html"
    assert main(["run", "fig1-escape", "--quick", "--out", str(path)]) == 0
    page = browser.new_page()
    asked, complaints = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_selector(".bk-Figure canvas")
    page.close()
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == [] == complaints


def test_nothing_survives_and_the_picture_is_still_drawn(tmp_path, capsys):
    for name in ("fig1-escape", "fig2-converge"):
        assert main(["run", name, "--quick", "--set", "lr=1", "--set", "n=20", "--out", str(tmp_path / f"{name}.html")]) == 0
