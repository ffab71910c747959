"""A user's polynomial: what is read, what is refused, and that everything works on it."""

import itertools
import pickle
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import landscapes
from dynamics import (
    GD,
    MALA,
    NGD,
    SDE,
    SGD,
    Chains,
    Finite,
    HeavyTailedSGD,
    Langevin,
    Online,
    Posterior,
    Simulation,
    UnderdampedSDE,
    lambda_hat_exact,
    noise_covariance,
)
from landscapes import CATALOGUE, Bowl, DoubleWell, Polynomial, Tangency, Valley, fit_volume, parse
from landscapes.polynomial import Factor, Product, Roots, potential
from landscapes.scale import parameters
from landscapes.volume import volume

# Reading


@pytest.mark.parametrize(
    ("text", "python", "dim"),
    [
        ("(w1 - w2^2)^2 * w1", "(x - y**2)**2 * x", 2),
        ("w", "x", 1),
        ("w1^2 - 2", "x**2 - 2", 1),
        ("w2", "y", 2),
        ("w1 + 0*w2", "x", 2),
        ("x*y", "x*y", 2),
        ("-w^2", "-(x**2)", 1),
        ("2 - -3*w", "2 + 3*x", 1),
        ("+w - 1 + 2 - 3*w", "1 - 2*x", 1),
        ("w**3/2 - .5e1*w", "x**3/2 - 5*x", 1),
        ("-(w1 - 2*w2)^3*(w1+1)^2*4", "-4*(x - 2*y)**3*(x + 1)**2", 2),
        ("2^3*w - 3^2", "8*x - 9", 1),
        ("w^0 - w", "1 - x", 1),
        ("(w-1)*(w+1) - w*w + w", "x - 1", 1),
        ("\n w1 *\t w2 ", "x*y", 2),
        ("1/3*w - 1/9", "(x - 1/3)/3", 1),
    ],
)
def test_a_text_means_what_python_would_make_of_it(text, python, dim):
    landscape = parse(text)
    w = np.random.default_rng(0).uniform(-2, 2, (50, dim))
    expected = eval(python, {"x": w[:, 0], "y": w[:, -1]}) + np.zeros(50)
    assert landscape.dim == dim
    np.testing.assert_allclose(landscape.Q(w)[:, 0], expected, rtol=1e-13, atol=1e-13)


@st.composite
def texts(draw, depth=3):
    """(text, its value at a point as a function of x and y), of small degree."""
    if depth == 0 or draw(st.integers(0, 3)) == 0:
        number = draw(st.integers(-9, 9))
        return draw(st.sampled_from([("w1", lambda x, y: x), ("w2", lambda x, y: y), (f"{abs(number)}", lambda x, y: float(abs(number)))]))
    (a, f), (b, g) = draw(texts(depth - 1)), draw(texts(depth - 1))
    return draw(
        st.sampled_from(
            [
                (f"({a} + {b})", lambda x, y: f(x, y) + g(x, y)),
                (f"({a} - {b})", lambda x, y: f(x, y) - g(x, y)),
                (f"{a}*{b}", lambda x, y: f(x, y) * g(x, y)),
                (f"({a})^2", lambda x, y: f(x, y) ** 2),
                (f"-({a})", lambda x, y: -f(x, y)),
            ]
        )
    )


@settings(max_examples=100)
@given(texts(), st.floats(-2, 2), st.floats(-2, 2))
def test_whatever_is_composed_of_what_is_allowed_is_read_rightly(case, x, y):
    text, value = case
    try:
        landscape = parse(f"{text} + 0*w1*w2", box=((-900, 900), (-900, 900)))
    except ValueError as refused:
        error = str(refused)
    else:
        error = None
    if error is not None:
        assert any(part in error for part in ("the same everywhere", "the degree is", "no minimum of K"))
        return
    scale = abs(value(abs(x) + 3, abs(y) + 3)) + 1e3  # of the terms, roughly; differences cancel
    assert landscape.Q((x, y))[0] == pytest.approx(value(x, y), rel=1e-12, abs=1e-10 * scale)


