"""What is unlike the training data in an image: it is scored, and the score says so."""

from mammo_core.dicom import ImageFacts
from mammo_core.packaging import TrainingData
from mammo_core.preprocessing import Preprocessing

_UNKNOWN = ("", "unknown", "other")


def warnings_of(
    facts: ImageFacts, training: TrainingData, preprocessing: Preprocessing
) -> list[str]:
    """Say where an image lies outside what a model was fitted to.

    Args:
        facts: Of the image.
        training: Of the model.
        preprocessing: Of the model.

    Returns:
        Sentences without a comma or semicolon, always in the same order.
    """
    found = []
    if facts.view is None:
        found.append("view unknown")
    elif training.views and facts.view not in training.views:
        found.append(f"view {facts.view} is outside the training data")
    if facts.laterality is None:
        found.append("laterality unknown")
    vendor = facts.manufacturer
    known = [name for name in training.manufacturers if name not in _UNKNOWN]
    if vendor in _UNKNOWN:
        if known:
            found.append("vendor unknown")
    elif known and vendor not in known:
        found.append(f"vendor {vendor} is outside the training data")
    geometry = preprocessing.geometry
    needed = (geometry.height, geometry.width if geometry.resize != "height" else 1)
    if facts.rows < needed[0] or facts.columns < needed[1]:
        found.append(f"low resolution: {facts.rows}x{facts.columns} pixels are enlarged")
    if training.bits_stored and facts.bits_stored < min(training.bits_stored):
        found.append(f"{facts.bits_stored} bits are fewer gray levels than in the training data")
    if facts.for_processing:
        found.append("For Processing image")
    if not training.views and not training.manufacturers:
        found.append("the package does not say what it was trained on")
    return found
