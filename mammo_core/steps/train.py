"""The steps that train."""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from mammo_core.datasets import Manifest, content_id, publish
from mammo_core.datasets.manifests import StoredFile, put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.breasts import breast_views
from mammo_core.features.frame import IMAGE_CLASSES, Frame, frame_from_manifest
from mammo_core.preprocessing import Preprocessing
from mammo_core.recipes import Recipe
from mammo_core.steps.base import StepContext, step
from mammo_core.steps.curves import Curves
from mammo_core.steps.networks import prepare_keras, preprocessing_of
from mammo_core.steps.start import begin_image_model, start_package
from mammo_core.training.config import FitConfig, ImageTrainingConfig, PatchTrainingConfig

#: Raised by hand when training, or what is stored of it, changes.
PATCH_TRAINING_REVISION = 2
IMAGE_TRAINING_REVISION = 2
PATCH_TRAINING = "trainings/patch"
IMAGE_TRAINING = "trainings/image"
_MEASURED = ("images_per_s", "seconds")
_FITTED_ON = ("train", "validation")


@step("train-patch")
def train_patch(
    context: StepContext, patches: Manifest, frame: Manifest, member: str = ""
) -> Manifest:
    """Train the patch classifier, of one member where the recipe is of an ensemble."""
    recipe = context.recipe.of_member(member)
    label_map = recipe.label_map
    settings = {
        **recipe.patch_training.model_dump(mode="json"),
        "seed": recipe.seed,
        "label_map": label_map.model_dump(mode="json"),
        **_reading(recipe),
    }
    inputs = [(patches.kind, patches.id), (frame.kind, frame.id)]
    id = content_id(PATCH_TRAINING, PATCH_TRAINING_REVISION, settings, inputs)

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.models import build_patch_network, network_of

        config = recipe.patch_training
        _share(context, config)
        data = frame_from_manifest(context.store, frame)
        table = read_table(context.store, patches, "patches.parquet")
        side = int(patches.facts["patch_size"])
        model = build_patch_network(config.network, (side, side), len(label_map.names), recipe.seed)
        preprocessing = preprocessing_of(patches, data, network_of(model).channels)
        labels = {split: data.patch_labels(table, split, label_map) for split in _FITTED_ON}
        manifest = Manifest(
            kind=PATCH_TRAINING,
            id=id,
            revision=PATCH_TRAINING_REVISION,
            config=settings,
            files=(),
            facts={"classes": list(label_map.names), "patch_size": side},
            lineage={**patches.lineage, "patches": patches.id, "frame": frame.id},
        )
        result = _fit(
            context,
            manifest,
            model,
            config,
            partial(_records, context, config, patches, labels, label_map.names),
            label_map.names,
            preprocessing,
            config.from_scratch,
        )
        return _publish(context, manifest, model, result, preprocessing)

    return context.find_or_make(PATCH_TRAINING, id, make)


@step("train-image")
def train_image(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest | None = None,
    member: str = "",
) -> Manifest:
    """Train the whole-image classifier end to end.

    It begins as the model package `image_training.start`, or else as the converted patch
    classifier; without either, as the recipe's patch network (from scratch).
    """
    recipe = context.recipe.of_member(member)
    config = recipe.image_training
    package = start_package(config.start) if config.start else None
    settings = {**config.model_dump(mode="json", exclude={"start"}), "seed": recipe.seed}
    settings |= _reading(recipe)
    inputs = [(m.kind, m.id) for m in (images, frame)]
    lineage = {"images": images.id, "frame": frame.id}
    if package is not None:
        # What a URI names can move; the model's own id cannot.
        inputs.append(("start", package.model_id))
        lineage["start"] = package.model_id
    elif patch_training is not None:
        inputs.append((patch_training.kind, patch_training.id))
        lineage["patch_training"] = patch_training.id
    else:
        settings["network"] = recipe.patch_training.network.model_dump(mode="json")
    id = content_id(IMAGE_TRAINING, IMAGE_TRAINING_REVISION, settings, inputs)

    def make() -> Manifest:
        prepare_keras()
        _share(context, config)
        data = frame_from_manifest(context.store, frame)
        begun = begin_image_model(context, images, data, patch_training, package)
        labels = {split: data.image_labels(split) for split in _FITTED_ON}
        source_of: Callable[[str], Any] = (
            partial(_records, context, config, images, labels, IMAGE_CLASSES)
            if config.two_view is None
            else partial(_exams, context, config, images, data)
        )
        manifest = Manifest(
            kind=IMAGE_TRAINING,
            id=id,
            revision=IMAGE_TRAINING_REVISION,
            config=settings,
            files=(),
            facts={"classes": list(IMAGE_CLASSES), "start": begun.told},
            lineage=lineage,
        )
        result = _fit(
            context,
            manifest,
            begun.model,
            config,
            source_of,
            IMAGE_CLASSES,
            begun.preprocessing,
            begun.from_scratch,
        )
        return _publish(context, manifest, begun.model, result, begun.preprocessing)

    return context.find_or_make(IMAGE_TRAINING, id, make)


