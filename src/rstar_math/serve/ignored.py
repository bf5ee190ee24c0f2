"""Fields of a request that this server does not know: refused where the answer would be another one, else noted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic import JsonValue

from rstar_math.serve.errors import refused

_SILENT = frozenset(
    (
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "chat_id"),
        *("prompt_cache_retention", "add_generation_prompt", "continue_final_message", "skip_special_tokens"),
        *("spaces_between_special_tokens", "type", "session_id", "parallel_tool_calls"),
    )
)
"""Fields that say nothing of the answer."""


def _is_set(value: JsonValue) -> bool:
    return value not in (None, False, 0, 0.0, "", [], {})


def _is_asked_for(value: JsonValue) -> bool:
    return value is not None and value is not False  # the older interface asks by 0 for the chosen token's


def _names_a_tool(value: JsonValue) -> bool:
    return value not in (None, "none", "auto")


def _wants_json(value: JsonValue) -> bool:
    return value is not None and not (isinstance(value, dict) and value.get("type") == "text")


def _wants_audio(value: JsonValue) -> bool:
    return value not in (None, ["text"])


def _is_several(value: JsonValue) -> bool:
    return value not in (None, 1)


_REFUSED: dict[str, tuple[Callable[[JsonValue], bool], str]] = {
    "tools": (_is_set, "tools cannot be called: the model runs its own programs, and nothing else"),
    "functions": (_is_set, "functions cannot be called: the model runs its own programs, and nothing else"),
    "tool_choice": (_names_a_tool, "tools cannot be called: the model runs its own programs, and nothing else"),
    "function_call": (_names_a_tool, "functions cannot be called"),
    "response_format": (_wants_json, "the answer is text; response_format can only be {'type': 'text'}"),
    "logit_bias": (_is_set, "logit_bias would change what the search finds; leave it out"),
    "echo": (
        _is_set,
        "echo is not given. Log-likelihoods of given texts (as lm-eval's multiple-choice tasks ask for) cannot be had "
        "from a search; take tasks that let the model write (generate_until)",
    ),
    "logprobs": (
        _is_asked_for,
        "log-probabilities are not given: an answer is what a search chose, not one sequence of tokens",
    ),
    "top_logprobs": (_is_set, "log-probabilities are not given; leave top_logprobs out"),
    "prompt_logprobs": (_is_set, "log-probabilities are not given; leave prompt_logprobs out"),
    "suffix": (_is_set, "nothing can be put in before a suffix; leave it out"),
    "best_of": (_is_several, "best_of must be 1: the search itself chooses the best; give it more tokens instead"),
    "modalities": (_wants_audio, "the answer is text; modalities can only be ['text']"),
    "audio": (_is_set, "the answer is text, without audio"),
    "web_search_options": (_is_set, "the model does not search the web"),
}
"""Field -> whether its value asks for what cannot be given, and what to say then; the first one is told."""


def check_others(others: Mapping[str, JsonValue]) -> list[str]:
    """Notes on the fields that were ignored.

    Raises:
      RequestError: one of them asks for an answer of another kind.
    """
    may_call = others.get("tool_choice") != "none"  # else the tools are told of, and none is to be called
    for name, (asks, message) in _REFUSED.items():
        if name in others and asks(others[name]) and (name != "tools" or may_call):
            raise refused(name, message, "unsupported_parameter")
    ignored = [name[:64] for name in others if name not in _SILENT and name not in _REFUSED]
    return [f"ignored: {', '.join(sorted(ignored)[:16])}"] if ignored else []
