"""How well the PPM of a round ranks steps, on pairs of problems that no training has seen.

A run measures its PPMs on half of its held-out problems (`rstar_math.evolve`, `train_ppm`), a few dozen pairs in a
round at the pocket scale. Where the recipe asks for more (`reproduce.pair_problems`), further held-out problems are
searched with the models and settings of the round's own search, and their pairs count too.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rstar_math.benchmarks.problems import load_problems
from rstar_math.models import find_model
from rstar_math.reproduce.laboratory import Laboratory, stage_made
from rstar_math.scorers import FinishedRound
from rstar_math.stages import pair_length_accuracy, pair_logprob_accuracy, search_problems, select
from rstar_math.store.files import read_json, write_json
from rstar_math.store.records import TreeStore, read_trees
from rstar_math.types import PreferencePair
from rstar_math.workers import SearchJob


@dataclass(frozen=True, slots=True)
class PairAccuracy:
    """Shares of held-out pairs ranked right, by the PPM of a round and by rules that cost nothing.

    Attributes:
      num_pairs: pairs; with none the shares are None.
      ppm: by the PPM.
      logprob_per_token: the step that the policy found likelier, per token.
      logprob: the same, as a whole.
      length: the shorter step.
    """

    num_pairs: int
    ppm: float | None
    logprob_per_token: float | None
    logprob: float | None
    length: float | None


def num_trained_pairs(lab: Laboratory, seed: int, number: int) -> int:
    """Pairs that the PPM of a round was trained on."""
    return int(stage_made(lab.run(seed), number, "ppm")["num_pairs"])


def pair_accuracy_of(lab: Laboratory, seed: int, number: int) -> PairAccuracy:
    """How well the PPM of a round ranks held-out pairs: both steps executed, no filter by margin or distance."""
    run = lab.run(seed)
    if not lab.settings.pair_problems:
        made = stage_made(run, number, "ppm")
        return PairAccuracy(
            made["num_measuring_pairs"],
            made["pair_accuracy"],
            made["pair_accuracy_by_logprob_per_token"],
            made["pair_accuracy_by_logprob"],
            made["pair_accuracy_by_length"],
        )
    place = lab.folder / "pairs" / f"seed-{seed}" / f"round-{number}"
    if not (place / "accuracy.json").exists():
        trees = _search(lab, run, seed, number, place / "trees")
        pairs = FinishedRound(run, number).held_out_pairs(steering=False) + _pairs(lab, trees)
        write_json(place / "accuracy.json", _measure(run / f"round-{number}" / "ppm", pairs))
    return PairAccuracy(**read_json(place / "accuracy.json"))


def _search(lab: Laboratory, run: Path, seed: int, number: int, folder: Path) -> Path:
    """Searches the further problems as the round searched the run's own."""
    recipe = lab.seed_recipe(seed)
    settings = recipe.rounds[number - 1]
    if settings.policy == "previous":
        policy, ppm = (run / f"round-{number - 1}" / name for name in ("policy", "ppm"))
    else:
        model = find_model(recipe.base_model if settings.policy == "base" else settings.policy)
        policy, ppm = model.policy, model.ppm  # type: ignore[assignment]
    job = SearchJob(policy, ppm if settings.search.use_ppm else None, "mcts", settings.search)
    source = recipe.held_out.problems
    size = len(load_problems(source).problems)
    further = source.model_copy(update={"skip": source.skip + size, "num_problems": lab.settings.pair_problems})
    began = time.monotonic()
    with TreeStore(folder, recipe.runtime.trees_per_part) as store:
        stage = f"seed {seed}, round {number}, further held-out search"
        first_seed = seed * 1_000_000 + number * 1_000
        search_problems(lab.pool(), job, load_problems(further).problems, store, first_seed, (), lab.progress, stage)
    lab.log("pairs", seed=seed, round=number, seconds=time.monotonic() - began)
    return folder


def _pairs(lab: Laboratory, trees: Path) -> list[PreferencePair]:
    unfiltered = lab.recipe.selection.model_copy(update={"min_q_margin": 0.0, "min_edit_distance": 0})
    return select(read_trees(trees), unfiltered, None).pairs


def _measure(ppm: Path, pairs: list[PreferencePair]) -> dict[str, Any]:
    from rstar_math.training.ppm import pair_accuracy

    return {
        "num_pairs": len(pairs),
        "ppm": pair_accuracy(ppm, pairs) if pairs else None,
        "logprob_per_token": pair_logprob_accuracy(pairs, per_token=True),
        "logprob": pair_logprob_accuracy(pairs, per_token=False),
        "length": pair_length_accuracy(pairs),
    }
