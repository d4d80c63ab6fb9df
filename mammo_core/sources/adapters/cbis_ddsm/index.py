"""Rows of the case tables to the cases that the assembler reads."""

from collections import Counter, defaultdict

from mammo_core.errors import SourceError
from mammo_core.sources.adapters.cbis_ddsm.case_tables import (
    Case,
    case_table_facts,
    read_case_rows,
)
from mammo_core.sources.adapters.cbis_ddsm.layout import CellFiles, count_missing, locate_cells
from mammo_core.sources.assemble import assemble
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.image_files import series_uid
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import ImageCase, LesionCase
from mammo_core.sources.tables.source_tables import (
    ProgressCall,
    Rejects,
    SourceTables,
    run_all,
    threads,
)


def index_cbis_ddsm(
    config: SourceConfig,
    files: SourceFiles,
    progress: ProgressCall | None = None,
    workers: int | None = None,
) -> SourceTables:
    """Find, hash and describe the images of the case tables, and the mask of each lesion.

    Files are located by names in any layout, and where names fail by the Series Instance UID
    in their headers (`locate_cells`); masks are recognized by content. An image is malignant
    if any row of its view in any table is, whatever its split. A patient has one exam, because
    every image is a DICOM study of its own.

    Args:
        config: The source.
        files: The files under its root.
        progress: Called with what is being done, how many are done, and of how many.
        workers: Threads.

    Returns:
        The tables, rows in a fixed order.

    Raises:
        SourceError: The tables cannot be used, or none of their images can.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    rows = read_case_rows(_table_files(config, files), config.partial)
    with threads(workers) as pool:

        def read_uids(names: list[str]) -> list[str]:
            return run_all(pool, lambda name: series_uid(files, name), names, "headers", progress)

        cell_files = locate_cells(rows, files, read_uids)
    if not any(cell_files.files[row["image_path"]] for row in rows):
        raise SourceError(
            f"No image of the case tables is under {config.root}",
            expected="first folders such as Mass-Training_P_00001_LEFT_CC, at any depth, or "
            "DICOM files of the series that the tables name",
            received="none of them with an image file",
        )
    rejects = Rejects()
    return assemble(
        files,
        "cbis_ddsm",
        image_cases(rows, cell_files, rejects),
        rejects,
        facts={**case_table_facts(rows), "missing": count_missing(rows, cell_files)},
        file_facts={"located_by": cell_files.ways, "other_files": cell_files.other_files},
        view_labels="any",
        lesions_need_images=True,
        progress=progress,
        workers=workers,
    )


def _table_files(config: SourceConfig, files: SourceFiles) -> SourceFiles:
    """Return the files among which the case tables are."""
    if config.tables is not None:
        return SourceFiles.open(config.tables)
    for folder in ("", "csv/", "tables/"):
        for name in files.names(folder):
            rest = name[len(folder) :]
            if "/" not in rest and "_case_description_" in rest and rest.endswith("_set.csv"):
                return SourceFiles.open(f"{files.uri}/{folder}".rstrip("/"))
    return files


def image_cases(rows: list[Case], cell_files: CellFiles, rejects: Rejects) -> list[ImageCase]:
    """Return a case for each image cell, view and split, sorted by cell.

    Args:
        rows: Rows of the case tables (`read_case_rows`).
        cell_files: The files of their cells.
        rejects: What was left out; lesions that are there twice are added.
    """
    by_view: dict[tuple[str, str], list[Case]] = defaultdict(list)
    malignant: dict[str, int] = defaultdict(int)
    by_image: dict[tuple[str, str, str], list[Case]] = defaultdict(list)
    for row in rows:
        by_view[row["view_id"], row["official_split"]].append(row)
        malignant[row["view_id"]] |= row["malignant"]
        by_image[row["image_path"], row["view_id"], row["official_split"]].append(row)
    lesions = _lesion_cases(rows, cell_files, rejects)
    cases: list[ImageCase] = []
    for (cell, view_id, split), image_rows in sorted(by_image.items()):
        paths = cell_files.files[cell]
        view_rows = by_view[view_id, split]
        first = image_rows[0]
        cases.append(
            ImageCase(
                item=paths[0] if len(paths) == 1 else cell,
                table_path=cell,
                paths=tuple(paths),
                patient_key=first["patient_key"],
                laterality=first["laterality"],
                view=first["view"],
                malignant=malignant[view_id],
                breast_density=next(
                    (row["breast_density"] for row in view_rows if row["breast_density"]), 0
                ),
                split=split,
                lesion_types=frozenset(row["lesion_type"] for row in view_rows),
                lesions=tuple(lesions[id(row)] for row in image_rows if id(row) in lesions),
            )
        )
    return cases


def _lesion_cases(
    rows: list[Case], cell_files: CellFiles, rejects: Rejects
) -> dict[int, LesionCase]:
    """Return the lesion of each row, by the identity of the row."""
    names = [f"{row['view_id']}_{row['lesion_type']}_{row['abnormality_id']}" for row in rows]
    counts = Counter(names)
    lesions: dict[int, LesionCase] = {}
    used: set[str] = set()
    for number, (name, row) in enumerate(zip(names, rows, strict=True)):
        lesion_id = name if counts[name] == 1 else f"{name}_{row['official_split']}"
        if lesion_id in used:
            rejects.add(
                f"{row['table']} row {row['row']}",
                "row",
                f"The lesion {lesion_id} is in the table twice. Expected once. Received again.",
            )
            continue
        used.add(lesion_id)
        candidates = [*cell_files.files[row["mask_path"]], *cell_files.files[row["crop_path"]]]
        lesions[id(row)] = LesionCase(
            item=lesion_id,
            lesion_id=lesion_id,
            order=number,
            number=row["abnormality_id"],
            lesion_type=row["lesion_type"],
            pathology=row["pathology"],
            mask_candidates=tuple(dict.fromkeys(candidates)),
            assessment=row["assessment"],
            subtlety=row["subtlety"],
            mass_shape=row["mass_shape"],
            mass_margins=row["mass_margins"],
            calc_type=row["calc_type"],
            calc_distribution=row["calc_distribution"],
        )
    return lesions
