"""`rstar serve`: models behind the interface that OpenAI's clients speak."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from rstar_math.errors import ConfigError, PathError

_LEAST_KEY = 16


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; see `rstar_math.serve.settings.ServeSettings`."""

    models: Sequence[str]
    host: str
    port: int
    api_key_file: Path | None
    allow_hosts: Sequence[str]
    allow_origins: Sequence[str]
    max_concurrent: int
    max_queued: int
    request_seconds: float
    shutdown_seconds: float
    deterministic: bool
    view: Sequence[Path] = ()
    learn: bool = False


def serve(
    model: Annotated[list[str], typer.Option(help="As for solve, or NAME=MODEL; may be repeated.")] = ["pocket"],  # noqa: B006
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a key is required.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.")] = 8000,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File of keys, one on each line; whoever asks must send one of them.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name under which clients reach this server; may be repeated.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(help="Web page that may ask from a browser, https://HOST; may be repeated.")
    ] = None,
    max_concurrent: Annotated[int, typer.Option(help="Searches at the same time.")] = 64,
    max_queued: Annotated[int, typer.Option(help="Searches that may wait; further ones are refused.")] = 256,
    request_seconds: Annotated[float, typer.Option(help="Most seconds of an answer; then the best so far.")] = 540.0,
    shutdown_seconds: Annotated[float, typer.Option(help="Seconds that running answers have at the end.")] = 30.0,
    view: Annotated[
        list[Path] | None, typer.Option(help="A run, trees or result rows to show under /view/; may be repeated.")
    ] = None,
    learn: Annotated[bool, typer.Option("--learn", help="Give lessons under /view/, by these models.")] = False,
    deterministic: Annotated[
        bool, typer.Option("--deterministic", help="Each answer is the one it gets alone, to the last bit; slower.")
    ] = False,
) -> None:
    """Serve models to OpenAI's clients: deep thinking behind /v1/chat/completions."""
    serve_command(
        Asked(
            models=model,
            host=host,
            port=port,
            api_key_file=api_key_file,
            allow_hosts=allow_host or (),
            allow_origins=allow_origin or (),
            max_concurrent=max_concurrent,
            max_queued=max_queued,
            request_seconds=request_seconds,
            shutdown_seconds=shutdown_seconds,
            deterministic=deterministic,
            view=view or (),
            learn=learn,
        )
    )


def serve_command(asked: Asked) -> None:
    """Takes the address, loads the models, serves until a signal comes.

    Raises:
      ConfigError: the packages of the extra `serve` are not installed.
    """
    try:
        from rstar_math.serve.listening import bound_socket, url_of
        from rstar_math.serve.process import serve
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"rstar serve needs {error.name}, which is not installed: pip install 'rstar-math[serve]'"
        ) from None
    from rstar_math.api.several import Models
    from rstar_math.config import RuntimeSettings
    from rstar_math.serve.settings import ServeSettings
    from rstar_math.view.library import Library

    library = Library(asked.view) if asked.view or asked.learn else None
    settings = ServeSettings(
        host=asked.host,
        port=asked.port,
        keys=read_keys(asked.api_key_file) if asked.api_key_file is not None else (),
        allow_hosts=tuple(asked.allow_hosts),
        allow_origins=tuple(asked.allow_origins),
        max_concurrent=asked.max_concurrent,
        max_queued=asked.max_queued,
        request_s=asked.request_seconds,
        shutdown_s=asked.shutdown_seconds,
    )
    with (
        bound_socket(settings) as bound,
        Models(asked.models, RuntimeSettings(deterministic=asked.deterministic)) as models,
    ):
        pages = f", pages at {url_of(bound)}/view/" if library is not None else ""
        told = f"serving {', '.join(models)} at {url_of(bound)}/v1{pages}"
        serve(models, settings, bound, lambda: print(told, flush=True), library)


def read_keys(path: Path) -> tuple[str, ...]:
    """The keys of a file: its lines, but empty ones and those that begin with #.

    Raises:
      PathError: it cannot be read.
      ConfigError: it holds no key, or one that is easily guessed.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PathError(f"the file of keys {path} cannot be read: {error}") from error
    keys = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not keys:
        raise ConfigError(f"{path} holds no key; write one on a line, for example from `openssl rand -hex 24`")
    if short := [i for i, key in enumerate(keys, start=1) if len(key) < _LEAST_KEY or not key.isascii()]:
        raise ConfigError(
            f"{path}: key {short[0]} is shorter than {_LEAST_KEY} characters, or has others than ASCII; take one from "
            "`openssl rand -hex 24`"
        )
    return keys
