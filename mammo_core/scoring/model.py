"""The scoring model: one package, or several whose probabilities are averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecipeError
from mammo_core.evaluation.aggregate import Level, Unit
from mammo_core.evaluation.decisions import DecisionRules, NamedPoint
from mammo_core.evaluation.ensemble import average, ensemble_id, normalize_weights
from mammo_core.packaging import Package
from mammo_core.preprocessing import Preprocessing
from mammo_core.scoring.gray_levels import GENERAL_RULES
from mammo_core.scoring.images import PolicyRule
from mammo_core.scoring.site_rules import SiteRules

#: Why there is no decision; the first one that holds.
FLIPS_NOT_EVALUATED: Final = "flips_not_evaluated"
SEVERAL_MODELS: Final = "several_models"
NO_OPERATING_POINT: Final = "no_operating_point"
UNLIKE_TRAINING: Final = "unlike_training"
#: The same in words, where it holds for all scores of a model.
WHY_UNDECIDED: Final = {
    FLIPS_NOT_EVALUATED: "no decision and no calibrated probability: a model was not evaluated "
    "with these flips (evaluation.rules_for_other_flips stores rules for both)",
    SEVERAL_MODELS: "no decision: no operating point was chosen for these models together",
    NO_OPERATING_POINT: "no decision: the package has no operating point",
}


@dataclass(frozen=True)
class ScoringModel:
    """Packages with their weights, and the settings of test-time averaging and decisions.

    Attributes:
        packages: At least one package, the one with the highest weight first, those of one weight
            by model id: no result depends on the order in which they were named.
        weights: One per package, summing to 1.
        flips: Whether each image is scored with its three flips; None: as each package was
            evaluated.
        point: Name of the operating point for decisions; None: the first one of the package.
        decide_unlike: Whether images unlike the training images get a decision, too.
        site: The rules of the site that accepted the model; None: those of the package.
    """

    packages: tuple[Package, ...]
    weights: tuple[float, ...]
    flips: bool | None = None
    point: str | None = None
    decide_unlike: bool = False
    site: SiteRules | None = None

    @classmethod
    def from_packages(
        cls,
        packages: Sequence[Package],
        weights: Sequence[float] | None = None,
        flips: bool | None = None,
        point: str | None = None,
        site: SiteRules | None = None,
    ) -> "ScoringModel":
        """Combine packages.

        Raises:
            RecipeError: The weights do not match the packages, an operating point is named for
                several packages or for flips that were not evaluated, some packages take one
                image and others two views, or a site accepted one model and there are several.
            ModelError: The site accepted another model.
            RecordError: The package has no operating point of that name.
        """
        ordered, shares = _in_order(packages, weights)
        if site is not None:
            if len(ordered) > 1:
                raise RecipeError(
                    f"The site {site.site} accepted one model",
                    expected="that model alone",
                    received=f"{len(ordered)} models",
                )
            site.require_model(ordered[0])
        model = cls(ordered, shares, flips=flips, point=point, site=site)
        units = [package.unit for package in ordered]
        if len(set(units)) > 1:
            raise RecipeError(
                "These models cannot be averaged",
                expected="models that all take one image, or all take both views of a breast",
                received=", ".join(
                    f"{package.manifest.name}: {package.unit}" for package in ordered
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
        if point is not None and model.rules_of(ordered[0]) is None:
            raise RecipeError(
                f"{ordered[0].manifest.name} has no operating point for these flips",
                expected=f"scoring {_with_flips(ordered[0].rules.flips)}, as it was evaluated, or "
                "no operating point",
                received=f"scoring {_with_flips(bool(flips))} and the operating point {point}",
                hint="evaluation.rules_for_other_flips=true in the recipe has `evaluate` store the "
                "rules for both",
            )
        model.decision_point(model.unit)
        return model

    @classmethod
    def of(cls, model: "Package | ScoringModel") -> "ScoringModel":
        """Return a model as it is, or that of one package."""
        return cls.from_packages([model]) if isinstance(model, Package) else model

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

    @property
    def shared_input(self) -> Preprocessing | None:
        """How images reach the geometry of every package; None if the packages differ in it."""
        first, *others = self.preprocessings
        same = all(
            (other.conversion, other.geometry, other.bit_depth)
            == (first.conversion, first.geometry, first.bit_depth)
            for other in others
        )
        return first if same else None

    def policy_rule(self, on_request: bool = False) -> PolicyRule:
        """Return which images are scored, by the policies that the packages remember.

        Args:
            on_request: Whether images are scored that a policy scores on request only.
        """
        policies = tuple(package.training_data.policy for package in self.packages)
        gray_levels = tuple(package.training_data.gray_levels for package in self.packages)
        return PolicyRule(policies, on_request, gray_levels)

    def rules_of(self, package: Package) -> DecisionRules | None:
        """Return the rules of a package for the flips in use; None if they were not evaluated."""
        rules = package.rules if self.site is None else self.site.rules
        return rules.with_flips(self._flips(package))

    def decision_point(self, level: Level) -> NamedPoint | None:
        """Return the operating point of a level, or None if there is none."""
        rules = self.rules_of(self.packages[0])
        if len(self.packages) > 1 or rules is None:
            return None
        # Small validation sets may give no operating point for breasts and patients.
        return rules.at(level).point(self.point) if rules.at(level).operating_points else None

    def why_undecided(self, level: Level) -> str:
        """Return why no score of a level has a decision, or an empty text."""
        if any(self.rules_of(package) is None for package in self.packages):
            return FLIPS_NOT_EVALUATED
        if len(self.packages) > 1:
            return SEVERAL_MODELS
        return "" if self.decision_point(level) is not None else NO_OPERATING_POINT

    def score_fields(
        self, level: Level, probability: float, calibrated: float, is_unlike: bool
    ) -> dict[str, Any]:
        """Return the fields of a score: both probabilities, operating point and decision.

        With a site, also `site` and the group of its triage, which is empty where an image has
        no decision because of what it is.

        Args:
            level: The level of the score.
            probability: [0, 1], uncalibrated.
            calibrated: [0, 1]; NaN if there is none.
            is_unlike: Whether an image is unlike the training images: then there is a decision
                only if the model decides all the same.
        """
        point, reason = self.decision_point(level), self.why_undecided(level)
        if not reason and is_unlike and not self.decide_unlike:
            reason = UNLIKE_TRAINING
        decision = ""
        if point is not None and not reason:
            decision = "positive" if probability >= point.threshold else "negative"
        return {
            "malignant_probability": round(probability, 6),
            "calibrated_probability": None if np.isnan(calibrated) else round(calibrated, 6),
            "operating_point": point.name if point is not None else "",
            "decision": decision,
            "no_decision": reason,
            **self.site_fields(level, probability, is_decided=reason in ("", NO_OPERATING_POINT)),
        }

    def site_fields(self, level: Level, probability: float, *, is_decided: bool) -> dict[str, str]:
        """Return the fields that a score has with a site: `triage` and `site`.

        Args:
            level: The level of the score.
            probability: [0, 1], uncalibrated.
            is_decided: Whether the limits hold for this score.
        """
        if self.site is None:
            return {}
        group = self.site.group(level, probability) if is_decided else ""
        return {"triage": group, "site": self.site.site}

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
            `(n,) float64, [0, 1]`; all NaN if a package was not evaluated with these flips.
        """
        calibrated = []
        for package, score in zip(self.packages, scores, strict=True):
            rules = self.rules_of(package)
            if rules is None:
                return np.full(np.shape(score), np.nan)
            calibrated.append(rules.at(level).calibration.apply(score))
        return average(calibrated, self.weights)

    def describe(self) -> dict[str, Any]:
        """Return the description of the model for a result, as plain JSON."""
        point = self.decision_point(self.unit)
        return {
            "model_id": self.model_id,
            "unit": self.unit,
            "operating_point": point.name if point is not None else None,
            "threshold": point.threshold if point is not None else None,
            "no_decision": self.why_undecided(self.unit),
            "gray_levels": self.gray_levels,
            "members": [
                {
                    "name": package.manifest.name,
                    "model_id": package.model_id,
                    "weight": weight,
                    "flips": self._flips(package),
                    "flips_evaluated": self.rules_of(package) is not None,
                    "translation": package.rules.translation,
                }
                for package, weight in zip(self.packages, self.weights, strict=True)
            ],
            **({} if self.site is None else {"site": self.site.describe()}),
        }

    @property
    def gray_levels(self) -> str:
        """What the gray levels of images are compared with, in words."""
        known = all(package.training_data.gray_levels for package in self.packages)
        return "training images" if known else GENERAL_RULES

    def _flips(self, package: Package) -> bool:
        return package.rules.flips if self.flips is None else self.flips


def _in_order(
    packages: Sequence[Package], weights: Sequence[float] | None
) -> tuple[tuple[Package, ...], tuple[float, ...]]:
    """Return packages in the one order that does not depend on how they were named."""
    given = [1.0] * len(packages) if weights is None else [float(weight) for weight in weights]
    normalize_weights(given, len(packages))
    pairs = sorted(
        zip(packages, given, strict=True),
        # Packages of one model may still differ in what they know of their training data.
        key=lambda pair: (
            -pair[1],
            pair[0].model_id,
            pair[0].training_data.model_dump_json(),
        ),
    )
    # Normalized in this order: sums of floats depend on their order.
    shares = normalize_weights([weight for _, weight in pairs], len(pairs))
    return tuple(package for package, _ in pairs), shares


def _with_flips(flips: bool) -> str:
    return "with flips" if flips else "without flips"


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
