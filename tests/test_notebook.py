"""`lab(...)` in a notebook: what a cell displays, alive from its server and alone."""

import json
import subprocess
import sys

import pytest

from app import lab
from dynamics import GD, NGD
from landscapes import DoubleWell, Valley


def test_a_widget_prints_as_the_call_that_made_it():
    assert (
        repr(lab("landscape", landscape=Valley(p=1, k=2), rule=GD(lr=0.02)))
        == "lab('landscape', landscape=Valley(p=1, k=2), rule=GD(lr=0.02, momentum=0.0))"
    )
    assert repr(lab("fig1-escape")) == "lab('fig1-escape')"


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("landskape", {}, "no lab 'landskape'; choose one of landscape, escape"),
        ("landscape", {"lr": 0.1}, "lr = 0.1; the landscape lab takes data, landscape, n, rival, rule, seed, start, steps"),
        ("landscape", {"n": -5}, "n = -5"),
        ("escape", {"theme": "dark"}, "theme belongs to the address"),
        ("escape", {"n": -5}, "n = -5"),
    ],
)
def test_what_cannot_be_shown_is_said_once(name, values, said):
    with pytest.raises(ValueError, match=r"^[^\n]*$") as error:
        lab(name, **values)
    assert said in str(error.value)


@pytest.mark.browser
def test_in_an_exported_notebook_the_landscape_stays_alive_without_a_network(browser, tmp_path):
    cells = [lab("landscape", landscape=Valley(p=1, k=2)), lab("landscape", landscape=DoubleWell(w0=1.5), rival=NGD(lr=0.1), steps=50)]
    file = tmp_path / "exported.html"
    file.write_text("<!DOCTYPE html><meta charset='utf-8'>" + "".join(cell._repr_html_() for cell in cells), encoding="utf-8")
    context = browser.new_context(offline=True)
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(file.as_uri())
    for frame, steps in zip(page.frames[1:], (200, 50), strict=True):
        for _ in range(4500):
            if frame.locator(".clock").text_content().startswith("step"):
                break
            page.wait_for_timeout(20)
        frame.locator(".scrub").evaluate("node => { node.value = 1e9; node.dispatchEvent(new Event('input', {bubbles: true})) }")
        assert frame.locator(".clock").text_content().replace(" ", "") == f"step{steps}/{steps}"
    context.close()
    assert errors == []


@pytest.mark.browser
def test_another_lab_is_shown_by_a_server_that_ends_with_its_process_and_then_by_what_it_recorded(browser, tmp_path):
    """In a process of its own: the server must not keep it alive."""
    call = "lab('escape', n=300, steps=20, cells=100, **{'x.count': 3, 'y.count': 2})"
    script = f"from app import lab; import json, sys; print(json.dumps({call}.html), flush=True); sys.stdin.read()"
    file = tmp_path / "exported.html"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        file.write_text(f"<!DOCTYPE html><meta charset='utf-8'>{json.loads(process.stdout.readline())}", encoding="utf-8")
        context = browser.new_context()
        page = context.new_page()
        page.goto(file.as_uri())
        live = page.frame_locator("iframe")
        live.locator(".lab.escape.widget:not(.recorded)").wait_for(timeout=90_000)
        assert page.frames[1].url.startswith("http://localhost:") and {"widget=escape", "n=300"} <= set(page.frames[1].url.split("&"))
        process.stdin.close()
        assert process.wait(90) == 0
    page.goto(file.as_uri())
    recorded = page.frame_locator("iframe")
    recorded.locator(".lab.escape.recorded[data-complete=true]").wait_for(timeout=90_000)
    assert recorded.locator(".clock").text_content() == "6 of 6 cells" and recorded.locator(".maps svg").count() == 2
    context.close()


def test_a_cell_without_a_recording_is_asked_for_by_name(monkeypatch):
    monkeypatch.setattr("app.notebook._server", lambda: 1)
    html = lab("escape", record=False, n=300)._repr_html_()
    assert 'src="http://localhost:1/serve?widget=escape&amp;n=300"' in html and "<script" not in html
