"""The page of lessons: an index, and one lesson with its live lab in a frame. Its state is its address: lesson=<name>&step=<number>."""

import functools
import logging
import pathlib
from collections.abc import Mapping
from urllib.parse import urlencode

import panel as pn
import param
from tornado.ioloop import IOLoop

from app import lesson as lessons
from app.lesson import Lesson, State
from app.live import jobs
from app.page import FORMULA, looks

HERE = pathlib.Path(__file__).parent
SHORT = 40  # characters of a name that are repeated in a message
WORDS = (
    FORMULA
    + """
mjx-container[display="true"] { display: block; overflow: auto hidden; scrollbar-width: thin; }
mjx-container:not([display="true"]) { margin: 0 !important; }
p, ul, ol, table { margin: .1em 0 .7em; } li { margin: .15em 0; } a { color: inherit; }
.computed { font-weight: 600; font-variant-numeric: tabular-nums; border-bottom: 1px dotted currentColor; cursor: help; }
code { font: .92em ui-monospace, monospace; white-space: nowrap; background: none; color: inherit; padding: 0; }
table { border-collapse: collapse; } th, td { padding: .15em .8em .15em 0; text-align: left; }
img { display: block; max-width: 100%; max-height: 50vh; margin: .2em 0 .7em; padding: .4em; box-sizing: border-box; background: #fff; }
blockquote { margin: .2em 0 .7em; padding: .1em .8em; border-left: 3px solid currentColor; opacity: .9; }
"""
)
log = logging.getLogger(__name__)


class LessonsView(pn.custom.JSComponent):
    """The page in the browser. It moves the frame by itself; texts, which are typeset, come from Python."""

    cards = param.List(doc="of the index: {name, title, summary, steps, questions}")
    lesson = param.Dict(default={}, doc="the one that is open (see `described`), or nothing")
    step = param.Integer(default=0, doc="from 0")
    text = pn.custom.Child()
    answer = pn.custom.Child()
    tex = param.List(doc="the formulas of this step, for readers of the screen")
    notices = param.List(doc="messages about what could not be used")
    theme = param.String()
    projector = param.Boolean()
    widget = param.Boolean(doc="in a frame: without the bar")
    style = param.String()

    _render_policy = "manual"
    _esm = "\n".join((HERE / f"{part}.js").read_text() for part in ("form", "deck", "shell", "lessons"))

    def __init__(self, heard, **values):
        self.heard = heard
        super().__init__(**values)

    def _handle_msg(self, data):
        self.heard(data)


def shown(state: State, union: tuple[str, ...]) -> dict:
    """A state as the browser needs it: the address of a new frame, what a frame that is there is asked for, and the link to the lab."""
    view = ",".join(state.figures)
    frame = {"widget": state.page} | ({"figures": ",".join(union)} if union else {}) | ({"view": view} if view else {})
    return {
        "key": urlencode({"widget": state.page, "figures": ",".join(union)}),
        "src": urlencode(frame | dict(state.query), safe=","),
        "open": state.open,
        "view": view,
        "lab": urlencode({"page": state.page} | dict(state.query), safe=","),
    }


def described(lesson: Lesson, following: Lesson | None) -> dict:
    """All that the browser knows of a lesson, but its texts."""
    from app.pages import figure_names

    def known(state: State) -> State:  # of wrong names its author is told
        names = figure_names(state.page)
        return state._replace(figures=tuple(name for name in state.figures if name in names))

    states = [known(state) for state in lesson.states]
    union = {page: lessons.figures(states, page) for page in {state.page for state in states}}
    return {
        "name": lesson.name,
        "title": lesson.title,
        "steps": [
            {
                "title": step.title,
                "show": shown(known(step.show), union[step.show.page]),
                "after": shown(known(step.after), union[step.after.page]) if step.after else None,
                "covered": step.covered,
                "choices": [[lessons.inline(words), right] for words, right in step.choices],
            }
            for step in lesson.steps
        ],
        "next": {"name": following.name, "title": following.title} if following else None,
    }


