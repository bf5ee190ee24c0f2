"""Rows of other people's data sets: each schema by its columns, references taken from solutions, nothing silent.

All rows are made up here; only the columns are those of the data sets.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstar_math.problems import references
from rstar_math.problems.files import read_problem
from rstar_math.problems.references import NO_REFERENCE, NOT_IN_SOLUTION, WHOLE_SOLUTION
from rstar_math.problems.schemas import SCHEMAS, lower_case, schema_of

Q = "How many pears are in both baskets together?"
WORKED = "Each of the 4 baskets holds 6 pears, so there are 4 * 6 = <<4*6=24>>24 pears.\nHalf of them are 24 / 2 = 12."

ROWS: list[tuple[str, dict[str, Any], str | None, str | None, str | None]] = [
    # (schema, row, reference, tier, reason)
    ("question", {"question": Q, "answer": f"{WORKED}\n#### 12"}, "12", None, None),
    ("question", {"question": Q, "answer": f"How many? ** {WORKED}\nLeft? ** 1,024.\n#### 1,024"}, "1024", None, None),
    ("question", {"question": Q, "answer": f"{WORKED}\n#### $1,234,567.50"}, "$1234567.50", None, None),
    ("question", {"question": Q, "answer": f"{WORKED}\n####"}, None, None, NO_REFERENCE),
    (
        "problem",
        {"problem": Q, "level": "Level 3", "type": "Algebra", "solution": "So $x = \\boxed{\\frac{1}{2}}$."},
        "\\frac{1}{2}",
        "Level 3",
        None,
    ),
    (
        "problem",
        {"problem": Q, "level": "Level 3", "solution": "It is \\fbox{3}, not \\boxed{4}."},
        "4",
        "Level 3",
        None,
    ),
    ("problem", {"problem": Q, "level": "Level 5", "solution": "It is clear."}, None, "Level 5", NOT_IN_SOLUTION),
    (
        "problem",
        {"problem": Q, "solution": "So.", "answer": "(3, \\pi)", "subject": "a", "level": 2, "unique_id": "test/a/1"},
        "(3, \\pi)",
        "2",
        None,
    ),
    ("problem", {"ID": "2024-I-1", "Problem": Q, "Solution": WORKED, "Answer": 204}, "204", None, None),
    (
        "question",
        {"ID": "1999-3", "Year": 1999, "Problem Number": 3, "Question": Q, "Answer": "038"},
        "038",
        None,
        None,
    ),
    ("problem", {"id": 60, "problem": Q, "solution": "\\boxed{204}"}, "204", None, None),
    ("question", {"id": 3, "question": Q, "answer": 27.0, "url": "https://example.org"}, "27.0", None, None),
    (
        "NuminaMath-CoT",
        {"source": "aops_forum", "problem": Q, "solution": "so $\\boxed{7}$", "messages": []},
        "7",
        "olympiad",
        None,
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": "2\\sqrt{3}", "question_type": "math-word-problem"}
        | {"problem_type": "Algebra", "source": "cn_contest", "problem_is_valid": "Yes", "solution_is_valid": "Yes"}
        | {"synthetic": False},
        "2\\sqrt{3}",
        "olympiad",
        None,
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": "proof", "question_type": "proof", "source": "olympiads"},
        None,
        "olympiad",
        "the answer is a proof",
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": "proof", "question_type": "math-word-problem", "source": "cn_k12"},
        None,
        "math",
        "the answer is a proof",
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": "notfound", "question_type": "MCQ", "source": "number_theory"},
        None,
        "olympiad",
        "no answer was found in the solution (notfound)",
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": "5", "question_type": "MCQ", "source": "olympiads_ref"}
        | {"problem_is_valid": "Incomplete", "solution_is_valid": "Yes"},
        None,
        "olympiad",
        "problem_is_valid is 'Incomplete'",
    ),
    (
        "NuminaMath-1.5",
        {"problem": Q, "solution": "..", "answer": None, "question_type": "other", "source": "inequalities"},
        None,
        "olympiad",
        NO_REFERENCE,
    ),
    (
        "OpenR1-Math",
        {"problem": Q, "solution": WORKED, "answer": "B", "problem_type": "Geometry", "question_type": "MCQ"}
        | {"source": "olympiads", "uuid": "u", "generations": ["..."], "correctness_count": 2, "messages": []},
        "B",
        "olympiad",
        None,
    ),
    (
        "MetaMathQA",
        {"query": Q, "response": f"{WORKED}\n#### 12\nThe answer is: 12", "type": "GSM_Rephrased"}
        | {"original_question": Q},
        "12\nThe answer is: 12".partition("\n")[0],
        "gsm",
        None,
    ),
    (
        "MetaMathQA",
        {"query": Q, "response": "So.\nThe answer is: \\frac{p}{q}", "type": "MATH_SV"},
        "\\frac{p}{q}",
        "math",
        None,
    ),
    (
        "OlympiadBench",
        {"id": 7, "question": Q, "final_answer": ["$2$", "$-3$"], "is_multiple_answer": True},
        "$2$, $-3$",
        None,
        None,
    ),
    ("OlympiadBench", {"id": 8, "question": Q, "final_answer": None, "solution": ["Show."]}, None, None, NO_REFERENCE),
    ("OlympiadBench", {"id": 8, "question": Q, "final_answer": []}, None, None, NO_REFERENCE),
    (
        "OlympiadBench",
        {"id": 9, "question": Q, "final_answer": ["3"], "modality": "Multimodal"},
        None,
        None,
        "the question needs a picture",
    ),
    (
        "problem",
        {"domain": ["Mathematics -> Algebra"], "difficulty": 8.0, "problem": Q, "solution": WORKED}
        | {"answer": "\\[\n\\boxed{1999}\n\\]", "source": "imo_shortlist"},
        "1999",
        None,
        None,
    ),
    ("MAWPS", {"iIndex": 1, "sQuestion": Q, "lEquations": ["X=(70.0-27.0)"], "lSolutions": [43.0]}, "43", None, None),
    ("MAWPS", {"iIndex": 1, "sQuestion": Q, "lEquations": [], "lSolutions": [4.5, 2.0]}, "4.5, 2", None, None),
    (
        "ASDiv",
        {
            "body": "In 2 baskets lie pears.",
            "question": Q,
            "solution_type": "Sum",
            "answer": "9 (pears)",
            "formula": "4+5=9",
        },
        "9",
        None,
        None,
    ),
    (
        "ASDiv",
        {
            "Body": "In 2 baskets lie pears.",
            "Question": Q,
            "Solution-Type": "",
            "Answer": "3 (a); 4 (b)",
            "Formula": "",
        },
        "3, 4",
        None,
        None,
    ),
    (
        "SVAMP",
        {
            "ID": "chal-2",
            "Body": "In 2 baskets lie pears",
            "Question": Q,
            "Equation": "( 4.0 - 3.0 )",
            "Answer": 1.0,
            "Type": "Subtraction",
        },
        "1",
        None,
        None,
    ),
    (
        "MAWPS templates",
        {"Question": "Of N_00 pears N_01 are left.", "Numbers": "8.0 2.5", "Equation": "- N_00 N_01", "Answer": 5.5},
        "5.5",
        None,
        None,
    ),
    (
        "Calc-X",
        {"id": "mawps__1", "question": Q, "chain": "<gadget>", "result": "43", "result_float": 43.0},
        "43",
        None,
        None,
    ),
    ("problem", {"problem": Q, "answer": "-\\frac{2}{3}", "solution": "$-\\frac{2}{3}$"}, "-\\frac{2}{3}", None, None),
    (
        "problem",
        {"problem": Q, "answer": "6", "source": "orca_math", "domain": ["Arithmetic"], "llama8b_solve_rate": 0.5},
        "6",
        "gsm",
        None,
    ),
    ("problem", {"problem": Q, "answer": "6", "difficulty": "3/8"}, "6", None, None),
    (
        "prompts with an answer",
        {"prompt": Q, "solution": "So it is $\\boxed{6}$", "source": "harp", "domain": []},
        "6",
        "olympiad",
        None,
    ),
    ("prompts with an answer", {"prompt": Q, "solution": "6"}, "6", None, None),
    (
        "Open-Reasoner-Zero",
        {"0": {"from": "human", "value": Q}, "1": {"from": "assistant", "ground_truth": {"value": "35"}}},
        "35",
        None,
        None,
    ),
    (
        "verl rows",
        {"data_source": "openai/gsm8k", "prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": Q}]}
        | {"ability": "math", "reward_model": {"style": "rule", "ground_truth": "72"}, "extra_info": {"index": 0}},
        "72",
        None,
        None,
    ),
    (
        "verl rows",
        {"data_source": "d", "prompt": [{"role": "user", "content": "Think. " + Q}], "ability": "math"}
        | {"reward_model": {"ground_truth": ["72"], "style": "rule"}, "extra_info": {"question": Q}},
        "72",
        None,
        None,
    ),
    (
        "verl rows",
        {"data_source": "d", "prompt": [{"role": "user", "content": [{"type": "text", "text": Q}]}]}
        | {"reward_model": {"ground_truth": '["\\\\frac{1}{2}"]', "style": "rule"}},
        "\\frac{1}{2}",
        None,
        None,
    ),
    (
        "verl rows",
        {"prompt": [{"role": "user", "content": Q}], "reward_model": {"ground_truth": ["1", "2"]}},
        None,
        None,
        "2 ground truths, of which it is not said which counts",
    ),
    (
        "conversations",
        {"messages": [{"role": "user", "content": Q}], "ground_truth": "8", "dataset": "math"},
        "8",
        None,
        None,
    ),
    (
        "problem",
        {"problem": Q, "generated_solution": WORKED, "expected_answer": "8", "problem_source": "x"},
        "8",
        None,
        None,
    ),
    ("instruction", {"instruction": Q, "output": "So. The answer is 8."}, "8", None, None),
    ("input", {"input": Q, "target": 8.5, "code": "x"}, "8.5", None, None),
    ("question", {"question": Q}, None, None, NO_REFERENCE),
    ("question", {"question": Q, "answer": WORKED}, None, None, WHOLE_SOLUTION),
    (
        "question",
        {"question": Q, "answer": "6 + 6 = 12 pears lie in both of the two baskets"},
        None,
        None,
        WHOLE_SOLUTION,
    ),
    ("question", {"question": Q, "answer": f"{WORKED}\nThe answer is 12."}, "12", None, None),
    ("question", {"question": Q, "answer": "Then the value is \\boxed{12} pears, as was asked."}, "12", None, None),
    ("question", {"question": Q, "answer": "\\boxed{2} or \\boxed{3}"}, "2, 3", None, None),
]


@pytest.mark.parametrize(("name", "row", "reference", "tier", "reason"), ROWS, ids=range(len(ROWS)))
def test_a_row_of_each_schema(
    name: str, row: dict[str, Any], reference: str | None, tier: str | None, reason: str | None
) -> None:
    schema = schema_of(lower_case(row))
    assert schema is not None
    assert name in schema.name
    read = read_problem(row, "row", "default", "file")
    assert (read.problem.answer, read.problem.tier, read.reason) == (reference, tier, reason)
    if "Numbers" in row:
        assert read.problem.question == "Of 8 pears 2.5 are left."
    elif "body" in {c.lower() for c in row}:
        assert read.problem.question == f"In 2 baskets lie pears. {Q}"
    else:
        assert read.problem.question == Q


def test_every_schema_has_a_row_here() -> None:
    tried = {schema.name for _, row, *_ in ROWS if (schema := schema_of(lower_case(row)))}
    assert {s.name for s in SCHEMAS} - tried == {"query with an answer or a solution"}
    assert (
        schema_of({"query": Q, "answer": "1"})
        is SCHEMAS[[s.name for s in SCHEMAS].index("query with an answer or a solution")]
    )


def test_what_else_is_known_about_a_row_is_counted() -> None:
    row = {"problem": Q, "answer": "5", "question_type": "MCQ", "synthetic": True}
    assert read_problem(row, "row", "p", "f").notes == ("are synthetic",)
    row = {"question": Q, "final_answer": ["5"], "unit": "cm", "error": "1e-2", "context": "A long story."}
    read = read_problem(row, "row", "p", "f")
    assert read.problem.question == f"A long story.\n\n{Q}"
    assert len(read.notes) == 2
    assert "numerical error" in read.notes[0]
    assert "unit" in read.notes[1]


@pytest.mark.parametrize(
    "answer",
    [
        *("12", "-3/4", "\\frac{1}{2}", "(3, \\pi)", "x=1 or x=2", "yes", "Monday", "3:45 pm", "\\{1, 2\\}", "1,234"),
        *("#4", "all positive integers n that are not powers of two", "5 + 3\\sqrt{2}", "2^{10} - 1", "A, C"),
        *("none of them", "y = 2x + 1, where x is any number", "The answer"),
        "\\begin{cases} 1 & \\text{if } n \\text{ is odd} \\\\\n 2 & \\text{if it is even} \\end{cases}",
    ],
)
def test_an_answer_is_left_as_it_is(answer: str) -> None:
    assert references.from_answer(answer).text == answer


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_gives_a_reference_or_a_reason(text: str) -> None:
    for read in (references.from_answer, references.from_solution):
        found = read(text)
        assert (found.text is None) != (found.reason is None)
        assert found.text is None or found.text.strip()


@given(
    st.integers(-(10**6), 10**6), st.sampled_from(["\n#### {}", "\nSo it is $\\boxed{{{}}}$.", "\nThe answer is: {}"])
)
def test_a_solution_gives_the_answer_that_it_ends_with(number: int, ending: str) -> None:
    solution = WORKED + ending.format(number)
    assert references.from_solution(solution).text == references.from_answer(solution).text == str(number)
