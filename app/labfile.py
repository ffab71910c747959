"""A lab's link as a file, headless: its run recorded (.html), drawn (.png, .svg, .pdf), moving (.gif, .mp4) or as a table (.csv).

For the labs that compute in Python; the landscape lab, which simulates in the browser, is `standalone`'s.
"""

import io
import pathlib
from collections.abc import Callable, Mapping

import numpy as np
from PIL import Image

from app import export, paper, recording
from app.pages import PAGES
from app.state import misnamed_figures

DPI = 90  # of moving pictures
PACE = 5  # of them a second


def opened(page: str, query: Mapping[str, str]):
    """The session of a lab at the state of a link, on no server, and what could not be used of it."""
    session = PAGES[page]()({**query, "page": page} | ({"widget": page} if query.get("figures") else {}))  # of a page they are all
    cells = getattr(session, "cells", {})
    return session, [*session.view.notices, *misnamed_figures(query, cells)[1]]


def save(session, path: pathlib.Path, told: Callable[[str], None] = lambda label: None) -> None:
    """Run a lab and write what it shows, whole or not at all; `told` hears how far it is. Raises ValueError for what cannot be computed."""
    suffix = path.suffix.lower()
    if suffix in export.MOVING:
        pictures = []
        for label in filter(None, session.record()):
            told(label)
            pictures.append(_picture(session.sheet()()))
        return _film(pictures, path)
    if suffix == ".html":
        made = None
        for made in recording.record(session, session.heading):
            if isinstance(made, str):
                told(made)
        content = recording.page(made).encode()
    else:
        for label in filter(None, session.record()):
            told(label)
        content = session.table().encode() if suffix == ".csv" else paper.written(session.sheet()(), suffix)
        if not content:
            raise ValueError(f"there is no row to write: {session.view.says}")
    with export.whole(path) as target:
        pathlib.Path(target).write_bytes(content)


def _picture(sheet) -> Image.Image:
    return Image.open(io.BytesIO(paper.written(sheet, ".png", DPI))).convert("RGB")


def _film(pictures: list[Image.Image], path: pathlib.Path) -> None:
    """At most so many as a recording has, on one ground: sheets grow with their legends."""
    kept = [pictures[i] for i in sorted({round(i) for i in np.linspace(0, len(pictures) - 1, min(len(pictures), recording.MOST))})]
    width, height = (2 * -(-max(sizes) // 2) for sizes in zip(*(picture.size for picture in kept), strict=True))  # films want even numbers
    frames = []
    for picture in kept:
        ground = Image.new("RGB", (width, height), "white")
        ground.paste(picture)
        frames.append(ground)
    with export.whole(path) as target:
        if path.suffix.lower() == ".gif":
            frames[0].save(
                target, save_all=True, append_images=frames[1:], duration=[1000 // PACE] * (len(frames) - 1) + [2000], loop=0, optimize=True
            )
        else:
            _encoded(frames, target)


def _encoded(frames: list[Image.Image], target: str) -> None:
    from matplotlib.animation import FFMpegWriter
    from matplotlib.figure import Figure

    from app.animation import BROKEN, failed

    width, height = frames[0].size
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    writer = FFMpegWriter(fps=PACE)
    try:
        with writer.saving(figure, target, DPI):
            for frame in frames:
                figure.clear()
                figure.figimage(np.asarray(frame))
                writer.grab_frame()
    except BROKEN as error:
        raise failed(error) from error
