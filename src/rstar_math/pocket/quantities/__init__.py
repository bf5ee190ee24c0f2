"""Quantities of elementary mathematics: the families of the tiers "math" (one quantity) and "olympiad" (several).

A phrasing is a noun phrase, so that "Find ..." and "Let A be ..." both take it. References enumerate, search or repeat
what the operations do by formula.
"""

from __future__ import annotations

from rstar_math.pocket.families import Family
from rstar_math.pocket.quantities.algebra import ALGEBRA
from rstar_math.pocket.quantities.divisibility import DIVISIBILITY
from rstar_math.pocket.quantities.figures import FIGURES

_BY_NAME = {family.name: family for family in (*ALGEBRA, *DIVISIBILITY, *FIGURES)}

_ORDER = """
linear pair arithmetic multiples_sum common_multiple common_divisor choose remainder hypotenuse triangle root_squares
power_mod coin_sharing factorial_zeros either_divides divisors mean_total square_plus diagonals multiples_between
"""

QUANTITIES: tuple[Family, ...] = tuple(_BY_NAME[name] for name in _ORDER.split())
"""In the order that problems are drawn by: another order gives other problems for the same seed."""
