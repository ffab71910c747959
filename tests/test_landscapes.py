"""Landscapes against exact rational arithmetic on the expanded polynomials (a float is a rational number)."""

import math
import pickle
import re
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import landscapes
from dynamics import GD, SGD, Simulation
from landscapes import CATALOGUE, Bowl, Cusp, DoubleWell, Monomial, NormalCrossing, Regular, Ring, RotatedLine, TripleWell, Valley
from landscapes.polynomial import Factor, Landscape, Product, Roots, _latex_product, evaluate, outputs, potential, root
from landscapes.scale import parameters

every_class = pytest.mark.parametrize("cls", CATALOGUE.values(), ids=CATALOGUE)

# Expanded polynomials {(i, j): c}: exact, slow, obvious.


def times(p, q):
    product = {}
    for (i, j), a in p.items():
        for (k, m), b in q.items():
            product[i + k, j + m] = product.get((i + k, j + m), 0) + a * b
    return product


def plus(p, q):
    return {e: p.get(e, 0) + q.get(e, 0) for e in {*p, *q}}


def differentiate(p, axis):
    return {(i - (axis == 0), j - (axis == 1)): c * (i, j)[axis] for (i, j), c in p.items() if (i, j)[axis]}


def at(p, w):
    x, y = (*map(Fraction, w), Fraction(0))[:2]
    return sum((c * x**i * y**j for (i, j), c in p.items()), Fraction(0))


def expand(landscape, sign=lambda c: c):
    """The outputs Q_k; with `sign=abs` every term is made positive."""
    polynomials = []
    for product in landscape.products():
        whole = {(0, 0): sign(Fraction(product.scale))}
        for factor in product.factors:
            terms = {}
            for c, i, j in factor.terms:
                terms[i, j] = terms.get((i, j), 0) + sign(Fraction(c))
            for _ in range(factor.power):
                whole = times(whole, terms)
        polynomials.append(whole)
    return polynomials


def energy(polynomials):
    """K = sum Q_k^2 / 2."""
    total = {}
    for q in polynomials:
        total = plus(total, {e: c / 2 for e, c in times(q, q).items()})
    return total


class Exact:
    """A landscape's polynomials, and the scale of rounding: the same sums of products with every term made positive.

    A sum of products in floating point is off by at most (number of operations) * 2^-53 of that (Higham 2002, section 3.1). Degrees up to 14,
    two sums of up to 3 terms and 6 operations a multiplication of jets: fewer than 500 operations in all.
    """

    def __init__(self, landscape):
        self.Q, self.bound = expand(landscape), expand(landscape, abs)
        self.dim = landscape.dim

    def close(self, computed, polynomial, bound, w):
        error = abs(Fraction(float(computed)) - at(polynomial, w))
        return error <= 500 * Fraction(2) ** -53 * at(bound, [abs(x) for x in w]) + Fraction(1e-300)  # the last: underflow


@st.composite
def landscapes_of(draw, classes=tuple(CATALOGUE.values())):
    """Any landscape of the catalogue with any legal parameters."""
    cls = draw(st.sampled_from(classes))
    values = {}
    for p in parameters(cls):
        values[p.name] = draw(st.integers(p.range.low, p.range.high) if p.kind is int else st.floats(p.range.low, p.range.high))
    return cls(**values)


@st.composite
def landscapes_and_points(draw):
    landscape = draw(landscapes_of())
    return landscape, [draw(st.floats(low, high)) for low, high in landscape.box]


@settings(max_examples=200)
@given(landscapes_and_points())
def test_values_gradients_and_hessians_of_Q_are_those_of_the_expanded_polynomials(case):
    landscape, w = case
    exact = Exact(landscape)
    value, gradient, hessian = landscape.jet(w)
    for k, (q, bound) in enumerate(zip(exact.Q, exact.bound, strict=True)):
        assert exact.close(landscape.Q(w)[k], q, bound, w)
        assert exact.close(value[k], q, bound, w)
        for i in range(landscape.dim):
            dq, dbound = differentiate(q, i), differentiate(bound, i)
            assert exact.close(gradient[k, i], dq, dbound, w)
            for j in range(landscape.dim):
                assert exact.close(hessian[k, i, j], differentiate(dq, j), differentiate(dbound, j), w)


