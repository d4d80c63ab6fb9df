"""`mammo store`: upload files to the object store, list, verify and clean it."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="The object store.")

_FAILURES_SHOWN = 20


@app.callback()
def _store() -> None:
    """The object store."""


@app.command()
def put(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to upload.")],
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="s3://bucket/prefix or file:///folder.")
    ],
    threads: Annotated[int, typer.Option(min=1, max=64, help="Files sent at the same time.")] = 8,
    read_back: Annotated[
        bool,
        typer.Option("--read-back", help="Fetch and hash every sent file; doubles the traffic."),
    ] = False,
) -> None:
    """Upload a folder under its relative names.

    Files that the store already has with the same size and SHA-256 are skipped, so an interrupted
    upload resumes when the command is repeated. Hidden files are ignored, and links out of the
    folder are refused.
    """
    import time

    from mammo_core.errors import StoreError
    from mammo_core.progress import progress
    from mammo_core.sources.files.source_files import SourceFiles
    from mammo_core.store import open_store
    from mammo_core.store.upload import leads_outside, upload

    source = SourceFiles(str(folder))
    source.require_root(f"folder {folder}")
    files = {name: source.local(name) for name in source.entries}
    outside = sorted(name for name, path in files.items() if leads_outside(folder, path))
    if outside:
        raise StoreError(
            f"{len(outside)} names in {folder} are links out of it",
            expected="files in the folder itself: a link could lead to any file of this user",
            received=", ".join(outside[:5]) + (", …" if len(outside) > 5 else ""),
            hint="copy the files into the folder, or remove the links; nothing was sent",
        )
    store = open_store(uri)
    start = time.monotonic()
    with progress("put", len(files), "files") as bar:
        result = upload(store, files, threads=threads, read_back=read_back, advance=bar.advance)
    megabytes, seconds = result.sent_bytes / 1e6, max(time.monotonic() - start, 1e-9)
    typer.echo(
        f"{store.uri}: {result.sent} files sent ({megabytes:.1f} MB, {megabytes / seconds:.1f} "
        f"MB/s), {result.unchanged} unchanged"
    )
    if result.faults:
        for name, why in sorted(result.faults.items())[:_FAILURES_SHOWN]:
            typer.echo(f"failed: {name}: {why}", err=True)
        raise StoreError(
            f"{len(result.faults)} of {len(files)} files could not be stored in {store.uri}"
            + (f", and {result.untried} were not tried" if result.untried else ""),
            expected="all files in the store, with their size and SHA-256",
            received=f"failures, the first of {min(result.faults)}",
            hint="run the same command again: files that are stored are not sent again",
        )


@app.command()
def create(
    uris: Annotated[list[str], typer.Argument(metavar="URI...", help="s3://bucket.")],
    keep_versions: Annotated[
        bool,
        typer.Option("--keep-versions", help="The buckets keep every version of an object."),
    ] = False,
) -> None:
    """Make buckets that are not there, with the credentials of an administrator."""
    from mammo_core.store.buckets import make_bucket

    for uri in uris:
        created = make_bucket(uri, keep_versions=keep_versions)
        typer.echo(f"{uri}: {'created' if created else 'was there'}")


@app.command("ls")
def list_(
    uri: Annotated[
        str, typer.Argument(metavar="URI", help="s3://bucket/prefix or file:///folder.")
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line: key, size.")
    ] = False,
) -> None:
    """List the files under a URI, with sizes in bytes."""
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


_StoreUri = Annotated[str, typer.Argument(metavar="URI", help="Root of the store.")]


@app.command()
def verify(
    uri: _StoreUri,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Read all published files again and compare them with their SHA-256.

    Checks every file that a manifest or a model version lists; on S3 also all other objects,
    against the digest that was stored with them. Exits with code 1 if any file is damaged.
    """
    import json

    from mammo_core.datasets.verification import verify_store
    from mammo_core.errors import RecordError
    from mammo_core.progress import progress
    from mammo_core.registry.references import package_digests
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    digests = package_digests(store)
    if as_json:
        result = verify_store(store, digests)
    else:
        with progress("verify", 0, "files") as bar:

            def advance(done: int, total: int) -> None:
                bar.total = total
                bar.advance(done - bar.done)

            result = verify_store(store, digests, advance)
    faults = sorted(result.faults.items())
    if as_json:
        counts = {"outputs": result.outputs, "files": result.files, "bytes": result.bytes}
        listed = [{"key": key, "problem": problem} for key, problem in faults]
        typer.echo(json.dumps({**counts, "faults": listed}))
    else:
        typer.echo(f"{result.outputs} outputs, {result.files} files, {result.bytes} bytes read")
        for key, problem in faults:
            typer.echo(f"damaged: {key}: {problem}", err=True)
    if faults:
        raise RecordError(
            f"{len(faults)} of {result.files} files in {store.uri} are damaged",
            expected="all files as they were published",
            received=f"the first: {faults[0][0]}",
            hint="remove the outputs that list them and run again: they are rebuilt",
        )


