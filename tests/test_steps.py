"""The step format: byte-exact round trips, masks, boxed answers, and what a candidate may look like."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rstar_math import steps
from rstar_math.errors import FormatError
from rstar_math.types import Step

RELEASED = Path(__file__).parents[2] / "shared" / "solutions"

# text in which the markers, and pieces of them, are frequent
marked_text = st.lists(
    st.one_of(
        st.sampled_from(
            [*steps.MARKERS, "\n", " ", "x = 1\n", "\\boxed{3}", "<", ">", "<end_of", "{", "}", "\\", "é\u2028"]
        ),
        st.text(max_size=8),
    ),
    max_size=16,
).map("".join)

plain_text = st.text(max_size=30).filter(lambda text: not any(marker in text for marker in steps.MARKERS))


@st.composite
def solutions(draw: st.DrawFn) -> list[Step]:
    """A whole solution as the search makes it: code steps, the closing step with its observation, an answer step."""
    made = []
    for code in draw(st.lists(plain_text, max_size=3)):
        made.append(steps.step_from_text(f"{code}{steps.END_OF_STEP}"))
    seen = steps.observation(draw(st.text(max_size=30)))
    made.append(steps.step_from_text(f"{draw(plain_text)}{steps.END_OF_CODE}", seen))
    # an answer whose text begins with white space belongs to the answer, not to the observation before it
    boxed = draw(st.sampled_from(["", "\\boxed{12}", "\\boxed{\\frac{1}{2}}"]))
    made.append(steps.step_from_text(f"\n{steps.ANSWER}{draw(plain_text)}{boxed}{steps.END_OF_ANSWER}"))
    return made


@settings(max_examples=150, derandomize=True, deadline=None)
@given(marked_text)
def test_any_text_parses_and_renders_back(text: str) -> None:
    parsed = steps.parse(text)
    assert steps.render(parsed) == text
    assert all(step.text for step in parsed)
    # one stop, one step: a stop marker stands only at the end of a step
    for step in parsed:
        body = next((step.text.removesuffix(stop) for stop in steps.STOPS if step.text.endswith(stop)), step.text)
        assert not any(stop in body for stop in steps.STOPS)
    assert all(any(step.text.endswith(stop) for stop in steps.STOPS) for step in parsed[:-1])


@settings(max_examples=100, derandomize=True, deadline=None)
@given(solutions())
def test_a_solution_survives_its_text(solution: list[Step]) -> None:
    assert steps.parse(steps.render(solution)) == solution


@settings(max_examples=150, derandomize=True, deadline=None)
@given(marked_text)
def test_loss_never_covers_an_output(text: str) -> None:
    pieces = steps.loss_segments(steps.parse(text))
    assert "".join(piece for piece, _ in pieces) == text
    inside, position = set[int](), 0
    while (start := text.find(steps.OUTPUT, position)) >= 0:
        end = text.find(steps.END_OF_OUTPUT, start)
        position = len(text) if end < 0 else end + len(steps.END_OF_OUTPUT)
        inside |= set(range(start, position))
    at = 0
    for piece, trained in pieces:
        assert not (trained and inside & set(range(at, at + len(piece)))), (piece, text)
        at += len(piece)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(solutions())
def test_loss_covers_everything_but_the_observation(solution: list[Step]) -> None:
    pieces = steps.loss_segments(solution)
    assert "".join(piece for piece, trained in pieces if trained) == "".join(step.text for step in solution)
    assert [piece for piece, trained in pieces if not trained] == [solution[-2].observation]


@settings(max_examples=100, derandomize=True, deadline=None)
@given(marked_text)
def test_a_program_cannot_print_its_way_into_the_format(output: str) -> None:
    seen = steps.observation(output)
    inner = seen.removeprefix(f"\n{steps.OUTPUT}").removesuffix(steps.END_OF_OUTPUT)
    assert not any(marker in inner for marker in steps.MARKERS)
    closing = f"print(x)\n{steps.END_OF_CODE}"
    assert steps.parse(closing + seen) == [steps.step_from_text(closing, seen)]


def test_the_example_of_the_module() -> None:
    assert steps.__doc__ is not None
    example = "\n".join(line.removeprefix("    ") for line in steps.__doc__.split("\n\n    ")[1].splitlines())
    whole = example.split("The policy writes")[0].rstrip("\n")
    prompt, response = steps.split_prompt(whole + "\n")
    assert prompt + steps.CODE == steps.prompt("{question}")
    assert response.startswith(steps.CODE)


def _whole_solution() -> str:
    return (
        "<|user|>:\nWhat is 3 * 4?\n<|assistant|>: Let's think step by step and solve the problem with code.<code>\n"
        "# Step 1: multiply\nx = 3 * 4\n<end_of_step>\n\n# Now print the final answer\nprint(x)\n<end_of_code>\n"
        "<output>12<end_of_output>\n<answer>From the result, the total is \\boxed{12}.<end_of_answer>"
    )


def test_a_whole_solution_by_hand() -> None:
    prompt, response = steps.split_prompt(_whole_solution())
    assert prompt + steps.CODE == steps.prompt("What is 3 * 4?")
    first, second, third = steps.parse(response.removeprefix(steps.CODE))
    assert first == Step("\n# Step 1: multiply\nx = 3 * 4\n<end_of_step>", code="# Step 1: multiply\nx = 3 * 4")
    assert second == Step(
        "\n\n# Now print the final answer\nprint(x)\n<end_of_code>",
        code="# Now print the final answer\nprint(x)",
        observation="\n<output>12<end_of_output>",
    )
    assert second.observation == steps.observation("12\n")
    assert third == Step("\n<answer>From the result, the total is \\boxed{12}.<end_of_answer>", answer="12")
    assert [trained for _, trained in steps.loss_segments([first, second, third])] == [True, True, False, True]


def test_a_question_is_not_a_template() -> None:
    assert steps.prompt("{x} and {{y}} %s").startswith("<|user|>:\n{x} and {{y}} %s\n<|assistant|>:")


def test_a_text_without_an_assistant_turn_is_refused() -> None:
    with pytest.raises(FormatError, match=r"no assistant turn .* in text that starts 'What is 3"):
        steps.split_prompt("What is 3 * 4?")


@pytest.mark.parametrize(
    ("text", "boxed"),
    [
        (r"\boxed{12}", "12"),
        (r"\boxed{ 12 }", "12"),
        (r"\boxed {12}", "12"),
        (r"\fbox{12}", "12"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{a_{n_{k}}} and more }", r"a_{n_{k}}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\boxed{\{1, 2}", r"\{1, 2"),
        (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
        (r"\boxed{a\\}", r"a\\"),
        (r"\boxed{1}, no, \boxed{2}", "2"),
        (r"\boxed{1} and an open \boxed{2", "1"),
        (r"\boxed{}", ""),
        (r"\boxed{", None),
        (r"\boxed{\}", None),
        ("12", None),
        ("boxed{12}", None),
        ("", None),
    ],
)
def test_last_boxed(text: str, boxed: str | None) -> None:
    assert steps.last_boxed(text) == boxed


@pytest.mark.parametrize(
    ("text", "stop", "code_is_closed", "reason"),
    [
        ("\nx = 1\n<end_of_step>", steps.END_OF_STEP, False, None),
        ("\nprint(x)\n<end_of_code>", steps.END_OF_CODE, False, None),
        ("\n<answer>It is \\boxed{1}.<end_of_answer>", steps.END_OF_ANSWER, True, None),
        ("\n<answer>It is one.<end_of_answer>", steps.END_OF_ANSWER, True, None),  # wrong, but in the format
        ("\nx = 1\n", None, False, "no stop marker"),
        ("\n<answer>It is \\boxed{1}.", None, True, "no stop marker"),
        ("\n<output>1<end_of_output>\nx = 1\n<end_of_step>", steps.END_OF_STEP, False, "the executor's output itself"),
        ("\n1<end_of_output>\n<end_of_step>", steps.END_OF_STEP, False, "the executor's output itself"),
        ("\n<output>1<answer>\\boxed{1}<end_of_answer>", steps.END_OF_ANSWER, True, "the executor's output itself"),
        ("\nIt is \\boxed{1}.<end_of_answer>", steps.END_OF_ANSWER, True, "<end_of_answer> without <answer>"),
        ("\n<answer>It is \\boxed{1}.<end_of_answer>", steps.END_OF_ANSWER, False, "before the code was closed"),
        ("\n<answer>It is \\boxed{1}.<end_of_step>", steps.END_OF_STEP, False, "<answer> without <end_of_answer>"),
        ("\nx = 1\n<end_of_step>", steps.END_OF_STEP, True, "code after the code was closed"),
        ("\nprint(x)\n<end_of_code>", steps.END_OF_CODE, True, "code after the code was closed"),
        ("\n<code>\nx = 1\n<end_of_step>", steps.END_OF_STEP, False, "opened the code again"),
    ],
)
def test_malformed(text: str, stop: str | None, code_is_closed: bool, reason: str | None) -> None:
    found = steps.malformed(text, stop, code_is_closed)
    if reason is None:
        assert found is None
    else:
        assert found is not None
        assert reason in found


def _rows(name: str) -> Iterator[dict[str, str]]:
    path = RELEASED / name
    if not path.exists():
        pytest.skip(f"the released examples are not here: {path}")
    with open(path, encoding="utf-8") as lines:
        yield from (json.loads(line) for line in lines)


def test_released_sft_rows_survive_a_round_trip() -> None:
    rows = list(_rows("rstar_sft_examples.jsonl"))
    assert len(rows) == 8
    for row in rows:
        parsed = steps.parse(row["response"])
        assert steps.render(parsed) == row["response"]
        assert parsed[-1].answer is not None
        assert parsed[-2].text.endswith(steps.END_OF_CODE)
        assert parsed[-2].observation.strip().startswith(steps.OUTPUT)
        assert all(step.text.endswith(steps.END_OF_STEP) for step in parsed[:-2])
        for step in parsed[:-1]:
            compile(step.code, "<step>", "exec")
        masked = [piece for piece, trained in steps.loss_segments(parsed) if not trained]
        assert masked == [parsed[-2].observation]


def test_released_pairs_survive_a_round_trip() -> None:
    rows = list(_rows("rstar_rm_pair_examples.jsonl"))
    assert len(rows) == 5
    whole = 0
    for row in rows:
        for side in (row["pos"], row["neg"]):
            # a prompt holds the user's turn and perhaps shared steps; the assistant's opening stands on either side
            text = row["prompt"] + side
            prompt, response = steps.split_prompt(text)
            assert prompt + response == text
            assert prompt.startswith("<|user|>:\n")
            assert prompt.endswith(steps.ASSISTANT_TURN)
            assert response.startswith(steps.CODE)
            parsed = steps.parse(response)
            assert steps.render(parsed) == response
            assert len(parsed) >= 2
            assert not any(steps.ASSISTANT_TURN in step.text for step in parsed)
            # what both sides share is whole steps
            if steps.ASSISTANT_TURN in row["prompt"]:
                _, shared = steps.split_prompt(row["prompt"])
                num_shared = len(steps.parse(shared))
                assert steps.render(parsed[:num_shared]) == shared
                assert steps.parse(side) == parsed[num_shared:]
            else:
                whole += 1
    assert whole == 6
