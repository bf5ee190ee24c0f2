"""Whole solutions without search: independent samples (best-of-N, majority vote), and greedy decoding.

The policy writes until its code is closed, the program runs, and the policy reads the output and answers (form: steps;
see `forms.py` for the others).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.search.budget import GIVEN_UP, BudgetSpent
from rstar_math.search.environment import Environment
from rstar_math.search.forms import Form, TriedStep, code_is_closed, form_of
from rstar_math.search.together import all_of
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Step


async def greedy(env: Environment, settings: SearchSettings) -> Tree:
    """The policy alone: one solution at temperature 0."""
    alone = settings.model_copy(update={"temperature": 0.0, "num_rollouts": 1, "use_ppm": False, "top_p": 1.0})
    return await sample(env, alone, strategy="greedy")


async def sample(env: Environment, settings: SearchSettings, strategy: str = "sample") -> Tree:
    """`num_rollouts` independent solutions; with `use_ppm`, each of their steps is scored once they are finished.

    Answers are graded where the problem has a reference and `terminal_value` asks for it; no values are backed up.
    """
    return await sample_below(env, (), settings, strategy)


async def sample_below(
    env: Environment, steps: Sequence[Step], settings: SearchSettings, strategy: str = "sample"
) -> Tree:
    """Fresh rollouts of the policy below a step: as `sample`, but every solution goes on from `steps`.

    Args:
      env: of the problem.
      steps: the first steps of every solution, run and with their outputs; none of them is an answer.
      settings: `num_rollouts` is how many, `temperature` at which.
      strategy: name in the tree.
    """
    tree = Tree.start(env.problem, strategy, env.seed)
    tree.stopped = "rollouts"
    start = tree.root
    for step in steps:
        start.expanded = True
        start = tree.add(start, step)
    with env.within_budget(tree):
        num_samples = env.budget.begin_rollouts(settings.num_rollouts)
        # Equal samples at temperature > 0 each count in a vote, so nothing is merged here. Nodes are added, and seeds
        # drawn, in the order of the samples, whatever the order in which their programs end.
        ends = [start] * num_samples
        if not code_is_closed(steps):
            samples = await env.propose_solutions(tree.prefix(start), num_samples, settings)
            solutions = await all_of(_run(env, steps, completion, form_of(settings)) for completion in samples)
            ends = [_add_solution(tree, start, *run) for run in zip(samples, solutions, strict=True)]
        start.expanded = True
        going = [end for end in ends if end.terminal is None]
        replies = iter(await all_of(_reply(env, tree.prefix(end), settings) for end in going))
        ends = [end if end.terminal else _add_reply(tree, end, next(replies)) for end in ends]
        tree.rollouts = [end.index for end in ends]

        answered = [end for end in ends if end.terminal == "answer"]
        if settings.terminal_value == "reference" and env.problem.answer is not None:
            await _grade(env, answered)
        if settings.use_ppm and env.has_reward_model:
            await _score_steps(env, tree, answered)
    if env.budget.seconds_left == 0:
        tree.stopped = "budget"
    for node in tree.nodes:
        env.tell_proposed(tree, node)
    tree.root.visit_count = len(tree.rollouts)
    if tree.root.expanded and not tree.rollouts and tree.stopped != "budget":
        tree.root.terminal = "dead_end"
    tree.cost = env.finish()
    return tree


async def _run(env: Environment, before: Sequence[Step], completion: Completion, form: Form) -> list[TriedStep]:
    """Makes a sampled solution steps, one after the other, up to the first that cannot stand."""
    tried: list[TriedStep] = []
    for text in form.split(completion.text + (completion.stop or "")):
        stop = next((s for s in form.step_stops if text.endswith(s)), None)
        try:
            (made,) = await form.try_steps(env, [*before, *(t.step for t in tried)], [(text, stop)])
        except BudgetSpent:  # the other samples may have ended
            made = TriedStep(step_format.step_from_text(text), GIVEN_UP, is_last=False)
        if made.rejected is not None:  # nobody reads on after it
            return [*tried, replace(made, step=replace(made.step, observation=""))]
        tried.append(made)
    return tried


def _add_solution(tree: Tree, start: Node, completion: Completion, solution: list[TriedStep]) -> Node:
    """Adds a solution's steps below `start`; returns the last, terminal unless an answer may follow."""
    node = start
    for tried in solution:
        node = tree.add(node, tried.step)
        node.expanded, node.visit_count, node.rejected = True, 1, tried.rejected
    first = tree.path(node)[start.depth]  # a sample's tokens are booked on its first step: their sum is what counts
    first.num_tokens, first.logprob = completion.num_tokens, completion.logprob
    last = solution[-1]
    if last.is_last and last.rejected is None:
        node.terminal = "answer"
    elif node.rejected is not None or not last.step.text.endswith(step_format.END_OF_CODE):
        node.terminal = "dead_end"
    return node


async def _reply(env: Environment, prefix: str, settings: SearchSettings) -> Sequence[Completion]:
    """The policy's answer to a finished program; none where the time runs out before."""
    try:
        return await env.finish_solution(prefix, settings)
    except BudgetSpent:
        return ()


def _add_reply(tree: Tree, node: Node, replies: Sequence[Completion]) -> Node:
    """Adds the policy's answer to a closed program; returns the node where the solution ends."""
    if not replies:
        node.terminal = "dead_end"
        return node
    reply = replies[0]
    text = reply.text + (reply.stop or "")
    node = tree.add(node, step_format.step_from_text(text))
    node.visit_count, node.num_tokens, node.logprob = 1, reply.num_tokens, reply.logprob
    node.rejected = step_format.malformed(text, reply.stop, code_is_closed=True)
    node.terminal = "dead_end" if node.rejected else "answer"
    return node


async def _grade(env: Environment, answered: list[Node]) -> None:
    by_text: dict[str | None, list[Node]] = {}
    for node in answered:
        by_text.setdefault(node.step.answer if node.step else None, []).append(node)
    verdicts = await all_of(env.is_correct(text) for text in by_text)
    for nodes, correct in zip(by_text.values(), verdicts, strict=True):
        for node in nodes:
            node.correct = correct


async def _score_steps(env: Environment, tree: Tree, ends: list[Node]) -> None:
    texts: dict[str, list[Node]] = {}
    for end in ends:
        for node in tree.path(end):
            texts.setdefault(tree.prefix(node), []).append(node)
    if texts:
        for nodes, score in zip(texts.values(), await env.score(list(texts)), strict=True):
            for node in nodes:
                node.ppm_score = score.value if score else None
