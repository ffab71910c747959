"""Lessons: the format and its mistakes; every lesson of the package opens, and every number in its text is what the stated computation gives."""

import base64
import functools
import math
import pathlib
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from test_rules import absorbing

from app import landscapelab as lab
from app import lesson, lessons, pages
from app.lesson import NUMBER, Mistake, Step, formulas, misfits, read, rendered, shelf
from dynamics import NGD, SDE, SGD, Online, Posterior
from dynamics.freeenergy import basins, crossings
from dynamics.law import transfer
from dynamics.presets import drifted
from dynamics.proportion import proportion
from landscapes import Bowl, Cusp, DoubleWell, NormalCrossing, Polynomial, Regular, Valley, learning_coefficient
from landscapes.volume import volume

WELL, FLAT = DoubleWell(1.8, 1, 2), DoubleWell(1.8, 1, 4)
LESSONS = shelf().lessons
STATES = [(one.name, state) for one in LESSONS.values() for state in one.states]


# Every quoted number: its name in the text, and what it is


def room(eps: float, at: float) -> float:
    return float(volume(WELL, np.array([eps]), (at,))[0])


def left(landscape, n: float, slope: float = 0.0) -> float:
    """Per cent of the posterior left of the barrier."""
    return 100 * float(Posterior(landscape, n, 1.0, Online(slope=slope)).masses()[0])


def samples_until(share: float) -> float:
    """n at which so many per cent are left of the barrier; the mass falls with n."""
    low, high = 1.0, 1e7
    while high / low > 1.0001:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if left(WELL, middle) > share else (low, middle)
    return low


@functools.cache
def rate(rule) -> float:
    return transfer(WELL, rule).escape_rate()


@functools.cache
def run_of(name: str, step: int, after: bool = False):
    """The run that a lesson shows at a step (from 1)."""
    shown = LESSONS[name].steps[step - 1]
    return lab.decode(dict((shown.after if after else shown.show).query))[0].run.run()


def near(name: str, step: int, rule: type, reach=0.1) -> float:
    """Per cent of the second optimiser's trajectories that end within this of 0, in the picture after a step's answer."""
    shown = lab.decode(dict(LESSONS[name].steps[step - 1].after.query))[0]
    assert isinstance(shown.rival, rule)
    return 100 * float((np.abs(replace(shown.run, rule=shown.rival).run().w) < reach).mean())


def within(w, density, reach=0.1) -> float:
    """Per cent of a density on a fine grid that lie within this of 0."""
    return 100 * float(density[np.abs(w) < reach].sum() / density.sum())


def reported(example: str):
    """What the chains of an example of the LLC lab report: ideal ones, and those with its step and batches."""
    from app.known import exact
    from app.llclab import EXAMPLES

    _, one = EXAMPLES[example]
    return exact(one.model, one.rule, one.nbeta, one.batch, one.data)


def aoyagi(widths, rank: int, multiplicity: bool = False) -> float:
    from nets.dln import learning_coefficient

    return learning_coefficient(widths, rank)[int(multiplicity)]


def local(example: str) -> float:
    from app.dlnexact import exact
    from app.dlnlab import EXAMPLES

    return exact(EXAMPLES[example][1]).here.lam


