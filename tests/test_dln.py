"""Exact learning coefficients of deep linear networks against published cases, theorems and two enumerations; random networks and training."""

import functools
import itertools
import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from nets import dln
from nets.dln import Ranks, block_ranks, learning_coefficient, local_learning_coefficient, regular_part, stratum

REFERENCE = Path(__file__).parents[2] / "shared" / "reference"


def cases(name):
    path = REFERENCE / name
    if not path.exists():
        pytest.skip(f"no {name}: it is not part of the repository")
    return json.loads(path.read_text())


def random_weights(rng, layers, widest=7):
    """Of a small network: half in general position, half 0/1 matrices, whose kernels and images meet in special ways."""
    widths = rng.integers(1, widest + 1, size=layers + 1)
    weights = []
    special = rng.random() < 0.5
    for a, b in itertools.pairwise(widths):
        if special:
            w = np.zeros((b, a))
            for _ in range(rng.integers(0, min(a, b) + 1)):
                w[rng.integers(b), rng.integers(a)] = 1
        else:
            rank = rng.integers(0, min(a, b) + 1)
            w = rng.normal(size=(b, rank)) @ rng.normal(size=(rank, a))
        weights.append(w)
    return weights


def enumerated(ranks):
    """The minimum of networks.md's formula over all partial ranks t, one by one."""
    h, last, best = ranks.widths, len(ranks.widths) - 1, None
    for inner in itertools.product(range(ranks.rank, h[0] + 1), repeat=last - 1):
        t = (h[0], *inner, ranks.rank)
        falls = all(a >= b for a, b in itertools.pairwise(t)) and all(a <= b for a, b in zip(t, h, strict=True))
        if falls and all(t[c] - t[b] <= h[c] - ranks[c, b] for c, b in itertools.combinations(range(last + 1), 2)):
            cost = sum((t[s - 1] - t[s]) * (h[s] - t[s]) for s in range(1, last + 1))
            best = cost if best is None else min(best, cost)
    return Fraction(ranks.rank * (h[0] + h[-1] - ranks.rank) + best, 2)


@functools.cache
def orbits(widths):
    """All networks of these widths up to change of bases: (block ranks, codimension of the orbit), from sums of intervals.

    A network is a sum of one-dimensional pieces that live on nodes a ... b; dim Hom([a, b], [c, d]) = 1 iff c <= a <= d <= b, and an orbit
    has codimension dim(weights) - dim(GL) + dim End.
    """
    last = len(widths) - 1
    intervals = [(a, b) for a in range(last + 1) for b in range(a, last + 1)]
    found = []

    def fill(i, left, chosen):
        if i == len(intervals):
            if not any(left):
                found.append(chosen)
            return
        a, b = intervals[i]
        for many in range(min(left[a : b + 1]) + 1):
            fill(i + 1, tuple(x - many if a <= node <= b else x for node, x in enumerate(left)), (*chosen, many))

    fill(0, tuple(widths), ())
    homs = [(i, j) for i, (a, b) in enumerate(intervals) for j, (c, d) in enumerate(intervals) if c <= a <= d <= b]
    constant = sum(a * b for a, b in itertools.pairwise(widths)) - sum(h * h for h in widths)
    blocks = list(itertools.combinations(range(last + 1), 2))
    return [
        (
            {(c, b): sum(m for m, (p, q) in zip(chosen, intervals, strict=True) if p <= c and q >= b) for c, b in blocks},
            constant + sum(chosen[i] * chosen[j] for i, j in homs),
        )
        for chosen in found
    ]


# the exact values


def test_the_global_value_and_its_multiplicity_are_those_of_the_reference_cases():
    for case in cases("dln_cases.json"):
        expected = Fraction(case["lambda_"]), case["multiplicity"]
        assert learning_coefficient(case["widths"], case["rank"]) == expected, case
        assert stratum(Ranks.lowest(case["widths"], case["rank"])).lam == expected[0], case


