"""How points move on a landscape: optimisers, samplers, exact posteriors, and what is read off them."""

from dynamics.batches import Finite, Online, noise_covariance
from dynamics.chains import Chains, tuned
from dynamics.estimate import LLC, default_nbeta, llc, running
from dynamics.freeenergy import Asymptote, basins, crossings, free_energy, generalisation, mean_free_energy, wbic
from dynamics.gd import GD
from dynamics.heavy import HeavyTailedSGD
from dynamics.langevin import Langevin
from dynamics.law import Transfer, transfer
from dynamics.mala import MALA
from dynamics.ngd import NGD
from dynamics.observe import EscapeRate, Result
from dynamics.posterior import Posterior, lambda_hat_exact
from dynamics.rule import Rule
from dynamics.sde import SDE
from dynamics.sgd import SGD
from dynamics.simulation import Frame, Simulation
from dynamics.start import At, Uniform
from dynamics.sweep import Sweep
from dynamics.underdamped import UnderdampedSDE

RULES: dict[str, type[Rule]] = {cls.__name__: cls for cls in (GD, SGD, NGD, Langevin, MALA, SDE, UnderdampedSDE, HeavyTailedSGD)}

__all__ = [
    "GD",
    "LLC",
    "MALA",
    "NGD",
    "RULES",
    "SDE",
    "SGD",
    "Asymptote",
    "At",
    "Chains",
    "EscapeRate",
    "Finite",
    "Frame",
    "HeavyTailedSGD",
    "Langevin",
    "Online",
    "Posterior",
    "Result",
    "Rule",
    "Simulation",
    "Sweep",
    "Transfer",
    "UnderdampedSDE",
    "Uniform",
    "basins",
    "crossings",
    "default_nbeta",
    "free_energy",
    "generalisation",
    "lambda_hat_exact",
    "llc",
    "mean_free_energy",
    "noise_covariance",
    "running",
    "transfer",
    "tuned",
    "wbic",
]
