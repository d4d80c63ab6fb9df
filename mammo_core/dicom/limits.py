"""Limits of a header, checked before any value of it is converted."""

from typing import Final

from mammo_core.errors import DicomError

#: Elements, items and fragments before the pixels. A tomosynthesis object of 300 frames has
#: about 20,000; walking over 100,000 takes a fraction of a second.
MAXIMUM_ELEMENTS: Final = 100_000
#: Sequences within sequences. Enhanced objects nest 5 deep, structured reports 10 to 20.
MAXIMUM_DEPTH: Final = 32
#: Bytes of a deflated header once inflated, and bytes searched for the end of a value that
#: states no length. Headers of mammograms have a few kB, 1 MB with an icon and private data.
MAXIMUM_HEADER_BYTES: Final = 2**25
#: Bytes of one field that we read. The largest is LUT Data: 65,536 entries of 2 bytes.
MAXIMUM_FIELD_BYTES: Final = 2**18
#: Bytes of all fields that we read: a VOI LUT Sequence may hold several such tables.
MAXIMUM_FIELDS_BYTES: Final = 2**22
#: Values in all text fields that we read, where a backslash separates values. Mammograms have
#: up to ten windows, so about a hundred values in all.
MAXIMUM_VALUES: Final = 4096
#: Items of the sequences that we read: view codes, region modifiers, look-up tables.
MAXIMUM_ITEMS: Final = 1000
#: Fragments of the one frame (PS3.5 A.4). Most writers make one; some cut it at 16 kB, which
#: is 13,000 for the largest frame that we take.
MAXIMUM_FRAGMENTS: Final = 65_536


def header_limit_error(
    name: str, what: str, most: int, received: int | None = None, *, deflated: bool = False
) -> DicomError:
    """Return the refusal of a header that is over a limit.

    Args:
        name: The file, for the message.
        what: What is limited, in the plural.
        most: The limit.
        received: How many there are; None where counting stopped at the limit.
        deflated: Whether the header is a deflated one.
    """
    return DicomError(
        f"{name} {'inflates' if deflated else 'has a header'} beyond any mammogram",
        expected=f"at most {most} {what}",
        received=str(received) if received is not None else f"more than {most}",
        hint="The file is damaged or hostile: export the image again",
    )
