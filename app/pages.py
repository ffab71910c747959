"""The pages: one view a visitor, made by a call; this module holds only constants."""

import base64
import functools
import itertools
import json
import logging
import pathlib
import random
import re
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple
from urllib.parse import urlencode

import numpy as np
import panel as pn
import param
from bokeh.models import ColumnDataSource
from tornado.ioloop import IOLoop

from app import escape, figures, tabs
from app import landscapelab as lab
from app.estimates import estimates
from app.exact import exact, key
from app.export import save_lab
from app.geometry import geometry
from app.keeping import kinds
from app.landscapelab import Bayes, Lab, from_preset
from app.live import IDLE, Abandoned, Latest, jobs
from app.page import Alone, Saver, asked, deliver, escaped, looks, present, typeset
from app.picture import picture, results
from app.pondering import Ponderer
from app.state import FRAME, _short, misnamed_figures
from dynamics import MALA, NGD, SGD, HeavyTailedSGD, Langevin, Online, Posterior, Simulation, Uniform
from dynamics.presets import PRESETS, Verdict, judge
from landscapes import Cusp, DoubleWell, Monomial, NormalCrossing, Ring, Tangency, TripleWell, Valley

HERE = pathlib.Path(__file__).parent
DRAFT = 2000  # trajectories while a slider moves,
DRAFT_STEPS = 1e7  # as long as they take no more steps than this in all
TURN = 0.0  # a rest of no length: others' turn
MOST = 5e8  # trajectory-steps a page may ask for: some 5 s on two cores
LONGEST = 1_000_000  # steps: the draft is computed whole
log = logging.getLogger(__name__)

FIGURES = {  # name: (only for landscapes of so many variables, or 0; made with the page, or once its first picture is seen; how)
    "potential": (1, True, figures.landscape_1d),
    "map": (2, True, figures.landscape_2d),
    "density": (1, True, figures.density),
    "far": (2, True, functools.partial(figures.bands, "far", "distance to O", log=False)),
    "shares": (1, True, figures.shares),
    "near": (2, True, functools.partial(figures.bands, "near", "distance", log=True)),
    "ending": (0, True, figures.ending),
    "lambda": (0, True, figures.lambda_hat),
    "noise": (1, True, figures.noise_1d),
    "ellipse": (2, True, figures.noise_2d),
    "newton": (2, False, figures.newton),
    "volume": (0, False, figures.volume_law),
    "energy": (0, False, figures.free_energy),
    "finite": (0, False, figures.finite),
}


class LabView(Alone, pn.custom.JSComponent):
    """The lab in the browser: controls, player and figures. Values come up as messages; everything it shows goes down as parameters."""

    names = param.List(doc="the figures, in order: [name, only for so many variables or 0]")
    figures = pn.custom.Children()
    formula = pn.custom.Child()
    steps = pn.custom.Child()
    controls = param.Dict(doc="`groups` of fields, see landscapelab.controls; `version` counts, so that the same values can be shown again")
    tex = param.List(doc="the formulas in words of TeX, for readers of the screen")
    story = param.Dict(default={}, doc="presets to choose from; claim and verdict of the chosen one")
    kinds = param.List(doc="files that can be saved: [suffix, what it is]")
    file = param.Dict(default={}, doc="a file to save, see page.file_message()")
    notices = param.List(doc="messages about what could not be used")
    theme = param.String()
    projector = param.Boolean()
    widget = param.Boolean(doc="in a frame: without the bar, the controls in a drawer")
    style = param.String()

    _render_policy = "manual"  # more figures may come, and those that are there stay
    _esm = "\n".join((HERE / f"{part}.js").read_text() for part in ("form", "deck", "shell", "paint", "polynomial", "stage", "lab"))

    def __init__(self, heard, **values):
        self.heard = heard
        super().__init__(**values)

    def _handle_msg(self, data):
        self.heard(data)


class Picture(NamedTuple):
    """Arrays for the store; `draft` while a finer one follows; `query`: the link to this picture; `key`: of the exact law that belongs to it."""

    arrays: dict
    draft: bool
    query: str
    key: str


