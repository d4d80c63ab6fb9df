"""The kinds of outputs about features: frames, validations of data, and counts of new images."""

from typing import Any, Final

from pydantic import Field

from mammo_core.datasets.kinds import Facts, Kind, register_kind
from mammo_core.imaging.plausibility import Distribution
from mammo_core.preprocessing import IntensityConfig
from mammo_core.sources.auditing.policy import ImagePolicy


class FrameFacts(Facts):
    """Facts of a frame.

    Attributes:
        mean: Mean pixel of the training images as networks receive them, [0, 255] by default.
        rescale_factor: Factor that brings pixels from [0, 65535] to the scale of `mean`.
        shuffled_labels: Whether the labels were permuted over patients.
        intensity: How gray levels become numbers.
        splits: Split → number of images, views, patients and malignant images.
        split: Configuration of the split.
        leaking_patients: Patients on both sides of the official split, sorted.
        withheld: Cause → number of patients who are on no side: `tested_before` (in a test set of
            this model or of one that it was started from), `seen_by_ancestors` (these were fitted
            to them, and the recipe excludes them; `images_seen_by_ancestors`),
            `copies_on_another_side` (their images are copies of those of a patient on a side that
            the model is fitted to more).
        duplicates: Numbers of images that show the same picture as another one (`images`,
            `pairs`), and of patients who share one (`patients`).
        images: What was done with images that are not plain mammograms.
        gray_levels: Measure of gray levels → its distribution over the training images.
        sources: Name → adapter, role and numbers of images, patients and malignant images by
            split, of each of several sources; empty where there is one.
    """

    mean: float
    rescale_factor: float
    shuffled_labels: bool
    intensity: IntensityConfig = IntensityConfig()
    splits: dict[str, dict[str, int]] = Field(default_factory=dict)
    split: dict[str, Any] = Field(default_factory=dict)
    leaking_patients: tuple[str, ...] = ()
    withheld: dict[str, int] = Field(default_factory=dict)
    duplicates: dict[str, int] = Field(default_factory=dict)
    images: ImagePolicy = ImagePolicy()
    gray_levels: dict[str, Distribution] = Field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = Field(
        default_factory=dict, exclude_if=lambda sources: not sources
    )


class AssignmentFacts(Facts):
    """Facts of a state of an assignment of patients to splits.

    Attributes:
        origin: Where its first sides are from, in words; empty: they were drawn.
    """

    origin: str = ""


class ValidationFacts(Facts):
    """Facts of a validation of data.

    Attributes:
        passed: Whether no check failed.
        failures: A sentence for each check that failed.
        notes: A sentence for each remark that fails nothing.
    """

    passed: bool
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NewImagesFacts(Facts):
    """Facts of a count of new images.

    Attributes:
        enough: Whether there are enough to train again.
        min_new_images: How many are enough.
        champion_frame: Id of the champion's frame; empty where there is none.
        champion_uri: URI of the champion; empty where there is none.
        summary: The counts in a sentence.
    """

    enough: bool
    min_new_images: int
    champion_frame: str = ""
    champion_uri: str = ""
    summary: str


FRAME = register_kind(Kind("frames", 8, FrameFacts))
#: Beside the features: whoever may publish them may store sides. Garbage collection keeps all
#: that is there.
ASSIGNMENT = register_kind(Kind("features/assignments", 1, AssignmentFacts))
VALIDATION = register_kind(
    Kind("validations", 2, ValidationFacts, intermediate=True, judges="frame")
)
#: The page among its files.
VALIDATION_PAGE: Final = "report.html"
NEW_IMAGES = register_kind(Kind("new-images", 1, NewImagesFacts, intermediate=True))
