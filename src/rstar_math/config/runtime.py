"""What a run runs on: engines, processes, isolation."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from rstar_math.config.base import Settings
from rstar_math.config.execution import ExecutionSettings


class EndpointSettings(Settings):
    """How to talk to an OpenAI-compatible server (docs/real-models.md)."""

    model: str | None = Field(default=None, description="name of the model at the server; null: the only one it lists")
    replicas: tuple[str, ...] = Field(
        default=(),
        description="URLs of further servers of the same model: requests about one question go to one of them, one "
        "that is lost is left out and tried again",
    )
    api: Literal["completions", "chat"] = Field(
        default="completions",
        description="completions goes on from a text exactly; chat only where a server has nothing else",
    )
    continuation: Literal["auto", "continue", "restate"] = Field(
        default="auto",
        description="chat: let the server go on from the assistant's text (continue), or show the steps so far and ask "
        "for the next one (restate); auto: the first, and the second where the server refuses",
    )
    api_key_env: str = Field(
        default="OPENAI_API_KEY", description="environment variable that holds the key, where one is set"
    )
    max_requests: int = Field(default=64, ge=1, description="requests in flight")
    timeout_s: float = Field(default=600.0, gt=0, description="wall seconds of one request")
    max_retry_s: float = Field(
        default=300.0, ge=0, description="a request that fails is tried again for so many seconds"
    )
    logprobs: bool = Field(default=False, description="ask for log-probabilities (recorded, not used by any strategy)")
    extra_body: dict[str, Any] = Field(default_factory=dict, description="further fields of every request")


class PolicySettings(Settings):
    """A model that is more than a folder: behind a URL, or with a few-shot prompt. A YAML file with these keys is a
    model as any command takes it."""

    policy: str = Field(
        description="URL of an OpenAI-compatible server, a folder, a name at the hub, or my_file.py:function"
    )
    ppm: str | None = Field(default=None, description="folder of a process preference model")
    bootstrap: str = Field(
        default="auto",
        description="few-shot prompt for a model that does not know the step format: a JSONL file of examples "
        "({question, response}), `default` for the package's own, `none`; auto: default behind a URL, and for a folder "
        "whose tokenizer lacks the markers",
    )
    endpoint: EndpointSettings = Field(default_factory=EndpointSettings, description="only behind a URL")


class RuntimeSettings(Settings):
    """The machine, not the method: nothing here may change a result in deterministic mode."""

    num_workers: int | None = Field(
        default=None,
        ge=0,
        description="search processes; null: one per accelerator, or per CPU core; 0: only those of other machines, "
        "with `cluster`",
    )
    cluster: Literal["folder", "ray"] | None = Field(
        default=None,
        description="folder: also the search processes of other machines that join by `rstar work RUN`, over the run "
        "folder that all of them see; ray: those of a Ray cluster; null: those of this machine alone (docs/cluster.md)",
    )
    address: str | None = Field(
        default=None,
        description="with `cluster: ray`: HOST:PORT of its head, or auto: the one that runs on this machine; null: "
        "what the environment variable RAY_ADDRESS says, else a cluster of this machine alone, on loopback",
    )
    lease_s: float = Field(
        default=180.0,
        gt=0,
        description="with `cluster`: a worker that is not heard of for so many seconds loses what it had taken",
    )
    concurrency: int = Field(default=64, ge=1, description="problems in flight in one process")
    max_batch_rows: int = Field(default=256, ge=1, description="most candidates decoded at the same time")
    deterministic: bool = Field(
        default=False, description="fixed batch shapes: the same trees at any concurrency, slower"
    )
    engine: Literal["torch", "vllm"] = Field(default="torch", description="what runs a policy of this machine")
    dtype: Literal["float32", "bfloat16", "float16", "int8"] = Field(
        default="float32",
        description="weights while searching; int8: the policy's matrix products on a CPU with 8 bits, everything else "
        "in float32",
    )
    device: str = Field(default="auto", description="auto, cpu, cuda, cuda:1, mps")
    remember: str | None = Field(
        default=None,
        description="file of completions and scores: what was asked for before is not made again; null: none",
    )
    trees_per_part: int = Field(default=50, ge=1, description="trees in one file of a run")
    execution: ExecutionSettings = Field(
        default_factory=ExecutionSettings, description="limits and isolation of the steps' programs"
    )

    @model_validator(mode="after")
    def _some_workers(self) -> Self:
        if self.num_workers == 0 and self.cluster != "folder":
            raise ValueError("num_workers is 0, so nobody would work; it is for cluster: folder, where others join")
        return self
