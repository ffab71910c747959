"""The figures of "NGD converges to less degenerate solutions than SGD" (arXiv 2409.04913) and of its two notebooks, as experiments.

Full scale is the source's: MNIST or Fashion-MNIST, batch 128, lambda-hat as `nets.lanes.LambdaHat`, tr H from 50 vectors on 1,280 images.
Quick: digits, batch 32, some 900 steps. Its NGD is Kaldi's online natural gradient in float32: `OnlineNGD(paper_mode=True)`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from nets.cases import Singular
from nets.data import MNIST, Digits, FashionMNIST
from nets.experiment import Experiment, Row
from nets.fisher import FisherNGD
from nets.kaldi import OnlineNGD
from nets.kfac import KFAC
from nets.lanes import LambdaHat, Lanes
from nets.matching import at_loss
from nets.mislabelled import Mislabelled
from nets.models import MLP, DeepCNN, MinimallySingular
from nets.optimisers import SGD, Optimiser
from nets.probes import FisherTrace, HessianTrace, SpectralDensity
from nets.race import Race
from nets.training import Training, Watch
from nets.verdict import Panel, Preset, Unclear, Verdict, column, distinct, made, where

PLAIN = SGD(lr=0.01, momentum=0.9, nesterov=True)
PAPER = OnlineNGD(lr=0.01, alpha=0.1, paper_mode=True)
LAMBDA = Panel("λ̂ (nβ and γ of the source)", "epoch", "lambda_hat", error="lambda_error")
TRACE = Panel("tr H", "epoch", "trace", error="stderr", logy=True)
LOSSES = Panel("Training loss", "epoch", "train_loss", logy=True)
TEST = Panel("Test loss", "epoch", "test_loss", logy=True)
BY_LOSS = Panel("λ̂ at the same training loss", "train_loss", "lambda_hat", error="lambda_error", logx=True)
WBIC = Panel("WBIC", "epoch", "wbic")
NORM = Panel("Length of an update, mean over the epoch", "epoch", "norm", logy=True)

# Runs


def _training(data, widths=(784, 256, 256, 10), **settings) -> Training:
    return Training(data, MLP(widths), PLAIN, **{"epochs": 20, "seed": 1, "scored": 5000} | settings)


def _lambda(epochs: int = 1, data_steps: int = 469, **settings) -> Watch:
    """lambda-hat every so many epochs."""
    return Watch(LambdaHat(**settings), every=0 if epochs == 1 else epochs * data_steps)


_HESSIAN = Watch(HessianTrace(vectors=50, chunk=1280), size=1280)
_MNIST = _training(MNIST(), probes=(_lambda(), _HESSIAN))
_DIGITS = _training(Digits(), (64, 128, 128, 10), batch=32, scored=0, probes=(_lambda(draws=500), Watch(HessianTrace(vectors=20), size=1280)))
_STEPS = 45  # of an epoch of digits in batches of 32


def _race(run: Training, labels=(), **lanes: Optimiser | Training) -> Lanes:
    """One race; lanes are optimisers, or trainings (with a switch); `_` in a name stands for a space."""
    runs = tuple(lane if isinstance(lane, Training) else replace(run, optimiser=lane) for lane in lanes.values())
    return Lanes(Race(runs), tuple(lanes), tuple(labels))


def _named(run: Training, lanes: dict[str, Optimiser | Training], labels=()) -> Experiment:
    return Experiment((_race(run, labels, **lanes),))


def _shapes(run: Training, layers, widths, seeds, ends: tuple[int, int], ngd: Optimiser) -> Experiment:
    """Fig. 1: a race for each depth, width and seed; ends: inputs and outputs."""
    cases = []
    for depth in layers:
        for width in widths:
            for seed in seeds:
                one = replace(run, model=MLP((ends[0], *[width] * depth, ends[1])), seed=seed)
                cases.append(_race(one, (("hidden", depth), ("width", width), ("seed", seed)), SGD=PLAIN, NGD=ngd))
    return Experiment(tuple(cases))


def _switched(run: Training, epoch: int, lanes: dict[str, Optimiser | None]) -> Experiment:
    """Fig. 4 to 6: SGD until `epoch`, then each lane's optimiser (None: SGD goes on as it was)."""
    return _named(run, {name: run if after is None else replace(run, switch=((epoch, after),)) for name, after in lanes.items()})


