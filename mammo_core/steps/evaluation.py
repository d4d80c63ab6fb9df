"""The step that evaluates: what it measures and draws."""

import json
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import fetch_verified, find, put_bytes
from mammo_core.datasets.tables import put_table, read_table
from mammo_core.evaluation import evaluate as evaluate_images
from mammo_core.evaluation import report
from mammo_core.evaluation.aggregate import unit_of
from mammo_core.evaluation.inference import evaluate_patches, image_predictions, leaking_images
from mammo_core.evaluation.pictures import heatmap_overlays, patch_examples
from mammo_core.evaluation.report import tables, wording
from mammo_core.features.frame import SPLITS, Frame, frame_from_manifest
from mammo_core.metrics import metric_names
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.data import TABLES, rejects_of
from mammo_core.steps.networks import load_network, training_preprocessing
from mammo_core.store import Store

#: Raised by hand when the numbers or the report change.
EVALUATION_REVISION = 5
EVALUATION = "evaluations"
#: What a report says of a network that sees both views.
_PER_BREAST = {
    "Probability": "of a breast by both of its views: each of its images has it, and what is per "
    "breast counts it once"
}


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
    settings = {
        **recipe.evaluation.model_dump(mode="json"),
        "metrics": metric_names(),
        "seed": recipe.seed,
    }
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
    data = frame_from_manifest(store, frame)
    image_model = load_network(context, image_training)
    patch_model = load_network(context, patch_training)
    preprocessing = training_preprocessing(image_training)

    def score_rows(rows: pd.DataFrame) -> pd.DataFrame:
        return image_predictions(store, images, rows, image_model, preprocessing, recipe.evaluation)

    predictions = {split: score_rows(data.split(split)) for split in ("test", "validation")}
    leaking, leaked = _leaked(context, images, data)
    result = evaluate_images(
        predictions["test"],
        predictions["validation"],
        recipe.evaluation,
        recipe.seed,
        leaking=leaking,
        leaked=score_rows(leaked) if len(leaked) else None,
    )
    table = read_table(store, patches, "patches.parquet")
    labels = data.patch_labels(table, "test", recipe.label_map)
    patch_result = evaluate_patches(
        store,
        patches,
        data,
        labels,
        patch_model,
        preprocessing,
        classes=recipe.label_map.names,
        replicates=recipe.evaluation.bootstrap_replicates,
        seed=recipe.seed,
    )
    reached = f"test AUC {result.auc:.4f}"
    if unit_of(image_model) == "breast" and result.breast_auc is not None:
        reached += f" per image, {result.breast_auc.value:.4f} per breast"
    context.say(f"{reached}, patch accuracy {patch_result.accuracy:.4f}")

    overlays, regions = heatmap_overlays(
        store,
        images,
        predictions["test"],
        patch_model,
        preprocessing,
        int(patch_training.facts["patch_size"]),
        recipe.evaluation.overlays,
    )
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
            **(_PER_BREAST if unit_of(image_model) == "breast" else {}),
        },
        result=result,
        dataset_counts=[{"split": split, **data.facts["splits"][split]} for split in SPLITS],
        patches=patch_result,
        histories={
            "Patch classifier": _history(store, patch_training),
            "Whole-image classifier": _history(store, image_training),
        },
        patch_examples=patch_examples(store, patches, labels, recipe.label_map.names, recipe.seed),
        errors=tables.errors_table(predictions["test"], result),
        overlays=overlays,
        regions=regions,
        rejects=rejects_of(context, *outputs),
    )
    metrics = {
        "image": result.model_dump(mode="json"),
        "patch": patch_result.model_dump(mode="json"),
    }
    folder = manifest.folder
    files = (
        put_bytes(store, folder, "report.html", html.encode()),
        put_bytes(store, folder, "summary.md", wording.markdown(result, patch_result).encode()),
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
        **result.summary(),
        "n_test_patches": patch_result.n_patches,
    }
    counts = {"test_images": result.n_images, "test_patches": patch_result.n_patches}
    facts = {"summary": summary, "shuffled_labels": data.shuffled_labels}
    return publish(
        store, manifest.model_copy(update={"files": files, "counts": counts, "facts": facts})
    )


def _leaked(context: StepContext, images: Manifest, frame: Frame) -> tuple[list[str], pd.DataFrame]:
    """Patients on both sides of the official split, and their test images that were left out.

    None where the split or the labels are not the official ones.
    """
    split = context.recipe.split
    if not split.name.startswith("official") or frame.shuffled_labels:
        return [], frame.images[:0]
    tables = find(context.store, TABLES, images.lineage["tables"])
    drops_test = split.leak == "drop_from_test"
    dropped = leaking_images(context.store, images, frame, tables, drops_test)
    return list(frame.facts["leaking_patients"]), dropped


def _history(store: Store, training: Manifest) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(
        fetch_verified(store, training.file("history.json")).read_bytes()
    )
    return rows
