"""`mammo convert` and `mammo sample`: the data path alone, or one partition of its work."""

from pathlib import Path
from typing import Annotated

import typer

_Recipe = Annotated[str, typer.Option(help="File or name of the recipe.")]
_Store = Annotated[
    str, typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://).")
]
_Source = Annotated[
    str | None,
    typer.Option(help="Folder or s3:// URI of the mammograms (instead of the recipe's)."),
]
_Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
]
_Partition = Annotated[
    str,
    typer.Option(
        metavar="I/N",
        help="Make only the planned shards k with k % N == I and publish nothing. The same "
        "command without --partition reuses them, makes the rest and publishes the dataset.",
    ),
]
_RunId = Annotated[str, typer.Option(help="Id of the run; default: recipe and time.")]


def convert(
    recipe: _Recipe,
    store: _Store = "file://store",
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    run_id: _RunId = "",
) -> None:
    """Convert the mammograms of a recipe's source to image records."""
    _run("convert", recipe, store, source, settings, partition, run_id)


def sample(
    recipe: _Recipe,
    store: _Store = "file://store",
    source: _Source = None,
    settings: _Settings = None,
    partition: _Partition = "",
    run_id: _RunId = "",
) -> None:
    """Sample patches from a recipe's image records; convert the mammograms first if needed."""
    _run("sample", recipe, store, source, settings, partition, run_id)


def _run(
    last: str,
    reference: str,
    uri: str,
    source: str | None,
    settings: list[str] | None,
    partition: str,
    run_id: str,
) -> None:
    import json
    import tempfile
    from datetime import UTC, datetime

    from mammo_core import steps
    from mammo_core.ingest import Partition
    from mammo_core.recipes import load_recipe
    from mammo_core.store import open_store

    if partition:
        Partition.parse(partition)  # refuse a wrong option before any work
    overrides = list(settings or [])
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    recipe = load_recipe(reference, overrides)
    store = open_store(uri)
    run_id = run_id or f"{recipe.name}-{last}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    key = f"runs/{run_id}/recipe.json"
    store.write(key, recipe.to_json().encode())
    common = {"store": store.uri, "run_id": run_id, "recipe": f"{store.uri}/{key}"}
    with tempfile.TemporaryDirectory(prefix="mammo-steps-") as folder:

        def path(name: str) -> str:
            return str(Path(folder) / name)

        steps.index(**common, out=path("tables"))
        inputs = {**common, "tables": path("tables"), "out": path("images")}
        if last == "convert":
            summary = steps.convert(**inputs, partition=partition)
        else:
            steps.convert(**inputs)
            summary = steps.sample(
                **common, images=path("images"), out=path("patches"), partition=partition
            )
    typer.echo(json.dumps(summary))
