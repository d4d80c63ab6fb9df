"""From header fields to what an image is: view, modifiers, side, circumstances."""

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from mammo_core.dicom.headers.values import first_number, first_text, read_flag, texts
from mammo_core.dicom.meanings.body_parts import read_body_part
from mammo_core.dicom.meanings.image_types import read_image_type
from mammo_core.dicom.meanings.meaning import ImageMeaning, ImageWarning
from mammo_core.dicom.meanings.paddles import read_paddle
from mammo_core.dicom.meanings.view_text import ViewText, read_description, read_view_position
from mammo_core.dicom.meanings.views import (
    Laterality,
    is_specimen_code,
    laterality_from_code,
    modifier_from_code,
    modifier_from_meaning,
    parse_laterality,
    view_class,
    view_from_code,
    view_from_meaning,
)

_Value = TypeVar("_Value", bound=str)
#: The text fields that vendors use, the most specific first.
_DESCRIPTIONS: Final = (
    ("AcquisitionDeviceProcessingDescription", "Acquisition Device Processing Description"),
    ("SeriesDescription", "Series Description"),
    ("ProtocolName", "Protocol Name"),
)
#: Magnification factor of contact mammography is at most about 1.2; stands give 1.4 to 2.
_MAGNIFIED: Final = 1.3
#: Of distances, which some devices measure to the upper side of a thick breast.
_MAGNIFIED_BY_DISTANCES: Final = 1.4


def read_meaning(data: Any, *, for_processing: bool, frames: int = 1) -> ImageMeaning:
    """Return what a header says an image is.

    Args:
        data: The allowed header fields (`FieldValues`).
        for_processing: Whether the image is raw detector data.
        frames: Number of frames.
    """
    warnings: list[ImageWarning] = []
    statements = _view_statements(data, warnings)
    view = _first_view(statements, warnings)
    modifiers = {name for _, statement in statements for name in statement.modifiers}
    paddle = read_paddle(first_text(data, "PaddleDescription"))
    factor = _factor(data)
    by_distances = _factor_of_distances(data) if factor is None else None
    is_magnified = (factor or 0) >= _MAGNIFIED or (by_distances or 0) >= _MAGNIFIED_BY_DISTANCES
    modifiers |= _implied_modifiers(paddle, is_magnified, modifiers, warnings)
    specimen = (
        any(statement.specimen for _, statement in statements)
        or bool(data.get("SpecimenDescriptionSequence"))
        or read_view_position(first_text(data, "BodyPartExamined")).specimen
    )
    if view is None and not modifiers and not specimen and _has_view_text(data):
        warnings.append(
            ImageWarning(
                code="unknown_view",
                message="The header states a view that is not one of mammography",
            )
        )
    if first_text(data, "LossyImageCompression").strip() == "01":
        message = "The header says that compression with a loss has changed the gray levels"
        warnings.append(ImageWarning(code="lossy", message=message))
    laterality = _laterality(data, statements, warnings)
    orientation = _orientation(data)
    warnings.extend(orientation_warnings(orientation, laterality))
    return ImageMeaning(
        view=view,
        view_modifiers=tuple(sorted(modifiers)),
        view_class=view_class(view),
        laterality=laterality,
        image_type=read_image_type(data, frames, warnings),
        implant=_implant(data, statements, modifiers, warnings),
        partial_view=read_flag(data, "PartialView") is True
        or bool(data.get("PartialViewCodeSequence")),
        specimen=specimen,
        body_part=read_body_part(data, warnings),
        for_processing=for_processing,
        burned_in=read_flag(data, "BurnedInAnnotation"),
        patient_identity_removed=read_flag(data, "PatientIdentityRemoved"),
        patient_orientation=orientation,
        paddle=paddle,
        magnification_factor=factor if factor is not None else by_distances,
        warnings=tuple(warnings),
    )


