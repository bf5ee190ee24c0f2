"""What a recipe says key by key, where it comes from, and how it differs from what was published."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from rstar_math.cli import main
from rstar_math.cli.explanation import merge_rounds, print_explanation, shown, to_json
from rstar_math.config import Recipe, Settings
from rstar_math.config.explain import ExplainedKey, explain
from rstar_math.config.published import PAPER, RELEASED
from rstar_math.config.reading import load_recipe, shipped_recipes
from rstar_math.terminal.console import Console

RSTAR = Path(sys.executable).with_name("rstar")


def keys_of(name: str) -> dict[str, ExplainedKey]:
    return {key.key: key for key in explain(name).keys}


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    path = tmp_path / "mixed.yaml"
    path.write_text(
        "extends: [paper, official-rules]\n"
        "name: mixed\n"
        "rounds: {search: {exploration: 1.4}}\n"
        "selection: {num_trajectories: 3}\n"
        "runtime: {concurrency: 8}\n"
    )
    return str(path)


def test_every_key_is_there_with_the_value_of_the_recipe(mixed: str) -> None:
    plain = load_recipe(mixed).model_dump(mode="json")
    found = keys_of(mixed)

    def leaves(value: Any, key: str) -> None:
        if isinstance(value, dict):
            for name, inner in value.items():
                leaves(inner, f"{key}.{name}" if key else name)
        elif key == "rounds":
            assert found.pop(key).value == len(value) == 4
            for index, inner in enumerate(value):
                leaves(inner, f"{key}[{index}]")
        else:
            assert found.pop(key).value == value, key

    leaves(plain, "")
    assert not found  # and nothing else is


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_key_is_described(name: str) -> None:
    keys = explain(name).keys
    assert len(keys) > 100
    assert all(len(key.description) > 3 for key in keys)


def test_sources_are_the_files_that_have_the_last_word(mixed: str) -> None:
    found = {name: key.source.stem if key.source else "default" for name, key in keys_of(mixed).items()}
    assert found["name"] == "mixed"
    assert found["rounds[2].search.exploration"] == "mixed"
    assert found["rounds[2].search.unvisited"] == "official-rules"
    assert found["rounds[2].search.max_depth"] == "paper-rules"
    assert found["rounds[2].search.num_rollouts"] == "paper"
    assert found["rounds[2].search.beam_width"] == "default"
    assert found["rounds[2].extra"] == "paper"
    assert found["rounds[0].extra"] == "default"
    assert found["evaluation.system.search.num_candidates"] == "paper"
    assert found["evaluation.threshold_problems"] == "default"


def test_differences_from_the_paper_and_from_the_released_code(mixed: str) -> None:
    found = keys_of(mixed)
    exploration = found["rounds[1].search.exploration"]
    assert exploration.differs
    assert (exploration.paper.agreement, exploration.paper.value, exploration.paper.where) == (
        "differs",
        2.0,
        "appendix A.2",
    )
    unvisited = found["rounds[1].search.unvisited"]
    assert (unvisited.paper.agreement, unvisited.paper.value, unvisited.released.agreement) == (
        "differs",
        "first",
        "same",
    )
    backup = found["rounds[0].search.backup_dead_ends"]
    assert (backup.value, backup.paper.agreement, backup.released.agreement) == (False, "silent", "same")
    assert found["selection.num_trajectories"].paper.value == 2
    assert not found["runtime.concurrency"].differs
    assert found["runtime.concurrency"].paper.agreement == found["runtime.concurrency"].released.agreement == "silent"
    # a value for each round
    assert [found[f"rounds[{i}].search.num_candidates"].paper.value for i in range(4)] == [5, 8, 8, 16]
    assert [found[f"rounds[{i}].search.temperature"].released.agreement for i in range(4)] == [
        "differs",
        "same",
        "same",
        "same",
    ]


def test_the_profiles_are_what_was_published() -> None:
    """Only who searches in round 1 differs: a model of 236 billion parameters is for the user to name."""
    paper = {key.key for key in explain("paper").keys if key.paper.agreement == "differs"}
    official = {key.key for key in explain("official").keys if key.released.agreement == "differs"}
    assert paper == official == {"rounds[0].policy"}
    # and each says in so many words what the other does otherwise
    other = {key.key for key in explain("official").keys if key.paper.agreement == "differs"}
    assert {"rounds[3].search.unvisited", "selection.min_q_margin", "rounds[0].search.max_consecutive_errors"} <= other


@pytest.mark.parametrize("published", [PAPER, RELEASED], ids=["paper", "released"])
def test_what_was_published_is_about_keys_that_exist(published: dict[str, Any]) -> None:
    known = {re.sub(r"\[\d+\]", "", key.key) for key in explain("paper").keys}
    assert set(published) <= known
    for key, value in published.items():
        assert value.where, key
        assert len(value.values) in ((1, 2, 3, 4) if key.startswith("rounds.") else (1,)), key


@pytest.mark.parametrize("published", [PAPER, RELEASED], ids=["paper", "released"])
def test_what_was_published_is_allowed(published: dict[str, Any]) -> None:
    """A table that named values that no recipe can have would differ for ever."""
    fields: dict[str, Any] = {}

    def collect(settings: Settings, prefix: str) -> None:
        for name in type(settings).model_fields:
            value = getattr(settings, name)
            if isinstance(value, Settings):
                collect(value, f"{prefix}{name}.")
            else:
                fields[f"{prefix}{name}"] = settings

    recipe: Recipe = load_recipe("paper")
    collect(recipe, "")
    for index in range(4):
        collect(recipe.rounds[index], "rounds.")
    for key, found in published.items():
        if key != "rounds":
            settings = fields[key]
            for value in found.values:
                type(settings).model_validate({**settings.model_dump(), key.rpartition(".")[2]: value, **_other(key)})


def _other(key: str) -> dict[str, Any]:
    """What must change as well for a value to be allowed: epochs or steps, never both."""
    return {"num_epochs": 1} if key.endswith("num_steps") else {}


def test_a_model_is_known_by_the_last_part_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    url = "http://localhost:8000/v1?model=deepseek-ai/DeepSeek-Coder-V2-Instruct"
    for base, policy, agreement in (
        ("Qwen/Qwen2.5-Math-7B", url, "same"),
        ("models/Qwen2.5-Math-7B/", "deepseek-ai/DeepSeek-Coder-V2-Instruct", "same"),
        ("Qwen/Qwen2.5-Math-1.5B", "base", "differs"),
    ):
        path.write_text(f"extends: qwen2.5-math-7b\nbase_model: {base}\nrounds: {{policy: '{policy}'}}\n")
        found = keys_of(str(path))
        assert found["base_model"].paper.agreement == found["rounds[0].policy"].paper.agreement == agreement


def test_rounds_that_have_all_in_common_share_a_row(mixed: str) -> None:
    rows = {(row.group, row.name, row.rounds): row.first.value for row in merge_rounds(explain(mixed).keys)}
    assert rows["rounds[*].search", "exploration", ""] == 1.4
    assert rows["rounds[*].search", "num_candidates", "rounds[0]"] == 5
    assert rows["rounds[*].search", "num_candidates", "rounds[1-2]"] == 8
    assert rows["rounds[*].search", "num_candidates", "rounds[3]"] == 16
    assert rows["selection", "num_trajectories", ""] == 3
    assert rows["", "name", ""] == "mixed"
    assert sum(1 for group, *_ in rows if group.startswith("rounds")) < 120


def printed(name: str, width: int) -> str:
    out = StringIO()
    print_explanation(Console(out, width=width), explain(name))
    return out.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_the_differences_are_shown_first(mixed: str, width: int) -> None:
    text = printed(mixed, width)
    assert f"Recipe mixed: {mixed}, paper, paper-rules, official-rules" in text
    first, others = text.split("All other keys")
    assert "exploration" in first
    assert "concurrency" in others
    assert "concurrency" not in first
    assert "min_edit_distance" in first
    assert max(map(len, text.splitlines()[1:])) <= width
    assert "appendix A.2" in first
    for key in explain(mixed).keys:  # no name and no value is broken
        assert key.key.rpartition(".")[2] in text
        if len(shown(key.value)) < 15:
            assert shown(key.value) in text
    if width < 120:
        assert "  exploration: 1.4" in first
        assert "    paper: 2.0, appendix A.2" in first
        return
    head = next(line for line in text.splitlines() if line.split()[:2] == ["key", "here"])
    assert head.split() == ["key", "here", "paper", "released", "code", "from"]
    if width == 200:
        row = next(line for line in first.splitlines() if "· exploration" in line)
        assert row.split()[:5] == ["·", "exploration", "1.4", "2.0", "2.0"]


def test_json(mixed: str) -> None:
    done = subprocess.run([RSTAR, "explain", mixed, "--json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found == json.loads(json.dumps(to_json(explain(mixed))))
    assert (found["format"], found["recipe"], found["files"][0]) == (1, "mixed", mixed)
    (key,) = [k for k in found["keys"] if k["key"] == "rounds[3].search.num_rollouts"]
    assert key.pop("description").startswith("descents from the root")
    assert key.pop("source").endswith("recipes/paper.yaml")
    assert key == {
        "key": "rounds[3].search.num_rollouts",
        "value": 16,
        "paper": {"agreement": "same", "value": 16, "where": "section 3.4"},
        "released": {"agreement": "differs", "value": 48, "where": "config/*sample_mcts.yaml: iterations"},
    }
    (key,) = [k for k in found["keys"] if k["key"] == "runtime.max_batch_rows"]
    assert (key["source"], key["paper"]) == ("default", {"agreement": "silent"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: paper\nselection: {num_per_sid: 3}\n", "bad.yaml: selection.num_per_sid is not a known key"),
        ("extends: [paper, papre]\n", "no recipe 'papre' (extended by"),
        ("extends: bad.yaml\n", "in a circle: bad extends bad"),
    ],
)
def test_a_bad_recipe_is_told_in_a_line(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    monkeypatch.setattr(sys, "argv", ["rstar", "explain", str(tmp_path / "bad.yaml")])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert message in shown.err
