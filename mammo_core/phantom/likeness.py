"""What the images of a patient have in common beyond breast density: the texture of her tissue.

Parenchymal texture is a trait of a woman: it is alike in both views and both breasts, and differs
between women. A network can know a patient again by it. Here a patient has two stripes of her own
wavelength, direction and strength; where they run differs from image to image.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from mammo_core.phantom.anatomy import FloatImage

_COMPONENTS = 2
_SHORTEST, _LONGEST = 4.0, 14.0  # wavelengths in units: 288ths of the image height
_STRENGTH = 0.028  # of one component at likeness 1; lesions are 0.17 (mass) above the tissue
_SKIN = 10.0  # units below the skin where the texture has its full strength


@dataclass(frozen=True)
class Stripes:
    """One component of a patient's texture.

    Args:
        wavelength: In units (288ths of the image height).
        direction: In a left breast, radians, [0, pi).
        strength: Standard deviation, as a share of the strongest.
    """

    wavelength: float
    direction: float
    strength: float


def patient_texture(patient: np.random.Generator) -> tuple[Stripes, ...]:
    """Draw the texture of a patient.

    Args:
        patient: Random generator of the patient; the same for each of her images.
    """
    return tuple(
        Stripes(
            float(_SHORTEST * (_LONGEST / _SHORTEST) ** patient.random()),
            float(patient.uniform(0, np.pi)),
            float(patient.uniform(0.2, 1.0)),
        )
        for _ in range(_COMPONENTS)
    )


def add_texture(
    brightness: FloatImage,
    skin_distance: FloatImage,
    texture: tuple[Stripes, ...],
    likeness: float,
    unit: float,
    draw: np.random.Generator,
) -> None:
    """Add the texture of a patient to one of her views.

    Args:
        brightness: (h, w) float32, film brightness, chest wall on the left; changed in place.
        skin_distance: (h, w) float32, distance to the skin in pixels, 0 outside the breast.
        texture: That of the patient.
        likeness: Its strength, 0 to 1.
        unit: Pixels per unit of length.
        draw: Random generator of the view.
    """
    inside = np.clip(skin_distance / np.float32(_SKIN * unit), 0, 1)
    for stripes in texture:
        wavelength = stripes.wavelength * unit
        side = int(3 * wavelength / 2) * 2 + 1
        kernel = cv2.getGaborKernel(
            (side, side), 0.5 * wavelength, stripes.direction, wavelength, 0.6, 0.0
        )
        kernel -= kernel.mean()
        kernel /= np.sqrt((kernel**2).sum())  # white noise keeps its standard deviation
        noise = draw.standard_normal(brightness.shape, dtype=np.float32)
        field = cv2.filter2D(noise, -1, kernel.astype(np.float32))
        brightness += np.float32(likeness * _STRENGTH * stripes.strength) * field * inside
