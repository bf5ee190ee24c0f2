"""What a person sees while an answer is thought about: one line on a terminal's standard error, nothing elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rstar_math.search.course import Course


@contextmanager
def shown(line: Callable[[], str]) -> Iterator[None]:
    """Shows `line()`, again and again, as long as the block lasts; only where standard error is a terminal."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.live import Live
    from rich.spinner import Spinner

    from rstar_math.terminal.console import Console, Text

    spinner = Spinner("dots")

    def renderable() -> Spinner:
        spinner.update(text=Text(line(), no_wrap=True, overflow="ellipsis"))
        return spinner

    with Live(
        console=Console(stderr=True),
        get_renderable=renderable,
        refresh_per_second=8,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ):
        yield


@contextmanager
def thinking(course: Course) -> Iterator[None]:
    """Shows how far one answer has come."""
    began = time.monotonic()
    with shown(lambda: course_line(course, time.monotonic() - began)):
        yield


def course_line(course: Course, seconds: float) -> str:
    """One line: what was spent, and the answer that is ahead."""
    parts = [f"{seconds:.0f} s", f"{course.tokens_generated:,} tokens", f"{course.executions:,} executions"]
    if course.num_trees:
        parts.append(f"{course.num_trees:,} {'tree' if course.num_trees == 1 else 'trees'} finished")
    if course.leading is not None:
        parts.append(f"so far {course.leading} ({100 * course.share:.0f} %)")
    return "thinking: " + ", ".join(parts)
