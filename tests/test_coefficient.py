"""Exact lambda and m against the reference's tables, the volume law (an independent measurement), and theorems that every one must obey."""

import json
import math
import pathlib
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from landscapes import CATALOGUE, Undecided, Undefined, algebra, fit_volume, learning_coefficient, minima, parse
from landscapes.coefficient import Output, System, at_zero, expanded, newton
from landscapes.scale import parameters
from landscapes.zeros import extent

HERE = (Fraction(0), Fraction(0))
CASES = pathlib.Path(__file__).resolve().parents[1].parent / "shared" / "reference" / "rlct2d_cases.json"

TABLE = [  # text, what it is, at, lambda, m
    # the post's landscapes
    ("(w1^2+w2^2)*w1", "Q", (0, 0), "1/3", 1),
    ("(w1^2+w2^2)*w1", "Q", (0, 1), "1/2", 1),
    ("(w1^2+w2^2)*w1^2", "Q", (0, 0), "1/4", 2),
    ("(w1^2+w2^2)*w1^2", "Q", (0, -0.3), "1/4", 1),
    ("(w1^2+w2^2)^2*w1", "Q", (0, 0), "1/5", 1),
    ("(w1^2+w2^2)^2*w1^2", "Q", (0, 0), "1/6", 1),
    ("(w+1.8)*(w-1.8)^2", "Q", 1.8, "1/4", 1),
    ("(w+1.8)*(w-1.8)^2", "Q", -1.8, "1/2", 1),
    ("(w+1.8)^3*(w-1.8)^2", "Q", -1.8, "1/6", 1),
    # textbook singularities
    ("x*y", "Q", (0, 0), "1/2", 2),
    ("x^2*y", "Q", (0, 0), "1/4", 1),
    ("(x-y^2)^2*x", "Q", (0, 0), "1/4", 2),
    ("x^2-y^3", "Q", (0, 0), "5/12", 1),
    ("x^2+y^4", "Q", (0, 0), "3/8", 1),
    ("(y-x^2)*(y+x^2)", "Q", (0, 0), "3/8", 1),
    ("(x+y)^3", "Q", (0, 0), "1/6", 1),
    ("(x^2-2*y^2)^2", "Q", (0, 0), "1/4", 2),  # a double real root; and without one:
    ("(x^2+2*y^2)^2", "Q", (0, 0), "1/4", 1),
    ("(y-x^2)^2-x^5", "Q", (0, 0), "7/20", 1),  # one change of coordinates
    ("(y^2-x^3)^2-x^7", "Q", (0, 0), "5/24", 1),
    ("((1+x)*y-x)^3", "Q", (0, 0), "1/6", 1),  # infinitely many
    ("x^2+y^2", "K", (0, 0), "1", 1),
    ("x^2*y^2+y^6", "K", (0, 0), "1/2", 2),
    ("(x^2-y^2)^2+x^6", "K", (0, 0), "1/2", 2),
    ("x+y, x^2, y^2", "Q", (0, 0), "3/4", 1),
    ("x, y", "Q", (0, 0), "1", 1),
    # the same, moved to irrational points
    ("(w1^2-2)^2-w2^3", "Q", (math.sqrt(2), 0), "5/12", 1),
    ("(w2-(w1^2-2)^2)^2-(w1^2-2)^5", "Q", (-math.sqrt(2), 0), "7/20", 1),
    ("((w1^2-2)^2-(w2^2-3)^2)^3", "Q", (math.sqrt(2), -math.sqrt(3)), "1/6", 2),
    ("(w^2-2)^3", "Q", math.sqrt(2), "1/6", 1),
]


@pytest.mark.parametrize(("text", "of", "at", "lam", "m"), TABLE)
def test_the_exact_values_are_those_of_the_reference(text, of, at, lam, m):
    found = learning_coefficient(parse(text, of), at)
    assert (found.lam, found.multiplicity) == (Fraction(lam), m)
    assert found.steps and all(step.words and step.latex for step in found.steps) and found.steps[-1].kind == "result"
    assert f"= {lam}" in found.steps[-1].words and f"m = {m}" in found.steps[-1].words


