"""The strategies by name. A new one is one async function `(Environment, SearchSettings) -> Tree` and one line here."""

from __future__ import annotations

import functools
import importlib.util
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.ab_mcts import ab_mcts
from rstar_math.search.beam import beam, diverse_beam
from rstar_math.search.budget import BudgetSpent
from rstar_math.search.environment import Environment
from rstar_math.search.forest import forest
from rstar_math.search.mcts import mcts
from rstar_math.search.sampling import greedy, sample
from rstar_math.tree import Tree

Strategy = Callable[[Environment, SearchSettings], Awaitable[Tree]]

STRATEGIES: dict[str, Strategy] = {
    "greedy": greedy,
    "sample": sample,
    "beam": beam,
    "diverse_beam": diverse_beam,
    "mcts": mcts,
    "ab_mcts": ab_mcts,
    "forest": forest,
}

SAMPLING = ("greedy", "sample")
"""Those that need no value of an answer while they draw."""


def strategy(name: str) -> Strategy:
    """The strategy of that name, or the function of a file: `my_file.py:my_strategy`.

    Raises:
      ConfigError: there is none, or the file cannot be run; the message lists the strategies that there are.
    """
    if name in STRATEGIES:
        return STRATEGIES[name]
    path, colon, function = name.rpartition(":")
    if colon and path.endswith(".py"):
        return _from_file(Path(path), function)
    raise ConfigError(
        f"strategy {name!r} is not known; choose from {', '.join(STRATEGIES)}, or name a function of your own as "
        "my_file.py:my_strategy"
    )


async def grow(name: str, env: Environment, settings: SearchSettings) -> Tree:
    """Grows a tree by the strategy of that name, and books what it cost.

    Raises:
      ConfigError: there is no such strategy; or a user's own gives no tree, or lets the end of the budget pass.
    """
    try:
        tree = await strategy(name)(env, settings)
    except BudgetSpent:
        raise ConfigError(
            f"strategy {name} does not end where its budget does; put what it asks of the environment inside "
            "`with env.within_budget(tree):` and return the tree behind it (docs/extending.md)"
        ) from None
    if not isinstance(tree, Tree):
        raise ConfigError(f"strategy {name} gave a {type(tree).__name__}; it must return a Tree")
    tree.cost = env.finish()  # exact, also where a strategy of the user's says nothing of its cost
    return tree


@functools.cache
def _from_file(path: Path, function: str) -> Strategy:
    if not path.is_file():
        raise ConfigError(f"strategy {path}:{function}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"rstar_math_strategy_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise ConfigError(
            f"strategy {path}:{function}: the file cannot be run: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, function, None)
    if not inspect.iscoroutinefunction(found):
        names = [n for n, f in vars(module).items() if inspect.iscoroutinefunction(f) and f.__module__ == spec.name]
        raise ConfigError(
            f"strategy {path}:{function}: {function!r} is not an async function (Environment, SearchSettings) -> Tree "
            f"of the file, which has {', '.join(names) or 'none'}"
        )
    return cast(Strategy, found)
