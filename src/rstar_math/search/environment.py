"""What a search may await, for one problem: candidates, executions, values, grades; each counted in `cost`.

A strategy knows nothing of batches: many searches run at once, and the engines batch what is awaited at the same time.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.engines.base import Engine, Score, Scorer
from rstar_math.errors import ConfigError, ContextLengthError
from rstar_math.execution.base import Executor
from rstar_math.grading.base import Grader
from rstar_math.types import Completion, Cost, Execution, Problem, SamplingParams, Verdict


class Environment:
    """The world of one search.

    Attributes:
      problem: what is being solved.
      seed: seed of the search.
      rng: the search's own generator, seeded from (seed, problem id) and from nothing that runs beside it.
      cost: what the search has cost so far, exact in every field.
    """

    def __init__(
        self,
        problem: Problem,
        engine: Engine,
        executor: Executor,
        grader: Grader,
        scorer: Scorer | None = None,
        seed: int = 0,
    ) -> None:
        self.problem = problem
        self.seed = seed
        self.rng = random.Random(f"{seed}/{problem.id}")
        self.cost = Cost()
        self._engine, self._executor, self._grader, self._scorer = engine, executor, grader, scorer
        self._started = time.monotonic()

    @property
    def has_scorer(self) -> bool:
        return self._scorer is not None

    @property
    def reference(self) -> str:
        """The reference answer.

        Raises:
          ConfigError: the problem has none, so that only `terminal_value: ppm` can value its answers.
        """
        if self.problem.answer is None:
            raise ConfigError(f"problem {self.problem.id} has no reference answer; search it with terminal_value: ppm")
        return self.problem.answer

    async def propose(
        self,
        prefix: str,
        num_candidates: int,
        settings: SearchSettings,
        stop: Sequence[str] = step_format.STOPS,
        max_tokens: int | None = None,
    ) -> Sequence[Completion]:
        """Asks the policy for candidates of the next step (or, with other stops, for longer continuations).

        Returns:
          The candidates; none where the prefix leaves no room in the policy's context.
        """
        params = SamplingParams(
            n=num_candidates,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=max_tokens or settings.max_step_tokens,
            stop=tuple(stop),
            seed=self.rng.getrandbits(62),
        )
        try:
            generation = await self._engine.generate(prefix, params)
        except ContextLengthError:
            return ()
        self.cost.model_calls += 1
        self.cost.tokens_prompt += generation.num_prompt_tokens
        self.cost.tokens_generated += sum(c.num_tokens for c in generation.completions)
        return generation.completions

    async def execute(self, prefix: Sequence[str], code: str) -> Execution:
        """Runs a step's code after the code of the steps before it."""
        execution = await self._executor.execute(prefix, code)
        self.cost.executions += 1
        self.cost.cpu_seconds += execution.seconds
        return execution

    async def score(self, texts: Sequence[str]) -> Sequence[Score | None]:
        """Asks the reward model for its opinion of each text; None for one that is longer than its context."""
        if self._scorer is None:
            raise ConfigError("this search needs a reward model (use_ppm or terminal_value: ppm), and none was given")
        try:
            scores = await self._scorer.score(texts)
        except ContextLengthError:
            if len(texts) == 1:
                return [None]
            return [(await self.score([text]))[0] for text in texts]
        self.cost.model_calls += 1
        self.cost.tokens_scored += sum(s.num_tokens for s in scores)
        return scores

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
