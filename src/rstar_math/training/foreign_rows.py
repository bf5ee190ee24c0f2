"""Training rows of other programs: the released code's, TRL's (plain and conversational), chat messages.

A row is read, or skipped and counted with a reason, or it is an error that names file and row: null or empty values and
conversations that cannot be trained on are skipped; a row of another shape is an error. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from rstar_math import steps as step_format
from rstar_math.errors import DataError, FormatError
from rstar_math.store.row_files import read_rows
from rstar_math.types import PreferencePair, Step

RowT = TypeVar("RowT")
Row = Mapping[str, Any]
Solution = tuple[str, list[Step]]
"""A question and the steps that solve it."""

USER = step_format.USER_TURN.partition("{question}")[0]
OPENING = step_format.ASSISTANT_TURN.rpartition(": ")[2]
"""What the assistant says first, before `<code>`."""

MAX_COUNT = 1_000_000
"""The most steps that a row may say were compared at its node; what is above is no count."""

SOLUTION_ROWS = "{query, response}, {prompt, completion} or {messages}"
PAIR_ROWS = "{prompt, pos, neg} or {prompt, chosen, rejected}"


@dataclass
class Readable(Generic[RowT]):
    """What a file holds.

    Attributes:
      rows: what can be trained on, in the file's order.
      skipped: how many rows were skipped, by reason.
      noted: how many of `rows` lost something, or look strange, in words.
    """

    rows: list[RowT] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)

    def said(self, path: Path) -> str:
        """One line about what was skipped or noted; "" where there is nothing to say."""
        parts = [f"{n} rows skipped: {reason}" for reason, n in self.skipped.most_common()]
        parts += [f"{n} rows {note}" for note, n in self.noted.most_common()]
        return f"{path}: {'; '.join(parts)}" if parts else ""


class _Skipped(Exception):
    """The row cannot be trained on; says why."""


class _Unknown(Exception):
    """The row has another shape; says what is wrong."""


def is_foreign(path: Path) -> bool:
    """Whether a file holds rows of these formats, and not this package's own."""
    if path.suffix not in (".json", ".jsonl", ".parquet"):
        return False
    first = next(read_rows(path), (0, {}))[1]
    if any(key in first for key in ("query", "pos", "completion", "messages", "conversations")):
        return True
    return set(first) >= {"chosen", "rejected"} and "prefix" not in first


def solutions_in(path: Path) -> Readable[Solution]:
    """Reads questions and solutions: JSON Lines, a JSON list or Parquet.

    Raises:
      DataError: a row has another shape (names the row), or no row can be trained on.
    """
    found: Readable[Solution] = Readable()
    for number, row in read_rows(path):
        with _counted(found, path, number, SOLUTION_ROWS):
            question, response = _question_and_response(row, found)
            response = response.removeprefix(OPENING).removeprefix(step_format.CODE)
            if not any(stop in response for stop in step_format.STOPS):
                found.noted["have no markers of steps, and count as one step"] += 1
            found.rows.append((question, step_format.parse(response)))
    return _not_empty(found, path)


def pairs_in(path: Path) -> Readable[PreferencePair]:
    """Reads preference pairs: JSON Lines, a JSON list or Parquet; a problem is known by its question.

    The weight of a pair is 1 / (pos_count * neg_count) where the row has them, else 1; Q values are not in such rows.

    Raises:
      DataError: a row has another shape (names the row), or no row can be trained on.
    """
    found: Readable[PreferencePair] = Readable()
    for number, row in read_rows(path):
        with _counted(found, path, number, PAIR_ROWS):
            found.rows.append(_pair(row, f"{path.name}:{number}", found))
    return _not_empty(found, path)


class _counted:
    """Counts a row that is skipped, and names the row of an error."""

    def __init__(self, found: Readable[Any], path: Path, number: int, known: str) -> None:
        self._found, self._where, self._known = found, f"{path}, row {number}", known

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, _Skipped):
            self._found.skipped[str(error)] += 1
            return True
        if isinstance(error, _Unknown | FormatError):
            raise DataError(f"{self._where}: none of {self._known}: {error}") from error
        return False


def _not_empty(found: Readable[RowT], path: Path) -> Readable[RowT]:
    if not found.rows:
        reasons = ", ".join(f"{reason}: {n}" for reason, n in found.skipped.most_common()) or "the file is empty"
        raise DataError(f"{path} has no row that can be trained on ({reasons})")
    return found


