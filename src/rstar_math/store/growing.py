"""Trees while they grow, for whoever looks on: a file beside the trees that nobody writes while nobody looks.

    TREES/.live/watched             touched by a viewer every second; older than three seconds: nobody looks
    TREES/.live/<machine>-<pid>.jsonl   of each search process: the new nodes of its trees, and what has changed

A search looks for `watched` ten times a second at most, and only when it has got new candidates; it writes nothing
without it. A viewer that comes late is told whole trees first. No search waits for a reader.
"""

from __future__ import annotations

import functools
import json
import os
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rstar_math.store.files import is_alive, json_line, this_machine
from rstar_math.store.records import FORMAT_VERSION, LIVE_FOLDER, node_to_row
from rstar_math.tree import Node, Tree

WATCHED = "watched"
WATCHED_S = 3.0
"""Seconds for which one touch of `watched` counts."""

_LOOK_EVERY_S = 0.1
_MAX_BYTES = 64 << 20
_REST = 50
"""A tree is told again only after so many times the seconds that telling it took: at most 2 % of a search's time."""


class GrowingTrees:
    """The trees that one process grows for one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / LIVE_FOLDER
        self._path = self._folder / f"{this_machine()}-{os.getpid()}.jsonl"
        self._next_look = 0.0
        self._is_watched = False
        self._told: dict[str, _Told] = {}
        self._file: int = -1

    def __call__(self, tree: Tree) -> None:
        """A tree has got candidates: whoever looks is told what is new in it."""
        now = time.monotonic()
        if now >= self._next_look:
            self._look(now)
        if not self._is_watched:
            return
        told = self._told.setdefault(tree.id, _Told())
        if now < told.not_before:
            return
        with suppress(OSError):  # no room, or no right to write: the search goes on unseen
            self._write(told.news(tree))
        told.not_before = time.monotonic() + _REST * (time.monotonic() - now)

    def ended(self, tree_id: str) -> None:
        """A tree is finished, or given up."""
        if self._told.pop(tree_id, None) is not None and self._is_watched:
            with suppress(OSError):
                self._write({"tree": tree_id, "ended": True})

    def _look(self, now: float) -> None:
        self._next_look = now + _LOOK_EVERY_S
        try:
            age = time.time() - (self._folder / WATCHED).stat().st_mtime
        except OSError:
            age = WATCHED_S
        if age < WATCHED_S:
            self._is_watched = True
        elif self._is_watched:
            self._stop()

    def _stop(self) -> None:
        """Nobody looks any more: the file goes, and whoever comes next is told everything."""
        self._is_watched = False
        self._told.clear()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
            self._path.unlink(missing_ok=True)

    def _write(self, row: dict[str, Any]) -> None:
        if self._file < 0:
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
        line = json_line(row)
        if os.write(self._file, line) < len(line) or os.fstat(self._file).st_size > _MAX_BYTES:
            self._stop()  # a new file begins with whole trees


class _Told:
    """What has been told of one tree."""

    def __init__(self) -> None:
        self.not_before = 0.0
        self._nodes: list[tuple[object, ...]] = []

    def news(self, tree: Tree) -> dict[str, Any]:
        since = len(self._nodes)
        changed = []
        for node in tree.nodes[:since]:
            state = _state(node)
            if state != self._nodes[node.index]:
                self._nodes[node.index] = state
                changed.append([node.index, *state])
        self._nodes += [_state(node) for node in tree.nodes[since:]]
        row: dict[str, Any] = {
            "tree": tree.id,
            "since": since,
            "nodes": [node_to_row(node) for node in tree.nodes[since:]],
            "changed": changed,
            "rollouts": list(tree.rollouts),
        }
        if not since:
            row["head"] = {
                "format": FORMAT_VERSION,
                "problem": asdict(tree.problem),
                "strategy": tree.strategy,
                "seed": tree.seed,
            }
        return row


CHANGING = ("visit_count", "value_sum", "terminal", "rejected", "correct", "closed", "expanded", "num_proposed")
"""Fields of a node that change after it was made, in the order of a row of `changed` behind the index."""


def _state(node: Node) -> tuple[object, ...]:
    return tuple(getattr(node, name) for name in CHANGING)


@functools.lru_cache(maxsize=16)
def growing_trees(folder: Path) -> GrowingTrees:
    """The one of this process for a folder."""
    return GrowingTrees(folder)


def watch(folder: Path) -> None:
    """Says that somebody looks, for the next `WATCHED_S` seconds; nothing where the folder may not be written to."""
    with suppress(OSError):
        (folder / LIVE_FOLDER).mkdir(exist_ok=True)
        (folder / LIVE_FOLDER / WATCHED).touch()


class Growing:
    """The other end: the trees that grow in a folder, as far as they were told.

    Attributes:
      trees: id -> the row of the tree (`rstar_math.store.records.tree_to_row`), as it is now.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / LIVE_FOLDER
        self._read: dict[str, tuple[int, int]] = {}  # file -> its inode, bytes read
        self._of: dict[str, str] = {}
        self._ended: dict[str, float] = {}
        self.trees: dict[str, dict[str, Any]] = {}

    def refresh(self) -> None:
        """Reads what was told since. Trees that have ended stay for a few seconds, until they are files."""
        names = [p.name for p in self._folder.glob("*.jsonl")] if self._folder.is_dir() else []
        for name in [n for n in self._read if n not in names]:
            self._drop(name)
        for name in names:
            self._follow(name)
        for tree_id, at in list(self._ended.items()):
            if time.monotonic() - at > 5:
                self._forget(tree_id)

    def _follow(self, name: str) -> None:
        path = self._folder / name
        machine, _, pid = name.removesuffix(".jsonl").partition("-")
        if machine == this_machine() and pid.isdecimal() and not is_alive(int(pid)):
            self._drop(name)
            with suppress(OSError):
                path.unlink()
            return
        with suppress(OSError), open(path, "rb") as file:
            inode, at = os.fstat(file.fileno()).st_ino, 0
            if self._read.get(name, (inode, 0))[0] == inode:
                at = self._read.get(name, (inode, 0))[1]
            else:
                self._drop(name)
            if os.fstat(file.fileno()).st_size <= at:
                return
            file.seek(at)
            content = file.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read[name] = (inode, at + len(whole))
            for line in whole.splitlines():
                with suppress(ValueError, KeyError, TypeError, IndexError):  # damaged: seen again when it is a file
                    self._hear(name, json.loads(line))

    def _hear(self, name: str, row: dict[str, Any]) -> None:
        tree_id = row["tree"]
        if row.get("ended"):
            self._ended[tree_id] = time.monotonic()
            return
        if "head" in row:
            self.trees[tree_id] = {**row["head"], "stopped": "", "cost": _NO_COST, "nodes": [], "rollouts": []}
            self._of[tree_id] = name
            self._ended.pop(tree_id, None)
        tree = self.trees[tree_id]
        if len(tree["nodes"]) != row["since"]:
            return
        tree["nodes"] += row["nodes"]
        for index, *state in row["changed"]:
            tree["nodes"][index].update(zip(CHANGING, state, strict=True))
        tree["rollouts"] = row["rollouts"]

    def _drop(self, name: str) -> None:
        self._read.pop(name, None)
        for tree_id in [t for t, of in self._of.items() if of == name]:
            self._forget(tree_id)

    def _forget(self, tree_id: str) -> None:
        self.trees.pop(tree_id, None)
        self._of.pop(tree_id, None)
        self._ended.pop(tree_id, None)


_NO_COST = {
    **dict.fromkeys(("tokens_prompt", "tokens_generated", "tokens_scored", "model_calls", "executions", "grades"), 0),
    "cpu_seconds": 0.0,
    "seconds": 0.0,
}