@pytest.mark.skipif(not CASES.exists(), reason="the reference data are not here")
def test_the_exact_values_are_those_of_the_reference_file():
    used = 0
    for case in json.loads(CASES.read_text()):
        name = case["name"].removeprefix("K=").removeprefix("ideal ")
        if name.startswith("PNN"):
            continue  # given by a network, not by a polynomial
        text = name.replace("x^2 y", "x^2*y").replace("(x-y^2)^2 x", "(x-y^2)^2*x").replace("+y^2)x", "+y^2)*x").replace("2y^2", "2*y^2")
        text = "x*y" if text == "xy" else text.replace(")(", ")*(").replace(")y", ")*y").replace("x^2y^2", "x^2*y^2")
        found = learning_coefficient(parse(text, "K" if case["K"] == "as given" else "Q"))
        assert (found.lam, found.multiplicity) == (Fraction(case["lambda_"]), case["multiplicity"]), name
        used += 1
    assert used == 19


@st.composite
def landscapes(draw):
    """Any landscape of the catalogue with any legal parameters."""
    cls = draw(st.sampled_from(list(CATALOGUE.values())))
    values = {}
    for p in parameters(cls):
        values[p.name] = draw(st.integers(p.range.low, p.range.high) if p.kind is int else st.floats(p.range.low, p.range.high))
    return cls(**values)


@settings(max_examples=100)
@given(landscapes())
def test_every_value_that_the_catalogue_declares_is_the_exact_one(landscape):
    for declared in landscape.minima:
        found = learning_coefficient(landscape, declared.at)
        assert (found.lam, found.multiplicity) == (declared.lam, declared.multiplicity)
    for point in landscape.undefined:
        with pytest.raises(Undefined, match="K has a maximum here"):
            learning_coefficient(landscape, point.at)


@settings(max_examples=60)
@given(landscapes())
def test_the_search_finds_every_minimum_barrier_and_centre_of_the_catalogue_and_no_other_zero(landscape):
    found, declared = minima(landscape), landscape.minima
    assert not found.missing
    assert (found.lam, found.multiplicity) == (declared[0].lam, declared[0].multiplicity)
    assert sorted((m.lam, m.multiplicity) for m in found.minima) == sorted((m.lam, m.multiplicity) for m in declared)
    for isolated in (m for m in declared if landscape.dim == 1 or m.name == "O"):
        assert any(np.allclose(m.at, isolated.at, rtol=0, atol=1e-12) and m.lam == isolated.lam for m in found.minima)
    assert len(found.undefined) == len(landscape.undefined)
    for point in landscape.undefined:
        assert any(np.allclose(other.at, point.at, rtol=0, atol=1e-9) for other in found.undefined)
    for m in found.minima:
        scale = max(abs(landscape.K(np.array(m.at) + 0.1)), 1e-300)
        assert landscape.K(m.at) < 1e-20 * scale or landscape.K(m.at) < 1e-28


# What every polynomial must obey. Small polynomials in x, y without a constant term, as products of powers of a few that meet at the origin.

SIMPLE = [
    {(1, 0): 1},
    {(0, 1): 1},
    {(1, 0): 1, (0, 1): 1},
    {(1, 0): 1, (0, 1): -1},
    {(0, 1): 1, (2, 0): -1},
    {(0, 1): 1, (2, 0): 2},
    {(1, 0): 1, (0, 2): -1},
    {(0, 2): 1, (3, 0): -1},
    {(2, 0): 1, (0, 2): 1},
    {(2, 0): 1, (0, 2): -2},
    {(2, 0): 1, (0, 4): 1},
    {(2, 0): 1, (1, 1): -1, (0, 3): 1},
]


