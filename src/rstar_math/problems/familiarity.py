"""How familiar a question is to a model: its surprise under a trigram model of the questions it was trained on.

A policy answers a question of another kind as firmly as one of its own: the votes of its samples agree on nonsense. So
an answer to a question that is more surprising than nearly all held-out questions of the model's own kind is never
called sure. Words are counted, nothing is read by the policy, so this works for a policy behind a URL as well.

Measured against hidden states of the policy and other counts in docs/log.md.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rstar_math.errors import DataError
from rstar_math.store.files import read_json, write_json

FILE_NAME = "familiarity.json"
FORMAT = 1

UNKNOWN_WORD = 30.0
"""Nats for a word that no training question has: chosen among 8, 15, 30 and 60 on validation questions (docs/log.md).
What a smoothed count gives it (about 10) lets one foreign word drown in an otherwise familiar question."""

MAX_QUESTIONS = 20_000
"""Questions that are counted; of more, so many at equal distances. Further ones add little but megabytes."""

_ORDER = 3
_BEGIN, _END, _NUMBER, _DECIMAL, _LONG = "<s>", "</s>", "#", "#.#", "##"
_WORD = re.compile(r"\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class FamiliaritySource:
    """What a model of questions was made from.

    Attributes:
      trained_on: name of the training problems, and `num_questions` of them counted.
      limit_from: name of the held-out problems that the limit was chosen on, and `num_limit_questions` of them.
      share_outside: share of those that lies above the limit, at most, in [0, 1].
    """

    trained_on: str
    num_questions: int
    limit_from: str
    num_limit_questions: int
    share_outside: float


class Familiarity:
    """A trigram model of questions, with Witten-Bell smoothing, and the surprise from which a question is outside.

    Attributes:
      trigrams: how often each three words in a row occur, as "w1 w2 w3"; the counts of shorter runs follow from them.
      longest_number: most digits of a number.
      limit: surprise, in nats a word, above which a question is outside.
      source: what it was made from.
    """

    def __init__(
        self, trigrams: Mapping[str, int], longest_number: int, limit: float, source: FamiliaritySource
    ) -> None:
        self.trigrams, self.longest_number, self.limit, self.source = trigrams, longest_number, limit, source
        self._count: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(_ORDER)]
        for text, count in trigrams.items():
            words = tuple(text.split(" "))
            for n in range(_ORDER):
                self._count[n][words[_ORDER - 1 - n :]] += count
        self._context: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(_ORDER)]
        self._followers: list[Counter[tuple[str, ...]]] = [Counter() for _ in range(_ORDER)]
        for n in range(_ORDER):
            for run, count in self._count[n].items():
                self._context[n][run[:-1]] += count
                self._followers[n][run[:-1]] += 1

    def surprise(self, question: str) -> float:
        """Mean negative log-probability of the question's words, in nats; `UNKNOWN_WORD` for one never seen."""
        words = [_BEGIN] * (_ORDER - 1) + _words(question, self.longest_number) + [_END]
        runs = [tuple(words[i - _ORDER + 1 : i + 1]) for i in range(_ORDER - 1, len(words))]
        return sum(self._surprise(run) for run in runs) / len(runs)

    def unknown_words(self, question: str) -> tuple[str, ...]:
        """Words of the question that no training question has, as they stand in it, each once."""
        known = self._count[0]
        return tuple(
            dict.fromkeys(w for w in _WORD.findall(question) if (_normal(w, self.longest_number),) not in known)
        )

    def is_outside(self, question: str) -> bool:
        """Whether the question is of another kind than the model was trained on."""
        return self.surprise(question) > self.limit

    def _surprise(self, run: tuple[str, ...]) -> float:
        if run[-1:] not in self._count[0]:
            return UNKNOWN_WORD
        probability = 0.0
        for n in range(_ORDER):
            part = run[_ORDER - 1 - n :]
            if total := self._context[n][part[:-1]]:
                followers = self._followers[n][part[:-1]] if n else 0  # every word is known here: nothing is kept back
                probability = (self._count[n][part] + followers * probability) / (total + followers)
        return -math.log(probability)


