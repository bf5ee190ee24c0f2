"""Comparison by kind: what the reference is settles what the prediction may mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.bounds import NotNumericError, TooLargeError, UndefinedError
from rstar_math.grading.comparing import polynomials, real_sets, symbolic
from rstar_math.grading.comparing.canonical import (
    beside,
    chain_of_names,
    is_equation,
    name_of,
    named_values,
    settled,
    stated_values,
    without_approximation,
)
from rstar_math.grading.comparing.conditions import as_congruence, conditions_written_out, residues
from rstar_math.grading.comparing.equations import same_solutions, with_names_of, with_same_arguments
from rstar_math.grading.comparing.evaluate import Evaluator, NotRationalError, context, exact
from rstar_math.grading.comparing.families import with_constants_of
from rstar_math.grading.comparing.function_letters import has_functions, with_functions
from rstar_math.grading.comparing.precision import (
    DOUBLE_PRECISION,
    bare_decimal,
    correctly_rounded,
    decimals,
    equal_limits,
    equal_to_many_bits,
    written_precision,
)
from rstar_math.grading.comparing.progressions import same_progression
from rstar_math.grading.policy import Policy
from rstar_math.grading.reading import units
from rstar_math.grading.reading.constructors import matrix_rows
from rstar_math.grading.reading.nodes import (
    BOUND,
    EXPRESSIONS,
    MINUS_ONE,
    Based,
    Call,
    Congruence,
    Constant,
    Group,
    Mapping,
    Matrix,
    Named,
    Node,
    Number,
    Opaque,
    Percent,
    Piecewise,
    Power,
    Product,
    Quantity,
    Range,
    Ratio,
    Relation,
    SetOperation,
    Sum,
    Symbol,
    symbols,
    walk,
)


@dataclass(frozen=True, slots=True)
class Match:
    """The outcome of one comparison.

    Attributes:
      equal: whether both mean the same.
      rule: what decided.
      contested: whether the policy had a say.
    """

    equal: bool
    rule: str
    contested: bool = False


def compare(gold: Node, prediction: Node, policy: Policy) -> Match:
    """Whether a prediction means the same as the reference."""
    return _Comparison(policy).compare(gold, prediction)


class _Comparison:
    def __init__(self, policy: Policy) -> None:
        self._policy = policy

    def _contested(self, matter: str) -> Match:
        return Match(self._policy.allows(matter), matter, contested=True)

    def compare(self, gold: Node, prediction: Node) -> Match:
        """The comparison of two nodes, by the kind of the reference."""
        gold, prediction = beside(gold, settled(prediction)), beside(prediction, settled(gold))
        if gold == prediction and not _has_undefined(gold):
            return Match(True, "same_structure")
        if isinstance(gold, Congruence) or isinstance(prediction, Congruence):
            return self._congruences(gold, prediction)
        if is_equation(gold) or is_equation(prediction):
            if isinstance(prediction, (Group, Mapping)) or isinstance(gold, (Group, Mapping)):
                chains = chain_of_names(gold), chain_of_names(prediction)
                if chains[0] is not None or chains[1] is not None:
                    return self.compare(chains[0] or gold, chains[1] or prediction)
            return self._equations(gold, prediction)
        if real_sets.is_conditional(gold) or real_sets.is_conditional(prediction):
            return self._sets(gold, prediction)
        if isinstance(gold, Piecewise) or isinstance(prediction, Piecewise):
            return self._piecewise(gold, prediction)
        if isinstance(gold, Mapping) or isinstance(prediction, Mapping):
            return self._mappings(gold, prediction)
        if isinstance(gold, Matrix) or isinstance(prediction, Matrix):
            return self._matrices(gold, prediction)
        if isinstance(gold, Group):
            return self._groups(gold, prediction)
        if isinstance(prediction, Group):
            if prediction.bracket in {"", "[", "{"} and len(prediction.items) > 1:
                return self._repeated(gold, prediction)
            return Match(False, "number_of_answers")
        return self._scalars(gold, prediction)

    # equations

    def _equations(self, gold: Node, prediction: Node) -> Match:
        """Values with their names, values without, and equations that are answers themselves."""
        if isinstance(gold, Relation) and isinstance(prediction, Relation):
            gold, prediction = with_names_of(gold, prediction), with_names_of(prediction, gold)
            with_own_letters = with_same_arguments(gold, prediction)
            if with_own_letters is None:
                return Match(False, "equation")
            prediction = with_own_letters
        gold, prediction = without_approximation(gold), without_approximation(prediction)
        if not (is_equation(gold) or is_equation(prediction)):
            return self.compare(gold, prediction)
        gold_values, prediction_values = stated_values(gold), stated_values(prediction)
        refused: Match | None = None
        for gold_value in gold_values:
            for prediction_value in prediction_values:
                found = self.compare(gold_value, prediction_value)
                if found.equal:
                    return self._with_names(gold, prediction, found)
                if found.contested:
                    refused = found
        if isinstance(gold, Relation) and isinstance(prediction, Relation):
            if same_solutions(gold, prediction):
                return Match(True, "equation")
            if _as_zero(gold) is not None and _as_zero(prediction) is not None:
                first, second = _as_zero(gold), _as_zero(prediction)
                assert first is not None
                assert second is not None
                if symbolic.proportional(first, second):
                    return Match(True, "equation")
            return refused or Match(False, "equation")
        if isinstance(gold, Relation) and real_sets.is_conditional(prediction):
            return self._sets(gold, prediction)
        calculated = self._calculation(gold, prediction)
        return calculated or refused or Match(False, "equation")

    def _with_names(self, gold: Node, prediction: Node, found: Match) -> Match:
        """Equal values; contested where the names before them differ."""
        if _other_quantities(gold, prediction):
            return Match(False, "equation")
        names = [name_of(node) for node in (gold, prediction)]
        if all(name is not None for name in names) and names[0] != names[1]:
            single = [name for name in names if name is not None and len(name) == 1 and name.islower()]
            if len(single) == 2:
                return self._contested("other_name")
        return Match(True, found.rule, found.contested)

    def _calculation(self, gold: Node, prediction: Node) -> Match | None:
        """An equation between numbers that holds, against a number: 8 = 8 against 8."""
        for equation, value in ((gold, prediction), (prediction, gold)):
            if not isinstance(equation, Relation) or isinstance(value, Relation) or symbols(equation):
                continue
            sides = equation.sides
            if not all(isinstance(side, EXPRESSIONS) for side in sides):
                continue
            first = self.compare(value, sides[-1])
            if first.equal and all(self.compare(sides[-1], side).equal for side in sides[:-1]):
                return self._contested("calculation")
        return None

    # sets of real numbers

    def _sets(self, gold: Node, prediction: Node) -> Match:
        left, right = real_sets.pieces(gold), real_sets.pieces(prediction)
        if left is None or right is None:
            return self._conditions(gold, prediction)
        if _is_scalar(gold) or _is_scalar(prediction):
            return Match(False, "interval")
        if _other_variable(gold, prediction):
            return Match(False, "inequality")
        if len(left) != len(right):
            return Match(False, "interval")
        contested = False
        for a, b in zip(left, right, strict=True):
            if (a.low_closed, a.high_closed) != (b.low_closed, b.high_closed):
                return Match(False, "interval_ends")
            for first, second in ((a.low, b.low), (a.high, b.high)):
                found = self._expressions(first, second)
                if not found.equal:
                    return Match(False, "interval", found.contested)
                contested |= found.contested
        return Match(True, "interval", contested)

    def _conditions(self, gold: Node, prediction: Node) -> Match:
        """Intervals and inequalities with variables in their bounds, or in several variables."""
        if isinstance(gold, SetOperation) and isinstance(prediction, SetOperation):
            if gold.operator != prediction.operator or len(gold.parts) != len(prediction.parts):
                return Match(False, "set_operation")
            if gold.operator == "difference":
                first = self.compare(gold.parts[0], prediction.parts[0])
                return self._matching(gold.parts[1:], prediction.parts[1:], "set_operation") if first.equal else first
            return self._matching(gold.parts, prediction.parts, "set_operation")
        gold, prediction = _as_range(gold), _as_range(prediction)
        if isinstance(gold, Range) and isinstance(prediction, Range):
            if (gold.low_closed, gold.high_closed) != (prediction.low_closed, prediction.high_closed):
                return Match(False, "interval_ends")
            return self._in_order((gold.low, gold.high), (prediction.low, prediction.high), "interval")
        if isinstance(gold, Relation) and isinstance(prediction, Relation):
            return self._inequalities(gold, prediction)
        return Match(False, "set")

    def _inequalities(self, gold: Relation, prediction: Relation) -> Match:
        """Two inequalities as f > 0 with proportional f, or chains side by side."""
        first, second = _as_positive(gold), _as_positive(prediction)
        if first and second:
            same = first[1] == second[1] and symbolic.proportional(first[0], second[0], positive=True)
            return Match(same, "inequality")
        for relation in (prediction, _reversed(prediction)):
            if gold.operators == relation.operators:
                found = self._in_order(gold.sides, relation.sides, "inequality")
                if found.equal:
                    return found
        return Match(False, "inequality")

    # values with conditions, residues

    def _piecewise(self, gold: Node, prediction: Node) -> Match:
        """The same values under the same conditions; what stands for all other cases may be written out."""
        if not isinstance(gold, Piecewise) or not isinstance(prediction, Piecewise):
            return Match(False, "piecewise")
        if len(gold.pieces) != len(prediction.pieces):
            return Match(False, "piecewise")
        left = [Group(piece, "(") for piece in gold.pieces]
        right = [Group(piece, "(") for piece in prediction.pieces]
        found = self._matching(left, right, "piecewise")
        if found.equal:
            return found
        left = [Group(piece, "(") for piece in conditions_written_out(gold, prediction).pieces]
        right = [Group(piece, "(") for piece in conditions_written_out(prediction, gold).pieces]
        return self._matching(left, right, "piecewise")

    def _congruences(self, gold: Node, prediction: Node) -> Match:
        """Residues of one modulus; x = 7k + 3 is one, and a bare residue may leave its modulus to the question."""
        for one, other in ((gold, prediction), (prediction, gold)):
            if isinstance(one, Congruence) and isinstance(other, EXPRESSIONS) and one.residues == other:
                return self._contested("omitted_condition")
        gold, prediction = as_congruence(gold), as_congruence(prediction)
        if not isinstance(gold, Congruence) or not isinstance(prediction, Congruence):
            return Match(False, "congruence")
        if gold.modulus != prediction.modulus:
            return Match(False, "congruence")
        left, right = residues(gold), residues(prediction)
        if left is None or right is None:
            return self.compare(gold.residues, prediction.residues)
        return Match(left == right, "congruence")

    # named values, matrices

    def _mappings(self, gold: Node, prediction: Node) -> Match:
        left = named_values(gold)
        right = named_values(prediction)
        if left is not None and right is not None:
            if left.keys() == right.keys():
                return self._in_order([left[name] for name in left], [right[name] for name in left], "named_values")
            return Match(False, "named_values")
        named, other = (left, prediction) if left is not None else (right, gold)
        if named is None or not isinstance(other, Group) or len(other.items) != len(named):
            return Match(False, "named_values")
        if other.bracket == "{" or any(is_equation(item) for item in other.items):  # x = 1, 2 is no x = 1, y = 2
            return Match(False, "named_values")
        if left is not None:  # the reference gives its values in the order that it means
            return self._in_order(tuple(named.values()), other.items, "named_values")
        return self._in_order(other.items, tuple(named[name] for name in sorted(named)), "named_values")

    def _matrices(self, gold: Node, prediction: Node) -> Match:
        left, right = _rows(gold), _rows(prediction)
        if left is not None and right is not None:
            if _shape(left) == _shape(right):
                return self._in_order(_cells(left), _cells(right), "matrix")
            if 1 in _shape(left) and _shape(left) == tuple(reversed(_shape(right))):
                found = self._in_order(_cells(left), _cells(right), "matrix")
                return self._contested("transposed_vector") if found.equal else Match(False, "matrix")
            return Match(False, "matrix")
        rows, flat = (left, prediction) if left is not None else (right, gold)
        if rows is None or not isinstance(flat, Group) or flat.bracket == "{" or 1 not in _shape(rows):
            if rows is not None and _shape(rows) == (1, 1):
                return self.compare(_cells(rows)[0] if left is not None else gold, prediction if left else rows[0][0])
            return Match(False, "matrix")
        if left is not None:
            found = self._in_order(_cells(rows), flat.items, "matrix")
        else:
            found = self._in_order(flat.items, _cells(rows), "matrix")
        return self._contested("flat_vector") if found.equal else found

    # tuples, lists, sets

    def _groups(self, gold: Group, prediction: Node) -> Match:
        if not isinstance(prediction, Group):
            return Match(False, "number_of_answers")
        if gold.bracket in {"(", "<"}:
            return self._tuples(gold, prediction)
        if gold.bracket == "[" and len(gold.items) == 2 and prediction.bracket in {"[", "("}:
            # most likely a closed interval: in order, and never equal to an open one
            if prediction.bracket == "(":
                if real_sets.pieces(gold):
                    return Match(False, "interval_ends")
                found = self._in_order(gold.items, prediction.items, "list")
                return self._contested("list_for_tuple") if found.equal else found
            return self._in_order(gold.items, prediction.items, "list")
        if prediction.bracket in {"(", "<"}:
            found = self._answers(gold, prediction)
            return self._contested("list_for_tuple") if found.equal else found
        return self._answers(gold, prediction)

    def _tuples(self, gold: Group, prediction: Group) -> Match:
        if len(gold.items) != len(prediction.items):
            return Match(False, "tuple")
        if prediction.bracket == "{":
            return Match(False, "tuple")
        found = self._in_order(gold.items, prediction.items, "tuple")
        if found.equal and prediction.bracket in {"[", ""}:
            return self._contested("list_for_tuple")
        return found

    def _answers(self, gold: Group, prediction: Group) -> Match:
        """Several answers in any order."""
        if not gold.items or not prediction.items:
            return Match(gold.items == prediction.items, "empty_set")
        if len(gold.items) == len(prediction.items):
            return self._matching(gold.items, prediction.items, "answers")
        if len(prediction.items) > len(gold.items):
            return self._repeated(gold, prediction)
        return Match(False, "number_of_answers")

    def _repeated(self, gold: Node, prediction: Group) -> Match:
        """A prediction that gives some answer more than once."""
        if len(prediction.items) > bounds.MAX_ITEMS:
            return Match(False, "number_of_answers")
        kept: list[Node] = []
        for item in prediction.items:
            if not any(self.compare(item, other).equal for other in kept):
                kept.append(item)
        items = gold.items if isinstance(gold, Group) else (gold,)
        if len(kept) != len(items) or len(kept) == len(prediction.items):
            return Match(False, "number_of_answers")
        found = self._matching(items, tuple(kept), "answers")
        return self._contested("repeated_answers") if found.equal else Match(False, "number_of_answers")

    def _matching(self, gold: Sequence[Node], prediction: Sequence[Node], rule: str) -> Match:
        """Whether the two sides pair off, whatever their order."""
        if len(gold) != len(prediction):
            return Match(False, "number_of_answers")
        if len(gold) > bounds.MAX_ITEMS:
            return self._in_order(gold, prediction, rule)
        known: dict[tuple[int, int], Match] = {}

        def outcome(i: int, j: int) -> Match:
            if (i, j) not in known:
                known[i, j] = self.compare(gold[i], prediction[j])
            return known[i, j]

        taken: dict[int, int] = {}  # index in the prediction -> index in the reference
        for i in range(len(gold)):
            if not _augmented(i, len(prediction), lambda a, b: outcome(a, b).equal, taken, set()):
                contested = any(outcome(i, j).contested for j in range(len(prediction)))
                return Match(False, rule, contested)
        contested = any(outcome(i, j).contested for j, i in taken.items())
        return Match(True, rule, contested)

    def _in_order(self, gold: Sequence[Node], prediction: Sequence[Node], rule: str) -> Match:
        if len(gold) != len(prediction):
            return Match(False, rule)
        found = Match(True, rule)
        for first, second in zip(gold, prediction, strict=True):
            current = self.compare(first, second)
            if not current.equal:
                if not current.contested:
                    return Match(False, rule)
                found = Match(False, rule, contested=True)
            elif current.contested and found.equal:
                found = Match(True, rule, contested=True)
        return found

    # single values

    def _scalars(self, gold: Node, prediction: Node) -> Match:
        if isinstance(gold, Based) or isinstance(prediction, Based):
            return self._based(gold, prediction)
        if isinstance(gold, Quantity) or isinstance(prediction, Quantity):
            return self._quantities(gold, prediction)
        if isinstance(gold, Percent) or isinstance(prediction, Percent):
            return self._percents(gold, prediction)
        if isinstance(gold, Ratio) or isinstance(prediction, Ratio):
            return self._ratios(gold, prediction)
        if isinstance(gold, (Named, Opaque)) or isinstance(prediction, (Named, Opaque)):
            return Match(False, "kind")
        return self._expressions(gold, prediction)

    def _based(self, gold: Node, prediction: Node) -> Match:
        if isinstance(gold, Based) and isinstance(prediction, Based):
            if gold.base == prediction.base:
                return Match(gold.digits == prediction.digits, "base")
            same = _based_value(gold) == _based_value(prediction)
            return self._contested("base_values") if same else Match(False, "base")
        based, other = (gold, prediction) if isinstance(gold, Based) else (prediction, gold)
        assert isinstance(based, Based)
        if isinstance(other, Number) and not other.digits and other.value.denominator == 1:
            if based.digits == str(other.value.numerator):
                return Match(True, "base") if based.base == 10 else self._contested("implied_base")
            if _based_value(based) == other.value:
                return self._contested("base_values")
        return Match(False, "base")

    def _quantities(self, gold: Node, prediction: Node) -> Match:
        """Numbers with units, which may be added or dropped."""
        amounts = [node.amount if isinstance(node, Quantity) else node for node in (gold, prediction)]
        found_units = [_unit_of(node) for node in (gold, prediction)]
        for node, other in ((gold, prediction), (prediction, gold)):
            if not isinstance(node, Quantity) or isinstance(other, Quantity):
                continue
            if node.product is not None and (symbols(other) or (node.attached and node is gold)):
                return self.compare(*((node.product, other) if node is gold else (other, node.product)))
            if node.compound:
                return Match(False, "unit")
        if any(isinstance(node, Quantity) and node.compound for node in (gold, prediction)):
            sizes = [units.size(unit) for unit in found_units]
            if sizes[0] is None or sizes[1] is None or sizes[0][0] != sizes[1][0]:
                return Match(False, "unit")
            amounts = [Product((amount, Number(size[1]))) for amount, size in zip(amounts, sizes, strict=True) if size]
            found_units = ["", ""]
        kinds = [isinstance(node, Percent) for node in amounts]
        if kinds[0] != kinds[1] and any(
            unit and (units.is_known(unit) or units.is_counted(unit)) for unit in found_units
        ):
            return Match(False, "unit")
        if not all(_is_scalar(amount) for amount in amounts):
            return self.compare(*amounts) if amounts != [gold, prediction] else Match(False, "unit")
        found = self._scalars(amounts[0], amounts[1])
        if found.equal and units.differ(found_units[0], found_units[1]):
            return self._contested("unit_mismatch")
        rule = "unit" if found.rule in {"exact", "same_structure"} and found_units != ["", ""] else found.rule
        return Match(found.equal, rule, found.contested)

    def _percents(self, gold: Node, prediction: Node) -> Match:
        if isinstance(gold, Percent) and isinstance(prediction, Percent):
            found = self._scalars(gold.amount, prediction.amount)
            return Match(found.equal, "percent", found.contested)
        found = self._expressions(gold, prediction)
        if found.equal:
            return Match(True, "percent", found.contested)
        bare = [node.amount if isinstance(node, Percent) else node for node in (gold, prediction)]
        if self._expressions(bare[0], bare[1]).equal:
            return self._contested("percent_as_number")
        return Match(False, "percent")

    def _ratios(self, gold: Node, prediction: Node) -> Match:
        if isinstance(gold, Ratio) and isinstance(prediction, Ratio):
            if len(gold.parts) != len(prediction.parts):
                return Match(False, "ratio")
            found = self._in_order(gold.parts, prediction.parts, "ratio")
            if found.equal:
                return found
            # a : b = c : d where a d = b c
            first, second = gold.parts[0], prediction.parts[0]
            left = [Product((part, second)) for part in gold.parts]
            right = [Product((part, first)) for part in prediction.parts]
            if not (isinstance(first, EXPRESSIONS) and isinstance(second, EXPRESSIONS)):
                return Match(False, "ratio")
            return self._in_order(left, right, "ratio")
        ratio, other = (gold, prediction) if isinstance(gold, Ratio) else (prediction, gold)
        assert isinstance(ratio, Ratio)
        if len(ratio.parts) == 2 and all(isinstance(part, EXPRESSIONS) for part in (*ratio.parts, other)):
            quotient = Product((ratio.parts[0], Power(ratio.parts[1], MINUS_ONE)))
            if self._expressions(quotient, other).equal:
                return self._contested("quotient_for_ratio")
        return Match(False, "ratio")

    def _expressions(self, gold: Node, prediction: Node) -> Match:
        """Two expressions: numbers exactly or to the precision written, others at points."""
        if gold == prediction and not _has_undefined(gold):
            return Match(True, "same_structure")
        gold, prediction = with_functions(gold, prediction)
        if has_functions(gold) or has_functions(prediction):
            return Match(polynomials.equal(gold, prediction) is True, "identity")
        if symbols(gold) or symbols(prediction):
            return self._symbolic(gold, prediction)
        try:
            return self._numbers(gold, prediction)
        except UndefinedError:
            return Match(False, "undefined_value")
        except NotNumericError:
            return Match(False, "no_value")
        except TooLargeError:
            return self._logarithms(gold, prediction)

    def _numbers(self, gold: Node, prediction: Node) -> Match:
        try:
            first, second = exact(gold), exact(prediction)
            if first == second:
                return Match(True, "exact")
            if not decimals(gold) and not decimals(prediction):
                return Match(False, "exact")
        except (NotRationalError, TooLargeError):
            if _has_limit(gold) or _has_limit(prediction):
                return Match(equal_limits(gold, prediction), "limit")
            has_log = _has_bare_log(gold) or _has_bare_log(prediction)
            for common_log in (False, True) if has_log else (False,):
                if equal_to_many_bits(gold, prediction, common_log=common_log):
                    return Match(True, "exact")
        noise = self._float_noise(gold, prediction) or self._same_float(gold, prediction)
        if noise is not None:
            return noise
        rounded = self._rounded(gold, prediction) or self._rounded(prediction, gold)
        if rounded is not None:
            return rounded
        return self._degrees(gold, prediction) or Match(False, "number")

    def _float_noise(self, gold: Node, prediction: Node) -> Match | None:
        """Equality to double precision, where one side is written with as many digits as a float has."""
        tolerance = max(written_precision(gold), written_precision(prediction))
        if not tolerance:
            return None
        mp = context()
        for common_log in (False, True):
            first = Evaluator(200, common_log=common_log)(gold)
            second = Evaluator(200, common_log=common_log)(prediction)
            if not (mp.isfinite(first) and mp.isfinite(second)):
                return None
            distance, scale = abs(first - second), max(abs(first), abs(second))
            if distance <= DOUBLE_PRECISION * scale or (min(abs(first), abs(second)) == 0 and scale < 1e-14):
                return Match(True, "double_precision")
            if distance <= tolerance * scale:
                if correctly_rounded(gold, second) or correctly_rounded(prediction, first):
                    return Match(True, "double_precision")
                return self._contested("float_noise")
            if not (_has_bare_log(gold) or _has_bare_log(prediction)):
                return None
        return None

    def _same_float(self, gold: Node, prediction: Node) -> Match | None:
        """A short decimal that is the double nearest to a value that is no integer: 0.5 for (1 + 3^-100) / 2."""
        literal = bare_decimal(gold) or bare_decimal(prediction)
        if literal is None:
            return None
        mp = context()
        first, second = Evaluator(200)(gold), Evaluator(200)(prediction)
        if not (mp.isfinite(first) and mp.isfinite(second)):
            return None
        if min(abs(first), abs(second)) == 0 and max(abs(first), abs(second)) < 1e-15:
            return Match(True, "double_precision")
        if mp.isint(first) or mp.isint(second):
            return None
        near = abs(first - second) <= mp.mpf(2) ** -53 * abs(first)
        return Match(True, "double_precision") if near else None

    def _rounded(self, decimal: Node, other: Node) -> Match | None:
        """A decimal that is the correct rounding of the other value."""
        literal = bare_decimal(decimal)
        if literal is None:
            return None
        mp = context()
        try:
            value = Evaluator(200)(other)
        except (NotNumericError, UndefinedError):
            return None
        if mp.im(value) != 0 or not mp.isfinite(value) or literal.digits < 3:
            return None
        places = self._policy.rounded_decimals
        if places is not None and correctly_rounded(literal, value, Fraction(1, 10**places)):
            # a program that rounds drops the zeros at the end (13.764 for 13.76396); finer decimals must be right too
            allowed = literal.last_place >= Fraction(1, 10**places) or correctly_rounded(literal, value)
        elif correctly_rounded(literal, value) and literal.last_place <= Fraction(1, 10**3):
            allowed = False
        else:
            return None
        return Match(allowed, "rounded_decimals", contested=True)

    def _degrees(self, gold: Node, prediction: Node) -> Match | None:
        for degrees, other in ((gold, prediction), (prediction, gold)):
            if isinstance(degrees, Call) and degrees.name == "degrees" and Constant("pi") in set(walk(other)):
                radians = Product((degrees.arguments[0], Constant("pi"), Number(Fraction(1, 180))))
                if equal_to_many_bits(radians, other, common_log=False):
                    return self._contested("radians_for_degrees")
        return None

    def _symbolic(self, gold: Node, prediction: Node) -> Match:
        if same_progression(gold, prediction):
            return Match(True, "progression")
        tolerance = 10 * max(written_precision(gold), written_precision(prediction))
        found = symbolic.identical(gold, prediction, tolerance)
        if not found and (_has_bare_log(gold) or _has_bare_log(prediction)):
            found = symbolic.identical(gold, prediction, tolerance, common_log=True)
        if found:
            return Match(True, "identity")
        if symbolic.identical_at_integers(gold, prediction):
            return self._contested("integer_variables") if found is False else Match(True, "identity_at_integers")
        renamed_constants = with_constants_of(gold, prediction)
        if renamed_constants is not None:
            found_renamed = any(symbolic.identical(gold, node, tolerance) for node in renamed_constants)
            return self._contested("integration_constant") if found_renamed else Match(False, "identity")
        constants = ("C", "c", "K", "k")
        first, second = symbolic.has_additive(gold, constants), symbolic.has_additive(prediction, constants)
        if first and second and symbolic.differ_by_constant(gold, prediction, (first, second)):
            return self._contested("integration_constant")
        return Match(False, "identity")

    def _logarithms(self, gold: Node, prediction: Node) -> Match:
        """Powers too large to be evaluated, by their logarithms to base 2."""
        first, second = _log2_of_power(gold), _log2_of_power(prediction)
        if first is None or second is None:
            return Match(False, "too_large")
        try:
            return Match(equal_to_many_bits(first, second, common_log=False), "logarithms")
        except (TooLargeError, UndefinedError, NotNumericError):
            return Match(False, "too_large")


def _other_quantities(gold: Node, prediction: Node) -> bool:
    """Whether two equations are on expressions that cannot be read, and differ, or on x with different marks."""
    if not isinstance(gold, Relation) or not isinstance(prediction, Relation):
        return False
    match gold.sides[0], prediction.sides[0]:
        case Opaque(text=first), Opaque(text=second):
            return first != second and bool(set(first + second) & set("+-*/^"))
        case Symbol(name=first), Symbol(name=second):
            letters = [re.split(r"[ ']", name)[0] for name in (first, second)]
            return first != second and letters[0] == letters[1] and first not in letters and second not in letters
        case _:
            return False


def _unit_of(node: Node) -> str:
    if isinstance(node, Call) and node.name == "degrees":
        return "degree"
    return node.unit if isinstance(node, Quantity) else ""


def _based_value(node: Based) -> Fraction:
    whole, _, places = node.digits.partition(".")
    value = 0
    for digit in whole + places:
        value = value * node.base + int(digit, 36)
    return Fraction(value, node.base ** len(places))


def _augmented(
    i: int, num_right: int, equal: Callable[[int, int], bool], taken: dict[int, int], seen: set[int]
) -> bool:
    """Kuhn's step of a bipartite matching: finds a place for i, moving others where needed."""
    for j in range(num_right):
        if j in seen or not equal(i, j):
            continue
        seen.add(j)
        if j not in taken or _augmented(taken[j], num_right, equal, taken, seen):
            taken[j] = i
            return True
    return False