@st.composite
def factors(draw, most=3):
    picked = draw(st.lists(st.sampled_from(range(len(SIMPLE))), min_size=1, max_size=most, unique=True))
    return [(SIMPLE[k], draw(st.integers(1, 3 if len(picked) < 3 else 2))) for k in picked]


@st.composite
def systems(draw):
    """One to three outputs: products, or dense small ones."""
    outputs = draw(st.lists(factors(), min_size=1, max_size=3))
    return [expanded(output) for output in outputs]


def coefficient(outputs, square=2):
    """(lambda, m) at the origin of polynomials {(i, j): c} without a constant term."""
    primitive = [algebra.primitive(f) for f in outputs if f]
    return at_zero(System(tuple(Output(Fraction(1), ((f, 1),)) for f in primitive), square, 2), HERE)[:2]


small = st.fractions(-3, 3, max_denominator=3)


@given(systems(), small, small, small, small)
def test_an_invertible_linear_change_of_coordinates_changes_nothing(outputs, a, b, c, d):
    assume(a * d != b * c)
    x, y = {(1, 0): a, (0, 1): b}, {(1, 0): c, (0, 1): d}
    x, y = ({e: v for e, v in p.items() if v} for p in (x, y))
    turned = []
    for f in outputs:
        total = {}
        for (i, j), v in f.items():
            total = algebra.plus(total, algebra.scaled(algebra.times(algebra.power(x, i), algebra.power(y, j)), v))
        turned.append(total)
    assert coefficient(turned) == coefficient(outputs)


@given(systems(), st.lists(st.tuples(st.integers(0, 1), small.filter(bool), st.integers(2, 4)), min_size=1, max_size=2))
def test_an_analytic_change_of_coordinates_changes_nothing(outputs, changes):
    turned = outputs
    for change in changes:
        turned = [algebra.sheared(f, *change) for f in turned]
    assert coefficient(turned) == coefficient(outputs)


@given(systems(), st.lists(st.tuples(small, st.integers(0, 2), st.integers(0, 2)), max_size=3))
def test_a_factor_that_is_not_zero_here_changes_nothing(outputs, terms):
    unit = {(0, 0): Fraction(1)}
    for c, i, j in terms:
        if i + j:
            unit = algebra.plus(unit, {(i, j): c} if c else {})
    assert coefficient([algebra.times(f, unit) for f in outputs]) == coefficient(outputs)


@given(systems(), st.lists(small, min_size=9, max_size=9))
def test_other_generators_of_the_same_ideal_change_nothing(outputs, c):
    n = len(outputs)
    matrix = np.array([[c[3 * i + j] for j in range(n)] for i in range(n)], object)
    assume(np.linalg.det(matrix.astype(float)) ** 2 > 1e-6)
    mixed = []
    for row in matrix:
        total = {}
        for a, f in zip(row, outputs, strict=True):
            total = algebra.plus(total, algebra.scaled(f, a))
        mixed.append(total)
    assert coefficient(mixed) == coefficient(outputs)


@given(systems())
def test_K_itself_gives_the_same_as_its_outputs(outputs):
    whole = {}
    for f in outputs:
        whole = algebra.plus(whole, algebra.times(f, f))
    assert coefficient([whole], square=1) == coefficient(outputs)


@given(factors(), st.integers(2, 4))
def test_a_power_of_Q_divides_lambda_and_keeps_m(factors, n):
    lam, m = coefficient([expanded(factors)])
    assert coefficient([expanded([(f, n * k) for f, k in factors])]) == (lam / n, m)