# What rows say


def _last(rows: Sequence[Row], lane: str, name: str = "lambda_hat") -> Row:
    """The last row of a lane that has this column."""
    there = [row for row in where(rows, lane=lane) if name in row]
    ended = [row["ended"] for row in where(rows, lane=lane) if "ended" in row]
    if ended:
        raise Unclear(f"{lane} has diverged ({ended[0]}): choose a smaller learning rate.")
    failed = [row["failed"] for row in where(rows, lane=lane) if "failed" in row]
    if failed and not there:
        raise Unclear(f"Nothing could be measured of {lane} ({failed[-1]}).")
    if not there or there[-1]["epoch"] == 0:
        raise Unclear(f"{lane} is not trained far enough yet: nothing is measured after its first epoch.")
    return there[-1]


def _value(row: Row, name: str = "lambda_hat", error: str = "lambda_error") -> str:
    return f"{row[name]:.4g} ± {row[error]:.2g}" if np.isfinite(row.get(error, np.nan)) else f"{row[name]:.4g}"


def _above(high: Row, low: Row, name: str = "lambda_hat", error: str = "lambda_error") -> bool:
    """By more than two standard errors (Monte-Carlo errors: another seed may differ by more)."""
    return high[name] - low[name] > 2 * np.hypot(np.nan_to_num(high[error]), np.nan_to_num(low[error]))


def _matched(rows: Sequence[Row], lanes: Sequence[str], name: str = "lambda_hat") -> tuple[float, list[float]]:
    """(training loss, the column there of each lane): the lowest loss that all of them reach."""
    curves = []
    for lane in lanes:
        there = [row for row in where(rows, lane=lane) if name in row and "train_loss" in row and np.isfinite(row[name])]
        if len(there) < 2:
            raise Unclear(f"{lane} is measured {len(there)} times; at least two are needed to compare at the same loss.")
        curves.append((column(there, "train_loss"), column(there, name)))
    loss = max(float(losses.min()) for losses, _ in curves)
    try:
        return loss, [at_loss(*curve, loss) for curve in curves]
    except ValueError as error:
        raise Unclear(f"Training losses cannot be matched: {error}.") from None


def _same_loss(rows, lanes, name: str = "lambda_hat") -> tuple[list[float], str]:
    loss, values = _matched(rows, lanes, name)
    said = ", ".join(f"{value:.4g} ({lane})" for value, lane in zip(values, lanes, strict=True))
    return values, f"at the same training loss, {loss:.2g}: {said}"


def _gone(rows: Sequence[Row]) -> str:
    """Which lanes have diverged."""
    lanes = sorted({row["lane"] for row in rows if "ended" in row})
    return f" Diverged: {', '.join(lanes)}." if lanes else ""


def _alarms(rows: Sequence[Row]) -> str:
    """What the health reports of lambda-hat warn of."""
    there = [row["findings"] for row in rows if "findings" in row]
    names = sorted({name for words in there for name in words.split(", ") if name})
    return f" Health of the estimates: {', '.join(names)}." if names else ""


def _higher(rows: Sequence[Row], name: str, error: str, what: str) -> Verdict:
    sgd, ngd = _last(rows, "SGD", name), _last(rows, "NGD", name)
    values, matched = _same_loss(rows, ("SGD", "NGD"), name)
    equal, same = _above(ngd, sgd, name, error), values[1] > values[0] * 1.03
    published = (
        f"after epoch {ngd['epoch']:.3g} it is {_value(sgd, name, error)} (SGD, training loss {sgd['train_loss']:.2g}, mean over the epoch's "
        f"batches {sgd['batch_loss']:.3g}) and {_value(ngd, name, error)} (NGD, {ngd['train_loss']:.2g}, {ngd['batch_loss']:.3g})"
    )
    verb = "higher" if same else "not higher"
    start = f"{what}: {'higher' if equal else 'not higher'} with NGD after as many epochs, {verb} at the same loss: "
    return Verdict(bool(equal and same), f"{start}{published}; {matched}.{_alarms(rows) if name == 'lambda_hat' else ''}")


