"""CBIS-DDSM: case tables and an image tree in, tables of images, lesions and rejects out."""

from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from pydantic import TypeAdapter

from mammo_core.errors import SourceError
from mammo_core.sources.cases import case_facts, read_case_rows
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files import ImageFile, Mask, describe, find_mask, series_uid
from mammo_core.sources.locate import Located, count_missing, locate
from mammo_core.sources.source_files import SourceFiles
from mammo_core.sources.source_tables import (
    IMAGE_COLUMNS,
    LESION_COLUMNS,
    REJECT_COLUMNS,
    ProgressCall,
    Rejects,
    Row,
    SourceTables,
    run_all,
    table_of,
    threads,
)

_MASK_OR_REASON: Final[TypeAdapter[Mask | str]] = TypeAdapter(Mask | str)


def index_cbis_ddsm(
    config: SourceConfig,
    progress: ProgressCall | None = None,
    workers: int | None = None,
    files: SourceFiles | None = None,
) -> SourceTables:
    """Find, hash and describe the images of the case tables, and the mask of each lesion.

    Files are found by names in any layout (`Tree`), and where names fail by the Series
    Instance UID in their headers; masks by content (`find_mask`). Byte-identical files under
    several folders are one image. An image is malignant if any row of its view in any table
    of its split is.

    Args:
        config: Where images and tables lie.
        progress: Called with what is done, how many, of how many.
        workers: Threads.
        files: The files, where something is known of them; default those of `config`.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: Tables that cannot be used, or no image of theirs under the root.
        OSError: The disk failed.
    """
    files = files or config.files()
    files.require_root(f"image folder {config.root}")
    rows = read_case_rows(config.table_files(files), config.partial)
    rejects = Rejects()
    with threads(workers) as pool:

        def read_uids(names: list[str]) -> list[str]:
            return run_all(pool, lambda name: series_uid(files, name), names, "headers", progress)

        located = locate(rows, files, read_uids)
        found = {cell: located.files[cell] for cell in sorted({r["image_path"] for r in rows})}
        wanted = sorted({name for names in found.values() for name in names})
        if not wanted:
            raise SourceError(
                f"No image of the case tables is under {config.root}",
                expected="first folders such as Mass-Training_P_00001_LEFT_CC, at any depth, or "
                "DICOM files of the series that the tables name",
                received="none of them with an image file",
            )
        described = run_all(pool, lambda name: describe(files, name), wanted, "images", progress)
        picked = _pick(found, dict(zip(wanted, described, strict=True)), rejects)
        images, ids = _images(rows, picked, rejects)
        lesions, rescaled = _lesions(files, located, rows, picked, ids, rejects, pool, progress)
    facts = case_facts(rows)
    per_view = Counter(str(image["view_id"]) for image in images)
    facts["missing"] = count_missing(rows, located)
    facts["files"] = {
        "image_files": len(wanted),
        "images": len(images),
        "identical_files": len(picked) - len(images),
        "views": len(per_view),
        "views_with_several_images": sum(count > 1 for count in per_view.values()),
        "lesions": len(lesions),
        "rescaled_masks": rescaled,
        "found_by": located.ways,
        "other_files": located.other_files,
        "rejects": rejects.by_kind(),
    }
    return SourceTables(
        images=table_of(images, IMAGE_COLUMNS),
        lesions=table_of(lesions, LESION_COLUMNS),
        rejects=table_of(rejects.rows, REJECT_COLUMNS),
        facts=facts,
    )


def _pick(
    found: dict[str, list[str]],
    described: dict[str, ImageFile],
    rejects: Rejects,
) -> dict[str, ImageFile]:
    """Return the one readable file of each image cell."""
    picked: dict[str, ImageFile] = {}
    for cell, paths in found.items():
        readable = [described[path] for path in paths if described[path].facts is not None]
        if len({file.sha256 for file in readable}) == 1:
            picked[cell] = readable[0]
        elif readable:
            names = ", ".join(file.path for file in readable)
            rejects.add(
                cell, "image", f"Several images are in its place. Expected one. Received {names}."
            )
        elif paths:
            for path in paths:
                rejects.add(path, "image", described[path].reason)
        else:
            rejects.add(cell, "image", "The image file is missing. Expected a file. Received none.")
    return picked


def _images(
    rows: list[Row], files: dict[str, ImageFile], rejects: Rejects
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
                rejects.add(
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
                "manufacturer": facts.manufacturer,
                "bits_stored": facts.bits_stored,
                "rows": facts.rows,
                "columns": facts.columns,
            }
        )
        ids.update(dict.fromkeys(cells, digest))
    return sorted(images, key=lambda image: (image["view_id"], image["path"])), ids


def _lesions(
    files: SourceFiles,
    located: Located,
    rows: list[Row],
    picked: dict[str, ImageFile],
    ids: dict[str, str],
    rejects: Rejects,
    pool: ThreadPoolExecutor,
    progress: ProgressCall | None,
) -> tuple[list[Row], list[str]]:
    """Return the lesion rows, and the ids of those whose mask has another size."""
    names = [f"{row['view_id']}_{row['lesion_type']}_{row['abnormality_id']}" for row in rows]
    often = Counter(names)
    seen: set[str] = set()
    wanted: list[tuple[str, Row]] = []
    for name, row in zip(names, rows, strict=True):
        lesion_id = name if often[name] == 1 else f"{name}_{row['official_split']}"
        if lesion_id in seen:
            rejects.add(
                f"{row['table']} row {row['row']}",
                "row",
                f"The lesion {lesion_id} is in the table twice. Expected once. Received again.",
            )
            continue
        seen.add(lesion_id)
        if row["image_path"] not in ids:
            rejects.add(
                lesion_id,
                "lesion",
                "Its mammogram was rejected. Expected an image. Received none at "
                f"{row['image_path']}.",
            )
            continue
        wanted.append((lesion_id, row))

    def look(item: tuple[str, Row]) -> Mask | str:
        _, row = item
        candidates = [*located.files[row["mask_path"]], *located.files[row["crop_path"]]]
        facts = picked[row["image_path"]].facts
        size = (facts.rows, facts.columns) if facts else (0, 0)
        names = list(dict.fromkeys(candidates))

        def find() -> Mask | str:
            try:
                return find_mask(files, names, *size)
            except SourceError as error:
                return str(error)

        return files.cached(f"mask of {size}", names, _MASK_OR_REASON, find)

    lesions: list[Row] = []
    rescaled: list[str] = []
    masks = run_all(pool, look, wanted, "masks", progress)
    for (lesion_id, row), mask in zip(wanted, masks, strict=True):
        if isinstance(mask, str):
            rejects.add(lesion_id, "lesion", mask)
            continue
        if mask.rescaled:
            rescaled.append(lesion_id)
        own: Row = {name: row[name] for name in LESION_COLUMNS if name in row}
        lesions.append(
            {
                **own,
                "lesion_id": lesion_id,
                "image_id": ids[row["image_path"]],
                "mask_path": mask.path,
                "mask_sha256": mask.sha256,
            }
        )
    return sorted(lesions, key=lambda lesion: str(lesion["lesion_id"])), sorted(rescaled)
