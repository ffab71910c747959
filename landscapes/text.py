"""A user's polynomial: text -> Landscape.

Text that anybody may have written is cut into tokens, checked for length and nesting, and only then parsed, by Python's `ast`; the tree is
walked and nothing else is accepted than numbers, + - * / ^ **, parentheses and the variables: nothing is ever evaluated. Products of powers
stay as they were written: (w - 1.8)^3 is then exact beside 1.8.

>>> landscape = parse("(w1 - w2^2)^2 * w1")
>>> landscape.latex
'(w_1-w_2^{2})^{2}w_1'
>>> for minimum in landscape.minima:
...     print(f"{minimum.name}: λ = {minimum.lam}, m = {minimum.multiplicity}")
O: λ = 1/4, m = 2
curve w₂² − w₁ = 0: λ = 1/4, m = 1
line w₁ = 0: λ = 1/2, m = 1
>>> parse("w1.real")
Traceback (most recent call last):
ValueError: w1.real: '.' in column 3 is not understood; write a polynomial such as (w1 - w2^2)^2 * w1
"""

import ast
import functools
import itertools
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal, NamedTuple

from landscapes import algebra, zeros
from landscapes.algebra import Terms2, TooLarge
from landscapes.coefficient import show_point
from landscapes.polynomial import Factor, Landscape, Minimum, Product
from landscapes.quadrature import checked_box
from landscapes.scale import Box, Text

LONGEST = 400  # characters
DEEPEST = 40  # parentheses and signs within each other
DEGREE = 16
OUTPUTS = 8
LARGEST = 1e12  # of coefficients, and their inverses
FARTHEST = 900.0  # edge of a box: beyond 1000 a trajectory counts as diverged
EXAMPLE = "write a polynomial such as (w1 - w2^2)^2 * w1"
NAMES = ({"w": 0}, {"w1": 0, "w2": 1}, {"x": 0, "y": 1})  # one family a text
TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)|(?P<name>[A-Za-z][A-Za-z0-9]*)|(?P<sign>\*\*|[-+*/^(),]))"
)


@dataclass(frozen=True)
class Polynomial(Landscape):
    """Q = whatever the text says; commas separate several outputs. of = "K": the text is a non-negative K itself, without any Q.

    One variable (w, or w1 alone) or two (w1, w2; or x, y); total degree at most 16. window: the box, if not the default
    one around the zeros. Raises ValueError if the text is no such polynomial, K takes negative values, or no minimum lies in the box.
    """

    text: Annotated[str, Text(LONGEST, help="Q(w1, w2) or Q(w); commas separate several outputs")] = "(w1 - w2^2)^2 * w1"
    of: Literal["Q", "K"] = "Q"
    window: Annotated[tuple | None, Box("low and high of each variable; none: chosen by the zeros")] = None

    def __post_init__(self):
        super().__post_init__()
        _read(self.text, self.of)  # raises what is wrong with the text
        if self.window is not None:
            object.__setattr__(self, "window", checked_box(self, self.window))
        if not self.minima:
            found = zeros.minima(self, ((-FARTHEST, FARTHEST),) * self.dim)
            where = f"it has {', '.join(show_point(m.at) for m in found.minima[:3])}" if found.minima else found.missing or "nor is there one outside"
            raise _no(self.text, f"no minimum of K inside the box {self.box}; {where}; choose another box or polynomial")

    @functools.cached_property
    def box(self):
        return _default_box(self) if self.window is None else self.window

    @property
    def dim(self):
        return _read(self.text, self.of).dim

    def products(self):
        return _read(self.text, self.of).products

    @property
    def minima(self):
        return zeros.minima(self, self.box).minima

    @property
    def undefined(self):
        return zeros.minima(self, self.box).undefined

    @property
    def barriers(self):
        return _barriers(self.minima, self.undefined) if self.dim == 1 else ()


def parse(text: str, of: str = "Q", box=None) -> Polynomial:
    """The landscape of a text such as "(w1 - w2^2)^2 * w1"; of = "K": the text is a non-negative K itself. One clear ValueError otherwise."""
    return Polynomial(text, of, box)


def _barriers(minima: tuple[Minimum, ...], undefined: tuple[Minimum, ...]) -> tuple[float, ...]:
    wells = sorted(minimum.at[0] for minimum in minima)
    tops = sorted(point.at[0] for point in undefined if point.name.startswith("maximum"))
    return tuple(top for top in tops if wells[0] < top < wells[-1])


def _default_box(landscape) -> tuple[tuple[float, float], ...]:
    """Half as far again as the zeros reach, and a little more; 2 around a single one."""
    found = zeros.extent(landscape) or [(0.0,) * landscape.dim]
    box = []
    for entries in zip(*found, strict=True):
        low, high = min(entries), max(entries)
        margin = 0.5 * (high - low) + 0.4 if high - low > 1e-9 else 2.0
        box.append((max(round(low - margin, 2), -FARTHEST), min(round(high + margin, 2), FARTHEST)))
    return tuple(box)


