"""What simulated learners are told, counted."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from rstar_math.api.asking import asked
from rstar_math.api.model import RStarMathModel
from rstar_math.api.tutoring import lesson_on, taught
from rstar_math.pocket.families import Exercise
from rstar_math.pocket.splits import problem_of
from rstar_math.tutor.judging import Judgement, judge
from rstar_math.tutor.lesson import Lesson
from rstar_math.types import Problem
from tests.tutor.learners import Try, right_tries, wrong_tries

SEED = 20_261_130
"""Of the 100 problems that figures are measured on, and nothing is tuned on."""


@dataclass
class Counts:
    """All judgements.

    Attributes:
      problems: by how sure the tutor was: "sure", "not sure", "does not know".
      right, wrong: (how, how sure) -> how many judgements were as they should be, and how many there were.
      named: wrong tries that were refused, and whose wrong line was named.
      leaks: texts in which the answer stood before it was given or asked for.
      failures: what was not as it should be.
    """

    problems: Counter[str] = field(default_factory=Counter)
    right: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    wrong: dict[tuple[str, str], list[bool]] = field(default_factory=lambda: defaultdict(list))
    named: list[bool] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def share(self, which: str, sure: str | None = None) -> tuple[float, int]:
        """The share of right tries accepted, or of wrong ones refused, and how many there were."""
        table = self.right if which == "right" else self.wrong
        found = [ok for (_, how_sure), oks in table.items() if sure in (None, how_sure) for ok in oks]
        return (sum(found) / len(found) if found else 0.0), len(found)

    def text(self, with_failures: bool = False) -> str:
        """A table."""
        lines = [f"problems: {dict(self.problems)}"]
        for which, verb in (("right", "accepted"), ("wrong", "refused")):
            for sure in (None, *sorted(self.problems)):
                share, num = self.share(which, sure)
                lines.append(f"{which} steps {verb}, {sure or 'all problems'}: {100 * share:.1f} % of {num}")
            table = self.right if which == "right" else self.wrong
            by_how: dict[str, list[bool]] = defaultdict(list)
            for (how, sure), oks in table.items():
                if sure != "does not know":
                    by_how[how] += oks
            lines += [f"    {how}: {100 * sum(o) / len(o):.1f} % of {len(o)}" for how, o in by_how.items()]
        share = 100 * sum(self.named) / max(1, len(self.named))
        lines.append(f"the first wrong step was named in {share:.1f} % of {len(self.named)} refusals")
        lines.append(f"texts in which the answer stood too early: {len(self.leaks)}")
        return "\n".join([*lines, *(self.failures + self.leaks if with_failures else [])])


async def measure_model(
    model: RStarMathModel, chosen: Sequence[Exercise], counts: Counts, with_reference: bool = False, at_once: int = 4
) -> None:
    """Teaches each problem to all learners; belongs to the model's loop."""
    turns = asyncio.Semaphore(at_once)

    async def one(number: int, exercise: Exercise) -> None:
        problem = problem_of(exercise)
        question = Problem(problem.id, problem.question, problem.answer if with_reference else None)
        async with turns:
            lesson = await lesson_on(model._workbench, asked(question, model), lambda q: model._answer(q, None))
            await measure(lesson, exercise, random.Random(number), counts)

    await asyncio.gather(*(one(i, e) for i, e in enumerate(chosen)))


async def measure(lesson: Lesson, exercise: Exercise, rng: random.Random, counts: Counts) -> None:
    """Lets every learner try this question, each from the beginning."""
    trust = lesson.trust
    sure = "does not know" if not trust.knows else "sure" if trust.sure else "not sure"
    counts.problems[sure] += 1
    answer = str(exercise.reference)
    _hints(lesson.again(), answer, counts)
    for tries in (right_tries(exercise), wrong_tries(exercise, rng)):
        for this in tries:
            own = lesson.again()
            for text in this.before:
                if not own.is_over:
                    await judge(own, text)
            if own.is_over:
                continue
            judged = await judge(own, this.text)
            _count(this, judged, sure, counts, exercise.question)
            if not own.is_over and judged.value != answer:  # else the learner's own text computes it
                _seek(answer, exercise.question, this, json.dumps(asdict(taught(own))) + judged.text, counts)


def _count(this: Try, judged: Judgement, sure: str, counts: Counts, question: str) -> None:
    if this.wrong is None:
        is_fine = judged.accepted
        counts.right[this.how, sure].append(is_fine)
    else:
        is_fine = not judged.accepted
        counts.wrong[this.how, sure].append(is_fine)
        if is_fine and sure != "does not know":
            is_named = judged.wrong is not None and _bare(judged.wrong) in _bare(this.wrong)
            counts.named.append(is_named)
            is_fine = is_named
    if not is_fine and sure != "does not know":
        counts.failures.append(
            f"{question}\n  [{sure}] {this.how}: {this.before} | {this.text!r}\n  -> {judged.kind}: {judged.text}"
        )


def _hints(lesson: Lesson, answer: str, counts: Counts) -> None:
    """All hints and all steps that are shown, up to the last."""
    asked = Try("hints", (), "")
    for _ in range(40):
        for _ in range(4):
            lesson.hint()
        shown = lesson.show()
        said = json.dumps([asdict(taught(lesson)), asdict(shown) if shown else None])
        _seek(answer, lesson.question, asked, said, counts)
        if shown is None or shown.value is None:
            return


def _seek(answer: str, question: str, this: Try, said: str, counts: Counts) -> None:
    """The answer as a number in what was said; not where the question or the learner said it."""
    pattern = rf"(?<![\d.-]){re.escape(answer)}(?![\d])"
    own = "\n".join((question, this.text, *this.before))
    if re.search(pattern, said) and not re.search(pattern, own):
        counts.leaks.append(f"LEAK of {answer}: {this} {said}")


def _bare(text: str) -> str:
    return re.sub(r"\s|`", "", text)
