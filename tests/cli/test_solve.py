"""Every kind of model answers, by the command and from Python; many questions at once, awaited, cancelled, refused."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from rstar_math import Problem, RStarMathModel
from rstar_math.cli.app import app
from rstar_math.cli.questions import Question, answer_all, read_question
from rstar_math.config import AnsweringSettings, ExecutionSettings, SearchSettings
from rstar_math.engines.base import Engine, Generation
from rstar_math.engines.fake import FakeEngine, FakePolicy, FakeRewardModel
from rstar_math.errors import ConfigError, EngineError, ModelError, RStarError
from rstar_math.execution.fake import FakeExecutor
from rstar_math.execution.supervisor.executor import SandboxExecutor
from rstar_math.grading.fake import FakeGrader
from rstar_math.models import SHIPPED, read_answering
from rstar_math.search.course import Course
from rstar_math.types import Completion, SamplingParams, Solution, Unfinished
from rstar_math.workers.bench import Workbench
from tests.cli.test_server_failures import Server
from tests.docs.test_extending import write
from tests.foreground import hear_signals
from tests.walking import command, refused

QUESTION = "Dan fills 23 trays with 17 buttons each, and 37 buttons get broken. How many are whole?"
SURE_HAND = FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0)
RSTAR = Path(sys.executable).with_name("rstar")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, server: Server) -> dict[str, str]:
    """Every kind of model, by its kind."""
    folder = tmp_path_factory.mktemp("models")
    run, bare = folder / "run", folder / "bare"
    for name in ("policy", "ppm"):
        shutil.copytree(SHIPPED / "pocket" / name, run / "round-1" / name)
    shutil.copy(SHIPPED / "pocket" / "answering.json", run / "round-1")
    (run / "recipe.yaml").write_text("name: run\n")
    shutil.copytree(SHIPPED / "pocket-base", bare / "policy")
    (folder / "model.yaml").write_text(f"policy: {SHIPPED / 'pocket-base'}\nppm: {SHIPPED / 'pocket' / 'ppm'}\n")
    return {
        "pocket": "pocket",
        "pocket-base": "pocket-base",
        "run": str(run),
        "folder with policy/ alone": str(bare),
        "checkpoint": str(SHIPPED / "pocket" / "policy"),
        "model file with a PPM": str(folder / "model.yaml"),
        "URL": f"{server.url}?model=m&bootstrap=none",
        "own engine": f"{write('adder.py', folder)}:open_engine",
    }


KINDS = {
    "pocket": True,
    "pocket-base": False,
    "run": True,
    "folder with policy/ alone": False,
    "checkpoint": False,
    "model file with a PPM": True,
    "URL": False,
    "own engine": False,
}
"""Kind of model -> whether it has a PPM."""


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_answers_by_command_and_from_python(kind: str, models: dict[str, str]) -> None:
    question = "What is 17 + 25?" if kind == "own engine" else QUESTION
    with RStarMathModel.from_pretrained(models[kind]) as model:
        solution = model.solve(question)
        assert model.answering.strategy == ("mcts" if KINDS[kind] else "sample")
        assert (solution.sure is not None) == (
            kind == "pocket"
        )  # a threshold, and what the model knows, were measured there alone
        if not KINDS[kind]:
            with pytest.raises(ModelError, match=r"mcts searches by a reward model here.*Take the strategy sample"):
                model.solve_with_mcts(question)
            assert len(solution.candidates) <= 32
            assert sum(1 for t in solution.candidates if t.answer == solution.answer) > 1  # a majority of samples
    assert solution.answer is not None
    done = CliRunner().invoke(app, ["solve", question, "--model", models[kind], "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert (found["answer"], found["unfinished"], found["why"]) == (solution.answer, None, None)
    assert found["confidence"] == pytest.approx(solution.confidence)


def test_settings_without_a_strategy_are_read(tmp_path: Path) -> None:
    path = tmp_path / "answering.json"
    path.write_text('{"format": 1, "answering": {"num_trees": 3}, "threshold": 0.5}')
    assert read_answering(path) == (AnsweringSettings(strategy="mcts", num_trees=3), 0.5)


def test_only_the_models_own_settings_make_it_sure() -> None:
    with RStarMathModel.from_pretrained("pocket") as model:
        assert model.solve(QUESTION).sure is True
        assert model.solve(QUESTION, "mcts", seed=1).sure is not None
        assert model.solve(QUESTION, num_simulations=2).sure is None
        assert model.solve(QUESTION, max_tokens=300).sure is None
        assert model.solve(QUESTION, "greedy").sure is None


def fakes(engine: Engine | None = None) -> RStarMathModel:
    search = SearchSettings(num_rollouts=4, num_candidates=4, terminal_value="ppm")
    bench = Workbench(engine or FakeEngine(SURE_HAND), FakeExecutor(), FakeGrader(), FakeRewardModel())
    return RStarMathModel.from_workbench(bench, answering=AnsweringSettings(search=search))


# ---------------------------------------------------------------- awaited


def test_many_are_awaited_at_a_time_and_each_is_what_it_is_alone() -> None:
    async def together() -> list[Solution]:
        assert model.solve("Question 0?").answer is not None  # blocking, where a loop is running: a cell of Jupyter
        return await asyncio.gather(*(model.asolve(f"Question {i}?") for i in range(12)))

    engine = FakeEngine(SURE_HAND)
    with fakes(engine) as model:
        alone = [model.solve(f"Question {i}?") for i in range(12)]
        most_alone = engine.max_in_flight
        found = asyncio.run(together())
        assert [s.trajectory for s in found] == [s.trajectory for s in alone]
        assert engine.max_in_flight > most_alone  # they shared the engine
        assert asyncio.run(together())[3].trajectory == alone[3].trajectory  # on another loop, the same model


def test_a_model_is_opened_and_closed_on_a_running_loop() -> None:
    async def main() -> tuple[Solution, float]:
        async with await RStarMathModel.aopen("pocket") as model:
            solution = await model.asolve(QUESTION)
            return solution, await model.aevaluate_step(QUESTION, "# all of them\ntotal = 23 * 17")

    solution, probability = asyncio.run(main())
    assert solution.answer == "354"
    assert 0 <= probability <= 1


class Spinner:
    """Writes a step that runs for ever, and for any other question than this one nothing at all."""

    async def generate(self, prompt: str, params: SamplingParams) -> Generation:
        if "spin" not in prompt:
            await asyncio.Event().wait()
        return Generation((Completion("\nwhile True: pass\n", "<end_of_step>", 5, -1.0),) * params.n, 3)

    async def aclose(self) -> None: ...


@pytest.mark.parametrize("warm", [True, False])
def test_cancelling_stops_the_search_and_its_programs(warm: bool) -> None:
    executor = SandboxExecutor(ExecutionSettings(cpu_s=600, wall_s=600, warm=warm), num_slots=1)
    bench = Workbench(Spinner(), executor, FakeGrader(), FakeRewardModel())
    with RStarMathModel.from_workbench(bench) as model:

        async def given_up(question: str) -> None:
            task = asyncio.create_task(model.asolve(question))
            while question.startswith("spin") and not (executor.runs or executor.pool.num_busy()):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(given_up("Wait?"))
        asyncio.run(given_up("spin"))
        until = time.monotonic() + 60  # long before the limits of the program
        while (executor.runs or executor.pool.num_busy()) and time.monotonic() < until:
            time.sleep(0.01)
        assert not executor.runs
        assert not executor.pool.num_busy()


def test_closing_while_a_question_is_open_tells_the_one_who_waits() -> None:
    async def main() -> str:
        model = fakes(Spinner())
        task = asyncio.create_task(model.asolve("Wait?"))
        await asyncio.sleep(0.05)
        await model.aclose()
        with pytest.raises(EngineError) as caught:
            await task
        with pytest.raises(ModelError, match="has been closed"):
            await model.asolve("Wait?")
        return str(caught.value)

    assert "was closed, or stopped, while it worked on this" in asyncio.run(main())


def test_the_course_can_be_read_meanwhile() -> None:
    course = Course()
    with fakes() as model:
        solution = model.solve("Question?", course=course)
    assert course.tokens_generated == solution.cost.tokens_generated
    assert course.leading == solution.answer


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None,), r"the problem is None \(NoneType\); give a question as text, or a rstar_math.Problem"),
        ((b"2 + 3",), "the problem is b'2"),
        ((["2 + 3"],), "the problem is "),
        ((Problem("p", "  "),), "the problem is empty"),
        ((Problem("p", 3),), "the problem is empty"),  # type: ignore[arg-type]
        (("a\ud800b",), "which is no Unicode character"),
        (("Q?", 3), "strategy.*valid string"),
        (("Q?", "mtcs"), "strategy 'mtcs' is not known"),
    ],
)
def test_questions_that_are_none(arguments: tuple[Any, ...], message: str) -> None:
    with fakes() as model:
        with pytest.raises(RStarError, match=message):
            model.solve(*arguments)
        with pytest.raises(RStarError, match=message):
            asyncio.run(model.asolve(*arguments))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_simulations": "3"}, r"num_rollouts is '3' \(str\); give a whole number"),
        ({"num_simulations": True}, "num_rollouts is True"),
        ({"num_simulations": 2.5}, "num_rollouts is 2.5"),
        ({"num_simulations": 0}, "num_rollouts is 0; it must be at least 1"),
        ({"max_depth": -1}, "max_depth is -1"),
        ({"max_tokens": 0}, "max_tokens is 0"),
        ({"max_rollouts": "many"}, "max_rollouts is 'many'"),
        ({"max_seconds": "1"}, "max_seconds is '1'"),
        ({"max_seconds": float("nan")}, "max_seconds is nan"),
        ({"max_seconds": 0}, "max_seconds is 0"),
        ({"seed": None}, "seed is None"),
        ({"settings": {"num_trees": 2}}, "settings is .*; give a rstar_math.config.AnsweringSettings"),
    ],
)
def test_options_of_the_wrong_kind(options: dict[str, Any], message: str) -> None:
    with fakes() as model, pytest.raises(ConfigError, match=message):
        model.solve("Question?", **options)


def test_what_is_no_model_and_no_step() -> None:
    for wrong in (None, 3, ["pocket"]):
        with pytest.raises(ConfigError, match="give its name or folder"):
            RStarMathModel.from_pretrained(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="runtime is "):
        RStarMathModel.from_pretrained("pocket", {"device": "cpu"})  # type: ignore[arg-type]
    with fakes() as model:
        with pytest.raises(ConfigError, match="next_step is None"):
            model.evaluate_step("Q?", None)  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="current_state is 3"):
            model.evaluate_step(3, "x = 1")  # type: ignore[arg-type]
        with pytest.raises(ConfigError, match="current_state is"):
            model.evaluate_step(["x = 1"], "x = 1", question="Q?")  # type: ignore[list-item]
        with pytest.raises(ModelError, match="is not calibrated"):
            model.evaluate_step("Q?", "x = 1")


def test_a_model_is_not_pickled() -> None:
    with fakes() as model:
        for copied in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(ModelError, match=r"cannot be pickled or copied.*from_pretrained"):
                copied(model)


# ---------------------------------------------------------------- many questions


@pytest.mark.parametrize(
    ("line", "question", "own_id"),
    [
        (b"What is 2 + 3?\n", "What is 2 + 3?", None),
        (b"\xef\xbb\xbfWhat is 2 + 3?\r\n", "What is 2 + 3?", None),
        (b'{"question": " Q? ", "id": 7}', "Q?", 7),
        (b'{"problem": "Q?", "id": "a", "answer": "5"}', "Q?", "a"),
        (b'"Q?"\n', "Q?", None),
        (b'"Go," he said. How far?\n', '"Go," he said. How far?', None),
        (b"[1, 2] has which sum?", "[1, 2] has which sum?", None),
    ],
)
def test_lines_that_are_questions(line: bytes, question: str, own_id: str | int | None) -> None:
    found = read_question(1, line)
    assert found is not None
    assert found.problem is not None
    assert (found.problem.question, found.id, found.error) == (question, own_id, None)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b'{"question": "Q?"', "it is not JSON"),
        (b'{"text": "Q?"}', "neither `question` nor `problem`, but `text`"),
        (b"{}", "but nothing"),
        (b'{"question": 3}', "`question` is 3"),
        (b'{"question": null}', "`question` is null"),
        (b'{"question": " "}', "give the text of a question"),
        (b'{"question": "Q?", "id": [1]}', "`id` is"),
        (b"\xff\xfe", "it is not UTF-8"),
        (b'{"a":' * 100_000, "it is not JSON"),
    ],
)
def test_lines_that_are_none(line: bytes, error: str) -> None:
    found = read_question(4, line)
    assert found is not None
    assert found.problem is None
    assert found.error is not None
    assert error in found.error
    assert read_question(1, b" \n") is None


Answerer = Callable[[str], Awaitable[Solution]]


def answered(lines: list[bytes], solve: Answerer, num_at_once: int = 3) -> list[tuple[int, str | None]]:
    written: list[tuple[int, str | None]] = []

    async def stream() -> Any:
        for line in lines:
            yield line

    def write_one(question: Question, found: Solution | str) -> None:
        written.append((question.line, found if isinstance(found, str) else found.answer))

    asyncio.run(answer_all(stream(), solve, write_one, num_at_once))
    return written


def test_answers_come_in_order_though_they_end_in_another() -> None:
    begun: list[str] = []
    most = now = 0

    async def solve(question: str) -> Solution:
        nonlocal most, now
        begun.append(question)
        now += 1
        most = max(most, now)
        for _ in range(50 - int(question)):  # the later, the quicker
            await asyncio.sleep(0)
        now -= 1
        if question == "5":
            raise ConfigError("not this one")
        return Solution(question, (), None)

    lines = [*(str(i).encode() for i in range(10)), b"{", b"\n", b"11"]
    written = answered(lines, solve)
    assert [line for line, _ in written] == [*range(1, 12), 13]
    assert [a for _, a in written[:5]] == ["0", "1", "2", "3", "4"]
    assert written[5] == (6, "not this one")
    assert "it is not JSON" in str(written[10][1])
    assert written[-1] == (13, "11")
    assert most == 3


def test_a_broken_engine_ends_all_after_what_was_finished() -> None:
    stopped: list[str] = []

    async def solve(question: str) -> Solution:
        if question == "2":
            raise EngineError("the server is gone")
        if question > "2":
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                stopped.append(question)
                raise
        return Solution(question, (), None)

    with pytest.raises(EngineError, match="the server is gone"):
        answered([b"1", b"2", b"3", b"4"], solve)
    assert sorted(stopped) == ["3", "4"]


def rstar(*args: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RSTAR, *args], input=text, capture_output=True, text=True, timeout=1500)


def test_a_file_of_questions(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    too_long = "apples and " * 2_000
    path.write_text(f'{{"question": "{QUESTION}", "id": "a", "answer": "354"}}\nnot {{json\n{{"x": 1}}\n{too_long}\n')
    from_file = command("solve", "--file", str(path))
    rows = [json.loads(line) for line in from_file.stdout.splitlines()]
    assert [row["line"] for row in rows] == [1, 2, 3, 4]
    assert (rows[0]["id"], rows[0]["answer"], rows[0]["reference"], rows[0]["sure"]) == ("a", "354", "354", True)
    assert "error" in rows[2]
    assert rows[3]["unfinished"] == Unfinished.QUESTION_TOO_LONG
    assert "Shorten it" in rows[3]["why"]
    assert from_file.returncode == 2
    assert "line 3: it has neither" in from_file.stderr
    assert "2 answered, 1 without an answer, 1 refused" in from_file.stderr
    from_input = rstar("solve", "--file", "-", "--concurrency", "1", text=f"{QUESTION}\n{too_long}")
    first, second = map(json.loads, from_input.stdout.splitlines())
    assert first["answer"] == "354"
    assert second["answer"] is None
    assert from_input.returncode == 3


def test_no_answer_has_an_exit_status_and_words(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["solve", "apples and " * 2_000])
    assert done.exit_code == 3
    assert "No solution was finished." in done.stdout
    assert "Why: the question leaves no room in the model's context" in " ".join(done.stdout.split())
    shallow = CliRunner().invoke(app, ["solve", QUESTION, "--max-depth", "1", "--json"])
    assert shallow.exit_code == 3
    assert json.loads(shallow.stdout)["unfinished"] == "depth_limit"
    short = CliRunner().invoke(app, ["solve", QUESTION, "--set", "search.max_step_tokens=4", "--json"])
    assert json.loads(short.stdout)["unfinished"] in ("step_too_long", "format_ignored")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["Q?", "--file", "x"], "give only one of a question and --file"),
        (["--interactive", "--file", "x"], "give only one of --file and --interactive"),
        (["--file", "nowhere.jsonl"], "cannot read nowhere.jsonl: there is no such file"),
        (["--file", "."], "cannot read .: it is a folder"),
        (["--file", "-", "--concurrency", "0"], "--concurrency is 0"),
        (["Q?", "--set", "search.depth=3"], "search.depth"),
        (["Q?", "--trees", "0"], "num_trees"),
        (["Q?", "--model", "pocket-base", "--strategy", "mcts"], "pocket-base has none"),
    ],
)
def test_commands_that_are_refused(args: list[str], message: str) -> None:
    assert message in refused("solve", *args)


# ---------------------------------------------------------------- one after the other

SLOW = """
import asyncio
from rstar_math.engines.fake import FakeEngine, FakePolicy

