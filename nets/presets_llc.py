"""The figures of "Estimating the local learning coefficient at scale" (part of arXiv 2308.12108 v2), as experiments beside exact values.

Its networks and settings: `nets.dln.TABLE_1`, `nets.saddle`, `nets.cases`. It compares with Aoyagi's global value; at a random w* the local one
is often larger, and a chain that has explored only the directions with curvature reads the regular part, rank(J)/2: rows hold all three.
"""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from landscapes.catalogue import Cusp, NormalCrossing, Regular, Valley
from nets.cases import Depths, Noise, RandomLinear, Rescaled, Saddles, Sizes, Trace, Volumes
from nets.dln import TABLE_1
from nets.experiment import Experiment, Row
from nets.models import DuplicatedReLU, ReducedRank
from nets.saddle import SaddleToSaddle
from nets.verdict import Panel, Preset, Unclear, Verdict, column, distinct, made, where

_LINES = ("regular", "lambda_global", "lambda_local", "expected")  # that lambda-hat along a training is compared with

# Runs


def _random(orders: dict[str, int], trained: bool = False, share: float = 1.0, draws: int = 10_000) -> Experiment:
    """So many networks of each order, by the paper's SGLD and by exact MALA."""
    return Experiment(
        tuple(
            RandomLinear(order, seed, method, trained, share, draws)
            for order, count in orders.items()
            for seed in range(count)
            for method in ("paper", "MALA")
        )
    )


def _rescaled(hidden: Sequence[int], exponents: Sequence[int], **settings) -> Experiment:
    models = [DuplicatedReLU((width - 10, width, width - 10), 10.0**power) for width in hidden for power in exponents]
    plain = [replace(models[0], alpha=10.0**power) for power in (-1, 0, 1)]
    cases = [Rescaled(model, True, **settings) for model in models] + [Rescaled(model, False, **settings) for model in plain]
    return Experiment(tuple(cases))


def _sizes(ns: Sequence[int], **settings) -> Experiment:
    return Experiment(tuple(Sizes(n, method, **settings) for n in ns for method in ("SGLD", "MALA")))


def _noise(seeds: int, **settings) -> Experiment:
    models = (ReducedRank(5, 3, 5), ReducedRank(5, 4, 5), ReducedRank(4, 3, 8))
    return Experiment(tuple(Noise(model, method, seed, **settings) for model in models for seed in range(seeds) for method in ("SGLD", "MALA")))


# What rows say


def _errors(rows: Sequence[Row], name: str = "error") -> np.ndarray:
    """|relative errors| of those estimates that are numbers."""
    values = np.abs(column(rows, name))
    return values[np.isfinite(values)]


def _lost(rows: Sequence[Row]) -> str:
    dead = sum(not np.isfinite(row["lambda_hat"]) for row in rows)
    return f", {dead} of {len(rows)} died" if dead else ""


def _accurate(rows: Sequence[Row], limit: float = 0.1) -> Verdict:
    """The claim is about the paper's estimator, in every order that is there."""
    parts, ok = [], []
    for order in distinct(rows, "order"):
        for method in ("paper", "MALA"):
            those = where(rows, order=order, method=method)
            errors = _errors(those)
            if not len(errors):
                continue
            same = _errors([row for row in those if row["lambda_local"] == row["lambda_global"]])
            regular = _errors(those, "error_regular")
            if method == "paper":
                ok.append(float(np.median(errors)) < limit)
            text = f"{order}, {'SGLD as there' if method == 'paper' else 'exact MALA'}: median |error| {np.median(errors):.1%}, nine tenths below "
            text += f"{np.quantile(errors, 0.9):.1%}{_lost(those)}"
            if len(same):
                text += f"; where local = global ({len(same)} of {len(errors)}) {np.median(same):.1%}, {np.quantile(same, 0.9):.1%}"
            parts.append(text + f"; against the regular part {np.median(regular):.1%}")
    if sum(len(_errors(where(rows, method=method))) for method in ("paper", "MALA")) < 4:
        raise Unclear("Fewer than four estimates are done.")
    return Verdict(bool(ok and all(ok)), f"{'. '.join(parts)}. Errors are against the global value, as there.")