@given(st.integers(1, 8), st.integers(1, 8))
def test_separate_variables_add_and_a_normal_crossing_takes_the_larger_power(a, b):
    assert coefficient([{(a, 0): 1}, {(0, b): 1}]) == (Fraction(1, 2 * a) + Fraction(1, 2 * b), 1)
    assert coefficient([{(2 * a, 0): 1, (0, 2 * b): 1}], square=1) == (Fraction(1, 2 * a) + Fraction(1, 2 * b), 1)
    assert coefficient([{(a, b): 1}]) == (Fraction(1, 2 * max(a, b)), 2 if a == b else 1)


@given(systems())
def test_lambda_is_positive_at_most_half_the_number_of_variables_and_at_most_that_of_fewer_outputs(outputs):
    lam, m = coefficient(outputs)
    assert 0 < lam <= 1 and m in (1, 2)
    more = coefficient([*outputs, {(1, 0): 1}])
    assert more >= (lam, 0) and more[0] <= 1  # a larger K: a smaller volume


@pytest.mark.parametrize("seed", range(12))
def test_the_exact_values_agree_with_the_measured_volume_law(seed):
    # fit_volume knows nothing of Newton polygons; 3 of its standard errors and 1 % for terms eps^(lambda + small) that it cannot tell apart
    random = np.random.default_rng(seed)
    while True:
        outputs = []
        for _ in range(1 if seed % 3 else 2):
            size = random.integers(2, 4)
            terms = {tuple(random.integers(0, 5, 2)): int(random.integers(-3, 4)) for _ in range(size)}
            outputs.append("+".join(f"({c})*x^{i}*y^{j}" for (i, j), c in terms.items() if c and i + j) or "0")
        landscape_text = ",".join(outputs)
        try:
            landscape = parse(landscape_text, box=((-1, 1), (-1, 1)))
            found = learning_coefficient(landscape)
        except (Undefined, Undecided):
            continue
        except ValueError:  # a constant, or a degree above 16
            continue
        break
    fit = fit_volume(landscape, (0, 0))
    assert abs(fit.lam - float(found.lam)) <= 3 * fit.stderr + 0.01 * float(found.lam), landscape_text
    if fit.multiplicity is not None:
        assert fit.multiplicity == found.multiplicity, landscape_text


# Points and fields


def test_a_float_means_the_decimal_that_is_written_and_a_third_a_third():
    assert algebra.exact(1.8) == Fraction(9, 5) and algebra.exact(1 / 3) == Fraction(1, 3) and algebra.exact(-2.0) == -2
    assert algebra.exact(math.sqrt(2)) != Fraction(math.sqrt(2)).limit_denominator(10**6)
    third = parse("3*w - 1")
    assert learning_coefficient(third, 1 / 3).lam == Fraction(1, 2)


def test_where_lambda_is_undefined_the_error_says_why():
    well = parse("(w+1.8)*(w-1.8)^2")
    with pytest.raises(Undefined, match=r"K has a maximum here \(K = 23.9\): the volume law describes minima only"):
        learning_coefficient(well, -0.6)
    with pytest.raises(Undefined, match=r"K = 17\.01 at 0 and its gradient is not 0: no minimum"):
        learning_coefficient(well, 0)
    with pytest.raises(Undefined, match="K has a saddle here"):
        learning_coefficient(parse("w1*w2 - 1"), (0, 0))
    with pytest.raises(Undefined, match="inflection"):
        learning_coefficient(parse("w^3+1"), 0)
    for at in (1, (1, 2, 3), "here", (math.nan, 0)):
        with pytest.raises(ValueError, match="give one finite number for each of the 2 variable"):
            learning_coefficient(parse("w1*w2"), at)