# Reading


class Read(NamedTuple):
    dim: int
    products: tuple[Product, ...]


class Form(NamedTuple):
    """scale * product of polynomials to their powers, exactly."""

    scale: Fraction
    factors: tuple[tuple[Terms2, int], ...] = ()

    @property
    def degree(self) -> int:
        return sum(algebra.degree(f) * n for f, n in self.factors)

    def expanded(self) -> Terms2:
        whole = {(0, 0): self.scale} if self.scale else {}
        for f, n in self.factors:
            whole = algebra.times(whole, algebra.power(f, n))
        return whole


@functools.lru_cache(maxsize=256)
def _read(text, of) -> Read:
    tokens = _tokens(text)
    names = list(dict.fromkeys(token for kind, token in tokens if kind == "name"))
    family = next((family for family in NAMES if set(names) <= set(family)), None)
    if family is None or not names:
        unknown = next((name for name in names if all(name not in family for family in NAMES)), None)
        what = f"{_short(unknown)} is no variable" if unknown else "variables of different kinds are mixed" if names else "there is no variable"
        raise _no(text, f"{what}; use w, or w1 and w2 (or x and y)")
    try:
        tree = ast.parse(" ".join("**" if token == "^" else token for _, token in tokens), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise _no(text, f"an operation or a parenthesis is missing or not closed (a product needs its *); {EXAMPLE}") from None
    parts = tree.elts if isinstance(tree, ast.Tuple) else [tree]
    if len(parts) > (OUTPUTS if of == "Q" else 1):
        raise _no(text, f"{len(parts)} outputs; at most {OUTPUTS} are understood" if of == "Q" else "K is one polynomial; leave out the commas")
    walker = _Walker(text, family)
    forms = [walker.form(part) for part in parts]
    if not any(form.scale and form.factors for form in forms):
        raise _no(text, f"it is the same everywhere; {EXAMPLE}")
    dim = 2 if any(family[name] == 1 for name in names) else 1
    if of == "K":
        _check_sign(text, forms[0], dim)
    return Read(dim, tuple(map(_product, forms)))


def _tokens(text) -> list[tuple[str, str]]:
    at, depth, tokens = 0, 0, []
    body = text.rstrip(" \t\r\n")
    while at < len(body):
        match = TOKEN.match(body, at)
        if match is None:
            column = at + 1 + len(body[at:]) - len(body[at:].lstrip(" \t\r\n"))
            raise _no(text, f"{body[column - 1]!a} in column {column} is not understood; {EXAMPLE}")
        token = match[match.lastgroup]
        depth += (token == "(") - (token == ")")
        if depth > DEEPEST:
            raise _no(text, f"parentheses within each other: {DEEPEST} at most")
        tokens.append((match.lastgroup, token))
        at = match.end()
    if not tokens:
        raise ValueError(f"the polynomial is empty; {EXAMPLE}")
    return tokens


def _no(text, why: str) -> ValueError:
    return ValueError(f"{_short(text)}: {why}")


def _short(text: str) -> str:
    shown = text.strip() if len(text.strip()) <= 40 else text.strip()[:39] + "…"
    return "".join(c if c.isprintable() else "�" for c in shown)


class _Walker:
    def __init__(self, text, family):
        self.text, self.family = text, family

    def form(self, node, depth: int = 0) -> Form:
        if depth > 2 * DEEPEST:
            raise _no(self.text, f"signs and parentheses within each other: {DEEPEST} at most")
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            return self._checked(Form(self._number(node.value)))
        if isinstance(node, ast.Name):
            axis = self.family[node.id]
            return Form(Fraction(1), (({(1 - axis, axis): Fraction(1)}, 1),))
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            inner = self.form(node.operand, depth + 1)
            return inner._replace(scale=-inner.scale) if isinstance(node.op, ast.USub) else inner
        if isinstance(node, ast.BinOp):
            if isinstance(node.op, ast.Pow):
                return self._power(self.form(node.left, depth + 1), node.right)
            for kinds, join in (((ast.Add, ast.Sub), self._sum), ((ast.Mult, ast.Div), self._times)):
                if isinstance(node.op, kinds):
                    return self._chain(node, kinds, join, depth)
        raise _no(self.text, f"only + - * / ^, numbers, variables and parentheses are understood; {EXAMPLE}")

    def _chain(self, node, kinds, join, depth):
        """a - b + c is ((a - b) + c): walked along its left side, so that a long sum is not deep."""
        rest = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, kinds):
            rest.append((node.op, self.form(node.right, depth + 1)))
            node = node.left
        total = self.form(node, depth + 1)
        for op, form in reversed(rest):
            total = self._checked(join(total, op, form))
        return total

    def _sum(self, a: Form, op, b: Form) -> Form:
        if not b.scale:
            return a
        if not a.scale:
            return b._replace(scale=-b.scale) if isinstance(op, ast.Sub) else b
        total = algebra.plus(a.expanded(), algebra.scaled(b.expanded(), -1 if isinstance(op, ast.Sub) else 1))
        if algebra.degree(total) <= 0:
            return Form(total.get((0, 0), Fraction(0)))
        return Form(Fraction(1), ((total, 1),))

    def _times(self, a: Form, op, b: Form) -> Form:
        if isinstance(op, ast.Div):
            if b.factors or not b.scale:
                raise _no(self.text, f"only division by a number other than 0 is understood; {EXAMPLE}")
            return a._replace(scale=a.scale / b.scale)
        if not (a.scale and b.scale):
            return Form(Fraction(0))
        factors = list(a.factors)
        for f, n in b.factors:
            same = next((k for k, (g, _) in enumerate(factors) if g == f), None)
            if same is None:
                factors.append((f, n))
            else:
                factors[same] = (f, factors[same][1] + n)
        return Form(a.scale * b.scale, tuple(factors))

    def _power(self, base: Form, node) -> Form:
        if not (isinstance(node, ast.Constant) and type(node.value) is int and 0 <= node.value <= DEGREE):
            raise _no(self.text, f"an exponent must be a whole number from 0 to {DEGREE}")
        n = node.value
        if n == 0:
            return Form(Fraction(1))
        return self._checked(Form(base.scale**n, tuple((f, k * n) for f, k in base.factors)))

    def _number(self, number) -> Fraction:
        if abs(number) > LARGEST:  # true for inf; no literal is NaN
            raise _no(self.text, f"a number above {LARGEST:g}")
        return algebra.exact(number)

    def _checked(self, form: Form) -> Form:
        if form.degree > DEGREE:
            raise _no(self.text, f"the degree is {form.degree:,}; at most {DEGREE} is understood")
        for c in (form.scale, *(c for f, _ in form.factors for c in f.values())):
            if c and not 1 / LARGEST <= abs(c) <= LARGEST:
                raise _no(self.text, f"a coefficient of size {float(abs(c)):.1g}; sizes between {1 / LARGEST:g} and {LARGEST:g} are understood")
        return form


