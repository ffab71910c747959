"""How many threads small products get, and that the process gets its own back."""

import pytest
import torch

from nets.threads import SMALL, single

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def seen():
    for _ in range(3):
        yield torch.get_num_threads()


@pytest.mark.parametrize(("size", "device", "threads"), [(SMALL, CPU, 1), (SMALL + 1, CPU, 2), (1, torch.device("meta"), 2)])
def test_frames_of_small_problems_are_computed_on_one_thread(size, device, threads):
    outside = []
    for inside in single(seen(), size, device):
        outside.append(torch.get_num_threads())
        assert inside == threads
    assert outside == [2, 2, 2] and torch.get_num_threads() == 2


def test_who_stops_early_or_meets_an_error_has_the_threads_back():
    def broken():
        yield 1
        raise ValueError("on purpose")

    frames = single(broken(), 1, CPU)
    next(frames)
    with pytest.raises(ValueError, match="on purpose"):
        next(frames)
    assert torch.get_num_threads() == 2
    closed = []

    def endless():
        try:
            while True:
                yield 1
        finally:
            closed.append(True)

    frames = single(endless(), 1, CPU)
    next(frames)
    frames.close()
    assert torch.get_num_threads() == 2
    del frames
    assert closed
