"""Who made a mammograph, in words of ours: what a header says is never repeated."""

import re
from typing import Final

#: Told of a header without a manufacturer, and of files that have no header.
UNKNOWN: Final = "unknown"
#: Told of a manufacturer that is not in the list.
OTHER: Final = "other"

# A damaged header can hold a patient's name in any field: only words of this list are kept.
# Brands that one firm sold after another go under the firm that made the detector.
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
    "mammo pipelines": "mammo pipelines",
}
_PATTERN: Final = re.compile(
    r"\b(" + "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True)) + r")\b"
)


def manufacturer_of(text: str) -> str:
    """Return the name under which a manufacturer is known here.

    Args:
        text: Manufacturer (0008,0070), as it is in the header.

    Returns:
        A name of our list, `other`, or `unknown` when the text is empty.
    """
    words = " ".join(re.split(r"[^a-z0-9]+", text.lower())).strip()
    found = _PATTERN.search(words)
    if found is not None:
        return _NAMES[found[1]]
    return OTHER if words else UNKNOWN
