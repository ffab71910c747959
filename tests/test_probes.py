"""Probes of small networks against their dense Hessians and Fisher matrices, and against curvlinops."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call

from nets.losses import LOSSES
from nets.models import MLP, SmallCNN
from nets.probes import FisherTrace, Hessian, HessianTrace, SpectralDensity, TopEigenvalues, lanczos


def network(dtype=torch.float64, widths=(3, 5, 4)):
    """44 weights, two layers, smooth; 12 samples of 4 classes."""
    model = MLP(widths, activation="tanh").build(1).to(dtype)
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(12, 3, dtype=dtype, generator=generator)
    return model, x, torch.randint(0, 4, (12,), generator=generator), torch.randn(12, 4, dtype=dtype, generator=generator)


def targets(loss, y, z):
    return y if loss == "cross_entropy" else z


def flattened(model, function):
    """A function of the model's parameters by name as one of w (D,), and w now."""
    names, values = zip(*model.named_parameters(), strict=True)
    sizes = [v.numel() for v in values]

    def flat(w):
        parts = w.split(sizes)
        return function({n: part.view_as(v) for n, part, v in zip(names, parts, values, strict=True)})

    return flat, torch.cat([v.detach().flatten() for v in values])


def dense_hessian(model, loss, x, y):
    flat, w = flattened(model, lambda p: LOSSES[loss](functional_call(model, p, (x,)), y).mean())
    return torch.autograd.functional.hessian(flat, w)


def jacobian(model, x):
    """d f(x_i)/dw (n, outputs, D)."""
    flat, w = flattened(model, lambda p: functional_call(model, p, (x,)))
    return torch.autograd.functional.jacobian(flat, w)


@pytest.fixture(scope="module")
def curved():
    """(model, x, y, H) with cross-entropy."""
    model, x, y, _ = network()
    return model, x, y, dense_hessian(model, "cross_entropy", x, y)


