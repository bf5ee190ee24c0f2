"""Problems of the pocket world for inspect_ai, graded by the project's own grader.

    rstar pocket problems test --num 30 | tee pocket.jsonl
    inspect eval docs/clients/inspect_pocket.py -T problems=$PWD/pocket.jsonl --model openai-api/rstar/pocket

`rstar` must be on the path, or named by `-T rstar=PATH`; the two may lie in environments of their own.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from pathlib import Path
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import FieldSpec, json_dataset
from inspect_ai.scorer import CORRECT, INCORRECT, Score, Target, accuracy, scorer, stderr
from inspect_ai.solver import TaskState, generate


@task
def pocket(problems: str = "pocket.jsonl", rstar: str = "rstar") -> Task:
    """The problems of a file, each asked once; inspect_ai looks for a relative path beside this file."""
    fields = FieldSpec(input="problem", target="answer", id="id", metadata=["tier"])
    return Task(dataset=json_dataset(problems, fields), solver=generate(), scorer=by_our_grader(rstar))


@scorer(metrics=[accuracy(), stderr()])
def by_our_grader(rstar: str) -> Any:
    """Right where `rstar grade` says that the last boxed answer equals the reference."""

    async def score(state: TaskState, target: Target) -> Score:
        boxed = re.findall(r"\\boxed\{(.*)\}", state.output.completion)
        if not boxed:
            return Score(value=INCORRECT, explanation="no answer")
        right = boxed[-1] == target.text or await grade(rstar, boxed[-1], target.text)
        return Score(value=CORRECT if right else INCORRECT, answer=boxed[-1])

    return score


async def grade(rstar: str, answer: str, reference: str) -> bool:
    """Whether the grader takes an answer for the reference."""
    with tempfile.TemporaryDirectory() as folder:
        pairs, verdicts = Path(folder, "pairs.jsonl"), Path(folder, "verdicts.jsonl")
        pairs.write_text(json.dumps({"gold": reference, "prediction": answer}) + "\n", encoding="utf-8")
        words = (rstar, "grade", str(pairs), "--out", str(verdicts))
        process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.DEVNULL)
        if await process.wait():
            raise RuntimeError(f"{rstar} grade failed")
        return bool(json.loads(verdicts.read_text(encoding="utf-8"))["equal"])
