"""One HTML file of a lab that needs no server and no network: the landscape widget simulates in the browser, the numbers of `Simulation.run()`.

The file holds data, never code made from a state: what the family of landscapes is for all degrees on the sliders (factors, box, barriers, and
lambda and m, as computed here), the rules' parameters with their ranges, and the table of the ziggurat. `engine.js` runs it, `widget.js` draws
it. Where a run is too large for that, the file carries recorded frames, and says so; `slides` makes a file of any other recorded pictures.
"""

import base64
import html
import itertools
import json
import pathlib
from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from app.landscapelab import Lab, controls
from app.picture import BINS, plain, rule_name
from dynamics import RULES, At, Finite, Posterior, Rule, Simulation
from dynamics.random import _F, _X  # the kernels' own table: computed anew in the browser it differs in the last bits
from landscapes.polynomial import Landscape
from landscapes.scale import Range, parameters

HERE = pathlib.Path(__file__).parent
LARGEST_SET = 20_000  # given samples that travel with the file
MOST_STEPS = 1_000_000  # of a trajectory, in a browser
MOST = 10_000  # trajectories, in a browser
KEPT = 200  # trajectories that are recorded whole
LARGEST = 5_000_000  # bytes of a file
# Chromium itself then refuses every request, whatever a script does
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<noscript>This page needs JavaScript: switch it on.</noscript>
<script type="application/json" id="state">{state}</script>
<script>
{script}</script>
</body>
</html>
"""


class Picture(NamedTuple):
    """One recorded frame: what it is called beside the slider, and a picture (PNG, GIF, JPEG or SVG) as bytes."""

    label: str
    image: bytes


def page(lab: Lab, title: str = "", cite: str = "") -> str:
    """The file of a lab, as text; ValueError if it were larger than 5 MB."""
    why = not_live(lab.run)
    state = (
        {"kind": "landscape", "title": title, "cite": cite}
        | _settings(lab)
        | {"why": why, "recorded": _recorded(lab) if why else None, "masses": _masses(lab) if why else None}
    )
    return document(title or "lambdascape", state, (text_of("engine.js"), text_of("deck.js"), text_of("widget.js")))


def slides(pictures: Iterable[Picture], title: str, words: str = "", across: str = "") -> str:
    """A file of recorded pictures with a slider (`across` names what it moves along); ValueError if it were larger than 5 MB."""
    frames = [{"label": picture.label, "image": _data_address(picture.image)} for picture in pictures]
    if not frames:
        raise ValueError("no pictures; give at least one")
    return document(title, {"kind": "slides", "title": title, "words": words, "across": across, "frames": frames}, (text_of("slides.js"),))


def not_live(run: Simulation) -> str:
    """Why a run cannot be simulated in a browser ("" if it can)."""
    if isinstance(run.data, Finite) and run.data.size > LARGEST_SET:
        return f"{run.data.size:,} given samples do not fit into a file (at most {LARGEST_SET:,})"
    if run.steps > MOST_STEPS:
        return f"{run.steps:,} steps take a browser too long (at most {MOST_STEPS:,})"
    return ""


# Text


def script_json(value) -> str:
    """JSON that may stand inside a <script>: whatever the strings say, they end neither the script nor a line of it."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def text_of(name: str) -> str:
    """A script or a style sheet of this package."""
    return (HERE / name).read_text(encoding="utf-8")


def document(title: str, state: dict, scripts: Iterable[str], style: str = "", evaluates: bool = False) -> str:
    """A page that runs these scripts on its state; ValueError if it were larger than 5 MB. evaluates: a script makes functions from its own text."""
    script, style = "\n;\n".join(scripts), style or text_of("widget.css")
    if "</" in style:
        raise AssertionError("a style sheet that is put into a page must not contain '</'")
    policy = POLICY.replace("script-src", "script-src 'unsafe-eval'") if evaluates else POLICY
    # in a string, a template and a regular expression, which are the places it can stand in, "<\\/" is "</"
    text = PAGE.format(policy=policy, title=html.escape(title), style=style, state=script_json(state), script=script.replace("</", "<\\/"))
    if len(text.encode()) > LARGEST:
        raise ValueError(
            f"the file would have {len(text.encode()) / 1e6:.1f} MB, at most {LARGEST / 1e6:g} are sensible; take fewer or smaller frames"
        )
    return text


