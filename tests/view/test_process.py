"""The viewer's server: connections are bounded as those of `rstar serve`."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi")

from tests.view.browser import served
from tests.view.made import problems, small_tree, write_trees


def test_a_request_that_does_not_come_to_its_end_is_cut_off(tmp_path: Path) -> None:
    (problem,) = problems(1)
    write_trees(tmp_path / "trees", [small_tree(problem, 10)])
    with served([tmp_path / "trees"], tmp_path / "cache", receive_s=1.0) as url:
        place = urlsplit(url)
        assert place.port is not None
        with socket.create_connection((str(place.hostname), place.port), timeout=30) as connection:
            began = time.monotonic()
            connection.sendall(b"GET /view/ HT")
            assert connection.recv(100) == b""
            assert time.monotonic() - began > 0.5
