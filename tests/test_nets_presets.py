"""Presets of networks: texts, runs, verdicts, and `python -m app run` on them, at scales cut down to fractions of a second each."""

import csv
import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from app import netplots, networks
from app.__main__ import main
from app.claims import claims
from app.netplots import moments
from nets.cases import Depths, RandomLinear, Rescaled, Saddles, Singular, Sizes, Trace, Volumes
from nets.data import Digits
from nets.experiment import Case, Experiment, Part
from nets.lanes import LambdaHat, Lanes
from nets.mislabelled import Mislabelled
from nets.models import MLP, DuplicatedReLU, MinimallySingular
from nets.optimisers import SGD, Adam
from nets.presets import PRESETS, judge
from nets.probes import FisherTrace, HessianTrace, SpectralDensity
from nets.race import Race
from nets.saddle import SaddleToSaddle
from nets.samplers import SGLD
from nets.training import Training, Watch


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def strict(text: str):
    return json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def equal(a, b) -> bool:
    """Rows alike to the last bit, NaN equal to NaN."""
    return repr(a) == repr(b)


TINY = Training(
    Digits(size=128, test=64),
    MLP((64, 8, 10)),
    SGD(lr=0.05),
    epochs=3,
    batch=32,
    scored=0,
    probes=(
        Watch(LambdaHat(SGLD(eps=1e-5), chains=1, draws=20, batch=16), every=2),
        HessianTrace(vectors=2),
        FisherTrace(vectors=2),
        SpectralDensity(vectors=1, iterations=4),
    ),
)
RACE = Lanes(Race.of(TINY, SGD(lr=0.05), Adam()), ("SGD", "Adam"), (("width", 8),))
SMALL = (
    RACE,
    Singular(MinimallySingular(6, 4), n=50, draws=40, chains=2),
    Saddles(SaddleToSaddle(steps=60, every=20, draws=10, n=100, batch=20, sgld_batch=20)),
    Sizes(40, "SGLD", steps=20, chains=2),
    Depths(20, 10),
)


# Texts


def test_every_text_has_its_run_and_every_run_its_texts():
    assert list(claims()) == [name for name in claims() if name in PRESETS] and set(claims()) == set(PRESETS)
    for name, text in claims().items():
        assert set(text) == {"group", "title", "cite", "claim", "note"} and all(text.values())
        assert (PRESETS[name].title, PRESETS[name].claim) == (text["title"], text["claim"])


