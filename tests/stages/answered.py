"""Trees with the answers that a test wants."""

from __future__ import annotations

from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, Step
from tests.growing import end_rollout


def answered(problem: Problem, seed: int, answers: list[str]) -> Tree:
    """A tree whose rollouts gave these answers, each by a path of its own."""
    tree = Tree.start(problem, "mcts", seed)
    for i, text in enumerate(answers):
        code = f"x = {i}\nprint({text})"
        first = tree.add(tree.root, Step(f"\n{code}\n<end_of_code>", code, f"\n<output>{text}<end_of_output>", None))
        first.step = Step(first.step.text, code, first.step.observation, Execution("ok", f"{text}\n"))  # type: ignore[union-attr]
        end = tree.add(first, Step(f"\n<answer>\\boxed{{{text}}}<end_of_answer>", answer=text))
        end_rollout(tree, first, end)
    return tree
