"""From the many ways of writing an answer to one: Unicode, LaTeX spacing and decoration, wrappers, text commands.

The result is still text. Words that stood in a text command are marked as ⟦word⟧, so that the parser can tell a unit
or a connective from a product of variables.
"""

# ruff: noqa: SIM905  (word lists read better as text)
from __future__ import annotations

import re
import unicodedata

from rstar_math.grading.reading.repair import repaired

OPEN_TEXT, CLOSE_TEXT = "⟦", "⟧"
ROW_END = "\u241e"
"""Stands for LaTeX's double backslash."""

SPACED_COMMA = "{,_}"
"""Stands between digits that are one number, or two with a comma between them."""

_CHARACTERS = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-",
    "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "∙": r"\cdot ", "∗": "*", "÷": "/", "∕": "/", "⁄": "/",
    "∞": r"\infty ", "°": r"^\circ ", "º": r"^\circ ", "±": r"\pm ", "∓": r"\mp ",
    "≤": r"\le ", "≦": r"\le ", "⩽": r"\le ", "≥": r"\ge ", "≧": r"\ge ", "⩾": r"\ge ", "≠": r"\ne ",
    "≈": r"\approx ", "≅": r"\approx ", "∪": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∅": r"\emptyset ",
    "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "∧": r"\land ", "∨": r"\lor ", "⟨": r"\langle ", "⟩": r"\rangle ", "⌊": r"\lfloor ", "⌋": r"\rfloor ",
    "⌈": r"\lceil ", "⌉": r"\rceil ", "′": "'", "″": "''", "’": "'", "‘": "'", "“": '"', "”": '"', "…": r"\ldots ",
    "∠": r"\angle ", "△": r"\triangle ", "∖": r"\setminus ", "⟦": "[", "⟧": "]",
    "€": r"\euro ", "£": r"\pounds ", "￥": r"\yen ", "¥": r"\yen ", "₹": r"\rupee ", "₩": r"\won ", "¢": " cents ",
    "\u200b": "", "\u200c": "", "\u200d": "", "\ufeff": "", "\u2060": "", "\u00ad": "",
    "\u0304": "\u0305",
}  # fmt: skip
_GREEK = {
    "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ϵ": "epsilon", "ζ": "zeta", "η": "eta",
    "θ": "theta", "κ": "kappa", "λ": "lambda", "μ": "mu", "µ": "mu", "ν": "nu", "ξ": "xi", "π": "pi", "ρ": "rho",
    "σ": "sigma", "τ": "tau", "φ": "phi", "ϕ": "phi", "χ": "chi", "ψ": "psi", "ω": "omega", "Γ": "Gamma",
    "Δ": "Delta", "Θ": "Theta", "Λ": "Lambda", "Π": "Pi", "Σ": "Sigma", "Φ": "Phi", "Ψ": "Psi", "Ω": "Omega",
}  # fmt: skip
_TABLE = str.maketrans(_CHARACTERS | {letter: f"\\{name} " for letter, name in _GREEK.items()})
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ", "0123456789+-=()nix")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₙₖₓᵢⱼₘ", "0123456789+-=()aenkxijm")
_SUPERSCRIPT_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿⁱˣ]+")
_SUBSCRIPT_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₙₖₓᵢⱼₘ]+")
_UNICODE_ROOT = re.compile(r"(\d*)([√∛∜])\s*(\d+(?:\.\d+)?|[A-Za-z]|\([^()]*\))?")
_REPEATED = re.compile(r"((?:\d\u0305)+)")

