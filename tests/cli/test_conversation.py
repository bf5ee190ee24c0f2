"""`rstar solve --interactive`: on a terminal, and by a pipe."""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

from tests import warm
from tests.foreground import hear_signals

RSTAR = Path(sys.executable).with_name("rstar")


def rstar(*args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return warm.run(*args, text=text)


SLOW = """
import asyncio
from rstar_math.engines.fake import FakeEngine, FakePolicy

class Slow(FakeEngine):
    async def generate(self, prompt, params):
        if "slow" in prompt:
            await asyncio.Event().wait()
        return await super().generate(prompt, params)

def open_engine():
    return Slow(FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0))
"""


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *args: str) -> None:
        import pty

        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            hear_signals()
            os.execv(RSTAR, [str(RSTAR), *args])

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, pattern: str) -> None:
        """Reads until what the pattern matches is shown."""
        until = time.monotonic() + 1500
        while (found := re.search(pattern, self.text)) is None:
            assert time.monotonic() < until, self.text[-2_000:]
            if select.select([self._terminal], [], [], 1.0)[0]:
                self.text += os.read(self._terminal, 1 << 16).decode(errors="replace")
        self.text = self.text[found.end() :]

    def press_until(self, key: str, pattern: str, every_s: float) -> None:
        """Presses a key, and again every `every_s` seconds, until what the pattern matches is shown.

        Between a key and the next look at the keyboard Python hears no signal: the first Ctrl-C may be heard late.
        """
        self.text = ""
        while re.search(pattern, self.text) is None:
            self.type(key)
            until = time.monotonic() + every_s
            while re.search(pattern, self.text) is None and (left := until - time.monotonic()) > 0:
                if select.select([self._terminal], [], [], left)[0]:
                    self.text += os.read(self._terminal, 1 << 16).decode(errors="replace")
        self.wait_for(pattern)

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    terminal = Terminal("solve", "--interactive", "--model", f"{tmp_path}/slow.py:open_engine")
    terminal.wait_for("Ctrl-D ends")
    terminal.wait_for(r"\? ")
    terminal.type("What is quick?\n")
    terminal.wait_for("Answer: ")
    terminal.wait_for(r"\? ")
    terminal.type("What is slow?\n")
    terminal.wait_for(r"thinking: [1-9]\d* s, 0 tokens")  # a busy machine may leave a second out
    terminal.type("\x03")
    terminal.wait_for("stopped this question")
    terminal.wait_for(r"\? ")
    for _ in range(5):  # Ctrl-C while readline is about to read a key: it must not wait for another key
        terminal.type("h")
        terminal.press_until("\x03", r"\? ", every_s=1)
    terminal.type("\nWhat is quick again?\n")
    terminal.wait_for("Answer: ")
    terminal.wait_for(r"\? ")
    terminal.type("\x04")
    assert terminal.exit_code() == 0


def test_a_conversation_by_pipe(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    args = ("solve", "--interactive", "--json", "--model", f"{tmp_path}/slow.py:open_engine")
    done = rstar(*args, text="What is one?\n\nWhat is two?\n")
    assert done.returncode == 0
    assert [json.loads(line)["question"] for line in done.stdout.splitlines()] == ["What is one?", "What is two?"]
    assert done.stderr == ""  # no progress where nobody looks
