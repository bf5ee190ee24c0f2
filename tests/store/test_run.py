"""Run folders: one recipe, one process, stages that are whole or absent; result rows that survive a kill."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import yaml

from rstar_math.cli.settings import with_rounds
from rstar_math.config import ExecutionSettings, Recipe, RuntimeSettings
from rstar_math.config.reading import check, load_recipe
from rstar_math.config.renamed import RENAMED, with_new_names
from rstar_math.errors import ConfigError, DataError, RunError
from rstar_math.report.from_run import report_of
from rstar_math.store.files import fingerprint
from rstar_math.store.manifest import Manifest
from rstar_math.store.rows import RowStore
from rstar_math.store.run import Run, require_recipe_unchanged

RECIPE = check(
    Recipe,
    {
        "name": "tiny",
        "problems": {"source": "pocket/train"},
        "rounds": [{"search": {"exploration": 1.4}, "sft": {"num_steps": 1}, "ppm": {"num_steps": 1}}],
        "evaluation": {"problems": {"source": "pocket/test"}},
    },
    "tiny",
)


def test_a_run_goes_on_with_its_recipe(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Run(folder, RECIPE) as run:
        run.log("round", number=1)
        assert run.round(2).folder == folder / "round-2"
    elsewhere = RECIPE.model_copy(update={"runtime": RuntimeSettings(num_workers=1)})
    with Run(folder, elsewhere) as run:
        run.log("round", number=2)
    rows = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [(row["event"], row["number"]) for row in rows] == [("round", 1), ("round", 2)]


def test_another_recipe_is_refused(tmp_path: Path) -> None:
    with Run(tmp_path / "run", RECIPE):
        pass
    other = RECIPE.model_copy(update={"seed": 1})
    with pytest.raises(RunError, match=r"made by another recipe \(different: seed\)"), Run(tmp_path / "run", other):
        pass
    with Run(tmp_path / "run", RECIPE):  # and its lock is free again
        pass


def test_a_run_goes_on_with_further_rounds_and_is_whole_with_fewer(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    longer = with_rounds(RECIPE, 3)
    with Run(folder, RECIPE):
        pass
    with Run(folder, longer):
        pass
    assert load_recipe(str(folder / "recipe.yaml")).rounds == longer.rounds
    with Run(folder, RECIPE):
        pass
    assert load_recipe(str(folder / "recipe.yaml")).rounds == longer.rounds
    first = RECIPE.rounds[0]
    changed = first.model_copy(update={"search": first.search.model_copy(update={"exploration": 2.0})})
    other = RECIPE.model_copy(update={"rounds": (changed, first)})
    with pytest.raises(RunError, match=r"different: rounds"), Run(folder, other):
        pass
    with pytest.raises(ConfigError, match="--rounds is 0"):
        with_rounds(RECIPE, 0)


def flat(recipe: Recipe) -> str:
    """A recipe as runs wrote it when the limits of steps were keys of `runtime` itself."""
    values = recipe.model_dump(mode="json")
    execution = values["runtime"].pop("execution")
    values["runtime"] |= {old.rpartition(".")[2]: execution[new.rpartition(".")[2]] for old, new in RENAMED.items()}
    text = yaml.safe_dump(values, sort_keys=False)
    return f"# The recipe of this run; its checksum is {fingerprint(text)}.\n{text}"


def test_a_run_that_began_with_keys_by_their_old_names_is_read_and_goes_on(tmp_path: Path) -> None:
    hasty = RuntimeSettings(execution=ExecutionSettings(cpu_s=2, accept_missing=("landlock",)))
    recipe = RECIPE.model_copy(update={"runtime": hasty})
    folder, path = tmp_path / "run", tmp_path / "run" / "recipe.yaml"
    with Run(folder, recipe) as run:
        run.log("begin")
    path.write_text(flat(recipe))
    assert "\n  cpu_s: 2" in path.read_text()
    assert require_recipe_unchanged(folder)
    assert load_recipe(str(path)) == recipe
    assert report_of(folder).recipe == "tiny"
    with Run(folder, recipe):
        pass
    with Run(folder, with_rounds(recipe, 2)):
        pass
    assert load_recipe(str(path)) == with_rounds(recipe, 2)
    assert "    cpu_s: 2" in path.read_text()

    mine = tmp_path / "recipe.yaml"  # no run's: its owner can write the new names
    mine.write_text(flat(recipe))
    with pytest.raises(ConfigError, match=r"runtime\.cpu_s is not a known key; it is now runtime\.execution\.cpu_s"):
        load_recipe(str(mine))


def test_what_changes_a_result_does_not_change_within_a_run(tmp_path: Path) -> None:
    with Run(tmp_path / "run", RECIPE):
        pass
    other = RuntimeSettings(execution=ExecutionSettings(cpu_s=3, output="notebook"))
    changed = RECIPE.model_copy(update={"runtime": other})
    with pytest.raises(RunError, match=r"different: runtime\.execution\.output\)"), Run(tmp_path / "run", changed):
        pass


@pytest.mark.parametrize("runtime", [None, 3, [], {"cpu_s": 1, "execution": 3}])
def test_what_is_not_shaped_as_a_recipe_keeps_its_keys(runtime: object) -> None:
    assert with_new_names({"runtime": runtime}) == {"runtime": runtime}
    assert with_new_names({}) == {}
    both = {"cpu_s": 1, "wall_s": 3, "execution": {"cpu_s": 2}}
    assert with_new_names({"runtime": both}) == {"runtime": {"execution": {"cpu_s": 2, "wall_s": 3}}}


def test_two_processes_do_not_share_a_run(tmp_path: Path) -> None:
    with Run(tmp_path / "run", RECIPE):
        with pytest.raises(RunError, match="another process is working on"), Run(tmp_path / "run", RECIPE):
            pass


def test_folders_that_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        Run(tmp_path / "file", RECIPE)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("")
    with pytest.raises(RunError, match=r"is not a run \(it holds thesis\.tex\)"):
        Run(tmp_path / "mine", RECIPE)
    (tmp_path / "empty").mkdir()
    with Run(tmp_path / "empty", RECIPE):
        pass


def test_a_run_killed_before_its_first_file_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / ".lock").write_text("")
    (folder / ".recipe.yaml.123.tmp").write_text("name: ti")
    with Run(folder, RECIPE):
        pass
    assert (folder / "recipe.yaml").exists()


def test_a_manifest_names_whole_stages(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    assert "search" not in manifest
    manifest.finish("search", num_trees=3)
    manifest.finish("select", num_pairs=4)
    again = Manifest(tmp_path)
    assert "search" in again
    assert again["search"] == {"num_trees": 3}
    assert again["select"] == {"num_pairs": 4}
    assert "train" not in again


def test_rows_survive_a_kill_at_any_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    path = tmp_path / "rows.jsonl"
    rows = [{"key": f"k{i}", "solution": "a\u2028b\u0085é"} for i in range(3)]
    with RowStore(path) as store:
        for row in rows:
            store.append(row)
            store.append({**row, "solution": "again"})
    whole = path.read_bytes()
    ends = [i for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        with RowStore(path) as store:
            assert list(store) == rows[: sum(cut >= end for end in ends)]
            for row in rows:
                store.append(row)
            assert "k2" in store
            assert store["k2"] == rows[2]
        assert path.read_bytes() == whole


def test_a_file_of_other_rows_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"problem": "How many?", "answer": "1"}\n')
    with pytest.raises(DataError, match=r"problems\.jsonl holds no result rows"):
        RowStore(path)
    assert path.read_text() == '{"problem": "How many?", "answer": "1"}\n'
