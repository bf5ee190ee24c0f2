"""`rstar view`: pages that show a run, its problems, trees, steps and pairs; or one file of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rstar_math.cli.places import file_to_write
from rstar_math.errors import ConfigError

if TYPE_CHECKING:
    from rstar_math.serve.settings import ServeSettings
    from rstar_math.view.library import Library


def view(
    paths: Annotated[
        list[Path] | None, typer.Argument(help="Runs, folders of trees, result rows, or folders of such.")
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write one page that opens from disk, and end.", callback=file_to_write)
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Who teaches on the page `learn`; as for solve. May be repeated.")
    ] = None,
    limit: Annotated[int, typer.Option(help="With --export: most problems of each set.")] = 200,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a key is required.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0: any free one.")] = 8010,
    api_key_file: Annotated[
        Path | None, typer.Option(help="File of keys, one on each line; the page asks for one.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Name under which browsers reach this machine; may be repeated.")
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """See runs, problems, search trees, steps and pairs on a page, live while they grow."""
    from rstar_math.view.library import Library

    if not paths and not model:
        raise ConfigError("name what to see: a run, trees or result rows; or who teaches: --model pocket")
    library = Library(paths or ())
    if export is not None:
        _export(library, export, limit)
        return
    try:
        from rstar_math.serve.settings import ServeSettings
        from rstar_math.view import process as _needed  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"rstar view needs {error.name}, which is not installed: pip install 'rstar-math[serve]' (--export works "
            "without it)"
        ) from None
    from rstar_math.cli.serve import read_keys

    settings = ServeSettings(
        host=host,
        port=port,
        keys=read_keys(api_key_file) if api_key_file is not None else (),
        allow_hosts=tuple(allow_host or ()),
        max_connections=256,
    )
    _serve(library, settings, model or (), open_browser)


def _serve(library: Library, settings: ServeSettings, models: Sequence[str], open_browser: bool) -> None:
    import webbrowser
    from contextlib import ExitStack

    from rstar_math.serve.listening import bound_socket, url_of
    from rstar_math.view.process import serve_pages

    with bound_socket(settings) as bound, ExitStack() as opened:
        learning = None
        if models:
            from rstar_math.api.several import Models
            from rstar_math.view.learning import Learning

            learning = Learning(opened.enter_context(Models(models)))
        url = f"{url_of(bound)}/view/"

        def ready() -> None:
            print(f"see {url} (Ctrl-C ends it)", flush=True)
            if open_browser:
                webbrowser.open(url)

        serve_pages(library, settings, bound, ready, learning)


def _export(library: Library, path: Path, limit: int) -> None:
    from rstar_math.view.export import export_page

    counts = export_page(library, path, limit)
    left_out = f"; {counts.num_left_out} problems left out (--limit)" if counts.num_left_out else ""
    print(
        f"{path}: {counts.num_problems} problems, {counts.num_trees} trees, {counts.num_bytes / 1e6:.1f} MB{left_out}"
    )
