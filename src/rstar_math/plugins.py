"""Parts of your own: `my_file.py:function`, in place of the name of a strategy, a model or a benchmark.

The file is run where it lies, in the process that needs it. What it may bring is in docs/extending.md.
"""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from rstar_math.errors import ConfigError
from rstar_math.lean_torch import complete_torch


def is_own(spec: str) -> bool:
    """Whether a name has the form `my_file.py:function`."""
    path, _, function = spec.rpartition(":")
    return path.endswith(".py") and function.isidentifier()


def absolute(spec: str) -> str:
    """The name with the whole path of the file, good in every working directory."""
    path, _, function = spec.rpartition(":")
    return f"{Path(path).resolve()}:{function}"


def run_own(path: Path, said: str) -> ModuleType:
    """Runs a user's file, with all of torch at its hands.

    Args:
      path: the file.
      said: how the user named it, for messages.

    Raises:
      ConfigError: there is no such file, or it cannot be run.
    """
    if not path.is_file():
        raise ConfigError(f"{said}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(f"rstar_math_own_{path.stem}", path.resolve())
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    complete_torch()
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever the user's file raises
        raise ConfigError(f"{said}: the file cannot be run: {type(error).__name__}: {error}") from error
    return module


def load_own(spec: str, what: str) -> Callable[[], Any]:
    """The function, or class, of a file; it is called without arguments.

    Args:
      spec: `my_file.py:function`.
      what: what it gives, for messages: "an engine".

    Raises:
      ConfigError: there is no such file or function, the file cannot be run, or the function wants arguments.
    """
    path, _, name = spec.rpartition(":")
    module = run_own(Path(path), spec)
    found: object = vars(module).get(name)
    if not callable(found):
        own = [n for n, f in vars(module).items() if inspect.isfunction(f) and f.__module__ == module.__name__]
        raise ConfigError(f"{spec}: {name!r} is no function of the file, which has {', '.join(own) or 'none'}")
    needed = [
        p.name
        for p in inspect.signature(found).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if needed:
        raise ConfigError(f"{spec}: it is called without arguments and must give {what}; it wants {', '.join(needed)}")
    return found
