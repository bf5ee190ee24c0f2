"""Real solutions with the output that a notebook recorded, run block by block, and how what comes out differs.

The solutions are not part of this repository; they are read where they lie beside it.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from pathlib import Path

from rstar_math.config import ExecutionSettings
from rstar_math.execution.base import Executor
from rstar_math.types import Execution

FOLDER = Path(__file__).parents[3] / "shared" / "solutions"
FILES = ("mathcoder-l-7b_math_correct.jsonl", "tora-code-34b_gsm8k.jsonl")
SETTINGS = ExecutionSettings(cpu_s=20, wall_s=600, output="notebook", output_bytes=1 << 20)


@dataclass(frozen=True)
class Block:
    """A block of code and what was recorded after it; None where nothing was."""

    code: str
    recorded: str | None


@dataclass(frozen=True)
class Outcome:
    """A block with a recorded output, and what came out here.

    Attributes:
      difference: class of the difference; None where there is none.
      after: classes of differences of earlier blocks of the same solution, on whose state this one may depend.
    """

    solution: str
    number: int
    block: Block
    execution: Execution
    difference: str | None
    after: frozenset[str]


def solutions(every: int = 1) -> list[tuple[str, list[Block]]]:
    """(id, blocks) of every `every`th solution that has code."""
    found = []
    for file in FILES:
        for line in (FOLDER / file).read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            blocks: list[Block] = []
            for part in row["steps"]:
                if part["type"] == "code":
                    blocks.append(Block(part["content"].replace("\r\n", "\n"), None))
                elif part["type"] == "output" and blocks and blocks[-1].recorded is None:
                    blocks[-1] = Block(blocks[-1].code, part["content"])
            if blocks:
                found.append((row["id"], blocks))
    return found[::every]


def surviving(code: str) -> str:
    """A block that fails, as a step after which the next can run: a notebook keeps what it did until then."""
    return f"try:\n    exec(compile({code!r}, '<step>', 'exec'), globals())\nexcept BaseException:\n    pass"


async def run(executor: Executor, name: str, blocks: list[Block]) -> list[Outcome]:
    """Runs a solution as a notebook does; an outcome for each block with a recorded output."""
    prefix: list[str] = []
    outcomes: list[Outcome] = []
    seen: set[str] = set()
    for number, block in enumerate(blocks):
        execution = await executor.execute(prefix, block.code)
        if block.recorded is not None:
            kind = difference(block, execution, frozenset(seen))
            outcomes.append(Outcome(name, number, block, execution, kind, frozenset(seen)))
            if kind is not None:
                seen.add(kind)
        if execution.status in ("ok", "output_limit", "error"):
            prefix.append(block.code if execution.ok else surviving(block.code))
    return outcomes


async def run_all(executor: Executor, chosen: list[tuple[str, list[Block]]], at_once: int = 16) -> list[Outcome]:
    """The outcomes of all blocks, in order."""
    slots = asyncio.Semaphore(at_once)

    async def one(name: str, blocks: list[Block]) -> list[Outcome]:
        async with slots:
            return await run(executor, name, blocks)

    return [outcome for outcomes in await asyncio.gather(*(one(*s) for s in chosen)) for outcome in outcomes]


# ---------------------------------------------------------------- comparison

_COLOURS = re.compile(r"\x1b?\[[\d;]*m")
_TRACEBACK = re.compile(r"^-{20,}|^\s*Cell In\[\d+\], line", re.MULTILINE)
_ERROR = re.compile(
    r"^\s*([A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Iteration|Failed)): (.*)\Z", re.MULTILINE | re.DOTALL
)
_NUMBER = re.compile(r"(?<![\w.])(?:\d+\.\d*|\.\d+)(?:[eE][-+]?\d+)?|(?<![\w.])\d+[eE][-+]?\d+")


def normalised(text: str) -> str:
    """`text` without whitespace, its floats in one format."""
    return re.sub(r"\s+", "", _NUMBER.sub(lambda match: f"{float(match[0]):.6g}", text))


def recorded_error(recorded: str) -> str | None:
    """`Type: message` of a recorded traceback; None where none was recorded."""
    if not _TRACEBACK.search(recorded):
        return None
    found = _ERROR.findall(_COLOURS.sub("", recorded))
    return f"{found[-1][0].rpartition('.')[2]}: {found[-1][1]}" if found else "no error named"


def same(block: Block, execution: Execution) -> bool:
    """Whether what was recorded came out, whitespace and the format of floats apart."""
    assert block.recorded is not None
    wanted = recorded_error(block.recorded)
    if wanted is not None:
        return execution.error is not None and normalised(_plain(execution.error)) == normalised(_plain(wanted))
    if execution.error is not None:  # some recorders keep the last line of a traceback alone
        return not execution.output and normalised(execution.error) == normalised(block.recorded)
    return execution.ok and normalised(execution.output) == normalised(block.recorded)


def _plain(error: str) -> str:
    """An error without the name and the line of its file, which are the notebook's own."""
    return re.sub(r"\s*\(.*line \d+\)", "", error)


def difference(block: Block, execution: Execution, seen: frozenset[str]) -> str | None:
    """The class of the difference, by the first rule that holds; None where there is none.

    Args:
      seen: classes of the earlier differences of the same solution.
    """
    assert block.recorded is not None
    recorded = _COLOURS.sub("", block.recorded)
    wanted = recorded_error(block.recorded)
    if same(block, execution):
        return None
    if "Timeout waiting for reply" in recorded or execution.status in ("cpu_limit", "wall_limit"):
        return "time limit"
    if recorded == "<empty_execution>" or "The history saving thread" in recorded:
        return "messages of the notebook itself"
    if execution.ok and wanted is None:
        return _of_values(normalised(recorded), normalised(execution.output), "sympy" in block.code, bool(seen))
    if "matplotlib" in (execution.error or ""):
        return "no matplotlib here"
    if execution.error is not None and wanted is not None and _type(execution.error) == _type(wanted):
        return "wording of an error"
    return "after another difference" if seen else "unnamed"


def _of_values(recorded: str, printed: str, sympy: bool, after_another: bool) -> str:
    """The class of a difference between two texts, neither of them an error."""
    if recorded == re.sub(r"np\.\w+\(([^()]*)\)", r"\1", printed):
        return "scalars of numpy 2"
    if recorded.endswith("...]") and printed.startswith(recorded.removesuffix("...]")):
        return "cut by the notebook"
    if sorted(recorded) == sorted(printed):
        return "order of a set or of solutions"
    if after_another:
        return "after another difference"
    return "another form from sympy" if sympy else "unnamed"


def _type(error: str) -> str:
    return error.partition(":")[0]
