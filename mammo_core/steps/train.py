"""The steps that train."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import IMAGE_CLASSES, frame_from_manifest
from mammo_core.ingest.kinds import PATCH_DATASET
from mammo_core.models.backend import prepare_keras
from mammo_core.models.weight_files import weights_digest
from mammo_core.recipes import Recipe
from mammo_core.sources.several.entry import training_sources
from mammo_core.sources.several.names import name_of
from mammo_core.steps.step import StepContext, step
from mammo_core.training.config import FitConfig
from mammo_core.training.kinds import (
    IMAGE_TRAINING,
    PATCH_TRAINING,
    ImageTrainingFacts,
    PatchTrainingFacts,
)

if TYPE_CHECKING:
    from mammo_core.datasets.breasts import BreastViews
    from mammo_core.packaging import OpenedPackage
    from mammo_core.training.fit import TrainingResult
    from mammo_core.training.mixing import SourceMixing
    from mammo_core.training.session import TrainingSession


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
        **_mixing_setting(recipe),
    }
    weights = weights_digest(config.network.weights)
    inputs = [(m.kind, m.id) for m in (patches, frame)]
    inputs += [("weights", weights)] if weights else []
    id = PATCH_TRAINING.content_id(settings, inputs)

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.models import build_patch_network, network_of
        from mammo_core.training.session import FITTED_SPLITS

        session = _session(context, attempt, PATCH_TRAINING.output(id))
        session.share_batches(config)
        data = frame_from_manifest(context.store, frame)
        table = read_table(context.store, patches, "patches.parquet")
        side = PATCH_DATASET.facts_of(patches).patch_size
        model = build_patch_network(
            config.network, (side, side), label_map.names, recipe.seed, context.say
        )
        preprocessing = data.preprocessing(patches, network_of(model).channels)
        labels = {split: data.patch_labels(table, split, label_map) for split in FITTED_SPLITS}
        source = partial(_record_source, context, config, patches, labels, len(label_map.names))
        names = data.source_names()
        if names:
            names = {
                patch: names[image]
                for patch, image in zip(table["patch_id"], table["image_id"], strict=True)
                if patch in labels["train"]
            }
        sources = _sources(recipe, source, labels["train"], names)
        result = session.fit(
            model,
            config,
            sources,
            label_map.names,
            preprocessing,
            from_scratch=config.from_scratch,
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
            lineage={
                **patches.lineage,
                "patches": patches.id,
                "frame": frame.id,
                **({"weights": weights} if weights else {}),
            },
        )
        return _draft(context, attempt, session, manifest, model, result)

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
        **config.model_dump(mode="json", exclude={"start", "start_differences"}),
        "seed": recipe.seed,
        **_reader_setting(recipe),
        **_mixing_setting(recipe),
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
        weights = weights_digest(recipe.patch_training.network.weights)
        if weights:
            inputs.append(("weights", weights))
            lineage["weights"] = weights
    id = IMAGE_TRAINING.content_id(settings, inputs)

    def make(attempt: Attempt) -> Draft:
        prepare_keras()
        from mammo_core.packaging.initial_model import from_package, from_patch_classifier
        from mammo_core.training.session import FITTED_SPLITS

        session = _session(context, attempt, IMAGE_TRAINING.output(id))
        session.share_batches(config)
        data = frame_from_manifest(context.store, frame)
        if package is not None:
            allowed = config.start_differences
            initial = from_package(package, images, data, config.two_view, allowed)
        else:
            initial = from_patch_classifier(
                context.store,
                patch_training,
                images,
                data,
                network=recipe.patch_training.network,
                patch_size=recipe.sampling.patch_size,
                patch_classes=len(recipe.label_map.names),
                head=config.head,
                two_view=config.two_view,
                seed=recipe.seed,
            )
        labels = {split: data.image_labels(split) for split in FITTED_SPLITS}
        names = data.source_names()
        source: Callable[[str], Any] = partial(
            _record_source, context, config, images, labels, len(IMAGE_CLASSES)
        )
        if config.two_view is not None:
            from mammo_core.evaluation.breasts import breast_views

            breasts = {split: breast_views(data.split(split)) for split in FITTED_SPLITS}
            source = partial(_breast_source, context, config, images, breasts)
            labels["train"] = {name: views.label for name, views in breasts["train"].items()}
            names = {name: name_of(name) for name in breasts["train"]}
        sources = _sources(recipe, source, labels["train"], names)
        result = session.fit(
            initial.model,
            config,
            sources,
            IMAGE_CLASSES,
            initial.preprocessing,
            from_scratch=initial.from_scratch,
        )
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
        return _draft(context, attempt, session, manifest, initial.model, result)

    return context.reuse_or_make(IMAGE_TRAINING, id, make)


def _start_package(uri: str) -> "OpenedPackage":
    from mammo_core.registry import open_package

    return open_package(uri)


def _session(context: StepContext, attempt: Attempt, folder: str) -> "TrainingSession":
    from mammo_core.training.session import TrainingSession

    return TrainingSession(
        store=context.store,
        folder=folder,
        name=context.name,
        title=f"{context.recipe.name}: {context.name}",
        seed=context.recipe.seed,
        hardware=context.recipe.hardware,
        print_line=context.say,
        write_page=partial(context.run.write_page, context.name),
        write_events=partial(context.run.write_events, context.name),
        check_lease=attempt.lease.check,
    )


def _draft(
    context: StepContext,
    attempt: Attempt,
    session: "TrainingSession",
    manifest: Manifest,
    model: Any,
    result: "TrainingResult",
) -> Draft:
    from mammo_core.packaging.trained_network import draft_network
    from mammo_core.training.session import reproducible_history

    context.facts = {"images_per_s": [row["images_per_s"] for row in result.history]}
    history = reproducible_history(result.history)
    draft = draft_network(attempt, manifest, model, history)
    return replace(draft, finish=lambda training: session.delete_checkpoints())


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


def _sources(
    recipe: Recipe,
    source: Callable[[str], Any],
    labels: Mapping[str, int],
    names: Mapping[str, str],
) -> dict[str, Any]:
    """The records of training and validation; those of several sources are drawn by weight.

    Args:
        recipe: The recipe.
        source: Returns the records of a split.
        labels: Id of each training record → its class.
        names: Id of each training record → the name of its source; unused where there is one.
    """
    from mammo_core.training.mixing import MixedSource
    from mammo_core.training.session import FITTED_SPLITS

    sources = {split: source(split) for split in FITTED_SPLITS}
    mixing = _mixing_of(recipe)
    if mixing is not None:
        sources["train"] = MixedSource(sources["train"], recipe.seed, labels, names, mixing)
    return sources


def _mixing_of(recipe: Recipe) -> "SourceMixing | None":
    from mammo_core.training.mixing import SourceMixing

    training = training_sources(recipe.sources)
    if not training or recipe.mixing == "none":
        return None
    weights = {entry.name: entry.weight for entry in training}
    return SourceMixing(mixing=recipe.mixing, weights=weights)


def _mixing_setting(recipe: Recipe) -> dict[str, Any]:
    """How several sources are mixed is part of a training's id."""
    mixing = _mixing_of(recipe)
    return {"sources": mixing.model_dump(mode="json")} if mixing is not None else {}


def _breast_source(
    context: StepContext,
    config: FitConfig,
    images: Manifest,
    breasts: "Mapping[str, Mapping[str, BreastViews]]",
    split: str,
) -> Any:
    from mammo_core.datasets.breasts import BreastSource

    return BreastSource(
        context.store,
        images,
        breasts[split],
        classes=len(IMAGE_CLASSES),
        batch_size=config.batch_size,
        shuffle_seed=context.recipe.seed if split == "train" else None,
    )
