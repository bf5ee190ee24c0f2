"""Checks of the machine: packages, device, sandbox."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
from pathlib import Path

from rstar_math.doctor.patient import Finding, Patient, weight_bytes

_GIB = 1 << 30


async def packages(patient: Patient) -> Finding:
    """Python, the packages that are needed, and those that only some commands need."""
    needed = ("torch", "transformers", "tokenizers", "math-verify", "sympy", "pyarrow", "httpx")
    optional = ("accelerate", "peft", "tensorboard", "datasets", "vllm", "ray", "fastapi")
    missing = [name for name in needed if _version(name) is None]
    if missing:
        return Finding("failed", f"not installed: {', '.join(missing)}", "pip install -c constraints.txt rstar-math")
    have = ", ".join(f"{n} {_version(n)}" for n in ("torch", "transformers"))
    extras = [name for name in optional if _version(name) is not None]
    return Finding("ok", f"Python {sys.version.split()[0]}, {have}; optional: {', '.join(extras) or 'none'}")


async def device(patient: Patient) -> Finding:
    """What computes, and its memory; whether the model's weights fit."""
    import torch

    free_disk = shutil.disk_usage(Path.cwd()).free / _GIB
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / _GIB
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        memory = torch.cuda.get_device_properties(0).total_memory / _GIB
        found = f"{len(names)} x {names[0]}, {memory:.0f} GiB each"
    else:
        found = f"CPU with {cores} cores, {memory:.1f} GiB of memory, no GPU"
    found += f", {free_disk:.0f} GiB of disk free"
    size = weight_bytes(patient.folder) / _GIB
    if size > memory:
        advice = "take a smaller model, or run it behind a server (--model http://...)"
        return Finding("failed", f"{found}; the weights alone are {size:.1f} GiB", advice)
    if free_disk < 1:
        return Finding("warning", found, "make room: a run writes trees and models of every round")
    return Finding("ok", found)


async def sandbox(patient: Patient) -> Finding:
    """Which layers isolate step code, and whether a step runs under them."""
    from rstar_math.execution.layers import HasLayers
    from rstar_math.execution.opening import open_executor

    executor = open_executor(patient.runtime.execution, num_slots=1)
    try:
        execution = await executor.execute([], "print(6 * 7)")
        layers = await executor.layers() if isinstance(executor, HasLayers) else []
    finally:
        await executor.aclose()
    if not execution.ok or execution.output.strip() != "42":
        found = f"a step that prints 42 ended as {execution.status}: {execution.error or execution.output!r}"
        return Finding("failed", found, "see docs/execution.md for what this machine must allow")
    present = [layer.name for layer in layers if layer.active]
    absent = [layer for layer in layers if not layer.active]
    found = f"steps run; layers: {', '.join(present) or 'none'}"
    if absent:
        found += "; missing: " + ", ".join(f"{layer.name} ({layer.detail})" for layer in absent)
    if any(layer.required for layer in absent):
        return Finding("failed", found, "see docs/execution.md; steps must not run without these layers")
    return Finding("warning" if absent else "ok", found)


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None