W = np.linspace(-3, 3, 600_001)
TEMPERATURE, DAMPING = 0.02, 0.01
ABSORBING = absorbing()  # eta/rho over sqrt(B), below which natural gradient is absorbed by w^4/2
CURVATURE = float(WELL.hessian((-1.8,))[0, 0])
NUMBERS = {
    "1-volume": {
        "room right": lambda: room(1e-4, 1.8),
        "room left": lambda: room(1e-4, -1.8),
        "room ratio": lambda: room(1e-4, 1.8) / room(1e-4, -1.8),
        "shrinks left": lambda: room(1e-6, -1.8) / room(1e-8, -1.8),
        "shrinks right": lambda: room(1e-6, 1.8) / room(1e-8, 1.8),
    },
    "2-bayes": {
        "mass 1": lambda: left(WELL, 1),
        "mass 100": lambda: left(WELL, 100),
        "mass 1000": lambda: left(WELL, 1000),
        "one per cent": lambda: round(samples_until(1.0), -4),
        "wrong 1000": lambda: 100 - left(FLAT, 1000, -0.05),
        "right 10000": lambda: left(FLAT, 10_000, -0.05),
        "cost 1000": lambda: 1000 * 0.05**2 / 2,
        "crossing": lambda: crossings(FLAT, *basins(FLAT), Online(slope=-0.05))[0],
    },
    "3-sticky": {
        "ratio flat": lambda: proportion(WELL, Online()).limits["+w₀"],
        "ratio sharp": lambda: proportion(WELL, Online()).limits["−w₀"],
        "negative": lambda: 100 * proportion(WELL, Online()).negative_share,
        "mass 2-3": lambda: left(DoubleWell(2.0, 2, 3), 10_000),
        "lost": lambda: 100 * (1 - run_of("3-sticky", 3).survivors / run_of("3-sticky", 3).run.n),
        "stuck early": lambda: 100 * run_of("3-sticky", 3).share_left[-1],
        "stuck late": lambda: 100 * run_of("3-sticky", 3, True).share_left[-1],
        "stuck rate": lambda: transfer(DoubleWell(2.0, 2, 3), SGD(lr=0.01, batch=20)).escape_rate(),
        "creep 1000": lambda: (12 * 0.02 * 1000) ** -0.25,
        "creep 16000": lambda: (12 * 0.02 * 16_000) ** -0.25,
    },
    "4-escape": {
        "escape rate": lambda: rate(SGD(lr=0.02, batch=20)),
        "sde 1": lambda: rate(SDE(lr=0.02, batch=20, substeps=1)),
        "sde 2": lambda: rate(SDE(lr=0.02, batch=20, substeps=2)),
        "curvature": lambda: CURVATURE,
        "stable rate": lambda: 2 / CURVATURE,
        "stable lr": lambda: 2 / CURVATURE / 2,  # the source's loss has no 1/2
        "stable w0": lambda: (2 / 0.02) ** 0.25 / 2,
        "gd left": lambda: 100 * run_of("4-escape", 4, True).share_left[-1],
        "rate 0.02 1": lambda: rate(SGD(lr=0.02, batch=1)),
        "rate 0.02 100": lambda: rate(SGD(lr=0.02, batch=100)),
        "rate 0.016 1": lambda: rate(SGD(lr=0.016, batch=1)),
        "rate 0.016 100": lambda: rate(SGD(lr=0.016, batch=100)),
    },
    "5-multiplicity": {
        "drift 5000": lambda: drifted(np.array([1.5]), 5000, 1, 0.02, 20)[0],
        "drift steps": lambda: (0.1**-2 - 1.5**-2) / (2 * 0.02**2 / 20) / 1e6,
        "log factor": lambda: math.log(1e-14) / math.log(1e-2),
        "power factor": lambda: (1e-2 / 1e-14) ** 0.25,
        "finite 4": lambda: 1e4 * Posterior(Valley(1, 2), 1e4).mean_potential(),
        "finite 6": lambda: 1e6 * Posterior(Valley(1, 2), 1e6).mean_potential(),
    },
    "6-natural": {
        "damping reach": lambda: math.sqrt(DAMPING) / 2,
        "effective rate": lambda: 0.02 / DAMPING,
        "heavy damping": lambda: 2 / 100,
        "iso sgd": lambda: within(W, np.exp(-(W**4) / 2 / TEMPERATURE)),
        # int (4 w^2 + rho) 2 w^3 dw
        "iso ngd": lambda: within(W, (4 * W**2 + DAMPING) ** 2 * np.exp(-(4 / 3 * W**6 + DAMPING * W**4 / 2) / TEMPERATURE)),
        "absorbing": lambda: ABSORBING,
        "absorbing at 20": lambda: ABSORBING * math.sqrt(20),
        "thrown out": lambda: near("6-natural", 6, NGD),
        "least damping": lambda: 0.02 / (ABSORBING * math.sqrt(20)),
        "ngd stiffness": lambda: 0.1 * CURVATURE / (CURVATURE + 1),
    },
    "7-estimate": {
        "healthy": lambda: reported("healthy").ideal,
        "step": lambda: reported("step").actual,
        "step ideal": lambda: reported("step").ideal,
        "equipartition": lambda: reported("step").actual / reported("step").ideal,  # both are 1/(1 - eps n beta h/4) too large
        "batch nbeta": lambda: 32 / math.log(32),
        "data nbeta": lambda: 10_000 / math.log(10_000),
        "batch": lambda: reported("batch").ideal,
        "slow": lambda: reported("slow").ideal,
    },
    "8-deep-linear": {
        **{f"depth {k}": functools.partial(aoyagi, (10, *[4] * k, 10), 2) for k in range(4)},
        **{f"depth {k} m": functools.partial(aoyagi, (10, *[4] * k, 10), 2, True) for k in (4, 6)},
        **{f"wide {h}": functools.partial(aoyagi, (5, *[h] * 6, 5), 3) for h in (10, 40)},
        "wide growth": lambda: (2 * 5 * 40 + 5 * 40 * 40) / (2 * 5 * 10 + 5 * 10 * 10),
        "wide half": lambda: (2 * 5 * 40 + 5 * 40 * 40) / 2,
        "local": lambda: local("local"),
        **{f"plateau {r}": functools.partial(lambda r: sum((10 * i) ** 2 for i in range(1, 6 - r)) / 5, r) for r in range(5)},
        "regular 1": lambda: 1 * (10 - 1) / 2,
        "ties": lambda: aoyagi((50,) * 41, 0, True),
        "ties lambda": lambda: aoyagi((50,) * 41, 0),
    },
}


