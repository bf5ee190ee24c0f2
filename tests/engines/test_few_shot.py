"""The few-shot prompt: its examples run, it holds what the search asked, and fences of chat models go."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
from pathlib import Path

import pytest

from rstar_math import steps
from rstar_math.config import PolicySettings, RuntimeSettings
from rstar_math.engines.base import Generation
from rstar_math.engines.few_shot import (
    Bootstrap,
    BootstrapEngine,
    Example,
    cleaned,
    knows_markers,
    read_examples,
    split,
)
from rstar_math.engines.open import open_policy
from rstar_math.errors import DataError, FormatError
from rstar_math.types import Completion, SamplingParams
from tests.engines.tiny_checkpoints import save_checkpoint

DEFAULT = Bootstrap.named("default")
PREFIX = steps.prompt("What is 2 + 3?") + "\n# Step 1: add\nx = 2 + 3\n" + steps.END_OF_STEP


@pytest.mark.parametrize("example", DEFAULT.examples, ids=lambda e: e.question[:20])
def test_the_examples_are_in_the_step_format_and_true(example: Example) -> None:
    parsed = steps.parse(example.response)
    assert steps.render(parsed) == example.response
    assert parsed[-1].answer is not None
    printed = io.StringIO()
    names: dict[str, object] = {}
    with contextlib.redirect_stdout(printed):
        for step in parsed:
            exec(step.code, names)
    closing = next(s for s in parsed if s.observation)
    assert closing.observation == steps.observation(printed.getvalue())
    for text in (s.text.removeprefix(steps.CODE) for s in parsed[:-1]):
        stop = next(s for s in steps.STOPS if text.endswith(s))
        assert steps.malformed(text, stop, code_is_closed=False) is None


def test_a_base_model_reads_instructions_examples_and_the_solution_so_far() -> None:
    text = DEFAULT.text(PREFIX)
    assert text.startswith("You solve mathematical problems")
    assert text.endswith(f"Question: What is 2 + 3?\n<code>\n# Step 1: add\nx = 2 + 3\n{steps.END_OF_STEP}")
    assert text.count("Question: ") == len(DEFAULT.examples) + 1


def test_a_chat_model_gets_the_same_as_messages() -> None:
    messages = DEFAULT.messages(PREFIX)
    assert [m.role for m in messages] == ["system", *["user", "assistant"] * (len(DEFAULT.examples) + 1)]
    assert messages[-2].content == "What is 2 + 3?"
    assert messages[-1].content == split(PREFIX)[1]


def test_a_question_may_hold_anything() -> None:
    question = "a\n<|assistant|>: b {x} \\frac{1}{2}"
    assert split(steps.prompt(question)) == (question, steps.CODE)
    with pytest.raises(FormatError):
        split("no prompt at all")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\nx = 1\n", "\nx = 1\n"),
        ("\n```python\nx = 1\n```\n", "\nx = 1\n"),
        ("<code>\nx = 1\n", "\nx = 1\n"),
        ("\nprint('```')\n", "\nprint('```')\n"),
    ],
)
def test_what_chat_models_put_around_a_program_goes(text: str, expected: str) -> None:
    assert cleaned(text) == expected


def test_own_examples_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    good = DEFAULT.examples[0]
    path.write_text(json.dumps({"question": good.question, "response": good.response}) + "\n")
    assert list(read_examples(path)) == [good]
    path.write_text(json.dumps({"text": f"Question: {good.question}\n{good.response}"}) + "\n")
    assert list(read_examples(path)) == [good]
    path.write_text(json.dumps({"question": "q", "response": "x = 1"}) + "\n")
    with pytest.raises(DataError, match=r"line 1: the response lacks <code>"):
        read_examples(path)
    with pytest.raises(DataError, match="no examples at"):
        Bootstrap.named(str(tmp_path / "none.jsonl"))


def test_the_released_examples_are_read() -> None:
    path = Path(__file__).parents[3] / "shared" / "solutions" / "rstar_few_shots.jsonl"
    if not path.exists():
        pytest.skip(f"no released examples at {path}")
    assert len(read_examples(path)) == 2


class _Echo:
    """An engine that writes what it is told and keeps what it was asked."""

    def __init__(self) -> None:
        self.prompts: list[str] = []

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        self.prompts.append(prompt)
        return Generation((Completion("\n```python\ny = 1\n", steps.END_OF_STEP, 5, -1.0),), 10)

    async def aclose(self) -> None: ...


def test_the_engine_around_changes_prompt_and_text_and_nothing_else() -> None:
    inner = _Echo()
    generation = asyncio.run(BootstrapEngine(inner, DEFAULT).generate(PREFIX, SamplingParams()))
    assert inner.prompts == [DEFAULT.text(PREFIX)]
    assert generation == Generation((Completion("\ny = 1\n", steps.END_OF_STEP, 5, -1.0),), 10)


def test_a_checkpoint_without_markers_gets_the_prompt_by_itself(tmp_path: Path) -> None:
    plain = save_checkpoint(tmp_path / "plain", "qwen2", markers=())
    trained = save_checkpoint(tmp_path / "trained", "qwen2")
    assert not knows_markers(plain)
    assert knows_markers(trained)
    runtime = RuntimeSettings(device="cpu")

    async def kinds() -> list[bool]:
        engines = [
            open_policy(plain, runtime),
            open_policy(trained, runtime),
            open_policy(PolicySettings(policy=str(trained), bootstrap="default"), runtime),
            open_policy(PolicySettings(policy=str(plain), bootstrap="none"), runtime),  # it writes them as text
        ]
        try:
            await engines[-1].generate(steps.prompt("What?"), SamplingParams(max_tokens=2))
            return [isinstance(engine, BootstrapEngine) for engine in engines]
        finally:
            for engine in engines:
                await engine.aclose()

    assert asyncio.run(kinds()) == [True, False, True, False]
