"""What a server means by an error, so that it can be met: by asking otherwise, asking again, or saying what to do.

Servers agree on little: the same thing comes with status 400, 404, 422, 500 or 200. What counts is looked at in this
order: the status, then `code` and `type`, then the field that is named, then the words. The words are those of vLLM,
SGLang, llama.cpp, llama-cpp-python, Ollama, LM Studio, TGI, LiteLLM, OpenRouter, OpenAI, Azure, Anthropic, Gemini,
Mistral, Groq and DeepSeek; where none fits, the engine finds out by leaving fields out (`adapting.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from rstar_math.engines.http.replies import Reply

Kind = Literal[
    "passing",  # busy, loading, restarting, broken off: the same request may be answered later
    "garbled",  # a status that says that all is well, and an answer that cannot be read
    "page",  # a page for people
    "redirected",
    "too_long",  # the prompt, or the prompt with what is asked for, does not fit into the context
    "withheld",  # a content filter refuses this prompt
    "quota",  # no credit is left: asking again costs time only
    "key",  # the key is missing, wrong, or not allowed to do this
    "no_model",  # the server does not know the model
    "no_endpoint",  # the server, or this model, has not got this API
    "broken",  # the server cannot run the model, and asking again does not help
    "refused",  # something in the request is not accepted
]

OPTIONAL = (
    "seed",
    "n",
    "logprobs",
    "skip_special_tokens",
    "continue_final_message",
    "add_generation_prompt",
    "top_p",
    "stop",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
)
"""Fields without which a request can still be answered."""

_PASSING = (408, 409, 425, 429)
"""Refusals that pass: time-out, conflict, too early, too many requests."""


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(patterns), re.DOTALL)


_NO_CREDIT_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance"}
_NO_CREDIT = _any(
    r"insufficient[ _](?:balance|quota|funds|credits?)",
    r"credit balance|out of (?:credits?|quota|funds)|requires? more credits|(?:credits?|quota)\b.{0,20}\bexhausted",
    r"payment required|top[ -]?up your|余额",
    r"(?:check your plan and|no active) billing|billing (?:hard )?limit",
)
_TOO_LONG_CODES = {
    "context_length_exceeded",
    "exceed_context_size_error",
    "context_window_exceeded",
    "string_above_max_length",
}
_TOO_LONG = _any(
    r"context[ _]?(?:length|size|window|limit)|n_ctx\b|context the overflows|上下文|最大长度",
    r"(?:prompt|input)[ _]length|(?:model|prompt|input)[ _]token[ _]limit|^.{0,20}token limit exceeded|maxlength",
    r"maximum (?:allowed )?(?:model|input|sequence|context) length",
    r"max(?:imum)?[ _]?(?:model|seq|input|position)[ _]?len",
    r"too many (?:input |prompt )?tokens|requested token count exceeds|too large for model with",
    r"(?:prompt|inputs?|messages?|request|conversation)\b[^.]{0,30}\btoo (?:long|large)",
    r"(?:prompt|inputs?)\b(?! should).{0,60}?(?:exceeds?|surpass|(?:longer|larger|fewer|less|more) than|at most|<=)"
    r".{0,60}?(?:\d|tokens?|length|limit|maximum)",
    r"reduce (?:the length of the|your|the) (?:input|prompt|messages?)",
)
_FILTER_CODES = {
    "content_filter",
    "content_policy_violation",
    "invalid_prompt",
    "data_inspection_failed",
    "responsibleaipolicyviolation",
}
_FILTER = _any(r"content management policy|content filter|flagged as potentially violating|inappropriate content")
_NO_MODEL_CODES = {
    "model_not_found",
    "model_not_exist",
    "unknown_model",
    "invalid_model",
    "notfounderror",
    "deployment_not_found",
    "deploymentnotfound",
    "modelnotfound",
}
_NO_MODEL = _any(
    r"\b(?:models?|deployment)\b.{0,120}?(?:not found|not exist|not available|not loaded|not served|not recognized)",
    r"\bmodels?\b.{0,120}?(?:unknown|no such|not a valid|invalid|not have access|not supported)",
    r"(?:unknown|invalid|no such|unrecognized|unsupported|no|not a valid) models?\b|pinned to|no endpoints found",
)
_NO_ENDPOINT = _any(
    r"chat model and not supported|not a chat model|only supported in v1/|chat template",
    r"completion operation does not work",
    r"unexpected endpoint|unknown (?:endpoint|url|route)|no route|invalid url|method not allowed",
    r"not support (?:the )?(?:chat )?completions?\b",
    r"completions? (?:api|endpoint).{0,40}not (?:supported|available|implemented|enabled)",
    r"(?:use|used with|try) (?:the )?[`'\"/]*(?:v1/)?(?:chat/)?completions",
)
_BROKEN = _any(
    r"more system memory|requires more memory|(?:unable|failed) to load model|model runner has unexpectedly",
)
_KEY_CODES = {
    "invalid_api_key",
    "authentication_error",
    "invalid_authentication",
    "unauthorized",
    "permission_denied",
}
_KEY = _any(r"api key (?:is )?(?:not valid|invalid|missing)|(?:invalid|incorrect|missing) api key")
_PER_MINUTE = re.compile(r"limit:?\s*(\d+).{0,60}?requested:?\s*(\d+)", re.IGNORECASE | re.DOTALL)

_PHRASES = {
    "n": _any(
        r"completion choices?|only one (?:completion|choice|response|output)",
        r"(?:multiple|more than one|several) (?:completions?|choices?|outputs?|responses?|candidates?)",
        r"\bn (?:must|should|is|>|=)|\bn=\d",
    ),
    "stop": _any(r"stop[ _-](?:sequences?|words?|strings?)|\bstop (?:is|must|parameter|array|list)|parameter stop\b"),
    "seed": _any(r"\bseed (?:is|must|parameter)|parameter seed\b"),
    "continue_final_message": _any(
        r"prefill|last (?:message|role)|final (?:assistant )?message|end with a user|roles must alternate",
        r"(?:two|2) or more assistant|assistant messages? at the end",
    ),
    "skip_special_tokens": _any(r"special tokens?"),
}
"""Words by which a field is meant that is not named."""

_UNMISTAKABLE = {"logprobs", "temperature"}
_REFUSING = _any(
    r"not (?:supported|allowed|permitted|implemented|available|valid|accept|recognized)|does(?: not|n't) support",
    r"unsupported|unrecognized|unknown|unexpected|invalid|illegal|incompatible",
    r"must|should|only|extra|cannot|can't|too (?:many|large|high)|at most|exceed",
)
_VALUE_TOO_LARGE = _any(
    r"too (?:large|high|big)|at most|maximum|less than|<=|exceed|range|greater than|larger than|\d+ > \d+"
)
_COMPLETION_PART = _any(r"completion|output|max_tokens|max_new_tokens|generat|requested")
_PROMPT_TOKENS = _any(
    r"(?:passed|has|have|given:?|contains|resulted in|with)\s+(?:at least\s+)?(\d+)\s*"
    r"`?(?:inputs?|prompt|tokens from the input)",
    r"(\d+)\s*(?:tokens?\s*)?(?:in|of|from)\s*(?:the|your)?\s*(?:messages?|prompt|input|text input)",
    r"length (\d+)\)|(\d+) (?:input|prompt) tokens",
)
_CONTEXT_TOKENS = re.compile(
    r"(?:context[ _](?:length|size|window)|maximum (?:model )?length|<=)\s*(?:is|of|:)?\s*(?:only\s*)?\(?\s*(\d+)"
)


def kind_of(reply: Reply, body: Mapping[str, Any], model: str | None) -> Kind:
    """What an error means.

    Args:
      reply: has trouble.
      body: the request.
      model: the model's name, whose words are not the server's.
    """
    if reply.status == 0:
        return "passing"
    if 300 <= reply.status < 400:
        return "redirected"
    status, codes = reply.meant_status, reply.complaint.codes
    said = _without(reply.trouble, model).lower()
    if status == 402 or codes & _NO_CREDIT_CODES:
        return "quota"
    if not reply.retry_after and _NO_CREDIT.search(said) and status >= 400:
        return "quota"
    if status == 413 or _asks_for_more_than_a_minute_gives(reply):
        return "too_long"
    about_length = bool(codes & _TOO_LONG_CODES) or bool(reply.complaint.message and _TOO_LONG.search(said))
    if about_length and status not in (401, 403, 404, 429, 503):
        return "too_long"
    if codes & _FILTER_CODES or (status in (400, 403, 422) and _FILTER.search(said)):
        return "withheld"
    if codes & _NO_MODEL_CODES and status not in (429, 503):
        return "no_endpoint" if _NO_ENDPOINT.search(said) else "no_model"
    if status in (401, 403) or codes & _KEY_CODES or (status == 400 and _KEY.search(said)):
        return "key"
    if reply.is_page:
        return "page"
    if status in _PASSING or status == 503:
        return "passing"
    if reply.complaint.message and _NO_ENDPOINT.search(said):
        return "no_endpoint"
    if status >= 500:
        if _BROKEN.search(said):
            return "broken"
        named = refused_fields(reply, body, model) if reply.complaint.message else frozenset()
        return "refused" if named and _REFUSING.search(said) else "no_endpoint" if status == 501 else "passing"
    if 200 <= status < 300:
        return "garbled"
    if reply.complaint.fields & set(body) - {"model"}:
        return "refused"
    if "model" in reply.complaint.fields or _NO_MODEL.search(said):
        return "no_model" if not refused_fields(reply, body, model) else "refused"
    return "no_endpoint" if status in (404, 405, 410) else "refused"


def refused_fields(reply: Reply, body: Mapping[str, Any], model: str | None) -> frozenset[str]:
    """The optional fields of a request that an error is about; empty where that is not said.

    Args:
      reply: the error.
      body: the request.
      model: the model's name, which may contain a field's.
    """
    sent = [field for field in OPTIONAL if field in body]
    named = reply.complaint.fields & set(sent)
    if named:
        return frozenset(named)
    said = _without(reply.trouble, model)
    found = set()
    for field in sent:
        quoted = re.search(rf"(['\"`]|\\\"){field}(['\"`]|\\\")", said)
        spelled = ("_" in field or field in _UNMISTAKABLE) and re.search(rf"\b{field}\b", said)
        meant = field in _PHRASES and _PHRASES[field].search(said.lower())
        if quoted or spelled or meant:
            found.add(field)
    return frozenset(found)


def is_about_size(reply: Reply) -> bool:
    """Whether a refused `max_tokens` is one that is too large, and not one that is not known."""
    return bool(_VALUE_TOO_LARGE.search(reply.trouble.lower())) and "unsupported_parameter" not in reply.complaint.codes


def largest_below(reply: Reply, asked: int) -> int | None:
    """The largest number in an error that is smaller than what was asked for: the limit that is allowed."""
    numbers = [int(text) for text in re.findall(r"(?<![\w.])\d+(?![\w.]\w)", reply.complaint.message.replace(",", ""))]
    return max((number for number in numbers if 16 <= number < asked), default=None)


def room_left(reply: Reply, asked: int) -> int | None:
    """Tokens to ask for in place of `asked`, where a prompt fits but not together with them; None where it does not.

    Args:
      reply: an error of the kind "too_long".
      asked: tokens asked for.
    """
    said = reply.trouble.lower().replace(",", "")
    numbers = reply.complaint.numbers
    context, prompt = numbers.get("n_ctx"), numbers.get("n_prompt_tokens")
    if context is None and (found := _CONTEXT_TOKENS.search(said)):
        context = int(found[1])
    if prompt is None and (found := _PROMPT_TOKENS.search(said)):
        prompt = int(next(group for group in found.groups() if group))
    if context is not None and prompt is not None:
        room = min(context - prompt, asked - 1)
        return room if room >= 1 and _COMPLETION_PART.search(said) else None
    return None


def _asks_for_more_than_a_minute_gives(reply: Reply) -> bool:
    """Whether one request has more tokens than an account may use in a minute: no wait makes it fit."""
    if reply.status not in (413, 429):
        return False
    found = _PER_MINUTE.search(reply.complaint.message.replace(",", ""))
    return found is not None and int(found[2]) > int(found[1]) and "per day" not in reply.complaint.message


def _without(said: str, model: str | None) -> str:
    """The words of a server without the model's name, which may have any words in it."""
    return re.sub(rf"(?<!\w){re.escape(model)}(?!\w)", "", said) if model else said
