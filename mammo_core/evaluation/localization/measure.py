"""Measures of localization on the test set: FROC, pointing game, marks inside the breast."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.errors import RecipeError, RecordError
from mammo_core.evaluation.lesion_sizes import size_group
from mammo_core.evaluation.localization.marks import Mark, Mask, Matching, marks_of, match
from mammo_core.evaluation.predictions import widen_extreme
from mammo_core.imaging import breast_mask
from mammo_core.metrics import Interval, proportion_interval
from mammo_core.metrics.localization.froc import RATES, UNMARKED, MarkedLesions, froc

if TYPE_CHECKING:
    import pandas as pd

_Result = TypeVar("_Result")
Target = Literal["lesion", "malignant"]
TARGETS: tuple[Target, ...] = ("malignant", "lesion")
MATCHINGS: tuple[Matching, ...] = ("center", "overlap")


@dataclass(frozen=True)
class ShownLesion:
    """A lesion of a test view.

    Attributes:
        mask: `(h, w) bool`, in the geometry of the image.
        is_malignant: Whether it is malignant.
        lesion_type: Its type: `mass`, `calc`, …
        dimension_mm: Its greatest dimension, mm; None if the pixel spacing is unknown.
    """

    mask: Mask
    is_malignant: bool
    lesion_type: str
    dimension_mm: float | None


@dataclass(frozen=True)
class ShownView:
    """A test view with its heatmaps.

    Attributes:
        image_id: The file that is shown.
        view_id: The view.
        patient_key: Its patient.
        pixels: `(h, w) uint16, [0, 65535]`.
        lesions: Its lesions, those of all its files and tables.
        heat: Target → `(h, w) float32, [0, 1]`.
    """

    image_id: str
    view_id: str
    patient_key: str
    pixels: npt.NDArray[np.uint16]
    lesions: Sequence[ShownLesion]
    heat: Mapping[Target, npt.NDArray[np.float32]]


class Curve(BaseModel):
    """A free-response curve with its measures. Intervals are 95 %, bootstrapped by patient.

    Attributes:
        target: Which lesions are to be found: all, or the malignant ones.
        matching: What counts as a hit.
        counted: The images whose false marks count: `normal`, those without such a lesion, or
            `all`, where there is none.
        n_lesions: Number of lesions.
        n_marked: Number of lesions that any mark hits.
        n_images: Number of images whose false marks count.
        sensitivity: Share of the lesions marked, at each threshold.
        false_marks: False marks per counted image, at each threshold.
        at_rates: False marks per image → sensitivity.
        figure_of_merit: JAFROC's figure of merit.
        groups: Name of a group of lesions → number of lesions and sensitivity at one false mark
            per image. A share of exactly 0 or 1 has Wilson's interval, each patient counted once.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Target
    matching: Matching
    counted: Literal["normal", "all"]
    n_lesions: int
    n_marked: int
    n_images: int
    sensitivity: tuple[float, ...]
    false_marks: tuple[float, ...]
    at_rates: dict[float, Interval]
    figure_of_merit: Interval
    groups: dict[str, tuple[int, Interval | None]]


