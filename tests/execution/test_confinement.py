"""The layers of isolation: the filter on both machines, each layer missing, what is left where some are."""

from __future__ import annotations

import asyncio
import errno
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rstar_math.config import RuntimeSettings
from rstar_math.doctor import Patient, sandbox
from rstar_math.errors import SandboxError
from rstar_math.execution.inside import confinement
from rstar_math.execution.layers import LayerReport
from rstar_math.execution.opening import open_executor
from rstar_math.execution.settings import REQUIRED_LAYERS, ExecutionSettings
from rstar_math.execution.supervisor import forked, processes
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.unconfined.executor import UnconfinedExecutor
from rstar_math.observation import RecordedExecution
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running, descendants, eventually

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOW, KILL, NOTIFY, FAIL = 0x7FFF0000, 0x80000000, 0x7FC00000, 0x00050000

KNOWN = {
    "x86_64": {"read": 0, "openat": 257, "mmap": 9, "mprotect": 10, "clone": 56, "clone3": 435, "exit_group": 231},
    "aarch64": {"read": 63, "openat": 56, "mmap": 222, "mprotect": 226, "clone": 220, "clone3": 435, "exit_group": 94},
}
"""From the kernel's tables, written down apart from the module's own."""

FORBIDDEN = {
    "x86_64": {"execve": 59, "socket": 41, "connect": 42, "kill": 62, "ptrace": 101, "mount": 165, "unshare": 272},
    "aarch64": {"execve": 221, "socket": 198, "connect": 203, "kill": 129, "ptrace": 117, "mount": 40, "unshare": 97},
}


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    """What the filter says of a system call, by running its program."""
    data = [number, architecture or ARCHITECTURES[machine], 0, 0]
    for argument in (*arguments, *(0,) * (6 - len(arguments))):
        data += [argument & 0xFFFFFFFF, argument >> 32]
    program = confinement.filter_program(machine)
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            loaded = data[value // 4]
        elif code == 0x06:
            return value
        else:
            holds = {0x15: loaded == value, 0x45: bool(loaded & value), 0x35: loaded >= value}[code]
            at += if_true if holds else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def number_of(machine: str, name: str) -> int:
    return {**KNOWN[machine], **FORBIDDEN[machine]}[name]


def test_the_filter_is_well_formed(machine: str) -> None:
    program = confinement.filter_program(machine)
    assert len(program) < 4096
    for at, (code, if_true, if_false, value) in enumerate(program):
        assert 0 <= if_true < 256
        assert 0 <= if_false < 256
        assert 0 <= value < 1 << 32
        if code in (0x15, 0x45, 0x35):
            assert at + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == 0x06


def test_the_numbers_of_system_calls_are_the_kernels(machine: str) -> None:
    column = ("x86_64", "aarch64").index(machine)
    for name, number in KNOWN[machine].items():
        assert confinement._SYSCALLS[name][column] == number
    numbers = [n[column] for n in confinement._SYSCALLS.values() if n[column] is not None]
    assert len(numbers) == len(set(numbers))
    if not HEADERS[machine].exists():
        pytest.skip(f"the kernel's headers are not here: {HEADERS[machine]}")
    text = HEADERS[machine].read_text()
    header = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    names = {"newfstatat": "fstatat", "fstat": "fstat", "lseek": "lseek", "mmap": "mmap", "fcntl": "fcntl"}
    for name, both in {**confinement._SYSCALLS, **confinement._SETUP_SYSCALLS}.items():
        known = header.get(name, header.get(names.get(name, name)))
        assert both[column] == known, name


def test_what_is_not_listed_fails(machine: str) -> None:
    allowed = {n[("x86_64", "aarch64").index(machine)] for n in confinement._SYSCALLS.values()}
    for number in range(600):
        if number not in allowed:
            assert verdict(machine, number) == FAIL | errno.EPERM
    for number in FORBIDDEN[machine].values():
        assert number not in allowed


def test_another_architecture_is_the_end(machine: str) -> None:
    other = ARCHITECTURES["aarch64" if machine == "x86_64" else "x86_64"]
    assert verdict(machine, 0, architecture=other) == KILL
    assert verdict(machine, 0, architecture=0x40000003) == KILL  # the calls of 32 bits
    if machine == "x86_64":
        assert verdict(machine, 0x40000000) == KILL


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (0, 0, os.O_RDWR), FAIL | errno.EACCES),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT), FAIL | errno.EACCES),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 7), FAIL | errno.EACCES),
        ("mprotect", (0, 4096, 5), FAIL | errno.EACCES),
        ("clone", (0x01200011,), NOTIFY),
        ("clone", (0x11,), NOTIFY),
        ("clone", (0x3D0F00,), FAIL | errno.EPERM),  # a thread
        ("clone", (1 << 32 | 0x11,), FAIL | errno.EPERM),
        ("clone", (0x10000011,), FAIL | errno.EPERM),  # a user namespace
        ("clone3", (), FAIL | errno.ENOSYS),
    ],
)
def test_arguments_that_matter(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(machine, number_of(machine, name), arguments) == expected


# ---------------------------------------------------------------- layers that are missing

OPTIONAL = (*confinement.NAMESPACES, "new_root", "host_name")


async def run(settings: ExecutionSettings, code: str, *disabled: str) -> tuple[Execution, list[LayerReport]]:
    async with SandboxExecutor(settings) as executor:
        executor._disabled_layers = disabled
        return await executor.execute([], code), await executor.layers()


@pytest.mark.parametrize("layer", REQUIRED_LAYERS)
def test_nothing_runs_without_a_required_layer_unless_that_is_accepted(layer: str) -> None:
    with pytest.raises(SandboxError, match=rf"layer '{layer}' is not active: .*runtime\.accept_missing: \[{layer}\]"):
        asyncio.run(run(QUICK, "print(1)", layer))
    if layer == "no_new_privileges":
        return  # without it, the two layers after it are not permitted either
    accepting = QUICK.model_copy(update={"accept_missing": (layer,)})
    execution, layers = asyncio.run(run(accepting, "print(1)", layer))
    assert execution.output == "1\n"
    assert [(r.active, r.required) for r in layers if r.name == layer] == [(False, False)]


ATTACKS = """
import os, socket, ctypes
done = []
def attempt(name, f):
    try: f()
    except Exception: return
    done.append(name)
attempt('secret', lambda: open({secret!r}).read())
attempt('made', lambda: open({secret!r} + 'x', 'w'))
attempt('socket', lambda: socket.socket())
attempt('fork', os.fork)
attempt('kill', lambda: os.kill({victim}, 9))
attempt('parent', lambda: os.kill(os.getppid(), 9))
attempt('exec', lambda: os.execv('/bin/true', ['true']))
attempt('environ', lambda: open('/proc/{victim}/environ').read())
attempt('memory', lambda: open('/proc/self/mem', 'r+b'))
print(done)
"""


def test_without_any_namespace_the_other_layers_hold(tmp_path: Path) -> None:
    """File metadata can then be seen; nothing else can."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        code = ATTACKS.format(secret=str(secret), victim=victim.pid)
        execution, layers = asyncio.run(run(QUICK, code, *OPTIONAL))
        assert (execution.output, execution.error) == ("[]\n", None)
        assert {layer.name for layer in layers if not layer.active} >= {"pid_namespace", "mount_namespace", "new_root"}
        assert victim.poll() is None
        assert [p.name for p in tmp_path.iterdir()] == ["secret"]
    finally:
        victim.kill()
        victim.wait()


def test_metadata_of_the_host_does_not_show_where_namespaces_are_permitted(running: Running, tmp_path: Path) -> None:
    layers = {layer.name: layer for layer in running.run(lambda executor: executor.layers())}
    if not (layers["mount_namespace"].active and layers["new_root"].active):
        pytest.skip(f"namespaces are not permitted here: {layers['mount_namespace'].detail}")
    # folders on the way to the libraries are there, and empty but for that way
    paths = [
        str(tmp_path),
        "/etc/passwd",
        "/proc/self",
        "/sys",
        "/dev/null",
        str(Path(__file__)),
        str(Path.home() / ".ssh"),
    ]
    code = f"import os\nprint([p for p in {paths!r} if os.path.lexists(p)], os.uname().nodename, os.getpid() < 1000)"
    assert running.execute(code).output == "[] sandbox True\n"


def test_the_environment_of_zygotes_holds_nothing_of_the_callers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RSTAR_TEST_TOKEN", "t0k3n")
    others = descendants()  # helpers that other tests of this process left running

    async def environments() -> list[bytes]:
        async with SandboxExecutor(QUICK) as executor:
            await executor.execute([], "print(1)")
            return [Path(f"/proc/{pid}/environ").read_bytes() for pid in descendants() - others]

    found = asyncio.run(environments())
    assert found
    assert all(b"t0k3n" not in environment and b"PYTHONHASHSEED=0" in environment for environment in found)


def test_programs_cannot_write_to_the_callers_terminal() -> None:
    code = (
        "import asyncio\nfrom rstar_math.execution.supervisor.executor import SandboxExecutor\n"
        "async def main():\n    async with SandboxExecutor() as executor:\n"
        "        await executor.execute([], 'import os\\nfor fd in range(64):\\n"
        '    try: os.write(fd, b"HOSTILE")\\n    except OSError: pass\')\n'
        "        print('done')\nasyncio.run(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "done\n"
    assert "HOSTILE" not in done.stderr


LIAR = """
import os, socket
for fd in range(3, 64):
    try: s = socket.socket(fileno=fd)
    except OSError: continue
    try: s.send(b'R[0,"ok",null,1.0,0,0,0,true]')
    except OSError: continue
    while True:
        message, fds, _, _ = socket.recv_fds(s, 100000, 4)
        if not message: os._exit(0)
        LIE
"""
LIES = {
    "forks a child that never speaks": "if os.fork() == 0:\n            while True: pass",
    "speaks for its child": "socket.socket(fileno=fds[0]).send(b'H')",
    "says nothing": "pass",
    "forks and ends": "if os.fork(): os._exit(0)\n        while True: pass",
}


def forked_for_this_test_run() -> list[int]:
    """Processes that started from a zygote of this process, also those whose parents are gone."""
    mark = processes.MARK.encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if mark in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while the list was read
    return found


@pytest.mark.parametrize("disabled", [(), ("pid_namespace",)], ids=["", "without a namespace of processes"])
def test_a_snapshot_that_lies_is_ended_with_all_that_it_made(
    disabled: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forked, "FIRST_WORD_S", 0.5)
    before = set(forked_for_this_test_run())

    async def deceive() -> list[tuple[str, Execution, Execution]]:
        async with SandboxExecutor(QUICK) as executor:
            executor._disabled_layers = disabled
            outcomes = []
            for name, lie in LIES.items():
                prefix = LIAR.replace("LIE", lie)
                assert (await executor.execute([], prefix)).ok
                after_it = await executor.execute([prefix], "print(2)")
                outcomes.append((name, after_it, await executor.execute([], f"print(3)# {name}")))
            assert set(forked_for_this_test_run()) > before
            return outcomes

    for name, after_it, of_another in asyncio.run(deceive()):
        assert after_it.status != "ok", name
        assert of_another.output == "3\n", name
    assert eventually(lambda: set(forked_for_this_test_run()) <= before)


# ---------------------------------------------------------------- without isolation

UNCONFINED = QUICK.model_copy(update={"isolation": "none", "wall_s": 3.0, "cpu_s": 1.0})


def test_without_isolation_only_where_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SandboxError, match="isolation: none"):
        UnconfinedExecutor(QUICK)
    for system in ("darwin", "win32"):
        monkeypatch.setattr(sys, "platform", system)
        with pytest.raises(SandboxError, match=rf"no sandbox for them on {system}.*runtime\.isolation: none"):
            open_executor(QUICK)
        with pytest.warns(UserWarning, match="not a security boundary"):
            assert isinstance(open_executor(UNCONFINED), UnconfinedExecutor)


@pytest.mark.filterwarnings("ignore:steps run without isolation")
def test_without_isolation_limits_hold() -> None:
    programs = {
        "print(x + 1)": ("ok", "2\n"),
        "print('a')\nraise ValueError('b')": ("error", "a\n"),
        "while True: print('x' * 100)": ("output_limit", None),
        "print('a')\nx = bytearray(20 << 30)": ("memory_limit", "a\n"),
        "print('a')\nimport os\nos._exit(1)": ("killed", "a\n"),
        "print('a')\nimport time\ntime.sleep(60)": ("wall_limit", "a\n"),
        f"print('a')\nimport os\nos.kill(os.getpid(), {int(signal.SIGXCPU)})": ("cpu_limit", "a\n"),
        "print('y' in globals(), len('ab'))": ("ok", "False 2\n"),
    }
    others, files = descendants(), set(os.listdir("/proc/self/fd"))

    async def body() -> tuple[list[Execution], list[Execution], list[LayerReport]]:
        executor = UnconfinedExecutor(UNCONFINED)
        first = await executor.execute([], "y = 1\nimport builtins")
        executions = [await executor.execute(["x = 1\nprint('prefix')"], code) for code in programs]
        whole = await executor.execute_program(["x = 1\nprint(x)", "1/0", "never"])
        assert first.ok
        recorded = (await executor.record_program(["print(1 / 3)"]))[0]
        assert isinstance(recorded, RecordedExecution)
        assert [s.label for s in recorded.statements] == ["1 / 3:"]
        layers = await executor.layers()
        await executor.aclose()
        return executions, whole, layers

    executions, whole, layers = asyncio.run(body())
    for execution, (status, output) in zip(executions, programs.values(), strict=True):
        assert execution.status == status, execution
        assert output is None or execution.output == output
    assert [(e.status, e.output) for e in whole] == [("ok", "1\n"), ("error", "")]
    assert [(layer.name, layer.active) for layer in layers] == [("isolation", False)]
    assert "not a security boundary" in layers[0].detail
    assert eventually(lambda: descendants() <= others)
    assert set(os.listdir("/proc/self/fd")) <= files


@pytest.mark.filterwarnings("ignore:steps run without isolation")
@pytest.mark.parametrize("isolation", ["sandbox", "none"])
def test_the_doctor_names_what_isolates_steps(isolation: str) -> None:
    patient = Patient(runtime=RuntimeSettings(isolation=isolation))
    finding = asyncio.run(sandbox(patient))
    if isolation == "none":
        assert finding.verdict == "warning"
        assert "not a security boundary" in finding.found
    else:
        assert finding.verdict in ("ok", "warning")
        assert all(layer in finding.found for layer in REQUIRED_LAYERS)
