"""What the policy says about the gray levels of an image, and what its pixels warn of."""

from collections.abc import Iterator, Sequence

from mammo_core.dicom import ImageFacts, ImageWarning
from mammo_core.errors import DicomError
from mammo_core.imaging import Fault, GrayMeasures, find_faults
from mammo_core.imaging.crop import CropPlacement
from mammo_core.preprocessing import Conversion
from mammo_core.sources.auditing.policy import PlausibilityPolicy

#: Code of the warning that tissue and header place the chest wall on different sides.
CHEST_WALL = "chest_wall"
_SIDES = {"A": "left", "P": "right"}
_USUAL = {"LEFT": "left", "RIGHT": "right"}


def rejection(faults: Sequence[Fault], policy: PlausibilityPolicy, name: str) -> DicomError | None:
    """Return the error of an image whose gray levels the policy rejects, or None.

    Args:
        faults: The faults of its gray levels.
        policy: The policy.
        name: The file, for the message.
    """
    for fault in faults:
        if policy.action(fault.code) == "reject":
            return DicomError(
                f"{name} has gray levels that no mammogram has ({fault.code}). {fault.problem}",
                expected=f"{fault.measure} {fault.expected}",
                received=f"{fault.value:g}",
                hint=f"images.plausibility.{fault.code} decides what is done with such images",
            )
    return None


def pixel_warnings(
    facts: ImageFacts,
    measures: GrayMeasures,
    laterality: str,
    conversion: Conversion,
    policy: PlausibilityPolicy,
    placement: CropPlacement | None = None,
) -> list[ImageWarning]:
    """Return what header and pixels of an image warn of, each once.

    Args:
        facts: Its facts, with the warnings of header and pixels.
        measures: The measures of its pixels.
        laterality: LEFT, RIGHT, or anything else for unknown.
        conversion: What is done to it.
        policy: What is done with gray levels that cannot be those of a mammogram.
        placement: Its crop and flip, with notes.
    """
    warnings = [*facts.warnings]
    for fault in find_faults(measures):
        if policy.action(fault.code) == "warn":
            warnings.append(ImageWarning(code=fault.code, message=fault.message))
    warnings += chest_wall_warnings(facts, measures, laterality, conversion)
    for code, message in placement.notes if placement is not None else ():
        warnings.append(ImageWarning(code=code, message=message))
    return list(dict.fromkeys(warnings))


def chest_wall_warnings(
    facts: ImageFacts, measures: GrayMeasures, laterality: str, conversion: Conversion
) -> Iterator[ImageWarning]:
    """Yield how the side of the tissue disagrees with Patient Orientation and laterality.

    The laterality is compared only where the conversion turns images by their chest walls: films
    are scanned either way.

    Args:
        facts: The facts of the image.
        measures: The measures of its pixels.
        laterality: LEFT, RIGHT, or anything else for unknown.
        conversion: What is done to it.
    """
    side = measures.chest_wall
    if not side:
        return
    stated = _SIDES.get((facts.patient_orientation or "")[:1])
    if stated is not None and stated != side:
        message = f"Patient Orientation places the chest wall at the {stated}: tissue at the {side}"
        yield ImageWarning(code=CHEST_WALL, message=message)
    usual = _USUAL.get(laterality)
    if conversion.orientation != "as_stored" and usual is not None and usual != side:
        message = f"The tissue of this {laterality} breast is at the {side}: mirrored or mislabeled"
        yield ImageWarning(code=CHEST_WALL, message=message)
