"""The pages over HTTP: the files of the page, the answers that it asks for, steps run once more, and what has changed.

All lies under `/view/`, so that `rstar serve` can have it beside its own paths. Who may ask is looked at before
(`rstar_math.serve.guard`); the files of the page are the same for everybody and are open, so that a page can ask for a
key.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from rstar_math.errors import RStarError, UserError
from rstar_math.serve.guard import Guard
from rstar_math.serve.settings import ServeSettings
from rstar_math.terminal.visible import visible, visible_json
from rstar_math.view.again import MAX_CODE_CHARS, Again
from rstar_math.view.answers import Answers, finite
from rstar_math.view.files import KINDS, static_files
from rstar_math.view.learning import Learning
from rstar_math.view.library import Library, NotFoundError
from rstar_math.view.one_tree import steps_to
from rstar_math.view.watching import Watching

log = logging.getLogger("rstar_math.view")

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a page may load and run: its own files, no script that stands in it, nothing from elsewhere."""

_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Pages:
    """The pages of a library.

    Attributes:
      open_paths: what needs no key.
    """

    def __init__(self, library: Library, again: Again | None = None, learning: Learning | None = None) -> None:
        self._learning = learning or Learning({})
        self._library, self._answers = library, Answers(library)
        self._again = again or Again()
        self._watching = Watching(library)
        self._files = static_files()
        self.open_paths = frozenset({"/", "/view", "/view/", *(f"/view/{name}" for name in self._files)})

    def routes(self) -> list[Route]:
        """For an application."""
        return [
            Route("/view", _to_view),
            Route("/view/", self.file),
            Route("/view/{name}", self.file),
            Route("/view/api/again", self._told(self.again), methods=["POST"]),
            Route("/view/api/learn", self._told(self.teachers)),
            Route("/view/api/learn", self._told(self.learn), methods=["POST"]),
            Route("/view/api/live", self._told(self.live)),
            Route("/view/api/{name}", self._told(self.answer)),
        ]

    async def file(self, request: Request) -> Response:
        """A file of the page."""
        name = request.path_params.get("name", "index.html")
        content = self._files.get(name)
        if content is None:
            return _error(404, "there is no such page", _HEADERS)
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = _HEADERS | {"ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=KINDS[name.rpartition(".")[2]])

    async def answer(self, request: Request) -> Response:
        """One of `Answers`.

        Raises:
          NotFoundError: there is none of this name.
        """
        known = self._answers.known.get(request.path_params["name"])
        if known is None:
            raise NotFoundError("there is no such path")
        words = dict(request.query_params)
        text = await run_in_threadpool(lambda: visible_json(finite(known(words))))
        return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def again(self, request: Request) -> Response:
        """Runs a step once more: `set`, `tree`, `node`, and perhaps `code`.

        Raises:
          UserError: it is not asked for in this way.
        """
        try:
            asked = json.loads(await request.body())
            name, tree, node, code = asked["set"], asked["tree"], asked["node"], asked.get("code")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError("send an object with set, tree, node, and perhaps code") from None
        if not (isinstance(name, str) and isinstance(tree, str) and type(node) is int):
            raise UserError("set and tree must be texts, node a number")
        if code is not None and not (isinstance(code, str) and len(code) <= MAX_CODE_CHARS):
            raise UserError(f"code must be a text of at most {MAX_CODE_CHARS} characters")
        place = next((p for p in self._library.places() if name.startswith(f"{p.name}/") and p.kind == "run"), None)
        steps = await run_in_threadpool(lambda: steps_to(self._library.trees(name).held(tree), node))
        ran = await self._again.run(steps, code, place.path if place else None)
        return Response(visible_json({"steps": ran}), media_type="application/json")

    async def teachers(self, request: Request) -> Response:
        """The models that teach."""
        return Response(visible_json({"models": list(self._learning.models)}), media_type="application/json")

    async def learn(self, request: Request) -> Response:
        """One request of a lesson (`Learning.answer`)."""
        answer = visible_json(await self._learning.answer(await request.body()))
        return Response(answer, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def live(self, request: Request) -> Response:
        """What changes in a set of trees (`set`) or in the folders themselves, as events while the page is open."""
        name = request.query_params.get("set", "")
        if name:
            await run_in_threadpool(lambda: self._library.trees(name))

        async def events() -> AsyncIterator[bytes]:
            async for change in self._watching.changes(name):
                yield b": ping\n\n" if change is None else f"data: {visible_json(change)}\n\n".encode()

        return StreamingResponse(events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    def end(self) -> None:
        """Ends the streams of events, so that a server can end."""
        self._watching.end()

    async def aclose(self) -> None:
        """Ends what was opened for pages."""
        self.end()
        await self._again.aclose()

    def _told(self, handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        """A handler whose errors become replies."""

        async def told(request: Request) -> Response:
            try:
                return await handle(request)
            except ClientDisconnect:
                return Response(status_code=400)
            except NotFoundError as error:
                return _error(404, str(error))
            except UserError as error:
                return _error(400, str(error))
            except RStarError as error:
                return _error(503, f"{type(error).__name__}: {error}")

        return told


def view_app(
    library: Library, settings: ServeSettings, again: Again | None = None, learning: Learning | None = None
) -> tuple[Guard, Pages]:
    """The application of `rstar view`, the guard before it included, and its pages."""
    pages = Pages(library, again, learning)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await pages.aclose()

    async def health(request: Request) -> Response:
        return Response('{"status": "ok"}', media_type="application/json")

    async def unexpected(request: Request, error: Exception) -> Response:
        log.error("a page could not be made", exc_info=error)
        return _error(500, f"an error of the viewer: {visible(type(error).__name__)}")

    async def none(request: Request, error: Exception) -> Response:
        return _error(404, "there is no such path")

    routes = [Route("/", _to_view), Route("/health", health), *pages.routes()]
    app = Starlette(routes=routes, lifespan=lifespan, exception_handlers={404: none, 405: none, Exception: unexpected})
    return Guard(app, settings, pages.open_paths), pages


async def _to_view(request: Request) -> Response:
    return RedirectResponse("/view/")


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    body = visible_json({"error": {"message": message[:2000]}})
    return Response(body, status, headers, media_type="application/json")
