"""The step format: prompt, stop markers, parse, render, loss mask, in one place (rStar-Math, section 3.2).

A whole solution as text:

    <|user|>:
    {question}
    <|assistant|>: Let's think step by step and solve the problem with code.<code>
    # Step 1: ...
    x = 3 * 4
    <end_of_step>

    # Now print the final answer
    print(x)
    <end_of_code>
    <output>12<end_of_output>
    <answer>From the result, the total is \\boxed{12}.<end_of_answer>

The policy writes everything but the observation (`<output>...<end_of_output>`), which is what the program printed.
Byte-compatible with the released training data: `render(parse(text)) == text` for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rstar_math.errors import FormatError
from rstar_math.types import Step

CODE = "<code>"
END_OF_STEP = "<end_of_step>"
END_OF_CODE = "<end_of_code>"
OUTPUT = "<output>"
END_OF_OUTPUT = "<end_of_output>"
ANSWER = "<answer>"
END_OF_ANSWER = "<end_of_answer>"

MARKERS = (CODE, END_OF_STEP, END_OF_CODE, OUTPUT, END_OF_OUTPUT, ANSWER, END_OF_ANSWER)
STOPS = (END_OF_STEP, END_OF_CODE, END_OF_ANSWER)
"""Generation stops at any of these: one stop, one step."""

USER_TURN = "<|user|>:\n{question}"
ASSISTANT_TURN = "\n<|assistant|>: Let's think step by step and solve the problem with code."

_STOP_OR_OBSERVATION = re.compile(
    "|".join(
        (
            re.escape(END_OF_STEP),
            re.escape(END_OF_ANSWER),
            # the observation belongs to the step whose code ended, with the white space before it
            rf"{re.escape(END_OF_CODE)}(?P<observation>\s*{re.escape(OUTPUT)}.*?{re.escape(END_OF_OUTPUT)})?",
        )
    ),
    re.DOTALL,
)
_OUTPUT_MARKERS = re.compile(f"({re.escape(OUTPUT)}|{re.escape(END_OF_OUTPUT)})")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")


def prompt(question: str) -> str:
    """The text that the policy continues: the user's turn, the opening of the assistant's, and `<code>`."""
    return USER_TURN.format(question=question) + ASSISTANT_TURN + CODE


def observation(output: str) -> str:
    """The text put behind a step that ended with `<end_of_code>`: what the whole program printed."""
    return f"\n{OUTPUT}{neutralised(output.rstrip())}{END_OF_OUTPUT}"


def neutralised(text: str) -> str:
    """`text` with every marker broken up, so that a program cannot print its way into the format."""
    for marker in MARKERS:
        text = text.replace(marker, f"< {marker[1:]}")
    return text


def code_of(step_text: str) -> str:
    """The Python of a step: its text without markers; "" for an answer step."""
    if ANSWER in step_text or step_text.endswith(END_OF_ANSWER):
        return ""
    for marker in (CODE, END_OF_STEP, END_OF_CODE):
        step_text = step_text.replace(marker, "")
    return step_text.strip("\n")


def parse(text: str) -> list[Step]:
    """Splits a response (what follows the prompt) into steps, each ending at a stop marker.

    Text after the last stop marker becomes a step of its own, without a closing marker. `execution` is None: what ran
    is not known from text. `"".join(s.text + s.observation for s in parse(text)) == text` holds for every text.
    """
    steps: list[Step] = []
    start = 0
    for match in _STOP_OR_OBSERVATION.finditer(text):
        seen = match.group("observation") or ""
        steps.append(step_from_text(text[start : match.end() - len(seen)], seen))
        start = match.end()
    if start < len(text):
        steps.append(step_from_text(text[start:], ""))
    return steps


def step_from_text(text: str, seen: str = "") -> Step:
    """A step from its verbatim text and the observation behind it."""
    is_answer = text.endswith(END_OF_ANSWER) or ANSWER in text
    return Step(text=text, code=code_of(text), observation=seen, answer=last_boxed(text) if is_answer else None)


def render(steps: Iterable[Step]) -> str:
    """The response text of steps: the inverse of `parse`."""
    return "".join(step.text + step.observation for step in steps)


def split_prompt(text: str) -> tuple[str, str]:
    """Splits a whole solution or a prefix into (prompt up to and with the assistant's opening, response).

    Raises:
      FormatError: there is no assistant's turn in `text`.
    """
    cut = text.find(ASSISTANT_TURN)
    if cut < 0:
        raise FormatError(f"no assistant turn ({ASSISTANT_TURN.strip()!r}) in text that starts {text[:60]!r}")
    cut += len(ASSISTANT_TURN)
    return text[:cut], text[cut:]


def loss_segments(steps: Sequence[Step]) -> list[tuple[str, bool]]:
    """The response as (text, trained) pieces: a model is never trained to imitate the executor's output.

    Not trained are observations, and outputs that stand elsewhere in a text (foreign data; one that is never closed
    reaches to the end of the text).
    """
    pieces: list[tuple[str, bool]] = []
    in_output = False
    for step in steps:
        for part in _OUTPUT_MARKERS.split(step.text):
            in_output |= part == OUTPUT
            if part:
                pieces.append((part, not in_output))
            in_output &= part != END_OF_OUTPUT
        if step.observation:
            pieces.append((step.observation, False))
            in_output = False
    return pieces


def last_boxed(text: str) -> str | None:
    """The content of the last complete `\\boxed{...}` (or `\\fbox{...}`), braces balanced; None if there is none.

    Escaped braces `\\{` and `\\}` do not count for the balance.
    """
    for match in reversed(list(_BOXED.finditer(text))):
        depth, i = 1, match.end()
        while i < len(text):
            if text[i] == "\\":
                i += 2
                continue
            if text[i] == "{":
                depth += 1
            elif text[i] == "}":
                depth -= 1
                if depth == 0:
                    return text[match.end() : i].strip()
            i += 1
    return None


def malformed(text: str, stop: str | None, code_is_closed: bool) -> str | None:
    """Why a candidate step cannot stand, or None if it can.

    Args:
      text: the candidate, its stop marker included.
      stop: the marker at which generation ended; None if it ended without one.
      code_is_closed: whether an earlier step ended with `<end_of_code>`, so that only an answer may follow.
    """
    if stop is None:
        return "no stop marker: generation ran into its token limit or ended early"
    if OUTPUT in text or END_OF_OUTPUT in text:
        return "the policy wrote the executor's output itself"
    if CODE in text:  # the prompt opened it; in a step it would be cut from what is executed
        return "the policy opened the code again"
    if stop == END_OF_ANSWER and ANSWER not in text:
        return f"{END_OF_ANSWER} without {ANSWER}"
    if stop == END_OF_ANSWER and not code_is_closed:
        return "an answer before the code was closed"
    if stop != END_OF_ANSWER and ANSWER in text:
        return f"{ANSWER} without {END_OF_ANSWER}"
    if stop != END_OF_ANSWER and code_is_closed:
        return "code after the code was closed"
    return None
