"""Networks: train with SGD and natural gradients, and estimate learning coefficients you can trust."""

from nets import dln
from nets.data import CIFAR10, DATA, MNIST, Data, Digits, FashionMNIST, LinearTeacher, Npz, Regression, Teacher, Tensors
from nets.estimate import Estimate, Estimation, estimate_llc, estimate_target, stream_llc
from nets.fisher import FisherNGD
from nets.kaldi import OnlineNGD
from nets.kfac import KFAC
from nets.matching import Matched, matched
from nets.models import DLN, MLP, MODELS, DeepCNN, DuplicatedReLU, LeNet5, MinimallySingular, Model, ReducedRank, SmallCNN
from nets.optimisers import SGD, Adam, Optimiser, StepReport
from nets.race import Race, Standings
from nets.samplers import HMC, MALA, SAMPLERS, SGHMC, SGLD, SGNHT, AdamSGLD, ControlVariate, DiagonalSGLD, RMSPropSGLD, Sampler
from nets.training import Progress, Scores, Training, Watch

OPTIMISERS: dict[str, type[Optimiser]] = {cls.__name__: cls for cls in (SGD, Adam, FisherNGD, KFAC, OnlineNGD)}

__all__ = [
    "CIFAR10",
    "DATA",
    "DLN",
    "HMC",
    "KFAC",
    "MALA",
    "MLP",
    "MNIST",
    "MODELS",
    "OPTIMISERS",
    "SAMPLERS",
    "SGD",
    "SGHMC",
    "SGLD",
    "SGNHT",
    "Adam",
    "AdamSGLD",
    "ControlVariate",
    "Data",
    "DeepCNN",
    "DiagonalSGLD",
    "Digits",
    "DuplicatedReLU",
    "Estimate",
    "Estimation",
    "FashionMNIST",
    "FisherNGD",
    "LeNet5",
    "LinearTeacher",
    "Matched",
    "MinimallySingular",
    "Model",
    "Npz",
    "OnlineNGD",
    "Optimiser",
    "Progress",
    "RMSPropSGLD",
    "Race",
    "ReducedRank",
    "Regression",
    "Sampler",
    "Scores",
    "SmallCNN",
    "Standings",
    "StepReport",
    "Teacher",
    "Tensors",
    "Training",
    "Watch",
    "dln",
    "estimate_llc",
    "estimate_target",
    "matched",
    "stream_llc",
]
