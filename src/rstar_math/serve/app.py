"""The endpoints: from a checked request to searches, and from what comes of them to replies and streams."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

from rstar_math.api.model import RStarMathModel
from rstar_math.config.curve import EFFORTS
from rstar_math.serve.chat import chat
from rstar_math.serve.completions import completions
from rstar_math.serve.counters import Counters
from rstar_math.serve.description import describe_bodies, get, post
from rstar_math.serve.dial import model_names
from rstar_math.serve.errors import RequestError
from rstar_math.serve.guard import Guard
from rstar_math.serve.health import Health
from rstar_math.serve.requests import ChatRequest, CompletionRequest, ControlRequest
from rstar_math.serve.searches import Searches
from rstar_math.serve.sending import JsonReply, error_reply
from rstar_math.serve.settings import ServeSettings
from rstar_math.serve.slots import Slots
from rstar_math.terminal.visible import visible
from rstar_math.view.app import Pages
from rstar_math.view.learning import Learning
from rstar_math.view.library import Library

log = logging.getLogger("rstar_math.serve")
RequestT = TypeVar("RequestT", bound=BaseModel)


class Server:
    """The application, and what it is made of.

    Attributes:
      app: the ASGI application, guard included.
      searches: the requests under way.
      health: whether models and sandbox work.
      pages: what `rstar view` shows, under `/view/`; None: nothing there.
    """

    def __init__(
        self, models: Mapping[str, RStarMathModel], settings: ServeSettings, library: Library | None = None
    ) -> None:
        self.settings = settings
        self.pages = Pages(library, learning=Learning(models)) if library is not None else None
        self._models = models
        slots = Slots(settings.max_concurrent, settings.max_queued)
        self._counters = Counters(
            lambda: slots.num_running,
            lambda: slots.num_waiting,
            lambda: {name: found for name, model in models.items() if (found := model.batches) is not None},
        )
        self.health = Health(models, settings.probe_s, self._counters.healthy)
        self.searches = Searches(slots, self._counters, self.health, settings.request_s)
        self.names = model_names(models)
        self._api = FastAPI(
            title="rstar serve", docs_url=None, redoc_url=None, lifespan=self._lifespan, redirect_slashes=False
        )
        self._add_routes()
        if self.pages is not None:
            self._api.router.routes.extend(self.pages.routes())
        self.app = Guard(self._api, settings, self.pages.open_paths if self.pages is not None else ())

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        watching = asyncio.create_task(self.health.watch())
        yield
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        if self.pages is not None:
            await self.pages.aclose()

    def _add_routes(self) -> None:
        api = self._api
        get(api, "/v1/models", self.models)
        get(api, "/v1/models/{name:path}", self.model)
        get(api, "/health", self.healthy)
        get(api, "/metrics", self.metrics, "text/plain")
        post(api, "/v1/chat/completions", self._counted(self.chat), ChatRequest, streams=True)
        post(api, "/v1/completions", self._counted(self.completions), CompletionRequest, streams=True)
        post(api, "/v1/chat/completions/control", self._counted(self.control), ControlRequest)
        api.add_exception_handler(HTTPException, _http_error)
        api.add_exception_handler(Exception, _unexpected)
        describe_bodies(api, ChatRequest, CompletionRequest, ControlRequest)

    async def chat(self, request: Request) -> Response:
        """Answers the last message of a conversation."""
        asked = await read(request, ChatRequest)
        return await chat(asked, self.searches, self.names, self.settings, request)

    async def completions(self, request: Request) -> Response:
        """Answers prompts."""
        asked = await read(request, CompletionRequest)
        return await completions(asked, self.searches, self.names, self.settings, request)

    async def control(self, request: Request) -> Response:
        """Ends the thinking of a request that is under way: its best answer so far is given at once."""
        asked = await read(request, ControlRequest)
        if not self.searches.answer_now(asked.id):
            raise RequestError(404, "no request of this id is under way", code="not_found", param="id")
        return JsonReply({"success": True})

    async def models(self) -> Response:
        """The models, and one name for each of their strategies."""
        return JsonReply({"object": "list", "data": [self._described(name) for name in self.names]})

    async def model(self, name: str) -> Response:
        """One model."""
        if name not in self.names:
            return error_reply(RequestError(404, "there is no such model", code="model_not_found", param="model"))
        return JsonReply(self._described(name))

    async def healthy(self) -> Response:
        """Ready or not: 503 while a model or the sandbox does not work, or the server is ending."""
        wrong = self.health.wrong
        if self.searches.is_closing:
            return JsonReply({"status": "closing"}, 503)
        if wrong:
            return JsonReply({"status": "unavailable", "models": sorted(wrong)}, 503)
        return JsonReply({"status": "ok"})

    async def metrics(self) -> Response:
        """Counts for Prometheus."""
        return Response(self._counters.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _described(self, name: str) -> dict[str, object]:
        model, strategy = self.names[name]
        own = model.answering
        return {
            "id": name,
            "object": "model",
            "created": 0,
            "owned_by": "rstar-math",
            "rstar": {
                "strategy": strategy or own.strategy,
                "strategies": model.strategies(),
                "has_reward_model": model.has_reward_model,
                "tokens_by_effort": {effort: tokens for effort in EFFORTS if (tokens := model.tokens_for(effort))},
            },
        }

    def _counted(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A handler whose errors become replies, and whose requests are counted."""

        async def counted(request: Request) -> Response:
            try:
                response = await handle(request)
            except RequestError as error:
                response = error_reply(error)
            self._counters.request(request.url.path, response.status_code)
            return response

        counted.__doc__ = handle.__doc__
        return counted


async def read(request: Request, kind: type[RequestT]) -> RequestT:
    """The request's body, checked.

    Raises:
      RequestError: it is no JSON, or a field is missing, of the wrong type or out of range.
    """
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"][:6])
        message = f"{where}: {first['msg']}" if where else first["msg"]
        raise RequestError(400, message, code="invalid_value", param=where or None) from None


async def _http_error(request: Request, error: Exception) -> Response:
    """No such path, or no such method there."""
    assert isinstance(error, HTTPException)
    what = {
        404: "there is no such path; what there is stands under /v1: chat/completions, completions, models",
        405: "this path does not know this method",
    }
    told = RequestError(error.status_code, what.get(error.status_code, str(error.detail)))
    return error_reply(told, error.headers)  # which methods there are


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("a request failed", exc_info=error)
    return error_reply(RequestError(500, f"an error of the server: {visible(type(error).__name__)}"))
