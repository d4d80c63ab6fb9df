"""A tiny training for the tests: squares on noise, brighter in class 1."""

from collections.abc import Iterator

import keras
import numpy as np

from mammo_core.datasets.batches import Batch
from mammo_core.models import NetworkConfig, build_patch_network
from mammo_core.training import AugmentationConfig, FitConfig, StageConfig

NAMES = ["dark", "bright"]


class Records:
    """A BatchSource in memory, shuffled by epoch."""

    def __init__(self, counts: tuple[int, ...], batch: int = 8, seed: int = 0) -> None:
        self.labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
        rng = np.random.default_rng(seed)
        self.pixels = rng.integers(0, 20000, (len(self.labels), 16, 16)).astype(np.uint16)
        self.pixels[:, 4:12, 4:12] += (25000 * self.labels).astype(np.uint16)[:, None, None]
        self.class_counts = counts
        self.batch = batch

    @property
    def size(self) -> int:
        return len(self.labels)

    def batches(self, epoch: int) -> Iterator[Batch]:
        order = np.random.default_rng(epoch).permutation(self.size)
        for start in range(0, self.size, self.batch):
            chosen = order[start : start + self.batch]
            yield Batch([f"r{n}" for n in chosen], self.pixels[chosen], self.labels[chosen])


def to_network(pixels: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = pixels.astype(np.float32) * np.float32(255 / 65535) - np.float32(40)
    return scaled[..., None]


def network(dropout: float = 0.3) -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact", dropout=dropout), (16, 16), 2, 1)


def config(**options: object) -> FitConfig:
    """Return a config of two stages with everything that has a state."""
    stages = (
        StageConfig(train="head", learning_rate=1e-3, epochs=2, optimizer="adam", plateau=1),
        StageConfig(learning_rate=3e-4, epochs=3, cosine=True, early_stopping=3, dropout=0.5),
    )
    plain: dict[str, object] = {"stages": stages, "augmentation": AugmentationConfig()}
    return FitConfig.model_validate({**plain, **options})
