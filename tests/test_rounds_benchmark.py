"""perf/rounds.py: the same rounds without what they do not need, and tables and claims of two arms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from rstar_math.config.reading import load_recipe
from rstar_math.paper.claims import decided
from rstar_math.paper.recipes import seed_recipe
from rstar_math.paper.rejection import Spent, sampled_recipe
from tests.scripts import ROOT, loaded_script


@pytest.fixture(scope="module")
def rounds() -> Iterator[ModuleType]:
    with loaded_script(ROOT / "perf" / "rounds.py") as module:
        yield module


def test_a_lean_recipe_searches_and_trains_as_the_whole_one(rounds: ModuleType) -> None:
    whole = load_recipe("pocket-full")
    lean = rounds.lean_recipe(whole)
    assert [r.train_ppm for r in lean.rounds] == [False, True, True, False]
    for ours, theirs in zip(lean.rounds, whole.rounds, strict=True):
        assert ours.model_copy(update={"train_ppm": True}) == theirs
    assert (lean.problems, lean.held_out, lean.selection) == (whole.problems, whole.held_out, whole.selection)
    assert lean.evaluation.problems == whole.evaluation.problems
    sampled = sampled_recipe(seed_recipe(lean, 2), [Spent(1000, 10)] * 4)
    assert [r.sft for r in sampled.rounds] == [r.sft for r in lean.rounds]
    assert not any(r.train_ppm for r in sampled.rounds)


def test_one_sft_for_all_rounds() -> None:
    for name in ("pocket", "pocket-full"):
        assert len({r.sft.model_dump_json() for r in load_recipe(name).rounds}) == 1
    assert len({r.sft.model_dump_json() for r in load_recipe("pocket-gentle").rounds}) == 4


def test_tables_and_claims_of_what_is_there(
    rounds: ModuleType, tiny_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    num_rounds = len(load_recipe("smoke").rounds)
    rounds.tell(tmp_path, [1, 2], num_rounds, None)
    assert capsys.readouterr().out == "no seed is whole yet\n"
    ours = rounds.folder_of(tmp_path, rounds.EVOLUTION, 1)
    ours.parent.mkdir()
    ours.symlink_to(tiny_run)
    rounds.tell(tmp_path, [1, 2], num_rounds, None)
    printed = capsys.readouterr().out
    assert "1 training seeds" in printed
    assert rounds.SAMPLING not in printed
    theirs = rounds.folder_of(tmp_path, rounds.SAMPLING, 1)
    theirs.parent.mkdir()
    theirs.symlink_to(tiny_run)
    rounds.tell(tmp_path, [1, 2], num_rounds, tmp_path / "out.json")
    found = json.loads((tmp_path / "out.json").read_text())
    assert found["seeds"] == {rounds.EVOLUTION: [1], rounds.SAMPLING: [1]}
    assert found["greedy"]["evolution, round 2"] == found["greedy"]["rejection sampling, round 2"]
    assert [claim["verdict"] for claim in found["claims"][-2:]] == ["within noise"] * 2, "an arm against itself"
    solved = rounds.solved_of(tmp_path, rounds.EVOLUTION, 2, [1])
    assert all(solved.so_far[cell] >= solved.now[cell] for cell in solved.now)
    assert rounds.hardest(solved) in set(solved.tiers.values())


def test_the_claims_are_the_five_that_were_stated(rounds: ModuleType) -> None:
    def measured(right: int) -> object:
        rows = [{"problem": f"{i}", "correct": i < right, "tier": "a"} for i in range(1000)]
        return rounds.Measured("m", {1: rows})

    def solved(right: int) -> object:
        cells = {(1, f"{i}"): float(i < right) for i in range(1000)}
        return rounds.Solved(cells, cells, dict.fromkeys(cells, "a"), 100.0)

    greedy = {(rounds.EVOLUTION, n): measured(right) for n, right in enumerate((100, 300, 500, 700, 699))}
    greedy[rounds.SAMPLING, 4] = measured(640)
    found = {(rounds.EVOLUTION, n): solved(800) for n in range(1, 5)} | {(rounds.SAMPLING, 4): solved(820)}
    verdicts = [d.verdict for d in decided(rounds.claims_of(greedy, found, 4))]
    assert verdicts == ["holds", "holds", "holds", "holds", "does not hold"]
    assert len(rounds.claims_of(greedy, found, 2)) == 1
    assert rounds.claims_of(greedy, found, 1) == ()
