"""Rows of data sets at the hub, through the `datasets` library (extra `hub`)."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from rstar_math.errors import DataError
from rstar_math.store.paths import shown
from rstar_math.store.row_files import ROW_FILES

_NAME = re.compile(r"([\w.-]{1,96}/)?[\w.-]{1,96}", re.ASCII)


def read_hub(repository: str, split: str, config: str | None = None) -> Iterator[dict[str, Any]]:
    """Rows of a split, in order; from the cache where it is there.

    Raises:
      DataError: this is no name of a data set, `datasets` is not installed, or the data set cannot be loaded.
    """
    if not _NAME.fullmatch(repository) or Path(repository).suffix in ROW_FILES:
        raise DataError(
            f"{shown(repository)} is no file that is there, and no name of a data set at the hub (OWNER/NAME); give "
            "the path of a file of rows"
        )
    try:
        _stay_offline_without_hub()
        from datasets import load_dataset
    except ImportError as error:
        raise DataError(
            f"reading {repository} from the hub needs the package `datasets`: pip install 'rstar-math[hub]', or give "
            "a JSONL file or a folder of such files"
        ) from error
    try:
        rows = load_dataset(repository, config, split=split)
    except Exception as error:  # connection, unknown name, unknown split, gated: each of another type
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(
            f"{repository} ({config or 'default'}, {split}) cannot be loaded from the hub: {first}. Without a "
            "connection give a JSONL file, or a folder of such files (--from)"
        ) from error
    for row in rows:
        yield dict(row)


def _stay_offline_without_hub() -> None:
    """Where the hub's name is known to nobody, only the cache is looked at: its library would try for half a minute."""
    from huggingface_hub import constants

    host = urlsplit(constants.ENDPOINT).hostname
    if constants.HF_HUB_OFFLINE or host is None or getproxies():  # a proxy asks for the name itself
        return
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        from datasets import config

        constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
