"""Machines that refuse something: the sandbox says what, and never blames a program for it."""

from __future__ import annotations

import ast
import asyncio
import errno
import json
import os
import platform
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from rstar_math.config import REQUIRED_LAYERS
from rstar_math.execution.supervisor.starting import ZYGOTE
from tests.execution.conftest import Running
from tests.execution.test_confinement import OPTIONAL, run

REFUSING = str(Path(__file__).with_name("refusing.py"))
LOOK = """
import asyncio, json
from rstar_math.config import RuntimeSettings
from rstar_math.doctor.machine import sandbox
from rstar_math.doctor.patient import Patient
from rstar_math.errors import RStarError
from rstar_math.execution.supervisor.executor import SandboxExecutor

async def run():
    async with SandboxExecutor(num_slots=1) as executor:
        warm = await executor.execute([], 'print(6 * 7)')
        fork = (await executor.execute_program(['print(6 * 7)']))[0]
        return [[e.status, e.output, e.error] for e in (warm, fork)]

async def look():
    try: ran = await asyncio.wait_for(run(), 1400)
    except RStarError as error: ran = str(error)
    try: finding = await sandbox(Patient(runtime=RuntimeSettings()))
    except RStarError as error: said = ['failed', str(error)]
    else: said = [finding.verdict, finding.found]
    print(json.dumps([ran, said]))

asyncio.run(look())
"""
RUNS = [["ok", "42\n", None]] * 2


def looked(*before: str, **environment: str) -> tuple[object, list[str]]:
    """What comes of two programs, warm and forked, and what the doctor says, after the command `before`."""
    done = subprocess.run(
        [*before, sys.executable, "-W", "ignore", "-c", LOOK],
        capture_output=True,
        text=True,
        timeout=1500,
        check=True,
        env={**os.environ, **environment} if environment else None,
    )
    ran, said = json.loads(done.stdout.splitlines()[-1])
    return ran, said


@pytest.mark.parametrize(
    ("calls", "says"),
    [
        ("memfd_create", "the system call memfd_create is refused"),
        ("pidfd_open", "the system call pidfd_open is refused"),
        ("pidfd_send_signal", "the system call pidfd_send_signal is refused"),
        ("landlock_add_rule", "the isolation layer 'landlock' is not active"),
        ("capset", "the isolation layer 'no_capabilities' is not active"),
        ("seccomp", "the isolation layer 'seccomp' is not active"),
    ],
)
@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOSYS])
def test_a_call_that_is_needed_and_refused_is_named_and_nothing_runs(calls: str, says: str, code: int) -> None:
    ran, (verdict, found) = looked(sys.executable, REFUSING, calls, str(code))
    assert says in str(ran)
    assert os.strerror(code) in str(ran)
    assert (verdict, found) == ("failed", ran)


@pytest.mark.parametrize("calls", ["pivot_root", "mount", "mount_setattr", "unshare", "sethostname", "nothing"])
def test_a_call_that_hides_more_and_is_refused_leaves_the_rest(calls: str) -> None:
    ran, (verdict, found) = looked(sys.executable, REFUSING, calls, str(errno.EPERM))
    assert ran == RUNS
    assert verdict in ("ok", "warning")
    absent = found.partition("missing:")[2]
    assert not any(layer in absent for layer in REQUIRED_LAYERS), found
    if calls in ("pivot_root", "mount", "mount_setattr"):
        assert "new_root (Operation not permitted" in absent or "mount_namespace (" in absent
    if calls == "unshare":
        assert "user_namespace (Operation not permitted" in absent


