"""Runs many command lines in one process, which loads what is heavy once; what root may do anyway is taken from it.

    python -m tests.walking < cases.json > outcomes.json

A case is a list of arguments. An outcome has the exit status, what was printed, and the traceback of what got through.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any


def without_rights_of_root() -> bool:
    """Takes the right to pass by the modes of files from this thread; whether that could be done."""
    if os.geteuid() != 0:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    return int(libc.capset(header, (ctypes.c_uint32 * 6)(0, 0, 0, 0, 0, 0))) == 0


def make_commands_once() -> None:
    """Lets typer keep the commands that it makes of a program: it makes all anew, in 50 ms, for each command line."""
    import typer.main

    if not hasattr(typer.main.get_command, "cache_info"):
        typer.main.get_command = functools.cache(typer.main.get_command)


def run(arguments: list[str]) -> dict[str, Any]:
    """One command line; see above."""
    from rstar_math.cli import main

    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    sys.argv = ["rstar", *arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        except BaseException:
            code = traceback.format_exc()
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """A command line, run in this process: what it loads is loaded once, and search processes start from one server."""
    line = [str(argument) for argument in arguments]
    outcome = run(line)
    code = outcome["code"] or 0
    assert isinstance(code, int), code  # a traceback
    return subprocess.CompletedProcess(line, code, outcome["out"], outcome["err"])


def printed(*arguments: str | Path) -> str:
    """What a command line prints that must succeed, run in this process."""
    done = command(*arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def refused(*arguments: str | Path, code: int = 2) -> str:
    """What a command line says that must end with the status `code`, run in this process."""
    done = command(*arguments)
    assert done.returncode == code, done.stderr[-3000:]
    return done.stderr


def outcomes(cases: list[list[str]], cwd: Path) -> list[dict[str, Any]]:
    """The outcomes of command lines, each in the order of the cases."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.walking", str(cwd)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=1500,
        cwd=Path(__file__).parents[1],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: list[dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    import rstar_math.training.sft  # noqa: F401 (what takes long to load)

    make_commands_once()
    todo = json.load(sys.stdin)
    os.chdir(sys.argv[1])
    if not without_rights_of_root():
        todo = [case for case in todo if not any("locked" in part for part in case)]
    print(json.dumps([run(case) | {"case": case} for case in todo]))
