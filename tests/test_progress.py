"""What a person sees of progress: on a terminal, after early stops and errors, at any width."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from rstar_math.progress import BarProgress, LineProgress, Progress, Steps


def screen(written: str) -> list[str]:
    """The lines that a terminal shows after what was written to it: as much of its language as rich uses."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r\n|[\r\n]|[^\x1b\r\n]+", written):
        if part.startswith("\x1b["):
            number = int(part[2:-1]) if part[2:-1].isdigit() else 1
            if part[-1] == "A":
                row = max(0, row - number)
            elif part[-1] == "K":
                lines[row] = ""
        elif part == "\r":
            pass  # what follows is a line that was erased
        elif part in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        else:
            lines[row] += part
    return [line.rstrip() for line in lines if line.strip()]


def terminal(width: int) -> tuple[io.StringIO, BarProgress]:
    stream = io.StringIO()
    return stream, BarProgress(Console(file=stream, force_terminal=True, width=width, color_system=None), every_s=0)


def train(progress: Progress, stage: str, num_steps: int, stop_at: int) -> None:
    with Steps(progress, stage) as steps:
        for step in range(1, stop_at + 1):
            steps(step, num_steps, 0.5 / step, 100 * step)


def search(progress: Progress, stage: str) -> None:
    progress.start(stage, 2)
    for _ in range(2):
        progress.advance(1_000, solved=True)
    progress.finish()


def test_training_that_stops_early_leaves_one_line_that_says_so() -> None:
    stream, progress = terminal(120)
    train(progress, "round 1, PPM", 100, stop_at=40)
    search(progress, "round 2, search")
    search(progress, "round 2, held out")
    seen = screen(stream.getvalue())
    assert [re.sub(r"^\W+", "", line).split(":")[0] for line in seen] == [
        "round 1, PPM",
        "round 2, search",
        "round 2, held out",
    ]
    assert re.search(r"round 1, PPM: 40/100, .*loss 0\.013, stopped after \d+ s$", seen[0])
    assert "left" not in "".join(seen)


def test_a_stage_that_nobody_ended_is_ended_by_the_next() -> None:
    stream, progress = terminal(120)
    progress.start("first", 10)
    progress.advance()
    search(progress, "second")
    assert ["first: 1/10" in line for line in screen(stream.getvalue())] == [True, False]


def test_an_error_ends_the_stage_and_gives_the_cursor_back() -> None:
    stream, progress = terminal(120)

    def stopped() -> None:
        with progress:
            progress.start("search", 10)
            progress.advance()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    written = stream.getvalue()
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")  # shown again after it was hidden
    assert "search: 1/10, stopped after" in screen(written)[-1]


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_no_width_cuts_the_line(width: int) -> None:
    stream, progress = terminal(width)
    progress.start("pocket/test, pocket, best-of-N, ORM, 1200 tokens", 1_234)
    for i in range(17):
        progress.advance(98_765, solved=i % 2 == 0, note="loss 0.123")
    progress.finish()
    seen = " ".join(" ".join(screen(stream.getvalue())).split())
    assert "…" not in seen
    for value in ("17/1234", "solved 52.9 %", "tokens/s", "loss 0.123", "stopped after"):
        assert value in seen
    assert max(map(len, screen(stream.getvalue()))) <= width


def test_names_are_shown_as_they_are() -> None:
    stream, progress = terminal(100)
    progress.say("[red]kept[/red]")
    search(progress, "[bold]x")
    assert screen(stream.getvalue())[0] == "[red]kept[/red]"
    assert "[bold]x: 2/2" in screen(stream.getvalue())[1]


def test_lines_for_a_log_say_the_same() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, every_s=0)
    train(progress, "PPM", 100, stop_at=2)
    progress.finish()  # once more does nothing
    lines = stream.getvalue().splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("PPM: 1/100, ")
    assert lines[0].endswith(" left")
    assert re.search(r"^PPM: 2/100, .*stopped after 0 s$", lines[-1])


def test_a_stage_with_nothing_left_to_do_is_no_line_of_a_log() -> None:
    stream = io.StringIO()
    progress = LineProgress(stream, every_s=0)
    progress.start("search", 5, done=5)
    progress.finish()
    assert stream.getvalue() == ""
