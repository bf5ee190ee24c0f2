"""How often a 95 % interval holds the truth: simulated comparisons of two methods under a few training seeds.

python perf/intervals.py [--repeats 1000] [--problems 100] [--seeds 3,5]

Two methods answer problems under every seed. Whether an answer is right hangs on the problem, on what training made of
the method under that seed, and on chance (a probit model, so that the true difference is known). The columns are

ratio         variance between seeds over the variance that the problems of one seed give its mean
problems      bootstrap over problems, seeds as they are
hierarchical  bootstrap over seeds, and within each over its problems (problems over all seeds where they are shared)
intervals     `rstar_math.intervals.paired`: what the tables use
width         mean full width of the latter, in points
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from rstar_math.intervals import paired

SPREADS = (0.0, 0.05, 0.1, 0.2, 0.4)
"""Standard deviations between seeds, on the scale where the chance of a single answer has one of 1."""

MEANS = (0.9, 0.7)
"""Of the two methods on that scale: 73.8 and 69.0 % right where problems differ by 1 and seeds do not."""

_NUM_DRAWS = 500

Right = NDArray[np.float64]
"""`[S, P]` 1 where the answer is right: seeds, problems of a seed."""


@dataclass(frozen=True, slots=True)
class Design:
    """What is simulated.

    Attributes:
      num_seeds, num_problems: problems of each seed.
      is_shared: all seeds have the same problems; otherwise each its own.
      spread: one of `SPREADS`.
    """

    num_seeds: int
    num_problems: int
    is_shared: bool
    spread: float

    @property
    def truth(self) -> float:
        """The difference over all seeds and problems that there could be."""
        high, low = (float(ndtr(m / np.sqrt(2 + self.spread**2))) for m in MEANS)
        return high - low

    def draw(self, rng: np.random.Generator) -> tuple[Right, Right]:
        """Answers of both methods."""
        shape = (self.num_seeds, self.num_problems)
        hard = rng.normal(size=(1, shape[1]) if self.is_shared else shape)  # [1 or S, P]
        high, low = (
            (m + hard + self.spread * rng.normal(size=(shape[0], 1)) + rng.normal(size=shape) > 0).astype(float)
            for m in MEANS
        )
        return high, low


def over_problems(d: Right, is_shared: bool, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile bootstrap over problems.

    Args:
      d: `[S, P]` differences.
      is_shared: the columns are the same problems under every seed.
      rng: draws.
    """
    values = d.mean(0) if is_shared else d.ravel()  # [P] or [S * P]
    means = values[rng.integers(len(values), size=(_NUM_DRAWS, len(values)))].mean(1)  # [draws]
    return _middle(means)


def hierarchical(d: Right, is_shared: bool, rng: np.random.Generator) -> tuple[float, float]:
    """Percentile bootstrap over seeds, and over the problems within each; arguments as above."""
    num_seeds, num = d.shape
    seeds = rng.integers(num_seeds, size=(_NUM_DRAWS, num_seeds, 1))  # [draws, S, 1]
    size = (_NUM_DRAWS, 1, num) if is_shared else (_NUM_DRAWS, num_seeds, num)
    return _middle(d[seeds, rng.integers(num, size=size)].mean((1, 2)))


def _middle(means: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def coverage(design: Design, repeats: int, seed: int = 0) -> dict[str, float]:
    """Shares of repeats whose interval holds the truth, by method; the ratio of variances; the mean width."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[float]] = {"problems": [], "hierarchical": [], "intervals": [], "width": []}
    between, within = [], []
    for _ in range(repeats):
        high, low = design.draw(rng)
        d = high - low
        cells = [(s, f"{0 if design.is_shared else s}/{p}") for s in range(d.shape[0]) for p in range(d.shape[1])]
        ours = paired(
            dict(zip(cells, high.ravel().tolist(), strict=True)), dict(zip(cells, low.ravel().tolist(), strict=True))
        ).interval
        ends = {
            "problems": over_problems(d, design.is_shared, rng),
            "hierarchical": hierarchical(d, design.is_shared, rng),
            "intervals": (ours.low, ours.high),
        }
        for name, (left, right) in ends.items():
            found[name].append(left <= design.truth <= right)
        found["width"].append(ours.high - ours.low)
        between.append(d.mean(1).var(ddof=1))
        within.append(d.var(1, ddof=1).mean() / d.shape[1])
    ratio = max(0.0, float(np.mean(between) / np.mean(within)) - 1)
    return {"ratio": ratio} | {name: float(np.mean(values)) for name, values in found.items()}


def main() -> None:
    """Prints one line for each design."""
    parser = argparse.ArgumentParser(description="Coverage of intervals with few training seeds.")
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--problems", type=int, default=100, help="of each seed")
    parser.add_argument("--seeds", default="3,5", help="numbers of seeds")
    options = parser.parse_args()
    print("problems  seeds  ratio  covered: problems  hierarchical  intervals  width")
    for is_shared in (False, True):
        for num_seeds in map(int, options.seeds.split(",")):
            for spread in SPREADS:
                found = coverage(Design(num_seeds, options.problems, is_shared, spread), options.repeats)
                kind = "shared" if is_shared else "own"
                shares = "  ".join(f"{100 * found[name]:12.1f}" for name in ("problems", "hierarchical", "intervals"))
                print(
                    f"{kind:8}  {num_seeds:5}  {found['ratio']:5.2f}  {shares}  {100 * found['width']:5.1f}", flush=True
                )


if __name__ == "__main__":
    main()
