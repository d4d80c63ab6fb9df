"""Warnings about images outside the training data: they are scored, with a warning."""

from mammo_core.dicom import ImageFacts, ImageWarning
from mammo_core.packaging import TrainingData
from mammo_core.preprocessing import Preprocessing

_UNKNOWN = ("", "unknown", "other")


def domain_warnings(
    facts: ImageFacts, training: TrainingData, preprocessing: Preprocessing
) -> list[ImageWarning]:
    """Return how an image differs from the training data of a model.

    Args:
        facts: The facts of the image.
        training: The training data of the model.
        preprocessing: The preprocessing of the model.

    Returns:
        Warnings whose messages have no commas and semicolons, in a fixed order.
    """
    warnings: list[ImageWarning] = []

    def warn(code: str, message: str) -> None:
        warnings.append(ImageWarning(code=code, message=message))

    if facts.view is None:
        warn("view_unknown", "view unknown")
    elif training.views and facts.view not in training.views:
        warn("view", f"view {facts.view} is outside the training data")
    if facts.laterality is None:
        warn("laterality_unknown", "laterality unknown")
    vendor = facts.manufacturer
    trained = [name for name in training.manufacturers if name not in _UNKNOWN]
    if vendor in _UNKNOWN:
        if trained:
            warn("vendor_unknown", "vendor unknown")
    elif trained and vendor not in trained:
        warn("vendor", f"vendor {vendor} is outside the training data")
    geometry = preprocessing.geometry
    minimum = (geometry.height, geometry.width if geometry.resize != "height" else 1)
    if facts.rows < minimum[0] or facts.columns < minimum[1]:
        warn("low_resolution", f"low resolution: {facts.rows}x{facts.columns} pixels are enlarged")
    if training.bits_stored and facts.bits_stored < min(training.bits_stored):
        warn(
            "few_gray_levels",
            f"{facts.bits_stored} bits are fewer gray levels than in the training data",
        )
    if not training.views and not training.manufacturers:
        warn("undescribed", "the package does not describe its training data")
    return warnings
