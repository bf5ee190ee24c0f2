"""Several servers of the same model behind one engine: which of them a request goes to.

Requests about one question go to one server as long as it is there, so that it finds their common beginning in its
cache: each question prefers the servers in an order of its own (rendezvous hashing), and a server that is lost moves
its own questions alone. Where the preferred server has much more to do than the least busy one, that one is taken. A
server that cannot be reached is left out for some time, then tried again; the request goes on at the next one at once.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rstar_math.engines.http.replies import Reply
from rstar_math.engines.http.transport import Transport

_log = logging.getLogger(__name__)

FIRST_REST_S = 1.0
LONGEST_REST_S = 30.0
"""A server that was lost is left out for so long, at first and after it was lost again and again."""

MOST_AHEAD = 4
"""The preferred server may have so many requests more in flight than the least busy one."""

_AWAY = (502, 503, 504)
"""What a proxy says in place of a server that is not there."""


@dataclass
class _Replica:
    transport: Transport
    in_flight: int = 0
    out_until: float = 0.0
    rest_s: float = FIRST_REST_S


class Replicas:
    """Connections to several servers of one model; to whoever sends requests it is like the `Transport` to one.

    Attributes:
      num_moved: requests that went on at another server because theirs was lost.
    """

    def __init__(self, transports: Sequence[Transport], clock: Callable[[], float] = time.monotonic) -> None:
        """Opens nothing yet.

        Args:
          transports: to each server, at least one.
          clock: seconds, for how long a server is left out.
        """
        self._replicas = [_Replica(transport) for transport in transports]
        self._clock = clock
        self.num_moved = 0

    @property
    def shown_url(self) -> str:
        """The first server's URL as messages show it, and how many more there are."""
        first = self._replicas[0].transport.shown_url
        more = len(self._replicas) - 1
        return f"{first} (and {more} more)" if more else first

    @property
    def was_reached(self) -> bool:
        """Whether any of them ever was."""
        return any(replica.transport.was_reached for replica in self._replicas)

    @property
    def has_key(self) -> bool:
        """Whether a key is sent."""
        return self._replicas[0].transport.has_key

    def move(self, below: str) -> None:
        """Sends further requests to a path below the base URL, on each server."""
        for replica in self._replicas:
            replica.transport.move(below)

    async def send(self, method: str, path: str, body: Mapping[str, Any] | None = None, about: str = "") -> Reply:
        """One request, at the server for what it is about; at the next one where that is lost.

        Args:
          method: of HTTP.
          path: below the base URL.
          body: of the request.
          about: requests with the same text go to the same server, if it can be.
        """
        tried: list[_Replica] = []
        while True:
            replica = self._choose(about, tried)
            tried.append(replica)
            replica.in_flight += 1
            try:
                reply = await replica.transport.send(method, path, body)
            finally:
                replica.in_flight -= 1
            if reply.status and reply.status not in _AWAY:
                replica.out_until, replica.rest_s = 0.0, FIRST_REST_S
                return reply
            self._leave_out(replica, reply)
            if len(tried) == len(self._replicas):
                return reply
            self.num_moved += 1

    async def aclose(self) -> None:
        """Closes the connections."""
        for replica in self._replicas:
            await replica.transport.aclose()

    def _choose(self, about: str, tried: Sequence[_Replica]) -> _Replica:
        now = self._clock()
        left = [replica for replica in self._replicas if replica not in tried]
        there = [replica for replica in left if replica.out_until <= now]
        if not there:  # whoever was left out longest is tried again
            return min(left, key=lambda replica: replica.out_until)
        least_busy = min(there, key=lambda replica: replica.in_flight)
        if not about:
            return least_busy
        preferred = max(there, key=lambda replica: _preference(replica.transport.shown_url, about))
        return preferred if preferred.in_flight <= least_busy.in_flight + MOST_AHEAD else least_busy

    def _leave_out(self, replica: _Replica, reply: Reply) -> None:
        now = self._clock()
        if replica.out_until <= now and len(self._replicas) > 1:  # once, whatever was in flight
            url = replica.transport.shown_url
            _log.warning("%s is left out for %g s: %s", url, replica.rest_s, reply.trouble)
            replica.out_until = now + replica.rest_s
            replica.rest_s = min(2 * replica.rest_s, LONGEST_REST_S)


def _preference(url: str, about: str) -> bytes:
    return hashlib.blake2b(f"{url}\n{about}".encode("utf-8", "backslashreplace"), digest_size=8).digest()
