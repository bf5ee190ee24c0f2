"""The site of the documents: its navigation names every page, and Sphinx makes it without a warning."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def test_the_navigation_names_every_page_once() -> None:
    trees = re.findall(r"```\{toctree\}\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    named = [line for tree in trees for line in tree.splitlines() if line and not line.startswith(":")]
    assert sorted(named) == sorted(path.stem for path in DOCS.glob("*.md") if path.stem != "index")


def test_the_python_reference_names_modules_and_classes_that_exist() -> None:
    named = re.findall(r"^\.\. auto(module|class):: (\S+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    assert len(named) > 10
    for kind, name in named:
        if kind == "module":
            importlib.import_module(name)
        else:
            module, _, attribute = name.rpartition(".")
            assert isinstance(getattr(importlib.import_module(module), attribute), type)


def test_sphinx_makes_the_site_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")  # the extra [docs]
    command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-d", str(tmp_path / "doctrees")]
    done = subprocess.run(
        [sys.executable, *command, str(DOCS), str(tmp_path / "site")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "evaluate_step" in (tmp_path / "site" / "api.html").read_text()
    assert (tmp_path / "site" / "_images" / "loop.svg").exists()
