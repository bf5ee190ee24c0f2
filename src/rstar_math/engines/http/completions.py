"""The completions in an answer: their text without thoughts, the stop marker that ended them, their tokens.

Servers differ in where they put a text (`text`, `message.content`, a list of parts), in whether they name the stop
string, in what they count, and in where a reasoning model's thoughts stand: in a field of their own, in parts, or in
the text. Thoughts are no part of a step. They are never executed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rstar_math import steps as step_format
from rstar_math.types import Completion, FinishReason

_NAMED_STOP = ("stop_reason", "matched_stop", "stopping_word")
"""Fields in which vLLM, SGLang and llama.cpp name what ended a completion."""

_AT_A_LIMIT = ("length", "limit", "max_tokens", "time")
_KEPT_BACK = ("filter", "tool", "function", "safety", "refusal")
"""What the `finish_reason` of a completion has in it that did not end at a stop string. All others may have: servers
say "stop", "stop_sequence", "eos", "end_turn", or nothing."""

_BROKEN_OFF = ("abort", "error")
"""A `finish_reason` of completions that the server itself gave up."""

_THOUGHT_FIELDS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_THOUGHT_PARTS = ("thinking", "reasoning", "redacted_thinking", "thought")
_THOUGHT_MARKS = (
    ("<think>", "</think>"),  # DeepSeek, Qwen and most others
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),  # Magistral
    ("◁think▷", "◁/think▷"),  # Kimi
    ("<seed:think>", "</seed:think>"),  # Seed-OSS
    ("<|START_THINKING|>", "<|END_THINKING|>"),  # Command
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_CHANNEL = re.compile(
    r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<]*<\|message\|>.*?(<\|end\|>|<\|call\|>|\Z)",
    re.DOTALL,
)
_FINAL_CHANNEL = re.compile(r"(?:<\|start\|>assistant)?<\|channel\|>final[^<]*<\|message\|>")
_FENCE = re.compile(r"^[ \t]*```\w*[ \t]*\n?", re.MULTILINE)
_MIN_REPEATED = 24
"""Characters that no two steps begin with by chance."""

_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote.

    Attributes:
      text: without thoughts.
      thought: whether there were any.
      is_thinking: whether it had not finished them.
      kept_back: whether the server kept the text back, or the model called a tool in place of writing.
    """

    text: str
    thought: bool = False
    is_thinking: bool = False
    kept_back: bool = False


class StartedAgain(Exception):
    """A chat was to go on from the steps so far, and began with the first of them again."""


class UnknownStop(Exception):
    """The server stopped at a stop string and does not say at which."""


@dataclass(frozen=True)
class Stops:
    """The stop markers of a request, and how they are told apart.

    With `late`, the server is given the markers without their first characters, one more for each: "end_of_step>",
    "nd_of_code>", "d_of_answer>". What is left in the text, "<", "<e" or "<en", tells which one it was.
    """

    markers: tuple[str, ...]
    late: bool
    heads: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "heads", {m: m[: i + 1] for i, m in enumerate(self.markers)})

    @property
    def sent(self) -> tuple[str, ...]:
        """What the server is asked to stop at."""
        return tuple(m[len(self.heads[m]) :] or m for m in self.markers) if self.late else self.markers

    def find(self, text: str, choice: Mapping[str, Any], were_sent: bool = True) -> tuple[str, str | None]:
        """The text before the stop marker, and the marker.

        Args:
          text: what the model wrote.
          choice: the choice that it stands in.
          were_sent: whether the server was asked to stop at all.

        Raises:
          UnknownStop: it stopped, and nothing tells at what.
        """
        cut, marker = min(((text.find(m), m) for m in self.markers if m in text), default=(len(text), None))
        if marker is not None:
            return text[:cut], marker
        named = next((choice[key] for key in _NAMED_STOP if choice.get(key)), None)
        if isinstance(named, str) and named in self.markers:
            return text, named
        if not self.markers or not were_sent or _says(choice, _AT_A_LIMIT) or _says(choice, _KEPT_BACK):
            return text, None
        if self.late:
            ended = next((m for m, head in self.heads.items() if text.endswith(head)), None)
            return (text[: -len(self.heads[ended])], ended) if ended else (text, None)
        if any(key in choice for key in _NAMED_STOP):
            return text, None  # a server that names stop strings, and did not: the model ended the sequence itself
        raise UnknownStop


def malformed(value: Mapping[str, Any]) -> str:
    """What keeps an answer from being read as completions; "" for nothing."""
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices or not all(isinstance(c, dict) for c in choices):
        return f"an answer without completions: {json.dumps(value)[:120]}"
    for choice in choices:
        if _says(choice, _BROKEN_OFF):
            return f"a completion that the server broke off ({_finish(choice)})"
        if not isinstance(choice.get("text"), str):
            message = choice.get("message")
            if not isinstance(message, dict) or not isinstance(message.get("content") or "", str | list):
                return f"a completion without text: {json.dumps(choice)[:120]}"
    return ""


def written(choice: Mapping[str, Any]) -> Written:
    """What the model wrote in a choice that is not malformed."""
    if isinstance(choice.get("text"), str):
        text, thought, refused = choice["text"], False, False
    else:
        message: Mapping[str, Any] = choice["message"]
        text, thought = _content(message.get("content"))
        thought |= any(message.get(key) for key in _THOUGHT_FIELDS)
        refused = any(message.get(key) for key in ("refusal", "tool_calls", "function_call"))
    text, in_text, is_thinking = without_thoughts(_storable(text))
    kept_back = _says(choice, _KEPT_BACK) or (refused and not text.strip())
    return Written(text, thought or in_text, is_thinking, kept_back)


