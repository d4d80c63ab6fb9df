"""Read one image file: DICOM, or gray PNG and TIFF."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from mammo_core.dicom.check import require_mammogram
from mammo_core.dicom.describe import facts_of
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.fields import Header, without_text
from mammo_core.dicom.pixel_frame import read_words
from mammo_core.dicom.hashed import opened, sha256_of
from mammo_core.dicom.header import check_header, read_header
from mammo_core.dicom.pixels import to_gray
from mammo_core.dicom.raster import raster_kind, read_raster, read_raster_facts
from mammo_core.errors import DicomError


def read_facts(
    path: str | PathLike[str], name: str | None = None, *, for_processing: bool = False
) -> ImageFacts:
    """Read the facts of a DICOM, PNG or TIFF file, told apart by content.

    Args:
        path: The file.
        name: How messages call the file; the path by default.
        for_processing: Whether to take raw detector data as well, which are not made for
            reading: the facts tell them.

    Returns:
        The allow-listed facts.

    Raises:
        DicomError: Every reason that lies in the file.
        OSError: The disk failed.
    """
    name = name or str(path)
    with opened(Path(path), name) as file:
        if raster_kind(file.read(132)):
            return read_raster_facts(file, name)
        return _header(file, name, for_processing)[1]


def read_image(
    path: str | PathLike[str],
    name: str | None = None,
    *,
    mammogram: bool = False,
    voi: bool = False,
    for_processing: bool = False,
    hashed: bool = False,
) -> Mammogram:
    """Read a DICOM image, or a gray PNG or TIFF of 8 or 16 bits, told apart by content.

    Args:
        path: The file.
        name: How messages call the file; the path by default.
        mammogram: Whether to refuse, before decoding, what `require_mammogram` refuses.
        voi: Whether to apply a DICOM header's VOI look-up table or window.
        for_processing: Whether to take raw detector data as well, which are not made for
            reading: the facts tell them.
        hashed: Whether to hash the file while it is read, which costs no second read.

    Returns:
        Pixels (h, w) uint16, [0, 2**bits_stored - 1], facts, and the hash.

    Raises:
        DicomError: Every reason that lies in the file.
        OSError: The disk or the machine failed.
    """
    name = name or str(path)
    with opened(Path(path), name, hashed=hashed) as file:
        if raster_kind(file.read(132)):
            facts = read_raster_facts(file, name)
            if mammogram:
                require_mammogram(facts, name)
            image = read_raster(file, name)
        else:
            image = _image(file, name, mammogram, voi, for_processing)
        return replace(image, sha256=sha256_of(file))


def _image(
    file: BinaryIO, name: str, mammogram: bool, voi: bool, for_processing: bool
) -> Mammogram:
    # Header first: what it shows to be unreadable is refused before pixels take memory.
    header, facts = _header(file, name, for_processing)
    if mammogram:
        require_mammogram(facts, name)
    with _only_dicom_errors(name):
        pixels, bits = to_gray(header.data, read_words(file, header, name), name, voi=voi)
    changed = {"bits_stored": bits} | ({"voi": "applied"} if voi and facts.voi_function else {})
    return Mammogram(pixels=pixels, facts=facts.model_copy(update=changed))


def _header(file: BinaryIO, name: str, for_processing: bool) -> tuple[Header, ImageFacts]:
    with _only_dicom_errors(name):
        header = read_header(file, name)
        check_header(header.data, name, for_processing=for_processing)
        return header, facts_of(header.data)


@contextmanager
def _only_dicom_errors(name: str) -> Iterator[None]:
    """Turn what a header with impossible types can raise anywhere into a DicomError."""
    try:
        yield
    except (DicomError, OSError, MemoryError):
        raise
    except Exception as error:
        raise DicomError(
            f"{name} cannot be read",
            expected="header values of the kinds that PS3.6 gives them",
            received=f"{type(error).__name__}",
        ) from without_text(error)
