"""Gray PNG and TIFF files of 8 or 16 bits."""

from typing import BinaryIO, Final, Literal

import numpy as np

from mammo_core.dicom.decoders import DECODERS
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.gray_range import background_warnings, range_warnings
from mammo_core.dicom.header import MAXIMUM_BYTES, MAXIMUM_PIXELS
from mammo_core.dicom.stored_values import used_bits
from mammo_core.errors import DicomError

PNG: Final = b"\x89PNG\r\n\x1a\n"
#: The last two are BigTIFF.
TIFF: Final = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
#: Far more than any gray picture has.
_MAXIMUM_TAGS: Final = 1000


def raster_format(start: bytes) -> str | None:
    """Return PNG or TIFF according to the first bytes of a file; None for other files.

    Args:
        start: The first 132 bytes or more, or the whole file.
    """
    if start[128:132] == b"DICM":
        return None  # a DICOM file may have a TIFF header in its preamble (PS3.10 7.1)
    if start.startswith(PNG):
        return "PNG"
    return "TIFF" if start[:4] in TIFF else None


def read_raster_facts(file: BinaryIO, name: str) -> ImageFacts:
    """Read the size and depth of a PNG or TIFF file without its pixels.

    Args:
        file: The file, open.
        name: The file, for messages.

    Returns:
        The facts; modality, laterality and view are unknown.

    Raises:
        DicomError: The file is damaged, in color, not of 8 or 16 bits, or too large.
    """
    try:
        file.seek(0)
        start = file.read(33)
        file_format = raster_format(start) or ""
        if file_format == "PNG":
            # IHDR is the first chunk (PNG 11.2.1): columns, rows, depth, color type.
            columns, rows = (int.from_bytes(start[at : at + 4], "big") for at in (16, 20))
            bits, gray, photometric = start[24], start[25] == 0, "MONOCHROME2"
        else:
            rows, columns, bits, gray, photometric = _tiff(file)
    except _SeveralPagesError as error:
        raise DicomError(
            f"{name} has several pages",
            expected="one picture in a TIFF file",
            received="at least two",
            hint="Export its pages as single files",
        ) from error
    except (IndexError, ValueError, KeyError) as error:
        raise DicomError(
            f"{name} is a damaged image file",
            expected="a complete PNG or TIFF header",
            received=type(error).__name__,
        ) from error
    if not gray or bits not in (8, 16):
        raise DicomError(
            f"{name} is not a gray image",
            expected="one channel of 8 or 16 bits",
            received=f"{file_format}, {bits} bits, "
            f"{'gray' if gray else 'color, palette, alpha, signed or floating-point'}",
        )
    if not 0 < rows * columns <= MAXIMUM_PIXELS:
        raise DicomError(
            f"{name} has too many pixels, or none",
            expected=f"1 to {MAXIMUM_PIXELS} pixels",
            received=f"{rows}x{columns}",
        )
    return ImageFacts(
        transfer_syntax=file_format,
        photometric=photometric,
        rows=rows,
        columns=columns,
        bits_stored=bits,
    )


def read_raster(file: BinaryIO, name: str) -> Mammogram:
    """Read a gray PNG or TIFF file.

    Args:
        file: The file, open.
        name: The file, for messages.

    Returns:
        Pixels `(h, w) uint16`, [0, 255] or [0, 65535], and facts.

    Raises:
        DicomError: As for `read_raster_facts`, or the pixels cannot be decoded.
    """
    facts = read_raster_facts(file, name)
    content = _read_bounded(file, name)
    # OpenCV pads a truncated PNG, so its last chunk is checked first.
    if facts.transfer_syntax == "PNG" and b"IEND" not in content[-64:]:
        raise _decode_error(name, facts, "truncated or damaged pixels")
    request = {"syntax": facts.transfer_syntax, "rows": facts.rows, "columns": facts.columns}
    pixels = DECODERS.decode(request, content, name)
    if pixels.shape != (facts.rows, facts.columns):
        raise _decode_error(name, facts, "truncated or damaged pixels")
    gray = pixels.astype(np.uint16, copy=False)
    if facts.photometric == "MONOCHROME1" and facts.bits_stored == 16:
        gray = (2**16 - 1) - gray  # OpenCV inverts 8 bits only
    warnings = (
        *range_warnings(used_bits(gray), facts.bits_stored),
        *background_warnings(gray, facts.bits_stored),
    )
    return Mammogram(pixels=gray, facts=facts.model_copy(update={"warnings": warnings}))


def _read_bounded(file: BinaryIO, name: str) -> bytes:
    file.seek(0)
    content = file.read(MAXIMUM_BYTES + 1)
    if len(content) > MAXIMUM_BYTES:
        raise DicomError(
            f"{name} is larger than any mammogram",
            expected=f"at most {MAXIMUM_BYTES} bytes",
            received="more",
        )
    return content


def _decode_error(name: str, facts: ImageFacts, received: str) -> DicomError:
    return DicomError(
        f"{name} has pixels that cannot be decoded",
        expected=f"{facts.rows}x{facts.columns} pixels as {facts.transfer_syntax}",
        received=received,
    )


class _SeveralPagesError(Exception):
    """A TIFF file has more than one page."""


def _tiff(file: BinaryIO) -> tuple[int, int, int, bool, str]:
    """Return rows, columns, bits, whether it is gray, and photometric of the only page."""
    file.seek(0)
    magic = file.read(4)
    order: Literal["little", "big"] = "little" if magic[:2] == b"II" else "big"
    big = b"+" in magic
    # TIFF 6.0 and BigTIFF: sizes of an offset, of the number of tags, and of a tag's count.
    offset_size, number_size = (8, 8) if big else (4, 2)

    def number(size: int) -> int:
        return int.from_bytes(file.read(size), order)

    file.seek(8 if big else 4)
    file.seek(number(offset_size))
    tags: dict[int, int] = {}
    for _ in range(min(number(number_size), _MAXIMUM_TAGS)):
        tag, value_type, count = number(2), number(2), number(offset_size)
        value = file.read(offset_size)
        size = {3: 2, 4: 4}.get(value_type)  # SHORT and LONG are at the start of the value
        if count == 1 and size is not None:
            tags[tag] = int.from_bytes(value[:size], order)
    if number(offset_size):
        raise _SeveralPagesError
    photometric = {0: "MONOCHROME1", 1: "MONOCHROME2"}.get(tags.get(262, -1), "")
    # Sample Format (339): 1 is unsigned.
    gray = tags.get(277, 1) == 1 and bool(photometric) and tags.get(339, 1) == 1
    return tags[257], tags[256], tags.get(258, 1), gray, photometric or "color"
