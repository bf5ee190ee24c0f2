"""What a person sees while work goes on: a bar on a terminal, plain lines elsewhere, nothing in a library."""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Progress:
    """Tells nothing; the base of those that do."""

    def start(self, stage: str, total: int, done: int = 0) -> None:
        """Begins a stage of `total` items (problems, optimiser steps), `done` of them finished before."""

    def advance(self, tokens: int = 0, solved: bool | None = None, note: str = "") -> None:
        """One more item is done."""

    def finish(self) -> None:
        """The stage is over."""

    def say(self, line: str) -> None:
        """One line to keep."""


class LineProgress(Progress):
    """Plain lines, at most one every `every_s` seconds, for logs; `prefix` tells apart what runs side by side."""

    def __init__(self, stream: TextIO | None = None, every_s: float = 10.0, prefix: str = "") -> None:
        self._stream = stream or sys.stderr
        self._every_s = every_s
        self._prefix = prefix

    def start(self, stage: str, total: int, done: int = 0) -> None:
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
        if self._done > self._first:
            self._write(self.line())

    def say(self, line: str) -> None:
        self._write(line)

    def line(self) -> str:
        """The state of the stage in one line: count, solved share, tokens per second, time left."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        parts = [f"{self._stage}: {self._done}/{self._total}"]
        if self._num_graded:
            parts.append(f"solved {100 * self._num_solved / self._num_graded:.1f} %")
        if self._tokens:
            parts.append(f"{self._tokens / seconds:,.0f} tokens/s")
        if self._note:
            parts.append(self._note)
        rate = (self._done - self._first) / seconds
        if self._done < self._total and rate > 0:
            parts.append(f"{_duration((self._total - self._done) / rate)} left")
        else:
            parts.append(_duration(seconds))
        return ", ".join(parts)

    def _write(self, line: str) -> None:
        print(f"{self._prefix}{line}", file=self._stream, flush=True)


class BarProgress(LineProgress):
    """A bar that stays on one line of a terminal."""

    def __init__(self) -> None:
        super().__init__(sys.stderr, every_s=0.2)
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskID, TextColumn

        self._bar = Progress(BarColumn(bar_width=30), TextColumn("{task.description}"), console=Console(stderr=True))
        self._task: TaskID | None = None

    def start(self, stage: str, total: int, done: int = 0) -> None:
        super().start(stage, total, done)
        self._bar.start()
        self._task = self._bar.add_task(stage, total=total, completed=done)

    def finish(self) -> None:
        if self._task is not None:
            self._bar.update(self._task, completed=self._done, description=self.line())
            self._bar.stop()
            self._bar.remove_task(self._task)
            self._task = None

    def _write(self, line: str) -> None:
        if self._task is not None and line.startswith(f"{self._stage}:"):
            self._bar.update(self._task, completed=self._done, description=line)
        else:
            self._bar.console.print(line, highlight=False)


class Steps:
    """Shows optimiser steps as a stage of a `Progress`; called as training loops call their progress."""

    def __init__(self, progress: Progress, stage: str) -> None:
        self._progress, self._stage = progress, stage
        self._started, self._tokens = False, 0

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
