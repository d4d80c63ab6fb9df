"""Region features of heatmaps, as in the second stage of the original system.

docs/original-system.md, "Region features and the second stage": at each cutoff the hot regions of
the malignant and of the benign map are described by 3 + 16 k numbers; a breast is described by
its CC and its MLO view. With k = 2 that is 140 numbers per cutoff, with k = 3 it is 204.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.evaluation.second_stage.config import RegionConfig
from mammo_core.sampling.labels import LabelMap

if TYPE_CHECKING:
    import pandas as pd

#: Classes of a region map, in the order of the original.
REGION_CLASSES = ("background", "malignant", "benign")

#: Features of all regions of a class together.
TOTALS = ("nb_regions", "total_area", "global_max_intensity")

#: Features of one region, in the order of the original. Areas and lengths are in heatmap cells.
REGION_FEATURES = (
    "area",
    "area_over_convex_area",
    "area_over_filled_area",
    "eccentricity",
    "equivalent_diameter",
    "euler_number",
    "extent",
    "inertia_eigenvalue_1",
    "inertia_eigenvalue_2",
    "major_axis_length",
    "minor_axis_length",
    "max_intensity",
    "mean_intensity",
    "orientation",
    "perimeter",
    "solidity",
)

_VIEWS = ("cc", "mlo")

#: Features of an absent region; the Euler number as in the original.
_ABSENT = {**dict.fromkeys(REGION_FEATURES, 0.0), "euler_number": 2.0}


def region_map(heat: npt.NDArray[Any], labels: LabelMap) -> npt.NDArray[np.float64]:
    """Merge the classes of a patch classifier into background, malignant and benign.

    Args:
        heat: `(rows, cols, classes) float, [0, 1]`.
        labels: The classes of the last axis.

    Returns:
        `(rows, cols, 3) float64`, the classes in the order of `REGION_CLASSES`.

    Raises:
        RecordError: The heatmap does not match the classes, or a class has both malignant and
            benign lesions.
    """
    kinds = [
        {lesion.rpartition("_")[2] for lesion in patch_class.lesions}
        for patch_class in labels.classes
    ]
    if heat.ndim != 3 or heat.shape[2] != len(kinds) or any(len(kind) > 1 for kind in kinds):
        raise RecordError(
            "The regions of this heatmap are neither malignant nor benign",
            expected="(rows, columns, classes), each class with lesions of one kind only",
            received=f"shape {heat.shape} for {', '.join(labels.names)}",
        )
    merged = np.zeros((*heat.shape[:2], len(REGION_CLASSES)))
    for index, kind in enumerate(kinds):
        merged[..., 1 if kind == {"mal"} else 2 if kind == {"ben"} else 0] += heat[..., index]
    return merged


def feature_names(config: RegionConfig) -> tuple[str, ...]:
    """Return the names of a breast's features, in order (`cutoff_0.50_cc_mal_1_area`)."""
    return tuple(
        f"cutoff_{cutoff:.2f}_{view}_{name}"
        for cutoff in config.cutoffs
        for view in _VIEWS
        for name in _view_names(config.regions)
    )


def region_features(
    heat: npt.NDArray[Any] | None, cutoff: float, regions: int = 1
) -> dict[str, float]:
    """Describe the hot regions of one view at one cutoff.

    Args:
        heat: `(rows, cols, 3) float, [0, 1]`, from `region_map`; None for a missing view.
        cutoff: Least probability of a cell.
        regions: Number of regions that are described, the largest first (k).

    Returns:
        2 x (3 + 16 k) numbers: `mal_nb_regions`, …, `mal_1_area`, …, `ben_nb_regions`, … All
        are NaN for a missing view. For an absent region all are 0 except the Euler number,
        which is 2, as in the original.

    Raises:
        RecordError: The heatmap has another shape, or a value is not finite.
    """
    if heat is None:
        return dict.fromkeys(_view_names(regions), float("nan"))
    if heat.ndim != 3 or heat.shape[2] != len(REGION_CLASSES) or not np.isfinite(heat).all():
        raise RecordError(
            "The regions of this heatmap cannot be described",
            expected=f"finite numbers of shape (rows, columns, {len(REGION_CLASSES)})",
            received=f"shape {heat.shape}",
        )
    return {
        f"{name}_{key}": value
        for name, index in (("mal", 1), ("ben", 2))
        for key, value in _class_features(heat[..., index], cutoff, regions)
    }


def breast_features(
    cc: npt.NDArray[Any] | None, mlo: npt.NDArray[Any] | None, config: RegionConfig
) -> dict[str, float]:
    """Describe a breast by the hot regions of its two views.

    Args:
        cc: `(rows, cols, 3) float, [0, 1]`, from `region_map`; None for a missing view.
        mlo: Likewise.
        config: Cutoffs and k.

    Returns:
        The value of each of `feature_names`, in that order.

    Raises:
        RecordError: As in `region_features`.
    """
    return {
        f"cutoff_{cutoff:.2f}_{view}_{name}": value
        for cutoff in config.cutoffs
        for view, heat in zip(_VIEWS, (cc, mlo), strict=True)
        for name, value in region_features(heat, cutoff, config.regions).items()
    }


