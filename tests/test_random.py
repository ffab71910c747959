"""The random numbers of kernels have the laws they claim. Fixed seeds; a p-value below 1e-4 or a deviation beyond 4.5 standard errors fails."""

import itertools
import math

import naive
import numpy as np
import pytest
from scipy import stats

from dynamics import random
from landscapes.jit import kernel

UNIFORM, EXPONENTIAL, NORMAL, CHI2, STABLE = range(5)
R = 3.6541528853610088  # where the ziggurat ends and its tail begins


@kernel
def _fill(out, streams, kind, parameter):
    constants = random.chi2_constants(parameter)
    for i in range(out.shape[0]):
        s = random.opened(streams, i)
        for j in range(out.shape[1]):
            if kind == 0:
                x, s = random.uniform(s)
            elif kind == 1:
                x, s = random.exponential(s)
            elif kind == 2:
                x, s = random.normal(s)
            elif kind == 3:
                x, s = random.chi2(constants, s)
            else:
                x, s = random.positive_stable(parameter, s)
            out[i, j] = x
        random.close(streams, i, s)


@kernel
def _permute(out, keys):
    n = out.shape[1]
    bits = max(np.int64(1), np.int64(np.log2(n) / 2))
    for i in range(out.shape[0]):
        for j in range(n):
            out[i, j] = random.permuted(keys[i], j, n, bits)


def draws(kind, parameter=1.0, streams=1000, each=1000, seed=1):
    out = np.empty((streams, each))
    _fill(out, random.open_streams(seed, np.arange(streams)), kind, float(parameter))
    return out


def permutations(n, count, first=0):
    """Shuffles 0 ... count - 1 of one trajectory, keyed as epochs are."""
    key = int(random.open_streams(5, np.array([3]))[0, 2])
    keys = np.array([(key + epoch * 0xA0761D6478BD642F) & naive.MASK for epoch in range(first, first + count)], np.uint64)
    out = np.empty((count, n), np.int64)
    _permute(out, keys)
    return out


def chi2_p(counts, cells):
    """p-value of equal frequencies over so many cells."""
    observed = np.bincount(counts, minlength=cells)
    return stats.chisquare(observed).pvalue


def test_words_are_those_of_xoroshiro128_plus_plus():
    # from state (1, 2): by hand the first word is rotl(1 + 2, 17) + 1 = 3 * 2^17 + 1
    state, twin = (np.uint64(1), np.uint64(2)), naive.xoroshiro(1, 2)
    words = []
    for _ in range(1000):
        bits, state = random.word(state)
        state = tuple(map(np.uint64, state))  # Numba hands words back as Python integers
        words.append(bits)
    assert words[0] == 3 * 2**17 + 1
    assert words == list(itertools.islice(twin, 1000))


def test_streams_of_a_seed_do_not_depend_on_which_others_are_opened():
    many = random.open_streams(7, np.arange(100))
    np.testing.assert_array_equal(random.open_streams(7, np.array([42, 3])), many[[42, 3]])
    assert len(np.unique(np.concatenate([many, random.open_streams(8, np.arange(100))]).ravel())) == 600


@pytest.mark.parametrize(
    ("kind", "parameter", "law"),
    [
        (UNIFORM, 1, stats.uniform()),
        (EXPONENTIAL, 1, stats.expon()),
        (NORMAL, 1, stats.norm()),
        *((CHI2, degrees, stats.chi2(degrees)) for degrees in (1, 2, 5, 20, 200)),
    ],
)
def test_a_million_draws_pass_kolmogorov_smirnov_and_have_the_moments(kind, parameter, law):
    x = draws(kind, parameter).ravel()
    assert stats.kstest(x, law.cdf, method="asymp").pvalue > 1e-4
    mean, variance, skewness, kurtosis = (float(m) for m in law.stats("mvsk"))
    z = (x - mean) / math.sqrt(variance)
    # standard errors: of the mean 1, of the variance sqrt(kurtosis of z^2), in units of 1/sqrt(n)
    assert abs(z.mean()) * 1e3 < 4.5
    assert abs((z**2).mean() - 1) * 1e3 < 4.5 * math.sqrt(kurtosis + 2)
    assert abs((z**3).mean() - skewness) * 1e3 < 4.5 * math.sqrt((z**6).mean() - skewness**2)


