"""lambda-hat = nbeta (E[L_n(w)] - L_n(w*)), w ~ exp(-nbeta L_n(w) - gamma |w - w*|^2/2): of any network, by chains, with its error and its health.

lambda-hat of my own nn.Module and data, in three lines (four directions, all of them regular: the answer is 4/2):

>>> import torch; from nets import estimate_llc
>>> x = torch.randn(500, 3); model = torch.nn.Sequential(torch.nn.Linear(3, 1)); y = model(x).detach()
>>> print(estimate_llc(model, torch.nn.functional.mse_loss, (x, y), draws=1000, chains=8))
lambda-hat = ... +- 0.0...

n beta is n / log n with n the size of the data set; chains are exact (MALA on the full data) with a step that tunes itself, unless told
otherwise. The formula and its Monte-Carlo error live in `dynamics.estimate`, the checks in `nets.health`.
"""

import math
import numbers
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from dynamics.estimate import LLC, Running, default_nbeta, llc, running
from nets import dln
from nets.health import Finding, Health, Seen, drifts, examine
from nets.linear_target import LinearTarget
from nets.losses import named
from nets.module_target import module_target, samples, split
from nets.samplers import HMC, MALA, SGLD, Draws, Sampler, walk
from nets.targets import Target
from nets.trial import tried
from nets.watch import Watched

TARGET = 0.9  # acceptance that eps="auto" aims at; "LLC at scale" (2024) advises 0.9 to 0.95
# ... for MALA in more than MANY directions, where 0.6 moves fastest and each of them is still well resolved. In few directions, at this acceptance,
# chains get stuck in the tails of wells steeper than a quadratic: lambda-hat of w1^6 + w1^2 w2^2 + |w2|^3 comes out 2.5 % low.
TARGET_MALA, MANY = 0.65, 100
TARGET_HMC = 0.8  # long trajectories reach the tails at any step, so few directions ask for no more than many: Neal's 0.65 with room to spare
SLACK = 0.15  # that the chains may fall short of it, before their step is cut
CUTS = 8  # of a tuned step, at most
ADDS = 0.05  # of lambda-hat, that halving the step of a sampler without a test may change;
CERTAIN = 2.0  # standard errors of a change that makes one look further: another run is all that a mistake costs
ROUNDS, TRIAL = 16, 25  # of eps="auto": trials of so many steps each, or gradients where a step takes many of them,
LEAST = 8  # but no fewer steps than these
LOOKS = 40  # looks at the chains during a run
LEASTS = {"chains": 1, "draws": 4, "burn_in": 0, "batch": 0, "seed": 0, "thin": 1}  # of the whole numbers among the settings
KNOWN = 20_000  # parameters of the largest deep linear network whose exact values are computed beside (a second or so)
DIVERGED = 100  # nbeta (L - L*) on average above so many times d, where equilibrium has at most d/2: no longer a sample of anything


@dataclass(frozen=True)
class Estimate:
    """lambda-hat after `step` steps of each chain: mean +- stderr (Monte-Carlo error only, from the effective sample size).

    chains (C,): each chain's own estimate, NaN where it died. losses, baselines (C, draws): after burn-in, of the draws and of w* on the same
    samples (or on all), nats per sample. baseline: L_n(w*), as far as those samples tell. rhat: split R-hat. ess: effective draws in all.
    acceptance: share of proposals taken; for samplers without a test, the share that one would have taken (NaN where none is defined).
    radius: root mean square |w - w*| at the end. wbic = n E[L_n] = n baseline + (n / nbeta) lambda-hat: WBIC proper at the default n beta.
    equipartition: E[(w - w*) . grad U] / d: 1 in equilibrium, less where directions still spread, more where the step is too large.
    dead of the C chains enter nothing but `chains` and `losses`. mean is NaN before the fourth draw.
    """

    step: int
    mean: float
    stderr: float
    ess: float
    rhat: float
    chains: np.ndarray = field(repr=False, compare=False)
    dead: int
    nbeta: float
    acceptance: float
    radius: float
    equipartition: float
    wbic: float
    baseline: float
    sampler: Sampler
    health: Health = field(repr=False)
    losses: np.ndarray = field(repr=False, compare=False)
    baselines: np.ndarray = field(repr=False, compare=False)

    def running(self) -> Running:
        """The estimate after each draw, with its error."""
        return running(self.losses - self.baselines, 0.0, self.nbeta)

    def __str__(self) -> str:
        text = f"lambda-hat = {self.mean:.4g} +- {self.stderr:.2g}"
        if self.dead:
            text += f" ({self.dead} of {len(self.chains)} chains died)"
        return text + "".join(f"\n{finding}" for finding in self.health if finding.severity != "note")


