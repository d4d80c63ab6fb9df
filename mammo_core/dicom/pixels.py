"""From the words of a frame to gray levels with black at 0."""

from typing import Any, Final

import numpy as np

from mammo_core.dicom.tables import read_table
from mammo_core.dicom.voi import apply_voi, function_of
from mammo_core.errors import DicomError

Words = np.ndarray[Any, np.dtype[Any]]
Gray = np.ndarray[Any, np.dtype[np.uint16]]
_FULL: Final = 2**16 - 1


def to_gray(data: Any, words: Words, name: str, *, voi: bool = False) -> tuple[Gray, int]:
    """Turn the words of a frame into gray levels.

    Args:
        data: pydicom Dataset with the header fields, accepted.
        words: (h, w) 8 or 16-bit words in native order; may be written to.
        name: The file, for messages.
        voi: Whether to apply the header's VOI transform, where it has one.

    Returns:
        (h, w) uint16, [0, 2**bits - 1], black is 0, padding is 0; and bits.

    Raises:
        DicomError: A transform of the header is broken.
    """
    stored = _stored_values(data, words)
    padding = _padding(data, stored)
    levels, bits = _levels(data, stored, name, voi=voi)
    if str(data.PhotometricInterpretation) == "MONOCHROME1":
        levels = (2**bits - 1) - levels
    if padding is not None:
        levels[padding] = 0
    return levels.astype(np.uint16, copy=False), bits


def _stored_values(data: Any, words: Words) -> Gray:
    """Cut the stored bits out of the words; signed values are shifted to start at 0."""
    bits = int(data.BitsStored)
    high = int(data.get("HighBit", bits - 1))
    unsigned = words.view(np.uint8 if words.dtype.itemsize == 1 else np.uint16)
    values = unsigned.astype(np.uint16, copy=False)
    if high + 1 > bits:
        values >>= high + 1 - bits
    # Bits above the high bit may hold overlays or rubbish (PS3.5 8.1.1).
    if 2**bits - 1 < _FULL:
        values &= 2**bits - 1
    if data.get("PixelRepresentation") == 1:
        values ^= 1 << (bits - 1)
    return values


def _offset(data: Any) -> int:
    """What was added to signed values, so that they start at 0."""
    return 2 ** (int(data.BitsStored) - 1) if data.get("PixelRepresentation") == 1 else 0


def _padding(data: Any, stored: Gray) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return where pixels are padding (PS3.3 C.7.5.1.1.2), or None."""
    first = data.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = data.get("PixelPaddingRangeLimit")
    bits, offset = int(data.BitsStored), _offset(data)
    ends = sorted((first + offset, (last if isinstance(last, int) else first) + offset))
    if ends[0] < 0 or ends[1] > 2**bits - 1:
        return None  # Outside the stored range: no pixel can hold it.
    found = (stored >= ends[0]) & (stored <= ends[1])
    return found if found.any() else None


def _levels(data: Any, stored: Gray, name: str, *, voi: bool) -> tuple[Gray, int]:
    """Apply the modality transform (PS3.3 C.11.1), and the VOI transform where asked.

    Without the latter a linear rescale maps the stored range onto its own range: relative
    gray levels stay as they are, and only a negative slope changes them, by turning them
    round.
    """
    bits, offset = int(data.BitsStored), _offset(data)
    tables = data.get("ModalityLUTSequence")
    shown = voi and function_of(data) is not None
    slope, intercept = 1.0, 0.0
    if not tables:
        slope, intercept = _number(data, "RescaleSlope", 1.0), _number(data, "RescaleIntercept", 0)
        if slope == 0 or not np.isfinite([slope, intercept]).all():
            raise DicomError(
                f"{name} has a rescale slope without effect",
                expected="a slope other than 0",
                received="0" if slope == 0 else "no number",
            )
        if not shown:
            return ((2**bits - 1) - stored if slope < 0 else stored), bits
    # A transform is a table of all stored values: at most 65536 of them.
    values = np.arange(2**bits, dtype=np.float64) - offset
    levels: Words
    if tables:
        table = read_table(tables[0], name, "modality", signed=offset > 0)
        places = np.clip(values.astype(np.int64) - table.first, 0, table.levels.size - 1)
        levels, bits = table.levels[places], table.bits
        values = levels.astype(np.float64)
    else:
        values = values * slope + intercept
    if shown:
        levels = np.rint(apply_voi(data, values, name) * (2**bits - 1)).astype(np.uint16)
    return np.take(levels, stored), bits


def _number(data: Any, keyword: str, default: float) -> float:
    value = data.get(keyword)
    return default if value is None or value == "" else float(value)
