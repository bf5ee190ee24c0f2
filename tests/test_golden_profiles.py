"""Golden trees of the two profiles: each rule of search and of selection, worked by hand.

tests/golden/README.md says which file is about which rule, and what the paper and the released code make of it.
`search_*.json` hold a scripted policy (tests/growing.py) and what must come out: the rollouts in order, and N, value
sum and state of the nodes that were visited. `select_*.json` hold whole trees, path -> [N, value sum], of a problem
whose answer is 7, and the trajectories and pairs that must be taken from them. The rules come from the profiles
themselves; a file only says how many rollouts and candidates there are.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import Recipe, SearchSettings
from rstar_math.config.reading import load_recipe
from rstar_math.stages.select import select
from rstar_math.tree import Tree
from rstar_math.types import PreferencePair
from tests.growing import build_tree, grow_script, path_of

FOLDER = Path(__file__).parent / "golden" / "profiles"
SEARCHES = sorted(FOLDER.glob("search_*.json"))
SELECTIONS = sorted(FOLDER.glob("select_*.json"))
PROFILES: dict[str, Recipe] = {name: load_recipe(name) for name in ("paper", "official")}
SIZES = {"num_rollouts", "num_candidates"}


def read(path: Path, profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A file, and what it expects of a profile; `both` stands for either."""
    case: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    assert case["rule"]
    assert set(case["expect"]) in ({"both"}, {"paper", "official"})
    assert all(case[name] for name in case["expect"])  # how it was worked out
    return case, case["expect"].get(profile) or case["expect"]["both"]


def search_settings(profile: str, of: int | str) -> SearchSettings:
    recipe = PROFILES[profile]
    if of == "answering":
        assert recipe.evaluation.system is not None
        return recipe.evaluation.system.search
    return recipe.rounds[int(of) - 1].search


def spelled(path: str) -> str:
    """A path written out: `a^3` is a/a/a."""
    return re.sub(r"(\w+)\^(\d+)", lambda m: "/".join([m[1]] * int(m[2])), path)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", SEARCHES, ids=lambda path: path.stem)
def test_golden_search(path: Path, profile: str) -> None:
    case, expected = read(path, profile)
    assert set(case["sizes"]) <= SIZES
    script = dict(case["policy"])
    if any_depth := script.pop("**", None):
        script |= {"/".join("*" * depth): any_depth for depth in range(1, 17)}
    search = search_settings(profile, case["round"]).model_dump() | case["sizes"]
    tree = grow_script(script, search, case.get("reference", "7"), case.get("scores"))

    assert [path_of(tree, tree.nodes[i]) for i in tree.rollouts] == [spelled(p) for p in expected["rollouts"]]
    assert tree.stopped == expected["stopped"]
    visited = {path_of(tree, node): node for node in tree.nodes if node.visit_count}
    wanted = {spelled(p): v for p, v in (expected.get("visited") or expected["some_visited"]).items()}
    if "visited" in expected:
        assert visited.keys() == wanted.keys()
    for node_path, want in wanted.items():
        node = visited[node_path]
        assert node.visit_count == want["N"], node_path
        assert node.value_sum == pytest.approx(want["sum"], abs=1e-9), node_path
        assert node.terminal == want.get("terminal"), node_path
        assert node.closed == want.get("closed", False), node_path
        assert node.correct == want.get("correct"), node_path
    assert not visited.keys() & set(expected.get("unvisited", ()))
    rejected = {path_of(tree, node): node.rejected for node in tree.nodes if node.rejected is not None}
    assert rejected.keys() == expected.get("rejected", {}).keys()
    for node_path, reason in expected.get("rejected", {}).items():
        assert reason in str(rejected[node_path])
    proposed = {path_of(tree, node): node.num_proposed for node in tree.nodes}
    assert {p: proposed[p] for p in expected.get("proposed", ())} == expected.get("proposed", {})


