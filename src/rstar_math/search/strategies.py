"""The strategies by name. A new one is one async function `(Environment, SearchSettings) -> Tree` and one line here."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.search.environment import Environment
from rstar_math.search.mcts import mcts
from rstar_math.search.sampling import greedy, sample
from rstar_math.tree import Tree

Strategy = Callable[[Environment, SearchSettings], Awaitable[Tree]]

STRATEGIES: dict[str, Strategy] = {
    "greedy": greedy,
    "sample": sample,
    "mcts": mcts,
}


def strategy(name: str) -> Strategy:
    """The strategy of that name.

    Raises:
      ConfigError: there is none; the message lists those that there are.
    """
    if name not in STRATEGIES:
        raise ConfigError(f"strategy {name!r} is not known; choose from {', '.join(STRATEGIES)}")
    return STRATEGIES[name]
