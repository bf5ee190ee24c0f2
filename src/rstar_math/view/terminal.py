"""A search tree as text: what `rstar tree` prints."""

from __future__ import annotations

from collections.abc import Iterator

import rich.tree
from rich.console import RenderableType

from rstar_math.terminal.console import Text
from rstar_math.tree import Node, Tree
from rstar_math.view.labels import label

_GOOD, _BAD, _DIM = "blue", "dark_orange", "bright_black"


def drawn(tree: Tree, *, whole: bool = False, max_depth: int | None = None) -> Iterator[RenderableType]:
    """What a tree is of, the tree, and a line that says how to read it.

    Args:
      tree: the tree.
      whole: with the candidates that no rollout visited, and those that were rejected; else these are only counted.
      max_depth: most steps from the root that are shown; None: all.
    """
    problem = tree.problem
    solved = {True: "solved", False: "not solved"}[tree.solved] if problem.answer is not None else "no reference"
    counts = f"{len(tree.rollouts)} rollouts, {len(tree.nodes)} nodes, {solved}, stopped: {tree.stopped or 'unknown'}"
    yield Text.assemble((tree.id, "bold"), f"  {tree.strategy}, {counts}")
    yield Text(problem.question)
    if problem.answer is not None:
        yield Text.assemble(("reference ", _DIM), problem.answer)
    root = rich.tree.Tree(_words(tree, tree.root, "question"), guide_style=_DIM)
    pending = [(tree.root, root)]
    while pending:
        node, branch = pending.pop()
        children = sorted((tree.nodes[i] for i in node.children), key=_merit, reverse=True)
        shown = [c for c in children if whole or (c.visit_count and c.rejected is None)]
        if max_depth is not None and node.depth >= max_depth:
            shown = []
        for child in shown:
            words = label(child.step.text, child.step.answer) if child.step else ""
            pending.append((child, branch.add(_words(tree, child, words))))
        if left_out := _left_out(children, shown):
            branch.add(Text(left_out, style=_DIM))
    yield root
    yield Text("N visits, Q value in [-1, 1], x candidates with this text, PPM score; ✓ right, ✗ wrong", style=_DIM)


def _merit(node: Node) -> tuple[bool, int, float]:
    return node.rejected is None, node.visit_count, node.q_value


def _words(tree: Tree, node: Node, words: str) -> Text:
    text = Text(words or "(empty)", style=_DIM if node.rejected is not None else "")
    if node.correct is not None:
        text.append(" ✓" if node.correct else " ✗", _GOOD if node.correct else _BAD)
    if node.step is not None and node.step.execution is not None and not node.step.execution.ok:
        text.append(f"  {node.step.execution.error or node.step.execution.status}"[:80], _BAD)
    if node.rejected is not None:
        text.append(f"  rejected: {node.rejected}"[:80], _DIM)
    elif node.terminal in ("dead_end", "depth_limit"):
        text.append(f"  {node.terminal.replace('_', ' ')}", _BAD)
    if node.visit_count:
        text.append(f"  N {node.visit_count}", _DIM)
        text.append(f" Q {node.q_value:+.2f}", _GOOD if node.q_value > 0 else _BAD if node.q_value < 0 else _DIM)
    if node.ppm_score is not None:
        text.append(f" PPM {node.ppm_score:+.2f}", _DIM)
    if node.num_proposed > 1:
        text.append(f" x{node.num_proposed}", _DIM)
    return text


def _left_out(children: list[Node], shown: list[Node]) -> str:
    rest = {c.index for c in children} - {c.index for c in shown}
    rejected = sum(1 for c in children if c.index in rest and c.rejected is not None)
    deeper = sum(1 for c in children if c.index in rest and c.rejected is None and c.visit_count)
    kinds = {"deeper": deeper, "never visited": len(rest) - rejected - deeper, "rejected": rejected}
    words = ", ".join(f"{count} {what}" for what, count in kinds.items() if count)
    return f"({words})" if words else ""