# products


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_a_product_is_that_of_the_dense_hessian_in_one_chunk_or_in_many(loss):
    model, x, y, z = network()
    y = targets(loss, y, z)
    h = dense_hessian(model, loss, x, y)
    v = torch.randn(len(h), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for chunk in (12, 100, 5, 1):
        product = Hessian(model, loss, x, y, chunk)
        for _ in range(2):  # the second time from the graph that was kept
            torch.testing.assert_close(product(v), h @ v, rtol=1e-10, atol=1e-12)
    layers = {name: sum(part.stop - part.start for part in parts) for name, parts in product.layers.items()}
    assert layers == {"1": 20, "3": 24} and product.dim == 44


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch.jit, on which curvlinops' forward mode rests
def test_the_hessian_agrees_with_curvlinops():
    curvlinops = pytest.importorskip("curvlinops")
    model, x, y, _ = network()
    operator = curvlinops.HessianLinearOperator(model, nn.CrossEntropyLoss(), list(model.parameters()), [(x, y)], check_deterministic=False)
    product = Hessian(model, "cross_entropy", x, y, 12)
    v = torch.randn(44, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(product(v), operator @ v, rtol=1e-9, atol=1e-12)


def test_parameters_that_the_loss_does_not_see_or_sees_linearly_have_a_zero_product():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.w = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x @ self.w

    for loss, expected in ((lambda f, y: f, 0.0), (lambda f, y: f**2 / 2, 1.0)):
        product = Hessian(Odd(), loss, torch.eye(3), torch.zeros(3), 10)
        assert product(torch.ones(5)).tolist() == pytest.approx([0, 0, *[expected / 3] * 3])


# traces


@pytest.mark.parametrize("kind", ["signs", "gaussian"])
def test_the_trace_of_the_hessian_and_of_its_blocks_lies_within_four_of_its_errors(curved, kind):
    model, x, y, h = curved
    found = HessianTrace(vectors=400, kind=kind).measure(model, "cross_entropy", x, y, seed=3)
    assert found.step == 400 and abs(found.mean - h.trace()) < 4 * found.stderr
    spread = 2 * (h.square().sum() - (h.diagonal().square().sum() if kind == "signs" else 0))
    # the error itself: that of 400 samples' standard deviation, some 5 % where they are near normal; 4 of them
    assert abs(found.stderr / float((spread / 400).sqrt()) - 1) < 0.2
    blocks = {"1": h[:20, :20].trace(), "3": h[20:, 20:].trace()}
    for name, (mean, stderr) in found.layers.items():
        assert abs(mean - blocks[name]) < 4 * stderr
    assert sum(mean for mean, _ in found.layers.values()) == pytest.approx(found.mean)
    assert found.numbers["trace"] == found.mean


def test_the_first_vectors_of_many_are_those_of_few_whatever_the_chunk(curved):
    model, x, y, _ = curved
    frames = list(HessianTrace(vectors=20).stream(model, "cross_entropy", x, y, seed=5))
    assert [frame.step for frame in frames] == list(range(1, 21)) and math.isnan(frames[0].stderr)
    assert HessianTrace(vectors=7).measure(model, "cross_entropy", x, y, seed=5) == frames[6]
    assert HessianTrace(vectors=7, chunk=5).measure(model, "cross_entropy", x, y, seed=5).mean == pytest.approx(frames[6].mean, rel=1e-12)
    assert HessianTrace(vectors=7).measure(model, "cross_entropy", x, y, seed=6).mean != frames[6].mean


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_trace_of_the_true_fisher_matrix_is_that_of_the_labels_own_distribution(loss):
    """E_y |grad l(f, y)|^2 with y drawn from the model: classes summed over; Gaussian labels of the variance that the loss stands for."""
    model, x, y, z = network()
    j, f = jacobian(model, x), model(x).detach()
    if loss == "cross_entropy":
        p = f.softmax(1)
        exact = sum((p[:, k, None] * ((torch.eye(4, dtype=p.dtype)[k] - p)[:, None] @ j)[:, 0].square()).sum() for k in range(4)) / 12
    else:
        exact = j.square().sum() / 12 * (1.0 if loss == "half_squares" else 2 / 4)
    found = FisherTrace(vectors=300, chunk=4).measure(model, loss, x, targets(loss, y, z), seed=1)
    assert abs(found.mean - exact) < 4 * found.stderr and found.stderr < 0.05 * exact
    assert sum(mean for mean, _ in found.layers.values()) == pytest.approx(found.mean)


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_the_trace_of_the_empirical_fisher_matrix_is_the_mean_squared_gradient(loss):
    model, x, y, z = network()
    y = targets(loss, y, z)
    exact = 0.0
    for i in range(12):
        slopes = torch.autograd.grad(LOSSES[loss](model(x[i : i + 1]), y[i : i + 1]).sum(), list(model.parameters()))
        exact += sum(float(s.square().sum()) for s in slopes) / 12
    probe = FisherTrace("empirical", vectors=300, chunk=6)
    found = probe.measure(model, loss, x, y, seed=1)
    assert abs(found.mean - exact) < 4 * found.stderr and found.stderr < 0.05 * exact
    assert replace(probe, vectors=2, chunk=1).measure(model, loss, x, y).mean == pytest.approx(exact, rel=1e-10)  # one sample a pass: exact


# spectra


def test_the_outermost_eigenvalues_are_those_of_the_dense_hessian(curved):
    model, x, y, h = curved
    exact = torch.linalg.eigvalsh(h).numpy()
    for end, expected in (("largest", exact[::-1]), ("smallest", exact)):
        frames = list(TopEigenvalues(count=4, end=end, tolerance=1e-8).stream(model, "cross_entropy", x, y, seed=2))
        np.testing.assert_allclose(frames[-1].values, expected[:4], rtol=1e-7, atol=1e-9)
        for frame in frames:  # the errors are honest from the first step on
            assert all(np.abs(exact - value).min() <= error + 1e-10 for value, error in zip(frame.values, frame.errors, strict=True))
        assert frames[-1].step <= 44
    assert frames[-1].numbers["eigenvalue 1"] == pytest.approx(exact[0])


def test_lanczos_ends_where_the_space_is_exhausted_with_all_eigenvalues_each_once():
    """Eigenvalues 0 (nine times), 1, 2, 5: four distinct ones, four steps."""
    diagonal = torch.tensor([0.0] * 9 + [1.0, 2.0, 5.0], dtype=torch.float64)
    frames = list(lanczos(lambda v: diagonal * v, torch.ones(12, dtype=torch.float64), 12))
    values, ends, beta = frames[-1]
    assert len(frames) == 4 and beta == 0
    np.testing.assert_allclose(values, [0, 1, 2, 5], atol=1e-12)
    np.testing.assert_allclose(ends[1] ** 2, [9 / 12, 1 / 12, 1 / 12, 1 / 12], atol=1e-12)


def test_orthogonality_survives_hundreds_of_steps_in_float32():
    """Without the second orthogonalisation copies of the largest eigenvalue appear."""
    diagonal = torch.logspace(-4, 2, 300)
    *_, (values, _, _) = lanczos(lambda v: diagonal * v, torch.ones(300), 300)
    np.testing.assert_allclose(values[-20:], diagonal.numpy()[-20:], rtol=1e-4)


def test_each_vectors_quadrature_has_its_exact_moments(curved):
    """sum_k weights nodes^p = v^T H^p v / v^T v for p < 2 iterations."""
    model, x, y, h = curved
    found = SpectralDensity(vectors=2, iterations=6).measure(model, "cross_entropy", x, y, seed=4)
    generator = torch.Generator().manual_seed(4)
    for nodes, weights in zip(found.nodes, found.weights, strict=True):
        v = torch.randn(44, dtype=torch.float64, generator=generator)
        for power in range(12):
            exact = float(v @ torch.linalg.matrix_power(h, power) @ v / (v @ v))
            assert float(weights @ nodes**power) == pytest.approx(exact, rel=1e-9)


def test_the_density_integrates_to_one_and_gives_the_trace_and_the_smoothed_spectrum(curved):
    model, x, y, h = curved
    found = SpectralDensity(vectors=300, iterations=12).measure(model, "cross_entropy", x, y, seed=4)
    exact = torch.linalg.eigvalsh(h).numpy()
    at, width = np.linspace(exact[0] - 1, exact[-1] + 1, 2001), 0.15
    density = found.density(at, width)
    assert np.trapezoid(density, at) == pytest.approx(1, abs=1e-6)
    for f, truth in ((lambda mu: mu, exact.mean()), (lambda mu: mu**2, (exact**2).mean())):
        mean, stderr = found.mean(f)
        assert abs(mean - truth) < 4 * stderr
    smooth = np.exp(-0.5 * ((at[:, None] - exact) / width) ** 2).sum(axis=1) / (44 * width * math.sqrt(2 * math.pi))
    # v^T H v of 300 Gaussian vectors in 44 dimensions: a bin of mass p has error sqrt(2 p / (44 x 300)) at most
    assert np.abs(density - smooth).max() < 4 * math.sqrt(2 / (44 * 300)) / (width * math.sqrt(2 * math.pi))
    assert found.numbers["trace"] == pytest.approx(float(h.trace()), abs=4 * 44 * found.mean(lambda mu: mu)[1])


# manners


def test_the_model_is_left_as_it_was_also_by_a_stream_that_is_given_up():
    model = nn.Sequential(nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Tanh(), nn.Linear(6, 4))
    model[2].eval()
    _, x, y, _ = network(torch.float32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    for probe in (HessianTrace(vectors=3), FisherTrace(vectors=3), TopEigenvalues(iterations=3), SpectralDensity(vectors=1, iterations=3)):
        stream = probe.stream(model, "cross_entropy", x, y)
        next(stream)
        stream.close()
        assert probe.measure(model, "cross_entropy", x, y).numbers == probe.measure(model, "cross_entropy", x, y).numbers  # dropout is off
    assert [module.training for module in model] == [True, True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters()) and torch.equal(state, torch.get_rng_state())


def test_frozen_parameters_do_not_count():
    model, x, y, _ = network()
    h = dense_hessian(model, "cross_entropy", x, y)
    for p in model[1].parameters():
        p.requires_grad_(False)
    product = Hessian(model, "cross_entropy", x, y, 100)
    v = torch.randn(24, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(product(v), h[20:, 20:] @ v, rtol=1e-10, atol=1e-12)


def test_a_loss_that_is_a_mean_gives_the_same_hessian_as_one_per_sample(curved):
    model, x, y, _ = curved
    probe = HessianTrace(vectors=3, chunk=5)
    assert probe.measure(model, nn.CrossEntropyLoss(), x, y).mean == pytest.approx(probe.measure(model, "cross_entropy", x, y).mean, rel=1e-12)


def test_convolutions_are_probed_without_warnings():
    model = SmallCNN(channels=(4, 8), colours=1, side=8).build(0)
    x, y = torch.randn(20, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 10
    total = HessianTrace(vectors=100).measure(model, "cross_entropy", x, y)
    spectrum = SpectralDensity(vectors=4, iterations=20).measure(model, "cross_entropy", x, y, seed=1)
    other, error = spectrum.mean(lambda mu: mu)
    dim = spectrum.dim
    assert abs(total.mean - dim * other) < 4 * math.hypot(total.stderr, dim * error)
    top = TopEigenvalues(count=2).measure(model, "cross_entropy", x, y)
    assert top.values[0] == pytest.approx(spectrum.numbers["largest"], rel=1e-2)
    assert FisherTrace(vectors=4).measure(model, "cross_entropy", x, y).mean > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x, y: HessianTrace().measure(m, "cross_entropy", x[:0], y[:0]), "0 inputs and 0 targets"),
        (lambda m, x, y: HessianTrace().measure(m, "cross_entropy", x, y[:3]), "12 inputs and 3 targets"),
        (lambda m, x, y: HessianTrace().measure(nn.Tanh(), "cross_entropy", x, y), "no parameters that require a gradient"),
        (lambda m, x, y: HessianTrace().measure(m, "cross_entropi", x, y), "choose one of 'cross_entropy'"),
        (lambda m, x, y: HessianTrace().measure(m, "cross_entropy", x * math.nan, y), "H v is not finite"),
        (lambda m, x, y: FisherTrace().measure(m, "cross_entropy", x * math.nan, y), "a gradient is not finite"),
        (lambda m, x, y: FisherTrace("empirical").measure(m, nn.CrossEntropyLoss(), x, y), "needs one value a sample"),
        (lambda m, x, y: FisherTrace("true").measure(m, nn.CrossEntropyLoss(), x, y), "names no distribution of labels"),
        (lambda m, x, y: SpectralDensity(iterations=0), "iterations = 0"),
        (lambda m, x, y: HessianTrace(vectors=1), "vectors = 1"),
        (lambda m, x, y: HessianTrace(kind="sign"), "choose one of 'signs', 'gaussian'"),
        (lambda m, x, y: SpectralDensity(vectors=1).measure(m, "cross_entropy", x, y).density([0.0], 0), "width = 0"),
    ],
)
def test_bad_input_is_refused_with_one_clear_error(call, message):
    model, x, y, _ = network()
    with pytest.raises(ValueError, match=message):
        call(model, x, y)
