"""The static check: whether a program may run in a warm worker, judged by its compiled code without running it.

A warm worker runs many programs in one process, so a program that is admitted must be unable to change anything but
its own namespace. The check is an allowlist throughout: of instructions, of attribute names, of modules and what may be
taken from them, of builtins. What it does not know is not admitted, and runs in a fork of its own.

What it may use of modules is in `facades`, by the lists in `allowlist`.
"""

from __future__ import annotations

import builtins
import dis
import string
import sys
import types

from rstar_math.execution.inside.allowlist import words
from rstar_math.execution.inside.facades import Facades

# ---------------------------------------------------------------- instructions


def _codes(names: str) -> frozenset[int]:
    """The instructions of these names, as far as this interpreter has them."""
    return frozenset(dis.opmap[name] for name in names.split() if name in dis.opmap)


_ADMITTED = _codes(
    "CACHE NOP RESUME EXTENDED_ARG POP_TOP PUSH_NULL COPY SWAP PRECALL CALL KW_NAMES CALL_FUNCTION_EX CALL_KW "
    "MAKE_FUNCTION SET_FUNCTION_ATTRIBUTE RETURN_VALUE RETURN_CONST RETURN_GENERATOR YIELD_VALUE SEND "
    "GET_YIELD_FROM_ITER END_FOR END_SEND CLEANUP_THROW UNARY_POSITIVE UNARY_NEGATIVE UNARY_NOT UNARY_INVERT "
    "BINARY_OP COMPARE_OP IS_OP CONTAINS_OP BINARY_SUBSCR BINARY_SLICE STORE_SUBSCR STORE_SLICE DELETE_SUBSCR "
    "TO_BOOL BUILD_LIST BUILD_TUPLE BUILD_SET BUILD_MAP BUILD_CONST_KEY_MAP BUILD_STRING BUILD_SLICE "
    "LIST_APPEND LIST_EXTEND LIST_TO_TUPLE SET_ADD SET_UPDATE MAP_ADD DICT_UPDATE FORMAT_VALUE FORMAT_SIMPLE "
    "FORMAT_WITH_SPEC CONVERT_VALUE GET_LEN GET_ITER FOR_ITER UNPACK_SEQUENCE UNPACK_EX MATCH_SEQUENCE "
    "MATCH_MAPPING MATCH_KEYS LOAD_CONST LOAD_NAME STORE_NAME DELETE_NAME LOAD_GLOBAL STORE_GLOBAL "
    "DELETE_GLOBAL LOAD_FAST STORE_FAST DELETE_FAST LOAD_FAST_CHECK LOAD_FAST_AND_CLEAR LOAD_FAST_LOAD_FAST "
    "STORE_FAST_LOAD_FAST STORE_FAST_STORE_FAST MAKE_CELL COPY_FREE_VARS LOAD_CLOSURE LOAD_DEREF STORE_DEREF "
    "DELETE_DEREF LOAD_ATTR LOAD_METHOD IMPORT_NAME IMPORT_FROM IMPORT_STAR CALL_INTRINSIC_1 SETUP_ANNOTATIONS "
    "LOAD_ASSERTION_ERROR RAISE_VARARGS RERAISE PUSH_EXC_INFO POP_EXCEPT CHECK_EXC_MATCH"
) | {code for name, code in dis.opmap.items() if "JUMP" in name}
"""Instructions that admitted code may have. Left out: stores to attributes, classes, `with`, coroutines, and calls with
`**`, whose keywords only show as they run."""

