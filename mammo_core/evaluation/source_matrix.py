"""The performance on each of several sources: the test patients of each, and held-out ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.evaluation.levels import MetricValue, evaluate_level
from mammo_core.evaluation.predictions import small_set_warning, validate_predictions
from mammo_core.metrics import Interval
from mammo_core.sources.several.names import EXTERNAL, NAME_COLUMN

if TYPE_CHECKING:
    import pandas as pd

#: Name of the row of the test patients of all training sources.
ALL = "all training sources"


class SourceResult(BaseModel):
    """The performance on the patients of one source, per image; intervals are 95 %, by patient.

    Attributes:
        source: Name of the source, or `all training sources`.
        role: `training` (its test patients) or `external` (all of its patients).
        n_images: Number of images.
        n_patients: Number of patients.
        n_malignant: Number of malignant images.
        metrics: Value of each registered metric by name; empty with one class or too few patients.
        threshold: That of the first operating point, chosen on the validation patients of the
            training sources; None: there is none.
        sensitivity: At that threshold.
        specificity: At that threshold.
        note: Why there are no metrics, or that there are few patients; else empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    role: str
    n_images: int
    n_patients: int
    n_malignant: int
    metrics: dict[str, MetricValue] = {}
    threshold: float | None = None
    sensitivity: Interval | None = None
    specificity: Interval | None = None
    note: str = ""

    @property
    def auc(self) -> Interval | None:
        """The AUC with its interval; None where there is none."""
        value = self.metrics.get("auc")
        return value if isinstance(value, Interval) else None


def evaluate_sources(
    test: "pd.DataFrame",
    external: "pd.DataFrame | None",
    sources: Mapping[str, Mapping[str, Any]],
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> tuple[SourceResult, ...]:
    """Evaluate the test patients of each source apart, and those of sources that are held out.

    Nothing is fitted here: thresholds and calibration are those of the training sources.

    Args:
        test: Predictions of the test split, with the column source_name.
        external: Those of all images of external sources; None where there is none.
        sources: Name of each source → `role` and what else is known of it (`FrameFacts.sources`).
        rules: Fitted on validation.
        config: How to evaluate.
        seed: Seed of the bootstrap.

    Raises:
        ModelError: A probability is not in [0, 1].
    """
    training = [name for name, source in sources.items() if source["role"] != EXTERNAL]
    groups: list[tuple[str, str, pd.DataFrame]] = [
        (name, "training", test[test[NAME_COLUMN] == name]) for name in training
    ]
    if len(training) > 1:
        groups.append((ALL, "training", test))
    if external is not None:
        groups += [
            (name, EXTERNAL, external[external[NAME_COLUMN] == name])
            for name in sources
            if name not in training
        ]
    return tuple(_result(*group, rules, config, seed) for group in groups)


def source_aucs(results: Sequence[SourceResult]) -> dict[str, tuple[float, float, float]]:
    """Return name of each source that has one → its AUC, and the ends of the interval.

    Args:
        results: The performance on each source.
    """
    return {
        result.source: (result.auc.value, result.auc.low, result.auc.high)
        for result in results
        if result.auc is not None
    }


def _result(
    name: str,
    role: str,
    rows: "pd.DataFrame",
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> SourceResult:
    result = SourceResult(
        source=name,
        role=role,
        n_images=len(rows),
        n_patients=int(rows["patient_key"].nunique()),
        n_malignant=int(rows["label"].sum()),
    )
    if rows.empty:
        return result.model_copy(update={"note": "no image"})
    rows = validate_predictions(rows, name)
    try:
        level = evaluate_level(rows, "image", rules, config, seed)
    except RecordError:
        few = small_set_warning(rows, config.small_group)
        return result.model_copy(update={"note": few or "one class only"})
    point = level.operating_points[0] if level.operating_points else None
    return result.model_copy(
        update={
            "metrics": level.metrics,
            "threshold": point.threshold if point else None,
            "sensitivity": point.sensitivity if point else None,
            "specificity": point.specificity if point else None,
            "note": level.warning,
        }
    )
