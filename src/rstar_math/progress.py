"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere, nothing in a library."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self, TextIO

from rstar_math.terminal.visible import visible

if TYPE_CHECKING:
    import rich.console

_BAR_WIDTH = 30
_MIN_WIDTH_WITH_BAR = 100
"""Columns that a bar and a line of usual length need side by side."""


class Progress:
    """Tells nothing; the base of those that do. One stage is open at a time: the next one ends it.

    As a context manager it ends the open stage on the way out, also after an error or Ctrl-C.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """Begins a stage of `total` items (problems, optimiser steps), `done` of them finished before."""

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        """One more item is done."""

    def finish(self) -> None:
        """The stage is over, with all its items or not; does nothing where no stage is open."""

    def say(self, line: str) -> None:
        """One line to keep."""


class LineProgress(Progress):
    """Plain lines, at most one every `every_s` seconds, for logs; `prefix` tells apart what runs side by side."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 10.0, prefix: str = "") -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s
        self._prefix = prefix
        self._is_open = False

    def start(self, stage: str, total: int, done: int = 0) -> None:
        self.finish()
        self._is_open = True
        self._stage, self._total, self._done, self._first = stage, total, done, done
        self._tokens = self._num_graded = self._num_solved = 0
        self._began = self._told = time.monotonic()
        self._note = ""

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        self._done += 1
        self._tokens += tokens
        self._note = note
        if solved is not None:
            self._num_graded += 1
            self._num_solved += solved
        if time.monotonic() - self._told >= self._every_s:
            self._told = time.monotonic()
            self._write(self.line())

    def finish(self) -> None:
        if self._is_open:
            self._is_open = False
            self._end(self.line())

    def say(self, line: str) -> None:
        self._write(line)

    def line(self) -> str:
        """The state of the stage in one line: count, solved share, tokens per second, time left or spent."""
        spent_s = max(time.monotonic() - self._began, 1e-9)
        parts = [f"{self._stage}: {self._done}/{self._total}"]
        if self._num_graded:
            parts.append(f"solved {100 * self._num_solved / self._num_graded:.1f} %")
        if self._tokens:
            parts.append(f"{self._tokens / spent_s:,.0f} tokens/s")
        if self._note:
            parts.append(self._note)
        rate = (self._done - self._first) / spent_s
        if self._done >= self._total:
            parts.append(_duration(spent_s))
        elif not self._is_open:
            parts.append(f"stopped after {_duration(spent_s)}")
        elif rate > 0:
            parts.append(f"{_duration((self._total - self._done) / rate)} left")
        return ", ".join(parts)

    def _end(self, line: str) -> None:
        """The last line of a stage; one in which nothing was left to do says nothing."""
        if self._done > self._first:
            self._write(line)

    def _write(self, line: str) -> None:
        print(f"{self._prefix}{line}", file=self._stream, flush=True)


class BarProgress(LineProgress):
    """A bar and a line that stay in place on a terminal while a stage is open; what ended stays above.

    Args:
      console: terminal to draw on; None: standard error.
      every_s: seconds between two changes of the line.
    """

    def __init__(self, console: rich.console.Console | None = None, every_s: float = 0.2) -> None:
        super().__init__(sys.stderr, every_s=every_s)
        from rich.progress import BarColumn, Progress, TaskID, TextColumn
        from rich.table import Column

        from rstar_math.terminal.console import Console

        console = console or Console(stderr=True)
        # a narrow terminal has no room for a bar; its line folds, and is not cut
        text = TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=False, overflow="fold"))
        bar = [BarColumn(bar_width=_BAR_WIDTH)] if console.width >= _MIN_WIDTH_WITH_BAR else []
        self._bar = Progress(*bar, text, console=console)
        self._task: TaskID | None = None

    def start(self, stage: str, total: int, done: int = 0) -> None:
        super().start(stage, total, done)
        self._task = self._bar.add_task(visible(stage), total=total, completed=done)
        self._bar.start()

    def _end(self, line: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, description=visible(line))
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None

    def say(self, line: str) -> None:
        self._bar.console.print(line, highlight=False, markup=False)

    def _write(self, line: str) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, description=visible(line))


class Steps:
    """Shows optimiser steps as a stage of a `Progress`; called as training loops call their progress.

    As a context manager it ends the stage on the way out: training may stop early, before its last step.
    """

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress, self._stage = progress, stage
        self._started, self._tokens = False, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._started:
            self._progress.finish()

    def __call__(self, step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        if not self._started:
            self._progress.start(self._stage, num_steps)
            self._started = True
        self._progress.advance(num_tokens - self._tokens, note=f"loss {loss:.3f}")
        self._tokens = num_tokens
        if step >= num_steps:
            self._progress.finish()


def for_terminal() -> Progress:
    """A bar where standard error is a terminal, plain lines elsewhere."""
    return BarProgress() if sys.stderr.isatty() else LineProgress()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
