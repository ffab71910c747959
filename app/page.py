"""What the pages on networks have in common: a frame with controls, buttons, figures and words, filled from Python by one `Session` a visitor."""

import base64
import functools
import itertools
import logging
import pathlib
import re
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import parse_qsl, urlencode

import panel as pn
import param
from bokeh.models import ColumnDataSource
from bokeh.plotting import figure
from panel.io.state import set_curdoc
from tornado.ioloop import IOLoop

from app import state
from app.figures import lean
from app.keeping import KINDS, kinds, recorded
from app.live import Asked, Latest, jobs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)
SHEETS = (".png", ".svg", ".pdf")  # drawn from what is shown
HERE = pathlib.Path(__file__).parent
FORMULA = "mjx-container { margin: .35em 0 !important; text-align: left !important; } p { margin: 0; } ol { margin: .3em 0; } li { margin: .6em 0; }"
TABLE = (
    "table { border-collapse: collapse; border: 0; } "
    "td, th { padding: .18em .9em .18em 0; border: 0; border-bottom: 1px solid #8884; text-align: left; }"
)


def looks(query: Mapping[str, str]) -> dict:
    """How a page is shown, from its address: theme, large type, in a frame."""
    theme = query.get("theme")
    return {"theme": theme if theme in ("light", "dark") else "", "projector": query.get("projector") == "1", "widget": "widget" in query}


def asked(text: str) -> dict[str, str]:
    """The query that a page around the frame asks for."""
    return dict(parse_qsl(text[:8000].lstrip("?"), keep_blank_values=True, max_num_fields=200)) if text.count("&") < 200 else {}


def escaped(text: str) -> str:
    """Formulas as Markdown leaves them alone: it takes the backslash from \\, and \\;."""
    return text.replace(r"\,", r"\thinspace ").replace(r"\;", r"\enspace ")


def typeset(text: str) -> pn.pane.Markdown:
    """Markdown with formulas, in the colours of the page."""
    return pn.pane.Markdown(
        escaped(text), disable_math=False, styles={"color": "inherit"}, stylesheets=[FORMULA, TABLE], sizing_mode="stretch_width", margin=0
    )


def file_message(name: str, content: bytes, kind: str, number: int) -> dict:
    """A file for the browser to save (see `savedFile` in shell.js); number: so that the same one can be saved again."""
    return {"name": name, "type": kind, "data": base64.b64encode(content).decode(), "number": number}


def deliver(session, function: Callable[..., None], *args) -> None:
    """From any thread: call this in the thread of the server (`session.loop`), with the lock of `session.doc`; nothing if the tab has gone.

    `doc.add_next_tick_callback` is not for other threads: while the document holds its events back, the call is lost; and for a moment it
    makes this document the current one of whatever page is just being made. Messages go out in order, and are waited for (Panel's own hold
    may let a later one overtake).
    """
    if session.doc is not None and session.doc.session_context:
        session.loop.add_callback(_locked, session, function, args)


def present(session) -> bool:
    """Is the visitor's browser connected? It is not once the tab has gone, or while the computer sleeps."""
    doc = session.doc
    server = getattr(doc and doc.session_context, "session", None)
    return server is None or server.connection_count > 0


async def _locked(session, function, args) -> None:
    async def call(doc):
        with set_curdoc(doc):
            doc.hold("combine")
            try:
                function(*args)
            finally:
                doc.unhold()

    if session.doc is not None and session.doc.session_context:
        await session.doc.session_context.with_locked_document(call)


class Cell(NamedTuple):
    """A figure with its heading and the text of its bubble; `make()` gives an empty Bokeh figure whose sources have names."""

    title: str
    help: str
    make: Callable[[], figure]


class Alone:
    """A component whose values hold no other component's."""

    @classmethod
    def _patch_datamodel_ref(cls, props, ref):
        """Panel looks for such components in all models of the page, figures and all, whenever a value changes: some 20 ms each time."""
        name = f"__ref:{ref}"
        if name not in props.tags:
            props.tags.append(name)


