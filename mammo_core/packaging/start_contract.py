"""Whether the package that a training starts from takes the images that the recipe makes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mammo_core.errors import ModelError
from mammo_core.packaging.contents import LabelMapFile, read_content
from mammo_core.preprocessing import Conversion, Geometry, IntensityConfig, Preprocessing
from mammo_core.training.config import StartDifference

#: Fields of a geometry that reach a network; masks do not.
_GEOMETRY: Final = ("height", "width", "resize", "interpolation")
#: Published factors are rounded.
_PRECISION: Final = 5


@dataclass(frozen=True)
class ExpectedStart:
    """What a recipe expects of the package that its training starts from.

    Attributes:
        geometry: Size of its records.
        conversion: What is done to images before they are resized.
        intensity: Scale and equalization of gray levels.
        patch_classes: Names of the patch classes, by index.
        allowed: Names of differences that it allows.
    """

    geometry: Geometry
    conversion: Conversion
    intensity: IntensityConfig
    patch_classes: Collection[str]
    allowed: Collection[StartDifference]


def require_same_start(uri: str, folder: Path, expected: ExpectedStart) -> list[str]:
    """Refuse a package of other images or patch classes before any data is made for it.

    Args:
        uri: The package, for messages.
        folder: Its folder.
        expected: What the recipe expects.

    Returns:
        The allowed differences of the images, one text each.

    Raises:
        ModelError: There is a difference that is not allowed.
    """
    what = f"The model package {uri}"
    theirs = read_content(folder, "preprocessing.json", Preprocessing)
    ours = Preprocessing(
        geometry=expected.geometry,
        mean=theirs.mean,
        intensity=expected.intensity.regime,
        target_scale=expected.intensity.target_scale,
        equalize=expected.intensity.equalize,
        conversion=expected.conversion,
        channels=theirs.channels,
    )
    differences = require_same_contract(what, theirs, ours, expected.allowed)
    labels = read_content(folder, "label_map.json", LabelMapFile)
    require_same_patch_classes(what, labels.patch, expected.patch_classes, expected.allowed)
    return differences


def contract_differences(
    theirs: Preprocessing, ours: Preprocessing
) -> dict[StartDifference, tuple[str, str]]:
    """Return in what two preprocessings differ: name → theirs and ours, in words.

    The mean is that of each training set, and not compared.

    Args:
        theirs: That of the start package.
        ours: That of the recipe.
    """
    pairs: dict[StartDifference, tuple[str, str]] = {
        "geometry": (_geometry(theirs), _geometry(ours)),
        "scale": (_scale(theirs), _scale(ours)),
        "equalization": (str(theirs.equalize).lower(), str(ours.equalize).lower()),
        "channels": (str(theirs.channels), str(ours.channels)),
    }
    names: Mapping[str, StartDifference] = {
        "stretch": "stretch",
        "voi": "voi",
        "for_processing": "for_processing",
        "lossy_jpeg": "lossy_jpeg",
        "median_filter": "median_filter",
        "suppress_artifacts": "suppress_artifacts",
        "remove_pectoral": "remove_pectoral",
        "crop_to_breast": "crop_to_breast",
        "orientation": "orientation",
    }
    for field in Conversion.model_fields:
        pairs[names[field]] = (
            str(getattr(theirs.conversion, field)),
            str(getattr(ours.conversion, field)),
        )
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def require_same_contract(
    what: str,
    theirs: Preprocessing,
    ours: Preprocessing,
    allowed: Collection[StartDifference],
) -> list[str]:
    """Refuse a start package that was trained on images of another kind.

    Args:
        what: Name of the package in messages.
        theirs: Its preprocessing.
        ours: That of the recipe.
        allowed: Names of differences that the recipe allows.

    Returns:
        The allowed differences that there are, one text each.

    Raises:
        ModelError: There is a difference that is not allowed.
    """
    differences = contract_differences(theirs, ours)
    _require_allowed(what, differences, allowed)
    return [f"{name} {old}, here {new}" for name, (old, new) in differences.items()]


def require_same_patch_classes(
    what: str,
    theirs: Mapping[str, int],
    ours: Collection[str],
    allowed: Collection[StartDifference],
) -> None:
    """Refuse a patch classifier whose classes are not those of the recipe, in their order.

    Args:
        what: Name of the package in messages.
        theirs: Class → index.
        ours: Names of the recipe's classes, by index.
        allowed: Names of differences that the recipe allows.

    Raises:
        ModelError: They differ, and that is not allowed.
    """
    names = sorted(theirs, key=lambda name: theirs[name])
    if names != list(ours):
        difference: dict[StartDifference, tuple[str, str]] = {
            "patch_classes": (", ".join(names), ", ".join(ours))
        }
        _require_allowed(what, difference, allowed)


def _require_allowed(
    what: str,
    differences: Mapping[StartDifference, tuple[str, str]],
    allowed: Collection[StartDifference],
) -> None:
    refused = {name: pair for name, pair in differences.items() if name not in allowed}
    if refused:
        raise ModelError(
            f"{what} was trained on other images than the recipe makes: {', '.join(refused)}",
            expected="; ".join(f"{name} {old}" for name, (old, _) in refused.items()),
            received="; ".join(f"{name} {new}" for name, (_, new) in refused.items()),
            hint="set the recipe to the package's values, or allow the difference: "
            f"image_training.start_differences=[{', '.join([*allowed, *refused])}]",
        )


def _geometry(preprocessing: Preprocessing) -> str:
    values: dict[str, Any] = {name: getattr(preprocessing.geometry, name) for name in _GEOMETRY}
    size = f"{values['height']}x{values['width']}"
    if values["resize"] == "height":  # the width follows
        size = f"height {values['height']}"
    return f"{size} {values['resize']} {values['interpolation']}"


def _scale(preprocessing: Preprocessing) -> str:
    factor = preprocessing.rescale_factor
    if preprocessing.intensity == "image_max":
        factor = preprocessing.target_scale
    return f"{preprocessing.intensity} {factor:.{_PRECISION - 1}g} {preprocessing.bit_depth} bits"