def test_at_a_local_minimum_of_positive_loss_lambda_is_that_of_K_less_its_value_there():
    assert learning_coefficient(parse("w^2+1"), 0).lam == Fraction(1, 2)
    assert learning_coefficient(parse("w^4+1"), 0).lam == Fraction(1, 4)
    for power in (6, 8, 12):  # so flat that K is the same number a thousandth away
        (minimum,) = minima(parse(f"(w-0.5)^{power}+1")).minima
        assert minimum.at == (0.5,) and minimum.lam == Fraction(1, power)
    assert [point.name for point in minima(parse("w^7+1")).undefined] == ["inflection 0"]
    assert learning_coefficient(parse("w1^2+w2^2+1"), (0, 0)).lam == 1
    assert learning_coefficient(parse("w1^2+w2^4+1"), (0, 0)).lam == Fraction(3, 4)
    with pytest.raises(Undecided, match="Hessian is degenerate"):  # it is one: (w1 - w2^2)^2 + w2^6 is positive, but not plainly
        learning_coefficient(parse("((w1-w2^2)^2+w2^6+1)*(1-w2^8)"), (0, 0))


def test_what_takes_too_long_is_not_decided_rather_than_wrong():
    found = minima(parse("(1.37*w1^3+0.71*w2^2*w1-0.33)^4 + (2.11*w1*w2 - 0.77*w2^3 + 0.13)^5 + (w1+w2)^16"))
    assert "not all zeros of K were found" in found.missing and found.lam is None and found.multiplicity is None


@pytest.mark.parametrize(
    ("text", "of", "points", "curves", "best"),
    [
        ("(w1^2+w2^2-1)*(w1-w2)^2", "Q", [(-(0.5**0.5), -(0.5**0.5), "1/4", 1), (0.5**0.5, 0.5**0.5, "1/4", 1)], ["1/4", "1/2"], ("1/4", 1)),
        ("(w1^2-2)*(w2^2-3)", "Q", [(a * 2**0.5, b * 3**0.5, "1/2", 2) for a in (-1, 1) for b in (-1, 1)], ["1/2", "1/2"], ("1/2", 2)),
        ("(w1-1)*(w1-w2)*(w1+w2-2)", "Q", [(1, 1, "1/3", 1)], ["1/2"] * 3, ("1/3", 1)),
        ("w1^2*w2^4+w1^4*w2^2-3*w1^2*w2^2+1", "K", [(a, b, "1", 1) for a in (-1, 1) for b in (-1, 1)], [], ("1", 1)),  # Motzkin's: no sum of squares
        ("w1^2-w2, w1*w2-1", "Q", [(1, 1, "1", 1)], [], ("1", 1)),
        ("(w1^2-w2)*w1, (w1^2-w2)*(w2-1)", "Q", [(0, 1, "1", 1)], ["1/2"], ("1/2", 1)),
        (
            "(w1^2+w2^2-1)^3-w1^2*w2^3",
            "Q",
            [(0, 1, "5/12", 1), (0, -1, "5/12", 1), (1, 0, "1/3", 1), (-1, 0, "1/3", 1)],
            ["1/2"],
            ("1/3", 1),
        ),  # a heart
    ],
)
def test_all_zeros_are_found_points_and_curves(text, of, points, curves, best):
    landscape = parse(text, of, box=((-2, 2), (-2.1, 2.2)))
    found = minima(landscape)
    zeros = [m for m in found.minima if not m.why]
    assert not found.missing and (found.lam, found.multiplicity) == (Fraction(best[0]), best[1])
    on_curves = [m for m in zeros if m.name.startswith(("line", "curve"))]
    isolated = [m for m in zeros if m not in on_curves]
    assert sorted(m.lam for m in on_curves) == sorted(map(Fraction, curves))
    assert len(isolated) == len(points)
    for x, y, lam, m in points:
        assert any(np.allclose(z.at, (x, y), rtol=0, atol=1e-12) and (z.lam, z.multiplicity) == (Fraction(lam), m) for z in isolated)
    assert all(landscape.K(m.at) < 1e-25 for m in zeros)


def test_only_what_lies_inside_the_box_counts():
    landscape = parse("(w1-1)^3*(w1^2+w2^2)")
    assert [minima(landscape, ((-0.5, 0.5), (-1, 1))).minima[0].at, minima(landscape, ((0.5, 2), (-1, 1))).minima[0].lam] == [(0, 0), Fraction(1, 6)]
    assert minima(landscape, ((0.2, 0.8), (0.2, 0.8))).lam is None


