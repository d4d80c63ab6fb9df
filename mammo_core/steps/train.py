"""The steps that train and evaluate."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import StoredFile, put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import IMAGE_CLASSES, PATCH_CLASSES, Frame, from_manifest
from mammo_core.preprocessing import Geometry, Preprocessing
from mammo_core.steps.base import StepContext, step

#: Raised by hand when training, or what is stored of it, changes.
PATCH_TRAINING_REVISION = 1
IMAGE_TRAINING_REVISION = 1
EVALUATION_REVISION = 1
PATCH_TRAINING = "trainings/patch"
IMAGE_TRAINING = "trainings/image"
EVALUATION = "evaluations"


def prepare_keras() -> None:
    """Choose the backend and quiet its start-up lines, before Keras is imported first."""
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def preprocessing_of(dataset: Manifest, frame: Frame, channels: int) -> Preprocessing:
    """Build the one preprocessing of a run from its dataset and its frame."""
    return Preprocessing(
        geometry=Geometry(**dataset.facts["geometry"]),
        bit_depth=dataset.facts["bit_depth"],
        mean=frame.mean,
        rescale_factor=frame.rescale_factor,
        channels=1 if channels == 1 else 3,
    )


def training_preprocessing(training: Manifest) -> Preprocessing:
    """The preprocessing that a training was done with."""
    return Preprocessing.model_validate(training.facts["preprocessing"])


def load_network(context: StepContext, training: Manifest) -> Any:
    """Load the network of a training."""
    prepare_keras()
    from mammo_core.models import load_model

    stored = context.store.fetch(training.file("model.keras").key)
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as folder:
        path = Path(folder) / "model.keras"
        path.write_bytes(stored.read_bytes())
        return load_model(path)


@step("train-patch")
def train_patch(context: StepContext, patches: Manifest, frame: Manifest) -> Manifest:
    """Train the patch classifier."""
    recipe = context.recipe
    settings = {**recipe.patch_training.model_dump(mode="json"), "seed": recipe.seed}
    id = content_id(
        PATCH_TRAINING,
        PATCH_TRAINING_REVISION,
        settings,
        [(patches.kind, patches.id), (frame.kind, frame.id)],
    )

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.datasets.readers import RecordSource
        from mammo_core.models import build_patch_network, network_of
        from mammo_core.training import train

        config = recipe.patch_training
        data = from_manifest(context.store, frame)
        table = read_table(context.store, patches, "patches.parquet")
        side = int(patches.facts["patch_size"])
        model = build_patch_network(config.network, (side, side), len(PATCH_CLASSES), recipe.seed)
        preprocessing = preprocessing_of(patches, data, network_of(model).channels)
        sources = {
            split: RecordSource(
                context.store,
                patches,
                data.patch_labels(table, split),
                classes=len(PATCH_CLASSES),
                batch_size=config.batch_size,
                shuffle_seed=recipe.seed if split == "train" else None,
            )
            for split in ("train", "validation")
        }
        _say_sizes(context, sources, PATCH_CLASSES)
        result = train(
            model,
            config.stages,
            sources["train"],
            sources["validation"],
            to_network=preprocessing.to_network,
            augmentation=config.augmentation,
            balance=config.balance,
            selection=config.selection,
            seed=recipe.seed,
            class_names=PATCH_CLASSES,
            on_epoch=lambda row: context.say(_epoch_line(row)),
            from_scratch=config.from_scratch,
        )
        return _publish_training(
            context,
            PATCH_TRAINING,
            id,
            PATCH_TRAINING_REVISION,
            settings,
            model,
            result,
            preprocessing,
            {"classes": list(PATCH_CLASSES), "patch_size": side},
            {"patches": patches.id, "frame": frame.id, **patches.lineage},
        )

    return context.find_or_make(PATCH_TRAINING, id, make)


@step("train-image")
def train_image(
    context: StepContext, images: Manifest, frame: Manifest, patch_training: Manifest
) -> Manifest:
    """Convert the patch classifier to a whole-image classifier and train it end to end."""
    recipe = context.recipe
    settings = {**recipe.image_training.model_dump(mode="json"), "seed": recipe.seed}
    id = content_id(
        IMAGE_TRAINING,
        IMAGE_TRAINING_REVISION,
        settings,
        [(m.kind, m.id) for m in (images, frame, patch_training)],
    )

    def make() -> Manifest:
        from mammo_core.datasets.readers import RecordSource

        patch_model = load_network(context, patch_training)
        from mammo_core.models import to_whole_image
        from mammo_core.training import train

        config = recipe.image_training
        data = from_manifest(context.store, frame)
        preprocessing = training_preprocessing(patch_training)
        geometry = preprocessing.geometry
        model = to_whole_image(
            patch_model,
            config.head,
            (geometry.height, geometry.width),
            classes=len(IMAGE_CLASSES),
            seed=recipe.seed,
        )
        sources = {
            split: RecordSource(
                context.store,
                images,
                _image_labels(data, split),
                classes=len(IMAGE_CLASSES),
                batch_size=config.batch_size,
                shuffle_seed=recipe.seed if split == "train" else None,
            )
            for split in ("train", "validation")
        }
        _say_sizes(context, sources, IMAGE_CLASSES)
        result = train(
            model,
            config.stages,
            sources["train"],
            sources["validation"],
            to_network=preprocessing.to_network,
            augmentation=config.augmentation,
            balance=config.balance,
            selection=config.selection,
            seed=recipe.seed,
            class_names=IMAGE_CLASSES,
            on_epoch=lambda row: context.say(_epoch_line(row)),
        )
        return _publish_training(
            context,
            IMAGE_TRAINING,
            id,
            IMAGE_TRAINING_REVISION,
            settings,
            model,
            result,
            preprocessing,
            {"classes": list(IMAGE_CLASSES), "patch_training": patch_training.id},
            {"images": images.id, "frame": frame.id, "patch_training": patch_training.id},
        )

    return context.find_or_make(IMAGE_TRAINING, id, make)


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
        from mammo_core.steps.evaluation import evaluate_and_report

        return evaluate_and_report(
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
    context.facts = manifest.facts["summary"]
    return manifest


def _publish_training(
    context: StepContext,
    kind: str,
    id: str,
    revision: int,
    settings: dict[str, Any],
    model: Any,
    result: Any,
    preprocessing: Preprocessing,
    facts: dict[str, Any],
    lineage: dict[str, str],
) -> Manifest:
    from mammo_core.packaging.keras_file import write_model

    store, folder = context.store, f"{kind}/{id}"
    for warning in result.warnings:
        context.say(f"warning: {warning}")
    with tempfile.TemporaryDirectory(prefix="mammo-model-") as aside:
        path = Path(aside) / "model.keras"
        write_model(model, path)
        network = put_bytes(store, folder, "model.keras", path.read_bytes())
    history = json.dumps(list(result.history), sort_keys=True, indent=1).encode()
    files: tuple[StoredFile, ...] = (network, put_bytes(store, folder, "history.json", history))
    return publish(
        store,
        Manifest(
            kind=kind,
            id=id,
            revision=revision,
            config=settings,
            files=files,
            counts={"epochs": len(result.history), "parameters": int(model.count_params())},
            facts={
                **facts,
                "preprocessing": preprocessing.model_dump(mode="json"),
                "warnings": result.warnings,
                "best_epoch": result.best_epoch,
                "best_value": result.best_value,
            },
            lineage=lineage,
        ),
    )


def _image_labels(frame: Frame, split: str) -> dict[str, int]:
    rows = frame.split(split)
    return dict(zip(rows["image_id"], rows["label"].astype(int), strict=True))


def _say_sizes(context: StepContext, sources: dict[str, Any], names: tuple[str, ...]) -> None:
    for split, source in sources.items():
        counts = ", ".join(
            f"{count} {name}" for name, count in zip(names, source.class_counts, strict=True)
        )
        context.say(f"{split}: {source.size} records ({counts})")


def _epoch_line(row: dict[str, Any]) -> str:
    def number(name: str) -> str:
        value = row.get(name)
        return "–" if value is None else f"{value:.3f}"

    return (
        f"stage {row['stage']} epoch {row['epoch']}: loss {number('loss')}, "
        f"validation loss {number('val_loss')}, accuracy {number('val_accuracy')}, "
        f"AUC {number('val_auc')}, {row['images_per_s']:.0f} images/s"
    )
