"""What made a run: the command, the machine, the versions, the problems; logged at the start, shown in the report."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rstar_math.benchmarks.problems import ProblemSet

_NAMED = ("rstar-math", "torch", "transformers", "tokenizers", "math-verify", "sympy", "numpy", "vllm", "trl")


def start_event(command: str, problem_sets: Mapping[str, ProblemSet]) -> dict[str, Any]:
    """The values of a run's `start` event, which `collect_report` reads.

    Args:
      command: what was typed.
      problem_sets: the problems by what they are used for, for example "training" and "evaluation".
    """
    sets = {
        use: {"name": s.name, "num_problems": len(s.problems), "sha256": s.sha256} for use, s in problem_sets.items()
    }
    return {"command": command, "hardware": hardware(), "versions": versions(), "problem_sets": sets}


def hardware() -> str:
    """The machine in one line: processor, the cores that this process may use, memory, accelerators."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    parts = [f"{cores} CPU core{'s' * (cores != 1)} ({_processor()})"]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        parts.append(f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB of memory")
    return ", ".join(parts + _accelerators())


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that can move a result."""
    found = {"Python": platform.python_version()}
    for name in _NAMED:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _accelerators() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
