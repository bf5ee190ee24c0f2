"""A few-shot prompt for a model that was never trained on the step format (rStar-Math, section 3.4, round 1).

The search speaks the step format to every policy. In front of such a model the prompt of `rstar_math.steps` is
rewritten into instructions, worked examples and the question; the markers are plain text, which the model copies from
the examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rstar_math import steps as step_format
from rstar_math.engines.base import Batches, Batching, Engine, Generation, Meter, Note, Noting, generate_metered
from rstar_math.errors import DataError, FormatError
from rstar_math.store.files import read_jsonl
from rstar_math.types import SamplingParams

INSTRUCTIONS = f"""\
You solve mathematical problems with a Python program that you write step by step.

Rules:
- Open the program with {step_format.CODE}.
- A step starts with a comment that says what it does, followed by the Python that does it.
- Close every step with a line {step_format.END_OF_STEP}. Later steps see all names of earlier ones.
- The last step prints the result and is closed with a line {step_format.END_OF_CODE}.
- The program is then run, and what it printed is shown between {step_format.OUTPUT} and \
{step_format.END_OF_OUTPUT}. Never write these two yourself.
- After the output, write {step_format.ANSWER}, one sentence with the result in \\boxed{{}}, and \
{step_format.END_OF_ANSWER}.
- Use exact arithmetic (fractions, sympy) where the answer is exact; no text outside of comments and the answer."""

_EXAMPLES = (
    (
        "A baker fills 14 trays with 12 rolls each and sells 5 rolls for 2 dollars. How much does she take if all but "
        "8 rolls are sold?",
        """<code>
# Step 1: Count the rolls that were baked
num_baked = 14 * 12
<end_of_step>

# Step 2: Take away those that were not sold
num_sold = num_baked - 8
<end_of_step>

# Step 3: Every 5 rolls bring 2 dollars
takings = num_sold // 5 * 2
<end_of_step>

# Now print the final answer
print(takings)
<end_of_code>
<output>64<end_of_output>
<answer>She takes \\boxed{64} dollars.<end_of_answer>""",
    ),
    (
        "Find all real $x$ with $x^2 - \\frac{5}{2}x = \\frac{3}{2}$.",
        """<code>
from sympy import Rational, solveset, symbols, S

# Step 1: Bring everything to one side
x = symbols("x", real=True)
expression = x**2 - Rational(5, 2) * x - Rational(3, 2)
<end_of_step>

# Step 2: Solve over the reals
solutions = sorted(solveset(expression, x, S.Reals))
<end_of_step>

# Now print the final answer
print(solutions)
<end_of_code>
<output>[-1/2, 3]<end_of_output>
<answer>The solutions are \\boxed{-\\frac{1}{2}, 3}.<end_of_answer>""",
    ),
    (
        "How many three-digit numbers have digits that sum to a multiple of 9 and contain no zero?",
        """<code>
# Step 1: Look at every three-digit number without a zero
candidates = [n for n in range(100, 1000) if "0" not in str(n)]
<end_of_step>

# Step 2: Keep those whose digits sum to a multiple of 9
found = [n for n in candidates if sum(map(int, str(n))) % 9 == 0]
<end_of_step>

# Now print the final answer
print(len(found))
<end_of_code>
<output>81<end_of_output>
<answer>There are \\boxed{81} such numbers.<end_of_answer>""",
    ),
)

_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*\n?", re.MULTILINE)
_USER = step_format.USER_TURN.partition("{question}")[0]


@dataclass(frozen=True, slots=True)
class Example:
    """A worked example: a question and its whole solution, from `<code>` to `<end_of_answer>`."""

    question: str
    response: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat: `role` is "system", "user" or "assistant"."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Instructions and examples, and how a question and a solution so far are put behind them."""

    instructions: str
    examples: tuple[Example, ...]

    @classmethod
    def named(cls, name: str) -> Bootstrap:
        """The package's own examples ("default"), or those of a JSON Lines file.

        Raises:
          DataError: there is no such file, or an example is not in the step format.
        """
        if name == "default":
            return cls(INSTRUCTIONS, tuple(Example(q, r) for q, r in _EXAMPLES))
        return cls(INSTRUCTIONS, tuple(read_examples(Path(name))))

    def text(self, prompt: str) -> str:
        """The text that a base model continues in place of `prompt`; other texts than the search's stay as they are."""
        if step_format.ASSISTANT_TURN not in prompt:
            return prompt
        question, response = split(prompt)
        shown = [f"Question: {e.question}\n{e.response}" for e in self.examples]
        return "\n\n".join([self.instructions, *shown, f"Question: {question}\n{response}"])

    def messages(self, prompt: str) -> list[Message]:
        """The messages that a chat model continues; the last one is the assistant's, and unfinished.

        A text that is none of the search's prompts is one message of the user.
        """
        if step_format.ASSISTANT_TURN not in prompt:
            return [Message("user", prompt)]
        question, response = split(prompt)
        messages = [Message("system", self.instructions)]
        for example in self.examples:
            messages += [Message("user", example.question), Message("assistant", example.response)]
        return [*messages, Message("user", question), Message("assistant", response)]


