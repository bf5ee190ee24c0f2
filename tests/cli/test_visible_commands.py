"""What models, programs, servers and files wrote, through the commands: no control character comes out as it is."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from rich.table import Table

from rstar_math.report.page import write_report
from rstar_math.report.schema import load_report
from rstar_math.store.files import json_line, write_json, write_text
from rstar_math.terminal.console import Console, Text
from tests import warm
from tests.cli.test_server_failures import rstar as rstar_with_server
from tests.engines.endpoint import Answer, Body
from tests.report.made_up import report

RSTAR = Path(sys.executable).with_name("rstar")
HOSTILE = "\x1b]0;title\x07\x1b[2J\x9b31m\x7f\u202e\u2066\x00\x08"
"""Title, bell, clear screen, colour by C1, delete, directions, null, backspace."""

RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

ENGINE = '''
"""A policy that writes control characters into its code, its output and its answer."""
from rstar_math import steps
from rstar_math.engines.base import Generation
from rstar_math.types import Completion

HOSTILE = {hostile!r}


class Engine:
    async def generate(self, prompt, params):
        if steps.OUTPUT in prompt:
            text, stop = f"\\n{{steps.ANSWER}}It is \\\\boxed{{{{7{{HOSTILE}}}}}}.", steps.END_OF_ANSWER
        else:
            text, stop = f"\\n# Step 1: {{HOSTILE[:-2]}}\\nx = {{HOSTILE!r}}\\nprint('7' + x)\\n", steps.END_OF_CODE
        return Generation((Completion(text, stop, num_tokens=9, logprob=0.0),) * params.n, num_prompt_tokens=9)

    async def aclose(self):
        pass


def open_engine():
    return Engine()


def fails():
    raise ValueError("the engine says " + HOSTILE)
'''

PROBLEMS = """
from rstar_math.types import Problem

HOSTILE = {hostile!r}


def problems():
    more = {{"answer": f"7{{HOSTILE}}", "tier": f"t{{HOSTILE}}"}}
    return [Problem(id=f"p{{i}}{{HOSTILE}}", question=f"What is {{i}}?{{HOSTILE}}", **more) for i in range(2)]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "engine.py").write_text(ENGINE.format(hostile=HOSTILE), encoding="utf-8")
    (tmp_path / "sums.py").write_text(PROBLEMS.format(hostile=HOSTILE), encoding="utf-8")
    return tmp_path


def rstar(folder: Path, *arguments: str | Path, code: int | None = 0) -> tuple[str, str]:
    """What a command printed on both streams, after it was found free of raw control characters."""
    done = warm.run(*arguments, cwd=folder)
    out, err = done.stdout, done.stderr
    assert code is None or done.returncode == code, err
    assert RAW.findall(out) == []
    assert RAW.findall(err) == []
    return out, err


def written(folder: Path) -> dict[str, str]:
    """The text files below a folder, after they were found free of raw control characters."""
    texts = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix in (".md", ".json", ".jsonl", ".html", ".yaml")):
        texts[path.name] = path.read_bytes().decode("utf-8", "strict")
        assert RAW.findall(texts[path.name]) == [], path
    return texts


def test_solve(folder: Path) -> None:
    model = ("--model", "engine.py:open_engine")
    out, _ = rstar(folder, "solve", f"What is it?{HOSTILE}".replace("\x00", ""), *model)
    assert "\\x1b]0;title\\x07" in out
    assert "Answer: 7\\x1b" in out
    found = json.loads(rstar(folder, "solve", "What is it?", *model, "--json")[0])
    assert found["steps"][0]["output"].startswith("7" + HOSTILE)
    assert found["num_not_reproduced"] == 0
    lines = folder / "questions.jsonl"
    lines.write_bytes(json_line({"id": f"a{HOSTILE}", "question": f"b{HOSTILE}"}) + b'{"x\x1b[2J\xff": 1}\n')
    out, err = rstar(folder, "solve", "--file", lines, *model, code=None)
    assert [json.loads(line)["line"] for line in out.splitlines()] == [1, 2]
    assert "line 2" in err


def test_eval_and_its_summary(folder: Path) -> None:
    methods = ("--strategy", "greedy", "--strategy", "sample", "--set", "search.num_rollouts=2")
    names = ("--model", "engine.py:open_engine", "--benchmark", "sums.py:problems", "--workers", "1")
    rstar(folder, "eval", *names, *methods, "--out", "out")
    texts = written(folder / "out")
    assert "summary.md" in texts
    assert "\\x1b" in texts["summary.md"]  # the tier
    rows = [json.loads(line) for name, text in texts.items() if name.endswith(".jsonl") for line in text.splitlines()]
    answers = {row["answer"] for row in rows if "answer" in row}
    assert answers == {"7" + HOSTILE}


def test_execute(folder: Path) -> None:
    programs = [{"id": f"a{HOSTILE}", "steps": [f"print({HOSTILE!r}, flush=True)", f"raise ValueError({HOSTILE!r})"]}]
    lines = [json_line(p) for p in programs] + [json_line({"id": "b", HOSTILE: 1}), b'{"id": "\x1b[2J\xff\n']
    (folder / "programs.jsonl").write_bytes(b"".join(lines))
    _, err = rstar(folder, "execute", "programs.jsonl", "--out", "out/results.jsonl")
    assert "line 2" in err
    (row,) = map(json.loads, written(folder / "out")["results.jsonl"].splitlines())
    assert row["id"] == f"a{HOSTILE}"
    assert row["executions"][0]["output"] == HOSTILE + "\n"


