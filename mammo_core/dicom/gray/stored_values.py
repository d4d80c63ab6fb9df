"""From the words of a pixel frame to stored values, by what the words themselves show.

Headers misstate bits, high bit and sign. The words and the codestream are compared with them: what
agrees is read, what is evident is corrected and reported, and the rest is refused.
"""

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from mammo_core.dicom.gray.padding import Padding, padding_mask
from mammo_core.dicom.meanings.meaning import ImageWarning
from mammo_core.errors import DicomError

Words = np.ndarray[Any, np.dtype[Any]]
Stored = np.ndarray[Any, np.dtype[np.uint16]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
_FULL: Final = 2**16 - 1


@dataclass(frozen=True)
class BitLayout:
    """Where the header and the codestream place the stored bits in a word.

    Args:
        allocated: Bits Allocated: 8 or 16.
        stored: Bits Stored.
        high: High Bit.
        signed: Whether Pixel Representation is 1.
        precision: Bits per sample of the codestream; None without one, and for RLE.
        stream_signed: Whether the codestream has signed samples; None if it does not state it.
        overlays: Bits of a word that the header declares as overlays (group 60xx, retired).
        shift: Value to add to signed values according to the rescale of the header, if it is an
            integer above 0.
    """

    allocated: int
    stored: int
    high: int
    signed: bool = False
    precision: int | None = None
    stream_signed: bool | None = None
    overlays: int = 0
    shift: int | None = None


@dataclass(frozen=True)
class StoredValues:
    """Stored values that start at 0.

    Args:
        values: `(h, w) uint8 or uint16, [0, 2**bits - 1]`.
        bits: Bits of their range.
        offset: What was added to the stored values, so that they start at 0.
        signed: Whether stored values can be negative.
        padding: `(h, w) bool`, True for padding; None if there is none.
        used: Bits that occur in `values`, combined by OR.
        warnings: What was corrected.
    """

    values: Words
    bits: int
    offset: int = 0
    signed: bool = False
    padding: Mask | None = None
    used: int = _FULL
    warnings: tuple[ImageWarning, ...] = ()


def read_stored_values(
    words: Words, layout: BitLayout, padding: Padding | None, name: str
) -> StoredValues:
    """Extract the stored values of a frame.

    Args:
        words: `(h, w)` words of 8 or 16 bits in native byte order; may be overwritten. Signed
            samples of a codestream are sign-extended.
        layout: Where header and codestream place the bits.
        padding: The padding of the header.
        name: The file, for messages.

    Raises:
        DicomError: Header, codestream and words contradict each other.
    """
    if _is_plain_byte(layout) and words.dtype.itemsize == 1 and padding is None:
        levels = words.view(np.uint8)  # widening them takes longer than reading them
        return StoredValues(levels, 8, used=used_bits(levels))
    warnings: list[ImageWarning] = []
    layout = _with_precision(layout, warnings)
    raw: Stored = words.view(np.uint8 if words.dtype.itemsize == 1 else np.uint16).astype(
        np.uint16, copy=False
    )
    low = layout.high + 1 - layout.stored
    field = ((1 << layout.stored) - 1) << low
    if overlays := layout.overlays & ~field:
        raw &= _FULL & ~overlays
    used = used_bits(raw)
    if low and (used & ((1 << low) - 1)) and _is_right_justified(raw, used, layout, padding):
        warnings.append(
            ImageWarning(
                code="high_bit",
                message=f"High Bit {layout.high} is wrong: the pixels are in the low bits",
            )
        )
        layout, low = replace(layout, high=layout.stored - 1), 0
    if low and used & ((1 << low) - 1):
        _require_constant(raw, ~field & _FULL, layout, name)
        raw &= field
    if low:
        raw >>= low
        used = used_bits(raw)
    if _is_signed(layout, raw, warnings, name):
        return _signed(raw, layout, padding, warnings, name)
    return _unsigned(raw, used, layout, padding, warnings, name)


def _is_plain_byte(layout: BitLayout) -> bool:
    """Return whether unsigned values fill a byte, as header and codestream agree."""
    return (
        (layout.allocated, layout.stored, layout.high) == (8, 8, 7)
        and layout.precision in (None, 8)
        and not (layout.signed or layout.stream_signed)
    )


def used_bits(raw: Words) -> int:
    """Return the bits that occur in any of the words, combined by OR.

    Args:
        raw: uint8 or uint16 words of any shape.
    """
    flat = np.ascontiguousarray(raw).reshape(-1)
    per_read = 8 // flat.itemsize
    whole = flat.size // per_read * per_read
    used = int(np.bitwise_or.reduce(flat[whole:], initial=0))
    if whole:
        several = int(np.bitwise_or.reduce(flat[:whole].view(np.uint64)))
        for position in range(per_read):
            used |= several >> position * 8 * flat.itemsize
    return used & int(np.iinfo(flat.dtype).max)


def _with_precision(layout: BitLayout, warnings: list[ImageWarning]) -> BitLayout:
    """Return the layout with the precision of the codestream where it has fewer bits."""
    precision = layout.precision
    if precision is None or precision == layout.stored:
        return layout if precision is None else replace(layout, high=layout.stored - 1)
    if precision < layout.stored:
        warnings.append(_precision_warning(layout, precision))
        return replace(layout, stored=precision, high=precision - 1)
    # More bits than stored: words were compressed as they were, or the header is wrong.
    return layout if layout.high < precision else replace(layout, high=layout.stored - 1)


def _is_right_justified(raw: Stored, used: int, layout: BitLayout, padding: Padding | None) -> bool:
    """Return whether all values fit into the low bits, where High Bit states higher ones."""
    if used < 1 << layout.stored:
        return True
    if layout.signed or layout.stream_signed:
        return _is_sign_extended(raw, layout.stored)
    mask = padding_mask(raw, padding, layout.stored, signed=False)
    return mask is not None and used_bits(raw[~mask]) < 1 << layout.stored


def _is_sign_extended(raw: Stored, bits: int) -> bool:
    return bool((raw == _sign_extend(raw, bits).view(np.uint16)).all())


def _sign_extend(raw: Stored, bits: int) -> np.ndarray[Any, np.dtype[np.int16]]:
    """Return the low bits of words as two's complement."""
    shift = 16 - bits
    return (raw << shift).view(np.int16) >> shift


def _require_constant(raw: Stored, outside: int, layout: BitLayout, name: str) -> None:
    """Reject words whose bits outside the stored ones vary: they carry something."""
    if _varying(raw) & outside:
        raise DicomError(
            f"{name} has pixels with bits outside the stored ones",
            expected=f"{layout.stored} bits up to bit {layout.high}, as the header states",
            received=f"values in bits up to {used_bits(raw).bit_length() - 1}",
            hint="Its header is wrong, or an overlay is in its pixels: export the image again",
        )


def _varying(raw: Stored) -> int:
    """Return the bits that are not the same in all words."""
    return used_bits(raw) & ~int(np.bitwise_and.reduce(raw.reshape(-1), initial=_FULL))


def _is_signed(layout: BitLayout, raw: Stored, warnings: list[ImageWarning], name: str) -> bool:
    """Return whether values are signed: the codestream overrules the header."""
    stated, signed = layout.stream_signed, layout.signed
    if stated is None or stated == signed:
        return signed
    bits = layout.precision or layout.stored
    # If one interpretation folds the picture, neighboring pixels differ by half the range.
    as_signed = _folds(_sign_extend(raw, bits), bits)
    as_unsigned = _folds(raw & (1 << bits) - 1, bits)
    by_stream, by_header = (as_signed, as_unsigned) if stated else (as_unsigned, as_signed)
    if by_stream > by_header:
        raise DicomError(
            f"{name} has pixels whose sign is unclear",
            expected="samples as Pixel Representation and the codestream state",
            received=f"a {'signed' if stated else 'unsigned'} codestream with "
            f"{'signed' if signed else 'unsigned'} values",
            hint="Export the image again, uncompressed",
        )
    warnings.append(
        ImageWarning(
            code="sign",
            message=f"The codestream is {'signed' if stated else 'unsigned'}, "
            f"the header states {'signed' if signed else 'unsigned'} pixels",
        )
    )
    return stated


def _folds(values: Words, bits: int) -> int:
    """Return the number of neighbors in a row that differ by more than half the range."""
    steps = np.abs(np.diff(values.astype(np.int32), axis=1))
    return int(np.count_nonzero(steps > 1 << (bits - 1)))


def _unsigned(
    raw: Stored,
    used: int,
    layout: BitLayout,
    padding: Padding | None,
    warnings: list[ImageWarning],
    name: str,
) -> StoredValues:
    bits, precision = layout.stored, layout.precision
    mask = padding_mask(raw, padding, bits, signed=False)
    if mask is not None:
        raw[mask] = 0  # padding may be outside the stored range
        used = used_bits(raw)
    outside = _FULL & ~((1 << bits) - 1)
    if used >> bits and precision is not None and _varying(raw) & outside:
        warnings.append(_precision_warning(layout, precision))
        bits, outside = precision, _FULL & ~((1 << precision) - 1)
    if used >> bits:
        _require_constant(raw, outside, layout, name)
        raw &= (1 << bits) - 1
        used &= (1 << bits) - 1
    # Codecs often code whole words; other precisions differ without a reason.
    if precision is not None and precision > bits and precision not in (8, 16):
        warnings.append(_precision_warning(layout, precision, kept=True))
    return StoredValues(raw, bits, padding=mask, used=used, warnings=tuple(warnings))


def _signed(
    raw: Stored,
    layout: BitLayout,
    padding: Padding | None,
    warnings: list[ImageWarning],
    name: str,
) -> StoredValues:
    bits, precision = layout.stored, layout.precision
    mask = padding_mask(raw, padding, bits, signed=True)
    inside = raw if mask is None else raw[~mask]
    # The bits above are the sign again, or empty.
    if not (_is_sign_extended(inside, bits) or used_bits(inside) < 1 << bits):
        if precision is not None and precision > bits:
            warnings.append(_precision_warning(layout, precision))
            bits = precision
        else:
            _require_constant(inside, _FULL & ~((1 << bits) - 1), layout, name)
    values = _sign_extend(raw, bits)
    present = values if mask is None else values[~mask]
    least, most = (int(present.min()), int(present.max())) if present.size else (0, 0)
    if least >= 0:
        # Nothing is negative, so black is 0 and the sign bit is unused.
        offset, range_bits = 0, max(1, bits - 1 if layout.signed else bits)
    elif layout.shift is not None and least + layout.shift >= 0 and most + layout.shift < 1 << bits:
        offset, range_bits = layout.shift, bits
    else:
        offset, range_bits = 1 << (bits - 1), bits
    shifted = (values.astype(np.int32) + offset).clip(0, (1 << range_bits) - 1).astype(np.uint16)
    return StoredValues(
        shifted,
        range_bits,
        offset=offset,
        signed=True,
        padding=mask,
        used=max(0, most + offset),
        warnings=tuple(warnings),
    )


def _precision_warning(layout: BitLayout, precision: int, *, kept: bool = False) -> ImageWarning:
    reason = ": the values fit the header" if kept else ": the codestream counts"
    return ImageWarning(
        code="precision",
        message=f"The codestream has {precision} bits, the header states {layout.stored}{reason}",
    )
