"""Styled text for a terminal, by rich: what it is given is made visible, and only its own styles are sequences."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, Self, TextIO, cast

import rich.console
import rich.text
from rich.console import ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.style import Style

from rstar_math.terminal.streams import VisibleStream
from rstar_math.terminal.visible import visible


class Text(rich.text.Text):
    """Styled text. rich drops the control characters of what it is given; here they are shown as escapes."""

    def __init__(self, text: str = "", *args: Any, **kwargs: Any) -> None:
        super().__init__(visible(text), *args, **kwargs)

    def append(self, text: rich.text.Text | str, style: str | Style | None = None) -> Self:
        """Adds text at the end."""
        super().append(visible(text) if isinstance(text, str) else text, style)
        return self

    @classmethod
    def assemble(cls, *parts: Any, **options: Any) -> Self:
        """Text of several parts: each a string, text, or a pair of a string and its style."""
        return cast(Self, super().assemble(*parts, **options))


class Console(rich.console.Console):
    """A console for text that anybody may have written: no markup, no links, control characters as escapes.

    Args:
      stream: where to write; None: standard output, or standard error where `stderr` is set, whatever they are then.
      stderr: see `stream`.
      width: columns; None: as wide as the terminal is.
    """

    def __init__(self, stream: TextIO | None = None, *, stderr: bool = False, width: int | None = None) -> None:
        super().__init__(file=stream, stderr=stderr, width=width, markup=False, highlight=False)

    @property
    def file(self) -> IO[str]:
        """Where to write; a stream that makes text visible is given styled text as it is."""
        found = super().file
        return cast(IO[str], _Styled(found)) if isinstance(found, VisibleStream) else found

    @file.setter
    def file(self, stream: IO[str]) -> None:
        raise TypeError("a console keeps its stream")

    def render_str(self, text: str, **options: Any) -> rich.text.Text:
        """Text for a plain string, from `print` or a cell of a table."""
        return super().render_str(visible(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of a renderable; all but the console's own sequences are made visible."""
        if isinstance(renderable, str):
            renderable = visible(renderable)
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text), _without_link(segment.style))


class _Styled:
    """The way past `VisibleStream.write`: of a text stream, what rich uses."""

    def __init__(self, stream: VisibleStream) -> None:
        self._stream = stream
        self.encoding = stream.encoding

    def write(self, text: str) -> int:
        return self._stream.write_styled(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


def _without_link(style: Style | None) -> Style | None:
    return style.update_link(None) if style is not None and style.link else style
