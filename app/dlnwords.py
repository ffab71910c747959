"""Deep linear networks in words: what is known of a state, what is proven, and where the literature errs."""

import itertools
from collections.abc import Sequence
from fractions import Fraction

from app.dlnexact import Exact
from nets.dln import Ranks

DRAWN = 14  # layers whose numbers fit into the picture


def text_of(number: Fraction) -> str:
    """lambda is a whole number of halves."""
    return f"{float(number):,.1f}".removesuffix(".0")


def chain(widths: Sequence) -> str:
    """10–6–6–10; long ones cut."""
    return "–".join(cut(list(map(str, widths))))


def cut(parts: list[str]) -> list[str]:
    """At most DRAWN of them, the middle left out."""
    return parts if len(parts) <= DRAWN else [*parts[:4], "…", *parts[-3:]]


def in_runs(ranks: Sequence[int]) -> str:
    """2, 6, 6; of many layers 0, 50 (39 times)."""
    if len(ranks) <= DRAWN:
        return ", ".join(map(str, ranks))
    runs = [(rank, sum(1 for _ in same)) for rank, same in itertools.groupby(ranks)]
    return ", ".join(cut([str(rank) if times == 1 else f"{rank} ({times} times)" for rank, times in runs]))


def listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def says(found: Exact) -> str:
    """What is seen, in two or three sentences."""
    value, total, best, _, here = found
    lam, half = total.lam, Fraction(value.parameters, 2)
    text = f"Widths {chain(value.widths)}, rank {value.rank}: λ = {text_of(lam)} exactly, multiplicity {total.multiplicity}. "
    if lam == half:
        text += f"That is half the {value.parameters:,} parameters, as in a regular model. "
    else:
        text += f"Half the {value.parameters:,} parameters would be {text_of(half)}; λ is {100 * float(lam / half):.2g} % of it. "
    lost = [(s, d) for s, d in enumerate(best.lost, 1) if d]
    if not lost:
        text += "No rank is lost on the way from input to output"
    elif len(lost) <= 5:
        text += f"λ is attained where {listed([f'layer {s} loses {d}' for s, d in lost])} of the dimensions"
    else:
        text += f"λ is attained where the loss of rank is spread over {len(lost)} layers"
    text += ", or on others as large" * (total.multiplicity > 1) + ". "
    equal = "=" if proven(found) else "≤"
    if here.lam == lam:
        return text + "The weights chosen (“your point”) have the same value."
    return text + f"At the weights chosen (“your point”: layers of ranks {in_runs(value.layers)}) λ(w) {equal} {text_of(here.lam)}."


def proven(found: Exact) -> bool:
    """Whether the local value is more than an upper bound: for two layers, or between bounds that meet (rank(J)/2 and lambda from below)."""
    return len(found.value.layers) <= 2 or found.here.lam in (found.total.lam, Fraction(found.ranks.jacobian, 2))


def numbers(found: Exact) -> str:
    """The values beside each other, as a table."""
    value, total, _, ranks, here = found
    lowest = Ranks.lowest(value.widths, value.rank)
    bound = "exact" if proven(found) else "upper bound; conjectured exact"
    layers = [in_runs(found) for found in (lowest.layers, value.layers)]
    half = text_of(Fraction(value.parameters, 2))
    regular = [text_of(Fraction(point.jacobian, 2)) for point in (lowest, ranks)]
    return f"""| | most degenerate | your point |
|---|---|---|
| ranks of layers | {layers[0]} | {layers[1]} |
| regular part, rank(J)/2 | {regular[0]} | {regular[1]} |
| **λ** | **{text_of(total.lam)}** (exact) | **{text_of(here.lam)}** ({bound}) |
| multiplicity m | {total.multiplicity} | |
| parameters / 2 | {half} | {half} |"""


PROVEN = """$$2\\lambda = r(H_0 + H_L - r) + \\min_t \\sum_s d_s (H_s - t_s)$$

$$t_s$$: the rank left after $$s$$ layers; $$d_s = t_{s-1} - t_s$$: what layer $$s$$ loses. Near a given point $$t$$ must also respect
what blocks of its layers keep.

**Theorem**, any depth: $$\\lambda$$ and $$m$$ over all weights that give the true map (Aoyagi 2024; two layers: Aoyagi and Watanabe 2005).

**Theorem for two layers, upper bound for more**: the value $$\\lambda(w)$$ at a given point, half the smallest codimension of the strata that
come near it; exact too where it meets $$\\lambda$$ or the regular part, which lie below. Else equality is a **conjecture**: 13 of 14 long
exact sampling runs agree within 1 %, one, with multiplicity, reads 1.33 for 3/2.

**Depth**: one more layer never raises $$\\lambda$$, and lowers it only while layers are narrow. Among the random networks (Figure 7 of
“LLC at scale”) most of the fall has another cause: the more layers, the narrower the narrowest, so the smaller the rank, and the regular part falls
with it."""

SADDLE = """Small weights learn the teacher $$10\\,\\mathrm{diag}(1, …, 5)$$ one direction at a time; between, the loss rests near saddles.
There the regular part is $$r(10-r)/2$$: 4.5, 8, 10.5, 12, 12.5; $$\\lambda$$ is **12.5 at every rank**, and so is $$\\lambda(w)$$.

**Where the paper errs.** “LLC at scale” reads its plateaus 4.8, 8.6, 11.5, 13.4 as learning coefficients of rising rank. They are the
*regular part*: 100 draws do not reach flat directions. What such chains must read at a saddle follows from the curvatures alone: 4.7, 8.6,
11.4, 13.1 (dotted: at the weights of that step). The excess over the regular part is the bias of the step, ε nβ h/4 = 0.28 in the steepest
direction.

**Try it**: with ε = 10⁻⁷ and 1000 draws the excess is gone (last example). With 1000 draws at ε = 10⁻⁶ λ̂ climbs instead, to 6.0 at step
2,000: the chains begin to see directions that are nearly flat."""
