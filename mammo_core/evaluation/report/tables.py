"""The results of an evaluation as rows of tables."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mammo_core.evaluation.group_differences import RELEVANT, Verdict
from mammo_core.evaluation.levels import MetricValue
from mammo_core.evaluation.whole_image import EvaluationResult
from mammo_core.metrics import metrics

if TYPE_CHECKING:
    import pandas as pd


_VERDICTS: Mapping[Verdict, str] = {
    "differ": "they differ",
    "no difference": f"no difference of {RELEVANT:g} or more",
    "cannot tell": "this set is too small to tell",
}


def metrics_table(result: EvaluationResult) -> list[dict[str, str]]:
    """Return the metrics as rows: label, then a column per level."""
    settings = result.config.metric_settings(result.rules.image.calibration.method)
    evaluated = result.levels[0].metrics
    return [
        {
            "metric": metric.row_label(settings),
            **{
                f"per {level.level}": format_value(level.metrics.get(metric.name), metric.decimals)
                for level in result.levels
            },
        }
        for metric in metrics()
        if metric.name in evaluated
    ]


def format_value(value: MetricValue, decimals: int = 3) -> str:
    """Return a value with its interval as text, for instance `0.812 (0.750–0.861)`."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.{decimals}f}"
    return f"{value.value:.{decimals}f} ({value.low:.{decimals}f}–{value.high:.{decimals}f})"


def points_table(result: EvaluationResult) -> list[dict[str, object]]:
    """Return the operating points as rows, one per level and point."""
    return [
        {
            "per": level.level,
            "operating point": point.name,
            "threshold": point.threshold,
            "sensitivity on test": str(point.sensitivity),
            "specificity on test": str(point.specificity),
            "on validation": f"{point.validation_sensitivity:.3f} / "
            f"{point.validation_specificity:.3f}",
            "detected": f"{point.counts.true_positives} of {level.n_malignant}",
            "false alarms": f"{point.counts.false_positives} of {level.n - level.n_malignant}",
        }
        for level in result.levels
        for point in level.operating_points
    ]


def subgroups_table(result: EvaluationResult) -> list[dict[str, object]]:
    """Return the subgroups as rows."""
    return [
        {
            "by": group.by,
            "group": group.group,
            "images": group.n_images,
            "malignant": group.n_malignant,
            "patients": group.n_patients,
            "AUC": "–" if group.auc is None else str(group.auc),
            "sensitivity": group.sensitivity,
            "specificity": group.specificity,
            "note": group.warning,
        }
        for group in result.subgroups
    ]


def differences_table(result: EvaluationResult) -> list[dict[str, object]]:
    """Return as rows whether the groups of each grouping differ."""
    aucs = {(group.by, group.group): group.auc for group in result.subgroups}
    return [
        {
            "groups by": difference.by,
            "compared": ", ".join(difference.groups) or "–",
            "too small": ", ".join(difference.left_out) or "–",
            "p": "–" if difference.p_value is None else f"{difference.p_value:.3f}",
            "the set would find a difference of": "–"
            if difference.detectable is None
            else f"{difference.detectable:.2f} or more",
            "result": _VERDICTS[difference.verdict],
            "lowest AUC": "–"
            if difference.worst is None
            else f"{difference.worst}: {aucs.get((difference.by, difference.worst))}",
        }
        for difference in result.group_differences
    ]


def errors_table(
    test: "pd.DataFrame", result: EvaluationResult, limit: int = 10
) -> list[dict[str, object]]:
    """Return the views that were classified wrongly, as rows, the worst of each kind first.

    Args:
        test: The predictions that were evaluated.
        result: Their evaluation.
        limit: Largest number of rows of each kind.

    Returns:
        Views with malignant images below the first operating point and benign ones above it;
        empty if there is no operating point.
    """
    point = result.rules.image.point()
    if point is None:
        return []
    ordered = test.sort_values(["probability", "image_id"])
    called = ordered["probability"] >= point.threshold
    missed = ordered[(ordered["label"] == 1) & ~called]
    alarms = ordered[(ordered["label"] == 0) & called].iloc[::-1]
    facts = [name for name in ("lesion_types", "breast_density") if name in test.columns]
    return [
        {
            "error": error,
            "view": row["view_id"],
            "probability": row["probability"],
            **{name.replace("_", " "): row[name] for name in facts},
        }
        for error, rows in (("missed", missed), ("false alarm", alarms))
        # Of a view with several files, the worst one stands for it.
        for row in rows.drop_duplicates("view_id").head(limit).to_dict("records")
    ]