class PageView(Alone, pn.custom.JSComponent):
    """The frame in the browser. Values come up as messages; everything it shows goes down as parameters and as columns of the figures' sources."""

    page = param.String(doc="its name in the address")
    names = param.List(doc="the figures in order: [name, heading, help]")
    figures = pn.custom.Children()
    hidden = param.List(doc="names of figures that mean nothing for this state")
    headings = param.List(doc="headings of the texts below the figures")
    words = pn.custom.Children()
    tex = param.List(doc="the formulas in each of them, in LaTeX, for who hears them")
    tall = param.Boolean(doc="texts first, as wide as the page")
    controls = param.Dict(doc="`groups` of fields, see landscapelab.controls; `version` counts, so that the same values can be shown again")
    follow = param.List(doc="fields of the form that changed with others")
    actions = param.List(doc="buttons: {name, text, help, and where it applies disabled, pressed, main}")
    examples = param.Dict(default={}, doc="`choices` [[name, text], ...], which is `chosen`, and the `label` of the menu")
    board = param.Dict(default={}, doc="a figure of cells that keys can walk: {figure, across, up, at, told}, see board.js")
    legends = param.Dict(default={}, doc="{figure: [[classes, text], ...]}; the class words makes a sentence")
    says = param.String(doc="one computed sentence on what is seen")
    status = param.Dict(default={}, doc="`text`; `share` of the work done (0 ... 1), or None; `running`; `drawn`: counts what was shown")
    query = param.String(doc="the link to this state")
    kinds = param.List(doc="files that can be saved: [suffix, what it is]")
    file = param.Dict(default={}, doc="a file to save, see file_message()")
    notices = param.List(doc="messages about what could not be used")
    theme = param.String()
    projector = param.Boolean()
    widget = param.Boolean(doc="in a frame: without the bar, the controls in a drawer")
    style = param.String()

    _render_policy = "manual"
    _esm = "\n".join((HERE / f"{part}.js").read_text() for part in ("form", "deck", "shell", "paint", "board", "page"))

    def __init__(self, heard, **values):
        self.heard = heard
        super().__init__(**values)

    def _handle_msg(self, data):
        self.heard(data)


class Saver:
    """What hands files to the browser, of a session with `page`, `view`, `value`, `encode`, `sheet` and `table`."""

    @functools.cached_property
    def files(self) -> Iterator[int]:
        return itertools.count()

    def keep(self, suffix: str) -> None:
        """Make a file of one of the kinds that the page offers, and hand it to the browser."""
        if suffix in dict(self.view.kinds):
            self.make(suffix)
        else:
            self.view.notices = [f"No file of the kind {suffix[:20]!r} is made; choose one of {', '.join(dict(self.view.kinds))}"]

    def make(self, suffix: str) -> None:
        """Of what is shown a table or, drawn in a thread, a picture; or all of the run, computed anew."""
        name = f"lambdascape-{self.page}{suffix}"
        if suffix == ".csv":
            text = self.table()
            if text:
                self.save(name, text.encode())
            else:
                self.view.notices = ["There is nothing to save yet: run it first."]
        elif suffix in SHEETS:
            jobs().submit(self._drawn, self.sheet(), name, suffix)
        else:
            link = urlencode({"page": self.page} | self.encode(self.value), safe=",")
            threading.Thread(target=self._recorded, args=(link, name, suffix), daemon=True).start()

    def _recorded(self, link: str, name: str, suffix: str) -> None:  # in a thread, for as long as the run takes
        try:
            made = recorded(link, suffix, wanted=lambda: self.doc is not None)
        except ValueError as error:
            deliver(self, self._failed, str(error))
        except Exception:
            log.exception("a run could not be recorded")
            deliver(self, self._failed)
        else:
            if made is not None:
                deliver(self, self.save, name, made)

    def _drawn(self, draw: Callable, name: str, suffix: str) -> None:  # in a thread
        from app import paper

        try:
            made = paper.written(draw(), suffix)
        except Exception:
            log.exception("a picture could not be drawn")
            deliver(self, self._failed)
        else:
            deliver(self, self.save, name, made)

    def _failed(self, words: str = "The file could not be made. Save the table (CSV), or try again.") -> None:
        self.view.notices = [words]

    def save(self, name: str, content: bytes) -> None:
        """Hand a file to the browser."""
        self.view.file = file_message(name, content, KINDS[pathlib.Path(name).suffix][1], next(self.files))


