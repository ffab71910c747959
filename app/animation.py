"""A run as a moving picture: .gif always (Pillow), .mp4 where ffmpeg is installed. Needs no browser."""

import subprocess

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.patheffects import withStroke

from dynamics.observe import Result

FRAMES = 60
SPEED = 15  # frames a second
SHOWN = {1: 60, 2: 40}  # trajectories, by dimension
TAIL = 8
COLOURS, MARKERS, DASHES = {"a": "#0072B2", "b": "#D55E00"}, {"a": "o", "b": "D"}, {"a": "-", "b": "--"}  # Okabe & Ito 2008; never colour alone
SIZE, DPI = (9.0, 4.2), 100


def animate(outcomes: dict[str, Result], path: str, title: str = "", frames: int = FRAMES) -> None:
    """Write the trajectories of A, or of A and B ({"a": ..., "b": ...}, of one landscape and length), beside what happens over time.

    Drawn are the first survivors; how many diverged is told at every frame. Raises ValueError with ffmpeg's own words if it fails.
    """
    first = outcomes["a"]
    kind = FFMpegWriter if path.endswith(".mp4") else PillowWriter
    figure, (left, right) = plt.subplots(1, 2, figsize=SIZE, dpi=DPI, width_ratios=(1.15, 1), layout="constrained")
    try:
        names = {
            name: f"{name.upper()}: {type(out.run.rule).__name__}" if len(outcomes) > 1 else type(out.run.rule).__name__
            for name, out in outcomes.items()
        }
        names = {name: f"{text}, {_drawn(outcomes[name])}" for name, text in names.items()}
        move = (_one if first.run.landscape.dim == 1 else _two)(left, outcomes)
        _over_time(right, outcomes, names)
        now = right.axvline(0, color="#444444", linewidth=1, linestyle=":")
        figure.suptitle(title or f"{first.run.landscape!r}", fontsize=11)
        handles = [
            plt.Line2D([], [], color=COLOURS[name], marker=MARKERS[name], linestyle=DASHES[name], markersize=5, label=text)
            for name, text in names.items()
        ]
        left.legend(handles=handles, fontsize=8, loc="upper center", framealpha=0.8)
        move(0)
        right.set_title(_told(outcomes, -1), fontsize=9, loc="right")
        figure.canvas.draw()
        figure.set_layout_engine("none")  # placed once: doing it for every frame takes twice the time
        writer = kind(fps=SPEED)
        with writer.saving(figure, path, DPI):
            for frame in np.unique(np.linspace(0, len(first.steps) - 1, frames).round().astype(int)):
                move(frame)
                now.set_xdata([first.steps[frame]] * 2)
                right.set_title(_told(outcomes, frame), fontsize=9, loc="right")
                writer.grab_frame()
    except BROKEN as error:
        raise failed(error) from error
    finally:
        plt.close(figure)


BROKEN = subprocess.CalledProcessError, BrokenPipeError  # what a failing ffmpeg looks like


def failed(error: Exception) -> ValueError:
    """What ffmpeg said last, and what to do instead."""
    said = getattr(error, "stderr", None) or b""
    lines = (said.decode(errors="replace") if isinstance(said, bytes) else said).split("\n")
    reason = next((line.strip() for line in reversed(lines) if line.strip()), str(error))
    return ValueError(f"ffmpeg failed: {reason[:200]}; choose .gif")


def _loss(result: Result, w: np.ndarray) -> np.ndarray:
    run = result.run
    return run.data.vx * (run.landscape.K(w) if run.landscape.of == "K" else 0.5 * np.sum((run.landscape.Q(w) - run.data.slope) ** 2, axis=-1))


def _shown(result: Result) -> np.ndarray:
    """Which trajectories are drawn: the first that never diverge (of none: the first)."""
    alive = np.flatnonzero(np.isfinite(result.w[:, 0]))
    return (alive if len(alive) else np.arange(len(result.w)))[: SHOWN[result.run.landscape.dim]]


def _drawn(result: Result) -> str:
    return f"{len(_shown(result)):,} of {result.survivors:,} survivors" if result.survivors else "no survivors"


def _told(outcomes: dict[str, Result], frame: int) -> str:
    """How many have diverged by this frame, and when it is."""
    first = outcomes["a"]
    step = first.steps[frame]
    lost = ", ".join((f"{name.upper()}: " if len(outcomes) > 1 else "") + f"{out.shares.diverged[step]:,}" for name, out in outcomes.items())
    return f"{lost} of {first.run.n:,} diverged\nstep {step:,} of {first.steps[-1]:,}"


def _reach(outcomes: dict[str, Result], axis: int) -> tuple[float, float]:
    """From where to where the trajectories that are drawn go: first and last places, nearly all between, and the minima; else the box."""
    parts = [point.at[axis : axis + 1] for point in outcomes["a"].run.landscape.minima]
    for out in outcomes.values():
        if out.survivors:
            paths = out.kept[:, _shown(out), axis]
            parts += [paths[0], paths[-1], np.quantile(paths, [0.002, 0.998])]
    low, high = (np.min(np.concatenate(parts)), np.max(np.concatenate(parts))) if any(out.survivors for out in outcomes.values()) else (0, 0)
    return (low - 0.08 * (high - low), high + 0.08 * (high - low)) if high > low else outcomes["a"].run.landscape.box[axis]


