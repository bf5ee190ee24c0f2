"""A finished run whose files are damaged, removed or changed: noticed, said in one message, never a traceback."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rstar_math.errors import RunError, UserError
from rstar_math.models import find_model
from rstar_math.report.from_run import report_of
from rstar_math.store.manifest import Manifest
from tests import walking
from tests.conftest import TINY_BASE

NUM_RETYPED = 3
"""Values that are exchanged in each file of JSON, one at a time."""

WRONG: list[object] = [None, True, -1, 1.5, "x", [], {}, float("nan"), 10**400, "\ud800", [[]], {"a": 1}]
"""What stands there instead."""

Evolve = Callable[..., dict[str, object]]


@pytest.fixture(scope="module")
def finished(tiny_run: Path) -> Path:
    return tiny_run


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def evolve(tiny_recipe: Path) -> Evolve:
    """Evolves a run of the recipe that it has, in this process."""

    def again(run: Path, *options: str) -> dict[str, object]:
        return walking.run(["evolve", str(tiny_recipe), "--out", str(run), "--workers", "1", *options])

    return again


def flipped(content: bytes, generator: random.Random) -> bytes:
    at = generator.randrange(len(content))
    return content[:at] + bytes([content[at] ^ (1 << generator.randrange(8))]) + content[at + 1 :]


def retyped(content: bytes, generator: random.Random) -> bytes:
    """JSON, or a line of JSON Lines, with one value of another type, or without it."""
    lines = [content] if content.startswith((b"{\n", b"[\n")) else content.split(b"\n")
    number = generator.randrange(max(1, len(lines) - 1))
    value = json.loads(lines[number])
    places: list[tuple[Any, Any]] = []

    def walk(part: object) -> None:
        for key, inner in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
            places.append((part, key))
            walk(inner)

    walk(value)
    part, key = generator.choice(places)
    if generator.random() < 0.25:
        del part[key]
    else:
        part[key] = generator.choice(WRONG)
    lines[number] = json.dumps(value).encode()
    return b"\n".join(lines)


def damages(path: Path, generator: random.Random) -> Iterator[tuple[str, Callable[[], object]]]:
    """Ways to damage a file, each done where it is called."""
    content = path.read_bytes()
    if content:
        yield "flipped", lambda: path.write_bytes(flipped(content, generator))
        yield "cut", lambda: path.write_bytes(content[: generator.randrange(len(content))])
        yield "empty", lambda: path.write_bytes(b"")
    if path.suffix in (".json", ".jsonl") and path.stat().st_size < 100_000 and content.strip() not in (b"", b"[]"):
        for i in range(NUM_RETYPED):
            yield f"retyped {i}", lambda: path.write_bytes(retyped(content, generator))
    yield "a folder", partial(replace_by, path, path.mkdir)
    yield "a link to nowhere", partial(replace_by, path, partial(path.symlink_to, "nowhere"))
    yield "removed", path.unlink


def replace_by(path: Path, make: Callable[[], None]) -> None:
    """Puts what `make` makes in the place of a file."""
    path.unlink()
    make()


def restore(path: Path, of: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
    shutil.copy2(of, path)


def refused_by(run: Path, readers: dict[str, Callable[[Path], object]]) -> set[str]:
    """Which readers refuse a run. Nothing but an error that the caller can mend may come from any."""
    found = set()
    for name, reader in readers.items():
        try:
            reader(run)
        except UserError as error:
            found.add(name if len(str(error)) < 3000 else f"{name}, in a message of {len(str(error))} characters")
    return found


def verified(run: Path) -> None:
    """What `evolve` does first with a run that is there."""
    for part in (run / "base", *run.glob("round-*")):
        Manifest(part).verify()


def model_of(run: Path) -> None:
    assert find_model(run).familiar is not None


@pytest.mark.parametrize("has_checksums", [True, False])
def test_no_damage_ends_in_a_traceback_and_none_to_parts_or_weights_is_missed(
    run: Path, finished: Path, has_checksums: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Without checksums, as in runs of earlier versions, whatever stands in the files is read."""
    caplog.set_level(logging.CRITICAL)
    generator = random.Random(int(os.environ.get("DAMAGE_SEED", "0")))
    if not has_checksums:
        finished = Path(shutil.copytree(finished, run.parent / "finished"))
        for folder in (finished, run):
            for manifest in folder.glob("*/manifest.json"):
                value = json.loads(manifest.read_text())
                del value["files"], value["checksum"]
                manifest.write_text(json.dumps(value, indent=2) + "\n")
    wrong, num_cases = [], 0
    for of in sorted(path for path in finished.rglob("*") if path.is_file()):
        relative = of.relative_to(finished)
        if relative.name in (".lock", "report.html", "report.json"):
            continue
        if not has_checksums and relative.parts[0] == "round-1":
            continue  # the second round has the same files
        path = run / relative
        for name, damage in damages(path, generator):
            damage()
            num_cases += 1
            is_whole = path.is_file() and path.read_bytes() == of.read_bytes()
            try:
                refused = refused_by(run, {"evolve": verified, "report": report_of, "solve": model_of})
            except Exception as error:
                wrong.append(f"{relative} {name}: {type(error).__name__}: {error}"[:400])
                refused = {"evolve", "report"}
            is_listed = (
                has_checksums
                and relative.parts[0] in ("base", "round-1", "round-2")
                and relative.name not in ("manifest.json", "README.md")  # a model card is its owner's to edit
            )
            if is_listed and not is_whole and "evolve" not in refused:
                wrong.append(f"{relative} {name}: evolve notices nothing")
            if is_listed and not is_whole and path.is_file() and "report" not in refused:
                wrong.append(f"{relative} {name}: report notices nothing")
            restore(path, of)
    assert not wrong, "\n".join(wrong[:40])
    assert num_cases > (200 if has_checksums else 100)
    assert refused_by(run, {"evolve": verified, "report": report_of, "solve": model_of}) == set()


