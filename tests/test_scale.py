"""A Range refuses what is not a number, not finite, not whole or outside, and says the value, the demand and the remedy."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from landscapes.scale import Range, check, parameters


@dataclass(frozen=True)
class Toy:
    rate: Annotated[float, Range(1e-3, 10, log=True, unit="per step", help="how fast", shown=(0.01, 1))] = 0.5
    count: Annotated[int, Range(1, 100, help="how many")] = 3
    kind: Literal["soft", "hard"] = "soft"
    note: str = "free text has no Range, so nothing asks about it"

    def __post_init__(self):
        check(self)


def test_a_parameter_is_described_once_by_its_annotation():
    rate, count, kind = parameters(Toy)
    assert (rate.name, rate.kind, rate.default, rate.help) == ("rate", float, 0.5, "how fast")
    assert (rate.range.low, rate.range.high, rate.range.log, rate.range.unit, rate.range.shown) == (1e-3, 10, True, "per step", (0.01, 1))
    assert (count.kind, count.range.shown) == (int, (1, 100))
    assert (kind.kind, kind.default, kind.choices, kind.range) == (str, "soft", ("soft", "hard"), None)


@given(st.floats(1e-3, 10), st.integers(1, 100))
def test_a_legal_value_is_kept(rate, count):
    toy = Toy(rate=rate, count=count)
    assert (toy.rate, toy.count) == (rate, count)


def test_the_ends_of_a_range_are_legal():
    for field, ends in (("rate", (1e-3, 10)), ("count", (1, 100))):
        for end in ends:
            assert getattr(Toy(**{field: end}), field) == end


@pytest.mark.parametrize("given", [7, 7.0, np.int64(7), np.int8(7), np.float32(7), np.float64(7), Fraction(7)])
def test_whole_numbers_of_any_kind_become_ints_where_an_int_is_meant_and_floats_where_a_float_is(given):
    assert type(Toy(count=given).count) is int and Toy(count=given).count == 7
    assert type(Toy(rate=given).rate) is float and Toy(rate=given).rate == 7.0


@pytest.mark.parametrize(
    ("field", "given", "says"),
    [
        ("rate", math.nan, "rate = nan is not finite; give a number between 0.001 and 10"),
        ("rate", math.inf, "rate = inf is not finite; give a number between 0.001 and 10"),
        ("rate", -math.inf, "rate = -inf is not finite; give a number between 0.001 and 10"),
        ("rate", np.float32("nan"), "rate = nan is not finite; give a number between 0.001 and 10"),
        ("rate", 0.0, "rate = 0.0 is below the legal range 0.001 ... 10; choose a value inside it"),
        ("rate", 11, "rate = 11 is above the legal range 0.001 ... 10; choose a value inside it"),
        ("rate", 1e308, "rate = 1e+308 is above the legal range 0.001 ... 10; choose a value inside it"),
        ("rate", "0.5", "rate = '0.5' is not a number; give one between 0.001 and 10"),
        ("rate", "__import__('os')", "rate = \"__import__('os')\" is not a number; give one between 0.001 and 10"),
        ("rate", None, "rate = None is not a number; give one between 0.001 and 10"),
        ("rate", 1 + 0j, "rate = (1+0j) is not a number; give one between 0.001 and 10"),
        ("rate", [0.5], "rate = [0.5] is not a number; give one between 0.001 and 10"),
        ("rate", np.array(0.5), "rate = array(0.5) is not a number; give one between 0.001 and 10"),
        ("count", True, "count = True is not a number; give one between 1 and 100"),
        ("count", np.True_, "count = np.True_ is not a number; give one between 1 and 100"),
        ("count", 2.5, "count = 2.5 is not whole; give an integer between 1 and 100"),
        ("count", 0, "count = 0 is below the legal range 1 ... 100; choose a value inside it"),
        ("count", -1, "count = -1 is below the legal range 1 ... 100; choose a value inside it"),
        ("count", math.nan, "count = nan is not finite; give a number between 1 and 100"),
        ("count", 1e300, "is above the legal range 1 ... 100; choose a value inside it"),
        ("kind", "firm", "kind = 'firm'; choose one of 'soft', 'hard'"),
        ("kind", 1, "kind = 1; choose one of 'soft', 'hard'"),
        ("kind", ["soft"], "kind = ['soft']; choose one of 'soft', 'hard'"),
    ],
)
def test_an_illegal_value_is_refused_with_the_value_the_demand_and_the_remedy(field, given, says):
    with pytest.raises(ValueError) as error:
        Toy(**{field: given})
    assert str(error.value).startswith(f"Toy: {field} = ") and str(error.value).endswith(says)


@pytest.mark.parametrize("field", ["rate", "count"])
@pytest.mark.parametrize(
    "given", [10**400, -(10**400), 10**5000, Fraction(10**400), Fraction(10**5000, 3), "9" * 10_000], ids=lambda given: type(given).__name__
)
def test_a_huge_value_is_refused_in_one_short_line(field, given):
    with pytest.raises(ValueError) as error:
        Toy(**{field: given})
    assert f"{field} = " in str(error.value) and len(str(error.value)) < 200


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.text() | st.lists(st.floats()) | st.fractions())
def test_whatever_is_given_either_lies_in_the_range_or_raises_value_error(given):
    for field, low, high in (("rate", 1e-3, 10), ("count", 1, 100)):
        try:
            kept = getattr(Toy(**{field: given}), field)
        except ValueError:
            continue
        assert low <= kept <= high and kept == float(given)
