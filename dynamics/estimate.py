"""lambda-hat = nbeta (E[L(w)] - L(w*)) from the losses of draws, with its Monte-Carlo error: for toys and networks alike (NumPy only).

The error comes from the effective sample size, not from the scatter of the draws; a chain that died is counted, never averaged.
"""

import math
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

import numpy as np


def default_nbeta(n: float) -> float:
    """n beta = n / log n, WBIC's: beta = 1/log n with n the size of the *data set* (not of a batch). Source: Watanabe 2013."""
    if not (math.isfinite(n) and n >= 2):
        raise ValueError(f"n = {n!r}; a data set of at least 2 samples is needed (n beta = n / log n)")
    return n / math.log(n)


@dataclass(frozen=True)
class LLC:
    """An estimate of lambda. mean +- stderr (one standard deviation, Monte-Carlo error only: the bias at finite nbeta is not in it).

    ess: effective sample size of all living chains together. rhat: split R-hat, near 1 if chains agree with each other and with their own
    halves (above 1.01 they do not yet). by_chain (chains,): mean of each chain, NaN where dead. dead: how many of `chains` have a
    loss that is not finite; they enter nothing else. Chains that never moved give ess = 0 and no error or R-hat (NaN).
    """

    mean: float
    stderr: float
    ess: float
    rhat: float
    by_chain: np.ndarray = field(repr=False)
    dead: int
    chains: int
    DISAGREE: ClassVar[float] = 1.05  # R-hat above which chains are said to disagree
    FEW: ClassVar[int] = 25  # effective draws a chain below which the error itself is uncertain

    def __str__(self) -> str:
        """mean ± stderr, and what is wrong with them."""
        digits = min(max(1 - math.floor(math.log10(self.stderr)), 2), 8) if self.stderr > 0 else 4
        return f"{self.mean:.{digits}f} ± {self.stderr:.{digits}f}" + (f" ({self.warning})" if self.warning else "")

    @property
    def warning(self) -> str:
        """What is wrong with this estimate, in words; empty if nothing was found."""
        found = [f"{self.dead} of {self.chains} chains died (their loss is not finite)"] if self.dead else []
        if self.ess == 0:
            found.append("the chains never moved: choose a smaller step")
        elif self.rhat > self.DISAGREE:
            found.append(f"the chains disagree (R-hat = {self.rhat:.2f}): run longer, or with more burn-in")
        elif self.ess < self.FEW * (self.chains - self.dead):
            found.append(f"only {self.ess:.0f} effective draws: the error itself is uncertain")
        return "; ".join(found)


class Running(NamedTuple):
    """The estimate after each draw, and its standard error; both (draws,)."""

    mean: np.ndarray
    stderr: np.ndarray


def llc(losses, loss_star, nbeta: float) -> LLC:
    """lambda-hat = nbeta (mean loss - loss_star) with its Monte-Carlo error.

    losses (chains, draws) after burn-in, nats per sample; loss_star at the point of interest, on the same data: one number, or one a chain.
    Raises ValueError if every chain died, for fewer than 4 draws, or if loss_star or nbeta is not finite.
    """
    values, dead = _living(losses, loss_star, nbeta)
    chains = len(dead)
    by_chain = np.full(chains, np.nan)
    by_chain[~dead] = values.mean(axis=1)
    variance, ess, rhat = _mixing(values)
    stderr = math.sqrt(variance / ess) if ess else math.nan
    return LLC(float(values.mean()), stderr, ess, rhat, by_chain, int(dead.sum()), chains)


def running(losses, loss_star, nbeta: float) -> Running:
    """lambda-hat from the first 1, 2, ... draws of all living chains; arguments and errors as in `llc`.

    stderr: that of a mean over t draws, with the variance and the autocorrelation time of all draws; it ends at that of `llc`.
    """
    values, _ = _living(losses, loss_star, nbeta)
    chains, draws = values.shape
    count = np.arange(1, draws + 1)
    mean = np.cumsum(values.mean(axis=0)) / count
    variance, ess, _ = _mixing(values)
    if not ess:
        return Running(mean, np.full(draws, np.nan))
    time = values.size / ess  # draws per independent draw
    return Running(mean, np.sqrt(variance / chains * np.minimum(1 if time < draws else time / draws, time / count)))


def _living(losses, loss_star, nbeta) -> tuple[np.ndarray, np.ndarray]:
    """nbeta (losses - loss_star) of the chains all of whose losses are finite, and which died."""
    losses = np.asarray(losses, float)
    if losses.ndim != 2 or not losses.shape[0] or losses.shape[1] < 4:
        raise ValueError(f"losses have shape {losses.shape}; give (chains, draws) with at least one chain and four draws")
    if not (math.isfinite(nbeta) and nbeta > 0):
        raise ValueError(f"nbeta = {nbeta!r}; give a number above 0, such as default_nbeta(n) = n / log n")
    loss_star = np.asarray(loss_star, float)
    if loss_star.shape not in ((), (len(losses),)) or not np.all(np.isfinite(loss_star)):
        raise ValueError(f"loss_star = {loss_star!r}; give one finite number, or one for each of the {len(losses)} chains")
    dead = ~np.all(np.isfinite(losses), axis=1)
    if dead.all():
        raise ValueError(f"all {len(dead)} chains died (their loss is not finite); choose a smaller step, or a stronger tether gamma")
    return nbeta * (losses - loss_star.reshape(-1, 1))[~dead], dead


def effective_sample_size(values: np.ndarray) -> float:
    """Of the mean over values (chains, draws): draws per autocorrelation time, lowered where chains disagree; 0 if nothing moves."""
    return _mixing(np.asarray(values, float))[1]


def _mixing(values: np.ndarray) -> tuple[float, float, float]:
    """(variance, effective sample size, split R-hat) of values (chains, draws).

    Every chain is cut into halves, so that a drift counts as disagreement. Autocorrelations over all halves are summed in pairs while these
    are positive, and made to decrease. Source: Geyer 1992; Vehtari, Gelman, Simpson, Carpenter & Burkner 2021.
    """
    half = values.shape[1] // 2
    parts = np.concatenate([values[:, :half], values[:, -half:]])
    means = parts.mean(axis=1)
    within = float(np.mean(parts.var(axis=1, ddof=1)))
    total = within * (half - 1) / half + float(np.var(means, ddof=1))
    if within <= (1e-14 * np.max(np.abs(values))) ** 2:
        return 0.0, 0.0, math.nan
    rho = 1 - (within - _autocovariance(parts).mean(axis=0) * half / (half - 1)) / total
    rho[0] = 1.0
    pairs = rho[: half - half % 2].reshape(-1, 2).sum(axis=1)
    stop = np.argmax(pairs <= 0) if np.any(pairs <= 0) else len(pairs)
    time = 2 * np.sum(np.minimum.accumulate(pairs[: max(stop, 1)])) - 1
    # antithetic draws may be worth more than independent ones, but no more than is believable from so few
    ess = parts.size / max(time, 1 / math.log10(max(parts.size, 10)))
    return total, float(ess), math.sqrt(total / within)


def _autocovariance(values: np.ndarray) -> np.ndarray:
    """Of each row at lags 0, 1, ..., divided by the number of draws (so that it is positive definite), by FFT."""
    draws = values.shape[1]
    centred = values - values.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(centred, 2 * draws, axis=1)) ** 2
    return np.fft.irfft(spectrum, 2 * draws, axis=1)[:, :draws] / draws
