"""The configuration of the second stage."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator


class RegionConfig(BaseModel):
    """Which regions are described.

    Attributes:
        cutoffs: A region is a set of connected cells with at least this probability.
        regions: Number of regions of each class that are described, the largest first (k).
        pairs: How the probability of a breast is computed from those of its pairs of a CC and
            an MLO image, if a view has several images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cutoffs: tuple[float, ...] = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
    regions: int = Field(default=2, ge=1)
    pairs: Literal["mean", "max"] = "mean"

    @field_validator("cutoffs")
    @classmethod
    def _probabilities(cls, cutoffs: tuple[float, ...]) -> tuple[float, ...]:
        if not cutoffs or list(cutoffs) != sorted({*cutoffs}) or not 0 < cutoffs[0] <= 1:
            raise ValueError("cutoffs must be rising probabilities above 0, at least one")
        if cutoffs[-1] > 1:
            raise ValueError("cutoffs must be at most 1")
        return cutoffs


class ForestConfig(BaseModel):
    """How the second stage is fitted.

    Attributes:
        trees: Number of trees.
        max_depths: Depths to choose from.
        least_splits: Minimum sizes of a node that is split, to choose from; as shares of the
            breasts, so that they fit datasets of any size.
        folds: Number of folds of the cross-validation, by patient.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: int = Field(default=300, ge=1)
    max_depths: tuple[int, ...] = (3, 8)
    least_splits: tuple[float, ...] = (0.02, 0.2)
    folds: int = Field(default=5, ge=2)


class SecondStageConfig(BaseModel):
    """The second stage: a random forest on features of the regions of heatmaps.

    Attributes:
        features: Which regions are described.
        forest: How the forest is fitted.
        fit_on: Splits whose breasts it is fitted on; never test. The patch classifier was
            fitted to the training images, so their heatmaps are more confident than others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    features: RegionConfig = RegionConfig()
    forest: ForestConfig = ForestConfig()
    fit_on: tuple[Literal["train", "validation"], ...] = Field(
        default=("train", "validation"), min_length=1
    )
