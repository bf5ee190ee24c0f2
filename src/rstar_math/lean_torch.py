"""Processes of the command `rstar` import torch without what only compilers and tensors without values need.

A third of torch's import goes into Python kernels for the device "meta" (`torch._meta_registrations`), and into
`torch.export`, `torch.distributions` and quantisation. Answering a question needs none of them. What does is noticed:
the kernels are loaded before transformers, before torch's own decompositions, and before code of the user's own; the
first look at a name of the others loads them. A process of the user's own, which the Python API runs in, has all of
torch.

All this rests on torch's insides. So it is done for versions that it was tried with alone, and not at all where
`RSTAR_WHOLE_TORCH=1` is set.
"""

from __future__ import annotations

import gc
import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.abc import Loader
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType, TracebackType
from typing import Any

_TRIED_VERSIONS = ("2.13.",)

_KERNELS = "torch._meta_registrations"
_QUANTIZED = ("torch.ao", "torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable", "torch.nn.quantized")
_LATER = ("torch.export", "torch.distributions", "torch.quantization", *_QUANTIZED)
_NEED_KERNELS = ("transformers", "torch._decomp")
"""Modules that use tensors without values, or through which all that uses them goes."""


def expect_torch() -> None:
    """Has torch imported lean, whoever imports it; does nothing where it is imported already."""
    if "torch" not in sys.modules and _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def complete_torch() -> None:
    """Gives this process all of torch, now or when it is imported."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    if isinstance(sys.modules.get(_KERNELS), _StandIn):
        del sys.modules[_KERNELS]
        importlib.import_module(_KERNELS)


def _may_be_lean(torch: ModuleSpec) -> bool:
    if os.environ.get("RSTAR_WHOLE_TORCH", "0") not in ("", "0"):
        return False
    try:
        said = Path(torch.origin or "").with_name("version.py").read_text()
    except OSError:
        return False
    found = re.search(r"__version__ = ['\"]([^'\"]*)", said)
    return found is not None and found[1].startswith(_TRIED_VERSIONS)


class _StandIn(ModuleType):
    """Stands for a module until a name of it is looked at, and passes on what is asked of it from then on."""

    def __getattr__(self, name: str) -> Any:
        waits = self.__dict__.get("_waits")
        # `inspect` and others look through all modules, and mean none
        if waits is None or (waits and name.startswith("__") and name not in ("__path__", "__all__")):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        if waits:
            self.__dict__["_waits"] = False
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


class _StandInLoader(Loader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        module.__dict__["_waits"] = True


class _TorchLoader(Loader):
    """Runs torch's own import, without garbage collections, which only go through what an import leaves for good."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._own
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        was_on, frame_info = gc.isenabled(), inspect.getframeinfo
        gc.disable()
        # torch notes in which line each operator is registered, and looks for its text in all modules, which it drops
        inspect.getframeinfo = partial(_without_text, frame_info)
        try:
            self._own.exec_module(module)
        finally:
            inspect.getframeinfo = frame_info
            if was_on:
                gc.enable()
        gc.freeze()  # nor do later collections go through it
        _make_generators_work(module)


def _make_generators_work(torch: Any) -> None:
    """Does what `torch._prims` would have done for `torch.Generator`, which the kernels would have imported."""
    try:
        torch.Generator()
    except RuntimeError:
        base = importlib.import_module("torch._opaque_base")
        torch._C._set_generator_metaclass(base.OpaqueBaseMeta)


def _without_text(
    frame_info: Callable[..., inspect.Traceback], frame: FrameType | TracebackType, context: int = 1
) -> inspect.Traceback:
    return frame_info(frame, context=0)


class _Finder:
    """Puts the stand-ins in place while torch is imported, and then watches for what needs the kernels."""

    def __init__(self) -> None:
        self._stood_in_for = set[str]()

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        if name == "torch":
            spec = PathFinder.find_spec(name, path)
            if spec is None or spec.loader is None or not _may_be_lean(spec):
                sys.meta_path.remove(self)
                return None
            spec.loader = _TorchLoader(spec.loader)
            return spec
        is_importing = getattr(getattr(sys.modules.get("torch"), "__spec__", None), "_initializing", False)
        if is_importing:
            if name in self._stood_in_for or name not in (_KERNELS, *_LATER):
                return None
            self._stood_in_for.add(name)
            return ModuleSpec(name, _StandInLoader())
        if name in _NEED_KERNELS:
            complete_torch()
        return None


_finder = _Finder()
