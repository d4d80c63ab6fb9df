"""`mammo models`: what the registry holds, and whether it is whole."""

import json
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Model packages and the registry they live in.")

_Uri = Annotated[
    str,
    typer.Argument(
        metavar="URI",
        help="A package folder, …/models/<name>/<version>, or …/models/<name> (its champion).",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_models(
    store: Annotated[str, typer.Option(metavar="URI", help="file:///folder or s3://bucket.")],
    as_json: _Json = False,
) -> None:
    """List every published version of every model; * marks the champion."""
    from mammo_core.packaging import champion, models, versions
    from mammo_core.store import open_store

    opened = open_store(store)
    rows = []
    for name in models(opened):
        best = champion(opened, name)
        for ref in versions(opened, name):
            current = best is not None and best.version == ref.version
            rows.append({**ref.model_dump(), "champion": current})
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        mark = "*" if row["champion"] else " "
        typer.echo(
            f"{mark} {row['name']} {row['version']:>3}  {row['model_id'][:12]}  {row['uri']}"
        )
    if not rows:
        typer.echo(f"No model is published in {opened.uri}.")


@app.command()
def show(uri: _Uri, as_json: _Json = False) -> None:
    """Show the card of a model, after its files were verified."""
    from mammo_core.packaging import resolve, verify

    folder = resolve(uri)
    verify(folder)
    name = "card.json" if as_json else "MODEL_CARD.md"
    typer.echo((folder / name).read_text(encoding="utf-8").rstrip())


@app.command("verify")
def verify_model(
    uri: _Uri,
    run: Annotated[
        bool, typer.Option(help="Also load the network and reproduce the expected outputs.")
    ] = True,
) -> None:
    """Check every file of a package, and that it predicts what it did when it was built."""
    from mammo_core.packaging import resolve, selfcheck, verify

    folder = resolve(uri)
    manifest = verify(folder)
    typer.echo(f"{manifest.name} {manifest.model_id}: every file is as it was built")
    if run:
        result = selfcheck(folder)
        typer.echo(
            f"{result.samples} samples reproduced, "
            f"largest difference {result.largest_difference:.2g}"
        )