def value(text: str) -> float:
    return float(Fraction(text.replace(",", "").replace("−", "-")))


def unit(text: str) -> float:
    """Of the last digit that is quoted."""
    return 0.0 if "/" in text else 10.0 ** -len(text.partition(".")[2])


@pytest.mark.parametrize(("name", "number"), [(one.name, number) for one in LESSONS.values() for number in one.numbers], ids=str)
def test_every_number_quoted_is_what_its_computation_gives_to_the_last_digit(name, number):
    computed = float(NUMBERS[name][number.name]())
    assert abs(computed - value(number.text)) <= 0.5000001 * unit(number.text), f"line {number.line}: {number.text}, computed {computed}"


def test_every_computation_is_quoted():
    assert {name: set(table) for name, table in NUMBERS.items()} == {
        one.name: {number.name for number in one.numbers} for one in LESSONS.values() if one.numbers
    }


def test_no_other_decimal_or_percentage_stands_in_the_text_but_settings_of_the_picture():
    """What is quoted is marked; a decimal without a mark is a setting that the step shows, in its state or the one before or after."""
    for one in LESSONS.values():
        before: set[str] = set()
        for step in one.steps:
            states = [step.show, *([step.after] if step.after else [])]
            known = before | {entry for state in states for _, text in state.query for entry in text.replace("-", "").split(",")}
            for text in (step.text, step.answer):
                plain = re.sub(r"\$\$.+?\$\$|\$[^$]+\$|`[^`]+`", " ", NUMBER.sub(" ", text), flags=re.DOTALL)
                said = set(re.findall(r"\d+\.\d+", plain)) - SAID.get(one.name, set())
                assert said <= known, f"{one.name}, {step.title}: {said - known}"
                assert not re.findall(r"\d ?%", plain), f"{one.name}, {step.title}"
            before = known


