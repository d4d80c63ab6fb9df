"""The step `regions`: the original's second stage on the patch classifier's heatmaps."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.tables import put_table
from mammo_core.errors import RecordError
from mammo_core.evaluation.second_stage.forest import FittedForest, fit_forest
from mammo_core.evaluation.second_stage.regions import breast_table, feature_names, region_map
from mammo_core.evaluation.second_stage.report import RegionResult, region_report
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.metrics import auc_interval, delong_interval, roc_curve
from mammo_core.progress import progress
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.networks import load_network, training_preprocessing

#: Raised by hand when features, forest or report change.
REGIONS_REVISION = 1
REGIONS = "regions"
_KEYS = ["patient_key", "laterality"]


@step("regions")
def regions(
    context: StepContext, images: Manifest, frame: Manifest, patch_training: Manifest
) -> Manifest:
    """Describe the breasts by the regions of their heatmaps and fit the second stage."""
    recipe = context.recipe
    settings = {
        **recipe.regions.model_dump(mode="json"),
        "replicates": recipe.evaluation.bootstrap_replicates,
        "seed": recipe.seed,
    }
    inputs = [(m.kind, m.id) for m in (images, frame, patch_training)]
    id = content_id(REGIONS, REGIONS_REVISION, settings, inputs)

    def make() -> Manifest:
        return _make(context, id, settings, images, frame, patch_training)

    manifest = context.find_or_make(REGIONS, id, make)
    context.facts = manifest.facts["summary"]
    return manifest


def _make(
    context: StepContext,
    id: str,
    settings: dict[str, Any],
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest,
) -> Manifest:
    store, config, seed = context.store, context.recipe.regions, context.recipe.seed
    replicates = context.recipe.evaluation.bootstrap_replicates
    data = frame_from_manifest(store, frame)
    rows = pd.concat([data.split(split) for split in (*config.fit_on, "test")])
    maps = _maps(context, images, rows, patch_training)
    tables = {
        split: breast_table(data.split(split), maps, config.features)
        for split in (*config.fit_on, "test")
    }
    fitting = pd.concat([tables[split] for split in config.fit_on], ignore_index=True)
    fitted = fit_forest(fitting, feature_names(config.features), config.forest, seed, replicates)
    test = tables["test"].assign(probability=fitted.forest.predict(tables["test"]))
    breasts = test.groupby(_KEYS, as_index=False, sort=True).agg(
        label=("label", "max"), probability=("probability", config.features.pairs)
    )
    result = _result(fitting, fitted, breasts, replicates, seed)
    context.say(f"cross-validated AUC per breast {result.cross_validation}")
    html = region_report(
        result,
        title=f"{context.recipe.name}: second stage",
        facts={"Image dataset": images.id, "Frame": frame.id, "Patch training": patch_training.id},
    )
    folder = f"{REGIONS}/{id}"
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
    summary = {
        "cross_validation_auc": result.cross_validation.value,
        "auc": result.auc.value if result.auc else None,
        "max_depth": fitted.max_depth,
        "n_breasts": result.n_fitted,
        "n_test_breasts": result.n_test,
    }
    return publish(
        store,
        Manifest(
            kind=REGIONS,
            id=id,
            revision=REGIONS_REVISION,
            config=settings,
            files=files,
            counts={"breasts": result.n_fitted, "test_breasts": result.n_test},
            facts={"summary": {k: v for k, v in summary.items() if v is not None}},
            lineage={
                "images": images.id,
                "frame": frame.id,
                "patch_training": patch_training.id,
            },
        ),
    )


def _maps(
    context: StepContext, images: Manifest, rows: pd.DataFrame, patch_training: Manifest
) -> dict[str, npt.NDArray[np.float64]]:
    """The map of every image, a few kilobytes each."""
    network = load_network(context, patch_training)
    from mammo_core.models import fully_convolutional, heatmap

    patch_size = int(patch_training.facts["patch_size"])
    preprocessing = training_preprocessing(patch_training)
    network = fully_convolutional(network, patch_size)
    labels = dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))
    source = RecordSource(context.store, images, labels, classes=len(IMAGE_CLASSES), batch_size=8)
    maps: dict[str, npt.NDArray[np.float64]] = {}
    with progress("heatmaps", source.size, "images") as shown:
        for batch in source.batches(0):
            heats = heatmap(network, preprocessing.to_network(batch.pixels), patch_size)
            for name, heat in zip(batch.ids, heats, strict=True):
                maps[name] = region_map(heat, context.recipe.label_map)
            shown.advance(len(batch.ids))
    return maps


def _result(
    fitting: pd.DataFrame, fitted: FittedForest, test: pd.DataFrame, replicates: int, seed: int
) -> RegionResult:
    labels, scores = test["label"].to_numpy(), test["probability"].to_numpy()
    groups = test["patient_key"].to_numpy()
    found, delong, curve = None, None, None
    try:
        found = auc_interval(labels, scores, groups, replicates, seed)
        curve = roc_curve(labels, scores)
        delong = delong_interval(labels, scores, groups)
    except RecordError:
        pass  # one class, or too few patients: the report says so
    return RegionResult(
        cross_validation=fitted.cross_validation,
        auc=found,
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
