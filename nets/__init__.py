"""Networks: train with SGD and natural gradients, and estimate learning coefficients you can trust."""

from nets import dln
from nets.estimate import Estimate, Estimation, estimate_llc, estimate_target, stream_llc

__all__ = ["Estimate", "Estimation", "dln", "estimate_llc", "estimate_target", "stream_llc"]
