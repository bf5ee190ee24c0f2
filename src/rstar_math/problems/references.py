"""The reference answer behind what a data set calls an answer or a solution.

Data sets keep the final answer in a column of its own, or at the end of a worked solution: behind `####` (GSM8K), in
the last `\\boxed{...}` (MATH), or after "The answer is" (MetaMathQA). A solution is taken apart; where that cannot be
done there is no reference, and the reason is said. A whole solution is never used as a reference: no answer equals it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from rstar_math import steps as step_format

WHOLE_SOLUTION = "the reference is a whole solution, in which no final answer is marked"
NOT_IN_SOLUTION = "no answer in the solution"
NO_REFERENCE = "no reference"

_NO_ANSWER = {
    "proof": "the answer is a proof",
    "proof.": "the answer is a proof",
    "notfound": "no answer was found in the solution (notfound)",
    "not found": "no answer was found in the solution (notfound)",
    "n/a": NO_REFERENCE,
    "nan": NO_REFERENCE,
    "null": NO_REFERENCE,
}
"""What data sets write where there is no answer, in lower case; NuminaMath-1.5 has `proof` and `notfound`."""

MAX_WORDS = 40
"""A text of so many words is a solution, whatever it says."""

MAX_SENTENCE_WORDS = 12
"""An answer of more words than this is prose: it is kept, and counted."""

_LINE_WORDS = 20
"""A text of two or more lines in words is a solution from so many words on."""

_REASONING_WORDS = 8
"""A text that computes is a solution from so many words on."""

_COMPUTES = re.compile(r"\d\s*(?:[-+*/×÷]|\\times|\\div|\\cdot)\s*\$?\d[^=\n]{0,40}=\s*\$?\d")
_HASHES = re.compile(r"(?:^|\s)####(?!#)")
_ANSWER_IS = re.compile(r"(?:the\s+)?(?:final\s+)?answer\s+is\s*:?\s*(.+?)\s*$", re.IGNORECASE | re.DOTALL)
_WITH_COMMAS = re.compile(r"-?\$?\s*\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DISPLAY = re.compile(r"\\\[.*?\\\]|\$\$.*?\$\$|\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.DOTALL)
_COMMAND = re.compile(r"\\[A-Za-z]+")
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Reference:
    """What an answer or a solution of a data set gives.

    Attributes:
      text: the reference answer; None where there is none.
      reason: why there is none; None where there is one.
    """

    text: str | None
    reason: str | None = None

    @property
    def is_prose(self) -> bool:
        """Whether the reference is a sentence, which hardly any answer equals."""
        return self.text is not None and num_words(self.text) > MAX_SENTENCE_WORDS


def from_answer(value: object) -> Reference:
    """The reference in a column of final answers.

    Args:
      value: text, a number, None, or a list of answers that belong together.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        parts = [from_answer(part) for part in value if part is not None]
        failed = next((part for part in parts if part.text is None), None)
        return failed or _usable(", ".join(part.text for part in parts if part.text is not None))
    text = "" if value is None else str(value).strip()
    if text.lower() in _NO_ANSWER:
        return Reference(None, _NO_ANSWER[text.lower()])
    if _HASHES.search(text):
        return _behind_hashes(text)
    boxes = _boxes(text)
    if boxes:
        # a short answer may put several in boxes, all of which belong to it; the last one ends a solution
        return _usable(boxes[-1] if is_solution(text) else ", ".join(dict.fromkeys(boxes)))
    if is_solution(text):
        return _at_the_end(text) or Reference(None, WHOLE_SOLUTION)
    return _usable(text)


def from_solution(value: object) -> Reference:
    """The reference in a column of worked solutions: behind `####`, in the last box, or after "The answer is".

    A text as short as an answer is one: some data sets keep the bare answer in a column of that name.
    """
    text = "" if value is None else str(value).strip()
    if not text or text.lower() in _NO_ANSWER:
        return Reference(None, _NO_ANSWER.get(text.lower(), NO_REFERENCE))
    if _HASHES.search(text):
        return _behind_hashes(text)
    boxed = step_format.last_boxed(text)
    if boxed is not None:
        return _usable(boxed)
    found = _at_the_end(text)
    if found is None and "\n" not in text and num_words(text) == 0:
        return _usable(text)
    return found or Reference(None, NOT_IN_SOLUTION)


def is_solution(text: str) -> bool:
    """Whether a text is obviously a whole solution, and no answer: very long, lines of words, or words that compute."""
    rest = _DISPLAY.sub(" ", text)
    count = num_words(rest)
    lines = sum(num_words(line) >= 3 for line in rest.splitlines())
    computes = _COMPUTES.search(text) is not None
    return count >= MAX_WORDS or (lines >= 2 and count >= _LINE_WORDS) or (computes and count >= _REASONING_WORDS)


def num_words(text: str) -> int:
    """Words of two letters or more; commands of LaTeX are none."""
    return len(_WORD.findall(_COMMAND.sub(" ", text)))


def _boxes(text: str) -> list[str]:
    """The content of every complete box."""
    starts = [match.start() for match in _BOX.finditer(text)]
    found = (step_format.last_boxed(text[a:b]) for a, b in pairwise([*starts, len(text)]))
    return [box for box in found if box]


def _behind_hashes(text: str) -> Reference:
    answer = _HASHES.split(text)[-1].strip()
    answer = answer.splitlines()[0].strip() if answer else ""
    return _usable(answer.replace(",", "") if _WITH_COMMAS.fullmatch(answer) else answer)


def _at_the_end(text: str) -> Reference | None:
    """What stands behind the last "answer is"; None where that is no answer."""
    found = list(re.finditer(r"(?:final\s+)?answer\s+is", text, re.IGNORECASE))
    match = _ANSWER_IS.search(text, found[-1].start()) if found else None
    answer = match.group(1).strip().removesuffix(".").strip() if match else ""
    if not answer or is_solution(answer) or "\n\n" in answer:
        return None
    return _usable(answer)


def _usable(text: str) -> Reference:
    return Reference(text) if text.strip() else Reference(None, NO_REFERENCE)
