"""Branching by entropy, worked by hand."""

from __future__ import annotations

import math

import pytest

from rstar_math.search.entropy import perplexity
from rstar_math.tree import Node
from tests.growing import grow_script, path_of

SCRIPT = {"": ["a", "b", "c", "d"], "*": ["e."], "*/*": ["=7"]}
SCORES = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4}


@pytest.mark.parametrize(
    ("probabilities", "num_drawn"),
    [
        ({"a": 0.9}, 1),  # perplexity 1.1
        ({"a": 0.5, "b": 0.5}, 2),
        ({"a": 0.5, "b": 0.1}, 4),  # 2, then 1 / sqrt(0.05) = 4.5, with c of 0.1 5.8, with d of 0.9 3.9
        ({"a": 0.01, "b": 0.01, "c": 0.01, "d": 0.01}, 4),  # a hundred, but there is a most
    ],
)
def test_as_many_candidates_as_there_are_things_to_say(probabilities: dict[str, float], num_drawn: int) -> None:
    logprobs = {name: math.log(p) for name, p in ({"c": 0.1, "d": 0.9} | probabilities).items()}
    search = {"num_rollouts": 1, "num_candidates": 4}
    tree = grow_script(SCRIPT, search, scores=SCORES, strategy_name="entropy", logprobs=logprobs)
    assert len(tree.root.children) == num_drawn
    assert path_of(tree, tree.nodes[tree.rollouts[0]]).startswith("abcd"[num_drawn - 1])  # the best that was drawn


def test_perplexity() -> None:
    nodes = [Node(1, 0, 1, None, num_proposed=3, logprob=math.log(0.5)), Node(2, 0, 1, None, logprob=math.log(0.125))]
    # mean surprise: (3 * log 2 + log 8) / 4 = 1.5 log 2
    assert perplexity(nodes) == pytest.approx(2**1.5)
    assert perplexity([Node(1, 0, 1, None, logprob=-4000.0)]) == pytest.approx(math.exp(50))
