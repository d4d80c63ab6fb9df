"""Which exam an image belongs to, when it was, and in which order its images were acquired."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from pydantic import TypeAdapter

from mammo_core.dicom import Identity, read_identity, view_class
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.exam_days import Exam, ExamDays
from mammo_core.sources.identity.patients import exam_key, fingerprint, patient_key, study_key
from mammo_core.sources.tables.image_rows import CaseFile, SourceImage


@dataclass(frozen=True, slots=True)
class HeaderKeys:
    """The ids of a header under the site key; empty where the header has none.

    Args:
        patient: Key of Patient ID.
        study: Key of Study Instance UID.
    """

    patient: str = ""
    study: str = ""


#: Day of a pathology result whose exam has no date: outside every window.
UNKNOWN_DAY: Final = float("inf")
_HEADER_KEYS: Final = TypeAdapter(HeaderKeys)
_NO_KEYS: Final = HeaderKeys()


def read_ids(files: SourceFiles, name: str) -> Identity:
    """Return the identifying fields of a file of a source; never kept.

    Args:
        files: The files of the source.
        name: Relative to the root.

    Raises:
        StoreError: The server failed.
        OSError: The disk failed.
    """
    with files.as_local_header(name) as path:
        ids = read_identity(path)
    if ids == Identity() and files.remote and files.head(name, 132)[128:] == b"DICM":
        with files.as_local_file(name) as path:  # the header is longer than the part fetched
            ids = read_identity(path)
    return ids


def read_header_keys(files: SourceFiles, name: str, key: bytes) -> HeaderKeys:
    """Return the keyed ids of a file of a source.

    Args:
        files: The files of the source.
        name: Relative to the root.
        key: The site key.
    """

    def read() -> HeaderKeys:
        ids = read_ids(files, name)
        return HeaderKeys(
            patient_key(key, ids.patient_id) if ids.patient_id else "",
            study_key(key, ids.study_uid) if ids.study_uid else "",
        )

    keys = files.cached(f"header keys {fingerprint(key)}", [name], _HEADER_KEYS, read)
    return _NO_KEYS if keys == _NO_KEYS else keys


def with_exam(image: CaseFile, keys: HeaderKeys | None, key: bytes | None) -> CaseFile:
    """Return a file with the key of its exam, if the source or the header tells exams apart.

    Args:
        image: The file; its case may name the exam.
        keys: The ids of its header; None if the collection's headers do not tell exams apart.
        key: The site key.
    """
    case = image.case
    if case.exam_key:
        return image
    name = keys.study if keys is not None else ""
    if not name and case.exam_date is not None and key is not None:
        name = exam_key(key, case.patient_key, case.exam_date.isoformat())
    return replace(image, case=replace(case, exam_key=name)) if name else image


def assign_days(
    files: SourceFiles, images: Sequence[SourceImage], has_header_dates: bool, key: bytes | None
) -> None:
    """Fill in `exam_day` and `pathology_day` of the rows of images whose exams are known.

    Args:
        files: The files of the source, with the days of a store.
        images: The images; their rows are changed.
        has_header_dates: Whether the headers have the dates of exams.
        key: The site key; None for a collection of public pseudonyms.
    """
    readers: dict[Exam, Callable[[], date | None]] = {}
    for image in images:
        exam = _exam(image)
        if any(case.pathology_date for case in image.cases):
            image.row["pathology_day"] = UNKNOWN_DAY
        if not exam[1]:
            continue
        stated = next((case.exam_date for case in image.cases if case.exam_date), None)
        if stated is not None:
            readers[exam] = _constant(stated)
        elif has_header_dates and exam not in readers:
            readers[exam] = _header_date(files, str(image.row["path"]))
    if not readers:
        return
    days = files.exam_days or ExamDays()
    assigned = days.assign(readers, fingerprint(key) if key else "")
    for image in images:
        image.row["exam_day"] = day = assigned.get(_exam(image))
        result = next((case.pathology_date for case in image.cases if case.pathology_date), None)
        if result is not None and day is not None:
            exam_date = readers[_exam(image)]()
            if exam_date is not None:
                image.row["pathology_day"] = day + (result - exam_date).days


def order_acquisitions(files: SourceFiles, images: Sequence[SourceImage]) -> None:
    """Fill in `acquisition_order` where several images show one view of an exam.

    Args:
        files: The files of the source.
        images: The images; their rows are changed.
    """
    groups: dict[tuple[Any, ...], list[SourceImage]] = defaultdict(list)
    for image in images:
        row, case = image.row, image.cases[0]
        shown = view_class(case.view, original=True) or row["view"]
        groups[case.breast_id, shown].append(image)
    for group in groups.values():
        if len(group) == 1:
            continue
        times = [read_ids(files, str(image.row["path"])).acquired for image in group]
        ranks = {time: rank for rank, time in enumerate(sorted(set(times)), start=1)}
        for image, time in zip(group, times, strict=True):
            image.row["acquisition_order"] = ranks[time]


def split_patients(chosen: Sequence[tuple[CaseFile, HeaderKeys]]) -> tuple[int, int]:
    """Count the patients of headers that the source counts as several patients.

    Args:
        chosen: Files with the ids of their headers.

    Returns:
        Patients by the headers, and patients by the source; (0, 0) if they agree.
    """
    patients: dict[str, set[str]] = defaultdict(set)
    for image, keys in chosen:
        if keys.patient:
            patients[keys.patient].add(image.case.patient_key)
    several = [names for names in patients.values() if len(names) > 1]
    return (len(several), len(set().union(*several))) if several else (0, 0)


def mixed_exams(chosen: Sequence[tuple[CaseFile, HeaderKeys]]) -> tuple[int, int]:
    """Count where the exams of a source contradict the studies of the headers.

    Args:
        chosen: Files as the source describes them, with the ids of their headers.

    Returns:
        Exams of the source with files of several studies, and studies in several exams.
    """
    studies: dict[tuple[str, str], set[str]] = defaultdict(set)
    exams: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for image, keys in chosen:
        if image.case.exam_key and keys.study:
            exam = image.case.patient_key, image.case.exam_key
            studies[exam].add(keys.study)
            exams[keys.study].add(exam)
    return (
        sum(len(names) > 1 for names in studies.values()),
        sum(len(names) > 1 for names in exams.values()),
    )


def _exam(image: SourceImage) -> Exam:
    return str(image.row["patient_key"]), str(image.row["exam_key"])


def _constant(value: date) -> Callable[[], date | None]:
    return lambda: value


def _header_date(files: SourceFiles, name: str) -> Callable[[], date | None]:
    return lambda: read_ids(files, name).exam_date
