"""From the words of a pixel frame to gray levels with black at 0."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from mammo_core.dicom.gray.gray_range import background_warnings, range_warnings
from mammo_core.dicom.gray.lookup_table import read_lookup_table, table_warning
from mammo_core.dicom.gray.padding import read_padding
from mammo_core.dicom.gray.pixel_frame import PixelFrame
from mammo_core.dicom.gray.stored_values import BitLayout, StoredValues, read_stored_values
from mammo_core.dicom.gray.voi import apply_voi, voi_function, voi_table
from mammo_core.dicom.headers.header import OVERLAY_GROUPS
from mammo_core.dicom.meanings.meaning import ImageWarning
from mammo_core.errors import DicomError

Words = np.ndarray[Any, np.dtype[Any]]
Gray = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class GrayImage:
    """Gray levels with black at 0.

    Args:
        levels: `(h, w) uint8 or uint16, [0, 2**bits - 1]`, black and padding are 0.
        bits: Bits of their range.
        warnings: What header and pixels disagree about.
    """

    levels: Gray
    bits: int
    warnings: tuple[ImageWarning, ...] = ()


def to_gray(data: Any, frame: PixelFrame, name: str, *, voi: bool = False) -> GrayImage:
    """Convert the words of a pixel frame to gray levels.

    Args:
        data: The accepted header fields (`FieldValues`).
        frame: The words, which may be overwritten.
        name: The file, for messages.
        voi: Whether to apply the VOI transform of the header, if it has one.

    Raises:
        DicomError: A transform of the header is invalid, or header and pixels contradict each
            other.
    """
    slope, intercept = _rescale(data, name)
    layout = _layout(data, frame, slope, intercept)
    stored = read_stored_values(frame.words, layout, read_padding(data), name)
    warnings = list(stored.warnings)
    warnings.extend(range_warnings(stored.used, stored.bits))
    levels, bits = _levels(data, stored, (slope, intercept), warnings, name, voi=voi)
    if str(data.PhotometricInterpretation) == "MONOCHROME1":
        levels = (2**bits - 1) - levels
    if stored.padding is not None:
        levels[stored.padding] = 0
    warnings.extend(background_warnings(levels, bits))
    return GrayImage(levels, bits, tuple(warnings))


def _layout(data: Any, frame: PixelFrame, slope: float, intercept: float) -> BitLayout:
    stored = int(data.BitsStored)
    shift = intercept / slope if not data.get("ModalityLUTSequence") and slope > 0 else 0.0
    return BitLayout(
        allocated=int(data.BitsAllocated),
        stored=stored,
        high=int(data.get("HighBit", stored - 1)),
        signed=data.get("PixelRepresentation") == 1,
        precision=frame.precision,
        stream_signed=frame.signed,
        overlays=_overlay_bits(data),
        shift=int(shift) if 0 < shift < 2**16 and shift.is_integer() else None,
    )


def _overlay_bits(data: Any) -> int:
    """Return the bits of a word that overlay planes occupy (PS3.5 8.1.2, retired)."""
    bits = 0
    for group in OVERLAY_GROUPS:
        allocated, position = data.get(f"{group}0100"), data.get(f"{group}0102", 0)
        # An overlay with data of its own has one bit allocated and is not in the pixels.
        if allocated in (8, 16) and isinstance(position, int) and 0 <= position < 16:
            bits |= 1 << position
    return bits


def _rescale(data: Any, name: str) -> tuple[float, float]:
    """Return slope and intercept; 1 and 0 where a modality table replaces them."""
    if data.get("ModalityLUTSequence"):
        return 1.0, 0.0
    slope, intercept = _number(data, "RescaleSlope", 1.0), _number(data, "RescaleIntercept", 0)
    if slope == 0 or not np.isfinite([slope, intercept]).all():
        raise DicomError(
            f"{name} has an invalid rescale slope or intercept",
            expected="finite numbers, and a slope other than 0",
            received="slope 0" if slope == 0 else "not a number",
        )
    return slope, intercept


def _levels(
    data: Any,
    stored: StoredValues,
    rescale: tuple[float, float],
    warnings: list[ImageWarning],
    name: str,
    *,
    voi: bool,
) -> tuple[Gray, int]:
    """Apply the modality transform (PS3.3 C.11.1) and, if requested, the VOI transform.

    Without the VOI transform, a linear rescale keeps the stored range: relative gray levels do
    not change, and only a negative slope has an effect, by inverting them.
    """
    bits, tables = stored.bits, data.get("ModalityLUTSequence")
    use_voi = voi and voi_function(data) is not None
    slope, intercept = rescale
    if not tables and not use_voi:
        return ((2**bits - 1) - stored.values if slope < 0 else stored.values), bits
    # The transform is computed once per possible stored value: at most 65536 of them.
    values = np.arange(2**bits, dtype=np.float64) - stored.offset
    levels: Words
    if tables:
        table = read_lookup_table(tables[0], name, "modality", signed=stored.signed)
        warnings.extend(table_warning(table, "modality"))
        entries = np.clip(values.astype(np.int64) - table.first, 0, table.levels.size - 1)
        levels, bits = table.levels[entries], table.bits
        values = levels.astype(np.float64)
    else:
        values = values * slope + intercept
    if use_voi:
        signed = bool((values < 0).any())
        if (table_of_voi := voi_table(data, name, signed=signed)) is not None:
            warnings.extend(table_warning(table_of_voi, "VOI"))
        levels = np.rint(apply_voi(data, values, name) * (2**bits - 1)).astype(np.uint16)
    return np.take(levels, stored.values), bits


def _number(data: Any, keyword: str, default: float) -> float:
    value = data.get(keyword)
    return default if value is None or value == "" else float(value)