def test_the_local_value_is_that_of_the_reference_cases():
    for case in cases("dln_local_cases.json"):
        weights = []
        for s, ((a, b), rank) in enumerate(zip(itertools.pairwise(case["widths"]), case["layer_ranks"], strict=True)):
            kept = np.arange(b) < rank if s % 2 == 0 else np.arange(b)[::-1] < rank  # two of rank 1 with product 0
            weights.append(np.eye(b, a) * kept[:, None])
        assert block_ranks(weights).layers == tuple(case["layer_ranks"]) and block_ranks(weights).rank == case["rank"]
        assert local_learning_coefficient(weights) == Fraction(case["local_lambda"]), case
        assert learning_coefficient(case["widths"], case["rank"]).lam == Fraction(case["aoyagi_global"]), case


def test_two_layers_have_the_values_of_aoyagi_and_watanabe():
    """Reduced-rank regression, Aoyagi & Watanabe 2005: four cases, all widths up to 7 and all ranks."""
    for n, h, m in itertools.product(range(1, 8), repeat=3):
        for r in range(min(n, h, m) + 1):
            if m + h < n + r:
                expected = Fraction(h * m - h * r + n * r, 2), 1
            elif n + h < m + r:
                expected = Fraction(h * n - h * r + m * r, 2), 1
            elif m + n < h + r:
                expected = Fraction(m * n, 2), 1
            else:
                odd = (m + h + n + r) % 2
                expected = Fraction(-((h + r) ** 2) - m * m - n * n + 2 * (h + r) * (m + n) + 2 * m * n + odd, 8), 1 + odd
            assert learning_coefficient((n, h, m), r) == expected, (n, h, m, r)


def test_the_minimum_cut_finds_the_minimum_over_all_strata():
    """Against enumeration of partial ranks; the local value is never below the global one nor below the regular part."""
    rng, above = np.random.default_rng(0), 0
    for _ in range(300):
        weights = random_weights(rng, rng.integers(1, 5))
        ranks = block_ranks(weights)
        found = stratum(ranks)
        assert found.lam == enumerated(ranks), ranks
        lowest = learning_coefficient(ranks.widths, ranks.rank).lam
        assert max(lowest, regular_part(weights)) <= found.lam <= Fraction(sum(w.size for w in weights), 2)
        assert found.partial[0] == ranks.widths[0] and sum(found.lost) == ranks.widths[0] - ranks.rank and min(found.lost) >= 0
        above += found.lam > lowest
    assert above > 20  # the block constraints bind


def test_the_strata_of_partial_ranks_are_enough():
    """Half the smallest codimension of {product = B} within any orbit of networks whose closure holds w (all its block ranks at least w's)."""
    rng = np.random.default_rng(1)
    for layers, widest, count in ((2, 4, 60), (3, 3, 60), (4, 2, 40)):
        for _ in range(count):
            ranks = block_ranks(random_weights(rng, layers, widest))
            h, r = ranks.widths, ranks.rank
            near = [codim for blocks, codim in orbits(h) if blocks[0, layers] == r and all(blocks[key] >= ranks[key] for key in blocks)]
            assert stratum(ranks).lam == Fraction(min(near) + r * (h[0] + h[-1] - r), 2), ranks


def test_forty_layers_of_three_thousand_units_agree_with_the_formula():
    for seed in range(3):
        widths, layers = dln.random_shape("100M", seed)
        rank = min(layers)
        assert stratum(Ranks.lowest(widths, rank)).lam == learning_coefficient(widths, rank).lam
    widths = tuple(np.random.default_rng(0).integers(500, 3000, size=41))
    for rank in (0, 17, min(widths)):
        found = stratum(Ranks.lowest(widths, rank))
        assert found.lam == learning_coefficient(widths, rank).lam and sum(found.lost) == widths[0] - rank
        assert stratum(Ranks.generic(widths, [min(pair) for pair in itertools.pairwise(widths)])).lam >= learning_coefficient(widths, min(widths)).lam


def test_one_layer_is_regular_whatever_its_rank():
    assert all(learning_coefficient((7, 5), r) == (Fraction(35, 2), 1) for r in range(6))
    assert local_learning_coefficient([np.zeros((5, 7))]) == regular_part([np.zeros((5, 7))]) == Fraction(35, 2)


def test_the_order_of_the_widths_and_the_transposed_network_change_nothing():
    rng = np.random.default_rng(2)
    assert len({learning_coefficient(order, 0) for order in itertools.permutations((2, 5, 3, 7))}) == 1
    for _ in range(30):
        weights = random_weights(rng, 3)
        assert local_learning_coefficient([w.T for w in weights[::-1]]) == local_learning_coefficient(weights)


# ranks