class BootstrapEngine:
    """A policy behind a few-shot prompt; everything else is the engine's that it wraps."""

    def __init__(self, engine: Engine, bootstrap: Bootstrap) -> None:
        self._engine, self._bootstrap = engine, bootstrap

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """Continues `prompt`, `params.n` times."""
        return await self.generate_metered(prompt, params, Meter())

    async def generate_metered(self, prompt: str, params: SamplingParams, meter: Meter) -> Generation:
        """The same, and what it cost."""
        generation = await generate_metered(self._engine, self._bootstrap.text(prompt), params, meter)
        return replace(generation, completions=tuple(replace(c, text=cleaned(c.text)) for c in generation.completions))

    @property
    def batches(self) -> Batches | None:
        """Those of the engine inside."""
        return self._engine.batches if isinstance(self._engine, Batching) else None

    def notes(self) -> Sequence[Note]:
        """Those of the engine inside."""
        return self._engine.notes() if isinstance(self._engine, Noting) else ()

    async def aclose(self) -> None:
        """Closes the engine inside."""
        await self._engine.aclose()


def split(prompt: str) -> tuple[str, str]:
    """The question of a prompt, and the response so far, which starts with `<code>`.

    Raises:
      FormatError: the prompt is not one of `rstar_math.steps`.
    """
    head, response = step_format.split_prompt(prompt)
    if not head.startswith(_USER):
        raise FormatError(f"no user's turn in a prompt that starts {prompt[:60]!r}")
    return head[len(_USER) : -len(step_format.ASSISTANT_TURN)], response


def cleaned(text: str) -> str:
    """A generated step without the Markdown fences of chat models, and without a second `<code>`."""
    text = _FENCE.sub("", text)
    return text.replace(step_format.CODE, "", 1) if text.lstrip().startswith(step_format.CODE) else text


def knows_markers(folder: Path) -> bool:
    """Whether the tokenizer of a folder was made for the step format (others may know `<code>` from web pages)."""
    try:
        if (folder / "tokenizer.json").is_file():
            from tokenizers import Tokenizer

            return Tokenizer.from_file(str(folder / "tokenizer.json")).token_to_id(step_format.END_OF_STEP) is not None
        from transformers import AutoTokenizer

        return step_format.END_OF_STEP in AutoTokenizer.from_pretrained(folder, local_files_only=True).get_vocab()
    except Exception:  # damaged or missing: `load_engine` says what is wrong with it
        return True


def read_examples(path: Path) -> Sequence[Example]:
    """Examples of a JSON Lines file: `question` (or `query`) and `response`, or both in `text` as "Question: ...".

    Raises:
      DataError: no such file, no example in it, or one that is not in the step format (names the line).
    """
    if not path.exists():
        raise DataError(f"no examples at {path}; give a JSONL file of {{question, response}}, `default` or `none`")
    examples = []
    for number, row in read_jsonl(path):
        if isinstance(row.get("text"), str):
            question, _, response = row["text"].removeprefix("Question: ").partition("\n" + step_format.CODE)
            response = step_format.CODE + response
        else:
            question, response = row.get("question", row.get("query")), row.get("response")
        if not isinstance(question, str) or not isinstance(response, str):
            raise DataError(f"{path}, line {number}: needs texts `question` and `response`, has {json.dumps(row)[:80]}")
        found = step_format.parse(response)
        missing = [m for m in step_format.MARKERS if m not in response and m != step_format.END_OF_STEP]
        if missing or not response.startswith(step_format.CODE) or found[-1].answer is None:
            what = f"lacks {missing[0]}" if missing else "does not start with <code> or end with a boxed answer"
            raise DataError(f"{path}, line {number}: the response {what}; see METHOD in docs/real-models.md")
        examples.append(Example(question.strip(), response.strip()))
    if not examples:
        raise DataError(f"{path} has no examples")
    return examples
