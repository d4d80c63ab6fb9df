"""`mammo export`: a dataset as folders of PNG files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mammo_core.datasets import Manifest
    from mammo_core.store import Store


def export(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="datasets/images/ID or datasets/patches/ID of the store, a whole URI that ends "
            "so, or the manifest that a step wrote (a file).",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A folder, absent or empty.")],
    store: Annotated[
        str, typer.Option(envvar="MAMMO_STORE", help="URI of the object store (file:// or s3://).")
    ] = "file://store",
    frame: Annotated[
        str,
        typer.Option(metavar="ID", help="Classes and splits; default: the dataset's only frame."),
    ] = "",
    label_map: Annotated[
        str,
        typer.Option(metavar="NAME", help="Classes of patches: five-classes, malignancy, masses."),
    ] = "five-classes",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a dataset as 16-bit PNG files in folders, under the original system's names.

    DIR/train|val|test/CLASS/PATIENT_SIDE_VIEW_ABNORMALITY_NUMBER.png for patches,
    DIR/train|val|test/neg|pos/PATIENT_SIDE_VIEW.png for images; pat_lst.txt lists the patients
    of each split, index.csv tells what each file is.
    """
    import json

    from mammo_core.errors import RecipeError
    from mammo_core.features.export import export as write
    from mammo_core.features.export import frame_of
    from mammo_core.features.frame import read_frame
    from mammo_core.progress import progress
    from mammo_core.sampling.labels import LABEL_MAPS, LabelMap

    if label_map not in LABEL_MAPS:
        raise RecipeError(
            "Unknown label map", expected=f"one of {', '.join(LABEL_MAPS)}", received=label_map
        )
    place, manifest = _find(dataset, store)
    chosen = read_frame(place, frame) if frame else frame_of(place, manifest)
    total = sum(file.count or 0 for file in manifest.files_like("shard-"))
    with progress("export", total, "records") as shown:
        done = write(
            place, manifest, chosen, out, LabelMap.model_validate(label_map), shown.advance
        )
    if as_json:
        told = {"folder": str(done.folder), "frame": chosen.id, "left_out": done.left_out}
        typer.echo(json.dumps({**told, "counts": done.counts}))
        return
    for name, count in done.counts.items():
        typer.echo(f"{count:>8} {name}")
    typer.echo(
        f"{done.folder}: {sum(done.counts.values())} files by frame {chosen.id}, "
        f"{done.left_out} records left out"
    )


def _find(dataset: str, uri: str) -> tuple["Store", "Manifest"]:
    from mammo_core.datasets import find, parse
    from mammo_core.errors import RecordError
    from mammo_core.store import open_store

    if Path(dataset).is_file():
        return open_store(uri), parse(Path(dataset).read_bytes(), dataset)
    head, found, tail = dataset.rstrip("/").rpartition("datasets/")
    kind, _, id = tail.removesuffix("/manifest.json").partition("/")
    store = open_store(head.rstrip("/") if head else uri)
    manifest = find(store, f"datasets/{kind}", id) if found and kind and id else None
    if manifest is None:
        raise RecordError(
            f"There is no dataset {dataset} in {store.uri}",
            expected="datasets/images/ID or datasets/patches/ID, published",
            received=dataset,
            hint="`mammo store ls` lists what is there",
        )
    return store, manifest
