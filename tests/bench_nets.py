"""What a step of a chain costs: microseconds of CPU per chain-step, beside a plain torch loop and devinterp (extra `bench`) on the same work.

`make bench`, or `python tests/bench_nets.py [--long]`. One thread, process time after a warm-up, all contestants in turn in one run, medians of 3;
--long adds the accuracy of item 2: sixty random deep linear networks of order 1k.
"""

import importlib.util
import math
import platform
import statistics
import sys
import time

import numpy as np
import torch
from torch.nn import functional

from dynamics.estimate import default_nbeta, llc
from nets import dln
from nets.linear_target import LinearTarget
from nets.losses import cross_entropy, mse
from nets.models import DLN, MLP, LeNet5
from nets.module_target import ModuleTarget, module_target
from nets.noise import Streams
from nets.samplers import MALA, SAMPLERS, SGLD, walk
from nets.stacked import StackedTarget, perceptron

CHAINS = 4
EPS, GAMMA = 1e-7, 1.0


def cpu(work, units: int, repeats: int = 3) -> float:
    """Median microseconds of CPU of work() per unit."""
    work()
    times = []
    for _ in range(repeats):
        before = time.process_time()
        work()
        times.append(time.process_time() - before)
    return 1e6 * statistics.median(times) / units


def chains(target, sampler, steps: int, batch: int, count: int = CHAINS) -> float:
    """Of a walk on target."""

    def work():
        for _ in walk(target, sampler, 100.0, chains=count, draws=steps, batch=batch):
            pass

    return cpu(work, steps * count)


def plain(model, loss, x, y, steps: int, batch: int) -> float:
    """Of the loop one writes: one chain, autograd, one update a parameter, batches by an index."""
    nbeta = default_nbeta(len(x))
    star = [p.detach().clone() for p in model.parameters()]

    def work():
        for _ in range(steps):
            index = torch.randint(len(x), (batch,))
            model.zero_grad()
            value = loss(model(x[index]), y[index]).mean()
            value.backward()
            with torch.no_grad():
                for p, s in zip(model.parameters(), star, strict=True):
                    p.add_(nbeta * p.grad + GAMMA * (p - s), alpha=-EPS / 2).add_(torch.randn_like(p), alpha=math.sqrt(EPS))
            value.item()

    found = cpu(work, steps)
    with torch.no_grad():
        for p, s in zip(model.parameters(), star, strict=True):
            p.copy_(s)
    return found


def devinterp(model, loss, x, y, steps: int, batch: int) -> float:
    """Of devinterp's own sampler, as its documentation calls it; NaN if it is not installed."""
    if importlib.util.find_spec("devinterp") is None:
        return math.nan
    from devinterp.optim import SGLD as Theirs
    from devinterp.slt.sampler import estimate_learning_coeff_with_summary

    data = torch.utils.data.TensorDataset(x, y)
    loader = torch.utils.data.DataLoader(data, batch_size=batch, shuffle=True)

    def evaluate(model, batch):
        return loss(model(batch[0]), batch[1]).mean(), {}

    def work(draws=steps):
        estimate_learning_coeff_with_summary(
            model,
            loader=loader,
            evaluate=evaluate,
            sampling_method=Theirs,
            optimizer_kwargs={"lr": EPS, "nbeta": default_nbeta(len(x)), "localization": GAMMA},
            num_draws=draws,
            num_chains=1,
            init_loss=0.1,
            device="cpu",
            verbose=False,
        )

    # what a run costs before its first draw is not a step's
    one, whole = cpu(lambda: work(1), 1), cpu(work, 1)
    return (whole - one) / (steps - 1)


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


def row(name: str, microseconds: float, *others: tuple[str, float]) -> None:
    ratios = "  ".join(f"{other} {value / microseconds:7.2f}x" for other, value in others if value == value)
    print(f"{name:46s} {microseconds:10.1f} us   {ratios}", flush=True)


