"""What is told of a program from its text alone."""

import pytest

from rstar_math.execution.supervisor.source import profile_of, without_comments


@pytest.mark.parametrize(
    ("code", "profile"),
    [
        ("x = 1", "light"),
        ("import math, fractions", "light"),
        ("import math, numpy as np", "numpy"),
        ("    from sympy.abc import x", "sympy"),
        ("from scipy import stats\nimport numpy", "all"),
    ],
)
def test_profile_of(code: str, profile: str) -> None:
    assert profile_of(["y = 1", code]) == profile


@pytest.mark.parametrize(
    ("code", "bare"),
    [
        ("# a\nx = 1  # b\n  # c", "\nx = 1  # b\n"),
        ("x = '''\n# a\n'''", None),
        ('x = """\n# a\n"""', None),
        ("x = 'a\\\n# b'", None),
        ("# a\rprint(1)", None),
        ("# a\0", None),
        ("# \ud800", None),
        ("x = f'{\n# a\ny = }'", None),
        ("if x:\n    y = (1,\n# a\n    2)", "if x:\n    y = (1,\n\n    2)"),
    ],
)
def test_comments_are_left_out_where_that_changes_nothing(code: str, bare: str | None) -> None:
    assert without_comments(code) == (code if bare is None else bare)
