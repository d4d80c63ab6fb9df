"""Component `push`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def push(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    images: dsl.Input[dsl.Dataset],
    frame: dsl.Input[dsl.Dataset],
    patch_training: dsl.Input[dsl.Model],
    image_training: dsl.Input[dsl.Model],
    evaluation: dsl.Input[dsl.Artifact],
    decision: dsl.Input[dsl.Artifact],
    model: dsl.Output[dsl.Model],
) -> None:
    """Build the model package, check it in a fresh process, and publish it as champion.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        images: The image dataset.
        frame: The frame.
        patch_training: The patch classifier.
        image_training: The whole-image classifier.
        evaluation: Its evaluation.
        decision: The gate's decision.
        model: The pushed version.
    """
    from mammo_core.steps import at_paths

    model.metadata.update(
        at_paths.push(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            images=images.path,
            frame=frame.path,
            patch_training=patch_training.path,
            image_training=image_training.path,
            evaluation=evaluation.path,
            decision=decision.path,
            out=model.path,
        )
    )
