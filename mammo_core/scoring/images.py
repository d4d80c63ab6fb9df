"""From a file to the pixels that networks take, and its facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import ImageFacts, Mammogram, read_image
from mammo_core.errors import DicomError, MammoError, RecipeError, RecordError
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.patients import PatientKeys, read_published_name
from mammo_core.sources.names import read_name


@dataclass(frozen=True)
class DecodedImage:
    """An image that was read and prepared for the models.

    Attributes:
        digest: SHA-256 of the file (hex).
        name: Name of the file.
        facts: The facts of its header; laterality and view from its name if the header has none.
        patient: Key of the patient; empty if unknown.
        pixels: For every model `(H, W) uint16, [0, 65535]`, in the geometry of the model.
    """

    digest: str
    name: str
    facts: ImageFacts
    patient: str
    pixels: tuple[npt.NDArray[np.uint16], ...]


@dataclass(frozen=True)
class Reject:
    """A file that cannot be scored, and the reason."""

    name: str
    error: MammoError

    @property
    def reason(self) -> str:
        """The reason as text."""
        return str(self.error)


def decode_file(
    file: InputFile, models: Sequence[Preprocessing], patients: PatientKeys | None
) -> DecodedImage | Reject:
    """Read a file and prepare its pixels for some models.

    A fault of the file gives a reject; a failing disk or server raises.

    Args:
        file: The file.
        models: The preprocessing of every model.
        patients: The keys of patients; None if they are not needed.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    with file.as_local_file() as path:
        try:
            digest, pixels, facts = _decode(path, file.name, models)
        except (DicomError, RecipeError, RecordError) as error:
            return Reject(file.name, error)
        patient = patients.patient_key(path, file.name) if patients is not None else ""
    return DecodedImage(digest, file.name, facts, patient, pixels)


def _decode(
    path: Path, name: str, models: Sequence[Preprocessing]
) -> tuple[str, tuple[npt.NDArray[np.uint16], ...], ImageFacts]:
    digest = ""
    by_options: dict[tuple[bool, bool], Mammogram] = {}
    pixels = []
    for model in models:
        options = (model.conversion.voi, model.conversion.for_processing)
        if options not in by_options:
            by_options[options] = read_image(
                path,
                name,
                mammogram=True,
                voi=options[0],
                for_processing=options[1],
                hash_file=not digest,
            )
            digest = digest or by_options[options].sha256 or ""
        mammogram = by_options[options]
        facts = fill_from_name(mammogram.facts, name, path)
        pixels.append(
            model.from_source(mammogram.pixels, facts.bits_stored, facts.laterality or "")
        )
    return digest, tuple(pixels), facts


def fill_from_name(facts: ImageFacts, name: str, path: Path) -> ImageFacts:
    """Fill in laterality and view from the name of the file if the header has none.

    In DICOM files of CBIS-DDSM, the Patient ID is this name.

    Args:
        facts: The facts of the header.
        name: Name of the file, such as `Calc-Test_P_00041_LEFT_CC.png`.
        path: The file, or the start of it.
    """
    if facts.laterality is not None and facts.view is not None:
        return facts
    named = read_name(name) or read_published_name(path)
    if named is None:
        return facts
    return facts.model_copy(
        update={
            "laterality": facts.laterality or named.laterality or None,
            "view": facts.view or named.view or None,
        }
    )
