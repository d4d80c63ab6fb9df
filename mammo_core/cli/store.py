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
    source.require_root(f"folder {folder}")
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

    store = open_store(uri)
    store.require_exists()
    count = total = 0
    for entry in store.entries(""):
        count, total = count + 1, total + entry.size
        typer.echo(
            json.dumps({"key": entry.key, "size": entry.size})
            if as_json
            else f"{entry.size:>14} {entry.key}"
        )
    if not as_json:
        typer.echo(f"{count} files, {total} bytes")


_Place = Annotated[str, typer.Argument(metavar="URI", help="Root of the store.")]


@app.command()
def verify(
    uri: _Place,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read everything that was published again, and compare it with its SHA-256.

    Every file that a manifest or a model version names; on S3 also the objects that nothing
    names, against the digest that was stored with them. Exit code 1 when something is damaged.
    """
    import json

    from mammo_core.datasets.verification import verify_store
    from mammo_core.errors import RecordError
    from mammo_core.progress import progress
    from mammo_core.registry.references import package_digests
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    more = package_digests(store)
    if as_json:
        found = verify_store(store, more)
    else:
        with progress("verify", 0, "files") as shown:

            def advance(done: int, total: int) -> None:
                shown.total = total
                shown.advance(done - shown.done)

            found = verify_store(store, more, advance)
    faults = sorted(found.faults.items())
    if as_json:
        told = {"outputs": found.outputs, "files": found.files, "bytes": found.bytes}
        listed = [{"key": key, "problem": problem} for key, problem in faults]
        typer.echo(json.dumps({**told, "faults": listed}))
    else:
        typer.echo(f"{found.outputs} outputs, {found.files} files, {found.bytes} bytes read")
        for key, problem in faults:
            typer.echo(f"damaged: {key}: {problem}", err=True)
    if faults:
        raise RecordError(
            f"{len(faults)} of {found.files} files in {store.uri} are damaged",
            expected="every file as it was published",
            received=f"the first: {faults[0][0]}",
            hint="remove the outputs that list them and run again: they are made anew",
        )


@app.command()
def gc(
    uri: _Place,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Remove, or only tell what would be.")
    ] = False,
    compact: Annotated[
        bool,
        typer.Option(
            "--compact", help="Also write datasets anew that exclude records or list old shards."
        ),
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(min=0, metavar="HOURS", help="Unpublished data younger than this stays."),
    ] = 24.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Remove what killed runs left, and what nothing refers to. Tells only, without --apply.

    Kept are frames, every registered version and its lineage, what these refer to, what runs
    that go on use, and whatever was written in the last 24 hours and is not published yet.
    """
    import json

    from mammo_core.datasets.compaction import compact as rewrite
    from mammo_core.datasets.compaction import needs_compaction
    from mammo_core.datasets.garbage import Garbage, find_garbage, remove_garbage
    from mammo_core.registry.references import referred_ids
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()

    def say(text: str) -> None:
        if not as_json:
            typer.echo(text)

    found = find_garbage(store, referred_ids(store), grace_s=older_than * 3600)
    rewritten = [manifest for manifest in found.kept if compact and needs_compaction(manifest)]
    for manifest in rewritten:
        say(f"{'rewriting' if apply else 'would rewrite'} {manifest.folder}")
        if apply:
            rewrite(store, manifest)

    def told(item: Garbage, obstacle: str) -> None:
        what = f"{item.name}: {item.reason}, {len(item.keys)} files, {item.bytes} bytes"
        say(f"left {what}; {obstacle}" if obstacle else f"removed {what}")

    if apply:
        items = remove_garbage(store, found, told)
    else:
        items = found.garbage
        for item in items:
            what = f"{item.name}: {item.reason}, {len(item.keys)} files, {item.bytes} bytes"
            say(f"would remove {what}")
    total = sum(item.bytes for item in items)
    if as_json:
        listed = [
            {
                "name": item.name,
                "reason": item.reason,
                "files": len(item.keys),
                "bytes": item.bytes,
            }
            for item in items
        ]
        summary = {
            "dry_run": not apply,
            "removed": listed,
            "bytes": total,
            "compacted": [manifest.folder for manifest in rewritten],
            "kept": [manifest.folder for manifest in found.kept],
        }
        typer.echo(json.dumps(summary))
        return
    verb = "removed" if apply else "would be removed (--apply removes)"
    say(f"{len(items)} items, {total} bytes {verb}; {len(found.kept)} outputs stay")