@settings(max_examples=200)
@given(landscapes_and_points())
def test_K_its_gradient_and_hessian_and_the_fisher_matrix_are_those_of_the_expanded_polynomials(case):
    landscape, w = case
    exact = Exact(landscape)
    K, bound = energy(exact.Q), energy(exact.bound)
    assert exact.close(landscape.K(w), K, bound, w)
    gradient, hessian, fisher = landscape.gradient(w), landscape.hessian(w), landscape.fisher(w)
    for i in range(landscape.dim):
        assert exact.close(gradient[i], differentiate(K, i), differentiate(bound, i), w)
        for j in range(landscape.dim):
            assert exact.close(hessian[i, j], differentiate(differentiate(K, i), j), differentiate(differentiate(bound, i), j), w)
            G, Gbound = {}, {}
            for q, b in zip(exact.Q, exact.bound, strict=True):
                G = plus(G, times(differentiate(q, i), differentiate(q, j)))
                Gbound = plus(Gbound, times(differentiate(b, i), differentiate(b, j)))
            assert exact.close(fisher[i, j], G, Gbound, w)


@settings(max_examples=200)
@given(landscapes_and_points())
def test_the_kernels_formulas_are_those_of_the_expanded_polynomials(case):
    landscape, w = case
    exact, table = Exact(landscape), landscape.table()
    w1, w2 = (*w, 0.0)[:2]
    assert outputs(table) == len(exact.Q)
    for k, (q, bound) in enumerate(zip(exact.Q, exact.bound, strict=True)):
        value, *gradient = evaluate(table, k, w1, w2)
        assert exact.close(value, q, bound, w)
        for i in range(landscape.dim):
            assert exact.close(gradient[i], differentiate(q, i), differentiate(bound, i), w)


@given(landscapes_and_points(), st.floats(-3, 3), st.floats(0.1, 3), st.floats(-3, 3))
def test_the_kernels_loss_of_given_data_is_the_sum_over_outputs_of_its_definition(case, slope, mxx, mxe):
    landscape, w = case
    exact = Exact(landscape)
    loss, bound = {}, {}
    for k, (q, b) in enumerate(zip(exact.Q, exact.bound, strict=True)):
        m = Fraction(mxe) * (k + 1)
        r, rbound = plus(q, {(0, 0): -Fraction(slope)}), plus(b, {(0, 0): abs(Fraction(slope))})
        for total, residual, pull in ((loss, r, -m), (bound, rbound, abs(m))):
            square = {e: Fraction(mxx) * c / 2 for e, c in times(residual, residual).items()}
            total.update(plus(total, plus(square, {e: pull * c for e, c in residual.items()})))
    moments = np.array([mxx, *(mxe * (k + 1) for k in range(len(exact.Q)))])
    value, *gradient = potential(landscape.table(), slope, moments, *(*w, 0.0)[:2])
    assert exact.close(value, loss, bound, w)
    for i in range(landscape.dim):
        assert exact.close(gradient[i], differentiate(loss, i), differentiate(bound, i), w)


@pytest.mark.parametrize("d", range(1, 7))
def test_a_multiple_root_is_exact_beside_itself_where_the_expansion_loses_every_digit(d):
    landscape, w = DoubleWell(w0=1.8, d1=1, d2=d), 1.8 + 1e-6
    u, v = Fraction(w) - Fraction(1.8), Fraction(w) + Fraction(1.8)
    truth = [v * u**d, u**d + d * v * u ** (d - 1), 2 * d * u ** (d - 1) + d * (d - 1) * v * u ** max(d - 2, 0)]
    value, gradient, hessian = landscape.jet([w])
    kernel_value, kernel_gradient, _ = evaluate(landscape.table(), 0, w, 0.0)
    computed = [value[0], gradient[0, 0], hessian[0, 0, 0]]
    for got, true in [*zip(computed, truth, strict=True), (kernel_value, truth[0]), (kernel_gradient, truth[1])]:
        assert abs(Fraction(float(got)) / true - 1) < 1e-14  # some ten roundings of 1e-16
    if d > 2:
        expanded = np.polyval(np.poly([-1.8] + [1.8] * d), w)
        assert abs(expanded / float(truth[0]) - 1) > 1e-3  # the example would show nothing otherwise


