"""Long computations in pieces: generators that yield None where others may take their turn, and return what they found."""

import collections
import functools
import threading
from collections.abc import Callable, Generator


def remembered(size: int):
    """For a function that works in pieces: what it returned is kept for the last `size` arguments, and then it needs no piece."""

    def wrap(work: Callable[..., Generator]):
        known: collections.OrderedDict = collections.OrderedDict()
        lock = threading.Lock()

        @functools.wraps(work)
        def go(*args):
            with lock:
                if args in known:
                    known.move_to_end(args)
                    return known[args]
            found = yield from work(*args)
            with lock:
                known[args] = found
                while len(known) > size:
                    known.popitem(last=False)
            return found

        return go

    return wrap


def finished(work: Generator):
    """What a function that works in pieces returns, without any turns in between."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value
