"""Limits of data validation, and when to train again."""

from pydantic import BaseModel, ConfigDict, Field


class ValidationConfig(BaseModel):
    """How much new images may differ from those that the champion was trained on.

    Attributes:
        max_unseen_manufacturer: Largest fraction of images from manufacturers that are not
            among the champion's images.
        max_unseen_bit_depth: Largest fraction of images of bit depths that are not among them.
        max_drift: Largest Kolmogorov-Smirnov distance of an intensity statistic, [0, 1].
        significance: A larger distance fails only if its p-value is below this.
        min_images: Fewer new images than this are reported, but not judged on their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_unseen_manufacturer: float = Field(default=0.05, ge=0, le=1)
    max_unseen_bit_depth: float = Field(default=0.05, ge=0, le=1)
    max_drift: float = Field(default=0.25, ge=0, le=1)
    significance: float = Field(default=0.001, gt=0, le=1)
    min_images: int = Field(default=20, ge=1)


class RetrainConfig(BaseModel):
    """When to train again.

    Attributes:
        min_new_images: Images that are new, or have another label, since the champion's frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_new_images: int = Field(default=100, ge=0)
