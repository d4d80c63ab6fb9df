"""How the systems of different vendors make a phantom look: curve, sharpening, noise.

Look 0 is the scanned film that a phantom always was. The others are invented, and stand for what
differs between systems: the gray curve, the edge enhancement, the noise and its grain, and whether
a picture is a synthetic one of a tomosynthesis.
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from mammo_core.phantom.anatomy import UNITS_PER_HEIGHT, FloatImage

_MANUFACTURER: Final = "Mammo Pipelines"


@dataclass(frozen=True)
class Look:
    """How a system of one vendor makes its images look.

    Args:
        manufacturer: Manufacturer (0008,0070).
        gamma: Exponent of the gray curve: below 1 it brightens fat.
        steepness: Strength of an S-shaped curve around the middle; 0: none.
        sharpening: Strength of the edge enhancement.
        noise: Standard deviation of what is added to the noise of the scan.
        grain: Size of a grain of that noise, in 288ths of the height.
        film: Whether it is scanned film, with labels and tape beside the breast.
        synthetic: Whether images are synthetic ones of a tomosynthesis.
    """

    manufacturer: str
    gamma: float = 1.0
    steepness: float = 0.0
    sharpening: float = 0.0
    noise: float = 0.0
    grain: float = 0.3
    film: bool = False
    synthetic: bool = False


# Sharpening stays below what makes neighbors jump by most of the range, which no mammogram does.
LOOKS: Final[tuple[Look, ...]] = (
    Look(_MANUFACTURER, film=True),
    Look(f"{_MANUFACTURER} B", gamma=0.75, sharpening=0.8, noise=0.004),
    Look(f"{_MANUFACTURER} C", gamma=1.35, steepness=3.0, noise=0.010, grain=0.6),
    Look(f"{_MANUFACTURER} D", gamma=0.9, steepness=4.0, sharpening=0.6, noise=0.006),
    Look(f"{_MANUFACTURER} E", gamma=1.1, sharpening=0.4, noise=0.016, grain=0.4),
    Look(f"{_MANUFACTURER} F", gamma=0.6, steepness=2.0, noise=0.003),
    Look(f"{_MANUFACTURER} G", gamma=1.0, steepness=3.0, sharpening=0.8, synthetic=True),
    Look(f"{_MANUFACTURER} H", gamma=1.6, noise=0.008, grain=0.9),
)


def apply_look(brightness: FloatImage, look: Look, draw: np.random.Generator) -> FloatImage:
    """Return a scene as a system shows it, before the noise of the scan.

    Args:
        brightness: (h, w) float32, [0, 1].
        look: The system.
        draw: Random generator of the image.

    Returns:
        (h, w) float32, [0, 1].
    """
    unit = brightness.shape[0] / UNITS_PER_HEIGHT
    shown = np.clip(brightness, 0, 1).astype(np.float32)
    if look.synthetic:  # made of slices: smooth, and edges are drawn again
        shown = cv2.GaussianBlur(shown, (0, 0), max(0.6 * unit, 0.3))
    if look.sharpening:
        wide = cv2.GaussianBlur(shown, (0, 0), max(2.0 * unit, 0.5))
        shown = shown + np.float32(look.sharpening) * (shown - wide)
    shown = np.clip(shown, 0, 1) ** np.float32(look.gamma)
    if look.steepness:
        low, high = (1 / (1 + np.exp(look.steepness * half)) for half in (0.5, -0.5))
        curve = 1 / (1 + np.exp(np.float32(-look.steepness) * (shown - np.float32(0.5))))
        shown = (curve - low) / (high - low)
    if look.noise:
        grain = max(1, round(look.grain * unit))
        shape = tuple(-(-side // grain) for side in brightness.shape)
        noise = draw.standard_normal(shape, dtype=np.float32)
        if grain > 1:
            size = (brightness.shape[1], brightness.shape[0])
            noise = cv2.resize(noise, size, interpolation=cv2.INTER_LINEAR)
        shown = shown + np.float32(look.noise) * noise * (brightness > 0)
    return np.clip(shown, 0, 1).astype(np.float32)
