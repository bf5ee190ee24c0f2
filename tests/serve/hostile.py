"""Requests of somebody who means harm, as bytes on the wire, and the statuses with which they must be refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY = "a-key-of-some-length"
HOST = "127.0.0.1"
CHAT, TEXT, CONTROL = "/v1/chat/completions", "/v1/completions", "/v1/chat/completions/control"
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"


@dataclass(frozen=True, slots=True)
class Hostile:
    """One request.

    Attributes:
      name: what it tries.
      data: the bytes.
      statuses: those that are right; empty: the connection may end without a reply.
    """

    name: str
    data: bytes
    statuses: tuple[int, ...]


def request(
    body: bytes | str = b"",
    path: str = CHAT,
    method: str = "POST",
    headers: Mapping[str, str] | None = None,
    *,
    without: tuple[str, ...] = (),
    more: str = "",
) -> bytes:
    """The bytes of a request; `headers` lie over the usual ones, `more` are further lines."""
    content = body if isinstance(body, bytes) else body.encode()
    usual = {
        "Host": HOST,
        "Authorization": f"Bearer {KEY}",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
    } | dict(headers or {})
    lines = "".join(f"{name}: {value}\r\n" for name, value in usual.items() if name not in without)
    return f"{method} {path} HTTP/1.1\r\n{lines}{more}\r\n".encode("latin-1") + content


def chat(**fields: Any) -> bytes:
    """A chat request with some fields of its own."""
    body = {"model": "fake", "messages": [{"role": "user", "content": "Why?"}], **fields}
    return request(json.dumps(body))


def text(**fields: Any) -> bytes:
    """The same for `/v1/completions`."""
    return request(json.dumps({"model": "fake", "prompt": "Why?", **fields}), TEXT)


def user(content: object) -> list[dict[str, object]]:
    """One message."""
    return [{"role": "user", "content": content}]


_GOOD = json.dumps({"model": "fake", "messages": user("Why?")})

WHO = (
    Hostile("no key", request(_GOOD, without=("Authorization",)), (401,)),
    Hostile("a wrong key", request(_GOOD, headers={"Authorization": "Bearer wrong-key-of-length"}), (401,)),
    Hostile("the beginning of the key", request(_GOOD, headers={"Authorization": f"Bearer {KEY[:-1]}"}), (401,)),
    Hostile("the key and more", request(_GOOD, headers={"Authorization": f"Bearer {KEY}x"}), (401,)),
    Hostile("an empty key", request(_GOOD, headers={"Authorization": "Bearer "}), (401,)),
    Hostile("the key as a password", request(_GOOD, headers={"Authorization": f"Basic {KEY}"}), (401,)),
    Hostile("two keys", request(_GOOD, more=f"Authorization: Bearer {KEY}\r\n"), (401,)),
    Hostile("a key that is no ASCII", request(_GOOD, headers={"Authorization": "Bearer \xff\xfe\x80"}), (401,)),
    Hostile("a key in the path", request(_GOOD, f"{CHAT}?api_key={KEY}", without=("Authorization",)), (401,)),
    Hostile("metrics without a key", request(b"", "/metrics", "GET", without=("Authorization",)), (401,)),
    Hostile("models without a key", request(b"", "/v1/models", "GET", without=("Authorization",)), (401,)),
    Hostile("the description without a key", request(b"", "/openapi.json", "GET", without=("Authorization",)), (401,)),
    Hostile("a name of somebody else's", request(_GOOD, headers={"Host": "evil.example"}), (403,)),
    Hostile("a name that begins well", request(_GOOD, headers={"Host": "localhost.evil.example"}), (403,)),
    Hostile("a user in the name", request(_GOOD, headers={"Host": "localhost@evil.example"}), (400, 403)),
    Hostile("an empty name", request(_GOOD, headers={"Host": ""}), (400, 403)),
    Hostile("no name", request(_GOOD, without=("Host",)), (400,)),
    Hostile("two names", request(_GOOD, more="Host: evil.example\r\n"), (400, 403)),
    Hostile("a port that is none", request(_GOOD, headers={"Host": "localhost:99999999"}), (400, 403)),
    Hostile("a path as the name", request(_GOOD, headers={"Host": "localhost/../evil"}), (400, 403)),
    Hostile("a page of somebody else's", request(_GOOD, headers={"Origin": "https://evil.example"}), (403,)),
    Hostile("a page from nowhere", request(_GOOD, headers={"Origin": "null"}), (403,)),
    Hostile("a page on another port", request(_GOOD, headers={"Origin": "http://127.0.0.1:9"}), (403,)),
    Hostile(
        "a preflight of somebody else's", request(b"", CHAT, "OPTIONS", {"Origin": "https://evil.example"}), (403,)
    ),
    Hostile("a form, which needs no preflight", request(_GOOD, headers={"Content-Type": "text/plain"}), (415,)),
    Hostile("no type", request(_GOOD, without=("Content-Type",)), (415,)),
)
"""Who asks, and from where."""

HOW_MUCH = (
    Hostile("a length that is a lie", request(_GOOD, headers={"Content-Length": "999999999"}), (413,)),
    Hostile("a length below zero", request(_GOOD, headers={"Content-Length": "-1"}), (400,)),
    Hostile("a length of many digits", request(_GOOD, headers={"Content-Length": "9" * 400}), (400, 413)),
    Hostile("two lengths", request(_GOOD, more="Content-Length: 3\r\n"), (400,)),
    Hostile(
        "a length and chunks",
        request(_GOOD, headers={"Transfer-Encoding": "chunked"}),
        (400,),
    ),
    Hostile("two megabytes", request(b'{"model": "' + b"x" * 2_000_000 + b'"}'), (413,)),
    Hostile("a packed body", request(b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}), (415,)),
    Hostile("a megabyte of head", request(_GOOD, headers={"X-Long": "x" * 1_000_000}), (400,)),
    Hostile(
        "a thousand headers", request(_GOOD, more="".join(f"X-{i}: {'y' * 40}\r\n" for i in range(1_000))), (400, 431)
    ),
    Hostile("lists in lists", request(b"[" * 500_000), (400,)),
    Hostile("objects in objects", request(b'{"a":' * 100_000 + b"1" + b"}" * 100_000), (400,)),
    Hostile("depth in a field that is ignored", chat(x=json.loads("[" * 400 + "]" * 400)), (400,)),
    Hostile("a question of a megabyte", chat(messages=user("x" * 900_000)), (400,)),
    Hostile("a thousand messages", chat(messages=user("x") * 1_000), (400,)),
    Hostile("a thousand parts", chat(messages=user([{"type": "text", "text": "x"}] * 1_000)), (400,)),
    Hostile("a thousand stops", chat(stop=["x"] * 1_000), (400,)),
    Hostile("an endless stop", chat(stop="x" * 100_000), (400,)),
    Hostile("a thousand answers", chat(n=1_000), (400,)),
    Hostile("answers below zero", chat(n=-1), (400,)),
    Hostile("a thousand prompts", text(prompt=["x"] * 1_000), (400,)),
    Hostile("many prompts many times", text(prompt=["x"] * 60, n=60), (400,)),
    Hostile("a million tokens as a prompt", text(prompt=[1] * 300_000), (400,)),
    Hostile("tokens that are none", text(prompt=[-1, 1 << 70]), (400,)),
    Hostile("a number of a thousand digits", request(_GOOD[:-1] + ', "seed": ' + "9" * 1_000 + "}"), (400,)),
    Hostile("a number that is none", request(_GOOD[:-1] + ', "temperature": NaN}'), (400,)),
    Hostile("a number without end", request(_GOOD[:-1] + ', "temperature": 1e999}'), (400,)),
    Hostile("more tokens than there are", chat(rstar={"tokens": 1 << 62}), (400,)),
    Hostile("seconds below zero", chat(rstar={"seconds": -1}), (400,)),
)
"""How much."""

WHAT = (
    Hostile("a strategy from a file", chat(rstar={"strategy": "/tmp/evil.py:grow"}), (400,)),
    Hostile("a model from a file", chat(model="/tmp/evil.py:open_engine"), (404,)),
    Hostile("a model behind a URL", chat(model="http://169.254.169.254/latest"), (404,)),
    Hostile("a model outside", chat(model="../../../etc/passwd"), (404,)),
    Hostile("a model that is a number", chat(model=7), (400,)),
    Hostile(
        "an image to be fetched", chat(messages=user([{"type": "image_url", "image_url": {"url": "file:///"}}])), (400,)
    ),
    Hostile("a file to be read", chat(messages=user([{"type": "file", "file": {"file_id": "/etc/passwd"}}])), (400,)),
    Hostile("a tool to be called", chat(tools=[{"type": "function", "function": {"name": "sh"}}]), (400,)),
    Hostile("settings of one's own", chat(rstar={"settings": {"strategy": "x"}}), (400,)),
    Hostile("code of one's own", chat(rstar={"code": "import os"}), (400,)),
    Hostile("escapes as a model", chat(model=ESCAPES), (404,)),
    Hostile("escapes as a field", chat(**{ESCAPES: 1, "n": 0}), (400,)),
    Hostile("escapes as an effort", chat(reasoning_effort=ESCAPES), (400,)),
    Hostile(
        "half of a pair", request(b'{"model": "fake", "messages": [{"role": "user", "content": "\\ud800"}]}'), (400,)
    ),
    Hostile("bytes that are no text", request(b'{"model": "\xff\xfe"}'), (400,)),
    Hostile("nothing", request(b""), (400,)),
    Hostile("a list", request(b"[]"), (400,)),
    Hostile("a null", request(b"null"), (400,)),
    Hostile("half a body", request(b'{"model": "fake", '), (400,)),
    Hostile("two bodies", request(_GOOD + _GOOD), (400,)),
    Hostile("somebody else's answer now", request(b'{"id": "chatcmpl-000000000000000000000000"}', CONTROL), (404,)),
    Hostile("everybody's answer now", request(b'{"id": ""}', CONTROL), (404,)),
    Hostile("another action", request(b'{"id": "x", "action": "shutdown"}', CONTROL), (400,)),
    Hostile("a path with escapes", request(b"", "/v1/models/%1b%5b2J", "GET"), (404,)),
    Hostile("a path upwards", request(b"", "/v1/models/..%2f..%2fetc%2fpasswd", "GET"), (404,)),
    Hostile("a method that is none", request(_GOOD, method="BREW"), (405,)),
    Hostile("another server's path", request(b"", "http://evil.example/", "GET"), (404,)),
    Hostile("a tunnel", request(b"", "evil.example:443", "CONNECT"), (400, 404, 405)),
    Hostile(
        "a web socket", request(b"", CHAT, "GET", {"Upgrade": "websocket", "Connection": "Upgrade, close"}), (405,)
    ),
    Hostile("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, (400,)),
    Hostile("a line end within a header", request(_GOOD, headers={"X-A": "b\rHost: evil.example"}), (400,)),
)
"""What."""

REQUESTS = (*WHO, *HOW_MUCH, *WHAT)
