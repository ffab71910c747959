"""Messages whose polynomial takes long to understand are pondered in a thread; a visitor's messages keep their order, and nobody else waits.

All real zeros of a polynomial with long decimals are found in up to seconds, and kept by `landscapes.zeros`: once that is done, whoever asks for
them in the server's own thread has them at once.
"""

import contextlib
import logging
from collections import deque
from collections.abc import Callable

from app.live import jobs
from app.page import asked, deliver
from landscapes import parse

log = logging.getLogger(__name__)


def polynomial_in(message) -> tuple[str, str] | None:
    """The text that a message brings, and what it is of; None if there is none to understand. Nothing in a message is trusted."""
    if not isinstance(message, dict):
        return None
    values = message.get("set")
    if isinstance(message.get("open"), str):
        values = asked(message["open"])
    found = {str(name).rpartition(".")[2]: str(value) for name, value in values.items()} if isinstance(values, dict) else {}
    return (found["text"], found.get("of", "Q")) if "text" in found else None


class Ponderer:
    """Hands messages to `hear(message)` in their order, each only when its polynomial has been looked at in a thread."""

    def __init__(self, session, hear: Callable[[object], None]):
        self.session, self.heard, self.waiting = session, hear, deque()

    def hear(self, message) -> None:
        self.waiting.append(message)
        if len(self.waiting) == 1:
            self._go()

    def _go(self) -> None:
        while self.waiting:
            if (found := polynomial_in(self.waiting[0])) is not None:
                jobs().submit(self._ponder, *found)
                return
            self._pass_on()

    def _pass_on(self) -> None:
        try:
            self.heard(self.waiting[0])
        except Exception:  # those that wait behind it are heard all the same
            log.exception("a message could not be heard")
        self.waiting.popleft()

    def _ponder(self, text: str, of: str) -> None:  # in a thread
        with contextlib.suppress(ValueError):  # the page, which looks again, says what is wrong
            parse(text, of)
        deliver(self.session, self._pondered)

    def _pondered(self) -> None:
        self._pass_on()
        self._go()
