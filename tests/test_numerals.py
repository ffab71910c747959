"""Numbers as the pages write them: no programmer's exponents, no digits beyond the error."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.numerals import RAISED, measured, number


def back(text: str) -> float:
    """What a reader takes it for."""
    mantissa, _, power = text.replace("−", "-").replace(",", "").partition("·10")
    return float(mantissa) * 10 ** int((power or "0").translate({new: old for old, new in RAISED.items()}))


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.003476, 3, "0.00348"),
        (-152.3, 4, "−152.3"),
        (7e-5, 4, "7·10⁻⁵"),
        (0.0, 4, "0"),
        (1234567, 3, "1.23·10⁶"),
        (math.inf, 4, "inf"),
        (99999.6, 3, "100000"),
    ],
)
def test_a_number_is_written_as_on_paper(value, digits, text):
    assert number(value, digits) == text


@pytest.mark.parametrize(
    ("mean", "stderr", "text"),
    [
        (0.2508, 0.0034, "0.2508 ± 0.0034"),
        (3.5e-5, 2.8e-7, "(3.500 ± 0.028)·10⁻⁵"),
        (-152.3, 1.2, "−152.3 ± 1.2"),
        (12345.6, 12.0, "12,346 ± 12"),
        (0.25, 0.0, "0.25"),
        (0.25, math.nan, "0.25"),
        (0.999, 4e-10, "0.999 ± 4·10⁻¹⁰"),
        (3e-7, 0.01, "0.000 ± 0.010"),
    ],
)
def test_an_estimate_has_the_decimals_of_its_error(mean, stderr, text):
    assert measured(mean, stderr) == text


@given(st.floats(-1e12, 1e12), st.integers(1, 8))
def test_what_is_read_is_the_number_to_so_many_digits(value, digits):
    text = number(value, digits)
    assert "e" not in text and "-" not in text
    assert back(text) == pytest.approx(value, rel=0.5 * 10.0 ** (1 - min(digits, 6)) * 1.0001, abs=1e-300)