def _accurate_at_trained_points(rows: Sequence[Row]) -> Verdict:
    verdict = _accurate(rows)
    local = _errors(where(rows, method="MALA"), "error_local")
    return Verdict(verdict.ok, f"{verdict.text} Exact MALA against the local value of the weights as trained: {np.median(local):.1%}.")


def _slope(rows: Sequence[Row], name: str) -> tuple[float, float]:
    """b of lambda-hat = b x `name` through the origin, by least squares, and its standard error from the residues."""
    x, y = column(rows, name), column(rows, "lambda_hat")
    x, y = x[np.isfinite(y)], y[np.isfinite(y)]
    b = float(x @ y / (x @ x))
    return b, float(np.sqrt(((x * (y - b * x)) ** 2).sum()) / (x @ x))


def _on_the_diagonal(rows: Sequence[Row], limit: float = 0.1) -> Verdict:
    """The claim is about the paper's estimator, in every order that is there; a slope is dominated by its largest networks."""
    parts, ok = [], []
    for order in distinct(rows, "order"):
        for method in ("paper", "MALA"):
            those = where(rows, order=order, method=method)
            if len(_errors(those)) < 4:
                continue
            (b, error), (local, _) = _slope(those, "lambda_global"), _slope(those, "lambda_local")
            if method == "paper":
                ok.append(abs(b - 1) < limit)
            how = "SGLD as there" if method == "paper" else "exact MALA"
            parts.append(f"{order}, {how}: {b:.3f} ± {error:.2g} times the global value, {local:.3f} times the local one{_lost(those)}")
            early = sum("not equilibrated" in row.get("findings", "") for row in those)
            parts[-1] += f" ({early} of {len(those)} are not in equilibrium)" if early else ""
    if not ok:
        raise Unclear("Fewer than four estimates of an order are done.")
    return Verdict(all(ok), f"Slopes of λ̂ through the origin. {'; '.join(parts)}.")


def _stable(rows: Sequence[Row]) -> Verdict:
    there = [row for row in where(rows, method="paper") if np.isfinite(row["acceptance"])]
    if len(there) < 4:
        raise Unclear("Fewer than four chains of SGLD are done.")
    acceptance, errors = column(there, "acceptance"), np.abs(column(there, "error_local"))
    low = acceptance < 0.8
    slow = acceptance > 0.99
    text = f"Acceptable steps: median {np.median(acceptance):.1%}, least {acceptance.min():.1%}; {low.sum()} of {len(there)} chains below 80 %"
    if low.any() and np.isfinite(errors[low]).any():
        text += f" (median |error| {np.nanmedian(errors[low]):.1%})"
    if slow.any():
        text += f", {slow.sum()} above 99 % (median |error| {np.nanmedian(errors[slow]):.1%}: their steps are smaller than they need be)"
    dead = sum(row["dead"] > 0 for row in where(rows, method="paper"))
    tail = low.sum() >= 2 and low.mean() >= 0.02  # one chain is no tail
    told = tail or len(there) >= 30  # few chains have none
    return Verdict(bool(tail) if told else None, f"{text}; {dead} chains died.")


def _methods_agree(rows: Sequence[Row]) -> Verdict:
    parts, gaps, sigmas, worst = [], [], [], []
    for n in distinct(rows, "n"):
        pair = {row["method"]: row for row in where(rows, n=n)}
        if len(pair) < 2:
            continue
        a, b = pair["SGLD"], pair["MALA"]
        gaps.append(a["lambda_hat"] / b["lambda_hat"] - 1)
        sigmas.append(abs(a["lambda_hat"] - b["lambda_hat"]) / np.hypot(a["lambda_error"], b["lambda_error"]))
        parts.append(f"n = {n:,}: {a['lambda_hat']:.1f} ± {a['lambda_error']:.1g} / {b['lambda_hat']:.1f} ± {b['lambda_error']:.1g}")
        worst.append((a["equipartition"], n))
    if len(parts) < 2:
        raise Unclear("Both methods are done for fewer than two n.")
    half = rows[0]["half"]
    return Verdict(
        bool(np.max(sigmas) < 3),
        f"SGLD / MALA, {'; '.join(parts)}: they differ by at most {np.max(np.abs(gaps)):.1%}, {np.max(sigmas):.1f} standard errors. Agreement is not "
        f"equilibrium: both begin at w* with the same step, and λ̂ still grows with n (half the parameters: {half:g}; equipartition, 1 in "
        f"equilibrium, is {min(worst)[0]:.2f} at n = {min(worst)[1]:,}).",
    )


