"""The small network of the leak laboratory: its crops, its training, its scores.

It sees a square around the annotated lesion, as most published classifiers of CBIS-DDSM do, not a
whole mammogram: of those it learns nothing from scratch in minutes (docs/training.md). It averages
its features over the square, so it can know the tissue of a patient again in another image.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.experiments.leaks import Arrangement
from mammo_core.seeds import generator

if TYPE_CHECKING:
    from mammo_core.datasets import ImageRecord

#: Rows and columns of a crop as the network sees it.
SIDE: Final = 64
EPOCHS: Final = 40
_CROP: Final = 2 / 9
"""Side of a crop, as a share of the rows of the image."""
_FILTERS: Final = (24, 48, 96)
_DENSE: Final = 64
_LEARNING_RATE: Final = 0.004
_BATCH: Final = 16
_FULL: Final = 65535
#: Levels and noise of an image that was saved again, as shares of the range.
_LEVELS: Final = 255
_NOISE: Final = 0.01


def lesion_crop(record: "ImageRecord", laterality: str) -> npt.NDArray[np.float32] | None:
    """Return the square around the largest lesion of an image, or None without a lesion.

    Args:
        record: The image.
        laterality: LEFT, or RIGHT, which is mirrored.

    Returns:
        (64, 64) float32, [0, 1]; 0 beyond the border.
    """
    from mammo_core.imaging import resize

    masks = [lesion.mask for lesion in record.lesions if lesion.mask.any()]
    if not masks:
        return None
    rows, columns = np.nonzero(max(masks, key=np.count_nonzero))
    half = max(1, round(len(record.pixels) * _CROP / 2))
    padded = np.pad(record.pixels, half)
    # The border of `half` moves the top of the square to where its center was.
    top = (int(rows.min()) + int(rows.max())) // 2
    left = (int(columns.min()) + int(columns.max())) // 2
    crop = padded[top : top + 2 * half, left : left + 2 * half]
    if laterality == "RIGHT":
        crop = np.ascontiguousarray(crop[:, ::-1])
    return resize(crop, SIDE, SIDE, "forced", "area").astype(np.float32) / np.float32(_FULL)


def re_encode(pixels: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return an image as if it was saved again by another program: 8 bits, and noise.

    Args:
        pixels: (rows, columns) float32, [0, 1].
        name: Name of the copy, the seed of its noise.

    Returns:
        (rows, columns) float32, [0, 1].
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
        return np.stack([_standardize(image) for image in x])[..., None], np.array(y, np.float32)

    keras.utils.set_random_seed(seed)
    stages = (arrangement.before, arrangement.train)
    steps = sum(-(-len(images) // _BATCH) for images in stages) * (epochs // 2)
    network = small_network(next(iter(pixels.values())).shape, steps)
    chosen_on, truth = batch(arrangement.validation)
    test, _ = batch(arrangement.test)
    best, best_auc = None, -1.0
    for stage, images in enumerate(stages):
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


def _standardize(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    middle, spread = np.float32(pixels.mean()), np.float32(pixels.std())
    standard: npt.NDArray[np.float32] = (pixels - middle) / (spread if spread > 0 else 1)
    return standard


def small_network(shape: tuple[int, ...], steps: int) -> Any:
    """Return a network of three convolutions, large enough to remember images.

    Args:
        shape: (rows, columns).
        steps: Steps of both trainings, over which the learning rate falls to 0: with a constant
            one, two trainings on the same images differ by more than some mistakes add.
    """
    import keras
    from keras import layers

    blocks = [
        layer
        for filters in _FILTERS
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
            layers.GlobalAveragePooling2D(),
            # Leaky: a network of which no unit is active any more would learn nothing.
            layers.Dense(_DENSE, activation="leaky_relu"),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    # Compiling for the processor would take longer than training does.
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    adam = keras.optimizers.Adam(rate)
    network.compile(optimizer=adam, loss="binary_crossentropy", jit_compile=False)
    return network
