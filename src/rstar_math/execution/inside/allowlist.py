"""What programs in a warm worker may use: modules, what may be taken from them, attributes. Data of the static check.

Everything here is an explicit list, so that a new version of a library adds nothing of its own accord. What makes a
name fit for it: on no object that an admitted program can reach does it lead to something that outlives the program and
can be changed, to memory that another program has used, or to a function that runs text as code, touches files, or
keeps what it is given. A name that is missing costs a fork, never a wrong result.
"""

from __future__ import annotations

Names = frozenset[str]


def words(text: str) -> Names:
    """Its words."""
    return frozenset(text.split())


STANDARD: dict[str, Names | None] = {
    "math": None,
    "cmath": None,
    "itertools": None,
    "heapq": None,
    "bisect": None,
    "statistics": words(
        "mean fmean median median_low median_high mode multimode stdev pstdev variance pvariance quantiles "
        "geometric_mean harmonic_mean"
    ),
    "fractions": words("Fraction"),
    "decimal": words("Decimal ROUND_HALF_UP ROUND_HALF_EVEN ROUND_DOWN ROUND_UP"),
    "functools": words("reduce lru_cache cache partial cmp_to_key"),
    "collections": words("Counter defaultdict deque OrderedDict"),
    "random": words("random randint uniform choice choices sample shuffle randrange gauss normalvariate seed"),
    "string": words("ascii_letters ascii_lowercase ascii_uppercase digits hexdigits punctuation whitespace"),
    "re": words("match search findall finditer fullmatch sub split compile escape IGNORECASE I MULTILINE M"),
    "datetime": words("date datetime timedelta time"),
    "copy": words("copy deepcopy"),
    "operator": words("add sub mul truediv floordiv mod pow neg eq ne lt le gt ge itemgetter"),
    "typing": words("List Dict Tuple Set Optional Union Any Callable Iterable Sequence"),
    "calendar": words("isleap leapdays monthrange weekday"),
}
"""Of the standard library; None: everything public, where a module has functions of values and nothing else."""

NUMPY = words(
    "abs absolute add all allclose amax amin angle any append arange arccos arccosh arcsin arcsinh arctan arctan2 "
    "arctanh argmax argmin argsort argwhere around array array_equal asarray atleast_1d atleast_2d average bincount "
    "bool_ cbrt ceil choice clip column_stack complex128 concatenate conj convolve copy corrcoef cos cosh "
    "count_nonzero cov cross cumprod cumsum deg2rad degrees delete det diag diagonal diff digitize divide divmod dot "
    "e eig eigvals einsum equal euler_gamma exp exp2 expand_dims expm1 extract eye fabs flatnonzero flip fliplr "
    "flipud float32 float64 floor floor_divide fmod full gcd geomspace gradient greater greater_equal histogram "
    "hstack hypot identity imag in1d indices inf inner insert int32 int64 interp intersect1d inv isclose isfinite "
    "isin isinf isnan isreal kron lcm less less_equal lexsort linalg linspace log log10 log1p log2 logaddexp "
    "logical_and logical_not logical_or logspace lstsq mat matmul matrix_power matrix_rank max maximum mean median "
    "meshgrid min minimum mod multiply nan nan_to_num nanmax nanmean nanmin ndim negative nonzero norm normal "
    "not_equal ones ones_like outer percentile permutation pi pinv polyfit polyval positive power prod ptp "
    "quantile rad2deg radians rand randint randn random ravel real reciprocal remainder repeat reshape roll roots "
    "rot90 round sample searchsorted seed select setdiff1d shape shuffle sign sin sinc sinh size solve sort split "
    "sqrt square squeeze stack std subtract sum svd swapaxes take tan tanh tensordot tile trace transpose trapezoid "
    "trapz tri tril triu true_divide trunc uniform union1d unique unwrap vander var vdot vectorize vstack where zeros "
    "zeros_like"
)
"""Of numpy, numpy.linalg and numpy.random. Not `empty`: it shows memory that was used before."""

ARRAY_METHODS = words(
    "T all any argmax argmin argsort astype clip conj copy cumprod cumsum diagonal dot dtype fill flatten imag item "
    "max mean min ndim nonzero prod ravel real repeat reshape round shape size sort squeeze std sum swapaxes take "
    "tolist trace transpose var"
)

