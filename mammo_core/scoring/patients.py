"""Which images are of one patient, without telling who it is."""

import secrets
from pathlib import Path

from mammo_core.errors import SourceError
from mammo_core.sources.names import read_name
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
        named = read_name(name)
        if named is not None and is_public(named.patient):
            return named.patient
        told = _patient_id(path) or (named.patient if named is not None else "")
        return patient_key(self._key or self.salt.encode(), told) if told else ""


def _patient_id(path: Path) -> str:
    """Patient ID (0010,0020) of a DICOM file, which leaves this file as a key only."""
    import pydicom

    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return ""
    try:
        data = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"])
        return str(data.get("PatientID") or "").strip()
    except MemoryError:
        raise
    except Exception as error:
        # The image itself was read: a header that is odd here has no patient that counts.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return ""
