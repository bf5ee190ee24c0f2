"""Settled forms: wrappers that carry no meaning left out, names distributed over lists, one form for equal kinds.

Nothing is calculated here, only rearranged.
"""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

from rstar_math.grading.bounds import NotNumericError
from rstar_math.grading.comparing import real_sets
from rstar_math.grading.comparing.evaluate import approximately
from rstar_math.grading.comparing.progressions import with_dots_filled
from rstar_math.grading.reading.constructors import matrix_rows
from rstar_math.grading.reading.nodes import (
    MINUS_ONE,
    Call,
    Constant,
    Group,
    Mapping,
    Matrix,
    Named,
    Node,
    Number,
    Opaque,
    Power,
    Product,
    Range,
    Ratio,
    Relation,
    SetOperation,
    Sum,
    Symbol,
    symbols,
)
from rstar_math.grading.reading.vectors import as_plain_vector, as_point

_FUNCTION_NAMES = frozenset(
    ("f g h F G H P p q s u v w y C A V S T R Q D L N W E I K M U X Y Z e i a b c d r t x z").split()
)


def settled(node: Node) -> Node:
    """A node without wrappers that carry no meaning, names distributed over lists, one form for equal kinds."""
    for _ in range(8):
        before = node
        if isinstance(node, Group):
            node = _settled_group(node)
        elif isinstance(node, Mapping) and len(node.pairs) == 1:
            node = Relation(node.pairs[0], ("=",))
        elif isinstance(node, Relation) and node.operators == ("=",):
            node = _settled_equation(node)
        elif isinstance(node, SetOperation) and len(node.parts) == 1:
            node = node.parts[0]
        if node == before:
            break
    return node


def beside(node: Node, other: Node) -> Node:
    """A node settled; beside a matrix, a list that holds one list is a row."""
    if isinstance(other, Matrix) and isinstance(node, Group) and node.bracket == "[" and len(node.items) == 1:
        item = node.items[0]
        if isinstance(item, Group) and item.bracket == "[" and (rows := matrix_rows(node)) is not None:
            return Matrix(rows)
    if isinstance(other, (Group, Matrix)) and isinstance(node, Sum):
        node = as_plain_vector(as_point(node))
    return settled(node)


def _settled_group(node: Group) -> Node:
    if len(node.items) == 1 and node.bracket != "<":
        return node if node.bracket == "{" and _is_empty_set(node.items[0]) else node.items[0]
    if Named("dots") in node.items:
        return with_dots_filled(node)
    if node.bracket == "" and len(node.items) > 1 and all(_is_interval(item) for item in node.items):
        return SetOperation("union", node.items)
    if node.bracket == "" and any(_says_real(item) for item in node.items):
        conditions = tuple(item for item in node.items if not _says_real(item))
        if conditions and all(isinstance(item, (Relation, SetOperation)) for item in conditions):
            return SetOperation("intersection", conditions)
    named = [item for item in node.items if is_equation(item) and name_of(item) is not None]
    if len(named) == len(node.items) and node.bracket == "(":
        pairs = tuple((item.sides[0], item.sides[-1]) for item in named if isinstance(item, Relation))
        return Mapping(pairs)
    if named and node.bracket in {"", "[", "{"}:
        names = [name_of(item) for item in named]
        if len(named) == len(node.items) and len(set(names)) == len(names) and len(names) > 1:
            pairs = tuple((item.sides[0], item.sides[-1]) for item in named if isinstance(item, Relation))
            return Mapping(pairs)
        if len(set(names)) == 1 and all(
            stated_values(item) and not real_sets.is_inequality(item) for item in node.items
        ):
            bracket = "{" if len(named) < len(node.items) and node.bracket == "" else node.bracket  # x = 1, 2
            return Group(tuple(stated_values(item)[-1] for item in node.items), bracket)
    if len(node.items) > 1 and node.bracket in {"", "[", "{"}:
        items = tuple(_settled_group(item) if isinstance(item, Group) else item for item in node.items)
        if all(isinstance(item, Mapping) for item in items):
            return _settled_solutions(Group(items, node.bracket))
    return node


def _is_empty_set(node: Node) -> bool:
    return node == Named("empty") or (isinstance(node, Group) and not node.items)


def _says_real(node: Node) -> bool:
    """Whether a condition only says that a variable is real."""
    return isinstance(node, Relation) and node.operators == ("in",) and node.sides[1] == Named("reals")


def _settled_solutions(node: Group) -> Node:
    """A list of solutions by name, as sympy's `solve` prints them, as a set of values or tuples."""
    solutions = [named for item in node.items if (named := named_values(item)) is not None]
    keys = {tuple(sorted(solution)) for solution in solutions}
    if len(solutions) != len(node.items) or len(keys) != 1:
        return node
    names = keys.pop()
    if len(names) == 1:
        return Group(tuple(solution[names[0]] for solution in solutions), "{")
    return Group(tuple(Group(tuple(solution[name] for name in names), "(") for solution in solutions), "{")


def _settled_equation(node: Relation) -> Node:
    """(x, y) = (1, 2) as values by name."""
    left, right = node.sides
    if (
        isinstance(left, Group)
        and isinstance(right, Group)
        and len(left.items) == len(right.items) > 1
        and all(isinstance(item, Symbol) for item in left.items)
        and len(set(left.items)) == len(left.items)
    ):
        return Mapping(tuple(zip(left.items, right.items, strict=True)))
    return node


