"""Small products on one thread: their second thread mostly waits, and on a busy machine everybody waits for it (50 ms a step instead of one)."""

from collections.abc import Iterator
from typing import TypeVar

import torch

SMALL = 100_000  # parameters up to which more threads have not paid in any measurement of `tests/bench_nets.py`
Frame = TypeVar("Frame")


def single(frames: Iterator[Frame], size: int, device: torch.device) -> Iterator[Frame]:
    """The same frames, computed on one thread if so few parameters move on a CPU; between frames the process has its number of threads back."""
    if size > SMALL or torch.device(device).type != "cpu":
        yield from frames
        return
    while True:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            frame = next(frames)
        except StopIteration:
            return
        finally:
            torch.set_num_threads(before)
        yield frame
        del frame  # chains as long as their weights are not held twice
