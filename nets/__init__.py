"""Networks: train with SGD and natural gradients, and estimate learning coefficients you can trust."""

from nets import dln
from nets.data import CIFAR10, DATA, MNIST, Data, Digits, FashionMNIST, LinearTeacher, Npz, Regression, Teacher, Tensors
from nets.estimate import Estimate, Estimation, estimate_llc, estimate_target, stream_llc
from nets.matching import Matched, matched
from nets.models import DLN, MLP, MODELS, DuplicatedReLU, LeNet5, MinimallySingular, Model, ReducedRank, SmallCNN
from nets.race import Race, Standings
from nets.training import Progress, Scores, Training, Watch

__all__ = [
    "CIFAR10",
    "DATA",
    "DLN",
    "MLP",
    "MNIST",
    "MODELS",
    "Data",
    "Digits",
    "DuplicatedReLU",
    "Estimate",
    "Estimation",
    "FashionMNIST",
    "LeNet5",
    "LinearTeacher",
    "Matched",
    "MinimallySingular",
    "Model",
    "Npz",
    "Progress",
    "Race",
    "ReducedRank",
    "Regression",
    "Scores",
    "SmallCNN",
    "Standings",
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