SAID = {  # of the sources, or thresholds in words
    "1-volume": {"0.0001"},
    "5-multiplicity": {"1.5", "0.1"},
    "8-deep-linear": {"12.5", "4.8", "8.6", "11.5", "13.4", "4.5", "10.5"},
    "7-estimate": {"0.003", "0.001", "0.008", "9.2"},
    "4-escape": {"0.007", "0.01", "1.6", "0.019", "0.021"},
}


# What lessons say that is no number


def lam(landscape, at=(0, 0)):
    found = learning_coefficient(landscape, at)
    return str(found.lam), found.multiplicity


def test_the_answers_on_lambda_and_m_are_exact():
    assert lam(Regular()) == ("1", 1) and lam(Bowl(1, 2)) == ("3/4", 1) and lam(Cusp()) == ("5/12", 1)
    assert lam(Polynomial("(w1^2-w2^2)*(w1-w2)")) == ("1/4", 1)
    assert lam(Valley(1, 1)) == ("1/3", 1) and lam(Valley(1, 1), (0, 1)) == ("1/2", 1)
    assert lam(Valley(1, 2)) == ("1/4", 2) and lam(Valley(1, 2), (0, 1)) == ("1/4", 1)
    assert lam(Valley(2, 2)) == ("1/6", 1) and lam(NormalCrossing(1, 1)) == ("1/2", 2) and lam(NormalCrossing(1, 2)) == ("1/4", 1)


def test_four_portions_a_step_leave_less_than_once_in_a_million_steps():
    assert rate(SDE(lr=0.02, batch=20, substeps=4)) < 1e-6


def test_without_noise_nobody_leaves_at_0_019():
    assert run_of("4-escape", 4).share_left[-1] == 1


def test_runs_beside_the_sticky_line_are_pinned_to_it_and_keep_their_distance_to_the_origin():
    out = run_of("3-sticky", 5, True)
    line, origin = (out.distance(out.run.landscape.minima[i]) for i in (1, 0))
    far = np.isfinite(origin[-1]) & (origin[0] > 0.5)
    assert np.nanmedian(line[-1][far]) < 0.3 * np.nanmedian(line[0][far])
    assert np.nanmedian(np.abs(origin[-1][far] / origin[0][far] - 1)) < 0.02


def test_with_batch_noise_both_are_absorbed_and_natural_gradient_faster():
    shown = lab.decode(dict(LESSONS["6-natural"].steps[4].after.query))[0]
    sgd, ngd = (np.median(np.abs(replace(shown.run, rule=rule).run().w)) for rule in (shown.run.rule, shown.rival))
    assert isinstance(shown.rival, NGD) and ngd < 0.5 * sgd < 0.1


def test_heavy_damping_makes_natural_gradient_nearly_sgd():
    shown = lab.decode(dict(LESSONS["6-natural"].steps[2].after.query))[0]
    sgd, ngd = (replace(shown.run, rule=rule).run().w for rule in (shown.run.rule, shown.rival))
    np.testing.assert_allclose(ngd, sgd, atol=0.02)


def test_natural_gradient_stays_in_the_sharp_well_that_sgd_leaves():
    shown = lab.decode(dict(LESSONS["6-natural"].steps[6].show.query))[0]
    sgd, ngd = (replace(shown.run, rule=rule).run().share_left for rule in (shown.run.rule, shown.rival))
    assert sgd[-1] < 0.001 and ngd[-1] == ngd[10] > 0.3


def test_more_noise_pins_faster():
    shown = lab.decode(dict(LESSONS["3-sticky"].steps[6].after.query))[0]
    line = shown.run.landscape.minima[1]
    few, many = (np.nanmedian(replace(shown.run, rule=rule).run().distance(line)[-1]) for rule in (shown.rival, shown.run.rule))
    assert shown.rival.batch < shown.run.rule.batch and few < many


# Every state


@pytest.mark.parametrize(("name", "state"), STATES, ids=lambda value: value if isinstance(value, str) else f"line {value.line}")
def test_every_state_of_every_lesson_opens_without_a_message(name, state):
    assert pages.messages(state.page, dict(state.query)) == []


