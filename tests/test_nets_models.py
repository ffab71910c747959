"""Models as values: the weights that torch would draw, the sizes and ranks they say, and the symmetries that make them singular."""

import math
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import nets.models
from nets.models import DLN, MLP, MODELS, DeepCNN, DuplicatedReLU, LeNet5, MinimallySingular, Model, ReducedRank, SmallCNN, cut

DIGITS_CNN = SmallCNN(channels=(4, 6), colours=1, side=8)


def as_torch_draws(layers, seed):
    """The same layers as torch itself makes them after torch.manual_seed, the global generator put back afterwards."""
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    made = nn.Sequential(*(layer() for layer in layers))
    torch.set_rng_state(before)
    return made


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        (MLP((64, 20, 10)), (lambda: nn.Linear(64, 20), lambda: nn.Linear(20, 10))),
        (MLP((8, 4), bias=False), (lambda: nn.Linear(8, 4, bias=False),)),
        (
            LeNet5(),
            (
                lambda: nn.Conv2d(1, 6, 5),
                lambda: nn.Conv2d(6, 16, 5),
                lambda: nn.Linear(256, 120),
                lambda: nn.Linear(120, 84),
                lambda: nn.Linear(84, 10),
            ),
        ),
        (
            DeepCNN(hidden=1, side=9),
            (
                lambda: nn.Conv2d(1, 32, 3),
                lambda: nn.Conv2d(32, 32, 3),
                lambda: nn.Conv2d(32, 64, 3),
                lambda: nn.Linear(256, 128),
                lambda: nn.Linear(128, 10),
            ),
        ),
        (DIGITS_CNN, (lambda: nn.Conv2d(1, 4, 3), lambda: nn.Conv2d(4, 6, 3), lambda: nn.Linear(24, 10))),
    ],
    ids=lambda value: repr(value) if isinstance(value, Model) else "",  # the same in every process
)
def test_first_weights_are_bit_for_bit_those_that_torch_draws_after_manual_seed(model, layers):
    for seed in (0, 12345):
        theirs = as_torch_draws(layers, seed)
        for a, b in zip(model.build(seed).parameters(), theirs.parameters(), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("cls", MODELS.values())
def test_a_model_is_a_value_whose_weights_follow_from_the_seed_alone(cls):
    model, before = cls(), torch.get_rng_state()
    one, other = model.build(3), model.build(4)
    torch.manual_seed(8)
    again = pickle.loads(pickle.dumps(model)).build(3)
    torch.set_rng_state(before)
    for p, q, r in zip(one.parameters(), again.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q) and p.dtype == torch.float32 and p.requires_grad and p.device.type == "cpu"
        assert not torch.equal(p, r) or not p.any()
    assert eval(repr(model), vars(nets.models)) == model and hash(eval(repr(model), vars(nets.models))) == hash(model)
    assert model.size == sum(p.numel() for p in one.parameters())
    assert one(torch.zeros(3, *model.shape)).shape[0] == 3


@pytest.mark.parametrize("cls", MODELS.values())
def test_building_a_model_draws_nothing_from_torchs_global_generator(cls):
    before = torch.get_rng_state()
    cls().build(1)
    assert torch.equal(torch.get_rng_state(), before)


def test_sizes_are_the_published_ones():
    assert MLP((784, 256, 256, 10)).size == 269_322 and LeNet5().size == 44_426 and DeepCNN().size == 486_378
    assert SmallCNN().size == 66_570 and DLN((10, 20, 20, 10)).size == 800 and ReducedRank(5, 3, 4).size == 27


def test_an_mlp_is_what_its_equation_says_and_reads_pictures():
    x = torch.randn(7, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    for activation, phi in (("relu", torch.relu), ("tanh", torch.tanh), ("linear", lambda h: h)):
        module = MLP((16, 5, 4, 3), activation).build(0)
        h = x.reshape(7, 16)
        w = list(module.parameters())
        for i in range(0, len(w), 2):
            h = (h if i == 0 else phi(h)) @ w[i].T + w[i + 1]
        torch.testing.assert_close(module(x), h)
    assert not any("bias" in name for name, _ in MLP(bias=False).build().named_parameters())


# Deep linear networks


def test_a_deep_linear_network_is_the_product_of_its_matrices_and_has_the_ranks_it_says():
    model = DLN((6, 5, 7, 4), ranks=(3, 5, 0))
    module = model.build(1).double()
    x = torch.randn(9, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    matrices = list(module.parameters())
    torch.testing.assert_close(module(x), x @ torch.linalg.multi_dot(matrices[::-1]).T)
    for matrix, rank in zip(matrices, model.ranks, strict=True):
        s = torch.linalg.svdvals(matrix)
        assert (s > 1e-5).sum() == rank and (s[rank:] < 1e-6).all()


def test_cutting_the_rank_gives_the_nearest_matrix_of_that_rank():
    w = torch.randn(6, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    s = torch.linalg.svdvals(w)
    for rank in range(7):
        torch.testing.assert_close((w - cut(w, rank)).square().sum(), s[rank:].square().sum())  # Eckart & Young


def test_weights_of_a_deep_linear_network_are_normal_cut_at_two_deviations():
    x = 2 * math.exp(-2) / math.sqrt(2 * math.pi)
    kept = math.erf(2 / math.sqrt(2))
    variance = 1 - 2 * x / kept  # of a standard normal cut at 2: 0.774
    for model, deviation in ((DLN((400, 300)), 400**-0.5), (DLN((400, 300), deviation=0.3), 0.3)):
        w = next(model.build(2).parameters()).detach().double() / deviation
        assert w.abs().max() <= 2 + 1e-6 and abs(w.mean()) < 4.5 / math.sqrt(w.numel())
        assert abs(w.var() / variance - 1) < 4.5 * math.sqrt(2 / w.numel())  # kurtosis below 3: a bound


def test_ranks_are_lost_as_in_table_1():
    model, draws = DLN((4, 6, 9)), 4000
    ranks = np.array([model.truncated(seed).ranks for seed in range(draws)])  # (draw, matrix), full ranks 4 and 6
    for column, full in zip(ranks.T, (4, 6), strict=True):
        expected = np.full(full, 0.5 / full)  # ranks 1 ... full; U{0, ..., full - 1} is lost with probability 1/2
        expected[-1] += 0.5
        counts = np.bincount(column, minlength=full + 1)[1:]
        assert counts.sum() == draws and ((counts - draws * expected) ** 2 / (draws * expected)).sum() < 22  # chi squared, <= 5 dof, 1 in 1000
    assert abs(np.corrcoef(ranks.T)[0, 1]) < 4.5 / math.sqrt(draws)
    assert model.truncated(3) == model.truncated(3) and model.truncated(3).widths == model.widths


def test_reduced_rank_regression_is_the_deep_linear_network_of_two_layers():
    for a, b in zip(ReducedRank(5, 3, 4).build(6).parameters(), DLN((5, 3, 4)).build(6).parameters(), strict=True):
        assert torch.equal(a, b)


# Singular toys


def test_the_squared_loss_of_the_minimally_singular_toys_is_that_of_their_exact_lambda():
    """K is positive off w_1 = ... = w_r = 0 and K(s w) = s^4 K(w) or s^2 K(w): quasi-homogeneous in r variables, so lambda = r/4, r/2."""
    x = torch.randn(1000, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for toy, degree in (("r/4", 4), ("r/2", 2)):
        model = MinimallySingular(dim=6, rank=4, toy=toy)
        module = model.build(1).double()
        w = module.w.detach().clone()

        def k(values, module=module):
            with torch.no_grad():
                module.w.copy_(values)
                return (0.5 * module(x).square().sum(1).mean()).item()

        used = w[:4].square().sum()
        assert k(w) == pytest.approx((0.5 * x.square().mean() * (used**2 if toy == "r/4" else used)).item(), rel=1e-12)
        assert k(3 * w) == pytest.approx(3**degree * k(w), rel=1e-12)
        assert model.learning_coefficient == sum([1] * model.rank) / degree
        w[4:] = 100
        assert k(w) == pytest.approx(k(torch.cat([w[:4], torch.zeros(2, dtype=torch.float64)])), rel=1e-12)  # the others do nothing


def test_rescaling_a_relu_layer_changes_no_output_and_copies_stay_copies():
    x = 20 * torch.rand(50, 10, generator=torch.Generator().manual_seed(0)) - 10
    expected = DuplicatedReLU().build(4)(x)
    for alpha in (1e-4, 1e-2, 1e2, 1e4):
        module = DuplicatedReLU(alpha=alpha).build(4)
        torch.testing.assert_close(module(x), expected, rtol=1e-5, atol=1e-5 * expected.abs().max().item())
        first, _, last = module
        for copy in (1, 2, 3, 4, 5, 8):
            assert torch.equal(first.weight[copy], first.weight[0]) and first.bias[copy] == first.bias[0]
            assert not torch.equal(last.weight[:, copy], last.weight[:, 0])
        rows = torch.cat([first.weight, first.bias[:, None]], 1)
        assert len(torch.unique(rows, dim=0)) == 14 and not last.bias.any()
        assert first.weight.abs().max() < 2.01 * alpha / math.sqrt(10) and last.weight.abs().max() < 2.01 / alpha / math.sqrt(20)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MLP((64,)), "widths = \\(64,\\); give 2 to 200 whole numbers from 1"),
        (lambda: MLP((64, 0)), "widths = \\(64, 0\\)"),
        (lambda: MLP((64, 2.5)), "widths"),
        (lambda: MLP((64, math.nan)), "widths"),
        (lambda: MLP((64, True)), "widths"),
        (lambda: MLP((64, 10**9)), "widths"),
        (lambda: MLP("ab"), "widths = 'ab'"),
        (lambda: MLP(7), "widths = 7"),
        (lambda: MLP(activation="gelu"), "activation = 'gelu'; choose one of 'relu', 'tanh', 'linear'"),
        (lambda: SmallCNN(channels=()), "channels = \\(\\); give one to 5"),
        (lambda: SmallCNN(channels=(8,) * 4, side=8), "give one to 3 whole numbers"),
        (lambda: SmallCNN(channels=(8, 2.5)), "channels"),
        (lambda: SmallCNN(classes=0), "classes = 0 is below"),
        (lambda: DLN((5, 5), ranks=(6,)), "ranks = \\(6,\\); give none, or 1 whole numbers from 0 to \\(5,\\)"),
        (lambda: DLN((5, 5), ranks=(1, 1)), "ranks"),
        (lambda: DLN((5, 5), ranks="full"), "ranks"),
        (lambda: DLN(deviation=-1), "deviation = -1 is below"),
        (lambda: ReducedRank(hidden=0), "hidden = 0 is below"),
        (lambda: MinimallySingular(dim=3, rank=4), "rank = 4 of dim = 3 weights; choose at most 3"),
        (lambda: MinimallySingular(toy="r/8"), "toy = 'r/8'"),
        (lambda: DuplicatedReLU((10, 8, 10)), "hidden > 8"),
        (lambda: DuplicatedReLU((10, 20, 20, 10)), "hidden > 8"),
        (lambda: DuplicatedReLU(alpha=0), "alpha = 0 is below"),
    ],
)
def test_a_model_refuses_what_it_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()
