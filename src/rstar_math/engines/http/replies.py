"""What came back from a server, read: a JSON object, a stream of events, a web page, or an error in any of its shapes.

What it is not: it does not decide what an error means; that is `refusals.py`.
"""

from __future__ import annotations

import email.utils
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

_PAGE_STARTS = (b"{", b"[", b'"', b"data:", b"event:", b":")
"""How the body of an API begins; anything else with status 200 is a page for people."""

_TEXTS_OF_A_DELTA = ("content", "reasoning_content", "reasoning", "thinking", "refusal")


@dataclass(frozen=True, slots=True)
class Complaint:
    """What a server says about an error.

    Attributes:
      message: its words.
      codes: `code`, `type`, `status` and their like, in lower case; numbers as text.
      fields: fields of the request that it names as wrong (`param`, `loc`), without their path.
      numbers: numbers that stand beside the words, by name, for example `n_ctx`.
      status: the HTTP status that the body gives; 0 where it gives none.
    """

    message: str = ""
    codes: frozenset[str] = frozenset()
    fields: frozenset[str] = frozenset()
    numbers: Mapping[str, int] = field(default_factory=dict)
    status: int = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
      value: the JSON object, also of an answer that reports an error; empty where there is none.
      trouble: what is wrong with the answer, for a person; "" for nothing.
      status: of HTTP; 0: no answer at all.
      retry_after: seconds that the server asks to wait; 0 where it does not.
      complaint: what the server says about the error.
      is_page: whether a page for people came in place of an answer, with a status that says that all is well.
    """

    value: Mapping[str, Any]
    trouble: str
    status: int
    retry_after: float = 0.0
    complaint: Complaint = Complaint()
    is_page: bool = False

    @property
    def meant_status(self) -> int:
        """The status that is meant: that of the body where HTTP says that all is well and the body does not."""
        return self.complaint.status if 200 <= self.status < 300 and self.complaint.status else self.status


def read_reply(status: int, content: bytes, retry_after: str | None = None, location: str | None = None) -> Reply:
    """Reads the body of an answer.

    Args:
      status: of HTTP.
      content: the body, decompressed.
      retry_after, location: headers.
    """
    value = _json_of(content)
    complaint = complaint_of(value)
    well = 200 <= status < 300
    if well and isinstance(value, dict) and not (complaint.message and "choices" not in value and "data" not in value):
        return Reply(value, "", status)
    trouble = f"HTTP {status}"
    if well:
        trouble = "an error with status 200" if isinstance(value, dict) else "an answer that is not JSON"
    said = complaint.message or _shown(content)
    if 300 <= status < 400:
        said = f"redirected to {location}"
    return Reply(
        value if isinstance(value, dict) else {},
        f"{trouble}: {said}" if said else trouble,
        status,
        seconds_of(retry_after),
        complaint,
        is_page=well and bool(content.strip()) and not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PAGE_STARTS),
    )


def complaint_of(value: object) -> Complaint:
    """What a server says about an error, in any of the shapes in use."""
    if isinstance(value, list) and value and isinstance(value[0], dict) and "error" in value[0]:
        value = value[0]  # Gemini
    if not isinstance(value, dict):
        return Complaint()
    error = next((value[key] for key in ("error", "detail", "message", "errors") if value.get(key)), "")
    if (
        isinstance(error, dict)
        and isinstance(error.get("metadata"), dict)
        and isinstance(error["metadata"].get("raw"), str)
    ):
        error = {**error, "raw": error["metadata"]["raw"]}  # OpenRouter: what the provider behind it said
    outer = {k: v for k, v in value.items() if k in ("code", "type", "param", "status", "error_type")}
    around = [outer, *_dicts(error)] if error else []
    if not around:
        return Complaint()
    codes, fields, numbers = set(), set(), {}
    for part in around:
        for key, inner in part.items():
            if key in ("code", "type", "status", "error_type", "error_code") and isinstance(inner, str | int):
                codes.add(str(inner).lower())
            elif key == "param" and isinstance(inner, str):
                fields.add(_last_name(inner))
            elif key == "loc" and isinstance(inner, list):
                fields |= {_last_name(name) for name in inner if isinstance(name, str)}
            elif isinstance(inner, int) and not isinstance(inner, bool):
                numbers[key] = inner
    statuses = [int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600]
    return Complaint(
        _words(error, around), frozenset(codes), frozenset(fields), numbers, statuses[0] if len(statuses) == 1 else 0
    )


def seconds_of(header: str | None) -> float:
    """Seconds that a Retry-After header asks to wait, as a number or as a date; 0 where it says nothing of use."""
    try:
        value = float(header or 0)
    except ValueError:
        try:
            moment = email.utils.parsedate_to_datetime(header or "")
        except ValueError:
            return 0.0
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        value = (moment - datetime.now(UTC)).total_seconds()
    return value if value > 0 and math.isfinite(value) else 0.0


def _json_of(content: bytes) -> object:
    """The JSON value of a body, or what a stream of events adds up to; None where it is neither."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):  # no JSON, no UTF-8, or nested without end
        pass
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"data:", b"event:", b":")):
        return _merged(_events(content))
    return None


