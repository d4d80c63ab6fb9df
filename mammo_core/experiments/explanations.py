"""The counterfactual test of explanations: the same breast with and without its lesion.

The phantom draws a breast three times, with its malignant lesions, with benign ones in their place
and without any, and scans all with the same noise. Where a lesion was taken out, the heat of a
model's map must fall, and with a benign one in its place the heat of malignancy; the probability
must fall without it or, for a model whose training had a lesion in every view (as CBIS-DDSM has),
with a benign one. For a model that was trained on shuffled labels, neither probability nor the heat
of malignancy may fall. The heat of any lesion may: shuffled labels still say where lesions are.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from mammo_core.errors import ModelError
from mammo_core.evaluation.explanation import MapKind, has_patch_map, heat_of
from mammo_core.evaluation.patch_heat import patch_heatmaps
from mammo_core.evaluation.predictions import widen_extreme
from mammo_core.experiments.lesion_pairs import Pair
from mammo_core.metrics import Interval
from mammo_core.metrics.bootstrap import patient_draws, percentile_interval
from mammo_core.metrics.weighted import ratio
from mammo_core.progress import progress
from mammo_core.reporting import Overlay, Page, Table, overlay

_SHOWN: Final = 6

Verdict = Literal["falls", "does not fall"]


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
        malignant_heat: The same of a map of malignant lesions, with benign ones in their place;
            None if the classes of the patch classifier do not say which are malignant.
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
    malignant_heat: Fall | None
    heat_elsewhere: Fall

    @property
    def explains(self) -> bool:
        """Whether heat falls where the lesions were, and the probability in one of both ways."""
        probability = {self.probability.verdict, self.against_benign.verdict}
        heat = {fall.verdict for fall in (self.heat, self.malignant_heat) if fall is not None}
        return heat == {"falls"} and "falls" in probability


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
    malignant = _malignant_classes(package) if kind == "patch classifier" else []
    rows, overlays = [], []
    with progress("explain", len(pairs), "pairs") as bar:
        for number, pair in enumerate(pairs):
            stack = np.stack([pair.shown, pair.removed, pair.shown, pair.benign])
            probabilities = package.predict(stack)
            maps = [heat_of(package, pixels, kind) for pixels in (pair.shown, pair.removed)]
            both = [_malignant_heat(package, p, malignant) for p in (pair.shown, pair.benign)]
            rows.append(
                [
                    *(float(value) for value in probabilities),
                    *(float(heat[pair.mask].mean()) for heat in maps),
                    *(float(heat[~pair.mask].mean()) for heat in maps),
                    *(float(heat[pair.mask].mean()) for heat in both),
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
        malignant_heat=fall(8) if malignant else None,
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
            ("heat of malignancy, with a benign lesion in its place", result.malignant_heat),
            ("heat elsewhere", result.heat_elsewhere),
        )
        if fall is not None
    ]
    first = next(iter(results.values()))
    page.section(
        "Result",
        f"{first.n_views:,} views of {first.n_patients:,} patients of the phantom, drawn with the "
        "same noise. Where a lesion is taken out, the heat of a trained model falls; so does its "
        "probability there, or with a benign lesion instead, if its training had a lesion in every "
        "view. Of a model of shuffled labels, neither the probability nor the heat of malignancy "
        "falls; that of any lesion may, because shuffled labels still say where lesions are.",
    )
    page.table(Table.from_records(rows))
    if overlays:
        page.section("Pairs", "Outlined: where the lesion is, or was.")
        for picture in overlays:
            page.figure(overlay(picture), picture.caption)
    return page.html()


def _malignant_classes(package: Any) -> list[int]:
    """The classes of a patch classifier that are malignant, by their names."""
    return [
        index
        for name, index in package.labels.patch.items()
        if name == "malignant" or name.endswith("_mal")
    ]


def _malignant_heat(
    package: Any, pixels: npt.NDArray[np.uint16], classes: list[int]
) -> npt.NDArray[np.float32]:
    """The probability of a malignant lesion at each pixel, `(h, w) float32, [0, 1]`."""
    if not classes:
        return np.zeros(pixels.shape, np.float32)
    images = package.preprocessing.to_network(pixels[np.newaxis])
    side = package.manifest.patch_size
    heat: npt.NDArray[np.float32]
    (heat,) = patch_heatmaps(package.patch_model, images, side, [classes])[0]
    return heat


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
        share=widen_extreme(share, len(set(patients.tolist()))),
        verdict="falls" if interval.low > 0 else "does not fall",
    )
