"""The container's recipe and the service's unit: what they start exists, and what the sandbox needs is allowed."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from rstar_math.cli.app import app

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "contrib" / "rstar-serve.service"
CONTAINER = (ROOT / "Containerfile").read_text()


def of_unit(key: str) -> list[str]:
    """The words of a key of the unit."""
    found = re.search(rf"^{key}=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert found is not None
    return shlex.split(found[1])


def options_of_serve() -> set[str]:
    """The options that `rstar serve` has."""
    commands = getattr(get_command(app), "commands")  # noqa: B009
    return {option for parameter in commands["serve"].params for option in parameter.opts}


def test_the_unit_starts_the_command_with_options_that_it_has() -> None:
    program, command, *words = of_unit("ExecStart")
    assert (Path(program).name, command) == ("rstar", "serve")
    assert {word for word in words if word.startswith("--")} <= options_of_serve()
    name = of_unit("LoadCredential")[0].partition(":")[0]
    assert words[words.index("--api-key-file") + 1] == f"%d/{name}"


def test_the_unit_allows_what_the_sandbox_needs() -> None:
    """Each of these was found missing under the filter, or would take a layer away."""
    assert {"@system-service", "@mount", "seccomp", "landlock_restrict_self", "sethostname"} <= set(
        of_unit("SystemCallFilter")
    )
    keys = set(re.findall(r"^(\w+)=", UNIT.read_text(), re.MULTILINE))
    assert not keys & {"RestrictNamespaces", "MemoryDenyWriteExecute", "ProtectProc", "ProcSubset", "ProtectHostname"}
    assert of_unit("KillMode") == ["mixed"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    here = tmp_path / UNIT.name  # with a program that exists
    here.write_text(UNIT.read_text().replace(of_unit("ExecStart")[0], sys.executable))
    found = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True)
    assert (found.returncode, found.stdout, [line for line in found.stderr.splitlines() if UNIT.name in line]) == (
        0,
        "",
        [],
    )


def test_the_container_runs_without_rights_and_with_pinned_packages() -> None:
    lines = CONTAINER.replace("\\\n", " ").splitlines()
    users = [line for line in lines if line.startswith("USER")]
    assert users == ["USER 10001:10001"]
    assert lines.index(users[0]) < next(i for i, line in enumerate(lines) if line.startswith("ENTRYPOINT"))
    installs = [line for line in lines if "pip install" in line]
    assert len(installs) == 2
    assert all("--constraint constraints.txt" in line for line in installs)
    assert '--index-url "$TORCH_INDEX" torch' in installs[0]
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    assert copied
    assert all((ROOT / word).exists() for word in copied)
    command = next(line for line in lines if line.startswith("CMD"))
    assert set(re.findall(r'"(--[\w-]+)"', command)) <= options_of_serve()