def long_name(name: str, letters: int | dict[str, int]) -> str:
    """A label or path with each letter repeated: a step needs some length for its edit distance to count."""
    return re.sub(r"[a-z]", lambda m: m[0] * (letters if isinstance(letters, int) else letters[m[0]]), name)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("path", SELECTIONS, ids=lambda path: path.stem)
def test_golden_selection(path: Path, profile: str) -> None:
    case, expected = read(path, profile)
    letters = case["letters"]
    trees = [
        build_tree({long_name(p, letters): (n, total) for p, (n, total) in shape.items()}, seed=seed)
        for seed, shape in enumerate(case["trees"])
    ]
    selected = select(trees, PROFILES[profile].selection, None)
    assert {"trajectories", "steps", "answers"} & set(expected)
    if "trajectories" in expected:
        kept = [path_of(by_id(trees, t), by_id(trees, t).nodes[v.node_path[-1]]) for _, v, t in selected.rows()]
        assert kept == [long_name(p, letters) for p in expected["trajectories"]]
    for kind in ("step", "answer"):
        if f"{kind}s" in expected:
            found = [described(trees, pair, letters) for pair in selected.pairs if pair.kind == kind]
            assert found == [{"trees": [0, 0], **want} for want in expected[f"{kind}s"]]
    for pair in selected.pairs:
        tree = by_id(trees, pair.tree)
        node = tree.nodes[pair.node]
        assert (pair.problem, pair.prefix) == ("p", tree.prefix(node))
        assert pair.kind == "step" or (node is tree.root)
        same = [p for p in selected.pairs if (p.kind, p.tree, p.node) == (pair.kind, pair.tree, pair.node)]
        if pair.kind == "step":
            assert pair.num_chosen == len({p.chosen for p in same})
            assert pair.num_rejected == len({p.rejected for p in same})


def by_id(trees: list[Tree], tree_id: str) -> Tree:
    return next(tree for tree in trees if tree.id == tree_id)


def described(trees: list[Tree], pair: PreferencePair, letters: int | dict[str, int]) -> dict[str, Any]:
    """A pair as the files write it: the paths of its sides, their Q, its weight and the numbers of their trees."""
    found = []
    for tree_id, text in ((pair.tree, pair.chosen), (pair.rejected_tree or pair.tree, pair.rejected)):
        tree = by_id(trees, tree_id)
        if pair.kind == "answer":
            ends = tree.answer_nodes()
        else:
            ends = tree.children(tree.nodes[pair.node])
        prefix = tree.prefix(tree.nodes[pair.node])
        (end,) = [node for node in ends if tree.prefix(node) == prefix + text]
        found.append((re.sub(r"([a-z])\1*", r"\1", path_of(tree, end)), trees.index(tree)))
    (chosen, first), (rejected, second) = found
    return {
        "chosen": chosen,
        "rejected": rejected,
        "q": [pytest.approx(pair.chosen_q), pytest.approx(pair.rejected_q)],
        "weight": pytest.approx(pair.weight),
        "trees": [first, second],
    }


def test_every_rule_has_its_tree_and_every_tree_its_rule() -> None:
    table = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:search|select)_\w+)`", table)
    assert sorted(set(named)) == sorted(path.stem for path in [*SEARCHES, *SELECTIONS])
    for path in re.findall(r"`tests/([\w/]+\.py)`", table):
        assert (FOLDER.parents[1] / path).is_file(), path
    for test in re.findall(r"`(test_\w+)`", table):
        assert any(f"def {test}(" in file.read_text(encoding="utf-8") for file in FOLDER.parents[1].rglob("test_*.py"))


def test_the_profiles_differ_where_the_rules_do() -> None:
    """A profile that lost a rule would pass the files in which both do the same."""
    apart = {path.stem for path in [*SEARCHES, *SELECTIONS] if "both" not in json.loads(path.read_text())["expect"]}
    assert len(apart) >= 12
