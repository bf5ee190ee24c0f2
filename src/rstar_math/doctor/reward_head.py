"""The check of a reward model: is its head the one that was trained?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rstar_math.doctor.patient import Finding, Patient, skipped


async def reward_head(patient: Patient) -> Finding:
    """The reward model's head is the one that was trained: its probe texts get the logits stored beside it."""
    if patient.reward_model is None:
        return skipped(patient, "no reward model was given")
    from rstar_math.checkpoints.ppm_file import read_ppm_file
    from rstar_math.engines.torch.loading import load_torch_reward_model

    content = read_ppm_file(patient.reward_model)
    missing = _missing_weights(patient.reward_model)
    if missing:
        advice = "transformers fills it in at random; copy the whole folder again, or train the model again"
        return Finding("failed", f"{patient.reward_model} lacks the weights {', '.join(missing[:3])}", advice)
    # raises where a probe gets another logit
    reward_model = load_torch_reward_model(patient.reward_model, device=patient.runtime.device)
    await reward_model.aclose()
    if len(content.probes) < 2:
        advice = "train the model again, so that its probes are stored"
        return Finding("warning", "the reward model has no probe texts, so a random head would pass", advice)
    spread = max(p.logit for p in content.probes) - min(p.logit for p in content.probes)
    quality = "" if content.pair_accuracy is None else f", {100 * content.pair_accuracy:.0f} % of held-out pairs right"
    if spread < 1e-3:
        return Finding("failed", "all probe texts get the same logit", "the head has not learned anything: train again")
    if content.pair_accuracy is not None and content.pair_accuracy < 0.55:
        return Finding("warning", f"{len(content.probes)} probes are met{quality}", "hardly better than chance")
    return Finding("ok", f"{len(content.probes)} probe texts get their logits{quality}")


def _missing_weights(folder: Path) -> list[str]:
    """Names of weights that the architecture has and the folder lacks."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from rstar_math.checkpoints.folder import quiet_transformers
    from rstar_math.engines.torch.loading import check_folder

    options: dict[str, Any] = {"dtype": torch.float32, "output_loading_info": True, "local_files_only": True}
    with quiet_transformers():
        _, loading = AutoModelForSequenceClassification.from_pretrained(check_folder(folder), **options)
    return sorted(loading["missing_keys"])
