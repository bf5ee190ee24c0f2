"""Damage that answers suffer on their way, mended before anything is read.

Escapes that JSON ate, digits and brackets of other scripts, tags, and the environments around whole answers.
"""

from __future__ import annotations

import re
import unicodedata

_EATEN = {
    "\a": "alpha approx angle ast arcsin arccos arctan aleph arccot",
    "\b": "binom begin beta bar boxed bmod big bigl bigr bigg Big bigcup bigcap bf bullet boldsymbol bot backslash",
    "\t": "text times tan theta tfrac tau triangle to tanh textbf textit textrm top tilde therefore tbinom",
    "\n": "neq nu notin nabla neg nmid nleq ngeq",
    "\v": "vec varphi varepsilon vartheta varnothing vert vee vdots varrho vmatrix",
    "\f": "frac forall fbox flat footnotesize",
    "\r": "right rho rangle rfloor rceil rm rightarrow rbrace rvert rbrack rVert",
}
_LETTERS = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r"}
_EATEN_COMMANDS = {letter: frozenset(words.split()) for letter, words in _EATEN.items()}
_CONTROL = re.compile(r"([\a\b\t\n\v\f\r])([a-zA-Z]+)")
_LOST = re.compile(
    r"(?<![\\a-zA-Z])(?:[dt]?f?rac(?=\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}\s*\{)|(?:t?ext|b?oxed|f?box)(?=\{))"
)
_TAG = re.compile(r"</?(?:[a-z][a-z_]{2,}|b|i|em|p|br|s|hr)\s*/?>", re.IGNORECASE)
_END_TOKEN = re.compile(r"<\|[a-z_]+\|>")
_BRACKETS = str.maketrans(
    {
        "【": "(", "】": ")", "〔": "(", "〕": ")", "〈": "(", "〉": ")", "⟮": "(", "⟯": ")", "❨": "(", "❩": ")",
        "［": "[", "］": "]", "｛": r"\{", "｝": r"\}", "〖": "(", "〗": ")",
        "。": ".", "、": ", ", "，": ", ", "；": "; ", "：": ": ", "．": ".", "｡": ".", "､": ", ", "٪": "%", "％": "%",
        "٫": ".", "٬": ",", "،": ", ", "؛": "; ", "＝": "=", "＜": "<", "＞": ">", "～": "~", "｜": "|", "＾": "^",
        "«": '"', "»": '"', "„": '"', "「": '"', "」": '"',
    }
)  # fmt: skip
_WHOLE_ENVIRONMENT = re.compile(
    r"\s*\\begin\{(align|aligned|gather|gathered|equation|split|multline|eqnarray|displaymath|math|center|flalign)"
    r"(\*?)\}(?:\[[a-z]\])?(?P<content>.*)\\end\{\1\2\}\s*[.,]?\s*",
    re.DOTALL,
)
_OPEN_SYSTEM = re.compile(
    r"\\left\s*\\(?:\{|lbrace)\s*\\begin\s*\{(array|aligned|align|matrix|gathered|split)\}\s*(?:\{[^{}]*\})?"
    r"(?P<content>.*?)\\end\s*\{\1\}\s*\\right\s*\.",
    re.DOTALL,
)


def repaired(text: str) -> str:
    """`text` with what was damaged restored; anything else is left as it is."""
    if "\r" in text and "langle" not in text:
        text = text.replace("\rangle", "\x00angle")  # half a pair of brackets: left unreadable
    text = _CONTROL.sub(_restored, text)
    text = _LOST.sub(lambda match: "\\" + _whole_command(match.group()), text)
    if "<" in text:
        text = _END_TOKEN.sub("", _TAG.sub("", text))
    if not text.isascii():
        text = _plain_characters(text)
    if "\\begin" in text:
        text = _OPEN_SYSTEM.sub(lambda match: r"\begin{cases}" + match.group("content") + r"\end{cases}", text)
        text = without_environment(text)
    return text


def without_environment(text: str) -> str:
    """The content of an `align` or the like that is all of `text`: lines that go on with "=" joined to one chain."""
    match = _WHOLE_ENVIRONMENT.fullmatch(text)
    if not match or "\\begin" in match.group("content"):
        return text
    lines = [line.replace("&", " ").strip() for line in re.split(r"\\\\(?:\[[^\]]*\])?", match.group("content"))]
    joined = ""
    for line in lines:
        if not line:
            continue
        goes_on = not joined or re.match(r"=|\\approx|\\equiv|[<>]|\\[lg]e", line)
        joined += (" " if goes_on else r", ") + line
    return joined.strip()


def _restored(match: re.Match[str]) -> str:
    eaten, rest = match.groups()
    return "\\" + _LETTERS[eaten] + rest if _LETTERS[eaten] + rest in _EATEN_COMMANDS[eaten] else match.group()


def _whole_command(cut: str) -> str:
    for name in ("dfrac", "tfrac", "frac", "text", "boxed", "fbox"):
        if name.endswith(cut):
            return name if name != "dfrac" or cut == "dfrac" else "frac"
    return cut


def _plain_characters(text: str) -> str:
    """Digits of other scripts as 0 to 9, brackets and stops as in ASCII, symbols that only decorate left out."""
    text = text.translate(_BRACKETS)
    characters = []
    for character in text:
        if character.isdecimal() and not character.isascii():
            characters.append(str(unicodedata.decimal(character)))
        elif unicodedata.category(character) == "So" and character not in "°℃℉△□◯":
            characters.append(" ")
        else:
            characters.append(character)
    return "".join(characters)
