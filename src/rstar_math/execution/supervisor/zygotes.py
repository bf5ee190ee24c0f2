"""The zygotes of an executor: which run, and which are on their way."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.processes import Zygote
from rstar_math.execution.supervisor.starting import start_zygote


class Zygotes:
    """Zygotes by profile, each started when it is first asked for."""

    def __init__(self, settings: ExecutionSettings) -> None:
        self._settings = settings
        self._by_profile: dict[str, asyncio.Task[Zygote]] = {}

    def ready(self, profile: str) -> Zygote | None:
        """The zygote of `profile`; None where there is none, while it starts, and where it failed to."""
        starting = self._by_profile.get(profile)
        if starting is None or not starting.done() or starting.cancelled() or starting.exception():
            return None
        return starting.result()

    async def started(self, profile: str, disabled: Sequence[str]) -> Zygote:
        """The zygote of `profile`, once it is ready; one that failed to start is started again.

        Raises:
          SandboxError: it could not be started, or isolation is not what the settings ask for.
        """
        starting = self._by_profile.get(profile)
        if starting is None or (starting.done() and (starting.cancelled() or starting.exception())):
            loop = asyncio.get_running_loop()
            starting = asyncio.ensure_future(start_zygote(loop, profile, self._settings, disabled))
            self._by_profile[profile] = starting
        return await asyncio.shield(starting)

    def num_dying(self) -> int:
        """Processes that have been killed and are not gone yet."""
        return sum(zygote.num_dying for zygote in self._running())

    def end(self, zygote: Zygote) -> None:
        """Ends one; the next program that needs it starts another."""
        if self.ready(zygote.profile) is zygote:
            del self._by_profile[zygote.profile]
        zygote.end()

    def leave(self, ours: bool) -> None:
        """Gives all up that run, in another loop, or, where they are not `ours`, in a process forked from theirs."""
        for zygote in self._running():
            if ours:
                zygote.end()
            else:
                zygote.disown()

    async def aclose(self) -> None:
        """Ends all, also those that start."""
        starting = list(self._by_profile.values())
        for task in starting:
            task.cancel()
        for zygote in await asyncio.gather(*starting, return_exceptions=True):
            if isinstance(zygote, Zygote):
                zygote.end()

    def _running(self) -> list[Zygote]:
        return [zygote for zygote in map(self.ready, self._by_profile) if zygote is not None]