def test_the_normal_is_right_in_the_tail_that_the_ziggurat_draws_apart():
    x = draws(NORMAL, streams=2000, each=5000, seed=2).ravel()
    beyond = np.abs(x[np.abs(x) > R])
    expected = 2 * stats.norm.sf(R)
    assert abs(len(beyond) / x.size - expected) < 4.5 * math.sqrt(expected / x.size)
    assert stats.kstest(beyond, lambda t: 1 - stats.norm.sf(t) / stats.norm.sf(R)).pvalue > 1e-4
    assert abs(np.sum(x > R) - np.sum(x < -R)) < 4.5 * math.sqrt(len(beyond))
    # the density just inside the edge, where the base layer and the tail meet
    inside = np.sum((np.abs(x) > 3.4) & (np.abs(x) <= R)) / x.size
    expected = 2 * (stats.norm.sf(3.4) - stats.norm.sf(R))
    assert abs(inside - expected) < 4.5 * math.sqrt(expected / x.size)


@pytest.mark.parametrize("lag", [1, 2, 256])
def test_neighbouring_streams_and_neighbouring_draws_are_independent(lag):
    u = draws(UNIFORM, streams=100_000, each=3, seed=3)
    for a, b in ((u[:-lag, 0], u[lag:, 0]), (u[:-lag, 1], u[lag:, 0]), (u[:, 0], u[:, 1])):
        assert chi2_p((a * 16).astype(int) * 16 + (b * 16).astype(int), 256) > 1e-4
    # the normal reuses the low bits of a word for its layer: two successive ones must not be related, in size either
    z = draws(NORMAL, seed=4)
    for power in (1, 2):
        a, b = z[:, :-lag].ravel() ** power, z[:, lag:].ravel() ** power
        assert abs(np.corrcoef(a, b)[0, 1]) * math.sqrt(a.size) < 4.5


def test_streams_of_neighbouring_seeds_are_independent():
    a, b = (draws(UNIFORM, streams=100_000, each=1, seed=seed)[:, 0] for seed in (10, 11))
    assert chi2_p((a * 16).astype(int) * 16 + (b * 16).astype(int), 256) > 1e-4


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5, 1.9, 2.0])
def test_stable_numbers_have_the_characteristic_function_exp_minus_u_to_the_alpha(alpha):
    x = np.sqrt(2 * draws(STABLE, alpha / 2, seed=6).ravel()) * draws(NORMAL, seed=7).ravel()
    for u in (0.2, 0.5, 1.0, 2.0, 3.0):
        phi, phi2 = math.exp(-(u**alpha)), math.exp(-((2 * u) ** alpha))
        error = math.sqrt(((1 + phi2) / 2 - phi**2) / x.size)  # variance of cos(u x)
        assert abs(np.cos(u * x).mean() - phi) < 4.5 * error
    if alpha == 1:
        assert stats.kstest(x, stats.cauchy.cdf, method="asymp").pvalue > 1e-4
    if alpha == 2:
        np.testing.assert_array_equal(draws(STABLE, 1.0, each=10), 1.0)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6, 7, 16, 17, 1000, 1025])
def test_a_shuffle_visits_every_index_once(n):
    np.testing.assert_array_equal(np.sort(permutations(n, 50), axis=1), np.tile(np.arange(n), (50, 1)))


@pytest.mark.parametrize("n", [2, 3, 5, 6])
def test_small_shuffles_are_uniform_over_all_permutations(n):
    drawn = permutations(n, 100_000)
    order = drawn @ n ** np.arange(n)
    names = {int(np.array(p) @ n ** np.arange(n)): i for i, p in enumerate(itertools.permutations(range(n)))}
    assert chi2_p(np.array([names[code] for code in order.tolist()]), len(names)) > 1e-4


def test_long_shuffles_are_uniform_in_places_pairs_and_successive_epochs():
    drawn = permutations(1000, 2000)
    tenth = drawn // 100
    places = np.tile(np.arange(1000) // 100, (len(drawn), 1))
    # where an index lands (without replacement: fewer degrees of freedom than cells, so the p-value errs towards 1; hence both ends)
    assert chi2_p((places * 10 + tenth).ravel(), 100) > 1e-4
    for a, b in ((tenth[:, :-1:2], tenth[:, 1::2]), (tenth[:-1:2], tenth[1::2]), (tenth[:, :500], tenth[:, 500:])):
        assert chi2_p((a * 10 + b).ravel(), 100) > 1e-4
    # neighbours in a shuffle: j after i, for any pair of residues
    step = (drawn[:, 1:] - drawn[:, :-1]) % 1000
    assert chi2_p(step.ravel() - 1, 999) > 1e-4
