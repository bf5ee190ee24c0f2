"""Training data for and from other programs: the released code's rows and trees, TRL's columns, chat messages.

Formats of `rstar select --format`, each two JSON Lines files:

    rstar     sft.jsonl {query, response}                pairs.jsonl {prompt, pos, neg, pos_count, neg_count}
    trl       sft.jsonl {prompt, completion}             pairs.jsonl {prompt, chosen, rejected}
    messages  sft.jsonl {messages: [user, assistant]}    pairs.jsonl {prompt: [user], chosen: [assistant], rejected: ..}

`prompt` + text is the same string in `rstar` and `trl`: what the policy and the PPM of this package read. None of these
formats can say that the executor's output is not to be imitated; the commands of this package mask it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from rstar_math import steps as step_format
from rstar_math.errors import DataError
from rstar_math.store.files import write_jsonl
from rstar_math.store.records import read_trees
from rstar_math.store.row_files import read_rows
from rstar_math.training.foreign_rows import OPENING, USER, is_foreign, pairs_in, solutions_in
from rstar_math.tree import Node, Terminal, Tree
from rstar_math.types import Execution, PreferencePair, Problem, Step, Trajectory

__all__ = [
    "FORMATS",
    "Format",
    "is_foreign",
    "pair_row",
    "read_any_trees",
    "read_foreign_pairs",
    "read_solutions",
    "released_tree",
    "sft_row",
    "write_interchange",
]

Format = Literal["rstar", "trl", "messages"]
FORMATS: tuple[Format, ...] = ("rstar", "trl", "messages")

_TAG = re.compile(r"0(\.\d+)*")
_FAILURES: dict[str, Terminal] = {
    "Too many consecutive steps have code errors.": "dead_end",
    "Fail to generate parsable text for next step.": "dead_end",
    "Fail to sove the problem within limited steps.": "depth_limit",
}
"""What released trees hold as the final answer of nodes that do not answer (their spelling)."""


def write_interchange(
    folder: Path, kind: Format, rows: Iterable[tuple[Problem, Trajectory, str]], pairs: Iterable[PreferencePair]
) -> tuple[Path, Path]:
    """Writes trajectories and pairs in a format that others read; returns the two files."""
    sft, preferences = folder / "sft.jsonl", folder / "pairs.jsonl"
    _write(sft, (sft_row(kind, problem.question, trajectory.steps) for problem, trajectory, _ in rows))
    _write(preferences, (pair_row(kind, pair) for pair in pairs))
    return sft, preferences


def sft_row(kind: Format, question: str, steps: Sequence[Step]) -> dict[str, Any]:
    """One solution in a format."""
    response = step_format.CODE + step_format.render(steps)
    if kind == "rstar":
        return {"query": question, "response": response}
    if kind == "trl":
        return {"prompt": step_format.prompt(question), "completion": response.removeprefix(step_format.CODE)}
    return {"messages": [_message("user", question), _message("assistant", OPENING + response)]}


def pair_row(kind: Format, pair: PreferencePair) -> dict[str, Any]:
    """One preference pair in a format."""
    if kind == "trl":
        return {"prompt": pair.prefix, "chosen": pair.chosen, "rejected": pair.rejected}
    head, response = step_format.split_prompt(pair.prefix)
    if kind == "messages":
        question = head[len(USER) : -len(step_format.ASSISTANT_TURN)]
        sides = [[_message("assistant", OPENING + response + text)] for text in (pair.chosen, pair.rejected)]
        return {"prompt": [_message("user", question)], "chosen": sides[0], "rejected": sides[1]}
    # as in the released rows: whole solutions stand behind the user's turn, first steps bring their own <code>
    prompt, opening = pair.prefix, ""
    if pair.kind == "answer":
        prompt, opening = head.removesuffix(step_format.ASSISTANT_TURN), step_format.ASSISTANT_TURN + response
    elif response == step_format.CODE:
        prompt, opening = head, response
    return {
        "prompt": prompt,
        "neg": opening + pair.rejected,
        "pos": opening + pair.chosen,
        "neg_count": pair.num_rejected,
        "pos_count": pair.num_chosen,
    }


def read_solutions(path: Path) -> list[tuple[str, list[Step]]]:
    """Reads (question, steps) from rows of any of the three formats; see `training.foreign_rows.solutions_in`."""
    return solutions_in(path).rows


def read_foreign_pairs(path: Path) -> list[PreferencePair]:
    """Reads preference pairs of any of the three formats; see `training.foreign_rows.pairs_in`."""
    return pairs_in(path).rows


def read_any_trees(path: Path) -> Iterator[Tree]:
    """The trees of this package (parts), or those saved by the released code (JSON Lines), of a file or a folder.

    Raises:
      DataError: there are none.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() and not list(path.glob("part-*.parquet")) else [path]
    if files == [path] and path.suffix not in (".jsonl", ".json"):
        yield from read_trees(path)
        return
    if not files:
        raise DataError(f"no trees in {path}: neither part-*.parquet nor *.jsonl of the released code")
    for file in files:
        for number, row in read_rows(file):
            if "rstar" not in row:
                raise DataError(f"{file}, row {number}: no tree (a row of the released code has the key `rstar`)")
            try:
                yield released_tree(row, f"{file.stem}-{number}")
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise DataError(f"{file}, row {number}: no tree of the released code: {error!r}") from error


