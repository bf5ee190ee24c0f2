"""TRL's own trainers read what is written for it. TRL is no dependency: `pip install trl` to run this."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from rstar_math.config import SearchSettings, SelectionSettings
from rstar_math.stages.select import select
from rstar_math.store.interchange import Format, write_interchange
from tests.engines.tiny_checkpoints import save_checkpoint
from tests.growing import grow_fake


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what TRL warns of is its own
@pytest.mark.parametrize("kind", ["trl", "messages"])
def test_trl_itself_trains_on_what_is_written_for_it(
    kind: Format, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trl: Any = pytest.importorskip("trl", reason="TRL, which is no dependency, is not installed")
    datasets: Any = pytest.importorskip("datasets", reason="extra `hub` is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    tree = grow_fake("mcts", SearchSettings(num_rollouts=16, num_candidates=6, use_ppm=False))
    selected = select([tree], SelectionSettings(), None)
    files = write_interchange(tmp_path, kind, selected.rows(), selected.pairs)
    trainers: list[tuple[Path, Any, Any, int]] = [
        (files[0], trl.SFTTrainer, trl.SFTConfig, 0),
        (files[1], trl.RewardTrainer, trl.RewardConfig, 1),
    ]
    for file, trainer, config, num_labels in trainers:
        folder = save_checkpoint(tmp_path / trainer.__name__, "qwen2", num_labels=num_labels)
        tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        tokenizer.chat_template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}{% endfor %}"
        rows = datasets.Dataset.from_json(str(file), cache_dir=str(tmp_path / "cache"))
        arguments = {"max_steps": 1, "per_device_train_batch_size": 2, "max_length": 256, "use_cpu": True}
        made = trainer(
            model=str(folder),
            args=config(str(tmp_path / "out"), report_to="none", bf16=False, save_strategy="no", **arguments),
            train_dataset=rows,
            processing_class=tokenizer,
        )
        assert len(made.train_dataset) == len(rows) > 0  # none was filtered out
        assert 0 < made.train().training_loss < 100
