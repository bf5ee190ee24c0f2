"""The searches of a server: begun, watched, hurried, given up; each in a slot, each in a task of its own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from rstar_math.api.thinking import Thinking
from rstar_math.errors import RStarError, UserError
from rstar_math.search.course import Course
from rstar_math.search.events import Answered, Event
from rstar_math.serve.counters import Counters
from rstar_math.serve.dial import Dial
from rstar_math.serve.errors import RequestError, from_error
from rstar_math.serve.health import Health
from rstar_math.serve.slots import Slots
from rstar_math.types import Solution


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, and how it is to be thought about."""

    question: str
    dial: Dial
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one `Ask`.

    Attributes:
      ask: what was asked.
      solution: what was found.
      events: the course of the search, where it was not streamed.
      num_question_tokens: of the question as the policy read it.
      was_hurried: the thinking was ended from outside, by the client, by the limit of time or at the server's end.
    """

    ask: Ask
    solution: Solution
    events: tuple[Event, ...]
    num_question_tokens: int
    was_hurried: bool


@dataclass(frozen=True, slots=True)
class Begun:
    """A search has got its slot."""


Happening = Begun | Event | Outcome | RequestError


class Running:
    """A request under way: one search for each of its choices.

    Attributes:
      id: of the reply.
      client_id: what the client calls the request, or None.
      created: when it came, in seconds since 1970.
    """

    def __init__(self, searches: Searches, id: str, client_id: str | None, asks: Sequence[Ask], streams: bool) -> None:
        self.id, self.client_id, self.created = id, client_id, int(time.time())
        self.is_hurried = False
        self._searches, self._streams, self._num_left = searches, streams, len(asks)
        self._happened: asyncio.Queue[tuple[int, Happening]] = asyncio.Queue()
        self._thinking: set[Thinking] = set()
        self._courses: dict[int, Course] = {}
        self._tasks = [asyncio.create_task(self._think(i, ask)) for i, ask in enumerate(asks)]
        for task in self._tasks:
            task.add_done_callback(self._one_ended)

    async def happenings(self) -> AsyncIterator[tuple[int, Happening]]:
        """What happens, with the number of the choice; each choice ends with its `Outcome` or an error."""
        num_left = len(self._tasks)
        while num_left:
            index, happening = await self._happened.get()
            num_left -= isinstance(happening, Outcome | RequestError)
            yield index, happening

    async def outcomes(self) -> list[Outcome]:
        """What came of all choices.

        Raises:
          RequestError: one of them failed; the others are given up.
        """
        found: dict[int, Outcome] = {}
        async for index, happening in self.happenings():
            if isinstance(happening, RequestError):
                raise happening
            if isinstance(happening, Outcome):
                found[index] = happening
        return [found[index] for index in sorted(found)]

    def answer_now(self) -> None:
        """Ends the thinking of all choices; those in the queue end as soon as they begin."""
        self.is_hurried = True
        for thinking in self._thinking:
            thinking.answer_now()

    def give_up(self) -> None:
        """Stops the searches that have not ended; does not wait."""
        for task in self._tasks:
            task.cancel()

    async def ended(self) -> None:
        """Waits until nothing of it runs any more."""
        await asyncio.wait(self._tasks)

    def _one_ended(self, task: asyncio.Task[None]) -> None:
        self._num_left -= 1
        if not self._num_left:
            self._searches.forget(self)

    async def _think(self, index: int, ask: Ask) -> None:
        counters, health, name = self._searches.counters, self._searches.health, ask.dial.name.partition(":")[0]
        try:
            happening: Happening = await self._thought(index, ask)
        except asyncio.CancelledError:
            counters.ended(name, "given_up", self._courses.pop(index, None))
            raise
        except RStarError as error:
            counters.ended(name, "failed", self._courses.pop(index, None))
            if not isinstance(error, UserError):
                health.failed(name, error)
            happening = from_error(error)
        self._happened.put_nowait((index, happening))

    async def _thought(self, index: int, ask: Ask) -> Outcome:
        searches, asked, dial = self._searches, time.monotonic(), ask.dial
        async with searches.slots.slot():
            searches.counters.queued(time.monotonic() - asked)
            self._happened.put_nowait((index, Begun()))
            async with dial.model.stream(
                ask.question,
                dial.strategy,
                max_rollouts=dial.rollouts,
                max_tokens=dial.tokens,
                max_seconds=dial.seconds,
                seed=ask.seed,
            ) as thinking:
                self._thinking.add(thinking)
                self._courses[index] = thinking.course
                limit = asyncio.get_running_loop().call_later(searches.request_s, thinking.answer_now)
                try:
                    if self.is_hurried:
                        thinking.answer_now()
                    solution, events = await self._watched(index, thinking)
                finally:
                    limit.cancel()
                    self._thinking.discard(thinking)
            course = self._courses.pop(index)
            searches.counters.answered(dial.name.partition(":")[0], solution, course.num_trees)
            return Outcome(ask, solution, tuple(events), course.tokens_question, course.is_ended)

    async def _watched(self, index: int, thinking: Thinking) -> tuple[Solution, list[Event]]:
        """The solution; what is not streamed is read when it is there, so that the search is not held up."""
        if not self._streams:
            solution = await thinking.solution()
            events = thinking.events()
            for event in events:
                self._searches.counters.heard(event)
            return solution, events
        async for event in thinking:
            if isinstance(event, Answered):
                return event.solution, []
            self._searches.counters.heard(event)
            self._happened.put_nowait((index, event))
        raise AssertionError("a stream of events ended without an answer")


class Searches:
    """All requests under way.

    Attributes:
      slots: where searches run and wait.
      counters, health: told what happens.
      request_s: seconds that an answer may be thought about.
      is_closing: the server is ending, and begins nothing.
    """

    def __init__(self, slots: Slots, counters: Counters, health: Health, request_s: float) -> None:
        self.slots, self.counters, self.health, self.request_s = slots, counters, health, request_s
        self.is_closing = False
        self._running: dict[str, Running] = {}

    def begin(self, kind: str, client_id: str | None, asks: Sequence[Ask], streams: bool) -> Running:
        """Begins the searches of a request.

        Args:
          kind: what its id begins with.
          client_id: what the client calls it.
          asks: one for each choice.
          streams: its events are read while they come.

        Raises:
          RequestError: the server is ending, a model does not work, or the queue is full.
        """
        if self.is_closing:
            raise RequestError(503, "the server is ending", code="unavailable", retry_after_s=5)
        for ask in asks:
            self.health.check(ask.dial.name.partition(":")[0])
        self.slots.check(len(asks))
        running = Running(self, f"{kind}-{secrets.token_hex(12)}", client_id, asks, streams)
        self._running[running.id] = running
        return running

    def answer_now(self, id: str) -> int:
        """Ends the thinking of a request, by its id or by what the client called it; gives how many there are."""
        found = [r for r in self._running.values() if id in (r.id, r.client_id)]
        for running in found:
            running.answer_now()
        return len(found)

    def forget(self, running: Running) -> None:
        """It has ended."""
        self._running.pop(running.id, None)

    async def aclose(self, within_s: float, grace_s: float = 5.0) -> None:
        """Lets what runs end within so many seconds; then has the best answers so far, then gives up the rest."""
        self.is_closing = True
        if await self._wait(within_s):
            return
        for running in list(self._running.values()):
            running.answer_now()
        if not await self._wait(grace_s):
            self.give_up()
            await self._wait(grace_s)

    def give_up(self) -> None:
        """Stops every search; does not wait."""
        self.is_closing = True
        for running in list(self._running.values()):
            running.give_up()

    async def _wait(self, within_s: float) -> bool:
        """Whether all has ended within so many seconds."""
        waiting = [asyncio.create_task(running.ended()) for running in self._running.values()]
        if not waiting:
            return True
        _, left = await asyncio.wait(waiting, timeout=within_s)
        for task in left:
            task.cancel()
        return not left