_EXTENDED = dis.opmap["EXTENDED_ARG"]
_LOAD_ATTRIBUTE = _codes("LOAD_ATTR LOAD_METHOD")
_IMPORT_NAME, _IMPORT_FROM = dis.opmap["IMPORT_NAME"], dis.opmap["IMPORT_FROM"]
_LOAD_NAME, _LOAD_GLOBAL = dis.opmap["LOAD_NAME"], dis.opmap["LOAD_GLOBAL"]
_STORE_NAMES = _codes("STORE_NAME STORE_GLOBAL")
_IMPORT_STAR = dis.opmap.get("IMPORT_STAR", -1)  # until 3.11
_INTRINSIC, _INTRINSIC_IMPORT_STAR = dis.opmap.get("CALL_INTRINSIC_1", -1), 2  # since 3.12
_LOAD_GLOBALS = frozenset({_LOAD_NAME, _LOAD_GLOBAL})
_LOAD_CONST = dis.opmap["LOAD_CONST"]
_KEYWORDS_BEHIND = _codes("KW_NAMES")  # until 3.12
_KEYWORDS_BEFORE = _codes("CALL_KW BUILD_CONST_KEY_MAP")
"""Instructions whose operand, or what was loaded just before them, is a tuple of keywords."""
_IDLE = _codes("CACHE PUSH_NULL NOP")
_LOOKED_AT = _LOAD_ATTRIBUTE | {_EXTENDED, _IMPORT_NAME, _IMPORT_FROM} | _KEYWORDS_BEHIND | _KEYWORDS_BEFORE
_HANDLERS = _codes("PUSH_EXC_INFO CHECK_EXC_MATCH")
_GENERATOR_FLAGS = 0x20 | 0x80 | 0x100 | 0x200
"""Generators, coroutines, iterable coroutines, asynchronous generators."""
_ATTRIBUTE_SHIFT = 1 if sys.version_info >= (3, 12) else 0
_GLOBAL_SHIFT = 1  # since 3.11

# ---------------------------------------------------------------- builtins

SAFE_BUILTINS = words(
    "abs all any ascii bin bool bytearray bytes callable chr complex dict divmod enumerate filter float format "
    "frozenset hash hex int isinstance iter issubclass len list map max min next oct ord pow print range repr "
    "object reversed round set slice sorted str sum tuple zip Ellipsis False None NotImplemented True __debug__"
) | {n for n, v in vars(builtins).items() if isinstance(v, type) and issubclass(v, BaseException)}
_UNSAFE_BUILTINS = frozenset(vars(builtins)) - SAFE_BUILTINS
_DUNDERS = frozenset({"__name__", "__doc__", "__annotations__", "__show__"})
_UNSAFE_KEYWORDS = frozenset({"where"})
"""Of numpy's functions: where it does not hold, the result shows memory that was used before."""

# ---------------------------------------------------------------- the check


def refusal(code: types.CodeType, facades: Facades) -> str | None:
    """Why `code` is not admitted, or None if it is.

    Args:
      code: compiled, not run.
      facades: what it may use.
    """
    for constant in code.co_consts:
        kind = type(constant)
        if kind is str:
            # str.format reaches attributes by text
            if "__" in constant and constant not in _DUNDERS and constant != "__main__":
                return "text with a double underscore"
            if constant in _UNSAFE_KEYWORDS:  # a call with many keywords loads them one by one
                return f"keyword {constant}"
        elif kind is types.CodeType:
            reason = refusal(constant, facades)
            if reason is not None:
                return reason
    bytecode = code.co_code
    operations = frozenset(bytecode[::2])
    if not operations <= _ADMITTED:
        return f"instruction {dis.opname[min(operations - _ADMITTED)]}"
    names = code.co_names
    for name in (*names, *code.co_varnames, *code.co_cellvars):
        if name[:2] == "__" and name not in _DUNDERS:
            return f"name {name}"
    if code.co_flags & _GENERATOR_FLAGS and operations & _HANDLERS:
        # what it does when it is closed would be done in the time of the program that runs then
        return "a generator that handles exceptions"
    if not (operations & _LOOKED_AT or not _UNSAFE_BUILTINS.isdisjoint(names)):
        return None
    looked_at = _LOOKED_AT if _UNSAFE_BUILTINS.isdisjoint(names) else _LOOKED_AT | _LOAD_GLOBALS
    if "format" in names and not only_plain_formats(code):
        return "attribute format of anything but a plain text"
    if not operations.isdisjoint(_KEYWORDS_BEFORE):
        looked_at |= {_LOAD_CONST}
    extended = 0
    module = ""
    attributes = facades.attributes
    loaded: object = None
    arguments = iter(bytecode)
    for operation, argument in zip(arguments, arguments, strict=True):
        if operation not in looked_at:
            if operation not in _IDLE:
                loaded = None
                extended = 0
            continue
        argument |= extended
        extended = 0
        if operation in _LOAD_ATTRIBUTE:
            name = names[argument >> _ATTRIBUTE_SHIFT]
            if name not in attributes:
                return f"attribute {name}"
            loaded = None
        elif operation == _LOAD_CONST:
            loaded = code.co_consts[argument]
        elif operation == _EXTENDED:
            extended = argument << 8
        elif operation in _KEYWORDS_BEHIND or operation in _KEYWORDS_BEFORE:
            keywords = code.co_consts[argument] if operation in _KEYWORDS_BEHIND else loaded
            for keyword in keywords if isinstance(keywords, tuple) else ():
                if isinstance(keyword, str) and (keyword[:1] == "_" or keyword in _UNSAFE_KEYWORDS):
                    return f"keyword {keyword}"
        elif operation in _LOAD_GLOBALS:
            name = names[argument >> _GLOBAL_SHIFT if operation == _LOAD_GLOBAL else argument]
            if name in _UNSAFE_BUILTINS and name not in _DUNDERS:
                return f"builtin {name}"
        elif operation == _IMPORT_NAME:
            module = names[argument]
            if module not in facades.names:
                return f"module {module}"
        elif operation == _IMPORT_FROM:
            name = names[argument]
            if name not in facades.names.get(module, ()) and name not in module.split(".")[1:]:
                return f"{name} of {module}"
    return None


