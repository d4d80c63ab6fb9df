"""Keys that show which images belong to one patient without revealing who it is."""

import secrets
from pathlib import Path

from mammo_core.dicom import read_identity
from mammo_core.errors import SourceError
from mammo_core.sources.names import ImageName, read_name
from mammo_core.sources.patients import is_public, patient_key, site_key


class PatientKeys:
    """The key of a patient: a published pseudonym, or a keyed hash.

    With a site key (docs/sources.md) a patient has the same key in every run. Without one,
    patients are numbered in the order of their images (`patient-1`), and the temporary key that
    distinguishes them is random and discarded after the run.

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
        return self._identify(path, name)[0]

    def exam_key(self, path: Path, name: str) -> str:
        """Return the key of the exam of a file; empty if patient and study are unknown.

        A published pseudonym is its own key: in CBIS-DDSM every image is a study.

        Args:
            path: The file, or the start of it.
            name: As in `patient_key`.

        Raises:
            OSError: The disk failed.
        """
        patient, study = self._identify(path, name)
        if not study or is_public(patient):
            return patient
        return patient_key(self._key or self.salt.encode(), f"{patient} {study}")

    def _identify(self, path: Path, name: str) -> tuple[str, str]:
        """Return the key of the patient, and the Study Instance UID."""
        named = read_name(name)
        if named is not None and is_public(named.patient):
            return named.patient, ""
        patient_id, study = _read_ids(path)
        published = _parse_published(patient_id)
        if published is not None:
            return published.patient, ""
        patient_id = patient_id or (named.patient if named is not None else "")
        key = self._key or self.salt.encode()
        return (patient_key(key, patient_id) if patient_id else ""), study


def read_published_name(path: Path) -> ImageName | None:
    """Return patient, laterality and view from the header of a CBIS-DDSM mammogram.

    Its Patient ID is like `Calc-Test_P_00038_LEFT_CC`; it has no View Position. Other files, and
    crops and masks of CBIS-DDSM (`…_CC_1`), give None.

    Args:
        path: The file, or the start of it.

    Raises:
        OSError: The disk failed.
    """
    return _parse_published(_read_ids(path)[0])


def _parse_published(patient_id: str) -> ImageName | None:
    named = read_name(patient_id)
    if named is None or not named.lesion_type or named.number or not is_public(named.patient):
        return None
    return named


def _read_ids(path: Path) -> tuple[str, str]:
    """Return Patient ID (0010,0020) and Study Instance UID (0020,000D).

    They must not leave this module, except as keys.
    """
    identity = read_identity(path)
    return identity.patient_id, identity.study_uid