def estimate_llc(
    model: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor] | str,
    data: tuple,
    sampler: Sampler | None = None,
    nbeta: float | Literal["devinterp-0.2"] | None = None,
    *,
    only: Sequence[str] | None = None,
    device: str = "cpu",
    **settings,
) -> Estimate:
    """lambda-hat of `model` at its present weights, which are not changed.

    loss: (output, target) -> one value a sample, or their plain mean (told by its shape); or a name of `nets.losses`. data: (x, y), n samples each.
    only: names of the parameters that move, the others stay frozen, as do parameters with requires_grad=False (a note in `health` says so):
    the estimate is that of the model without them. device: "cpu" or "cuda". settings: the fields of `Estimation`.
    Raises ValueError for data that do not fit, are empty or not finite, for settings out of range, and if all chains died.
    """
    return _estimation(model, loss, data, sampler, nbeta, only, device, settings).run()


def stream_llc(model, loss, data, sampler=None, nbeta=None, *, only=None, device="cpu", **settings) -> Iterator[Estimate]:
    """`estimate_llc` as a stream of estimates so far, the first at once."""
    return _estimation(model, loss, data, sampler, nbeta, only, device, settings).stream()


def estimate_target(target: Target, sampler: Sampler | None = None, nbeta: float | str | None = None, **settings) -> Estimate:
    """lambda-hat of a `Target` at its w*; settings: the fields of `Estimation`."""
    _offered("estimate_target", settings)
    return Estimation(target, sampler, nbeta, **settings).run()


