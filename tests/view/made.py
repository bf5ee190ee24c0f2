"""Trees made by hand, for tests of what is shown of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from rstar_math.store.records import TreeStore
from rstar_math.tree import Node, Tree
from rstar_math.types import Execution, Problem, Step


def code_step(code: str, output: str = "", error: str | None = None) -> Step:
    """A step that ran."""
    execution = Execution("error" if error else "ok", output, error, 0.001)
    observation = f"\n<output>{output}<end_of_output>" if output else ""
    return Step(f"\n{code}\n<end_of_step>", code, observation, execution)


def answer_step(answer: str) -> Step:
    """A step that answers."""
    return Step(f"\n<answer>The answer is \\boxed{{{answer}}}.<end_of_answer>", answer=answer)


def small_tree(problem: Problem, seed: int = 0, answers: Sequence[str] = ("42", "41", "42")) -> Tree:
    """A first step, and below it an answer a rollout; further ones failed or were rejected."""
    tree = Tree.start(problem, "mcts", seed)
    first = tree.add(tree.root, code_step("# add\nx = 40 + 2", "42\n"))
    failed = tree.add(tree.root, code_step("y = 1 / 0", error="ZeroDivisionError: division by zero"))
    failed.rejected = "its code failed: ZeroDivisionError"
    first.num_proposed, first.ppm_score, first.logprob, first.num_tokens = 3, 0.5, -0.7, 12
    for answer in answers:
        node = tree.add(first, answer_step(answer))
        node.terminal, node.correct = "answer", answer == problem.answer
        value = 1.0 if node.correct else -1.0
        for passed in (node, first, tree.root):
            passed.visit_count += 1
            passed.value_sum += value
        tree.rollouts.append(node.index)
    tree.root.expanded = first.expanded = True
    tree.stopped, tree.cost.tokens_generated = "rollouts", 100 + seed
    return tree


def grown_tree(num_nodes: int, problem: Problem, seed: int = 0) -> Tree:
    """A tree of any size, of the shape of a search: most nodes are candidates that were never visited."""
    rng = random.Random(seed)
    tree = Tree.start(problem, "mcts", seed)
    open_nodes: list[Node] = [tree.root]
    while len(tree.nodes) < num_nodes:
        node = open_nodes.pop(rng.randrange(len(open_nodes)))
        node.expanded = True
        for _ in range(min(rng.randint(2, 6), num_nodes - len(tree.nodes))):
            i = len(tree.nodes)
            child = tree.add(
                node, code_step(f"# step {i % 97}\nx{i % 13} = {i} * 3 + {i % 7}", "7\n" if i % 5 == 0 else "")
            )
            child.logprob, child.num_tokens, child.num_proposed = (
                -rng.random() * 3,
                rng.randint(5, 40),
                rng.randint(1, 4),
            )
            child.ppm_score, child.visit_count = rng.uniform(-1, 1), 1
            child.value_sum = child.ppm_score
            if child.depth >= 10 or rng.random() < 0.1:
                child.terminal, child.correct = "answer", rng.random() < 0.5
                _finish(tree, child)
            elif rng.random() < 0.1:
                child.rejected = "its code failed"
            else:
                open_nodes.append(child)
        if not open_nodes:
            open_nodes.append(node)
    tree.stopped = "rollouts"
    return tree


def _finish(tree: Tree, node: Node) -> None:
    node.step = answer_step("42" if node.correct else str(node.index))
    tree.rollouts.append(node.index)
    while node.parent >= 0:
        node.visit_count += 1
        node.value_sum += 1.0 if tree.nodes[tree.rollouts[-1]].correct else -1.0
        node = tree.nodes[node.parent]
    tree.root.visit_count += 1


def problems(num: int) -> list[Problem]:
    """Problems of two tiers."""
    return [
        Problem(f"p-{i:03d}", f"What is {i} plus {42 - i}?", "42", "gsm" if i % 2 else "math", "made")
        for i in range(num)
    ]


def write_trees(folder: Path, trees: Sequence[Tree], per_part: int = 50) -> Path:
    """A folder of whole trees."""
    with TreeStore(folder, per_part) as store:
        for tree in trees:
            store.append(tree)
    return folder
