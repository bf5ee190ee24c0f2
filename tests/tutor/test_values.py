"""Equal values, not equal text."""

from __future__ import annotations

import asyncio

from rstar_math.grading.fake import FakeGrader
from rstar_math.tutor.values import same_value


def test_values() -> None:
    def same(known: str, value: str) -> bool:
        return asyncio.run(same_value(FakeGrader(), known, value))

    assert same("48", "48.0")
    assert same("0.5", "0.5000000000001")
    assert same("1/2", "1/2")
    assert not same("48", "46")
    assert not same("48", "")
    assert not same("48", "[48]")
    assert not same("48", "4" * 300)
