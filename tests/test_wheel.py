"""The wheel works outside of the repository, installed where nobody may write, for another user without a home."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from zipfile import ZipFile

import pytest

import rstar_math

ROOT = Path(__file__).parents[1]
QUESTION = "A tank gains 30 liters a minute and loses 7. Bo waits 6 minutes. How many liters is that?"
OTHER_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()
"""Makes root a user whom file modes bind."""

PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what it is built from."""
    for tool in ("pip", "setuptools"):  # not imported here: each changes the import system for itself
        if find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed here")
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    made = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(made), str(source)], check=True)
    (found,) = made.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the package alone, in which nobody may write."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run([*PIP, "install", "--no-deps", "--no-index", "--target", str(folder), str(wheel)], check=True)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() or path.parent.name == "bin" else 0o444)
    yield folder
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)


def elsewhere(installed: Path, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the installed package, as a user whom file modes bind, with no home and no settings."""
    if OTHER_USER and subprocess.run([*OTHER_USER, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("root may not become another user here")
    return subprocess.run(
        [*OTHER_USER, sys.executable, *command],
        cwd=cwd,
        env={"PYTHONPATH": str(installed), "PATH": os.defpath, "HOME": "/nonexistent", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def test_the_wheel_holds_every_module_and_every_file_that_the_package_reads(wheel: Path) -> None:
    package = ROOT / "src" / "rstar_math"
    wanted = {
        f"rstar_math/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        assert wanted == {name for name in archive.namelist() if name.startswith("rstar_math/")}


def test_nobody_may_write_and_the_package_is_the_installed_one(installed: Path, tmp_path: Path) -> None:
    look = "import os, sys, rstar_math as r; print(r.__file__, os.access(os.path.dirname(r.__file__), os.W_OK))"
    done = elsewhere(installed, tmp_path, "-c", look)
    assert done.stdout.split() == [str(installed / "rstar_math" / "__init__.py"), "False"], done.stderr


def test_rstar_says_its_version(installed: Path, tmp_path: Path) -> None:
    done = elsewhere(installed, tmp_path, str(installed / "bin" / "rstar"), "--version")
    assert rstar_math.__version__ in done.stdout, done.stderr


def test_rstar_answers_with_the_model_of_the_package(installed: Path, tmp_path: Path) -> None:
    done = elsewhere(installed, tmp_path, str(installed / "bin" / "rstar"), "solve", QUESTION)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^Answer: 138$", done.stdout, re.MULTILINE), done.stdout
    assert not done.stderr
    assert not list(tmp_path.iterdir())
