"""What one answer may cost: rollouts, generated tokens, wall seconds; shared by all searches of the answer.

A search is told that nothing is left by `BudgetSpent`, which only `Environment.within_budget` catches: what was
finished before stands.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from rstar_math.config import BudgetSettings

T = TypeVar("T")


GIVEN_UP = "given up: the time was over before its program had ended"
"""Why a sampled step was rejected that could not be run any more."""


class BudgetSpent(Exception):
    """Nothing is left of a limit: the search stops where it is."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Candidates that were granted.

    Attributes:
      num_candidates: how many.
      kind: their kind.
      num_tokens: tokens set aside for them.
    """

    num_candidates: int
    kind: str
    num_tokens: float


@dataclass(slots=True)
class Solutions:
    """How long the solutions are that were finished so far, in all searches of an answer.

    Attributes:
      count: how many.
      num_tokens: their tokens in all.
      num_steps: their steps in all.
    """

    count: int = 0
    num_tokens: int = 0
    num_steps: int = 0

    def note(self, num_tokens: int, num_steps: int) -> None:
        """One more was finished."""
        self.count, self.num_tokens, self.num_steps = (
            self.count + 1,
            self.num_tokens + num_tokens,
            self.num_steps + num_steps,
        )

    @property
    def mean_tokens(self) -> float:
        """Of one solution, at least 1."""
        return max(1.0, self.num_tokens / self.count)

    @property
    def mean_steps(self) -> float:
        """Of one solution, at least 1."""
        return max(1.0, self.num_steps / self.count)


class Budget:
    """A running account against the limits of `BudgetSettings`; without limits everything is granted.

    Limits are not passed knowingly. A request for candidates is cut to what fits by the mean length of earlier
    candidates of its kind; where none is known yet, one is drawn first. So generated tokens pass their limit by the
    deviation of one request's candidates from that mean, and by the answer step of a solution whose code is finished.

    Attributes:
      limits: what may be spent.
      num_rollouts: rollouts begun.
      num_tokens: tokens generated.
      solutions: as far as strategies note them here, what a finished solution takes.
    """

    def __init__(self, limits: BudgetSettings | None = None) -> None:
        self.limits = limits or BudgetSettings()
        self.num_rollouts = 0
        self.num_tokens = 0
        self.solutions = Solutions()
        self._drawn: dict[str, tuple[int, int]] = {}
        self._reserved = 0.0
        self._started = time.monotonic()
        self._is_ended = False
        self._waiting: set[asyncio.Timeout] = set()

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return self.limits.limited

    @property
    def spent(self) -> bool:
        """Whether a limit has been reached."""
        rollouts, tokens = self.limits.rollouts, self.limits.tokens
        return (
            (rollouts is not None and self.num_rollouts >= rollouts)
            or (tokens is not None and self.num_tokens >= tokens)
            or self.seconds_left == 0
        )

    @property
    def seconds_left(self) -> float | None:
        """Wall seconds that are left; None without such a limit."""
        if self._is_ended:
            return 0.0
        if self.limits.seconds is None:
            return None
        return max(0.0, self._started + self.limits.seconds - time.monotonic())

    @property
    def tokens_left(self) -> int | None:
        """Tokens that are left, what is set aside included; None without such a limit."""
        return None if self.limits.tokens is None else max(0, self.limits.tokens - self.num_tokens)

    @property
    def rollouts_left(self) -> int | None:
        """Rollouts that are left; None without such a limit."""
        return None if self.limits.rollouts is None else max(0, self.limits.rollouts - self.num_rollouts)

    def book_rollouts(self, num_rollouts: int) -> None:
        """Says how many rollouts were made in all, for strategies that make them without asking `begin_rollouts`."""
        self.num_rollouts = max(self.num_rollouts, num_rollouts)

    def begin_rollouts(self, wanted: int) -> int:
        """Takes up to `wanted` rollouts from the account.

        Raises:
          BudgetSpent: there is none left, or another limit has been reached.
        """
        if self.spent:
            raise BudgetSpent
        limit = self.limits.rollouts
        granted = wanted if limit is None else min(wanted, limit - self.num_rollouts)
        self.num_rollouts += granted
        return granted

    def reserve(self, num_candidates: int, max_tokens: int, kind: str, *, at_least: int = 0) -> Reservation:
        """Sets tokens aside for the candidates that fit into what is left, until `pay` books what they took.

        Args:
          num_candidates: candidates wanted.
          max_tokens: most tokens of each.
          kind: candidates of one kind are of similar length.
          at_least: candidates that are granted whatever is left.

        Returns:
          How many candidates are granted, between `at_least` and `num_candidates`.

        Raises:
          BudgetSpent: no time is left.
        """
        if self.seconds_left == 0:
            raise BudgetSpent
        if self.limits.tokens is None:
            return Reservation(num_candidates, kind, 0.0)
        left = max(0.0, self.limits.tokens - self.num_tokens - self._reserved)
        drawn, tokens = self._drawn.get(kind, (0, 0))
        mean = max(tokens / drawn, 1.0) if drawn else float(max_tokens)
        fitting = min(num_candidates, int(left / mean))
        if drawn == 0 and fitting < num_candidates:
            fitting = min(1, int(left))
        fitting = max(fitting, at_least)
        self._reserved += fitting * mean
        return Reservation(fitting, kind, fitting * mean)

    def knows(self, kind: str) -> bool:
        """Whether any candidate of this kind has been paid, so that the length of the others can be estimated."""
        return self._drawn.get(kind, (0, 0))[0] > 0

    def pay(self, reservation: Reservation, num_candidates: int, num_tokens: int) -> None:
        """Books what was drawn on a reservation, with its tokens in all; nothing drawn: gives the reservation back."""
        self._reserved -= reservation.num_tokens
        self.num_tokens += num_tokens
        drawn, tokens = self._drawn.get(reservation.kind, (0, 0))
        self._drawn[reservation.kind] = drawn + num_candidates, tokens + num_tokens

    async def within_time(self, work: Awaitable[T]) -> T:
        """Awaits `work`, and gives it up when the time has run out, or when `end` is called.

        Raises:
          BudgetSpent: it was given up.
        """
        try:
            async with asyncio.timeout(self.seconds_left) as limit:
                self._waiting.add(limit)
                try:
                    return await work
                finally:
                    self._waiting.discard(limit)
        except TimeoutError:
            if not limit.expired():  # it is the work's own
                raise
            raise BudgetSpent from None

    def end(self) -> None:
        """Nothing is left from now on, and what is awaited is given up. In the thread of the search."""
        self._is_ended = True
        for limit in self._waiting:
            limit.reschedule(asyncio.get_running_loop().time())