MPMATH = words(
    "mpf mpc pi e euler phi inf nan sqrt cbrt root nthroot exp log ln log10 log1p expm1 power sin cos tan cot sec csc "
    "asin acos atan atan2 acot asec acsc sinh cosh tanh asinh acosh atanh degrees radians hypot fabs sign floor ceil "
    "nint frac re im arg conj polar rect factorial fac fac2 binomial gamma beta zeta rf ff erf erfc lambertw agm "
    "fibonacci bernoulli bell stirling1 stirling2 cyclotomic psi digamma harmonic quad nsum nprod diff limit findroot "
    "polyroots polyval taylor isnan isinf isfinite isint almosteq nstr chop mpmathify fsum fprod fdot linspace arange "
    "primepi primezeta pslq sinc altzeta"
)

SYMPY = words(
    # symbols, numbers, expressions, relations
    "Symbol symbols Function Lambda Integer Rational Float Number NumberSymbol S I E pi oo zoo nan GoldenRatio "
    "EulerGamma Catalan Expr Basic Add Mul Pow Mod Abs Max Min Tuple Derivative Integral Sum Product Limit Subs "
    "UnevaluatedExpr Eq Ne Lt Le Gt Ge Rel Equality Unequality StrictLessThan LessThan StrictGreaterThan GreaterThan "
    "true false And Or Not Xor Implies Equivalent Piecewise piecewise_fold sympify N "
    # solving
    "solve solveset linsolve nonlinsolve solve_linear solve_linear_system solve_poly_system solve_undetermined_coeffs "
    "solve_univariate_inequality solve_poly_inequality solve_rational_inequalities reduce_inequalities "
    "linear_eq_to_matrix roots real_roots nroots ground_roots count_roots RootOf CRootOf rootof checksol diophantine "
    # rewriting
    "expand expand_mul expand_trig expand_log expand_func expand_complex expand_multinomial expand_power_base "
    "expand_power_exp simplify factor cancel apart together collect rcollect trigsimp powsimp powdenest logcombine "
    "radsimp ratsimp combsimp gammasimp nsimplify sqrtdenest fraction numer denom separatevars count_ops posify "
    # polynomials
    "Poly poly degree degree_list total_degree LC LM LT div rem quo pdiv exquo invert gcd lcm gcd_list lcm_list gcdex "
    "half_gcdex gcd_terms terms_gcd resultant discriminant factor_list factor_terms sqf_list sqf_part content "
    "primitive monic compose decompose horner interpolate minimal_polynomial minpoly cyclotomic_poly symmetric_poly "
    # functions
    "sqrt cbrt root real_root exp log ln LambertW sin cos tan cot sec csc asin acos atan atan2 acot asec acsc sinh "
    "cosh tanh coth sech csch asinh acosh atanh acoth sinc rad deg floor ceiling frac sign re im arg conjugate "
    "Heaviside DiracDelta KroneckerDelta gamma loggamma digamma polygamma beta zeta erf erfc factorial factorial2 "
    "subfactorial binomial rf ff RisingFactorial FallingFactorial fibonacci lucas tribonacci bernoulli bell catalan "
    "harmonic euler "
    # calculus
    "diff integrate limit series summation product residue O Order idiff stationary_points minimum maximum "
    "is_increasing is_decreasing is_strictly_increasing is_strictly_decreasing is_monotonic periodicity "
    "continuous_domain function_range singularities "
    # sets
    "Interval FiniteSet Union Intersection Complement SymmetricDifference ProductSet ConditionSet ImageSet imageset "
    "Range Contains Set EmptySet UniversalSet Reals Integers Naturals Naturals0 Rationals Complexes "
    # geometry
    "Point Point2D Point3D Line Line2D Line3D Segment Segment2D Segment3D Ray Ray2D Ray3D Circle Ellipse Triangle "
    "Polygon RegularPolygon Plane Parabola intersection convex_hull centroid are_similar "
    # numbers
    "isprime prime primepi primerange nextprime prevprime primefactors factorint primorial divisors divisor_count "
    "divisor_sigma proper_divisors proper_divisor_count totient mobius igcd ilcm integer_nthroot integer_log "
    "perfect_power multiplicity n_order mod_inverse is_perfect npartitions legendre_symbol jacobi_symbol "
    "quadratic_residues is_quad_residue primitive_root is_primitive_root sqrt_mod nthroot_mod discrete_log crt digits "
    "num_digits continued_fraction egyptian_fraction randprime primenu primeomega nC nP nT stirling core "
    # matrices
    "Matrix ImmutableMatrix eye zeros ones diag det trace transpose hessian wronskian "
    # iteration and text
    "multiset_permutations partitions subsets variations prod latex pretty sstr"
)

