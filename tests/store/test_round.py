"""Rounds of a run: names on disk, the seed, which are there, and the halves of the held-out problems."""

from __future__ import annotations

from pathlib import Path

from rstar_math.store.round import Base, Halves, Round, is_run, parts_in, rounds_in


def test_parts_lie_where_the_formats_say() -> None:
    this = Round(Path("RUN"), 2)
    assert this.folder == Path("RUN/round-2")
    assert this.previous.folder == Path("RUN/round-1")
    assert this.held_out_trees == Path("RUN/round-2/held-out")
    assert this.held_out_pairs == Path("RUN/round-2/held-out-pairs.parquet")
    assert this.reward_model("ppm") == this.ppm == Path("RUN/round-2/ppm")
    assert this.results("greedy") == this.evaluation / "greedy.jsonl" == Path("RUN/round-2/evaluation/greedy.jsonl")
    assert Base(Path("RUN")).results("greedy") == Path("RUN/base/evaluation/greedy.jsonl")
    assert [each.number for each in this.since(1)] == [1, 2]
    assert this.since(2) == [this]


def test_the_seed_of_a_round() -> None:
    assert Round(Path("RUN"), 3).seed(0) == 3_000
    assert Round(Path("RUN"), 3).seed(7) == 7_003_000


def test_a_round_is_known_by_the_name_of_its_folder(tmp_path: Path) -> None:
    assert Round.at(Path("RUN/round-12")) == Round(Path("RUN"), 12)
    for name in ("round-", "round-x", "round-0", "round-01", "round-1.old", "base", "ground-1"):
        assert Round.at(Path("RUN") / name) is None, name


def test_the_rounds_that_are_there(tmp_path: Path) -> None:
    assert rounds_in(tmp_path) == []
    assert parts_in(tmp_path) == []
    for name in ("round-10", "round-2", "round-2.old", "base"):
        (tmp_path / name).mkdir()
    (tmp_path / "round-3").write_text("no folder")
    assert [each.number for each in rounds_in(tmp_path)] == [2, 10]
    assert [path.name for path in parts_in(tmp_path)] == ["base", "round-2", "round-10"]
    assert not is_run(tmp_path)
    (tmp_path / "recipe.yaml").write_text("name: x\n")
    assert is_run(tmp_path)


def test_every_second_problem_steers() -> None:
    halves = Halves(["a", "b", "c"])
    assert [halves.steers(problem) for problem in ("a", "b", "c", "unknown")] == [True, False, True, False]
