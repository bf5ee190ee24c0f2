"""The commands of `rstar`. How their errors reach a person: `rstar_math.cli.boundary`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.help import HELP_OPTIONS, Group
from rstar_math.cli.places import benchmarks_from, file_to_write, folder_to_write
from rstar_math.cli.problems import commands as problem_commands
from rstar_math.cli.serve import serve

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
train = typer.Typer(
    cls=Group, help="Train one model from files or from a run.", no_args_is_help=True, rich_markup_mode=None
)
pocket = typer.Typer(
    cls=Group, help="The pocket scale: its base model and its problems.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(train, name="train")
app.add_typer(pocket, name="pocket")
app.add_typer(problem_commands, name="problems")
app.command()(serve)

Model = Annotated[
    str,
    typer.Option(
        help="pocket, pocket-base, a run, a folder with policy/ and ppm/, a checkpoint, a hub name (OWNER/NAME), the "
        "URL of an OpenAI-compatible server (http://HOST:PORT/v1?model=NAME), or a model file (.yaml)."
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Workers = Annotated[int | None, typer.Option(help="Search processes; default: one per accelerator or CPU core.")]
Rounds = Annotated[
    int | None, typer.Option(help="Rounds; further ones are as the recipe's last. A finished run goes on with them.")
]
Concurrency = Annotated[int, typer.Option(help="Problems in flight in one process.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", help="KEY=VALUE: any other setting, named as in a recipe; may be repeated.")
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="The same to the last bit at any concurrency and after a resume; slower."),
]
FromRecipe = Annotated[str, typer.Option("--recipe", help="Recipe that the settings come from.")]
FromRound = Annotated[int | None, typer.Option("--round", help="Round of that recipe, from 1; default: the last.")]
Out = Annotated[Path, typer.Option(help="Folder to write to.", callback=folder_to_write)]
FromRun = Annotated[
    Path | None, typer.Option("--run", help="Run of `rstar evolve`: data, policy, held-out problems and settings.")
]
RoundOf = Annotated[
    int | None, typer.Option("--round", help="Round of the run, or of the recipe, from 1; default: the last.")
]
StartingPolicy = Annotated[str | None, typer.Option(help="Policy that the model starts from; needed without --run.")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        from rstar_math import __version__

        print(f"rstar-math {__version__}")
        raise typer.Exit


@app.command()
def solve(
    problem: Annotated[str | None, typer.Argument(help="The question; without one, a pocket test problem.")] = None,
    model: Model = "pocket",
    strategy: Annotated[
        str | None, typer.Option(help="A strategy by name, or my_file.py:function; default: the model's own.")
    ] = None,
    rollouts: Annotated[int | None, typer.Option(help="Rollouts of each tree; default: the model's own.")] = None,
    trees: Annotated[int | None, typer.Option(help="Fresh trees; default: the model's own.")] = None,
    total_rollouts: Annotated[
        int | None, typer.Option(help="Limit: rollouts in all trees together; fresh trees follow until it is reached.")
    ] = None,
    tokens: Annotated[int | None, typer.Option(help="Limit: tokens generated, likewise.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Limit: wall seconds, likewise.")] = None,
    max_depth: Annotated[int | None, typer.Option(help="Most steps of a solution; default: the model's own.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the search, and of the choice of a test problem.")] = None,
    file: Annotated[
        str | None,
        typer.Option(help="Questions, one on each line, as text or JSON; - for standard input. One JSON line each."),
    ] = None,
    interactive: Annotated[bool, typer.Option("--interactive", help="Ask for question after question.")] = False,
    concurrency: Annotated[int, typer.Option(help="With --file: questions at the same time.")] = 16,
    deterministic: Deterministic = False,
    settings: Set = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Think about a problem; show the verified steps, the answer, how sure the search is, and the cost."""
    from rstar_math.cli.solve import Asked, solve_command

    asked = Asked(
        model=model,
        strategy=strategy,
        rollouts=rollouts,
        trees=trees,
        max_depth=max_depth,
        total_rollouts=total_rollouts,
        tokens=tokens,
        seconds=seconds,
        seed=seed,
        changes=settings or (),
        deterministic=deterministic,
    )
    status = solve_command(problem, file, interactive, asked, concurrency, json)
    if status:
        raise typer.Exit(status)


