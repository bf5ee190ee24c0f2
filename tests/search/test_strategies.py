"""Strategies by name, and from a file of one's own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.strategies import STRATEGIES, strategy
from rstar_math.types import Problem
from tests.growing import fake_environment

MINE = """
from rstar_math.search.expansion import expand
from rstar_math.tree import Tree

async def one_level(env, settings):
    tree = Tree.start(env.problem, "one_level", env.seed)
    await expand(env, tree, tree.root, settings)
    tree.stopped = "rollouts"
    tree.cost = env.finish()
    return tree

def not_async(env, settings):
    return None
"""


def test_a_function_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    found = strategy(f"{tmp_path}/mine.py:one_level")
    env = fake_environment(Problem("p", "Question?", "1"))
    tree = asyncio.run(found(env, SearchSettings(num_candidates=3)))
    assert tree.strategy == "one_level"
    assert len(tree.nodes) > 1
    assert tree.cost.tokens_generated > 0


def test_the_names_that_are_known() -> None:
    assert {"greedy", "sample", "beam", "diverse_beam", "mcts"} <= set(STRATEGIES)
    for name, function in STRATEGIES.items():
        assert strategy(name) is function


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("nothing", "strategy 'nothing' is not known; choose from greedy, .* my_file.py:my_strategy"),
        ("mine.txt:f", "is not known"),
        ("missing.py:f", "there is no file"),
        ("mine.py:absent", "'absent' is not an async function .* which has one_level"),
        ("mine.py:not_async", "'not_async' is not an async function"),
        ("broken.py:f", "cannot be run: ZeroDivisionError"),
        ("grammar.py:f", "cannot be run: SyntaxError"),
    ],
)
def test_what_is_not_a_strategy(spec: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(MINE)
    Path("broken.py").write_text("1 / 0\n")
    Path("grammar.py").write_text("def f(:\n")
    with pytest.raises(ConfigError, match=message):
        strategy(spec)
