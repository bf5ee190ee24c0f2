"""Text that a model, a program or a file wrote, as people may be shown it. Pure.

Written as it comes, such text can clear the screen, change the window's title, fill the clipboard, or show words in
another order than they stand in. Who writes for people uses what stands here: the streams of a command
(`rstar_math.terminal.streams`), its tables (`rstar_math.terminal.console`), and the writer of files
(`rstar_math.store.files`).
"""

from __future__ import annotations

import json
import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for line feeds and tabs, those that turn the direction of what follows, halves of pairs."""


def visible(text: str) -> str:
    """`text` with each control character as the escape that Python writes for it."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def visible_json(value: object, *, indent: int | None = None, allow_nan: bool = False) -> str:
    """JSON that says the same, in which no control character stands as it is; one line without `indent`.

    Raises:
      ValueError: a number is infinite or NaN, and `allow_nan` is False.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=allow_nan, indent=indent)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