# ---------------------------------------------------------------- solutions


def _question_and_response(row: Row, found: Readable[Solution]) -> tuple[str, str]:
    if "query" in row:
        return _text(row, "query"), _text(row, "response")
    if "completion" in row:
        if isinstance(row.get("prompt"), str):
            prompt, completion = _text(row, "prompt"), _text(row, "completion")
            if step_format.ASSISTANT_TURN not in prompt:
                return prompt.removeprefix(USER), completion
            head, opened = step_format.split_prompt(prompt)
            return question_of(head), opened + completion
        return _one_exchange([*_messages(row, "prompt"), *_messages(row, "completion")], found)
    if "messages" in row or "conversations" in row:
        return _one_exchange(_messages(row, "messages" if "messages" in row else "conversations"), found)
    raise _Unknown(f"has the keys {', '.join(sorted(map(str, row))) or 'none'}")


def _one_exchange(messages: Sequence[Row], found: Readable[Any]) -> tuple[str, str]:
    """The question and the response of a conversation of one question and one response."""
    turns = _turns(messages, found)
    if not turns or turns[-1][0] != "assistant":
        raise _Skipped(f"the conversation ends with the {turns[-1][0]}" if turns else "no messages")
    if [role for role, _ in turns] != ["user", "assistant"]:
        raise _Skipped("a conversation of several turns" if turns[0][0] == "user" else "no question of a user")
    return turns[0][1], turns[1][1]


def _turns(messages: Sequence[Row], found: Readable[Any]) -> list[tuple[str, str]]:
    """(role, text) of the messages of user and assistant; those of a system are left out and counted."""
    turns = []
    for message in messages:
        role = _ROLES.get(str(message.get("role", message.get("from"))).lower())
        if role is None:
            raise _Unknown(f"a message has the role {message.get('role', message.get('from'))!r}")
        if role == "system":
            found.noted["lost their system message"] += 1
            continue
        if role == "tool" or message.get("tool_calls") or message.get("function_call"):
            raise _Skipped("calls of tools")
        turns.append((role, _content(message.get("content", message.get("value")))))
    return turns


_ROLES = {
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "model": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "function": "tool",
    "ipython": "tool",
    "observation": "tool",
    "function_call": "tool",
}


def _content(content: object) -> str:
    """The text of a message: a text, or a list of parts that are all text."""
    if isinstance(content, list):
        parts = [_part(part) for part in content]
        content = "".join(parts)
    if content is None:
        raise _Skipped("a message without content (null)")
    if not isinstance(content, str):
        raise _Unknown(f"the content of a message is {str(content)[:60]!r}")
    if not content.strip():
        raise _Skipped("a message without content (empty)")
    return _encodable(content)


def _part(part: object) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and isinstance(part.get("text"), str) and part.get("type", "text") == "text":
        return str(part["text"])
    raise _Skipped("a message with content that is no text")


def _messages(row: Row, name: str) -> list[Row]:
    """The messages in a column."""
    value = row.get(name)
    if value is None or value == []:
        raise _Skipped(f"`{name}` is empty")
    if not isinstance(value, list) or not all(isinstance(message, Mapping) for message in value):
        raise _Unknown(f"`{name}` is no list of messages, but {str(value)[:60]!r}")
    return value


def _text(row: Row, name: str) -> str:
    """The text in a column."""
    if name not in row:
        raise _Unknown(f"{name!r} is missing")
    value = row[name]
    if value is None or (isinstance(value, str) and not value.strip()):
        raise _Skipped(f"`{name}` is empty")
    if not isinstance(value, str):
        raise _Unknown(f"`{name}` is no text, but {str(value)[:60]!r}")
    return _encodable(value)


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise _Skipped("half of a surrogate pair, which is no character") from error
    return text


# ---------------------------------------------------------------- pairs