@app.command()
def gc(
    uri: _StoreUri,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Remove, or only show what would be removed.")
    ] = False,
    compact: Annotated[
        bool,
        typer.Option(
            "--compact", help="Also rewrite datasets that exclude records or list old shards."
        ),
    ] = False,
    older_than: Annotated[
        float,
        typer.Option(min=0, metavar="HOURS", help="Unpublished data younger than this is kept."),
    ] = 24.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Remove leftovers of killed runs and outputs that nothing refers to; a dry run by default.

    Frames, all registered versions with their lineage, outputs that these refer to, outputs in
    use by active runs, and unpublished data of the last 24 hours are kept.
    """
    import json
    from functools import partial

    from mammo_core.datasets.compaction import compact as rewrite
    from mammo_core.datasets.compaction import needs_compaction
    from mammo_core.packaging.signatures.keys import SigningKey
    from mammo_core.registry.audit.rewrites import note_rewrite
    from mammo_core.registry.references import referred_ids
    from mammo_core.runs.garbage import Garbage, find_garbage
    from mammo_core.runs.removal import remove_garbage
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    key = SigningKey.from_environment()

    def report(text: str) -> None:
        if not as_json:
            typer.echo(text)

    result = find_garbage(store, referred_ids(store), grace_s=older_than * 3600)
    rewritten = [manifest for manifest in result.kept if compact and needs_compaction(manifest)]
    for manifest in rewritten:
        report(f"{'rewriting' if apply else 'would rewrite'} {manifest.folder}")
        if apply:
            rewrite(store, manifest, partial(note_rewrite, store, key=key))

    def describe(item: Garbage) -> str:
        return f"{item.name}: {item.reason}, {len(item.keys)} files, {item.bytes} bytes"

    def report_removal(item: Garbage, obstacle: str) -> None:
        kept = f"kept {describe(item)}; {obstacle}"
        report(kept if obstacle else f"removed {describe(item)}")

    if apply:
        items = remove_garbage(store, result, report_removal)
    else:
        items = result.garbage
        for item in items:
            report(f"would remove {describe(item)}")
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
            "kept": [manifest.folder for manifest in result.kept],
        }
        typer.echo(json.dumps(summary))
        return
    verb = "removed" if apply else "would be removed (--apply removes)"
    report(f"{len(items)} items, {total} bytes {verb}; {len(result.kept)} outputs kept")


@app.command()
def forget(
    patient: Annotated[
        str, typer.Argument(metavar="PATIENT", help="Key of the patient, as in the tables.")
    ],
    uri: _StoreUri,
    patient_id: Annotated[
        bool,
        typer.Option(
            "--patient-id", help="PATIENT is `-`: read the site's own id from standard input."
        ),
    ] = False,
    unsigned: Annotated[
        bool, typer.Option("--unsigned", help="Leave the tombstone unsigned.")
    ] = False,
    keep_versions: Annotated[
        bool,
        typer.Option("--keep-versions", help="Leave earlier versions of objects in the bucket."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Remove a patient: her pixels, features and scores; list the models that were trained on her.

    Leaves a tombstone, signed with MAMMO_SIGNING_KEY, by which `index` leaves her out from now on.
    The online store of features is rebuilt without her. In a bucket that keeps versions, all
    earlier versions of objects are removed, those of models and events excepted. Her files in
    sources and copies of the store are not removed. Run it again if it was interrupted.
    """
    import json
    import sys
    from dataclasses import asdict

    from mammo_core.errors import ModelError, RecipeError
    from mammo_core.packaging import signing_key
    from mammo_core.runs.forget import forget as forget_patient
    from mammo_core.sources.identity.patients import patient_key, site_key
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    if patient_id:
        if patient != "-":
            raise RecipeError(
                "An id of a patient does not belong on a command line, which others can read",
                expected="`-` as PATIENT, and the id on standard input",
                received="another PATIENT",
            )
        patient = patient_key(site_key(), sys.stdin.readline())
    key = signing_key()
    if key is None and not unsigned:
        raise ModelError(
            "The tombstone cannot be signed",
            expected="MAMMO_SIGNING_KEY or MAMMO_SIGNING_KEY_FILE",
            received="neither",
            hint="--unsigned leaves it unsigned",
        )
    if not yes:
        typer.confirm(f"Remove this patient from {store.uri}? It cannot be undone", abort=True)
    report = (lambda text: None) if as_json else typer.echo
    result = forget_patient(store, patient, key, report, keep_versions=keep_versions)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
        return
    typer.echo(
        f"{result.images} images removed: {len(result.outputs)} outputs, {len(result.features)} "
        f"files of features, {len(result.pages)} pages, {result.versions} earlier versions; "
        f"{result.tombstone}"
    )
    for name in result.models:
        typer.echo(f"trained on her: {name}")
    for text in result.unknown:
        typer.echo(f"unknown: {text}")
