"""YAML as people write it for this package: small, flat, every key once. What is not, is refused by its line.

A file of a few kilobytes can stand for gigabytes (aliases of aliases), nest deeper than Python recurses, or give a key
twice, of which YAML silently takes the last. Each is found before the values are made.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Any

import yaml

from rstar_math.errors import ConfigError, DataError
from rstar_math.store.files import read_text
from rstar_math.store.paths import reading, shown

MAX_BYTES = 1 << 20
"""The longest text that is read. A recipe with all its keys has a hundredth of that."""

MAX_DEPTH = 50
"""How deep lists and mappings may stand in one another."""

MAX_VALUES = 100_000
"""Most values, an alias counted as all that it stands for."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, what: str) -> Any:
    """Reads a YAML file.

    Args:
      path: the file.
      what: what it is, for messages: `recipe`, `model file`.

    Raises:
      ConfigError: the file cannot be read, is no YAML, too long, nested too deeply, made too large by aliases, or gives
        a key twice; names file and line.
    """
    try:
        with reading(path):
            size = path.stat().st_size
        if size > MAX_BYTES:
            raise ConfigError(f"{what} {shown(path)} has {size:,} bytes; at most {MAX_BYTES:,} are read")
        text = read_text(path)
    except DataError as error:
        raise ConfigError(f"{what} {shown(path)} cannot be read: {error}") from error
    return parse_yaml(text, f"{what} {shown(path)}")


def parse_yaml(text: str, where: str) -> Any:
    """The value of a YAML text.

    Args:
      text: the text.
      where: where it stands, for messages.

    Raises:
      ConfigError: as `read_yaml`; names `where` and the line.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where} has {len(text):,} characters; at most {MAX_BYTES:,} are read")
    try:
        _require_shallow(text, where)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None
            _Checked(where).count(node)
            return loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise ConfigError(f"{where} cannot be read: {str(error)[:400]}") from error
    except (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError) as error:
        # what PyYAML's own makers of dates, numbers and tagged values raise
        raise ConfigError(f"{where} cannot be read: a value is not what it looks like ({str(error)[:200]})") from error


def _require_shallow(text: str, where: str) -> None:
    """Looks at the depth before nodes are made, which is done by recursion."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise ConfigError(f"{where}, line {_line(event.start_mark)}: nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


class _Checked:
    """Counts the values of a tree of nodes, which aliases make a graph, and looks for repeated keys."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._counts: dict[int, int] = {}
        self._open: set[int] = set()

    def count(self, node: yaml.Node) -> int:
        """How many values a node stands for, itself included."""
        if id(node) in self._open:
            raise ConfigError(f"{self._at(node)}: a value that contains itself")
        if id(node) in self._counts:
            return self._counts[id(node)]
        self._open.add(id(node))
        number = 1
        if isinstance(node, yaml.MappingNode):
            self._require_keys_once(node)
            number += sum(self.count(key) + self.count(value) for key, value in node.value)
        elif isinstance(node, yaml.SequenceNode):
            number += sum(map(self.count, node.value))
        if number > MAX_VALUES:
            raise ConfigError(f"{self._at(node)}: more than {MAX_VALUES:,} values, aliases counted in full")
        self._open.remove(id(node))
        self._counts[id(node)] = number
        return number

    def _require_keys_once(self, node: yaml.MappingNode) -> None:
        lines: dict[tuple[str, str], int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = _line(key.start_mark)
            name = (key.tag, key.value)
            if name in lines:
                raise ConfigError(
                    f"{self._where}, line {line}: the key {key.value[:80]!r} stands already on line {lines[name]}; "
                    "each key may be given once"
                )
            lines[name] = line

    def _at(self, node: yaml.Node) -> str:
        return f"{self._where}, line {_line(node.start_mark)}"


def _line(mark: Any) -> int:
    """The line of a mark, from 1; libyaml and PyYAML have a type of it each."""
    return int(mark.line) + 1


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 120
        self.maxdict = self.maxlist = self.maxtuple = 8
        self.maxlevel = 3

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 200 else f"a number of {x.bit_length()} bits"


_SHORT = _Short()


def shown_value(value: object) -> str:
    """A value for a message, cut where it is long."""
    text = _SHORT.repr(value)
    return text if len(text) <= 400 else f"{text[:400]}..."
