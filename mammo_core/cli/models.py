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
_Store = Annotated[
    str,
    typer.Option(metavar="URI", envvar="MAMMO_STORE", help="file:///folder or s3://bucket."),
]
_PublicKey = Annotated[
    Path | None,
    typer.Option(metavar="PEM", envvar="MAMMO_PUBLIC_KEY", help="The key it must be signed by."),
]
_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


@app.command("list")
def list_models(
    store: _Store,
    as_json: _Json = False,
) -> None:
    """List every published version of every model; * marks the champion."""
    from mammo_core.registry import champion, models, versions
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
    from mammo_core.packaging import verify
    from mammo_core.registry import resolve

    folder = resolve(uri)
    verify(folder)
    name = "card.json" if as_json else "MODEL_CARD.md"
    typer.echo((folder / name).read_text(encoding="utf-8").rstrip())


@app.command("verify")
def verify_model(
    uri: _Uri,
    public_key: _PublicKey = None,
    run: Annotated[
        bool, typer.Option(help="Also load the network and reproduce the expected outputs.")
    ] = True,
    as_json: _Json = False,
) -> None:
    """Check every file of a package, its signature, and that it predicts what it did.

    The signature is checked against the key you give, never against one of the package, and
    nothing is asked of the network. Without a key it is only told whether there is one.
    """
    from mammo_core.packaging import self_check, verify
    from mammo_core.registry import resolve

    folder = resolve(uri)
    manifest = verify(folder, public_key)
    signed = manifest.signed_by != "unsigned"
    result = self_check(folder) if run else None
    if as_json:
        told = {
            "name": manifest.name,
            "model_id": manifest.model_id,
            "files": "as built",
            "signed_by": manifest.signed_by,
            "signature": "verified" if public_key else "not checked" if signed else "unsigned",
            "samples": result.samples if result else None,
            "largest_difference": result.largest_difference if result else None,
            "tolerance": manifest.tolerance,
        }
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{manifest.name} {manifest.model_id}: every file is as it was built")
    if public_key is not None:
        typer.echo(f"signature: verified with {public_key}")
    elif signed:
        typer.echo(
            f"signature: there is one, by the key {manifest.signed_by[:16]}; not checked, give "
            "--public-key"
        )
    else:
        typer.echo("signature: unsigned")
    if result is not None:
        typer.echo(
            f"{result.samples} samples reproduced, "
            f"largest difference {result.largest_difference:.2g}"
        )


@app.command("push")
def push_package(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the package.")],
    store: _Store,
    name: Annotated[
        str, typer.Option(help="Name of the model in the registry; default: the package's.")
    ] = "",
    public_key: _PublicKey = None,
) -> None:
    """Publish a package as the next version of a model, and as its champion.

    No gate is asked: that is for the pipeline. The package must reproduce its expected
    outputs in a process of its own first.
    """
    from mammo_core.packaging import verify_in_new_process, verify
    from mammo_core.registry import push
    from mammo_core.registry.kubeflow import ModelRegistry
    from mammo_core.store import open_store

    registry = ModelRegistry.from_environment()
    manifest = verify(folder, public_key)
    verify_in_new_process(folder)
    model = name or manifest.name
    done = push(open_store(store), folder, model, public_key=public_key)
    typer.echo(f"{'pushed' if done.new else 'found'} {done.uri}")
    if registry is not None:
        registry.register(model, done.version, done.uri, manifest)
        typer.echo("registered in the Kubeflow model registry")


@app.command()
def promote(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    version: Annotated[int, typer.Argument(min=1, help="To become the champion.")],
    store: _Store,
) -> None:
    """Make a published version the champion, whatever the gate said."""
    from mammo_core.registry import promote as make_champion
    from mammo_core.store import open_store

    done = make_champion(open_store(store), name, version)
    typer.echo(f"the champion of {name} is version {done.version}, {done.model_id[:12]}")


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="Of the model.")],
    store: _Store,
) -> None:
    """Bring back the champion before; the present one is withdrawn until it is promoted."""
    from mammo_core.registry import rollback as bring_back
    from mammo_core.store import open_store

    done = bring_back(open_store(store), name)
    typer.echo(f"the champion of {name} is version {done.version}, {done.model_id[:12]}")


