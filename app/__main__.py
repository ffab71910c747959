"""The command line: `python -m app list`, `python -m app run fig1-escape --set lr=0.016 --out escape.png`, `python -m app run landscape --set ...`.

Results go to stdout, progress and errors to stderr. Exit code 0; 1 for bad input, with one line that says what is wrong; 130 for Ctrl-C, which
keeps what a preset of networks has found: `--resume` goes on. Torch is imported for those presets only (app/networks.py).
"""

import os
import signal
import sys

if __name__ == "__main__":  # Ctrl-C in the seconds that the imports below take: no traceback

    def _stopped(*_):
        os.write(2, b"\npython -m app: stopped before the run began; nothing was written\n")
        os._exit(130)

    signal.signal(signal.SIGINT, _stopped)

import argparse
import contextlib
import dataclasses
import difflib
import io
import itertools
import json
import math
import shutil
import textwrap
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import parse_qsl

from tqdm import tqdm

from app import export
from app.claims import claims
from app.state import FRAME, LABS, _read_fields, change, link
from dynamics.observe import Result
from dynamics.posterior import Posterior
from dynamics.presets import PRESETS, Preset, escape, judge
from dynamics.simulation import Simulation
from dynamics.sweep import Sweep, SweepResult
from landscapes.shifted import shifted
from landscapes.zeros import minima as zeros

