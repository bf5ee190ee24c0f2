"""Confinement of a process on Linux by system calls alone: no root, no Docker, no setuid helper.

Each layer is one function that either takes effect or raises OSError with the reason. They are applied once, in a
freshly started process, and inherited by everything that it forks. The order matters: namespaces first, because the
new root needs capabilities; the system-call filter last, because it forbids all the rest.

Runs in the zygote, which loads this file by its path, so it imports nothing of the package. The supervisor uses the
two functions at the end, which grant and refuse forks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import struct
from collections.abc import Sequence

NAMESPACES = {
    "user_namespace": 0x10000000,
    "pid_namespace": 0x20000000,
    "network_namespace": 0x40000000,
    "mount_namespace": 0x00020000,
    "ipc_namespace": 0x08000000,
    "uts_namespace": 0x04000000,
}
"""Flags of unshare(2)."""

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

# name: (x86_64, aarch64); None where the machine does not have it
_SYSCALLS: dict[str, tuple[int | None, int | None]] = {
    # memory and scheduling of the process itself
    "brk": (12, 214),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "futex": (202, 98),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "set_tid_address": (218, 96),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "clone": (56, 220),
    "clone3": (435, 435),
    "wait4": (61, 260),
    "prctl": (157, 167),
    "prlimit64": (302, 261),
    # descriptors that it has
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "lseek": (8, 62),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "ioctl": (16, 29),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "sendmsg": (46, 211),
    "recvmsg": (47, 212),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    # reading what Landlock and the new root leave visible
    "openat": (257, 56),
    "open": (2, None),
    "fstat": (5, 80),
    "stat": (4, None),
    "lstat": (6, None),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    # clocks and identity
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getrandom": (318, 278),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "uname": (63, 160),
    "sysinfo": (99, 179),
}
"""Every system call that a program may make; all others fail with EPERM."""

_SETUP_SYSCALLS = {
    "capset": (126, 91),
    "seccomp": (317, 277),
    "pivot_root": (155, 41),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the tables above, and AUDIT_ARCH of seccomp."""


def supported_machine() -> bool:
    """Whether the tables of system calls cover this machine."""
    return platform.machine() in _MACHINES


def _number(name: str) -> int:
    column = _MACHINES[platform.machine()][0]
    number = _SETUP_SYSCALLS[name][column]
    return number


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _syscall(name: str, *arguments: object) -> int:
    return _checked(_LIBC.syscall(ctypes.c_long(_number(name)), *arguments))


