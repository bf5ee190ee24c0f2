"""Every table and figure through the installed command, on a recipe of one small round more than the least."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rstar_math.config import Recipe
from rstar_math.config.reading import changed_recipe, load_recipe
from rstar_math.errors import ConfigError
from rstar_math.paper.bases import every_base
from rstar_math.paper.laboratory import Laboratory
from rstar_math.paper.names import NAMES, chosen
from rstar_math.problems.load import load_problems
from rstar_math.progress import Progress
from rstar_math.store.files import write_text
from rstar_math.store.records import read_trees
from tests import warm

METHODS = """
baseline: MCTS, PPM
methods:
  - {name: greedy, strategy: greedy}
  - {name: maj@N, strategy: sample, scorer: none, answering: {selector: majority, search: {num_rollouts: 4}}}
  - {name: "best-of-N, ORM", strategy: sample, scorer: orm, answering: {selector: best, search: {num_rollouts: 4}}}
  - {name: "MCTS, PQM", strategy: mcts, reward_model: pqm, answering: {search: {num_rollouts: 100}}}
  - {name: "MCTS, PPM", strategy: mcts, answering: {search: {num_rollouts: 100}}}
  - {name: forest, strategy: forest, answering: {search: {num_candidates: 4}}}
"""

RECIPE = """
extends: smoke
name: tiny
problems: {num_problems: 10}
held_out: {problems: {num_problems: 4}}
calibration: {num_rollouts: 1}
evaluation:
  problems: {num_problems: 8, skip: 5}
  control_problems: 4
  threshold_problems: null
rounds: {sft: {num_steps: 3}, ppm: {num_epochs: null, num_steps: 4}}
runtime: {deterministic: false}
reproduce:
  seeds: [3]
  own_problems: true
  methods: METHODS
  budgets: [150]
  timed_problems: 1
  pair_problems: 6
  num_trajectories: 4
  further_bases:
    - name: again
      model: pocket-base
      changes:
        problems: {num_problems: 6}
        rounds: {sft: {num_steps: 2}}
        evaluation: {rounds: last, control_problems: null}
    - name: wider
      model: pocket-base
      changes:
        problems: {num_problems: 6}
        rounds: {search: {num_candidates: 3}}
        evaluation: {rounds: last, control_problems: null}
