"""Presets of networks on the command line: run, keep what is done when interrupted, go on from it, write tables and figures.

Importing this imports torch; `claims()`, in app/claims.py, does not.
"""

import contextlib
import csv
import dataclasses
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from tqdm import tqdm

from app import export
from nets.data import DATA, Data
from nets.experiment import Experiment, Row
from nets.presets import PRESETS, Preset, judge

PICTURES = (".png", ".svg", ".pdf")
SUFFIXES = (".npz", ".csv", ".json", *PICTURES, ".html")
SAVED = 30.0  # seconds between checkpoints
SIMPLE = (bool, int, float, str, type(None))


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after what was done has been kept."""


# Settings


def chosen(name: str, quick: bool, settings: Sequence[str]) -> tuple[Preset, Experiment]:
    """The preset, and its run, full or quick, with these settings."""
    preset = PRESETS[name]
    return preset, change(preset.quick if quick else preset.run, settings)


def change(run: Experiment, settings: Sequence[str]) -> Experiment:
    """The run with "epochs=5" or "OnlineNGD.alpha=1": every field of this name (of this class) in it that has one value all over.

    Raises ValueError for a name that is not there, has several values (then the run compares them), or a value that is not legal.
    """
    for setting in settings:
        name, equals, text = (part.strip() for part in setting.partition("="))
        owner, _, field = name.rpartition(".")
        if not equals or not field:
            raise ValueError(f"{setting[:60]!r} is no setting; write name=value, e.g. epochs=5 or OnlineNGD.alpha=1")
        spots = list(dict.fromkeys(_spots(run, owner, field)))
        if not spots:
            names = sorted({f"{cls}.{field}" for cls, field, _ in _spots(run, "", "")})
            raise ValueError(f"{name[:60]!r}: no such value in this run; it has {', '.join(names)}")
        values = list(dict.fromkeys(value for _, _, value in spots))
        if len(values) > 1:
            classes = sorted({cls for cls, _, _ in spots})
            own = [f"{cls}.{field}" for cls in classes if len({value for other, _, value in spots if other == cls}) == 1] if not owner else []
            remedy = f"set {' or '.join(own)}" if own and len(classes) > 1 else "set something else"
            raise ValueError(f"{setting[:60]!r}: {name} has the values {', '.join(map(str, values[:6]))} in this run; {remedy}")
        run = _changed(run, owner, field, _read(name, text, values[0]))
    return run


def _spots(value, owner: str, field: str) -> Iterator[tuple[str, str, object]]:
    """(class, field, value) of everything that can be set by this name; of everything if the name is empty."""
    if isinstance(value, tuple) and not all(isinstance(part, SIMPLE) for part in value):
        for part in value:
            yield from _spots(part, owner, field)
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            inner = getattr(value, one.name)
            if (
                isinstance(inner, (*SIMPLE, tuple, Data))
                and (not field or one.name == field)
                and owner in ("", type(value).__name__)
                and _plain(inner)
            ):
                yield type(value).__name__, one.name, inner
            yield from _spots(inner, owner, field)


def _plain(value) -> bool:
    return not isinstance(value, tuple) or (bool(value) and all(isinstance(part, int | float) for part in value))


def _changed(value, owner: str, field: str, new):
    if isinstance(value, tuple):
        return tuple(_changed(part, owner, field, new) for part in value)
    if not dataclasses.is_dataclass(value):
        return value
    changes = {}
    for one in dataclasses.fields(value):
        inner = getattr(value, one.name)
        here = one.name == field and owner in ("", type(value).__name__) and isinstance(inner, (*SIMPLE, tuple, Data)) and _plain(inner)
        after = new if here else _changed(inner, owner, field, new)
        if after is not inner and after != inner:
            changes[one.name] = after
    return dataclasses.replace(value, **changes) if changes else value


def _read(name: str, text: str, now):
    """`text` as a value of the kind of `now`."""
    kind = type(now).__name__
    try:
        if isinstance(now, Data):
            return DATA[text]()
        if isinstance(now, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(now, tuple):
            return tuple(type(now[0])(part) for part in text.split(","))
        return float(text) if now is None else type(now)(text)
    except (ValueError, KeyError, TypeError):
        kind = (
            f"data, such as {', '.join(DATA)}"
            if isinstance(now, Data)
            else {"tuple": "numbers with commas between", "NoneType": "float"}.get(kind, kind)
        )
        raise ValueError(f"{name} = {text[:40]!r} is not of its kind ({kind}; now {str(now)[:40]})") from None


# Running


@contextlib.contextmanager
def _presses() -> Iterator[list]:
    """A list that has an entry once Ctrl-C was pressed; the second time it is a KeyboardInterrupt, as ever."""
    presses: list[int] = []

    def press(signum, frame):
        if presses:
            raise KeyboardInterrupt
        presses.append(signum)
        print("\npython -m app: stopping at the next frame, to keep it (Ctrl-C again: at once)", file=sys.stderr)

    if threading.current_thread() is not threading.main_thread():
        yield presses
        return
    before = signal.signal(signal.SIGINT, press)
    try:
        yield presses
    finally:
        signal.signal(signal.SIGINT, before)


class Kept:
    """What has been done so far: rows, the share of the work, and the checkpoint beside the output, if there is one."""

    def __init__(self, checkpoint: pathlib.Path | None):
        self.checkpoint, self.rows, self.share, self.saved = checkpoint, (), 0.0, False

    def save(self, frame) -> None:
        if self.checkpoint:
            frame.save(self.checkpoint)
            self.saved = True


def follow(frames, kept: Kept) -> None:
    """Iterate to the end with a bar and the time left on a terminal; checkpoints now and then. KeyboardInterrupt if it was stopped."""
    quiet = not sys.stderr.isatty()
    form = "{percentage:3.0f}%|{bar}| {elapsed} gone, {postfix} left"
    last = time.monotonic()
    with _presses() as presses, tqdm(total=1.0, file=sys.stderr, disable=quiet, leave=False, bar_format=form) as bar:
        for frame in frames:
            kept.rows, kept.share = frame.rows, frame.share
            bar.set_postfix_str(clock(frame.seconds_left), refresh=False)
            bar.update(frame.share - bar.n)
            if presses or time.monotonic() - last > SAVED:
                kept.save(frame)
                last = time.monotonic()
            if presses and frame.share < 1:
                raise KeyboardInterrupt


def clock(seconds: float) -> str:
    """1:02:03, or 2:03; "?" where it is not known."""
    if not np.isfinite(seconds):
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def run(options, stage) -> dict:
    """The summary of a preset's run; files are written. Raises Interrupted when stopped, with what was done kept."""
    if options.every is not None:
        raise ValueError(f"--every {options.every}: {options.name} keeps a row of each measurement; leave --every out")
    settings = [*options.set, *([f"seed={options.seed}"] if options.seed is not None else [])]
    preset, experiment = chosen(options.name, options.quick, settings)
    paths = [export.checked(out, suffixes=SUFFIXES) for out in options.out or ()]
    checkpoint = paths[0].with_suffix(".checkpoint") if paths else None
    if options.resume and not paths:
        raise ValueError("--resume goes on from the checkpoint beside a result; give the --out FILE of the run that was interrupted")
    if checkpoint and checkpoint.exists() and not options.resume:
        raise ValueError(f"there is {str(checkpoint)!r} of a run that was interrupted; go on with --resume, or delete it")
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # products here are small: a second thread mostly waits, and sums stay the same on any machine
    kept = Kept(checkpoint)
    stage.text = "before the run began; nothing was written"
    try:
        follow(experiment.resume(checkpoint) if options.resume else experiment.stream(), kept)
    except KeyboardInterrupt:
        stage.text = f"after {kept.share:.0%}; {_keep(preset, experiment, settings, paths, kept)}"
        raise Interrupted(summary(preset, experiment, settings, kept.rows, kept.share, paths)) from None
    except ValueError as error:
        if not kept.rows:
            raise
        raise ValueError(f"{error} (after {kept.share:.0%}; {_keep(preset, experiment, settings, paths, kept)})") from error
    stage.text = "while writing; the run is done"
    write(preset, experiment, settings, kept.rows, 1.0, paths)
    if checkpoint:
        checkpoint.unlink(missing_ok=True)
    stage.text = "after the run" + (f"; {', '.join(map(str, paths))} is written" if paths else "")
    return summary(preset, experiment, settings, kept.rows, 1.0, paths)


