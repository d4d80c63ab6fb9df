"""What a site's acceptance of a model changes in scores: calibration, thresholds and triage."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Level
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.metrics.triage import Triage

if TYPE_CHECKING:
    from mammo_core.packaging import Package


class SiteRules(BaseModel):
    """The rules of a model at a site, in the place of those of its package.

    Attributes:
        site: Name of the site, at most 100 characters and none that control a terminal.
        accepted_on: The day of its acceptance (UTC).
        model_name: Name of the model.
        model_version: Its version; None for a package that was never pushed.
        model_id: Its model id.
        rules: Calibrations and operating points of the site.
        triage: Level → limits between low, unsure and high, for uncalibrated probabilities.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    site: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")
    accepted_on: date
    model_name: str
    model_version: int | None
    model_id: str
    rules: DecisionRules
    triage: Mapping[Level, Triage]

    def require_model(self, package: "Package") -> None:
        """Require that a package is the model that the site accepted.

        Raises:
            ModelError: It is another model.
        """
        if package.model_id != self.model_id:
            version = f"/{self.model_version}" if self.model_version is not None else ""
            raise ModelError(
                f"The site {self.site} accepted another model",
                expected=f"{self.model_name}{version}, model id {self.model_id[:12]}",
                received=f"{package.manifest.name}, model id {package.model_id[:12]}",
                hint="`mammo accept` makes the record of this model from cases of the site.",
            )

    def group(self, level: Level, probability: float) -> str:
        """Return `low`, `unsure` or `high`; empty if the level has no limits.

        Args:
            level: The level of the probability.
            probability: [0, 1], uncalibrated.
        """
        limits = self.triage.get(level)
        return limits.groups([probability])[0] if limits is not None else ""

    def describe(self) -> dict[str, Any]:
        """Return whose rules these are, as plain JSON."""
        return {"site": self.site, "accepted_on": self.accepted_on.isoformat()}