class Any(Landscape):
    """Whatever products it is given."""

    box, minima = ((-1.0, 1.0), (-1.0, 1.0)), ()

    def __init__(self, *products, dim=2):
        self.given, self.dim = products, dim

    def products(self):
        return self.given


def test_a_factor_to_the_power_nought_is_one_everywhere():
    for landscape in (Any(Product((root(0.5, 0), root(2, 1)), scale=-3.0), dim=1), Any(Product((Factor(((1.0, 1, 1),), 0),)))):
        w = [0.25, 0.5][: landscape.dim]
        value, gradient, _ = landscape.jet(w)
        kernel_value, *kernel_gradient = evaluate(landscape.table(), 0, *(*w, 0.0)[:2])
        assert landscape.Q(w)[0] == value[0] == kernel_value == (5.25 if landscape.dim == 1 else 1)
        assert list(gradient[0]) == kernel_gradient[: landscape.dim] == ([-3.0] if landscape.dim == 1 else [0, 0])


@every_class
def test_arrays_of_points_have_their_variables_last(cls):
    landscape = cls()
    low, high = np.array(landscape.box).T
    w = np.random.default_rng(0).uniform(low, high, (3, 4, landscape.dim))
    dim, k = landscape.dim, len(landscape.products())
    value, gradient, hessian = landscape.jet(w)
    assert (value.shape, gradient.shape, hessian.shape) == ((3, 4, k), (3, 4, k, dim), (3, 4, k, dim, dim))
    for name in ("Q", "K", "gradient", "fisher", "hessian"):
        whole, one = getattr(landscape, name)(w), getattr(landscape, name)(w[1, 2])
        np.testing.assert_array_equal(whole[1, 2], one)
    with pytest.raises(ValueError, match=rf"points have shape \(5,\); the last axis must be {dim}"):
        landscape.K(np.zeros(5))


def test_a_product_of_roots_in_one_variable_has_the_fast_table_and_everything_else_the_general_one():
    for cls in CATALOGUE.values():
        assert isinstance(cls().table(), Roots) == (cls.dim == 1)


@given(landscapes_of())
def test_declared_minima_are_zeros_of_K_inside_the_box_most_degenerate_first(landscape):
    for minimum in landscape.minima:
        assert landscape.K(minimum.at) == 0
        assert all(low <= x <= high for x, (low, high) in zip(minimum.at, landscape.box, strict=True))
        assert (
            isinstance(minimum.lam, Fraction)
            and 0 < minimum.lam <= Fraction(landscape.dim, 2)
            and minimum.multiplicity in range(1, landscape.dim + 1)
        )
    order = [(minimum.lam, -minimum.multiplicity) for minimum in landscape.minima]
    assert order == sorted(order)


@given(landscapes_of(), st.floats(-3, 3))
def test_K_vanishes_along_declared_lines(landscape, t):
    for minimum in landscape.minima:
        if minimum.along is not None:
            w = np.array(minimum.at) + t * np.array(minimum.along)
            # exact up to the rounding of w itself: slope * w2 is known to 2^-53 of 15, and Q vanishes at least like that distance
            assert landscape.Q(w)[0] == pytest.approx(0, abs=1e-14 if isinstance(landscape, RotatedLine) else 0)


@given(landscapes_of(tuple(cls for cls in CATALOGUE.values() if cls.dim == 1)))
def test_a_barrier_is_the_maximum_of_K_between_neighbouring_minima(landscape):
    wells = sorted(minimum.at[0] for minimum in landscape.minima)
    assert len(landscape.barriers) == len(wells) - 1
    for left, barrier, right in zip(wells, landscape.barriers, wells[1:], strict=False):
        assert left < barrier < right
        between = np.linspace(left, right, 1001)[1:-1, None]
        top = landscape.K((barrier,))
        assert top >= np.max(landscape.K(between)) * (1 - 1e-12)  # K has one maximum between simple wells: nothing on the grid is higher
        assert landscape.hessian((barrier,))[0, 0] < 0
        # |K'| at the float nearest to the true barrier is at most |K''| times its rounding
        scale = abs(landscape.hessian((barrier,))[0, 0]) * landscape.w0
        assert abs(landscape.gradient((barrier,))[0]) < 1e-13 * scale


