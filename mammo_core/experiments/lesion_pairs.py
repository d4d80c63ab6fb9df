"""Breasts of the phantom, drawn with their malignant lesions, with benign ones and without any."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.phantom.config import CBIS_LAYOUTS
from mammo_core.phantom.latent import separation
from mammo_core.phantom.layouts.layout import published_layouts
from mammo_core.phantom.plan import LesionPlan, ViewPlan
from mammo_core.preprocessing import Preprocessing
from mammo_core.progress import progress

#: A seed of its own: no phantom that a model was trained on has these patients.
_SEED: Final = 977_000


@dataclass(frozen=True)
class Pair:
    """A view with its malignant lesions, with benign ones, and without any.

    Attributes:
        name: The view.
        patient_key: Its patient.
        shown: `(H, W) uint16, [0, 65535]`, with them, in the geometry of the model.
        benign: The same with benign lesions of the same size in their place.
        removed: The same without them.
        mask: `(H, W) bool`, where they were.
    """

    name: str
    patient_key: str
    shown: npt.NDArray[np.uint16]
    benign: npt.NDArray[np.uint16]
    removed: npt.NDArray[np.uint16]
    mask: npt.NDArray[np.bool_]


def draw_pairs(
    preprocessing: Preprocessing, patients: int, seed: int = 0, layout: str = "original"
) -> list[Pair]:
    """Draw views with and without their malignant lesions.

    Args:
        preprocessing: Preprocessing of the model.
        patients: Number of patients of the phantom, about half of whom have such a lesion.
        seed: Other seeds draw other patients.
        layout: The phantom is drawn as in this layout: its views and the look of its images.

    Raises:
        RecipeError: There is no such layout.
        RecordError: None of them has one.
    """
    geometry, conversion = preprocessing.geometry, preprocessing.conversion
    if conversion.crop_to_breast or conversion.orientation != "as_stored":
        raise RecordError(
            "No pair can be drawn",
            expected="a conversion that neither crops nor turns images",
            received=f"crop {conversion.crop_to_breast}, orientation {conversion.orientation}",
        )
    config = PhantomConfig(patients=patients, seed=_SEED + seed, layout=layout)
    if geometry.height > config.height:  # never enlarged: it would be smoother than other images
        size = {"height": geometry.height, "width": _width(geometry)}
        config = PhantomConfig(**(config.model_dump() | size))
    pairs = []
    # All lesions of a view are taken out: where another stays, it could move.
    plans = [
        plan
        for plan in _views(config)
        if plan.lesions and all(lesion.malignant for lesion in plan.lesions)
    ]
    with progress("draw pairs", len(plans), "views") as bar:
        for plan in plans:
            view = draw_view(config, plan)
            other = draw_view(config, replace(plan, lesions=(), splits=()))
            benign = draw_view(config, replace(plan, lesions=_benign(plan.lesions, config)))
            where, other_place = (
                np.any([mask > 0 for mask in drawn.masks], axis=0) for drawn in (view, benign)
            )
            # The shape of a lesion decides how its place is drawn: most are in the same one.
            if (where & other_place).sum() >= 0.5 * min(where.sum(), other_place.sum()):
                shown, twin, removed = (
                    preprocessing.from_source(drawn.pixels, 16, plan.laterality)
                    for drawn in (view, benign, other)
                )
                mask = geometry.apply_mask(where).astype(bool)
                name = f"{plan.patient_key}_{plan.laterality}_{plan.view}"
                pairs.append(Pair(name, plan.patient_key, shown, twin, removed, mask))
            bar.advance()
    fitting = [pair for pair in pairs if pair.mask.shape == pair.shown.shape]
    if not fitting:
        raise RecordError(
            "No pair can be drawn",
            expected="views with a malignant lesion, as large as the images of the model",
            received=f"{len(pairs)} views, none of that size",
            hint="Draw more patients.",
        )
    return fitting


def _benign(lesions: Sequence[LesionPlan], config: PhantomConfig) -> tuple[LesionPlan, ...]:
    """The lesions that would be there if they were benign: as typical of their class."""
    apart = 2 * separation(config.difficulty)
    return tuple(
        replace(lesion, degree=lesion.degree - apart, malignant=False, pathology="BENIGN")
        for lesion in lesions
    )


def _width(geometry: Any) -> int:
    """A width that the phantom can have, as close to the model's as possible."""
    return int(min(max(geometry.width, 0.45 * geometry.height), 1.2 * geometry.height))


def _views(config: PhantomConfig) -> Iterable[ViewPlan]:
    if config.layout in CBIS_LAYOUTS:
        return plan_views(config)
    return (image.view for image in published_layouts()[config.layout].plan(config))
