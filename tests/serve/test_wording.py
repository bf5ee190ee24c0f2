"""Messages for people: steps, output and answer stand in them, and nothing that a model wrote can leave its place."""

from __future__ import annotations

import re

from rstar_math import steps
from rstar_math.search.events import Event, NotReproduced, Proposal, StepsProposed, TreeBegun, TreeGrown, Voted
from rstar_math.serve.wording import message, short_message, thought
from rstar_math.types import Cost, Execution, Solution, Step, Trajectory, Unfinished

HOSTILE = "\x1b[2J\x9b31m\u202e\x07"
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


def solution(code: str, output: str, sentence: str, answer: str) -> Solution:
    trace = (
        Step(f"\n{code}\n{steps.END_OF_CODE}", code, steps.observation(output), Execution("ok", output)),
        Step(f"\n{steps.ANSWER}{sentence}{steps.END_OF_ANSWER}", answer=answer),
    )
    trajectory = Trajectory("p", (1, 2), trace, (0.5, 0.5), answer, None)
    return Solution(answer, trace, trajectory)


def test_steps_output_and_answer_stand_in_it() -> None:
    found = "".join(message(solution("print(6 + 1)", "7\n", "It is \\boxed{7}.", "7")))
    assert found == "Step 1\n```python\nprint(6 + 1)\n```\nprints\n```text\n7\n```\n\nIt is \\boxed{7}."


def test_no_code_and_no_output_ends_its_block() -> None:
    found = "".join(message(solution("x = '```\\n# not code'\n````", "```\n<b>7</b>", "It is \\boxed{7}.", "7")))
    assert "`````python\n" in found
    assert "````text\n```\n<b>7</b>\n````\n" in found


def test_no_control_character_passes() -> None:
    hostile = solution(f"x = '{HOSTILE}'", f"7{HOSTILE}", f"It is \\boxed{{7{HOSTILE}}}.", f"7{HOSTILE}")
    step = hostile.reasoning_trace[0]
    events: list[Event] = [
        TreeBegun(0, HOSTILE),
        StepsProposed(0, (), (Proposal(step, 2, HOSTILE, 0.5, False),)),
        TreeGrown(0, 1, "budget", Cost(), (hostile.trajectory,) if hostile.trajectory else ()),
        Voted(1, 1, HOSTILE, 1.0),
        NotReproduced(hostile.trajectory) if hostile.trajectory else Voted(0, 0, None, 0.0),
    ]
    texts = [*message(hostile), short_message(hostile), *map(thought, events)]
    assert all(texts)
    assert not RAW.search("".join(texts))
    nothing = Solution(None, (), None, unfinished=Unfinished.EXECUTION_FAILED, why=f"failed: {HOSTILE}")
    assert not RAW.search(short_message(nothing))


def test_an_answer_without_a_sentence_gets_one() -> None:
    trace = (Step("print(7)", "print(7)", steps.observation("7"), Execution("ok", "7"), answer="7"),)
    program = Solution("7", trace, None)
    assert short_message(program) == "The answer is \\boxed{7}."


def test_long_output_is_cut() -> None:
    found = "".join(message(solution("print(1)", "1" * 60_000, "It is \\boxed{1}.", "1")))
    assert len(found) < 3_000
    assert "(60,000 characters)" in found
