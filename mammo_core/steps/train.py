"""The steps that train."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import StoredFile, put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import IMAGE_CLASSES, from_manifest
from mammo_core.preprocessing import Preprocessing
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.networks import (
    load_network,
    prepare_keras,
    preprocessing_of,
    training_preprocessing,
)
from mammo_core.training.config import ImageTrainingConfig, PatchTrainingConfig

#: Raised by hand when training, or what is stored of it, changes.
PATCH_TRAINING_REVISION = 1
IMAGE_TRAINING_REVISION = 1
PATCH_TRAINING = "trainings/patch"
IMAGE_TRAINING = "trainings/image"
_MEASURED = ("images_per_s", "seconds")
_FITTED_ON = ("train", "validation")


@step("train-patch")
def train_patch(context: StepContext, patches: Manifest, frame: Manifest) -> Manifest:
    """Train the patch classifier."""
    recipe = context.recipe
    label_map = recipe.label_map
    settings = {
        **recipe.patch_training.model_dump(mode="json"),
        "seed": recipe.seed,
        "label_map": label_map.model_dump(mode="json"),
    }
    inputs = [(patches.kind, patches.id), (frame.kind, frame.id)]
    id = content_id(PATCH_TRAINING, PATCH_TRAINING_REVISION, settings, inputs)

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.models import build_patch_network, network_of

        config = recipe.patch_training
        data = from_manifest(context.store, frame)
        table = read_table(context.store, patches, "patches.parquet")
        side = int(patches.facts["patch_size"])
        model = build_patch_network(config.network, (side, side), len(label_map.names), recipe.seed)
        preprocessing = preprocessing_of(patches, data, network_of(model).channels)
        labels = {split: data.patch_labels(table, split, label_map) for split in _FITTED_ON}
        result = _fit(
            context,
            model,
            config,
            patches,
            labels,
            label_map.names,
            preprocessing,
            config.from_scratch,
        )
        manifest = Manifest(
            kind=PATCH_TRAINING,
            id=id,
            revision=PATCH_TRAINING_REVISION,
            config=settings,
            files=(),
            facts={"classes": list(label_map.names), "patch_size": side},
            lineage={**patches.lineage, "patches": patches.id, "frame": frame.id},
        )
        return _publish(context, manifest, model, result, preprocessing)

    return context.find_or_make(PATCH_TRAINING, id, make)


@step("train-image")
def train_image(
    context: StepContext, images: Manifest, frame: Manifest, patch_training: Manifest
) -> Manifest:
    """Convert the patch classifier to a whole-image classifier and train it end to end."""
    recipe = context.recipe
    settings = {**recipe.image_training.model_dump(mode="json"), "seed": recipe.seed}
    inputs = [(m.kind, m.id) for m in (images, frame, patch_training)]
    id = content_id(IMAGE_TRAINING, IMAGE_TRAINING_REVISION, settings, inputs)

    def make() -> Manifest:
        patch_model = load_network(context, patch_training)
        from mammo_core.models import to_whole_image

        config = recipe.image_training
        data = from_manifest(context.store, frame)
        preprocessing = training_preprocessing(patch_training)
        shape = (preprocessing.geometry.height, preprocessing.geometry.width)
        model = to_whole_image(
            patch_model, config.head, shape, classes=len(IMAGE_CLASSES), seed=recipe.seed
        )
        labels = {split: data.image_labels(split) for split in _FITTED_ON}
        result = _fit(context, model, config, images, labels, IMAGE_CLASSES, preprocessing, False)
        manifest = Manifest(
            kind=IMAGE_TRAINING,
            id=id,
            revision=IMAGE_TRAINING_REVISION,
            config=settings,
            files=(),
            facts={"classes": list(IMAGE_CLASSES)},
            lineage={"images": images.id, "frame": frame.id, "patch_training": patch_training.id},
        )
        return _publish(context, manifest, model, result, preprocessing)

    return context.find_or_make(IMAGE_TRAINING, id, make)


def _fit(
    context: StepContext,
    model: Any,
    config: PatchTrainingConfig | ImageTrainingConfig,
    dataset: Manifest,
    labels: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    preprocessing: Preprocessing,
    from_scratch: bool,
) -> Any:
    from mammo_core.datasets.readers import RecordSource
    from mammo_core.training import train

    seed = context.recipe.seed
    sources = {
        split: RecordSource(
            context.store,
            dataset,
            labels[split],
            classes=len(classes),
            batch_size=config.batch_size,
            shuffle_seed=seed if split == "train" else None,
        )
        for split in _FITTED_ON
    }
    for split, source in sources.items():
        counts = zip(classes, source.class_counts, strict=True)
        told = ", ".join(f"{count} {name}" for name, count in counts)
        context.say(f"{split}: {source.size} records ({told})")
    return train(
        model,
        config.stages,
        sources["train"],
        sources["validation"],
        to_network=preprocessing.to_network,
        augmentation=config.augmentation,
        balance=config.balance,
        selection=config.selection,
        seed=seed,
        class_names=classes,
        on_epoch=lambda row: context.say(_epoch_line(row)),
        from_scratch=from_scratch,
    )


def _publish(
    context: StepContext,
    manifest: Manifest,
    model: Any,
    result: Any,
    preprocessing: Preprocessing,
) -> Manifest:
    from mammo_core.packaging.keras_file import write_model

    store, folder = context.store, manifest.folder
    for warning in result.warnings:
        context.say(f"warning: {warning}")
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as aside:
        path = Path(aside) / "model.keras"
        write_model(model, path)
        network = put_bytes(store, folder, "model.keras", path.read_bytes())
    # Speed is told while training; stored bytes are those of the content address.
    rows = [{k: v for k, v in row.items() if k not in _MEASURED} for row in result.history]
    context.facts = {"images_per_s": [row["images_per_s"] for row in result.history]}
    history = json.dumps(rows, sort_keys=True, indent=1).encode()
    files: tuple[StoredFile, ...] = (network, put_bytes(store, folder, "history.json", history))
    facts = {
        **manifest.facts,
        "preprocessing": preprocessing.model_dump(mode="json"),
        "warnings": result.warnings,
        "best_epoch": result.best_epoch,
        "best_value": result.best_value,
    }
    counts = {"epochs": len(result.history), "parameters": int(model.count_params())}
    return publish(
        store, manifest.model_copy(update={"files": files, "facts": facts, "counts": counts})
    )


def _epoch_line(row: dict[str, Any]) -> str:
    def number(name: str) -> str:
        value = row.get(name)
        return "–" if value is None else f"{value:.3f}"

    return (
        f"stage {row['stage']} epoch {row['epoch']}: loss {number('loss')}, "
        f"validation loss {number('val_loss')}, accuracy {number('val_accuracy')}, "
        f"AUC {number('val_auc')}, {row['images_per_s']:.0f} images/s"
    )
