"""The stretches that the pipelines share: from tables to data, from a classifier to a version."""

from dataclasses import dataclass
from typing import Any

from kfp import dsl

import components as steps
from pipelines.platform import NodePlacement, on_platform


def run_identity(store: Any, run_id: Any) -> dict[str, Any]:
    """Return the arguments of a component that say which run it works for.

    KFP's id is an argument of its own: its driver replaces a placeholder only where that is
    the whole text.

    Args:
        store: URI of the object store.
        run_id: Name of the run; empty: KFP's id.
    """
    return {
        "store": store,
        "run_id": run_id,
        "kfp_run_id": dsl.PIPELINE_JOB_ID_PLACEHOLDER,
    }


@dataclass(frozen=True)
class Run:
    """What every step of a run is told.

    Attributes:
        identity: The store, and whose record the steps write there: see `run_identity`.
        recipe: The recipe's reference; the first step resolves it for the others.
        recipe_digest: Digest of the resolved recipe, an output of the first step: whoever takes
            it runs after the recipe was written, and with no other.
    """

    identity: dict[str, Any]
    recipe: Any
    recipe_digest: Any

    @property
    def arguments(self) -> dict[str, Any]:
        """As keyword arguments of a component."""
        return {**self.identity, "recipe": self.recipe, "recipe_digest": self.recipe_digest}


@dataclass(frozen=True)
class Data:
    """What training needs.

    Attributes:
        images: The image dataset.
        frame: The frame.
        patches: The patch dataset.
        validated: The task after which training may begin.
    """

    images: Any
    frame: Any
    patches: Any
    validated: dsl.PipelineTask


@dataclass(frozen=True)
class Classifiers:
    """The two classifiers of a run.

    Attributes:
        patch: The patch classifier.
        image: The whole-image classifier.
    """

    patch: Any
    image: Any


def make_data(run: Run, index: dsl.PipelineTask, parallelism: int) -> Data:
    """Convert, publish the frame, compare it with the champion's, sample.

    Args:
        run: The run.
        index: The task `index`.
        parallelism: Parts that are converted or sampled at the same time.
    """
    tables = index.outputs["tables"]
    with dsl.ParallelFor(
        items=index.outputs["partitions"], name="convert-partitions", parallelism=parallelism
    ) as partition:
        part = on_platform(
            steps.convert_partition(**run.arguments, partition=partition, tables=tables),
            "Convert partition",
        )
    images = on_platform(
        steps.convert(
            **run.arguments, tables=tables, partitions=dsl.Collected(part.outputs["Output"])
        ),
        "Convert",
    ).outputs["images"]
    frame = on_platform(
        steps.publish_features(**run.arguments, tables=tables, images=images), "Publish features"
    ).output
    validated = on_platform(
        steps.validate_data(**run.arguments, images=images, frame=frame), "Validate data"
    )
    with dsl.ParallelFor(
        items=index.outputs["partitions"], name="sample-partitions", parallelism=parallelism
    ) as partition:
        part = on_platform(
            steps.sample_partition(**run.arguments, partition=partition, images=images),
            "Sample partition",
        )
    patches = on_platform(
        steps.sample(
            **run.arguments, images=images, partitions=dsl.Collected(part.outputs["Output"])
        ),
        "Sample patches",
    ).outputs["patches"]
    return Data(images, frame, patches, validated)


def train_networks(run: Run, data: Data, placement: NodePlacement, parallelism: int) -> Classifiers:
    """Train a patch classifier and from it a whole-image classifier, for each network.

    Args:
        run: The run.
        data: What to train on.
        placement: Where the GPUs are.
        parallelism: Networks that are trained at the same time.
    """
    with dsl.ParallelFor(
        items=data.validated.outputs["Output"], name="networks", parallelism=parallelism
    ) as member:
        patch = on_platform(
            steps.train_patch(
                **run.arguments,
                **placement.arguments,
                member=member,
                patches=data.patches,
                frame=data.frame,
            ),
            "Train patch classifier",
            placement,
        )
        image = on_platform(
            steps.train_image(
                **run.arguments,
                **placement.arguments,
                member=member,
                images=data.images,
                frame=data.frame,
                patch_training=patch.output,
            ),
            "Train whole-image classifier",
            placement,
        )
    combined = on_platform(
        steps.combine(
            **run.arguments,
            patch_trainings=dsl.Collected(patch.outputs["patch_training"]),
            image_trainings=dsl.Collected(image.outputs["image_training"]),
        ),
        "Combine networks",
    )
    return Classifiers(combined.outputs["patch_training"], combined.outputs["image_training"])


def train_on(run: Run, data: Data, placement: NodePlacement) -> Classifiers:
    """Train on from the package that the recipe starts from.

    Args:
        run: The run.
        data: What to train on.
        placement: Where the GPUs are.
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
    ).after(data.validated)
    return Classifiers(patch, image.output)


def release(run: Run, data: Data, classifiers: Classifiers, placement: NodePlacement) -> None:
    """Evaluate, gate against the champion, and push when the gate lets the model through.

    Args:
        run: The run.
        data: What it was trained on.
        classifiers: What was trained.
        placement: Where the GPUs are.
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
    ).outputs["evaluation"]
    decision = on_platform(
        steps.gate(
            **run.arguments,
            **placement.arguments,
            images=data.images,
            frame=data.frame,
            image_training=classifiers.image,
            evaluation=evaluation,
        ),
        "Gate",
        placement,
    )
    with dsl.If(decision.outputs["Output"] == True, name="passed"):  # noqa: E712
        on_platform(
            steps.push(
                **run.arguments,
                images=data.images,
                frame=data.frame,
                patch_training=classifiers.patch,
                image_training=classifiers.image,
                evaluation=evaluation,
                decision=decision.outputs["decision"],
            ),
            "Push",
        )
