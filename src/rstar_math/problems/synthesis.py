"""New problems from seed problems, each with a reference by agreement (rStar-Math, section 3.4; METHOD.md section 3).

A model reads a few seed problems and writes another one; independent solutions of it are sampled, and their majority
becomes its reference, if enough of them agree. What is not agreed on is dropped, and counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rstar_math.config import SearchSettings, SynthesisSettings
from rstar_math.engines.base import Engine
from rstar_math.problems.prepare import words
from rstar_math.search.answer import equivalence_classes
from rstar_math.search.environment import Environment
from rstar_math.search.sampling import sample
from rstar_math.types import Problem, SamplingParams

_END = "\n\n###"

MakeEnvironment = Callable[[Problem, int], Environment]
"""(problem, seed) -> the environment in which it is solved."""


@dataclass
class MadeProblems:
    """What came out.

    Attributes:
      problems: with references, in the order of their proposals.
      agreement: by problem id: how many solutions agree with the reference, of how many finished.
      dropped: how many proposals were dropped, by reason.
    """

    problems: list[Problem] = field(default_factory=list)
    agreement: dict[str, tuple[int, int]] = field(default_factory=dict)
    dropped: Counter[str] = field(default_factory=Counter)


async def make_problems(
    engine: Engine,
    make_environment: MakeEnvironment,
    seeds: Sequence[Problem],
    settings: SynthesisSettings,
    seed: int = 0,
) -> MadeProblems:
    """Proposes problems and keeps those on whose answer independent solutions agree.

    Args:
      engine: writes proposals: any policy, with or without a few-shot prompt.
      make_environment: (problem, seed) -> environment in which it is solved.
      seeds: problems to start from; the new one gets the tier of the first that was shown.
      settings: see there.
      seed: of everything.
    """
    proposals = await asyncio.gather(
        *(_propose(engine, seeds, settings, seed, i) for i in range(settings.num_problems))
    )
    made, known = MadeProblems(), {words(p.question) for p in seeds}
    distinct: list[Problem] = []
    for problem in proposals:
        key = words(problem.question)
        if len(key) < 5:
            made.dropped["no problem in the proposal"] += 1
        elif key in known:
            made.dropped["copy of a seed or of another proposal"] += 1
        else:
            known.add(key)
            distinct.append(problem)
    outcomes = await asyncio.gather(*(reference_by_agreement(make_environment, p, settings, seed) for p in distinct))
    for problem, (answer, num_agreeing, num_finished) in zip(distinct, outcomes, strict=True):
        if answer is None:
            made.dropped["no solution finished"] += 1
        elif num_agreeing < settings.min_agreeing:
            made.dropped[f"fewer than {settings.min_agreeing} solutions agree"] += 1
        elif num_agreeing < settings.min_share * num_finished:
            made.dropped[f"less than {100 * settings.min_share:.0f} % of the solutions agree"] += 1
        else:
            made.problems.append(replace(problem, answer=answer))
            made.agreement[problem.id] = (num_agreeing, num_finished)
    return made


async def reference_by_agreement(
    make_environment: MakeEnvironment, problem: Problem, settings: SynthesisSettings, seed: int
) -> tuple[str | None, int, int]:
    """The majority's answer of independent solutions, how many gave it, and how many were finished with an answer."""
    search = SearchSettings(
        num_rollouts=settings.num_solutions,
        use_ppm=False,
        temperature=settings.solution_temperature,
        max_solution_tokens=settings.max_solution_tokens,
    )
    env = make_environment(replace(problem, answer=None), seed)
    tree = await sample(env, search)
    answers = [step.answer for i in tree.rollouts if (step := tree.nodes[i].step) and step.answer]
    if not answers:
        return None, 0, 0
    classes = await equivalence_classes(answers, env.grade)
    (label, count), *_ = Counter(classes).most_common(1)
    return answers[label], count, len(answers)


async def _propose(
    engine: Engine, seeds: Sequence[Problem], settings: SynthesisSettings, seed: int, number: int
) -> Problem:
    chance = random.Random(f"{seed}/{number}")
    shown = chance.sample(list(seeds), min(settings.num_seeds_shown, len(seeds)))
    params = SamplingParams(
        n=1,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        stop=(_END,),
        seed=chance.getrandbits(62),
    )
    generation = await engine.generate(proposal_prompt([p.question for p in shown]), params)
    question = generation.completions[0].text.strip()
    problem_id = f"made-{hashlib.sha256(question.encode()).hexdigest()[:12]}-{number}"
    return Problem(problem_id, question, None, shown[0].tier, "made from " + ", ".join(p.id for p in shown))


def proposal_prompt(questions: Sequence[str]) -> str:
    """What the model continues with a new problem, up to the next "###"."""
    head = (
        "Below are mathematical problems, each complete in itself and with one answer: a number or a formula. The last "
        "one is new: of the same kind and at least as hard, not a copy with other numbers."
    )
    shown = [f"### Problem {i}\n{question.strip()}" for i, question in enumerate(questions, start=1)]
    return "\n\n".join([head, *shown, f"### Problem {len(questions) + 1}\n"])
