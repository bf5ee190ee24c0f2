"""`rstar tree`: a search tree in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rstar_math.view.library import TreeSet


def tree(
    run: Annotated[Path, typer.Argument(help="Folder of a run or of trees, or one part-*.parquet.")],
    problem: Annotated[str, typer.Argument(help="Id of a problem or of a tree, or how it begins.")],
    trees: Annotated[str | None, typer.Option(help="Which trees of a run: round-2/trees; default: the last.")] = None,
    depth: Annotated[int | None, typer.Option(help="Most steps from the question.")] = None,
    whole: Annotated[bool, typer.Option("--all", help="With candidates never visited, and rejected ones.")] = False,
) -> None:
    """Show a search tree: steps, visits, values, what went wrong."""
    from rstar_math.report.terminal import standard_output
    from rstar_math.view.library import Library
    from rstar_math.view.terminal import drawn

    library = Library([run])
    found = []
    names = [name for name in library.tree_sets() if trees is None or name.partition("/")[2] == trees]
    for name in _latest_first(names):
        found += [(name, tree_id) for tree_id in _fitting(library.trees(name), problem)]
    chosen, others = _chosen(found, problem, trees, library.tree_sets())
    console = standard_output()
    for part in drawn(library.trees(chosen[0]).held(chosen[1]).tree, whole=whole, max_depth=depth):
        console.print(part)
    if others:
        listed = ", ".join(f"{tree_id} ({name.partition('/')[2]})" for name, tree_id in others[:6])
        print(f"other trees of it: {listed}{', ...' if len(others) > 6 else ''}")


def _latest_first(names: list[str]) -> list[str]:
    """Trees of training problems before the others, later rounds before earlier ones."""

    def key(name: str) -> tuple[bool, int]:
        digits = "".join(c for c in name.rpartition("round-")[2].partition("/")[0] if c.isdigit())
        return name.endswith("/trees"), int(digits or 0)

    return sorted(names, key=key, reverse=True)


def _fitting(trees: TreeSet, wanted: str) -> list[str]:
    """Ids of the trees that are meant: of this id, of this problem, or else of problems that begin so."""
    import pyarrow.compute as pc

    table = trees.index()
    for column, fits in (("tree", pc.equal), ("problem", pc.equal), ("problem", pc.starts_with)):
        here = table.filter(fits(table[column], wanted))
        if here.num_rows:
            ids: list[str] = here["tree"].to_pylist()
            return ids
    return []


def _chosen(
    found: list[tuple[str, str]], wanted: str, trees: str | None, names: list[str]
) -> tuple[tuple[str, str], list[tuple[str, str]]]:
    from rstar_math.errors import DataError
    from rstar_math.store.paths import shown

    if not found:
        where = trees or ", ".join(name.partition("/")[2] for name in names) or "it: it holds no trees"
        raise DataError(f"no tree of a problem {shown(wanted)} in {where}")
    exact = [(name, tree_id) for name, tree_id in found if wanted in (tree_id, tree_id.rpartition("@")[0])]
    found = exact or found
    problems = sorted({tree_id.rpartition("@")[0] for _, tree_id in found})
    if len(problems) > 1:
        listed = ", ".join(problems[:5])
        raise DataError(f"{len(problems)} problems begin with {shown(wanted)}: {listed}; give more of the id")
    return found[0], found[1:]
