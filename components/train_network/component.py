"""Component `train-network`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train_network(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    member: str,
    data: dsl.Input[dsl.Dataset],
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> str:
    """Train the patch and the whole-image classifier of one network of an ensemble.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        member: Which network of the ensemble.
        data: The data, from `prepare-data`.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.

    Returns:
        The network.
    """
    from mammo_core.at_paths import pods

    return pods.train_network(
        store=store,
        run_id=run_id,
        kfp_run_id=kfp_run_id,
        recipe=recipe,
        recipe_digest=recipe_digest,
        member=member,
        data=data.path,
        gpu_count=gpu_count,
        gpu_type=gpu_type,
    )
