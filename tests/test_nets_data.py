"""Data sets as values: the genuine samples, laws that are what they say, seeded order, and one clear error for whatever is missing or damaged."""

import math
import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import nets.data
import nets.models
from nets import vision
from nets.data import CIFAR10, DATA, MNIST, Digits, FashionMNIST, LinearTeacher, Npz, Regression, Teacher, permutation, root, seeded
from nets.losses import mse
from nets.models import DLN, MLP

SHARED = Path(__file__).parents[1] / ".." / "shared" / "data"  # downloaded sets, where somebody has put them
FASHION = SHARED / "FashionMNIST-partial" / "fashion_partial.npz"
needs_mnist = pytest.mark.skipif(not (SHARED / "MNIST" / "raw" / "train-images-idx3-ubyte").exists(), reason="no MNIST in ../shared/data")
needs_fashion = pytest.mark.skipif(not FASHION.exists(), reason="no Fashion-MNIST in ../shared/data")
SMALL = (Digits(), Regression(), LinearTeacher(), Teacher())


# Real images


def test_digits_are_scikit_learns_own_each_once():
    from sklearn.datasets import load_digits

    theirs = load_digits()
    ours = Digits().load()
    x = torch.cat([ours.x, ours.x_test]).reshape(-1, 64).numpy() * 0.3760 + 0.3053
    rows = np.column_stack([np.round(x * 16), torch.cat([ours.y, ours.y_test])]).astype(int)
    expected = np.column_stack([theirs.data, theirs.target]).astype(int)
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])
    assert ours.x.shape == (1437, 1, 8, 8) and ours.x_test.shape == (360, 1, 8, 8) and ours.y.dtype == torch.int64
    both = torch.cat([ours.x, ours.x_test])
    assert abs(both.mean()) < 1e-3 and abs(both.std() - 1) < 1e-3  # the four decimals of the constants


def test_digits_come_shuffled_so_that_both_parts_hold_all_classes_alike():
    ours = Digits().load()
    for y in (ours.y, ours.y_test):
        counts = torch.bincount(y, minlength=10).double()
        expected = len(y) / 10
        assert ((counts - expected) ** 2 / expected).sum() < 27.9  # chi squared, 9 degrees of freedom, 1 in 1000


@needs_mnist
def test_mnist_is_the_published_one():
    data = MNIST(root=str(SHARED)).load()
    assert data.x.shape == (60_000, 1, 28, 28) and data.x_test.shape == (10_000, 1, 28, 28)
    assert torch.bincount(data.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]  # LeCun's page
    assert data.y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4] and data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert abs(data.x.mean()) < 1e-3 and abs(data.x.std() - 1) < 1e-3


@needs_fashion
def test_bytes_of_an_npz_file_become_images():
    data = Npz(str(FASHION), mean=0.5, deviation=0.5).load()
    with np.load(FASHION) as file:
        np.testing.assert_allclose(data.x[:5, 0].numpy(), file["x_train"][:5] / 127.5 - 1, atol=1e-6)
        assert data.x.shape == (3615, 1, 28, 28) and data.y_test.tolist() == file["y_test"].tolist()


def test_pixels_are_scaled_and_channels_come_first():
    grey, colours = np.full((3, 4, 5), 51, np.uint8), np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    torch.testing.assert_close(FashionMNIST()._scaled(torch.tensor(grey)), torch.full((3, 1, 4, 5), (0.2 - 0.5) / 0.5))
    scaled = CIFAR10()._scaled(colours)
    assert scaled.shape == (2, 3, 4, 5)
    for channel, (mean, deviation) in enumerate(zip(*CIFAR10.NORMAL, strict=True)):
        np.testing.assert_allclose(scaled[:, channel], (colours[..., channel] / 255 - mean) / deviation, rtol=2e-6, atol=1e-6)


# Laws


def test_a_linear_teachers_losses_are_the_plateaus_of_saddle_to_saddle():
    data = LinearTeacher(size=10_000)
    x, y = data.load()[:2]
    for rank, plateau in enumerate((1100, 600, 280, 100, 20, 0)):  # the largest `rank` entries learned
        learned = data.matrix.clone()
        learned.diagonal()[: 5 - rank] = 0
        loss = mse(x @ learned.float().T, y).mean().item()
        left = torch.tensor(data.spectrum[: 5 - rank], dtype=torch.float64)
        error = (2 * (left**4).sum()).sqrt().item() / 5 / math.sqrt(data.size)  # of the mean of squares of normals
        assert abs(loss - plateau) < 4.5 * error + 1e-9


