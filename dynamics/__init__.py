"""How points move on a landscape: optimisers, samplers, exact posteriors, and what is read off them."""

from dynamics.batches import Finite, Online, noise_covariance
from dynamics.gd import GD
from dynamics.rule import Rule
from dynamics.sgd import SGD
from dynamics.simulation import Frame, Simulation
from dynamics.start import At, Uniform

RULES: dict[str, type[Rule]] = {cls.__name__: cls for cls in (GD, SGD)}

__all__ = ["GD", "RULES", "SGD", "At", "Finite", "Frame", "Online", "Rule", "Simulation", "Uniform", "noise_covariance"]