def test_the_nine_lessons_are_there_each_of_five_to_eight_short_steps_with_a_question_and_a_play_at_the_end():
    assert shelf().mistakes == ()
    assert [name[0] for name in LESSONS] == list("123456789")
    for one in LESSONS.values():
        assert 5 <= len(one.steps) <= 8, one.name
        assert sum(bool(step.choices) for step in one.steps) >= 2, one.name
        assert one.steps[-1].title == "Now play"
        for step in one.steps:
            words = len(re.sub(r"\$\$.+?\$\$|\$[^$]+\$", "x", step.text, flags=re.DOTALL).split())
            assert words <= 115 and len(step.answer.split()) <= 95, f"{one.name}, {step.title}: {words}, {len(step.answer.split())}"


# The format

GOOD = """# Two valleys
What it is about.

## First
show: page=landscape&figures=potential,shares
&landscape=DoubleWell&lr=0.01

Text with $K(w) < \\varepsilon$ and {{0.117|a rate}}.

question: What happens?
- [ ] Nothing
- [x] Something
answer: This.
show: &lr=0.02

## Second
More.
"""


def written(tmp_path, text: str, name: str = "mine.md") -> pathlib.Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_lesson_is_read(tmp_path):
    one = read(written(tmp_path, GOOD))
    first, second = one.steps
    assert (one.name, one.title, one.summary) == ("mine", "Two valleys", "What it is about.")
    assert not first.covered and not second.covered
    assert isinstance(first, Step) and first.choices == (("Nothing", False), ("Something", True)) and first.answer == "This."
    assert first.show.page == "landscape" and first.show.figures == ("potential", "shares")
    assert dict(first.show.query) == {"landscape": "DoubleWell", "lr": "0.01"}
    assert dict(first.after.query) == {"landscape": "DoubleWell", "lr": "0.02"} and first.after.figures == ("potential", "shares")
    assert second.show == first.after and second.choices == () and second.after is None
    assert one.numbers[0].text == "0.117" and one.numbers[0].name == "a rate" and one.numbers[0].line == 8


def test_a_picture_that_would_tell_the_answer_is_covered_until_then_and_the_one_before_stays_under_it(tmp_path):
    asked = GOOD + "\n\n## Third\nshow: nothing\n\nMore.\n\nquestion: Which?\n- [x] One\n- [ ] Two\nanswer: One.\nshow: page=escape&n=300\n"
    *_, second, third = read(written(tmp_path, asked)).steps
    assert third.covered and third.show == second.show and third.after.page == "escape"
    assert lessons.described(read(written(tmp_path, asked)), None)["steps"][2]["covered"]


def test_a_copied_link_and_a_frames_address_are_states(tmp_path):
    for link in ("http://localhost:5006/serve?page=escape&n=300", "?widget=escape&n=300&theme=dark", "page=escape&n=300"):
        one = read(written(tmp_path, GOOD.replace("show: page=landscape&figures=potential,shares\n&landscape=DoubleWell&lr=0.01", f"show: {link}")))
        assert one.steps[0].show.page == "escape" and dict(one.steps[0].show.query) == {"n": "300"}


