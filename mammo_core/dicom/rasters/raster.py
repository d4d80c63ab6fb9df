"""Gray PNG, TIFF, Netpbm and JPEG files, and the masks among them."""

from functools import reduce
from typing import Any, BinaryIO, Final

import numpy as np

from mammo_core.dicom.codecs.decoders import DECODERS
from mammo_core.dicom.facts import ImageFacts, Mammogram
from mammo_core.dicom.gray.gray_range import background_warnings, range_warnings
from mammo_core.dicom.gray.stored_values import used_bits
from mammo_core.dicom.headers.header import MAXIMUM_BYTES, MAXIMUM_PIXELS
from mammo_core.dicom.meanings.meaning import ImageWarning
from mammo_core.dicom.rasters.raster_header import (
    PNG,
    RasterHeader,
    SeveralPagesError,
    raster_format,
    read_raster_header,
)
from mammo_core.errors import DicomError

__all__ = ["PNG", "raster_format", "read_raster", "read_raster_facts"]

#: Bits of a gray picture. Netpbm files state a maximum value, so they have any number.
_GRAY_BITS: Final = {
    "PNG": (8, 16), "TIFF": (8, 10, 12, 14, 16), "PNM": tuple(range(8, 17)), "JPEG": (8,),
}  # fmt: skip
_MASK_BITS: Final = {"PNG": (1, 2, 4, 8, 16), "TIFF": (1, 8, 16), "PNM": tuple(range(1, 17))}
_MASK_KINDS: Final = ("gray", "RGB", "palette", "RGB with alpha")
#: What differs between the channels of a gray picture that was compressed as a color one.
_GRAY_TOLERANCE: Final = 8
#: Weights of blue, green and red in ITU-R BT.601, of 2**14: their sum, so that gray stays gray.
_LUMA: Final = (1868, 9617, 4899)
_ROWS: Final = 256
_LOSSY: Final = ImageWarning(
    code="lossy", message="JPEG compression has changed the gray levels and removed fine detail"
)
_PHOTOMETRIC: Final = {"RGB": "RGB", "RGB with alpha": "RGB", "palette": "PALETTE COLOR"}

Samples = np.ndarray[Any, np.dtype[Any]]


def read_raster_facts(
    file: BinaryIO, name: str, *, mask: bool = False, lossy_jpeg: bool = False
) -> ImageFacts:
    """Read the size and depth of a PNG, TIFF, Netpbm or JPEG file without its pixels.

    Args:
        file: The file, open.
        name: The file, for messages.
        mask: Whether it is a mask, which may have fewer bits, three channels or a palette, and is
            never a JPEG file.
        lossy_jpeg: Whether JPEG files are accepted, with a warning.

    Returns:
        The facts; modality, laterality and view are unknown.

    Raises:
        DicomError: The file is damaged, too large, compressed with a loss, has several pages, or
            is not gray with 8 to 16 bits.
    """
    return _facts(file, name, mask, lossy_jpeg)[0]


def _facts(
    file: BinaryIO, name: str, mask: bool, lossy_jpeg: bool
) -> tuple[ImageFacts, RasterHeader]:
    file.seek(0)
    file_format = raster_format(file.read(132)) or ""
    if file_format == "JPEG" and (mask or not lossy_jpeg):
        raise _lossy_error(name, mask)
    try:
        header = read_raster_header(file, file_format, name)
    except SeveralPagesError as error:
        raise DicomError(
            f"{name} has several pages",
            expected="one picture in a file",
            received="at least two",
            hint="Export its pages as single files",
        ) from error
    except (IndexError, ValueError, KeyError) as error:
        raise DicomError(
            f"{name} is a damaged image file",
            expected="a complete PNG, TIFF, Netpbm or JPEG header",
            received=type(error).__name__,
        ) from error
    bits = (_MASK_BITS if mask else _GRAY_BITS)[file_format]
    # Whether the channels of a JPEG file are equal shows when it is decoded.
    kinds = ("gray", "RGB") if file_format == "JPEG" else _MASK_KINDS if mask else ("gray",)
    if header.kind not in kinds or header.bits not in bits:
        raise DicomError(
            f"{name} is not a {'mask' if mask else 'gray image'}",
            expected="one channel, three equal ones, or a palette" if mask else
            f"one channel of {', '.join(map(str, bits))} bits",
            received=f"{file_format}, {header.bits} bits, {header.kind}",
        )  # fmt: skip
    if not 0 < header.rows * header.columns <= MAXIMUM_PIXELS:
        raise DicomError(
            f"{name} has too many pixels, or none",
            expected=f"1 to {MAXIMUM_PIXELS} pixels",
            received=f"{header.rows}x{header.columns}",
        )
    gray = "MONOCHROME1" if header.white_is_zero else "MONOCHROME2"
    turned = header.orientation > 4
    facts = ImageFacts(
        transfer_syntax=file_format,
        photometric=_PHOTOMETRIC.get(header.kind, gray),
        rows=header.columns if turned else header.rows,
        columns=header.rows if turned else header.columns,
        bits_stored=header.bits,
        warnings=(_LOSSY,) if file_format == "JPEG" else (),
    )
    return facts, header


