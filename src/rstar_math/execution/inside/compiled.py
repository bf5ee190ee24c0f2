"""Steps as a warm worker keeps them: compiled once, with what the static check says of them."""

from __future__ import annotations

import builtins
import dis
import re
import types
from collections import OrderedDict

from rstar_math.execution.inside import harness, staticcheck
from rstar_math.execution.inside.facades import Facades

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))

MAX_COMPILED = 4096
_HANDLER = dis.opmap["PUSH_EXC_INFO"]
_STAR = re.compile(r"import[\s\\]*\*")


class Compiled:
    """A step's code, and why it is not admitted or has none."""

    __slots__ = ("code", "error", "has_handler", "has_star", "refusal", "uses_random")

    def __init__(self, step: str, code: types.CodeType | None, refusal: str | None, error: str | None) -> None:
        self.code = code
        self.refusal = refusal
        self.error = error
        # the compiler reads letters of other alphabets as plain ones
        self.uses_random = "rand" in step or "shuffle" in step or "sample" in step or not step.isascii()
        self.has_star = _STAR.search(step) is not None
        self.has_handler = code is not None and _has_handler(code)


def _has_handler(code: types.CodeType) -> bool:
    """Whether `code` handles exceptions, among them perhaps that there is no memory left."""
    return _HANDLER in code.co_code[::2] or any(
        _has_handler(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)
    )


class Compiler:
    """Compiles steps and checks them, each once."""

    def __init__(self, facades: Facades) -> None:
        self._facades = facades
        self._known: OrderedDict[str, Compiled] = OrderedDict()

    def compiled(self, step: str, mode: str) -> Compiled:
        """What `step` is in `mode`, which is the same every time."""
        known = self._known.get(step)
        if known is not None:
            return known
        try:
            code = harness.compile_step(step, mode)
        except (SyntaxError, ValueError) as error:
            entry = Compiled(step, None, None, harness.describe(error))
        except (MemoryError, RecursionError) as error:
            entry = Compiled(step, None, f"not compiled: {type(error).__name__}", None)
        else:
            entry = Compiled(step, code, staticcheck.refusal(code, self._facades), None)
        self._known[step] = entry
        if len(self._known) > MAX_COMPILED:
            self._known.popitem(last=False)  # the oldest: steps are asked for while their tree grows
        return entry
