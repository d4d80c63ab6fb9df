"""The configuration of `convert`."""

from pydantic import Field

from mammo_core.preprocessing import Conversion, Geometry
from mammo_core.sources.policy import PlausibilityPolicy


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
