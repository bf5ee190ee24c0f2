"""What a search may await, for one problem: candidates, executions, values, grades; each counted in `cost`.

A strategy knows nothing of batches: many searches run at once, and the engines batch what is awaited at the same time.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.engines.base import Engine, Meter, RewardModel, Score, generate_metered
from rstar_math.errors import ConfigError, ContextLengthError
from rstar_math.execution.base import BatchExecutor, Executor, Recorder
from rstar_math.grading.base import Grader
from rstar_math.search.budget import Budget, BudgetSpent
from rstar_math.search.confirm import run_again
from rstar_math.search.events import Listener, Proposal, StepsProposed
from rstar_math.search.forms import form_of
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Cost, Execution, FinishReason, Problem, SamplingParams, Trajectory, Verdict


class Environment:
    """The world of one search.

    Attributes:
      problem: what is being solved.
      seed: seed of the search.
      rng: the search's own generator, seeded from (seed, problem id) and from nothing that runs beside it.
      cost: what the search has cost so far, exact in every field.
      budget: what it may cost; without limits unless somebody sets another.
      unmarked: why completions ended that did not end at a marker, and how many did so.
      num_prompt_tokens: tokens of the first prompt, which is the question; 0 before it was sent.
      no_room: what the policy said of a prefix that left no room in its context; None where that did not happen.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        executor: Executor,
        grader: Grader,
        reward_model: RewardModel | None = None,
        seed: int = 0,
    ) -> None:
        self.problem = problem
        self.seed = seed
        self.rng = random.Random(f"{seed}/{problem.id}")
        self.cost = Cost()
        self.budget = Budget()
        self.unmarked: Counter[FinishReason] = Counter()
        self.no_room: str | None = None
        self.num_prompt_tokens = 0
        self._listener: Listener | None = None
        self._watcher: Callable[[Tree], None] | None = None
        self._number = 0
        self._engine, self._executor, self._grader, self._reward_model = engine, executor, grader, reward_model
        self._batch_executor = executor if isinstance(executor, BatchExecutor) else None
        self._started = time.monotonic()

    @property
    def has_reward_model(self) -> bool:
        return self._reward_model is not None

    @property
    def reference(self) -> str:
        """The reference answer.

        Raises:
          ConfigError: the problem has none, so that only `terminal_value: ppm` can value its answers.
        """
        if self.problem.answer is None:
            raise ConfigError(f"problem {self.problem.id} has no reference answer; search it with terminal_value: ppm")
        return self.problem.answer

    def hear(self, listener: Listener, number: int) -> None:
        """From now on `listener` is told what is proposed; `number` is this search's within its answer."""
        self._listener, self._number = listener, number

    def watch(self, watcher: Callable[[Tree], None]) -> None:
        """From now on `watcher` is shown the tree whenever it has got candidates; it must not block."""
        self._watcher = watcher

    def tell_proposed(self, tree: Tree, node: Node, since: int = 0) -> None:
        """Tells whoever listens of the candidates of a node, from the `since`-th on, when they were run and scored."""
        if self._watcher is not None:
            self._watcher(tree)
        if self._listener is None or len(node.children) <= since:
            return
        children = [tree.nodes[i] for i in node.children[since:]]
        candidates = tuple(
            Proposal(c.step, c.num_proposed, c.rejected, c.ppm_score, c.terminal == "answer")
            for c in children
            if c.step
        )
        self._listener(StepsProposed(self._number, tuple(tree.steps(node)), candidates))

    @contextmanager
    def within_budget(self, tree: Tree) -> Iterator[None]:
        """Ends the block where the budget is spent, and says so in `tree.stopped`."""
        try:
            yield
        except BudgetSpent:
            tree.stopped = "budget"

    async def propose(
        self, prefix: str, num_candidates: int, settings: SearchSettings, *, finishing: bool = False
    ) -> Sequence[Completion]:
        """Asks the policy for candidates of the next step.

        Args:
          prefix: the text to go on from.
          num_candidates: candidates wanted; fewer come where the budget ends.
          settings: of the search.
          finishing: the program is finished and only its answer is missing: one candidate is drawn at any budget.

        Returns:
          The candidates; none where the prefix leaves no room in the policy's context.

        Raises:
          BudgetSpent: not a single candidate fits into what is left.
        """
        form = form_of(settings)
        params = self._params(settings, form.step_stops, form.max_step_tokens(settings))
        is_first = not self.budget.knows("step")
        drawn = await self._draw(prefix, num_candidates, params, "step", at_least=1 if finishing else 0)
        if is_first and 0 < len(drawn) < num_candidates:  # one that tells how long the others will be
            with suppress(BudgetSpent):
                drawn += await self._draw(prefix, num_candidates - len(drawn), params, "step")
        return drawn

    async def propose_solutions(self, prefix: str, num_solutions: int, settings: SearchSettings) -> list[Completion]:
        """Asks the policy for whole solutions, as far as they go without the executor; otherwise as `propose`.

        Under a limit of tokens the first request draws a single one, from which the length of the others is known.
        """
        params = self._params(settings, form_of(settings).solution_stops, settings.max_solution_tokens)
        return await self._draw(prefix, num_solutions, params, "solution")

    async def finish_solution(self, prefix: str, settings: SearchSettings) -> list[Completion]:
        """Asks the policy for the answer of a solution whose code has run, at any budget; otherwise as `propose`."""
        params = self._params(settings, step_format.STOPS, settings.max_step_tokens)
        return await self._draw(prefix, 1, params, "solution", at_least=1, counts=False)

    def _params(self, settings: SearchSettings, stop: Sequence[str], max_tokens: int) -> SamplingParams:
        temperature, top_p = settings.temperature, settings.top_p
        return SamplingParams(temperature=temperature, top_p=top_p, max_tokens=max_tokens, stop=tuple(stop))

    async def _draw(
        self,
        prefix: str,
        num_candidates: int,
        params: SamplingParams,
        kind: str,
        at_least: int = 0,
        counts: bool = True,
    ) -> list[Completion]:
        """One request, within the budget.

        Args:
          prefix: the text to go on from.
          num_candidates: candidates wanted.
          params: all but their number and the seed.
          kind: candidates of one kind are of similar length.
          at_least: candidates that are drawn whatever is left.
          counts: whether they are candidates of their kind; False: only further tokens of those.
        """
        granted = self.budget.reserve(num_candidates, params.max_tokens, kind, at_least=at_least)
        if granted.num_candidates == 0:
            raise BudgetSpent
        params = replace(params, n=granted.num_candidates, seed=self.rng.getrandbits(62))
        completions: Sequence[Completion] = ()
        meter = Meter()  # what is given up has cost what it has cost
        try:
            generation = await self.budget.within_time(generate_metered(self._engine, prefix, params, meter))
            completions = generation.completions
        except ContextLengthError as error:
            self.no_room = str(error)
            return []
        finally:
            self.budget.pay(granted, len(completions) if counts else 0, meter.num_tokens)
            self.cost.tokens_prompt += meter.num_prompt_tokens
            self.cost.tokens_generated += meter.num_tokens
            self.cost.model_calls += bool(completions or meter.num_prompt_tokens)
        self.num_prompt_tokens = self.num_prompt_tokens or generation.num_prompt_tokens
        self.unmarked.update(_why_ended(c, params) for c in completions if c.stop is None)
        return list(completions)

    async def execute_all(self, prefix: Sequence[str], codes: Sequence[str]) -> list[Execution]:
        """Runs each of several steps' code after the code of the steps before them.

        Raises:
          BudgetSpent: the time ran out before they ended.
        """
        if self._batch_executor is not None:
            executions = await self.budget.within_time(self._batch_executor.execute_all(prefix, codes))
        else:
            each = all_of(self._executor.execute(prefix, code) for code in codes)
            executions = await self.budget.within_time(each)
        self.cost.executions += len(executions)
        self.cost.cpu_seconds += sum(execution.seconds for execution in executions)
        return executions

    async def record_program(self, steps: Sequence[str]) -> list[Execution]:
        """Runs a whole program, and records what each of its statements does.

        Raises:
          ConfigError: the executor cannot.
          BudgetSpent: the time ran out before it ended.
        """
        if not isinstance(self._executor, Recorder):
            raise ConfigError("search.observation is official, but the executor does not record statements; use full")
        executions = await self.budget.within_time(self._executor.record_program(steps))
        self.cost.executions += len(executions)
        self.cost.cpu_seconds += sum(execution.seconds for execution in executions)
        return executions

    async def score(self, texts: Sequence[str]) -> Sequence[Score | None]:
        """Asks the reward model for its opinion of each text; None for one that is longer than its context."""
        if self._reward_model is None:
            raise ConfigError("this search needs a reward model (use_ppm or terminal_value: ppm), and none was given")
        try:
            scores = await self.budget.within_time(self._reward_model.score(texts))
        except ContextLengthError:
            if len(texts) == 1:
                return [None]
            return [(await self.score([text]))[0] for text in texts]
        self.cost.model_calls += 1
        self.cost.tokens_scored += sum(s.num_tokens for s in scores)
        return scores

    async def confirm(self, trajectory: Trajectory) -> bool:
        """Whether the trajectory's program, run once more in a fresh process, ends and prints as it did in the search.

        Warm workers and remembered results save time in a search; nothing that is shown or counted rests on them alone.
        """
        same, again = await run_again(trajectory, self._executor)
        self.cost.executions += len(again)
        self.cost.cpu_seconds += sum(execution.seconds for execution in again)
        return same

    async def grade(self, gold: str, prediction: str | None) -> Verdict:
        """Compares two answers."""
        verdict = await self._grader.grade(gold, prediction)
        self.cost.grades += 1
        self.cost.cpu_seconds += verdict.seconds
        return verdict

    async def is_correct(self, answer: str | None) -> bool:
        """Whether an answer means the same as the reference; a missing answer does not, and costs no comparison."""
        reference = self.reference
        return answer is not None and (await self.grade(reference, answer)).equal

    def finish(self) -> Cost:
        """The total cost, with the wall seconds since the search began."""
        self.cost.seconds = time.monotonic() - self._started
        return self.cost


def _why_ended(completion: Completion, params: SamplingParams) -> FinishReason:
    """Why a completion without a marker ended, also where its engine does not say."""
    if completion.finish_reason != "unknown":
        return completion.finish_reason
    return "length" if completion.num_tokens >= params.max_tokens else "end"
