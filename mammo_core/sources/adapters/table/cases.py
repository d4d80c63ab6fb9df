"""The images of a table of your own, with their lesions."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Literal, cast

import numpy as np

from mammo_core.sources.adapters.table.cells import TARGETS
from mammo_core.sources.adapters.table.rows import Problem, TableRows
from mammo_core.sources.identity.cases import ImageCase, LesionCase, Targets
from mammo_core.sources.identity.patients import exam_key, patient_key
from mammo_core.sources.tables.source_tables import Rejects

_NO_TARGETS = Targets()


def reject_rows(
    rows: TableRows, problems: Sequence[Problem], rejects: Rejects | None = None
) -> "np.ndarray[Any, np.dtype[np.bool_]]":
    """Find the images with a wrong row; each of their rows is a reject.

    Args:
        rows: The rows of the table.
        problems: Its problems.
        rejects: What was left out; more is added, unless it is None.

    Returns:
        Whether each different image path is left out.
    """
    images = rows.values["image_path"]
    lines = {problem.line for problem in problems if problem.line > 1}
    wrong = ~rows.valid
    if lines:
        wrong |= np.isin(rows.table.lines, np.fromiter(lines, np.int64, len(lines)))
    left_out = np.zeros(len(images.items) + 1, np.bool_)
    left_out[images.codes[wrong]] = True
    left_out[list(_images_of_faults(rows))] = True
    left_out[-1] = False  # rows whose path cannot be read belong to no image
    if rejects is not None:
        reasons: dict[int, str] = {}
        for problem in problems:
            if problem.line > 1:
                reasons.setdefault(problem.line, f"{problem.column}: {problem.problem}")
        first = _images_of_faults(rows)
        for row in np.flatnonzero(left_out[images.codes]):
            if wrong[row]:
                first.setdefault(int(images.codes[row]), rows.line(row))
        for row in np.flatnonzero(left_out[images.codes]):
            other = first[int(images.codes[row])]
            reasons.setdefault(rows.line(row), f"Line {other}, of the same image, is wrong.")
        for line in sorted(reasons):
            rejects.add(rows.table.row_name(line), "row", reasons[line].removeprefix(": "))
    return left_out


def _images_of_faults(rows: TableRows) -> dict[int, int]:
    """Return the images that rows with other numbers of cells name, and the first such line."""
    at = rows.layout.positions.get("image_path")
    if at is None:
        return {}
    named: dict[str, int] = {}
    for fault in rows.table.faults:
        if at in fault.cells:
            named.setdefault(fault.cells[at], fault.line)
    items = rows.values["image_path"].items
    return {code: named[path] for code, path in enumerate(items) if path in named} if named else {}


def image_cases(
    rows: TableRows, left_out: "np.ndarray[Any, np.dtype[np.bool_]]", key: bytes
) -> Iterator[ImageCase]:
    """Yield the images whose rows are all valid, in the order of the table.

    Args:
        rows: The rows of the table.
        left_out: Whether each different image path is left out.
        key: The site key.
    """
    make = _CaseMaker(rows, key)
    codes = rows.values["image_path"].codes
    at = np.flatnonzero(rows.valid & ~left_out[codes])
    # Rows of one image may be anywhere in the table; images keep the order of their first rows.
    order = np.argsort(codes[at], kind="stable")
    _, first, count = np.unique(codes[at], return_index=True, return_counts=True)
    starts = np.cumsum(count) - count
    for image in np.argsort(first, kind="stable"):
        yield make(at[order[starts[image] : starts[image] + count[image]]].tolist())


class _CaseMaker:
    def __init__(self, rows: TableRows, key: bytes) -> None:
        self._rows, self._key = rows, key
        self._patients: dict[str, str] = {}
        self._exams: dict[tuple[str, str], str] = {}

    def _value(self, name: str, row: int, default: Any) -> Any:
        column = self._rows.values.get(name)
        return default if column is None else column.items[column.codes[row]]

    def __call__(self, image_rows: list[int]) -> ImageCase:
        table, first = self._rows.table, image_rows[0]
        patient = self._value("patient_id", first, "")
        exam = self._value("exam_id", first, "")
        view = self._value("view", first, None)
        lesions, types = self._lesions(image_rows)
        return ImageCase(
            item=table.row_name(self._rows.line(first)),
            paths=(self._value("image_path", first, ""),),
            patient_key=self._patient_key(patient),
            laterality=self._value("laterality", first, ""),
            view=view.view,
            view_modifiers=view.modifiers,
            specimen=view.specimen,
            malignant=self._value("label", first, 0),
            breast_density=self._value("breast_density", first, 0),
            split=self._value("split", first, ""),
            lesion_types=types,
            lesions=lesions,
            exam_key=self._exam_key(patient, exam) if exam else "",
            exam_date=self._value("exam_date", first, None),
            pathology_date=self._value("pathology_date", first, None),
            implant=self._value("implant", first, None),
            targets=self._targets(first),
        )

    def _targets(self, row: int) -> Targets:
        stated = {
            name: self._value(name, row, None) for name in TARGETS if name in self._rows.values
        }
        return Targets(**stated) if stated else _NO_TARGETS

    def _patient_key(self, patient: str) -> str:
        keyed = self._patients.get(patient)
        if keyed is None:
            keyed = self._patients[patient] = patient_key(self._key, patient)
        return keyed

    def _exam_key(self, patient: str, exam: str) -> str:
        keyed = self._exams.get((patient, exam))
        if keyed is None:
            keyed = self._exams[patient, exam] = exam_key(self._key, patient, exam)
        return keyed

    def _lesions(self, image_rows: list[int]) -> tuple[tuple[LesionCase, ...], frozenset[str]]:
        column = self._rows.lesions
        if not any(column.codes[row] for row in image_rows):
            return (), frozenset()
        cases: list[LesionCase] = []
        types: set[str] = set()
        numbers: dict[str, int] = defaultdict(int)
        for row in image_rows:
            for lesion in column.items[column.codes[row]].lesions:
                types.add(lesion.lesion_type)
                if not lesion.mask_path:
                    continue
                numbers[lesion.lesion_type] += 1
                cases.append(
                    LesionCase(
                        item=self._rows.table.row_name(self._rows.line(row)),
                        number=numbers[lesion.lesion_type],
                        lesion_type=cast(Literal["mass", "calc"], lesion.lesion_type),
                        pathology=lesion.pathology,  # by default the label of the image: `select`
                        mask_path=lesion.mask_path,
                    )
                )
        return tuple(cases), frozenset(types)
