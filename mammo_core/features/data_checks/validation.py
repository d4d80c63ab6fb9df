"""Data validation: compare a new frame with the frame that the champion was trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from mammo_core.features.config import ValidationConfig
from mammo_core.features.frame import Frame

Level = Literal["passed", "note", "failed"]
#: Columns whose distributions are compared, in gray levels [0, 65535].
INTENSITIES = ("intensity_mean", "intensity_standard_deviation")
_LISTED = 5


@dataclass(frozen=True)
class DataIssue:
    """The outcome of one check.

    Attributes:
        check: schema, manufacturer, bit_depth, intensity or champion.
        level: `passed`, `note` (reported, not judged) or `failed`.
        text: The outcome, in a sentence.
        value: The measured value, if any.
        limit: The recipe's limit, if any.
    """

    check: str
    level: Level
    text: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class ValidationResult:
    """The outcome of a validation.

    Attributes:
        passed: Whether no check failed.
        issues: The outcome of every check, failed ones first.
        frame_id: The new frame.
        champion_frame_id: The champion's frame; empty if there is none to compare with.
        counts: images, new_images, champion_images.
    """

    passed: bool
    issues: tuple[DataIssue, ...]
    frame_id: str
    champion_frame_id: str
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """The texts of the checks that failed."""
        return [issue.text for issue in self.issues if issue.level == "failed"]


def validate(
    frame: Frame,
    champion: Frame | None,
    config: ValidationConfig | None = None,
    *,
    no_champion_reason: str = "There is no champion yet: nothing to compare with.",
    same_conversion: bool = True,
) -> ValidationResult:
    """Compare a new frame with the champion's: schema, manufacturer, bit depth, intensities.

    The whole frame is judged, and so are the images that are not in the champion's frame, if
    there are enough of them: few unusual images among many old ones must not be missed.

    Args:
        frame: The new frame.
        champion: The frame that the champion was trained on; None if there is none.
        config: The limits; default the recipe's defaults.
        no_champion_reason: The note of a validation without the champion's frame.
        same_conversion: Whether the records of both frames were converted with the same options;
            otherwise gray levels are not compared.
    """
    config = config or ValidationConfig()
    if champion is None:
        note = DataIssue("champion", "note", no_champion_reason)
        return ValidationResult(True, (note,), frame.id, "", {"images": len(frame.images)})
    new = frame.images[~frame.images["image_id"].isin(set(champion.images["image_id"]))]
    issues = _schema_issues(frame, champion)
    if not same_conversion:
        text = (
            "The recipe converts images with other options than the champion's: gray levels are "
            "not compared."
        )
        issues.append(DataIssue("intensity", "note", text))
    groups = [("images", frame.images)]
    if 0 < len(new) < len(frame.images):
        if len(new) >= config.min_images:
            groups.append(("new images", new))
        else:
            issues.append(
                DataIssue(
                    "champion",
                    "note",
                    f"Only {len(new)} images are new: they are not judged separately.",
                    len(new),
                    config.min_images,
                )
            )
    for name, images in groups:
        for check, column, limit in (
            ("manufacturer", "manufacturer", config.max_unseen_manufacturer),
            ("bit_depth", "bits_stored", config.max_unseen_bit_depth),
        ):
            issues += _unseen_value_issues(check, column, name, images, champion.images, limit)
        for column in INTENSITIES if same_conversion else ():
            issues += _drift_issues(column, name, images, champion.images, config)
    issues.sort(key=lambda issue: ("failed", "note", "passed").index(issue.level))
    return ValidationResult(
        passed=all(issue.level != "failed" for issue in issues),
        issues=tuple(issues),
        frame_id=frame.id,
        champion_frame_id=champion.id,
        counts={
            "images": len(frame.images),
            "new_images": len(new),
            "champion_images": len(champion.images),
        },
    )


def _schema_issues(frame: Frame, champion: Frame) -> list[DataIssue]:
    issues = []
    for name in ("images", "lesions"):
        ours, theirs = getattr(frame, name), getattr(champion, name)
        missing = [str(column) for column in theirs.columns if column not in ours.columns]
        if missing:
            text = f"The {name} lack columns of the champion's: {', '.join(missing)}."
            issues.append(DataIssue("schema", "failed", text, len(missing), 0))
        added = [str(column) for column in ours.columns if column not in theirs.columns]
        if added:
            text = f"The {name} have columns that the champion's do not have: {', '.join(added)}."
            issues.append(DataIssue("schema", "note", text))
        if len(ours) and len(theirs):
            changed = [
                f"{column} ({theirs[column].dtype} → {ours[column].dtype})"
                for column in theirs.columns
                if column in ours.columns and ours[column].dtype != theirs[column].dtype
            ]
            if changed:
                text = f"Columns of the {name} have other types: {', '.join(changed)}."
                issues.append(DataIssue("schema", "failed", text, len(changed), 0))
    if frame.intensity != champion.intensity:
        text = "The recipe's `intensity` differs from the champion's."
        issues.append(DataIssue("schema", "note", text))
    if not any(issue.level == "failed" for issue in issues):
        issues.append(
            DataIssue("schema", "passed", "Columns and types are the same as the champion's.")
        )
    return issues


def _unseen_value_issues(
    check: str,
    column: str,
    group: str,
    images: pd.DataFrame,
    champion: pd.DataFrame,
    limit: float,
) -> list[DataIssue]:
    what = check.replace("_", " ")
    if column not in images or column not in champion:
        return [_not_compared_note(check, what, column in images)]
    new = images[~images[column].isin(set(champion[column]))]
    fraction = len(new) / max(len(images), 1)
    if not len(new):
        text = f"Every {what} of the {group} is among those of the champion's images."
        return [DataIssue(check, "passed", text, 0.0, limit)]
    new_values = _format_counts(new[column].value_counts().to_dict())
    old_values = _format_counts(champion[column].value_counts().to_dict())
    text = (
        f"{len(new)} of {len(images)} {group} ({fraction:.1%}) have a {what} that the champion "
        f"never saw: {new_values}. It was trained on {old_values}."
    )
    level: Level = "failed" if fraction > limit else "passed"
    return [DataIssue(check, level, text, fraction, limit)]


def _drift_issues(
    column: str,
    group: str,
    images: pd.DataFrame,
    champion: pd.DataFrame,
    config: ValidationConfig,
) -> list[DataIssue]:
    from scipy.stats import ks_2samp

    what = column.removeprefix("intensity_").replace("_", " ")
    if column not in images or column not in champion:
        return [_not_compared_note("intensity", what, column in images)]
    test: Any = ks_2samp(images[column], champion[column], method="asymp")
    distance, p_value = float(test.statistic), float(test.pvalue)
    medians = float(images[column].median()), float(champion[column].median())
    text = (
        f"The {what} of the gray levels of the {group} has a median of {medians[0]:,.0f}, the "
        f"champion's of {medians[1]:,.0f}; Kolmogorov-Smirnov distance {distance:.3f} "
        f"(p = {p_value:.2g})."
    )
    failed = distance > config.max_drift and p_value < config.significance
    return [
        DataIssue("intensity", "failed" if failed else "passed", text, distance, config.max_drift)
    ]


def _not_compared_note(check: str, what: str, ours: bool) -> DataIssue:
    whose = "champion's" if ours else "new"
    return DataIssue(check, "note", f"The {whose} frame has no {what}: not compared.")


def _format_counts(counts: dict[Any, int]) -> str:
    texts: Sequence[str] = [f"{value} ({count})" for value, count in counts.items()]
    return ", ".join(texts[:_LISTED]) + (" …" if len(texts) > _LISTED else "")
