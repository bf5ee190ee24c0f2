"""Replies in OpenAI's shape: whole ones, chunks of a stream, usage, and what this server adds under `rstar`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from rstar_math import __version__
from rstar_math.serve.limits import Limited, limited
from rstar_math.serve.searches import Outcome, Running
from rstar_math.serve.wording import message, short_message
from rstar_math.terminal.visible import visible
from rstar_math.types import Unfinished

Json = dict[str, object]
Kind = Literal["chat.completion", "text_completion"]


@dataclass(frozen=True, slots=True)
class Said:
    """What the client is told of one choice: the message within its limits, and what came of the search."""

    message: Limited
    outcome: Outcome

    @property
    def finish_reason(self) -> str:
        """`length` also where a limit ended the search before it had any answer."""
        return "length" if self.outcome.solution.unfinished is Unfinished.BUDGET else self.message.finish_reason


def said(outcome: Outcome, max_tokens: int | None, stops: Sequence[str]) -> Said:
    """The message of a choice, within the limits that the client set."""
    solution, model = outcome.solution, outcome.ask.dial.model
    return Said(limited(message(solution), short_message(solution), max_tokens, stops, model.encode), outcome)


def usage(outcomes: Sequence[Outcome]) -> Json:
    """Tokens, exactly: every generated one counts, those of discarded candidates too.

    Reasoning is what stands in no answer. A question that was asked several times (`n`) counts once.
    """
    questions = {outcome.ask.question: outcome.num_question_tokens for outcome in outcomes}
    prompt = sum(questions.values())
    generated = sum(outcome.solution.cost.tokens_generated for outcome in outcomes)
    chosen = sum(o.solution.trajectory.num_tokens for o in outcomes if o.solution.trajectory is not None)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": generated,
        "total_tokens": prompt + generated,
        "completion_tokens_details": {"reasoning_tokens": max(0, generated - chosen)},
        "prompt_tokens_details": {"cached_tokens": 0},
    }


def report(one: Said, notes: Sequence[str]) -> Json:
    """What this server says beyond OpenAI's fields, of one choice."""
    outcome, solution = one.outcome, one.outcome.solution
    dial = outcome.ask.dial
    told = [*dial.notes, *notes]
    if outcome.was_hurried:
        told.append("the thinking was ended early; this is the best answer so far")
    if one.message.note:
        told.append(one.message.note)
    return {
        "answer": None if solution.answer is None else visible(solution.answer),
        "confidence": solution.confidence,
        "sure": solution.sure,
        "outside": solution.outside,
        "unknown_words": [visible(word) for word in solution.unknown_words],
        "unfinished": solution.unfinished,
        "why": visible(solution.why) or None,
        "strategy": dial.strategy or dial.model.answering.strategy,
        "seed": outcome.ask.seed,
        "limits": {"tokens": dial.tokens, "rollouts": dial.rollouts, "seconds": dial.seconds},
        "cost": asdict(solution.cost),
        "notes": told,
    }


def envelope(running: Running, kind: Kind, model: str, choices: Sequence[Json], *, chunk: bool = False) -> Json:
    """A reply, or a chunk of one, around its choices."""
    return {
        "id": running.id,
        "object": f"{kind}.chunk" if chunk and kind == "chat.completion" else kind,
        "created": running.created,
        "model": model,
        "system_fingerprint": f"rstar-math-{__version__}",
        "choices": list(choices),
    }


def chat_choice(index: int, one: Said, reasoning: str, notes: Sequence[str]) -> Json:
    """A choice of a whole reply: the answer, and the course of the search apart from it."""
    content = "".join(one.message.pieces)
    assistant: Json = {"role": "assistant", "content": content, "refusal": None}
    assistant |= {"reasoning_content": reasoning, "reasoning": reasoning}
    choice: Json = {"index": index, "message": assistant, "logprobs": None, "finish_reason": one.finish_reason}
    return choice | {"rstar": report(one, notes)}


def chat_delta(index: int, delta: Json, finish_reason: str | None = None) -> Json:
    """A choice of a chunk."""
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}


def reasoning_delta(text: str) -> Json:
    """A piece of the thinking, under both names that clients know."""
    return {"reasoning_content": text, "reasoning": text}
