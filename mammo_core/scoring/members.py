"""The model that scores: one package, or several whose probabilities are averaged."""

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


@dataclass(frozen=True)
class Members:
    """Packages with their weights, and how an image is averaged over.

    Attributes:
        packages: At least one.
        weights: One per package, summing to 1.
        flips: Whether each image is scored with its three flips; None as each package was
            evaluated.
        point: Name of the operating point that decides; None for the package's first one.
    """

    packages: tuple[Package, ...]
    weights: tuple[float, ...]
    flips: bool | None = None
    point: str | None = None

    @classmethod
    def of(
        cls,
        packages: Sequence[Package],
        weights: Sequence[float] | None = None,
        flips: bool | None = None,
        point: str | None = None,
    ) -> "Members":
        """Put packages together.

        Raises:
            RecipeError: The weights do not fit, an operating point is asked of several, or
                some see one image and others both views of a breast.
            RecordError: The package has no operating point of that name.
        """
        members = cls(
            tuple(packages), normalize_weights(weights, len(packages)), flips=flips, point=point
        )
        units = [package.unit for package in packages]
        if len(set(units)) > 1:
            raise RecipeError(
                "These models cannot be averaged",
                expected="models that all see one image, or all both views of a breast",
                received=", ".join(
                    f"{package.manifest.name}: {package.unit}" for package in packages
                ),
                hint="Score with each kind, and average the tables of breasts yourself",
            )
        if point is not None and len(packages) > 1:
            raise RecipeError(
                "Several models have no operating point in common",
                expected="one model, or no operating point",
                received=f"{len(packages)} models and the point {point}",
                hint="Package the ensemble's own rules, or decide on the probabilities yourself",
            )
        members.decision_point(members.unit)
        return members

    @property
    def unit(self) -> Unit:
        """What the models see at once."""
        return self.packages[0].unit

    @cached_property
    def model_id(self) -> str:
        """Of the package, or of the ensemble."""
        return ensemble_id([package.model_id for package in self.packages], self.weights)

    @property
    def preprocessings(self) -> tuple[Preprocessing, ...]:
        """One per package."""
        return tuple(package.preprocessing for package in self.packages)

    def decision_point(self, level: Level) -> NamedPoint | None:
        """Return the operating point of a level; None where there is none to go by."""
        if len(self.packages) > 1:
            return None
        rules = self.packages[0].rules.at(level)
        # Breasts and patients of small validation sets may lack what images have.
        return rules.point(self.point) if rules.operating_points else None

    def predict(
        self, pixels: Sequence[Sequence[npt.NDArray[np.uint16]]], size: int
    ) -> list[npt.NDArray[np.float64]]:
        """Score images with every package.

        Args:
            pixels: For every image, for every package `(H, W) uint16, [0, 65535]`; for every
                breast `(2, H, W)`.
            size: How many the network sees at once; a smaller group is filled up, so that the
                sums are made in the same order whatever the group.

        Returns:
            For every package `(n,) float64, [0, 1]`, uncalibrated.
        """
        return [
            _grouped(package, [image[place] for image in pixels], size, self._flips(package))
            for place, package in enumerate(self.packages)
        ]

    def combine(self, scores: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
        """Return the weighted mean over the packages."""
        return average(scores, self.weights)

    def calibrate(
        self, level: Level, scores: Sequence[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        """Return the weighted mean of what each package's calibration makes of its scores."""
        calibrated = [
            package.rules.at(level).calibration.apply(mine)
            for package, mine in zip(self.packages, scores, strict=True)
        ]
        return average(calibrated, self.weights)

    def described(self) -> dict[str, Any]:
        """What a result says of the model, as plain JSON."""
        point = self.decision_point(self.unit)
        return {
            "model_id": self.model_id,
            "unit": self.unit,
            "operating_point": point.name if point is not None else None,
            "threshold": point.threshold if point is not None else None,
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

    def _flips(self, package: Package) -> bool:
        return package.rules.flips if self.flips is None else self.flips


def reading(point: NamedPoint | None, probability: float, calibrated: float) -> dict[str, Any]:
    """Return a probability, calibrated, and what is decided at an operating point.

    Args:
        point: The operating point; None where there is none to decide by.
        probability: [0, 1], uncalibrated.
        calibrated: [0, 1].
    """
    decision = ""
    if point is not None:
        decision = "positive" if probability >= point.threshold else "negative"
    return {
        "malignant_probability": round(probability, 6),
        "calibrated_probability": round(calibrated, 6),
        "operating_point": point.name if point is not None else "",
        "decision": decision,
    }


def _grouped(
    package: Package, images: list[npt.NDArray[np.uint16]], size: int, flips: bool
) -> npt.NDArray[np.float64]:
    """Probabilities of images; those of other widths (resize "height") go one by one."""
    alike = len({image.shape for image in images}) == 1
    groups = [images] if alike else [[image] for image in images]
    found = []
    for group in groups:
        batch = np.stack(group)
        if alike and len(group) < size:
            # One shape for all batches: TensorFlow would trace the network anew for another.
            batch = np.concatenate([batch, np.repeat(batch[-1:], size - len(group), axis=0)])
        scores = package.predict(
            batch, len(batch), flips=flips, translation=package.rules.translation
        )
        found.append(scores[: len(group)])
    return np.concatenate(found).astype(np.float64) if found else np.zeros(0)