def read_raster(
    file: BinaryIO, name: str, *, mask: bool = False, lossy_jpeg: bool = False
) -> Mammogram:
    """Read a gray PNG, TIFF, Netpbm or JPEG file, or a mask.

    Args:
        file: The file, open.
        name: The file, for messages.
        mask: As for `read_raster_facts`.
        lossy_jpeg: As for `read_raster_facts`.

    Returns:
        Pixels `(h, w) uint16`, [0, 2**bits_stored - 1], and facts. Of a mask: a level for each
        gray level or color, 0 for black.

    Raises:
        DicomError: As for `read_raster_facts`, or the pixels cannot be decoded, or the channels of
            a mask or a JPEG file differ.
    """
    facts, header = _facts(file, name, mask, lossy_jpeg)
    content = _read_bounded(file, name)
    # OpenCV pads a truncated PNG, so its last chunk is checked first.
    if facts.transfer_syntax == "PNG" and b"IEND" not in content[-64:]:
        raise _decode_error(name, facts, "truncated or damaged pixels")
    request = {
        "syntax": facts.transfer_syntax,
        "rows": header.rows,
        "columns": header.columns,
        "bits": header.bits,
    }
    samples = DECODERS.decode(request, content, name)
    if samples.shape[:2] != (header.rows, header.columns):
        raise _decode_error(name, facts, "truncated or damaged pixels")
    if samples.ndim == 3 and mask:
        samples = _levels_of_colors(samples, name, header.kind == "palette")
    elif samples.ndim == 3 and facts.transfer_syntax == "JPEG":
        samples = _gray_of_colors(samples, name)
    if samples.ndim != 2:
        raise _decode_error(name, facts, "color")
    if header.white_is_zero:
        samples = np.asarray((2**header.bits - 1) - samples)
    gray = turn(samples.astype(np.uint16, copy=False), header.orientation)
    if mask:
        return Mammogram(pixels=gray, facts=facts)
    warnings = (
        *facts.warnings,
        *range_warnings(used_bits(gray), facts.bits_stored),
        *background_warnings(gray, facts.bits_stored),
    )
    return Mammogram(pixels=gray, facts=facts.model_copy(update={"warnings": warnings}))


def turn(picture: Samples, orientation: int) -> Samples:
    """Return a picture as it is meant to be seen.

    Args:
        picture: `(h, w)`, as stored.
        orientation: 1 to 8 (TIFF 6.0, tag 274): where its first row and first column belong.

    Returns:
        `(h, w)`, or `(w, h)` for 5 to 8; contiguous.
    """
    if orientation > 4:
        picture = picture.T
        # Rows and columns are exchanged first: 5 → 1, 6 → 2, 7 → 3, 8 → 4.
        orientation -= 4
    if orientation in (2, 3):
        picture = picture[:, ::-1]
    if orientation in (3, 4):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _levels_of_colors(colors: Samples, name: str, palette: bool) -> Samples:
    """Return `(h, w) uint16`: the gray level of equal channels, or a number for each color."""
    first = colors[..., 0]
    alpha = colors.shape[2] == 4 and not (colors[..., 3] == np.iinfo(colors.dtype).max).all()
    if not alpha and all(np.array_equal(first, colors[..., at]) for at in (1, 2)):
        return np.asarray(first)
    if not palette or alpha:
        raise DicomError(
            f"{name} is not a mask",
            expected="equal channels",
            received="a color picture" if not alpha else "a picture with transparent pixels",
        )
    packed = colors[..., :3].astype(np.uint64) @ np.array([1, 2**16, 2**32], np.uint64)
    values, numbers = np.unique(packed, return_inverse=True)
    levels = numbers.reshape(first.shape) + (0 if values[0] == 0 else 1)
    return np.asarray(levels.astype(np.uint16))


def _gray_of_colors(colors: Samples, name: str) -> Samples:
    """Return the gray levels `(h, w) uint8` of channels `(h, w, 3) uint8` that are nearly equal."""
    gray, difference = np.empty(colors.shape[:2], np.uint8), 0
    for top in range(0, len(gray), _ROWS):  # in parts, because sums need four times the memory
        part = colors[top : top + _ROWS]
        channels = [part[..., at] for at in range(3)]
        least, most = (reduce(function, channels) for function in (np.minimum, np.maximum))
        difference = max(difference, int((most - least).max()))
        luma = sum(
            np.multiply(channel, weight, dtype=np.uint32)
            for channel, weight in zip(channels, _LUMA, strict=True)
        )
        gray[top : top + _ROWS] = (luma + 2**13) >> 14
    if difference > _GRAY_TOLERANCE:
        raise DicomError(
            f"{name} is not a gray image",
            expected=f"one channel, or three that differ by at most {_GRAY_TOLERANCE} levels",
            received=f"a color picture, whose channels differ by {difference}",
        )
    return gray


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


def _lossy_error(name: str, mask: bool) -> DicomError:
    return DicomError(
        f"{name} is a JPEG picture",
        expected="a file without loss: "
        + ("PNG, TIFF or PGM" if mask else "DICOM, PNG, TIFF or PGM"),
        received="JPEG, which changes gray levels",
        hint="Draw the mask again without loss"
        if mask
        else "Use the original. A data set that is published as JPEG only is read with the option "
        "lossy_jpeg of its source, and scored by packages that were trained on it",
    )