def _data_address(image: bytes) -> str:
    kinds = {b"\x89PNG": "png", b"GIF8": "gif", b"\xff\xd8": "jpeg"}
    kind = next((kind for start, kind in kinds.items() if image.startswith(start)), "svg+xml")
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def _packed(array, kind: str) -> str:
    return base64.b64encode(np.ascontiguousarray(array, kind).tobytes()).decode()


# The state


def _settings(lab: Lab) -> dict:
    run, bayes = lab.run, lab.bayes
    groups = {group["title"]: group["items"] for group in controls(lab)}
    given = family(run.landscape)
    low, high = run.start.bounds
    number = lambda items: [item for item in items if item["kind"] == "number"]  # noqa: E731
    free = {*given["whole"], given["real"]}
    return {
        "landscape": type(run.landscape).__name__,
        "family": given,
        "dim": run.landscape.dim,
        "of": run.landscape.of,
        "axis": 0 if run.landscape.dim == 1 or bayes.axis == "w1" else 1,
        "start": {"low": low, "high": high, "at": isinstance(run.start, At)},
        "data": _data(run),
        "rules": {name: _rule(rule) for name, rule in lab.rules.items()},
        "choices": _choices(run),
        "items": {
            "landscape": [item for item in number(groups["Landscape"]) if item["name"] in free],
            "run": [
                item | ({"most": MOST} if item["name"] == "n" else {"most": MOST_STEPS} if item["name"] == "steps" else {})
                for item in number(groups["Run"])
            ],
            "posterior": number(groups["Posterior"]),
            "data": [] if isinstance(run.data, Finite) else number(groups["Data"]),
        },
        "ziggurat": ziggurat(),
    }


def _rule(rule: Rule) -> dict:
    return {"name": type(rule).__name__, "fields": {parameter.name: getattr(rule, parameter.name) for parameter in parameters(type(rule))}}


def _choices(run: Simulation) -> dict:
    """What the form shows of every rule that this landscape can have, with its defaults: {name: {label, items, fields}}."""
    found = {}
    for name, kind in RULES.items():
        rule = run.rule if isinstance(run.rule, kind) else kind()
        try:
            shown = replace(run, rule=rule)
        except ValueError:  # K alone is given, and this rule needs Q
            continue
        noises = [replace(rule, noise=noise) for noise in ("batch", "isotropic")] if hasattr(rule, "noise") else [rule]
        items = {getattr(one, "noise", ""): controls(Lab(replace(shown, rule=one)))[1]["items"][1:] for one in noises}
        found[name] = {"label": rule_name(rule), "items": items, "fields": _rule(kind())["fields"]}
    return found


def _data(run: Simulation) -> dict:
    data = run.data
    given = {"slope": data.slope, "vx": data.vx, "vy": data.vy, "size": 0}
    if isinstance(data, Finite) and data.size <= LARGEST_SET:
        source = data.source(len(run.landscape.products()))
        given |= {
            "size": data.size,
            "xx": _packed(source.xx, "<f8"),
            "xe": [_packed(row, "<f8") for row in source.xe],
            "moments": source.moments.tolist(),
        }
    return given


# The landscapes of one family


def family(landscape: Landscape) -> dict:
    """What a landscape is at every setting of its sliders: {"whole", "real", "values", "cases"}; cases["1,2"] is that of those degrees.

    A number that depends on the one real parameter p ("real"; None if there is none) is {"c": c, "s": s} for c + s p. Any family of
    landscapes can be written so, except where something is no straight line in p: that parameter then has no slider.
    """
    own = [parameter for parameter in parameters(type(landscape)) if isinstance(parameter.range, Range)]
    whole = [parameter for parameter in own if parameter.kind is int]
    others = [parameter for parameter in own if parameter.kind is float]
    real = others[0] if len(others) == 1 else None
    spans = []
    for parameter in whole:
        here, (low, high) = getattr(landscape, parameter.name), parameter.range.shown
        spans.append(range(int(min(low, here)), int(max(high, here)) + 1))
    degrees = [dict(zip([parameter.name for parameter in whole], values, strict=True)) for values in itertools.product(*spans)]
    cases = None
    if real:
        cases = [_straight(replace(landscape, **values), real) for values in degrees]
        real = None if None in cases else real
    if not real:
        cases = [described(replace(landscape, **values)) for values in degrees]
    names = [parameter.name for parameter in whole]
    return {
        "whole": names,
        "real": real.name if real else None,
        "values": {parameter.name: getattr(landscape, parameter.name) for parameter in own},
        "cases": {",".join(str(values[name]) for name in names): case for values, case in zip(degrees, cases, strict=True)},
    }


