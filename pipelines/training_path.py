"""What the training pipelines share: making data, training networks, releasing a version."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform


def run_identity(store: Any, run_id: Any) -> dict[str, Any]:
    """Return the component arguments that identify the run.

    The id from Kubeflow Pipelines is an argument of its own because the driver replaces a
    placeholder only where it is the whole text.

    Args:
        store: URI of the object store.
        run_id: Name of the run; empty: the id from Kubeflow Pipelines.
    """
    return {
        "store": store,
        "run_id": run_id,
        "kfp_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    }


@dataclass(frozen=True)
class RunArguments:
    """The arguments that every step of a run takes.

    Attributes:
        identity: The store and the id of the run: see `run_identity`.
        recipe: Reference of the recipe, which `index` resolves for the other steps.
        recipe_digest: Digest of the resolved recipe, an output of `index`: a step that takes it
            starts after the recipe was written, and fails if the recipe was replaced.
    """

    identity: dict[str, Any]
    recipe: Any
    recipe_digest: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of a component."""
        return {**self.identity, "recipe": self.recipe, "recipe_digest": self.recipe_digest}

    def arguments_in_loop(self, item: Any) -> dict[str, Any]:
        """The keyword arguments of a component in a loop, whose items carry the digest.

        The local runner of KFP replaces every parameter that a loop takes from a task by the
        item.
        """
        return {**self.arguments, "recipe_digest": item.recipe_digest}


@dataclass(frozen=True)
class TrainingInputs:
    """What training needs.

    Attributes:
        tables: The source tables.
        images: The image dataset.
        frame: The frame.
        patches: The patch dataset.
        validation: The task that must succeed before training starts.
    """

    tables: Any
    images: Any
    frame: Any
    patches: Any
    validation: dsl.PipelineTask


@dataclass(frozen=True)
class Classifiers:
    """The two classifiers of a run.

    Attributes:
        patch: The patch classifier.
        image: The whole-image classifier.
    """

    patch: Any
    image: Any


def begin(identity: dict[str, Any], *, signed: bool, **arguments: Any) -> dsl.PipelineTask:
    """Resolve the recipe and index the source; before that, check the key that signs the model.

    Only the push needs the key, days later, and only its role may have it. KFP lets no task wait
    for one in a condition, so the check is part of the pipeline or not.

    Args:
        identity: The store and the id of the run: see `run_identity`.
        signed: Whether the key is checked.
        arguments: Further arguments of `index`.

    Returns:
        The task `index`.
    """
    if signed:
        check = on_platform(steps.check_signing_key(**identity), "Check signing key")
        arguments["signing_key_id"] = check.output
    return on_platform(steps.index(**identity, **arguments), "Index")


def make_data(run: RunArguments, index: dsl.PipelineTask, parallelism: int) -> TrainingInputs:
    """Convert the images, publish and validate the frame, sample patches.

    Args:
        run: The run.
        index: The task `index`.
        parallelism: Number of partitions that are processed at the same time.
    """
    tables = index.outputs["tables"]
    with dsl.ParallelFor(
        items=index.outputs["Output"], name="convert-partitions", parallelism=parallelism
    ) as item:
        conversion = on_platform(
            steps.convert_partition(
                **run.arguments_in_loop(item), partition=item.partition, tables=tables
            ),
            "Convert partition",
        )
    images = on_platform(
        steps.convert(
            **run.arguments, tables=tables, partitions=dsl.Collected(conversion.outputs["Output"])
        ),
        "Convert",
    ).outputs["images"]
    frame = on_platform(
        steps.publish_features(**run.arguments, tables=tables, images=images), "Publish features"
    ).output
    validation = on_platform(
        steps.validate_data(**run.arguments, images=images, frame=frame), "Validate data"
    )
    with dsl.ParallelFor(
        items=index.outputs["Output"], name="sample-partitions", parallelism=parallelism
    ) as item:
        sampling = on_platform(
            steps.sample_partition(
                **run.arguments_in_loop(item), partition=item.partition, images=images
            ),
            "Sample partition",
        )
    patches = on_platform(
        steps.sample(
            **run.arguments, images=images, partitions=dsl.Collected(sampling.outputs["Output"])
        ),
        "Sample patches",
    ).outputs["patches"]
    return TrainingInputs(tables, images, frame, patches, validation)


def train_networks(
    run: RunArguments, data: TrainingInputs, placement: NodePlacement, parallelism: int
) -> Classifiers:
    """Train a patch classifier, and from it a whole-image classifier, for each network.

    Args:
        run: The run.
        data: The data to train on.
        placement: The nodes and GPUs to train on.
        parallelism: Number of networks that are trained at the same time.
    """
    with dsl.ParallelFor(
        items=data.validation.outputs["Output"], name="networks", parallelism=parallelism
    ) as item:
        patch = on_platform(
            steps.train_patch(
                **run.arguments_in_loop(item),
                **placement.arguments,
                member=item.member,
                patches=data.patches,
                frame=data.frame,
            ),
            "Train patch classifier",
            placement,
        )
        image = on_platform(
            steps.train_image(
                **run.arguments_in_loop(item),
                **placement.arguments,
                member=item.member,
                images=data.images,
                frame=data.frame,
                patch_training=patch.output,
            ),
            "Train whole-image classifier",
            placement,
        )
    ensemble = on_platform(
        steps.combine(
            **run.arguments,
            patch_trainings=dsl.Collected(patch.outputs["patch_training"]),
            image_trainings=dsl.Collected(image.outputs["image_training"]),
        ),
        "Combine networks",
    )
    return Classifiers(ensemble.outputs["patch_training"], ensemble.outputs["image_training"])


def continue_training(
    run: RunArguments, data: TrainingInputs, placement: NodePlacement
) -> Classifiers:
    """Train from the model package that the recipe starts from.

    Args:
        run: The run.
        data: The data to train on.
        placement: The nodes and GPUs to train on.
    """
    patch = on_platform(steps.start_from(**run.arguments), "Take patch classifier").output
    image = on_platform(
        steps.train_image(
            **run.arguments,
            **placement.arguments,
            images=data.images,
            frame=data.frame,
            patch_training=patch,
        ),
        "Train whole-image classifier",
        placement,
    ).after(data.validation)
    return Classifiers(patch, image.output)


def release(
    run: RunArguments, data: TrainingInputs, classifiers: Classifiers, placement: NodePlacement
) -> None:
    """Evaluate and package the model, let it duel with the champion, and push it if it passes.

    Args:
        run: The run.
        data: The data that it was trained on.
        classifiers: The trained classifiers.
        placement: The nodes and GPUs to evaluate on.
    """
    evaluation = on_platform(
        steps.evaluate(
            **run.arguments,
            **placement.arguments,
            images=data.images,
            patches=data.patches,
            frame=data.frame,
            patch_training=classifiers.patch,
            image_training=classifiers.image,
        ),
        "Evaluate",
        placement,
    )
    candidate = evaluation.outputs["candidate"]
    duel = on_platform(
        steps.duel(
            **run.arguments,
            **placement.arguments,
            tables=data.tables,
            frame=data.frame,
            candidate=candidate,
        ),
        "Duel",
        placement,
    )
    decision = on_platform(
        steps.gate(
            **run.arguments,
            evaluation=evaluation.outputs["evaluation"],
            duel=duel.outputs["duel"],
        ),
        "Gate",
    )
    with dsl.If(decision.outputs["Output"] == True, name="passed"):  # noqa: E712
        on_platform(
            steps.push(
                **run.arguments,
                candidate=candidate,
                decision=decision.outputs["decision"],
            ),
            "Push",
        )
