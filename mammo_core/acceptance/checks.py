"""The checks of an acceptance: each is passed, or says what is wrong and what to do."""

from pydantic import BaseModel, ConfigDict

from mammo_core.acceptance.cases import CaseCounts
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.acceptance.levels import FittedLevel
from mammo_core.acceptance.measures import LevelMeasures

#: |z| of the calibration from which it does not hold: chance gives more in 1 % of sites.
_LARGEST_Z = 2.5758293035489004


class Check(BaseModel):
    """A check of an acceptance.

    Attributes:
        name: What is checked.
        passed: Whether the model may be used, as far as this is concerned.
        expected: What is required.
        received: What the cases show.
        hint: What to do if it is not passed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    passed: bool
    expected: str
    received: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.name}: expected {self.expected}; received {self.received}"
        return f"{text}. {self.hint}" if self.hint and not self.passed else text


def check_all(
    counts: CaseCounts,
    measures: LevelMeasures,
    fitted: FittedLevel,
    config: AcceptanceConfig,
) -> tuple[Check, ...]:
    """Return the checks of an acceptance, those of rules at the level of patients.

    Args:
        counts: What became of the cases.
        measures: What the rules do per patient.
        fitted: The rules per patient.
        config: What the site requires.
    """
    return (
        _faults(counts, config),
        _gray_levels(counts, config),
        _discrimination(measures, config),
        _calibration(measures, fitted, config),
        _rates(measures, fitted, config),
    )


def _faults(counts: CaseCounts, config: AcceptanceConfig) -> Check:
    total = counts.faults + counts.images
    return Check(
        name="files",
        passed=counts.faults <= config.max_faults * total,
        expected=f"at most {config.max_faults:.0%} of the files and rows with a fault",
        received=f"{counts.faults} of {total}",
        hint="`mammo sources check` names each of them.",
    )


def _gray_levels(counts: CaseCounts, config: AcceptanceConfig) -> Check:
    kinds = ", ".join(f"{code}: {count}" for code, count in counts.unlike.items())
    return Check(
        name="gray levels",
        passed=counts.unlike_images <= config.max_unlike * counts.images,
        expected=f"at most {config.max_unlike:.0%} of the images unlike the training images",
        received=f"{counts.unlike_images} of {counts.images} images"
        + (f" ({kinds})" if kinds else ""),
        hint="The systems or their export differ from those of the training data: compare the "
        "images, or train on images of this site.",
    )


def least_auc(measures: LevelMeasures, config: AcceptanceConfig) -> float:
    """Return what the lower end of the AUC's interval must reach.

    Args:
        measures: What the rules do per patient.
        config: What the site requires.
    """
    if config.min_auc is not None:
        return config.min_auc
    return max(0.5, (measures.package_auc or 0.5) - config.margin)


def _discrimination(measures: LevelMeasures, config: AcceptanceConfig) -> Check:
    least, interval = least_auc(measures, config), measures.auc
    hint = "The model ranks these cases worse than it must: do not use it here."
    if interval is not None and interval.high < 0.5:
        hint = "Benign patients have the higher scores: were the labels swapped?"
    elif interval is None or (interval.value >= least and measures.power is not None):
        hint = "The cases are too few to show it: bring more patients of the rarer class."
    patients = f"{measures.malignant_patients} malignant and {measures.benign_patients} benign"
    return Check(
        name="discrimination",
        passed=interval is not None and interval.low >= least and interval.low > 0.5,
        expected=f"an AUC per patient of at least {least:.3f} at the lower end of its interval",
        received=(
            f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"
            if interval is not None
            else "no interval"
        )
        + f", {patients} patients",
        hint=hint,
    )


def _calibration(measures: LevelMeasures, fitted: FittedLevel, config: AcceptanceConfig) -> Check:
    measure = measures.calibration
    whose = "site's" if config.calibration == "site" else "package's"
    received = fitted.calibration_fault or "too few patients to tell"
    if measure is not None and not fitted.calibration_fault:
        received = f"{measure.site:.1%} expected, {measure.observed:.1%} seen (z {measure.z:.1f})"
    return Check(
        name="calibration",
        passed=measure is not None
        and not fitted.calibration_fault
        and abs(measure.z) <= _LARGEST_Z,
        expected=f"as many patients with cancer as the {whose} calibration expects (|z| at most "
        f"{_LARGEST_Z:.2f})",
        received=received,
        hint="Cancer is more or less frequent among these cases than where the model was "
        "calibrated: accept it with the calibration of the site."
        if config.calibration == "package"
        else "Compare the labels with the images.",
    )


def _rates(measures: LevelMeasures, fitted: FittedLevel, config: AcceptanceConfig) -> Check:
    triage = measures.triage
    received = fitted.triage_fault
    if triage is not None:
        received = (
            f"{measures.malignant_patients} malignant patients, who can guarantee "
            f"{triage.smallest_miss_rate:.4f}, and {measures.benign_patients} benign ones, "
            f"who can guarantee {triage.smallest_false_alarm_rate:.4f}"
        )
    return Check(
        name="guaranteed rates",
        passed=fitted.triage is not None,
        expected=f"enough patients to guarantee a miss rate of {config.miss_rate:g} and a false "
        f"alarm rate of {config.false_alarm_rate:g}",
        received=received,
        hint=fitted.triage_hint,
    )
