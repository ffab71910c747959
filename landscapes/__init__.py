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
from landscapes.polynomial import Factor, Landscape, Minimum, Product
from landscapes.scale import Range
from landscapes.volume import fit_volume

__all__ = [
    "CATALOGUE",
    "Bowl",
    "Cusp",
    "DoubleWell",
    "Factor",
    "Landscape",
    "MinimallySingular",
    "Minimum",
    "Monomial",
    "NormalCrossing",
    "Product",
    "Range",
    "Regular",
    "Ring",
    "RotatedLine",
    "Tangency",
    "TripleWell",
    "Valley",
    "fit_volume",
]
