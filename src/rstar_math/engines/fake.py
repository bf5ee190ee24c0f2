"""Public test doubles of a policy and a reward model: every output is a pure function of what was asked.

`FakeEngine` writes solutions of random small sums in the step format for any question, so that a search over it can be
checked exactly, at any concurrency. It is no language model: it never looks at what the question says. Its programs run
in `rstar_math.execution.fake.FakeExecutor` and, being real Python, in every other executor with the same result.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rstar_math import steps
from rstar_math.engines.base import Generation, Score
from rstar_math.errors import ContextLengthError
from rstar_math.types import Completion, FinishReason, SamplingParams

_TOKEN = re.compile(r"<\w+>|\w+|[^\w\s]|\n")
_PRINTED = re.compile(rf"{steps.OUTPUT}\s*(-?\d+)\s*{steps.END_OF_OUTPUT}")


@dataclass(frozen=True, slots=True)
class FakePolicy:
    """How the fake policy behaves.

    Attributes:
      num_branches: distinct next steps of a node; more candidates than this always hold duplicates.
      num_answers: answers are 0 .. num_answers - 1, so a reference in that range is met now and then.
      min_steps: code steps before the code may be closed.
      max_steps: the code step that always closes the code; None: chance alone closes it.
      close_rate: probability that a step from `min_steps` on closes the code.
      error_rate: probability that a step's code fails when it is executed.
      malformed_rate: probability that a step breaks the step format.
      slip_rate: probability that an answer is not what the program printed.
      context_length: prompts longer than this many tokens are refused; None: no limit.
    """

    num_branches: int = 4
    num_answers: int = 3
    min_steps: int = 1
    max_steps: int | None = 4
    close_rate: float = 0.4
    error_rate: float = 0.15
    malformed_rate: float = 0.05
    slip_rate: float = 0.2
    context_length: int | None = None


class FakeEngine:
    """A policy whose completions depend on (prompt, params.seed, index) alone.

    Requests answer after a number of turns of the event loop that depends on the request and on `latency_seed`:
    two engines that differ in it give the same completions in another order.

    Attributes:
      num_requests: requests answered so far.
      max_in_flight: most requests that were awaited at the same time.
    """

    def __init__(self, policy: FakePolicy | None = None, *, max_latency_turns: int = 3, latency_seed: int = 0) -> None:
        """Makes an engine.

        Args:
          policy: how the policy behaves.
          max_latency_turns: most turns of the event loop that one request takes; 0 answers at once.
          latency_seed: changes the order in which requests are answered, and nothing else.
        """
        self.policy = policy or FakePolicy()
        self.num_requests = 0
        self.max_in_flight = 0
        self._latency = _Latency(max_latency_turns, latency_seed)
        self._in_flight = 0

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times.

        Raises:
          ContextLengthError: the prompt is longer than `FakePolicy.context_length`.
        """
        self._in_flight += 1
        self.max_in_flight = max(self.max_in_flight, self._in_flight)
        try:
            await self._latency.wait(f"{params.seed} {prompt}")
        finally:
            self._in_flight -= 1
        self.num_requests += 1
        num_prompt_tokens = num_fake_tokens(prompt)
        limit = self.policy.context_length
        if limit is not None and num_prompt_tokens > limit:
            raise ContextLengthError(f"the prompt has {num_prompt_tokens} tokens, but the fake context holds {limit}")
        completions = tuple(_complete(self.policy, prompt, params, index) for index in range(params.n))
        return Generation(completions, num_prompt_tokens)

    async def aclose(self) -> None:
        """Does nothing: the fake holds nothing."""


class FakeRewardModel:
    """A reward model whose score depends on the text alone.

    Attributes:
      num_requests: requests answered so far.
    """

    def __init__(
        self,
        logit: Callable[[str], float] | None = None,
        *,
        scale: float = 5.0,
        max_latency_turns: int = 3,
        latency_seed: int = 0,
    ) -> None:
        """Makes a reward model.

        Args:
          logit: raw logit of a text; by default a number in [-5, 5] drawn from the text's hash.
          scale: value = tanh(logit / scale).
          max_latency_turns: most turns of the event loop that one request takes.
          latency_seed: changes the order in which requests are answered, and nothing else.
        """
        self.scale = scale
        self.num_requests = 0
        self._logit = logit or _logit_from_hash
        self._latency = _Latency(max_latency_turns, latency_seed)

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """Scores each text, in the order given."""
        await self._latency.wait("\n".join(texts))
        self.num_requests += 1
        logits = [self._logit(text) for text in texts]
        return [
            Score(logit=logit, value=math.tanh(logit / self.scale), num_tokens=num_fake_tokens(text))
            for text, logit in zip(texts, logits, strict=True)
        ]

    async def aclose(self) -> None:
        """Does nothing: the fake holds nothing."""


