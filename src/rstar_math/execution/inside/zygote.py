"""The zygote: a confined process that has loaded what programs import, and forks one child for each program.

Started by `supervisor.starting` as `python -I -S zygote.py FD MARK` in a clean environment. It never runs a program
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
import json
import os
import signal
import socket
import sys
import sysconfig
import types
from collections.abc import Callable
from functools import partial
from typing import Any

if __name__ == "__main__":  # of the package there is what lies beside this file, and nothing else
    for _name in ("rstar_math", "rstar_math.execution", "rstar_math.execution.inside"):
        _module = sys.modules[_name] = types.ModuleType(_name)
        _module.__path__ = []
    _module.__path__ = [os.path.dirname(os.path.abspath(__file__))]

from rstar_math.execution.inside import confinement, libraries, preload, server, worker

OWN_MODULES: list[types.ModuleType] = []
"""This folder's modules, once they are loaded; by their names they are then not found any more."""

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
        attempt(layers, name, disabled, partial(confinement.enter_namespace, name))
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


def set_up() -> server.Server:
    """Does everything until programs may come; what it needed to know for that is gone when it returns."""
    control_fd = int(sys.argv[1])
    control = socket.socket(fileno=control_fd)
    config = json.loads(control.recv(server.MAX_MESSAGE_BYTES))
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
    missing = preload.load(preload.PROFILES[config["profile"]] + config["packages"], config["packages"])
    libraries.keep_less()
    worker.prepare(OWN_MODULES)
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
    try:
        if listener >= 0:
            socket.send_fds(control, [ready], [listener])
            os.close(listener)
        else:
            control.send(ready)
    except BrokenPipeError:  # the supervisor is gone: nobody is left to be told
        os._exit(0)
    os.dup2(1, 2)  # until here it said what went wrong; a program could write to the caller's terminal there
    return server.Server(control, None, die_with_parent=bool(layers["pid_namespace"]))


def forget_the_host() -> None:
    """Takes from this process's memory what it has learnt of the host and of where this package lies."""
    sys.modules["platform"]._uname_cache = None  # type: ignore[attr-defined]  # it has the name that the host had
    sys.path_importer_cache.clear()
    rename: Callable[[types.CodeType, str], None] = vars(_imp)["_fix_co_filename"]
    rename(sys._getframe(2).f_code, "zygote.py")  # this file, with all functions in it
    for module in OWN_MODULES:
        file = f"{module.__name__.rpartition('.')[2]}.py"
        for value in list(vars(module).values()):
            members = vars(value).values() if isinstance(value, type) else (value,)
            for member in members:
                function = member.fget if isinstance(member, property) else member
                if isinstance(function, types.FunctionType):
                    rename(function.__code__, file)
    for module in (sys.modules["__main__"], *OWN_MODULES):
        for name in ("__file__", "__path__", "__cached__", "__spec__", "__loader__"):
            vars(module)[name] = None


if __name__ == "__main__":
    sys.path = [p for p in sys.path if p != os.path.dirname(os.path.abspath(__file__))]
    sys.path[:] = sys.path or [sysconfig.get_path("stdlib")]
    OWN_MODULES += [sys.modules.pop(name) for name in list(sys.modules) if name.startswith("rstar_math")]
    set_up().serve()
