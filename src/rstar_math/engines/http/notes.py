"""What happened at an endpoint: counts, and the sentences in which they are told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rstar_math.engines.base import Note, NoteKind
from rstar_math.types import Completion

_MIN_CHARS = 2_000
_MIN_TOKENS = 64
_MOST_CHARS_PER_TOKEN = 8.0
"""No tokenizer puts so many characters of English or Python into a token, on average."""


@dataclass(slots=True)
class EndpointCounts:
    """What happened at an endpoint; everything that was unusable or degraded is counted.

    Attributes:
      requests: requests answered.
      completions: completions given, and how many of them ended at a stop marker (`stopped`), at the limit of tokens
        (`length`), without a marker (`ended`), as a thought without a step (`reasoning`), kept back (`withheld`).
      too_long: prompts that left no room; `last_too_long` is what the server said about the last one.
      cut_prompts: prompts whose beginning the server seems to have dropped.
      retries: answers that were asked for again.
      repeated_for_stop: answers asked for again because the server did not say which stop string it met.
      estimated_tokens: completions whose number of tokens was estimated from their length (no `usage` in the answer).
      restated: chat requests that could not go on from a prefix and asked for the next step instead.
    """

    requests: int = 0
    completions: int = 0
    stopped: int = 0
    length: int = 0
    ended: int = 0
    reasoning: int = 0
    withheld: int = 0
    too_long: int = 0
    last_too_long: str = ""
    cut_prompts: int = 0
    retries: int = 0
    repeated_for_stop: int = 0
    estimated_tokens: int = 0
    restated: int = 0

    @property
    def num_useless(self) -> int:
        """Completions in which nothing can be a step."""
        return self.reasoning + self.withheld

    def count(self, completions: Sequence[Completion]) -> None:
        """Adds completions, by why they ended."""
        self.completions += len(completions)
        for completion in completions:
            reason = completion.finish_reason
            self.stopped += reason == "stop"
            self.length += reason == "length"
            self.ended += reason == "end"
            self.reasoning += reason == "reasoning"
            self.withheld += reason == "withheld"


class PromptWatch:
    """Tells from the server's counts whether it drops the beginning of long prompts, as Ollama does without a word."""

    def __init__(self) -> None:
        self._least_chars_per_token = _MOST_CHARS_PER_TOKEN
        self._last = (0, 0)

    def seems_cut(self, num_chars: int, num_tokens: int) -> bool:
        """Whether a prompt of so many characters cannot have had so few tokens.

        Compared with the densest prompt so far, and with the one before: prompts of different length that have the same
        number of tokens were cut to it.
        """
        if num_chars < _MIN_CHARS or num_tokens < _MIN_TOKENS:
            return False
        last_chars, last_tokens = self._last
        self._last = (num_chars, num_tokens)
        density = num_chars / num_tokens
        if num_tokens == last_tokens and abs(num_chars - last_chars) > 0.05 * num_chars:
            return True
        if density > _MOST_CHARS_PER_TOKEN or density > 1.6 * self._least_chars_per_token:
            return True
        self._least_chars_per_token = min(self._least_chars_per_token, density)
        return False


def notes_of(
    counts: EndpointCounts, url: str, adapted: Sequence[str], only: NoteKind | None = None
) -> tuple[Note, ...]:
    """What there is to say, the most important first.

    Args:
      counts: what happened.
      url: the server's, as messages show it.
      adapted: sentences about what is asked for in another way.
      only: notes of one kind; None: of all.
    """
    c = counts
    of_all = f"of {c.completions} completions"
    found: list[Note] = []

    def note(kind: NoteKind, count: int, text: str) -> None:
        if count > 0 and only in (None, kind):
            found.append(Note(kind, count, f"{url}: {text}"))

    note(
        "reasoning",
        c.reasoning,
        f"{c.reasoning} {of_all} were thoughts without a step: the model thinks, and the limit of tokens for a "
        "step ends it. Serve it with thinking off, or ask for that in a model file: endpoint.extra_body: "
        "{reasoning_effort: none} (Ollama), {chat_template_kwargs: {enable_thinking: false}} (vLLM, SGLang, "
        "llama.cpp); or raise search.max_step_tokens and search.max_solution_tokens",
    )
    note(
        "withheld",
        c.withheld,
        f"{c.withheld} {of_all} were kept back by the server (a content filter, a refusal, or a tool call in place of "
        "text); they count as steps that cannot stand",
    )
    note(
        "too_long",
        c.too_long,
        f"{_num(c.too_long, 'prompt')} left no room in the model's context, and the search ended there "
        f"({c.last_too_long[:200]}). Serve the model with a longer context (vLLM --max-model-len, "
        "llama.cpp --ctx-size, which its slots share, Ollama OLLAMA_CONTEXT_LENGTH), or give fewer examples "
        "(bootstrap: FILE)",
    )
    note(
        "cut_prompt",
        c.cut_prompts,
        f"{_num(c.cut_prompts, 'prompt')} had far fewer tokens at the server than were sent: it seems to drop the "
        "beginning of long prompts, with the instructions and the question. Raise its context (Ollama: "
        "OLLAMA_CONTEXT_LENGTH=8192 ollama serve)",
    )
    if 2 * c.length > c.completions:
        note(
            "length",
            c.length,
            f"{c.length} {of_all} ran into the limit of tokens before a step ended; raise search.max_step_tokens and "
            "search.max_solution_tokens, or look at what the model writes with `rstar doctor --model`",
        )
    if 2 * c.ended > c.completions:
        note(
            "no_stop",
            c.ended,
            f"{c.ended} {of_all} ended without a marker such as <end_of_step>: the model does not keep to the step "
            "format. Take a larger or an instructed model, or other examples (bootstrap: FILE); `rstar doctor --model` "
            "shows more",
        )
    note("restated", c.restated, f"{_num(c.restated, 'step')} asked for in a message, not continued from a prefix")
    repeated = c.retries + c.repeated_for_stop
    note("repeated", repeated, f"{_num(repeated, 'request')} sent again")
    note(
        "estimated", c.estimated_tokens, f"the tokens of {c.estimated_tokens} {of_all} were estimated from their length"
    )
    for text in adapted:
        if text and only in (None, "adapted"):
            found.append(Note("adapted", 1, text))
    return tuple(found)


def _num(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
