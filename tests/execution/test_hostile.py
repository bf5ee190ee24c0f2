"""Programs of an attacker: each as it comes, and each forced past the static check into a warm worker.

Beside each runs a program of another that must come out as ever, and after each another in the same worker.
"""

from __future__ import annotations

import asyncio
import math
import os
import secrets
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from rstar_math.config import ExecutionSettings
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.execution.supervisor.starting import ZYGOTE
from rstar_math.types import Execution
from tests.execution import hostile
from tests.execution.conftest import Running, descendants, eventually

SETTINGS = ExecutionSettings(
    cpu_s=0.2, wall_s=5, memory_mb=256, output_bytes=4096, num_slots=1, cache_entries=0, total_memory_mb=2048
)
SECRET = "s3cr3t-" + secrets.token_hex(8)
SIZE = 48271
INSTALLED = str(ZYGOTE.parents[1])

LIGHT = """
import math, fractions, decimal, random, collections, re, statistics, itertools, functools, datetime, copy, typing
print(math.pi, math.sqrt(2), math.cos(1), 1 + 1, len('abc'), sum([1, 2]), sorted([3, 1, 2]), 'math', b'', 10 ** 30)
print(fractions.Fraction(3, 4) + fractions.Fraction(1, 4), decimal.Decimal(1) / 3, random.random(), random.random())
print(collections.Counter('hello').most_common(1), re.findall('[0-9]+', 'a1b22'), re.match('x', 'x') is not None)
print(statistics.mean([1, 2, 6]), statistics.median([1, 5]), statistics.quantiles([1, 2, 3, 4]),
      list(itertools.islice(itertools.count(5), 3)), functools.reduce(lambda a, b: a * b, [2, 3, 4]))
print(typing.List[1], typing.Optional[1], re.findall('[a-c]+', 'abcd', 2), re.compile('a', 2))
print(datetime.date(2024, 2, 29).isoformat(), copy.deepcopy([1, [2]]), isinstance(3, typing.Iterable), 0.1 + 0.2)
def deep(n): return 0 if n == 0 else 1 + deep(n - 1)
print(deep(900), repr([1.5, 'x']), f'{1 / 3:.3f}', int('7' * 1000) % 97, [x for x in range(3)], {1: 2}, {3, 1})
"""

NUMERIC = """
import numpy as np, mpmath, random
from sympy import *
x, y = symbols('x y')
print(solve(x**2 - 3*x + 1, x), S.Half + 1, Integer(3) + 4, factorint(360), divisors(12), x.is_positive, (2*x + 3).args)
print((2*x + 3).as_coefficients_dict()[x], Poly(x**2 - 1, x).all_coeffs(), Matrix([[1, 2], [3, 4]]).det(), eye(2))
print(sympify(1) + x, latex(x / 2), expand((x + y)**2), diff(sin(x), x), N(pi, 20), isprime(97), prime(4))
print(Triangle(Point(0, 0), Point(3, 0), Point(0, 4)).area, Rational(3, 4).factors(), 0 * x, Matrix([[1, 2], [3, 4]]).T)
print(np.mean([1, 2]), np.linalg.det(np.eye(2)), np.array([1 / 3]), np.ones(1) / np.zeros(1), np.random.rand(2))
print(O(x, (x, 1)), O(x**2, (x, 1)), Integral(x, (x, 0, 1)), Sum(x, (x, 1, 3)), Tuple(1, (1, x)), Interval(0, 1))
print([mpmath.quad(lambda t: t**2, [0, 1], method=m) for m in ('tanh-sinh', 'gauss-legendre')], igcd(2, 4), ilcm(2, 4))
print(factorint(1000073001431003663 * 1000037, limit=50), solveset(sin(x), x), Poly(x**5 - x - 1, x).nroots(3)[0])
print(np.arange(6)[::-2], np.add(1, 2), mpmath.sqrt(2), mpmath.pi, mpmath.mpf(0), mpmath.mpf(1) / 3, random.random())
"""