@app.command()
def compare(
    uri: _Uri,
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="The same of another.")],
    report: Annotated[
        Path | None, typer.Option(metavar="HTML", help="Write the comparison as a page.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Compare two models: what their cards say, and paired on the same test images.

    The paired part needs versions of a registry whose store still holds their evaluations.
    """
    from mammo_core.registry.comparison import compare_packages

    done = compare_packages(uri, reference)
    if report is not None and done.paired is not None:
        from mammo_core.evaluation.report.comparison import comparison_report

        report.parent.mkdir(parents=True, exist_ok=True)
        ids = {f"Model id of {one['name']}": one["model_id"] for one in done.models}
        report.write_text(comparison_report(done.paired, facts=ids), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(done.as_json(), indent=2))
    else:
        for line in done.lines():
            typer.echo(line)
    if done.paired is None and report is not None:
        typer.echo("No page was written.", err=True)
        raise typer.Exit(1)


@app.command("describe")
def describe_model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", help="resnet50, vgg16, …, a .keras file, or a package as above."
        ),
    ],
    size: Annotated[
        str, typer.Option(metavar="HxW", help="224x224 unless given; 1152x896 with a head.")
    ] = "",
    head: Annotated[
        str,
        typer.Option(help="[512-512-1024]x2, 512x1, fc16-8, heatmap+fc16-8+shortcut: whole image."),
    ] = "",
    topology: Annotated[str, typer.Option(help="today, or keras2: as the original's.")] = "today",
    classes: Annotated[int, typer.Option(min=0, help="5 unless given; 2 with a head.")] = 0,
    precision: Annotated[
        str, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")
    ] = "float32",
    memory: Annotated[float, typer.Option(min=0, help="GiB that a batch should fit into.")] = 16.0,
    every_layer: Annotated[
        bool, typer.Option("--layers", help="Also the layers of the patch network.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Tell a network's layers, parameters, FLOPs, memory and the batch that fits."""
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.registry import resolve

    import_keras()
    from mammo_core.models.precision import parse_precision
    from mammo_core.models.printout import describe_named, format_description, parse_size

    if "/" in name and not name.endswith(".keras"):
        name = str(resolve(name) / "model.keras")
    told = describe_named(
        name,
        parse_size(size) if size else None,
        head=head or None,
        topology=topology,
        classes=classes or None,
        precision=parse_precision(precision),
        memory_gib=memory,
    )
    typer.echo(json.dumps(told, indent=2) if as_json else format_description(told, every_layer=every_layer))


@app.command("find-batch-size")
def find_batch_size(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
    ] = None,
    largest: Annotated[int, typer.Option(min=1, help="Not tried beyond.")] = 512,
    as_json: _Json = False,
) -> None:
    """Tell the largest batches that this machine trains a recipe's networks on."""
    from mammo_core.recipes import load_recipe
    from mammo_core.steps.batch_sizes import find_batch_sizes

    found = find_batch_sizes(load_recipe(recipe, settings or []), largest)
    if as_json:
        typer.echo(json.dumps(found))
        return
    for part, count in found.items():
        typer.echo(f"--set {part}.batch_size={count}")


@app.command("import-keras2")
def import_keras2(
    file: Annotated[Path, typer.Argument(metavar="FILE.h5", help="A whole model: model.save.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="MODEL",
            help="NAME.keras: the network, its contract beside it in NAME.json. Any other name: "
            "a model package, a folder. `mammo score --model` takes both.",
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
    patch_model: Annotated[
        Path | None,
        typer.Option(metavar="FILE.h5", help="A patch network to keep in the package: heatmaps."),
    ] = None,
    patch_size: Annotated[int, typer.Option(min=1, help="Side of its patches, pixels.")] = 224,
    patch_classes: Annotated[str, typer.Option(help="Names of its outputs by index.")] = "",
    as_json: _Json = False,
) -> None:
    """Import a network that Keras 2.0.8 saved, such as the published ones. Runs no code of it."""
    from mammo_core.packaging.imported import PatchNetwork, import_model

    names, patch_names = (
        tuple(name.strip() for name in text.split(",")) if text else ()
        for text in (classes, patch_classes)
    )
    patch = None if patch_model is None else PatchNetwork(patch_model, patch_size, patch_names)
    done = import_model(file, out, preprocessing=preprocessing, classes=names, patch=patch)
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
