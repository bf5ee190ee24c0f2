"""Golden trees, each worked out by hand: `tests/golden/*.json` say in `about` how.

A file holds a scripted policy (see `tests/growing.py`), the settings that matter, and what must come out: the rollouts
in order, and N, the value sum and the state of every node that was visited.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.growing import grow_script, path_of

GOLDEN = sorted((Path(__file__).parents[1] / "golden").glob("*.json"))


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_tree(path: Path) -> None:
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    tree = grow_script(case["policy"], case["search"], case.get("reference", "7"), case.get("scores"))
    expected = case["expect"]
    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == expected["rollouts"]
    assert tree.stopped == expected["stopped"]
    visited = {path_of(tree, node): node for node in tree.nodes if node.visit_count}
    assert {path: node.visit_count for path, node in visited.items()} == {
        path: wanted["N"] for path, wanted in expected["visited"].items()
    }
    for node_path, wanted in expected["visited"].items():
        node = visited[node_path]
        assert node.value_sum == pytest.approx(wanted["sum"], abs=1e-4), node_path
        assert node.terminal == wanted.get("terminal"), node_path
        assert node.closed == wanted.get("closed", False), node_path
        assert node.correct == wanted.get("correct"), node_path
    rejected = {path_of(tree, node): node.rejected for node in tree.nodes if node.rejected is not None}
    assert rejected.keys() == expected.get("rejected", {}).keys()
    for node_path, reason in expected.get("rejected", {}).items():
        assert reason in str(rejected[node_path])


def test_there_are_golden_trees() -> None:
    assert len(GOLDEN) >= 16
