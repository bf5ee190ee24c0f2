"""`/openapi.json`: what bodies there are, what comes back, and how errors look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel

_JSON = "application/json"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {name: {"type": ["string", "null"]} for name in ("message", "type", "param", "code")},
        }
    },
}
_ANY_REQUEST = {
    401: "the key is missing or wrong",
    403: "the Host or the Origin is somebody else's",
    404: "there is no such path, model or request",
    431: "the head is too large",
}
_ANY_BODY = {
    400: "a field is missing, wrong, or asks for what cannot be given",
    408: "the body came too slowly",
    413: "the body is too large",
    415: "the body is no JSON, or is packed",
}
_ANY_SEARCH = {
    429: "the queue is full; Retry-After says when to try again",
    503: "a model or the sandbox does not work, or the server is ending; Retry-After likewise",
}


def get(api: FastAPI, path: str, handle: Callable[..., Awaitable[Response]], media_type: str = _JSON) -> None:
    """An endpoint that is read, by GET and by HEAD."""
    responses: dict[int | str, Any] = {200: {"description": "Success", "content": {media_type: {}}}}
    responses |= {status: _error(what) for status, what in _ANY_REQUEST.items()}
    if path == "/health":
        responses[503] = {"description": "not ready", "content": {_JSON: {}}}
    api.add_api_route(path, handle, methods=["GET"], responses=responses, response_class=Response)
    api.add_api_route(path, handle, methods=["HEAD"], include_in_schema=False)


def post(
    api: FastAPI,
    path: str,
    handle: Callable[[Request], Awaitable[Response]],
    kind: type[BaseModel],
    *,
    streams: bool = False,
) -> None:
    """An endpoint that reads its body itself, described as if FastAPI did."""
    content: dict[str, Any] = {_JSON: {}} | ({"text/event-stream": {}} if streams else {})
    told = _ANY_REQUEST | _ANY_BODY | (_ANY_SEARCH if streams else {})
    responses: dict[int | str, Any] = {200: {"description": "Success", "content": content}}
    responses |= {status: _error(what) for status, what in sorted(told.items())}
    body = {"required": True, "content": {_JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}}
    api.add_api_route(
        path,
        handle,
        methods=["POST"],
        openapi_extra={"requestBody": body},
        name=path,
        responses=responses,
        response_class=Response,
    )


def describe_bodies(api: FastAPI, *kinds: type[BaseModel]) -> None:
    """Adds the schemas of bodies, and of what they are made of, when all endpoints are there."""
    found: dict[str, object] = {"Error": _ERROR}
    for kind in kinds:
        schema = kind.model_json_schema(ref_template="#/components/schemas/{model}")
        found |= schema.pop("$defs", {})
        found[kind.__name__] = schema
    api.openapi().setdefault("components", {}).setdefault("schemas", {}).update(found)


def _error(what: str) -> dict[str, Any]:
    return {"description": what, "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
