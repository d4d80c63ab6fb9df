"""One file to what the networks take, and what is known of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from mammo_core.dicom import ImageFacts, Mammogram, read_image
from mammo_core.errors import DicomError, MammoError, RecipeError, RecordError
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.files import FoundFile
from mammo_core.scoring.patients import PatientKeys, published_name
from mammo_core.sources.names import read_name


@dataclass(frozen=True)
class Image:
    """A file that was read.

    Attributes:
        digest: SHA-256 of its bytes (hex).
        name: As it was found.
        facts: Of its header; side and view from its name where the header has none.
        patient: Stands for its patient; empty when unknown.
        pixels: For every model `(H, W) uint16, [0, 65535]`, in the model's geometry.
    """

    digest: str
    name: str
    facts: ImageFacts
    patient: str
    pixels: tuple[npt.NDArray[np.uint16], ...]


@dataclass(frozen=True)
class Reject:
    """A file that cannot be scored, and why."""

    name: str
    error: MammoError

    @property
    def reason(self) -> str:
        """Why, in words."""
        return str(self.error)


def read(
    file: FoundFile, models: Sequence[Preprocessing], patients: PatientKeys | None
) -> Image | Reject:
    """Read one file for some models.

    Faults of the file are its reject; a failing disk or server is not.

    Args:
        file: The file.
        models: How pixels reach each of the models.
        patients: Gives what stands for a patient; None where it does not matter.

    Raises:
        OSError: The disk failed.
        StoreError: The server failed.
    """
    with file.as_local_file() as path:
        try:
            digest, pixels, facts = _decoded(path, file.name, models)
        except (DicomError, RecipeError, RecordError) as error:
            return Reject(file.name, error)
        patient = patients.of(path, file.name) if patients is not None else ""
    return Image(digest, file.name, facts, patient, pixels)


def _decoded(
    path: Path, name: str, models: Sequence[Preprocessing]
) -> tuple[str, tuple[npt.NDArray[np.uint16], ...], ImageFacts]:
    digest = ""
    read_as: dict[tuple[bool, bool], Mammogram] = {}
    pixels = []
    for model in models:
        conversion = model.conversion
        asked = (conversion.voi, conversion.for_processing)
        if asked not in read_as:
            read_as[asked] = read_image(
                path,
                name,
                mammogram=True,
                voi=asked[0],
                for_processing=asked[1],
                hashed=not digest,
            )
            digest = digest or read_as[asked].sha256 or ""
        mammogram = read_as[asked]
        facts = with_name(mammogram.facts, name, path)
        pixels.append(
            model.from_source(mammogram.pixels, facts.bits_stored, facts.laterality or "")
        )
    return digest, tuple(pixels), facts


def with_name(facts: ImageFacts, name: str, path: Path) -> ImageFacts:
    """Fill in side and view where a header does not tell them: from the name of a file.

    In CBIS-DDSM that name is the Patient ID.

    Args:
        facts: Of the header.
        name: Of the file, such as `Calc-Test_P_00041_LEFT_CC.png`.
        path: The file, or its beginning.
    """
    if facts.laterality is not None and facts.view is not None:
        return facts
    told = read_name(name) or published_name(path)
    if told is None:
        return facts
    return facts.model_copy(
        update={
            "laterality": facts.laterality or told.laterality or None,
            "view": facts.view or told.view or None,
        }
    )