def products(shapes, batch: int) -> float:
    """Of the matrix products of one step alone: forward, the weights' gradients, and what goes back."""
    g = torch.Generator().manual_seed(0)
    weights = [torch.randn(shape, generator=g) for shape in shapes]
    h = [torch.randn(batch, shapes[0][1], generator=g), *(torch.randn(batch, shape[0], generator=g) for shape in shapes)]

    def work():
        for layer, weight in enumerate(weights):
            h[layer] @ weight.T
            h[layer + 1].T @ h[layer]
            if layer:
                h[layer + 1] @ weight

    return cpu(lambda: [work() for _ in range(10)], 10)


def noise() -> None:
    title("Gaussian noise, ns a number")
    w, streams = torch.empty(CHAINS, 250_000), Streams(0, CHAINS, torch.device("cpu"))
    star, g = torch.zeros(250_000), torch.zeros(CHAINS, 250_000)
    for name, work in (
        ("torch normal_", lambda: w.normal_()),
        ("NumPy standard_normal", lambda: np.random.default_rng(0).standard_normal(w.shape, np.float32)),
        ("ours", lambda: streams.normal_(w)),
        ("ours with drift, tether and noise in one pass", lambda: streams.langevin_(w, star, g, 1e-6, 1e-6, 1e-3)),
    ):
        print(f"{name:46s} {1000 * cpu(work, w.numel(), 9):10.2f} ns")


def small(steps: int = 400) -> None:
    title("Deep linear network 10-20-20-10, batch 500, n = 10,000 (demand: 15x devinterp, 80x on the full data)")
    model = DLN((10, 20, 20, 10)).build(0)
    x = 20 * torch.rand(10_000, 10, generator=torch.Generator().manual_seed(0)) - 10
    y = model(x).detach()
    target = module_target(model, "mse", x, y)
    theirs = [("devinterp", devinterp(model, functional.mse_loss, x, y, 300, 500)), ("plain loop", plain(model, mse, x, y, steps, 500))]
    row("plain torch loop, 1 chain", theirs[1][1], theirs[0])
    row(
        "layer by layer, stacked",
        chains(StackedTarget(perceptron(model), mse, x, y, dict(model.named_parameters()), {}), SGLD(EPS), steps, 500),
        *theirs,
    )
    for count in (1, CHAINS, 16):
        row(f"batches through their Gram matrix, C = {count}", chains(target, SGLD(EPS), steps, 500, count), *theirs)
    for sampler in (SGLD(EPS), MALA(EPS)):
        for count in (CHAINS, 16, 64):
            row(f"full data, {type(sampler).__name__}, C = {count}", chains(target, sampler, steps, 0, count), *theirs)


def digits(steps: int = 100) -> None:
    title("Perceptron 64-128-128-10 on 1,797 digits' shape, batch 128 (demand: 2.5x devinterp)")
    g = torch.Generator().manual_seed(0)
    model, x, y = MLP((64, 128, 128, 10)).build(0), torch.rand(1797, 64, generator=g), torch.randint(10, (1797,), generator=g)
    target = module_target(model, "cross_entropy", x, y)
    theirs = [
        ("devinterp", devinterp(model, functional.cross_entropy, x, y, 150, 128)),
        ("plain loop", plain(model, cross_entropy, x, y, 200, 128)),
        ("products alone", products([(128, 64), (128, 128), (10, 128)], 128)),
    ]
    row("plain torch loop, 1 chain", theirs[1][1], theirs[0], theirs[2])
    for kind in SAMPLERS.values():
        if not kind.full:
            row(f"{kind.__name__}, C = {CHAINS}", chains(target, kind(EPS), steps, 128), *theirs)
    for name, mapped in (("autograd, chains in turn", False), ("autograd, chains mapped", True)):
        row(name, chains(ModuleTarget(model, cross_entropy, x, y, dict(model.named_parameters()), {}, mapped), SGLD(EPS), steps, 128), *theirs)


def lenet(steps: int = 5) -> None:
    title("LeNet-5, batch 128")
    g = torch.Generator().manual_seed(0)
    model, x, y = LeNet5().build(0), torch.rand(1000, 1, 28, 28, generator=g), torch.randint(10, (1000,), generator=g)
    loop = ("plain loop", plain(model, cross_entropy, x, y, 10, 128))
    for name, mapped in (("autograd, chains in turn", False), ("autograd, chains mapped", True)):
        row(name, chains(ModuleTarget(model, cross_entropy, x, y, dict(model.named_parameters()), {}, mapped), SGLD(EPS), steps, 128), loop)


