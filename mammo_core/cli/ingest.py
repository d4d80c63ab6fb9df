"""`mammo convert` and `mammo sample`: the data steps alone, or one partition of their work."""

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
        help="Write only the planned shards k with k % N == I and publish nothing. The same "
        "command without --partition reuses them, writes the others and publishes the dataset.",
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
    store: str,
    source: str | None,
    settings: list[str] | None,
    partition: str,
    run_id: str,
) -> None:
    import json
    from datetime import UTC, datetime

    from mammo_core import steps
    from mammo_core.ingest import Partition
    from mammo_core.recipes import load_recipe
    from mammo_core.runs import Run
    from mammo_core.steps.index import index
    from mammo_core.store import open_store

    if partition:
        Partition.parse(partition)  # refuse an invalid option before any work
    overrides = list(settings or [])
    if source is not None:
        overrides.append(f"source.root={json.dumps(source)}")
    recipe = load_recipe(reference, overrides)
    default_id = f"{recipe.name}-{last}-{datetime.now(UTC):%Y%m%dT%H%M%S%f}"
    run = Run(open_store(store), run_id or default_id)
    run.write_recipe(recipe)
    tables = index(run)
    if last == "convert":
        result = steps.convert.execute(run, tables=tables, partition=partition)
    else:
        images = steps.convert(run, tables=tables)
        result = steps.sample.execute(run, tables=tables, images=images, partition=partition)
    typer.echo(json.dumps(result.metadata))