def _events(content: bytes) -> Iterator[Mapping[str, Any]]:
    """The JSON objects of server-sent events."""
    for line in content.decode("utf-8", "replace").splitlines():
        name, _, data = line.partition(":")
        if name == "data" and data.strip().startswith("{"):
            try:
                event = json.loads(data)
            except (ValueError, RecursionError):  # broken off
                continue
            if isinstance(event, dict):
                yield event


def _merged(events: Iterator[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The answer that a stream adds up to; None where it ended before every choice had a reason to end."""
    choices: dict[int, dict[str, Any]] = {}
    whole: dict[str, Any] = {}
    for event in events:
        if event.get("error"):
            return dict(event)
        whole |= {k: v for k, v in event.items() if k != "choices" and v is not None}
        parts = event.get("choices")
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict):
                index = part.get("index")
                _grow(choices.setdefault(index if isinstance(index, int) else 0, {}), part)
    if not choices or not all(choice.get("finish_reason") for choice in choices.values()):
        return None
    return whole | {"choices": [choices[index] for index in sorted(choices)]}


def _grow(choice: dict[str, Any], part: Mapping[str, Any]) -> None:
    """Adds one piece of a stream to the choice that it belongs to."""
    if isinstance(part.get("text"), str):
        choice["text"] = choice.get("text", "") + part["text"]
    delta = part.get("delta", part.get("message"))
    if isinstance(delta, dict):
        message = choice.setdefault("message", {})
        for key in _TEXTS_OF_A_DELTA:
            if isinstance(delta.get(key), str):
                message[key] = (message.get(key) or "") + delta[key]
        if delta.get("tool_calls"):
            message["tool_calls"] = delta["tool_calls"]
    logprobs = part.get("logprobs")
    if isinstance(logprobs, dict):
        into = choice.setdefault("logprobs", {})
        for key in ("token_logprobs", "content"):
            if isinstance(logprobs.get(key), list):
                into[key] = [*into.get(key, []), *logprobs[key]]
    choice |= {k: v for k, v in part.items() if k not in ("text", "delta", "message", "logprobs") and v is not None}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    """All objects in a value, the outermost first."""
    if isinstance(value, dict):
        return [value, *(found for inner in value.values() for found in _dicts(inner))]
    if isinstance(value, list):
        return [found for inner in value for found in _dicts(inner)]
    return []


def _words(error: object, around: list[Mapping[str, Any]]) -> str:
    if isinstance(error, str):
        return error
    texts = [part[key] for part in around for key in ("message", "msg", "raw") if isinstance(part.get(key), str)]
    if not texts:
        return json.dumps(error)[:500]
    first = around[1] if len(around) > 1 else {}
    named = [str(first[key]) for key in ("code", "param") if first.get(key)]
    located = sorted({_last_name(name) for part in around for name in part.get("loc") or () if isinstance(name, str)})
    return " ".join([*dict.fromkeys(texts), *named, *located])


def _last_name(path: str) -> str:
    return path.replace("]", "").replace("[", ".").rpartition(".")[2].strip("'\"` ")


def _shown(content: bytes) -> str:
    """The beginning of a body, on one line."""
    return " ".join(content[:400].decode("utf-8", "replace").split())[:200]