@app.command()
def init(
    path: Annotated[Path, typer.Argument(help="Folder to write to, or a file that ends in .yaml.")],
) -> None:
    """Write a recipe for problems of your own, and a few example problems."""
    from rstar_math.cli.init import init_command

    init_command(path)


@app.command()
def evolve(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a name that `rstar recipes` lists.")],
    out: Annotated[Path, typer.Option(help="Folder of the run; run again to resume.", callback=folder_to_write)],
    rounds: Rounds = None,
    workers: Workers = None,
) -> None:
    """Self-evolution: search, verify, select, train policy and PPM, evaluate; round after round."""
    from rstar_math.cli.stages import evolve_command

    evolve_command(recipe, out, workers, rounds)


@app.command()
def report(run: Annotated[Path, typer.Argument(help="Folder of a run.")]) -> None:
    """Tables and plots of a run: on the terminal, as report.json and as report.html."""
    from rstar_math.cli.stages import report_command

    report_command(run)


@app.command()
def reproduce(
    names: Annotated[list[str], typer.Argument(help="table1 to table10, figure3 to figure7, or all.")],
    out: Annotated[
        Path, typer.Option(help="Folder for everything that is made; run again to resume.", callback=folder_to_write)
    ],
    scale: Annotated[str, typer.Option(help="pocket, or a recipe: a name or a YAML file.")] = "pocket",
    rounds: Rounds = None,
    workers: Workers = None,
) -> None:
    """The paper's tables and figures: runs what is missing, decides the paper's claims by intervals."""
    from rstar_math.cli.reproduce import reproduce_command

    reproduce_command(names, scale, out, workers, rounds)


