"""The steps that train."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.breasts import breast_views
from mammo_core.features.frame import IMAGE_CLASSES, Frame, frame_from_manifest
from mammo_core.ingest.kinds import PATCH_DATASET
from mammo_core.models.backend import prepare_keras
from mammo_core.packaging.initial_model import (
    InitialModel,
    StartPackage,
    from_package,
    from_patch_network,
)
from mammo_core.recipes import Recipe
from mammo_core.steps.networks import publish_network
from mammo_core.steps.step import StepContext, step
from mammo_core.training.config import FitConfig, ImageTrainingConfig, PatchTrainingConfig
from mammo_core.training.curves import TrainingCurves
from mammo_core.training.kinds import (
    IMAGE_TRAINING,
    PATCH_TRAINING,
    ImageTrainingFacts,
    PatchTrainingFacts,
)
from mammo_core.training.networks import load_network

#: Columns of the history that depend on the machine; they are not part of the output.
_MEASUREMENTS = ("images_per_s", "seconds")
_FITTED_SPLITS = ("train", "validation")


@step("train-patch")
def train_patch(
    context: StepContext, patches: Manifest, frame: Manifest, member: str = ""
) -> Manifest:
    """Train the patch classifier, or that of one member of an ensemble."""
    recipe = context.recipe.of_member(member)
    config, label_map = recipe.patch_training, recipe.label_map
    settings = {
        **config.model_dump(mode="json"),
        "seed": recipe.seed,
        "label_map": label_map.model_dump(mode="json"),
        **_reader_setting(recipe),
    }
    id = PATCH_TRAINING.content_id(settings, [(m.kind, m.id) for m in (patches, frame)])

    def make() -> Manifest:
        prepare_keras()
        from mammo_core.models import build_patch_network, network_of

        _share_batches(context, config)
        data = frame_from_manifest(context.store, frame)
        table = read_table(context.store, patches, "patches.parquet")
        side = PATCH_DATASET.facts_of(patches).patch_size
        model = build_patch_network(config.network, (side, side), len(label_map.names), recipe.seed)
        preprocessing = data.preprocessing(patches, network_of(model).channels)
        labels = {split: data.patch_labels(table, split, label_map) for split in _FITTED_SPLITS}
        source = partial(_record_source, context, config, patches, labels, len(label_map.names))
        folder = f"{PATCH_TRAINING.folder}/{id}"
        result = _fit(
            context,
            folder,
            InitialModel(model, preprocessing, config.from_scratch, ""),
            config,
            source,
            label_map.names,
        )
        manifest = PATCH_TRAINING.manifest(
            id,
            config=settings,
            facts=PatchTrainingFacts(
                classes=label_map.names,
                patch_size=side,
                preprocessing=preprocessing,
                warnings=tuple(result.warnings),
                best_epoch=result.best_epoch,
                best_value=result.best_value,
            ),
            lineage={**patches.lineage, "patches": patches.id, "frame": frame.id},
        )
        return _publish(context, manifest, model, result)

    return context.reuse_or_make(PATCH_TRAINING, id, make)


@step("train-image")
def train_image(
    context: StepContext,
    images: Manifest,
    frame: Manifest,
    patch_training: Manifest | None = None,
    member: str = "",
) -> Manifest:
    """Train the whole-image classifier end to end.

    It starts from the model package `image_training.start`, or else from the patch classifier;
    without either, from the recipe's patch network.
    """
    recipe = context.recipe.of_member(member)
    config = recipe.image_training
    package = _start_package(config.start) if config.start else None
    settings = {
        **config.model_dump(mode="json", exclude={"start"}),
        "seed": recipe.seed,
        **_reader_setting(recipe),
    }
    inputs = [(m.kind, m.id) for m in (images, frame)]
    lineage = {"images": images.id, "frame": frame.id}
    if package is not None:
        # A URI can come to name another package; a model id cannot.
        inputs.append(("start", package.model_id))
        lineage["start"] = package.model_id
    elif patch_training is not None:
        inputs.append((patch_training.kind, patch_training.id))
        lineage["patch_training"] = patch_training.id
    else:
        settings["network"] = recipe.patch_training.network.model_dump(mode="json")
    id = IMAGE_TRAINING.content_id(settings, inputs)

    def make() -> Manifest:
        prepare_keras()
        _share_batches(context, config)
        data = frame_from_manifest(context.store, frame)
        if package is not None:
            initial = from_package(package, images, data, config.two_view)
        else:
            initial = _from_patch_classifier(context, recipe, images, data, patch_training)
        labels = {split: data.image_labels(split) for split in _FITTED_SPLITS}
        source: Callable[[str], Any] = (
            partial(_record_source, context, config, images, labels, len(IMAGE_CLASSES))
            if config.two_view is None
            else partial(_breast_source, context, config, images, data)
        )
        folder = f"{IMAGE_TRAINING.folder}/{id}"
        result = _fit(context, folder, initial, config, source, IMAGE_CLASSES)
        manifest = IMAGE_TRAINING.manifest(
            id,
            config=settings,
            facts=ImageTrainingFacts(
                classes=IMAGE_CLASSES,
                start=initial.description,
                preprocessing=initial.preprocessing,
                warnings=tuple(result.warnings),
                best_epoch=result.best_epoch,
                best_value=result.best_value,
            ),
            lineage=lineage,
        )
        return _publish(context, manifest, initial.model, result)

    return context.reuse_or_make(IMAGE_TRAINING, id, make)


def count_gpus() -> int:
    """Return how many GPUs the backend of Keras can use."""
    prepare_keras()
    from mammo_core.training.devices import gpus

    return gpus()


def _start_package(uri: str) -> StartPackage:
    from mammo_core.packaging import verify
    from mammo_core.registry import resolve

    folder = resolve(uri)
    return StartPackage(folder, verify(folder).model_id)


def _from_patch_classifier(
    context: StepContext,
    recipe: Recipe,
    images: Manifest,
    frame: Frame,
    patch_training: Manifest | None,
) -> InitialModel:
    """Convert the patch classifier, or an untrained patch network of the recipe."""
    from mammo_core.models import build_patch_network

    network = recipe.patch_training.network
    if patch_training is not None:
        patch_model = load_network(context.store, patch_training)
        description = f"patch classifier {patch_training.id}"
    else:
        side = recipe.sampling.patch_size
        classes = len(recipe.label_map.names)
        patch_model = build_patch_network(network, (side, side), classes, recipe.seed)
        description = f"{network.name}, weights {network.weights}"
    return from_patch_network(
        patch_model,
        images,
        frame,
        head=recipe.image_training.head,
        two_view=recipe.image_training.two_view,
        seed=recipe.seed,
        from_scratch=patch_training is None and network.weights == "none",
        description=description,
    )


def _share_batches(context: StepContext, config: FitConfig) -> None:
    from mammo_core.training.devices import gpus, share_batches

    used, available = share_batches(context.recipe.hardware.devices, config.batch_size), gpus()
    if used > 1:
        context.say(f"{used} devices share each batch")
    elif available > 1:
        context.say(f"1 of {available} GPUs trains; hardware.devices sets how many share a batch")


def _fit(
    context: StepContext,
    folder: str,
    initial: InitialModel,
    config: PatchTrainingConfig | ImageTrainingConfig,
    source: Callable[[str], Any],
    classes: Sequence[str],
) -> Any:
    """Train a network on the records of `source`, with checkpoints and curves."""
    from mammo_core.training import train
    from mammo_core.training.checkpoint import Checkpoints

    recipe, run = context.recipe, context.run
    sources = {split: source(split) for split in _FITTED_SPLITS}
    for split, records in sources.items():
        counts = zip(classes, records.class_counts, strict=True)
        summary = ", ".join(f"{count} {name}" for name, count in counts)
        context.say(f"{split}: {records.size} records ({summary})")
    curves = TrainingCurves(
        context.name,
        f"{recipe.name}: {context.name}",
        initial.preprocessing,
        print_line=context.say,
        write_page=partial(run.write_page, context.name),
        write_events=partial(run.write_events, context.name),
    )
    # One channel is transferred; the device copies it to the others.
    to_network = initial.preprocessing.model_copy(update={"channels": 1}).to_network
    result = train(
        initial.model,
        config,
        sources["train"],
        sources["validation"],
        to_network=to_network,
        seed=recipe.seed,
        class_names=classes,
        hardware=recipe.hardware,
        checkpoints=Checkpoints(
            context.store, _checkpoint_folder(folder), recipe.hardware.checkpoint_minutes
        ),
        on_epoch=curves.add_epoch,
        on_resume=context.say,
        on_samples=curves.add_samples,
        from_scratch=initial.from_scratch,
    )
    curves.finish(result.history)
    return result


def _publish(context: StepContext, manifest: Manifest, model: Any, result: Any) -> Manifest:
    from mammo_core.training.checkpoint import Checkpoints

    for warning in result.warnings:
        context.say(f"warning: {warning}")
    context.facts = {"images_per_s": [row["images_per_s"] for row in result.history]}
    history = [
        {name: value for name, value in row.items() if name not in _MEASUREMENTS}
        for row in result.history
    ]
    published = publish_network(context.store, manifest, model, history)
    Checkpoints(context.store, _checkpoint_folder(manifest.folder)).clear()
    return published


def _checkpoint_folder(folder: str) -> str:
    return f"checkpoints/{folder}"


def _reader_setting(recipe: Recipe) -> dict[str, str]:
    """The reader is part of a training's id only where it changes the order of the records."""
    return {} if recipe.reader == "local" else {"reader": recipe.reader}


def _record_source(
    context: StepContext,
    config: FitConfig,
    dataset: Manifest,
    labels: Mapping[str, Mapping[str, int]],
    classes: int,
    split: str,
) -> Any:
    from mammo_core.datasets.readers import RecordSource

    return RecordSource(
        context.store,
        dataset,
        labels[split],
        classes=classes,
        batch_size=config.batch_size,
        shuffle_seed=context.recipe.seed if split == "train" else None,
        reader=context.recipe.reader,
    )


def _breast_source(
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
