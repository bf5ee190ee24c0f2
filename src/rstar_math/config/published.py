"""What was published for each key of a recipe, and where: by the paper (arXiv 2501.04519), and by its authors' code.

A key without an entry is one on which the source is silent. `rstar explain` holds recipes against these tables, and the
tests hold the profiles `paper` and `official` against them. docs/paper.md tells the same by the paper's sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Published:
    """A published value.

    Attributes:
      values: one value, or one for each round; a recipe's further rounds are held against the last.
      where: section or appendix of the paper, or file of the released code.
    """

    values: tuple[object, ...]
    where: str

    def of_round(self, index: int) -> object:
        """The value for a round, counted from 0."""
        return self.values[min(index, len(self.values) - 1)]


def _one(value: object, where: str) -> Published:
    return Published((value,), where)


_SEARCH_IN_PAPER = {
    "form": _one("steps", "section 3.2"),
    "exploration": _one(2.0, "appendix A.2"),
    "max_depth": _one(16, "appendix A.2"),
    "unvisited": _one("first", "section 3.1, equation 1"),
    "failure_value": _one(-1, "section 3.1"),
    "max_consecutive_errors": _one(0, "section 3.2"),
    "prior_weight": _one(0.0, "section 3.1, equation 1"),
    "num_parallel": _one(1, "section 3.1"),
}

PAPER: Mapping[str, Published] = {
    "base_model": _one("Qwen2.5-Math-7B", "section 4.1; also Qwen2.5-Math-1.5B, Qwen2-Math-7B, Phi3-mini"),
    "rounds": _one(4, "section 3.4"),
    "rounds.policy": Published(("DeepSeek-Coder-V2-Instruct", "previous"), "section 3.4"),
    "rounds.strategy": _one("mcts", "section 3.1"),
    "rounds.search.num_rollouts": Published((8, 16), "section 3.4"),
    "rounds.search.num_candidates": Published((5, 8, 8, 16), "appendix A.2"),
    "rounds.search.use_ppm": Published((False, False, True), "section 3.4"),
    "rounds.search.terminal_value": _one("reference", "section 3.1"),
    **{f"rounds.search.{key}": value for key, value in _SEARCH_IN_PAPER.items()},
    "rounds.extra": Published(
        (
            [],
            [],
            [{"num_rollouts": 16, "num_trees": 1, "num_tokens": None}],
            [
                {"num_rollouts": 64, "num_trees": 1, "num_tokens": None},
                {"num_rollouts": 128, "num_trees": 2, "num_tokens": None},
            ],
        ),
        "section 3.4; the number of trees is silent",
    ),
    "rounds.sft.form": _one("steps", "section 3.2"),
    "rounds.sft.learning_rate": _one(7e-6, "appendix A.2; Phi3-mini: 5e-6"),
    "rounds.sft.num_epochs": _one(2, "appendix A.2"),
    "rounds.sft.num_steps": _one(None, "appendix A.2 counts epochs"),
    "rounds.sft.batch_size": _one(128, "appendix A.2"),
    "rounds.sft.max_length": _one(4096, "appendix A.2"),
    "rounds.sft.schedule": _one("linear", "appendix A.2; Phi3-mini: cosine"),
    "rounds.ppm.learning_rate": _one(7e-6, "appendix A.2"),
    "rounds.ppm.num_epochs": _one(1, "appendix A.2"),
    "rounds.ppm.num_steps": _one(None, "appendix A.2 counts epochs"),
    "rounds.ppm.batch_size": _one(512, "appendix A.2; pairs there, problems here"),
    "selection.num_trajectories": _one(2, "section 3.4"),
    "selection.values": _one("backed_up", "section 3.1"),
    "selection.num_per_side": _one(2, "section 3.3"),
    "selection.min_q_margin": _one(0.0, "section 3.3 names no filter"),
    "selection.min_edit_distance": _one(0, "section 3.3 names no filter"),
    "selection.fill_one_sided": _one(False, "section 3.3"),
    "evaluation.system.strategy": _one("mcts", "section 4.1"),
    "evaluation.system.search.num_candidates": _one(32, "section 4.1"),
    "evaluation.system.search.use_ppm": _one(True, "section 3.3"),
    "evaluation.system.search.terminal_value": _one("ppm", "section 3.3"),
    **{f"evaluation.system.search.{key}": value for key, value in _SEARCH_IN_PAPER.items()},
    "evaluation.system.selector": _one("best", "section 4.1"),
    "evaluation.system.weight": _one("score", "section 4.1"),
    "evaluation.system.aggregate": _one("last", "section 4.1"),
}
"""The paper's values by key; `rounds.` stands for every round."""

_SAMPLING = "config/*sample_mcts.yaml"
_ANSWERING = "config/sft_eval_mcts.yaml"
_PAIRS = "extra_rm_file.py"
_SFT = "README, SFT train script"
_RM = "README, RM train script"

