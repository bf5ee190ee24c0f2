"""Named decisions on contested matters: where reasonable graders differ, a policy says which way it goes."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Policy:
    """How contested matters are decided. A verdict that one of these decided is marked `contested`.

    Attributes:
      name: what reports call it.
      rounded_decimals: a decimal with at least this many places (and three significant digits) that is the correct
        rounding of the other value is equal to it: programs that round what they print. None: never.
      percent_as_number: 28% is 28 as well as 0.28.
      implied_base: 4210 is 4210_7: the question often gives the base.
      base_values: digits in two different bases are equal where their values are.
      decimal_comma: 1,22 is 1.22.
      list_for_tuple: a list or bare enumeration, in order, for a tuple; a tuple for a list.
      flat_vector: a tuple or flat list, in order, for a row or column.
      transposed_vector: a row for a column.
      number_words: twelve is 12.
      unit_mismatch: the same number with another known unit is right.
      missing_seconds: 20:34 is 20:34:00, and 1:58 is 1:58 pm.
      no_solution: "no solution", the empty set and an empty list are the same.
      truth_words: yes is true, no is false.
      other_name: x = 2 is y = 2.
      calculation: an equation between numbers that holds (8 = 8) states their value.
      repeated_answers: an answer that stands twice in the prediction counts once.
      quotient_for_ratio: 1:2 is 1/2.
      radians_for_degrees: pi/6 is 30 degrees.
      integer_variables: expressions that agree at all integers tried are equal, as (-1)^(2n) and 1.
      integration_constant: antiderivatives with "+ C" are equal where they differ by a constant.
      omitted_condition: "2 pi k" is "2 pi k for any integer k".
      float_noise: a float off in its last written places (6060.0000001), beyond the noise of double precision.
    """

    name: str = "default"
    rounded_decimals: int | None = 4
    percent_as_number: bool = True
    implied_base: bool = True
    base_values: bool = False
    decimal_comma: bool = True
    list_for_tuple: bool = True
    flat_vector: bool = True
    transposed_vector: bool = False
    number_words: bool = True
    unit_mismatch: bool = False
    missing_seconds: bool = True
    no_solution: bool = True
    truth_words: bool = True
    other_name: bool = True
    calculation: bool = True
    repeated_answers: bool = True
    quotient_for_ratio: bool = True
    radians_for_degrees: bool = True
    integer_variables: bool = True
    integration_constant: bool = True
    omitted_condition: bool = True
    float_noise: bool = True

    def allows(self, matter: str) -> bool:
        """Whether the contested matter of that name is decided as equal."""
        return bool(getattr(self, matter))


DEFAULT = Policy()
_MATTERS = [field.name for field in fields(Policy) if field.type == "bool"]
STRICT = Policy(name="strict", rounded_decimals=None, **dict.fromkeys(_MATTERS, False))
LENIENT = Policy(name="lenient", rounded_decimals=3, **dict.fromkeys(_MATTERS, True))

POLICIES: dict[str, Policy] = {policy.name: policy for policy in (DEFAULT, STRICT, LENIENT)}
"""default: what most graders and readers accept; strict: nothing contested; lenient: everything contested."""
