"""The step that evaluates: what it measures and draws."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.datasets import ImageRecord, Manifest, PatchRecord, content_id, publish
from mammo_core.datasets.manifests import fetch_verified, find, put_bytes
from mammo_core.datasets.readers import RecordSource
from mammo_core.datasets.shards import read_shard
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.evaluation import EvaluationConfig, patch_evaluation, report
from mammo_core.evaluation import evaluate as evaluate_images
from mammo_core.evaluation.averaging import shifted, shifts
from mammo_core.features.frame import IMAGE_CLASSES, SPLITS, Frame, from_manifest
from mammo_core.preprocessing import Preprocessing
from mammo_core.progress import progress
from mammo_core.reporting import Overlay
from mammo_core.seeds import generator
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.data import TABLES, rejects_of
from mammo_core.steps.networks import load_network, training_preprocessing
from mammo_core.store import Store

#: Raised by hand when the numbers or the report change.
EVALUATION_REVISION = 2
EVALUATION = "evaluations"
_PATCHES_SHOWN = 8


@step("evaluate")
def evaluate(
    context: StepContext,
    images: Manifest,
    patches: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
) -> Manifest:
    """Evaluate both classifiers on the test split and write the report."""
    recipe = context.recipe
    settings = {**recipe.evaluation.model_dump(mode="json"), "seed": recipe.seed}
    id = content_id(
        EVALUATION,
        EVALUATION_REVISION,
        settings,
        [(m.kind, m.id) for m in (images, patches, frame, patch_training, image_training)],
    )

    def make() -> Manifest:
        return _evaluate_and_report(
            context,
            Manifest(
                kind=EVALUATION,
                id=id,
                revision=EVALUATION_REVISION,
                config=settings,
                files=(),
                lineage={
                    "images": images.id,
                    "patches": patches.id,
                    "frame": frame.id,
                    "patch_training": patch_training.id,
                    "image_training": image_training.id,
                },
            ),
            images,
            patches,
            frame,
            patch_training,
            image_training,
        )

    manifest = context.find_or_make(EVALUATION, id, make)
    _publish_scores(context.store, manifest, frame, image_training)
    context.facts = manifest.facts["summary"]
    return manifest


def _publish_scores(
    store: Store, evaluation: Manifest, frame: Manifest, image_training: Manifest
) -> None:
    """What the model said of each image is a feature like any other."""
    from mammo_core.features import MAIN, publish_scores

    tables = [read_table(store, evaluation, f"{name}.parquet") for name in ("test", "validation")]
    publish_scores(
        store,
        pd.concat(tables, ignore_index=True),
        folder=str(frame.config.get("folder", MAIN)),
        model_id=image_training.id,
        evaluation_id=evaluation.id,
    )


def _evaluate_and_report(
    context: StepContext,
    manifest: Manifest,
    images: Manifest,
    patches: Manifest,
    frame: Manifest,
    patch_training: Manifest,
    image_training: Manifest,
) -> Manifest:
    """Score the test split with both classifiers, and publish predictions, numbers, report.

    Args:
        context: The step's.
        manifest: The output to fill: its id, configuration and lineage are set.
        images: The image dataset.
        patches: The patch dataset.
        frame: The frame.
        patch_training: The patch classifier.
        image_training: The whole-image classifier.
    """
    store, recipe = context.store, context.recipe
    data = from_manifest(store, frame)
    image_model = load_network(context, image_training)
    patch_model = load_network(context, patch_training)
    preprocessing = training_preprocessing(image_training)

    predictions = {
        split: image_predictions(
            store, images, data, split, image_model, preprocessing, recipe.evaluation
        )
        for split in ("test", "validation")
    }
    result = evaluate_images(
        predictions["test"], predictions["validation"], recipe.evaluation, recipe.seed
    )
    table = read_table(store, patches, "patches.parquet")
    labels = data.patch_labels(table, "test", recipe.label_map)
    patch_result = _evaluate_patches(context, patches, labels, patch_model, preprocessing)
    context.say(f"test AUC {result.auc:.4f}, patch accuracy {patch_result.accuracy:.4f}")

    indexed = find(store, TABLES, images.lineage["tables"])
    outputs = [found for found in (indexed, images, patches) if found is not None]
    html = report(
        title=f"{recipe.name}: evaluation",
        facts={
            "Recipe": recipe.name,
            "Labels": "permuted over patients (a check)" if data.shuffled_labels else "as given",
            "Image dataset": images.id,
            "Patch dataset": patches.id,
            "Frame": frame.id,
            "Patch training": patch_training.id,
            "Whole-image training": image_training.id,
            "Leaking patients": len(data.facts["leaking_patients"]),
        },
        result=result,
        dataset_counts=[{"split": split, **data.facts["splits"][split]} for split in SPLITS],
        patches=patch_result,
        histories={
            "Patch classifier": _history(store, patch_training),
            "Whole-image classifier": _history(store, image_training),
        },
        patch_examples=_patch_examples(store, patches, labels, recipe.label_map.names, recipe.seed),
        overlays=_overlays(
            store,
            images,
            predictions["test"],
            patch_model,
            preprocessing,
            int(patch_training.facts["patch_size"]),
            recipe.evaluation.overlays,
        ),
        rejects=rejects_of(context, *outputs),
    )
    metrics = {
        "image": result.model_dump(mode="json"),
        "patch": patch_result.model_dump(mode="json"),
    }
    folder = manifest.folder
    files = (
        put_bytes(store, folder, "report.html", html.encode()),
        put_bytes(
            store, folder, "decision_rules.json", (result.rules.model_dump_json() + "\n").encode()
        ),
        put_bytes(
            store, folder, "metrics.json", json.dumps(metrics, sort_keys=True, indent=1).encode()
        ),
        put_table(store, folder, "test.parquet", predictions["test"]),
        put_table(store, folder, "validation.parquet", predictions["validation"]),
    )
    summary = {
        "patch_accuracy": patch_result.accuracy,
        "auc": result.auc,
        "auc_ci95": list(result.auc_ci95),
        "n_test_images": result.n_images,
        "n_test_views": result.n_views,
        "n_test_patients": result.n_patients,
        "n_test_patches": patch_result.n_patches,
    }
    counts = {"test_images": result.n_images, "test_patches": patch_result.n_patches}
    facts = {"summary": summary, "shuffled_labels": data.shuffled_labels}
    return publish(
        store, manifest.model_copy(update={"files": files, "counts": counts, "facts": facts})
    )


def image_predictions(
    store: Store,
    images: Manifest,
    frame: Frame,
    split: str,
    model: Any,
    preprocessing: Preprocessing,
    config: EvaluationConfig,
) -> pd.DataFrame:
    """Score the images of a split, averaged over flips and translations as configured.

    Returns:
        A row per image: image_id, patient_key, view_id, laterality, view, label, probability
        (malignant, [0, 1]), sorted by id.
    """
    from mammo_core.training import predict

    rows = frame.split(split)
    labels = frame.image_labels(split)
    source = RecordSource(store, images, labels, classes=len(IMAGE_CLASSES), batch_size=8)
    places = shifts(config.translation)
    total: Any = 0.0
    with progress(f"score {split}", source.size * len(places), "images") as shown:
        for down, right in places:

            def to_network(
                pixels: npt.NDArray[np.uint16], down: int = down, right: int = right
            ) -> npt.NDArray[np.float32]:
                return preprocessing.to_network(shifted(pixels, down, right))

            ids, probabilities, _ = predict(
                model, source, to_network, config.flips, on_batch=shown.advance
            )
            total = total + probabilities[:, 1].astype(float)
    scores = dict(zip(ids, total / len(places), strict=True))
    columns = ["image_id", "patient_key", "view_id", "laterality", "view", "label"]
    return rows[columns].assign(probability=rows["image_id"].map(scores))


def _evaluate_patches(
    context: StepContext,
    patches: Manifest,
    labels: dict[str, int],
    model: Any,
    preprocessing: Preprocessing,
) -> Any:
    from mammo_core.training import predict

    classes = context.recipe.label_map.names
    source = RecordSource(context.store, patches, labels, classes=len(classes), batch_size=64)
    _, probabilities, truth = predict(model, source, preprocessing.to_network)
    return patch_evaluation(truth, probabilities, classes)


def _history(store: Store, training: Manifest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        fetch_verified(store, training.file("history.json")).read_bytes()
    )
    return rows


def _patch_examples(
    store: Store, patches: Manifest, labels: dict[str, int], classes: Sequence[str], seed: int
) -> dict[str, npt.NDArray[np.uint16]]:
    by_class: dict[int, list[str]] = defaultdict(list)
    for name in sorted(labels):
        by_class[labels[name]].append(name)
    chosen: dict[str, int] = {}
    for index, names in by_class.items():
        draw = generator(seed, "patch-examples", index)
        for position in draw.permutation(len(names))[:_PATCHES_SHOWN]:
            chosen[names[position]] = index
    pictures: dict[int, list[npt.NDArray[np.uint16]]] = defaultdict(list)
    for file in patches.files_like("shard-"):
        for record in map(PatchRecord.from_bytes, read_shard(store, file)):
            if record.patch_id in chosen:
                pictures[chosen[record.patch_id]].append(record.pixels)
    return {classes[index]: np.stack(pictures[index]) for index in sorted(pictures)}


def _overlays(
    store: Store,
    images: Manifest,
    predictions: pd.DataFrame,
    patch_model: Any,
    preprocessing: Preprocessing,
    patch_size: int,
    count: int,
) -> list[Overlay]:
    """The most and the least suspicious test views of both labels, with their heatmaps."""
    from mammo_core.models import coordinates, fully_convolutional, heatmap

    ordered = predictions.sort_values(["probability", "image_id"])
    positive, negative = ordered[ordered["label"] == 1], ordered[ordered["label"] == 0]
    half = (count + 1) // 2
    picked = pd.concat(
        [
            positive.tail(half - half // 3),
            positive.head(half // 3),
            negative.head(count - half - (count - half) // 3),
            negative.tail((count - half) // 3),
        ]
    ).drop_duplicates("image_id")
    wanted = {row.image_id: row for row in picked.itertuples()}
    records: dict[str, ImageRecord] = {}
    for file in images.files_like("shard-"):
        for record in map(ImageRecord.from_bytes, read_shard(store, file)):
            if record.image_id in wanted:
                records[record.image_id] = record
    network = fully_convolutional(patch_model, patch_size)
    overlays = []
    for name, row in wanted.items():
        record = records[name]
        maps = heatmap(network, preprocessing.to_network(record.pixels[np.newaxis]), patch_size)
        heat = 1.0 - maps[0, :, :, 0]  # whatever is not background
        rows, columns = coordinates(patch_model, record.pixels.shape, patch_size)
        mask = np.zeros(record.pixels.shape, bool)
        for lesion in record.lesions:
            mask |= lesion.mask
        label = "malignant" if row.label else "benign"
        overlays.append(
            Overlay(
                image=record.pixels,
                heat=_spread(heat, rows, columns, record.pixels.shape),
                mask=mask,
                caption=f"{row.view_id}: {label}, malignant probability {row.probability:.2f}",
            )
        )
    return overlays


def _spread(
    heat: npt.NDArray[np.floating[Any]],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    shape: tuple[int, ...],
) -> npt.NDArray[np.float64]:
    """Bring a heatmap to image size by its cells' centres; 0 beyond the outermost ones."""
    vertical = np.stack([np.interp(np.arange(shape[0]), rows, h, 0, 0) for h in heat.T], axis=1)
    return np.stack(
        [np.interp(np.arange(shape[1]), columns, line, 0, 0) for line in vertical], axis=0
    )
