"""The configuration of `convert`."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.auditing.policy import ImagePolicy, PlausibilityPolicy
from mammo_core.sources.config import SourceConfig
from mammo_core.sources.several.entry import ADDED_KEYS


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


def stated_conversion(images: Mapping[str, Any], sources: Sequence[Any]) -> dict[str, Any]:
    """Return what the policy of images and the sources of a recipe say about its conversion.

    Args:
        images: The key `images` of the recipe, not validated.
        sources: The key `source`, and those of `sources`, not validated.
    """
    stated: dict[str, Any] = {"plausibility": images.get("plausibility", {})}
    if images.get("for_processing", "reject") != "reject":
        stated["for_processing"] = True
    if any(map(_reads_lossy_jpeg, sources)):
        stated["lossy_jpeg"] = True
    return stated


def _reads_lossy_jpeg(source: Any) -> bool:
    """Whether a source reads JPEG pictures; a source that is not valid is reported elsewhere."""
    if isinstance(source, Mapping):
        source = {key: source[key] for key in source if key not in ADDED_KEYS}
    try:
        return SourceConfig.model_validate(source).lossy_jpeg
    except ValidationError:
        return False


def require_stated_conversion(
    convert: ConvertConfig, images: ImagePolicy, sources: Sequence[SourceConfig]
) -> None:
    """Refuse a conversion that contradicts the policy of images or the sources.

    Args:
        convert: The conversion of the recipe.
        images: Its policy of images.
        sources: Its sources.

    Raises:
        ValueError: They contradict each other.
    """
    if convert.plausibility != images.plausibility:
        raise ValueError("convert.plausibility contradicts images.plausibility")
    action, raw = images.for_processing, convert.for_processing
    if raw != (action != "reject"):
        raise ValueError(f"images.for_processing {action}, convert.for_processing {raw}")
    read, stated = any(source.lossy_jpeg for source in sources), convert.lossy_jpeg
    if stated != read:
        raise ValueError(f"convert.lossy_jpeg {stated}, but the source has lossy_jpeg {read}")
