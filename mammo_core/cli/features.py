"""`mammo features`: the feature store, and frames of it."""

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:  # quick to load
    from mammo_core.store import Store

app = typer.Typer(no_args_is_help=True, help="The feature store, and frames of it.")

_Store = Annotated[
    str, typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://).")
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
#: How many rows are printed.
_LAST_ROWS = 20
_DEFAULT_STORE = "file://store"


@app.command()
def apply(store: _Store = _DEFAULT_STORE, as_json: _Json = False) -> None:
    """Write the definitions to the registry, and the newest rows to the online store.

    The online store is the SQLite file online.db in the store, or the Redis server of
    MAMMO_ONLINE_STORE.
    """
    from mammo_core.features import MAIN
    from mammo_core.features.online import apply as apply_definitions

    opened = _open_existing(store)
    result = apply_definitions(opened, MAIN)
    if as_json:
        document = {
            "entities": list(result.entities),
            "views": result.views,
            "online": result.online,
        }
        typer.echo(json.dumps(document, indent=1))
        return
    typer.echo(f"entities: {', '.join(result.entities)}")
    for name, count in result.views.items():
        typer.echo(f"{name:<22}{count:>9,} online")
    typer.echo(f"registry: {opened.uri}/{MAIN}/registry.db; online store: {result.online}")


@app.command()
def show(
    store: _Store = _DEFAULT_STORE,
    view: Annotated[
        str, typer.Option("--rows", metavar="VIEW", help="Show the rows of a view.")
    ] = "",
    id: Annotated[
        str,
        typer.Option("--id", metavar="ID", help="With --rows: only rows of this image or lesion."),
    ] = "",
    online: Annotated[
        bool, typer.Option("--online", help="With --id: the row in the online store.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show the views of the feature store: number of keys and rows, newest event."""
    from mammo_core.errors import RecipeError
    from mammo_core.features import MAIN
    from mammo_core.features.show import read_history, summarize_views, view_by_name

    opened = _open_existing(store)
    if (id and not view) or (online and not id):
        raise RecipeError(
            "These options cannot be combined",
            expected="--rows VIEW with --id, and both with --online",
            received="--online without --id" if online and not id else "--id without --rows",
        )
    if not view:
        views = summarize_views(opened, MAIN)
        if as_json:
            typer.echo(json.dumps({"folder": MAIN, "views": views}, indent=1))
            return
        typer.echo(f"{'view':<22}{'by':<26}{'keys':>9}{'rows':>9}{'files':>7}  newest event")
        for row in views:
            by = ", ".join(row["entities"])
            typer.echo(
                f"{row['name']:<22}{by:<26}{row['keys']:>9,}{row['rows']:>9,}{row['files']:>7,}"
                f"  {row['newest_event'] or '–'}"
            )
        if not any(row["rows"] for row in views):
            typer.echo(f"No features are published in {opened.uri} yet.")
        return
    feature_view = view_by_name(view)
    table = read_history(opened, MAIN, feature_view, id)
    if online:
        from mammo_core.features.online import look_up

        keys = table[list(feature_view.keys)].drop_duplicates().to_dict("records")
        table = look_up(opened, MAIN, feature_view, keys)
    if as_json:
        typer.echo(table.to_json(orient="records", date_format="iso", indent=1))
        return
    rows = table if id else table.tail(_LAST_ROWS)
    typer.echo(rows.to_string(index=False))
    if len(rows) < len(table):
        typer.echo(f"The last {len(rows)} of {len(table):,} rows; --json prints all.")


@app.command()
def frame(
    store: _Store = _DEFAULT_STORE,
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of",
            metavar="TIME",
            help="Labels and metadata as of this time: 2026-11-25T14:00 (UTC without a zone), or a "
            "date for the end of that day. Default: now.",
        ),
    ] = "",
    frame_id: Annotated[
        str,
        typer.Option(
            "--frame",
            metavar="ID",
            help="The frame whose images, split and dataset are used. Default: the current frame "
            "at that time.",
        ),
    ] = "",
    as_json: _Json = False,
) -> None:
    """Make the frame of some time, with the labels and metadata as they were then."""
    from mammo_core.features import frame_as_of
    from mammo_core.features.kinds import FRAME

    opened = _open_existing(store)
    manifest = frame_as_of(opened, frame_id or None, _time(as_of) if as_of else None)
    facts = FRAME.facts_of(manifest)
    document: dict[str, Any] = {
        "id": manifest.id,
        "uri": f"{opened.uri}/{manifest.folder}",
        "as_of": as_of or None,
        "counts": manifest.counts,
        "splits": facts.splits,
        "mean": facts.mean,
        "rescale_factor": facts.rescale_factor,
    }
    if as_json:
        typer.echo(json.dumps(document, indent=1))
        return
    counts = manifest.counts
    typer.echo(f"frame {manifest.id}: {counts['images']} images, {counts['lesions']} lesions")
    for name, split in document["splits"].items():
        typer.echo(
            f"{name:<12}{split['images']:>8,} images{split['patients']:>8,} patients"
            f"{split['malignant']:>8,} malignant"
        )
    typer.echo(f"mean {document['mean']}, rescale factor {document['rescale_factor']:.6f}")
    typer.echo(document["uri"])


@app.command()
def labels(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Columns lesion_id and pathology, or image_id and malignant (0 or 1), or both.",
        ),
    ],
    store: _Store = _DEFAULT_STORE,
    as_json: _Json = False,
) -> None:
    """Publish corrected labels; frames of earlier times keep the old ones."""
    from mammo_core.features import MAIN
    from mammo_core.features.labels import publish_labels, read_labels, standing_corrections

    corrections, opened = read_labels(file), _open_existing(store)
    written = publish_labels(opened, corrections, MAIN)
    if as_json:
        typer.echo(json.dumps({"corrections": len(corrections), "rows": written}, indent=1))
        return
    typer.echo(
        f"{len(corrections)} corrections: {written['lesion_label']} lesion labels and "
        f"{written['image_label']} image labels published"
    )
    if not any(written.values()):
        typer.echo("All of them are already published.")
    standing = standing_corrections(opened, corrections, MAIN)
    if standing:
        typer.echo(f"{standing} images of corrected lesions keep a correction of their own.")


@app.command()
def history(
    id: Annotated[str, typer.Argument(metavar="ID", help="Id of an image or a lesion.")],
    store: _Store = _DEFAULT_STORE,
    as_json: _Json = False,
) -> None:
    """Show every label that an image, with its lesions, or a lesion has had, oldest first."""
    from mammo_core.features import MAIN
    from mammo_core.features.labels import label_history

    table = label_history(_open_existing(store), MAIN, id)
    if as_json:
        typer.echo(table.to_json(orient="records", date_format="iso", indent=1))
        return
    typer.echo(table.to_string(index=False))


def _open_existing(uri: str) -> "Store":
    """Open a store that must exist: these commands read features of earlier runs."""
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    return store


def _time(text: str) -> datetime:
    """Parse a time; a date means the end of that day. UTC without a zone."""
    from datetime import UTC, timedelta

    from mammo_core.errors import RecipeError

    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise RecipeError(
            "--as-of is not a time",
            expected="a date or time like 2026-11-25 or 2026-11-25T14:00:00+01:00",
            received=repr(text),
        ) from error
    zoned = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
    if len(text.strip()) <= len("2026-11-25"):
        end = zoned + timedelta(days=1) - timedelta(microseconds=1)
        return min(end, datetime.now(UTC)) if zoned <= datetime.now(UTC) else zoned
    return zoned
