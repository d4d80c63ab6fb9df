"""Write the DICOM results of a scoring run: one object for each exam."""

import hashlib
import io
import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mammo_core.dicom.headers.study_header import StudyHeader, read_study_header
from mammo_core.errors import DicomError, MammoError, RecordError
from mammo_core.results.build_records import exam_record, model_records
from mammo_core.results.measurement_report import measurement_report
from mammo_core.scoring.delivery import Delivery, ScoredImage
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.tables import write_table

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_OBJECT_COLUMNS: Final = ("file", "kind", "exam", "patient", "images", "findings", "model_id")
_REJECT_COLUMNS: Final = ("path", "reason")
_KIND: Final = "measurement report (TID 1500)"


@dataclass(frozen=True)
class ResultSummary:
    """The summary of written results.

    Attributes:
        objects: Objects written.
        images: Images that they are about.
        rejected: Scored images without a result.
        table: The list of objects.
        rejects: The rejects.
    """

    objects: int
    images: int
    rejected: int
    table: Path
    rejects: Path


def write_results(
    delivery: Delivery,
    folder: Path,
    versions: Mapping[str, tuple[str, str]],
    *,
    began: str = "",
    progress: Callable[[int], None] | None = None,
) -> ResultSummary:
    """Write a Comprehensive SR document for each exam of a scoring run.

    An exam is a study of a patient. Files are named by their SOP Instance UID; `results.csv`
    lists them and `results.rejects.csv` the scored images that have none: pictures without a DICOM
    header, instances without UIDs, files that were changed since. Each file appears when it is
    complete and was read back.

    Args:
        delivery: What was scored.
        folder: The folder; it is made.
        versions: Model id → name and version of the model in the registry.
        began: When the exams were scored, ISO 8601 with an offset; empty: when the run began.
        progress: Called with the number of images completed.

    Raises:
        OSError: A disk failed.
        StoreError: A bucket failed.
    """
    # It holds names of patients.
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    models = model_records(delivery.model, versions)
    began = began or delivery.began
    objects: list[dict[str, object]] = []
    rejects: list[dict[str, str]] = []
    images = 0
    for exam in _exams(delivery, rejects):
        try:
            record = exam_record(
                delivery.model, models, began, [image for image, _ in exam.values()]
            )
            document = measurement_report(record, {id: header for id, (_, header) in exam.items()})
            _write(folder / f"{document.SOPInstanceUID}.dcm", document)
        except MammoError as error:
            rejects += [
                {"path": image.row["path"], "reason": str(error)} for image, _ in exam.values()
            ]
        else:
            images += len(exam)
            row = next(iter(exam.values()))[0].row
            objects.append(
                {
                    "file": f"{document.SOPInstanceUID}.dcm",
                    "kind": _KIND,
                    "exam": row["exam"],
                    "patient": row["patient"],
                    "images": len(exam),
                    "findings": sum(len(image.regions) for image in record.images),
                    "model_id": delivery.model.model_id,
                }
            )
        if progress is not None:
            progress(len(exam))
    table, rejected = folder / "results.csv", folder / "results.rejects.csv"
    write_table(rejected, _REJECT_COLUMNS, rejects)
    write_table(table, _OBJECT_COLUMNS, objects)
    return ResultSummary(len(objects), images, len(rejects), table, rejected)


_Exam = dict[str, tuple[ScoredImage, StudyHeader]]


def _exams(delivery: Delivery, rejects: list[dict[str, str]]) -> Iterator[_Exam]:
    """Yield the images of each exam by id, as soon as the last of them has come.

    Images of an exam are mostly adjacent, so few of them wait.
    """
    files = {file.location: file for file in delivery.files}
    numbers: dict[bytes, int] = {}
    # Headers are read twice, so that only those of exams that are not complete are in memory.
    exams = array("q")
    for image in delivery.images():
        try:
            exams.append(numbers.setdefault(_exam_of(_header(files, image)), len(numbers)))
        except DicomError as error:
            exams.append(-1)
            rejects.append({"path": image.row["path"], "reason": str(error)})
    remaining = Counter(exams)
    waiting: dict[int, _Exam] = {}
    for number, image in zip(exams, delivery.images(), strict=True):
        if number < 0:
            continue
        exam = waiting.setdefault(number, {})
        try:
            if image.row["id"] in exam:
                raise _same_file(image)
            exam[image.row["id"]] = image, _header(files, image)
        except (DicomError, RecordError) as error:
            rejects.append({"path": image.row["path"], "reason": str(error)})
        remaining[number] -= 1
        if not remaining[number] and waiting[number]:
            yield waiting.pop(number)


def _header(files: Mapping[str, InputFile], image: ScoredImage) -> StudyHeader:
    file = files[image.row["location"]]
    if not file.is_unchanged():
        raise DicomError(
            f"{file.name} was changed after it was scored",
            expected="the same size and time",
            received="another",
            hint="Score it again",
        )
    with file.as_local_file() as path:
        return read_study_header(path, file.name)


def _exam_of(header: StudyHeader) -> bytes:
    """Return what distinguishes exams: a digest, so that no id of a patient stays in memory."""
    text = b"\0".join((header.study_uid.encode(), header.raw("PatientID")))
    return hashlib.sha256(text).digest()


def _same_file(image: ScoredImage) -> RecordError:
    return RecordError(
        f"{image.row['path']} is in its exam already",
        expected="each file once",
        received="the same bytes under another path",
    )


def _write(path: Path, document: "Dataset") -> None:
    """Write an object aside, read it back, and give it its name."""
    content = io.BytesIO()
    document.save_as(content, enforce_file_format=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content.getvalue())
        if part.read_bytes() != content.getvalue():
            raise OSError(f"{path.name} was not read back as it was written")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