class Session(Saver, ABC):
    """One visitor's page: holds the state, hears the browser, shows results.

    A page says what its state is (a frozen value), how it is read and written, which controls and figures it has, and what is computed for it.
    """

    page: ClassVar[str]
    title: ClassVar[str]  # of what is saved
    cells: ClassVar[dict[str, Cell]]  # figures by name, in order
    headings: ClassVar[tuple[str, ...]] = ()  # of the texts below
    start: ClassVar[object]  # the state of an address without values
    examples: ClassVar[dict[str, tuple[str, object]]] = {}  # name: (what it shows, state)
    examples_label: ClassVar[str] = "Free play, or an example …"

    def __init__(self, query: dict[str, str]):
        self.doc, self.loop = pn.state.curdoc, IOLoop.current(instance=False)
        self.version, self.drawn = itertools.count(), 0
        self.value, messages = self.read(query)
        named = [name for name in query.get("figures", "").split(",") if name in self.cells]
        only = named if named and "widget" in query else list(dict.fromkeys([*named, *self.cells]))  # on a whole page those come first
        made = {name: lean(self.cells[name].make()) for name in only}
        self.sources = {source.name: source for fig in made.values() for source in fig.select({"type": ColumnDataSource}) if source.name}
        self.plots = made
        self.texts = [typeset("") for _ in self.headings]
        self.view = PageView(
            functools.partial(self.later, self.hear),
            page=self.page,
            names=[[name, self.cells[name].title, self.cells[name].help] for name in only],
            figures=[pn.pane.Bokeh(fig, sizing_mode="stretch_width", margin=0) for fig in made.values()],
            headings=list(self.headings),
            words=self.texts,
            notices=messages,
            kinds=kinds(),
            style="\n".join((HERE / f"{part}.css").read_text() for part in ("lab", "page")),
            sizing_mode="stretch_width",
            margin=0,
            **looks(query),
        )
        self.latest = Latest(lambda value: self.work(value, lambda: self.latest.stale), self.publish, present=lambda: present(self))
        self.furnish()
        self.opened()
        pn.state.onload(self._begin)  # not before: what a thread sends to a document that is still being made can be lost

    # what a page says of itself

    @abstractmethod
    def decode(self, query: Mapping[str, str], before) -> tuple[object, list[str]]:
        """The state in a query that anybody may have written, and messages; what is missing stays as `before`. Never raises."""

    @abstractmethod
    def encode(self, value) -> dict[str, str]:
        """Every value as text; `decode` gives an equal state back."""

    @abstractmethod
    def controls(self, value) -> list[dict]:
        """The groups of the form, see `landscapelab.controls`."""

    @abstractmethod
    def work(self, value, stale: Callable[[], bool]) -> Iterable:
        """What is computed for a state, piece by piece, in a thread; each result goes to `show`. See `live.Latest` for rests and staleness."""

    @abstractmethod
    def show(self, result) -> None:
        """Put a result on the page: fill, span, legend, say."""

    def shape(self, value):
        """What decides which controls there are: the form is sent anew when it changes."""
        return type(value)

    def opened(self) -> None:
        """Called once the view is there."""

    def changed(self, before) -> None:
        """The state is new (`before` is None at the start): compute it."""
        self.latest(self.value)

    def act(self, action: str) -> None:
        """A button was pressed."""

    def left(self) -> None:
        """The tab has gone."""

    def moment(self, result) -> str:
        """What a recording calls the picture with this result; empty for none that is worth a frame of its own."""
        return type(result).__name__.lower()

    def afresh(self, wanted):
        """What `work` is asked for in a recording: every piece of it, also where the end is known already."""
        return wanted

    def record(self) -> Iterator[str]:
        """Compute, here and now, all that the page would for its state, and show it on no server; `moment` of each picture (see `recording`)."""
        self.latest = Asked()
        self.changed(None)
        for result in self.work(self.afresh(self.latest.wanted), lambda: False):
            if result is not None and not isinstance(result, float):
                self.show(result)
                yield self.moment(result)

    # files

    def sheet(self) -> Callable[[], "Figure"]:
        """What draws the figures as they are now, as one picture of Matplotlib: here they are only looked at, and drawn when it is called."""
        from app import paper  # Matplotlib: a second, for those who save a picture

        shown = [name for name in self.plots if name not in self.view.hidden]
        plates = [paper.plate(self.plots[name], self.cells[name].title, self.view.legends.get(name, ())) for name in shown]
        return functools.partial(paper.draw, plates, self.heading, self.view.says)

    @property
    def heading(self) -> str:
        """The title of what is saved: the page's, and the example's if this is one."""
        return next((f"{self.title}: {text}" for text, value in self.examples.values() if value == self.value), self.title)

    def table(self) -> str:
        """All that is shown as CSV text; empty while there is nothing."""
        return ""

    # tools

    def fill(self, name: str, **columns: Sequence) -> None:
        """New columns of the source of that name; nothing if its figure is not on the page."""
        if name in self.sources:
            self.sources[name].data = columns

    def span(self, name: str, axis: str, low: float, high: float) -> None:
        """The range of a figure's axis (x or y)."""
        if name in self.plots and low < high:
            ends = getattr(self.plots[name], f"{axis}_range")
            if (ends.start, ends.end) != (low, high):
                ends.update(start=low, end=high)

    def label(self, name: str, axis: str, text: str) -> None:
        """The label of a figure's axis (x or y)."""
        if name in self.plots:
            getattr(self.plots[name], f"{axis}axis")[0].axis_label = text

    def legend(self, **chips: Sequence[tuple[str, str]]) -> None:
        """Legends of figures: figure=[(classes, text), ...], e.g. ("a line", "SGD"); the classes are those of lab.css."""
        self.view.legends = self.view.legends | {name: [list(chip) for chip in found] for name, found in chips.items()}

    def write(self, place: int, text: str) -> None:
        """Text (Markdown with formulas) under the heading of that number."""
        if self.texts[place].object != escaped(text):
            self.texts[place].object = escaped(text)
            self.view.tex = [re.findall(r"\$\$(.+?)\$\$", pane.object, re.DOTALL) for pane in self.texts]

    def report(self, text: str, share: float | None = None, running: bool = False) -> None:
        """How far the computation is."""
        self.drawn += 1
        self.view.status = {"text": text, "share": share, "running": running, "drawn": self.drawn}

    # what happens

    def read(self, query: Mapping[str, str]) -> tuple[object, list[str]]:
        """The state of a query, or of an example that it names."""
        start = self.examples[query["preset"]][1] if query.get("preset") in self.examples else self.start
        return self.decode({name: text for name, text in query.items() if name not in state.FRAME and name != "preset"}, start)

    def later(self, function: Callable[..., None], *args) -> None:
        """From any thread: call this in the server's own thread, with the document's lock."""
        deliver(self, function, *args)

    def _begin(self) -> None:  # in a thread
        self.later(lambda: self.doc and self.changed(None))

    def publish(self, result) -> None:
        """From a thread: hand over a result to the page's document."""
        self.later(self._show, result)

    def _show(self, result) -> None:
        if self.doc is None:
            return
        with pn.io.hold():
            if isinstance(result, Exception):
                known = isinstance(result, ValueError)
                self.view.notices = [str(result) if known else "The computation failed; the last picture stays. Reset, or try other values."]
                self.report("stopped")
            else:
                self.show(result)

    def hear(self, message: dict) -> None:
        """{"set": {name: text}}, {"example": name}, {"action": name} or {"open": query}. Nothing in it is trusted."""
        if not isinstance(message, dict):
            return
        if isinstance(message.get("set"), dict):
            values = {str(name): str(text) for name, text in list(message["set"].items())[:50]}
            value, messages = self.decode(values, self.value)
            self.replace(value, messages, rebuild=bool(messages), said=values)
        elif isinstance(message.get("example"), str):
            self.replace(self.examples.get(message["example"], ("", self.value))[1])
        elif isinstance(message.get("open"), str):
            self.replace(*self.read(asked(message["open"])))
        elif message.get("action") == "reset":
            self.replace(self.start)
        elif isinstance(message.get("save"), str):
            self.keep(message["save"])
        elif isinstance(message.get("action"), str):
            self.act(message["action"])

    def replace(self, value, messages: Sequence[str] = (), rebuild: bool = True, said: Collection[str] = ()) -> None:
        """A new state; `said`: the fields whose values the browser has given, and shows already."""
        before, self.value = self.value, value
        with pn.io.hold():
            whole = rebuild or self.shape(before) != self.shape(value)
            self.furnish(whole)
            self.view.follow = [] if whole else self.followers(before, said)
            self.view.notices = list(messages)
            self.changed(before)

    def followers(self, before, said: Collection[str]) -> list[dict]:
        """The fields that changed with others."""
        old, new = ({item["name"]: item for group in self.controls(value) for item in group["items"]} for value in (before, self.value))
        return [item for name, item in new.items() if name not in said and item != old.get(name)]

    def furnish(self, form: bool = True) -> None:
        """Send the form, the menu of examples and the link."""
        if form:
            self.view.controls = {"version": next(self.version), "groups": self.controls(self.value)}
        chosen = next((name for name, (_, value) in self.examples.items() if value == self.value), "")
        choices = [["", self.examples_label], *([name, text] for name, (text, _) in self.examples.items())] if self.examples else []
        self.view.param.update(examples={"choices": choices, "chosen": chosen}, query=self.link(self.value))

    def link(self, value) -> str:
        """The query of a state."""
        return urlencode(self.encode(value), safe=",")

    def close(self) -> None:
        """The tab has gone: stop computing and let go of everything."""
        self.latest.close()
        self.left()
        self.doc = None
