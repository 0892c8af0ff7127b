"""How often the 95 % interval of a difference holds a difference that is zero.

    python benchmarks/intervals.py [--seeds 11 12 13 14 15]

Of each seed 200 series of 240 samples, whose correlation from one to the next is 0, .5 and .8, and whose mean is zero.
The seeds were not used when the length of blocks was chosen (seed 1 was).
"""

from __future__ import annotations

import argparse

import numpy as np
from thalweg.results.bootstrap import Series, half_width, length, weights

SERIES, SAMPLES = 200, 240


def held(memory: float, seed: int) -> float:
    """The share of intervals that hold zero."""
    rng, count = np.random.default_rng(seed), 0
    for _ in range(SERIES):
        noise = rng.normal(size=SAMPLES + 100)
        for i in range(1, noise.size):
            noise[i] += memory * noise[i - 1]
        values, series = noise[100:], Series((np.arange(SAMPLES),), 1)
        drawn, blocks = weights(series, length(values - values.mean(), series), draws=100, seed=0)
        means = drawn @ values / drawn.sum(1)
        count += bool(abs(values.mean()) <= half_width(means[:, None], blocks)[0])
    return count / SERIES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14, 15])
    given = parser.parse_args()
    print(f"{'correlation':>12}{'held':>8}{'least':>8}{'most':>8}")
    for memory in (0.0, 0.5, 0.8):
        shares = [held(memory, seed) for seed in given.seeds]
        print(f"{memory:>12g}{np.mean(shares):>8.3f}{min(shares):>8.3f}{max(shares):>8.3f}")


main()
