"""The Python of README.md and docs/python.md runs as it stands there.

The example that evolves is run by tests/api/test_runs.py, and the types are checked by tests/test_types_shown.py.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests import warm

ROOT = Path(__file__).parents[2]
_FILE = re.compile(r"^<!-- file: (\S+\.py) -->\n```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
FILES = dict(_FILE.findall(PAGE))


def run(code: str, folder: Path, name: str = "shown.py") -> str:
    (folder / name).write_text(code, encoding="utf-8")
    done = warm.run(cwd=folder, program=name)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def test_every_block_of_the_page_is_a_file() -> None:
    assert list(FILES) == ["one.py", "many.py", "watching.py", "evolving.py"]
    assert len(BLOCK.findall(PAGE)) == len(FILES)


def test_one_question(tmp_path: Path) -> None:
    lines = run(FILES["one.py"], tmp_path).splitlines()
    assert lines[-2] == "354 1.0 True"
    assert 0 < float(lines[-1]) < 1


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    (code,) = BLOCK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert run(code, tmp_path).splitlines()[0] == "138 1.0 True"


def test_many_questions(tmp_path: Path) -> None:
    assert run(FILES["many.py"], tmp_path).splitlines() == ["['354', '193', '80']", "given up"]


def test_watching(tmp_path: Path) -> None:
    lines = run(FILES["watching.py"], tmp_path).splitlines()
    assert lines[-1] == "354"
    assert any(line.startswith("tree 1, depth 2: ") for line in lines)
