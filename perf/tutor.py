"""How well the tutor judges: simulated learners on pocket test problems.

    python perf/tutor.py               # 100 problems: some minutes on two cores
    python perf/tutor.py 20 --list     # fewer, with each judgement that is not as it should be

Right steps come in other words; wrong ones are the misconceptions of the pocket world, and slips.
Problems that nobody tuned on: the test split, with a seed of its own.
"""

# ruff: noqa: E402

from __future__ import annotations

import argparse
import sys
import time
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.tutor.measuring import SEED, Counts, measure_model

from rstar_math.api.model import RStarMathModel
from rstar_math.pocket.splits import exercises


def main() -> None:
    """Measures, and prints."""
    options = argparse.ArgumentParser()
    options.add_argument("num", type=int, nargs="?", default=100)
    options.add_argument("--list", action="store_true")
    options.add_argument("--seed", type=int, default=SEED)
    options.add_argument(
        "--with-reference", action="store_true", help="the tutor is given the answers, as by a teacher"
    )
    given = options.parse_args()
    chosen = list(islice(exercises("test", given.seed), given.num))
    counts, began = Counts(), time.process_time()
    with RStarMathModel.from_pretrained("pocket") as model:
        model._loop.call(measure_model(model, chosen, counts, given.with_reference))
    print()
    print(counts.text(given.list))
    print(f"{time.process_time() - began:.0f} CPU seconds of this process")


if __name__ == "__main__":
    main()
