"""Read CSAW-CC: one table with a row for each image, and images named `anon_filename`.

`x_` columns are about the woman: whether she got a cancer, and in which breast. `rad_timing` says
how long before the diagnosis the exam was. Exams differ by their year.
"""

from collections import Counter, defaultdict
from typing import Final

from mammo_core.dicom import parse_laterality
from mammo_core.dicom.meanings.view_text import read_view_position
from mammo_core.sources.adapters.csaw_cc import CsawCcOptions
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import (
    UNKNOWN_LABEL,
    ImageCase,
    LabelOrigin,
    Targets,
)
from mammo_core.sources.published.images import ImageFinder, stem_of
from mammo_core.sources.published.published import Reading
from mammo_core.sources.published.tables import read_table
from mammo_core.sources.tables.source_tables import Rejects

_TABLES: Final = ("CSAW-CC_breast_cancer_screening_data.csv",)
_REQUIRED: Final = (
    "anon_patientid", "exam_year", "x_case", "x_cancer_laterality", "rad_timing",
    "imagelaterality", "viewposition", "anon_filename",
)  # fmt: skip
_OPTIONAL: Final = ("x_type", "rad_recall")
#: `x_type` of the cancer → whether it is invasive.
_INVASIVE: Final = {"1": True, "2": False, "invasive": True, "in situ": False}
_EMPTY: Final = ("", "nan", "na", "none")

Cells = dict[str, str]


def read_csaw_cc(config: SourceConfig, files: SourceFiles | None, rejects: Rejects) -> Reading:
    """Read images and labels of CSAW-CC.

    Args:
        config: The source.
        files: The files under its root; None reads the table only.
        rejects: What was left out; more is added.

    Raises:
        SourceError: The table is missing or is not the published one.
        StoreError: The server failed.
        OSError: The disk failed.
    """
    options = config.options(CsawCcOptions)
    table = read_table(config, _TABLES, _REQUIRED, _OPTIONAL)
    rows: list[tuple[str, Cells]] = []
    for item, raw in table.rows(rejects):
        cells = {name: _plain(text) for name, text in raw.items()}
        fault = _fault(cells)
        if fault:
            rejects.add(item, "row", fault)
        else:
            rows.append((item, cells))
    years: dict[str, set[int]] = defaultdict(set)
    cancer_years: dict[str, int] = {}
    for _, cells in rows:
        patient, year = cells["anon_patientid"], int(cells["exam_year"])
        years[patient].add(year)
        if cells["x_case"] == "1" and cells["rad_timing"] == "1":
            cancer_years[patient] = min(year, cancer_years.get(patient, year))
    finder = ImageFinder(files)
    cases: list[ImageCase] = []
    timings: Counter[str] = Counter()
    for item, cells in rows:
        patient, year = cells["anon_patientid"], int(cells["exam_year"])
        label, origin = _label(cells, options)
        if cells["x_case"] == "1":
            timings[cells["rad_timing"] or "unknown"] += 1
        view = read_view_position(cells["viewposition"])
        cancer = cancer_years.get(patient)
        last = max(
            (y for y in years[patient] if _is_negative(y, cells["x_case"] == "1", cancer)),
            default=None,
        )
        cases.append(
            ImageCase(
                item=item,
                paths=finder.find(stem_of(cells["anon_filename"])),
                patient_key=patient,
                laterality=parse_laterality(cells["imagelaterality"]) or "",
                view=view.view,
                view_modifiers=view.modifiers,
                malignant=label,
                # Numbers, because a key is written and a year is not.
                exam_key=str(sorted(years[patient]).index(year) + 1),
                targets=Targets(
                    label_origin=origin,
                    invasive=_INVASIVE.get(cells.get("x_type", "").lower()) if label == 1 else None,
                    years_to_cancer=_years(cancer, year),
                    years_to_last_negative_exam=_years(last, year),
                ),
            )
        )
    counts = {
        "women_with_cancer": len({c["anon_patientid"] for _, c in rows if c["x_case"] == "1"}),
        "timings_of_their_images": dict(sorted(timings.items())),
        "files_without_a_row": finder.unnamed,
    }
    return Reading(cases, rejects, counts)


def _plain(text: str) -> str:
    word = text.removesuffix(".0")
    return "" if word.lower() in _EMPTY else word


def _is_negative(year: int, is_case: bool, cancer: int | None) -> bool:
    """Return whether the exam of a year is known to be without cancer."""
    return not is_case or (cancer is not None and year < cancer)


def _years(end: int | None, year: int) -> float | None:
    return float(end - year) if end is not None and end >= year else None


def _label(cells: Cells, options: CsawCcOptions) -> tuple[int, LabelOrigin]:
    if cells["x_case"] != "1":
        return 0, "follow-up"
    side, cancer_side = (
        parse_laterality(cells[name]) for name in ("imagelaterality", "x_cancer_laterality")
    )
    if cancer_side is None:
        return UNKNOWN_LABEL, ""
    if side != cancer_side:
        return 0, "follow-up"
    if cells["rad_timing"] in options.malignant_timing:
        return 1, "biopsy"
    return UNKNOWN_LABEL, ""


def _fault(cells: Cells) -> str:
    view = read_view_position(cells["viewposition"])
    checks = (
        ("anon_patientid", cells["anon_patientid"] != "", "an id"),
        ("exam_year", cells["exam_year"].isdigit() and len(cells["exam_year"]) == 4, "a year"),
        ("x_case", cells["x_case"] in ("0", "1", ""), "0 or 1"),
        ("imagelaterality", parse_laterality(cells["imagelaterality"]) is not None, "Left, Right"),
        ("viewposition", bool(view.view or view.modifiers), "a view, such as CC or MLO"),
        ("rad_timing", cells["rad_timing"] in ("", "1", "2", "3"), "1, 2, 3, or nothing"),
        ("anon_filename", cells["anon_filename"] != "", "the name of a file"),
    )
    for column, valid, expected in checks:
        if not valid:
            return f"The cell {column} cannot be used. Expected {expected}. Received another value."
    return ""
