"""The configuration of the gate."""

from operator import not_
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from mammo_core.registry.change_plan.loading import read_plan
from mammo_core.registry.change_plan.plan import ChangePlan


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
        min_patients: The least number of malignant, and of benign, test patients that neither
            model was fitted to; with fewer, the two cannot be compared.
        cannot_compare: What happens to a model that cannot be compared with the champion: it is
            not pushed ("stop"), or pushed if it reaches min_auc ("push").
        plan: The change-control plan: which data, settings and metrics may differ from the
            champion's. A file or URI (YAML), whose content becomes part of the resolved recipe.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_auc: float = Field(ge=0, le=1)
    margin: float = Field(default=0.02, ge=0, le=1)
    non_inferiority: Literal["interval", "point"] = "interval"
    bootstrap_replicates: int = Field(default=2000, ge=100)
    min_patients: int = Field(default=2, ge=1)
    cannot_compare: Literal["stop", "push"] = "stop"
    # Left out where there is none: the ids of decisions stay the same.
    plan: ChangePlan | None = Field(default=None, exclude_if=not_)

    @field_validator("plan", mode="before")
    @classmethod
    def _read_file(cls, value: Any) -> Any:
        return read_plan(value) if isinstance(value, str) else value

    def conditions(self) -> dict[str, Any]:
        """Return the conditions without the plan, as plain JSON."""
        return self.model_dump(mode="json", exclude={"plan"})
