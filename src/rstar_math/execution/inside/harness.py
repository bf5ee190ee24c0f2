"""What a child process does with a program: run its steps, keep what they print, report how each ended.

Runs in children of the zygote only, never in the caller's process.
"""

from __future__ import annotations

import ast
import builtins
import json.encoder
import mmap
import os
import random
import re
import socket
import sys
import time
import types
from typing import Any, NoReturn, cast

from rstar_math.execution.inside.output import Discarded, OutputBuffer
from rstar_math.execution.inside.protocol import (
    HEADER_BYTES,
    MAX_ERROR_CHARS,
    MAX_RECORD_CHARS,
    MAX_STATEMENTS,
    left_well,
    output_room,
)

# see the same line in protocol.py
globals()["__builtins__"] = dict(vars(builtins))
_quoted = json.encoder.encode_basestring_ascii
_exit = os._exit
_process_time, _monotonic = time.process_time, time.monotonic

SEED = 20250108
"""Every program starts with the same random state, so that its outcome does not depend on what ran before."""

_PLAIN_RECURSION_LIMIT = 1000


def describe(error: BaseException) -> str:
    """`TypeName: message`, bounded, whatever the exception's own methods do."""
    name = str(type.__dict__["__name__"].__get__(type(error)))[:MAX_ERROR_CHARS]
    try:
        message = str(error)
    except BaseException:  # an exception's __str__ is the program's own code and may raise anything
        return name
    return (f"{name}: {message}" if message else name)[:MAX_ERROR_CHARS]


def fresh_main() -> dict[str, Any]:
    """A new `__main__` module, as a program finds it; returns its namespace."""
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = builtins
    sys.modules["__main__"] = main
    return main.__dict__


def seed_random() -> None:
    """Puts every random generator that a program can reach without naming a seed into the same state."""
    random.seed(SEED)
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(SEED)
    if "sympy.core.random" in sys.modules:
        sys.modules["sympy.core.random"].seed(SEED)  # also the one by which it orders what is known of symbols


Records = list[tuple[str, str | None, bool, str | None]]
"""For each statement: the fields of `rstar_math.execution.observation.Statement`."""

_PRINTED = re.compile(r"print\((.*?)\)")


def run_step(code: str, namespace: dict[str, Any], mode: str, output: OutputBuffer) -> Records:
    """Runs one step's code; raises what it raises. A step that leaves with exit status 0 ends there, and well.

    Args:
      code: the step.
      namespace: globals and locals of the program.
      mode: "plain" runs it; "notebook" also prints the value of a last expression, as a notebook does; "statements"
        runs statement by statement and records each.
      output: where it prints.

    Returns:
      The records, in mode "statements"; otherwise [].
    """
    records: Records = []
    try:
        _run_in_mode(code, namespace, mode, output, records)
    except SystemExit as left:
        if not left_well(left):
            raise
    return records


def _run_in_mode(code: str, namespace: dict[str, Any], mode: str, output: OutputBuffer, records: Records) -> None:
    """Does what `run_step` says; `records` grows by each statement, also by one that leaves."""
    if mode == "plain":
        exec(compile(code, "<step>", "exec", dont_inherit=True), namespace)
    elif mode == "notebook":
        tree = ast.parse(code, "<step>")
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, "<step>", "exec", dont_inherit=True), namespace)
        if last is not None:
            expression = ast.Expression(cast(ast.Expr, last).value)
            value = eval(compile(expression, "<step>", "eval", dont_inherit=True), namespace)
            if value is not None:
                output.write(f"{value!r}\n")
    else:
        # the file name that the released rules show in a syntax error
        tree = ast.parse(code, "<unknown>")
        for statement in tree.body:
            start = output.end
            value, left = None, None
            try:
                if isinstance(statement, ast.Expr):
                    expression = ast.Expression(statement.value)
                    value = eval(compile(expression, "<step>", "eval", dont_inherit=True), namespace)
                else:
                    module = ast.Module([statement], [])
                    exec(compile(module, "<step>", "exec", dont_inherit=True), namespace)
            except SystemExit as raised:
                left = raised
            if len(records) < MAX_STATEMENTS:
                text = None if value is None else bounded(str(value))
                printed = bounded(output.printed(since=start))
                records.append((printed, text, isinstance(value, str), print_label(statement, code)))
            if left is not None:
                raise left


def print_label(statement: ast.stmt, code: str) -> str | None:
    """What the released rules put before the output of a statement that prints; None where it is none."""
    if not _prints(statement):
        return None
    found = _PRINTED.findall(ast.get_source_segment(code, statement) or "")
    return bounded(" ".join(found) + ":") if found else ""