def _is_interval(node: Node) -> bool:
    if isinstance(node, Range):
        return True
    return isinstance(node, Group) and real_sets.has_infinite_end(node)


def is_equation(node: Node) -> bool:
    """Whether a node says that its sides are equal, or about so."""
    return isinstance(node, Relation) and all(operator in {"=", "~"} for operator in node.operators)


def stated_values(node: Node) -> list[Node]:
    """What an equation states, its names left out; the node itself where it is no equation, or has no name."""
    if not isinstance(node, Relation) or not is_equation(node):
        return [node]
    if is_name(node.sides[0]):
        return list(node.sides[1:])
    if len(node.sides) == 2 and is_name(node.sides[1]):
        return [node.sides[0]]
    if all(isinstance(side, (Range, Group, Matrix, SetOperation)) for side in node.sides):
        return list(node.sides)
    return []


def without_approximation(node: Node) -> Node:
    """The exact value of `8/3 \\approx 2.67`, where the decimal is within a percent of it; others as they are."""
    if not isinstance(node, Relation) or node.operators[-1] != "~" or len(node.sides) < 2:
        return node
    exact_value, rounded = node.sides[-2:]
    if not isinstance(rounded, Number) or not rounded.digits or symbols(exact_value):
        return node
    try:
        value = approximately(exact_value)
    except NotNumericError:
        return node
    if abs(value - float(rounded.value)) > abs(value) / 100:
        return node
    return exact_value if len(node.sides) == 2 else Relation(node.sides[:-1], node.operators[:-1])


def chain_of_names(node: Node) -> Mapping | None:
    """x = y = 2 as values by name; None for anything else."""
    if not isinstance(node, Relation) or set(node.operators) != {"="} or len(node.sides) < 3:
        return None
    *names, value = node.sides
    if not all(isinstance(name, Symbol) for name in names) or len(set(names)) != len(names) or symbols(value):
        return None
    return Mapping(tuple((name, value) for name in names))


def name_of(node: Node) -> str | None:
    """The variable that an equation gives a value to."""
    if isinstance(node, Relation) and is_equation(node):
        for side in (node.sides[0], node.sides[-1]):
            if isinstance(side, Symbol):
                return side.name
            if isinstance(side, Opaque):
                return side.text
            if isinstance(side, Call) and is_name(side):
                return repr(side)
    return None


def named_values(node: Node) -> dict[str, Node] | None:
    """The values of a mapping by their names; None for anything else."""
    if not isinstance(node, Mapping):
        return None
    values: dict[str, Node] = {}
    for name, value in node.pairs:
        if isinstance(name, Symbol):
            values[name.name] = value
        else:
            values[repr(name)] = value
    return values


def is_name(node: Node) -> bool:
    """Whether a side of an equation only names what the other side is: x, f(x), AB/CD, P(A)."""
    match node:
        case Opaque() | Symbol():
            return True
        case Call(name="apply", arguments=(Symbol(name=function), *arguments)):
            if len(function.rstrip("'")) == 1 and function[0] not in _FUNCTION_NAMES:
                return False
            return len(arguments) > 1 or isinstance(arguments[0], (Symbol, Number)) or function[0] in "fghFGHPQ"
        case Call(name="apply", arguments=(Power(base=Symbol(name=function), exponent=exponent), _)):
            return exponent == MINUS_ONE and function in "fghFGH"
        case Product(factors=(Power(base=Symbol(name=function), exponent=exponent), _)) if function in "fghFGH":
            return exponent == MINUS_ONE
        case Product() | Power():
            return _is_of_points(node) or _is_derivative(node) or _is_digits_under_bar(node)
        case Group(items=items, bracket="(" | "<"):
            return bool(items) and all(isinstance(item, Symbol) for item in items)
        case Ratio(parts=parts):
            return all(_is_of_points(part) for part in parts)
        case Call(name="abs", arguments=(argument,)):
            return isinstance(argument, Product) and _is_of_points(argument)
        case _:
            return False


def _is_of_points(node: Node) -> bool:
    """Whether an expression is a product or quotient of capital letters: segments, areas."""
    match node:
        case Product(factors=factors):
            return all(_is_of_points(factor) for factor in factors)
        case Power(base=base, exponent=exponent):
            return exponent == MINUS_ONE and _is_of_points(base)
        case Group(items=(item,), bracket="["):
            return _is_of_points(item)
        case Symbol(name=name):
            return name[:1].isupper()
        case Constant(name="e" | "i"):
            return True
        case _:
            return False


def _is_digits_under_bar(node: Node) -> bool:
    """Whether an expression is a number whose digits are letters, under a bar."""
    return isinstance(node, Product) and all(isinstance(x, Symbol) and x.name.endswith(" bar") for x in node.factors)


def _is_derivative(node: Node) -> bool:
    """Whether an expression is dy/dx."""
    match node:
        case Product(factors=(Product(factors=(Symbol(name="d"), Symbol())), Power(base=base, exponent=exponent))):
            return exponent == MINUS_ONE and isinstance(base, Product) and base.factors[0] == Symbol("d")
        case _:
            return False
