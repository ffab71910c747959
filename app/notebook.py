"""Labs in a notebook: `lab("landscape", landscape=Valley(p=1, k=2))` shows a live widget.

The landscape lab simulates in the browser, so it needs neither server nor kernel, and stays alive in a notebook that was exported to HTML. The
other labs compute in Python: their frame shows a server that this process starts; where that is gone, as in an exported notebook, it shows the
recorded run with a slider for the time.
"""

import functools
import html
import re
import sys
import threading
import urllib.parse
import uuid
from dataclasses import dataclass, field, fields, replace

from tqdm import tqdm

from app import standalone, state
from app.landscapelab import Lab, from_preset
from dynamics import Simulation
from dynamics.presets import PRESETS

TALL = 520  # pixels
# asks the server whether it is there; if not, the frame shows the recording instead
CELL = """<div>{frame}<script type="application/json" id="{id}-recorded">{page}</script>
<script>(() => {{
  const [frame, recorded] = ["{id}", "{id}-recorded"].map(id => document.getElementById(id))
  fetch({source}, {{mode: "no-cors"}}).then(() => {{ frame.src = {source} }}, () => {{ frame.srcdoc = JSON.parse(recorded.textContent) }})
}})()</script></div>"""


@dataclass(frozen=True)
class Widget:
    """What a notebook displays; `html` is the whole of it, `call` prints as the call that made it."""

    call: str
    html: str = field(repr=False)

    def __repr__(self) -> str:
        return self.call

    def _repr_html_(self) -> str:
        return self.html


def lab(name: str = "landscape", height: int = TALL, record: bool = True, **values) -> Widget:
    """A widget of a lab, for the last line of a notebook's cell.

    name: "landscape" or a preset such as "fig1-escape"; or another lab of the server: "escape", "llc", "dln", "networks".
    values: for the landscape lab the fields of a `Simulation` (landscape, rule, n, steps, seed, start, data) and `rival`, a second rule on the
    same noise; for the others their values as they stand in a link, e.g. lab("dln", widths="10,6,6,10", rank=2); figures="estimate,loss" chooses.
    record: run the other labs once, to keep their frames for when this process is gone (networks: some minutes); False: only alive.
    Raises ValueError for an unknown name or value.
    """
    call = f"lab({', '.join([repr(name), *(f'{key}={value!r}' for key, value in values.items())])})"
    if name == "landscape" or name in PRESETS:
        page = standalone.page(
            _landscape(name, values), PRESETS[name].title if name in PRESETS else "", PRESETS[name].cite if name in PRESETS else ""
        )
        return Widget(call, _frame(f'srcdoc="{html.escape(page)}"', height, name))
    from app.pages import PAGES  # Panel, for these only

    if name not in PAGES:
        raise ValueError(f"there is no lab {name[:60]!r}; choose one of {', '.join(PAGES)}, or a preset of `python -m app list`")
    if wrong := [key for key in values if key in state.FRAME and key != "figures"]:
        raise ValueError(f"{wrong[0]} belongs to the address, not to the lab; give height=... for its size")
    query = {key: ",".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value) for key, value in values.items()}
    recorded = _recorded(name, query) if record and name in state.LABS else ""
    source = f"http://localhost:{_server()}/serve?{urllib.parse.urlencode({'widget': name} | query, safe=',')}"
    id = f"lambdascape-{uuid.uuid4().hex[:12]}"
    if not recorded:
        return Widget(call, _frame(f'src="{html.escape(source)}"', height, name))
    frame = _frame(f'id="{id}"', height, name)
    return Widget(call, CELL.format(id=id, frame=frame, page=standalone.script_json(recorded), source=standalone.script_json(source)))


def _recorded(name: str, query: dict[str, str]) -> str:
    """The file of a lab's recorded run, with a bar while it runs."""
    from app import labfile, recording

    session, messages = labfile.opened(name, query)
    if messages:
        raise ValueError(re.sub(r" \((kept|used|left out)\b.*\)$", "", messages[0]))
    with tqdm(unit="picture", desc=f"recording {name}", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False, delay=1) as bar:
        for made in recording.record(session, session.heading):
            if not isinstance(made, str):
                return recording.page(made)
            bar.update()
    raise AssertionError("a recording ends with itself")


def _landscape(name: str, values: dict) -> Lab:
    known = {entry.name for entry in fields(Simulation)} | {"rival"}
    if unknown := [key for key in values if key not in known]:
        hint = "those of a rule or a landscape stand in it, as in rule=SGD(lr=0.05)"
        raise ValueError(f"{unknown[0]} = {values[unknown[0]]!r}; the landscape lab takes {', '.join(sorted(known))} ({hint})")
    made = from_preset(name) if name in PRESETS else Lab()
    run = {key: value for key, value in values.items() if key != "rival"}
    if "landscape" in run and "start" not in run:
        run["start"] = None  # its own box
    return replace(made, run=replace(made.run, **run), rival=values.get("rival", made.rival))


def _frame(source: str, height: int, name: str) -> str:
    return f'<iframe {source} title="lambdascape: {html.escape(name)}" width="100%" height="{int(height)}" style="border: 0"></iframe>'


_turn = threading.Lock()


def _server() -> int:
    """The port of this process's server, started when first needed."""
    with _turn:
        return _serving()


@functools.cache
def _serving() -> int:
    import socket

    import panel as pn

    from app.pages import HERE

    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    pages = {"serve": str(HERE.parent / "serve.py")}
    serve = functools.partial(pn.serve, pages, port=port, address="localhost", threaded=True, show=False, verbose=False)
    thread = threading.Thread(target=serve, daemon=True)  # the server's own thread inherits that it keeps no process alive
    thread.start()
    thread.join()
    return port