def _lambda_is_higher(rows):
    return _higher(rows, "lambda_hat", "lambda_error", "λ̂ of Kaldi's NGD")


def _trace_is_higher(rows):
    return _higher(rows, "trace", "stderr", "tr H of Kaldi's NGD")


def _higher_in_all_shapes(rows: Sequence[Row]) -> Verdict:
    parts, above, same, worse, count = [], 0, 0, [], 0
    for hidden in distinct(rows, "hidden"):
        for width in distinct(rows, "width"):
            ends: dict[str, list[float]] = {"SGD": [], "NGD": []}
            for seed in distinct(rows, "seed"):
                those = where(rows, hidden=hidden, width=width, seed=seed)
                try:
                    sgd, ngd = _last(those, "SGD"), _last(those, "NGD")
                    _, pair = _matched(those, ("SGD", "NGD"))
                except Unclear:
                    continue
                ends["SGD"].append(sgd["lambda_hat"])
                ends["NGD"].append(ngd["lambda_hat"])
                worse.append(ngd["train_loss"] / sgd["train_loss"])
                count, same = count + 1, same + (pair[1] > pair[0])
            if ends["SGD"]:
                a, b = np.mean(ends["SGD"]), np.mean(ends["NGD"])
                parts.append((f"{hidden}x{width} {a:.3g} and {b:.3g}", b > a))
                above += b > a
    if len(parts) < 2:
        raise Unclear("Fewer than two shapes are trained so far.")
    return Verdict(
        bool(above == len(parts) and same > 0.8 * count),
        f"λ̂ of SGD and of NGD: {'; '.join(text for text, _ in parts)}: higher with NGD in {above} of {len(parts)} shapes after as many epochs, and "
        f"in {same} of {count} pairs at the same training loss (NGD's is {np.median(worse):.2g} times SGD's at the end).{_alarms(rows)}",
    )


def _smoothing(rows: Sequence[Row], symbol: str) -> Verdict:
    gone = {row["lane"] for row in rows if "ended" in row}
    lanes = [lane for lane in distinct(rows, "lane") if lane != "SGD" and lane not in gone]
    if len(lanes) < 2:
        raise Unclear(f"Fewer than two smoothings are left: {', '.join(sorted(gone))} diverged.")
    ends = {lane: _last(rows, lane) for lane in ("SGD", *lanes)}
    sgd, weak, strong = ends["SGD"], ends[lanes[0]], ends[lanes[-1]]
    falls = _above(weak, strong)
    nearer = abs(strong["lambda_hat"] - sgd["lambda_hat"]) < 0.5 * abs(weak["lambda_hat"] - sgd["lambda_hat"])
    said = ", ".join(f"{lane.split()[-1]}: {_value(ends[lane])} (loss {ends[lane]['train_loss']:.2g})" for lane in lanes)
    return Verdict(
        bool(falls and nearer),
        f"λ̂ of SGD {_value(sgd)} (loss {sgd['train_loss']:.2g}), of NGD for {symbol} = {said}. "
        f"It {'falls' if falls else 'does not fall'} from the weakest to the strongest smoothing, which is "
        f"{'near' if nearer else 'not near'} SGD's.{_gone(rows)}{_alarms(rows)}",
    )


def _alpha(rows):
    return _smoothing(rows, "α")


def _epsilon(rows):
    return _smoothing(rows, "ε")


def _after(rows: Sequence[Row], base: str = "SGD") -> tuple[Row, dict[str, Row]]:
    """(the last row before lanes part, the last row of each)."""
    gone = {row["lane"] for row in rows if "ended" in row}
    lanes = [lane for lane in distinct(rows, "lane") if lane not in gone]
    ends = {lane: _last(rows, lane) for lane in lanes}
    paths = {lane: [row["train_loss"] for row in where(rows, lane=lane)] for lane in lanes}
    shortest = min(map(len, paths.values()))
    same = next((i for i in range(shortest) if len({paths[lane][i] for lane in lanes}) > 1), shortest)
    if same in (0, shortest):
        raise Unclear("The optimisers have not parted yet.")
    together = [row for row in where(rows, lane=base)[:same] if "lambda_hat" in row]
    return together[-1], ends


