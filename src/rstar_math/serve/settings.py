"""How a server is reached, and what it bears: addresses, keys, limits."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields

from rstar_math.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """Everything but the models.

    Attributes:
      host, port: where it listens; port 0: any free one.
      keys: whoever asks must send one of them; none: nobody must, which is for loopback alone.
      allow_hosts: names under which it is reached, beside those of this machine and bare addresses.
      allow_origins: web pages that may ask it from a browser, as `https://HOST:PORT`, beside its own.
      max_concurrent: searches at the same time.
      max_queued: searches that wait for a free slot; further ones are refused with 429.
      max_connections: open connections; further ones are refused with 503.
      max_choices: answers that one request may ask for: its prompts times `n`.
      max_question_chars: characters of one question.
      max_body_bytes: bytes of a request.
      receive_s: seconds in which a request's head, and then its body, must arrive.
      request_s: seconds that one answer may be thought about; then the best so far is given.
      send_s: seconds after which a client that reads nothing is given up.
      ping_s: seconds between comment lines in a stream in which nothing else happens.
      probe_s: seconds between two looks at whether models and sandbox work.
      shutdown_s: seconds that running answers have when the server is asked to end; then the best so far is given.

    Raises:
      ConfigError: a limit is out of range, or the address is not loopback and there is no key.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    keys: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    max_concurrent: int = 64
    max_queued: int = 256
    max_connections: int = 1_024
    max_choices: int = 64
    max_question_chars: int = 16_384
    max_body_bytes: int = 1 << 20
    receive_s: float = 10.0
    request_s: float = 540.0  # the `openai` package gives up after 600
    send_s: float = 60.0
    ping_s: float = 10.0
    probe_s: float = 30.0
    shutdown_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            least = 0 if field.name in ("port", "max_queued", "shutdown_s") else 1
            value = getattr(self, field.name)
            if field.name.endswith("_s") and not (0 < value < 1e9 or value == least == 0):
                raise ConfigError(f"{field.name} is {value}; it must be greater than 0")
            if isinstance(value, int) and value < least:
                raise ConfigError(f"{field.name} is {value}; it must be at least {least}")
        if self.port > 65_535:
            raise ConfigError(f"port is {self.port}; it must be at most 65535")
        if not self.keys and not is_loopback(self.host):
            raise ConfigError(
                f"{self.host} can be reached from other machines, and whoever reaches it could use this one: give a "
                "file of keys (--api-key-file), or listen on 127.0.0.1"
            )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
