"""What `pyproject.toml` says of the package is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from rstar_math.execution.settings import ExecutionSettings

ROOT = Path(__file__).parents[1]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT: dict[str, Any] = PYPROJECT["project"]


def names(requirements: list[str]) -> set[str]:
    """The packages that requirements name."""
    return {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in requirements}


def test_programs_of_a_policy_find_their_packages_where_only_the_core_is_installed() -> None:
    brought_along = {"mpmath"}  # by sympy
    assert set(ExecutionSettings().packages) <= names(PROJECT["dependencies"]) | brought_along
