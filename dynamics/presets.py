"""Every figure of the sources as a run, its claim quoted, and what we find: `PRESETS[name].run`, `.claim`, `.holds(result)`.

The source's loss has no factor 1/2, so its learning rate lr is our eta = 2 lr; each preset notes the source's. Its runs take one pass over a
finite data set; ours take fresh data unless said, so that a number belongs to the settings and not to one draw of the data.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from dynamics.batches import Finite
from dynamics.gd import GD
from dynamics.ngd import NGD
from dynamics.observe import EscapeRate, Result
from dynamics.posterior import Posterior
from dynamics.sde import SDE
from dynamics.sgd import SGD
from dynamics.simulation import Simulation
from dynamics.start import Uniform
from dynamics.sweep import Sweep, SweepResult
from landscapes.catalogue import DoubleWell, Monomial, Valley

STICKY = 'Corlouer & Macé, "Degeneracies are sticky for SGD" (2024)'
NATURAL = 'Saghir et al., "NGD converges to less degenerate solutions than SGD"'
FEWEST = 10  # survivors below which nothing is said


class Verdict(NamedTuple):
    """Whether the claim holds in this run (None: it cannot be told), and a sentence with the numbers."""

    ok: bool | None
    text: str


class Preset(NamedTuple):
    """A run, who claims what about it, and `holds(result)`: what this run says. `quick`: a smaller run that shows the same."""

    name: str
    title: str
    cite: str
    run: Simulation | Sweep | Posterior
    claim: str
    holds: Callable[..., Verdict]
    note: str = ""
    quick: Simulation | Sweep | Posterior | None = None


def judge(preset: Preset, result) -> Verdict:
    """`preset.holds(result)`, or why it cannot be told where the run was changed so much that the claim says nothing about it."""
    wanted, given = (_landscapes(run) for run in (preset.run, getattr(result, "run", result)))
    if wanted != given:
        return Verdict(None, f"The claim is about {' and '.join(sorted(wanted))}; this run is on {' and '.join(sorted(given))}.")
    try:
        return preset.holds(result)
    except _TooFew as few:
        return Verdict(None, str(few))


def _landscapes(run) -> set[str]:
    parts = run.runs if isinstance(run, Sweep) else (run,)
    slopes = [f" with a true slope of {part.data.slope:g}" if part.data.slope else "" for part in parts]  # it moves the minima
    return {type(part.landscape).__name__ + slope for part, slope in zip(parts, slopes, strict=True)}


class _TooFew(Exception):
    """Too little is left of a run to judge it."""


def _alive(result: Result) -> np.ndarray:
    """Which trajectories never diverged, (n,) bool."""
    alive = np.isfinite(result.w[:, 0])
    if alive.sum() < FEWEST:
        raise _TooFew(
            f"Only {alive.sum()} of {len(alive)} trajectories survive, too few to say: choose a smaller learning rate or more trajectories."
        )
    return alive


def _lost(result: Result) -> str:
    lost = result.shares.n - result.survivors
    return f"{lost:,} of {result.shares.n:,} trajectories diverged and are in no share" if lost else "no trajectory diverged"


# Escape in one dimension


def escape(result: Result, first: int = 3, lowest: float = 1e-3) -> EscapeRate:
    """The rate as the source measures it: from step 3 to the first share left of the barrier below 1e-3, among survivors."""
    below = np.flatnonzero(result.share_left[first:] < lowest)
    last = first + int(below[0]) if len(below) else result.run.steps
    if last <= first:
        return EscapeRate(None, None, (first, last), f"fewer than two steps lie between step {first} and the end of the escape")
    return result.escape_rate(first, last)


def _rates(result: SweepResult) -> tuple[np.ndarray, np.ndarray]:
    """Rate and standard error of every run of a sweep, NaN where there is none."""
    pairs = [tuple(escape(one)) for one in result.results]
    return tuple(np.array([np.nan if entry is None else entry for entry in column]) for column in zip(*pairs, strict=True))


def sharpness(landscape: DoubleWell) -> float:
    """H(-w0) = (2 w0)^(2 d2) of a regular minimum at -w0 (d1 = 1)."""
    return float(landscape.hessian((-landscape.w0,))[0, 0])


def _constant_rate(result: Result) -> Verdict:
    _alive(result)
    whole = escape(result)
    if whole.rate is None:
        raise _TooFew(f"No rate: {whole.reason}.")
    first, last = whole.window
    early, late = result.escape_rate(first, (first + last) // 2), result.escape_rate((first + last) // 2, last)
    steady = None not in (early.rate, late.rate) and abs(early.rate - late.rate) < 3 * np.hypot(early.stderr, late.stderr)
    halves = "" if None in (early.rate, late.rate) else f" ({early.rate:.3f} ± {early.stderr:.3f}, then {late.rate:.3f} ± {late.stderr:.3f})"
    ok = bool(steady and whole.rate > 5 * whole.stderr)
    how = "constantly" if steady else "not constantly"
    return Verdict(
        ok,
        f"{whole.rate:.3f} ± {whole.stderr:.3f} per step leave the regular basin over steps {first} to {last}, {how}{halves}; {_lost(result)}.",
    )


def fronts(result: Result) -> tuple[float, float, float, float]:
    """Medians of those left and right of w0 at the end, and the shares of all survivors there (within the right basin)."""
    w = result.w[_alive(result), 0]
    (barrier,), w0 = result.run.landscape.barriers, result.run.landscape.w0
    left, right = w[(w > barrier) & (w < w0)], w[w > w0]
    if min(len(left), len(right)) == 0:
        raise _TooFew("All survivors of the right basin end on one side of w0.")
    return float(np.median(left)), float(np.median(right)), len(left) / len(w), len(right) / len(w)


def _end_distribution(result: Result) -> Verdict:
    left, right, share_left, share_right = fronts(result)
    run = result.run
    edges = np.linspace(*run.landscape.box[0], 81)
    w = result.w[_alive(result), 0]
    sgd = np.histogram(w, edges)[0] / len(w)
    fine = np.linspace(edges[0], edges[-1], 80 * 20 + 1)
    density = Posterior(run.landscape, n=run.rule.batch * run.steps, beta=2.0).density(0.5 * (fine[1:] + fine[:-1])[:, None])
    bayes = density.reshape(80, 20).sum(axis=1)
    apart = 0.5 * np.abs(sgd - bayes / bayes.sum()).sum()
    return Verdict(
        bool(apart > 0.1),
        f"SGD ends in two fronts beside w0 = {run.landscape.w0:g}, at {left:.2f} ({share_left:.0%}) and {right:.2f} "
        f"({share_right:.0%}), that creep in "
        f"like t^(-1/2); the posterior after as many samples peaks between them, at w0: total variation distance {apart:.2f}.",
    )


def _stuck(result: Result) -> Verdict:
    _alive(result)
    share = result.share_left
    settled = max(1, result.run.steps // 5)
    ok = bool(share[settled] > 0 and share[settled] == share[-1])
    return Verdict(
        ok,
        f"The share left of the barrier is {share[settled]:.3f} at step {settled} and {share[-1]:.3f} at step {result.run.steps}: "
        f"{'nobody crosses' if ok else 'it changes'}. It is a share of few, though: {_lost(result)}.",
    )


def _threshold(result: SweepResult, bound: float, name: str) -> Verdict:
    rates, errors = _rates(result)
    values = np.array(result.run.values, float)
    below, above = values < bound, np.flatnonzero(rates > 5 * errors)
    if not len(above):
        return Verdict(False, f"No rate is five standard errors above zero between {name} = {values[0]:g} and {values[-1]:g}.")
    first = values[above[0]]
    ok = bool(np.all(~(rates[below] > 0.01)) and first >= bound * 0.99)
    return Verdict(
        ok,
        f"Escape is seen from {name} = {first:g} on and reaches {rates[np.isfinite(rates)][-1]:.3f} per step at {values[-1]:g}: "
        f"the threshold is linear stability, eta H = 2 at {name} = {bound:.4g}, no property of noise.",
    )


def _sharpness_threshold(result: SweepResult) -> Verdict:
    return _threshold(result, (2 / result.run.runs[0].rule.lr) ** 0.25 / 2, "w0")  # H = (2 w0)^4


def _rate_threshold(result: SweepResult) -> Verdict:
    return _threshold(result, 2 / sharpness(result.run.runs[0].landscape), "eta")


def _batch_matters_little(result: SweepResult) -> Verdict:
    rates, errors = _rates(result)
    if not np.all(np.isfinite(rates)):
        raise _TooFew("Some runs are too short, or have too few trajectories, for a rate.")
    values, ratio = result.run.values, rates[0] / max(rates[-1], errors[-1])
    run = result.run.runs[0]
    return Verdict(
        bool(ratio < 3),
        f"From B = {values[0]} to {values[-1]} the rate falls {ratio:.3g} times, {rates[0]:.4f} ± {errors[0]:.4f} to "
        f"{rates[-1]:.4f} ± {errors[-1]:.4f}, "
        f"at eta H = {run.rule.lr * sharpness(run.landscape):.3g} (gradient descent without noise leaves too beyond about 3.35).",
    )


def crossed(result: Result) -> float:
    """Share of all trajectories that are right of the barrier at the end."""
    return float(result.shares.counts[-1, 1:].sum() / result.shares.n)


def _noise_climbs(result: SweepResult) -> Verdict:
    shares = result.each(crossed)
    values = result.run.values
    text = ", ".join(f"{share:.4f}" for share in shares)
    return Verdict(
        bool(shares[-1] > 0.5 * shares[0]),
        f"Share that crosses with each step split into {', '.join(map(str, values))}: {text}. The same noise in finer steps hardly crosses: "
        "drift and noise both vanish on the barrier, so a trajectory jumps it in one long step or not at all.",
    )


def _noise_is_needed(result: SweepResult) -> Verdict:
    shares = result.each(crossed)
    crossing = [value for value, share in zip(result.run.values, shares, strict=True) if share > 0.5]
    height = sharpness(result.run.runs[0].landscape)
    if not crossing:
        return Verdict(True, f"Without noise nobody crosses up to eta = {result.run.values[-1]:g} (eta H = {result.run.values[-1] * height:.2f}).")
    return Verdict(
        False,
        f"Gradient descent has no noise, and {max(shares):.0%} of its trajectories leave the basin from eta = {crossing[0]:g} on "
        f"(eta H = {crossing[0] * height:.2f}): the oscillation itself becomes chaotic and jumps the barrier.",
    )


# Along a degenerate line in two dimensions


def drifted(w2: np.ndarray, steps: float, p: int, eta: float, batch: int) -> np.ndarray:
    """w2 on the line of Valley(p, k=1) so many steps later (vx = vy = 1, no momentum), for eta H(w2) well below 2, H = w2^(4p).

    w2' = -(eta/2) Var(w1) dH/dw2 with the stationary Var(w1) = eta/(B (2 - eta H (1 + 2/B))). To leading order in eta H this is
    w2(t)^(-q) = w2(0)^(-q) + q p eta^2 t/B, q = 4p - 2; that variable is integrated here, as it moves nearly evenly.
    """
    q, pieces = 4 * p - 2, 400
    z = np.asarray(w2, float) ** -q
    for _ in range(pieces):
        stiff = 0.5 * eta * z ** (-4 * p / q) * (1 + 2 / batch)
        z = z + q * p * eta**2 * steps / batch / pieces / (1 - np.minimum(stiff, 0.9))
    return z ** (-1 / q)


def _to_origin(result: Result) -> tuple[np.ndarray, np.ndarray]:
    """Distances to O of survivors, (frames, survivors)."""
    return result.distance(result.run.landscape.minima[0])[:, _alive(result)]


def _along_the_line(result: Result) -> tuple[Valley, SGD]:
    landscape, rule = result.run.landscape, result.run.rule
    if landscape.k != 1 or getattr(rule, "momentum", 0) or not hasattr(rule, "batch"):
        raise _TooFew("The law of drift is for k = 1, batches, and no momentum: this run has another.")
    return landscape, rule


def _last_part(result: Result) -> tuple[float, float, float, float]:
    """(steps from there to the end, distance to O there, at the end, by the law of drift): the farthest survivors over the last three quarters.

    Not from the start: first they fall onto the line, and where eta H > 2 are thrown along it.
    """
    landscape, rule = _along_the_line(result)
    distance = _to_origin(result)
    early = int(np.searchsorted(result.steps, result.run.steps / 4))
    far = distance[early] > np.quantile(distance[early], 0.75)
    steps = int(result.steps[-1] - result.steps[early])
    law = drifted(distance[early][far], steps, landscape.p, rule.lr, rule.batch)
    return steps, *(float(np.median(part)) for part in (distance[early][far], distance[-1][far], law))


def _converges_to_origin(result: Result) -> Verdict:
    landscape, rule = _along_the_line(result)
    distance, q = _to_origin(result), 4 * landscape.p - 2
    steps, before, after, law = _last_part(result)
    needed = 0.1**-q / (q * landscape.p * rule.lr**2 / rule.batch)
    return Verdict(
        bool(after < before and abs(after / law - 1) < 0.02),
        f"They drift towards O: the farthest quarter comes from {before:.3f} to {after:.3f} in the last {steps:,} steps, the "
        f"law of drift says {law:.3f}. "
        f"They do not arrive: w2 ~ t^(-1/{q}), so half are still {np.median(distance[-1]):.2f} away, and distance 0.1 takes {needed:.0e} steps; "
        f"{_lost(result)}.",
    )


def _slows_down(result: Result) -> Verdict:
    steps, before, after, law = _last_part(result)
    q, span = 4 * result.run.landscape.p - 2, np.log(result.run.steps / (result.run.steps - steps))
    slope, expected = np.log(after / before) / span, np.log(law / before) / span
    return Verdict(
        bool(slope < 0 and abs(slope - expected) < 0.02),
        f"Over the last three quarters of the run the distance of the farthest falls like t^{slope:.3f} (the law of drift: "
        f"t^{expected:.3f}, in the end "
        f"t^(-1/{q})): along the line the drift is the slope of a curvature that itself vanishes at O.",
    )


def _gets_stuck(result: Result) -> Verdict:
    distance, alive = _to_origin(result), _alive(result)
    across = np.abs(result.kept[..., 0][:, alive])
    if across[0].max() == 0:
        moved = np.nanmax(np.abs(result.kept[:, alive] - result.kept[0, alive]))
        return Verdict(
            bool(moved > 0),
            f"Nothing moves: the largest displacement in {result.run.steps} steps is {moved:g}. All start at w1 = 0 exactly, where the gradient of "
            "every batch is 0 whatever SGD does elsewhere. A start beside the line shows something.",
        )
    change = np.abs(distance[-1] / np.maximum(distance[0], 1e-12) - 1)
    pinned = np.median(across[-1]) / np.median(across[0])
    return Verdict(
        bool(np.median(change) < 0.01),
        f"The distance to O of half the survivors changes by less than {np.median(change):.1e} of itself (of nine in ten by less than "
        f"{np.quantile(change, 0.9):.1e}), while |w1| shrinks to {pinned:.2g} of its start: noise vanishes with the "
        "gradient, and pins them to the line; "
        f"{_lost(result)}.",
    )


# Noise at a degenerate point


def _near(result: Result) -> float:
    """Share of survivors within 0.1 of the minimum at the end."""
    return float(np.mean(np.abs(result.w[_alive(result), 0]) < 0.1))


def _repelled(result: SweepResult) -> Verdict:
    shares = dict(zip(result.run.values, result.each(_near), strict=True))
    text = ", ".join(f"{name} {share:.3f}" for name, share in shares.items())
    names = list(shares)
    isotropic, batch = shares[names[1]] < 0.5 * shares[names[0]], shares[names[3]] < 0.5 * shares[names[2]]
    return Verdict(
        bool(isotropic and batch),
        f"Share within 0.1 of the degenerate point at the end: {text}. With noise of one size everywhere NGD "
        f"{'is' if isotropic else 'is not'} repelled; "
        f"with the noise that batches have, which vanishes there with the Fisher matrix, it is {'repelled too' if batch else 'absorbed'}.",
    )


# Posteriors (the source's weight is exp(-n Q^2), ours exp(-n beta Q^2/2): beta = 2)


def _decay(values: Sequence[float], masses: Sequence[float]) -> float:
    """Exponent of the last decade(s): mass ~ n^(-exponent)."""
    return float(-np.log(masses[-1] / masses[-2]) / np.log(values[-1] / values[-2]))


def _left_mass(posterior: Posterior) -> float:
    return float(posterior.masses()[0])


def _left_peak_vanishes(result: SweepResult) -> Verdict:
    masses, values, landscape = result.each(_left_mass), result.run.values, result.run.runs[0].landscape
    exponent = 0.5 / landscape.d1 - 0.5 / landscape.d2
    reach = values[-1] * (masses[-1] / 0.01) ** (1 / exponent) if exponent else np.inf
    return Verdict(
        bool(masses[-1] < 0.01),
        f"Mass left of the barrier at n = {', '.join(f'{value:,}' for value in values)}: {', '.join(f'{mass:.4f}' for mass in masses)}. "
        f"It falls like n^-(lambda_1 - lambda_2) = n^(-{exponent:.3g}) (here n^(-{_decay(values, masses):.3g})), so 1 % is "
        f"left at n = {reach:.0e} only; "
        "unnormalised, the height at either minimum is 1 for all n.",
    )


def _near_origin(posterior: Posterior, reach: float = 0.5) -> float:
    """P(|w2| < reach): the marginal, as the conditional on the line is flat."""
    w2 = np.linspace(-reach, reach, 401)
    return float(np.trapezoid(posterior.marginal(1, w2), w2))


def _concentrates(result: SweepResult) -> Verdict:
    masses, values, landscape = result.each(_near_origin), result.run.values, result.run.runs[0].landscape
    origin, line = landscape.minima
    return Verdict(
        bool(np.all(np.diff(masses) > 0)),
        f"P(|w2| < 0.5) at n = {', '.join(f'{value:,}' for value in values)}: {', '.join(f'{mass:.3f}' for mass in masses)}; "
        f"lambda = {origin.lam} at O and "
        f"{line.lam} on the line. That is the marginal of w2: on the line itself the likelihood is constant, so given w1 = 0 "
        "the posterior is flat for all n.",
    )


def _same_coefficient(result: SweepResult) -> Verdict:
    origin, line = result.run.runs[0].landscape.minima
    estimates = result.each(lambda posterior: posterior.n * posterior.beta * posterior.mean_potential())
    return Verdict(
        origin.lam < line.lam,
        f"lambda = {origin.lam} at O and {line.lam} on the line; the multiplicities are {origin.multiplicity} and {line.multiplicity}. "
        f"n E[K] at n = {', '.join(f'{value:,}' for value in result.run.values)} is {', '.join(f'{estimate:.3f}' for estimate in estimates)}: "
        f"{'with m = 2 it nears lambda as slowly as 1/log n' if origin.multiplicity > 1 else 'it nears lambda'}.",
    )


def _coefficients(posterior: Posterior) -> Verdict:
    landscape = posterior.landscape
    (barrier,) = landscape.barriers
    parts, ok = [], True
    for minimum in landscape.minima:
        (at,) = minimum.at
        order = np.log2(landscape.K((at + 2e-5,)) / landscape.K((at + 1e-5,)))  # K ~ u^order, so V(eps) ~ eps^(1/order)
        ok = ok and abs(1 / order - 2 / round(order)) < 0.01  # the source: k = order/2, lambda = 1/k
        parts.append(f"{1 / order:.2f} at {minimum.name} (the source's rule gives {2 / order:.2f})")
    return Verdict(
        bool(ok),
        f"The volume of {{K < eps}} grows like eps^lambda with lambda = {' and '.join(parts)}: it is min 1/(2 k_i), half of what is claimed. "
        f"The barrier at w = {barrier:.2f} is K = {float(landscape.K((barrier,))):.1f} high.",
    )


def _nearly_all_escape(result: Result) -> Verdict:
    _alive(result)
    share = result.share_left
    few = np.flatnonzero(share < 0.01 * share[0])
    when = (
        f"after {few[0]} steps less than a hundredth of them is left"
        if len(few)
        else f"{share[-1] / share[0]:.0%} of them are still there at the end"
    )
    return Verdict(bool(len(few)), f"{share[0]:.0%} of the survivors start in the regular basin, and {when}; {_lost(result)}.")


_LIKE_THE_SOURCE = Finite(size=1000, seed=80)  # mean x^2 = 1.059
_STICKY_TEXT = Valley(p=1, k=2)
_DOUBLE = DoubleWell(w0=1.8, d1=1, d2=2)
_FIG1 = Simulation(_DOUBLE, SGD(lr=0.02, batch=20), n=10_000, steps=50, start=Uniform(-3.6, 3.6))  # source: lr 0.01
_FIG2 = Simulation(Valley(p=2, k=1), SGD(lr=0.02, batch=20), n=1000, steps=5000, start=Uniform((-0.1, -5), (0.1, 5)))  # source: lr 0.01
_FIG4 = Simulation(DoubleWell(w0=2.0, d1=2, d2=3), SGD(lr=0.02, batch=20, momentum=0.5), n=10_000, steps=500, start=Uniform(-4, 4))
_FIG5 = Simulation(Valley(p=2, k=2), SGD(lr=0.02, batch=20), n=1000, steps=500, start=Uniform((0, -10), (0, 10)))
_FIG6 = Simulation(Valley(p=2, k=2), SGD(lr=0.02, batch=20, momentum=0.5), n=1000, steps=5000, start=Uniform((-0.1, -10), (0.1, 10)))
_FIG7 = Simulation(_DOUBLE, SGD(lr=0.02, batch=25), n=10_000, steps=20, start=Uniform(-4, 4))
_SHARP = Simulation(_DOUBLE, SDE(lr=0.02, batch=20), n=10_000, steps=50, start=Uniform(-2.4, -0.7))
_FLAT = Simulation(Monomial(k=2), SGD(lr=0.02), n=2000, steps=3000, start=Uniform(-1, 1))


def _one_pass(sweep: Sweep, data: Finite) -> Sweep:
    """Each run on these data, visited once."""
    runs = (replace(run, data=data, steps=-(-data.size // run.rule.batch)) for run in sweep.runs)
    return Sweep(sweep.parameter, sweep.values, tuple(runs))


def _noise_shapes(run: Simulation) -> Sweep:
    rules = {
        "SGD, isotropic": SGD(lr=0.02, noise="isotropic", temperature=0.02),
        "NGD, isotropic": NGD(lr=0.02, damping=0.01, noise="isotropic", temperature=0.02),
        "SGD, batch": SGD(lr=0.02),
        "NGD, batch": NGD(lr=0.02, damping=0.01),
    }
    return Sweep("rule", tuple(rules), tuple(replace(run, rule=rule) for rule in rules.values()))


_ALL = (
    Preset(
        "fig1-potential",
        "Two minima, one barrier",
        f"{STICKY}, Fig. 1, upper left",
        Posterior(_DOUBLE, n=1, beta=2.0),
        "The local learning coefficient is lambda = min(1/k1, 1/k2).",
        _coefficients,
        "The source draws Q^2 (+ 1), twice our K: its barrier is 47.8, ours 23.9.",
    ),
    Preset(
        "fig1-escape",
        "Escape from a sharp minimum",
        f"{STICKY}, Fig. 1, lower left",
        _FIG1,
        "The fraction of trajectories present in the regular basin exponentially decays with time.",
        _constant_rate,
        "Source: lr 0.01, 50 steps (its text says 500), start on [-3.6, 3.6] (its text says [-w0, w0]), one data set. Here: fresh data.",
        replace(_FIG1, n=4000),
    ),
    Preset(
        "fig1-escape-finite",
        "Escape, on one data set of 1,000 samples",
        f"{STICKY}, Fig. 1, lower left",
        replace(_FIG1, data=_LIKE_THE_SOURCE),
        "The fraction of trajectories present in the regular basin exponentially decays with time.",
        _constant_rate,
        "As the source ran it. Its data set has a mean x^2 of 1.059, so has this one; the rate is that of a learning rate 6 % larger.",
        replace(_FIG1, data=_LIKE_THE_SOURCE, n=4000),
    ),
    Preset(
        "fig1-escape-text",
        "Escape, as the text describes it",
        f"{STICKY}, text of Fig. 1",
        replace(_FIG1, steps=500, start=Uniform(-1.8, 1.8)),
        "Pretty quickly, almost all trajectories escape from the non-degenerate minimum to the degenerate minimum.",
        _nearly_all_escape,
        "500 steps and a start on [-w0, w0], as in the text; the code ran 50 steps from [-3.6, 3.6].",
        replace(_FIG1, steps=500, start=Uniform(-1.8, 1.8), n=2000),
    ),
    Preset(
        "fig1-end",
        "Where SGD ends, and the posterior",
        f"{STICKY}, Fig. 1, lower right",
        _FIG1,
        "The precise forms of the posterior and the distribution of SGD trajectories differ in finite time.",
        _end_distribution,
        "Source: the last weights of Fig. 1 in 50 bins.",
        replace(_FIG1, n=4000),
    ),
    Preset(
        "fig1-posterior",
        "The posterior of the double well",
        f"{STICKY}, Fig. 1, upper right",
        Sweep.over(Posterior(_DOUBLE, n=1, beta=2.0), "n", (1, 100, 1000)),
        "The left peak of the posterior vanishes as n grows from 1 to 1,000 (the figure).",
        _left_peak_vanishes,
        "The source draws exp(-n K) without normalising; on a coarse grid its narrow left peak falls between two points.",
    ),
    Preset(
        "fig2-converge",
        "Along a degenerate line towards O",
        f"{STICKY}, Fig. 2 and 3 (code)",
        _FIG2,
        "SGD trajectories do not get stuck on the line, but instead converge to the most degenerate point O.",
        _converges_to_origin,
        "The source's code has (w1^2+w2^2)^2 w1 (p = 2), its text p = 1; lr 0.01, one pass over 10^5 samples.",
        replace(_FIG2, n=300),
    ),
    Preset(
        "fig2-converge-text",
        "Along a degenerate line towards O, as the text describes it",
        f"{STICKY}, text of Fig. 2 and 3",
        replace(_FIG2, landscape=Valley(p=1, k=1)),
        "SGD trajectories do not get stuck on the line, but instead converge to the most degenerate point O.",
        _converges_to_origin,
        "The potential of the source's text, (w1^2+w2^2)^2 w1^2.",
        replace(_FIG2, landscape=Valley(p=1, k=1), n=300),
    ),
    Preset(
        "fig2-posterior",
        "The posterior along a degenerate line",
        f"{STICKY}, Fig. 2, right",
        Sweep.over(Posterior(Valley(p=2, k=1), n=100, beta=2.0, box=((-1.0, 1.0), (-5.0, 5.0))), "n", (100, 10_000, 1_000_000)),
        "The Bayesian posterior will first accumulate on the degenerate line L, and eventually concentrate at O.",
        _concentrates,
        'The source\'s "posterior on L" replaces w1 by w2, which is no posterior.',
    ),
    Preset(
        "fig3-slowdown",
        "Slower and slower towards O",
        f"{STICKY}, Fig. 3",
        _FIG2,
        "The trajectories are slowed down substantially as they approach the most degenerate minimum O.",
        _slows_down,
        "The same runs as Fig. 2, as distance over time.",
        replace(_FIG2, n=300),
    ),
    Preset(
        "fig4-stuck",
        "Stuck in the less degenerate well",
        f"{STICKY}, Fig. 4",
        _FIG4,
        "SGD trajectories in the basin of -w0 get stuck around the least degenerate minimum and never escape to w0.",
        _stuck,
        "Source: 100 runs, lr 0.01, of which 19 survive, 2 of them left of the barrier.",
        replace(_FIG4, n=3000),
    ),
    Preset(
        "fig4-posterior",
        "The posterior of two degenerate wells",
        f"{STICKY}, Fig. 4, right",
        Sweep.over(Posterior(_FIG4.landscape, n=10, beta=2.0, box=((-4.0, 4.0),)), "n", (10, 10_000, 1_000_000)),
        "The Bayesian posterior eventually concentrates completely around the most degenerate critical point.",
        _left_peak_vanishes,
        "True in the limit; the sentence says how far away that is.",
    ),
    Preset(
        "fig5-stuck",
        "A start on the line itself",
        f"{STICKY}, Fig. 5 (code)",
        _FIG5,
        "SGD appears to get stuck as it approaches the degenerate line L.",
        _gets_stuck,
        "Source: w1 = 0 exactly, w2 on [-10, 10].",
        replace(_FIG5, n=200),
    ),
    Preset(
        "fig5-beside",
        "A start beside the line",
        f"{STICKY}, Fig. 5, with the start of Fig. 6",
        replace(_FIG5, start=Uniform((-0.1, -10), (0.1, 10))),
        "SGD appears to get stuck as it approaches the degenerate line L.",
        _gets_stuck,
        "What Fig. 5 meant to show.",
        replace(_FIG5, start=Uniform((-0.1, -10), (0.1, 10)), n=300),
    ),
    Preset(
        "fig5-beside-text",
        "A start beside the line, as the text describes it",
        f"{STICKY}, text of Fig. 5, with the start of Fig. 6",
        replace(_FIG5, landscape=_STICKY_TEXT, start=Uniform((-0.1, -10), (0.1, 10))),
        "SGD appears to get stuck as it approaches the degenerate line L.",
        _gets_stuck,
        "The potential of the source's text, (w1^2+w2^2)^2 w1^4: it is less steep far out, so most survive.",
        replace(_FIG5, landscape=_STICKY_TEXT, start=Uniform((-0.1, -10), (0.1, 10)), n=300),
    ),
    Preset(
        "fig5-posterior",
        "The posterior along a more degenerate line",
        f"{STICKY}, Fig. 5, upper right",
        Sweep.over(Posterior(Valley(p=2, k=2), n=100, beta=2.0, box=((-1.0, 1.0), (-10.0, 10.0))), "n", (100, 10_000, 1_000_000)),
        "The Bayesian posterior concentrates progressively more around O as the number of samples increases.",
        _concentrates,
        "The source's code, (w1^2+w2^2)^2 w1^2; with its text's potential (p = 1) the mass near O grows like log n only.",
    ),
    Preset(
        "fig5-coefficient",
        "Coefficient and multiplicity",
        f"{STICKY}, text of Fig. 5",
        Sweep.over(Posterior(Valley(p=1, k=2), n=10, box=((-1.0, 1.0), (-1.0, 1.0))), "n", (100, 10_000, 1_000_000)),
        "The origin O has a smaller learning coefficient (is more degenerate) than minima on L away from O.",
        _same_coefficient,
        "The potential of the source's text, (w1^2+w2^2)^2 w1^4.",
    ),
    Preset(
        "fig6-distance",
        "The distance to O stays",
        f"{STICKY}, Fig. 6",
        _FIG6,
        "This distance remains constant over time.",
        _gets_stuck,
        "Source: 100 runs, lr 0.01, momentum 0.5, of which 26 survive, all within 2.85 of O.",
        replace(_FIG6, n=300, steps=1000),
    ),
    Preset(
        "fig6-distance-text",
        "The distance to O stays, as the text describes it",
        f"{STICKY}, Fig. 6, with the potential of the text",
        replace(_FIG6, landscape=_STICKY_TEXT),
        "This distance remains constant over time.",
        _gets_stuck,
        "The potential of the source's text, (w1^2+w2^2)^2 w1^4; lr 0.01, momentum 0.5.",
        replace(_FIG6, landscape=_STICKY_TEXT, n=300, steps=1000),
    ),
    Preset(
        "fig7a-sharpness",
        "Escape rate against w0",
        f"{STICKY}, Fig. 7 left",
        Sweep.over(replace(_FIG7, start=Uniform(-3.6, 3.6)), "w0", tuple(round(1.6 + 0.025 * i, 3) for i in range(14))),
        "Trajectories escape when the basin is sufficiently sharp (w0 > 1.6).",
        _sharpness_threshold,
        "Source: lr 0.01, B = 25, 20 steps, one data set of 500 samples; its rates scatter by 30 % with the data set.",
        Sweep.over(replace(_FIG7, start=Uniform(-3.6, 3.6), n=3000), "w0", (1.5, 1.7, 1.8, 1.9)),
    ),
    Preset(
        "fig7b-rate",
        "Escape rate against the learning rate",
        f"{STICKY}, Fig. 7 middle",
        Sweep.over(_FIG7, "lr", tuple(round(0.008 + 0.002 * i, 3) for i in range(9))),
        "Trajectories escape when the learning rate is above a threshold (approximately lr = 0.007).",
        _rate_threshold,
        "Source: lr 0.004 to 0.012, our eta is twice that; B = 25, 20 steps, one data set of 500 samples.",
        Sweep.over(replace(_FIG7, n=3000), "lr", (0.010, 0.016, 0.020, 0.024)),
    ),
    Preset(
        "fig7c-batch",
        "Escape rate against the batch size",
        f"{STICKY}, Fig. 7 right",
        Sweep.over(replace(_FIG7, steps=50), "batch", tuple(range(10, 231, 20))),
        "Batch size has a small effect on the escape rate, much less important than sharpness and learning rate.",
        _batch_matters_little,
        "Source: lr 0.01, one pass over 1,000 samples, so that B = 230 takes 5 steps. Here: fresh data, 50 steps each.",
        Sweep.over(replace(_FIG7, steps=50, n=4000), "batch", (10, 230)),
    ),
    Preset(
        "fig7c-batch-finite",
        "Escape rate against the batch size, on one data set of 1,000 samples",
        f"{STICKY}, Fig. 7 right",
        _one_pass(Sweep.over(_FIG7, "batch", tuple(range(10, 231, 20))), _LIKE_THE_SOURCE),
        "Batch size has a small effect on the escape rate, much less important than sharpness and learning rate.",
        _batch_matters_little,
        "As the source ran it, one pass: 100 steps at B = 10, 5 at B = 230, where the rate is that of two steps and scatters by half with the data "
        "set. Fresh data at this learning rate give .125 at B = 10: the data set's mean x^2 of 1.059 does the rest.",
        _one_pass(Sweep.over(replace(_FIG7, n=4000), "batch", (10, 90)), _LIKE_THE_SOURCE),
    ),
    Preset(
        "batch-below",
        "Batch size, at a smaller learning rate",
        f"Against {STICKY}, Fig. 7 right",
        Sweep.over(replace(_FIG7, steps=50, rule=SGD(lr=0.016)), "batch", (1, 3, 10, 30, 100)),
        "Batch size has a small effect on the escape rate, much less important than sharpness and learning rate.",
        _batch_matters_little,
        "The same with lr = 0.008 in the source's units: below the crisis of gradient descent, noise is needed.",
        Sweep.over(replace(_FIG7, steps=50, n=4000, rule=SGD(lr=0.016)), "batch", (1, 30)),
    ),
    Preset(
        "finite-step",
        "The same noise in finer steps",
        f"Against {STICKY}, section on Fig. 1",
        Sweep.over(_SHARP, "substeps", (1, 2, 4, 16, 64, 256)),
        "SGD noise pushes trajectories across the potential barrier.",
        _noise_climbs,
        "The SDE of SGD, each step of time eta split into so many: the limit has the noise but not the steps.",
        Sweep.over(replace(_SHARP, n=2000), "substeps", (1, 4, 16)),
    ),
    Preset(
        "no-noise",
        "Escape without any noise",
        f"Against {STICKY}, section on Fig. 1",
        Sweep.over(replace(_SHARP, rule=GD(), n=1000, steps=500), "lr", (0.019, 0.0198, 0.02, 0.021, 0.022)),
        "Trajectories escape when batches make the noise large enough to push them across the barrier.",
        _noise_is_needed,
        "Gradient descent on the expected loss leaves the basin above eta = 0.01994 (a crisis of its chaotic attractor).",
        Sweep.over(replace(_SHARP, rule=GD(), n=200, steps=500), "lr", (0.019, 0.021)),
    ),
    Preset(
        "noise-shape",
        "Repelled or absorbed: the noise decides",
        f"Against {NATURAL}",
        _noise_shapes(_FLAT),
        "The Fisher matrix guides the trajectory in the loss landscape away from degenerate minima.",
        _repelled,
        "Stationary densities in one dimension: exp(-K/T) for SGD, (F + rho)^2 exp(-int (F + rho) K'/T) for damped NGD, both with isotropic noise.",
        _noise_shapes(replace(_FLAT, n=300, steps=2000)),
    ),
)

PRESETS: dict[str, Preset] = {preset.name: preset for preset in _ALL}