@given(landscapes_of())
def test_where_lambda_is_undefined_K_is_stationary_positive_and_lower_nearby_and_the_reason_is_given(landscape):
    for point in landscape.undefined:
        assert point.lam is None and point.multiplicity is None and "K has a maximum" in point.why
        K, scale = landscape.K(point.at), np.abs(landscape.hessian(point.at)).max()
        assert K > 0 and np.abs(landscape.gradient(point.at)).max() <= 1e-12 * scale
        size = 1e-3 * (landscape.box[0][1] - landscape.box[0][0])
        around = np.array(point.at) + size * np.concatenate([np.eye(landscape.dim), -np.eye(landscape.dim)])
        assert np.all(landscape.K(around) < K)


def test_the_declared_learning_coefficients_are_the_ones_of_the_reference_table():
    half, third, quarter, fifth, sixth = (Fraction(1, n) for n in (2, 3, 4, 5, 6))
    declared = {
        DoubleWell(1.8, 1, 2): [(quarter, 1), (half, 1)],
        DoubleWell(2, 2, 3): [(sixth, 1), (quarter, 1)],
        Valley(p=1, k=1): [(third, 1), (half, 1)],
        Valley(p=1, k=2): [(quarter, 2), (quarter, 1)],
        Valley(p=2, k=1): [(fifth, 1), (half, 1)],
        Valley(p=2, k=2): [(sixth, 1), (quarter, 1)],
        NormalCrossing(1, 1): [(half, 2), (half, 1), (half, 1)],
        Cusp(): [(Fraction(5, 12), 1), (half, 1)],
        Regular(): [(Fraction(1), 1)],
    }
    for landscape, values in declared.items():
        assert [(minimum.lam, minimum.multiplicity) for minimum in landscape.minima] == values


@given(st.floats(0.1, 5), st.floats(-9, 9), st.floats(-9, 9))
def test_distances_to_a_point_and_to_a_line_are_the_textbook_ones(slope, x, y):
    w = np.array([[x, y], [0.0, 0.0]])
    (line,), (point,) = RotatedLine(slope=slope).minima, Regular().minima
    assert RotatedLine(slope=slope).line is not None and RotatedLine(slope=slope).line.at == line.at and Regular().line is None
    assert line.distance(w)[0] == pytest.approx(abs(x + slope * y) / math.hypot(1, slope), abs=1e-14 * 50)  # coordinates up to 46 long
    assert point.distance(w)[0] == pytest.approx(math.hypot(x, y), rel=1e-14)
    assert line.distance(w)[1] == 0 and point.distance(w)[1] == 0


@pytest.mark.parametrize(
    ("landscape", "latex"),
    [
        (DoubleWell(1.8, 1, 2), "(w+1.8)(w-1.8)^{2}"),
        (TripleWell(1.5, 1, 2, 3), "(w+1.5)w^{2}(w-1.5)^{3}"),
        (Monomial(1), "w"),
        (Monomial(3), "w^{3}"),
        (Valley(1, 1), "(w_1^{2}+w_2^{2})w_1"),
        (Valley(2, 3), "(w_1^{2}+w_2^{2})^{2}w_1^{3}"),
        (NormalCrossing(1, 2), "w_1w_2^{2}"),
        (Cusp(), "w_1^{2}-w_2^{3}"),
        (Ring(1), "w_1^{2}+w_2^{2}-1"),
        (Ring(2), "(w_1^{2}+w_2^{2}-1)^{2}"),
        (RotatedLine(0.5, 2), "(w_1+0.5w_2)^{2}"),
        (RotatedLine(1, 1), "w_1+w_2"),
        (Bowl(1, 2), r"\left(w_1,\; w_2^{2}\right)"),
        (Regular(), r"\left(w_1,\; w_2\right)"),
    ],
    ids=repr,
)
def test_the_latex_is_what_a_paper_would_print(landscape, latex):
    assert landscape.latex == latex