def test_block_ranks_are_the_ranks_of_the_products():
    rng = np.random.default_rng(3)
    for _ in range(100):
        weights = random_weights(rng, rng.integers(1, 6))
        ranks = block_ranks(weights)
        for c, b in itertools.combinations(range(len(weights) + 1), 2):
            block = functools.reduce(lambda p, w: w @ p, weights[c:b])
            assert ranks[c, b] == np.linalg.matrix_rank(block, tol=1e-9)
        assert ranks.widths == (weights[0].shape[1], *(len(w) for w in weights))


def test_the_rank_of_the_jacobian_is_that_of_the_dense_matrix():
    rng = np.random.default_rng(4)
    for _ in range(60):
        weights = random_weights(rng, rng.integers(1, 5), widest=5)
        columns = []
        for s in range(len(weights)):
            after = functools.reduce(lambda p, w: w @ p, weights[s + 1 :], np.eye(len(weights[s])))
            before = functools.reduce(lambda p, w: w @ p, weights[:s], np.eye(weights[0].shape[1]))
            columns.append(np.kron(after, before.T))
        assert regular_part(weights) == Fraction(int(np.linalg.matrix_rank(np.hstack(columns), tol=1e-9)), 2)


def test_random_networks_are_in_general_position():
    for order, seeds in (("1k", 20), ("10k", 5), ("100k", 1)):
        for seed in range(seeds):
            network = dln.random_network(order, seed)
            expected = Ranks.generic(*dln.random_shape(order, seed))
            assert block_ranks(network.weights) == expected and expected.rank == network.rank
            if order == "1k":
                assert block_ranks([w.float() for w in network.weights]) == expected


def test_ranks_of_a_product_whose_gains_multiply_up_are_those_of_its_layers():
    """Forty layers of gain 0.01 and 1: the product's singular values span 80 decades, the ranks are 2."""
    assert block_ranks([np.diag([1.0, 0.01])] * 40).rank == 2


def test_a_direction_below_the_tolerance_is_not_counted():
    weights = [np.diag([4.0, 1.0, 1e-3]), np.diag([2.0, 2.0, 2.0])]
    assert [block_ranks(weights, t).rank for t in (1e-9, 1e-3, 0.3)] == [3, 2, 1]
    assert [block_ranks(weights, t, absolute=True).rank for t in (1e-9, 0.5, 1.5, 3.0)] == [3, 2, 1, 0]


# random and trained points


def test_shapes_are_drawn_as_table_1_says():
    for order, row in dln.TABLE_1.items():
        lost = []
        for seed in range(60):
            widths, ranks = dln.random_shape(order, seed)
            assert row.layers[0] <= len(ranks) < row.layers[1] and all(row.widths[0] <= h < row.widths[1] for h in widths)
            full = [min(pair) for pair in itertools.pairwise(widths)]
            assert all(1 <= rank <= f for rank, f in zip(ranks, full, strict=True))
            lost += [1 - rank / f for rank, f in zip(ranks, full, strict=True)]
        # each loses with probability 1/2 a uniform share of its rank: mean 1/4, sd 0.32 (and a share 1/2f of it less); 4 standard errors
        assert abs(np.mean(lost) - 0.25) < 4 * 0.33 / len(lost) ** 0.5 + 0.01


def test_weights_are_truncated_normals_of_variance_one_over_fan_in():
    (w,) = dln.random_weights((200, 400), seed=5)
    # standard normal cut at two sd: variance 0.7737; 80,000 draws: relative error of the variance below 0.4 %, 4 of them
    assert float(w.abs().max()) <= 2 / 200**0.5 and abs(float(w.square().mean()) * 200 / 0.7737 - 1) < 0.016


def test_one_seed_gives_one_network_and_leaves_torchs_own_generator_alone():
    state = torch.get_rng_state()
    first, second, other = dln.random_network("1k", 3), dln.random_network("1k", 3), dln.random_network("1k", 4)
    assert first.widths == second.widths and all(torch.equal(a, b) for a, b in zip(first.weights, second.weights, strict=True))
    assert first.widths != other.widths
    assert torch.equal(state, torch.get_rng_state())