class Localization(BaseModel):
    """How well heatmaps find lesions.

    Attributes:
        curves: One for each target and matching for which there are lesions and false marks can
            be counted.
        pointing: Target → share of the views with such a lesion whose hottest point lies in one.
        n_pointing: Target → number of these views.
        inside_breast: Share of all marks that lie inside the breast.
        n_marks: Number of marks.
        n_views: Number of test views.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    curves: tuple[Curve, ...]
    pointing: dict[Target, Interval]
    n_pointing: dict[Target, int]
    inside_breast: float | None
    n_marks: int
    n_views: int

    def curve(self, target: Target, matching: Matching) -> Curve | None:
        """Return one of the curves; None if there is none."""
        curves = (c for c in self.curves if c.target == target and c.matching == matching)
        return next(curves, None)


def measure_localization(
    views: Iterable[ShownView], *, distance: int, replicates: int = 2000, seed: int = 0
) -> tuple[Localization, "pd.DataFrame"]:
    """Measure how well heatmaps find the lesions of views.

    Args:
        views: The test views; each is looked at once and not kept.
        distance: Least distance between two marks, pixels.
        replicates: Bootstrap replicates.
        seed: Seed of the bootstrap.

    Returns:
        The measures, and the marks: target, image_id, score, row, column, hits_center,
        hits_overlap, inside_breast.
    """
    import pandas as pd

    counts = {target: _Collected() for target in TARGETS}
    patients: list[str] = []
    rows: list[dict[str, Any]] = []
    for number, view in enumerate(views):
        patients.append(view.patient_key)
        tissue = _breast(view.pixels)
        for target in TARGETS:
            heat = view.heat[target]
            marks = marks_of(heat, distance=distance)
            lesions = [x for x in view.lesions if target == "lesion" or x.is_malignant]
            counts[target].add(number, heat, marks, lesions)
            rows += _rows(target, view.image_id, marks, lesions, tissue)
    table = pd.DataFrame(
        rows,
        columns=[
            *("target", "image_id", "score", "row", "column"),
            *("hits_center", "hits_overlap", "inside_breast"),
        ],
    )
    keys = np.array(patients, dtype=str)
    pointing, n_pointing, curves = {}, {}, []
    for target, collected in counts.items():
        n_pointing[target] = len(collected.pointed)
        if collected.pointed:
            pointing[target] = _pointing(collected, keys, replicates, seed)
        for matching in MATCHINGS:
            curve = _curve(target, matching, collected, keys, replicates, seed)
            if curve is not None:
                curves.append(curve)
    inside = table["inside_breast"].dropna()
    return (
        Localization(
            curves=tuple(curves),
            pointing=pointing,
            n_pointing=n_pointing,
            inside_breast=float(inside.astype(float).mean()) if len(inside) else None,
            n_marks=len(table),
            n_views=len(patients),
        ),
        table,
    )


class _Collected:
    """What is known of one target after some views."""

    def __init__(self) -> None:
        self.scores: dict[Matching, list[float]] = {matching: [] for matching in MATCHINGS}
        self.false: dict[Matching, list[tuple[int, float]]] = {m: [] for m in MATCHINGS}
        self.lesion_views: list[int] = []
        self.groups: list[tuple[str, ...]] = []
        self.pointed: dict[int, bool] = {}

    def add(
        self,
        number: int,
        heat: npt.NDArray[np.float32],
        marks: Sequence[Mark],
        lesions: Sequence[ShownLesion],
    ) -> None:
        """Count the marks and the lesions of a view."""
        for matching in MATCHINGS:
            scores, false = match(marks, [x.mask for x in lesions], matching, UNMARKED)
            self.scores[matching] += scores
            self.false[matching] += [(number, score) for score in false]
        self.lesion_views += [number] * len(lesions)
        self.groups += [_groups(lesion) for lesion in lesions]
        if lesions:
            hottest = np.unravel_index(int(np.argmax(heat)), heat.shape)
            self.pointed[number] = any(bool(lesion.mask[hottest]) for lesion in lesions)


def _groups(lesion: ShownLesion) -> tuple[str, ...]:
    names = [f"type: {lesion.lesion_type or 'unknown'}"]
    if lesion.dimension_mm is not None:
        names.append(f"size: {size_group(lesion.dimension_mm)}")
    return tuple(names)


def _curve(
    target: Target,
    matching: Matching,
    collected: _Collected,
    patients: npt.NDArray[np.str_],
    replicates: int,
    seed: int,
) -> Curve | None:
    """The curve of one target and matching; None if it cannot be computed."""
    views = np.array(collected.lesion_views, np.int64)
    normal = ~np.isin(np.arange(len(patients)), views)
    counted = normal if normal.any() else np.ones(len(patients), np.bool_)
    false = collected.false[matching]
    scores = np.array(collected.scores[matching], np.float64)

    def marked(kept: npt.NDArray[np.bool_]) -> MarkedLesions:
        return MarkedLesions(
            scores[kept],
            views[kept],
            np.array([score for _, score in false], np.float64),
            np.array([number for number, _ in false], np.int64),
            counted,
            patients,
        )

    def widened(interval: Interval, kept: npt.NDArray[np.bool_]) -> Interval:
        return widen_extreme(interval, len(np.unique(patients[views[kept]])))

    everything = np.ones(len(scores), np.bool_)
    whole = _defined(partial(froc, marked(everything), RATES, replicates, seed))
    if whole is None:
        return None
    groups: dict[str, tuple[int, Interval | None]] = {}
    for name in sorted({name for names in collected.groups for name in names}):
        kept = np.array([name in names for names in collected.groups])
        part = _defined(partial(froc, marked(kept), (1.0,), replicates, seed))
        share = None if part is None else widened(part.at_rates[1.0], kept)
        groups[name] = (int(kept.sum()), share)
    return Curve(
        target=target,
        matching=matching,
        counted="normal" if normal.any() else "all",
        n_lesions=whole.n_lesions,
        n_marked=whole.n_marked,
        n_images=whole.n_images,
        sensitivity=whole.sensitivity,
        false_marks=whole.false_marks,
        at_rates={r: widened(share, everything) for r, share in whole.at_rates.items()},
        figure_of_merit=whole.figure_of_merit,
        groups=groups,
    )


def _defined(compute: Callable[[], _Result]) -> _Result | None:
    """A result, or None where there are too few lesions or patients for it."""
    try:
        return compute()
    except RecordError:
        return None


def _pointing(
    collected: _Collected, patients: npt.NDArray[np.str_], replicates: int, seed: int
) -> Interval:
    views = list(collected.pointed)
    hit = np.array([collected.pointed[number] for number in views])
    low, high = proportion_interval(hit, patients[views], replicates, seed)
    interval = Interval(float(hit.mean()), low, high, replicates)
    return widen_extreme(interval, len(np.unique(patients[views])))


def _rows(
    target: Target,
    image_id: str,
    marks: Sequence[Mark],
    lesions: Sequence[ShownLesion],
    tissue: Mask | None,
) -> list[dict[str, Any]]:
    rows = []
    for mark in marks:
        best = {
            matching: max(
                match([mark], [x.mask for x in lesions], matching, UNMARKED)[0], default=-1
            )
            for matching in MATCHINGS
        }
        rows.append(
            {
                "target": target,
                "image_id": image_id,
                "score": mark.score,
                "row": mark.row,
                "column": mark.column,
                **{f"hits_{name}": score >= 0 for name, score in best.items()},
                "inside_breast": None if tissue is None else bool(tissue[mark.row, mark.column]),
            }
        )
    return rows


def _breast(pixels: npt.NDArray[np.uint16]) -> Mask | None:
    try:
        return breast_mask(pixels)[0]
    except RecipeError:
        return None
