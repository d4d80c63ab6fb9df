"""DICOM files with headers that are designed to exhaust their reader (PS3.5, PS3.10).

Each file is a valid mammogram of 96 x 72 pixels, except for the parts that a caller adds.
"""

import struct
import zlib

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
UNDEFINED = 0xFFFFFFFF
ROWS, COLUMNS = 96, 72
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UC", "UN", "UR", "UT")

ITEM_END = (0xFFFEE00D, 0)
SEQUENCE_END = (0xFFFEE0DD, 0)


class Writer:
    """Writes the elements of a data set in one transfer syntax."""

    def __init__(self, syntax=EXPLICIT):
        self.implicit = syntax == IMPLICIT
        self.order = ">" if syntax == BIG_ENDIAN else "<"

    def element(self, tag, vr, value=b"", length=None):
        length = len(value) if length is None else length
        head = struct.pack(f"{self.order}HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return head + struct.pack(f"{self.order}L", length) + value
        if vr in LONG:
            return head + vr.encode() + struct.pack(f"{self.order}HL", 0, length) + value
        return head + vr.encode() + struct.pack(f"{self.order}H", length) + value

    def mark(self, tag, length=0):
        """Return an item or a delimiter: tag and length, never a VR."""
        return struct.pack(f"{self.order}HHL", tag >> 16, tag & 0xFFFF, length)

    def short(self, tag, value):
        return self.element(tag, "US", struct.pack(f"{self.order}H", value))

    @property
    def item(self):
        return self.mark(0xFFFEE000)

    @property
    def end(self):
        return self.mark(*SEQUENCE_END)


def text(value):
    data = value.encode()
    return data + b" " * (len(data) % 2)


def hostile(syntax=EXPLICIT, meta=b"", pixels=None, **parts):
    """Return the bytes of a file.

    Args:
        syntax: Transfer syntax.
        meta: More elements of the file meta group.
        pixels: Takes a writer, returns the pixel element; by default a valid one.
        parts: Each takes a writer and returns elements: `early` (group 0009), `late` (group 0029),
            `window` (Window Center); `sets` returns the value of Specific Character Set.
    """
    w = Writer(syntax)
    added = {name: make(w) for name, make in parts.items()}
    valid = b"\x10\x01" * (ROWS * COLUMNS)
    body = b"".join(
        (
            w.element(0x00080005, "CS", added.get("sets", b"ISO_IR 100")),
            w.element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.1.2\0"),
            w.element(0x00080060, "CS", b"MG"),
            w.element(0x00080068, "CS", b"FOR PRESENTATION"),
            added.get("early", b""),
            w.element(0x00100020, "LO", text("PLANTED^NAME")),
            w.element(0x00185101, "CS", b"CC"),
            w.element(0x00200062, "CS", b"L "),
            w.short(0x00280002, 1),
            w.element(0x00280004, "CS", b"MONOCHROME2 "),
            w.short(0x00280010, ROWS),
            w.short(0x00280011, COLUMNS),
            w.short(0x00280100, 16),
            w.short(0x00280101, 12),
            w.short(0x00280102, 11),
            w.short(0x00280103, 0),
            added.get("window", b""),
            added.get("late", b""),
            w.element(0x7FE00010, "OW", valid) if pixels is None else pixels(w),
        )
    )
    if syntax == DEFLATED:
        compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        body = compressor.compress(body) + compressor.flush()
    plain = Writer()
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    group = plain.element(0x00020010, "UI", uid) + meta
    size = plain.element(0x00020000, "UL", struct.pack("<L", len(group)))
    return b"\0" * 128 + b"DICM" + size + group + body


def items(count):
    """Return a maker of a private sequence of undefined length with empty items."""
    return lambda w: w.element(0x00091010, "SQ", w.item * count + w.end, UNDEFINED)


def window(values):
    """Return a maker of Window Center with many values, for implicit VR (4-byte length)."""
    return lambda w: w.element(0x00281050, "DS", text("\\".join(["1"] * values)))


#: Name → a function that returns the bytes of a file. Without limits they took: 1.5 kB of deflated
#: empty items 6 s of processor time, 12 kB of them more than 240 s, 10 million values 4 GB.
HEADLINES = {
    "small-bomb": lambda: hostile(DEFLATED, early=items(190_000)),
    "large-bomb": lambda: hostile(DEFLATED, early=items(1_500_000)),
    "ten-million-values": lambda: hostile(IMPLICIT, window=window(10_000_000)),
}
