"""Decode the pixels of a DICOM file to gray levels with black at 0."""

from typing import Any, Final

import numpy as np

from mammo_core.dicom.codestream import check_codestream
from mammo_core.errors import DicomError

#: Transfer syntax UID → decoder. None: pixels as they are. Fastest without a GPL codec.
DECODERS: Final[dict[str, str | None]] = {
    "1.2.840.10008.1.2": None,  # Implicit VR Little Endian
    "1.2.840.10008.1.2.1": None,  # Explicit VR Little Endian
    "1.2.840.10008.1.2.1.99": None,  # Deflated Explicit VR Little Endian
    "1.2.840.10008.1.2.2": None,  # Explicit VR Big Endian
    "1.2.840.10008.1.2.4.50": "gdcm",  # JPEG Baseline
    "1.2.840.10008.1.2.4.57": "gdcm",  # JPEG Lossless
    "1.2.840.10008.1.2.4.70": "gdcm",  # JPEG Lossless, first-order prediction
    "1.2.840.10008.1.2.4.80": "gdcm",  # JPEG-LS Lossless
    "1.2.840.10008.1.2.4.81": "gdcm",  # JPEG-LS Near-Lossless
    "1.2.840.10008.1.2.4.90": "pylibjpeg",  # JPEG 2000 Lossless
    "1.2.840.10008.1.2.4.91": "pylibjpeg",  # JPEG 2000
    "1.2.840.10008.1.2.5": "pylibjpeg",  # RLE Lossless
}

Pixels = np.ndarray[Any, np.dtype[Any]]
Gray = np.ndarray[Any, np.dtype[np.uint16]]


def decode(data: Any, name: str) -> tuple[Gray, int]:
    """Decode the one frame of a data set.

    Args:
        data: pydicom Dataset with PixelData, of a header that was accepted.
        name: The file, for messages.

    Returns:
        (h, w) uint16, [0, 2**bits - 1], black is 0, padding is 0; and bits.

    Raises:
        DicomError: No, truncated or undecodable pixels.
    """
    if not data.get("PixelData"):
        raise DicomError(
            f"{name} has no pixels", expected="Pixel Data (7FE0,0010)", received="none"
        )
    stored = _stored_values(data, _raw(data, name))
    padding = _padding(data, stored)
    levels, bits = _modality_values(data, stored, name)
    if str(data.PhotometricInterpretation) == "MONOCHROME1":
        levels = (2**bits - 1) - levels
    if padding is not None:
        levels[padding] = 0
    return levels.astype(np.uint16, copy=False), bits


def _raw(data: Any, name: str) -> Pixels:
    """Return the frame's words as the codec gives them, (h, w), 8 or 16 bit."""
    from pydicom.pixels import get_decoder

    syntax = data.file_meta.TransferSyntaxUID
    if str(syntax) not in DECODERS:
        raise DicomError(
            f"{name} has a transfer syntax that is not decoded",
            expected="uncompressed, deflated, RLE, JPEG lossless, JPEG-LS or JPEG 2000",
            received=f"{syntax.name} ({syntax})",
        )
    plugin = DECODERS[str(syntax)]
    try:
        if plugin is not None:
            check_codestream(data, name)
        if plugin == "gdcm":
            _silence_gdcm()
        array, _ = get_decoder(syntax).as_array(
            data, index=0, raw=True, decoding_plugin=plugin or "", correct_unused_bits=False
        )
    except (DicomError, MemoryError):
        raise
    except Exception as error:
        raise DicomError(
            f"{name} has pixels that cannot be decoded, or too few of them",
            expected=f"{data.Rows}x{data.Columns} pixels as {syntax.name}",
            received=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
        ) from error
    words: Pixels = np.asarray(array)
    if words.dtype.kind not in "ui" or words.dtype.itemsize > 2:
        raise DicomError(
            f"{name} has pixels of another kind",
            expected="8 or 16-bit whole numbers",
            received=str(words.dtype),
        )
    if words.shape != (data.Rows, data.Columns):
        raise DicomError(
            f"{name} holds another picture than its header says",
            expected=f"{data.Rows}x{data.Columns}",
            received="x".join(map(str, words.shape)),
        )
    return words


