"""The recipe of the control: the tokens of each round's search, first trees and further ones apart."""

from __future__ import annotations

from pathlib import Path

from rstar_math.config.reading import load_recipe
from rstar_math.paper.rejection import Spent, sampled_recipe, tokens_spent
from rstar_math.store.records import TreeStore
from rstar_math.store.round import Round
from rstar_math.tree import Tree
from rstar_math.types import Problem


def test_tokens_of_first_and_of_further_trees(tmp_path: Path) -> None:
    this = Round(tmp_path, 2)
    with TreeStore(this.trees) as store:
        for problem, seed, tokens in (("a", 0, 100), ("b", 0, 50), ("b", 1, 30), ("b", 2, 7)):
            tree = Tree.start(Problem(problem, "How many?", "6"), "mcts", this.seed(5) + seed)
            tree.cost.tokens_generated = tokens
            store.append(tree)
    assert tokens_spent(this, 5) == Spent(150, 37)


def test_the_control_keeps_problems_training_and_sampling_of_the_recipe() -> None:
    recipe = load_recipe("smoke")
    sampled = sampled_recipe(recipe, [Spent(5000, 0), Spent(7000, 900)])
    assert [(r.strategy, r.num_tokens, r.train_ppm, r.search.use_ppm) for r in sampled.rounds] == [
        ("sample", 5000, False, False),
        ("sample", 7000, False, False),
    ]
    assert [[e.num_tokens for e in r.extra] for r in sampled.rounds] == [[], [900]]
    assert (sampled.problems, sampled.selection) == (recipe.problems, recipe.selection)
    assert sampled.evaluation.problems == recipe.evaluation.problems
    assert (sampled.evaluation.system, sampled.evaluation.control_problems) == (None, None)
    for ours, theirs in zip(sampled.rounds, recipe.rounds, strict=True):
        assert (ours.sft, ours.policy) == (theirs.sft, theirs.policy)
        assert ours.search.temperature == theirs.search.temperature
        assert ours.search.max_solution_tokens == theirs.search.max_solution_tokens
