"""What a site requires of a model before it uses it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class AcceptanceConfig(BaseModel):
    """The requirements of an acceptance.

    Attributes:
        miss_rate: At most this share of patients with cancer may have a low score.
        false_alarm_rate: At most this share of the other patients may have a high score.
        specificity: The least specificity of the first operating point, on the site's cases.
        sensitivity: The least sensitivity of the second operating point, on the site's cases.
        min_auc: What the lower end of the AUC's interval must reach, per patient; None: the AUC
            of the package on its own test set less `margin`, and above 0.5 for a package without.
        margin: How much lower than the package's AUC is accepted.
        prevalence: Share of exams with a cancer in use, for calibrated probabilities; None: that
            of the cases.
        calibration: `site`: the package's calibration is corrected by the cases; `package`: it is
            kept, and must hold for them.
        max_unlike: Largest share of images whose gray levels are unlike training images.
        max_faults: Largest share of files that cannot be read.
        drops: Drops of the AUC whose detection is stated.
        replicates: Bootstrap replicates of the intervals (by patient).
        seed: Seed of the bootstrap and of the folds.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    miss_rate: float = Field(default=0.05, gt=0, lt=1)
    false_alarm_rate: float = Field(default=0.1, gt=0, lt=1)
    specificity: float = Field(default=0.8, ge=0, le=1)
    sensitivity: float = Field(default=0.9, ge=0, le=1)
    min_auc: float | None = Field(default=None, ge=0.5, lt=1)
    margin: float = Field(default=0.1, ge=0, lt=0.5)
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    calibration: Literal["site", "package"] = "site"
    max_unlike: float = Field(default=0.05, ge=0, le=1)
    max_faults: float = Field(default=0.05, ge=0, le=1)
    drops: tuple[float, ...] = (0.02, 0.05, 0.1)
    replicates: int = Field(default=2000, ge=100)
    seed: int = 0
