"""Changes of the data: who a challenger was fitted to and tested on, compared with the champion."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo_core.features.data_checks.contamination import (
    FITTED_SPLITS,
    patients_seen,
    with_namespace,
)
from mammo_core.packaging.contents import TrainingData
from mammo_core.packaging.patient_list import PatientList
from mammo_core.registry.change_plan.changes import Change
from mammo_core.registry.change_plan.plan import DataRules

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ModelData:
    """What a model was fitted to and tested on.

    Attributes:
        training: Its training_data.json.
        images: The images of its frame: image_id, patient_key, source, manufacturer, label, split;
            None if the frame is in no store.
        listed: Its own list of patients, for a model whose frame is gone; None if it has none.
    """

    training: TrainingData
    images: "pd.DataFrame | None" = None
    listed: PatientList | None = None


@dataclass(frozen=True)
class _Moves:
    """How many patients came, left, and were there before."""

    new: int
    removed: int
    before: int


def data_changes(
    rules: DataRules, before: ModelData, after: ModelData, undocumented: bool
) -> Iterator[Change]:
    """Yield every change of the data, and every limit that is not met.

    Args:
        rules: The plan's rules about data.
        before: The champion's data.
        after: The challenger's; its frame is known.
        undocumented: Whether a champion whose patients are not known is accepted.
    """
    yield from _patients(rules, before, after, undocumented)
    yield from _labels(rules, before, after)
    yield from _described(rules, before.training, after.training)
    for split, least in sorted(rules.least_patients.items()):
        count = after.training.patients.get(split, 0)
        if count < least:
            was = str(before.training.patients.get(split, 0))
            yield _change(f"patients in {split}", was, str(count), False, f"at least {least}")


def _patients(
    rules: DataRules, before: ModelData, after: ModelData, undocumented: bool
) -> Iterator[Change]:
    if before.images is None and before.listed is None:
        rule = "nobody knows who the champion was fitted to (undocumented)"
        yield _change("patients", "unknown", "known", undocumented, rule)
        return
    fitted, tested = _moves(before, after, FITTED_SPLITS), _moves(before, after, ("test",))
    if fitted.new:
        rule = "new_patients is true" if rules.new_patients else "new_patients is false"
        name = "new patients in training or validation"
        yield _change(name, "0", str(fitted.new), rules.new_patients, rule)
    if fitted.removed:
        share = fitted.removed / fitted.before
        yield _change(
            "patients missing from training and validation",
            str(fitted.before),
            str(fitted.before - fitted.removed),
            share <= rules.removed_share,
            f"{share:.4f} of them, removed_share is {rules.removed_share:g}",
        )
    if tested.new or tested.removed:
        allowed = rules.test_patients == "any" or (
            rules.test_patients == "may grow" and not tested.removed
        )
        now = f"{tested.new} new, {tested.removed} missing"
        rule = f"test_patients is {rules.test_patients}"
        yield _change("test patients", str(tested.before), now, allowed, rule)


def _moves(before: ModelData, after: ModelData, splits: tuple[str, ...]) -> _Moves:
    ours = _rows(after.images, splits)
    ours_count = ours["patient_key"].nunique()
    if before.images is not None:
        theirs = _rows(before.images, splits)
        known, kept = patients_seen(ours, theirs), patients_seen(theirs, ours)
        count = theirs["patient_key"].nunique()
        return _Moves(ours_count - len(known), count - len(kept), count)
    listed = before.listed or PatientList(frame_id="", patients={}, images={})
    known = listed.patients_in(ours, splits)
    count = len({each for split in splits for each in listed.patients.get(split, ())})
    return _Moves(ours_count - len(known), max(count - len(known), 0), count)


def _rows(images: "pd.DataFrame | None", splits: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    table = pd.DataFrame(columns=["image_id", "patient_key", "split"]) if images is None else images
    return with_namespace(table[table["split"].isin(splits)])


def _labels(rules: DataRules, before: ModelData, after: ModelData) -> Iterator[Change]:
    if before.images is None or after.images is None:
        return
    columns = ["image_id", "label"]
    both = _rows(before.images, FITTED_SPLITS)[columns].merge(
        _rows(after.images, FITTED_SPLITS)[columns], on="image_id"
    )
    changed = int((both["label_x"] != both["label_y"]).sum())
    if changed:
        share = changed / len(both)
        yield _change(
            "labels of images in training and validation",
            f"{len(both)} images",
            f"{changed} with another label",
            share <= rules.changed_labels_share,
            f"{share:.4f} of them, changed_labels_share is {rules.changed_labels_share:g}",
        )


def _described(rules: DataRules, before: TrainingData, after: TrainingData) -> Iterator[Change]:
    first, second = _malignant_share(before), _malignant_share(after)
    if first is not None and second is not None and first != second:
        yield _change(
            "share of malignant training images",
            f"{first:.4f}",
            f"{second:.4f}",
            abs(second - first) <= rules.malignant_share,
            f"it may differ by {rules.malignant_share:g}",
        )
    for name in sorted(set(after.manufacturers) - set(before.manufacturers)):
        allowed = rules.manufacturers is None or name in rules.manufacturers
        rule = "manufacturers names it" if allowed else "manufacturers does not name it"
        if rules.manufacturers is None:
            rule = "any manufacturer"
        yield _change("manufacturers in training", "", name, allowed, rule)
    known = {terms.name for terms in before.terms}
    for terms in after.terms:
        if terms.name not in known:
            rule = f"new_terms is {str(rules.new_terms).lower()}"
            yield _change("terms of data", "", terms.name, rules.new_terms, rule)


def _malignant_share(data: TrainingData) -> float | None:
    images = data.images.get("train", 0)
    return data.malignant.get("train", 0) / images if images else None


def _change(name: str, before: str, after: str, allowed: bool, rule: str) -> Change:
    return Change(part="data", name=name, before=before, after=after, allowed=allowed, rule=rule)
