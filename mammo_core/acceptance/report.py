"""The page of an acceptance."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mammo_core.acceptance.assess import AssessedLevel, Assessment
from mammo_core.acceptance.cases import CaseCounts
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.measures import LevelMeasures
from mammo_core.acceptance.record import SiteRecord
from mammo_core.metrics import reliability_curve, roc_curve
from mammo_core.metrics.power import drop_power
from mammo_core.reporting import Page, Table, reliability_plot, roc_plot
from mammo_core.reporting.triage_plots import power_plot, triage_plot


def acceptance_page(assessment: Assessment, record: SiteRecord) -> str:
    """Return the page of an acceptance: result, checks, figures and plots.

    Args:
        assessment: The assessment.
        record: Its record.
    """
    rules, patients = record.rules, assessment.levels[-1]
    page = Page(f"Acceptance: {rules.site}", f"{_model(record)}, {rules.accepted_on}")
    page.section("Result")
    if record.accepted:
        page.text(f"{rules.site} can use {rules.model_name} on cases like these.")
    else:
        page.warning(f"{rules.site} cannot use {rules.model_name}: the reasons are below.")
        for check in record.checks:
            if not check.passed:
                page.warning(f"{check}")
    _numbers(page, patients.measures)
    page.table(
        Table.from_records(
            [
                {
                    "check": check.name,
                    "passed": check.passed,
                    "expected": check.expected,
                    "received": check.received,
                }
                for check in record.checks
            ]
        )
    )
    _cases(page, record.cases)
    _discrimination(page, assessment.levels)
    _calibration(page, assessment.levels, record.config)
    _triage(page, assessment.levels, record.config)
    _power(page, patients.measures)
    page.section("Where this comes from").facts(
        {
            "Site": rules.site,
            "Day": rules.accepted_on.isoformat(),
            "Model": _model(record),
            "Model id": rules.model_id,
            "Cases (SHA-256)": record.cases.digest,
            "Record (SHA-256)": record.digest,
            "Signed by": record.signed_by,
        }
    )
    return page.html()


def _model(record: SiteRecord) -> str:
    version = record.rules.model_version
    name = record.rules.model_name
    return name if version is None else f"{name} version {version}"


def _numbers(page: Page, measures: LevelMeasures) -> None:
    numbers: dict[str, tuple[Any, str]] = {}
    if measures.auc is not None:
        ends = f"95 % interval {measures.auc.low:.3f}–{measures.auc.high:.3f}"
        numbers["AUC per patient"] = (measures.auc.value, ends)
    numbers["Exams"] = (measures.n, f"with a decision, {measures.n_malignant} with a cancer")
    if measures.package_auc is not None:
        numbers["AUC of the package"] = (measures.package_auc, "per patient, on its own test set")
    page.numbers(numbers)


def _cases(page: Page, counts: CaseCounts) -> None:
    page.section("Cases", "All counts but those of patients and exams are of images.")
    page.facts(
        {
            "Images scored": counts.images,
            "Patients": counts.patients,
            "Exams": counts.exams,
            "Exams with a cancer": counts.malignant_exams,
            "Files and rows with a fault": counts.faults,
            "Images unlike the training images, without a decision": counts.unlike_images,
            "Patients left out, whom the model was fitted to": counts.fitted_patients,
        }
    )
    for sentence in counts.unknown:
        page.warning(f"Whether the model knows more of these patients is not certain: {sentence}.")
    rows = [
        {"images": what, "cause": code, "number": number}
        for what, codes in (
            ("left out", counts.left_out),
            ("unlike training images", counts.unlike),
            ("with a warning", counts.warnings),
        )
        for code, number in codes.items()
    ]
    if rows:
        page.table(Table.from_records(rows))


def _discrimination(page: Page, levels: tuple[AssessedLevel, ...]) -> None:
    page.section(
        "Discrimination",
        "Intervals: 95 %, bootstrapped by patient. Sensitivity and specificity are those of "
        "thresholds that were chosen on other patients.",
    )
    columns: dict[str, dict[str, Any]] = {}
    for level in levels:
        measures = level.measures
        columns[level.cases.level] = {
            "cases": measures.n,
            "malignant": measures.n_malignant,
            "AUC": str(measures.auc or "–"),
            "AUC of the package on its own test set": measures.package_auc,
        }
        for point in measures.points:
            columns[level.cases.level] |= {
                f"{point.name}: threshold": point.threshold,
                f"{point.name}: sensitivity": point.sensitivity,
                f"{point.name}: specificity": point.specificity,
            }
    _by_level(page, columns)
    patients = levels[-1]
    if not patients.cases.has_both_classes:
        return
    curve = roc_curve(patients.cases.labels, patients.cases.scores)
    page.figure(
        roc_plot(
            curve.false_positive_rate,
            curve.true_positive_rate,
            label=f"per patient: {patients.measures.auc}",
            points={
                point.name: (1 - point.specificity, point.sensitivity)
                for point in patients.measures.points
                if point.sensitivity is not None and point.specificity is not None
            },
        ),
        "The site's exams; the points are the operating points, chosen on other patients",
        wide=False,
    )


def _calibration(page: Page, levels: tuple[AssessedLevel, ...], config: AcceptanceConfig) -> None:
    page.section(
        "Calibration",
        "The package's own calibration is corrected as far as these cases support it; figures "
        "of the site's are of patients that it was not fitted to."
        if config.calibration == "site"
        else "The package's own calibration is kept.",
    )
    if config.prevalence is not None:
        page.text(
            f"In use, probabilities are those at a prevalence of {config.prevalence:g}; the "
            "figures and the plot are of the mixture of these cases."
        )
    columns: dict[str, dict[str, Any]] = {}
    for level in levels:
        measure = level.measures.calibration
        if measure is not None:
            columns[level.cases.level] = {
                "malignant": measure.observed,
                "expected by the package's calibration": measure.package,
                "expected by the site's": measure.site,
                "Brier score of the package's": measure.package_brier,
                "Brier score of the site's": measure.site_brier,
                "shift of the logit": measure.shift,
                "share of the difference that was taken": measure.shift_shrinkage,
                "slope of the logit": measure.slope,
                "share of the change that was taken": measure.slope_shrinkage,
                "weight of an isotonic curve": measure.isotonic_weight,
            }
    if not columns:
        page.text("There are too few patients for a calibration.")
        return
    _by_level(page, columns)
    patients = levels[-1]
    if patients.crossed is None:
        return
    labels = patients.cases.labels
    curves = {"package's": reliability_curve(labels, patients.package.apply(patients.cases.scores))}
    if config.calibration == "site":
        curves["site's, on other patients"] = reliability_curve(labels, patients.crossed.calibrated)
    page.figure(
        reliability_plot(
            {name: (curve.predicted, curve.observed) for name, curve in curves.items()},
            {name: (curve.low, curve.high) for name, curve in curves.items()},
            list(curves.values())[-1].counts,
        ),
        "The site's exams, with their number",
        wide=False,
    )


def _triage(page: Page, levels: tuple[AssessedLevel, ...], config: AcceptanceConfig) -> None:
    page.section(
        "Triage",
        f"Of patients with cancer at most {config.miss_rate:.1%} are low, of the others at most "
        f"{config.false_alarm_rate:.1%} are high: guaranteed on average over sites, for patients "
        "like these, whatever the model is. “At one site” is the rate that a site keeps with a "
        "probability of 95 %. Shares: with limits that were fitted to other patients.",
    )
    columns: dict[str, dict[str, Any]] = {}
    for level in levels:
        measure, limits = level.measures.triage, level.fitted.triage
        if measure is not None:
            columns[level.cases.level] = {
                "low: score below": None if limits is None else limits.low,
                "high: score from": None if limits is None else limits.high,
                "smallest miss rate of these patients": measure.smallest_miss_rate,
                "miss rate at one site": measure.miss_rate_of_site,
                "smallest false alarm rate": measure.smallest_false_alarm_rate,
                "false alarm rate at one site": measure.false_alarm_rate_of_site,
                "malignant: low / unsure / high": _shares(measure.malignant),
                "benign: low / unsure / high": _shares(measure.benign),
            }
    if not columns:
        page.text("There are cases of one class only.")
        return
    _by_level(page, columns)
    patients = levels[-1]
    limits = patients.fitted.triage
    if limits is None:
        page.warning(patients.fitted.triage_fault)
    scores, labels = patients.cases.scores, patients.cases.labels
    page.figure(
        triage_plot(
            {"benign": scores[labels == 0].tolist(), "malignant": scores[labels == 1].tolist()},
            None if limits is None else (limits.low, limits.high),
            title="Scores per patient and exam",
        ),
        "Dashed: the limits between low, unsure and high"
        if limits is not None
        else "No limits: the patients are too few for the rates",
    )


def _by_level(page: Page, columns: Mapping[str, Mapping[str, Any]]) -> None:
    """Add a table with a column for each level."""
    names = next(iter(columns.values()))
    rows = tuple((name, *(values.get(name) for values in columns.values())) for name in names)
    page.table(Table(("", *(f"per {level}" for level in columns)), rows))


def _shares(shares: dict[Any, float]) -> str:
    return " / ".join(f"{value:.2f}" for value in shares.values()) or "–"


def _power(page: Page, measures: LevelMeasures) -> None:
    power = measures.power
    page.section("Power")
    if power is None:
        page.text("There are too few patients for a statement.")
        return
    malignant, benign = measures.malignant_patients, measures.benign_patients
    for drop, probability in power.detected:
        page.text(
            f"With {malignant} malignant and {benign} benign patients, a drop of {drop:g} below "
            f"an AUC of {power.reference:.3f} is seen with a probability of {probability:.0%}."
        )
    if power.smallest is not None:
        page.text(f"The smallest drop that is seen with 80 %: {power.smallest:.3f}.")
    drops = np.linspace(0, power.reference - 0.5, 60).tolist()
    probabilities = [drop_power(power.reference, drop, malignant, benign) for drop in drops]
    page.figure(power_plot(drops, probabilities), "One-sided test at 5 %", wide=False)
