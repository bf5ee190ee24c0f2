"""The error that a person gets where a server cannot be used: what happened, in the server's words, and what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rstar_math.config import EndpointSettings
from rstar_math.engines.http.refusals import Kind
from rstar_math.engines.http.replies import Reply
from rstar_math.engines.http.transport import Line
from rstar_math.errors import EngineError, ModelError, RStarError


async def failure(
    kind: Kind, transport: Line, path: str, reply: Reply, model: str | None, settings: EndpointSettings
) -> RStarError:
    """The error for a kind of trouble that does not pass.

    Args:
      kind: of the trouble.
      transport: is asked for the models that the server has.
      path: what was asked for.
      reply: what came back.
      model: the model's name; None where it was to be found out.
      settings: of the endpoint.
    """
    url, said = transport.shown_url, reply.trouble
    variable = settings.api_key_env
    if kind == "key":
        if not transport.has_key:
            return ModelError(
                f"{url} asks for a key ({said}), and {variable} holds none; put it into that environment variable"
            )
        return ModelError(f"{url} refuses the key ({said}); put the right one into the environment variable {variable}")
    if kind == "quota":
        return ModelError(
            f"{url} does not answer because the account has no credit left ({said}); waiting does not help. Add "
            f"credit, or put the key of another account into {variable}, and run the same command again: what was "
            "finished is kept"
        )
    if kind == "redirected":
        return ModelError(f"{url}{path} does not answer itself ({said}); give the address that does")
    if kind == "page":
        return ModelError(
            f"{url}{path} answers with a page for people, not with an API ({said[:160]}); give the URL at which "
            "the API begins (usually it ends in /v1), or sign in where a proxy asks for it"
        )
    if kind == "broken":
        return EngineError(f"{url} cannot run the model {model!r} ({said}); take a smaller one, or free memory there")
    if model is None:
        return ModelError(
            f"{url} does not list its models ({said}); name one: {url}?model=NAME, and check that the URL ends "
            "where the API begins (usually /v1)"
        )
    if kind in ("no_model", "no_endpoint"):
        names = names_of((await transport.send("GET", "/models")).value)
        known = f"; it serves{listed(names)}" if names else ""
        if kind == "no_endpoint" and (model in names or path not in said + "/completions/chat/completions"):
            return _no_api(url, path, said, settings)
        if kind == "no_endpoint" and not names:
            return ModelError(
                f"{url}{path} is not there ({said}), and no list of models is; check that the URL ends where the API "
                f"begins (usually /v1), and that the server knows the model {model!r}"
            )
        return ModelError(
            f"{url}{path} does not know the model {model!r} ({said}){known}. "
            "Check endpoint.model, and that the URL ends where the API begins (usually /v1)"
        )
    by_hand = [name for name in settings.extra_body if name in said]
    hint = f"; endpoint.extra_body sets {', '.join(by_hand)}" if by_hand else ""
    return EngineError(f"{url}{path} refuses the request: {said}{hint}")


def names_of(value: Mapping[str, Any]) -> list[str]:
    """The models in an answer of `/models`."""
    rows = value.get("data")
    ids = [row.get("id") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    return [name for name in ids if isinstance(name, str)]


def listed(names: Sequence[str]) -> str:
    """The first names, for the end of a sentence."""
    return "" if not names else " " + ", ".join(names[:8]) + (" ..." if len(names) > 8 else "")


def _no_api(url: str, path: str, said: str, settings: EndpointSettings) -> ModelError:
    other = "completions" if path.startswith("/chat") else "chat"
    if "api" in settings.model_fields_set:
        return ModelError(
            f"{url} has no {path} for this model ({said}); the model's settings ask for it (api={settings.api}): try "
            f"api={other}, or leave it out to let it be found out"
        )
    return ModelError(
        f"{url} has neither /completions nor /chat/completions for this model ({said}); serve a model that writes "
        "text, and check that the URL ends where the API begins (usually /v1)"
    )
