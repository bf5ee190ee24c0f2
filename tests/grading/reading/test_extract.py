"""Finding the answer in a text."""

from __future__ import annotations

import pytest

from rstar_math.grading import extract_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"So it is \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\boxed{1}, no: \boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{3} and an unfinished \boxed{4", "3"),
        (r"hence $\boxed 5$.", "5"),
        ("She has 3 + 4 = 7 left.\n#### 1,234", "1,234"),
        ("The answer is 42.", "42"),
        ("The final answer is: $x + 1$. I hope it is correct.", "$x + 1$"),
        ("Then the answer is 3.5.", "3.5"),
        ("17", "17"),
        ("First 3 apples, later 12 apples were left on the tree.", "12"),
        ("The answer is\n\\[ \\frac{3}{4}. \\]", r"\frac{3}{4}"),
        ("The final answer is:\n$$\n42\n$$", "42"),
        ("We add both sides.\n\n\\[ x = 2 + 3 = 5 \\]", "x = 2 + 3 = 5"),
        ("We add 2 and 3 and find $$x = \\frac{1}{2}.$$", r"x = \frac{1}{2}"),
        ("Hence the probability of it is $\\frac{3}{7}$.", r"\frac{3}{7}"),
        ("Hence the sum of all of them is \\(2^{10}\\).", "2^{10}"),
        ("\\begin{align*} x &= 3 \\end{align*}", "\\begin{align*} x &= 3 \\end{align*}"),
        ("In all she has to pay $5 and then $7 more.", "7"),
        ("With $x = 3$ we get that there are 12 of them.", "12"),
        ("", None),
        ("nothing to be found in this line of text", None),
    ],
)
def test_extract_answer(text: str, answer: str | None) -> None:
    assert extract_answer(text) == answer
