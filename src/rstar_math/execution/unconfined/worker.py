"""What a worker without isolation does: run programs, one after the other.

Started by `executor` as `python -I -S worker.py CONFIG`. Over its standard input and output, JSON on each line: it says
"ready", then for each [mode, steps] one object per step until one fails. What programs print goes to a file that both
sides have mapped, so that it is not lost with the process. Knows the standard library and the harness alone.
"""

from __future__ import annotations

import json
import mmap
import os
import site
import sys
import time
import types
from typing import Any, NoReturn, cast

if __name__ == "__main__":  # of the package there is what runs in sandboxes, and nothing else
    for _name in ("rstar_math", "rstar_math.execution", "rstar_math.execution.inside"):
        _module = sys.modules[_name] = types.ModuleType(_name)
        _module.__path__ = []
    _folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    _module.__path__ = [os.path.join(_folder, "inside")]

from rstar_math.execution.inside import harness, output

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


def limit_memory(memory_bytes: int) -> None:
    """Limits the address space, where the system can."""
    if resource is None or not sys.platform.startswith("linux"):
        return
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + memory_bytes, resource.getrlimit(resource.RLIMIT_AS)[1]))


def limit_cpu(cpu_s: float) -> None:
    """Has the system end this process after `cpu_s` more CPU seconds, rounded up to whole ones."""
    if resource is not None:
        until = int(time.process_time() + cpu_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (until, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def run(steps: list[str], mode: str, config: dict[str, Any], printed: output.OutputBuffer) -> None:
    """Runs `steps` in a fresh namespace, and reports each until one fails."""
    namespace = harness.fresh_main()
    sys.stdin = open(os.devnull)  # noqa: SIM115 (an earlier program may have closed it: exit() does)
    harness.seed_random()
    for number, step in enumerate(steps):
        printed.begin(number, at=0)
        harness.reset_recursion(extra=2)
        limit_cpu(config["cpu_s"])
        began = time.process_time()
        records: harness.Records = []
        status, error = "ok", None
        try:
            records = harness.run_step(step, namespace, mode, printed)
        except MemoryError as raised:
            status, error = "memory_limit", harness.describe(raised)
        except output.OutputLimit:
            status, error = "output_limit", "OutputLimit: the step printed more than its limit"
        except BaseException as raised:
            status, error = "error", harness.describe(raised)
        seconds = time.process_time() - began
        say({"status": status, "error": error, "seconds": seconds, "output": printed.printed(), "records": records})
        if status != "ok":
            return


def say(message: object) -> None:
    """One line to the supervisor."""
    os.write(REPLIES, json.dumps(message).encode() + b"\n")


def too_much() -> None:
    """The step has printed as much as it may."""
    raise output.OutputLimit


def main() -> NoReturn:
    """Serves until the supervisor is gone."""
    config = json.loads(sys.argv[1])
    sys.argv[:] = [""]
    sys.path[:] = [*dict.fromkeys([*config["path"], *sys.path])]
    with open(config["file"], "r+b") as file:
        shared = mmap.mmap(file.fileno(), 0)
    printed = output.OutputBuffer(shared, config["output_bytes"], too_much)
    sys.stdout = cast(Any, printed)
    sys.stderr = cast(Any, output.Discarded())
    site.setquit()  # programs may call exit(), which the interpreter has only with its site module
    limit_memory(config["memory_mb"] << 20)
    say("ready")
    while True:
        line = COMMANDS.readline()
        if not line:
            os._exit(0)
        mode, steps = json.loads(line)
        run(steps, mode, config, printed)


if __name__ == "__main__":
    for _name in [name for name in sys.modules if name.startswith("rstar_math")]:
        del sys.modules[_name]
    # programs print to a buffer and read nothing: these two are the supervisor's
    REPLIES = os.dup(1)
    COMMANDS = os.fdopen(os.dup(0), "rb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    main()