def test_a_small_oval_between_all_trial_lines_is_found():
    landscape = parse("(w1-0.3123)^2+(w2-0.1234)^2-0.0001")
    assert [m.lam for m in minima(landscape, ((-2, 2), (-2, 2))).minima] == [Fraction(1, 2)]
    assert len(extent(landscape)) == 4  # it turns above, below, left and right


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("(w1^3-3*w1+1-w2^4+w2)*(w1^2-w2^3+w2+3*w1)", "Q"),
        ("w1^3-1.1*w2^2+0.3,(w1-w2)^3*w1-0.2,w1*w2-1.31*w1^2", "Q"),
        ("(w1^2+w2^2-1)^3-w1^2*w2^3", "Q"),
        ("(w1^2-w2)^2+(w2^2-1.5)^2", "K"),
    ],
)
def test_newtons_method_from_many_starts_finds_no_critical_point_that_the_search_missed(text, of):
    box = ((-3.0, 3.0), (-3.0, 3.0))
    landscape = parse(text, of, box)
    found = np.array([m.at for m in (*minima(landscape).minima, *minima(landscape).undefined)])
    w = np.stack(np.meshgrid(np.linspace(-2.9, 2.9, 40), np.linspace(-2.9, 2.9, 40)), axis=-1).reshape(-1, 2)
    with np.errstate(all="ignore"):
        for _ in range(60):
            h, g = landscape.hessian(w), landscape.gradient(w)
            det = h[:, 0, 0] * h[:, 1, 1] - h[:, 0, 1] ** 2
            step = np.stack([h[:, 1, 1] * g[:, 0] - h[:, 0, 1] * g[:, 1], h[:, 0, 0] * g[:, 1] - h[:, 0, 1] * g[:, 0]], axis=-1) / det[:, None]
            w = w - step
        ended = (np.abs(step).max(axis=1) < 1e-12) & np.all(np.abs(w) < 2.99, axis=1) & (landscape.K(w) > 1e-9)  # quadratically: simple ones
    ended = np.unique(np.round(w[ended], 7), axis=0)
    assert len(ended) > 2
    for at in ended:
        assert np.min(np.hypot(*(found - at).T)) < 1e-6, at


@given(st.lists(st.tuples(st.integers(-8, 8), st.integers(1, 3)), min_size=1, max_size=4, unique_by=lambda root: root[0]))
def test_in_one_variable_lambda_is_one_over_the_order_of_the_zero(roots):
    landscape = parse("*".join(f"(2*w-({a}))^{n}" for a, n in roots))
    assert [(m.at[0], m.lam) for m in sorted(landscape.minima, key=lambda m: m.at)] == sorted((a / 2, Fraction(1, 2 * n)) for a, n in roots)
    wells = sorted(a / 2 for a, _ in roots)
    assert len(landscape.barriers) == len(wells) - 1
    assert all(a < b < c for a, b, c in zip(wells, landscape.barriers, wells[1:], strict=False))


# Arithmetic

polynomials = st.lists(st.integers(-4, 4), min_size=2, max_size=5).filter(lambda u: u[-1])


@given(st.lists(polynomials, min_size=1, max_size=4))
def test_real_roots_are_counted_exactly_also_multiple_and_rational_ones(parts):
    product = [1]
    for part in parts:
        product = algebra.multiplied(product, part)
    found = algebra.all_real_roots(product)
    square_free = [part for part, _ in algebra.square_free([Fraction(c) for c in product])]
    assert len(found) == sum(algebra.count_real(part) for part in square_free)
    exact = sorted({float(root) + 0.0 for part, _ in algebra.factored1(product) for root in algebra.roots_of(part)})
    np.testing.assert_allclose(found, exact, rtol=1e-15, atol=0)


