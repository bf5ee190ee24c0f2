"""A real browser on pages that a real server serves; tests skip with the reason where there is no browser."""

from __future__ import annotations

import asyncio
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def chromium() -> Iterator[Any]:
    """A headless Chromium; skips where there is none, or no library that drives it."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    found = next((p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@contextmanager
def served(
    paths: Sequence[Path], cache: Path, again: Any = None, receive_s: float = 10.0, learning: Any = None
) -> Iterator[str]:
    """The pages of some paths, by a server in a thread of its own; gives their address."""
    from rstar_math.serve.listening import bound_socket, url_of
    from rstar_math.serve.settings import ServeSettings
    from rstar_math.view.library import Library
    from rstar_math.view.process import Viewer

    settings, ready = ServeSettings(port=0, receive_s=receive_s), threading.Event()
    with bound_socket(settings) as bound:
        server = Viewer(Library(paths, cache), settings, ready.set, again, learning)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([bound])), daemon=True)
        thread.start()
        assert ready.wait(30)
        try:
            yield f"{url_of(bound)}/view/"
        finally:
            server.should_exit = True
            thread.join(timeout=10)


class Page:
    """One page of a browser, with all that went wrong on it and all that it asked for.

    Attributes:
      page: of playwright.
      wrong: errors and messages of the console.
      asked: addresses of requests.
    """

    def __init__(self, browser: Any, **options: Any) -> None:
        self.page = browser.new_context(**options).new_page()
        self.page.set_default_timeout(10_000)
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on(
            "console", lambda said: self.wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, address: str) -> Page:
        """Opens an address anew, and waits until it is shown."""
        self.page.goto("about:blank")
        self.page.goto(address)
        return self.shown()

    def shown(self) -> Page:
        """Waits until the view of the address is there."""
        part = self.page.evaluate("location.hash || '#'")
        escaped = part.replace("\\", "\\\\").replace('"', '\\"')
        self.page.wait_for_selector(f'html[data-shown="{escaped}"]', timeout=20_000)
        return self

    def text(self, selector: str) -> str:
        """What stands in an element."""
        found: str = self.page.locator(selector).first.inner_text()
        return found

    def close(self) -> None:
        """Closes it; fails where anything went wrong on it."""
        self.page.context.close()
        assert not self.wrong
