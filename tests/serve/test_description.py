"""Requests drawn from the server's own description, good and bad: each gets a reply that the description knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rstar_math.serve.settings import ServeSettings
from tests.api.fake_model import fake_model
from tests.serve.serving import CHAT, ask, serving

JUNK: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with fake_model() as model, serving({"fake": model}, ServeSettings(port=0, request_s=0.05)) as (made, _):
        yield made


@pytest.fixture(scope="module")
def described(client: httpx.Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def fitting(schema: dict[str, Any], schemas: dict[str, Any], depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that a schema allows, as far as this server's schemas go."""
    if "$ref" in schema:
        return fitting(schemas[schema["$ref"].rpartition("/")[2]], schemas, depth)
    if "anyOf" in schema:
        return st.one_of([fitting(one, schemas, depth) for one in schema["anyOf"]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "const" in schema:
        return st.just(schema["const"])
    match schema.get("type"):
        case "object":
            of = {name: either(value, schemas, depth + 1) for name, value in schema.get("properties", {}).items()}
            needed = {name: of.pop(name) for name in schema.get("required", ())}
            return st.fixed_dictionaries(needed, optional=of)
        case "array":
            most = min(schema.get("maxItems", 3), 3)
            return st.lists(
                fitting(schema["items"], schemas, depth + 1), min_size=schema.get("minItems", 0), max_size=most
            )
        case "string":
            return st.text(min_size=schema.get("minLength", 0), max_size=min(schema.get("maxLength", 20), 20))
        case "integer":
            return st.integers(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return st.floats(schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum"))
        case "boolean":
            return st.booleans()
        case "null":
            return st.none()
        case _:
            return JUNK


def either(schema: dict[str, Any], schemas: dict[str, Any], depth: int) -> st.SearchStrategy[Any]:
    """Mostly what fits, at times what does not."""
    return st.integers(0, 9).flatmap(lambda k: JUNK if k == 0 else fitting(schema, schemas, depth))


def test_errors_and_streams_are_described(described: dict[str, Any]) -> None:
    assert set(described["paths"]) == {
        *(CHAT, f"{CHAT}/control", "/v1/completions", "/v1/models", "/v1/models/{name}", "/health", "/metrics")
    }
    chat = described["paths"][CHAT]["post"]
    assert {"200", "400", "401", "403", "404", "408", "413", "415", "429", "431", "503"} == set(chat["responses"])
    assert set(chat["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert chat["requestBody"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}


@pytest.mark.parametrize("path", [CHAT, "/v1/completions", f"{CHAT}/control"])
def test_no_request_gets_what_the_description_does_not_know(
    client: httpx.Client, described: dict[str, Any], path: str
) -> None:
    operation = described["paths"][path]["post"]
    schemas = described["components"]["schemas"]
    body = fitting(operation["requestBody"]["content"]["application/json"]["schema"], schemas)
    seen = set()

    @settings(max_examples=120, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(body, st.booleans(), st.dictionaries(st.text(max_size=12), JUNK, max_size=2))
    def ask_it(drawn: dict[str, Any], is_known: bool, more: dict[str, Any]) -> None:
        value = {**more, **drawn} | ({"model": "fake", "n": 1} if is_known and "model" in drawn else {})
        text = json.dumps(value).encode("utf-8", "replace")
        reply = client.post(path, content=text, headers={"Content-Type": "application/json"})
        assert str(reply.status_code) in operation["responses"], (reply.text, text)
        assert reply.status_code < 500
        if reply.status_code != 200:
            error = reply.json()["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert error["message"]
        seen.add(reply.status_code)

    ask_it()
    assert 400 in seen or path.endswith("control")
    assert client.get("/health").status_code == 200
    assert client.post(CHAT, json=ask()).status_code == 200
