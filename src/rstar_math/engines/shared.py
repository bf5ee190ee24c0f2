"""Completions and scores that were asked for before, kept in a file: methods that are measured side by side share them.

A completion is a function of the model, the prompt and the parameters with their seed, so methods that sample alike,
and the same method at several budgets, ask for the same completions. What is remembered counts in `Cost` as if it
were made again; seconds do not say anything any more.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rstar_math.config import PolicySettings
from rstar_math.engines.base import Engine, Generation, Meter, Note, Noting, RewardModel, Score, generate_metered
from rstar_math.errors import DataError, DiskFullError, PathError
from rstar_math.store.files import make_folder
from rstar_math.store.paths import shown
from rstar_math.types import Completion, SamplingParams

_WAIT_S = 60.0
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


class Memory:
    """A file of values by key that several processes may read and write at the same time."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it.

        Raises:
          DataError: it is something else, or another process keeps it locked.
          PathError: it cannot be written.
        """
        make_folder(path.parent)
        try:
            # models are opened in a thread beside the event loop (workers/bench.py), and used in the loop's own
            self._connection = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise PathError(f"cannot write {shown(path)}: {error}") from error
        self._path = path
        until = time.monotonic() + _WAIT_S
        while not self._is_ready(path):
            if time.monotonic() > until:
                raise DataError(f"{path} is locked by another process; end it, or give another file")
            time.sleep(0.02)

    def _is_ready(self, path: Path) -> bool:
        """Whether the file could be made ready now: SQLite refuses at once where two processes begin the same one."""
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
            self._connection.execute("CREATE TABLE IF NOT EXISTS kept (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                return False
            if error.sqlite_errorcode & 0xFF in _NO_ROOM:
                raise _full(path) from error
            raise DataError(f"{path} holds no remembered completions ({error}); give another file") from error
        return True

    def get(self, key: str) -> str | None:
        """The value of a key, or None."""
        row = self._connection.execute("SELECT value FROM kept WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str) -> None:
        """Keeps a value; the first one of a key stays.

        Raises:
          DiskFullError: there is no room.
        """
        try:
            self._connection.execute("INSERT OR IGNORE INTO kept VALUES (?, ?)", (key, value))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in _NO_ROOM:
                raise
            raise _full(self._path) from error

    def close(self) -> None:
        """Closes the file."""
        self._connection.close()


def _full(path: Path) -> DiskFullError:
    return DiskFullError(f"the disk is full while writing {shown(path)}; make room and run the same command again")


class RememberingEngine:
    """A policy that is asked for each completion once."""

    def __init__(self, engine: Engine, memory: Memory, model: str) -> None:
        """Wraps an engine.

        Args:
          engine: draws what is not remembered.
          memory: closed together with the engine.
          model: tells models apart, see `model_key`.
        """
        self._engine, self._memory, self._model = engine, memory, model

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        """As the engine's own."""
        return await self.generate_metered(prompt, params, Meter())

    async def generate_metered(self, prompt: str, params: SamplingParams, meter: Meter) -> Generation:
        """The same, and what it cost; what is remembered counts as if it were made again."""
        key = _key(self._model, prompt, asdict(params))
        if (kept := self._memory.get(key)) is not None:
            value = json.loads(kept)
            known = tuple(Completion(*c) for c in value["completions"])
            meter.num_prompt_tokens, meter.num_tokens = value["num_prompt_tokens"], sum(c.num_tokens for c in known)
            return Generation(known, value["num_prompt_tokens"])
        made = await generate_metered(self._engine, prompt, params, meter)
        completions = [[c.text, c.stop, c.num_tokens, c.logprob, c.finish_reason] for c in made.completions]
        self._memory.put(key, json.dumps({"completions": completions, "num_prompt_tokens": made.num_prompt_tokens}))
        return made

    def notes(self) -> Sequence[Note]:
        """What the engine has to say about the completions that it drew itself."""
        return self._engine.notes() if isinstance(self._engine, Noting) else ()

    async def aclose(self) -> None:
        """Ends the engine and closes the file."""
        await self._engine.aclose()
        self._memory.close()


class RememberingRewardModel:
    """A reward model that is asked for each text once."""

    def __init__(self, reward_model: RewardModel, memory: Memory, model: str) -> None:
        """Wraps a reward model; see `RememberingEngine`."""
        self._reward_model, self._memory, self._model = reward_model, memory, model

    async def score(self, texts: Sequence[str]) -> list[Score]:
        """As the reward model's own."""
        keys = [_key(self._model, text) for text in texts]
        kept = {key: Score(*json.loads(value)) for key in keys if (value := self._memory.get(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in kept}
        if missing:
            made = await self._reward_model.score(list(missing.values()))
            for key, score in zip(missing, made, strict=True):
                self._memory.put(key, json.dumps([score.logit, score.value, score.num_tokens]))
                kept[key] = score
        return [kept[key] for key in keys]

    async def aclose(self) -> None:
        """Ends the reward model and closes the file."""
        await self._reward_model.aclose()
        self._memory.close()


def model_key(model: Path | PolicySettings) -> str:
    """Tells a model from others, and from what stood in its folder before it was trained again."""
    if isinstance(model, PolicySettings):
        return model.model_dump_json()
    files = sorted(p for p in model.iterdir() if p.is_file())
    return _key(str(model.resolve()), [[p.name, (stat := p.stat()).st_size, stat.st_mtime_ns] for p in files])


def _key(*values: object) -> str:
    return hashlib.sha256(json.dumps(values, ensure_ascii=False).encode()).hexdigest()