def test_the_gram_matrix_gives_the_loss_of_all_samples_and_its_gradient():
    generator = torch.Generator().manual_seed(0)
    weights = [w.requires_grad_() for w in dln.random_weights((4, 6, 5, 3), seed=1)]
    target = torch.randn(3, 4, dtype=torch.float64, generator=generator)
    x = torch.randn(50, 4, dtype=torch.float64, generator=generator)
    output = x
    for w in weights:
        output = output @ w.T
    expected = (output - x @ target.T).square().mean()
    slopes = torch.autograd.grad(expected, weights)
    loss, found = dln.gradients([w.detach() for w in weights], target, x.T @ x / 50)
    torch.testing.assert_close(loss, expected.detach())
    for a, b in zip(found, slopes, strict=True):
        torch.testing.assert_close(a, b)


def test_momentum_is_that_of_torch():
    network = dln.random_network("1k", 3)
    target, gram = dln.product(network.weights), torch.eye(network.widths[0], dtype=torch.float64)
    weights = [w.clone().requires_grad_() for w in dln.random_weights(network.widths, seed=9)]
    torchs = torch.optim.SGD(weights, lr=0.05, momentum=0.9)
    for _, found in itertools.islice(dln.descend(dln.random_weights(network.widths, seed=9), target, itertools.repeat(gram), 0.05, 0.9), 20):
        for a, b in zip(found, weights, strict=True):
            torch.testing.assert_close(a, b.detach())
        torchs.zero_grad()
        (dln.product(weights) - target).square().sum().div(len(target)).backward()
        torchs.step()


def test_a_trained_point_maps_as_its_teacher_with_layers_of_full_rank():
    network = dln.random_network("1k", 0)
    student = dln.trained_point(network, seed=1)
    torch.testing.assert_close(dln.product(student.weights), dln.product(network.weights), atol=1e-9, rtol=0)
    assert block_ranks(student.weights).layers == tuple(min(pair) for pair in itertools.pairwise(network.widths))
    with pytest.raises(ValueError, match="diverged at lr = 3"):
        dln.trained_point(network, lr=3.0)


# errors


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dln.local_learning_coefficient("x"), r"weights are 'x'; give a list of matrices W_1, ..., W_L"),
        (lambda: dln.local_learning_coefficient(torch.nn.Linear(3, 2)), "of type Linear; give a list .*layer.weight for layer in model"),
        (lambda: dln.local_learning_coefficient(torch.nn.Sequential(torch.nn.Linear(3, 2))), "of type Sequential"),
        (lambda: dln.local_learning_coefficient(3), "of type int; give a list"),
        (lambda: dln.local_learning_coefficient(["x"]), "W_1 is a str; give a matrix of numbers"),
        (lambda: learning_coefficient((5,), 0), "at least an input and an output"),
        (lambda: learning_coefficient((5, 0, 5), 0), "a width = 0"),
        (lambda: learning_coefficient((5, 2.5, 5), 0), "a width = 2.5"),
        (lambda: learning_coefficient("555", 0), "widths = '555'"),
        (lambda: learning_coefficient((5, 3, 5), 4), "rank = 4 is above the smallest width 3"),
        (lambda: learning_coefficient((5, 3, 5), -1), "rank = -1"),
        (lambda: learning_coefficient((5, 3, 5), float("nan")), "rank = nan"),
        (lambda: local_learning_coefficient([]), "no weights"),
        (lambda: local_learning_coefficient([np.eye(2), np.ones((3, 4))]), "W_2 takes 4 inputs but W_1 has 2 outputs"),
        (lambda: local_learning_coefficient([np.full((2, 2), np.nan)]), "W_1 has entries that are not finite"),
        (lambda: local_learning_coefficient([np.ones(3)]), "W_1 has shape"),
        (lambda: local_learning_coefficient([np.eye(2)], tolerance=2), "tolerance = 2"),
        (lambda: stratum(Ranks(((2, 2, 0), (2, 2), (2,)))), "the ranks of no network"),
        (lambda: Ranks.generic((2, 2, 2), (1,)), "1 ranks of layers"),
        (lambda: Ranks.generic((2, 2), (3,)), "rank of W_1 = 3"),
        (lambda: dln.random_network("2k", 0), "choose one of 1k, 10k"),
        (lambda: dln.random_network("1k", -1), "seed = -1"),
    ],
)
def test_bad_input_is_refused_with_one_clear_error(call, message):
    with pytest.raises(ValueError, match=message):
        call()