def released_tree(row: Mapping[str, Any], default_id: str) -> Tree:
    """A tree as the released code saves it: {question, answer, rstar: {tag: node}}, tags "0", "0.1", "0.1.2" ...

    A node has `text`, `final_answer`, `q_value` and `visit_count`, and `observation` where code ran: what the whole
    program so far printed. Whether an answer was right is read from its value: +1 or -1 where it was graded.

    Raises:
      DataError: the nodes are not in that form.
    """
    states = {tag: state for tag, state in row["rstar"].items() if _TAG.fullmatch(tag)}
    problem = Problem(
        id=str(row.get("id") or default_id),
        question=str(row["question"] if "question" in row else row["query"]),
        answer=None if row.get("answer") is None else str(row["answer"]),
        tier=None if row.get("level") is None else str(row["level"]),
        source="released",
    )
    tree = Tree.start(problem, "released", 0)
    node_of: dict[str, Node] = {"0": tree.root}
    if "0" not in states:
        raise DataError(f"tree {problem.id} has no root (tag 0); it has {', '.join(sorted(states)[:5])}")
    _set_values(tree.root, states["0"])
    for tag in sorted(states, key=lambda t: [int(part) for part in t.split(".")])[1:]:
        parent = node_of.get(tag.rpartition(".")[0])
        if parent is None:
            raise DataError(f"tree {problem.id}: node {tag} has no parent")
        node_of[tag] = _add(tree, parent, states[tag])
    for node in tree.nodes:
        node.expanded = bool(node.children)
        failed = node.step is not None and node.step.execution is not None and not node.step.execution.ok
        if node.step and failed and not node.children:
            node.rejected = node.step.execution.error if node.step.execution else None
        if node.terminal is not None and node.visit_count:
            tree.rollouts.append(node.index)
    tree.stopped = "rollouts"
    return tree


def _add(tree: Tree, parent: Node, state: Mapping[str, Any]) -> Node:
    text = str(state.get("text", ""))
    if parent.index == 0 and text.lstrip().startswith(step_format.CODE):
        text = text.lstrip().removeprefix(step_format.CODE)  # in this package the prompt opens the code
    parsed = step_format.parse(text)
    step = parsed[0] if len(parsed) == 1 else step_format.step_from_text(text)
    final = str(state.get("final_answer") or "")
    execution = None
    if "observation" in state or (state.get("action_input") and not final):
        execution = _execution(tree, parent, str(state.get("observation", "")))
    answers = bool(final) and final not in _FAILURES
    node = tree.add(
        parent, Step(step.text, step.code, step.observation, execution, (step.answer or final) if answers else None)
    )
    _set_values(node, state)
    if final:
        node.terminal = _FAILURES.get(final, "answer")
    if answers:
        node.correct = {1.0: True, -1.0: False}.get(round(node.q_value, 6))
    return node


def _execution(tree: Tree, parent: Node, seen: str) -> Execution:
    """What the step itself printed: what was seen, without what its prefix had printed before."""
    if "error" in seen.lower():  # the released code's own rule; such steps are never trained on
        return Execution("error", "", seen.strip().splitlines()[-1] if seen.strip() else "error")
    before = "".join(s.execution.output for s in tree.steps(parent) if s.execution)
    return Execution("ok", seen.removeprefix(before.rstrip()).lstrip("\n") if before else seen)


def _set_values(node: Node, state: Mapping[str, Any]) -> None:
    try:
        node.visit_count = int(state.get("visit_count", 0))
        node.value_sum = float(state.get("q_value", 0.0)) * node.visit_count
    except (TypeError, ValueError) as error:
        raise DataError(f"a node of a released tree has no number where one must be: {error}") from error


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    write_jsonl(path, rows)
