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
_SHOWN = 20
_HERE = "file://store"


@app.command()
def apply(store: _Store = _HERE, as_json: _Json = False) -> None:
    """Write the definitions into the registry, and bring the newest rows online.

    The online store is the SQLite file online.db in the store, or the Redis server that
    MAMMO_ONLINE_STORE names.
    """
    from mammo_core.features import MAIN
    from mammo_core.features.online import apply as apply_definitions

    place = _opened(store)
    done = apply_definitions(place, MAIN)
    if as_json:
        told = {"entities": list(done.entities), "views": done.views, "online": done.online}
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(f"entities: {', '.join(done.entities)}")
    for name, count in done.views.items():
        typer.echo(f"{name:<22}{count:>9,} online")
    typer.echo(f"registry: {place.uri}/{MAIN}/registry.db; online store: {done.online}")


@app.command()
def show(
    store: _Store = _HERE,
    view: Annotated[
        str, typer.Option("--rows", metavar="VIEW", help="Show the rows of a view.")
    ] = "",
    id: Annotated[
        str, typer.Option("--id", metavar="ID", help="With --rows: only of this image or lesion.")
    ] = "",
    online: Annotated[
        bool, typer.Option("--online", help="With --id: as the online store has it.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Show what is in each view: keys, rows with the history, newest event."""
    from mammo_core.errors import RecipeError
    from mammo_core.features import MAIN
    from mammo_core.features.show import history, summary, view_of

    place = _opened(store)
    if (id and not view) or (online and not id):
        raise RecipeError(
            "These options do not go together",
            expected="--rows VIEW with --id, and both with --online",
            received="--online without --id" if online and not id else "--id without --rows",
        )
    if not view:
        told = summary(place, MAIN)
        if as_json:
            typer.echo(json.dumps({"folder": MAIN, "views": told}, indent=1))
            return
        typer.echo(f"{'view':<22}{'by':<26}{'keys':>9}{'rows':>9}{'parts':>7}  newest event")
        for row in told:
            by = ", ".join(row["entities"])
            typer.echo(
                f"{row['name']:<22}{by:<26}{row['keys']:>9,}{row['rows']:>9,}{row['parts']:>7,}"
                f"  {row['newest_event'] or '–'}"
            )
        if not any(row["rows"] for row in told):
            typer.echo(f"No features were published in {place.uri} yet.")
        return
    chosen = view_of(view)
    table = history(place, MAIN, chosen, id)
    if online:
        from mammo_core.features.online import look_up

        keys = table[list(chosen.keys)].drop_duplicates().to_dict("records")
        table = look_up(place, MAIN, chosen, keys)
    if as_json:
        typer.echo(table.to_json(orient="records", date_format="iso", indent=1))
        return
    shown = table if id else table.tail(_SHOWN)
    typer.echo(shown.to_string(index=False))
    if len(shown) < len(table):
        typer.echo(f"The last {len(shown)} of {len(table):,} rows; --json gives all.")


@app.command()
def frame(
    store: _Store = _HERE,
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of",
            metavar="TIME",
            help="As it was known then: 2026-11-25T14:00 (UTC unless it says a zone), or a date "
            "for the end of that day. Default: now.",
        ),
    ] = "",
    frame_id: Annotated[
        str,
        typer.Option(
            "--frame",
            metavar="ID",
            help="The frame whose images, split and dataset are taken. Default: the one that was "
            "the last at that time.",
        ),
    ] = "",
    as_json: _Json = False,
) -> None:
    """Make the frame of a time: its images and split, and what was known of them then."""
    from mammo_core.features import frame_as_of

    place = _opened(store)
    made = frame_as_of(place, frame_id or None, _time(as_of) if as_of else None)
    told: dict[str, Any] = {
        "id": made.id,
        "uri": f"{place.uri}/{made.folder}",
        "as_of": as_of or None,
        "counts": made.counts,
        "splits": made.facts["splits"],
        "mean": made.facts["mean"],
        "rescale_factor": made.facts["rescale_factor"],
    }
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return
    typer.echo(f"frame {made.id}: {made.counts['images']} images, {made.counts['lesions']} lesions")
    for name, counts in told["splits"].items():
        typer.echo(
            f"{name:<12}{counts['images']:>8,} images{counts['patients']:>8,} patients"
            f"{counts['malignant']:>8,} malignant"
        )
    typer.echo(f"mean {told['mean']}, rescale factor {told['rescale_factor']:.6f}")
    typer.echo(told["uri"])


@app.command()
def labels(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE.csv",
            help="Columns lesion_id and pathology, or image_id and malignant (0 or 1), or both.",
        ),
    ],
    store: _Store = _HERE,
    as_json: _Json = False,
) -> None:
    """Publish corrected labels: today's frames have them, earlier ones stay as they were."""
    from mammo_core.features import MAIN
    from mammo_core.features.labels import publish_labels, read_labels

    corrections = read_labels(file)
    written = publish_labels(_opened(store), corrections, MAIN)
    if as_json:
        typer.echo(json.dumps({"corrections": len(corrections), "rows": written}, indent=1))
        return
    typer.echo(
        f"{len(corrections)} corrections: {written['lesion_label']} lesion labels and "
        f"{written['image_label']} image labels published"
    )
    if not any(written.values()):
        typer.echo("All of them were published before.")


def _opened(uri: str) -> "Store":
    """Open a store that must be there: features are looked up, not begun."""
    from mammo_core.store import open_store

    store = open_store(uri)
    store.require_exists()
    return store


def _time(text: str) -> datetime:
    """Read a time; a date alone is the end of that day. UTC unless a zone is given."""
    from datetime import UTC, timedelta

    from mammo_core.errors import RecipeError

    try:
        told = datetime.fromisoformat(text.strip())
    except ValueError as error:
        raise RecipeError(
            "--as-of cannot be read",
            expected="a date or time like 2026-11-25 or 2026-11-25T14:00:00+01:00",
            received=repr(text),
        ) from error
    zoned = told if told.tzinfo is not None else told.replace(tzinfo=UTC)
    if len(text.strip()) <= len("2026-11-25"):
        end = zoned + timedelta(days=1) - timedelta(microseconds=1)
        return min(end, datetime.now(UTC)) if zoned <= datetime.now(UTC) else zoned
    return zoned
