"""Expansion, shared by all strategies: draw candidates for the next step, merge, execute, score (section 3.1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.forms import TriedStep, code_is_closed, form_of
from rstar_math.search.together import all_of
from rstar_math.tree import DROPPED, Node, Tree
from rstar_math.types import Completion

_NEAR_ONE = 1.0 - 1e-6

LONGER_THAN_REWARD_MODEL = "longer than the reward model's context"
"""Why a candidate was rejected that the reward model could not read."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What the policy proposed, and what became of it."""

    completions: list[Completion]
    tried: TriedStep


async def expand(env: Environment, tree: Tree, node: Node, settings: SearchSettings) -> None:
    """Gives `node` its children, or makes it terminal: a dead end where no candidate can be continued.

    Candidates with the same text are merged. Each candidate's code runs after the code of its prefix. What fails or is
    malformed stays in the tree with the reason, and is never continued. With a PPM, the others get its score as their
    first value, with N = 1, which is not backed up. A prefix that fills the policy's context has no candidates.
    """
    await expand_all(env, tree, [node], settings)


async def expand_all(env: Environment, tree: Tree, nodes: Sequence[Node], settings: SearchSettings) -> None:
    """Expands several nodes at once; children stand in the tree in the order of `nodes`, whoever answers first."""
    drawn = await all_of(_draw(env, tree, node, settings) for node in nodes)
    for node, candidates in zip(nodes, drawn, strict=True):
        _add(tree, node, candidates, settings)
    if settings.use_ppm or settings.terminal_value == "ppm":
        await all_of(_score(env, tree, node, settings) for node in nodes)
    for node in nodes:
        env.tell_proposed(tree, node)
        if not tree.children(node):
            node.terminal = "dead_end"


async def widen_all(env: Environment, tree: Tree, wider: Sequence[tuple[Node, int]], settings: SearchSettings) -> None:
    """Draws so many further candidates for each of several nodes at once; otherwise as `expand_all`.

    Those with a text that a child has already count there, so that the prior of all children of the node changes. A
    node becomes a dead end where nothing can be drawn, or where nothing that was can be continued and `max_candidates`
    have been drawn.
    """
    before = [(c, first_value(tree, c, settings)) for node, _ in wider for c in tree.children(node)]
    num_before = [len(node.children) for node, _ in wider]
    drawn = await all_of(_draw(env, tree, node, settings, num) for node, num in wider)
    for (node, _), candidates in zip(wider, drawn, strict=True):
        _add(tree, node, candidates, settings)
    await all_of(_score(env, tree, node, settings, num) for (node, _), num in zip(wider, num_before, strict=True))
    for child, value in before:
        child.value_sum += first_value(tree, child, settings) - value
    for (node, _), num in zip(wider, num_before, strict=True):
        env.tell_proposed(tree, node, num)
    for node, _ in wider:
        nothing_drawn = num_drawn(tree, node) == 0
        if not tree.children(node) and (nothing_drawn or num_drawn(tree, node) >= max_candidates(tree, node, settings)):
            node.terminal = "dead_end"


def max_candidates(tree: Tree, node: Node, settings: SearchSettings) -> int:
    """Candidates to draw at a node: `num_candidates`, or `num_answer_candidates` where only an answer can follow."""
    if settings.num_answer_candidates is not None and code_is_closed(tree.steps(node)):
        return settings.num_answer_candidates
    return settings.num_candidates


def num_drawn(tree: Tree, node: Node) -> int:
    """Candidates that have been drawn at a node, equal ones and rejected ones included."""
    return sum(tree.nodes[i].num_proposed for i in node.children)


def first_value(tree: Tree, child: Node, settings: SearchSettings) -> float:
    """The value that a scored candidate starts with: its PPM score, with the prior where there is one."""
    assert child.ppm_score is not None
    share = child.num_proposed / num_drawn(tree, tree.nodes[child.parent])
    return with_prior(child.ppm_score, share, settings.prior_weight)


async def _draw(
    env: Environment, tree: Tree, node: Node, settings: SearchSettings, num_candidates: int | None = None
) -> list[_Candidate]:
    history = tree.steps(node)
    wanted = num_candidates or max_candidates(tree, node, settings)
    completions = await env.propose(tree.prefix(node), wanted, settings, finishing=code_is_closed(history))
    merged: dict[str, list[Completion]] = {}
    for completion in completions:
        merged.setdefault(completion.text + (completion.stop or ""), []).append(completion)
    for child in (tree.nodes[i] for i in node.children):
        child.num_proposed += len(merged.pop(child.step.text if child.step else "", ()))
    form = form_of(settings)
    tried = await form.try_steps(env, history, [(text, same[0].stop) for text, same in merged.items()])
    return [_Candidate(same, step) for same, step in zip(merged.values(), tried, strict=True)]


def _add(tree: Tree, node: Node, candidates: Sequence[_Candidate], settings: SearchSettings) -> None:
    for candidate in candidates:
        first, tried = candidate.completions[0], candidate.tried
        child = tree.add(node, tried.step)
        child.num_proposed = len(candidate.completions)
        child.num_tokens = first.num_tokens
        child.logprob = first.logprob
        child.rejected = tried.rejected
        may_go_on = tried.step.execution is not None and not tried.is_last
        if child.rejected and may_go_on and _errors_in_a_row(tree, child) <= settings.max_consecutive_errors:
            child.rejected = None  # differs from the paper: as in the released code, only where the key asks for it
        if tried.rejected is None and tried.is_last:
            child.terminal = "answer"
        elif child.rejected is None and child.depth >= settings.max_depth:
            child.terminal = "depth_limit"
    node.expanded = True
    children = tree.children(node)
    answers = [c for c in children if c.terminal == "answer"]
    if answers and settings.answer_siblings == "drop":
        for child in children:
            if child is not answers[0]:
                child.rejected = DROPPED


async def _score(
    env: Environment, tree: Tree, node: Node, settings: SearchSettings, num_scored_before: int = 0
) -> None:
    new = node.children[num_scored_before:]
    children = [child for i in new if (child := tree.nodes[i]).rejected is None]
    if not children:
        return
    prefix = tree.prefix(node)
    texts = [prefix + c.step.text + c.step.observation for c in children if c.step]
    for child, score in zip(children, await env.score(texts), strict=True):
        if score is None:
            child.rejected = LONGER_THAN_REWARD_MODEL
            continue
        child.ppm_score = score.value
        if settings.use_ppm:
            child.visit_count = 1
            child.value_sum = first_value(tree, child, settings)


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