class Slow(FakeEngine):
    async def generate(self, prompt, params):
        if "slow" in prompt:
            await asyncio.Event().wait()
        return await super().generate(prompt, params)

def open_engine():
    return Slow(FakePolicy(error_rate=0, malformed_rate=0, slip_rate=0))
"""


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, *args: str) -> None:
        import pty

        self.text = ""
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            hear_signals()
            os.execv(RSTAR, [str(RSTAR), *args])

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def wait_for(self, text: str) -> None:
        """Reads until `text` is shown."""
        until = time.monotonic() + 1500
        while text not in self.text:
            assert time.monotonic() < until, self.text[-2_000:]
            if select.select([self._terminal], [], [], 1.0)[0]:
                self.text += os.read(self._terminal, 1 << 16).decode(errors="replace")
        self.text = self.text.partition(text)[2]

    def exit_code(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_conversation(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    terminal = Terminal("solve", "--interactive", "--model", f"{tmp_path}/slow.py:open_engine")
    terminal.wait_for("Ctrl-D ends")
    terminal.wait_for("? ")
    terminal.type("What is quick?\n")
    terminal.wait_for("Answer: ")
    terminal.wait_for("? ")
    terminal.type("What is slow?\n")
    terminal.wait_for("thinking: 1 s, 0 tokens")
    terminal.type("\x03")
    terminal.wait_for("stopped this question")
    terminal.wait_for("? ")
    terminal.type("half a question\x03")
    terminal.wait_for("? ")
    terminal.type("What is quick again?\n")
    terminal.wait_for("Answer: ")
    terminal.wait_for("? ")
    terminal.type("\x04")
    assert terminal.exit_code() == 0


def test_a_conversation_by_pipe(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    args = ("solve", "--interactive", "--json", "--model", f"{tmp_path}/slow.py:open_engine")
    done = rstar(*args, text="What is one?\n\nWhat is two?\n")
    assert done.returncode == 0
    assert [json.loads(line)["question"] for line in done.stdout.splitlines()] == ["What is one?", "What is two?"]
    assert done.stderr == ""  # no progress where nobody looks
