"""The strategies by name, and what is to be known of each.

A new one is one async function `(Environment, SearchSettings) -> Tree`, and one line here.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from rstar_math.config import SearchSettings
from rstar_math.errors import ConfigError
from rstar_math.plugins import run_own
from rstar_math.search.ab_mcts import ab_mcts
from rstar_math.search.beam import beam, diverse_beam
from rstar_math.search.budget import BudgetSpent
from rstar_math.search.entropy import entropy
from rstar_math.search.environment import Environment
from rstar_math.search.forest import forest
from rstar_math.search.mass import mass
from rstar_math.search.mcts import mcts
from rstar_math.search.particles import particles
from rstar_math.search.sampling import greedy, sample
from rstar_math.tree import Tree

Grow = Callable[[Environment, SearchSettings], Coroutine[Any, Any, Tree]]
"""What a strategy does: grows the tree of one search."""

CandidateKind = Literal["single", "samples", "found"]
"""The candidates of an answer: a single one; samples of the policy, from which pass@k can be estimated; what a search
found, one after the other."""


@dataclass(frozen=True, slots=True)
class Strategy:
    """A way to search, and what others must know of it.

    Attributes:
      name: as settings and tables have it; for one of your own `my_file.py:my_strategy`.
      grow: grows the tree of one search.
      is_independent: rollouts do not know of one another, so that each finished one is a vote, equal ones too. Where
        they do, equal solutions are one vote.
      is_sampling: rollouts are whole solutions drawn from the policy, so that pass@k and maj@k are estimated from
        them. The unfinished ones count too.
      is_deterministic: it gives one solution, whatever the seed: a second tree would be the first again.
      needs_value: it must know what an answer is worth while it searches: by the reference, or by a reward model.
    """

    name: str
    grow: Grow
    is_independent: bool = False
    is_sampling: bool = False
    is_deterministic: bool = False
    needs_value: bool = False

    @property
    def candidates(self) -> CandidateKind:
        """What the candidates of an answer are to whoever measures them."""
        if self.is_deterministic:
            return "single"
        return "samples" if self.is_sampling else "found"

    def needs_reward_model(self, settings: SearchSettings) -> bool:
        """Whether a search by these settings cannot do without a reward model."""
        if self.is_deterministic:
            return False
        return settings.use_ppm or (self.needs_value and settings.terminal_value == "ppm")


STRATEGIES: dict[str, Strategy] = {
    found.name: found
    for found in (
        Strategy("greedy", greedy, is_deterministic=True),
        Strategy("sample", sample, is_independent=True, is_sampling=True),
        Strategy("beam", beam, needs_value=True),
        Strategy("diverse_beam", diverse_beam, needs_value=True),
        Strategy("mcts", mcts, needs_value=True),
        Strategy("ab_mcts", ab_mcts, needs_value=True),
        Strategy("forest", forest, is_independent=True, needs_value=True),
        Strategy("mass", mass, is_independent=True, needs_value=True),
        Strategy("entropy", entropy, is_independent=True, needs_value=True),
        Strategy("particles", particles, needs_value=True),
    )
}


def strategy(name: str) -> Strategy:
    """The strategy of that name, or the one that a file holds: `my_file.py:my_strategy`.

    In a file it is an async function `(Environment, SearchSettings) -> Tree`, or a `Strategy` around one where
    something is to be said of it, for example that its rollouts are independent.

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
        tree = await strategy(name).grow(env, settings)
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
    module = run_own(path, f"strategy {path}:{function}")
    found = vars(module).get(function)
    name = f"{path}:{function}"
    if isinstance(found, Strategy):
        return replace(found, name=name)  # so that a worker process finds it again
    if not inspect.iscoroutinefunction(found):
        names = [n for n, f in vars(module).items() if _is_own_strategy(f, module.__name__)]
        raise ConfigError(
            f"strategy {name}: {function!r} is not an async function (Environment, SearchSettings) -> Tree of the "
            f"file, nor a Strategy around one; the file has {', '.join(names) or 'none'}"
        )
    return Strategy(name, found)


def _is_own_strategy(value: object, module: str) -> bool:
    if isinstance(value, Strategy):
        return True
    return inspect.iscoroutinefunction(value) and value.__module__ == module
