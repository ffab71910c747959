"""y_i -> a wrong class with probability `share`: labels that can only be learned by heart, so that a network overfits."""

from dataclasses import dataclass
from typing import Annotated

import torch

from landscapes.scale import Range
from nets.data import Data, Digits, Seed, Tensors, seeded

WRONG = 6  # first entry of a key, beside those of nets.data


@dataclass(frozen=True)
class Mislabelled(Data):
    """The same data; a share of the training labels is replaced by one of the other classes, each as likely. The test set stays right."""

    data: Data = Digits()
    share: Annotated[float, Range(0, 1, help="of the training labels that are wrong", shown=(0, 0.5))] = 0.2
    seed: Seed = 0

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.data, Data):
            raise ValueError(f"Mislabelled: data = {self.data!r} is no data; give a value such as Digits()")

    def read(self) -> Tensors:
        x, y, x_test, y_test = self.data.load()
        if y.is_floating_point():
            raise ValueError(f"{self!r}: its labels are targets; choose data with classes, such as Digits()")
        generator, classes = seeded(WRONG, self.seed), int(max(y.max(), y_test.max())) + 1
        away = torch.randint(1, classes, y.shape, generator=generator)
        wrong = torch.rand(y.shape, generator=generator) < self.share
        return Tensors(x, torch.where(wrong, (y + away) % classes, y), x_test, y_test)