def fit_familiarity(
    trained: Sequence[str],
    held_out: Sequence[str],
    *,
    trained_on: str,
    limit_from: str,
    share_outside: float,
) -> Familiarity:
    """Counts the training questions, and puts the limit where few held-out questions of the same kind lie above it.

    Args:
      trained: questions that the model was trained on.
      held_out: questions of the same kind that it was not trained on.
      trained_on, limit_from: names of the two, for the record.
      share_outside: share of `held_out` that may lie above the limit, in [0, 1).

    Raises:
      DataError: there are no questions of one of the two.
    """
    if not trained or not held_out:
        raise DataError(f"familiarity needs questions of {trained_on} and of {limit_from}, and one of them has none")
    counted = trained[:: math.ceil(len(trained) / MAX_QUESTIONS)]
    longest = max((len(w) for q in counted for w in _WORD.findall(q) if w.isdigit()), default=0)
    trigrams: Counter[str] = Counter()
    for question in counted:
        words = [_BEGIN] * (_ORDER - 1) + _words(question, longest) + [_END]
        trigrams.update(" ".join(words[i - _ORDER + 1 : i + 1]) for i in range(_ORDER - 1, len(words)))
    source = FamiliaritySource(trained_on, len(counted), limit_from, len(held_out), share_outside)
    open_ended = Familiarity(trigrams, longest, math.inf, source)
    surprises = sorted(open_ended.surprise(question) for question in held_out)
    limit = surprises[len(surprises) - 1 - math.floor(share_outside * len(surprises))]
    return Familiarity(trigrams, longest, limit, source)


def write_familiarity(folder: Path, familiarity: Familiarity) -> None:
    """Writes `familiarity.json` beside a model."""
    source = familiarity.source
    value = {
        "format": FORMAT,
        "limit": familiarity.limit,
        "trained_on": source.trained_on,
        "num_questions": source.num_questions,
        "limit_from": source.limit_from,
        "num_limit_questions": source.num_limit_questions,
        "share_outside": source.share_outside,
        "longest_number": familiarity.longest_number,
        "trigrams": dict(sorted(familiarity.trigrams.items())),
    }
    write_json(folder / FILE_NAME, value)


def read_familiarity(folder: Path) -> Familiarity | None:
    """Reads `familiarity.json` beside a model; None where there is none.

    Raises:
      DataError: the file cannot be read, lacks a key, or has another format number.
    """
    path = folder / FILE_NAME
    if not path.exists():
        return None
    value = read_json(path)
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        found = value.get("format") if isinstance(value, dict) else None
        raise DataError(f"{path} has format {found!r}; this version reads format {FORMAT}: run `rstar calibrate` again")
    try:
        source = FamiliaritySource(
            trained_on=str(value["trained_on"]),
            num_questions=int(value["num_questions"]),
            limit_from=str(value["limit_from"]),
            num_limit_questions=int(value["num_limit_questions"]),
            share_outside=float(value["share_outside"]),
        )
        trigrams = {str(run): int(count) for run, count in value["trigrams"].items()}
        if not trigrams or any(run.count(" ") != _ORDER - 1 for run in trigrams):
            raise ValueError("trigrams must be runs of three words")
        return Familiarity(trigrams, int(value["longest_number"]), float(value["limit"]), source)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{path} is incomplete or damaged ({error!r}): run `rstar calibrate` again") from error


def _words(question: str, longest_number: int) -> list[str]:
    return [_normal(word, longest_number) for word in _WORD.findall(question)]


def _normal(word: str, longest_number: int) -> str:
    """Numbers are alike but for a decimal point and more digits than were ever seen; letters are lower case."""
    if not word[0].isdigit():
        return word.lower()
    if "." in word:
        return _DECIMAL
    return _NUMBER if len(word) <= longest_number else _LONG
