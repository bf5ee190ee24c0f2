"""The evaluator of demonstrations."""

from __future__ import annotations

import pytest

from rstar_math.pocket.arithmetic import Namespace, run


def test_statements_share_a_namespace() -> None:
    namespace = Namespace()
    assert run("a = 7 * (3 - 5)", namespace) == ""
    assert run("from math import gcd, isqrt\nb = gcd(a, 35) + isqrt(50) ** 2 % 10\nprint(b)", namespace) == "16\n"
    copy = namespace.copy()
    run("a = 1", copy)
    assert namespace.variables["a"] == -14


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("x = y", NameError),
        ("x = gcd(4, 6)", NameError),
        ("x = 1 // 0", ZeroDivisionError),
        ("from math import isqrt\nx = isqrt(1 - 2)", ValueError),
    ],
)
def test_failures_are_those_of_python(code: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(code, Namespace())
    with pytest.raises(error):
        exec(code, {})


@pytest.mark.parametrize(
    "code",
    [
        "import os",
        "from os import system",
        "from math import pi",
        "x = [1]",
        "x = 'a'",
        "x = 1.5",
        "x = (1).bit_length()",
        "open('f')",
        "x: int = 1",
        "x = 2 ** (0 - 1)",
        "x = min(1, key=2)",
    ],
)
def test_what_demonstrations_do_not_use_is_refused(code: str) -> None:
    with pytest.raises(TypeError, match=r"demonstrations do not use|not an integer"):
        run(code, Namespace())
