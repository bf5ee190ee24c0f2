"""Why no solution was finished: one reason for a program, words and a way out for a person. Reads finished trees."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rstar_math import steps as step_format
from rstar_math.config import AnsweringSettings
from rstar_math.search.budget import GIVEN_UP
from rstar_math.search.environment import Environment
from rstar_math.search.expansion import LONGER_THAN_REWARD_MODEL
from rstar_math.tree import Node, Tree
from rstar_math.types import FinishReason, Unfinished


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Why there is no answer.

    Attributes:
      reason: for programs.
      text: what happened and what to do.
    """

    reason: Unfinished
    text: str


@dataclass(frozen=True, slots=True)
class _End:
    """How one rollout ended, or one candidate below it."""

    reason: Unfinished
    detail: str = ""
    weight: int = 1


def diagnose(trees: Sequence[Tree], environments: Sequence[Environment], settings: AnsweringSettings) -> Diagnosis:
    """Says why an answer has no solution: what ended most of its rollouts.

    Args:
      trees: all trees of the answer, none of them with an answer.
      environments: those that they grew in.
      settings: how the question was answered.
    """
    unmarked = Counter[FinishReason]()
    for env in environments:
        unmarked.update(env.unmarked)
    is_format_known = any(_is_marked(node) for tree in trees for node in tree.nodes[1:])
    without_marker = _without_marker(unmarked, is_format_known)
    votes = Counter[Unfinished]()
    details = defaultdict[Unfinished, Counter[str]](Counter)
    for tree in trees:
        for node in (tree.nodes[i] for i in tree.rollouts):
            below = Counter[Unfinished]()
            for end in _ends(tree, node, without_marker):
                below[end.reason] += end.weight
                details[end.reason][end.detail] += end.weight
            votes[below.most_common(1)[0][0]] += 1
    no_room = next((env.no_room for env in environments if env.no_room), None)
    if votes:
        reason = votes.most_common(1)[0][0]
    elif any(tree.stopped == "budget" for tree in trees):
        reason = Unfinished.BUDGET
    else:
        reason = Unfinished.QUESTION_TOO_LONG if no_room else Unfinished.NOTHING_TRIED
    detail = details[reason].most_common(1)[0][0] if details[reason] else ""
    return Diagnosis(reason, _words(reason, detail, no_room or "", settings))


def _ends(tree: Tree, node: Node, without_marker: Unfinished) -> Iterator[_End]:
    """Why a rollout ended at `node`; where no candidate below it could be continued, why each of them could not."""
    if node.terminal == "answer":
        yield _End(Unfinished.NO_ANSWER)
    elif node.terminal == "depth_limit":
        yield _End(Unfinished.DEPTH_LIMIT)
    elif node.rejected is not None:
        yield _rejection(node, without_marker)
    elif node.children:
        for child in (tree.nodes[i] for i in node.children):
            yield _rejection(child, without_marker)
    elif node.parent < 0:
        yield _End(Unfinished.QUESTION_TOO_LONG)
    elif tree.stopped == "budget":
        yield _End(Unfinished.BUDGET)
    else:
        is_closed = node.step is not None and node.step.text.endswith(step_format.END_OF_CODE)
        yield _End(Unfinished.SOLUTION_TOO_LONG if is_closed else without_marker)


def _rejection(node: Node, without_marker: Unfinished) -> _End:
    step, weight = node.step, node.num_proposed
    assert step is not None
    if step.execution is not None and not step.execution.ok:
        return _End(Unfinished.EXECUTION_FAILED, step.execution.error or step.execution.status, weight)
    if node.rejected == GIVEN_UP:
        return _End(Unfinished.BUDGET, "", weight)
    if node.rejected == LONGER_THAN_REWARD_MODEL:
        return _End(Unfinished.SOLUTION_TOO_LONG, LONGER_THAN_REWARD_MODEL, weight)
    if not _is_marked(node):
        return _End(without_marker, "", weight)
    if step.execution is not None:  # a whole program that ran, and shows no answer
        return _End(Unfinished.NO_ANSWER, "", weight)
    return _End(Unfinished.MALFORMED, node.rejected or "", weight)


def _is_marked(node: Node) -> bool:
    return node.step is not None and node.step.text.endswith(step_format.STOPS)


def _without_marker(unmarked: Counter[FinishReason], is_format_known: bool) -> Unfinished:
    """What it means that completions did not end at a marker."""
    most: FinishReason = unmarked.most_common(1)[0][0] if unmarked else "end"
    if most == "reasoning":
        return Unfinished.REASONING
    if most == "withheld":
        return Unfinished.WITHHELD
    if most == "length" and is_format_known:
        return Unfinished.STEP_TOO_LONG
    return Unfinished.NO_MARKER if is_format_known else Unfinished.FORMAT_IGNORED


def _words(reason: Unfinished, detail: str, no_room: str, settings: AnsweringSettings) -> str:
    search = settings.search
    most_often = f", most often: {_short(detail)}" if detail else ""
    said = f" ({_short(no_room.partition(';')[0])})" if no_room else ""
    words = {
        Unfinished.QUESTION_TOO_LONG: f"the question leaves no room in the model's context{said}. Shorten it, or take "
        "a model with a longer context.",
        Unfinished.SOLUTION_TOO_LONG: "solutions filled the context of the model before they had an answer"
        f"{most_often or said}. Take a model with a longer context, or shorten the question.",
        Unfinished.BUDGET: f"the limit ({settings.budget.name or 'of the search'}) was reached before any solution had "
        "ended. Raise it: --tokens, --total-rollouts or --seconds (in Python max_tokens, max_rollouts, max_seconds).",
        Unfinished.DEPTH_LIMIT: f"no solution had an answer within {search.max_depth} steps. Raise the limit: "
        "--max-depth (in Python max_depth).",
        Unfinished.STEP_TOO_LONG: f"steps ran into the limit of {search.max_step_tokens:,} tokens of a step, or "
        f"{search.max_solution_tokens:,} of a whole sample, before they ended. Raise search.max_step_tokens and "
        "search.max_solution_tokens (--set KEY=VALUE).",
        Unfinished.NO_MARKER: "the model ended its text without a marker, though it wrote some steps as it should. Try "
        "another --seed or more --rollouts; a lower search.temperature (--set) may keep it to the format.",
        Unfinished.FORMAT_IGNORED: "the model wrote not a single step in the step format. Give it the few-shot prompt "
        "(bootstrap: default) or fine-tune it; `rstar doctor --model MODEL` tells what it does with the format.",
        Unfinished.MALFORMED: f"every step broke the step format{most_often}. Try another --seed or more --rollouts; "
        "`rstar doctor --model MODEL` tells what the model does with the format.",
        Unfinished.EXECUTION_FAILED: f"no solution could go on, because the code of its steps failed{most_often}. Try "
        "another --seed or more --rollouts; docs/execution.md says what steps may use.",
        Unfinished.NO_ANSWER: "solutions came to their end without an answer in \\boxed{}. Try another --seed or more "
        "--rollouts.",
        Unfinished.REASONING: "the model was still thinking when its tokens ran out, or thought and wrote no step. "
        "Switch its thinking off at the server, or raise search.max_step_tokens (--set KEY=VALUE).",
        Unfinished.WITHHELD: "the server kept the model's text back (a filter, a refusal, a tool call). Ask the "
        "question otherwise, or switch that off at the server.",
        Unfinished.NOTHING_TRIED: f"strategy {settings.strategy} ended without a rollout. Look at what it does with "
        "this question.",
    }
    return words[reason]


def _short(text: str, most: int = 160) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."