SYMPY_MODULES = (
    *("sympy", "sympy.abc", "sympy.core", "sympy.core.numbers", "sympy.core.symbol", "sympy.solvers", "sympy.matrices"),
    *("sympy.ntheory", "sympy.functions", "sympy.functions.elementary.miscellaneous", "sympy.geometry", "sympy.sets"),
    *("sympy.functions.combinatorial.factorials", "sympy.functions.combinatorial.numbers", "sympy.solvers.solveset"),
    *("sympy.functions.elementary.trigonometric", "sympy.functions.elementary.exponential", "sympy.core.relational"),
    *("sympy.functions.elementary.complexes", "sympy.functions.elementary.integers", "sympy.simplify", "sympy.polys"),
    *("sympy.simplify.simplify", "sympy.solvers.solvers", "sympy.solvers.inequalities", "sympy.ntheory.factor_"),
    *("sympy.ntheory.modular", "sympy.ntheory.residue_ntheory", "sympy.ntheory.generate", "sympy.calculus.util"),
    *("sympy.calculus", "sympy.series", "sympy.concrete", "sympy.concrete.summations", "sympy.integrals"),
    *("sympy.solvers.diophantine", "sympy.polys.polytools", "sympy.matrices.dense", "sympy.utilities.iterables"),
)
"""Modules of sympy from which programs import."""

LETTERS = words(
    "a b c d e f g h i j k l m n o p q r s t u v w x y z A B C D E F G H I J K L M N O P Q R S T U V W X Y Z alpha "
    "beta gamma delta epsilon zeta eta theta iota kappa mu nu xi rho sigma tau phi"
)
"""Of sympy.abc."""

SYMPY_METHODS = words(
    # expressions
    "args func name atoms free_symbols subs xreplace replace has find evalf n doit simplify expand factor cancel "
    "apart together collect trigsimp powsimp radsimp ratsimp nsimplify rewrite diff integrate limit series coeff "
    "as_numer_denom as_real_imag as_coefficients_dict as_poly as_ordered_terms as_ordered_factors as_independent "
    "as_base_exp as_coeff_Mul as_coeff_Add as_coeff_mul as_coeff_add as_powers_dict as_expr as_set removeO getO "
    "equals lhs rhs reversed negated canonical rel_op base exp p q numerator denominator conjugate round gcd lcm "
    "factors function variables limits bound_symbols as_sum as_integer_ratio limit_denominator "
    "could_extract_minus_sign leadterm extract_multiplicatively extract_additively expr variable point "
    # polynomials
    "degree degree_list total_degree all_coeffs coeffs coeff_monomial monoms all_monoms terms all_terms LC TC EC LM "
    "LT gen gens nroots all_roots real_roots ground_roots count_roots factor_list sqf_list sqf_part quo rem div pdiv "
    "exquo discriminant resultant content primitive monic invert compose as_dict length nth "
    # matrices
    "det inv T H C transpose adjoint trace rank rref nullspace columnspace rowspace eigenvals eigenvects charpoly "
    "diagonalize jordan_form LUsolve LUdecomposition QRdecomposition cholesky solve gauss_jordan_solve norm dot cross "
    "row col rows cols shape row_insert col_insert row_join col_join row_swap col_swap row_del col_del applyfunc "
    "tolist flat adjugate cofactor minor minor_submatrix cofactor_matrix extract reshape hstack vstack eye zeros ones "
    "diag as_mutable as_immutable copy singular_values multiply_elementwise vec values fill normalized "
    # sets
    "start end step inf sup left right left_open right_open measure boundary closure interior complement union "
    "intersect intersection symmetric_difference as_relational contains base_set base_sets lamda condition sym "
    "powerset size "
    # of S
    "Half One Zero NegativeOne Infinity NegativeInfinity ComplexInfinity NaN Pi Exp1 ImaginaryUnit "
    # geometry
    "x y z distance midpoint slope area perimeter circumference center radius hradius vradius vertices sides angles "
    "altitudes medians incenter circumcenter orthocenter centroid incircle circumcircle inradius circumradius "
    "bisectors parallel_line perpendicular_line perpendicular_segment perpendicular_bisector projection reflect "
    "rotate scale translate direction points p1 p2 equation coefficients encloses_point arbitrary_point tangent_lines "
    "angle_between smallest_angle_between apothem interior_angle exterior_angle eccentricity foci major minor "
    "periapsis apoapsis bounds medial nine_point_circle eulerline exradii excenters coordinates normal_vector unit "
    "ambient_dimension"
)
"""Of sympy's objects. Beside these: everything whose name starts with `is_`, which only answers questions."""

NOT_METHODS = words("format_map register cache_clear mro fromhex from_bytes maketrans")
"""Of containers and numbers, whose other public methods are all admitted."""