def test_products_of_powers_stay_as_they_are_written_so_that_they_are_exact_beside_a_root():
    assert parse("(w+1.8)*(w-1.8)^2").products() == DoubleWell(1.8, 1, 2).products()
    assert isinstance(parse("(w+1.8)*(w-1.8)^2").table(), Roots)
    assert parse("(w1-w2^2)^2*w1").products() == Tangency().products()
    assert parse("(w1^2+w2^2)*w1^2").products() == Valley(1, 2).products()
    assert parse("w1, w2^2").products() == Bowl(1, 2).products()
    assert parse("w*(w-1)*w^2").products() == (Product((Factor(((1.0, 1, 0),), 3), Factor(((1.0, 1, 0), (-1.0, 0, 0)), 1))),)
    near = 1.8 + 1e-6
    exact = (near + 1.8) * (near - 1.8) ** 4
    assert parse("(w+1.8)*(w-1.8)^4").Q((near,))[0] == pytest.approx(exact, rel=1e-14)


def test_a_text_that_writes_a_landscape_of_the_catalogue_is_that_landscape():
    for text, twin in (("(w+1.8)*(w-1.8)^2", DoubleWell()), ("(w1-w2^2)^2*w1", Tangency()), ("(w1^2+w2^2)*w1", Valley(1, 1))):
        mine = parse(text, box=twin.box)
        assert [(m.lam, m.multiplicity) for m in mine.minima] == [(m.lam, m.multiplicity) for m in twin.minima]
        assert mine.barriers == pytest.approx(twin.barriers, abs=1e-15) and mine.latex == twin.latex
        a, b = (Simulation(landscape, SGD(lr=0.005), n=20, steps=40).run() for landscape in (mine, twin))
        np.testing.assert_array_equal(a.kept, b.kept)


def test_a_polynomial_is_a_value_that_hashes_pickles_and_prints_as_the_call_that_made_it():
    for landscape in (parse("w1*w2"), parse("w^2-2", box=(-3, 3)), parse("w1^2+w2^4", of="K"), Polynomial()):
        for twin in (eval(repr(landscape), vars(landscapes).copy()), pickle.loads(pickle.dumps(landscape))):
            assert twin == landscape and hash(twin) == hash(landscape) and twin.box == landscape.box
    assert [p.name for p in parameters(Polynomial)] == ["text", "of", "window"]


def test_the_default_box_holds_all_zeros_with_room_around_and_another_may_be_given():
    assert parse("(w-1.8)*(w+1.8)").box == DoubleWell(1.8, 1, 1).box
    assert parse("w1^2+w2^2-1").box == ((-2.4, 2.4), (-2.4, 2.4))
    assert parse("w1*w2").box == ((-2.0, 2.0), (-2.0, 2.0))
    assert parse("w^2+1").box == ((-2.0, 2.0),)
    assert parse("w1*w2", box=((-1, 1), (-5, 5))).box == ((-1.0, 1.0), (-5.0, 5.0))
    assert parse("w", box=(-1, 5)).box == ((-1.0, 5.0),)
    with pytest.raises(ValueError, match=r"w-3: no minimum of K inside the box \(\(-1.0, 1.0\),\); it has 3"):
        parse("w-3", box=(-1, 1))
    with pytest.raises(ValueError, match="give \\(low, high\\)"):
        parse("w1*w2", box=(1, 2))


# Refusing

