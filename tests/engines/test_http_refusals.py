"""What errors mean, as servers word them: each row is a status, a body, and what it has to be taken for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rstar_math.engines.http.refusals import kind_of, refused_fields
from rstar_math.engines.http.replies import complaint_of, read_reply, seconds_of

BODY = {
    "model": "m",
    "prompt": "x",
    "max_tokens": 512,
    "stop": ["a"],
    "temperature": 0.8,
    "top_p": 0.9,
    "n": 2,
    "seed": 1,
    "skip_special_tokens": False,
}


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


ERRORS: list[tuple[str, int, dict[str, Any]]] = [
    ("too_long", 400, said("prompt too long; exceeded max context length by 4 tokens")),
    (
        "too_long",
        400,
        said("Your input exceeds the context window of this model. Please adjust your input and try again."),
    ),
    (
        "too_long",
        400,
        {
            "code": "invalid-argument",
            "error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens.",
        },
    ),
    ("too_long", 400, said("Please reduce the length of the messages or completion.", type="invalid_request_error")),
    (
        "too_long",
        400,
        said("prompt token count of 70000 exceeds the limit of 64000", code="model_max_prompt_tokens_exceeded"),
    ),
    ("too_long", 400, said("invalid params, context window exceeds limit")),
    ("too_long", 400, said("Your request exceeded model token limit: 262144 (requested: 300000)")),
    ("too_long", 400, said("prompt has 9,000 tokens, but the configured context size is 4,096 tokens")),
    ("too_long", 400, said("Range of input length should be [1, 30720]", code="InvalidParameter")),
    ("too_long", 400, said("Input is too long for requested model.")),
    ("too_long", 400, {"message": "Too many input tokens. Max input tokens: 8192, request input token count: 9279"}),
    (
        "too_long",
        400,
        {"message": "Malformed input request: expected maxLength: 50000, actual: 52611, please reformat it."},
    ),
    (
        "too_long",
        400,
        said("Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens."),
    ),
    ("too_long", 400, said("The request exceeds the maximum allowed input length of 4096 tokens")),
    ("too_long", 400, said("engine prompt length 9000 exceeds the max_model_len 4096")),
    ("too_long", 400, said("输入超过最大长度 4096")),
    (
        "too_long",
        413,
        {"type": "error", "error": {"type": "request_too_large", "message": "Request exceeds the maximum size"}},
    ),
    (
        "too_long",
        400,
        said("The sum of prompt length (9000.0), query length (0) should not exceed max_num_tokens (8192)"),
    ),
    ("too_long", 400, said("Request exceeds maximum context length (5000 > 4096 tokens)")),
    ("too_long", 400, said("Token limit exceeded")),
    ("passing", 503, said("context deadline exceeded")),
    ("passing", 500, said("context canceled")),
    (
        "refused",
        400,
        said(
            "litellm.UnsupportedParamsError: anthropic does not support parameters: {'seed': 12345}, for model=claude."
        ),
    ),
    (
        "refused",
        500,
        said("ollama does not support parameters: {'seed': 1}, for model=llama3:latest. To drop these, set", code=500),
    ),
    (
        "refused",
        400,
        said(
            'Error from provider: {"error": {"message": "Unsupported parameter: \'max_tokens\' is not supported.", '
            '"param": "max_tokens"}}'
        ),
    ),
    ("refused", 400, said("property 'skip_special_tokens' is unsupported")),
    ("refused", 400, said("Additional properties are not allowed ('skip_special_tokens' was unexpected)")),
    ("refused", 400, said("stop: maximum of 2 stop sequences allowed")),
    ("refused", 400, said("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")),
    ("refused", 400, said('json: unknown field "seed"')),
    ("refused", 400, said("best_of must be 1 when using greedy sampling; n must be 1")),
    (
        "refused",
        422,
        {
            "detail": [
                {
                    "type": "less_than_equal",
                    "loc": ["body", "n"],
                    "msg": "Input should be less than or equal to 1",
                    "input": 2,
                }
            ]
        },
    ),
    ("quota", 429, said("Your credits have been exhausted")),
    ("quota", 403, said("Please top up your credits to continue")),
    ("quota", 429, said("You exceeded your current quota, please check your plan and billing details.")),
    (
        "quota",
        400,
        said(
            "Your account is not active, please check your billing details on our website.", code="billing_not_active"
        ),
    ),
    ("quota", 429, said("You have run out of credits, please purchase more.", type="insufficient_quota")),
    (
        "passing",
        429,
        said("Rate limit reached for m on requests per day. Try again in 20s.", code="rate_limit_exceeded"),
    ),
    ("passing", 429, said("Resource has been exhausted (e.g. check quota).", status="RESOURCE_EXHAUSTED")),
    ("passing", 529, said("Overloaded", type="overloaded_error")),
    ("passing", 429, said("Too many tokens, please wait before trying again.")),
    (
        "no_model",
        404,
        said("The model 'gpt-9' does not exist or you do not have access to it.", code="model_not_found"),
    ),
    ("no_model", 400, said("gpt-9 is not a valid model ID", code=400)),
    ("no_model", 400, said("Model Not Exist", type="invalid_request_error")),
    ("no_model", 404, {"error": "model 'qwen' not found"}),
    ("no_model", 404, said("The API deployment for this resource does not exist.", code="DeploymentNotFound")),
    ("no_model", 404, said("No endpoints found for foo/bar.", code=404)),
    ("no_endpoint", 404, {"object": "error", "message": "Not Found"}),
    ("no_endpoint", 404, {"detail": "Not Found"}),
    ("no_endpoint", 400, said("This model does not support the completions endpoint; use chat completions.")),
    ("no_endpoint", 404, said("Invalid URL (POST /v1/completions)")),
    ("no_endpoint", 404, said("File Not Found", code=404, type="not_found_error")),
    ("key", 401, said("Incorrect API key provided: sk-xxx.", code="invalid_api_key")),
    ("key", 403, said("Country, region, or territory not supported", code="unsupported_country_region_territory")),
    ("key", 400, said("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT")),
    ("withheld", 400, said("The response was filtered due to the prompt triggering a policy", code="content_filter")),
    ("withheld", 400, said("Output data may contain inappropriate content.", code="data_inspection_failed")),
]
FIELDS = {
    "anthropic does not support parameters: {'seed': 12345}": {"seed"},
    "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.": {
        "max_tokens"
    },
    "property 'skip_special_tokens' is unsupported": {"skip_special_tokens"},
    "stop: maximum of 2 stop sequences allowed": {"stop"},
    'json: unknown field "seed"': {"seed"},
    "best_of must be 1 when using greedy sampling; n must be 1": {"n"},
    "please stop asking; no seed was planted": set(),
    "something is wrong": set(),
}


@pytest.mark.parametrize(("kind", "status", "body"), ERRORS)
def test_errors_are_taken_for_what_they_mean(kind: str, status: int, body: dict[str, Any]) -> None:
    assert kind_of(read_reply(status, json.dumps(body, ensure_ascii=False).encode()), BODY, "m") == kind


@pytest.mark.parametrize("message", FIELDS)
def test_the_fields_that_an_error_is_about_are_found(message: str) -> None:
    reply = read_reply(400, json.dumps(said(message)).encode())
    assert refused_fields(reply, BODY, "m") == FIELDS[message]


def test_the_name_of_a_model_is_not_taken_for_words_of_the_server() -> None:
    reply = read_reply(404, json.dumps(said("model 'context-length-temperature' not found")).encode())
    assert kind_of(reply, BODY, "context-length-temperature") == "no_model"


@pytest.mark.parametrize(
    "value", [None, [], {}, "error", 3, {"error": None}, {"error": [1]}, {"error": {}}, {"detail": [[]]}]
)
def test_bodies_without_words_are_no_trouble(value: Any) -> None:
    complaint = complaint_of(value)
    assert isinstance(complaint.message, str)
    assert kind_of(read_reply(400, json.dumps(value).encode()), BODY, "m") == "refused"
    assert kind_of(read_reply(500, json.dumps(value).encode()), BODY, "m") == "passing"


def test_waits_that_say_nothing_are_none() -> None:
    assert seconds_of("7") == 7.0
    assert [seconds_of(text) for text in (None, "", "-3", "nan", "soon")] == [0.0] * 5
