"""The counterfactual test of explanations: the same breast with and without its lesion.

The phantom draws a breast three times, with its malignant lesions, with benign ones in their place
and without any, and scans all with the same noise. Where a lesion was taken out, the heat of a
model's map must fall; the probability must fall without it or, for a model whose training had a
lesion in every view (as CBIS-DDSM has), with a benign one. Those of a model that was trained on
shuffled labels must not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.explanation import MapKind, has_patch_map, heat_of
from mammo_core.metrics import Interval
from mammo_core.metrics.bootstrap import patient_draws, percentile_interval
from mammo_core.metrics.weighted import ratio
from mammo_core.phantom import PhantomConfig, draw_view, plan_views
from mammo_core.phantom.latent import separation
from mammo_core.phantom.plan import LesionPlan
from mammo_core.preprocessing import Preprocessing
from mammo_core.progress import progress
from mammo_core.reporting import Overlay, Page, Table, overlay

#: A seed of its own: no phantom that a model was trained on has these patients.
_SEED: Final = 977_000
_SHOWN: Final = 6

Verdict = Literal["falls", "does not fall"]


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


class Fall(BaseModel):
    """How far something falls where lesions are taken out. Intervals are 95 %, by patient.

    Attributes:
        shown: Its mean with the lesions.
        removed: Its mean without them.
        fall: The mean fall.
        share: Share of the views in which it falls.
        verdict: `falls` where the whole interval of the fall is above 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    shown: float
    removed: float
    fall: Interval
    share: Interval
    verdict: Verdict


