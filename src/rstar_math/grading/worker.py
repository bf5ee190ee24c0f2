"""The inside of a grading worker: reads pairs as JSON lines, answers with verdicts. Started by `grading.pool`.

The limits that hold without the pool's help are set here: memory (RLIMIT_AS), a CPU timer that ends the process, and
the parent's death. The pool watches from outside and kills.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
from typing import TextIO

from rstar_math.grading.comparing.by_math_verify import math_verify_equal
from rstar_math.grading.comparing.equivalence import equivalent
from rstar_math.grading.comparing.evaluate import context
from rstar_math.grading.policy import Policy
from rstar_math.types import Verdict

_PR_SET_PDEATHSIG = 1
_TIMER_SLACK = 1.5
"""The process's own CPU timer ends it at this multiple of the limit: only where nobody outside did so before."""


def main() -> None:
    """Serves pairs until the pipe closes. Arguments: parent's process id, CPU limit (s), memory (MB), backend."""
    parent, timeout_s, memory_mb, backend = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    _die_with(parent)
    _limit_memory(memory_mb)
    requests = sys.stdin
    # libraries may print: what they print must not reach the pool
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.setrecursionlimit(10_000)
    # what most pairs need is imported before the first; few need math-verify, which takes half a second
    context()
    if backend == "math-verify":
        import math_verify  # noqa: F401
    _reply(replies, {"ready": True})
    for line in requests:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, timeout_s * _TIMER_SLACK)
        _reply(replies, _graded(request))
        signal.setitimer(signal.ITIMER_PROF, 0.0)


def _graded(request: dict[str, object]) -> dict[str, object]:
    """The verdict on one request as JSON; an error of the grader itself as {"error": ...}."""
    started = time.thread_time()
    try:
        gold, prediction = str(request["gold"]), str(request["prediction"])
        if request["backend"] == "math-verify":
            verdict = Verdict(equal=math_verify_equal(gold, prediction), rule="math_verify")
        else:
            verdict = equivalent(gold, prediction, _policy(request["policy"]))
    except MemoryError:
        return {"undecided": "memory_limit", "seconds": time.thread_time() - started}
    except RecursionError:
        return {"undecided": "recursion_limit", "seconds": time.thread_time() - started}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}", "seconds": time.thread_time() - started}
    return {
        "equal": verdict.equal,
        "rule": verdict.rule,
        "contested": verdict.contested,
        "timed_out": verdict.timed_out,
        "seconds": time.thread_time() - started,
    }


def _policy(fields: object) -> Policy:
    assert isinstance(fields, dict)
    return Policy(**fields)


def _reply(replies: TextIO, message: dict[str, object]) -> None:
    replies.write(json.dumps(message) + "\n")
    replies.flush()


def _die_with(parent: int) -> None:
    """Asks the kernel to end this process when its parent ends; elsewhere the closed pipe and the timer do it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit(0)


def _limit_memory(memory_mb: int) -> None:
    """Limits the address space where the system lets us (macOS does not)."""
    if sys.platform == "linux":
        import resource

        limit = memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
