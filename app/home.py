"""The first page: what this is, shown in a picture that simulates in the browser; and the ways to labs and lessons."""

import pathlib

import panel as pn
import param

from app import lesson as lessons
from app import standalone
from app.page import looks
from dynamics import NGD, SGD
from landscapes import DoubleWell

HERE = pathlib.Path(__file__).parent
WELL = DoubleWell(w0=1.8, d1=1, d2=2)
RULES = {"a": SGD(lr=0.02, batch=20), "b": NGD(lr=0.1, batch=20, damping=1.0)}
START = (-2.2, 2.4)
STEPS = 150


class HomeView(pn.custom.JSComponent):
    """The page in the browser; after it is there it asks the server for nothing."""

    well = param.Dict(doc="the landscape and the rules, as `engine.js` takes them")
    lessons = param.List(doc="[name, title]")
    notices = param.List()
    theme = param.String()
    projector = param.Boolean()
    widget = param.Boolean()
    style = param.String()

    _render_policy = "manual"
    _esm = "\n".join((HERE / f"{part}.js").read_text() for part in ("form", "deck", "shell", "engine", "home"))

    def __init__(self, heard, **values):
        self.heard = heard
        super().__init__(**values)

    def _handle_msg(self, data):
        self.heard(data)


def described() -> dict:
    """The miniature's landscape, rules and random numbers."""
    return {
        "case": standalone.described(WELL),
        "rules": {name: {"name": type(rule).__name__, "fields": vars(rule)} for name, rule in RULES.items()},
        "start": list(START),
        "steps": STEPS,
        "ziggurat": standalone.ziggurat(),
    }


class Session:
    """One visitor's first page."""

    def __init__(self, query: dict[str, str]):
        self.view = HomeView(
            lambda message: None,
            well=described(),
            lessons=[[lesson.name, lesson.title] for lesson in lessons.shelf().lessons.values()],
            style="\n".join((HERE / f"{part}.css").read_text() for part in ("lab", "home")),
            sizing_mode="stretch_width",
            margin=0,
            **looks(query),
        )

    def close(self) -> None:
        """The tab has gone."""
