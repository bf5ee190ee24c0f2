"""The central data types: plain frozen values that every layer may use.

Only `Cost` is mutable: it is a running total, owned by one search.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Literal

from rstar_math.errors import ConfigError

ExecutionStatus = Literal["ok", "error", "cpu_limit", "wall_limit", "memory_limit", "output_limit", "killed"]
"""How a step's program ended. `ok`: it ran to its end. `error`: it raised, or did not compile. `*_limit`: it was
ended at that limit. `killed`: its process ended for another reason, the program's own or the machine's."""

FinishReason = Literal["stop", "end", "length", "reasoning", "withheld", "unknown"]
"""Why a completion ended.

`stop`: at a stop marker. `end`: the model ended the sequence itself. `length`: at max_tokens, or at the end of the
context. `reasoning`: the model was still thinking, or thought and wrote nothing else. `withheld`: the server kept
the text back (a content filter, a refusal, a tool call). `unknown`: the engine does not say."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem, known everywhere by its `id`, never by its text.

    Attributes:
      id: unique within a set of problems.
      question: what the policy reads.
      answer: the reference answer, or None where none is known (questions of a user).
      tier: difficulty tier used in reports, for example "gsm", "math", "olympiad".
      source: where it comes from, for example "pocket/train" or "openai/grade-school-math test.jsonl".
      part: a label that reports show apart, for example "seen" and "novel" compositions of a test split.
    """

    id: str
    question: str
    answer: str | None = None
    tier: str | None = None
    source: str | None = None
    part: str | None = None


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How an engine continues a prompt.

    Attributes:
      n: number of independent completions, >= 0.
      temperature: >= 0, finite; 0 is greedy decoding.
      top_p: nucleus in (0, 1].
      max_tokens: most tokens of one completion, the stop marker included; >= 1.
      stop: marker strings that end a completion; none is empty.
      seed: makes the completions a function of (prompt, params) alone.

    Raises:
      ConfigError: a value is out of its range.
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        # here, so that one bad request never reaches an engine, where it would spoil the batch that it is in
        if self.n < 0:
            raise ConfigError(f"n is {self.n}; it must be at least 0")
        if not 0 <= self.temperature < math.inf:  # not a number compares as false
            raise ConfigError(f"temperature is {self.temperature}; it must be at least 0 and finite")
        if not 0 < self.top_p <= 1:
            raise ConfigError(f"top_p is {self.top_p}; it must be greater than 0 and at most 1")
        if self.max_tokens < 1:
            raise ConfigError(f"max_tokens is {self.max_tokens}; it must be at least 1")
        if not all(self.stop):
            raise ConfigError("a stop marker is empty; it would end every completion before its first token")


@dataclass(frozen=True, slots=True)
class Completion:
    """One continuation of a prompt.

    Attributes:
      text: the generated text up to, and without, the stop marker.
      stop: the marker that ended it; None where the model stopped otherwise (end of sequence, or max_tokens).
      num_tokens: tokens generated, the stop marker included.
      logprob: sum of the log-probabilities (natural log, temperature 1) of the generated tokens.
      finish_reason: why it ended; "stop" exactly where `stop` is a marker, in engines that say more than "unknown".
    """

    text: str
    stop: str | None
    num_tokens: int
    logprob: float
    finish_reason: FinishReason = "unknown"


@dataclass(frozen=True, slots=True)
class Execution:
    """What one step's program did.

    Attributes:
      status: how it ended.
      output: what this step printed (not what its prefix printed), also when it failed.
      error: "TypeName: message" where status is not "ok"; None otherwise.
      seconds: CPU seconds of the program, as far as they could be read.
    """

    status: ExecutionStatus
    output: str
    error: str | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether the code ran to its end."""
        return self.status == "ok"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a solution, as the policy wrote it and as the executor answered it.

    Attributes:
      text: what the policy wrote, verbatim, its closing marker included.
      code: the Python of the step; "" for an answer step.
      observation: what the executor put behind the step, verbatim, markers included; "" for most steps.
      execution: None for an answer step, and for steps parsed from text.
      answer: what stands in the answer step's last \\boxed{}; None for other steps and where there is none.
    """

    text: str
    code: str = ""
    observation: str = ""
    execution: Execution | None = None
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a prediction means the same as the reference.

    Attributes:
      equal: the decision; False where it could not be made in time.
      rule: the name of the rule that decided, for a person to follow.
      seconds: CPU seconds that it took.
      contested: True where reasonable policies differ, so that the named policy decided.
      timed_out: True where the limit was reached before a decision; counted, never a plain "wrong".
    """

    equal: bool
    rule: str
    seconds: float = 0.0
    contested: bool = False
    timed_out: bool = False