def test_grade(folder: Path) -> None:
    pair = {"gold": f"1{HOSTILE}", "prediction": f"2{HOSTILE}", "equivalent": False, "category": f"[/red]{HOSTILE}"}
    (folder / "pairs.jsonl").write_bytes(json_line(pair))
    out, err = rstar(folder, "grade", "pairs.jsonl", "--json", "out/summary.json")
    assert [json.loads(line) for line in out.splitlines()]
    assert "[/red]" in err
    assert list(json.loads(written(folder / "out")["summary.json"])["categories"]) == [f"[/red]{HOSTILE}"]


def test_errors_that_quote_values_and_what_others_raise(folder: Path) -> None:
    odd = HOSTILE.replace("\x00", "")
    for arguments in (
        ("solve", "x", "--model", f"nowhere{odd}"),
        ("eval", "--model", "pocket-base", "--benchmark", f"no{odd}", "--out", "out"),
        ("explain", f"no{odd}"),
        (f"no{odd}",),
        ("solve", "x", f"--no{odd}"),
        ("doctor", "--model", f"nowhere{odd}", "--device", "cpu"),
        ("doctor", "--model", f"nowhere{odd}", "--device", "cpu", "--json"),
        ("report", f"no{odd}"),
        ("solve", "x", "--model", "engine.py:fails"),
    ):
        out, err = rstar(folder, *arguments, code=None)
        assert "\\x1b" in out + err or "\\u001b" in out, arguments


def test_a_traceback_of_a_fault_of_our_own(folder: Path) -> None:
    """What the interpreter itself prints at the end goes the same way."""
    code = (
        "import sys, warnings, logging\nfrom rstar_math.terminal.streams import show_controls\nshow_controls()\n"
        f"warnings.warn({HOSTILE!r})\nlogging.getLogger('x').warning({HOSTILE!r})\nraise ValueError({HOSTILE!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True)
    said = done.stderr.decode()
    assert RAW.findall(said) == []
    assert said.count("\\x1b[2J") >= 3


def test_explain_and_names_in_recipes(folder: Path) -> None:
    (folder / "mine.yaml").write_text(f"extends: smoke\nname: {json.dumps('a' + HOSTILE)}\n", encoding="utf-8")
    for options in ((), ("--json",)):
        out, err = rstar(folder, "explain", "mine.yaml", *options, code=None)
        assert "1b]0;title" in out + err


def test_what_a_server_says(folder: Path) -> None:
    async def handler(path: str, body: Body, headers: Mapping[str, str]) -> Answer:
        return Answer(status=418, body={"error": {"message": f"no {HOSTILE}"}})

    done = rstar_with_server(handler, "solve", "What?", "--model", "URL?model=m&bootstrap=none")
    assert done.returncode == 1
    assert RAW.findall(done.stdout + done.stderr) == []
    assert "\\x1b]0;title" in done.stderr


def test_styles_on_a_terminal_are_the_programs_own(folder: Path) -> None:
    """On a terminal the program's own sequences come out, and those of others do not."""
    main, side = pty.openpty()
    command = [str(RSTAR), "solve", "What is it?", "--model", "engine.py:open_engine"]
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "200", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, stdin=side, stdout=side, stderr=side, env=environment)
    os.close(side)
    said = b""
    while select.select([main], [], [], 1500)[0]:
        try:
            said += os.read(main, 65_536)
        except OSError:  # the other side is closed
            break
    assert process.wait(1500) == 0
    os.close(main)
    text = said.decode().replace("\r\n", "\n")
    assert "\x1b[" in text  # its own
    for sequence in ("\x1b]", "\x07", "\x9b", "\x7f", "\u202e", "\u2066", "\x00", "\x08"):
        assert sequence not in text, repr(sequence)
    assert "\x1b]0;title" not in text
    assert re.sub("\x1b\\[[0-9;]*m", "", text).count("title") >= 2


def test_consoles_are_made_in_one_place() -> None:
    """A console of rich's own would write to the terminal what it is given."""
    source = Path(__file__).parents[2] / "src" / "rstar_math"
    made = re.compile(
        r"rich\.console\.Console\(|from rich\.console import [^\n]*\bConsole\b(?!Options)|rich import print"
        r"|from rich\.text import"
    )
    found = [str(p.relative_to(source)) for p in source.rglob("*.py") if made.search(p.read_text("utf-8"))]
    assert found == ["console.py"] or found == []


def test_what_rich_would_drop_is_shown_too() -> None:
    stream = io.StringIO()
    console = Console(stream, width=200)
    table = Table("na\x07me")
    table.add_row("ce\x08ll")
    for shown in ("a\x07b", Text("c\x0bd").append("e\x0cf"), Text.assemble("g\rh", ("i\x07j", "bold")), table):
        console.print(shown)
    for piece in ("a\\x07b", "c\\x0bd", "e\\x0cf", "g\\rh", "i\\x07j", "na\\x07me", "ce\\x08ll"):
        assert piece in stream.getvalue()


def test_files_hold_escapes_and_json_reads_back(tmp_path: Path) -> None:
    text = HOSTILE + "\ud800"
    write_text(tmp_path / "a.md", text)
    write_json(tmp_path / "a.json", {"a": text})
    (tmp_path / "a.jsonl").write_bytes(json_line({"a": text}))
    texts = written(tmp_path)
    assert texts["a.md"] == "".join(c.encode("unicode_escape").decode() for c in text)
    assert json.loads(texts["a.json"]) == json.loads(texts["a.jsonl"]) == {"a": text}


def test_reports_of_a_run(tmp_path: Path) -> None:
    hostile = report().model_copy(update={"recipe": f"r{HOSTILE}", "command": f"c{HOSTILE}", "hardware": HOSTILE})
    write_report(tmp_path, hostile)
    texts = written(tmp_path)
    assert set(texts) == {"report.json", "report.html"}
    assert "\\x1b]0;title" in texts["report.html"]
    assert load_report(tmp_path / "report.json") == hostile
