"""The menu that saves what is in view: each page's files, as the browser gets them."""

import csv
import io

import pytest
from PIL import Image
from test_page import Visitor

from app import keeping

STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".gif": b"GIF89a", ".html": b"<!DOCTYPE html>"}
PAGES = {
    "llc": {"page": "llc", "model": "Quadratic", "draws": "100", "burn_in": "20", "chains": "4", "figures": "lambda,law"},
    "dln": {"page": "dln", "t.steps": "400", "t.every": "100", "t.draws": "20", "figures": "loss,depth"},
    "networks": {"page": "networks", "data.size": "300", "net.hidden": "8", "epochs": "1", "look.draws": "10", "look.count": "1"},
    "escape": {"page": "escape", "x.count": "3", "y.count": "3", "n": "100", "steps": "40"},
    "landscape": {"n": "300", "steps": "40", "figures": "potential"},
}


def saved(page, kind: str) -> bytes:
    with page.expect_download(timeout=120_000) as caught:  # a film takes seconds, on a slow machine many
        page.locator(".save").select_option(kind)
    assert caught.value.suggested_filename.endswith(kind) and page.locator(".save").input_value() == ""
    return caught.value.path().read_bytes()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("llc", (".png", ".svg", ".pdf", ".csv")),
        ("dln", (".png", ".csv")),
        ("networks", (".csv",)),
        ("escape", (".pdf", ".gif")),
        ("landscape", (".gif", ".html")),
    ],
)
def test_what_is_in_view_is_saved_as_what_the_menu_names(browser, site, name, chosen):
    window = Visitor(browser, site.home)
    window.page.goto(f"{site.home}?{'&'.join(f'{key}={value}' for key, value in PAGES[name].items())}")
    window.page.locator(".lab[data-drawn]").wait_for()
    if name == "networks":
        window.page.locator(".save").select_option(".csv")
        window.page.get_by_text("There is nothing to save yet").wait_for()
        window.page.get_by_role("button", name="▶ Run").click()
        window.page.get_by_text("done, 1 epoch").wait_for()
    if name in ("llc", "dln"):
        window.page.locator(".lab[data-running=false]").wait_for()
    if name == "escape":
        window.page.locator(".save:enabled").wait_for()
    kinds = window.page.locator(".save option").evaluate_all("options => options.map(option => option.value).filter(Boolean)")
    assert set(kinds) == set(dict(keeping.kinds())) - ({".csv", ".svg", ".png"} if name == "escape" else set()), "those have buttons there"
    for kind in chosen:
        content = saved(window.page, kind)
        if kind == ".csv":
            head, *rows = csv.reader(io.StringIO(content.decode()))
            assert len(rows) > 1 and all(len(row) == len(head) for row in rows)
        else:
            assert content.startswith(STARTS[kind])
        if kind == ".png":
            with Image.open(io.BytesIO(content)) as picture:
                assert picture.width > 500 and len(picture.convert("L").getcolors()) > 20
    window.close()


@pytest.mark.browser
def test_a_kind_that_the_menu_does_not_name_is_not_made(browser, site):
    window = Visitor(browser, site.home).open(**PAGES["landscape"])
    window.page.locator(".save").evaluate("menu => { const option = new Option('x', '../../etc/passwd'); menu.append(option) }")
    window.page.locator(".save").select_option("../../etc/passwd")
    window.page.get_by_text("choose one of .png").wait_for()
    assert saved(window.page, ".csv")  # the next one comes, and it is this one
    window.close()


def test_a_run_that_cannot_be_recorded_gives_the_one_line_that_says_why():
    with pytest.raises(ValueError, match=r"file\.xyz.* \.gif") as error:
        keeping.recorded("page=llc", ".xyz", lambda: True)
    assert "\n" not in str(error.value)
    assert not keeping._one.locked()


def test_one_run_is_recorded_at_a_time_and_none_for_a_visitor_who_has_left(monkeypatch):
    monkeypatch.setattr(keeping, "LOOKS", 0.05)
    found = []

    def another():
        with pytest.raises(ValueError, match="Try again"):
            keeping.recorded("page=dln", ".gif", lambda: True)
        found.append(True)
        return False  # and this visitor leaves

    assert keeping.recorded("page=networks&epochs=1000", ".gif", another) is None
    assert found == [True] and not keeping._one.locked()


def test_a_run_that_takes_too_long_is_ended_with_a_remedy(monkeypatch):
    monkeypatch.setattr(keeping, "LOOKS", 0.05)
    monkeypatch.setattr(keeping, "LONGEST", 0.0)
    with pytest.raises(ValueError, match="longer than 0 minutes"):
        keeping.recorded("page=networks&epochs=1000", ".gif", lambda: True)
    assert not keeping._one.locked()
