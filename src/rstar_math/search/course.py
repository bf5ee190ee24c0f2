"""How far an answer has come, to be read and ended from outside while it is thought about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rstar_math.search.budget import Budget
from rstar_math.search.environment import Environment
from rstar_math.search.events import Event, Listener
from rstar_math.types import Cost


class Course:
    """How far an answer has come. `answer` keeps it up to date; it may be read meanwhile, from any thread.

    Attributes:
      num_trees: trees that are finished.
      leading: the answer that is ahead; None where there is none yet.
      share: its share of the vote, in [0, 1].
      is_ended: somebody asked for the answer now.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self.num_trees = 0
        self.leading: str | None = None
        self.share = 0.0
        self.is_ended = False
        self.listener = listener
        self._environments: list[Environment] = []
        self._budget: Budget | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def tokens_generated(self) -> int:
        """Tokens that the policy has generated, discarded candidates included."""
        return sum(env.cost.tokens_generated for env in list(self._environments))

    @property
    def cost(self) -> Cost:
        """What it has cost, of what has ended or was given up."""
        total = Cost()
        for env in list(self._environments):
            total.add(env.cost)
        return total

    @property
    def tokens_question(self) -> int:
        """Tokens of the question as the policy reads it, its opening included; 0 before the first candidates."""
        return next((env.num_prompt_tokens for env in list(self._environments) if env.num_prompt_tokens), 0)

    @property
    def executions(self) -> int:
        """Step programs that have been run."""
        return sum(env.cost.executions for env in list(self._environments))

    def answer_now(self) -> None:
        """Ends the thinking: what is under way is given up, and the best answer so far is chosen. From any thread."""
        self.is_ended = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def begin_answer(self, budget: Budget) -> None:
        """An answer within this budget begins, in the running event loop."""
        self._budget, self._loop = budget, asyncio.get_running_loop()
        if self.is_ended:
            self._end()

    def begin(self, environments: Sequence[Environment]) -> None:
        """Further trees begin to grow."""
        self._environments += environments

    def note(self, num_trees: int, leading: str | None, share: float) -> None:
        """So many trees are finished; this answer is ahead."""
        self.num_trees, self.leading, self.share = num_trees, leading, share

    def tell(self, event: Event) -> None:
        """Passes an event on, where somebody listens."""
        if self.listener is not None:
            self.listener(event)

    def _end(self) -> None:
        assert self._budget is not None
        self._budget.end()