FREE = "landscape"  # the run that is no preset
LAB_SUFFIXES = tuple(suffix for suffix in export.SUFFIXES if suffix != ".npz")
LANDSCAPES = "Landscapes"  # the first group of presets
EXAMPLES = """examples:
  python -m app list
  python -m app run fig1-escape --set lr=0.016 --seed 3 --out escape.png
  python -m app run landscape --set landscape=Valley --set p=1 --set rule=NGD --set n=500 --out valley.html
  python -m app run fig7b-rate --quick --json
  python -m app run ngd-fig2 --quick --set epochs=10 --out fig2.csv --out fig2.png
  python -m app export fig1-escape --out widget.html
  python -m app export "landscape=Valley&p=1&k=2&rule=SGD&lr=0.02&b.rule=NGD" --out valley.gif
  python -m app export "page=dln&widths=10,6,6,10&rank=2" --out dln.html"""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see {self.prog} --help")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m app", description=__doc__.partition("\n")[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="list | run | url | export", parser_class=_Parser)
    show = commands.add_parser("list", help="every preset, its source and its claim")
    show.add_argument("--json", action="store_true", help="as JSON")
    run = commands.add_parser("run", help="run a preset, or `landscape` with your own settings")
    url = commands.add_parser("url", help="the query of a run's link: http://.../serve?<query>")
    keep = commands.add_parser("export", help="a lab as one file: .html needs no server (it simulates, or has recorded frames), others show it")
    for command in (run, url, keep):
        command.add_argument("name", help="a name from `list`, or `landscape`" + ("; or a lab's link or its query" if command is keep else ""))
        command.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a value, e.g. lr=0.02, rule=NGD, start=-2,2")
        command.add_argument("--seed", metavar="N", help="the same as --set seed=N")
    run.add_argument("--quick", action="store_true", help="the smaller run of a preset that shows the same")
    run.add_argument("--every", type=int, metavar="K", help="keep the weights of every K-th step (default: 200 times in all)")
    run.add_argument(
        "--out",
        action="append",
        metavar="FILE",
        help=f"write the result to a file: {', '.join(export.SUFFIXES)}; of networks .npz, .csv, .json, .png, .svg, .pdf, .html; may be given again",
    )
    run.add_argument("--resume", action="store_true", help="go on with a run of networks that was interrupted, from the checkpoint beside --out")
    run.add_argument("--json", action="store_true", help="print a machine-readable summary")
    keep.add_argument("--quick", action="store_true", help="the smaller run of a preset of networks, which shows the same")
    keep.add_argument("--out", action="append", metavar="FILE", required=True, help=f"the file: {', '.join(export.SUFFIXES)}; may be given again")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    stage = _Stage()
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")  # λ on a terminal of another encoding costs a letter, not the result
    try:
        options = _parser().parse_args(arguments)
        {"list": _list, "run": _run, "url": _url, "export": _export}[options.command](options, stage)
        sys.stdout.flush()
    except (ValueError, OSError, MemoryError) as error:
        if isinstance(error, BrokenPipeError):  # `python -m app list | head`
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        text = str(error) or type(error).__name__
        print(f"python -m app: {' '.join(text.split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"\npython -m app: stopped {stage}", file=sys.stderr)
        if interrupt.args:  # the summary of what was kept
            print(interrupt.args[0])
        return 130
    return 0


class _Stage:
    """What has been done so far, in words."""

    text = "before the run began; nothing was written"

    def __str__(self):
        return self.text


# Commands


def _list(options, stage) -> None:
    entries = [{"group": LANDSCAPES, "name": p.name, "title": p.title, "cite": p.cite, "claim": p.claim, "note": p.note} for p in PRESETS.values()]
    entries += [{"group": text["group"], "name": name} | text for name, text in claims().items()]
    if options.json:
        print(_json(entries))
        return
    width = max(60, min(shutil.get_terminal_size((110, 24)).columns, 140))
    column = 2 + max(len(entry["name"]) for entry in entries)
    for group, those in itertools.groupby(entries, lambda entry: entry["group"]):
        print(f"{group}:")
        for entry in those:
            _row(entry["name"], [entry["title"], entry["cite"], f"“{entry['claim']}”"], column, width)
        if group == LANDSCAPES:
            _row(FREE, ["Your own run", "python -m app run landscape --set landscape=Valley --set rule=NGD ..."], column, width)


def _row(name: str, texts: list[str], column: int, width: int) -> None:
    lines = [line for text in texts for line in textwrap.wrap(text, width - column)]
    for i, line in enumerate(lines):
        print(f"{name if i == 0 else '':{column}}{line}")


def _json(value) -> str:
    """JSON in letters that stdout has."""
    text = export.strict_json(value)
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(json.loads(text), indent=2)
    return text


def _url(options, stage) -> None:
    preset, run = _chosen(options)
    query = link(run) if isinstance(run, Simulation) else ""
    if not query and (options.set or options.seed):
        raise ValueError(f"{preset.name} is more than one run, and its link holds no settings; leave --set and --seed out")
    print("&".join(filter(None, [f"preset={preset.name}" if preset else "", query])))


def _run(options, stage) -> None:
    if options.name in claims():
        return _run_networks(options, stage)
    if options.resume:
        raise ValueError(f"--resume: a run of {options.name[:60]!r} takes seconds and leaves no checkpoint; leave --resume out")
    preset, run = _chosen(options)
    if options.every is not None and options.every < 1:
        raise ValueError(f"--every {options.every}; keep every 1st, 2nd, ... step")
    if options.every is not None and not isinstance(run, Simulation):
        kind = "is a posterior, which has no steps" if isinstance(run, Posterior) else "is more than one run, whose first and last weights are kept"
        raise ValueError(f"--every {options.every}: {preset.name} {kind}; leave --every out")
    paths = [export.checked(out, run) for out in options.out or ()]
    result = _result(run, options.every, stage)
    written, failure = [], None
    try:
        for path in paths:
            stage.text = f"while writing {path}; the run is done, the file is not written"
            export.save(result, path, preset.title if preset else "")
            written.append(str(path))
    except (ValueError, OSError, MemoryError, KeyboardInterrupt) as error:
        failure = error
    else:
        stage.text = "after the run" + (f"; {', '.join(written)} is written" if paths else "")
    summary = summarise(result, preset) | ({"out": ", ".join(written)} if written else {})
    text = _json(summary) if options.json else _words(summary)
    if isinstance(failure, KeyboardInterrupt):
        raise KeyboardInterrupt(text) from None
    print(text, flush=True)
    if failure:
        raise failure


def _run_networks(options, stage) -> None:
    from app import networks  # imports torch, for seconds

    say = _json if options.json else networks.words
    try:
        print(say(networks.run(options, stage)))
    except networks.Interrupted as interrupt:
        raise KeyboardInterrupt(say(interrupt.args[0])) from None


def _export(options, stage) -> None:
    if options.name in claims():
        _run_networks(argparse.Namespace(**vars(options) | {"every": None, "resume": False, "json": False}), stage)
        return
    if options.quick:
        raise ValueError("--quick is for presets of networks; set n and steps yourself, e.g. --set n=100 --set steps=50")
    page, query = _page_of(options.name)
    if page != FREE:
        _export_lab(page, query, options, stage)
        return
    preset, lab, messages = _lab(options)
    paths = [export.checked(out) for out in options.out]
    _note(messages)
    titles, results = [preset.title, preset.cite] if preset else [], {}

    def computed(run):  # once for all files
        if run not in results:
            results[run] = _result(run, None, stage)
        return results[run]

    for path in paths:
        own = options.set or options.seed or "=" in options.name or path.suffix.lower() in (".html", *export.MOVING)
        if preset and not own:
            export.save(computed(preset.run), path, preset.title)
        else:
            export.save_lab(lab, path, *titles, run=computed)
        print(f"Written: {path}")


def _note(messages: Sequence[str]) -> None:
    for message in messages:
        print(f"python -m app: note: {message}", file=sys.stderr)


def _page_of(name: str) -> tuple[str, dict[str, str]]:
    """Which lab a name or a link asks for, and its query; the landscape lab's for everything that is no other lab's."""
    query = dict(parse_qsl(name.partition("?")[2] or name)) if "=" in name or "?" in name else {"page": name} if name in LABS else {}
    if not query and ("=" in name or "?" in name):
        raise ValueError(
            f"{name[:60]!r} is a link that says nothing; give a lab's link, its query such as lr=0.02, or a name from `python -m app list`"
        )
    page = query.pop("page", "")
    return query.pop("widget", "") or page or FREE, query


def _export_lab(page: str, query: dict[str, str], options, stage) -> None:
    """A lab that computes in Python: recorded, drawn, or as a table."""
    if page not in LABS:
        raise ValueError(f"page = {page[:40]!r} has no run to export; choose one of {FREE}, {', '.join(LABS)}, or a name from `python -m app list`")
    paths = [export.checked(out, suffixes=LAB_SUFFIXES) for out in options.out]
    for setting in [*options.set, *([f"seed={options.seed}"] if options.seed is not None else [])]:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{setting[:60]!r} is no setting; write name=value, e.g. lr=0.02")
        query[key.strip()] = text.strip()
    from app import labfile  # imports torch, for seconds

    for path in paths:
        session, messages = labfile.opened(page, query)
        _note(messages if path == paths[0] else ())
        with tqdm(unit="picture", file=sys.stderr, disable=not sys.stderr.isatty(), leave=False) as bar:

            def told(label: str, bar=bar, path=path) -> None:
                bar.set_description(label)
                bar.update()
                stage.text = f"after {label}; {path} was not written"

            labfile.save(session, path, told)
        print(f"Written: {path}")


def _lab(options):
    """(preset or None, lab, messages): of a preset, of `landscape`, or of a link."""
    from app.landscapelab import Lab, decode, from_preset

    settings = [*options.set, *([f"seed={options.seed}"] if options.seed is not None else [])]
    if "=" not in options.name and "?" not in options.name:
        preset, _ = _chosen(argparse.Namespace(name=options.name, set=[], seed=None))
        lab, messages = from_preset(preset.name) if preset else Lab(), []
    else:
        query = dict(parse_qsl(options.name.partition("?")[2] or options.name))
        preset = PRESETS.get(query.get("preset", ""))
        alone = preset and set(query) <= {"v", "preset", *FRAME}
        lab, messages = (from_preset(preset.name), []) if alone else decode(query)
    return preset, dataclasses.replace(lab, run=change(lab.run, settings)), messages


def _chosen(options) -> tuple[Preset | None, Simulation | Sweep | Posterior]:
    """The preset (None for a free run), and its run with all settings."""
    name, settings = options.name, [*options.set, *([f"seed={options.seed}"] if options.seed is not None else [])]
    if name in claims():
        raise ValueError(f"{name} is a preset of networks, which has neither link nor page; python -m app run {name} --out FILE")
    if name != FREE and name not in PRESETS:
        near = difflib.get_close_matches(name, [*PRESETS, *claims(), FREE], 3, 0.5)
        raise ValueError(
            f"there is no preset {name[:60]!r}; " + (f"did you mean {' or '.join(near)}?" if near else "`python -m app list` shows them all")
        )
    quick = getattr(options, "quick", False)
    if name == FREE:
        if quick:
            raise ValueError("--quick is for presets; set n and steps yourself, e.g. --set n=100 --set steps=50")
        return None, change(Simulation(), settings)
    preset = PRESETS[name]
    return preset, with_settings(preset.quick if quick and preset.quick is not None else preset.run, settings)


def with_settings(run, settings: Sequence[str]):
    """A run, every run of a sweep, or a posterior, with settings such as "lr=0.02"; ValueError for the first that is wrong."""
    if not settings:
        return run
    if isinstance(run, Sweep):
        for setting in settings:
            if setting.partition("=")[0].strip() == run.parameter:
                raise ValueError(
                    f"{setting[:60]!r}: {run.parameter} takes the values {', '.join(map(str, run.values))} in this run; set something else"
                )
        return dataclasses.replace(run, runs=tuple(with_settings(part, settings) for part in run.runs))
    return change(run, settings) if isinstance(run, Simulation) else _change_posterior(run, settings)


def _change_posterior(posterior: Posterior, settings: Sequence[str]) -> Posterior:
    """As `change`, for the fields of the landscape, n and beta."""
    for setting in settings:
        name, equals, text = setting.partition("=")
        parts = {"": posterior, "landscape": posterior.landscape}
        part = next(
            (
                part
                for part, value in parts.items()
                if name in {field.name for field in dataclasses.fields(value)} - {"landscape", "data", "box", "fine"}
            ),
            None,
        )
        if part is None or not equals:
            raise ValueError(
                f"{setting[:60]!r}: a posterior on {type(posterior.landscape).__name__} has no such value; set n, beta or the landscape's own"
            )
        value, problems = _read_fields(parts[part], {name: text})
        if problems:
            raise ValueError(problems[0].text)
        posterior = value if part == "" else dataclasses.replace(posterior, landscape=value)
    return posterior


def _result(run, every: int | None, stage: _Stage):
    """The result of a run, with a bar and the time left on a terminal."""
    if isinstance(run, Posterior):
        return run
    quiet = not sys.stderr.isatty()
    if isinstance(run, Sweep):
        with tqdm(total=len(run.runs), unit="run", file=sys.stderr, disable=quiet, leave=False, delay=0.3) as bar:
            for progress in run.stream():
                bar.update(progress.step - bar.n)
                stage.text = f"after {progress.step} of {progress.of} runs; nothing was written"
        return SweepResult(run, progress.results)
    with tqdm(total=run.steps, unit="step", file=sys.stderr, disable=quiet, leave=False, delay=0.3) as bar:

        def watch(step: int) -> None:
            if step < bar.n:  # the run is done; those that diverged are run once more, to be counted apart
                bar.set_description("who survives")
                bar.reset(run.steps)
            bar.update(step - bar.n)
            stage.text = f"after step {step:,} of {run.steps:,}; nothing was written"

        return run.run(every, watch)


# Summaries


def summarise(result, preset: Preset | None = None) -> dict:
    """What a run has shown, as plain values (None where a number is not defined)."""
    run = getattr(result, "run", result)
    head: dict = {}
    if preset:
        verdict = judge(preset, result)
        head = {"preset": preset.name, "title": preset.title, "cite": preset.cite, "claim": preset.claim, "note": preset.note}
        head |= {"holds": verdict.ok, "verdict": verdict.text}
    head["run"] = export.described(run)
    if isinstance(result, SweepResult):
        names, *rows = export.rows(result)
        body = {
            "parameter": run.parameter,
            "values": [{name: None if cell == "" else cell for name, cell in zip(names, row, strict=True)} for row in rows],
        }
        places = dict.fromkeys((part.landscape, part.data.slope) for part in run.runs)
        return head | body | {"landscapes": [_exact(landscape, slope) for landscape, slope in places]}
    if isinstance(result, Result):
        head |= _of_simulation(result)
    elif result.landscape.barriers:
        head |= {"masses": result.masses().tolist()}
    return head | _exact(run.landscape, run.data.slope)


def _of_simulation(result: Result) -> dict:
    barriers = result.run.landscape.barriers
    body = {"n": result.shares.n, "survivors": result.survivors, "diverged": result.shares.n - result.survivors}
    if barriers:
        share = result.share
        body |= {"barriers": list(barriers), "shares_at_start": share[0].tolist(), "shares_at_end": share[-1].tolist()}
        if result.survivors:
            fit = escape(result)
            body["escape"] = {"rate": fit.rate, "stderr": fit.stderr, "first": fit.window[0], "last": fit.window[1], "reason": fit.reason}
    return body


def _exact(landscape, slope: float = 0.0) -> dict:
    """Minima, their lambda and multiplicity: of Q - a where the truth has a slope a."""
    moved = shifted(landscape, slope)
    points, found = [*moved.minima, *moved.undefined], zeros(moved)
    exact = {"landscape": repr(landscape)}
    if slope:
        exact |= {"slope": slope, "basins": f"cut at the barriers of Q, those of a = 0: with a = {slope:g} K has others"}
    exact["all_zeros"] = {"lambda": None if found.lam is None else str(found.lam), "multiplicity": found.multiplicity}
    if why := found.missing or ("Q − a is 0 nowhere in the box" if slope and found.lam is None else ""):
        exact["all_zeros"]["why"] = why
    exact["exact"] = [
        {"name": point.name, "at": list(point.at), "lambda": None if point.lam is None else str(point.lam), "multiplicity": point.multiplicity}
        | ({"why": point.why} if point.why else {})
        for point in points
    ]
    return exact


def _words(summary: dict) -> str:
    """The same for people."""
    lines = []
    if "preset" in summary:
        holds = {True: "It holds in this run.", False: "It does not hold in this run.", None: "It cannot be told from this run."}[summary["holds"]]
        lines += [summary["title"], summary["cite"], f"Claim: “{summary['claim']}”", f"{holds} {summary['verdict']}", f"Note: {summary['note']}"]
    if "survivors" in summary:
        lines.append(f"{summary['survivors']:,} of {summary['n']:,} trajectories survive, {summary['diverged']:,} diverged.")
    if "shares_at_end" in summary:
        start, end = (", ".join(f"{share:.4f}" for share in summary[key]) for key in ("shares_at_start", "shares_at_end"))
        lines.append(f"Share of survivors per basin, from left to right: {start} at the start, {end} at the end.{_basins(summary)}")
    if fit := summary.get("escape"):
        digits = max(4, 1 - math.floor(math.log10(fit["stderr"]))) if fit["stderr"] else 4
        span = f"over steps {fit['first']} to {fit['last']}"
        lines.append(
            f"Escape rate from the left basin: {fit['rate']:.{digits}f} ± {fit['stderr']:.{digits}f} per step, {span}."
            if fit["rate"] is not None
            else "No escape rate."
        )
        if fit["reason"]:
            lines[-1] = f"{lines[-1].removesuffix('.')}: {fit['reason']}."
    if "masses" in summary:
        lines.append(f"Posterior mass per basin: {', '.join(f'{mass:.4f}' for mass in summary['masses'])}.{_basins(summary)}")
    if "values" in summary:
        lines += _table(summary["values"])
    for group in summary.get("landscapes", [summary])[:1]:
        name = group["landscape"] + (f" with a = {group['slope']:g}" if "slope" in group else "")
        for point in group["exact"]:
            place = f"{point['name']} ({', '.join(f'{entry:.4g}' for entry in point['at'])})"
            known = f"lambda = {point['lambda']}, multiplicity {point['multiplicity']}" + (f" ({point['why']})" if "why" in point else "")
            lines.append(f"{name}, {place}: {known if point['lambda'] else 'lambda is undefined: ' + point['why']}.")
        whole = group["all_zeros"]
        if whole["lambda"]:
            lines.append(f"All zeros of K in its box together: lambda = {whole['lambda']}, multiplicity {whole['multiplicity']}.")
    if "out" in summary:
        lines.append(f"Written: {summary['out']}")
    return "\n".join(lines)


def _basins(summary: dict) -> str:
    return f" Basins are {summary['basins']}." if "basins" in summary else ""


def _table(rows: list[dict]) -> list[str]:
    cells = [list(rows[0])] + [
        ["" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row.values()] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # from here on a run says how far it came
    sys.exit(main())
