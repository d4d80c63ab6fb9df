"""Trainings of a tiny network for the tests of `train` and `predict`."""

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from mammo_core.datasets.batches import Batch
from mammo_core.models import NetworkConfig, build_patch_network
from mammo_core.training import StageConfig, train
from mammo_core.training.config import FitConfig

NAMES = ["dark", "bright"]


class Records:
    """A BatchSource of squares on noise, brighter in class 1; shuffled by epoch by default."""

    def __init__(
        self, counts: tuple[int, ...], batch: int = 8, seed: int = 0, shuffle: bool = True
    ) -> None:
        self.labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
        rng = np.random.default_rng(seed)
        self.pixels = rng.integers(0, 20000, (len(self.labels), 16, 16)).astype(np.uint16)
        self.pixels[:, 4:12, 4:12] += (25000 * self.labels).astype(np.uint16)[:, None, None]
        self.class_counts = counts
        self.batch, self.shuffle = batch, shuffle
        self.epochs: list[int] = []

    @property
    def size(self) -> int:
        return len(self.labels)

    def batches(self, epoch: int) -> Iterator[Batch]:
        self.epochs.append(epoch)
        order = np.arange(self.size)
        if self.shuffle:
            np.random.default_rng(epoch).shuffle(order)
        for start in range(0, self.size, self.batch):
            chosen = order[start : start + self.batch]
            ids = [f"record-{number}" for number in chosen]
            yield Batch(ids, self.pixels[chosen], self.labels[chosen])


def to_network(pixels: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = pixels.astype(np.float32) * np.float32(255 / 65535) - np.float32(40)
    return scaled[..., None]


def network(classes: int = 2, dropout: float = 0.0) -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact", dropout=dropout), (16, 16), classes, 1)


def fit(model: keras.Model, stages: list[StageConfig], **arguments: Any) -> Any:
    options: dict[str, Any] = {"augmentation": None, "balance": None, "stages": stages}
    options |= {key: arguments.pop(key) for key in list(arguments) if key in FitConfig.model_fields}
    plain = {
        "train": Records((20, 13)),
        "validation": Records((7, 6), seed=1, shuffle=False),
        "to_network": to_network,
        "seed": 0,
        "class_names": NAMES,
    }
    return train(model, FitConfig(**options), **{**plain, **arguments})


def stage(**options: Any) -> StageConfig:
    return StageConfig(**{"learning_rate": 1e-3, "epochs": 1, **options})


def weights(model: keras.Model) -> dict[str, list[np.ndarray]]:
    return {layer.name: layer.get_weights() for layer in model.layers if layer.weights}


def equal(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