@given(polynomials, polynomials)
def test_arithmetic_in_a_field_extension_is_that_of_its_real_numbers(u, v):
    for low, high in algebra.intervals([-2, 0, 0, 1]):
        alpha = algebra.Field([-2, 0, 0, 1], low, high).alpha
        a, b = algebra.horner(u, alpha), algebra.horner(v, alpha)
        x, y = (sum(c * 2 ** (k / 3) for k, c in enumerate(w)) for w in (u, v))
        assert float(a * b + a - 1) == pytest.approx(x * y + x - 1, abs=1e-10)
        assert algebra.sign(a) == (0 if not a else math.copysign(1, x))
        if b:
            assert float(a / b) == pytest.approx(x / y, rel=1e-9) and (a / b) * b == a


@given(st.sets(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_newton_polygon_lies_below_all_exponents_and_the_diagonal_leaves_it_at_d(support):
    polygon = newton(support)
    assert set(polygon.vertices) <= support == set(polygon.points)
    # d is the largest over weights (a, b) >= 0 of min (a i + b j) / (a + b): by duality, the slow way, over all edges' weights
    weights = [(1, 0), (0, 1), *((q[1] - r[1], r[0] - q[0]) for q in support for r in support if q[1] > r[1] and r[0] > q[0])]
    assert polygon.distance == max(min(Fraction(a * i + b * j, a + b) for i, j in support) for a, b in weights)


def test_ordinary_polynomials_of_degree_12_are_done_before_anybody_would_give_up():
    """Some 20 ms each, see `bench_coefficient.py`; a search that grows with the power of a factor would not be over in 10 s of CPU."""
    texts = ["(x-y^2)^4*(x+y)^2*(x^2+y^2)", "(y^2-x^3)^3-x^11", "(x^2-2*y^2)^5*(x-y)", "((1+x)*y-x)^5*(y-x^2)", "(y-x^2)^4-x^9, (x*y-x^3)^3"]
    learning_coefficient(parse("(x+y)^2"))  # imports sympy
    for text in texts:
        landscape = parse(text)
        start = time.process_time()
        learning_coefficient(landscape)
        assert time.process_time() - start < 10, text


@pytest.mark.parametrize(
    "roots",
    [
        [Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**9), Fraction(-7, 5)],
        [Fraction(0), Fraction(1, 10**12), Fraction(-1, 10**7)],
        [Fraction(k, 7) for k in range(-9, 10)],
        [Fraction(10**9 + 1, 3), Fraction(-(10**6)), Fraction(2, 3 * 10**6)],
    ],
)
def test_real_roots_are_the_nearest_floats_however_close_small_or_large(roots):
    u = [1]
    for root in roots:
        u = algebra.multiplied(u, [-root.numerator, root.denominator])
    u = algebra.multiplied(algebra.multiplied(u, [1, 0, 1]), [-2, 0, 1])  # and two without real, two with irrational roots
    wanted = sorted([*map(float, roots), -math.sqrt(2), math.sqrt(2)])
    found = algebra.all_real_roots(u)
    assert found == pytest.approx(wanted, rel=3e-16, abs=1e-300)
    easy = algebra.easy_roots(u, rational=False)
    assert all(min(abs(root - at) for at in wanted) <= 2e-15 * (1e-3 + abs(root)) for root in easy)
    assert all(Fraction(root).limit_denominator(1000) in roots for root in algebra.easy_roots(u, rational=True))


def test_a_multiple_root_is_no_easy_one():
    u = algebra.multiplied(algebra.multiplied([-1, 2], [-1, 2]), algebra.multiplied([-2, 0, 1], [-2, 0, 1]))
    assert algebra.easy_roots(u, True) == algebra.easy_roots(u, False) == algebra.simple_roots(u) == []
    assert algebra.simple_roots(algebra.multiplied(u, [-3, 1])) == [3.0]
