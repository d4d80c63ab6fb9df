"""Read the table of RSNA 2023.

`train.csv` has a row for each image; `cancer` is said of the breast. Images are
`train_images/<patient_id>/<image_id>.dcm`, or pictures of them in any folders, named by the image
or by patient and image. A patient has one exam.
"""

import re
from collections import Counter
from typing import Final

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import read_view_position
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.age_bands import stated_age_band
from mammo_core.sources.identity.cases import ImageCase, Targets
from mammo_core.sources.published.birads import read_category, read_density
from mammo_core.sources.published.images import ImageFinder
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import read_table
from mammo_core.sources.tables.source_tables import Rejects

_REQUIRED: Final = ("patient_id", "image_id", "laterality", "view", "cancer")
_OPTIONAL: Final = (
    "site_id", "biopsy", "invasive", "BIRADS", "implant", "density", "machine_id",
    "difficult_negative_case", "age",
)  # fmt: skip
#: Names of files: the image, or patient and image.
_NAME: Final = re.compile(r"(?:\d+[_@ -]+)?(\d+)")
_FLAGS: Final = {"0": False, "1": True, "false": False, "true": True}

Cells = dict[str, str]


def read_rsna_2023(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read images and labels of RSNA 2023.

    Args:
        config: The source.
        files: The files under its root; None reads the table only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: The table is missing or is not the published one.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    table = read_table(config, ["train.csv"], _REQUIRED, _OPTIONAL)
    finder = ImageFinder(files, _image_of)
    cases: list[ImageCase] = []
    image_ids: set[str] = set()
    counts: Counter[str] = Counter()
    for item, cells in table.rows(rejects):
        fault = _fault(cells, image_ids)
        if fault:
            rejects.add(item, "row", fault)
            continue
        image_ids.add(cells["image_id"])
        view = read_view_position(cells["view"])
        cancer, biopsy = _flag(cells, "cancer"), _flag(cells, "biopsy")
        counts["cancer"] += bool(cancer)
        counts["biopsy"] += bool(biopsy)
        counts["difficult"] += bool(_flag(cells, "difficult_negative_case"))
        cases.append(
            ImageCase(
                item=item,
                paths=finder.find(cells["image_id"], [cells["patient_id"]]),
                patient_key=cells["patient_id"],
                laterality=parse_laterality(cells["laterality"]) or "",
                view=view.view,
                view_modifiers=view.modifiers,
                malignant=int(bool(cancer)),
                breast_density=read_density(cells.get("density", "")) or 0,
                implant=_flag(cells, "implant"),
                targets=Targets(
                    label_origin="biopsy" if cancer or biopsy else "follow-up",
                    birads=read_category(cells.get("BIRADS", "")),
                    invasive=_flag(cells, "invasive") if cancer else None,
                    site=cells.get("site_id", ""),
                    machine=cells.get("machine_id", ""),
                    age_band=stated_age_band(cells.get("age", "")),
                ),
            )
        )
    return Reading(
        cases,
        rejects,
        {
            "cancer_images": counts["cancer"],
            "biopsied_images": counts["biopsy"],
            "difficult_negative_images": counts["difficult"],
            "sites": _count(cases, "site"),
            "machines": _count(cases, "machine"),
            "files_without_a_row": finder.unnamed,
        },
    )


def _image_of(stem: str) -> str:
    match = _NAME.fullmatch(stem)
    return match[1] if match else stem


def _flag(cells: Cells, name: str) -> bool | None:
    return _FLAGS.get(cells.get(name, "").lower().removesuffix(".0"))


def _fault(cells: Cells, image_ids: set[str]) -> str:
    """Return what is wrong with a row, or nothing."""
    view = read_view_position(cells["view"])
    checks = (
        ("patient_id", cells["patient_id"].isdigit(), "a number"),
        ("image_id", cells["image_id"].isdigit(), "a number"),
        ("image_id", cells["image_id"] not in image_ids, "one row for each image"),
        ("laterality", parse_laterality(cells["laterality"]) is not None, "L or R"),
        ("view", bool(view.view or view.modifiers), "a view, such as CC, MLO or AT"),
        ("cancer", _flag(cells, "cancer") is not None, "0 or 1"),
        ("density", read_density(cells.get("density", "")) is not None, "A to D, or nothing"),
    )
    for column, valid, expected in checks:
        if not valid:
            return (
                f"The cell {column} cannot be used. Expected {expected}. "
                f"Received {cells.get(column, '')[:40]!r}."
            )
    return ""


def _count(cases: list[ImageCase], name: str) -> dict[str, int]:
    counter = Counter(str(getattr(case.targets, name)) for case in cases)
    return dict(sorted(counter.items()))
