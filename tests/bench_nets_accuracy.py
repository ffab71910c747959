"""How far lambda-hat is from exact values at full scale: some 15 minutes of CPU on one core; --quick for a tenth of it.

Prints one line an estimate and one a family: median and 90 % quantile of the relative error where the value at w* equals the global one.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from nets import dln, estimate_llc, estimate_target
from nets.cases import Rescaled
from nets.experiment import Experiment
from nets.linear_target import LinearTarget
from nets.models import DuplicatedReLU
from nets.presets import PRESETS, judge
from nets.race import Race
from nets.samplers import HMC, MALA, SGLD, DiagonalSGLD
from nets.targets import Potential

UNIFORM = 100 / 3  # E x_i^2 of x ~ U[-10, 10]


def line(name, found, exact, start) -> float:
    error = found.mean / float(exact) - 1
    ills = ", ".join(finding.name for finding in found.health if finding.severity != "note")
    print(
        f"{name:42} exact {float(exact):7.4g}  lambda-hat {found.mean:8.4g} +- {found.stderr:.2g} ({error:+.2%})  accepted {found.acceptance:.0%}, "
        f"equipartition {found.equipartition:.2f}, {time.process_time() - start:.1f} s CPU  {ills}",
        flush=True,
    )
    return error


def random_networks(count: int, draws: int) -> None:
    errors, seed = [], -1
    while len(errors) < count:
        seed += 1
        network = dln.random_network("1k", seed)
        lam = dln.learning_coefficient(network.widths, network.rank).lam
        if dln.local_learning_coefficient(network.weights) != lam:
            continue
        target = LinearTarget([w.float() for w in network.weights], torch.eye(network.widths[0]) * UNIFORM, n=10**5)
        start = time.process_time()
        found = estimate_target(target, draws=draws, burn_in=draws, seed=seed)
        errors.append(abs(line(f"{network.widths} rank {network.rank}", found, lam, start)))
    median, most = np.median(errors), np.quantile(errors, 0.9)
    print(f"== {count} random 1k networks: median |error| {median:.2%} (<= 1 %), 90 % quantile {most:.2%} (<= 5 %)\n", flush=True)


def potentials(chains: int) -> None:
    for name, K, dim, lam in (
        ("|w|^2, d = 5", lambda w: (w * w).sum(1), 5, 2.5),
        ("|w|^2, d = 100", lambda w: (w * w).sum(1), 100, 50),
        ("w1^4 + w2^2", lambda w: w[:, 0] ** 4 + w[:, 1] ** 2, 2, 0.75),
        ("|w|^4, d = 3", lambda w: (w * w).sum(1) ** 2, 3, 0.75),
        ("w1^6 + w1^2 w2^2 + |w2|^3", lambda w: w[:, 0] ** 6 + w[:, 0] ** 2 * w[:, 1] ** 2 + w[:, 1].abs() ** 3, 2, 0.5),
    ):
        for nbeta in (0.1, 10.0, 1000.0):
            start = time.process_time()
            target = Potential(K, torch.zeros(dim))
            found = estimate_target(target, MALA(gamma=0.0), nbeta, eps="auto", chains=chains, draws=2000, burn_in=1000)
            line(f"{name}, n beta = {nbeta:g}", found, lam, start)
    print()


def reduced_rank(seeds: range) -> None:
    for widths in ((5, 3, 5), (5, 4, 5), (4, 3, 8)):
        exact, errors = dln.learning_coefficient(widths, 0).lam, []
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            x, y = (torch.randn(1000, size, generator=generator) for size in (widths[0], widths[2]))
            model = nn.Sequential(nn.Linear(*widths[:2], bias=False), nn.Linear(*widths[1:], bias=False))
            for p in model.parameters():
                nn.init.kaiming_uniform_(p, a=5**0.5, generator=generator)
            adam = torch.optim.Adam(model.parameters(), lr=0.01)
            for _ in range(5000):
                adam.zero_grad()
                functional.mse_loss(model(x), y).backward()
                adam.step()
            start = time.process_time()
            found = estimate_llc(model, functional.mse_loss, (x, y), SGLD(eps=6e-4), chains=3, draws=2000, burn_in=0, seed=seed)
            errors.append(line(f"reduced rank {widths}, data {seed}", found, exact, start))
        print(f"== reduced rank {widths} at devinterp's settings: mean error {np.mean(errors):+.1%} (within 12 %)\n", flush=True)


def narrow(draws: int) -> None:
    for ranks in ((6, 2, 6), (2, 2, 6), (2, 2, 2)):
        weights = dln.random_weights((10, 6, 6, 10), ranks, seed=0)
        target = LinearTarget([w.float() for w in weights], torch.eye(10) * UNIFORM, n=10**5)
        start = time.process_time()
        found = estimate_target(target, draws=draws, burn_in=draws)
        name, exact = f"10-6-6-10, ranks {ranks}, regular {float(dln.regular_part(weights)):g}", dln.local_learning_coefficient(weights)
        line(name, found, exact, start)
    # the last one again: as many gradients, some of which get far
    start = time.process_time()
    found = estimate_target(target, HMC(steps=50), eps="auto", chains=16, draws=max(draws // 100, 150), burn_in=max(draws // 100, 150))
    line(f"... by HMC, steps = 50, eps = {found.sampler.eps:g}", found, exact, start)


def rescaling(draws: int) -> None:
    """(W1, b1) times alpha, W2 over alpha, over eight decades, P with it: a change of coordinates, so that nothing may change but rounding."""
    for name, make, batch in (
        ("SGLD with P, batches of 100", lambda p: DiagonalSGLD(1e-4, 0.0, p), 100),
        ("MALA with P", lambda p: MALA(1e-4, 0.0, p), 0),
    ):
        first, worst, start = None, [0.0, 0.0, 0.0], time.process_time()
        for power in sorted(range(-4, 5), key=abs):
            _, run = Rescaled(DuplicatedReLU((10, 20, 10), 10.0**power), n=1000).prepare()
            found = estimate_target(
                run.target, make(run.sampler.diagonal), chains=2, draws=draws, burn_in=0, batch=batch, measure="full", baseline="full"
            )
            first = first or found
            kept = (first.losses > 0) & (np.arange(draws) > 0)  # MALA may stay at w*, where the loss is 0 but for rounding
            losses = np.abs(found.losses[kept] / first.losses[kept] - 1).max()
            apart = losses, abs(found.mean / first.mean - 1), abs(found.acceptance - first.acceptance)
            worst = [max(pair) for pair in zip(worst, apart, strict=True)]
        print(
            f"== rescaling by 1e-4 ... 1e4, {name}, {draws} draws: lambda-hat {first.mean:.4g}, accepted {first.acceptance:.4f}; worst relative "
            f"difference of a loss {worst[0]:.1e} (<= 1e-4), of lambda-hat {worst[1]:.1e}, of acceptance {worst[2]:.1e}, "
            f"{time.process_time() - start:.1f} s CPU",
            flush=True,
        )
    print()


def published(mnist: bool) -> None:
    """Fig. 2 of arXiv 2409.04913 at its settings, lambda-hat every tenth epoch: SGD against Kaldi's natural gradient."""
    preset, start = PRESETS["ngd-fig2"], time.process_time()
    (lanes,) = (preset.run if mnist else preset.quick).cases
    every = 10 * lanes.race.runs[0].epoch_steps
    runs = tuple(replace(run, probes=(replace(run.probes[0], every=every),)) for run in lanes.race.runs)
    rows = Experiment((replace(lanes, race=Race(runs)),)).run()
    for name, value in (("SGD", "43.7 +- 2"), ("NGD", "55 +- 3")):
        last = [row for row in rows if row["lane"] == name and "lambda_hat" in row][-1]
        demand = f" (demand: {value})" if mnist else ""
        print(
            f"Fig. 2 on {'MNIST' if mnist else 'digits'}, {name:4} epoch {last['epoch']:g}: lambda-hat {last['lambda_hat']:.4g} +- "
            f"{last['lambda_error']:.2g}{demand}, training loss {last['train_loss']:.2g}",
            flush=True,
        )
    print(f"== {judge(preset, rows).text} {time.process_time() - start:.0f} s CPU\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("family", nargs="?", choices=["potentials", "reduced", "narrow", "rescaling", "fig2", "random"], help="only this one")
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--mnist", action="store_true", help="fig2 on MNIST, from $LAMBDASCAPE_DATA, rather than digits: some minutes")
    chosen = parser.parse_args()
    quick = chosen.quick
    torch.set_num_threads(1)
    families = {
        "potentials": lambda: potentials(50 if quick else 500),
        "reduced": lambda: reduced_rank(range(2) if quick else range(10)),
        "narrow": lambda: narrow(10_000 if quick else 100_000),
        "rescaling": lambda: rescaling(300 if quick else 2000),
        "fig2": lambda: published(chosen.mnist),
        "random": lambda: random_networks(10 if quick else 60, 3000 if quick else 10_000),
    }
    for family in [chosen.family] if chosen.family else families:
        families[family]()


if __name__ == "__main__":
    main()
