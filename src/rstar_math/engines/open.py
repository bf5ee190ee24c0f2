"""Which engine runs a policy: torch or vLLM for a folder, httpx for a URL, or one of the user's own.

Each may get a few-shot prompt.
"""

from __future__ import annotations

from pathlib import Path

from rstar_math.config import PolicySettings, RuntimeSettings
from rstar_math.engines.base import Engine, RewardModel
from rstar_math.engines.few_shot import Bootstrap, BootstrapEngine, knows_markers
from rstar_math.errors import ModelError
from rstar_math.plugins import is_own, load_own


def open_policy(policy: Path | PolicySettings, runtime: RuntimeSettings, device: str | None = None) -> Engine:
    """Opens a policy.

    A tokenizer without the markers gets the few-shot prompt of `rstar_math.engines.few_shot`, with markers as plain
    text, unless the model's settings say otherwise: with `bootstrap: none` a policy that was trained on the markers as
    plain text runs without examples.

    Raises:
      ModelError: a folder is missing or unfit, or a needed package is not installed.
      ConfigError: an engine of the user's own cannot be loaded.
    """
    if isinstance(policy, Path):
        policy = PolicySettings(policy=str(policy))
    if is_own(policy.policy):
        engine: Engine = load_own(policy.policy, "an engine")()
        own_prompt = policy.bootstrap not in ("auto", "none")
        return BootstrapEngine(engine, Bootstrap.named(policy.bootstrap)) if own_prompt else engine
    if policy.policy.startswith(("http://", "https://")):
        from rstar_math.engines.http.engine import HttpEngine

        name = "default" if policy.bootstrap == "auto" else policy.bootstrap
        bootstrap = None if name == "none" else Bootstrap.named(name)
        return HttpEngine(policy.policy, policy.endpoint, bootstrap)
    return _open_local(policy, runtime, device or runtime.device)


def open_reward_model(folder: Path, runtime: RuntimeSettings, device: str | None = None) -> RewardModel:
    """Opens a reward model of this machine.

    Raises:
      ModelError: the folder is missing or unfit, or a needed package is not installed.
    """
    if runtime.engine == "vllm":
        from rstar_math.engines.torch.loading import check_folder, check_tokenizer
        from rstar_math.engines.vllm import VLLMRewardModel

        check_tokenizer(check_folder(folder))  # vLLM reads it by AutoTokenizer as well
        return VLLMRewardModel.from_pretrained(folder, dtype=runtime.dtype)
    from rstar_math.engines.torch.loading import load_torch_reward_model

    dtype = "float32" if runtime.dtype == "int8" else runtime.dtype  # scores are compared to the last digits
    return load_torch_reward_model(
        folder, device=device or runtime.device, dtype=dtype, deterministic=runtime.deterministic
    )


def _open_local(policy: PolicySettings, runtime: RuntimeSettings, device: str) -> Engine:
    from rstar_math.engines.torch.loading import check_folder, check_tokenizer, is_adapter, load_engine

    folder = Path(policy.policy)
    if not folder.is_dir():
        from rstar_math.models import find_model

        found = find_model(policy.policy).policy
        if not isinstance(found, Path):
            raise ModelError(f"policy {policy.policy!r} of a model file must be a folder, a hub name or a URL")
        folder = found
    if is_adapter(folder):
        if runtime.engine != "vllm":
            raise ModelError(
                f"{folder} is a LoRA adapter, which runtime.engine: vllm runs on its base; for runtime.engine: torch "
                "merge it into the base first (peft: merge_and_unload) and save the tokenizer beside it"
            )
    else:
        check_folder(folder)
    name = policy.bootstrap
    if name == "auto":
        name = "none" if knows_markers(folder) else "default"
    with_text = name != "none" or policy.bootstrap == "none"  # who says none knows that the policy writes them as text
    engine: Engine
    if runtime.engine == "vllm":
        if runtime.dtype == "int8":
            raise ModelError("runtime.dtype: int8 is for runtime.engine: torch; with vllm use bfloat16")
        from rstar_math.engines.vllm import VLLMEngine

        if any(folder.glob("tokenizer*")):  # an adapter may leave it to its base
            check_tokenizer(folder, allow_text_markers=with_text)  # vLLM reads it by AutoTokenizer as well
        engine = VLLMEngine.from_pretrained(folder, dtype=runtime.dtype, memory_share=0.5)  # for a reward model
    else:
        engine = load_engine(
            folder,
            device=device,
            dtype=runtime.dtype,
            max_batch_rows=runtime.max_batch_rows,
            deterministic=runtime.deterministic,
            allow_text_markers=with_text,
        )
    return engine if name == "none" else BootstrapEngine(engine, Bootstrap.named(name))
