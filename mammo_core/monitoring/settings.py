"""What is watched, and how sure an alarm is."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

#: Measures of gray levels that are watched. Others say the same again, or are mostly 0.
GRAY_MEASURES: Final = (
    "median",
    "bright",
    "used_range",
    "background",
    "contrast",
    "breast_share",
    "structure",
    "smoothness",
)
#: Numbers of an image that are compared with those of the first exams.
MEASURES: Final = ("probability", "warned", *GRAY_MEASURES)
#: What is watched of images with labels: scores of each class, and the calibration.
LABEL_STREAMS: Final = ("malignant", "benign", "calibration")
#: Share of the training images beyond the quantiles 0.01 and 0.99 that a package states.
TAILS: Final = 0.02


class WatchSettings(BaseModel):
    """The settings of a watch; they stay the same as long as it lasts.

    Attributes:
        rate: Probability that any alarm is raised while nothing changes, however often and however
            long one looks.
        baseline: Exams of each group, the first ones, that later ones are compared with.
        baseline_labels: Labeled exams of each class that later ones are compared with.
        horizon: Exams of each group that are expected (in a year, for instance): a change within
            these is noticed equally soon.
        groups: Groups (vendors and kinds of image) that are watched separately; the rest is one.
        outside: Share of the images of a group that may be outside the middle 98 % of the training
            images before an alarm is due.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    rate: float = Field(default=0.05, gt=0, lt=1)
    baseline: int = Field(default=200, ge=20, le=5000)
    baseline_labels: int = Field(default=50, ge=20, le=5000)
    horizon: int = Field(default=10_000, ge=1)
    groups: int = Field(default=12, ge=1, le=50)
    outside: float = Field(default=0.1, gt=TAILS, lt=1)

    @property
    def stream_rate(self) -> float:
        """The rate of each stream: the rates of all of them together are at most `rate`."""
        by_group = len(MEASURES) + len(GRAY_MEASURES)
        return self.rate / ((self.groups + 1) * by_group + len(LABEL_STREAMS))