@pytest.mark.parametrize(
    ("old", "new", "line", "demand"),
    [
        ("# Two valleys", "Two valleys", 1, "begins with its title"),
        ("What it is about.", "", 2, "one sentence"),
        ("## First", "## ", 4, "needs a heading"),
        ("page=landscape&figures", "page=landscap&figures", 5, "choose a lab: landscape"),
        ("page=landscape&figures=potential,shares", "page landscape", 5, "without spaces"),
        ("page=landscape&figures=potential,shares", "landscape", 5, "name=value"),
        ("show: page=landscape&figures=potential,shares\n&landscape=DoubleWell&lr=0.01", "show: &lr=0.01", 5, "changes the state before"),
        ("show: page=landscape&figures=potential,shares\n&landscape=DoubleWell&lr=0.01", "", 13, "there is none"),
        (GOOD[GOOD.index("show:") :], "Text.\n", 4, "first step needs a line show:"),
        ("show: &lr=0.02", "show: &page=escape", 14, "keeps the lab"),
        ("show: &lr=0.02", "show: nothing", 14, "name=value"),
        ("More.", "show: nothing\nMore.", 17, "show: nothing is for a question"),
        ("show: &lr=0.02", "show: &lr=0.02\nshow: &lr=0.03", 15, "a second show:"),
        ("answer: This.\nshow: &lr=0.02", "", 10, "no answer"),
        ("question: What happens?", "", 13, "belongs after a question"),
        ("question: What happens?", "question:", 10, "its text"),
        ("- [ ] Nothing", "* Nothing", 11, "- [ ] wrong or - [x] right"),
        ("- [x] Something", "- [ ] Something", 10, "one of them right"),
        ("- [ ] Nothing", "- [x] Nothing", 10, "one of them right"),
        ("question: What", "Question: What", 10, "write question: in small letters"),
        ("&landscape=DoubleWell", "\n&landscape=DoubleWell", 7, "lines that begin with &"),
        ("&landscape=DoubleWell", "landscape=DoubleWell", 6, "lines that begin with &"),
        ("More.", "A share of {{0.5}}.", 17, "a number is written {{0.117|what it is}}"),
        ("More.", "So $$x^2 is.", 16, "has no end"),
        ("answer: This.\nshow: &lr=0.02", "answer:", 4, "the answer has no text"),
        ("More.", "", 16, "the step has no text"),
    ],
)
def test_a_mistake_is_one_message_with_file_line_and_demand(tmp_path, old, new, line, demand):
    assert old in GOOD
    with pytest.raises(Mistake, match=re.escape(demand)) as found:
        read(written(tmp_path, GOOD.replace(old, new, 1)))
    assert str(found.value).startswith(f"mine.md, line {line}: "), found.value


PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJggg==")


def test_a_picture_beside_the_file_becomes_part_of_the_lesson(tmp_path):
    (tmp_path / "valley.png").write_bytes(PIXEL)
    step = read(written(tmp_path, GOOD.replace("More.", 'See ![a <deep> valley](valley.png "deep"), more.'))).steps[-1]
    source = f"data:image/png;base64,{base64.b64encode(PIXEL).decode()}"
    assert rendered(step.text) == f'<p>See <img alt="a &lt;deep&gt; valley" src="{source}">, more.</p>\n'
    assert "<img" not in rendered("![a](javascript:alert(1))") + rendered('![a](data:text/html,"x")')


@pytest.mark.parametrize(
    ("text", "demand"),
    [
        ("![a](no.png)", "no file beside the lesson"),
        ("![a](../secret.png)", "no file beside the lesson"),
        ("![a](https://example.org/a.png)", "no file beside the lesson"),
        ("![a](mine.md)", "no file beside the lesson"),
        ("![](valley.png)", "has no words"),
        ("![a](large.png)", "at most 1,000,000"),
    ],
)
def test_a_picture_that_cannot_be_shown_is_a_mistake(tmp_path, text, demand):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "secret.png").write_bytes(PIXEL)
    (folder / "valley.png").write_bytes(PIXEL)
    (folder / "large.png").write_bytes(PIXEL + bytes(1_000_000))
    with pytest.raises(Mistake, match=demand) as found:
        read(written(folder, GOOD.replace("More.", text)))
    assert str(found.value).startswith("mine.md, line 17: "), found.value


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"# T\n", b"\n\n\n", b"# T\nS\n## A\nshow: " + b"a=1&" * 500, b"# T\n" + b"x" * 300_000])
def test_whatever_is_in_a_file_it_costs_itself_only(tmp_path, monkeypatch, content):
    (tmp_path / "bad.md").write_bytes(content)
    written(tmp_path, GOOD, "good.md")
    monkeypatch.setenv(lesson.OWN, str(tmp_path))
    found = shelf()
    assert "good" in found.lessons and set(LESSONS) <= set(found.lessons) and "bad" not in found.lessons
    (mistake,) = found.mistakes
    assert mistake.startswith("bad.md, line ")


