"""What a program leaves for those who come after it in the same warm worker: nothing.

Every program stands between two runs of the same victims. What the victims say is what they say in a process of their
own, before it and after it.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.types import Execution
from tests.execution import hostile
from tests.execution.test_hostile import LIGHT, LIGHT_CLASSES, NUMERIC, NUMERIC_CLASSES, SLEEPERS

LIMITS = ExecutionSettings(
    cpu_s=0.5, wall_s=600, memory_mb=512, output_bytes=65536, num_slots=1, cache_entries=0, total_memory_mb=4096
)
AT_ONCE = 75
"""Programs between two runs of the victims; where a victim differs, each program is tried by itself."""

CORPUS = Path(__file__).parents[2] / "perf" / "execution_corpus.json"

VICTIMS = (
    LIGHT,
    NUMERIC,
    "import typing\nprint(typing.List[1.0], typing.Dict[1, True], typing.Optional[2.0])",
    "from sympy import *\nx = symbols('x')\nprint(O(x, (x, 1.0)), Tuple(1.0, (True, x)), Sum(x, (x, 1.0, 3)))",
    "from sympy import *\ntry: print(igcd(2.0, 4))\nexcept ValueError as e: print(e)\nprint(gcd(2, 4.0), igcd(2, 4))",
    "import mpmath\nprint(mpmath.quad(lambda x: x**2, [mpmath.mpc(0), 1]), mpmath.quad(lambda x: x, [False, True]))",
    "from sympy import *\nx = symbols('x')\nprint(solve(x**4 - 5*x**2 + 4), Poly(x**5 - x - 1).nroots(20))",
    "from numpy import *\nprint(arange(4)[::-1], linspace(0, 1, 3), add(1, 2), zeros(2), mean([1, 2]))",
    "import re\nprint(re.findall('A', 'aA', re.I), re.compile('b', 2), re.sub('x+', 'y', 'axxb'))",
    "from sympy import *\nn = symbols('n', integer=True)\nprint(n.is_odd, (2*n).is_even, (n**2).is_positive, cos(n))",
    "x = bytes(300 << 20)\ntry: y = bytes(100 << 20)\nexcept MemoryError: print('none left')\nelse: print(len(y))",
    "from sympy import *\nprint(solveset(cos(Symbol('t')), Symbol('t')), factorint(10**15 + 37, limit=30))",
)


class Neighbours:
    """A worker with victims in it, and what they say alone."""

    def __init__(self, executor: SandboxExecutor) -> None:
        self.executor = executor
        self.alone: list[tuple[str, str, str | None]] = []

    async def learn(self) -> None:
        """Runs every victim in a process of its own."""
        self.alone = [_said((await self.executor.execute_program([victim]))[0]) for victim in VICTIMS]
        assert all(status == "ok" for status, _, _ in self.alone), self.alone

    async def differing(self, programs: Sequence[str]) -> str | None:
        """Runs `programs` with victims before and after; the first victim that says something else."""
        for program in (None, *programs, None):
            if program is not None:
                await self.executor.execute([], program)
                continue
            forced, self.executor.admit_everything = self.executor.admit_everything, False
            said = [_said(await self.executor.execute([], victim)) for victim in VICTIMS]
            self.executor.admit_everything = forced
            for victim, one, alone in zip(VICTIMS, said, self.alone, strict=True):
                if one != alone:
                    return f"{victim!r} says {one} and alone {alone}"
        return None

    async def culprit(self, programs: Sequence[str]) -> str | None:
        """What is wrong after `programs`, and which of them brings it about by itself; None where all is well."""
        wrong = await self.differing(programs)
        if wrong is None:
            return None
        for program in programs:
            if await self.differing([program]) is not None:
                return f"after {program!r}: {wrong}"
        return f"after one of {programs!r}: {wrong}"


def _said(execution: Execution) -> tuple[str, str, str | None]:
    return execution.status, execution.output, execution.error


async def check(programs: Sequence[str], forced: bool, most_are_warm: bool = False) -> None:
    """Checks `programs` in groups, all in one executor; that most of them do run in workers, where they ought to."""
    async with SandboxExecutor(LIMITS) as executor:
        neighbours = Neighbours(executor)
        await neighbours.learn()
        executor.admit_everything = forced
        for start in range(0, len(programs), AT_ONCE):
            wrong = await neighbours.culprit(programs[start : start + AT_ONCE])
            assert wrong is None, wrong
        if most_are_warm:
            counts = executor.counts
            assert counts.not_admitted + counts.deferred < len(programs) / 4, executor.warm_book.reasons


def hostile_programs() -> list[str]:
    """Those that neither wait nor work without end, which is tested elsewhere."""
    left_out = {*SLEEPERS, *hostile.PROGRAMS["LIMITS"]}
    chosen = [
        hostile.filled(code, "/nonexistent/secret", "/nonexistent/made", os.getpid(), 9)
        for kind in (*LIGHT_CLASSES, *NUMERIC_CLASSES)
        for name, code in hostile.PROGRAMS[kind].items()
        if name not in left_out and "while True" not in code
    ]
    return chosen


def honest_programs() -> list[str]:
    """The solutions of the benchmark of speed, each as one program."""
    corpus = json.loads(CORPUS.read_text())
    values = {"a": 3, "b": 5}
    programs = []
    for solutions in corpus["solutions"].values():
        for steps in solutions:
            text = "\n".join(steps)
            for name, value in values.items():
                text = text.replace("{" + name + "}", str(value))
            programs.append(text)
    return programs


# ---------------------------------------------------------------- generated programs


def _words(text: str) -> list[str]:
    return text.split()


NUMBERS = st.one_of(
    st.integers(-3, 12).map(str),
    st.sampled_from(
        ["True", "False", "0.0", "-0.0", "1.0", "2.0", "0.5", "1j", "1 + 0j", "Fraction(1)", "Decimal('1.0')"]
    ),
    st.sampled_from(
        ["S(1)", "Float(1)", "Float('1.0', 30)", "Rational(1, 2)", "np.float64(1)", "np.int64(2)", "mpmath.mpf(1)"]
    ),
    st.sampled_from(["mpmath.mpc(0)", "np.bool_(True)", "pi", "oo", "I", "E", "x", "y", "n", "z"]),
)
CALLS = _words(
    "sqrt sin cos exp log factorial Abs floor ceiling re im conjugate sign gamma sympify N nsimplify simplify "
    "expand factor together cancel apart trigsimp solve solveset diff Poly degree roots factorint divisors "
    "isprime totient igcd gcd ilcm binomial fibonacci Max Min Tuple FiniteSet Point Interval O Integral Sum latex "
    "Matrix Range S Rational Float Integer Symbol symbols count_ops integrate series limit Eq Lt np.sqrt np.array "
    "np.sum np.mean np.linspace np.arange np.ones np.cumsum np.dot np.prod np.sort np.unique mpmath.sqrt "
    "mpmath.quad mpmath.gamma mpmath.zeta mpmath.polyroots mpmath.nstr mpmath.binomial mpmath.diff str repr float "
    "int bool complex round hash sorted sum max abs pow divmod re.compile re.findall Counter deque copy.deepcopy "
    "Fraction Decimal math.gcd math.sqrt statistics.mean"
)
METHODS = _words(
    "subs evalf n doit simplify expand factor diff integrate series limit coeff as_numer_denom free_symbols args "
    "is_positive is_integer is_real is_zero all_coeffs degree nroots real_roots det inv T rank eigenvals tolist "
    "as_real_imag as_coefficients_dict factors count append pop sort items keys copy reshape sum mean ravel base"
)


def _calls(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    arguments = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        st.builds(lambda f, a: f"{f}({', '.join(a)})", st.sampled_from(CALLS), arguments),
        st.builds(lambda a, op, b: f"({a} {op} {b})", inner, st.sampled_from(["+", "-", "*", "/", "//", "%"]), inner),
        st.builds(lambda v, m, a: f"({v}).{m}({', '.join(a)})", inner, st.sampled_from(METHODS), arguments),
        st.builds(lambda v, m: f"({v}).{m}", inner, st.sampled_from(METHODS)),
        st.builds(lambda a: f"({', '.join(a)},)", arguments),
        st.builds(lambda a: f"[{', '.join(a)}]", arguments),
        st.builds(lambda a: "{" + ", ".join(a) + "}", arguments),
        st.builds(lambda k, v: f"typing.{k}[{v}]", st.sampled_from(["List", "Optional", "Set", "Iterable"]), inner),
        st.builds(
            lambda f, a: f"{f}(lambda t: t**2, [{', '.join(a[:2])}])",
            st.sampled_from(["mpmath.quad", "list"]),
            arguments,
        ),
        st.builds(lambda v, i: f"({v})[{i}]", inner, st.sampled_from(["0", "1", "-1", "::-1", "::2"])),
    )


EXPRESSIONS = st.recursive(NUMBERS, _calls, max_leaves=5)
STATEMENTS = st.one_of(
    EXPRESSIONS.map(lambda e: f"print({e})"),
    st.builds(lambda n, e: f"{n} = {e}", st.sampled_from("abxyn"), EXPRESSIONS),
    st.builds(lambda e, f: f"try: a = {e}\nexcept Exception: b = {f}", EXPRESSIONS, EXPRESSIONS),
    st.builds(lambda e: f"for a in ({e},): print(a)", EXPRESSIONS),
    st.builds(lambda e, f: f"a = [{e}]\na[0] = {f}", EXPRESSIONS, EXPRESSIONS),
    st.builds(lambda e: f"def f(t, u=[{e}]):\n    u.append(t)\n    return u\nprint(f(1))", EXPRESSIONS),
)
START = (
    "import math, re, copy, typing, statistics, mpmath, random\nimport numpy as np\nfrom sympy import *\n"
    "from fractions import Fraction\nfrom decimal import Decimal\nfrom collections import Counter, deque\n"
    "x, y, z = symbols('x y z')\nn = symbols('n', integer=True)\n"
)
GUARDED = "try:\n    {}\nexcept Exception as e: print(isinstance(e, ValueError))\n"


def _program(statements: list[str]) -> str:
    return START + "".join(GUARDED.format(s.replace("\n", "\n    ")) for s in statements)


PROGRAMS = st.lists(STATEMENTS, min_size=1, max_size=4).map(_program)


def generated(number: int, start: int) -> list[str]:
    """`number` programs of the grammar of what is admitted, the same for the same `start`."""
    found: list[str] = []

    @seed(start)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(PROGRAMS, min_size=1, max_size=1))
    def draw(programs: list[str]) -> None:
        found.extend(programs)

    draw()
    return found


@pytest.mark.parametrize("forced", [pytest.param(False, marks=pytest.mark.slow, id="as it comes"), True])
def test_hostile_programs_leave_nothing_for_their_neighbours(forced: bool) -> None:
    asyncio.run(check(hostile_programs(), forced))


def test_honest_programs_leave_nothing_for_their_neighbours() -> None:
    asyncio.run(check(honest_programs(), forced=False))


def test_generated_programs_leave_nothing_for_their_neighbours() -> None:
    programs = generated(300, start=1)
    assert len(programs) >= 300
    asyncio.run(check(programs, forced=False, most_are_warm=True))


@pytest.mark.slow
@pytest.mark.parametrize("start", range(2, 12))
def test_many_generated_programs_leave_nothing_for_their_neighbours(start: int) -> None:
    programs = generated(1000, start=start)
    assert len(programs) >= 1000
    asyncio.run(check(programs, forced=False, most_are_warm=True))
