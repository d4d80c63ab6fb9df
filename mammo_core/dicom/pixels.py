"""From the words of a pixel frame to gray levels with black at 0."""

from typing import Any, Final

import numpy as np

from mammo_core.dicom.lookup_table import read_lookup_table
from mammo_core.dicom.voi import apply_voi, voi_function
from mammo_core.errors import DicomError

Words = np.ndarray[Any, np.dtype[Any]]
Gray = np.ndarray[Any, np.dtype[np.uint16]]
_FULL: Final = 2**16 - 1


def to_gray(data: Any, words: Words, name: str, *, voi: bool = False) -> tuple[Gray, int]:
    """Convert the words of a pixel frame to gray levels.

    Args:
        data: The accepted header fields (pydicom Dataset).
        words: `(h, w)` 8 or 16-bit words in native order; may be overwritten.
        name: The file, for messages.
        voi: Whether to apply the VOI transform of the header, if it has one.

    Returns:
        The levels, `(h, w) uint16, [0, 2**bits - 1]`, black and padding are 0; and the bits.

    Raises:
        DicomError: A transform of the header is invalid.
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
    """Extract the stored bits of the words; signed values are shifted to start at 0."""
    bits = int(data.BitsStored)
    high = int(data.get("HighBit", bits - 1))
    unsigned = words.view(np.uint8 if words.dtype.itemsize == 1 else np.uint16)
    values = unsigned.astype(np.uint16, copy=False)
    if high + 1 > bits:
        values >>= high + 1 - bits
    # Bits above the high bit may contain overlays or garbage (PS3.5 8.1.1).
    if 2**bits - 1 < _FULL:
        values &= 2**bits - 1
    if data.get("PixelRepresentation") == 1:
        values ^= 1 << (bits - 1)
    return values


def _offset(data: Any) -> int:
    """Return the shift that makes signed values start at 0."""
    return 2 ** (int(data.BitsStored) - 1) if data.get("PixelRepresentation") == 1 else 0


def _padding(data: Any, stored: Gray) -> np.ndarray[Any, np.dtype[np.bool_]] | None:
    """Return a mask of padding pixels (PS3.3 C.7.5.1.1.2), or None if there are none."""
    first = data.get("PixelPaddingValue")
    if not isinstance(first, int):
        return None
    last = data.get("PixelPaddingRangeLimit")
    bits, offset = int(data.BitsStored), _offset(data)
    ends = sorted((first + offset, (last if isinstance(last, int) else first) + offset))
    if ends[0] < 0 or ends[1] > 2**bits - 1:
        return None  # outside the stored range: no pixel can have it
    padding = (stored >= ends[0]) & (stored <= ends[1])
    return padding if padding.any() else None


def _levels(data: Any, stored: Gray, name: str, *, voi: bool) -> tuple[Gray, int]:
    """Apply the modality transform (PS3.3 C.11.1) and, if requested, the VOI transform.

    Without the VOI transform, a linear rescale keeps the stored range: relative gray levels do
    not change, and only a negative slope has an effect, by inverting them.
    """
    bits, offset = int(data.BitsStored), _offset(data)
    tables = data.get("ModalityLUTSequence")
    use_voi = voi and voi_function(data) is not None
    slope, intercept = 1.0, 0.0
    if not tables:
        slope, intercept = _number(data, "RescaleSlope", 1.0), _number(data, "RescaleIntercept", 0)
        if slope == 0 or not np.isfinite([slope, intercept]).all():
            raise DicomError(
                f"{name} has an invalid rescale slope or intercept",
                expected="finite numbers, and a slope other than 0",
                received="slope 0" if slope == 0 else "not a number",
            )
        if not use_voi:
            return ((2**bits - 1) - stored if slope < 0 else stored), bits
    # The transform is computed once per possible stored value: at most 65536 of them.
    values = np.arange(2**bits, dtype=np.float64) - offset
    levels: Words
    if tables:
        table = read_lookup_table(tables[0], name, "modality", signed=offset > 0)
        entries = np.clip(values.astype(np.int64) - table.first, 0, table.levels.size - 1)
        levels, bits = table.levels[entries], table.bits
        values = levels.astype(np.float64)
    else:
        values = values * slope + intercept
    if use_voi:
        levels = np.rint(apply_voi(data, values, name) * (2**bits - 1)).astype(np.uint16)
    return np.take(levels, stored), bits


def _number(data: Any, keyword: str, default: float) -> float:
    value = data.get(keyword)
    return default if value is None or value == "" else float(value)