"""


def reproduce(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    return warm.run("reproduce", *names, "--scale", folder / "tiny.yaml", "--out", folder / "out")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reproduce")
    (folder / "methods.yaml").write_text(METHODS)
    (folder / "tiny.yaml").write_text(RECIPE.replace("METHODS", str(folder / "methods.yaml")))
    done = reproduce(folder, "all")
    assert done.returncode == 0, done.stderr[-4000:]
    (folder / "told.txt").write_text(done.stderr)
    return folder


def read(made: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((made / "out" / f"{name}.json").read_text())
    return found


def test_all_tables_and_figures_are_written(made: Path) -> None:
    for name in NAMES:
        found = read(made, name)
        assert found["name"] == name
        assert found["tables"]
        assert all(table["rows"] for table in found["tables"])
        assert (made / "out" / f"{name}.md").exists()
    for name in ("figure3", "figure5", "figure6", "figure7"):
        assert (made / "out" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    together = (made / "out" / "results.md").read_text()
    assert "rstar reproduce all" in together
    assert all(read(made, name)["title"] in together for name in NAMES)


def test_numbers_are_those_of_the_rows(made: Path) -> None:
    run = made / "out" / "runs" / "seed-3"
    rows = [json.loads(line) for line in (run / "round-2" / "evaluation" / "greedy.jsonl").read_text().splitlines()]
    assert len(rows) == 8
    share = 100 * sum(row["correct"] for row in rows) / len(rows)
    (table,) = read(made, "table3")["tables"]
    assert table["rows"][2][table["columns"].index("all")].startswith(f"{share:.1f} [")


def test_every_claim_is_decided_with_its_evidence(made: Path) -> None:
    for name in NAMES:
        assert read(made, name)["claims"] or name in ("table5", "table9")
        for claim in read(made, name)["claims"]:
            assert claim["verdict"] in ("holds", "does not hold", "within noise")
            assert claim["evidence"]
            for evidence in claim["evidence"]:
                assert evidence["low"] <= evidence["difference"] <= evidence["high"]
                assert list(evidence["by_seed"]) == ["3"], (name, evidence["label"])


def test_rejection_sampling_stands_beside_the_search_with_the_same_tokens(made: Path) -> None:
    (table,) = read(made, "table2")["tables"]
    column = {name: i for i, name in enumerate(table["columns"])}
    for row in table["rows"]:
        ours, theirs = (
            float(row[column[f"tokens a problem {name}"]].replace(",", "")) for name in ("search", "sampling")
        )
        assert theirs == pytest.approx(ours, rel=0.2)
        assert "[" in row[column["rejection sampling, iterated this round"]]
    run = made / "out" / "samples" / "seed-3"
    for number in (1, 2):
        stages = json.loads((run / f"round-{number}" / "manifest.json").read_text())["stages"]
        assert list(stages) == ["search", "select", "policy", "evaluate"]
    for name, ending in (("table3", ""), ("table6", ", majority")):
        labels = [row[0] for row in read(made, name)["tables"][0]["rows"]]
        assert labels[-2:] == [f"rejection sampling, iterated, round {n}{ending}" for n in (1, 2)]
        assert [row[-1] for row in read(made, name)["tables"][0]["rows"]][-2:] == ["-", "-"], "no figures of the paper"
        assert len([c for c in read(made, name)["claims"] if "rejection sampling" in c["claim"]]) == 2
    labels = [row[0] for row in read(made, "table7")["tables"][0]["rows"]]
    assert labels[-2:] == ["round 2: rejection sampling, iterated", "round 2: format only"]
    steps = {e["kind"]: e["examples"] for e in events(made) if e["event"] == "sft"}
    assert steps["format only"] == steps["verified trajectories"]


def events(made: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (made / "out" / "events.jsonl").read_text().splitlines()]


def test_pairs_of_further_held_out_problems_measure_the_ppm(made: Path) -> None:
    num_further = 0
    for number in (1, 2):
        folder = made / "out" / "pairs" / "seed-3" / f"round-{number}"
        ranked = json.loads((folder / "ranked.json").read_text())
        right, num_pairs = (sum(counts[i] for counts in ranked["PPM"].values()) for i in (0, 1))
        run = made / "out" / "runs" / "seed-3" / f"round-{number}"
        of_run = json.loads((run / "manifest.json").read_text())["stages"]["ppm"]["num_measuring_pairs"]
        searched = {tree.problem.id for tree in read_trees(folder / "trees")}
        held_out = {tree.problem.id for tree in read_trees(run / "held-out")}
        assert len(searched) == 6
        assert not searched & held_out
        num_further += num_pairs - of_run
        rows = {row[0]: row for row in read(made, "table4")["tables"][1]["rows"]}
        assert str(num_pairs) in rows[f"round {number}"]
        assert 0 <= right <= num_pairs
        assert set(ranked["shorter"]) <= searched | held_out
    assert num_further > 0


def test_methods_are_compared_at_the_same_budget(made: Path) -> None:
    (table,) = read(made, "table8")["tables"]
    generated = table["columns"].index("tokens generated")
    names = [row[0] for row in table["rows"]]
    assert names == ["greedy", "maj@N", "best-of-N, ORM", "MCTS, PQM", "MCTS, PPM", "forest"]
    for row in table["rows"][1:]:
        assert float(row[generated].rstrip("*")) < 1.3 * 150
    assert all(row[table["columns"].index("CPU seconds")] != "-" for row in table["rows"])


def test_run_again_it_makes_nothing_again(made: Path) -> None:
    events = (made / "out" / "events.jsonl").read_text().splitlines()
    before = {p: p.stat().st_mtime_ns for p in (made / "out" / "rows").rglob("*.jsonl")}
    text = (made / "out" / "table4.md").read_text()
    done = reproduce(made, "table4")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Table 4" in done.stdout
    after = (made / "out" / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in after[len(events) :]] == ["result"]
    assert {p: p.stat().st_mtime_ns for p in (made / "out" / "rows").rglob("*.jsonl")} == before
    assert (made / "out" / "table4.md").read_text() == text


def test_rows_are_known_by_nothing_of_this_machine(made: Path) -> None:
    keys = [json.loads(path.read_text()) for path in (made / "out" / "rows").rglob("*.json")]
    names = {name for key in keys for name in key["models"].values() if name is not None}
    assert any(name.startswith("pocket-base ") for name in names)
    assert any(name.startswith("runs/seed-3/") for name in names)
    assert not [name for name in names if Path(name).is_absolute()]


def laboratory(changes: dict[str, Any], tmp_path: Path) -> Laboratory:
    recipe: Recipe = changed_recipe(load_recipe("smoke"), changes, "test")
    return Laboratory(recipe, tmp_path, Progress())


def test_seeds_may_have_problems_of_their_own(tmp_path: Path) -> None:
    lab = laboratory({"reproduce": {"seeds": [4, 9], "own_problems": True}}, tmp_path)
    first, second = (lab.problems(seed).problems for seed in lab.seeds)
    assert lab.problems(4).problems is first, "made once for all measurements"
    assert len(first) == len(second) == 8
    assert not {p.id for p in first} & {p.id for p in second}
    assert lab.seed_recipe(4).problems.seed == 4
    assert lab.seed_recipe(4).held_out.problems.seed == 4
    more = laboratory({"reproduce": {"seeds": [4, 9, 2], "own_problems": True}}, tmp_path)
    assert [more.seed_recipe(s) for s in (4, 9)] == [lab.seed_recipe(s) for s in (4, 9)], (
        "what a folder has stays its own"
    )
    shared = laboratory({"reproduce": {"seeds": [4, 9]}}, tmp_path)
    assert shared.problems(4).problems == shared.problems(9).problems == first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reproduce": {"seeds": [1, 1]}}, "each seed may stand there once"),
        ({"reproduce": {"method_rounds": [3]}}, "method_rounds has 3; the recipe has rounds 1 to 2"),
        ({"evaluation": {"system": None}}, "there is no system"),
        (
            {"reproduce": {"further_bases": [{"name": "other", "changes": {"rounds": {"sft": {"steps": 2}}}}]}},
            "further_bases, other: changes.*steps",
        ),
        (
            {"reproduce": {"further_bases": [{"name": "other", "changes": {"evaluation": {"system": None}}}]}},
            "further_bases, other: changes: evaluation.system is null",
        ),
        (
            {"reproduce": {"further_bases": [{"name": "other", "pretrain": {"layers": 2}}]}},
            "further_bases, other: pretrain.*layers",
        ),
        (
            {"reproduce": {"own_problems": True}, "evaluation": {"problems": {"num_problems": None}}},
            "the size of each slice",
        ),
    ],
)
def test_settings_that_contradict_the_recipe_are_errors(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        laboratory(changes, tmp_path)


def test_names_are_checked_before_anything_is_run() -> None:
    assert set(chosen(["all"])) == set(NAMES)
    assert chosen(["figure3", "table3"]) == ["table3", "figure3"]
    with pytest.raises(ConfigError, match="there is no 'table11' to reproduce; choose from table1, "):
        chosen(["table11"])


def test_a_further_base_is_evolved_by_its_own_changes(made: Path) -> None:
    run = made / "out" / "bases" / "again" / "seed-3"
    recipe = load_recipe(str(run / "recipe.yaml"))
    assert (recipe.name, recipe.rounds[0].sft.num_steps) == ("again", 2)
    assert [p.name for p in sorted((run / "round-2" / "evaluation").iterdir())] == ["greedy.jsonl", "system.jsonl"]
    assert not (run / "round-1" / "evaluation").exists(), "only the last round is measured"
    (table,) = read(made, "table10")["tables"]
    assert [row[0] for row in table["rows"]] == ["pocket-base", "again", "wider"]


def test_runs_side_by_side_are_told_apart(made: Path) -> None:
    told = (made / "told.txt").read_text()
    assert "2 runs of further bases, two at a time" in told
    for name in ("again", "wider"):
        assert f"{name}, seed 3: Round 2 of 2" in told


def test_figure_7_takes_the_descents_of_figure_3_for_the_own_base(made: Path) -> None:
    keys = [json.loads(path.read_text()) for path in (made / "out" / "rows").rglob("*descents*.json")]
    policies = sorted(key["models"]["policy"] for key in keys)
    assert policies == [f"{run}/seed-3/round-2/policy" for run in ("bases/again", "bases/wider", "runs")]


def test_bases_are_measured_under_every_seed(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = made / "out" / "runs" / "seed-3" / "base" / "evaluation" / "greedy.jsonl"
    template = json.loads(stored.read_text().splitlines()[0])
    again = {"name": "again", "model": "pocket-base", "changes": {"rounds": {"sft": {"num_steps": 2}}}}
    changes = {"reproduce": {"seeds": [4, 9], "own_problems": True, "further_bases": [again]}}
    lab = laboratory(changes, tmp_path)
    evolved = []

    def evolve(recipe: Recipe, folder: Path, progress: Progress) -> None:
        """Every run answers its own first problem: the base wrongly, the policy rightly, the system rightly."""
        evolved.append((str(folder.relative_to(tmp_path)), recipe.seed, recipe.rounds[0].sft.num_steps))
        problem = load_problems(recipe.evaluation.problems).problems[0].id
        for name, right in (("base/evaluation/greedy", 0), ("greedy", 1), ("system", 1)):
            name = name if "/" in name else f"round-{lab.num_rounds}/evaluation/{name}"
            path = folder / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = template | {"problem": problem, "correct": bool(right), "tier": "gsm"}
            write_text(path, json.dumps(row) + "\n")

    monkeypatch.setattr("rstar_math.paper.laboratory.evolve", evolve)
    monkeypatch.setattr(lab, "_trains_on_cpu", lambda: False)  # in this process, one after the other
    own, further = every_base(lab)
    assert dict.fromkeys(evolved) == dict.fromkeys(
        [("runs/seed-4", 4, 4), ("runs/seed-9", 9, 4), ("bases/again/seed-4", 4, 2), ("bases/again/seed-9", 9, 2)]
    )
    firsts = [lab.problems(seed).problems[0].id for seed in (4, 9)]
    for base in (own, further):
        assert base.base.outcomes() == dict.fromkeys(sorted(firsts), 0.0)
        assert base.policy.outcomes() == base.system.outcomes() == dict.fromkeys(sorted(firsts), 1.0)
        assert list(base.system.rows) == [4, 9]
    last = tmp_path / "bases" / "again" / "seed-9" / f"round-{lab.num_rounds}"
    model = further.model_of(9)
    assert (model.policy, model.reward_model) == (last / "policy", last / "ppm")
    assert model.answering == lab.system
