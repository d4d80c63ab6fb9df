"""Where the rows of a table contradict each other."""

from collections.abc import Iterator

import numpy as np

from mammo_core.sources.adapters.table.cells import TARGETS
from mammo_core.sources.adapters.table.rows import Indices, Problem, TableRows

#: Columns on which all rows of an image agree.
_SHARED = (
    "patient_id", "laterality", "view", "label", "breast_density", "split", "exam_id", "exam_date",
    "pathology_date", "implant", *TARGETS,
)  # fmt: skip


def first_rows(codes: "np.ndarray[tuple[int], np.dtype[np.int64]]", at: Indices) -> Indices:
    """Return, for each of some rows, the first of them that has the same code.

    Args:
        codes: (n,) codes of the rows.
        at: (n,) the rows.
    """
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    return at[first[inverse]]


def find_contradictions(rows: TableRows) -> Iterator[Problem]:
    """Yield where rows contradict each other; rows that cannot be read do not count.

    Args:
        rows: The rows of a table.
    """
    at = rows.valid_rows()
    if not len(at):
        return
    first = first_rows(rows.values["image_path"].codes[at].astype(np.int64), at)
    for name in _SHARED:
        if name not in rows.values:
            continue
        codes = rows.values[name].codes
        differs = codes[at] != codes[first]
        for row, other in zip(at[differs], first[differs], strict=True):
            text = (
                f"Expected the same as in line {rows.line(other)}, of the same image. "
                "Received something else."
            )
            yield Problem(rows.line(row), rows.layout.title(name), text)
    yield from _repeated_lesions(rows, at, first)
    if "split" in rows.values:
        yield from _splits(rows, at)
    yield from _exams(rows, at)


def _repeated_lesions(rows: TableRows, at: Indices, first: Indices) -> Iterator[Problem]:
    images, lesions = rows.values["image_path"].codes, rows.lesions
    several = set(images[at[at != first]].tolist())
    regions = np.array([any(x.mask_path for x in item.lesions) for item in lesions.items], np.bool_)
    known: dict[tuple[int, str, str], int] = {}
    for row, first_row in zip(at, first, strict=True):
        image = int(images[row])
        if image not in several and not regions[lesions.codes[row]]:
            continue
        item = lesions.items[lesions.codes[row]]
        repeated = 0
        for type_, mask_path in [(x.lesion_type, x.mask_path) for x in item.lesions] or [("", "")]:
            key = (image, type_, mask_path)
            if key in known and (mask_path or row != first_row):
                repeated = repeated or known[key]
            known.setdefault(key, rows.line(row))
        if repeated:
            text = f"Expected each lesion once. Received that of line {repeated} again."
            yield Problem(rows.line(row), "lesion_mask, lesion_box", text)


def _splits(rows: TableRows, at: Indices) -> Iterator[Problem]:
    column, patients = rows.values["split"], rows.values["patient_id"].codes
    title = rows.layout.title("split")
    stated = column.map(bool)[at]
    if not stated.any():
        return
    with_split = at[stated]
    first = first_rows(patients[with_split].astype(np.int64), with_split)
    differs = column.codes[with_split] != column.codes[first]
    for row, other in zip(with_split[differs], first[differs], strict=True):
        split, expected = (column.items[column.codes[index]] for index in (row, other))
        text = (
            f"Expected every patient in one split. Received {split}, and {expected} in "
            f"line {rows.line(other)} for the same patient."
        )
        yield Problem(rows.line(row), title, text)
    for row in at[~stated]:
        text = "Expected train, validation or test, as in other rows. Received nothing."
        yield Problem(rows.line(row), title, text)


def _exams(rows: TableRows, at: Indices) -> Iterator[Problem]:
    """Yield where exams are incomplete or contradict each other."""
    exams = rows.values.get("exam_id")
    if exams is None:
        return
    stated = exams.map(bool)[at]
    if not stated.any():
        return
    for row in at[~stated]:
        text = "Expected an id, as in other rows. Received nothing."
        yield Problem(rows.line(row), rows.layout.title("exam_id"), text)
    dates = rows.values.get("exam_date")
    if dates is None:
        return
    dated = at[stated & dates.map(lambda day: day is not None)[at]]
    patients = rows.values["patient_id"].codes.astype(np.int64)
    keys = patients[dated] * (len(exams.items) + 1) + exams.codes[dated]
    first = first_rows(keys, dated)
    differs = dates.codes[dated] != dates.codes[first]
    for row, other in zip(dated[differs], first[differs], strict=True):
        text = (
            f"Expected the date of line {rows.line(other)}, of the same exam. Received another one."
        )
        yield Problem(rows.line(row), rows.layout.title("exam_date"), text)
