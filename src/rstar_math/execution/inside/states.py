"""The namespaces that prefixes left in a warm worker, which are copied rather than computed again."""

from __future__ import annotations

import builtins
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, cast

from rstar_math.execution.inside.namespaces import Copier, Plan

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))

MAX_STATES = 1024
Steps = tuple[str, ...]


@dataclass(slots=True)
class State:
    """The namespace that some steps left, the random generators beside it, and how to copy it, once that is known."""

    namespace: dict[str, Any]
    random: dict[str, Any]
    uses_random: bool
    has_star: bool
    plan: Plan | None = None
    planned: bool = False


class States:
    """States by the steps that left them, the least recently used of them forgotten first."""

    def __init__(self, copier: Copier) -> None:
        self._copier = copier
        self._kept: OrderedDict[Steps, State] = OrderedDict()

    def find(self, steps: Steps) -> State | None:
        """The state that `steps` left; None where it is not kept, or cannot be copied."""
        state = self._kept.get(steps)
        return state if state is not None and self._can_be_copied(state) else None

    def _can_be_copied(self, state: State) -> bool:
        if not state.planned:
            state.plan, state.planned = self._copier.plan(state.namespace), True
        return state.plan is not None

    def copy(self, steps: Steps, state: State) -> dict[str, Any]:
        """A namespace like that of `state`, which `find` has found for `steps`."""
        self._kept.move_to_end(steps)
        return self._copier.copy(state.namespace, cast(Plan, state.plan))

    def keep(self, steps: Steps, state: State, dear: bool) -> bool:
        """Keeps what `steps` left for the steps that come after; whether that is certain to be of use.

        Args:
          steps: the program.
          state: what it left.
          dear: to compute again; only then it is looked at now whether it can be copied, and kept only if it can.
        """
        if dear and not self._can_be_copied(state):
            return False
        self._kept[steps] = state
        if len(self._kept) > MAX_STATES:
            self._kept.popitem(last=False)
        return dear

    def clear(self) -> None:
        """Forgets all."""
        self._kept.clear()