def _one(axes, outcomes):
    first = outcomes["a"]
    landscape = first.run.landscape
    (low, high), ends = landscape.box[0], _reach(outcomes, 0)
    low, high = min(low, ends[0]), max(high, ends[1])
    x = np.linspace(low, high, 500)
    k = _loss(first, x[:, None])
    walls = _loss(first, np.array(landscape.barriers)[:, None]) if landscape.barriers else []
    top = 1.7 * max(walls) if len(walls) else 0.6 * min(k[0], k[-1])
    axes.plot(x, k, color="#222222", linewidth=1.4)
    for barrier in landscape.barriers:
        axes.axvline(barrier, color="#777777", linewidth=1, linestyle="--")
    if not first.run.data.slope:
        for minimum in landscape.minima:
            _name(axes, minimum, (minimum.at[0], -0.04 * top), va="top", ha="center")
    axes.set(xlim=(low, high), ylim=(-0.16 * top, top), xlabel="w", ylabel="K, nats per sample")
    dots = {name: axes.plot([], [], MARKERS[name], color=COLOURS[name], markersize=5, alpha=0.75, markeredgewidth=0)[0] for name in outcomes}

    def move(frame: int) -> None:
        for name, out in outcomes.items():
            w = out.kept[frame, _shown(out), 0]
            dots[name].set_data(w, _loss(first, w[:, None]))

    return move


def _two(axes, outcomes):
    first = outcomes["a"]
    landscape = first.run.landscape
    (x0, x1), (y0, y1) = _reach(outcomes, 0), _reach(outcomes, 1)
    x, y = np.linspace(x0, x1, 200), np.linspace(y0, y1, 200)
    k = _loss(first, np.stack(np.meshgrid(x, y), axis=-1))
    top = np.quantile(k, 0.995) or 1.0
    axes.contourf(x, y, np.log10(np.clip(k, 1e-6 * top, top)), 20, cmap="Greys_r", alpha=0.45)
    if not first.run.data.slope:
        for minimum in landscape.minima:
            axes.plot(*minimum.at, "^", color="#007A5A", markersize=7)
            _name(axes, minimum, minimum.at, textcoords="offset points", xytext=(7, -3))
    axes.set(xlim=(x0, x1), ylim=(y0, y1), xlabel="w₁", ylabel="w₂")
    axes.locator_params(axis="x", nbins=6)
    if 0.25 < (x1 - x0) / (y1 - y0) < 4:  # else a ribbon
        axes.set_aspect("equal")
    draw = lambda name, style, **more: axes.plot([], [], style, color=COLOURS[name], **more)[0]  # noqa: E731
    dots = {name: draw(name, MARKERS[name], markersize=4.5, markeredgecolor="white", markeredgewidth=0.4) for name in outcomes}
    tails = {name: draw(name, "-", linewidth=0.8, alpha=0.6) for name in outcomes}

    def move(frame: int) -> None:
        for name, out in outcomes.items():
            paths = out.kept[max(0, frame - TAIL) : frame + 1, _shown(out)]
            dots[name].set_data(*paths[-1].T)
            gaps = np.concatenate([paths, np.full((1, *paths.shape[1:]), np.nan)])  # NaN ends a tail
            tails[name].set_data(*np.swapaxes(gaps, 0, 1).reshape(-1, 2).T)

    return move


def _name(axes, minimum, at, **more) -> None:
    if minimum.lam is not None:
        text = f"λ = {minimum.lam}" + (f", m = {minimum.multiplicity}" if minimum.multiplicity > 1 else "")
        axes.annotate(text, at, color="#007A5A", fontsize=9, weight="bold", path_effects=[withStroke(linewidth=3, foreground="white")], **more)


def _over_time(axes, outcomes, names) -> None:
    first = outcomes["a"]
    landscape = first.run.landscape
    for name, out in outcomes.items():
        style = {"color": COLOURS[name], "linestyle": DASHES[name]}
        if landscape.barriers:
            left = out.share[:, 0]
            axes.plot(np.arange(len(left)), np.where(left > 0, left, np.nan), **style)
            continue
        far = np.linalg.norm(out.kept, axis=-1) if landscape.dim == 2 else out.distance(landscape.minima[0])
        alive = np.isfinite(far[-1])
        if alive.any():
            low, middle, high = np.quantile(far[:, alive], [0.1, 0.5, 0.9], axis=1)
            axes.fill_between(out.steps, low, high, color=COLOURS[name], alpha=0.2, linewidth=0)
            axes.plot(out.steps, middle, **style)
    axes.set(xlim=(0, first.steps[-1]), xlabel="step")
    if landscape.barriers:
        axes.set(yscale="log", ylim=(0.5 / first.run.n, 1.5))
        axes.set_title("share left of the\nbarrier, of survivors", fontsize=9, loc="left")
    else:
        axes.set_ylim(bottom=0)
        axes.set_title("distance to " + ("O" if landscape.dim == 2 else f"w = {landscape.minima[0].name}") + "\nof survivors", fontsize=9, loc="left")
    axes.grid(alpha=0.25)
