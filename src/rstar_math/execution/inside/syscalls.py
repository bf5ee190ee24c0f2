"""System calls: their numbers, those that a program may make, and the filter (seccomp) that lets no other through."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence


def _numbers(text: str) -> dict[str, tuple[int | None, ...]]:
    """Numbers of calls by name, of `name:x86_64/aarch64`, with `-` where the machine does not have it."""
    pairs = (entry.split(":") for entry in text.split())
    return {name: tuple(None if n == "-" else int(n) for n in both.split("/")) for name, both in pairs}


SYSCALLS = {
    # memory and scheduling of the process itself
    **_numbers(
        "brk:12/214 mmap:9/222 mprotect:10/226 munmap:11/215 mremap:25/216 madvise:28/233 futex:202/98 "
        "sched_yield:24/124 sched_getaffinity:204/123 set_tid_address:218/96 set_robust_list:273/99 "
        "rseq:334/293 rt_sigprocmask:14/135 rt_sigreturn:15/139 sigaltstack:131/132 restart_syscall:219/128 "
        "exit:60/93 exit_group:231/94 clone:56/220 clone3:435/435 wait4:61/260 prctl:157/167 "
        "prlimit64:302/261"
    ),
    # descriptors that it has
    **_numbers(
        "read:0/63 write:1/64 readv:19/65 writev:20/66 pread64:17/67 lseek:8/62 close:3/57 dup:32/23 "
        "dup2:33/- dup3:292/24 fcntl:72/25 ioctl:16/29 poll:7/- ppoll:271/73 select:23/- pselect6:270/72 "
        "sendto:44/206 recvfrom:45/207 sendmsg:46/211 recvmsg:47/212 getsockname:51/204 getsockopt:55/209"
    ),
    # reading what Landlock and the new root leave visible
    **_numbers(
        "openat:257/56 open:2/- fstat:5/80 stat:4/- lstat:6/- newfstatat:262/79 statx:332/291 access:21/- "
        "faccessat:269/48 faccessat2:439/439 readlink:89/- readlinkat:267/78 getdents64:217/61 getcwd:79/17"
    ),
    # clocks and identity
    **_numbers(
        "clock_gettime:228/113 clock_getres:229/114 clock_nanosleep:230/115 nanosleep:35/101 "
        "gettimeofday:96/169 time:201/- times:100/153 getrusage:98/165 getrandom:318/278 getpid:39/172 "
        "getppid:110/173 gettid:186/178 getuid:102/174 geteuid:107/175 getgid:104/176 getegid:108/177 "
        "uname:63/160 sysinfo:99/179"
    ),
}
"""Every system call that a program may make, with its numbers on x86_64 and aarch64; all others fail with EPERM."""

SETUP_SYSCALLS = {
    "capset": (126, 91),
    "seccomp": (317, 277),
    "pivot_root": (155, 41),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the tables of calls, and AUDIT_ARCH of seccomp."""

_LOAD, _JUMP_EQUAL, _JUMP_SET, _JUMP_GREATER_EQUAL, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL, _NOTIFY = 0x7FFF0000, 0x80000000, 0x7FC00000
FORK_FLAGS = (0x01200011, 0x11)
"""Flags of clone(2) with which C libraries fork; all others would make threads or share memory."""

Instruction = tuple[int, int, int, int]


def _fail_with(code: int) -> int:
    return 0x00050000 | code


def _low(argument: int) -> Instruction:
    return (_LOAD, 0, 0, 16 + 8 * argument)


def _high(argument: int) -> Instruction:
    return (_LOAD, 0, 0, 20 + 8 * argument)


def _refuse_bits(argument: int, bits: int, code: int) -> list[Instruction]:
    return [
        _low(argument),
        (_JUMP_SET, 0, 1, bits),
        (_RETURN, 0, 0, _fail_with(code)),
        (_RETURN, 0, 0, _ALLOW),
    ]


def _allow_values(argument: int, values: Sequence[int], action: int = _ALLOW) -> list[Instruction]:
    compare = [(_JUMP_EQUAL, len(values) - i, 0, value) for i, value in enumerate(values)]
    return [_low(argument), *compare, (_RETURN, 0, 0, _fail_with(errno.EPERM)), (_RETURN, 0, 0, action)]


def _rules() -> dict[str, list[Instruction]]:
    """What holds for the arguments of some system calls; the others are allowed whatever their arguments."""
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | 0o20000000  # the last: O_TMPFILE
    executable = 4  # PROT_EXEC: no code but what was loaded before the program came
    is_null = [
        _low(2),
        (_JUMP_EQUAL, 0, 3, 0),
        _high(2),
        (_JUMP_EQUAL, 0, 1, 0),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _fail_with(errno.EPERM)),
    ]
    return {
        "openat": _refuse_bits(2, writing, errno.EACCES),
        "open": _refuse_bits(1, writing, errno.EACCES),
        "mmap": _refuse_bits(2, executable, errno.EACCES),
        "mprotect": _refuse_bits(2, executable, errno.EACCES),
        "prlimit64": is_null,  # reading limits, not setting them
        # being killed with the parent may be asked for, not taken back
        "prctl": [_low(0), (_JUMP_EQUAL, 1, 0, 1), (_RETURN, 0, 0, _fail_with(errno.EPERM)), *_allow_values(1, [9])],
        "ioctl": [
            _low(1),
            (_JUMP_EQUAL, 0, 1, 0x5401),  # TCGETS: isatty
            (_RETURN, 0, 0, _fail_with(errno.ENOTTY)),
            *_allow_values(1, [0x5450, 0x5451]),  # FIONCLEX, FIOCLEX
        ],
        "fcntl": _allow_values(1, [0, 1, 2, 3, 4, 1030]),  # duplicate, flags of the descriptor
        "clone": [
            *(_high(0), (_JUMP_EQUAL, 1, 0, 0), (_RETURN, 0, 0, _fail_with(errno.EPERM))),
            *_allow_values(0, FORK_FLAGS, _NOTIFY),
        ],
        # its flags lie behind a pointer, which a filter cannot read; C libraries then use clone
        "clone3": [(_RETURN, 0, 0, _fail_with(errno.ENOSYS))],
    }


def filter_program(machine: str) -> list[Instruction]:
    """The system-call filter for `machine`, as (code, jump if true, jump if false, value)."""
    column, audit_arch = MACHINES[machine]
    rules = _rules()
    program: list[Instruction] = [
        (_LOAD, 0, 0, 4),
        (_JUMP_EQUAL, 1, 0, audit_arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),
    ]
    if machine == "x86_64":  # the x32 calls have numbers of their own
        program += [(_JUMP_GREATER_EQUAL, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    plain = []
    for name, numbers in SYSCALLS.items():
        number = numbers[column]
        if number is None:
            continue
        if name in rules:
            program.append((_JUMP_EQUAL, 0, len(rules[name]), number))
            program += rules[name]
        else:
            plain.append(number)
    program += [(_JUMP_EQUAL, len(plain) - i, 0, number) for i, number in enumerate(plain)]
    program += [(_RETURN, 0, 0, _fail_with(errno.EPERM)), (_RETURN, 0, 0, _ALLOW)]
    return program
