"""Component `regions`."""

from kfp import dsl

from components.container_images import TRAIN_IMAGE


@dsl.component(base_image=TRAIN_IMAGE, install_kfp_package=False)
def regions(
    store: str,
    run_id: str,
    kfp_run_id: str,
    recipe: str,
    recipe_digest: str,
    data: dsl.Input[dsl.Dataset],
    networks: dsl.Input[dsl.Model],
    second_stage: dsl.Output[dsl.Artifact],
    report: dsl.Output[dsl.HTML],
    gpu_count: str = "0",
    gpu_type: str = "nvidia.com/gpu",
) -> None:
    """Describe breasts by the regions of their heatmaps, and fit the second-stage classifier.

    Args:
        store: URI of the object store.
        run_id: Name of the run in the store; empty: KFP's id of the run.
        kfp_run_id: KFP's id of the run.
        recipe: Name or URI of the recipe.
        recipe_digest: Digest of the run's recipe, from `index`.
        data: The data, from `prepare-data`.
        networks: The trained classifiers of each network; the first draws the heatmaps.
        second_stage: Features, forest and numbers.
        report: The results as one HTML page.
        gpu_count: GPUs of the step.
        gpu_type: Resource name of the GPUs.
    """
    from mammo_core.at_paths import pods

    second_stage.metadata.update(
        pods.regions(
            store=store,
            run_id=run_id,
            kfp_run_id=kfp_run_id,
            recipe=recipe,
            recipe_digest=recipe_digest,
            data=data.path,
            networks=networks.path,
            out=second_stage.path,
            report=report.path,
            gpu_count=gpu_count,
            gpu_type=gpu_type,
        )
    )
