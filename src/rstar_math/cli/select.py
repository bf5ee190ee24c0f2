"""`rstar select`: trajectories, pairs, outcomes and Q values from trees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.options import FromRecipe, Out, Set

if TYPE_CHECKING:
    from rstar_math.selection.scored_texts import ScoredText
    from rstar_math.tree import Tree


def select(
    trees: Annotated[list[Path], typer.Argument(help="Folders of trees, single parts, or trees of the released code.")],
    out: Out,
    recipe: FromRecipe = "pocket",
    kind: Annotated[str | None, typer.Option("--format", help="Also for others: rstar, trl or messages.")] = None,
    verify: Annotated[bool, typer.Option(help="Run what is kept once more, and drop what prints otherwise.")] = True,
    settings: Set = None,
) -> None:
    """Take verified trajectories and preference pairs from trees."""
    from rstar_math.cli.settings import changed, round_of
    from rstar_math.errors import ConfigError, DataError
    from rstar_math.execution.opening import open_executor
    from rstar_math.selection.scored_texts import merged, outcomes, step_values
    from rstar_math.selection.values import valued
    from rstar_math.stages.select import select
    from rstar_math.store.files import write_json
    from rstar_math.store.interchange import FORMATS, read_any_trees, write_interchange
    from rstar_math.store.paths import shown
    from rstar_math.store.records import write_pairs, write_scored_texts, write_trajectories
    from rstar_math.workers.bench import answer_comparison

    chosen_format = next((f for f in FORMATS if f == kind), None)
    if kind is not None and chosen_format is None:
        raise ConfigError(f"--format {kind!r} is not known; choose from {', '.join(FORMATS)}")
    whole, _ = round_of(recipe, None)
    how = changed(whole.selection, settings or [], "selection")
    for path in trees:
        if not path.exists():
            raise DataError(f"no trees at {path}: there is no such file or folder")
    executor = open_executor(whole.runtime.execution) if verify else None
    finished: list[ScoredText] = []
    values: list[ScoredText] = []

    def found() -> Iterator[Tree]:
        for path in trees:
            for tree in read_any_trees(path):
                finished.extend(outcomes([tree]))
                values.extend(step_values([valued(tree, how.values)]))
                yield tree

    with answer_comparison() as same:
        selected = select(found(), how, executor, same)
    if selected.num_trees == 0:
        raise DataError(f"no tree in {', '.join(map(shown, trees))}; nothing was written")
    write_trajectories(out / "trajectories.parquet", selected.rows())
    write_pairs(out / "pairs.parquet", selected.pairs)
    finished, values = merged(finished), merged(values)
    write_scored_texts(out / "outcomes.parquet", finished)
    write_scored_texts(out / "q-values.parquet", values)
    summary = {
        "num_trees": selected.num_trees,
        "num_solved": len(selected.solved),
        "num_trajectories": selected.num_trajectories,
        "num_pairs": len(selected.pairs),
        "num_outcomes": len(finished),
        "num_q_values": len(values),
        "num_not_reproduced": selected.num_not_reproduced,
        "num_suspect_references": len(selected.suspects),
    }
    write_json(out / "summary.json", summary)
    write_json(out / "suspect-references.json", [asdict(s) for s in selected.suspects])
    for s in selected.suspects:
        print(
            f"probably a wrong reference: {s.problem}: {s.reference!r}, but {s.num_agreeing} of "
            f"{s.num_trajectories} trajectories say {s.answer!r}"
        )
    print(", ".join(f"{name.removeprefix('num_').replace('_', ' ')}: {n}" for name, n in summary.items()))
    for name in ("trajectories", "pairs", "outcomes", "q-values"):
        print(out / f"{name}.parquet")
    if chosen_format is not None:
        print("\n".join(map(str, write_interchange(out, chosen_format, selected.rows(), selected.pairs))))
