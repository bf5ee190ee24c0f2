"""Whether models and sandbox work: looked at now and then, at once when a request failed, and often until they do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from rstar_math.api.model import RStarMathModel
from rstar_math.api.probing import Probe
from rstar_math.errors import RStarError
from rstar_math.serve.errors import RequestError

_PROBE_TIMEOUT_S = 10.0
_RED_S = 1.0


class Health:
    """What is known of each model.

    Attributes:
      wrong: model -> what does not work; empty where all does.
    """

    def __init__(
        self, models: Mapping[str, RStarMathModel], every_s: float, told: Callable[[bool], None] = lambda works: None
    ) -> None:
        self.wrong: dict[str, str] = {}
        self._models, self._every_s, self._told = models, every_s, told
        self._look = asyncio.Event()

    def check(self, name: str) -> None:
        """Refuses a request to a model that does not work.

        Raises:
          RequestError: it does not.
        """
        if name in self.wrong:
            raise RequestError(
                503, f"{name} does not work at the moment; try again", code="unavailable", retry_after_s=2
            )

    def failed(self, name: str, error: RStarError) -> None:
        """A request failed by no fault of its own: look at once."""
        self.wrong[name] = f"{type(error).__name__}: {error}"
        self._told(False)
        self._look.set()

    async def watch(self) -> None:
        """Looks for ever."""
        while True:
            await self.look()
            try:
                async with asyncio.timeout(_RED_S if self.wrong else self._every_s):
                    await self._look.wait()
            except TimeoutError:
                pass
            if self._look.is_set():
                self._look.clear()
                await asyncio.sleep(_RED_S / 4)  # what has just died may come up again by itself

    async def look(self) -> None:
        """Probes every model once."""
        names = list(self._models)
        probes = await asyncio.gather(*(self._probe(name) for name in names))
        for name, wrong in zip(names, probes, strict=True):
            if wrong is None:
                self.wrong.pop(name, None)
            else:
                self.wrong[name] = wrong
        self._told(not self.wrong)

    async def _probe(self, name: str) -> str | None:
        try:
            found = await self._models[name].aprobe(_PROBE_TIMEOUT_S)
        except RStarError as error:
            return f"{type(error).__name__}: {error}"
        return None if found.ok else _words(found)


def _words(found: Probe) -> str:
    parts = {"policy": found.engine, "reward model": found.reward_model, "sandbox": found.sandbox}
    return "; ".join(f"{name}: {wrong}" for name, wrong in parts.items() if wrong is not None)
