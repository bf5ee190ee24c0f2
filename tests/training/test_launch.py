"""Launches: which processes are started and how, what the first one tells, what comes back when one fails."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rstar_math.config import SFTSettings
from rstar_math.errors import DataError, ModelError
from rstar_math.training import launch
from rstar_math.training.launch import LAUNCHED, processes_of
from rstar_math.training.loop import Progress
from rstar_math.training.processes import OtherProcess, Processes

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def settings(**changes: Any) -> SFTSettings:
    return SFTSettings.model_validate({"num_steps": 1} | changes)


def test_one_process_by_default_and_one_for_each_gpu_with_null(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    asked: list[tuple[dict[str, Any], torch.device]] = [
        ({}, CUDA),
        ({"num_processes": None}, CUDA),
        ({"num_processes": None}, CPU),
        ({"num_processes": 3}, CPU),
    ]
    assert [launch.num_processes(settings(**changes), device) for changes, device in asked] == [1, 8, 1, 3]
    assert [launch.must_launch(settings(**changes), device) for changes, device in asked] == [False, True, False, True]
    assert launch.must_launch(settings(accelerate_config="zero.yaml"), CPU)
    monkeypatch.setenv(LAUNCHED, "1")
    assert not launch.must_launch(settings(num_processes=3), CPU)


def test_without_a_launch_there_is_one_process_and_no_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    alone = processes_of(CPU)
    assert type(alone) is Processes
    assert (alone.index, alone.number, alone.is_first, alone.sharded) == (0, 1, True, False)
    with pytest.raises(ModelError, match=r"several processes need the package accelerate.*num_processes: 1"):
        launch.launch(print, (), settings(num_processes=2), CPU)


def test_how_processes_are_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    on_cpu = launch._launcher(settings(num_processes=2), CPU)
    assert on_cpu == ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    sharded = launch._launcher(settings(num_processes=None), CUDA)
    assert sharded[:3] == ["accelerate.commands.launch", "--num_processes", "8"]
    assert {"--use_fsdp", "--fsdp_version"} <= set(sharded)
    with_lora = launch._launcher(settings(num_processes=None, lora={}), CUDA)
    assert "--multi_gpu" in with_lora
    assert "--use_fsdp" not in with_lora
    by_file = ["accelerate.commands.launch", "--config_file", "zero.yaml"]
    assert launch._launcher(settings(accelerate_config="zero.yaml"), CUDA) == by_file
    four = launch._launcher(settings(accelerate_config="zero.yaml", num_processes=4), CUDA)
    assert four == [*by_file, "--num_processes", "4"]


def test_accelerate_takes_the_options_that_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate", reason="extra `train` is not installed")
    from accelerate.commands.launch import launch_command_parser

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    for chosen in (settings(num_processes=None), settings(num_processes=None, lora={})):
        options = launch._launcher(chosen, CUDA)[1:]
        read = launch_command_parser().parse_args([*options, "-m", "some.module", "job"])
        assert (read.num_processes, read.training_script, read.module) == (8, "some.module", True)
        assert (read.use_fsdp, read.multi_gpu) == (chosen.lora is None, chosen.lora is not None)


def test_what_the_first_process_tells_is_heard(tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    told.touch()
    program = (
        "import sys, time\n"
        "with open(sys.argv[1], 'a', buffering=1) as lines:\n"
        "    lines.write('[1, 2, 0.5, 10]\\n')\n"
        "    time.sleep(0.5)\n"
        "    lines.write('[2, 2, 0.25, 20]\\n')\n"
        "sys.exit(3)\n"
    )
    heard: list[Any] = []
    assert launch._run([sys.executable, "-c", program, str(told)], told, lambda *event: heard.append(event)) == 3
    assert heard == [(1, 2, 0.5, 10), (2, 2, 0.25, 20)]


def test_who_stops_listening_stops_the_processes(tmp_path: Path) -> None:
    told = tmp_path / "told.jsonl"
    told.write_text("[1, 2, 0.5, 10]\n")

    def stop(step: int, num_steps: int, loss: float, num_tokens: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch._run([sys.executable, "-c", "import time; time.sleep(600)"], told, stop)


def succeed(number: int, progress: Progress | None) -> int:
    if progress is not None:
        progress(1, 2, 0.5, number)
    return number + 1


def fail(number: int, progress: Progress | None) -> int:
    raise DataError(f"no data: {number}")


def end(number: int, progress: Progress | None) -> int:
    raise OtherProcess


@pytest.mark.parametrize(
    ("function", "rank", "outcome", "told"),
    [(succeed, 0, 8, "[1, 2, 0.5, 7]\n"), (succeed, 1, None, ""), (fail, 0, "no data: 7", ""), (end, 1, None, "")],
)
def test_what_one_process_of_a_launch_leaves(
    function: Any, rank: int, outcome: object, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, lines, result = (tmp_path / name for name in ("job", "told", "result"))
    job.write_bytes(pickle.dumps((function, (7,))))
    monkeypatch.setattr(sys, "argv", ["launch", str(job), str(lines), str(result)])
    monkeypatch.setenv("RANK", str(rank))
    monkeypatch.setattr(launch, "show_controls", lambda: None)
    launch.main()
    assert lines.read_text() == told
    found = pickle.loads(result.read_bytes()) if result.exists() else None
    assert (str(found) if isinstance(found, DataError) else found) == outcome


def test_errors_of_the_first_process_are_raised_and_silence_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("accelerate", reason="extra `train` is not installed")

    def run(command: list[str], told: Path, progress: Progress | None) -> int:
        job, result = Path(command[-3]), Path(command[-1])
        function, arguments = pickle.loads(job.read_bytes())
        if function is fail:
            result.write_bytes(pickle.dumps(DataError(f"no data: {arguments[0]}")))
        return 9

    monkeypatch.setattr(launch, "_run", run)
    with pytest.raises(DataError, match="no data: 7"):
        launch.launch(fail, (7,), settings(num_processes=2), CPU)
    with pytest.raises(ModelError, match=r"ended with status 9 and no result.*accelerate test"):
        launch.launch(end, (7,), settings(num_processes=2), CPU)