HOSTILE = [
    ("__import__('os')", "'_' in column 1 is not understood"),
    ("(" * 100_000 + "w" + ")" * 100_000, "200,001 characters; write at most 400"),
    ("(" * 150 + "w" + ")" * 150, "parentheses within each other: 40 at most"),
    ("-" * 350 + "w", "signs and parentheses within each other"),
    ("w^999999", "an exponent must be a whole number from 0 to 16"),
    ("w1*" * 300_000 + "w1", "characters"),
    ("w+" * 190 + "w^17", "an exponent must be"),
    ("((w^16)^16)^16", "the degree is 256; at most 16"),
    ("(w1+w2)^9*(w1-w2)^8", "the degree is 17"),
    ("((((9^16)^16)^16)^16)*w", "a coefficient of size"),
    ("9**9**9*w", "an exponent must be"),
    ("9^9^9*w", "an exponent must be"),
    ("w^-1", "an exponent must be"),
    ("w^(2)^w", "an exponent must be"),
    ("w^2.0", "an exponent must be"),
    ("w^w", "an exponent must be"),
    ("2^w", "an exponent must be"),
    ("1e999*w", "a number above 1e+12"),
    ("9" * 390 + "*w", "a number above 1e+12"),
    ("1e-13*w", "a coefficient of size 1e-13"),
    ("nan*w", "nan is no variable"),
    ("inf", "inf is no variable"),
    ("w.real", "'.' in column 2 is not understood"),
    ("w1[0]", "'[' in column 3"),
    ("exp(w)", "exp is no variable"),
    ("w(w)", "only + - * / ^, numbers, variables and parentheses are understood"),
    ("lambda w: w", "':' in column 9 is not understood"),
    ("f'{w}'", "is not understood"),
    ("(w := 3)", "':' in column 4"),
    ("w if w else w", "if is no variable"),
    ("w and w", "and is no variable"),
    ("not w", "not is no variable"),
    ("w\x00", r"'\x00' in column 2"),
    ("ｗ", r"'\uff57' in column 1"),  # normalised to w by Python
    ("w²", r"'\xb2' in column 2"),
    ("w − 1", r"'\u2212' in column 3"),
    ("x\u200b*y", r"'\u200b' in column 2"),
    ("w # comment", "'#' in column 3"),
    ("w\\\n+1", "is not understood"),
    ("w;w", "';' in column 2"),
    ("w\u202e", "is not understood"),
    ("w1 w2", "an operation or a parenthesis is missing"),
    ("2w", "an operation or a parenthesis is missing"),
    ("(w", "an operation or a parenthesis is missing"),
    ("w)", "an operation or a parenthesis is missing"),
    ("w**", "an operation or a parenthesis is missing"),
    ("* w", "an operation or a parenthesis is missing"),
    ("w * * 2", "an operation or a parenthesis is missing"),
    ("*w, w", "an operation or a parenthesis is missing"),
    ("()", "there is no variable"),
    ("w/w", "only division by a number other than 0"),
    ("w/0", "only division by a number other than 0"),
    ("w//2", "an operation or a parenthesis is missing"),
    ("3 + 4", "there is no variable"),
    ("w1 - w1", "the same everywhere"),
    ("w + w1", "variables of different kinds are mixed"),
    ("x + w2", "variables of different kinds are mixed"),
    ("w3", "w3 is no variable; use w, or w1 and w2 (or x and y)"),
    ("W1", "W1 is no variable"),
    ("(w1, w2), w1", "only + - * / ^, numbers"),
    (",".join(["w"] * 9), "9 outputs; at most 8"),
    ("", "the polynomial is empty"),
    ("  \n ", "the polynomial is empty"),
    ("w,,w", "an operation or a parenthesis is missing"),
    ("0x10*w", "x10 is no variable"),
    ("1_000*w", "'_' in column 2"),
    ("True*w", "True is no variable"),
    ("None", "None is no variable"),
    ("1j*w", "j is no variable"),
]


@pytest.mark.parametrize(("text", "says"), HOSTILE, ids=[repr(text[:30]) for text, _ in HOSTILE])
def test_hostile_or_mistaken_text_gets_one_clear_error_and_is_never_computed(text, says):
    """In a millisecond or so; what is worked out before it is refused, such as 9^9^9, would not be over in 10 s of CPU."""
    start = time.process_time()
    with pytest.raises(ValueError) as caught:
        parse(text)
    assert time.process_time() - start < 10
    message = str(caught.value)
    assert says in message and "\n" not in message and len(message) < 200 and message.isprintable()
    assert type(caught.value) is ValueError and caught.value.__cause__ is None


