"""`rstar solve --interactive`: question after question, with one model that stays loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rstar_math.errors import UserError


def conversation(answer: Callable[[str], int]) -> int:
    """Asks for questions until the input ends (Ctrl-D); Ctrl-C stops the question that is thought about, and no other.

    Args:
      answer: answers one question and prints.

    Returns:
      The exit status.
    """
    if sys.stdin.isatty():
        import readline  # noqa: F401  (input() then has a history and can be edited)

        print("One question on each line. Ctrl-C stops a question, Ctrl-D ends.", file=sys.stderr)
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
