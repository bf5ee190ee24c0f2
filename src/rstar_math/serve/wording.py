"""What a person reads: the solution as a message, the course of the search as the thinking before it.

Everything that a model or a program wrote is made visible here: no control character, and no way out of a code block.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from rstar_math import steps as step_format
from rstar_math.search.events import Event, NotReproduced, Proposal, StepsProposed, TreeBegun, TreeGrown, Voted
from rstar_math.terminal.visible import visible
from rstar_math.types import Solution, Step

_TICKS = re.compile("`+")
_MOST_LINE = 160
_MOST_OUTPUT = 2_000


def message(solution: Solution) -> list[str]:
    """The solution in pieces: each step with its code and what it printed, then the answer; without one, why not."""
    if solution.answer is None:
        return [f"No solution was finished: {visible(solution.why)}"]
    pieces, number = list[str](), 0
    for step in solution.reasoning_trace:
        if step.execution is None:
            continue
        number += 1
        pieces.append(f"Step {number}\n{_block(step.code, 'python')}")
        if step.execution.output.strip():
            pieces[-1] += f"prints\n{_block(_beginning(step.execution.output), 'text')}"
        pieces[-1] += "\n"
    return [*pieces, short_message(solution)]


def short_message(solution: Solution) -> str:
    """The answer alone."""
    if solution.answer is None:
        return message(solution)[0]
    last = solution.reasoning_trace[-1] if solution.reasoning_trace else Step("")
    sentence = _without_markers(last.text).strip() if last.execution is None else ""
    if "\\boxed" not in sentence and "\\fbox" not in sentence:
        sentence = f"The answer is \\boxed{{{solution.answer}}}."
    return visible(sentence)


def thought(event: Event) -> str:
    """One event as a few lines; "" for one that says nothing to a person."""
    match event:
        case TreeBegun():
            return f"Tree {event.tree + 1} ({visible(event.strategy)}) begins.\n"
        case StepsProposed():
            return _proposed(event)
        case TreeGrown():
            found = Counter(solution.answer for solution in event.solutions)
            answers = ", ".join(f"{_line(str(answer))} ({count}x)" for answer, count in found.most_common(5))
            ended = " The limit was reached." if event.stopped == "budget" else ""
            return f"Tree {event.tree + 1} is finished: {answers or 'no answer'}.{ended}\n"
        case Voted():
            if event.leading is None:
                return "No answer is ahead yet.\n"
            share = f"{100 * event.share:.0f} % of the vote"
            return f"Trees so far: {event.num_trees}. Ahead is {_line(event.leading)} with {share}.\n"
        case NotReproduced():
            return (
                f"The program that gave {_line(str(event.trajectory.answer))} did not come out the same once more; it "
                "is dropped.\n"
            )
        case _:
            return ""


def thoughts(events: Sequence[Event]) -> str:
    """All events as text."""
    return "".join(map(thought, events))


def _proposed(event: StepsProposed) -> str:
    number = len(event.history) + 1
    different = "1 candidate" if len(event.candidates) == 1 else f"{len(event.candidates)} different candidates"
    lines = [f"Tree {event.tree + 1}, step {number}, {different}:"]
    lines += [f"- {_candidate(candidate)}" for candidate in event.candidates]
    return "\n".join(lines) + "\n"


def _candidate(candidate: Proposal) -> str:
    step = candidate.step
    text = _line(_without_markers(step.text))
    if step.execution is not None and step.execution.output.strip():
        text += f" => {_line(step.execution.output)}"
    marks = [f"{candidate.num_proposed}x"] if candidate.num_proposed > 1 else []
    if candidate.score is not None:
        marks.append(f"score {candidate.score:.2f}")
    if candidate.rejected is not None:
        marks.append(f"rejected: {_line(candidate.rejected)}")
    return f"{text} ({', '.join(marks)})" if marks else text


def _line(text: str) -> str:
    """A text on one line, cut where it is long."""
    line = visible(" | ".join(part.strip() for part in text.strip().splitlines() if part.strip()))
    return line if len(line) <= _MOST_LINE else f"{line[: _MOST_LINE - 3]}..."


def _beginning(output: str) -> str:
    return output if len(output) <= _MOST_OUTPUT else f"{output[:_MOST_OUTPUT]}\n... ({len(output):,} characters)"


def _without_markers(text: str) -> str:
    for marker in step_format.MARKERS:
        text = text.replace(marker, "")
    return text


def _block(text: str, language: str) -> str:
    """A block of code that what stands in it cannot end."""
    shown = visible(text.strip("\n"))
    fence = "`" * max(3, *(len(ticks) + 1 for ticks in _TICKS.findall(shown)), 3)
    return f"{fence}{language}\n{shown}\n{fence}\n"
