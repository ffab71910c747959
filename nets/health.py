"""Health of an estimate in words: what was found wrong with the chains, how badly, and what to do about it.

An estimate is as good as its chains. Each check below compares two numbers that agree where all is well, and says which ones they were.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dynamics.estimate import LLC, effective_sample_size
from nets.watch import Look

SIGMAS = 3.0  # halves of chains that differ by so many standard errors, and by DRIFT of the estimate, differ
DRIFT = 0.05
SPREADING = 1.1  # |w - w*| at the end over that before half time: some sqrt(2) for free diffusion, 1 in equilibrium
BALANCE = 0.9, 1.1  # E[(w - w*) . grad U] / d, which is 1 in equilibrium
ACCEPTED = {True: 0.4, False: 0.8}  # least acceptance of a sampler that rejects; of one that only would have (its bias is not corrected)
NOISE = 0.1  # of lambda-hat, that may come from the batches' noise


class Finding(NamedTuple):
    """severity: "error" (no number can be given), "warning" (the number is in doubt), "note" (know this when you quote it)."""

    severity: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.severity}: {self.name}: {self.text}"


@dataclass(frozen=True)
class Health:
    """Findings, the worst first. `"negative" in health` asks for one by name, `health.ok` whether there is neither error nor warning."""

    findings: tuple[Finding, ...] = ()

    def __post_init__(self):
        rank = ("error", "warning", "note").index
        object.__setattr__(self, "findings", tuple(sorted(self.findings, key=lambda finding: rank(finding.severity))))

    @property
    def ok(self) -> bool:
        return all(finding.severity == "note" for finding in self.findings)

    def __contains__(self, name: str) -> bool:
        return any(finding.name == name for finding in self.findings)

    def __getitem__(self, name: str) -> Finding:
        return next(finding for finding in self.findings if finding.name == name)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __str__(self) -> str:
        return "\n".join(map(str, self.findings)) or "nothing found"


class Seen(NamedTuple):
    """What an estimator knows of its chains.

    values (chains, draws): nbeta (L - L*), a dead chain's row is not finite; llc: of the living ones, None if all died. corrected: the sampler
    rejects, and acceptance is of its proposals; else of a test that it does not make (NaN if unknown). look: see `nets.watch`. norm: |w*|.
    exact: (local, global) lambda, where known. notes: what is known beforehand.
    """

    values: np.ndarray
    llc: LLC | None
    dim: int
    gamma: float
    eps: float
    nbeta: float
    acceptance: float
    corrected: bool
    look: Look
    norm: float
    exact: tuple[float, float] | None = None
    notes: tuple[Finding, ...] = ()


def halves(values: np.ndarray) -> tuple[float, float, float]:
    """(mean of the first half, mean of the second, standard error of their difference) of values (chains, draws), all finite.

    The first half is the chain half as long: this is what "run twice as long and compare" compares.
    """
    half = values.shape[1] // 2
    parts = values[:, :half], values[:, -half:]
    error = sum(part.var() / max(effective_sample_size(part), 1.0) for part in parts)
    return float(parts[0].mean()), float(parts[1].mean()), math.sqrt(error)


def drifts(values: np.ndarray) -> tuple[float, float] | None:
    """(estimate from chains half as long, from their other half) if the two disagree by more than their errors, else None."""
    if values.shape[1] < 8:
        return None
    first, second, error = halves(values)
    apart = abs(second - first)
    return (first, second) if apart > SIGMAS * error and apart > DRIFT * abs(first + second) / 2 else None


def examine(seen: Seen) -> Health:
    """Every check on what was seen."""
    found = list(seen.notes)
    alive = np.isfinite(seen.values).all(axis=1)
    if (dead := int(np.sum(~alive))) or seen.llc is None:
        severity = "error" if not alive.any() else "warning"
        found.append(
            Finding(
                severity,
                "chain died",
                f"{dead} of {len(alive)} chains died (loss or weights not finite, or beyond any posterior's); "
                f"eps = {seen.eps:g} is too large a step for n beta = {seen.nbeta:g}: choose a smaller one, or eps='auto'",
            )
        )
    if seen.llc is not None:
        found += [finding for check in CHECKS if (finding := check(seen, seen.values[alive]))]
    return Health(tuple(found))


def _never_moved(seen: Seen, values) -> Finding | None:
    if seen.llc.ess == 0 and not seen.corrected and seen.look.radius > 0:
        text = f"all draws have the same loss, at |w - w*| = {seen.look.radius:.3g}: chains have left for a plateau, so there is no estimate"
        return Finding("warning", "never moved", f"{text}: choose a smaller eps, or tether with gamma > 0")
    if seen.llc.ess == 0:
        return Finding("warning", "never moved", "every proposal was rejected, so there is no estimate: choose a smaller eps, or eps='auto'")


def _not_equilibrated(seen: Seen, values) -> Finding | None:
    words = []
    if seen.llc.rhat > LLC.DISAGREE:
        words.append(f"chains or their halves disagree (R-hat = {seen.llc.rhat:.2f})")
    if drift := drifts(values):
        words.append(f"the first half of the draws gives {drift[0]:.4g}, the second {drift[1]:.4g}")
    if (spread := seen.look.spread) and spread[1] > SPREADING * spread[0]:
        words.append(f"chains still spread (|w - w*| grew from {spread[0]:.3g} to {spread[1]:.3g} over the last half)")
    balance, error = seen.look.equipartition
    if balance < BALANCE[0] - 4 * error:
        words.append(f"equipartition is {balance:.2f} rather than 1, as if {1 - balance:.0%} of {seen.dim} directions were not filled yet")
    if words:
        remedy = "run longer with more burn-in" if seen.gamma else "run longer, or tether with gamma > 0"
        return Finding("warning", "not equilibrated", "; ".join(words) + f": {remedy}")


def _few_draws(seen: Seen, values) -> Finding | None:
    if 0 < seen.llc.ess < LLC.FEW * len(values):
        return Finding("warning", "few draws", f"only {seen.llc.ess:.0f} effective draws, so the error itself is uncertain: draw more")


def _step_too_large(seen: Seen, values) -> Finding | None:
    words = []
    if seen.acceptance < ACCEPTED[seen.corrected]:
        verb = "accepts" if seen.corrected else "would accept"
        words.append(f"a Metropolis test {verb} {seen.acceptance:.0%} of the steps of eps = {seen.eps:g}")
    balance, error = seen.look.equipartition
    if balance > BALANCE[1] + 4 * error:
        words.append(f"equipartition is {balance:.2f} rather than 1")
    if seen.look.noise > NOISE * abs(seen.llc.mean):
        words.append(f"the batches' noise alone adds about {seen.look.noise:.3g} to lambda-hat: smaller eps, larger batches, or control variates")
    excess = seen.llc.mean - seen.dim / 2
    if excess > max(4 * seen.llc.stderr, 0.02 * seen.dim / 2):
        words.append(f"lambda-hat = {seen.llc.mean:.4g} is above d/2 = {seen.dim / 2:g}, that of a regular minimum")
    if words:
        return Finding("warning", "step too large", "; ".join(words))


def _not_local(seen: Seen, values) -> Finding | None:
    if 0 < seen.norm < seen.look.radius:
        remedy = f"raise gamma (now {seen.gamma:g})" if seen.gamma else "tether with gamma > 0"
        return Finding(
            "warning",
            "not local",
            f"chains reach |w - w*| = {seen.look.radius:.3g}, beyond |w*| = {seen.norm:.3g}: that is no neighbourhood of w*; {remedy}",
        )


def _tether(seen: Seen, values) -> Finding | None:
    held = seen.gamma * seen.look.radius**2 / seen.dim
    if held > 0.5:
        return Finding(
            "note", "tether", f"gamma = {seen.gamma:g} alone holds {min(held, 1):.0%} of the {seen.dim} directions; lambda-hat depends on gamma"
        )


def _negative(seen: Seen, values) -> Finding | None:
    if seen.llc.mean < min(0.0, -2 * (seen.llc.stderr if math.isfinite(seen.llc.stderr) else 0)):
        return Finding(
            "warning",
            "negative",
            f"lambda-hat = {seen.llc.mean:.4g} < 0: chains found lower losses than at w*, which is not a local minimum; train it further",
        )


def _not_the_global_value(seen: Seen, values) -> Finding | None:
    if seen.exact and seen.exact[0] != seen.exact[1]:
        local, overall = map(float, seen.exact)
        return Finding(
            "note",
            "local and global values differ",
            f"at w* lambda = {local:g}, at the most singular point {overall:g}; chains that leave the neighbourhood land between the two",
        )


CHECKS = (_never_moved, _not_equilibrated, _step_too_large, _not_local, _negative, _few_draws, _tether, _not_the_global_value)
