"""How a whole-image classifier is evaluated."""

from operator import not_

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.evaluation.aggregate import Aggregation
from mammo_core.metrics.settings import Method, MetricSettings


class Reader(BaseModel):
    """How a reader performs, from a publication or a site's own audit.

    Attributes:
        sensitivity: Share of the exams with cancer that the reader recalls.
        specificity: Share of the exams without cancer that the reader does not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sensitivity: float = Field(gt=0, lt=1)
    specificity: float = Field(gt=0, lt=1)


class ScreeningConfig(BaseModel):
    """What the model would do in screening.

    Attributes:
        prevalence: Share of the exams of screening with a cancer; 0.006 is six in 1,000.
        exams: Number of exams in which it was counted, so that its uncertainty is carried
            through; null: it is taken as exact.
        flagged: Shares of all exams that may be flagged. A threshold for each is chosen on
            validation. 0.032 and 0.111 are those that BreastScreen Norway reported.
        sensitivities: Sensitivities whose workload is stated. A threshold for each is chosen on
            validation.
        readers: Name → how this reader performs: the model's sensitivity at that specificity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prevalence: float = Field(default=0.006, gt=0, lt=1)
    exams: int | None = Field(default=None, ge=1)
    flagged: tuple[float, ...] = (0.032, 0.111)
    sensitivities: tuple[float, ...] = (0.9,)
    readers: dict[str, Reader] = Field(default_factory=dict)


class EvaluationConfig(BaseModel):
    """How a whole-image classifier is evaluated.

    Attributes:
        bootstrap_replicates: Replicates of the 95 % intervals (by patient).
        flips: Whether a probability is the mean over the image and its three flips.
        rules_for_other_flips: Whether calibration and operating points are also fitted with the
            other value of `flips`, so that scoring with it decides, too.
        translation: Pixels by which images are also shifted, to nine positions; 0 for none.
        localization: Whether heatmaps of all test views are compared with the annotated lesions.
        overlays: Number of test views shown with their heatmap in the report.
        operating_specificity: The least specificity of the first operating point, on validation.
        operating_sensitivity: The least sensitivity of the second operating point, on validation.
        partial_sensitivity: Sensitivity from which the partial area under the ROC curve counts.
        calibration: How probabilities are calibrated; fitted on validation.
        aggregation: How images are aggregated to breasts and patients.
        screening: What the model would do in screening; null: nothing is said of it.
        small_group: A group with fewer malignant or fewer benign patients is marked as small.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_replicates: int = Field(default=2000, ge=100)
    flips: bool = False
    # Left out where it is false: the ids of evaluations stay the same.
    rules_for_other_flips: bool = Field(default=False, exclude_if=not_)
    translation: int = Field(default=0, ge=0)
    localization: bool = True
    overlays: int = Field(default=6, ge=0)
    operating_specificity: float = Field(default=0.8, ge=0, le=1)
    operating_sensitivity: float = Field(default=0.9, ge=0, le=1)
    partial_sensitivity: float = Field(default=0.8, ge=0, lt=1)
    calibration: Method = "platt"
    aggregation: Aggregation = Aggregation()
    screening: ScreeningConfig | None = None
    small_group: int = Field(default=10, ge=0)

    def metric_settings(self, calibration: str) -> MetricSettings:
        """Return the settings that metrics depend on.

        Args:
            calibration: Method that was fitted; `none` if fitting failed.
        """
        return MetricSettings(
            specificity=self.operating_specificity,
            sensitivity=self.operating_sensitivity,
            partial_sensitivity=self.partial_sensitivity,
            calibration=calibration,
        )