def test_the_noise_of_a_linear_teacher_has_the_variance_it_says_and_an_empty_spectrum_is_pure_noise():
    data = LinearTeacher(3, 2, (2.0,), size=20_000, noise=1.5, bound=4.0, seed=3).load()
    rest = data.y - data.x @ torch.tensor([[2.0, 0], [0, 0], [0, 0]])
    assert abs(rest.var() / 1.5**2 - 1) < 4.5 * math.sqrt(2 / 40_000) and abs(rest.mean()) < 4.5 * 1.5 / 200
    assert data.x.abs().max() <= 4 and abs(data.x.var() / (16 / 3) - 1) < 4.5 * math.sqrt(0.8 / 60_000)  # var of x^2 over its mean squared: 4/5
    noise = LinearTeacher(3, 2, (), size=20_000, noise=1.0).load()
    assert torch.linalg.lstsq(noise.x, noise.y).solution.abs().max() < 4.5 / math.sqrt(20_000)


def test_the_residue_of_a_regression_is_its_noise():
    data = Regression(size=20_000, inputs=3, frequency=2.0, noise=0.5, seed=1).load()
    rest = data.y - torch.sin(2 * math.pi * data.x.sum(1, keepdim=True) / math.sqrt(3))
    assert abs(rest.var() / 0.25 - 1) < 4.5 * math.sqrt(2 / 20_000)


def test_a_teachers_data_are_realised_by_its_weights():
    for model in (DLN((4, 3, 2), ranks=(2, 1)), MLP((4, 6, 3))):
        data = Teacher(model, weights=7, size=500, test=100).load()
        star = model.build(7)
        for x, y in (data[:2], data[2:]):
            assert mse(star(x), y).mean() < 1e-10 * y.square().mean() + 1e-12  # rounding of another batch size
            assert 9 < x.abs().max() <= 10


# Seeds