def _keep(preset, experiment, settings, paths, kept: Kept) -> str:
    """Write what is there, and say so."""
    if not paths:
        return "nothing was written: with --out FILE the run can go on later with --resume"
    written = "nothing is measured yet"
    if kept.rows:
        write(preset, experiment, settings, kept.rows, kept.share, paths)
        written = f"what was found so far is in {', '.join(map(str, paths))}"
    return written + ("; the same command with --resume goes on" if kept.saved or kept.checkpoint.exists() else "")


# Results


def summary(preset: Preset, experiment: Experiment, settings, rows: Sequence[Row], share: float, paths=()) -> dict:
    """What a run has shown, as plain values."""
    verdict = judge(preset, rows)
    head = {"preset": preset.name, "title": preset.title, "cite": preset.cite, "claim": preset.claim, "note": preset.note}
    head |= {"holds": verdict.ok, "verdict": verdict.text, "complete": share >= 1, "share": share, "settings": list(settings)}
    head |= {"cases": len(experiment.cases), "first": repr(experiment.cases[0]), "rows": [dict(row) for row in rows]}
    return head | ({"out": [str(path) for path in paths]} if paths else {})


def words(found: dict) -> str:
    """The same for people."""
    holds = {True: "It holds in this run.", False: "It does not hold in this run.", None: "It cannot be told from this run."}[found["holds"]]
    lines = [found["title"], found["cite"], f"Claim: “{found['claim']}”", f"{holds} {found['verdict']}", f"Note: {found['note']}"]
    if not found["complete"]:
        lines.append(f"Interrupted after {found['share']:.0%} of the work.")
    if "out" in found:
        lines.append(f"Written: {', '.join(found['out'])}")
    return "\n".join(lines)


