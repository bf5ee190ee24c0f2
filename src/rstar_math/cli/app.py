"""The command `rstar`, put together. Each command stands in a file of its own, and loads what is heavy when it runs.

How errors reach a person: `rstar_math.cli.boundary`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from rstar_math.cli import pocket, problems, train
from rstar_math.cli.calibrate import calibrate
from rstar_math.cli.doctor import doctor
from rstar_math.cli.evaluate import evaluate
from rstar_math.cli.evolve import evolve
from rstar_math.cli.execute import execute
from rstar_math.cli.explain import explain
from rstar_math.cli.grade import grade
from rstar_math.cli.help import HELP_OPTIONS, Group
from rstar_math.cli.import_gguf import import_gguf
from rstar_math.cli.init import init
from rstar_math.cli.listings import benchmarks, recipes, strategies
from rstar_math.cli.push import push
from rstar_math.cli.report import report
from rstar_math.cli.reproduce import reproduce
from rstar_math.cli.search import search
from rstar_math.cli.select import select
from rstar_math.cli.serve import serve
from rstar_math.cli.solve import solve
from rstar_math.cli.tree import tree
from rstar_math.cli.tutor import tutor
from rstar_math.cli.view import view
from rstar_math.cli.work import work

app = typer.Typer(
    name="rstar",
    cls=Group,
    context_settings=HELP_OPTIONS,
    help="Small language models that reason: MCTS over executed steps, a process preference model, self-evolution.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        from rstar_math import __version__

        print(f"rstar-math {__version__}")
        raise typer.Exit


COMMANDS: tuple[Callable[..., None], ...] = (
    *(
        solve,
        tutor,
        serve,
        init,
        evolve,
        work,
        view,
        report,
        reproduce,
        explain,
        evaluate,
        calibrate,
        doctor,
        recipes,
        strategies,
        benchmarks,
    ),
    *(tree, search, select, execute, grade, import_gguf, push),
)
"""In the order of the help."""

_NAMES = {evaluate: "eval", import_gguf: "import"}
"""Of commands whose names mean something else in Python; the others are called as their functions are."""

for _command in COMMANDS:
    app.command(name=_NAMES.get(_command, _command.__name__))(_command)
app.add_typer(train.commands, name="train")
app.add_typer(pocket.commands, name="pocket")
app.add_typer(problems.commands, name="problems")
