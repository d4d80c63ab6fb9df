"""Manufacturers of mammography systems, normalized: text of a header is never repeated."""

import re
from typing import Final

#: The manufacturer of files without a header or without a manufacturer in it.
UNKNOWN: Final = "unknown"
#: Any manufacturer that is not in the list.
OTHER: Final = "other"
#: The manufacturer in the headers of phantoms; those of further vendors have a letter behind it.
PHANTOM_MANUFACTURER: Final = "mammo pipelines"
_PHANTOM_MANUFACTURERS: Final = (
    PHANTOM_MANUFACTURER,
    *(f"{PHANTOM_MANUFACTURER} {letter}" for letter in "bcdefgh"),
)

# A damaged header can contain a patient's name in any field: only names in this list are kept.
# Brands that changed hands are listed under the company that made the detector.
_NAMES: Final = {
    "hologic": "hologic",
    "lorad": "hologic",
    "ge": "ge",
    "general electric": "ge",
    "siemens": "siemens",
    "fujifilm": "fujifilm",
    "fuji": "fujifilm",
    "philips": "philips",
    "sectra": "philips",
    "carestream": "carestream",
    "kodak": "carestream",
    "agfa": "agfa",
    "konica": "konica minolta",
    "ims": "ims giotto",
    "giotto": "ims giotto",
    "planmed": "planmed",
    "metaltronica": "metaltronica",
    "canon": "canon",
    "toshiba": "canon",
    "icad": "icad",
    "howtek": "icad",
    "lumisys": "lumisys",
    "vidar": "vidar",
    **{name: name for name in _PHANTOM_MANUFACTURERS},
}
_PATTERN: Final = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)) + r")\b"
)


def is_phantom(manufacturer: str) -> bool:
    """Return whether a manufacturer is one in the headers of phantoms.

    Args:
        manufacturer: A normalized name.
    """
    return manufacturer in _PHANTOM_MANUFACTURERS


def normalize_manufacturer(text: str) -> str:
    """Return the normalized name of a manufacturer.

    Args:
        text: Manufacturer (0008,0070), as in the header.

    Returns:
        A name in our list, `other`, or `unknown` if the text is empty.
    """
    words = " ".join(re.split(r"[^a-z0-9]+", text.lower())).strip()
    match = _PATTERN.search(words)
    if match is not None:
        return _NAMES[match[1]]
    return OTHER if words else UNKNOWN
