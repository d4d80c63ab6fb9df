"""Read patient, side and view from file names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mammo_core.sources.adapter import registered_adapters
from mammo_core.sources.identity.patients import normalize_id

#: <patient>_<side>_<view>[_<lesion>], the names of the original system and its fork.
_NAME: Final = re.compile(
    r"(?:(?P<type>calc|mass)-(?P<split>training|test)_)?(?P<patient>.+?)"
    r"_(?P<side>left|right|l|r)_(?P<view>[a-z]{2,8})(?:_(?P<number>\d+))?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class ImageName:
    """What a file name says about an image.

    Args:
        patient: As written in the name, normalized.
        laterality: LEFT or RIGHT.
        view: Short name of a view of DICOM PS3.16 CID 4014; None for a name with a modifier only.
        number: Number of the lesion; 0 when there is none in the name.
        lesion_type: mass, calc, or empty.
        view_modifiers: Modifiers of CID 4015 in the name.
    """

    patient: str
    laterality: str
    view: str | None
    number: int = 0
    lesion_type: str = ""
    view_modifiers: tuple[str, ...] = ()


def header_views_of(name: str) -> Mapping[str, str]:
    """Return what the headers of a file's collection mean by their views; empty for other files.

    Args:
        name: Name of the file, with or without folders.
    """
    file_name = name.rsplit("/", 1)[-1]
    for adapter in registered_adapters().values():
        if adapter.header_views and adapter.read_file_name and adapter.read_file_name(file_name):
            return adapter.header_views
    return {}


def read_name(name: str) -> ImageName | None:
    """Read patient, side and view from the name of a file; None when they are not in it.

    The names of each adapter's collection are tried first, then
    `<patient>_<side>_<view>[_<lesion>]`.

    Args:
        name: Name of the file, with or without folders.
    """
    from mammo_core.dicom import parse_laterality
    from mammo_core.dicom.meanings.view_text import read_view_position

    file_name = name.rsplit("/", 1)[-1]
    for adapter in registered_adapters().values():
        image_name = adapter.read_file_name(file_name) if adapter.read_file_name else None
        if image_name is not None:
            return image_name
    match = _NAME.fullmatch(file_name.rsplit(".", 1)[0])
    if match is None:
        return None
    laterality, view = parse_laterality(match["side"]), read_view_position(match["view"])
    if laterality is None or not (view.view or view.modifiers):
        return None
    number, lesion_type = int(match["number"] or 0), (match["type"] or "").lower()
    patient = normalize_id(match["patient"])
    return ImageName(patient, laterality, view.view, number, lesion_type, view.modifiers)