def test_presets_are_listed_by_group_and_torch_is_not_imported_for_it_nor_for_a_landscape(capsys):
    assert main(["list", "--json"]) == 0
    entries = strict(capsys.readouterr().out)
    assert [entry["name"] for entry in entries if entry["group"] != "Landscapes"] == list(claims())
    assert main(["list"]) == 0
    out = "".join(capsys.readouterr().out.split())  # lines are broken at hyphens, too
    for text in claims().values():
        assert "".join(f"{text['group']}:".split()) in out and "".join(text["claim"].split()) in out
    code = (
        "import sys; from app.__main__ import main; main(['list']); main(['run', 'fig1-potential']); main(['run', 'ngd-fig99']);"
        "print([name for name in ('torch', 'nets') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]" and "did you mean ngd-fig" in done.stderr


# Runs


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_streams_its_first_frames_and_says_nothing_of_nothing(name):
    frames = PRESETS[name].quick.stream()
    first = next(frames)
    assert first.step == 0 and first.share == 0 and first.rows == () and math.isnan(first.seconds_left)
    assert judge(PRESETS[name], first.rows).ok is None
    second = next(frames)
    assert 0 <= second.share < 1 and second.steps == len(PRESETS[name].quick.cases)
    judge(PRESETS[name], second.rows)  # whatever is there, it says something
    assert hash(PRESETS[name].run) == hash(replace(PRESETS[name].run)), "a run is a value"


@pytest.mark.parametrize("name", ["llc-fig2", "llc-fig6", "llc-fig7"])
def test_quick_presets_of_known_answer_hold(name):
    verdict = judge(PRESETS[name], PRESETS[name].quick.run())
    assert verdict.ok is True, verdict.text


def test_the_toy_of_the_notebook_has_half_the_coefficient_that_is_claimed_for_it():
    cases = tuple(Singular(MinimallySingular(20, 10, toy), n=200, draws=200) for toy in ("r/4", "r/2"))
    rows = Experiment(cases).run()
    for row, exact in zip(rows, (2.5, 5.0), strict=True):
        # the two coefficients are a factor of two apart: 15 % of the exact value tells them apart; the error of 800 draws is some 3 %
        assert row["lambda_exact"] == exact and row["lambda_hat"] == pytest.approx(exact, abs=0.15 * exact)
    verdict = judge(PRESETS["toys"], rows)
    assert verdict.ok is False and "half of what is claimed" in verdict.text


def test_lambda_at_a_saddle_is_judged_against_the_regular_part():
    rows = [
        {"width": 10, "seed": 0, "step": 10 * i, "rank": rank, "lambda_hat": value, "regular": value, "lambda_global": 12.5, "lambda_local": 12.5}
        | {"expected": value}
        for i, (rank, value) in enumerate([(0, 0.1)] * 3 + [(1, 4.5)] * 3 + [(2, 8.0)] * 3)
    ]
    verdict = judge(PRESETS["llc-fig5"], rows)
    assert verdict.ok is True and "2 of 2 moves" in verdict.text and "0 away on average" in verdict.text
    assert judge(PRESETS["llc-fig5"], rows[:3]).ok is None


def _path(lane, losses, values):
    return [
        {
            "lane": lane,
            "step": i,
            "epoch": float(i),
            "train_loss": a,
            "test_loss": a,
            "batch_loss": a,
            "lambda_hat": b,
            "lambda_error": 0.1,
            "findings": "",
        }
        for i, (a, b) in enumerate(zip(losses, values, strict=True))
    ]


def test_a_higher_value_at_the_same_epoch_that_is_the_same_at_the_same_loss_does_not_count():
    """lambda-hat a function of the loss alone: NGD is higher at the end only because it has converged less far."""
    of = lambda loss: 50 + 5 * math.log(loss)  # noqa: E731
    fast, slow = [math.exp(-i) for i in range(8)], [math.exp(-i / 2) for i in range(8)]
    rows = _path("SGD", fast, map(of, fast)) + _path("NGD", slow, map(of, slow))
    verdict = judge(PRESETS["ngd-fig2"], rows)
    assert verdict.ok is False and "higher with NGD after as many epochs, not higher at the same loss" in verdict.text
    higher = _path("SGD", fast, map(of, fast)) + _path("NGD", slow, [of(loss) + 10 for loss in slow])
    assert judge(PRESETS["ngd-fig2"], higher).ok is True
    ended = [*rows, {"lane": "NGD", "step": 9, "epoch": 9.0, "ended": "step 9: loss = nan"}]
    assert judge(PRESETS["ngd-fig2"], ended).ok is None and "diverged" in judge(PRESETS["ngd-fig2"], ended).text


def test_a_trace_is_the_chain_of_the_estimate_in_bins_with_the_looks_it_was_looked_at():
    rows = Experiment((Trace("1k", 3, steps=203),)).run()
    _, run = RandomLinear("1k", 3).prepare()
    estimate = replace(run, draws=203, burn_in=0).run()
    ends = [row["step"] for row in rows]
    bins = np.split(estimate.nbeta * (estimate.losses - estimate.baselines)[0], ends[:-1])
    assert len(rows) == 40 and ends[-1] == 203 and [row["trace"] for row in rows] == [values.mean() for values in bins]
    assert np.mean([row["acceptance_now"] for row in rows]) == pytest.approx(estimate.acceptance, rel=1e-12)
    assert len({row["acceptance_now"] for row in rows}) > 20 and {row["acceptance"] for row in rows} == {rows[0]["acceptance"]}


def test_on_linear_scales_a_constant_factor_is_a_slope():
    """Estimates of 0.8 and 1 times lambda, with residues of known sign that the slope's error must hold."""
    exact, wiggle = np.arange(1, 9.0), 0.1 * (-1.0) ** np.arange(8)
    rows = [
        {"order": "1k", "method": method, "lambda_global": x, "lambda_local": 2 * x, "lambda_hat": factor * x + d, "error": factor + d / x - 1}
        for method, factor in (("paper", 0.8), ("MALA", 1.0))
        for x, d in zip(exact, wiggle, strict=True)
    ]
    preset, offset = PRESETS["llc-fig10"], float(wiggle @ exact / (exact @ exact))
    verdict = judge(preset, rows)
    assert verdict.ok is False and f"SGLD as there: {0.8 + offset:.3f} ± " in verdict.text and f"MALA: {1 + offset:.3f} ± " in verdict.text
    assert f"{0.4 + offset / 2:.3f} times the local one" in verdict.text
    young = [row | {"findings": "not equilibrated, few draws"} if row["method"] == "MALA" else row for row in rows]
    assert judge(preset, young).text.count("(8 of 8 are not in equilibrium)") == 1
    swapped = [row | {"method": {"paper": "MALA", "MALA": "paper"}[row["method"]]} for row in rows]
    assert judge(preset, swapped).ok is True
    assert judge(preset, rows[:3]).ok is None and preset.run == PRESETS["llc-fig1"].run
    assert all(not (panel.logx or panel.logy) for panel in preset.panels)


def test_a_panel_that_waits_for_rows_of_another_kind_is_left_out_of_the_figure():
    from app.netplots import figure

    preset = PRESETS["llc-fig10"]
    rows = [
        {"order": order, "method": "MALA", "lambda_global": x, "lambda_local": x, "lambda_hat": x, "lambda_error": 0.1, "error": 0.0}
        for order in ("1k", "1M")
        for x in (1.0, 2.0)
    ]
    titles = [one.get_title() for one in figure(preset, rows, judge(preset, rows)).axes if one.get_visible()]
    assert len(titles) == 2 and titles[0].endswith("1k") and titles[1].endswith("1M")
    assert len(figure(preset, [], judge(preset, [])).axes) == 1


@pytest.mark.parametrize(
    ("path", "ok", "says"),
    [
        (lambda t: 1 / (1 + math.exp(-60 * (t - 0.55))), True, ("3 of", "a jump")),
        (lambda t: 1 - math.exp(-30 * t), False, ("3 of", "fast from the first step on")),
        (lambda t: t, False, ("0 of", "a gradual change")),
        (lambda t: 1.0, False, ("0 of", "a gradual change")),
    ],
    ids=["plateau and jump", "fast from the start", "gradual", "nothing"],
)
@pytest.mark.parametrize("count", [11, 41])  # of any number of measurements
def test_a_transition_is_a_jump_that_a_plateau_comes_before(path, ok, says, count):
    moments = [(i / (count - 1), path(i / (count - 1))) for i in range(count)]
    same = {"lane": "SGD", "findings": ""}
    rows = [same | {"epoch": 10 * t, "train_loss": 2 - v, "lambda_hat": 5 + v, "trace": 9 - v, "largest": v} for t, v in moments]
    verdict = judge(PRESETS["cnn-spectrum"], rows)
    assert verdict.ok is ok and f". {says[0]} λ̂, trace and eigenvalue" in verdict.text and f"of the time: {says[1]}" in verdict.text
    assert judge(PRESETS["cnn-spectrum"], rows[:7]).ok is None


def _moments(values):
    """Rows of cnn-spectrum from (moments, 4) numbers."""
    names = ("train_loss", "lambda_hat", "trace", "largest")
    return [{"lane": "SGD", "findings": "", "epoch": float(i)} | dict(zip(names, map(float, row), strict=True)) for i, row in enumerate(values)]


def test_noise_is_no_transition_and_hides_one_only_where_nothing_can_be_told():
    random, preset = np.random.default_rng(0), PRESETS["cnn-spectrum"]
    for count, many in ((8, False), (14, False), (57, False), (200, True)):
        noise = [random.normal(size=(count, 4)) for _ in range(40)]
        waves = [np.stack([path[i : i + 4].mean(0) for i in range(count)]) for path in random.normal(size=(5, count + 3, 4))]  # correlated
        said = [judge(preset, _moments(values)).ok for values in noise]
        assert True not in said and (said.count(False) if many else said.count(None)) >= 7  # 200 moments show that there is none
        assert sum(judge(preset, _moments(values)).ok is True for values in waves) == 0
    step = (np.arange(57) > 30)[:, None]
    told = judge(preset, _moments(step + 0.1 * random.normal(size=(57, 4))))
    assert told.ok is True and "a jump" in told.text
    hidden = judge(preset, _moments(step[24:38] + 0.5 * random.normal(size=(14, 4))))
    assert hidden.ok is None and "scatter as large as a jump of half the range" in hidden.text


@pytest.mark.parametrize(
    ("faster", "error", "ok", "says"),
    [
        (41.0, 0.5, True, "no larger rate of SGD raises it"),
        (48.0, 0.5, False, "it rises with SGD x 10"),
        (41.0, 5.0, None, "SGD x 10 too close to tell"),
        (80.0, 5.0, False, "it rises"),
        (41.0, math.nan, None, "too close to tell"),
    ],
)
def test_that_nothing_rises_is_told_only_where_a_rise_would_be_seen(faster, error, ok, says):
    losses = [math.exp(-i) for i in range(4)]
    rows = _path("SGD", losses, [40.0] * 4) + _path("SGD x 10", [*losses[:2], 0.05, 0.01], [40.0, 40.0, 40.0, faster])
    verdict = judge(PRESETS["ngd-fig6"], [row | {"lambda_error": error} for row in rows])
    assert verdict.ok is ok and says in verdict.text


def test_one_chain_below_four_fifths_is_no_tail():
    def ok(*shares):
        rows = [{"method": "paper", "acceptance": share, "error_local": 0.0, "dead": 0} for share in shares]
        return judge(PRESETS["llc-fig12"], rows).ok

    assert ok(*[0.95] * 5, 0.7) is None and ok(*[0.95] * 99, 0.7) is False
    assert ok(*[0.95] * 5, 0.7, 0.6) is True and ok(*[0.95] * 200, 0.7, 0.6) is False and ok(*[0.95] * 30) is False


def test_rescaling_is_judged_by_its_spread():
    cases = tuple(Rescaled(DuplicatedReLU((4, 10, 3), alpha), n=50, batch=10, steps=40) for alpha in (1e-4, 1.0, 1e4))
    verdict = judge(PRESETS["llc-fig6"], Experiment(cases).run())
    assert verdict.ok is True  # spread below 1e-4 of the mean, as asked of the estimator
    wrong = tuple(replace(case, diagonal=False) for case in cases[1:2]) + tuple(replace(case, seed=3) for case in cases[:1])
    rows = [row | {"sampler": "P"} for row in Experiment(wrong).run()]
    assert judge(PRESETS["llc-fig6"], rows).ok is False


# Races as rows


def test_rows_of_a_race_are_those_of_its_trainings():
    rows = Experiment((RACE,)).run()
    assert [row["lane"] for row in rows[:2]] == ["SGD", "Adam"] and all(row["width"] == 8 for row in rows)
    adam = [row for row in rows if row["lane"] == "Adam"]
    frames = list(replace(TINY, optimiser=Adam()).stream(every=1))
    measured = {frame.step: frame for frame in frames if any(value is not None for value in frame.probes)}
    assert [row["step"] for row in adam] == list(measured) == [0, 2, 4, 6, 8, 10, 12]
    for row in adam:
        frame = measured[row["step"]]
        assert row["lambda_hat"] == frame.probes[0].numbers["lambda_hat"]
        if frame.step % 4 == 0:
            assert row["trace"] == frame.probes[3].numbers["trace"] and row["fisher_trace"] == frame.probes[2].mean
            assert row["above 0.01"] + row["below -0.01"] <= TINY.model.size * (1 + 1e-12)  # rounding of the two sums, some 1e-15 each
            if frame.step:
                batches = [one.loss for one in frames if frame.step - 4 < one.step <= frame.step]
                assert row["batch_loss"] == pytest.approx(np.mean(batches), rel=1e-12), "the mean over the epoch's batches, as the source prints"
        assert {"train_loss", "test_loss"} <= set(row)


def test_the_mean_over_an_epoch_does_not_depend_on_the_rhythm_of_frames():
    quiet = replace(RACE, race=Race.of(replace(TINY, probes=()), SGD(lr=0.05)), names=("SGD",))
    for a, b in zip(Experiment((quiet,)).run(), Experiment((replace(quiet, every=1),)).run(), strict=True):
        assert a.get("batch_loss", 0) == pytest.approx(b.get("batch_loss", 0), rel=1e-12) and a["train_loss"] == b["train_loss"]


def test_a_probe_that_fails_costs_its_own_value_and_row_and_verdict_say_why():
    wild = replace(TINY, probes=(Watch(LambdaHat(SGLD(eps=1e3), chains=1, draws=20, batch=16)),))
    rows = Experiment((replace(RACE, race=Race.of(wild, SGD(lr=0.05), Adam())),)).run()
    assert all(re.match("LambdaHat: .*1 of 1 chains died", row["failed"]) and "lambda_hat" not in row and "train_loss" in row for row in rows)
    verdict = judge(PRESETS["ngd-fig2"], rows)
    assert verdict.ok is None and "Nothing could be measured of SGD (LambdaHat: " in str(verdict)
    for field, value in {"chains": 0, "draws": 3, "burn_in": -1, "batch": -1, "nbeta": 0.0}.items():
        with pytest.raises(ValueError, match=f"{field} = "):
            LambdaHat(**{field: value})


def test_a_lane_that_diverges_says_why_in_its_last_row_and_the_others_go_on():
    race = Race.of(replace(TINY, model=MLP((64, 8, 8, 10), "linear"), probes=()), SGD(lr=1e4, momentum=0.9), SGD(lr=0.05))
    rows = Experiment((Lanes(race, ("huge", "fine")),)).run()
    huge, fine = ([row for row in rows if row["lane"] == lane] for lane in ("huge", "fine"))
    assert "not finite" in huge[-1]["ended"] and sum("ended" in row for row in rows) == 1
    assert fine[-1]["epoch"] == 3


def test_so_many_labels_are_wrong_and_only_in_the_training_set():
    given, wrong = Digits().load(), Mislabelled(Digits(), 0.3).load()
    n = len(given.y)
    assert torch.equal(given.x, wrong.x) and torch.equal(given.y_test, wrong.y_test)
    changed = int((given.y != wrong.y).sum())
    assert changed / n == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / n)) and int(wrong.y.max()) < 10
    assert torch.equal(Mislabelled(Digits(), 0.0).load().y, given.y)
    with pytest.raises(ValueError, match="is no data"):
        Mislabelled("digits")