def only_plain_formats(code: types.CodeType) -> bool:
    """Whether each `format` in `code` is that of a plain text which is loaded right before it, on every way there."""
    names = code.co_names
    reached_by_jump = frozenset(dis.findlabels(code.co_code))  # type: ignore[arg-type]  # bytes they are
    loaded: object = None
    for instruction in dis.get_instructions(code):
        operation = instruction.opcode
        if instruction.offset in reached_by_jump:
            loaded = None
        if operation in _LOAD_ATTRIBUTE and instruction.arg is not None:
            name = names[instruction.arg >> _ATTRIBUTE_SHIFT]
            if name == "format" and not (isinstance(loaded, str) and is_plain_format(loaded)):
                return False
        if operation not in _IDLE and operation != _EXTENDED:
            loaded = instruction.argval if operation == _LOAD_CONST else None
    return True


def is_plain_format(text: str) -> bool:
    """Whether `text.format(...)` only inserts what it is given; a field like `{0.name}` or `{0[key]}` leads further."""
    try:
        fields = [(name, spec) for _, name, spec, _ in string.Formatter().parse(text) if name is not None]
    except ValueError:  # it will raise
        return True
    return all("." not in name and "[" not in name and is_plain_format(spec or "") for name, spec in fields)


class Uses:
    """What a step's code imports with `*`, and which names it uses and stores, nested functions included."""

    __slots__ = ("names", "stars", "stored")

    def __init__(self, code: types.CodeType) -> None:
        self.names: set[str] = set()
        self.stored: set[str] = set()
        self.stars: set[str] = set()
        self._add(code)

    def _add(self, code: types.CodeType) -> None:
        self.names.update(code.co_names)
        self.stored.update(code.co_varnames, code.co_cellvars)
        bytecode = code.co_code
        extended = 0
        module = ""
        for position in range(0, len(bytecode), 2):
            operation, argument = bytecode[position], bytecode[position + 1] | extended
            extended = argument << 8 if operation == _EXTENDED else 0
            if operation in _STORE_NAMES:
                self.stored.add(code.co_names[argument])
            elif operation == _IMPORT_NAME:
                module = code.co_names[argument]
            elif operation == _IMPORT_STAR or (operation == _INTRINSIC and argument == _INTRINSIC_IMPORT_STAR):
                self.stars.add(module)
        for constant in code.co_consts:
            if isinstance(constant, types.CodeType):
                self._add(constant)


def stray_name(steps: list[types.CodeType], facades: Facades) -> str | None:
    """A name that a program of these steps would find otherwise outside a warm worker; None where there is none."""
    uses = [Uses(code) for code in steps]
    stars = set().union(*(step.stars for step in uses))
    if not stars:
        return None
    names = set().union(*(step.names for step in uses)) & set().union(*(facades.stray[module] for module in stars))
    names -= set().union(*(step.stored for step in uses))
    return min(names, default=None)
