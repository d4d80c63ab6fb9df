"""Read the tables of VinDr-Mammo.

Each image has a row in `breast-level_annotations.csv`. Its BI-RADS category is that of the breast,
by two radiologists and an arbiter; there is no biopsy. `finding_annotations.csv` has a row for each
finding, with one box and one or several categories. Images are
`images/<study_id>/<image_id>.dicom`.
"""

import ast
import math
from collections import Counter, defaultdict
from typing import Any, Final, Literal

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import read_view_position
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, ImageCase, LesionCase, Targets
from mammo_core.sources.lesions.masks import RELATIVE_BOX
from mammo_core.sources.published.birads import BiRadsLabels, read_category, read_density
from mammo_core.sources.published.images import ImageFinder
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import find_tables, read_table, read_table_at
from mammo_core.sources.tables.source_tables import Rejects

_IMAGES: Final = "breast-level_annotations.csv"
_FINDINGS: Final = "finding_annotations.csv"
_IMAGE_COLUMNS: Final = (
    "study_id", "image_id", "laterality", "view_position", "height", "width", "breast_birads",
    "breast_density", "split",
)  # fmt: skip
_FINDING_COLUMNS: Final = (
    "image_id", "finding_categories", "finding_birads", "xmin", "ymin", "xmax", "ymax",
)  # fmt: skip
_SPLITS: Final = {"training": "train", "train": "train", "test": "test"}
#: Category of a finding → type of a lesion. Others have no patch class.
_TYPES: Final[dict[str, Literal["mass", "calc"]]] = {
    "mass": "mass",
    "suspicious calcification": "calc",
}
_NO_FINDING: Final = "no finding"

Cells = dict[str, str]


