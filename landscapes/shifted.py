"""Q - a: the landscape where the truth is y = a x + noise. Its minima are not those of Q, nor are their lambda, m and basins."""

from dataclasses import dataclass

from landscapes import algebra, zeros
from landscapes.coefficient import expanded, system_of
from landscapes.polynomial import Factor, Landscape, Product


@dataclass(frozen=True)
class Shifted(Landscape):
    """K = |Q - a|^2 / 2, Q the outputs of `base`. Minima and their lambda are found exactly, within the box of `base`.

    Values are taken of the factors of Q, for which a root of Q - a is nothing special: near one they are exact to a rounding of a.
    """

    base: Landscape
    slope: float

    def __post_init__(self):
        if self.base.of != "Q":
            raise ValueError(f"{self.base!r} gives K alone, and a true slope shifts Q; give a Q with K = Q²/2")

    @property
    def dim(self):
        return self.base.dim

    def products(self):
        """Expanded, with exact coefficients (1.8 is 9/5): for the exact computation of lambda, not for kernels."""
        outputs = system_of(self.base).outputs
        parts = [algebra.scaled(expanded(output.factors), output.scale) for output in outputs]
        parts += [{}] * (len(self.base.products()) - len(parts))  # outputs that are 0 everywhere
        moved = [algebra.plus(part, {(0, 0): -algebra.exact(float(self.slope))}) for part in parts]
        return tuple(Product((Factor(tuple((c, i, j) for (i, j), c in terms.items())),)) for terms in moved if terms)

    @property
    def box(self):
        return self.base.box

    @property
    def minima(self):
        return zeros.minima(self).minima

    @property
    def undefined(self):
        return zeros.minima(self).undefined

    def _values(self, w):
        return self.base._values(w) - self.slope

    def _jet(self, w):
        value, gradient, hessian = self.base._jet(w)
        return value - self.slope, gradient, hessian

    def table(self):
        raise ValueError(f"{self!r} is not simulated: a run takes the slope from its data, e.g. Online(slope={self.slope:g})")


def shifted(landscape: Landscape, slope: float) -> Landscape:
    """The landscape of Q - a; of a = 0 the landscape itself.

    >>> from landscapes import DoubleWell
    >>> [f"{m.name}: {m.lam}" for m in shifted(DoubleWell(), 0.5).minima]
    ['−1.761: 1/2', '1.405: 1/2', '2.156: 1/2']
    """
    return Shifted(landscape, slope) if slope else landscape
