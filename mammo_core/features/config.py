"""What new data may look like, and how much of it is worth a training."""

from pydantic import BaseModel, ConfigDict, Field


class ValidationConfig(BaseModel):
    """How far new images may be from those that the champion learned from.

    Attributes:
        max_unseen_manufacturer: Largest share of images from manufacturers that the champion
            never saw.
        max_unseen_bit_depth: Largest share of images of bit depths that it never saw.
        max_drift: Largest Kolmogorov-Smirnov distance of an intensity statistic, [0, 1].
        significance: A larger distance counts only when chance gives it less often than this.
        min_images: Fewer new images than this are told of, and not judged on their own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    max_unseen_manufacturer: float = Field(default=0.05, ge=0, le=1)
    max_unseen_bit_depth: float = Field(default=0.05, ge=0, le=1)
    max_drift: float = Field(default=0.25, ge=0, le=1)
    significance: float = Field(default=0.001, gt=0, le=1)
    min_images: int = Field(default=20, ge=1)


class RetrainConfig(BaseModel):
    """When it is worth training again.

    Attributes:
        min_new_images: Images that are new, or have another label, since the champion's frame.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_new_images: int = Field(default=100, ge=0)