_SEARCH_IN_CODE = {
    "form": _one("steps", "agents/mcts.py"),
    "observation": _one("official", "tools/python_tool.py"),
    "top_p": _one(1.0, "config.py"),
    "unvisited": _one("zero_bonus", "nodes/mcts_node.py"),
    "failure_value": _one(-1, "config.py"),
    "backup_dead_ends": _one(False, "agents/mcts.py"),
    "answer_siblings": _one("drop", "agents/mcts.py"),
    "terminal_nodes": _one("close", "agents/mcts.py"),
    "prior_weight": _one(0.0, "nodes/mcts_node.py"),
    "num_parallel": _one(1, "solver.py"),
}

RELEASED: Mapping[str, Published] = {
    "base_model": _one("Qwen2.5-Math-7B", _SFT),
    "rounds": _one(4, "README"),
    "rounds.policy": Published(("DeepSeek-Coder-V2-Instruct", "previous"), "README"),
    "rounds.search.num_rollouts": _one(48, f"{_SAMPLING}: iterations"),
    "rounds.search.num_candidates": _one(12, f"{_SAMPLING}: n_generate_sample"),
    "rounds.search.exploration": _one(2.0, f"{_SAMPLING}: c_puct"),
    "rounds.search.max_depth": _one(16, f"{_SAMPLING}; the code lets one step more pass"),
    "rounds.search.temperature": Published((0.7, 1.0), _SAMPLING),
    "rounds.search.max_step_tokens": _one(2048, f"{_SAMPLING}: max_tokens"),
    "rounds.search.use_ppm": Published((False, True), f"{_SAMPLING}: need_value_func"),
    "rounds.search.terminal_value": _one("reference", f"{_SAMPLING}: is_sampling"),
    "rounds.search.max_consecutive_errors": Published((1, 0), f"{_SAMPLING}: errors_threshold 2, then 1"),
    **{f"rounds.search.{key}": value for key, value in _SEARCH_IN_CODE.items()},
    "rounds.extra": _one([], "README"),
    "rounds.sft.form": _one("steps", "train/sft_data_examples.json"),
    "rounds.sft.learning_rate": _one(7e-6, _SFT),
    "rounds.sft.num_epochs": _one(2, _SFT),
    "rounds.sft.num_steps": _one(None, _SFT),
    "rounds.sft.batch_size": _one(128, f"{_SFT}: 8 GPUs x 4 x 4"),
    "rounds.sft.schedule": _one("linear", _SFT),
    "rounds.sft.warmup_steps": _one(0, _SFT),
    "rounds.sft.weight_decay": _one(0.1, _SFT),
    "rounds.ppm.learning_rate": _one(7e-6, _RM),
    "rounds.ppm.num_epochs": _one(2, _RM),
    "rounds.ppm.num_steps": _one(None, _RM),
    "rounds.ppm.batch_size": _one(512, f"{_RM}: 8 GPUs x 16 x 4 pairs; problems here"),
    "rounds.ppm.max_length": _one(2048, _RM),
    "rounds.ppm.early_stopping": _one(True, f"{_RM}: load_best_model_at_end"),
    "rounds.ppm.scale": _one(5.0, "llms/rm.py"),
    "selection.num_trajectories": _one(2, "train/sample_sft_data.py --n 2"),
    "selection.values": _one("backed_up", _PAIRS),
    "selection.num_per_side": _one(2, _PAIRS),
    "selection.min_q_margin": _one(0.5, _PAIRS),
    "selection.min_edit_distance": _one(20, _PAIRS),
    "selection.fill_one_sided": _one(True, _PAIRS),
    "evaluation.system.strategy": _one("mcts", _ANSWERING),
    "evaluation.system.search.num_rollouts": _one(12, f"{_ANSWERING}: iterations"),
    "evaluation.system.search.num_candidates": _one(32, f"{_ANSWERING}: n_generate_sample"),
    "evaluation.system.search.exploration": _one(2.0, f"{_ANSWERING}: c_puct"),
    "evaluation.system.search.max_depth": _one(16, f"{_ANSWERING}; the code lets one step more pass"),
    "evaluation.system.search.temperature": _one(1.0, _ANSWERING),
    "evaluation.system.search.use_ppm": _one(True, f"{_ANSWERING}: need_value_func"),
    "evaluation.system.search.terminal_value": _one("ppm", f"{_ANSWERING}: is_sampling"),
    "evaluation.system.search.max_consecutive_errors": _one(0, f"{_ANSWERING}: errors_threshold 1"),
    **{f"evaluation.system.search.{key}": value for key, value in _SEARCH_IN_CODE.items()},
    "evaluation.system.num_trees": _one(1, "README: one run; over several runs it votes among the best"),
    "evaluation.system.selector": _one("best", "README"),
    "evaluation.system.weight": _one("score", "README"),
    "evaluation.system.aggregate": _one("last", "README"),
}
"""The released code's values by key, at its defaults and in its configuration files; `rounds.` as above. Files of its
package are named without `rstar_deepthink/`."""