def _paths(before: Row, ends: dict[str, Row]) -> str:
    said = ", ".join(f"{lane} {_value(row)} (training loss {row['train_loss']:.2g})" for lane, row in ends.items())
    return f"λ̂ is {_value(before)} when they part after epoch {before['epoch']:.3g} (loss {before['train_loss']:.2g}), and in the end: {said}"


def _gap(row: Row, sgd: Row) -> tuple[float, float]:
    """lambda-hat above SGD's, and its error."""
    return row["lambda_hat"] - sgd["lambda_hat"], float(np.hypot(row["lambda_error"], sgd["lambda_error"]))


def _vague(row: Row, sgd: Row) -> bool:
    """No difference is seen, and one of a tenth would not be either."""
    gap, error = _gap(row, sgd)
    return not error < 0.1 * sgd["lambda_hat"] and not abs(gap) >= 2 * error


def _rises_after_switch(rows: Sequence[Row]) -> Verdict:
    before, ends = _after(rows)
    sgd, ngd = ends["SGD"], ends["NGD"]
    gap, error = _gap(ngd, sgd)
    rises = gap > 2 * error and ngd["lambda_hat"] > before["lambda_hat"]
    vague = _vague(ngd, sgd)
    words = f"NGD ends {abs(gap):.3g} ± {error:.2g} {'above' if gap > 0 else 'below'} SGD"
    return Verdict(None if vague else bool(rises), f"{_paths(before, ends)}: {words}{', too close to tell' if vague else ''}.{_alarms(rows)}")


def _rate_raises(rows: Sequence[Row]) -> Verdict:
    before, ends = _after(rows)
    if len(ends) < 3:
        raise Unclear("Fewer than two rates of NGD are left; the others have diverged.")
    one, *faster = [row for lane, row in ends.items() if lane != "SGD"]
    rises = any(_above(row, one) for row in faster)
    return Verdict(
        bool(rises and _above(faster[0], before)),
        f"{_paths(before, ends)}: a larger rate of NGD {'raises' if rises else 'does not raise'} it.{_gone(rows)}{_alarms(rows)}",
    )


def _sgd_does_not_rise(rows: Sequence[Row]) -> Verdict:
    before, ends = _after(rows)
    sgd = ends["SGD"]
    rises = [lane for lane, row in ends.items() if lane != "SGD" and _gap(row, sgd)[0] > 2 * _gap(row, sgd)[1]]
    vague = [lane for lane, row in ends.items() if lane != "SGD" and _vague(row, sgd)]
    if len(ends) < 2:
        raise Unclear("No larger rate of SGD is left; all have diverged.")
    unsure = f"{' and '.join(vague)} too close to tell" if vague else "no larger rate of SGD raises it"
    verb = f"it rises with {' and '.join(rises)}" if rises else unsure
    return Verdict(
        None if vague and not rises else not rises, f"{_paths(before, ends)}: {verb}, while the loss falls further.{_gone(rows)}{_alarms(rows)}"
    )


def _rise(rows: Sequence[Row], lane: str, names: tuple[str, ...]) -> tuple[dict[str, tuple[float, float]], str]:
    """{column: (at the lowest test loss, at the end)} of a lane, and the test losses in words."""
    there = [row for row in where(rows, lane=lane) if row["epoch"] > 0 and all(name in row for name in names)]
    if len(there) < 4:
        raise Unclear(f"{lane} is measured {len(there)} times after its start; four are needed.")
    test = column(there, "test_loss")
    low = int(test.argmin())
    if test[-1] < 1.05 * test[low] or len(there) - low < 3:
        raise Unclear(f"The test loss of {lane} does not rise (lowest {test[low]:.3g}, last {test[-1]:.3g}): no overfitting, nothing to be told.")
    pairs = {name: (there[low][name], there[-1][name]) for name in names}
    return pairs, f"{lane}: test loss {test[low]:.2g} (epoch {there[low]['epoch']:.3g}) to {test[-1]:.2g}"