def breast_table(
    images: "pd.DataFrame", maps: Mapping[str, npt.NDArray[Any]], config: RegionConfig
) -> "pd.DataFrame":
    """Describe the breasts of a table of images, one row per pair of a CC and an MLO image.

    Args:
        images: image_id, patient_key, exam_key, laterality, view_class, label. Images that do not
            count as CC or MLO (spot views, for instance) are ignored.
        maps: Image id → map `(rows, cols, 3) float64, [0, 1]`, from `region_map`.
        config: Which regions are described.

    Returns:
        patient_key, exam_key, laterality, label (1: any image of the breast is malignant),
        cc_image, mlo_image (empty for a missing view), and `feature_names`. A breast without both
        views has no row.

    Raises:
        RecordError: A map is missing, or as in `region_features`.
    """
    import pandas as pd

    absent = [name for name in images["image_id"] if name not in maps]
    if absent:
        raise RecordError(
            "An image has no heatmap",
            expected="a heatmap for each image",
            received=f"{len(absent)} images without, first {absent[0]}",
        )
    rows = []
    keys = ["patient_key", "exam_key", "laterality"]
    by_breast = images.sort_values("image_id").groupby(keys, sort=True)
    for (patient, exam, side), breast in by_breast:
        for cc, mlo in _pairs(breast):
            rows.append(
                {
                    "patient_key": patient,
                    "exam_key": exam,
                    "laterality": side,
                    "label": int(breast["label"].max()),
                    "cc_image": cc or "",
                    "mlo_image": mlo or "",
                    **breast_features(
                        None if cc is None else maps[cc],
                        None if mlo is None else maps[mlo],
                        config,
                    ),
                }
            )
    head = [*keys, "label", "cc_image", "mlo_image"]
    return pd.DataFrame(rows, columns=[*head, *feature_names(config)])


def _pairs(breast: "pd.DataFrame") -> Iterator[tuple[str | None, str | None]]:
    chosen: dict[str, list[str | None]] = {
        view: [
            str(image)
            for image, name in zip(breast["image_id"], breast["view_class"], strict=True)
            if name == view.upper()
        ]
        for view in _VIEWS
    }
    if chosen["cc"] or chosen["mlo"]:
        yield from itertools.product(chosen["cc"] or [None], chosen["mlo"] or [None])


def _view_names(regions: int) -> list[str]:
    return [
        f"{kind}_{name}"
        for kind in ("mal", "ben")
        for name in (
            *TOTALS,
            *(f"{rank}_{name}" for rank in range(1, regions + 1) for name in REGION_FEATURES),
        )
    ]


def _class_features(
    heat: npt.NDArray[Any], cutoff: float, regions: int
) -> Iterator[tuple[str, float]]:
    from skimage.measure import label, regionprops

    connected = regionprops(label(heat >= cutoff), intensity_image=heat)
    yield "nb_regions", float(len(connected))
    yield "total_area", float(sum(region.area for region in connected))
    yield (
        "global_max_intensity",
        max((float(region.intensity_max) for region in connected), default=0.0),
    )
    # Stable: of regions of one size the upper left comes first.
    largest = sorted(connected, key=lambda region: -region.area)[:regions]
    for rank in range(1, regions + 1):
        features = _single_region(largest[rank - 1]) if rank <= len(largest) else _ABSENT
        for name in REGION_FEATURES:
            yield f"{rank}_{name}", features[name]


def _single_region(region: Any) -> dict[str, float]:
    eigenvalues = region.inertia_tensor_eigvals
    values = {
        "area": region.area,
        "area_over_convex_area": region.area / region.area_convex,
        "area_over_filled_area": region.area / region.area_filled,
        "eccentricity": region.eccentricity,
        "equivalent_diameter": region.equivalent_diameter_area,
        "euler_number": _euler_number(region),
        "extent": region.extent,
        "inertia_eigenvalue_1": eigenvalues[0],
        "inertia_eigenvalue_2": eigenvalues[1],
        "major_axis_length": region.axis_major_length,
        "minor_axis_length": region.axis_minor_length,
        "max_intensity": region.intensity_max,
        "mean_intensity": region.intensity_mean,
        "orientation": _orientation(region),
        "perimeter": region.perimeter,
        "solidity": region.solidity,
    }
    return {name: float(value) for name, value in values.items()}


def _euler_number(region: Any) -> int:
    """1 minus the number of holes, which are connected by edges and corners.

    As in scikit-image 0.13; current versions connect holes by edges only.
    """
    from skimage.measure import label

    return 1 - int(label(region.image_filled != region.image, connectivity=2).max())


def _orientation(region: Any) -> float:
    """Angle of the major axis to the horizontal, counterclockwise, [-pi/2, pi/2].

    As in scikit-image before 0.16, which the original used; now it is to the vertical.
    """
    (across, mixed), (_, down) = region.inertia_tensor
    # The tensor contains the variances along columns and rows, and minus their covariance.
    if across == down:
        return -np.pi / 4 if mixed < 0 else np.pi / 4
    return float(-0.5 * np.arctan2(-2 * mixed, across - down))
