"""A composed problem: a chain of quantities, each made by a skill from the one before and perhaps an earlier one.

What the base is made from may have a second chain beside it, which the question does not ask for.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rstar_math.pocket.composed.skills import JUDGED, PLAIN, Skill
from rstar_math.pocket.families import Line

NAMES = "bcdfghjkmnpqrstvwxyz"
"""Quantities are named by letters, in any order: nothing but the text tells which one comes next."""

SMALLEST, LARGEST = 2, 999
"""Range of every quantity."""

SMALLEST_ANSWER = 10
"""Smaller answers are hit by luck."""

SHARE_JOINED = 0.5
"""Share of the quantities after the second that use an earlier one beside the one before, where their skill can."""

QUESTIONS = ("What is {v}?", "Find {v}.")

_OUT_OF_BOUNDS = 20_000
_MOST_TRIES = 60


@dataclass(frozen=True, slots=True)
class Link:
    """One quantity of a problem.

    Attributes:
      skill: makes it.
      phrasing: index of the skill's text.
      x, y: what it is made of: the index of an earlier link, or a number as its negative minus one.
      y_used: whether there is a y.
    """

    skill: Skill
    phrasing: int
    x: int
    y: int
    y_used: bool

    def value(self, values: Sequence[int]) -> int:
        """The quantity from those of the earlier links, by the reference of its skill."""
        return self.skill.reference(_value(self.x, values), _value(self.y, values))

    def way(self, values: Sequence[int]) -> Line:
        """The way of the skill that holds."""
        return self.skill.ways[self.skill.holds(_value(self.x, values), _value(self.y, values))]


@dataclass(frozen=True, slots=True)
class Composition:
    """A problem with all that demonstrations need.

    Attributes:
      links: the quantities in order; the last is asked for.
      names: a letter for each.
      closing: index in `QUESTIONS`.
    """

    links: tuple[Link, ...]
    names: str
    closing: int

    @property
    def depth(self) -> int:
        """Steps from the numbers of the text to the quantity that is farthest from them."""
        depths: list[int] = []
        for link in self.links:
            parents = [term for term in (link.x, link.y) if term >= 0]
            depths.append(1 + max((depths[parent] for parent in parents), default=0))
        return max(depths)

    @property
    def values(self) -> list[int]:
        """Every quantity, by references alone."""
        return _values(self.links)

    @property
    def answer(self) -> int:
        """The last quantity."""
        return self.values[-1]

    @property
    def num_judged(self) -> int:
        """Steps that only running tells right from wrong."""
        return sum(link.skill.is_judged_by_running for link in self.links)

    @property
    def question(self) -> str:
        """The text."""
        sentences = [
            f"Let {name} be {link.skill.phrasings[link.phrasing].format_map(self._filling(i))}."
            for i, (name, link) in enumerate(zip(self.names, self.links, strict=True))
        ]
        return " ".join([*sentences, QUESTIONS[self.closing].format(v=self.names[-1])])

    @property
    def lines(self) -> list[Line]:
        """The right step for every quantity."""
        values = self.values
        return [link.way(values).filled(self._filling(i)) for i, link in enumerate(self.links)]

    @property
    def pairs(self) -> frozenset[tuple[str, str]]:
        """(skill, skill that uses its quantity) for every use."""
        return frozenset(
            (self.links[used].skill.name, link.skill.name)
            for link in self.links
            for used in ((link.x, link.y) if link.y_used else (link.x,))
            if used >= 0
        )

    @property
    def template(self) -> tuple[int, ...]:
        """How far back the second parent of each quantity lies, 0 where it has none: no skills, names or numbers."""
        return tuple(
            i - min(link.x, link.y) if link.y_used and min(link.x, link.y) >= 0 else 0
            for i, link in enumerate(self.links)
        )

    def counts_in_full(self) -> bool:
        """Whether leaving out any one step changes the answer."""
        answer = self.answer
        return all(self._without(i) != answer for i in range(len(self.links)))

    def _filling(self, i: int) -> dict[str, object]:
        link = self.links[i]
        return {"v": self.names[i], "x": self._word(link.x), "y": self._word(link.y)}

    def _word(self, term: int) -> str:
        return self.names[term] if term >= 0 else str(-term - 1)

    def _without(self, left_out: int) -> int | None:
        """The answer where one step passes its x on; None where a reference cannot be computed."""
        try:
            return _values(self.links, left_out)[-1]
        except (StopIteration, ValueError):
            return None


def draw(rng: random.Random, depth: int, num_judged: int) -> Composition:
    """A composition of this depth with so many steps that are judged by running; the first step never is."""
    while True:
        judged = set(rng.sample(range(1, depth), num_judged))
        links: list[Link] = []
        values: list[int] = []
        for i in range(depth):
            link = _draw_link(rng, JUDGED if i in judged else PLAIN, values)
            if link is None:
                break
            links.append(link)
            values.append(link.value(values))
        if len(links) < depth or values[-1] < SMALLEST_ANSWER:
            continue
        names = "".join(rng.sample(NAMES, depth))
        found = Composition(tuple(links), names, rng.randrange(len(QUESTIONS)))
        if found.counts_in_full():
            return found


def beside(first: Composition, second: Composition, rng: random.Random) -> Composition:
    """Both compositions in one text, which asks for the last quantity of the second."""

    def moved(term: int) -> int:
        return term if term < 0 else term + len(first.links)

    links = (*first.links, *(replace(link, x=moved(link.x), y=moved(link.y)) for link in second.links))
    return Composition(links, "".join(rng.sample(NAMES, len(links))), second.closing)


def _draw_link(rng: random.Random, skills: Sequence[Skill], values: Sequence[int]) -> Link | None:
    """A link whose quantity is in range and differs from x; None where many draws give none."""
    for _ in range(_MOST_TRIES):
        skill = rng.choice(skills)
        last = len(values) - 1
        x = last if values else _number(rng.randrange(12, 100))
        y = _number(rng.choice(skill.numbers)) if skill.numbers else x
        if skill.joins and len(values) == 1 and rng.random() < SHARE_JOINED:
            x, y = (last, y) if rng.random() < 0.5 else (_number(rng.randrange(12, 100)), last)
        elif skill.joins and len(values) > 1 and rng.random() < SHARE_JOINED:
            other = rng.randrange(last)
            x, y = (last, other) if rng.random() < 0.5 else (other, last)
        link = Link(skill, rng.randrange(len(skill.phrasings)), x, y, bool(skill.numbers))
        if _value(x, values) > skill.most or _value(y, values) < 1:
            continue
        if SMALLEST <= link.value(values) <= LARGEST and link.value(values) != _value(x, values):
            return link
    return None


def _number(n: int) -> int:
    return -n - 1


def _value(term: int, values: Sequence[int]) -> int:
    return values[term] if term >= 0 else -term - 1


def _values(links: Sequence[Link], left_out: int | None = None) -> list[int]:
    values: list[int] = []
    for i, link in enumerate(links):
        values.append(_value(link.x, values) if i == left_out else link.value(values))
        if abs(values[-1]) > _OUT_OF_BOUNDS:
            raise ValueError(f"{values[-1]} is too large to be checked")
    return values
