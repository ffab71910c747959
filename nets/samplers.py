"""Samplers of p(w) ~ exp(-nbeta L_n(w) - (gamma/2) |w - w*|^2) by name, and `walk`, which runs chains of them."""

from nets.chains import Chains, Draws, Sampler, walk
from nets.control import ControlVariate
from nets.hmc import HMC
from nets.metropolis import MALA
from nets.momentum import SGHMC, SGNHT
from nets.rmsprop import AdamSGLD, RMSPropSGLD
from nets.sgld import SGLD, DiagonalSGLD

SAMPLERS: dict[str, type[Sampler]] = {cls.__name__: cls for cls in (SGLD, DiagonalSGLD, RMSPropSGLD, AdamSGLD, SGHMC, SGNHT, MALA, HMC)}

__all__ = [*SAMPLERS, "SAMPLERS", "Chains", "ControlVariate", "Draws", "Sampler", "walk"]
