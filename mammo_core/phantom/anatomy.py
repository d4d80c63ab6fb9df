"""The breast of a phantom: outline, fat, glandular tissue, strands, pectoral muscle.

Drawn with the chest wall on the left (a LEFT breast); a RIGHT one is mirrored at the end. The
unit of length is 1/288 of the image height, so the breast is the same at every size.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

FloatImage = npt.NDArray[np.float32]

UNITS_PER_HEIGHT = 288
# Breast density 1 to 4 (fatty to extremely dense): how much of the gland's region is bright
# (threshold on a standard normal field), and how bright.
_GLAND_THRESHOLD = (1.15, 0.45, -0.15, -0.9)
_GLAND_BRIGHTNESS = (0.12, 0.15, 0.17, 0.19)
_FAT = 0.30


@dataclass(frozen=True)
class Breast:
    """A breast without lesions.

    Args:
        brightness: (h, w) float32, film brightness, 0 outside, about 0.25 (fat) to 0.75 inside.
        skin_distance: (h, w) float32, distance to the skin in pixels, 0 outside the breast.
        muscle: (h, w) float32, share of pectoral muscle, [0, 1]; 0 everywhere in a CC view.
        nipple: (x, y) in pixels.
        depth: From chest wall to nipple, in pixels.
    """

    brightness: FloatImage
    skin_distance: FloatImage
    muscle: FloatImage
    nipple: tuple[float, float]
    depth: float


def draw_breast(
    shape: tuple[int, int], view: str, density: int, draw: np.random.Generator
) -> Breast:
    """Draw a breast without lesions, chest wall on the left.

    Args:
        shape: (height, width) in pixels.
        view: CC or MLO.
        density: Breast density, 1 to 4.
        draw: Random generator.

    Returns:
        The breast.
    """
    height, width = shape
    unit = height / UNITS_PER_HEIGHT
    edge, nipple_row = _outline(shape, view, draw)
    columns = np.arange(width, dtype=np.float32)
    inside = (columns[None, :] < edge[:, None]).astype(np.uint8)
    skin_distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
    depth = float(edge[nipple_row])

    tissue = noise(shape, unit, 80, 6, 0.7, draw)
    thickness = 1.0 - np.exp(skin_distance * np.float32(-1.0 / (13.0 * unit)))
    gland = _gland(shape, unit, nipple_row, depth, skin_distance, density, draw)
    strands = _strands(shape, unit, nipple_row, depth, draw)
    muscle = _pectoral(shape, unit, edge, draw) if view == "MLO" else np.zeros(shape, np.float32)

    brightness = thickness * (
        np.float32(_FAT) + np.float32(0.026) * tissue + gland + np.float32(0.10) * strands
    )
    # The breast gets thicker, and the film brighter, towards the chest wall.
    brightness += thickness * np.exp(columns * np.float32(-1.0 / (22.0 * unit))) * np.float32(0.07)
    # Muscle is brightest in the corner, where it is thickest.
    fall = np.linspace(0.10, 0.0, height, dtype=np.float32)[:, None]
    muscle_brightness = np.float32(0.48) + fall + np.float32(0.03) * tissue
    brightness += muscle * np.maximum(muscle_brightness - brightness, 0) * (skin_distance > 0)
    skin = np.exp(-(((skin_distance - 1.3 * unit) / (0.9 * unit)) ** 2)) * inside
    brightness += np.float32(0.05) * skin.astype(np.float32)
    return Breast(brightness, skin_distance, muscle, (depth, float(nipple_row)), depth)


def noise(
    shape: tuple[int, int],
    unit: float,
    coarsest: float,
    octaves: int,
    roughness: float,
    draw: np.random.Generator,
) -> FloatImage:
    """Draw band-limited noise: random grids, each twice as fine as the one before, added up.

    The power spectrum of parenchyma falls as about 1/f^3 (Burgess, Jacobson, Judy 2001). A
    pyramid of grids approximates it without a Fourier transform; only the last enlargement
    works on the full image.

    Args:
        shape: (height, width).
        unit: Pixels per unit of length.
        coarsest: Grid constant of the first grid, in units.
        octaves: Number of grids.
        roughness: The amplitude falls by 2 ** -roughness from one grid to the next.
        draw: Random generator.

    Returns:
        (h, w) float32, mean about 0, standard deviation about 1.
    """
    height, width = shape
    rows, columns = (int(np.ceil(side / (coarsest * unit))) + 1 for side in shape)
    total = np.zeros((rows, columns), np.float32)
    power = 0.0
    for octave in range(octaves):
        if octave:
            rows, columns = 2 * rows, 2 * columns
            total = cv2.resize(total, (columns, rows), interpolation=cv2.INTER_CUBIC)
        amplitude = 2.0 ** (-roughness * octave)
        total += np.float32(amplitude) * draw.standard_normal((rows, columns), dtype=np.float32)
        power += 0.6 * amplitude**2  # what cubic enlargement leaves of the variance
    step = coarsest * unit / 2 ** (octaves - 1)
    total *= np.float32(power**-0.5)
    size = (max(round(columns * step), width), max(round(rows * step), height))
    large = cv2.resize(total, size, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large[:height, :width])


def _outline(
    shape: tuple[int, int], view: str, draw: np.random.Generator
) -> tuple[FloatImage, int]:
    """Return the column of the skin in every row, and the row of the nipple."""
    height, width = shape
    rows = (np.arange(height, dtype=np.float32) + 0.5) / height
    reach = draw.uniform(0.56, 0.76)
    ripple = np.sin(rows * draw.uniform(8, 14) + draw.uniform(0, 6.28)) * draw.uniform(0, 0.012)
    if view == "CC":
        middle, half = draw.uniform(0.46, 0.54), draw.uniform(0.34, 0.43)
        fullness = draw.uniform(1.9, 2.3)
        edge = _dome((rows - middle) / half, fullness)
    else:
        middle = draw.uniform(0.56, 0.65)
        half, shoulder = draw.uniform(0.22, 0.29), draw.uniform(0.42, 0.58)
        up = np.clip((middle - rows) / middle, 0, 1)
        upper = shoulder + (1 - shoulder) * (0.5 + 0.5 * np.cos(np.pi * up**1.1))
        lower = _dome((rows - middle) / half, draw.uniform(1.9, 2.3))
        belly = draw.uniform(0.05, 0.2) * np.clip((rows - middle - 0.8 * half) / 0.2, 0, 1) ** 1.5
        edge = np.where(rows < middle, upper, np.maximum(lower, belly))
    bump = 0.022 * np.exp(-(((rows - middle) / 0.012) ** 2))
    full = np.where(edge > 0, (edge + ripple) * reach + bump, 0) * width
    return np.clip(full, 0, width * 0.9).astype(np.float32), int(middle * height)


def _dome(offset: npt.NDArray[np.floating], fullness: float) -> npt.NDArray[np.floating]:
    return np.asarray(np.sqrt(np.clip(1 - np.abs(offset) ** fullness, 0, 1)))


def _gland(
    shape: tuple[int, int],
    unit: float,
    nipple_row: int,
    depth: float,
    skin_distance: FloatImage,
    density: int,
    draw: np.random.Generator,
) -> FloatImage:
    """Glandular tissue: clouds in a cone behind the nipple, below the subcutaneous fat."""
    height, width = shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    clouds = noise(shape, unit, 56, 4, 0.8, draw)
    tall = draw.uniform(0.30, 0.36) * height
    away = np.sqrt(
        ((columns - 0.5 * depth) / (0.52 * depth)) ** 2
        + ((rows - nipple_row + draw.uniform(0, 0.05) * height) / tall) ** 2
    )
    region = _step((1.15 + 0.1 * clouds - away) * 3.5)
    region *= _step((skin_distance - 13 * unit) / (4 * unit))
    field = _step((clouds - np.float32(_GLAND_THRESHOLD[density - 1])) * 2.2)
    shade = np.float32(_GLAND_BRIGHTNESS[density - 1]) * (1 + np.float32(0.18) * clouds)
    return region * field * shade


def _strands(
    shape: tuple[int, int], unit: float, nipple_row: int, depth: float, draw: np.random.Generator
) -> FloatImage:
    """Ducts and Cooper ligaments: ridges of a noise stretched along rays from the nipple."""
    height, width = shape
    across, along = 150, 14
    field = draw.standard_normal((along, across), dtype=np.float32)
    field = cv2.resize(field, (across * 4, along * 4), interpolation=cv2.INTER_CUBIC)
    ridges = np.clip(1.0 - np.abs(field) * 2.2, 0, 1) ** 2
    # Half the resolution is enough for lines this soft, at a quarter of the cost.
    half = (max(1, height // 2), max(1, width // 2))
    rows = np.arange(half[0], dtype=np.float32)[:, None] * 2 - nipple_row
    columns = np.float32(depth + 30 * unit) - np.arange(half[1], dtype=np.float32)[None, :] * 2
    rows, columns = np.broadcast_to(rows, half), np.broadcast_to(columns, half)
    radius, angle = cv2.cartToPolar(np.ascontiguousarray(columns), np.ascontiguousarray(rows))
    bend = noise(half, unit / 2, 40, 3, 0.8, draw)
    angle += 0.035 * bend
    angle = np.mod(angle + np.pi, 2 * np.pi)  # the seam is behind the nipple
    lines = cv2.remap(
        ridges,
        (angle * np.float32(across * 4 / (2 * np.pi))).astype(np.float32),
        (radius * np.float32(along * 4 / (UNITS_PER_HEIGHT * unit)) + 1.5 * bend).astype(
            np.float32
        ),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )
    lines *= np.clip(0.6 + 0.4 * bend, 0.15, 1.2)
    return np.asarray(cv2.resize(lines, (width, height), interpolation=cv2.INTER_LINEAR))


def _pectoral(
    shape: tuple[int, int], unit: float, edge: FloatImage, draw: np.random.Generator
) -> FloatImage:
    """The pectoral muscle: a wedge in the upper corner at the chest wall, slightly bulging."""
    height, width = shape
    top = draw.uniform(0.62, 0.85) * float(edge[: max(1, height // 50)].min())
    foot = draw.uniform(0.42, 0.60) * height
    rows = np.arange(height, dtype=np.float32)
    along = np.clip(1 - rows / foot, -1, 1)
    border = top * (along + draw.uniform(0.0, 0.25) * along * (1 - along))
    columns = np.arange(width, dtype=np.float32)
    wedge = _step((border[:, None] - columns[None, :]) / np.float32(1.8 * unit))
    wedge *= np.clip((foot - rows) / (6 * unit), 0, 1)[:, None]
    return wedge.astype(np.float32)


def _step(values: npt.NDArray[np.floating]) -> FloatImage:
    """Return a smooth step from 0 to 1 (logistic)."""
    small = np.clip(values, -12, 12).astype(np.float32)
    return np.asarray(1 / (1 + np.exp(-small)), dtype=np.float32)
