"""The pocket scale: a world of synthetic problems, and a base model small enough to evolve on two CPU cores."""

from rstar_math.pocket.splits import DEFAULT_MIX, Split, pocket_problems

__all__ = ["DEFAULT_MIX", "Split", "pocket_problems"]
