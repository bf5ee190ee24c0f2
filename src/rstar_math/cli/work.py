"""`rstar work`: the search processes of this machine for a run that is driven on another one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rstar_math.cli.options import Workers


def work(
    run: Annotated[Path, typer.Argument(help="Folder of the run, which all machines see; it may be made later.")],
    workers: Workers = None,
    concurrency: Annotated[int | None, typer.Option(help="Problems in flight in one process.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")] = "auto",
    idle: Annotated[
        float | None,
        typer.Option(help="End after so many seconds without work; default: when the run is whole.", min=0),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Also files of own code, and steps without the whole sandbox, if the run asks."),
    ] = False,
) -> None:
    """Search for a run of `rstar evolve --cluster folder` that is driven elsewhere, on any number of machines."""
    from rstar_math.cluster.processes import keep_working
    from rstar_math.cluster.worker import Joining
    from rstar_math.config import RuntimeSettings
    from rstar_math.config.reading import check
    from rstar_math.workers.pool import devices

    value = RuntimeSettings().model_dump() | {"num_workers": workers, "device": device}
    runtime = check(
        RuntimeSettings, value | ({} if concurrency is None else {"concurrency": concurrency}), "rstar work"
    )
    joining = Joining(run, runtime, len(devices(runtime)), trusted=trust, idle_s=idle)
    print(f"{keep_working(joining)} tasks done by this machine")