def _detects_saddles(rows: Sequence[Row]) -> Verdict:
    parts, apart, hits, total = [], {name: [] for name in _LINES}, 0, 0
    for width in distinct(rows, "width"):
        for seed in distinct(rows, "seed"):
            those = where(rows, width=width, seed=seed)
            levels = []
            for rank in sorted(set(distinct(those, "rank"))):
                on = where(those, rank=rank)
                if len(on) < 3:
                    continue
                middle = float(np.median(column(on, "lambda_hat")))
                levels.append((rank, middle, on[0]["regular"]))
                for name, gaps in apart.items():
                    gaps.append(float(np.median(np.abs(column(on, "lambda_hat") - column(on, name)))))
            if len(levels) > 1:
                steps = [b[1] > a[1] for a, b in itertools.pairwise(levels)]
                hits, total = hits + sum(steps), total + len(steps)
                said = ", ".join(f"{middle:.3g} at rank {rank} (regular part {regular:g})" for rank, middle, regular in levels)
                parts.append(f"width {width}, seed {seed}: {said}")
    if not total:
        raise Unclear("Fewer than two ranks have been reached.")
    gaps = {name: float(np.mean(values)) for name, values in apart.items()}
    return Verdict(
        hits == total,
        f"Median λ̂ by rank of the map, {'; '.join(parts)}: it rises at {hits} of {total} moves. What it reads is the regular part, from which it is "
        f"{gaps['regular']:.2g} away on average, not λ (from the global value {gaps['lambda_global']:.2g}, from the local one "
        f"{gaps['lambda_local']:.2g}); what so short a chain must read in the quadratic part of the loss is {gaps['expected']:.2g} away.",
    )


def _invariant(rows: Sequence[Row]) -> Verdict:
    parts, spreads = [], []
    for hidden in distinct(rows, "hidden"):
        there = where(rows, hidden=hidden, sampler="P")
        values = column(there, "lambda_hat")
        if len(values) < 2:
            continue
        spreads.append(float((values.max() - values.min()) / values.mean()))
        alphas = column(there, "alpha")
        parts.append(f"hidden width {hidden}: {values.mean():.4g}, spread {spreads[-1]:.1e} over alpha = {alphas.min():g} ... {alphas.max():g}")
    if not parts:
        raise Unclear("Fewer than two alphas are done.")
    plain = {row["alpha"]: row["lambda_hat"] for row in where(rows, sampler="P = 1")}
    without = ", ".join(f"{value:.3g} at alpha = {alpha:g}" for alpha, value in plain.items())
    text = f"{'; '.join(parts)}: with the right P and the same noise it is a change of coordinates"
    return Verdict(bool(max(spreads) < 1e-4), f"{text}. Without P: {without}." if plain else f"{text}.")


def _falls_with_depth(rows: Sequence[Row]) -> Verdict:
    hidden, lam, share, ends = (column(rows, name) for name in ("hidden", "lambda_global", "share", "ends"))
    if len(rows) < 20:
        raise Unclear("Fewer than 20 networks.")
    shallow, deep = hidden <= np.quantile(hidden, 0.2), hidden >= np.quantile(hidden, 0.8)
    ratio = float(lam[deep].mean() / lam[shallow].mean())
    spread = np.hypot(*(lam[part].std() / np.sqrt(part.sum()) / lam[part].mean() for part in (deep, shallow)))
    return Verdict(
        bool(ratio < 1 - 2 * spread),
        f"Mean λ of the deepest fifth of {len(rows)} networks over that of the shallowest: {ratio:.2f} ± {ratio * spread:.2f}, while the "
        f"parameters grow with depth, so λ falls from {share[shallow].mean():.2%} to {share[deep].mean():.3%} of half of them. λ is at most half of "
        f"inputs times outputs (here {np.max(lam / ends):.0%} of that at most), whatever the depth. Multiplicities up to "
        f"{int(column(rows, 'multiplicity').max())}.",
    )