def _view_statements(data: Any, warnings: list[ImageWarning]) -> list[tuple[str, ViewText]]:
    """Return what each source says about the view, in their order."""
    statements = [("View Code Sequence", _code_statement(data, warnings))]
    # View Position has one value; a list of views names none.
    position = " ".join(texts(data, "ViewPosition"))
    statements.append(("View Position", read_view_position(position)))
    for keyword, name in _DESCRIPTIONS:
        statements.append((name, read_description(" ".join(texts(data, keyword)))))
    return [(name, statement) for name, statement in statements if statement]


def _code_statement(data: Any, warnings: list[ImageWarning]) -> ViewText:
    views: list[str] = []
    modifiers: set[str] = set()
    specimen = False
    items = list(data.get("ViewCodeSequence") or [])
    for item in items:
        value, meaning = _code(item)
        from_code, from_meaning = view_from_code(value), view_from_meaning(meaning)
        if from_code and from_meaning and from_code != from_meaning:
            warnings.append(
                _conflict(
                    "Code Value and Code Meaning of the view disagree", from_code, from_meaning
                )
            )
        if view := from_code or from_meaning:
            views.append(view)
        elif modifier := modifier_from_code(value) or modifier_from_meaning(meaning):
            modifiers.add(modifier)
        elif is_specimen_code(value, meaning):
            specimen = True
        elif text := read_view_position(meaning):
            views.extend([text.view] if text.view else [])
            modifiers.update(text.modifiers)
    # PS3.3 C.8.11.7 nests the modifiers in the view; older files have them beside it.
    for parent in (*items, data):
        for item in parent.get("ViewModifierCodeSequence") or []:
            value, meaning = _code(item)
            modifier = modifier_from_code(value) or modifier_from_meaning(meaning)
            if modifier:
                modifiers.add(modifier)
            elif others := read_view_position(meaning).modifiers:
                modifiers.update(others)
            elif value or meaning:
                warnings.append(
                    ImageWarning(
                        code="unknown_modifier",
                        message="The header has a view modifier that is not in CID 4015",
                    )
                )
    if len(set(views)) > 1:
        warnings.append(_conflict("View Code Sequence names several views", *dict.fromkeys(views)))
    return ViewText(views[0] if views else None, tuple(sorted(modifiers)), None, specimen)


def _code(item: Any) -> tuple[str, str]:
    return first_text(item, "CodeValue") or first_text(item, "LongCodeValue"), first_text(
        item, "CodeMeaning"
    )


def _first_view(
    statements: Iterable[tuple[str, ViewText]], warnings: list[ImageWarning]
) -> str | None:
    """Return the view of the first source that names one; report those that disagree."""
    named = [(name, statement.view) for name, statement in statements if statement.view]
    return _first_value(named, warnings)


def _first_value(
    named: Sequence[tuple[str, _Value]], warnings: list[ImageWarning]
) -> _Value | None:
    """Return the value of the first source that names one; report sources that disagree with it.

    Args:
        named: (source, value) of each source that names one, in the order of trust.
        warnings: Gets the conflicts.
    """
    for name, value in named[1:]:
        if value != named[0][1]:
            message = f"{named[0][0]} says {named[0][1]}, {name} says {value}"
            warnings.append(ImageWarning(code="conflict", message=message))
    return named[0][1] if named else None


def _implied_modifiers(
    paddle: str | None,
    is_magnified: bool,
    modifiers: set[str],
    warnings: list[ImageWarning],
) -> set[str]:
    """Return the modifiers that follow from the paddle and the magnification factor."""
    implied = set()
    words = (paddle or "").split()
    if "spot" in words:
        implied.add("spot compression")
    if "magnification" in words or is_magnified:
        implied.add("magnification")
    for name in sorted(implied - modifiers):
        warnings.append(
            ImageWarning(
                code="implied_modifier",
                message=f"{name.capitalize()} follows from the paddle or the magnification factor",
            )
        )
    return implied


def _has_view_text(data: Any) -> bool:
    return bool(
        texts(data, "ViewPosition") or any(map(_any_code, data.get("ViewCodeSequence") or []))
    )


