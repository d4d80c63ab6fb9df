"""The configuration of the gate."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class GateConfig(BaseModel):
    """The conditions of the gate.

    Attributes:
        min_auc: The least AUC on the test set, regardless of the champion: per image, or per
            breast if a model sees both views.
        margin: How much lower than the champion's AUC still counts as not worse.
        non_inferiority: What must be above -margin: the lower end of the 95 % interval of the
            difference ("interval": non-inferiority is shown), or the difference itself
            ("point": for test sets too small to show anything).
        bootstrap_replicates: Replicates of the interval (by patient, paired).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_auc: float = Field(ge=0, le=1)
    margin: float = Field(default=0.02, ge=0, le=1)
    non_inferiority: Literal["interval", "point"] = "interval"
    bootstrap_replicates: int = Field(default=2000, ge=100)