@dataclass(slots=True)
class Cost:
    """What something cost; every field counts from 0 and only grows.

    Attributes:
      tokens_prompt: prompt tokens sent to the policy, once per request (not once per candidate).
      tokens_generated: tokens that the policy generated, discarded candidates included.
      tokens_scored: tokens read by a reward model.
      model_calls: requests to the policy and to reward models.
      executions: step programs whose execution was asked for.
      grades: answer comparisons asked for.
      cpu_seconds: CPU seconds of executing and grading, where known.
      seconds: wall seconds.
    """

    tokens_prompt: int = 0
    tokens_generated: int = 0
    tokens_scored: int = 0
    model_calls: int = 0
    executions: int = 0
    grades: int = 0
    cpu_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, other: Cost) -> None:
        """Adds `other` to this total in place."""
        for f in fields(self):
            setattr(self, f.name, getattr(self, f.name) + getattr(other, f.name))


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One finished solution found in a tree: a path from the root to an answer node.

    Attributes:
      problem: id of the problem.
      node_path: node indices from the first step to the answer step (the root is left out).
      steps: the steps of these nodes.
      q_values: Q = value_sum / visit_count of these nodes, in [-1, 1]; 0 where a node has no visit.
      answer: the boxed answer, or None.
      correct: equivalent to the reference; None where there is no reference.
      ppm_scores: scores of these nodes by a reward model of any kind, in (-1, 1); empty without one.
      logprob: sum of the policy's log-probabilities over the steps.
      num_tokens: tokens that the policy generated for the steps; 0 where unknown.
    """

    problem: str
    node_path: tuple[int, ...]
    steps: tuple[Step, ...]
    q_values: tuple[float, ...]
    answer: str | None
    correct: bool | None
    ppm_scores: tuple[float, ...] = ()
    logprob: float = 0.0
    num_tokens: int = 0

    @property
    def mean_q(self) -> float:
        """Mean Q value of the steps."""
        return sum(self.q_values) / len(self.q_values)

    @property
    def ppm_score(self) -> float | None:
        """The reward model's score of the finished trajectory, in (-1, 1)."""
        return self.ppm_scores[-1] if self.ppm_scores else None


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """Two continuations of the same prefix, one preferred (rStar-Math, section 3.3).

    Attributes:
      problem: id of the problem.
      prefix: text shared by both sides: the prompt and the steps before.
      chosen: text of the preferred continuation.
      rejected: text of the other.
      chosen_q, rejected_q: Q values of a step, or mean Q of a whole trajectory, in [-1, 1].
      weight: 1 / (n_pos * n_neg) of the node that the pair comes from.
      kind: "step" for candidates of one node, "answer" for whole trajectories of one problem.
      tree: id of the tree (`Tree.id`), for "answer" of the chosen side's.
      node: index of the node whose children are compared; 0 (the root) for "answer".
      num_chosen, num_rejected: n_pos and n_neg of that node.
      rejected_tree: id of the rejected side's tree where it is another one (kind "answer" only); else None.
      chosen_logprob, rejected_logprob: log-probability (natural log, temperature 1) of the side under the policy that
        proposed it; None where it was not recorded.
      chosen_num_tokens, rejected_num_tokens: tokens that these are the sums over; None likewise.
    """

    problem: str
    prefix: str
    chosen: str
    rejected: str
    chosen_q: float
    rejected_q: float
    weight: float
    kind: Literal["step", "answer"]
    tree: str
    node: int
    num_chosen: int
    num_rejected: int
    rejected_tree: str | None = None
    chosen_logprob: float | None = None
    rejected_logprob: float | None = None
    chosen_num_tokens: int | None = None
    rejected_num_tokens: int | None = None