def test_the_latex_of_odd_products_keeps_its_meaning():
    x, xy, minus = Factor(((1.0, 1, 0),)), Factor(((1.0, 1, 1),), 2), Factor(((-1.0, 1, 0),))
    for product, latex in [
        (Product((), 1.0), "1"),
        (Product((), -1.0), "-1"),
        (Product((x,), -1.0), "-w_1"),
        (Product((x,), -2.5), "-2.5w_1"),
        (Product((x,), 0.0), "0"),
        (Product((xy, x), 3.0), "3(w_1w_2)^{2}w_1"),
        (Product((minus,)), "-w_1"),
        (Product((minus, x)), "(-w_1)w_1"),
        (Product((Factor(((3.0, 0, 0),)), x), 2.0), "2(3)w_1"),
        (Product((Factor(((0.0, 1, 0),)),)), "0"),
        (Product((Factor(((1e-7, 2, 0), (-123456.0, 0, 0))),)), r"1\cdot 10^{-7}w_1^{2}-1.235\cdot 10^{5}"),
    ]:
        assert _latex_product(product, ("w_1", "w_2")) == latex


def python_of(latex: str) -> str:
    """The same formula in Python: a product sign between every two operands, ** for ^."""
    code, operand = "", False
    for token in re.findall(r"w_[12]|w|[\d.]+|[-+(){}^,]", latex.replace(r"\left", "").replace(r"\right", "")):
        starts = token not in "-+)}^,{"
        code += "*" * (operand and starts) + {"{": "(", "}": ")", "^": "**"}.get(token, token)
        operand = token not in "-+({^,"
    return code


@given(landscapes_and_points())
def test_the_latex_evaluates_to_Q(case):
    landscape, w = case
    shown = {p.name: float(f"{getattr(landscape, p.name):.4g}") for p in parameters(type(landscape))}  # LaTeX shows four digits
    landscape = type(landscape)(**shown)
    values = np.atleast_1d(eval(python_of(landscape.latex), dict(zip(("w",) if landscape.dim == 1 else ("w_1", "w_2"), w, strict=True))))
    bounds = [float(at(bound, [abs(x) for x in w])) for bound in expand(landscape, abs)]
    np.testing.assert_array_less(np.abs(values - landscape.Q(w)), 500 * 2.0**-53 * np.array(bounds) + 1e-300)


@given(landscapes_of())
def test_a_landscape_is_a_value_that_hashes_pickles_and_prints_as_the_call_that_made_it(landscape):
    for twin in (eval(repr(landscape), vars(landscapes).copy()), pickle.loads(pickle.dumps(landscape))):
        assert twin == landscape and hash(twin) == hash(landscape) and type(twin) is type(landscape)
    assert {landscape: 1}[landscape] == 1


@every_class
def test_every_degree_and_position_of_the_catalogue_has_a_range_with_a_help_text(cls):
    fields = [p.name for p in parameters(cls)]
    assert fields == list(cls.__dataclass_fields__)
    assert all(p.help and p.range.low <= p.range.shown[0] < p.range.shown[1] <= p.range.high for p in parameters(cls))
    assert (cls.__doc__ or "").startswith("Q = ")


def test_changing_degrees_or_the_landscape_compiles_nothing_new(compiled):
    def visit(*chosen):
        for landscape in chosen:
            for rule in (GD(), SGD()):
                Simulation(landscape, rule, n=3, steps=70).run()

    visit(DoubleWell(), Valley())
    before = compiled()
    assert before > 0
    visit(*(cls() for cls in CATALOGUE.values()), DoubleWell(0.7, 6, 5), TripleWell(d1=4), Monomial(6), Valley(4, 6), Bowl(3, 3), RotatedLine(0.3, 5))
    assert compiled() == before


@every_class
def test_the_points_of_a_landscape_have_different_names(cls):
    names = [point.name for point in (*cls().minima, *cls().undefined)]
    assert len(set(names)) == len(names)


def test_a_point_of_a_curve_of_minima_has_no_distance_that_tells_how_near_one_is():
    cusp, valley, well = Cusp().minima, Valley().minima, DoubleWell().minima
    assert [minimum.isolated for minimum in cusp] == [True, False] and not cusp[1].along
    assert all(minimum.isolated for minimum in (*valley, *well))