def prctl(option: int, argument: int = 0) -> None:
    """prctl(2) with one argument."""
    unused = ctypes.c_ulong(0)
    _checked(_LIBC.prctl(ctypes.c_int(option), ctypes.c_ulong(argument), unused, unused, unused))


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when its parent, the process `parent`, ends."""
    prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it ended before the request was made
        os._exit(1)


def adopt_orphans() -> None:
    """Has the kernel give this process the children of its descendants that have ended."""
    prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


# -------------------------------------------------------------------- namespaces and the new root


def enter_namespaces(names: Sequence[str]) -> None:
    """Enters new namespaces of the given kinds, as the same user, with all capabilities inside them only."""
    uid, gid = os.getuid(), os.getgid()
    flags = 0
    for name in names:
        flags |= NAMESPACES[name]
    _checked(_LIBC.unshare(flags))
    if "user_namespace" in names:
        for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{file}", "w") as map_file:
                map_file.write(text)


_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = (
    *(1, 2, 4, 8, 32),
    *(4096, 16384, 1 << 18),
)
_MNT_DETACH = 2


def _mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    _checked(_LIBC.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data)))


def new_root(visible: Sequence[str], hidden: Sequence[str] = ()) -> None:
    """Replaces the file system by an empty one that shows only what is `visible`, read-only, at its paths.

    Needs a mount namespace and the capabilities in it. Where it fails, the file system is as it was.

    Args:
      visible: directories and files, those that hold others first.
      hidden: directories inside the former that are shown empty, but for what is visible inside them.

    Raises:
      OSError: a step of it is not permitted.
    """
    _mount("none", "/", None, _MS_REC | _MS_PRIVATE)
    base = "/tmp" if os.path.isdir("/tmp") else "/dev"
    sources = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in visible]
    _mount("none", base, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=1m,mode=755")
    try:
        empty = [path for path in hidden if os.path.isdir(path)]
        covered = [path for path in visible if any(_is_within(path, folder) for folder in empty)]
        for path, fd in sources:
            if path not in covered:
                _show(fd, base + path, os.path.isdir(path))
        for path in empty:
            if any(_is_within(path, folder) for folder in visible):
                _mount("none", base + path, "tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, "size=1m,mode=755")
        for path, fd in sources:
            if path in covered:
                _show(fd, base + path, os.path.isdir(path))
        for path in (base, *(base + path for path in empty)):
            if os.path.ismount(path):
                flags = _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
                _mount("none", path, None, flags, "size=1m,mode=755")
        os.chdir(base)
        here = ctypes.c_char_p(b".")
        _syscall("pivot_root", here, here)
    except OSError:
        os.chdir("/")
        _LIBC.umount2(os.fsencode(base), _MNT_DETACH)  # what it covers is needed, whatever comes next
        raise
    finally:
        for _, fd in sources:
            os.close(fd)
    _checked(_LIBC.umount2(b".", _MNT_DETACH))  # the old root lies on top of the new one
    os.chdir("/")


def _is_within(path: str, folder: str) -> bool:
    return path != folder and path.startswith(folder.rstrip("/") + "/")


def _show(source_fd: int, target: str, is_folder: bool) -> None:
    """Shows what the descriptor leads to at `target`, read-only, whatever has covered its own path."""
    if is_folder:
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o444))
    _mount(f"/proc/self/fd/{source_fd}", target, None, _MS_BIND)
    # struct mount_attr: attr_set, attr_clr, propagation, userns_fd
    attributes = struct.pack("QQQQ", _MS_RDONLY | _MS_NOSUID | _MS_NODEV, 0, 0, 0)
    _syscall(
        "mount_setattr",
        ctypes.c_int(-100),  # AT_FDCWD
        ctypes.c_char_p(os.fsencode(target)),
        ctypes.c_uint(0),
        ctypes.c_char_p(attributes),
        ctypes.c_size_t(len(attributes)),
    )


def set_host_name(name: str) -> None:
    """Gives the UTS namespace a name that says nothing about the host."""
    encoded = name.encode()
    _checked(_LIBC.sethostname(encoded, ctypes.c_size_t(len(encoded))))


def drop_capabilities() -> None:
    """Gives up every capability, also those that a set-user-id program could give back."""
    for capability in range(64):
        try:
            prctl(24, capability)  # PR_CAPBSET_DROP
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last one that the kernel knows
                break
            if error.errno != errno.EPERM:  # without capabilities there is no bounding set to change
                raise
    header, nothing = struct.pack("Ii", 0x20080522, 0), bytes(24)
    _syscall("capset", ctypes.c_char_p(header), ctypes.c_char_p(nothing))


# -------------------------------------------------------------------- limits, Landlock


def set_limits(memory_bytes: int) -> None:
    """Resource limits: `memory_bytes` of address space beyond what is mapped now, and nothing that is not needed."""
    with open("/proc/self/statm") as file:
        mapped = int(file.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: mapped + memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_NOFILE: 64,
        getattr(resource, "RLIMIT_MSGQUEUE", 12): 0,
    }
    for limit, value in limits.items():
        hard = resource.getrlimit(limit)[1]
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        resource.setrlimit(limit, (value, value))


def no_new_privileges() -> None:
    """No exec may ever give this process more than it has."""
    prctl(38, 1)


_READ_FILE, _READ_DIR = 4, 8
_LANDLOCK_FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All file-system rights that a version of Landlock knows, by the version that brought the last of them."""