def _as_range(node: Node) -> Node:
    """A pair in brackets as an interval."""
    if isinstance(node, Group) and len(node.items) == 2 and node.bracket in {"(", "["}:
        return Range(node.items[0], node.items[1], node.bracket == "[", node.bracket == "[")
    return node


def _is_scalar(node: Node) -> bool:
    return isinstance(node, (*EXPRESSIONS, Percent, Quantity, Based, Ratio))


def _other_variable(gold: Node, prediction: Node) -> bool:
    """Whether two conditions are on one variable each, and not the same: x > 3 and y > 3."""
    names = [symbols(node) - {BOUND} for node in (gold, prediction)]
    return len(names[0]) == len(names[1]) == 1 and names[0] != names[1]


def _has_undefined(node: Node) -> bool:
    return any(part == Constant("zoo") for part in walk(node))


def _as_zero(relation: Relation) -> Node | None:
    """f of an equation f = 0 with two sides."""
    if relation.operators != ("=",) or not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    return symbolic.difference(relation.sides[0], relation.sides[1])


def _as_positive(relation: Relation) -> tuple[Node, bool] | None:
    """(f, strict) of an inequality f > 0 or f >= 0."""
    if len(relation.operators) != 1 or not all(isinstance(side, EXPRESSIONS) for side in relation.sides):
        return None
    left, right = relation.sides
    match relation.operators[0]:
        case ">" | ">=" as operator:
            return symbolic.difference(left, right), operator == ">"
        case "<" | "<=" as operator:
            return symbolic.difference(right, left), operator == "<"
        case _:
            return None


