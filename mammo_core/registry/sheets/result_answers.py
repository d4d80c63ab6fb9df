"""Answers about results: metrics with intervals, subgroups, localization, errors."""

from collections.abc import Mapping
from typing import Any

from mammo_core.registry.sheets.evidence import Evidence
from mammo_core.registry.sheets.sheet import Answer, listed, pairs

_NO_EVALUATION = "the package has no evaluation"
#: Groups that are named in a sheet.
_MOST_GROUPS = 40


def abstract(e: Evidence) -> Answer:
    """The study in a few sentences."""
    if "auc" not in e.metrics:
        return Answer(why=_NO_EVALUATION)
    low, high = e.metrics["auc_ci95"]
    return Answer(
        f"Data: {e.data.description}; {e.data.patients.get('train', 0)} patients for training, "
        f"{e.metrics['n_test_patients']} for the test. Model: a deep-learning classifier per "
        f"{e.package.unit}. Result: AUC per image {e.metrics['auc']:.4f} (95 % interval {low:.4f} "
        f"to {high:.4f}) on the test set."
    )


def measures(e: Evidence) -> Answer:
    """Which metrics were computed, and why so."""
    levels = e.image.get("levels", ())
    if not levels:
        return Answer(why=_NO_EVALUATION)
    names = sorted({name for level in levels for name in level if _has_value(level[name])})
    return Answer(
        f"{', '.join(names)}; sensitivity and specificity at thresholds chosen on validation; "
        f"per {', '.join(level['level'] for level in levels)}."
    )


def uncertainty(e: Evidence) -> Answer:
    """How uncertainty was computed."""
    config = e.image.get("config")
    if not config:
        return Answer(why=_NO_EVALUATION)
    return Answer(
        f"95 % intervals: percentiles of {config['bootstrap_replicates']} bootstrap replicates, in "
        "which patients are drawn with all their images. Models are compared on the same draws."
    )


def performance(e: Evidence) -> Answer:
    """The metrics with their intervals, per image, breast and patient."""
    lines = []
    for level in e.image.get("levels", ()):
        values = [
            f"{name} {_interval(value)}" for name, value in level.items() if _has_value(value)
        ]
        head = f"Per {level['level']} ({level['n']}, {level['n_malignant']} malignant)"
        lines.append(f"{head}: {'; '.join(values)}.")
    return Answer(listed(lines), why="" if lines else _NO_EVALUATION)


def points(e: Evidence) -> Answer:
    """Sensitivity and specificity at the thresholds."""
    lines = [
        f"Per {level['level']}, {point['name']} (threshold {point['threshold']:.4f}): sensitivity "
        f"{_interval(point['sensitivity'])}, specificity {_interval(point['specificity'])}."
        for level in e.image.get("levels", ())
        for point in level.get("operating_points", ())
    ]
    return Answer(listed(lines), why="" if lines else "validation has one class only")


def performance_and_groups(e: Evidence) -> Answer:
    """The metrics, the thresholds, and the AUC of every group."""
    parts = (performance(e), points(e), groups(e))
    text = listed([part.text for part in parts])
    return Answer(text, why="" if text else _NO_EVALUATION)


def groups(e: Evidence) -> Answer:
    """The AUC of every group of the test set."""
    lines = []
    for group in e.image.get("subgroups", ())[:_MOST_GROUPS]:
        auc = _interval(group["auc"]) if group["auc"] else "no AUC"
        warning = f" ({group['warning']})" if group["warning"] else ""
        lines.append(
            f"{group['by']} {group['group']}: AUC {auc}, {group['n_images']} images{warning}"
        )
    return Answer(listed(lines), why="" if lines else "the test set has no groups")


def differences(e: Evidence) -> Answer:
    """Whether groups differ."""
    lines = []
    for each in e.image.get("group_differences", ()):
        p_value = "" if each["p_value"] is None else f", p = {each['p_value']:.3f}"
        worst = f", lowest: {each['worst']}" if each.get("worst") else ""
        lines.append(f"{each['by']}: {each['verdict']}{p_value}{worst}.")
    why = "" if lines else "no grouping of the test set has two groups to compare"
    return Answer(listed(lines), why=why)


