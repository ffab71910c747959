"""Quadrature against closed forms and scipy; the exact posterior against the published masses; the exact lambda-hat at finite n beta."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, special

from dynamics import Finite, Online
from dynamics.posterior import Posterior, lambda_hat_exact
from landscapes import CATALOGUE, Bowl, Cusp, DoubleWell, Monomial, NormalCrossing, Regular, Ring, RotatedLine, Tangency, TripleWell, Valley, parse
from landscapes.quadrature import COARSE, FINE, nodes

NBETA = (1e1, 1e4, 1e9, 1e15)


def mean_and_mass(landscape, nbeta, resolution, box=None, shift=0.0):
    """(nbeta E[K], Z) under exp(-nbeta K)."""
    grid = nodes(landscape, box, shift, resolution)
    weight = grid.weight * np.exp(-nbeta * grid.k)
    return nbeta * np.sum(weight * grid.k) / weight.sum(), weight.sum()


def gaussian_power(nbeta, power):
    """The integral over all real u of exp(-nbeta u^(2 power)/2)."""
    return 2 * (nbeta / 2) ** (-1 / (2 * power)) * special.gamma(1 + 1 / (2 * power))


@pytest.mark.parametrize(("resolution", "tolerance"), [(COARSE, 1e-3), (FINE, 1e-5)])
@pytest.mark.parametrize("nbeta", NBETA)
def test_a_quasi_homogeneous_landscape_has_lambda_hat_equal_to_lambda_at_every_nbeta(nbeta, resolution, tolerance):
    wide = (-100.0, 100.0)
    cases = [(Monomial(k), (wide,), 1 / (2 * k)) for k in (1, 2, 3, 6)]
    cases += [(Bowl(a, b), (wide, wide), 1 / (2 * a) + 1 / (2 * b)) for a, b in ((1, 1), (1, 2), (3, 6))]
    cases.append((Regular(), (wide, wide), 1.0))
    for landscape, box, weights in cases:
        assert mean_and_mass(landscape, nbeta, resolution, box)[0] == pytest.approx(weights, rel=tolerance), landscape


@pytest.mark.parametrize(("resolution", "tolerance"), [(COARSE, 2e-3), (FINE, 1e-5)])
@pytest.mark.parametrize("nbeta", [1e2, 1e5, 1e8])
def test_a_minimum_of_positive_loss_is_seen_however_flat_and_wherever_its_roots_lie(nbeta, resolution, tolerance):
    """Q = 1 + u with u of volume v(u) ~ u^lambda: nbeta E[K - 1/2] is one integral over u. No root of Q has its real part at the minimum."""
    cases = {"w^4 + 1": 1 / 4, "(w - 0.3)^6 + 1": 1 / 6, "w1^4 + w2^4 + 1": 1 / 2, "(w1 - 0.3)^4 + w2^2 + 1": 3 / 4}
    for text, lam in cases.items():
        moments = [  # with v = u^lambda, in log v, about the mode
            integrate.quad(
                lambda t, p=p, lam=lam: _weighted(math.exp(t / lam), nbeta, p) * math.exp(t),
                -60 * lam - 20,
                20 * lam,
                points=[-lam * math.log(nbeta)],
                limit=500,
            )[0]
            for p in (0, 1)
        ]
        grid = nodes(parse(text), None, 0.0, resolution)
        weight = grid.weight * np.exp(-nbeta * (grid.k - 0.5))
        assert nbeta * np.sum(weight * (grid.k - 0.5)) / weight.sum() == pytest.approx(moments[1] / moments[0], rel=tolerance, abs=nbeta * 1e-15), (
            text
        )


def _weighted(u, nbeta, power):
    e = nbeta * (u + u * u / 2)
    return e**power * math.exp(-e)


@pytest.mark.parametrize(("resolution", "tolerance"), [(COARSE, 1e-4), (FINE, 1e-6)])
@pytest.mark.parametrize("nbeta", NBETA[1:])  # at 10 the ring still feels its centre
def test_a_ring_and_a_rotated_line_have_the_volume_of_a_change_of_coordinates(nbeta, resolution, tolerance):
    for k in (1, 2, 3):  # Z = pi int exp(-nbeta u^2k/2) du with u = r^2 - 1 > -1, up to where the box's corners cut
        if nbeta < 1e9 and k == 3:
            continue  # too wide: the box cuts it
        assert mean_and_mass(Ring(k), nbeta, resolution)[1] == pytest.approx(np.pi * gaussian_power(nbeta, k), rel=tolerance)
    for slope in (0.5, 1.0):  # w1 = -slope w2 + u crosses the whole box in w2, whose ends at |w1| = 2 cut nothing for slope < 1
        expected = 4 * gaussian_power(nbeta, 1)
        if slope == 1.0:
            expected -= 2 * 0.5 * math.sqrt(2 / (np.pi * nbeta)) * gaussian_power(nbeta, 1) / 1.0  # each corner cuts E|u|/2 of length
        assert mean_and_mass(RotatedLine(slope, 1), nbeta, resolution)[1] == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize(("resolution", "tolerance"), [(COARSE, 1e-4), (FINE, 1e-6)])
def test_a_crossing_and_a_cusp_have_the_mass_that_scipy_finds(resolution, tolerance):
    for nbeta in (1e2, 1e6, 1e10):
        s = math.sqrt(nbeta / 2)  # int over w1 is erf; then one integral in log w2
        crossing = 4 * integrate.quad(lambda t, s=s: math.sqrt(np.pi) / (2 * s) * math.erf(1.5 * s * math.exp(t)), -40, math.log(1.5), limit=500)[0]
        assert mean_and_mass(NormalCrossing(), nbeta, resolution)[1] == pytest.approx(crossing, rel=tolerance)

    def cusp(y, nbeta):  # exp(-nbeta (x^2 - y^3)^2/2) over 0 < x < 1.5: breakpoints beside the ridge
        ridge = max(y, 0.0) ** 1.5
        width = 30 / math.sqrt(nbeta) / max(ridge, nbeta**-0.25)
        cuts = sorted({min(max(c, 0.0), 1.5) for c in (ridge - width, ridge, ridge + width)})
        value, start = 0.0, 0.0
        for end in [*cuts, 1.5]:
            if end > start:
                value += integrate.quad(lambda x: math.exp(-nbeta * (x * x - y**3) ** 2 / 2), start, end, epsrel=1e-9)[0]
                start = end
        return 2 * value

    nbeta = 1e4
    pieces = [-1, -0.3, -0.1, 0, 0.02, 0.05, 0.1, 0.3, 1, 1.27, 1.31, 1.35, 1.5]
    expected = sum(integrate.quad(cusp, a, b, args=(nbeta,), epsrel=1e-8, limit=200)[0] for a, b in itertools.pairwise(pieces))
    assert mean_and_mass(Cusp(), nbeta, resolution)[1] == pytest.approx(expected, rel=tolerance)


@pytest.mark.parametrize("shift", [0.3, -0.3, 1e-4])
def test_a_true_slope_moves_the_minima_and_the_quadrature_follows(shift):
    for nbeta in (1e2, 1e6, 1e12):  # products w1 - a: two shifted outputs are a shifted Gaussian
        assert mean_and_mass(Regular(), nbeta, COARSE, shift=shift)[1] == pytest.approx(2 * np.pi / nbeta, rel=1e-4)
    well, w = DoubleWell(1.8, 1, 2), np.linspace(-4, 4, 4_000_001)[:, None]  # a trapezium rule is exact while its step is below a peak's width
    for nbeta in (1e4, 1e8):
        expected = integrate.trapezoid(np.exp(-nbeta * (well.Q(w)[:, 0] - shift) ** 2 / 2), w[:, 0])
        assert mean_and_mass(well, nbeta, COARSE, ((-4.0, 4.0),), shift)[1] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("name", list(CATALOGUE))
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_the_fast_setting_agrees_with_the_fine_one_everywhere_in_the_catalogue(name, slope):
    landscape = CATALOGUE[name]()
    for nbeta in (1.0, 1e3, 1e6, 1e12):
        fast, fine = (mean_and_mass(landscape, nbeta, resolution, shift=slope) for resolution in (COARSE, FINE))
        assert fast == pytest.approx(fine, rel=2e-3), nbeta


def test_published_left_masses_with_both_conventions_of_the_weight():
    # reference values to four digits; beta = 2 is the weight exp(-n Q^2), beta = 1 ours, exp(-n Q^2/2)
    table = {
        DoubleWell(1.8, 1, 2): [(1, 0.1242, 0.1441), (100, 0.0433, 0.0510), (1000, 0.0248, 0.0294), (1e6, 0.0045, 0.0054)],
        DoubleWell(2.0, 2, 3): [(10, 0.2021, 0.2114), (1e4, 0.1249, 0.1314), (1e6, 0.0887, 0.0935)],
    }
    for landscape, rows in table.items():
        for n, source, ours in rows:
            for beta, left in ((2.0, source), (1.0, ours)):
                masses = Posterior(landscape, n, beta, box=(-4, 4)).masses()
                assert masses.sum() == pytest.approx(1)
                assert masses[0] == pytest.approx(left, abs=6e-5)


def test_the_less_degenerate_basin_loses_its_mass_like_the_difference_of_lambdas():
    # (2, 3): lambda 1/4 and 1/6, so left/right ~ n^(-1/12)
    odds = [np.divide(*Posterior(DoubleWell(2.0, 2, 3), n, fine=True).masses()) for n in (1e11, 1e14)]
    assert math.log(odds[1] / odds[0]) / math.log(1e3) == pytest.approx(-1 / 12, abs=2e-3)
    assert Posterior(TripleWell(1.5, 1, 2, 1), 1e6).masses().argmax() == 1


def test_densities_and_marginals_integrate_to_one():
    for landscape in (DoubleWell(), TripleWell()):
        p = Posterior(landscape, 50)
        ((low, high),) = p.box
        w = np.linspace(low, high, 20_001)
        assert integrate.trapezoid(p.density(w), w) == pytest.approx(1, abs=1e-3)
        assert p.density([low - 1, high + 1]) == pytest.approx(0)
    for landscape in (Valley(1, 2), NormalCrossing(), Ring(2)):
        p = Posterior(landscape, 30)
        (a, b), (c, d) = p.box
        x, y = np.linspace(a, b, 801), np.linspace(c, d, 801)
        density = p.density(np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1))
        assert integrate.trapezoid(integrate.trapezoid(density, y), x) == pytest.approx(1, abs=5e-3)
        np.testing.assert_allclose(integrate.trapezoid(density, y, axis=1), p.marginal(0, x), atol=0.02)  # the grid's own error on ridges
        np.testing.assert_allclose(integrate.trapezoid(density, x, axis=0), p.marginal(1, y), atol=0.02)


@pytest.mark.parametrize("n", [1e2, 1e8])
def test_the_marginal_beside_a_narrow_ridge_is_the_analytic_one(n):
    # Valley on the line: int dw1 of exp(-n w2^(4p) w1^2/2) ~ sqrt(2 pi/n) w2^(-2p): ratios of the marginal far from O
    p = Posterior(Valley(1, 1), n, fine=True)
    y = np.array([1.0, 1.5, 1.9])
    ratio = p.marginal(1, y) / p.marginal(1, y[:1])
    exact = [integrate.quad(lambda u, b=b: math.exp(-(((u * u / n + b * b) * u) ** 2) / 2), 0, 2 * math.sqrt(n) if n < 1e3 else 40)[0] for b in y]
    np.testing.assert_allclose(ratio, np.array(exact) / exact[0], rtol=1e-4)
    # Regular: a Gaussian of variance 1/n
    at = np.linspace(-3, 3, 7) / math.sqrt(n)
    np.testing.assert_allclose(Posterior(Regular(), n, fine=True).marginal(0, at), math.sqrt(n / (2 * np.pi)) * np.exp(-n * at**2 / 2), rtol=1e-5)


@pytest.mark.parametrize("n", [1e2, 1e8])
def test_the_density_of_the_distance_to_a_point(n):
    r = np.array([0.1, 0.7, 1.5, 3.0]) / math.sqrt(n)
    np.testing.assert_allclose(Posterior(Regular(), n, fine=True).distance((0, 0), r), n * r * np.exp(-n * r**2 / 2), rtol=1e-5)
    # it integrates to what the nodes of the whole box count within the radius (whose own edge costs a node or two)
    for landscape in (Valley(1, 1), NormalCrossing(), Tangency(), Cusp()):
        for slope in (0.0, 0.1) if n < 1e3 else (0.0,):  # at large n a circle that touches a curve of minima has a peak no trapezium rule sees
            p = Posterior(landscape, n, data=Online(slope=slope), fine=True)
            centre = landscape.minima[0].at
            end = np.geomspace(1e-2 / math.sqrt(n), 0.6, 500)
            within = np.sum(p._weights[np.linalg.norm(p._nodes.w - centre, axis=-1) < end[-1]]) / p._z
            assert integrate.trapezoid(p.distance(centre, end) * end, np.log(end)) == pytest.approx(within, rel=0.03, abs=1e-9), (landscape, slope)
    if n > 1e3:  # the posterior is then uniform on the ring: an arc of half-angle 2 asin(r/2) lies within r of a point of it
        end = np.linspace(1e-3, 0.6, 300)
        density = Posterior(Ring(1), n).distance((1, 0), end)
        np.testing.assert_allclose(density[30:], 1 / np.sqrt(1 - end[30:] ** 2 / 4) / np.pi, rtol=1e-3)
    well = Posterior(DoubleWell(), n)
    assert well.distance(1.8, [0.01]) == pytest.approx(well.density([1.79]) + well.density([1.81]))


def test_given_samples_enter_through_their_sums_exactly():
    data = Finite(size=400, slope=0.3, vx=2.0, vy=0.5, seed=3)
    x, e = data.draw()
    for n in (1, 60, 400):
        y = 0.3 * x[:n] + e[0, :n]
        p = Posterior(DoubleWell(), n, data=data)
        w = np.array([1.6, 1.7, 2.0])
        q = DoubleWell().Q(w[:, None])[:, 0]
        log_likelihood = -0.5 * np.sum((y - q[:, None] * x[:n]) ** 2, axis=1)  # the definition, sample by sample
        np.testing.assert_allclose(np.diff(np.log(p.density(w))), np.diff(log_likelihood), rtol=1e-9)
    two = Posterior(Regular(), 400, data=data, fine=True)  # each output has its own slope
    assert two.ahat == pytest.approx([0.3 + (ek @ x) / (x @ x) for ek in data.draw(2)[1]])
    peak = np.array(two.ahat)
    assert two.density(peak) == pytest.approx(two.strength / (2 * np.pi), rel=1e-5)


def test_mean_potential_and_free_energy_of_a_gaussian():
    p = Posterior(Regular(), 1e5, data=Online(vx=2.0), fine=True)
    assert p.mean_potential() == pytest.approx(1 / 1e5, rel=1e-5)  # d/2 of them, d = 2
    assert p.free_energy() == pytest.approx(-math.log(2 * np.pi / 2e5 / 16), rel=1e-6)  # the box has area 16
    # F ~ lambda log n: lambda of a regular minimum
    steps = [Posterior(Regular(), n, fine=True).free_energy() for n in (1e6, 1e9)]
    assert (steps[1] - steps[0]) / math.log(1e3) == pytest.approx(1.0, rel=1e-5)


def test_no_samples_leave_the_prior():
    p = Posterior(Valley(), 0)
    assert p.density((0.3, -1.0)) == pytest.approx(1 / 16)
    assert p.marginal(0, [0.0, 1.0]) == pytest.approx([0.25, 0.25])
    assert p.free_energy() == pytest.approx(0, abs=1e-6)


def test_published_values_of_lambda_hat_where_the_multiplicity_is_two():
    for side, nbeta, value in ((1, 1e4, 0.186), (1, 1e6, 0.200), (1, 1e15, 0.226), (10, 1e4, 0.221)):
        got = lambda_hat_exact(Valley(1, 2), nbeta, box=((-side, side),) * 2)
        assert got == pytest.approx(value, abs=6e-4)
        assert abs(got - 0.25) > 0.02  # and not lambda


def test_with_multiplicity_two_lambda_hat_lags_behind_by_one_over_log_nbeta():
    # nbeta E[K] = lambda - 1/(log nbeta + b) with b constant: two values of nbeta give b, a third tests it
    nbeta = np.array([1e9, 1e12, 1e15])
    for landscape in (NormalCrossing(1, 1), NormalCrossing(2, 2), Valley(1, 2)):
        lam = float(landscape.minima[0].lam)
        b = 1 / (lam - np.array([lambda_hat_exact(landscape, n) for n in nbeta])) - np.log(nbeta)
        assert b == pytest.approx(np.full(3, b[0]), abs=0.05), landscape
    for landscape in (NormalCrossing(1, 2), Monomial(2)):  # m = 1: nothing of the kind
        assert lambda_hat_exact(landscape, 1e15) == pytest.approx(float(min(m.lam for m in landscape.minima)), abs=1e-3)


def test_a_tether_adds_its_own_half_quadratic():
    # Regular with gamma: variance 1/(nbeta + gamma) in each direction
    for gamma in (1.0, 1e3, 1e5):
        assert lambda_hat_exact(Regular(), 1e3, gamma=gamma, box=((-50, 50),) * 2) == pytest.approx(1e3 / (1e3 + gamma), rel=1e-5)
    # beside the other basin's minimum the tether chooses: lambda of the point it holds to
    well = DoubleWell(1.8, 1, 2)
    for minimum in well.minima:
        assert lambda_hat_exact(well, 1e9, minimum.at, gamma=30.0) == pytest.approx(float(minimum.lam), abs=2e-3)
    # on a line of minima, at a point that is no node by itself
    value = lambda_hat_exact(Valley(1, 1), 1e6, (0.0, 1.234), gamma=1e4)
    u, v = np.meshgrid(np.linspace(-8, 8, 401) / 1e3, 1.234 + np.linspace(-8, 8, 401) / 1e2, indexing="ij")
    k = Valley(1, 1).K(np.stack([u, v], axis=-1))
    weight = np.exp(-1e6 * k - 0.5e4 * (u**2 + (v - 1.234) ** 2))
    assert value == pytest.approx(1e6 * np.sum(weight * k) / weight.sum(), rel=1e-5)


def test_lambda_undefined_says_so_and_why():
    for landscape, at in ((DoubleWell(1.8, 1, 2), -0.6), (Ring(), (0, 0)), (TripleWell(), TripleWell().barriers[0])):
        with pytest.raises(ValueError, match=r"undefined.*maximum"):
            lambda_hat_exact(landscape, 1e4, at)
    with pytest.raises(ValueError, match=r"undefined at \(0.3,\).*less nearby.*no minimum; choose one of"):
        lambda_hat_exact(DoubleWell(), 1e4, 0.3)
    with pytest.raises(ValueError, match="no minimum"):
        lambda_hat_exact(Valley(), 1e4, (0.5, 0.5))
    for at in ((0, 0), "far", math.nan):
        with pytest.raises(ValueError, match="finite number"):
            lambda_hat_exact(DoubleWell(), 1e4, at)
    for nbeta in (0, -1, math.inf, 1e17):
        with pytest.raises(ValueError, match="nbeta"):
            lambda_hat_exact(DoubleWell(), nbeta)


def test_bad_posteriors_name_the_value_and_the_remedy():
    for arguments, words in (
        ({"n": -1}, "below the legal range"),
        ({"n": math.nan}, "not finite"),
        ({"landscape": "DoubleWell"}, "no landscape"),
        ({"data": 3}, "Online"),
        ({"n": 2000, "data": Finite(1000)}, "1000 given samples"),
        ({"n": 0.5, "data": Finite(1000)}, "whole n"),
        ({"box": (4, -4)}, "low < high"),
        ({"box": ((-1, 1), (-1, 1))}, "low < high"),
        ({"n": 1e15, "beta": 100}, "smaller n"),
    ):
        with pytest.raises(ValueError, match=words):
            Posterior(**arguments)
    with pytest.raises(ValueError, match="no barriers"):
        Posterior(Valley()).masses()
    with pytest.raises(ValueError, match="axis = 2"):
        Posterior(Valley()).marginal(2, [0.0])


@pytest.mark.parametrize("n", [3, 1e4, 1e7])
@pytest.mark.parametrize(("landscape", "slope"), [(DoubleWell(), 0.0), (DoubleWell(1.8, 1, 4), -0.05), (parse("(w-1)*(w+2)^3*w"), 0.3)])
def test_bins_hold_what_is_between_their_edges_however_narrow_the_peaks(landscape, slope, n):
    """Beside the fine quadrature of each interval alone, which is checked against closed forms and SciPy above."""
    posterior = Posterior(landscape, n, data=Online(slope=slope))
    edges = np.linspace(*landscape.box[0], 41)
    grids = [nodes(landscape, pair, posterior.ahat, FINE) for pair in itertools.pairwise(edges)]
    least = min(grid.k.min() for grid in grids)
    wanted = np.array([np.sum(grid.weight * np.exp(-posterior.strength * (grid.k - least))) for grid in grids])
    assert posterior.bins(edges) == pytest.approx(wanted / wanted.sum(), abs=1e-3)


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("landscape", [Valley(1, 2), Ring(1), Regular()])
def test_bins_of_two_variables_are_the_marginal_between_edges(landscape, axis):
    posterior = Posterior(landscape, 1e4)
    edges = np.linspace(*landscape.box[axis], 31)
    points = 64
    inside = edges[:-1, None] + np.diff(edges)[:, None] * (np.arange(points) + 0.5) / points
    wanted = posterior.marginal(axis, inside.ravel()).reshape(inside.shape).mean(axis=1) * np.diff(edges)
    assert posterior.bins(edges, axis) == pytest.approx(wanted, abs=2e-3)


@pytest.mark.parametrize(
    ("edges", "axis", "said"), [([1, 1], 0, "ascending"), ([2], 0, "ascending"), ([0, np.nan], 0, "ascending"), ([0, 1], 1, "axis = 1")]
)
def test_bins_that_are_none_are_refused(edges, axis, said):
    with pytest.raises(ValueError, match=said):
        Posterior().bins(edges, axis)
