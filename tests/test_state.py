"""A run and its text."""

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.state import CHOICES, change, decode, decode_choice, decode_fields, encode, encode_choice, encode_fields, link, names
from dynamics import RULES, SGD, At, Finite, Online, Simulation, Uniform
from landscapes import CATALOGUE, DoubleWell, RotatedLine, Valley, parse
from landscapes.scale import parameters

quick = settings(max_examples=60, deadline=None)


def values_of(cls):
    """Legal values of a dataclass, by its ranges and choices."""
    fields = {}
    for parameter in parameters(cls):
        if parameter.choices:
            fields[parameter.name] = st.sampled_from(parameter.choices)
        else:
            kind = st.integers if parameter.kind is int else st.floats
            fields[parameter.name] = kind(parameter.kind(parameter.range.low), parameter.kind(parameter.range.high))
    return st.builds(cls, **fields)


@st.composite
def runs(draw):
    landscape = draw(st.sampled_from(list(CATALOGUE.values())).flatmap(values_of))
    coordinate = st.floats(-999, 999)
    ends = [sorted(draw(st.tuples(coordinate, coordinate))) for _ in range(landscape.dim)]
    low, high = zip(*ends, strict=True)
    return Simulation(
        landscape,
        draw(st.sampled_from(list(RULES.values())).flatmap(values_of)),
        n=draw(st.integers(1, 10_000_000)),
        steps=draw(st.integers(1, 100_000_000)),
        seed=draw(st.integers(0, 2**31 - 1)),
        start=draw(st.sampled_from([None, At(low), Uniform(low, high)])),
        data=draw(st.sampled_from([Online, Finite]).flatmap(values_of)),
    )


@quick
@given(runs(), runs())
def test_a_run_survives_its_text_exactly_whatever_the_default(run, default):
    assert decode(encode(run), default) == (run, [])


def test_every_pair_of_catalogue_and_rules_survives_its_text():
    for landscape, rule in itertools.product(CATALOGUE.values(), RULES.values()):
        run = Simulation(landscape(), rule(), data=Finite(seed=3))
        assert decode(encode(run)) == (run, [])


@pytest.mark.parametrize(
    ("landscape", "text"),
    [
        (parse("(w1 - w2^2)^2 * w1"), "landscape=Polynomial&text=%28w1+-+w2%5E2%29%5E2+%2A+w1&of=Q&window=none&"),
        (parse("w^2-2, w", box=(-3, 3)), "landscape=Polynomial&text=w%5E2-2,+w&of=Q&window=-3.0,3.0&"),
        (parse("w1^2+w2^6", of="K", box=((-1, 1), (-2, 2))), "landscape=Polynomial&text=w1%5E2%2Bw2%5E6&of=K&window=-1.0,1.0,-2.0,2.0&"),
    ],
)
def test_a_users_polynomial_survives_its_text(landscape, text):
    run = Simulation(landscape, RULES["GD"](), start=At((0.5,) * landscape.dim))
    assert link(run).startswith(text)
    for default in (Simulation(), run, Simulation(parse("w1*w2"))):
        assert decode(encode(run), default) == (run, [])


def test_a_text_that_is_no_polynomial_keeps_the_last_one_and_another_one_starts_from_its_own_box():
    before = Simulation(parse("w1*w2", box=((-1, 1), (-1, 1))), RULES["GD"](), start=At((0.5, 0.5)))
    query = encode(before) | {"text": "__import__('os')"}
    run, messages = decode(query, before)
    assert run == before and len(messages) == 1 and messages[0].startswith("__import__('os'): '_' in column 1 is not understood")
    run, messages = decode({"text": "(w-1)^2*(w+1)", "window": "none"}, before)
    assert messages == [] and run.landscape == parse("(w-1)^2*(w+1)") and run.start == Uniform(-2.4, 2.4)
    for bad, says in (
        (("window", "1,x"), "give low,high of each variable"),
        (("window", "1,-1,0,1"), "with low < high"),
        (("of", "L"), "choose one of Q, K"),
    ):
        run, messages = decode(dict([bad]), before)
        assert run == before and len(messages) == 1 and says in messages[0]


def test_where_K_alone_is_given_a_rule_that_needs_Q_becomes_GD_with_a_message():
    run, messages = decode({"landscape": "Polynomial", "text": "w^2", "of": "K", "data": "Finite"})
    assert run == Simulation(parse("w^2", of="K"), RULES["GD"]())
    assert len(messages) == 1 and "needs Q for its noise" in messages[0] and "used GD on fresh data" in messages[0]
    with pytest.raises(ValueError, match="needs Q for its noise"):
        change(Simulation(), ["landscape=Polynomial", "text=w^2", "of=K"])


def test_every_field_of_every_value_has_a_text():
    for cls in [*(cls for kind in CHOICES.values() for cls in kind.values())]:
        assert {field.name for field in dataclasses.fields(cls)} == {parameter.name for parameter in parameters(cls)}, cls


def test_no_two_values_of_a_run_share_a_key():
    own = {"landscape", "rule", "data", "start", "at", *(parameter.name for parameter in parameters(Simulation))}
    fields = {cls: set(encode_fields(cls())) for kind in ("landscape", "rule") for cls in CHOICES[kind].values()}
    for landscape, rule in itertools.product(CATALOGUE.values(), RULES.values()):
        assert not fields[landscape] & fields[rule]
        assert not (fields[landscape] | fields[rule]) & own
    run = Simulation(RotatedLine(slope=2.0), data=Finite(slope=-1.0, seed=7), seed=3)  # names that a flat text would confuse
    assert encode(run)["slope"] == "2.0" and encode(run)["data.slope"] == "-1.0"
    assert encode(run)["seed"] == "3" and encode(run)["data.seed"] == "7"


