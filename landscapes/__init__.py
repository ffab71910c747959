"""What the loss is: polynomial landscapes in one and two variables, with their exact learning coefficients."""

from landscapes.catalogue import (
    CATALOGUE,
    Bowl,
    Cusp,
    DoubleWell,
    MinimallySingular,
    Monomial,
    NormalCrossing,
    Regular,
    Ring,
    RotatedLine,
    Tangency,
    TripleWell,
    Valley,
)
from landscapes.coefficient import Coefficient, Undecided, Undefined, learning_coefficient
from landscapes.polynomial import Factor, Landscape, Minimum, Product
from landscapes.scale import Range
from landscapes.text import Polynomial, parse
from landscapes.volume import fit_volume
from landscapes.zeros import minima

__all__ = [
    "CATALOGUE",
    "Bowl",
    "Coefficient",
    "Cusp",
    "DoubleWell",
    "Factor",
    "Landscape",
    "MinimallySingular",
    "Minimum",
    "Monomial",
    "NormalCrossing",
    "Polynomial",
    "Product",
    "Range",
    "Regular",
    "Ring",
    "RotatedLine",
    "Tangency",
    "TripleWell",
    "Undecided",
    "Undefined",
    "Valley",
    "fit_volume",
    "learning_coefficient",
    "minima",
    "parse",
]