def test_each_epoch_visits_every_sample_once_in_an_order_of_its_own():
    orders = [permutation(50, seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    for order in orders:
        assert sorted(order.tolist()) == list(range(50))
    assert len({tuple(order.tolist()) for order in orders}) == 4
    torch.testing.assert_close(permutation(50, 1, 1), orders[-1])
    places = torch.stack([permutation(10, 0, epoch) for epoch in range(4000)])
    counts = torch.stack([torch.bincount(column, minlength=10) for column in places.T]).double()  # (place, sample)
    assert ((counts - 400) ** 2 / 400).sum() < 129  # chi squared, 81 degrees of freedom, 1 in 2000


def test_streams_of_different_keys_differ():
    firsts = {tuple(torch.randn(4, generator=seeded(*key)).tolist()) for key in ((1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (3, 0, 1))}
    assert len(firsts) == 5


@pytest.mark.parametrize("data", SMALL, ids=lambda data: type(data).__name__)
def test_a_data_set_is_a_function_of_its_value_and_leaves_the_global_generator_alone(data):
    before = torch.get_rng_state()
    first = data.read()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again = data.read()
    torch.set_rng_state(before)
    for a, b in zip(first, again, strict=True):
        assert torch.equal(a, b)
    assert data.load() is pickle.loads(pickle.dumps(data)).load()  # read once
    if hasattr(data, "seed"):
        other = replace(data, seed=5).load()
        assert not torch.equal(other.x, first.x) and not torch.equal(first.x[:100], first.x_test[:100])


@pytest.mark.parametrize("data", [cls() for cls in DATA.values() if cls is not Npz] + [Npz("a.npz")], ids=lambda data: type(data).__name__)
def test_a_data_set_prints_as_the_call_that_makes_it(data):
    assert eval(repr(data), {**vars(nets.models), **vars(nets.data)}) == data and hash(
        eval(repr(data), {**vars(nets.models), **vars(nets.data)})
    ) == hash(data)


def test_a_subset_is_the_first_samples_of_the_whole():
    whole, part = Digits().load(), Digits(size=100, test=7).load()
    assert torch.equal(part.x, whole.x[:100]) and torch.equal(part.y_test, whole.y_test[:7]) and len(part.x_test) == 7


# Missing, damaged, wrong


def test_the_folder_is_the_given_one_else_the_environments_else_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("LAMBDASCAPE_DATA", "/somewhere")
    assert root("/given") == Path("/given") and root() == Path("/somewhere")
    monkeypatch.delenv("LAMBDASCAPE_DATA")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert root() == tmp_path / ".cache" / "lambdascape" and root("~/x") == tmp_path / "x"


@pytest.mark.parametrize("cls", [MNIST, FashionMNIST, CIFAR10])
def test_missing_data_are_one_error_that_says_where_they_were_looked_for_and_how_to_get_them(cls, tmp_path):
    with pytest.raises(ValueError, match=rf"no usable {cls.__name__} in {tmp_path} .*LAMBDASCAPE_DATA.*{cls.__name__}\(download=True\)"):
        cls(root=str(tmp_path)).load()
    assert not list(tmp_path.iterdir())  # nothing was begun


@needs_mnist
def test_a_truncated_file_is_one_error_and_the_whole_one_is_read_afterwards(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        (folder / name).symlink_to((SHARED / "MNIST" / "raw" / name).resolve())
    short = folder / "t10k-images-idx3-ubyte"
    whole = short.resolve()
    for length in (0, 3, 10, 100_000):
        short.unlink()
        short.write_bytes(whole.read_bytes()[:length])
        with pytest.raises(ValueError, match=r"no usable MNIST"):
            MNIST(root=str(tmp_path)).load()
    short.unlink()
    shutil.copy(whole, short)
    assert len(MNIST(root=str(tmp_path), size=10, test=5).load().x_test) == 5


def arrays(**changes):
    return {"x_train": np.ones((6, 4)), "y_train": np.arange(6), "x_test": np.ones((2, 4)), "y_test": np.arange(2), **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": np.full((6, 4), np.nan)}, "6 of 6 training inputs are NaN or infinite; remove"),
        ({"x_test": np.array([[1, 2], [np.inf, 0]])}, "1 of 2 test inputs are NaN"),
        ({"y_train": np.array([1, 2, 3, np.nan, 5, 6])}, "1 of 6 training labels are NaN"),
        ({"y_train": np.arange(5)}, "6 training inputs and 5 labels"),
        ({"x_train": np.ones((0, 4)), "y_train": np.arange(0)}, "0 training inputs and 0 labels; give at least one"),
        ({"y_train": np.arange(6) - 1}, "training labels of shape .* down to -1; classes are"),
        ({"y_train": np.ones((6, 2), int)}, "one integer"),
        ({"x_train": np.array([object()] * 6, object)}, "numpy.savez"),
        ({"x_train": np.array(["a"] * 6)}, "numpy.savez"),
    ],
)
def test_your_own_arrays_are_refused_with_the_reason(tmp_path, changes, message):
    np.savez(tmp_path / "own.npz", **arrays(**changes))
    with pytest.raises(ValueError, match=message):
        Npz(str(tmp_path / "own.npz")).load()


def test_your_own_arrays_are_read_as_they_are(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(y_train=np.linspace(0, 1, 12).reshape(6, 2), y_test=np.ones((2, 2))))
    data = Npz(str(path), mean=3.0, deviation=2.0).load()
    assert data.y.dtype == torch.float32 and data.y.shape == (6, 2) and torch.equal(data.x, torch.full((6, 4), -1.0))


def test_a_file_that_is_no_npz_or_a_truncated_one_is_one_error(tmp_path):
    path = tmp_path / "own.npz"
    with pytest.raises(ValueError, match=r"own.npz.*cannot be read.*numpy.savez"):
        Npz(str(path)).load()
    np.savez(path, **arrays())
    whole = path.read_bytes()
    for content in (b"", b"text", whole[:50], whole[: len(whole) // 2], whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"numpy.savez"):
            Npz(str(path)).load()
    np.savez(path, x_train=np.ones(3))
    with pytest.raises(ValueError, match="it holds x_train, and no y_train, x_test, y_test"):
        Npz(str(path)).load()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Digits(size=5000).load(), "size = 5,000; there are 1,437 such samples"),
        (lambda: Digits(test=361).load(), "test = 361; there are 360"),
        (lambda: Digits(size=-1), "size = -1 is below"),
        (lambda: MNIST(root=3), "root = 3 is no text"),
        (lambda: Regression(noise=math.nan), "noise = nan is not finite"),
        (lambda: Regression(size=0), "size = 0 is below"),
        (lambda: LinearTeacher(spectrum=(1, 2, 3, 4, 5, 6)), "at most .* = 5 numbers"),
        (lambda: LinearTeacher(spectrum=(math.inf,)), "spectrum = "),
        (lambda: LinearTeacher(spectrum="ab"), "spectrum = 'ab'"),
        (lambda: LinearTeacher(spectrum=3), "spectrum = 3"),
        (lambda: Teacher(model=DLN), "is no model; give a value such as DLN"),
    ],
)
def test_a_data_set_refuses_what_it_cannot_be(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Imports


def test_only_the_missing_operator_of_torchvision_is_repaired(monkeypatch):
    calls = []

    def fail(name):
        calls.append(name)
        raise RuntimeError("something else")

    monkeypatch.setattr(vision.importlib, "import_module", fail)
    with pytest.raises(RuntimeError, match="something else"):
        vision.datasets()
    assert calls == ["torchvision.datasets"]


def test_torchvisions_data_sets_can_be_imported_here():
    assert vision.datasets().MNIST and vision.datasets() is vision.datasets()