def _stored_values(data: Any, words: Pixels) -> Gray:
    """Cut the stored bits out of the words; signed values are shifted to start at 0."""
    bits = int(data.BitsStored)
    high = int(data.get("HighBit", bits - 1))
    # Values to native order first, then their bits as unsigned: signed ones keep theirs.
    native = words.astype(words.dtype.newbyteorder("="), copy=False)
    unsigned = native.view(np.uint8 if native.dtype.itemsize == 1 else np.uint16)
    values = unsigned.astype(np.uint16)
    if high + 1 > bits:
        values >>= high + 1 - bits
    # Bits above the high bit may hold overlays or rubbish (PS3.5 8.1.1).
    values &= 2**bits - 1
    if data.get("PixelRepresentation") == 1:
        values ^= 1 << (bits - 1)
    return values


def _padding(data: Any, stored: Gray) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return where pixels are padding (PS3.3 C.7.5.1.1.2), or None."""
    first = data.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = data.get("PixelPaddingRangeLimit")
    bits = int(data.BitsStored)
    offset = 2 ** (bits - 1) if data.get("PixelRepresentation") == 1 else 0
    ends = sorted((first + offset, (last if isinstance(last, int) else first) + offset))
    if ends[0] < 0 or ends[1] > 2**bits - 1:
        return None  # Outside the stored range: no pixel can hold it.
    found = (stored >= ends[0]) & (stored <= ends[1])
    return found if found.any() else None


def _modality_values(data: Any, stored: Gray, name: str) -> tuple[Gray, int]:
    """Apply the modality transform (PS3.3 C.11.1) within the gray range.

    A linear rescale maps the stored range onto its own range: relative gray levels stay
    as they are, and only a negative slope changes them, by turning them round.
    """
    bits = int(data.BitsStored)
    tables = data.get("ModalityLUTSequence")
    if tables:
        return _look_up(tables[0], data, stored, name)
    slope = data.get("RescaleSlope")
    if slope is not None and slope != "":
        if float(slope) == 0:
            raise DicomError(
                f"{name} has a rescale slope without effect",
                expected="a slope other than 0",
                received="0",
            )
        if float(slope) < 0:
            return (2**bits - 1) - stored, bits
    return stored, bits


def _look_up(item: Any, data: Any, stored: Gray, name: str) -> tuple[Gray, int]:
    try:
        entries, first, bits = (int(value) for value in item.LUTDescriptor)
        held = item.LUTData
        wide = np.asarray(
            np.frombuffer(held, "<u2") if isinstance(held, bytes) else held, dtype=np.int64
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise _broken_table(name, type(error).__name__) from error
    entries = entries or 2**16  # 0 means 65536.
    if wide.size != entries or not 8 <= bits <= 16:
        raise _broken_table(name, f"{wide.size} of {entries} entries of {bits} bits")
    if int(wide.min()) < 0 or int(wide.max()) > 2**bits - 1:
        raise _broken_table(name, f"entries outside {bits} bits")
    signed = data.get("PixelRepresentation") == 1
    offset = 2 ** (int(data.BitsStored) - 1) if signed else 0
    if signed and first >= 2**15:
        first -= 2**16
    places = np.clip(stored.astype(np.int32) - offset - first, 0, entries - 1)
    return wide.astype(np.uint16)[places], bits


def _broken_table(name: str, received: str) -> DicomError:
    return DicomError(
        f"{name} has a broken modality look-up table",
        expected="a LUT Descriptor of 8 to 16 bits and as many LUT Data entries as it says",
        received=received,
    )


def _silence_gdcm() -> None:
    import gdcm

    for stream in ("Debug", "Warning", "Error"):
        getattr(gdcm.Trace, f"{stream}Off")()
