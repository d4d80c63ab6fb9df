"""Component `duel`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def duel(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    data: dsl.Input[dsl.Dataset],
    candidate: dsl.Input[dsl.Model],
    duel: dsl.Output[dsl.Artifact],
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Score the test images with the model and the champion, each through its own package.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        data: The data, from `prepare-data`.
        candidate: The package of the model, from `evaluate`.
        duel: The probabilities of both, for patients that neither has seen.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core.at_paths import pods

    duel.metadata.update(
        pods.duel(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            data=data.path,
            candidate=candidate.path,
            out=duel.path,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
        )
    )