def landlock(readable: Sequence[str], hidden: Sequence[str] = ()) -> int:
    """Allows reading what is `readable` and no other use of the file system; returns Landlock's version.

    Args:
      readable: directories, with all that they hold, and files.
      hidden: directories inside the former whose files cannot be read, but for what is readable inside them. Their
        names can be listed, because a rule cannot take back what another has given.
    """
    version = _syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint(1))
    rights = _LANDLOCK_FILE_RIGHTS[max(known for known in _LANDLOCK_FILE_RIGHTS if known <= version)]
    network = 3 if version >= 4 else 0  # bind and connect of TCP
    scopes = 3 if version >= 6 else 0  # abstract sockets and signals
    attributes = struct.pack("QQQ", rights, network, scopes)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _syscall(
        "landlock_create_ruleset", ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint(0)
    )
    try:
        for path in readable:
            inside = [folder for folder in hidden if _is_within(folder, path)]
            for part, granted in _rules_around(path, inside):
                _allow(ruleset, part, granted)
        _syscall("landlock_restrict_self", ctypes.c_int(ruleset), ctypes.c_uint(0))
    finally:
        os.close(ruleset)
    return version


def _rules_around(path: str, hidden: Sequence[str]) -> list[tuple[str, int]]:
    """(path, rights) of the rules that make `path` readable without what is `hidden` inside it."""
    if not os.path.isdir(path):
        return [(path, _READ_FILE)]
    if not hidden:
        return [(path, _READ_FILE | _READ_DIR)]
    rules = [(path, _READ_DIR)]
    for name in os.listdir(path):
        part = os.path.join(path, name)
        if part not in hidden and not os.path.islink(part):
            rules += _rules_around(part, [folder for folder in hidden if _is_within(folder, part)])
    return rules


def _allow(ruleset: int, path: str, rights: int) -> None:
    fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, fd)
        _syscall(
            "landlock_add_rule",
            ctypes.c_int(ruleset),
            ctypes.c_int(1),  # LANDLOCK_RULE_PATH_BENEATH
            ctypes.c_char_p(rule),
            ctypes.c_uint(0),
        )
    finally:
        os.close(fd)


# -------------------------------------------------------------------- seccomp

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
    column, audit_arch = _MACHINES[machine]
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
    for name, numbers in _SYSCALLS.items():
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


def install_filter() -> int:
    """Installs the system-call filter; returns the descriptor at which the kernel asks about each fork."""
    program = filter_program(platform.machine())
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(code))
    new_listener, no_speculation_slowdown = 1 << 3, 1 << 2
    return _syscall(
        "seccomp",
        ctypes.c_uint(1),  # SECCOMP_SET_MODE_FILTER
        ctypes.c_uint(new_listener | no_speculation_slowdown),
        ctypes.c_char_p(header),
    )


# -------------------------------------------------------------------- the supervisor's side of forks

_NOTIFICATION = struct.Struct("QII64x")
_ANSWER = struct.Struct("QqiI")
_RECEIVE, _SEND = 0xC0502100, 0xC0182101
_CONTINUE = 1


def next_fork_request(listener: int) -> tuple[int, int] | None:
    """The (id, pid) of a process that wants to fork; None where it has ended since. Call it when there is one."""
    buffer = bytearray(_NOTIFICATION.size)
    try:
        fcntl.ioctl(listener, _RECEIVE, buffer, True)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    request, pid, _ = _NOTIFICATION.unpack(buffer)
    return request, pid


def answer_fork_request(listener: int, request: int, grant: bool) -> None:
    """Lets a fork happen, or fail with EPERM."""
    answer = _ANSWER.pack(request, 0, 0, _CONTINUE) if grant else _ANSWER.pack(request, 0, -errno.EPERM, 0)
    try:
        fcntl.ioctl(listener, _SEND, answer)
    except OSError as error:
        if error.errno != errno.ENOENT:  # it has ended in the meantime
            raise
