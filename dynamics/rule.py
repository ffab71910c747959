"""What every rule of motion shares: its shape, and how a kernel walks along a path.

A rule is a frozen dataclass of hyperparameters with its equation, and one kernel that fills the paths of a slice of
trajectories. Adding one is adding a file; `dynamics/__init__.py` lists it, and menus, sliders and tests find it there.
"""

import abc
from typing import Annotated, ClassVar, Literal

import numpy as np

from dynamics.batches import Source
from dynamics.random import normal
from landscapes.jit import kernel
from landscapes.scale import Range, check

DIVERGED = 1e3  # |w| at or beyond this, or not finite, counts as diverged: that trajectory ends, and is counted

LearningRate = Annotated[float, Range(1e-6, 1, log=True, help="η: the length of a step is η times the gradient", shown=(1e-4, 0.1))]
Batch = Annotated[int, Range(1, 100_000, log=True, unit="samples", help="B: samples in a batch; gradient noise falls like 1/√B", shown=(1, 512))]
Momentum = Annotated[float, Range(0, 0.999, help="μ: how much of the last step is kept; the effective rate is η/(1 − μ)", shown=(0, 0.99))]
Temperature = Annotated[float, Range(0, 1e3, help="T of isotropic noise: with it, SGD settles to the density exp(−K/T) as η → 0", shown=(0, 1))]
Noise = Literal["batch", "isotropic"]


class Rule(abc.ABC):
    """One way to move: w_{t+1} from w_t, a batch or a thermostat. Subclasses are frozen dataclasses.

    needs_q: its noise or its metric is made of Q; where K and grad K are enough a subclass says False.
    """

    needs_q: ClassVar[bool] = True

    def __post_init__(self):
        check(self)

    @property
    @abc.abstractmethod
    def latex(self) -> str:
        """The update equation."""

    def memory(self, w: np.ndarray) -> np.ndarray:
        """What a trajectory carries besides w, (n, 2): a velocity (zero at first), or where it is tethered."""
        return np.zeros((len(w), 2))

    @abc.abstractmethod
    def advance(self, path: np.ndarray, memory: np.ndarray, table, source: Source, streams: np.ndarray, first: int) -> None:
        """Fill path[:, 1:] (n, steps + 1, dim) from path[:, 0], in place; `first` is the number of the first step in the run.

        A trajectory that diverges is NaN from then on. Releases the GIL; slices of trajectories may run in threads.
        """


def heat(rule) -> float:
    """sqrt(2T/eta): the standard deviation of isotropic gradient noise at which SGD settles to exp(-K/T); -1 stands for the batch's own noise."""
    return (2 * rule.temperature / rule.lr) ** 0.5 if rule.noise == "isotropic" else -1.0


@kernel
def place(path, i, t):
    """Where trajectory i is at time t, as two numbers (w2 = 0 in one dimension)."""
    return path[i, t, 0], path[i, t, 1] if path.shape[2] == 2 else 0.0


@kernel
def normals(path, s):
    """As many N(0, 1) as there are variables, as two numbers (the second 0 in one dimension)."""
    z1, s = normal(s)
    z2 = 0.0
    if path.shape[2] == 2:
        z2, s = normal(s)
    return z1, z2, s


@kernel
def put(path, i, t, w1, w2):
    """Write w at time t; False if it has diverged: the rest of the path is NaN then, and the caller goes on to the next trajectory."""
    if abs(w1) < DIVERGED and abs(w2) < DIVERGED:  # false for NaN
        path[i, t, 0] = w1
        if path.shape[2] == 2:
            path[i, t, 1] = w2
        return True
    path[i, t:] = np.nan
    return False