def pack(arrays: dict[str, np.ndarray]) -> tuple[np.ndarray, dict]:
    """(all bytes in one array, {name: (type, shape, first byte)}): a column costs the browser a message of its own, so all travel in one."""
    places, at = {}, 0
    for name, array in arrays.items():
        at += -at % 8
        places[name] = (array.dtype.name, array.shape, at)
        at += array.nbytes
    whole = np.zeros(at, np.uint8)
    for name, (_, _, first) in places.items():
        whole[first : first + arrays[name].nbytes] = np.frombuffer(np.ascontiguousarray(arrays[name]), np.uint8)
    return whole, places


class Estimated(NamedTuple):
    """Arrays for the figure of lambda-hat."""

    arrays: dict


def fitted(state: Lab, messages: Sequence[str] = ()) -> tuple[Lab, list[str]]:
    """The state and its messages; smaller where it would keep a core busy for minutes, as others wait for it, too."""
    run = state.run
    steps = min(run.steps, LONGEST)
    most = int(MOST) // (steps * len(state.rules))
    n = run.n if run.n <= most else most - most % 10 ** (len(str(most)) - 1)
    if (n, steps) == (run.n, run.steps):
        return state, list(messages)
    told = f"n = {run.n:,} trajectories of {run.steps:,} steps take too long for a page (used {n:,} of {steps:,}); the command line takes them all"
    return replace(state, run=replace(run, n=n, steps=steps)), [message for message in messages if not message.startswith("n = ")] + [told]


