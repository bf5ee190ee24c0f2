"""Methods: read from files with clear errors, and made ready for a model that brings its own settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest

from rstar_math.config import AnsweringSettings, BudgetSettings, MethodSettings, SearchSettings, SelectorName
from rstar_math.errors import ConfigError, ModelError
from rstar_math.evaluation.methods import (
    Method,
    available,
    named_reward_models,
    prepare,
    read_methods,
    same_searches,
    shipped_methods,
)
from rstar_math.models import ModelFolders, find_model
from rstar_math.search.choice import is_sure
from rstar_math.search.strategies import STRATEGIES
from rstar_math.types import Solution
from tests.growing import grow_fake


def reward_model(folder: Path) -> Path:
    """A folder that counts as a reward model's as long as nobody loads it."""
    folder.mkdir(parents=True)
    (folder / "ppm.json").write_text("{}")
    return folder


@pytest.fixture
def model(tmp_path: Path) -> ModelFolders:
    own = AnsweringSettings(search=SearchSettings(num_candidates=6, terminal_value="ppm"), selector="vote")
    (tmp_path / "round-1" / "policy").mkdir(parents=True)
    return ModelFolders("run", tmp_path / "round-1" / "policy", reward_model(tmp_path / "round-1" / "ppm"), own, 0.5)


def write(tmp_path: Path, text: str) -> str:
    path = tmp_path / "methods.yaml"
    path.write_text(text)
    return str(path)


def test_a_method_takes_from_the_model_what_it_does_not_name(model: ModelFolders) -> None:
    method = MethodSettings(name="m", strategy="sample", answering={"selector": "best", "search": {"temperature": 0.5}})
    ready = prepare(method, model, BudgetSettings(tokens=100))
    assert (ready.settings.selector, ready.settings.search.temperature) == ("best", 0.5)
    assert ready.settings.search.num_candidates == 6
    assert ready.settings.budget == BudgetSettings(tokens=100)
    assert (ready.reward_model, ready.reward_model_folder) == ("ppm", model.reward_model)


def test_only_the_models_own_way_keeps_its_threshold(model: ModelFolders) -> None:
    solution = Solution(answer="7", reasoning_trace=(), trajectory=None, confidence=0.9, outside=False)

    def sure(ready: Method, threshold: float | None = 0.9) -> bool | None:
        return is_sure(solution, ready.settings, model.answering, threshold)

    own = MethodSettings(name="mcts", strategy="mcts")
    assert sure(prepare(own, model)) is True
    assert sure(prepare(own, model), 0.91) is False
    assert sure(prepare(own, model), None) is None
    assert sure(prepare(own, model, BudgetSettings(rollouts=3))) is None
    assert sure(prepare(own.model_copy(update={"answering": {"num_trees": 2}}), model)) is None
    assert sure(prepare(MethodSettings(name="forest", strategy="forest"), model)) is None


def test_a_question_from_outside_is_never_sure(model: ModelFolders) -> None:
    own = prepare(MethodSettings(name="mcts", strategy="mcts"), model).settings

    def sure(outside: bool | None, threshold: float | None = 0.5) -> bool | None:
        solution = Solution(answer="7", reasoning_trace=(), trajectory=None, confidence=1.0, outside=outside)
        return is_sure(solution, own, model.answering, threshold)

    assert (sure(False), sure(True), sure(True, None)) == (True, False, False)
    assert sure(None) is None  # nobody measured which questions are familiar: nothing is claimed


def test_a_strategy_is_named_once(model: ModelFolders) -> None:
    with pytest.raises(ConfigError, match="name the strategy beside `answering`, not in it"):
        prepare(MethodSettings(name="m", answering={"strategy": "sample"}), model)
    with pytest.raises(ConfigError, match="the changes make its strategy 'beam'"):
        prepare(MethodSettings(name="m"), model, adjust=lambda s: s.model_copy(update={"strategy": "beam"}))


def test_reward_models_are_found_by_name_beside_the_model_and_as_folders(model: ModelFolders, tmp_path: Path) -> None:
    method = MethodSettings(name="m", strategy="sample", reward_model="orm")
    with pytest.raises(ModelError, match="--reward-model orm=FOLDER"):
        prepare(method, model)
    beside = reward_model(tmp_path / "round-1" / "orm")
    assert prepare(method, model).reward_model_folder == beside
    named = named_reward_models([f"orm={reward_model(tmp_path / 'elsewhere')}"])
    ready = prepare(method, model, reward_models=named)
    assert (ready.reward_model, ready.reward_model_folder) == ("orm", tmp_path / "elsewhere")
    folder = prepare(method.model_copy(update={"reward_model": str(tmp_path / "elsewhere")}), model)
    assert (folder.reward_model, folder.reward_model_folder) == ("elsewhere", tmp_path / "elsewhere")