@app.command()
def explain(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or a name that `rstar recipes` lists.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Every key of a recipe: value, source, and what the paper and the released code have."""
    from rstar_math.cli.explain import explain_command

    explain_command(recipe, json)


@app.command(name="eval")
def evaluate(
    out: Out,
    model: Annotated[list[str], typer.Option(help="As for solve; may be repeated.")] = ["pocket"],  # noqa: B006
    benchmark: Annotated[
        list[str],
        typer.Option(help="A JSONL file, or a name that `rstar benchmarks` lists; may be repeated."),
    ] = ["pocket/test"],  # noqa: B006
    from_folder: Annotated[
        Path | None, typer.Option("--from", help="Folder with files of the benchmarks; default: the hub.")
    ] = None,
    strategy: Annotated[
        str | None,
        typer.Option(
            help="Strategies (`rstar strategies` lists them), separated by commas; default without --methods: "
            "greedy,mcts, or greedy,sample where a model has no reward model."
        ),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(help="YAML file of methods (strategy, reward model, settings), or pocket; may be repeated."),
    ] = None,
    reward_model: Annotated[
        list[str] | None,
        typer.Option(
            "--reward-model", "--scorer", help="NAME=FOLDER of a reward model that methods name; may be repeated."
        ),
    ] = None,
    tokens: Annotated[
        list[int] | None, typer.Option(help="Budget: tokens generated for an answer; may be repeated, for one each.")
    ] = None,
    rollouts: Annotated[list[int] | None, typer.Option(help="Budget: rollouts, or samples, in all; likewise.")] = None,
    seconds: Annotated[list[float] | None, typer.Option(help="Budget: wall seconds; likewise.")] = None,
    baseline: Annotated[str | None, typer.Option(help="Method that others are compared with; default: first.")] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Methods share completions and scores; seconds are not measured.")
    ] = False,
    pool: Annotated[bool, typer.Option("--pool", help="Models differ in training seed only: a line over all.")] = False,
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    seed: Annotated[list[int], typer.Option(help="Seed of every search; may be repeated.")] = [0],  # noqa: B006
    workers: Workers = None,
    concurrency: Concurrency = 64,
    deterministic: Deterministic = False,
    settings: Set = None,
) -> None:
    """Measure models and methods on problems, at equal budgets; one row per problem, resumable."""
    from rstar_math.cli.evaluate import Asked, evaluate_command

    asked = Asked(
        models=model,
        benchmarks=benchmarks_from(from_folder, benchmark),
        strategies=strategy.split(",") if strategy else (),
        method_files=methods or (),
        tokens=tokens or (),
        rollouts=rollouts or (),
        seconds=seconds or (),
        seeds=seed,
        reward_models=reward_model or (),
        baseline=baseline,
        limit=limit,
        changes=settings or (),
        pool_models=pool,
        shared=shared,
        deterministic=deterministic,
    )
    evaluate_command(out, asked, workers, concurrency)


@app.command()
def calibrate(
    model: Annotated[str, typer.Argument(help="pocket, a run, or a folder with policy/ and perhaps ppm/.")],
    recipe: Annotated[
        str | None,
        typer.Option(help="Says what the model was trained on; default: the recipe of its run."),
    ] = None,
    problems: Annotated[
        str | None, typer.Option(help="Problems that it was not trained on; default: as the recipe says.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Only the first so many of these problems.")] = None,
    target_precision: Annotated[
        float | None, typer.Option(help="Share of right answers among those called sure; default: the recipe's.")
    ] = None,
    seed: Seed = 0,
    work: Annotated[
        Path | None, typer.Option(help="Folder for what is drawn; run again to go on. Default: a temporary one.")
    ] = None,
    workers: Workers = None,
    deterministic: Deterministic = False,
    settings: Set = None,
) -> None:
    """Fit what a model says of itself: evaluate_step, familiar questions, and when an answer is sure."""
    from rstar_math.cli.calibrate import calibrate_command

    calibrate_command(
        model, recipe, problems, limit, target_precision, seed, work, workers, deterministic, settings or []
    )


@app.command()
def doctor(
    run: Annotated[
        Path | None, typer.Argument(help="Folder of a run: all its files are held against their checksums.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="As for solve; default: the machine alone.")] = None,
    ppm: Annotated[str | None, typer.Option(help="Folder of a reward model; default: the model's own.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, mps.")] = "auto",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False,
) -> None:
    """Is this machine, model, prompt format and sandbox fit to run? Is a run whole? One line each."""
    from rstar_math.cli.doctor import doctor_command

    doctor_command(run, model, ppm, device, json)


@app.command()
def recipes() -> None:
    """List the recipes of the package, with a line on each."""
    from rstar_math.cli.listings import recipes_command

    recipes_command()


@app.command()
def strategies() -> None:
    """List the strategies of search, with a line on each."""
    from rstar_math.cli.listings import strategies_command

    strategies_command()


@app.command()
def benchmarks() -> None:
    """List the sets of problems that have a name."""
    from rstar_math.cli.listings import benchmarks_command

    benchmarks_command()


@app.command()
def search(
    problems: Annotated[str, typer.Argument(help="pocket/train, another pocket split, or a JSONL file.")],
    out: Out,
    model: Model = "pocket-base",
    limit: Annotated[int | None, typer.Option(help="Only the first so many problems.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    round_number: FromRound = None,
    workers: Workers = None,
    deterministic: Deterministic = False,
    settings: Set = None,
) -> None:
    """Grow one tree per problem, with the reference in view: data for training."""
    from rstar_math.cli.stages import search_command

    search_command(problems, out, model, limit, seed, recipe, round_number, workers, deterministic, settings or [])


@app.command()
def select(
    trees: Annotated[list[Path], typer.Argument(help="Folders of trees, single parts, or trees of the released code.")],
    out: Out,
    recipe: FromRecipe = "pocket",
    kind: Annotated[str | None, typer.Option("--format", help="Also for others: rstar, trl or messages.")] = None,
    verify: Annotated[bool, typer.Option(help="Run what is kept once more, and drop what prints otherwise.")] = True,
    settings: Set = None,
) -> None:
    """Take verified trajectories and preference pairs from trees."""
    from rstar_math.cli.stages import select_command

    select_command(trees, out, recipe, settings or [], kind, verify)


@train.command()
def sft(
    trajectories: Annotated[list[Path], typer.Argument(help="Files of trajectories (.parquet or .jsonl).")],
    out: Out,
    base: Annotated[str, typer.Option(help="Model to fine-tune.")] = "pocket-base",
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    round_number: FromRound = None,
    settings: Set = None,
) -> None:
    """Fine-tune a policy on verified trajectories."""
    from rstar_math.cli.stages import sft_command

    sft_command(trajectories, out, base, seed, recipe, round_number, settings or [])


@train.command()
def ppm(
    pairs: Annotated[list[Path] | None, typer.Argument(help="Files of preference pairs (.parquet or .jsonl).")] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[Path | None, typer.Option(help="Folder to write to.", callback=folder_to_write)] = None,
    policy: StartingPolicy = None,
    held_out: Annotated[Path | None, typer.Option(help="Pairs of other problems: early stopping, accuracy.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train a process preference model on pairs of steps."""
    from rstar_math.cli.stages import reward_model_command

    reward_model_command("ppm", pairs or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


@train.command()
def orm(
    outcomes: Annotated[
        list[Path] | None, typer.Argument(help="Files of outcomes (a table), or folders of trees.")
    ] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to; default with --run: orm/ in the folder of the round.", callback=folder_to_write
        ),
    ] = None,
    policy: StartingPolicy = None,
    held_out: Annotated[Path | None, typer.Option(help="The same of other problems: early stopping, accuracy.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train an outcome reward model on finished trajectories, right against wrong."""
    from rstar_math.cli.stages import reward_model_command

    reward_model_command("orm", outcomes or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


@train.command()
def pqm(
    q_values: Annotated[
        list[Path] | None, typer.Argument(help="Files of Q values (a table), or folders of trees.")
    ] = None,
    run: FromRun = None,
    round_number: RoundOf = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder to write to; default with --run: pqm/ in the folder of the round.", callback=folder_to_write
        ),
    ] = None,
    policy: StartingPolicy = None,
    held_out: Annotated[Path | None, typer.Option(help="The same of other problems: early stopping, accuracy.")] = None,
    seed: Seed = 0,
    recipe: FromRecipe = "pocket",
    settings: Set = None,
) -> None:
    """Train a process Q-value model on the Q value of every step."""
    from rstar_math.cli.stages import reward_model_command

    reward_model_command("pqm", q_values or [], run, out, policy, held_out, seed, recipe, round_number, settings or [])


@app.command()
def execute(
    programs: Annotated[Path, typer.Argument(help='JSONL: {"id": ..., "steps": ["code", ...]} on each line.')],
    out: Annotated[Path, typer.Option(help="JSONL of results, in the order of the programs.", callback=file_to_write)],
    slots: Annotated[int | None, typer.Option(help="Programs at the same time; default: one per CPU core.")] = None,
    cpu_s: Annotated[float | None, typer.Option("--cpu-s", help="CPU seconds of one step.")] = None,
    wall_s: Annotated[float | None, typer.Option("--wall-s", help="Wall seconds of one step.")] = None,
    memory_mb: Annotated[int | None, typer.Option("--memory-mb", help="Memory of one program.")] = None,
    isolation: Annotated[str, typer.Option(help="none: limits only, which is not a security boundary.")] = "sandbox",
    accept_missing: Annotated[
        list[str] | None, typer.Option("--accept-missing", help="Layer of isolation that this machine may lack.")
    ] = None,
) -> None:
    """Run programs step by step in the sandbox."""
    from rstar_math.cli.files import execute_command

    execute_command(programs, out, slots, cpu_s, wall_s, memory_mb, isolation, accept_missing or [])


@app.command()
def grade(
    pairs: Annotated[Path, typer.Argument(help="JSONL: gold, prediction; optionally equivalent, category, contested.")],
    out: Annotated[
        Path | None, typer.Option(help="JSONL of verdicts; default: standard output.", callback=file_to_write)
    ] = None,
    policy: Annotated[str, typer.Option(help="Policy for contested matters.")] = "default",
    against: Annotated[str | None, typer.Option(help="math-verify: the same pairs by it alone.")] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="JSONL of the pairs on which the two disagree.", callback=file_to_write)
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the summary.", callback=file_to_write)] = None,
) -> None:
    """Grade answers against references, and measure the grader where labels are given."""
    from rstar_math.cli.files import grade_command

    grade_command(pairs, out, policy, against, ledger, json)


@pocket.command()
def pretrain(out: Out, settings: Set = None) -> None:
    """Make the base model of the pocket scale again, from nothing."""
    from rstar_math.cli.stages import pretrain_command

    pretrain_command(out, settings or [])


@pocket.command()
def problems(
    split: Annotated[str, typer.Argument(help="train, validation or test.")],
    num: Annotated[int, typer.Option(help="How many.")] = 10,
    seed: Seed = 0,
) -> None:
    """Print problems of the pocket world as JSONL."""
    from dataclasses import asdict

    from rstar_math.config import ProblemSource
    from rstar_math.problems.load import load_problems
    from rstar_math.terminal.visible import visible_json

    for p in load_problems(ProblemSource(source=f"pocket/{split}", num_problems=num, seed=seed)).problems:
        row = asdict(p)
        row["problem"] = row.pop("question")
        print(visible_json(row))
