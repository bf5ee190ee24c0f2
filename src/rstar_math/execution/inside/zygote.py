"""The zygote: a confined process that has loaded what programs import, and forks one child for each program.

Started by `supervisor.processes` as `python -I -S zygote.py FD MARK` in a clean environment. It never runs a program
itself. Its messages, over a SOCK_SEQPACKET pair (descriptor FD):

    to the zygote        {json}                        once: what to load, and how it is confined
    to the supervisor    Z{json} [+ listener]          ready; the descriptor at which the kernel asks about forks
    to the zygote        F{json} + [channel, buffer]   fork a child that does what the request says
    child, on channel    H                             alive (the kernel adds the child's pid)
                         R[index, status, error, seconds, end, records_at, records_bytes, stays]     a step ended

A child that stays is a snapshot: it serves like the zygote, on its channel. A request of kind "worker" makes a warm
worker instead (`worker.py`).
"""

from __future__ import annotations

import _imp
import gc
import importlib
import json
import mmap
import os
import random
import select
import signal
import socket
import sys
import sysconfig
import types
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rstar_math.execution.inside import confinement, harness, libraries, worker
else:  # by their paths: the package itself is never imported here
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    import confinement
    import harness
    import libraries
    import worker

    sys.path.pop(0)
    for _name in (
        *("confinement", "harness", "worker", "integrity", "libraries", "namespaces", "staticcheck", "allowlist"),
    ):
        sys.modules.pop(_name)

# Extension modules cannot be loaded once the filter is in place, so what programs may want of the standard library is
# loaded first; the rest of it, pure Python, can still be imported.
STANDARD = [
    *("math", "cmath", "fractions", "decimal", "statistics", "random", "itertools", "functools", "collections", "re"),
    *("string", "datetime", "operator", "heapq", "bisect", "copy", "typing", "numbers", "time", "calendar", "array"),
    *("enum", "dataclasses", "textwrap", "json", "abc", "contextlib", "types", "ast", "unicodedata", "pprint", "csv"),
    *("hashlib", "secrets", "queue", "traceback", "linecache", "warnings", "locale", "inspect", "zoneinfo", "pickle"),
    *("timeit", "uuid", "base64", "zlib", "threading", "tracemalloc", "encodings.idna", "_posixsubprocess", "_asyncio"),
    *("_queue", "_bz2", "_lzma", "_elementtree", "pyexpat", "_multiprocessing", "grp", "_contextvars", "_lsprof"),
]
NUMPY = [
    *("numpy", "numpy.linalg", "numpy.random", "numpy.polynomial", "numpy.fft", "numpy.ma", "numpy.lib"),
    *("numpy.matlib", "mpmath"),
]
SYMPY = [
    *("sympy", "sympy.ntheory", "sympy.combinatorics", "sympy.geometry", "sympy.stats", "sympy.abc", "sympy.physics"),
    *("sympy.parsing.sympy_parser", "sympy.solvers.inequalities", "sympy.solvers.diophantine", "sympy.calculus.util"),
    *("sympy.plotting", "sympy.functions.combinatorial.numbers", "sympy.utilities.lambdify", "sympy.vector"),
    *("sympy.solvers.solveset", "sympy.printing.pretty", "sympy.printing.latex", "sympy.core.random"),
    *("sympy.physics.units", "sympy.logic.boolalg", "sympy.sets", "sympy.polys.numberfields", "sympy.tensor"),
]
SCIPY = [
    *("scipy", "scipy.optimize", "scipy.special", "scipy.integrate", "scipy.stats", "scipy.linalg", "scipy.fft"),
    *("scipy.interpolate", "scipy.spatial", "scipy.sparse", "scipy.signal", "scipy.constants"),
]
PRELOAD = {
    "light": STANDARD,
    "numpy": STANDARD + NUMPY,
    "sympy": STANDARD + NUMPY + SYMPY,
    "all": STANDARD + NUMPY + SYMPY + SCIPY,
}