_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


def _reversed(relation: Relation) -> Relation:
    operators = tuple(_MIRRORED.get(operator, operator) for operator in reversed(relation.operators))
    return Relation(tuple(reversed(relation.sides)), operators)


def _rows(node: Node) -> tuple[tuple[Node, ...], ...] | None:
    if isinstance(node, Matrix):
        return node.rows
    return matrix_rows(node) if isinstance(node, Group) and node.bracket == "[" else None


def _shape(rows: tuple[tuple[Node, ...], ...]) -> tuple[int, int]:
    return len(rows), len(rows[0])


def _cells(rows: tuple[tuple[Node, ...], ...]) -> tuple[Node, ...]:
    return tuple(cell for row in rows for cell in row)


def _has_limit(node: Node) -> bool:
    """Whether a value is an integral or a sum without end."""
    return any(
        isinstance(part, Call)
        and (part.name == "integral" or (part.name == "sum" and part.arguments[-1] == Constant("oo")))
        for part in walk(node)
    )


def _has_bare_log(node: Node) -> bool:
    return any(isinstance(part, Call) and part.name == "log" and len(part.arguments) == 1 for part in walk(node))


def _log2_of_power(node: Node) -> Node | None:
    """The binary logarithm of a product of powers of numbers; None for anything else."""
    two = Number(Fraction(2))
    match node:
        case Number(value=value) if value > 0:
            return Call("log", (node, two))
        case Constant(name="pi" | "e"):
            return Call("log", (node, two))
        case Power(base=base, exponent=exponent):
            inner = _log2_of_power(base)
            return None if inner is None else Product((exponent, inner))
        case Product(factors=factors):
            terms = [_log2_of_power(factor) for factor in factors]
            known = [term for term in terms if term is not None]
            return Sum(tuple(known)) if len(known) == len(terms) else None
        case _:
            return None
