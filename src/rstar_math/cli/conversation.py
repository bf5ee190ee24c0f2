"""`rstar solve --interactive`: question after question, with one model that stays loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rstar_math.errors import UserError


def conversation(answer: Callable[[str], int]) -> int:
    """Asks for questions until the input ends (Ctrl-D); Ctrl-C stops the question that is thought about, and no other.

    Args:
      answer: answers one question and prints.

    Returns:
      The exit status.
    """
    if not sys.stdin.isatty():
        return _ask(answer)
    import readline  # noqa: F401  (input() then has a history and can be edited)

    print("One question on each line. Ctrl-C stops a question, Ctrl-D ends.", file=sys.stderr)
    with _keys_kept():
        return _ask(answer)


@contextmanager
def _keys_kept() -> Iterator[None]:
    """Ctrl-C leaves keys that are not yet read where they are.

    By default a terminal throws them away. Readline that was about to read one of them then waits for another key, and
    hears neither Ctrl-C nor SIGTERM until it is pressed.
    """
    import termios

    before = termios.tcgetattr(sys.stdin)
    changed = termios.tcgetattr(sys.stdin)
    changed[3] |= termios.NOFLSH
    termios.tcsetattr(sys.stdin, termios.TCSANOW, changed)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _ask(answer: Callable[[str], int]) -> int:
    while True:
        try:
            question = input("? " if sys.stdin.isatty() else "").strip()
        except EOFError:
            if sys.stdin.isatty():
                print(file=sys.stderr)
            return 0
        except KeyboardInterrupt:
            print(file=sys.stderr)
            continue
        except UnicodeDecodeError as error:
            print(f"rstar: the line is not UTF-8: {error.reason}", file=sys.stderr)
            continue
        if not question:
            continue
        try:
            answer(question)
        except KeyboardInterrupt:
            print("\nrstar: stopped this question", file=sys.stderr)
        except UserError as error:  # of this question; the next may be better
            print(f"rstar: {error}", file=sys.stderr)