def test_a_lesson_of_ones_own_is_read_anew_when_it_has_changed(tmp_path, monkeypatch):
    import os

    path = written(tmp_path, GOOD)
    monkeypatch.setenv(lesson.OWN, str(tmp_path))
    assert shelf().lessons["mine"].title == "Two valleys"
    path.write_text(GOOD.replace("Two valleys", "Three valleys"), encoding="utf-8")
    os.utime(path, ns=(1, 1))
    assert shelf().lessons["mine"].title == "Three valleys"
    assert list(shelf().lessons)[-1] == "mine"


def test_slips_in_formulas_are_told_and_what_is_right_or_unknown_is_not():
    assert list(lesson.misspelt(r"\tfrac{1}{2} \left\{ \hat\lambda \right\} x^{{2}} \ourownmacro")) == []
    assert list(lesson.misspelt(r"\frac{1}{2")) == ["opens 2 braces and closes 1"]
    assert list(lesson.misspelt(r"\lamda_1")) == [r"has \lamda; did you mean \lambda?"]
    assert [text for one in LESSONS.values() for text in misfits(one, {})] == []


def test_a_folder_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv(lesson.OWN, "/no/such/folder")
    assert "is no folder" in shelf().mistakes[0] and set(shelf().lessons) == set(LESSONS)


def test_a_state_that_its_lab_cannot_use_is_told_with_its_line(tmp_path):
    one = read(written(tmp_path, GOOD.replace("lr=0.02", "lr=9&nonsense=1")))
    found = list(misfits(one, lessons.listeners(one)))
    assert len(found) == 2 and all(text.startswith("mine.md, line 14: ") for text in found), found


def test_formulas_reach_mathjax_as_they_are_written_and_text_cannot_become_markup():
    html = rendered("A *word*, $a_1 * b_1 * c < d$ and $$x_{1}\\,y$$ <script>alert(1)</script> [link](javascript:alert(1)) {{0.5|<b>}}")
    assert r"\(a_1 * b_1 * c \lt  d\)" in html and r"$$x_{1}\,y$$" in html and "<em>word</em>" in html
    assert "<script" not in html and "javascript:alert" not in re.findall(r'href="([^"]*)"', html) and "<b>" not in html
    assert '<span class="computed" data-help="Computed, and compared with this text by a test">0.5</span>' in html
    assert 'data-help="&lt;b&gt;">0.5</span>' in rendered("{{0.5|<b>}}", checked=False)
    assert formulas("$a$ and $$b$$", "$c$") == ["a", "b", "c"]
    assert rendered("5 $ and 6 $").count("$") == 2


def test_a_sign_stays_with_its_formula_and_a_per_cent_with_its_number():
    assert r'<span style="white-space: nowrap">\(a\)).</span>' in rendered("(as in $a$). Then $b$ more")
    assert rendered("$$a$$, {{99.3|share}} % of 5 %").count("\u00a0%") == 2


@pytest.mark.parametrize(
    ("query", "step", "words"),
    [
        ({"lesson": "4-escape", "step": "3"}, 2, None),
        ({"lesson": "4-escape"}, 0, None),
        ({"lesson": "4-escape", "step": "0"}, 0, "has the steps 1 to"),
        ({"lesson": "4-escape", "step": "9" * 5000}, 0, "has the steps 1 to"),
        ({"lesson": "4-escape", "step": "99"}, 6, "has the steps 1 to"),
        ({"lesson": "4-escape", "step": "²"}, 0, "has the steps 1 to"),
        ({"lesson": "<b>"}, None, "is not known"),
        ({}, None, None),
    ],
)
def test_an_address_that_anybody_may_have_written_opens_a_lesson_or_the_index(query, step, words):
    found, place, said = lessons.place(query, shelf())
    assert (found is None) == (step is None) and place == (step or 0)
    assert (said == []) if words is None else words in said[0] and len(said[0]) < 200