_TEXT_COMMANDS = (
    "text|textbf|textit|textrm|textsf|texttt|textnormal|emph|mbox|hbox|mathrm|rm|mathsf|mathtt|operatorname"
)
_TEXT_COMMAND = re.compile(rf"\\(?:{_TEXT_COMMANDS})\*?\s*\{{")
_DECORATION = re.compile(
    r"\\(?:underline|mathbf|mathit|boldsymbol|bm|bf|mathcal|mathscr|pmb|vec|ensuremath|boxed|fbox"
    r"|mathop|mathrel|mathord|overrightarrow|overset\{[^{}]*\}|underset\{[^{}]*\}|phantom\{[^{}]*\}|cancel)"
    r"(?![a-zA-Z])\s*"
)
_LAYOUT = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|nonumber|notag|allowbreak|hfill|noindent|centering|rm|bf"
    r"|it|sf|tt|large|Large|normalsize|small|hline)(?![a-zA-Z])"
    r"|\\(?:hspace|vspace|tag|label)\*?\{[^{}]*\}|\\color\{[^{}]*\}"
)
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![a-zA-Z])\s*\.?")
_FRENCH_INTERVAL = re.compile(
    r"(?:(?<=^)|(?<=\\cup )|(?<=\\cup)|(?<=\\cap )|(?<=\\in )|(?<==))"
    r"([\[\]])([^\[\]()]*[,;][^\[\]()]*)([\[\]])(?=\s*(?:$|\\cup|\\cap))"
)
_COMBINATIONS = re.compile(
    r"(?<![\w}])(?:\{\})?\s*[_^]\s*\{?\s*(?P<n>\d+|n)\s*\}?\s*\{?(?P<c>[CP])\}?\s*_\s*\{?\s*(?P<k>\d+|[rk])\s*\}?"
    r"|(?<![\w.])(?P<n2>\d+)(?P<c2>[CP])(?P<k2>\d+)(?![\w.])"
)
_WORD_WITH_POWER = rf"{OPEN_TEXT}[^{CLOSE_TEXT}]*{CLOSE_TEXT}(?:\s*\^\s*\{{?-?\d\}}?)?"
_UNIT_FRACTION = re.compile(
    rf"\\frac\s*\{{\s*({_WORD_WITH_POWER})\s*\}}\s*\{{\s*({_WORD_WITH_POWER}(?:\s*{_WORD_WITH_POWER})*)\s*\}}\s*$"
)
_GAP = re.compile(
    r"(?<=[\w})\]!])\s*(?:\\(?:quad|qquad)(?![a-zA-Z])\s*)+(?=[-+]?\s*(?:\d|\\(?:frac|sqrt|pi)(?![a-zA-Z])|[a-zA-Z]\s*=))"
)
"""Wide space between two answers."""

_SPACES = re.compile(r"\\(?:quad|qquad|thinspace|enspace|enskip|space)(?![a-zA-Z])|\\[,;:> ]|~")
_THOUSANDS = re.compile(
    r"(?<![\d.,])[1-9]\d{0,2}(?:(?:,|\{,\})\s*(?:(?:\\[!,;: ]|~|\\thinspace)\s*)+\d{3})+(?![\d])", re.ASCII
)
_MATH_DELIMITERS = re.compile(r"(?<!\\)\\[\[\]()]")
_WRAPPED_IN_STARS = re.compile(r"(?:\*\*|__)(?=\S)(?P<inner>[^*]+)(?<=\S)(?:\*\*|__)[.:]?")
_EQUAL_MARKS = {
    r"\leqslant": r"\le", r"\geqslant": r"\ge", r"\leqq": r"\le", r"\geqq": r"\ge", r"\leq": r"\le", r"\geq": r"\ge",
    r"\neq": r"\ne", r"\lt": "<", r"\gt": ">", r"\dfrac": r"\frac", r"\tfrac": r"\frac", r"\cfrac": r"\frac",
    r"\dbinom": r"\binom", r"\tbinom": r"\binom", r"\varnothing": r"\emptyset", r"\lbrace": r"\{", r"\rbrace": r"\}",
    r"\lbrack": "[", r"\rbrack": "]", r"\lvert": "|", r"\rvert": "|", r"\vert": "|", r"\mid": "|", r"\wedge": r"\land",
    r"\vee": r"\lor", r"\colon": ":", r"\ast": "*", r"\div": "/",
    r"\varphi": r"\phi", r"\varepsilon": r"\epsilon", r"\vartheta": r"\theta", r"\degree": r"^\circ",
    r"\simeq": r"\approx", r"\doteq": "=", r"\coloneqq": "=", r"\equiv": "=", r"\cdots": r"\ldots",
    r"\dots": r"\ldots", r"\backslash": r"\setminus", r"\smallsetminus": r"\setminus", r"\R": r"\mathbb{R}",
    r"\reals": r"\mathbb{R}", r"\Z": r"\mathbb{Z}", r"\percent": "%", r"\imath": "i", r"\jmath": "j", r"\exp": " exp",
    r"\bigcup": r"\cup", r"\bigcap": r"\cap", r"\dotsc": r"\ldots", r"\lang": r"\langle", r"\rang": r"\rangle",
    r"\prime": "'", r"\textdegree": r"^\circ", r"\dollar": r"\$", r"\bullet": r"\cdot",
}  # fmt: skip
_EQUAL_MARK = re.compile(
    "|".join(re.escape(mark) for mark in sorted(_EQUAL_MARKS, key=len, reverse=True)).join(("(?:", ")(?![a-zA-Z])"))
)
_FUNCTION_WORDS = frozenset(
    (
        "arcsin arccos arctan arccot arcsec arccsc sin cos tan cot sec csc sinh cosh tanh coth ln log lg lcm gcd max "
        "min exp sgn sign mod deg arsinh arcosh artanh sech csch cis asin acos atan acot asec acsc asinh acosh atanh "
        "re im Re Im arg Arg erf"
    ).split()
)


