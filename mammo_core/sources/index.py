"""Case tables and an image tree in, tables of images, lesions and rejects out."""

import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import pandas as pd

from mammo_core.errors import SourceError
from mammo_core.sources.cases import case_facts, read_cases
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files import ImageFile, describe, find_mask
from mammo_core.sources.tree import Tree

#: Told what is being done, how many are done, and of how many.
ProgressCall = Callable[[str, int, int], None]

IMAGE_COLUMNS: Final = (
    "image_id", "path", "patient_key", "laterality", "view", "view_id", "source",
    "official_split", "official_splits", "breast_density", "malignant", "lesion_types",
    "bits_stored", "rows", "columns",
)  # fmt: skip
LESION_COLUMNS: Final = (
    "lesion_id", "image_id", "view_id", "patient_key", "abnormality_id", "lesion_type",
    "pathology", "malignant", "assessment", "subtlety", "mass_shape", "mass_margins",
    "calc_type", "calc_distribution", "mask_path", "mask_sha256", "official_split",
)  # fmt: skip
REJECT_COLUMNS: Final = ("item", "kind", "reason", "step")

Row = dict[str, Any]
T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class SourceTables:
    """What a source holds.

    Args:
        images: One row per different image file.
        lesions: One row per lesion with a mask that fits its image.
        rejects: What was left out, and why: item, kind (image|lesion|row), reason, step.
        facts: Counts of the case tables and of the files (JSON-able).
    """

    images: pd.DataFrame
    lesions: pd.DataFrame
    rejects: pd.DataFrame
    facts: dict[str, Any]