def fairness(e: Evidence) -> Answer:
    """How differences between groups were looked for."""
    compared = differences(e)
    if compared.why:
        return compared
    return Answer(
        "The AUC of every group is given with its interval, and groupings are tested for a "
        f"difference, saying when the data cannot tell.\n{compared.text}"
    )


def localization(e: Evidence) -> Answer:
    """How well heatmaps find lesions."""
    if not e.localization:
        return Answer(why="heatmaps were not compared with lesions")
    pointing = {
        target: _interval(value) for target, value in e.localization.get("pointing", {}).items()
    }
    inside = e.localization.get("inside_breast")
    lines = [
        f"Heatmaps of the patch classifier on {e.localization['n_views']} test views: "
        f"{e.localization['n_marks']} marks"
        + (f", {inside:.3f} of them inside the breast." if inside is not None else ".")
    ]
    if pointing:
        lines.append(f"Share of views whose hottest point is in a lesion: {pairs(pointing)}.")
    return Answer(listed(lines))


def explanation(e: Evidence) -> Answer:
    """How the model can be explained."""
    measured = localization(e)
    if e.package.patch_size is None:
        return Answer(why="the package has no patch classifier, so there are no heatmaps")
    return Answer(listed(["Heatmaps: the patch classifier on the whole view.", measured.text]))


def errors(e: Evidence) -> Answer:
    """Which images were called wrongly."""
    counted = e.image.get("at_operating_point")
    if not counted:
        return Answer(why="there is no threshold")
    return Answer(
        f"At the first threshold, images of the test set: {pairs(counted)}. The report of the "
        f"evaluation {e.lineage.get('evaluation_id', '')} shows the worst of each kind."
    )


def robustness(e: Evidence) -> Answer:
    """What was varied."""
    groups_of = {group["by"] for group in e.image.get("subgroups", ())}
    if not groups_of:
        return Answer(why="nothing was varied")
    return Answer(f"The test set was also evaluated by {', '.join(sorted(groups_of))}.")


def internal(e: Evidence) -> Answer:
    """The test on patients of the sources that the model was trained on."""
    if "auc" not in e.metrics:
        return Answer(why=_NO_EVALUATION)
    return Answer(
        f"{e.metrics['n_test_images']} images of {e.metrics['n_test_patients']} patients of the "
        f"sources of training ({e.data.description}), whom neither training nor validation has."
    )


def external(e: Evidence) -> Answer:
    """Tests on sources that no training saw."""
    lines = []
    for each in e.by_source:
        if each["role"] == "external":
            auc = each.get("metrics", {}).get("auc") or each.get("auc")
            value = f"AUC {_interval(auc)}" if auc else f"no AUC ({each['note']})"
            lines.append(
                f"{each['source']}: {value}, {each['n_images']} images of {each['n_patients']} "
                f"patients, {each['n_malignant']} malignant"
            )
    return Answer(listed(lines), why="" if lines else "no source was held out of training")


def screening(e: Evidence) -> Answer:
    """What the model would do in screening."""
    if not e.screening:
        return Answer(why="nothing is said of screening (evaluation.screening)")
    config = e.screening["config"]
    return Answer(
        f"At a prevalence of {config['prevalence']:g}: {len(e.screening['points'])} thresholds "
        f"with their recall rate and cancers detected, and a decision curve, from "
        f"{e.screening['n_exams']} exams with {e.screening['n_malignant']} cancers."
    )


def _has_value(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("value"), int | float)


def _interval(value: Mapping[str, Any]) -> str:
    low, high = value.get("low"), value.get("high")
    ends = f" ({low:.4f} to {high:.4f})" if low is not None and high is not None else ""
    return f"{value['value']:.4f}{ends}"
