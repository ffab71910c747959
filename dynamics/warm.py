"""`python -m dynamics.warm`: compile every kernel that a simulation and its figures can reach, so that the first visitor does not wait.

Each rule is compiled once a type of table (a product of roots, or general terms); the numbers in it compile nothing.
Prints a progress line only if something has to be compiled: from the cache a kernel takes some 10 ms.
"""

from collections.abc import Iterator

import numba
import numpy as np
from tqdm import tqdm

from dynamics import RULES, SGD, Simulation, transfer
from landscapes import CATALOGUE, DoubleWell


def runs() -> Iterator[Simulation]:
    """A short run of every rule on one landscape for each type of table."""
    tables = {numba.typeof(cls().table()): cls() for cls in CATALOGUE.values()}
    for landscape in tables.values():
        for cls in RULES.values():
            yield Simulation(landscape, cls(), n=2, steps=2)


def warm() -> None:
    """Compile what is not in the cache yet."""
    for run in tqdm(list(runs()), desc="compiling kernels, once", unit="run", delay=1.5, leave=False):
        run.run().histogram(np.linspace(0, 1, 3))
    law = transfer(DoubleWell(), SGD(), cells=50)
    law.survival(1), law.law(1)


if __name__ == "__main__":
    warm()