def index(
    config: SourceConfig, progress: ProgressCall | None = None, workers: int | None = None
) -> SourceTables:
    """Find, hash and describe the images of the case tables, and the mask of each lesion.

    Files are found by the tables' own paths or by the NBIA folder layout (`Tree`), masks by
    content (`find_mask`). Byte-identical files under several folders are one image. An
    image is malignant if any row of its view in any table of its split is. What is missing
    or broken becomes a reject; a disk that fails raises.

    Args:
        config: Where images and tables lie.
        progress: Called with what is done, how many, of how many.
        workers: Threads; by default two for each core, at most 16.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: Tables that cannot be used, or no image of theirs under the root.
        OSError: The disk failed.
    """
    cases = read_cases(config.tables_path, config.partial)
    root = config.root_path
    rows: list[Row] = [
        {str(name): value for name, value in row.items()} for row in cases.to_dict("records")
    ]
    cells = {str(row[name]) for row in rows for name in ("image_path", "crop_path", "mask_path")}
    tree = Tree(root, {cell.split("/", 1)[0] for cell in cells})
    rejects: list[Row] = []

    def reject(item: str, kind: str, reason: str) -> None:
        rejects.append({"item": item, "kind": kind, "reason": reason, "step": "index"})

    threads = workers or min(16, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(threads) as pool:
        found = {
            cell: tree.files(cell) for cell in sorted({str(row["image_path"]) for row in rows})
        }
        wanted = sorted({path for paths in found.values() for path in paths})
        if not wanted:
            raise SourceError(
                f"No image of the case tables is under {root}",
                expected="first folders such as Mass-Training_P_00001_LEFT_CC, at any depth",
                received="none of them with an image file",
            )
        described = dict(
            zip(
                wanted,
                _run(pool, lambda path: describe(root, path), wanted, "images", progress),
                strict=True,
            )
        )
        files = _pick(found, described, reject)
        images, ids = _images(rows, files, reject)
        lesions = _lesions(root, tree, rows, files, ids, reject, pool, progress)
    tables = SourceTables(
        images=_table(images, IMAGE_COLUMNS),
        lesions=_table(lesions, LESION_COLUMNS),
        rejects=_table(rejects, REJECT_COLUMNS),
        facts=case_facts(cases),
    )
    tables.facts["files"] = {
        "image_files": len(wanted),
        "images": len(images),
        "views": len({image["view_id"] for image in images}),
        "lesions": len(lesions),
        "rejects": dict(sorted(Counter(str(row["kind"]) for row in rejects).items())),
    }
    return tables


def _run(
    pool: ThreadPoolExecutor,
    work: Callable[[T], R],
    items: list[T],
    what: str,
    progress: ProgressCall | None,
) -> list[R]:
    done: list[R] = []
    for result in pool.map(work, items):
        done.append(result)
        if progress is not None:
            progress(what, len(done), len(items))
    return done


def _pick(
    found: dict[str, list[str]],
    described: dict[str, ImageFile],
    reject: Callable[[str, str, str], None],
) -> dict[str, ImageFile]:
    """Return the one readable file of each image cell."""
    picked: dict[str, ImageFile] = {}
    for cell, paths in found.items():
        readable = [described[path] for path in paths if described[path].facts is not None]
        if len({file.sha256 for file in readable}) == 1:
            picked[cell] = readable[0]
        elif readable:
            names = ", ".join(file.path for file in readable)
            reject(
                cell, "image", f"Several images are in its place. Expected one. Received {names}."
            )
        elif paths:
            for path in paths:
                reject(path, "image", described[path].reason)
        else:
            reject(cell, "image", "The image file is missing. Expected a file. Received none.")
    return picked


def _images(
    rows: list[Row], files: dict[str, ImageFile], reject: Callable[[str, str, str], None]
) -> tuple[list[Row], dict[str, str]]:
    """Return the image rows, and the image id of each image cell."""
    by_digest: dict[str, list[Row]] = defaultdict(list)
    of_view: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        of_view[row["view_id"], row["official_split"]].append(row)
        if row["image_path"] in files:
            by_digest[files[row["image_path"]].sha256].append(row)
    images: list[Row] = []
    ids: dict[str, str] = {}
    for digest, own in by_digest.items():
        views = sorted({str(row["view_id"]) for row in own})
        cells = sorted({str(row["image_path"]) for row in own})
        if len(views) > 1:
            for cell in cells:
                reject(
                    files[cell].path,
                    "image",
                    "One picture stands for several views. Expected one view. "
                    f"Received {', '.join(views)}.",
                )
            continue
        splits = sorted({str(row["official_split"]) for row in own})
        related = [row for split in splits for row in of_view[views[0], split]]
        file = min((files[cell] for cell in cells), key=lambda file: file.path)
        facts = file.facts
        if facts is None:  # _pick leaves none such.
            continue
        images.append(
            {
                "image_id": digest,
                "path": file.path,
                **{name: own[0][name] for name in ("patient_key", "laterality", "view", "view_id")},
                "source": "cbis_ddsm",
                "official_split": splits[-1],
                "official_splits": "+".join(splits),
                "breast_density": next(
                    (row["breast_density"] for row in related if row["breast_density"]), 0
                ),
                "malignant": max(int(row["malignant"]) for row in related),
                "lesion_types": "+".join(sorted({str(row["lesion_type"]) for row in related})),
                "bits_stored": facts.bits_stored,
                "rows": facts.rows,
                "columns": facts.columns,
            }
        )
        ids.update(dict.fromkeys(cells, digest))
    return sorted(images, key=lambda image: (image["view_id"], image["path"])), ids


def _lesions(
    root: Path,
    tree: Tree,
    rows: list[Row],
    files: dict[str, ImageFile],
    ids: dict[str, str],
    reject: Callable[[str, str, str], None],
    pool: ThreadPoolExecutor,
    progress: ProgressCall | None,
) -> list[Row]:
    names = [f"{row['view_id']}_{row['lesion_type']}_{row['abnormality_id']}" for row in rows]
    often = Counter(names)
    seen: set[str] = set()
    wanted: list[tuple[str, Row]] = []
    for name, row in zip(names, rows, strict=True):
        lesion_id = name if often[name] == 1 else f"{name}_{row['official_split']}"
        if lesion_id in seen:
            reject(
                f"{row['table']} row {row['row']}",
                "row",
                f"The lesion {lesion_id} is in the table twice. Expected once. Received again.",
            )
            continue
        seen.add(lesion_id)
        if row["image_path"] not in ids:
            reject(
                lesion_id,
                "lesion",
                "Its mammogram was rejected. Expected an image. Received none at "
                f"{row['image_path']}.",
            )
            continue
        wanted.append((lesion_id, row))

    def look(item: tuple[str, Row]) -> tuple[str, str] | str:
        _, row = item
        candidates = list(
            dict.fromkeys(tree.files(row["mask_path"]) + tree.files(row["crop_path"]))
        )
        facts = files[row["image_path"]].facts
        try:
            return find_mask(
                root, candidates, facts.rows if facts else 0, facts.columns if facts else 0
            )
        except SourceError as error:
            return str(error)

    lesions: list[Row] = []
    for (lesion_id, row), mask in zip(
        wanted, _run(pool, look, wanted, "masks", progress), strict=True
    ):
        if isinstance(mask, str):
            reject(lesion_id, "lesion", mask)
            continue
        own: Row = {name: row[name] for name in LESION_COLUMNS if name in row}
        lesions.append(
            {
                **own,
                "lesion_id": lesion_id,
                "image_id": ids[row["image_path"]],
                "mask_path": mask[0],
                "mask_sha256": mask[1],
            }
        )
    return sorted(lesions, key=lambda lesion: str(lesion["lesion_id"]))


def _table(rows: Iterable[Row], columns: tuple[str, ...]) -> pd.DataFrame:
    numbers = {
        "breast_density", "malignant", "bits_stored", "rows", "columns", "abnormality_id",
        "assessment", "subtlety",
    }  # fmt: skip
    table = pd.DataFrame(list(rows), columns=pd.Index(columns))
    return table.astype({name: "int64" if name in numbers else "object" for name in columns})