_CROSS_PRODUCT = re.compile(
    r"(\\(?:mathbf|boldsymbol|bm|pmb|vec|overrightarrow)\s*(?:\{[^{}]*\}|[A-Za-z])\s*)\\times"
    r"(?=\s*\\(?:mathbf|boldsymbol|bm|pmb|vec|overrightarrow)(?![a-zA-Z]))"
)
_VECTOR_COMMANDS = "mathbf|boldsymbol|bm|pmb|textbf|hat|widehat|vec|overrightarrow|mathrm|mathit"
_UNIT_VECTOR = re.compile(
    r"\\(?:mathbf|boldsymbol|bm|pmb|textbf|hat|widehat|vec|overrightarrow)"
    r"\s*(?:\{\s*(?:\\?([ij])(?:math)?|(k))\s*\}|\s(?:\\?([ij])(?:math)?|(k))(?![a-zA-Z]))"
)


def normalised(text: str) -> str:
    """`text` in the notation that `parse` reads. Never fails; linear in the length of `text`, up to nested braces."""
    text = _unicode(repaired(text))
    text = _unwrapped(text)
    if "\\begin" not in text:
        text = re.sub(r"\\\\(?=[a-zA-Z])", r"\\", text)  # a backslash escaped once too often
    text = text.replace("\\\\", ROW_END)
    text = _THOUSANDS.sub(_grouped, text)
    text = re.sub(r"(?<![\w.,'])\d{1,3}(?:'\d{3})+(?![\w'])", lambda match: match.group().replace("'", "{,}"), text)
    text = text.replace(",\\!", "{,}").replace("\\!", "").replace("{,}", "\u241f")
    text = re.sub(r"(?<![A-Za-z])(?:US|AU|CA|HK|NZ|A|C|S)\s*(?=\\?\$\s*\d)", "", text)
    text = _dollars(_MATH_DELIMITERS.sub(" ", text))
    text = _EQUAL_MARK.sub(lambda match: _EQUAL_MARKS[match.group()], text)
    if "\\l" in text:
        text = _connectives(text)
    text = re.sub(r"\\textcolor\s*\{[^{}]*\}", "", text)
    text = _LAYOUT.sub(" ", text)
    text = _SIZES.sub("", text)
    text = _GAP.sub(ROW_END, text)
    text = _SPACES.sub(" ", text)
    if "\\times" in text:
        text = _CROSS_PRODUCT.sub(r"\1\\cross ", text)
    text = _unit_vectors(text)
    text = _marked_text(text)
    text = _DECORATION.sub("", text)
    if "\\" in text:
        text = text.replace("{}", "")
    text = _braced_arguments(text)
    text = text.replace("\u241f", "{,}")
    text = re.sub(r"\^\s*(?:\{\s*\\circ\s*\}|\\circ(?![a-zA-Z]))", r"^\\circ ", text)
    text = re.sub(
        r"\^\s*\{\s*('[' ]*)\}|\^\s*('+)", lambda match: (match.group(1) or match.group(2)).replace(" ", ""), text
    )
    text = re.sub(r"[ \t\r\f\v]+", " ", text).strip()
    text = re.sub(r"(?<!\d)\.(?=\s*\\(?:overline|bar|dot)(?![a-z]))", "0.", text)
    text = re.sub(r"(\^\\circ )\s*([CF])(?![a-zA-Z])", rf"\1{OPEN_TEXT}\2{CLOSE_TEXT}", text)
    text = re.sub(r"(?<=[,\s])\.{2,}(?=\s*[,;]|\s*$)", r"\\ldots ", text)
    text = _COMBINATIONS.sub(_combinations, text)
    text = _UNIT_FRACTION.sub(r" \1/\2", text)
    text = _FRENCH_INTERVAL.sub(_interval, text)
    return re.sub(rf"(?<=[{CLOSE_TEXT}\w)}}])\s*\.$", "", text)


def _connectives(text: str) -> str:
    """The signs of logic: between conditions they are words (`x > 1 and x < 3`), between statements they stay."""
    joins_conditions = bool(re.search(r"[<>=]|\\(?:le|ge|ne|in|approx)(?![a-zA-Z])", text))
    names = (" and ", " or ") if joins_conditions else (r"\conjunction ", r"\disjunction ")
    return re.sub(r"\\l(and|or)(?![a-zA-Z])", lambda match: names[match.group(1) == "or"], text)


