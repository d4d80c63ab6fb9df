"""What the package of a watched model says about itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mammo_core.evaluation.decisions import DecisionRules, NamedPoint
from mammo_core.imaging.plausibility import Distribution
from mammo_core.packaging.contents import RULES, TrainingData, read_content
from mammo_core.packaging.package import OpenedPackage


@dataclass(frozen=True)
class ModelReference:
    """A model, and what its scores and its images are compared with.

    Attributes:
        name: Its name.
        version: Its version; None for a package that was never pushed.
        model_id: Its id.
        gray_levels: Measure → distribution over the training images; empty if unknown.
        point: The operating point, with sensitivity and specificity on validation; None: none.
    """

    name: str
    version: int | None
    model_id: str
    gray_levels: Mapping[str, Distribution] = field(default_factory=dict)
    point: NamedPoint | None = None

    @classmethod
    def of(cls, package: OpenedPackage) -> "ModelReference":
        """Return the reference of a package; its network is not loaded.

        Raises:
            ModelError: A file of the package is damaged.
        """
        training = read_content(package.folder, "training_data.json", TrainingData)
        rules = read_content(package.folder, RULES, DecisionRules)
        return cls(
            package.name,
            package.version,
            package.model_id,
            training.gray_levels,
            rules.at(package.manifest.unit).point(),
        )

    def describe(self) -> dict[str, Any]:
        """Return the model as plain JSON."""
        return {
            "name": self.name,
            "version": self.version,
            "model_id": self.model_id,
            "operating_point": self.point.model_dump() if self.point is not None else None,
        }
