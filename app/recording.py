"""A lab as it went, without a browser: its page's session computes here and now, and what it would have sent is kept, picture by picture.

`record` gives the frames of any lab but the landscape lab, which simulates in the browser (see `standalone`); `page` makes one file of them, in which
the page's own scripts show them with a slider for the time.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from bokeh.core.serialization import Serializer
from bokeh.document import Document
from bokeh.models import ColumnDataSource
from bokeh.resources import Resources
from latex2mathml.converter import convert
from markdown_it import MarkdownIt

from app.page import escaped
from app.standalone import document, text_of

MOST = 40  # frames of a file
SHOWN = ("hidden", "headings", "tex", "tall", "legends", "says", "status", "fixed", "numbers")  # of what a view has, what changes as a run goes on
FIXED = ("page", "names", "controls", "style")


class Frame(NamedTuple):
    """What is new since the frame before: `view` {parameter: value}, `models` {(id, attribute): value as Bokeh sends it}."""

    label: str
    view: dict
    models: dict


class Recording(NamedTuple):
    """`view`: what the frame around the figures begins with. `figures`: Bokeh's JSON of them. `plots`: their ids by name."""

    title: str
    view: dict
    figures: dict
    plots: dict[str, str]
    frames: list[Frame]


def record(session, title: str = "", most: int = MOST) -> Iterator[str | Recording]:
    """Labels of the frames as they are made, at last the recording, of `most` frames at most, evenly spread.

    session: a page's, made outside any server. Raises ValueError for what cannot be computed.
    """
    plots = getattr(session, "plots", {})
    document, touched = Document(), set()
    for plot in plots.values():
        document.add_root(plot)
    session.view.param.update(widget=True)
    view = {name: getattr(session.view, name) for name in FIXED if name in session.view.param}
    figures, known = document.to_json(deferred=False), _shown(session)
    first = Frame("", known, {})
    document.on_change(lambda event: touched.add((event.model, event.attr)))
    frames = []
    for label in session.record():
        if not label:  # nothing that is worth a frame of its own
            continue
        now = _shown(session)
        models = {(model.id, attr): _sent(document, model, attr) for model, attr in touched}
        frames.append(Frame(label, {name: value for name, value in now.items() if known.get(name) != value}, models))
        known = now
        touched.clear()
        yield label
    yield Recording(title, view | first.view, figures, {name: plot.id for name, plot in plots.items()}, thinned(frames, most) or [first])


def _shown(session) -> dict:
    """What the view says now, and the texts below the figures as HTML."""
    texts = {"words": [rendered(pane.object) for pane in session.texts]} if hasattr(session, "texts") else {}
    found = {name: getattr(session.view, name) for name in SHOWN if name in session.view.param} | texts
    return found | {"status": {name: value for name, value in found["status"].items() if name != "query"}}  # its address is no link to a state


def _sent(document: Document, model, attr: str):
    """An attribute's value, as the protocol of Bokeh has it; columns of numbers in single precision, which no pixel can tell."""
    value = getattr(model, attr)
    if isinstance(model, ColumnDataSource) and attr == "data":
        value = {name: _compact(column) for name, column in value.items()}
    return Serializer(references=document.models.synced_references, deferred=False).encode(value)


def _compact(column):
    column = column.tolist() if isinstance(column, np.ndarray) else list(column)
    if column and all(isinstance(entry, Sequence | np.ndarray) and not isinstance(entry, str) for entry in column):
        return [_compact(entry) for entry in column]
    numbers = column and all(isinstance(entry, int | float | np.number) for entry in column)
    return np.array(column, np.float32) if numbers else column


def page(recording: Recording, cite: str = "") -> str:
    """The recording as one HTML file that needs no server and no network; ValueError if it were larger than 5 MB."""
    frames = [{"label": label, "view": view, "models": [[*key, value] for key, value in models.items()]} for label, view, models in recording.frames]
    state = {"title": recording.title, "cite": cite, "view": recording.view, "figures": recording.figures, "plots": recording.plots, "frames": frames}
    parts = ("form", "deck", "shell", "paint", "board", "page") if recording.plots else ("form", "deck", "shell", "escape")
    own = "\n".join(text_of(f"{part}.js") for part in (*parts, "recorded")).replace("export function", "function")
    library = Resources(mode="inline", components=["bokeh"], minified=True).js_raw[0] if recording.plots else ""
    # ticks are written by functions that Bokeh makes from their text
    return document(recording.title, state, (library, f"(() => {{\n{own}\n}})()"), text_of("recorded.css"), evaluates=bool(recording.plots))


def thinned(frames: Sequence[Frame], most: int) -> list[Frame]:
    """At most so many of them, the first and the last included; what those left out have changed is part of the next."""
    kept = {round(i) for i in np.linspace(0, len(frames) - 1, min(len(frames), most))}
    found, view, models = [], {}, {}
    for i, frame in enumerate(frames):
        view, models = view | frame.view, models | frame.models
        if i in kept:
            found.append(Frame(frame.label, view, models))
            view, models = {}, {}
    return found


def rendered(text: str) -> str:
    """Markdown with $$formulas$$ as HTML with MathML, which browsers typeset themselves."""
    formulas = []

    def keep(match):
        alone = not match.string[: match.start()].rpartition("\n")[2].strip() and not match.string[match.end() :].partition("\n")[0].strip()
        formulas.append(convert(match[1].strip(), display="block" if alone else "inline"))
        return f"\ue000{len(formulas) - 1}\ue001"  # for private use: no Markdown, and in no text of ours

    marked = re.sub(r"\$\$(.+?)\$\$", keep, escaped(text), flags=re.DOTALL)
    page = MarkdownIt("commonmark", {"html": False}).enable("table").render(marked)
    return re.sub("\ue000(\\d+)\ue001", lambda match: formulas[int(match[1])], page)
