"""How many threads small products get, and that the process gets its own back."""

import pytest
import torch

from nets.data import Digits
from nets.models import MLP
from nets.optimisers import SGD, Adam
from nets.race import Race
from nets.threads import SMALL, single
from nets.training import Training, Watch

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Threads:
    """A probe that says how many threads it was measured on."""

    def measure(self, model, loss, x, y, seed=0):
        return torch.get_num_threads()


@pytest.mark.parametrize(("width", "threads"), [(8, 1), (2000, 2)])
def test_a_training_and_a_race_of_small_networks_run_on_one_thread_also_when_resumed(width, threads, tmp_path):
    run = Training(Digits(size=64, test=32), MLP((64, width, 10)), SGD(), epochs=2, batch=32, probes=(Watch(Threads(), every=1),))
    assert (run.model.size <= SMALL) == (threads == 1)
    race = Race.of(run, SGD(), Adam())
    for value, lanes in ((run, lambda frame: [frame]), (race, lambda frame: frame.lanes)):
        for i, frame in enumerate(value.stream()):
            if i == 1:
                frame.save(tmp_path / "half")
            assert all(lane.probes in ((None,), (threads,)) for lane in lanes(frame)) and torch.get_num_threads() == 2
        resumed = [lane.probes for frame in value.resume(tmp_path / "half") for lane in lanes(frame)]
        assert (threads,) in resumed and set(resumed) <= {(None,), (threads,)}


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
