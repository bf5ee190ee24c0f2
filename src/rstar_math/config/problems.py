"""Where problems come from."""

from __future__ import annotations

from pydantic import Field

from rstar_math.config.base import Settings


class ProblemSource(Settings):
    """A set of problems: a split of a world of the pocket scale, a benchmark by name, or a JSONL file."""

    source: str = Field(
        description="pocket/train, pocket/validation, pocket/test, the same of the composed world or a tier of it "
        "(composed/train/5-6), a benchmark (math500, gsm8k, ...: from the hub; "
        "FOLDER/math500: from a folder of files), the path of a JSONL file with `problem` and `answer`, or "
        "my_file.py:function"
    )
    num_problems: int | None = Field(default=None, ge=1, description="take the first so many; null: all (files only)")
    skip: int = Field(default=0, ge=0, description="leave out so many before the first")
    seed: int = Field(default=0, description="of the order in which a split of the pocket scale is drawn")


class SynthesisSettings(Settings):
    """How problems are made, and when one is trusted."""

    num_problems: int = Field(default=100, ge=1, description="problems to propose")
    num_seeds_shown: int = Field(default=4, ge=1, description="seed problems in each prompt")
    temperature: float = Field(default=1.0, ge=0, description="of the proposals")
    max_tokens: int = Field(default=400, ge=1, description="most tokens of a proposal")
    num_solutions: int = Field(default=10, ge=2, description="independent solutions of a proposal (paper: 10)")
    min_agreeing: int = Field(default=3, ge=2, description="solutions with the majority's answer, at least (paper: 3)")
    min_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="share of the finished solutions that agree with it, at least (paper: half)",
    )
    solution_temperature: float = Field(default=1.0, gt=0, description="of the solutions")
    max_solution_tokens: int = Field(default=2048, ge=1, description="most tokens of a solution")