class Unfinished(StrEnum):
    """Why no solution was finished, so that there is no answer."""

    QUESTION_TOO_LONG = "question_too_long"
    """The question leaves no room in the model's context."""
    SOLUTION_TOO_LONG = "solution_too_long"
    """Solutions filled the context of the model, or of its reward model, before they had an answer."""
    BUDGET = "budget"
    """A limit was reached before any solution had ended."""
    DEPTH_LIMIT = "depth_limit"
    """Solutions had no answer within the most steps that are allowed."""
    STEP_TOO_LONG = "step_too_long"
    """Steps ran into the limit of tokens before they ended at a marker."""
    NO_MARKER = "no_marker"
    """The model ended its text without a marker, behind steps that were as they should be."""
    FORMAT_IGNORED = "format_ignored"
    """The model, or the server, wrote not a single step in the step format."""
    MALFORMED = "malformed"
    """Steps ended at a marker, and broke the step format otherwise."""
    EXECUTION_FAILED = "execution_failed"
    """The code of every step failed to run."""
    NO_ANSWER = "no_answer"
    """Solutions came to their end, and no answer stands in them."""
    REASONING = "reasoning"
    """The model was still thinking when its tokens ran out, or it thought and wrote no step."""
    WITHHELD = "withheld"
    """The server kept the text back."""
    NOTHING_TRIED = "nothing_tried"
    """The strategy ended without a rollout."""
    NOT_REPRODUCED = "not_reproduced"
    """Solutions were finished, and none came out the same when its program was run once more in a fresh process."""


@dataclass(frozen=True, slots=True)
class Solution:
    """What answering a problem gives.

    Attributes:
      answer: the chosen answer, or None where nothing was finished.
      reasoning_trace: the chosen trajectory's steps, executed and verified to run.
      trajectory: the chosen trajectory, or None.
      candidates: all finished trajectories, best first.
      confidence: share of the vote that went to the answer, in [0, 1]; by the fitted choice: the probability that it is
        right.
      sure: whether the answer counts as sure (`rstar_math.search.choice.is_sure`): its confidence reaches the threshold
        chosen on validation problems, and its question is not outside. None where nobody measured that.
      cost: what it cost, the program that was run once more included.
      unfinished: why there is no answer; None where there is one.
      why: the same in words, with a way out; "" where there is an answer.
      outside: whether the question is of another kind than the model was trained on; None where nobody measured.
      unknown_words: words of the question that no training question has.
      dropped: trajectories that were chosen and dropped, because their programs, run once more in a fresh process, did
        not come out the same; all that have such a program.
    """

    answer: str | None
    reasoning_trace: tuple[Step, ...]
    trajectory: Trajectory | None
    candidates: tuple[Trajectory, ...] = field(default=(), repr=False)
    confidence: float = 0.0
    sure: bool | None = None
    cost: Cost = field(default_factory=Cost)
    unfinished: Unfinished | None = None
    why: str = ""
    outside: bool | None = None
    unknown_words: tuple[str, ...] = ()
    dropped: tuple[Trajectory, ...] = field(default=(), repr=False)

    @property
    def num_not_reproduced(self) -> int:
        """Trajectories that were dropped: see `dropped`."""
        return len(self.dropped)
