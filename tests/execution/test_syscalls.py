"""The filter of system calls on both machines, as a program and against the kernel's headers."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from rstar_math.execution.inside import syscalls

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOW, KILL, NOTIFY, FAIL = 0x7FFF0000, 0x80000000, 0x7FC00000, 0x00050000

KNOWN = {
    "x86_64": {"read": 0, "openat": 257, "mmap": 9, "mprotect": 10, "clone": 56, "clone3": 435, "exit_group": 231},
    "aarch64": {"read": 63, "openat": 56, "mmap": 222, "mprotect": 226, "clone": 220, "clone3": 435, "exit_group": 94},
}
"""From the kernel's tables, written down apart from the module's own."""

FORBIDDEN = {
    "x86_64": {"execve": 59, "socket": 41, "connect": 42, "kill": 62, "ptrace": 101, "mount": 165, "unshare": 272},
    "aarch64": {"execve": 221, "socket": 198, "connect": 203, "kill": 129, "ptrace": 117, "mount": 40, "unshare": 97},
}


def verdict(machine: str, number: int, arguments: tuple[int, ...] = (), architecture: int | None = None) -> int:
    """What the filter says of a system call, by running its program."""
    data = [number, architecture or ARCHITECTURES[machine], 0, 0]
    for argument in (*arguments, *(0,) * (6 - len(arguments))):
        data += [argument & 0xFFFFFFFF, argument >> 32]
    program = syscalls.filter_program(machine)
    at, loaded = 0, 0
    while True:
        code, if_true, if_false, value = program[at]
        at += 1
        if code == 0x20:
            loaded = data[value // 4]
        elif code == 0x06:
            return value
        else:
            holds = {0x15: loaded == value, 0x45: bool(loaded & value), 0x35: loaded >= value}[code]
            at += if_true if holds else if_false


@pytest.fixture(params=["x86_64", "aarch64"])
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def number_of(machine: str, name: str) -> int:
    return {**KNOWN[machine], **FORBIDDEN[machine]}[name]


def test_the_filter_is_well_formed(machine: str) -> None:
    program = syscalls.filter_program(machine)
    assert len(program) < 4096
    for at, (code, if_true, if_false, value) in enumerate(program):
        assert 0 <= if_true < 256
        assert 0 <= if_false < 256
        assert 0 <= value < 1 << 32
        if code in (0x15, 0x45, 0x35):
            assert at + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == 0x06


def test_the_numbers_of_system_calls_are_the_kernels(machine: str) -> None:
    column = ("x86_64", "aarch64").index(machine)
    for name, number in KNOWN[machine].items():
        assert syscalls.SYSCALLS[name][column] == number
    numbers = [n[column] for n in syscalls.SYSCALLS.values() if n[column] is not None]
    assert len(numbers) == len(set(numbers))
    if not HEADERS[machine].exists():
        pytest.skip(f"the kernel's headers are not here: {HEADERS[machine]}")
    text = HEADERS[machine].read_text()
    header = {n: int(v) for n, v in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    names = {"newfstatat": "fstatat", "fstat": "fstat", "lseek": "lseek", "mmap": "mmap", "fcntl": "fcntl"}
    for name, both in {**syscalls.SYSCALLS, **syscalls.SETUP_SYSCALLS}.items():
        known = header.get(name, header.get(names.get(name, name)))
        assert both[column] == known, name


def test_what_is_not_listed_fails(machine: str) -> None:
    allowed = {n[("x86_64", "aarch64").index(machine)] for n in syscalls.SYSCALLS.values()}
    for number in range(600):
        if number not in allowed:
            assert verdict(machine, number) == FAIL | errno.EPERM
    for number in FORBIDDEN[machine].values():
        assert number not in allowed


def test_another_architecture_is_the_end(machine: str) -> None:
    other = ARCHITECTURES["aarch64" if machine == "x86_64" else "x86_64"]
    assert verdict(machine, 0, architecture=other) == KILL
    assert verdict(machine, 0, architecture=0x40000003) == KILL  # the calls of 32 bits
    if machine == "x86_64":
        assert verdict(machine, 0x40000000) == KILL


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("openat", (0, 0, os.O_RDONLY | os.O_CLOEXEC), ALLOW),
        ("openat", (0, 0, os.O_RDWR), FAIL | errno.EACCES),
        ("openat", (0, 0, os.O_WRONLY | os.O_CREAT), FAIL | errno.EACCES),
        ("mmap", (0, 4096, 3), ALLOW),
        ("mmap", (0, 4096, 7), FAIL | errno.EACCES),
        ("mprotect", (0, 4096, 5), FAIL | errno.EACCES),
        ("clone", (0x01200011,), NOTIFY),
        ("clone", (0x11,), NOTIFY),
        ("clone", (0x3D0F00,), FAIL | errno.EPERM),  # a thread
        ("clone", (1 << 32 | 0x11,), FAIL | errno.EPERM),
        ("clone", (0x10000011,), FAIL | errno.EPERM),  # a user namespace
        ("clone3", (), FAIL | errno.ENOSYS),
    ],
)
def test_arguments_that_matter(machine: str, name: str, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict(machine, number_of(machine, name), arguments) == expected
