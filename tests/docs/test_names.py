"""What the documents name is there: files, functions, config keys, links, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from rstar_math import config

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "rstar_math"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]

ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "paper.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| the paper")
]
KEYS = {
    name
    for settings in vars(config).values()
    if isinstance(settings, type) and issubclass(settings, BaseModel)
    for name in settings.model_fields
}


def test_the_table_of_the_paper_was_read() -> None:
    assert len(ROWS) > 40
    assert all(len(row) == 4 for row in ROWS)
    assert {"selector", "num_rollouts", "accumulate_pairs"} <= KEYS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:40])
def test_files_functions_and_keys_of_the_paper_table_exist(row: list[str]) -> None:
    source = ""
    for name in re.findall(r"`([^`]+)`", row[1]):
        if name.endswith(".py"):
            assert (PACKAGE / name).exists(), name
            source = (PACKAGE / name).read_text()
        elif source:
            for part in name.split("."):
                assert re.search(rf"\b{part}\b", source), f"{part} is not in the file named before it"
    for name in re.findall(r"`([^`]+)`", row[2]):
        for part in re.split(r"[.:]", re.sub(r"\[\w+\]|\.\*|: .*|^--strategy .*", "", name)):
            assert part in {*KEYS, ""} | {"search"}, f"{part} is no key of a recipe"
    assert re.match(r"same|differs|silent|beyond the paper|not built yet", row[3])


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: d.name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_files_that_are_spoken_of_exist() -> None:
    """By their path from the top or below the package, or beside the file that names them; in documents anywhere."""
    wrong = []
    for path in [*PACKAGE.rglob("*.py"), *(d for d in DOCUMENTS if d.name not in ("log.md", "extending.md"))]:
        for name in re.findall(r"`([a-z_]+(?:/[a-z_]+)*\.py)`", path.read_text(encoding="utf-8")):
            places = [
                path.parent / name,
                PACKAGE / name,
                ROOT / name,
                *(PACKAGE.rglob(name) if path.suffix == ".md" else ()),
            ]
            if not any(place.is_file() for place in places):
                wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == ["CONTRIBUTING.md: utils.py"]  # which is named as one that there must not be