def test_a_small_limit_of_files_is_named(tmp_path: Path) -> None:
    script = tmp_path / "limited.py"
    script.write_text(
        "import os, resource, sys\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    ran, said = looked(sys.executable, str(script))
    assert "files may take 100000 bytes here" in str(ran)
    assert "ulimit -f" in str(ran)
    assert said == ["failed", ran]


def test_locale_home_and_temporary_folder_do_not_matter() -> None:
    odd = {"HOME": "/nonexistent", "TMPDIR": "/proc", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"}
    ran, (verdict, found) = looked(**odd)
    assert ran == RUNS, ran
    assert verdict in ("ok", "warning"), found


TOLD = """
import gc, os, platform, re, socket, sys, sysconfig, traceback
names = {{platform.node(), platform.uname().node, os.uname().nodename, socket.gethostname()}} - {{'sandbox'}}
print(os.getppid(), ''.join(traceback.format_stack()), sys.argv, sys.orig_argv, os.getcwd(), os.environ)
frame, strings, numbers = sys._getframe(), set(), set()
def look(value, depth):
    if isinstance(value, (str, bytes)): strings.add(str(value))
    elif type(value) is int: numbers.add(value)
    elif depth and isinstance(value, dict):
        for pair in list(value.items()): look(pair, depth - 1)
    elif depth and isinstance(value, type(sys)): look(dict(vars(value)), depth - 1)
    elif depth and isinstance(value, (list, tuple, set, frozenset)):
        for one in list(value): look(one, depth - 1)
while frame:
    look((frame.f_code.co_filename, dict(frame.f_locals), dict(frame.f_globals)), 7)
    frame = frame.f_back
for value in gc.get_objects(): look(value, 2)
for name, module in list(sys.modules.items()): look(dict(vars(module)), 2)
alone = [re.compile(rf'(?<!\\w){{re.escape(word[::-1])}}(?!\\w)') for word in {words!r}]
found = [[s for s in strings if word.search(s)] for word in alone]
print(names, found, numbers & {{-pid for pid in {pids!r}}})
"""


def test_host_paths_and_pids_do_not_show(running: Running) -> None:
    """Not in names, frames or memory of a program that looks wherever it can reach."""
    layers = {layer.name for layer in running.run(lambda executor: executor.layers()) if layer.active}
    if not set(OPTIONAL) <= layers:
        pytest.skip(f"this machine lacks {', '.join(sorted(set(OPTIONAL) - layers))}")
    words = [str(ZYGOTE.parents[1]), str(Path(__file__).parent), platform.node()]
    code = TOLD.format(words=[word[::-1] for word in words], pids=[-os.getpid()])
    (execution,) = running.run(lambda executor: executor.execute_program([code]))
    assert execution.ok, execution
    assert execution.output.splitlines()[-1] == "set() [[], [], []] set()"
    for word in (*words[:2], str(os.getpid())):
        assert word not in execution.output


HIDDEN = """
seen = set()
for name, file in {files!r}:
    try: open(file, 'rb').read(1)
    except OSError: continue
    seen.add(name)
print(sorted(seen))
"""


def one_file_of_each_package() -> list[tuple[str, str]]:
    """(package, a file of it) of whatever is installed, in the interpreter's own folder too."""
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    folders |= {str(Path(sysconfig.get_path("stdlib"), name)) for name in ("site-packages", "dist-packages")}
    found = []
    for folder in sorted(folders):
        for entry in sorted(Path(folder).glob("*")):
            files = [entry] if entry.is_file() else [p for p in sorted(entry.iterdir()) if p.is_file()]
            found += [(entry.name, str(file)) for file in files[:1]]
    return found


@pytest.mark.parametrize("disabled", [(), OPTIONAL], ids=["", "without namespaces"])
def test_packages_that_are_not_listed_cannot_be_read(running: Running, disabled: tuple[str, ...]) -> None:
    """Also where they lie inside the standard library's folder, as those of an interpreter without `venv` do."""
    files = one_file_of_each_package()
    assert len(files) > 20
    execution, _ = asyncio.run(run(running.executor.settings, HIDDEN.format(files=files), *disabled))
    assert execution.ok, execution
    seen = set(ast.literal_eval(execution.output))
    assert seen == {"numpy", "mpmath", "sympy", "scipy"}