def _grow_when_overfitting(rows: Sequence[Row], names: dict[str, str]) -> Verdict:
    ok, parts = [], []
    for lane in ("SGD", "NGD"):
        pairs, said = _rise(rows, lane, tuple(names))
        changes = {name: after / before - 1 for name, (before, after) in pairs.items()}
        ok += [change > 0.05 for change in changes.values()]
        parts.append(f"{said}, " + ", ".join(f"{names[name]} {pairs[name][0]:.4g} to {pairs[name][1]:.4g}" for name in names))
    words = f"{sum(ok)} of {len(ok)} of them rise by more than 5 % while the test loss rises"
    return Verdict(all(ok), f"{'; '.join(parts)}: {words}.{_alarms(rows)}")


def _complexity_grows(rows):
    return _grow_when_overfitting(rows, {"lambda_hat": "λ̂", "trace": "tr H"})


def _wbic_grows(rows):
    return _grow_when_overfitting(rows, {"wbic": "WBIC"})


def _depends_on_which(rows: Sequence[Row]) -> Verdict:
    lanes = distinct(rows, "lane")
    kept = [lane for lane in lanes if not any("ended" in row for row in where(rows, lane=lane))]
    ends = {lane: _last(rows, lane) for lane in kept}
    natural = [lane for lane in kept if not lane.startswith("SGD")]
    higher = []
    for lane in natural:
        _, (sgd, ngd) = _matched(rows, (lanes[0], lane))
        if _above(ends[lane], ends[lanes[0]]) and ngd > 1.1 * sgd:
            higher.append(lane)
    said = ", ".join(f"{lane} {_value(row)} (training loss {row['train_loss']:.2g})" for lane, row in ends.items())
    return Verdict(
        len(higher) == len(natural) > 1,
        f"λ̂ in the end: {said}. Above {lanes[0]} after as many epochs and, by a tenth, at the same training loss: "
        f"{', '.join(higher) or 'none'}; {len(higher)} of {len(natural)} natural gradients.{_gone(rows)}{_alarms(rows)}",
    )


def _long_steps(rows: Sequence[Row]) -> Verdict:
    parts, negative = [], {}
    for lane in ("float32", "float64"):
        there = [row for row in where(rows, lane=lane) if "norm" in row and "smallest" in row]
        if not there:
            raise Unclear(f"{lane} has made no step yet.")
        negative[lane] = float(np.nanmin(column(there, "smallest")))
        parts.append(
            f"in {lane} the least eigenvalue of the preconditioner goes down to {negative[lane]:.2g}, an epoch's mean cosine with the gradient to "
            f"{np.nanmin(column(there, 'cosine')):.2f}"
        )
    norms = {lane: column([row for row in where(rows, lane=lane) if "norm" in row], "norm") for lane in ("SGD", "float32", "float64")}
    most = min(map(len, norms.values()))
    ratio = float(np.median(norms["float64"][:most] / norms["SGD"][:most]))
    sign = "it is not positive definite" if negative["float32"] < 0 else "here it stays positive definite"
    return Verdict(
        bool(ratio > 10),
        f"The update is rescaled to the gradient's length, so no determinant can make it long: in the median epoch it is {ratio:.2g} times "
        f"SGD's (whose gradients differ by then). But {parts[0]}: {sign}; {parts[1]}.",
    )


def _half_the_rank(rows: Sequence[Row]) -> Verdict:
    parts, off, claimed = [], [], []
    for toy in ("r/4", "r/2"):
        there = where(rows, toy=toy)
        if not there:
            raise Unclear(f"Toy {toy} is not estimated yet.")
        errors = column(there, "lambda_hat") / column(there, "lambda_exact") - 1
        off.append(float(np.abs(errors).max()))
        claimed.append(float(np.abs(column(there, "lambda_hat") / column(there, "claimed") - 1).max()))
        parts.append(f"within {off[-1]:.1%} of {toy} for r = {', '.join(str(row['r']) for row in there)}")
    return Verdict(
        bool(claimed[0] < 0.1),
        f"f = x sum w_i^2, the notebook's model, has λ̂ {parts[0]}, half of what is claimed; f = (x w_1, ..., x w_r) has λ̂ {parts[1]}.",
    )


BEYOND = 4  # standard errors of a shift of level that is no scatter; wherever along the way it is largest
SIDE = 3  # measurements that a level is taken from, at least


