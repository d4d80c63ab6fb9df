"""Limits of a header, checked before any of its values is converted."""

from typing import Final

from mammo_core.errors import DicomError

#: Elements, items and fragments before the pixels. A tomosynthesis object with 300 frames has
#: about 20,000; walking over 100,000 takes a fraction of a second.
MAXIMUM_ELEMENTS: Final = 100_000
#: Nested sequences. Enhanced objects nest 5 levels, structured reports 10 to 20.
MAXIMUM_DEPTH: Final = 32
#: Bytes of a deflated header after inflation, and bytes searched for the end of a value of
#: undefined length. Headers of mammograms have a few kB, 1 MB with an icon and private data.
MAXIMUM_HEADER_BYTES: Final = 2**25
#: Bytes of one field that is read. The largest is LUT Data: 65,536 entries of 2 bytes.
MAXIMUM_FIELD_BYTES: Final = 2**18
#: Bytes of all fields that are read: a VOI LUT Sequence may contain several such tables.
MAXIMUM_FIELDS_BYTES: Final = 2**22
#: Bytes of all text fields that are read: decoding text costs far more than reading it, above all
#: with escape sequences of character sets. Those of mammograms have about a kB.
MAXIMUM_TEXT_BYTES: Final = 2**15
#: Values in all text fields that are read; a backslash separates values. Escape
#: sequences, the separators within names (^ and =) and tags as values count as well. Mammograms
#: have up to ten windows, so about a hundred values in total.
MAXIMUM_VALUES: Final = 4096
#: Items of the sequences that are read: view codes, region modifiers, look-up tables.
MAXIMUM_ITEMS: Final = 1000
#: Fragments of the pixel frame (PS3.5 A.4). Most writers write one; some split it at 16 kB, which
#: gives 13,000 for the largest frame that is accepted.
MAXIMUM_FRAGMENTS: Final = 65_536


def header_limit_error(
    name: str, what: str, limit: int, received: int | None = None, *, deflated: bool = False
) -> DicomError:
    """Return the error for a header that exceeds a limit.

    Args:
        name: The file, for the message.
        what: The limited quantity, in the plural.
        limit: The limit.
        received: The number in the file; None if counting stopped at the limit.
        deflated: Whether the header is deflated.
    """
    return DicomError(
        f"{name} has a {'deflated ' if deflated else ''}header that exceeds the limits",
        expected=f"at most {limit} {what}",
        received=str(received) if received is not None else f"more than {limit}",
        hint="The file is damaged or hostile: export the image again",
    )