SLEEPERS = ("sleep", "timers", "threads that stay", "read what comes for the zygote", "fault handler")
LIGHT_CLASSES = ("READING", "WRITING", "NETWORK", "PROCESSES", "LIMITS", "CHANNEL", "STATE", "PROTOCOL", "HOST")
NUMERIC_CLASSES = ("NUMERIC", "LIBRARIES")
HARMLESS = {
    # their own process and the folders of the libraries are theirs to look at
    "list the root",
    "read the environment",
    "walk everything",
    "whether a host file exists",
}
"""Programs of the classes that must not succeed which do, and what they see is checked otherwise."""


@dataclass
class World:
    """What the programs are after."""

    secret: Path
    target: Path
    victim: subprocess.Popen[bytes]
    listener: socket.socket

    def filled(self, code: str) -> str:
        port = self.listener.getsockname()[1]
        return hostile.filled(code, str(self.secret), str(self.target), self.victim.pid, port)

    def harmed(self) -> str | None:
        """What has been done to it; None where it is as it was."""
        if self.victim.poll() is not None:
            return "another process was ended"
        if self.secret.stat().st_size != SIZE or SECRET not in self.secret.read_text():
            return "a file was changed"
        if self.secret.stat().st_mode & 0o777 != 0o600 or self.secret.stat().st_nlink != 1:
            return "a file's metadata was changed"
        if [p.name for p in self.secret.parent.iterdir()] != [self.secret.name]:
            return f"files were made: {sorted(self.secret.parent.iterdir())}"
        try:
            self.listener.accept()
        except BlockingIOError:
            return None
        return "the network was reached"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("outside")
    secret = folder / "secret.py"
    secret.write_text(f"x = '{SECRET}'\n".ljust(SIZE, "#"))
    secret.chmod(0o600)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    os.environ["RSTAR_TEST_SECRET"] = SECRET
    yield World(secret, folder / "made", victim, listener)
    del os.environ["RSTAR_TEST_SECRET"]
    victim.kill()
    victim.wait()
    listener.close()


def told(executions: list[Execution]) -> str:
    return "".join(f"{e.output}{e.error}" for e in executions)


