"""Copies of a picture, as files come to be: saved again, resized, flipped, cut, brightened."""

from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint16]


def copies_of(pixels: Pixels) -> Iterator[tuple[str, Pixels]]:
    """Yield kind and pixels of each copy.

    Args:
        pixels: `(h, w) uint16, [0, 65535]`.
    """
    height, width = pixels.shape
    yield "jpeg", _jpeg(pixels)
    for factor, name in ((0.5, "half"), (0.73, "0.73"), (1.41, "1.41"), (2.0, "double")):
        yield f"resize {name}", cv2.resize(pixels, None, fx=factor, fy=factor)  # type: ignore[misc]
    yield "resize half, area", cv2.resize(pixels, (width // 2, height // 2), None, 0, 0, 3)
    yield "8-bit", pixels >> 8
    yield "flip columns", np.ascontiguousarray(pixels[:, ::-1])
    yield "flip rows", np.ascontiguousarray(pixels[::-1])
    rows, columns = round(height * 0.03), round(width * 0.03)
    yield (
        "crop all sides",
        pixels[rows // 2 : height - rows // 2, columns // 2 : width - columns // 2],
    )
    yield "crop each side", pixels[rows : height - rows, columns : width - columns]
    yield "crop first", np.ascontiguousarray(pixels[rows:, columns:])
    yield "crop last", np.ascontiguousarray(pixels[: height - rows, : width - columns])
    yield "brightness up", _scaled(pixels, 1.2, 0)
    yield "brightness down", _scaled(pixels, 0.7, 0)
    yield "brightness offset", _scaled(pixels, 1.0, 5000)


def _scaled(pixels: Pixels, factor: float, offset: float) -> Pixels:
    values: Any = np.clip(pixels.astype(np.float32) * factor + offset, 0, 65535)
    return np.asarray(values, np.uint16)


def _jpeg(pixels: Pixels) -> Pixels:
    _, data = cv2.imencode(".jpg", (pixels >> 8).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    decoded = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    return np.asarray(decoded, np.uint16)