def test_the_text_is_readable():
    run = Simulation(DoubleWell(), SGD(lr=0.02), n=10_000, steps=100, start=Uniform(-3.6, 3.6))
    assert link(run) == (
        "landscape=DoubleWell&w0=1.8&d1=1&d2=2&rule=SGD&lr=0.02&batch=20&momentum=0.0&noise=batch&temperature=0.1&n=10000&steps=100&seed=0"
        "&start=-3.6,3.6&data=Online&data.slope=0.0&data.vx=1.0&data.vy=1.0"
    )
    assert encode(Simulation(Valley(), start=At((0, 1))))["at"] == "0.0,1.0"


@quick
@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*names(Simulation()), "p", "k", "data.size", "data.seed"]), st.text()),
        st.one_of(
            st.text(), st.floats().map(repr), st.integers().map(str), st.sampled_from(["Valley", "Finite", "__import__('os')", "9" * 5000, "-1,2"])
        ),
    )
)
def test_no_text_raises_and_what_comes_out_is_a_legal_run(query):
    run, messages = decode(query)
    assert decode(encode(run)) == (run, [])
    assert all(len(message) < 700 for message in messages)
    for message in messages:
        assert "\n" not in message


@pytest.mark.parametrize(
    ("query", "expected", "says"),
    [
        ({"lr": "nan"}, SGD(), ["lr = nan", "not finite", "kept 0.01"]),
        ({"lr": "1e999"}, SGD(), ["lr = inf", "not finite"]),
        ({"lr": "3"}, SGD(lr=1.0), ["lr = 3.0", "above the legal range", "used 1.0"]),
        ({"batch": "0"}, SGD(batch=1), ["batch = 0", "below", "used 1"]),
        ({"batch": "2.5"}, SGD(), ["batch = 2.5", "not whole"]),
        ({"batch": "9" * 100_000}, SGD(), ["batch = '9999", "not a number"]),
        ({"noise": "loud"}, SGD(), ["noise = 'loud'", "choose one of batch, isotropic"]),
        ({"rule": "os.system"}, SGD(), ["rule = 'os.system'", "choose one of", "kept SGD"]),
        ({"rule": "ngd"}, SGD(), ["rule = 'ngd'", "did you mean NGD?", "kept SGD"]),
        ({"lrr": "0.1"}, SGD(), ["lrr = '0.1'", "did you mean lr?", "left out"]),
        ({"p": "1"}, SGD(), ["p = '1'", "DoubleWell with SGD on Online data has no such value"]),
    ],
)
def test_a_bad_value_costs_itself_only_and_one_message(query, expected, says):
    run, messages = decode({**query, "steps": "7"})
    assert run == dataclasses.replace(Simulation(steps=7), rule=expected)
    assert len(messages) == 1
    for part in says:
        assert part in messages[0]


def test_another_landscape_or_rule_starts_from_its_own_defaults_and_box():
    default = Simulation(DoubleWell(w0=1.0, d1=3), SGD(lr=0.5), start=Uniform(-1, 1))
    assert decode({"landscape": "Valley", "rule": "GD"}, default)[0] == Simulation(Valley(), RULES["GD"]())
    assert decode({"landscape": "DoubleWell", "d2": "4"}, default)[0] == dataclasses.replace(default, landscape=DoubleWell(1.0, 3, 4))


def test_a_start_that_does_not_fit_the_landscape_falls_back_with_a_message():
    for query in ({"start": "-3,3"}, {"at": "1"}, {"start": "1,1,0,0"}, {"start": "1,2,3,nan"}, {"at": "1e9,0"}, {"at": "0,0", "start": "0,0,1,1"}):
        run, messages = decode({"landscape": "Valley", **query})
        assert run == Simulation(Valley()) and len(messages) == 1 and "started from the landscape's box" in messages[0]


def test_a_second_rule_has_its_own_prefix_and_the_caller_its_own_keys():
    query = encode(Simulation()) | encode_choice("rule", SGD(lr=0.5), "b.") | {"page": "lab"}
    assert decode_choice("rule", query, RULES["GD"](), "b.") == (SGD(lr=0.5), [])
    assert decode(query, others=("b.", "page")) == (Simulation(), [])
    assert decode_fields(SGD, {"b.lr": "0.25", "lr": "0.75"}, "b.") == (SGD(lr=0.25), [])
    assert len(decode(query)[1]) > 1  # without being told they are unknown


def test_a_query_of_a_hundred_thousand_keys_gives_few_messages():
    assert len(decode({f"x{i}": "1" for i in range(2000)})[1]) == 9


def test_the_command_line_refuses_instead_of_repairing():
    assert change(Simulation(), ["lr=0.02", "n=1e4"]) == Simulation(rule=SGD(lr=0.02), n=10_000)
    for bad, says in (
        ("lr", "write name=value"),
        ("lr=5", "above the legal range"),
        ("lr=x", "not a number"),
        ("foo=1", "no such value"),
        ("start=3,1", "low"),
    ):
        with pytest.raises(ValueError, match=says):
            change(Simulation(), [bad])


def test_data_are_read_by_name():
    run, messages = decode({"data": "Finite", "data.size": "50", "data.seed": "4"})
    assert (run.data, messages) == (Finite(size=50, seed=4), [])
    assert isinstance(decode({"data": "Online"}, Simulation(data=Finite()))[0].data, Online)
