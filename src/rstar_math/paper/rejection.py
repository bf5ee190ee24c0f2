"""Iterated rejection sampling: what the same rounds come to without a search, for the same tokens.

A control of tables 2, 3, 6 and 7. For each training seed a second run goes through the rounds of the recipe. In each it
draws whole solutions of the same training problems from its own last policy, for as many tokens as the round's search
generated; keeps right ones by the rules of the search's trajectories; and trains the base on them in the same way. What
the search spent on its further trees of unsolved problems, the control spends on the problems that it has not solved.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rstar_math.config import BudgetSettings, ExtraSearch, MethodSettings, Recipe
from rstar_math.config.reading import changed_recipe, unchecked_values
from rstar_math.models import ModelFolders
from rstar_math.paper.claims import Measured
from rstar_math.paper.laboratory import Laboratory
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import read_trees
from rstar_math.store.round import Round

NAME = "rejection sampling, iterated"
"""What tables call it."""

RULES = "sampling-rules"
"""The fragment that makes a recipe one of rejection sampling."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens that the search of a round generated on training problems.

    Attributes:
      first: on the first tree of every problem.
      further: on all further trees of unsolved problems.
    """

    first: int
    further: int


def tokens_spent(this: Round, of_run: int) -> Spent:
    """What a round's search spent.

    Args:
      this: a round that is whole.
      of_run: the seed of the run's recipe.
    """
    tokens = {True: 0, False: 0}
    for tree in read_trees(this.trees):
        tokens[tree.seed == this.seed(of_run)] += tree.cost.tokens_generated
    return Spent(tokens[True], tokens[False])


def sampled_recipe(recipe: Recipe, spent: Sequence[Spent]) -> Recipe:
    """The recipe of the control beside a run.

    Args:
      recipe: of the run.
      spent: of each of its rounds.
    """
    sampled = changed_recipe(recipe, unchecked_values(RULES), RULES)
    rounds = []
    for settings, tokens in zip(sampled.rounds, spent, strict=True):
        further = ExtraSearch(num_rollouts=settings.search.num_rollouts, num_tokens=max(1, tokens.further))
        extra = (further,) if tokens.further else ()
        rounds.append(settings.model_copy(update={"num_tokens": max(1, tokens.first), "extra": extra}))
    return sampled.model_copy(update={"name": f"{recipe.name}-samples", "rounds": tuple(rounds)})


def sampled_run(lab: Laboratory, seed: int) -> Path:
    """The finished control of a training seed, made where it is missing."""
    folder = lab.folder / "samples" / f"seed-{seed}"
    if "evaluate" not in Manifest(Round(folder, lab.num_rounds).folder):
        run, recipe = lab.run(seed), lab.seed_recipe(seed)
        spent = [tokens_spent(this, recipe.seed) for this in Round(run, lab.num_rounds).since(1)]
        lab.evolved(sampled_recipe(recipe, spent), folder, f"Rejection sampling beside the run of seed {seed}")
    return folder


def sampled_policy(lab: Laboratory, round_number: int) -> Measured:
    """The control's policy of a round, greedy."""
    return lab.of_run("greedy", round_number, f"{NAME}, round {round_number}", partial(sampled_run, lab))


def sampled_system(lab: Laboratory, round_number: int, beside: Measured) -> Measured:
    """What the control's policy of a round answers at test time: the majority of its samples.

    Args:
      lab: the laboratory.
      round_number: of the control.
      beside: the system that it stands beside; it may generate as many tokens for a problem.
    """
    answering = {"selector": "majority", "search": {"num_rollouts": 1, "temperature": lab.system.search.temperature}}
    method = MethodSettings(name="majority", strategy="sample", reward_model="none", answering=answering)
    return lab.measure(
        f"{NAME}, round {round_number}, majority",
        lambda seed: ModelFolders(f"samples-r{round_number}", Round(sampled_run(lab, seed), round_number).policy),
        method,
        budget=BudgetSettings(tokens=max(1, round(beside.mean("tokens_generated") or 0))),
    )
