"""The leak laboratory: what popular mistakes in the sides of patients add to an AUC.

A mistake is an arrangement of training images, which exists here only: no recipe can ask for one.
Every arrangement has as many training images of each class as the honest one, and is compared with
it on the same test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mammo_core.errors import SourceError
from mammo_core.seeds import generator
from mammo_core.sources.splitting.splits import SplitConfig, assign, official_splits

if TYPE_CHECKING:
    import pandas as pd

HONEST: Final = "honest"
BY_IMAGE: Final = "split by image"
BY_BREAST: Final = "split by breast"
OFFICIAL: Final = "official split with its leaking patients"
OLD_PATIENTS: Final = "champion's old patients in the test"
TEST_CHOICE: Final = "choosing on the test set"
DUPLICATES: Final = "re-encoded duplicates"
MISTAKES: Final = (BY_IMAGE, BY_BREAST, OFFICIAL, OLD_PATIENTS, TEST_CHOICE, DUPLICATES)

#: Raised when a result would change.
REVISION: Final = 3
_VALIDATION: Final = 0.2


@dataclass(frozen=True)
class Arrangement:
    """Which images a network is fitted to, chosen on and tested on.

    Attributes:
        name: HONEST, or the mistake.
        before: Images of a first training, from which the second one starts.
        train: Images of the training.
        validation: Images that the best epoch is chosen on.
        test: Images that it is tested on.
        copies: Training image → the test image that it is a re-encoded copy of.
    """

    name: str
    before: tuple[str, ...]
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    copies: Mapping[str, str]

    def shared_patients(self, patients: Mapping[str, str]) -> set[str]:
        """Return the tested patients that the network was fitted to or chosen on.

        Args:
            patients: image → patient.
        """
        fitted = {*self.before, *self.train, *self.validation}
        return {patients[self.copies.get(i, i)] for i in fitted} & {patients[i] for i in self.test}


def arrange(images: "pd.DataFrame", seed: int, draw: int = 0) -> dict[str, Arrangement]:
    """Return the honest arrangement, and that of each mistake that the source allows.

    A patient in both official tables is tested by her test images; the mistake trains on those of
    her training table, some of which are in both. For the mistakes that need images of test
    patients in training, test images move there.

    Args:
        images: image_id, patient_key, laterality, malignant, lesion_types, official_splits.
        seed: Seed of the sides.
        draw: Seed of which training images make room for those that move there: another one in
            each trial, so that no single draw of them decides what a mistake adds.

    Raises:
        SourceError: The source cannot be split.
    """
    images = images.sort_values("image_id", ignore_index=True)
    official = {name for names in official_splits(images).values() for name in names}
    has_official = {"train", "test"} <= official
    config = (
        SplitConfig(
            name="official-without-leak", leak="drop_from_train", validation=_VALIDATION, seed=seed
        )
        if has_official
        else SplitConfig(name="stratified", test=0.3, validation=_VALIDATION, seed=seed)
    )
    result = assign(images, config)
    rows = images.assign(split=result.images["split"].to_numpy())
    by_split = {
        name: tuple(map(str, rows.loc[rows["split"] == name, "image_id"]))
        for name in ("train", "validation", "test", "excluded")
    }
    for name in ("train", "validation", "test"):
        labels = set(rows.loc[rows["split"] == name, "malignant"])
        if len(labels) < 2:
            raise SourceError(
                f"The {name} split of the laboratory lacks a class",
                expected="patients of both classes in every split",
                received=f"{len(by_split[name])} images of {len(labels)} classes",
                hint="use a larger source, for instance a phantom of 60 patients or more",
            )
    train, validation, test = (by_split[name] for name in ("train", "validation", "test"))
    tests = rows[rows["split"] == "test"]
    label_of = dict(zip(map(str, rows["image_id"]), rows["malignant"].astype(int), strict=True))

    def mistake(
        name: str, moved: Sequence[str], tested: Sequence[str], *, first: bool = False
    ) -> Arrangement:
        """Move images into training, in place of as many others."""
        kept = _leave_out(train, [label_of[image] for image in moved], label_of, draw, name)
        fitted = tuple(sorted((*kept, *moved)))
        return Arrangement(
            name, fitted if first else train, train if first else fitted, validation,
            tuple(sorted(tested)), {},
        )  # fmt: skip

    arranged = {HONEST: Arrangement(HONEST, train, train, validation, test, {})}
    moved, tested = _divide(tests, "image", seed)
    if moved:
        arranged[BY_IMAGE] = mistake(BY_IMAGE, moved, tested)
    moved, tested = _divide(tests, "breast", seed)
    if moved:
        arranged[BY_BREAST] = mistake(BY_BREAST, moved, tested)
    in_both = [
        str(image)
        for image, names in zip(tests["image_id"], tests["official_splits"], strict=True)
        if {"train", "test"} <= set(str(names).split("+"))
    ]
    if by_split["excluded"] or in_both:
        arranged[OFFICIAL] = mistake(OFFICIAL, [*by_split["excluded"], *in_both], test)
    # The champion had half of the patients of today's test set, with all of their images.
    half = _half(sorted(set(map(str, tests["patient_key"]))), seed, "old")
    old = tuple(map(str, tests.loc[tests["patient_key"].isin(half), "image_id"]))
    arranged[OLD_PATIENTS] = mistake(OLD_PATIENTS, old, test, first=True)
    arranged[TEST_CHOICE] = Arrangement(TEST_CHOICE, train, train, test, test, {})
    sources = _half(test, seed, "copies")
    copies = {f"copy of {image}": image for image in sources}
    kept = _leave_out(train, [label_of[image] for image in sources], label_of, draw, DUPLICATES)
    fitted = (*kept, *sorted(copies))
    arranged[DUPLICATES] = Arrangement(DUPLICATES, fitted, fitted, validation, test, copies)
    for name in (BY_IMAGE, BY_BREAST, OFFICIAL):
        if name in arranged:  # fitted to these images from the beginning
            each = arranged[name]
            arranged[name] = Arrangement(
                name, each.train, each.train, each.validation, each.test, {}
            )
    return arranged


def _divide(tests: "pd.DataFrame", unit: str, seed: int) -> tuple[list[str], list[str]]:
    """Divide the images of test patients: those that move to training, and those tested.

    `image`: one image of each patient with several is tested. `breast`: one breast of each patient
    with both. The images of other patients are tested.
    """
    moved: list[str] = []
    tested: list[str] = []
    for patient, rows in tests.groupby("patient_key"):
        column = "image_id" if unit == "image" else "laterality"
        parts = sorted(map(str, rows[column].unique()))
        chosen = parts[int(generator(seed, "leaks", unit, str(patient)).integers(len(parts)))]
        for image, part in zip(rows["image_id"], rows[column].astype(str), strict=True):
            (tested if part == chosen else moved).append(str(image))
    return moved, tested


def _half(keys: Sequence[str], seed: int, purpose: str) -> list[str]:
    order = generator(seed, "leaks", purpose).permutation(len(keys))
    return [keys[at] for at in sorted(order[: len(keys) // 2])]


def _leave_out(
    train: Sequence[str], moved: Sequence[int], labels: Mapping[str, int], draw: int, purpose: str
) -> list[str]:
    """Leave out a training image for each that moves there, of the same class where there is one.

    Args:
        train: The training images.
        moved: Labels of the images that move there.
        labels: image → label.
        draw: Seed of the choice.
        purpose: What it is made for.
    """
    order = generator(draw, "leaks", "left out", purpose).permutation(len(train))
    missing = {label: list(moved).count(label) for label in set(moved)}
    left_out: list[str] = []
    for at in order:
        if missing.get(labels[train[at]], 0) > 0:
            missing[labels[train[at]]] -= 1
            left_out.append(train[at])
    others = [train[at] for at in order if train[at] not in set(left_out)]
    left_out += others[: sum(missing.values())]
    return [image for image in train if image not in set(left_out)]
