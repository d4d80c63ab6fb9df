"""The leak laboratory: what popular mistakes in the sides of patients add to an AUC.

A mistake is an arrangement of training images, which exists here only: no recipe can ask for one.
Every arrangement has as many training images as the honest one, and is compared with it on the
same test images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import SourceError
from mammo_core.seeds import generator
from mammo_core.sources.splits import SplitConfig, assign, official_splits

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

#: Rows and columns of the images that the small network sees.
SIZE: Final = (96, 72)
EPOCHS: Final = 40
#: Raised when a result would change.
REVISION: Final = 1
_BATCH: Final = 16
_VALIDATION: Final = 0.2
#: Levels and noise of an image that was saved again, as shares of the range.
_LEVELS: Final = 255
_NOISE: Final = 0.01


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


def arrange(images: "pd.DataFrame", seed: int) -> dict[str, Arrangement]:
    """Return the honest arrangement, and that of each mistake that the source allows.

    A patient in both official tables is tested by her test images; the mistake trains on her
    others. For the mistakes that need images of test patients in training, test images move there.

    Args:
        images: image_id, patient_key, laterality, malignant, lesion_types, official_splits.
        seed: Seed of the draws.

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

    def mistake(
        name: str, moved: Sequence[str], tested: Sequence[str], *, first: bool = False
    ) -> Arrangement:
        """Move images into training, in place of as many others."""
        kept = _leave_out(train, len(moved), seed, name)
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
    if by_split["excluded"]:
        arranged[OFFICIAL] = mistake(OFFICIAL, by_split["excluded"], test)
    # The champion had half of the patients of today's test set, with all of their images.
    half = _half(sorted(set(map(str, tests["patient_key"]))), seed, "old")
    old = tuple(map(str, tests.loc[tests["patient_key"].isin(half), "image_id"]))
    arranged[OLD_PATIENTS] = mistake(OLD_PATIENTS, old, test, first=True)
    arranged[TEST_CHOICE] = Arrangement(TEST_CHOICE, train, train, test, test, {})
    sources = _half(test, seed, "copies")
    copies = {f"copy of {image}": image for image in sources}
    kept = _leave_out(train, len(copies), seed, DUPLICATES)
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


def _leave_out(train: Sequence[str], count: int, seed: int, purpose: str) -> list[str]:
    """Leave out training images, so that the mistake has no more of them."""
    order = generator(seed, "leaks", "left out", purpose).permutation(len(train))
    return [train[at] for at in sorted(order[count:])]


def re_encode(pixels: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return an image as if it was saved again by another program: 8 bits, and noise.

    Args:
        pixels: (rows, columns), [0, 1].
        name: Name of the copy, the seed of its noise.
    """
    noise = generator(0, "re-encoded", name).normal(0, _NOISE, pixels.shape)
    coarse = np.round(np.clip(pixels + noise, 0, 1) * _LEVELS) / _LEVELS
    return coarse.astype(np.float32)


def train_and_score(
    arrangement: Arrangement,
    pixels: Mapping[str, npt.NDArray[np.float32]],
    labels: Mapping[str, int],
    seed: int,
    epochs: int = EPOCHS,
) -> dict[str, float]:
    """Train the small network, and return the probability of each test image.

    Args:
        arrangement: What it is trained, chosen and tested on.
        pixels: image → (rows, columns) float32, [0, 1].
        labels: image → 1 for malignant, 0 for not.
        seed: Seed of weights and order.
        epochs: Epochs of both trainings together, halved between them.
    """
    from mammo_core.models.backend import prepare_keras

    prepare_keras()
    import keras

    from mammo_core.metrics import auc

    def batch(ids: Sequence[str]) -> tuple[Any, Any]:
        x = [
            re_encode(pixels[arrangement.copies[i]], i) if i in arrangement.copies else pixels[i]
            for i in ids
        ]
        y = [labels[arrangement.copies.get(i, i)] for i in ids]
        return np.stack(x)[..., None], np.array(y, np.float32)

    keras.utils.set_random_seed(seed)
    network = small_network(next(iter(pixels.values())).shape)
    chosen_on, truth = batch(arrangement.validation)
    test, _ = batch(arrangement.test)
    best, best_auc = None, -1.0
    for stage, images in enumerate((arrangement.before, arrangement.train)):
        x, y = batch(images)
        best, best_auc = None, -1.0  # a model is chosen from the last training
        for epoch in range(epochs // 2):
            order = generator(seed, "leaks", "order", stage, epoch).permutation(len(y))
            for start in range(0, len(y), _BATCH):
                rows = order[start : start + _BATCH]
                network.train_on_batch(x[rows], y[rows])
            value = auc(truth, network(chosen_on, training=False).numpy()[:, 0])
            if value > best_auc:
                best, best_auc = network.get_weights(), value
    network.set_weights(best)
    scores = network(test, training=False).numpy()[:, 0]
    return dict(zip(arrangement.test, map(float, scores), strict=True))


def small_network(shape: tuple[int, ...]) -> Any:
    """Return a network of three convolutions, large enough to remember images.

    Args:
        shape: (rows, columns).
    """
    import keras
    from keras import layers

    blocks = [
        layer
        for filters in (8, 16, 32)
        for layer in (
            layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
        )
    ]
    network = keras.Sequential(
        [
            keras.Input((*shape, 1)),
            *blocks,
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    # Compiling for the processor would take longer than training does.
    adam = keras.optimizers.Adam(0.001)
    network.compile(optimizer=adam, loss="binary_crossentropy", jit_compile=False)
    return network
