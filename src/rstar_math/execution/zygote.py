"""The zygote: a process that has loaded what programs import, and forks one child for each program.

Started by `rstar_math.execution.sandbox` as `python -I zygote.py CONFIG FD` in a clean environment. It never runs a
program itself. Its messages, over a SOCK_SEQPACKET pair (descriptor FD):

    to the supervisor    Z{json}                       ready
    to the zygote        F{json} + [channel, buffer]   fork a child that runs this program
    child, on channel    H                             alive (the kernel adds the child's pid)
                         R[index, status, error, seconds, end]   a step ended; `end`: bytes printed by then
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import mmap
import os
import resource
import signal
import socket
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rstar_math.execution import harness
else:  # by its path: the package itself is never imported here
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import harness

    sys.path.pop(0)
    del sys.modules["harness"]

LIGHT = [
    "math",
    "cmath",
    "fractions",
    "decimal",
    "statistics",
    "random",
    "itertools",
    "functools",
    "collections",
    "re",
    "string",
    "datetime",
    "operator",
    "heapq",
    "bisect",
    "copy",
    "typing",
    "numbers",
    "time",
    "calendar",
    "array",
    "enum",
    "dataclasses",
    "textwrap",
    "json",
    "abc",
    "contextlib",
    "types",
    "ast",
]
FULL = [
    "numpy",
    "numpy.linalg",
    "numpy.random",
    "numpy.polynomial",
    "numpy.fft",
    "mpmath",
    "sympy",
    "sympy.ntheory",
    "sympy.combinatorics",
    "sympy.geometry",
    "sympy.stats",
    "sympy.parsing.sympy_parser",
    "sympy.solvers.inequalities",
    "sympy.solvers.diophantine",
    "sympy.plotting",
    "sympy.calculus.util",
    "sympy.functions.combinatorial.numbers",
]
SCIPY = [
    "scipy",
    "scipy.optimize",
    "scipy.special",
    "scipy.integrate",
    "scipy.stats",
    "scipy.linalg",
    "scipy.interpolate",
    "scipy.spatial",
    "scipy.sparse",
    "scipy.fft",
]
PRELOAD = {"light": LIGHT, "full": LIGHT + FULL, "scipy": LIGHT + FULL + SCIPY}

WARM_UP = """
import sympy
x, y = sympy.symbols("x y")
sympy.solve(x**2 - 3*x + 1, x); sympy.solve([x + y - 3, x - y - 1], [x, y]); sympy.solve(x**3 - 2*x + 1, x)
sympy.simplify(sympy.sin(x)**2 + sympy.cos(x)**2); sympy.integrate(x**2*sympy.exp(-x), x)
sympy.diff(sympy.sin(x)/x, x); sympy.factor(x**6 - 1); sympy.limit(sympy.sin(x)/x, x, 0)
sympy.Matrix([[1, 2], [3, 4]]).inv(); sympy.series(sympy.exp(x), x, 0, 4); sympy.summation(x, (x, 1, y))
sympy.solveset(x**2 - 1, x, sympy.S.Reals); sympy.N(sympy.pi, 30); sympy.latex(x/2); sympy.factorint(360)
sympy.nsolve(sympy.cos(x) - x, x, 1); sympy.parse_expr("x + 1"); str(sympy.Rational(1, 3))
sympy.expand((x + y)**3); sympy.solve(x**2 > 1, x); sympy.trigsimp(sympy.tan(x)*sympy.cos(x))
sympy.lambdify(x, x**2)(2); sympy.Eq(x, y).subs(x, 1); sympy.sqrt(8).evalf(); sympy.binomial(10, 3)
import numpy
numpy.linalg.det(numpy.eye(2)); numpy.linalg.eig(numpy.eye(2)); str(numpy.linspace(0, 1, 3)); numpy.roots([1, 0, -1])
"""

MAX_MESSAGE_BYTES = 1 << 17

_libc = ctypes.CDLL(None, use_errno=True)
_mapped_bytes = 0


def die_with_parent(parent: int) -> None:
    """Asks the kernel to kill this process when its parent ends."""
    _libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended before the request was made
        os._exit(1)


def preload(profile: str) -> dict[str, str]:
    """Imports and warms what programs of this profile use; returns the modules that could not be imported."""
    missing: dict[str, str] = {}
    for name in PRELOAD[profile]:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = str(error)
    if "sympy" in sys.modules:
        exec(WARM_UP, {"__name__": "warm_up"})
    return missing


def child(request: dict[str, Any], channel_fd: int, buffer_fd: int, zygote_pid: int) -> NoReturn:
    """Becomes the process of one program."""
    die_with_parent(zygote_pid)
    channel = socket.socket(fileno=channel_fd)
    channel.send(b"H")
    shared = mmap.mmap(buffer_fd, 0)
    os.close(buffer_fd)
    harness.restore_signals()
    limit_memory(request["memory_bytes"])
    harness.run_program(request["steps"], request["first"], request["step_bytes"], channel, shared)


def limit_memory(added_bytes: int) -> None:
    """Limits the address space to what is mapped now and `added_bytes` more."""
    limit = _mapped_bytes + added_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def serve(control: socket.socket) -> NoReturn:
    """Forks a child for each request until the supervisor is gone."""
    pid = os.getpid()
    while True:
        message, fds, _, _ = socket.recv_fds(control, MAX_MESSAGE_BYTES, 2)
        if not message:
            os._exit(0)
        request = json.loads(message[1:])
        if "file" in request:  # too long for a message: the program stands in the buffer
            length = request["file"]
            request = json.loads(os.pread(fds[1], length, harness.HEADER_BYTES))
        if os.fork() == 0:
            control.close()
            child(request, fds[0], fds[1], pid)
        for fd in fds:
            os.close(fd)


def main() -> NoReturn:
    """Sets the process up and serves."""
    global _mapped_bytes
    config = json.loads(sys.argv[1])
    control_fd = int(sys.argv[2])
    die_with_parent(config["parent"])
    control = socket.socket(fileno=control_fd)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1) if config["stderr"] else (0, 1, 2):
        os.dup2(null, fd)
    os.closerange(3, control_fd)
    os.closerange(control_fd + 1, 4096)
    missing = preload(config["profile"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children are reaped by the kernel
    for limit in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(limit, (0, 0))
    with open("/proc/self/statm") as file:
        _mapped_bytes = int(file.read().split()[0]) * resource.getpagesize()
    gc.collect()
    gc.freeze()  # the collector then leaves the pages shared with the children alone
    control.send(b"Z" + json.dumps({"missing": missing}).encode())
    serve(control)


if __name__ == "__main__":
    main()
