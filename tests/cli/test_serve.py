"""`rstar serve`: what is wrong with its options is said before a model is loaded."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from rstar_math.cli.serve import Asked, read_keys, serve_command
from rstar_math.errors import ConfigError, ModelError, PathError, UserError

ASKED = Asked(
    models=("nothing",),
    host="127.0.0.1",
    port=0,
    api_key_file=None,
    allow_hosts=(),
    allow_origins=(),
    max_concurrent=1,
    max_queued=0,
    request_seconds=1.0,
    shutdown_seconds=0.0,
    deterministic=False,
)


@pytest.mark.parametrize(
    ("changes", "kind", "said"),
    [
        ({"host": "0.0.0.0"}, ConfigError, "give a file of keys"),
        ({"host": "::"}, ConfigError, "give a file of keys"),
        ({"host": "some.name"}, ConfigError, "give a file of keys"),
        ({"api_key_file": Path("/nothing/keys")}, PathError, "cannot be read"),
        ({"host": "192.0.2.1", "api_key_file": Path(os.devnull)}, ConfigError, "holds no key"),
        ({"max_concurrent": 0}, ConfigError, "max_concurrent is 0"),
        ({"request_seconds": 0.0}, ConfigError, "request_s is 0"),
        ({"port": 70_000}, ConfigError, "at most 65535"),
        ({}, ModelError, "no model 'nothing'"),
    ],
)
def test_bad_options(changes: dict[str, object], kind: type[UserError], said: str) -> None:
    with pytest.raises(kind, match=said):
        serve_command(replace(ASKED, **changes))  # type: ignore[arg-type]


def test_an_address_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(ConfigError, match="cannot listen on"):
            serve_command(replace(ASKED, port=taken.getsockname()[1]))


def test_keys_are_lines_and_not_too_short(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("# mine\n\n 0123456789abcdef \n0123456789ABCDEF\n")
    assert read_keys(file) == ("0123456789abcdef", "0123456789ABCDEF")
    file.write_text("0123456789abcdef\nsecret\n")
    with pytest.raises(ConfigError, match="key 2 is shorter than 16"):
        read_keys(file)