def _flat_traces(rows: Sequence[Row]) -> Verdict:
    pairs = []
    for order in distinct(rows, "order"):
        for seed in distinct(where(rows, order=order), "seed"):
            there = where(rows, order=order, seed=seed)
            trace = column(there, "trace")
            quarter = max(1, len(trace) // 4)
            early, late = trace[2 * quarter : 3 * quarter].mean(), trace[-quarter:].mean()
            if np.isfinite(late):
                pairs.append((order, late / early - 1, late / there[0]["lambda_local"] - 1, there[0]["acceptance"]))
    if len(pairs) < 4:
        raise Unclear("Fewer than four chains are done.")
    slope, error = np.array([pair[1] for pair in pairs]), np.array([pair[2] for pair in pairs])
    rising = slope > 0.02
    words = [
        f"{flag.sum()} of {len(pairs)} traces {what} over their last quarter (median error of that quarter {np.median(error[flag]):+.1%})"
        for flag, what in ((rising, "still rise by more than 2 %"), (~rising, "are flat"))
        if flag.any()
    ]
    told = bool(rising.any() and (~rising).any())
    ok = bool(np.median(error[rising]) < np.median(error[~rising]) - 0.02) if told else None
    most = max(pairs, key=lambda pair: abs(pair[2]))
    largest = f"The largest error, {most[2]:+.1%} ({most[0]}), has a slope of {most[1]:+.1%} and {most[3]:.0%} acceptable steps."
    return Verdict(ok, f"{'; '.join(words)}. {largest}")


def _volumes(rows: Sequence[Row]) -> Verdict:
    parts, ok = [], []
    for name in distinct(rows, "landscape"):
        row = where(rows, landscape=name)[0]
        ok.append(abs(row["lambda_fit"] - row["lambda_exact"]) < 0.01 and row["multiplicity_fit"] == row["multiplicity"])
        parts.append(f"{name} {row['lambda_fit']:.4f} (exact {row['lambda_exact']:.4f}), m = {row['multiplicity_fit']} ({row['multiplicity']})")
    return Verdict(all(ok), f"λ and m fitted to volumes: {'; '.join(parts)}.")


def _reduced_rank(rows: Sequence[Row]) -> Verdict:
    parts, ok = [], []
    for widths in distinct(rows, "widths"):
        for method in ("SGLD", "MALA"):
            there = where(rows, widths=widths, method=method)
            if there:
                values, exact = column(there, "lambda_hat"), there[0]["lambda_exact"]
                ok.append(abs(values.mean() / exact - 1) < 0.12)
                parts.append(f"{widths} {values.mean():.3g} ({method}, {len(there)} data sets, exact {exact:g})")
    return Verdict(all(ok), f"{'; '.join(parts)}: {sum(ok)} of {len(ok)} means within 12 %.")


# Presets

_TABLE = {order: row.nets for order, row in TABLE_1.items()}
_FIG1, _FIG1_QUICK = _random(_TABLE), _random({"1k": 6}, draws=3000)
_ERRORS = (
    Panel("λ̂ against the exact global value", "lambda_global", "lambda_hat", ("method",), "lambda_error", logx=True, logy=True, kind="diagonal"),
    Panel("λ̂ against the local value", "lambda_local", "lambda_hat", ("method",), "lambda_error", logx=True, logy=True, kind="diagonal"),
    Panel("λ̂ against the regular part", "regular", "lambda_hat", ("method",), "lambda_error", logx=True, logy=True, kind="diagonal"),
)
_LINEAR = {"logx": False, "logy": False}
_PLATEAUS = (
    Panel("λ̂ along the way", "step", "lambda_hat", ("width", "seed"), exact=_LINES),
    Panel("Training loss", "step", "loss", ("width", "seed"), logy=True),
    Panel("Rank of the map", "step", "rank", ("width", "seed")),
)
_SADDLE = SaddleToSaddle()

PRESETS: tuple[Preset, ...] = (
    made("llc-fig1", _FIG1, _FIG1_QUICK, _accurate, _ERRORS),
    made(
        "llc-fig2",
        Experiment(tuple(map(Volumes, (Regular(), Valley(), Cusp(), NormalCrossing())))),
        Experiment(tuple(map(Volumes, (Regular(), NormalCrossing())))),
        _volumes,
        (Panel("Volume of {K < ε}", "eps", "volume", ("landscape",), logx=True, logy=True),),
    ),
    made(
        "llc-fig3",
        _sizes((100, 316, 1000, 3162, 10_000, 31_623, 100_000)),
        _sizes((100, 316, 1000), steps=2000),
        _methods_agree,
        (
            Panel("λ̂ by the size of the data set", "n", "lambda_hat", ("method",), "lambda_error", ("half",), logx=True),
            Panel("Equipartition (1 in equilibrium)", "n", "equipartition", ("method",), logx=True),
        ),
    ),
    made("llc-fig4", _random({"1k": 99, "10k": 100}, True), _random({"1k": 4}, True, draws=3000), _accurate_at_trained_points, _ERRORS),
    made(
        "llc-fig5",
        Experiment((Saddles(_SADDLE), Saddles(replace(_SADDLE, seed=0)))),
        Experiment((Saddles(replace(_SADDLE, steps=8000, every=100)),)),
        _detects_saddles,
        _PLATEAUS,
    ),
    made(
        "llc-fig6",
        _rescaled((20, 30, 40), range(-4, 5)),
        _rescaled((20,), (-4, -2, 0, 2, 4), n=500, batch=100, steps=300),
        _invariant,
        (Panel("λ̂ by the scale of the hidden layer", "alpha", "lambda_hat", ("hidden", "sampler"), "lambda_error", logx=True, kind="dots"),),
    ),
    made(
        "llc-fig7",
        Experiment((Depths(1000),)),
        Experiment((Depths(600),)),
        _falls_with_depth,
        (
            Panel("Exact λ", "hidden", "lambda_global", (), logx=True, logy=True, kind="dots"),
            Panel("Multiplicity", "hidden", "multiplicity", (), logx=True, logy=True, kind="dots"),
            Panel("λ as a share of half the parameters", "hidden", "share", (), logx=True, logy=True, kind="dots"),
        ),
    ),
    made(
        "llc-fig8",
        Experiment(tuple(Trace(order, seed, TABLE_1[order].steps) for order in TABLE_1 for seed in range(4))),
        Experiment(tuple(Trace(order, seed, 3000 if order == "1k" else 2000) for order in ("1k", "10k") for seed in range(3))),
        _flat_traces,
        (
            Panel("nβ (L − L*) along the chain", "step", "trace", ("order", "seed"), exact=("lambda_global", "regular"), logy=True),
            Panel("Acceptable steps along the chain", "step", "acceptance_now", ("order", "seed")),
        ),
    ),
    made(
        "llc-fig9",
        Experiment((Saddles(replace(_SADDLE, width=100)), Saddles(replace(_SADDLE, width=500, steps=50_000, every=100)))),
        Experiment((Saddles(replace(_SADDLE, width=50, steps=6000, every=100)),)),
        _detects_saddles,
        _PLATEAUS,
    ),
    made(
        "llc-fig10",
        _FIG1,
        _FIG1_QUICK,
        _on_the_diagonal,
        tuple(_ERRORS[0]._replace(title=f"λ̂ against the exact global value, {order}", only=(("order", order),), **_LINEAR) for order in TABLE_1),
    ),
    made(
        "llc-fig11",
        _FIG1,
        _FIG1_QUICK,
        _accurate,
        (
            Panel("Relative error against the global value", "parameters", "error", ("method",), logx=True, kind="dots", zero=True),
            Panel("Relative error against the local value", "parameters", "error_local", ("method",), logx=True, kind="dots", zero=True),
        ),
    ),
    made(
        "llc-fig12",
        _FIG1,
        _FIG1_QUICK,
        _stable,
        (
            Panel("Acceptable steps by size", "parameters", "acceptance", ("method",), logx=True, kind="dots"),
            Panel("Relative error against the local value", "acceptance", "error_local", ("method",), kind="dots", zero=True),
        ),
    ),
    made(
        "llc-rank",
        _noise(10),
        _noise(2),
        _reduced_rank,
        (Panel("λ̂ of reduced-rank regression", "lambda_exact", "lambda_hat", ("method",), "lambda_error", kind="diagonal"),),
    ),
)