# Much of these libraries is imported, built and cached at first use: here, once, instead of in every child.
NUMPY_WARM_UP = """
import numpy
numpy.linalg.det(numpy.eye(2)); numpy.linalg.eig(numpy.eye(2)); str(numpy.linspace(0, 1, 3)); numpy.roots([1, 0, -1])
numpy.linalg.solve(numpy.eye(2), numpy.ones(2)); numpy.random.default_rng(0).random(); numpy.polyfit([1, 2], [1, 2], 1)
repr(numpy.arange(3)); numpy.linalg.inv(numpy.eye(2)); numpy.percentile([1, 2, 3], 50); numpy.unique([1, 1])
"""
SYMPY_WARM_UP = """
import sympy
x, y = sympy.symbols("x y")
n = sympy.symbols("n", integer=True, positive=True)
sympy.solve(x**2 - 3*x + 1, x); sympy.solve([x + y - 3, x - y - 1], [x, y]); sympy.solve(x**3 - 2*x + 1, x)
sympy.simplify(sympy.sin(x)**2 + sympy.cos(x)**2); sympy.integrate(x**2*sympy.exp(-x), x)
sympy.integrate(sympy.sin(x), (x, 0, 1)); sympy.diff(sympy.sin(x)/x, x); sympy.factor(x**6 - 1)
sympy.limit(sympy.sin(x)/x, x, 0); sympy.Matrix([[1, 2], [3, 4]]).inv(); sympy.Matrix([[1, 2], [3, 4]]).eigenvals()
sympy.series(sympy.exp(x), x, 0, 4); sympy.summation(x, (x, 1, y)); sympy.summation(n**2, (n, 1, 10))
sympy.solveset(x**2 - 1, x, sympy.S.Reals); sympy.N(sympy.pi, 30); sympy.latex(x/2); sympy.factorint(360)
sympy.nsolve(sympy.cos(x) - x, x, 1); sympy.parse_expr("x + 1"); str(sympy.Rational(1, 3)); sympy.pretty(x/2)
sympy.expand((x + y)**3); sympy.solve(x**2 > 1, x); sympy.trigsimp(sympy.tan(x)*sympy.cos(x))
sympy.lambdify(x, x**2)(2); sympy.Eq(x, y).subs(x, 1); sympy.sqrt(8).evalf(); sympy.binomial(10, 3)
sympy.Poly(x**2 - 1, x).all_coeffs(); sympy.apart(1/(x**2 - 1)); sympy.isprime(97); sympy.divisors(12)
sympy.solve(sympy.sqrt(x) - 2, x); sympy.solve(sympy.Abs(n) - 1, n); sympy.nsimplify(0.5)
sympy.solve(2**x - 8, x); sympy.solve(sympy.sin(x) - 1, x); sympy.logcombine(sympy.log(2)); sympy.together(1/x + 1/y)
"""

MAX_MESSAGE_BYTES = 1 << 17
REAP_MS = 100
"""How long a dead child may wait to be reaped while nothing else happens."""


def preload(modules: list[str], required: list[str]) -> dict[str, str]:
    """Imports and warms what programs use; returns the modules that could not be imported, with the reason."""
    missing: dict[str, str] = {}
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            missing[name] = str(error)
            if name in required:
                raise
    import site

    site.setquit()  # programs may call exit(), which the interpreter has only with its site module
    site.sethelper()
    for module, warm_up in (("numpy", NUMPY_WARM_UP), ("sympy", SYMPY_WARM_UP)):
        if module in sys.modules:
            namespace: dict[str, Any] = {"__name__": "warm_up"}
            for line in warm_up.strip().splitlines():
                try:
                    exec(line, namespace)
                except Exception as error:  # another version of the library: it is only less warm
                    missing[line] = repr(error)
    return missing


Layers = dict[str, str]
"""What became of each layer: "" where it is active, otherwise why it is not."""