def _prints(statement: ast.stmt) -> bool:
    """Whether the released rules take `statement` for one that prints: a call of `print`, or a block with one."""
    if isinstance(statement, ast.Expr):
        call = statement.value
        return isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "print"
    blocks = (ast.If, ast.While, ast.For, ast.FunctionDef)
    return isinstance(statement, blocks) and any(_prints(inner) for inner in statement.body)


def _records_as_json(records: Records) -> bytes:
    def text(value: str | None) -> str:
        return "null" if value is None else _quoted(value)

    rows = (f"[{text(p)},{text(v)},{'true' if is_text else 'false'},{text(label)}]" for p, v, is_text, label in records)
    return f"[{','.join(rows)}]".encode()


def bounded(text: str) -> str:
    """`text`, without its middle where it is longer than any rule looks at."""
    if len(text) <= MAX_RECORD_CHARS:
        return text
    return text[: MAX_RECORD_CHARS // 2] + text[-MAX_RECORD_CHARS // 2 :]


class Program:
    """One program in a process of its own: its namespace, and where it reports."""

    def __init__(self, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._output: OutputBuffer | None = None

    def run(self, request: dict[str, Any], shared: mmap.mmap, channel: socket.socket) -> bool:
        """Runs the steps of `request` on top of what ran before.

        Steps from index `first` on are reported, those before only where they fail.

        Returns:
          Whether this process stays as a snapshot: every step ended "ok", and they took `stay_s` CPU seconds or more.
        """
        first = request["first"]
        steps = request["steps"]
        step_bytes = request["step_bytes"]
        records_at = HEADER_BYTES + output_room(len(steps) - first, step_bytes)
        records_end = records_at
        index = 0
        started = 0.0
        stays = False

        def ended(status: str, error: str | None, records: Records) -> None:
            nonlocal records_end
            seconds = _process_time() - started
            data = _records_as_json(records) if records else b""
            if records_end + len(data) > len(shared):
                data = b""
            shared[records_end : records_end + len(data)] = data
            if index >= first or status != "ok":
                reason = "null" if error is None else _quoted(error)
                message = (
                    f'R[{index},"{status}",{reason},{seconds!r},{output.end},{records_end - HEADER_BYTES},{len(data)},'
                    f"{'true' if stays else 'false'}]"
                )
                channel.send(message.encode())
            records_end += len(data)

        def too_much() -> None:
            # the process ends here and now: a program could catch any exception
            ended("output_limit", "OutputLimit: the step printed more than its limit", [])
            await_end(channel)

        if self._output is None:
            output = self._output = OutputBuffer(shared, step_bytes, too_much, len(steps) - first)
            sys.stdout = cast(Any, output)
            sys.stderr = cast(Any, Discarded())
        else:
            output = self._output
            output.attach(shared, step_bytes, too_much, len(steps) - first)
        end = 0
        for index, code in enumerate(steps):
            output.begin(index, at=end if index > first else 0)
            reset_recursion(extra=2)
            started = _process_time()
            records: Records = []
            status, error = "ok", None
            try:
                records = run_step(code, self._namespace, request["mode"], output)
            except MemoryError as raised:
                status, error = "memory_limit", describe(raised)
            except BaseException as raised:
                status, error = "error", describe(raised)
            end = output.end
            stays = status == "ok" and index == len(steps) - 1 and _process_time() >= request["stay_s"]
            ended(status, error, records)
            if status != "ok":
                break
        return stays


def await_end(channel: socket.socket) -> NoReturn:
    """Waits to be killed: the supervisor first reads what this process has cost, which the kernel knows until then."""
    try:
        channel.recv(1)
    finally:
        _exit(0)


def compile_step(code: str, mode: str) -> types.CodeType:
    """The code of a step for a warm worker; in mode "notebook" it shows the value of a last expression."""
    if mode == "plain":
        return compile(code, "<step>", "exec", dont_inherit=True)
    tree = ast.parse(code, "<step>")
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        last = tree.body[-1]
        last.value = ast.Call(ast.Name("__show__", ast.Load()), [last.value], [])
        ast.fix_missing_locations(last)
    return compile(tree, "<step>", "exec", dont_inherit=True)


def reset_recursion(extra: int) -> None:
    """Makes the recursion limit count from the program's first frame, as in an interpreter of its own.

    Args:
      extra: frames between the caller and the program's first frame.
    """
    depth = 0
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        depth += 1
        frame = frame.f_back
    sys.setrecursionlimit(_PLAIN_RECURSION_LIMIT + depth + extra)