def large(steps: int = 15) -> None:
    title("Deep linear network of 1,000,000 weights, 500-500-500-500-500, batch 500 (demand: 1.15x devinterp, 1.2x of the products)")
    model = DLN((500,) * 5).build(0)
    x = torch.randn(5000, 500, generator=torch.Generator().manual_seed(0))
    y = model(x).detach()
    target = module_target(model, "mse", x, y)
    theirs = [
        ("devinterp", devinterp(model, functional.mse_loss, x, y, 11, 500)),
        ("plain loop", plain(model, mse, x, y, 10, 500)),
        ("products alone", products([(500, 500)] * 4, 500)),
    ]
    row("plain torch loop, 1 chain", theirs[1][1], theirs[0], theirs[2])
    row("LinearTarget, C = 4", chains(target, SGLD(EPS), steps, 500), *theirs)
    row(
        "layer by layer, C = 4",
        chains(StackedTarget(perceptron(model), mse, x, y, dict(model.named_parameters()), {}), SGLD(EPS), steps, 500),
        *theirs,
    )
    row("full data, MALA, C = 4", chains(target, MALA(EPS), steps, 0), *theirs)


def networks(count: int) -> None:
    title(f"{count} random networks of order 1k (Table 1), local = global: exact MALA, 10,000 steps x 4 chains (demand: 1 %, 5 %; 5 s of CPU)")
    errors, seconds, seed = [], [], 0
    while len(errors) < count:
        network = dln.random_network("1k", seed)
        seed += 1
        weights = [weight.double() for weight in network.weights]
        lam = float(dln.local_learning_coefficient(weights))
        widths = [weights[0].shape[1], *(len(weight) for weight in weights)]
        rank = int(torch.linalg.matrix_rank(dln.product(weights)))
        if lam == 0 or lam != float(dln.learning_coefficient(widths, rank).lam):
            continue
        x = 20 * torch.rand(100_000, widths[0], generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 10
        target = LinearTarget([weight.float() for weight in weights], x.T @ x / len(x), n=100_000)
        before = time.process_time()
        found, eps, acceptance = measured(target)
        seconds.append(time.process_time() - before)
        errors.append(abs(found.mean / lam - 1))
        print(
            f"{'-'.join(map(str, widths)):28s} rank {rank:2d}  lambda {lam:7.1f}  found {found.mean:7.2f} +- {found.stderr:.2f} "
            f"({errors[-1]:6.2%})  R-hat {found.rhat:.2f}  eps {eps:.1e}  acceptance {acceptance:.2f}  {seconds[-1]:.1f} s",
            flush=True,
        )
    errors = np.array(errors)
    print(f"median error {np.median(errors):.2%}, 90 % quantile {np.quantile(errors, 0.9):.2%}")
    print(f"CPU, the search for the step included: {np.mean(seconds):.1f} s, at most {max(seconds):.1f} s")


def measured(target: LinearTarget, steps: int = 10_000, gamma: float = 1.0):
    """lambda-hat by MALA after a search for the step: half of the draws are burn-in."""
    nbeta, eps, start = default_nbeta(target.n), 1e-6, None
    for trial in range(20):  # towards an acceptance of 0.6, where MALA moves fastest
        *_, last = walk(target, MALA(eps, gamma), nbeta, draws=50, seed=trial, start=start)
        eps *= math.exp(3 / (1 + trial / 4) * (float(last.accepted.double().mean()) - 0.6))
        start = last.w.clone()
    frames = list(walk(target, MALA(eps, gamma), nbeta, draws=steps, seed=99, start=start))
    values = torch.cat([frame.losses for frame in frames], 1).numpy()
    return llc(values[:, steps // 2 :], 0.0, nbeta), eps, float(torch.cat([frame.accepted for frame in frames], 1).double().mean())


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}, one thread; us of CPU per chain-step")
    print(f"devinterp: {'installed' if importlib.util.find_spec('devinterp') else 'not installed (extra `bench`)'}; C = chains stacked")
    noise()
    small()
    digits()
    lenet()
    large()
    networks(60 if "--long" in sys.argv else 2)