def _any_code(item: Any) -> bool:
    return any(_code(item))


def _laterality(
    data: Any, statements: Iterable[tuple[str, ViewText]], warnings: list[ImageWarning]
) -> Laterality | None:
    named: list[tuple[str, Laterality]] = []
    for keyword, name in (("ImageLaterality", "Image Laterality"), ("Laterality", "Laterality")):
        stated = first_text(data, keyword)
        if side := parse_laterality(stated):
            named.append((name, side))
        elif stated.strip():  # both breasts, or no defined term
            message = f"{name} states neither L nor R"
            warnings.append(ImageWarning(code="unknown_laterality", message=message))
    for region in data.get("AnatomicRegionSequence") or []:
        for item in (region, *(region.get("AnatomicRegionModifierSequence") or [])):
            if side := laterality_from_code(*_code(item)):
                named.append(("Anatomic Region Sequence", side))
    named += [(name, text.laterality) for name, text in statements if text.laterality]
    return _first_value(named, warnings)


def _implant(
    data: Any,
    statements: Iterable[tuple[str, ViewText]],
    modifiers: set[str],
    warnings: list[ImageWarning],
) -> bool | None:
    implant = read_flag(data, "BreastImplantPresent")
    if "implant displaced" not in modifiers:
        named = next((name for name, statement in statements if statement.implant), None)
        if named is not None and implant is False:  # a protocol may be about the other breast
            message = f"Breast Implant Present says NO, {named} names an implant"
            warnings.append(ImageWarning(code="conflict", message=message))
        return True if named is not None and implant is None else implant
    if implant is False:
        warnings.append(
            ImageWarning(
                code="conflict",
                message="Breast Implant Present says NO, the view modifier says implant displaced",
            )
        )
    return True


def _orientation(data: Any) -> str | None:
    """Return the directions of rows and columns, letters of C.7.6.1.1.1 only."""
    values = [value.strip().upper() for value in texts(data, "PatientOrientation")]
    if len(values) != 2 or not all(value and set(value) <= set("ALRPHF") for value in values):
        return None
    return "/".join(values)


def orientation_warnings(
    orientation: str | None, laterality: Laterality | None
) -> list[ImageWarning]:
    """Return how the directions of a picture differ from those of mammograms.

    Rows of a left breast run to anterior, of a right breast to posterior, so that the chest walls
    are side by side when both hang together; columns never run to the head.

    Args:
        orientation: Directions of rows and columns, such as `A/F`.
        laterality: The side of the breast.
    """
    if orientation is None:
        return []
    messages = []
    rows, columns = orientation.split("/")
    usual = {"LEFT": "A", "RIGHT": "P"}.get(laterality or "")
    if rows[0] not in "AP":
        messages.append("Patient Orientation says that the picture is turned by a quarter")
    elif usual is not None and rows[0] != usual:
        side = "right" if laterality == "LEFT" else "left"
        messages.append(
            f"Patient Orientation places the chest wall of this {laterality} breast at the {side} "
            "of the picture"
        )
    if columns[0] == "H":
        messages.append("Patient Orientation says that the picture is upside down")
    return [ImageWarning(code="orientation", message=message) for message in messages]


def _factor(data: Any) -> float | None:
    number = first_number(data.get("EstimatedRadiographicMagnificationFactor"))
    return number if number is not None and 0 < number < 100 else None


def _factor_of_distances(data: Any) -> float | None:
    """Return the factor by its definition (PS3.3 C.8.11.7): SID by SOD, if both are stated."""
    detector, patient = (
        first_number(data.get(keyword))
        for keyword in ("DistanceSourceToDetector", "DistanceSourceToPatient")
    )
    if not detector or not patient or not 1 <= detector / patient < 5:
        return None
    return round(detector / patient, 3)


def _conflict(what: str, *values: str) -> ImageWarning:
    return ImageWarning(code="conflict", message=f"{what}: {', '.join(values)}")
