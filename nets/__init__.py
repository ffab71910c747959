"""Networks: train with SGD and natural gradients, and estimate learning coefficients you can trust."""

from nets import dln
from nets.data import CIFAR10, DATA, MNIST, Data, Digits, FashionMNIST, LinearTeacher, Npz, Regression, Teacher, Tensors
from nets.estimate import Estimate, Estimation, estimate_llc, estimate_target, stream_llc
from nets.fisher import FisherNGD
from nets.kaldi import OnlineNGD
from nets.kfac import KFAC
from nets.matching import Matched, matched
from nets.models import DLN, MLP, MODELS, DuplicatedReLU, LeNet5, MinimallySingular, Model, ReducedRank, SmallCNN
from nets.optimisers import SGD, Adam, Optimiser, StepReport
from nets.race import Race, Standings
from nets.training import Progress, Scores, Training, Watch

OPTIMISERS: dict[str, type[Optimiser]] = {cls.__name__: cls for cls in (SGD, Adam, FisherNGD, KFAC, OnlineNGD)}

__all__ = [
    "CIFAR10",
    "DATA",
    "DLN",
    "KFAC",
    "MLP",
    "MNIST",
    "MODELS",
    "OPTIMISERS",
    "SGD",
    "Adam",
    "Data",
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
    "Race",
    "ReducedRank",
    "Regression",
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
