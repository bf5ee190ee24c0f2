"""Fresh descents within a budget: something is finished first, and every descent comes to its end."""

from __future__ import annotations

import pytest

from rstar_math.config import BudgetSettings, SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.budget import Budget
from rstar_math.search.fresh import affordable
from rstar_math.tree import Tree
from rstar_math.types import Problem, Step
from tests.growing import fake_environment, grow_fake, grow_script, path_of, timeless_row

SCRIPT = {"": ["a", "b"], "*": ["c", "d"], "*/*": ["e."], "*/*/*": ["=7"]}
UNSURE = dict.fromkeys("abcd", -5.0)  # so that every strategy wants as many candidates as it may


@pytest.mark.parametrize("strategy", ["mass", "entropy"])
def test_the_first_descent_finishes_at_any_budget(strategy: str) -> None:
    search = {"num_rollouts": 100, "num_candidates": 8, "num_answer_candidates": 1}
    tree = grow_script(SCRIPT, search, scores={}, strategy_name=strategy, logprobs=UNSURE, tokens=40)
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == ["a/c/e./=7"]
    assert tree.cost.tokens_generated == 40
    assert tree.stopped == "budget"


@pytest.mark.parametrize("strategy", ["mass", "entropy"])
def test_later_descents_draw_what_is_left(strategy: str) -> None:
    search = {"num_rollouts": 2, "num_candidates": 8, "num_answer_candidates": 1}
    tree = grow_script(SCRIPT, search, scores={}, strategy_name=strategy, logprobs=UNSURE, tokens=40 + 130)
    # the first took 40 for 4 steps; the second has 130 left and 40 to go: 3 candidates. Then 100 and 30: 3 again;
    # then 70 and 20: 3; then 40 for the answer
    assert [tree.nodes[i].terminal for i in tree.rollouts] == ["answer", "answer"]
    firsts = [tree.nodes[i] for i in tree.root.children]
    assert sum(n.num_proposed for n in firsts) == 1 + 3
    assert tree.cost.tokens_generated == 40 + 30 + 30 + 30 + 10


def test_what_is_affordable() -> None:
    env = fake_environment(Problem("p", "Q?"))
    tree = Tree.start(env.problem, "mass", 0)
    assert affordable(env, tree, tree.root, 1) > 1e9  # no limit
    env.budget = Budget(BudgetSettings(tokens=200))
    assert affordable(env, tree, tree.root, 1) == 1  # nobody knows how long a solution is
    env.budget.solutions.note(40, 4)
    env.budget.solutions.note(60, 6)
    assert affordable(env, tree, tree.root, 1) == 4  # 200 / 50
    assert affordable(env, tree, tree.root, 2) == 2
    node = tree.add(tree.root, Step("a"))
    node.num_tokens = 30
    assert affordable(env, tree, node, 1) == 10  # 200 / (50 - 30)
    node.num_tokens = 300  # longer than any before: at least one step is left, of 50 / 5 tokens
    assert affordable(env, tree, node, 1) == 20
    env.budget.pay(env.budget.reserve(1, 100, "step"), 1, 199)
    assert affordable(env, tree, node, 1) == 1


@pytest.mark.parametrize("strategy", ["mass", "entropy"])
@pytest.mark.parametrize("num_parallel", [1, 3])
def test_rollouts_are_fresh_at_any_number_side_by_side(strategy: str, num_parallel: int) -> None:
    settings = SearchSettings(num_rollouts=6, num_candidates=4, num_parallel=num_parallel)
    tree = grow_fake(strategy, settings)
    assert len(tree.rollouts) == 6
    assert timeless_row(grow_fake(strategy, settings)) == timeless_row(tree)


@pytest.mark.parametrize("strategy", ["mass", "entropy"])
def test_what_it_cannot_do(strategy: str) -> None:
    with pytest.raises(ConfigError, match=f"strategy {strategy} chooses steps by a reward model"):
        grow_script(SCRIPT, {"num_rollouts": 1}, strategy_name=strategy)
    with pytest.raises(ConfigError, match="needs answer_siblings: keep"):
        grow_script(SCRIPT, {"num_rollouts": 1, "answer_siblings": "drop"}, scores={}, strategy_name=strategy)
