"""From scored cases to the rules of a site and their checks: no image is needed."""

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from mammo_core.acceptance.cases import CaseCounts
from mammo_core.acceptance.checks import Check, check_all
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.levels import (
    CrossFitted,
    FittedLevel,
    LevelCases,
    cases_at,
    cross_fit,
    fit_level,
    levels_of,
)
from mammo_core.acceptance.measures import LevelMeasures, measure_level
from mammo_core.evaluation.aggregate import LEVELS, Level, Unit
from mammo_core.evaluation.decisions import DecisionRules, LevelRules
from mammo_core.metrics.calibration import Calibration
from mammo_core.metrics.recalibration import at_prevalence
from mammo_core.scoring.site_rules import SiteRules

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AcceptedModel:
    """The model that a site looks at.

    Attributes:
        name: Its name.
        version: Its version; None for a package that was never pushed.
        model_id: Its model id.
        unit: What it takes at once.
        rules: The package's own rules, for the flips that it was evaluated with.
        aucs: Level → AUC on the package's own test set, where it is known.
    """

    name: str
    version: int | None
    model_id: str
    unit: Unit
    rules: DecisionRules
    aucs: dict[Level, float]


@dataclass(frozen=True)
class AssessedLevel:
    """A level with everything that the page shows of it.

    Attributes:
        cases: The cases.
        package: The package's own calibration.
        fitted: The rules that were fitted to them.
        crossed: What rules do that were fitted to other patients; None: too few patients.
        measures: The figures.
    """

    cases: LevelCases
    package: Calibration
    fitted: FittedLevel
    crossed: CrossFitted | None
    measures: LevelMeasures


@dataclass(frozen=True)
class Assessment:
    """The result of an acceptance.

    Attributes:
        rules: The rules of the site.
        levels: The levels, that of patients last.
        checks: The checks.
    """

    rules: SiteRules
    levels: tuple[AssessedLevel, ...]
    checks: tuple[Check, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether every check is passed."""
        return all(check.passed for check in self.checks)


def assess(
    images: "pd.DataFrame",
    counts: CaseCounts,
    model: AcceptedModel,
    site: str,
    on: date,
    config: AcceptanceConfig,
) -> Assessment:
    """Fit the rules of a site and check whether the model may be used there.

    Args:
        images: The scored images, with `cases.COLUMNS`.
        counts: What became of all cases.
        model: The model.
        site: Name of the site.
        on: The day.
        config: What the site requires.
    """
    levels = tuple(
        assess_level(cases_at(images, level, model.rules.aggregation), model, config)
        for level in levels_of(model.unit)
    )
    fitted = {each.cases.level: each.fitted for each in levels}
    rules: dict[str, LevelRules] = {
        level: _in_use(fitted[level].rules, config) if level in fitted else LevelRules()
        for level in LEVELS
    }
    site_rules = SiteRules(
        site=site,
        accepted_on=on,
        model_name=model.name,
        model_version=model.version,
        model_id=model.model_id,
        rules=model.rules.model_copy(update={**rules, "other_flips": None}),
        triage={level: each.triage for level, each in fitted.items() if each.triage is not None},
    )
    patients = levels[-1]
    checks = check_all(counts, patients.measures, patients.fitted, config)
    return Assessment(site_rules, levels, checks)


def assess_level(
    cases: LevelCases, model: AcceptedModel, config: AcceptanceConfig
) -> AssessedLevel:
    """Fit the rules of a level to its cases, and measure them.

    Args:
        cases: The cases.
        model: The model.
        config: What the site requires.
    """
    package = model.rules.at(cases.level).calibration
    fitted = fit_level(cases, package, config)
    crossed = cross_fit(cases, package, config) if cases.has_both_classes else None
    auc = model.aucs.get(cases.level)
    measures = measure_level(cases, fitted, crossed, package, auc, config)
    return AssessedLevel(cases, package, fitted, crossed, measures)


def _in_use(rules: LevelRules, config: AcceptanceConfig) -> LevelRules:
    """The rules with the calibration for the prevalence in use."""
    total = rules.n_malignant + rules.n_benign
    if config.prevalence is None or not rules.n_malignant or not rules.n_benign:
        return rules
    calibration = at_prevalence(rules.calibration, rules.n_malignant / total, config.prevalence)
    return rules.model_copy(update={"calibration": calibration})