class _Step(NamedTuple):
    """The largest change of level within a tenth of the time: its lasting share of the range, where; whether scatter lets half the range be seen."""

    share: float
    first: int
    last: int
    told: bool


def _steepest(values: np.ndarray) -> _Step:
    """Levels are medians of a tenth of the values, before and after, at least SIDE of them but at the very start; what lasts is the smaller of this
    shift and that between all values before and all after, so that a wave is no step.

    Scatter is that of second differences, which neither a slope nor a jump changes: sd(median of m) = sqrt(pi/2m) sd.
    """
    width = max(1, (len(values) - 1) // 10)
    side = max(SIDE, width)
    places = [at for at in range(len(values) - width - SIDE + 1) if at < width or at + 1 >= SIDE]
    shifts = [np.median(values[at + width :][:side]) - np.median(values[: at + 1][-side:]) for at in places]
    best, extent = int(np.argmax(np.abs(shifts))), float(np.ptp(values))
    at, way = places[best], np.sign(shifts[best])
    lasting = min(way * shifts[best], way * (np.median(values[at + width :]) - np.median(values[: at + 1])))
    scatter = float(np.median(np.abs(np.diff(values, 2)))) / (0.6745 * np.sqrt(6))
    error = scatter * np.sqrt(np.pi / side)  # of the difference of two medians
    share = max(0.0, float(lasting / extent)) if extent else 0.0
    return _Step(share, at, at + width, bool(BEYOND * error <= 0.5 * extent))


def _transition(rows: Sequence[Row]) -> Verdict:
    """A jump: the level moves by more than half of the range within a tenth of the time, and not in the first, where every training is fast."""
    there = [row for row in rows if "lambda_hat" in row and "largest" in row]
    if len(there) < 8:
        why = next((f" ({row['failed']})" for row in reversed(rows) if "failed" in row), "")
        raise Unclear(f"Only {len(there)} moments are measured{why}; eight are needed to tell a jump from a slope.")
    parts, sharp, early, vague = [], 0, 0, []
    for name, said in (("train_loss", "Training loss"), ("lambda_hat", "λ̂"), ("trace", "tr H"), ("largest", "the largest eigenvalue")):
        values = column(there, name)
        step = _steepest(values)
        if name != "train_loss" and not step.told:
            vague.append(said)
        elif name != "train_loss" and step.share > 0.5:
            first = step.first < step.last - step.first
            sharp, early = sharp + (not first), early + first
        way = f"{values[0]:.3g} at first, {values.min():.3g} to {values.max():.3g}, {values[-1]:.3g} in the end"
        epochs = f"{there[step.first]['epoch']:.3g} to {there[step.last]['epoch']:.3g}"
        parts.append(f"{said} {way}, its level moves by {step.share:.0%} of its range in epochs {epochs}")
    kind = "a jump" if sharp >= 2 else "fast from the first step on, after no plateau" if sharp + early >= 2 else "a gradual change"
    untold = sharp < 2 <= sharp + len(vague)
    kind = "too few to tell" if untold else kind
    scatter = f" ({' and '.join(vague)}: scatter as large as a jump of half the range)" if vague else ""
    return Verdict(
        None if untold else sharp >= 2,
        f"{'; '.join(parts)}. {sharp + early} of λ̂, trace and eigenvalue make more than half of their range in a tenth of the time{scatter}: {kind}."
        f"{_alarms(rows)}",
    )


# Presets

_FIG2_FULL = _named(_MNIST, {"SGD": PLAIN, "NGD": PAPER})
_FIG2_QUICK = _named(_DIGITS, {"SGD": PLAIN, "NGD": PAPER})
_FASHION = replace(_MNIST, data=FashionMNIST(), seed=2, optimiser=replace(PLAIN, lr=1e-3), epochs=80, probes=(_lambda(5), _HESSIAN))
_SLOW = replace(_MNIST, optimiser=replace(PLAIN, lr=1e-4), epochs=80, probes=(_lambda(5),))
_SLOW_DIGITS = replace(_DIGITS, optimiser=replace(PLAIN, lr=2e-3), epochs=40, probes=(_lambda(5, _STEPS, draws=1500),))
_SPARSE_DIGITS = replace(_DIGITS, probes=(_lambda(5, _STEPS), Watch(HessianTrace(vectors=20), every=5 * _STEPS, size=1280)))
_OVER = _training(FashionMNIST(), (784, 128, 128, 10), epochs=40, probes=(_lambda(2), _HESSIAN))
_OVER_DIGITS = _training(
    Mislabelled(Digits(size=400), share=0.4),
    (64, 128, 128, 10),
    batch=32,
    epochs=40,
    scored=0,
    probes=(_lambda(5, 13, draws=500), Watch(HessianTrace(vectors=20), every=5 * 13)),
)
_OVERFIT = _named(_OVER, {"SGD": PLAIN, "NGD": PAPER})
_OVERFIT_QUICK = _named(_OVER_DIGITS, {"SGD": replace(PLAIN, lr=0.03), "NGD": replace(PAPER, lr=0.03)})


def _rates(base: float, factors: tuple[int, ...], make: Optimiser, name: str) -> dict[str, Optimiser]:
    return {f"{name} x {factor}": replace(make, lr=base * factor) for factor in factors}


def _smoothings(field: str, values: tuple[float, ...], **more) -> dict[str, Optimiser]:
    return {"SGD": PLAIN} | {f"{field} = {value:g}": replace(PAPER, **more, **{field: value}) for value in values}


_WHICH = {
    "SGD .01": PLAIN,
    "SGD .03": replace(PLAIN, lr=0.03),
    "SGD .1": replace(PLAIN, lr=0.1),
    "Kaldi float32": PAPER,
    "Kaldi float64": replace(PAPER, paper_mode=False),
    "K-FAC": KFAC(lr=1e-3, momentum=0.9, nesterov=True, alpha=0.0, epsilon=0.1),
    "Fisher": FisherNGD(lr=1e-3, momentum=0.9, nesterov=True, alpha=0.0, epsilon=0.1),
}
_PRECISION = {"SGD": PLAIN, "float32": PAPER, "float64": replace(PAPER, paper_mode=False)}
_SPECTRUM_PROBES = (
    Watch(SpectralDensity(vectors=2, iterations=40), every=117, size=1280),
    Watch(FisherTrace(vectors=4), every=117, size=1280),
    Watch(LambdaHat(chains=1), every=117),
)
_CNN = Training(MNIST(), DeepCNN(), SGD(lr=9e-3, momentum=0.9, nesterov=True), epochs=10, seed=1, scored=1000, probes=_SPECTRUM_PROBES)
_CNN_DIGITS = Training(
    Digits(),
    DeepCNN(hidden=3, side=8),
    SGD(lr=9e-3, momentum=0.9, nesterov=True),
    epochs=14,
    batch=32,
    seed=1,
    scored=0,
    probes=(
        Watch(SpectralDensity(vectors=2, iterations=20), size=480),
        Watch(FisherTrace(vectors=4), size=480),
        Watch(LambdaHat(chains=1, draws=300)),
    ),
)


def _toys(dim: int, ranks: Sequence[int], **settings) -> Experiment:
    return Experiment(tuple(Singular(MinimallySingular(dim, r, toy), **settings) for toy in ("r/4", "r/2") for r in ranks))


PRESETS: tuple[Preset, ...] = (
    made(
        "ngd-fig1",
        _shapes(replace(_MNIST, probes=(_lambda(5),)), (1, 2), (64, 128, 256), range(30), (784, 10), replace(PAPER, alpha=0.01)),
        _shapes(replace(_DIGITS, probes=(_lambda(5, _STEPS, draws=500),)), (1, 2), (32, 64, 128), range(2), (64, 10), replace(PAPER, alpha=0.01)),
        _higher_in_all_shapes,
        (
            Panel("λ̂ at the end, one hidden layer", "width", "lambda_hat", kind="dots", only=(("hidden", 1),), last=True),
            Panel("λ̂ at the end, two hidden layers", "width", "lambda_hat", kind="dots", only=(("hidden", 2),), last=True),
            BY_LOSS._replace(kind="dots"),
        ),
    ),
    made("ngd-fig2", _FIG2_FULL, _FIG2_QUICK, _lambda_is_higher, (LAMBDA, BY_LOSS, LOSSES, WBIC)),
    made(
        "ngd-fig2-trace",
        _FIG2_FULL,
        _FIG2_QUICK,
        _trace_is_higher,
        (TRACE, Panel("tr H at the same training loss", "train_loss", "trace", error="stderr", logx=True, logy=True), LOSSES, NORM),
    ),
    made(
        "ngd-fig3a",
        _named(replace(_MNIST, epochs=30, probes=(_lambda(5),)), _smoothings("alpha", (0.0, 1e-3, 0.1, 1.0, 5.0, 50.0))),
        _named(replace(_DIGITS, probes=(_lambda(5, _STEPS),)), _smoothings("alpha", (0.0, 0.1, 5.0, 50.0))),
        _alpha,
        (LAMBDA, BY_LOSS, LOSSES),
    ),
    made(
        "ngd-fig3b",
        _named(replace(_MNIST, epochs=30, probes=(_lambda(5),)), _smoothings("eps", (1e-19, 1e-10, 1e-7, 1e-4, 0.1), alpha=0.0)),
        _named(replace(_DIGITS, probes=(_lambda(5, _STEPS),)), _smoothings("eps", (1e-19, 1e-10, 1e-4, 0.1), alpha=0.0)),
        _epsilon,
        (LAMBDA, BY_LOSS, LOSSES),
    ),
    made(
        "ngd-fig4",
        _switched(_FASHION, 30, {"SGD": None, "NGD": replace(PAPER, lr=1e-3)}),
        _switched(_SLOW_DIGITS, 15, {"SGD": None, "NGD": replace(PAPER, lr=2e-3)}),
        _rises_after_switch,
        (LAMBDA, BY_LOSS, LOSSES, NORM),
    ),
    made(
        "ngd-fig5",
        _switched(_SLOW, 30, {"SGD": None} | _rates(1e-4, (1, 10, 100), PAPER, "NGD")),
        _switched(_SLOW_DIGITS, 15, {"SGD": None} | _rates(2e-3, (1, 5, 20), PAPER, "NGD")),
        _rate_raises,
        (LAMBDA, BY_LOSS, LOSSES, NORM),
    ),
    made(
        "ngd-fig6",
        _switched(replace(_SLOW, epochs=50), 15, {"SGD": None} | _rates(1e-4, (10, 100), PLAIN, "SGD")),
        _switched(_SLOW_DIGITS, 15, {"SGD": None} | _rates(2e-3, (10, 50), PLAIN, "SGD")),
        _sgd_does_not_rise,
        (LAMBDA, BY_LOSS, LOSSES, TEST),
    ),
    made("ngd-fig7", _OVERFIT, _OVERFIT_QUICK, _complexity_grows, (LAMBDA, TRACE, TEST, LOSSES)),
    made("ngd-fig8", _OVERFIT, _OVERFIT_QUICK, _wbic_grows, (WBIC, TEST, LOSSES)),
    made("ngd-which", _named(_MNIST, _WHICH), _named(_SPARSE_DIGITS, _WHICH), _depends_on_which, (LAMBDA, BY_LOSS, LOSSES, TRACE)),
    made(
        "ngd-float32",
        _named(replace(_MNIST, epochs=10, probes=()), _PRECISION),
        _named(replace(_DIGITS, probes=()), _PRECISION),
        _long_steps,
        (
            NORM,
            Panel("Least eigenvalue of the preconditioner", "epoch", "smallest"),
            Panel("Cosine of update and gradient, mean over the epoch", "epoch", "cosine"),
            LOSSES,
        ),
    ),
    made(
        "toys",
        _toys(1000, range(100, 1000, 100)),
        _toys(100, range(10, 100, 20)),
        _half_the_rank,
        (Panel("λ̂ at w = 0", "r", "lambda_hat", ("toy",), "lambda_error", ("lambda_exact", "claimed"), kind="dots"),),
    ),
    made(
        "cnn-spectrum",
        _named(_CNN, {"SGD": _CNN.optimiser}),
        _named(_CNN_DIGITS, {"SGD": _CNN_DIGITS.optimiser}),
        _transition,
        (LAMBDA, Panel("Extreme eigenvalues", "epoch", "largest"), Panel("tr H", "epoch", "trace"), LOSSES),
    ),
)
