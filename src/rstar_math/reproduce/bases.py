"""Table 10 and figure 7: the recipe applied to several bases, under the first training seed.

Where each training seed has held-out problems of its own, the models of the first are measured on those of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rstar_math.config import MethodSettings
from rstar_math.models import ModelFolders, find_model
from rstar_math.reproduce.claims import Measured
from rstar_math.reproduce.laboratory import Laboratory, greedy, read_rows
from rstar_math.store.recipes import load_recipe


@dataclass(frozen=True, slots=True)
class EvolvedBase:
    """A base and what the recipe made of it.

    Attributes:
      name: of the base.
      num_parameters: of the base.
      base, policy, system: greedy of the base, greedy and system of the last round.
      model: policy and PPM of the last round.
      max_step_tokens: of its system.
    """

    name: str
    num_parameters: int
    base: Measured
    policy: Measured
    system: Measured
    model: ModelFolders
    max_step_tokens: int


def every_base(lab: Laboratory) -> Iterator[EvolvedBase]:
    """The recipe's own base, then the further ones."""
    own = lab.recipe.base_model
    yield _evolved(lab, Path(own).name, own, lab.run(lab.seeds[0]))
    for further in lab.settings.further_bases:
        run = lab.further_run(further)
        yield _evolved(lab, further.name, lab.further_base(further), run)


def measured_seeds(lab: Laboratory) -> tuple[int, ...]:
    """The seeds on whose held-out problems a base is measured."""
    return lab.seeds if lab.settings.own_problems else lab.seeds[:1]


def of_first_seed(lab: Laboratory, measured: Measured) -> Measured:
    """What models of the first seed did on the problems of several: one seed's measurement."""
    return Measured(measured.label, {lab.seeds[0]: [row for rows in measured.rows.values() for row in rows]})


def first_seed_note(lab: Laboratory, measured: Measured) -> str:
    """How many problems, and whose models."""
    return f"{len(measured.outcomes()):,} held-out problems, models of training seed {lab.seeds[0]}."


def _evolved(lab: Laboratory, name: str, base_model: str, run: Path) -> EvolvedBase:
    recipe = load_recipe(str(run / "recipe.yaml"))
    last = run / f"round-{len(recipe.rounds)}"
    system = recipe.evaluation.system
    assert system is not None
    base = replace(find_model(base_model), name=f"{name}-base", ppm=None, answering=None)
    policy = ModelFolders(f"{name}-policy", last / "policy")
    model = ModelFolders(name, last / "policy", last / "ppm", system)

    def measured(label: str, folder: Path, file: str, part: ModelFolders, method: MethodSettings) -> Measured:
        """On the first seed's problems by the run itself, on those of the others now."""
        first, *others = measured_seeds(lab)
        of_run = {first: read_rows(folder / "evaluation" / f"{file}.jsonl")}
        further = lab.measure(label, lambda _: part, method, seeds=others).rows if others else {}
        return of_first_seed(lab, Measured(f"{name}, {label}", {**of_run, **further}))

    return EvolvedBase(
        name=name,
        num_parameters=_num_parameters(base.policy_folder),
        base=measured("base", run / "base", "greedy", base, greedy()),
        policy=measured("policy", last, "greedy", policy, greedy(recipe.rounds[-1].sft.form)),
        system=measured("system", last, "system", model, MethodSettings(name="system", strategy="mcts")),
        model=model,
        max_step_tokens=system.search.max_step_tokens,
    )


def _num_parameters(folder: Path) -> int:
    """Parameters in the weights of a checkpoint, from the headers of its files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "numpy") as weights:
            total += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return total