def test_a_frame_holds_all_figures_that_a_lesson_shows_of_its_lab():
    """So that going on within a lab never reloads it."""
    for one in LESSONS.values():
        described = lessons.described(one, None)
        for page in {state.page for state in one.states}:
            assert len({s["show"]["key"] for s in described["steps"] if f"widget={page}&" in s["show"]["key"] + "&"}) <= 1, one.name


def test_the_first_page_is_home_and_old_links_are_the_landscape_lab():
    assert pages.page_of({}) == "home" == pages.page_of({"theme": "dark", "projector": "1"}) == pages.page_of({"page": "home"})
    assert pages.page_of({"lr": "0.01"}) == "landscape" == pages.page_of({"preset": "fig1-escape"}) == pages.page_of({"widget": "landscape"})
    assert pages.page_of({"page": "landscape"}) == "landscape" == pages.page_of({"page": "nonsense"}) == pages.page_of({"widget": ""})
    assert pages.page_of({"page": "lessons", "lesson": "x"}) == "lessons" == pages.page_of({"widget": "lessons"})


@pytest.mark.parametrize("key", ["page", "widget"])
def test_who_asks_for_a_page_that_there_is_not_is_told_so_on_the_one_that_comes(key, monkeypatch):
    """As text, which the browser never reads as HTML, and no longer than 40 characters of it."""

    def notices(**query):
        arguments = {name: [text.encode()] for name, text in query.items()}
        monkeypatch.setattr(type(pages.pn.state), "session_args", property(lambda state: arguments))
        monkeypatch.setattr(pages.pn.state, "on_session_destroyed", ended.append)
        return pages.serve_page().notices

    ended = []
    (said,) = notices(**{key: "nonsens"})
    assert said == f"{key} = 'nonsens' is not known; choose one of {', '.join(pages.PAGES)} (the landscape lab is shown)"
    hostile, bad = notices(**{key: "<b>" + "x" * 5000, "lr": "much"})
    assert hostile.startswith(f"{key} = '<b>{'x' * 36}…' is not known") and bad.startswith("lr = ")
    assert notices(**{key: "landscape"}) == notices(**{key: ""}) == notices(page="home") == []
    assert "widget = 'nonsens'" in notices(widget="nonsens", page="escape")[0] and notices(widget="landscape", page="nonsens") == []
    for end in ended:
        end(None)


def test_figures_of_every_state_are_figures_of_its_lab():
    for name, state in STATES:
        known = set(pages.FIGURES) if state.page == "landscape" else set(getattr(pages.PAGES[state.page](), "cells", ())) | {"words"}
        assert set(state.figures) <= known, f"{name}, line {state.line}"


def test_settings_of_simulations_in_lessons_are_affordable():
    for _, state in STATES:
        if state.page == "landscape":
            assert not pages.read(dict(state.query))[1]


def test_the_examples_that_tell_how_to_write_one_are_lessons(tmp_path):
    """In CONTRIBUTING.md, and on the index of lessons."""
    root = pathlib.Path(__file__).parent.parent
    guide = (root / "CONTRIBUTING.md").read_text(encoding="utf-8").split("```markdown\n")[1].split("```")[0]
    index = (root / "app/lessons.js").read_text(encoding="utf-8").split("const EXAMPLE = `")[1].split("`")[0].replace("\\\\", "\\")
    for text in (guide, index):
        one = read(written(tmp_path, text))
        assert [dict(state.query)["lr"] for state in one.states] == ["0.01", "0.02"] and not list(misfits(one, lessons.listeners(one)))
        assert one.steps[0].choices[1][1]