# Interrupted and resumed


@pytest.mark.parametrize("case", SMALL, ids=lambda case: type(case).__name__)
def test_an_experiment_resumed_from_any_frame_ends_in_the_same_rows(case, tmp_path):
    run = Experiment((SMALL[-1], case, SMALL[-1]))
    whole = run.run()
    frames, saved = run.stream(), []
    for i, frame in enumerate(frames):
        if i % 4 == 1 or frame.share > 0.99:
            frame.save(tmp_path / str(i))
            saved.append((tmp_path / str(i), frame))
    for path, frame in saved[:: max(1, len(saved) // 4)]:
        again = list(run.resume(path))
        assert again[0].step == frame.step and len(again[0].rows) <= len(frame.rows)
        assert equal(again[-1].rows, whole) and again[-1].share == 1


def test_a_checkpoint_of_a_resumed_run_that_has_not_moved_is_the_same(tmp_path):
    run = Experiment((RACE,))
    frames = run.stream()
    for frame in frames:
        if len(frame.rows) > 3:
            break
    frame.save(tmp_path / "a")
    again = run.resume(tmp_path / "a")
    next(again).save(tmp_path / "b")
    *_, last = run.resume(tmp_path / "b")
    assert equal(last.rows, run.run())


def test_a_checkpoint_of_another_experiment_or_a_frame_of_the_past_is_refused(tmp_path):
    run = Experiment((SMALL[-1],))
    frames = run.stream()
    first = next(frames)
    first.save(tmp_path / "a")
    next(frames)
    with pytest.raises(ValueError, match="the experiment has gone on"):
        first.save(tmp_path / "b")
    with pytest.raises(ValueError, match="another experiment, or of this one with other settings"):
        Experiment((replace(SMALL[-1], seed=5),)).resume(tmp_path / "a")
    with pytest.raises(ValueError, match="at least one case"):
        Experiment(())


def test_the_time_left_counts_the_cases_to_come_by_their_cost(monkeypatch):
    ticks = iter(range(1000))
    monkeypatch.setattr("nets.experiment.time.perf_counter", lambda: float(next(ticks)))
    frames = list(Experiment((Steps(cost=1), Steps(cost=3))).stream())
    for i, frame in enumerate(frames[1:], 1):
        if frame.share:
            made = i  # one tick a frame since the first
            assert frame.seconds_left == pytest.approx(made / frame.share * (1 - frame.share), rel=0.35, abs=1.5)
    assert [frame.share for frame in frames][-1] == 1 and frames[-1].seconds_left == 0


@dataclass(frozen=True)
class Steps(Case):
    """Ten parts, one row each."""

    cost: float = 1.0
    stop: int = -1

    def stream(self, content=None):
        first = 0 if content is None else content["step"]
        for i in range(first, 10):
            if i == self.stop:
                os.kill(os.getpid(), signal.SIGINT)
            yield Part((i + 1) / 10, ({"lane": "a", "step": i, "value": math.sqrt(i)},), lambda step=i + 1: {"step": step})


# The command line


@pytest.fixture
def small(monkeypatch):
    """ngd-fig2 cut down: main(["run", "ngd-fig2", ...]) takes a second."""
    made = replace_preset("ngd-fig2", Experiment((Lanes(Race.of(replace(TINY, probes=TINY.probes[:2]), SGD(lr=0.05), Adam()), ("SGD", "NGD")),)))
    monkeypatch.setitem(networks.PRESETS, "ngd-fig2", made)
    return made


def replace_preset(name, run):
    return PRESETS[name]._replace(run=run, quick=run)


def test_a_preset_runs_and_writes_tables_and_figures(small, tmp_path, capsys):
    outs = [str(tmp_path / f"a{suffix}") for suffix in (".csv", ".json", ".npz", ".png", ".svg", ".pdf")]
    assert main(["run", "ngd-fig2", "--json", *(part for out in outs for part in ("--out", out))]) == 0
    text = capsys.readouterr()
    out = strict(text.out)
    assert not text.err and out["complete"] is True and out["holds"] in (True, False, None) and out["out"] == outs
    rows = small.run.run()
    with open(tmp_path / "a.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [float(row["lambda_hat"]) for row in found] == [row["lambda_hat"] for row in rows]
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["lane"].tolist() == [row["lane"] for row in rows]
        assert np.array_equal(file["train_loss"], [row["train_loss"] for row in rows]) and strict(str(file["run"]))["preset"] == "ngd-fig2"
    assert len(strict((tmp_path / "a.json").read_text())["rows"]) == len(rows) == len(out["rows"])
    for suffix, head in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        data = (tmp_path / f"a{suffix}").read_bytes()
        assert data.startswith(head) and len(data) > 10_000
    assert len(os.listdir(tmp_path)) == 6, "no checkpoint is left of a run that is done"
    assert main(["run", "ngd-fig2"]) == 0
    assert small.claim in capsys.readouterr().out


def test_a_preset_is_exported_as_recorded_frames_with_a_slider(small, tmp_path, capsys):
    out = tmp_path / "a.html"
    assert main(["export", "ngd-fig2", "--quick", "--out", str(out)]) == 0
    assert "Written" in capsys.readouterr().out and len(os.listdir(tmp_path)) == 1
    text = out.read_text()
    state = json.loads(text.partition('id="state">')[2].partition("</script>")[0])
    epochs = sorted({row["epoch"] for row in small.quick.run()})
    assert state["kind"] == "slides" and [frame["label"] for frame in state["frames"]] == [f"epoch {epoch:,.6g}" for epoch in epochs]
    assert all(frame["image"].startswith("data:image/png;base64,") for frame in state["frames"]) and len(text) < 1_500_000


def test_moments_of_a_run_hold_what_there_was_until_then():
    rows = [{"lane": lane, "epoch": epoch, "y": 1} for lane in "ab" for epoch in range(50)]
    found = list(moments(rows, 6))
    assert [label for label, _ in found] == [f"epoch {epoch}" for epoch in (0, 10, 20, 29, 39, 49)] and found[-1][1] == rows
    assert all(part == [row for row in rows if row["epoch"] <= last] for (_, part), last in zip(found, (0, 10, 20, 29, 39, 49), strict=True))
    plain = [{"y": i} for i in range(3)]
    assert list(moments(plain, 6)) == [("1 of 3", plain[:1]), ("2 of 3", plain[:2]), ("3 of 3", plain)]


def test_frames_of_a_recording_lie_on_the_axes_of_its_end(small):
    rows = small.run.run()
    verdict = judge(small, rows)
    whole = netplots.figure(small, rows, verdict)
    for _, part in moments(rows, 3):
        made = netplots.figure(small, part, verdict, 1.0, rows)
        assert [(axes.get_xlim(), axes.get_ylim()) for axes in made.axes] == [(axes.get_xlim(), axes.get_ylim()) for axes in whole.axes]
        drawn = max(len(line.get_xdata()) for line in made.axes[0].lines)
        assert drawn == max(sum(row["lane"] == lane for row in part) for lane in {row["lane"] for row in part})


def test_ctrl_c_keeps_what_is_done_and_resume_ends_as_if_nothing_had_happened(small, tmp_path, capsys, monkeypatch):
    whole = small.run.run()
    taken, out = [], tmp_path / "a.csv"
    command = ["run", "ngd-fig2", "--out", str(out), "--out", str(tmp_path / "a.png")]
    rows_of = Lanes._rows

    def interrupting(self, standings, tally):
        if standings.step == 6 and not taken:
            taken.append(1)
            os.kill(os.getpid(), signal.SIGINT)
        return rows_of(self, standings, tally)

    monkeypatch.setattr(Lanes, "_rows", interrupting)
    assert main(command) == 130
    said = capsys.readouterr()
    assert "stopped after 50%; what was found so far is in" in said.err and "--resume goes on" in said.err
    assert "Interrupted after 50% of the work." in said.out
    with open(out, newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == [row["step"] for row in whole if row["step"] <= 6]
    assert (tmp_path / "a.checkpoint").exists() and (tmp_path / "a.png").exists()
    assert main(command) == 1
    assert "go on with --resume, or delete it" in capsys.readouterr().err
    assert main([*command, "--set", "epochs=5", "--resume"]) == 1
    assert "with other settings" in capsys.readouterr().err
    assert main([*command, "--resume"]) == 0
    assert not (tmp_path / "a.checkpoint").exists()
    networks.write(small, small.run, [], whole, 1.0, [tmp_path / "b.csv"])
    assert out.read_bytes() == (tmp_path / "b.csv").read_bytes(), "bit for bit the table of a run that was not interrupted"


def test_a_second_ctrl_c_stops_at_once_and_still_keeps_the_rows(tmp_path, capsys, monkeypatch):
    run = Experiment((Steps(), Twice()))
    monkeypatch.setitem(networks.PRESETS, "ngd-fig2", replace_preset("ngd-fig2", run))
    assert main(["run", "ngd-fig2", "--out", str(tmp_path / "a.json")]) == 130
    found = strict((tmp_path / "a.json").read_text())
    assert len(found["rows"]) == 10 and found["complete"] is False
    assert "stopped after 50%" in capsys.readouterr().err


class Twice(Case):
    def __repr__(self):
        return "Twice()"

    def stream(self, content=None):
        yield Part(0.0)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        yield Part(1.0)


def test_without_a_file_an_interrupted_run_shows_what_was_found_and_says_that_it_cannot_go_on(capsys, monkeypatch):
    monkeypatch.setitem(networks.PRESETS, "ngd-fig2", replace_preset("ngd-fig2", Experiment((Steps(stop=4),))))
    assert main(["run", "ngd-fig2", "--json"]) == 130
    said = capsys.readouterr()
    assert len(strict(said.out)["rows"]) == 5 and "nothing was written: with --out FILE" in said.err


def test_a_case_that_fails_keeps_what_was_found_before(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(networks.PRESETS, "ngd-fig2", replace_preset("ngd-fig2", Experiment((Steps(), Fails()))))
    assert main(["run", "ngd-fig2", "--out", str(tmp_path / "a.csv")]) == 1
    assert "there is no such data (after 50%; what was found so far is in" in capsys.readouterr().err
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 11


class Fails(Case):
    def __repr__(self):
        return "Fails()"

    def stream(self, content=None):
        yield Part(0.0)
        raise ValueError("there is no such data")


def test_a_run_in_another_thread_needs_no_signals(monkeypatch):
    kept, done = networks.Kept(None), []
    thread = threading.Thread(target=lambda: done.append(networks.follow(Experiment((Steps(),)).stream(), kept)))
    thread.start()
    thread.join()
    assert done == [None] and len(kept.rows) == 10


# Settings


def test_settings_reach_every_place_where_the_value_is_the_same():
    run = networks.change(
        PRESETS["ngd-fig2"].quick, ["lr=0.02", "epochs=3", "OnlineNGD.alpha=2", "LambdaHat.draws=9", "paper_mode=false", "data=MNIST"]
    )
    (case,) = run.cases
    sgd, ngd = case.race.runs
    assert (sgd.optimiser.lr, ngd.optimiser.lr, ngd.optimiser.alpha, ngd.optimiser.paper_mode) == (0.02, 0.02, 2.0, False)
    assert sgd.epochs == ngd.epochs == 3 and sgd.probes[0].probe.draws == 9 and type(sgd.data).__name__ == "MNIST"
    assert networks.change(PRESETS["llc-fig1"].quick, ["device=cpu"]) == PRESETS["llc-fig1"].quick
    wide = networks.change(PRESETS["ngd-fig2"].quick, ["widths=64,32,10"])
    assert wide.cases[0].race.runs[1].model == MLP((64, 32, 10))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ngd-fig2", "--set", "lr"], "is no setting; write name=value"),
        (["ngd-fig2", "--set", "rate=1"], "no such value in this run; it has"),
        (["ngd-fig2", "--set", "lr=0"], "lr = 0.0 is below"),
        (["ngd-fig2", "--set", "lr=fast"], "lr = 'fast' is not of its kind (float"),
        (["ngd-fig2", "--set", "epochs=1.5"], "not of its kind (int"),
        (["ngd-fig2", "--set", "data=__import__"], "not of its kind (data, such as Digits"),
        (["ngd-fig2", "--set", "paper_mode=maybe"], "not of its kind (bool"),
        (["ngd-fig2", "--set", "batch=64"], "batch has the values 32, 128 in this run; set LambdaHat.batch or Training.batch"),
        (["ngd-fig3a", "--set", "alpha=1"], "in this run; set something else"),
        (["ngd-fig2", "--every", "5"], "leave --every out"),
        (["ngd-fig2", "--resume"], "give the --out FILE"),
        (["ngd-fig2", "--resume", "--out", "nothing.csv"], "there is no such file"),
        (["ngd-fig2", "--out", "a.gif"], "choose one of .npz, .csv, .json"),
        (["fig1-escape", "--resume"], "leave --resume out"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_1(arguments, says, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["run", *arguments, "--quick"]) == 1
    out, err = capsys.readouterr()
    assert not out and err.count("\n") == 1 and says in err and not os.listdir(tmp_path)


def test_a_preset_of_networks_has_neither_link_nor_page(capsys):
    assert main(["url", "ngd-fig2"]) == 1
    assert "has neither link nor page" in capsys.readouterr().err


# Figures


@pytest.mark.parametrize("name", ["llc-fig7", "llc-fig5", "llc-fig2"])
def test_figures_have_every_panel_and_every_exact_line(name):
    from app.netplots import figure

    cases = {"llc-fig7": SMALL[4], "llc-fig5": SMALL[2], "llc-fig2": Volumes()}
    preset = PRESETS[name]
    rows = Experiment((cases[name],)).run()
    drawn = figure(preset, rows, judge(preset, rows))
    axes = [one for one in drawn.axes if one.get_visible()]
    assert [one.get_title() for one in axes] == [panel.title for panel in preset.panels]
    for one, panel in zip(axes, preset.panels, strict=True):
        assert len(one.lines) + len(one.containers) >= 1 + len(panel.exact)
    figure(preset, [], judge(preset, []))  # nothing measured yet


def test_all_panels_name_columns_that_rows_have():
    own = {"ngd-fig2": RACE, "toys": SMALL[1], "llc-fig5": SMALL[2], "llc-fig3": SMALL[3], "llc-fig7": SMALL[4]}
    for name, case in own.items():
        names = {column for row in Experiment((case,)).run() for column in row}
        for panel in PRESETS[name].panels:
            assert {panel.x, panel.y, *panel.by, *panel.exact, *filter(None, [panel.error])} <= names, (name, panel)


def test_every_field_of_a_case_can_be_set():
    for case in SMALL:
        names = {field.name for field in dataclasses.fields(case)}
        assert names  # frozen dataclasses all
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(case, min(names), None)
