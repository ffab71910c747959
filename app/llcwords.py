"""The LLC lab in words: one sentence that judges, the health report, what is known of a model, and each cell of the map."""

import math
import re

import numpy as np

from app.known import Linear, Toy, differ, finite
from app.llclab import LLCLab, columns_of, rows_of
from app.llcpicture import Map, MapCell, Numbers, judged, vague
from app.numerals import measured, number

CLOSE = 0.02  # of the exact value: nearer than this is right, whatever the error says
GAP = 0.05  # of lambda, by which the exact value at this n beta differs, that calls for a word
SIGN = {"error": "✘", "warning": "⚠", "note": "·"}
EXACT = {
    "Toy": "The value at this nβ and γ is an integral, by quadrature.",
    "Quadratic": "λ = d/2. Exact with tether: ½ Σ nβh/(nβh + γ). SGLD adds a factor 1/(1 − ε(nβh + γ)/4) in each direction: its own equilibrium is "
    "known in closed form, with batches by solving for its covariance (up to 12 directions).",
    "Powers": "λ = Σ 1/(2k). K is quasi-homogeneous: at γ = 0, nβ E[K] = λ exactly at *every* nβ, and nβ K is Gamma(λ)-distributed. With a tether: "
    "one integral a direction.",
    "ReLU": "λ is not known here, but it is the same for every α: the function is. So must be an estimate."
    " With P = (α², α⁻², 1) the chains at any α are "
    "those at α = 1, number for number, where γ = 0 (the tether is not invariant); without it, a step is right for one α only.",
}
LOOSE = "No value at this nβ is given: without a tether (γ = 0) nothing keeps a chain in the neighbourhood over which the integral would be taken."


def estimate_words(mean: float, stderr: float) -> str:
    return measured(mean, stderr) if math.isfinite(mean) else "no number yet"


def truth_words(value: LLCLab) -> str:
    """λ = 1/4, with its multiplicity where that matters; local and global where they differ."""
    truth = value.model.truth
    if truth.local is None:
        return ""
    if truth.overall != truth.local:
        return f"λ = {truth.local} at w*, {truth.overall} at the most singular point"
    return f"λ = {truth.local}" + (f" (m = {truth.multiplicity})" if (truth.multiplicity or 1) > 1 else "")


# The sentence


def says(value: LLCLab, numbers: Numbers, done: bool) -> str:
    """One sentence that judges: the estimate, what is exact, and whether the chains are healthy."""
    found, truth = numbers.exact, value.model.truth
    if numbers.dead and numbers.dead == len(numbers.by_chain):
        return f"All {numbers.dead} chains died: the step ε = {number(value.sampler.eps, 3)} is too large at nβ = {number(value.nbeta)}."
    if numbers.draws < 4:
        return ""
    parts = [f"λ̂ = {estimate_words(numbers.mean, numbers.stderr)}" + ("" if done else " so far")]
    if found.ideal is not None:
        parts.append(f"exact at this nβ {number(found.ideal)}")
    if found.actual is not None and math.isinf(found.actual):
        parts.append("at this step the chains run away in the end")
    elif differ(found.actual, found.ideal):
        parts.append(f"with this step{' and these batches' if value.batch else ''} {number(found.actual)}")
    if words := truth_words(value):
        parts.append(words)
    if numbers.twin is not None:
        parts.append(f"the same chains at α = 1 report {number(numbers.twin)}")
    return "; ".join(parts) + ". " + verdict(value, numbers, truth)


def verdict(value: LLCLab, numbers: Numbers, truth) -> str:
    """Healthy or not, right or not, and whose fault a gap to lambda is."""
    ills = [finding.name for finding in numbers.health if finding.severity != "note"]
    found = numbers.exact
    best = found.best if finite(found.best) else numbers.twin if numbers.twin is not None else None if truth.local is None else float(truth.local)
    off = None if best is None else abs(numbers.mean - best)
    error = numbers.stderr if math.isfinite(numbers.stderr) else 0.0
    right = off is not None and (off <= 3 * error or off <= CLOSE * abs(best))
    told = f"Not healthy: {' and '.join(ills)}" if ills else "Healthy"
    if ills and right and finite(found.actual) and differ(found.actual, found.ideal):
        told += " – and just as wrong as computed"
    elif off is not None and not right:
        share = (numbers.mean - best) / best
        told += f"{'; ' if ills else ', yet '}{abs(share):.0%} {'above' if share > 0 else 'below'} "
        if finite(found.best):
            told += "what is exact"
        elif numbers.twin is not None:
            told += "those at α = 1"
        else:
            known = "a finite nβ and the tether" if value.sampler.gamma else "a finite nβ"
            told += "λ" + (f", which {known} may explain" if not ills and share < 0 else "")
    told += "."
    if right and not ills and found.ideal is not None and truth.local is not None and abs(found.ideal / float(truth.local) - 1) > GAP:
        causes = ["the finite nβ"] + ["the tether"] * bool(value.sampler.gamma)
        told += f" The gap to λ is no error of the chains: it comes from {' and '.join(causes)}"
        told += f"; with m = {truth.multiplicity}, the part of nβ closes like (m − 1)/log nβ only." if (truth.multiplicity or 1) > 1 else "."
    return told