def _pair(row: Row, tree: str, found: Readable[PreferencePair]) -> PreferencePair:
    names = ("pos", "neg") if "pos" in row else ("chosen", "rejected")
    for name in names:
        if name not in row:
            raise _Unknown(f"{name!r} is missing")
    if isinstance(row[names[0]], list) or isinstance(row[names[1]], list):
        prefix, chosen, rejected = _chat_sides(row, found)
    else:
        prefix, chosen, rejected = _text_sides(_text(row, "prompt"), _text(row, names[0]), _text(row, names[1]))
    if chosen == rejected:
        raise _Skipped("both sides are the same")
    num_chosen, num_rejected = _count(row, "pos_count"), _count(row, "neg_count")
    head, response = step_format.split_prompt(prefix)
    whole = response == step_format.CODE and step_format.END_OF_ANSWER in chosen
    return PreferencePair(
        problem="question-" + hashlib.sha256(question_of(head).encode()).hexdigest()[:16],
        prefix=prefix,
        chosen=chosen,
        rejected=rejected,
        chosen_q=1.0,
        rejected_q=-1.0,
        weight=1.0 / (num_chosen * num_rejected),
        kind="answer" if whole else "step",
        tree=tree,
        node=0,
        num_chosen=num_chosen,
        num_rejected=num_rejected,
    )


def _text_sides(prompt: str, chosen: str, rejected: str) -> tuple[str, str, str]:
    # what both sides open with belongs to the prefix: the split is the same whatever the row's own was
    opening = next((o for o in _openings(prompt) if chosen.startswith(o) and rejected.startswith(o)), "")
    if step_format.ASSISTANT_TURN not in prompt + opening and not prompt.startswith(USER):
        return _sides(prompt, chosen, rejected)
    return prompt + opening, chosen[len(opening) :], rejected[len(opening) :]


def _chat_sides(row: Row, found: Readable[PreferencePair]) -> tuple[str, str, str]:
    """Sides that are conversations; without a prompt, what both begin with is it."""
    chosen, rejected = _messages(row, "chosen"), _messages(row, "rejected")
    prompt = row.get("prompt")
    if prompt is None:
        shared = next((i for i, (a, b) in enumerate(zip(chosen, rejected, strict=False)) if a != b), None)
        if shared is None:
            raise _Skipped("both sides are the same")
        before, chosen, rejected = chosen[:shared], chosen[shared:], rejected[shared:]
    elif isinstance(prompt, str):
        before = [{"role": "user", "content": _text(row, "prompt").removeprefix(USER)}]
    else:
        before = _messages(row, "prompt")
    silent: Readable[PreferencePair] = Readable()  # a system message is counted once for a row
    question, good = _one_exchange([*before, *chosen], found)
    again, bad = _one_exchange([*before, *rejected], silent)
    if question != again:
        raise _Skipped("the sides answer different questions")
    return _sides(question, good, bad)


def _sides(question: str, chosen: str, rejected: str) -> tuple[str, str, str]:
    """A question with two responses, from the first step on in which they differ.

    Whole solutions begin behind the question, as in the released rows, unless only their last steps differ.
    """
    good, bad = (
        step_format.parse(text.removeprefix(OPENING).removeprefix(step_format.CODE)) for text in (chosen, rejected)
    )
    if not good or not bad:
        raise _Skipped("an empty side")
    shared = next((i for i, (a, b) in enumerate(zip(good, bad, strict=False)) if a != b), min(len(good), len(bad)) - 1)
    last = len(good) == len(bad) == shared + 1
    whole = all(steps and steps[-1].text.endswith(step_format.END_OF_ANSWER) for steps in (good, bad))
    if whole and not last:
        shared = 0
    prefix = step_format.prompt(question) + step_format.render(good[:shared])
    return prefix, step_format.render(good[shared:]), step_format.render(bad[shared:])


def _count(row: Row, name: str) -> int:
    value = row.get(name)
    if value is None:
        return 1
    if isinstance(value, bool) or not (isinstance(value, int) or (isinstance(value, float) and value.is_integer())):
        raise _Unknown(f"`{name}` is no whole number, but {str(value)[:60]!r}")
    if not 1 <= value <= MAX_COUNT:
        raise _Skipped(f"`{name}` is not from 1 to {MAX_COUNT:,}")
    return int(value)


def _openings(prompt: str) -> Iterator[str]:
    """What may stand between a released row's prompt and the first step of the solution."""
    if step_format.ASSISTANT_TURN not in prompt:
        yield step_format.ASSISTANT_TURN + step_format.CODE
        yield step_format.ASSISTANT_TURN
    elif prompt.endswith(step_format.ASSISTANT_TURN):
        yield step_format.CODE


def question_of(head: str) -> str:
    """The question of a prompt."""
    return head.removeprefix(USER).removesuffix(step_format.ASSISTANT_TURN)