def _unit_vectors(text: str) -> str:
    """Bold or decorated i, j, k marked as unit vectors."""
    if not _UNIT_VECTOR.search(text):
        return text
    for _ in range(3):
        text = _UNIT_VECTOR.sub(lambda match: rf"\unitvector{{{next(filter(None, match.groups()))}}}", text)
        text = re.sub(rf"\\(?:{_VECTOR_COMMANDS})\s*\{{\s*(\\unitvector\{{[ijk]\}})\s*\}}", r"\1", text)
    return text


def _combinations(match: re.Match[str]) -> str:
    """{}_5C_2 as a binomial coefficient, {}_5P_2 as the quotient of factorials."""
    n, letter, k = (next(filter(None, match.group(*names))) for names in (("n", "n2"), ("c", "c2"), ("k", "k2")))
    return rf"\binom{{{n}}}{{{k}}}" if letter == "C" else rf"\frac{{{n}!}}{{({n}-{k})!}}"


def _interval(match: re.Match[str]) -> str:
    """]1, 2[ as (1, 2)."""
    opening, inside, closing = match.groups()
    if (opening, closing) == ("[", "]"):
        return match.group()
    return ("(" if opening == "]" else "[") + inside + (")" if closing == "[" else "]")


def _grouped(match: re.Match[str]) -> str:
    """Groups of three digits with a LaTeX space behind each comma as one number.

    Behind a space that is more than none (`1,\\ 234`) the groups may be a list as well: marked by `SPACED_COMMA`.
    """
    written = match.group()
    mark = SPACED_COMMA if re.search(r"\\[,;: ]|~|\\thinspace", written) else "{,}"
    return re.sub(r"[^\d]+", mark, written)


def plain(text: str) -> str:
    """A normalised text as words for comparing texts: lower case, without markup, punctuation and articles."""
    text = re.sub(rf"[{OPEN_TEXT}{CLOSE_TEXT}{{}}$\"`*_\\]", " ", text).casefold()
    text = re.sub(r"(?<![.!?;:,])[.!?;:,]+(?=\s|$)", " ", text)
    text = re.sub(r"(?<![\w'])(?:the|a|an)(?=\s)", " ", text) if len(text.split()) > 1 else text
    return " ".join(text.replace("'", "").split())


def unmarked(text: str) -> str:
    """A normalised text without the marks around words, upper and lower case kept."""
    return " ".join(text.replace(OPEN_TEXT, " ").replace(CLOSE_TEXT, " ").split())


def _unicode(text: str) -> str:
    """ASCII and LaTeX for what has an exact counterpart there."""
    if text.isascii():
        return text
    text = re.sub("[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅐⅛⅜⅝⅞⅑⅒]", _vulgar_fraction, text)
    text = _SUPERSCRIPT_RUN.sub(lambda match: "^{" + match.group().translate(_SUPERSCRIPTS) + "}", text)
    text = _SUBSCRIPT_RUN.sub(lambda match: "_{" + match.group().translate(_SUBSCRIPTS) + "}", text)
    text = _UNICODE_ROOT.sub(_root, text)
    text = text.translate(_TABLE)
    text = unicodedata.normalize("NFKC", text)
    text = text.translate(_TABLE)
    return _REPEATED.sub(lambda match: r"\overline{" + match.group().replace("\u0305", "") + "}", text)


