"""Lessons on the page: by its requests, and in a real browser; the answer is nowhere before it is asked for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")

from rstar_math.api.background import BackgroundLoop
from rstar_math.api.tutoring import AsyncTutor
from rstar_math.errors import UserError
from rstar_math.types import Problem
from rstar_math.view.learning import MAX_LESSONS, Learning
from rstar_math.view.library import NotFoundError
from tests.tutor.room import rooms_in
from tests.tutor.test_lesson import PROGRAM, SHOP
from tests.view.browser import Page, chromium, served
from tests.view.hostile import DECEIT, LONG, MARKUP, TEXTS

browser = pytest.fixture(scope="module")(chromium)


class Teacher:
    """A model that knows one question, and every other as little as it knows it."""

    def __init__(self, loop: BackgroundLoop, room: Any) -> None:
        self._loop = loop
        self._knows = room.lesson(SHOP, PROGRAM)
        self._unknown = room.lesson(SHOP, PROGRAM, outside=True, sure=False)
        self.asked: list[str] = []

    async def atutor(self, problem: Problem) -> AsyncTutor:
        self.asked.append(problem.question)
        lesson = (self._knows if problem.question == SHOP else self._unknown).again()
        lesson.question = problem.question
        return AsyncTutor(self._loop, lesson)


@pytest.fixture(scope="module")
def teacher() -> Iterator[Any]:
    loop = BackgroundLoop("test")
    for room in rooms_in(loop.call):
        yield Teacher(loop, room)
    loop.close()


def ask(learning: Learning, **what: Any) -> dict[str, Any]:
    return asyncio.run(learning.answer(json.dumps(what).encode()))


def test_a_lesson_by_requests(teacher: Any) -> None:
    learning = Learning({"one": teacher})
    begun = ask(learning, do="begin", question=SHOP)
    name, seen = begun["lesson"], [begun]
    for do in ("hint", "hint", "hint", "step", "hint", "hint", "hint", "step", "step"):
        seen.append(ask(learning, do=do, lesson=name))
    for text in ("first - second", "7 + 1", "x = first + second = 3", ""):
        seen.append(ask(learning, do="judge", lesson=name, text=text))
    assert "102" not in json.dumps(seen).replace("7 + 1", "")
    done = ask(learning, do="judge", lesson=name, text="first + second")
    assert (done["state"]["is_over"], done["state"]["answer"], done["said"][-1]["kind"]) == (True, "102", "answer")
    assert ask(learning, do="state", lesson=name)["said"] == done["said"]
    again = ask(learning, do="again", lesson=name)
    assert (again["said"], again["state"]["answer"]) == ([], None)
    assert "The answer is 102." in json.dumps(ask(learning, do="answer", lesson=name))
    other = ask(learning, do="begin", question="What is love?", model="one")
    assert "do not trust" in ask(learning, do="answer", lesson=other["lesson"])["said"][-1]["text"]


def test_bad_requests_and_lessons_that_are_gone(teacher: Any) -> None:
    learning = Learning({"one": teacher})
    for wrong in (
        b"",
        b"[]",
        b"{}",
        b'{"do": "begin"}',
        b'{"do": "begin", "question": 3}',
        b'{"do": "begin", "question": " "}',
    ):
        with pytest.raises(UserError):
            asyncio.run(learning.answer(wrong))
    with pytest.raises(UserError, match="characters"):
        ask(learning, do="begin", question="x" * 5000)
    with pytest.raises(NotFoundError, match="model"):
        ask(learning, do="begin", question=SHOP, model="two")
    with pytest.raises(NotFoundError, match="--model"):
        ask(Learning({}), do="begin", question=SHOP)
    first = ask(learning, do="begin", question=SHOP)["lesson"]
    with pytest.raises(UserError, match="do is"):
        ask(learning, do="win", lesson=first)
    for _ in range(MAX_LESSONS):
        ask(learning, do="begin", question=SHOP)
    with pytest.raises(NotFoundError, match="begin it again"):
        ask(learning, do="state", lesson=first)


@pytest.fixture
def page(browser: Any) -> Iterator[Page]:
    opened = Page(browser, viewport={"width": 1200, "height": 800})
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(teacher: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served([], tmp_path_factory.mktemp("cache"), learning=Learning({"one": teacher})) as address:
        yield address


def test_learning_in_a_browser(page: Page, url: str) -> None:
    replies: list[str] = []
    page.page.on("response", lambda reply: replies.append(reply.text()) if "/api/" in reply.url else None)
    page.open(url + "#/learn")
    page.page.fill("#question", SHOP)
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("text=0 of 3 steps")
    page.page.keyboard.press("h")
    page.page.wait_for_selector("text=a product, made from numbers of the question")
    page.page.keyboard.press("i")
    page.page.keyboard.type("12 + 4")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("text=the sum of 12 and 4")
    page.page.fill("#own", "pens = 12 * 4")
    page.page.click("#check")
    page.page.wait_for_selector("text=Right: 48.")
    assert page.page.input_value("#own") == ""
    page.page.click("h1")
    page.page.keyboard.press("s")
    page.page.wait_for_selector("text=2 of 3 steps")
    page.page.keyboard.press("s")
    page.page.wait_for_selector("text=What it gives is yours to find.")
    address = page.page.evaluate("location.href")
    page.open(address)
    page.page.wait_for_selector("text=2 of 3 steps")
    assert "102" not in page.page.content()
    assert "102" not in "".join(replies)
    page.page.keyboard.press("a")
    page.page.wait_for_selector("text=Show the answer?")
    assert "102" not in page.page.content()
    page.page.keyboard.press("a")
    page.page.wait_for_selector("text=The answer is 102.")
    page.page.keyboard.press("x")
    page.page.wait_for_selector("text=0 of 3 steps")
    page.page.fill("#own", "102")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("text=3 steps at once")


def test_hostile_questions_and_steps_run_nothing(page: Page, url: str) -> None:
    from tests.view.test_pages import assert_harmless

    page.open(url + "#/learn")
    for text in (MARKUP[1], MARKUP[2], MARKUP[20], DECEIT[0], DECEIT[2], LONG[:3000]):
        page.page.evaluate("(q) => { location.hash = `#/learn?${new URLSearchParams({ question: q })}` }", text)
        page.page.wait_for_function("() => location.hash.includes('lesson=') && document.getElementById('own')")
        assert_harmless(page)
    for number, text in enumerate(TEXTS, start=1):
        page.page.fill("#own", text[:20_000])
        page.page.click("#check")
        page.page.wait_for_function("(n) => document.querySelectorAll('.said .own').length === n", arg=number)
        assert_harmless(page)
    origin = url.removesuffix("/view/")
    assert all(asked.startswith((origin, "about:", "data:")) for asked in page.asked)


def test_a_page_where_nobody_teaches(page: Page, tmp_path: Path) -> None:
    with served([], tmp_path) as address:
        page.open(address + "#/learn")
        assert "--model pocket" in page.text("main")
        page.page.goto("about:blank")