def names(classes: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """(class, code) of every program of `classes`, by its name."""
    return {name: (kind, code) for kind in classes for name, code in hostile.PROGRAMS[kind].items()}


async def attack(
    executor: SandboxExecutor, world: World, programs: dict[str, tuple[str, str]], canary: str, forced: bool
) -> dict[str, Execution]:
    """Runs each program with a canary beside it and another after it; returns what became of each."""
    expected = (await executor.execute_program([canary]))[0]
    assert expected.status == "ok", expected
    executor.admit_everything = forced
    warm = executor.counts.warm
    assert (await executor.execute([], canary)).output == expected.output
    assert executor.counts.warm == warm + 1, (
        executor.warm_book.reasons
    )  # it shows what happens in workers, and runs in one
    outcomes: dict[str, Execution] = {}
    last = "nothing"
    for name, (_, code) in programs.items():
        if name in SLEEPERS:
            continue
        # the canary waits in the same worker, behind the program, and is the one after the program before
        outcome, beside = await asyncio.gather(*(executor.execute([], c) for c in (world.filled(code), canary)))
        assert (beside.status, beside.output) == ("ok", expected.output), (last, name, beside)
        assert (harm := world.harmed()) is None, (name, harm)
        outcomes[name] = outcome
        last = name
    after = await executor.execute([], canary)
    assert (after.status, after.output) == ("ok", expected.output), (last, after)
    executor.admit_everything = False
    return outcomes


def check(outcomes: dict[str, Execution], programs: dict[str, tuple[str, str]]) -> None:
    """What no program may be told, and which may not succeed."""
    for name, outcome in outcomes.items():
        text = told([outcome])
        assert SECRET not in text, name
        assert str(SIZE) not in text, name
        assert "BREACH" not in text, name
        assert "RSTAR_TEST" not in text, name
        assert INSTALLED not in text, name
        assert math.isfinite(outcome.seconds), name
        assert 0.0 <= outcome.seconds < SETTINGS.wall_s + 1, name
        text.encode()  # everything that is told can be written to a file
        assert len(outcome.output.encode()) <= SETTINGS.output_bytes, name
        assert len(outcome.error or "") <= 4096, name
        if programs[name][0] in ("READING", "WRITING", "NETWORK", "PROCESSES") and name not in HARMLESS:
            assert outcome.status != "ok", (name, outcome)


@pytest.fixture(scope="module")
def attacked() -> Iterator[Running]:
    threads, files = threading.active_count(), set(os.listdir("/proc/self/fd"))
    others, shared = descendants(), set(os.listdir("/dev/shm"))
    started = Running(SETTINGS)
    yield started
    started.close()
    assert eventually(lambda: descendants() <= others)
    assert set(os.listdir("/proc/self/fd")) <= files
    assert threading.active_count() <= threads
    assert set(os.listdir("/dev/shm")) <= shared


@pytest.mark.parametrize("forced", [False, True], ids=["as it comes", "forced"])
@pytest.mark.parametrize("kind", ["light", "numeric"])
def test_no_program_harms_another_or_the_host(attacked: Running, world: World, kind: str, forced: bool) -> None:
    programs = names(LIGHT_CLASSES if kind == "light" else NUMERIC_CLASSES)
    canary = LIGHT if kind == "light" else NUMERIC
    counts = attacked.executor.counts
    refused = counts.not_admitted
    outcomes = attacked.run(lambda executor: attack(executor, world, programs, canary, forced))
    check(outcomes, programs)
    # forced, each has begun in a warm worker, whatever became of it there
    assert (counts.not_admitted == refused) == forced
    assert counts.without_workers == 0


@pytest.mark.parametrize(
    "name",
    [
        "a format that a jump leads to",
        "functions of sympy with methods of their own",
        "functions of sympy that equal others",
        "functions of sympy that evaluate otherwise",
        "memory of others, left as it was",
        "constants by text",
    ],
)
def test_what_the_first_look_does_not_show_runs_in_a_fork_all_the_same(attacked: Running, name: str) -> None:
    code = names((*LIGHT_CLASSES, *NUMERIC_CLASSES))[name][1]
    counts = attacked.executor.counts
    before = counts.warm, counts.forked
    attacked.execute(code)
    assert (counts.warm, counts.forked) == (before[0], before[1] + 1)


def test_programs_that_only_wait_end_at_the_wall_limit(world: World) -> None:
    settings = SETTINGS.model_copy(update={"num_slots": 8, "wall_s": 1.0})
    programs = {name: code for name, (_, code) in names(LIGHT_CLASSES).items() if name in SLEEPERS}
    assert len(programs) == len(SLEEPERS)

    async def run() -> list[Execution]:
        async with SandboxExecutor(settings) as executor:
            waits = [world.filled(code) + "\nimport time\ntime.sleep(60)" for code in programs.values()]
            return await asyncio.gather(*[executor.execute([], code) for code in waits])

    for execution in asyncio.run(run()):
        assert execution.status in ("wall_limit", "error", "killed"), execution
        assert "POLLUTED" not in told([execution])
    assert world.harmed() is None


def test_what_a_prefix_leaves_cannot_reach_the_other_candidates(attacked: Running) -> None:
    """Each candidate gets what running the prefix again would give, also through methods kept in names."""
    prefix = "l = [1]\nadd = l.append\nd = {}\nput = d.setdefault\ndef f(x, seen=[]): seen.append(x); return len(seen)"
    step = "add(2)\nput('a', 1)\nprint(l, d, f(1))"

    async def run(executor: SandboxExecutor) -> list[str]:
        assert (await executor.execute([], prefix)).ok
        return [(await executor.execute([prefix], f"{step}# {i}")).output for i in range(4)]

    assert attacked.run(run) == ["[1, 2] {'a': 1} 1\n"] * 4


def test_there_are_programs_of_every_class() -> None:
    assert len(names((*LIGHT_CLASSES, *NUMERIC_CLASSES))) >= 400
    assert set(SLEEPERS) | HARMLESS <= set(names(LIGHT_CLASSES))
