"""How long the exact solver takes: lambda and m at one point of 50 polynomials up to degree 16, and the search for all zeros of each.

`make bench`, or `python tests/bench_coefficient.py`. Nothing is cached from one polynomial to the next; sympy is imported before.
"""

import statistics
import time

from landscapes import learning_coefficient, parse, zeros
from landscapes.coefficient import system_of

TEXTS = """
x*y ; x^2*y ; (x-y^2)^2*x ; (x^2+y^2)*x ; (x^2+y^2)^2*x^2 ; x^2-y^3 ; x^2+y^4 ; (y-x^2)*(y+x^2) ; (x+y)^3 ; (x^2+y^2)^2
(x^2-2*y^2)^2 ; (x^2+2*y^2)^2 ; (y-x^2)^2-x^5 ; (y^2-x^3)^2-x^7 ; ((1+x)*y-x)^3 ; (y^2-x^3)^3-x^11 ; (y-x^2)^4-x^9 ; (x^2-2*y^2)^5*(x-y)
((1+x)*y-x)^5*(y-x^2) ; (x-y^2)^4*(x+y)^2*(x^2+y^2) ; (y-x^2-x^3)^4*(y-x^2)^2 ; ((y-x^2)^2-x^5)^2*(y+x) ; (x^3-y^2)^4 ; (x^4-y^3)^3*x*y
(y-x)^3*(y-2*x)^3*(y-3*x)^3 ; x^8-y^9 ; (x^2+y^3)^4*(x^3+y^2) ; (x+y+x^2*y)^5 ; (y-x^2)^2*(y-x^2-x^5)^2 ; (y^2-2*x^2)^4*(y-x)^2
(x^2+y^2-1)*(x-1)^2*y ; (x^2+x*y+y^2)^5 ; (2*x-3*y)^4*(x+0.7*y^2)^3 ; (1.8*x-y)^3*(y-x^3)^2 ; (x^2*y-y^4)^3 ; (y-x^2)^8
x, y ; x+y, x^2, y^2 ; x^2, y^3 ; (x-y^2)*x, (x-y^2)*y^2 ; y-x^2, (y-x^2)^2-x^7 ; x^2*y, x*y^2, x^5 ; (y-x^2)^3, x^4*(y-x^2), x^9
(y-x^2)^4-x^9, (x*y-x^3)^3 ; x^6-y^4, x^5*y ; (x+y)^2-x^3, (x+y)*x^2 ; x^2+y^2, x*y ; (x-y)^2*x, (x-y)^3*y ; w^2*(w-1.8)^3 ; (w-1)^4*w^6*(w^2+1)
"""


def main() -> None:
    texts = [text.strip() for line in TEXTS.strip().splitlines() for text in line.split(";")]
    learning_coefficient(parse("(x+y)^2"))
    one, every = [], []
    for text in texts:
        start = time.perf_counter()
        landscape = parse(text)
        every.append((time.perf_counter() - start, text))
        for cached in (system_of, zeros._isolated, zeros._critical, zeros._stationary):
            cached.cache_clear()
        start = time.perf_counter()
        found = learning_coefficient(landscape)
        one.append((time.perf_counter() - start, f"{text}: λ = {found.lam}, m = {found.multiplicity}"))
    for what, times in (("exact λ and m at the origin", one), ("reading a text and finding all zeros and critical points", every)):
        (slowest, which), median = max(times), statistics.median(seconds for seconds, _ in times)
        print(f"{what}, {len(times)} polynomials: median {1e3 * median:.2f} ms, max {1e3 * slowest:.1f} ms ({which})")


if __name__ == "__main__":
    main()
