"""`mammo export`: a dataset as folders of PNG files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mammo_core.cli.scoring_options import Acknowledge

if TYPE_CHECKING:
    from mammo_core.datasets import Manifest
    from mammo_core.store import Store


def export(
    dataset: Annotated[
        str,
        typer.Argument(
            metavar="DATASET",
            help="datasets/images/ID or datasets/patches/ID in the store, a URI that ends like "
            "this, or the file of a manifest.",
        ),
    ],
    out: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
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
    acknowledge: Acknowledge = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Write a dataset as 16-bit PNG files in folders, under the original system's names.

    DIR/train|val|test/CLASS/PATIENT_SIDE_VIEW_ABNORMALITY_NUMBER.png for patches,
    DIR/train|val|test/neg|pos/PATIENT_SIDE_VIEW.png for images; pat_lst.txt lists the patients
    of each split, index.csv the record of each file.
    """
    import json

    from mammo_core.errors import RecipeError
    from mammo_core.features.export import export as write
    from mammo_core.features.frame import frame_of_dataset, read_frame
    from mammo_core.progress import progress
    from mammo_core.sampling.labels import LABEL_MAPS, LabelMap
    from mammo_core.sources.card.known_terms import dataset_terms
    from mammo_core.sources.card.terms import acknowledged_names, require_allowed

    if label_map not in LABEL_MAPS:
        raise RecipeError(
            "Unknown label map", expected=f"one of {', '.join(LABEL_MAPS)}", received=label_map
        )
    opened, manifest = _find_dataset(dataset, store)
    require_allowed(
        dataset_terms(opened, manifest),
        "image_redistribution",
        acknowledged_names(acknowledge or ()),
        "The dataset cannot be exported",
    )
    data = read_frame(opened, frame) if frame else frame_of_dataset(opened, manifest)
    total = sum(file.count or 0 for file in manifest.files_like("shard-"))
    with progress("export", total, "records") as bar:
        result = write(opened, manifest, data, out, LabelMap.model_validate(label_map), bar.advance)
    if as_json:
        document = {
            "folder": str(result.folder),
            "frame": data.id,
            "left_out": result.left_out,
            "counts": result.counts,
        }
        typer.echo(json.dumps(document))
        return
    for name, count in result.counts.items():
        typer.echo(f"{count:>8} {name}")
    typer.echo(
        f"{result.folder}: {sum(result.counts.values())} files, labeled by frame {data.id}; "
        f"{result.left_out} records left out"
    )


def _find_dataset(dataset: str, uri: str) -> tuple["Store", "Manifest"]:
    from mammo_core.datasets import parse
    from mammo_core.errors import RecordError
    from mammo_core.ingest.kinds import IMAGE_DATASET, PATCH_DATASET
    from mammo_core.store import open_store

    if Path(dataset).is_file():
        return open_store(uri), parse(Path(dataset).read_bytes(), dataset)
    kinds = (IMAGE_DATASET, PATCH_DATASET)
    location = dataset.rstrip("/").removesuffix("/manifest.json")
    for kind in kinds:
        head, is_of_kind, id = location.rpartition(f"{kind.folder}/")
        if is_of_kind and (not head or head.endswith("/")):
            store = open_store(head.rstrip("/") or uri)
            manifest = kind.find(store, id)
            if manifest is not None:
                return store, manifest
            uri = store.uri
    raise RecordError(
        f"There is no dataset {dataset} in {uri}",
        expected=f"a published dataset: {' or '.join(kind.output('ID') for kind in kinds)}",
        received=dataset,
        hint="`mammo store ls` lists the datasets",
    )
