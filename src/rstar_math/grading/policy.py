"""Named decisions on contested matters: where reasonable graders differ, a policy says which way it goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How contested matters are decided.

    Attributes:
      name: what reports call it.
    """

    name: str = "default"


DEFAULT = Policy()
POLICIES: dict[str, Policy] = {DEFAULT.name: DEFAULT}
