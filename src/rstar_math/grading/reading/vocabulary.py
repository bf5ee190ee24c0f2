"""The names that answers are written with: functions, constants, sets, constructors, Greek letters, currencies."""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

ELEMENTARY = (
    "sin cos tan cot sec csc sinh cosh tanh coth sech csch arcsin arccos arctan arccot arcsec arccsc ln log exp sqrt "
    "cis"
).split()
_OTHER_FUNCTIONS = {
    "abs": "abs", "Abs": "abs", "fabs": "abs", "floor": "floor", "ceil": "ceiling", "ceiling": "ceiling",
    "factorial": "factorial", "binomial": "binomial", "comb": "binomial", "gamma": "gamma", "gcd": "gcd",
    "lcm": "lcm", "max": "max", "min": "min", "Max": "max", "Min": "min", "re": "re", "im": "im",
    "conjugate": "conjugate", "sign": "sign", "sgn": "sign", "Mod": "mod", "root": "root", "cbrt": "cbrt", "pow": "pow",
    "Pow": "pow", "asin": "arcsin", "acos": "arccos", "atan": "arctan", "acot": "arccot", "asec": "arcsec",
    "acsc": "arccsc", "asinh": "arsinh", "acosh": "arcosh", "atanh": "artanh", "arcsinh": "arsinh",
    "arccosh": "arcosh", "arctanh": "artanh", "arsinh": "arsinh", "arcosh": "arcosh", "artanh": "artanh",
    "log10": "log10", "log2": "log2", "factorial2": "factorial2", "lg": "log10", "nCr": "binomial",
    "deg": "degrees_of", "arg": "arg", "erf": "erf", "det": "det", "zeta": "zeta",
    "Re": "re", "Im": "im", "Arg": "arg", "Gamma": "gamma", "Rational": "ratio_of", "Fraction": "ratio_of",
    "Add": "add", "Mul": "multiply",
}  # fmt: skip
FUNCTIONS = {name: name for name in ELEMENTARY} | _OTHER_FUNCTIONS
"""Function names as they are written, with the name used in the nodes."""

CONSTRUCTORS = frozenset(
    (
        "Matrix ImmutableMatrix MutableDenseMatrix ImmutableDenseMatrix array matrix Interval Interval.open "
        "Interval.Lopen Interval.Ropen Union Intersection Complement FiniteSet set frozenset Tuple tuple list List "
        "Point Point2D Point3D Vector Eq Ne Lt Le Gt Ge Equality Unequality StrictLessThan LessThan "
        "StrictGreaterThan GreaterThan And Or Decimal Integer Float float int mpf mpc complex Symbol np.float64 "
        "np.float32 np.int64 np.int32 np.complex128 np.array numpy.array np.matrix numpy.float64 numpy.int64 "
        "np.True_ np.False_ N S sympify dict OrderedDict Dict Contains np.str_ str deque Vector2D ConditionSet "
        "float64 int64 vector Piecewise"
    ).split()
)
"""Names that build a value from their arguments, in what Python, sympy and numpy print."""

CONSTANTS = {
    "pi": "pi", "Pi": "pi", "oo": "oo", "inf": "oo", "Infinity": "oo", "infinity": "oo", "infty": "oo",
    "nan": "zoo", "NaN": "zoo", "zoo": "zoo", "i": "i", "I": "i", "e": "e", "E": "e",
}  # fmt: skip
"""Constants as they are written, with the name used in the nodes."""

NAMED = {
    "EmptySet": "empty", "emptyset": "empty", "Reals": "reals", "S.Reals": "reals", "S.EmptySet": "empty",
    "True": "true", "False": "false", "Integers": "integers", "S.Integers": "integers", "np.True_": "true",
    "np.False_": "false",
}  # fmt: skip
"""Sets and truth values by their names, with the name used in the nodes."""

SETS = {
    "R": "reals", "Z": "integers", "N": "naturals", "Q": "rationals", "C": "complexes",
    "Z+": "naturals", "Z>0": "naturals", "Z>=1": "naturals", "N+": "naturals", "N*": "naturals", "N>0": "naturals",
    "N>=1": "naturals", "N0": "whole numbers", "Z>=0": "whole numbers", "Z-": "negative integers",
    "Z<0": "negative integers", "R+": "positive reals", "R>0": "positive reals", "R>=0": "nonnegative reals",
    "R-": "negative reals", "R<0": "negative reals", "R<=0": "nonpositive reals", "Q+": "positive rationals",
    "Q>0": "positive rationals",
}  # fmt: skip
"""Letters of blackboard bold with their marks, with the name used in the nodes."""

GREEK = frozenset(
    (
        "alpha beta gamma delta epsilon zeta eta theta kappa lambda mu nu xi rho sigma tau phi chi psi omega Gamma "
        "Delta Theta Lambda Xi Sigma Phi Psi Omega ell aleph hbar"
    ).split()
)
"""Greek letters that are variables."""

COMMAND_OPERATORS = {
    "cdot": "*", "times": "*", "le": "<=", "ge": ">=", "ne": "!=", "approx": "~", "sim": "~", "in": "in", "cup": "cup",
    "cap": "cap", "setminus": "setminus", "pm": "pm", "mp": "mp", "ldots": "dots", "choose": "choose", "over": "over",
    "circ": "circ", "conjunction": "conjunction", "disjunction": "disjunction", "bmod": "mod", "mod": "mod",
}  # fmt: skip
"""Commands of LaTeX that are operators, with the operator."""

CURRENCIES = {"euro": "euro", "pounds": "sterling", "yen": "yen", "rupee": "rupee", "won": "won"}
MONEY_WORDS = frozenset({"rs", "usd", "eur", "gbp", "inr", "cny", "rmb", "jpy", "chf"})
ACCENTS = {
    "overline": "bar", "bar": "bar", "widebar": "bar", "hat": "hat", "widehat": "hat", "tilde": "tilde",
    "widetilde": "tilde", "dot": "dot", "ddot": "ddot",
}  # fmt: skip
"""Commands of LaTeX that put a mark above a letter, with the mark."""

SHORT_WORDS = frozenset(
    (
        "is are was the no yes all any for odd not one two six ten if of to by at on as an it be we so day per has "
        "had can may but day men non its new old who him her she he you our day big red out off few set sum mod "
        "none true"
    ).split()
)
"""Short words that are no products of variables."""

FUNCTIONS_OR_UNITS = frozenset({"sec", "min", "deg", "max", "in"})
"""Names of functions that are units or words where no argument follows."""

AMBIGUOUS_FUNCTIONS = frozenset(
    (
        "re im Re Im arg Arg erf zeta Gamma sign root max min Mod floor ceil abs comb gamma Add Mul Pow pow deg lg N "
        "conjugate"
    ).split()
)
"""Names of functions only before brackets."""
