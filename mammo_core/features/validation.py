"""Data validation: does a new frame look like the one that the champion learned from?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from mammo_core.features.config import ValidationConfig
from mammo_core.features.frame import Frame

Level = Literal["passed", "note", "failed"]
#: Statistics of the images whose distributions are compared, in gray levels [0, 65535].
INTENSITIES = ("intensity_mean", "intensity_standard_deviation")
_NAMED = 5


@dataclass(frozen=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: schema, manufacturer, bit_depth, intensity or champion.
        level: `passed`, `note` (told, not judged) or `failed`.
        text: What was found, in a sentence.
        value: What was measured; None where nothing was.
        limit: What the recipe allows; None where it says nothing.
    """

    check: str
    level: Level
    text: str
    value: float | None = None
    limit: float | None = None


@dataclass(frozen=True)
class ValidationResult:
    """What a validation found.

    Attributes:
        passed: Whether no check failed.
        findings: Every check, failed ones first.
        frame_id: The new frame.
        champion_frame_id: The champion's; empty when there is none to compare with.
        counts: images, new_images, champion_images.
    """

    passed: bool
    findings: tuple[Finding, ...]
    frame_id: str
    champion_frame_id: str
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def failures(self) -> list[str]:
        """The sentences of what failed."""
        return [finding.text for finding in self.findings if finding.level == "failed"]


def validate(
    frame: Frame,
    champion: Frame | None,
    config: ValidationConfig | None = None,
    *,
    why_none: str = "There is no champion yet: nothing to compare with.",
    converted_alike: bool = True,
) -> ValidationResult:
    """Compare a new frame with the champion's: schema, manufacturer, bit depth, intensities.

    The frame is judged as a whole, and so are its images that the champion's frame does not
    have, where there are enough of them: a few strangers among many known ones must show.

    Args:
        frame: The new frame.
        champion: The frame that the champion was trained on; None when there is none.
        config: The limits; default the recipe's defaults.
        why_none: What is told when there is no champion's frame.
        converted_alike: Whether the records of both were made in the same way: the gray levels
            of differently converted images say nothing of the images.
    """
    config = config or ValidationConfig()
    if champion is None:
        note = Finding("champion", "note", why_none)
        return ValidationResult(True, (note,), frame.id, "", {"images": len(frame.images)})
    known = set(champion.images["image_id"])
    new = frame.images[~frame.images["image_id"].isin(known)]
    findings = _schema(frame, champion)
    if not converted_alike:
        text = "The recipe converts images in another way than the champion's: gray levels "
        findings.append(Finding("intensity", "note", text + "are not compared."))
    groups = [("images", frame.images)]
    if 0 < len(new) < len(frame.images):
        if len(new) >= config.min_images:
            groups.append(("new images", new))
        else:
            findings.append(
                Finding(
                    "champion",
                    "note",
                    f"Only {len(new)} images are new: not judged on their own.",
                    len(new),
                    config.min_images,
                )
            )
    for name, images in groups:
        for check, column, limit in (
            ("manufacturer", "manufacturer", config.max_unseen_manufacturer),
            ("bit_depth", "bits_stored", config.max_unseen_bit_depth),
        ):
            findings += _unseen(check, column, name, images, champion.images, limit)
        for column in INTENSITIES if converted_alike else ():
            findings += _drift(column, name, images, champion.images, config)
    findings.sort(key=lambda finding: ("failed", "note", "passed").index(finding.level))
    return ValidationResult(
        passed=all(finding.level != "failed" for finding in findings),
        findings=tuple(findings),
        frame_id=frame.id,
        champion_frame_id=champion.id,
        counts={
            "images": len(frame.images),
            "new_images": len(new),
            "champion_images": len(champion.images),
        },
    )


def _schema(frame: Frame, champion: Frame) -> list[Finding]:
    findings = []
    for name in ("images", "lesions"):
        ours, theirs = getattr(frame, name), getattr(champion, name)
        missing = [str(column) for column in theirs.columns if column not in ours.columns]
        if missing:
            text = f"The {name} lack columns that the champion's had: {', '.join(missing)}."
            findings.append(Finding("schema", "failed", text, len(missing), 0))
        added = [str(column) for column in ours.columns if column not in theirs.columns]
        if added:
            text = f"The {name} have columns that the champion's had not: {', '.join(added)}."
            findings.append(Finding("schema", "note", text))
        if len(ours) and len(theirs):
            changed = [
                f"{column} ({theirs[column].dtype} → {ours[column].dtype})"
                for column in theirs.columns
                if column in ours.columns and ours[column].dtype != theirs[column].dtype
            ]
            if changed:
                text = f"Columns of the {name} have other types: {', '.join(changed)}."
                findings.append(Finding("schema", "failed", text, len(changed), 0))
    if frame.intensity != champion.intensity:
        text = "The recipe turns gray levels into numbers in another way than the champion's."
        findings.append(Finding("schema", "note", text))
    if not any(finding.level == "failed" for finding in findings):
        findings.append(Finding("schema", "passed", "Columns and types are the champion's."))
    return findings


def _unseen(
    check: str,
    column: str,
    group: str,
    images: pd.DataFrame,
    known: pd.DataFrame,
    limit: float,
) -> list[Finding]:
    what = check.replace("_", " ")
    if column not in images or column not in known:
        return [_untold(check, what, column in images)]
    values = set(known[column])
    strange = images[~images[column].isin(values)]
    share = len(strange) / max(len(images), 1)
    if not len(strange):
        text = f"Every {what} of the {group} was seen by the champion."
        return [Finding(check, "passed", text, 0.0, limit)]
    named = _listed(strange[column].value_counts().to_dict())
    text = (
        f"{len(strange)} of {len(images)} {group} ({share:.1%}) have a {what} that the champion "
        f"never saw: {named}. It knows {_listed(known[column].value_counts().to_dict())}."
    )
    return [Finding(check, "failed" if share > limit else "passed", text, share, limit)]


def _drift(
    column: str,
    group: str,
    images: pd.DataFrame,
    known: pd.DataFrame,
    config: ValidationConfig,
) -> list[Finding]:
    from scipy.stats import ks_2samp

    what = column.removeprefix("intensity_").replace("_", " ")
    if column not in images or column not in known:
        return [_untold("intensity", what, column in images)]
    test: Any = ks_2samp(images[column], known[column], method="asymp")
    distance, chance = float(test.statistic), float(test.pvalue)
    medians = float(images[column].median()), float(known[column].median())
    text = (
        f"The {what} of the gray levels of the {group} has the median {medians[0]:,.0f}, the "
        f"champion's {medians[1]:,.0f}; Kolmogorov-Smirnov distance {distance:.3f} "
        f"(by chance in {chance:.2g} of cases)."
    )
    failed = distance > config.max_drift and chance < config.significance
    return [
        Finding("intensity", "failed" if failed else "passed", text, distance, config.max_drift)
    ]


def _untold(check: str, what: str, ours: bool) -> Finding:
    whose = "champion's" if ours else "new"
    return Finding(check, "note", f"The {whose} frame does not tell the {what}: not compared.")


def _listed(counts: dict[Any, int]) -> str:
    named: Sequence[str] = [f"{value} ({count})" for value, count in counts.items()]
    return ", ".join(named[:_NAMED]) + (" …" if len(named) > _NAMED else "")