def first_few(state: Lab) -> int:
    """Trajectories of the coarse picture."""
    return min(DRAFT, max(1, int(DRAFT_STEPS) // state.run.steps))


def work(state: Lab, stale: Callable[[], bool] = lambda: False):
    """All that a state shows, coarse first: what `Latest` iterates over. A fine run is left as soon as it is `stale`; a draft is always shown."""

    def watch(step: int) -> None:
        if stale():
            raise Abandoned

    few = first_few(state)
    draft, named = state.run.n > few, (urlencode(lab.encode(state), safe=","), key(state))
    outcomes = results(state, few)
    yield Picture(picture(state, outcomes), draft, *named)
    yield IDLE
    if draft:
        outcomes = results(state, state.run.n, watch)
        yield Picture(picture(state, outcomes), False, *named)
    if state.preset:
        yield judged(state.preset, outcomes["a"])._replace(state=state)
    for law in exact(state, outcomes["a"].steps):
        yield TURN if law is None else Law(law)
    for found in geometry(state):
        yield TURN if found is None else Reasons(*found)
    for arrays in estimates(state):
        yield Estimated(arrays)


class Reasons(NamedTuple):
    """Arrays of the geometry panel, and the steps that lead to lambda (Markdown)."""

    arrays: dict
    steps: str


class Law(NamedTuple):
    """Arrays of the exact law."""

    arrays: dict


class Judged(NamedTuple):
    """What a preset's claim is worth in this run; for presets that are more than one run also their figure, an image as a data address."""

    verdict: Verdict
    figure: str = ""
    state: Lab | None = None  # that it speaks of


def judged(name: str, shown) -> Judged:
    """Of the run that is shown, or, for presets that are more than one run, of all of them."""
    preset = PRESETS[name]
    if isinstance(preset.run, Simulation):
        return Judged(judge(preset, shown))
    with _WHOLE:
        return _whole(name)


_WHOLE = threading.Lock()  # Matplotlib draws one figure at a time; and a class that opens a sweep together computes it once


@functools.lru_cache(maxsize=32)
def _whole(name: str) -> Judged:
    from app.plots import draw  # a second to import

    preset = PRESETS[name]
    result = preset.run if isinstance(preset.run, Posterior) else preset.run.run()
    with tempfile.TemporaryDirectory() as folder:
        draw(result, f"{folder}/figure.svg", "matplotlib", small=True)
        image = base64.b64encode(pathlib.Path(folder, "figure.svg").read_bytes()).decode()
    return Judged(judge(preset, result), f"data:image/svg+xml;base64,{image}")


def read(query: Mapping[str, str]) -> tuple[Lab, list[str]]:
    """The state of a query, and messages; a preset alone stands for all its values."""
    state, messages = lab.decode(query)
    return fitted(from_preset(state.preset) if state.preset and set(query) <= {"preset", *FRAME} else state, messages)


def chosen_figures(query: Mapping[str, str], messages: list[str]) -> frozenset[str]:
    """The figures of a frame: those it names, or the three that show most."""
    names, wrong = misnamed_figures(query, FIGURES)
    messages += wrong
    return frozenset(names) or frozenset({"potential", "map", "density", "far", "shares", "near"})


class Session(Saver):
    """One visitor's lab: holds the state, hears the browser, shows results."""

    def __init__(self, query: dict[str, str]):
        self.state, messages = read(query)
        self.only = chosen_figures(query, messages) if "widget" in query else frozenset(FIGURES)
        self.store = ColumnDataSource(name="store")
        self.estimate = ColumnDataSource(name="estimate")
        self.law = ColumnDataSource(name="law")
        self.geometry = ColumnDataSource(name="geometry")
        self.version = itertools.count()
        self.formula, self.steps = typeset(formula(self.state)), typeset("")
        self.view = LabView(
            functools.partial(deliver, self, self.hear),
            formula=self.formula,
            steps=self.steps,
            controls=self.controls(),
            tex=formulas(self.state),
            story=story(self.state),
            notices=messages,
            kinds=kinds(),
            style=(HERE / "lab.css").read_text(),
            **looks(query),
            sizing_mode="stretch_width",
            margin=0,
        )
        self.figures: dict[str, pn.pane.Bokeh] = {}
        self.complete = False
        self.furnish()
        self.doc, self.loop = pn.state.curdoc, IOLoop.current(instance=False)
        self.drawn = 0
        self.latest = Latest(
            lambda state: work(state, lambda: self.latest.stale), self.publish, lambda result: isinstance(result, Picture), lambda: present(self)
        )
        self.show_at_once()

    def controls(self) -> dict:
        return {"version": next(self.version), "groups": lab.controls(self.state)}

    def furnish(self) -> None:
        """Make the figures that the state needs and that are not there yet."""
        for name, (dim, at_once, make) in FIGURES.items():
            if name not in self.figures and name in self.only and dim in (0, self.state.run.landscape.dim) and (at_once or self.complete):
                made = figures.lean(make())
                if not self.figures:
                    made.tags = [self.store, self.estimate, self.law, self.geometry]  # part of the document, so that the browser finds them
                self.figures[name] = pn.pane.Bokeh(made, sizing_mode="stretch_width", margin=0)
        if len(self.figures) > len(self.view.names):
            self.view.param.update(names=[[name, FIGURES[name][0]] for name in self.figures], figures=list(self.figures.values()))

    def show_at_once(self) -> None:
        """The first picture is part of the page; computed once for all who open the same link."""
        try:
            self.store.data = self._columns(Picture(first_picture(self.state), True, "", key(self.state)))
        except (ValueError, MemoryError) as error:
            self.view.notices = [*self.view.notices, str(error)]
        # not before the page is there: what a thread sends to a document that is still being made can be lost
        pn.state.onload(lambda: self.latest(self.state))

    def _columns(self, shown: Picture) -> dict:
        self.drawn += 1
        meta, (whole, places) = shown.arrays["meta"], pack({name: value for name, value in shown.arrays.items() if name != "meta"})
        more = json.dumps({"drawn": self.drawn, "draft": shown.draft, "query": shown.query, "key": shown.key, "places": places})
        return {"meta": [f"{meta[:-1]}, {more[1:]}"], "arrays": [whole]}  # two JSON objects in one

    def publish(self, result) -> None:
        """From a thread: hand over a result to the page's document."""
        deliver(self, self.show, result)

    def show(self, result) -> None:
        match result:
            case Picture():
                self.store.data = self._columns(result)
                if not result.draft:
                    self.typeset()
            case Estimated(arrays):
                self.estimate.data = {name: [value] for name, value in arrays.items()}
            case Reasons(arrays, steps):
                self.geometry.data = {name: [value] for name, value in arrays.items()}
                self.steps.object = escaped(steps)
            case Law(arrays):
                self.law.data = {name: [value] for name, value in arrays.items()}
            case Judged():
                if result.state == self.state:  # else the visitor has moved on
                    self.view.story = story(self.state, result)
            case Exception():
                known = isinstance(result, ValueError)
                self.view.notices = [str(result) if known else "The computation failed; the last picture stays. Reset, or try other values."]
            case _:
                raise TypeError(f"{result!r} cannot be shown")

    def hear(self, message: dict) -> None:
        """What the browser says: {"set": {name: text}}, {"preset": name}, {"action": ...} or {"drawn": number}. Nothing in it is trusted."""
        if not isinstance(message, dict):
            return
        if "drawn" in message:
            self.latest.shown()
            if not self.complete:
                self.complete = True
                self.furnish()
        elif isinstance(message.get("set"), dict):
            self.change({str(name): str(text) for name, text in list(message["set"].items())[:50]})
        elif message.get("preset") in PRESETS:
            self.replace(from_preset(message["preset"], self.state))
        elif "preset" in message:
            self.replace(replace(self.state, preset=""))
        elif isinstance(message.get("open"), str):
            self.replace(*read(asked(message["open"])))
        elif isinstance(message.get("save"), str):
            self.keep(message["save"])
        elif message.get("action") == "reset":
            self.replace(from_preset(self.state.preset) if self.state.preset else Lab())
        elif message.get("action") == "noise":
            self.replace(replace(self.state, run=replace(self.state.run, seed=(self.state.run.seed + 1) % 2**31)))
        elif message.get("action") == "surprise":
            self.replace(random.choice([other for other in SURPRISES if other != self.state]))

    def make(self, suffix: str) -> None:
        """A file of the state, in a thread."""
        jobs().submit(self._kept, self.state, suffix)

    def _kept(self, state: Lab, suffix: str) -> None:  # in a thread
        preset = PRESETS.get(state.preset)
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = save_lab(state, f"{folder}/file{suffix}", *([preset.title, preset.cite] if preset else []))
                made = path.read_bytes()
        except (ValueError, MemoryError) as error:
            deliver(self, self.show, ValueError(str(error)))
        except Exception as error:
            log.exception("a file could not be made")
            deliver(self, self.show, error)
        else:
            deliver(self, self.save, f"lambdascape-{state.preset or 'landscape'}{suffix}", made)

    def change(self, values: dict[str, str]) -> None:
        """New values from the form; what is wrong keeps its value, and a notice says so."""
        state, messages = lab.decode({name: text.replace(" ", "") if name in ("start", "at") else text for name, text in values.items()}, self.state)
        self.replace(state, messages, rebuild=False)

    def replace(self, state: Lab, messages: Sequence[str] = (), rebuild: bool = True) -> None:
        before, (state, told) = self.state, fitted(state, messages)
        self.state = state
        with pn.io.hold():
            if rebuild or told or lab.shape(before) != lab.shape(state):
                self.view.controls = self.controls()
            if lab.shape(before) != lab.shape(state):
                self.typeset()
            if before.run.landscape.dim != state.run.landscape.dim:
                self.furnish()
            if state.preset != before.preset or (state.preset and state != before):
                self.view.story = story(state)
            self.view.notices = told
        self.latest(state)

    def typeset(self) -> None:
        """The formulas: 30 ms of the browser's time, so not while a slider moves."""
        if (text := formula(self.state)) != self.formula.object:
            self.formula.object, self.view.tex = text, formulas(self.state)

    def close(self) -> None:
        """The tab has gone: stop computing and let go of everything."""
        self.latest.close()
        self.doc = None


@functools.lru_cache(maxsize=32)
def first_picture(state: Lab) -> dict:
    """The draft that a page opens with; shared by everyone who opens the same link."""
    return picture(state, results(state, first_few(state)))


def formula(state: Lab) -> str:
    """The formulas as Markdown (typeset offline by the MathJax that Bokeh brings)."""
    return escaped("\n\n".join(f"$${line}$$" for line in formulas(state)))


def formulas(state: Lab) -> list[str]:
    """The landscape and the update of each optimiser, in LaTeX."""
    landscape = state.run.landscape
    variables = "w" if landscape.dim == 1 else "w_1, w_2"
    if landscape.of == "Q":
        lines = [rf"Q({variables}) = {landscape.latex}", r"K(w) = \tfrac{v_x}{2} |Q(w) - a|^2"]
    else:
        lines = [rf"K({variables}) = {landscape.latex}"]
    updates = {rule.latex: name.upper() for name, rule in reversed(state.rules.items())}  # one line if both have the same
    for latex, name in reversed(updates.items()):
        first, *rest = latex.split(r",\quad")
        lines += [rf"\text{{{name}:}}\;\; {first}" if state.rival else first, *(rf"\quad {part}" for part in rest)]
    return lines


SIGNS = {
    r"\b(lambda|eta|rho|beta|eps)(?=\b|_)": lambda found: {"lambda": "λ", "eta": "η", "rho": "ρ", "beta": "β", "eps": "ε"}[found[1]],
    r"\b([wxk])([0-2])\b|λ_([12])": lambda found: (found[1] or "λ") + "₀₁₂"[int(found[2] or found[3])],
    r"\^([2-6])(?!\d)": lambda found: "⁰¹²³⁴⁵⁶"[int(found[1])],
    r"\bint (?=\()": lambda found: "∫",
    r"(?<=[\s(^=\[])-(?=[\w(∫])|(?<=\d)-(?=1/)|(?<= )-(?= )": lambda found: "−",
}


def written(text: str) -> str:
    """A preset's words as a page writes them: on a terminal they have to do without Greek letters and raised figures.

    >>> written("lambda_1 - lambda_2 at w1^2 = -eta H")
    'λ₁ − λ₂ at w₁² = −η H'
    """
    for pattern, sign in SIGNS.items():
        text = re.sub(pattern, sign, text)
    return text


def story(state: Lab, found: Judged | None = None) -> dict:
    """What to choose from, and the chosen preset's claim with its verdict."""
    choices = [["", "Free play, or a figure …"], *([name, preset.title] for name, preset in PRESETS.items())]
    if not state.preset:
        return {"choices": choices, "chosen": ""}
    preset = PRESETS[state.preset]
    card = {"choices": choices, "chosen": state.preset, "cite": preset.cite, "claim": written(preset.claim), "note": written(preset.note)}
    return card | ({} if found is None else {"ok": found.verdict.ok, "verdict": written(found.verdict.text), "figure": found.figure})


SURPRISES = (
    Lab(Simulation(DoubleWell(1.4, 1, 3), SGD(lr=0.03, batch=5), n=5000, steps=300), NGD(lr=0.05, batch=5, damping=5.0)),
    Lab(Simulation(DoubleWell(1.8, 1, 4), SGD(lr=0.001, batch=20), n=5000, steps=500, data=Online(slope=-0.05)), None, Bayes(samples=5913)),
    Lab(Simulation(Valley(1, 1), SGD(lr=0.02, batch=20), n=2000, steps=2000, start=Uniform((-0.1, -2), (0.1, 2))), None),
    Lab(
        Simulation(Valley(1, 2), SGD(lr=0.02, batch=20), n=2000, steps=1000, start=Uniform((-0.3, -2), (0.3, 2))), NGD(lr=0.02, batch=20, damping=0.1)
    ),
    Lab(Simulation(Ring(1), SGD(lr=0.02, batch=4), n=2000, steps=400), Langevin(eps=0.002, nbeta=200, gamma=0)),
    Lab(Simulation(Cusp(), SGD(lr=0.05, batch=2), n=2000, steps=400), SGD(lr=0.05, batch=20)),
    Lab(Simulation(TripleWell(1.5, 1, 3, 2), SGD(lr=0.01, batch=5), n=5000, steps=400), HeavyTailedSGD(lr=0.01, batch=5, alpha=1.5)),
    Lab(Simulation(NormalCrossing(1, 2), SGD(lr=0.05, batch=5), n=2000, steps=500), NGD(lr=0.01, batch=5, damping=0.1)),
    Lab(
        Simulation(Monomial(3), SGD(lr=0.05, batch=10, noise="isotropic", temperature=0.01), n=5000, steps=2000),
        NGD(lr=0.002, noise="isotropic", temperature=0.01, damping=0.05),
    ),
    Lab(Simulation(Tangency(), SGD(lr=0.02, batch=10), n=2000, steps=500), MALA(eps=0.01, nbeta=300, gamma=0)),
)


def _lessons():
    from app import lessons

    return lessons.Session


def _home():
    from app import home

    return home.Session


def _networks():
    from app import netlab

    return netlab.Session


def _dln():  # brings torch: 2 s
    from app import dlnpage

    return dlnpage.Session


def _llc():
    from app import llcpage

    return llcpage.Session


PAGES: dict[str, Callable[[], Callable]] = {  # name in the address: what makes its session, imported when first asked for
    "landscape": lambda: Session,
    "escape": lambda: escape.Session,
    "networks": _networks,
    "llc": _llc,
    "dln": _dln,
    "lessons": _lessons,
    "home": _home,
}


def page_of(query: Mapping[str, str]) -> str:
    """The page that a query asks for; one with values of a landscape and no page is an old link to the landscape lab."""
    _, name = asked_page(query)
    return name if name in PAGES else "landscape"


def asked_page(query: Mapping[str, str]) -> tuple[str, str]:
    """By which value of a query its page is named, and as what."""
    key = "widget" if query.get("widget") else "page"
    return key, query.get(key) or ("landscape" if set(query) - set(FRAME) or "widget" in query else "home")


def misnamed(query: Mapping[str, str]) -> list[str]:
    """A message if there is no page of the name that is asked for."""
    key, name = asked_page(query)
    return [] if name in PAGES else [f"{key} = {_short(name)} is not known; choose one of {', '.join(PAGES)} (the landscape lab is shown)"]


def figure_names(page: str) -> list[str]:
    """What `figures=` of a lab may name; nothing where it names none."""
    session = PAGES[page]()
    cells = FIGURES if session is Session else getattr(session, "cells", {})
    return list(cells) if session is Session or not cells else [*cells, "words"]


def messages(page: str, query: Mapping[str, str]) -> list[str]:
    """What a lab would say of a query; nothing if it can use all of it."""
    session, query, cells = PAGES[page](), dict(query), figure_names(page)
    found = misnamed_figures(query, cells)[1] if cells else []
    query.pop("figures", None)
    if session in (Session, escape.Session):
        return found + (read if session is Session else escape.decode)(query)[1]
    found += session.read(object.__new__(session), query)[1]  # no visitor is needed to read
    if (name := query.get("preset", "")) not in ("", *session.examples):
        found.append(f"preset = {_short(name)} is not known; choose one of {', '.join(session.examples)}")
    return found


def serve_page() -> pn.viewable.Viewable:
    """A page for one visitor, from the query of its address. A visitor always gets a page, with the reason if it is not the one asked for."""
    query = {name: values[0].decode("utf-8", "replace") for name, values in pn.state.session_args.items() if values}
    try:
        session = PAGES[page_of(query)]()(query)
    except Exception:
        log.exception("a page could not be made")
        return pn.pane.HTML("<h1>This page could not be made</h1><p>The link could not be turned into a picture. <a href='?'>Start afresh</a>.</p>")
    session.view.notices = [*misnamed(query), *session.view.notices]
    session.view.heard = Ponderer(session, session.view.heard).hear
    attendance = tabs.Attendance(session)

    def left(context):
        attendance.end()
        session.close()

    pn.state.on_session_destroyed(left)
    return session.view
