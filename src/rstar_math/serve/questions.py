"""From messages to the one question that is answered."""

from __future__ import annotations

from collections.abc import Sequence

from rstar_math.serve.errors import RequestError, refused
from rstar_math.serve.requests import Message


def question_of(messages: Sequence[Message], most_chars: int) -> tuple[str, list[str]]:
    """The question, and notes on what of the conversation was not read.

    The models are asked one question at a time. It is the last message that is no system message; those before it are
    not read, and the reply says so.

    Raises:
      RequestError: the last message is not a user's text, or is empty or too long.
    """
    said = [message for message in messages if message.role not in ("system", "developer")]
    last = said[-1] if said else messages[-1]
    if last.role != "user":
        raise refused("messages", f"the last message must be the user's question; its role is {last.role[:32]!r}")
    question = _text(last)
    notes = []
    if len(said) < len(messages):
        notes.append("system messages were not read: the model takes a question alone")
    if len(said) > 1:
        notes.append(f"{len(said) - 1} earlier messages were not read: put everything into one question")
    return checked_question(question, most_chars, "messages"), notes


def checked_question(question: str, most_chars: int, field: str) -> str:
    """A question of the right size.

    Raises:
      RequestError: it is empty or too long.
    """
    if not question.strip():
        raise refused(field, "the question is empty", "invalid_value")
    if len(question) > most_chars:
        message = f"the question has {len(question):,} characters; at most {most_chars:,} are read"
        raise RequestError(400, message, code="context_length_exceeded", param=field)
    return question


def _text(message: Message) -> str:
    if message.content is None:
        return ""
    if isinstance(message.content, str):
        return message.content
    for part in message.content:
        if part.type != "text" or part.text is None:
            raise refused("messages", f"only text is read; a part of the message is {part.type!r}")
    return "\n".join(part.text or "" for part in message.content)
