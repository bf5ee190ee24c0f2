"""What `pyproject.toml` says of the package is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

import rstar_math
from rstar_math.config import ExecutionSettings

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}


def test_programs_of_a_policy_find_their_packages_where_only_the_core_is_installed() -> None:
    brought_along = {"mpmath"}  # by sympy
    assert set(ExecutionSettings().packages) <= names(PROJECT["dependencies"]) | brought_along


def test_uv_pins_what_pip_pins() -> None:
    assert PYPROJECT["tool"]["uv"]["constraint-dependencies"] == (ROOT / "constraints.txt").read_text().split()


def test_every_dependency_is_pinned_and_vllm_alone_is_not() -> None:
    extras = [requirement for extra in PROJECT["optional-dependencies"].values() for requirement in extra]
    pinned = names((ROOT / "constraints.txt").read_text().split())
    assert names([*PROJECT["dependencies"], *extras]) - pinned == {"vllm"}


def test_the_readme_names_the_extras() -> None:
    rows = re.findall(r"^\| `\[(\w+)\]` \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(PROJECT["optional-dependencies"])


def test_the_classifiers_name_the_versions_that_are_allowed() -> None:
    minor = {int(found) for found in re.findall(r"Python :: 3\.(\d+)", " ".join(PROJECT["classifiers"]))}
    allowed = re.fullmatch(r">=3\.(\d+),<3\.(\d+)", PROJECT["requires-python"])
    assert allowed is not None
    assert minor == set(range(int(allowed[1]), int(allowed[2])))


def test_the_hooks_are_the_commands_of_make_check() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert check is not None
    commands = [line.strip().replace("$(BIN)", ".venv/bin") for line in check[1].splitlines()]
    assert [hook["entry"] for hook in hooks] == commands
    assert {hook["language"] for hook in hooks} == {"system"}


def test_the_citation_names_this_version_and_the_paper() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()  # what the format requires
    assert citation["version"] == PROJECT["version"] == rstar_math.__version__
    assert citation["license"] == PROJECT["license"]
    paper = citation["references"][0]
    assert paper["url"] == PROJECT["urls"]["Paper"]
    assert len(paper["authors"]) == 8
