"""Draw one view of a phantom: pure functions from the plan to pixels and masks."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mammo_core.phantom.anatomy import UNITS_PER_HEIGHT, Breast, FloatImage, draw_breast
from mammo_core.phantom.config import PhantomConfig
from mammo_core.phantom.film import add_labels, scan
from mammo_core.phantom.latent import appearance, contrast
from mammo_core.phantom.lesions import Stamp, draw_lesion
from mammo_core.phantom.likeness import add_texture, patient_texture
from mammo_core.phantom.looks import LOOKS, apply_look
from mammo_core.phantom.plan import ViewPlan
from mammo_core.seeds import generator


@dataclass(frozen=True)
class Scene:
    """The film of a view, before it is scanned.

    Args:
        brightness: (h, w) float32, about [0, 1].
        masks: For each lesion of the view's plan, in its order: (h, w) uint8, 0 or 255.
    """

    brightness: FloatImage
    masks: tuple[npt.NDArray[np.uint8], ...]


@dataclass(frozen=True)
class DrawnView:
    """A drawn view.

    Args:
        plan: The plan it was drawn from.
        pixels: (h, w) uint16, full range [0, 65535], bright is dense (MONOCHROME2).
        masks: For each lesion of the plan, in its order: (h, w) uint8, 0 or 255.
    """

    plan: ViewPlan
    pixels: npt.NDArray[np.uint16]
    masks: tuple[npt.NDArray[np.uint8], ...]


def draw_view(config: PhantomConfig, plan: ViewPlan, *, scan_number: int = 0) -> DrawnView:
    """Draw a view of a phantom.

    Args:
        config: The phantom's parameters.
        plan: One of `plan_views(config)`.
        scan_number: 0, or 1 for the second scan of the same film.

    Returns:
        Pixels and masks; the same for the same arguments, in any process.
    """
    scene = draw_scene(config, plan)
    return DrawnView(plan, scan_scene(config, plan, scene, scan_number), scene.masks)


def draw_scene(config: PhantomConfig, plan: ViewPlan) -> Scene:
    """Draw the film of a view: breast, lesions, labels.

    Args:
        config: The phantom's parameters.
        plan: One of `plan_views(config)`.

    Returns:
        The film and the lesion masks.
    """
    shape = (config.height, config.width)
    names = _names(plan)
    breast = draw_breast(shape, plan.view, plan.density, generator(config.seed, *names, "breast"))
    brightness = breast.brightness
    if plan.implant:
        _add_implant(breast)
    free = _free_distance(breast)
    masks: list[npt.NDArray[np.uint8]] = []
    unit = config.height / UNITS_PER_HEIGHT
    if config.likeness:
        of_patient = generator(config.seed, "phantom", plan.patient_key, "texture")
        add_texture(
            brightness,
            breast.skin_distance,
            patient_texture(of_patient),
            config.likeness,
            unit,
            generator(config.seed, *names, "texture"),
        )
    for lesion in plan.lesions:
        lesion_names = (plan.patient_key, plan.laterality, lesion.lesion_type, lesion.number)
        projection = generator(config.seed, *names, lesion.lesion_type, lesion.number)
        stamp = draw_lesion(
            lesion.lesion_type,
            appearance(lesion.degree),
            lesion.radius,
            unit,
            contrast(config.difficulty) * (0.75 + 0.08 * lesion.subtlety),
            generator(config.seed, "phantom", *lesion_names, "shape"),
            projection,
        )
        column, row = _lesion_center(breast, free, lesion.radius * unit, lesion.depth, projection)
        masks.append(_add_stamp(brightness, stamp, (column, row)))
        # The next lesion must not overlap this one.
        rows = np.arange(shape[0], dtype=np.float32)[:, None] - row
        columns = np.arange(shape[1], dtype=np.float32)[None, :] - column
        away = np.sqrt(rows**2 + columns**2) - np.float32(1.5 * lesion.radius * unit)
        free = np.minimum(free, away)
    if plan.laterality == "RIGHT":
        brightness = np.ascontiguousarray(brightness[:, ::-1])
        masks = [np.ascontiguousarray(mask[:, ::-1]) for mask in masks]
    if LOOKS[plan.vendor].film:
        labels = generator(config.seed, *names, "labels")
        add_labels(brightness, plan.laterality, plan.view, labels)
    return Scene(brightness, tuple(masks))


def scan_scene(
    config: PhantomConfig, plan: ViewPlan, scene: Scene, scan_number: int
) -> npt.NDArray[np.uint16]:
    """Scan the film of a view.

    Args:
        config: The phantom's parameters.
        plan: The view.
        scene: Its film.
        scan_number: 0, or 1 for the second scan of the same film.

    Returns:
        (h, w) uint16, full range [0, 65535], MONOCHROME2.
    """
    names: tuple[str | int, ...] = (*_names(plan), "scan", scan_number)
    brightness = scene.brightness
    if plan.vendor:
        draw = generator(config.seed, *names, "look", plan.vendor)
        brightness = apply_look(brightness, LOOKS[plan.vendor], draw)
    return scan(brightness, generator(config.seed, *names))


def _names(plan: ViewPlan) -> tuple[str, ...]:
    """Return what names an image in its draws; exams differ in all but the lesions."""
    names = ("phantom", plan.patient_key, plan.laterality, plan.view)
    return (*names, plan.exam) if plan.exam else names


def _add_implant(breast: Breast) -> None:
    """Add a bright implant at the chest wall, behind the gland."""
    height = breast.brightness.shape[0]
    shown = np.zeros(breast.brightness.shape, np.uint8)
    center = (round(0.12 * breast.depth), round(breast.nipple[1]))
    axes = (round(0.33 * breast.depth), round(0.2 * height))
    cv2.ellipse(shown, center, axes, 0, 0, 360, 255, -1)
    share = cv2.GaussianBlur(shown.astype(np.float32) / 255, (0, 0), max(0.5, height / 288))
    share *= (breast.skin_distance > 0).astype(np.float32)
    breast.brightness[...] += share * (np.float32(0.85) - breast.brightness)


def _free_distance(breast: Breast) -> FloatImage:
    """Return the distance in pixels to what a lesion must not touch: skin, border, muscle."""
    height, width = breast.skin_distance.shape
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    free = np.minimum(breast.skin_distance, np.minimum(rows, height - 1 - rows))
    free = np.minimum(free, columns)
    if breast.muscle.any():
        soft = (breast.muscle < 0.5).astype(np.uint8)
        free = np.minimum(free, cv2.distanceTransform(soft, cv2.DIST_L2, 3))
    return np.asarray(free, dtype=np.float32)


def _lesion_center(
    breast: Breast,
    free: FloatImage,
    radius: float,
    depth: float,
    draw: np.random.Generator,
) -> tuple[int, int]:
    """Return (column, row) closest to the plan where the lesion fits, or else with most room."""
    step = max(1, free.shape[0] // 144)
    room = free[::step, ::step]
    planned_column = breast.nipple[0] - depth * breast.depth
    planned_row = breast.nipple[1] + draw.uniform(-0.45, 0.45) * breast.depth
    rows = np.arange(room.shape[0], dtype=np.float32)[:, None] * step - np.float32(planned_row)
    columns = np.arange(room.shape[1], dtype=np.float32)[None, :] * step - np.float32(
        planned_column
    )
    fits = room > radius * 1.25
    if not fits.any():
        fits = room >= room.max()
    away = np.where(fits, rows**2 + columns**2, np.inf)
    row, column = np.unravel_index(int(np.argmin(away)), away.shape)
    return int(column) * step, int(row) * step


def _add_stamp(
    brightness: FloatImage, stamp: Stamp, center: tuple[int, int]
) -> npt.NDArray[np.uint8]:
    """Add a stamp to the film where it overlaps it; return its mask in the film's shape."""
    height, width = brightness.shape
    half = stamp.region.shape[0] // 2
    left, top = center[0] - half, center[1] - half
    rows = slice(max(0, top), min(height, top + 2 * half + 1))
    columns = slice(max(0, left), min(width, left + 2 * half + 1))
    inner = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    inside = brightness[rows, columns] > 0
    brightness[rows, columns] += stamp.brightness[inner] * inside
    mask = np.zeros((height, width), np.uint8)
    mask[rows, columns] = np.where(stamp.region[inner] & inside, 255, 0)
    return mask
