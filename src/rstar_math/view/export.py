"""One file that opens from disk: the page, its styles, and the answers that it would ask for.

The modules of the page are put one behind the other, which they are written for: each has one-line imports, and no two
have a name at the top in common (a test holds that). The policy in the file names the hash of this script and of the
styles, so that nothing else runs; what was asked is packed text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

from rstar_math.errors import DataError, RStarError
from rstar_math.store.files import replacing
from rstar_math.terminal.visible import visible_json
from rstar_math.view.answers import Answers, finite
from rstar_math.view.files import static_files
from rstar_math.view.library import Library
from rstar_math.view.one_tree import all_nodes

_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_MOST_ROWS = 100_000
_MOST_COMPARED = 5
"""Sets of trees of which each two are compared in the file."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What is in the file: counts, and problems that were left out."""

    num_problems: int
    num_trees: int
    num_left_out: int
    num_bytes: int


def export_page(library: Library, path: Path, limit: int) -> Exported:
    """Writes a page that holds everything, or of each set of trees the first `limit` problems.

    Raises:
      DataError: something cannot be read, or there is nothing to export.
      PathError: the file cannot be written.
    """
    answers = _Collected(library)
    num_problems, num_trees, num_left_out, num_rows = 0, 0, 0, 0
    for place in library.places():
        answers.take("run", place=place.name)
        for within in place.trees:
            name = f"{place.name}/{within}"
            rows = _problems(answers, library, name, limit)
            num_problems += len(rows)
            num_left_out += library.trees(name).problems().table.num_rows - len(rows)
            for row in rows:
                num_trees += _trees(answers, library, name, row["problem"], limit)
        for within in place.pairs:
            _pairs(answers, f"{place.name}/{within}")
        for within in place.rows:
            num_rows += len(answers.put("rows", {"rows": f"{place.name}/{within}"}, limit=str(limit))["rows"])
    answers.take("places")
    answers.take("sides")
    names = library.tree_sets()[:_MOST_COMPARED]
    for a in names:
        for b in names:
            answers.put("compare", {"a": a, "b": b}, limit="500")
    if not num_problems and not num_rows and not any(place.pairs for place in library.places()):
        raise DataError("there is nothing to export: no trees, no pairs and no result rows")
    page = _page(static_files(), answers.packed())
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8")
    return Exported(num_problems, num_trees, num_left_out, len(page.encode()))


class _Collected:
    """Answers by the address that the page asks them by."""

    def __init__(self, library: Library) -> None:
        self._answers = Answers(library)
        self._by_address: dict[str, Any] = {}

    def take(self, name: str, **words: str) -> dict[str, Any]:
        """Asks, and keeps the answer under these words."""
        return self.put(name, words)

    def put(self, name: str, words: Mapping[str, str], **further: str) -> dict[str, Any]:
        """Asks with further words that the page of a file leaves out."""
        answer = self._answers.known[name]({**words, **further})
        self.keep(name, words, answer)
        return answer

    def keep(self, name: str, words: Mapping[str, str], answer: dict[str, Any]) -> None:
        """Keeps an answer."""
        self._by_address[address(name, words)] = answer

    def has(self, name: str, words: Mapping[str, str]) -> bool:
        """Whether there is such an answer."""
        return address(name, words) in self._by_address

    def packed(self) -> str:
        """All answers: JSON, gzip, base64."""
        text = visible_json(finite(self._by_address))
        return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode("ascii")


def address(name: str, words: Mapping[str, str]) -> str:
    """As `URLSearchParams` writes it in a browser."""
    return f"{name}?" + "&".join(f"{_quoted(k)}={_quoted(v)}" for k, v in words.items())


def _quoted(text: str) -> str:
    return quote_plus(text, safe="*").replace("~", "%7E")


def _problems(answers: _Collected, library: Library, name: str, limit: int) -> list[dict[str, Any]]:
    problems = library.trees(name).problems()
    rows: list[dict[str, Any]] = problems.table.drop_columns(["haystack"]).slice(0, limit).to_pylist()
    tiers = sorted({row["tier"] for row in rows if row["tier"] is not None})
    found = {"num_all": len(rows), "num_found": len(rows), "rows": rows, "tiers": tiers}
    answers.keep("problems", {"set": name}, found)
    return rows


def _trees(answers: _Collected, library: Library, name: str, problem: str, limit: int) -> int:
    found = answers.take("trees", set=name, problem=problem)
    for row in found["trees"]:
        words = {"set": name, "tree": row["tree"]}
        answers.take("tree", **words)
        answers.keep("node", words, {"nodes": all_nodes(library.trees(name).held(row["tree"]))})
    return len(found["trees"])


def _pairs(answers: _Collected, name: str) -> None:
    """Pairs whose trees are in the file."""
    rows = answers.put("pairs", {"set": name}, limit=str(_MOST_ROWS))["rows"]
    kept = [row for row in rows if answers.has("tree", {"set": name, "tree": row["tree"]})]
    answers.keep("pairs", {"set": name}, {"num_found": len(kept), "rows": kept})
    for row in kept:
        try:
            answers.take("pair", set=name, number=str(row["number"]))
        except RStarError:
            continue  # its other tree is gone


def _page(files: Mapping[str, bytes], answers: str) -> str:
    style, script = files["style.css"].decode(), bundle(files)
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; style-src '{_hash(style)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = files["index.html"].decode()
    page = page.replace(
        '<meta charset="utf-8">',
        f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{policy}">',
    )
    page = page.replace('<link rel="stylesheet" href="style.css">', f"<style>{style}</style>")
    page = page.replace('<script type="module" src="main.js"></script>\n', "")
    data = f'<script type="text/plain" id="answers">{answers}</script>'
    return page.replace("</body>", f'{data}\n<script type="module">{script}</script>\n</body>')


def bundle(files: Mapping[str, bytes]) -> str:
    """All modules of the page as one script, each behind those that it imports."""
    done: list[str] = []

    def add(name: str) -> str:
        if name in done:
            return ""
        done.append(name)
        text = files[name].decode()
        before = "".join(add(found[2]) for found in _IMPORT.finditer(text))
        return before + re.sub(r"^export ", "", _IMPORT.sub("", text), flags=re.MULTILINE)

    return add("main.js")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
