"""Confinement of a process on Linux by system calls alone: no root, no Docker, no setuid helper.

Each layer is one function that either takes effect or raises OSError with the reason. They are applied once, in a
freshly started process, and inherited by everything that it forks. The order matters: namespaces first, because the
new root needs capabilities; the system-call filter (`syscalls`) last, because it forbids all the rest.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from collections.abc import Sequence

from rstar_math.execution.inside.syscalls import MACHINES, SETUP_SYSCALLS, filter_program

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


def _checked(result: int) -> int:
    """`result` of a call; where it is negative, the reason is raised."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _syscall(name: str, *arguments: object) -> int:
    """One of `SETUP_SYSCALLS`; raises KeyError on a machine that the tables do not cover."""
    number = SETUP_SYSCALLS[name][MACHINES[platform.machine()][0]]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *arguments))


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


def enter_namespace(name: str) -> None:
    """Enters a new namespace of this kind, as the same user, with all capabilities inside it only."""
    uid, gid = os.getuid(), os.getgid()
    _checked(_LIBC.unshare(NAMESPACES[name]))
    if name == "user_namespace":
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


# -------------------------------------------------------------------- limits, Landlock, the filter of system calls


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
