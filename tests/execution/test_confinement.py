"""The layers of isolation: each of them missing, what is left where some are, and snapshots that lie."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from rstar_math.config import REQUIRED_LAYERS, ExecutionSettings
from rstar_math.errors import SandboxError
from rstar_math.execution.inside import confinement
from rstar_math.execution.layers import LayerReport
from rstar_math.execution.supervisor import forked, starting
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution.conftest import QUICK, Running, descendants, eventually

OPTIONAL = (*confinement.NAMESPACES, "new_root", "host_name")


async def run(settings: ExecutionSettings, code: str, *disabled: str) -> tuple[Execution, list[LayerReport]]:
    async with SandboxExecutor(settings) as executor:
        executor._disabled_layers = disabled
        return await executor.execute([], code), await executor.layers()


@pytest.mark.parametrize("layer", REQUIRED_LAYERS)
def test_nothing_runs_without_a_required_layer_unless_that_is_accepted(layer: str) -> None:
    with pytest.raises(
        SandboxError, match=rf"layer '{layer}' is not active: .*runtime\.execution\.accept_missing: \[{layer}\]"
    ):
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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=1500, check=True)
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
    mark = starting.MARK.encode()
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
