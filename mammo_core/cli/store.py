"""`mammo store`: files into the object store, and what is there."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The object store.")

_SHOWN = 20


@app.callback()
def _store() -> None:
    """The object store."""


@app.command()
def put(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What to upload.")],
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="s3://bucket/prefix or file:///folder.")
    ],
    threads: Annotated[int, typer.Option(min=1, max=64, help="Files at a time.")] = 8,
    read_back: Annotated[
        bool,
        typer.Option("--read-back", help="Fetch and hash what was written; twice the traffic."),
    ] = False,
) -> None:
    """Upload a tree under its relative names.

    What the store holds with the same size and SHA-256 is skipped, so the same command goes
    on where it was stopped. Hidden files are left out.
    """
    import time

    from mammo_core.errors import StoreError
    from mammo_core.progress import progress
    from mammo_core.sources.source_files import SourceFiles
    from mammo_core.store import open_store
    from mammo_core.store.upload import upload

    source = SourceFiles(str(folder))
    source.require(f"folder {folder}")
    files = {name: source.local(name) for name in source.entries}
    store = open_store(uri)
    start = time.monotonic()
    with progress("put", len(files), "files") as shown:
        done = upload(store, files, threads=threads, read_back=read_back, advance=shown.advance)
    megabytes, seconds = done.sent_bytes / 1e6, max(time.monotonic() - start, 1e-9)
    typer.echo(
        f"{store.uri}: {done.sent} files sent ({megabytes:.1f} MB, {megabytes / seconds:.1f} "
        f"MB/s), {done.present} there already"
    )
    if done.faults:
        for name, why in sorted(done.faults.items())[:_SHOWN]:
            typer.echo(f"failed: {name}: {why}", err=True)
        raise StoreError(
            f"{len(done.faults)} of {len(files)} files could not be stored in {store.uri}"
            + (f", and {done.untried} were not tried" if done.untried else ""),
            expected="every file in the store, with its size and SHA-256",
            received=f"failures, the first for {min(done.faults)}",
            hint="run the same command again: what is there is not sent twice",
        )


@app.command("ls")
def list_(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="s3://bucket/prefix or file:///folder.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: key, size.")
    ] = False,
) -> None:
    """List what lies under a URI, with sizes in bytes."""
    import json

    from mammo_core.store import open_store

    count = total = 0
    for entry in open_store(uri).entries(""):
        count, total = count + 1, total + entry.size
        typer.echo(
            json.dumps({"key": entry.key, "size": entry.size})
            if as_json
            else f"{entry.size:>14} {entry.key}"
        )
    if not as_json:
        typer.echo(f"{count} files, {total} bytes")
