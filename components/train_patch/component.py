"""Component `train-patch`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_patch(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    patches: dsl.Input[dsl.Dataset],
    frame: dsl.Input[dsl.Dataset],
    patch_training: dsl.Output[dsl.Model],
    member: str = "",
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Train the patch classifier.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        patches: The patch dataset.
        frame: The frame.
        patch_training: The trained patch classifier.
        member: Which network of an ensemble; empty: the recipe's only one.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core import at_paths

    at_paths.report_gpus("train-patch", gpu_count, gpu_type)
    patch_training.metadata.update(
        at_paths.train_patch(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            member=member,
            patches=patches.path,
            frame=frame.path,
            out=patch_training.path,
        )
    )