def read_vindr_mammo(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read images, labels and findings of VinDr-Mammo.

    Args:
        config: The source.
        files: The files under its root; None reads the tables only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: A table is missing or is not the published one.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    labels = config.options(BiRadsLabels)
    counts: Counter[str] = Counter()
    findings, finding_rows = _read_findings(config, rejects)
    table = read_table(config, [_IMAGES], _IMAGE_COLUMNS, others=[_FINDINGS])
    finder = ImageFinder(files)
    cases: list[ImageCase] = []
    sizes: dict[str, tuple[int, int]] = {}
    other: Counter[str] = Counter()
    image_ids: set[str] = set()
    for item, cells in table.rows(rejects):
        fault = _fault(cells, image_ids)
        if fault:
            rejects.add(item, "row", fault)
            continue
        image_id = cells["image_id"]
        image_ids.add(image_id)
        category = read_category(cells["breast_birads"])
        size = int(cells["height"]), int(cells["width"])
        view = read_view_position(cells["view_position"])
        lesions = _lesions(findings.get(image_id, []), size, labels, other, counts, rejects)
        paths = finder.find(image_id, [cells["study_id"]])
        if lesions:
            sizes.update(dict.fromkeys(paths, size))
        cases.append(
            ImageCase(
                item=item,
                paths=paths,
                patient_key=cells["study_id"],
                laterality=parse_laterality(cells["laterality"]) or "",
                view=view.view,
                view_modifiers=view.modifiers,
                malignant=labels.label(category),
                breast_density=read_density(cells["breast_density"]) or 0,
                split=_SPLITS[cells["split"].lower()],
                lesions=lesions,
                targets=Targets(label_origin="birads", birads=category),
            )
        )
    missing = set(findings) - image_ids
    for image_id in sorted(missing):
        for item, _ in findings[image_id]:
            rejects.add(
                item,
                "lesion",
                f"Its image has no row in {_IMAGES}. Expected one. Received none.",
            )
    return Reading(
        cases,
        rejects,
        {
            "finding_rows": finding_rows,
            "other_regions": dict(sorted(other.items())),
            "findings_without_a_label": counts["unlabeled"],
            "clipped_boxes": counts["clipped"],
            "files_without_a_row": finder.unnamed,
        },
        sizes,
    )


def _read_findings(
    config: SourceConfig, rejects: Rejects
) -> tuple[dict[str, list[tuple[str, Cells]]], int]:
    """Return the findings of each image, and the number of rows; without the table, none."""
    uri = find_tables(config, [_FINDINGS])
    if uri is None:
        return {}, 0
    table = read_table_at(uri, _FINDING_COLUMNS)
    findings: dict[str, list[tuple[str, Cells]]] = defaultdict(list)
    for item, cells in table.rows(rejects):
        if _categories(cells["finding_categories"]) != [_NO_FINDING]:
            findings[cells["image_id"]].append((item, cells))
    return findings, len(table)


def _fault(cells: Cells, image_ids: set[str]) -> str:
    """Return what is wrong with the row of an image, or nothing."""
    view = read_view_position(cells["view_position"])
    checks = (
        ("image_id", cells["image_id"] != "", "an id"),
        ("image_id", cells["image_id"] not in image_ids, "one row for each image"),
        ("study_id", cells["study_id"] != "", "an id"),
        ("laterality", parse_laterality(cells["laterality"]) is not None, "L or R"),
        ("view_position", bool(view.view or view.modifiers), "a view, such as CC or MLO"),
        ("height", _is_size(cells["height"]), "pixels"),
        ("width", _is_size(cells["width"]), "pixels"),
        ("breast_birads", read_category(cells["breast_birads"]) is not None, "BI-RADS 0 to 6"),
        ("breast_density", read_density(cells["breast_density"]) is not None, "DENSITY A to D"),
        ("split", cells["split"].lower() in _SPLITS, "training or test"),
    )
    for column, valid, expected in checks:
        if not valid:
            return (
                f"The cell {column} cannot be used. Expected {expected}. "
                f"Received {cells[column][:40]!r}."
            )
    return ""


def _is_size(text: str) -> bool:
    return text.isascii() and text.isdigit() and 0 < int(text) <= 65535


def _categories(text: str) -> list[str]:
    """Return the categories of a finding: a list in the spelling of Python, or one name."""
    try:
        value: Any = ast.literal_eval(text) if text.startswith("[") else [text]
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return []
    names = value if isinstance(value, list) else []
    return [str(name).strip().lower() for name in names]


def _lesions(
    rows: list[tuple[str, Cells]],
    size: tuple[int, int],
    labels: BiRadsLabels,
    other: "Counter[str]",
    counts: "Counter[str]",
    rejects: Rejects,
) -> tuple[LesionCase, ...]:
    """Return the lesions of an image: a finding of both types is a lesion of each."""
    lesions: list[LesionCase] = []
    numbers: Counter[str] = Counter()
    for item, cells in rows:
        names = _categories(cells["finding_categories"])
        types = list(dict.fromkeys(_TYPES[name] for name in names if name in _TYPES))
        other.update(name for name in names if name not in _TYPES)
        if not types and names:
            continue
        box = _box(cells, size, counts)
        if box is None or not names:
            rejects.add(
                item,
                "lesion",
                "The finding cannot be used. Expected a list of categories, and xmin < xmax and "
                "ymin < ymax in the image. Received another row.",
            )
            continue
        category = read_category(cells["finding_birads"])
        label = labels.label(category)
        if label == UNKNOWN_LABEL:
            counts["unlabeled"] += 1
            continue
        for lesion_type in types:
            numbers[lesion_type] += 1
            lesions.append(
                LesionCase(
                    item=item,
                    number=numbers[lesion_type],
                    lesion_type=lesion_type,
                    pathology="MALIGNANT" if label else "BENIGN",
                    mask_path=box,
                    assessment=category or 0,
                )
            )
    return tuple(lesions)


def _box(cells: Cells, size: tuple[int, int], counts: "Counter[str]") -> str | None:
    """Return the box of a finding as shares of the image, so that it fits a resized picture too."""
    try:
        left, top, right, bottom = (float(cells[name]) for name in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        return None
    if not all(map(math.isfinite, (left, top, right, bottom))):
        return None
    height, width = size
    inside = max(0.0, left), max(0.0, top), min(float(width), right), min(float(height), bottom)
    if inside[0] >= inside[2] or inside[1] >= inside[3]:
        return None
    counts["clipped"] += inside != (left, top, right, bottom)
    left, top, right, bottom = inside
    shares = (
        (left + right) / 2 / width,
        (top + bottom) / 2 / height,
        (right - left) / width,
        (bottom - top) / height,
    )
    return RELATIVE_BOX + ",".join(f"{share:.9f}" for share in shares)
