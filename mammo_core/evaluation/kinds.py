"""The kinds of evaluations: of both classifiers, and of the second stage."""

from pydantic import ConfigDict, Field

from mammo_core.datasets.kinds import Facts, Kind, register_kind


class EvaluationSummary(Facts):
    """The numbers by which runs are compared.

    Besides these, it has a number for each metric that is registered for the summary, where the
    test set allows it.

    Attributes:
        patch_accuracy: Fraction of test patches that the patch classifier gets right.
        auc: Area under the ROC curve, per image.
        auc_ci95: Its 95 % interval, patients resampled.
        n_test_images: Number of test images.
        n_test_views: Number of test views.
        n_test_patients: Number of test patients.
        n_test_patches: Number of test patches.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    patch_accuracy: float
    auc: float
    auc_ci95: tuple[float, float]
    n_test_images: int
    n_test_views: int
    n_test_patients: int
    n_test_patches: int


class EvaluationFacts(Facts):
    """Facts of an evaluation.

    Attributes:
        summary: The numbers by which runs are compared.
        shuffled_labels: Whether the labels were permuted over patients.
        withheld: Cause → number of patients who are on no side (`FrameFacts.withheld`).
        sources: Name of each of several sources → AUC per image on its test patients, or on all
            of an external source, and the ends of the 95 % interval; empty where there is one.
    """

    summary: EvaluationSummary
    shuffled_labels: bool
    withheld: dict[str, int] = Field(default_factory=dict)
    sources: dict[str, tuple[float, float, float]] = Field(
        default_factory=dict, exclude_if=lambda sources: not sources
    )


class RegionFacts(Facts):
    """Facts of the second stage.

    Attributes:
        cross_validation_auc: AUC per breast, cross-validated.
        auc: AUC per breast on the test split; None where it has one class only.
        max_depth: Depth of the trees that was chosen; None: no limit.
        n_breasts: Number of breasts that the forest was fitted to.
        n_test_breasts: Number of test breasts.
    """

    cross_validation_auc: float
    auc: float | None
    max_depth: int | None
    n_breasts: int
    n_test_breasts: int


EVALUATION = register_kind(Kind("evaluations", 9, EvaluationFacts, intermediate=True))
REGIONS = register_kind(Kind("regions", 3, RegionFacts, intermediate=True))
