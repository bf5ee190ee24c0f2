"""The stages that `evolve` strings together, one command each, on files: for people who bring their own parts."""

from __future__ import annotations

import json
from pathlib import Path

from rstar_math.models import find_model
from rstar_math.store.records import read_pairs, read_trajectories, read_trees
from tests.walking import printed


def test_search_select_and_train_on_files(tmp_path: Path) -> None:
    own = tmp_path / "mine.jsonl"
    questions = printed("pocket", "problems", "train", "--num", "16").splitlines()
    own.write_text("\n".join(questions) + "\n")
    fast = ("--recipe", "smoke", "--round", "1")

    printed("search", own, "--out", tmp_path / "trees", *fast, "--set", "num_rollouts=4")
    trees = list(read_trees(tmp_path / "trees"))
    assert {t.problem.id for t in trees} == {json.loads(q)["id"] for q in questions}
    printed("search", own, "--out", tmp_path / "trees", *fast, "--set", "num_rollouts=4")  # nothing is left to do
    assert len(list(read_trees(tmp_path / "trees"))) == len(trees)

    printed("select", tmp_path / "trees", "--out", tmp_path / "data")
    trajectories = read_trajectories(tmp_path / "data" / "trajectories.parquet")
    assert len({p.id for p, _, _ in trajectories}) == sum(t.solved for t in trees) > 0
    assert read_pairs(tmp_path / "data" / "pairs.parquet")

    policy, ppm = tmp_path / "model" / "policy", tmp_path / "model" / "ppm"
    printed("train", "sft", tmp_path / "data" / "trajectories.parquet", "--out", policy, *fast)
    printed("train", "ppm", tmp_path / "data" / "pairs.parquet", "--policy", policy, "--out", ppm, *fast)
    model = find_model(tmp_path / "model")
    assert (model.policy, model.reward_model) == (policy, ppm)
    answer = json.loads(printed("solve", "--model", tmp_path / "model", "--seed", "1", "--rollouts", "1", "--json"))
    assert answer["cost"]["tokens_scored"] > 0
