"""What the supervisor and the processes of programs agree on: the shared buffer, the bounds of reports, exit statuses.

The one file of this folder that both sides load: the supervisor as a part of the package, the sandbox by its path.
"""

from __future__ import annotations

import builtins
import struct

# Programs may patch the builtins of their process. The functions of this file keep the originals: a function takes its
# builtins from its module's globals when it is defined.
globals()["__builtins__"] = dict(vars(builtins))

HEADER = struct.Struct("<QdQdQ")
"""Start of the shared buffer: bytes in it so far; CPU clock at the start of the running step; its index, in a warm
worker its number, there 0 where none runs; monotonic clock at its start; in a warm worker, how many programs ran before
it since the seal was last found intact."""

HEADER_BYTES = 64

MAX_FULL_OUTPUTS = 8
"""A program as a whole may print this many times as much as one of its steps."""


def output_room(num_steps: int, step_bytes: int) -> int:
    """Bytes of the shared buffer for what `num_steps` steps print."""
    return min(num_steps, MAX_FULL_OUTPUTS) * step_bytes


MAX_ERROR_CHARS = 2000
MAX_RECORD_CHARS = 4096
"""A recorded string longer than this loses its middle."""

MAX_STATEMENTS = 2000


def left_well(left: SystemExit) -> bool:
    """Whether a program that calls `exit()` ends with exit status 0, as a shell would see it: code None, 0 or False."""
    code = left.code
    return code is None or (isinstance(code, int) and code == 0)