def attempt(layers: Layers, name: str, disabled: list[str], action: Callable[[], object]) -> bool:
    """Applies one layer and notes how it went."""
    if name in disabled:
        layers[name] = "switched off"
        return False
    try:
        action()
    except OSError as error:
        layers[name] = f"{error.strerror} (errno {error.errno})"
    except KeyError as error:
        layers[name] = f"not supported on this machine ({error})"
    else:
        layers[name] = ""
    return not layers[name]


def enter_namespaces(layers: Layers, disabled: list[str]) -> None:
    """New namespaces, each where permitted; this process is then the first one of its own process-id namespace."""
    for name in confinement.NAMESPACES:
        attempt(layers, name, disabled, partial(confinement.enter_namespaces, [name]))
    if layers["pid_namespace"]:
        confinement.adopt_orphans()  # so that the supervisor finds what a program leaves behind
        return
    keeper = os.getpid()
    child = os.fork()
    if child:
        # the keeper: the process that the supervisor knows; it ends with the zygote, and the zygote with it
        os.closerange(0, 256)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os._exit(code if code >= 0 else 128 - code)  # as shells tell of signals
    confinement.prctl(1, signal.SIGKILL)
    if os.getppid() not in (0, keeper):
        os._exit(1)


def confine(layers: Layers, config: dict[str, Any]) -> int:
    """Applies every layer but the namespaces; returns the descriptor at which forks are asked about, or -1."""
    disabled = config["disabled"]
    visible = sorted(path for path in config["visible"] if os.path.exists(path))
    hidden = config["hidden"]
    attempt(layers, "limits", disabled, lambda: confinement.set_limits(config["memory_bytes"]))
    if not layers["mount_namespace"]:
        attempt(layers, "new_root", disabled, lambda: confinement.new_root(visible, hidden))
    else:
        layers["new_root"] = "needs mount_namespace"
    if not layers["uts_namespace"]:
        attempt(layers, "host_name", disabled, lambda: confinement.set_host_name("sandbox"))
    attempt(layers, "no_capabilities", disabled, confinement.drop_capabilities)
    attempt(layers, "no_new_privileges", disabled, confinement.no_new_privileges)
    attempt(layers, "landlock", disabled, lambda: confinement.landlock(visible, hidden))
    listener = -1

    def filter_calls() -> None:
        nonlocal listener
        listener = confinement.install_filter()

    attempt(layers, "seccomp", disabled, filter_calls)
    return listener


class Server:
    """Forks children on request, in the zygote and in every snapshot."""

    def __init__(self, control: socket.socket, program: harness.Program | None, die_with_parent: bool) -> None:
        self._control = control
        self._program = program
        self._die_with_parent = die_with_parent
        self._children = 0

    def serve(self) -> NoReturn:
        """Serves until the supervisor is gone."""
        poll = select.poll()
        poll.register(self._control, select.POLLIN)
        while True:
            if self._children:
                ready = poll.poll(REAP_MS)
                self._reap()
                if not ready:
                    continue
            message, fds, _, _ = socket.recv_fds(self._control, MAX_MESSAGE_BYTES, 2)
            if not message:
                os._exit(0)
            if len(fds) == 2:  # otherwise they were lost on the way: the supervisor sees the channel close
                self._fork(message, fds[0], fds[1])
            for fd in fds:
                os.close(fd)

    def _fork(self, message: bytes, channel_fd: int, buffer_fd: int) -> None:
        request = json.loads(message[1:])
        if "file" in request:  # too long for a message: the request stands in the buffer
            request = json.loads(os.pread(buffer_fd, request["file"], harness.HEADER_BYTES))
        random_state = random.getstate()  # Python reseeds it in every fork
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError:
            return  # not granted, or no room for another process: the supervisor sees the channel close
        if pid:
            self._children += 1
            return
        try:  # nothing but a program may happen in a child, whatever fails
            self._begin(request, channel_fd, buffer_fd, parent, random_state)
        finally:
            os._exit(1)

    def _begin(
        self, request: dict[str, Any], channel_fd: int, buffer_fd: int, parent: int, random_state: tuple[Any, ...]
    ) -> NoReturn:
        """What a new child does."""
        if self._die_with_parent:
            confinement.die_with_parent(parent)
        self._control.close()
        channel = socket.socket(fileno=channel_fd)
        channel.send(b"H")
        shared = mmap.mmap(buffer_fd, 0)
        os.close(buffer_fd)
        if request["kind"] == "worker":
            worker.Worker(channel, shared, request["step_bytes"], request["memory_bytes"]).serve()
        if self._program is None:
            program = harness.Program(harness.fresh_main())
            harness.seed_random()
        else:
            program = self._program
            random.setstate(random_state)
        stays = program.run(request, shared, channel)
        if not stays:
            harness.await_end(channel)
        shared.close()
        Server(channel, program, self._die_with_parent).serve()

    def _reap(self) -> None:
        while self._children:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._children = 0
                return
            if pid == 0:
                return
            self._children -= 1


