"""What a trajectory-step costs, by landscape, rule, batch size and length, beside the two ways it is written today.

`make bench`, or `python tests/bench_dynamics.py`. CPU is user + system time of the whole process, so it does not depend on the number of cores;
medians after a warm-up; the ratios within one run hold on any machine. Every run keeps all weights (`run(every=1)`).
"""

import os
import platform
import statistics
import sys
import time

import numpy as np

from dynamics import RULES, SGD, Finite, Simulation
from landscapes import CATALOGUE, DoubleWell, Valley

N, STEPS, B = 10_000, 500, 20
BASE = Simulation(DoubleWell(w0=1.8, d1=1, d2=2), SGD(lr=0.02, batch=B), n=N, steps=STEPS)
CALM = SGD(lr=0.002, batch=B)  # a rate at which next to nothing diverges: a diverged trajectory costs nothing more, which flatters


def cpu(work, repeats=5) -> tuple[float, float, object]:
    """Median CPU seconds and median wall seconds of work() after a warm-up, and what it returned."""
    work()
    times = []
    for _ in range(repeats):
        before = time.process_time(), time.perf_counter()
        result = work()
        times.append((time.process_time() - before[0], time.perf_counter() - before[1]))
    return *(statistics.median(column) for column in zip(*times, strict=True)), result


def measure(run: Simulation, every=1, repeats=5) -> tuple[float, float, float]:
    """(ns of CPU a trajectory-step, cores busy, share that diverged)."""
    used, wall, result = cpu(lambda: run.run(every=every), repeats)
    return 1e9 * used / (run.n * run.steps), used / wall, 1 - result.survivors / run.n


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def row(name: str, ns: float, reference: float, notes: str = "") -> None:
    print(f"{name:<46} {ns:10.1f} ns {ns / reference:9.2f} x   {notes}", flush=True)


def numpy_step_by_step(steps: int) -> float:
    """Vectorised over trajectories, every batch drawn sample by sample; returns the share that diverged."""
    random, w0, w = np.random.default_rng(0), 1.8, np.random.default_rng(1).uniform(-4, 4, N)
    path = np.empty((steps + 1, N))
    path[0] = w
    with np.errstate(all="ignore"):
        for t in range(steps):
            x, y = random.standard_normal((N, B)), random.standard_normal((N, B))
            q, slope = (w + w0) * (w - w0) ** 2, (w - w0) ** 2 + 2 * (w + w0) * (w - w0)
            w = w - 0.02 * ((q[:, None] * x - y) * x).mean(axis=1) * slope
            w = np.where(np.abs(w) < 1e3, w, np.nan)
            path[t + 1] = w
    return float(np.isnan(w).mean())


def torch_autograd(steps: int) -> None:
    """One trajectory as a model, a loss and an optimiser."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    w = torch.nn.Parameter(torch.tensor(1.0))
    optimiser, path = torch.optim.SGD([w], lr=0.02), []
    for _ in range(steps):
        x, y = torch.randn(B), torch.randn(B)
        loss = 0.5 * torch.nn.functional.mse_loss((w + 1.8) * (w - 1.8) ** 2 * x, y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        path.append(w.item())


def main() -> None:
    start = time.perf_counter()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    print(f"{N:,} trajectories x {STEPS} steps, B = {B}, all weights stored; ns of CPU a trajectory-step, and the ratio to the first row")

    title("The task: DoubleWell(1.8, 1, 2), SGD(lr=0.02)")
    base, cores, lost = measure(BASE, repeats=15)
    row("lambdascape", base, base, f"budget 20; {cores:.1f} cores busy; {lost:.0%} diverged")
    used, _, lost = cpu(lambda: numpy_step_by_step(50), repeats=3)
    row("NumPy, vectorised, explicit batches", 1e9 * used / (N * 50), base, f"50 steps; {lost:.0%} diverged")
    try:
        used, _, _ = cpu(lambda: torch_autograd(1000), repeats=3)
        row("torch, autograd, one trajectory after the other", 1e9 * used / 1000, base, "1000 steps of one")
    except ImportError:
        print("torch is not installed: pip install -e '.[bench]'")

    title(f"Landscapes, {CALM}")
    for cls in CATALOGUE.values():
        landscape = cls()
        calm, _, lost = measure(Simulation(landscape, CALM, n=N, steps=STEPS))
        budget = 20 if landscape == BASE.landscape else 40 if landscape.dim == 1 else 60
        row(repr(landscape), calm, base, f"budget {budget}; {lost:.0%} diverged")

    title("Rules with their defaults, on DoubleWell and on Valley")
    for landscape in (BASE.landscape, Valley()):
        for cls in RULES.values():
            ns, _, lost = measure(Simulation(landscape, cls(), n=N, steps=STEPS), repeats=3)
            row(f"{cls.__name__} on {type(landscape).__name__}", ns, base, f"{lost:.0%} diverged")

    title("Batch size (DoubleWell, lr = 0.002): fresh samples cost the same for any B")
    reference = measure(Simulation(BASE.landscape, CALM, n=N, steps=STEPS))[0]
    for batch in (1, 2, 10, 20, 100, 1000):
        row(f"B = {batch}", measure(Simulation(BASE.landscape, SGD(lr=0.002, batch=batch), n=N, steps=STEPS))[0], reference, "ratio to B = 20")

    title("Given samples (DoubleWell, lr = 0.002): B look-ups a step")
    for size, batch in ((1000, 1), (1000, 20), (100_000, 20), (1000, 100)):
        run = Simulation(BASE.landscape, SGD(lr=0.002, batch=batch), n=1000, steps=200, data=Finite(size=size))
        row(f"{size:,} samples, B = {batch}", measure(run, repeats=3)[0], reference, "ratio to fresh samples, B = 20")

    title("Size (DoubleWell, lr = 0.002, 200 frames kept): cost grows in proportion to n and to steps")
    for n, steps in ((100, 500), (1000, 500), (10_000, 500), (100_000, 500), (10_000, 50), (10_000, 5000)):
        ns, cores, _ = measure(Simulation(BASE.landscape, CALM, n=n, steps=steps), every=max(1, steps // 200), repeats=3)
        row(f"{n:,} x {steps:,}", ns, reference, f"{cores:.1f} cores busy")

    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
