"""From stored pixels to the probability of malignancy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.evaluation.aggregate import Unit, unit_of
from mammo_core.models.config import VIEWS
from mammo_core.packaging.contents import POSITIVE
from mammo_core.preprocessing import Preprocessing


def predict(
    model: Any,
    preprocessing: Preprocessing,
    label_map: Mapping[str, int],
    pixels: npt.NDArray[np.uint16],
    batch_size: int,
) -> npt.NDArray[np.float32]:
    """Predict with a network that is not packaged yet; see `Package.predict`."""
    from mammo_core.training.inputs import to_inputs

    require_pixels(preprocessing, pixels, batch_size, unit_of(model))
    parts = []
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        inputs = to_inputs(batch, [""] * len(batch), preprocessing.to_network, lambda x, _: x)
        parts.append(_positive(np.asarray(model.predict_on_batch(inputs)), label_map))
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def named_inputs(pixels: npt.NDArray[np.uint16]) -> dict[str, npt.NDArray[np.uint16]]:
    """Return pixels by the names of an export's inputs.

    Args:
        pixels: `(n, H, W) uint16, [0, 65535]`, or `(n, 2, H, W)` of breasts.
    """
    if pixels.ndim == 3:
        return {"pixels": pixels}
    return {view: pixels[:, index] for index, view in enumerate(VIEWS)}


def require_pixels(
    preprocessing: Preprocessing,
    pixels: npt.NDArray[Any],
    batch_size: int = 1,
    unit: Unit = "image",
) -> None:
    """Require pixels of a model's geometry.

    Args:
        preprocessing: Preprocessing of the model.
        pixels: `(n, H, W) uint16, [0, 65535]`; of breasts `(n, 2, H, W)`.
        batch_size: At least 1.
        unit: What the model takes at once.

    Raises:
        ModelError: The shape, type or batch size is wrong, or a breast has no view.
    """
    geometry = preprocessing.geometry
    views = (len(VIEWS),) if unit == "breast" else ()
    fits = pixels.ndim == 3 + len(views) and pixels.shape[1:-1] == (*views, geometry.height)
    if geometry.resize != "height":
        fits = fits and pixels.shape[-1] == geometry.width
    if not fits or pixels.dtype != np.uint16 or batch_size < 1:
        raise ModelError(
            "These pixels do not match the model",
            expected=f"({', '.join(map(str, ('n', *views, geometry.height, geometry.width)))}) "
            f"uint16 (resize {geometry.resize}), batches of at least 1",
            received=f"{pixels.shape} {pixels.dtype}, batches of {batch_size}",
            hint="Convert images with preprocessing.to_geometry.",
        )
    if views and len(pixels) and not pixels.any(axis=(1, 2, 3)).all():
        raise ModelError(
            "A breast cannot be scored",
            expected="at least one view; a view of zeros is a missing view",
            received="zeros in both views",
        )


def _positive(
    outputs: npt.NDArray[np.float32], label_map: Mapping[str, int]
) -> npt.NDArray[np.float32]:
    """The malignant class: a column of a softmax, or a single sigmoid."""
    if outputs.ndim != 2 or outputs.shape[1] not in (1, len(label_map)):
        raise ModelError(
            "The network does not match its label map",
            expected=f"outputs of shape (n, {len(label_map)}) for {sorted(label_map)}",
            received=f"shape {outputs.shape}",
        )
    probabilities = outputs[:, positive_column(outputs.shape[1], label_map)].astype(np.float32)
    # Softmax in half precision may exceed 1 by a rounding step.
    if not (np.isfinite(probabilities).all() and np.abs(probabilities - 0.5).max() <= 0.501):
        raise ModelError(
            "The network did not return probabilities",
            expected="numbers in [0, 1]",
            received=f"{probabilities.min()} to {probabilities.max()}",
        )
    return np.clip(probabilities, 0, 1)


def positive_column(outputs: int, label_map: Mapping[str, int]) -> int:
    """Return the index of the malignant class among the outputs of a network.

    Args:
        outputs: Number of outputs.
        label_map: Classes of the network.
    """
    return 0 if outputs == 1 else label_map[POSITIVE]