# Health, and what is known

SIGNS = {"eps='auto'": "“Tune ε for me”", "lambda-hat": "λ̂", "n beta": "nβ", "gamma": "γ", "eps": "ε", "*": r"\*"}  # of Python, and of the page


def plain(text: str) -> str:
    """A finding, written for Python's users, in the page's signs and as Markdown."""
    return re.sub(r"\beps='auto'|\blambda-hat\b|\bn beta\b|\bgamma\b|\beps\b|\*", lambda found: SIGNS[found[0]], text)


def health_words(value: LLCLab, numbers: Numbers) -> str:
    """The numbers behind the verdict, and every finding."""
    if numbers.draws < 4 and not numbers.dead:
        return "The chains have made no draws yet."

    def told(value: float, form: str) -> str:
        return format(value, form) if math.isfinite(value) else "–"

    taken = "acceptance" if value.sampler.full else "a Metropolis test would accept"
    every = numbers.draws * len(numbers.by_chain)
    living = numbers.by_chain[np.isfinite(numbers.by_chain)]
    facts = [
        f"{taken} **{told(numbers.acceptance, '.0%')}**",
        f"R-hat **{told(numbers.rhat, '.3f')}**",
        f"effective draws **{numbers.ess:,.0f}** of {every:,}",
        f"radius √E|w−w*|\u2060² **{told(numbers.radius if len(living) else math.nan, '.3g')}**",
        f"equipartition **{told(numbers.equipartition, '.2f')}** (1 in equilibrium)",
    ]
    if len(living):
        facts.append(f"chains report {number(living.min(), 3)} … {number(living.max(), 3)}")
    text = " · ".join(facts)
    if numbers.health:
        rows = (f"{SIGN[one.severity]} **{one.severity.capitalize()}, {one.name}:** {plain(one.text)}" for one in numbers.health)
        return text + "\n\n" + "\n\n".join(rows)
    return text + "\n\n✔ **Nothing found:** the chains agree, move, stay near w* and are in equilibrium as far as they can tell."


def known_words(value: LLCLab) -> str:
    """The model and what is proven of it."""
    model, truth = value.model, value.model.truth
    text = [f"$${model.formula}$$"]
    if isinstance(model, Toy):
        kept = LOOSE if model.loose(value.sampler.gamma) else EXACT["Toy"]
        text.append(f"w\\* is {model.place.name} at {', '.join(f'{a:g}' for a in model.place.at)}; λ and m from the Newton polygon. {kept}")
    elif isinstance(model, Linear):
        proof = "a theorem" if len(model.ranks) <= 2 or truth.local == truth.overall else "a conjecture beyond two layers"
        text.append(
            f"λ(w\\*) = {truth.local} from the block ranks ({proof}); at the most singular point of rank {model.rank} it is {truth.overall} "
            f"(Aoyagi 2024); rank(J)/2 = {truth.regular} is what directions with curvature give alone. "
            "At finite nβ nothing is known: chains approach λ as nβ grows and γ falls."
        )
    else:
        text.append(EXACT[type(model).__name__])
    return "\n\n".join(text)


# The map


def cell_words(cell: MapCell | None, reference: float | None, base: str) -> str:
    """A cell of the map; base: what the reference is called."""
    if cell is None:
        return "not computed yet."
    gone, share = judged(cell, reference)
    if gone:
        return "every chain died." if cell.dead else "the chains never moved."
    told = f"λ̂ = {estimate_words(cell.mean, cell.stderr)}"
    if reference is None:
        told += "."
    else:
        off = cell.mean / reference - 1
        size = f"{abs(off):.0%}" if abs(off) < 10 else "far"
        if share:
            told += f"; {size} {'above' if off > 0 else 'below'} {base}, beyond 2 s.e."
        else:
            told += f"; {base} within 2 s.e., which are too large to tell." if vague(cell, reference) else f"; {base} within 2 s.e."
    if cell.dead:
        told += f" {cell.dead} of {cell.of} chains died."
    if cell.why:
        told += f" Warned: {', '.join(cell.why)}."
    return told


def nearest(ends: list[float], now: float) -> float:
    """The column or row of the map in whose cells the control is."""
    return min(ends, key=lambda end: abs(math.log(end / now)))


def board(shown: Map, reference: float | None) -> dict:
    """The map for who reads it without a pointer, see board.js: values of columns and rows, the cell of the controls, and each cell in words."""
    value, base = shown.value, "this λ̂" if shown.value.model.truth.local is None else "λ"
    across, up = columns_of(value), rows_of(value)
    return {
        "figure": "map",
        "across": {"label": "ε", "values": [{"eps": str(eps)} for eps in across]},
        "up": {"label": "nβ", "values": [{"nbeta": str(nbeta), "nbeta_from": "own"} for nbeta in up]},
        "at": [across.index(nearest(across, value.sampler.eps)), up.index(nearest(up, value.nbeta))],
        "told": [[cell_words(shown.cells.get((eps, nbeta)), reference, base) for nbeta in up] for eps in across],
    }
