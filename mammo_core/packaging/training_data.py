"""What a model was fitted to, as its package states it."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mammo_core.dicom.meanings.manufacturers import is_phantom
from mammo_core.features.frame import SPLITS, Frame
from mammo_core.packaging.contents import TrainingData

if TYPE_CHECKING:
    import pandas as pd

_WEIGHTS: Mapping[str, str] = MappingProxyType(
    {
        "none": "random",
        "imagenet": "ImageNet, by Keras Applications; ImageNet: non-commercial research",
    }
)


def training_data(
    frame: Frame,
    tables: "pd.DataFrame | None",
    *,
    source: str,
    recipe: str,
    license: str,
    weights: str,
    split: str,
) -> TrainingData:
    """Describe the training data of a model; a package warns of images unlike it.

    Args:
        frame: The frame of the training.
        tables: The images of the source tables; None when they are gone: views, manufacturers
            and sizes are then those that the frame knows, if any.
        source: Name of the source.
        recipe: Name of the recipe.
        license: License of the source's data; empty if unknown.
        weights: `none`, `imagenet`, or the model that the training started from.
        split: Name of the split.
    """
    train = frame.split("train")
    rows = tables[tables["image_id"].isin(set(train["image_id"]))] if tables is not None else train

    def values(column: str) -> list[Any]:
        return sorted(set(rows[column].dropna()) - {""}) if column in rows else []

    splits = {name: frame.split(name) for name in SPLITS}
    manufacturers = tuple(map(str, values("manufacturer")))
    synthetic = bool(manufacturers) and all(map(is_phantom, manufacturers))
    return TrainingData(
        description=f"{'synthetic phantoms, ' if synthetic else ''}{source}, recipe {recipe}",
        license="none needed: drawn by a program" if synthetic else license,
        weights=_WEIGHTS.get(weights, f"{weights}: see its own license"),
        split=split,
        images={name: len(images) for name, images in splits.items()},
        patients={name: int(images["patient_key"].nunique()) for name, images in splits.items()},
        malignant={name: int(images["label"].sum()) for name, images in splits.items()},
        views=tuple(map(str, values("view"))),
        manufacturers=manufacturers,
        bits_stored=tuple(map(int, values("bits_stored"))),
        policy=frame.image_policy,
        withheld=frame.facts.withheld,
        gray_levels=frame.facts.gray_levels,
        smallest=(int(rows["rows"].min()), int(rows["columns"].min())) if "rows" in rows else None,
    )
