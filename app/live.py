"""Latest wins: one computation in flight for each visitor, only the newest request kept, an older one abandoned at its next result."""

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

log = logging.getLogger(__name__)
ANSWER = 0.5  # seconds to wait for the browser's word that a picture is on the screen
AWAY = 1.0  # seconds until it is looked again whether the visitor is back
IDLE = 0.18  # seconds without a newer request before the fine picture is computed
POLITE = 1.0  # seconds that what follows a first result waits, in all, while another visitor waits for a first one
GLANCE = 0.05  # seconds until it is looked again whether one does


@functools.cache
def jobs() -> ThreadPoolExecutor:
    """Shared by all visitors; every result is a task of its own, so that they take turns."""
    return ThreadPoolExecutor(4, thread_name_prefix="job")


class Abandoned(Exception):
    """Raised by work that has asked `stale()` and stops in the middle of a piece."""


class Asked:
    """Stands for a `Latest` where nothing is computed in threads: it remembers the last value that was asked for."""

    stale, wanted = False, None

    def __call__(self, value) -> None:
        self.wanted = value

    def close(self) -> None:
        """There is nothing to stop."""


class Latest:
    """`work(value)` yields results, each handed to `publish` (from a thread); calling this with a newer value abandons the older.

    After a result of `work` that is a float, the next is computed only after so many seconds without a newer request; after one that
    `slow` says goes to the browser, only once `shown()` has been called (or `ANSWER` seconds have passed). A long piece of work may ask
    `stale` whether its result is still wanted, and raise `Abandoned`. While nobody is `present()`, no further piece is begun.
    What a slider waits for comes first: while any `Latest` has not shown the first result of its newest value, the later ones of others wait, POLITE
    seconds at most.
    """

    hurried: ClassVar[set] = set()  # those whose first result is not there yet

    def __init__(
        self,
        work: Callable[[object], Iterator],
        publish: Callable[[object], None],
        slow: Callable[[object], bool] = lambda result: False,
        present: Callable[[], bool] = lambda: True,
    ):
        self.work, self.publish, self.slow, self.present = work, publish, slow, present
        self.lock = threading.Lock()
        self.wanted = self.begun = None  # the newest value if nothing was begun for it yet; that of the results
        self.phase = "free"  # free, busy, resting (may be interrupted), showing (may not)
        self.timer = None
        self.steps: Iterator = iter(())
        self.politeness = POLITE

    def __call__(self, value) -> None:
        with self.lock:
            self.wanted = value
            if self.phase != "closed":
                self.hurried.add(self)
            if self.phase in ("free", "resting"):
                self._go()

    @property
    def stale(self) -> bool:
        """Is there a newer value, or nobody to show a result to?"""
        return self.wanted is not None or self.phase == "closed"

    def shown(self) -> None:
        """The browser has drawn the last picture."""
        with self.lock:
            if self.phase == "showing":
                self._go()

    def close(self) -> None:
        """Stop for good."""
        with self.lock:
            self.phase = "closed"
            self.wanted, self.steps = None, iter(())
            self.hurried.discard(self)
            if self.timer:
                self.timer.cancel()

    def _go(self) -> None:  # with the lock held
        if self.timer:
            self.timer.cancel()
            self.timer = None
        self.phase = "busy"
        try:
            jobs().submit(self._next)
        except RuntimeError:  # the process ends, and takes no more work
            self.phase = "closed"

    def _wait(self, phase: str, seconds: float) -> None:  # with the lock held
        def resume():
            with self.lock:
                if self.phase == phase and self.timer is timer:
                    self._go()

        self.phase = phase
        timer = self.timer = threading.Timer(seconds, resume)
        timer.daemon = True
        timer.start()

    def _next(self) -> None:
        with self.lock:
            if self.phase != "busy":
                return
            if not self.present():
                self.hurried.discard(self)
                self._wait("resting", AWAY)
                return
            if self.wanted is not None:
                self.begun, self.wanted, self.politeness = self.wanted, None, POLITE
                self.steps = iter(self.work(self.begun))
            else:
                self.hurried.discard(self)
                if self.hurried and self.politeness > 0:
                    self.politeness -= GLANCE
                    self._wait("resting", GLANCE)
                    return
        try:
            result = next(self.steps, None)
            if result is not None and not isinstance(result, float):
                self.publish(result)
        except Abandoned:
            self.steps, result = iter(()), None
        except Exception as error:
            if isinstance(error, RuntimeError) and "cannot schedule new futures" in str(error):  # of the kernels' threads: the process ends
                self.phase = "closed"
                return
            if isinstance(error, ValueError):  # values that cannot be computed: the page says so
                log.warning("a computation was refused: %s", error)
            else:
                log.exception("a computation failed")
            self.steps = iter(())
            result = error
            try:
                self.publish(error)
            except Exception:  # the page itself is broken; a newer request may still find it mended
                log.exception("a failure could not be shown")
        with self.lock:
            if self.phase != "busy":
                return
            if self.wanted is not None and not self.slow(result):
                self._go()
            elif result is None:
                self.phase = "free"
                self.hurried.discard(self)
            elif isinstance(result, float):
                self._wait("resting", result)
            elif self.slow(result):
                self._wait("showing", ANSWER)
            else:
                self._go()