@pytest.mark.parametrize("text", [None, 3, b"w", ["w"], "w" * 10**6])
def test_what_is_no_short_text_is_refused(text):
    with pytest.raises(ValueError, match=r"give one of at most 400 characters|characters; write at most 400"):
        parse(text)
    with pytest.raises(ValueError, match="choose one of 'Q', 'K'"):
        parse("w", of="L")


@settings(max_examples=300)
@given(st.text(alphabet="w12xy+-*/^(), .e0_\n", max_size=30) | st.text(max_size=30))
def test_no_text_does_anything_but_make_a_landscape_or_raise_a_value_error(text):
    try:
        landscape = parse(text)
    except ValueError as refused:
        error = str(refused)
    else:
        error = ""
        assert landscape.minima and np.isfinite(landscape.K(landscape.minima[0].at))
    assert "\n" not in error


# K itself


@pytest.mark.parametrize(
    "text",
    [
        "w1*w2",
        "w1^2-1",
        "-w^2",
        "w^3",
        "w1^2-w2^4",
        "w1^4-3*w1^2*w2^2+w1^2*w2^4+1",
        "(w1-w2)^3*(w1+w2)",
        "w1^2*w2^4+w1^4*w2^2-3.01*w1^2*w2^2+1",
        "(w1-0.3123)^2+(w2-0.1234)^2-0.0001",  # negative on a small disc only
    ],
)
def test_a_K_that_takes_negative_values_is_refused_and_it_is_said_where(text):
    with pytest.raises(ValueError, match="K is -") as caught:
        parse(text, of="K")
    where = str(caught.value).split(" at ")[1].split(";")[0].replace("−", "-").strip("()")
    point = [float(a) for a in where.split(",")]
    assert parse(text).Q(point)[0] < 0  # at the printed point, rounded to six digits


