"""The escape lab without a browser: its link, its form, its maps, shared and kept."""

import contextlib
import csv
import io
import json
import math
import threading
import time
from dataclasses import replace

import numpy as np
import pytest

from app import escape
from app import landscapelab as lab
from app.escape import EXAMPLES, KEPT, LIMIT, Axis, EscapeLab, Shown, Sweeping, controls, decode, encode, finished, fixed, numbers, sweeping, work
from dynamics import GD, NGD, SDE, SGD, At, Finite, HeavyTailedSGD, Simulation, Uniform, phase
from dynamics.phase import exact_rate, leavings, stiffness
from landscapes import DoubleWell

SMALL = EscapeLab(
    Simulation(DoubleWell(1.8, 1, 2), SGD(lr=0.02, batch=20), n=300, steps=30, start=Uniform(-2, -1.6)),
    Axis("lr", 0.015, 0.02, 2),
    Axis("w0", 1.7, 1.9, 3),
    cells=200,
)


@pytest.fixture(autouse=True)
def no_maps_of_others(monkeypatch):
    monkeypatch.setattr(escape, "_maps", {})


@pytest.fixture(scope="module")
def computed():
    """The map of SMALL, made once for all who only look at it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(escape, "_maps", {})
        finish(SMALL)
        return sweeping(SMALL)


@pytest.fixture
def known(no_maps_of_others, computed):
    """The map of SMALL is there."""
    escape._maps[SMALL] = computed


def finish(value) -> Shown:
    for one in work(value):
        if isinstance(one, float):
            time.sleep(one)
        else:
            last = one
    return last


def until(true, otherwise):
    end = time.monotonic() + 60  # seconds: only what hangs takes so long
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


# Links


@pytest.mark.parametrize(
    "value",
    [
        *EXAMPLES.values(),
        SMALL,
        EscapeLab(Simulation(DoubleWell(0.3, 4, 5), NGD(damping=1e-9), n=7, start=At(0.1), data=Finite(size=9)), Axis("damping", 1e-9, 1, 40, "log")),
    ],
)
def test_every_value_survives_its_link(value):
    assert decode(encode(value)) == (value, [])


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"x.name": "seed"}, "choose one of lr, batch, w0, momentum"),
        ({"x.name": "damping"}, "choose one of"),  # SGD has none
        ({"x.name": "w0", "y.name": "w0"}, "used"),
        ({"x.low": "1e999"}, "not finite"),
        ({"x.low": "two"}, "not a number"),
        ({"x.low": "0.1", "x.high": "0.1"}, "from < to"),
        ({"x.high": "50"}, "legal is 1e-06 ... 1"),
        ({"y.low": "7", "y.high": "9"}, "legal is 0.1 ... 4"),
        ({"y.name": "momentum", "y.spacing": "log"}, "log axis"),
        ({"x.count": "100000"}, "above the legal range 2 ... 40"),
        ({"x.count": "1"}, "below"),
        ({"x.spacing": "wild"}, "choose one of"),
        ({"x.colour": "red"}, "left out"),
        ({"cells": "1e9"}, "above the legal range"),
        ({"landscape": "Valley"}, "two variables"),
        ({"landscape": "Monomial"}, "no barrier"),
        ({"landscape": "Polynomial", "text": "w1*w2"}, "two variables"),
        ({"landscape": "Polynomial", "text": "(w+1)^2"}, "no barrier"),
        ({"landscape": "Polynomial", "text": "w.real"}, "not understood"),
        ({"rule": "MALA"}, "no learning rate"),
        ({"rule": "__import__('os')"}, "choose one of"),
        ({"w1": "3"}, "no such value"),
        ({"x.name": "\x00<script>" * 1000}, "choose one of"),
    ],
)
def test_what_cannot_be_used_is_said_and_the_rest_is_kept(query, words):
    value, messages = decode({"n": "70", **query})
    assert value.run.n == 70 and any(words in message for message in messages), messages
    assert all(len(message) < 400 for message in messages)
    assert value.phase is not None  # whatever comes out can be computed


def test_an_axis_whose_ends_are_exchanged_or_pass_each_other_ascends_and_says_so():
    for query, low, high in (
        ({"x.low": "0.5", "x.high": "0.1"}, 0.1, 0.5),
        ({"x.low": "0.04"}, 0.04, 0.15),  # the ratio of .008 to .03
        ({"x.high": "0.004"}, 0.004 * 8 / 30, 0.004),
    ):
        value, messages = decode(query)
        assert (value.x.low, value.x.high) == pytest.approx((low, high), rel=1e-3) and len(messages) == 1 and "ascends" in messages[0]
    assert decode({"x.name": "momentum", "x.high": "0.5"})[0].x.low == 0.0


def test_an_end_beyond_the_legal_range_is_one_message_about_what_was_typed():
    value, (message,) = decode({"x.low": "5"})
    assert message.startswith("x: lr from 5 to 0.03; legal is 1e-06 ... 1, ascending") and (value.x.low, value.x.high) == (0.008, 0.03)
    value, (message,) = decode({"x.low": "0.5"})  # and at the ratio of the ends 1.9 would be illegal
    assert message.startswith("x: lr from 0.5 to 0.03") and (value.x.low, value.x.high) == (0.5, 1.0)


def test_a_landscape_that_is_kept_is_named():
    own, _ = decode({"landscape": "Polynomial", "text": "(w+1)*(w-1)^3"})
    _, (message,) = decode({"text": "w1*w2"}, own)
    assert "landscape = 'w1*w2' has two variables" in message and message.endswith("(kept '(w+1)*(w-1)^3')")


def test_a_single_step_of_a_single_trajectory_has_a_scale_of_a_decade():
    low, high = fixed(replace(SMALL, run=replace(SMALL.run, n=1, steps=1)))["scale"]
    assert (low, high) == (-1, 0)
    assert fixed(replace(SMALL, run=replace(SMALL.run, n=1000, steps=60)))["scale"][0] == -5


def test_another_parameter_or_rule_begins_with_values_where_there_is_something_to_see():
    value, messages = decode({"y.name": "batch"})
    assert messages == [] and value.y == Axis("batch", 1, 200, 10, "log") and value.y.values[0] == 1
    value, messages = decode({"rule": "NGD", "y.name": "damping"})
    assert messages == [] and value.x.high > 1 and value.y.name == "damping"
    again, messages = decode({"rule": "SGD"}, value)  # as the form would send it: no damping any more, so the next parameter
    assert messages == [] and {again.x.name, again.y.name} < {"lr", "batch", "w0", "momentum"} and again.x.high < 0.1


def test_any_landscape_of_one_variable_with_a_barrier_has_a_map():
    """With starts in its leftmost well, and learning rates from eta H = 1.3 to 5 there where that is regular."""
    for query, q in (
        ({"landscape": "TripleWell", "w0": "1.4"}, "(w + w₀)w²(w − w₀)"),
        ({"landscape": "Polynomial"}, escape.OWN.text),
        ({"landscape": "Polynomial", "text": "(w-1)*(w-3)^2"}, "(w-1)*(w-3)^2"),  # all of it right of 0
    ):
        value, messages = decode(query | {"x.count": "2", "y.count": "2", "cells": "100", "n": "200", "steps": "20"})
        assert messages == [] and escape.written(value.run.landscape) == q
        (low,), (high,), at = *value.run.start.bounds, min(m.at for m in value.run.landscape.minima)[0]
        assert low < at < high < value.run.landscape.barriers[0]
        assert [stiffness(replace(value.run, rule=SGD(lr=lr))) for lr in (value.x.low, value.x.high)] == pytest.approx([1.3, 5], rel=0.06)
        last = finish(value)
        assert np.all(last.frame.done) and np.all(last.frame.started == 200) and np.nanmax(last.frame.exact) > 0.05
        assert any(last.lines["stable"]) and any(last.lines["crisis"])
        assert decode(encode(value)) == (value, [])


def test_another_polynomial_begins_with_its_own_starts_and_rates_unless_they_are_given():
    value, _ = decode({"landscape": "Polynomial"})
    moved, messages = decode({"text": "(w+5)*(w+1)^2"}, value)
    assert messages == [] and moved.run.start.low < -5 < moved.run.start.high and moved.x != value.x
    kept, _ = decode({"text": "(w+5)*(w+1)^2", "start": "-5.5,-5", "x.low": "0.001"}, value)
    assert kept.run.start == Uniform(-5.5, -5.0) and kept.x.low == 0.001
    again, messages = decode({"landscape": "DoubleWell"}, moved)
    assert messages == [] and again.run.start.low < -1.8 < again.run.start.high and "w0" in escape.names(again.run.rule, again.run.landscape)
    assert "w0" not in escape.names(moved.run.rule, moved.run.landscape)


def test_an_axis_has_ascending_legal_values_and_whole_batches():
    for spacing in ("linear", "log"):
        values = Axis("batch", 1, 20, 40, spacing).values
        assert all(isinstance(value, int) for value in values) and list(values) == sorted(set(values)) and values[0] == 1 and values[-1] == 20
    assert Axis("lr", 0.01, 0.04, 3, "log").values == (0.01, 0.02, 0.04)
    assert Axis("lr", 0.008, 0.03, 12).values == tuple(round(0.008 + 0.002 * i, 3) for i in range(12))


# Controls


def test_the_form_has_every_value_that_matters_and_none_that_an_axis_varies():
    for value in EXAMPLES.values():
        found = [item["name"] for group in controls(value) for item in group["items"]]
        assert len(found) == len(set(found)) and not {value.x.name, value.y.name} & set(found)
        for name, text in ((item["name"], item["value"]) for group in controls(value) for item in group["items"] if item["name"] != "start"):
            changed, messages = decode({name: str(text)}, value)
            assert (changed, messages) == (value, []), name
    assert json.dumps(controls(EXAMPLES["Natural gradient: learning rate and damping"]))


# Maps


def test_a_map_for_the_browser_has_the_numbers_of_its_runs(known):
    found = numbers(finish(SMALL))
    assert found["complete"] and found["step"] == found["of"] == 6
    for j, w0 in enumerate((1.7, 1.8, 1.9)):
        for i, lr in enumerate((0.015, 0.02)):
            run = replace(SMALL.run, landscape=DoubleWell(w0, 1, 2), rule=SGD(lr=lr, batch=20), start=Uniform(-2 * w0 / 1.8, -1.6 * w0 / 1.8))
            *_, counted = leavings(run)
            assert found["rate"][j][i] == pytest.approx(counted.rate[0], rel=1e-4)
            assert found["exact"][j][i] == pytest.approx(exact_rate(run, 200)[0], rel=1e-4)
            assert found["counts"]["survivors"][j][i] == counted.survivors
            assert fixed(SMALL)["stiff"][j][i] == pytest.approx(lr * (2 * w0) ** 4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize("changes", [{"rule": SGD(momentum=0.5)}, {"start": At(1.8)}])
def test_what_has_no_number_is_null_and_explained(changes):
    value = replace(SMALL, run=replace(SMALL.run, **changes))
    found = numbers(finish(value))
    assert json.dumps([found, fixed(value)], allow_nan=False)
    if value.run.rule.momentum:
        assert "momentum" in found["why"] and found["exact"] == [[None, None]] * 3
    else:
        assert found["rate"] == [[None, None]] * 3 and found["counts"]["started"] == [[0, 0]] * 3


def test_the_link_of_a_cell_is_its_run_in_the_landscape_lab():
    described, phase = fixed(SMALL), SMALL.phase
    for i, j in ((0, 0), (1, 2)):
        query = dict(described["link"])
        for axis, k in ((described["x"], i), (described["y"], j)):
            query |= {name: texts[k] for name, texts in axis["set"].items()}
        opened, messages = lab.decode(query)
        assert messages == [] and opened.run == phase.cell(i, j) and opened.rival is None


def test_a_link_with_a_start_at_a_point_is_stretched_too():
    described = fixed(replace(SMALL, run=replace(SMALL.run, start=At(-1.8))))
    assert [float(text) for text in described["y"]["set"]["at"]] == pytest.approx([-1.7, -1.8, -1.9])


def test_the_sentence_says_whether_the_maps_agree():
    value = replace(SMALL, run=replace(SMALL.run, n=2000))
    phase, frame = value.phase, finish(value).frame
    assert "agree within the Monte-Carlo error" in escape.says(phase, frame) and "ηH = " in escape.says(phase, frame)
    off = frame._replace(exact=1.5 * frame.exact)
    assert "200 nodes" in escape.says(phase, off) and "nodes" not in escape.says(phase, frame)
    assert "differ somewhere by more than the Monte-Carlo error" in escape.says(phase, off)
    assert escape.says(phase, phase.blank()) == ""


def test_the_table_has_a_row_for_each_cell_and_reads_back(known):
    last = finish(SMALL)
    rows = list(csv.DictReader(io.StringIO(escape.table(SMALL, last.frame))))
    assert len(rows) == 6 and [float(row["rate"]) for row in rows] == last.frame.rate.ravel().tolist()
    assert {(float(row["lr"]), float(row["w0"])) for row in rows} == {(lr, w0) for lr in (0.015, 0.02) for w0 in (1.7, 1.8, 1.9)}
    assert escape.table(SMALL, SMALL.phase.blank()) == ""


# Shared, kept, bounded


def test_two_visitors_of_one_link_compute_it_once(monkeypatch):
    runs = []
    monkeypatch.setattr("dynamics.phase.exact_rate", lambda run, cells: (runs.append(run), (0.1, ""))[1])
    threads = [threading.Thread(target=finish, args=(SMALL,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert finished(SMALL) and len(runs) == 6


def test_a_map_that_is_left_goes_on_where_it_stopped():
    begun = work(SMALL)
    while sweeping(SMALL).frame.step < 3:
        next(begun)
    made = sweeping(SMALL)
    begun.close()
    assert made.watching == 0 and made.frame.step == 3 and not finished(SMALL)
    before = made.frame
    last = finish(SMALL)
    assert sweeping(SMALL) is made and last.done
    assert np.array_equal(last.frame.rate[before.done], before.rate[before.done])


def test_only_so_many_maps_are_kept_the_last_used_longest():
    values = [replace(SMALL, cells=100 + i) for i in range(KEPT + 1)]
    first = sweeping(values[0])
    for value in values[1:KEPT]:
        sweeping(value)
    assert sweeping(values[0]) is first
    sweeping(values[-1])
    assert len(escape._maps) == KEPT and values[0] in escape._maps and values[1] not in escape._maps


def test_a_piece_of_work_is_a_step_of_the_ensemble_or_an_exact_rate_or_a_point_of_a_line(monkeypatch):
    """Where that is longer than `phase.PAUSE`; so visitors take turns however slow the machine. `bench_page.py` prints how long pieces are."""
    done = []

    def noted(name):
        original = getattr(phase, name)
        monkeypatch.setattr(phase, name, lambda *args, **given: done.append(name) or original(*args, **given))

    def stream(run, every=None):
        for frame in whole(run, every):
            if every == 1:
                done.append("step")
            yield frame

    whole = Simulation.stream
    monkeypatch.setattr(Simulation, "stream", stream)
    monkeypatch.setattr(phase, "PAUSE", -1.0)  # as if each step took longer
    noted("edge"), noted("exact_rate")
    made, pieces = Sweeping(replace(SMALL, run=replace(SMALL.run, n=5000, steps=40))), []
    while not made.done:
        assert made.advance()
        pieces.append(tuple(done))
        done.clear()
    assert set(pieces) == {(), ("step",), ("exact_rate",), ("edge",)}
    assert pieces.count(("exact_rate",)) == 6 and pieces.count(("step",)) == 6 * 41


def test_a_failure_ends_the_work_and_the_next_asks_again(monkeypatch):
    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as broken:
        broken.setattr("dynamics.phase.exact_rate", fail)
        with pytest.raises(MemoryError):
            finish(SMALL)
    assert sweeping(SMALL).watching == 0 and not sweeping(SMALL).lock.locked()
    assert finish(SMALL).done


def test_the_lines_belong_to_the_rule():
    both, one = {"stable", "crisis"}, {"stable"}
    for rule, expected in ((SGD(), both), (GD(), both), (SDE(substeps=4), one), (HeavyTailedSGD(), one)):
        value = replace(EscapeLab(), run=replace(SMALL.run, rule=rule), x=Axis("lr", 0.01, 0.03, 3), y=Axis("w0", 1.5, 2, 3), cells=100)
        lines = finish(value).lines
        assert {name for name, points in lines.items() if any(points)} == expected
    degenerate = replace(SMALL, run=replace(SMALL.run, landscape=DoubleWell(1.8, 2, 2)))
    last = finish(degenerate)
    assert not any(map(any, last.lines.values())) and "no stability line" in escape.says(degenerate.phase, last.frame)


# Cost, told beforehand


def test_the_estimate_grows_with_the_work_and_what_takes_too_long_is_refused_with_the_number():
    assert EscapeLab().seconds < 10
    assert replace(EscapeLab(), run=replace(EscapeLab().run, n=100_000)).seconds > 5 * EscapeLab().seconds
    session = escape.Session({"n": "10000000", "steps": "100000"})
    assert "trajectory-steps" in session.view.status["problem"] and session.asked is None
    session.close()
    session = escape.Session({"n": "100000", "steps": "5000"})
    assert f"of at most {LIMIT // 60}" in session.view.status["problem"] and not session.running
    session.hear({"action": "run"})
    assert session.asked is None
    session.close()


# A visitor


@contextlib.contextmanager
def visited():
    made = escape.Session(encode(SMALL))
    until(lambda: finished(SMALL), "not computed")
    made.show(Shown(SMALL, made.made.frame, {}, True))  # as the page's document would
    yield made
    made.close()


@pytest.fixture
def session(known):
    with visited() as made:
        yield made


def test_a_small_map_begins_with_the_page():
    assert not finished(SMALL)
    with visited() as session:
        assert session.asked == SMALL and not session.running
        assert session.view.numbers["complete"] and session.view.status["stale"] is False


def test_a_changed_control_keeps_the_map_and_says_so(session):
    session.hear({"set": {"n": "30000", "steps": "200"}})
    status = session.view.status
    assert session.asked == SMALL and status["stale"] and status["estimate"] > 0.5 and session.view.numbers["complete"]
    assert "n=30000" in status["query"]
    session.hear({"action": "back"})
    assert session.value == SMALL and not session.view.status["stale"]


def test_a_change_that_costs_little_is_followed_at_once(session):
    session.hear({"set": {"n": "100", "cells": "100"}})
    assert session.asked.run.n == 100 and not session.view.status["stale"]


def test_what_is_computed_is_not_given_up_unasked(session):
    session.hear({"set": {"n": "20000", "steps": "300", "cells": "1000"}})
    session.hear({"action": "run"})
    assert session.running and session.asked.run.n == 20_000
    session.hear({"set": {"seed": "5"}})
    assert session.running and session.asked.run.seed == 0 and session.view.status["stale"]
    session.hear({"action": "cancel"})
    assert not session.running and not session.view.status["running"]
    until(lambda: not session.made.watching, "cancelled, and still computing")


def test_closing_the_tab_stops_the_work(session):
    session.hear({"set": {"n": "20000", "steps": "300", "cells": "1000", "seed": "9"}})
    session.hear({"action": "run"})
    made = session.made
    session.close()
    until(lambda: not made.watching, "nobody there, and still computing")
    assert not made.done


def test_a_finished_map_is_there_at_once_however_long_it_took(session):
    long = replace(SMALL, run=replace(SMALL.run, n=80_000, seed=3), cells=100)
    assert long.seconds > 0.5
    finish(long)
    session.hear({"set": {"n": "80000", "seed": "3", "cells": "100"}})
    assert session.asked == long and session.view.numbers["complete"] and not session.running


@pytest.mark.parametrize(
    "message",
    [
        None,
        7,
        [],
        {},
        {"set": 3},
        {"set": {"x.name": {}}},
        {"example": ["lr"]},
        {"example": "none"},
        {"action": {}},
        {"action": "explode"},
        {"set": {"n": "9" * 10**6}},
    ],
)
def test_no_message_breaks_the_session(session, message):
    session.hear(message)
    assert session.value.run == SMALL.run or session.view.notices
    session.hear({"action": "csv"})
    assert math.isfinite(len(session.view.csv["text"]))


def test_the_maps_are_compared_when_all_cells_are_there():
    phase = SMALL.phase
    *frames, last = phase.stream()
    for frame in (frames[-1] if frames[-1].step < frames[-1].of else frames[0], last):
        assert ("Sampled and exact rates" in escape.says(phase, frame)) == (frame.step == frame.of)
