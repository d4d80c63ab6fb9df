"""The film around the breast and the scanner behind it: labels, borders, noise, bit depth."""

import cv2
import numpy as np
import numpy.typing as npt

from mammo_core.phantom.anatomy import UNITS_PER_HEIGHT, FloatImage

_FOG = 0.025  # film is never quite black
_GRAIN = 0.006  # standard deviation of the noise at full brightness 1


def add_labels(
    brightness: FloatImage, laterality: str, view: str, draw: np.random.Generator
) -> None:
    """Draw what is on a film beside the breast: side and view marker, tape, a bright border.

    Args:
        brightness: (h, w) float32, [0, 1], in its final orientation; changed in place.
        laterality: LEFT (breast on the left of the image) or RIGHT.
        view: CC or MLO.
        draw: Random generator.
    """
    height, width = brightness.shape
    unit = height / UNITS_PER_HEIGHT
    text = f"{laterality[0]} {view}"
    scale = 0.016 * height / 12
    font = cv2.FONT_HERSHEY_SIMPLEX
    (text_width, text_height), _ = cv2.getTextSize(text, font, scale, 1)
    pad = 2.5 * unit
    plate_width, plate_height = text_width + 2 * pad, text_height + 2 * pad
    gap = draw.uniform(6, 12) * unit
    left = gap if laterality == "RIGHT" else width - gap - plate_width
    top = draw.uniform(6, 14) * unit
    strength = float(draw.uniform(0.75, 0.95))
    lettering = strength
    if draw.random() < 0.5:  # a bright plate with dark letters, or bright letters alone
        _rectangle(brightness, left, top, plate_width, plate_height, strength)
        lettering = 0.1
    letters = np.zeros((round(plate_height), round(plate_width)), np.uint8)
    origin = (round(pad), round(plate_height - pad))
    thick = max(1, round(0.8 * unit))
    cv2.putText(letters, text, origin, font, scale, 255, thick, cv2.LINE_AA)
    window = brightness[round(top) :, round(left) :][: letters.shape[0], : letters.shape[1]]
    share = letters[: window.shape[0], : window.shape[1]].astype(np.float32) / 255
    window += share * (np.float32(lettering) - window)
    outer = 0 if laterality == "RIGHT" else width
    if draw.random() < 0.35:  # tape along the outer edge
        tape = draw.uniform(8, 12) * unit
        start = outer if laterality == "RIGHT" else outer - tape * 0.6
        level = draw.uniform(0.3, 0.6)
        _rectangle(brightness, start, draw.uniform(0.2, 0.7) * height, tape * 0.6, 3 * tape, level)
    if draw.random() < 0.3:  # a film smaller than the scanner
        strip = draw.uniform(1, 3) * unit
        start = 0 if laterality == "RIGHT" else width - strip
        _rectangle(brightness, start, 0, strip, height, 0.97)


def scan(brightness: FloatImage, draw: np.random.Generator) -> npt.NDArray[np.uint16]:
    """Scan a film.

    Args:
        brightness: (h, w) float32, [0, 1].
        draw: Random generator: two scans of a film differ by noise and exposure.

    Returns:
        (h, w) uint16, full range [0, 65535], bright is dense (MONOCHROME2).
    """
    grain = draw.standard_normal(brightness.shape, dtype=np.float32)
    # Film grain grows with brightness; the scanner adds a little everywhere.
    grain *= np.float32(_GRAIN) * (np.float32(0.25) + brightness)
    gain = np.float32(draw.uniform(0.93, 1.07))
    film = np.float32(_FOG) + gain * brightness + grain
    pixels: npt.NDArray[np.uint16] = np.round(np.clip(film, 0, 1) * np.float32(65535)).astype(
        np.uint16
    )
    return pixels


def to_stored(
    pixels: npt.NDArray[np.uint16], bits_stored: int, photometric: str
) -> npt.NDArray[np.uint8] | npt.NDArray[np.uint16]:
    """Convert pixels to the values stored in a file.

    Args:
        pixels: (h, w) uint16, full range [0, 65535], MONOCHROME2.
        bits_stored: 8, 12 or 16.
        photometric: MONOCHROME1 (stored inverted) or MONOCHROME2.

    Returns:
        (h, w), [0, 2**bits_stored - 1]; uint8 for 8 bits, else uint16.
    """
    top = (1 << bits_stored) - 1
    stored = pixels
    if bits_stored < 16:
        stored = ((pixels.astype(np.uint32) * top + 32767) // 65535).astype(np.uint16)
    if photometric == "MONOCHROME1":
        stored = (top - stored).astype(np.uint16)
    return stored.astype(np.uint8) if bits_stored == 8 else stored


def _rectangle(
    brightness: FloatImage, left: float, top: float, width: float, height: float, level: float
) -> None:
    right, bottom = round(left + width) - 1, round(top + height) - 1
    cv2.rectangle(brightness, (round(left), round(top)), (right, bottom), float(level), -1)