def test_without_a_reward_model_nothing_is_chosen_by_scores(model: ModelFolders) -> None:
    method = MethodSettings(name="m", strategy="sample", reward_model="none")
    with pytest.raises(ConfigError, match="method 'm' chooses by 'vote' of scores"):
        prepare(method, model)
    by_majority = prepare(method.model_copy(update={"answering": {"selector": "majority"}}), model)
    assert (by_majority.reward_model, by_majority.reward_model_folder) == ("none", None)
    assert not by_majority.settings.search.use_ppm
    prepare(method.model_copy(update={"answering": {"weight": "logprob"}}), model)


def test_a_model_without_ppm_cannot_be_searched_with_one(model: ModelFolders) -> None:
    bare = ModelFolders("bare", model.policy, None, model.answering)
    with pytest.raises(ModelError, match="bare has none"):
        prepare(MethodSettings(name="m", strategy="mcts"), bare)
    assert prepare(MethodSettings(name="m", strategy="greedy"), bare).reward_model == "none"


@pytest.mark.parametrize("strategy", ["beam", "mcts", "ab_mcts", "forest"])
def test_a_tree_needs_a_reward_model_also_where_only_its_answers_do(model: ModelFolders, strategy: str) -> None:
    bare = ModelFolders("bare", model.policy)  # its settings: no PPM on the way, but answers are worth their score
    with pytest.raises(ModelError, match="bare has none; name one by `reward_model`, or take the strategy sample"):
        prepare(MethodSettings(name="m", strategy=strategy), bare)
    without = MethodSettings(name="m", strategy=strategy, reward_model="none", answering={"selector": "majority"})
    with pytest.raises(ModelError, match="its reward model is none"):
        prepare(without, model)
    assert prepare(MethodSettings(name="m", strategy="sample"), bare).reward_model_folder is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- {name: a, stratgy: mcts}", r"methods\[0\].stratgy is not a known key; did you mean 'strategy'"),
        ("- {name: a, answering: {serch: {}}}", "serch is not a known key; did you mean 'search'"),
        (
            "- {name: a, answering: {search: {num_rolouts: 2}}}",
            "a: answering: search.num_rolouts is not a known key; did you mean 'num_rollouts'",
        ),
        ("- {name: a, answering: {search: {temperature: -1}}}", "search.temperature is -1"),
        ("- {name: a}\n- {name: a}", "two methods are called 'a'"),
        ("- {name: a, strategy: mtcs}", "strategy 'mtcs' is not known"),
        ("{baseline: b, methods: [{name: a}]}", "baseline is 'b', which is none of the methods: a"),
        ("hello", "must be a list of methods"),
        ("methods: [", "cannot be read"),
        ("methods: []", "methods is"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as caught:
        read_methods(path)
    assert message.startswith("strategy") or path in str(caught.value)


def test_the_methods_in_the_docs_are_read(tmp_path: Path) -> None:
    usage = (Path(__file__).parents[2] / "docs" / "usage.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```yaml\n(baseline:.*?)```", usage, flags=re.DOTALL)
    file = read_methods(write(tmp_path, text))
    assert (file.baseline, len(file.methods)) == ("MCTS", 3)


def test_an_unknown_file_and_a_bad_reward_model_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nor one of .*pocket"):
        read_methods("poket")
    with pytest.raises(ConfigError, match="NAME=FOLDER"):
        named_reward_models(["orm"])
    with pytest.raises(ModelError, match="holds no reward model"):
        named_reward_models([f"orm={tmp_path}"])


def shipped(name: str, tmp_path: Path) -> dict[str, Method]:
    """The methods of a file inside the package, made ready for the shipped model."""
    reward_models = {"orm": reward_model(tmp_path / "orm"), "pqm": reward_model(tmp_path / "pqm")}
    budget = BudgetSettings(tokens=300)
    return {m.name: prepare(m, find_model("pocket"), budget, reward_models) for m in read_methods(name).methods}


@pytest.mark.parametrize("name", shipped_methods())
def test_the_shipped_methods_fit_the_shipped_model(name: str, tmp_path: Path) -> None:
    assert len({method.settings.search.temperature for method in shipped(name, tmp_path).values()}) == 1


@pytest.mark.parametrize(("name", "method"), [("pocket", "MCTS, PPM"), ("search", "MCTS, best")])
def test_the_papers_tree_is_among_them(name: str, method: str, tmp_path: Path) -> None:
    paper = shipped(name, tmp_path)[method].settings
    assert (paper.search.exploration, paper.search.prior_weight, paper.selector, paper.aggregate) == (
        *(2.0, 0.0, "best"),
        "last",
    )


def test_the_shipped_methods_have_every_strategy_and_kind_of_reward_model_and_choice() -> None:
    methods = [method for name in shipped_methods() for method in read_methods(name).methods]
    assert {m.strategy for m in methods} == set(STRATEGIES)
    assert {m.reward_model for m in methods} == {"none", None, "orm", "pqm"}
    assert {m.answering.get("selector") for m in methods} - {None} == set(get_args(SelectorName))


def test_parts_of_a_tree_search_are_taken_away_one_at_a_time(tmp_path: Path) -> None:
    """Each method differs from the first in what its name says, and the trees are large enough for a bonus of UCT."""
    ready = shipped("uct", tmp_path)
    first, *others = ready.values()
    whole = first.settings.model_dump()
    assert first.settings.search.num_rollouts == 16
    changed = {
        method.name: {f"search.{key}" for key in whole["search"] if whole["search"][key] != said["search"][key]}
        | {key for key in whole if key != "search" and whole[key] != said[key]}
        for method in others
        for said in [method.settings.model_dump()]
    }
    descents = {"num_trees", "search.num_rollouts"}
    assert changed == {
        "no bonus, c = 0": {"search.exploration"},
        "UCT, c = 2": {"search.exploration"},
        "no first value": {"search.use_ppm"},
        "no prior": {"search.prior_weight"},
        "terminal nodes revisited": {"search.terminal_nodes"},
        "UCT, c = 2, no prior, best last score": {
            *("selector", "aggregate", "search.exploration", "search.prior_weight"),
        },
        "2 trees, UCT, c = 1.4": {"num_trees"},
        "4 fresh descents": descents,
        "16 fresh descents": descents,
    }


def test_methods_without_their_reward_model_are_left_out_with_the_command_that_makes_it(
    model: ModelFolders, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text("")
    methods = read_methods("pocket").methods
    found, notes = available(methods, model, {})
    assert {m.name for m in methods} - {m.name for m in found} == {"best-of-N, ORM", "vote, ORM", "MCTS, PQM"}
    assert notes == [
        "left out, because run has no reward model 'orm': best-of-N, ORM; vote, ORM. "
        f"`rstar train orm --run {tmp_path} --round 1` makes it",
        "left out, because run has no reward model 'pqm': MCTS, PQM. "
        f"`rstar train pqm --run {tmp_path} --round 1` makes it",
    ]
    with pytest.raises(ModelError, match=re.escape(f"`rstar train pqm --run {tmp_path} --round 1` makes it")):
        prepare(MethodSettings(name="m", reward_model="pqm"), model)
    reward_model(tmp_path / "round-1" / "pqm")
    found, notes = available(methods, model, {"orm": reward_model(tmp_path / "elsewhere")})
    assert (found, notes) == (list(methods), [])


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [("mcts", "forest", {"num_rollouts": 1}), ("beam", "diverse_beam", {"num_rollouts": 1, "beam_width": 1})],
)
def test_strategies_that_search_the_same_way_are_named(
    model: ModelFolders, first: str, second: str, changes: dict[str, Any]
) -> None:
    def ready(search: dict[str, int]) -> list[Method]:
        answering = {"search": search}
        return [
            prepare(MethodSettings(name=n, strategy=n, answering=answering), model) for n in ("greedy", first, second)
        ]

    (note,) = same_searches(ready(changes))
    assert note.startswith(f"{first} and {second} are the same search here")
    for seed in range(5):  # and so they are
        trees = [
            grow_fake(name, SearchSettings(num_candidates=4, use_ppm=True, terminal_value="ppm", **changes), seed=seed)
            for name in (first, second)
        ]
        paths = [[[step.text for step in tree.steps(tree.nodes[end])] for end in tree.rollouts] for tree in trees]
        assert paths[0] == paths[1]
        assert paths[0][0]
    assert same_searches(ready(dict.fromkeys(changes, 2))) == []


def test_files_of_methods_may_call_the_reward_model_by_its_old_name(tmp_path: Path) -> None:
    path = tmp_path / "methods.yaml"
    path.write_text("methods: [{name: a, scorer: orm}, {name: b, reward_model: orm}]")
    assert [method.reward_model for method in read_methods(str(path)).methods] == ["orm", "orm"]
    path.write_text("methods: [{name: a, scorer: orm, reward_model: orm}]")
    with pytest.raises(ConfigError, match="scorer is not a known key"):
        read_methods(str(path))
