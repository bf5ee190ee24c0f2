"""The pages over HTTP: answers, errors, and who may ask. No browser; what is in the pages stands in `test_pages`."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("fastapi")

from rstar_math.config import ExecutionSettings
from rstar_math.execution.base import Executor
from rstar_math.execution.fake import FakeExecutor
from rstar_math.serve.settings import ServeSettings
from rstar_math.store.records import write_pairs
from rstar_math.store.round import Round
from rstar_math.types import PreferencePair
from rstar_math.view.again import Again
from rstar_math.view.app import POLICY, view_app
from rstar_math.view.files import static_files
from rstar_math.view.library import Library
from tests.view.made import problems, small_tree, write_trees

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("viewed") / "run"
    first, second, third = problems(3)
    write_trees(Round(folder, 1).trees, [small_tree(first, 1000), small_tree(second, 1000, ("41",))])
    trees = [small_tree(first, 2000, ("41",)), small_tree(second, 2000), small_tree(third, 2000)]
    write_trees(Round(folder, 2).trees, trees)
    tree = trees[1]
    good, bad = tree.nodes[3], tree.nodes[4]
    assert good.step is not None
    assert bad.step is not None
    write_pairs(
        Round(folder, 2).pairs,
        [
            PreferencePair(
                second.id, "prefix", good.step.text, bad.step.text, 1.0, -1.0, 1.0, "step", tree.id, 1, 1, 1
            ),
            PreferencePair(
                *(second.id, "", "".join(s.text + s.observation for s in tree.steps(good)), "gone", 1.0, -1.0, 1.0),
                *("answer", tree.id, 0, 1, 1),
            ),
        ],
    )
    (folder / "recipe.yaml").write_text("name: made\n")
    return folder


def fake_executor(settings: ExecutionSettings, num_slots: int | None = None) -> Executor:
    assert settings.isolation == "sandbox"
    return FakeExecutor()


@pytest.fixture
async def client(run: Path, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app, _ = view_app(Library([run], tmp_path), ServeSettings(), Again(fake_executor))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as opened:
        yield opened


async def ask(client: httpx.AsyncClient, name: str, status: int = 200, **words: object) -> dict[str, Any]:
    reply = await client.get(f"/view/api/{name}", params={k: str(v) for k, v in words.items()})
    assert reply.status_code == status, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_from_places_to_a_node(client: httpx.AsyncClient) -> None:
    (place,) = (await ask(client, "places"))["places"]
    assert place["trees"] == ["run/round-1/trees", "run/round-2/trees"]
    told = await ask(client, "run", place="run")
    assert [(s["num_problems"], s["num_solved"]) for s in told["sets"]] == [(2, 1), (3, 2)]
    found = await ask(client, "problems", set="run/round-2/trees", solved="yes", sort="problem", descending=1)
    assert [row["problem"] for row in found["rows"]] == ["p-002", "p-001"]
    trees = await ask(client, "trees", set="run/round-2/trees", problem="p-001")
    assert trees["elsewhere"] == {"run/round-1/trees": ["p-001@1000"]}
    tree = await ask(client, "tree", set="run/round-2/trees", tree=trees["trees"][0]["tree"])
    assert (tree["num_nodes"], tree["rollouts"], tree["labels"][0]) == (6, [3, 4, 5], "")
    node = await ask(client, "node", set="run/round-2/trees", tree="p-001@2000", node=3)
    assert [s["index"] for s in node["steps"]] == [1, 3]
    assert node["steps"][0]["execution"]["output"] == "42\n"


async def test_from_a_pair_to_both_its_nodes(client: httpx.AsyncClient) -> None:
    listed = await ask(client, "pairs", set="run/round-2/trees")
    assert [row["number"] for row in listed["rows"]] == [0, 1]
    pair = await ask(client, "pair", set="run/round-2/trees", number=0)
    assert pair["sides"] == {"chosen": {"tree": "p-001@2000", "node": 3}, "rejected": {"tree": "p-001@2000", "node": 4}}
    whole = await ask(client, "pair", set="run/round-2/trees", number=1)
    assert (whole["sides"]["chosen"]["node"], whole["sides"]["rejected"]["node"]) == (3, None)
    assert (await ask(client, "pairs", set="run/round-2/trees", problem="p-000"))["num_found"] == 0


async def test_two_searches_compared(client: httpx.AsyncClient) -> None:
    found = await ask(client, "compare", a="run/round-1/trees", b="run/round-2/trees")
    assert found["counts"] == {"a": 1, "b": 1, "both": 0, "neither": 0}
    assert found["difference"]["value"] == 0
    assert found["difference"]["low"] < 0 < found["difference"]["high"]
    only_a = await ask(client, "compare", a="run/round-1/trees", b="run/round-2/trees", kind="a")
    assert [row["problem"] for row in only_a["rows"]] == ["p-000"]


async def again(client: httpx.AsyncClient, asked: object, status: int = 200, **headers: str) -> dict[str, Any]:
    reply = await client.post("/view/api/again", json=asked, headers=headers)
    assert reply.status_code == status, reply.text
    value: dict[str, Any] = reply.json()
    return value


async def test_a_step_runs_again_edited_or_not(client: httpx.AsyncClient) -> None:
    node = {"set": "run/round-1/trees", "tree": "p-000@1000", "node": 1}
    (step,) = (await again(client, node))["steps"]
    assert (step["index"], step["status"], step["output"], step["before"]["output"]) == (1, "ok", "", "42\n")
    (step,) = (await again(client, node | {"code": "x = 5\nprint(x * 2)"}))["steps"]
    assert (step["output"], step["code"]) == ("10\n", "x = 5\nprint(x * 2)")
    (step,) = (await again(client, node | {"code": "print(nothing)"}))["steps"]
    assert (step["status"], step["error"]) == ("error", "NameError: name 'nothing' is not defined")
    assert [s["index"] for s in (await again(client, node | {"node": 3}))["steps"]] == [1]
    assert (await again(client, node | {"node": 0}))["steps"] == []


@pytest.mark.parametrize(
    "asked",
    [[], {}, {"set": 1, "tree": "x", "node": 1}, {"set": "a", "tree": "b", "node": True}, "x"],
)
async def test_what_cannot_run_again_is_refused(client: httpx.AsyncClient, asked: object) -> None:
    await again(client, asked, 400)
    await again(client, {"set": "run/round-1/trees", "tree": "p-000@1000", "node": 1, "code": "x" * 200_000}, 400)


@pytest.mark.parametrize(
    ("name", "words", "status"),
    [
        ("nothing", {}, 404),
        ("problems", {}, 400),
        ("problems", {"set": "run/../../etc"}, 404),
        ("problems", {"set": "run/round-1/trees", "sort": "haystack"}, 400),
        ("problems", {"set": "run/round-1/trees", "offset": "-1"}, 400),
        ("tree", {"set": "run/round-1/trees", "tree": "nobody@0"}, 404),
        ("node", {"set": "run/round-1/trees", "tree": "p-000@1000", "node": 99}, 404),
        ("pairs", {"set": "run/round-1/trees"}, 404),
        ("pair", {"set": "run/round-2/trees", "number": 7}, 404),
        ("rows", {"rows": "run/x"}, 404),
        ("compare", {"a": "run/round-1/trees", "b": "x"}, 404),
        ("live", {"set": "x"}, 404),
    ],
)
async def test_errors_are_told(client: httpx.AsyncClient, name: str, words: dict[str, str], status: int) -> None:
    assert (await ask(client, name, status, **words))["error"]["message"]


async def test_every_file_of_the_page_has_its_policy(client: httpx.AsyncClient) -> None:
    for name in ["", *static_files()]:
        reply = await client.get(f"/view/{name}")
        assert reply.status_code == 200
        assert reply.headers["content-security-policy"] == POLICY
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert (await client.get(f"/view/{name}", headers={"If-None-Match": reply.headers["etag"]})).status_code == 304
    for path in ("/view/nothing.js", "/view/..%2fapp.py", "/view/%2e%2e/app.py", "/nothing"):
        assert (await client.get(path)).status_code == 404


async def test_other_sites_and_other_names_are_refused(client: httpx.AsyncClient) -> None:
    node = {"set": "run/round-1/trees", "tree": "p-000@1000", "node": 1}
    await again(client, node, 403, Origin="https://evil.example")
    await again(client, node, 403, Host="evil.example")
    reply = await client.post("/view/api/again", content='{"set": "x"}', headers={"Content-Type": "text/plain"})
    assert reply.status_code == 415


async def test_with_a_key_the_page_opens_and_asks_for_it(run: Path, tmp_path: Path) -> None:
    app, _ = view_app(Library([run], tmp_path), ServeSettings(keys=("k" * 20,)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/view/")).status_code == 200
        assert (await client.get("/view/main.js")).status_code == 200
        await ask(client, "places", 401)
        client.headers["Authorization"] = "Bearer " + "k" * 20
        await ask(client, "places")


def test_the_page_is_small_and_has_no_script_in_its_markup() -> None:
    files = static_files()
    assert sum(map(len, files.values())) < 500_000
    page = files["index.html"].decode()
    assert page.count("<script") == 1
    assert not re.search(r"\son\w+\s*=|<style|javascript:", page)
    for name, content in files.items():
        text = content.decode()
        if name.endswith(".js"):
            forbidden: Sequence[str] = (
                "innerHTML",
                "outerHTML",
                "insertAdjacent",
                "document.write",
                "eval(",
                "new Function",
            )
            assert not [word for word in forbidden if word in text], name
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), name


async def test_rstar_serve_has_the_same_pages_beside_its_own_paths(run: Path, tmp_path: Path) -> None:
    from rstar_math.serve.app import Server

    server = Server({}, ServeSettings(keys=("k" * 20,)), Library([run], tmp_path))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(server.app), base_url="http://127.0.0.1") as client:
        assert (await client.get("/view/")).headers["content-security-policy"] == POLICY
        await ask(client, "places", 401)
        client.headers["Authorization"] = "Bearer " + "k" * 20
        assert (await ask(client, "places"))["places"][0]["name"] == "run"
        assert (await client.get("/v1/models")).json() == {"object": "list", "data": []}
