"""Read one image file: DICOM, or gray PNG, TIFF, Netpbm and JPEG."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mammo_core.dicom.facts import ImageFacts, Mammogram, require_mammogram
from mammo_core.dicom.gray.pixel_frame import read_frame
from mammo_core.dicom.gray.pixels import to_gray
from mammo_core.dicom.headers.fields import Header, error_without_text
from mammo_core.dicom.headers.hashing import file_digest, open_image_file
from mammo_core.dicom.headers.header import read_header, read_integer, require_readable_header
from mammo_core.dicom.headers.second_file import require_single_file
from mammo_core.dicom.meanings.header_facts import header_facts
from mammo_core.dicom.rasters.raster import raster_format, read_raster, read_raster_facts
from mammo_core.dicom.rasters.raster_end import require_nothing_after
from mammo_core.errors import DicomError


def read_facts(
    path: str | PathLike[str],
    name: str | None = None,
    *,
    for_processing: bool = False,
    mask: bool = False,
    lossy_jpeg: bool = False,
) -> ImageFacts:
    """Read the facts of a DICOM, PNG, TIFF, Netpbm or JPEG file without its pixels.

    The content decides which of them it is, not the name.

    Args:
        path: The file.
        name: How messages call the file; by default its path.
        for_processing: Whether to accept raw detector data, which is not meant for reading: the
            facts say so.
        mask: Whether it is a mask, which may have 1 bit, three equal channels or a palette.
        lossy_jpeg: Whether to accept JPEG pictures, whose loss changes gray levels: a warning of
            the facts says so. (JPEG in DICOM is always read.)

    Returns:
        The allow-listed facts.

    Raises:
        DicomError: Any fault of the file.
        OSError: The disk failed.
    """
    name = name or str(path)
    with open_image_file(Path(path), name) as file:
        if raster_format(file.read(132)):
            return read_raster_facts(file, name, mask=mask, lossy_jpeg=lossy_jpeg)
        return _read_header(file, name, for_processing)[1]


def read_rejected_facts(path: str | PathLike[str]) -> ImageFacts | None:
    """Return what the header of a file says that cannot be read as a mammogram.

    Args:
        path: The file.

    Returns:
        Its facts; None if it has no header of an image.

    Raises:
        OSError: The disk failed.
    """
    name = str(path)
    with suppress(DicomError), open_image_file(Path(path), name) as file:
        if raster_format(file.read(132)):
            return read_raster_facts(file, name, lossy_jpeg=True)
        with _only_dicom_errors(name):
            header = read_header(file, name)
            if read_integer(header.data, "Rows") and read_integer(header.data, "Columns"):
                return header_facts(header.data)
    return None


def read_image(
    path: str | PathLike[str],
    name: str | None = None,
    *,
    mammogram: bool = False,
    require: Callable[[ImageFacts], object] | None = None,
    voi: bool = False,
    for_processing: bool = False,
    hash_file: bool = False,
    mask: bool = False,
    lossy_jpeg: bool = False,
) -> Mammogram:
    """Read a DICOM image, or a gray PNG, TIFF or Netpbm file of 8 to 16 bits, or a JPEG file.

    The content decides which of them it is, not the name. DICOM files have one gray frame,
    uncompressed, deflated, or compressed with RLE, JPEG (baseline, extended, lossless), JPEG-LS,
    JPEG 2000 or HTJ2K. MONOCHROME1 is inverted, padding is 0, signed values start at 0, and a
    modality look-up table is applied. Compressed frames are decoded in a separate process: a
    codec that crashes or hangs affects the file, not the run.

    Args:
        path: The file.
        name: How messages call the file; by default its path.
        mammogram: Whether to reject, before decoding, what `require_mammogram` rejects.
        require: Called with the facts of the header before decoding, and raises if the image is
            not wanted.
        voi: Whether to apply the VOI look-up table or window of a DICOM header (PS3.3 C.11.2),
            scaled to the stored range; the facts say whether there is one and whether it was
            applied.
        for_processing: Whether to accept raw detector data, which is not meant for reading: the
            facts say so.
        hash_file: Whether to hash the file while it is read, without a second read.
        mask: Whether it is a mask, which may also have 1 bit, three equal channels or a palette;
            its pixels are a level for each color, 0 for black.
        lossy_jpeg: Whether to accept JPEG pictures: gray, or three channels that are nearly equal.

    Returns:
        Pixels `(h, w) uint16, [0, 2**bits_stored - 1]` (those of a mask may be uint8), facts, and
        the digest.

    Raises:
        DicomError: Any fault of the file: not a DICOM file, no pixels, several frames, color,
            For Processing, truncated, undecodable, too large.
        OSError: The disk or the machine failed.
    """
    name = name or str(path)
    with open_image_file(Path(path), name, hash_file=hash_file) as file:
        if raster_format(file.read(132)):
            facts = read_raster_facts(file, name, mask=mask, lossy_jpeg=lossy_jpeg)
            if mammogram:
                require_mammogram(facts, name)
            if require is not None:
                require(facts)
            require_nothing_after(file, name)
            image = read_raster(file, name, mask=mask, lossy_jpeg=lossy_jpeg)
        else:
            image = _read_dicom(file, name, mammogram, require, voi, for_processing)
            if not mask:  # it is only compared with 0
                image = replace(image, pixels=image.pixels.astype(np.uint16, copy=False))
        return replace(image, sha256=file_digest(file))


def _read_dicom(
    file: BinaryIO,
    name: str,
    mammogram: bool,
    require: Callable[[ImageFacts], object] | None,
    voi: bool,
    for_processing: bool,
) -> Mammogram:
    # The header first: unreadable images are rejected before memory is allocated for pixels.
    header, facts = _read_header(file, name, for_processing)
    if mammogram:
        require_mammogram(facts, name)
    if require is not None:
        require(facts)
    with _only_dicom_errors(name):
        gray = to_gray(header.data, read_frame(file, header, name), name, voi=voi)
    require_single_file(file, header, name)
    updates: dict[str, Any] = {"bits_stored": gray.bits}
    updates["warnings"] = (*facts.warnings, *gray.warnings)
    if voi and facts.voi_function:
        updates["voi"] = "applied"
    return Mammogram(pixels=gray.levels, facts=facts.model_copy(update=updates))


def _read_header(file: BinaryIO, name: str, for_processing: bool) -> tuple[Header, ImageFacts]:
    with _only_dicom_errors(name):
        header = read_header(file, name)
        require_readable_header(header.data, name, for_processing=for_processing)
        return header, header_facts(header.data)


@contextmanager
def _only_dicom_errors(name: str) -> Iterator[None]:
    """Convert any error that a header with impossible types causes into a DicomError."""
    try:
        yield
    except (DicomError, OSError, MemoryError):
        raise
    except Exception as error:
        raise DicomError(
            f"{name} cannot be read",
            expected="header values of the types defined in PS3.6",
            received=f"{type(error).__name__}",
        ) from error_without_text(error)