def without_thoughts(text: str) -> tuple[str, bool, bool]:
    """A text without the thoughts in it, whether there were any, and whether they had not ended.

    Marks count at the beginning of a line only, so that code about them stays what it is.
    """
    thought = False
    for opened, closed in _THOUGHT_MARKS:
        if closed in text and opened not in text[: text.find(closed)]:  # the prompt's template opened them
            text, thought = text[text.find(closed) + len(closed) :], True
        start = re.compile(rf"^[ \t]*{re.escape(opened)}", re.MULTILINE)
        while (found := start.search(text)) is not None:
            end = text.find(closed, found.end())
            if end < 0:
                return text[: found.start()], True, True
            text, thought = text[: found.start()] + text[end + len(closed) :], True
    if "<|channel|>" in text:
        ends = [found[1] for found in _CHANNEL.finditer(text)]
        text = _FINAL_CHANNEL.sub("", _CHANNEL.sub("", text))
        return text.removesuffix("<|return|>").removesuffix("<|end|>"), bool(ends) or thought, "" in ends
    return text, thought, False


def completion_of(
    choice: Mapping[str, Any], found: Written, stops: Stops, num_tokens: int, were_sent: bool
) -> Completion:
    """A choice as a completion.

    Raises:
      UnknownStop: see `Stops.find`.
    """
    reason: FinishReason
    if found.is_thinking or (found.thought and not found.text.strip()):
        text, stop, reason = ("" if not found.text.strip() else found.text), None, "reasoning"
    elif found.kept_back:
        text, stop, reason = found.text, None, "withheld"
    else:
        text, stop = stops.find(found.text, choice, were_sent)
        reason = "stop" if stop else "length" if _says(choice, _AT_A_LIMIT) else "end"
    return Completion(text, stop, num_tokens, sum(token_logprobs(choice)), reason)


def token_counts(choices: Sequence[Mapping[str, Any]], usage: object) -> list[int] | None:
    """Tokens of each choice, or None where the server did not count them.

    An answer gives one total, which is divided by length: the sum stays exact. A total of 0 beside a text is none.
    """
    texts = [_raw_length(choice) for choice in choices]
    total = whole_number(usage.get("completion_tokens")) if isinstance(usage, dict) else None
    if total is None or (total == 0 and any(texts)):
        return None
    logprobs = [token_logprobs(choice) for choice in choices]
    if all(logprobs) and sum(map(len, logprobs)) == total:
        return [len(values) for values in logprobs]
    lengths = [length + 1 for length in texts]
    ends = [round(total * sum(lengths[: i + 1]) / sum(lengths)) for i in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def estimated_counts(choices: Sequence[Mapping[str, Any]]) -> list[int]:
    """Tokens of each choice, estimated from its length, thoughts included."""
    return [max(1, _raw_length(choice) // _CHARACTERS_PER_TOKEN) for choice in choices]


def estimated_tokens(num_chars: int) -> int:
    """Tokens of so many characters, at least 1."""
    return max(1, num_chars // _CHARACTERS_PER_TOKEN)


def whole_number(value: object) -> int | None:
    """A count that a server gives, as a number or as a text; None where it is none or negative."""
    if isinstance(value, str) and value.strip().isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def token_logprobs(choice: Mapping[str, Any]) -> list[float]:
    """The log-probabilities in a choice; empty where there are none."""
    logprobs = choice.get("logprobs")
    if not isinstance(logprobs, dict):
        return []
    values = logprobs.get("token_logprobs")
    if not isinstance(values, list):
        content = logprobs.get("content")
        values = [row.get("logprob") for row in content if isinstance(row, dict)] if isinstance(content, list) else []
    return [float(v) for v in values if isinstance(v, int | float)]


def _content(content: object) -> tuple[str, bool]:
    """The text of `message.content`, and whether a part of it was a thought."""
    if isinstance(content, str):
        return content, False
    texts, thought = [], False
    for part in content if isinstance(content, list) else []:
        if isinstance(part, str):
            texts.append(part)
        elif isinstance(part, dict) and part.get("type") in _THOUGHT_PARTS:
            thought = True
        elif isinstance(part, dict) and isinstance(part.get("text"), str):
            texts.append(part["text"])
    return "".join(texts), thought


def _raw_length(choice: Mapping[str, Any]) -> int:
    """Characters that the model wrote, thoughts included."""
    if isinstance(choice.get("text"), str):
        return len(choice["text"])
    message: Mapping[str, Any] = choice["message"]
    content = message.get("content") or ""
    length = len(content) if isinstance(content, str) else sum(len(json.dumps(part)) for part in content)
    thoughts = next((message[key] for key in _THOUGHT_FIELDS if message.get(key)), "")
    return length + len(thoughts if isinstance(thoughts, str) else json.dumps(thoughts))


def _says(choice: Mapping[str, Any], words: Sequence[str]) -> bool:
    return any(word in _finish(choice) for word in words)


def _finish(choice: Mapping[str, Any]) -> str:
    return str(choice.get("finish_reason") or "").lower()


def _storable(text: str) -> str:
    """The text without lone surrogates, which JSON can carry and UTF-8, and so no file of ours, can not."""
    return text.encode("utf-8", "replace").decode("utf-8")


def starts_again(text: str, continued: str) -> bool:
    """Whether a text does not go on from the steps so far, but begins with the first of them again."""
    before, now = (_FENCE.sub("", without_opening(t)).strip() for t in (continued, text))
    return len(before) >= _MIN_REPEATED and now.startswith(before[:_MIN_REPEATED])


def without_opening(text: str) -> str:
    """A restated step without a second `<code>`: the solution so far has one already."""
    return text.replace(step_format.CODE, "", 1) if text.lstrip().startswith(step_format.CODE) else text
