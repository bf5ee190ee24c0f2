"""Standard output and standard error of a command: whatever is printed there, control characters are made visible.

This is the one place where it is done. It holds for what is printed, warned of, logged or raised, by this package and
by libraries alike. Styled text alone passes, from `rstar_math.terminal.console`, which makes its own parts visible.
"""

from __future__ import annotations

import io
import sys
from typing import Self, TextIO

from rstar_math.terminal.visible import visible


class VisibleStream(io.TextIOWrapper):
    """A text stream over the bytes of another, whose control characters but line feeds and tabs come out as escapes.

    What the encoding lacks, and half of a surrogate pair, comes out as an escape too.
    """

    @classmethod
    def over(cls, stream: io.TextIOWrapper) -> Self:
        """The same place to write to, made visible. `stream` must stay alive; it closes what both write to."""
        stream.flush()
        return cls(stream.buffer, stream.encoding, "backslashreplace", line_buffering=stream.line_buffering)

    def write(self, text: str) -> int:
        """Writes `text`, made visible; gives its length."""
        super().write(visible(text))
        return len(text)

    def write_styled(self, text: str) -> int:
        """Writes text as it is: the caller has made its parts visible, and styled them."""
        return super().write(text)

    def __del__(self) -> None:
        """Leaves the bytes' stream open, for the stream that this one stands over."""


def show_controls() -> None:
    """From now on, standard output and standard error of this process are `VisibleStream`s."""
    sys.stdout, sys.stderr = _over(sys.stdout), _over(sys.stderr)


def _over(stream: TextIO) -> TextIO:
    """The stream, made visible; another kind of stream (none at all, or one in memory) stays as it is."""
    if isinstance(stream, io.TextIOWrapper) and not isinstance(stream, VisibleStream):
        return VisibleStream.over(stream)
    return stream
