"""Whether two answers mean the same: the rules in the order in which they are tried."""

from __future__ import annotations

import re
import time
from fractions import Fraction

from rstar_math.grading import bounds
from rstar_math.grading.bounds import TooLargeError
from rstar_math.grading.comparing.by_math_verify import compare_by_math_verify, is_formula
from rstar_math.grading.comparing.compare import compare
from rstar_math.grading.comparing.match import Match
from rstar_math.grading.policy import DEFAULT, Policy
from rstar_math.grading.reading import words
from rstar_math.grading.reading.nodes import Constant, Group, Named, Node, Number, renamed, symbols
from rstar_math.grading.reading.normalise import OPEN_TEXT, SPACED_COMMA, normalised, plain, unmarked
from rstar_math.grading.reading.opposites import contrary
from rstar_math.grading.reading.parse import parsed
from rstar_math.grading.reading.read import is_short, read, read_with_letters
from rstar_math.grading.reading.sentences import answers_in
from rstar_math.grading.reading.shorthand import written_out
from rstar_math.grading.reading.statements import dimensions, labelled, leading_truth, same_statement, squeezed
from rstar_math.grading.shortcut import shortcut
from rstar_math.types import Verdict

_DECIMAL_COMMA = re.compile(r"[^,\d()\[\]]*\d+,\d+[^,\d()\[\]]*")
_CONDITION = re.compile(
    r",\s*(?:any|every|each|all)?\s*(?:real|integers?|constants?)\b|(?:⟦|(?<!\\)\b)(?:for|where|when|if|with)(?:⟧|\b)|\\forall|,\s*\w\s*\\in\s*\\mathbb"
)
_INTEGER_CONDITION = re.compile(
    r"^[\s,]*(?:for|where|with)?\s*(?:(?:any|all|every|each|some|an?)\s+)*(?:([a-z])\s*in\s*mathbb\s*z|integers?\s+([a-z])"
    r"|([a-z])\s+is\s+(?:an?\s+|any\s+)?(?:arbitrary\s+)?integer)[\s.]*$"
)
_DECLARED = re.compile(
    r"\b([a-z])\s*\\?in\s*\\?mathbb|\b(?:integers?|reals?|numbers?|constants?)\s+([a-z])\b"
    r"|\b([a-z])\s+(?:is|are)\s+(?:an?\s+|any\s+)?(?:arbitrary\s+)?(?:integer|real|constant)"
)
_GROUPED = re.compile(r"[1-9]\d{0,2},\d{3}(?!\d)")
_MIXED = re.compile(r"(\d+)\s*⟦?and⟧?\s*(\\frac\s*\{\d+\}\s*\{\d+\}|\d+/\d+)")
_ONE_NUMBER = re.compile(r"-?[1-9]\d{0,2}(?:,\d{3})+", re.ASCII)
_THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")


def equivalent(gold: str, prediction: str | None, policy: Policy = DEFAULT) -> Verdict:
    """Decides whether `prediction` means the same as the reference `gold`, and names the rule that decided.

    The cost of what it evaluates is bounded (`bounds`), its time is not enforced: for that, ask a `GradingPool`.
    """
    started = time.thread_time()
    decided = shortcut(gold, prediction)
    if decided is not None:
        return decided
    assert prediction is not None
    bounds.begin_work()
    try:
        found = _compared(gold, prediction, policy)
    except RecursionError:
        found = Match(False, "too_deep")
    except TooLargeError:
        found = Match(False, "too_large")
    return Verdict(equal=found.equal, rule=found.rule, contested=found.contested, seconds=time.thread_time() - started)


def _compared(gold: str, prediction: str, policy: Policy) -> Match:
    """The rules from the cheapest to the dearest."""
    if words.is_failure(prediction) and not words.is_failure(gold):
        return Match(False, "failure_message")
    if max(len(gold), len(prediction)) > bounds.MAX_CHARS:
        return Match(gold.split() == prediction.split(), "long_text")
    left, right = written_out(normalised(gold)), written_out(normalised(prediction))
    if left and left == right:
        return Match(True, "same_text")
    if not right:
        return Match(False, "no_answer")
    if _has_words(left) and _has_words(right) and contrary(left, right):
        return Match(False, "contrary")
    as_whole = _compared_as_whole(left, right, policy)
    if as_whole is not None:
        return as_whole
    first, second = read(left), read(right)
    if (first is None and "mathrm" in gold) or (second is None and "mathrm" in prediction):
        first, second = first or read_with_letters(gold), second or read_with_letters(prediction)
    refused: Match | None = None
    if first is not None and second is not None:
        found = compare(first, second, policy)
        if found.equal:
            return found
        other = _other_readings(left, right, first, second, policy)
        if other is not None and (other.equal or not found.contested):
            return other
        refused = found
    sentences = _compared_sentences(left, right, first, second, policy)
    if sentences is not None:
        return sentences
    if (first is None or second is None) and is_short(left) and is_short(right):
        found_in_words = _compared_labelled(left, right, policy) or _compared_truths(left, right, policy)
        if found_in_words is not None:
            return found_in_words
    heads = _compared_without_conditions(left, right, policy)
    if heads is not None and (heads.equal or heads.contested or refused is None):
        return heads
    as_text = _compared_as_text(left, right, first, second, policy)
    if as_text.equal or as_text.contested:
        return as_text
    if refused is not None:
        return refused
    if "\\cross" not in left + right and all(
        node is not None or is_formula(text) for node, text in ((first, left), (second, right))
    ):
        return compare_by_math_verify(gold, prediction)
    return as_text


