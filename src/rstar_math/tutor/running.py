"""Runs pieces in the sandbox, and gives the value of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.execution.base import Executor
from rstar_math.tutor.reading import Piece

MAX_VALUE_CHARS = 200

OFFERED = "import math\nfrom math import ceil, comb, factorial, floor, gcd, isqrt, lcm, perm, pi, sqrt"
"""What a learner has without importing it."""

BROKEN = "the steps before it do not run any more"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a piece did.

    Attributes:
      value: what it computed, as text; None where it computed nothing.
      claims: what its claims are worth.
      parts: values of expressions that were asked for beside it.
      error: why it did not run to its end, in a few words; None where it did.
    """

    value: str | None = None
    claims: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    error: str | None = None


async def run(
    executor: Executor, before: Sequence[str], pieces: Sequence[Piece], parts: Sequence[Sequence[str]] = ()
) -> list[Ran]:
    """Runs pieces one after the other, behind a program that is known to run, in one fresh process.

    Args:
      executor: the sandbox.
      before: code of earlier steps.
      pieces: what is run.
      parts: of each piece, further expressions to be evaluated before its code runs.

    Returns:
      One for each piece, up to the first that failed.

    Raises:
      SandboxError: there is no sandbox, or it does not work.
    """
    program = list(before)
    spans = []
    for i, piece in enumerate(pieces):
        asked = list(parts[i]) if parts else []
        code = [f"print({part})" for part in asked] + ([piece.code] if piece.code else [])
        told = [f"print({expression})" for expression in ((piece.report, *piece.claims) if piece.report else ())]
        spans.append((len(asked), len(program), len(program) + len(code), len(program) + len(code) + len(told)))
        program += [*code, *told]
    if len(program) == len(before):
        return [Ran() for _ in pieces]
    executions = await executor.execute_program(program)
    if len(executions) < len(before) or any(not e.ok for e in executions[: len(before)]):
        return [Ran(error=BROKEN)]
    done: list[Ran] = []
    for (num_parts, first, told_from, end), piece in zip(spans, pieces, strict=True):
        mine = executions[first:end]
        failed = next((e for e in mine if not e.ok), None)
        if failed is not None or len(mine) < end - first:
            done.append(Ran(error=_error(failed.status if failed else "killed", failed.error if failed else None)))
            return done
        values = [_shown(e.output) for e in executions[told_from:end]]
        printed = (
            _shown("".join(e.output for e in executions[first + num_parts : told_from])) if not piece.report else ""
        )
        if values and not values[0]:
            done.append(Ran(error="it ends, and gives nothing"))
            return done
        value = values[0] if values else (printed.split("\n")[-1] or None)
        found = tuple(_shown(e.output) for e in executions[first : first + num_parts])
        done.append(Ran(value, tuple(values[1:]), found))
    return done


def _shown(output: str) -> str:
    text = output.strip()
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 3] + "..."


def _error(status: str, error: str | None) -> str:
    limits = {
        "cpu_limit": "it computes for too long, perhaps for ever",
        "wall_limit": "it does not come to an end",
        "memory_limit": "it needs too much memory",
        "output_limit": "it prints too much",
        "killed": "its process ended",
    }
    return limits.get(status) or (error or "it fails")[:200]