def table(rows: Sequence[Row]) -> dict[str, list]:
    """Columns in order of appearance; None where a row has no such value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: [row.get(name) for row in rows] for name in names}


def arrays(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """The columns as arrays: numbers (NaN where missing), or text (empty)."""
    found = {}
    for name, values in table(rows).items():
        text = any(isinstance(value, str) for value in values)
        found[name] = (
            np.array(["" if v is None else str(v) for v in values]) if text else np.array([np.nan if v is None else v for v in values], float)
        )
    return found


def write(preset: Preset, experiment: Experiment, settings, rows: Sequence[Row], share: float, paths: Sequence[pathlib.Path]) -> None:
    """Each file, whole or not at all."""
    for path in paths:
        with export.whole(path) as target:
            suffix = path.suffix.lower()
            if suffix == ".json":
                found = export.strict_json(summary(preset, experiment, settings, rows, share))
                pathlib.Path(target).write_text(found, encoding="utf-8")
            elif suffix == ".csv":
                columns = table(rows)
                with open(target, "w", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerows([list(columns), *zip(*columns.values(), strict=True)])
            elif suffix == ".npz":
                head = summary(preset, experiment, settings, rows, share) | {"rows": len(rows)}
                np.savez_compressed(target, run=np.array(export.strict_json(head)), **arrays(rows))
            elif suffix == ".html":
                from app.netplots import recorded
                from app.standalone import Picture, slides

                frames = (Picture(*frame) for frame in recorded(preset, rows, judge(preset, rows), share))
                pathlib.Path(target).write_text(slides(frames, preset.title, preset.cite), encoding="utf-8")
            else:
                from app.netplots import draw

                draw(preset, rows, target, judge(preset, rows), share)
