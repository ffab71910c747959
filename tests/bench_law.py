"""What the exact law costs: the transfer matrix, 500 steps of it, and the escape rate, by nodes, rule and batch; and free energies.

`make bench`, or `python tests/bench_law.py`. Wall-clock medians after a warm-up; the matrix is built on all cores, steps run on one.
"""

import os
import platform
import statistics
import sys
import time

import numpy as np

from dynamics import GD, NGD, SDE, SGD, Online, Uniform, basins, crossings, free_energy, generalisation, transfer, wbic
from dynamics.law import _transfer
from landscapes import DoubleWell, TripleWell, Valley

WELL = DoubleWell(1.8, 1, 2)
START = Uniform(-3.6, 3.6)


def wall(work, repeats=5) -> float:
    """Median seconds of work()."""
    times = []
    for _ in range(repeats):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}")


def row(landscape, rule, cells: int, exact: float | None = None) -> float:
    """One line: seconds to build, of 500 steps, of an eigenvalue; returns the escape rate."""

    def build():
        _transfer.cache_clear()
        return transfer(landscape, rule, cells)

    built = wall(build, 3)
    matrix = build()
    steps = wall(lambda: matrix.masses(500, START), 3)
    before = time.perf_counter()
    rate = matrix.escape_rate()
    eigen = time.perf_counter() - before
    filled = matrix._rows[0].size / len(matrix.nodes) ** 2
    off = "" if exact is None else f"   off by {abs(rate / exact - 1):.0e}"
    print(f"{repr(rule)[:60]:<60} {len(matrix.nodes):6} {filled:5.0%} {built:8.3f} {steps:8.3f} {eigen:8.3f}   rate {rate:.6f}{off}", flush=True)
    return rate


def main() -> None:
    begun = time.perf_counter()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, NumPy {np.__version__}")
    transfer(WELL, SGD(), 50).escape_rate()  # compiles
    title("Transfer matrix: nodes, share filled, seconds to build, of 500 steps, of the eigenvalue")
    exact = transfer(WELL, SGD(0.02, 20), 5000).escape_rate()
    for cells in (250, 500, 1000, 2000):
        row(WELL, SGD(0.02, 20), cells, exact)
    for rule in (SGD(0.016, 1), SGD(0.02, 500), SGD(0.005, noise="isotropic"), NGD(0.3, damping=1e-4), GD(0.021), SDE(0.02, 20, substeps=16)):
        row(WELL, rule, 2000)
    row(TripleWell(), SGD(0.05, 10), 2000)

    title("At finite n: milliseconds")
    n, tilted = np.geomspace(3, 1e9, 60), Online(slope=-0.05)
    well = DoubleWell(1.8, 1, 4)
    for name, work in (
        ("F_n at 60 n, DoubleWell", lambda: free_energy(WELL, n)),
        ("F_n at 60 n, Valley", lambda: free_energy(Valley(1, 2), n)),
        ("WBIC at 60 n, Valley", lambda: wbic(Valley(1, 2), n)),
        ("E[G_n] at 60 n, DoubleWell", lambda: generalisation(WELL, n)),
        ("E[G_n] at 60 n, Valley", lambda: generalisation(Valley(1, 2), n)),
        ("where two minima cross, DoubleWell", lambda: crossings(well, *basins(well), tilted)),
    ):
        work()
        print(f"{name:<40} {1000 * wall(work, 3):9.1f} ms", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    sys.exit(main())
