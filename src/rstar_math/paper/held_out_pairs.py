"""How well the PPM of a round ranks steps, on pairs of problems that no training has seen.

A run keeps half of its held-out problems for this (`rstar_math.stages.reward_model`), a few dozen pairs in a round at
the pocket scale. Where the recipe asks for more (`reproduce.pair_problems`), further held-out problems are searched
with the models and settings of the round's own search, and their pairs count too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rstar_math.metrics import ranking_credit
from rstar_math.models import find_model
from rstar_math.paper.laboratory import Laboratory, stage_made
from rstar_math.problems.load import load_problems
from rstar_math.stages.pair_rules import length_margins, logprob_margins
from rstar_math.stages.reward_model import TrainedRound
from rstar_math.stages.search import search_job, search_problems
from rstar_math.stages.select import every_pair, select
from rstar_math.store.files import write_json
from rstar_math.store.records import TreeStore, read_trees
from rstar_math.store.round import Round
from rstar_math.store.run_files import read_as
from rstar_math.types import PreferencePair

RANKERS = ("PPM", "log-probability per token", "log-probability", "shorter")
"""What ranks pairs: the PPM of the round; the policy's log-probability of the step; the length of the step."""


@dataclass(frozen=True, slots=True)
class RankedPairs:
    """Held-out pairs of a round under one seed, and what ranks how many of them right.

    Attributes:
      by_problem: of each of `RANKERS`, by problem: (pairs ranked right, a tie counts half; pairs that it can rank).
    """

    by_problem: dict[str, dict[str, tuple[float, int]]]

    def counts(self, ranker: str) -> tuple[float, int]:
        """(Pairs ranked right, pairs that it can rank), over all problems."""
        found = self.by_problem[ranker].values()
        return sum(right for right, _ in found), sum(num for _, num in found)

    @property
    def num_pairs(self) -> int:
        """Pairs that were ranked."""
        return self.counts("PPM")[1]

    def share(self, ranker: str) -> float | None:
        """The share ranked right, in [0, 1]; None without pairs."""
        right, num = self.counts(ranker)
        return right / num if num else None


def num_trained_pairs(lab: Laboratory, seed: int, number: int) -> int:
    """Pairs that the PPM of a round was trained on."""
    return int(stage_made(lab.run(seed), number, "ppm")["num_pairs"])


def ranked_pairs(lab: Laboratory, seed: int, number: int) -> RankedPairs:
    """How held-out pairs of a round are ranked: both steps executed, no filter by margin or distance."""
    run = lab.run(seed)
    this = Round(run, number)
    place = Round(lab.folder / "pairs" / f"seed-{seed}", number).folder
    if not (place / "ranked.json").exists():
        pairs = TrainedRound.of_run(run, number).held_out_pairs(steering=False)
        if lab.settings.pair_problems:
            pairs += _pairs(lab, _search(lab, this, seed, place / "trees"))
        write_json(place / "ranked.json", _rank(this.ppm, pairs))
    kept = read_as(place / "ranked.json", dict[str, dict[str, tuple[float, int]]])
    return RankedPairs({r: {p: (right, num) for p, (right, num) in of.items()} for r, of in kept.items()})


def _search(lab: Laboratory, this: Round, seed: int, folder: Path) -> Path:
    """Searches the further problems as the round searched the run's own."""
    recipe = lab.seed_recipe(seed)
    job = search_job(this, recipe.rounds[this.number - 1], find_model(recipe.base_model))
    source = recipe.held_out.problems
    size = len(load_problems(source).problems)
    further = source.model_copy(update={"skip": source.skip + size, "num_problems": lab.settings.pair_problems})
    began = time.monotonic()
    with TreeStore(folder, recipe.runtime.trees_per_part) as store:
        stage = f"seed {seed}, {this.name}, further held-out search"
        problems = load_problems(further).problems
        search_problems(lab.pool(), job, problems, store, this.seed(seed), (), lab.progress, stage)
    lab.log("pairs", seed=seed, round=this.number, seconds=time.monotonic() - began)
    return folder


def _pairs(lab: Laboratory, trees: Path) -> list[PreferencePair]:
    return select(read_trees(trees), every_pair(lab.recipe.selection), None).pairs


def _rank(ppm: Path, pairs: list[PreferencePair]) -> dict[str, dict[str, list[float]]]:
    from rstar_math.training.ppm import pair_margins

    margins: dict[str, Sequence[float | None]] = {
        "PPM": pair_margins(ppm, pairs) if pairs else [],
        "log-probability per token": logprob_margins(pairs, per_token=True),
        "log-probability": logprob_margins(pairs, per_token=False),
        "shorter": length_margins(pairs),
    }
    ranked: dict[str, dict[str, list[float]]] = {}
    for ranker, of_pairs in margins.items():
        found: dict[str, list[float]] = {pair.problem: [0, 0] for pair in pairs}
        for pair, margin in zip(pairs, of_pairs, strict=True):
            if margin is not None:
                found[pair.problem][0] += ranking_credit(margin)
                found[pair.problem][1] += 1
        ranked[ranker] = found
    return ranked
