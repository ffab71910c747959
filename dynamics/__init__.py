"""How points move on a landscape: optimisers, samplers, exact posteriors, and what is read off them."""

from dynamics.batches import Finite, Online, noise_covariance
from dynamics.gd import GD
from dynamics.langevin import Langevin
from dynamics.mala import MALA
from dynamics.ngd import NGD
from dynamics.rule import Rule
from dynamics.sgd import SGD
from dynamics.simulation import Frame, Simulation
from dynamics.start import At, Uniform

RULES: dict[str, type[Rule]] = {cls.__name__: cls for cls in (GD, SGD, NGD, Langevin, MALA)}

__all__ = [
    "GD",
    "MALA",
    "NGD",
    "RULES",
    "SGD",
    "At",
    "Finite",
    "Frame",
    "Langevin",
    "Online",
    "Rule",
    "Simulation",
    "Uniform",
    "noise_covariance",
]
