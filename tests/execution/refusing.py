"""Runs a command on a machine that refuses some system calls: `python refusing.py NAME[,NAME...] ERRNO COMMAND...`.

The filter is the kernel's own (seccomp), as containers and services set it up; everything that is started inherits it.
Setting it up needs `no_new_privs`, so each command also shows what becomes of the sandbox under that.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
import sys

NUMBERS = {
    # name: (x86_64, aarch64)
    "memfd_create": (319, 279),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "unshare": (272, 97),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
    "capset": (126, 91),
    "seccomp": (317, 277),
    "sethostname": (170, 161),
}


def refuse(names: list[str], code: int) -> None:
    """Has the kernel answer the calls `names` with the error `code`, here and in all that is started from here."""
    column = ("x86_64", "aarch64").index(platform.machine())
    numbers = [NUMBERS[name][column] for name in names if name != "nothing"]
    program = [(0x20, 0, 0, 0)]
    program += [(0x15, len(numbers) - i, 0, number) for i, number in enumerate(numbers)]
    program += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x00050000 | code)]
    text = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *instruction) for instruction in program))
    header = struct.pack("HxxxxxxQ", len(program), ctypes.addressof(text))
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    for arguments in (
        (38, ctypes.c_ulong(1), unused, unused),
        (22, ctypes.c_ulong(2), ctypes.c_char_p(header), unused),
    ):
        if libc.prctl(ctypes.c_int(arguments[0]), *arguments[1:], unused) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse(sys.argv[1].split(","), int(sys.argv[2]))
    os.execv(sys.argv[3], sys.argv[3:])
