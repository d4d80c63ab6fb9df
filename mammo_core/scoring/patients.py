"""Which images are of one patient, without telling who it is."""

import secrets
from pathlib import Path

from mammo_core.dicom import read_fields
from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.names import ImageName, read_name
from mammo_core.sources.patients import is_public, patient_key, site_key


class PatientKeys:
    """Gives what stands for a patient: a published pseudonym, or a key.

    With a site key (docs/sources.md) a patient has the same key in every run; without one
    patients are numbered in the order of their images (`patient-1`), and the key that tells
    them apart meanwhile is drawn anew for every scoring and thrown away.

    Args:
        salt: The key of a scoring that goes on; None for a new one.
    """

    def __init__(self, salt: str | None = None) -> None:
        try:
            self._key, self.numbered = site_key(), False
        except SourceError:
            self._key, self.numbered = b"", True
        self.salt = (salt or secrets.token_hex(16)) if self.numbered else ""

    def of(self, path: Path, name: str) -> str:
        """Return the key of a file's patient; empty when nothing tells it.

        Args:
            path: The file.
            name: As it was found: published data sets tell the patient in the name.

        Raises:
            OSError: The disk failed.
        """
        return self._told(path, name)[0]

    def exam(self, path: Path, name: str) -> str:
        """Return what stands for a patient's study; empty when nothing tells either.

        A published pseudonym stands for itself: in CBIS-DDSM every image is a study.

        Args:
            path: The file, or its beginning.
            name: As in `of`.

        Raises:
            OSError: The disk failed.
        """
        patient, study = self._told(path, name)
        if not study or is_public(patient):
            return patient
        return patient_key(self._key or self.salt.encode(), f"{patient} {study}")

    def _told(self, path: Path, name: str) -> tuple[str, str]:
        """The key of the patient, and the study as the header has it."""
        named = read_name(name)
        if named is not None and is_public(named.patient):
            return named.patient, ""
        told, study = _header(path)
        published = _published(told)
        if published is not None:
            return published.patient, ""
        told = told or (named.patient if named is not None else "")
        key = self._key or self.salt.encode()
        return (patient_key(key, told) if told else ""), study


def published_name(path: Path) -> ImageName | None:
    """Return patient, side and view as the header of a whole CBIS-DDSM mammogram tells them.

    Its Patient ID is `Calc-Test_P_00038_LEFT_CC`; View Position it has none. Of other files, and
    of its crops and masks (`…_CC_1`), nothing is told.

    Args:
        path: The file, or its beginning.

    Raises:
        OSError: The disk failed.
    """
    return _published(_header(path)[0])


def _published(told: str) -> ImageName | None:
    named = read_name(told)
    whole = named is not None and named.lesion_type and not named.number
    return named if named is not None and whole and is_public(named.patient) else None


def _header(path: Path) -> tuple[str, str]:
    """Patient ID (0010,0020) and Study Instance UID (0020,000D), which leave here as keys only."""
    wanted = ("PatientID", "StudyInstanceUID")
    with path.open("rb") as file:
        try:
            data = read_fields(file, "the file", dict.fromkeys(wanted)).data
        except DicomError:
            # The image itself was read: a header that is odd here has no patient that counts.
            return "", ""
    told, study = (str(data.get(name) or "").strip() for name in wanted)
    return told, study
