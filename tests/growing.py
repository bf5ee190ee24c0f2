"""Trees grown over the fakes, for the tests: by the public fake policy, or by a script worked out by hand.

A script is a table from the path of a node to the candidates that the policy proposes there. A path is the labels of
its steps joined by "/" ("" is the root); a label tells what the step is:

    a     code that runs            a.    code that runs and closes the code
    a!    code that fails           a!.   code that fails and closes the code
    a?    no stop marker            =7    an answer, \\boxed{7}          =     an answer without a box

A candidate list may be given for all paths of one depth: "*" for depth 1, "*/*" for depth 2, and so on.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rstar_math import steps
from rstar_math.config import BudgetSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation, RewardModel, Score
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.grading.base import Grader
from rstar_math.grading.fake import FakeGrader
from rstar_math.search.budget import Budget
from rstar_math.search.environment import Environment
from rstar_math.search.strategies import strategy
from rstar_math.store.records import tree_to_row
from rstar_math.tree import Node, Tree
from rstar_math.types import Completion, Execution, Problem, SamplingParams, Step

_LABEL = re.compile(r"# (\S+)")


def label(node: Node) -> str:
    """The label of a scripted node."""
    assert node.step is not None
    return label_of(node.step.text)


def label_of(step_text: str) -> str:
    """The label of a scripted step."""
    found = _LABEL.search(step_text)
    assert found is not None, step_text
    return found.group(1)


def path_of(tree: Tree, node: Node) -> str:
    """The path of a scripted node."""
    return "/".join(label(n) for n in tree.path(node))


def at(tree: Tree, path: str) -> Node:
    """The node of a scripted tree at a path."""
    found = [node for node in tree.nodes if path_of(tree, node) == path]
    assert len(found) == 1, f"{len(found)} nodes at {path!r}"
    return found[0]


def completion_of(name: str) -> Completion:
    """The candidate that a label stands for; every one of them counts as 10 tokens."""
    text = f"\n# {name}\n"
    if name.startswith("="):
        boxed = rf"\boxed{{{name[1:]}}}" if name[1:] else "unclear"
        return Completion(f"{text}{steps.ANSWER}It is {boxed}.", steps.END_OF_ANSWER, 10, -1.0)
    if name.endswith("?"):
        return Completion(text, None, 10, -1.0)
    if "!" in name:
        text += "print(missing)\n"
    elif name.endswith("."):
        text += "print(1)\n"
    return Completion(text, steps.END_OF_CODE if name.endswith(".") else steps.END_OF_STEP, 10, -1.0)


class ScriptedEngine:
    """A policy that proposes what a script says, the list repeated where more candidates are asked for.

    With `in_turn` every request goes on in the list of its node where the last one ended, for searches that ask for
    candidates one by one. `logprobs` gives the log-probability of a label; -1 where it is not named.
    """

    def __init__(
        self,
        script: Mapping[str, Sequence[str]],
        logprobs: Mapping[str, float] | None = None,
        *,
        in_turn: bool = False,
    ) -> None:
        self._script, self._logprobs, self._in_turn = script, logprobs or {}, in_turn
        self._given = Counter[str]()
        self.num_requests = 0

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        self.num_requests += 1
        labels = _labels(prompt)
        path = "/".join(labels)
        names = self._script.get(path) or self._script["/".join("*" * len(labels))]
        first = self._given[path] if self._in_turn else 0
        self._given[path] += params.n
        chosen = [names[i % len(names)] for i in range(first, first + params.n)]
        made = (replace(completion_of(name), logprob=self._logprobs.get(name, -1.0)) for name in chosen)
        return Generation(tuple(made), 5)

    async def aclose(self) -> None:
        pass


class ScriptedRewardModel:
    """A reward model whose value is given for each path (0 where none is given)."""

    def __init__(self, scores: Mapping[str, float]) -> None:
        self._scores = scores

    async def score(self, texts: Sequence[str]) -> list[Score]:
        values = [self._scores.get("/".join(_labels(text)), 0.0) for text in texts]
        return [Score(logit=value, value=value, num_tokens=3) for value in values]

    async def aclose(self) -> None:
        pass


def _labels(text: str) -> list[str]:
    _, response = steps.split_prompt(text)
    return [label_of(step.text) for step in steps.parse(response.removeprefix(steps.CODE))]


def grow_script(
    script: Mapping[str, Sequence[str]],
    search: Mapping[str, Any],
    reference: str | None = "7",
    scores: Mapping[str, float] | None = None,
    strategy_name: str = "mcts",
    logprobs: Mapping[str, float] | None = None,
    tokens: int | None = None,
) -> Tree:
    """Grows a tree over a scripted policy; `search` holds the settings that differ from the plain paper's.

    As many candidates are drawn as the root's list has, unless `search` says otherwise. With `logprobs` they come in
    turn, whether they are asked for together or one by one. `tokens` is a limit; every candidate takes 10.
    """
    plain = {"num_candidates": len(script[""]), "use_ppm": scores is not None}
    env = Environment(
        Problem("scripted", "A scripted question?", reference),
        ScriptedEngine(script, logprobs, in_turn=logprobs is not None),
        FakeExecutor(),
        FakeGrader(),
        None if scores is None else ScriptedRewardModel(scores),
    )
    env.budget = Budget(BudgetSettings(tokens=tokens))
    return asyncio.run(strategy(strategy_name).grow(env, SearchSettings.model_validate({**plain, **search})))


def build_tree(
    shape: Mapping[str, tuple[float, float]], correct: Mapping[str, bool | None] | None = None, seed: int = 5
) -> Tree:
    """A tree put together by hand, of a problem whose reference is 7.

    Args:
      shape: path -> (N, value sum), parents first; rollouts ended at every answer.
      correct: grade of each answer; None: `=7` is right, everything else is wrong.
      seed: of the tree.
    """
    tree = Tree.start(Problem("p", "Q?", "7"), "mcts", seed)
    nodes: dict[str, Node] = {"": tree.root}
    for path, (visits, total) in shape.items():
        parent, _, name = path.rpartition("/")
        made = completion_of(name)
        text = made.text + (made.stop or "")
        if name.startswith("="):
            step = steps.step_from_text(text)
        else:
            execution = Execution("error", "", "NameError: x") if "!" in name else Execution("ok", "")
            step = Step(text, steps.code_of(text), execution=execution)
        node = nodes[path] = tree.add(nodes[parent], step)
        node.visit_count, node.value_sum = int(visits), total
        if name.startswith("="):
            node.terminal = "answer"
            node.correct = name == "=7" if correct is None else correct[path]
            tree.rollouts.append(node.index)
    return tree


def end_rollout(tree: Tree, *path: Node) -> None:
    """Ends a rollout with the answer of the last node, graded by its text, and backs it up along `path` to the root."""
    end = path[-1]
    assert end.step is not None
    end.terminal, end.correct = "answer", end.step.answer == tree.problem.answer
    for node in (tree.root, *path):
        node.visit_count += 1
        node.value_sum += 1.0 if end.correct else -1.0
    tree.rollouts.append(end.index)


def fake_environment(
    problem: Problem,
    seed: int = 0,
    policy: FakePolicy | None = None,
    engine: Engine | None = None,
    executor: Executor | None = None,
    grader: Grader | None = None,
    reward_model: RewardModel | None = None,
) -> Environment:
    """An environment of fakes; with a reward model."""
    return Environment(
        problem,
        engine or FakeEngine(policy),
        executor or FakeExecutor(),
        grader or FakeGrader(),
        reward_model or FakeRewardModel(),
        seed,
    )


def grow_fake(
    strategy_name: str,
    search: SearchSettings,
    policy: FakePolicy | None = None,
    problem_id: str = "p",
    seed: int = 0,
) -> Tree:
    """Grows one tree over the fake policy; the reference is 1."""
    env = fake_environment(Problem(problem_id, f"Question {problem_id}?", "1"), seed, policy)
    return asyncio.run(strategy(strategy_name).grow(env, search))


def timeless_row(tree: Tree) -> dict[str, Any]:
    """Everything about a tree but the time that it took."""
    row = tree_to_row(tree)
    del row["cost"]["seconds"], row["cost"]["cpu_seconds"]
    return row


def clockless_row(tree: Tree) -> dict[str, Any]:
    """Everything about a tree but the time that it and its programs took."""
    row = timeless_row(tree)
    for node in row["nodes"]:
        if node["execution"]:
            del node["execution"]["seconds"]
    return row
