"""Text that a model, a program or a file wrote, as a terminal may be given it.

Written as it comes, such text can clear the screen, change the window's title or fill the clipboard.
"""

from __future__ import annotations

import json
import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters but for line feeds and tabs, and those that turn the direction of what follows."""


def visible(text: str) -> str:
    """`text` with each control character as the escape that Python writes for it."""
    return _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text.replace("\r\n", "\n"))


def visible_json(value: object) -> str:
    """One line of JSON that says the same, in which no control character stands as it is."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