def _compared_as_whole(left: str, right: str, policy: Policy) -> Match | None:
    """Letters of choices, times and dates, which are no formulas whatever they look like."""
    letters = words.choices(left)
    if letters is not None:
        chosen = words.chosen(right)
        if chosen is not None and (len(letters) == 1) == (len(chosen) == 1):
            return Match(letters == chosen, "choice")
        if chosen is not None and len(letters) > 1:
            return Match(False, "choice")
    labelled_choice = words.labelled_choice(left)
    if labelled_choice is not None:
        letter, value = labelled_choice
        chosen = words.chosen(right)
        if chosen is not None:
            return Match(chosen == letter, "choice")
        found = _compared(value, right, policy)
        return found if found.equal else None
    first, second = words.clock(left), words.clock(right)
    if first is not None and second is not None:
        return _compared_times(first, second, policy)
    dates = words.date(left), words.date(right)
    if dates[0] is not None and dates[1] is not None:
        same = dates[0][1:] == dates[1][1:] and (None in (dates[0][0], dates[1][0]) or dates[0][0] == dates[1][0])
        return Match(same, "date")
    return None


def _compared_times(first: words.Clock, second: words.Clock, policy: Policy) -> Match:
    if first == second:
        return Match(True, "clock")
    if first.minute != second.minute or (first.second or 0) != (second.second or 0):
        return Match(False, "clock")
    hours = first.hour, second.hour
    one_is_bare = bool(first.half) != bool(second.half)
    if hours[0] != hours[1] and not (one_is_bare and hours[0] % 12 == hours[1] % 12):
        return Match(False, "clock")
    return Match(policy.missing_seconds, "missing_seconds", contested=True)


def _compared_sentences(left: str, right: str, first: Node | None, second: Node | None, policy: Policy) -> Match | None:
    """Where one answer is a sentence: what it states, against the other. Only equality is decided here."""
    inner = [
        answers_in(text, is_reference=text is left) if is_short(text) and _has_words(text) else None
        for text in (left, right)
    ]
    for gold, prediction in ((inner[0], second), (first, inner[1]), (inner[0], inner[1])):
        if gold is not None and prediction is not None:
            found = compare(gold, prediction, policy)
            if found.equal:
                return Match(True, "sentence" if not found.contested else found.rule, found.contested)
    return None


def _compared_labelled(left: str, right: str, policy: Policy) -> Match | None:
    """Values by the words before them, and sizes: only equality is decided here."""
    sizes = dimensions(left), dimensions(right)
    if sizes[0] is not None and sizes[1] is not None:
        same = [Fraction(size) for size in sizes[0][0]] == [Fraction(size) for size in sizes[1][0]]
        if same and (sizes[0][1] or sizes[1][1]):
            return Match(True, "dimensions")
    first, second = labelled(left), labelled(right)
    value = read(right) if first is not None and len(first) == 1 and not _has_words(right) else None
    if first is not None and value is not None:  # a reference with one label, and the value without it
        found_value = compare(next(iter(first.values())), value, policy)
        return Match(True, "labelled", found_value.contested) if found_value.equal else None
    if first is None or second is None or first.keys() != second.keys():
        return None
    found = [compare(first[label], second[label], policy) for label in first]
    return Match(True, "labelled", any(match.contested for match in found)) if all(m.equal for m in found) else None


def _compared_truths(left: str, right: str, policy: Policy) -> Match | None:
    """Yes or no beside a yes or no with its reason."""
    for text, other in ((left, right), (right, left)):
        truth = leading_truth(text)
        alone = words.meaning(other)
        if truth is None or alone not in {"true", "false"}:
            continue
        if text is left and re.search(r"\d", text) and not re.search(r"\b(?:because|since|as|for)\b", text):
            continue  # a reference that goes on with numbers may mean these
        return Match(policy.truth_words if words.meaning(truth) == alone else False, "truth_words", contested=True)
    return None


def _has_words(text: str) -> bool:
    return OPEN_TEXT in text or bool(re.search(r"(?<![\\a-zA-Z])[A-Za-z]{2,}[ .,;:]|\\forall", text))


