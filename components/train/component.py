"""Component `train`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def train(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    data: dsl.Input[dsl.Dataset],
    networks: dsl.Output[dsl.Model],
    starts: bool = False,
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Train a patch classifier, and from it a whole-image classifier; find those of other pods.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        data: The data, from `prepare-data`.
        networks: The trained classifiers of each network.
        starts: Whether training goes on from the model package that the recipe names.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core.at_paths import pods

    networks.metadata.update(
        pods.train(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            data=data.path,
            out=networks.path,
            starts=starts,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
        )
    )
