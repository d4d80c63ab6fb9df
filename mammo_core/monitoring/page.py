"""The page of a watch."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from mammo_core.imaging.plausibility import Distribution
from mammo_core.metrics import ReliabilityCurve
from mammo_core.monitoring.alarms import Alarm
from mammo_core.monitoring.group import Group
from mammo_core.monitoring.performance import Performance
from mammo_core.monitoring.plots import evidence_plot, measures_plot
from mammo_core.monitoring.reference import ModelReference
from mammo_core.monitoring.settings import GRAY_MEASURES
from mammo_core.monitoring.watch import Watch
from mammo_core.reporting import Page, Table
from mammo_core.reporting.measure_plots import reliability_plot

_WHAT = {
    "change": "a measure is no longer as in the first exams of its group",
    "training": "too many images are outside the training images",
    "labels": "scores of a class, or the calibration, are no longer as they were",
}


def build_page(
    model: ModelReference,
    watch: Watch,
    results: Sequence[Performance],
    curve: ReliabilityCurve | None,
    notes: Sequence[str],
) -> str:
    """Return the page (HTML) of a watch.

    Args:
        model: The model.
        watch: The watch.
        results: Performance by quarter; empty without labels.
        curve: Calibration where labels are known; None: unknown.
        notes: What a reader must know, such as batches that could not be read.
    """
    version = f" version {model.version}" if model.version is not None else ""
    page = Page("A model in use", f"{model.name}{version}, model id {model.model_id[:12]}")
    images = sum(group.images for group in watch.groups.values())
    exams = sum(group.exams for group in watch.groups.values())
    page.numbers(
        {
            "alarms": (len(watch.alarms), "see below" if watch.alarms else "nothing has changed"),
            "images": (images, f"{watch.first[:10]} to {watch.last[:10]}"),
            "exams compared": (exams, "one image of each exam and group"),
            "groups": (len(watch.groups), "vendor and kind of image"),
        }
    )
    for note in notes:
        page.warning(note)
    _add_alarms(page, watch)
    _add_groups(page, model, watch)
    for name in sorted(watch.groups):
        _add_group(page, watch, watch.groups[name])
    _add_labels(page, model, results, curve)
    settings = watch.settings
    page.section("How sure an alarm is").text(
        f"While nothing changes, the probability that this watch ever raises an alarm is at most "
        f"{100 * settings.rate:g} %, however often one looks and for however long: every measure "
        f"of every group has a share of it ({settings.stream_rate:.2g}). Images of one exam depend "
        "on each other, so one of them is compared. The first "
        f"{settings.baseline} exams of a group are what later ones are compared with."
    )
    return page.html()


def _add_alarms(page: Page, watch: Watch) -> None:
    page.section("Alarms")
    if not watch.alarms:
        page.text("There is no alarm.")
        return
    for kind in dict.fromkeys(alarm.kind for alarm in watch.alarms):
        page.text(f"{kind}: {_WHAT[kind]}.")
    page.table(Table.from_records(_alarm_row(alarm) for alarm in watch.alarms))


def _alarm_row(alarm: Alarm) -> dict[str, Any]:
    return {
        "noticed at": alarm.at.replace("T", " ").removesuffix("Z"),
        "kind": alarm.kind,
        "group": alarm.group,
        "measure": alarm.measure.replace("_", " "),
        "before": alarm.before,
        "after": alarm.after,
        "exams": alarm.exams,
        "retrained": alarm.retrained,
    }


def _add_groups(page: Page, model: ModelReference, watch: Watch) -> None:
    page.section("Groups")
    expected = model.point
    if expected is not None:
        page.text(
            f"Of the benign images of validation, {100 * (1 - expected.specificity):.1f} % were "
            f"positive at {expected.name}."
        )
    rows = []
    for name in sorted(watch.groups):
        group = watch.groups[name]
        baseline = watch.settings.baseline
        rows.append(
            {
                "group": name,
                "images": group.images,
                "exams": group.exams,
                "positive (%)": 100 * group.positive / group.decided if group.decided else None,
                "state": "compared"
                if group.drift
                else f"{group.exams} of the first {baseline} exams",
                "alarms": sum(alarm.group == name for alarm in watch.alarms),
            }
        )
    page.table(Table.from_records(rows))


def _add_group(page: Page, watch: Watch, group: Group) -> None:
    page.section(group.name)
    alarms = [alarm for alarm in watch.alarms if alarm.group == group.name]
    if not group.exams:
        page.text("No exam was compared yet.")
        return
    page.figure(
        measures_plot(group, alarms),
        "Weekly means with one standard deviation to each side; dotted: the mean of the first "
        "exams; orange: an alarm.",
    )
    if group.drift:
        page.figure(
            evidence_plot(group, -math.log10(watch.settings.stream_rate)),
            "Evidence for a change since the first exams, at the end of each week.",
        )
    if group.outside:
        page.table(_training_table(group, watch.trained))


def _training_table(group: Group, trained: Mapping[str, Distribution]) -> Table:
    rows = []
    for name in GRAY_MEASURES:
        if name not in group.outside:
            continue
        known, recent = trained[name], sorted(group.recent[name])
        rows.append(
            {
                "measure": name.replace("_", " "),
                "training: 1 %": known.q01,
                "median": known.median,
                "99 %": known.q99,
                "here, latest: median": recent[len(recent) // 2],
                "outside (%); training: 2": 100 * group.outside[name] / group.exams,
            }
        )
    return Table.from_records(rows)


def _add_labels(
    page: Page,
    model: ModelReference,
    results: Sequence[Performance],
    curve: ReliabilityCurve | None,
) -> None:
    page.section("With labels")
    if not results:
        page.text("No labels are known: AUC and calibration cannot be watched (--labels).")
        return
    if model.point is not None:
        page.text(
            f"At {model.point.name}, validation had sensitivity {model.point.sensitivity:.3f} and "
            f"specificity {model.point.specificity:.3f}."
        )
    page.table(Table.from_records(result.row() for result in results))
    page.text(
        "Labels of cancers often arrive before those of healthy women: compare quarters only when "
        "their labels are complete."
    )
    if curve is not None:
        page.figure(
            reliability_plot(
                {"calibrated": (curve.predicted, curve.observed)},
                {"calibrated": (curve.low, curve.high)},
                curve.counts,
            ),
            "How often images of similar calibrated probability are malignant.",
            wide=False,
        )
