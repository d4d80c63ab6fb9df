"""From stored pixels to the probability of malignancy: the package's own path."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.packaging.contents import POSITIVE
from mammo_core.preprocessing import Preprocessing


def predict(
    model: Any,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    pixels: npt.NDArray[np.uint16],
    batch_size: int,
) -> npt.NDArray[np.float32]:
    """See `Package.predict`; here for a network that is not packaged yet."""
    check_pixels(preprocessing, pixels, batch_size)
    parts = [
        _positive(
            np.asarray(
                model.predict_on_batch(preprocessing.to_network(pixels[start : start + batch_size]))
            ),
            label_map,
        )
        for start in range(0, len(pixels), batch_size)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def check_pixels(
    preprocessing: Preprocessing, pixels: npt.NDArray[Any], batch_size: int = 1
) -> None:
    """Refuse pixels that do not have a model's geometry.

    Args:
        preprocessing: Of the model.
        pixels: `(n, H, W) uint16, [0, 65535]`.
        batch_size: At least 1.

    Raises:
        ModelError: Another shape, type or batch size.
    """
    geometry = preprocessing.geometry
    fits = pixels.ndim == 3 and pixels.shape[1] == geometry.height
    if geometry.resize != "height":
        fits = fits and pixels.shape[2] == geometry.width
    if not fits or pixels.dtype != np.uint16 or batch_size < 1:
        raise ModelError(
            "These pixels do not fit the model",
            expected=f"(n, {geometry.height}, {geometry.width}) uint16 (resize "
            f"{geometry.resize}), batches of at least 1",
            received=f"{pixels.shape} {pixels.dtype}, batches of {batch_size}",
            hint="Bring images to the geometry by preprocessing.to_geometry.",
        )


def _positive(
    outputs: npt.NDArray[np.float32], label_map: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    """Take the malignant class: a column of a softmax, or the one sigmoid."""
    if outputs.ndim != 2 or outputs.shape[1] not in (1, len(label_map)):
        raise ModelError(
            "The network does not fit its label map",
            expected=f"outputs of shape (n, {len(label_map)}) for {sorted(label_map)}",
            received=f"shape {outputs.shape}",
        )
    probabilities = outputs[:, positive_column(outputs.shape[1], label_map)].astype(np.float32)
    # Softmax in half precision may pass 1 by a rounding step.
    if not (np.isfinite(probabilities).all() and np.abs(probabilities - 0.5).max() <= 0.501):
        raise ModelError(
            "The network returned no probabilities",
            expected="numbers in [0, 1]",
            received=f"{probabilities.min()} to {probabilities.max()}",
        )
    return np.clip(probabilities, 0, 1)


def positive_column(outputs: int, label_map: Mapping[str, int]) -> int:
    """Return which output of a network is the malignant class.

    Args:
        outputs: How many it has.
        label_map: Its classes.
    """
    return 0 if outputs == 1 else label_map[POSITIVE]
