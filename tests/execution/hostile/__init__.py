"""Programs written by an attacker who has read the executor's code: one file for each thing that they are after.

Each is one step, after a line `# -- name`. `$SECRET`, `$TARGET`, `$PATH`, `$VICTIM` and `$PORT` are filled in by the
test: a file outside that is there and one that is not, the latter's path inside other quotes, a process of the test, a
port on which it listens. `$CHANNEL` and `$HEADER` become functions that write to the supervisor. None of the programs
may have any effect beyond its own result.
"""

from __future__ import annotations

from pathlib import Path

_CHANNEL = """
import json, os, socket
def say(*messages):
    for fd in range(3, 64):
        try: s = socket.socket(fileno=fd)
        except OSError: continue
        for message in messages:
            try: s.send(message)
            except OSError: pass
        s.detach()
def R(*fields): return b'R' + json.dumps(list(fields)).encode()
def W(*rows):
    data = json.dumps(list(rows)).encode()
    return len(data).to_bytes(4, 'big') + data
"""
_HEADER = """
import gc, mmap, struct, sys, time
buffers = [o for o in gc.get_objects() if isinstance(o, mmap.mmap)]
f = sys._getframe()
while f:
    buffers += [v for v in f.f_locals.values() if isinstance(v, mmap.mmap)]
    f = f.f_back
def pack(*fields):
    for buffer in buffers: struct.Struct('<QdQdQ').pack_into(buffer, 0, *fields)
"""


def _programs(file: Path) -> dict[str, str]:
    """By name: each begins after a line `# -- name`."""
    found: dict[str, str] = {}
    for part in ("\n" + file.read_text("utf-8").strip("\n")).split("\n# -- ")[1:]:
        name, _, code = part.partition("\n")
        assert name not in found, name
        found[name] = code.replace("$CHANNEL", _CHANNEL.strip()).replace("$HEADER", _HEADER.strip())
    return found


PROGRAMS: dict[str, dict[str, str]] = {
    file.stem.upper(): _programs(file) for file in sorted(Path(__file__).parent.glob("*.txt"))
}
"""By what they are after (the names of the files), and by name."""


def filled(code: str, secret: str, target: str, victim: int, port: int) -> str:
    """`code` with what the test provides."""
    values = {"SECRET": repr(secret), "TARGET": repr(target), "PATH": target, "VICTIM": str(victim), "PORT": str(port)}
    for name, value in values.items():
        code = code.replace(f"${name}", value)
    return code