def place(query: Mapping[str, str], shelf: lessons.Shelf) -> tuple[Lesson | None, int, list[str]]:
    """The lesson and step (from 0) of an address that anybody may have written, and messages; never raises."""
    name = query.get("lesson", "")
    if not name:
        return None, 0, []
    if name not in shelf.lessons:
        return None, 0, [f"lesson = {name[:SHORT]!r} is not known (here are those that are)"]
    lesson, text = shelf.lessons[name], query.get("step", "1")
    last = len(lesson.steps)
    step = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 0
    if not 1 <= step <= last:
        return lesson, min(max(step, 1), last) - 1, [f"step = {text[:SHORT]!r}; {lesson.title} has the steps 1 to {last}"]
    return lesson, step - 1, []


class Session:
    """One visitor's lessons."""

    def __init__(self, query: dict[str, str]):
        self.doc, self.loop = pn.state.curdoc, IOLoop.current(instance=False)
        shelf = lessons.shelf()
        self.lesson, step, messages = place(query, shelf)
        style = {"color": "inherit", "font-size": "inherit"}
        self.text, self.answer = (
            pn.pane.HTML(
                "",
                disable_math=False,
                styles=style,
                stylesheets=[WORDS],
                sizing_mode="stretch_width",
                margin=0,
            )
            for _ in range(2)
        )
        names = list(shelf.lessons)
        following = None
        if self.lesson and names.index(self.lesson.name) + 1 < len(names):
            following = shelf.lessons[names[names.index(self.lesson.name) + 1]]
        self.view = LessonsView(
            self.hear,
            cards=[
                {"name": one.name, "title": one.title, "summary": one.summary}
                | {"steps": len(one.steps), "questions": sum(bool(step.choices) for step in one.steps)}
                for one in shelf.lessons.values()
            ],
            lesson=described(self.lesson, following) if self.lesson else {},
            text=self.text,
            answer=self.answer,
            notices=[*messages, *([] if self.lesson else shelf.mistakes)],
            style="\n".join((HERE / f"{part}.css").read_text() for part in ("lab", "lessons")),
            sizing_mode="stretch_width",
            margin=0,
            **looks(query),
        )
        if self.lesson:
            self.turn(step)
        if mine := [one for one in ([self.lesson] if self.lesson else shelf.lessons.values()) if own(one)]:
            pn.state.onload(lambda: jobs().submit(self.proofread, mine))

    def turn(self, step: int) -> None:
        """Show the texts of a step."""
        shown = self.lesson.steps[step]
        with pn.io.hold():
            checked = not own(self.lesson)
            self.text.object, self.answer.object = texts(shown.text, checked), texts(shown.answer, checked)
            self.view.param.update(step=step, tex=lessons.formulas(shown.text, shown.answer))

    def hear(self, message: dict) -> None:
        """{"step": number from 0}. Nothing in it is trusted."""
        step = message.get("step") if isinstance(message, dict) else None
        if self.lesson and isinstance(step, int) and not isinstance(step, bool) and 0 <= step < len(self.lesson.steps):
            self.turn(step)

    def proofread(self, mine: list[Lesson]) -> None:
        """In a thread: tell the author of lessons what their labs cannot use. Those of this package are tested."""
        try:
            found = [text for one in mine for text in lessons.misfits(one, listeners(one))]
        except Exception:
            log.exception("a lesson could not be proofread")
            return
        if found and self.doc is not None and self.doc.session_context:  # the document is for the server's own thread
            self.loop.add_callback(self.doc.add_next_tick_callback, lambda: setattr(self.view, "notices", [*self.view.notices, *found[:8]]))

    def close(self) -> None:
        """The tab has gone."""
        self.doc = None


@functools.lru_cache(maxsize=500)
def texts(text: str, checked: bool) -> str:
    return lessons.rendered(text, checked)


def own(lesson: Lesson) -> bool:
    """Is it somebody's own, and no lesson of this package?"""
    return not (lessons.HERE / f"{lesson.name}.md").exists()


def listeners(lesson: Lesson) -> dict:
    """{page: what its lab says of a query} for the labs of a lesson."""
    from app.pages import messages

    return {page: functools.partial(messages, page) for page in {state.page for state in lesson.states}}
