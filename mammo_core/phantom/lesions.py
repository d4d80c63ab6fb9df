"""Draw lesions from one appearance parameter (0 benign-like, 1 malignant-like).

Masses: round or oval with a sharp rim and a dark halo, towards irregular, blurred and
spiculated. Calcifications: a few coarse round ones, towards a cluster of many fine ones of
unequal shape and brightness. The changes follow Sickles et al.,
ACR BI-RADS Mammography 2013.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo_core.phantom.anatomy import FloatImage

_SHIFT = 4  # fractional bits of OpenCV's drawing coordinates
_MASS_CONTRAST = 0.17
_CALC_CONTRAST = 0.42
_COARSE = (5, 2.3)  # number and radius (in units) of the most benign calcifications
_FINE = (30, 0.75)  # and of the most malignant ones: 1.5 pixels across at 288 rows


@dataclass(frozen=True)
class Stamp:
    """A lesion in a square.

    Args:
        brightness: (n, n) float32 to be added to the breast; partly negative around a mass.
        region: (n, n) bool: the lesion as a radiologist would outline it.
    """

    brightness: FloatImage
    region: npt.NDArray[np.bool_]


def draw_lesion(
    lesion_type: str,
    look: float,
    radius: float,
    unit: float,
    contrast: float,
    shape: np.random.Generator,
    projection: np.random.Generator,
) -> Stamp:
    """Draw a lesion.

    Args:
        lesion_type: mass or calc.
        look: Appearance parameter, 0 to 1.
        radius: In units (288ths of the image height).
        unit: Pixels per unit.
        contrast: Factor on the brightness.
        shape: Random generator of what all views of the lesion share.
        projection: Random generator of this view.

    Returns:
        The lesion, centered in its square.
    """
    if lesion_type == "mass":
        return _mass(look, radius * unit, unit, contrast, shape, projection)
    return _calcifications(look, radius * unit, unit, contrast, shape, projection)


def _mass(
    look: float,
    radius: float,
    unit: float,
    contrast: float,
    shape: np.random.Generator,
    projection: np.random.Generator,
) -> Stamp:
    radius *= 1.0 - 0.25 * look  # leaves room for the spicules: the whole stays 25 to 50 units
    half = int(np.ceil(radius * 2.3 + 4 * unit))
    size = 2 * half + 1
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    oval = shape.uniform(0.03, 0.16)
    outline = 1 + oval * np.cos(2 * (angles - projection.uniform(0, np.pi)))
    for harmonic in range(3, 12):
        wobble = 0.11 * look * shape.normal() * (3 / harmonic) ** 0.35
        outline = outline + wobble * np.cos(harmonic * angles + projection.uniform(0, 2 * np.pi))
    outline = np.clip(outline, 0.45, 1.6) * radius
    points = np.stack([np.cos(angles) * outline, np.sin(angles) * outline], axis=1) + half
    core = np.zeros((size, size), np.uint8)
    _fill(core, points)

    spicules = np.zeros((size, size), np.uint8)
    number = 15
    for index in range(number):
        angle = 2 * np.pi * (index + projection.uniform(-0.35, 0.35)) / number
        length = radius * (1 + look * projection.uniform(0.4, 1.3))
        thickness = projection.uniform(0.8, 1.7) * unit
        level = round(255 * projection.uniform(0.6, 1.0))
        _spicule(spicules, half, angle, 0.7 * radius, length, thickness, level)

    soft = cv2.GaussianBlur(core.astype(np.float32) / 255, (0, 0), (0.6 + 1.6 * look) * unit)
    wide = cv2.GaussianBlur(soft, (0, 0), 2.2 * unit)
    rays = cv2.GaussianBlur(spicules.astype(np.float32) / 255, (0, 0), 0.5 * unit)
    away = np.arange(-half, half + 1, dtype=np.float32) / np.float32(radius)
    dome = 1.1 - 0.35 * np.minimum(away[:, None] ** 2 + away[None, :] ** 2, 1)
    halo = (0.9 * (1 - look)) * np.clip(wide - soft, 0, 1)
    body = np.maximum(soft * dome * (0.9 + 0.25 * look), rays * (0.75 * look))
    brightness = np.float32(_MASS_CONTRAST * contrast) * (body - halo)
    grown = cv2.dilate(core, _disc(1.5 * unit))
    return Stamp(brightness.astype(np.float32), grown > 127)


def _calcifications(
    look: float,
    radius: float,
    unit: float,
    contrast: float,
    shape: np.random.Generator,
    projection: np.random.Generator,
) -> Stamp:
    half = int(np.ceil(radius + 6 * unit))
    size = 2 * half + 1
    number = round(_COARSE[0] * (_FINE[0] / _COARSE[0]) ** look)
    grain = _COARSE[1] * (_FINE[1] / _COARSE[1]) ** look * unit
    # One position for each possible calcification, so that a growing number only adds some.
    positions = shape.uniform(-1, 1, (_FINE[0], 3))
    positions /= np.maximum(1, np.linalg.norm(positions, axis=1, keepdims=True))
    turn = projection.uniform(0, 2 * np.pi)
    # The two views project a cloud of points in space from two sides.
    across = positions[:, 0] * np.cos(turn) + positions[:, 2] * np.sin(turn)
    projected = np.stack([across, positions[:, 1]], 1)
    centers = projected * (radius - grain) + half
    uneven = shape.uniform(-1, 1, (_FINE[0], 3))
    canvas = np.zeros((size, size), np.uint8)
    for index in range(number):
        long = 1 + 0.9 * look * max(0.0, uneven[index, 0])
        scale = 1 + (0.12 + 0.2 * look) * uneven[index, 1]
        level = int(255 * (1 - (0.08 + 0.22 * look) * (1 + uneven[index, 2])))
        axes = (max(grain * scale * long, 0.3), max(grain * scale / long**0.5, 0.3))
        _ellipse(canvas, centers[index], axes, float(projection.uniform(0, 180)), level)
    spots = cv2.GaussianBlur(canvas.astype(np.float32) / 255, (0, 0), 0.3 * unit)
    # A trace of density around the cluster, of the same strength for both classes.
    away = np.arange(-half, half + 1, dtype=np.float32) / np.float32(radius)
    cloud = np.exp(-1.5 * (away[:, None] ** 2 + away[None, :] ** 2))
    brightness = np.float32(contrast) * (np.float32(_CALC_CONTRAST) * spots + 0.03 * cloud)
    hull = cv2.convexHull(np.round(centers[:number]).astype(np.int32))
    region = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(region, hull, 255)
    grown = cv2.dilate(region, _disc(grain + 2.5 * unit))
    return Stamp(brightness.astype(np.float32), grown > 127)


def _fill(
    canvas: npt.NDArray[np.uint8], points: npt.NDArray[np.floating], level: int = 255
) -> None:
    fixed = np.round(points * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], level, lineType=cv2.LINE_AA, shift=_SHIFT)


def _spicule(
    canvas: npt.NDArray[np.uint8],
    center: int,
    angle: float,
    start: float,
    end: float,
    thickness: float,
    level: int,
) -> None:
    """A thin triangle from the core outwards."""
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]]) * thickness
    base = center + along * start
    _fill(canvas, np.stack([base + across, base - across, center + along * max(end, start)]), level)


def _ellipse(
    canvas: npt.NDArray[np.uint8],
    center: npt.NDArray[np.floating],
    axes: tuple[float, float],
    angle: float,
    level: int,
) -> None:
    scale = 1 << _SHIFT
    cv2.ellipse(
        canvas,
        (round(float(center[0]) * scale), round(float(center[1]) * scale)),
        (max(1, round(axes[0] * scale)), max(1, round(axes[1] * scale))),
        angle, 0, 360, level, -1, cv2.LINE_AA, _SHIFT,
    )  # fmt: skip


def _disc(radius: float) -> npt.NDArray[np.uint8]:
    size = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)))
