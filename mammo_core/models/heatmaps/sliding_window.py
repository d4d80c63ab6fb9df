"""The sliding window: a patch classifier applied to every position of an image.

The original's heatmaps were made this way (docs/original-system.md, "Sliding window"). One pass
of a fully convolutional network takes a thirtieth of the time (`one_pass`).
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core import imaging
from mammo_core.errors import ModelError
from mammo_core.models.heatmaps.grid import Heatmap, Side, side_pair

Patches = npt.NDArray[Any]
Prepare = Callable[[Patches], npt.NDArray[np.float32]]
Predict = Callable[[npt.NDArray[np.float32]], Any]


def window_grid(
    image_shape: tuple[int, int], patch_size: Side, stride: Side
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return where the original's windows begin.

    Along an axis of L pixels there are n = round((L - patch) / stride + 0.49) windows (halves
    rounded away from 0), so the last step is dropped where it fits exactly. They are centered on
    the axis: the first begins int((L - (patch + (n - 1) stride)) / 2) pixels from its start.

    Args:
        image_shape: `(H, W)` of the image, pixels.
        patch_size: Patch side or `(h, w)`, pixels.
        stride: From one window to the next, pixels.

    Returns:
        First rows `(rows,) int64` and first columns `(cols,) int64` of the windows, pixels. There
        is one window if the image is as large as a patch, where the original had none.

    Raises:
        ModelError: The image is smaller than a patch, or a number is below 1.
    """
    patch, step = side_pair(patch_size), side_pair(stride)
    if min(*patch, *step) < 1 or image_shape[0] < patch[0] or image_shape[1] < patch[1]:
        raise ModelError(
            f"An image of {image_shape[0]}x{image_shape[1]} has no room for a window",
            expected=f"at least {patch[0]}x{patch[1]} pixels, strides of at least 1",
            received=f"{image_shape[0]}x{image_shape[1]}, strides {step[0]} and {step[1]}",
        )
    rows, columns = (
        _starts(side, size, jump) for side, size, jump in zip(image_shape, patch, step, strict=True)
    )
    return rows, columns


def _starts(side: int, patch: int, stride: int) -> npt.NDArray[np.int64]:
    # Python 2 rounds halves away from 0.
    steps = (side - patch) / stride + 0.49
    count = max(1, math.floor(steps) + (steps % 1 >= 0.5))
    first = int((side - (patch + (count - 1) * stride)) / 2)
    return first + stride * np.arange(count, dtype=np.int64)


def sliding_window(
    predict: Any,
    image: npt.NDArray[Any],
    patch_size: Side,
    stride: Side,
    *,
    prepare: Prepare | None = None,
    batch_size: int = 32,
    starts: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None = None,
) -> Heatmap:
    """Classify every window of an image.

    Args:
        predict: A patch model, or a function `(n, h, w, channels) float32 -> (n, classes)`.
        image: `(H, W)`, or `(H, W, channels)` on the network's scale if there is no `prepare`.
        patch_size: Patch side or `(h, w)`, pixels.
        stride: From one window to the next, pixels.
        prepare: Turns windows `(n, h, w)` into the network's input, each independently
            (`Preprocessing.to_network`).
        batch_size: Windows the network sees at once; bounds memory.
        starts: First rows and first columns, pixels; the original's grid by default.

    Returns:
        The heatmap; its coordinates are the centers of the windows in pixel indices of `image`.

    Raises:
        ModelError: The image is smaller than a patch, a window is not inside it, or the batch
            size is below 1.
    """
    height, width = side_pair(patch_size)
    rows, columns = window_grid(_size(image), patch_size, stride) if starts is None else starts
    inside = _inside(rows, image.shape[0], height) and _inside(columns, image.shape[1], width)
    if batch_size < 1 or not inside:
        raise ModelError(
            "Some windows are outside the image, or the batch size is below 1",
            expected=f"windows of {height}x{width} in {image.shape[0]}x{image.shape[1]} pixels",
            received=f"starts to {rows.max(initial=0)}, {columns.max(initial=0)}; "
            f"batches of {batch_size}",
        )
    score: Predict = predict.predict_on_batch if hasattr(predict, "predict_on_batch") else predict
    windows = np.lib.stride_tricks.sliding_window_view(image, (height, width), axis=(0, 1))
    scores = []
    for numbers in _batches(len(rows) * len(columns), batch_size):
        row, column = np.divmod(numbers, len(columns))
        patches = np.ascontiguousarray(_channels_last(windows[rows[row], columns[column]]))
        inputs = patches.astype(np.float32) if prepare is None else prepare(patches)
        scores.append(np.asarray(score(inputs), np.float32))
    values = np.concatenate(scores).reshape(len(rows), len(columns), -1)
    centers = (
        starts.astype(np.float64) + (side - 1) / 2
        for starts, side in ((rows, height), (columns, width))
    )
    return Heatmap(values, *centers)


def original_heatmap(
    predict: Any,
    pixels: npt.NDArray[Any],
    height: int,
    patch_size: int,
    stride: int,
    prepare: Prepare,
    batch_size: int = 32,
) -> Heatmap:
    """Compute the heatmap that the original computed of an image (`get_prob_heatmap`).

    The image is resized to a height (cubic), cropped to the breast and padded with a black
    margin of half a patch; then the window slides.

    Args:
        predict: As in `sliding_window`.
        pixels: `(H, W) uint16, [0, 65535]`, of any size.
        height: Rows to resize the image to; the columns follow.
        patch_size: Patch side, pixels.
        stride: From one window to the next, pixels.
        prepare: As in `sliding_window`; the original scaled each window by its own maximum
            (`Preprocessing` with intensity `image_max`).
        batch_size: Windows the network sees at once.

    Returns:
        The heatmap; its coordinates are pixel indices of the resized image, before the crop.

    Raises:
        RecipeError: The breast cannot be segmented.
    """
    sized = imaging.resize(pixels, height, 1, "height", "cubic")
    breast, (left, top, _, _) = imaging.segment_breast(sized)
    margin = patch_size // 2
    window = sliding_window(
        predict,
        np.pad(breast, margin),
        patch_size,
        stride,
        prepare=prepare,
        batch_size=batch_size,
    )
    return Heatmap(window.values, window.rows + top - margin, window.columns + left - margin)


def _size(image: npt.NDArray[Any]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]


def _inside(starts: npt.NDArray[np.int64], side: int, patch: int) -> bool:
    return bool(len(starts) and starts.min() >= 0 and starts.max() + patch <= side)


def _batches(count: int, size: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def _channels_last(windows: Patches) -> Patches:
    """Bring `(n, channels, h, w)` of the view to `(n, h, w, channels)`; gray has no channels."""
    return windows if windows.ndim == 3 else np.moveaxis(windows, 1, -1)
