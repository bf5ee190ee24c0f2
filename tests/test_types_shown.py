"""The types of the Python that the documents show hold under `mypy --strict`, without any plugin."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.docs.test_python import BLOCK, ROOT


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """What `mypy --strict`, without a plugin, says of all Python that the documents show."""
    folder = tmp_path_factory.mktemp("shown")
    documents = [ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("usage", "python", "extending"))]
    for document in documents:
        for number, block in enumerate(BLOCK.findall(document.read_text(encoding="utf-8"))):
            (folder / f"{document.stem.lower()}_{number}.py").write_text(block, encoding="utf-8")
    (folder / "settings.py").write_text(
        "from rstar_math.config import AnsweringSettings, BudgetSettings, Recipe, RuntimeSettings, SearchSettings\n"
        "from rstar_math.config import ExecutionSettings\n"
        "found = (AnsweringSettings(), AnsweringSettings(strategy='sample', search=SearchSettings(num_rollouts=3)),\n"
        "         BudgetSettings(tokens=3), RuntimeSettings(deterministic=True), ExecutionSettings(cpu_s=3))\n"
        "AnsweringSettings(strategy=3)  # line 5 is wrong, so that the check is seen to look\n",
        encoding="utf-8",
    )
    (folder / "mypy.ini").write_text("[mypy]\nignore_missing_imports = true\nfollow_imports = silent\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", "mypy.ini", "--cache-dir", ".cache", "."]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=1500)


def test_types_hold_without_a_plugin(checked: subprocess.CompletedProcess[str]) -> None:
    errors = [line for line in checked.stdout.splitlines() if ": error:" in line]
    assert [line.split(": error:")[0] for line in errors] == ["settings.py:5"], checked.stdout + checked.stderr
