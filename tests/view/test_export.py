"""The exported page: one script, nothing from elsewhere, every answer under the words that a browser writes."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from rstar_math.types import Problem
from rstar_math.view.export import address, bundle, export_page
from rstar_math.view.files import static_files
from rstar_math.view.library import Library
from tests.view.made import problems, small_tree, write_trees


def test_no_two_modules_have_a_name_in_common() -> None:
    names: Counter[str] = Counter()
    for name, content in static_files().items():
        if name.endswith(".js"):
            text = content.decode()
            names.update(re.findall(r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)", text, re.MULTILINE))
            assert "import(" not in text
            assert not re.search(r"^export (?!(async )?(function|class|const|let) )", text, re.MULTILINE), name
    assert [name for name, count in names.items() if count > 1] == []


def test_the_script_holds_every_module_once_and_imports_none() -> None:
    script = bundle(static_files())
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    for name in ("class TreeCanvas", "class TreeData", "function treePage", "async function start"):
        assert script.count(name) == 1


@pytest.mark.parametrize(
    ("words", "written"),
    [
        ({"set": "run/round-1/trees"}, "a?set=run%2Fround-1%2Ftrees"),
        ({"a": "x y", "b": "~*-._&=%+"}, "a?a=x+y&b=%7E*-._%26%3D%25%2B"),
        ({"a": "\u202eé😀"}, "a?a=%E2%80%AE%C3%A9%F0%9F%98%80"),
        ({}, "a?"),
    ],
)
def test_addresses_are_written_as_in_a_browser(words: dict[str, str], written: str) -> None:
    assert address("a", words) == written


def test_what_is_in_the_file(tmp_path: Path) -> None:
    hostile = Problem("</script><script>alert(1)</script>", "<!-- </script>", "42")
    trees = [small_tree(hostile), *(small_tree(p) for p in problems(3))]
    path = tmp_path / "page.html"
    exported = export_page(Library([write_trees(tmp_path / "trees", trees)], tmp_path / "cache"), path, 3)
    assert (exported.num_problems, exported.num_trees, exported.num_left_out) == (3, 3, 1)
    page = path.read_text(encoding="utf-8")
    assert exported.num_bytes == len(page.encode())
    assert page.count("</script>") == 2
    assert "alert(1)" not in page
    assert not re.search(r'(src|href)="(?!data:,)', page)
    (packed,) = re.findall(r'<script type="text/plain" id="answers">([A-Za-z0-9+/=]+)</script>', page)
    answers = json.loads(gzip.decompress(base64.b64decode(packed)))
    tree = answers[address("tree", {"set": "trees/trees", "tree": f"{hostile.id}@0"})]
    assert tree["problem"]["question"] == hostile.question
    nodes = answers[address("node", {"set": "trees/trees", "tree": "p-000@0"})]["nodes"]
    assert nodes[1]["execution"]["output"] == "42\n"