def _product(form: Form) -> Product:
    if not form.scale:
        return Product((), 0.0)
    factors = []
    for f, n in form.factors:
        factors.append(Factor(tuple((float(c), i, j) for (i, j), c in f.items()), n))
    return Product(tuple(factors), float(form.scale))


# Is K >= 0?


def _check_sign(text, form: Form, dim: int) -> None:
    """K changes its sign only across real curves of its irreducible factors of odd power. Between two lines where a factor is parallel to them, is
    singular or runs to infinity, the number of its real points on a line is constant: one line there tells."""
    odd = [f for g, n in form.factors for f, k in algebra.factored(g) if n * k % 2 and not _one_sign(f)]
    try:
        for x in _between({a for f in odd for a in _changes(f)}):
            ys = _between({a for f in odd for a in algebra.all_real_roots(algebra.on_line(f, 0, x))}) if dim == 2 else [Fraction(0)]
            for y in ys:
                k = form.scale
                for f, n in form.factors:
                    k *= algebra.value(f, x, y) ** n
                if k < 0:
                    at = show_point((float(x), float(y))[:dim])
                    raise _no(text, f"K is {float(k):.3g} at {at}; give a K that is nowhere negative, or Q with K = Q²/2")
    except TooLarge as reason:
        raise _no(text, f"not decided whether K is nowhere negative: {reason}; give Q with K = Q²/2") from None


def _one_sign(f: Terms2) -> bool:
    """Whether f is plainly of one sign: even powers with coefficients of one sign."""
    return all(i % 2 == 0 == j % 2 for i, j in f) and (min(f.values()) > 0 or max(f.values()) < 0)


def _changes(f: Terms2) -> list[float]:
    """Values of the first variable where the number of real zeros of f above it can change."""
    if algebra.degree(f, 1) < 1:
        return algebra.all_real_roots(algebra.on_line(f, 1, 0))
    tall = algebra.degree(f, 1)
    top = algebra.on_line({(i, 0): c for (i, j), c in f.items() if j == tall}, 1, 0)
    turns = algebra.resultant(f, algebra.derivative(f, 1), 1) if tall > 1 else []
    return algebra.all_real_roots(top) + algebra.all_real_roots(turns)


def _between(ends: set[float]) -> list[Fraction]:
    """Two numbers in every gap."""
    ends = sorted(ends) or [0.0]
    ends = [ends[0] - 4, *ends, ends[-1] + 4]
    return [algebra.between(*gap) for a, b in itertools.pairwise(ends) for gap in ((a, 0.5 * (a + b)), (0.5 * (a + b), b))]
