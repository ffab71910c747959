"""Trainings from saddle to saddle, frame by frame in threads, and who watches them.

They are kept in memory by their settings, the last KEPT of this process: whoever asks for the same one sees the same, and all who watch it
compute it together, in turns. One that nobody watches stands still, and goes on from there when somebody comes back.
"""

import itertools
import math
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple

import torch

from app.live import Latest
from app.page import Session
from nets.saddle import SaddleFrame, SaddleToSaddle

KEPT = 8  # trainings: frames, and one set of weights and samples each
EVERY = 0.25  # seconds between two pictures of a training
LIMIT = 600  # seconds: one that takes more is refused
MOST = 2000  # estimates a training
MEMORY = 2e8  # bytes a training
STOP = ()  # asked for, it ends what is computed
AFTER, RESPECT = 0.3, 0.05  # seconds after a change, during which a training rests so long between two frames


def seconds(run: SaddleToSaddle) -> float:
    """About how long it takes on one idle core."""
    layers, products = run.hidden + 1, sum(a * b for a, b in itertools.pairwise(run.widths)) * run.size
    step = 14e-6 * layers + products * 6e-10
    estimates = run.steps // run.every + 1
    draw = 18e-6 * layers + run.chains * (products * 6e-10 + products / run.size * 2e-9)
    return run.steps * step + estimates * (run.draws * draw + 2e-3 + layers * run.width**3 * 1e-9)


def problem(run: SaddleToSaddle) -> str:
    """Why this training is refused, if it is."""
    parameters = sum(a * b for a, b in itertools.pairwise(run.widths))
    memory = 8 * (4 * run.n * run.size + (6 * run.chains + 6) * parameters)
    if memory > MEMORY:
        what = f"{run.n:,} samples and {run.chains} chains of {parameters:,} weights"
        return f"{what} need {memory / 1e6:,.0f} MB of at most {MEMORY / 1e6:.0f}; take fewer"
    if run.steps // run.every > MOST:
        return f"{run.steps // run.every:,} estimates of at most {MOST:,}; estimate less often"
    if seconds(run) > LIMIT:
        return f"about {seconds(run) / 60:,.0f} minutes of at most {LIMIT // 60}; take fewer steps or draws, narrower layers, or estimate less often"
    return ""


class Course:
    """A training that grows while somebody watches."""

    def __init__(self, run: SaddleToSaddle):
        self.run, self.frames, self.done, self.error = run, [], False, ""
        self.turn, self.steps = threading.Lock(), None

    def advance(self) -> bool:
        """One frame more; False if somebody else is at it."""
        if not self.turn.acquire(blocking=False):
            return False
        try:
            if not self.done:
                torch.set_num_threads(1)  # small matrices: more threads only get into each other's way, and other visitors'
                self.steps = self.steps or self.run.stream()
                frame = next(self.steps, None)
                if frame is None:
                    self.done, self.steps = True, None
                else:
                    self.frames.append(frame)
        except ValueError as error:
            self.done, self.steps, self.error = True, None, str(error)
        finally:
            self.turn.release()
        return True


_courses: dict[SaddleToSaddle, Course] = {}  # the last used last
_turn = threading.Lock()


def course(run: SaddleToSaddle, fresh: bool = False) -> Course:
    """The training with these settings: the same for everybody. fresh: from the start, leaving to others what they watch."""
    with _turn:
        old = _courses.pop(run, None)
        made = _courses[run] = Course(run) if old is None or fresh or old.error else old
        while len(_courses) > KEPT:
            del _courses[next(iter(_courses))]
    return made


class Seen(NamedTuple):
    """A training so far; left: seconds until it is done, if that is known."""

    course: Course
    frames: tuple[SaddleFrame, ...]
    done: bool
    left: float | None = None


_touched = -math.inf  # when somebody last changed something on the page


def touch() -> None:
    """Somebody moves a slider: that comes first for a while."""
    global _touched
    _touched = time.monotonic()


def follow(course: Course | tuple) -> Iterator:
    """Pictures of a growing training, what `Latest` iterates over; a rest of no length between two frames gives others their turn."""
    if course is STOP:
        return
    last, seen = -math.inf, []
    while not course.done:
        busy = time.monotonic() - _touched < AFTER
        yield (RESPECT if busy else 0.0) if course.advance() else 0.01
        now = time.perf_counter()
        if now - last > EVERY and course.frames and not course.done:
            step, last = course.frames[-1].step, now
            seen = [*seen[-20:], (now, step)]
            rate = (step - seen[0][1]) / (now - seen[0][0]) if len(seen) > 2 else 0
            yield Seen(course, tuple(course.frames), False, (course.run.steps - step) / rate if rate else None)
    yield Seen(course, tuple(course.frames), True)


class Failed(NamedTuple):
    """A training broke, and not for want of good settings."""

    error: Exception


class Watch:
    """Somebody watches a training: a page, or a browser tab whose visitor looks at another page (see `tabs`)."""

    def __init__(self):
        self.course: Course | None = None
        self.phase = "idle"  # idle, running, paused, stopped, done
        self.left: float | None = None
        self.page: Session | None = None
        self.latest = Latest(follow, self._tell)

    def _tell(self, result) -> None:  # from a thread
        if self.page is not None:
            self.page.publish(Failed(result) if isinstance(result, Exception) else result)

    def go(self, course: Course) -> None:
        self.course, self.phase, self.left = course, "running", None
        self.latest(course)

    def stand(self, phase: str) -> None:
        self.phase = phase
        self.latest(STOP)

    def close(self) -> None:
        self.page = None
        self.latest.close()


def duration(value: float) -> str:
    return "a second" if value < 1.5 else f"{value:.0f} s" if value < 90 else f"{value / 60:.0f} min"
