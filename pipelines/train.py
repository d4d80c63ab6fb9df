"""The pipeline `train`: from a DICOM tree to a pushed model."""

from kfp import dsl

import components as steps
from pipelines.platform import on_platform


@dsl.pipeline(
    name="mammo-train",
    description="From mammograms (DICOM) to an evaluated, versioned breast-cancer classifier.",
)
def train(recipe: str = "phantom", store: str = "s3://mammo", run_id: str = "") -> None:
    """Index, convert, publish, sample, train twice, evaluate, gate, push.

    Args:
        recipe: Name of a recipe in the image, or the URI of one in a store.
        store: URI of the object store.
        run_id: Id of the run; empty: KFP's own id.
    """
    ids = f"{run_id}@{dsl.PIPELINE_JOB_ID_PLACEHOLDER}"
    run = {"store": store, "recipe": recipe, "run_id": ids}
    finish = on_platform(steps.summarize(**run)).set_display_name("Summary")
    with dsl.ExitHandler(finish, name="run"):
        index = on_platform(steps.index(**run)).set_display_name("Index")
        tables = index.outputs["tables"]
        images = on_platform(steps.convert(**run, tables=tables)).set_display_name("Convert").output
        frame = (
            on_platform(steps.publish_features(**run, tables=tables, images=images))
            .set_display_name("Publish features")
            .output
        )
        patches = (
            on_platform(steps.sample(**run, images=images))
            .set_display_name("Sample patches")
            .output
        )
        patch_training = (
            on_platform(steps.train_patch(**run, patches=patches, frame=frame))
            .set_display_name("Train patch classifier")
            .output
        )
        image_training = (
            on_platform(
                steps.train_image(**run, images=images, frame=frame, patch_training=patch_training)
            )
            .set_display_name("Train whole-image classifier")
            .output
        )
        evaluation = (
            on_platform(
                steps.evaluate(
                    **run,
                    images=images,
                    patches=patches,
                    frame=frame,
                    patch_training=patch_training,
                    image_training=image_training,
                )
            )
            .set_display_name("Evaluate")
            .outputs["evaluation"]
        )
        decision = on_platform(
            steps.gate(
                **run,
                images=images,
                frame=frame,
                image_training=image_training,
                evaluation=evaluation,
            )
        ).set_display_name("Gate")
        with dsl.If(decision.outputs["Output"] == True, name="passed"):  # noqa: E712
            on_platform(
                steps.push(
                    **run,
                    images=images,
                    frame=frame,
                    patch_training=patch_training,
                    image_training=image_training,
                    evaluation=evaluation,
                    decision=decision.outputs["decision"],
                )
            ).set_display_name("Push")
