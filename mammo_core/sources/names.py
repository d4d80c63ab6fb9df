"""File names that tell patient, side and view."""

import re
from dataclasses import dataclass
from typing import Final

from mammo_core.dicom import laterality_of, view_of
from mammo_core.sources.inbreast import FILE_NAME as INBREAST_NAME
from mammo_core.sources.inbreast import VIEWS as INBREAST_VIEWS

#: The original's and the fork's names: <patient>_<side>_<view>[_<lesion>].
_NAME: Final = re.compile(
    r"(?:(?P<type>calc|mass)-(?P<split>training|test)_)?(?P<patient>.+?)"
    r"_(?P<side>left|right|l|r)_(?P<view>[a-z]{2,5})(?:_(?P<number>\d+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ImageName:
    """What the name of a file tells.

    Args:
        patient: As it stands there.
        laterality: LEFT or RIGHT.
        view: CC or MLO.
        number: Of the lesion; 0 when it names none.
        lesion_type: mass, calc, or empty.
    """

    patient: str
    laterality: str
    view: str
    number: int = 0
    lesion_type: str = ""


def read_name(name: str) -> ImageName | None:
    """Read patient, side and view from the name of a file; None when they are not in it.

    Args:
        name: Name of the file, with or without folders.
    """
    file = name.rsplit("/", 1)[-1]
    of_inbreast = INBREAST_NAME.fullmatch(file)
    if of_inbreast is not None:
        view = INBREAST_VIEWS[of_inbreast["view"].upper()]
        return ImageName(
            of_inbreast["patient"].lower(), laterality_of(of_inbreast["side"]) or "", view
        )
    match = _NAME.fullmatch(file.rsplit(".", 1)[0])
    if match is None:
        return None
    side, told = laterality_of(match["side"]), view_of(match["view"])
    if side is None or told is None:
        return None
    return ImageName(
        match["patient"], side, told, int(match["number"] or 0), (match["type"] or "").lower()
    )
