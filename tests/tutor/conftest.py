"""The room in which the tests of the tutor give lessons."""

from __future__ import annotations

import pytest

from tests.tutor.room import rooms

room = pytest.fixture(scope="module")(rooms)
