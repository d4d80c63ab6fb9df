"""Keys that show which images belong to one patient and exam without revealing who it is."""

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from mammo_core.dicom import read_identity
from mammo_core.errors import SourceError
from mammo_core.sources.identity.names import ImageName, read_name
from mammo_core.sources.identity.patients import is_public, patient_key, site_key, study_key


class PatientKeys:
    """The key of a patient: a published pseudonym, or a keyed hash.

    With a site key (docs/sources.md) a patient has the same key in every run. Without one,
    patients and exams are numbered in the order of their images (`patient-1`, `exam-1`), and the
    temporary key that distinguishes them is random and discarded after the run.

    Args:
        salt: The temporary key of a run that is resumed; None for a new one.
    """

    def __init__(self, salt: str | None = None) -> None:
        try:
            self._key, self.numbered = site_key(), False
        except SourceError:
            self._key, self.numbered = b"", True
        self.salt = (salt or secrets.token_hex(16)) if self.numbered else ""

    def patient_key(self, path: Path, name: str) -> str:
        """Return the key of the patient of a file; empty if the patient is unknown.

        Args:
            path: The file.
            name: Name of the file, which contains the patient in published collections.

        Raises:
            OSError: The disk failed.
        """
        return self.identify(path, name).patient

    def identify(self, path: Path, name: str) -> "ImageIdentity":
        """Return the patient and the exam of a file.

        Args:
            path: The file, or the start of it.
            name: As in `patient_key`.

        Raises:
            OSError: The disk failed.
        """
        named = read_name(name)
        if named is not None and is_public(named.patient):
            return ImageIdentity(named.patient)
        identity = read_identity(path)
        published = _parse_published(identity.patient_id)
        if published is not None:
            return ImageIdentity(published.patient)
        patient_id = identity.patient_id or (named.patient if named is not None else "")
        key = self._key or self.salt.encode()
        return ImageIdentity(
            patient_key(key, patient_id) if patient_id else "",
            study_key(key, identity.study_uid) if identity.study_uid else "",
            identity.acquired,
        )


@dataclass(frozen=True)
class ImageIdentity:
    """Whose image a file is, of which exam, and when in it.

    Attributes:
        patient: Key of the patient; empty if unknown.
        exam: Key of the exam, as in the table of images; empty if the file does not name it, and
            in a published collection, in which every image may be a study.
        acquired: Sorts the images of an exam; it is never written.
    """

    patient: str = ""
    exam: str = ""
    acquired: tuple[str, int] = field(default=("", 0), repr=False)


def read_published_name(path: Path) -> ImageName | None:
    """Return patient, laterality and view from the header of a CBIS-DDSM mammogram.

    Its Patient ID is like `Calc-Test_P_00038_LEFT_CC`; it has no View Position. Other files, and
    crops and masks of CBIS-DDSM (`…_CC_1`), give None.

    Args:
        path: The file, or the start of it.

    Raises:
        OSError: The disk failed.
    """
    return _parse_published(read_identity(path).patient_id)


def _parse_published(patient_id: str) -> ImageName | None:
    named = read_name(patient_id)
    if named is None or not named.lesion_type or named.number or not is_public(named.patient):
        return None
    return named