class Counterfactual(BaseModel):
    """The result for one model.

    Attributes:
        model_id: Its id.
        map_kind: How its map is made.
        n_views: Number of pairs.
        n_patients: Number of patients.
        probability: The probability of the view, without the lesions.
        against_benign: The same with benign lesions in their place.
        heat: The mean of the map where the lesions are.
        heat_elsewhere: The mean of the map in the rest of the image, which should not change.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_id: str
    map_kind: MapKind
    n_views: int
    n_patients: int
    probability: Fall
    against_benign: Fall
    heat: Fall
    heat_elsewhere: Fall

    @property
    def explains(self) -> bool:
        """Whether the heat falls where the lesions were, and the probability with or without."""
        verdicts = {self.probability.verdict, self.against_benign.verdict}
        return self.heat.verdict == "falls" and "falls" in verdicts


def draw_pairs(preprocessing: Preprocessing, patients: int, seed: int = 0) -> list[Pair]:
    """Draw views with and without their malignant lesions.

    Args:
        preprocessing: Preprocessing of the model.
        patients: Number of patients of the phantom, about half of whom have such a lesion.
        seed: Other seeds draw other patients.

    Raises:
        RecordError: None of them has one.
    """
    geometry, conversion = preprocessing.geometry, preprocessing.conversion
    if conversion.crop_to_breast or conversion.orientation != "as_stored":
        raise RecordError(
            "No pair can be drawn",
            expected="a conversion that neither crops nor turns images",
            received=f"crop {conversion.crop_to_breast}, orientation {conversion.orientation}",
        )
    config = PhantomConfig(patients=patients, seed=_SEED + seed)
    if geometry.height > config.height:  # never enlarged: it would be smoother than other images
        config = PhantomConfig(
            patients=patients, seed=_SEED + seed, height=geometry.height, width=_width(geometry)
        )
    pairs = []
    # All lesions of a view are taken out: where another stays, it could move.
    plans = [
        plan
        for plan in plan_views(config)
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


def check_explanations(
    package: Any, pairs: Sequence[Pair], *, replicates: int = 2000, seed: int = 0
) -> tuple[Counterfactual, list[Overlay]]:
    """Test the explanations of a model.

    Args:
        package: A `packaging.Package` that takes one image.
        pairs: From `draw_pairs`, in its geometry.
        replicates: Bootstrap replicates.
        seed: Seed of the draws.

    Returns:
        The result, and a few pairs as pictures: with the lesion, then without it.

    Raises:
        ModelError: The package takes both views of a breast.
    """
    if package.unit != "image":
        raise ModelError(
            "The explanations of this model cannot be tested",
            expected="a package that takes one image",
            received=f"one that takes a {package.unit}",
        )
    kind: MapKind = "patch classifier" if has_patch_map(package) else "occlusion"
    rows, overlays = [], []
    with progress("explain", len(pairs), "pairs") as bar:
        for number, pair in enumerate(pairs):
            stack = np.stack([pair.shown, pair.removed, pair.shown, pair.benign])
            probabilities = package.predict(stack)
            maps = [heat_of(package, pixels, kind) for pixels in (pair.shown, pair.removed)]
            rows.append(
                [
                    *(float(value) for value in probabilities),
                    *(float(heat[pair.mask].mean()) for heat in maps),
                    *(float(heat[~pair.mask].mean()) for heat in maps),
                ]
            )
            if number < _SHOWN:
                for pixels, heat, text, value in zip(
                    (pair.shown, pair.removed),
                    maps,
                    ("with", "without"),
                    probabilities[:2],
                    strict=True,
                ):
                    caption = f"{pair.name} {text} its malignant lesion: probability {value:.2f}"
                    overlays.append(Overlay(pixels, heat, pair.mask, caption))
            bar.advance()
    table = np.array(rows)
    patients = np.array([pair.patient_key for pair in pairs])

    def fall(column: int) -> Fall:
        return _fall(table[:, column], table[:, column + 1], patients, replicates, seed)

    result = Counterfactual(
        model_id=package.model_id,
        map_kind=kind,
        n_views=len(pairs),
        n_patients=len(set(patients.tolist())),
        probability=fall(0),
        against_benign=fall(2),
        heat=fall(4),
        heat_elsewhere=fall(6),
    )
    return result, overlays


def explanation_page(results: dict[str, Counterfactual], overlays: Sequence[Overlay]) -> str:
    """Return the page of the test: HTML that needs no other file.

    Args:
        results: Name of each model → its result.
        overlays: Pictures of the first one.
    """
    page = Page("Counterfactual test of explanations", "The same breast with and without a lesion")
    rows = [
        {
            "model": name,
            "measured": what,
            "with the lesion": f"{fall.shown:.3f}",
            "without it, or with a benign one": f"{fall.removed:.3f}",
            "fall": str(fall.fall),
            "views in which it falls": str(fall.share),
            "result": fall.verdict,
        }
        for name, result in results.items()
        for what, fall in (
            ("probability", result.probability),
            ("probability, with a benign lesion in its place", result.against_benign),
            ("heat where the lesion is", result.heat),
            ("heat elsewhere", result.heat_elsewhere),
        )
    ]
    first = next(iter(results.values()))
    page.section(
        "Result",
        f"{first.n_views:,} views of {first.n_patients:,} patients of the phantom, drawn with the "
        "same noise. Where a lesion is taken out, the heat of a trained model falls; so does its "
        "probability there, or with a benign lesion instead, if its training had a lesion in every "
        "view. A model of shuffled labels does not fall.",
    )
    page.table(Table.from_records(rows))
    if overlays:
        page.section("Pairs", "Outlined: where the lesion is, or was.")
        for picture in overlays:
            page.figure(overlay(picture), picture.caption)
    return page.html()


def _fall(
    shown: npt.NDArray[np.float64],
    removed: npt.NDArray[np.float64],
    patients: npt.NDArray[np.str_],
    replicates: int,
    seed: int,
) -> Fall:
    patient_of, draws = patient_draws(len(shown), patients, replicates, seed)
    falls = shown - removed
    values = np.stack([falls, falls > 0], axis=1)
    drawn = np.concatenate(
        [
            ratio(times[:, patient_of] @ values, times[:, patient_of].sum(axis=1, keepdims=True))
            for times in draws
        ]
    )
    interval, share = (
        percentile_interval(float(values[:, column].mean()), drawn[:, column]) for column in (0, 1)
    )
    return Fall(
        shown=float(shown.mean()),
        removed=float(removed.mean()),
        fall=interval,
        share=share,
        verdict="falls" if interval.low > 0 else "does not fall",
    )


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