def _vulgar_fraction(match: re.Match[str]) -> str:
    numerator, _, denominator = unicodedata.normalize("NFKC", match.group()).partition("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"


def _root(match: re.Match[str]) -> str:
    radicand = f"{{{match.group(3)}}}" if match.group(3) else ""
    return f"{match.group(1)}\\sqrt{_ROOT_INDEX[match.group(2)]}{radicand}"


_ROOT_INDEX = {"√": "", "∛": "[3]", "∜": "[4]"}


def _unwrapped(text: str) -> str:
    """`text` without what encloses all of it: quotes, markdown, `\\boxed{}`, final punctuation."""
    for _ in range(12):
        before = text
        text = text.strip()
        text = re.sub(r"(?:\\\\|\\newline)\s*$", "", text)
        if len(text) > 1 and text[-1] in ".,;" and not text.endswith("..") and text[-2] != "\\":
            text = text[:-1]
        elif re.search(r"[^\\]\.\$+$", text):
            text = re.sub(r"\.(\$+)$", r"\1", text)
        if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" and text.count(text[0]) == 2:
            text = text[1:-1]
        text = re.sub(r"^#{1,6}\s+(?=\S)", "", text)
        starred = _WRAPPED_IN_STARS.fullmatch(text)
        if starred:
            text = starred.group("inner")
        text = _without_outer_command(text)
        text = _ANNOUNCED.sub("", text)
        if text == before:
            break
    return text


_ANNOUNCED = re.compile(
    r"^(?:#+\s*|\*\*)?(?:the\s+)?(?:final\s+|correct\s+)?(?:answer|ans|result)\s*(?:\*\*)?\s*(?:is\s*)?[:=]\s*(?:\*\*)?(?=\s*\S)",
    re.IGNORECASE,
)
"""What announces an answer: "Final answer:"."""


def _without_outer_command(text: str) -> str:
    """The content of a `\\boxed{}` or `\\fbox{}` that is all of `text`."""
    match = re.match(r"\\f?box(?:ed)?\s*\{", text)
    if match:
        end = balanced_end(text, match.end() - 1)
        if end == len(text):
            return text[match.end() : -1]
    return text


def balanced_end(text: str, start: int) -> int:
    """Index behind the brace that closes the one at `start`; -1 where it is never closed."""
    depth, i = 0, start
    while i < len(text):
        if text[i] == "\\":
            i += 2
            continue
        if text[i] == "{":
            depth += 1
        elif text[i] == "}":
            depth -= 1
            if depth == 0:
                return i + 1
        i += 1
    return -1


def _dollars(text: str) -> str:
    """Dollar signs around formulas removed; a single one is money."""
    bare = re.findall(r"(?<!\\)\$", text)
    if not bare:
        return text
    if len(bare) == 1 and re.search(r"\$\s*-?[\d.]", text):
        return re.sub(r"(?<!\\)\$", r"\\$", text)
    return re.sub(r"(?<!\\)\$", " ", text)


def _marked_text(text: str) -> str:
    """Text commands replaced by their content, its words marked."""
    pieces: list[str] = []
    position = 0
    for _ in range(500):
        match = _TEXT_COMMAND.search(text, position)
        if not match:
            break
        end = balanced_end(text, match.end() - 1)
        if end < 0:
            pieces.append(text[position : match.start()] + " ")
            position = match.end()
            continue
        pieces.append(text[position : match.start()])
        pieces.append(_marked_words(text[match.end() : end - 1], text[end : end + 8].lstrip()))
        position = end
    return "".join(pieces) + text[position:]


def _marked_words(content: str, following: str) -> str:
    """The content of a text command: words marked, numbers and formulas as they are.

    A function's name is one where its argument may follow; `\\mathrm{~min}` at the end is a unit.
    """
    words = content.split()
    if len(words) == 1 and words[0] in _FUNCTION_WORDS and following[:1] not in {"", ".", ",", "/", "$", ";"}:
        return f"\\{words[0]} "
    if content.strip() in {"i", "e", "d", "I"}:
        return content
    marked = re.sub(
        r"(?<![\\\w])[A-Za-z][A-Za-z'’.-]*(?<![.\-'])", lambda word: OPEN_TEXT + word.group() + CLOSE_TEXT, content
    )
    return " " + re.sub(CLOSE_TEXT + r"[.](?!\w)", CLOSE_TEXT, marked) + " "


def _braced_arguments(text: str) -> str:
    """`\\frac12`, `\\sqrt2`, `\\binom n2` with their arguments in braces."""
    if "\\frac" not in text and "\\sqrt" not in text and "\\binom" not in text:
        return text
    pieces: list[str] = []
    position = 0
    for match in re.finditer(r"\\(frac|sqrt|binom)(?![a-zA-Z])", text):
        if match.start() < position:
            continue
        pieces.append(text[position : match.end()])
        position = match.end()
        if match.group(1) == "sqrt":
            radicand = re.match(r"\s*(\d+(?:\.\d+)?|[A-Za-z])", text[position:])
            if radicand:
                pieces.append(f"{{{radicand.group(1)}}}")
                position += radicand.end()
            continue
        for _ in range(2):
            argument = re.match(r"\s*(\d|[A-Za-z]|\\pi(?![a-zA-Z]))", text[position:])
            if argument:
                pieces.append(f"{{{argument.group(1)}}}")
                position += argument.end()
                continue
            opening = re.match(r"\s*\{", text[position:])
            if not opening:
                break
            end = balanced_end(text, position + opening.end() - 1)
            if end < 0:
                break
            content_start = position + opening.end()
            pieces.append("{" + _braced_arguments(text[content_start : end - 1]) + "}")
            position = end
    return "".join(pieces) + text[position:]
