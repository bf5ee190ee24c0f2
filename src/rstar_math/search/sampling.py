"""Whole solutions without search: independent samples (best-of-N, majority vote), and greedy decoding.

The policy writes until its code is closed, the program runs, and the policy reads the output and answers.
"""

from __future__ import annotations

import asyncio

from rstar_math import steps as step_format
from rstar_math.config import SearchSettings
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import printed
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Execution, Step

_WHOLE = (step_format.END_OF_CODE, step_format.END_OF_ANSWER)


async def greedy(env: Environment, settings: SearchSettings) -> Tree:
    """The policy alone: one solution at temperature 0, judged by nobody."""
    alone = settings.model_copy(
        update={"temperature": 0.0, "top_p": 1.0, "num_rollouts": 1, "use_ppm": False, "terminal_value": "ppm"}
    )
    return await sample(env, alone, strategy="greedy")


async def sample(env: Environment, settings: SearchSettings, strategy: str = "sample") -> Tree:
    """`num_rollouts` independent solutions; with `use_ppm`, each of their steps is scored once they are finished."""
    tree = Tree.start(env.problem, strategy, env.seed)
    prompt = tree.prefix(tree.root)
    samples = await env.propose(prompt, settings.num_rollouts, settings, _WHOLE, settings.max_solution_tokens)
    tree.root.expanded = True
    # equal samples at temperature > 0 each count in a vote, so nothing is merged here
    ends = await asyncio.gather(*(_finish(env, tree, completion, settings) for completion in samples))
    tree.rollouts = [end.index for end in ends]
    if settings.terminal_value == "reference":
        await _grade(env, [end for end in ends if end.terminal == "answer"])
    if settings.use_ppm and env.has_scorer:
        await _score_steps(env, tree, [end for end in ends if end.terminal == "answer"])
    tree.root.visit_count = len(ends)
    tree.stopped = "rollouts"
    tree.cost = env.finish()
    return tree


async def _finish(env: Environment, tree: Tree, completion: Completion, settings: SearchSettings) -> Node:
    """Runs a sampled program and lets the policy answer; returns the node where the solution ended."""
    node, done = tree.root, list[Step]()
    share = completion.num_tokens, completion.logprob
    for parsed in step_format.parse(completion.text + (completion.stop or "")):
        stop = next((s for s in step_format.STOPS if parsed.text.endswith(s)), None)
        reason = step_format.malformed(parsed.text, stop, code_is_closed=False)
        execution: Execution | None = None
        if reason is None:
            execution = await env.execute([s.code for s in done], parsed.code)
            reason = execution.error
        seen = ""
        if reason is None and stop == step_format.END_OF_CODE and execution is not None:
            seen = step_format.observation(printed(done, execution))
        step = Step(text=parsed.text, code=parsed.code, observation=seen, execution=execution)
        node = tree.add(node, step)
        node.expanded, node.visit_count = True, 1
        node.num_tokens, node.logprob = share
        share = (0, 0.0)  # the tokens of a sample are booked on its first step: their sum is what counts
        if reason is not None:
            node.rejected, node.terminal = reason, "dead_end"
            return node
        done.append(step)
    if node.parent < 0 or step_format.END_OF_CODE not in done[-1].text:
        node.terminal = "dead_end"
        return node
    reply = (await env.propose(tree.prefix(node), 1, settings))[0]
    text = reply.text + (reply.stop or "")
    reason = step_format.malformed(text, reply.stop, code_is_closed=True)
    node = tree.add(node, step_format.step_from_text(text))
    node.visit_count, node.num_tokens, node.logprob = 1, reply.num_tokens, reply.logprob
    node.rejected, node.terminal = reason, "dead_end" if reason else "answer"
    return node


async def _grade(env: Environment, ends: list[Node]) -> None:
    for node in ends:
        answer = node.step.answer if node.step else None
        node.correct = answer is not None and (await env.grade(env.reference, answer)).equal


async def _score_steps(env: Environment, tree: Tree, ends: list[Node]) -> None:
    texts: dict[str, list[Node]] = {}
    for end in ends:
        for node in tree.path(end):
            texts.setdefault(tree.prefix(node), []).append(node)
    if texts:
        for nodes, score in zip(texts.values(), await env.score(list(texts)), strict=True):
            for node in nodes:
                node.ppm_score = score.value
