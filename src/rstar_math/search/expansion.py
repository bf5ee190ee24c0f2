"""Expansion, shared by all strategies: draw candidates for the next step, merge, execute, score (section 3.1)."""

from __future__ import annotations

import asyncio
import math

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Execution, Step

_NEAR_ONE = 1.0 - 1e-6


async def expand(env: Environment, tree: Tree, node: Node, settings: SearchSettings) -> None:
    """Gives `node` its children, or makes it terminal: a dead end where no candidate can be continued.

    Candidates with the same text are merged. Each candidate's code runs after the code of its prefix. What fails or is
    malformed stays in the tree with the reason, and is never continued. With a PPM, the others get its score as their
    first value, with N = 1, which is not backed up. A prefix that fills the policy's context has no candidates.
    """
    history = tree.steps(node)
    code_closed = any(step_format.END_OF_CODE in step.text for step in history)
    prefix = tree.prefix(node)
    num_candidates = settings.num_candidates
    if code_closed and settings.num_answer_candidates is not None:
        num_candidates = settings.num_answer_candidates
    completions = await env.propose(prefix, num_candidates, settings)

    merged: dict[str, list[Completion]] = {}
    for completion in completions:
        merged.setdefault(completion.text + (completion.stop or ""), []).append(completion)
    outcomes = await asyncio.gather(
        *(_try_step(env, history, text, same[0].stop, code_closed) for text, same in merged.items())
    )

    for same, (step, rejected) in zip(merged.values(), outcomes, strict=True):
        child = tree.add(node, step)
        child.num_proposed = len(same)
        child.num_tokens = same[0].num_tokens
        child.logprob = same[0].logprob
        child.rejected = rejected
        if rejected and step.execution and _errors_in_a_row(tree, child) <= settings.max_consecutive_errors:
            child.rejected = None  # differs from the paper: as in the released code, only where the key asks for it
        if rejected is None and step.text.endswith(step_format.END_OF_ANSWER):
            child.terminal = "answer"
        elif child.rejected is None and child.depth >= settings.max_depth:
            child.terminal = "depth_limit"
    node.expanded = True

    children = tree.children(node)
    answers = [c for c in children if c.terminal == "answer"]
    if answers and settings.answer_siblings == "drop":
        for child in children:
            if child is not answers[0]:
                child.rejected = "dropped beside an answer"
        children = answers[:1]
    if children and (settings.use_ppm or settings.terminal_value == "ppm"):
        await _score(env, prefix, children, num_candidates, settings)
    if not tree.children(node):
        node.terminal = "dead_end"


async def _try_step(
    env: Environment, history: list[Step], text: str, stop: str | None, code_closed: bool
) -> tuple[Step, str | None]:
    """The step of a candidate, executed, and why it cannot be continued (None if it can)."""
    if (reason := step_format.malformed(text, stop, code_closed)) is not None:
        return Step(text=text, code=step_format.code_of(text)), reason
    if stop == step_format.END_OF_ANSWER:
        return step_format.step_from_text(text), None
    code = step_format.code_of(text)
    execution = await env.execute([s.code for s in history if s.execution is None or s.execution.ok], code)
    seen = ""
    if stop == step_format.END_OF_CODE:
        seen = step_format.observation(printed(history, execution))
    step = Step(text=text, code=code, observation=seen, execution=execution)
    return step, None if execution.ok else execution.error or execution.status


def printed(history: list[Step], last: Execution) -> str:
    """What the whole program printed, step after step; for a failed last step its error instead."""
    if not last.ok:
        return last.error or last.status
    return "".join(s.execution.output for s in history if s.execution) + last.output


async def _score(
    env: Environment, prefix: str, children: list[Node], num_candidates: int, settings: SearchSettings
) -> None:
    texts = [prefix + c.step.text + c.step.observation for c in children if c.step]
    for child, score in zip(children, await env.score(texts), strict=True):
        if score is None:
            child.rejected = "longer than the reward model's context"
            continue
        child.ppm_score = score.value
        if settings.use_ppm:
            child.visit_count = 1
            child.value_sum = with_prior(score.value, child.num_proposed / num_candidates, settings.prior_weight)


def with_prior(score: float, share: float, weight: float) -> float:
    """A PPM score in (-1, 1), seen as evidence over the policy's own preference for the step.

    The logit is a log-likelihood ratio up to its scale, so the log of the share of candidates that had this text adds
    to it: tanh(atanh(score) + weight * log(share)). Differs from the paper, which has no prior: weight 0.
    """
    if weight == 0:
        return score
    return math.tanh(math.atanh(max(-_NEAR_ONE, min(_NEAR_ONE, score))) + weight * math.log(share))


def _errors_in_a_row(tree: Tree, node: Node) -> int:
    count = 0
    while node.step and node.step.execution and not node.step.execution.ok:
        count += 1
        node = tree.nodes[node.parent]
    return count
