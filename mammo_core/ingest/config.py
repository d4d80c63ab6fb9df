"""The configuration of `convert`."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.auditing.policy import ImagePolicy, PlausibilityPolicy
from mammo_core.sources.config import SourceConfig


class ConvertConfig(Conversion):
    """How mammograms become records: the options of `Conversion`, and these.

    Attributes:
        geometry: Size of the records and how it is reached.
        plausibility: What is done with images whose gray levels cannot be those of a mammogram; in
            a recipe that of `images`.
        shard_mb: Target size of a shard (MB); not part of the dataset's id.
    """

    geometry: Geometry
    plausibility: PlausibilityPolicy = PlausibilityPolicy()
    shard_mb: int = Field(default=128, ge=1)

    @property
    def conversion(self) -> Conversion:
        """What is done to an image before it is resized."""
        return Conversion(**{name: getattr(self, name) for name in Conversion.model_fields})


def stated_conversion(images: Mapping[str, Any], source: Any) -> dict[str, Any]:
    """Return what the policy of images and the source of a recipe say about its conversion.

    Args:
        images: The key `images` of the recipe, not validated.
        source: The key `source`, not validated.
    """
    stated: dict[str, Any] = {"plausibility": images.get("plausibility", {})}
    if images.get("for_processing", "reject") != "reject":
        stated["for_processing"] = True
    try:
        if SourceConfig.model_validate(source).lossy_jpeg:
            stated["lossy_jpeg"] = True
    except ValidationError:
        pass  # the source itself is reported
    return stated


def require_stated_conversion(
    convert: ConvertConfig, images: ImagePolicy, source: SourceConfig
) -> None:
    """Refuse a conversion that contradicts the policy of images or the source.

    Args:
        convert: The conversion of the recipe.
        images: Its policy of images.
        source: Its source.

    Raises:
        ValueError: They contradict each other.
    """
    if convert.plausibility != images.plausibility:
        raise ValueError("convert.plausibility contradicts images.plausibility")
    action, raw = images.for_processing, convert.for_processing
    if raw != (action != "reject"):
        raise ValueError(f"images.for_processing {action}, convert.for_processing {raw}")
    if convert.lossy_jpeg != source.lossy_jpeg:
        read, stated = source.lossy_jpeg, convert.lossy_jpeg
        raise ValueError(f"convert.lossy_jpeg {stated}, but the source has lossy_jpeg {read}")
