"""Subgroups of the test set: which images or patients the classifier serves less well."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecordError
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.evaluation.group_differences import GroupDifference, compare_groups
from mammo_core.evaluation.predictions import class_patients, small_set_warning, widen_extreme
from mammo_core.metrics import Interval, auc_interval, counts_at
from mammo_core.sources.several.names import NAME_COLUMN

if TYPE_CHECKING:
    import pandas as pd

#: BI-RADS breast composition, numbered as in the case tables.
_DENSITIES = {
    1: "1 (fatty)",
    2: "2 (scattered)",
    3: "3 (heterogeneous)",
    4: "4 (extremely dense)",
}
#: Columns of the test set whose groups are evaluated where it has several.
STATED = (
    NAME_COLUMN,
    *("label_origin", "site", "machine", "race", "ethnicity", "age_band"),
    *("manufacturer", "image_type", "implant", "lesion_size"),
)


class Subgroup(BaseModel):
    """The performance on one group of images.

    Attributes:
        by: Grouping: lesion type, view, breast density, source (the adapter), source name (of
            several sources), label origin, site, machine, race,
            ethnicity, manufacturer, image type, implant or split.
        group: Name of the group.
        n_images: Number of images.
        n_malignant: Number of malignant images.
        n_patients: Number of patients.
        auc: AUC per image, with its interval; None with one class or too few patients.
        sensitivity: At the first operating point; None without one or without malignant
            images.
        specificity: At the first operating point; None without one or without benign images.
        warning: A warning if the group is small or not comparable.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: str
    group: str
    n_images: int
    n_malignant: int
    n_patients: int
    auc: Interval | None
    sensitivity: float | None
    specificity: float | None
    warning: str


def subgroups(
    test: "pd.DataFrame",
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
    *,
    leaking: Collection[str] = (),
    leaked: "pd.DataFrame | None" = None,
) -> tuple[Subgroup, ...]:
    """Evaluate the groups of the test set.

    Images are always grouped by view; also by lesion_types (`calc`, `mass`, `calc+mass`; an
    image with both is in both groups), breast_density and source if the table has them; and by
    the origin of their label, site, machine, race and ethnicity if it has several of them.

    Args:
        test: Valid predictions, one row per image.
        rules: Fitted on validation.
        config: How to evaluate.
        seed: Seed of the bootstrap.
        leaking: Patients that the official split has in both training and test. If there are
            any, two variants of the split are evaluated: official, and without leak.
        leaked: Valid predictions of those of their official test images that are not in
            `test`.

    Raises:
        ModelError: A probability is not in [0, 1].
    """
    rows = [
        _group(by, group, rows, rules, config, seed)
        for by, group, rows in _groups(test)
        if len(rows)
    ]
    if leaking:
        rows += _variants(test, rules, config, seed, set(leaking), leaked)
    return tuple(rows)


def group_differences(
    test: "pd.DataFrame", config: EvaluationConfig, seed: int
) -> tuple[GroupDifference, ...]:
    """Compare the groups of each grouping of the test set that has several.

    Args:
        test: Valid predictions, one row per image.
        config: How to evaluate.
        seed: Seed of the bootstrap.
    """
    groupings: dict[str, dict[str, pd.DataFrame]] = {}
    for by, group, rows in _groups(test):
        groupings.setdefault(by, {})[group] = rows
    return tuple(
        compare_groups(
            by,
            groups,
            least_patients=config.small_group,
            replicates=config.bootstrap_replicates,
            seed=seed,
        )
        for by, groups in groupings.items()
        if len(groups) > 1
    )


def _groups(test: "pd.DataFrame") -> "Iterator[tuple[str, str, pd.DataFrame]]":
    if "lesion_types" in test.columns:
        types = test["lesion_types"].fillna("").astype(str).str.split("+")
        for name in sorted({name for names in types for name in names}):
            inside = types.map(lambda names, name=name: name in names)
            yield "lesion type", name or "none annotated", test[inside]
    for name, rows in test.groupby("view", sort=True):
        yield "view", str(name), rows
    if "breast_density" in test.columns:
        density = test["breast_density"].fillna(0).astype(int)
        for number, rows in test.groupby(density, sort=True):
            yield "breast density", _DENSITIES.get(int(str(number)), "unknown"), rows
    if "source" in test.columns:
        for name, rows in test.groupby("source", sort=True):
            yield "source", str(name), rows
    for column in STATED:
        if column in test.columns and test[column].map(_name_of).nunique() > 1:
            names = test[column].map(_name_of)
            for name, rows in test.groupby(names, sort=True):
                yield column.replace("_", " "), str(name), rows


def _name_of(value: object) -> str:
    """The name of a group: yes and no for what is true or false, unknown for what is not stated."""
    if value is True or value is False:
        return "yes" if value else "no"
    return "unknown" if value is None or value != value or value == "" else str(value)


def _variants(
    test: "pd.DataFrame",
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
    leaking: set[str],
    leaked: "pd.DataFrame | None",
) -> list[Subgroup]:
    import pandas as pd

    official = test if leaked is None or leaked.empty else pd.concat([test, leaked])
    clean = test[~test["patient_key"].isin(leaking)]
    group = _group("split", "official", official, rules, config, seed)
    leak = f"patients who are in the official training set too: {len(leaking)}"
    warning = "; ".join(filter(None, (leak, group.warning)))
    return [
        group.model_copy(update={"warning": warning}),
        _group("split", "official without leak", clean, rules, config, seed),
    ]


def _group(
    by: str,
    group: str,
    rows: "pd.DataFrame",
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> Subgroup:
    rows = rows.sort_values("image_id")
    labels, scores = rows["label"].to_numpy(), rows["probability"].to_numpy()
    interval: Interval | None = None
    if 0 < labels.sum() < len(labels):
        try:
            interval = widen_extreme(
                auc_interval(
                    labels,
                    scores,
                    rows["patient_key"].to_numpy(),
                    config.bootstrap_replicates,
                    seed,
                ),
                min(class_patients(rows)),
            )
        except RecordError:
            interval = None  # too few patients: the warning gives their number
    point = rules.image.point()
    counts = None if point is None else counts_at(labels, scores, point.threshold)
    malignant = int(labels.sum())
    return Subgroup(
        by=by,
        group=group,
        n_images=len(rows),
        n_malignant=malignant,
        n_patients=int(rows["patient_key"].nunique()),
        auc=interval,
        sensitivity=counts.sensitivity if counts and malignant else None,
        specificity=counts.specificity if counts and malignant < len(rows) else None,
        warning=small_set_warning(rows, config.small_group),
    )