def set_up() -> Server:
    """Does everything until programs may come; what it needed to know for that is gone when it returns."""
    control_fd = int(sys.argv[1])
    control = socket.socket(fileno=control_fd)
    config = json.loads(control.recv(MAX_MESSAGE_BYTES))
    confinement.die_with_parent(config["parent"])
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        if fd < 2 or not config["stderr"]:
            os.dup2(null, fd)
    os.closerange(3, control_fd)
    os.closerange(control_fd + 1, 4096)
    sys.argv[:] = sys.orig_argv[:] = [""]
    layers: Layers = {}
    enter_namespaces(layers, config["disabled"])
    sys.path[:] = [*config["path"], *(p for p in sys.path if p)]
    missing = preload(PRELOAD[config["profile"]] + config["packages"], config["packages"])
    libraries.keep_less()
    worker.prepare()
    for name in ("ctypes", "_ctypes"):
        sys.modules.pop(name, None)
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write("1000")  # should the machine run out of memory, this goes first
    except OSError as error:
        layers["first_to_go"] = str(error)
    listener = confine(layers, config)
    forget_the_host()
    gc.collect()
    gc.freeze()  # the collector then leaves the pages shared with the children alone
    ready = b"Z" + json.dumps({"missing": missing, "layers": layers}).encode()
    if listener >= 0:
        socket.send_fds(control, [ready], [listener])
        os.close(listener)
    else:
        control.send(ready)
    os.dup2(1, 2)  # until here it said what went wrong; a program could write to the caller's terminal there
    return Server(control, None, die_with_parent=bool(layers["pid_namespace"]))


def forget_the_host() -> None:
    """Takes from this process's memory what it has learnt of the host and of where this package lies."""
    sys.modules["platform"]._uname_cache = None  # type: ignore[attr-defined]  # it has the name that the host had
    sys.path_importer_cache.clear()
    rename: Callable[[types.CodeType, str], None] = vars(_imp)["_fix_co_filename"]
    rename(sys._getframe(2).f_code, "zygote.py")  # this file, with all functions in it
    for module in (confinement, harness, libraries, worker, *worker.OWN_MODULES):
        for value in list(vars(module).values()):
            members = vars(value).values() if isinstance(value, type) else (value,)
            for member in members:
                if isinstance(member, types.FunctionType):
                    rename(member.__code__, f"{module.__name__}.py")
    for module in (sys.modules["__main__"], confinement, harness, libraries, worker, *worker.OWN_MODULES):
        for name in ("__file__", "__cached__", "__spec__", "__loader__"):
            vars(module)[name] = None


if __name__ == "__main__":
    sys.path = [p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__))]
    sys.path[:] = sys.path or [sysconfig.get_path("stdlib")]
    set_up().serve()
