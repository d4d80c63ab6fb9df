"""Fit the second stage on the heatmaps of a patch classifier with its report."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.evaluation.kinds import REGIONS, RegionFacts
from mammo_core.evaluation.second_stage.config import SecondStageConfig
from mammo_core.evaluation.second_stage.forest import FittedForest, fit_forest
from mammo_core.evaluation.second_stage.regions import breast_table, feature_names, region_map
from mammo_core.evaluation.second_stage.report import RegionResult, region_report
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.metrics import auc_interval, delong_interval, roc_curve
from mammo_core.progress import progress
from mammo_core.sampling import LabelMap
from mammo_core.store import Store
from mammo_core.training.kinds import PATCH_TRAINING
from mammo_core.training.networks import load_network

_KEYS = ["patient_key", "exam_key", "laterality"]


@dataclass(frozen=True)
class SecondStageOptions:
    """The options of the second stage.

    Attributes:
        recipe: Name of the recipe.
        config: Features, forest and splits.
        label_map: The classes of patches.
        replicates: Bootstrap replicates of the intervals.
        seed: Seed of the forest and the bootstrap.
    """

    recipe: str
    config: SecondStageConfig
    label_map: LabelMap
    replicates: int
    seed: int


def make_regions(
    attempt: Attempt,
    id: str,
    settings: Mapping[str, Any],
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    options: SecondStageOptions,
    print_line: Callable[[str], None],
) -> Draft:
    """Describe breasts by the regions of their heatmaps, and fit the forest.

    Args:
        attempt: The attempt to make the output.
        id: Id of the output.
        settings: The configuration that entered the id.
        images: The image dataset.
        frame: The frame.
        patch_training: The patch classifier.
        options: How it is done.
        print_line: Prints a line.
    """
    store, config = attempt.store, options.config
    data = frame_from_manifest(store, frame)
    splits = (*config.fit_on, "test")
    rows = pd.concat([data.split(split) for split in splits])
    maps = _region_maps(store, images, rows, patch_training, options.label_map)
    tables = {split: breast_table(data.split(split), maps, config.features) for split in splits}
    fitting = pd.concat([tables[split] for split in config.fit_on], ignore_index=True)
    fitted = fit_forest(
        fitting, feature_names(config.features), config.forest, options.seed, options.replicates
    )
    test = tables["test"].assign(probability=fitted.forest.predict(tables["test"]))
    breasts = test.groupby(_KEYS, as_index=False, sort=True).agg(
        label=("label", "max"), probability=("probability", config.features.pairs)
    )
    result = _result(fitting, fitted, breasts, options.replicates, options.seed)
    print_line(f"cross-validated AUC per breast {result.cross_validation}")
    html = region_report(
        result,
        title=f"{options.recipe}: second stage",
        facts={"Image dataset": images.id, "Frame": frame.id, "Patch training": patch_training.id},
    )
    folder = attempt.folder(REGIONS.output(id))
    features = pd.concat(
        [table.assign(split=split) for split, table in tables.items()], ignore_index=True
    )
    files = (
        put_table(store, folder, "features.parquet", features),
        put_table(store, folder, "test.parquet", breasts),
        put_bytes(store, folder, "forest.npz", fitted.forest.to_bytes()),
        put_bytes(store, folder, "metrics.json", result.model_dump_json(indent=1).encode()),
        put_bytes(store, folder, "report.html", html.encode()),
    )
    return Draft(
        REGIONS.manifest(
            id,
            config=settings,
            files=files,
            counts={"breasts": result.n_fitted, "test_breasts": result.n_test},
            facts=RegionFacts(
                cross_validation_auc=result.cross_validation.value,
                auc=result.auc.value if result.auc else None,
                max_depth=fitted.max_depth,
                n_breasts=result.n_fitted,
                n_test_breasts=result.n_test,
            ),
            lineage={
                "images": images.id,
                "frame": frame.id,
                "patch_training": patch_training.id,
            },
        ),
    )


def _region_maps(
    store: Store,
    images: Manifest,
    rows: pd.DataFrame,
    patch_training: Manifest,
    label_map: LabelMap,
) -> dict[str, npt.NDArray[np.float64]]:
    """Return image id → region map; a map has a few kilobytes."""
    network = load_network(store, patch_training)
    from mammo_core.models import fully_convolutional, heatmap

    facts = PATCH_TRAINING.facts_of(patch_training)
    network = fully_convolutional(network, facts.patch_size)
    labels = dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))
    source = RecordSource(store, images, labels, classes=len(IMAGE_CLASSES), batch_size=8)
    maps: dict[str, npt.NDArray[np.float64]] = {}
    with progress("heatmaps", source.size, "images") as bar:
        for batch in source.batches(0):
            pixels = facts.preprocessing.to_network(batch.pixels)
            heats = heatmap(network, pixels, facts.patch_size)
            for name, heat in zip(batch.ids, heats, strict=True):
                maps[name] = region_map(heat, label_map)
            bar.advance(len(batch.ids))
    return maps


def _result(
    fitting: pd.DataFrame, fitted: FittedForest, test: pd.DataFrame, replicates: int, seed: int
) -> RegionResult:
    labels, scores = test["label"].to_numpy(), test["probability"].to_numpy()
    groups = test["patient_key"].to_numpy()
    interval, delong, curve = None, None, None
    try:
        interval = auc_interval(labels, scores, groups, replicates, seed)
        curve = roc_curve(labels, scores)
        delong = delong_interval(labels, scores, groups)
    except RecordError:
        pass  # one class, or too few patients: the report says so
    return RegionResult(
        cross_validation=fitted.cross_validation,
        auc=interval,
        auc_delong=delong,
        roc=curve,
        max_depth=fitted.max_depth,
        least_split=fitted.least_split,
        tried=fitted.tried,
        importance=fitted.importance[:20],
        n_fitted=len(fitting[_KEYS].drop_duplicates()),
        n_fitted_malignant=int(fitting.groupby(_KEYS)["label"].max().sum()),
        n_test=len(test),
        n_test_malignant=int(labels.sum()),
    )