def _share(context: StepContext, config: FitConfig) -> None:
    from mammo_core.training.devices import gpus, share_batches

    used, there = share_batches(context.recipe.hardware.devices, config.batch_size), gpus()
    if used > 1:
        context.say(f"{used} devices share each batch")
    elif there > 1:
        context.say(f"1 of {there} GPUs trains: hardware.devices says how many share a batch")


def _fit(
    context: StepContext,
    manifest: Manifest,
    model: Any,
    config: PatchTrainingConfig | ImageTrainingConfig,
    source_of: Callable[[str], Any],
    classes: Sequence[str],
    preprocessing: Preprocessing,
    from_scratch: bool,
) -> Any:
    from mammo_core.training import train
    from mammo_core.training.checkpoint import Checkpoints

    seed, hardware = context.recipe.seed, context.recipe.hardware
    sources = {split: source_of(split) for split in _FITTED_ON}
    for split, source in sources.items():
        counts = zip(classes, source.class_counts, strict=True)
        told = ", ".join(f"{count} {name}" for name, count in counts)
        context.say(f"{split}: {source.size} records ({told})")
    # One channel leaves the host; equal ones are made on the device.
    grey = preprocessing.model_copy(update={"channels": 1})
    curves = Curves(context, preprocessing)
    result = train(
        model,
        config,
        sources["train"],
        sources["validation"],
        to_network=grey.to_network,
        seed=seed,
        class_names=classes,
        hardware=hardware,
        checkpoints=Checkpoints(
            context.store, checkpoint_folder(manifest), hardware.checkpoint_minutes
        ),
        on_epoch=curves.epoch,
        on_resume=context.say,
        on_samples=curves.samples,
        from_scratch=from_scratch,
    )
    curves.finish(result.history)
    return result


def _reading(recipe: Recipe) -> dict[str, str]:
    """What of the reading belongs into a training's id: streams come in an order of their own."""
    return {} if recipe.reader == "local" else {"reader": recipe.reader}


def _records(
    context: StepContext,
    config: FitConfig,
    dataset: Manifest,
    labels: Mapping[str, Mapping[str, int]],
    classes: Sequence[str],
    split: str,
) -> Any:
    from mammo_core.datasets.readers import RecordSource

    return RecordSource(
        context.store,
        dataset,
        labels[split],
        classes=len(classes),
        batch_size=config.batch_size,
        shuffle_seed=context.recipe.seed if split == "train" else None,
        reader=context.recipe.reader,
    )


def _exams(
    context: StepContext, config: FitConfig, images: Manifest, frame: Frame, split: str
) -> Any:
    from mammo_core.datasets.breasts import BreastSource

    return BreastSource(
        context.store,
        images,
        breast_views(frame.split(split)),
        classes=len(IMAGE_CLASSES),
        batch_size=config.batch_size,
        shuffle_seed=context.recipe.seed if split == "train" else None,
    )


def checkpoint_folder(training: Manifest) -> str:
    """Where the checkpoints of a training lie while it runs."""
    return f"checkpoints/{training.folder}"


def _publish(
    context: StepContext,
    manifest: Manifest,
    model: Any,
    result: Any,
    preprocessing: Preprocessing,
) -> Manifest:
    from mammo_core.packaging.keras_file import write_model
    from mammo_core.training.checkpoint import Checkpoints

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
    published = publish(
        store, manifest.model_copy(update={"files": files, "facts": facts, "counts": counts})
    )
    Checkpoints(store, checkpoint_folder(manifest)).clear()
    return published
