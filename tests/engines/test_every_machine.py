"""Deterministic mode on other machines: instruction sets of the libraries and numbers of threads, in child processes.

The libraries read these settings when they first compute, so the children are forked from a process that has loaded
them and has computed nothing. Each sets its number of threads itself.

Each setting is a machine of its own. Its bits may differ from those of another, but not with what else is in a
batch, nor after a resume, nor with the number of threads.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path

import pytest

from tests import warm

MACHINES = {
    "SSE4.2": {"MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "2"},
    "AVX2": {"MKL_ENABLE_INSTRUCTIONS": "AVX2", "ATEN_CPU_CAPABILITY": "avx2", "OMP_NUM_THREADS": "1"},
    "AVX-512, one thread": {"MKL_ENABLE_INSTRUCTIONS": "AVX512", "OMP_NUM_THREADS": "1"},  # the most: as it is
    "AVX-512, two threads": {"MKL_ENABLE_INSTRUCTIONS": "AVX512", "OMP_NUM_THREADS": "2"},
    "compatible": {"MKL_CBWR": "COMPATIBLE", "OMP_NUM_THREADS": "2"},  # other kernels on processors of every make
}


@cache
def digests(machine: str, folder: Path) -> dict[str, str]:
    """What a child process with a machine's settings computed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MKL_", "ATEN_", "OMP_"))}
    done = warm.run(str(folder), env=environment | MACHINES[machine], program="tests.engines.machine_child")
    assert done.returncode == 0, done.stderr
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("machines")


@pytest.mark.parametrize("machine", MACHINES)
def test_company_and_history_change_no_bit(machine: str, folder: Path) -> None:
    found = digests(machine, folder / machine)
    assert found["generation, together"] == found["generation, alone"]
    assert found["scoring, together"] == found["scoring, alone"]
    assert found["training"] == found["training, in a process with a history"]


def test_the_number_of_threads_changes_no_bit(folder: Path) -> None:
    one, two = ("AVX-512, one thread", "AVX-512, two threads")
    assert digests(one, folder / one) == digests(two, folder / two)
