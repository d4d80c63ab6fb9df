"""The schema of a change-control plan, a file that the gate executes.

It states before any change is made which data, settings and metrics may change, by how much, and
how the model is watched afterwards: the parts of a predetermined change control plan (FDA,
Marketing Submission Recommendations for a Predetermined Change Control Plan, December 2024).
What a plan does not allow is forbidden.
"""

import hashlib
import json
from operator import not_
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core.packaging.settings import Value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataRules(_Part):
    """Which changes of the data are allowed.

    Attributes:
        new_patients: Whether patients may be in training or validation whom the champion was not
            fitted to.
        removed_share: Largest share of the champion's training and validation patients who may be
            missing. Patients who were forgotten (`mammo store forget`) do not count.
        changed_labels_share: Largest share of the images that both were fitted to whose label may
            differ.
        malignant_share: By how much the share of malignant training images may differ.
        manufacturers: Manufacturers that training may have besides the champion's; null: any.
        new_terms: Whether data under terms that the champion's data did not have may be added.
        test_patients: Whether the test patients must be the same, or others may come, or all may
            differ.
        least_patients: Split → least number of patients.
    """

    new_patients: bool = False
    removed_share: float = Field(default=0.0, ge=0, le=1)
    changed_labels_share: float = Field(default=0.0, ge=0, le=1)
    malignant_share: float = Field(default=1.0, ge=0, le=1)
    manufacturers: tuple[str, ...] | None = ()
    new_terms: bool = False
    test_patients: Literal["same", "may grow", "any"] = "same"
    least_patients: dict[Literal["train", "validation", "test"], int] = {}


class SettingRule(_Part):
    """Within which limits a setting may change.

    Attributes:
        least: Smallest number; null: no limit.
        most: Largest number; null: no limit.
        values: The values that it may have; empty: any within the limits.
    """

    least: float | None = None
    most: float | None = None
    values: tuple[Value, ...] = ()

    def fault(self, value: Value) -> str:
        """Return why a value is not allowed; empty if it is."""
        if self.values and value not in self.values:
            return f"one of {', '.join(map(str, self.values))}"
        if self.least is None and self.most is None:
            return ""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "a number"
        if self.least is not None and value < self.least:
            return f"at least {self.least:g}"
        if self.most is not None and value > self.most:
            return f"at most {self.most:g}"
        return ""


class SettingRules(_Part):
    """Which settings may change. A key covers all keys below it; `*` stands for any one part.

    Besides the keys of a recipe there are `gate.…`, `software.code` (the commit) and
    `software.<package>`.

    Attributes:
        may_change: Keys that may have any value.
        limits: Key → the limits within which it may change.
    """

    may_change: tuple[str, ...] = ()
    limits: dict[str, SettingRule] = {}


class MetricRule(_Part):
    """How a metric may change, on the test images that both models scored.

    Attributes:
        metric: Name of a registered metric.
        floor: The worst allowed value; null: none.
        margin: How much worse than the champion's it may be; null: any.
    """

    metric: str = "auc"
    floor: float | None = None
    margin: float | None = Field(default=None, ge=0)


class SubgroupRule(_Part):
    """How the AUC of subgroups may change, on the test images that both models scored.

    Attributes:
        by: Column of the test images: `view`, `manufacturer`, `breast_density`, …
        groups: The groups; empty: all.
        floor: The least AUC; null: none.
        margin: How much lower than the champion's the AUC may be; null: any.
        least_patients: Least number of malignant, and of benign, patients of a group.
        too_few: What a smaller group does: it is reported and passes, or stops the release.
    """

    by: str
    groups: tuple[str, ...] = ()
    floor: float | None = Field(default=None, ge=0, le=1)
    margin: float | None = Field(default=None, ge=0, le=1)
    least_patients: int = Field(default=10, ge=1)
    too_few: Literal["pass", "stop"] = "pass"


class Monitoring(_Part):
    """How a model that was released under the plan is watched; see docs/monitoring.md.

    Attributes:
        false_alarm_rate: Share of quiet years with an alarm that is accepted.
        on_alarm: What an alarm may start without a person: nothing but a notice, or a run of the
            pipeline `retrain`.
        watched: What is watched.
    """

    false_alarm_rate: float = Field(default=0.05, gt=0, lt=1)
    on_alarm: Literal["notify", "retrain"] = "notify"
    watched: tuple[Literal["inputs", "scores", "auc", "calibration"], ...] = ("inputs", "scores")


class ChangePlan(_Part):
    """A change-control plan.

    Attributes:
        name: Name of the plan, shown in messages and in the history of a model.
        model: Name of the model.
        replaces: SHA-256 (hex) of the plan before it. A champion that was released under another
            plan than these two is not followed by a model under this one.
        data: Which changes of the data are allowed.
        settings: Which settings may change.
        metrics: How metrics may change.
        subgroups: How the AUC of subgroups may change.
        judged_by: What must be within a margin: the difference itself, or the lower end of its
            95 % interval (patients resampled, paired).
        undocumented: What follows where the package of the champion does not say what it was made
            from: nothing is released, or all changes of data and settings are accepted once.
        monitoring: How a released model is watched.
    """

    name: str = Field(min_length=1, max_length=100)
    model: str
    replaces: str = Field(default="", pattern=r"^([0-9a-f]{64})?$", exclude_if=not_)
    data: DataRules = DataRules()
    settings: SettingRules = SettingRules()
    metrics: tuple[MetricRule, ...] = ()
    subgroups: tuple[SubgroupRule, ...] = ()
    judged_by: Literal["point", "interval"] = "interval"
    undocumented: Literal["stop", "accept"] = "stop"
    monitoring: Monitoring = Monitoring()

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the plan with all its defaults, independent of how it is written."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def allows_retraining(self) -> bool:
        """Whether an alarm may start a run of the pipeline `retrain`."""
        return self.monitoring.on_alarm == "retrain"

    @model_validator(mode="after")
    def _require_effect(self) -> Self:
        limits = [(rule.metric, rule.floor, rule.margin) for rule in self.metrics]
        limits += [(rule.by, rule.floor, rule.margin) for rule in self.subgroups]
        for name, floor, margin in limits:
            if floor is None and margin is None:
                raise ValueError(f"the rule of {name} has neither a floor nor a margin")
        return self
