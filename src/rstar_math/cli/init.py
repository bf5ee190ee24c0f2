"""`rstar init`: a recipe for problems of your own, with a few example problems that it runs on as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rstar_math.types import Problem

NUM_TRAINING, NUM_HELD_OUT, NUM_MEASURED = 24, 8, 8
_SEED = 7
_POOL = 400

RECIPE = """\
# A recipe for problems of your own.
#
#   rstar explain {recipe}     # every key, its value, and what the paper has
#   rstar evolve {recipe} --out runs/{name}     # search, select, train, measure
#
# Keys that do not stand here come from the recipe that it extends.

extends: smoke                    # two small rounds for the pocket base; a 7B model: qwen2.5-math-7b (rstar recipes)
name: {name}
base_model: pocket-base           # or a Hugging Face folder, or OWNER/NAME at the hub

# The problems: JSON Lines, a JSON list or Parquet with a question and its answer on each row, as
#     {{"problem": "What is 3 + 4?", "answer": "7"}}
# or the rows of GSM8K, MATH, NuminaMath, ... as they are (docs/formats.md). Paths are read from where you start the
# command. Here one file is cut into three parts that share no problem. With files of your own: one `source` each.
problems:                         # to train on
  source: {problems}
  num_problems: {training}
held_out:
  problems:                       # searched too, but only to steer and measure the PPM
    source: {problems}
    skip: {training}
    num_problems: {held_out}

evaluation:
  problems:                       # to measure on; none of them is trained on
    source: {problems}
    skip: {skip}
    num_problems: {measured}
  control_problems: 8             # of the training problems: what the base solves with as many tokens
  threshold_problems: null        # a set on which `rstar solve` learns when to say "sure"; null: it never does
  overlap: block                  # training problems that share 13 words in a row with these are refused

rounds:                           # a mapping changes all rounds; a list replaces them
  search: {{num_rollouts: 4, num_candidates: 4}}
"""


def init(
    path: Annotated[Path, typer.Argument(help="Folder to write to, or a file that ends in .yaml.")],
) -> None:
    """Write a recipe for problems of your own, and a few example problems."""
    from rstar_math.errors import ConfigError
    from rstar_math.problems.prepare import problem_row
    from rstar_math.store.files import write_text

    if path.suffix in (".yaml", ".yml"):
        recipe, problems = path, path.with_name(f"{path.stem}-problems.jsonl")
    else:
        recipe, problems = path / "recipe.yaml", path / "problems.jsonl"
    there = [str(file) for file in (recipe, problems) if file.exists()]
    if there:
        raise ConfigError(
            f"{' and '.join(there)} stand there already; nothing was written. Give another folder or file"
        )
    if path.exists() and recipe != path and not path.is_dir():
        raise ConfigError(f"{path} is a file; give a folder, or a file that ends in .yaml")
    name = (path if recipe != path else path.with_suffix("")).absolute().name or "mine"
    text = RECIPE.format(
        recipe=recipe,
        name=name,
        problems=json.dumps(str(problems)),  # a path in quotes is YAML whatever it holds
        training=NUM_TRAINING,
        held_out=NUM_HELD_OUT,
        measured=NUM_MEASURED,
        skip=NUM_TRAINING + NUM_HELD_OUT,
    ).replace(f"\nname: {name}\n", f"\nname: {json.dumps(name)}\n")
    write_text(problems, "".join(json.dumps(problem_row(p), ensure_ascii=False) + "\n" for p in example_problems()))
    write_text(recipe, text)
    print(f"{recipe}\n{problems}\n\nrstar explain {recipe}\nrstar evolve {recipe} --out runs/{name}")


def example_problems() -> list[Problem]:
    """Problems of the pocket world: those to train on, then others that share no 13 words in a row with them."""
    from rstar_math.pocket.splits import pocket_problems
    from rstar_math.problems.load import ProblemSet
    from rstar_math.problems.prepare import without_overlaps

    pool = [p for p in pocket_problems("train", _POOL, seed=_SEED) if p.tier == "gsm"]
    training = pool[:NUM_TRAINING]
    others = without_overlaps(pool[NUM_TRAINING:], [ProblemSet("training", tuple(training), "")]).problems
    return [*training, *others[: NUM_HELD_OUT + NUM_MEASURED]]
