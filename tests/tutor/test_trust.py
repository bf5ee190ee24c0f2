"""How far to trust."""

from __future__ import annotations

from rstar_math.tutor.trust import trust_of


def test_what_is_said_of_it() -> None:
    assert (trust_of(True, False, True, 0.9, False).knows, trust_of(True, False, True, 0.9, False).sure) == (True, True)
    assert trust_of(True, None, None, 0.9, False).sure is None
    unsure = trust_of(True, False, False, 0.3, False)
    assert (unsure.knows, unsure.sure) == (True, False)
    assert "30%" in unsure.text
    outside = trust_of(True, True, False, 1.0, False)
    assert not outside.knows
    assert "does not know this kind of problem" in outside.text
    assert trust_of(True, True, False, 1.0, by_reference=True).knows
    assert "a way out" in trust_of(False, False, None, 0.0, False, "a way out").text
