"""Component `train-image`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_image(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    images: dsl.Input[dsl.Dataset],
    frame: dsl.Input[dsl.Dataset],
    patch_training: dsl.Input[dsl.Model],
    image_training: dsl.Output[dsl.Model],
    member: str = "",
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Convert the patch classifier to a whole-image classifier and train it end to end.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        images: The image dataset.
        frame: The frame.
        patch_training: The patch classifier.
        image_training: The trained whole-image classifier.
        member: Which network of an ensemble; empty: the recipe's only one.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core import at_paths

    at_paths.report_gpus("train-image", gpu_count, gpu_type)
    image_training.metadata.update(
        at_paths.train_image(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            member=member,
            images=images.path,
            frame=frame.path,
            patch_training=patch_training.path,
            out=image_training.path,
        )
    )
