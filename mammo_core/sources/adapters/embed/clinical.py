"""The clinical table of EMBED: findings, and what they say about each breast at each exam."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from mammo_core.sources.adapters.embed import EmbedOptions
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.identity.age_bands import stated_age_band
from mammo_core.sources.identity.cases import UNKNOWN_LABEL, LabelOrigin
from mammo_core.sources.published.birads import most_concerning, read_density
from mammo_core.sources.published.tables import read_table
from mammo_core.sources.tables.source_tables import Rejects

#: File names of the table.
CLINICAL_TABLES: Final = ("EMBED_OpenData_clinical.csv", "EMBED_OpenData_clinical_reduced.csv")
_REQUIRED: Final = ("empi_anon", "acc_anon", "asses", "side", "path_severity")
_OPTIONAL: Final = (
    "study_date_anon", "tissueden", "bside", "massshape", "calcfind", "calcdistri",
    "procdate_anon", "RACE_DESC", "ETHNICITY_DESC", "ETHNIC_GROUP_DESC", "age_at_study",
)  # fmt: skip
#: Assessment → BI-RADS category. X is none.
_CATEGORIES: Final = {"A": 0, "N": 1, "B": 2, "P": 3, "S": 4, "M": 5, "K": 6}
#: Shapes of masses; the other codes of the column are asymmetries, distortions and lymph nodes.
_MASSES: Final = frozenset("GROX")
_SIDES: Final[dict[str, tuple[str, ...]]] = {
    "L": ("LEFT",), "R": ("RIGHT",), "B": ("LEFT", "RIGHT"), "": ("LEFT", "RIGHT"),
}  # fmt: skip

Cells = dict[str, str]


@dataclass
class BreastFindings:
    """The findings of a breast at an exam.

    Args:
        categories: BI-RADS categories.
        severities: Values of `path_severity` of its pathology results.
        types: Types of its findings: mass and calc, and `other`.
        result_date: The earliest date of its pathology results.
    """

    categories: list[int] = field(default_factory=list)
    severities: list[int] = field(default_factory=list)
    types: set[Literal["mass", "calc", "other"]] = field(default_factory=set)
    result_date: date | None = None

    def label(self, options: EmbedOptions) -> tuple[int, LabelOrigin]:
        """Return the label and where it comes from; a pathology result before a category.

        Args:
            options: What makes a label.
        """
        values = set(map(str, self.severities))
        if values & set(options.malignant_severity):
            return 1, "biopsy"
        if values & set(options.benign_severity):
            return 0, "biopsy"
        if values:
            return UNKNOWN_LABEL, "biopsy"
        return options.label(self.birads), "birads"

    @property
    def birads(self) -> int | None:
        """The most concerning category."""
        return most_concerning(self.categories)

    @property
    def invasive(self) -> bool | None:
        """Whether its cancer is invasive; None without one."""
        worst = min(self.severities, default=None)
        return worst == 0 if worst in (0, 1) else None


@dataclass
class ExamRecord:
    """An exam.

    Args:
        patient: `empi_anon`.
        day: `study_date_anon`, shifted by the publisher for each patient.
        density: 1 to 4; 0 when unknown, and for a man.
        race: In the words of the source.
        ethnicity: In the words of the source.
        age_band: The band that `age_at_study` is in.
        breasts: LEFT and RIGHT → findings.
    """

    patient: str
    day: date | None = None
    density: int = 0
    race: str = ""
    ethnicity: str = ""
    age_band: str = ""
    breasts: dict[str, BreastFindings] = field(default_factory=lambda: defaultdict(BreastFindings))


def read_exams(config: SourceConfig, rejects: Rejects) -> tuple[dict[str, ExamRecord], int]:
    """Return the exams by `acc_anon`, and the number of rows.

    Args:
        config: The source.
        rejects: What was left out; more is added.

    Raises:
        SourceError: The table is missing or is not the published one.
    """
    table = read_table(config, CLINICAL_TABLES, _REQUIRED, _OPTIONAL, others=None)
    exams: dict[str, ExamRecord] = {}
    for item, cells in table.rows(rejects):
        fault = _fault(cells)
        if fault:
            rejects.add(item, "row", fault)
            continue
        exam = exams.setdefault(whole(cells["acc_anon"]), ExamRecord(whole(cells["empi_anon"])))
        exam.day = exam.day or read_date(cells.get("study_date_anon", ""))
        exam.density = exam.density or read_density(cells.get("tissueden", "")) or 0
        race = cells.get("RACE_DESC") or cells.get("ETHNICITY_DESC", "")
        exam.race = exam.race or race
        exam.age_band = exam.age_band or stated_age_band(cells.get("age_at_study", ""))
        exam.ethnicity = exam.ethnicity or cells.get("ETHNIC_GROUP_DESC", "")
        _add_finding(exam, cells)
    return exams, len(table)


def _add_finding(exam: ExamRecord, cells: Cells) -> None:
    types: set[Literal["mass", "calc", "other"]] = set()
    shape = cells.get("massshape", "").upper()
    if shape:
        types.add("mass" if shape in _MASSES else "other")
    if cells.get("calcfind") or cells.get("calcdistri"):
        types.add("calc")
    category = _CATEGORIES.get(cells["asses"].upper())
    for side in _SIDES[cells["side"].upper()]:
        breast = exam.breasts[side]
        if category is not None:
            breast.categories.append(category)
        breast.types |= types
    severity = whole(cells["path_severity"])
    if severity:
        # The result may be about the other breast than the finding.
        for side in _SIDES[(cells.get("bside") or cells["side"]).upper()]:
            breast = exam.breasts[side]
            breast.severities.append(int(severity))
            result = read_date(cells.get("procdate_anon", ""))
            if result is not None:
                breast.result_date = min(result, breast.result_date or result)


def _fault(cells: Cells) -> str:
    checks = (
        ("acc_anon", whole(cells["acc_anon"]).isdigit(), "a number"),
        ("empi_anon", whole(cells["empi_anon"]).isdigit(), "a number"),
        ("side", cells["side"].upper() in _SIDES, "L, R, B, or nothing"),
        ("bside", cells.get("bside", "").upper() in _SIDES, "L, R, B, or nothing"),
        ("asses", cells["asses"].upper() in (*_CATEGORIES, "X", ""), "A, N, B, P, S, M, K or X"),
        ("path_severity", whole(cells["path_severity"]) in ("", *"0123456"), "0 to 6, or nothing"),
    )
    for column, valid, expected in checks:
        if not valid:
            return f"The cell {column} cannot be used. Expected {expected}. Received another value."
    return ""


def whole(text: str) -> str:
    """Return a number as it was before a program read the column with gaps: `0.0` is 0.

    Args:
        text: The cell.
    """
    return text.removesuffix(".0")


def read_date(text: str) -> date | None:
    """Return the date of a cell, `YYYY-MM-DD` with or without a time; None for any other.

    Args:
        text: The cell.
    """
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