def _other_readings(left: str, right: str, first: Node, second: Node, policy: Policy) -> Match | None:
    """Commas that may be decimal marks, or separate what looks like thousands."""
    for text, other, is_gold in ((left, second, True), (right, first, False)):
        if SPACED_COMMA in text and isinstance(other, Group):
            apart = parsed(text.replace(SPACED_COMMA, ", "))
        elif _THOUSANDS.search(text) and not _ONE_NUMBER.fullmatch(text) and isinstance(other, Group):
            apart = parsed(text, group_thousands=False)
        else:
            apart = None
        if apart is not None:
            found = compare(apart, other, policy) if is_gold else compare(other, apart, policy)
            if found.equal:
                return found
        if _DECIMAL_COMMA.fullmatch(text) and not _GROUPED.search(text):
            decimal = parsed(text.replace(",", "."))
            if decimal is not None and not isinstance(other, Group):
                found = compare(decimal, other, policy) if is_gold else compare(other, decimal, policy)
                if found.equal:
                    return Match(policy.decimal_comma, "decimal_comma", contested=True)
    if isinstance(first, Number) and isinstance(second, Group):
        mixed = parsed(_MIXED.sub(r"\1 + \2", right)) if _MIXED.fullmatch(right) else None
        if mixed is not None:
            found = compare(first, mixed, policy)
            if found.equal:
                return found
    return None


def _compared_without_conditions(left: str, right: str, policy: Policy) -> Match | None:
    """Formulas with words behind them that say for which values they hold; one side may leave these out."""
    if any(re.search(r"\b(?:otherwise|else)\b", text) for text in (left, right)):
        return None
    heads, conditions, letters = [], [], []
    for text in (left, right):
        match = _CONDITION.search(text)
        heads.append(text[: match.start()].rstrip(" ,") if match else text)
        conditions.append(plain(text[match.start() :]) if match else "")
        letters.append(_DECLARED.search(conditions[-1]))
    if letters[0] and letters[1]:
        old, new = (next(filter(None, match.groups())) for match in (letters[1], letters[0]))
        conditions[1] = re.sub(rf"\b{old}\b", new, conditions[1])
    else:
        old = new = ""
    conditions = [_INTEGER_CONDITION.sub(r"integer \1\2\3", condition) for condition in conditions]
    if not any(conditions) or (all(conditions) and conditions[0] != conditions[1]):
        return None
    first, second = read(heads[0]), read(heads[1])
    if first is None or second is None:
        return None
    if old != new and new not in symbols(second):
        second = renamed(second, {old: new})
    elif bool(letters[0]) != bool(letters[1]):
        declared = next(group for match in letters if match for group in match.groups() if group)
        own, other = (first, second) if letters[0] else (second, first)
        free = symbols(other) - symbols(own)
        if symbols(own) - symbols(other) == {declared} and len(free) == 1:
            other = renamed(other, {next(iter(free)): declared})
            first, second = (own, other) if letters[0] else (other, own)
    found = compare(first, second, policy)
    if not found.equal:
        return found
    if all(conditions):
        return found
    return Match(policy.omitted_condition, "omitted_condition", contested=True)


def _compared_as_text(left: str, right: str, first: Node | None, second: Node | None, policy: Policy) -> Match:
    """Words: the same but for case and punctuation, phrases of one meaning, numbers that are spelled out."""
    if (first is None or second is None) and (words.same_words(left, right) or squeezed(left) == squeezed(right)):
        return Match(True, "text")
    if first is None and second is None and is_short(left) and same_statement(left, right):
        return Match(True, "text")
    meanings = _meaning(left, first), _meaning(right, second)
    if None not in meanings:
        if meanings[0] == meanings[1] == "no solution":
            both_words = all(re.search(r"[a-z]{2}", text) and "\\" not in text for text in (left, right))
            if both_words and unmarked(left).split()[0].lower() == unmarked(right).split()[0].lower():
                return Match(True, "text")
            return Match(policy.no_solution, "no_solution", contested=True)
        if meanings[0] == meanings[1]:
            return Match(policy.truth_words, "truth_words" if meanings[0] in {"true", "false"} else "phrase", True)
        return Match(False, "text")
    for text, node in ((left, second), (right, first)):
        if node is None:
            continue
        number = words.number_in_words(text)
        spelled = words.fraction_in_words(text) if number is None else Fraction(number)
        if spelled is not None:
            found = compare(Number(spelled), node, policy)
            return Match(policy.number_words, "number_words", True) if found.equal else Match(False, "number_words")
    return Match(False, "text" if first is None or second is None else "kind")


def _meaning(text: str, node: Node | None) -> str | None:
    if node is not None:
        if isinstance(node, Named):
            return {"empty": "no solution", "reals": "all reals"}.get(node.name, node.name)
        if node == Constant("zoo"):
            return "undefined"
        if isinstance(node, Group):
            return None if node.items else "no solution"
    return words.meaning(text)
