"""The answer in a text: the last `\\boxed{}`, or what plain text states as its answer."""

from __future__ import annotations

import re

from rstar_math.steps import last_boxed

_STATED = re.compile(r"(?:final\s+answer|answer|result)\s*(?:is|are|was|=|:)\s*:?\s*(?P<answer>[^\n]+)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?%?")
_BARE_BOXED = re.compile(r"\\boxed\s+([^\s{}$]+?)(?=[\s$.,]|$)")
_FORMULA = re.compile(
    r"\\\[(.*?)\\\]|\$\$(.*?)\$\$|\\\((.*?)\\\)|(?<![\\$\d])\$(?![$\d,.]+\s)([^$\n]+)\$"
    r"|(\\begin\{(?:align|equation|gather|aligned)\*?\}.*?\\end\{(?:align|equation|gather|aligned)\*?\})",
    re.DOTALL,
)
"""A formula in the text or on lines of its own; a lone dollar sign before a number is money."""

_MAX_CHARS = 100_000


def extract_answer(text: str) -> str | None:
    """The answer that `text` gives, or None where it gives none.

    The last complete `\\boxed{}` wins; then what follows `####`; then the last "the answer is ..."; then a text that
    is nothing but one short line;
    then its last formula, where no number follows it; then its last number.
    Of a very long text the last 100,000 characters are read.
    """
    text = text[-_MAX_CHARS:]
    boxed = last_boxed(text.replace(r"\fbox", r"\boxed"))
    if boxed is not None:
        return boxed or None
    bare: list[str] = _BARE_BOXED.findall(text)
    if bare:
        return bare[-1]
    if "####" in text:
        return text.rsplit("####", 1)[1].strip().split("\n", 1)[0].strip() or None
    stated = list(_STATED.finditer(text))
    if stated:
        formula = _FORMULA.match(text, stated[-1].start("answer"))
        is_display = formula is not None and formula.group().startswith(("\\[", "$$", "\\begin"))
        return (_content(formula) if formula and is_display else None) or _sentence(stated[-1].group("answer"))
    stripped = text.strip()
    if stripped and "\n" not in stripped and len(stripped.split()) <= 3:
        return stripped
    formulas = list(_FORMULA.finditer(text))
    if formulas and not re.search(r"\d", text[formulas[-1].end() :]):
        return _content(formulas[-1])
    numbers = _NUMBER.findall(text)
    return numbers[-1].lstrip("$").rstrip(",") if numbers else None


def _content(formula: re.Match[str]) -> str | None:
    """A formula without its delimiters and the stop of its sentence."""
    inside = next((group for group in formula.groups() if group is not None), "")
    return inside.strip().removesuffix("\\\\").strip().rstrip(".,;").strip() or None


def _sentence(text: str) -> str | None:
    """The stated answer without the end of its sentence."""
    text = re.split(r"(?<=[^\d\s])\.\s|(?<=\d)\.(?=\s|$)", text.strip(), maxsplit=1)[0]
    return text.strip().removesuffix(".").strip() or None
