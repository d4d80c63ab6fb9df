"""`mammo models`: what the registry holds, and whether it is whole."""

import json
from pathlib import Path
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


@app.command("import-keras2")
def import_keras2(
    file: Annotated[Path, typer.Argument(metavar="FILE.h5", help="A whole model: model.save.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="MODEL",
            help="NAME.keras: the network, its contract beside it in NAME.json. Any other name: "
            "a model package, a folder for `mammo score`.",
        ),
    ],
    preprocessing: Annotated[
        str,
        typer.Option(
            help="How pixels reach the network: ddsm, inbreast, a JSON file or a JSON object "
            "(`mean` at least). Not needed for the published files by their names."
        ),
    ] = "",
    classes: Annotated[
        str, typer.Option(help="Names of the outputs by index; neg,pos where there are two.")
    ] = "",
    as_json: _Json = False,
) -> None:
    """Import a network that Keras 2.0.8 saved, such as the published ones. Runs no code of it."""
    from mammo_core.packaging.imported import import_model

    names = [name.strip() for name in classes.split(",")] if classes else []
    done = import_model(file, out, preprocessing=preprocessing, classes=names)
    if as_json:
        typer.echo(json.dumps(done.content, indent=2))
        return
    found, way = done.content["imported"], done.content["preprocessing"]
    frozen = found["frozen"]
    typer.echo(
        f"{found['name']} of {found['file']} (Keras {found['keras_version']}): "
        f"{found['layers']} layers, {found['parameters']:,} parameters"
    )
    typer.echo(
        f"trainable: all; {len(frozen)} layers were frozen in the file"
        + (f" ({', '.join(frozen[:3])}, …)" if frozen else "")
    )
    if found["ignored"]:
        typer.echo(f"ignored: {', '.join(found['ignored'])}")
    if way is None:
        typer.echo("input contract: not known; give --preprocessing to keep one")
    else:
        size = f"{way['geometry']['height']}x{way['geometry']['width']}x{way['channels']}"
        typer.echo(f"input contract: {size}, pixel x {way['rescale_factor']:.6g} - {way['mean']:g}")
    typer.echo(f"model: {done.folder or done.model}")
