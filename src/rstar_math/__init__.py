"""rStar-Math: small language models that master mathematical reasoning by search and self-evolution.

The names below are the public API; heavy libraries are loaded when a name is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from rstar_math.api.model import RStarMathModel
    from rstar_math.errors import RStarError, UserError
    from rstar_math.types import Problem, Solution

_EXPORTS = {
    "RStarMathModel": "rstar_math.api.model",
    "Problem": "rstar_math.types",
    "Solution": "rstar_math.types",
    "RStarError": "rstar_math.errors",
    "UserError": "rstar_math.errors",
}
__all__ = ["Problem", "RStarError", "RStarMathModel", "Solution", "UserError", "__version__"]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(importlib.import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