def ziggurat() -> dict:
    """The table of the kernels' normal random numbers."""
    return {"x": _packed(_X, "<f8"), "f": _packed(_F, "<f8")}


def described(landscape: Landscape) -> dict:
    """A landscape as `engine.js` takes it, with its box, barriers and exact minima."""
    return {
        "products": [
            {"scale": p.scale, "factors": [{"power": f.power, "terms": [list(t) for t in f.terms]} for f in p.factors]} for p in landscape.products()
        ],
        "box": [list(map(float, pair)) for pair in landscape.box],
        "barriers": [float(barrier) for barrier in landscape.barriers],
        "minima": [
            {"name": m.name, "at": list(m.at), "lam": None if m.lam is None else str(m.lam), "m": m.multiplicity, "along": m.along and list(m.along)}
            for m in landscape.minima
        ],
    }


def _straight(landscape: Landscape, real) -> dict | None:
    """The description with numbers c + s p; None if it is none."""
    low, high = real.range.low, real.range.high
    one, two = (1.0, 2.0) if low <= 1 and high >= 2 else real.range.shown  # between 1 and 2 the common c and s come out exactly
    at = lambda p: described(replace(landscape, **{real.name: p}))  # noqa: E731
    found = _line(at(one), at(two), one, two)
    checks = (getattr(landscape, real.name), *real.range.shown, (low * high) ** 0.5 if low > 0 else (low + high) / 2)
    return found if found is not None and all(_agrees(_placed(found, p), at(p)) for p in checks) else None


def _line(a, b, one: float, two: float):
    if isinstance(a, dict):
        found = {key: _line(a[key], b[key], one, two) for key in a}
    elif isinstance(a, list):
        found = [_line(x, y, one, two) for x, y in zip(a, b, strict=True)] if len(a) == len(b) else None
    elif isinstance(a, float) and a != b:
        slope = (b - a) / (two - one)
        found = {"c": a - slope * one, "s": slope}
    else:
        found = a
    return found


def _placed(value, p: float):
    """The description at p: what the browser does with it."""
    if isinstance(value, dict):
        return value["c"] + value["s"] * p if "s" in value else {key: _placed(entry, p) for key, entry in value.items()}
    return [_placed(entry, p) for entry in value] if isinstance(value, list) else value


def _agrees(a, b) -> bool:
    if isinstance(a, dict):
        return all(_agrees(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(_agrees(x, y) for x, y in zip(a, b, strict=True))
    return abs(a - b) <= 1e-12 * max(1, abs(b)) if isinstance(a, float) else a == b


# Recorded frames


def _masses(lab: Lab) -> list[float] | None:
    """The exact posterior mass of each basin, where there are some."""
    run, bayes = lab.run, lab.bayes
    if not run.landscape.barriers:
        return None
    samples = min(bayes.samples, run.data.size) if isinstance(run.data, Finite) else bayes.samples
    return Posterior(run.landscape, samples, bayes.beta, run.data).masses().tolist()


def _recorded(lab: Lab) -> dict:
    """What the browser would have computed, for each optimiser."""
    found = {}
    landscape = lab.run.landscape
    axis = 0 if landscape.dim == 1 or lab.bayes.axis == "w1" else 1
    edges = np.linspace(*landscape.box[axis], BINS + 1)
    for name, rule in lab.rules.items():
        out = replace(lab.run, rule=rule, n=min(lab.run.n, MOST)).run()
        found[name] = {
            "n": out.run.n,
            "steps": out.steps.tolist(),
            "survivors": out.survivors,
            "kept": _packed(out.kept[:, :KEPT], "<f4"),
            "counts": _packed(out.histogram(edges, axis), "<u4"),
            "among": _packed(out.shares.among[out.steps], "<u4"),
            "lost": _packed(out.shares.diverged[out.steps], "<u4"),
        }
    return found
