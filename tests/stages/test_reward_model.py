"""Reward models of a finished round: the data, the halves of the held-out problems, the commands."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest
import yaml

from rstar_math import steps
from rstar_math.checkpoints.ppm_file import Kind, read_ppm_file
from rstar_math.cli.reward_models import train_reward_model
from rstar_math.cli.select import select as select_command
from rstar_math.config import RuntimeSettings
from rstar_math.config.reading import load_recipe
from rstar_math.engines.open import open_reward_model
from rstar_math.errors import ConfigError, DataError
from rstar_math.problems.load import load_problems
from rstar_math.progress import Progress
from rstar_math.stages.reward_model import TrainedRound, train_from_round
from rstar_math.stages.select import select
from rstar_math.store.manifest import Manifest
from rstar_math.store.records import TreeStore, read_scored_texts, write_pairs
from rstar_math.tree import Tree
from rstar_math.types import Execution, Problem, Step
from tests.growing import end_rollout
from tests.walking import printed


def searched(problem: Problem, seed: int) -> Tree:
    """A right and a wrong program, each a step and an answer, as a search of two rollouts leaves them."""
    tree = Tree.start(problem, "mcts", seed)
    for i, (sign, text) in enumerate((("+", problem.answer), ("-", f"{problem.answer}1"))):
        code = f"print({seed} {sign} {i})"
        first = tree.add(tree.root, Step(f"\n{code}\n<end_of_code>", code, "", Execution("ok", f"{text}\n")))
        end = tree.add(first, Step(f"\n<answer>\\boxed{{{text}}}<end_of_answer>", answer=text))
        end_rollout(tree, first, end)
    return tree


@pytest.fixture(scope="module")
def run(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose first of two rounds has a policy, with a tree for each problem."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    changed = {"learning_rate": 3e-3, "num_epochs": 4, "max_length": 400, "early_stopping": True}
    rounds = load_recipe("smoke").model_dump(mode="json")["rounds"]
    rounds = [r | {"ppm": r["ppm"] | changed} for r in rounds]
    folder.mkdir()
    for name in ("training", "held-out"):
        rows = [{"id": f"{name}-{i}", "problem": f"What is {i} + 20?", "answer": str(i + 20)} for i in range(6)]
        (folder.parent / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "extends": "smoke",
        "problems": {"source": str(folder.parent / "training.jsonl"), "num_problems": 6},
        "rounds": rounds,
    }
    recipe["held_out"] = {"problems": {"source": str(folder.parent / "held-out.jsonl"), "num_problems": 6}}
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    loaded = load_recipe(str(folder / "recipe.yaml"))
    place = folder / "round-1"
    trees = {
        "trees": [searched(p, 0) for p in load_problems(loaded.problems).problems],
        "held-out": [searched(p, 1) for p in load_problems(loaded.held_out.problems).problems],
        "calibration": [searched(p, 2) for p in load_problems(loaded.held_out.problems).problems],
    }
    for name, pairs in (("trees", "pairs"), ("held-out", "held-out-pairs")):
        with TreeStore(place / name) as store:
            for tree in trees[name]:
                store.append(tree)
        write_pairs(place / f"{pairs}.parquet", select(trees[name], loaded.selection, None).pairs)
    with TreeStore(place / "calibration") as store:
        for tree in trees["calibration"]:
            store.append(tree)
    (place / "policy").symlink_to(tiny_checkpoint)
    Manifest(place).finish("policy")
    Manifest(place).finish("calibrate")
    return folder


def test_halves_of_the_held_out_problems_steer_and_measure(run: Path) -> None:
    source = TrainedRound.of_run(run)
    assert source.round.number == 1
    problems = [p.id for p in load_problems(source.recipe.held_out.problems).problems]
    assert {row.problem for row in source.held_out_texts("pqm", steering=True)} == set(problems[::2])
    assert {row.problem for row in source.held_out_texts("orm", steering=False)} == set(problems[1::2])
    assert {pair.problem for pair in source.held_out_pairs(steering=True)} == set(problems[::2])
    assert len(source.texts("orm")) == 12
    assert len(source.texts("pqm")) == 24
    assert {pair.kind for pair in source.pairs()} == {"step", "answer"}


def test_the_halves_are_those_of_the_run_where_a_problem_has_no_reference(run: Path, tmp_path: Path) -> None:
    again = tmp_path / "run"
    shutil.copytree(run, again, symlinks=True)
    recipe = yaml.safe_load((again / "recipe.yaml").read_text())
    rows = Path(recipe["held_out"]["problems"]["source"]).read_text()
    source = tmp_path / "held-out.jsonl"
    source.write_text(json.dumps({"id": "open", "problem": "Is there a largest pair of twin primes?"}) + "\n" + rows)
    recipe["held_out"]["problems"] = {"source": str(source), "num_problems": 7}
    (again / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for steering in (True, False):  # the run left the problem out before it took the halves
        assert (
            TrainedRound.of_run(again).held_out_pairs(steering)
            == TrainedRound.of_run(run).held_out_pairs(steering)
            != []
        )


@pytest.mark.parametrize("kind", ["ppm", "pqm", "orm"])
def test_each_kind_is_trained_calibrated_and_measured(kind: Kind, run: Path, tmp_path: Path) -> None:
    source = TrainedRound.of_run(run, 1)
    made = train_from_round(kind, source, source.settings, tmp_path / kind, source.seed, Progress())
    content = read_ppm_file(tmp_path / kind)
    assert content.kind == kind
    assert content.calibration is not None
    assert made["calibration_error"] == content.calibration.measured.expected_calibration_error
    assert made["num_measuring_pairs"] == len(source.held_out_pairs(steering=False)) == 6
    assert 0 <= made["measured_answer_pair_accuracy"] <= 1
    assert (made["measured_pair_accuracy"] is None) == (kind == "orm")

    async def score() -> float:
        reward_model = open_reward_model(tmp_path / kind, RuntimeSettings(device="cpu"))
        (found,) = await reward_model.score([steps.prompt("1 + 1?") + "\nprint(2)\n<end_of_code>"])
        await reward_model.aclose()
        return found.value

    assert -1 < asyncio.run(score()) < 1


def test_rounds_that_are_not_there_are_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it has no recipe"):
        TrainedRound.of_run(tmp_path)
    with pytest.raises(DataError, match=r"round 2 of .* has no trained policy yet"):
        TrainedRound.of_run(run, 2)
    with pytest.raises(ConfigError, match=r"--round is 3; .* has rounds 1 to 2"):
        TrainedRound.of_run(run, 3)


def test_the_command_takes_a_run(run: Path) -> None:
    said = printed("train", "orm", "--run", run, "--set", "num_epochs=1")
    assert "measured_answer_pair_accuracy" in said
    assert said.splitlines()[-1] == str(run / "round-1" / "orm")
    assert read_ppm_file(run / "round-1" / "orm").kind == "orm"


def test_the_command_takes_what_select_wrote(
    run: Path, tiny_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    selected = tmp_path / "selected"
    select_command([run / "round-1" / "trees"], selected, "smoke", verify=False)
    assert "outcomes: 12" in capsys.readouterr().out
    assert read_scored_texts(selected / "outcomes.parquet") == TrainedRound.of_run(run).texts("orm")
    assert read_scored_texts(selected / "q-values.parquet") == TrainedRound.of_run(run).texts("pqm")
    files, held_out = [selected / "q-values.parquet"], run / "round-1" / "held-out"  # a table, and a folder of trees
    train_reward_model(
        "pqm", files, None, tmp_path / "pqm", str(tiny_checkpoint), held_out, 0, "smoke", None, ["max_length=400"]
    )
    assert "pair_accuracy: " in capsys.readouterr().out
    assert read_ppm_file(tmp_path / "pqm").kind == "pqm"


def test_bad_arguments_are_named(run: Path, tmp_path: Path) -> None:
    def train(kind: Kind, files: list[Path], run: Path | None, policy: str | None = None) -> None:
        train_reward_model(kind, files, run, tmp_path / "out" if policy else None, policy, None, 0, "smoke", None, [])

    with pytest.raises(ConfigError, match="needs --run RUN; or files, --policy and --out"):
        train("orm", [], None)
    with pytest.raises(ConfigError, match="is the run's own PPM"):
        train("ppm", [], run)
    with pytest.raises(ConfigError, match="--run brings the data"):
        train("pqm", [tmp_path], run)
    with pytest.raises(DataError, match="holds no texts with targets"):
        train("pqm", [run / "round-1" / "pairs.parquet"], None, "pocket")
    assert not (tmp_path / "out").exists()
