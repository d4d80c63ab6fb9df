"""Read one image file: DICOM, or gray PNG and TIFF."""

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from mammo_core.dicom.check import check_mammogram
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.header import (
    check_header,
    facts_of,
    raise_unless_missing,
    read_header,
    read_with_pixels,
)
from mammo_core.dicom.pixels import decode
from mammo_core.dicom.raster import raster_kind, read_raster, read_raster_facts
from mammo_core.errors import DicomError


def read_facts(path: str | PathLike[str], name: str | None = None) -> ImageFacts:
    """Read the facts of a DICOM image, pixels left alone.

    Args:
        path: The file.
        name: How messages call the file; the path by default.

    Returns:
        The allow-listed facts.

    Raises:
        DicomError: Every reason that lies in the file.
        OSError: The disk failed.
    """
    file, name = Path(path), name or str(path)
    with _only_dicom_errors(name):
        header = read_header(file, name)
        check_header(header, name)
        return facts_of(header)


def read_image(
    path: str | PathLike[str], name: str | None = None, *, mammogram: bool = False
) -> Mammogram:
    """Read a DICOM image.

    Takes uncompressed, deflated, RLE, JPEG lossless, JPEG-LS and JPEG 2000 files of one
    gray frame. MONOCHROME1 is inverted, padding is 0, signed values start at 0, a modality
    look-up table is applied.

    Args:
        path: The file.
        name: How messages call the file; the path by default.
        mammogram: Whether to refuse, before decoding, what `check_mammogram` refuses.

    Returns:
        Pixels (h, w) uint16, [0, 2**bits_stored - 1], and facts.

    Raises:
        DicomError: Every reason that lies in the file: no DICOM file, no pixels, more than
            one frame, colour, For Processing, truncated, undecodable, too big.
        OSError: The disk failed.
    """
    file, name = Path(path), name or str(path)
    # Header first: what it shows to be unreadable is refused before pixels take memory.
    facts = read_facts(file, name)
    if mammogram:
        check_mammogram(facts, name)
    with _only_dicom_errors(name):
        pixels, bits = decode(read_with_pixels(file, name), name)
    return Mammogram(pixels=pixels, facts=facts.model_copy(update={"bits_stored": bits}))


def read_any_facts(path: str | PathLike[str], name: str | None = None) -> ImageFacts:
    """Read the facts of a DICOM, PNG or TIFF file, told apart by content.

    Args:
        path: The file.
        name: How messages call the file; the path by default.

    Returns:
        The allow-listed facts.

    Raises:
        DicomError: Every reason that lies in the file.
        OSError: The disk failed.
    """
    file, name = Path(path), name or str(path)
    if raster_kind(_start(file, name)):
        return read_raster_facts(file, name)
    return read_facts(file, name)


def read_any(
    path: str | PathLike[str], name: str | None = None, *, mammogram: bool = False
) -> Mammogram:
    """Read a DICOM image, or a gray PNG or TIFF of 8 or 16 bits, told apart by content.

    Args:
        path: The file.
        name: How messages call the file; the path by default.
        mammogram: Whether to refuse, before decoding, what `check_mammogram` refuses.

    Returns:
        Pixels (h, w) uint16, [0, 2**bits_stored - 1], and facts.

    Raises:
        DicomError: Every reason that lies in the file.
        OSError: The disk failed.
    """
    file, name = Path(path), name or str(path)
    if raster_kind(_start(file, name)):
        image = read_raster(file, name)
        if mammogram:
            check_mammogram(image.facts, name)
        return image
    return read_image(file, name, mammogram=mammogram)


def _start(file: Path, name: str) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(132)
    except OSError as error:
        raise_unless_missing(error, name)
        raise


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
        ) from error
