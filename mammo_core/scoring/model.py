"""The scoring model: one package, or several whose probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Level, Unit
from mammo_core.evaluation.decisions import NamedPoint
from mammo_core.evaluation.ensemble import average, ensemble_id, normalize_weights
from mammo_core.packaging import Package
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.gray_levels import GENERAL_RULES
from mammo_core.scoring.images import PolicyRule


@dataclass(frozen=True)
class ScoringModel:
    """Packages with their weights, and the settings of test-time averaging and decisions.

    Attributes:
        packages: At least one package.
        weights: One per package, summing to 1.
        flips: Whether each image is scored with its three flips; None: as each package was
            evaluated.
        point: Name of the operating point for decisions; None: the first one of the package.
        decide_unlike: Whether images unlike the training images get a decision, too.
    """

    packages: tuple[Package, ...]
    weights: tuple[float, ...]
    flips: bool | None = None
    point: str | None = None
    decide_unlike: bool = False

    @classmethod
    def from_packages(
        cls,
        packages: Sequence[Package],
        weights: Sequence[float] | None = None,
        flips: bool | None = None,
        point: str | None = None,
    ) -> "ScoringModel":
        """Combine packages.

        Raises:
            RecipeError: The weights do not match the packages, several packages are combined
                with an operating point, or some take one image and others two views.
            RecordError: The package has no operating point of that name.
        """
        model = cls(
            tuple(packages), normalize_weights(weights, len(packages)), flips=flips, point=point
        )
        units = [package.unit for package in packages]
        if len(set(units)) > 1:
            raise RecipeError(
                "These models cannot be averaged",
                expected="models that all take one image, or all take both views of a breast",
                received=", ".join(
                    f"{package.manifest.name}: {package.unit}" for package in packages
                ),
                hint="Score with each kind separately and average the tables of breasts",
            )
        if point is not None and len(packages) > 1:
            raise RecipeError(
                "Several models have no operating point in common",
                expected="one model, or no operating point",
                received=f"{len(packages)} models and the operating point {point}",
                hint="Decide on the probabilities instead",
            )
        model.decision_point(model.unit)
        return model

    @property
    def unit(self) -> Unit:
        """The input of the models: an image, or a breast."""
        return self.packages[0].unit

    @cached_property
    def model_id(self) -> str:
        """Model id of the package or of the ensemble."""
        return ensemble_id([package.model_id for package in self.packages], self.weights)

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """The preprocessing of every package."""
        return tuple(package.preprocessing for package in self.packages)

    def policy_rule(self, on_request: bool = False) -> PolicyRule:
        """Return which images are scored, by the policies that the packages remember.

        Args:
            on_request: Whether images are scored that a policy scores on request only.
        """
        policies = tuple(package.training_data.policy for package in self.packages)
        gray_levels = tuple(package.training_data.gray_levels for package in self.packages)
        return PolicyRule(policies, on_request, gray_levels)

    def decision_point(self, level: Level) -> NamedPoint | None:
        """Return the operating point of a level, or None if there is none."""
        if len(self.packages) > 1:
            return None
        rules = self.packages[0].rules.at(level)
        # Small validation sets may give no operating point for breasts and patients.
        return rules.point(self.point) if rules.operating_points else None

    def predict(
        self, pixels: Sequence[Sequence[npt.NDArray[np.uint16]]], size: int
    ) -> list[npt.NDArray[np.float64]]:
        """Score images with every package.

        Args:
            pixels: For every image, for every package `(H, W) uint16, [0, 65535]`; for every
                breast `(2, H, W)`.
            size: Size of a batch; a smaller batch is padded, so that sums are computed in the
                same order for any batch.

        Returns:
            For every package `(n,) float64, [0, 1]`, uncalibrated.
        """
        return [
            _predict(package, [image[number] for image in pixels], size, self._flips(package))
            for number, package in enumerate(self.packages)
        ]

    def combine(self, scores: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Return the weighted mean over the packages.

        Args:
            scores: For every package `(n,) float64, [0, 1]`.

        Returns:
            `(n,) float64, [0, 1]`.
        """
        return average(scores, self.weights)

    def calibrate(
        self, level: Level, scores: Sequence[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """Return the weighted mean over the packages of their calibrated scores.

        Args:
            level: The level of the scores.
            scores: For every package `(n,) float64, [0, 1]`, uncalibrated.

        Returns:
            `(n,) float64, [0, 1]`.
        """
        calibrated = [
            package.rules.at(level).calibration.apply(score)
            for package, score in zip(self.packages, scores, strict=True)
        ]
        return average(calibrated, self.weights)

    def describe(self) -> dict[str, Any]:
        """Return the description of the model for a result, as plain JSON."""
        point = self.decision_point(self.unit)
        return {
            "model_id": self.model_id,
            "unit": self.unit,
            "operating_point": point.name if point is not None else None,
            "threshold": point.threshold if point is not None else None,
            "gray_levels": self.gray_levels,
            "members": [
                {
                    "name": package.manifest.name,
                    "model_id": package.model_id,
                    "weight": weight,
                    "flips": self._flips(package),
                    "translation": package.rules.translation,
                }
                for package, weight in zip(self.packages, self.weights, strict=True)
            ],
        }

    @property
    def gray_levels(self) -> str:
        """What the gray levels of images are compared with, in words."""
        known = all(package.training_data.gray_levels for package in self.packages)
        return "training images" if known else GENERAL_RULES

    def _flips(self, package: Package) -> bool:
        return package.rules.flips if self.flips is None else self.flips


def score_fields(
    point: NamedPoint | None, probability: float, calibrated: float, decide: bool = True
) -> dict[str, Any]:
    """Return the fields of a score: both probabilities, operating point and decision.

    Args:
        point: The operating point; None if there is none.
        probability: [0, 1], uncalibrated.
        calibrated: [0, 1].
        decide: Whether there is a decision; there is none for images unlike the training images.
    """
    decision = ""
    if point is not None and decide:
        decision = "positive" if probability >= point.threshold else "negative"
    return {
        "malignant_probability": round(probability, 6),
        "calibrated_probability": round(calibrated, 6),
        "operating_point": point.name if point is not None else "",
        "decision": decision,
    }


def _predict(
    package: Package, images: list[npt.NDArray[np.uint16]], size: int, flips: bool
) -> npt.NDArray[np.float64]:
    """Return the probabilities of images; images of different widths go one at a time."""
    same_shape = len({image.shape for image in images}) == 1
    groups = [images] if same_shape else [[image] for image in images]
    probabilities = []
    for group in groups:
        batch = np.stack(group)
        if same_shape and len(group) < size:
            # One shape for all batches: TensorFlow would retrace the network for another shape.
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(group), axis=0)])
        scores = package.predict(
            batch, len(batch), flips=flips, translation=package.rules.translation
        )
        probabilities.append(scores[: len(group)])
    return np.concatenate(probabilities).astype(np.float64) if images else np.zeros(0)
