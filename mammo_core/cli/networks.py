"""`mammo models describe`, `find-batch-size` and imports: networks, published or not."""

import json
from pathlib import Path
from typing import Annotated

import typer

_Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


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
    """Show a network's layers, parameters, FLOPs, memory and the batch that fits."""
    from mammo_core.packaging.keras_file import import_keras
    from mammo_core.registry import open_package

    if "/" in name and not name.endswith(".keras"):
        name = str(open_package(name).folder / "model.keras")
    import_keras()
    from mammo_core.models.precision import parse_precision
    from mammo_core.models.printout import describe_named, format_description, parse_size

    description = describe_named(
        name,
        parse_size(size) if size else None,
        head=head or None,
        topology=topology,
        classes=classes or None,
        precision=parse_precision(precision),
        memory_gib=memory,
    )
    typer.echo(
        json.dumps(description, indent=2)
        if as_json
        else format_description(description, every_layer=every_layer)
    )


def find_batch_size(
    recipe: Annotated[str, typer.Option(help="File or name of the recipe.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="key.key=value: overrides the recipe; may be repeated."),
    ] = None,
    largest: Annotated[int, typer.Option(min=1, help="Largest batch size to try.")] = 512,
    as_json: _Json = False,
) -> None:
    """Find the largest batches on which this machine can train a recipe's networks."""
    from mammo_core.experiments.batch_sizes import find_batch_sizes
    from mammo_core.recipes import load_recipe

    sizes = find_batch_sizes(load_recipe(recipe, settings or []), largest)
    if as_json:
        typer.echo(json.dumps(sizes))
        return
    for part, size in sizes.items():
        typer.echo(f"--set {part}.batch_size={size}")


def import_keras2(
    file: Annotated[Path, typer.Argument(metavar="FILE.h5", help="A whole model: model.save.")],
    out: Annotated[
        Path,
        typer.Option(
            metavar="MODEL",
            help="NAME.keras: the network, with its contract in NAME.json. Any other name: a "
            "folder with a model package. `mammo score --model` accepts both.",
        ),
    ],
    preprocessing: Annotated[
        str,
        typer.Option(
            help="How pixels reach the network: ddsm, inbreast, a JSON file or a JSON object "
            "(at least `mean`). Not needed for published files under their names."
        ),
    ] = "",
    classes: Annotated[
        str, typer.Option(help="Names of the outputs by index; default for two: neg,pos.")
    ] = "",
    patch_model: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.h5", help="A patch network to include in the package, for heatmaps."
        ),
    ] = None,
    patch_size: Annotated[int, typer.Option(min=1, help="Side of its patches, pixels.")] = 224,
    patch_classes: Annotated[str, typer.Option(help="Names of its outputs by index.")] = "",
    as_json: _Json = False,
) -> None:
    """Import a network saved by Keras 2.0.8, such as the published ones; its code is not run."""
    from mammo_core.packaging.imported import PatchNetwork, import_model

    names, patch_names = (
        tuple(name.strip() for name in text.split(",")) if text else ()
        for text in (classes, patch_classes)
    )
    patch = None if patch_model is None else PatchNetwork(patch_model, patch_size, patch_names)
    result = import_model(file, out, preprocessing=preprocessing, classes=names, patch=patch)
    if as_json:
        typer.echo(json.dumps(result.content, indent=2))
        return
    imported, contract = result.content["imported"], result.content["preprocessing"]
    frozen = imported["frozen"]
    typer.echo(
        f"{imported['name']} of {imported['file']} (Keras {imported['keras_version']}): "
        f"{imported['layers']} layers, {imported['parameters']:,} parameters"
    )
    typer.echo(
        f"trainable: all; {len(frozen)} layers were frozen in the file"
        + (f" ({', '.join(frozen[:3])}, …)" if frozen else "")
    )
    if imported["ignored"]:
        typer.echo(f"ignored: {', '.join(imported['ignored'])}")
    if contract is None:
        typer.echo("input contract: unknown; give --preprocessing to store one")
    else:
        geometry = contract["geometry"]
        size = f"{geometry['height']}x{geometry['width']}x{contract['channels']}"
        scale = f"pixel x {contract['rescale_factor']:.6g} - {contract['mean']:g}"
        typer.echo(f"input contract: {size}, {scale}")
    typer.echo(f"model: {result.folder or result.model}")


def import_torch(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint: of torch.save, or safetensors.")
    ],
    network: Annotated[
        str,
        typer.Option(
            help="petrini-2022-efficientnet-b0, petrini-2025-efficientnet-b3 or "
            "petrini-2025-convnext-base: both views of a breast."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="The model package.")],
    key: Annotated[
        str, typer.Option(help="Where in the file the weights are, if there are several.")
    ] = "",
    preprocessing: Annotated[
        str,
        typer.Option(
            help="A JSON file or object with what differs from the published input: "
            '{"geometry": {"height": 576, "width": 448}}.'
        ),
    ] = "",
    as_json: _Json = False,
) -> None:
    """Import a published two-view network of PyTorch as a package; its code is not run."""
    from mammo_core.packaging.torch_models import import_torch as import_checkpoint

    content = import_checkpoint(file, out, network, key=key or None, preprocessing=preprocessing)
    if as_json:
        typer.echo(json.dumps(content, indent=2))
        return
    typer.echo(f"{content['file']} ({content['format']}): {content['parameters']:,} parameters")
    typer.echo(f"package: {content['package']}")