def test_the_commands_say_which_file_is_damaged(run: Path, evolve: Evolve) -> None:
    weights = run / "round-1" / "policy" / "model.safetensors"
    weights.write_bytes(flipped(weights.read_bytes(), random.Random(0)))
    for outcome in (evolve(run), walking.run(["report", str(run)]), walking.run(["doctor", str(run)])):
        said = f"{outcome['err']}{outcome['out']}"
        assert outcome["code"] in (1, 2), said
        assert "round-1/policy/model.safetensors was changed or damaged" in said
        assert "Restore it from a copy" in said


def test_the_doctor_reads_a_run_in_full(run: Path) -> None:
    whole = walking.run(["doctor", str(run), "--json"])
    assert whole["code"] == 0
    findings = json.loads(whole["out"])
    assert [finding["check"] for finding in findings] == ["recipe", "base", "round-1", "round-2"]
    assert {finding["verdict"] for finding in findings} == {"ok"}
    (run / "round-2" / "pairs.parquet").unlink()
    (run / "base" / "manifest.json").write_text("{")
    damaged = walking.run(["doctor", str(run), "--json"])
    assert damaged["code"] == 1
    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(damaged["out"])}
    assert verdicts == {"recipe": "ok", "base": "failed", "round-1": "ok", "round-2": "failed"}
    assert walking.run(["doctor", str(run.parent)])["code"] == 2


def test_a_recipe_that_was_changed_by_hand_is_noticed(run: Path, evolve: Evolve) -> None:
    recipe = run / "recipe.yaml"
    assert "num_problems: 14" in recipe.read_text()
    recipe.write_text(recipe.read_text().replace("num_problems: 14", "num_problems: 13"))
    with pytest.raises(RunError, match=r"recipe.yaml was changed since the run began"):
        report_of(run)
    assert evolve(run)["code"] == 2
    recipe.write_text(recipe.read_text().partition("\n")[2])  # of an earlier version: nothing to hold it against
    report_of(run)


def test_fewer_rounds_leave_a_finished_run_as_it_is(run: Path, evolve: Evolve) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.json*") if "report" not in path.name}
    outcome = evolve(run, "--rounds", "1")
    assert outcome["code"] == 0, outcome["err"]
    assert {path: path.read_bytes() for path in before} == before
    outcome = walking.run(["report", str(run)])
    assert outcome["code"] == 0, outcome["err"]
    assert [numbers.round for numbers in report_of(run).rounds] == [1, 2]


def test_a_run_that_may_only_be_read_is_reported(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "locked-run"
    shutil.copytree(finished, run)
    folders = [path for path in (run, *run.rglob("*")) if path.is_dir()]
    for folder in folders:
        folder.chmod(0o555)
    try:
        found = walking.outcomes([["report", "locked-run"]], tmp_path)
        if not found:
            pytest.skip("the rights of root could not be put down")
        (outcome,) = found
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert "Rounds" in outcome["out"] or "round" in outcome["out"]
    assert outcome["code"] == 2
    assert "may not be written to" in outcome["err"] or "this user may not" in outcome["err"]


def test_a_damaged_row_of_an_evaluation_is_told_kept_and_made_again(tmp_path: Path) -> None:
    command = ["eval", "--out", str(tmp_path), "--model", str(TINY_BASE), "--strategy", "greedy", "--limit", "3"]
    command += ["--workers", "1"]
    assert walking.run(command)["code"] == 0
    (path,) = (tmp_path / "rows").glob("*.jsonl")
    whole = path.read_text().splitlines()
    broken = json.loads(whole[1]) | {"correct": "perhaps"}
    path.write_text("\n".join([whole[0], json.dumps(broken), whole[2][:-5]]) + "\n")
    outcome = walking.run(command)
    assert outcome["code"] == 0, outcome["err"]
    made = [json.loads(line) for line in path.read_text().splitlines()]
    assert {row["key"] for row in made} == {json.loads(line)["key"] for line in whole}
    assert len(path.with_name(f"{path.name}.spoiled").read_text().splitlines()) == 2
    assert walking.run(command)["code"] == 0
