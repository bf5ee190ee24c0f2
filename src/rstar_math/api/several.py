"""Several models in one process: they share an event loop, the sandbox and the grader."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from rstar_math.api.background import BackgroundLoop
from rstar_math.api.model import RStarMathModel, Shared
from rstar_math.config import RuntimeSettings
from rstar_math.errors import ConfigError
from rstar_math.models import find_model
from rstar_math.workers.bench import Tools, open_tools


class Models(Mapping[str, RStarMathModel]):
    """Models by name, loaded together and closed together.

    A model is called as it was asked for, but a path by its last part: `runs/pocket` is `pocket`.
    """

    def __init__(self, specs: Sequence[str], runtime: RuntimeSettings | None = None) -> None:
        """Loads the models.

        Args:
          specs: each as `RStarMathModel.from_pretrained` takes it, or NAME=SPEC.
          runtime: device, arithmetic and the limits of step execution, of all of them.

        Raises:
          ConfigError: none is given, or two of one name.
          ModelError: there is no such model, or it is unfit for the step format.
          SandboxError: steps cannot be executed safely on this machine.
        """
        named = [_named(spec) for spec in specs]
        if not named:
            raise ConfigError("no model is given; name at least one")
        for i, (name, _) in enumerate(named):
            if name in [other for other, _ in named[:i]]:
                raise ConfigError(f"two models are called {name!r}; give one of them another name: NAME=MODEL")
        settings = runtime or RuntimeSettings()
        self._models: dict[str, RStarMathModel] = {}
        self._is_closed = False
        found = [(name, find_model(spec)) for name, spec in named]
        self._loop = BackgroundLoop("models")
        self._tools: Tools | None = None
        try:
            self._tools = self._loop.call(_open_tools(settings))
            shared = Shared(self._loop, self._tools)
            for name, folders in found:
                self._models[name] = RStarMathModel(folders, settings, shared=shared)
        except BaseException:
            self.close()
            raise

    @classmethod
    def of(cls, models: Mapping[str, RStarMathModel]) -> Self:
        """Models that were made one by one, for example by `RStarMathModel.from_workbench`; they share nothing."""
        several = cls.__new__(cls)
        several._models, several._loop, several._tools = dict(models), BackgroundLoop("models"), None
        several._is_closed = False
        return several

    def __getitem__(self, name: str) -> RStarMathModel:
        return self._models[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._models)

    def __len__(self) -> int:
        return len(self._models)

    def close(self) -> None:
        """Ends every search and process and frees the models; calling it twice does no harm."""
        if self._is_closed:
            return
        self._is_closed = True
        self._loop.stop_calls()
        for model in self._models.values():
            model.close()
        if self._tools is not None:
            tools, self._tools = self._tools, None
            self._loop.call(tools.aclose())
        self._loop.close()

    async def aclose(self) -> None:
        """`close`, without holding up the running loop."""
        await asyncio.to_thread(self.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _open_tools(runtime: RuntimeSettings) -> Tools:
    return open_tools(runtime)


def _named(spec: str) -> tuple[str, str]:
    name, equals, model = spec.partition("=")
    if equals and name and "/" not in name and ":" not in name:
        return name, model
    return spec.rstrip("/").rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml"), spec