@dataclass(frozen=True)
class Estimation:
    """A run: `chains` chains of burn_in + draws draws each, one every `thin` steps; the burn-in (by default half as many as are kept) is thrown away.

    sampler: by default MALA on the full data, SGLD on batches, both with eps="auto". nbeta: a number; None for n/log n, n the size of the
    data set; "devinterp-0.2" for that tool's old default, batch/log batch. eps: overrides the sampler's own step; "auto" tunes it to an
    acceptance of 0.9 (0.65 for MALA in many directions) in short trials, those of its sibling without momentum where a sampler has it, and then
    runs the chains. Where they die, accept too little, give more than chains half as long, or health calls the step too large, they start again
    with a shorter one; without a Metropolis test they are also run at half the step, until that changes lambda-hat by less than 5 % or two
    standard errors. Each cut is a note in the health report. Chains that are not in equilibrium ask for longer chains, not for a smaller eps,
    and MALA is exact at any step: both are reported only.
    batch: samples a step, 0 for all. measure: draws' losses on the "batch" that moved the chain, or on the "full" data; baseline: L(w*) on the
    same "batch" (the default with batches: their scatter cancels) or on the "full" data. exact: (local, global) values of lambda, where known.
    """

    target: Target
    sampler: Sampler | None = None
    nbeta: float | str | None = None
    chains: int = 4
    draws: int = 2000
    burn_in: int | None = None
    batch: int = 0
    seed: int = 0
    eps: float | Literal["auto"] | None = None
    thin: int = 1
    baseline: Literal["full", "batch"] | None = None
    measure: Literal["full", "batch"] = "batch"
    exact: tuple[float, float] | None = None
    notes: tuple[Finding, ...] = ()

    def __post_init__(self):
        def put(name, value):
            object.__setattr__(self, name, value)

        if not isinstance(self.target, Target):
            raise ValueError(f"target = {self.target!r}; give a Target, such as module_target(model, loss, x, y)")
        if self.burn_in is None and isinstance(self.draws, (int, np.integer)):
            put("burn_in", self.draws // 2)
        for name in LEASTS:
            put(name, whole(name, getattr(self, name)))
        if self.batch > self.target.n:
            raise ValueError(f"batch = {self.batch}; there are only {self.target.n} samples (0 takes all of them)")
        put("nbeta", inverse_temperature(self.nbeta, self.target.n, self.batch))
        if self.sampler is None:
            put("sampler", SGLD() if 0 < self.batch < self.target.n else MALA())
            put("eps", "auto" if self.eps is None else self.eps)
        if not isinstance(self.sampler, Sampler):
            raise ValueError(f"sampler = {self.sampler!r}; give a value such as SGLD(eps=1e-5, gamma=1) or MALA(eps=1e-4)")
        if self.eps is not None and self.eps != "auto":
            if isinstance(self.eps, str):
                raise ValueError(f"eps = {self.eps!r}; give a number, or 'auto'")
            put("sampler", replace(self.sampler, eps=self.eps))
            put("eps", None)
        if self.baseline is None:
            put("baseline", "batch" if self.batch and self.measure == "batch" else "full")
        if self.exact is None:
            put("exact", _exact(self.target))
        elif not (isinstance(self.exact, tuple) and len(self.exact) == 2 and all(isinstance(lam, numbers.Real) for lam in self.exact)):
            raise ValueError(f"exact = {self.exact!r}; give a pair of numbers, the local and the global lambda")
        self._walk(self.sampler, 1, self.seed)  # its demands, before anything runs

    def run(self) -> Estimate:
        """The last estimate. Raises ValueError if all chains died."""
        *_, estimate = self.stream()
        if estimate.dead == self.chains:
            raise ValueError(f"after {estimate.step} steps {estimate.health['chain died'].text}")
        return estimate

    def stream(self) -> Iterator[Estimate]:
        """Estimates so far, the first at once, some five a second after burn-in; the last is `run`'s. It ends early if all chains died."""
        sampler, done, notes = self.sampler, 0, self.notes
        tuned = self.eps == "auto"
        yield self._nothing_yet(sampler, done, notes)
        if tuned:
            self._computable()
            for eps, steps in replace(self, sampler=sampler.still)._tune():
                sampler, done = replace(sampler, eps=eps), done + steps
                yield self._nothing_yet(sampler, done, notes)
        twice: Estimate | None = None  # the estimate at twice the step
        for cuts in range(CUTS + 1):
            for estimate in self._chains(sampler, done, notes):
                yield estimate
            if not tuned or cuts == CUTS:
                return
            by, reason = self._shorter(estimate, twice)
            if by == 1:
                if reason:
                    yield replace(estimate, health=Health((*estimate.health, Finding("note", "step compared", reason))))
                return
            twice = estimate if by == 2 and self._unbiased_but_for_eps(estimate) else None
            shorter = float(f"{sampler.eps / by:.3g}")
            text = f"eps = {sampler.eps:g} was cut to {shorter:g}, {reason}"
            sampler, done, notes = replace(sampler, eps=shorter), estimate.step, (*notes, Finding("note", "step cut", text))

    def _computable(self) -> None:
        """Refuse a w* where there is no loss: no step would be short enough."""
        star = float(self.target.losses(self.target.star[None])[0])
        if not math.isfinite(star):
            raise ValueError(f"the loss at w* is {star} on these data; give a point, and samples, where it is finite")

    @property
    def _aim(self) -> float:
        if isinstance(self.sampler, HMC):
            return TARGET_HMC
        return TARGET_MALA if self.sampler.full and self.target.dim > MANY else TARGET

    def _shorter(self, estimate: Estimate, twice: Estimate | None) -> tuple[int, str]:
        """(what to divide eps by, why, in words); 1 if it may stay."""
        if estimate.dead:
            return 4, f"because {estimate.dead} of {self.chains} chains died"
        if estimate.acceptance < self._aim - SLACK:
            return 2, f"because only {estimate.acceptance:.0%} of the proposals were acceptable in the long run"
        if estimate.sampler.full:
            return 1, ""
        drift = drifts(self.nbeta * (estimate.losses - estimate.baselines))
        if drift and drift[1] > drift[0]:
            return 2, f"because chains half as long gave {drift[0]:.4g}, the longer ones {sum(drift) / 2:.4g}"
        if not self._unbiased_but_for_eps(estimate):
            return 1, ""
        if "step too large" in estimate.health:
            return 4 if estimate.equipartition > 2 else 2, "because " + estimate.health["step too large"].text.split("; ")[0].split(": ")[0]
        if twice is None:
            return 2, "to see what the step itself adds"
        change, error = twice.mean - estimate.mean, math.hypot(twice.stderr, estimate.stderr)
        words = f"lambda-hat was {twice.mean:.4g} at eps = {twice.sampler.eps:g} and {estimate.mean:.4g} at half of it"
        return (2, f"because {words}") if change > max(CERTAIN * error, ADDS * abs(estimate.mean)) else (1, words)

    def _unbiased_but_for_eps(self, estimate: Estimate) -> bool:
        """Is it an estimate that only the length of the step can have biased: of a sampler without a test, in equilibrium?"""
        found = estimate.health
        return not (estimate.sampler.full or estimate.dead or "not equilibrated" in found or "never moved" in found)

    def _walk(self, sampler, draws, seed, start=None, thin=1):
        return walk(self.target, sampler, self.nbeta, self.chains, draws, self.batch, seed, thin, start, self.baseline, self.measure)

    def _watched(self, sampler, steps, seed, looks):
        return Watched(sampler, self.target, self.nbeta, self.chains, self.batch, seed, steps, looks)

    def _chains(self, sampler: Sampler, before: int, notes) -> Iterator[Estimate]:
        """One run of all chains with this step; `before`: steps that were made earlier."""
        total = self.burn_in + self.draws
        watched = self._watched(sampler, total * self.thin, self.seed, LOOKS)
        losses, baselines = np.empty((2, self.chains, total))
        taken = np.ones((self.chains, total), bool)
        done = 0
        for frame in self._walk(watched, total, self.seed, thin=self.thin):
            fresh, done = slice(done, frame.step), frame.step
            losses[:, fresh], baselines[:, fresh] = frame.losses.cpu(), frame.baselines.cpu()
            losses[~torch.isfinite(frame.radius).cpu().numpy(), done - 1] = np.nan
            if frame.accepted is not None:
                taken[:, fresh] = frame.accepted.cpu()
            dead = ~np.isfinite(losses[:, :done]).all(axis=1)
            kept, step = slice(self.burn_in, done), before + done * self.thin
            if done > self.burn_in or dead.all():
                rejects = frame.accepted is not None and not dead.all()
                acceptance = float(np.mean(taken[~dead, kept])) if rejects else math.nan
                yield self._estimate(sampler, step, losses[:, kept], baselines[:, kept], dead, acceptance, watched, notes)
            else:
                yield self._nothing_yet(sampler, step, notes)
            if dead.all():
                self._computable()
                return

    def _estimate(self, sampler, step, losses, baselines, dead, acceptance, watched, notes) -> Estimate:
        losses = losses.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            values = self.nbeta * (losses - baselines)
            dead = dead | (np.mean(values, axis=1) > DIVERGED * self.target.dim if values.size else False)
        losses[dead], values[dead] = np.nan, np.nan
        if dead.all() and not values.size:  # all died within the burn-in
            values = np.full((self.chains, 1), np.nan)
        found: LLC | None = None
        if not dead.all() and losses.shape[1] >= 4:
            found = llc(losses - baselines, 0.0, self.nbeta)
        look = watched.look(~dead, self.burn_in * self.thin)
        corrected = not math.isnan(acceptance)
        seen = Seen(
            values=values,
            llc=found,
            dim=self.target.dim,
            gamma=sampler.gamma,
            eps=sampler.eps,
            nbeta=self.nbeta,
            acceptance=acceptance if corrected else look.acceptance,
            corrected=corrected,
            look=look,
            norm=float(self.target.star.norm()),
            exact=self.exact,
            notes=notes,
        )
        mean = found.mean if found else math.nan
        star = float(baselines[~dead].mean()) if found else math.nan
        return Estimate(
            step=step,
            mean=mean,
            stderr=found.stderr if found else math.nan,
            ess=found.ess if found else 0.0,
            rhat=found.rhat if found else math.nan,
            chains=found.by_chain if found else np.full(self.chains, np.nan),
            dead=int(dead.sum()),
            nbeta=self.nbeta,
            acceptance=seen.acceptance,
            radius=look.radius,
            equipartition=look.equipartition[0],
            wbic=self.target.n * (star + mean / self.nbeta),
            baseline=star,
            sampler=sampler,
            health=examine(seen) if found or dead.all() else Health(notes),
            losses=losses,
            baselines=baselines.copy(),
        )

    def _nothing_yet(self, sampler: Sampler, step: int, notes) -> Estimate:
        nothing, none = math.nan, np.empty((self.chains, 0))
        chains, health = np.full(self.chains, np.nan), Health(notes)
        return Estimate(
            step, nothing, nothing, 0.0, nothing, chains, 0, self.nbeta, nothing, 0.0, nothing, nothing, nothing, sampler, health, none, none
        )

    def _tune(self) -> Iterator[tuple[float, int]]:
        """(eps so far, steps just made): log eps follows the acceptance of short trials, each from where the last one ended.

        Stochastic approximation (Robbins & Monro 1951) from a first guess by factors of 4 at w*; the answer is the mean over the later half.
        """
        eps, tries = _first_guess(self)
        yield eps, tries
        w, history = self.target.star.expand(self.chains, -1).clone(), []
        trial = max(TRIAL // self.sampler.cost, LEAST)
        for i in range(ROUNDS):
            last, taken, would = self._trial(eps, trial, (self.seed + 1 + i) % 2**31, 5, w)
            accepted = would if math.isnan(taken) else taken
            lost = ~torch.isfinite(last.w).all(dim=1)
            if bool(lost.any()):
                eps, w = eps / 4, self.target.star.expand(self.chains, -1).clone()
            else:
                w = last.w.clone()
                eps *= math.exp(4 / (1 + i / 4) * (accepted - self._aim))
            history.append(math.log(eps))
            yield eps, trial
        yield float(f"{math.exp(np.mean(history[ROUNDS // 2 :])):.2g}"), 0

    def _trial(self, eps: float, steps: int, seed: int, looks: int, start=None) -> tuple[Draws, float, float]:
        """(the last frame, the share of so many steps taken, the share a test on MALA's would take); NaN where there is no such thing."""
        watched = self._watched(replace(self.sampler, eps=eps), steps, seed, looks)
        frames = list(self._walk(watched, steps, seed, start))  # all are counted: how many there are depends on the clock
        tested = frames[-1].accepted is not None
        taken = float(torch.cat([frame.accepted for frame in frames], 1).double().mean()) if tested else math.nan
        return frames[-1], taken, watched.look(np.ones(self.chains, bool), 0).acceptance


def _first_guess(run: Estimation) -> tuple[float, int]:
    """(the largest 4^k 10^-6 whose first step from w* is acceptable, steps tried)."""
    eps, up, tries = 1e-6, None, 0
    first = LEAST if isinstance(run.sampler, HMC) else 1
    while 1e-13 < eps < 100:
        _, taken, would = run._trial(eps, first, run.seed, 1)
        acceptance = taken if math.isnan(would) else would  # a share of few steps is coarse
        if math.isnan(acceptance):
            raise ValueError(
                f"eps = 'auto': {run.sampler!r} has no acceptance to tune by; give a number, or define `still`, a sibling of it that has"
            )
        fine = acceptance >= run._aim
        tries += first
        if up is not None and fine != up:
            return (eps if fine else eps / 4), tries
        up = fine
        eps = eps * 4 if fine else eps / 4
    return eps, tries


def _estimation(model, loss, data, sampler, nbeta, only, device, settings) -> Estimation:
    if not isinstance(model, nn.Module):
        raise ValueError(f"model = {model!r}; give a torch.nn.Module")
    loss = named(loss) if isinstance(loss, str) else loss
    if not callable(loss):
        raise ValueError(f"loss = {loss!r}; give a function (output, target) -> one value a sample or their mean, or a name of nets.losses")
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise ValueError(f"data is a {type(data).__name__}; give a pair (x, y) of tensors, samples along their first axis")
    _offered("estimate_llc", settings, "only", "device")
    moving, still = split(model, only)
    x, y = samples(model, *data)
    notes = tried(model, loss, x, y)
    if still:
        text = f"requires_grad=False holds {_few(still)} fast: this is the estimate of {_few(moving)} alone"
        notes = (*notes, Finding("note", "frozen", text))
    target = module_target(model, loss, x, y, only, device)
    run = Estimation(target, sampler, nbeta, **settings, notes=notes)
    try:
        target.losses(target.star[None])
    except (IndexError, RuntimeError, ValueError) as error:  # of a sample that was not among those tried: a label out of range
        raise ValueError(f"the loss at w* cannot be computed on all {target.n:,} samples: {error}") from error
    return run


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _offered(function: str, settings: dict, *more: str) -> None:
    """Refuse settings that there are not."""
    choices = [*(each.name for each in fields(Estimation) if each.name not in ("target", "notes")), *more]
    unknown = next((name for name in settings if name not in choices), None)
    if unknown is not None:
        raise ValueError(f"{function}: there is no setting {unknown!r}; choose among {', '.join(choices)}")


def _exact(target: Target) -> tuple[float, float] | None:
    """(local, global) lambda where they are known: of deep linear networks of moderate size that realise the data."""
    if (
        not isinstance(target, LinearTarget)
        or target.dim > KNOWN
        or target.dim < sum(weight.numel() for weight in target.matrices(target.star[None]))
    ):
        return None
    weights = [weight[0].double() for weight in target.matrices(target.star[None])]
    apart = (dln.product(weights) - target.best).norm()
    if apart > 1e-5 * target.best.norm() or torch.linalg.matrix_rank(target.gram) < len(target.gram):
        return None
    ranks = dln.block_ranks(weights, 1e-5)
    return float(dln.local_learning_coefficient(weights, 1e-5)), float(dln.learning_coefficient(ranks.widths, ranks.rank).lam)


def whole(name: str, value) -> int:
    """A setting of LEASTS as an int; ValueError unless it is an integer that is large enough."""
    least = LEASTS[name]
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} = {value!r}; give an integer of at least {least}")
    return int(value)


def inverse_temperature(nbeta, n: int, batch: int) -> float:
    """n beta of a setting (see `Estimation`) for n samples and batches of this size; ValueError unless it is one."""
    if nbeta is None:
        return default_nbeta(n)
    if nbeta == "devinterp-0.2":
        if batch < 2:
            raise ValueError(f"nbeta = 'devinterp-0.2' is batch / log batch, and batch = {batch}; give batch = 2 or more")
        return default_nbeta(batch)
    if isinstance(nbeta, str):
        raise ValueError(f"nbeta = {nbeta!r}; give a number above 0, None for n / log n, or 'devinterp-0.2' for batch / log batch")
    if isinstance(nbeta, bool) or not isinstance(nbeta, numbers.Real) or not 0 < nbeta < math.inf:
        raise ValueError(f"nbeta = {nbeta!r}; give a number above 0 (None takes n / log n)")
    return float(nbeta)
