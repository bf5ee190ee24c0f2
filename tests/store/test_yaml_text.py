"""YAML that is too large, too deep, repeated or no YAML at all is refused by its line, and quickly."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math.config import Recipe
from rstar_math.config.reading import check, load_recipe
from rstar_math.config.yaml_text import MAX_BYTES, MAX_DEPTH, parse_yaml, read_yaml, shown_value
from rstar_math.errors import ConfigError

BOMB = "x: &a [1]\n" + "".join(f"x{i}: &a{i} [{', '.join([f'*a{i - 1}' if i else '*a'] * 9)}]\n" for i in range(12))
MERGES = "a: &a {k: 1}\n" + "".join(
    f"b{i}: &b{i} {{<<: [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]}}\n" for i in range(12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, r"mine, line \d+: more than 100,000 values, aliases counted in full"),
        (MERGES, r"mine, line \d+: more than 100,000 values, aliases counted in full"),
        ("&a [*a]", "mine, line 1: a value that contains itself"),
        ("&a {b: {c: *a}}", "mine, line 1: a value that contains itself"),
        ("a: 1\nb: 2\na: 3", "mine, line 3: the key 'a' stands already on line 1"),
        ("x:\n  - {a: 1, b: 2, a: 3}", "mine, line 2: the key 'a' stands already on line 2"),
        ("[" * 100_000, f"mine, line 1: nested more than {MAX_DEPTH} levels deep"),
        ("- " * 100_000 + "a", f"mine, line 1: nested more than {MAX_DEPTH} levels deep"),
        ("a: " * 100_000, "mine cannot be read"),
        ("a: " + "x" * MAX_BYTES, f"mine has {MAX_BYTES + 3:,} characters; at most {MAX_BYTES:,} are read"),
        ("a: 2026-99-99", "mine cannot be read: a value is not what it looks like"),
        ("a: !!bool maybe", "mine cannot be read"),
        ("a: !!timestamp soon", "mine cannot be read"),
        ("a: " + "9" * 5000, "mine cannot be read"),
        ("a: \x00", "mine cannot be read"),
        ("a: \ud800", "mine cannot be read"),
        ("!!python/object/apply:os.system [ls]", "mine cannot be read"),
        ("a: 1\n---\nb: 2", "mine cannot be read"),
        ("{[a]: b}", "mine cannot be read"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        parse_yaml(text, "mine")
    assert len(str(refused.value)) < 1000


def test_what_people_write_is_read() -> None:
    text = "search: &search {num: 4, use: false}\nrounds:\n  - {<<: *search, use: true}\n  - *search\nnone:\n"
    rounds = [{"num": 4, "use": True}, {"num": 4, "use": False}]
    assert parse_yaml(text, "mine") == {"search": rounds[1], "rounds": rounds, "none": None}
    assert parse_yaml("", "mine") is None


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"#%@,?<\n \t0129.~\x85", max_size=60))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    with suppress(ConfigError):
        parse_yaml(text, "mine")


@pytest.mark.parametrize(
    "content", [b"\xff\xfea\x00", b"a: \xe9", b"\x89PNG\r\n\x1a\n\0\0", "a: 1".encode("utf-16")], ids=repr
)
def test_bytes_that_are_no_text(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"recipe .*mine\.yaml cannot be read"):
        load_recipe(str(path))


def test_a_byte_order_mark_and_windows_lines_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes("\ufeffa: 1\r\nb: [x,\r\n  y]\r\n".encode())
    assert read_yaml(path, "recipe") == {"a": 1, "b": ["x", "y"]}


def test_a_large_file_is_not_read_at_all(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    with path.open("wb") as f:
        f.truncate(1 << 40)  # a hole: a terabyte that takes no room
    with pytest.raises(ConfigError, match="has 1,099,511,627,776 bytes; at most 1,048,576 are read"):
        read_yaml(path, "recipe")


def test_messages_are_short_whatever_the_values() -> None:
    long: list[object] = [["x" * 10_000] * 100] * 100
    value = {"name": long, "rounds": [{"search": long}] * 5000, "evaluation": "y" * 10_000_000, "problems": 9**9999}
    with pytest.raises(ConfigError) as refused:
        check(Recipe, value, "mine")
    assert len(str(refused.value)) < 20_000
    assert re.search(r"and \d+ more", str(refused.value))
    assert len(shown_value(value)) < 500