@pytest.mark.parametrize(
    "text",
    [
        "w^2",
        "w1^2*w2^2+w2^6",
        "(w1-w2)^2",
        "w1^2-2*w1*w2+w2^2",
        "w1^2*w2^4+w1^4*w2^2-3*w1^2*w2^2+1",  # Motzkin: positive, though no sum of squares
        "(w1^2+w2^2-1)^2*(w1^2-w1+1)",
        "w1^4+w2^4-w1^2*w2+w2^2/4+0*w1",
        "(w-1)^2*(w^2+w+1)",
    ],
)
def test_a_K_that_is_nowhere_negative_is_taken(text):
    landscape = parse(text, of="K")
    w = np.random.default_rng(1).uniform(-3, 3, (200, landscape.dim))
    np.testing.assert_allclose(landscape.K(w), parse(text).Q(w)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(landscape.K(w), 0.5 * landscape.Q(w)[:, 0] ** 2, rtol=1e-12)


TWINS = [  # the same K, as it is and by a Q
    (parse("0.5*w1^2+0.5*w2^4", of="K", box=Bowl(1, 2).box), Bowl(1, 2)),
    (parse("0.5*(w+1.8)^2*(w-1.8)^4", of="K", box=DoubleWell().box), DoubleWell()),
]
twins = pytest.mark.parametrize(("given", "twin"), TWINS, ids=["2D", "1D"])


@twins
def test_everything_about_K_is_the_same_for_K_itself_and_for_its_Q(given, twin):
    w = np.random.default_rng(0).uniform(-2, 2, (20, twin.dim))
    for name in ("K", "gradient", "hessian"):
        np.testing.assert_allclose(getattr(given, name)(w), getattr(twin, name)(w), rtol=1e-11, atol=1e-12)
    a, b = (potential(landscape.table(), 0.0, np.array([2.0, 0, 0]), *(*w[0], 0.0)[:2]) for landscape in (given, twin))
    np.testing.assert_allclose(a, b, rtol=1e-12)
    assert [(m.lam, m.multiplicity) for m in given.minima] == [(m.lam, m.multiplicity) for m in twin.minima]
    assert given.barriers == pytest.approx(twin.barriers, abs=1e-14)
    for eps in (1e-3, 1e-30):
        assert volume(given, eps, given.minima[0].at) == pytest.approx(float(volume(twin, eps, twin.minima[0].at)), rel=2e-4)
    assert fit_volume(given).agrees(twin.minima[0].lam, twin.minima[0].multiplicity)
    # quadrature: errors of 1e-4 (coarse)
    assert Posterior(given, n=1000).free_energy() == pytest.approx(Posterior(twin, n=1000).free_energy(), abs=1e-3)
    assert lambda_hat_exact(given, 1e4) == pytest.approx(lambda_hat_exact(twin, 1e4), rel=1e-4)


@twins
@pytest.mark.parametrize("rule", [GD(lr=0.001), MALA(), Langevin(eps=1e-5), SGD(lr=1e-3, noise="isotropic")], ids=lambda rule: type(rule).__name__)
def test_rules_that_need_K_alone_walk_the_same_path_on_K_itself(given, twin, rule):
    a, b = (Simulation(landscape, rule, n=10, steps=50).run() for landscape in (given, twin))
    assert np.isfinite(b.w).all()
    np.testing.assert_allclose(a.kept, b.kept, rtol=1e-9, atol=1e-12)  # roundings, grown over 50 steps


@twins
def test_chains_estimate_the_same_on_K_itself(given, twin):
    a, b = (Chains(landscape, MALA(eps=1e-3, nbeta=100.0), chains=2, draws=200, burn_in=50).run() for landscape in (given, twin))
    np.testing.assert_allclose(a.losses, b.losses, rtol=1e-6, atol=1e-12)


def test_what_needs_Q_is_refused_where_K_alone_is_given_and_the_error_says_why():
    landscape = parse("w1^2*w2^2+w2^6", of="K")
    for rule in (SGD(), NGD(), SDE(), UnderdampedSDE(), HeavyTailedSGD(), Langevin(batch=5), NGD(noise="isotropic")):
        with pytest.raises(ValueError, match=r"needs Q for its noise or its Fisher matrix, .* gives K alone; choose GD, MALA or Langevin"):
            Simulation(landscape, rule)
    with pytest.raises(ValueError, match="needs Q for its noise"):
        Chains(landscape, Langevin(batch=5))
    for data in (Finite(size=10), Online(slope=0.5)):
        for run in (lambda data=data: Simulation(landscape, GD(), data=data), lambda data=data: Posterior(landscape, data=data)):
            with pytest.raises(ValueError, match="need Q for their samples"):
                run()
    for call in (lambda: noise_covariance(landscape, (1, 1), 10), lambda: landscape.fisher((1, 1)), lambda: landscape.jet((1, 1))):
        with pytest.raises(ValueError, match="gives K alone; batches, their noise Sigma and the Fisher matrix are made of Q"):
            call()
    with pytest.raises(ValueError, match="K is one polynomial; leave out the commas"):
        parse("w1^2, w2^2", of="K")
    with pytest.raises(ValueError, match="at least 1e-150 is resolved"):
        volume(landscape, 1e-200, (0, 0))


def test_K_itself_needs_no_kernel_of_its_own(compiled):
    rules = (GD(), MALA(), Langevin())
    for rule in rules:
        Simulation(Valley(), rule, n=3, steps=5).run()
    before = compiled()
    for landscape, rule in itertools.product((TWINS[0][0], TWINS[1][0], parse("w^2-2*w+1"), parse("w1*w2,w1")), rules):
        Simulation(landscape, rule, n=3, steps=5).run()
    assert compiled() == before


def test_a_rule_that_needs_K_alone_says_so():
    needy = {cls.__name__ for cls in landscapes_rules() if cls().needs_q}
    assert needy == {"SGD", "NGD", "SDE", "UnderdampedSDE", "HeavyTailedSGD"}


def landscapes_rules():
    from dynamics import RULES

    return RULES.values()


def test_no_name_of_the_catalogue_is_a_polynomials():
    assert "Polynomial" not in CATALOGUE