def num_fake_tokens(text: str) -> int:
    """The number of tokens of `text` as the fakes count them: words, markers, signs and line ends."""
    return len(_TOKEN.findall(text))


class _Latency:
    """Waits a number of event loop turns drawn from a request's text."""

    def __init__(self, max_turns: int, seed: int) -> None:
        self._max_turns = max_turns
        self._seed = seed

    async def wait(self, request: str) -> None:
        if self._max_turns:
            for _ in range(_generator(self._seed, request).randint(0, self._max_turns)):
                await asyncio.sleep(0)


def _generator(*key: object) -> random.Random:
    """A random generator that depends on `key` alone, in this process and in every other."""
    digest = hashlib.blake2b("\0".join(map(str, key)).encode(), digest_size=8).digest()
    return random.Random(int.from_bytes(digest, "little"))


def _logit_from_hash(text: str) -> float:
    return _generator("logit", text).uniform(-5.0, 5.0)


def _complete(policy: FakePolicy, prompt: str, params: SamplingParams, index: int) -> Completion:
    """One completion: step after step until one of `params.stop`, the answer's end, or `params.max_tokens`."""
    text, logprob = "", 0.0
    stop: str | None = None
    while stop is None and not text.endswith(steps.END_OF_ANSWER):
        so_far = prompt + text
        if params.temperature == 0:
            branch = 0
        else:
            branch = _generator("branch", so_far, params.seed, index).randrange(policy.num_branches)
        step, marker = _next_step(policy, so_far, branch)
        text += step + marker
        logprob -= 0.05 * num_fake_tokens(step + marker) * (1 + branch)
        if not marker:
            break
        if marker in params.stop:
            stop = marker
    ends = [match.end() for match in _TOKEN.finditer(text)]
    if len(ends) > params.max_tokens:
        return Completion(text[: ends[params.max_tokens - 1]], None, params.max_tokens, logprob, "length")
    reason: FinishReason = "stop" if stop else "end"
    return Completion(text.removesuffix(stop) if stop else text, stop, len(ends), logprob, reason)


def _next_step(policy: FakePolicy, prefix: str, branch: int) -> tuple[str, str]:
    """The text and the closing marker ("" for none) of the step that a branch takes after `prefix`."""
    rng = _generator("step", prefix, branch)
    response = prefix[max(prefix.rfind(steps.ASSISTANT_TURN), 0) :]
    depth = response.count(steps.END_OF_STEP) + 1
    malformed = rng.random() < policy.malformed_rate

    if steps.END_OF_CODE in response:
        printed = _PRINTED.findall(response)
        answer = int(printed[-1]) if printed else rng.randrange(policy.num_answers)
        if rng.random() < policy.slip_rate:
            answer = (answer + 1) % policy.num_answers
        boxed = "unclear" if malformed else rf"\boxed{{{answer}}}"
        return f"\n{steps.ANSWER}Way {branch}: the result is {boxed}.", steps.END_OF_ANSWER

    if malformed:
        kind = rng.randrange(3)
        if kind == 0:
            return f"\n# Step {depth} goes on and on, way {branch}", ""
        if kind == 1:
            return f"\n{steps.ANSWER}Way {branch}: at once \\boxed{{{branch}}}.", steps.END_OF_ANSWER
        return f"\nprint({branch})\n{steps.OUTPUT}{branch}{steps.END_OF_OUTPUT}", steps.END_OF_STEP

    earlier = f"x{depth - 1}" if depth > 1 else str(rng.randint(1, 9))
    if rng.random() < policy.error_rate:
        earlier = f"missing{depth}"
    code = f"x{depth} = {earlier} {rng.choice('+-*')} {rng.randint(1, 9)}"
    lines = f"\n# Step {depth}, way {branch}\n{code}\n"
    closes = depth >= policy.min_steps and rng.random() < policy.close_rate
    if closes or (policy.max_steps is not None and depth >= policy.max_steps):
        return f"{lines}print(x{depth} % {policy.num_answers})\n", steps.END_OF_CODE
    return lines, steps.END_OF_STEP
