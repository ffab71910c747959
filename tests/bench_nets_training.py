"""What an epoch costs beside the bare torch loop on the same batches: SGD and the others, 2x256 MLP and LeNet-5.

`make bench`, or `python tests/bench_nets_training.py`. MNIST where it is found (../shared/data, else $LAMBDASCAPE_DATA), else random pictures
of its size: the cost is the same. One torch thread; CPU seconds of the process, the least of several alternating repeats (others' load only adds).
"""

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.nn import functional

from nets.data import MNIST, Data, Tensors, permutation
from nets.fisher import FisherNGD
from nets.kaldi import OnlineNGD
from nets.kfac import KFAC
from nets.models import MLP, LeNet5
from nets.optimisers import SGD, Adam
from nets.training import Training

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"
BATCH = 128


@dataclass(frozen=True)
class Pictures(Data):
    """Random pictures of MNIST's size."""

    def read(self) -> Tensors:
        generator = torch.Generator().manual_seed(0)
        x, y = torch.randn(70_000, 1, 28, 28, generator=generator), torch.randint(10, (70_000,), generator=generator)
        return Tensors(x[:60_000], y[:60_000], x[60_000:], y[60_000:])


def pictures() -> Data:
    for data in (MNIST(root=str(SHARED)), MNIST()):
        try:
            data.load()
        except ValueError:
            continue
        return data
    return Pictures()


def cpu(work) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def bare(run: Training):
    """An epoch as a plain loop of torch: the same weights, batches and rule, nothing reported, nothing scored."""
    x, y = run.data.load()[:2]
    model = run.model.build(run.seed)
    optimiser = torch.optim.SGD(model.parameters(), lr=run.optimiser.lr, momentum=run.optimiser.momentum, nesterov=run.optimiser.nesterov)

    def epoch():
        for batch in permutation(len(x), run.seed, 0).split(run.batch):
            loss = functional.cross_entropy(model(x[batch]), y[batch])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()

    return epoch


def streamed(run: Training, every: int = 10):
    """An epoch of the stream, its frames and scores included."""
    frames = run.stream(every)
    next(frames)

    def epoch():
        for frame in frames:
            if frame.epoch == int(frame.epoch):
                return

    return epoch


def beside(name: str, run: Training, repeats: int) -> None:
    """Print the cost of an epoch of `run`, and its ratio to the bare loop of the same model by SGD; new epochs of both, in turns."""
    loop, ours = bare(replace(run, optimiser=run.optimiser if isinstance(run.optimiser, SGD) else SGD())), streamed(replace(run, epochs=repeats))
    times = [(cpu(loop), cpu(ours)) for _ in range(repeats)]
    plain, mine = (min(column) for column in zip(*times, strict=True))
    print(f"{name:<52} {mine:8.2f} s {plain:8.2f} s {mine / plain:8.2f} x", flush=True)


def main() -> None:
    torch.set_num_threads(1)
    data = pictures()
    print(f"torch {torch.__version__}, one thread, {data!r}, batch {BATCH}; CPU seconds an epoch: streamed with frames and scores, bare loop, ratio")
    for model, repeats in ((MLP((784, 256, 256, 10)), 5), (LeNet5(), 3)):
        run = Training(data, model, SGD(lr=0.01, momentum=0.9, nesterov=True), batch=BATCH)
        beside(f"SGD, {model!r}"[:52], run, repeats)
        beside("   the same, all 70,000 samples scored each epoch", replace(run, scored=0), repeats)
        for optimiser in (Adam(), FisherNGD(lr=1e-5), FisherNGD(lr=1e-5, fisher="empirical"), KFAC(lr=1e-5), OnlineNGD(), OnlineNGD(paper_mode=True)):
            beside(f"   {optimiser!r}"[:52], replace(run, optimiser=optimiser), 2)


if __name__ == "__main__":
    sys.exit(main())
